//! HyperLogLogs: strings that estimate how many different elements they have seen, in Redis's layout, so that they can
//! be copied between servers as plain strings. Knows neither keys nor commands.
//!
//! ```text
//! 0..4    "HYLL"
//! 4       0: dense, 1: sparse
//! 5..8    not used
//! 8..16   the last estimate (u64, little endian); its top bit: registers have changed since
//! 16..    16,384 registers of 0 to 63
//!
//! dense   6 bits each, the lowest bits of the lowest byte first: 12,288 bytes
//! sparse  runs of equal registers:
//!         00llllll           l + 1 registers of 0
//!         01llllll llllllll  l + 1 registers of 0
//!         1vvvvvll           l + 1 registers of v + 1
//! ```
//!
//! An element's hash names a register by its low 14 bits, and the rest is a lot: the number of its trailing zeros
//! and one. A register keeps the largest. The hash is MurmurHash64A (A. Appleby), the estimate is that of O. Ertl, "New
//! cardinality estimation algorithms for HyperLogLog sketches" (2017), section 4.

mod dense;
mod estimate;
mod murmur;
mod sparse;

use std::ops::Range;

use super::Malformed;
pub use sparse::{Run, Runs};

/// Registers of each HyperLogLog.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of a hash that name a register.
const INDEX_BITS: u32 = 14;
/// Bits of a hash that are left.
const LOT_BITS: u32 = 64 - INDEX_BITS;
/// Bits of a register of the dense form.
const REGISTER_BITS: usize = 6;

const MAGIC: &[u8; 4] = b"HYLL";
/// Where the registers begin, in bytes.
const HEADER: usize = 16;
const ESTIMATE: Range<usize> = 8..16;
/// The estimate's top byte has this bit when it is out of date.
const STALE: u8 = 0x80;
/// Length of the dense form, in bytes.
pub const DENSE_LEN: usize = HEADER + REGISTERS * REGISTER_BITS / 8;

/// What a new key holds: the sparse form of nothing, its estimate out of date.
pub const EMPTY: [u8; HEADER + 2] = [
    b'H',
    b'Y',
    b'L',
    b'L',
    Form::Sparse as u8,
    0,
    0,
    0, // the form
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    STALE, // the estimate
    0x7f,
    0xff, // 16,384 zeros
];

/// How registers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Form {
    /// All of them side by side.
    Dense,
    /// As runs of equal ones.
    Sparse,
}

impl Form {
    /// The name that `PFDEBUG ENCODING` answers.
    pub fn name(self) -> &'static str {
        match self {
            Form::Dense => "dense",
            Form::Sparse => "sparse",
        }
    }
}

/// The form of a HyperLogLog, or `None` if the bytes are none: wrong magic, unknown form, or a wrong length. Runs are
/// not looked at.
pub fn form(bytes: &[u8]) -> Option<Form> {
    match (bytes.starts_with(MAGIC), bytes.get(MAGIC.len())?, bytes.len()) {
        (true, 0, DENSE_LEN) => Some(Form::Dense),
        (true, 1, HEADER..) => Some(Form::Sparse),
        _ => None,
    }
}

/// What is seen of an element: a register's index and a candidate for its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sight {
    index: usize,
    value: u8,
}

impl Sight {
    /// Hashes an element.
    #[inline]
    pub fn of(element: &[u8]) -> Sight {
        let hash = murmur::hash(element);
        // The bit behind the lot ends the count.
        let lot = hash >> INDEX_BITS | 1 << LOT_BITS;
        Sight { index: hash as usize % REGISTERS, value: lot.trailing_zeros() as u8 + 1 }
    }
}

/// Whether adding `sight` would change a HyperLogLog.
///
/// # Errors
/// The runs end before the register.
#[inline]
pub fn is_news(bytes: &[u8], sight: Sight) -> Result<bool, Malformed> {
    let old = match form(bytes).ok_or(Malformed)? {
        Form::Dense => dense::get(&bytes[HEADER..], sight.index),
        Form::Sparse => sparse::get(&bytes[HEADER..], sight.index).ok_or(Malformed)?,
    };
    Ok(sight.value > old)
}

/// Adds to a HyperLogLog, which becomes dense if it would be longer than `sparse_max` bytes as runs or has a value
/// that runs cannot hold. Returns whether anything changed.
///
/// # Errors
/// The runs that had to be looked at are damaged. Nothing has changed.
pub fn add(bytes: &mut Vec<u8>, sight: Sight, sparse_max: usize) -> Result<bool, Malformed> {
    if form(bytes).ok_or(Malformed)? == Form::Sparse {
        match sparse::raise(bytes, HEADER, sight.index, sight.value, sparse_max)? {
            sparse::Raised::No => return Ok(false),
            sparse::Raised::Yes => {
                make_stale(bytes);
                return Ok(true);
            }
            sparse::Raised::DoesNotFit => make_dense(bytes)?,
        }
    }
    Ok(add_dense(bytes, sight))
}

/// Adds to a dense HyperLogLog in place. Returns whether anything changed.
#[inline]
pub fn add_dense(bytes: &mut [u8], sight: Sight) -> bool {
    let registers = &mut bytes[HEADER..];
    let is_news = sight.value > dense::get(registers, sight.index);
    if is_news {
        dense::set(registers, sight.index, sight.value);
        make_stale(bytes);
    }
    is_news
}

/// Makes a sparse HyperLogLog dense. The header keeps the estimate.
///
/// # Errors
/// The runs do not make up all registers. Nothing has changed.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut registers = Registers::default();
    registers.merge(bytes)?;
    let mut dense = vec![0; DENSE_LEN];
    dense[..HEADER].copy_from_slice(&bytes[..HEADER]);
    dense[MAGIC.len()] = Form::Dense as u8;
    dense::pack(&registers.0, &mut dense[HEADER..]);
    *bytes = dense;
    Ok(())
}

/// The estimate in the header, if it is up to date.
#[inline]
pub fn cached_estimate(bytes: &[u8]) -> Option<u64> {
    let estimate = bytes[ESTIMATE].try_into().expect("the range has eight bytes");
    let estimate = u64::from_le_bytes(estimate);
    (estimate >> 56 & u64::from(STALE) == 0).then_some(estimate)
}

/// Puts an estimate into the header.
pub fn cache_estimate(bytes: &mut [u8], estimate: u64) {
    bytes[ESTIMATE].copy_from_slice(&estimate.to_le_bytes());
}

/// Notes that the estimate is out of date.
pub fn make_stale(bytes: &mut [u8]) {
    bytes[ESTIMATE.end - 1] |= STALE;
}

/// The estimate from the registers, without building all of them in memory.
///
/// # Errors
/// The runs do not make up all registers.
pub fn estimate(bytes: &[u8]) -> Result<u64, Malformed> {
    let mut histogram = estimate::Histogram::default();
    match form(bytes).ok_or(Malformed)? {
        Form::Dense => dense::each_group(&bytes[HEADER..], |_, group| histogram.add(group)),
        Form::Sparse => {
            let mut total = 0;
            for run in runs(bytes) {
                let run = run?;
                total += run.len();
                histogram.add_many(run.value(), run.len());
            }
            if total != REGISTERS {
                return Err(Malformed);
            }
        }
    }
    Ok(histogram.estimate())
}

/// The runs of a sparse HyperLogLog.
pub fn runs(bytes: &[u8]) -> Runs<'_> {
    Runs::new(&bytes[HEADER..])
}

/// All registers, a byte each: what HyperLogLogs are merged in.
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Registers(Box::new([0; REGISTERS]))
    }
}

impl Registers {
    /// Raises each register to that of a HyperLogLog.
    ///
    /// # Errors
    /// Its runs do not make up all registers; some may have been raised.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        match form(bytes).ok_or(Malformed)? {
            Form::Dense => dense::each_group(&bytes[HEADER..], |at, group| {
                let registers = &mut self.0[at..at + group.len()];
                registers
                    .iter_mut()
                    .zip(group)
                    .for_each(|(register, value)| *register = (*register).max(*value));
            }),
            Form::Sparse => {
                let mut at = 0;
                for run in runs(bytes) {
                    let run = run?;
                    let registers = self.0.get_mut(at..at + run.len()).ok_or(Malformed)?;
                    registers.iter_mut().for_each(|register| *register = (*register).max(run.value()));
                    at += run.len();
                }
                if at != REGISTERS {
                    return Err(Malformed);
                }
            }
        }
        Ok(())
    }

    /// Raises one register.
    pub fn add(&mut self, sight: Sight) {
        let register = &mut self.0[sight.index];
        *register = (*register).max(sight.value);
    }

    /// Writes all registers into a HyperLogLog that has none above these: as runs while they fit and it is sparse.
    ///
    /// # Errors
    /// Its runs are damaged.
    pub fn store(&self, bytes: &mut Vec<u8>, sparse_max: usize) -> Result<(), Malformed> {
        for (index, value) in self.0.iter().enumerate().filter(|(_, value)| **value > 0) {
            if form(bytes).ok_or(Malformed)? == Form::Dense {
                dense::pack(&self.0, &mut bytes[HEADER..]);
                break;
            }
            add(bytes, Sight { index, value: *value }, sparse_max)?;
        }
        make_stale(bytes);
        Ok(())
    }

    /// The estimate.
    pub fn estimate(&self) -> u64 {
        let mut histogram = estimate::Histogram::default();
        self.0.chunks_exact(dense::GROUP).for_each(|group| histogram.add(group));
        histogram.estimate()
    }

    /// The registers' values.
    pub fn values(&self) -> &[u8; REGISTERS] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn registers(bytes: &[u8]) -> [u8; REGISTERS] {
        let mut registers = Registers::default();
        registers.merge(bytes).expect("the bytes are sound");
        *registers.0
    }

    /// Registers that are often neighbours, with values that are often equal.
    fn sights() -> impl Strategy<Value = Vec<Sight>> {
        let index = prop_oneof![6 => 0usize..40, 2 => 16_340usize..REGISTERS, 2 => 0..REGISTERS];
        let value = prop_oneof![8 => 1u8..4, 1 => 1u8..=32, 1 => 30u8..=51];
        prop::collection::vec((index, value).prop_map(|(index, value)| Sight { index, value }), 0..300)
    }

    proptest! {
        #[test]
        fn both_forms_hold_the_largest_values(sights in sights(), sparse_max in prop_oneof![Just(30usize), Just(3000)]) {
            let mut model = Registers::default();
            let mut bytes = EMPTY.to_vec();
            for sight in sights {
                let news = sight.value > model.0[sight.index];
                prop_assert_eq!(is_news(&bytes, sight), Ok(news));
                prop_assert_eq!(add(&mut bytes, sight, sparse_max), Ok(news));
                model.add(sight);
                prop_assert!(form(&bytes) == Some(Form::Dense) || bytes.len() <= sparse_max);
            }
            prop_assert!(registers(&bytes) == *model.0);
            prop_assert_eq!(estimate(&bytes), Ok(model.estimate()));
            let mut stored = EMPTY.to_vec();
            model.store(&mut stored, sparse_max).expect("the empty one is sound");
            prop_assert!(registers(&stored) == *model.0);
            if form(&bytes) == Some(Form::Sparse) {
                make_dense(&mut bytes).expect("it was sound");
                prop_assert!(registers(&bytes) == *model.0);
            }
        }

        #[test]
        fn foreign_bytes_are_refused_or_harmless(tail in prop::collection::vec(any::<u8>(), 0..60), element: [u8; 4]) {
            let mut bytes = [&EMPTY[..HEADER], &tail].concat();
            let before = bytes.clone();
            if add(&mut bytes, Sight::of(&element), 3000).is_err() {
                prop_assert_eq!(&bytes, &before);
            }
            prop_assert_eq!(estimate(&bytes).is_ok(), Registers::default().merge(&bytes).is_ok());
        }
    }

    #[test]
    fn estimates_are_near() {
        let mut registers = Registers::default();
        let mut bytes = EMPTY.to_vec();
        for n in 1u64..=200_000 {
            let sight = Sight::of(&n.to_le_bytes());
            registers.add(sight);
            add(&mut bytes, sight, 3000).expect("it is sound");
            if n % 10_000 == 0 || n.is_power_of_two() {
                let estimate = estimate(&bytes).expect("it is sound");
                assert_eq!(estimate, registers.estimate());
                // Four standard deviations of 1.04 / 128.
                assert!(estimate.abs_diff(n) as f64 <= 0.0325 * n as f64, "{estimate} for {n}");
            }
        }
    }
}
