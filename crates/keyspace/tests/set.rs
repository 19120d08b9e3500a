//! Sets against `BTreeSet` under random operations, with limits so low that every conversion happens, and the
//! forms that Redis gives them.

use carnelian_keyspace::encoding::intset::IntsetRef;
use carnelian_keyspace::encoding::listpack::{Element, ListpackRef};
use carnelian_keyspace::{Encoding, Event, Keyspace, Limits, Options, Set, SetRef, Value};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

const EVENT: [Event; 1] = [Event::set("test")];
type Model = BTreeSet<Vec<u8>>;

fn keyspace() -> Keyspace {
    let mut ks = Keyspace::new(Options { databases: 1, hash_seed: (0x5eed, 0xbeef), random_seed: 42 });
    ks.set_limits(Limits {
        set_max_intset_entries: 12,
        set_max_listpack_entries: 8,
        set_max_listpack_value: 10,
        ..Limits::default()
    });
    ks
}

/// Changes the set at `key`.
fn edit<R>(
    ks: &mut Keyspace,
    key: &[u8],
    f: impl FnOnce(&mut Set, &mut carnelian_keyspace::Space<'_>) -> R,
) -> R {
    let key = ks.key(key);
    let mut guard = ks.write(0, key);
    let result = guard.edit(f).expect("the key holds a set");
    guard.commit(&EVENT);
    result
}

fn add(ks: &mut Keyspace, key: &[u8], member: &[u8]) -> bool {
    edit(ks, key, |set, space| set.add(space, member))
}

/// Calls `f` with the set at `key`, if there is one.
fn view<R>(ks: &mut Keyspace, key: &[u8], f: impl FnOnce(SetRef<'_>) -> R) -> Option<R> {
    let key = ks.key(key);
    match ks.read(0, key)?.value() {
        Value::Set(set) => Some(f(set)),
        other => panic!("not a set: {other:?}"),
    }
}

fn encoding(ks: &mut Keyspace, key: &[u8]) -> &'static str {
    view(ks, key, |set| set.encoding().name()).unwrap_or("none")
}

fn text(element: Element<'_>) -> Vec<u8> {
    element.to_bytes().into_owned()
}

fn members(set: SetRef<'_>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    set.for_each(|element| all.push(text(element)));
    all
}

/// Compares a set with its model in every way of reading it.
fn check(ks: &mut Keyspace, key: &[u8], model: &Model) {
    let mut random = ks.fork_random();
    let found = view(ks, key, |set| {
        assert_eq!(set.len(), model.len());
        assert_eq!(members(set).into_iter().collect::<Model>(), *model);
        assert!(model.iter().all(|m| set.contains(m) && set.contains_element(Element::new(m))));
        match (set.encoding(), set.packed()) {
            (Encoding::Intset, Some(bytes)) => assert!(IntsetRef::validate(bytes).is_ok()),
            (Encoding::Listpack, Some(bytes)) => assert!(ListpackRef::validate(bytes).is_ok()),
            (encoding, packed) => assert_eq!((encoding, packed), (Encoding::Hashtable, None)),
        }
        let (mut scanned, mut cursor) = (Model::new(), 0);
        loop {
            cursor = set.scan(cursor, &mut |element| assert!(scanned.insert(text(element))));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned, *model);
        for count in [1, model.len() / 4, model.len() / 2, model.len(), model.len() + 1] {
            let mut chosen = Model::new();
            set.random_distinct(count, &mut random, |element| assert!(chosen.insert(text(element))));
            assert!(chosen.len() == count.min(model.len()) && chosen.is_subset(model));
        }
        set.random_with_repeats(5, &mut random, |element| assert!(model.contains(&text(element))));
        assert!(set.memory(0) > 0);
    });
    assert_eq!(found.is_some(), !model.is_empty());
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0i64..30).prop_map(|v| v.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|v| v.to_string().into_bytes()),
        3 => (0u32..30).prop_map(|v| format!("m{v}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..14),
        1 => (100usize..6000).prop_map(|n| vec![b'x'; n]),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Add(u8, Vec<u8>),
    AddMany(u8, Vec<Vec<u8>>),
    Remove(u8, Vec<u8>),
    Pop(u8),
    PopMany(u8, usize),
    Copy(u8, u8),
    Narrow(u8),
    Combine(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0u8..3;
    prop_oneof![
        8 => (key(), member()).prop_map(|(k, m)| Op::Add(k, m)),
        2 => (key(), prop::collection::vec(member(), 1..20)).prop_map(|(k, m)| Op::AddMany(k, m)),
        4 => (key(), member()).prop_map(|(k, m)| Op::Remove(k, m)),
        1 => key().prop_map(Op::Pop),
        1 => (key(), 0usize..30).prop_map(|(k, n)| Op::PopMany(k, n)),
        1 => (key(), key()).prop_map(|(a, b)| Op::Copy(a, b)),
        1 => key().prop_map(Op::Narrow),
        2 => (1u8..4).prop_map(Op::Combine),
    ]
}

fn copy(ks: &mut Keyspace, from: &[u8], to: &[u8]) {
    let (from, to) = (ks.key(from), ks.key(to));
    let Some(owned) = ks.duplicate(0, from) else { return };
    let mut guard = ks.write(0, to);
    guard.put(owned);
    guard.commit(&EVENT);
}

/// Intersection, union and difference of the first `count` sets.
fn combine(ks: &mut Keyspace, models: &[Model], count: usize) {
    let names: Vec<_> = (0..count as u8).map(|k| [k]).collect();
    let keys: Vec<_> = names.iter().map(|name| ks.key(name)).collect();
    let (items, space) = ks.read_all(0, keys.into_iter());
    let sets: Vec<SetRef<'_>> = items
        .iter()
        .flatten()
        .map(|item| match item.value() {
            Value::Set(set) => set,
            other => panic!("not a set: {other:?}"),
        })
        .collect();
    let models: Vec<&Model> = models[..count].iter().filter(|model| !model.is_empty()).collect();
    let mut found = Model::new();
    SetRef::union(&sets, &space, |element| assert!(found.insert(text(element))));
    assert_eq!(found, models.iter().copied().flatten().cloned().collect::<Model>());
    let Some((first, others)) = sets.split_first() else { return };
    let mut found = Model::new();
    SetRef::intersection(&mut sets.clone(), |element| {
        assert!(found.insert(text(element)));
        ControlFlow::Continue(())
    });
    let all = |m: &&Vec<u8>| models.iter().all(|model| model.contains(*m));
    assert_eq!(found, models[0].iter().filter(all).cloned().collect::<Model>());
    let mut found = Model::new();
    SetRef::difference(*first, &mut others.to_vec(), &space, |element| {
        assert!(found.insert(text(element)));
    });
    let none = |m: &&Vec<u8>| !models[1..].iter().any(|model| model.contains(*m));
    assert_eq!(found, models[0].iter().filter(none).cloned().collect::<Model>());
}

fn apply(ks: &mut Keyspace, models: &mut [Model], op: Op) {
    match op {
        Op::Add(k, m) => assert_eq!(add(ks, &[k], &m), models[k as usize].insert(m)),
        Op::AddMany(k, ms) => edit(ks, &[k], |set, space| {
            set.expect(space, &ms[0], ms.len());
            for m in ms {
                assert_eq!(set.add_element(space, Element::Bytes(&m)), models[k as usize].insert(m));
            }
        }),
        Op::Remove(k, m) => {
            assert_eq!(edit(ks, &[k], |set, space| set.remove(space, &m)), models[k as usize].remove(&m));
        }
        Op::Pop(k) if !models[k as usize].is_empty() => {
            let model = &mut models[k as usize];
            edit(ks, &[k], |set, space| set.pop(space, &mut |e| assert!(model.remove(&text(e)))));
        }
        Op::PopMany(k, n) if n < models[k as usize].len() => {
            let model = &mut models[k as usize];
            let left = model.len() - n;
            edit(ks, &[k], |set, space| set.pop_many(space, n, &mut |e| assert!(model.remove(&text(e)))));
            assert_eq!(model.len(), left);
        }
        Op::Copy(a, b) if !models[a as usize].is_empty() => {
            copy(ks, &[a], &[b]);
            models[b as usize] = models[a as usize].clone();
        }
        Op::Narrow(k) => {
            let (ints, few) = (
                models[k as usize].iter().all(|m| Element::new(m).as_int().is_some()),
                models[k as usize].len() <= 12,
            );
            edit(ks, &[k], |set, space| set.narrow(space));
            if ints && few && !models[k as usize].is_empty() {
                assert_eq!(encoding(ks, &[k]), "intset");
            }
        }
        Op::Combine(n) => combine(ks, models, n as usize),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 100 }))]

    #[test]
    fn a_set_is_a_set(ops in prop::collection::vec(op(), 0..80)) {
        let mut ks = keyspace();
        let mut models = vec![Model::new(); 3];
        for op in ops {
            apply(&mut ks, &mut models, op);
            for k in 0..3u8 {
                check(&mut ks, &[k], &models[k as usize]);
            }
        }
    }
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
            add(&mut ks, key, format!("m{i}").as_bytes());
        }
        for take in [1, 2, count / 2, count - 1] {
            let mut seen = std::collections::BTreeMap::<Vec<u8>, u32>::new();
            let rounds = 20_000 / take;
            view(&mut ks, key, |set| {
                for _ in 0..rounds {
                    set.random_distinct(take, &mut random, |e| *seen.entry(text(e)).or_default() += 1);
                }
            });
            let mean = (rounds * take) as f64 / count as f64;
            let off = |n: u32| (f64::from(n) - mean).abs() > 6.0 * mean.sqrt();
            assert!(seen.len() == count && !seen.values().any(|n| off(*n)), "{take} of {count}: {seen:?}");
        }
    }
}
