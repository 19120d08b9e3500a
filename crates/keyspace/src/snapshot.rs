//! A point-in-time walk of the whole keyspace while it changes: the hook on which saves are built.
//!
//! Every entry has an epoch bit. Beginning a snapshot flips the keyspace's epoch, so that all entries
//! there are now old. The walk hands out old entries in the order of their hash and marks them; a change
//! hands out the old entry first (its pre-image); what is created later is born marked. So each key that
//! existed at the beginning is handed out exactly once, with the value of that moment, and nothing else.
//! Databases that are flushed during the walk are kept until it has passed them.

use crate::db::{Db, Walk};
use crate::entry::Entry;
use crate::value::Item;

/// Receives the keys of a snapshot, in no particular order.
pub trait SnapshotSink {
    /// A key of database `db` (numbered as at the beginning) as it was when the snapshot began.
    fn item(&mut self, db: usize, item: Item<'_>);
}

/// A snapshot that is under way.
pub(crate) struct Snapshot {
    /// `None` after an abort: the walk goes on only to mark the entries.
    pub(crate) sink: Option<Box<dyn SnapshotSink>>,
    /// Flushed databases that the walk has not passed.
    pub(crate) detached: Vec<Db>,
}

impl Snapshot {
    /// Hands out an old entry and marks it.
    pub(crate) fn hand_out(&mut self, number: usize, entry: Entry, epoch: bool, item: Item<'_>) {
        if let Some(sink) = &mut self.sink {
            sink.item(number, item);
        }
        entry.set_epoch(epoch);
    }
}

/// Walks one bucket of a database for a snapshot. Returns whether the database is done.
pub(crate) fn walk_bucket(db: &mut Db, epoch: bool, hand_out: &mut dyn FnMut(usize, Entry)) -> bool {
    let Some(Walk { number, position }) = db.walk else { return true };
    let next = db.step(position, &mut |entry| {
        if entry.epoch() != epoch {
            hand_out(number, entry);
        }
    });
    db.walk = next.map(|position| Walk { number, position });
    db.walk.is_none()
}
