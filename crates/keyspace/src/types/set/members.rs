//! The members of a large set: one block each, found through a [`Table`].
//!
//! ```text
//! length of the member (varint), the member
//! ```
//!
//! A varint has 7 bits per byte, the lowest first; the top bit says that more follow. Integers are kept as their
//! text here. Knows neither packed sets nor when a set becomes large.
#![allow(unsafe_code)]

use crate::hash::Hasher;
use crate::slab::{Bin, MAX_BLOCK, Slab, block_size};
use crate::snapshot::records::put_member;
use crate::snapshot::watch::{TableWatch, Watched};
use crate::table::{BlockPtr, CURSOR_SHIFT, Layout, Table};
use std::fmt;
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::slice;

/// The [`Layout`] of a set's table.
struct MemberBlocks;

impl Layout for MemberBlocks {
    #[inline(always)]
    unsafe fn key<'a>(block: BlockPtr) -> &'a [u8] {
        // SAFETY: a table of members holds live blocks of members only.
        unsafe { member(block) }
    }

    #[inline(always)]
    unsafe fn deadline(_: BlockPtr) -> u64 {
        u64::MAX
    }
}

/// Bytes of a length.
fn varint_size(n: usize) -> usize {
    (usize::BITS - (n | 1).leading_zeros()).div_ceil(7) as usize
}

/// Bytes of the block of a member.
fn size_for(member: &[u8]) -> usize {
    varint_size(member.len()) + member.len()
}

/// Makes a block.
#[inline]
fn new_block(slab: &mut Slab, member: &[u8]) -> BlockPtr {
    let block = slab.alloc_any(size_for(member));
    let (mut at, mut n) = (block.as_ptr(), member.len());
    // SAFETY: the block has room for exactly what is written.
    unsafe {
        while n >= 0x80 {
            at.write(n as u8 | 0x80);
            at = at.add(1);
            n >>= 7;
        }
        at.write(n as u8);
        at.add(1).copy_from_nonoverlapping(member.as_ptr(), member.len());
    }
    BlockPtr::new(block)
}

/// The member in a block.
///
/// # Safety
/// `block` is a live block of a member, and the slice is not used longer than it lives.
#[inline(always)]
unsafe fn member<'a>(block: BlockPtr) -> &'a [u8] {
    let mut at: NonNull<u8> = block.get();
    // SAFETY: the length and the member stand there.
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
        slice::from_raw_parts(at.as_ptr(), len)
    }
}

/// The members of one large set. Their blocks live in the slab that is passed in each time: always the same.
pub(super) struct Members {
    table: Table<MemberBlocks>,
    /// Whether there may be a block larger than the slab's largest.
    any_big: bool,
    /// While a snapshot has the set open.
    watch: Watched<TableWatch>,
}

/// Appends the record of a member.
fn put(block: BlockPtr, records: &mut Vec<u8>) {
    // SAFETY: watches see live blocks of the table's members, and the reference ends here.
    put_member(records, unsafe { member(block) });
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("len", &self.len()).finish_non_exhaustive()
    }
}

// The blocks in the table are live until `remove`, `pop` or `free` takes them out of it, and nothing that was
// read from a block outlives the borrow of `self` that it was read through.
impl Members {
    pub(super) fn new(hasher: Hasher) -> Self {
        Members { table: Table::new(hasher), any_big: false, watch: Watched::default() }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// What a snapshot knows of the set while it is open.
    pub(super) fn watch(&mut self) -> &mut Watched<TableWatch> {
        &mut self.watch
    }

    /// Goes on with a snapshot's walk by one bucket; whether it came to its end.
    pub(super) fn walk(&mut self) -> bool {
        self.watch.get().is_none_or(|watch| watch.walk(&self.table, put))
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watch.is_on()
    }

    #[inline]
    pub(super) fn contains(&self, member: &[u8]) -> bool {
        self.table.find(self.table.hash(member), member).is_some()
    }

    /// Adds a member; says whether it is new.
    #[inline]
    pub(super) fn insert(&mut self, slab: &mut Slab, member: &[u8]) -> bool {
        let hash = self.table.hash(member);
        if self.table.find(hash, member).is_some() {
            return false;
        }
        self.insert_new(slab, hash, member);
        true
    }

    fn insert_new(&mut self, slab: &mut Slab, hash: u64, member: &[u8]) {
        if let Some(watch) = self.watch.get() {
            watch.before_change(&self.table, hash, put);
        }
        self.any_big |= size_for(member) > MAX_BLOCK;
        let block = new_block(slab, member);
        self.table.insert(slab, hash, block);
    }

    /// Removes a member; says whether there was one.
    pub(super) fn remove(&mut self, slab: &mut Slab, member: &[u8]) -> bool {
        let hash = self.table.hash(member);
        let Some((block, place)) = self.table.find(hash, member) else { return false };
        if let Some(watch) = self.watch.get() {
            watch.before_removal(hash, block, put);
        }
        self.table.remove(slab, place);
        // SAFETY: the table let go of the block.
        unsafe { slab.free_any(block.get(), size_of_block(block)) };
        true
    }

    /// Removes a member chosen uniformly and shows it to `visit`.
    pub(super) fn pop(
        &mut self,
        slab: &mut Slab,
        random: &mut dyn FnMut() -> u64,
        visit: &mut dyn FnMut(&[u8]),
    ) {
        let Some(block) = self.table.sample(random) else { return };
        // SAFETY: the block is live until it is freed below, after the last use of the slice.
        let bytes = unsafe { member(block) };
        let hash = self.table.hash(bytes);
        let (_, place) = self.table.find(hash, bytes).expect("it was just met there");
        visit(bytes);
        if let Some(watch) = self.watch.get() {
            watch.before_removal(hash, block, put);
        }
        self.table.remove(slab, place);
        // SAFETY: the table let go of the block.
        unsafe { slab.free_any(block.get(), size_of_block(block)) };
    }

    /// Visits members in no order, until `visit` breaks off.
    pub(super) fn try_for_each<'a>(
        &'a self,
        visit: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // SAFETY: the blocks are live while `self` is borrowed.
        self.table.try_for_each(&mut |block| visit(unsafe { member(block) }))
    }

    /// One step of a scan: visits the members of one bucket; returns the next cursor, 0 at the end.
    pub(super) fn scan<'a>(&'a self, cursor: u64, visit: &mut dyn FnMut(&'a [u8])) -> u64 {
        // SAFETY: the blocks are live while `self` is borrowed.
        let mut visit = |block| visit(unsafe { member(block) });
        let next = self.table.step(cursor << CURSOR_SHIFT, &mut visit);
        next.map_or(0, |position| position >> CURSOR_SHIFT)
    }

    /// A member, each with the same chance; `None` if there is none.
    pub(super) fn sample(&self, random: &mut dyn FnMut() -> u64) -> Option<&[u8]> {
        let block = self.table.sample(random)?;
        // SAFETY: the block is live while `self` is borrowed.
        Some(unsafe { member(block) })
    }

    /// How many of its buckets hold how many members, from none on.
    pub(super) fn bucket_loads(&self) -> Vec<usize> {
        self.table.bucket_loads().to_vec()
    }

    /// Bytes of the table and the blocks, the latter estimated from `samples` of them (0: all).
    pub(super) fn memory(&self, samples: usize) -> usize {
        let most = if samples == 0 { usize::MAX } else { samples };
        let (mut seen, mut bytes) = (0, 0);
        let _ = self.try_for_each(&mut |member| {
            seen += 1;
            bytes += block_size(size_for(member));
            if seen < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let blocks = bytes * self.len() / seen.max(1);
        size_of::<Self>() + self.table.directory_bytes() + self.table.capacity() / 9 * 64 + blocks
    }

    /// A copy of all members.
    pub(super) fn duplicate(&self, slab: &mut Slab, hasher: Hasher) -> Members {
        let mut copy = Members::new(hasher);
        let _ = self.try_for_each(&mut |member| {
            let hash = copy.table.hash(member);
            copy.insert_new(slab, hash, member);
            ControlFlow::Continue(())
        });
        copy
    }

    /// Gives all blocks back.
    pub(super) fn free(self, bin: &mut Bin<'_>) {
        let any_big = self.any_big;
        self.table.dismantle(bin, any_big, size_of_block);
    }
}

/// Bytes of a live block.
fn size_of_block(block: BlockPtr) -> usize {
    // SAFETY: the callers' blocks are live, and the slice is not used after this.
    size_for(unsafe { member(block) })
}
