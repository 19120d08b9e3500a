//! One node: up to some hundred entries in a listpack, in the layout that Redis stores and transmits.
//!
//! ```text
//! node:   live | deleted | fields | field ... | 0 | entry ...
//! entry:  flags | ms | seq | [fields] | data ... | elements of the entry before this one
//! flags:  1: deleted; 2: the fields are those at the beginning of the node
//! data:   values if the fields are the node's; otherwise `fields` tells how many pairs of field and value follow
//! ```
//!
//! `ms` and `seq` are differences from the node's ID, which is that of its first entry; the difference of `seq`
//! wraps around. Everything up to the 0 is called the master entry. The 0 and the last element of each entry let
//! the node be read from behind. A deleted entry stays where it is until the whole node goes.

use super::id::StreamId;
use crate::encoding::Malformed;
use crate::encoding::listpack::{Element, Listpack, ListpackRef, Pos};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Elements of an entry before its data: flags and the ID's two differences.
const FIXED: usize = 3;

/// A node by reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    /// The ID of the first entry, deleted or not.
    pub(super) id: StreamId,
    pack: ListpackRef<'a>,
}

/// An entry by reference.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    id: StreamId,
    node: Node<'a>,
    /// Where its flags are.
    at: Pos,
    flags: i64,
    /// How many pairs of field and value there are.
    pairs: usize,
    /// Where its first field is, or its first value if it has no fields of its own.
    data: Pos,
}

impl<'a> Entry<'a> {
    /// The entry's ID.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The number of its pairs of field and value.
    #[expect(clippy::len_without_is_empty, reason = "an entry is never empty")]
    pub fn len(&self) -> usize {
        self.pairs
    }

    /// Its fields and values.
    pub fn pairs(&self) -> Pairs<'a> {
        let fields = (self.flags & SAME_FIELDS != 0).then(|| self.node.first_field());
        Pairs { pack: self.node.pack, fields, data: self.data, left: self.pairs }
    }

    pub(super) fn node(&self) -> Node<'a> {
        self.node
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// The entry after this one, deleted or not.
    pub(super) fn next(&self) -> Option<Entry<'a>> {
        let per_pair = if self.flags & SAME_FIELDS != 0 { 1 } else { 2 };
        let mut pos = self.data;
        for _ in 0..self.pairs * per_pair {
            pos = self.node.skip(pos);
        }
        self.node.pack.next(pos).map(|pos| self.node.entry(pos))
    }

    /// The entry before this one, deleted or not.
    pub(super) fn previous(&self) -> Option<Entry<'a>> {
        self.node.entry_before(self.node.pack.prev(self.at)?)
    }
}

/// The fields and values of an entry.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    pack: ListpackRef<'a>,
    /// The next of the node's fields, if they are the entry's.
    fields: Option<Pos>,
    data: Pos,
    left: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.fields {
            Some(field) => take(self.pack, field),
            None => take(self.pack, &mut self.data),
        };
        Some((field, take(self.pack, &mut self.data)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

/// The element at `pos`, which becomes the place of the one after it. Every entry is followed by an element.
#[inline]
fn take<'a>(pack: ListpackRef<'a>, pos: &mut Pos) -> Element<'a> {
    let element = pack.get(*pos);
    *pos = pack.next(*pos).expect(COMPLETE);
    element
}

const COMPLETE: &str = "nodes end with a complete entry";

impl<'a> Node<'a> {
    /// The whole node.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.pack.bytes()
    }

    /// `bytes` are a whole node.
    #[inline]
    pub(super) fn new(id: StreamId, bytes: &'a [u8]) -> Self {
        Node { id, pack: ListpackRef::new(bytes) }
    }

    /// Bytes of the node.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.pack.bytes().len()
    }

    /// Entries that are not deleted.
    pub(super) fn live(&self) -> u64 {
        self.int(self.live_at()) as u64
    }

    /// All entries, deleted or not.
    #[inline]
    pub(super) fn total(&self) -> u64 {
        let mut pos = self.live_at();
        (self.take_int(&mut pos) + self.int(pos)) as u64
    }

    /// The first entry, deleted or not.
    pub(super) fn first(&self) -> Entry<'a> {
        let mut pos = self.deleted_at();
        self.take_int(&mut pos);
        let fields = self.take_int(&mut pos);
        for _ in 0..fields {
            pos = self.skip(pos);
        }
        self.entry(self.skip(pos))
    }

    /// The last entry, deleted or not.
    pub(super) fn last(&self) -> Entry<'a> {
        let pos = self.pack.last().expect(COMPLETE);
        self.entry_before(pos).expect("a node has at least one entry")
    }

    /// The entry with an ID of at least `id`, if there is one, deleted or not.
    pub(super) fn at_least(&self, id: StreamId) -> Option<Entry<'a>> {
        let mut next = Some(self.first());
        while let Some(entry) = next {
            if entry.id >= id {
                return next;
            }
            next = entry.next();
        }
        None
    }

    /// Whether the node's fields are these.
    #[inline]
    fn has_fields<'b>(&self, fields: impl ExactSizeIterator<Item = &'b [u8]>) -> bool {
        let mut pos = self.skip(self.deleted_at());
        if self.take_int(&mut pos) as usize != fields.len() {
            return false;
        }
        for field in fields {
            if !take(self.pack, &mut pos).equals(field) {
                return false;
            }
        }
        true
    }

    #[inline]
    fn live_at(&self) -> Pos {
        self.pack.first().expect(COMPLETE)
    }

    #[inline]
    fn deleted_at(&self) -> Pos {
        self.skip(self.live_at())
    }

    fn first_field(&self) -> Pos {
        self.skip(self.skip(self.deleted_at()))
    }

    #[inline]
    fn skip(&self, pos: Pos) -> Pos {
        self.pack.next(pos).expect(COMPLETE)
    }

    #[inline]
    fn int(&self, pos: Pos) -> i64 {
        self.pack.get(pos).as_int().expect("a node's counts, flags and IDs are integers")
    }

    #[inline]
    fn take_int(&self, pos: &mut Pos) -> i64 {
        let v = self.int(*pos);
        *pos = self.skip(*pos);
        v
    }

    /// The entry whose flags are at `at`.
    fn entry(&self, at: Pos) -> Entry<'a> {
        let mut pos = at;
        let flags = self.take_int(&mut pos);
        let ms = self.id.ms.wrapping_add_signed(self.take_int(&mut pos));
        let seq = self.id.seq.wrapping_add_signed(self.take_int(&mut pos));
        let pairs = match flags & SAME_FIELDS {
            0 => self.take_int(&mut pos),
            _ => self.int(self.skip(self.deleted_at())),
        };
        Entry { id: StreamId { ms, seq }, node: *self, at, flags, pairs: pairs as usize, data: pos }
    }

    /// The entry whose last element is at `pos`; `None` if the master entry's is.
    fn entry_before(&self, pos: Pos) -> Option<Entry<'a>> {
        let elements = self.int(pos);
        if elements == 0 {
            return None;
        }
        let mut at = pos;
        for _ in 0..elements {
            at = self.pack.prev(at).expect(COMPLETE);
        }
        Some(self.entry(at))
    }
}

/// A new node without entries, in a buffer whose contents do not matter. Its fields are those of the entry that is appended next.
pub(super) fn create<'b>(buffer: Vec<u8>, fields: impl ExactSizeIterator<Item = &'b [u8]>) -> Listpack {
    let mut pack = Listpack::reusing(buffer);
    pack.push_int_back(0);
    pack.push_int_back(0);
    pack.push_int_back(fields.len() as i64);
    for field in fields {
        pack.push_back(field);
    }
    pack.push_int_back(0);
    pack
}

/// Appends an entry to the node `node_id`.
pub(super) fn append<'b>(
    pack: &mut Listpack,
    node_id: StreamId,
    id: StreamId,
    pairs: impl ExactSizeIterator<Item = (&'b [u8], &'b [u8])> + Clone,
) {
    let node = Node::new(node_id, pack.view().bytes());
    let same = node.has_fields(pairs.clone().map(|(field, _)| field));
    let (live_at, live) = (node.live_at(), node.live() as i64);
    pack.replace_int(live_at, live + 1);
    pack.push_int_back(if same { SAME_FIELDS } else { 0 });
    pack.push_int_back(id.ms.wrapping_sub(node_id.ms) as i64);
    pack.push_int_back(id.seq.wrapping_sub(node_id.seq) as i64);
    let count = pairs.len();
    if same {
        pairs.for_each(|(_, value)| pack.push_back(value));
        pack.push_int_back((FIXED + count) as i64);
    } else {
        pack.push_int_back(count as i64);
        for (field, value) in pairs {
            pack.push_back(field);
            pack.push_back(value);
        }
        pack.push_int_back((FIXED + 1 + 2 * count) as i64);
    }
}

/// Where an entry's flags are, and what they become when it is deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    at: Pos,
    flags: i64,
}

impl Entry<'_> {
    /// For [`delete`].
    pub(super) fn mark(&self) -> Mark {
        Mark { at: self.at, flags: self.flags | DELETED }
    }
}

/// Marks entries of a node as deleted, none of which is.
pub(super) fn delete(pack: &mut Listpack, marks: &[Mark]) {
    // The flags are of one size whatever they are, so the marks after this one stay right.
    for mark in marks {
        pack.replace_int(mark.at, mark.flags);
    }
    let node = Node::new(StreamId::MIN, pack.view().bytes());
    let (at, live) = (node.live_at(), node.live() as i64);
    let deleted = node.total() as i64 - live;
    pack.replace_int(at, live - marks.len() as i64);
    let at = Node::new(StreamId::MIN, pack.view().bytes()).deleted_at();
    pack.replace_int(at, deleted + marks.len() as i64);
}

/// Checks a node that comes from elsewhere.
///
/// # Errors
/// [`Malformed`], if the bytes are not a node or their IDs do not increase.
pub(super) fn load(id: StreamId, bytes: Vec<u8>) -> Result<Listpack, Malformed> {
    let pack = Listpack::load(bytes)?;
    check(id, pack.view()).ok_or(Malformed)?;
    Ok(pack)
}

fn check(id: StreamId, pack: ListpackRef<'_>) -> Option<()> {
    let mut elements = pack.iter();
    let mut int = move || elements.next()?.as_int();
    let (live, deleted, fields) = (int()?, int()?, int()?);
    let bound = pack.len() as i64;
    if live < 0 || deleted < 0 || live.checked_add(deleted)? > bound || !(1..=bound).contains(&fields) {
        return None;
    }
    let mut elements = pack.iter().skip(3 + fields as usize);
    if elements.next()?.as_int()? != 0 {
        return None;
    }
    let (mut found_live, mut found, mut last) = (0, 0, None);
    while let Some(flags) = elements.next() {
        let flags = flags.as_int().filter(|flags| (0..=DELETED | SAME_FIELDS).contains(flags))?;
        let ms = id.ms.wrapping_add_signed(elements.next()?.as_int()?);
        let seq = id.seq.wrapping_add_signed(elements.next()?.as_int()?);
        let this = StreamId { ms, seq };
        if last.is_some_and(|last| last >= this) || this < id {
            return None;
        }
        let data = match flags & SAME_FIELDS {
            0 => {
                let pairs = elements.next()?.as_int().filter(|n| (1..=bound).contains(n))?;
                1 + 2 * pairs
            }
            _ => fields,
        };
        let skipped = if flags & SAME_FIELDS == 0 { data - 1 } else { data };
        elements.nth(skipped as usize - 1)?;
        if elements.next()?.as_int()? != FIXED as i64 + data {
            return None;
        }
        last = Some(this);
        found += 1;
        found_live += i64::from(flags & DELETED == 0);
    }
    (found_live == live && found == live + deleted).then_some(())
}
