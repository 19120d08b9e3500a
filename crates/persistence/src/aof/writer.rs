//! The thread that writes a log. Whoever owns the dataset hands it bytes and goes on; how far they are written and how
//! far they are on disk is to be read from shared numbers, and `wake` is called when one of them has changed that
//! somebody waits for. Knows nothing of commands, and of time only the seconds between two syncs.
//!
//! What was queued while the disk was busy is written and synced together, so under [`Policy::Always`] one sync covers all
//! of it. Bytes that are not on disk yet are kept: if a write or a sync fails, the file is cut to what is known to be on
//! disk, and after a pause everything behind that is written again. Until that works, [`Log::error`] tells why not.
//!
//! A checkpoint stands behind every 64 KiB, and before each sync, unless so little was written since the last one that it
//! lies within one page: that is written as a whole or not at all, and gets its checkpoint with what follows. A log that
//! has rested, or is closed, is sealed: behind the last checkpoint stands another one, which says that everything before it
//! was on disk, so that nothing which is wrong there can be mistaken for a torn write.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::checkpoint::Checkpoints;
use crate::disk::{Disk, DiskFile};

/// Bytes behind which a checkpoint stands.
const SEGMENT: u64 = 64 << 10;
/// The disk writes so many aligned bytes as a whole.
const PAGE: u64 = 4096;
/// Between two syncs of [`Policy::EverySecond`].
const SECOND: Duration = Duration::from_secs(1);
/// Between two tries after an error.
const RETRY: Duration = Duration::from_millis(100);
/// So much is kept in memory for the case of an error; then there is a sync.
const MAX_UNSYNCED: u64 = 64 << 20;
/// Empty buffers that are kept, and the bytes of each.
const SPARE: (usize, usize) = (4, 4 << 20);

/// When what was written is put on disk for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// At once.
    Always,
    /// Once per second.
    EverySecond,
    /// When the system does.
    Never,
}

/// How a log is opened.
pub struct Opening {
    /// The directory.
    pub directory: PathBuf,
    /// The file that is continued, within it; created if it is not there.
    pub file: PathBuf,
    /// The state of its checkpoints.
    pub checkpoints: Checkpoints,
    /// When to sync.
    pub policy: Policy,
}

enum Job {
    Append(Vec<u8>),
    /// Goes on in a new file, which the manifest with this text names, if it is to be replaced.
    Rotate {
        file: PathBuf,
        manifest: Option<(PathBuf, Vec<u8>)>,
    },
    /// Gives the file a name, replaces the manifest and removes files.
    Publish {
        rename: Option<(PathBuf, PathBuf)>,
        manifest: (PathBuf, Vec<u8>),
        remove: Vec<PathBuf>,
    },
}

/// What became of a [`Log::rotate`] or [`Log::publish`], in the order of the calls.
pub type Done = Result<(), String>;

struct Queue {
    jobs: VecDeque<Job>,
    done: VecDeque<Done>,
    spare: Vec<Vec<u8>>,
    policy: Policy,
    /// Everything is to be on disk, whatever the policy says, before the thread rests.
    flush: bool,
    /// The thread is to end once everything is written, or cannot be.
    stop: bool,
    error: Option<String>,
    /// The thread waits for work. Telling a thread that does not wait would cost the loop a system call.
    idle: bool,
    /// The owner waits for progress.
    awaited: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    /// Signalled when something has become durable, has failed, or is done.
    progress: Condvar,
    appended: AtomicU64,
    written: AtomicU64,
    durable: AtomicU64,
    file_size: AtomicU64,
    syncing: AtomicBool,
    delayed_syncs: AtomicU64,
    failed: AtomicBool,
    /// Whether the owner waits for progress.
    wanted: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, job: Job) {
        queue.jobs.push_back(job);
        if std::mem::take(&mut queue.idle) {
            self.work.notify_one();
        }
    }
}

/// A log that is being written: the owner's side. Offsets count the bytes that were given to [`Log::append`].
pub struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// Starts the thread, after putting on disk what the file holds.
    ///
    /// # Errors
    /// The file cannot be opened or synced, or there cannot be another thread.
    pub fn start(
        disk: Arc<dyn Disk>,
        mut opening: Opening,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Log> {
        let path = opening.directory.join(&opening.file);
        let mut file = disk.append(&path)?;
        let size = opening.checkpoints.offset();
        if size > 0 {
            // Whoever wrote it may have been killed before a sync. What is said to be on disk must be there, since
            // checkpoints tell so, and since the file is cut to it after an error.
            file.sync()?;
            opening.checkpoints.synced();
        }
        let queue = Queue {
            jobs: VecDeque::new(),
            done: VecDeque::new(),
            spare: Vec::new(),
            policy: opening.policy,
            flush: false,
            stop: false,
            error: None,
            idle: false,
            awaited: false,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            work: Condvar::new(),
            progress: Condvar::new(),
            appended: AtomicU64::new(0),
            written: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            file_size: AtomicU64::new(size),
            syncing: AtomicBool::new(false),
            delayed_syncs: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            wake: Box::new(wake),
        });
        let target = Target::new(disk, opening.directory, file, opening.checkpoints);
        let mut writer = Writer { shared: Arc::clone(&shared), target, written: 0, old: Vec::new() };
        let thread = thread::Builder::new().name("aof".into()).spawn(move || writer.run())?;
        Ok(Log { shared, thread: Some(thread) })
    }

    /// Appends bytes: whole commands and transactions. Takes the buffer and returns an empty one. What comes in small
    /// pieces while the thread is busy becomes one write.
    pub fn append(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        self.shared.appended.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut queue = self.shared.lock();
        if let Some(Job::Append(last)) = queue.jobs.back_mut()
            && (last.len() + bytes.len()) as u64 <= SEGMENT
        {
            last.extend_from_slice(&bytes);
            bytes.clear();
            return bytes;
        }
        let spare = queue.spare.pop().unwrap_or_default();
        self.shared.push(queue, Job::Append(bytes));
        spare
    }

    /// Goes on in a new file. If there is a manifest, with its name and text, it is replaced before anything is written
    /// to the file.
    pub fn rotate(&mut self, file: PathBuf, manifest: Option<(PathBuf, Vec<u8>)>) {
        self.shared.push(self.shared.lock(), Job::Rotate { file, manifest });
    }

    /// Replaces the manifest after giving a file its name, and removes files afterwards.
    pub fn publish(
        &mut self,
        rename: Option<(PathBuf, PathBuf)>,
        manifest: (PathBuf, Vec<u8>),
        remove: Vec<PathBuf>,
    ) {
        self.shared.push(self.shared.lock(), Job::Publish { rename, manifest, remove });
    }

    /// What has become of the earliest [`Log::rotate`] or [`Log::publish`] that is done and was not asked for.
    pub fn take_done(&mut self) -> Option<Done> {
        self.shared.lock().done.pop_front()
    }

    /// Waits for that.
    pub fn wait_done(&mut self) -> Done {
        let mut queue = self.shared.lock();
        loop {
            if let Some(done) = queue.done.pop_front() {
                return done;
            }
            queue = self.wait(queue);
        }
    }

    fn wait<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.awaited = true;
        let mut queue = self.shared.progress.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
        queue.awaited = false;
        queue
    }

    /// Changes when to sync.
    pub fn set_policy(&mut self, policy: Policy) {
        self.shared.lock().policy = policy;
        self.shared.work.notify_one();
    }

    /// Waits until everything that was appended is on disk.
    ///
    /// # Errors
    /// Why it is not. The thread goes on trying.
    pub fn flush(&mut self) -> Result<(), String> {
        let mut queue = self.shared.lock();
        queue.flush = true;
        self.shared.work.notify_one();
        loop {
            if let Some(error) = &queue.error {
                return Err(error.clone());
            }
            if !queue.flush {
                return Ok(());
            }
            queue = self.wait(queue);
        }
    }

    /// Wants to be woken at the next progress; without, only by errors and by what is done.
    pub fn want_progress(&mut self) {
        self.shared.wanted.store(true, Ordering::Release);
    }

    /// Wants everything on disk, without waiting for it.
    pub fn sync_soon(&mut self) {
        self.shared.lock().flush = true;
        self.shared.work.notify_one();
    }

    /// Bytes that were appended.
    pub fn appended(&self) -> u64 {
        self.shared.appended.load(Ordering::Relaxed)
    }

    /// How many of them are written.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// How many of them are on disk.
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Bytes of the present file.
    pub fn file_size(&self) -> u64 {
        self.shared.file_size.load(Ordering::Relaxed)
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.shared.syncing.load(Ordering::Relaxed)
    }

    /// Syncs that took so long that the next one was due.
    pub fn delayed_syncs(&self) -> u64 {
        self.shared.delayed_syncs.load(Ordering::Relaxed)
    }

    /// Why nothing can be written at present.
    pub fn error(&self) -> Option<String> {
        if !self.shared.failed.load(Ordering::Acquire) {
            return None;
        }
        self.shared.lock().error.clone()
    }
}

impl Drop for Log {
    /// Waits until everything is on disk, or cannot be.
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::warn!("The thread that writes the append only file has failed.");
        }
    }
}

/// The file that is being written, and what is known of it.
struct Target {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    file: Box<dyn DiskFile>,
    checkpoints: Checkpoints,
    /// The checkpoints of what is on disk.
    durable: Checkpoints,
    /// The checkpoint that is due.
    line: Vec<u8>,
    /// The last line is a checkpoint that directly follows another one, and says that everything before it is on disk; or
    /// there is nothing.
    sealed: bool,
}

impl Target {
    fn new(disk: Arc<dyn Disk>, directory: PathBuf, file: Box<dyn DiskFile>, at: Checkpoints) -> Target {
        let sealed = at.offset() == 0;
        Target { disk, directory, file, durable: at.clone(), checkpoints: at, line: Vec::new(), sealed }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sealed = false;
        self.file.write_all(bytes)?;
        self.checkpoints.add(bytes);
        if self.checkpoints.pending() >= SEGMENT { self.checkpoint() } else { Ok(()) }
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        self.line.clear();
        // Whatever happens to this line, the one before it covers the commands.
        let seals = self.checkpoints.pending() == 0 && self.checkpoints.vouches();
        self.checkpoints.write(&mut self.line);
        self.file.write_all(&self.line)?;
        self.sealed = seals;
        Ok(())
    }

    /// Lets a checkpoint follow what is on disk, and puts that on disk too.
    fn seal(&mut self) -> io::Result<()> {
        if self.sealed {
            return Ok(());
        }
        self.checkpoint()?;
        self.sync(false)
    }

    /// To be called before bytes are written that get a sync of their own: what lies before them gets its checkpoint if
    /// they do not fit into its page.
    fn prepare(&mut self, bytes: u64) -> io::Result<()> {
        let begin = self.checkpoints.offset() - self.checkpoints.pending();
        let fits = same_page(begin, self.checkpoints.offset() + bytes);
        if self.checkpoints.pending() > 0 && !fits { self.checkpoint() } else { Ok(()) }
    }

    fn sync(&mut self, idle: bool) -> io::Result<()> {
        let pending = self.checkpoints.pending();
        let begin = self.checkpoints.offset() - pending;
        if pending > 0 && (idle || !same_page(begin, self.checkpoints.offset())) {
            self.checkpoint()?;
        }
        self.file.sync()?;
        self.checkpoints.synced();
        self.durable = self.checkpoints.clone();
        Ok(())
    }

    /// Goes back to what is on disk.
    fn rewind(&mut self) -> io::Result<()> {
        self.checkpoints = self.durable.clone();
        self.sealed = false;
        self.file.truncate(self.durable.offset())
    }

    fn rotate(&mut self, name: &Path, manifest: Option<&(PathBuf, Vec<u8>)>) -> Result<(), Failed> {
        let file = self.disk.create(&self.directory.join(name)).map_err(Failed::Undone)?;
        self.disk.sync_dir(&self.directory).map_err(Failed::Undone)?;
        if let Some((name, text)) = manifest {
            let temporary = prepare(&*self.disk, &self.directory, name, text).map_err(Failed::Undone)?;
            commit(&*self.disk, &self.directory, &temporary, name).map_err(Failed::Unclear)?;
        }
        self.file = file;
        self.checkpoints = Checkpoints::at(0);
        self.durable = Checkpoints::at(0);
        self.sealed = true;
        Ok(())
    }
}

/// Why a new file was not begun.
enum Failed {
    /// The manifest is as it was.
    Undone(io::Error),
    /// The manifest on disk may name the new file.
    Unclear(io::Error),
}

fn same_page(begin: u64, end: u64) -> bool {
    end == begin || begin / PAGE == (end - 1) / PAGE
}

/// Replaces a small file, so that after a crash there is the old one or the new one.
///
/// # Errors
/// Those of the system. The old one remains.
pub fn replace(disk: &dyn Disk, directory: &Path, name: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = prepare(disk, directory, name, text)?;
    commit(disk, directory, &temporary, name)
}

/// Writes the new text to another file.
fn prepare(disk: &dyn Disk, directory: &Path, name: &Path, text: &[u8]) -> io::Result<PathBuf> {
    let temporary = directory.join(format!("temp-{}", name.display()));
    let mut file = disk.create(&temporary)?;
    file.write_all(text)?;
    file.sync()?;
    Ok(temporary)
}

/// Gives that file its name. After an error it may have it or not.
fn commit(disk: &dyn Disk, directory: &Path, temporary: &Path, name: &Path) -> io::Result<()> {
    disk.rename(temporary, &directory.join(name))?;
    disk.sync_dir(directory)
}

/// The thread's side.
struct Writer {
    shared: Arc<Shared>,
    target: Target,
    /// Bytes of all that was appended which are in the file.
    written: u64,
    /// What is in the file and not known to be on disk.
    old: Vec<Vec<u8>>,
}

/// What there is to do.
struct Round {
    jobs: VecDeque<Job>,
    policy: Policy,
    /// Sync, whatever the policy says.
    flush: bool,
    stop: bool,
}

impl Writer {
    fn run(&mut self) {
        let mut since_sync = Clock::start();
        loop {
            let round = self.next_round(&since_sync);
            if round.stop {
                // The last sync leaves nothing without a checkpoint.
                since_sync.elapse();
            }
            let must_sync = round.flush || round.stop || round.policy == Policy::Always;
            let mut worked = self.work(round.jobs, must_sync, round.policy, &mut since_sync);
            if round.stop {
                worked = worked.and_then(|()| self.target.seal().map_err(|error| (error, VecDeque::new())));
            }
            if let Err(error) = worked {
                self.recover(error, &mut since_sync);
            }
            self.report(round.flush);
            if round.stop && self.shared.lock().jobs.is_empty() {
                return;
            }
        }
    }

    /// Waits for work: jobs, a sync that is due, the end.
    fn next_round(&mut self, since_sync: &Clock) -> Round {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.lock();
        loop {
            let unsynced = self.target.durable.offset() < self.target.checkpoints.offset();
            let without = self.target.checkpoints.pending() > 0;
            let left = match queue.policy {
                Policy::Always if unsynced && !without => Duration::ZERO,
                // A checkpoint may be missing, or the seal.
                Policy::Always | Policy::EverySecond if unsynced || !self.target.sealed => since_sync.left(),
                Policy::Never if without => since_sync.left(),
                _ => Duration::MAX,
            };
            if !queue.jobs.is_empty() || queue.flush || queue.stop || left.is_zero() {
                queue.idle = false;
                let (policy, flush, stop) = (queue.policy, queue.flush, queue.stop);
                return Round { jobs: std::mem::take(&mut queue.jobs), policy, flush, stop };
            }
            queue.idle = true;
            queue = if left == Duration::MAX {
                shared.work.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner)
            } else {
                shared.work.wait_timeout(queue, left).unwrap_or_else(std::sync::PoisonError::into_inner).0
            };
        }
    }

    fn work(
        &mut self,
        mut jobs: VecDeque<Job>,
        must_sync: bool,
        policy: Policy,
        since_sync: &mut Clock,
    ) -> Result<(), (io::Error, VecDeque<Job>)> {
        let group: u64 = jobs.iter().map(Job::len).sum();
        if policy == Policy::Always
            && let Err(error) = self.target.prepare(group)
        {
            return Err((error, jobs));
        }
        while let Some(job) = jobs.pop_front() {
            let result = match job {
                Job::Append(bytes) => self.append(bytes),
                Job::Rotate { file, manifest } => match self.rotate(&file, manifest.as_ref()) {
                    Err(Failed::Unclear(error)) => {
                        // Either file may be the last one, so nothing is written until it is clear which is.
                        jobs.push_front(Job::Rotate { file, manifest });
                        Err(error)
                    }
                    Err(Failed::Undone(error)) => Err(error),
                    Ok(()) => Ok(()),
                },
                Job::Publish { rename, manifest, remove } => {
                    let done = self.publish(rename, &manifest, &remove);
                    self.done(done);
                    Ok(())
                }
            };
            if let Err(error) = result {
                return Err((error, jobs));
            }
        }
        self.complete(group, must_sync, policy, since_sync).map_err(|error| (error, jobs))
    }

    /// After so many bytes were written: syncs if that is due, or sees to it that a log that rests is complete.
    fn complete(
        &mut self,
        group: u64,
        must_sync: bool,
        policy: Policy,
        since_sync: &mut Clock,
    ) -> io::Result<()> {
        let unsynced = self.target.checkpoints.offset() - self.target.durable.offset();
        let due = since_sync.left().is_zero();
        if must_sync || unsynced > MAX_UNSYNCED || due && policy != Policy::Never {
            return self.sync(group == 0 || due, policy, since_sync);
        }
        if due && self.target.checkpoints.pending() > 0 {
            self.target.checkpoint()?;
            self.shared.file_size.store(self.target.checkpoints.offset(), Ordering::Relaxed);
            since_sync.restart();
        }
        Ok(())
    }

    fn append(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let result = self.target.write(&bytes);
        let size = bytes.len() as u64;
        self.old.push(bytes);
        result?;
        self.written += size;
        self.shared.written.store(self.written, Ordering::Release);
        self.shared.file_size.store(self.target.checkpoints.offset(), Ordering::Relaxed);
        Ok(())
    }

    fn sync(&mut self, idle: bool, policy: Policy, since_sync: &mut Clock) -> io::Result<()> {
        let nothing_new = self.target.durable.offset() == self.target.checkpoints.offset()
            && (!idle || self.target.checkpoints.pending() == 0);
        if nothing_new {
            if idle && since_sync.left().is_zero() {
                self.target.seal()?;
                self.shared.file_size.store(self.target.checkpoints.offset(), Ordering::Relaxed);
            }
            since_sync.restart();
            return Ok(());
        }
        self.shared.syncing.store(true, Ordering::Relaxed);
        let began = Clock::start();
        let result = self.target.sync(idle);
        self.shared.syncing.store(false, Ordering::Relaxed);
        result?;
        if policy == Policy::EverySecond && began.left().is_zero() {
            self.shared.delayed_syncs.fetch_add(1, Ordering::Relaxed);
        }
        if idle || policy != Policy::Always {
            since_sync.restart();
        }
        self.shared.file_size.store(self.target.checkpoints.offset(), Ordering::Relaxed);
        self.shared.durable.store(self.written, Ordering::Release);
        self.give_back();
        Ok(())
    }

    /// Lets the owner use the buffers again.
    fn give_back(&mut self) {
        let mut queue = self.shared.lock();
        for mut buffer in self.old.drain(..) {
            if queue.spare.len() < SPARE.0 && buffer.capacity() <= SPARE.1 {
                buffer.clear();
                queue.spare.push(buffer);
            }
        }
    }

    /// The file must be whole on disk before another one goes on.
    fn rotate(&mut self, file: &Path, manifest: Option<&(PathBuf, Vec<u8>)>) -> Result<(), Failed> {
        if let Err(error) = self.target.sync(true) {
            self.done(Err(error.to_string()));
            return Err(Failed::Undone(error));
        }
        self.shared.durable.store(self.written, Ordering::Release);
        self.old.clear();
        let done = match self.target.rotate(file, manifest) {
            Err(Failed::Unclear(error)) => return Err(Failed::Unclear(error)),
            Err(Failed::Undone(error)) => Err(error.to_string()),
            Ok(()) => Ok(()),
        };
        self.shared.file_size.store(self.target.checkpoints.offset(), Ordering::Relaxed);
        self.done(done);
        Ok(())
    }

    fn publish(
        &mut self,
        rename: Option<(PathBuf, PathBuf)>,
        (name, text): &(PathBuf, Vec<u8>),
        remove: &[PathBuf],
    ) -> Done {
        let Target { disk, directory, .. } = &self.target;
        let path = |name: &Path| directory.join(name);
        if let Some((from, to)) = rename {
            let renamed = disk.rename(&path(&from), &path(&to)).and_then(|()| disk.sync_dir(directory));
            renamed.map_err(|error| format!("{} cannot be renamed: {error}", from.display()))?;
        }
        replace(&**disk, directory, name, text)
            .map_err(|error| format!("{} cannot be written: {error}", name.display()))?;
        for name in remove {
            if let Err(error) = disk.remove(&path(name))
                && error.kind() != io::ErrorKind::NotFound
            {
                log::warn!("Failed to remove {}: {error}", name.display());
            }
        }
        Ok(())
    }

    fn done(&self, done: Done) {
        self.shared.lock().done.push_back(done);
        self.shared.progress.notify_all();
    }

    /// Tells the owner how far the log is.
    fn report(&mut self, flushed: bool) {
        let mut queue = self.shared.lock();
        if queue.error.take().is_some() {
            log::warn!("AOF write error looks solved. The server can write again.");
        }
        let solved = self.shared.failed.swap(false, Ordering::Release);
        if flushed && queue.jobs.is_empty() {
            queue.flush = false;
        }
        if queue.awaited {
            self.shared.progress.notify_all();
        }
        let is_done = !queue.done.is_empty();
        drop(queue);
        if self.shared.wanted.swap(false, Ordering::AcqRel) || solved || is_done {
            (self.shared.wake)();
        }
    }

    /// Something failed: cuts the file to what is on disk and tries again until that works, or until it is of no use.
    fn recover(&mut self, (mut error, rest): (io::Error, VecDeque<Job>), since_sync: &mut Clock) {
        let mut jobs: VecDeque<Job> = self.old.drain(..).map(Job::Append).chain(rest).collect();
        log::warn!("Error writing to the AOF file: {error}");
        loop {
            if self.fail(&error) {
                return;
            }
            self.written = self.shared.durable.load(Ordering::Acquire);
            let tried = match self.target.rewind() {
                Ok(()) => self.work(jobs, true, Policy::Always, since_sync),
                Err(error) => Err((error, jobs)),
            };
            match tried {
                Ok(()) => return,
                Err((failed, rest)) => {
                    error = failed;
                    jobs = self.old.drain(..).map(Job::Append).chain(rest).collect();
                }
            }
        }
    }

    /// Tells the owner of an error, and waits a moment. Whether to give up.
    fn fail(&self, error: &io::Error) -> bool {
        let mut queue = self.shared.lock();
        queue.error = Some(reason(error));
        self.shared.failed.store(true, Ordering::Release);
        self.shared.progress.notify_all();
        if queue.stop {
            queue.jobs.clear();
            return true;
        }
        drop(queue);
        (self.shared.wake)();
        let pause = Clock::start();
        let mut queue = self.shared.lock();
        while !queue.stop && pause.elapsed() < RETRY {
            let wait = self.shared.work.wait_timeout(queue, RETRY);
            queue = wait.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        false
    }
}

/// What the system says, without its number, since clients are told.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((reason, _)) if error.raw_os_error().is_some() => reason.to_owned(),
        _ => text,
    }
}

impl Job {
    fn len(&self) -> u64 {
        match self {
            Job::Append(bytes) => bytes.len() as u64,
            Job::Rotate { .. } | Job::Publish { .. } => 0,
        }
    }
}

/// Measures a second.
#[derive(Clone, Copy)]
struct Clock(Option<std::time::Instant>);

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "syncs are due by the clock, and no other time is at hand here"
    )]
    fn start() -> Clock {
        Clock(Some(std::time::Instant::now()))
    }

    fn restart(&mut self) {
        *self = Clock::start();
    }

    /// The second is over.
    fn elapse(&mut self) {
        self.0 = None;
    }

    fn elapsed(&self) -> Duration {
        self.0.map_or(SECOND, |began| began.elapsed())
    }

    fn left(&self) -> Duration {
        SECOND.saturating_sub(self.elapsed())
    }
}

#[cfg(test)]
mod tests;
