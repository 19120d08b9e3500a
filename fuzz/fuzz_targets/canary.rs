//! Fails as soon as an input holds two commands: shows that the fuzzer finds failures and reports them.
#![no_main]

use carnelian_resp::{Batch, Limits, RequestParser};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut batch = Batch::new();
    if RequestParser::new().parse(input, 2, &Limits::default(), &mut batch).is_ok() {
        assert!(batch.len() < 2, "the canary sings");
    }
});
