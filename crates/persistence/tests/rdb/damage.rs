//! Damage of every kind is refused with its place, or leaves a sound value: no panic, no hang, no memory beyond what the
//! bytes could fill. `MUTATIONS` says how many are tried of each kind.

use carnelian_persistence::rdb::{Error, Fault, Format, LoadOptions, Loader, Progress, dump};
use carnelian_testkit::Rng;

use super::files::FILES;
use super::support::{keyspace, load, render, restored};

fn mutations() -> usize {
    std::env::var("MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// Changes bytes, removes some, repeats some, or cuts the end off.
fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len());
        match rng.below(7) {
            0 | 1 => bytes[at] ^= 1 << rng.below(8),
            2 => bytes[at] = rng.next_u64() as u8,
            3 => bytes[at] = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc3, 0xfe, 0xff][rng.below(10)],
            4 => drop(bytes.drain(at..(at + 1 + rng.below(4)).min(bytes.len()))),
            5 => {
                let piece = bytes[at..(at + 1 + rng.below(8)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.truncate(at),
        }
    }
}

/// The checksum bit by bit, so that the tests share nothing with what they test.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0xad93_d235_94c9_35a9;
    let mut sum = 0u64;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |i| byte >> i & 1)) {
        let high = (sum >> 63) as u8 ^ bit;
        sum = sum << 1 ^ if high == 1 { POLYNOMIAL } else { 0 };
    }
    sum.reverse_bits()
}

/// A payload of a value with the right footer.
pub(crate) fn payload(value: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = [value, &version.to_le_bytes()].concat();
    bytes.extend_from_slice(&crc64(&bytes).to_le_bytes());
    bytes
}

#[test]
fn payloads() {
    let mut values = Vec::new();
    for format in [Format::Redis12, Format::Valkey80] {
        for (bytes, ..) in FILES {
            let (mut keyspace, _) = load(bytes, bytes.len());
            for compress in [false, true] {
                keyspace.for_each(0, &mut |item| {
                    let payload = dump(&item.value(), format, compress);
                    if payload.len() < 3000 {
                        values.push((payload[..payload.len() - 10].to_vec(), format.version().number()));
                    }
                });
            }
        }
    }
    let (mut rng, mut refused) = (Rng::new(1), 0);
    for i in 0..mutations() {
        let (value, version) = &values[i % values.len()];
        let mut value = value.clone();
        mutate(&mut value, &mut rng);
        match restored(&payload(&value, *version)) {
            Err(_) => refused += 1,
            Ok(mut keyspace) => still_sound(&mut keyspace),
        }
    }
    assert!(refused > mutations() / 10, "{refused}");
}

/// What was restored can be read, and dumped, and restored again.
fn still_sound(keyspace: &mut carnelian_keyspace::Keyspace) {
    let before = render(keyspace);
    let key = keyspace.key(b"k");
    let again = match keyspace.peek(0, key) {
        Some(item) => dump(&item.value(), Format::Redis12, true),
        None => panic!("a value was restored: {before:?}"),
    };
    assert_eq!(before, render(&mut restored(&again).expect("what we write")));
}

#[test]
fn every_payload_cut_short_is_refused() {
    let (bytes, ..) = FILES[1];
    let (mut keyspace, _) = load(bytes, bytes.len());
    keyspace.for_each(0, &mut |item| {
        let whole = dump(&item.value(), Format::Redis12, true);
        let value = &whole[..whole.len() - 10];
        for cut in (0..value.len()).step_by(1 + value.len() / 50) {
            assert!(restored(&payload(&value[..cut], 12)).is_err(), "{}", item.key().escape_ascii());
        }
    });
}

fn try_load(bytes: &[u8], chunk: usize, check_sum: bool) -> Result<(), Error> {
    let (mut keyspace, options) = (keyspace(), LoadOptions { check_sum, ..LoadOptions::default() });
    let mut loader = Loader::new(options);
    for chunk in bytes.chunks(chunk) {
        if loader.feed(chunk, &mut keyspace)? == Progress::Done {
            return Ok(());
        }
    }
    loader.finish(&mut keyspace)
}

/// A piece of a real file: large enough for every kind of record, small enough for many tries.
fn small_file() -> Vec<u8> {
    let (bytes, ..) = FILES[1];
    let (mut keyspace, _) = load(bytes, bytes.len());
    let options =
        carnelian_persistence::rdb::WriteOptions { format: Format::Redis12, compress: true, checksum: true };
    let mut writer = carnelian_persistence::rdb::Writer::new(options);
    writer.aux(b"name", b"value");
    writer.function(b"#!lua name=x");
    keyspace.for_each(0, &mut |item| {
        let (key, value, deadline) = (item.key(), item.value(), item.deadline());
        if dump(&value, Format::Redis12, true).len() < 600 {
            let entry = carnelian_persistence::rdb::Entry {
                db: 0,
                key,
                value,
                deadline,
                idle: Some(3),
                frequency: Some(4),
            };
            writer.entry(&entry).expect("the format knows all");
        }
    });
    writer.finish()
}

#[test]
fn every_flipped_bit_of_a_file_is_seen() {
    let file = small_file();
    assert_eq!(try_load(&file, file.len(), true), Ok(()));
    let mut rng = Rng::new(2);
    for _ in 0..mutations() / 4 {
        let (mut bytes, at) = (file.clone(), rng.below(file.len()));
        bytes[at] ^= 1 << rng.below(8);
        let error = try_load(&bytes, 100, true).expect_err("damage");
        assert!(error.offset <= file.len() as u64);
    }
}

#[test]
fn every_cut_of_a_file_is_seen() {
    let file = small_file();
    for cut in (0..file.len()).step_by(1 + file.len() * 4 / mutations()) {
        let error = try_load(&file[..cut], 64, true).expect_err("a cut file");
        assert_eq!((error.offset, error.fault), (cut as u64, Fault::Truncated));
    }
}

#[test]
fn files_without_checksum() {
    let (file, mut rng) = (small_file(), Rng::new(3));
    for i in 0..mutations() / 4 {
        let mut bytes = file.clone();
        mutate(&mut bytes, &mut rng);
        let _: Result<(), Error> = try_load(&bytes, 1 + i % 300, false);
    }
}

#[test]
fn what_lengths_promise_costs_nothing() {
    // A collection of each kind that says it has 2^60 elements, and strings of as many bytes.
    let huge = [0x81, 0x10, 0, 0, 0, 0, 0, 0, 0];
    for kind in [0u8, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 25] {
        let value = [&[kind][..], &huge, b"some bytes that are not enough"].concat();
        for version in [11, 12, 80] {
            assert!(restored(&payload(&value, version)).is_err());
        }
    }
    let packed = [&[0, 0xc3, 5][..], &huge, b"\x00a\x20\x00\x00"].concat();
    assert!(restored(&payload(&packed, 11)).is_err());
}
