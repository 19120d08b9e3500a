//! Walking through a stream's entries in either direction.

use super::id::StreamId;
use super::node::{Entry, Node};
use super::nodes::Nodes;

/// The live entries between two IDs, in ascending order.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    nodes: &'a Nodes,
    /// The node that the next entry is in.
    node: Option<Node<'a>>,
    next: Option<Entry<'a>>,
    end: StreamId,
}

impl<'a> Range<'a> {
    pub(super) fn new(nodes: &'a Nodes, start: StreamId, end: StreamId) -> Self {
        let node = match start > end {
            true => None,
            false => nodes.holding(start).or_else(|| nodes.first()),
        };
        Range { nodes, node, next: node.and_then(|node| node.at_least(start)), end }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some(entry) = self.next else {
                self.node = self.nodes.after(self.node?.id);
                self.next = Some(self.node?.first());
                continue;
            };
            if entry.id() > self.end {
                (self.node, self.next) = (None, None);
                return None;
            }
            self.next = entry.next();
            if !entry.is_deleted() {
                return Some(entry);
            }
        }
    }
}

/// The live entries between two IDs, in descending order.
#[derive(Clone, Debug)]
pub struct RangeBack<'a> {
    nodes: &'a Nodes,
    node: Option<Node<'a>>,
    next: Option<Entry<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> RangeBack<'a> {
    pub(super) fn new(nodes: &'a Nodes, start: StreamId, end: StreamId) -> Self {
        let node = if start > end { None } else { nodes.holding(end) };
        RangeBack { nodes, node, next: node.map(|node| node.last()), start, end }
    }
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let Some(entry) = self.next else {
                self.node = self.nodes.before(self.node?.id);
                self.next = Some(self.node?.last());
                continue;
            };
            if entry.id() < self.start {
                (self.node, self.next) = (None, None);
                return None;
            }
            self.next = entry.previous();
            if !entry.is_deleted() && entry.id() <= self.end {
                return Some(entry);
            }
        }
    }
}
