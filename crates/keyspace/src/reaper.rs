//! The thread that frees what would take the owner of the keyspace too long.

use crate::db::Db;
use crate::pages::PagePool;
use crate::value::Blob;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Blobs of at least this many bytes are freed in the background: giving them back to the system takes
/// longer than handing them over.
pub(crate) const LARGE: usize = 64 * 1024;
/// Pause between two chunks that are given back to the system: 1 GB takes 0.1 s more.
const BETWEEN_CHUNKS: Duration = Duration::from_micros(200);

enum Garbage {
    Db(Box<Db>),
    Blob(Blob),
    /// Free pages, to be given back to the system.
    Pages(Arc<PagePool>),
}

/// Hands garbage to a thread, which starts with the first piece.
#[derive(Default)]
pub(crate) struct Reaper {
    sender: Option<Sender<Garbage>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    /// Keys or values handed over and not yet freed.
    pending: AtomicU64,
    freed: AtomicU64,
}

impl Reaper {
    pub(crate) fn db(&mut self, db: Db) {
        self.send(db.len() as u64, Garbage::Db(Box::new(db)));
    }

    pub(crate) fn blob(&mut self, blob: Blob) {
        if blob.capacity() >= LARGE {
            self.send(1, Garbage::Blob(blob));
        }
    }

    /// Has the free pages of a pool given back to the system.
    pub(crate) fn trim(&mut self, pool: &Arc<PagePool>) {
        self.send(0, Garbage::Pages(Arc::clone(pool)));
    }

    /// Objects that wait to be freed, and objects freed so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.counters.pending.load(Ordering::Relaxed), self.counters.freed.load(Ordering::Relaxed))
    }

    pub(crate) fn reset_freed(&self) {
        self.counters.freed.store(0, Ordering::Relaxed);
    }

    fn send(&mut self, objects: u64, garbage: Garbage) {
        let sender = self.sender.get_or_insert_with(|| spawn(Arc::clone(&self.counters)));
        self.counters.pending.fetch_add(objects, Ordering::Relaxed);
        sender.send(garbage).expect("the reaper's thread ends after its sender");
    }
}

fn spawn(counters: Arc<Counters>) -> Sender<Garbage> {
    let (sender, receiver) = channel();
    std::thread::Builder::new()
        .name("lazy-free".into())
        .spawn(move || {
            yield_to_others();
            for garbage in receiver {
                let objects = match garbage {
                    Garbage::Db(db) => {
                        let n = db.len() as u64;
                        drop(db);
                        n
                    }
                    Garbage::Blob(blob) => {
                        drop(blob);
                        1
                    }
                    Garbage::Pages(pool) => {
                        while pool.trim_chunk() {
                            // The system holds a lock over the address space meanwhile, for which page faults
                            // of the owner wait: never in one go.
                            std::thread::sleep(BETWEEN_CHUNKS);
                        }
                        0
                    }
                };
                counters.pending.fetch_sub(objects, Ordering::Relaxed);
                counters.freed.fetch_add(objects, Ordering::Relaxed);
            }
        })
        .expect("the system has room for one more thread");
    sender
}

/// Lets the owner of the keyspace go first if both share a core.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        // Priorities are per thread there. Without the permission the thread is as important as others.
        let _priority = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
    }
}
