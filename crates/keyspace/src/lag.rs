//! A histogram of how late keys were removed after their deadline.

/// Counts of lags in milliseconds: one bucket each below 64 ms, then 8 per power of two.
#[derive(Clone, Debug)]
pub struct LagHistogram {
    counts: [u64; BUCKETS],
    total: u64,
    max: u64,
}

const FINE: u64 = 64;
const BUCKETS: usize = FINE as usize + 8 * 24;

impl Default for LagHistogram {
    fn default() -> Self {
        LagHistogram { counts: [0; BUCKETS], total: 0, max: 0 }
    }
}

fn bucket_of(ms: u64) -> usize {
    if ms < FINE {
        return ms as usize;
    }
    let power = ms.ilog2();
    let eighth = (ms >> (power - 3)) & 7;
    (FINE + u64::from(power - 6) * 8 + eighth).min(BUCKETS as u64 - 1) as usize
}

/// The greatest lag that falls into a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let b = bucket as u64;
    if b < FINE {
        return b;
    }
    let (power, eighth) = ((b - FINE) / 8 + 6, (b - FINE) % 8);
    ((9 + eighth) << (power - 3)) - 1
}

impl LagHistogram {
    pub(crate) fn record(&mut self, ms: u64) {
        self.counts[bucket_of(ms)] += 1;
        self.total += 1;
        self.max = self.max.max(ms);
    }

    /// How many removals were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The greatest lag, in milliseconds.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The lag, in milliseconds, that a share `q` (0 to 1) of the removals did not exceed: exact below
    /// 64 ms, at most 12.5 % too high above.
    pub fn quantile(&self, q: f64) -> u64 {
        let wanted = (q * self.total as f64).ceil() as u64;
        let mut seen = 0;
        for (i, n) in self.counts.iter().enumerate() {
            seen += n;
            if seen >= wanted && seen > 0 {
                return upper_bound(i).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lag_lies_within_its_bucket() {
        for ms in (0..5000).chain([10_000, 123_456, 9_999_999]) {
            let b = bucket_of(ms);
            assert!(ms <= upper_bound(b), "{ms}");
            assert!(b == 0 || ms > upper_bound(b - 1), "{ms}");
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let mut h = LagHistogram::default();
        (0..50).for_each(|ms| h.record(ms));
        assert_eq!((h.quantile(0.5), h.quantile(0.99), h.quantile(1.0), h.max()), (24, 49, 49, 49));
        assert_eq!(LagHistogram::default().quantile(0.99), 0);
    }
}
