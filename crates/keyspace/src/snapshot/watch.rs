//! What of an open collection was handed out to a snapshot, for collections whose members stand in a table.
//!
//! The walk goes up the space of hashes, bucket by bucket. Before a member changes that lies ahead, its whole bucket is
//! handed out, and the range of hashes of that bucket is noted as done; so is the bucket into which a new member goes.
//! Ranges of hashes mean the same however the table grows or shrinks. What is removed is handed out alone, and nothing
//! is noted: it does not come back without a change that notes its bucket.

use super::SnapshotPart;
use super::records::Records;
use crate::table::{BlockPtr, Layout, Table};
use std::collections::BTreeMap;

/// Something that belongs to one collection while it is open, and not to its copies.
#[derive(Debug)]
pub(crate) struct Watched<T>(Option<Box<T>>);

impl<T> Default for Watched<T> {
    fn default() -> Self {
        Watched(None)
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Watched(None)
    }
}

impl<T> Watched<T> {
    #[inline(always)]
    pub(crate) fn get(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn begin(&mut self, watch: T) {
        self.0 = Some(Box::new(watch));
    }

    pub(crate) fn end(&mut self) {
        self.0 = None;
    }
}

/// How a member's block becomes a record.
pub(crate) type Put = fn(BlockPtr, &mut Vec<u8>);

/// How far a table was handed out.
#[derive(Debug, Default)]
pub(crate) struct TableWatch {
    /// The walk has passed all hashes below; `None`: all there are.
    done_below: Done,
    /// Ranges ahead that are done, the last hash included: apart from each other.
    ahead: BTreeMap<u64, u64>,
    /// Records that were not taken yet.
    records: Vec<u8>,
}

/// All hashes below this one; or all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Done {
    Below(u64),
    All,
}

impl Default for Done {
    fn default() -> Self {
        Done::Below(0)
    }
}

impl TableWatch {
    /// Whether members with this hash, if any, were handed out.
    fn is_done(&self, hash: u64) -> bool {
        match self.done_below {
            Done::All => true,
            Done::Below(position) => hash < position || is_in(&self.ahead, hash),
        }
    }

    /// Before a member with this hash changes or is added.
    pub(crate) fn before_change<L: Layout>(&mut self, table: &Table<L>, hash: u64, put: Put) {
        if self.is_done(hash) {
            return;
        }
        let first = table.bucket_start(hash);
        let next = self.hand_out(table, first, put);
        self.note(first, next.map_or(u64::MAX, |next| next - 1));
    }

    /// Before the member with this hash is removed.
    pub(crate) fn before_removal(&mut self, hash: u64, block: BlockPtr, put: Put) {
        if !self.is_done(hash) {
            put(block, &mut self.records);
        }
    }

    /// Writes the records of what is not done of the bucket at `position`; where the next one begins.
    fn hand_out<L: Layout>(&mut self, table: &Table<L>, position: u64, put: Put) -> Option<u64> {
        let TableWatch { done_below, ahead, records } = self;
        let passed = if let Done::Below(position) = *done_below { position } else { u64::MAX };
        table.step_hashed(position, &mut |hash, block| {
            if hash >= passed && !is_in(ahead, hash) {
                put(block, records);
            }
        })
    }

    /// Notes a range as done.
    fn note(&mut self, mut first: u64, mut last: u64) {
        if let Some((begin, end)) = self.ahead.range(..=first).next_back()
            && *end >= first.saturating_sub(1)
        {
            (first, last) = (*begin, last.max(*end));
        }
        while let Some((&begin, &end)) = self.ahead.range(first..).next()
            && begin <= last.saturating_add(1)
        {
            self.ahead.remove(&begin);
            last = last.max(end);
        }
        self.ahead.insert(first, last);
    }

    /// Goes on with the walk by one bucket; whether it came to its end.
    pub(crate) fn walk<L: Layout>(&mut self, table: &Table<L>, put: Put) -> bool {
        let Done::Below(mut position) = self.done_below else { return true };
        while let Some(range) = self.ahead.first_entry()
            && *range.key() <= position
        {
            match range.remove().checked_add(1) {
                Some(behind) => position = position.max(behind),
                None => {
                    self.done_below = Done::All;
                    return true;
                }
            }
        }
        self.done_below = Done::Below(position);
        self.done_below = self.hand_out(table, position, put).map_or(Done::All, Done::Below);
        self.done_below == Done::All
    }
}

/// Bytes of records that the walk collects.
const CHUNK: usize = 4096;

impl Watched<TableWatch> {
    /// Hands out the records that were written: all, or if they are worth it.
    pub(crate) fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>), all: bool) {
        if let Some(watch) = self.get()
            && (watch.records.len() >= CHUNK || (all && !watch.records.is_empty()))
        {
            part(SnapshotPart::Members(Records::new(&watch.records)));
            watch.records.clear();
        }
    }
}

/// Whether a hash lies in one of the ranges.
#[inline]
fn is_in(ranges: &BTreeMap<u64, u64>, hash: u64) -> bool {
    !ranges.is_empty() && ranges.range(..=hash).next_back().is_some_and(|(_, last)| hash <= *last)
}

#[cfg(test)]
mod tests {
    use super::TableWatch;

    #[test]
    fn ranges_are_joined() {
        let mut watch = TableWatch::default();
        for (first, last) in [(10, 19), (40, 49), (60, 69), (20, 29), (45, 62), (0, 3), (5, 8)] {
            watch.note(first, last);
        }
        let ranges: Vec<_> = watch.ahead.iter().map(|(first, last)| (*first, *last)).collect();
        assert_eq!(ranges, [(0, 3), (5, 8), (10, 29), (40, 69)]);
        assert!(watch.is_done(65) && watch.is_done(0) && !watch.is_done(9) && !watch.is_done(u64::MAX));
        watch.note(0, u64::MAX);
        assert_eq!(watch.ahead.len(), 1);
        assert!(watch.is_done(u64::MAX));
    }
}
