//! One numbered database: its table, the slabs that hold its entries, and what it counts.

use crate::entry::{Entries, Entry, Head, MAX_INLINE, Outline, Payload};
use crate::hash::Hasher;
use crate::key::Key;
use crate::pages::{PAGE, PagePool, UNIT};
use crate::reaper::Reaper;
use crate::slab::{Bin, Slab};
use crate::table::{self, Place, Table};
use std::sync::Arc;

/// A database. Entries and the table's segments have slabs of their own, so that the whole goes away
/// without a visit to every key.
pub(crate) struct Db {
    pub(crate) table: Table<Entries>,
    entries: Slab,
    blocks: Slab,
    /// Keys with a deadline, and the sum of their deadlines.
    volatile: usize,
    deadline_sum: u128,
    /// Hashes some fields of which have deadlines.
    timed_hashes: usize,
    /// Entries that hold something outside of the slabs.
    outline: usize,
    /// Set while a snapshot has not walked all of this database.
    pub(crate) walk: Option<Walk>,
}

/// How far a snapshot came in a database.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    /// The database's number when the snapshot began.
    pub(crate) number: usize,
    pub(crate) position: u64,
}

impl Db {
    pub(crate) fn new(hasher: Hasher, pool: &Arc<PagePool>) -> Db {
        Db {
            table: Table::new(hasher),
            entries: Slab::new(Arc::clone(pool)),
            blocks: Slab::new(Arc::clone(pool)),
            volatile: 0,
            deadline_sum: 0,
            timed_hashes: 0,
            outline: 0,
            walk: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn volatile(&self) -> usize {
        self.volatile
    }

    pub(crate) fn timed_hashes(&self) -> usize {
        self.timed_hashes
    }

    /// The mean deadline of the keys that have one, in unix milliseconds.
    pub(crate) fn mean_deadline(&self) -> Option<u64> {
        (self.volatile > 0).then(|| (self.deadline_sum / self.volatile as u128) as u64)
    }

    /// Bytes in blocks that hold something, and bytes of pages that hold those blocks.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let directory = self.table.directory_bytes();
        (
            self.entries.used() + self.blocks.used() + directory,
            self.entries.held() + self.blocks.held() + directory,
        )
    }

    /// Bytes of the table alone, without the entries.
    pub(crate) fn table_bytes(&self) -> usize {
        self.blocks.used() + self.table.directory_bytes()
    }

    #[inline]
    #[allow(unsafe_code)]
    pub(crate) fn find(&self, key: Key<'_>) -> Option<(Entry, Place)> {
        let (block, place) = self.table.find(key.hash, key.bytes)?;
        // SAFETY: the table holds live entries.
        Some((unsafe { Entry::from_block(block) }, place))
    }

    /// Adds an entry for a key that is absent.
    pub(crate) fn insert(&mut self, key: Key<'_>, payload: Payload<'_>, head: Head) -> (Entry, Place) {
        let entry = Entry::new(&mut self.entries, key.bytes, payload, head);
        self.count(entry);
        (entry, self.table.insert(&mut self.blocks, key.hash, entry.block()))
    }

    /// Gives an entry a new value and head, in place if the block allows. Returns the entry and what the old
    /// value had outside of it.
    #[inline]
    pub(crate) fn rewrite(
        &mut self,
        key: Key<'_>,
        (entry, place): (Entry, Place),
        payload: Payload<'_>,
        head: Head,
    ) -> (Entry, Option<Outline>) {
        self.discount(entry);
        let (new, old) = match entry.overwrite(payload, head) {
            Ok(old) => {
                self.note_due((entry, place));
                (entry, old)
            }
            Err(payload) => {
                let new = Entry::new(&mut self.entries, key.bytes, payload, head);
                self.table.replace(&mut self.blocks, place, new.block());
                (new, entry.free(&mut self.entries))
            }
        };
        self.count(new);
        (new, old)
    }

    /// Sets or removes the deadline of an entry.
    pub(crate) fn set_deadline(&mut self, (entry, place): (Entry, Place), deadline: Option<u64>) -> Entry {
        self.discount(entry);
        let new = match (entry.deadline(), deadline) {
            (None, None) => entry,
            (Some(_), Some(at)) => {
                entry.put_deadline(at);
                self.table.note_deadline(&mut self.blocks, place, at);
                entry
            }
            _ => {
                let new = entry.with_deadline(&mut self.entries, deadline);
                self.table.replace(&mut self.blocks, place, new.block());
                entry.free_block(&mut self.entries);
                new
            }
        };
        self.count(new);
        new
    }

    /// Removes an entry and hands out what it held outside of its block.
    pub(crate) fn remove(&mut self, (entry, place): (Entry, Place)) -> Option<Outline> {
        self.discount(entry);
        self.table.remove(&mut self.blocks, place);
        entry.free(&mut self.entries)
    }

    /// After the object of an entry was changed in place: renews what the entry and the table know of it.
    pub(crate) fn refresh_object(&mut self, found: (Entry, Place)) {
        self.timed_hashes -= usize::from(found.0.has_timed_fields());
        found.0.refresh_object();
        self.timed_hashes += usize::from(found.0.has_timed_fields());
        self.note_due(found);
    }

    /// Tells the table when something is to be done about an entry, after it may have come earlier.
    #[inline]
    fn note_due(&mut self, (entry, place): (Entry, Place)) {
        let due = entry.due();
        if due != u64::MAX {
            self.table.note_deadline(&mut self.blocks, place, due);
        }
    }

    /// Removes about `max` entries that are due at `now`. Before an entry is freed, `gone` sees it; `reap` gets what
    /// it held outside of its block. Entries that stay, since only fields of theirs are due, are named to `fields`:
    /// their fields have to be removed, which notes the rest again.
    #[allow(unsafe_code)]
    pub(crate) fn remove_due(
        &mut self,
        now: u64,
        max: usize,
        gone: &mut dyn FnMut(Entry, u64, Option<Walk>),
        reap: &mut dyn FnMut(Outline),
        fields: &mut dyn FnMut(Entry),
    ) -> usize {
        let (entries, walk) = (&mut self.entries, self.walk);
        let (volatile, sum, outline) = (&mut self.volatile, &mut self.deadline_sum, &mut self.outline);
        let timed_hashes = &mut self.timed_hashes;
        self.table.remove_due(&mut self.blocks, now, max, &mut |block, _| {
            // SAFETY: the table hands out live entries, which are freed here, once.
            let entry = unsafe { Entry::from_block(block) };
            let Some(deadline) = entry.deadline().filter(|at| *at <= now) else {
                fields(entry);
                return false;
            };
            gone(entry, deadline, walk);
            *volatile -= 1;
            *sum -= u128::from(deadline);
            *outline -= usize::from(entry.is_outline());
            *timed_hashes -= usize::from(entry.has_timed_fields());
            if let Some(outside) = entry.free(entries) {
                reap(outside);
            }
            true
        })
    }

    /// Moves what is on one sparse page elsewhere so that the page goes back to the system. Returns whether
    /// there was one. Bounded by the blocks of one page.
    #[allow(unsafe_code)]
    pub(crate) fn compact(&mut self) -> bool {
        self.entries.drop_empty();
        self.blocks.drop_empty();
        // SAFETY: the slab holds the segments of the table alone, which the owner of both has.
        (is_sparse(&self.blocks) && unsafe { table::compact(&mut self.blocks) })
            || (is_sparse(&self.entries) && self.compact_entries())
    }

    #[allow(unsafe_code)]
    fn compact_entries(&mut self) -> bool {
        let Some(page) = self.entries.sparse_page(64, 1..MAX_INLINE / UNIT + 1) else { return false };
        let blocks = self.entries.evacuate(page);
        let mut old = Vec::with_capacity(blocks.len());
        for block in blocks {
            // SAFETY: blocks in use of the slab of entries are live entries of the table.
            let (entry, key) = unsafe {
                let e = Entry::from_block(crate::table::BlockPtr::new(block));
                (e, e.key())
            };
            let hash = self.table.hash(key);
            let (found, place) = self.table.find(hash, key).expect("every entry is in the table");
            debug_assert!(found == entry.block());
            let new = entry.relocate(&mut self.entries);
            self.table.replace(&mut self.blocks, place, new.block());
            old.push(entry);
        }
        for entry in old {
            entry.free_block(&mut self.entries);
        }
        true
    }

    /// Visits the entries of one bucket; see [`Table::step`].
    #[allow(unsafe_code)]
    pub(crate) fn step(&self, position: u64, visit: &mut dyn FnMut(Entry)) -> Option<u64> {
        // SAFETY: the table holds live entries.
        self.table.step(position, &mut |block| visit(unsafe { Entry::from_block(block) }))
    }

    /// An entry chosen uniformly.
    #[allow(unsafe_code)]
    pub(crate) fn sample(&self, random: &mut dyn FnMut() -> u64) -> Option<Entry> {
        // SAFETY: the table holds live entries.
        self.table.sample(random).map(|block| unsafe { Entry::from_block(block) })
    }

    fn count(&mut self, entry: Entry) {
        if let Some(at) = entry.deadline() {
            self.volatile += 1;
            self.deadline_sum += u128::from(at);
        }
        self.outline += usize::from(entry.is_outline());
        self.timed_hashes += usize::from(entry.has_timed_fields());
    }

    fn discount(&mut self, entry: Entry) {
        if let Some(at) = entry.deadline() {
            self.volatile -= 1;
            self.deadline_sum -= u128::from(at);
        }
        self.outline -= usize::from(entry.is_outline());
        self.timed_hashes -= usize::from(entry.has_timed_fields());
    }

    /// Visits every entry, expired or not.
    #[allow(unsafe_code)]
    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Entry)) {
        // SAFETY: the table holds live entries.
        self.table.for_each(&mut |block| visit(unsafe { Entry::from_block(block) }));
    }
}

/// Moves segments of the tables of collections, so that a sparse page of the members' slab goes back to the system.
/// Returns whether there was one.
#[allow(unsafe_code)]
pub(crate) fn compact_members(members: &mut Slab, reaper: &Reaper) -> bool {
    // SAFETY: all segments in the slab belong to tables of collections that the keyspace owns, unless collections
    // are being freed.
    is_sparse(members) && reaper.is_idle() && unsafe { table::compact(members) }
}

/// Whether it is worth looking for a page to empty.
fn is_sparse(slab: &Slab) -> bool {
    slab.held() - slab.used() > slab.used() / 32 + 4 * PAGE
}

impl Db {
    /// Frees everything; the blocks of collections go into the bin.
    pub(crate) fn dismantle(mut self, bin: &mut Bin<'_>) {
        self.drop_outlines(bin);
    }

    fn drop_outlines(&mut self, bin: &mut Bin<'_>) {
        if std::mem::take(&mut self.outline) > 0 {
            self.for_each(&mut |entry| {
                match entry.drop_block() {
                    Some(Outline::Object(object)) => object.free(bin),
                    Some(Outline::Blob(blob)) => drop(blob),
                    None => {}
                }
                bin.worked(1);
            });
        }
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // Unless the database was dismantled, the slab of the members goes away too.
        self.drop_outlines(&mut Bin::Whole);
        self.table.clear(&mut self.blocks);
    }
}
