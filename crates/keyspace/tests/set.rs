//! Sets against a model under random operations (the fuzz target `set` runs the same), the forms that Redis gives
//! them, what they take, and whether chance is fair.

#[path = "models/set.rs"]
mod model;

use carnelian_keyspace::{Keyspace, Options};
use model::{edit, keyspace, set, text};
use proptest::prelude::*;
use std::collections::BTreeMap;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 150 }))]

    #[test]
    fn sets_equal_the_model(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        model::run(&bytes);
    }
}

fn encoding(keyspace: &mut Keyspace, key: &[u8]) -> &'static str {
    let key = keyspace.key(key);
    keyspace.read(0, key).map_or("none", |item| item.encoding().name())
}

#[test]
fn forms_change_when_redis_changes_them() {
    let mut ks = keyspace();
    let fill = |ks: &mut Keyspace, key: &[u8], members: &[&str]| {
        edit(ks, key, |set, space| {
            set.expect(space, members[0].as_bytes(), members.len());
            members.iter().for_each(|m| _ = set.add(space, m.as_bytes()));
        });
        encoding(ks, key)
    };
    let ints: Vec<String> = (0..13).map(|v| v.to_string()).collect();
    let ints: Vec<&str> = ints.iter().map(String::as_str).collect();
    assert_eq!(fill(&mut ks, b"ints", &ints[..12]), "intset");
    assert_eq!(fill(&mut ks, b"ints", &ints[12..]), "hashtable");
    assert_eq!(fill(&mut ks, b"few ints", &ints[..7]), "intset");
    assert_eq!(fill(&mut ks, b"few ints", &["a"]), "listpack");
    assert_eq!(fill(&mut ks, b"few ints", &["b"]), "hashtable");
    assert_eq!(fill(&mut ks, b"many ints", &ints[..8]), "intset");
    assert_eq!(fill(&mut ks, b"many ints", &["a"]), "hashtable");
    assert_eq!(fill(&mut ks, b"long int", &["12345678901"]), "intset");
    assert_eq!(fill(&mut ks, b"long int", &["a"]), "hashtable");
    assert_eq!(fill(&mut ks, b"long", &["a", "12345678901"]), "hashtable");
    assert_eq!(fill(&mut ks, b"many at once", &["a"; 9]), "hashtable");
    assert_eq!(fill(&mut ks, b"as many", &["a"; 8]), "listpack");
    assert_eq!(fill(&mut ks, b"as many", &["a"; 9]), "hashtable");
}

#[test]
fn a_large_set_takes_34_bytes_per_member_of_17() {
    let mut ks = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    const MEMBERS: usize = 200_000;
    edit(&mut ks, b"large", |set, space| {
        for i in 0..MEMBERS {
            set.add(space, format!("member:{i:010}").as_bytes());
        }
    });
    let key = ks.key(b"large");
    let bytes = ks.read(0, key).expect("it exists").memory(0) as f64 / MEMBERS as f64;
    assert!((32.0..36.0).contains(&bytes), "{bytes} bytes per member");
}

#[test]
fn every_choice_is_as_likely() {
    let mut ks = keyspace();
    let mut random = ks.fork_random();
    for (key, count) in [(&b"packed"[..], 6), (b"large", 40)] {
        for i in 0..count {
            edit(&mut ks, key, |set, space| set.add(space, format!("m{i}").as_bytes()));
        }
        for take in [1, 2, count / 2, count - 1] {
            let mut seen = BTreeMap::<Vec<u8>, u32>::new();
            let rounds = 20_000 / take;
            let name = ks.key(key);
            let members = set(&ks.read(0, name).expect("it exists"));
            for _ in 0..rounds {
                members.random_distinct(take, &mut random, |e| *seen.entry(text(e)).or_default() += 1);
            }
            let mean = (rounds * take) as f64 / count as f64;
            let off = |n: u32| (f64::from(n) - mean).abs() > 6.0 * mean.sqrt();
            assert!(seen.len() == count && !seen.values().any(|n| off(*n)), "{take} of {count}: {seen:?}");
        }
    }
}
