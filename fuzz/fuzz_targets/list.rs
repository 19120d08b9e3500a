//! Lists equal a deque, whatever their form: at both ends, in the middle, while node sizes change.
#![no_main]

#[path = "../../crates/keyspace/tests/models/list.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model::run(data));
