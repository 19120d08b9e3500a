//! Reading the numbers and strings of which everything is made, from bytes of which more may come.
//!
//! ```text
//! length:  00nnnnnn | 01nnnnnn n | 80 n(4) | 81 n(8)      the longer ones big endian
//! string:  length, bytes | C0 i8 | C1 i16 | C2 i32 | C3 length(packed), length, LZF bytes
//! the rest is little endian
//! ```

use std::borrow::Cow;

use super::error::Fault;
use super::lzf;

/// Why reading stops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// The bytes end; with at least so many, counted from the first, it goes on.
    Need(usize),
    /// The bytes are wrong.
    Bad(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Bad(fault)
    }
}

/// A string as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Raw<'a> {
    Bytes(&'a [u8]),
    /// A canonical integer.
    Int(i64),
    /// LZF, and the length of the text.
    Packed(&'a [u8], usize),
}

/// A place in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What stands where a length is expected.
enum Length {
    Plain(u64),
    /// The low six bits of a byte that announces a special form.
    Special(u8),
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Goes back, or forward, to where a cursor was.
    pub(crate) fn go(&mut self, at: usize) {
        self.at = at;
    }

    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Stop> {
        match self.bytes[self.at..].split_at_checked(n) {
            Some((taken, _)) => {
                self.at += n;
                Ok(taken)
            }
            None => Err(self.need(n)),
        }
    }

    #[cold]
    fn need(&self, n: usize) -> Stop {
        match self.at.checked_add(n).filter(|end| *end <= isize::MAX as usize) {
            Some(end) => Stop::Need(end),
            None => Stop::Bad(Fault::TooLong(n as u64)),
        }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        Ok(self.take(N)?.try_into().expect("so many bytes were taken"))
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Stop> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u64_le(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64_le(&mut self) -> Result<i64, Stop> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    #[inline]
    fn length_or_form(&mut self) -> Result<Length, Stop> {
        let first = self.u8()?;
        Ok(Length::Plain(match first >> 6 {
            0 => first.into(),
            1 => u64::from(first & 63) << 8 | u64::from(self.u8()?),
            3 => return Ok(Length::Special(first & 63)),
            _ if first == 0x80 => u32::from_be_bytes(self.array()?).into(),
            _ if first == 0x81 => u64::from_be_bytes(self.array()?),
            _ => return Err(Fault::Length(first).into()),
        }))
    }

    /// A length, a count, or any number that is written as one.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<u64, Stop> {
        match self.length_or_form()? {
            Length::Plain(n) => Ok(n),
            Length::Special(form) => Err(Fault::Length(0xC0 | form).into()),
        }
    }

    /// A length of bytes that follow. It is not checked against what is there.
    fn size(&mut self) -> Result<usize, Stop> {
        let n = self.length()?;
        usize::try_from(n).map_err(|_| Fault::TooLong(n).into())
    }

    #[inline]
    pub(crate) fn raw(&mut self) -> Result<Raw<'a>, Stop> {
        match self.length_or_form()? {
            Length::Plain(n) => {
                let n = usize::try_from(n).map_err(|_| Fault::TooLong(n))?;
                Ok(Raw::Bytes(self.take(n)?))
            }
            Length::Special(0) => Ok(Raw::Int(i8::from_le_bytes(self.array()?).into())),
            Length::Special(1) => Ok(Raw::Int(i16::from_le_bytes(self.array()?).into())),
            Length::Special(2) => Ok(Raw::Int(i32::from_le_bytes(self.array()?).into())),
            Length::Special(3) => {
                let packed = self.size()?;
                let len = self.size()?;
                Ok(Raw::Packed(self.take(packed)?, len))
            }
            Length::Special(form) => Err(Fault::Length(0xC0 | form).into()),
        }
    }

    /// A string's text.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        Ok(match self.raw()? {
            Raw::Bytes(bytes) => Cow::Borrowed(bytes),
            Raw::Int(v) => Cow::Owned(itoa::Buffer::new().format(v).as_bytes().to_vec()),
            Raw::Packed(packed, len) => Cow::Owned(lzf::decompress(packed, len).ok_or(Fault::Compression)?),
        })
    }

    /// A score in eight bytes.
    pub(crate) fn binary_score(&mut self) -> Result<f64, Stop> {
        let score = f64::from_le_bytes(self.array()?);
        if score.is_nan() { Err(Fault::Score.into()) } else { Ok(score) }
    }

    /// A score as text, in the way of files before version 8.
    pub(crate) fn text_score(&mut self) -> Result<f64, Stop> {
        match self.u8()? {
            253 => Err(Fault::Score.into()),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            n => Ok(score_of(self.take(n.into())?)?),
        }
    }
}

/// The score that a text stands for.
pub(crate) fn score_of(text: &[u8]) -> Result<f64, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::Number)?;
    let score: f64 = text.parse().map_err(|_| Fault::Number)?;
    if score.is_nan() { Err(Fault::Score) } else { Ok(score) }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Fault, Raw, Stop};

    #[test]
    fn lengths() {
        let cases: [(&[u8], u64); 6] = [
            (b"\x00", 0),
            (b"\x3f", 63),
            (b"\x40\x40", 64),
            (b"\x7f\xff", 16383),
            (b"\x80\x00\x01\x00\x00", 65536),
            (b"\x81\x00\x00\x00\x01\x00\x00\x00\x00", 1 << 32),
        ];
        for (bytes, length) in cases {
            assert_eq!(Cursor::new(bytes).length(), Ok(length));
            for cut in 0..bytes.len() {
                let stop = Cursor::new(&bytes[..cut]).length().unwrap_err();
                assert!(matches!(stop, Stop::Need(n) if n > cut && n <= bytes.len()), "{stop:?}");
            }
        }
        assert_eq!(Cursor::new(b"\x82").length(), Err(Stop::Bad(Fault::Length(0x82))));
        assert_eq!(Cursor::new(b"\xC0\x01").length(), Err(Stop::Bad(Fault::Length(0xC0))));
    }

    #[test]
    fn strings() {
        assert_eq!(Cursor::new(b"\x02hi").raw(), Ok(Raw::Bytes(b"hi")));
        assert_eq!(Cursor::new(b"\xC0\xff").raw(), Ok(Raw::Int(-1)));
        assert_eq!(Cursor::new(b"\xC1\x00\x80").raw(), Ok(Raw::Int(-32768)));
        assert_eq!(Cursor::new(b"\xC2\x00\x00\x00\x80").raw(), Ok(Raw::Int(-2_147_483_648)));
        assert_eq!(Cursor::new(b"\xC1\x39\x30").string().as_deref(), Ok(&b"12345"[..]));
        assert_eq!(Cursor::new(b"\xC4").raw(), Err(Stop::Bad(Fault::Length(0xC4))));
        let packed = b"\xc3\x09\x40\x64\x01yy\xe0W\x00\x01yy";
        assert_eq!(Cursor::new(packed).string().as_deref(), Ok(&[b'y'; 100][..]));
        let lies = b"\xc3\x01\x81\x00\x00\x00\xff\x00\x00\x00\x00\x00";
        assert_eq!(Cursor::new(lies).string(), Err(Stop::Bad(Fault::Compression)));
    }

    #[test]
    fn lengths_beyond_memory_are_no_request_for_more() {
        let stop = Cursor::new(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff").raw();
        assert!(matches!(stop, Err(Stop::Bad(Fault::TooLong(_)))), "{stop:?}");
    }

    #[test]
    fn scores() {
        assert_eq!(Cursor::new(b"\x032.5").text_score(), Ok(2.5));
        assert_eq!(Cursor::new(b"\xff").text_score(), Ok(f64::NEG_INFINITY));
        assert_eq!(Cursor::new(b"\xfd").text_score(), Err(Stop::Bad(Fault::Score)));
        assert_eq!(Cursor::new(b"\x03nan").text_score(), Err(Stop::Bad(Fault::Score)));
        assert_eq!(Cursor::new(b"\x02xx").text_score(), Err(Stop::Bad(Fault::Number)));
        assert_eq!(Cursor::new(&f64::NAN.to_le_bytes()).binary_score(), Err(Stop::Bad(Fault::Score)));
    }
}
