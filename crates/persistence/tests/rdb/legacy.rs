//! Values in encodings that only older servers wrote, put together by hand from the description of the format.

use super::damage::payload;
use super::support::{render, restored};

fn check(value: &[&[u8]], version: u16, wanted: &str) {
    let mut keyspace =
        restored(&payload(&value.concat(), version)).unwrap_or_else(|error| panic!("{wanted}: {error}"));
    assert_eq!(render(&mut keyspace), [format!("0 k {wanted}")]);
}

fn refused(value: &[&[u8]], version: u16, wanted: &str) {
    let error = restored(&payload(&value.concat(), version)).err().expect(wanted);
    assert!(error.to_string().contains(wanted), "{error}");
}

/// A string's length (below 64) and bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8][..], bytes].concat()
}

/// `a` and `1`.
const ZIPLIST: &[u8] = b"\x10\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xf2\xff";
/// `a` and `b`.
const ZIPMAP: &[u8] = b"\x01\x01a\x01\x00b\xff";
const NODE_ID: &[u8] = b"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01";
/// An entry with the field `f` and the value `v`, as Redis 8.2.3 wrote it.
const NODE: &[u8] = b"\x1d\x00\x00\x00\x0a\x00\x01\x01\x00\x01\x01\x01\x81f\x02\x00\x01\x02\x01\x00\x01\x00\x01\x81v\x02\x04\x01\xff";

#[test]
fn elements_one_by_one() {
    check(&[b"\x01\x02\x01a\xc0\x07"], 1, "list listpack None: a 7");
    check(&[b"\x03\x02\x01a\x032.5\x01b\xfe"], 1, "zset listpack None: a=2.5 b=inf");
    check(&[b"\x03\x01\x01a\xff"], 7, "zset listpack None: a=-inf");
    refused(&[b"\x03\x01\x01a\xfd"], 7, "a score is not a number");
    refused(&[b"\x03\x02\x01a\x011\x01a\x012"], 7, "Duplicate sorted set member");
    refused(&[b"\x04\x02\x01a\x011\x01a\x012"], 7, "Duplicate hash field");
    refused(&[b"\x02\x02\x01a\x01a"], 7, "Duplicate set member");
    refused(&[b"\x02\x00"], 7, "a set is empty");
}

#[test]
fn ziplists_and_zipmaps() {
    let ziplist = string(ZIPLIST);
    check(&[b"\x0a", &ziplist], 6, "list listpack None: a 1");
    check(&[b"\x0c", &ziplist], 6, "zset listpack None: a=1.0");
    check(&[b"\x0d", &ziplist], 6, "hash listpack None: a=1@None");
    check(&[b"\x09", &string(ZIPMAP)], 2, "hash listpack None: a=b@None");
    check(&[b"\x0e\x02", &ziplist, &ziplist], 7, "list quicklist None: a 1 a 1");
    check(&[b"\x0e\x01", &ziplist], 7, "list listpack None: a 1");
    let empty = string(b"\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff");
    refused(&[b"\x0d", &empty], 6, "a hash is empty");
    refused(&[b"\x0e\x01", &empty], 7, "a list is empty");
    let twice = b"\x15\x00\x00\x00\x12\x00\x00\x00\x04\x00\x00\x01a\x03\xf2\x02\x01a\x03\xf2\xff";
    refused(&[b"\x0c", &string(twice)], 6, "Zset ziplist integrity check failed");
    refused(&[b"\x0d", &string(twice)], 6, "Hash ziplist integrity check failed");
}

#[test]
fn streams_of_every_version() {
    let group = "group g 1-1";
    let rest = "consumer c 5 Some(5) pending 1-1 c 3 2";
    let nodes = [&b"\x01"[..], &string(NODE_ID), &string(NODE)].concat();
    let pending = [&b"\x01"[..], NODE_ID, &3u64.to_le_bytes(), b"\x02"].concat();
    let consumer = [&b"\x01\x01c"[..], &5u64.to_le_bytes()].concat();
    let own = [&b"\x01"[..], NODE_ID].concat();
    check(
        &[b"\x0f", &nodes, b"\x01\x01\x01\x01\x01g\x01\x01", &pending, &consumer, &own],
        9,
        &format!("stream stream None: 1 1-1 1-1 0-0 1 1-1 f=v {group} Some(1) {rest}"),
    );
    let totals = b"\x01\x01\x01\x01\x01\x00\x09\x05\x01\x01g\x01\x01\x01";
    check(
        &[b"\x13", &nodes, totals, &pending, &consumer, &own],
        10,
        &format!("stream stream None: 1 1-1 1-1 0-9 5 1-1 f=v {group} Some(1) {rest}"),
    );
    let active = (-1i64).to_le_bytes();
    check(
        &[b"\x15", &nodes, totals, &pending, &consumer, &active, &own],
        11,
        &format!(
            "stream stream None: 1 1-1 1-1 0-9 5 1-1 f=v {group} Some(1) consumer c 5 None pending 1-1 c 3 2"
        ),
    );
    refused(&[b"\x13", &nodes, totals, &pending, &consumer, b"\x00"], 10, "pending entry has no owner");
    refused(&[b"\x13", &nodes, totals, b"\x00", &consumer, &own], 10, "owns what is not pending");
    refused(&[b"\x13", &nodes, b"\x02", &totals[1..]], 10, "number of entries is wrong");
    refused(&[b"\x13", &nodes, b"\x01\x01\x00", &totals[3..]], 10, "last id is lower");
}

#[test]
fn field_deadlines_before_they_were_released() {
    let at = 4_000_000_000_000u64.to_be_bytes();
    let fields = [&b"\x02\x81"[..], &at, b"\x01a\x011\x00\x01b\x012"].concat();
    check(&[b"\x16", &fields], 12, "hash listpackex None: a=1@Some(4000000000000) b=2@None");
    let mut pack = carnelian_keyspace::encoding::listpack::Listpack::new();
    ["a", "1", "4000000000000"].iter().for_each(|text| pack.push_back(text.as_bytes()));
    check(&[b"\x17", &string(pack.view().bytes())], 12, "hash listpackex None: a=1@Some(4000000000000)");
}

#[test]
fn what_cannot_be_read_is_named() {
    let id = b"AAAAAAAAB".iter().fold(0u64, |id, letter| id << 6 | u64::from(letter - b'A')) << 10;
    refused(&[b"\x07\x81", &id.to_be_bytes(), b"\x00"], 11, "the module 'AAAAAAAAB'");
    refused(&[b"\x06\x00"], 11, "a module in a form that was never released");
    refused(&[b"\x08\x00"], 11, "8 is no type of a record");
    refused(&[b"\x1a\x00"], 12, "26 is no type of a record");
    refused(&[b"\x18\x00"], 80, "24 is no type of a record");
    refused(&[b"\x00\x01ab"], 11, "bytes after the value");
    refused(&[b""], 11, "ends in the middle");
}
