//! Saving: snapshots of the keyspace that a thread writes to files while commands run.
//!
//! A [`Job`] is a snapshot with its thread. The loop walks the keyspace in slices at the end of its turns, copies what it
//! meets into batches, and never waits for the disk: while the thread is behind, the walk pauses. SAVE and SHUTDOWN walk
//! to the end in one go instead. There is one job at a time, and the rest of a walk that was given up comes before the
//! next one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carnelian_config::{Directive, ShutdownFlags};
use carnelian_persistence::KeyDelay;
use carnelian_persistence::aof::BaseOptions;
use carnelian_persistence::rdb::{Format, WriteOptions, Writer};
use carnelian_persistence::save::{Plan, Save, SaveError, Saved};
use carnelian_persistence::snapshot::{Access, Capture};
use carnelian_scripting::Library;

use super::FILE;
use super::aof::TIMESTAMPS;
use super::loading::Target;
use crate::engine::{REDIS_VERSION, State};
use crate::error::Error;
use crate::generic::dump::{COMPRESSION, FORMAT};

const CHECKSUM: Directive = Directive::named("rdbchecksum");
const SYNC_DUMP: Directive = Directive::named("rdb-save-incremental-fsync");
const SYNC_REWRITE: Directive = Directive::named("aof-rewrite-incremental-fsync");
const KEY_DELAY: Directive = Directive::named("rdb-key-save-delay");
const STOP_WRITES: Directive = Directive::named("stop-writes-on-bgsave-error");
const MAXMEMORY_POLICY: Directive = Directive::named("maxmemory-policy");

/// Nanoseconds that the walk may take per turn of the loop.
const SLICE_NS: u64 = 250_000;

/// Shorter slices do not pay: they begin with cold caches.
const SHORTEST_SLICE_NS: u64 = 20_000;

/// Nanoseconds that a command may spend on the rest of a walk before a save that it asks for.
const HURRY_NS: u64 = 1_000_000;

/// Of the time while clients are active, the walk gets one part in so many.
const SHARE: u64 = 9;

/// For so many nanoseconds after a command, clients count as active.
const ACTIVE_NS: u64 = 1_000_000;

/// Buckets between two looks at the clock.
const BUCKETS: usize = 4;

/// Seconds between a failed save and the next try.
const RETRY_S: u64 = 5;

/// How long the thread of a save that was given up may take to notice.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// What a snapshot is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// The dump file, while the server goes on.
    Background,
    /// The dump file, while everybody waits.
    Foreground,
    /// The base of the append only file, while the server goes on.
    Rewrite,
}

/// A snapshot that is being written.
pub(crate) struct Job {
    purpose: Purpose,
    save: Save,
    began_s: u64,
    /// Changes before it.
    dirty: u64,
    /// Keys of all databases at the beginning.
    keys: u64,
}

/// The present and the past of saving.
pub(crate) struct Saving {
    pub(crate) job: Option<Job>,
    /// Whether a background save is to begin as soon as possible.
    pub(crate) scheduled: bool,
    pacer: Pacer,
    /// The last save that succeeded, and the last background save that began: Unix time in seconds.
    pub(crate) last_save_s: u64,
    last_try_s: u64,
    /// Whether the last background save succeeded.
    pub(crate) last_ok: bool,
    /// How long it took.
    pub(crate) last_duration_s: Option<u64>,
    /// Saves that began.
    pub(crate) saves: u64,
    /// Changes that are in the file.
    dirty_saved: u64,
}

/// Decides when the walk goes on, and for how long. While clients are active, it gets a part of the time that has passed
/// since its last slice. So all turns become longer by the same part, and not a few of them by a whole slice.
#[derive(Default)]
struct Pacer {
    /// From when on time counts for the next slice.
    since_ns: u64,
    longest_ns: u64,
    /// The longest that a slice has had the processor: without what the system did meanwhile.
    longest_cpu_ns: u64,
    /// Commands that had run by the last look, and until when clients count as active.
    processed: u64,
    active_until_ns: u64,
}

impl Pacer {
    /// How many nanoseconds the next slice may take, if it is time for one.
    fn allowance(&mut self, now_ns: u64, processed: u64) -> Option<u64> {
        if processed != self.processed {
            self.processed = processed;
            self.active_until_ns = now_ns + ACTIVE_NS;
        }
        if now_ns >= self.active_until_ns {
            return Some(SLICE_NS);
        }
        let earned_ns = now_ns.saturating_sub(self.since_ns) / (SHARE - 1);
        (earned_ns >= SHORTEST_SLICE_NS).then_some(earned_ns.min(SLICE_NS))
    }

    /// A slice is over. If it was longer than allowed, the next one comes later: by its own work, that is, and not by what
    /// the system did meanwhile.
    fn done(&mut self, allowed_ns: u64, began_ns: u64, ended_ns: u64, cpu_ns: u64) {
        self.longest_ns = self.longest_ns.max(ended_ns.saturating_sub(began_ns));
        self.longest_cpu_ns = self.longest_cpu_ns.max(cpu_ns);
        let debt_ns = cpu_ns.min(2 * SLICE_NS).saturating_sub(allowed_ns);
        self.since_ns = ended_ns + debt_ns * (SHARE - 1);
    }
}

impl Job {
    /// Seconds since it began.
    pub(crate) fn seconds(&self, now_s: u64) -> u64 {
        now_s.saturating_sub(self.began_s)
    }

    /// Whether it is a dump file.
    pub(crate) fn is_dump(&self) -> bool {
        self.purpose != Purpose::Rewrite
    }

    /// Keys that were written, and all.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.save.keys(), self.keys)
    }
}

impl Saving {
    pub(crate) fn new(now_s: u64) -> Saving {
        Saving {
            job: None,
            scheduled: false,
            pacer: Pacer::default(),
            last_save_s: now_s,
            last_try_s: 0,
            last_ok: true,
            last_duration_s: None,
            saves: 0,
            dirty_saved: 0,
        }
    }

    /// Changes since the last save, of all changes.
    pub(crate) fn unsaved(&self, dirty: u64) -> u64 {
        dirty.saturating_sub(self.dirty_saved)
    }

    /// All changes so far are in the file, or came from it.
    pub(crate) fn set_clean(&mut self, dirty: u64) {
        self.dirty_saved = dirty;
    }

    /// Microseconds of the longest slice of a walk, and of the longest without interruptions by the system.
    pub(crate) fn longest_slice_us(&self) -> (u64, u64) {
        (self.pacer.longest_ns / 1000, self.pacer.longest_cpu_ns / 1000)
    }

    /// Whether a dump file is being written, or is about to be as soon as the rest of another walk is done.
    pub(crate) fn is_in_progress(&self, walks: bool) -> bool {
        match &self.job {
            Some(job) => job.is_dump(),
            None => self.scheduled && walks,
        }
    }

    /// Whether the next try must wait after a failure.
    fn rests(&self, now_s: u64) -> bool {
        !self.last_ok && now_s.saturating_sub(self.last_try_s) <= RETRY_S
    }
}

impl State {
    /// Why commands that change the dataset are refused: the last save failed.
    pub(crate) fn refused_for_save(&self) -> Option<Error> {
        let refused = !self.persistence.saving.last_ok
            && self.config.flag(STOP_WRITES)
            && !self.config.save_points().is_empty();
        refused.then_some(Error::NoSave)
    }
}

impl Target<'_> {
    fn now_s(&self) -> u64 {
        self.keyspace.now() / 1000
    }

    /// How a file is written, and in which format payloads in it are if it holds commands.
    fn write_options(&self) -> (WriteOptions, Format) {
        let config = &self.state.config;
        let wanted = Format::named(config.word(FORMAT)).expect("the directive takes the names of formats");
        let timed = (0..self.keyspace.databases()).any(|db| self.keyspace.timed_hashes(db) > 0);
        let format = if timed { wanted.with_field_deadlines() } else { wanted };
        if format != wanted {
            log::info!(
                "Fields of hashes have deadlines, so the file will have a newer version than rdb-format says."
            );
        }
        let options =
            WriteOptions { format, compress: config.flag(COMPRESSION), checksum: config.flag(CHECKSUM) };
        // Values that become payloads have no deadlines, and both lines take version 11.
        (options, if wanted == Format::Redis10 { wanted } else { Format::Common })
    }

    /// What the file is to be, and where.
    fn plan(&mut self, purpose: Purpose, target: PathBuf, as_commands: bool) -> Plan {
        let pid = self.links.identity().pid;
        let is_base = purpose == Purpose::Rewrite;
        let temporary =
            if is_base { format!("temp-rewriteaof-bg-{pid}.aof") } else { format!("temp-{pid}.rdb") };
        let allocated = self.links.process().allocated + self.keyspace.memory().used as u64;
        let (options, payloads) = self.write_options();
        let config = &self.state.config;
        let databases = 0..self.keyspace.databases();
        let now_ms = self.keyspace.now();
        let access = match config.word(MAXMEMORY_POLICY) {
            policy if policy.ends_with("-lru") => Access::Idle(now_ms),
            policy if policy.ends_with("-lfu") => Access::Frequency(now_ms),
            _ => Access::Nothing,
        };
        let facts: [(&str, String); 5] = [
            ("redis-ver", REDIS_VERSION.to_owned()),
            ("redis-bits", usize::BITS.to_string()),
            ("ctime", (now_ms / 1000).to_string()),
            ("used-mem", allocated.to_string()),
            ("aof-base", u8::from(is_base).to_string()),
        ];
        let commands = BaseOptions {
            databases: self.keyspace.databases(),
            written_s: config.flag(TIMESTAMPS).then_some(now_ms / 1000),
            payloads,
        };
        let delay = KeyDelay(config.int(KEY_DELAY));
        let counts = |db| (db, self.keyspace.len(db), self.keyspace.volatile_len(db));
        Plan {
            disk: Arc::clone(&self.state.persistence.storage.disk),
            temporary: target.with_file_name(temporary),
            target,
            options,
            access,
            aux: facts.into_iter().map(|(name, value)| (name.into(), value.into_bytes())).collect(),
            databases: databases.map(counts).filter(|(_, keys, _)| *keys > 0).collect(),
            functions: self
                .state
                .scripting
                .functions()
                .libraries()
                .map(Library::code)
                .map(Into::into)
                .collect(),
            commands: as_commands.then_some(commands),
            background: purpose != Purpose::Foreground,
            // While everybody waits, one sync at the end is the shortest way.
            sync_in_steps: match purpose {
                Purpose::Background => config.flag(SYNC_DUMP),
                Purpose::Foreground => false,
                Purpose::Rewrite => config.flag(SYNC_REWRITE),
            },
            delay,
        }
    }

    /// Begins a snapshot of this moment. No other one is under way, nor the rest of one.
    fn begin_job(&mut self, purpose: Purpose) -> io::Result<()> {
        let target = self.state.path_of(self.links, FILE);
        self.begin_job_at(purpose, target, false)
    }

    /// Begins the snapshot of a rewrite, which becomes the file `target`.
    pub(crate) fn begin_rewrite_job(&mut self, target: PathBuf, as_commands: bool) -> io::Result<()> {
        self.begin_job_at(Purpose::Rewrite, target, as_commands)
    }

    /// A file that holds what there is, without waiting for a thread: for a base without keys.
    pub(crate) fn empty_base(&mut self) -> Vec<u8> {
        let plan = self.plan(Purpose::Rewrite, PathBuf::new(), false);
        let mut writer = Writer::new(plan.options);
        plan.aux.iter().for_each(|(name, value)| writer.aux(name, value));
        writer.finish()
    }

    fn begin_job_at(&mut self, purpose: Purpose, target: PathBuf, as_commands: bool) -> io::Result<()> {
        let plan = self.plan(purpose, target, as_commands);
        let access = plan.access;
        let keys = plan.databases.iter().map(|(_, keys, _)| *keys as u64).sum();
        let (save, sender) = Save::start(plan, Arc::clone(&self.state.persistence.storage.wake))?;
        let began = self.keyspace.begin_snapshot(Box::new(Capture::new(sender, save.queued(), access)));
        assert!(began, "the snapshot before this one has ended");
        let (began_s, dirty) = (self.now_s(), self.keyspace.stats().dirty);
        self.state.persistence.saving.job = Some(Job { purpose, save, began_s, dirty, keys });
        Ok(())
    }

    /// Whether a snapshot can begin.
    pub(crate) fn is_free(&self) -> bool {
        self.state.persistence.saving.job.is_none() && !self.keyspace.snapshot_active()
    }

    /// Begins a save in the background; whether that was possible.
    pub(crate) fn begin_background(&mut self) -> bool {
        let (now_s, pid) = (self.now_s(), self.links.identity().pid);
        let saving = &mut self.state.persistence.saving;
        saving.scheduled = false;
        saving.last_try_s = now_s;
        saving.saves += 1;
        match self.begin_job(Purpose::Background) {
            Ok(()) => log::info!("Background saving started by pid {pid}"),
            Err(error) => {
                log::warn!("Can't save in background: {error}");
                self.state.persistence.saving.last_ok = false;
                self.state.update_gate();
                return false;
            }
        }
        true
    }

    /// The part of a turn that belongs to saving. Returns after how many milliseconds it wants the next one, even if
    /// nothing happens until then.
    pub(crate) fn drive(&mut self) -> Option<u64> {
        let mut pause = None;
        if self.keyspace.snapshot_active() {
            pause = self.walk();
        }
        let saving = &self.state.persistence.saving;
        if let Some(job) = &saving.job
            && let Some(outcome) = job.save.poll()
        {
            self.end_job(outcome);
        }
        let saving = &self.state.persistence.saving;
        if saving.scheduled && !saving.rests(self.now_s()) && self.is_free() {
            self.begin_background();
            return Some(0);
        }
        pause
    }

    /// A slice of the walk.
    fn walk(&mut self) -> Option<u64> {
        let began_ns = self.links.clock_ns();
        let saving = &mut self.state.persistence.saving;
        let Some(allowed_ns) = saving.pacer.allowance(began_ns, self.state.stats.processed) else {
            return Some(ACTIVE_NS / 1_000_000);
        };
        if saving.job.as_ref().is_some_and(|job| job.save.is_behind()) {
            return None;
        }
        let cpu_ns = self.links.cpu_ns();
        loop {
            self.keyspace.step_snapshot(BUCKETS);
            let now_ns = self.links.clock_ns();
            let is_done = !self.keyspace.snapshot_active();
            if is_done || now_ns.saturating_sub(began_ns) >= allowed_ns {
                let cpu_ns = self.links.cpu_ns().saturating_sub(cpu_ns);
                self.state.persistence.saving.pacer.done(allowed_ns, began_ns, now_ns, cpu_ns);
                return (!is_done).then_some(0);
            }
        }
    }

    /// Walks for a moment if there is the rest of a walk that was given up, which is quick for a small dataset.
    pub(crate) fn hurry_rest(&mut self) {
        let began_ns = self.links.clock_ns();
        while self.state.persistence.saving.job.is_none()
            && self.keyspace.snapshot_active()
            && self.links.clock_ns().saturating_sub(began_ns) < HURRY_NS
        {
            self.keyspace.step_snapshot(BUCKETS);
        }
    }

    /// Walks to the end at once, pausing only while the thread is behind.
    fn walk_to_end(&mut self) -> Option<Result<Saved, SaveError>> {
        while self.keyspace.snapshot_active() {
            if let Some(job) = &self.state.persistence.saving.job
                && job.save.is_behind()
                && let Some(outcome) = job.save.wait(Duration::from_micros(200))
            {
                self.keyspace.abort_snapshot();
                return Some(outcome);
            }
            self.keyspace.step_snapshot(64);
        }
        None
    }

    /// Takes note of what became of a job. Whether there is a new file.
    fn end_job(&mut self, outcome: Result<Saved, SaveError>) -> bool {
        let Some(job) = self.state.persistence.saving.job.take() else { return false };
        if outcome.is_err() {
            self.keyspace.abort_snapshot();
        }
        if job.purpose == Purpose::Rewrite {
            if let Err(error) = &outcome {
                log::warn!("Error writing the base of the append only file: {error}");
            }
            match &outcome {
                Err(SaveError::Cancelled) => self.rewrite_cancelled(),
                other => self.end_rewrite(other.is_ok()),
            }
            return outcome.is_ok();
        }
        let now_s = self.now_s();
        let saving = &mut self.state.persistence.saving;
        let background = job.purpose == Purpose::Background;
        if background {
            saving.last_duration_s = Some(job.seconds(now_s));
        }
        let saved = outcome.is_ok();
        match outcome {
            Ok(saved) => {
                log::info!("DB saved on disk");
                log::debug!("{} keys, {} bytes", saved.keys, saved.bytes);
                saving.last_save_s = now_s;
                saving.last_ok = true;
                saving.dirty_saved = saving.dirty_saved.max(job.dirty);
            }
            Err(SaveError::Cancelled) => {}
            Err(error) => {
                log::warn!("{error}");
                if background {
                    saving.last_ok = false;
                }
            }
        }
        if background {
            log_end(saved, self.state.persistence.saving.last_ok);
        }
        self.state.update_gate();
        saved
    }

    /// Saves while everybody waits. Whether there is a new file.
    pub(crate) fn save_now(&mut self) -> bool {
        self.make_free();
        if let Err(error) = self.begin_job(Purpose::Foreground) {
            log::warn!("Can't save: {error}");
            return false;
        }
        let outcome = self.walk_to_end().or_else(|| self.wait(Duration::MAX));
        self.end_job(outcome.unwrap_or(Err(SaveError::Cancelled)))
    }

    /// Ends what keeps a snapshot from beginning. A dump file would be replaced at once, so it is given up; the base of a
    /// log is completed.
    fn make_free(&mut self) {
        match self.state.persistence.saving.job.as_ref().map(Job::is_dump) {
            Some(true) => {
                self.cancel_save();
            }
            Some(false) => {
                let outcome = self.walk_to_end().or_else(|| self.wait(Duration::MAX));
                self.end_job(outcome.unwrap_or(Err(SaveError::Cancelled)));
            }
            None => {}
        }
        self.walk_to_end();
    }

    fn wait(&self, at_most: Duration) -> Option<Result<Saved, SaveError>> {
        self.state.persistence.saving.job.as_ref()?.save.wait(at_most)
    }

    /// Gives up the save that is under way. Whether there was one.
    pub(crate) fn cancel_save(&mut self) -> bool {
        let Some(job) = &self.state.persistence.saving.job else { return false };
        job.save.cancel();
        self.keyspace.abort_snapshot();
        let outcome = self.wait(CANCEL_LIMIT);
        self.end_job(outcome.unwrap_or(Err(SaveError::Cancelled)));
        true
    }

    /// Begins a save if the save points ask for one.
    pub(crate) fn check_save_points(&mut self) {
        let now_s = self.now_s();
        let saving = &self.state.persistence.saving;
        if self.state.gate.loading || saving.job.is_some() || saving.scheduled || saving.rests(now_s) {
            return;
        }
        let changes = saving.unsaved(self.keyspace.stats().dirty) as i64;
        let elapsed = now_s.saturating_sub(saving.last_save_s) as i64;
        let mut points = self.state.config.save_points().iter();
        if let Some(point) = points.find(|point| changes >= point.changes && elapsed > point.seconds) {
            log::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
            self.state.persistence.saving.scheduled = true;
        }
    }

    /// All keys are gone: what is being saved is of no use any more, and the file is to be empty too.
    pub(crate) fn flushed_all(&mut self) {
        if self.state.persistence.saving.job.as_ref().is_some_and(Job::is_dump) {
            self.cancel_save();
        }
        if !self.state.config.save_points().is_empty() {
            let dirty = self.keyspace.stats().dirty;
            self.state.persistence.saving.set_clean(dirty);
            self.state.persistence.saving.scheduled = true;
        }
    }

    /// Gets ready to end the process. Whether it may end.
    pub(crate) fn prepare_shutdown(&mut self, flags: ShutdownFlags) -> bool {
        log::info!("User requested shutdown...");
        if self.state.persistence.saving.job.is_some() {
            log::warn!("There is a save in the background, which is given up.");
            self.cancel_save();
        }
        let wanted = flags.save || (!flags.nosave && !self.state.config.save_points().is_empty());
        if !wanted || self.state.gate.loading {
            return true;
        }
        log::info!("Saving the final RDB snapshot before exiting.");
        if self.save_now() {
            return true;
        }
        if flags.force {
            log::warn!("Error trying to save the DB. Exit anyway.");
            return true;
        }
        log::warn!("Error trying to save the DB, can't exit.");
        log::warn!("Errors trying to shut down the server. Check the logs for more information.");
        false
    }
}

fn log_end(saved: bool, last_ok: bool) {
    match (saved, last_ok) {
        (true, _) => log::info!("Background saving terminated with success"),
        (false, false) => log::warn!("Background saving error"),
        (false, true) => log::warn!("Background saving cancelled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN_NS: u64 = (SHARE - 1) * 50_000;

    #[test]
    fn a_walk_gets_its_share_of_each_turn_while_clients_are_active() {
        let mut pacer = Pacer::default();
        let mut now_ns = 1_000_000_000;
        pacer.done(0, now_ns, now_ns, 0);
        for turn in 1..100 {
            now_ns += TURN_NS;
            assert_eq!(pacer.allowance(now_ns, turn), Some(50_000));
            pacer.done(50_000, now_ns, now_ns + 50_000, 50_000);
            now_ns += 50_000;
        }
    }

    #[test]
    fn short_turns_share_a_slice_and_a_long_one_has_no_longer_slice_than_others() {
        let mut pacer = Pacer::default();
        pacer.done(0, 0, 0, 0);
        let least_ns = (SHARE - 1) * SHORTEST_SLICE_NS;
        assert_eq!(pacer.allowance(least_ns - 1, 1), None);
        assert_eq!(pacer.allowance(least_ns, 2), Some(SHORTEST_SLICE_NS));
        assert_eq!(pacer.allowance(1_000_000_000, 3), Some(SLICE_NS));
    }

    #[test]
    fn a_slice_that_took_longer_than_allowed_is_made_up_for() {
        let mut pacer = Pacer::default();
        pacer.done(50_000, 0, 60_000, 60_000);
        let owed_ns = 60_000 + (SHARE - 1) * 10_000;
        assert_eq!(pacer.allowance(owed_ns + TURN_NS - 1, 1), Some(49_999));
        assert_eq!(pacer.allowance(owed_ns + TURN_NS, 2), Some(50_000));
        // Nobody owes what others did with the processor meanwhile.
        pacer.done(50_000, 0, 5_000_000, 50_000);
        assert_eq!(pacer.allowance(5_000_000 + TURN_NS, 3), Some(50_000));
    }

    #[test]
    fn without_clients_a_walk_goes_on_at_once() {
        let mut pacer = Pacer::default();
        assert_eq!(pacer.allowance(ACTIVE_NS, 0), Some(SLICE_NS));
        pacer.done(SLICE_NS, ACTIVE_NS, 2 * ACTIVE_NS, SLICE_NS);
        assert_eq!(pacer.allowance(2 * ACTIVE_NS, 0), Some(SLICE_NS));
        pacer.done(SLICE_NS, 2 * ACTIVE_NS, 3 * ACTIVE_NS, SLICE_NS);
        assert_eq!(pacer.allowance(3 * ACTIVE_NS, 1), None);
        assert_eq!(pacer.allowance(4 * ACTIVE_NS, 1), Some(SLICE_NS));
    }
}
