//! A point-in-time walk of the whole keyspace while it changes: the hook on which saves are built.
//!
//! Every entry has an epoch bit. Beginning a snapshot flips the keyspace's epoch, so that all entries
//! there are now old. The walk hands out old entries in the order of their hash and marks them; a change
//! hands out the old entry first (its pre-image); what is created later is born marked. So each key that
//! existed at the beginning is handed out exactly once, with the value of that moment, and nothing else.
//! Databases that are flushed during the walk are kept until it has passed them.
//!
//! A large collection is handed out in parts: the walk, or a change, opens it, which costs the same however large it
//! is, and from there on the collection itself knows what of it was handed out (see [`watch`] and its likes in the types'
//! modules). Its entry is marked at once. Removing it takes it into [`open`]'s care until all of it was handed out.

pub(crate) mod open;
pub mod records;
pub(crate) mod watch;

use crate::db::{Db, Walk};
use crate::entry::{Entry, Outline};
use crate::slab::Bin;
use crate::types::Object;
use crate::types::list::ListPart;
use crate::types::stream::StreamId;
use crate::value::Item;
use open::{Complete, OpenObjects};
use records::Records;

/// Receives the keys of a snapshot, in no particular order.
///
/// A key comes whole, or, if it holds a large collection, bit by bit: opened, then its parts in any order, then closed;
/// other keys, and parts of other collections, may come in between.
pub trait SnapshotSink {
    /// A key of database `db` (numbered as at the beginning) as it was when the snapshot began.
    fn item(&mut self, db: usize, item: Item<'_>);
    /// A key that holds a large collection. Its value tells type, size, a stream's counters, groups and consumers; what
    /// belongs to it comes in parts, under this number, which is above 0.
    fn open(&mut self, id: u64, db: usize, item: Item<'_>);
    /// A part of an open collection.
    fn part(&mut self, id: u64, part: SnapshotPart<'_>);
    /// All parts of a collection were handed out. Collections close in the order in which they were opened.
    fn close(&mut self, id: u64);
    /// All keys were handed out. Not called if the snapshot is given up.
    fn end(&mut self) {}
}

/// A part of a large collection.
#[derive(Clone, Copy, Debug)]
pub enum SnapshotPart<'a> {
    /// Members of a set, a sorted set or a hash.
    Members(Records<'a>),
    /// A run of a list's elements, with its place among the runs: from 1 on, without gaps.
    Run(u32, ListPart<'a>),
    /// A node of a stream, as files hold it.
    Node(StreamId, &'a [u8]),
    /// An entry that is pending in a group of a stream. Groups are counted from 0 in the order that they had when the
    /// stream was opened; consumers are those of that time.
    Pending {
        /// The group.
        group: u32,
        /// The entry.
        id: StreamId,
        /// To whom it was delivered, by [`slot`](crate::stream::ConsumerId::slot).
        consumer: u32,
        /// When last: unix time in milliseconds.
        delivered_at: u64,
        /// How often.
        deliveries: u64,
    },
}

/// A snapshot that is under way.
pub(crate) struct Snapshot {
    /// `None` after an abort: the walk goes on only to mark the entries.
    sink: Option<Box<dyn SnapshotSink>>,
    open: OpenObjects,
    /// Beyond how many members a collection is handed out in parts.
    large: usize,
    /// Flushed databases that the walk has not passed, or that may hold open collections.
    pub(crate) detached: Vec<Db>,
}

impl Snapshot {
    pub(crate) fn new(sink: Box<dyn SnapshotSink>, large: usize) -> Snapshot {
        Snapshot { sink: Some(sink), open: OpenObjects::default(), large, detached: Vec::new() }
    }

    /// Hands out an old entry, or opens the collection in it, and marks it.
    #[inline]
    pub(crate) fn hand_out(&mut self, number: usize, entry: Entry, epoch: bool, item: Item<'_>) {
        if let Some(sink) = &mut self.sink {
            match entry.object() {
                Some(object) if object.is_larger_than(self.large) => {
                    let id = self.open.add(object, self.large);
                    sink.open(id, number, item);
                    drain(&mut self.open, sink, object);
                }
                _ => sink.item(number, item),
            }
        }
        entry.set_epoch(epoch);
    }

    /// After a collection was changed in place.
    pub(crate) fn after_change(&mut self, object: &mut Object) {
        if let Some(sink) = &mut self.sink
            && !self.open.is_empty()
        {
            drain(&mut self.open, sink, object);
        }
    }

    /// Keeps what was removed while it is open; hands it back otherwise.
    pub(crate) fn keep(&mut self, outline: Outline) -> Option<Outline> {
        match outline {
            Outline::Object(object) => self.open.keep(object).map(Outline::Object),
            blob @ Outline::Blob(_) => Some(blob),
        }
    }

    /// Whether any collection is open.
    pub(crate) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Goes on with an open collection by up to `pieces` pieces; returns how many of these are left, and what is to be
    /// freed.
    pub(crate) fn walk_open(&mut self, pieces: usize) -> (usize, Option<Box<Object>>) {
        let Snapshot { sink: Some(sink), open, .. } = self else { return (pieces, None) };
        let (left, complete) = open.walk(pieces, &mut |id, part| sink.part(id, part));
        let orphan = complete.and_then(|Complete { id, orphan }| {
            sink.close(id);
            orphan
        });
        (left, orphan)
    }

    /// Takes the sink: all was handed out.
    pub(crate) fn finish(mut self) -> Option<Box<dyn SnapshotSink>> {
        let mut sink = self.sink.take()?;
        sink.end();
        Some(sink)
    }

    /// Gives the snapshot up; collections that were removed go to `orphan`.
    pub(crate) fn give_up(&mut self, orphan: &mut dyn FnMut(Box<Object>)) -> Option<Box<dyn SnapshotSink>> {
        self.open.give_up(orphan);
        self.sink.take()
    }
}

impl Drop for Snapshot {
    /// If anything is left, the keyspace goes away too, and with that the slab of the members.
    fn drop(&mut self) {
        self.open.take_orphans().for_each(|object| object.free(&mut Bin::Whole));
    }
}

fn drain(open: &mut OpenObjects, sink: &mut Box<dyn SnapshotSink>, object: &mut Object) {
    open.drain(object, &mut |id, part| sink.part(id, part));
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
