//! Sorted sets equal a std model, across the limits of their packed form.
#![no_main]

#[path = "../../crates/keyspace/tests/models/zset.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model::run(data));
