//! What survives a restart: the formats in which a dataset is stored and sent.
//!
//! Everything here takes bytes and returns bytes or events. It opens no files, knows no clock and no commands.

pub mod check;
pub mod rdb;
