//! A set: an intset while it is small and all its members are integers, a listpack while it is small, a hash
//! table of blocks otherwise. The bounds are Redis's, and so is when they are looked at.
//!
//! This module knows how a set is stored and how it changes; choosing members at random and combining sets are
//! its parts `choice` and `algebra`.

mod algebra;
mod choice;
mod members;

use super::{Collection, Packing, Space};
use crate::encoding::canonical_int;
use crate::encoding::intset::{Intset, IntsetRef};
use crate::encoding::listpack::{Element, Listpack, ListpackRef, MAX_SAFE_SIZE};
use crate::slab::Bin;
use crate::snapshot::SnapshotPart;
use crate::snapshot::open::Openable;
use crate::snapshot::watch::TableWatch;
use crate::value::{Encoding, Kind};
use members::Members;
use std::ops::ControlFlow;

/// The most members of an intset, whatever the limits say.
const INTSET_MOST: usize = 1 << 30;

/// A set.
#[derive(Debug)]
pub struct Set(Form);

#[derive(Debug)]
enum Form {
    Ints(Intset),
    Pack(Listpack),
    Large(Members),
}

/// A set by reference.
#[derive(Clone, Copy, Debug)]
pub struct SetRef<'a>(FormRef<'a>);

#[derive(Clone, Copy, Debug)]
enum FormRef<'a> {
    Ints(IntsetRef<'a>),
    Pack(ListpackRef<'a>),
    Large(&'a Members),
}

impl<'a> SetRef<'a> {
    pub(crate) fn from_packed(packing: Packing, bytes: &'a [u8]) -> Self {
        match packing {
            Packing::SetInts => SetRef(FormRef::Ints(IntsetRef::new(bytes))),
            _ => SetRef(FormRef::Pack(ListpackRef::new(bytes))),
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self.0 {
            FormRef::Ints(set) => set.len(),
            FormRef::Pack(pack) => pack.len(),
            FormRef::Large(members) => members.len(),
        }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How it is stored.
    pub fn encoding(&self) -> Encoding {
        match self.0 {
            FormRef::Ints(_) => Encoding::Intset,
            FormRef::Pack(_) => Encoding::Listpack,
            FormRef::Large(_) => Encoding::Hashtable,
        }
    }

    /// Of a table: how many of its buckets hold how many members, from none on.
    pub fn bucket_loads(&self) -> Option<Vec<usize>> {
        match self.0 {
            FormRef::Ints(_) | FormRef::Pack(_) => None,
            FormRef::Large(members) => Some(members.bucket_loads()),
        }
    }

    /// Bytes taken beside the entry, estimated from `samples` members where it is large; 0: all.
    pub fn memory(&self, samples: usize) -> usize {
        match self.0 {
            FormRef::Ints(set) => set.bytes().len(),
            FormRef::Pack(pack) => pack.bytes().len(),
            FormRef::Large(members) => members.memory(samples),
        }
    }

    /// The bytes, while the set is packed.
    pub fn packed(&self) -> Option<&'a [u8]> {
        match self.0 {
            FormRef::Ints(set) => Some(set.bytes()),
            FormRef::Pack(pack) => Some(pack.bytes()),
            FormRef::Large(_) => None,
        }
    }

    /// Whether the two are the same set, rather than equal ones.
    pub fn is(&self, other: &SetRef<'_>) -> bool {
        match (self.0, other.0) {
            (FormRef::Ints(a), FormRef::Ints(b)) => std::ptr::eq(a.bytes(), b.bytes()),
            (FormRef::Pack(a), FormRef::Pack(b)) => std::ptr::eq(a.bytes(), b.bytes()),
            (FormRef::Large(a), FormRef::Large(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }

    /// Whether `member` is one.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.0 {
            FormRef::Ints(set) => canonical_int(member).is_some_and(|v| set.contains(v)),
            FormRef::Pack(pack) => pack.first().and_then(|first| pack.find(first, member, 0)).is_some(),
            FormRef::Large(members) => members.contains(member),
        }
    }

    /// Whether a member of another set is one of this.
    #[inline]
    pub fn contains_element(&self, element: Element<'_>) -> bool {
        match (self.0, element) {
            (FormRef::Ints(set), Element::Int(v)) => set.contains(v),
            (FormRef::Pack(pack), Element::Int(v)) => {
                pack.first().and_then(|first| pack.find_int(first, v, 0)).is_some()
            }
            (_, Element::Bytes(bytes)) => self.contains(bytes),
            (FormRef::Large(members), element) => element.with_bytes(|bytes| members.contains(bytes)),
        }
    }

    /// Visits all members: integers ascending, a listpack in its order, a large set in no order.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(Element<'a>)) {
        let _ = self.try_for_each(|element| {
            visit(element);
            ControlFlow::Continue(())
        });
    }

    /// As [`SetRef::for_each`], until `visit` breaks off.
    #[inline]
    pub fn try_for_each(&self, mut visit: impl FnMut(Element<'a>) -> ControlFlow<()>) -> ControlFlow<()> {
        match self.0 {
            FormRef::Ints(set) => set.iter().try_for_each(|v| visit(Element::Int(v))),
            FormRef::Pack(pack) => pack.iter().try_for_each(visit),
            FormRef::Large(members) => members.try_for_each(&mut |bytes| visit(Element::Bytes(bytes))),
        }
    }

    /// One step of a scan from a cursor; returns the next cursor, 0 at the end. A packed set is one step.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Element<'a>)) -> u64 {
        match self.0 {
            FormRef::Large(members) => members.scan(cursor, &mut |bytes| visit(Element::Bytes(bytes))),
            _ => {
                self.for_each(visit);
                0
            }
        }
    }
}

impl Set {
    /// The same by reference.
    #[inline]
    pub fn view(&self) -> SetRef<'_> {
        SetRef(match &self.0 {
            Form::Ints(set) => FormRef::Ints(set.view()),
            Form::Pack(pack) => FormRef::Pack(pack.view()),
            Form::Large(members) => FormRef::Large(members),
        })
    }

    /// An empty set that begins as a set of integers.
    fn of_ints() -> Set {
        Set(Form::Ints(Intset::new()))
    }

    /// An empty set that begins as a listpack.
    fn of_strings() -> Set {
        Set(Form::Pack(Listpack::new()))
    }

    /// From the bytes of an intset, or of a listpack without member twice. It becomes large if there are more members than
    /// the limit says.
    pub fn load(packing: Packing, bytes: Vec<u8>, space: &mut Space<'_>) -> Set {
        let mut set = Set::from_packed(packing, bytes);
        let most = match &set.0 {
            Form::Ints(_) => most_ints(space),
            _ => space.limits.set_max_listpack_entries,
        };
        if set.view().len() > most {
            set.enlarge(space);
        }
        set
    }

    /// Chooses the form for `count` members that are about to be added, `first` being the first of them.
    pub fn expect(&mut self, space: &mut Space<'_>, first: &[u8], count: usize) {
        let limits = space.limits;
        let (most_ints, most_packed) = (limits.set_max_intset_entries, limits.set_max_listpack_entries);
        if !self.is_empty() {
            let most = match &self.0 {
                Form::Ints(_) => most_ints,
                Form::Pack(_) => most_packed,
                Form::Large(_) => return,
            };
            if count > most {
                self.enlarge(space);
            }
        } else if canonical_int(first).is_some() && count <= most_ints {
            *self = Set::of_ints();
        } else if count <= most_packed {
            *self = Set::of_strings();
        } else {
            *self = Set(Form::Large(Members::new(space.hasher)));
        }
    }

    /// Adds a member; says whether it is new.
    #[inline]
    pub fn add(&mut self, space: &mut Space<'_>, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Large(members) => members.insert(space.slab, member),
            _ => self.add_element(space, Element::new(member)),
        }
    }

    /// Adds a member of another set; says whether it is new.
    pub fn add_element(&mut self, space: &mut Space<'_>, element: Element<'_>) -> bool {
        match &mut self.0 {
            Form::Large(members) => element.with_bytes(|bytes| members.insert(space.slab, bytes)),
            Form::Ints(_) => match element {
                Element::Int(v) => self.add_int(space, v),
                Element::Bytes(bytes) => match canonical_int(bytes) {
                    Some(v) => self.add_int(space, v),
                    None => self.add_to_ints(space, bytes),
                },
            },
            Form::Pack(_) => match element {
                Element::Bytes(bytes) => self.add_to_pack(space, Element::new(bytes)),
                element => self.add_to_pack(space, element),
            },
        }
    }

    fn add_int(&mut self, space: &mut Space<'_>, v: i64) -> bool {
        let Form::Ints(set) = &mut self.0 else { unreachable!("called for sets of integers") };
        let added = set.insert(v);
        if added && set.len() > most_ints(space) {
            self.enlarge(space);
        }
        added
    }

    /// Adds the first member that is not an integer.
    fn add_to_ints(&mut self, space: &mut Space<'_>, member: &[u8]) -> bool {
        let Form::Ints(set) = &self.0 else { unreachable!("called for sets of integers") };
        let limits = space.limits;
        let view = set.view();
        let longest = match view.len() {
            0 => 0,
            n => Element::Int(view.get(0)).len().max(Element::Int(view.get(n - 1)).len()),
        };
        let fits = view.len() < limits.set_max_listpack_entries
            && member.len().max(longest) <= limits.set_max_listpack_value
            && view.len().saturating_mul(longest + 11).saturating_add(member.len()) < MAX_SAFE_SIZE;
        if !fits {
            self.enlarge(space);
            return self.add(space, member);
        }
        let mut pack = Listpack::with_capacity(view.bytes().len() + member.len() + 16);
        view.iter().for_each(|v| pack.push_int_back(v));
        pack.push_element_back(Element::Bytes(member));
        self.0 = Form::Pack(pack);
        true
    }

    fn add_to_pack(&mut self, space: &mut Space<'_>, element: Element<'_>) -> bool {
        let Form::Pack(pack) = &mut self.0 else { unreachable!("called for listpacks") };
        if SetRef(FormRef::Pack(pack.view())).contains_element(element) {
            return false;
        }
        let len = element.len();
        if pack.len() < space.limits.set_max_listpack_entries
            && len <= space.limits.set_max_listpack_value
            && pack.size() + len < MAX_SAFE_SIZE
        {
            pack.push_element_back(element);
            return true;
        }
        self.enlarge(space);
        self.add_element(space, element)
    }

    /// Removes a member; says whether it was one.
    pub fn remove(&mut self, space: &mut Space<'_>, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Ints(set) => canonical_int(member).is_some_and(|v| set.remove(v)),
            Form::Pack(pack) => match pack.view().first().and_then(|at| pack.view().find(at, member, 0)) {
                Some(pos) => {
                    pack.remove(pos);
                    true
                }
                None => false,
            },
            Form::Large(members) => members.remove(space.slab, member),
        }
    }

    /// Turns a set whose members are all integers into an intset, if that may hold so many.
    pub fn narrow(&mut self, space: &mut Space<'_>) {
        if matches!(self.0, Form::Ints(_)) || self.is_watched() || self.view().len() > most_ints(space) {
            return;
        }
        let mut values = Vec::with_capacity(self.view().len());
        let all = self.view().try_for_each(|element| match element.with_bytes(canonical_int) {
            Some(v) => {
                values.push(v);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        });
        if all.is_break() {
            return;
        }
        // In ascending order, each goes to the end.
        values.sort_unstable();
        let mut set = Intset::new();
        values.into_iter().for_each(|v| _ = set.insert(v));
        std::mem::replace(&mut self.0, Form::Ints(set)).free(&mut Bin::Now(space.slab));
    }

    /// Whether a snapshot has the set open.
    fn is_watched(&self) -> bool {
        matches!(&self.0, Form::Large(members) if members.is_watched())
    }

    /// Turns a packed set into a large one.
    fn enlarge(&mut self, space: &mut Space<'_>) {
        let mut members = Members::new(space.hasher);
        self.view().for_each(|element| element.with_bytes(|bytes| _ = members.insert(space.slab, bytes)));
        self.0 = Form::Large(members);
    }

    /// Frees a set that never got into the keyspace.
    pub fn discard(self, space: &mut Space<'_>) {
        self.0.free(&mut Bin::Now(space.slab));
    }
}

impl Form {
    fn free(self, bin: &mut Bin<'_>) {
        if let Form::Large(members) = self {
            members.free(bin);
        }
    }
}

/// The most members of an intset.
fn most_ints(space: &Space<'_>) -> usize {
    space.limits.set_max_intset_entries.min(INTSET_MOST)
}

impl Collection for Set {
    const KIND: Kind = Kind::Set;

    fn empty(_: &Space<'_>) -> Self {
        Set::of_ints()
    }

    fn from_packed(packing: Packing, bytes: Vec<u8>) -> Self {
        match packing {
            Packing::SetInts => Set(Form::Ints(Intset::from_bytes(bytes))),
            _ => Set(Form::Pack(Listpack::from_bytes(bytes))),
        }
    }

    fn packed(&self) -> Option<(Packing, &[u8])> {
        match &self.0 {
            Form::Ints(set) => Some((Packing::SetInts, set.view().bytes())),
            Form::Pack(pack) => Some((Packing::Set, pack.view().bytes())),
            Form::Large(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self.0 {
            Form::Ints(set) => Some(set.into_bytes()),
            Form::Pack(pack) => Some(pack.into_bytes()),
            Form::Large(_) => None,
        }
    }

    fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    fn pieces(&self) -> usize {
        match &self.0 {
            Form::Large(members) => members.len(),
            _ => 1,
        }
    }

    fn free(self, bin: &mut Bin<'_>) {
        self.0.free(bin);
    }

    fn duplicate(&self, space: &mut Space<'_>) -> Self {
        Set(match &self.0 {
            Form::Ints(set) => Form::Ints(set.clone()),
            Form::Pack(pack) => Form::Pack(pack.clone()),
            Form::Large(members) => Form::Large(members.duplicate(space.slab, space.hasher)),
        })
    }
}

impl Openable for Set {
    fn open(&mut self, _large: usize) {
        if let Form::Large(members) = &mut self.0 {
            members.watch().begin(TableWatch::default());
        }
    }

    fn close(&mut self) {
        if let Form::Large(members) = &mut self.0 {
            members.watch().end();
        }
    }

    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        let Form::Large(members) = &mut self.0 else { return true };
        let is_done = members.walk();
        members.watch().drain(part, is_done);
        is_done
    }

    fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        if let Form::Large(members) = &mut self.0 {
            members.watch().drain(part, true);
        }
    }
}
