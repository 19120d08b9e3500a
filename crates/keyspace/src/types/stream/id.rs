//! Entry IDs: milliseconds and a sequence number, and their text `ms-seq`.

use std::fmt;

/// The ID of a stream's entry. IDs are ordered by milliseconds, then by sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Debug)]
pub struct StreamId {
    /// Unix time in milliseconds, if the server made the ID; anything otherwise.
    pub ms: u64,
    /// Tells entries of the same millisecond apart.
    pub seq: u64,
}

/// The longest text: two numbers of 20 digits.
const MAX_TEXT: usize = 41;

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last ID that an entry can have.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// An ID of its two parts.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The smallest greater ID.
    pub fn next(self) -> Option<StreamId> {
        match (self.ms, self.seq) {
            (u64::MAX, u64::MAX) => None,
            (ms, u64::MAX) => Some(StreamId { ms: ms + 1, seq: 0 }),
            (ms, seq) => Some(StreamId { ms, seq: seq + 1 }),
        }
    }

    /// The greatest smaller ID.
    pub fn previous(self) -> Option<StreamId> {
        match (self.ms, self.seq) {
            (0, 0) => None,
            (ms, 0) => Some(StreamId { ms: ms - 1, seq: u64::MAX }),
            (ms, seq) => Some(StreamId { ms, seq: seq - 1 }),
        }
    }

    /// Calls `f` with the text, without allocating.
    #[inline]
    pub fn with_text<R>(self, f: impl FnOnce(&[u8]) -> R) -> R {
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (ms, seq) = (ms.format(self.ms).as_bytes(), seq.format(self.seq).as_bytes());
        let mut text = [b'-'; MAX_TEXT];
        let len = ms.len() + 1 + seq.len();
        text[..ms.len()].copy_from_slice(ms);
        text[ms.len() + 1..len].copy_from_slice(seq);
        f(&text[..len])
    }

    /// As 16 bytes whose order is that of the IDs.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// From [`StreamId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let id = u128::from_be_bytes(bytes);
        StreamId { ms: (id >> 64) as u64, seq: id as u64 }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}
