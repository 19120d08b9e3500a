//! From replies to the socket: one write per connection and turn, partial writes, and the limits of unread output.

use std::io::IoSlice;

use carnelian_resp::{Protocol, ReplyBuf};

use crate::conn::{Closing, Conn, ConnId, Reason};
use crate::net::Net;
use crate::stream::Io;

/// Most pieces passed to one write.
const MAX_PIECES: usize = 64;
/// Most writes to one connection in a row, so that a fast reader of much output does not keep the loop.
const MAX_WRITES: usize = 16;

/// Empty outputs, kept so that connections need none of their own while they are idle.
#[derive(Default)]
pub(crate) struct ReplyPool {
    // Boxed for the connection's sake, which holds one pointer.
    #[allow(clippy::vec_box)]
    free: Vec<Box<ReplyBuf>>,
    /// Heap bytes held by those.
    memory: usize,
}

impl ReplyPool {
    /// Most outputs kept: as many as may be written in one turn.
    const KEEP: usize = 1024;
    /// Most heap bytes kept in all of them.
    const KEEP_MEMORY: usize = 2 * 1024 * 1024;
    /// Most heap bytes of one that is kept.
    const KEEP_EACH: usize = 64 * 1024;

    pub(crate) fn take(&mut self, protocol: Protocol) -> Box<ReplyBuf> {
        let mut output = self.free.pop().unwrap_or_default();
        self.memory -= output.memory();
        output.set_protocol(protocol);
        output
    }

    pub(crate) fn give(&mut self, mut output: Box<ReplyBuf>) {
        output.clear();
        let memory = output.memory();
        let room = self.free.len() < Self::KEEP && self.memory + memory <= Self::KEEP_MEMORY;
        if room && memory <= Self::KEEP_EACH {
            self.memory += memory;
            self.free.push(output);
        }
    }
}

impl Net {
    /// Takes a connection's output, so that the service can write to it and have `Net` at hand.
    pub(crate) fn take_output(&mut self, id: ConnId) -> Box<ReplyBuf> {
        let conn = self.conns.get_mut(id).expect("output is taken of living connections only");
        match conn.output.take() {
            Some(output) => {
                conn.protocol = output.protocol();
                output
            }
            None => self.replies.take(conn.protocol),
        }
    }

    /// Puts it back.
    pub(crate) fn put_output(&mut self, id: ConnId, mut output: Box<ReplyBuf>) {
        let conn = self.conns.get_mut(id).expect("connections end only at the end of a turn");
        conn.protocol = output.protocol();
        if let Some(sent_meanwhile) = conn.output.take() {
            sent_meanwhile.chunks().for_each(|chunk| output.raw(chunk));
            self.replies.give(sent_meanwhile);
        }
        if output.is_empty() {
            self.replies.give(output);
        } else {
            conn.output = Some(output);
            self.output_grew(id);
        }
    }

    /// Gives back an output that has become empty.
    pub(crate) fn release_output(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id)
            && let Some(output) = conn.output.take()
        {
            conn.protocol = output.protocol();
            conn.soft_since_ns = 0;
            self.replies.give(output);
        }
    }

    /// Sees to it that new output is written, or that the connection closes if it is too much.
    pub(crate) fn output_grew(&mut self, id: ConnId) {
        let now_ns = self.now().mono_ns;
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.closing != Closing::Now) else { return };
        if exceeds_limit(conn, &self.config, now_ns) {
            self.stats.output_buffer_limit_disconnections += 1;
            self.close_now(id, Reason::OutputLimit);
        } else if conn.write_blocked {
            if let Some(output) = &mut conn.output {
                output.seal();
            }
        } else if !conn.queued {
            conn.queued = true;
            self.pending.push(id);
        }
    }

    /// Writes the outputs of this turn, the latest first: so who publishes does not wait until all subscribers are served.
    pub(crate) fn write_pending(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        for id in pending.drain(..).rev() {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.queued = false;
                self.write(id);
            }
        }
        debug_assert!(self.pending.is_empty(), "writing makes no output");
        self.pending = pending;
    }

    /// Writes as much of a connection's output as its socket takes.
    pub(crate) fn write(&mut self, id: ConnId) {
        let now_ns = self.now().mono_ns;
        let is_open = |conn: &&mut Conn| conn.closing != Closing::Now && !conn.is_held();
        let Some(conn) = self.conns.get_mut(id).filter(is_open) else { return };
        let mut written = 0;
        for _ in 0..MAX_WRITES {
            let Some(output) = conn.output.as_mut().filter(|output| !output.is_empty()) else { break };
            let (offered, result) = write_once(&conn.stream, output);
            match result {
                Io::Done(count) => {
                    output.advance(count);
                    written += count;
                    self.stats.writes_processed += 1;
                    if count < offered {
                        break;
                    }
                }
                Io::Blocked => break,
                Io::Eof | Io::Failed(_) => {
                    self.close_now(id, Reason::Ordinary);
                    return;
                }
            }
        }
        if written > 0 {
            conn.bytes_out += written as u64;
            conn.last_interaction_ns = now_ns;
            self.stats.net_output_bytes += written as u64;
        }
        self.after_write(id);
    }

    /// What follows from there being output left, or none.
    fn after_write(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let left = conn.output.as_ref().is_some_and(|output| !output.is_empty());
        let changed = conn.write_blocked != left;
        conn.write_blocked = left;
        let close = !left && conn.closing == Closing::AfterReply;
        if !left {
            self.release_output(id);
        }
        if close {
            self.discard_input(id);
            self.close_now(id, Reason::Ordinary);
        } else if changed {
            self.update_interest(id);
        }
    }
}

/// Offers the output's first pieces to the socket, and says how many bytes they were.
fn write_once(stream: &crate::stream::Stream, output: &ReplyBuf) -> (usize, Io) {
    let mut chunks = output.chunks();
    let first = chunks.next().unwrap_or_default();
    let Some(second) = chunks.next() else { return (first.len(), stream.write(first)) };
    let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
    let mut count = 0;
    let mut offered = 0;
    for chunk in [first, second].into_iter().chain(chunks).take(MAX_PIECES) {
        pieces[count] = IoSlice::new(chunk);
        count += 1;
        offered += chunk.len();
    }
    (offered, stream.write_vectored(&pieces[..count]))
}

/// Bytes of output that no limit counts: as much as the peers keep in the buffer before their list of replies.
pub(crate) const FREE_OUTPUT: usize = 16 * 1024;

/// Whether a connection's output is above the hard limit of its class, or above the soft one for too long.
pub(crate) fn exceeds_limit(conn: &mut Conn, config: &crate::Config, now_ns: u64) -> bool {
    let limit = config.output_limits[conn.class as usize];
    if limit.hard == 0 && limit.soft == 0 {
        return false;
    }
    let len = conn.output_len().saturating_sub(FREE_OUTPUT) as u64;
    if limit.hard != 0 && len > limit.hard {
        return true;
    }
    if limit.soft == 0 || len <= limit.soft {
        conn.soft_since_ns = 0;
        return false;
    }
    if conn.soft_since_ns == 0 {
        conn.soft_since_ns = now_ns.max(1);
    }
    u128::from(now_ns - conn.soft_since_ns.min(now_ns)) > limit.soft_for.as_nanos()
}
