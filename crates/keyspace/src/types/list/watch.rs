//! What of an open list was handed out to a snapshot.
//!
//! When a list is opened its nodes are numbered. A node that is about to change or to go keeps a copy here; the walk
//! hands out the others. The receiver puts nodes in order by their numbers.

use super::node::Node;
use super::{ListPart, Quicklist};
use crate::snapshot::SnapshotPart;

/// How many nodes the walk looks at in one step at most.
const LOOKS: usize = 64;

/// How far a list was handed out.
#[derive(Debug)]
pub(super) struct ListWatch {
    /// Nodes that have their numbers and were not handed out.
    left: usize,
    /// Where the walk goes on. Only a hint, since nodes come and go.
    at: usize,
    /// Nodes as they were before a change.
    early: Vec<(u32, Node)>,
}

impl ListWatch {
    /// Before a node changes.
    #[cold]
    pub(super) fn before_change(&mut self, node: &mut Node) {
        if let Some(place) = node.take_place() {
            self.left -= 1;
            self.early.push((place, node.clone()));
        }
    }

    /// Keeps a node that was removed.
    #[cold]
    pub(super) fn after_removal(&mut self, mut node: Node) {
        if let Some(place) = node.take_place() {
            self.left -= 1;
            self.early.push((place, node));
        }
    }
}

/// The elements of a node.
pub(super) fn run(node: &Node) -> ListPart<'_> {
    match node {
        Node::Pack(pack) => ListPart::Pack(pack.bytes()),
        Node::Plain(plain) => ListPart::Plain(plain.shared()),
    }
}

impl Quicklist {
    /// Numbers the nodes for a snapshot.
    pub(super) fn open(&mut self) {
        for (node, place) in self.nodes.iter_mut().zip(1..) {
            node.set_place(place);
        }
        self.watch.begin(ListWatch { left: self.nodes.len(), at: 0, early: Vec::new() });
    }

    pub(super) fn close(&mut self) {
        self.watch.end();
    }

    /// Hands out a node that was not; whether none is left.
    pub(super) fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        let Some(watch) = self.watch.get() else { return true };
        for _ in 0..LOOKS {
            if watch.left == 0 {
                return true;
            }
            let Some(node) = self.nodes.get_mut(watch.at) else {
                watch.at = 0;
                continue;
            };
            watch.at += 1;
            if let Some(place) = node.take_place() {
                watch.left -= 1;
                part(SnapshotPart::Run(place, run(node)));
                return watch.left == 0;
            }
        }
        false
    }

    /// Hands out what was kept.
    pub(super) fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        if let Some(watch) = self.watch.get() {
            for (place, node) in watch.early.drain(..) {
                part(SnapshotPart::Run(place, run(&node)));
            }
        }
    }
}
