//! Pages of 64 KiB cut out of 2 MiB chunks that come straight from the operating system.
//!
//! A [`PagePool`] is shared by all slabs of a keyspace, also those that a background thread frees, so it is the one part
//! of the keyspace behind a lock; it is entered once per page, not per block. The owner of the keyspace never waits for
//! that lock while it has pages in stock: the background thread may lose its processor while it holds the lock.
//!
//! Giving memory back to the system takes system calls, so a page that is given back is only marked;
//! [`PagePool::trim_chunk`], on the background thread, releases what is more than will be taken soon, by the present
//! pace. Getting memory from the system takes a page fault per 4 KiB, a few of which take milliseconds; so
//! [`PagePool::prepare`], on the background thread too, keeps the next pages present while there is growth.
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

use crate::reaper::{PIECES, Rests};
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
    /// Blocks that are being freed by another thread than the owner's; that thread's alone.
    pub(crate) freed: Freed,
    /// Neighbours in the list of pages with room.
    pub(crate) next: *mut PageHeader,
    pub(crate) prev: *mut PageHeader,
    /// Neighbours in the list of all pages of the slab.
    pub(crate) all_next: *mut PageHeader,
    pub(crate) all_prev: *mut PageHeader,
}

/// Blocks of a page strung together as its list of free blocks is, but not part of it yet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Freed {
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) count: u16,
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

/// Pages for the owner that are neither used nor free for others.
const STOCK: usize = 8;
/// Pages that are kept present ahead of growth at least, and at most: 512 KiB and 8 MiB.
const AHEAD: usize = 8;
/// Chunks that are mapped at once while there is growth.
const SPARE: usize = 16;
const MOST_AHEAD: usize = 128;
/// Bytes of chunks from which on pages are prepared: not for keyspaces that are small beside the process.
const MUCH: usize = 16 * CHUNK;
/// Free pages present beyond what is wanted that are not worth a system call.
const SLACK: usize = 4;

/// How fast pages are handed out: how many between the last looks.
#[derive(Default)]
pub(crate) struct Pace([usize; 3]);

/// From so many pages between two looks on, memory is prepared: slower growth meets few page faults.
const FAST: usize = 4;

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
    shared: Mutex<Shared>,
    /// Pages for the owner of the keyspace, who alone locks this: so it never waits for the background thread, which
    /// may have to wait for a processor while it holds the other lock.
    stock: Mutex<Vec<FreePage>>,
    mapped: AtomicUsize,
    /// Pages handed out since the last look at the pace.
    taken: AtomicUsize,
    /// Pages kept present ahead of growth; 0 as long as there is little memory.
    ahead: AtomicUsize,
    /// Whether the pages that are present run out.
    wants_prepare: AtomicBool,
}

#[derive(Default)]
struct Shared {
    /// Chunks that have a free page, lowest first, so that high chunks drain.
    roomy: BTreeSet<ChunkPtr>,
    /// Free pages in them whose memory is present.
    present: usize,
    /// Chunks that were never used. Getting them takes the system's lock over the address space, for which page faults
    /// of the owner would wait: so they come many at a time.
    spare: Vec<NonNull<u8>>,
}

// SAFETY: spare chunks belong to whoever holds the lock.
unsafe impl Send for Shared {}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ChunkPtr(NonNull<Chunk>);

// SAFETY: a ChunkPtr is only dereferenced under the pool's lock, or by the one that holds the last
// reference to the chunk.
unsafe impl Send for ChunkPtr {}

/// A page that is free, but not marked as such in its chunk.
struct FreePage {
    header: *mut PageHeader,
    /// Whether its memory is there.
    present: bool,
}

// SAFETY: a free page belongs to whoever holds it.
unsafe impl Send for FreePage {}

impl FreePage {
    /// The page's chunk, and its index there.
    fn place(&self) -> (ChunkPtr, usize) {
        let index = (self.header.addr() & (CHUNK - 1)) / 64 - 1;
        let chunk = self.header.cast::<u8>().map_addr(|a| a & !(CHUNK - 1)).cast::<Chunk>();
        // SAFETY: headers do not begin at the start of a chunk, and chunks are not at address 0.
        (ChunkPtr(unsafe { NonNull::new_unchecked(chunk) }), index)
    }
}

impl Shared {
    /// Takes a free page, one that is present if there is any; `None` if there is no chunk with a free page.
    fn take(&mut self) -> Option<FreePage> {
        let chunk = self.roomy.first().copied().or_else(|| self.open_spare())?;
        // SAFETY: chunks in the set are mapped, and their bits belong to the lock that the caller holds.
        unsafe {
            let head = chunk.0.as_ptr();
            // A page whose memory is still there costs no page faults.
            let candidates = if (*head).present != 0 { (*head).present } else { (*head).free };
            let index = candidates.trailing_zeros() as usize;
            let present = (*head).present >> index & 1 == 1;
            self.present -= usize::from(present);
            (*head).free &= !(1 << index);
            (*head).present &= !(1 << index);
            if (*head).free == 0 {
                self.roomy.remove(&chunk);
            }
            Some(FreePage { header: head.cast::<u8>().add(64 * (1 + index)).cast(), present })
        }
    }

    /// Makes a spare chunk one with free pages.
    fn open_spare(&mut self) -> Option<ChunkPtr> {
        let chunk = open_chunk(self.spare.pop()?);
        self.roomy.insert(chunk);
        Some(chunk)
    }

    /// Takes a page back.
    fn give(&mut self, page: FreePage) {
        let (chunk, index) = page.place();
        // SAFETY: the chunk is mapped while one of its pages is out; the lock is held by the caller.
        unsafe {
            (*chunk.0.as_ptr()).free |= 1 << index;
            (*chunk.0.as_ptr()).present |= u32::from(page.present) << index;
        }
        self.present += usize::from(page.present);
        self.roomy.insert(chunk);
    }

    /// The bits of a chunk: its free pages, and those of them that are present.
    fn bits(chunk: ChunkPtr) -> (u32, u32) {
        // SAFETY: the chunk is mapped, and its bits belong to the lock that the caller holds.
        unsafe { ((*chunk.0.as_ptr()).free, (*chunk.0.as_ptr()).present) }
    }
}

impl PagePool {
    pub(crate) fn new() -> Self {
        PagePool {
            shared: Mutex::default(),
            stock: Mutex::default(),
            mapped: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            ahead: AtomicUsize::new(0),
            wants_prepare: AtomicBool::new(false),
        }
    }

    /// Bytes of address space taken from the system.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no holder of the pool's lock panics")
    }

    fn lock_stock(&self) -> MutexGuard<'_, Vec<FreePage>> {
        self.stock.lock().expect("no holder of the stock's lock panics")
    }

    // --- the owner's side -------------------------------------------------------------------------

    /// A page for blocks of `block` units, empty.
    pub(crate) fn take(&self, block: u16) -> *mut PageHeader {
        let mut stock = self.lock_stock();
        if stock.len() < STOCK / 2
            && let Ok(mut shared) = self.shared.try_lock()
        {
            while stock.len() < STOCK
                && let Some(page) = shared.take()
            {
                stock.push(page);
            }
            if shared.present < self.ahead.load(Ordering::Relaxed) / 2 {
                self.wants_prepare.store(true, Ordering::Relaxed);
            }
        }
        let page = stock.pop().unwrap_or_else(|| self.take_first()).header;
        self.taken.fetch_add(1, Ordering::Relaxed);
        // SAFETY: a free page is ours; its header is mapped.
        unsafe {
            page.write(PageHeader {
                block,
                free: NONE,
                bump: PageHeader::first_unit(page),
                used: 0,
                list: 0,
                listed: false,
                freed: Freed::default(),
                next: ptr::null_mut(),
                prev: ptr::null_mut(),
                all_next: ptr::null_mut(),
                all_prev: ptr::null_mut(),
            });
        }
        page
    }

    /// A page when there is none in stock: of a new chunk, if need be.
    #[cold]
    fn take_first(&self) -> FreePage {
        let found = self.lock().take();
        found.unwrap_or_else(|| {
            let chunks = self.map(1);
            let mut shared = self.lock();
            shared.spare.extend(chunks);
            shared.take().expect("the chunk has free pages")
        })
    }

    /// Takes a page back, for later use.
    ///
    /// # Safety
    /// `page` came from `take` of this pool and nothing points into it any more.
    pub(crate) unsafe fn give(&self, page: *mut PageHeader) {
        let mut stock = self.lock_stock();
        stock.push(FreePage { header: page, present: true });
        if stock.len() > STOCK
            && let Ok(mut shared) = self.shared.try_lock()
        {
            stock.drain(STOCK / 2..).for_each(|page| shared.give(page));
        }
    }

    /// Takes a page back from any thread.
    ///
    /// # Safety
    /// As for `give`.
    pub(crate) unsafe fn give_elsewhere(&self, page: *mut PageHeader) {
        self.lock().give(FreePage { header: page, present: true });
    }

    /// Called about ten times a second: how many pages are handed out decides how many are kept present, ahead of use or
    /// after it. Returns how many more are present, if these are worth giving back.
    pub(crate) fn pace(&self, pace: &mut Pace) -> Option<usize> {
        let taken = self.taken.swap(0, Ordering::Relaxed);
        pace.0.rotate_right(1);
        pace.0[0] = taken;
        let fastest = pace.0.into_iter().max().unwrap_or(0);
        let prepares = fastest >= FAST && self.mapped() >= MUCH;
        let ahead = if prepares { (AHEAD + 2 * fastest).min(MOST_AHEAD) } else { 0 };
        self.ahead.store(ahead, Ordering::Relaxed);
        let keep = ahead + 5 * fastest;
        let mut shared = self.shared.try_lock().ok()?;
        if taken == 0 {
            self.lock_stock().drain(..).for_each(|page| shared.give(page));
        }
        Some(shared.present.saturating_sub(keep)).filter(|excess| *excess > SLACK)
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

    // --- the background thread's side -------------------------------------------------------------

    /// Makes the pages present that will be taken next, so that whoever takes them meets no page faults.
    pub(crate) fn prepare(&self, rests: &mut Rests) {
        if self.lock().spare.len() < SPARE / 2 {
            let chunks = self.map(SPARE);
            self.lock().spare.extend(chunks);
        }
        while self.lock().present < self.ahead.load(Ordering::Relaxed) {
            let Some((chunk, index)) = self.next_absent() else { return };
            // SAFETY: the chunk stays mapped, since only this thread unmaps. The page is free, or was taken in the
            // meantime: making memory present does not change it.
            let done = unsafe { populate(chunk.0.as_ptr().cast::<u8>().add(index * PAGE)) };
            if !done {
                return;
            }
            let mut shared = self.lock();
            // SAFETY: the lock is held.
            unsafe {
                let head = chunk.0.as_ptr();
                let now = (*head).free & !(*head).present & 1 << index;
                (*head).present |= now;
                shared.present += now.count_ones() as usize;
            }
            drop(shared);
            // As long as making four pages present takes.
            rests.after(PIECES / 4);
        }
    }

    /// The first free page that is not present.
    fn next_absent(&self) -> Option<(ChunkPtr, usize)> {
        let mut shared = self.lock();
        for chunk in &shared.roomy {
            let (free, present) = Shared::bits(*chunk);
            if free & !present != 0 {
                return Some((*chunk, (free & !present).trailing_zeros() as usize));
            }
        }
        Some((shared.open_spare()?, 0))
    }

    fn map(&self, chunks: usize) -> impl Iterator<Item = NonNull<u8>> {
        self.mapped.fetch_add(chunks * CHUNK, Ordering::Relaxed);
        let first = map_chunks(chunks);
        // SAFETY: they are that many, one behind the other.
        (0..chunks).rev().map(move |i| unsafe { first.add(i * CHUNK) })
    }

    fn unmap(&self, chunk: ChunkPtr) {
        // SAFETY: callers have taken the chunk out of reach of everybody else, with all of its pages free.
        unsafe {
            debug_assert!((*chunk.0.as_ptr()).free == ALL);
            unmap_chunk(chunk.0.cast());
        }
        self.mapped.fetch_sub(CHUNK, Ordering::Relaxed);
    }

    /// Gives the memory of all free pages back to the system, and whole chunks if nothing is left in them.
    #[cfg(test)]
    pub(crate) fn trim(&self) {
        let stock = std::mem::take(&mut *self.lock_stock());
        stock.into_iter().for_each(|page| self.lock().give(page));
        while self.trim_chunk(usize::MAX).is_some() {}
    }

    /// Gives the memory of up to `excess` free pages of one chunk (2 MiB) back to the system, and the whole chunk if
    /// nothing is left in it. Returns of how many; `None` if there was nothing to do.
    /// The lock is not held during the system calls, so that others can take pages meanwhile.
    pub(crate) fn trim_chunk(&self, excess: usize) -> Option<usize> {
        let mut shared = self.lock();
        let found = shared.roomy.iter().rev().copied().find(|chunk| Shared::bits(*chunk).1 != 0);
        let chunk = found.filter(|_| excess > 0)?;
        let (free, present) = Shared::bits(chunk);
        let count = present.count_ones() as usize;
        if free == ALL && count <= excess {
            shared.roomy.remove(&chunk);
            shared.present -= count;
            drop(shared);
            self.unmap(chunk);
            return Some(count);
        }
        // The last ones, as the first ones are taken first.
        let kept = (0..PAGES as u32).filter(|i| present >> i & 1 == 1).take(count.saturating_sub(excess));
        let released = present & !kept.fold(0, |bits, i| bits | 1 << i);
        let head = chunk.0.as_ptr();
        // Not free, so that nobody takes them meanwhile.
        // SAFETY: the lock is held.
        unsafe {
            (*head).free &= !released;
            (*head).present &= !released;
        }
        shared.present -= released.count_ones() as usize;
        if free == released {
            shared.roomy.remove(&chunk);
        }
        drop(shared);
        for index in (0..PAGES).filter(|i| released >> i & 1 == 1) {
            // SAFETY: the page is free and ours alone; the headers before page 0 are kept.
            unsafe {
                release(head.cast::<u8>().add(index * PAGE), if index == 0 { HEADERS } else { 0 });
            }
        }
        let mut shared = self.lock();
        // SAFETY: the lock is held. Pages given back meanwhile have set their own bits.
        unsafe { (*head).free |= released };
        shared.roomy.insert(chunk);
        Some(released.count_ones() as usize)
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        // Slabs keep the pool alive, so there are none, and every page is back.
        let stock = std::mem::take(&mut *self.lock_stock());
        let mut shared = std::mem::take(&mut *self.lock());
        stock.into_iter().for_each(|page| shared.give(page));
        shared.roomy.into_iter().for_each(|chunk| self.unmap(chunk));
        // SAFETY: nobody has seen them.
        shared.spare.into_iter().for_each(|chunk| unsafe { unmap_chunk(chunk) });
    }
}

/// Makes fresh memory a chunk of free pages.
fn open_chunk(start: NonNull<u8>) -> ChunkPtr {
    let chunk = start.cast::<Chunk>();
    // SAFETY: the memory is CHUNK bytes, aligned, writable and ours.
    unsafe { chunk.write(Chunk { free: ALL, present: 0 }) };
    ChunkPtr(chunk)
}

/// Memory for chunks, one behind the other, that comes on demand, small page by small page. Huge pages would make look-ups
/// a little cheaper, but the first touch of one takes the system milliseconds, and on one core nobody can do that for the
/// loop.
#[cfg(not(miri))]
fn map_chunks(chunks: usize) -> NonNull<u8> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
    let len = chunks * CHUNK;
    let map = |len: usize| {
        // SAFETY: a new private anonymous mapping at an address that the kernel chooses.
        unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }
            .unwrap_or_else(|_| std::alloc::handle_alloc_error(chunk_layout()))
            .cast::<u8>()
    };
    let mut start = map(len);
    if start.addr() & (CHUNK - 1) != 0 {
        // Not aligned: map one chunk more and cut off both ends.
        // SAFETY: only parts of mappings made here, which nobody has seen, are unmapped.
        unsafe {
            let _unmapped = munmap(start.cast(), len);
            let wide = map(len + CHUNK);
            let skip = wide.addr().next_multiple_of(CHUNK) - wide.addr();
            start = wide.add(skip);
            if skip > 0 {
                let _unmapped = munmap(wide.cast(), skip);
            }
            let _unmapped = munmap(start.add(len).cast(), CHUNK - skip);
        }
    }
    NonNull::new(start).expect("a mapping is not at address zero")
}

#[cfg(miri)]
fn map_chunks(chunks: usize) -> NonNull<u8> {
    assert_eq!(chunks, 1, "more are mapped while there is fast growth only");
    // SAFETY: the layout has a size.
    NonNull::new(unsafe { std::alloc::alloc_zeroed(chunk_layout()) }).expect("the allocator had room")
}

fn chunk_layout() -> std::alloc::Layout {
    std::alloc::Layout::from_size_align(CHUNK, CHUNK).expect("a power of two")
}

/// # Safety
/// The chunk came from `map_chunks` and nobody uses it.
#[cfg(not(miri))]
unsafe fn unmap_chunk(chunk: NonNull<u8>) {
    // SAFETY: as promised by the caller.
    unsafe { rustix::mm::munmap(chunk.as_ptr().cast(), CHUNK) }.expect("a whole mapping of ours is unmapped");
}

/// # Safety
/// The chunk came from `map_chunks` and nobody uses it.
#[cfg(miri)]
unsafe fn unmap_chunk(chunk: NonNull<u8>) {
    // SAFETY: as promised by the caller.
    unsafe { std::alloc::dealloc(chunk.as_ptr(), chunk_layout()) }
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
