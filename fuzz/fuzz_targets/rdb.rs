//! A file means the same in one piece and in any pieces, and what was loaded from it is written and loaded again.
//!
//! The first input byte chooses the pieces and what is written. Checksums are not compared.
#![no_main]

use carnelian_keyspace::{Keyspace, Options};
use carnelian_persistence::rdb::{
    Entry, Error, Format, LoadOptions, Loaded, Loader, Progress, WriteOptions, Writer,
};
use libfuzzer_sys::fuzz_target;

fn load(file: &[u8], piece: usize) -> (Result<Loaded, Error>, Keyspace) {
    let mut keyspace = Keyspace::new(Options { databases: 4, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_now(1_000_000_000_000);
    let mut loader = Loader::new(LoadOptions { check_sum: false, ..LoadOptions::default() });
    for piece in file.chunks(piece) {
        match loader.feed(piece, &mut keyspace) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => break,
            Err(error) => return (Err(error), keyspace),
        }
    }
    let finished = loader.finish(&mut keyspace);
    (finished.map(|()| loader.into_loaded()), keyspace)
}

fn written(keyspace: &mut Keyspace, format: Format) -> Option<Vec<u8>> {
    let mut writer = Writer::new(WriteOptions { format, compress: true, checksum: true });
    let mut all = true;
    for db in 0..keyspace.databases() {
        keyspace.for_each(db, &mut |item| {
            let (key, value, deadline) = (item.key(), item.value(), item.deadline());
            all &= writer.entry(&Entry { db, key, value, deadline, idle: None, frequency: None }).is_ok();
        });
    }
    all.then(|| writer.finish())
}

fuzz_target!(|input: &[u8]| {
    let [choice, file @ ..] = input else { return };
    let (whole, mut keyspace) = load(file, file.len().max(1));
    let (pieces, _) = load(file, 1 + usize::from(choice >> 2));
    assert_eq!(whole, pieces);
    let Ok(loaded) = whole else { return };
    let format =
        [Format::Common, Format::Redis12, Format::Valkey80, Format::Redis10][usize::from(choice & 3)];
    let Some(again) = written(&mut keyspace, format) else { return };
    let (reloaded, _) = load(&again, 4096);
    assert_eq!(reloaded.map(|reloaded| reloaded.keys), Ok(loaded.keys));
});
