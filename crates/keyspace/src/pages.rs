//! Pages of 64 KiB cut out of 2 MiB chunks that come straight from the operating system.
//!
//! A [`PagePool`] is shared by all slabs of a keyspace, also those that a background thread frees,
//! so it is the one part of the keyspace behind a lock; it is entered once per page, not per block.
//! Giving memory back to the system takes system calls, so a page that is given back is only marked;
//! [`PagePool::trim_chunk`], on the background thread, releases what was not taken again in the meantime. Getting
//! memory from the system takes a page fault per 4 KiB, a few of which take milliseconds; so
//! [`PagePool::prepare`], on the background thread too, keeps the next few pages present while there is growth.
//!
//! A chunk begins with the headers of its 32 pages, so that a block's header is found by masking the
//! block's address:
//!
//! ```text
//! chunk, aligned to 2 MiB
//!   0      Chunk                64 bytes
//!   64     32 x PageHeader      64 bytes each
//!   2112   page 0               62 KiB less 64 bytes
//!   65536  page 1               64 KiB
//!   ...    page 31
//! ```
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Bytes of a page, and its alignment.
pub(crate) const PAGE: usize = 64 * 1024;
/// Bytes of a chunk, and its alignment.
pub(crate) const CHUNK: usize = 2 * 1024 * 1024;
/// Pages in a chunk.
const PAGES: usize = CHUNK / PAGE;
const HEADERS: usize = 64 * (1 + PAGES);
/// Blocks are multiples of this many bytes, and offsets in a page are counted in it.
pub(crate) const UNIT: usize = 8;

/// What a slab knows of one page. Offsets are in units from the page's 64 KiB boundary.
#[repr(C, align(64))]
pub(crate) struct PageHeader {
    /// Units of one block.
    pub(crate) block: u16,
    /// First free block that was used before; 0: none (unit 0 is never the start of a free block of
    /// page 0, and for other pages the list ends at `NONE`).
    pub(crate) free: u16,
    /// First unit that was never handed out.
    pub(crate) bump: u16,
    /// Blocks in use.
    pub(crate) used: u16,
    /// The list of its slab that it is in while it has room.
    pub(crate) list: u16,
    /// Whether the page is in its slab's list of pages with room.
    pub(crate) listed: bool,
    /// Neighbours in the list of pages with room.
    pub(crate) next: *mut PageHeader,
    pub(crate) prev: *mut PageHeader,
    /// Neighbours in the list of all pages of the slab.
    pub(crate) all_next: *mut PageHeader,
    pub(crate) all_prev: *mut PageHeader,
}

/// End of a page's list of free blocks.
pub(crate) const NONE: u16 = u16::MAX;

#[repr(C, align(64))]
struct Chunk {
    /// Bit set: that page is free.
    free: u32,
    /// Bit set: that page is free, and its memory is present: it was used or prepared.
    present: u32,
}

const ALL: u32 = u32::MAX;

/// Pages that are kept present ahead of growth: 512 KiB, which is what a million inserts a second need in 8 ms.
const AHEAD: u32 = 8;

const _: () = assert!(size_of::<PageHeader>() == 64 && size_of::<Chunk>() == 64);

impl PageHeader {
    /// The header of the page that holds `block`.
    ///
    /// # Safety
    /// `block` lies in a page of a chunk of some pool.
    #[inline(always)]
    pub(crate) unsafe fn of(block: *mut u8) -> *mut PageHeader {
        let addr = block.addr();
        let index = (addr & (CHUNK - 1)) / PAGE;
        let chunk = block.map_addr(|a| a & !(CHUNK - 1));
        // SAFETY: every chunk begins with its headers, one per page.
        unsafe { chunk.add(64 * (1 + index)).cast() }
    }

    /// The 64 KiB boundary from which this page's offsets count.
    pub(crate) fn base(this: *mut PageHeader) -> *mut u8 {
        let addr = this.addr();
        let index = (addr & (CHUNK - 1)) / 64 - 1;
        this.cast::<u8>().map_addr(|a| (a & !(CHUNK - 1)) + index * PAGE)
    }

    /// The first unit that can hold a block.
    pub(crate) fn first_unit(this: *mut PageHeader) -> u16 {
        let index = (this.addr() & (CHUNK - 1)) / 64 - 1;
        if index == 0 { (HEADERS / UNIT) as u16 } else { 0 }
    }
}

/// Hands out pages and takes them back; gives memory back to the system.
pub(crate) struct PagePool {
    /// Chunks that have a free page, lowest first, so that high chunks drain.
    roomy: Mutex<BTreeSet<ChunkPtr>>,
    mapped: AtomicUsize,
    /// Pages given back since the last trim.
    given: AtomicUsize,
    /// Whether the pages that are present run out.
    wants_prepare: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ChunkPtr(NonNull<Chunk>);

// SAFETY: a ChunkPtr is only dereferenced under the pool's lock, or by the one that holds the last
// reference to the chunk.
unsafe impl Send for ChunkPtr {}

impl PagePool {
    pub(crate) fn new() -> Self {
        PagePool {
            roomy: Mutex::default(),
            mapped: AtomicUsize::new(0),
            given: AtomicUsize::new(0),
            wants_prepare: AtomicBool::new(false),
        }
    }

    /// Bytes of address space taken from the system.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<ChunkPtr>> {
        self.roomy.lock().expect("no holder of the pool's lock panics")
    }

    /// A page for blocks of `block` units, empty.
    pub(crate) fn take(&self, block: u16) -> *mut PageHeader {
        let mut roomy = self.lock();
        let chunk = match roomy.first() {
            Some(c) => *c,
            None => self.add_chunk(&mut roomy),
        };
        // SAFETY: the chunk is mapped, its free bits belong to the lock that we hold, and a page
        // whose bit was set belongs to nobody.
        unsafe {
            let head = chunk.0.as_ptr();
            // A page whose memory is still there costs no page faults.
            let candidates = if (*head).present != 0 { (*head).present } else { (*head).free };
            let index = candidates.trailing_zeros() as usize;
            (*head).free &= !(1 << index);
            (*head).present &= !(1 << index);
            if (*head).present.count_ones() < AHEAD / 2 {
                self.wants_prepare.store(true, Ordering::Relaxed);
            }
            if (*head).free == 0 {
                roomy.remove(&chunk);
            }
            let page: *mut PageHeader = head.cast::<u8>().add(64 * (1 + index)).cast();
            let first = PageHeader::first_unit(page);
            page.write(PageHeader {
                block,
                free: NONE,
                bump: first,
                used: 0,
                list: 0,
                listed: false,
                next: ptr::null_mut(),
                prev: ptr::null_mut(),
                all_next: ptr::null_mut(),
                all_prev: ptr::null_mut(),
            });
            page
        }
    }

    fn add_chunk(&self, roomy: &mut BTreeSet<ChunkPtr>) -> ChunkPtr {
        let chunk = ChunkPtr(map_chunk());
        self.mapped.fetch_add(CHUNK, Ordering::Relaxed);
        roomy.insert(chunk);
        chunk
    }

    /// Whether [`PagePool::prepare`] is worth a call.
    #[inline(always)]
    pub(crate) fn wants_prepare(&self) -> bool {
        self.wants_prepare.load(Ordering::Relaxed)
    }

    /// A call of [`PagePool::prepare`] is on its way.
    pub(crate) fn note_prepare(&self) {
        self.wants_prepare.store(false, Ordering::Relaxed);
    }

    /// Makes the pages present that will be taken next, so that whoever takes them meets no page faults.
    pub(crate) fn prepare(&self) {
        while let Some((chunk, index)) = self.next_absent() {
            // SAFETY: the chunk stays mapped, since only this thread unmaps. The page is free, or was taken in the
            // meantime: making memory present does not change it.
            let done = unsafe { populate(chunk.0.as_ptr().cast::<u8>().add(index * PAGE)) };
            if !done {
                return;
            }
            let _roomy = self.lock();
            // SAFETY: the lock is held.
            unsafe {
                let head = chunk.0.as_ptr();
                (*head).present |= (*head).free & 1 << index;
            }
        }
    }

    /// The first free page that is not present, unless enough are.
    fn next_absent(&self) -> Option<(ChunkPtr, usize)> {
        let mut roomy = self.lock();
        let mut present = 0;
        for chunk in roomy.iter() {
            // SAFETY: chunks in the set are mapped; their bits belong to the lock that we hold.
            let (free, here) = unsafe { ((*chunk.0.as_ptr()).free, (*chunk.0.as_ptr()).present) };
            present += here.count_ones();
            if present >= AHEAD {
                return None;
            }
            if free & !here != 0 {
                return Some((*chunk, (free & !here).trailing_zeros() as usize));
            }
        }
        Some((self.add_chunk(&mut roomy), 0))
    }

    fn unmap(&self, chunk: ChunkPtr) {
        // SAFETY: callers have taken the chunk out of reach of everybody else, with all of its pages free.
        unsafe {
            debug_assert!((*chunk.0.as_ptr()).free == ALL);
            unmap_chunk(chunk.0);
        }
        self.mapped.fetch_sub(CHUNK, Ordering::Relaxed);
    }

    /// Takes a page back. Its memory goes back to the system with the next `trim`.
    ///
    /// # Safety
    /// `page` came from `take` of this pool and nothing points into it any more.
    pub(crate) unsafe fn give(&self, page: *mut PageHeader) {
        let index = (page.addr() & (CHUNK - 1)) / 64 - 1;
        let chunk = page.cast::<u8>().map_addr(|a| a & !(CHUNK - 1)).cast::<Chunk>();
        self.given.fetch_add(1, Ordering::Relaxed);
        let mut roomy = self.lock();
        // SAFETY: the chunk is mapped while one of its pages is out; the lock is held.
        unsafe {
            (*chunk).free |= 1 << index;
            (*chunk).present |= 1 << index;
            roomy.insert(ChunkPtr(NonNull::new_unchecked(chunk)));
        }
    }

    /// Whether pages were given back since the last trim.
    pub(crate) fn wants_trim(&self) -> bool {
        self.given.load(Ordering::Relaxed) > 0
    }

    /// Gives the memory of all free pages back to the system, and whole chunks if nothing is left in them.
    #[cfg(test)]
    pub(crate) fn trim(&self) {
        while self.trim_chunk() {}
    }

    /// Gives the memory of the free pages of one chunk (2 MiB) back to the system, and the whole chunk if nothing is
    /// left in it; false if there was nothing to do.
    /// The lock is not held during the system calls, so that others can take pages meanwhile.
    pub(crate) fn trim_chunk(&self) -> bool {
        self.given.store(0, Ordering::Relaxed);
        let mut roomy = self.lock();
        // SAFETY: chunks in the set are mapped; their bits belong to the lock that we hold.
        let found = roomy.iter().rev().copied().find(|c| unsafe { (*c.0.as_ptr()).present != 0 });
        let Some(chunk) = found else { return false };
        let head = chunk.0.as_ptr();
        // Out of the set and without free pages, so that nobody takes them meanwhile.
        roomy.remove(&chunk);
        // SAFETY: as above.
        let (free, present) = unsafe { ((*head).free, (*head).present) };
        if free == ALL {
            drop(roomy);
            self.unmap(chunk);
            return true;
        }
        // SAFETY: as above.
        unsafe { ((*head).free, (*head).present) = (0, 0) };
        drop(roomy);
        for index in (0..PAGES).filter(|i| present >> i & 1 == 1) {
            // SAFETY: the page is free and ours alone; the headers before page 0 are kept.
            unsafe {
                release(head.cast::<u8>().add(index * PAGE), if index == 0 { HEADERS } else { 0 });
            }
        }
        let mut roomy = self.lock();
        // SAFETY: the lock is held. Pages given back meanwhile have set their own bits.
        unsafe { (*head).free |= free };
        roomy.insert(chunk);
        true
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        // Slabs keep the pool alive, so there are none, and every page is back.
        let roomy = std::mem::take(&mut *self.lock());
        roomy.into_iter().for_each(|chunk| self.unmap(chunk));
    }
}

/// A chunk of free pages, whose memory comes on demand, small page by small page. Huge pages would make look-ups a little
/// cheaper, but the first touch of one takes the system milliseconds, and on one core nobody can do that for the loop.
#[cfg(not(miri))]
fn map_chunk() -> NonNull<Chunk> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
    let map = |len: usize| {
        // SAFETY: a new private anonymous mapping at an address that the kernel chooses.
        unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }
            .unwrap_or_else(|_| std::alloc::handle_alloc_error(chunk_layout()))
            .cast::<u8>()
    };
    let mut start = map(CHUNK);
    if start.addr() & (CHUNK - 1) != 0 {
        // Not aligned: map twice as much and cut off both ends.
        // SAFETY: only parts of mappings made here, which nobody has seen, are unmapped.
        unsafe {
            let _unmapped = munmap(start.cast(), CHUNK);
            let wide = map(2 * CHUNK);
            let skip = wide.addr().next_multiple_of(CHUNK) - wide.addr();
            start = wide.add(skip);
            if skip > 0 {
                let _unmapped = munmap(wide.cast(), skip);
            }
            let _unmapped = munmap(start.add(CHUNK).cast(), CHUNK - skip);
        }
    }
    // SAFETY: the mapping is CHUNK bytes, aligned, writable and ours.
    unsafe { start.cast::<Chunk>().write(Chunk { free: ALL, present: 0 }) };
    NonNull::new(start.cast()).expect("a mapping is not at address zero")
}

#[cfg(miri)]
fn map_chunk() -> NonNull<Chunk> {
    // SAFETY: the layout has a size.
    let start = unsafe { std::alloc::alloc_zeroed(chunk_layout()) }.cast::<Chunk>();
    // SAFETY: freshly allocated for it.
    unsafe { start.write(Chunk { free: ALL, present: 0 }) };
    NonNull::new(start).expect("the allocator had room")
}

fn chunk_layout() -> std::alloc::Layout {
    std::alloc::Layout::from_size_align(CHUNK, CHUNK).expect("a power of two")
}

/// # Safety
/// The chunk came from `map_chunk` and nobody uses it.
#[cfg(not(miri))]
unsafe fn unmap_chunk(chunk: NonNull<Chunk>) {
    // SAFETY: as promised by the caller.
    unsafe { rustix::mm::munmap(chunk.as_ptr().cast(), CHUNK) }.expect("a whole mapping of ours is unmapped");
}

/// # Safety
/// The chunk came from `map_chunk` and nobody uses it.
#[cfg(miri)]
unsafe fn unmap_chunk(chunk: NonNull<Chunk>) {
    // SAFETY: as promised by the caller.
    unsafe { std::alloc::dealloc(chunk.as_ptr().cast(), chunk_layout()) }
}

/// Gives the memory of a page, from `keep` bytes on, back to the system; it reads as zeros later.
///
/// # Safety
/// Nothing in the range is in use.
unsafe fn release(base: *mut u8, keep: usize) {
    let keep = keep.next_multiple_of(4096);
    #[cfg(all(target_os = "linux", not(miri)))]
    // SAFETY: the range lies in a mapping of ours and holds nothing. Advice that fails costs memory, not
    // correctness.
    unsafe {
        let _advice =
            rustix::mm::madvise(base.add(keep).cast(), PAGE - keep, rustix::mm::Advice::LinuxDontNeed);
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (base, keep);
}

/// Makes the memory of a page present without changing it; false if the system cannot.
///
/// # Safety
/// `base` is a page of a mapped chunk.
unsafe fn populate(base: *mut u8) -> bool {
    #[cfg(all(target_os = "linux", not(miri)))]
    // SAFETY: as promised by the caller.
    return unsafe { rustix::mm::madvise(base.cast(), PAGE, rustix::mm::Advice::LinuxPopulateWrite) }.is_ok();
    #[cfg(not(all(target_os = "linux", not(miri))))]
    {
        let _ = base;
        false
    }
}
