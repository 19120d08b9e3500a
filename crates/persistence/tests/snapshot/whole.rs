//! Snapshots of a keyspace that does not change meanwhile.

use carnelian_keyspace::{AccessPolicy, Keyspace, Set};
use carnelian_persistence::rdb::{Event, Fault, Format, Reader, Sink, WriteOptions};
use carnelian_persistence::snapshot::Access;

use super::render::picture;
use super::workload::{self, Workload};
use super::{Save, load};

fn save(keyspace: &mut Keyspace, options: WriteOptions, access: Access) -> Vec<u8> {
    let save = Save::begin(keyspace, access);
    while keyspace.step_snapshot(10).is_none() {}
    save.file(options).expect("the snapshot came to its end")
}

/// Idle seconds and frequencies of the keys of a file.
#[derive(Default)]
struct Heads(Vec<(Option<u64>, Option<u8>)>);

impl Sink for Heads {
    fn event(&mut self, event: Event<'_>) -> Result<(), Fault> {
        if let Event::Key(head) = event {
            self.0.push((head.idle, head.frequency));
        }
        Ok(())
    }
}

fn heads(file: &[u8]) -> Vec<(Option<u64>, Option<u8>)> {
    let mut heads = Heads::default();
    Reader::new(true).feed(file, &mut heads).expect("the file is in order");
    heads.0
}

fn options(format: Format) -> WriteOptions {
    WriteOptions { format, ..WriteOptions::default() }
}

#[test]
fn every_type_and_encoding_comes_back() {
    let mut keyspace = workload::keyspace(1);
    workload::every_encoding(&mut keyspace);
    let before = picture(&mut keyspace);
    for format in [Format::Redis12, Format::Valkey80] {
        let file = save(&mut keyspace, options(format), Access::Nothing);
        assert_eq!(picture(&mut load(&file)), before, "{format:?}");
    }
    keyspace.flush(2, carnelian_keyspace::Free::Now);
    let before = picture(&mut keyspace);
    for format in [Format::Redis10, Format::Common] {
        let file = save(&mut keyspace, options(format), Access::Nothing);
        assert_eq!(picture(&mut load(&file)), before, "{format:?}");
    }
}

#[test]
fn random_keyspaces_come_back() {
    for seed in 0..20 {
        let (mut keyspace, mut workload) = (workload::keyspace(seed), Workload::new(seed));
        workload.fill(&mut keyspace, 3000);
        let before = picture(&mut keyspace);
        let file = save(&mut keyspace, options(Format::Redis12), Access::Nothing);
        assert_eq!(picture(&mut load(&file)), before, "seed {seed}");
    }
}

#[test]
fn the_use_of_keys_is_remembered_as_the_policy_says() {
    let mut keyspace = workload::keyspace(1);
    workload::every_encoding(&mut keyspace);
    let now = workload::NOW + 7000;
    let common = options(Format::Redis12);
    let file = save(&mut keyspace, common, Access::Nothing);
    assert!(heads(&file).iter().all(|head| *head == (None, None)));
    let file = save(&mut keyspace, common, Access::Idle(now));
    assert!(heads(&file).iter().all(|head| *head == (Some(7), None)));
    keyspace.set_access_policy(AccessPolicy::Frequency { log_factor: 10, decay_minutes: 1 });
    let file = save(&mut keyspace, common, Access::Frequency(now));
    assert!(heads(&file).iter().all(|head| head.0.is_none() && head.1.is_some()));
}

#[test]
fn a_large_collection_is_written_as_it_comes() {
    let mut keyspace = workload::keyspace(1);
    for i in 0..100_000 {
        let (key, member) = (format!("set:{}", i % 3), format!("member:{i}"));
        workload::edit(&mut keyspace, 0, key.as_bytes(), |set: &mut Set, space| {
            _ = set.add(space, member.as_bytes());
        });
    }
    let before = picture(&mut keyspace);
    let save = Save::begin(&mut keyspace, Access::Nothing);
    while keyspace.step_snapshot(10).is_none() {}
    let chunks = save.chunks(WriteOptions::default()).expect("the snapshot came to its end");
    let longest = chunks.iter().map(Vec::len).max().unwrap_or(0);
    assert!(longest < 100_000, "{longest} bytes were kept");
    assert_eq!(picture(&mut load(&chunks.concat())), before);
}
