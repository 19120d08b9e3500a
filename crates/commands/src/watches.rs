//! Watched keys: who learns that a key has changed. Knows neither commands nor what happens then.

use std::collections::BTreeMap;

/// Who watches one key.
#[derive(Clone, Copy, Debug)]
struct Watcher {
    slot: u32,
    /// Whether the key existed when the watch began. As long as nobody has noticed a change, that is so still.
    exists: bool,
}

/// The watched keys of all databases. Nothing is kept of a key that nobody watches.
#[derive(Default, Debug)]
pub(crate) struct Watches {
    by_db: Vec<BTreeMap<Box<[u8]>, Vec<Watcher>>>,
    count: usize,
}

impl Watches {
    /// Whether nobody watches anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many keys are watched, each counted once.
    pub(crate) fn count_keys(&self) -> usize {
        self.by_db.iter().map(BTreeMap::len).sum()
    }

    /// The client in `slot` begins to watch a key that it does not watch yet.
    pub(crate) fn add(&mut self, slot: u32, db: usize, key: &[u8], exists: bool) {
        if self.by_db.len() <= db {
            self.by_db.resize_with(db + 1, BTreeMap::new);
        }
        self.by_db[db].entry(key.into()).or_default().push(Watcher { slot, exists });
        self.count += 1;
    }

    /// The client in `slot` no longer watches these keys.
    pub(crate) fn forget(&mut self, slot: u32, keys: &[(usize, Box<[u8]>)]) {
        for (db, key) in keys {
            let Some(watchers) = self.by_db[*db].get_mut(key) else { continue };
            let before = watchers.len();
            watchers.retain(|watcher| watcher.slot != slot);
            self.count -= before - watchers.len();
            if watchers.is_empty() {
                self.by_db[*db].remove(key);
            }
        }
    }

    /// Those who watch a key.
    pub(crate) fn watchers(&self, db: usize, key: &[u8]) -> Vec<u32> {
        let watchers = self.by_db.get(db).and_then(|keys| keys.get(key));
        watchers.into_iter().flatten().map(|watcher| watcher.slot).collect()
    }

    /// Names those who watch a key of a database that was emptied, if there was one.
    pub(crate) fn flushed(&self, db: usize, spoil: &mut dyn FnMut(u32)) {
        let watchers = self.by_db.get(db).into_iter().flat_map(BTreeMap::values).flatten();
        watchers.filter(|watcher| watcher.exists).for_each(|watcher| spoil(watcher.slot));
    }

    /// Names those who watch a key that exists in one of two databases which were exchanged. `exists` tells whether a
    /// key does now.
    pub(crate) fn swapped(
        &self,
        (a, b): (usize, usize),
        exists: &mut dyn FnMut(usize, &[u8]) -> bool,
        spoil: &mut dyn FnMut(u32),
    ) {
        for db in [a, b] {
            for (key, watchers) in self.by_db.get(db).into_iter().flatten() {
                let now = exists(db, key);
                watchers
                    .iter()
                    .filter(|watcher| watcher.exists || now)
                    .for_each(|watcher| spoil(watcher.slot));
            }
        }
    }
}
