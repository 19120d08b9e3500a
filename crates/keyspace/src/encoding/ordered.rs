//! A sequence of opaque handles that finds places by rank and by order: a B+tree with counts.
//!
//! ```text
//! leaf:  handles of 6 bytes, a number of them               384 bytes, 63 handles
//! inner: per child its first handle, that handle's prefix,
//!        the number of handles below it, the child          about 1.25 KiB, 33 children
//! ```
//!
//! The tree knows neither what a handle stands for nor how two of them compare. Whoever looks for a place brings
//! a [`Probe`], and whoever changes the sequence tells the *prefix* of a handle: a number that does not decrease
//! along the sequence, such as a score. Prefixes are kept in inner nodes only, so a search follows handles (and
//! misses the cache) where prefixes are equal, and in one leaf; there it asks for eight of them at a time.
//!
//! Everything is O(log n) and touches at most two nodes per level. A node splits in the middle, at the ends of the
//! sequence beside the new handle, so that ascending and descending inserts fill nodes; and a node that is less
//! than a quarter full joins a neighbour if both fit with room to spare. That makes 6.3 bytes per handle in
//! order and about 10 at random.

use std::ops::{ControlFlow, Range};

/// Handles of a leaf, so that it takes 384 bytes.
const LEAF: usize = 63;
/// Children of an inner node, so that it takes no more than 1280 bytes.
const FAN: usize = 33;
/// Handles that a search in a leaf asks for at once.
const WAYS: usize = 8;

const _: () = assert!(size_of::<Leaf>() <= 384 && size_of::<Inner>() <= 1280);

/// A number of at most 48 bits, such as an address.
pub type Handle = u64;

/// A handle as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slot([u8; 6]);

impl Slot {
    #[inline]
    fn new(handle: Handle) -> Slot {
        debug_assert!(handle >> 48 == 0, "handles have 48 bits");
        let [a, b, c, d, e, f, ..] = handle.to_le_bytes();
        Slot([a, b, c, d, e, f])
    }

    /// The handle.
    #[inline]
    pub fn handle(self) -> Handle {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// A place in the sequence that is looked for: it says of any handle whether that stands before the place.
pub trait Probe {
    /// Whether a handle of this prefix stands before the place, if the prefix tells.
    fn by_prefix(&self, prefix: u64) -> Option<bool>;
    /// Whether a handle stands before the place.
    fn by_handle(&self, handle: Handle) -> bool;
    /// The handle will probably be asked about soon.
    fn prefetch(&self, handle: Handle);
}

/// The sequence.
#[derive(Debug)]
pub struct Ordered {
    root: Node,
    len: usize,
}

#[derive(Debug)]
enum Node {
    Leaf(Box<Leaf>),
    Inner(Box<Inner>),
}

#[derive(Debug)]
struct Leaf {
    slots: [Slot; LEAF],
    len: u16,
}

/// The elements of the arrays at the same index, below `len`, belong together.
#[derive(Debug)]
struct Inner {
    prefixes: [u64; FAN],
    counts: [u64; FAN],
    children: [Option<Node>; FAN],
    firsts: [Slot; FAN],
    len: u16,
}

/// A child with what its parent keeps of it.
struct Child {
    prefix: u64,
    first: Slot,
    count: u64,
    node: Node,
}

/// Which ends of the sequence a node holds.
#[derive(Clone, Copy)]
struct Ends {
    left: bool,
    right: bool,
}

impl Default for Ordered {
    fn default() -> Self {
        Ordered { root: Node::Leaf(Leaf::new(&[])), len: 0 }
    }
}

impl Ordered {
    /// An empty sequence.
    pub fn new() -> Self {
        Ordered::default()
    }

    /// Drops the sequence piece by piece; `dropped` is told the number of nodes each time.
    pub fn dismantle(self, dropped: &mut dyn FnMut(usize)) {
        self.root.dismantle(dropped);
    }

    /// How many handles there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all nodes.
    pub fn bytes(&self) -> usize {
        self.root.bytes()
    }

    /// How many handles stand before a place.
    #[inline]
    pub fn rank(&self, probe: &impl Probe) -> usize {
        let (mut node, mut before) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return before + leaf.rank(probe),
                Node::Inner(inner) => {
                    let smaller = inner.partition(probe);
                    if smaller == 0 {
                        return before;
                    }
                    before += inner.count_before(smaller - 1);
                    node = inner.child(smaller - 1);
                }
            }
        }
    }

    /// The handle at a rank.
    pub fn get(&self, rank: usize) -> Option<Handle> {
        if rank >= self.len {
            return None;
        }
        let (mut node, mut rank) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(leaf) => return Some(leaf.slots[rank].handle()),
                Node::Inner(inner) => {
                    let (i, rest) = inner.child_at(rank);
                    (node, rank) = (inner.child(i), rest);
                }
            }
        }
    }

    /// Inserts a handle so that it has this rank. `prefix` tells the prefix of any handle.
    ///
    /// # Panics
    /// If the rank is greater than the length.
    pub fn insert(&mut self, rank: usize, handle: Handle, prefix: &impl Fn(Handle) -> u64) {
        assert!(rank <= self.len, "there is no such rank");
        let ends = Ends { left: true, right: true };
        self.len += 1;
        let Some(right) = self.root.insert(rank, handle, ends, prefix) else { return };
        let left = std::mem::replace(&mut self.root, Node::Leaf(Leaf::new(&[])));
        let first = left.first();
        let count = self.len as u64 - right.count;
        let mut inner = Inner::new();
        inner.insert(0, Child { prefix: prefix(first.handle()), first, count, node: left });
        inner.insert(1, right);
        self.root = Node::Inner(inner);
    }

    /// Removes the handle at a rank. `prefix` tells the prefix of those that stay.
    ///
    /// # Panics
    /// If there is no such rank.
    pub fn remove(&mut self, rank: usize, prefix: &impl Fn(Handle) -> u64) -> Handle {
        assert!(rank < self.len, "there is no such rank");
        let handle = self.root.remove(rank, prefix);
        self.len -= 1;
        while let Node::Inner(inner) = &mut self.root
            && inner.len == 1
        {
            let only = inner.children[0].take();
            self.root = only.expect("a child stands at every index below len");
        }
        handle
    }

    /// Visits the handles of a range of ranks, in runs of up to 63, until `visit` breaks.
    pub fn visit(&self, ranks: Range<usize>, visit: &mut dyn FnMut(&[Slot]) -> ControlFlow<()>) {
        let ranks = ranks.start..ranks.end.min(self.len);
        let _ended = self.root.visit(ranks, visit);
    }

    /// The same from the last run to the first. Within a run, the order is the sequence's.
    pub fn visit_back(&self, ranks: Range<usize>, visit: &mut dyn FnMut(&[Slot]) -> ControlFlow<()>) {
        let ranks = ranks.start..ranks.end.min(self.len);
        let _ended = self.root.visit_back(ranks, visit);
    }
}

impl Node {
    fn bytes(&self) -> usize {
        match self {
            Node::Leaf(_) => size_of::<Leaf>(),
            Node::Inner(inner) => size_of::<Inner>() + inner.nodes().iter().map(Node::of_some).sum::<usize>(),
        }
    }

    fn dismantle(self, dropped: &mut dyn FnMut(usize)) {
        match self {
            Node::Leaf(_) => dropped(1),
            Node::Inner(inner) => {
                inner.children.into_iter().flatten().for_each(|child| child.dismantle(dropped));
            }
        }
    }

    fn of_some(node: &Option<Node>) -> usize {
        node.as_ref().map_or(0, Node::bytes)
    }

    fn first(&self) -> Slot {
        match self {
            Node::Leaf(leaf) => leaf.slots[0],
            Node::Inner(inner) => inner.firsts[0],
        }
    }

    /// Handles of a leaf, children of an inner node; and how many there may be.
    fn fill(&self) -> (usize, usize) {
        match self {
            Node::Leaf(leaf) => (leaf.len as usize, LEAF),
            Node::Inner(inner) => (inner.len as usize, FAN),
        }
    }

    /// Returns what is to stand to the right of this node, if it had to split.
    fn insert(
        &mut self,
        rank: usize,
        handle: Handle,
        ends: Ends,
        prefix: &impl Fn(Handle) -> u64,
    ) -> Option<Child> {
        match self {
            Node::Leaf(leaf) => {
                let right = leaf.insert(rank, Slot::new(handle), ends)?;
                let (first, count) = (right.slots[0], u64::from(right.len));
                Some(Child { prefix: prefix(first.handle()), first, count, node: Node::Leaf(right) })
            }
            Node::Inner(inner) => {
                let right = inner.insert_below(rank, handle, ends, prefix)?;
                let count = right.counts().iter().sum();
                Some(Child {
                    prefix: right.prefixes[0],
                    first: right.firsts[0],
                    count,
                    node: Node::Inner(right),
                })
            }
        }
    }

    fn remove(&mut self, rank: usize, prefix: &impl Fn(Handle) -> u64) -> Handle {
        match self {
            Node::Leaf(leaf) => leaf.remove(rank),
            Node::Inner(inner) => inner.remove_below(rank, prefix),
        }
    }

    fn visit(
        &self,
        ranks: Range<usize>,
        visit: &mut dyn FnMut(&[Slot]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if ranks.is_empty() {
            return ControlFlow::Continue(());
        }
        match self {
            Node::Leaf(leaf) => visit(&leaf.slots[ranks]),
            Node::Inner(inner) => {
                let (mut i, mut from) = inner.child_at(ranks.start);
                let mut left = ranks.len();
                while left > 0 {
                    let here = left.min(inner.counts[i] as usize - from);
                    inner.child(i).visit(from..from + here, visit)?;
                    (i, from, left) = (i + 1, 0, left - here);
                }
                ControlFlow::Continue(())
            }
        }
    }

    fn visit_back(
        &self,
        ranks: Range<usize>,
        visit: &mut dyn FnMut(&[Slot]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if ranks.is_empty() {
            return ControlFlow::Continue(());
        }
        match self {
            Node::Leaf(leaf) => visit(&leaf.slots[ranks]),
            Node::Inner(inner) => {
                let (mut i, last) = inner.child_at(ranks.end - 1);
                let (mut to, mut left) = (last + 1, ranks.len());
                loop {
                    let here = left.min(to);
                    inner.child(i).visit_back(to - here..to, visit)?;
                    left -= here;
                    if left == 0 {
                        return ControlFlow::Continue(());
                    }
                    i -= 1;
                    to = inner.counts[i] as usize;
                }
            }
        }
    }

    /// Takes over what a node of the same level, the one to the right, holds.
    fn append(&mut self, right: Node) {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) => left.append(right.slots()),
            (Node::Inner(left), Node::Inner(mut right)) => {
                while right.len > 0 {
                    let child = right.remove(0);
                    left.insert(left.len as usize, child);
                }
            }
            _ => unreachable!("neighbours are of the same level"),
        }
    }
}

impl Leaf {
    fn new(slots: &[Slot]) -> Box<Leaf> {
        let mut leaf = Box::new(Leaf { slots: [Slot::default(); LEAF], len: 0 });
        leaf.append(slots);
        leaf
    }

    fn slots(&self) -> &[Slot] {
        &self.slots[..self.len as usize]
    }

    fn append(&mut self, slots: &[Slot]) {
        let len = self.len as usize;
        self.slots[len..len + slots.len()].copy_from_slice(slots);
        self.len += slots.len() as u16;
    }

    /// How many handles stand before a place. In each round, up to [`WAYS`] handles that cut the rest into equal
    /// parts are fetched at once.
    #[inline]
    fn rank(&self, probe: &impl Probe) -> usize {
        let slots = self.slots();
        let (mut start, mut end) = (0, slots.len());
        while start < end {
            let step = (end - start).div_ceil(WAYS);
            let pivot = |i: usize| slots[start + (i + 1) * step - 1].handle();
            let pivots = (end - start) / step;
            for i in 0..pivots {
                probe.prefetch(pivot(i));
            }
            let smaller = partition(pivots, |i| probe.by_handle(pivot(i)));
            start += smaller * step;
            end = end.min(start + step - 1);
        }
        start
    }

    fn insert_slot(&mut self, at: usize, slot: Slot) {
        self.slots.copy_within(at..self.len as usize, at + 1);
        self.slots[at] = slot;
        self.len += 1;
    }

    fn insert(&mut self, at: usize, slot: Slot, ends: Ends) -> Option<Box<Leaf>> {
        let len = self.len as usize;
        if len < LEAF {
            self.insert_slot(at, slot);
            return None;
        }
        let cut = split_at(at, len, ends);
        let mut right = Leaf::new(&self.slots[cut..]);
        self.len = cut as u16;
        if at < cut || (at == cut && cut == 0) {
            self.insert_slot(at, slot);
        } else {
            right.insert_slot(at - cut, slot);
        }
        Some(right)
    }

    fn remove(&mut self, at: usize) -> Handle {
        let handle = self.slots[at].handle();
        self.slots.copy_within(at + 1..self.len as usize, at);
        self.len -= 1;
        handle
    }
}

impl Inner {
    fn new() -> Box<Inner> {
        Box::new(Inner {
            prefixes: [0; FAN],
            counts: [0; FAN],
            children: [const { None }; FAN],
            firsts: [Slot::default(); FAN],
            len: 0,
        })
    }

    #[inline]
    fn counts(&self) -> &[u64] {
        &self.counts[..self.len as usize]
    }

    fn nodes(&self) -> &[Option<Node>] {
        &self.children[..self.len as usize]
    }

    #[inline]
    fn child(&self, i: usize) -> &Node {
        self.children[i].as_ref().expect("a child stands at every index below len")
    }

    #[inline]
    fn child_mut(&mut self, i: usize) -> &mut Node {
        self.children[i].as_mut().expect("a child stands at every index below len")
    }

    /// The number of children whose first handle stands before a place.
    #[inline]
    fn partition(&self, probe: &impl Probe) -> usize {
        partition(self.len as usize, |i| {
            probe.by_prefix(self.prefixes[i]).unwrap_or_else(|| probe.by_handle(self.firsts[i].handle()))
        })
    }

    #[inline]
    fn count_before(&self, i: usize) -> usize {
        self.counts[..i].iter().sum::<u64>() as usize
    }

    /// The child that holds a rank, and the rank in there. The last child for the rank behind all.
    #[inline]
    fn child_at(&self, rank: usize) -> (usize, usize) {
        let (mut i, mut rank) = (0, rank as u64);
        while i + 1 < self.len as usize && rank >= self.counts[i] {
            rank -= self.counts[i];
            i += 1;
        }
        (i, rank as usize)
    }

    fn insert(&mut self, at: usize, child: Child) {
        let len = self.len as usize;
        self.prefixes.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.firsts.copy_within(at..len, at + 1);
        self.children[at..=len].rotate_right(1);
        self.prefixes[at] = child.prefix;
        self.counts[at] = child.count;
        self.firsts[at] = child.first;
        self.children[at] = Some(child.node);
        self.len += 1;
    }

    fn remove(&mut self, at: usize) -> Child {
        let len = self.len as usize;
        let node = self.children[at].take().expect("a child stands at every index below len");
        let child = Child { prefix: self.prefixes[at], first: self.firsts[at], count: self.counts[at], node };
        self.prefixes.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.firsts.copy_within(at + 1..len, at);
        self.children[at..len].rotate_left(1);
        self.len -= 1;
        child
    }

    /// Inserts a handle into a child; returns the right half of this node if it had to split.
    fn insert_below(
        &mut self,
        rank: usize,
        handle: Handle,
        ends: Ends,
        prefix: &impl Fn(Handle) -> u64,
    ) -> Option<Box<Inner>> {
        let (mut i, mut rest) = self.child_at(rank);
        if rest == 0 && i > 0 {
            // The end of the child before: then no first handle changes.
            i -= 1;
            rest = self.counts[i] as usize;
        }
        let last = self.len as usize - 1;
        let below = Ends { left: ends.left && i == 0, right: ends.right && i == last };
        let split = self.child_mut(i).insert(rest, handle, below, prefix);
        self.counts[i] += 1;
        if rest == 0 {
            self.firsts[i] = Slot::new(handle);
            self.prefixes[i] = prefix(handle);
        }
        let child = split?;
        self.counts[i] -= child.count;
        self.insert_child(i + 1, child, ends)
    }

    fn insert_child(&mut self, at: usize, child: Child, ends: Ends) -> Option<Box<Inner>> {
        let len = self.len as usize;
        if len < FAN {
            self.insert(at, child);
            return None;
        }
        // The new child is never the first one. Descending inserts put it behind the first.
        let cut = split_at(at - 1, len - 1, ends) + 1;
        let mut right = Inner::new();
        for to in 0..len - cut {
            let moved = self.remove(cut);
            right.insert(to, moved);
        }
        if at < cut {
            self.insert(at, child)
        } else {
            right.insert(at - cut, child)
        }
        Some(right)
    }

    fn remove_below(&mut self, rank: usize, prefix: &impl Fn(Handle) -> u64) -> Handle {
        let (i, rest) = self.child_at(rank);
        let child = self.child_mut(i);
        let handle = child.remove(rest, prefix);
        let (fill, room) = child.fill();
        let first = child.first();
        self.counts[i] -= 1;
        if fill == 0 {
            self.remove(i);
            return handle;
        }
        if rest == 0 {
            self.firsts[i] = first;
            self.prefixes[i] = prefix(first.handle());
        }
        if fill < room / 4 {
            self.join(i);
        }
        handle
    }

    /// Joins a child with a neighbour, if both together leave a quarter free.
    fn join(&mut self, i: usize) {
        let len = self.len as usize;
        let (fill, room) = self.child(i).fill();
        let fits = |other: usize| self.child(other).fill().0 + fill <= room * 3 / 4;
        let right = if i + 1 < len && fits(i + 1) {
            i + 1
        } else if i > 0 && fits(i - 1) {
            i
        } else {
            return;
        };
        let child = self.remove(right);
        self.counts[right - 1] += child.count;
        self.child_mut(right - 1).append(child.node);
    }
}

/// Where a full node of `len` elements splits to let one in at `at`.
fn split_at(at: usize, len: usize, ends: Ends) -> usize {
    if at == len && ends.right {
        len
    } else if at == 0 && ends.left {
        0
    } else {
        len / 2
    }
}

/// How many of the first `n` numbers satisfy a predicate that holds for those below some point only.
#[inline(always)]
fn partition(n: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = (low + high) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Handles are ordered by their value; the prefix has all but the low bits of it.
    const TIES: u32 = 3;

    /// The place of a value.
    struct At(u64);

    impl Probe for At {
        fn by_prefix(&self, prefix: u64) -> Option<bool> {
            (prefix != self.0 >> TIES).then_some(prefix < self.0 >> TIES)
        }
        fn by_handle(&self, handle: Handle) -> bool {
            handle < self.0
        }
        fn prefetch(&self, _handle: Handle) {}
    }

    fn prefix(handle: Handle) -> u64 {
        handle >> TIES
    }

    fn visited(tree: &Ordered, ranks: Range<usize>, back: bool) -> Vec<u64> {
        let mut seen = Vec::new();
        if back {
            tree.visit_back(ranks, &mut |run| {
                seen.extend(run.iter().rev().map(|s| s.handle()));
                ControlFlow::Continue(())
            });
        } else {
            tree.visit(ranks, &mut |run| {
                seen.extend(run.iter().map(|s| s.handle()));
                ControlFlow::Continue(())
            });
        }
        seen
    }

    /// Checks what inner nodes keep of their children; returns the number of handles and of levels.
    fn check(node: &Node) -> (u64, usize) {
        match node {
            Node::Leaf(leaf) => (u64::from(leaf.len), 1),
            Node::Inner(inner) => {
                assert!(inner.nodes().iter().all(Option::is_some));
                let mut levels = 0;
                for (i, child) in inner.nodes().iter().flatten().enumerate() {
                    let (count, depth) = check(child);
                    assert!(count > 0 && (levels == 0 || levels == depth));
                    levels = depth;
                    assert_eq!(inner.counts[i], count);
                    assert_eq!(inner.firsts[i], child.first());
                    assert_eq!(inner.prefixes[i], prefix(child.first().handle()));
                }
                (inner.counts().iter().sum(), levels + 1)
            }
        }
    }

    fn add(tree: &mut Ordered, value: u64) -> usize {
        let rank = tree.rank(&At(value));
        tree.insert(rank, value, &prefix);
        rank
    }

    fn fill(values: impl Iterator<Item = u64>) -> Ordered {
        let mut tree = Ordered::new();
        values.for_each(|value| {
            add(&mut tree, value);
        });
        let (count, levels) = check(&tree.root);
        assert_eq!(count, tree.len() as u64);
        assert!(levels <= 4);
        tree
    }

    #[test]
    fn nodes_are_full_after_inserts_in_order() {
        const N: u64 = 100_000;
        for tree in [fill(0..N), fill((0..N).rev())] {
            assert!(tree.bytes() as f64 / (N as f64) < 6.8, "{}", tree.bytes());
            assert_eq!(visited(&tree, 0..usize::MAX, false), (0..N).collect::<Vec<_>>());
        }
        let tree = fill((0..N).map(|i| (i * 2_654_435_761) % 1_000_003));
        assert!(tree.bytes() as f64 / (N as f64) < 10.5, "{}", tree.bytes());
    }

    #[test]
    fn a_visit_ends_when_it_is_told() {
        let tree = fill(0..1000);
        let mut runs = 0;
        tree.visit(100..900, &mut |run| {
            runs += 1;
            assert!(run[0].handle() >= 100);
            if runs == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(runs, 3);
    }

    #[test]
    fn everything_can_be_removed_in_any_order() {
        for from_back in [false, true] {
            let mut tree = fill(0..50_000);
            while !tree.is_empty() {
                let rank = if from_back { tree.len() - 1 } else { 0 };
                tree.remove(rank, &prefix);
            }
            assert!(tree.bytes() <= 384);
            assert_eq!(add(&mut tree, 7), 0);
        }
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_vector(
            ops in proptest::collection::vec((0u8..10, 0u64..4000), 0..3000),
            burst in 0u64..3000,
        ) {
            let mut model: Vec<u64> = (0..burst).map(|v| v * 2).collect();
            let mut tree = fill(model.iter().copied());
            for (op, value) in ops {
                let at = model.partition_point(|v| *v < value);
                prop_assert_eq!(tree.rank(&At(value)), at);
                if op < 5 && model.get(at) != Some(&value) {
                    model.insert(at, value);
                    tree.insert(at, value, &prefix);
                } else if op >= 5 && !model.is_empty() {
                    let at = at.min(model.len() - 1);
                    prop_assert_eq!(tree.remove(at, &prefix), model.remove(at));
                }
            }
            prop_assert_eq!(check(&tree.root).0, model.len() as u64);
            for rank in 0..=model.len() {
                prop_assert_eq!(tree.get(rank), model.get(rank).copied());
            }
            let cut = model.len() / 3;
            prop_assert_eq!(visited(&tree, cut..model.len() - cut, false), &model[cut..model.len() - cut]);
            let mut back = visited(&tree, cut..usize::MAX, true);
            back.reverse();
            prop_assert_eq!(back, &model[cut..]);
        }
    }
}
