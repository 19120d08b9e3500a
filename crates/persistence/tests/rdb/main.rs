//! RDB files and payloads: real ones, old ones, damaged ones, and their exchange with the real servers.

#![expect(clippy::disallowed_methods, reason = "tests read files, and real servers write them")]

mod damage;
mod dataset;
mod exchange;
mod files;
mod legacy;
mod support;
