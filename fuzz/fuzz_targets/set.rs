//! Sets of every form equal a std model: members, conversions, choices, algebra.
#![no_main]

#[path = "../../crates/keyspace/tests/models/set.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model::run(data));
