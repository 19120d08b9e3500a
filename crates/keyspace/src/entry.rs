//! The bytes of an entry: a key, its deadline and its value (or a reference to it) in one block.
//!
//! ```text
//! 0      bits 0-4: Repr; bit 5: has a deadline; bit 6: epoch; bit 7: long key
//! 1..4   access clock (24 bits, little endian)
//! 4      key length (u8), or 4..8 (u32) when the long-key bit is set
//! ..     deadline, unix milliseconds (u64), when bit 5 is set
//! ..     the key
//! ..     the value, as Repr says:
//!        Int8..Int64      1, 2, 4 or 8 bytes, two's complement
//!        Short, ShortRaw  length (u8; 255: a u16 follows) and the bytes
//!        Packed...        as Short: the bytes of a small collection
//!        Blob             the address of an `Arc<Vec<u8>>`, 8 bytes
//!        List...Stream    the address of a `Box<Object>`, 8 bytes
//! ```
//!
//! Entries of up to [`MAX_INLINE`] bytes live in the database's slab; longer ones, which only long keys
//! make, in the general allocator.
#![allow(unsafe_code)]

use crate::slab::{Slab, block_size};
use crate::table::{BlockPtr, Layout, prefetch};
use crate::types::{self, Object, Packing};
use crate::value::{Blob, Kind, OwnedValue, Str, Value};
use std::alloc;
use std::ptr::NonNull;
use std::sync::Arc;

/// The largest entry kept in a slab, in bytes. A longer value goes to a block of its own.
pub(crate) const MAX_INLINE: usize = 1024;

const DEADLINE: u8 = 0x20;
const EPOCH: u8 = 0x40;
const LONG_KEY: u8 = 0x80;
const REPR: u8 = 0x1f;

/// How an entry holds its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Repr {
    Int8,
    Int16,
    Int32,
    Int64,
    Short,
    ShortRaw,
    PackedList,
    PackedHash,
    PackedHashTtl,
    PackedInts,
    PackedSet,
    PackedSortedSet,
    Blob,
    List,
    Set,
    Hash,
    /// A hash some fields of which have deadlines.
    HashTtl,
    SortedSet,
    Stream,
}

/// All representations, at the index that the tag holds.
const REPRS: [Repr; 32] = {
    let mut all = [Repr::Stream; 32];
    let known = [
        Repr::Int8,
        Repr::Int16,
        Repr::Int32,
        Repr::Int64,
        Repr::Short,
        Repr::ShortRaw,
        Repr::PackedList,
        Repr::PackedHash,
        Repr::PackedHashTtl,
        Repr::PackedInts,
        Repr::PackedSet,
        Repr::PackedSortedSet,
        Repr::Blob,
        Repr::List,
        Repr::Set,
        Repr::Hash,
        Repr::HashTtl,
        Repr::SortedSet,
        Repr::Stream,
    ];
    let mut i = 0;
    while i < known.len() {
        all[known[i] as usize] = known[i];
        i += 1;
    }
    all
};

impl Repr {
    #[inline(always)]
    fn from_bits(bits: u8) -> Repr {
        REPRS[(bits & REPR) as usize]
    }

    /// The type of the value.
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        match self {
            Repr::PackedList | Repr::List => Kind::List,
            Repr::PackedHash | Repr::PackedHashTtl | Repr::Hash | Repr::HashTtl => Kind::Hash,
            Repr::PackedInts | Repr::PackedSet | Repr::Set => Kind::Set,
            Repr::PackedSortedSet | Repr::SortedSet => Kind::SortedSet,
            Repr::Stream => Kind::Stream,
            _ => Kind::String,
        }
    }

    /// Whether the value is an address of something outside of the entry.
    #[inline(always)]
    fn is_outline(self) -> bool {
        self as u8 >= Repr::Blob as u8
    }

    #[inline(always)]
    fn is_object(self) -> bool {
        self as u8 > Repr::Blob as u8
    }

    #[inline(always)]
    fn packing(self) -> Option<Packing> {
        Some(match self {
            Repr::PackedList => Packing::List,
            Repr::PackedHash => Packing::Hash,
            Repr::PackedHashTtl => Packing::HashTtl,
            Repr::PackedInts => Packing::SetInts,
            Repr::PackedSet => Packing::Set,
            Repr::PackedSortedSet => Packing::SortedSet,
            _ => return None,
        })
    }

    fn of_packing(packing: Packing) -> Repr {
        match packing {
            Packing::List => Repr::PackedList,
            Packing::Hash => Repr::PackedHash,
            Packing::HashTtl => Repr::PackedHashTtl,
            Packing::SetInts => Repr::PackedInts,
            Packing::Set => Repr::PackedSet,
            Packing::SortedSet => Repr::PackedSortedSet,
        }
    }

    fn of_object(object: &Object) -> Repr {
        match object {
            Object::List(_) => Repr::List,
            Object::Set(_) => Repr::Set,
            Object::Hash(_) if object.next_deadline() != u64::MAX => Repr::HashTtl,
            Object::Hash(_) => Repr::Hash,
            Object::SortedSet(_) => Repr::SortedSet,
            Object::Stream(_) => Repr::Stream,
        }
    }

    fn of_int(v: i64) -> Repr {
        if i8::try_from(v).is_ok() {
            Repr::Int8
        } else if i16::try_from(v).is_ok() {
            Repr::Int16
        } else if i32::try_from(v).is_ok() {
            Repr::Int32
        } else {
            Repr::Int64
        }
    }
}

/// A value to be written into an entry.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    Int(i64),
    /// Bytes that fit into the entry; whether they count as `raw` although they are short.
    Short(&'a [u8], bool),
    /// A small collection whose bytes fit into the entry.
    Packed(Packing, &'a [u8]),
    Blob(Blob),
    Object(Box<Object>),
}

/// What an entry held outside of its block.
#[derive(Debug)]
pub(crate) enum Outline {
    Blob(Blob),
    Object(Box<Object>),
}

impl Payload<'_> {
    #[inline]
    fn repr(&self) -> Repr {
        match self {
            Payload::Int(v) => Repr::of_int(*v),
            Payload::Short(_, false) => Repr::Short,
            Payload::Short(_, true) => Repr::ShortRaw,
            Payload::Packed(packing, _) => Repr::of_packing(*packing),
            Payload::Blob(_) => Repr::Blob,
            Payload::Object(object) => Repr::of_object(object),
        }
    }

    #[inline]
    fn size(&self) -> usize {
        match self {
            Payload::Int(_) => 1 << self.repr() as u8,
            Payload::Short(b, _) | Payload::Packed(_, b) if b.len() < 255 => 1 + b.len(),
            Payload::Short(b, _) | Payload::Packed(_, b) => 3 + b.len(),
            Payload::Blob(_) | Payload::Object(_) => 8,
        }
    }
}

/// Whether a value of `len` bytes fits into an entry beside a key of `key` bytes.
#[inline]
pub(crate) fn fits(key: usize, len: usize) -> bool {
    16 + key + 3 + len <= MAX_INLINE
}

/// A pointer to a live entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(NonNull<u8>);

/// The [`Layout`] of a database's table.
pub(crate) struct Entries;

impl Layout for Entries {
    const IS_LONG: bool = true;

    #[inline(always)]
    unsafe fn size(block: BlockPtr) -> usize {
        Entry(block.get()).size()
    }

    #[inline(always)]
    unsafe fn key<'a>(block: BlockPtr) -> &'a [u8] {
        // SAFETY: a table of entries holds live entries only.
        unsafe { Entry(block.get()).key() }
    }

    #[inline(always)]
    unsafe fn deadline(block: BlockPtr) -> u64 {
        Entry(block.get()).due()
    }
}

/// What is kept of an entry when it is written anew.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) deadline: Option<u64>,
    pub(crate) access: u32,
    pub(crate) epoch: bool,
}

// Every method reads or writes within the block's size as its own header tells it; that header was
// written by `write` and is never changed in a way that outgrows the block.
impl Entry {
    /// # Safety
    /// `block` is a live entry.
    #[inline(always)]
    pub(crate) unsafe fn from_block(block: BlockPtr) -> Entry {
        Entry(block.get())
    }

    #[inline(always)]
    pub(crate) fn block(self) -> BlockPtr {
        BlockPtr::new(self.0)
    }

    #[inline(always)]
    fn tag(self) -> u8 {
        // SAFETY: an entry has at least 6 bytes.
        unsafe { self.0.as_ptr().read() }
    }

    #[inline(always)]
    fn byte(self, at: usize) -> *mut u8 {
        // SAFETY: callers stay within the entry.
        unsafe { self.0.as_ptr().add(at) }
    }

    #[inline(always)]
    fn key_len(self) -> (usize, usize) {
        // SAFETY: the length is where the header says; reads are unaligned.
        unsafe {
            if self.tag() & LONG_KEY == 0 {
                (5, self.byte(4).read() as usize)
            } else {
                (8, self.byte(4).cast::<u32>().read_unaligned() as usize)
            }
        }
    }

    #[inline(always)]
    fn key_range(self) -> (usize, usize) {
        let (at, len) = self.key_len();
        (at + if self.tag() & DEADLINE != 0 { 8 } else { 0 }, len)
    }

    #[inline(always)]
    fn value_at(self) -> usize {
        let (at, len) = self.key_range();
        at + len
    }

    /// # Safety
    /// The slice is used only while the entry lives and is not rewritten.
    #[inline(always)]
    pub(crate) unsafe fn key<'a>(self) -> &'a [u8] {
        let (at, len) = self.key_range();
        // SAFETY: the key lies within the entry.
        unsafe { std::slice::from_raw_parts(self.byte(at), len) }
    }

    #[inline(always)]
    pub(crate) fn deadline(self) -> Option<u64> {
        if self.tag() & DEADLINE == 0 {
            return None;
        }
        let (at, _) = self.key_len();
        // SAFETY: the flag says that a deadline follows the key's length.
        Some(unsafe { self.byte(at).cast::<u64>().read_unaligned() })
    }

    /// When something is to be done about the entry, at the earliest: the key or a field of a hash expires.
    #[inline(always)]
    pub(crate) fn due(self) -> u64 {
        let key = self.deadline().unwrap_or(u64::MAX);
        match self.repr() {
            Repr::PackedHashTtl | Repr::HashTtl => key.min(self.field_due()),
            _ => key,
        }
    }

    /// Whether the entry is a hash some fields of which have deadlines. Of an object, this is as of the last
    /// [`Entry::refresh_object`].
    #[inline]
    pub(crate) fn has_timed_fields(self) -> bool {
        match self.repr() {
            Repr::HashTtl => true,
            Repr::PackedHashTtl => self.field_due() != u64::MAX,
            _ => false,
        }
    }

    #[cold]
    fn field_due(self) -> u64 {
        // SAFETY: the reference ends here.
        match unsafe { self.packed() } {
            Some((packing, bytes)) => types::packed_deadline(packing, bytes),
            None => self.object().map_or(u64::MAX, |object| object.next_deadline()),
        }
    }

    /// Changes the deadline of an entry that has one.
    pub(crate) fn put_deadline(self, at: u64) {
        debug_assert!(self.tag() & DEADLINE != 0);
        let (pos, _) = self.key_len();
        // SAFETY: the flag says that a deadline is there.
        unsafe { self.byte(pos).cast::<u64>().write_unaligned(at) };
    }

    #[inline(always)]
    pub(crate) fn access(self) -> u32 {
        // SAFETY: the first four bytes are the tag and the clock.
        unsafe { self.0.as_ptr().cast::<u32>().read_unaligned() }.to_le() >> 8
    }

    #[inline(always)]
    pub(crate) fn set_access(self, clock: u32) {
        let word = (clock << 8 | u32::from(self.tag())).to_le();
        // SAFETY: the first four bytes are the tag and the clock.
        unsafe { self.0.as_ptr().cast::<u32>().write_unaligned(word) };
    }

    #[inline(always)]
    pub(crate) fn epoch(self) -> bool {
        self.tag() & EPOCH != 0
    }

    pub(crate) fn set_epoch(self, epoch: bool) {
        let tag = self.tag() & !EPOCH | if epoch { EPOCH } else { 0 };
        // SAFETY: the first byte is the tag.
        unsafe { self.0.as_ptr().write(tag) };
    }

    #[inline(always)]
    pub(crate) fn repr(self) -> Repr {
        Repr::from_bits(self.tag())
    }

    pub(crate) fn head(self) -> Head {
        Head { deadline: self.deadline(), access: self.access(), epoch: self.epoch() }
    }

    #[inline(always)]
    fn short(self) -> (usize, usize) {
        let at = self.value_at();
        // SAFETY: a short value's length is where the key ends.
        unsafe {
            match self.byte(at).read() {
                255 => (at + 3, self.byte(at + 1).cast::<u16>().read_unaligned() as usize),
                n => (at + 1, n as usize),
            }
        }
    }

    /// # Safety
    /// The value is used only while the entry lives and is not rewritten.
    #[inline]
    pub(crate) unsafe fn value<'a>(self) -> Value<'a> {
        // SAFETY: the representation says what stands behind the key; reads are unaligned.
        unsafe {
            match self.repr() {
                Repr::Short | Repr::ShortRaw => Value::Str(Str::Bytes(self.short_bytes())),
                Repr::Int8 | Repr::Int16 | Repr::Int32 | Repr::Int64 => Value::Str(Str::Int(self.int())),
                Repr::Blob => Value::Str(Str::Shared(&*self.blob_ref())),
                _ => self.collection(),
            }
        }
    }

    /// # Safety
    /// As for `value`; the entry is a collection.
    unsafe fn collection<'a>(self) -> Value<'a> {
        // SAFETY: as promised by the caller.
        unsafe {
            match self.packed() {
                Some((packing, bytes)) => types::packed_value(packing, bytes),
                None => (*self.object_ref()).value(),
            }
        }
    }

    /// # Safety
    /// As for `value`; the value is short or packed.
    #[inline(always)]
    unsafe fn short_bytes<'a>(self) -> &'a [u8] {
        let (at, len) = self.short();
        // SAFETY: the bytes lie within the entry.
        unsafe { std::slice::from_raw_parts(self.byte(at), len) }
    }

    /// The bytes of a packed collection.
    ///
    /// # Safety
    /// As for `value`.
    #[inline]
    pub(crate) unsafe fn packed<'a>(self) -> Option<(Packing, &'a [u8])> {
        // SAFETY: as promised by the caller.
        self.repr().packing().map(|packing| (packing, unsafe { self.short_bytes() }))
    }

    /// Replaces the content of a buffer by the bytes of a packed collection.
    pub(crate) fn copy_packed(self, buffer: &mut Vec<u8>) -> Option<Packing> {
        // SAFETY: the reference ends here.
        let (packing, bytes) = unsafe { self.packed() }?;
        buffer.clear();
        buffer.extend_from_slice(bytes);
        Some(packing)
    }

    /// A copy of a value that stands inside of the entry.
    pub(crate) fn copy_inline(self) -> Option<OwnedValue> {
        // SAFETY: the references end here.
        unsafe {
            if let Some((packing, bytes)) = self.packed() {
                return Some(OwnedValue::Packed(packing, bytes.to_vec()));
            }
            match self.repr() {
                repr if repr.is_outline() => None,
                Repr::Short | Repr::ShortRaw => {
                    Some(OwnedValue::Bytes(self.short_bytes().to_vec(), self.repr() == Repr::ShortRaw))
                }
                _ => Some(OwnedValue::Int(self.int())),
            }
        }
    }

    fn int(self) -> i64 {
        let p = self.byte(self.value_at());
        // SAFETY: the representation says how wide the integer is.
        unsafe {
            match self.repr() {
                Repr::Int8 => i64::from(p.cast::<i8>().read()),
                Repr::Int16 => i64::from(p.cast::<i16>().read_unaligned()),
                Repr::Int32 => i64::from(p.cast::<i32>().read_unaligned()),
                _ => p.cast::<i64>().read_unaligned(),
            }
        }
    }

    /// The address, within the entry's bytes, of a blob entry's pointer, viewed as the `Arc` that it is.
    fn blob_ref(self) -> *mut Blob {
        debug_assert_eq!(self.repr(), Repr::Blob);
        // An Arc is one pointer and `value_at` need not be aligned, so the Arc stands in its own aligned
        // cell: see `write`, which aligns the value of a blob entry to 8 bytes.
        self.byte(self.value_at().next_multiple_of(8)).cast()
    }

    /// Another reference to the blob of a blob entry.
    pub(crate) fn share_blob(self) -> Blob {
        // SAFETY: a blob entry holds an Arc there; the reference ends here.
        unsafe { Arc::clone(&*self.blob_ref()) }
    }

    /// As `blob_ref`, for an entry with an object.
    fn object_ref(self) -> *mut Box<Object> {
        debug_assert!(self.repr().is_object());
        self.byte(self.value_at().next_multiple_of(8)).cast()
    }

    /// The object of an entry that has one. The caller does not use it longer than the entry lives, and has
    /// no other reference to it.
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn object<'a>(self) -> Option<&'a mut Object> {
        // SAFETY: the entry holds a Box there.
        self.repr().is_object().then(|| unsafe { &mut **self.object_ref() })
    }

    /// Asks the processor for the object, if there is one, or the rest of a packed collection.
    #[inline]
    pub(crate) fn prefetch_object(self) -> bool {
        let is_object = self.repr().is_object();
        // SAFETY: the reference ends here.
        if let Some((_, bytes)) = unsafe { self.packed() } {
            (0..bytes.len()).step_by(64).for_each(|at| prefetch(bytes.as_ptr().wrapping_add(at)));
        } else if is_object {
            // SAFETY: the entry holds a Box there, which is not followed.
            let object = unsafe { self.object_ref().cast::<*const u8>().read() };
            prefetch(object);
            prefetch(object.wrapping_add(64));
        }
        is_object
    }

    /// Renews what the tag says of an object that was changed in place.
    pub(crate) fn refresh_object(self) {
        if let Some(object) = self.object() {
            let tag = self.tag() & !REPR | Repr::of_object(object) as u8;
            // SAFETY: the first byte is the tag.
            unsafe { self.0.as_ptr().write(tag) };
        }
    }

    /// Changes the blob of a blob entry in place.
    pub(crate) fn edit_blob<R>(self, edit: impl FnOnce(&mut Blob) -> R) -> R {
        // SAFETY: a blob entry holds an Arc there, and `edit` cannot reach the entry in another way.
        edit(unsafe { &mut *self.blob_ref() })
    }

    /// Changes the bytes of a short string in place; it counts as `raw` from then on.
    pub(crate) fn edit_short<R>(self, edit: impl FnOnce(&mut [u8]) -> R) -> R {
        debug_assert!(matches!(self.repr(), Repr::Short | Repr::ShortRaw));
        let (at, len) = self.short();
        let tag = self.tag() & !REPR | Repr::ShortRaw as u8;
        // SAFETY: the entry's block has `len` bytes there, and `edit` cannot reach them in another way.
        unsafe {
            self.0.as_ptr().write(tag);
            edit(std::slice::from_raw_parts_mut(self.byte(at), len))
        }
    }

    /// Bytes of the entry.
    pub(crate) fn size(self) -> usize {
        match self.repr() {
            Repr::Int8 | Repr::Int16 | Repr::Int32 | Repr::Int64 => {
                self.value_at() + (1 << self.repr() as u8)
            }
            repr if repr.is_outline() => self.value_at().next_multiple_of(8) + 8,
            _ => {
                let (at, len) = self.short();
                at + len
            }
        }
    }

    /// Makes an entry. The value is not interpreted.
    pub(crate) fn new(slab: &mut Slab, key: &[u8], payload: Payload<'_>, head: Head) -> Entry {
        let size = planned_size(key.len(), &payload, head.deadline);
        let entry = Entry(alloc_block(slab, size));
        // SAFETY: the block has `size` bytes.
        unsafe { entry.write_head(key, payload.repr(), head) };
        entry.write_value(payload);
        entry
    }

    /// Writes a new value and head over the entry if it fits into the same block and hands out what the old
    /// value had outside; gives the new value back otherwise.
    #[inline]
    pub(crate) fn overwrite<'p>(
        self,
        payload: Payload<'p>,
        head: Head,
    ) -> Result<Option<Outline>, Payload<'p>> {
        let (_, key_len) = self.key_len();
        let size = planned_size(key_len, &payload, head.deadline);
        if block_size(size) != block_size(self.size()) || head.deadline.is_some() != self.deadline().is_some()
        {
            return Err(payload);
        }
        let old = self.take_outline();
        // SAFETY: the tag is the first byte; everything up to the value keeps its place, since the
        // deadline's presence did not change.
        unsafe {
            let tag = self.tag() & (LONG_KEY | DEADLINE) | payload.repr() as u8;
            self.0.as_ptr().write(tag | if head.epoch { EPOCH } else { 0 });
        }
        self.set_access(head.access);
        if let Some(at) = head.deadline {
            self.put_deadline(at);
        }
        self.write_value(payload);
        Ok(old)
    }

    /// # Safety
    /// The block has room for the head and the key.
    unsafe fn write_head(self, key: &[u8], repr: Repr, head: Head) {
        let mut tag = repr as u8;
        if head.deadline.is_some() {
            tag |= DEADLINE;
        }
        if head.epoch {
            tag |= EPOCH;
        }
        let mut at = 5;
        // SAFETY: as promised by the caller.
        unsafe {
            if let Ok(len) = u8::try_from(key.len()) {
                self.byte(4).write(len);
            } else {
                tag |= LONG_KEY;
                self.byte(4).cast::<u32>().write_unaligned(key.len() as u32);
                at = 8;
            }
            self.0.as_ptr().write(tag);
            self.set_access(head.access);
            if let Some(deadline) = head.deadline {
                self.byte(at).cast::<u64>().write_unaligned(deadline);
                at += 8;
            }
            self.byte(at).copy_from_nonoverlapping(key.as_ptr(), key.len());
        }
    }

    fn write_value(self, payload: Payload<'_>) {
        let at = self.value_at();
        let p = self.byte(at);
        // SAFETY: the block was chosen by `planned_size` for this payload; writes are unaligned.
        unsafe {
            match payload {
                Payload::Int(v) => match self.repr() {
                    Repr::Int8 => p.cast::<i8>().write(v as i8),
                    Repr::Int16 => p.cast::<i16>().write_unaligned(v as i16),
                    Repr::Int32 => p.cast::<i32>().write_unaligned(v as i32),
                    _ => p.cast::<i64>().write_unaligned(v),
                },
                Payload::Short(bytes, _) | Payload::Packed(_, bytes) => {
                    let to = if bytes.len() < 255 {
                        p.write(bytes.len() as u8);
                        p.add(1)
                    } else {
                        p.write(255);
                        p.add(1).cast::<u16>().write_unaligned(bytes.len() as u16);
                        p.add(3)
                    };
                    to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                Payload::Blob(blob) => self.blob_ref().write(blob),
                Payload::Object(object) => self.object_ref().write(object),
            }
        }
    }

    /// Whether the entry holds something outside of the slab, which a wholesale drop would leak.
    pub(crate) fn is_outline(self) -> bool {
        self.repr().is_outline() || self.size() > MAX_INLINE
    }

    /// Moves out what the value has outside of the entry, which must be freed or overwritten next.
    #[inline]
    pub(crate) fn take_outline(self) -> Option<Outline> {
        let repr = self.repr();
        // SAFETY: the representation says what is there; the caller does not use it again.
        unsafe {
            if !repr.is_outline() {
                None
            } else if repr == Repr::Blob {
                Some(Outline::Blob(self.blob_ref().read()))
            } else {
                Some(Outline::Object(self.object_ref().read()))
            }
        }
    }

    /// Frees the entry's block and hands out what it held outside of it.
    pub(crate) fn free(self, slab: &mut Slab) -> Option<Outline> {
        let outline = self.take_outline();
        self.free_block(slab);
        outline
    }

    /// Frees the entry's block; what the value has outside lives on with whoever took it.
    pub(crate) fn free_block(self, slab: &mut Slab) {
        let size = self.size();
        // SAFETY: the block came from `alloc_block` with this size and nobody refers to it any more.
        unsafe { free_block(slab, self.0, size) };
    }

    /// Takes what the entry holds outside of the slab, for an owner whose slab goes away as a whole.
    pub(crate) fn drop_block(self) -> Option<Outline> {
        let (size, outline) = (self.size(), self.take_outline());
        if size > MAX_INLINE {
            // SAFETY: such an entry came from the general allocator.
            unsafe { alloc::dealloc(self.0.as_ptr(), big_layout(size)) };
        }
        outline
    }

    /// A copy of the entry with a deadline where it had none, or without the one it had. A blob moves
    /// into the copy: the old entry's block is to be freed with `free_block`.
    pub(crate) fn with_deadline(self, slab: &mut Slab, deadline: Option<u64>) -> Entry {
        debug_assert!(deadline.is_some() != self.deadline().is_some());
        let (size, (head, _), (from, _)) = (self.size(), self.key_len(), self.key_range());
        let to = if deadline.is_some() { from + 8 } else { from - 8 };
        let new = Entry(alloc_block(slab, size - from + to));
        // SAFETY: the parts before and after the deadline are copied; both blocks are live and differ. A
        // blob's cell stays aligned, since everything moves by 8 bytes.
        unsafe {
            new.byte(0).copy_from_nonoverlapping(self.byte(0), head);
            new.byte(to).copy_from_nonoverlapping(self.byte(from), size - from);
            let tag = self.tag() & !DEADLINE | if deadline.is_some() { DEADLINE } else { 0 };
            new.byte(0).write(tag);
        }
        if let Some(at) = deadline {
            new.put_deadline(at);
        }
        new
    }

    /// Copies the entry's bytes into another block of the slab and returns it; the caller stores the new
    /// address and frees the old block.
    pub(crate) fn relocate(self, slab: &mut Slab) -> Entry {
        let size = self.size();
        let to = alloc_block(slab, size);
        // SAFETY: both blocks have `size` bytes and differ.
        unsafe { to.as_ptr().copy_from_nonoverlapping(self.0.as_ptr(), size) };
        Entry(to)
    }

    /// Bytes that the entry and its value take, as blocks; of a large collection, estimated from `samples`
    /// members.
    pub(crate) fn memory(self, samples: usize) -> usize {
        let outside = match self.repr() {
            Repr::Blob => {
                // SAFETY: a blob entry holds an Arc there; the reference ends here.
                let capacity = unsafe { (*self.blob_ref()).capacity() };
                capacity + size_of::<Vec<u8>>() + 16
            }
            _ => self.object().map_or(0, |object| types::object_memory(object, samples)),
        };
        block_size(self.size()) + outside
    }
}

#[inline]
fn planned_size(key: usize, payload: &Payload<'_>, deadline: Option<u64>) -> usize {
    let head = if key < 256 { 5 } else { 8 } + if deadline.is_some() { 8 } else { 0 } + key;
    match payload {
        Payload::Blob(_) | Payload::Object(_) => head.next_multiple_of(8) + 8,
        p => head + p.size(),
    }
}

fn alloc_block(slab: &mut Slab, size: usize) -> NonNull<u8> {
    if size <= MAX_INLINE {
        return slab.alloc(size);
    }
    let layout = big_layout(size);
    // SAFETY: the layout has a size.
    NonNull::new(unsafe { alloc::alloc(layout) }).unwrap_or_else(|| alloc::handle_alloc_error(layout))
}

/// # Safety
/// `block` came from `alloc_block` with this slab and size and is not used any more.
unsafe fn free_block(slab: &mut Slab, block: NonNull<u8>, size: usize) {
    // SAFETY: as promised by the caller.
    unsafe {
        if size <= MAX_INLINE {
            slab.free(block);
        } else {
            alloc::dealloc(block.as_ptr(), big_layout(size));
        }
    }
}

/// Long-key entries are as large as their block class says, so that `overwrite` may use the slack.
fn big_layout(size: usize) -> alloc::Layout {
    alloc::Layout::from_size_align(block_size(size), 8).expect("an entry is far smaller than isize::MAX")
}

/// A blob of these bytes.
pub(crate) fn blob(bytes: &[u8]) -> Blob {
    Arc::new(bytes.to_vec())
}
