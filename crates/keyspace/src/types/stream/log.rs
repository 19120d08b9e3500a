//! A stream's entries and what is counted about them; no consumer groups.

use super::id::StreamId;
use super::node::{self, Entry, Mark};
use super::nodes::Nodes;
use super::range::{Range, RangeBack};
use crate::encoding::Malformed;
use crate::encoding::listpack::MAX_SAFE_SIZE;
use crate::types::Limits;

/// The entries of a stream.
#[derive(Clone, Default, Debug)]
pub struct Log {
    pub(super) nodes: Nodes,
    pub(super) len: u64,
    pub(super) last_id: StreamId,
    pub(super) first_id: StreamId,
    max_deleted_id: StreamId,
    added: u64,
}

/// Fields and values of an entry need more bytes than a node may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge;

/// The counters of a stream, as files hold them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LogFacts {
    /// The greatest ID ever given to an entry, or set.
    pub last_id: StreamId,
    /// The greatest ID of a deleted entry; trimming does not count.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub added: u64,
}

impl Log {
    /// Drops the entries piece by piece; `dropped` is told the number of nodes each time.
    pub(super) fn dismantle(self, dropped: &mut dyn FnMut(usize)) {
        self.nodes.dismantle(dropped);
    }

    /// The number of entries.
    #[expect(clippy::len_without_is_empty, reason = "a stream without entries is not absent")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The ID of the first entry; `0-0` if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The greatest ID ever given to an entry, or set. New entries come after it.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest ID of a deleted entry, or what was set; trimming does not count.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// Entries ever added, or what was set.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// The ID of the last entry.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id())
    }

    /// The entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::new(&self.nodes, start, end)
    }

    /// The same in descending order.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        RangeBack::new(&self.nodes, start, end)
    }

    /// The entry `id`.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let entry = self.nodes.holding(id)?.at_least(id)?;
        (entry.id() == id && !entry.is_deleted()).then_some(entry)
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes' IDs and bytes in order, as files hold them.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, &[u8])> {
        self.nodes.iter()
    }

    /// From nodes in order and counters.
    ///
    /// # Errors
    /// [`Malformed`], if a node is, or they are out of order.
    pub fn load(
        nodes: impl IntoIterator<Item = (StreamId, Vec<u8>)>,
        facts: LogFacts,
    ) -> Result<Log, Malformed> {
        let LogFacts { last_id, max_deleted_id, added } = facts;
        let mut log = Log { last_id, max_deleted_id, added, ..Log::default() };
        for (id, bytes) in nodes {
            if log.nodes.last().is_some_and(|last| last.last().id() >= id) {
                return Err(Malformed);
            }
            let pack = node::load(id, bytes)?;
            log.nodes.push(id, |_| pack);
            log.len += log.nodes.last().map_or(0, |node| node.live());
        }
        if log.nodes.last().is_some_and(|last| last.last().id() > last_id) {
            return Err(Malformed);
        }
        log.find_first();
        Ok(log)
    }

    /// Appends an entry. `id` is greater than [`Log::last_id`], and there is at least one pair.
    ///
    /// # Errors
    /// [`TooLarge`]; nothing is changed.
    pub fn append<'b>(
        &mut self,
        id: StreamId,
        pairs: impl ExactSizeIterator<Item = (&'b [u8], &'b [u8])> + Clone,
        limits: &Limits,
    ) -> Result<(), TooLarge> {
        debug_assert!(id > self.last_id, "IDs ascend");
        let bytes: usize = pairs.clone().map(|(field, value)| field.len() + value.len()).sum();
        if bytes > MAX_SAFE_SIZE {
            return Err(TooLarge);
        }
        if !self.has_room(bytes, limits) {
            let fields = pairs.clone().map(|(field, _)| field);
            self.nodes.push(id, |buffer| node::create(buffer, fields));
        }
        let (node_id, pack) = self.nodes.last_mut().expect("there is a node with room");
        node::append(pack, node_id, id, pairs);
        self.len += 1;
        self.added += 1;
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// Whether the last node takes an entry of so many bytes.
    #[inline]
    fn has_room(&self, bytes: usize, limits: &Limits) -> bool {
        let Some(last) = self.nodes.last() else { return false };
        let max_bytes = match limits.stream_node_max_bytes {
            0 => MAX_SAFE_SIZE,
            max => max.min(MAX_SAFE_SIZE),
        };
        let max_entries = limits.stream_node_max_entries as u64;
        last.size() + bytes < max_bytes && (max_entries == 0 || last.total() < max_entries)
    }

    /// Deletes an entry; whether it was there.
    pub(super) fn remove(&mut self, id: StreamId) -> bool {
        let Some(entry) = self.get(id) else { return false };
        let (node, mark) = (entry.node(), entry.mark());
        let (node_id, live) = (node.id, node.live());
        self.unlink(node_id, live, &[mark]);
        if id > self.max_deleted_id {
            self.max_deleted_id = id;
        }
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    /// Deletes entries of a node, which has `live` of them, and the node if there are no more.
    pub(super) fn unlink(&mut self, node_id: StreamId, live: u64, marks: &[Mark]) {
        if marks.len() as u64 == live {
            self.nodes.remove(node_id);
            self.len -= live;
        } else {
            self.mark(node_id, marks);
        }
    }

    /// Deletes entries of a node, which stays.
    pub(super) fn mark(&mut self, node_id: StreamId, marks: &[Mark]) {
        if !marks.is_empty() {
            self.nodes.edit(node_id, |pack| node::delete(pack, marks));
            self.len -= marks.len() as u64;
        }
    }

    /// Looks up the first entry after the one that was is gone.
    pub(super) fn find_first(&mut self) {
        self.first_id = match self.len {
            0 => StreamId::MIN,
            _ => self
                .range(self.first_id, StreamId::MAX)
                .next()
                .expect("there are entries, and none before the former first")
                .id(),
        };
    }

    /// Sets the greatest ID, and the other counters if told.
    pub fn set_facts(&mut self, last_id: StreamId, added: Option<u64>, max_deleted_id: Option<StreamId>) {
        self.last_id = last_id;
        self.added = added.unwrap_or(self.added);
        self.max_deleted_id = max_deleted_id.unwrap_or(self.max_deleted_id);
    }

    /// Whether what a group has yet to read that is at `last_id` is all that was added after it: nothing was
    /// trimmed or deleted from there on, as far as that is known.
    fn follows(&self, last_id: StreamId) -> bool {
        let torn = self.len > 0 && self.max_deleted_id != StreamId::MIN && last_id <= self.max_deleted_id;
        last_id >= self.first_id && !torn
    }

    /// What a group that has read up to `last_id` and counted `read` entries has yet to read, if that can be told.
    pub(super) fn lag(&self, last_id: StreamId, read: Option<i64>) -> Option<i64> {
        if self.added == 0 || self.len == 0 {
            return Some(0);
        }
        if last_id < self.first_id && self.max_deleted_id < self.first_id {
            return Some(self.len as i64);
        }
        let read = match read {
            Some(read) if self.follows(last_id) => Some(read),
            _ => self.position(last_id),
        };
        read.map(|read| (self.added as i64).wrapping_sub(read))
    }

    /// How many entries a group has read once it has read `id`: one more than before, if nothing was deleted ahead.
    pub(super) fn read_after(&self, last_id: StreamId, read: Option<i64>, id: StreamId) -> Option<i64> {
        match read {
            Some(read) if self.follows(last_id) => Some(read.wrapping_add(1)),
            _ if self.added > 0 => self.position(id),
            _ => read,
        }
    }

    /// How many entries were ever added up to `id`, if that can be told: what a group has read whose counter is not
    /// known, such as one from an old file.
    pub fn position(&self, id: StreamId) -> Option<i64> {
        let added = self.added as i64;
        if self.added == 0 || (self.len == 0 && id <= self.last_id) {
            return Some(added);
        }
        if (id != StreamId::MIN && id < self.max_deleted_id) || id > self.last_id {
            return None;
        }
        if id == self.last_id {
            return Some(added);
        }
        if self.max_deleted_id != StreamId::MIN && self.max_deleted_id >= self.first_id {
            return None;
        }
        let before = added.wrapping_sub(self.len as i64);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }
}
