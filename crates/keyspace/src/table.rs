//! The table: extendible hashing over 64-byte buckets, in the order of the hash.
//!
//! ```text
//! hash   | root (0 or 8 bits) | directory | 16 bits: place in the segment | ...      | tag (8 bits) |
//!
//! roots -> directory -> slot: segment address (48 bits), buckets (8), depth (8)
//! segment: a 64-byte head, then 1 to 47 buckets of 64 bytes
//! bucket:  9 tags (0: free), reach, 9 addresses of 6 bytes each
//! ```
//!
//! A lookup reads the directory slot (small and hot), one bucket and one block: two cache misses. A
//! bucket that is full passes blocks on to one of the next [`MAX_REACH`] buckets; `reach` says how far.
//!
//! Growth rebuilds one segment of at most 380 blocks at a time: 1, 3, 7, 15, 31, 39, 47 buckets, then a
//! split into two segments of 31. The directory itself is cut into 256 parts before it becomes large, so
//! nothing in the table takes time that depends on its size.
//!
//! Where it is known how many blocks will come ([`Table::expect`]), segments that are full spread over many deeper ones
//! at once, which have their final size: then a block is moved hardly once instead of several times.
//!
//! Segments and buckets follow the order of the hash. So a scan's cursor is a position in hash space:
//! it stays valid however the table grows or shrinks, and no state is kept for it. Tables neither know
//! what a block is beyond its key and deadline ([`Layout`]), nor own the blocks.
//!
//! Deadlines are indexed by bucket, not by key: a segment with deadlines has an array of the earliest
//! deadline per bucket, and an ordered set holds the earliest deadline per segment. These are lower
//! bounds: an earlier deadline lowers them at once, a later or removed one is noticed when the bound
//! comes due. That costs about one byte per key.
#![allow(unsafe_code)]

use crate::hash::Hasher;
use crate::slab::{Bin, SEGMENTS, Slab};
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::ptr::{self, NonNull};

/// What a table must know of the blocks it points to.
pub(crate) trait Layout {
    /// Whether blocks are longer than a cache line often enough to look at [`Layout::size`].
    const IS_LONG: bool = false;
    /// Bytes of the block.
    ///
    /// # Safety
    /// `block` is a live block of the table's kind.
    unsafe fn size(_block: BlockPtr) -> usize {
        LINE
    }
    /// # Safety
    /// `block` is a live block of the table's kind; the slice is not used longer than it lives.
    unsafe fn key<'a>(block: BlockPtr) -> &'a [u8];
    /// The block's deadline, `u64::MAX` if it has none.
    ///
    /// # Safety
    /// `block` is a live block of the table's kind.
    unsafe fn deadline(block: BlockPtr) -> u64;
}

/// The address of a block: 48 bits, kept in 6 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockPtr(NonNull<u8>);

impl BlockPtr {
    pub(crate) fn new(p: NonNull<u8>) -> Self {
        debug_assert!(p.addr().get() >> 48 == 0, "user addresses have 48 bits");
        BlockPtr(p)
    }

    #[inline(always)]
    pub(crate) fn get(self) -> NonNull<u8> {
        self.0
    }
}

const SLOTS: usize = 9;
/// Bytes of a cache line.
const LINE: usize = 64;
/// How many buckets past its own a block may be kept.
const MAX_REACH: usize = 7;
const ADDRESS: u64 = (1 << 48) - 1;
/// Buckets of a segment, in the order of growth; past the last one, the segment splits.
const SIZES: [u8; 7] = [1, 3, 7, 15, 31, 39, 47];
/// Buckets of each half after a split.
const SPLIT: u8 = 31;
/// Directories get cut into this many parts...
const ROOTS: usize = 1 << ROOT_BITS;
const ROOT_BITS: u8 = 8;
/// ...when a directory would outgrow this many slots (and no segment spans two parts).
const ROOT_SLOTS: usize = 4096;
/// How many bits deeper a segment's blocks go when it spreads: so long that this stays well below a millisecond.
const SPREAD_BITS: u8 = 6;
/// No more blocks than this are prepared for.
const MAX_EXPECTED: usize = 1 << 36;
/// Segments that are fetched at once when a directory has moved.
const ANCHORED: usize = 32;

#[repr(C, align(64))]
struct Bucket {
    tags: [u8; SLOTS],
    /// The greatest distance at which a block of this bucket is kept.
    reach: u8,
    addresses: [[u8; 6]; SLOTS],
}

/// The head of a segment.
#[repr(C, align(64))]
struct Segment {
    /// The first hash that belongs here.
    prefix: u64,
    /// The key in the expiry index; `u64::MAX`: not in it.
    next_deadline: u64,
    /// The earliest deadline per bucket, or null.
    deadlines: *mut u64,
    /// Where its slots begin, in a directory of its table; null: it is in none yet.
    slots: *mut Slot,
    /// How many these are.
    span: u32,
    count: u16,
    buckets: u8,
    depth: u8,
}

const _: () = assert!(size_of::<Bucket>() == 64 && size_of::<Segment>() == 64);

impl Bucket {
    #[inline(always)]
    fn address(&self, i: usize) -> *mut u8 {
        debug_assert!(i < SLOTS);
        // The 8 bytes that end with address i lie within the bucket for every i.
        // SAFETY: 8 + 6 * i + 8 <= 64.
        let word = unsafe { ptr::from_ref(self).cast::<u8>().add(8 + 6 * i).cast::<u64>().read_unaligned() };
        ptr::with_exposed_provenance_mut((u64::from_le(word) >> 16) as usize)
    }

    #[inline(always)]
    fn block(&self, i: usize) -> BlockPtr {
        debug_assert!(self.tags[i] != 0);
        // SAFETY: a slot with a tag holds the address of a block.
        BlockPtr(unsafe { NonNull::new_unchecked(self.address(i)) })
    }

    #[inline(always)]
    fn set(&mut self, i: usize, tag: u8, block: BlockPtr) {
        let bytes = (block.0.as_ptr().expose_provenance() as u64).to_le_bytes();
        self.tags[i] = tag;
        self.addresses[i].copy_from_slice(&bytes[..6]);
    }

    /// A bit per slot whose tag is `tag`.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u32 {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: SSE2 is part of x86-64, and 16 bytes from the bucket's start lie within it.
        unsafe {
            use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
            let tags = _mm_loadu_si128(ptr::from_ref(self).cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag as i8))) as u32 & 0x1ff
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        {
            let mut bits = 0;
            for (i, t) in self.tags.iter().enumerate() {
                bits |= u32::from(*t == tag) << i;
            }
            bits
        }
    }

    fn free_slot(&self) -> Option<usize> {
        let free = self.matches(0);
        (free != 0).then(|| free.trailing_zeros() as usize)
    }
}

#[inline(always)]
fn tag_of(hash: u64) -> u8 {
    // 0 means free.
    (hash as u8).max(1)
}

/// The home bucket of a hash in a segment of `buckets` buckets at `depth`.
#[inline(always)]
fn home_of(hash: u64, depth: u8, buckets: u8) -> usize {
    let place = (hash << depth) >> 48;
    ((place * u64::from(buckets)) >> 16) as usize
}

/// The smallest 16-bit place that falls into a bucket.
fn place_of(bucket: usize, buckets: u8) -> u64 {
    ((bucket as u64) << 16).div_ceil(u64::from(buckets))
}

/// Which of the [`SIZES`] a segment has.
#[inline]
fn rank_of(buckets: u8) -> usize {
    SIZES.iter().position(|size| *size == buckets).expect("segments have one of these sizes")
}

/// The most blocks that a segment of `buckets` buckets takes before it grows: 90 %.
fn room_of(buckets: u8) -> u16 {
    u16::from(buckets) * SLOTS as u16 * 9 / 10
}

/// A slot of a directory.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Slot(u64);

impl Slot {
    fn new(segment: *mut Segment) -> Slot {
        // SAFETY: the segment is live.
        let (buckets, depth) = unsafe { ((*segment).buckets, (*segment).depth) };
        Slot(segment.expose_provenance() as u64 | u64::from(buckets) << 48 | u64::from(depth) << 56)
    }

    #[inline(always)]
    fn segment(self) -> *mut Segment {
        ptr::with_exposed_provenance_mut((self.0 & ADDRESS) as usize)
    }

    #[inline(always)]
    fn buckets(self) -> u8 {
        (self.0 >> 48) as u8
    }

    #[inline(always)]
    fn depth(self) -> u8 {
        (self.0 >> 56) as u8
    }
}

/// One part of the directory: all segments whose hashes begin with the root's bits.
struct Directory {
    /// Bits that index `slots`.
    bits: u8,
    /// Segments whose depth needs all of `bits`.
    deepest: u32,
    slots: Vec<Slot>,
}

/// The segments that a table will have when all blocks are there that are expected.
#[derive(Clone, Copy)]
struct Plan {
    depth: u8,
    buckets: u8,
}

/// Where a block stands; valid until the table changes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    segment: *mut Segment,
    bucket: u8,
    slot: u8,
}

/// A hash table of blocks with unique keys.
pub(crate) struct Table<L: Layout> {
    hasher: Hasher,
    roots: Vec<Directory>,
    root_bits: u8,
    len: usize,
    segments: usize,
    slots: usize,
    /// The earliest deadline per segment that has one, and the segment's prefix.
    due: BTreeSet<(u64, u64)>,
    /// What growth aims at.
    plan: Option<Plan>,
    layout: PhantomData<L>,
}

// SAFETY: a table owns its segments; slots are its own addresses. Others reach segments only to move them, on the
// thread of the slab's owner ([`compact`]).
unsafe impl<L: Layout> Send for Table<L> {}

// Memory safety of the methods below rests on these invariants: every slot of every directory holds a
// live segment of this table, allocated from the slab that the owner passes in each time; a segment has
// `buckets` buckets behind its head; a non-zero tag marks the address of a live block.
impl<L: Layout> Table<L> {
    /// An empty table. It allocates nothing until the first insert.
    pub(crate) fn new(hasher: Hasher) -> Self {
        Table {
            hasher,
            roots: Vec::new(),
            root_bits: 0,
            len: 0,
            segments: 0,
            slots: 0,
            due: BTreeSet::new(),
            plan: None,
            layout: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What keys are hashed with.
    pub(crate) fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// The hash of a key under this table's seed.
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Slots for blocks, used or free.
    pub(crate) fn capacity(&self) -> usize {
        self.slots
    }

    /// How many buckets hold how many blocks, from none on.
    pub(crate) fn bucket_loads(&self) -> [usize; SLOTS + 1] {
        let mut loads = [0; SLOTS + 1];
        for directory in &self.roots {
            let mut last = ptr::null_mut();
            for slot in directory.slots.iter().filter(|slot| !slot.segment().is_null()) {
                if slot.segment() != last {
                    last = slot.segment();
                    for b in 0..slot.buckets() as usize {
                        // SAFETY: the segment is live, and `b` one of its buckets.
                        let bucket = unsafe { &*Self::bucket(last, b) };
                        loads[bucket.tags.iter().filter(|tag| **tag != 0).count()] += 1;
                    }
                }
            }
        }
        loads
    }

    /// Bytes of directories; segments are counted by their slab.
    pub(crate) fn directory_bytes(&self) -> usize {
        self.roots.iter().map(|d| d.slots.capacity() * size_of::<Slot>() + size_of::<Directory>()).sum()
    }

    #[inline(always)]
    fn indices(&self, hash: u64) -> (usize, usize) {
        if self.root_bits == 0 {
            let d = &self.roots[0];
            return (0, ((hash >> 1) >> (63 - d.bits)) as usize);
        }
        let root = (hash >> 56) as usize;
        let d = &self.roots[root];
        (root, (((hash << 8) >> 1) >> (63 - d.bits)) as usize)
    }

    #[inline(always)]
    fn slot(&self, hash: u64) -> Option<Slot> {
        if self.roots.is_empty() {
            return None;
        }
        let (root, i) = self.indices(hash);
        // SAFETY: `i` has `bits` bits and a directory has 2^bits slots.
        Some(unsafe { *self.roots[root].slots.get_unchecked(i) })
    }

    #[inline(always)]
    fn bucket(segment: *mut Segment, i: usize) -> *mut Bucket {
        // SAFETY: buckets follow the head; callers stay within `buckets`.
        unsafe { segment.cast::<Bucket>().add(1 + i) }
    }

    /// Asks the processor for the bucket of `hash`.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, hash: u64) {
        if let Some(slot) = self.slot(hash) {
            prefetch(Self::bucket(slot.segment(), home_of(hash, slot.depth(), slot.buckets())).cast());
        }
    }

    /// Asks the processor for the blocks that may be the one with this hash, or for what an insert needs if there are
    /// none.
    #[inline]
    pub(crate) fn prefetch_block(&self, hash: u64) {
        if let Some(slot) = self.slot(hash) {
            let home = home_of(hash, slot.depth(), slot.buckets());
            // SAFETY: a bucket of a live segment.
            let bucket = unsafe { &*Self::bucket(slot.segment(), home) };
            let mut bits = bucket.matches(tag_of(hash));
            if bits == 0 {
                prefetch(slot.segment().cast());
            }
            while bits != 0 {
                let block = bucket.address(bits.trailing_zeros() as usize);
                prefetch(block);
                prefetch(block.wrapping_add(63));
                bits &= bits - 1;
            }
        }
    }

    /// Finds the block with this key: one bucket and one block in all but about 4 % of the cases.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<(BlockPtr, Place)> {
        let slot = self.slot(hash)?;
        let (segment, buckets) = (slot.segment(), slot.buckets() as usize);
        let home = home_of(hash, slot.depth(), slot.buckets());
        let tag = tag_of(hash);
        let (mut at, mut distance, mut reach) = (home, 0, 0);
        loop {
            // SAFETY: `at` is below `buckets`.
            let bucket = unsafe { &*Self::bucket(segment, at) };
            let mut bits = bucket.matches(tag);
            while bits != 0 {
                let i = bits.trailing_zeros() as usize;
                let block = bucket.block(i);
                // SAFETY: the table holds live blocks.
                if unsafe { L::key(block) } == key {
                    return Some((block, Place { segment, bucket: at as u8, slot: i as u8 }));
                }
                bits &= bits - 1;
            }
            if distance == 0 {
                reach = bucket.reach;
            }
            if distance == reach {
                return None;
            }
            distance += 1;
            at += 1;
            if at == buckets {
                at = 0;
            }
        }
    }

    /// Adds a block whose key is not in the table, and notes its deadline.
    pub(crate) fn insert(&mut self, slab: &mut Slab, hash: u64, block: BlockPtr) -> Place {
        if self.roots.is_empty() {
            let segment = self.new_segment(slab, SIZES[0], 0, 0);
            self.roots.push(Directory { bits: 0, deepest: 1, slots: vec![Slot::new(segment)] });
            self.store(segment);
        }
        loop {
            let slot = self.slot(hash).expect("the table has a directory");
            let segment = slot.segment();
            // SAFETY: the segment is live.
            let has_room = unsafe { (*segment).count } < room_of(slot.buckets());
            if has_room && let Some(place) = Self::place(segment, hash, block) {
                // SAFETY: the segment is live.
                unsafe { (*segment).count += 1 };
                self.len += 1;
                // SAFETY: the block is live.
                let deadline = unsafe { L::deadline(block) };
                if deadline != u64::MAX {
                    self.note_deadline(slab, place, deadline);
                }
                return place;
            }
            self.grow(slab, hash);
        }
    }

    /// Puts a block into the first free slot in reach of its home.
    #[inline]
    fn place(segment: *mut Segment, hash: u64, block: BlockPtr) -> Option<Place> {
        // SAFETY: the segment is live, and `at` stays below its number of buckets.
        unsafe {
            let buckets = (*segment).buckets;
            let home = home_of(hash, (*segment).depth, buckets);
            let mut at = home;
            for distance in 0..=MAX_REACH.min(buckets as usize - 1) {
                let bucket = &mut *Self::bucket(segment, at);
                if let Some(i) = bucket.free_slot() {
                    bucket.set(i, tag_of(hash), block);
                    let home = &mut *Self::bucket(segment, home);
                    home.reach = home.reach.max(distance as u8);
                    return Some(Place { segment, bucket: at as u8, slot: i as u8 });
                }
                at += 1;
                if at == buckets as usize {
                    at = 0;
                }
            }
        }
        None
    }

    /// Replaces the block at a place by another one with the same key.
    #[inline]
    pub(crate) fn replace(&mut self, slab: &mut Slab, place: Place, block: BlockPtr) {
        // SAFETY: the place is valid, as its users promise by not changing the table in between.
        unsafe {
            let bucket = &mut *Self::bucket(place.segment, place.bucket as usize);
            let tag = bucket.tags[place.slot as usize];
            bucket.set(place.slot as usize, tag, block);
            let deadline = L::deadline(block);
            if deadline != u64::MAX {
                self.note_deadline(slab, place, deadline);
            }
        }
    }

    /// Removes the block at a place from the table; the block itself stays.
    pub(crate) fn remove(&mut self, slab: &mut Slab, place: Place) {
        let segment = place.segment;
        // SAFETY: the place is valid.
        unsafe {
            (*Self::bucket(segment, place.bucket as usize)).tags[place.slot as usize] = 0;
            (*segment).count -= 1;
        }
        self.len -= 1;
        self.shrink(slab, segment);
    }

    // --- growth and shrinking ---------------------------------------------------------------------

    fn new_segment(&mut self, slab: &mut Slab, buckets: u8, prefix: u64, depth: u8) -> *mut Segment {
        let bytes = 64 * (1 + buckets as usize);
        let segment: *mut Segment = slab.alloc_segment(rank_of(buckets), bytes).as_ptr().cast();
        // SAFETY: a fresh block of that size, aligned to 64 as its size is a multiple of 64 and its page
        // begins at one.
        unsafe {
            debug_assert!(segment.is_aligned());
            segment.cast::<u8>().write_bytes(0, bytes);
            segment.write(Segment {
                prefix,
                next_deadline: u64::MAX,
                deadlines: ptr::null_mut(),
                slots: ptr::null_mut(),
                span: 0,
                count: 0,
                buckets,
                depth,
            });
        }
        self.segments += 1;
        self.slots += buckets as usize * SLOTS;
        segment
    }

    /// # Safety
    /// No slot holds the segment any more.
    unsafe fn free_segment(&mut self, slab: &mut Slab, segment: *mut Segment) {
        // SAFETY: a live segment that nobody will use again.
        unsafe {
            self.reindex(segment, u64::MAX);
            let s = &*segment;
            if !s.deadlines.is_null() {
                slab.free(NonNull::new_unchecked(s.deadlines.cast()));
            }
            self.segments -= 1;
            self.slots -= s.buckets as usize * SLOTS;
            slab.free(NonNull::new_unchecked(segment.cast()));
        }
    }

    /// Says how many blocks the table will have in all; 0: this is not known, or not any more. A hint: nothing is taken
    /// before there are blocks, and the table becomes no larger than it would have become anyway.
    pub(crate) fn expect(&mut self, blocks: usize) {
        self.plan = None;
        if blocks <= self.len {
            return;
        }
        let blocks = blocks.min(MAX_EXPECTED);
        let most = room_of(SIZES[SIZES.len() - 1]);
        let depth = (0..64u8).find(|depth| blocks >> depth <= usize::from(most)).unwrap_or(0);
        let mean = blocks >> depth;
        // Those with more than the mean grow as always.
        let buckets = SIZES.into_iter().find(|size| *size >= SPLIT && usize::from(room_of(*size)) >= mean);
        self.plan = buckets.filter(|_| depth > 0).map(|buckets| Plan { depth, buckets });
    }

    /// Makes room in the segment of `hash`: a rebuild with more buckets, or a split.
    #[cold]
    fn grow(&mut self, slab: &mut Slab, hash: u64) {
        let slot = self.slot(hash).expect("the table has a directory");
        if let Some(plan) = self.plan
            && slot.depth() < plan.depth
            && self.spread(slab, slot.segment(), plan)
        {
            return;
        }
        match SIZES.iter().find(|s| **s > slot.buckets()) {
            Some(size) => self.rebuild(slab, slot.segment(), *size),
            None => self.split(slab, slot.segment()),
        }
    }

    /// Moves all blocks of a segment into a new one of `buckets` buckets. If they do not fit because they
    /// gather in a few buckets, the segment splits instead.
    fn rebuild(&mut self, slab: &mut Slab, old: *mut Segment, buckets: u8) {
        // SAFETY: the segment is live.
        let (prefix, depth) = unsafe { ((*old).prefix, (*old).depth) };
        self.reindex(old, u64::MAX);
        let new = self.new_segment(slab, buckets, prefix, depth);
        if !self.move_blocks(slab, old, &[new]) {
            // SAFETY: `new` was never stored in a directory.
            unsafe { self.free_segment(slab, new) };
            return self.split(slab, old);
        }
        self.store(new);
        // SAFETY: `store` replaced every slot that held `old`.
        unsafe { self.free_segment(slab, old) };
    }

    /// Splits a segment into two that are one bit deeper.
    fn split(&mut self, slab: &mut Slab, old: *mut Segment) {
        // SAFETY: the segment is live.
        let (prefix, depth) = unsafe { ((*old).prefix, (*old).depth) };
        assert!(depth < 36, "a keyed hash spreads the keys");
        self.deepen(prefix, depth);
        self.reindex(old, u64::MAX);
        let (low, high) = (prefix, prefix | 1 << (63 - depth));
        let mut sizes = SPLIT;
        loop {
            let halves = [
                self.new_segment(slab, sizes, low, depth + 1),
                self.new_segment(slab, sizes, high, depth + 1),
            ];
            if self.move_blocks(slab, old, &halves) {
                let (root, _) = self.indices(prefix);
                let directory = &mut self.roots[root];
                if depth + 1 == directory.bits + self.root_bits {
                    directory.deepest += 2;
                }
                self.store(halves[0]);
                self.store(halves[1]);
                // SAFETY: every slot that held `old` now holds one of its halves.
                return unsafe { self.free_segment(slab, old) };
            }
            for half in halves {
                // SAFETY: never stored in a directory.
                unsafe { self.free_segment(slab, half) };
            }
            assert!(sizes < 47, "a keyed hash spreads the keys");
            sizes = 47;
        }
    }

    /// Moves all blocks of a segment to many that are nearer to the plan. False if they do not fit.
    fn spread(&mut self, slab: &mut Slab, old: *mut Segment, plan: Plan) -> bool {
        // SAFETY: the segment is live.
        let (prefix, depth) = unsafe { ((*old).prefix, (*old).depth) };
        // Directories are cut by their first 8 bits.
        let next = if depth < ROOT_BITS { ROOT_BITS } else { depth + SPREAD_BITS };
        let to = next.min(plan.depth);
        let buckets = if to == plan.depth { plan.buckets } else { SIZES[0] };
        (depth..to).for_each(|depth| self.deepen(prefix, depth));
        self.reindex(old, u64::MAX);
        let new: Vec<*mut Segment> = (0..1u64 << (to - depth))
            .map(|i| self.new_segment(slab, buckets, prefix | i << (64 - to), to))
            .collect();
        if !self.move_blocks(slab, old, &new) {
            // SAFETY: never stored in a directory.
            new.into_iter().for_each(|segment| unsafe { self.free_segment(slab, segment) });
            return false;
        }
        let (root, _) = self.indices(prefix);
        let directory = &mut self.roots[root];
        if to == directory.bits + self.root_bits {
            directory.deepest += new.len() as u32;
        }
        new.into_iter().for_each(|segment| self.store(segment));
        // SAFETY: every slot that held `old` now holds one of the new segments.
        unsafe { self.free_segment(slab, old) };
        true
    }

    /// Puts every block of `old` into the segment among `new` (one, or the parts of a whole in order) that its hash
    /// names, with its deadline. False if one found no place; then nothing of `new` counts.
    fn move_blocks(&mut self, slab: &mut Slab, old: *mut Segment, new: &[*mut Segment]) -> bool {
        let blocks = Self::blocks(old);
        for b in &blocks {
            prefetch(b.0.as_ptr());
        }
        // SAFETY: the segments are live and so are the blocks.
        unsafe {
            let bits = new.len().ilog2();
            let whole = u32::from((*new[0]).depth) - bits;
            for block in blocks {
                let hash = self.hasher.hash(L::key(block));
                let to = new[(((hash << whole) >> 1) >> (63 - bits)) as usize];
                let Some(place) = Self::place(to, hash, block) else { return false };
                (*to).count += 1;
                let deadline = L::deadline(block);
                if deadline != u64::MAX {
                    self.note_deadline(slab, place, deadline);
                }
            }
        }
        true
    }

    fn blocks(segment: *mut Segment) -> Vec<BlockPtr> {
        // SAFETY: the segment is live.
        let (count, buckets) = unsafe { ((*segment).count as usize, (*segment).buckets as usize) };
        let mut blocks = Vec::with_capacity(count);
        for b in 0..buckets {
            // SAFETY: below `buckets`.
            let bucket = unsafe { &*Self::bucket(segment, b) };
            blocks.extend((0..SLOTS).filter(|i| bucket.tags[*i] != 0).map(|i| bucket.block(i)));
        }
        blocks
    }

    /// Writes a segment into all directory slots of its prefix.
    fn store(&mut self, segment: *mut Segment) {
        // SAFETY: the segment is live.
        let (prefix, depth) = unsafe { ((*segment).prefix, (*segment).depth) };
        let (root, first) = self.indices(prefix);
        let directory = &mut self.roots[root];
        let span = 1usize << (directory.bits + self.root_bits - depth);
        directory.slots[first..first + span].fill(Slot::new(segment));
        // SAFETY: the segment is live, and `first` is within the slots.
        unsafe {
            (*segment).slots = directory.slots.as_mut_ptr().add(first);
            (*segment).span = span as u32;
        }
    }

    /// Tells the segments of a directory where their slots are, after these have moved.
    fn anchor(directory: &mut Directory, root_bits: u8) {
        let slots = directory.slots.as_mut_ptr();
        let mut at = 0;
        while at < directory.slots.len() {
            if at % ANCHORED == 0 {
                let next = &directory.slots[at..directory.slots.len().min(at + ANCHORED)];
                next.iter().for_each(|slot| prefetch(slot.segment().cast()));
            }
            let slot = directory.slots[at];
            let span = 1 << (directory.bits + root_bits - slot.depth());
            // SAFETY: slots hold live segments.
            unsafe {
                (*slot.segment()).slots = slots.add(at);
                (*slot.segment()).span = span as u32;
            }
            at += span;
        }
    }

    /// Makes sure that the directory over `prefix` distinguishes more than `depth` bits.
    fn deepen(&mut self, prefix: u64, depth: u8) {
        let (root, _) = self.indices(prefix);
        if depth < self.root_bits + self.roots[root].bits {
            return;
        }
        let slots = &self.roots[root].slots;
        if self.root_bits == 0 && slots.len() >= ROOT_SLOTS && slots.iter().all(|s| s.depth() >= 8) {
            self.cut();
            return self.deepen(prefix, depth);
        }
        let directory = &mut self.roots[root];
        directory.slots = directory.slots.iter().flat_map(|s| [*s, *s]).collect();
        directory.bits += 1;
        directory.deepest = 0;
        Self::anchor(directory, self.root_bits);
    }

    /// Cuts the only directory into 256 parts.
    fn cut(&mut self) {
        let whole = self.roots.remove(0);
        let share = whole.slots.len() / ROOTS;
        self.root_bits = ROOT_BITS;
        self.roots = whole
            .slots
            .chunks(share)
            .map(|part| Directory {
                bits: share.trailing_zeros() as u8,
                deepest: part.iter().filter(|s| s.depth() == whole.bits).count() as u32,
                slots: part.to_vec(),
            })
            .collect();
        self.roots.iter_mut().for_each(|directory| Self::anchor(directory, ROOT_BITS));
    }

    /// After a removal: fewer buckets, or one segment with its neighbour, when both are sparse.
    #[inline]
    fn shrink(&mut self, slab: &mut Slab, segment: *mut Segment) {
        // SAFETY: the segment is live.
        let (count, buckets) = unsafe { ((*segment).count, (*segment).buckets) };
        if count >= room_of(buckets) / 4 {
            return;
        }
        self.shrink_sparse(slab, segment);
    }

    #[cold]
    fn shrink_sparse(&mut self, slab: &mut Slab, segment: *mut Segment) {
        if self.len == 0 {
            return self.clear(slab);
        }
        if self.plan.is_some() {
            return;
        }
        // SAFETY: the segment is live.
        let (count, buckets, prefix, depth) =
            unsafe { ((*segment).count, (*segment).buckets, (*segment).prefix, (*segment).depth) };
        if depth > self.root_bits {
            let buddy_prefix = prefix ^ 1 << (64 - depth);
            let buddy = self.slot(buddy_prefix).expect("the table has a directory");
            // SAFETY: the buddy is live.
            let sum = count + unsafe { (*buddy.segment()).count };
            if buddy.depth() == depth && sum < room_of(SPLIT) * 2 / 3 {
                return self.merge(slab, segment, buddy.segment());
            }
        }
        let smaller = SIZES.iter().rev().find(|s| **s < buckets && count < room_of(**s) / 2);
        if let Some(size) = smaller {
            self.rebuild(slab, segment, *size);
        }
    }

    /// Joins two segments that differ in their last bit only.
    fn merge(&mut self, slab: &mut Slab, a: *mut Segment, b: *mut Segment) {
        // SAFETY: both segments are live.
        let (prefix, depth) = unsafe { ((*a).prefix.min((*b).prefix), (*a).depth - 1) };
        // SAFETY: as above.
        let bounds = [a, b].map(|half| (half, unsafe { (*half).next_deadline }));
        bounds.iter().for_each(|(half, _)| self.reindex(*half, u64::MAX));
        let new = self.new_segment(slab, SPLIT, prefix, depth);
        if !(self.move_blocks(slab, a, &[new]) && self.move_blocks(slab, b, &[new])) {
            // SAFETY: never stored in a directory.
            unsafe { self.free_segment(slab, new) };
            return bounds.into_iter().for_each(|(half, bound)| self.reindex(half, bound));
        }
        let (root, _) = self.indices(prefix);
        let directory = &mut self.roots[root];
        if depth + 1 == directory.bits + self.root_bits {
            directory.deepest -= 2;
        }
        self.store(new);
        // SAFETY: every slot that held one of them now holds `new`.
        unsafe {
            self.free_segment(slab, a);
            self.free_segment(slab, b);
        }
        self.flatten(root);
    }

    /// Halves a directory while no segment needs its last bit.
    fn flatten(&mut self, root: usize) {
        let root_bits = self.root_bits;
        let directory = &mut self.roots[root];
        if directory.bits == 0 || directory.deepest > 0 {
            return;
        }
        while directory.bits > 0 && directory.deepest == 0 {
            directory.slots = directory.slots.iter().step_by(2).copied().collect();
            directory.bits -= 1;
            let full = directory.bits + root_bits;
            directory.deepest = directory.slots.iter().filter(|s| s.depth() == full).count() as u32;
        }
        Self::anchor(directory, root_bits);
    }

    /// Frees all segments; the blocks stay.
    pub(crate) fn clear(&mut self, slab: &mut Slab) {
        for directory in std::mem::take(&mut self.roots) {
            let mut last = ptr::null_mut();
            for slot in directory.slots {
                if slot.segment() != last {
                    last = slot.segment();
                    // SAFETY: the directory that held it is gone.
                    unsafe { self.free_segment(slab, last) };
                }
            }
        }
        self.root_bits = 0;
        self.len = 0;
        self.plan = None;
        debug_assert!(self.segments == 0 && self.slots == 0 && self.due.is_empty());
    }

    /// Frees all blocks, of `size` bytes each, and all segments into the bin. `any_big` says whether a block
    /// may be larger than the slab's largest; if not, the blocks are not read.
    pub(crate) fn dismantle(self, bin: &mut Bin<'_>, any_big: bool, size: impl Fn(BlockPtr) -> usize) {
        if bin.skips_small() && !any_big {
            return;
        }
        let mut last = ptr::null_mut();
        for segment in self.roots.iter().flat_map(|d| &d.slots).map(|slot| slot.segment()) {
            if segment == last {
                continue;
            }
            last = segment;
            let blocks = Self::blocks(segment);
            bin.worked(blocks.len());
            blocks.iter().for_each(|block| prefetch(block.0.as_ptr()));
            for block in blocks {
                let bytes = if any_big { size(block) } else { 1 };
                // SAFETY: the table held the only reference to the block, and nobody sees the table again.
                unsafe { bin.free(block.get(), bytes) };
            }
            // SAFETY: a live segment that nobody will use again; a segment and its bounds are small blocks.
            unsafe {
                let (buckets, deadlines) = ((*segment).buckets as usize, (*segment).deadlines);
                if let Some(bounds) = NonNull::new(deadlines) {
                    bin.free(bounds.cast(), 8 * buckets);
                }
                bin.free(NonNull::new_unchecked(segment).cast(), 64 * (1 + buckets));
            }
        }
    }

    // --- walking ----------------------------------------------------------------------------------

    /// Visits every block whose home is the bucket at `position` of hash space (from `position` on) and
    /// returns the position of the next bucket, or `None` at the end.
    pub(crate) fn step(&self, position: u64, visit: &mut dyn FnMut(BlockPtr)) -> Option<u64> {
        self.step_hashed(position, &mut |_, block| visit(block))
    }

    /// As [`Table::step`], with the hashes. The blocks of the next buckets are fetched meanwhile, so that a walk
    /// finds them near.
    pub(crate) fn step_hashed(&self, position: u64, visit: &mut dyn FnMut(u64, BlockPtr)) -> Option<u64> {
        let slot = self.slot(position)?;
        let (segment, buckets, depth) = (slot.segment(), slot.buckets(), slot.depth());
        let home = home_of(position, depth, buckets);
        // SAFETY: the segment is live and `home` one of its buckets.
        let (prefix, reach) = unsafe { ((*segment).prefix, (*Self::bucket(segment, home)).reach as usize) };
        // SAFETY: below `buckets`.
        let bucket = |distance| unsafe { &*Self::bucket(segment, (home + distance) % buckets as usize) };
        for bucket in (0..=reach + 2).map(bucket) {
            (0..SLOTS).filter(|i| bucket.tags[*i] != 0).for_each(|i| prefetch(bucket.address(i)));
        }
        if L::IS_LONG {
            Self::fetch_rest(bucket(reach + 1));
        }
        for bucket in (0..=reach).map(bucket) {
            for i in (0..SLOTS).filter(|i| bucket.tags[*i] != 0) {
                let block = bucket.block(i);
                // SAFETY: the table holds live blocks.
                let hash = self.hasher.hash(unsafe { L::key(block) });
                if home_of(hash, depth, buckets) == home && hash >= position {
                    visit(hash, block);
                }
            }
        }
        if home + 1 < buckets as usize {
            return Some(prefix | place_of(home + 1, buckets) << (48 - depth));
        }
        if depth == 0 { None } else { prefix.checked_add(1 << (64 - depth)) }
    }

    /// Has the processor fetch what the blocks of a bucket have beyond their first lines, which are near.
    fn fetch_rest(bucket: &Bucket) {
        for i in (0..SLOTS).filter(|i| bucket.tags[*i] != 0) {
            // SAFETY: the table holds live blocks.
            let size = unsafe { L::size(bucket.block(i)) };
            (LINE..size).step_by(LINE).for_each(|at| prefetch(bucket.address(i).wrapping_add(at)));
        }
    }

    /// The first hash of the bucket that a hash belongs to.
    pub(crate) fn bucket_start(&self, hash: u64) -> u64 {
        let Some(slot) = self.slot(hash) else { return 0 };
        let (buckets, depth) = (slot.buckets(), slot.depth());
        // SAFETY: the segment is live.
        let prefix = unsafe { (*slot.segment()).prefix };
        prefix | place_of(home_of(hash, depth, buckets), buckets) << (48 - depth)
    }

    /// Visits all blocks in no order.
    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(BlockPtr)) {
        let _ = self.try_for_each(&mut |block| {
            visit(block);
            ControlFlow::Continue(())
        });
    }

    /// Visits all blocks in no order, until `visit` breaks off. The blocks of a segment are fetched together, so
    /// that their cache misses overlap.
    pub(crate) fn try_for_each(&self, visit: &mut dyn FnMut(BlockPtr) -> ControlFlow<()>) -> ControlFlow<()> {
        for directory in &self.roots {
            let mut last = ptr::null_mut();
            for slot in &directory.slots {
                if slot.segment() != last {
                    last = slot.segment();
                    let blocks = Self::blocks(last);
                    blocks.iter().for_each(|block| prefetch(block.get().as_ptr()));
                    blocks.into_iter().try_for_each(&mut *visit)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// A block chosen uniformly: a random slot of a random bucket, taken or rejected so that every slot of
    /// the table has the same chance. `random` gives 64 random bits. About 2 to 6 tries; `None` if the
    /// table is empty.
    pub(crate) fn sample(&self, random: &mut dyn FnMut() -> u64) -> Option<BlockPtr> {
        if self.len == 0 {
            return None;
        }
        // A segment is met with a chance of 2^-depth, a slot in it with one of 1/buckets; shallow segments
        // with few buckets are met too often and so are accepted less often.
        let most = SIZES[SIZES.len() - 1];
        let deepest = self.roots.iter().map(|d| d.bits).max().unwrap_or(0) + self.root_bits;
        for _ in 0..100_000 {
            let slot = self.slot(random()).expect("the table has a directory");
            let r = random();
            let excess = deepest - slot.depth();
            let bucket_draw = ((r & 0xffff_ffff) * u64::from(most)) >> 32;
            if bucket_draw >= u64::from(slot.buckets()) || r >> 32 & ((1 << excess.min(30)) - 1) != 0 {
                continue;
            }
            // SAFETY: drawn below `buckets`.
            let bucket = unsafe { &*Self::bucket(slot.segment(), bucket_draw as usize) };
            let i = ((random() >> 32) as usize * SLOTS) >> 32;
            if bucket.tags[i] != 0 {
                return Some(bucket.block(i));
            }
        }
        // So sparse that drawing fails: the first block from a random position on.
        let mut found = None;
        let mut position = random();
        while found.is_none() {
            let next = self.step(position, &mut |b| found = Some(b));
            position = next.unwrap_or(0);
        }
        found
    }

    // --- deadlines --------------------------------------------------------------------------------

    /// Lowers the bounds of a bucket and its segment to `deadline`.
    pub(crate) fn note_deadline(&mut self, slab: &mut Slab, place: Place, deadline: u64) {
        // SAFETY: the place is valid; the array has an element per bucket.
        unsafe {
            let segment = &mut *place.segment;
            if segment.deadlines.is_null() {
                let buckets = segment.buckets as usize;
                segment.deadlines = slab.alloc(8 * buckets).as_ptr().cast();
                std::slice::from_raw_parts_mut(segment.deadlines, buckets).fill(u64::MAX);
            }
            let bound = segment.deadlines.add(place.bucket as usize);
            if deadline < *bound {
                *bound = deadline;
                if deadline < segment.next_deadline {
                    self.reindex(place.segment, deadline);
                }
            }
        }
    }

    fn reindex(&mut self, segment: *mut Segment, deadline: u64) {
        // SAFETY: the segment is live.
        let (next, prefix) = unsafe { (&mut (*segment).next_deadline, (*segment).prefix) };
        if *next != u64::MAX {
            self.due.remove(&(*next, prefix));
        }
        *next = deadline;
        if deadline != u64::MAX {
            self.due.insert((deadline, prefix));
        }
    }

    /// A lower bound of the earliest deadline in the table.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Hands about `max` blocks whose deadline is at most `now`, each with its deadline, to `due`, which frees
    /// it and answers true: it is removed from the table then. Answering false keeps it, but the table forgets
    /// its deadline: it has to be noted again before long. Returns how many were removed; the work is done
    /// when `next_deadline` is later than `now`.
    pub(crate) fn remove_due(
        &mut self,
        slab: &mut Slab,
        now: u64,
        max: usize,
        due: &mut dyn FnMut(BlockPtr, u64) -> bool,
    ) -> usize {
        let (mut removed, mut work) = (0, 0);
        while work < max {
            let Some((at, prefix)) = self.due.first().copied() else { break };
            if at > now {
                break;
            }
            let segment = self.slot(prefix).expect("the table has a directory").segment();
            let here = Self::sweep(segment, now, due);
            removed += here;
            work += here.max(1);
            self.len -= here;
            // SAFETY: a segment in the index has deadlines, one per bucket.
            let next = unsafe {
                let bounds = std::slice::from_raw_parts((*segment).deadlines, (*segment).buckets as usize);
                bounds.iter().copied().min().unwrap_or(u64::MAX)
            };
            self.reindex(segment, next);
            if here > 0 {
                self.shrink(slab, segment);
            }
        }
        removed
    }

    /// Takes what is due out of a segment and renews the bounds of the buckets that were due.
    fn sweep(segment: *mut Segment, now: u64, due: &mut dyn FnMut(BlockPtr, u64) -> bool) -> usize {
        let mut removed = 0;
        // SAFETY: the segment is live and has an array of bounds.
        unsafe {
            let buckets = (*segment).buckets as usize;
            let bounds = std::slice::from_raw_parts_mut((*segment).deadlines, buckets);
            for (b, bound) in bounds.iter_mut().enumerate().filter(|(_, bound)| **bound <= now) {
                let bucket = &mut *Self::bucket(segment, b);
                for i in (0..SLOTS).filter(|i| bucket.tags[*i] != 0) {
                    prefetch(bucket.address(i));
                }
                *bound = u64::MAX;
                for i in 0..SLOTS {
                    if bucket.tags[i] == 0 {
                        continue;
                    }
                    let block = bucket.block(i);
                    let deadline = L::deadline(block);
                    if deadline > now {
                        *bound = (*bound).min(deadline);
                    } else if due(block, deadline) {
                        bucket.tags[i] = 0;
                        removed += 1;
                    }
                }
            }
            (*segment).count -= removed as u16;
        }
        removed
    }
}

/// Empties one sparsely used page of a slab by moving the segments on it, of whatever tables. Returns whether there was
/// one. Bounded by the segments of one page.
///
/// # Safety
/// All segments in the slab belong to tables that nobody is using.
pub(crate) unsafe fn compact(slab: &mut Slab) -> bool {
    let Some(page) = slab.sparse_page(64, SEGMENTS) else { return false };
    let segments: Vec<*mut Segment> = slab.evacuate(page).into_iter().map(|b| b.as_ptr().cast()).collect();
    for old in &segments {
        // SAFETY: blocks in use of these lists are segments.
        unsafe { relocate(slab, *old) };
    }
    for old in segments {
        // SAFETY: its copy took its place in the directory.
        unsafe { slab.free(NonNull::new_unchecked(old.cast())) };
    }
    true
}

/// Copies a segment to another block, which takes its place; the old block is to be freed.
///
/// # Safety
/// The segment is live, and nobody is using its table.
unsafe fn relocate(slab: &mut Slab, old: *mut Segment) {
    // SAFETY: the new block has the old one's size. Slots and deadlines now belong to the copy.
    unsafe {
        let buckets = (*old).buckets;
        let bytes = 64 * (1 + buckets as usize);
        let new = slab.alloc_segment(rank_of(buckets), bytes);
        new.as_ptr().copy_from_nonoverlapping(old.cast(), bytes);
        let new: *mut Segment = new.as_ptr().cast();
        for i in 0..(*new).span as usize {
            (*new).slots.add(i).write(Slot::new(new));
        }
    }
}

/// Positions in hash space are multiples of 2^11; without those bits, the cursor of a scan has 53 bits, which
/// fits into the numbers of every client language.
pub(crate) const CURSOR_SHIFT: u32 = 11;

#[inline(always)]
pub(crate) fn prefetch(p: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing that the program sees, at any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = p;
}
