//! How many keys a log is going to leave behind, estimated while it is scanned, so that the tables can be planned.
//!
//! Of the names of keys in each database, those with the smallest hashes are kept, with whether the last command on each
//! may have removed it. How dense these hashes are tells how many names there are; and since they are a fair sample of all
//! names, it also tells how many of them lead to new keys. Deletions therefore count, and names which a base has already
//! do not. No command is executed, and what a command removes depends on values, so the estimate takes the side of fewer
//! keys: a table that is planned too small grows as always, one that is planned too large wastes memory.

use std::collections::BTreeMap;

use carnelian_keyspace::{Hasher, Keyspace};
use carnelian_persistence::aof::Visit;

use crate::args;
use crate::row::{Begin, Find, KeyFlags, KeySpec};
use crate::table::{Found, Table};

/// Names that are kept per database: the estimate is off by about one part in the root of this, 1.6 %.
const SAMPLE: usize = 4096;

/// Databases that are looked at.
const DATABASES: usize = 64;

/// What is known of the keys of a log.
pub(crate) struct Foreseen {
    table: Table,
    hasher: Hasher,
    databases: BTreeMap<usize, Sample>,
    db: usize,
    /// What to do with the words of the command.
    act: Act,
}

#[derive(Clone, Copy)]
enum Act {
    Nothing,
    /// Some of them are keys.
    Keys(&'static [KeySpec]),
    Select,
    /// The first of two databases, once it is known.
    Swap(usize),
}

/// The names with the smallest hashes.
struct Sample {
    names: BTreeMap<u64, Name>,
    /// Larger hashes are not among them.
    bound: u64,
}

struct Name {
    bytes: Box<[u8]>,
    /// Whether the last command on it leaves a key.
    is_kept: bool,
}

impl Foreseen {
    /// `hasher`: that of the keyspace.
    pub(crate) fn new(hasher: Hasher) -> Foreseen {
        Foreseen { table: Table::new(), hasher, databases: BTreeMap::new(), db: 0, act: Act::Nothing }
    }

    /// The next log begins.
    pub(crate) fn begin_log(&mut self) {
        self.db = 0;
        self.act = Act::Nothing;
    }

    /// Tells each database how many keys it is going to have, its present ones included.
    pub(crate) fn tell(&self, keyspace: &mut Keyspace) {
        for (&db, sample) in self.databases.range(..keyspace.databases()) {
            let keys = sample.new_keys(keyspace, db).saturating_add(keyspace.len(db) as u64);
            keyspace.expect_keys(db, usize::try_from(keys).unwrap_or(usize::MAX));
        }
    }

    /// What the first word of a command means for the others.
    fn act_of(&mut self, name: &[u8]) -> Act {
        let Found::Command(id) = self.table.find(name, None) else { return Act::Nothing };
        let row = self.table.command(id).row;
        let is = |other: &[u8]| row.name.as_bytes().eq_ignore_ascii_case(other);
        if is(b"SELECT") {
            return Act::Select;
        } else if is(b"SWAPDB") {
            return Act::Swap(usize::MAX);
        } else if is(b"FLUSHDB") {
            self.databases.remove(&self.db);
        } else if is(b"FLUSHALL") {
            self.databases.clear();
        }
        if row.keys.is_empty() { Act::Nothing } else { Act::Keys(row.keys) }
    }

    fn key(&mut self, flags: KeyFlags, name: &[u8]) {
        let hash = self.hasher.hash(name);
        if self.databases.len() == DATABASES && !self.databases.contains_key(&self.db) {
            return;
        }
        let sample = self.databases.entry(self.db).or_insert_with(Sample::new);
        if hash <= sample.bound {
            sample.note(hash, name, !flags.intersects(KeyFlags::RM.union(KeyFlags::DELETE)));
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (was_a, was_b) = (self.databases.remove(&a), self.databases.remove(&b));
        self.databases.extend(was_a.map(|sample| (b, sample)));
        self.databases.extend(was_b.map(|sample| (a, sample)));
    }
}

impl Visit for Foreseen {
    #[inline]
    fn word(&mut self, index: u64, words: u64, word: &[u8]) {
        if index == 0 {
            self.act = self.act_of(word);
            return;
        }
        match self.act {
            Act::Nothing => {}
            Act::Keys(specs) => {
                if let Some(spec) = specs.iter().find(|spec| names_key(spec, index, words)) {
                    self.key(spec.flags, word);
                }
            }
            Act::Select => self.db = number(word).unwrap_or(self.db),
            Act::Swap(first) if index == 2 => {
                if let Some(second) = number(word).filter(|_| first != usize::MAX) {
                    self.swap(first, second);
                }
            }
            Act::Swap(_) => self.act = Act::Swap(number(word).unwrap_or(usize::MAX)),
        }
    }
}

impl Sample {
    fn new() -> Sample {
        Sample { names: BTreeMap::new(), bound: u64::MAX }
    }

    #[cold]
    fn note(&mut self, hash: u64, name: &[u8], is_kept: bool) {
        let noted = self.names.entry(hash).or_insert_with(|| Name { bytes: name.into(), is_kept });
        noted.is_kept = is_kept;
        if self.names.len() > SAMPLE {
            self.names.pop_last();
            self.bound = self.names.last_key_value().map_or(u64::MAX, |(hash, _)| *hash);
        }
    }

    /// How many names there are.
    fn all(&self) -> u64 {
        let count = self.names.len() as u64;
        if self.bound == u64::MAX {
            return count;
        }
        let all = (u128::from(count - 1) << 64) / u128::from(self.bound.max(1));
        u64::try_from(all).unwrap_or(u64::MAX)
    }

    /// How many of them lead to keys that a database does not have.
    fn new_keys(&self, keyspace: &mut Keyspace, db: usize) -> u64 {
        let mut is_new = |hash: &u64, name: &Name| {
            let key = keyspace.hashed_key(&name.bytes, *hash);
            name.is_kept && keyspace.peek(db, key).is_none()
        };
        let new = self.names.iter().filter(|(hash, name)| is_new(hash, name)).count() as u64;
        let all = self.all();
        let estimate = u128::from(all) * u128::from(new) / u128::from(self.names.len().max(1) as u64);
        u64::try_from(estimate).unwrap_or(u64::MAX)
    }
}

/// Whether a word of a command is a key, as far as its place tells.
fn names_key(spec: &KeySpec, index: u64, words: u64) -> bool {
    let (Begin::Index(begin), Find::Range { last, step, .. }) = (spec.begin, spec.find) else { return false };
    let begin = begin as u64;
    let last = if last < 0 {
        words.saturating_sub(u64::from(last.unsigned_abs()))
    } else {
        begin + u64::from(last.unsigned_abs())
    };
    (begin..=last).contains(&index) && (index - begin).is_multiple_of(step as u64)
}

fn number(word: &[u8]) -> Option<usize> {
    args::text(word).parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Shows a log in words.
    fn show(foreseen: &mut Foreseen, lines: &[&str]) {
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            for (i, word) in (0..).zip(&words) {
                foreseen.word(i, words.len() as u64, word.as_bytes());
            }
        }
    }

    fn keyspace(databases: usize) -> Keyspace {
        Keyspace::new(carnelian_keyspace::Options { databases, hash_seed: (1, 2), random_seed: 3 })
    }

    fn nothing() -> Foreseen {
        Foreseen::new(keyspace(1).hasher())
    }

    /// New keys per database.
    fn new_keys(foreseen: &Foreseen, keyspace: &mut Keyspace) -> Vec<(usize, u64)> {
        foreseen.databases.iter().map(|(db, sample)| (*db, sample.new_keys(keyspace, *db))).collect()
    }

    fn of(lines: &[&str]) -> Vec<(usize, u64)> {
        let mut foreseen = nothing();
        show(&mut foreseen, lines);
        new_keys(&foreseen, &mut keyspace(16))
    }

    #[test]
    fn keys_are_found_in_commands() {
        assert_eq!(
            of(&["SELECT 0", "SET a b", "set a c", "HSET h f v", "FUNCTION LOAD x", "MULTI", "NO k"]),
            [(0, 2)]
        );
        assert_eq!(of(&["MSET a 1 b 2 c 3", "LPUSH d a b c"]), [(0, 4)]);
        assert_eq!(
            of(&["SET a 1", "SELECT 12", "SET a 1", "SET b 1", "SELECT 0", "SET c 1"]),
            [(0, 2), (12, 2)]
        );
        assert_eq!(of(&["XGROUP CREATE s g 0 MKSTREAM", "PING", "SELECT x", "SET a 1"]), [(0, 1)]);
    }

    #[test]
    fn what_may_have_been_removed_does_not_count() {
        assert_eq!(of(&["MSET a 1 b 2 c 3 d 4", "DEL a b c"]), [(0, 1)]);
        assert_eq!(of(&["SET a 1", "UNLINK a", "SET a 1"]), [(0, 1)]);
        assert_eq!(of(&["RPUSH l 1", "RPUSH m 1", "LPOP l"]), [(0, 1)]);
        assert_eq!(of(&["SET a 1", "RENAME a b"]), [(0, 1)]);
    }

    #[test]
    fn databases_are_emptied_and_exchanged() {
        let two = ["SELECT 1", "SET a 1", "SELECT 2", "MSET a 1 b 2"];
        let after = |last: &'static str| of(&[&two[..], &[last]].concat());
        assert_eq!(after("FLUSHDB"), [(1, 1)]);
        assert_eq!(after("FLUSHALL ASYNC"), []);
        assert_eq!(after("SWAPDB 1 2"), [(1, 2), (2, 1)]);
        assert_eq!(after("SWAPDB 1 7"), [(2, 2), (7, 1)]);
        assert_eq!(after("SWAPDB 1 x"), [(1, 1), (2, 2)]);
        assert_eq!(after("SWAPDB 2 2"), [(1, 1), (2, 2)]);
    }

    #[test]
    fn a_log_begins_in_the_first_database() {
        let mut foreseen = nothing();
        show(&mut foreseen, &["SELECT 3", "SET a 1"]);
        foreseen.begin_log();
        show(&mut foreseen, &["SET b 1"]);
        assert_eq!(new_keys(&foreseen, &mut keyspace(16)), [(0, 1), (3, 1)]);
        // The server has fewer databases now.
        foreseen.tell(&mut keyspace(2));
    }

    #[test]
    fn memory_is_bounded() {
        let mut foreseen = nothing();
        for db in 0..1000 {
            show(&mut foreseen, &[&format!("SELECT {db}"), "SET a 1"]);
        }
        assert_eq!(foreseen.databases.len(), DATABASES);
        foreseen.begin_log();
        for i in 0..20_000 {
            show(&mut foreseen, &[&format!("SET key:{i} 1")]);
        }
        assert_eq!(foreseen.databases[&0].names.len(), SAMPLE);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn estimates_are_near_the_truth(
            keys in 1u32..60_000,
            removed in 0u32..100,
            present in 0u32..100,
            repeated in 0u32..3,
        ) {
            let mut foreseen = nothing();
            let mut keyspace = keyspace(1);
            let mut new = BTreeSet::new();
            for i in 0..keys {
                let name = format!("key:{i}");
                (0..=repeated).for_each(|_| show(&mut foreseen, &[&format!("SET {name} 1")]));
                if i.wrapping_mul(0x9e37_79b9) >> 16 & 127 < removed {
                    show(&mut foreseen, &[&format!("DEL {name}")]);
                    continue;
                }
                new.insert(name.clone());
                if i.wrapping_mul(0x85eb_ca6b) >> 16 & 127 < present {
                    let key = keyspace.key(name.as_bytes());
                    let mut guard = keyspace.write(0, key);
                    guard.set(b"value", carnelian_keyspace::Ttl::Clear);
                    guard.commit(&[]);
                    new.remove(&name);
                }
            }
            let found = new_keys(&foreseen, &mut keyspace);
            let (found, truth) = (found[0].1, new.len() as u64);
            if u64::from(keys) <= SAMPLE as u64 {
                prop_assert_eq!(found, truth);
            } else {
                // More than six times the usual error.
                let slack = u64::from(keys) / 9;
                prop_assert!(found <= truth + slack && truth <= found + slack, "{} instead of {}", found, truth);
            }
        }
    }
}
