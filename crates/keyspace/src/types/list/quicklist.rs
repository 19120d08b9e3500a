//! A list of several nodes: a deque of them, each as large as its limit allows. Knows nothing of when a list becomes
//! one, or stops to be one.
//!
//! Which element goes into which node follows Redis, since a list becomes a single listpack again only when one node is
//! left, and clients can see that.

use std::collections::VecDeque;

use super::node::{End, Node, Pack};
use super::watch::ListWatch;
use crate::encoding::listpack::Element;
use crate::snapshot::watch::Watched;
use crate::table::prefetch;

/// Bytes of a node whose limit is a number of elements.
const SAFE_NODE: usize = 8192;
/// Bytes of nodes by the directive's negative values, from -1 on.
const NODE_SIZES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
/// What is estimated that an element takes beyond its own bytes.
const OVERHEAD: usize = 8;
/// The most elements per node.
const MAX_COUNT: i64 = i16::MAX as i64;
/// From so many nodes on, those at the ends have all of their room from the beginning.
const MANY_NODES: usize = 16;

/// How large a node may be, as list-max-listpack-size says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NodeLimit {
    pub(super) bytes: usize,
    /// No limit: `usize::MAX`.
    pub(super) count: usize,
    /// Bytes from which a value gets a node of its own; 0: what a node would not hold.
    pub(super) plain: usize,
}

impl NodeLimit {
    pub(super) fn new(directive: i64) -> NodeLimit {
        match usize::try_from(directive.min(MAX_COUNT)) {
            Ok(count) => NodeLimit { bytes: SAFE_NODE, count: count.max(1), plain: 0 },
            Err(_) => {
                let index = directive.unsigned_abs().min(NODE_SIZES.len() as u64) as usize - 1;
                NodeLimit { bytes: NODE_SIZES[index], count: usize::MAX, plain: 0 }
            }
        }
    }

    /// What list-max-listpack-size says for this limit.
    pub(super) fn directive(self) -> i64 {
        match i64::try_from(self.count) {
            Ok(count) => count,
            Err(_) => -1 - NODE_SIZES.iter().position(|size| *size == self.bytes).map_or(0, |at| at as i64),
        }
    }

    /// Half of it, for lists that shrink.
    pub(super) fn half(directive: i64) -> NodeLimit {
        let limit = NodeLimit::new(directive);
        match limit.count {
            usize::MAX => NodeLimit { bytes: limit.bytes / 2, ..limit },
            count => NodeLimit { bytes: usize::MAX, count: count / 2, ..limit },
        }
    }

    #[inline]
    pub(super) fn is_exceeded(self, bytes: usize, count: usize) -> bool {
        bytes > self.bytes || count > self.count
    }

    /// Whether a value of `len` bytes gets a node of its own.
    #[inline]
    fn is_large(self, len: usize) -> bool {
        if self.plain == 0 { len > self.bytes } else { len >= self.plain }
    }

    /// Whether a node takes one more value of `len` bytes.
    #[inline]
    fn admits(self, node: Option<&Node>, len: usize) -> bool {
        match node {
            Some(Node::Pack(pack)) => {
                !self.is_large(len) && !self.is_exceeded(pack.size() + len + OVERHEAD, pack.count() + 1)
            }
            _ => false,
        }
    }
}

/// The nodes of a list. None of them is empty.
#[derive(Clone, Debug)]
pub(super) struct Quicklist {
    pub(super) nodes: VecDeque<Node>,
    len: usize,
    limit: NodeLimit,
    /// While a snapshot has the list open.
    pub(super) watch: Watched<ListWatch>,
}

/// An element's place: its node, and its index there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    node: usize,
    index: usize,
}

impl Place {
    /// The node's index, and the element's in it.
    pub(super) fn parts(self) -> (usize, usize) {
        (self.node, self.index)
    }
}

impl Quicklist {
    pub(super) fn new(limit: NodeLimit) -> Quicklist {
        Quicklist { nodes: VecDeque::new(), len: 0, limit, watch: Watched::default() }
    }

    pub(super) fn of_pack(pack: Pack, limit: NodeLimit) -> Quicklist {
        let mut list = Quicklist::new(limit);
        if pack.count() > 0 {
            list.len = pack.count();
            list.nodes.push_back(Node::Pack(pack));
        }
        list
    }

    /// To be called before a node changes.
    #[inline(always)]
    fn before_change(&mut self, node: usize) {
        if let Some(watch) = self.watch.get() {
            watch.before_change(&mut self.nodes[node]);
        }
    }

    /// To be called before the node at an end changes.
    #[inline(always)]
    fn before_end_changes(&mut self, end: End) {
        if self.watch.is_on() && !self.nodes.is_empty() {
            self.before_change(if end == End::Head { 0 } else { self.nodes.len() - 1 });
        }
    }

    /// Adds a node at the tail, which is not empty.
    pub(super) fn push_pack(&mut self, pack: Pack) {
        self.len += pack.count();
        self.nodes.push_back(Node::Pack(pack));
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Sets the bytes from which values get nodes of their own; see [`NodeLimit::plain`].
    #[inline]
    pub(super) fn set_plain(&mut self, bytes: usize) {
        self.limit.plain = bytes;
    }

    pub(super) fn limit(&self) -> NodeLimit {
        self.limit
    }

    pub(super) fn nodes(&self) -> &VecDeque<Node> {
        &self.nodes
    }

    pub(super) fn into_nodes(self) -> impl Iterator<Item = Node> {
        self.nodes.into_iter()
    }

    /// Asks the processor for the descriptions of the nodes at the ends.
    #[inline]
    pub(super) fn prefetch(&self) {
        let ends = [self.nodes.front(), self.nodes.back()];
        ends.into_iter().flatten().for_each(|node| prefetch(std::ptr::from_ref(node).cast()));
    }

    /// The only node, if it is a listpack. A list that a snapshot has open keeps its form.
    pub(super) fn only_pack(&self) -> Option<&Pack> {
        if self.nodes.len() == 1 && !self.watch.is_on() { self.nodes[0].as_pack() } else { None }
    }

    pub(super) fn take_only_pack(&mut self) -> Option<Pack> {
        self.only_pack()?;
        self.len = 0;
        match self.nodes.pop_back() {
            Some(Node::Pack(pack)) => Some(pack),
            _ => None,
        }
    }

    /// The place of the element at an index, which is below the length.
    pub(super) fn place(&self, index: usize) -> Place {
        debug_assert!(index < self.len);
        if index < self.len / 2 {
            let mut left = index;
            for (node, count) in self.nodes.iter().map(Node::count).enumerate() {
                if left < count {
                    return Place { node, index: left };
                }
                left -= count;
            }
        }
        let mut left = self.len - index;
        for (node, count) in self.nodes.iter().map(Node::count).enumerate().rev() {
            if left <= count {
                return Place { node, index: count - left };
            }
            left -= count;
        }
        unreachable!("the nodes have as many elements as the list")
    }

    /// The place of the first element equal to a value.
    pub(super) fn find(&self, value: &[u8]) -> Option<Place> {
        let wanted = Element::new(value);
        self.nodes.iter().enumerate().find_map(|(node, n)| {
            let index = match n {
                Node::Pack(pack) => pack.view().iter().position(|element| element == wanted)?,
                Node::Plain(bytes) if **bytes == *value => 0,
                Node::Plain(_) => return None,
            };
            Some(Place { node, index })
        })
    }

    /// The element at a place.
    pub(super) fn element(&self, place: Place) -> Element<'_> {
        match &self.nodes[place.node] {
            Node::Pack(pack) => {
                let view = pack.view();
                view.get(view.at(place.index as i64).expect("the place exists"))
            }
            Node::Plain(bytes) => Element::new(bytes),
        }
    }

    /// Adds a value at an end.
    #[inline]
    pub(super) fn push(&mut self, end: End, value: &[u8]) {
        let limit = self.limit;
        self.len += 1;
        if limit.admits(self.end(end), value.len()) {
            self.before_end_changes(end);
            let Some(Node::Pack(pack)) = self.end_mut(end) else { unreachable!("only listpacks admit") };
            pack.push(end, Element::new(value));
            return;
        }
        self.push_node(end, value);
    }

    #[inline]
    fn end(&self, end: End) -> Option<&Node> {
        match end {
            End::Head => self.nodes.front(),
            End::Tail => self.nodes.back(),
        }
    }

    #[inline]
    fn end_mut(&mut self, end: End) -> Option<&mut Node> {
        match end {
            End::Head => self.nodes.front_mut(),
            End::Tail => self.nodes.back_mut(),
        }
    }

    /// Adds a value in a node of its own at an end. The node that was last there becomes a compact one.
    #[cold]
    fn push_node(&mut self, end: End, value: &[u8]) {
        let buffer = match self.end_mut(end) {
            Some(Node::Pack(pack)) => pack.seal(),
            _ => Vec::new(),
        };
        let many = self.nodes.len() >= MANY_NODES;
        let (buffer, room) = if many { (buffer, self.limit.bytes) } else { (Vec::new(), 0) };
        if self.nodes.len() == self.nodes.capacity() {
            // In small steps: doubling would cost more than the nodes' descriptions themselves.
            self.nodes.reserve_exact((self.nodes.len() / 8).max(2));
        }
        let node = self.node_of(buffer, value, room, end);
        match end {
            End::Head => self.nodes.push_front(node),
            End::Tail => self.nodes.push_back(node),
        }
    }

    /// A node of one value, with room for `room` bytes in all, in a buffer whose contents do not matter.
    fn node_of(&self, buffer: Vec<u8>, value: &[u8], room: usize, end: End) -> Node {
        if self.limit.is_large(value.len()) {
            return Node::Plain(value.into());
        }
        let element = Element::new(value);
        // The listpack's header and end count too.
        let mut pack = Pack::reusing(buffer, room.saturating_sub(7).max(element.entry()), end);
        pack.push(end, element);
        Node::Pack(pack)
    }

    /// Removes the element at an end, after `visit` has seen it.
    #[inline]
    pub(super) fn pop<R>(&mut self, end: End, visit: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        self.before_end_changes(end);
        let (result, left) = match self.end_mut(end)? {
            Node::Pack(pack) => (pack.pop(end, visit), pack.count()),
            Node::Plain(bytes) => (visit(Element::new(bytes)), 0),
        };
        self.len -= 1;
        if left == 0 {
            self.drop_node(end);
        }
        Some(result)
    }

    fn drop_node(&mut self, end: End) {
        let node = match end {
            End::Head => self.nodes.pop_front(),
            End::Tail => self.nodes.pop_back(),
        };
        if let (Some(watch), Some(node)) = (self.watch.get(), node) {
            watch.after_removal(node);
        }
    }

    /// Removes `n` elements at an end.
    pub(super) fn drop_many(&mut self, end: End, n: usize) {
        let mut left = n.min(self.len);
        self.len -= left;
        while left > 0 {
            let count = self.end(end).map_or(0, Node::count);
            if left < count {
                self.before_end_changes(end);
                if let Some(Node::Pack(pack)) = self.end_mut(end) {
                    pack.drop_many(end, left);
                }
                return;
            }
            self.drop_node(end);
            left -= count;
        }
        if self.nodes.capacity() > 64 && self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    /// Puts a value in place of the element at an index.
    pub(super) fn set(&mut self, index: usize, value: &[u8]) {
        let place = self.place(index);
        let large = self.limit.is_large(value.len());
        self.before_change(place.node);
        match &mut self.nodes[place.node] {
            Node::Pack(pack) if !large => pack.replace(place.index, value),
            Node::Plain(bytes) if large => *bytes = value.into(),
            Node::Plain(_) => {
                self.insert(place, true, value);
                self.nodes.remove(place.node);
                self.len -= 1;
            }
            Node::Pack(_) => self.set_large(place, value),
        }
    }

    /// Puts a large value in place of an element of a listpack, which may be split in two.
    fn set_large(&mut self, place: Place, value: &[u8]) {
        let Node::Pack(pack) = &mut self.nodes[place.node] else { return };
        let rest = (place.index + 1 < pack.count()).then(|| pack.split_off(place.index + 1));
        pack.drop_many(End::Tail, 1);
        let emptied = pack.count() == 0;
        let mut at = place.node + 1;
        if emptied {
            self.nodes.remove(place.node);
            at -= 1;
        }
        self.nodes.insert(at, Node::Plain(value.into()));
        if let Some(rest) = rest {
            self.nodes.insert(at + 1, Node::Pack(rest));
        }
        if !emptied {
            self.merge_around(at);
        }
    }

    /// Adds a value before or after an element.
    pub(super) fn insert(&mut self, place: Place, after: bool, value: &[u8]) {
        self.len += 1;
        let count = self.nodes[place.node].count();
        let at_edge = if after { place.index + 1 == count } else { place.index == 0 };
        if self.limit.admits(self.nodes.get(place.node), value.len()) {
            self.before_change(place.node);
            let Node::Pack(pack) = &mut self.nodes[place.node] else { unreachable!("only listpacks admit") };
            match after {
                true => pack.insert_after(place.index, value),
                false => pack.insert_before(place.index, value),
            }
            return;
        }
        let neighbour = if after { place.node.checked_add(1) } else { place.node.checked_sub(1) };
        let neighbour = neighbour.filter(|n| self.limit.admits(self.nodes.get(*n), value.len()));
        if let (true, Some(neighbour)) = (at_edge, neighbour) {
            let end = if after { End::Head } else { End::Tail };
            self.before_change(neighbour);
            let Node::Pack(pack) = &mut self.nodes[neighbour] else { unreachable!("only listpacks admit") };
            pack.push(end, Element::new(value));
            return;
        }
        let at = place.node + usize::from(after);
        if at_edge {
            let node = self.node_of(Vec::new(), value, 0, End::Tail);
            self.nodes.insert(at, node);
        } else {
            self.insert_split(place, after, value);
        }
    }

    /// Adds a value in the middle of a full node, which is split in two there.
    fn insert_split(&mut self, place: Place, after: bool, value: &[u8]) {
        let large = self.limit.is_large(value.len());
        self.before_change(place.node);
        let Node::Pack(first) = &mut self.nodes[place.node] else {
            unreachable!("a large element is at an edge")
        };
        let mut second = first.split_off(place.index + usize::from(after));
        if large {
            self.nodes.insert(place.node + 1, Node::Plain(value.into()));
            self.nodes.insert(place.node + 2, Node::Pack(second));
            return;
        }
        match after {
            true => second.push(End::Head, Element::new(value)),
            false => first.push(End::Tail, Element::new(value)),
        }
        self.nodes.insert(place.node + 1, Node::Pack(second));
        self.merge_around(place.node + usize::from(!after));
    }

    /// Merges the neighbours of a node where they fit together, and then the node with them: so that splitting nodes
    /// does not leave ever smaller ones.
    fn merge_around(&mut self, mut center: usize) {
        if center >= 2 && self.merge(center - 2) {
            center -= 1;
        }
        if center + 2 < self.nodes.len() {
            self.merge(center + 1);
        }
        if center >= 1 && self.merge(center - 1) {
            center -= 1;
        }
        self.merge(center);
    }

    /// Merges a node with the next one if the limit allows; whether it did.
    fn merge(&mut self, first: usize) -> bool {
        let (Some(Node::Pack(a)), Some(Node::Pack(b))) = (self.nodes.get(first), self.nodes.get(first + 1))
        else {
            return false;
        };
        // One header and end less.
        if self.limit.is_exceeded(a.size() + b.size() - 7, a.count() + b.count()) {
            return false;
        }
        self.before_change(first);
        self.before_change(first + 1);
        if let (Some(Node::Pack(second)), Node::Pack(first)) =
            (self.nodes.remove(first + 1), &mut self.nodes[first])
        {
            first.append(&second);
        }
        true
    }

    /// Removes up to `limit` elements equal to a value, the first or the last ones; says how many.
    pub(super) fn remove(&mut self, value: &[u8], limit: usize, from: End) -> usize {
        let wanted = Element::new(value);
        let (mut removed, nodes) = (0, self.nodes.len());
        for i in 0..nodes {
            let i = if from == End::Head { i } else { nodes - 1 - i };
            if removed == limit {
                break;
            }
            if self.watch.is_on() && holds(&self.nodes[i], value) {
                self.before_change(i);
            }
            removed += match &mut self.nodes[i] {
                Node::Pack(pack) => pack.remove_equal(wanted, limit - removed, from),
                Node::Plain(bytes) if **bytes == *value => {
                    self.nodes[i] = Node::Pack(Pack::with_room(0, End::Tail));
                    1
                }
                Node::Plain(_) => 0,
            };
        }
        if removed > 0 {
            self.nodes.retain(|node| node.count() > 0);
            self.len -= removed;
        }
        removed
    }
}

/// Whether an element of a node is equal to a value.
fn holds(node: &Node, value: &[u8]) -> bool {
    let wanted = Element::new(value);
    match node {
        Node::Pack(pack) => pack.view().iter().any(|element| element == wanted),
        Node::Plain(bytes) => **bytes == *value,
    }
}
