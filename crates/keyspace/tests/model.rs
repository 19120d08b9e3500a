//! The keyspace against a sequential model under random operations: values, deadlines, whole databases,
//! scans across growth and shrinking, and snapshots taken in the middle.

use carnelian_keyspace::{Event, Free, Item, Keyspace, Options, SnapshotPart, SnapshotSink, Str, Ttl, Value};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

const EVENT: [Event; 1] = [Event::generic("test")];

fn keyspace(databases: usize) -> Keyspace {
    let mut ks = Keyspace::new(Options { databases, hash_seed: (0x5eed, 0xbeef), random_seed: 42 });
    ks.set_now(1_000_000);
    ks
}

fn text(item: &Item<'_>) -> Vec<u8> {
    let Value::Str(s) = item.value() else { panic!("the model has strings only") };
    s.to_bytes().into_owned()
}

fn set(ks: &mut Keyspace, db: usize, key: &[u8], value: &[u8], ttl: Ttl) {
    let key = ks.key(key);
    let mut w = ks.write(db, key);
    w.set(value, ttl);
    w.commit(&EVENT);
}

fn remove(ks: &mut Keyspace, db: usize, key: &[u8]) -> bool {
    let key = ks.key(key);
    let mut w = ks.write(db, key);
    if !w.exists() {
        return false;
    }
    w.remove();
    w.commit(&EVENT);
    true
}

fn get(ks: &mut Keyspace, db: usize, key: &[u8]) -> Option<Vec<u8>> {
    let key = ks.key(key);
    ks.read(db, key).map(|i| text(&i))
}

#[derive(Clone, Debug)]
enum Op {
    Set(u16, Vec<u8>, Option<u32>),
    SetKeepTtl(u16, Vec<u8>),
    Append(u16, Vec<u8>),
    SetRange(u16, u16, Vec<u8>),
    Deadline(u16, Option<u32>),
    Remove(u16),
    Rename(u16, u16),
    Advance(u16),
    ExpireDue,
    Flush,
    Swap,
    Compact,
    BeginSnapshot,
    StepSnapshot(u8),
    AbortSnapshot,
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..60),
        2 => any::<i64>().prop_map(|v| v.to_string().into_bytes()),
        2 => (-300i64..70_000).prop_map(|v| v.to_string().into_bytes()),
        1 => (200usize..3000).prop_map(|n| vec![b'x'; n]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0u16..400;
    prop_oneof![
        30 => (key(), value(), prop::option::of(0u32..5000)).prop_map(|(k, v, t)| Op::Set(k, v, t)),
        5 => (key(), value()).prop_map(|(k, v)| Op::SetKeepTtl(k, v)),
        5 => (key(), value()).prop_map(|(k, v)| Op::Append(k, v)),
        5 => (key(), 0u16..2000, value()).prop_map(|(k, o, v)| Op::SetRange(k, o, v)),
        8 => (key(), prop::option::of(0u32..5000)).prop_map(|(k, t)| Op::Deadline(k, t)),
        15 => key().prop_map(Op::Remove),
        5 => (key(), key()).prop_map(|(a, b)| Op::Rename(a, b)),
        4 => (0u16..1000).prop_map(Op::Advance),
        4 => Just(Op::ExpireDue),
        1 => Just(Op::Flush),
        1 => Just(Op::Swap),
        2 => Just(Op::Compact),
        2 => Just(Op::BeginSnapshot),
        8 => any::<u8>().prop_map(Op::StepSnapshot),
        1 => Just(Op::AbortSnapshot),
    ]
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;
type Dump = HashMap<(usize, Vec<u8>), (Vec<u8>, Option<u64>)>;

#[derive(Clone, Default)]
struct Consumer(Rc<RefCell<Dump>>);

impl SnapshotSink for Consumer {
    fn item(&mut self, db: usize, item: Item<'_>) {
        let old = self.0.borrow_mut().insert((db, item.key().to_vec()), (text(&item), item.deadline()));
        assert!(old.is_none(), "a key was handed out twice: {:?}", item.key());
    }

    fn open(&mut self, _: u64, _: usize, _: Item<'_>) {
        unreachable!("strings are no collections");
    }

    fn part(&mut self, _: u64, _: SnapshotPart<'_>) {
        unreachable!("nothing is open");
    }

    fn close(&mut self, _: u64) {
        unreachable!("nothing is open");
    }
}

/// Keys longer than 255 bytes and longer than an inline entry are among them.
fn name(k: u16) -> Vec<u8> {
    let mut name = format!("key:{k}").into_bytes();
    match k % 50 {
        7 => name.resize(300, b'-'),
        8 => name.resize(1500, b'+'),
        _ => {}
    }
    name
}

struct Run {
    ks: Keyspace,
    model: [Model; 2],
    now: u64,
    consumer: Consumer,
    /// What the running snapshot must hand out; `None`: it was given up, or none runs.
    expected: Option<Dump>,
}

impl Run {
    fn new() -> Run {
        let ks = keyspace(2);
        let now = ks.now();
        Run { ks, model: Default::default(), now, consumer: Consumer::default(), expected: None }
    }

    fn drop_expired(&mut self) {
        let now = self.now;
        self.model.iter_mut().for_each(|m| m.retain(|_, (_, at)| at.is_none_or(|at| at > now)));
    }

    fn apply(&mut self, op: Op) {
        self.drop_expired();
        let (ks, model, now) = (&mut self.ks, &mut self.model[0], self.now);
        match op {
            Op::Set(k, v, ttl) => {
                let at = ttl.map(|t| now + 1 + u64::from(t));
                set(ks, 0, &name(k), &v, at.map_or(Ttl::Clear, Ttl::At));
                model.insert(name(k), (v, at));
            }
            Op::SetKeepTtl(k, v) => {
                set(ks, 0, &name(k), &v, Ttl::Keep);
                let at = model.get(&name(k)).and_then(|m| m.1);
                model.insert(name(k), (v, at));
            }
            Op::Append(k, v) => {
                let bytes = name(k);
                let mut w = ks.write(0, ks.key(&bytes));
                let len = w.append(&v);
                w.commit(&EVENT);
                let m = model.entry(bytes).or_default();
                m.0.extend(v);
                assert_eq!(len, m.0.len());
            }
            Op::SetRange(k, offset, v) => {
                let bytes = name(k);
                let mut w = ks.write(0, ks.key(&bytes));
                let len = w.set_range(offset as usize, &v);
                w.commit(&EVENT);
                let m = model.entry(bytes).or_default();
                let end = offset as usize + v.len();
                m.0.resize(m.0.len().max(end), 0);
                m.0[offset as usize..end].copy_from_slice(&v);
                assert_eq!(len, m.0.len());
            }
            Op::Deadline(k, ttl) => {
                let bytes = name(k);
                let at = ttl.map(|t| now + 1 + u64::from(t));
                let mut w = ks.write(0, ks.key(&bytes));
                assert_eq!(w.exists(), model.contains_key(&bytes));
                if w.exists() {
                    w.set_deadline(at);
                    w.commit(&EVENT);
                    model.get_mut(&bytes).expect("as checked").1 = at;
                }
            }
            Op::Remove(k) => assert_eq!(remove(ks, 0, &name(k)), model.remove(&name(k)).is_some()),
            Op::Rename(a, b) => self.rename(&name(a), &name(b)),
            Op::Advance(ms) => {
                self.now += u64::from(ms);
                self.ks.set_now(self.now);
                self.drop_expired();
            }
            Op::ExpireDue => {
                while self.ks.expire_due(10).more {}
                assert_eq!(self.ks.len(0), self.model[0].len());
                assert_eq!(self.ks.volatile_len(0), self.model[0].values().filter(|v| v.1.is_some()).count());
            }
            Op::Flush => {
                ks.flush(0, Free::Lazy);
                model.clear();
            }
            Op::Swap => {
                ks.swap(0, 1);
                self.model.swap(0, 1);
            }
            Op::Compact => while ks.compact() {},
            Op::BeginSnapshot => self.begin_snapshot(),
            Op::StepSnapshot(n) => {
                if self.ks.step_snapshot(n as usize).is_some() {
                    self.check_snapshot();
                }
            }
            Op::AbortSnapshot => {
                self.ks.abort_snapshot();
                self.expected = None;
            }
        }
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) {
        let ks = &mut self.ks;
        let mut w = ks.write(0, ks.key(from));
        let owned = w.take();
        if owned.is_some() {
            w.commit(&EVENT);
        } else {
            drop(w);
        }
        let m = self.model[0].remove(from);
        assert_eq!(owned.is_some(), m.is_some());
        if let (Some(owned), Some(m)) = (owned, m) {
            let mut w = ks.write(0, ks.key(to));
            w.put(owned);
            w.commit(&EVENT);
            self.model[0].insert(to.to_vec(), m);
        }
    }

    fn begin_snapshot(&mut self) {
        // Expired keys that are still there may or may not be handed out: have none.
        while self.ks.expire_due(1000).more {}
        let consumer = Consumer::default();
        if self.ks.begin_snapshot(Box::new(consumer.clone())) {
            let all = self.model.iter().enumerate();
            self.expected = Some(
                all.flat_map(|(i, m)| m.iter().map(move |(k, v)| ((i, k.clone()), v.clone()))).collect(),
            );
            self.consumer = consumer;
        }
    }

    fn check_snapshot(&mut self) {
        let expected = self.expected.take().expect("only a snapshot that was not given up returns its sink");
        assert_eq!(*self.consumer.0.borrow(), expected);
    }

    fn check(&mut self) {
        while self.ks.snapshot_active() {
            if self.ks.step_snapshot(7).is_some() {
                self.check_snapshot();
            }
        }
        self.drop_expired();
        for db in 0..2 {
            let model = &self.model[db];
            let mut seen = BTreeMap::new();
            self.ks.for_each(db, &mut |i| {
                assert!(seen.insert(i.key().to_vec(), (text(&i), i.deadline())).is_none());
            });
            assert_eq!(&seen, model);
            let (ks, model) = (&mut self.ks, &self.model[db]);
            for (k, (v, _)) in model {
                assert_eq!(get(ks, db, k).as_ref(), Some(v));
            }
            assert!(get(ks, db, b"absent").is_none());
            match ks.random_key(db) {
                Some(k) => assert!(model.contains_key(&k)),
                None => assert!(model.is_empty()),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 150 }))]

    #[test]
    fn equals_a_model_under_random_operations(
        ops in prop::collection::vec(op(), if cfg!(miri) { 1..80 } else { 1..1500 })
    ) {
        let mut run = Run::new();
        for op in ops {
            run.apply(op);
        }
        run.check();
    }

    /// The guarantee of SCAN: what is there from the beginning to the end is returned, what never was is
    /// not, however the table grows and shrinks in between.
    #[test]
    fn scan_returns_all_that_stays(
        stay in 0usize..2000, come in 0usize..20_000, per_step in 1usize..400, seed in any::<u64>()
    ) {
        let (stay, come) = if cfg!(miri) { (stay / 50, come / 500) } else { (stay, come) };
        let mut ks = keyspace(1);
        let named = |p: &str, i: usize| format!("{p}:{i}:{seed}").into_bytes();
        (0..stay).for_each(|i| set(&mut ks, 0, &named("stay", i), b"v", Ttl::Clear));
        let mut seen = HashSet::new();
        let (mut cursor, mut step) = (0, 0);
        loop {
            cursor = ks.scan(0, cursor, &mut |i, is_live| {
                if is_live {
                    seen.insert(i.key().to_vec());
                }
            });
            prop_assert!(cursor < 1 << 53);
            if cursor == 0 { break }
            // First grow, then shrink.
            for _ in 0..per_step {
                if step < come { set(&mut ks, 0, &named("come", step), b"v", Ttl::Clear) }
                else if step < 2 * come { remove(&mut ks, 0, &named("come", step - come)); }
                step += 1;
            }
        }
        for i in 0..stay {
            prop_assert!(seen.remove(&named("stay", i)));
        }
        prop_assert!(seen.iter().all(|k| k.starts_with(b"come:")));
    }
}

/// Growth to many segments, cut directories, and back to nothing.
#[test]
#[cfg_attr(miri, ignore = "too large to interpret; the same paths run above in small")]
fn grows_and_shrinks_through_all_sizes() {
    let mut ks = keyspace(1);
    let n = 1_500_000u32;
    for i in 0..n {
        set(&mut ks, 0, &i.to_le_bytes(), &i.to_be_bytes(), Ttl::Clear);
    }
    assert_eq!(ks.len(0), n as usize);
    while ks.compact() {}
    let full = ks.memory();
    let (bytes, slots) = ks.table_memory(0);
    assert!((bytes as f64) < 12.0 * f64::from(n), "{bytes} bytes of table");
    assert!(full.held < full.used * 21 / 20, "{full:?}");
    assert!(slots as f64 * 0.55 < f64::from(n), "{slots} slots");
    for i in 0..n {
        assert_eq!(get(&mut ks, 0, &i.to_le_bytes()).as_deref(), Some(&i.to_be_bytes()[..]));
    }
    for i in (0..n).filter(|i| i % 100 != 0) {
        assert!(remove(&mut ks, 0, &i.to_le_bytes()));
    }
    while ks.compact() {}
    for i in 0..n {
        assert_eq!(get(&mut ks, 0, &i.to_le_bytes()).is_some(), i % 100 == 0);
    }
    let sparse = ks.memory();
    assert!(sparse.used < full.used / 40, "{sparse:?} {full:?}");
    assert!(sparse.held < full.held / 15, "{sparse:?} {full:?}");
    for i in (0..n).step_by(100) {
        assert!(remove(&mut ks, 0, &i.to_le_bytes()));
    }
    assert_eq!(ks.memory().used, 0);
}

/// Chi-square over 1,000 keys and 200,000 draws, in a table of uneven segments; the bound is the 0.9999
/// quantile for 999 degrees of freedom.
#[test]
#[cfg_attr(miri, ignore = "too many draws to interpret")]
fn random_keys_are_fair() {
    for keys in [1000usize, 1300, 1700] {
        let mut ks = keyspace(1);
        (0..keys).for_each(|i| set(&mut ks, 0, format!("k{i}").as_bytes(), b"v", Ttl::Clear));
        let mut counts: HashMap<Vec<u8>, f64> = HashMap::new();
        let draws = 200 * keys;
        for _ in 0..draws {
            *counts.entry(ks.random_key(0).expect("not empty")).or_default() += 1.0;
        }
        let expected = draws as f64 / keys as f64;
        let chi2: f64 = (0..keys)
            .map(|i| counts.get(format!("k{i}").as_bytes()).copied().unwrap_or(0.0))
            .map(|n| (n - expected) * (n - expected) / expected)
            .sum();
        let freedom = (keys - 1) as f64;
        assert!(chi2 < freedom + 3.72 * (2.0 * freedom).sqrt() + 10.0, "{keys} keys: chi-square {chi2}");
    }
}

#[test]
fn keys_expire_on_time_and_the_lag_is_measured() {
    let mut ks = keyspace(1);
    for i in 0..5000u64 {
        set(&mut ks, 0, format!("k{i}").as_bytes(), b"v", Ttl::At(1_000_001 + i % 100));
    }
    set(&mut ks, 0, b"stays", b"v", Ttl::Clear);
    assert_eq!(ks.next_deadline(), Some(1_000_001));
    let mut removed = 0;
    while let Some(at) = ks.next_deadline() {
        ks.set_now(at);
        loop {
            let run = ks.expire_due(100);
            removed += run.removed;
            if !run.more {
                break;
            }
        }
    }
    assert_eq!((removed, ks.len(0), ks.stats().expired), (5000, 1, 5000));
    assert_eq!((ks.stats().lag.count(), ks.stats().lag.max()), (5000, 0));
    ks.set_active_expire(false);
    let late = ks.now() + 1;
    set(&mut ks, 0, b"late", b"v", Ttl::At(late));
    ks.set_now(late + 9);
    assert_eq!((ks.next_deadline(), ks.expire_due(10).removed, ks.len(0)), (None, 0, 2));
    ks.set_active_expire(true);
    assert_eq!((ks.expire_due(10).removed, ks.stats().lag.max()), (1, 9));
}

#[test]
fn encodings_are_those_of_redis() {
    let mut ks = keyspace(1);
    let mut encoding = |value: &[u8], append: Option<&[u8]>| {
        set(&mut ks, 0, b"k", value, Ttl::Clear);
        let key = ks.key(b"k");
        if let Some(more) = append {
            let mut w = ks.write(0, key);
            w.append(more);
            w.commit(&EVENT);
        }
        ks.peek(0, key).map(|i| i.encoding().name())
    };
    assert_eq!(encoding(b"12345", None), Some("int"));
    assert_eq!(encoding(b"-9223372036854775808", None), Some("int"));
    assert_eq!(encoding(b"9223372036854775808", None), Some("embstr"));
    assert_eq!(encoding(&[b'x'; 44], None), Some("embstr"));
    assert_eq!(encoding(&[b'x'; 45], None), Some("raw"));
    assert_eq!(encoding(&[b'x'; 5000], None), Some("raw"));
    assert_eq!(encoding(b"1", Some(b"2")), Some("raw"));
}

#[test]
fn a_shared_value_is_not_changed_under_its_reader() {
    let mut ks = keyspace(1);
    set(&mut ks, 0, b"k", &[b'a'; 100_000], Ttl::Clear);
    let key = ks.key(b"k");
    let Some(Value::Str(Str::Shared(blob))) = ks.read(0, key).map(|i| i.value()) else { panic!("a blob") };
    let held = blob.clone();
    let mut w = ks.write(0, key);
    w.set_range(0, b"changed");
    w.commit(&EVENT);
    assert!(held.iter().all(|b| *b == b'a'));
    assert_eq!(&get(&mut ks, 0, b"k").expect("exists")[..7], b"changed");
}
