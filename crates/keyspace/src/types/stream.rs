//! A stream: entries of fields and values in the order of their IDs ([`Log`]), and groups of consumers that share
//! the reading of them ([`Groups`]).
//!
//! The entries stand in nodes, whose bytes are those that Redis stores and transmits (see [`node`]); the last node
//! grows, the others are in an ordered map by the ID of their first entry. Knows neither commands nor the clock:
//! IDs and times are arguments.

mod group;
mod id;
mod log;
mod node;
mod nodes;
mod range;
mod sealed;
#[cfg(test)]
mod tests;
mod trim;
mod watch;

pub use group::{Consumer, ConsumerId, Group, Groups, Pending};
pub use id::StreamId;
pub use log::{Log, LogFacts, TooLarge};
pub use node::{Entry, Pairs};
pub use range::{Range, RangeBack};
pub use trim::{References, Trim, TrimTo};

use super::{Collection, Packing, Space};
use crate::slab::Bin;
use crate::value::Kind;

/// A stream.
#[derive(Default, Debug)]
pub struct Stream {
    log: Log,
    groups: Groups,
}

/// What became of an entry that was to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// There is none with this ID.
    Absent,
    /// It is gone.
    Done,
    /// A group has yet to read or acknowledge it.
    Referenced,
}

impl Stream {
    /// A stream of parts from elsewhere.
    pub fn new(log: Log, groups: Groups) -> Stream {
        Stream { log, groups }
    }

    /// The entries.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The entries, to append to.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// The groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The groups, to change them.
    pub fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    /// The entries, and a group to change.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Log, &mut Group)> {
        Some((&self.log, self.groups.get_mut(name)?))
    }

    /// Deletes an entry.
    pub fn delete(&mut self, id: StreamId, references: References) -> Deletion {
        if !self.groups.release(id, references) {
            return Deletion::Referenced;
        }
        if self.log.remove(id) { Deletion::Done } else { Deletion::Absent }
    }

    /// Bytes taken beside the entry; nodes are estimated from `samples` of them, or counted if that is 0.
    pub fn memory(&self, samples: usize) -> usize {
        self.log.nodes.memory(samples) + self.groups.memory()
    }
}

impl Collection for Stream {
    const KIND: Kind = Kind::Stream;

    fn empty(_space: &Space<'_>) -> Self {
        Stream::default()
    }

    fn from_packed(packing: Packing, _bytes: Vec<u8>) -> Self {
        unreachable!("{packing:?} is not a packing of streams")
    }

    fn packed(&self) -> Option<(Packing, &[u8])> {
        None
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        None
    }

    /// A stream without entries stays: its groups and its last ID are worth something.
    fn is_empty(&self) -> bool {
        false
    }

    fn pieces(&self) -> usize {
        self.log.nodes.len() + self.groups.pieces()
    }

    fn free(self, bin: &mut Bin<'_>) {
        self.log.dismantle(&mut |nodes| bin.worked(nodes));
    }

    fn duplicate(&self, _space: &mut Space<'_>) -> Self {
        Stream { log: self.log.clone(), groups: self.groups.clone() }
    }
}
