//! Intsets equal a std model, and any bytes are refused or sound.
#![no_main]

#[path = "../../crates/keyspace/tests/models/intset.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model::run(data));
