//! The client's side: decoding a stream of replies into values.
//!
//! Grammar (RESP3, of which RESP2 is a part); `n` and `len` are decimal, `EOL` is CR LF:
//!
//! ```text
//! + - : , ( text EOL             one line          # t EOL, # f EOL     boolean      _ EOL   null
//! $ ! = len EOL bytes EOL        by length         $-1 EOL, *-1 EOL     RESP2's nulls
//! * ~ > n EOL values             aggregates        % | n EOL pairs      map, attributes of the next value
//! $? EOL (;len EOL bytes EOL)* ;0 EOL              streamed string
//! *? ~? %? EOL values . EOL                        streamed aggregates
//! ```
//!
//! Aggregates under construction are kept on a stack of their own, so that input is looked at once, and
//! neither a deep nor a huge value costs more than the bytes that were really received.

use memchr::memchr;

use crate::number::parse_i64;
use crate::value::Value;

/// What a decoder accepts. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most aggregates within each other.
    pub max_depth: usize,
    /// Longest string, whether sent by length or streamed.
    pub max_bulk: usize,
    /// Longest line: status, error, number or length.
    pub max_line: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_depth: 128, max_bulk: 512 * 1024 * 1024, max_line: 1024 * 1024 }
    }
}

/// The stream is not RESP, or exceeds a limit. Nothing that follows can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No type starts with this byte.
    #[error("unknown type byte 0x{0:02x}")]
    UnknownType(u8),
    /// A line has no end within the limit.
    #[error("line too long")]
    LineTooLong,
    /// A carriage return or line feed stands alone, or a string does not end where its length says.
    #[error("line end expected")]
    LineEnd,
    /// A length is not a canonical integer, or negative where that means nothing.
    #[error("invalid length")]
    InvalidLength,
    /// A string is longer than the limit.
    #[error("string too long")]
    BulkTooLong,
    /// The text of a number or boolean is none.
    #[error("invalid {0}")]
    InvalidText(&'static str),
    /// A verbatim string has no format in front.
    #[error("verbatim string without a format")]
    NoFormat,
    /// Aggregates are nested deeper than the limit.
    #[error("nested too deeply")]
    TooDeep,
    /// A part or the end of a stream where none is open, anything else where one is, or an end within a pair.
    #[error("misplaced part of a stream")]
    MisplacedStream,
}

/// Decodes values from bytes as they arrive: [`feed`](Self::feed) it, and take what is complete with
/// [`decode`](Self::decode).
#[derive(Debug, Default)]
pub struct Decoder {
    limits: DecodeLimits,
    buffer: Vec<u8>,
    /// Offset of the first byte in `buffer` that is not decoded.
    at: usize,
    /// How many bytes from there on hold no line end.
    scanned: usize,
    /// A string of which the header is decoded, and its length.
    bulk: Option<(Bulk, usize)>,
    /// The parts so far of a streamed string.
    stream: Option<Vec<u8>>,
    /// The aggregates around the next value, the outermost first.
    stack: Vec<Frame>,
    failed: Option<DecodeError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bulk {
    String,
    Error,
    Verbatim,
    /// Part of a streamed string.
    Part,
}

/// An aggregate that lacks values.
#[derive(Debug)]
struct Frame {
    kind: Aggregate,
    /// Values still to come; None while a stream is open.
    remaining: Option<usize>,
    values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Array,
    Set,
    Push,
    Map,
    /// Attributes, and as the last value the one they belong to.
    Attributes,
}

/// What a line says.
enum Line {
    Value(Value),
    /// An aggregate of so many values starts; None: as a stream.
    Open(Aggregate, Option<usize>),
    /// A string of that length starts.
    Bulk(Bulk, usize),
    /// A streamed string starts.
    OpenStream,
    /// The innermost streamed aggregate ends.
    Close,
}

/// Outcome of taking one line or string off the buffer.
enum Step {
    NeedMore,
    Continue,
    Value(Value),
}

impl Decoder {
    /// A decoder with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder with limits of one's own.
    pub fn with_limits(limits: DecodeLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Appends received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        // At least half of the vector is given up at a time: on average no byte is moved more than once.
        if self.at >= self.buffer.len() / 2 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete value; None if more bytes are needed.
    ///
    /// # Errors
    /// A [`DecodeError`], from then on by every call.
    pub fn decode(&mut self) -> Result<Option<Value>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.next_value();
        self.failed = result.as_ref().err().copied();
        result
    }

    /// Whether the input so far ends within a value.
    pub fn is_partial(&self) -> bool {
        !self.stack.is_empty() || self.bulk.is_some() || self.stream.is_some() || self.at < self.buffer.len()
    }

    fn next_value(&mut self) -> Result<Option<Value>, DecodeError> {
        loop {
            let step = match self.bulk {
                Some((kind, len)) => self.bulk_body(kind, len)?,
                None => self.line()?,
            };
            match step {
                Step::NeedMore => return Ok(None),
                Step::Continue => {}
                Step::Value(value) => {
                    if let Some(whole) = self.place(value) {
                        return Ok(Some(whole));
                    }
                }
            }
        }
    }

    /// Takes a line off the buffer.
    fn line(&mut self) -> Result<Step, DecodeError> {
        let longest = self.limits.max_line.saturating_add(2);
        let rest = &self.buffer[self.at..];
        let window = &rest[..rest.len().min(longest)];
        let Some(len) = memchr(b'\n', &window[self.scanned..]).map(|i| self.scanned + i) else {
            self.scanned = window.len();
            return if window.len() == longest { Err(DecodeError::LineTooLong) } else { Ok(Step::NeedMore) };
        };
        let line = window[..len].strip_suffix(b"\r").ok_or(DecodeError::LineEnd)?;
        let line = parse_line(line)?;
        self.at += len + 1;
        self.scanned = 0;
        self.begin(line)
    }

    fn begin(&mut self, line: Line) -> Result<Step, DecodeError> {
        if self.stream.is_some() && !matches!(line, Line::Bulk(Bulk::Part, _)) {
            return Err(DecodeError::MisplacedStream);
        }
        match line {
            Line::Value(value) => Ok(Step::Value(value)),
            Line::Open(kind, remaining) => self.open(kind, remaining),
            Line::OpenStream => {
                self.stream = Some(Vec::new());
                Ok(Step::Continue)
            }
            Line::Bulk(Bulk::Part, 0) => self
                .stream
                .take()
                .map(|parts| Step::Value(Value::Bulk(parts)))
                .ok_or(DecodeError::MisplacedStream),
            Line::Bulk(kind, len) => {
                let before = match (kind, &self.stream) {
                    (Bulk::Part, None) => return Err(DecodeError::MisplacedStream),
                    (_, parts) => parts.as_ref().map_or(0, Vec::len),
                };
                if len > self.limits.max_bulk.saturating_sub(before) {
                    return Err(DecodeError::BulkTooLong);
                }
                self.bulk = Some((kind, len));
                Ok(Step::Continue)
            }
            Line::Close => self.close(),
        }
    }

    /// Takes a string of known length off the buffer.
    fn bulk_body(&mut self, kind: Bulk, len: usize) -> Result<Step, DecodeError> {
        let rest = &self.buffer[self.at..];
        if rest.len() < len + 2 {
            return Ok(Step::NeedMore);
        }
        let (body, rest) = rest.split_at(len);
        if !rest.starts_with(b"\r\n") {
            return Err(DecodeError::LineEnd);
        }
        let step = match (kind, &mut self.stream) {
            (Bulk::Part, Some(parts)) => {
                parts.extend_from_slice(body);
                Step::Continue
            }
            (Bulk::Part, None) | (Bulk::String, _) => Step::Value(Value::Bulk(body.to_vec())),
            (Bulk::Error, _) => Step::Value(Value::BulkError(body.to_vec())),
            (Bulk::Verbatim, _) => match *body {
                [a, b, c, b':', ref text @ ..] => {
                    Step::Value(Value::Verbatim { format: [a, b, c], text: text.to_vec() })
                }
                _ => return Err(DecodeError::NoFormat),
            },
        };
        self.at += len + 2;
        self.bulk = None;
        Ok(step)
    }

    fn open(&mut self, kind: Aggregate, remaining: Option<usize>) -> Result<Step, DecodeError> {
        if self.stack.len() >= self.limits.max_depth {
            return Err(DecodeError::TooDeep);
        }
        let frame = Frame { kind, remaining, values: Vec::new() };
        if remaining == Some(0) {
            return Ok(Step::Value(frame.finish()));
        }
        self.stack.push(frame);
        Ok(Step::Continue)
    }

    fn close(&mut self) -> Result<Step, DecodeError> {
        match self.stack.pop() {
            Some(frame) if frame.remaining.is_none() && frame.ends_whole() => Ok(Step::Value(frame.finish())),
            _ => Err(DecodeError::MisplacedStream),
        }
    }

    /// Puts a value into the aggregate it belongs to. Returns the outermost value if that completes it.
    fn place(&mut self, mut value: Value) -> Option<Value> {
        while let Some(frame) = self.stack.last_mut() {
            frame.values.push(value);
            match &mut frame.remaining {
                None => return None,
                Some(remaining) => {
                    *remaining -= 1;
                    if *remaining > 0 {
                        return None;
                    }
                }
            }
            value = self.stack.pop()?.finish();
        }
        Some(value)
    }
}

impl Frame {
    /// Whether a stream may end here: not between a key and its value.
    fn ends_whole(&self) -> bool {
        self.kind != Aggregate::Map || self.values.len().is_multiple_of(2)
    }

    fn finish(mut self) -> Value {
        match self.kind {
            Aggregate::Array => Value::Array(self.values),
            Aggregate::Set => Value::Set(self.values),
            Aggregate::Push => Value::Push(self.values),
            Aggregate::Map => Value::Map(pairs(self.values)),
            Aggregate::Attributes => {
                let value = Box::new(self.values.pop().expect("attributes are complete with their value"));
                Value::Attributed { attributes: pairs(self.values), value }
            }
        }
    }
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut values = values.into_iter();
    std::iter::from_fn(|| Some((values.next()?, values.next()?))).collect()
}

fn parse_line(line: &[u8]) -> Result<Line, DecodeError> {
    let Some((&tag, text)) = line.split_first() else { return Err(DecodeError::LineEnd) };
    if memchr(b'\r', text).is_some() {
        return Err(DecodeError::LineEnd);
    }
    let value = match (tag, text) {
        (b'+', _) => Value::Simple(text.to_vec()),
        (b'-', _) => Value::Error(text.to_vec()),
        (b':', _) => Value::Integer(integer(text)?),
        (b'_', b"") | (b'$', b"-1") => Value::Null,
        (b'*', b"-1") => Value::NullArray,
        (b'#', b"t") => Value::Boolean(true),
        (b'#', b"f") => Value::Boolean(false),
        (b'_' | b'#', _) => return Err(DecodeError::InvalidText("null or boolean")),
        (b',', _) => Value::Double(double(text)?),
        (b'(', _) => Value::BigNumber(big_number(text)?),
        (b'$', b"?") => return Ok(Line::OpenStream),
        (b'*', b"?") => return Ok(Line::Open(Aggregate::Array, None)),
        (b'~', b"?") => return Ok(Line::Open(Aggregate::Set, None)),
        (b'%', b"?") => return Ok(Line::Open(Aggregate::Map, None)),
        (b'.', b"") => return Ok(Line::Close),
        (b'$', _) => return Ok(Line::Bulk(Bulk::String, length(text)?)),
        (b'!', _) => return Ok(Line::Bulk(Bulk::Error, length(text)?)),
        (b'=', _) => return Ok(Line::Bulk(Bulk::Verbatim, length(text)?)),
        (b';', _) => return Ok(Line::Bulk(Bulk::Part, length(text)?)),
        (b'*', _) => return Ok(Line::Open(Aggregate::Array, Some(length(text)?))),
        (b'~', _) => return Ok(Line::Open(Aggregate::Set, Some(length(text)?))),
        (b'>', _) => return Ok(Line::Open(Aggregate::Push, Some(length(text)?))),
        (b'%', _) => return Ok(Line::Open(Aggregate::Map, Some(2 * length(text)?))),
        (b'|', _) => return Ok(Line::Open(Aggregate::Attributes, Some(2 * length(text)? + 1))),
        (other, _) => return Err(DecodeError::UnknownType(other)),
    };
    Ok(Line::Value(value))
}

/// A count of bytes, values or pairs. Twice as much and a little more fits a `usize` too.
fn length(text: &[u8]) -> Result<usize, DecodeError> {
    parse_i64(text)
        .and_then(|value| usize::try_from(value).ok())
        .filter(|&value| value < usize::MAX / 4)
        .ok_or(DecodeError::InvalidLength)
}

fn integer(text: &[u8]) -> Result<i64, DecodeError> {
    parse_i64(text.strip_prefix(b"+").unwrap_or(text)).ok_or(DecodeError::InvalidText("integer"))
}

fn double(text: &[u8]) -> Result<f64, DecodeError> {
    let value = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    value.ok_or(DecodeError::InvalidText("double"))
}

fn big_number(text: &[u8]) -> Result<String, DecodeError> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::InvalidText("big number"));
    }
    Ok(text.iter().copied().map(char::from).collect())
}
