//! An index of the fields of a packed hash that has no deadlines: about 3 bytes per field, so that finding one
//! among hundreds reads a few cache lines instead of the whole listpack.
//!
//! ```text
//! group: where its first field stands in the listpack (u32) | a tag of 16 bits for each of 4 fields; 0: none
//! ```
//!
//! Fields are in the listpack's order, and every group but the last has four. A tag is a hash of the field, so
//! a field with the right tag is compared as a whole. The index does not own the listpack: who changes that tells
//! the index what happened.

use crate::encoding::listpack::{Element, ListpackRef, Pos};
use crate::table::prefetch;

/// Fields of a group.
const FIELDS: usize = 4;

#[derive(Clone, Debug)]
struct Group {
    start: u32,
    tags: [u16; FIELDS],
}

impl Group {
    /// The top bit of each tag's 16 that is `tag`; perhaps also of one that is not, but stands behind it.
    #[inline]
    fn matches(&self, tag: u16) -> u64 {
        const ONES: u64 = 0x0001_0001_0001_0001;
        let [a, b, c, d] = self.tags.map(u64::from);
        let differences = (a | b << 16 | c << 32 | d << 48) ^ (u64::from(tag) * ONES);
        differences.wrapping_sub(ONES) & !differences & (ONES << 15)
    }

    fn len(&self) -> usize {
        self.tags.iter().filter(|tag| **tag != 0).count()
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Index(Vec<Group>);

/// The hash of a field that stands in the index; never 0.
#[inline]
fn tag_of(field: &[u8]) -> u16 {
    let n = field.len().min(8);
    let (mut first, mut last) = ([0; 8], [0; 8]);
    first[..n].copy_from_slice(&field[..n]);
    last[..n].copy_from_slice(&field[field.len() - n..]);
    let word = u64::from_le_bytes(first).rotate_left(29) ^ u64::from_le_bytes(last) ^ field.len() as u64;
    // 2^64 divided by the golden ratio; the top bits depend on all others.
    ((word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16).max(1)
}

/// Where the field after the one at `field` stands, or the end.
#[inline]
fn after_pair(list: ListpackRef<'_>, field: Pos) -> Pos {
    let value = list.next(field).expect("a field is followed by its value");
    list.next(value).unwrap_or(list.bytes().len() - 1)
}

impl Index {
    /// An index of all fields.
    pub(super) fn new(list: ListpackRef<'_>) -> Index {
        let mut index = Index(Vec::with_capacity(list.len() / 2 / FIELDS + 1));
        let mut next = list.first();
        while let Some(pos) = next {
            list.get(pos).with_bytes(|field| index.push_at(pos, field));
            next = list.next(pos).and_then(|value| list.next(value));
        }
        index
    }

    /// Bytes taken.
    pub(super) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<Group>()
    }

    /// Asks the processor for all of it: a few cache lines.
    pub(super) fn prefetch(&self) {
        const LINE: usize = 64;
        let bytes = self.0.as_ptr().cast::<u8>();
        (0..size_of_val(&self.0[..])).step_by(LINE).for_each(|at| prefetch(bytes.wrapping_add(at)));
    }

    /// The number of a field and where it stands.
    pub(super) fn find(&self, list: ListpackRef<'_>, field: &[u8]) -> Option<(usize, Pos)> {
        let (tag, wanted) = (tag_of(field), Element::new(field));
        for (g, group) in self.0.iter().enumerate() {
            let mut bits = group.matches(tag);
            while bits != 0 {
                let i = bits.trailing_zeros() as usize / 16;
                bits &= bits - 1;
                if group.tags[i] != tag {
                    continue;
                }
                let pos = (0..i).fold(group.start as Pos, |pos, _| after_pair(list, pos));
                if list.get(pos) == wanted {
                    return Some((g * FIELDS + i, pos));
                }
            }
        }
        None
    }

    /// A field is about to be added at the end of the list.
    pub(super) fn push(&mut self, list: ListpackRef<'_>, field: &[u8]) {
        self.push_at(list.bytes().len() - 1, field);
    }

    fn push_at(&mut self, pos: Pos, field: &[u8]) {
        let tag = tag_of(field);
        if let Some(last) = self.0.last_mut()
            && let Some(free) = last.tags.iter_mut().find(|tag| **tag == 0)
        {
            *free = tag;
            return;
        }
        // Listpacks stay far below 4 GiB.
        let mut group = Group { start: pos as u32, tags: [0; FIELDS] };
        group.tags[0] = tag;
        if self.0.len() == self.0.capacity() {
            // Not to twice the size: the index is to stay small beside the listpack.
            self.0.reserve_exact((self.0.len() / 8).max(2));
        }
        self.0.push(group);
    }

    /// The value of a field was replaced, and the list's size went from `old` to `new` bytes.
    pub(super) fn moved_after(&mut self, field: usize, old: usize, new: usize) {
        if old != new {
            for group in &mut self.0[field / FIELDS + 1..] {
                group.start = (group.start as usize + new - old) as u32;
            }
        }
    }

    /// A field is about to be removed from the list, if it is there.
    pub(super) fn remove(&mut self, list: ListpackRef<'_>, field: &[u8]) {
        let Some((number, pos)) = self.find(list, field) else { return };
        let size = after_pair(list, pos) - pos;
        let first = number / FIELDS;
        // From each later group, the first field moves to the group before.
        for g in first..self.0.len() {
            let moved = self.0.get(g + 1).map_or(0, |next| next.tags[0]);
            let group = &mut self.0[g];
            let gone = if g == first { number % FIELDS } else { 0 };
            group.tags.copy_within(gone + 1.., gone);
            group.tags[FIELDS - 1] = moved;
            if g > first {
                group.start = (after_pair(list, group.start as Pos) - size) as u32;
            }
        }
        if self.0.last().is_some_and(|last| last.len() == 0) {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::listpack::Listpack;

    #[test]
    fn it_follows_every_change_of_the_list() {
        let (mut list, mut index, mut seed) = (Listpack::new(), Index(Vec::new()), 1u64);
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = seed >> 32 & 127;
            let field = if number % 3 == 0 { number.to_string() } else { format!("field:{number}") };
            let (field, value) = (field.as_bytes(), "v".repeat((seed >> 40 & 7) as usize));
            match index.find(list.view(), field) {
                Some((_, pos)) if seed >> 60 == 0 => {
                    index.remove(list.view(), field);
                    list.remove_many(pos, 2);
                }
                Some((number, pos)) => {
                    let (old, at) = (list.size(), list.view().next(pos).expect("a value follows"));
                    list.replace(at, value.as_bytes());
                    index.moved_after(number, old, list.size());
                }
                None => {
                    index.push(list.view(), field);
                    list.push_back(field);
                    list.push_back(value.as_bytes());
                }
            }
            let expected = list.view().first().and_then(|first| list.view().find(first, field, 1));
            assert_eq!(index.find(list.view(), field).map(|(_, pos)| pos), expected);
            assert_eq!(index.0.len(), (list.len() / 2).div_ceil(FIELDS));
        }
        assert!(list.len() > 100);
    }
}
