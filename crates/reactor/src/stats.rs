//! What the loop measures about itself.

/// Counters of the event loop. A cycle is one turn from waking up to going back to sleep; its duration excludes
/// the sleep.
#[derive(Clone, Debug)]
pub struct LoopStats {
    /// Number of cycles.
    pub cycles: u64,
    /// Nanoseconds spent awake, summed over all cycles.
    pub awake_ns: u64,
    /// The longest cycle, in nanoseconds.
    pub max_ns: u64,
    /// File events delivered.
    pub file_events: u64,
    /// Cycles by duration: slot 0 counts those under 1 us, slot `i` those from 2^(i-1) up to 2^i us.
    pub histogram: [u64; LoopStats::BUCKETS],
}

impl LoopStats {
    /// Slots of the histogram; the last one also takes everything longer.
    pub const BUCKETS: usize = 32;

    pub(crate) fn record(&mut self, nanos: u64) {
        self.cycles += 1;
        self.awake_ns += nanos;
        self.max_ns = self.max_ns.max(nanos);
        let micros = nanos / 1000;
        let slot = (u64::BITS - micros.leading_zeros()) as usize;
        self.histogram[slot.min(Self::BUCKETS - 1)] += 1;
    }

    /// An upper bound in microseconds for the given share (0.0 to 1.0) of all cycles; 0 if there were none.
    pub fn quantile_us(&self, share: f64) -> u64 {
        let wanted = (self.cycles as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (slot, count) in self.histogram.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return (1u64 << slot).min(self.max_ns.div_ceil(1000).max(1));
            }
        }
        0
    }
}

impl Default for LoopStats {
    fn default() -> Self {
        LoopStats { cycles: 0, awake_ns: 0, max_ns: 0, file_events: 0, histogram: [0; Self::BUCKETS] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_land_in_their_slots() {
        let mut stats = LoopStats::default();
        assert_eq!(stats.quantile_us(0.5), 0);
        for nanos in [0, 999, 1000, 1999, 2000, 3999, 4000, u64::MAX / 4] {
            stats.record(nanos);
        }
        assert_eq!(stats.histogram[..4], [2, 2, 2, 1]);
        assert_eq!(stats.histogram[LoopStats::BUCKETS - 1], 1);
        assert_eq!(stats.cycles, 8);
        assert_eq!(stats.quantile_us(0.25), 1);
        assert_eq!(stats.quantile_us(0.75), 4);
        assert_eq!(stats.max_ns, u64::MAX / 4);
    }

    #[test]
    fn a_quantile_never_exceeds_the_longest_cycle() {
        let mut stats = LoopStats::default();
        stats.record(5_000);
        assert_eq!(stats.quantile_us(0.99), 5);
    }
}
