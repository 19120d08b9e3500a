//! Any bytes are refused as a value, or become one that is dumped and restored as itself.
//!
//! The first input byte chooses the version of the payload and of what is dumped.
#![no_main]

use carnelian_keyspace::{Keyspace, Options};
use carnelian_persistence::rdb::{Format, Payload, Version, dump};
use libfuzzer_sys::fuzz_target;

fn restored(payload: Payload<'_>) -> Option<Keyspace> {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    let value = payload.restore(&mut keyspace.space()).ok()?;
    let key = keyspace.key(b"k");
    let mut guard = keyspace.write(0, key);
    value.put(&mut guard, None);
    assert!(guard.exists(), "a collection without elements");
    guard.commit(&[]);
    Some(keyspace)
}

fn dumped(keyspace: &mut Keyspace, format: Format) -> Vec<u8> {
    let key = keyspace.key(b"k");
    dump(&keyspace.peek(0, key).expect("it was restored").value(), format, true)
}

fuzz_target!(|input: &[u8]| {
    let [choice, value @ ..] = input else { return };
    let version = if choice & 1 == 0 { Version::Redis(12) } else { Version::Valkey(80) };
    let format =
        [Format::Common, Format::Redis12, Format::Valkey80, Format::Redis10][usize::from(choice >> 1) % 4];
    let Some(mut keyspace) = restored(Payload::new(version, value)) else { return };
    let first = dumped(&mut keyspace, format);
    let mut again = restored(Payload::check(&first).expect("our footer")).expect("our payload");
    // The order of what has none may change once, on the way into a table of its own.
    assert_eq!(first.len(), dumped(&mut again, format).len());
});
