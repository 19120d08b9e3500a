//! A large sorted set: a block per member, found by name in a table and by order in a tree.
//!
//! ```text
//! block: score (f64) | length of the member (groups of 7 bits, the lowest first; all but the last have bit 7 set) | member
//! ```
//!
//! This module owns the blocks. What its memory safety rests on: the table and the tree of a set hold the
//! addresses of the same blocks, all of them live, in the slab that is passed in each time; and a reference to a
//! member lives no longer than a borrow of the set.
#![allow(unsafe_code)]

use super::range::Edge;
use crate::encoding::ordered::{Handle, Ordered, Probe, Slot};
use crate::hash::Hasher;
use crate::slab::{Bin, MAX_BLOCK, Slab, block_size};
use crate::snapshot::records::put_scored;
use crate::snapshot::watch::{TableWatch, Watched};
use crate::table::{BlockPtr, CURSOR_SHIFT, Layout, Place, Table, prefetch};
use std::ops::{ControlFlow, Range};
use std::ptr::{self, NonNull};

/// A pointer to a live block.
#[derive(Clone, Copy)]
struct Block(NonNull<u8>);

/// The [`Layout`] of the table.
pub(super) struct Members;

impl Layout for Members {
    #[inline(always)]
    unsafe fn key<'a>(block: BlockPtr) -> &'a [u8] {
        // SAFETY: the table holds live blocks only.
        unsafe { Block(block.get()).member() }
    }

    #[inline(always)]
    unsafe fn deadline(_block: BlockPtr) -> u64 {
        u64::MAX
    }
}

/// Bytes of a length.
fn length_size(len: usize) -> usize {
    (usize::BITS - (len | 1).leading_zeros()).div_ceil(7) as usize
}

// Blocks are written by `new` and keep their size; only the score changes.
impl Block {
    fn new(slab: &mut Slab, member: &[u8], score: f64) -> Block {
        let head = 8 + length_size(member.len());
        let block = slab.alloc_any(head + member.len());
        // SAFETY: the block is fresh and has room for all of this; it is aligned to 8 bytes.
        unsafe {
            let p = block.as_ptr();
            p.cast::<f64>().write(score);
            let mut rest = member.len();
            for i in 8..head - 1 {
                p.add(i).write(rest as u8 | 0x80);
                rest >>= 7;
            }
            p.add(head - 1).write(rest as u8);
            ptr::copy_nonoverlapping(member.as_ptr(), p.add(head), member.len());
        }
        Block(block)
    }

    #[inline(always)]
    fn handle(self) -> Handle {
        self.0.as_ptr().expose_provenance() as Handle
    }

    /// # Safety
    /// The handle is that of a live block.
    #[inline(always)]
    unsafe fn of(handle: Handle) -> Block {
        // SAFETY: blocks are not at address 0.
        Block(unsafe { NonNull::new_unchecked(ptr::with_exposed_provenance_mut(handle as usize)) })
    }

    #[inline(always)]
    fn score(self) -> f64 {
        // SAFETY: the score stands at the beginning.
        unsafe { self.0.as_ptr().cast::<f64>().read() }
    }

    #[inline(always)]
    fn set_score(self, score: f64) {
        // SAFETY: as above.
        unsafe { self.0.as_ptr().cast::<f64>().write(score) };
    }

    /// Where the member begins, and its length.
    #[inline(always)]
    fn extent(self) -> (usize, usize) {
        let (mut at, mut len, mut shift) = (8, 0, 0);
        loop {
            // SAFETY: the length ends before the block does.
            let byte = unsafe { self.0.as_ptr().add(at).read() };
            at += 1;
            len |= ((byte & 0x7f) as usize) << shift;
            if byte < 0x80 {
                return (at, len);
            }
            shift += 7;
        }
    }

    /// # Safety
    /// The slice is used only while the block lives.
    #[inline(always)]
    unsafe fn member<'a>(self) -> &'a [u8] {
        let (at, len) = self.extent();
        // SAFETY: the member lies within the block.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), len) }
    }

    fn size(self) -> usize {
        let (at, len) = self.extent();
        at + len
    }
}

/// The order of a score as a number: equal for 0 and -0.
#[inline(always)]
fn prefix_of(score: f64) -> u64 {
    // -0 + 0 is 0.
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// The prefix of a handle, for the tree.
#[inline]
fn prefix(handle: Handle) -> u64 {
    // SAFETY: the tree asks about its own handles, which are of live blocks.
    prefix_of(unsafe { Block::of(handle) }.score())
}

/// Has the processor fetch a block: its score and the beginning of its member.
#[inline(always)]
fn fetch(handle: Handle) {
    prefetch(ptr::with_exposed_provenance(handle as usize));
}

/// The place of an element.
struct Element<'a> {
    prefix: u64,
    score: f64,
    member: &'a [u8],
}

impl Probe for Element<'_> {
    #[inline]
    fn by_prefix(&self, prefix: u64) -> Option<bool> {
        (prefix != self.prefix).then_some(prefix < self.prefix)
    }

    #[inline]
    fn by_handle(&self, handle: Handle) -> bool {
        // SAFETY: the tree asks about its own handles.
        let block = unsafe { Block::of(handle) };
        let score = block.score();
        // SAFETY: the reference ends here.
        score < self.score || (score == self.score && unsafe { block.member() } < self.member)
    }

    #[inline]
    fn prefetch(&self, handle: Handle) {
        fetch(handle);
    }
}

/// A place before or behind all elements of a score.
struct Score {
    prefix: u64,
    score: f64,
    behind: bool,
}

impl Probe for Score {
    #[inline]
    fn by_prefix(&self, prefix: u64) -> Option<bool> {
        Some(prefix < self.prefix || (self.behind && prefix == self.prefix))
    }

    #[inline]
    fn by_handle(&self, handle: Handle) -> bool {
        // SAFETY: the tree asks about its own handles.
        let score = unsafe { Block::of(handle) }.score();
        score < self.score || (self.behind && score == self.score)
    }

    #[inline]
    fn prefetch(&self, handle: Handle) {
        fetch(handle);
    }
}

/// A place before or behind a member, where all have the same score.
struct Member<'a> {
    member: &'a [u8],
    behind: bool,
}

impl Probe for Member<'_> {
    #[inline]
    fn by_prefix(&self, _prefix: u64) -> Option<bool> {
        None
    }

    #[inline]
    fn by_handle(&self, handle: Handle) -> bool {
        // SAFETY: the tree asks about its own handles, and the reference ends here.
        let member = unsafe { Block::of(handle).member() };
        member < self.member || (self.behind && member == self.member)
    }

    #[inline]
    fn prefetch(&self, handle: Handle) {
        fetch(handle);
    }
}

/// A member that was found; valid until the set changes.
#[derive(Clone, Copy)]
pub(super) struct Found {
    block: Block,
    place: Place,
}

impl Found {
    pub(super) fn score(&self) -> f64 {
        self.block.score()
    }
}

/// A large sorted set.
pub(crate) struct Large {
    table: Table<Members>,
    tree: Ordered,
    /// Whether any block may be larger than [`MAX_BLOCK`].
    any_big: bool,
    /// While a snapshot has the set open.
    watch: Watched<TableWatch>,
}

/// Appends the record of a member.
fn put(block: BlockPtr, records: &mut Vec<u8>) {
    let block = Block(block.get());
    // SAFETY: watches see live blocks of the table's members, and the reference ends here.
    put_scored(records, unsafe { block.member() }, block.score());
}

impl std::fmt::Debug for Large {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Large").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Large {
    pub(super) fn new(hasher: Hasher) -> Large {
        Large { table: Table::new(hasher), tree: Ordered::new(), any_big: false, watch: Watched::default() }
    }

    /// What a snapshot knows of the set while it is open.
    pub(super) fn watch(&mut self) -> &mut Watched<TableWatch> {
        &mut self.watch
    }

    /// Goes on with a snapshot's walk by one bucket; whether it came to its end.
    pub(super) fn walk(&mut self) -> bool {
        self.watch.get().is_none_or(|watch| watch.walk(&self.table, put))
    }

    /// Before a member with this hash changes or is added.
    #[inline(always)]
    fn before_change(&mut self, hash: u64) {
        if let Some(watch) = self.watch.get() {
            watch.before_change(&self.table, hash, put);
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    /// Finds a member; also its hash, for [`Large::insert`].
    #[inline]
    pub(super) fn find(&self, member: &[u8]) -> (u64, Option<Found>) {
        let hash = self.table.hash(member);
        (hash, self.table.find(hash, member).map(|(block, place)| Found { block: Block(block.get()), place }))
    }

    /// The score of a member.
    #[inline]
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.find(member).1.map(|found| found.score())
    }

    /// How many elements come before a member of this score.
    fn rank_at(&self, member: &[u8], score: f64) -> usize {
        self.tree.rank(&Element { prefix: prefix_of(score), score, member })
    }

    /// The rank and score of a member.
    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        Some((self.rank_at(member, score), score))
    }

    /// How many elements come before a place.
    pub(super) fn rank_of(&self, edge: Edge<'_>) -> usize {
        match edge {
            Edge::Start => 0,
            Edge::End => self.len(),
            Edge::Score { score, behind } if (score == f64::INFINITY) && behind => self.len(),
            Edge::Score { score, behind } => {
                self.tree.rank(&Score { prefix: prefix_of(score), score, behind })
            }
            Edge::Member { member, behind } => self.tree.rank(&Member { member, behind }),
        }
    }

    /// Adds a member that is not in the set; `hash` is its hash.
    pub(super) fn insert(&mut self, slab: &mut Slab, hash: u64, member: &[u8], score: f64) {
        let rank = self.rank_at(member, score);
        self.insert_at(slab, rank, hash, member, score);
    }

    /// Adds a member that is not in the set and comes after all others.
    pub(super) fn push(&mut self, slab: &mut Slab, member: &[u8], score: f64) {
        let hash = self.table.hash(member);
        self.insert_at(slab, self.len(), hash, member, score);
    }

    fn insert_at(&mut self, slab: &mut Slab, rank: usize, hash: u64, member: &[u8], score: f64) {
        self.before_change(hash);
        let block = Block::new(slab, member, score);
        self.any_big |= block.size() > MAX_BLOCK;
        self.table.insert(slab, hash, BlockPtr::new(block.0));
        self.tree.insert(rank, block.handle(), &prefix);
    }

    /// Gives a member another score.
    pub(super) fn set_score(&mut self, found: Found, score: f64) {
        // SAFETY: the reference ends before anything changes the block's size, which nothing does.
        let member = unsafe { found.block.member() };
        if self.watch.is_on() {
            self.before_change(self.table.hash(member));
        }
        let old = self.rank_at(member, found.score());
        let handle = self.tree.remove(old, &prefix);
        debug_assert_eq!(handle, found.block.handle());
        found.block.set_score(score);
        let new = self.rank_at(member, score);
        self.tree.insert(new, handle, &prefix);
    }

    /// Removes a member.
    pub(super) fn remove(&mut self, slab: &mut Slab, found: Found) {
        // SAFETY: the reference ends before the block does.
        let rank = self.rank_at(unsafe { found.block.member() }, found.score());
        self.tree.remove(rank, &prefix);
        self.drop_block(slab, found);
    }

    /// Removes `n` elements from a rank on.
    pub(super) fn remove_ranks(&mut self, slab: &mut Slab, ranks: Range<usize>) {
        for _ in ranks.clone() {
            let handle = self.tree.remove(ranks.start, &prefix);
            // SAFETY: the block lives until it is dropped below.
            let member = unsafe { Block::of(handle).member() };
            let (_, found) = self.find(member);
            self.drop_block(slab, found.expect("the table holds the members of the tree"));
        }
    }

    /// Takes a block out of the table and frees it. The tree does not hold it any more.
    fn drop_block(&mut self, slab: &mut Slab, found: Found) {
        if let Some(watch) = self.watch.get() {
            // SAFETY: the reference ends before the block does.
            let hash = self.table.hash(unsafe { found.block.member() });
            watch.before_removal(hash, BlockPtr::new(found.block.0), put);
        }
        self.table.remove(slab, found.place);
        // SAFETY: neither the table nor the tree holds the block any more.
        unsafe { slab.free_any(found.block.0, found.block.size()) };
    }

    /// The element at a rank.
    pub(super) fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        // SAFETY: the tree holds live blocks, and they live as long as the set is not changed.
        self.tree.get(rank).map(|handle| unsafe { Self::element(handle) })
    }

    /// # Safety
    /// The handle is that of a live block, and the member is used only while it lives.
    #[inline]
    unsafe fn element<'a>(handle: Handle) -> (&'a [u8], f64) {
        // SAFETY: as promised by the caller.
        unsafe {
            let block = Block::of(handle);
            (block.member(), block.score())
        }
    }

    /// Visits the elements of a range of ranks in order, or in the opposite one.
    pub(super) fn visit<'a>(
        &'a self,
        ranks: Range<usize>,
        back: bool,
        visit: &mut dyn FnMut(&'a [u8], f64) -> ControlFlow<()>,
    ) {
        /// How many elements ahead blocks are fetched.
        const AHEAD: usize = 6;
        // SAFETY: the tree holds live blocks, and they live for 'a.
        let mut see = |slot: Slot| unsafe {
            let (member, score) = Self::element(slot.handle());
            visit(member, score)
        };
        let ahead = |slot: Option<&Slot>| {
            if let Some(slot) = slot {
                fetch(slot.handle());
            }
        };
        if back {
            self.tree.visit_back(ranks, &mut |run| {
                run.iter().rev().take(AHEAD).for_each(|slot| fetch(slot.handle()));
                for (i, slot) in run.iter().enumerate().rev() {
                    ahead(i.checked_sub(AHEAD).map(|i| &run[i]));
                    see(*slot)?;
                }
                ControlFlow::Continue(())
            });
        } else {
            self.tree.visit(ranks, &mut |run| {
                run.iter().take(AHEAD).for_each(|slot| fetch(slot.handle()));
                for (i, slot) in run.iter().enumerate() {
                    ahead(run.get(i + AHEAD));
                    see(*slot)?;
                }
                ControlFlow::Continue(())
            });
        }
    }

    /// One step of a scan; see [`Table::step`].
    pub(super) fn scan<'a>(&'a self, cursor: u64, visit: &mut dyn FnMut(&'a [u8], f64)) -> u64 {
        let next = self.table.step(cursor << CURSOR_SHIFT, &mut |block| {
            let block = Block(block.get());
            // SAFETY: the table holds live blocks, and they live for 'a.
            visit(unsafe { block.member() }, block.score());
        });
        next.map_or(0, |position| position >> CURSOR_SHIFT)
    }

    /// Frees all blocks.
    pub(super) fn free(self, bin: &mut Bin<'_>) {
        self.table.dismantle(bin, self.any_big, |block| Block(block.get()).size());
        self.tree.dismantle(&mut |nodes| bin.worked(nodes));
    }

    /// A copy.
    pub(super) fn duplicate(&self, slab: &mut Slab, hasher: Hasher) -> Large {
        let mut copy = Large::new(hasher);
        self.visit(0..self.len(), false, &mut |member, score| {
            copy.push(slab, member, score);
            ControlFlow::Continue(())
        });
        copy
    }

    /// How many of its buckets hold how many members, from none on.
    pub(super) fn bucket_loads(&self) -> Vec<usize> {
        self.table.bucket_loads().to_vec()
    }

    /// Bytes taken, those of blocks estimated from `samples` of them; 0: all.
    pub(super) fn memory(&self, samples: usize) -> usize {
        /// A bucket has 9 slots in 64 bytes.
        const BUCKET: (usize, usize) = (64, 9);
        let samples = if samples == 0 { self.len() } else { samples.min(self.len()) };
        let mut seen = 0;
        self.visit(0..samples, false, &mut |member, _| {
            seen += block_size(8 + length_size(member.len()) + member.len());
            ControlFlow::Continue(())
        });
        let blocks = (seen as f64 * self.len() as f64 / samples.max(1) as f64) as usize;
        let table = self.table.directory_bytes() + self.table.capacity() / BUCKET.1 * BUCKET.0;
        blocks + table + self.tree.bytes()
    }
}
