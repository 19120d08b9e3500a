//! Looking at stored data without loading it: what the tools redis-check-rdb and redis-check-aof do.
//!
//! Bytes go in, lines of text come out, in the form of the peers' tools where scripts read them, with tables of what
//! is there after them. Nothing here opens files, asks questions or ends processes; whoever calls does.
//!
//! A look costs memory for the longest part of a value, not for the file. So what only a whole dataset could tell is
//! left to loading: a key that comes twice, and a member that comes twice in a collection that is not packed.

mod aof;
mod rdb;
mod stats;
mod table;

pub use aof::{AofCheck, AofReport, Lost, describe, is_manifest, is_rdb};
pub use rdb::RdbCheck;
pub use stats::{Largest, RdbStats, TypeStats};
