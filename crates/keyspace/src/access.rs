//! The 24-bit access clock of an entry: seconds for LRU, or minutes and a logarithmic counter for LFU.

use crate::random::Random;

/// What the access clock of an entry measures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AccessPolicy {
    /// When the key was last used: seconds modulo 2^24.
    #[default]
    Recency,
    /// How often it is used: 16 bits of minutes, 8 bits of a counter that grows with the logarithm of
    /// the number of uses and decays with time (`lfu-log-factor`, `lfu-decay-time`).
    Frequency {
        /// The higher, the more uses it takes to saturate the counter.
        log_factor: u32,
        /// Minutes after which an unused counter drops by one; 0: never.
        decay_minutes: u32,
    },
}

/// A new key's counter, so that it is not the first one to be evicted.
const INITIAL_FREQUENCY: u32 = 5;
const CLOCK_BITS: u32 = 24;

fn minutes(now: u64) -> u32 {
    (now / 60_000) as u32 & 0xffff
}

fn seconds(now: u64) -> u32 {
    (now / 1000) as u32 & ((1 << CLOCK_BITS) - 1)
}

impl AccessPolicy {
    /// The clock of a key that is created at `now` (unix milliseconds).
    pub(crate) fn created(self, now: u64) -> u32 {
        match self {
            AccessPolicy::Recency => seconds(now),
            AccessPolicy::Frequency { .. } => minutes(now) << 8 | INITIAL_FREQUENCY,
        }
    }

    /// The clock of a key that was last used so many seconds ago, or so often (logarithmically), whichever the policy
    /// measures.
    pub(crate) fn told(self, now: u64, idle_seconds: Option<u64>, frequency: Option<u8>) -> Option<u32> {
        match self {
            AccessPolicy::Recency => Some(seconds(now.saturating_sub(idle_seconds?.saturating_mul(1000)))),
            AccessPolicy::Frequency { .. } => Some(minutes(now) << 8 | u32::from(frequency?)),
        }
    }

    /// The clock after a use at `now`.
    #[inline]
    pub(crate) fn used(self, clock: u32, now: u64, random: &mut Random) -> u32 {
        match self {
            AccessPolicy::Recency => seconds(now),
            AccessPolicy::Frequency { log_factor, .. } => {
                let counter = self.frequency(clock, now);
                let base = f64::from(counter.saturating_sub(INITIAL_FREQUENCY));
                let chance = 1.0 / (base * f64::from(log_factor) + 1.0);
                let draw = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
                minutes(now) << 8 | (counter + u32::from(counter < 255 && draw < chance))
            }
        }
    }

    /// Seconds since the last use.
    pub(crate) fn idle_seconds(self, clock: u32, now: u64) -> u64 {
        u64::from(seconds(now).wrapping_sub(clock) & ((1 << CLOCK_BITS) - 1))
    }

    /// The counter at `now`, decayed.
    pub(crate) fn frequency(self, clock: u32, now: u64) -> u32 {
        let AccessPolicy::Frequency { decay_minutes, .. } = self else { return 0 };
        let idle = minutes(now).wrapping_sub(clock >> 8) & 0xffff;
        (clock & 0xff).saturating_sub(idle.checked_div(decay_minutes).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recency_counts_seconds_across_the_wrap() {
        let p = AccessPolicy::Recency;
        let wrap = (1u64 << 24) * 1000;
        assert_eq!(p.idle_seconds(p.created(wrap - 2000), wrap + 3000), 5);
    }

    #[test]
    fn what_is_told_is_what_is_measured() {
        let now = 1_000_000_000_000;
        let p = AccessPolicy::Recency;
        assert_eq!(p.told(now, Some(500), Some(3)).map(|clock| p.idle_seconds(clock, now)), Some(500));
        assert_eq!(p.told(now, None, Some(3)), None);
        let p = AccessPolicy::Frequency { log_factor: 10, decay_minutes: 1 };
        assert_eq!(p.told(now, Some(500), Some(200)).map(|clock| p.frequency(clock, now)), Some(200));
    }

    #[test]
    fn frequency_grows_slowly_and_decays() {
        let p = AccessPolicy::Frequency { log_factor: 10, decay_minutes: 1 };
        let mut random = Random::new(7);
        let mut clock = p.created(0);
        for _ in 0..100_000 {
            clock = p.used(clock, 0, &mut random);
        }
        let top = p.frequency(clock, 0);
        assert!((80..255).contains(&top), "{top}");
        assert_eq!(p.frequency(clock, 10 * 60_000), top - 10);
    }
}
