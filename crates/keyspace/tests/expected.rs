//! Databases that were told how many keys would come hold what others hold, and take no more memory.

use carnelian_keyspace::{Free, Keyspace, Memory, Options, Ttl};

const NOW: u64 = 1_700_000_000_000;

fn keyspace(expected: usize) -> Keyspace {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_now(NOW);
    keyspace.expect_keys(0, expected);
    keyspace
}

fn name(number: usize) -> String {
    format!("key:{number}")
}

/// Every seventh key is due after `number` milliseconds.
fn put(keyspace: &mut Keyspace, number: usize) {
    let name = name(number);
    let key = keyspace.key(name.as_bytes());
    let mut guard = keyspace.write(0, key);
    let ttl = if number.is_multiple_of(7) { Ttl::At(NOW + 1 + number as u64) } else { Ttl::Clear };
    guard.set(b"value", ttl);
    guard.commit(&[]);
}

fn filled(expected: usize, keys: usize) -> Keyspace {
    let mut keyspace = keyspace(expected);
    (0..keys).for_each(|number| put(&mut keyspace, number));
    keyspace.expect_keys(0, 0);
    keyspace
}

fn scanned(keyspace: &mut Keyspace) -> usize {
    let (mut count, mut cursor) = (0, 0);
    loop {
        cursor = keyspace.scan(0, cursor, &mut |_, _| count += 1);
        if cursor == 0 {
            return count;
        }
    }
}

#[test]
fn keys_are_found_scanned_expired_and_removed() {
    for (expected, keys) in
        [(200, 300), (400, 400), (5000, 5000), (60_000, 50_000), (3000, 20_000), (1 << 40, 9000)]
    {
        let mut keyspace = filled(expected, keys);
        assert_eq!((keyspace.len(0), scanned(&mut keyspace)), (keys, keys), "{expected}");
        for number in 0..keys {
            let name = name(number);
            let key = keyspace.key(name.as_bytes());
            assert!(keyspace.peek(0, key).is_some(), "{name} of {expected}");
        }
        keyspace.set_now(NOW + keys as u64);
        while keyspace.next_deadline().is_some_and(|at| at <= keyspace.now()) {
            keyspace.expire_due(1000);
        }
        assert_eq!(keyspace.len(0), keys - keys.div_ceil(7), "{expected}");
        for number in 0..keys {
            let name = name(number);
            let key = keyspace.key(name.as_bytes());
            let mut guard = keyspace.write(0, key);
            guard.remove();
            guard.commit(&[]);
        }
        assert_eq!((keyspace.len(0), keyspace.memory().tables), (0, 0), "{expected}");
    }
}

#[test]
fn tables_are_hardly_larger_than_those_that_grew() {
    let tables = |keyspace: &Keyspace| {
        let Memory { tables, .. } = keyspace.memory();
        tables
    };
    for keys in (15_000..32_000).step_by(1700) {
        let (grown, told) = (tables(&filled(0, keys)), tables(&filled(keys, keys)));
        assert!(told <= grown + grown / 8, "{keys} keys: {told} bytes, {grown} where it was not known");
    }
}

#[test]
fn more_keys_can_be_expected_of_a_database_that_has_some() {
    for (before, expected, keys) in
        [(1, 5000, 5000), (300, 400, 400), (5000, 5001, 40_000), (9000, 60_000, 60_000), (400, 30, 900)]
    {
        let mut keyspace = filled(0, before);
        keyspace.expect_keys(0, expected);
        (before..keys).for_each(|number| put(&mut keyspace, number));
        keyspace.expect_keys(0, 0);
        assert_eq!((keyspace.len(0), scanned(&mut keyspace)), (keys, keys), "{before}, {expected}");
        for number in 0..keys {
            let name = name(number);
            let key = keyspace.key(name.as_bytes());
            assert!(keyspace.peek(0, key).is_some(), "{name} of {expected}");
        }
        let (told, grown) = (keyspace.memory().tables, filled(0, keys).memory().tables);
        assert!(told <= grown + grown / 8, "{keys} keys: {told} bytes, {grown} where it was not known");
    }
}

#[test]
fn what_was_expected_is_forgotten() {
    let mut keyspace = keyspace(1_000_000);
    (0..100).for_each(|number| put(&mut keyspace, number));
    keyspace.flush(0, Free::Now);
    (0..100).for_each(|number| put(&mut keyspace, number));
    let used = keyspace.memory().used;
    assert!(used <= filled(0, 100).memory().used, "{used} bytes");
}
