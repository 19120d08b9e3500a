//! Writing a snapshot to a file, on a thread of its own.
//!
//! The file is written under a temporary name, synced, renamed, and the directory synced. So at any moment, also after a
//! power cut, there is the old file or the new one, whole. If anything fails, the temporary file is removed and the old
//! one stays.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::KeyDelay;
use crate::aof::{BaseCommands, BaseOptions};
use crate::disk::{Disk, DiskFile};
use crate::rdb::WriteOptions;
use crate::snapshot::{Access, Assembler, Batch};

/// Bytes that are collected before they are written, and those that are written at once.
const CHUNK: usize = 512 << 10;
const PIECE: usize = 64 << 10;

/// After so many bytes a file that is written in the background is synced, and leaves the system's memory: the disk then
/// has a steady load instead of one that ends in a long sync, and the pages serve again. So do the peers.
const SYNCED: usize = 4 << 20;

/// With so many bytes in the queue, the owner of the keyspace had better wait.
const QUEUE: usize = 16 << 20;

/// With so few again, it is woken.
const LOW: usize = QUEUE / 4;

/// The longest sleep between two looks at whether the save was cancelled.
const NAP: Duration = Duration::from_millis(5);

/// What is written, and where.
pub struct Plan {
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// The name of the file until it is complete.
    pub temporary: PathBuf,
    /// Its name from then on.
    pub target: PathBuf,
    /// How it is written.
    pub options: WriteOptions,
    /// What is remembered of the use of keys.
    pub access: Access,
    /// Names and values about the file.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// The sources of the libraries of functions.
    pub functions: Vec<Vec<u8>>,
    /// Databases that have keys: number, keys, keys with a deadline.
    pub databases: Vec<(usize, usize, usize)>,
    /// Whether the file holds commands instead, and which.
    pub commands: Option<BaseOptions>,
    /// Whether the thread gives way to others.
    pub background: bool,
    /// Whether the file is synced in steps while it is written.
    pub sync_in_steps: bool,
    /// The time that keys take in addition.
    pub delay: KeyDelay,
}

/// Why there is no new file.
#[derive(Debug)]
pub enum SaveError {
    /// The disk failed, while doing what the text says.
    Disk(&'static str, io::Error),
    /// The snapshot was given up.
    Cancelled,
    /// There are deadlines of fields that the format does not know.
    Format,
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SaveError::Disk(what, error) => write!(f, "{what}: {error}"),
            SaveError::Cancelled => f.write_str("the snapshot was given up"),
            SaveError::Format => f.write_str("the format does not know deadlines of fields"),
        }
    }
}

impl std::error::Error for SaveError {}

/// A file that was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Saved {
    /// Keys in it.
    pub keys: u64,
    /// Its length.
    pub bytes: u64,
}

/// What both threads see.
#[derive(Default)]
struct Shared {
    queued: Arc<AtomicUsize>,
    cancelled: AtomicBool,
    /// Whether the owner of the keyspace waits for the queue to get shorter.
    waits: AtomicBool,
    keys: AtomicU64,
}

/// A save that is under way.
pub struct Save {
    shared: Arc<Shared>,
    outcome: Receiver<Result<Saved, SaveError>>,
}

impl Save {
    /// Starts the thread. Batches go to the sender that is returned, and count in [`Save::queued`]. `wake` is called on
    /// the thread when there is an outcome, and when a full queue has become short.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(plan: Plan, wake: Arc<dyn Fn() + Send + Sync>) -> io::Result<(Save, Sender<Batch>)> {
        let (sender, batches) = channel();
        let (report, outcome) = channel();
        let shared = Arc::new(Shared::default());
        let mut writer = Writer { plan, shared: Arc::clone(&shared), wake };
        thread::Builder::new().name("save".into()).spawn(move || {
            if writer.plan.background {
                give_way();
            }
            let result = writer.run(&batches);
            // What is still queued counts until it is gone.
            drop(batches);
            // Whoever started it may be gone.
            report.send(result).unwrap_or(());
            (writer.wake)();
        })?;
        Ok((Save { shared, outcome }, sender))
    }

    /// Bytes in batches that were not written yet.
    pub fn queued(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.shared.queued)
    }

    /// Whether the queue is so long that the walk had better pause. The loop is woken when it is short again.
    pub fn is_behind(&self) -> bool {
        let is_long = || self.shared.queued.load(Ordering::Relaxed) > QUEUE;
        if !is_long() {
            return false;
        }
        self.shared.waits.store(true, Ordering::SeqCst);
        is_long()
    }

    /// Keys written so far.
    pub fn keys(&self) -> u64 {
        self.shared.keys.load(Ordering::Relaxed)
    }

    /// Gives the save up. There is an outcome nevertheless: the file may have been complete already.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// The outcome, once there is one.
    pub fn poll(&self) -> Option<Result<Saved, SaveError>> {
        self.outcome.try_recv().ok()
    }

    /// Waits for the outcome, but no longer than this.
    pub fn wait(&self, at_most: Duration) -> Option<Result<Saved, SaveError>> {
        self.outcome.recv_timeout(at_most).ok()
    }
}

/// Lowers the priority of the calling thread as far as possible. It still gets all of a processor that nobody else uses.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        log::debug!("The priority of the thread that saves stays as it is: {error}");
    }
}

/// Bytes of the file.
#[derive(Default)]
struct Written {
    all: u64,
    /// Since the last sync.
    unsynced: usize,
}

struct Writer {
    plan: Plan,
    shared: Arc<Shared>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// What fails with an error of the disk.
fn at<T>(what: &'static str, result: io::Result<T>) -> Result<T, SaveError> {
    result.map_err(|error| SaveError::Disk(what, error))
}

impl Writer {
    /// Writes the file; if that fails, nothing is left of it.
    fn run(&mut self, batches: &Receiver<Batch>) -> Result<Saved, SaveError> {
        let result = self.write(batches).and_then(|saved| self.publish().map(|()| saved));
        if result.is_err() {
            match self.plan.disk.remove(&self.plan.temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    log::warn!("Failed to remove {}: {error}", self.plan.temporary.display());
                }
                _ => {}
            }
        }
        result
    }

    fn write(&mut self, batches: &Receiver<Batch>) -> Result<Saved, SaveError> {
        let mut file = at("Failed opening the temp file", self.plan.disk.create(&self.plan.temporary))?;
        let mut assembler = self.begin();
        let mut commands = self.plan.commands.map(BaseCommands::new);
        let mut bytes = Written::default();
        loop {
            let batch = batches.recv().map_err(|_| SaveError::Cancelled)?;
            let is_last = batch.is_last();
            assembler.batch(batch).map_err(|_| SaveError::Format)?;
            self.after_batch(assembler.keys())?;
            if is_last {
                break;
            }
            if assembler.len() >= CHUNK {
                self.put(&mut *file, &form(&mut commands, assembler.take())?, &mut bytes)?;
            }
        }
        let keys = assembler.keys();
        self.put(&mut *file, &form(&mut commands, assembler.finish())?, &mut bytes)?;
        at("Failed syncing the temp file", file.sync())?;
        if self.plan.sync_in_steps {
            file.forget();
        }
        Ok(Saved { keys, bytes: bytes.all })
    }

    fn begin(&self) -> Assembler {
        let mut assembler = Assembler::new(self.plan.options, self.plan.access);
        self.plan.aux.iter().for_each(|(name, value)| assembler.aux(name, value));
        self.plan.functions.iter().for_each(|code| assembler.function(code));
        for (db, keys, volatile) in &self.plan.databases {
            assembler.database(*db, *keys, *volatile);
        }
        assembler
    }

    /// Appends to the file.
    fn put(&self, file: &mut dyn DiskFile, bytes: &[u8], written: &mut Written) -> Result<(), SaveError> {
        for piece in bytes.chunks(PIECE) {
            at("Write error saving DB on disk", file.write_all(piece))?;
            self.rest();
        }
        written.all += bytes.len() as u64;
        written.unsynced += bytes.len();
        if self.plan.sync_in_steps && written.unsynced >= SYNCED {
            written.unsynced = 0;
            at("Failed syncing the temp file", file.sync())?;
            file.forget();
        }
        Ok(())
    }

    /// To be called after some 0.1 ms of work: if the loop, or a client of this machine, waits for the processor that this
    /// thread is on, it gets it now, and not when the system thinks that it is time, milliseconds later.
    fn rest(&self) {
        if self.plan.background {
            thread::yield_now();
        }
    }

    /// Tells others how far it is, and takes the time that the plan wants it to take.
    fn after_batch(&self, keys: u64) -> Result<(), SaveError> {
        self.rest();
        let before = self.shared.keys.swap(keys, Ordering::Relaxed);
        if self.shared.queued.load(Ordering::Relaxed) < LOW && self.shared.waits.swap(false, Ordering::SeqCst)
        {
            (self.wake)();
        }
        let mut left = self.plan.delay.of(keys - before);
        while !left.is_zero() && !self.is_cancelled() {
            let nap = left.min(NAP);
            thread::park_timeout(nap);
            left -= nap;
        }
        if self.is_cancelled() { Err(SaveError::Cancelled) } else { Ok(()) }
    }

    fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Relaxed)
    }

    /// Gives the complete file its name.
    fn publish(&self) -> Result<(), SaveError> {
        if self.is_cancelled() {
            return Err(SaveError::Cancelled);
        }
        let Plan { disk, temporary, target, .. } = &self.plan;
        at("Error moving temp DB file on the final destination", disk.rename(temporary, target))?;
        at("Failed syncing the directory", disk.sync_dir(target.parent().unwrap_or(Path::new(""))))
    }
}

/// A part of the file as it is wanted.
fn form(commands: &mut Option<BaseCommands>, chunk: Vec<u8>) -> Result<Vec<u8>, SaveError> {
    match commands {
        None => Ok(chunk),
        Some(commands) => commands.feed(&chunk).map_err(|_| SaveError::Format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultyDisk;
    use crate::rdb::{LoadOptions, Loader, Progress};
    use crate::snapshot::Capture;
    use carnelian_keyspace::{Keyspace, Options, Ttl};

    const TARGET: &str = "dump.rdb";
    const TEMPORARY: &str = "temp-1.rdb";

    fn plan(disk: &FaultyDisk) -> Plan {
        Plan {
            disk: Arc::new(disk.clone()),
            temporary: TEMPORARY.into(),
            target: TARGET.into(),
            options: WriteOptions::default(),
            access: Access::Nothing,
            aux: vec![(b"name".to_vec(), b"value".to_vec())],
            functions: Vec::new(),
            sync_in_steps: true,
            databases: Vec::new(),
            commands: None,
            background: false,
            delay: KeyDelay::default(),
        }
    }

    fn keyspace(keys: usize) -> Keyspace {
        let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
        for i in 0..keys {
            let name = format!("key:{i}");
            let key = keyspace.key(name.as_bytes());
            let mut guard = keyspace.write(0, key);
            guard.set(&[i as u8; 100], Ttl::Clear);
            guard.commit(&[]);
        }
        keyspace
    }

    fn save(keyspace: &mut Keyspace, plan: Plan) -> Result<Saved, SaveError> {
        let (save, sender) = Save::start(plan, Arc::new(|| {})).expect("started");
        assert!(keyspace.begin_snapshot(Box::new(Capture::new(sender, save.queued(), Access::Nothing))));
        while keyspace.snapshot_active() {
            keyspace.step_snapshot(16);
        }
        save.wait(Duration::from_secs(60)).expect("an outcome")
    }

    fn keys_in(disk: &FaultyDisk) -> u64 {
        let bytes = disk.contents(Path::new(TARGET)).expect("there is a file");
        let mut loader = Loader::new(LoadOptions::default());
        assert_eq!(loader.feed(&bytes, &mut keyspace(0)), Ok(Progress::Done));
        loader.loaded().keys
    }

    #[test]
    fn a_save_survives_a_power_cut() {
        let disk = FaultyDisk::new(1);
        let saved = save(&mut keyspace(5000), plan(&disk)).expect("saved");
        disk.power_cut();
        assert_eq!((saved.keys, keys_in(&disk)), (5000, 5000));
        assert_eq!(disk.len(Path::new(TARGET)).expect("known"), saved.bytes);
    }

    #[test]
    fn whenever_the_disk_fails_the_old_file_stays() {
        let disk = FaultyDisk::new(1);
        save(&mut keyspace(10), plan(&disk)).expect("saved");
        let (mut larger, start) = (keyspace(20_000), disk.operations());
        save(&mut larger, plan(&disk)).expect("saved");
        let operations = disk.operations() - start;
        assert!(operations >= 5, "{operations}");
        for n in 0..operations {
            let disk = FaultyDisk::new(n);
            save(&mut keyspace(10), plan(&disk)).expect("saved");
            disk.fail_once_after(n);
            assert!(matches!(save(&mut larger, plan(&disk)), Err(SaveError::Disk(..))), "{n}");
            // A directory that cannot be synced has the new name, though it may not last.
            let now = if n == operations - 1 { 20_000 } else { 10 };
            assert_eq!((keys_in(&disk), disk.contents(Path::new(TEMPORARY))), (now, None), "{n}");
            disk.power_cut();
            assert_eq!(keys_in(&disk), 10, "{n}");
        }
    }

    #[test]
    fn a_power_cut_at_any_moment_leaves_a_whole_file() {
        for n in 0..60 {
            let disk = FaultyDisk::new(n);
            save(&mut keyspace(10), plan(&disk)).expect("saved");
            disk.fail_after(n % 9);
            drop(save(&mut keyspace(3000), plan(&disk)));
            disk.uneven_power_cut();
            assert!(matches!(keys_in(&disk), 10 | 3000), "{n}");
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_nothing_behind() {
        let disk = FaultyDisk::new(1);
        disk.set_capacity(1000);
        let error = save(&mut keyspace(1000), plan(&disk)).expect_err("there is no room");
        assert!(error.to_string().starts_with("Write error saving DB on disk"), "{error}");
        assert_eq!(disk.list(Path::new("")).expect("listed"), [""; 0]);
    }

    #[test]
    fn a_save_can_be_given_up() {
        let disk = FaultyDisk::new(1);
        let slow = Plan { delay: KeyDelay(3_600_000_000), ..plan(&disk) };
        let mut keyspace = keyspace(10);
        let (save, sender) = Save::start(slow, Arc::new(|| {})).expect("started");
        keyspace.begin_snapshot(Box::new(Capture::new(sender, save.queued(), Access::Nothing)));
        while keyspace.snapshot_active() {
            keyspace.step_snapshot(16);
        }
        assert!(save.poll().is_none());
        save.cancel();
        let outcome = save.wait(Duration::from_secs(60)).expect("an outcome");
        assert!(matches!(outcome, Err(SaveError::Cancelled)), "{outcome:?}");
        assert_eq!(disk.list(Path::new("")).expect("listed"), [""; 0]);
    }

    #[test]
    fn whoever_waits_for_the_queue_is_woken() {
        let (woken, wakes) = channel();
        let disk = FaultyDisk::new(1);
        let wake = move || woken.send(()).unwrap_or(());
        let wake = std::sync::Mutex::new(wake);
        let wake = Arc::new(move || wake.lock().expect("nobody panics")());
        let (save, sender) = Save::start(plan(&disk), wake).expect("started");
        let mut keyspace = keyspace(300_000);
        keyspace.begin_snapshot(Box::new(Capture::new(sender, save.queued(), Access::Nothing)));
        while keyspace.snapshot_active() {
            if save.is_behind() {
                wakes.recv_timeout(Duration::from_secs(60)).expect("woken");
            }
            keyspace.step_snapshot(16);
        }
        assert_eq!(save.wait(Duration::from_secs(60)).expect("an outcome").expect("saved").keys, 300_000);
        assert_eq!(save.queued().load(Ordering::Relaxed), 0);
    }
}
