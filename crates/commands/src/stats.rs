//! Counters of the engine, for INFO. Knows no clock: durations arrive as numbers.

use std::collections::BTreeMap;

/// Error codes beyond which those that scripts make up are not told apart in INFO.
const MAX_ERROR_CODES: usize = 128;

/// What further codes of scripts are counted as; so in Valkey, while Redis stops counting.
const OVERFLOW: &str = "ERRORSTATS_OVERFLOW";

/// One command's counters.
#[derive(Default, Debug)]
pub(crate) struct CommandStats {
    /// Executions.
    pub(crate) calls: u64,
    /// Nanoseconds spent in them.
    pub(crate) nanos: u64,
    /// Refused before execution.
    pub(crate) rejected: u64,
    /// Executions that ended in an error.
    pub(crate) failed: u64,
    /// How long executions took; absent until the first one.
    pub(crate) latency: Option<Box<Histogram>>,
}

/// Durations in nanoseconds up to a second, to two significant digits.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Histogram {
    const MAX: u64 = 1_000_000_000;
    /// Values below are exact; beyond, each power of two has half as many buckets.
    const EXACT: u64 = 256;

    pub(crate) fn new() -> Self {
        Histogram { counts: vec![0; Self::bucket(Self::MAX) + 1], total: 0 }
    }

    #[inline]
    fn bucket(nanos: u64) -> usize {
        if nanos < Self::EXACT {
            return nanos as usize;
        }
        let shift = u64::from(nanos.ilog2()) - 7;
        ((shift + 1) * (Self::EXACT / 2) + (nanos >> shift) - Self::EXACT / 2) as usize
    }

    /// The largest value of a bucket.
    fn upper(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        if bucket < Self::EXACT {
            return bucket;
        }
        let shift = bucket / (Self::EXACT / 2) - 1;
        ((bucket % (Self::EXACT / 2) + Self::EXACT / 2 + 1) << shift) - 1
    }

    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        let count = &mut self.counts[Self::bucket(nanos.clamp(1, Self::MAX))];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    /// The value that `percent` of all recorded ones do not exceed, in nanoseconds.
    pub(crate) fn percentile(&self, percent: f64) -> u64 {
        let wanted = ((percent / 100.0 * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Self::upper(bucket);
            }
        }
        0
    }
}

/// A rate per second over the last 16 samples of a counter.
#[derive(Default, Debug)]
pub(crate) struct Rate {
    samples: [u64; 16],
    next: usize,
    last: (u64, u64),
}

impl Rate {
    /// The counter's value at a time in milliseconds.
    pub(crate) fn sample(&mut self, now_ms: u64, counter: u64) {
        let elapsed = now_ms.saturating_sub(self.last.0);
        if self.last.0 != 0 && elapsed > 0 {
            self.samples[self.next] = counter.saturating_sub(self.last.1) * 1000 / elapsed;
            self.next = (self.next + 1) % self.samples.len();
        }
        self.last = (now_ms, counter);
    }

    /// The mean of the samples.
    pub(crate) fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / self.samples.len() as u64
    }
}

/// All counters.
#[derive(Default, Debug)]
pub(crate) struct Stats {
    /// By [`crate::table::CommandId`].
    pub(crate) commands: Vec<CommandStats>,
    /// Commands executed.
    pub(crate) processed: u64,
    /// Error replies.
    pub(crate) error_replies: u64,
    /// Error replies by code.
    pub(crate) errors: BTreeMap<Box<str>, u64>,
    /// Largest amount of memory handed out by the allocator, in bytes.
    pub(crate) peak_memory: u64,
    /// When there was as much: Unix time in milliseconds.
    pub(crate) peak_time_ms: u64,
    /// Refused connections to clients that speak HTTP and the like, or gave a wrong password.
    pub(crate) auth_failures: u64,
    /// Nanoseconds spent in periodic work and on expired keys.
    pub(crate) upkeep_nanos: u64,
    /// Most commands in one turn of the event loop.
    pub(crate) most_per_turn: u64,
    /// Commands before the present turn.
    before_turn: u64,
    /// Commands per second.
    pub(crate) ops: Rate,
    /// Bytes read per second.
    pub(crate) input: Rate,
    /// Bytes written per second.
    pub(crate) output: Rate,
    /// Turns of the event loop per second.
    pub(crate) turns: Rate,
    /// Microseconds of work per second.
    pub(crate) busy: Rate,
}

impl Stats {
    pub(crate) fn new(commands: usize) -> Self {
        let mut stats = Stats::default();
        stats.commands.resize_with(commands, CommandStats::default);
        stats
    }

    /// What CONFIG RESETSTAT resets.
    pub(crate) fn reset(&mut self) {
        *self = Stats::new(self.commands.len());
    }

    /// Takes note of how much memory is in use.
    pub(crate) fn note_memory(&mut self, bytes: u64, now_ms: u64) {
        if bytes > self.peak_memory {
            self.peak_memory = bytes;
            self.peak_time_ms = now_ms;
        }
    }

    /// A turn of the event loop begins.
    #[inline]
    pub(crate) fn begin_turn(&mut self) {
        self.most_per_turn = self.most_per_turn.max(self.processed - self.before_turn);
        self.before_turn = self.processed;
    }

    /// Counts an execution.
    #[inline]
    pub(crate) fn count_call(&mut self, command: usize, nanos: u64, failed: bool, histogram: bool) {
        self.processed += 1;
        let stats = &mut self.commands[command];
        stats.calls += 1;
        stats.nanos += nanos;
        stats.failed += u64::from(failed);
        if histogram {
            stats.latency.get_or_insert_with(|| Box::new(Histogram::new())).record(nanos);
        }
    }

    /// Counts an error reply by its code, the first word.
    pub(crate) fn count_error(&mut self, text: &[u8]) {
        self.count_error_up_to(usize::MAX, text);
    }

    /// Counts an error reply that a script has made.
    pub(crate) fn count_script_error(&mut self, text: &[u8]) {
        self.count_error_up_to(MAX_ERROR_CODES, text);
    }

    fn count_error_up_to(&mut self, most: usize, text: &[u8]) {
        self.error_replies += 1;
        let code = text.split(|c| *c == b' ').next().expect("split yields at least one part");
        let code = String::from_utf8_lossy(code);
        if let Some(count) = self.errors.get_mut(code.as_ref()) {
            *count += 1;
        } else if self.errors.len() < most {
            self.errors.insert(code.into(), 1);
        } else {
            *self.errors.entry(OVERFLOW.into()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_rounds_up_to_two_digits() {
        let mut histogram = Histogram::new();
        for (nanos, shown) in [(5, 5), (255, 255), (256, 257), (1000, 1003), (2000, 2007), (10_000, 10_047)] {
            assert_eq!(Histogram::upper(Histogram::bucket(nanos)), shown, "{nanos}");
        }
        (1..=100).for_each(|nanos| histogram.record(nanos));
        assert_eq!(histogram.percentile(50.0), 50);
        assert_eq!(histogram.percentile(99.9), 100);
        histogram.record(u64::MAX);
        assert!(histogram.percentile(100.0) >= Histogram::MAX);
    }

    #[test]
    fn a_rate_is_a_mean_of_samples() {
        let mut rate = Rate::default();
        for i in 0..=16 {
            rate.sample(1000 + i * 100, i * 50);
        }
        assert_eq!(rate.per_second(), 500);
    }

    #[test]
    fn made_up_codes_are_bounded() {
        let mut stats = Stats::new(0);
        for i in 0..1000 {
            stats.count_script_error(format!("CODE{i} text").as_bytes());
        }
        assert_eq!((stats.error_replies, stats.errors.len()), (1000, MAX_ERROR_CODES + 1));
        assert_eq!(stats.errors[OVERFLOW], 872);
        stats.count_error(b"ERR of a command");
        assert_eq!((stats.errors["ERR"], stats.errors[OVERFLOW]), (1, 872));
    }
}
