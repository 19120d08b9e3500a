//! Snapshots: what is captured and assembled while the keyspace changes is what the keyspace held at the beginning.

#![expect(clippy::disallowed_methods, reason = "real servers read and write files")]

mod changing;
mod cost;
mod real;
mod render;
mod whole;
mod workload;

use std::cell::{Ref, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use carnelian_keyspace::{Item, Keyspace, SnapshotPart, SnapshotSink};
use carnelian_persistence::rdb::{LoadOptions, Loader, Progress, WriteOptions};
use carnelian_persistence::snapshot::{Access, Assembler, Batch, Capture};

/// The other end of a snapshot that was begun.
pub(crate) struct Save {
    batches: Receiver<Batch>,
    queued: Arc<AtomicUsize>,
    access: Access,
    seen: Rc<RefCell<Seen>>,
}

/// What a snapshot handed out.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub(crate) items: u64,
    pub(crate) opened: u64,
    pub(crate) parts: u64,
    /// The most collections that were open at a time.
    pub(crate) most_open: usize,
    open: BTreeSet<u64>,
}

/// A capture that looks whether things come in the order that they should.
struct Probe {
    capture: Capture,
    seen: Rc<RefCell<Seen>>,
}

impl SnapshotSink for Probe {
    fn item(&mut self, db: usize, item: Item<'_>) {
        self.seen.borrow_mut().items += 1;
        self.capture.item(db, item);
    }

    fn open(&mut self, id: u64, db: usize, item: Item<'_>) {
        let mut seen = self.seen.borrow_mut();
        assert!(seen.open.insert(id), "opened twice");
        seen.most_open = seen.open.len().max(seen.most_open);
        seen.opened += 1;
        self.capture.open(id, db, item);
    }

    fn part(&mut self, id: u64, part: SnapshotPart<'_>) {
        assert!(self.seen.borrow().open.contains(&id), "not open");
        self.seen.borrow_mut().parts += 1;
        self.capture.part(id, part);
    }

    fn close(&mut self, id: u64) {
        let first = self.seen.borrow_mut().open.pop_first();
        assert_eq!(first, Some(id), "collections close in the order in which they were opened");
        self.capture.close(id);
    }

    fn end(&mut self) {
        assert!(self.seen.borrow().open.is_empty(), "still open");
        self.capture.end();
    }
}

impl Save {
    pub(crate) fn begin(keyspace: &mut Keyspace, access: Access) -> Save {
        let (sender, batches) = channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let capture = Capture::new(sender, Arc::clone(&queued), access);
        let seen = Rc::default();
        let probe = Probe { capture, seen: Rc::clone(&seen) };
        assert!(keyspace.begin_snapshot(Box::new(probe)), "no snapshot is under way");
        Save { batches, queued, access, seen }
    }

    /// What was handed out so far.
    pub(crate) fn seen(&self) -> Ref<'_, Seen> {
        self.seen.borrow()
    }

    /// The file, after the end of the snapshot; `None` if it was given up.
    pub(crate) fn file(self, options: WriteOptions) -> Option<Vec<u8>> {
        self.chunks(options).map(|chunks| chunks.concat())
    }

    /// The same as what each batch has added to it.
    pub(crate) fn chunks(self, options: WriteOptions) -> Option<Vec<Vec<u8>>> {
        let mut assembler = Assembler::new(options, self.access);
        let (mut chunks, mut is_complete) = (Vec::new(), false);
        for batch in self.batches {
            is_complete = batch.is_last();
            assembler.batch(batch).expect("the format was chosen for what there is");
            chunks.push(assembler.take());
        }
        assert_eq!(self.queued.load(Ordering::Relaxed), 0, "all batches are gone");
        is_complete.then(|| {
            chunks.push(assembler.finish());
            chunks
        })
    }
}

/// Loads a file into a keyspace whose clock says that nothing has expired.
pub(crate) fn load(file: &[u8]) -> Keyspace {
    let mut keyspace = workload::keyspace(99);
    keyspace.set_now(0);
    let mut loader = Loader::new(LoadOptions::default());
    let mut progress = Progress::More;
    for chunk in file.chunks(10_000) {
        progress = loader.feed(chunk, &mut keyspace).unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(progress, Progress::Done);
    keyspace
}
