//! A stream's nodes that are full, in the order of their IDs: in pieces of bounded size, so that nothing takes time that
//! depends on the length of the stream. Nodes come at the end and go at either end nearly always, so the pieces are full.

use super::id::StreamId;
use crate::dense::Dense;
use std::collections::VecDeque;

/// Nodes of a piece.
const MOST: usize = 128;

/// See the module. No piece is empty.
#[derive(Clone, Default, Debug)]
pub(super) struct Sealed {
    pieces: VecDeque<Vec<(StreamId, Dense)>>,
    len: usize,
}

/// Bytes per node beside its own.
pub(super) const PER_NODE: usize = size_of::<(StreamId, Dense)>();

/// Where a node stands, or would stand: the piece, and its place there.
type Place = (usize, usize);

impl Sealed {
    /// Drops the nodes piece by piece; `dropped` is told the number each time.
    pub(super) fn dismantle(self, dropped: &mut dyn FnMut(usize)) {
        self.pieces.into_iter().for_each(|piece| dropped(piece.len()));
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All nodes in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (StreamId, &[u8])> {
        self.pieces.iter().flatten().map(|(id, bytes)| (*id, &**bytes))
    }

    /// Those nodes' memory.
    pub(super) fn memory(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().flatten().map(|(_, bytes)| bytes.memory())
    }

    /// The place behind the last node that begins at or before an ID.
    fn behind(&self, id: StreamId) -> Option<Place> {
        let piece = self.pieces.partition_point(|piece| piece[0].0 <= id).checked_sub(1)?;
        Some((piece, self.pieces[piece].partition_point(|(first, _)| *first <= id)))
    }

    fn at(&self, (piece, node): Place) -> Option<(StreamId, &[u8])> {
        let (id, bytes) = self.pieces.get(piece)?.get(node)?;
        Some((*id, bytes))
    }

    pub(super) fn first(&self) -> Option<(StreamId, &[u8])> {
        self.at((0, 0))
    }

    /// The last node that begins at or before an ID.
    pub(super) fn holding(&self, id: StreamId) -> Option<(StreamId, &[u8])> {
        // The first of its piece does, so there is one before.
        let (piece, behind) = self.behind(id)?;
        self.at((piece, behind - 1))
    }

    /// The node that begins with an ID.
    pub(super) fn get(&self, id: StreamId) -> Option<&[u8]> {
        self.holding(id).filter(|(first, _)| *first == id).map(|(_, bytes)| bytes)
    }

    /// The first node that begins with an ID or after it.
    pub(super) fn at_or_after(&self, id: StreamId) -> Option<(StreamId, &[u8])> {
        self.holding(id).filter(|(first, _)| *first == id).or_else(|| self.after(id))
    }

    /// The first node that begins after an ID.
    fn after(&self, id: StreamId) -> Option<(StreamId, &[u8])> {
        match self.behind(id) {
            Some((piece, behind)) => self.at((piece, behind)).or_else(|| self.at((piece + 1, 0))),
            None => self.first(),
        }
    }

    /// The node that begins with an ID.
    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Dense> {
        let (piece, behind) = self.behind(id)?;
        let (first, bytes) = &mut self.pieces[piece][behind - 1];
        (*first == id).then_some(bytes)
    }

    /// Adds a node behind all others.
    pub(super) fn push(&mut self, id: StreamId, bytes: Dense) {
        self.len += 1;
        match self.pieces.back_mut() {
            Some(last) if last.len() < MOST => last.push((id, bytes)),
            _ => self.pieces.push_back(vec![(id, bytes)]),
        }
    }

    /// Removes the last node.
    pub(super) fn pop(&mut self) -> Option<(StreamId, Dense)> {
        let last = self.pieces.back_mut()?;
        let node = last.pop();
        if last.is_empty() {
            self.pieces.pop_back();
        }
        self.len -= 1;
        node
    }

    /// Removes the node that begins with an ID, if there is one.
    pub(super) fn remove(&mut self, id: StreamId) {
        let Some((at, behind)) = self.behind(id) else { return };
        let piece = &mut self.pieces[at];
        if piece[behind - 1].0 != id {
            return;
        }
        piece.remove(behind - 1);
        self.len -= 1;
        let left = piece.len();
        if left == 0 {
            self.pieces.remove(at);
        } else if left < MOST / 4 && at > 0 && self.pieces[at - 1].len() + left <= MOST / 2 {
            let rest = self.pieces.remove(at).unwrap_or_default();
            self.pieces[at - 1].extend(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map(steps in proptest::collection::vec((0u8..8, 0u64..2000), 0..1500), burst in 0u64..1500) {
            let (mut sealed, mut model) = (Sealed::default(), BTreeMap::new());
            let mut next = 0;
            let mut push = |sealed: &mut Sealed, model: &mut BTreeMap<StreamId, Vec<u8>>, gap: u64| {
                next += 1 + gap % 3;
                sealed.push(id(next), Dense::new(&next.to_le_bytes()));
                model.insert(id(next), next.to_le_bytes().to_vec());
            };
            (0..burst).for_each(|i| push(&mut sealed, &mut model, i));
            for (step, number) in steps {
                let at = id(number);
                match step {
                    0 | 1 => push(&mut sealed, &mut model, number),
                    2 => prop_assert_eq!(
                        sealed.pop().map(|(id, bytes)| (id, bytes.to_vec())),
                        model.pop_last()
                    ),
                    3 => {
                        if let Some((first, _)) = model.pop_first() {
                            sealed.remove(first);
                        }
                    }
                    _ => {
                        sealed.remove(at);
                        model.remove(&at);
                    }
                }
                let owned = |found: Option<(StreamId, &[u8])>| found.map(|(id, bytes)| (id, bytes.to_vec()));
                let expected = |found: Option<(&StreamId, &Vec<u8>)>| found.map(|(id, b)| (*id, b.clone()));
                prop_assert_eq!(owned(sealed.holding(at)), expected(model.range(..=at).next_back()));
                prop_assert_eq!(owned(sealed.after(at)), expected(model.range(id(number + 1)..).next()));
                prop_assert_eq!(owned(sealed.at_or_after(at)), expected(model.range(at..).next()));
                prop_assert_eq!(sealed.get_mut(at).is_some(), model.contains_key(&at));
                prop_assert_eq!(sealed.len(), model.len());
            }
            prop_assert!(sealed.iter().eq(model.iter().map(|(id, bytes)| (*id, bytes.as_slice()))));
            prop_assert!(sealed.pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= MOST));
        }
    }
}
