//! Lists: one listpack while they are small, a deque of listpacks and large elements otherwise.
//!
//! The small form has no layout of its own: it is the listpack, inside of the key's entry while it fits there. When a
//! list changes form follows list-max-listpack-size as in Redis: it grows out of its listpack when that would exceed the
//! limit, and returns to one when a single node is left that does not exceed half of it. The list knows neither its key
//! nor any command.

pub(crate) mod node;
mod quicklist;
mod watch;

use super::{Collection, Packing, Space};
use crate::encoding::listpack::{Element, ListpackRef};
use crate::slab::Bin;
use crate::snapshot::SnapshotPart;
use crate::snapshot::open::Openable;
use crate::value::{Blob, Encoding, Kind};
use node::{End, Node, Pack};
use quicklist::{NodeLimit, Quicklist};

/// A list.
#[derive(Debug)]
pub struct List(Form);

#[derive(Clone, Debug)]
enum Form {
    Packed(Pack),
    Large(Quicklist),
}

/// The same by reference.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a>(FormRef<'a>);

#[derive(Clone, Copy, Debug)]
enum FormRef<'a> {
    Packed(ListpackRef<'a>),
    Large(&'a Quicklist),
}

/// How a list of several nodes is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListShape {
    /// How many nodes there are.
    pub nodes: usize,
    /// What list-max-listpack-size was when it became such a list.
    pub limit: i64,
    /// Bytes of the listpacks, and of the elements that stand alone.
    pub bytes: usize,
}

/// A run of a list's elements.
#[derive(Clone, Copy, Debug)]
pub enum ListPart<'a> {
    /// The bytes of a listpack with one element at least.
    Pack(&'a [u8]),
    /// A single large element.
    Plain(&'a Blob),
}

impl List {
    /// Adds the elements of a listpack at the tail. The first one becomes the list if it is small enough for that, any other
    /// one a node.
    pub fn push_pack(&mut self, space: &Space<'_>, bytes: Vec<u8>) {
        let limit = NodeLimit::new(space.limits.list_max_listpack_size);
        let added = Pack::from_bytes(bytes);
        match &mut self.0 {
            Form::Packed(pack) if pack.count() == 0 => {
                self.0 = if limit.is_exceeded(added.size(), added.count()) {
                    Form::Large(Quicklist::of_pack(added, limit))
                } else {
                    Form::Packed(added)
                };
            }
            Form::Packed(pack) => {
                let first = std::mem::replace(pack, Pack::with_room(0, End::Tail));
                let mut list = Quicklist::of_pack(first, limit);
                list.push_pack(added);
                self.0 = Form::Large(list);
            }
            Form::Large(list) => list.push_pack(added),
        }
    }

    /// The same by reference.
    pub fn view(&self) -> ListRef<'_> {
        ListRef(match &self.0 {
            Form::Packed(pack) => FormRef::Packed(pack.view()),
            Form::Large(list) => FormRef::Large(list),
        })
    }

    /// Asks the processor for what is read or written at the ends.
    #[inline]
    pub(crate) fn prefetch(&self) {
        match &self.0 {
            Form::Packed(pack) => pack.prefetch(),
            Form::Large(list) => list.prefetch(),
        }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.count(),
            Form::Large(list) => list.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds values at an end, one after the other.
    pub fn push<'v>(
        &mut self,
        space: &Space<'_>,
        end: End,
        values: impl ExactSizeIterator<Item = &'v [u8]> + Clone,
    ) {
        self.grow(space, values.clone().map(<[u8]>::len).sum(), values.len());
        match &mut self.0 {
            Form::Packed(pack) => values.for_each(|value| pack.push(end, Element::new(value))),
            Form::Large(list) => values.for_each(|value| list.push(end, value)),
        }
    }

    /// Adds an element that was taken from a list at an end. Integers do not count for the limit beforehand, as in
    /// Redis.
    pub fn push_element(&mut self, space: &Space<'_>, end: End, element: Element<'_>) {
        let bytes = if let Element::Bytes(value) = element { value.len() } else { 0 };
        self.grow(space, bytes, 1);
        match &mut self.0 {
            Form::Packed(pack) => pack.push(end, element),
            Form::Large(list) => element.with_bytes(|value| list.push(end, value)),
        }
    }

    /// Removes the element at an end, after `visit` has seen it.
    pub fn pop<R>(&mut self, space: &Space<'_>, end: End, visit: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let result = self.take(end, visit);
        if let Form::Packed(pack) = &mut self.0 {
            pack.shrink_if_sparse();
        }
        self.shrink(space);
        result
    }

    fn take<R>(&mut self, end: End, visit: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match &mut self.0 {
            Form::Packed(pack) if pack.count() == 0 => None,
            Form::Packed(pack) => Some(pack.pop(end, visit)),
            Form::Large(list) => list.pop(end, visit),
        }
    }

    /// Moves the element at one end to an end, after `visit` has seen it.
    pub fn rotate(&mut self, space: &Space<'_>, from: End, to: End, visit: impl FnOnce(Element<'_>)) {
        let mut value = Vec::new();
        let taken = self.take(from, |element| {
            visit(element);
            element.with_bytes(|bytes| value.extend_from_slice(bytes));
        });
        if taken.is_some() {
            self.push_element(space, to, Element::new(&value));
            self.shrink(space);
        }
    }

    /// Removes up to `n` elements at an end.
    pub fn drop_many(&mut self, space: &Space<'_>, end: End, n: usize) {
        match &mut self.0 {
            Form::Packed(pack) => {
                pack.drop_many(end, n.min(pack.count()));
                pack.shrink_if_sparse();
            }
            Form::Large(list) => list.drop_many(end, n),
        }
        self.shrink(space);
    }

    /// Keeps `count` elements from `start` on.
    pub fn keep(&mut self, space: &Space<'_>, start: usize, count: usize) {
        let behind = self.len().saturating_sub(start.saturating_add(count));
        for (end, n) in [(End::Head, start), (End::Tail, behind)] {
            match &mut self.0 {
                Form::Packed(pack) => pack.drop_many(end, n.min(pack.count())),
                Form::Large(list) => list.drop_many(end, n),
            }
        }
        if let Form::Packed(pack) = &mut self.0 {
            pack.shrink_if_sparse();
        }
        self.shrink(space);
    }

    /// Puts a value in place of the element at an index; whether there is one.
    pub fn set(&mut self, space: &Space<'_>, index: usize, value: &[u8]) -> bool {
        self.grow(space, value.len(), 1);
        let exists = index < self.len();
        if exists {
            match &mut self.0 {
                Form::Packed(pack) => pack.replace(index, value),
                Form::Large(list) => list.set(index, value),
            }
            self.shrink(space);
        }
        exists
    }

    /// Adds a value before or after the first element equal to `pivot`; whether there is one.
    pub fn insert(&mut self, space: &Space<'_>, pivot: &[u8], after: bool, value: &[u8]) -> bool {
        self.grow(space, value.len(), 1);
        match &mut self.0 {
            Form::Packed(pack) => {
                let wanted = Element::new(pivot);
                let Some(index) = pack.view().iter().position(|element| element == wanted) else {
                    return false;
                };
                match after {
                    true => pack.insert_after(index, value),
                    false => pack.insert_before(index, value),
                }
            }
            Form::Large(list) => {
                let Some(place) = list.find(pivot) else { return false };
                list.insert(place, after, value);
            }
        }
        true
    }

    /// Removes up to `limit` elements equal to a value, those nearest to an end; says how many.
    pub fn remove(&mut self, space: &Space<'_>, value: &[u8], limit: usize, from: End) -> usize {
        let removed = match &mut self.0 {
            Form::Packed(pack) => {
                let removed = pack.remove_equal(Element::new(value), limit, from);
                pack.shrink_if_sparse();
                removed
            }
            Form::Large(list) => list.remove(value, limit, from),
        };
        if removed > 0 {
            self.shrink(space);
        }
        removed
    }

    /// To be called before values are added: changes to several nodes if `count` more values of `bytes` bytes are too much for one listpack.
    #[inline]
    fn grow(&mut self, space: &Space<'_>, bytes: usize, count: usize) {
        if let Form::Large(list) = &mut self.0 {
            list.set_plain(space.limits.list_plain_threshold);
            return;
        }
        let limit = NodeLimit::new(space.limits.list_max_listpack_size);
        if let Form::Packed(pack) = &mut self.0
            && limit.is_exceeded(pack.size() + bytes, pack.count() + count)
        {
            let mut pack = std::mem::replace(pack, Pack::with_room(0, End::Tail));
            pack.shrink();
            let mut list = Quicklist::of_pack(pack, limit);
            list.set_plain(space.limits.list_plain_threshold);
            self.0 = Form::Large(list);
        }
    }

    /// Changes to one listpack if a single node of half of the limit is left.
    #[inline]
    fn shrink(&mut self, space: &Space<'_>) {
        let Form::Large(list) = &mut self.0 else { return };
        let Some(pack) = list.only_pack() else { return };
        let limit = NodeLimit::half(space.limits.list_max_listpack_size);
        if !limit.is_exceeded(pack.size(), pack.count())
            && let Some(mut pack) = list.take_only_pack()
        {
            pack.shrink_if_sparse();
            self.0 = Form::Packed(pack);
        }
    }
}

/// Bytes for the elements of a new list. Its buffer is kept for others when the list moves into the key's entry.
const NEW_ROOM: usize = 1000;

impl<'a> ListRef<'a> {
    pub(crate) fn from_packed(_: Packing, bytes: &'a [u8]) -> Self {
        ListRef(FormRef::Packed(ListpackRef::new(bytes)))
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self.0 {
            FormRef::Packed(pack) => pack.len(),
            FormRef::Large(list) => list.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, while it is packed.
    pub fn packed(&self) -> Option<&'a [u8]> {
        match self.0 {
            FormRef::Packed(pack) => Some(pack.bytes()),
            FormRef::Large(_) => None,
        }
    }

    /// How many parts [`ListRef::parts`] visits.
    pub fn part_count(&self) -> usize {
        match self.0 {
            FormRef::Packed(_) => 1,
            FormRef::Large(list) => list.nodes().len(),
        }
    }

    /// Visits the list part by part.
    pub fn parts(&self, mut visit: impl FnMut(ListPart<'a>)) {
        match self.0 {
            FormRef::Packed(pack) => visit(ListPart::Pack(pack.bytes())),
            FormRef::Large(list) => list.nodes().iter().for_each(|node| {
                visit(watch::run(node));
            }),
        }
    }

    /// How it is stored.
    pub fn encoding(&self) -> Encoding {
        match self.0 {
            FormRef::Packed(_) => Encoding::Listpack,
            FormRef::Large(_) => Encoding::Quicklist,
        }
    }

    /// Its nodes, unless it is a single listpack.
    pub fn shape(&self) -> Option<ListShape> {
        match self.0 {
            FormRef::Packed(_) => None,
            FormRef::Large(list) => Some(ListShape {
                nodes: list.nodes().len(),
                limit: list.limit().directive(),
                bytes: list.nodes().iter().map(Node::size).sum(),
            }),
        }
    }

    /// Bytes taken beside the entry and the object, estimated from `samples` nodes; 0: all.
    pub fn memory(&self, samples: usize) -> usize {
        match self.0 {
            FormRef::Packed(pack) => pack.bytes().len(),
            FormRef::Large(list) => {
                let nodes = list.nodes();
                let seen = if samples == 0 { nodes.len() } else { samples.min(nodes.len()) };
                let bytes: usize = nodes.iter().take(seen).map(Node::memory).sum();
                nodes.capacity() * size_of::<Node>() + bytes * nodes.len() / seen.max(1)
            }
        }
    }

    /// The element at an index.
    pub fn get(&self, index: usize) -> Option<Element<'a>> {
        match self.0 {
            FormRef::Packed(pack) => {
                let index = i64::try_from(index).ok()?;
                pack.at(index).map(|pos| pack.get(pos))
            }
            FormRef::Large(list) => (index < list.len()).then(|| list.element(list.place(index))),
        }
    }

    /// Visits up to `count` elements from an index on, towards the tail.
    pub fn forward(&self, start: usize, count: usize, mut visit: impl FnMut(Element<'a>)) {
        self.try_forward(start, count, |element| {
            visit(element);
            true
        });
    }

    /// Visits up to `count` elements from an index on, towards the tail, until `visit` says false.
    pub fn try_forward(&self, start: usize, count: usize, mut visit: impl FnMut(Element<'a>) -> bool) {
        let count = count.min(self.len().saturating_sub(start));
        if count == 0 {
            return;
        }
        let list = match self.0 {
            FormRef::Packed(pack) => {
                visit_pack(pack, start, count, &mut visit);
                return;
            }
            FormRef::Large(list) => list,
        };
        let (first, mut skip) = list.place(start).parts();
        let mut left = count;
        for node in list.nodes().range(first..) {
            let here = left.min(node.count() - skip);
            let go_on = match node {
                Node::Pack(pack) => visit_pack(pack.view(), skip, here, &mut visit),
                Node::Plain(bytes) => visit(Element::new(bytes)),
            };
            (left, skip) = (left - here, 0);
            if left == 0 || !go_on {
                return;
            }
        }
    }

    /// Visits up to `count` elements from an index on, towards the head, until `visit` says false.
    pub fn try_backward(&self, start: usize, count: usize, mut visit: impl FnMut(Element<'a>) -> bool) {
        if start >= self.len() || count == 0 {
            return;
        }
        let count = count.min(start + 1);
        let list = match self.0 {
            FormRef::Packed(pack) => {
                visit_pack_back(pack, start, count, &mut visit);
                return;
            }
            FormRef::Large(list) => list,
        };
        let (last, index) = list.place(start).parts();
        let (mut from, mut left) = (Some(index), count);
        for node in list.nodes().range(..=last).rev() {
            let from = from.take().unwrap_or(node.count() - 1);
            let here = left.min(from + 1);
            let go_on = match node {
                Node::Pack(pack) => visit_pack_back(pack.view(), from, here, &mut visit),
                Node::Plain(bytes) => visit(Element::new(bytes)),
            };
            left -= here;
            if left == 0 || !go_on {
                return;
            }
        }
    }
}

/// Visits elements of a listpack towards its tail; whether to go on.
#[inline]
fn visit_pack<'a>(
    pack: ListpackRef<'a>,
    start: usize,
    count: usize,
    visit: &mut impl FnMut(Element<'a>) -> bool,
) -> bool {
    let Some(first) = pack.at(start as i64) else { return true };
    pack.iter_from(first).take(count).all(visit)
}

/// Visits elements of a listpack towards its head; whether to go on.
#[inline]
fn visit_pack_back<'a>(
    pack: ListpackRef<'a>,
    start: usize,
    count: usize,
    visit: &mut impl FnMut(Element<'a>) -> bool,
) -> bool {
    let mut next = pack.at(start as i64);
    for _ in 0..count {
        let Some(pos) = next else { return true };
        if !visit(pack.get(pos)) {
            return false;
        }
        next = pack.prev(pos);
    }
    true
}

impl Collection for List {
    const KIND: Kind = Kind::List;

    fn empty(_: &Space<'_>) -> Self {
        List(Form::Packed(Pack::with_room(NEW_ROOM, End::Tail)))
    }

    fn from_packed(_: Packing, bytes: Vec<u8>) -> Self {
        List(Form::Packed(Pack::from_bytes(bytes)))
    }

    fn packed(&self) -> Option<(Packing, &[u8])> {
        match &self.0 {
            Form::Packed(pack) => Some((Packing::List, pack.bytes())),
            Form::Large(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self.0 {
            Form::Packed(pack) => Some(pack.into_buffer()),
            Form::Large(_) => None,
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn pieces(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Large(list) => list.nodes().len(),
        }
    }

    fn free(self, bin: &mut Bin<'_>) {
        if let Form::Large(list) = self.0 {
            list.into_nodes().for_each(|node| {
                drop(node);
                bin.worked(1);
            });
        }
    }

    fn duplicate(&self, _: &mut Space<'_>) -> Self {
        List(self.0.clone())
    }
}

impl Openable for List {
    fn open(&mut self, _large: usize) {
        if let Form::Large(list) = &mut self.0 {
            list.open();
        }
    }

    fn close(&mut self) {
        if let Form::Large(list) = &mut self.0 {
            list.close();
        }
    }

    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        match &mut self.0 {
            Form::Large(list) => list.walk(part),
            Form::Packed(_) => true,
        }
    }

    fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        if let Form::Large(list) = &mut self.0 {
            list.drain(part);
        }
    }
}

#[cfg(test)]
mod tests;
