//! Byte strings that no longer change, in blocks that are hardly larger than they are: the nodes of lists and streams that
//! are full. The general allocator has four sizes of blocks per doubling, so it would waste a tenth of them.
//!
//! The blocks live in a slab that all keyspaces of the process share, behind a lock. Their owners free them on either
//! thread; none of them waits for the lock, since the background thread may lose its processor while it holds it:
//! whoever finds it taken allocates elsewhere, or leaves what it frees to the next one.
#![allow(unsafe_code)]

use crate::pages::{Pace, PagePool, UNIT};
use crate::slab::Slab;
use std::fmt;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The longest string that gets such a block: eight of them fill a page.
const MOST: usize = 8192;
/// Up to here sizes differ by `FINE` bytes, beyond by `COARSE`.
const SMALL: usize = 2048;
const FINE: usize = 32;
const COARSE: usize = 128;

/// The slab, once there is a block.
static STORE: Mutex<Option<Store>> = Mutex::new(None);
/// Blocks that were freed while the slab was locked.
static LEFT: Mutex<Vec<Block>> = Mutex::new(Vec::new());
/// Whether there may be some.
static ANY_LEFT: AtomicBool = AtomicBool::new(false);
static USED: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static MAPPED: AtomicUsize = AtomicUsize::new(0);

struct Store {
    slab: Slab,
    pool: Arc<PagePool>,
    pace: Pace,
}

struct Block(NonNull<u8>);

// SAFETY: a block belongs to whoever holds it.
unsafe impl Send for Block {}

/// The slab's list for blocks of a length, and their units.
fn class_of(len: usize) -> (usize, usize) {
    if len <= SMALL {
        let steps = len.div_ceil(FINE).max(1);
        return (steps, steps * FINE / UNIT);
    }
    let steps = (len - SMALL).div_ceil(COARSE);
    (SMALL / FINE + steps, (SMALL + steps * COARSE) / UNIT)
}

impl Store {
    fn new() -> Store {
        let pool = Arc::new(PagePool::new());
        Store { slab: Slab::new(Arc::clone(&pool)), pool, pace: Pace::default() }
    }

    /// Frees what others had to leave.
    fn free_left(&mut self) {
        if ANY_LEFT.swap(false, Ordering::Acquire)
            && let Ok(mut left) = LEFT.lock()
        {
            // SAFETY: they are blocks of the slab that nobody uses any more.
            left.drain(..).for_each(|block| unsafe { self.slab.free(block.0) });
        }
    }

    fn publish(&self) {
        USED.store(self.slab.used(), Ordering::Relaxed);
        HELD.store(self.slab.held(), Ordering::Relaxed);
        MAPPED.store(self.pool.mapped(), Ordering::Relaxed);
    }
}

/// The slab, unless it is in use; then it is told the figures of its memory afterwards.
fn with_store<R>(work: impl FnOnce(&mut Store) -> R) -> Option<R> {
    let mut store: MutexGuard<'_, Option<Store>> = STORE.try_lock().ok()?;
    let store = store.get_or_insert_with(Store::new);
    let result = work(store);
    store.free_left();
    store.publish();
    Some(result)
}

/// A byte string that does not change.
pub(crate) struct Dense {
    /// A block of the slab, or a box.
    bytes: NonNull<u8>,
    len: u32,
    boxed: bool,
}

// SAFETY: it owns its bytes, as a box does; the slab has a lock.
unsafe impl Send for Dense {}
// SAFETY: shared references only read the bytes.
unsafe impl Sync for Dense {}

impl Dense {
    /// A copy of `bytes`, which are less than 4 GiB.
    pub(crate) fn new(bytes: &[u8]) -> Dense {
        let len = u32::try_from(bytes.len()).expect("nodes are smaller than 4 GiB");
        let block = match bytes.len() {
            ..=MOST => with_store(|store| {
                let (list, units) = class_of(bytes.len());
                store.slab.alloc_from(list, units)
            }),
            _ => None,
        };
        let Some(block) = block else {
            let bytes: Box<[u8]> = bytes.into();
            let bytes = NonNull::new(Box::into_raw(bytes).cast()).expect("boxes are not at address 0");
            return Dense { bytes, len, boxed: true };
        };
        // SAFETY: the block is fresh and long enough.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), block.as_ptr(), bytes.len()) };
        Dense { bytes: block, len, boxed: false }
    }

    /// Bytes taken, including what is left of the block.
    pub(crate) fn memory(&self) -> usize {
        if self.boxed { self.len() } else { class_of(self.len()).1 * UNIT }
    }
}

impl Deref for Dense {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes were written there, and stay until it is dropped.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.len as usize) }
    }
}

impl Drop for Dense {
    fn drop(&mut self) {
        if self.boxed {
            let bytes = ptr::slice_from_raw_parts_mut(self.bytes.as_ptr(), self.len as usize);
            // SAFETY: they came from a box of that length.
            drop(unsafe { Box::from_raw(bytes) });
            return;
        }
        // SAFETY: the block came from the slab, and nobody uses it any more.
        let freed = with_store(|store| unsafe { store.slab.free(self.bytes) });
        if freed.is_none()
            && let Ok(mut left) = LEFT.lock()
        {
            left.push(Block(self.bytes));
            ANY_LEFT.store(true, Ordering::Release);
        }
    }
}

impl Clone for Dense {
    fn clone(&self) -> Dense {
        Dense::new(self)
    }
}

impl fmt::Debug for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dense").field(&self.len).finish()
    }
}

/// Bytes of blocks in use, of the pages that hold them, and of address space.
pub(crate) fn memory() -> (usize, usize, usize) {
    let read = |figure: &AtomicUsize| figure.load(Ordering::Relaxed);
    (read(&USED), read(&HELD), read(&MAPPED))
}

/// Called about ten times a second: which pool has pages to give back to the system, and what [`PagePool::pace`] says of
/// them.
pub(crate) fn pace() -> Option<(Arc<PagePool>, usize)> {
    if MAPPED.load(Ordering::Relaxed) == 0 {
        return None;
    }
    with_store(|store| {
        store.slab.drop_empty();
        let excess = store.pool.pace(&mut store.pace)?;
        Some((Arc::clone(&store.pool), excess))
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_close_to_their_lengths_and_distinct() {
        let mut last = (0, 0);
        for len in 0..=MOST {
            let (list, units) = class_of(len);
            let slack = units * UNIT - len;
            assert!(slack < if len <= SMALL { FINE } else { COARSE } || len == 0);
            assert!((list, units) == last || (list == last.0 + 1 && units > last.1), "{len}");
            last = (list, units);
        }
        assert_eq!(last.1 * UNIT, MOST);
    }

    #[test]
    fn strings_keep_their_bytes_on_any_thread() {
        let of = |i: usize| vec![i as u8; i * 37 % (MOST + 100)];
        let strings: Vec<Dense> = (0..5000).map(|i| Dense::new(&of(i))).collect();
        let copies = strings.clone();
        let other = std::thread::spawn(move || {
            for (i, string) in copies.into_iter().enumerate() {
                assert_eq!(*string, of(i));
            }
        });
        for (i, string) in strings.into_iter().enumerate() {
            assert_eq!(*string, of(i));
            assert!(string.memory() >= string.len());
        }
        other.join().expect("the other thread checks the same");
    }
}
