//! Hashes with deadlines of fields against a std model with a clock: shared by a property test and a fuzz target.
//! Operations are read from bytes; when these end, so does the run.

use carnelian_keyspace::{
    Encoding, Event, Field, Hash, HashRef, Item, Keyspace, Limits, Options, Ttl, Value,
};
use std::collections::{BTreeMap, BTreeSet};

const EVENT: [Event; 1] = [Event::hash("test")];
const NEVER: u64 = u64::MAX;
const KEYS: usize = 3;
/// The key whose hash gets no deadlines, unless it is overwritten by a copy of another.
const PLAIN: usize = 0;

/// Operations as bytes.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn below(&mut self, n: u64) -> Option<u64> {
        let word = u64::from(self.byte()?) << 8 | u64::from(self.byte()?);
        Some(word % n)
    }

    /// Integers, texts that look like some, empty and long ones.
    fn text(&mut self, kinds: u64) -> Option<Vec<u8>> {
        let which = self.below(kinds)?;
        Some(match which % 9 {
            0 => which.to_string().into_bytes(),
            1 => format!("-{}", which * 7919).into_bytes(),
            2 => format!("0{which}").into_bytes(),
            3 => (which << 40).to_string().into_bytes(),
            4 if which == 4 => Vec::new(),
            5 if which % 5 == 0 => vec![which as u8; 60 + (which % 20) as usize],
            6 if which % 16 == 6 => vec![b'L'; 100 + which as usize * 20],
            _ => format!("text:{which}").into_bytes(),
        })
    }
}

/// The fields that are not due, by name.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

struct Run {
    keyspace: Keyspace,
    now: u64,
    models: [Model; KEYS],
}

fn key(n: usize) -> &'static [u8] {
    [b"a".as_slice(), b"the-second-hash", b"c"][n]
}

fn hash<'a>(item: &Item<'a>) -> HashRef<'a> {
    let Value::Hash(hash) = item.value() else { panic!("there are hashes only") };
    hash
}

fn name(field: &Field<'_>) -> Vec<u8> {
    field.name.to_bytes().into_owned()
}

/// Runs the operations that `bytes` stand for.
pub(crate) fn run(bytes: &[u8]) {
    let options = Options { databases: 1, hash_seed: (3, 4), random_seed: 5 };
    let mut run = Run { keyspace: Keyspace::new(options), now: 1_000_000, models: Default::default() };
    run.keyspace.set_now(run.now);
    let mut input = Input(bytes);
    while run.step(&mut input).is_some() {}
    (0..KEYS).for_each(|n| run.check(n));
}

impl Run {
    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let op = input.byte()?;
        let n = usize::from(op) % KEYS;
        match op / KEYS as u8 {
            0..=24 => {
                let (field, value) = (input.text(300)?, input.text(2000)?);
                self.set(n, &field, &value, input.byte()?);
            }
            25..=30 => {
                for i in 0..input.below(200)? {
                    self.set(n, format!("bulk:{i}").as_bytes(), b"v", (i % 7) as u8 * 32);
                }
            }
            31..=42 => self.remove(n, &input.text(300)?),
            43..=56 => self.set_deadline(n, &input.text(300)?, input.byte()?),
            57..=62 => self.advance(input.below(400)?),
            63..=68 => self.expire_due(1 + input.below(50)? as usize),
            69..=72 => self.expire_named(n, &[input.text(300)?, input.text(300)?]),
            73 => self.keyspace.expire_all_fields(0, self.keyspace.key(key(n))),
            74..=76 => self.copy(n, input.below(KEYS as u64)? as usize),
            77 => self.limit(input.below(600)? as usize, input.below(200)? as usize),
            78 => self.remove_key(n),
            _ => self.check(n),
        }
        Some(())
    }

    /// Whether a field is stored, due or not.
    fn stores(&mut self, n: usize, field: &[u8]) -> bool {
        let key = self.keyspace.key(key(n));
        self.keyspace.peek(0, key).is_some_and(|item| hash(&item).get(field).is_some())
    }

    fn edit<R>(&mut self, n: usize, f: impl FnOnce(&mut Hash, &mut carnelian_keyspace::Space<'_>) -> R) -> R {
        let key = self.keyspace.key(key(n));
        let mut guard = self.keyspace.write(0, key);
        let result = guard.edit(f).expect("there are hashes only");
        guard.commit(&EVENT);
        result
    }

    fn set(&mut self, n: usize, field: &[u8], value: &[u8], ttl: u8) {
        let stored = self.stores(n, field);
        let ttl = match ttl {
            _ if n == PLAIN => Ttl::Clear,
            0..=99 => Ttl::Clear,
            100..=149 => Ttl::Keep,
            _ => Ttl::At(self.now + u64::from(ttl)),
        };
        let is_new = self.edit(n, |hash, space| hash.set(space, field, value, ttl));
        assert_eq!(is_new, !stored);
        let old = self.models[n].get(field).map_or(NEVER, |(_, at)| *at);
        let deadline = match ttl {
            Ttl::Keep => old,
            Ttl::Clear => NEVER,
            Ttl::At(at) => at,
        };
        self.models[n].insert(field.to_vec(), (value.to_vec(), deadline));
    }

    fn remove(&mut self, n: usize, field: &[u8]) {
        let stored = self.stores(n, field);
        assert_eq!(self.edit(n, |hash, space| hash.remove(space, field)), stored);
        self.models[n].remove(field);
    }

    fn set_deadline(&mut self, n: usize, field: &[u8], after: u8) {
        if n == PLAIN {
            return;
        }
        // A field that is due is not there; callers see to that.
        let Some((_, deadline)) = self.models[n].get_mut(field) else { return };
        let at = (after > 60).then(|| self.now + u64::from(after));
        *deadline = at.unwrap_or(NEVER);
        self.edit(n, |hash, space| hash.set_deadline(space, field, at));
    }

    fn advance(&mut self, ms: u64) {
        self.now += ms;
        self.keyspace.set_now(self.now);
        for model in &mut self.models {
            model.retain(|_, (_, deadline)| *deadline > self.now);
        }
    }

    fn expire_due(&mut self, max: usize) {
        let mut runs = 0;
        while self.keyspace.expire_due(max).more {
            runs += 1;
            assert!(runs < 10_000, "expiry makes no progress");
        }
        for n in 0..KEYS {
            let key = self.keyspace.key(key(n));
            let stored = self.keyspace.peek(0, key).map_or(0, |item| hash(&item).len());
            assert_eq!(stored, self.models[n].len(), "what is due is removed, and nothing else");
        }
        let next = self.models.iter().flatten().map(|(_, (_, at))| *at).min().unwrap_or(NEVER);
        assert!(self.keyspace.next_deadline().unwrap_or(NEVER) <= next, "the time event would come late");
    }

    fn expire_named(&mut self, n: usize, fields: &[Vec<u8>]) {
        let key = self.keyspace.key(key(n));
        self.keyspace.expire_fields(0, key, fields.iter().map(Vec::as_slice));
        for field in fields {
            assert_eq!(self.stores(n, field), self.models[n].contains_key(field));
        }
    }

    fn copy(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        let key_from = self.keyspace.key(key(from));
        let Some(value) = self.keyspace.duplicate(0, key_from) else { return };
        let key_to = self.keyspace.key(key(to));
        let mut guard = self.keyspace.write(0, key_to);
        guard.put(value);
        guard.commit(&EVENT);
        self.models[to] = self.models[from].clone();
        self.check(to);
    }

    fn limit(&mut self, entries: usize, value: usize) {
        self.keyspace.set_limits(Limits {
            hash_max_listpack_entries: entries,
            hash_max_listpack_value: value,
            ..Limits::default()
        });
    }

    fn remove_key(&mut self, n: usize) {
        let key = self.keyspace.key(key(n));
        let mut guard = self.keyspace.write(0, key);
        if guard.exists() {
            guard.remove();
            guard.commit(&EVENT);
        }
        self.models[n].clear();
    }

    /// Compares everything that can be read.
    fn check(&mut self, n: usize) {
        let (now, model, mut random) = (self.now, &self.models[n], self.keyspace.fork_random());
        let key = self.keyspace.key(key(n));
        let Some(item) = self.keyspace.peek(0, key) else { return assert!(model.is_empty()) };
        let hash = hash(&item);
        let (mut all, mut stored) = (Model::new(), Vec::new());
        hash.for_each(|field| {
            stored.push(field.deadline().unwrap_or(NEVER));
            if field.is_live(now) {
                let value = (field.value.to_bytes().into_owned(), field.deadline().unwrap_or(NEVER));
                assert!(all.insert(name(&field), value).is_none(), "a field is there twice");
            }
        });
        assert_eq!(all, *model);
        assert_eq!(stored.len(), hash.len());
        let first = stored.iter().copied().min().unwrap_or(NEVER);
        match item.encoding() {
            Encoding::Listpack => assert!(first == NEVER),
            Encoding::ListpackEx => assert!(stored.is_sorted()),
            _ => {}
        }
        assert!(hash.next_deadline() <= first && (hash.is_large() || hash.next_deadline() == first));
        assert!(item.memory(0) > 0 && item.memory(1) > 0);
        for (field, (value, deadline)) in model {
            let found = hash.get(field).expect("the field is there");
            assert!(found.value.equals(value) && found.deadline().unwrap_or(NEVER) == *deadline);
            assert_eq!(found.value.len(), value.len());
        }
        assert!(hash.get(b"no such field").is_none());
        let drawn = hash.sample(&mut || random.next()).expect("no hash is empty");
        assert!(model.contains_key(&name(&drawn)) || !drawn.is_live(now));
        let (mut cursor, mut scanned) = (0, BTreeSet::new());
        loop {
            cursor = hash.scan(cursor, &mut |field| {
                if field.is_live(now) {
                    scanned.insert(name(&field));
                }
            });
            if cursor == 0 {
                break;
            }
        }
        assert!(scanned.iter().eq(model.keys()));
    }
}
