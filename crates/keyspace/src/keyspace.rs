//! The keyspace: databases, time, access clocks, expiry, and the walks over all of it.

use crate::access::AccessPolicy;
use crate::db::{Db, Walk, compact_members};
use crate::dense;
use crate::entry::{Entry, Head, Outline, Payload};
use crate::event::{Event, EventClass, EventClasses, EventLog};
use crate::hash::Hasher;
use crate::key::Key;
use crate::lag::LagHistogram;
use crate::pages::{Pace, PagePool};
use crate::random::Random;
use crate::reaper::Reaper;
use crate::slab::{Bin, Slab};
use crate::snapshot::{Snapshot, SnapshotSink, walk_bucket};
use crate::table::{CURSOR_SHIFT, Place};
use crate::types::hash::Hash;
use crate::types::{Limits, Object, Packing, Space};
use crate::value::{Item, Owned, OwnedValue};
use crate::write::Write;
use std::cell::RefCell;
use std::sync::Arc;

/// What a keyspace is made with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many databases.
    pub databases: usize,
    /// The secret that keys are hashed under; random per process.
    pub hash_seed: (u64, u64),
    /// The seed of random choices (RANDOMKEY, the LFU counter).
    pub random_seed: u64,
}

/// Where memory is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Free {
    /// Before the call returns.
    Now,
    /// On the background thread.
    Lazy,
}

/// What a call of [`Keyspace::expire_due`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExpireRun {
    /// Keys removed.
    pub removed: usize,
    /// Whether more keys are due.
    pub more: bool,
}

/// Counters since the start or the last reset.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their deadline passed.
    pub expired: u64,
    /// Fields of hashes removed because their deadline passed.
    pub expired_fields: u64,
    /// Changes since the start, as `rdb_changes_since_last_save` counts them. Not reset.
    pub dirty: u64,
    /// How late keys were removed that nobody read.
    pub lag: LagHistogram,
}

/// Bytes taken by a keyspace. Large values are not in it: they live in the general allocator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// Blocks in use: entries, segments, directories.
    pub used: usize,
    /// Pages that hold these blocks.
    pub held: usize,
    /// Address space taken from the system for pages.
    pub mapped: usize,
    /// The part of `used` that is tables, not entries.
    pub tables: usize,
}

/// Hears of every change, after it happened.
pub trait Observer {
    /// `key` of database `db` changed.
    fn changed(&mut self, db: usize, key: &[u8], events: &[Event]);
    /// All keys of database `db` are gone.
    fn flushed(&mut self, db: usize);
}

/// What kind of change a key was subject to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Its value, its deadline or its existence is another one.
    Write,
    /// A deadline has passed: its own, or that of a field.
    Expiry,
    /// Only what stands beside the value is another one: the consumer groups of a stream.
    Aside,
}

/// A change that was recorded; see [`Keyspace::set_recording`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    /// A key was changed, created or removed.
    Key {
        /// Its database.
        db: usize,
        /// Its bytes.
        key: &'a [u8],
        /// What the change is.
        cause: Cause,
    },
    /// A database was emptied.
    Flush {
        /// The database.
        db: usize,
    },
    /// Two databases were exchanged.
    Swap {
        /// One of them.
        a: usize,
        /// The other one.
        b: usize,
    },
}

/// What was removed since its deadline passed; see [`Keyspace::log_expiries`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expired<'a> {
    /// A key.
    Key {
        /// Its database.
        db: usize,
        /// Its bytes.
        key: &'a [u8],
    },
    /// A field of a hash.
    Field {
        /// The database.
        db: usize,
        /// The key of the hash.
        key: &'a [u8],
        /// The field's bytes.
        field: &'a [u8],
    },
}

/// What has expired, as it is kept: database, key, and field.
type ExpiredLog = Vec<(usize, Box<[u8]>, Option<Box<[u8]>>)>;

/// Recorded changes, as they are kept: keys own their bytes.
enum Recorded {
    Key(usize, Box<[u8]>, Cause),
    Flush(usize),
    Swap(usize, usize),
}

/// Numbered databases of keys. See the crate's documentation.
pub struct Keyspace {
    /// First to go, so that its thread no longer uses what comes next.
    reaper: Reaper,
    dbs: Vec<Db>,
    /// Goes before the members, of which it may hold some.
    snapshot: Option<Snapshot>,
    /// Beyond how many members collections are handed out in parts.
    snapshot_large: usize,
    /// Blocks of the members of all large collections, so that a collection can move between databases.
    members: Slab,
    limits: Limits,
    /// The buffer into which packed collections are copied while they change.
    buffer: Vec<u8>,
    /// Changes, while someone wants to know them.
    recorded: Option<Vec<Recorded>>,
    /// Keys and fields that have expired, while someone wants to know them.
    expired: Option<ExpiredLog>,
    /// Events, while someone wants to know them.
    events: Option<Box<EventLog>>,
    pool: Arc<PagePool>,
    hasher: Hasher,
    /// The time against which deadlines are judged; 0 while they are held.
    now: u64,
    /// The time that access clocks tell.
    clock: u64,
    deadlines_held: bool,
    policy: AccessPolicy,
    touch: bool,
    active_expire: bool,
    keep_expired: bool,
    random: Random,
    stats: Stats,
    /// Flips with each snapshot; see [`crate::snapshot`].
    epoch: bool,
    observer: Option<Box<dyn Observer>>,
    /// The database that the next compaction looks at.
    compact_next: usize,
    pace: Pace,
    /// When the pace was looked at.
    paced: u64,
}

/// Members of a collection that is handed out whole at most: copying them takes some 10 us.
const SNAPSHOT_LARGE: usize = 256;
/// Expired keys that [`Keyspace::random_key`] passes over where they are to stay.
const RANDOM_ATTEMPTS: u32 = 100;

const HEXPIRED: Event = Event::hash("hexpired");
const EXPIRED: Event = Event { class: EventClass::Expired, name: "expired" };
const MISS: Event = Event { class: EventClass::Miss, name: "keymiss" };

impl Keyspace {
    /// Empty databases. They take memory with their first key.
    pub fn new(options: Options) -> Self {
        let pool = Arc::new(PagePool::new());
        let hasher = Hasher::new(options.hash_seed);
        Keyspace {
            dbs: (0..options.databases).map(|_| Db::new(hasher, &pool)).collect(),
            members: Slab::new(Arc::clone(&pool)),
            limits: Limits::default(),
            buffer: Vec::new(),
            recorded: None,
            expired: None,
            events: None,
            pool,
            hasher,
            now: 0,
            clock: 0,
            deadlines_held: false,
            policy: AccessPolicy::default(),
            touch: true,
            active_expire: true,
            keep_expired: false,
            random: Random::new(options.random_seed),
            reaper: Reaper::default(),
            stats: Stats::default(),
            epoch: false,
            snapshot: None,
            snapshot_large: SNAPSHOT_LARGE,
            observer: None,
            compact_next: 0,
            pace: Pace::default(),
            paced: 0,
        }
    }

    /// How many databases there are.
    pub fn databases(&self) -> usize {
        self.dbs.len()
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    /// What hashes keys, for those who do so elsewhere.
    pub fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// A key whose hash was [`Key::hash`] of the same bytes in this keyspace: so nothing is hashed twice.
    #[inline]
    pub fn hashed_key<'a>(&self, bytes: &'a [u8], hash: u64) -> Key<'a> {
        debug_assert!(hash == self.hasher.hash(bytes));
        Key { bytes, hash }
    }

    /// Says how many keys a database is going to have in all, 0 if that is not known any more. A hint that saves the
    /// table from growing step by step; nothing is taken before there are keys.
    pub fn expect_keys(&mut self, db: usize, keys: usize) {
        self.dbs[db].table.expect(keys);
    }

    /// Sets the time, in unix milliseconds, against which deadlines are judged from now on.
    #[inline]
    pub fn set_now(&mut self, unix_ms: u64) {
        self.clock = unix_ms;
        self.now = if self.deadlines_held { 0 } else { unix_ms };
    }

    /// The time against which deadlines are judged: as last set, or 0 while they are held.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The time as last set.
    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    /// Lets nothing expire, for effects that are replayed: what expired then is among them.
    pub fn hold_deadlines(&mut self, held: bool) {
        self.deadlines_held = held;
        self.set_now(self.clock);
    }

    /// Whether nothing expires at present.
    pub fn holds_deadlines(&self) -> bool {
        self.deadlines_held
    }

    /// What access clocks measure. A change makes the clocks of existing keys meaningless until their next
    /// use, as `maxmemory-policy` does in Redis.
    pub fn set_access_policy(&mut self, policy: AccessPolicy) {
        self.policy = policy;
    }

    /// Whether reads and writes update the access clock (`CLIENT NO-TOUCH`).
    pub fn set_touch(&mut self, touch: bool) {
        self.touch = touch;
    }

    /// Whether [`Keyspace::expire_due`] removes anything (`DEBUG SET-ACTIVE-EXPIRE`).
    pub fn set_active_expire(&mut self, on: bool) {
        self.active_expire = on;
    }

    /// Whether reads leave expired keys, which they do not see, where they are (`CLIENT PAUSE`).
    pub fn set_keep_expired(&mut self, keep: bool) {
        self.keep_expired = keep;
    }

    /// Has every change reported to `observer`.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer>>) {
        self.observer = observer;
    }

    /// Asks the processor for the table's bucket of a key. A hint: costs a few nanoseconds, changes nothing.
    #[inline]
    pub fn prefetch(&self, db: usize, key: Key<'_>) {
        self.dbs[db].table.prefetch_bucket(key.hash);
    }

    /// Asks the processor for the entry of a key whose bucket was prefetched before.
    #[inline]
    pub fn prefetch_entry(&self, db: usize, key: Key<'_>) {
        self.dbs[db].table.prefetch_block(key.hash);
    }

    /// Asks the processor for the object of a key whose entry was prefetched before; whether it has one.
    #[inline]
    pub fn prefetch_object(&self, db: usize, key: Key<'_>) -> bool {
        self.dbs[db].find(key).is_some_and(|(entry, _)| entry.prefetch_object())
    }

    /// Asks the processor for what an object that was prefetched before points to.
    #[inline]
    pub fn prefetch_members(&self, db: usize, key: Key<'_>) {
        if let Some((entry, _)) = self.dbs[db].find(key)
            && let Some(object) = entry.object()
        {
            object.prefetch();
        }
    }

    // --- single keys ------------------------------------------------------------------------------

    /// A user's read: counts a hit or a miss and updates the access clock.
    #[inline]
    pub fn read(&mut self, db: usize, key: Key<'_>) -> Option<Item<'_>> {
        let (entry, _) = self.find_counted(db, key)?;
        self.touch(entry);
        Some(Item::new(entry, self.policy))
    }

    /// A user's question about a key rather than its value (EXISTS, TTL, TYPE): counts a hit or a miss and
    /// leaves the access clock alone.
    pub fn look(&mut self, db: usize, key: Key<'_>) -> Option<Item<'_>> {
        let (entry, _) = self.find_counted(db, key)?;
        Some(Item::new(entry, self.policy))
    }

    /// A question about how a key is kept (OBJECT): as [`Keyspace::look`], but no event if there is no such key.
    pub fn inspect(&mut self, db: usize, key: Key<'_>) -> Option<Item<'_>> {
        let (entry, _) = self.find_and_count(db, key)?;
        Some(Item::new(entry, self.policy))
    }

    #[inline]
    fn find_counted(&mut self, db: usize, key: Key<'_>) -> Option<(Entry, Place)> {
        let found = self.find_and_count(db, key);
        if found.is_none() {
            self.log_events(db, key.bytes, &[MISS]);
        }
        found
    }

    #[inline]
    fn find_and_count(&mut self, db: usize, key: Key<'_>) -> Option<(Entry, Place)> {
        let found = self.find_to_read(db, key);
        match found {
            Some(_) => self.stats.hits += 1,
            None => self.stats.misses += 1,
        }
        found
    }

    /// A look that leaves no trace, except that an expired key is removed.
    pub fn peek(&mut self, db: usize, key: Key<'_>) -> Option<Item<'_>> {
        let (entry, _) = self.find_to_read(db, key)?;
        Some(Item::new(entry, self.policy))
    }

    /// Users' reads of several keys at once, in the order of the keys, up to the first one that `look` refuses; together
    /// with what it takes to build collections from them.
    ///
    /// # Errors
    /// That of `look`.
    pub fn read_all<'k, T, E>(
        &'k mut self,
        db: usize,
        keys: impl Iterator<Item = Key<'k>>,
        mut look: impl FnMut(Option<Item<'k>>) -> Result<T, E>,
    ) -> Result<(Vec<T>, Space<'k>), E> {
        let policy = self.policy;
        // Reading removes expired keys only, never the entry of a key that was read before.
        let mut found = |key| {
            let (entry, _) = self.find_counted(db, key)?;
            self.touch(entry);
            Some(Item::new(entry, policy))
        };
        let items = keys.map(|key| look(found(key))).collect::<Result<_, E>>()?;
        // Building collections takes and frees blocks of their own; it changes no entry.
        Ok((items, self.space()))
    }

    /// A guard for changing one key, present or absent.
    #[inline]
    pub fn write<'k>(&'k mut self, db: usize, key: Key<'k>) -> Write<'k> {
        let found = self.find(db, key);
        if let Some((entry, _)) = found {
            self.touch(entry);
        }
        Write::new(self, db, key, found)
    }

    /// The live entry of a key that is not going to be changed; an expired one is removed first, unless it is to stay.
    #[inline]
    fn find_to_read(&mut self, db: usize, key: Key<'_>) -> Option<(Entry, Place)> {
        let found = self.dbs[db].find(key)?;
        match found.0.deadline() {
            Some(at) if at <= self.now => {
                if !self.keep_expired {
                    self.expire(db, key, found);
                }
                None
            }
            _ => Some(found),
        }
    }

    /// The live entry of a key; an expired one is removed first.
    #[inline]
    fn find(&mut self, db: usize, key: Key<'_>) -> Option<(Entry, Place)> {
        let found = self.dbs[db].find(key)?;
        match found.0.deadline() {
            Some(at) if at <= self.now => {
                self.expire(db, key, found);
                None
            }
            _ => Some(found),
        }
    }

    #[inline]
    fn touch(&mut self, entry: Entry) {
        if self.touch {
            entry.set_access(self.policy.used(entry.access(), self.clock, &mut self.random));
        }
    }

    #[cold]
    fn expire(&mut self, db: usize, key: Key<'_>, found: (Entry, Place)) {
        self.remove_found(db, found);
        self.stats.expired += 1;
        if let Some(expired) = &mut self.expired {
            expired.push((db, key.bytes.into(), None));
        }
        self.report(db, key.bytes, &[EXPIRED]);
    }

    // --- the write guard's side -------------------------------------------------------------------

    /// Hands the entry's value to a running snapshot if that has not seen it.
    #[inline]
    pub(crate) fn before_change(&mut self, db: usize, entry: Entry) {
        if let Some(snapshot) = &mut self.snapshot
            && entry.epoch() != self.epoch
            && let Some(walk) = self.dbs[db].walk
        {
            snapshot.hand_out(walk.number, entry, self.epoch, Item::new(entry, self.policy));
        }
    }

    /// Hands what a collection kept while it changed to a running snapshot.
    #[inline]
    pub(crate) fn after_change(&mut self, object: &mut Object) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.after_change(object);
        }
    }

    pub(crate) fn new_head(&self, deadline: Option<u64>) -> Head {
        Head { deadline, access: self.policy.created(self.clock), epoch: self.epoch }
    }

    pub(crate) fn insert(
        &mut self,
        db: usize,
        key: Key<'_>,
        payload: Payload<'_>,
        head: Head,
    ) -> (Entry, Place) {
        self.prepare_growth();
        self.dbs[db].insert(key, payload, head)
    }

    /// Has memory made present for what comes, if it runs out.
    #[inline(always)]
    pub(crate) fn prepare_growth(&mut self) {
        if self.pool.wants_prepare() {
            self.reaper.prepare(&self.pool);
        }
    }

    #[inline]
    pub(crate) fn rewrite(
        &mut self,
        db: usize,
        key: Key<'_>,
        found: (Entry, Place),
        payload: Payload<'_>,
        head: Head,
    ) -> Entry {
        let (entry, old) = self.dbs[db].rewrite(key, found, payload, head);
        self.reap(old);
        entry
    }

    pub(crate) fn set_deadline_found(&mut self, db: usize, found: (Entry, Place), at: Option<u64>) -> Entry {
        self.dbs[db].set_deadline(found, at)
    }

    /// Removes an entry, after its pre-image.
    pub(crate) fn remove_found(&mut self, db: usize, found: (Entry, Place)) {
        self.before_change(db, found.0);
        let outline = self.dbs[db].remove(found);
        self.reap(outline);
    }

    /// Removes an entry, after its pre-image, and hands out its value.
    pub(crate) fn take_found(&mut self, db: usize, found: (Entry, Place)) -> OwnedValue {
        self.before_change(db, found.0);
        let inline = found.0.copy_inline();
        match (inline, self.dbs[db].remove(found)) {
            (Some(value), _) => value,
            (None, Some(Outline::Blob(blob))) => OwnedValue::Blob(blob),
            (None, Some(Outline::Object(object))) => OwnedValue::Object(object),
            (None, None) => unreachable!("a value is in the entry or outside of it"),
        }
    }

    /// A copy of a key's value with its deadline, for COPY.
    pub fn duplicate(&mut self, db: usize, key: Key<'_>) -> Option<Owned> {
        let (entry, _) = self.find(db, key)?;
        let value = match (entry.copy_inline(), entry.object()) {
            (Some(value), _) => value,
            (None, Some(object)) => OwnedValue::Object(Box::new(object.duplicate(&mut self.space()))),
            (None, None) => OwnedValue::Blob(entry.share_blob()),
        };
        Some(Owned { value, deadline: entry.deadline() })
    }

    fn reap(&mut self, outline: Option<Outline>) {
        let kept = match &mut self.snapshot {
            Some(snapshot) => outline.and_then(|outline| snapshot.keep(outline)),
            None => outline,
        };
        if let Some(outline) = kept {
            self.reaper.outline(outline, &mut self.members);
        }
    }

    /// What collections need while they change.
    pub fn space(&mut self) -> Space<'_> {
        Space {
            slab: &mut self.members,
            limits: &self.limits,
            hasher: self.hasher,
            random: &mut self.random,
            now: self.now,
        }
    }

    /// The bytes of an entry's packed collection, in the buffer that is kept for it.
    pub(crate) fn copy_packed(&mut self, entry: Entry) -> Option<(Packing, Vec<u8>)> {
        let packing = entry.copy_packed(&mut self.buffer)?;
        Some((packing, std::mem::take(&mut self.buffer)))
    }

    /// Keeps a buffer for the next `copy_packed`.
    pub(crate) fn keep_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// After the object of an entry was changed in place.
    pub(crate) fn refresh_object(&mut self, db: usize, found: (Entry, Place)) {
        self.dbs[db].refresh_object(found);
    }

    pub(crate) fn policy(&self) -> AccessPolicy {
        self.policy
    }

    /// Counts a change and tells the observer.
    #[inline]
    pub(crate) fn report_change(&mut self, db: usize, key: &[u8], events: &[Event], changes: u64) {
        self.stats.dirty += changes;
        self.report(db, key, events);
    }

    #[inline]
    pub(crate) fn report(&mut self, db: usize, key: &[u8], events: &[Event]) {
        if let Some(observer) = &mut self.observer {
            observer.changed(db, key, events);
        }
        if self.recorded.is_some() {
            self.record(db, key, events);
        }
        self.log_events(db, key, events);
    }

    #[cold]
    fn record(&mut self, db: usize, key: &[u8], events: &[Event]) {
        let expired = events.iter().any(|event| *event == EXPIRED || *event == HEXPIRED);
        let cause = if expired { Cause::Expiry } else { Cause::Write };
        self.recorded.get_or_insert_default().push(Recorded::Key(db, key.into(), cause));
    }

    /// Counts and reports a change of what stands beside a value.
    pub(crate) fn report_aside(&mut self, db: usize, key: &[u8], events: &[Event], changes: u64) {
        self.stats.dirty += changes;
        if let Some(observer) = &mut self.observer {
            observer.changed(db, key, events);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.push(Recorded::Key(db, key.into(), Cause::Aside));
        }
        self.log_events(db, key, events);
    }

    /// Appends to the log of events, if there is one.
    #[inline]
    pub(crate) fn log_events(&mut self, db: usize, key: &[u8], events: &[Event]) {
        if let Some(log) = &mut self.events {
            log.push(db, key, events);
        }
    }

    /// Whether events are logged.
    #[inline]
    pub(crate) fn logs_events(&self) -> bool {
        self.events.is_some()
    }

    /// Logs events of these classes from now on, for whoever is to be notified of them; none at all if there are none.
    pub fn set_event_classes(&mut self, classes: EventClasses) {
        match &mut self.events {
            _ if classes.is_empty() => self.events = None,
            Some(log) => log.classes = classes,
            None => self.events = Some(Box::new(EventLog { classes, ..EventLog::default() })),
        }
    }

    /// Whether an event was logged that was not handed out.
    #[inline]
    pub fn has_events(&self) -> bool {
        self.events.as_ref().is_some_and(|log| !log.entries.is_empty())
    }

    /// Hands out the events that were logged since the last call, in order: database, key and event.
    pub fn drain_events(&mut self, visit: &mut dyn FnMut(usize, &[u8], Event)) {
        let Some(log) = &mut self.events else { return };
        for (db, key, event) in log.entries.drain(..) {
            visit(db, &key, event);
        }
    }

    /// Begins or ends to record which keys change, for whoever waits for keys or keeps copies. Ending forgets what was
    /// recorded.
    pub fn set_recording(&mut self, on: bool) {
        if on != self.recorded.is_some() {
            self.recorded = on.then(Vec::new);
        }
    }

    /// Whether changes are recorded.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.recorded.is_some()
    }

    /// Whether something was recorded that was not handed out.
    #[inline]
    pub fn has_changes(&self) -> bool {
        self.recorded.as_ref().is_some_and(|recorded| !recorded.is_empty())
    }

    /// Hands out what was recorded since the last call, in order.
    pub fn drain_changes(&mut self, visit: &mut dyn FnMut(Change<'_>)) {
        for change in self.recorded.iter_mut().flat_map(std::mem::take) {
            visit(match &change {
                Recorded::Key(db, key, cause) => Change::Key { db: *db, key, cause: *cause },
                Recorded::Flush(db) => Change::Flush { db: *db },
                Recorded::Swap(a, b) => Change::Swap { a: *a, b: *b },
            });
        }
    }

    /// Begins or ends to log what is removed because its deadline has passed.
    pub fn log_expiries(&mut self, on: bool) {
        self.expired = on.then(Vec::new);
    }

    /// Hands out what was logged since the last call, in order.
    pub fn drain_expired(&mut self, visit: &mut dyn FnMut(Expired<'_>)) {
        for (db, key, field) in self.expired.iter_mut().flat_map(std::mem::take) {
            visit(match &field {
                Some(field) => Expired::Field { db, key: &key, field },
                None => Expired::Key { db, key: &key },
            });
        }
    }

    /// A generator of its own for a command that draws members, seeded from the keyspace's.
    pub fn fork_random(&mut self) -> Random {
        Random::new(self.random.next())
    }

    /// Changes up to which sizes collections stay packed. Existing ones are not converted.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    // --- whole databases --------------------------------------------------------------------------

    /// Keys in a database, expired ones that were not removed yet included.
    pub fn len(&self, db: usize) -> usize {
        self.dbs[db].len()
    }

    /// Whether a database has no keys.
    pub fn is_empty(&self, db: usize) -> bool {
        self.len(db) == 0
    }

    /// Keys that have a deadline.
    pub fn volatile_len(&self, db: usize) -> usize {
        self.dbs[db].volatile()
    }

    /// Hashes some fields of which have deadlines.
    pub fn timed_hashes(&self, db: usize) -> usize {
        self.dbs[db].timed_hashes()
    }

    /// The mean time to live of the keys that have a deadline, in milliseconds.
    pub fn mean_ttl(&self, db: usize) -> u64 {
        self.dbs[db].mean_deadline().map_or(0, |at| at.saturating_sub(self.now))
    }

    /// One step of a scan: visits the keys of one bucket (0 to about 20), each with whether it is live, or has expired
    /// and not been removed yet, and returns the cursor of the next step, 0 at the end. A scan from 0 to 0 visits every
    /// key that was there all the time at least once, however the database grows or shrinks in between. Any cursor is
    /// accepted.
    pub fn scan(&mut self, db: usize, cursor: u64, visit: &mut dyn FnMut(Item<'_>, bool)) -> u64 {
        let (now, policy) = (self.now, self.policy);
        let position = cursor << CURSOR_SHIFT;
        let next = self.dbs[db].step(position, &mut |entry| {
            let is_live = entry.deadline().is_none_or(|at| at > now);
            visit(Item::new(entry, policy), is_live);
        });
        next.map_or(0, |position| position >> CURSOR_SHIFT)
    }

    /// Visits all live keys of a database.
    pub fn for_each(&mut self, db: usize, visit: &mut dyn FnMut(Item<'_>)) {
        let (now, policy) = (self.now, self.policy);
        self.dbs[db].for_each(&mut |entry| visit_live(entry, now, policy, visit));
    }

    /// A live key, each with the same chance; `None` if there is none. Expired keys that are met are
    /// removed. If they are to stay, one may be the answer when there seem to be no others.
    pub fn random_key(&mut self, db: usize) -> Option<Vec<u8>> {
        for attempt in 1.. {
            let random = &mut self.random;
            let entry = self.dbs[db].sample(&mut || random.next())?;
            let bytes = Item::new(entry, self.policy).key().to_vec();
            let key = self.key(&bytes);
            if self.find_to_read(db, key).is_some() || self.keep_expired && attempt == RANDOM_ATTEMPTS {
                return Some(bytes);
            }
        }
        None
    }

    /// Removes all keys of a database; returns how many.
    pub fn flush(&mut self, db: usize, free: Free) -> usize {
        let removed = self.dbs[db].len();
        if removed > 0 {
            self.drop_databases(db..db + 1, free);
            self.stats.dirty += removed as u64;
        }
        self.report_flush(db);
        removed
    }

    /// Removes all keys; returns how many.
    pub fn flush_all(&mut self, free: Free) -> usize {
        let removed = self.dbs.iter().map(Db::len).sum::<usize>();
        if removed > 0 {
            self.drop_databases(0..self.dbs.len(), free);
            self.stats.dirty += removed as u64;
        }
        (0..self.dbs.len()).for_each(|db| self.report_flush(db));
        removed
    }

    fn report_flush(&mut self, db: usize) {
        if let Some(observer) = &mut self.observer {
            observer.flushed(db);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.push(Recorded::Flush(db));
        }
    }

    /// Empties databases. If no other one has a key, the slab of the members goes as a whole, so that their
    /// blocks need not be visited.
    fn drop_databases(&mut self, numbers: std::ops::Range<usize>, free: Free) {
        let mut old = Vec::new();
        for db in
            numbers.filter(|db| self.dbs[*db].len() > 0 || self.dbs[*db].walk.is_some()).collect::<Vec<_>>()
        {
            old.push(std::mem::replace(&mut self.dbs[db], Db::new(self.hasher, &self.pool)));
        }
        let members = self.members.id();
        if let Some(snapshot) = &mut self.snapshot {
            let has_open = snapshot.has_open();
            let (needed, passed): (Vec<_>, Vec<_>) =
                old.into_iter().partition(|db| db.walk.is_some() || has_open);
            snapshot.detached.extend(needed);
            passed.into_iter().for_each(|db| self.reaper.db(db, members));
            return;
        }
        let whole = self.dbs.iter().all(|db| db.len() == 0);
        // The thread may still be busy with members that were removed before.
        if free == Free::Now && self.reaper.counts().0 == 0 {
            for db in old {
                let mut bin = if whole { Bin::Whole } else { Bin::Now(&mut self.members) };
                db.dismantle(&mut bin);
            }
            if whole {
                self.members = Slab::new(Arc::clone(&self.pool));
            }
            return self.reaper.trim(&self.pool, usize::MAX);
        }
        if whole {
            old.into_iter().for_each(|db| self.reaper.db_with_members(db));
            let slab = std::mem::replace(&mut self.members, Slab::new(Arc::clone(&self.pool)));
            self.reaper.members(slab);
        } else {
            old.into_iter().for_each(|db| self.reaper.db(db, members));
        }
        self.reaper.trim(&self.pool, usize::MAX);
    }

    /// Exchanges the content of two databases; nothing happens if they are one.
    pub fn swap(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        self.dbs.swap(a, b);
        if let Some(recorded) = &mut self.recorded {
            recorded.push(Recorded::Swap(a, b));
        }
    }

    // --- expiry -----------------------------------------------------------------------------------

    /// When the next key may be due, in unix milliseconds: a lower bound.
    pub fn next_deadline(&self) -> Option<u64> {
        if !self.active_expire || self.deadlines_held {
            return None;
        }
        self.dbs.iter().filter_map(|db| db.table.next_deadline()).min()
    }

    /// Removes about `max` keys and fields that are due, at a cost of about 0.3 us each.
    pub fn expire_due(&mut self, max: usize) -> ExpireRun {
        if !self.active_expire {
            return ExpireRun::default();
        }
        let mut removed = 0;
        for number in 0..self.dbs.len() {
            removed += self.expire_keys(number, max - removed);
            if removed >= max {
                break;
            }
        }
        ExpireRun { removed, more: self.next_deadline().is_some_and(|at| at <= self.now) }
    }

    /// Removes about `max` keys of a database that are due, and fields of hashes.
    fn expire_keys(&mut self, number: usize, max: usize) -> usize {
        let (now, epoch, policy) = (self.now, self.epoch, self.policy);
        let (stats, observer) = (&mut self.stats, &mut self.observer);
        let snapshot = RefCell::new(self.snapshot.as_mut());
        let (reaper, members, recorded) = (&mut self.reaper, &mut self.members, &mut self.recorded);
        let (expired, events) = (&mut self.expired, &mut self.events);
        let mut gone = |entry: Entry, deadline: u64, walk: Option<Walk>| {
            if let (Some(snapshot), Some(walk)) = (snapshot.borrow_mut().as_mut(), walk)
                && entry.epoch() != epoch
            {
                snapshot.hand_out(walk.number, entry, epoch, Item::new(entry, policy));
            }
            stats.lag.record(now - deadline);
            let key = Item::new(entry, policy).key();
            if let Some(observer) = observer {
                observer.changed(number, key, &[EXPIRED]);
            }
            if let Some(recorded) = recorded {
                recorded.push(Recorded::Key(number, key.into(), Cause::Expiry));
            }
            if let Some(expired) = expired {
                expired.push((number, key.into(), None));
            }
            if let Some(events) = events {
                events.push(number, key, &[EXPIRED]);
            }
        };
        let mut hashes: Vec<Box<[u8]>> = Vec::new();
        let mut removed = self.dbs[number].remove_due(
            now,
            max,
            &mut gone,
            &mut |outline| {
                let kept = match snapshot.borrow_mut().as_mut() {
                    Some(snapshot) => snapshot.keep(outline),
                    None => Some(outline),
                };
                if let Some(outline) = kept {
                    reaper.outline(outline, members);
                }
            },
            &mut |entry| hashes.push(Item::new(entry, policy).key().into()),
        );
        self.stats.expired += removed as u64;
        for key in hashes {
            // At least one each, since the table has forgotten when they are due.
            removed += self.expire_some_fields(number, &key, max.saturating_sub(removed).max(1));
        }
        removed
    }

    /// Removes up to `max` fields of a hash that are due.
    fn expire_some_fields(&mut self, db: usize, key: &[u8], max: usize) -> usize {
        let (key, now) = (self.key(key), self.now);
        let Some((entry, _)) = self.find(db, key) else { return 0 };
        let due = now.saturating_sub(entry.due());
        let removed = self.remove_fields(db, key, |hash, space, gone| {
            hash.remove_due(now, max, space, gone);
        });
        if removed > 0 {
            self.stats.lag.record(due);
        }
        removed
    }

    /// Removes all fields of a hash that are due, for a command that must not meet any.
    pub fn expire_all_fields(&mut self, db: usize, key: Key<'_>) {
        let now = self.now;
        self.remove_fields(db, key, |hash, space, gone| {
            hash.remove_due(now, usize::MAX, space, gone);
        });
    }

    /// Removes those of the named fields that are due, after a look at one of them, or before.
    pub fn expire_fields<'f>(&mut self, db: usize, key: Key<'_>, fields: impl Iterator<Item = &'f [u8]>) {
        let now = self.now;
        if self.keep_expired {
            return;
        }
        self.remove_fields(db, key, |hash, space, gone| {
            let is_due = |hash: &Hash, field| hash.view().get(field).is_some_and(|f| !f.is_live(now));
            fields.filter(|field| is_due(hash, field) && hash.remove(space, field)).for_each(gone);
        });
    }

    /// Removes fields that are due from a hash through `remove`, which names them; reports and counts them.
    fn remove_fields(
        &mut self,
        db: usize,
        key: Key<'_>,
        remove: impl FnOnce(&mut Hash, &mut Space<'_>, &mut dyn FnMut(&[u8])),
    ) -> usize {
        let Some(found) = self.find(db, key) else { return 0 };
        let (mut removed, mut expired) = (0, self.expired.take());
        let mut guard = Write::new(self, db, key, Some(found));
        let _no_hash = guard.edit(|hash, space| {
            remove(hash, space, &mut |field| {
                removed += 1;
                if let Some(expired) = &mut expired {
                    expired.push((db, key.bytes.into(), Some(field.into())));
                }
            });
        });
        if removed == 0 {
            // Nothing was due, or it is another type, which has no fields.
            guard.unchanged();
            self.expired = expired;
            return 0;
        }
        let events = [HEXPIRED, Event::generic("del")];
        let events = if guard.exists() { &events[..1] } else { &events };
        guard.commit_many(events, 0);
        self.expired = expired;
        self.stats.expired_fields += removed as u64;
        removed
    }

    // --- snapshots --------------------------------------------------------------------------------

    /// Begins a snapshot of this moment. False if one is under way.
    pub fn begin_snapshot(&mut self, sink: Box<dyn SnapshotSink>) -> bool {
        if self.snapshot.is_some() {
            return false;
        }
        self.epoch = !self.epoch;
        for (number, db) in self.dbs.iter_mut().enumerate().filter(|(_, db)| db.len() > 0) {
            db.walk = Some(Walk { number, position: 0 });
        }
        self.snapshot = Some(Snapshot::new(sink, self.snapshot_large));
        true
    }

    /// Beyond how many members, or 16ths of nodes of lists and streams, collections are handed out to snapshots in
    /// parts. For tests.
    pub fn set_snapshot_large(&mut self, members: usize) {
        self.snapshot_large = members;
    }

    /// Walks up to `buckets` buckets (about 7 keys each), or of large collections buckets of members and nodes, for the
    /// snapshot. At its end, hands back the sink.
    pub fn step_snapshot(&mut self, buckets: usize) -> Option<Box<dyn SnapshotSink>> {
        let mut left = buckets;
        while left > 0 {
            let snapshot = self.snapshot.as_mut()?;
            if snapshot.has_open() {
                let (rest, orphan) = snapshot.walk_open(left);
                left = rest;
                if let Some(object) = orphan {
                    self.reaper.outline(Outline::Object(object), &mut self.members);
                }
            } else if !self.walk_database(&mut left) {
                self.free_detached();
                return self.snapshot.take()?.finish();
            }
        }
        if self.snapshot.as_ref().is_some_and(|snapshot| !snapshot.has_open()) {
            self.free_detached();
        }
        None
    }

    /// Walks buckets of a database until a collection is open or the database is passed; whether one was there to be
    /// walked.
    fn walk_database(&mut self, left: &mut usize) -> bool {
        let (epoch, policy) = (self.epoch, self.policy);
        let Some(snapshot) = &mut self.snapshot else { return false };
        let mut detached = std::mem::take(&mut snapshot.detached);
        let walking = self.dbs.iter_mut().chain(&mut detached).find(|db| db.walk.is_some());
        let found = walking.is_some();
        if let Some(db) = walking {
            while *left > 0 && !snapshot.has_open() {
                *left -= 1;
                let passed = walk_bucket(db, epoch, &mut |number, entry| {
                    snapshot.hand_out(number, entry, epoch, Item::new(entry, policy));
                });
                if passed {
                    break;
                }
            }
        }
        snapshot.detached = detached;
        found
    }

    /// Frees the flushed databases that the walk has passed. No collection is open.
    fn free_detached(&mut self) {
        let Some(snapshot) = &mut self.snapshot else { return };
        for db in snapshot.detached.extract_if(.., |db| db.walk.is_none()) {
            self.reaper.db(db, self.members.id());
        }
    }

    /// Gives up the snapshot. Its walk goes on without a receiver, through
    /// [`step_snapshot`](Keyspace::step_snapshot), before another one can begin.
    pub fn abort_snapshot(&mut self) -> Option<Box<dyn SnapshotSink>> {
        let (reaper, members) = (&mut self.reaper, &mut self.members);
        self.snapshot.as_mut()?.give_up(&mut |object| reaper.outline(Outline::Object(object), members))
    }

    /// Whether a snapshot is under way, or the rest of one that was given up.
    pub fn snapshot_active(&self) -> bool {
        self.snapshot.is_some()
    }

    // --- accounting -------------------------------------------------------------------------------

    /// Counts `n` changes that no guard saw.
    pub fn add_dirty(&mut self, n: u64) {
        self.stats.dirty += n;
    }

    /// Counters since the start or the last reset.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Resets the counters of [`Keyspace::stats`], but not `dirty`.
    pub fn reset_stats(&mut self) {
        self.stats = Stats { dirty: self.stats.dirty, ..Stats::default() };
        self.reaper.reset_freed();
    }

    /// Objects that wait to be freed in the background, and objects freed there since the last reset.
    pub fn lazy_free_counts(&self) -> (u64, u64) {
        self.reaper.counts()
    }

    /// Bytes taken by all databases; by full nodes of lists and streams also in other keyspaces.
    pub fn memory(&self) -> Memory {
        let (used, held, mapped) = dense::memory();
        let mut sum = Memory { used, held, mapped: self.pool.mapped() + mapped, tables: 0 };
        sum.used += self.members.used();
        sum.held += self.members.held();
        for db in &self.dbs {
            let (used, held) = db.bytes();
            sum.used += used;
            sum.held += held;
            sum.tables += db.table_bytes();
        }
        sum
    }

    /// Bytes of the table of a database, without its entries, and the number of its slots.
    pub fn table_memory(&self, db: usize) -> (usize, usize) {
        (self.dbs[db].table_bytes(), self.dbs[db].table.capacity())
    }

    /// Empties one sparsely used page, if there is one, by moving its entries, and has the memory of free
    /// pages given back to the system, in the background. Bounded by one page (64 KiB). Returns whether it
    /// found one. To be called periodically.
    pub fn compact(&mut self) -> bool {
        let runs = self.reaper.runs(TAKE_BACK);
        let returned = runs.len();
        runs.into_iter().for_each(|run| self.members.take_back(run));
        if self.now.abs_diff(self.paced) >= PACE_MS {
            self.paced = self.now;
            if let Some(excess) = self.pool.pace(&mut self.pace) {
                self.reaper.trim(&self.pool, excess);
            }
            if let Some((pool, excess)) = dense::pace() {
                self.reaper.trim(&pool, excess);
            }
        }
        if returned == TAKE_BACK {
            return true;
        }
        for _ in 0..self.dbs.len() {
            if self.dbs[self.compact_next].compact() {
                return true;
            }
            self.compact_next = (self.compact_next + 1) % self.dbs.len();
        }
        self.members.drop_empty();
        compact_members(&mut self.members, &self.reaper)
    }
}

/// Pages whose blocks are taken back from the background thread in one call of [`Keyspace::compact`]: less than 0.1 ms.
const TAKE_BACK: usize = 150;
/// Milliseconds between two looks at how fast pages are handed out.
const PACE_MS: u64 = 100;

fn visit_live(entry: Entry, now: u64, policy: AccessPolicy, visit: &mut dyn FnMut(Item<'_>)) {
    if entry.deadline().is_none_or(|at| at > now) {
        visit(Item::new(entry, policy));
    }
}
