//! One node of a list: a listpack with room at either end, or one large element on its own. Knows nothing of its
//! neighbours.
//!
//! ```text
//! buffer:  room | listpack (as in crate::encoding::listpack) | spare capacity
//!               ^ start                                      ^ length of the buffer
//! ```
//!
//! The room in front makes pushing and popping at the head as cheap as at the tail: the six bytes of the listpack's
//! header move, the entries do not. What lies between is an exact listpack at any time.

use crate::dense::Dense;
use crate::encoding::listpack::{END, Element, HEADER, Listpack, ListpackRef, Pos};
use crate::table::prefetch;
use crate::value::Blob;
use std::ops::Deref;
use std::sync::Arc;

/// Which end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The first element's.
    Head,
    /// The last element's.
    Tail,
}

/// A node of a list.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Pack(Pack),
    /// An element too large for a listpack.
    Plain(Plain),
}

/// A large element.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    bytes: Blob,
    /// As in [`Pack`].
    place: u32,
}

impl From<&[u8]> for Plain {
    fn from(bytes: &[u8]) -> Self {
        Plain { bytes: Arc::new(bytes.to_vec()), place: 0 }
    }
}

impl Plain {
    pub(super) fn shared(&self) -> &Blob {
        &self.bytes
    }
}

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A listpack with room at either end.
#[derive(Clone, Debug)]
pub(super) struct Pack {
    buf: Buffer,
    start: u32,
    count: u32,
    /// The number of the node for a snapshot that has the list open and has not got it; 0: none.
    place: u32,
}

/// What a listpack stands in.
#[derive(Clone, Debug)]
enum Buffer {
    /// With room to grow.
    Open(Vec<u8>),
    /// Without, until something changes.
    Sealed(Dense),
}

impl Buffer {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Buffer::Open(bytes) => bytes,
            Buffer::Sealed(bytes) => bytes,
        }
    }

    /// The bytes, to change them.
    #[inline]
    fn open(&mut self) -> &mut Vec<u8> {
        if let Buffer::Sealed(bytes) = self {
            *self = Buffer::Open(bytes.to_vec());
        }
        match self {
            Buffer::Open(bytes) => bytes,
            Buffer::Sealed(_) => unreachable!("it was opened"),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Buffer::Open(bytes) => bytes.capacity(),
            Buffer::Sealed(bytes) => bytes.memory(),
        }
    }
}

impl Node {
    /// How many elements there are.
    #[inline]
    pub(super) fn count(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.count(),
            Node::Plain(_) => 1,
        }
    }

    fn place(&mut self) -> &mut u32 {
        match self {
            Node::Pack(pack) => &mut pack.place,
            Node::Plain(plain) => &mut plain.place,
        }
    }

    /// Numbers the node for a snapshot.
    pub(super) fn set_place(&mut self, place: u32) {
        *self.place() = place;
    }

    /// Takes the number, if the snapshot has not got the node.
    #[inline]
    pub(super) fn take_place(&mut self) -> Option<u32> {
        Some(std::mem::take(self.place())).filter(|place| *place > 0)
    }

    pub(super) fn as_pack(&self) -> Option<&Pack> {
        match self {
            Node::Pack(pack) => Some(pack),
            Node::Plain(_) => None,
        }
    }

    /// Bytes of memory beside the node itself.
    pub(super) fn memory(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.buf.memory(),
            Node::Plain(bytes) => bytes.len(),
        }
    }
}

impl Pack {
    /// An empty listpack with room for `room` bytes of entries, all of it at one end.
    pub(super) fn with_room(room: usize, end: End) -> Pack {
        Pack::reusing(Vec::new(), room, end)
    }

    /// The same in a buffer whose contents do not matter.
    pub(super) fn reusing(mut buf: Vec<u8>, room: usize, end: End) -> Pack {
        let len = HEADER + 1;
        buf.clear();
        buf.reserve_exact(room + len);
        let start = if end == End::Head { room } else { 0 };
        buf.resize(start + len, 0);
        buf[start + HEADER] = END;
        let mut pack = Pack { buf: Buffer::Open(buf), start: offset(start), count: 0, place: 0 };
        pack.write_header();
        pack
    }

    /// From the bytes of a listpack, which are trusted.
    pub(super) fn from_bytes(buf: Vec<u8>) -> Pack {
        let count = ListpackRef::new(&buf).len() as u32;
        Pack { buf: Buffer::Open(buf), start: 0, count, place: 0 }
    }

    /// The buffer, whatever it contains.
    pub(super) fn into_buffer(mut self) -> Vec<u8> {
        std::mem::take(self.buf.open())
    }

    /// The listpack.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buf.bytes()[self.start as usize..]
    }

    /// Asks the processor for both ends of the listpack.
    #[inline]
    pub(super) fn prefetch(&self) {
        let bytes = self.bytes();
        prefetch(bytes.as_ptr());
        prefetch(bytes.as_ptr().wrapping_add(bytes.len() - 1));
    }

    #[inline]
    pub(super) fn view(&self) -> ListpackRef<'_> {
        ListpackRef::new(self.bytes())
    }

    /// Bytes of the listpack.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.buf.bytes().len() - self.start as usize
    }

    /// How many elements there are.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    #[inline]
    fn write_header(&mut self) {
        let (start, count, buf) = (self.start as usize, self.count, self.buf.open());
        let total = (buf.len() - start) as u32;
        let header = &mut buf[start..start + HEADER];
        header[..4].copy_from_slice(&total.to_le_bytes());
        header[4..].copy_from_slice(&(count.min(u32::from(u16::MAX)) as u16).to_le_bytes());
    }

    /// Adds an element at an end.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: Element<'_>) {
        let size = element.entry();
        match end {
            End::Head => {
                if (self.start as usize) < size {
                    self.make_front_room(size);
                }
                let first = self.start as usize + HEADER;
                element.write(&mut self.buf.open()[first - size..first]);
                self.start -= size as u32;
            }
            End::Tail => {
                let buf = self.buf.open();
                if buf.capacity() - buf.len() < size {
                    self.make_back_room(size);
                }
                let buf = self.buf.open();
                let last = buf.len() - 1;
                buf.resize(last + size + 1, END);
                element.write(&mut buf[last..last + size]);
            }
        }
        self.count += 1;
        self.write_header();
    }

    /// Removes the element at an end, after `visit` has seen it. There must be one.
    #[inline]
    pub(super) fn pop<R>(&mut self, end: End, visit: impl FnOnce(Element<'_>) -> R) -> R {
        let view = self.view();
        let result = match end {
            End::Head => {
                let size = view.next(HEADER).unwrap_or(view.bytes().len() - 1) - HEADER;
                let result = visit(view.get(HEADER));
                self.start += size as u32;
                result
            }
            End::Tail => {
                let last = view.last().expect("a node is never empty");
                let result = visit(view.get(last));
                self.end_at(last);
                result
            }
        };
        self.count -= 1;
        self.write_header();
        result
    }

    /// Cuts off what is behind a place of the listpack.
    #[inline]
    fn end_at(&mut self, pos: Pos) {
        let end = self.start as usize + pos + 1;
        let buf = self.buf.open();
        buf.truncate(end);
        buf[end - 1] = END;
    }

    /// Makes room for an entry in front: with what is spare behind, or in a larger buffer.
    #[cold]
    fn make_front_room(&mut self, size: usize) {
        let (start, len) = (self.start as usize, self.size());
        let buf = self.buf.open();
        let spare = buf.capacity() - buf.len();
        if start + spare >= size.max(len / 16) {
            let shift = (spare / 2).max(size - start.min(size));
            let end = buf.len();
            buf.resize(end + shift, 0);
            buf.copy_within(start..end, start + shift);
            self.start += offset(shift);
            return;
        }
        let mut larger = vec![0; grown(len, size)];
        let moved = larger.len() - len;
        larger[moved..].copy_from_slice(&buf[start..]);
        (*buf, self.start) = (larger, offset(moved));
    }

    /// Makes room for an entry behind: with what is free in front, or in a larger buffer.
    #[cold]
    fn make_back_room(&mut self, size: usize) {
        let (start, len) = (self.start as usize, self.size());
        let buf = self.buf.open();
        let spare = buf.capacity() - buf.len();
        if start + spare >= size.max(len / 16) {
            let shift = (start / 2).max(size - spare.min(size));
            buf.copy_within(start.., start - shift);
            buf.truncate(start - shift + len);
            self.start -= offset(shift);
            return;
        }
        self.align().reserve_exact(grown(len, size) - len);
    }

    /// Moves the listpack to the front of its buffer.
    fn align(&mut self) -> &mut Vec<u8> {
        let (start, len) = (self.start as usize, self.size());
        let buf = self.buf.open();
        if start > 0 {
            buf.copy_within(start.., 0);
            buf.truncate(len);
            self.start = 0;
        }
        buf
    }

    /// Gives up all room, since nothing will be pushed here soon. Returns the buffer, for reuse.
    pub(super) fn seal(&mut self) -> Vec<u8> {
        let sealed = Buffer::Sealed(Dense::new(self.bytes()));
        self.start = 0;
        match std::mem::replace(&mut self.buf, sealed) {
            Buffer::Open(bytes) => bytes,
            Buffer::Sealed(_) => Vec::new(),
        }
    }

    /// Gives back room that is more than a small part of the whole.
    pub(super) fn shrink(&mut self) {
        let len = self.size();
        if self.buf.memory() - len > len / 16 {
            self.align().shrink_to_fit();
        }
    }

    /// Gives back room if most of the buffer is unused, after elements were removed.
    pub(super) fn shrink_if_sparse(&mut self) {
        if self.buf.memory() > 256 && self.size() < self.buf.memory() / 4 {
            self.align().shrink_to_fit();
        }
    }

    /// Changes the listpack in the middle.
    fn edit<R>(&mut self, change: impl FnOnce(&mut Listpack) -> R) -> R {
        let mut pack = Listpack::from_bytes(std::mem::take(self.align()));
        let result = change(&mut pack);
        self.count = pack.len() as u32;
        self.buf = Buffer::Open(pack.into_bytes());
        result
    }

    /// Calls `change` with the listpack and the place of an element.
    fn edit_at<R>(&mut self, index: usize, change: impl FnOnce(&mut Listpack, Pos) -> R) -> R {
        self.edit(|pack| {
            let pos = pack.view().at(index as i64).expect("the index is below the count");
            change(pack, pos)
        })
    }

    /// Puts a value in place of an element.
    pub(super) fn replace(&mut self, index: usize, value: &[u8]) {
        self.edit_at(index, |pack, pos| pack.replace(pos, value));
    }

    /// Adds a value before the element at an index.
    pub(super) fn insert_before(&mut self, index: usize, value: &[u8]) {
        self.edit_at(index, |pack, pos| pack.insert_before(pos, value));
    }

    /// Adds a value after the element at an index.
    pub(super) fn insert_after(&mut self, index: usize, value: &[u8]) {
        self.edit_at(index, |pack, pos| pack.insert_after(pos, value));
    }

    /// Removes `n` elements, which must be there, at an end.
    pub(super) fn drop_many(&mut self, end: End, n: usize) {
        let view = self.view();
        let kept = self.count() - n;
        let edge = match end {
            End::Head => view.at(n as i64),
            End::Tail => view.at(kept as i64),
        };
        let edge = edge.unwrap_or(view.bytes().len() - 1);
        match end {
            End::Head => self.start += offset(edge - HEADER),
            End::Tail => self.end_at(edge),
        }
        self.count = kept as u32;
        self.write_header();
    }

    /// Moves all elements from an index on into a node of their own.
    pub(super) fn split_off(&mut self, index: usize) -> Pack {
        let pos = self.view().at(index as i64).expect("the index is below the count");
        let entries = &self.bytes()[pos..];
        let mut buf = Vec::with_capacity(HEADER + entries.len());
        buf.resize(HEADER, 0);
        buf.extend_from_slice(entries);
        let mut rest =
            Pack { buf: Buffer::Open(buf), start: 0, count: (self.count() - index) as u32, place: 0 };
        rest.write_header();
        self.drop_many(End::Tail, rest.count());
        rest
    }

    /// Adds all elements of another node at the tail.
    pub(super) fn append(&mut self, other: &Pack) {
        self.edit(|pack| pack.append(other.view()));
    }

    /// Removes up to `limit` elements equal to one, the first or the last ones; says how many.
    pub(super) fn remove_equal(&mut self, wanted: Element<'_>, limit: usize, from: End) -> usize {
        let places = match from {
            End::Head => self.places(wanted).take(limit).collect(),
            End::Tail => {
                let mut places: Vec<_> = self.places(wanted).collect();
                places.drain(..places.len().saturating_sub(limit));
                places
            }
        };
        self.cut(&places);
        places.len()
    }

    /// The bytes of all elements equal to one, in order: from where to where.
    fn places(&self, wanted: Element<'_>) -> impl Iterator<Item = (Pos, Pos)> {
        let view = self.view();
        let end = view.bytes().len() - 1;
        let size = wanted.entry();
        let mut entry = vec![0; size];
        wanted.write(&mut entry);
        let mut at = view.first();
        std::iter::from_fn(move || {
            while let Some(pos) = at {
                let next = view.next(pos);
                at = next;
                let bytes = &view.bytes()[pos..next.unwrap_or(end)];
                if bytes == entry.as_slice() {
                    return Some((pos, pos + size));
                }
            }
            None
        })
    }

    /// Removes runs of whole entries, which are in order.
    fn cut(&mut self, places: &[(Pos, Pos)]) {
        let start = self.start as usize;
        let Some((first, _)) = places.first() else { return };
        let mut to = start + first;
        let buf = self.buf.open();
        for (i, (_, end)) in places.iter().enumerate() {
            let next = places.get(i + 1).map_or(buf.len(), |(next, _)| start + next);
            buf.copy_within(start + end..next, to);
            to += next - (start + end);
        }
        buf.truncate(to);
        self.count -= places.len() as u32;
        self.write_header();
    }
}

/// Offsets within a node's buffer; listpacks have 32-bit lengths too.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a node is smaller than 4 GiB")
}

/// How large a buffer becomes that has to hold `more` bytes beyond `len`: an eighth of room, and a size that
/// allocators have a class for.
fn grown(len: usize, more: usize) -> usize {
    let wanted = len + more + len / 8;
    wanted.next_multiple_of((wanted.next_power_of_two() / 8).max(16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn texts(pack: &Pack) -> Vec<Vec<u8>> {
        assert!(ListpackRef::validate(pack.bytes()).is_ok());
        assert_eq!(pack.view().len(), pack.count());
        pack.view().iter().map(|element| element.to_bytes().into_owned()).collect()
    }

    #[test]
    fn pushing_at_either_end_moves_little() {
        for end in [End::Head, End::Tail] {
            let mut pack = Pack::with_room(0, end);
            let (mut grown, mut capacity) = (0, 0);
            for i in 0..2000 {
                pack.push(end, Element::Int(i + 100_000));
                grown += usize::from(pack.buf.memory() != capacity);
                capacity = pack.buf.memory();
            }
            assert!(grown < 60, "{grown}");
            assert!(capacity < pack.size() * 5 / 4, "{capacity}");
        }
    }

    #[test]
    fn room_goes_when_it_is_not_needed() {
        let mut pack = Pack::with_room(8000, End::Head);
        pack.push(End::Head, Element::Bytes(b"one"));
        assert!(pack.buf.memory() >= 8000);
        pack.shrink();
        assert_eq!(pack.buf.memory(), pack.size());
        assert_eq!(texts(&pack), [b"one"]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(bool, Vec<u8>),
        Pop(bool),
        Drop(bool, usize),
        Replace(usize, Vec<u8>),
        Insert(usize, bool, Vec<u8>),
        Remove(Vec<u8>, usize, bool),
        Split(usize),
        Shrink,
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            6 => (0..20u8).prop_map(|i| i.to_string().into_bytes()),
            3 => prop::collection::vec(any::<u8>(), 0..80),
            1 => any::<i64>().prop_map(|i| i.to_string().into_bytes()),
            1 => (100usize..6000).prop_map(|n| vec![b'x'; n]),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (any::<bool>(), value()).prop_map(|(head, value)| Step::Push(head, value)),
            4 => any::<bool>().prop_map(Step::Pop),
            1 => (any::<bool>(), 0usize..5).prop_map(|(head, n)| Step::Drop(head, n)),
            1 => (any::<usize>(), value()).prop_map(|(i, value)| Step::Replace(i, value)),
            1 => (any::<usize>(), any::<bool>(), value()).prop_map(|(i, after, v)| Step::Insert(i, after, v)),
            2 => (value(), 1usize..4, any::<bool>()).prop_map(|(v, n, head)| Step::Remove(v, n, head)),
            1 => any::<usize>().prop_map(Step::Split),
            1 => Just(Step::Shrink),
        ]
    }

    fn end(head: bool) -> End {
        if head { End::Head } else { End::Tail }
    }

    fn remove(model: &mut VecDeque<Vec<u8>>, value: &[u8], limit: usize, head: bool) -> usize {
        let mut removed = 0;
        while removed < limit {
            let at = match head {
                true => model.iter().position(|other| other == value),
                false => model.iter().rposition(|other| other == value),
            };
            let Some(at) = at else { break };
            model.remove(at);
            removed += 1;
        }
        removed
    }

    fn apply(pack: &mut Pack, model: &mut VecDeque<Vec<u8>>, step: Step) {
        match step {
            Step::Push(head, value) => {
                pack.push(end(head), Element::new(&value));
                if head { model.push_front(value) } else { model.push_back(value) }
            }
            Step::Remove(value, n, head) => {
                assert_eq!(
                    pack.remove_equal(Element::new(&value), n, end(head)),
                    remove(model, &value, n, head)
                );
            }
            Step::Shrink => pack.shrink(),
            _ if model.is_empty() => {}
            Step::Pop(head) => {
                let popped = pack.pop(end(head), |element| element.to_bytes().into_owned());
                assert_eq!(Some(popped), if head { model.pop_front() } else { model.pop_back() });
            }
            Step::Drop(head, n) => {
                let n = n.min(model.len());
                pack.drop_many(end(head), n);
                if head { drop(model.drain(..n)) } else { model.truncate(model.len() - n) }
            }
            Step::Replace(i, value) => {
                let i = i % model.len();
                pack.replace(i, &value);
                model[i] = value;
            }
            Step::Insert(i, after, value) => {
                let i = i % model.len();
                if after {
                    pack.insert_after(i, &value)
                } else {
                    pack.insert_before(i, &value)
                }
                model.insert(i + usize::from(after), value);
            }
            Step::Split(i) => {
                let i = i % model.len();
                let rest = pack.split_off(i);
                assert_eq!(rest.count() + pack.count(), model.len());
                texts(&rest);
                pack.append(&rest);
            }
        }
    }

    proptest! {
        #[test]
        fn a_pack_is_a_deque(steps in prop::collection::vec(step(), 1..80)) {
            let mut pack = Pack::with_room(0, End::Tail);
            let mut model = VecDeque::new();
            for step in steps {
                apply(&mut pack, &mut model, step);
                prop_assert_eq!(texts(&pack), Vec::from(model.clone()));
            }
        }
    }
}
