//! What survives restarts, tried with real processes: corpora of the real servers' files, exchange of files and payloads
//! with them, and crashes.

pub(crate) mod corpus;
pub(crate) mod crash;
mod dataset;
pub(crate) mod exchange;
mod servers;
mod tails;
mod view;
