//! Segments of the tables of collections move when their pages are sparse, and nothing that the tables know is lost.

use carnelian_keyspace::{Event, Hash, Keyspace, Options, Set, Ttl, Value, Write};

const NOW: u64 = 1_700_000_000_000;
const CHANGED: Event = Event::generic("changed");

fn keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_now(NOW);
    keyspace
}

fn with<R>(keyspace: &mut Keyspace, key: &[u8], change: impl FnOnce(&mut Write<'_>) -> R) -> R {
    let key = keyspace.key(key);
    let mut guard = keyspace.write(0, key);
    let result = change(&mut guard);
    guard.commit(&[CHANGED]);
    result
}

fn add(keyspace: &mut Keyspace, key: &[u8], number: u32) -> bool {
    with(keyspace, key, |guard| {
        guard.edit(|set: &mut Set, space| set.add(space, &member(number))).expect("a set")
    })
}

fn remove(keyspace: &mut Keyspace, key: &[u8], number: u32) -> bool {
    with(keyspace, key, |guard| {
        guard.edit(|set: &mut Set, space| set.remove(space, &member(number))).expect("a set")
    })
}

fn contains(keyspace: &mut Keyspace, key: &[u8], number: u32) -> bool {
    let key = keyspace.key(key);
    match keyspace.read(0, key).expect("it exists").value() {
        Value::Set(set) => set.contains(&member(number)),
        _ => unreachable!("a set"),
    }
}

fn member(number: u32) -> Vec<u8> {
    format!("member:{number:010}").into_bytes()
}

fn compact(keyspace: &mut Keyspace) {
    while keyspace.compact() {}
}

/// Large enough for directories in parts, and just behind the wave in which all segments grow.
#[test]
#[cfg_attr(miri, ignore = "too large to interpret")]
fn segments_of_two_growing_sets_are_compacted() {
    const N: u32 = 1_010_000;
    let mut keyspace = keyspace();
    for number in 0..N {
        assert!(add(&mut keyspace, b"large", number));
        if number % 20 == 0 {
            assert!(add(&mut keyspace, b"small", number));
        }
        if number % 1000 == 0 {
            keyspace.compact();
        }
    }
    compact(&mut keyspace);
    let memory = keyspace.memory();
    assert!(memory.held < memory.used * 21 / 20, "{memory:?}");
    for number in 0..N {
        assert!(contains(&mut keyspace, b"large", number));
        assert_eq!(contains(&mut keyspace, b"small", number), number % 20 == 0);
    }
    for number in (0..N).filter(|number| number % 500 != 0) {
        assert!(remove(&mut keyspace, b"large", number));
        if number % 1000 == 1 {
            keyspace.compact();
        }
    }
    compact(&mut keyspace);
    for number in 0..N {
        assert_eq!(contains(&mut keyspace, b"large", number), number % 500 == 0);
    }
}

#[test]
fn deadlines_of_fields_survive_moves() {
    const N: u64 = 30_000;
    let mut keyspace = keyspace();
    for number in 0..N {
        with(&mut keyspace, b"h", |guard| {
            let field = number.to_string();
            let ttl = Ttl::At(NOW + 1 + number);
            guard.edit(|h: &mut Hash, space| h.set(space, field.as_bytes(), b"v", ttl)).expect("a hash");
        });
        if number % 50 == 0 {
            keyspace.compact();
        }
    }
    for passed in [N / 3, N / 2, N - 1] {
        compact(&mut keyspace);
        keyspace.set_now(NOW + passed);
        while keyspace.expire_due(1000).more {
            keyspace.compact();
        }
        let key = keyspace.key(b"h");
        match keyspace.read(0, key).expect("one field is left").value() {
            Value::Hash(hash) => assert_eq!(hash.len() as u64, N - passed),
            _ => unreachable!("a hash"),
        }
    }
    keyspace.set_now(NOW + N);
    while keyspace.expire_due(1000).more {}
    assert!(keyspace.is_empty(0));
    compact(&mut keyspace);
    assert_eq!(keyspace.memory().used, 0);
}

/// Removing a large set while another one grows: blocks that wait to be taken back stay where they are.
#[test]
#[cfg_attr(miri, ignore = "too large to interpret")]
fn nothing_moves_that_is_being_freed() {
    let mut keyspace = keyspace();
    for round in 0..20 {
        for number in 0..20_000 {
            add(&mut keyspace, b"gone", number);
            add(&mut keyspace, b"kept", number + round * 10_000);
        }
        with(&mut keyspace, b"gone", |guard| guard.remove());
        for number in 0..10_000 {
            add(&mut keyspace, b"kept", number + round * 10_000 + 20_000);
            if number % 100 == 0 {
                keyspace.compact();
            }
        }
        for number in round * 10_000..round * 10_000 + 30_000 {
            assert!(contains(&mut keyspace, b"kept", number));
        }
    }
}
