//! What survives a restart: the formats in which a dataset is stored and sent, and the files in which it is kept.
//!
//! The formats take bytes and return bytes or events. Files are reached through [`disk::Disk`] only, which tests
//! replace. Nothing here knows a clock or commands.

pub mod aof;
pub mod check;
pub mod disk;
pub mod rdb;
mod read_ahead;

pub use read_ahead::{Ahead, ReadAhead};
pub mod snapshot;
