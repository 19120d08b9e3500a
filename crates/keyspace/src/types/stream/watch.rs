//! What of an open stream was handed out to a snapshot.
//!
//! Nodes are walked in the order of their IDs, and so are the entries that are pending in large groups; what is about to
//! change ahead of the walk is kept, and its ID noted. Counters, groups and consumers are told when the stream is opened.

use super::Stream;
use super::group::{Group, Groups, Pending};
use super::id::StreamId;
use super::nodes::Nodes;
use crate::snapshot::SnapshotPart;
use crate::snapshot::open::Openable;
use crate::snapshot::watch::Watched;
use std::collections::BTreeSet;

/// When a stream is opened, its smaller groups are handed out whole: up to this many times as many pending entries as
/// collections that are not opened have members.
const AT_ONCE: usize = 8;
/// Pending entries that are handed out in one step.
const STEP: usize = 16;

/// How far things in the order of IDs were handed out.
#[derive(Debug)]
pub(super) struct IdWatch<T> {
    /// Where the walk goes on; `None`: it came to its end.
    next: Option<StreamId>,
    /// The last ID that there was in the beginning.
    last: StreamId,
    /// IDs ahead of the walk of what was kept, or created since.
    touched: BTreeSet<StreamId>,
    /// What was kept, as it was.
    early: Vec<(StreamId, T)>,
}

impl<T> IdWatch<T> {
    fn new(last: Option<StreamId>) -> Self {
        IdWatch {
            next: last.map(|_| StreamId::MIN),
            last: last.unwrap_or(StreamId::MIN),
            touched: BTreeSet::new(),
            early: Vec::new(),
        }
    }

    /// Before what has this ID changes, comes or goes; `old` copies it if it exists.
    pub(super) fn before_change(&mut self, id: StreamId, old: impl FnOnce() -> Option<T>) {
        if self.next.is_some_and(|next| id >= next)
            && id <= self.last
            && self.touched.insert(id)
            && let Some(old) = old()
        {
            self.early.push((id, old));
        }
    }

    /// The walk is at `id`; whether that was not handed out. `None`: nothing is left.
    fn pass(&mut self, id: Option<StreamId>) -> bool {
        let Some(id) = id.filter(|id| *id <= self.last) else {
            self.next = None;
            self.touched.clear();
            return false;
        };
        self.next = id.next();
        while self.touched.first().is_some_and(|first| *first < id) {
            self.touched.pop_first();
        }
        !self.touched.remove(&id)
    }
}

impl Nodes {
    /// Goes on with the walk by one node; whether it came to its end.
    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        let Some(next) = self.watch.get().and_then(|watch| watch.next) else { return true };
        let id = self.at_or_after(next).map(|node| node.id);
        let is_new = self.watch.get().is_some_and(|watch| watch.pass(id));
        if is_new && let Some(node) = id.and_then(|id| self.at_or_after(id)) {
            part(SnapshotPart::Node(node.id, node.bytes()));
        }
        self.watch.get().is_none_or(|watch| watch.next.is_none())
    }
}

/// The groups of an open stream.
#[derive(Debug, Default)]
pub(super) struct GroupsWatch {
    /// Those whose pending entries are walked, by their numbers.
    names: Vec<(u32, Box<[u8]>)>,
    /// Those that were destroyed since.
    destroyed: Vec<Group>,
    /// What is handed out at once.
    early: Vec<(u32, StreamId, Pending)>,
}

impl GroupsWatch {
    /// Keeps a group that was destroyed.
    pub(super) fn after_removal(&mut self, group: Group) {
        if group.watch.is_on() {
            self.destroyed.push(group);
        }
    }
}

fn pending_part(group: u32, id: StreamId, pending: &Pending) -> SnapshotPart<'static> {
    let Pending { consumer, delivered_at, deliveries } = *pending;
    SnapshotPart::Pending { group, id, consumer: consumer.slot(), delivered_at, deliveries }
}

impl Group {
    /// Goes on with the walk by some pending entries; whether it came to its end.
    fn walk(&mut self, number: u32, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        for _ in 0..STEP {
            let Some(watch) = self.watch.get() else { return true };
            let Some(next) = watch.next else {
                self.drain(number, part);
                self.watch.end();
                return true;
            };
            let found = self.pending.range(next..).next();
            if watch.pass(found.map(|(id, _)| *id))
                && let Some((id, pending)) = found
            {
                part(pending_part(number, *id, pending));
            }
        }
        false
    }

    fn drain(&mut self, number: u32, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        if let Some(watch) = self.watch.get() {
            watch.early.drain(..).for_each(|(id, pending)| part(pending_part(number, id, &pending)));
        }
    }
}

impl Groups {
    fn open(&mut self, large: usize) {
        let (mut watch, mut room) = (GroupsWatch::default(), AT_ONCE * large);
        for (number, (name, group)) in (0..).zip(&mut self.map) {
            if group.pending.len() <= room {
                room -= group.pending.len();
                watch.early.extend(group.pending.iter().map(|(id, pending)| (number, *id, *pending)));
            } else {
                group.number = number;
                group.watch.begin(IdWatch::new(group.pending.last_key_value().map(|(id, _)| *id)));
                watch.names.push((number, name.clone()));
            }
        }
        self.watch.begin(watch);
    }

    fn close(&mut self) {
        let Some(watch) = self.watch.get() else { return };
        for (_, name) in std::mem::take(&mut watch.names) {
            if let Some(group) = self.map.get_mut(&name) {
                group.watch.end();
            }
        }
        self.watch.end();
    }

    /// Goes on with the walk in one group; whether it came to its end in all of them.
    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        let Some(watch) = self.watch.get() else { return true };
        if let Some(group) = watch.destroyed.last_mut() {
            let number = group.number;
            if group.walk(number, part) {
                watch.destroyed.pop();
            }
            return false;
        }
        let Some((number, name)) = watch.names.last() else { return true };
        // One that was destroyed since is no longer there, or has no watch.
        if self.map.get_mut(name).is_none_or(|group| group.walk(*number, part)) {
            watch.names.pop();
        }
        false
    }

    fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        let Some(watch) = self.watch.get() else { return };
        watch.early.drain(..).for_each(|(number, id, pending)| part(pending_part(number, id, &pending)));
        for group in &mut watch.destroyed {
            group.drain(group.number, part);
        }
        for (number, name) in &watch.names {
            if let Some(group) = self.map.get_mut(name) {
                group.drain(*number, part);
            }
        }
    }
}

impl Openable for Stream {
    fn open(&mut self, large: usize) {
        let last = self.log.nodes.last().map(|node| node.id);
        self.log.nodes.watch.begin(IdWatch::new(last));
        self.groups.open(large);
    }

    fn close(&mut self) {
        self.log.nodes.watch.end();
        self.groups.close();
    }

    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        self.log.nodes.walk(part) && self.groups.walk(part)
    }

    fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        if let Some(watch) = self.log.nodes.watch.get() {
            watch.early.drain(..).for_each(|(id, bytes)| part(SnapshotPart::Node(id, &bytes)));
        }
        self.groups.drain(part);
    }
}

/// What nodes and groups keep while their stream is open.
pub(super) type NodesWatch = Watched<IdWatch<Box<[u8]>>>;
pub(super) type PendingWatch = Watched<IdWatch<Pending>>;
