//! The fields of a large hash: one block each, found through a [`Table`].
//!
//! ```text
//! 0   flags: bit 0: has a deadline
//! ..  deadline, unix milliseconds (u64, little endian), when bit 0 is set
//! ..  length of the field (varint), the field
//! ..  length of the value (varint), the value
//! ```
//!
//! A varint has 7 bits per byte, the lowest first; the top bit says that more follow. The block of a field is
//! written anew unless the new value fits it. Knows neither packed hashes nor when a hash becomes large.
#![allow(unsafe_code)]

use super::{NEVER, NewTtl};
use crate::hash::Hasher;
use crate::slab::{Bin, MAX_BLOCK, Slab, block_size};
use crate::snapshot::records::put_field;
use crate::snapshot::watch::{TableWatch, Watched};
use crate::table::{BlockPtr, CURSOR_SHIFT, Layout, Place, Table};
use std::ptr::NonNull;

/// The flag of a block with a deadline.
const TIMED: u8 = 1;

/// The [`Layout`] of a hash's table.
struct FieldBlocks;

impl Layout for FieldBlocks {
    #[inline(always)]
    unsafe fn key<'a>(block: BlockPtr) -> &'a [u8] {
        // SAFETY: a table of fields holds live blocks of fields only.
        unsafe { Block::of(block).field() }
    }

    #[inline(always)]
    unsafe fn deadline(block: BlockPtr) -> u64 {
        // SAFETY: as above.
        unsafe { Block::of(block).deadline() }
    }
}

/// A field as readers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) field: &'a [u8],
    pub(super) value: &'a [u8],
    /// [`NEVER`]: none.
    pub(super) deadline: u64,
}

/// A live block.
#[derive(Clone, Copy)]
struct Block(NonNull<u8>);

impl Block {
    /// # Safety
    /// `block` is a live block of a field.
    #[inline(always)]
    unsafe fn of(block: BlockPtr) -> Block {
        Block(block.get())
    }

    /// Bytes of the block of a field and value.
    fn size_for(field: &[u8], value: &[u8], deadline: u64) -> usize {
        let clock = if deadline == NEVER { 0 } else { 8 };
        1 + clock + varint_size(field.len()) + field.len() + varint_size(value.len()) + value.len()
    }

    /// Makes a block.
    fn new(slab: &mut Slab, field: &[u8], value: &[u8], deadline: u64) -> Block {
        let block = Block(slab.alloc_any(Self::size_for(field, value, deadline)));
        // SAFETY: the block has room for exactly what is written.
        unsafe {
            let at = block.0.as_ptr();
            at.write(if deadline == NEVER { 0 } else { TIMED });
            let at = if deadline == NEVER { at.add(1) } else { put_u64(at.add(1), deadline) };
            let at = put_bytes(at, field);
            put_bytes(at, value);
        }
        block
    }

    #[inline(always)]
    fn is_timed(self) -> bool {
        // SAFETY: a block has a first byte.
        unsafe { self.0.as_ptr().read() & TIMED != 0 }
    }

    #[inline(always)]
    fn deadline(self) -> u64 {
        if !self.is_timed() {
            return NEVER;
        }
        // SAFETY: the flag says that a deadline follows.
        u64::from_le(unsafe { self.0.as_ptr().add(1).cast::<u64>().read_unaligned() })
    }

    /// Changes the deadline of a block that has one.
    fn set_deadline(self, deadline: u64) {
        debug_assert!(self.is_timed() && deadline != NEVER);
        // SAFETY: the flag says that a deadline is there.
        unsafe { put_u64(self.0.as_ptr().add(1), deadline) };
    }

    /// The field, and where it ends.
    ///
    /// # Safety
    /// The slice is used only while the block lives.
    #[inline(always)]
    unsafe fn head<'a>(self) -> (&'a [u8], *mut u8) {
        let at = if self.is_timed() { 9 } else { 1 };
        // SAFETY: the field's length and the field stand there.
        unsafe { get_bytes(self.0.as_ptr().add(at)) }
    }

    /// # Safety
    /// As for `head`.
    #[inline(always)]
    unsafe fn field<'a>(self) -> &'a [u8] {
        // SAFETY: as promised by the caller.
        unsafe { self.head().0 }
    }

    /// # Safety
    /// The slices are used only while the block lives and is not rewritten.
    #[inline(always)]
    unsafe fn entry<'a>(self) -> Entry<'a> {
        // SAFETY: the value follows the field.
        unsafe {
            let (field, at) = self.head();
            Entry { field, value: get_bytes(at).0, deadline: self.deadline() }
        }
    }

    /// Writes another value of the same size as the block has room for.
    fn overwrite(self, value: &[u8]) {
        // SAFETY: the caller compared the block sizes; the value is the last thing in the block.
        unsafe {
            let (_, at) = self.head();
            put_bytes(at, value);
        }
    }

    fn size(self) -> usize {
        // SAFETY: the slices are not used after this.
        let entry = unsafe { self.entry() };
        Self::size_for(entry.field, entry.value, entry.deadline)
    }
}

fn varint_size(n: usize) -> usize {
    (usize::BITS - (n | 1).leading_zeros()).div_ceil(7) as usize
}

/// # Safety
/// There are 8 bytes at `at`.
unsafe fn put_u64(at: *mut u8, n: u64) -> *mut u8 {
    // SAFETY: as promised by the caller.
    unsafe {
        at.cast::<u64>().write_unaligned(n.to_le());
        at.add(8)
    }
}

/// # Safety
/// There is room at `at` for the bytes and their length.
unsafe fn put_bytes(mut at: *mut u8, bytes: &[u8]) -> *mut u8 {
    let mut n = bytes.len();
    // SAFETY: as promised by the caller.
    unsafe {
        while n >= 0x80 {
            at.write(n as u8 | 0x80);
            at = at.add(1);
            n >>= 7;
        }
        at.write(n as u8);
        at = at.add(1);
        at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        at.add(bytes.len())
    }
}

/// The bytes at `at`, and where they end.
///
/// # Safety
/// `put_bytes` wrote there, and the bytes live as long as the slice is used.
#[inline(always)]
unsafe fn get_bytes<'a>(mut at: *mut u8) -> (&'a [u8], *mut u8) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut len = at.read() as usize;
        at = at.add(1);
        if len >= 0x80 {
            len &= 0x7f;
            let mut shift = 7;
            loop {
                let byte = at.read();
                at = at.add(1);
                len |= (byte as usize & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
        }
        (std::slice::from_raw_parts(at, len), at.add(len))
    }
}

/// The fields of one large hash. Their blocks live in the slab that is passed in each time: always the same.
pub(super) struct Fields {
    table: Table<FieldBlocks>,
    /// How many fields have a deadline.
    timed: usize,
    /// Whether there may be a block larger than the slab's largest.
    any_big: bool,
    /// While a snapshot has the hash open.
    watch: Watched<TableWatch>,
}

/// Appends the record of a field.
fn put(block: BlockPtr, records: &mut Vec<u8>) {
    // SAFETY: watches see live blocks of the table's fields, and the references end here.
    let Entry { field, value, deadline } = unsafe { Block::of(block).entry() };
    put_field(records, field, value, (deadline != NEVER).then_some(deadline));
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fields").field("len", &self.len()).finish_non_exhaustive()
    }
}

// The blocks in the table are live until `remove`, `remove_due` or `free` takes them out of it, and nothing
// that was read from a block outlives the borrow of `self` that it was read through.
impl Fields {
    pub(super) fn new(hasher: Hasher) -> Self {
        Fields { table: Table::new(hasher), timed: 0, any_big: false, watch: Watched::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    fn find(&self, field: &[u8]) -> (u64, Option<(Block, Place)>) {
        let hash = self.table.hash(field);
        // SAFETY: the table holds live blocks of fields.
        let found = self.table.find(hash, field).map(|(block, place)| (unsafe { Block::of(block) }, place));
        (hash, found)
    }

    /// What a snapshot knows of the hash while it is open.
    pub(super) fn watch(&mut self) -> &mut Watched<TableWatch> {
        &mut self.watch
    }

    /// Goes on with a snapshot's walk by one bucket; whether it came to its end.
    pub(super) fn walk(&mut self) -> bool {
        self.watch.get().is_none_or(|watch| watch.walk(&self.table, put))
    }

    /// Before a field with this hash changes or is added.
    #[inline(always)]
    fn before_change(&mut self, hash: u64) {
        if let Some(watch) = self.watch.get() {
            watch.before_change(&self.table, hash, put);
        }
    }

    /// The field of this name.
    pub(super) fn get(&self, field: &[u8]) -> Option<Entry<'_>> {
        let (block, _) = self.find(field).1?;
        // SAFETY: the block is live and is not rewritten while `self` is borrowed.
        Some(unsafe { block.entry() })
    }

    /// Sets a field's value and deadline, which `ttl` makes of the old one. Says whether the field is new.
    pub(super) fn set(&mut self, slab: &mut Slab, field: &[u8], value: &[u8], ttl: NewTtl) -> bool {
        let (hash, found) = self.find(field);
        self.before_change(hash);
        let Some((old, place)) = found else {
            self.insert(slab, hash, field, value, ttl.after(NEVER));
            return true;
        };
        let deadline = ttl.after(old.deadline());
        self.count_timed(old.is_timed(), deadline != NEVER);
        let (size, old_size) = (Block::size_for(field, value, deadline), old.size());
        if block_size(size) == block_size(old_size) && old.is_timed() == (deadline != NEVER) {
            old.overwrite(value);
            if deadline != NEVER {
                old.set_deadline(deadline);
                self.table.note_deadline(slab, place, deadline);
            }
        } else {
            self.any_big |= size > MAX_BLOCK;
            let new = Block::new(slab, field, value, deadline);
            self.table.replace(slab, place, BlockPtr::new(new.0));
            // SAFETY: the table let go of the old block.
            unsafe { slab.free_any(old.0, old_size) };
        }
        false
    }

    fn insert(&mut self, slab: &mut Slab, hash: u64, field: &[u8], value: &[u8], deadline: u64) {
        self.count_timed(false, deadline != NEVER);
        self.any_big |= Block::size_for(field, value, deadline) > MAX_BLOCK;
        let block = Block::new(slab, field, value, deadline);
        self.table.insert(slab, hash, BlockPtr::new(block.0));
    }

    /// Changes the deadline of a field, if it exists; [`NEVER`] removes it.
    pub(super) fn set_deadline(&mut self, slab: &mut Slab, field: &[u8], deadline: u64) {
        let (hash, Some((old, place))) = self.find(field) else { return };
        if !old.is_timed() && deadline == NEVER {
            return;
        }
        self.before_change(hash);
        if old.is_timed() && deadline != NEVER {
            old.set_deadline(deadline);
            return self.table.note_deadline(slab, place, deadline);
        }
        self.count_timed(old.is_timed(), deadline != NEVER);
        let old_size = old.size();
        // SAFETY: the value is used before the old block is freed.
        let new = Block::new(slab, field, unsafe { old.entry() }.value, deadline);
        self.any_big |= new.size() > MAX_BLOCK;
        self.table.replace(slab, place, BlockPtr::new(new.0));
        // SAFETY: the table let go of the old block.
        unsafe { slab.free_any(old.0, old_size) };
    }

    /// Removes a field; says whether it existed.
    pub(super) fn remove(&mut self, slab: &mut Slab, field: &[u8]) -> bool {
        let (hash, Some((block, place))) = self.find(field) else { return false };
        if let Some(watch) = self.watch.get() {
            watch.before_removal(hash, BlockPtr::new(block.0), put);
        }
        self.count_timed(block.is_timed(), false);
        self.table.remove(slab, place);
        // SAFETY: the table let go of the block.
        unsafe { slab.free_any(block.0, block.size()) };
        true
    }

    fn count_timed(&mut self, was: bool, is: bool) {
        self.timed = self.timed + usize::from(is) - usize::from(was);
    }

    /// The earliest deadline, or an earlier time; [`NEVER`] if no field has one.
    pub(super) fn next_deadline(&self) -> u64 {
        if self.timed == 0 { NEVER } else { self.table.next_deadline().unwrap_or(NEVER) }
    }

    /// Removes about `max` fields that are due at `now` and tells `gone` each. Says whether more are due.
    pub(super) fn remove_due(
        &mut self,
        slab: &mut Slab,
        now: u64,
        max: usize,
        gone: &mut dyn FnMut(&[u8]),
    ) -> bool {
        let mut blocks = Vec::new();
        let (hasher, mut watch) = (self.table.hasher(), self.watch.get());
        self.table.remove_due(slab, now, max, &mut |block, _| {
            if let Some(watch) = &mut watch {
                // SAFETY: the block is live, and the reference ends here.
                let hash = hasher.hash(unsafe { Block::of(block).field() });
                watch.before_removal(hash, block, put);
            }
            blocks.push(block);
            true
        });
        self.timed -= blocks.len();
        for block in blocks {
            // SAFETY: the table let go of the block, which is freed after its last use.
            unsafe {
                let block = Block::of(block);
                gone(block.field());
                slab.free_any(block.0, block.size());
            }
        }
        self.next_deadline() <= now
    }

    /// Visits all fields in no order.
    pub(super) fn for_each<'a>(&'a self, visit: &mut dyn FnMut(Entry<'a>)) {
        // SAFETY: the block is live and is not rewritten while `self` is borrowed.
        self.table.for_each(&mut |block| visit(unsafe { Block::of(block).entry() }));
    }

    /// One step of a scan: visits the fields of one bucket; returns the next cursor, 0 at the end.
    pub(super) fn scan<'a>(&'a self, cursor: u64, visit: &mut dyn FnMut(Entry<'a>)) -> u64 {
        // SAFETY: the block is live and is not rewritten while `self` is borrowed.
        let mut visit = |block| visit(unsafe { Block::of(block).entry() });
        let next = self.table.step(cursor << CURSOR_SHIFT, &mut visit);
        next.map_or(0, |position| position >> CURSOR_SHIFT)
    }

    /// A field, each with the same chance; `None` if there is none.
    pub(super) fn sample(&self, random: &mut dyn FnMut() -> u64) -> Option<Entry<'_>> {
        let block = self.table.sample(random)?;
        // SAFETY: the block is live and is not rewritten while `self` is borrowed.
        Some(unsafe { Block::of(block).entry() })
    }

    /// How many of its buckets hold how many fields, from none on.
    pub(super) fn bucket_loads(&self) -> Vec<usize> {
        self.table.bucket_loads().to_vec()
    }

    /// Bytes of the table and the blocks, the latter estimated from `samples` of them (0: all).
    pub(super) fn memory(&self, samples: usize) -> usize {
        let (mut seen, mut bytes, mut cursor) = (0, 0, 0);
        let most = if samples == 0 { usize::MAX } else { samples };
        loop {
            cursor = self.scan(cursor, &mut |entry| {
                if seen < most {
                    seen += 1;
                    bytes += block_size(Block::size_for(entry.field, entry.value, entry.deadline));
                }
            });
            if cursor == 0 || seen >= most {
                break;
            }
        }
        let blocks = bytes * self.len() / seen.max(1);
        size_of::<Self>() + self.table.directory_bytes() + self.table.capacity() / 9 * 64 + blocks
    }

    /// A copy of all fields with their deadlines.
    pub(super) fn duplicate(&self, slab: &mut Slab, hasher: Hasher) -> Fields {
        let mut copy = Fields::new(hasher);
        self.for_each(&mut |entry| {
            let hash = copy.table.hash(entry.field);
            copy.insert(slab, hash, entry.field, entry.value, entry.deadline);
        });
        copy
    }

    /// Gives all blocks back.
    pub(super) fn free(self, bin: &mut Bin<'_>) {
        let any_big = self.any_big;
        // SAFETY: the table's blocks are live until the bin takes them.
        self.table.dismantle(bin, any_big, |block| unsafe { Block::of(block) }.size());
    }
}
