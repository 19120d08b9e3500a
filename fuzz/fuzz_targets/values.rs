//! A stream of values means the same in one piece and in any pieces, and values survive encoding and
//! decoding.
//!
//! The first input byte chooses how the rest is cut.
#![no_main]

use carnelian_resp::{DecodeError, DecodeLimits, Decoder, Protocol, Value};
use libfuzzer_sys::fuzz_target;

const TIGHT: DecodeLimits = DecodeLimits { max_depth: 16, max_bulk: 1 << 10, max_line: 64 };

fn run<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    limits: DecodeLimits,
) -> (Vec<Value>, Option<DecodeError>) {
    let mut decoder = Decoder::with_limits(limits);
    let mut values = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.decode() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) => return (values, Some(error)),
            }
        }
    }
    (values, None)
}

fn encode(values: &[Value], protocol: Protocol) -> Vec<u8> {
    values.iter().flat_map(|value| value.encode(protocol)).collect()
}

fuzz_target!(|data: &[u8]| {
    let [cut, input @ ..] = data else { return };
    let (whole, error) = run(std::iter::once(input), TIGHT);
    let (pieces, error_in_pieces) = run(input.chunks(1 + usize::from(*cut)), TIGHT);
    // Values are compared by their bytes, since a NaN does not equal itself.
    let bytes = encode(&whole, Protocol::Resp3);
    assert_eq!((&bytes, error), (&encode(&pieces, Protocol::Resp3), error_in_pieces));

    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let bytes = encode(&whole, protocol);
        let (again, error) = run(std::iter::once(&bytes[..]), DecodeLimits::default());
        assert_eq!((again.len(), error), (whole.len(), None));
        assert_eq!(encode(&again, protocol), bytes);
    }
    whole.iter().for_each(|value| assert_ne!(format!("{value} "), ""));
});
