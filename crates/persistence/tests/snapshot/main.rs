//! Snapshots: what is captured and assembled while the keyspace changes is what the keyspace held at the beginning.

mod changing;
mod render;
mod whole;
mod workload;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use carnelian_keyspace::Keyspace;
use carnelian_persistence::rdb::{LoadOptions, Loader, Progress, WriteOptions};
use carnelian_persistence::snapshot::{Access, Assembler, Batch, Capture};

/// The other end of a snapshot that was begun.
pub(crate) struct Save {
    batches: Receiver<Batch>,
    queued: Arc<AtomicUsize>,
    access: Access,
}

impl Save {
    pub(crate) fn begin(keyspace: &mut Keyspace, access: Access) -> Save {
        let (sender, batches) = channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let capture = Capture::new(sender, Arc::clone(&queued), access);
        assert!(keyspace.begin_snapshot(Box::new(capture)), "no snapshot is under way");
        Save { batches, queued, access }
    }

    /// The file, after the end of the snapshot; `None` if it was given up.
    pub(crate) fn file(self, options: WriteOptions) -> Option<Vec<u8>> {
        let mut assembler = Assembler::new(options, self.access);
        let (mut file, mut is_complete) = (Vec::new(), false);
        for batch in self.batches {
            is_complete = batch.is_last();
            assembler.batch(batch).expect("the format was chosen for what there is");
            file.extend(assembler.take());
        }
        assert_eq!(self.queued.load(Ordering::Relaxed), 0, "all batches are gone");
        is_complete.then(|| {
            file.extend(assembler.finish());
            file
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
