//! Entry IDs in arguments.

use carnelian_keyspace::stream::StreamId;

use crate::error::Error;

const INVALID: Error = Error::Text("ERR Invalid stream ID specified as stream command argument");

/// The longest text of an ID.
const MAX_TEXT: usize = 127;

/// How an ID tells its sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sequence {
    Given(u64),
    /// `*`: the next one.
    Next,
    Missing,
}

/// `ms`, `ms-seq` or `ms-*`.
fn parts(arg: &[u8]) -> Result<(u64, Sequence), Error> {
    if arg.len() > MAX_TEXT {
        return Err(INVALID);
    }
    let text = c_string(arg);
    let (ms, seq) = match memchr::memchr(b'-', text) {
        Some(dash) => (&text[..dash], Some(&text[dash + 1..])),
        None => (text, None),
    };
    let ms = number(ms).ok_or(INVALID)?;
    let sequence = match seq {
        None => Sequence::Missing,
        Some(b"*") => Sequence::Next,
        Some(seq) => Sequence::Given(number(seq).ok_or(INVALID)?),
    };
    Ok((ms, sequence))
}

/// An ID, not `-` or `+`; without a sequence, it is 0.
pub(super) fn exact(arg: &[u8]) -> Result<StreamId, Error> {
    with_sequence(arg, 0)
}

fn with_sequence(arg: &[u8], missing: u64) -> Result<StreamId, Error> {
    match parts(arg)? {
        (ms, Sequence::Given(seq)) => Ok(StreamId { ms, seq }),
        (ms, Sequence::Missing) => Ok(StreamId { ms, seq: missing }),
        (_, Sequence::Next) => Err(INVALID),
    }
}

/// The same, `-` and `+` standing for the smallest and the greatest.
pub(super) fn any(arg: &[u8], missing_sequence: u64) -> Result<StreamId, Error> {
    match c_string(arg) {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => with_sequence(arg, missing_sequence),
    }
}

/// The beginning of an interval; after `(` it does not belong to it.
pub(super) fn start(arg: &[u8]) -> Result<StreamId, Error> {
    match arg {
        [b'(', id @ ..] if !id.is_empty() => {
            exact(id)?.next().ok_or(Error::Text("ERR invalid start ID for the interval"))
        }
        _ => any(arg, 0),
    }
}

/// The end of an interval; after `(` it does not belong to it.
pub(super) fn end(arg: &[u8]) -> Result<StreamId, Error> {
    match arg {
        [b'(', id @ ..] if !id.is_empty() => {
            with_sequence(id, u64::MAX)?.previous().ok_or(Error::Text("ERR invalid end ID for the interval"))
        }
        _ => any(arg, u64::MAX),
    }
}

/// The ID that XADD is to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NewId {
    /// `*`: of the current time.
    Now,
    /// `ms-*`: the next one of a millisecond.
    Within(u64),
    /// Exactly this.
    Exact(StreamId),
}

impl NewId {
    pub(super) fn parse(arg: &[u8]) -> Result<NewId, Error> {
        if c_string(arg) == b"*" {
            return Ok(NewId::Now);
        }
        Ok(match parts(arg)? {
            (ms, Sequence::Given(seq)) => NewId::Exact(StreamId { ms, seq }),
            (ms, Sequence::Missing) => NewId::Exact(StreamId { ms, seq: 0 }),
            (ms, Sequence::Next) => NewId::Within(ms),
        })
    }

    /// The ID that follows `last`; `None` if there is none.
    pub(super) fn after(self, last: StreamId, now_ms: u64) -> Option<StreamId> {
        match self {
            NewId::Now if now_ms > last.ms => Some(StreamId { ms: now_ms, seq: 0 }),
            NewId::Now => last.next(),
            NewId::Within(ms) if ms == last.ms => Some(StreamId { ms, seq: last.seq.checked_add(1)? }),
            NewId::Within(ms) => Some(StreamId { ms, seq: 0 }).filter(|id| *id > last),
            NewId::Exact(id) => Some(id).filter(|id| *id > last),
        }
    }
}

/// The bytes up to a zero byte.
pub(super) fn c_string(arg: &[u8]) -> &[u8] {
    &arg[..memchr::memchr(0, arg).unwrap_or(arg.len())]
}

/// Digits that always fit.
const SAFE_DIGITS: usize = 19;

/// A number as C's `strtoull` reads it, whole: blanks and a sign may come first, and a negative number that is not
/// in canonical form wraps around.
fn number(text: &[u8]) -> Option<u64> {
    if (1..=SAFE_DIGITS).contains(&text.len()) && text.iter().all(u8::is_ascii_digit) {
        return Some(text.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')));
    }
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || carnelian_resp::number::parse_i64(text).is_some_and(|v| v < 0) {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |n, d| {
        let digit = d.is_ascii_digit().then(|| u64::from(d - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, value) in [
            ("0", 0),
            ("007", 7),
            ("18446744073709551615", u64::MAX),
            (" 5", 5),
            ("\t+5", 5),
            ("-05", u64::MAX - 4),
            ("-0", 0),
        ] {
            assert_eq!(number(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", " ", "+", "-", "-5", "5 ", "18446744073709551616", "x", "1x", "--5"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn intervals_may_be_open() {
        let id = StreamId::new;
        assert_eq!(start(b"-"), Ok(StreamId::MIN));
        assert_eq!(end(b"+"), Ok(StreamId::MAX));
        assert_eq!(start(b"5"), Ok(id(5, 0)));
        assert_eq!(end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(start(b"(5"), Ok(id(5, 1)));
        assert_eq!(end(b"(5"), Ok(id(5, u64::MAX - 1)));
        assert_eq!(end(b"(5-0"), Ok(id(4, u64::MAX)));
        assert_eq!(end(b"(0-0"), Err(Error::Text("ERR invalid end ID for the interval")));
        assert_eq!(start(b"(-"), Err(INVALID));
        assert_eq!(start(b"("), Err(INVALID));
        assert_eq!(exact(b"-"), Err(INVALID));
        assert_eq!(exact(b"1-1\0x"), Ok(id(1, 1)));
    }

    #[test]
    fn new_ids_ascend() {
        let (id, max) = (StreamId::new, StreamId::MAX);
        assert_eq!(NewId::Now.after(id(5, 7), 6), Some(id(6, 0)));
        assert_eq!(NewId::Now.after(id(5, 7), 4), Some(id(5, 8)));
        assert_eq!(NewId::Now.after(max, 4), None);
        assert_eq!(NewId::Within(5).after(id(5, 7), 0), Some(id(5, 8)));
        assert_eq!(NewId::Within(5).after(id(5, u64::MAX), 0), None);
        assert_eq!(NewId::Within(4).after(id(5, 7), 0), None);
        assert_eq!(NewId::Within(0).after(StreamId::MIN, 0), Some(id(0, 1)));
        assert_eq!(NewId::Exact(id(5, 7)).after(id(5, 7), 0), None);
        assert_eq!(NewId::parse(b"7-*"), Ok(NewId::Within(7)));
        assert_eq!(NewId::parse(b"7"), Ok(NewId::Exact(id(7, 0))));
        assert_eq!(NewId::parse(b"*"), Ok(NewId::Now));
    }
}
