//! Clients that wait for keys: who waits for which key, in which order, until when. Knows no connection, and of
//! commands only their words. What happens when a wait ends is in [`crate::engine`].
//!
//! A client stands in one line per key, ordered by ticket numbers, so that serving the first, leaving in the middle and
//! joining at the end cost O(log n) each, and a line of any length costs nothing until its key changes. Tickets rise
//! with every wait that begins: a client whose command is tried again and has to wait again goes to the end of its
//! lines, as in Redis.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use carnelian_keyspace::Kind;
use carnelian_resp::{OwnedArgv, ReplyBuf, number};

use crate::context::Ctx;
use crate::error::Error;
use crate::float::LongDouble;
use crate::links::ClientId;
use crate::table::CommandId;

/// The shortest wait, in milliseconds. Redis ends waits up to 100 ms late, so that others get to see even short ones in
/// INFO and CLIENT LIST, which test suites count on; here they end on time, but for those that would be over at once.
const SHORTEST_MS: u64 = 10;

/// What a command waits for; see [`Ctx::block`].
#[derive(Debug)]
pub(crate) struct Wait {
    /// Keys of the client's database, one of which has to change before the command is tried again.
    pub(crate) keys: Vec<Vec<u8>>,
    /// The type of value that the key must then hold: a list, a sorted set or a stream.
    pub(crate) kind: Kind,
    /// Whether the command is tried again too when a key was removed or has got another type.
    pub(crate) on_loss: bool,
    /// When the wait ends: Unix time in microseconds. A command that is tried again keeps the time it had first.
    pub(crate) until_us: Option<u64>,
    /// The words to try again with; `None`: those that were sent.
    pub(crate) argv: Option<OwnedArgv>,
    /// The reply where waiting is out of the question. That of a wait that ends is always the absent array.
    pub(crate) timeout_reply: TimeoutReply,
}

/// What a client is told that cannot wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimeoutReply {
    /// The absent array.
    NullArray,
    /// The absent value.
    Null,
}

impl TimeoutReply {
    /// Appends it.
    pub(crate) fn write(self, out: &mut ReplyBuf) {
        match self {
            TimeoutReply::NullArray => out.null_array(),
            TimeoutReply::Null => out.null(),
        }
    }
}

/// A client that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: ClientId,
    /// The database that the keys are in.
    pub(crate) db: usize,
    pub(crate) command: CommandId,
    pub(crate) argv: OwnedArgv,
    pub(crate) until_us: Option<u64>,
    /// Time spent in the command so far.
    pub(crate) nanos: u64,
    keys: Vec<Vec<u8>>,
    kind: Kind,
    on_loss: bool,
    ticket: u64,
}

/// Clients in order: slots by ticket.
type Line = BTreeMap<u64, u32>;

/// Everybody who waits for one key.
#[derive(Default, Debug)]
struct Lines {
    lists: Line,
    sorted_sets: Line,
    streams: Line,
    /// Those who are also to be woken by the loss of the key.
    loss: Line,
    /// Whether the key is among those that have changed.
    ready: bool,
}

impl Lines {
    /// The line of those who wait for a value of `kind`; strings, hashes and sets are waited for by nobody.
    fn of(&mut self, kind: Kind) -> Option<&mut Line> {
        match kind {
            Kind::List => Some(&mut self.lists),
            Kind::SortedSet => Some(&mut self.sorted_sets),
            Kind::Stream => Some(&mut self.streams),
            _ => None,
        }
    }

    fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.sorted_sets.is_empty() && self.streams.is_empty()
    }
}

/// The lines of one database by key.
type Keys = BTreeMap<Box<[u8]>, Lines>;

/// All waiting clients.
#[derive(Default, Debug)]
pub(crate) struct Blocking {
    /// By slot.
    waiting: BTreeMap<u32, Waiting>,
    /// By database.
    keys: Vec<Keys>,
    /// When waits end, and whose.
    deadlines: BTreeSet<(u64, u32)>,
    /// Keys that have changed, in order, each once.
    ready: VecDeque<(usize, Box<[u8]>)>,
    next_ticket: u64,
    /// What the running command wants to wait for.
    requested: Option<Wait>,
    /// The client whose command is tried again at present.
    retried: Option<Waiting>,
}

impl Blocking {
    /// How many clients wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many keys are waited for, and for how many of them the loss matters too.
    pub(crate) fn count_keys(&self) -> (usize, usize) {
        let all = || self.keys.iter().flat_map(BTreeMap::values);
        (all().count(), all().filter(|lines| !lines.loss.is_empty()).count())
    }

    /// How many waits have an end.
    pub(crate) fn count_timeouts(&self) -> usize {
        self.deadlines.len()
    }

    /// The client in `slot`, if it waits.
    pub(crate) fn get(&self, slot: u32) -> Option<&Waiting> {
        self.waiting.get(&slot)
    }

    /// Whether the running command is tried again.
    pub(crate) fn is_retry(&self) -> bool {
        self.retried.is_some()
    }

    /// What the command that has just run wants to wait for.
    #[inline]
    pub(crate) fn take_request(&mut self) -> Option<Wait> {
        self.requested.take()
    }

    /// A client begins to wait, or goes on after a try.
    pub(crate) fn begin(
        &mut self,
        (id, db): (ClientId, usize),
        command: CommandId,
        wait: Wait,
        sent: impl FnOnce() -> OwnedArgv,
        nanos: u64,
    ) {
        let nanos = nanos + self.spent();
        let until_us = self.retried.take().map_or(wait.until_us, |before| before.until_us);
        let argv = wait.argv.unwrap_or_else(sent);
        let (keys, kind, on_loss) = (wait.keys, wait.kind, wait.on_loss);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let waiting = Waiting { id, db, command, argv, until_us, nanos, keys, kind, on_loss, ticket };
        self.join(&waiting);
        self.waiting.insert(id.slot, waiting);
    }

    fn join(&mut self, waiting: &Waiting) {
        let slot = waiting.id.slot;
        if let Some(until_us) = waiting.until_us {
            self.deadlines.insert((until_us, slot));
        }
        if self.keys.len() <= waiting.db {
            self.keys.resize_with(waiting.db + 1, Keys::new);
        }
        let keys = &mut self.keys[waiting.db];
        for key in &waiting.keys {
            if !keys.contains_key(key.as_slice()) {
                keys.insert(key.as_slice().into(), Lines::default());
            }
            let lines = keys.get_mut(key.as_slice()).expect("it was inserted if it was absent");
            if waiting.on_loss {
                lines.loss.insert(waiting.ticket, slot);
            }
            let line = lines.of(waiting.kind).expect("commands wait for lists, sorted sets and streams");
            line.insert(waiting.ticket, slot);
        }
    }

    /// A client no longer waits, whatever the reason.
    pub(crate) fn leave(&mut self, id: ClientId) -> Option<Waiting> {
        if self.get(id.slot)?.id != id {
            return None;
        }
        let waiting = self.waiting.remove(&id.slot)?;
        if let Some(until_us) = waiting.until_us {
            self.deadlines.remove(&(until_us, id.slot));
        }
        let keys = &mut self.keys[waiting.db];
        for key in &waiting.keys {
            // A key that was named twice may be gone already.
            let Some(lines) = keys.get_mut(key.as_slice()) else { continue };
            lines.loss.remove(&waiting.ticket);
            if let Some(line) = lines.of(waiting.kind) {
                line.remove(&waiting.ticket);
            }
            if lines.is_empty() && !lines.ready {
                keys.remove(key.as_slice());
            }
        }
        Some(waiting)
    }

    /// The command of a client that has left is tried again.
    pub(crate) fn retry(&mut self, waiting: Waiting) {
        self.retried = Some(waiting);
    }

    /// The try was successful.
    pub(crate) fn end_retry(&mut self) {
        self.retried = None;
    }

    /// Nanoseconds that the running command has taken in earlier tries.
    #[inline]
    pub(crate) fn spent(&self) -> u64 {
        self.retried.as_ref().map_or(0, |waiting| waiting.nanos)
    }

    /// A key has changed.
    pub(crate) fn note(&mut self, db: usize, key: &[u8]) {
        if let Some(lines) = self.keys.get_mut(db).and_then(|keys| keys.get_mut(key))
            && !std::mem::replace(&mut lines.ready, true)
        {
            self.ready.push_back((db, key.into()));
        }
    }

    /// All keys of a database may have changed.
    pub(crate) fn note_all(&mut self, db: usize) {
        for (key, lines) in self.keys.get_mut(db).into_iter().flatten() {
            if !std::mem::replace(&mut lines.ready, true) {
                self.ready.push_back((db, key.clone()));
            }
        }
    }

    /// Whether a key has changed that somebody waits for.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next key that has changed, and the number of the first ticket that is too late to be served for it.
    pub(crate) fn next_ready(&mut self) -> Option<(usize, Box<[u8]>, u64)> {
        let (db, key) = self.ready.pop_front()?;
        let keys = &mut self.keys[db];
        let lines = keys.get_mut(&key).expect("the lines of a ready key are kept");
        lines.ready = false;
        if lines.is_empty() {
            keys.remove(&key);
        }
        Some((db, key, self.next_ticket))
    }

    /// The first client with one of these tickets that is to be tried, now that a key holds a value of `kind`, or
    /// none; and its ticket.
    pub(crate) fn first(
        &mut self,
        db: usize,
        key: &[u8],
        kind: Option<Kind>,
        tickets: std::ops::Range<u64>,
    ) -> Option<(u64, ClientId)> {
        let lines = self.keys[db].get_mut(key)?;
        let loss = lines.loss.range(tickets.clone()).next().map(|(ticket, slot)| (*ticket, *slot));
        let line = kind.and_then(|kind| lines.of(kind));
        let fitting = line.and_then(|line| line.range(tickets).next().map(|(ticket, slot)| (*ticket, *slot)));
        let (ticket, slot) = loss.into_iter().chain(fitting).min()?;
        Some((ticket, self.waiting[&slot].id))
    }

    /// A client whose time is over.
    pub(crate) fn next_due(&self, now_us: u64) -> Option<ClientId> {
        let (until_us, slot) = self.deadlines.first()?;
        (*until_us <= now_us).then(|| self.waiting[slot].id)
    }

    /// When the first wait ends: Unix time in milliseconds, rounded up.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(until_us, _)| until_us.div_ceil(1000))
    }
}

impl Ctx<'_> {
    /// Makes the client wait: the handler replies nothing and returns `Ok`, and the command is executed again when one
    /// of the keys has changed. Where waiting is out of the question, replies at once that there is nothing.
    pub(crate) fn block(&mut self, wait: Wait) {
        if self.may_block {
            self.state.blocking.requested = Some(wait);
        } else {
            wait.timeout_reply.write(self.out);
        }
    }

    /// The end of a wait of so many seconds, a number with decimals; `None` for zero: no end.
    pub(crate) fn deadline_seconds(&self, arg: &[u8]) -> Result<Option<u64>, Error> {
        let seconds =
            LongDouble::parse(arg).ok_or(Error::Text("ERR timeout is not a float or out of range"))?;
        self.deadline(seconds.to_milliseconds().ok_or(Error::TimeoutOutOfRange)?)
    }

    /// The end of a wait of so many milliseconds, a whole number; `None` for zero: no end.
    pub(crate) fn deadline_milliseconds(&self, arg: &[u8]) -> Result<Option<u64>, Error> {
        self.deadline(number::parse_i64(arg).ok_or(Error::TimeoutNotInteger)?)
    }

    fn deadline(&self, timeout_ms: i64) -> Result<Option<u64>, Error> {
        let timeout_ms = u64::try_from(timeout_ms).map_err(|_| Error::TimeoutNegative)?;
        if timeout_ms == 0 {
            return Ok(None);
        }
        if i64::try_from(self.now_ms() + timeout_ms).is_err() {
            return Err(Error::TimeoutOutOfRange);
        }
        Ok(Some(self.now_us.saturating_add(timeout_ms.max(SHORTEST_MS).saturating_mul(1000))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(keys: &[&str], kind: Kind, until_us: Option<u64>) -> Wait {
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        Wait { keys, kind, on_loss: false, until_us, argv: None, timeout_reply: TimeoutReply::Null }
    }

    fn id(slot: u32) -> ClientId {
        ClientId { slot, serial: u64::from(slot) + 1 }
    }

    fn begin(blocking: &mut Blocking, slot: u32, wait: Wait) {
        blocking.begin((id(slot), 0), 0, wait, OwnedArgv::new, 1);
    }

    #[test]
    fn a_line_is_in_order_and_by_type() {
        let mut blocking = Blocking::default();
        begin(&mut blocking, 3, wait(&["k", "k", "l"], Kind::List, None));
        begin(&mut blocking, 1, wait(&["k"], Kind::SortedSet, None));
        begin(&mut blocking, 2, wait(&["k"], Kind::List, None));
        assert_eq!(blocking.count_keys(), (2, 0));
        blocking.note(0, b"k");
        blocking.note(0, b"k");
        blocking.note(0, b"other");
        blocking.note(7, b"k");
        let (db, key, end) = blocking.next_ready().expect("k is ready");
        assert_eq!((db, &*key, end), (0, &b"k"[..], 3));
        assert_eq!(blocking.first(0, b"k", Some(Kind::List), 0..end), Some((0, id(3))));
        assert_eq!(blocking.first(0, b"k", Some(Kind::List), 1..end), Some((2, id(2))));
        assert_eq!(blocking.first(0, b"k", Some(Kind::SortedSet), 0..end), Some((1, id(1))));
        assert_eq!(blocking.first(0, b"k", Some(Kind::Hash), 0..end), None);
        assert_eq!(blocking.first(0, b"k", None, 0..end), None);
        assert!(blocking.next_ready().is_none());
        for slot in 1..4 {
            assert!(blocking.leave(id(slot)).is_some());
        }
        assert!(blocking.is_empty() && blocking.count_keys() == (0, 0));
        assert!(blocking.leave(id(1)).is_none());
    }

    #[test]
    fn some_are_woken_by_a_loss_too() {
        let mut blocking = Blocking::default();
        begin(&mut blocking, 0, wait(&["s"], Kind::Stream, None));
        begin(&mut blocking, 1, Wait { on_loss: true, ..wait(&["s"], Kind::Stream, None) });
        assert_eq!(blocking.count_keys(), (1, 1));
        assert_eq!(blocking.first(0, b"s", None, 0..2), Some((1, id(1))));
        assert_eq!(blocking.first(0, b"s", Some(Kind::String), 0..2), Some((1, id(1))));
        assert_eq!(blocking.first(0, b"s", Some(Kind::Stream), 0..2), Some((0, id(0))));
    }

    #[test]
    fn waits_end_in_order() {
        let mut blocking = Blocking::default();
        begin(&mut blocking, 0, wait(&["k"], Kind::List, Some(5001)));
        begin(&mut blocking, 1, wait(&["k"], Kind::List, Some(4000)));
        begin(&mut blocking, 2, wait(&["k"], Kind::List, None));
        assert_eq!(blocking.deadline_ms(), Some(4));
        assert_eq!(blocking.next_due(3999), None);
        assert_eq!(blocking.next_due(4000), Some(id(1)));
        blocking.leave(id(1));
        assert_eq!((blocking.next_due(4000), blocking.deadline_ms()), (None, Some(6)));
    }

    #[test]
    fn a_client_that_waits_again_goes_to_the_end_and_keeps_its_time() {
        let mut blocking = Blocking::default();
        begin(&mut blocking, 0, wait(&["k"], Kind::List, Some(5000)));
        begin(&mut blocking, 1, wait(&["k"], Kind::List, None));
        let waiting = blocking.leave(id(0)).expect("it waits");
        blocking.retry(waiting);
        assert!(blocking.is_retry());
        begin(&mut blocking, 0, wait(&["k"], Kind::List, Some(9000)));
        assert!(!blocking.is_retry());
        assert_eq!(blocking.first(0, b"k", Some(Kind::List), 0..9), Some((1, id(1))));
        let again = blocking.get(0).expect("it waits");
        assert_eq!((again.until_us, again.nanos), (Some(5000), 2));
    }

    #[test]
    fn a_ready_key_is_kept_after_its_last_client_has_left() {
        let mut blocking = Blocking::default();
        begin(&mut blocking, 0, wait(&["k"], Kind::List, None));
        blocking.note_all(0);
        blocking.leave(id(0));
        assert!(blocking.next_ready().is_some());
        assert_eq!(blocking.count_keys(), (0, 0));
    }
}
