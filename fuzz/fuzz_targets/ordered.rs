//! The order-statistics tree equals a sorted vector.
#![no_main]

#[path = "../../crates/keyspace/tests/models/ordered.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model::run(data));
