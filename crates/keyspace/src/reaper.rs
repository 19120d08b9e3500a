//! The thread that frees what would take the owner of the keyspace too long, and that gets memory for it ahead of
//! need.
//!
//! Members of collections live in a slab that the owner goes on using. So the thread only strings their blocks
//! together, by page, and hands the strings back: the owner takes back pages, not blocks.
#![expect(clippy::disallowed_methods, reason = "this thread pauses so that its owner does not")]

use crate::db::Db;
use crate::entry::Outline;
use crate::pages::PagePool;
use crate::slab::{Bin, Run, Runs, Slab};
use crate::types::Object;
use crate::value::Blob;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Blobs of at least this many bytes are freed in the background: giving them back to the system takes
/// longer than handing them over.
pub(crate) const LARGE: usize = 64 * 1024;
/// Collections of more pieces than this are freed in the background.
const MANY: usize = 64;
/// Pages that the owner gives back itself in one go (0.1 ms), and how often, before that gets a thread.
const AT_ONCE: usize = 8;
const FEW: usize = 16;
/// Pause between two chunks that are given back to the system: 1 GB takes 0.1 s more.
const BETWEEN_CHUNKS: Duration = Duration::from_micros(200);

/// How long the thread works before it rests.
const BURST: Duration = Duration::from_micros(100);
/// How long it rests; timers make it twice as long.
const REST: Duration = Duration::from_micros(50);
/// Pieces of work between two looks at the clock.
pub(crate) const PIECES: usize = 256;

/// Has the thread work in short bursts: where it shares a processor with the owner, the system may let it run for
/// milliseconds before the owner gets its turn, whatever their priorities.
#[derive(Clone, Copy)]
pub struct Rests {
    since: Instant,
    pieces: usize,
}

impl Rests {
    pub(crate) fn new() -> Rests {
        Rests { since: Instant::now(), pieces: 0 }
    }

    /// After so many pieces of work, of some 10 to 100 ns each.
    #[inline]
    pub(crate) fn after(&mut self, pieces: usize) {
        self.pieces += pieces;
        if self.pieces >= PIECES {
            self.look();
        }
    }

    fn look(&mut self) {
        self.pieces = 0;
        if self.since.elapsed() >= BURST {
            self.rest();
        }
    }

    fn rest(&mut self) {
        std::thread::sleep(REST);
        self.since = Instant::now();
    }
}

enum Garbage {
    /// A database whose collections have their blocks in the slab of this number, or in one that is handed over
    /// too.
    Db(Box<Db>, Option<u64>),
    /// The slab of the members of databases that were handed over before.
    Members(Box<Slab>),
    Blob(Blob),
    /// A collection with blocks in the slab of this number.
    Object(Box<Object>, u64),
    /// So many free pages, to be given back to the system.
    Pages(Arc<PagePool>, usize),
    /// Free pages, to be made present.
    Ahead(Arc<PagePool>),
}

/// Hands garbage to a thread, which starts with the first piece.
#[derive(Default)]
pub(crate) struct Reaper {
    thread: Option<(Sender<Garbage>, JoinHandle<()>)>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Keys or values handed over and not yet freed.
    pending: AtomicU64,
    freed: AtomicU64,
    /// Blocks that the owner has to take back.
    runs: Mutex<Vec<Run>>,
}

impl Reaper {
    /// Frees a database; the blocks of its collections come back through [`Reaper::runs`].
    pub(crate) fn db(&mut self, db: Db, members: u64) {
        self.send(db.len() as u64, Garbage::Db(Box::new(db), Some(members)));
    }

    /// Frees a database, whose slab of members is handed over next.
    pub(crate) fn db_with_members(&mut self, db: Db) {
        self.send(db.len() as u64, Garbage::Db(Box::new(db), None));
    }

    /// Frees the slab of the members of databases that went before.
    pub(crate) fn members(&mut self, slab: Slab) {
        self.send(0, Garbage::Members(Box::new(slab)));
    }

    /// Frees what a key held outside of its entry: at once if that is little.
    pub(crate) fn outline(&mut self, outline: Outline, members: &mut Slab) {
        match outline {
            Outline::Blob(blob) if blob.capacity() >= LARGE => self.send(1, Garbage::Blob(blob)),
            Outline::Blob(blob) => drop(blob),
            Outline::Object(object) if object.pieces() > MANY => {
                self.send(1, Garbage::Object(object, members.id()));
            }
            Outline::Object(object) => object.free(&mut Bin::Now(members)),
        }
    }

    /// Has `excess` free pages of a pool given back to the system. A few are not worth a thread.
    pub(crate) fn trim(&mut self, pool: &Arc<PagePool>, excess: usize) {
        if self.thread.is_some() || excess > FEW * AT_ONCE {
            self.send(0, Garbage::Pages(Arc::clone(pool), excess));
        } else {
            pool.trim_chunk(excess.min(AT_ONCE));
        }
    }

    /// Has the memory of the pages that a pool gives out next made present.
    pub(crate) fn prepare(&mut self, pool: &Arc<PagePool>) {
        pool.note_prepare();
        self.send(0, Garbage::Ahead(Arc::clone(pool)));
    }

    /// Up to `max` runs of blocks that were freed; see [`Slab::take_back`].
    pub(crate) fn runs(&mut self, max: usize) -> Vec<Run> {
        if self.thread.is_none() {
            return Vec::new();
        }
        // Not now, if the thread is just handing in some.
        let Ok(mut runs) = self.shared.runs.try_lock() else { return Vec::new() };
        let rest = runs.len().saturating_sub(max);
        runs.split_off(rest)
    }

    /// Whether nothing waits to be freed, and no blocks wait to be taken back.
    pub(crate) fn is_idle(&self) -> bool {
        self.thread.is_none()
            || (self.shared.pending.load(Ordering::Acquire) == 0
                && self.shared.runs.try_lock().is_ok_and(|runs| runs.is_empty()))
    }

    /// Objects that wait to be freed, and objects freed so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.shared.pending.load(Ordering::Relaxed), self.shared.freed.load(Ordering::Relaxed))
    }

    pub(crate) fn reset_freed(&self) {
        self.shared.freed.store(0, Ordering::Relaxed);
    }

    fn send(&mut self, objects: u64, garbage: Garbage) {
        let (sender, _) = self.thread.get_or_insert_with(|| spawn(Arc::clone(&self.shared)));
        self.shared.pending.fetch_add(objects, Ordering::Relaxed);
        sender.send(garbage).expect("the reaper's thread ends after its sender");
    }
}

impl Drop for Reaper {
    /// Waits for the thread, which uses memory of its owner.
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            thread.join().expect("freeing memory does not panic");
        }
    }
}

fn spawn(shared: Arc<Shared>) -> (Sender<Garbage>, JoinHandle<()>) {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new()
        .name("lazy-free".into())
        .spawn(move || run(&receiver, &shared))
        .expect("the system has room for one more thread");
    (sender, thread)
}

fn run(garbage: &Receiver<Garbage>, shared: &Shared) {
    yield_to_others();
    let mut rests = Rests::new();
    while let Some(piece) = next(garbage, &mut rests) {
        let objects = free(piece, shared, &mut rests);
        // The runs are there for whoever sees that nothing is pending.
        shared.pending.fetch_sub(objects, Ordering::Release);
        shared.freed.fetch_add(objects, Ordering::Relaxed);
    }
}

/// The next piece; `None` at the end.
fn next(garbage: &Receiver<Garbage>, rests: &mut Rests) -> Option<Garbage> {
    match garbage.try_recv() {
        Ok(piece) => Some(piece),
        Err(TryRecvError::Disconnected) => None,
        Err(TryRecvError::Empty) => {
            let piece = garbage.recv().ok();
            // Whoever handed it in is in the middle of something, which shall not take longer for that.
            rests.rest();
            piece
        }
    }
}

/// Frees a piece; returns how many objects it was.
fn free(piece: Garbage, shared: &Shared, rests: &mut Rests) -> u64 {
    match piece {
        Garbage::Db(db, members) => {
            let objects = db.len() as u64;
            match members {
                Some(members) => hand_back(shared, members, rests, |bin| db.dismantle(bin)),
                None => db.dismantle(&mut Bin::WholeLater(rests)),
            }
            objects
        }
        Garbage::Members(slab) => {
            slab.dismantle(rests);
            0
        }
        Garbage::Blob(blob) => {
            drop(blob);
            1
        }
        Garbage::Object(object, members) => {
            hand_back(shared, members, rests, |bin| object.free(bin));
            1
        }
        Garbage::Pages(pool, mut excess) => {
            while let Some(trimmed) = pool.trim_chunk(excess) {
                excess -= trimmed;
                // The system holds a lock over the address space meanwhile, for which page faults of the owner
                // wait: never in one go.
                std::thread::sleep(BETWEEN_CHUNKS);
            }
            0
        }
        Garbage::Ahead(pool) => {
            pool.prepare(rests);
            0
        }
    }
}

/// Frees something with a bin whose blocks then go back to the owner.
fn hand_back(shared: &Shared, members: u64, rests: &mut Rests, free: impl FnOnce(&mut Bin<'_>)) {
    let mut runs = Runs::new(members, *rests);
    free(&mut Bin::Later(&mut runs));
    *rests = runs.rests();
    let runs: Vec<Run> = runs.into_runs().collect();
    shared.runs.lock().expect("no holder of the lock panics").extend(runs);
}

/// Lets the owner of the keyspace go first if both share a core.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        // Priorities are per thread there. Without the permission the thread is as important as others.
        let _priority = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
    }
}
