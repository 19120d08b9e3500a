//! Hashes with deadlines of fields equal a std model with a clock: what is stored, what is due, what is visible.
#![no_main]

#[path = "../../crates/keyspace/tests/models/hash.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model::run(data));
