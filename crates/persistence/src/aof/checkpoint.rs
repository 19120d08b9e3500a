//! Checkpoints: lines between commands by which damage to a log is found. Knows nothing of commands or files.
//!
//! ```text
//! #CRC:<offset>:<durable>:<sum>\r\n
//! ```
//!
//! `offset` (decimal) is where in the file the line stands. `durable` (decimal) is how much of the file was known to be on
//! disk before the line was written: what is damaged below it was damaged later, and is not what a crash left behind.
//! `sum` (16 lowercase hexadecimal digits) is the CRC-64/XZ of the bytes from the end of the previous checkpoint's line,
//! or the beginning of the file, up to and including the colon before it. Older servers skip lines that begin with `#`.

use crc_fast::{CrcAlgorithm, Digest};

const TAG: &[u8] = b"#CRC:";
const SUM_DIGITS: usize = 16;

/// The longest line, with its end.
pub(super) const MAX_LINE: usize = TAG.len() + 20 + 1 + 20 + 1 + SUM_DIGITS + 2;

/// What one line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Where the line says that it stands.
    pub offset: u64,
    /// Bytes of the file that were on disk when it was written.
    pub durable: u64,
    /// The sum of what comes before it.
    pub sum: u64,
    /// Bytes of the line that are part of the sum.
    pub(super) summed: usize,
}

impl Checkpoint {
    /// Whether a line was meant to be one: one byte of the tag may be damaged.
    pub(super) fn is_meant(line: &[u8]) -> bool {
        line.len() >= TAG.len() && line.iter().zip(TAG).filter(|(byte, tag)| byte != tag).count() <= 1
    }

    /// Reads a line with its end; none if anything is out of place.
    pub(super) fn parse(line: &[u8]) -> Option<Checkpoint> {
        let fields = line.strip_prefix(TAG)?.strip_suffix(b"\r\n")?;
        let mut fields = fields.split(|byte| *byte == b':');
        let (offset, durable, sum) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() || sum.len() != SUM_DIGITS {
            return None;
        }
        let summed = line.len() - SUM_DIGITS - 2;
        Some(Checkpoint {
            offset: decimal(offset)?,
            durable: decimal(durable)?,
            sum: hexadecimal(sum)?,
            summed,
        })
    }
}

/// A number as it is written here: without sign or leading zeros.
fn decimal(digits: &[u8]) -> Option<u64> {
    let canonical = !digits.is_empty() && (digits[0] != b'0' || digits.len() == 1);
    if !canonical || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let lowercase = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let digits = std::str::from_utf8(digits).ok().filter(|_| lowercase)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The sum of a segment: what lies between two checkpoints.
#[derive(Clone)]
pub(super) struct Sum(Digest);

impl Sum {
    pub(super) fn new() -> Self {
        Sum(Digest::new(CrcAlgorithm::Crc64Xz))
    }

    #[inline]
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.finalize()
    }
}

/// Makes the checkpoints of one file.
#[derive(Clone)]
pub struct Checkpoints {
    /// Bytes of the file so far.
    offset: u64,
    /// Where the segment begins: behind the latest checkpoint.
    start: u64,
    sum: Sum,
    durable: u64,
}

impl Checkpoints {
    /// Those of a file that has no bytes behind its latest checkpoint, which ends at `offset`, all of them on disk. What
    /// follows in the file, if it is opened again, is to be [added](Checkpoints::add).
    pub fn at(offset: u64) -> Self {
        Checkpoints { offset, start: offset, sum: Sum::new(), durable: offset }
    }

    /// Those of a file of `offset` bytes whose latest checkpoint ends at `start`, which is on disk. `sum`: of the bytes
    /// in between.
    pub(super) fn within(offset: u64, start: u64, sum: Sum) -> Self {
        Checkpoints { offset, start, sum, durable: start }
    }

    /// Bytes are appended to the file.
    pub fn add(&mut self, bytes: &[u8]) {
        self.sum.add(bytes);
        self.offset += bytes.len() as u64;
    }

    /// Bytes of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes since the latest checkpoint.
    pub fn pending(&self) -> u64 {
        self.offset - self.start
    }

    /// Whether a checkpoint that is written now says that everything before it is on disk.
    pub(super) fn vouches(&self) -> bool {
        self.durable == self.offset
    }

    /// Everything so far is on disk.
    pub fn synced(&mut self) {
        self.durable = self.offset;
    }

    /// Appends a checkpoint to `out`, which is to follow the bytes that were added.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        let head = format!("#CRC:{}:{}:", self.offset, self.durable);
        self.sum.add(head.as_bytes());
        let line = format!("{head}{:016x}\r\n", self.sum.value());
        out.extend_from_slice(line.as_bytes());
        self.offset += line.len() as u64;
        self.start = self.offset;
        self.sum = Sum::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_written() {
        let mut made = Checkpoints::at(0);
        made.add(b"123456789");
        let mut line = Vec::new();
        made.write(&mut line);
        let read = Checkpoint::parse(&line).expect("well formed");
        assert_eq!((read.offset, read.durable), (9, 0));
        let mut sum = Sum::new();
        sum.add(b"123456789#CRC:9:0:");
        assert_eq!(read.sum, sum.value());
        assert_eq!((made.offset(), made.pending()), (9 + line.len() as u64, 0));
        made.synced();
        made.add(b"x");
        line.clear();
        made.write(&mut line);
        assert_eq!(Checkpoint::parse(&line).map(|read| read.durable), Some(made.durable));
    }

    #[test]
    fn the_sum_is_crc_64_xz() {
        let mut sum = Sum::new();
        sum.add(b"123456789");
        assert_eq!(sum.value(), 0x995d_c9bb_df19_39fa);
    }

    #[test]
    fn the_longest_line_is_bounded() {
        let mut line = Vec::new();
        Checkpoints { offset: u64::MAX - 100, start: 0, sum: Sum::new(), durable: u64::MAX }.write(&mut line);
        assert_eq!(line.len(), MAX_LINE);
    }

    #[test]
    fn only_canonical_lines_are_read() {
        let good = b"#CRC:9:0:0123456789abcdef\r\n";
        assert!(Checkpoint::parse(good).is_some());
        let bad: [&[u8]; 8] = [
            b"#CRC:09:0:0123456789abcdef\r\n",
            b"#CRC:9:0:0123456789ABCDEF\r\n",
            b"#CRC:9:0:0123456789abcde\r\n",
            b"#CRC:9:0:0123456789abcdef\n",
            b"#CRC:9:0123456789abcdef\r\n",
            b"#CRC:9:0:0123456789abcdef:\r\n",
            b"#CRC:+9:0:0123456789abcdef\r\n",
            b"#CRC:99999999999999999999:0:0123456789abcdef\r\n",
        ];
        for line in bad {
            assert_eq!(Checkpoint::parse(line), None, "{}", line.escape_ascii());
        }
    }
}
