//! The server's side of the protocol: finding commands in a buffer of received bytes.
//!
//! A command is an array of bulk strings (`*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n`), or a line of words (see
//! [`crate::inline`]). The parser stores positions, never bytes. What a partial command at the end of the
//! buffer has shown so far is kept, relative to that command's first byte, so that the next call continues
//! with the first byte it has not seen.
//!
//! Leniencies follow Redis 8.2: the byte after a carriage return and the two bytes after a bulk string are
//! skipped without a look, and a NUL byte where a line's end is searched hides everything behind it, so that
//! the line only ends by becoming too long.

use crate::argv::{Batch, Span};
use crate::{inline, number};

/// Longest header (`*` or `$` and a number) without its line end.
const MAX_HEADER: usize = 64 * 1024;
/// More arguments than this are refused before authentication.
const UNAUTHENTICATED_ARGS: usize = 10;
/// A longer argument than this is refused before authentication.
const UNAUTHENTICATED_BULK: usize = 16 * 1024;

/// What a client may send. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most arguments in one command, its name included.
    pub max_args: usize,
    /// Longest argument (Redis's `proto-max-bulk-len`).
    pub max_bulk: usize,
    /// Longest inline command, without its line end.
    pub max_inline: usize,
    /// Whether the client may send as much as the other limits allow; if not, a command is further limited
    /// to ten arguments of 16 KiB, and errors say so.
    pub authenticated: bool,
}

impl Limits {
    /// Redis's limits for clients that have yet to authenticate.
    pub const UNAUTHENTICATED: Limits = Limits { authenticated: false, ..Limits::AUTHENTICATED };

    const AUTHENTICATED: Limits = Limits {
        max_args: i32::MAX as usize,
        max_bulk: 512 * 1024 * 1024,
        max_inline: 64 * 1024,
        authenticated: true,
    };
}

impl Default for Limits {
    /// Redis's defaults for authenticated clients.
    fn default() -> Self {
        Self::AUTHENTICATED
    }
}

/// Why parsing stopped without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more commands in the buffer: the batch has as many as were asked for, or what follows its
    /// last one is an error, which the next call with an empty batch returns.
    Full,
    /// Every complete command of the buffer is in the batch.
    NeedMore,
}

/// The client broke the protocol; the connection cannot go on. Displayed as Redis words it, to be sent as
/// `-ERR Protocol error: <text>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The number of arguments is not a canonical integer, or above the limit.
    #[error("invalid multibulk length")]
    InvalidMultibulkLength,
    /// More arguments than a client may send before it authenticates.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// The length of an argument is negative, not a canonical integer, or above the limit.
    #[error("invalid bulk length")]
    InvalidBulkLength,
    /// A longer argument than a client may send before it authenticates.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An argument starts with the given byte instead of `$`. See [`ProtocolError::text`] on its display.
    #[error("expected '$', got '{}'", char::from(printable(*.0)))]
    ExpectedDollar(u8),
    /// The number of arguments has no end.
    #[error("too big mbulk count string")]
    TooBigMultibulkCount,
    /// The length of an argument has no end.
    #[error("too big bulk count string")]
    TooBigBulkCount,
    /// An inline command has no end.
    #[error("too big inline request")]
    TooBigInline,
    /// A quote in an inline command is not closed, or a word goes on behind it.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
}

impl ProtocolError {
    /// The bytes of the message as Redis sends them. They differ from the `Display` form only where the
    /// offending byte is not ASCII, and so cannot be in a `str`.
    pub fn text(&self) -> Vec<u8> {
        match *self {
            Self::ExpectedDollar(byte) => [b"expected '$', got '", &[printable(byte)][..], b"'"].concat(),
            ref other => other.to_string().into_bytes(),
        }
    }
}

/// Line ends cannot be sent within an error.
fn printable(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }
}

/// Finds commands in a buffer. One per connection; three words, and no heap while no command is partial.
///
/// The caller appends received bytes to a buffer, calls [`parse`](Self::parse), executes what is in the
/// batch, removes the executed bytes from the buffer's front and says so with [`consumed`](Self::consumed).
/// See the crate's example.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Offset in the buffer of the first byte that belongs to no complete command.
    pos: usize,
    /// How many bytes from there on (or from the partial command's current argument on) hold no line end.
    scanned: usize,
    partial: Option<Box<Partial>>,
}

/// A multibulk command of which at least the number of arguments is known. Offsets count from the command's
/// start.
#[derive(Debug)]
struct Partial {
    spans: Vec<Span>,
    cursor: Cursor,
    /// How many bytes the current argument lacked when the buffer ended.
    missing: usize,
}

/// How far the parsing of a multibulk command got.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// Offset of the first byte that is not parsed.
    at: usize,
    /// Arguments still to be read.
    remaining: usize,
    /// Length of the argument that starts at `at`, if its header is parsed.
    bulk: Option<usize>,
}

/// Outcome of searching for a line's end.
enum Line {
    /// Length of the line, without its end.
    Ends(usize),
    Open,
    TooLong,
}

/// Outcome of reading arguments.
enum Args {
    Complete,
    /// The lower bound of bytes that the current argument lacks.
    Missing(usize),
}

impl RequestParser {
    /// A parser for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses complete commands from the front of `buf` and appends them to `batch`, until `max_commands` are
    /// in it, the buffer is exhausted, or an error occurs. Commands that a former call has returned and
    /// that are not [`consumed`](Self::consumed) yet are passed over.
    ///
    /// `buf` starts at the first byte that is not consumed. What is known of a partial command at its end is
    /// kept: the next call with the same bytes and more behind them continues there.
    ///
    /// # Errors
    /// A [`ProtocolError`], if the batch is empty: commands before the error are returned first, and the
    /// error by the next call. It is returned again by every call after that.
    pub fn parse(
        &mut self,
        buf: &[u8],
        max_commands: usize,
        limits: &Limits,
        batch: &mut Batch,
    ) -> Result<Progress, ProtocolError> {
        while batch.len() < max_commands {
            match self.next_command(buf, limits, batch) {
                Ok(true) => {}
                Ok(false) => return Ok(Progress::NeedMore),
                Err(error) => {
                    let complete = batch.complete_spans();
                    batch.spans.truncate(complete);
                    return if batch.is_empty() { Err(error) } else { Ok(Progress::Full) };
                }
            }
        }
        Ok(Progress::Full)
    }

    /// The caller removed `n` bytes from the front of its buffer: everything up to the end of the last
    /// executed command, or [skippable](Self::skippable) bytes. If that is more than has been parsed, all
    /// progress is forgotten.
    pub fn consumed(&mut self, n: usize) {
        match self.pos.checked_sub(n) {
            Some(pos) => self.pos = pos,
            None => self.rewind(),
        }
    }

    /// Forgets all progress: the next call parses from the front of its buffer. Needed when commands of a
    /// batch were not executed and are to be parsed again.
    pub fn rewind(&mut self) {
        *self = Self::default();
    }

    /// Lower bound of the bytes that the current argument of the partial command still lacks, its line end
    /// included; 0 if unknown. The number is the client's claim: reserve for it with moderation.
    pub fn missing(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.missing)
    }

    /// When no command is left to be executed: how many bytes at the front of the buffer belong to no command
    /// (empty lines, `*0`) and can be removed.
    pub fn skippable(&self) -> usize {
        self.pos
    }

    /// Heap bytes held for a partial command.
    pub fn memory(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| size_of::<Partial>() + partial.spans.capacity() * size_of::<Span>())
    }

    /// Parses one command, or skips one empty one. False if the buffer ends before it does.
    #[inline]
    fn next_command(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        batch: &mut Batch,
    ) -> Result<bool, ProtocolError> {
        if self.partial.is_some() {
            return self.resume(buf, limits, batch);
        }
        match buf.get(self.pos) {
            None => Ok(false),
            Some(b'*') => self.multibulk(buf, limits, batch),
            Some(_) => self.inline(buf, limits, batch),
        }
    }

    fn multibulk(&mut self, buf: &[u8], limits: &Limits, batch: &mut Batch) -> Result<bool, ProtocolError> {
        let Some((count, at)) = self.count(buf, limits)? else { return Ok(false) };
        if count == 0 {
            self.pos = at;
            return Ok(true);
        }
        let first_span = batch.spans.len();
        let mut cursor = Cursor { at, remaining: count, bulk: None };
        match read_args(buf, &mut cursor, &mut self.scanned, limits, &mut batch.spans) {
            Ok(Args::Complete) => {
                self.pos = cursor.at;
                batch.finish_command(cursor.at, false);
                Ok(true)
            }
            Err(error) => {
                self.scanned = 0; // the next call starts over at the command's first byte
                Err(error)
            }
            Ok(Args::Missing(missing)) => {
                self.suspend(cursor, missing, batch, first_span);
                Ok(false)
            }
        }
    }

    /// Reads the number of arguments; 0 for those that mean an empty command. Also returns the offset behind
    /// it.
    #[inline]
    fn count(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<(usize, usize)>, ProtocolError> {
        let (count, at) = match short_number(buf, self.pos + 1) {
            Some(short) => short,
            None => match self.long_count(buf)? {
                Some(long) => long,
                None => return Ok(None),
            },
        };
        if count > limits.max_args {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if count > UNAUTHENTICATED_ARGS && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.scanned = 0;
        Ok(Some((count, at)))
    }

    #[cold]
    fn long_count(&mut self, buf: &[u8]) -> Result<Option<(usize, usize)>, ProtocolError> {
        let line = &buf[self.pos..];
        match find_end(line, b'\r', &mut self.scanned, MAX_HEADER) {
            Line::Open => Ok(None),
            Line::TooLong => Err(ProtocolError::TooBigMultibulkCount),
            Line::Ends(len) if len + 1 == line.len() => Ok(None),
            Line::Ends(len) => {
                let invalid = ProtocolError::InvalidMultibulkLength;
                let count = number::parse_i64(&line[1..len]).ok_or(invalid)?;
                let count = usize::try_from(count.max(0)).map_err(|_| invalid)?;
                Ok(Some((count, self.pos + len + 2)))
            }
        }
    }

    /// Moves what is known of the command at `self.pos` out of the batch.
    #[cold]
    fn suspend(&mut self, mut cursor: Cursor, missing: usize, batch: &mut Batch, first_span: usize) {
        let base = self.pos;
        cursor.at -= base;
        let spans = batch.spans.drain(first_span..);
        let spans = spans.map(|span| Span { start: span.start - base, ..span }).collect();
        self.partial = Some(Box::new(Partial { spans, cursor, missing }));
    }

    #[cold]
    fn resume(&mut self, buf: &[u8], limits: &Limits, batch: &mut Batch) -> Result<bool, ProtocolError> {
        let Some(partial) = &mut self.partial else { return Ok(false) };
        let command = &buf[self.pos..];
        let Partial { spans, cursor, missing } = &mut **partial;
        match read_args(command, cursor, &mut self.scanned, limits, spans)? {
            Args::Missing(bytes) => {
                *missing = bytes;
                Ok(false)
            }
            Args::Complete => {
                let base = self.pos;
                batch.spans.extend(spans.iter().map(|span| Span { start: base + span.start, ..*span }));
                self.pos += cursor.at;
                self.partial = None;
                batch.finish_command(self.pos, false);
                Ok(true)
            }
        }
    }

    fn inline(&mut self, buf: &[u8], limits: &Limits, batch: &mut Batch) -> Result<bool, ProtocolError> {
        let rest = &buf[self.pos..];
        let len = match find_end(rest, b'\n', &mut self.scanned, limits.max_inline) {
            Line::Open => return Ok(false),
            Line::TooLong => return Err(ProtocolError::TooBigInline),
            Line::Ends(len) => len,
        };
        let line = &rest[..len];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let first_span = batch.spans.len();
        let quoted = inline::has_quotes(line);
        if quoted {
            inline::split_quoted(line, &mut batch.spans, &mut batch.scratch)
                .map_err(|inline::Unbalanced| ProtocolError::UnbalancedQuotes)?;
        } else {
            inline::split_plain(line, self.pos, &mut batch.spans);
        }
        self.pos += len + 1;
        self.scanned = 0;
        if batch.spans.len() > first_span {
            batch.finish_command(self.pos, quoted);
        }
        Ok(true)
    }
}

/// Reads arguments from `cursor` on until all are there or the buffer ends. On an error, `cursor` stays in
/// front of what caused it.
#[inline]
fn read_args(
    buf: &[u8],
    cursor: &mut Cursor,
    scanned: &mut usize,
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Result<Args, ProtocolError> {
    while cursor.remaining > 0 {
        let len = match cursor.bulk {
            Some(len) => len,
            None => {
                let Some((len, at)) = bulk_length(buf, cursor.at, scanned, limits)? else {
                    return Ok(Args::Missing(0));
                };
                cursor.at = at;
                len
            }
        };
        let available = buf.len() - cursor.at;
        if available < len + 2 {
            cursor.bulk = Some(len);
            return Ok(Args::Missing(len + 2 - available));
        }
        spans.push(Span { start: cursor.at, len });
        cursor.at += len + 2;
        cursor.bulk = None;
        cursor.remaining -= 1;
    }
    Ok(Args::Complete)
}

/// Reads the header of an argument at offset `at`: its length, and the offset of its first byte.
#[inline]
fn bulk_length(
    buf: &[u8],
    at: usize,
    scanned: &mut usize,
    limits: &Limits,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    let short = if buf.get(at) == Some(&b'$') { short_number(buf, at + 1) } else { None };
    let (len, at) = match short {
        Some(short) => short,
        None => match long_bulk_length(&buf[at..], scanned)? {
            Some((len, header)) => (len, at + header),
            None => return Ok(None),
        },
    };
    if len > limits.max_bulk {
        return Err(ProtocolError::InvalidBulkLength);
    }
    if len > UNAUTHENTICATED_BULK && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedBulkLength);
    }
    *scanned = 0;
    Ok(Some((len, at)))
}

#[cold]
fn long_bulk_length(line: &[u8], scanned: &mut usize) -> Result<Option<(usize, usize)>, ProtocolError> {
    match find_end(line, b'\r', scanned, MAX_HEADER) {
        Line::Open => Ok(None),
        Line::TooLong => Err(ProtocolError::TooBigBulkCount),
        Line::Ends(len) if len + 1 == line.len() => Ok(None),
        Line::Ends(_) if line[0] != b'$' => Err(ProtocolError::ExpectedDollar(line[0])),
        Line::Ends(len) => {
            let value = number::parse_i64(&line[1..len]).and_then(|value| usize::try_from(value).ok());
            Ok(Some((value.ok_or(ProtocolError::InvalidBulkLength)?, len + 2)))
        }
    }
}

/// Reads a number of one to three digits at `at`, a carriage return, and one byte more. Also returns the
/// offset behind them. None if there is anything else.
#[inline(always)]
fn short_number(buf: &[u8], at: usize) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    match *buf.get(at..)? {
        [a, b'\r', _, ..] if digit(a) < 10 => Some((digit(a), at + 3)),
        [a, b, b'\r', _, ..] if digit(a).wrapping_sub(1) < 9 && digit(b) < 10 => {
            Some((digit(a) * 10 + digit(b), at + 4))
        }
        [a, b, c, b'\r', _, ..] if digit(a).wrapping_sub(1) < 9 && digit(b) < 10 && digit(c) < 10 => {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), at + 5))
        }
        _ => None,
    }
}

/// Searches for the byte `end`, at most `max` bytes from the line's start. The first `scanned` bytes are
/// known not to have it, and the count is brought up to date.
fn find_end(line: &[u8], end: u8, scanned: &mut usize, max: usize) -> Line {
    let window = &line[..line.len().min(max.saturating_add(1))];
    *scanned = (*scanned).min(window.len()); // the limit may have been lowered
    let found = memchr::memchr2(end, 0, &window[*scanned..]);
    *scanned = found.map_or(window.len(), |i| *scanned + i);
    match window.get(*scanned) {
        Some(&byte) if byte == end => Line::Ends(*scanned),
        // Nothing behind a NUL is seen; the next search finds it again at once.
        _ if line.len() > max => Line::TooLong,
        _ => Line::Open,
    }
}
