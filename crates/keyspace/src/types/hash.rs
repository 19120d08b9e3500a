//! A hash: values by field, each of which may have a deadline.
//!
//! Small hashes are packed ([`packed`]), large ones are a table of blocks ([`fields`]). A hash becomes large
//! when it exceeds a limit, as in Redis, and stays large. It becomes timed (`listpackex`) with the first
//! attempt to set a deadline, and stays timed. Fields whose deadline has passed are still there until
//! [`Hash::remove_due`] removes them; readers are told deadlines and skip them. Knows neither keys nor events.

mod fields;
mod index;
mod packed;

use super::{Collection, Packing, Space};
use crate::encoding::listpack::{Element, Listpack, ListpackRef, MAX_SAFE_SIZE};
use crate::slab::Bin;
use crate::snapshot::SnapshotPart;
use crate::snapshot::open::Openable;
use crate::snapshot::watch::TableWatch;
use crate::value::{Encoding, Kind};
use crate::write::Ttl;
use fields::Fields;
use packed::{Packed, PackedRef};

/// What stands for no deadline where one is compared with others.
const NEVER: u64 = u64::MAX;

/// What becomes of a field's deadline when its value is set.
#[derive(Clone, Copy)]
enum NewTtl {
    /// It stays unless it is at or before this time.
    KeepAfter(u64),
    At(u64),
}

impl NewTtl {
    /// The new deadline in place of an old one. Either may be [`NEVER`].
    #[inline]
    fn after(self, old: u64) -> u64 {
        match self {
            NewTtl::KeepAfter(now) if old > now => old,
            NewTtl::KeepAfter(_) => NEVER,
            NewTtl::At(at) => at,
        }
    }
}

/// A hash.
#[derive(Debug)]
pub struct Hash(Form);

#[derive(Debug)]
enum Form {
    Packed(Packed),
    Large(Box<Fields>),
}

/// The same by reference.
#[derive(Clone, Copy, Debug)]
pub struct HashRef<'a>(FormRef<'a>);

#[derive(Clone, Copy, Debug)]
enum FormRef<'a> {
    Packed(PackedRef<'a>),
    Large(&'a Fields),
}

/// A field, its value and its deadline.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The field's name.
    pub name: Element<'a>,
    /// Its value.
    pub value: Element<'a>,
    deadline: u64,
}

impl Field<'_> {
    /// When the field expires, in unix milliseconds.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        (self.deadline != NEVER).then_some(self.deadline)
    }

    /// Whether its deadline has not passed at `now`.
    #[inline]
    pub fn is_live(&self, now: u64) -> bool {
        self.deadline > now
    }
}

impl<'a> From<packed::Entry<'a>> for Field<'a> {
    #[inline]
    fn from(entry: packed::Entry<'a>) -> Self {
        Field { name: entry.field, value: entry.value, deadline: entry.deadline }
    }
}

impl<'a> From<fields::Entry<'a>> for Field<'a> {
    #[inline]
    fn from(entry: fields::Entry<'a>) -> Self {
        let (name, value) = (Element::Bytes(entry.field), Element::Bytes(entry.value));
        Field { name, value, deadline: entry.deadline }
    }
}

impl Hash {
    /// Sets a field; says whether it is new. One that is due already counts as there; [`Ttl::Keep`] keeps a
    /// deadline that has not passed.
    pub fn set(&mut self, space: &mut Space<'_>, field: &[u8], value: &[u8], ttl: Ttl) -> bool {
        let ttl = match ttl {
            Ttl::Keep => NewTtl::KeepAfter(space.now),
            Ttl::Clear => NewTtl::KeepAfter(NEVER),
            Ttl::At(at) => NewTtl::At(at),
        };
        if field.len().max(value.len()) > space.limits.hash_max_listpack_value {
            self.enlarge(space);
        }
        match &mut self.0 {
            Form::Packed(packed) => {
                if matches!(ttl, NewTtl::At(_)) {
                    packed.make_timed();
                }
                let is_new = packed.set(field, value, ttl);
                if packed.view().len() > space.limits.hash_max_listpack_entries {
                    self.enlarge(space);
                }
                is_new
            }
            Form::Large(fields) => fields.set(space.slab, field, value, ttl),
        }
    }

    /// From the bytes of a listpack that is one of a hash: without field twice, and timed ones in order. It becomes large
    /// if there are more fields than the limit says.
    pub fn load(packing: Packing, bytes: Vec<u8>, space: &mut Space<'_>) -> Hash {
        let mut hash = Hash::from_packed(packing, bytes);
        if hash.view().len() > space.limits.hash_max_listpack_entries {
            hash.enlarge(space);
        }
        hash
    }

    /// Chooses the form before `pairs` fields are set, of which some may be there already, whose names and values
    /// have `bytes` bytes together.
    pub fn make_room(&mut self, space: &mut Space<'_>, pairs: usize, bytes: usize) {
        if let Form::Packed(packed) = &self.0
            && (pairs > space.limits.hash_max_listpack_entries
                || packed.view().bytes().len() + bytes > MAX_SAFE_SIZE)
        {
            self.enlarge(space);
        }
    }

    /// Makes a packed hash timed, as commands that set deadlines do even if they find no field.
    pub fn make_timed(&mut self) {
        if let Form::Packed(packed) = &mut self.0 {
            packed.make_timed();
        }
    }

    /// Changes or removes a field's deadline, in unix milliseconds. Nothing if there is no such field.
    pub fn set_deadline(&mut self, space: &mut Space<'_>, field: &[u8], at: Option<u64>) {
        let deadline = at.unwrap_or(NEVER);
        match &mut self.0 {
            Form::Packed(packed) if packed.view().is_timed() => packed.set_deadline(field, deadline),
            Form::Packed(packed) if at.is_some() => {
                packed.make_timed();
                packed.set_deadline(field, deadline);
            }
            Form::Packed(_) => {}
            Form::Large(fields) => fields.set_deadline(space.slab, field, deadline),
        }
    }

    /// Removes a field, due or not; says whether it was there.
    pub fn remove(&mut self, space: &mut Space<'_>, field: &[u8]) -> bool {
        match &mut self.0 {
            Form::Packed(packed) => packed.remove(field),
            Form::Large(fields) => fields.remove(space.slab, field),
        }
    }

    /// Removes about `max` fields that are due at `now` and tells `gone` each. Says whether more are due.
    pub fn remove_due(
        &mut self,
        now: u64,
        max: usize,
        space: &mut Space<'_>,
        gone: &mut dyn FnMut(&[u8]),
    ) -> bool {
        match &mut self.0 {
            Form::Packed(packed) => packed.remove_due(now, max, gone),
            Form::Large(fields) => fields.remove_due(space.slab, now, max, gone),
        }
    }

    /// The same by reference.
    #[inline]
    pub fn view(&self) -> HashRef<'_> {
        HashRef(match &self.0 {
            Form::Packed(packed) => FormRef::Packed(packed.view()),
            Form::Large(fields) => FormRef::Large(fields),
        })
    }

    /// Asks the processor for what finding a field reads first.
    #[inline]
    pub(crate) fn prefetch(&self) {
        if let Form::Packed(packed) = &self.0 {
            packed.prefetch();
        }
    }

    /// Turns a packed hash into a table.
    #[cold]
    fn enlarge(&mut self, space: &mut Space<'_>) {
        let Form::Packed(packed) = &self.0 else { return };
        let mut fields = Fields::new(space.hasher);
        for entry in packed.view().iter() {
            let (field, value) = (entry.field.to_bytes(), entry.value.to_bytes());
            fields.set(space.slab, &field, &value, NewTtl::At(entry.deadline));
        }
        self.0 = Form::Large(Box::new(fields));
    }
}

impl<'a> HashRef<'a> {
    #[inline]
    pub(crate) fn from_packed(packing: Packing, bytes: &'a [u8]) -> Self {
        HashRef(FormRef::Packed(PackedRef::new(ListpackRef::new(bytes), packing == Packing::HashTtl)))
    }

    /// The bytes, while it is packed.
    pub fn packed(&self) -> Option<(Packing, &'a [u8])> {
        match self.0 {
            FormRef::Packed(packed) if packed.is_timed() => Some((Packing::HashTtl, packed.bytes())),
            FormRef::Packed(packed) => Some((Packing::Hash, packed.bytes())),
            FormRef::Large(_) => None,
        }
    }

    /// How it is stored.
    pub fn encoding(&self) -> Encoding {
        match self.0 {
            FormRef::Packed(packed) if packed.is_timed() => Encoding::ListpackEx,
            FormRef::Packed(_) => Encoding::Listpack,
            FormRef::Large(_) => Encoding::Hashtable,
        }
    }

    /// Of a table: how many of its buckets hold how many fields, from none on.
    pub fn bucket_loads(&self) -> Option<Vec<usize>> {
        match self.0 {
            FormRef::Packed(_) => None,
            FormRef::Large(fields) => Some(fields.bucket_loads()),
        }
    }

    /// Bytes taken beside the entry; those of a table are estimated from `samples` fields (0: all).
    pub fn memory(&self, samples: usize) -> usize {
        match self.0 {
            FormRef::Packed(packed) => packed.memory(),
            FormRef::Large(fields) => fields.memory(samples),
        }
    }

    /// How many fields there are, those that are due included.
    #[inline]
    pub fn len(&self) -> usize {
        match self.0 {
            FormRef::Packed(packed) => packed.len(),
            FormRef::Large(fields) => fields.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field and its deadline. It may be due.
    #[inline]
    pub fn get(&self, field: &'a [u8]) -> Option<Field<'a>> {
        match self.0 {
            FormRef::Packed(packed) => {
                let (value, deadline) = packed.get(field)?;
                Some(Field { name: Element::Bytes(field), value, deadline })
            }
            FormRef::Large(fields) => fields.get(field).map(Field::from),
        }
    }

    /// The earliest deadline of a field, in unix milliseconds; of a large hash, this or an earlier time.
    /// `u64::MAX`: no field has one.
    #[inline]
    pub fn next_deadline(&self) -> u64 {
        match self.0 {
            FormRef::Packed(packed) => packed.next_deadline(),
            FormRef::Large(fields) => fields.next_deadline(),
        }
    }

    /// Visits all fields, those that are due included.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(Field<'a>)) {
        match self.0 {
            FormRef::Packed(packed) => packed.iter().for_each(|entry| visit(entry.into())),
            FormRef::Large(fields) => fields.for_each(&mut |entry| visit(entry.into())),
        }
    }

    /// One step of a scan: visits some fields, those that are due included, and returns the next cursor, 0 at
    /// the end. A packed hash is visited in one step. See [`crate::Keyspace::scan`].
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Field<'a>)) -> u64 {
        match self.0 {
            FormRef::Packed(packed) => {
                packed.iter().for_each(|entry| visit(entry.into()));
                0
            }
            FormRef::Large(fields) => fields.scan(cursor, &mut |entry| visit(entry.into())),
        }
    }

    /// A field, each with the same chance, due or not; `None` if there is none. `random` gives 64 random bits.
    pub fn sample(&self, random: &mut dyn FnMut() -> u64) -> Option<Field<'a>> {
        match self.0 {
            FormRef::Packed(packed) if packed.len() == 0 => None,
            FormRef::Packed(packed) => {
                let index = (u128::from(random()) * packed.len() as u128) >> 64;
                Some(packed.at(index as usize).into())
            }
            FormRef::Large(fields) => fields.sample(random).map(Field::from),
        }
    }

    /// Whether it is a table: whether a single field costs the same however many there are.
    pub fn is_large(&self) -> bool {
        matches!(self.0, FormRef::Large(_))
    }
}

impl Collection for Hash {
    const KIND: Kind = Kind::Hash;

    fn empty(_space: &Space<'_>) -> Self {
        Hash(Form::Packed(Packed::new(Listpack::new(), false)))
    }

    fn from_packed(packing: Packing, bytes: Vec<u8>) -> Self {
        Hash(Form::Packed(Packed::new(Listpack::from_bytes(bytes), packing == Packing::HashTtl)))
    }

    fn packed(&self) -> Option<(Packing, &[u8])> {
        match &self.0 {
            Form::Packed(packed) => {
                let view = packed.view();
                Some((if view.is_timed() { Packing::HashTtl } else { Packing::Hash }, view.bytes()))
            }
            Form::Large(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self.0 {
            Form::Packed(packed) => Some(packed.into_bytes()),
            Form::Large(_) => None,
        }
    }

    fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    fn pieces(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Large(fields) => fields.len(),
        }
    }

    fn free(self, bin: &mut Bin<'_>) {
        if let Form::Large(fields) = self.0 {
            fields.free(bin);
        }
    }

    fn duplicate(&self, space: &mut Space<'_>) -> Self {
        Hash(match &self.0 {
            Form::Packed(packed) => Form::Packed(packed.clone()),
            Form::Large(fields) => Form::Large(Box::new(fields.duplicate(space.slab, space.hasher))),
        })
    }

    fn next_deadline(&self) -> u64 {
        self.view().next_deadline()
    }
}

impl Openable for Hash {
    fn open(&mut self, _large: usize) {
        if let Form::Large(fields) = &mut self.0 {
            fields.watch().begin(TableWatch::default());
        }
    }

    fn close(&mut self) {
        if let Form::Large(fields) = &mut self.0 {
            fields.watch().end();
        }
    }

    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        let Form::Large(fields) = &mut self.0 else { return true };
        let is_done = fields.walk();
        fields.watch().drain(part, is_done);
        is_done
    }

    fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        if let Form::Large(fields) = &mut self.0 {
            fields.watch().drain(part, true);
        }
    }
}
