//! The plain bytes in which a snapshot hands out members: as cheap to write as a copy, and to be read in the same
//! process only.
//!
//! ```text
//! length    7 bits per byte, the lowest first; the top bit says that more follow
//! bytes     length, the bytes
//! member    of a set:          name (bytes)
//!           of a sorted set:   name (bytes), score (f64, little endian)
//!           of a hash:         name (bytes), value (bytes), deadline (u64, little endian; all ones: none)
//! ```
//!
//! Knows neither where members come from nor what becomes of them.

/// What stands for no deadline.
const NEVER: u64 = u64::MAX;

/// Appends a length.
#[inline]
pub fn put_length(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends bytes with their length.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 10);
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a member of a set.
#[inline]
pub fn put_member(out: &mut Vec<u8>, name: &[u8]) {
    put_bytes(out, name);
}

/// Appends a member of a sorted set.
#[inline]
pub fn put_scored(out: &mut Vec<u8>, name: &[u8], score: f64) {
    put_bytes(out, name);
    out.extend_from_slice(&score.to_le_bytes());
}

/// Appends a field of a hash.
#[inline]
pub fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8], deadline: Option<u64>) {
    put_bytes(out, name);
    put_bytes(out, value);
    out.extend_from_slice(&deadline.unwrap_or(NEVER).to_le_bytes());
}

/// Reads what the functions above wrote. What does not end where it should is a fault of the program.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    /// From bytes that were written by this module.
    pub fn new(bytes: &'a [u8]) -> Self {
        Records(bytes)
    }

    /// The bytes that are left.
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken
    }

    /// Takes as many bytes as an array has.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().expect("what was written is there");
        self.0 = rest;
        *taken
    }

    /// Takes a number of 64 bits.
    #[inline]
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// Takes a length.
    #[inline]
    pub fn length(&mut self) -> u64 {
        let (mut n, mut shift) = (0, 0);
        loop {
            let [byte] = self.array();
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return n;
            }
            shift += 7;
        }
    }

    /// Takes bytes with their length.
    #[inline]
    pub fn bytes_with_length(&mut self) -> &'a [u8] {
        let n = self.length() as usize;
        self.take(n)
    }

    /// The next member of a set.
    #[inline]
    pub fn member(&mut self) -> &'a [u8] {
        self.bytes_with_length()
    }

    /// The next member of a sorted set, with its score.
    #[inline]
    pub fn scored(&mut self) -> (&'a [u8], f64) {
        (self.bytes_with_length(), f64::from_le_bytes(self.array()))
    }

    /// The next field of a hash: name, value and deadline.
    #[inline]
    pub fn field(&mut self) -> (&'a [u8], &'a [u8], Option<u64>) {
        let (name, value) = (self.bytes_with_length(), self.bytes_with_length());
        (name, value, Some(self.u64()).filter(|at| *at != NEVER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        let long = vec![7; 300];
        put_member(&mut out, b"");
        put_scored(&mut out, &long, -0.5);
        put_field(&mut out, b"f", &long, Some(12));
        put_field(&mut out, b"g", b"", None);
        put_length(&mut out, u64::MAX);
        let mut records = Records::new(&out);
        assert_eq!(records.member(), b"");
        assert_eq!(records.scored(), (&long[..], -0.5));
        assert_eq!(records.field(), (&b"f"[..], &long[..], Some(12)));
        assert_eq!(records.field(), (&b"g"[..], &b""[..], None));
        assert_eq!(records.length(), u64::MAX);
        assert!(records.is_empty());
    }
}
