//! Commands as positions in a buffer: the batch a parser fills, the view of one command, and the owned form
//! for those that must outlive the buffer. Knows nothing of how the positions were found.

use std::fmt;
use std::ops::Index;

/// Position of one argument in its command's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// One command of a batch. Its spans begin where those of the command before it end.
#[derive(Clone, Copy, Debug)]
struct Command {
    spans_end: usize,
    /// Offset in the buffer just past the command.
    end: usize,
    /// The spans point into the scratch area, since the text had to be unescaped, and not into the buffer.
    unescaped: bool,
}

/// The commands parsed out of one buffer, as positions. Reused, it stops allocating once warm.
#[derive(Debug, Default)]
pub struct Batch {
    commands: Vec<Command>,
    pub(crate) spans: Vec<Span>,
    pub(crate) scratch: Vec<u8>,
}

impl Batch {
    /// An empty batch without storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the commands and keeps the storage.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.spans.clear();
        self.scratch.clear();
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Heap bytes held: a caller may drop a batch that one huge command has inflated.
    pub fn memory(&self) -> usize {
        self.commands.capacity() * size_of::<Command>()
            + self.spans.capacity() * size_of::<Span>()
            + self.scratch.capacity()
    }

    /// The arguments of command `i`. `buf` is the buffer that was parsed, its front still in place.
    ///
    /// # Panics
    /// If there is no command `i`; reading an argument panics if `buf` ends before it.
    #[inline]
    pub fn argv<'a>(&'a self, i: usize, buf: &'a [u8]) -> Argv<'a> {
        let command = self.commands[i];
        let first = if i == 0 { 0 } else { self.commands[i - 1].spans_end };
        Argv {
            spans: &self.spans[first..command.spans_end],
            data: if command.unescaped { &self.scratch } else { buf },
        }
    }

    /// Offset in the parsed buffer just past command `i`.
    ///
    /// # Panics
    /// If there is no command `i`.
    #[inline]
    pub fn end(&self, i: usize) -> usize {
        self.commands[i].end
    }

    /// Number of spans that belong to complete commands.
    pub(crate) fn complete_spans(&self) -> usize {
        self.commands.last().map_or(0, |command| command.spans_end)
    }

    /// Makes one command of all spans appended since the last one.
    #[inline]
    pub(crate) fn finish_command(&mut self, end: usize, unescaped: bool) {
        self.commands.push(Command { spans_end: self.spans.len(), end, unescaped });
    }
}

/// The arguments of one command, the command's name first. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    spans: &'a [Span],
    data: &'a [u8],
}

impl<'a> Argv<'a> {
    /// Number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument; a parsed command has at least one.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`, if there is one.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(i)?;
        Some(&self.data[span.start..span.start + span.len])
    }

    /// Argument `i`.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline]
    pub fn arg(&self, i: usize) -> &'a [u8] {
        let span = self.spans[i];
        &self.data[span.start..span.start + span.len]
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let data = self.data;
        self.spans.iter().map(move |span| &data[span.start..span.start + span.len])
    }

    /// The view without the first `n` arguments; empty if there are not more.
    #[inline]
    pub fn skip(&self, n: usize) -> Argv<'a> {
        Argv { spans: self.spans.get(n..).unwrap_or_default(), data: self.data }
    }

    /// Bytes in all arguments together.
    pub fn bytes(&self) -> usize {
        self.spans.iter().map(|span| span.len).sum()
    }

    /// The command in the form a client sends it: an array of bulk strings.
    pub fn to_request(&self) -> Vec<u8> {
        let mut request = Vec::with_capacity(self.bytes() + 16 * (self.len() + 1));
        self.write_request(&mut request);
        request
    }

    /// Appends what [`Argv::to_request`] returns to `out`.
    pub fn write_request(&self, out: &mut Vec<u8>) {
        write_request(self.iter(), out);
    }
}

/// Appends a request of these words to `out`.
pub fn write_request<'a>(words: impl ExactSizeIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    crate::reply::put_header(out, b'*', words.len());
    for word in words {
        crate::reply::put_bulk(out, b'$', word);
    }
}

impl Index<usize> for Argv<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, i: usize) -> &[u8] {
        self.arg(i)
    }
}

impl fmt::Debug for Argv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|arg| arg.escape_ascii().to_string())).finish()
    }
}

impl PartialEq for Argv<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Argv<'_> {}

/// A command that owns its bytes, in two allocations: the arguments end to end, and their positions.
#[derive(Clone, Default)]
pub struct OwnedArgv {
    data: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgv {
    /// An empty command; add arguments with [`OwnedArgv::push`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A command of the given arguments.
    pub fn from_slices(args: &[&[u8]]) -> Self {
        args.iter().copied().collect()
    }

    /// Appends an argument.
    pub fn push(&mut self, arg: &[u8]) {
        self.spans.push(Span { start: self.data.len(), len: arg.len() });
        self.data.extend_from_slice(arg);
    }

    /// Removes all arguments and keeps the storage, unless that is large.
    pub fn clear(&mut self) {
        const KEEP: usize = 64 * 1024;
        self.data.clear();
        self.data.shrink_to(KEEP);
        self.spans.clear();
        self.spans.shrink_to(KEEP / size_of::<Span>());
    }

    /// Number of arguments.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The arguments as a view.
    #[inline]
    pub fn as_argv(&self) -> Argv<'_> {
        Argv { spans: &self.spans, data: &self.data }
    }

    /// Heap bytes held.
    pub fn memory(&self) -> usize {
        self.data.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

impl From<Argv<'_>> for OwnedArgv {
    fn from(argv: Argv<'_>) -> Self {
        let mut owned =
            Self { data: Vec::with_capacity(argv.bytes()), spans: Vec::with_capacity(argv.len()) };
        argv.iter().for_each(|arg| owned.push(arg));
        owned
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for OwnedArgv {
    fn from_iter<I: IntoIterator<Item = A>>(args: I) -> Self {
        let mut owned = Self::new();
        args.into_iter().for_each(|arg| owned.push(arg.as_ref()));
        owned
    }
}

impl fmt::Debug for OwnedArgv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_argv().fmt(f)
    }
}

impl PartialEq for OwnedArgv {
    fn eq(&self, other: &Self) -> bool {
        self.as_argv() == other.as_argv()
    }
}

impl Eq for OwnedArgv {}
