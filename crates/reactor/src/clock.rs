//! The clock: one reading holds both the monotonic and the wall time, and is passed down from there.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// One reading of the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Nanoseconds of the monotonic clock (from an arbitrary start, never going back).
    pub mono_ns: u64,
    /// Microseconds since the Unix epoch.
    pub wall_us: u64,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Now {
        Now { mono_ns: monotonic_ns(), wall_us: wall_us() }
    }

    /// Monotonic milliseconds.
    pub fn mono_ms(&self) -> u64 {
        self.mono_ns / 1_000_000
    }

    /// Milliseconds since the Unix epoch.
    pub fn wall_ms(&self) -> u64 {
        self.wall_us / 1000
    }

    /// Seconds since the Unix epoch.
    pub fn wall_secs(&self) -> u64 {
        self.wall_us / 1_000_000
    }

    /// The deadline that lies `duration` after this reading.
    pub fn after(&self, duration: Duration) -> Deadline {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Deadline(self.mono_ns.saturating_add(nanos))
    }

    /// The deadline at which the wall clock will read `ms`, if nobody sets it meanwhile.
    pub fn at_wall_ms(&self, ms: u64) -> Deadline {
        let ahead_us = ms.saturating_mul(1000).saturating_sub(self.wall_us);
        Deadline(self.mono_ns.saturating_add(ahead_us.saturating_mul(1000)))
    }
}

/// A point of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Deadline(pub u64);

impl Deadline {
    /// A deadline that has already passed: the loop does not sleep.
    pub const IMMEDIATE: Deadline = Deadline(0);
}

/// The monotonic clock alone, in nanoseconds, for what must be measured within a turn. Costs about 25 ns.
pub fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * NANOS_PER_SEC + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Nanoseconds for which the calling thread has had a processor: what it did itself, without what the system had it wait
/// for. Costs about 250 ns.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * NANOS_PER_SEC + u64::try_from(time.tv_nsec).unwrap_or(0)
}

fn wall_us() -> u64 {
    let time = clock_gettime(ClockId::Realtime);
    // A wall clock before 1970 is read as 1970.
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_follow_the_reading() {
        let now = Now { mono_ns: 5_000_000, wall_us: 1_000_000 };
        assert_eq!(now.after(Duration::from_millis(2)), Deadline(7_000_000));
        assert_eq!(now.at_wall_ms(1001), Deadline(6_000_000));
        assert_eq!(now.at_wall_ms(3), Deadline(5_000_000), "a passed wall time is due now");
        assert_eq!(now.at_wall_ms(u64::MAX), Deadline(u64::MAX), "far ahead saturates");
        assert_eq!(now.after(Duration::MAX), Deadline(u64::MAX));
    }

    #[test]
    fn readings_are_plausible() {
        let (a, b) = (Now::read(), Now::read());
        assert!(b.mono_ns >= a.mono_ns);
        assert!(a.wall_secs() > 1_600_000_000);
    }
}
