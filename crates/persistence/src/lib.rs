//! What survives a restart: the formats in which a dataset is stored and sent, and the files in which it is kept.
//!
//! The formats take bytes and return bytes or events. Files are reached through [`disk::Disk`] only, which tests
//! replace. Nothing here knows a clock or commands.

pub mod aof;
pub mod check;
pub mod disk;
pub mod rdb;
mod read_ahead;
pub mod save;
pub mod snapshot;

pub use read_ahead::{Ahead, ReadAhead};

use std::time::Duration;

/// Makes loading and saving slow, for tests: microseconds per key if positive, keys per microsecond if negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyDelay(pub i64);

impl KeyDelay {
    /// How long a number of keys takes.
    pub fn of(self, keys: u64) -> Duration {
        match self.0 {
            0 => Duration::ZERO,
            1.. => Duration::from_micros(self.0.unsigned_abs().saturating_mul(keys)),
            _ => Duration::from_nanos(keys.saturating_mul(1000) / self.0.unsigned_abs()),
        }
    }
}
