//! The server's other side: replies, appended in the form that the connection's protocol version asks for.
//!
//! Output is one byte vector. Large values are not copied into it: they are kept by reference, each with the
//! offset of the byte it comes before. Knows nothing of sockets: [`ReplyBuf::chunks`] says what to write, and
//! [`ReplyBuf::advance`] is told how much of it was.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::number;

/// Shared values below this length are copied: that is cheaper than one more chunk to write.
const SHARE_FROM: usize = 4096;
/// Output capacity kept for the next replies once everything is written.
const KEEP_CAPACITY: usize = 256 * 1024;
/// Plain bytes that waiting output keeps in one piece.
const SEAL_FROM: usize = 48 * 1024;
/// Bytes reserved for a header whose number is not known yet: right for 10 to 99.
const PLACEHOLDER: &[u8] = b"*00\r\n";

/// Room for a type byte, any 64-bit number, and two line ends.
const LINE_RESERVE: usize = 1 + 20 + 2 + 2;

/// Version of the protocol a connection speaks; it chooses one by `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Strings, integers, errors, arrays and null.
    #[default]
    Resp2,
    /// All types.
    Resp3,
}

/// Output of one connection that is not written yet.
#[derive(Debug, Default)]
pub struct ReplyBuf {
    protocol: Protocol,
    bytes: Vec<u8>,
    /// How many of `bytes` are written.
    written: usize,
    large: VecDeque<Large>,
    /// Lengths of `large` together.
    large_len: usize,
}

/// A value kept by reference. Its written part is cut off.
#[derive(Debug)]
struct Large {
    /// Offset in `ReplyBuf::bytes` of the byte that follows it.
    at: usize,
    value: Bytes,
}

/// A point in the output to return to. Valid until output is written or cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    bytes: usize,
    large: usize,
}

/// An aggregate whose length is told later, to [`ReplyBuf::finish`]. Valid until output is written or
/// cleared. When aggregates are nested, the inner one is finished first.
#[derive(Debug)]
#[must_use = "an aggregate must be finished"]
pub struct Later {
    at: usize,
    tag: u8,
    /// How many elements one counted entry has.
    per_entry: usize,
}

impl ReplyBuf {
    /// Empty output for RESP2, as every connection starts.
    pub fn new() -> Self {
        Self::default()
    }

    /// The version in which replies are encoded.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the version for the replies that follow.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Whether there is nothing to write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.written == self.bytes.len() && self.large.is_empty()
    }

    /// Bytes to write, large values included.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written + self.large_len
    }

    /// Heap bytes held, values kept by reference included.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.large.capacity() * size_of::<Large>() + self.large_len
    }

    /// Drops all output.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_CAPACITY);
        self.written = 0;
        self.large.clear();
        self.large_len = 0;
    }

    /// The current end, for [`truncate`](Self::truncate).
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), large: self.large.len() }
    }

    /// Drops everything appended since `mark` was taken.
    pub fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.large_len -= self.large.drain(mark.large..).map(|large| large.value.len()).sum::<usize>();
    }

    /// `+text`: a status without line ends, such as `PONG`.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.status(text.as_bytes());
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// An error: its code and text, without the `-`. Line ends become blanks.
    pub fn error(&mut self, text: &[u8]) {
        put_line(&mut self.bytes, b'-', text);
    }

    /// `+` and any bytes. Line ends become blanks.
    pub fn status(&mut self, text: &[u8]) {
        put_line(&mut self.bytes, b'+', text);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        put_number(&mut self.bytes, b':', value);
    }

    /// A bulk string, copied.
    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        put_bulk(&mut self.bytes, b'$', value);
    }

    /// A bulk string, kept by reference if it is large.
    pub fn shared(&mut self, value: Bytes) {
        if value.len() < SHARE_FROM {
            return self.bulk(&value);
        }
        put_header(&mut self.bytes, b'$', value.len());
        self.large_len += value.len();
        self.large.push_back(Large { at: self.bytes.len(), value });
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The absent value.
    #[inline]
    pub fn null(&mut self) {
        self.either(b"$-1\r\n", b"_\r\n");
    }

    /// The absent array; RESP3 has one null only.
    #[inline]
    pub fn null_array(&mut self) {
        self.either(b"*-1\r\n", b"_\r\n");
    }

    /// Starts an array of `n` elements, which are appended next.
    #[inline]
    pub fn array(&mut self, n: usize) {
        put_header(&mut self.bytes, b'*', n);
    }

    /// Starts a map of `n` pairs: keys and values in turn follow. RESP2: an array of `2 * n`.
    #[inline]
    pub fn map(&mut self, n: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(2 * n),
            Protocol::Resp3 => put_header(&mut self.bytes, b'%', n),
        }
    }

    /// Starts a set of `n` elements. RESP2: an array.
    #[inline]
    pub fn set(&mut self, n: usize) {
        let tag = self.tag(b'~');
        put_header(&mut self.bytes, tag, n);
    }

    /// Starts a push message of `n` elements. RESP2: an array.
    #[inline]
    pub fn push(&mut self, n: usize) {
        let tag = self.tag(b'>');
        put_header(&mut self.bytes, tag, n);
    }

    /// Starts `n` pairs of attributes of the value that follows them. RESP3 only: in RESP2 leave out both the
    /// call and the pairs.
    pub fn attribute(&mut self, n: usize) {
        debug_assert_eq!(self.protocol, Protocol::Resp3, "RESP2 has no attributes");
        put_header(&mut self.bytes, b'|', n);
    }

    /// A double, as [`number::format_double`] writes it. RESP2: a bulk string.
    #[inline]
    pub fn double(&mut self, value: f64) {
        match number::whole(value) {
            Some(whole) if self.protocol == Protocol::Resp3 => put_number(&mut self.bytes, b',', whole),
            Some(whole) => self.bulk(itoa::Buffer::new().format(whole).as_bytes()),
            None => self.textual(b',', &number::format_double(value)),
        }
    }

    /// A boolean. RESP2: 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        if value { self.either(b":1\r\n", b"#t\r\n") } else { self.either(b":0\r\n", b"#f\r\n") }
    }

    /// A number of any size, as decimal digits with an optional sign. RESP2: a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        self.big_number_bytes(digits.as_bytes());
    }

    /// The same with the digits as bytes, which are not checked.
    pub fn big_number_bytes(&mut self, digits: &[u8]) {
        self.textual(b'(', digits);
    }

    /// Text in a format named by three characters, such as `txt`. RESP2: a bulk string.
    ///
    /// # Panics
    /// If the format is not of three bytes.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        let format =
            format.as_bytes().try_into().expect("the format of a verbatim string has three characters");
        self.verbatim_bytes(format, text);
    }

    /// The same with the format as bytes.
    pub fn verbatim_bytes(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                put_header(&mut self.bytes, b'=', format.len() + 1 + text.len());
                self.bytes.extend_from_slice(format);
                self.bytes.push(b':');
                self.bytes.extend_from_slice(text);
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// An error of any bytes. RESP2: an error line, its line ends blanks.
    pub fn bulk_error(&mut self, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.error(text),
            Protocol::Resp3 => put_bulk(&mut self.bytes, b'!', text),
        }
    }

    /// Bytes that are in the connection's protocol already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Starts an array whose length [`finish`](Self::finish) is told.
    pub fn array_later(&mut self) -> Later {
        self.later(b'*', 1)
    }

    /// Starts a map whose number of pairs [`finish`](Self::finish) is told.
    pub fn map_later(&mut self) -> Later {
        let per_entry = if self.protocol == Protocol::Resp2 { 2 } else { 1 };
        self.later(self.tag(b'%'), per_entry)
    }

    /// Starts a set whose length [`finish`](Self::finish) is told.
    pub fn set_later(&mut self) -> Later {
        self.later(self.tag(b'~'), 1)
    }

    /// Tells the length of an aggregate: pairs for a map, elements for others.
    pub fn finish(&mut self, later: Later, n: usize) {
        let mut header = Vec::with_capacity(24);
        put_header(&mut header, later.tag, n * later.per_entry);
        let placeholder = later.at..later.at + PLACEHOLDER.len();
        if header.len() == PLACEHOLDER.len() {
            self.bytes[placeholder].copy_from_slice(&header);
            return;
        }
        self.bytes.splice(placeholder, header.iter().copied());
        for large in self.large.iter_mut().rev().take_while(|large| large.at > later.at) {
            large.at = large.at + header.len() - PLACEHOLDER.len();
        }
    }

    /// For output that waits for its reader: makes plain bytes a piece of their own once they are 48 KiB, so that what
    /// is appended later does not move them, and no capacity is kept for more.
    pub fn seal(&mut self) {
        if self.bytes.len() - self.written < SEAL_FROM {
            return;
        }
        let mut from = std::mem::take(&mut self.written);
        let mut sealed = Bytes::from(std::mem::take(&mut self.bytes).into_boxed_slice());
        self.large_len += sealed.len() - from;
        // Before the first of these, nothing is sealed.
        let first = self.large.partition_point(|large| large.at <= from);
        let later = self.large.split_off(first);
        self.large.iter_mut().rev().take_while(|large| large.at > 0).for_each(|large| large.at = 0);
        bytes::Buf::advance(&mut sealed, from);
        for Large { at, value } in later {
            if at > from {
                self.large.push_back(Large { at: 0, value: sealed.split_to(at - from) });
                from = at;
            }
            self.large.push_back(Large { at: 0, value });
        }
        if !sealed.is_empty() {
            self.large.push_back(Large { at: 0, value: sealed });
        }
    }

    /// What is to be written, in order: borrowed pieces, none of them empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.written;
        let large = self.large.iter().flat_map(move |large| {
            let before = &self.bytes[from..large.at];
            from = large.at;
            [before, &large.value[..]]
        });
        let last = self.large.back().map_or(self.written, |large| large.at);
        large.chain([&self.bytes[last..]]).filter(|chunk| !chunk.is_empty())
    }

    /// The first `n` bytes of [`chunks`](Self::chunks) were written.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn advance(&mut self, mut n: usize) {
        assert!(n <= self.len(), "more was written than there is");
        while n > 0 {
            let until = self.large.front().map_or(self.bytes.len(), |large| large.at);
            let step = n.min(until - self.written);
            self.written += step;
            n -= step;
            if n == 0 {
                break;
            }
            let large = self.large.front_mut().expect("what follows all plain bytes is a large value");
            let step = n.min(large.value.len());
            bytes::Buf::advance(&mut large.value, step);
            self.large_len -= step;
            n -= step;
            if large.value.is_empty() {
                self.large.pop_front();
            }
        }
        self.reclaim();
    }

    /// All output in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.chunks().for_each(|chunk| all.extend_from_slice(chunk));
        all
    }

    /// All output, if it is in one piece already and nothing of it is written.
    pub fn as_slice(&self) -> Option<&[u8]> {
        (self.written == 0 && self.large.is_empty()).then_some(&self.bytes)
    }

    /// Gives up written bytes once they are at least half of the vector, so that each is moved at most once.
    fn reclaim(&mut self) {
        if self.is_empty() {
            self.clear();
        } else if self.written >= KEEP_CAPACITY && self.written >= self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.large.iter_mut().for_each(|large| large.at -= self.written);
            self.written = 0;
        }
    }

    #[inline]
    fn either(&mut self, resp2: &[u8], resp3: &[u8]) {
        self.bytes.extend_from_slice(match self.protocol {
            Protocol::Resp2 => resp2,
            Protocol::Resp3 => resp3,
        });
    }

    #[inline]
    fn tag(&self, resp3: u8) -> u8 {
        match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => resp3,
        }
    }

    /// A number as text: a line of its type, or a bulk string in RESP2.
    fn textual(&mut self, tag: u8, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => put_line(&mut self.bytes, tag, text),
        }
    }

    fn later(&mut self, tag: u8, per_entry: usize) -> Later {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(PLACEHOLDER);
        Later { at, tag, per_entry }
    }
}

/// Appends a type byte, a length and a line end.
#[inline]
pub(crate) fn put_header(out: &mut Vec<u8>, tag: u8, n: usize) {
    match n {
        10..100 => {
            out.extend_from_slice(&[tag, b'0' + (n / 10) as u8, b'0' + (n % 10) as u8, b'\r', b'\n']);
        }
        _ => put_number(out, tag, n as i64),
    }
}

/// Appends a type byte, a number and a line end.
#[inline]
fn put_number(out: &mut Vec<u8>, tag: u8, n: i64) {
    match n {
        0..10 => out.extend_from_slice(&[tag, b'0' + n as u8, b'\r', b'\n']),
        _ => {
            out.reserve(LINE_RESERVE);
            out.push(tag);
            out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends bytes with their length in front.
#[inline]
pub(crate) fn put_bulk(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.reserve(value.len() + LINE_RESERVE);
    put_header(out, tag, value.len());
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a line. Line ends within it become blanks.
fn put_line(out: &mut Vec<u8>, tag: u8, text: &[u8]) {
    out.reserve(text.len() + 3);
    out.push(tag);
    let start = out.len();
    out.extend_from_slice(text);
    if memchr::memchr2(b'\r', b'\n', text).is_some() {
        for byte in &mut out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}
