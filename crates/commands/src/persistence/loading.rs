//! Loading a dataset, piece by piece, while the server answers those who ask how far it is.
//!
//! A [`Loading`] is a queue of files. Of the file at its head, a thread reads a few chunks ahead; a step gives a piece of
//! a chunk to the file's [`Decoder`]. Steps are made at the end of each turn of the loop, for a bounded time, or one after
//! the other where the command has to wait for the end. Logs come twice: before anything is loaded a thread scans them.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnelian_config::Directive;
use carnelian_keyspace::Keyspace;
use carnelian_persistence::aof::{Ending, FileKind, Survey, Surveyed};
use carnelian_persistence::rdb::{self, Fault, LoadOptions, Loader, Progress};
use carnelian_persistence::{Ahead, KeyDelay, ReadAhead};
use carnelian_scripting::{Host, LogLevel, Policy, Replication, Verdict};

use super::FILE;
use super::aof::APPENDONLY;
use super::foreseen::Foreseen;
use crate::args::text;
use crate::engine::replay::Replay;
use crate::engine::{Beside, State};
use crate::links::Links;
use crate::scripting::host::log_line;

/// The last words of a server that cannot load its dataset.
pub(crate) const FATAL: &str = "Fatal error loading the DB, check server logs. Exiting.";

const CHECKSUM: Directive = Directive::named("rdbchecksum");
const KEY_DELAY: Directive = Directive::named("key-load-delay");
const LOAD_TRUNCATED: Directive = Directive::named("aof-load-truncated");

/// How dumps begin.
const MAGIC: &[u8] = b"REDIS";
const VALKEY_MAGIC: &[u8] = b"VALKEY";

/// Bytes that are decoded between two looks at the clock.
const PIECE: usize = 8 << 10;

/// Nanoseconds that loading may take per turn of the loop.
const BUDGET_NS: u64 = 2_000_000;

/// Nanoseconds between two turns of the loop for others, while a command waits for the end of loading.
const SERVE_NS: u64 = 10_000_000;

/// Microseconds that such a command sleeps when there is nothing to load yet.
const WAIT_US: u64 = 50;

/// How long the code of a library may run while it is loaded.
const LIBRARY_LIMIT_NS: u64 = 500_000_000;

/// What was loaded.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Figures {
    pub(crate) keys: u64,
    /// Keys that were left out since they were due.
    pub(crate) expired: u64,
    /// Keys that were left out since they have no elements.
    pub(crate) empty: u64,
}

/// What loading works on.
pub(crate) struct Target<'a> {
    pub(crate) keyspace: &'a mut Keyspace,
    pub(crate) state: &'a mut State,
    pub(crate) links: &'a mut dyn Links,
}

/// A file that is to be loaded.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) decoder: Decoder,
}

/// What is done with the bytes of a file.
pub(crate) enum Decoder {
    /// A dump file becomes keys.
    Rdb(Box<Dump>),
    /// A log is only looked at. Only the last one may end early.
    Scan { is_last: bool },
    /// A log, perhaps behind a dump, becomes keys.
    Log(Box<LogFile>),
}

/// A dump file while it is loaded.
pub(crate) struct Dump {
    loader: Loader,
    /// Facts about the file that are in the log.
    reported: usize,
    /// How libraries of functions meet those that are there.
    policy: Policy,
}

/// A dataset that is loading.
pub(crate) struct Loading {
    files: VecDeque<Source>,
    current: Option<Current>,
    /// Unix time in milliseconds.
    began_ms: u64,
    began_ns: u64,
    /// Bytes of all files, and of those which are done.
    total: u64,
    done: u64,
    /// No step is made before this time.
    not_before_ns: u64,
    /// What the files before the current one held.
    before: Figures,
}

/// The file whose turn it is.
enum Current {
    Scanned(Box<LogScan>),
    Decoded(Box<Decoded>),
}

/// A file that is being loaded.
struct Decoded {
    source: Source,
    ahead: ReadAhead,
    chunk: Vec<u8>,
    /// What of the chunk is decoded.
    at: usize,
    /// Bytes of the file that were decoded.
    read: u64,
}

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// There is more to do.
    More,
    /// The next bytes have not been read yet, or it is too early.
    Wait,
    /// Everything is loaded.
    Done,
}

/// How keys of a file meet those that are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Merge {
    /// The same key twice is an error.
    Refuse,
    /// The file's keys replace others.
    Replace,
}

impl Source {
    /// A dump file.
    pub(crate) fn dump(path: PathBuf, state: &State, merge: Merge) -> Source {
        let check_sum = state.config.flag(CHECKSUM) && !state.skip_checksums;
        let replace = merge == Merge::Replace;
        let policy = if replace { Policy::Replace } else { Policy::Append };
        let loader = Loader::new(LoadOptions { check_sum, drop_expired: true, replace });
        Source { path, decoder: Decoder::Rdb(Box::new(Dump { loader, reported: 0, policy })) }
    }

    /// A log, or the base of one.
    fn log(path: PathBuf, state: &State) -> Source {
        let check_sum = state.config.flag(CHECKSUM) && !state.skip_checksums;
        let loader = Loader::new(LoadOptions { check_sum, drop_expired: false, replace: false });
        let log = LogFile {
            dump: Some(Dump { loader, reported: 0, policy: Policy::Append }),
            head: Vec::new(),
            is_known: false,
            replay: Replay::new(),
            figures: Figures::default(),
        };
        Source { path, decoder: Decoder::Log(Box::new(log)) }
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Decoder {
    /// Says how long the file is.
    fn expect_bytes(&mut self, size: u64) {
        let dump = match self {
            Decoder::Rdb(dump) => Some(&mut **dump),
            Decoder::Scan { .. } => None,
            Decoder::Log(log) => log.dump.as_mut(),
        };
        if let Some(dump) = dump {
            dump.loader.expect_bytes(size);
        }
    }

    /// Decodes some of the next bytes. Returns how many: the others are to be given again. The error is a line for the
    /// log.
    fn feed(&mut self, bytes: &[u8], target: &mut Target<'_>) -> Result<usize, String> {
        match self {
            Decoder::Rdb(dump) => {
                let piece = piece_of(bytes);
                if let Some(rest) = dump.feed(piece, target)? {
                    dump.check_rest(&rest)?;
                }
                Ok(piece.len())
            }
            Decoder::Scan { .. } => Ok(bytes.len()),
            Decoder::Log(log) => log.feed(bytes, target),
        }
    }

    /// The file has ended.
    fn finish(&mut self, target: &mut Target<'_>) -> Result<(), String> {
        match self {
            Decoder::Rdb(dump) => dump.finish(target),
            Decoder::Scan { .. } => Ok(()),
            Decoder::Log(log) => log.finish(target),
        }
    }

    fn figures(&self) -> Figures {
        match self {
            Decoder::Rdb(dump) => {
                let loaded = dump.loader.loaded();
                Figures { keys: loaded.keys, expired: loaded.expired, empty: loaded.empty }
            }
            Decoder::Scan { .. } => Figures::default(),
            Decoder::Log(log) => log.figures(),
        }
    }
}

impl Dump {
    /// At the end of the dump, returns what follows.
    fn feed(&mut self, bytes: &[u8], target: &mut Target<'_>) -> Result<Option<Vec<u8>>, String> {
        let progress = self.loader.feed(bytes, target.keyspace).map_err(|error| describe(&error))?;
        if self.loader.loaded().aux.len() > self.reported {
            self.report(target);
        }
        match progress {
            Progress::Done => Ok(Some(self.loader.rest().to_vec())),
            Progress::More => Ok(None),
        }
    }

    /// Judges what follows a dump that is a file of its own.
    fn check_rest(&self, rest: &[u8]) -> Result<(), String> {
        if rest.is_empty() {
            return Ok(());
        }
        // A damaged version may have hidden that there is a checksum.
        if self.loader.loaded().version.is_some_and(|version| !version.has_checksum()) {
            return Err("Bad file format reading the RDB file: it goes on after its end".to_owned());
        }
        log::warn!("There are bytes after the end of the dump file, which are ignored.");
        Ok(())
    }

    /// Tells the log what the file says about itself.
    fn report(&mut self, target: &mut Target<'_>) {
        let number = |value: &[u8]| text(value).parse::<u64>().unwrap_or(0);
        let now_s = target.keyspace.now() / 1000;
        for (name, value) in &self.loader.loaded().aux[self.reported..] {
            match &name[..] {
                b"redis-ver" => log::info!("Loading RDB produced by version {}", text(value)),
                b"valkey-ver" => log::info!("Loading RDB produced by Valkey version {}", text(value)),
                b"ctime" => log::info!("RDB age {} seconds", now_s.saturating_sub(number(value))),
                b"used-mem" => {
                    let bytes = number(value);
                    log::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / f64::from(1 << 20));
                    target.state.persistence.memory_then = bytes;
                }
                _ => {}
            }
        }
        self.reported = self.loader.loaded().aux.len();
    }

    fn finish(&mut self, target: &mut Target<'_>) -> Result<(), String> {
        self.loader.finish(target.keyspace).map_err(|error| describe(&error))?;
        let loaded = self.loader.loaded();
        for key in &loaded.empty_keys {
            log::info!("rdbLoadObject skipping empty key: {}", text(key));
        }
        restore_functions(&loaded.functions, self.policy, target)?;
        let (keys, expired) = (loaded.keys, loaded.expired);
        let empty = match loaded.empty {
            0 => String::new(),
            n => format!(", empty keys skipped: {n}"),
        };
        log::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}{empty}.");
        Ok(())
    }
}

/// A log that is looked at before anything is loaded, so that damage is found in time.
struct LogScan {
    survey: Survey<Foreseen>,
    path: PathBuf,
    is_last: bool,
}

/// A log while it is replayed, and the dump in front of it while that is loaded.
pub(crate) struct LogFile {
    dump: Option<Dump>,
    /// The first bytes, until it is known whether they begin a dump.
    head: Vec<u8>,
    is_known: bool,
    replay: Replay,
    figures: Figures,
}

impl LogScan {
    fn begin(path: PathBuf, is_last: bool, target: &mut Target<'_>) -> Result<LogScan, String> {
        let persistence = &mut target.state.persistence;
        let foreseen = persistence.aof.foreseen.take().map(|foreseen| *foreseen);
        let mut foreseen = foreseen.unwrap_or_else(|| Foreseen::new(target.keyspace.hasher()));
        foreseen.begin_log();
        let storage = &persistence.storage;
        let (disk, wake) = (Arc::clone(&storage.disk), Arc::clone(&storage.wake));
        let survey = Survey::start(disk, path.clone(), foreseen, move || wake())
            .map_err(|error| unreadable(&path, &error))?;
        Ok(LogScan { survey, path, is_last })
    }

    /// Looks whether there is a verdict.
    fn step(&mut self, target: &mut Target<'_>) -> Result<Step, String> {
        match self.survey.poll().map_err(|error| unreadable(&self.path, &error))? {
            Some(found) => self.finish(found, target).map(|()| Step::Done),
            None => Ok(Step::Wait),
        }
    }

    /// Judges the log, and cuts off what a crash left behind.
    fn finish(&mut self, found: Surveyed<Foreseen>, target: &mut Target<'_>) -> Result<(), String> {
        let Surveyed { verdict, checkpoints, visitor } = found;
        let aof = &mut target.state.persistence.aof;
        aof.foreseen = Some(Box::new(visitor));
        if self.is_last {
            aof.resume = Some(checkpoints);
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match &verdict.ending {
            Ending::Clean => Ok(()),
            Ending::Torn(_) if !self.is_last => {
                Err("Fatal error: the truncated file is not the last file".to_owned())
            }
            Ending::Torn(fault) if !target.state.config.flag(LOAD_TRUNCATED) => Err(format!(
                "Unexpected end of file reading the append only file {name} ({fault}). You can: 1) Make a backup of your \
                 AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
                 'aof-load-truncated' configuration option to yes and restart the server."
            )),
            Ending::Torn(fault) => {
                log::warn!("!!! Warning: short read while loading the AOF file {name}!!!");
                log::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
                let (sound, size) = (verdict.sound, verdict.size);
                log::warn!("Truncating the AOF {name} at offset {sound}, of {size} bytes: {fault}");
                self.cut(sound, target)
                    .map_err(|error| format!("Error truncating the AOF file {name}: {error}"))
            }
            Ending::Damaged(fault) => Err(format!(
                "Bad file format reading the append only file {name}: make a backup of your AOF file, then use \
                 ./redis-check-aof --fix <filename.manifest>. It is sound up to offset {}; {fault}",
                verdict.sound
            )),
        }
    }

    fn cut(&self, len: u64, target: &Target<'_>) -> io::Result<()> {
        let mut file = target.state.persistence.storage.disk.append(&self.path)?;
        file.truncate(len)?;
        file.sync()
    }
}

impl LogFile {
    fn feed(&mut self, bytes: &[u8], target: &mut Target<'_>) -> Result<usize, String> {
        if self.is_known {
            return self.decode(bytes, target);
        }
        let used = bytes.len().min(VALKEY_MAGIC.len() - self.head.len());
        self.head.extend_from_slice(&bytes[..used]);
        if self.head.len() == VALKEY_MAGIC.len() {
            self.know(target)?;
        }
        Ok(used)
    }

    /// The first bytes are there, or all.
    fn know(&mut self, target: &mut Target<'_>) -> Result<(), String> {
        self.is_known = true;
        let head = std::mem::take(&mut self.head);
        if !head.starts_with(MAGIC) && !head.starts_with(VALKEY_MAGIC) {
            self.dump = None;
            begin_commands(target);
        }
        self.decode_all(&head, target)
    }

    fn decode(&mut self, bytes: &[u8], target: &mut Target<'_>) -> Result<usize, String> {
        let Some(dump) = &mut self.dump else { return self.replay.feed(bytes, target) };
        let piece = piece_of(bytes);
        if let Some(rest) = dump.feed(piece, target)? {
            self.end_dump(target)?;
            begin_commands(target);
            self.decode_all(&rest, target)?;
        }
        Ok(piece.len())
    }

    fn decode_all(&mut self, bytes: &[u8], target: &mut Target<'_>) -> Result<(), String> {
        let mut at = 0;
        while at < bytes.len() {
            at += self.decode(&bytes[at..], target)?;
        }
        Ok(())
    }

    fn end_dump(&mut self, target: &mut Target<'_>) -> Result<(), String> {
        let Some(mut dump) = self.dump.take() else { return Ok(()) };
        dump.finish(target)?;
        let loaded = dump.loader.loaded();
        self.figures = Figures { keys: loaded.keys, expired: loaded.expired, empty: loaded.empty };
        Ok(())
    }

    fn finish(&mut self, target: &mut Target<'_>) -> Result<(), String> {
        if !self.is_known {
            self.know(target)?;
        }
        self.end_dump(target)?;
        if self.replay.is_complete() {
            return Ok(());
        }
        // Logs were looked at before; this is the end of a base.
        if !target.state.config.flag(LOAD_TRUNCATED) {
            return Err("Unexpected end of file reading the append only file".to_owned());
        }
        log::warn!("The base of the append only file ends early, which aof-load-truncated allows.");
        Ok(())
    }

    fn figures(&self) -> Figures {
        Figures { keys: self.figures.keys + self.replay.commands(), ..self.figures }
    }
}

/// Commands come next.
fn begin_commands(target: &mut Target<'_>) {
    if let Some(foreseen) = &target.state.persistence.aof.foreseen {
        foreseen.tell(target.keyspace);
    }
}

/// The bytes of a dump that are decoded at once.
fn piece_of(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(PIECE)]
}

/// Why a dump file is refused. Tools look for the words in front.
fn describe(error: &rdb::Error) -> String {
    match error.fault {
        Fault::Checksum { .. } => format!("Wrong RDB checksum, RDB CRC error: {error}"),
        Fault::Truncated => format!("Short read while loading the DB: {error}"),
        _ => format!("Bad file format reading the RDB file: {error}"),
    }
}

/// Puts the libraries of a file to use.
fn restore_functions(codes: &[Vec<u8>], policy: Policy, target: &mut Target<'_>) -> Result<(), String> {
    if codes.is_empty() {
        return Ok(());
    }
    let began_ns = target.links.clock_ns();
    let mut host = LibraryHost { links: target.links, began_ns };
    let functions = target.state.scripting.functions();
    let restored = functions.restore(codes, policy, &mut host);
    restored.map_err(|refusal| format!("Failed creating the libraries of functions: {}", text(&refusal.0)))
}

/// What the code of a library sees while it is loaded from a file.
struct LibraryHost<'a> {
    links: &'a mut dyn Links,
    began_ns: u64,
}

impl Host for LibraryHost<'_> {
    fn word(&mut self, _: &[u8]) {}

    fn number(&mut self, _: f64) {}

    fn drop_words(&mut self) {}

    fn call(&mut self, _: carnelian_scripting::Protocol, read: &mut dyn FnMut(&[u8])) {
        read(b"-ERR commands can be called by functions only\r\n");
    }

    fn is_permitted(&mut self) -> Option<bool> {
        None
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        log_line(level, message);
    }

    fn set_replication(&mut self, _: Replication) {}

    fn tick(&mut self) -> Verdict {
        match self.links.clock_ns().saturating_sub(self.began_ns) > LIBRARY_LIMIT_NS {
            true => Verdict::Stop("FUNCTION LOAD timeout"),
            false => Verdict::Continue,
        }
    }
}

impl Current {
    fn begin(source: Source, target: &mut Target<'_>) -> Result<Current, String> {
        if let Decoder::Scan { is_last } = source.decoder {
            return LogScan::begin(source.path, is_last, target).map(|scan| Current::Scanned(Box::new(scan)));
        }
        Decoded::begin(source, target.state).map(|decoded| Current::Decoded(Box::new(decoded)))
    }

    fn step(&mut self, target: &mut Target<'_>) -> Result<Step, String> {
        match self {
            Current::Scanned(scan) => scan.step(target),
            Current::Decoded(decoded) => {
                decoded.step(target).map_err(|reason| format!("{}: {reason}", decoded.source.name()))
            }
        }
    }

    /// Bytes of the file so far.
    fn read(&self) -> u64 {
        match self {
            Current::Scanned(scan) => scan.survey.read(),
            Current::Decoded(decoded) => decoded.read,
        }
    }

    fn figures(&self) -> Figures {
        match self {
            Current::Scanned(_) => Figures::default(),
            Current::Decoded(decoded) => decoded.source.decoder.figures(),
        }
    }
}

impl Decoded {
    fn begin(mut source: Source, state: &State) -> Result<Decoded, String> {
        let storage = &state.persistence.storage;
        source.decoder.expect_bytes(storage.disk.len(&source.path).unwrap_or(0));
        let wake = Arc::clone(&storage.wake);
        let opened = storage.disk.open(&source.path).and_then(|file| ReadAhead::start(file, move || wake()));
        let ahead = opened.map_err(|error| unreadable(&source.path, &error))?;
        Ok(Decoded { source, ahead, chunk: Vec::new(), at: 0, read: 0 })
    }

    /// Decodes the next piece.
    fn step(&mut self, target: &mut Target<'_>) -> Result<Step, String> {
        if self.at == self.chunk.len() {
            match self.ahead.poll().map_err(|error| unreadable(&self.source.path, &error))? {
                Ahead::Chunk(chunk) => {
                    self.ahead.give_back(std::mem::replace(&mut self.chunk, chunk));
                    self.at = 0;
                }
                Ahead::Nothing => return Ok(Step::Wait),
                Ahead::End => {
                    return self.source.decoder.finish(target).map(|()| Step::Done);
                }
            }
        }
        let used = self.source.decoder.feed(&self.chunk[self.at..], target)?;
        self.read += used as u64;
        self.at += used;
        Ok(Step::More)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("Can't read {}: {error}", path.display())
}

impl Loading {
    /// Files to be loaded one after the other.
    ///
    /// # Errors
    /// If one of them is not there.
    pub(crate) fn new(files: Vec<Source>, target: &mut Target<'_>) -> Result<Loading, String> {
        let disk = &target.state.persistence.storage.disk;
        let mut total = 0;
        for file in &files {
            total += disk.len(&file.path).map_err(|error| unreadable(&file.path, &error))?;
        }
        Ok(Loading {
            files: files.into(),
            current: None,
            began_ms: target.keyspace.now(),
            began_ns: target.links.clock_ns(),
            total,
            done: 0,
            not_before_ns: 0,
            before: Figures::default(),
        })
    }

    /// Makes one step.
    ///
    /// # Errors
    /// A file cannot be read or loaded: a line for the log.
    fn step(&mut self, target: &mut Target<'_>) -> Result<Step, String> {
        if self.not_before_ns > 0 && target.links.clock_ns() < self.not_before_ns {
            return Ok(Step::Wait);
        }
        let current = match &mut self.current {
            Some(current) => current,
            None => match self.files.pop_front() {
                Some(source) => self.current.insert(Current::begin(source, target)?),
                None => return Ok(Step::Done),
            },
        };
        let keys = current.figures().keys;
        let step = current.step(target)?;
        let figures = current.figures();
        let delay = KeyDelay(target.state.config.int(KEY_DELAY)).of(figures.keys - keys);
        if !delay.is_zero() {
            self.not_before_ns = target.links.clock_ns() + delay.as_nanos() as u64;
        }
        target.state.persistence.loaded = self.before.plus(figures);
        if step == Step::Done {
            self.before = self.before.plus(figures);
            self.done += current.read();
            self.current = None;
            return Ok(Step::More);
        }
        Ok(step)
    }

    /// Bytes that were loaded, and all.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.done + self.current.as_ref().map_or(0, Current::read), self.total)
    }

    /// When it began: Unix time in seconds.
    pub(crate) fn began_s(&self) -> u64 {
        self.began_ms / 1000
    }

    /// Seconds until the end if it goes on like this.
    pub(crate) fn remaining_s(&self, now_ms: u64) -> u64 {
        let (loaded, total) = self.progress();
        match (loaded, now_ms.saturating_sub(self.began_ms) / 1000) {
            (0, _) => 1,
            (loaded, elapsed) => elapsed * total.saturating_sub(loaded) / loaded,
        }
    }
}

impl Figures {
    fn plus(self, other: Figures) -> Figures {
        Figures {
            keys: self.keys + other.keys,
            expired: self.expired + other.expired,
            empty: self.empty + other.empty,
        }
    }
}

impl Target<'_> {
    /// Begins to load what is there.
    ///
    /// # Errors
    /// There is something, and it cannot be loaded.
    pub(crate) fn begin_at_start(&mut self) -> Result<(), String> {
        if self.state.config.flag(APPENDONLY) {
            return self.begin_log_at_start();
        }
        let path = self.state.path_of(self.links, FILE);
        match self.state.persistence.storage.disk.len(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(&path, &error)),
        }
        let source = Source::dump(path, self.state, Merge::Refuse);
        self.begin(vec![source])
    }

    fn begin(&mut self, files: Vec<Source>) -> Result<(), String> {
        let loading = Loading::new(files, self)?;
        self.state.persistence.loaded = Figures::default();
        self.state.persistence.memory_then = 0;
        self.state.persistence.loading = Some(Box::new(loading));
        self.state.update_gate();
        Ok(())
    }

    /// Goes on loading for a while. Returns after how many milliseconds it wants to go on; `None`: when it is woken.
    pub(crate) fn load_slice(&mut self, began_ns: u64) -> Option<u64> {
        if self.state.persistence.failure.is_some() {
            return None;
        }
        loop {
            match self.load_step() {
                Ok(Step::More) => {}
                Ok(Step::Wait) => return self.remaining_delay_ms(),
                Ok(Step::Done) => {
                    self.loaded_at_start();
                    return Some(0);
                }
                Err(reason) => {
                    self.failed_at_start(&reason);
                    return Some(0);
                }
            }
            if self.links.clock_ns().saturating_sub(began_ns) > BUDGET_NS {
                return Some(0);
            }
        }
    }

    fn remaining_delay_ms(&mut self) -> Option<u64> {
        let until = self.state.persistence.loading.as_ref()?.not_before_ns;
        let left = until.checked_sub(self.links.clock_ns())?;
        Some(left.div_ceil(1_000_000))
    }

    /// Loads files while the running command waits, and serves others meanwhile.
    ///
    /// # Errors
    /// As [`Loading::step`]. What came before the error remains.
    pub(crate) fn load_now(&mut self, files: Vec<Source>) -> Result<(), String> {
        self.begin(files)?;
        let mut served_ns = self.links.clock_ns();
        let result = loop {
            match self.load_step() {
                Ok(Step::More) => {}
                Ok(Step::Wait) => self.links.sleep(WAIT_US),
                Ok(Step::Done) => break Ok(()),
                Err(reason) => break Err(reason),
            }
            if self.links.clock_ns().saturating_sub(served_ns) > SERVE_NS {
                let mut beside = Beside::new(self.keyspace, self.state);
                self.links.serve_beside(&mut beside);
                served_ns = self.links.clock_ns();
            }
        };
        self.end();
        result
    }

    fn load_step(&mut self) -> Result<Step, String> {
        let Some(mut loading) = self.state.persistence.loading.take() else { return Ok(Step::Done) };
        let step = loading.step(self);
        self.state.persistence.loading = Some(loading);
        step
    }

    fn begin_log_at_start(&mut self) -> Result<(), String> {
        let files = self.log_sources()?;
        if files.is_empty() {
            return self.begin_logging();
        }
        self.keyspace.hold_deadlines(true);
        self.begin(files)
    }

    /// The files of the append only file: first the logs are looked at, then everything is loaded.
    pub(crate) fn log_sources(&mut self) -> Result<Vec<Source>, String> {
        let files = self.log_files()?;
        let last = files.len().saturating_sub(1);
        let mut sources = Vec::new();
        for (i, (path, kind)) in files.iter().enumerate() {
            if *kind == FileKind::Log {
                let decoder = Decoder::Scan { is_last: i == last };
                sources.push(Source { path: path.clone(), decoder });
            }
        }
        sources.extend(files.into_iter().map(|(path, _)| Source::log(path, self.state)));
        Ok(sources)
    }

    fn loaded_at_start(&mut self) {
        let loading = self.end();
        self.state.persistence.saving.set_clean(self.keyspace.stats().dirty);
        let nanos = loading.map_or(0, |l| self.links.clock_ns().saturating_sub(l.began_ns));
        if self.state.config.flag(APPENDONLY) {
            log::info!("DB loaded from append only file: {:.3} seconds", nanos as f64 / 1e9);
            if let Err(reason) = self.begin_logging() {
                self.failed_at_start(&reason);
            }
            return;
        }
        log::info!("DB loaded from disk: {:.3} seconds", nanos as f64 / 1e9);
    }

    fn failed_at_start(&mut self, reason: &str) {
        self.state.persistence.failure = Some(FATAL.to_owned());
        self.end();
        log::warn!("{reason}");
        self.links.stop();
    }

    fn end(&mut self) -> Option<Box<Loading>> {
        self.keyspace.hold_deadlines(false);
        self.state.persistence.aof.foreseen = None;
        (0..self.keyspace.databases()).for_each(|db| self.keyspace.expect_keys(db, 0));
        let loading = self.state.persistence.loading.take();
        self.state.update_gate();
        loading
    }
}
