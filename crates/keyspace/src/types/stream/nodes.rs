//! A stream's nodes in the order of their IDs. Only the last one grows: it stands apart, with room to grow, so
//! that a stream of one node is that node alone.

use super::id::StreamId;
use super::node::Node;
use super::sealed::{PER_NODE, Sealed};
use super::watch::NodesWatch;
use crate::dense::Dense;
use crate::encoding::listpack::Listpack;

/// The nodes. `tail` is `None` only if there are none at all.
#[derive(Clone, Default, Debug)]
pub(super) struct Nodes {
    sealed: Sealed,
    tail: Option<Listpack>,
    tail_id: StreamId,
    /// While a snapshot has the stream open.
    pub(super) watch: NodesWatch,
}

fn node((id, bytes): (StreamId, &[u8])) -> Node<'_> {
    Node::new(id, bytes)
}

impl Nodes {
    /// To be called before the node that begins with `id` changes, comes or goes.
    #[inline(always)]
    fn before_change(&mut self, id: StreamId) {
        if self.watch.is_on() {
            self.keep_old(id);
        }
    }

    #[cold]
    fn keep_old(&mut self, id: StreamId) {
        let Nodes { sealed, tail, tail_id, watch } = self;
        if let Some(watch) = watch.get() {
            watch.before_change(id, || match tail {
                Some(tail) if *tail_id == id => Some(tail.view().bytes().into()),
                _ => sealed.get(id).map(Into::into),
            });
        }
    }

    /// The first node that begins with `id` or later.
    pub(super) fn at_or_after(&self, id: StreamId) -> Option<Node<'_>> {
        self.sealed.at_or_after(id).map(node).or(self.last()).filter(|node| node.id >= id)
    }

    /// Drops the nodes piece by piece; `dropped` is told the number each time.
    pub(super) fn dismantle(self, dropped: &mut dyn FnMut(usize)) {
        self.sealed.dismantle(dropped);
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.sealed.len() + usize::from(self.tail.is_some())
    }

    /// The last node.
    #[inline]
    pub(super) fn last(&self) -> Option<Node<'_>> {
        self.tail.as_ref().map(|tail| Node::new(self.tail_id, tail.view().bytes()))
    }

    /// The first node.
    pub(super) fn first(&self) -> Option<Node<'_>> {
        self.sealed.first().map(node).or(self.last())
    }

    /// The node that has the entry `id` if any does: the last one that begins at or before it.
    pub(super) fn holding(&self, id: StreamId) -> Option<Node<'_>> {
        self.last().filter(|tail| tail.id <= id).or_else(|| self.sealed.holding(id).map(node))
    }

    /// The node after the one that begins with `id`.
    pub(super) fn after(&self, id: StreamId) -> Option<Node<'_>> {
        self.at_or_after(id.next()?)
    }

    /// The node before the one that begins with `id`.
    pub(super) fn before(&self, id: StreamId) -> Option<Node<'_>> {
        self.holding(id.previous()?)
    }

    /// All nodes in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamId, &[u8])> {
        let tail = self.tail.as_ref().map(|tail| (self.tail_id, tail.view().bytes()));
        self.sealed.iter().chain(tail)
    }

    /// The last node, to append to.
    #[inline]
    pub(super) fn last_mut(&mut self) -> Option<(StreamId, &mut Listpack)> {
        self.before_change(self.tail_id);
        self.tail.as_mut().map(|tail| (self.tail_id, tail))
    }

    /// Adds a node behind all others. `make` makes it in a buffer whose contents do not matter.
    pub(super) fn push(&mut self, id: StreamId, make: impl FnOnce(Vec<u8>) -> Listpack) {
        self.before_change(id);
        let buffer = match self.tail.take() {
            Some(full) => {
                self.sealed.push(self.tail_id, Dense::new(full.view().bytes()));
                full.into_bytes()
            }
            None => Vec::new(),
        };
        self.tail = Some(make(buffer));
        self.tail_id = id;
    }

    /// Changes the node that begins with `id` without removing it.
    pub(super) fn edit<R>(&mut self, id: StreamId, f: impl FnOnce(&mut Listpack) -> R) -> R {
        self.before_change(id);
        if let Some(tail) = self.tail.as_mut().filter(|_| self.tail_id == id) {
            return f(tail);
        }
        let bytes = self.sealed.get_mut(id).expect("only nodes that were found are changed");
        let mut pack = Listpack::from_bytes(bytes.to_vec());
        let result = f(&mut pack);
        *bytes = Dense::new(pack.view().bytes());
        result
    }

    /// Removes the node that begins with `id`. The one before the last becomes the last.
    pub(super) fn remove(&mut self, id: StreamId) {
        self.before_change(id);
        if self.tail_id != id || self.tail.is_none() {
            self.sealed.remove(id);
            return;
        }
        let before = self.sealed.pop();
        self.tail_id = before.as_ref().map_or(StreamId::MIN, |(id, _)| *id);
        self.tail = before.map(|(_, bytes)| Listpack::from_bytes(bytes.to_vec()));
    }

    /// Bytes taken; the nodes' own are estimated from `samples` of them, or counted if that is 0.
    pub(super) fn memory(&self, samples: usize) -> usize {
        let sealed = self.sealed.len();
        let seen = if samples == 0 { sealed } else { samples.min(sealed) };
        let bytes: usize = self.sealed.memory().take(seen).sum();
        let tail = self.tail.as_ref().map_or(0, Listpack::capacity);
        tail + sealed * PER_NODE + (bytes * sealed).checked_div(seen).unwrap_or(0)
    }
}
