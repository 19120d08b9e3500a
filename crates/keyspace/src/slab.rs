//! Blocks in size classes of 8-byte steps, allocated from pages of one class each.
//!
//! A slab belongs to one owner (a database, a large collection); dropping it returns all of its
//! pages at once, without visiting the blocks.
#![allow(unsafe_code)]

use crate::pages::{Freed, NONE, PAGE, PageHeader, PagePool, UNIT};
use crate::reaper::Rests;
use std::alloc;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest block, in bytes.
pub(crate) const MAX_BLOCK: usize = 4096;
const CLASSES: usize = MAX_BLOCK / UNIT + 1;
/// The lists of pages with room beyond those of the size classes: of segments of tables, one per size. They have pages
/// of their own since they can be moved, whatever table they belong to.
pub(crate) const SEGMENTS: Range<usize> = CLASSES..LISTS;
const LISTS: usize = CLASSES + 7;

/// Where the next slab's number comes from.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// An allocator of small blocks.
pub struct Slab {
    /// Unique in the process: blocks that come back late are recognized by it.
    id: u64,
    pool: Arc<PagePool>,
    /// The first page with room per size class (units of a block), then per size of segments. A page without blocks
    /// is alone in its list.
    roomy: Box<[*mut PageHeader; LISTS]>,
    all: *mut PageHeader,
    /// Whether there may be pages without blocks.
    any_empty: bool,
    /// Bytes of blocks in use.
    used: usize,
    pages: usize,
}

// SAFETY: a slab's pages are reached through the slab alone, so they may move to another thread
// together with it.
unsafe impl Send for Slab {}

/// The size of the block that holds `bytes`.
#[inline(always)]
pub(crate) const fn block_size(bytes: usize) -> usize {
    bytes.next_multiple_of(UNIT)
}

impl Slab {
    pub(crate) fn new(pool: Arc<PagePool>) -> Self {
        Slab {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            pool,
            roomy: Box::new([ptr::null_mut(); LISTS]),
            all: ptr::null_mut(),
            any_empty: false,
            used: 0,
            pages: 0,
        }
    }

    /// The slab's number.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Bytes of the blocks in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes of the pages held.
    pub(crate) fn held(&self) -> usize {
        self.pages * PAGE
    }

    /// A block of `block_size(bytes)` bytes, its content undefined. `bytes` is 1 to `MAX_BLOCK`.
    #[inline]
    pub(crate) fn alloc(&mut self, bytes: usize) -> NonNull<u8> {
        debug_assert!((1..=MAX_BLOCK).contains(&bytes));
        let class = bytes.div_ceil(UNIT);
        self.alloc_from(class, class)
    }

    /// A block of `bytes` bytes for a segment of a table, the size being the `rank`th of those of segments.
    pub(crate) fn alloc_segment(&mut self, rank: usize, bytes: usize) -> NonNull<u8> {
        self.alloc_from(SEGMENTS.start + rank, bytes / UNIT)
    }

    /// A block of `class` units from the pages of a list, always the same one for blocks of that size.
    #[inline]
    pub(crate) fn alloc_from(&mut self, list: usize, class: usize) -> NonNull<u8> {
        let mut page = self.roomy[list];
        if page.is_null() {
            page = self.add_page(list, class);
        }
        self.used += class * UNIT;
        // SAFETY: a listed page is ours and has a free block: one that was freed, or one at `bump`.
        unsafe {
            let base = PageHeader::base(page);
            (*page).used += 1;
            let unit = if (*page).free != NONE {
                let unit = (*page).free;
                (*page).free = base.add(unit as usize * UNIT).cast::<u16>().read();
                unit
            } else {
                let unit = (*page).bump;
                (*page).bump += class as u16;
                unit
            };
            if is_full(page) {
                self.unlist(page);
            }
            NonNull::new_unchecked(base.add(unit as usize * UNIT))
        }
    }

    /// Frees a block.
    ///
    /// # Safety
    /// `block` came from `alloc` of this slab and is not used any more.
    #[inline]
    pub(crate) unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: the block lies in a page of ours, as the caller promises.
        unsafe {
            let page = PageHeader::of(block.as_ptr());
            let unit = (block.as_ptr().addr() & (PAGE - 1)) / UNIT;
            block.as_ptr().cast::<u16>().write((*page).free);
            (*page).free = unit as u16;
            (*page).used -= 1;
            self.used -= (*page).block as usize * UNIT;
            if !(*page).listed {
                self.list(page);
            }
            if (*page).used == 0 {
                self.leave_empty(page);
            }
        }
    }

    /// A block of any size: beyond [`MAX_BLOCK`] from the general allocator.
    #[inline]
    pub(crate) fn alloc_any(&mut self, bytes: usize) -> NonNull<u8> {
        if bytes <= MAX_BLOCK { self.alloc(bytes) } else { alloc_big(bytes) }
    }

    /// Frees a block of [`Slab::alloc_any`].
    ///
    /// # Safety
    /// `block` came from there with a size of the same block size, and is not used any more.
    #[inline]
    pub(crate) unsafe fn free_any(&mut self, block: NonNull<u8>, bytes: usize) {
        // SAFETY: as promised by the caller.
        unsafe {
            if bytes <= MAX_BLOCK {
                self.free(block);
            } else {
                free_big(block, bytes);
            }
        }
    }

    /// Takes back the blocks of one page that another thread has strung together; nothing if this is not
    /// the slab that they came from. Constant time.
    pub(crate) fn take_back(&mut self, run: Run) {
        if run.slab != self.id {
            return;
        }
        // SAFETY: the blocks of the run were in use, in a page of ours, and nobody uses them any more.
        unsafe {
            let (page, freed) = (run.page, run.freed);
            (*page).used -= freed.count;
            self.used -= freed.count as usize * (*page).block as usize * UNIT;
            // In a page that goes away the list does not matter, and the blocks are not in the cache.
            if (*page).used > 0 {
                let last = PageHeader::base(page).add(freed.last as usize * UNIT);
                last.cast::<u16>().write((*page).free);
                (*page).free = freed.first;
            }
            if !(*page).listed {
                self.list(page);
            }
            if (*page).used == 0 {
                self.leave_empty(page);
            }
        }
    }

    /// Drops a page without blocks, unless it is the last one in its list, in case that a block is wanted soon: then
    /// it is as a new one.
    ///
    /// # Safety
    /// `page` is ours, listed, and holds no block.
    unsafe fn leave_empty(&mut self, page: *mut PageHeader) {
        // SAFETY: as promised by the caller.
        unsafe {
            if (*page).next.is_null() && (*page).prev.is_null() {
                (*page).free = NONE;
                (*page).bump = PageHeader::first_unit(page);
                self.any_empty = true;
            } else {
                self.drop_page(page);
            }
        }
    }

    /// Drops the pages without blocks that were left.
    pub(crate) fn drop_empty(&mut self) {
        if !std::mem::take(&mut self.any_empty) {
            return;
        }
        for list in 0..LISTS {
            let page = self.roomy[list];
            // SAFETY: listed pages are ours; this one is dropped only if it holds no block.
            unsafe {
                if !page.is_null() && (*page).used == 0 {
                    self.drop_page(page);
                }
            }
        }
    }

    #[cold]
    fn add_page(&mut self, list: usize, class: usize) -> *mut PageHeader {
        let page = self.pool.take(class as u16);
        self.pages += 1;
        // SAFETY: the page is fresh and ours; `all` is null or a page of ours.
        unsafe {
            (*page).list = list as u16;
            (*page).all_next = self.all;
            if !self.all.is_null() {
                (*self.all).all_prev = page;
            }
            self.all = page;
            self.list(page);
        }
        page
    }

    /// # Safety
    /// `page` is ours and holds no block.
    #[cold]
    unsafe fn drop_page(&mut self, page: *mut PageHeader) {
        // SAFETY: neighbours in our lists are pages of ours.
        unsafe {
            self.unlist(page);
            if (*page).all_prev.is_null() {
                self.all = (*page).all_next;
            } else {
                (*(*page).all_prev).all_next = (*page).all_next;
            }
            if !(*page).all_next.is_null() {
                (*(*page).all_next).all_prev = (*page).all_prev;
            }
            self.pages -= 1;
            self.pool.give(page);
        }
    }

    /// # Safety
    /// `page` is ours and not listed.
    unsafe fn list(&mut self, page: *mut PageHeader) {
        // SAFETY: the head of the list is null or a page of ours.
        unsafe {
            let list = (*page).list as usize;
            if !self.roomy[list].is_null() && (*self.roomy[list]).used == 0 {
                self.drop_page(self.roomy[list]);
            }
            let head = &mut self.roomy[list];
            (*page).listed = true;
            (*page).prev = ptr::null_mut();
            (*page).next = *head;
            if !head.is_null() {
                (**head).prev = page;
            }
            *head = page;
        }
    }

    /// # Safety
    /// `page` is ours and listed.
    unsafe fn unlist(&mut self, page: *mut PageHeader) {
        // SAFETY: neighbours in the list are pages of ours.
        unsafe {
            (*page).listed = false;
            if (*page).prev.is_null() {
                self.roomy[(*page).list as usize] = (*page).next;
            } else {
                (*(*page).prev).next = (*page).next;
            }
            if !(*page).next.is_null() {
                (*(*page).next).prev = (*page).prev;
            }
        }
    }

    /// The sparsest page among the first `look` with room of the list that wastes most, among these `lists` (those of
    /// size classes have the number of a block's units), if more than an eighth of their room is free; its blocks
    /// are worth moving elsewhere.
    pub(crate) fn sparse_page(&self, look: usize, lists: Range<usize>) -> Option<SparsePage> {
        let mut best: Option<(usize, SparsePage)> = None;
        for first in self.roomy[lists].iter().copied().filter(|page| !page.is_null()) {
            // SAFETY: listed pages are ours.
            let class = unsafe { (*first).block as usize };
            let capacity = PAGE / (class * UNIT);
            let (mut page, mut seen, mut used) = (first, 0, 0usize);
            let mut lowest: Option<(usize, *mut PageHeader)> = None;
            while !page.is_null() && seen < look {
                // SAFETY: listed pages are ours.
                let (u, next) = unsafe { ((*page).used as usize, (*page).next) };
                used += u;
                seen += 1;
                if lowest.is_none_or(|(l, _)| u < l) {
                    lowest = Some((u, page));
                }
                page = next;
            }
            let room = seen * capacity;
            // At least one page of this class can be emptied into the others.
            if seen >= 2 && room - used > capacity + room / 8 {
                let (_, page) = lowest.expect("at least two pages were seen");
                let waste = (room - used) * class;
                if best.as_ref().is_none_or(|(w, _)| waste > *w) {
                    best = Some((waste, SparsePage(page)));
                }
            }
        }
        best.map(|(_, p)| p)
    }

    /// The blocks in use of a sparse page. The page is taken off the list of pages with room, so that blocks
    /// allocated to move them do not come from it; freeing the first of its blocks lists it again.
    pub(crate) fn evacuate(&mut self, page: SparsePage) -> Vec<NonNull<u8>> {
        let page = page.0;
        let mut blocks = Vec::new();
        // SAFETY: the page is ours and listed; units below `bump` are blocks, those on the free list are free.
        unsafe {
            self.unlist(page);
            let base = PageHeader::base(page);
            let mut free = vec![false; PAGE / UNIT];
            let mut unit = (*page).free;
            while unit != NONE {
                free[unit as usize] = true;
                unit = base.add(unit as usize * UNIT).cast::<u16>().read();
            }
            let step = (*page).block;
            let mut unit = PageHeader::first_unit(page);
            while unit < (*page).bump {
                if !free[unit as usize] {
                    blocks.push(NonNull::new_unchecked(base.add(unit as usize * UNIT)));
                }
                unit += step;
            }
        }
        blocks
    }
}

/// A block of more than [`MAX_BLOCK`] bytes, from the general allocator.
fn alloc_big(bytes: usize) -> NonNull<u8> {
    let layout = big_layout(bytes);
    // SAFETY: the layout has a size.
    NonNull::new(unsafe { alloc::alloc(layout) }).unwrap_or_else(|| alloc::handle_alloc_error(layout))
}

/// # Safety
/// `block` came from `alloc_big` with a size of the same block size and is not used any more.
unsafe fn free_big(block: NonNull<u8>, bytes: usize) {
    // SAFETY: as promised by the caller.
    unsafe { alloc::dealloc(block.as_ptr(), big_layout(bytes)) };
}

/// Such blocks are as large as their block size says, so that owners may use the slack.
fn big_layout(bytes: usize) -> alloc::Layout {
    alloc::Layout::from_size_align(block_size(bytes), 8).expect("far smaller than isize::MAX")
}

/// Blocks of one page that were freed elsewhere.
pub(crate) struct Run {
    slab: u64,
    page: *mut PageHeader,
    freed: Freed,
}

// SAFETY: the blocks of a run belong to whoever holds it.
unsafe impl Send for Run {}

/// Blocks of one slab that are freed on another thread than its owner's: strung together by page, so that
/// the owner takes them back page by page, not block by block. What is strung together so far stands in the
/// pages' headers, so there is one such thread, with one of these at a time.
pub struct Runs {
    slab: u64,
    pages: Vec<*mut PageHeader>,
    rests: Rests,
}

impl Runs {
    /// For blocks of the slab with this number.
    pub(crate) fn new(slab: u64, rests: Rests) -> Runs {
        Runs { slab, pages: Vec::new(), rests }
    }

    /// When the thread rested.
    pub(crate) fn rests(&self) -> Rests {
        self.rests
    }

    /// # Safety
    /// `block` is in use, of a slab with this number, and nobody uses it any more.
    unsafe fn add(&mut self, block: NonNull<u8>) {
        let unit = ((block.as_ptr().addr() & (PAGE - 1)) / UNIT) as u16;
        // SAFETY: the page's blocks that are freed here are this thread's; the block is ours as long as the run is,
        // and has at least 8 bytes.
        unsafe {
            let page = PageHeader::of(block.as_ptr());
            let freed = &raw mut (*page).freed;
            if (*freed).count == 0 {
                freed.write(Freed { first: NONE, last: unit, count: 0 });
                self.pages.push(page);
            }
            block.as_ptr().cast::<u16>().write((*freed).first);
            (*freed).first = unit;
            (*freed).count += 1;
        }
    }

    /// What was collected, one run per page.
    pub(crate) fn into_runs(self) -> impl Iterator<Item = Run> {
        let slab = self.slab;
        self.pages.into_iter().map(move |page| {
            // SAFETY: as in `add`; what follows begins a new run.
            let freed = unsafe { std::mem::take(&mut (*page).freed) };
            Run { slab, page, freed }
        })
    }
}

/// Where the blocks of a collection go when it is freed.
pub enum Bin<'a> {
    /// Back to their slab, at once.
    Now(&'a mut Slab),
    /// Back to their slab, which another thread owns, later.
    Later(&'a mut Runs),
    /// Nowhere: the slab goes away as a whole.
    Whole,
    /// The same on another thread.
    WholeLater(&'a mut Rests),
}

impl Bin<'_> {
    /// Whether blocks of at most [`MAX_BLOCK`] bytes need not be handed in at all.
    pub(crate) fn skips_small(&self) -> bool {
        matches!(self, Bin::Whole | Bin::WholeLater(_))
    }

    /// To be called after so many blocks, or as much work: another thread than the owner's rests now and then.
    #[inline]
    pub(crate) fn worked(&mut self, pieces: usize) {
        match self {
            Bin::Now(_) | Bin::Whole => {}
            Bin::Later(runs) => runs.rests.after(pieces),
            Bin::WholeLater(rests) => rests.after(pieces),
        }
    }

    /// Frees a block of [`Slab::alloc_any`].
    ///
    /// # Safety
    /// `block` came from the bin's slab with a size of the same block size, and is not used any more.
    pub(crate) unsafe fn free(&mut self, block: NonNull<u8>, bytes: usize) {
        // SAFETY: as promised by the caller.
        unsafe {
            match self {
                _ if bytes > MAX_BLOCK => free_big(block, bytes),
                Bin::Now(slab) => slab.free(block),
                Bin::Later(runs) => runs.add(block),
                Bin::Whole | Bin::WholeLater(_) => {}
            }
        }
    }
}

/// A page worth emptying; see [`Slab::sparse_page`]. Valid until the slab changes.
pub(crate) struct SparsePage(*mut PageHeader);

/// # Safety
/// `page` is a live page.
#[inline(always)]
unsafe fn is_full(page: *mut PageHeader) -> bool {
    // SAFETY: as promised by the caller.
    unsafe { (*page).free == NONE && (*page).bump as usize + (*page).block as usize > PAGE / UNIT }
}

impl Slab {
    /// Drops the slab on another thread than its owner's.
    pub(crate) fn dismantle(mut self, rests: &mut Rests) {
        self.give_all(&mut || rests.after(1));
    }

    /// Gives all pages back, from any thread.
    fn give_all(&mut self, given: &mut dyn FnMut()) {
        let mut page = std::mem::replace(&mut self.all, ptr::null_mut());
        while !page.is_null() {
            // SAFETY: pages in the list are ours, and whoever drops the slab no longer uses its blocks.
            unsafe {
                let next = (*page).all_next;
                self.pool.give_elsewhere(page);
                page = next;
            }
            given();
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        self.give_all(&mut || {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(b: NonNull<u8>, len: usize, v: u8) {
        // SAFETY: the block has at least `len` bytes.
        unsafe { b.as_ptr().write_bytes(v, len) }
    }

    #[test]
    fn blocks_do_not_overlap_and_pages_come_back() {
        let pool = Arc::new(PagePool::new());
        let mut slab = Slab::new(pool.clone());
        let mut live: Vec<(NonNull<u8>, usize, u8)> = Vec::new();
        let mut seed = 1u64;
        for i in 0..20_000u32 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            if seed >> 61 != 0 || live.is_empty() {
                let len = 1 + (seed >> 33) as usize % if seed >> 50 & 31 == 0 { MAX_BLOCK } else { 100 };
                let b = slab.alloc(len);
                fill(b, block_size(len), i as u8);
                live.push((b, len, i as u8));
            } else {
                let (b, len, v) = live.swap_remove((seed >> 33) as usize % live.len());
                // SAFETY: a live block of `len` bytes.
                let bytes = unsafe { std::slice::from_raw_parts(b.as_ptr(), block_size(len)) };
                assert!(bytes.iter().all(|x| *x == v));
                // SAFETY: freed once.
                unsafe { slab.free(b) };
            }
        }
        assert_eq!(slab.used(), live.iter().map(|l| block_size(l.1)).sum::<usize>());
        for (b, len, v) in live.drain(..) {
            // SAFETY: a live block of `len` bytes, freed once.
            unsafe {
                assert!(std::slice::from_raw_parts(b.as_ptr(), block_size(len)).iter().all(|x| *x == v));
                slab.free(b);
            }
        }
        assert_eq!(slab.used(), 0);
        drop(slab);
        pool.trim();
        assert_eq!(pool.mapped(), 0);
    }

    #[test]
    fn a_slab_returns_its_pages_when_dropped() {
        let pool = Arc::new(PagePool::new());
        let mut slab = Slab::new(pool.clone());
        for _ in 0..100_000 {
            slab.alloc(56);
        }
        assert!(slab.held() >= 100_000 * 56);
        drop(slab);
        pool.trim();
        assert_eq!(pool.mapped(), 0);
    }

    #[test]
    fn a_sparse_page_is_named_with_exactly_its_live_blocks() {
        let pool = Arc::new(PagePool::new());
        let mut slab = Slab::new(pool);
        let blocks: Vec<_> = (0..10_000).map(|_| slab.alloc(64)).collect();
        assert!(slab.sparse_page(64, 8..9).is_none());
        let (gone, kept): (Vec<_>, Vec<_>) = blocks.into_iter().enumerate().partition(|(i, _)| i % 8 != 0);
        for (_, b) in gone {
            // SAFETY: freed once.
            unsafe { slab.free(b) };
        }
        let held = slab.held();
        let page = slab.sparse_page(64, 7..9).expect("seven of eight blocks are free");
        let live = slab.evacuate(page);
        assert!(live.iter().all(|b| kept.iter().any(|(_, k)| k == b)));
        let moved: Vec<_> = live.iter().map(|_| slab.alloc(64)).collect();
        assert!(moved.iter().all(|m| !live.contains(m)));
        for b in live {
            // SAFETY: freed once.
            unsafe { slab.free(b) };
        }
        assert!(slab.held() < held);
    }
}
