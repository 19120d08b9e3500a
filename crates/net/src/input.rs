//! From the socket to the service: where received bytes go, how far they are parsed, and what is kept.
//!
//! All connections read into one shared buffer, and commands are executed out of it. Only what is left over, the
//! beginning of a command usually, is copied to a buffer of the connection's own. A little left over is put in front
//! of the shared buffer for the next read; a large argument instead continues in the connection's own buffer.
//!
//! A buffer of its own stays with the connection, empty, when its commands are complete: who sent half a command once
//! will do so again. The upkeep shrinks it to what was needed of late, and frees it when the client is idle.

use std::time::Duration;

use carnelian_resp::{Batch, Progress, ReplyBuf};
use rustix::buffer::spare_capacity;

use crate::conn::{Closing, Conn, ConnId, Reason};
use crate::driver::Driver;
use crate::net::{How, Net};
use crate::output::FREE_OUTPUT;
use crate::service::{Next, Outcome, Service};
use crate::stream::Io;

/// Size of the shared buffer.
pub(crate) const SHARED_INPUT: usize = 64 * 1024;
/// Up to so many bytes left over go back through the shared buffer.
const SMALL_REST: usize = 4 * 1024;
/// Most bytes read from one connection in one turn.
const MAX_READ: usize = 4 * 1024 * 1024;
/// Most bytes read ahead from a paused connection.
const MAX_READ_AHEAD: usize = 64 * 1024;
/// Most commands passed to the service at once.
const MAX_BATCH: usize = 128;
/// With so much output pending and a limit for it, commands are passed one by one: the limit is checked after each.
const MUCH_OUTPUT: usize = 256 * 1024;
/// Least room for a read into a connection's own buffer, and the least size of such a buffer while it is in use.
const MIN_ROOM: usize = 16 * 1024;
/// Most room that a connection gets for the announced length of an argument alone.
const MAX_CLAIM: usize = 1024 * 1024;
/// Who has sent so much of an argument gets room for all of it: copying a buffer larger than this to a larger one would
/// take too long.
const PROVEN: usize = 4 * 1024 * 1024;
/// Only beyond this it grows in steps again.
const MAX_ROOM: usize = 1024 * 1024 * 1024;
/// The most that is kept of a connection's own buffer once its commands are executed.
const KEEP_INPUT: usize = 1024 * 1024;
/// Buffers up to this size are not shrunk while their clients are active.
const SMALL_INPUT: usize = 32 * 1024;
/// A client silent for longer than this needs no room in its buffer.
const IDLE: Duration = Duration::from_secs(2);
/// Most reads of input that nobody wants before a connection closes.
const MAX_DISCARDED_READS: usize = 16;
/// A batch's storage above this is not kept.
const KEEP_BATCH: usize = 1024 * 1024;

impl<S: Service> Driver<'_, S> {
    /// A connection is readable.
    pub(crate) fn read(&mut self, id: ConnId) {
        let Some(conn) = self.net.conns.get(id).filter(|conn| conn.closing != Closing::Now) else { return };
        if !conn.interest.readable {
            self.net.check_dead(id);
        } else if conn.waits() {
            self.net.read_ahead(id);
        } else if conn.reads_own() {
            self.read_own(id);
        } else {
            self.read_shared(id);
        }
    }

    /// One read into the shared buffer, behind what was left over before. If that ends within a large argument, the
    /// connection's own buffer takes what has already arrived of it.
    fn read_shared(&mut self, id: ConnId) {
        let mut buf = std::mem::take(&mut self.net.shared_input);
        let conn = self.net.conns.get_mut(id).expect("the caller has seen it");
        let before = conn.input.len();
        buf[..before].copy_from_slice(&conn.input);
        let read = conn.stream.read(&mut buf[before..]);
        let received = self.net.received(id, read);
        if let Some(count) = received {
            let end = before + count;
            let consumed = self.execute(id, &buf[..end]);
            if consumed == 0 {
                self.net.keep_input(id, &buf[before..end]);
            } else {
                self.net.replace_input(id, &buf[consumed..end]);
            }
        }
        let filled = received == Some(buf.len() - before);
        self.net.shared_input = buf;
        if filled && self.net.conns.get(id).is_some_and(|conn| conn.is_within_large_argument()) {
            self.read(id);
        }
    }

    /// Reads into the connection's own buffer, as much as there is, or as a large argument lacks.
    fn read_own(&mut self, id: ConnId) {
        if self.net.read_to_input(id, MAX_READ) && !self.net.check_query_limit(id) {
            self.execute_input(id);
        }
    }

    /// Executes what is in the connection's own buffer.
    fn execute_input(&mut self, id: ConnId) {
        let Some(conn) = self.net.conns.get_mut(id).filter(|conn| !conn.input.is_empty()) else { return };
        let mut buf = std::mem::take(&mut conn.input);
        let consumed = self.execute(id, &buf);
        let Some(conn) = self.net.conns.get_mut(id) else { return };
        buf.drain(..consumed);
        if consumed > 0 && buf.len() <= buf.capacity() / 4 {
            // Little is left of much: a very large buffer goes.
            buf.shrink_to(KEEP_INPUT);
        }
        conn.input = buf;
        self.net.check_query_limit(id);
    }

    /// Executes what waits of connections that have been resumed.
    pub(crate) fn run_resumed(&mut self) {
        for id in std::mem::take(&mut self.net.resumed) {
            let conn = self.net.conns.get(id);
            if conn.is_some_and(|conn| !conn.waits() && conn.closing == Closing::No) {
                self.execute_input(id);
            }
        }
    }

    /// Executes the commands at the front of `buf`, and says how many bytes are done with.
    fn execute(&mut self, id: ConnId, buf: &[u8]) -> usize {
        self.net.executing = Some((id, buf.len()));
        let mut output = self.net.take_output(id);
        let mut batch = std::mem::take(&mut self.net.batch);
        let hard_limit = self.net.hard_limit(id);
        let mut consumed = 0;
        loop {
            let check_each = hard_limit.is_some() && output.len() > MUCH_OUTPUT;
            let most = if check_each { 1 } else { MAX_BATCH };
            let (done, go_on) = self.execute_batch(id, &buf[consumed..], most, &mut batch, &mut output);
            consumed += done;
            let too_much = hard_limit.is_some_and(|limit| output.len() as u64 > limit);
            if !go_on || consumed == buf.len() || too_much {
                break;
            }
        }
        if batch.memory() <= KEEP_BATCH {
            self.net.batch = batch;
        }
        self.net.put_output(id, output);
        self.net.executing = None;
        consumed
    }

    /// Parses and executes one batch of at most `most` commands. Returns how many bytes are done with, and whether there may be more to execute.
    #[inline]
    fn execute_batch(
        &mut self,
        id: ConnId,
        buf: &[u8],
        most: usize,
        batch: &mut Batch,
        output: &mut ReplyBuf,
    ) -> (usize, bool) {
        let limits = self.service.limits(id);
        let conn = self.net.conns.get_mut(id).expect("connections end only at the end of a turn");
        batch.clear();
        let progress = match conn.parser.parse(buf, most, &limits, batch) {
            Ok(progress) => progress,
            Err(error) => {
                self.service.protocol_error(self.net, id, &error, output);
                output.error(&[b"ERR Protocol error: ", &error.text()[..]].concat());
                self.net.close(id, How::AfterReply);
                return (buf.len(), false);
            }
        };
        if batch.is_empty() {
            return (conn.skip_empty(), false);
        }
        let outcome = self.service.requests(self.net, id, batch, buf, output);
        self.follow_up(id, batch, progress, outcome, buf.len())
    }

    /// Does what the service has decided about a batch. Returns as [`Self::execute_batch`].
    #[inline]
    fn follow_up(
        &mut self,
        id: ConnId,
        batch: &Batch,
        progress: Progress,
        outcome: Outcome,
        available: usize,
    ) -> (usize, bool) {
        let Outcome { executed, next } = outcome;
        match next {
            Next::Continue => {}
            Next::CloseAfterReply => self.net.close(id, How::AfterReply),
            Next::CloseNow => self.net.close(id, How::Now),
            Next::Pause => {}
        }
        let conn = self.net.conns.get_mut(id).expect("connections end only at the end of a turn");
        conn.commands += executed as u64;
        if conn.closing != Closing::No {
            conn.parser.rewind();
            return (available, false);
        }
        conn.paused = next == Next::Pause;
        let mut done = if executed == 0 { 0 } else { batch.end(executed - 1) };
        if executed < batch.len() {
            conn.parser.rewind();
            // A service that executes nothing, and does not pause either, would be asked for ever.
            return (done, executed > 0 && !conn.paused);
        }
        conn.parser.consumed(done);
        done += conn.skip_empty();
        (done, progress == Progress::Full && !conn.paused)
    }
}

impl Conn {
    /// Done with bytes that belong to no command, once all commands before them are executed.
    fn skip_empty(&mut self) -> usize {
        let bytes = self.parser.skippable();
        if bytes > 0 {
            self.parser.consumed(bytes);
        }
        bytes
    }

    /// Whether the connection's own buffer ends within an argument that will go on there.
    fn is_within_large_argument(&self) -> bool {
        self.input.len() > SMALL_REST && self.parser.missing() > 0
    }

    /// Whether what comes next is read into the connection's own buffer.
    fn reads_own(&self) -> bool {
        self.input.len() > SMALL_REST || self.parser.missing() > SHARED_INPUT / 2
    }

    /// The most room to make behind the connection's input for what its argument lacks: nobody gets much memory for a
    /// length alone.
    fn max_room(&self) -> usize {
        let len = self.input.len();
        if len < PROVEN { len.max(MAX_CLAIM) } else { len.max(MAX_ROOM) }
    }

    /// Appends to the connection's own buffer, and makes room there for what its argument lacks if that is to be read
    /// there too.
    fn append_input(&mut self, more: &[u8]) {
        if self.input.capacity() - self.input.len() < more.len() {
            self.input.reserve_exact(more.len().max(MIN_ROOM));
        }
        self.input.extend_from_slice(more);
        if self.reads_own() {
            self.reserve_input(self.parser.missing());
        }
        self.input_peak = self.input_peak.max(self.input.len());
    }

    /// Makes room for a read into the connection's own buffer. `missing` is what the current argument lacks.
    fn reserve_input(&mut self, missing: usize) {
        let spare = self.input.capacity() - self.input.len();
        if spare < missing.clamp(1, MIN_ROOM) {
            let room = missing.clamp(MIN_ROOM, self.max_room());
            self.input.reserve_exact(room);
        }
    }

    /// Gives back memory of the connection's own buffer: all that is free if the client is idle, and otherwise what
    /// is far more than the present argument and the time since the last call have needed.
    pub(crate) fn trim_input(&mut self, idle: Duration) {
        let (len, capacity) = (self.input.len(), self.input.capacity());
        let needed = len + self.parser.missing().min(self.max_room());
        let wanted = self.input_peak.max(needed).max(MIN_ROOM);
        if idle > IDLE {
            // Room that was never used behind a large argument costs next to nothing; having to move the argument does.
            if len < PROVEN {
                self.input.shrink_to_fit();
            }
        } else if capacity > SMALL_INPUT && wanted < capacity / 2 {
            self.input.shrink_to(wanted);
        }
        self.input_peak = len;
    }
}

impl Net {
    /// Accounts for a read. `None` if it brought nothing, be it for now or for ever.
    #[inline]
    fn received(&mut self, id: ConnId, read: Io) -> Option<usize> {
        match read {
            Io::Done(count) => {
                let now_ns = self.now().mono_ns;
                self.stats.reads_processed += 1;
                self.stats.net_input_bytes += count as u64;
                let conn = self.conns.get_mut(id)?;
                conn.bytes_in += count as u64;
                conn.last_interaction_ns = now_ns;
                Some(count)
            }
            Io::Blocked => None,
            Io::Eof => {
                self.end_of_input(id);
                None
            }
            Io::Failed(errno) => {
                log::debug!("Reading from client: {errno}");
                self.close_now(id, Reason::Ordinary);
                None
            }
        }
    }

    /// The peer has closed its end. It may still read: what it was promised is sent before the connection closes.
    fn end_of_input(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        log::debug!("Client closed connection");
        conn.eof = true;
        let how = if conn.output_len() > 0 && !conn.paused { How::AfterReply } else { How::Now };
        self.close(id, how);
    }

    /// Reads into the connection's own buffer until the socket is empty, the current argument complete, or `most`
    /// bytes are read. Says whether anything came.
    fn read_to_input(&mut self, id: ConnId, most: usize) -> bool {
        let mut total = 0;
        loop {
            let Some(conn) = self.conns.get_mut(id) else { return false };
            let missing = conn.parser.missing().saturating_sub(total);
            conn.reserve_input(missing);
            let room = conn.input.capacity() - conn.input.len();
            let read = conn.stream.read(spare_capacity(&mut conn.input));
            let Some(count) = self.received(id, read) else { return total > 0 };
            let conn = self.conns.get_mut(id).expect("it has just been read from");
            conn.input_peak = conn.input_peak.max(conn.input.len());
            total += count;
            if count < room || count >= missing || total >= most {
                return true;
            }
        }
    }

    /// A paused client has sent something. Reading some of it is the only way to notice that it hangs up.
    fn read_ahead(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.input.len() >= MAX_READ_AHEAD {
            conn.read_ahead_full = true;
            self.update_interest(id);
        } else if self.read_to_input(id, 1) {
            self.check_query_limit(id);
        }
    }

    /// Appends to what is left over of a connection's input.
    fn keep_input(&mut self, id: ConnId, more: &[u8]) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.append_input(more);
            self.check_query_limit(id);
        }
    }

    /// Replaces what is left over of a connection's input.
    fn replace_input(&mut self, id: ConnId, rest: &[u8]) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.input.clear();
        if !rest.is_empty() {
            conn.append_input(rest);
            self.check_query_limit(id);
        }
    }

    /// Closes a connection whose input is too long; whether it is.
    fn check_query_limit(&mut self, id: ConnId) -> bool {
        let limit = self.config.query_buffer_limit;
        let conn = self.conns.get(id);
        let is_too_long = conn.is_some_and(|conn| conn.input.len() > limit && conn.closing == Closing::No);
        if is_too_long {
            self.stats.query_buffer_limit_disconnections += 1;
            self.close_now(id, Reason::QueryLimit);
        }
        is_too_long
    }

    /// How much output the connection may leave unread at any time.
    fn hard_limit(&self, id: ConnId) -> Option<u64> {
        let class = self.conns.get(id)?.class;
        let hard = self.config.output_limits[class as usize].hard;
        (hard != 0).then(|| hard.saturating_add(FREE_OUTPUT as u64))
    }

    /// Something was reported for a connection that is not to be read from: that can only mean its end, unless the
    /// event is older than the decision.
    fn check_dead(&mut self, id: ConnId) {
        if self.conns.get(id).is_some_and(|conn| conn.stream.is_dead()) {
            self.close_now(id, Reason::Ordinary);
        }
    }

    /// Takes what the peer has sent and nobody will read: closing a socket over unread input resets the connection,
    /// and the peer could lose our last reply.
    pub(crate) fn discard_input(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        for _ in 0..MAX_DISCARDED_READS {
            match conn.stream.read(&mut self.shared_input[..]) {
                Io::Done(count) if count == self.shared_input.len() => {}
                _ => return,
            }
        }
    }
}
