//! From registers to a number of elements: O. Ertl's improved raw estimator (arXiv 1702.01284, section 4), which needs
//! no tables, no corrections and only the number of registers of each value.

use super::{LOT_BITS, REGISTERS};

/// The factor for infinitely many registers: `1 / (2 ln 2)`.
const ALPHA: f64 = 0.721_347_520_444_481_7;
/// The largest value that adding makes. What a damaged string holds above it is not counted.
const LARGEST: usize = LOT_BITS as usize + 1;
const VALUES: usize = 64;

/// How many registers have each value. Four counts side by side, so that equal neighbours do not wait for each other.
pub(super) struct Histogram([[u16; VALUES]; 4]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram([[0; VALUES]; 4])
    }
}

impl Histogram {
    /// Counts registers; their number is a multiple of four.
    #[inline]
    pub(super) fn add(&mut self, values: &[u8]) {
        for four in values.chunks_exact(4) {
            for (counts, value) in self.0.iter_mut().zip(four) {
                counts[usize::from(*value) % VALUES] += 1;
            }
        }
    }

    /// Counts a run of equal registers.
    pub(super) fn add_many(&mut self, value: u8, count: usize) {
        let total = &mut self.0[0][usize::from(value) % VALUES];
        // A sound string has 16,384 registers; of any other the sum is not used.
        *total = total.saturating_add(count as u16);
    }

    fn count(&self, value: usize) -> f64 {
        self.0.iter().map(|counts| f64::from(counts[value])).sum()
    }

    /// The estimate.
    pub(super) fn estimate(&self) -> u64 {
        let m = REGISTERS as f64;
        let mut z = m * tau((m - self.count(LARGEST)) / m);
        for value in (1..LARGEST).rev() {
            z = 0.5 * (z + self.count(value));
        }
        z += m * sigma(self.count(0) / m);
        (ALPHA * m * m / z).round() as u64
    }
}

/// `x + sum of x^(2^k) * 2^(k-1)`: the share of registers that are zero.
fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let next = sum + power * weight;
        weight += weight;
        if next == sum {
            return sum;
        }
        sum = next;
    }
}

/// `(1 - x - sum of (1 - x^(2^-k))^2 * 2^-k) / 3`: the share of registers that are below the largest value.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        weight *= 0.5;
        let next = sum - (1.0 - root).powi(2) * weight;
        if next == sum {
            return sum / 3.0;
        }
        sum = next;
    }
}
