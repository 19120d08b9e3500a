//! A small hash: one listpack of fields and values, or of fields, values and deadlines.
//!
//! ```text
//! plain: field, value, field, value, ...                      in the order in which fields were added
//! timed: field, value, deadline, field, value, deadline, ...  ordered by deadline; 0, for none, comes last
//! ```
//!
//! A plain hash of more than [`INDEX_FROM`] bytes has an index beside the listpack ([`index`](super::index)), so that
//! looking for a field does not read all of it.
//!
//! Deadlines are unix milliseconds. A field that gets a deadline is put before those with the same or a later
//! one, a field that loses its deadline behind all others: the order in which Redis replies such hashes.
//! Knows neither limits nor large hashes.

use crate::encoding::listpack::{Element, Listpack, ListpackRef, Pos};

use super::index::Index;
use super::{NEVER, NewTtl};
use crate::table::prefetch;

/// Bytes from which on a plain hash has an index. Smaller ones usually stand inside of their key's entry.
const INDEX_FROM: usize = 1024;

/// A packed hash by reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedRef<'a> {
    list: ListpackRef<'a>,
    timed: bool,
    index: Option<&'a Index>,
}

/// One field as readers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) field: Element<'a>,
    pub(super) value: Element<'a>,
    /// [`NEVER`]: none.
    pub(super) deadline: u64,
}

impl<'a> PackedRef<'a> {
    pub(super) fn new(list: ListpackRef<'a>, timed: bool) -> Self {
        PackedRef { list, timed, index: None }
    }

    pub(super) fn is_timed(self) -> bool {
        self.timed
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.list.bytes()
    }

    /// Elements per field.
    #[inline]
    fn stride(self) -> usize {
        if self.timed { 3 } else { 2 }
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        self.list.len() / self.stride()
    }

    /// Bytes taken.
    pub(super) fn memory(self) -> usize {
        self.list.bytes().len() + self.index.map_or(0, Index::memory)
    }

    /// Where a field stands.
    #[inline]
    fn find(self, field: &[u8]) -> Option<Pos> {
        if let Some(index) = self.index {
            return index.find(self.list, field).map(|(_, pos)| pos);
        }
        self.list.find(self.list.first()?, field, self.stride() - 1)
    }

    #[inline]
    fn after(self, pos: Pos) -> Pos {
        self.list.next(pos).expect("a field is followed by its value, and by its deadline if it is timed")
    }

    /// The deadline behind a value.
    #[inline]
    fn deadline_after(self, value: Pos) -> u64 {
        if !self.timed {
            return NEVER;
        }
        match self.list.get(self.after(value)).as_int() {
            Some(at @ 1..) => at as u64,
            _ => NEVER,
        }
    }

    #[inline]
    pub(super) fn get(self, field: &[u8]) -> Option<(Element<'a>, u64)> {
        let value = self.after(self.find(field)?);
        Some((self.list.get(value), self.deadline_after(value)))
    }

    /// The field at an index; it exists.
    pub(super) fn at(self, index: usize) -> Entry<'a> {
        let field = self.list.at((index * self.stride()) as i64).expect("the index is within the hash");
        let value = self.after(field);
        Entry {
            field: self.list.get(field),
            value: self.list.get(value),
            deadline: self.deadline_after(value),
        }
    }

    /// All fields in their order.
    #[inline]
    pub(super) fn iter(self) -> impl Iterator<Item = Entry<'a>> {
        let mut elements = self.list.iter();
        std::iter::from_fn(move || {
            let field = elements.next()?;
            let value = elements.next()?;
            let deadline = match self.timed {
                true => elements.next()?.as_int().filter(|at| *at > 0).map_or(NEVER, |at| at as u64),
                false => NEVER,
            };
            Some(Entry { field, value, deadline })
        })
    }

    /// The earliest deadline: it stands with the first field.
    #[inline]
    pub(super) fn next_deadline(self) -> u64 {
        match self.list.first() {
            Some(first) if self.timed => self.deadline_after(self.after(first)),
            _ => NEVER,
        }
    }
}

/// A packed hash.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    list: Listpack,
    timed: bool,
    /// Of a plain hash only.
    index: Option<Index>,
}

impl Packed {
    pub(super) fn new(list: Listpack, timed: bool) -> Self {
        Packed { list, timed, index: None }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.list.into_bytes()
    }

    #[inline]
    pub(super) fn view(&self) -> PackedRef<'_> {
        PackedRef { list: self.list.view(), timed: self.timed, index: self.index.as_ref() }
    }

    /// Asks the processor for what finding a field reads first.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(self.list.view().bytes().as_ptr());
        if let Some(index) = &self.index {
            index.prefetch();
        }
    }

    /// Gives every field room for a deadline.
    pub(super) fn make_timed(&mut self) {
        if self.timed {
            return;
        }
        let mut list = Listpack::new();
        for entry in self.view().iter() {
            list.push_element_back(entry.field);
            list.push_element_back(entry.value);
            list.push_int_back(0);
        }
        *self = Packed::new(list, true);
    }

    /// Sets a field's value and deadline, which `ttl` makes of the old one. Says whether the field is new. Only a
    /// timed hash takes a deadline. A field that is given one moves even if it has the same.
    #[inline]
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], ttl: NewTtl) -> bool {
        if !self.timed {
            return self.set_plain(field, value);
        }
        let view = self.view();
        let Some(pos) = view.find(field) else {
            self.add(field, value, ttl.after(NEVER));
            return true;
        };
        let value_pos = view.after(pos);
        let old = view.deadline_after(value_pos);
        let new = ttl.after(old);
        if new == old && !matches!(ttl, NewTtl::At(_)) {
            self.list.replace(value_pos, value);
        } else {
            self.list.remove_many(pos, 3);
            self.add(field, value, new);
        }
        false
    }

    /// As `set`, for a hash without deadlines.
    #[inline]
    fn set_plain(&mut self, field: &[u8], value: &[u8]) -> bool {
        if self.index.is_some() {
            return self.set_indexed(field, value);
        }
        let view = self.view();
        if let Some(pos) = view.find(field) {
            self.list.replace(view.after(pos), value);
            return false;
        }
        self.add(field, value, NEVER);
        if self.list.size() > INDEX_FROM {
            self.index = Some(Index::new(self.list.view()));
        }
        true
    }

    fn set_indexed(&mut self, field: &[u8], value: &[u8]) -> bool {
        let Some(index) = &mut self.index else { return self.set_plain(field, value) };
        let (list, old) = (self.list.view(), self.list.size());
        if let Some((at, pos)) = index.find(list, field) {
            let value_pos = self.view().after(pos);
            self.list.replace(value_pos, value);
            let new = self.list.size();
            if let Some(index) = &mut self.index {
                index.moved_after(at, old, new);
            }
            return false;
        }
        index.push(list, field);
        self.add(field, value, NEVER);
        true
    }

    /// Adds a field that is not there.
    fn add(&mut self, field: &[u8], value: &[u8], deadline: u64) {
        debug_assert!(self.timed || deadline == NEVER);
        match self.first_from(deadline) {
            Some(pos) => {
                let pos = self.list.insert_before(pos, field);
                let pos = self.list.insert_after(pos, value);
                // An integer's text is stored as the integer.
                self.list.insert_after(pos, itoa::Buffer::new().format(deadline).as_bytes());
            }
            None => {
                self.list.push_back(field);
                self.list.push_back(value);
                if self.timed {
                    self.list.push_int_back(if deadline == NEVER { 0 } else { deadline as i64 });
                }
            }
        }
    }

    /// The first field whose deadline is not before `deadline`; `None` if that is the end.
    fn first_from(&self, deadline: u64) -> Option<Pos> {
        if deadline == NEVER {
            return None;
        }
        let view = self.view();
        let mut pos = view.list.first();
        while let Some(field) = pos {
            let value = view.after(field);
            if view.deadline_after(value) >= deadline {
                break;
            }
            pos = view.list.next(view.after(value));
        }
        pos
    }

    /// Changes the deadline of a field, if it exists; [`NEVER`] removes it.
    pub(super) fn set_deadline(&mut self, field: &[u8], deadline: u64) {
        let view = self.view();
        let Some(pos) = view.find(field) else { return };
        if view.deadline_after(view.after(pos)) == deadline && deadline == NEVER {
            return;
        }
        let value = view.list.get(view.after(pos)).to_bytes().into_owned();
        self.list.remove_many(pos, 3);
        self.add(field, &value, deadline);
    }

    /// Removes a field; says whether it existed.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let view = self.view();
        let (found, stride) = (view.find(field), view.stride());
        if let Some(index) = &mut self.index {
            index.remove(self.list.view(), field);
        }
        if let Some(pos) = found {
            self.list.remove_many(pos, stride);
        }
        found.is_some()
    }

    /// Removes at most `max` fields that are due at `now` and tells `gone` each. Says whether more are due.
    pub(super) fn remove_due(&mut self, now: u64, max: usize, gone: &mut dyn FnMut(&[u8])) -> bool {
        let mut due = 0;
        for entry in self.view().iter().take_while(|entry| entry.deadline <= now).take(max) {
            entry.field.with_bytes(&mut *gone);
            due += 1;
        }
        if due > 0 {
            self.list.remove_range(0, due * self.view().stride());
        }
        self.view().next_deadline() <= now
    }
}
