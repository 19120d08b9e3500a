//! Trimming: which entries go, node by node from the first on.

use super::Stream;
use super::group::Groups;
use super::id::StreamId;
use super::node::{Mark, Node};

/// What to do about entries that consumers have not acknowledged, when they are deleted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum References {
    /// They stay pending, though they are gone.
    #[default]
    Keep,
    /// They are no longer pending.
    Drop,
    /// Only what every group has read and acknowledged is deleted.
    Acknowledged,
}

/// How far to trim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrimTo {
    /// Until there are no more than so many entries.
    Len(u64),
    /// Until no entry has a smaller ID.
    Id(StreamId),
}

/// A trimming.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trim {
    /// How far.
    pub to: TrimTo,
    /// Whether only whole nodes go.
    pub approximate: bool,
    /// At most so many entries go; 0: any number.
    pub limit: u64,
    /// What entries that are pending need.
    pub references: References,
}

impl Trim {
    /// Whether a whole node goes, of a stream with `len` entries.
    fn covers(&self, node: &Node<'_>, len: u64) -> bool {
        match self.to {
            TrimTo::Len(max) => len - node.live() >= max,
            TrimTo::Id(min) => node.last().id() < min,
        }
    }

    /// The entries of a node that go, of a stream with `len` entries, and whether the goal lies in this node.
    fn within(&self, node: &Node<'_>, len: u64, groups: &mut Groups) -> (Vec<Mark>, bool) {
        let mut marks = Vec::new();
        let mut next = Some(node.first());
        while let Some(entry) = next {
            let reached = match self.to {
                TrimTo::Len(max) => len - marks.len() as u64 <= max,
                TrimTo::Id(min) => entry.id() >= min,
            };
            if reached {
                return (marks, true);
            }
            if !entry.is_deleted() && groups.release(entry.id(), self.references) {
                marks.push(entry.mark());
            }
            next = entry.next();
        }
        (marks, false)
    }
}

impl Stream {
    /// Trims the stream; returns how many entries were deleted.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let Stream { log, groups } = self;
        let before = log.len;
        let mut next = log.nodes.first();
        while let Some(node) = next {
            let (id, live) = (node.id, node.live());
            let enough = matches!(trim.to, TrimTo::Len(max) if log.len <= max);
            if enough || (trim.limit > 0 && before - log.len + live > trim.limit) {
                break;
            }
            if trim.references == References::Keep && trim.covers(&node, log.len) {
                log.nodes.remove(id);
                log.len -= live;
            } else if trim.approximate {
                break;
            } else {
                let (marks, reached) = trim.within(&node, log.len, groups);
                // As in Redis, the node in which the goal is reached stays, even if nothing is left in it.
                match reached {
                    true => log.mark(id, &marks),
                    false => log.unlink(id, live, &marks),
                }
                if reached {
                    break;
                }
            }
            next = log.nodes.after(id);
        }
        let deleted = before - log.len;
        if deleted > 0 {
            log.find_first();
        }
        deleted
    }
}
