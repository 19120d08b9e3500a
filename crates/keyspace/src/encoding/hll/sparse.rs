//! Runs of equal registers: the form of HyperLogLogs that have seen little. See the parent for their bytes.

use super::Malformed;

/// The longest run of zeros in one byte, and in two.
const SHORT_ZEROS: usize = 64;
const LONG_ZEROS: usize = 16_384;
/// The longest run of another value, and the largest value.
const EQUAL: usize = 4;
const LARGEST: u8 = 32;

/// Runs that are looked at, from the one before a change on, for neighbours to join.
const JOIN_AMONG: usize = 5;

/// Some registers of the same value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Run {
    /// They are zero, and written in one byte: at most 64.
    Zeros(usize),
    /// They are zero, and written in two bytes.
    LongZeros(usize),
    /// They have the value, of 1 to 32, and are at most four.
    Equal(u8, usize),
}

impl Run {
    /// How many registers.
    pub fn len(self) -> usize {
        match self {
            Run::Zeros(len) | Run::LongZeros(len) | Run::Equal(_, len) => len,
        }
    }

    /// Whether there is no register, which no run that was read has.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Their value.
    pub fn value(self) -> u8 {
        match self {
            Run::Zeros(_) | Run::LongZeros(_) => 0,
            Run::Equal(value, _) => value,
        }
    }

    /// The run at the beginning of the bytes, and how many bytes it takes.
    #[inline]
    fn read(bytes: &[u8]) -> Option<(Run, usize)> {
        let first = *bytes.first()?;
        match first >> 6 {
            0 => Some((Run::Zeros(usize::from(first & 0x3f) + 1), 1)),
            1 => {
                let len = usize::from(first & 0x3f) << 8 | usize::from(*bytes.get(1)?);
                Some((Run::LongZeros(len + 1), 2))
            }
            _ => Some((Run::Equal((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1), 1)),
        }
    }
}

/// Runs, one by one; ends with an error where the bytes end within a run.
#[derive(Clone, Debug)]
pub struct Runs<'a>(&'a [u8]);

impl<'a> Runs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Runs(bytes)
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Run, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((run, size)) = Run::read(self.0) else {
            self.0 = &[];
            return Some(Err(Malformed));
        };
        self.0 = &self.0[size..];
        Some(Ok(run))
    }
}

/// A run among its neighbours.
#[derive(Clone, Copy)]
struct Place {
    run: Run,
    /// Its first register.
    first: usize,
    /// Offset of its bytes, and how many.
    at: usize,
    size: usize,
    /// Offset of the run before it; its own if it is the first.
    before: usize,
}

/// The run that has register `index`; offsets count from the beginning of `bytes`, runs begin at `begin`.
#[inline]
fn find(bytes: &[u8], begin: usize, index: usize) -> Option<Place> {
    let (mut at, mut before, mut first) = (begin, begin, 0);
    loop {
        let (run, size) = Run::read(&bytes[at..])?;
        if index < first + run.len() {
            return Some(Place { run, first, at, size, before });
        }
        (before, at, first) = (at, at + size, first + run.len());
    }
}

/// The value of a register, if the runs reach it.
#[inline]
pub(super) fn get(runs: &[u8], index: usize) -> Option<u8> {
    find(runs, 0, index).map(|place| place.run.value())
}

/// What [`raise`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Raised {
    /// Nothing: the register has this value or a larger one.
    No,
    /// It has the value now.
    Yes,
    /// Nothing: runs cannot hold the value, or all bytes would be more than allowed.
    DoesNotFit,
}

/// Raises a register to `value`. The runs begin at `begin`; `max_len` is about all bytes.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    begin: usize,
    index: usize,
    value: u8,
    max_len: usize,
) -> Result<Raised, Malformed> {
    if value > LARGEST {
        return Ok(Raised::DoesNotFit);
    }
    let place = find(bytes, begin, index).ok_or(Malformed)?;
    if place.run.value() >= value {
        return Ok(Raised::No);
    }
    let pieces = Pieces::split(place, index, value);
    let new = pieces.bytes();
    if new.len() > place.size && bytes.len() + new.len() - place.size > max_len {
        return Ok(Raised::DoesNotFit);
    }
    bytes.splice(place.at..place.at + place.size, new.iter().copied());
    join(bytes, place.before);
    Ok(Raised::Yes)
}

/// The bytes of at most three runs of at most two bytes.
struct Pieces {
    bytes: [u8; 5],
    len: usize,
}

impl Pieces {
    /// A run, one register of which is to have another value.
    fn split(place: Place, index: usize, value: u8) -> Pieces {
        let mut pieces = Pieces { bytes: [0; 5], len: 0 };
        let ahead = index - place.first;
        let behind = place.run.len() - ahead - 1;
        let with_len = |len| match place.run {
            Run::Equal(value, _) => Run::Equal(value, len),
            _ if len <= SHORT_ZEROS => Run::Zeros(len),
            _ => Run::LongZeros(len),
        };
        pieces.push(with_len(ahead));
        pieces.push(Run::Equal(value, 1));
        pieces.push(with_len(behind));
        pieces
    }

    fn push(&mut self, run: Run) {
        match run {
            _ if run.is_empty() => {}
            Run::Zeros(len) => self.push_byte((len - 1) as u8),
            Run::LongZeros(len) => {
                debug_assert!(len <= LONG_ZEROS);
                self.push_byte(0x40 | ((len - 1) >> 8) as u8);
                self.push_byte((len - 1) as u8);
            }
            Run::Equal(value, len) => self.push_byte(equal(value, len)),
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The byte of a run that is not zero.
fn equal(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// Joins neighbours of the same value among the first few runs from `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_AMONG {
        let Some((run, size)) = Run::read(&bytes[at..]) else { return };
        let next = Run::read(&bytes[at + size..]);
        match (run, next) {
            (Run::Equal(value, a), Some((Run::Equal(other, b), _))) if value == other && a + b <= EQUAL => {
                bytes[at] = equal(value, a + b);
                bytes.remove(at + 1);
            }
            _ => at += size,
        }
    }
}
