//! Random writes of every type, and of whole keys and databases.

use carnelian_keyspace::stream::{Pending, References, StreamId, Trim, TrimTo};
use carnelian_keyspace::{
    End, Event, Free, Hash, Keyspace, Kind, Limits, List, Options, Random, ScoreUpdate, Set, SortedSet,
    Space, Stream, Ttl, Write,
};

/// Databases of the keyspaces.
pub(crate) const DATABASES: usize = 3;
/// The time at which they begin: late enough for real servers not to expire anything.
pub(crate) const NOW: u64 = 4_000_000_000_000;
/// Small keys, per type; and those that get many members.
const NAMES: u64 = 6;

/// A keyspace in which collections are large early.
pub(crate) fn keyspace(seed: u64) -> Keyspace {
    let mut keyspace =
        Keyspace::new(Options { databases: DATABASES, hash_seed: (seed, !seed), random_seed: seed });
    keyspace.set_now(NOW);
    keyspace.set_snapshot_large(3);
    keyspace.set_limits(Limits {
        list_max_listpack_size: 4,
        list_plain_threshold: 60,
        hash_max_listpack_entries: 8,
        set_max_intset_entries: 8,
        set_max_listpack_entries: 8,
        zset_max_listpack_entries: 8,
        stream_node_max_entries: 4,
        ..Limits::default()
    });
    keyspace
}

/// Makes random changes.
pub(crate) struct Workload {
    pub(crate) random: Random,
    /// How many different members there are in a collection.
    members: u64,
    /// The greatest ID in any stream.
    last: u64,
}

impl Workload {
    pub(crate) fn new(seed: u64) -> Workload {
        let mut random = keyspace(!seed).fork_random();
        let members = [12, 60, 400][random.below(3) as usize];
        Workload { random, members, last: 0 }
    }

    /// Whether something happens that has one chance in `n`.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.random.below(n) == 0
    }

    fn db(&mut self) -> usize {
        // Most happens in one database.
        self.random.below(DATABASES as u64 + 3).saturating_sub(3) as usize
    }

    fn name(&mut self, kind: &str) -> Vec<u8> {
        let mut name = format!("{kind}:{}", self.random.below(NAMES)).into_bytes();
        if name.ends_with(b"5") {
            name.resize(400, b'-');
        }
        name
    }

    fn member(&mut self) -> Vec<u8> {
        let n = self.random.below(self.members);
        match n % 10 {
            3 => n.to_string().into_bytes(),
            7 => format!("{n:-<90}").into_bytes(),
            _ => format!("member:{n}").into_bytes(),
        }
    }

    fn text(&mut self) -> Vec<u8> {
        let len = [0, 3, 20, 80, 300, 5000][(self.random.below(26) as usize).div_ceil(5)];
        let n = self.random.below(25);
        if len == 3 { n.to_string().into_bytes() } else { format!("{n:#<len$}").into_bytes() }
    }

    fn deadline(&mut self, now: u64) -> u64 {
        now + 1 + self.random.below(400)
    }

    /// One change of something.
    pub(crate) fn change(&mut self, keyspace: &mut Keyspace) {
        let db = self.db();
        match self.random.below(64) {
            0..=4 => self.string(keyspace, db),
            5..=14 => self.hash(keyspace, db),
            15..=23 => self.set(keyspace, db),
            24..=32 => self.sorted_set(keyspace, db),
            33..=43 => self.list(keyspace, db),
            44..=54 => self.stream(keyspace, db),
            55..=57 => self.key(keyspace, db),
            58..=60 => self.carry(keyspace, db),
            61 => {
                keyspace.set_now(keyspace.now() + self.random.below(60));
                keyspace.expire_due(20);
            }
            62 => _ = keyspace.compact(),
            _ => self.database(keyspace, db),
        }
    }

    /// Fills collections.
    pub(crate) fn fill(&mut self, keyspace: &mut Keyspace, changes: usize) {
        for _ in 0..changes {
            let db = self.db();
            match self.random.below(6) {
                0 => self.string(keyspace, db),
                1 => self.hash(keyspace, db),
                2 => self.set(keyspace, db),
                3 => self.sorted_set(keyspace, db),
                4 => self.list(keyspace, db),
                _ => self.stream(keyspace, db),
            }
        }
    }

    fn string(&mut self, keyspace: &mut Keyspace, db: usize) {
        let (name, text, now) = (self.name("string"), self.text(), keyspace.now());
        let key = keyspace.key(&name);
        let ttl = if self.once_in(4) { Ttl::At(self.deadline(now)) } else { Ttl::Keep };
        let mut guard = keyspace.write(db, key);
        match self.random.below(5) {
            0 => guard.set_int(self.random.next() as i64, ttl),
            1 => _ = guard.append(&text),
            2 => _ = guard.set_range(self.random.below(9000) as usize, &text),
            3 if guard.exists() => guard.edit_bytes(4, |bytes| bytes[0] ^= 1),
            _ => guard.set(&text, ttl),
        }
        guard.commit(&[Event::string("set")]);
    }

    fn hash(&mut self, keyspace: &mut Keyspace, db: usize) {
        let (name, now) = (self.name("hash"), keyspace.now());
        let (field, text, at) = (self.member(), self.text(), self.deadline(now));
        let key = keyspace.key(&name);
        match self.random.below(20) {
            0..=9 => edit(keyspace, db, &name, |hash: &mut Hash, space| {
                hash.set(space, &field, &text, Ttl::Keep);
            }),
            10 => edit(keyspace, db, &name, |hash: &mut Hash, space| {
                hash.set(space, &field, &text, Ttl::At(at));
            }),
            11 => edit(keyspace, db, &name, |hash: &mut Hash, space| {
                hash.set(space, &field, &text, Ttl::Clear);
            }),
            12..=13 => edit(keyspace, db, &name, |hash: &mut Hash, space| {
                hash.set_deadline(space, &field, Some(at));
            }),
            14 => edit(keyspace, db, &name, |hash: &mut Hash, space| hash.set_deadline(space, &field, None)),
            15 => keyspace.expire_all_fields(db, key),
            _ => edit(keyspace, db, &name, |hash: &mut Hash, space| _ = hash.remove(space, &field)),
        }
    }

    fn set(&mut self, keyspace: &mut Keyspace, db: usize) {
        let (name, member) = (self.name("set"), self.member());
        let part = self.random.below(10) as usize;
        match self.random.below(20) {
            0..=12 => edit(keyspace, db, &name, |set: &mut Set, space| _ = set.add(space, &member)),
            13 => edit(keyspace, db, &name, |set: &mut Set, space| {
                if !set.view().is_empty() {
                    set.pop(space, &mut |_| {});
                }
            }),
            14 => edit(keyspace, db, &name, |set: &mut Set, space| {
                let count = set.view().len() * part / 10;
                set.pop_many(space, count, &mut |_| {});
            }),
            _ => edit(keyspace, db, &name, |set: &mut Set, space| _ = set.remove(space, &member)),
        }
    }

    fn sorted_set(&mut self, keyspace: &mut Keyspace, db: usize) {
        let (name, member) = (self.name("zset"), self.member());
        let (score, how) = (self.random.below(50) as f64 / 4.0, ScoreUpdate::default());
        let (from, count) = (self.random.below(self.members) as usize, self.random.below(9) as usize);
        match self.random.below(20) {
            0..=14 => edit(keyspace, db, &name, |set: &mut SortedSet, space| {
                set.update(&member, score, how, space);
            }),
            15 => edit(keyspace, db, &name, |set: &mut SortedSet, space| {
                set.remove_ranks(from..from + count, space);
            }),
            _ => edit(keyspace, db, &name, |set: &mut SortedSet, space| _ = set.remove(&member, space)),
        }
    }

    fn list(&mut self, keyspace: &mut Keyspace, db: usize) {
        let (name, text, other) = (self.name("list"), self.text(), self.text());
        let end = if self.once_in(2) { End::Head } else { End::Tail };
        let (index, count) = (self.random.below(self.members) as usize, self.random.below(12) as usize);
        let after = self.once_in(2);
        match self.random.below(30) {
            0..=15 => edit(keyspace, db, &name, |list: &mut List, space| {
                list.push(space, end, [&text[..], &other[..]].into_iter());
            }),
            16..=18 => {
                edit(keyspace, db, &name, |list: &mut List, space| _ = list.pop(space, end, |_| {}));
            }
            19 => edit(keyspace, db, &name, |list: &mut List, space| list.drop_many(space, end, count)),
            20 => edit(keyspace, db, &name, |list: &mut List, space| {
                let len = list.len();
                list.keep(space, count.min(len), len.saturating_sub(2 * count));
            }),
            21 => edit(keyspace, db, &name, |list: &mut List, space| {
                list.rotate(space, end, End::Head, |_| {});
            }),
            22..=24 => edit(keyspace, db, &name, |list: &mut List, space| _ = list.set(space, index, &text)),
            25..=27 => edit(keyspace, db, &name, |list: &mut List, space| {
                list.insert(space, &other, after, &text);
            }),
            _ => edit(keyspace, db, &name, |list: &mut List, space| {
                list.remove(space, &text, count, end);
            }),
        }
    }

    fn stream(&mut self, keyspace: &mut Keyspace, db: usize) {
        let (name, text, now) = (self.name("stream"), self.text(), keyspace.now());
        self.last += 1;
        let id = StreamId { ms: self.last, seq: 0 };
        let any = StreamId { ms: self.random.below(self.last) + 1, seq: 0 };
        let group = [b"alpha".as_slice(), b"beta"][self.random.below(2) as usize];
        let consumer = [b"ann".as_slice(), b"bob", b"cy"][self.random.below(3) as usize];
        let limits = *keyspace.space().limits();
        let (what, n) = (self.random.below(40), self.random.below(50));
        edit(keyspace, db, &name, |stream: &mut Stream, _| match what {
            0..=15 => {
                let pairs = [(&b"field"[..], &text[..])];
                stream.log_mut().append(id, pairs.into_iter(), &limits).expect("it is not too large");
            }
            16..=18 => _ = stream.delete(any, References::Keep),
            19 => _ = stream.delete(any, References::Drop),
            20 => {
                let to = if n % 2 == 0 { TrimTo::Len(n) } else { TrimTo::Id(any) };
                let references =
                    [References::Keep, References::Drop, References::Acknowledged][n as usize % 3];
                stream.trim(&Trim { to, approximate: n % 5 == 0, limit: 0, references });
            }
            21 => {
                let added = stream.log().len() + n;
                stream.log_mut().set_facts(id, Some(added), None);
            }
            22 => _ = stream.groups_mut().destroy(group),
            _ => group_change(stream, group, consumer, (any, now), what),
        });
    }

    /// One change of a key as a whole.
    fn key(&mut self, keyspace: &mut Keyspace, db: usize) {
        let (name, at) = (self.any_name(), self.deadline(keyspace.now()));
        let key = keyspace.key(&name);
        let mut guard = keyspace.write(db, key);
        if !guard.exists() {
            return;
        }
        match self.random.below(4) {
            0 => guard.set_deadline(Some(at)),
            1 => guard.set_deadline(None),
            2 => guard.set(b"overwritten", Ttl::Clear),
            _ => guard.remove(),
        }
        guard.commit(&[]);
    }

    fn any_name(&mut self) -> Vec<u8> {
        let kind = ["string", "hash", "set", "zset", "list", "stream"][self.random.below(6) as usize];
        self.name(kind)
    }

    /// RENAME, MOVE or COPY.
    fn carry(&mut self, keyspace: &mut Keyspace, from_db: usize) {
        let from = self.any_name();
        let kind = from.split(|byte| *byte == b':').next().unwrap_or_default().to_vec();
        let to = self.name(&String::from_utf8_lossy(&kind));
        let (to_db, copy) = (self.db(), self.once_in(3));
        if (from_db, &from) == (to_db, &to) {
            return;
        }
        let (from, to) = (keyspace.key(&from), keyspace.key(&to));
        let owned = if copy {
            keyspace.duplicate(from_db, from)
        } else {
            let mut guard = keyspace.write(from_db, from);
            let owned = guard.take();
            guard.commit(&[]);
            owned
        };
        let Some(owned) = owned else { return };
        let mut guard = keyspace.write(to_db, to);
        guard.put(owned);
        guard.commit(&[]);
    }

    fn database(&mut self, keyspace: &mut Keyspace, db: usize) {
        let free = if self.once_in(2) { Free::Now } else { Free::Lazy };
        match self.random.below(12) {
            0 => _ = keyspace.flush_all(free),
            1..=2 => _ = keyspace.flush(db, free),
            _ => keyspace.swap(db, self.db()),
        }
    }
}

fn group_change(stream: &mut Stream, group: &[u8], consumer: &[u8], (any, now): (StreamId, u64), what: u64) {
    let Some((log, group)) = stream.group_mut(group) else {
        stream.groups_mut().create(group, any, None);
        return;
    };
    let Some(id) = group.consumer_named(consumer) else {
        group.create_consumer(consumer, now);
        return;
    };
    match what {
        23..=33 => {
            group.advance(log, any);
            for ms in any.ms..any.ms + what {
                let pending = Pending { consumer: id, delivered_at: now, deliveries: what };
                group.assign(StreamId { ms, seq: 0 }, pending);
            }
            group.consumer_mut(id).active_at = Some(now);
        }
        34..=36 => _ = group.acknowledge(any),
        37 => _ = group.remove_consumer(consumer),
        38 => {
            if let Some(pending) = group.find_mut(any) {
                pending.deliveries += 1;
            }
        }
        _ => group.consumer_mut(id).seen_at = now,
    }
}

/// Changes a collection, if the key holds one of the type, or nothing.
pub(crate) fn edit<C: carnelian_keyspace::Collection>(
    keyspace: &mut Keyspace,
    db: usize,
    name: &[u8],
    f: impl FnOnce(&mut C, &mut Space<'_>),
) {
    let key = keyspace.key(name);
    let mut guard: Write<'_> = keyspace.write(db, key);
    match guard.edit(f) {
        Ok(()) => guard.commit(&[]),
        Err(_) => guard.unchanged(),
    }
}

/// A key of each type and encoding, without large collections.
pub(crate) fn every_encoding(keyspace: &mut Keyspace) {
    keyspace.set_limits(Limits::default());
    let sizes: [(&str, u64); 3] = [("small", 5), ("medium", 100), ("large", 700)];
    for (size, n) in sizes {
        let name = |kind: Kind| format!("{}:{size}", kind.name()).into_bytes();
        for i in 0..n {
            let (text, long) = (format!("{i}"), format!("{i:*<60}"));
            edit(keyspace, 0, &name(Kind::Set), |set: &mut Set, space| {
                _ = set.add(space, text.as_bytes());
            });
            edit(keyspace, 0, &[&name(Kind::Set)[..], b":text"].concat(), |set: &mut Set, space| {
                _ = set.add(space, long.as_bytes());
            });
            edit(keyspace, 0, &name(Kind::SortedSet), |set: &mut SortedSet, space| {
                set.update(long.as_bytes(), i as f64 / 3.0, ScoreUpdate::default(), space);
            });
            edit(keyspace, 0, &name(Kind::Hash), |hash: &mut Hash, space| {
                hash.set(space, text.as_bytes(), long.as_bytes(), Ttl::Keep);
            });
            let at = if i % 3 == 0 { Ttl::At(NOW + 1000 + i) } else { Ttl::Clear };
            edit(keyspace, 2, &name(Kind::Hash), |hash: &mut Hash, space| {
                hash.set(space, text.as_bytes(), long.as_bytes(), at);
            });
            edit(keyspace, 0, &name(Kind::List), |list: &mut List, space| {
                list.push(space, End::Tail, std::iter::once(long.as_bytes()));
            });
        }
    }
    let huge = vec![b'h'; 20_000];
    edit(keyspace, 0, b"list:plain", |list: &mut List, space| {
        list.push(space, End::Tail, [b"a".as_slice(), &huge, b"c"].into_iter());
    });
    for (name, text) in
        [("int", "-7"), ("short", "abc"), ("long", &"x".repeat(2000)), ("huge", &"y".repeat(9000))]
    {
        let key = keyspace.key(name.as_bytes());
        let mut guard = keyspace.write(1, key);
        guard.set(text.as_bytes(), Ttl::At(NOW + 5000));
        guard.commit(&[]);
    }
}
