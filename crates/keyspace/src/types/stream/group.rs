//! Consumer groups: how far each has read, and what its consumers have not acknowledged yet.

use super::id::StreamId;
use super::log::Log;
use super::trim::References;
use super::watch::{GroupsWatch, PendingWatch};
use crate::snapshot::watch::Watched;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The groups of a stream, by name.
#[derive(Clone, Default, Debug)]
pub struct Groups {
    pub(super) map: BTreeMap<Box<[u8]>, Group>,
    /// While a snapshot has the stream open.
    pub(super) watch: Watched<GroupsWatch>,
}

impl Groups {
    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// All groups, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.map.iter().map(|(name, group)| (&**name, group))
    }

    /// A group by its name.
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.map.get(name)
    }

    /// A group by its name, to change it.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.map.get_mut(name)
    }

    /// Adds a group; `None` if there is one with that name.
    pub fn create(&mut self, name: &[u8], last_id: StreamId, read: Option<i64>) -> Option<&mut Group> {
        match self.map.entry(name.into()) {
            std::collections::btree_map::Entry::Occupied(_) => None,
            std::collections::btree_map::Entry::Vacant(slot) => {
                Some(slot.insert(Group { last_id, read, ..Group::default() }))
            }
        }
    }

    /// Removes a group; whether there was one.
    pub fn destroy(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.map.remove(name) else { return false };
        if let Some(watch) = self.watch.get() {
            watch.after_removal(group);
        }
        true
    }

    /// Prepares for the deletion of an entry; whether it may be deleted.
    pub(super) fn release(&mut self, id: StreamId, references: References) -> bool {
        match references {
            References::Keep => true,
            References::Drop => {
                for group in self.map.values_mut() {
                    group.acknowledge(id);
                }
                true
            }
            References::Acknowledged => {
                !self.map.values().any(|group| group.last_id < id || group.pending.contains_key(&id))
            }
        }
    }

    pub(super) fn pieces(&self) -> usize {
        self.iter().map(|(_, group)| group.pieces()).sum()
    }

    pub(super) fn memory(&self) -> usize {
        self.iter().map(|(name, group)| name.len() + size_of::<(Box<[u8]>, Group)>() + group.memory()).sum()
    }
}

/// A consumer group.
#[derive(Clone, Default, Debug)]
pub struct Group {
    /// The last entry that was delivered to a consumer.
    pub last_id: StreamId,
    /// How many entries were delivered up to there, if known.
    pub read: Option<i64>,
    pub(super) pending: BTreeMap<StreamId, Pending>,
    names: BTreeMap<Arc<[u8]>, ConsumerId>,
    /// By their IDs; `None` where one was removed.
    consumers: Vec<Option<Consumer>>,
    /// While a snapshot has the stream open and walks the group, with the group's number there.
    pub(super) watch: PendingWatch,
    pub(super) number: u32,
}

/// A consumer within its group. Valid until that consumer is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerId(u32);

impl ConsumerId {
    /// The same as a number, below the number of consumers that the group had at most.
    pub fn slot(self) -> u32 {
        self.0
    }
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// To whom.
    pub consumer: ConsumerId,
    /// When last: unix time in milliseconds.
    pub delivered_at: u64,
    /// How often.
    pub deliveries: u64,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// When it last tried to get entries: unix time in milliseconds.
    pub seen_at: u64,
    /// When it last got some.
    pub active_at: Option<u64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries it has not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }
}

/// Bytes of a map per element, beside the element: leaves are two thirds full.
const fn in_map(element: usize) -> usize {
    element * 3 / 2
}

impl Group {
    /// To be called before a pending entry changes, comes or goes.
    #[inline(always)]
    fn before_change(&mut self, id: StreamId) {
        if let Some(watch) = self.watch.get() {
            watch.before_change(id, || self.pending.get(&id).copied());
        }
    }

    /// How many entries the group has not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entries from `start` to `end`, in order; of one consumer, if named.
    pub fn pending(
        &self,
        start: StreamId,
        end: StreamId,
        consumer: Option<ConsumerId>,
    ) -> Box<dyn Iterator<Item = (StreamId, &Pending)> + '_> {
        if start > end {
            return Box::new(std::iter::empty());
        }
        match consumer {
            None => Box::new(self.pending.range(start..=end).map(|(id, pending)| (*id, pending))),
            Some(consumer) => {
                let ids = self.consumer(consumer).pending.range(start..=end);
                Box::new(ids.map(|id| (*id, &self.pending[id])))
            }
        }
    }

    /// The first and the last pending entry.
    pub fn pending_edges(&self) -> Option<(StreamId, StreamId)> {
        Some((*self.pending.first_key_value()?.0, *self.pending.last_key_value()?.0))
    }

    /// What is known about a pending entry.
    pub fn find(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// The same, to change when and how often it was delivered.
    pub fn find_mut(&mut self, id: StreamId) -> Option<&mut Pending> {
        self.before_change(id);
        self.pending.get_mut(&id)
    }

    /// All consumers, in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.names.values().map(|id| (*id, self.consumer(*id)))
    }

    /// The consumer with a name.
    pub fn consumer_named(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// A consumer.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize].as_ref().expect(GONE)
    }

    /// A consumer, to change its times.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize].as_mut().expect(GONE)
    }

    /// Adds a consumer; `None` if there is one with that name.
    pub fn create_consumer(&mut self, name: &[u8], now: u64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        let name: Arc<[u8]> = name.into();
        let consumer =
            Consumer { name: Arc::clone(&name), seen_at: now, active_at: None, pending: BTreeSet::new() };
        let free = self.consumers.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.consumers.len());
        match free {
            Some(slot) => self.consumers[slot] = Some(consumer),
            None => self.consumers.push(Some(consumer)),
        }
        let id = ConsumerId(u32::try_from(slot).expect("consumers take more memory than there is"));
        self.names.insert(name, id);
        Some(id)
    }

    /// Removes a consumer and what it has pending; returns how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers[id.0 as usize].take().expect(GONE);
        for id in &consumer.pending {
            self.before_change(*id);
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Makes an entry pending for a consumer, whomever it was pending for.
    pub fn assign(&mut self, id: StreamId, pending: Pending) {
        self.before_change(id);
        let to = pending.consumer;
        if let Some(before) = self.pending.insert(id, pending) {
            if before.consumer == to {
                return;
            }
            self.consumer_mut(before.consumer).pending.remove(&id);
        }
        self.consumer_mut(to).pending.insert(id);
    }

    /// An entry is no longer pending; what was known about it.
    pub fn acknowledge(&mut self, id: StreamId) -> Option<Pending> {
        self.before_change(id);
        let pending = self.pending.remove(&id)?;
        self.consumer_mut(pending.consumer).pending.remove(&id);
        Some(pending)
    }

    /// Moves on to an entry that is delivered, if it is a later one.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        if id > self.last_id {
            self.read = log.read_after(self.last_id, self.read, id);
            self.last_id = id;
        }
    }

    /// How many entries it has yet to read, if that can be told.
    pub fn lag(&self, log: &Log) -> Option<i64> {
        log.lag(self.last_id, self.read)
    }

    fn pieces(&self) -> usize {
        // Two maps of about seven elements in an allocation.
        1 + 2 * self.names.len() + self.pending.len() / 3
    }

    fn memory(&self) -> usize {
        let names: usize = self.names.keys().map(|name| name.len() + 2 * size_of::<usize>()).sum();
        self.pending.len() * in_map(2 * size_of::<StreamId>() + size_of::<Pending>())
            + self.names.len() * in_map(size_of::<(Arc<[u8]>, ConsumerId)>())
            + self.consumers.capacity() * size_of::<Option<Consumer>>()
            + names
    }
}

const GONE: &str = "a consumer's ID is not used after its removal";
