//! The append only file: what was done to the dataset since the base, so that it is there again after a restart.
//!
//! At the end of each turn, the effects of its commands go to the thread that writes the log. Offsets count the bytes of
//! effects since the server began. Under `appendfsync always` the network holds back what clients are told of their
//! changes until the log is on disk that far. A rewrite goes on in a new log, makes a base of the dataset of that
//! moment from a snapshot, and then replaces the manifest.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnelian_config::Directive;
use carnelian_persistence::aof::{
    Checkpoints, Done, FileInfo, FileKind, Log, Manifest, Opening, Policy, replace,
};

use super::foreseen::Foreseen;
use super::loading::Target;
use crate::engine::State;
use crate::engine::waiting::{UNBLOCKED, WaitEnd};
use crate::error::Error;
use crate::links::{ClientId, Links};
use crate::table::CommandId;

pub(crate) const APPENDONLY: Directive = Directive::named("appendonly");
const FSYNC: Directive = Directive::named("appendfsync");
const DIRECTORY: Directive = Directive::named("appenddirname");
const NAME: Directive = Directive::named("appendfilename");
pub(crate) const TIMESTAMPS: Directive = Directive::named("aof-timestamp-enabled");
const PREAMBLE: Directive = Directive::named("aof-use-rdb-preamble");
const KEEP_HISTORY: Directive = Directive::named("aof-disable-auto-gc");
const GROWTH: Directive = Directive::named("auto-aof-rewrite-percentage");
const MIN_SIZE: Directive = Directive::named("auto-aof-rewrite-min-size");
const NO_SYNC_ON_REWRITE: Directive = Directive::named("no-appendfsync-on-rewrite");

/// With so many bytes on their way to the disk, commands that change something wait, until half of them are written.
const MOST_QUEUED: u64 = 64 << 20;

/// Rewrites that may fail in a row before the automatic ones wait, and for how long: seconds, doubled each time.
const FAILURES: u32 = 3;
const REST_S: u64 = 60;
const LONGEST_REST_S: u64 = 3600;

/// What is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    /// Nothing.
    #[default]
    Off,
    /// Everything, but there is no base yet: the log counts once there is one.
    Waiting,
    /// Everything.
    On,
}

/// A rewrite that is under way.
struct Rewrite {
    base: FileInfo,
    /// Logs at the end of the list that stay.
    kept: usize,
    began_s: u64,
    /// The temporary name of a log that gets its own with the base.
    rename: Option<(PathBuf, PathBuf)>,
}

/// What the log's thread was asked to do, besides writing.
enum Asked {
    /// To go on in a new log.
    Rotate,
    /// To replace the manifest after a rewrite.
    Publish { seconds: u64 },
    /// To remove what is not needed any more.
    Clean,
}

/// A client that waits for its changes to be on disk.
pub(crate) struct SyncWait {
    id: ClientId,
    /// How far the log must be on disk.
    until: u64,
    /// Whether there must be a log for that.
    local: bool,
    /// When the wait ends: Unix time in microseconds.
    deadline_us: Option<u64>,
    /// Its command, and how long that has run before.
    command: CommandId,
    nanos: u64,
}

/// The log and its past.
#[derive(Default)]
pub(crate) struct Aof {
    pub(crate) phase: Phase,
    log: Option<Log>,
    directory: PathBuf,
    pub(crate) manifest: Manifest,
    /// Bytes of effects in logs before the present [`Log`].
    origin: u64,
    released: u64,
    /// Whether replies wait for the disk.
    pub(crate) holds: bool,
    /// Whether too much is on its way to the disk.
    pub(crate) full: bool,
    /// Clients whose next command waits for that to end.
    pub(crate) stalled: Vec<ClientId>,
    /// Why nothing can be written.
    pub(crate) error: Option<String>,
    buffer: Vec<u8>,
    stamped_s: u64,
    /// The checkpoints of the log that is loaded and is to be continued.
    pub(crate) resume: Option<Checkpoints>,
    /// The keys that the logs are going to leave, while they are loaded.
    pub(crate) foreseen: Option<Box<Foreseen>>,
    waits: Vec<SyncWait>,
    requested: Option<SyncWait>,
    rewrite: Option<Rewrite>,
    asked: VecDeque<Asked>,
    /// When the rewrite began whose files the thread has yet to put in order.
    finishing: Option<u64>,
    pub(crate) scheduled: bool,
    pub(crate) last_failed: bool,
    pub(crate) last_duration_s: Option<u64>,
    pub(crate) rewrites: u64,
    pub(crate) failures: u32,
    failed_s: u64,
    /// Bytes of the files before the present log, and of all files when they were last rewritten or loaded.
    before_size: u64,
    pub(crate) base_size: u64,
}

impl Aof {
    /// A client is gone.
    pub(crate) fn forget(&mut self, id: ClientId) {
        self.stalled.retain(|other| *other != id);
        self.waits.retain(|wait| wait.id != id);
    }

    /// How many clients wait for the disk, and how many of these waits have an end.
    pub(crate) fn count_waits(&self) -> (usize, usize) {
        (self.waits.len(), self.waits.iter().filter(|wait| wait.deadline_us.is_some()).count())
    }

    /// What the command that has just run wants to wait for.
    #[inline]
    pub(crate) fn take_request(&mut self) -> Option<SyncWait> {
        self.requested.take()
    }

    /// Bytes of all files.
    pub(crate) fn current_size(&self) -> u64 {
        self.before_size + self.log.as_ref().map_or(0, Log::file_size)
    }

    /// Bytes that are not written.
    pub(crate) fn queued(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.appended() - log.written())
    }

    /// Whether a sync is under way, and how many took too long.
    pub(crate) fn syncs(&self) -> (bool, u64) {
        self.log.as_ref().map_or((false, 0), |log| (log.is_syncing(), log.delayed_syncs()))
    }

    /// Whether a rewrite is under way, and since when.
    pub(crate) fn rewriting_since(&self) -> Option<u64> {
        self.rewrite.as_ref().map(|rewrite| rewrite.began_s).or(self.finishing)
    }

    fn durable(&self) -> u64 {
        self.origin + self.log.as_ref().map_or(0, Log::durable)
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.directory.join(as_path(name))
    }
}

/// Names of files are bytes.
pub(crate) fn as_path(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

impl State {
    /// Where the log will end once everything so far is in it.
    #[inline]
    pub(crate) fn log_end(&self) -> u64 {
        let aof = &self.persistence.aof;
        aof.origin + aof.log.as_ref().map_or(0, Log::appended) + self.effects.len() as u64
    }

    /// A command of a client has been logged.
    pub(crate) fn note_logged(&mut self, slot: usize) {
        if self.effects.len() > 0 {
            self.clients.at(slot).logged = self.log_end();
        }
    }

    /// Why commands that change the dataset are refused: the log cannot be written.
    pub(crate) fn refused_for_log(&self) -> Option<Error> {
        let reason = self.persistence.aof.error.as_ref()?;
        Some(Error::other(format!("MISCONF Errors writing to the AOF file: {reason}")))
    }

    fn log_policy(&self) -> Policy {
        match self.config.word(FSYNC) {
            "always" => Policy::Always,
            "no" => Policy::Never,
            _ if self.config.flag(NO_SYNC_ON_REWRITE) && self.persistence.saving.job.is_some() => {
                Policy::Never
            }
            _ => Policy::EverySecond,
        }
    }

    /// Takes over changed directives, and what rewrites mean for them.
    pub(crate) fn update_log_policy(&mut self) {
        let policy = self.log_policy();
        let aof = &mut self.persistence.aof;
        aof.holds = policy == Policy::Always && aof.phase != Phase::Off;
        if let Some(log) = &mut aof.log {
            log.set_policy(policy);
        }
    }

    fn log_name(&self, seq: u64, suffix: &str) -> Vec<u8> {
        [self.config.text(NAME), format!(".{seq}.{suffix}").as_bytes()].concat()
    }

    fn manifest_name(&self) -> PathBuf {
        as_path(&[self.config.text(NAME), b".manifest"].concat())
    }

    /// A client waits until its changes are on disk. Its command has run for so long. The sync does not wait for its
    /// second, but where it is left to the system nobody who waits changes that.
    pub(crate) fn begin_sync_wait(&mut self, slot: usize, command: CommandId, wait: SyncWait, nanos: u64) {
        self.clients.at(slot).flags |= crate::client::ClientFlags::BLOCKED;
        self.persistence.aof.waits.push(SyncWait { command, nanos, ..wait });
        let syncs = self.log_policy() != Policy::Never;
        if let Some(log) = self.persistence.aof.log.as_mut().filter(|_| syncs) {
            log.sync_soon();
        }
    }

    /// Ends such a wait early, if the client has one.
    pub(crate) fn end_sync_wait(&mut self, links: &mut dyn Links, id: ClientId, end: WaitEnd) -> bool {
        let Some(at) = self.persistence.aof.waits.iter().position(|wait| wait.id == id) else { return false };
        let wait = self.persistence.aof.waits.remove(at);
        let mut reply = self.reply_to(id);
        let error = match end {
            WaitEnd::Error => Some(UNBLOCKED),
            WaitEnd::Timeout if wait.local && self.persistence.aof.phase == Phase::Off => Some(NO_LOG),
            WaitEnd::Timeout => None,
        };
        if let Some(error) = error {
            let text = error.reply();
            self.stats.count_error(&text);
            reply.error(&text);
        } else {
            let until = self.clients.at(id.slot as usize).logged;
            self.sync_reply(until, &mut reply);
        }
        let (failed, tracked) = (end == WaitEnd::Error, self.settings.latency_tracking);
        self.stats.count_call(wait.command, wait.nanos, failed, tracked);
        self.answer(links, id, &reply);
        true
    }

    fn sync_reply(&self, until: u64, out: &mut carnelian_resp::ReplyBuf) {
        out.array(2);
        out.integer(i64::from(self.persistence.aof.log.is_some() && self.persistence.aof.durable() >= until));
        out.integer(0);
    }
}

/// A client that waits for the log cannot go on waiting.
const NO_LOG: Error =
    Error::Text("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

/// WAITAOF: waits until the client's changes are on disk here; there are no replicas.
pub(crate) fn wait_aof(cx: &mut crate::context::Ctx<'_>) -> Result<(), Error> {
    let number = |bytes: &[u8]| carnelian_resp::number::parse_i64(bytes);
    let local = number(cx.arg(1)).ok_or(Error::NotInteger)?;
    if !(0..=1).contains(&local) {
        return Err(Error::Text("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = number(cx.arg(2)).filter(|replicas| *replicas >= 0).ok_or(Error::NotPositive)?;
    let deadline_us = cx.deadline_milliseconds(cx.arg(3))?;
    if local == 1 && cx.state.persistence.aof.phase == Phase::Off {
        return Err(NO_LOG);
    }
    let until = cx.client().logged;
    let is_reached = local == 0 || cx.state.persistence.aof.durable() >= until;
    if is_reached && replicas == 0 || !cx.may_block {
        cx.state.sync_reply(until, cx.out);
        return Ok(());
    }
    let id = cx.client().id;
    // With replicas to wait for, only the time ends the wait.
    let until = if replicas > 0 { u64::MAX } else { until };
    cx.state.persistence.aof.requested =
        Some(SyncWait { id, until, local: local == 1, deadline_us, command: 0, nanos: 0 });
    Ok(())
}

impl Target<'_> {
    fn aof(&mut self) -> &mut Aof {
        &mut self.state.persistence.aof
    }

    /// Hands the effects of this turn to the thread.
    fn hand_over(&mut self) {
        self.state.effects.note_expired(self.keyspace);
        let aof = &mut self.state.persistence.aof;
        let Some(log) = &mut aof.log else { return };
        if self.state.effects.len() == 0 {
            return;
        }
        let now_s = self.keyspace.now() / 1000;
        let mut bytes = self.state.effects.take(std::mem::take(&mut aof.buffer));
        if self.state.config.flag(TIMESTAMPS) && now_s > aof.stamped_s {
            aof.stamped_s = now_s;
            let stamp = format!("#TS:{now_s}\r\n");
            bytes.splice(0..0, stamp.into_bytes());
        }
        aof.buffer = log.append(bytes);
    }

    /// The part of a turn that belongs to the log: what was done goes to the thread, and what the thread has done lets
    /// others go on. Returns when it wants the next turn, even if nothing happens.
    pub(crate) fn drive_log(&mut self, now_us: u64) -> Option<u64> {
        self.hand_over();
        let aof = &mut self.state.persistence.aof;
        let is_ready = aof.scheduled && aof.finishing.is_none() && !self.state.gate.loading;
        if is_ready && self.is_free() {
            self.begin_rewrite();
        }
        let aof = &mut self.state.persistence.aof;
        let Some(log) = &mut aof.log else {
            let durable = aof.durable();
            return self.end_sync_waits(durable, now_us);
        };
        let waits = aof.holds || !aof.waits.is_empty() || aof.full;
        if waits && log.durable() < log.appended() {
            log.want_progress();
        }
        let queued = log.appended() - log.written();
        let (error, done) = (log.error(), log.take_done());
        let durable = aof.durable();
        if durable > aof.released {
            aof.released = durable;
            self.links.release(durable);
        }
        self.update_pressure(queued);
        if error != self.aof().error {
            self.aof().error = error;
            self.state.update_gate();
        }
        if let Some(done) = done {
            self.step_done(done);
            return Some(0);
        }
        self.end_sync_waits(durable, now_us)
    }

    fn update_pressure(&mut self, queued: u64) {
        let aof = &mut self.state.persistence.aof;
        let full = queued > if aof.full { MOST_QUEUED / 2 } else { MOST_QUEUED };
        if full
            && !aof.full
            && let Some(log) = &mut aof.log
        {
            log.want_progress();
        }
        if !full {
            for id in std::mem::take(&mut aof.stalled) {
                self.links.resume(id);
            }
        }
        aof.full = full;
    }

    fn end_sync_waits(&mut self, durable: u64, now_us: u64) -> Option<u64> {
        let is_off = self.aof().phase == Phase::Off;
        let is_over = |wait: &SyncWait| {
            wait.until <= durable
                || wait.local && is_off
                || wait.deadline_us.is_some_and(|deadline| deadline <= now_us)
        };
        while let Some(wait) = self.aof().waits.iter().find(|wait| is_over(wait)) {
            let id = wait.id;
            self.state.end_sync_wait(self.links, id, WaitEnd::Timeout);
        }
        let next = self.aof().waits.iter().filter_map(|wait| wait.deadline_us).min()?;
        Some(next.saturating_sub(now_us).div_ceil(1000))
    }

    /// The thread has done something that it was asked for.
    fn step_done(&mut self, done: Done) {
        match (self.aof().asked.pop_front(), done) {
            (Some(Asked::Rotate), Err(reason)) => {
                log::warn!("Can't open a new append only file: {reason}");
                self.aof().manifest.logs.pop();
                self.cancel_rewrite();
                self.aof().scheduled = false;
                self.rewrite_failed();
            }
            (Some(Asked::Publish { seconds }), Ok(())) => self.rewritten(seconds),
            (Some(Asked::Publish { .. }), Err(reason)) => {
                log::warn!("Can't replace the manifest of the append only file: {reason}");
                self.rewrite_failed();
            }
            (Some(Asked::Clean), Err(reason)) => log::warn!("Can't clean the append only file: {reason}"),
            (_, Ok(()) | Err(_)) => {}
        }
        if self.aof().asked.is_empty() {
            self.aof().finishing = None;
        }
    }

    /// Begins a rewrite if the log has grown enough.
    pub(crate) fn check_log_growth(&mut self) {
        let now_s = self.keyspace.now() / 1000;
        let (percent, min) = (self.state.config.int(GROWTH) as u64, self.state.config.size(MIN_SIZE));
        let aof = &mut self.state.persistence.aof;
        if aof.phase == Phase::Waiting && aof.rewrite.is_none() && !aof.is_resting(now_s) {
            aof.scheduled = true;
        }
        let size = aof.current_size();
        if aof.phase != Phase::On || percent == 0 || size <= min || aof.rewrite.is_some() || aof.scheduled {
            return;
        }
        let growth = size * 100 / aof.base_size.max(1);
        if growth >= percent + 100 && !aof.is_resting(now_s) && self.is_free() {
            log::info!("Starting automatic rewriting of AOF on {}% growth", growth - 100);
            self.aof().scheduled = true;
        }
    }

    /// Begins a rewrite. Whether that was possible.
    pub(crate) fn begin_rewrite(&mut self) -> bool {
        let now_s = self.keyspace.now() / 1000;
        self.hand_over();
        let is_dump = self.state.config.flag(PREAMBLE);
        let aof = self.aof();
        aof.scheduled = false;
        aof.rewrites += 1;
        if self.aof().log.is_none()
            && let Err(error) = self.prepare_directory()
        {
            log::warn!("Can't rewrite append only file in background: {error}");
            self.rewrite_failed();
            return false;
        }
        let aof = self.aof();
        let seq = aof.manifest.next_base();
        let suffix = if is_dump { "base.rdb" } else { "base.aof" };
        let name = self.state.log_name(seq, suffix);
        let base = FileInfo { name, seq, kind: FileKind::Base };
        let target = self.aof().path(&base.name);
        if let Err(error) = self.begin_rewrite_job(target, !is_dump) {
            log::warn!("Can't rewrite append only file in background: {error}");
            self.rewrite_failed();
            return false;
        }
        log::info!("Background append only file rewriting started by pid {}", self.links.identity().pid);
        let (kept, rename) = self.next_log();
        self.aof().rewrite = Some(Rewrite { base, kept, began_s: now_s, rename });
        self.state.update_log_policy();
        true
    }

    /// What follows goes to a new log. How many logs the base will not replace, and whether one gets another name then.
    fn next_log(&mut self) -> (usize, Option<(PathBuf, PathBuf)>) {
        let seq = self.aof().manifest.next_log();
        let name = self.state.log_name(seq, "incr.aof");
        let manifest = self.state.manifest_name();
        self.state.effects.forget_db();
        let aof = &mut self.state.persistence.aof;
        let size = aof.current_size();
        match (&mut aof.log, aof.phase) {
            (Some(log), Phase::On) => {
                aof.manifest.logs.push(FileInfo { name: name.clone(), seq, kind: FileKind::Log });
                aof.before_size = size;
                let text = aof.manifest.to_text();
                aof.asked.push_back(Asked::Rotate);
                log.rotate(as_path(&name), Some((manifest, text)));
                (1, None)
            }
            (Some(log), _) => {
                let temporary = temporary_log(self.state.config.text(NAME));
                aof.asked.push_back(Asked::Rotate);
                log.rotate(temporary.clone(), None);
                (1, Some((temporary, as_path(&name))))
            }
            (None, _) => (0, None),
        }
    }

    /// The base is there, or will never be.
    pub(crate) fn end_rewrite(&mut self, is_there: bool) {
        let now_s = self.keyspace.now() / 1000;
        let Some(rewrite) = self.aof().rewrite.take() else { return };
        self.state.update_log_policy();
        if !is_there {
            self.rewrite_failed();
            return;
        }
        let seconds = now_s.saturating_sub(rewrite.began_s);
        let manifest_name = self.state.manifest_name();
        let aof = &mut self.state.persistence.aof;
        if let Some((_, name)) = &rewrite.rename {
            use std::os::unix::ffi::OsStrExt;
            let (seq, name) = (aof.manifest.next_log(), name.as_os_str().as_bytes().to_vec());
            aof.manifest.logs.push(FileInfo { name, seq, kind: FileKind::Log });
        }
        aof.manifest.rebase(rewrite.base, rewrite.kept);
        let manifest = (manifest_name, aof.manifest.to_text());
        if let Some(log) = &mut aof.log {
            aof.finishing = Some(rewrite.began_s);
            aof.asked.push_back(Asked::Publish { seconds });
            log.publish(rewrite.rename, manifest, Vec::new());
            return;
        }
        // Nothing is logged, so nobody waits for long.
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        match replace(&*disk, &self.aof().directory, &manifest.0, &manifest.1) {
            Ok(()) => self.rewritten(seconds),
            Err(error) => {
                log::warn!("Can't replace the manifest of the append only file: {error}");
                self.rewrite_failed();
            }
        }
    }

    /// The rewrite was given up; another one takes its place.
    pub(crate) fn rewrite_cancelled(&mut self) {
        self.aof().rewrite = None;
        self.aof().scheduled = true;
        self.state.update_log_policy();
    }

    /// A rewrite is complete.
    fn rewritten(&mut self, seconds: u64) {
        log::info!("Background AOF rewrite finished successfully");
        let aof = self.aof();
        (aof.last_failed, aof.failures, aof.last_duration_s) = (false, 0, Some(seconds));
        if aof.phase == Phase::Waiting {
            aof.phase = Phase::On;
        }
        self.measure();
        self.clean();
        self.state.update_log_policy();
    }

    fn rewrite_failed(&mut self) {
        let now_s = self.keyspace.now() / 1000;
        let aof = self.aof();
        aof.last_failed = true;
        aof.failures += 1;
        aof.failed_s = now_s;
        log::warn!("Background AOF rewrite terminated with error");
    }

    fn cancel_rewrite(&mut self) {
        if self.aof().rewrite.is_some() {
            self.cancel_save();
        }
    }

    /// Notes the sizes of all files.
    fn measure(&mut self) {
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        let aof = self.aof();
        let present = aof.manifest.logs.last().filter(|_| aof.log.is_some()).map(|log| log.name.clone());
        let others = aof.manifest.files().filter(|file| Some(&file.name) != present.as_ref());
        aof.before_size = others.map(|file| disk.len(&aof.path(&file.name)).unwrap_or(0)).sum();
        aof.base_size = aof.current_size();
    }

    /// Removes files that are not needed any more.
    fn clean(&mut self) {
        let name = self.state.manifest_name();
        if self.state.config.flag(KEEP_HISTORY) || self.aof().manifest.history.is_empty() {
            return;
        }
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        let aof = self.aof();
        let remove: Vec<PathBuf> =
            std::mem::take(&mut aof.manifest.history).into_iter().map(|file| as_path(&file.name)).collect();
        let text = aof.manifest.to_text();
        if let Some(log) = &mut aof.log {
            aof.asked.push_back(Asked::Clean);
            log.publish(None, (name, text), remove);
            return;
        }
        for file in remove {
            if let Err(error) = disk.remove(&aof.directory.join(&file)) {
                log::warn!("Failed to remove {}: {error}", file.display());
            }
        }
        if let Err(error) = replace(&*disk, &aof.directory, &name, &text) {
            log::warn!("Can't clean the append only file: {error}");
        }
    }

    /// `CONFIG SET`: takes over changed directives.
    pub(crate) fn reload_log(&mut self) -> Result<(), String> {
        let wanted = self.state.config.flag(APPENDONLY);
        match (wanted, self.aof().phase) {
            (true, Phase::Off) => self.switch_on()?,
            (false, Phase::Waiting | Phase::On) => self.switch_off(),
            _ => {}
        }
        self.state.update_log_policy();
        Ok(())
    }

    /// Everything is logged from now on, and counts once there is a base.
    fn switch_on(&mut self) -> Result<(), String> {
        // A base that is being made does not know of the log.
        self.cancel_rewrite();
        self.prepare_directory()?;
        let name = temporary_log(self.state.config.text(NAME));
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        let path = self.aof().directory.join(&name);
        disk.create(&path).map_err(|error| error.to_string())?;
        self.open_log(name, Checkpoints::at(0))?;
        self.aof().phase = Phase::Waiting;
        self.aof().scheduled = true;
        Ok(())
    }

    fn switch_off(&mut self) {
        self.hand_over();
        if self.aof().rewrite.is_some() {
            log::info!("Killing AOF child, that is: giving up the rewrite of the append only file");
        }
        self.cancel_rewrite();
        let aof = self.aof();
        aof.phase = Phase::Off;
        aof.scheduled = false;
        self.state.effects.set_on(false, self.keyspace);
        self.stop_log();
        self.state.update_gate();
    }

    /// Waits until everything is on disk, and ends the thread.
    fn stop_log(&mut self) {
        let aof = self.aof();
        let Some(log) = aof.log.take() else { return };
        aof.origin += log.appended();
        aof.error = None;
        aof.asked.clear();
        aof.finishing = None;
        let durable_before = log.durable();
        drop(log);
        log::debug!("The append only file is closed; {durable_before} bytes were on disk before.");
        let (origin, full) = (aof.origin, std::mem::take(&mut aof.full));
        aof.released = origin;
        self.links.release(origin);
        if full {
            self.update_pressure(0);
        }
    }

    /// The process ends.
    pub(crate) fn close_log(&mut self) {
        self.hand_over();
        self.stop_log();
    }

    /// Starts the thread for a log in the directory.
    fn open_log(&mut self, file: PathBuf, checkpoints: Checkpoints) -> Result<(), String> {
        let storage = self.state.persistence.storage.clone();
        let policy = self.state.log_policy();
        let aof = self.aof();
        let opening = Opening { directory: aof.directory.clone(), file: file.clone(), checkpoints, policy };
        let log = Log::start(storage.disk, opening, move || (storage.wake)())
            .map_err(|error| format!("Can't open the append-only file {}: {error}", file.display()))?;
        aof.log = Some(log);
        self.state.effects.set_on(true, self.keyspace);
        Ok(())
    }

    /// Sees to it that the directory is there, and knows what is in it.
    fn prepare_directory(&mut self) -> Result<(), String> {
        let directory = self.state.path_of(self.links, DIRECTORY);
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        let created = disk.create_dir(&directory).and_then(|()| disk.sync_dir(&self.links.directory()));
        created.map_err(|error| {
            format!("Can't open or create append-only dir {}: {error}", directory.display())
        })?;
        let manifest = match read(&*disk, &directory.join(self.state.manifest_name())) {
            Ok(text) => Manifest::parse(&text).map_err(|error| {
                log::warn!("*** FATAL AOF MANIFEST FILE ERROR ***");
                log::warn!("Reading the manifest file, at line {}", error.line);
                error.fault.to_string() + &format!(" (line {}, offset {})", error.line, error.offset)
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Manifest::default(),
            Err(error) => return Err(format!("Can't open the AOF manifest file: {error}")),
        };
        let aof = self.aof();
        (aof.directory, aof.manifest) = (directory, manifest);
        Ok(())
    }

    /// The files to be loaded, in order, and whether each is a log.
    pub(crate) fn log_files(&mut self) -> Result<Vec<(PathBuf, FileKind)>, String> {
        self.prepare_directory()?;
        self.upgrade()?;
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        let aof = self.aof();
        let files: Vec<(PathBuf, FileKind)> =
            aof.manifest.files().map(|file| (aof.path(&file.name), file.kind)).collect();
        for (path, _) in &files {
            if let Err(error) = disk.len(path) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(format!(
                    "Fatal error: can't open the append log file {name} for reading: {error}"
                ));
            }
        }
        Ok(files)
    }

    /// A single file of an older version, in the working directory, becomes the base.
    fn upgrade(&mut self) -> Result<(), String> {
        let name = self.state.config.text(NAME).to_vec();
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        let here = self.links.directory();
        let old = here.join(as_path(&name));
        let manifest_name = self.state.manifest_name();
        let aof = self.aof();
        // An upgrade that was interrupted has got as far as the manifest.
        let is_interrupted = aof.manifest.logs.is_empty()
            && aof.manifest.base.as_ref().is_some_and(|base| base.name == name)
            && disk.len(&aof.path(&name)).is_err();
        if !(aof.manifest == Manifest::default() || is_interrupted) || disk.len(&old).is_err() {
            return Ok(());
        }
        log::info!("Start the upgrade of an append only file of an older version");
        aof.manifest.base = Some(FileInfo { name: name.clone(), seq: 1, kind: FileKind::Base });
        replace(&*disk, &aof.directory, &manifest_name, &aof.manifest.to_text())
            .and_then(|()| disk.rename(&old, &aof.path(&name)))
            .and_then(|()| disk.sync_dir(&aof.directory))
            .and_then(|()| disk.sync_dir(&here))
            .map_err(|error| format!("Error trying to move the old AOF file: {error}"))?;
        log::info!("Successfully migrated an old-style AOF configuration ({}).", crate::args::text(&name));
        Ok(())
    }

    /// Everything is loaded: logging begins.
    pub(crate) fn begin_logging(&mut self) -> Result<(), String> {
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        let manifest_name = self.state.manifest_name();
        if self.aof().manifest.base.is_none() && self.aof().manifest.logs.is_empty() {
            self.create_base()?;
        }
        let next = self.aof().manifest.next_log();
        let name = self.state.log_name(next, "incr.aof");
        let resume = self.aof().resume.take();
        let aof = self.aof();
        let checkpoints = match (resume, aof.manifest.logs.last()) {
            (Some(checkpoints), Some(_)) => checkpoints,
            _ => {
                // Until the manifest names the log, the number is free: whoever tries again empties the file.
                let mut manifest = aof.manifest.clone();
                manifest.logs.push(FileInfo { name: name.clone(), seq: next, kind: FileKind::Log });
                log::info!("Creating AOF incr file {} on server start", crate::args::text(&name));
                disk.create(&aof.path(&name))
                    .and_then(|_| disk.sync_dir(&aof.directory))
                    .and_then(|()| replace(&*disk, &aof.directory, &manifest_name, &manifest.to_text()))
                    .map_err(|error| format!("Can't create an append only file: {error}"))?;
                aof.manifest = manifest;
                Checkpoints::at(0)
            }
        };
        let file = aof.manifest.logs.last().map(|log| as_path(&log.name)).unwrap_or_default();
        self.open_log(file, checkpoints)?;
        self.aof().phase = Phase::On;
        self.measure();
        self.clean();
        self.state.update_log_policy();
        Ok(())
    }

    /// Empties the databases and loads what the log holds.
    pub(crate) fn reload_from_log(&mut self) -> Result<(), String> {
        self.hand_over();
        let is_on = self.aof().phase == Phase::On;
        if let Some(log) = &mut self.aof().log {
            log.flush()?;
        }
        let manifest = self.aof().manifest.clone();
        self.keyspace.flush_all(carnelian_keyspace::Free::Now);
        self.state.scripting.functions().flush();
        self.state.effects.set_on(false, self.keyspace);
        let loaded = self.log_sources().and_then(|files| {
            if files.is_empty() {
                return Err("The append only file does not exist.".to_owned());
            }
            self.keyspace.hold_deadlines(true);
            self.load_now(files)
        });
        let aof = self.aof();
        aof.manifest = manifest;
        aof.resume = None;
        if is_on {
            self.state.effects.set_on(true, self.keyspace);
        }
        loaded
    }

    /// A base without keys, for a server that begins with nothing.
    fn create_base(&mut self) -> Result<(), String> {
        let is_dump = self.state.config.flag(PREAMBLE);
        let name = self.state.log_name(1, if is_dump { "base.rdb" } else { "base.aof" });
        let bytes = if is_dump { self.empty_base() } else { Vec::new() };
        let disk = Arc::clone(&self.state.persistence.storage.disk);
        log::info!("Creating AOF base file {} on server start", crate::args::text(&name));
        let aof = self.aof();
        replace(&*disk, &aof.directory, &as_path(&name), &bytes)
            .map_err(|error| format!("Can't create the base of the append only file: {error}"))?;
        aof.manifest.base = Some(FileInfo { name, seq: 1, kind: FileKind::Base });
        Ok(())
    }
}

impl Aof {
    /// Whether automatic rewrites wait since the last ones have failed.
    fn is_resting(&self, now_s: u64) -> bool {
        let rest = match self.failures.checked_sub(FAILURES) {
            None => 1,
            Some(more) => (REST_S << more.min(6)).min(LONGEST_REST_S),
        };
        self.failures > 0 && now_s.saturating_sub(self.failed_s) < rest
    }
}

/// The name of a log that does not count yet.
fn temporary_log(name: &[u8]) -> PathBuf {
    as_path(&[b"temp-", name, b".incr"].concat())
}

/// A small file.
fn read(disk: &dyn carnelian_persistence::disk::Disk, path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = disk.open(path)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
