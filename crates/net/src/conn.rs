//! One connection, and the table of all of them.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use carnelian_reactor::Interest;
use carnelian_resp::{Protocol, ReplyBuf, RequestParser};

use crate::config::Class;
use crate::net::Net;
use crate::stream::Stream;

/// Names one connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    /// A small number that is reused after the connection has closed: an index for the service's own table.
    pub slot: u32,
    /// Counts connections from 1; never reused. What CLIENT ID answers.
    pub serial: u64,
}

/// Where a client comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// Its address and port.
    Tcp(SocketAddr),
    /// The Unix socket.
    Unix,
}

/// How far away a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerKind {
    /// Connected through the Unix socket.
    Unix,
    /// Connected from an address of the loopback network.
    Loopback,
    /// Anything else.
    Remote,
}

impl Peer {
    /// How far away it is.
    pub fn kind(&self) -> PeerKind {
        match self {
            Peer::Unix => PeerKind::Unix,
            Peer::Tcp(addr) if addr.ip().to_canonical().is_loopback() => PeerKind::Loopback,
            Peer::Tcp(_) => PeerKind::Remote,
        }
    }
}

/// Whether and how a connection is about to close.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Closing {
    No,
    AfterReply,
    Now,
}

/// Why a connection closes, where that is worth a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// It asked for it, hung up, or the service closed it.
    Ordinary,
    /// It left too much output unread.
    OutputLimit,
    /// It sent more than may wait.
    QueryLimit,
    /// It was silent for too long.
    Idle,
}

pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    pub(crate) class: Class,
    /// What is registered with the reactor.
    pub(crate) interest: Interest,
    pub(crate) closing: Closing,
    pub(crate) reason: Reason,
    /// The service wants no commands for now.
    pub(crate) paused: bool,
    /// Nothing is sent, and no commands are taken, before this is released; 0: nothing holds it. See [`Net::hold`].
    pub(crate) held_until: u64,
    /// A paused client has sent as much as is read ahead.
    pub(crate) read_ahead_full: bool,
    /// The peer will send nothing more.
    pub(crate) eof: bool,
    /// Is in the list of connections with output to write.
    pub(crate) queued: bool,
    /// The socket takes no more for now.
    pub(crate) write_blocked: bool,
    pub(crate) parser: RequestParser,
    /// Received bytes that belong to no complete command yet, or wait for a paused client.
    pub(crate) input: Vec<u8>,
    /// The most that has been in `input` since the upkeep looked at it.
    pub(crate) input_peak: usize,
    /// Output not sent yet; none if there is none.
    pub(crate) output: Option<Box<ReplyBuf>>,
    /// The protocol of the output, while there is none.
    pub(crate) protocol: Protocol,
    /// Since when the output has been above the soft limit; 0 if it is not. Monotonic, in nanoseconds.
    pub(crate) soft_since_ns: u64,
    pub(crate) created_ms: u64,
    pub(crate) last_interaction_ns: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) commands: u64,
}

impl Conn {
    pub(crate) fn new(id: ConnId, stream: Stream, peer: Peer, now: carnelian_reactor::Now) -> Conn {
        Conn {
            id,
            stream,
            peer,
            class: Class::Normal,
            interest: Interest::READABLE,
            closing: Closing::No,
            reason: Reason::Ordinary,
            paused: false,
            held_until: 0,
            read_ahead_full: false,
            eof: false,
            queued: false,
            write_blocked: false,
            parser: RequestParser::new(),
            input: Vec::new(),
            input_peak: 0,
            output: None,
            protocol: Protocol::Resp2,
            soft_since_ns: 0,
            created_ms: now.wall_ms(),
            last_interaction_ns: now.mono_ns,
            bytes_in: 0,
            bytes_out: 0,
            commands: 0,
        }
    }

    /// What should be registered in the connection's present state.
    pub(crate) fn wanted_interest(&self) -> Interest {
        Interest {
            readable: self.closing == Closing::No && !self.eof && !(self.waits() && self.read_ahead_full),
            writable: self.write_blocked && !self.is_held() && self.closing != Closing::Now,
        }
    }

    /// Whether its output waits for [`Net::release`].
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.held_until != 0
    }

    /// Whether its commands are to wait.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.paused || self.is_held()
    }

    pub(crate) fn output_len(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.len())
    }
}

/// What there is to know about a connection.
#[derive(Clone, Copy)]
pub struct ConnInfo<'a> {
    net: &'a Net,
    conn: &'a Conn,
}

impl<'a> ConnInfo<'a> {
    pub(crate) fn new(net: &'a Net, conn: &'a Conn) -> Self {
        ConnInfo { net, conn }
    }

    /// Its name.
    pub fn id(&self) -> ConnId {
        self.conn.id
    }

    /// Where it comes from.
    pub fn peer(&self) -> Peer {
        self.conn.peer
    }

    /// The peer's address in Redis's form: `127.0.0.1:1234`, `[::1]:1234`, or `/path:0` for Unix sockets.
    pub fn addr(&self) -> String {
        match self.conn.peer {
            Peer::Tcp(addr) => addr.to_string(),
            Peer::Unix => self.unix_addr(),
        }
    }

    /// Our end of a TCP connection. Costs a system call.
    pub fn local_socket_addr(&self) -> Option<std::net::SocketAddr> {
        self.conn.stream.local_addr()
    }

    /// Our end's address, in the form of [`ConnInfo::addr`]. Costs a system call.
    pub fn local_addr(&self) -> String {
        match (self.conn.peer, self.conn.stream.local_addr()) {
            (Peer::Unix, _) => self.unix_addr(),
            (Peer::Tcp(_), Some(addr)) => addr.to_string(),
            (Peer::Tcp(_), None) => "?:0".to_owned(),
        }
    }

    fn unix_addr(&self) -> String {
        let path = self.net.listeners.unix_path();
        format!("{}:0", path.map_or(String::new(), |path| path.display().to_string()))
    }

    /// The number of its file descriptor.
    pub fn fd(&self) -> i32 {
        self.conn.stream.as_fd().as_raw_fd()
    }

    /// Its class of output limits.
    pub fn class(&self) -> Class {
        self.conn.class
    }

    /// Bytes received and not executed; for the connection whose commands are being executed, all of the present
    /// input.
    pub fn input_len(&self) -> usize {
        match self.net.executing {
            Some((id, len)) if id == self.conn.id => len,
            _ => self.conn.input.len(),
        }
    }

    /// Heap bytes held for those, and for what is known of a partial command.
    pub fn input_memory(&self) -> usize {
        self.conn.input.capacity() + self.conn.parser.memory()
    }

    /// Bytes of output not sent. Output that the service is just writing does not count yet.
    pub fn output_len(&self) -> usize {
        self.conn.output_len()
    }

    /// Heap bytes held by the output, including values it shares.
    pub fn output_memory(&self) -> usize {
        self.conn.output.as_ref().map_or(0, |output| output.memory() + size_of::<ReplyBuf>())
    }

    /// Bytes that the connection itself takes, without its buffers.
    pub fn base_memory(&self) -> usize {
        size_of::<Option<Conn>>()
    }

    /// When it connected, in milliseconds since the Unix epoch.
    pub fn created_ms(&self) -> u64 {
        self.conn.created_ms
    }

    /// Nanoseconds since something was last read from or written to it.
    pub fn idle_ns(&self) -> u64 {
        self.net.now().mono_ns.saturating_sub(self.conn.last_interaction_ns)
    }

    /// Bytes read from it.
    pub fn bytes_in(&self) -> u64 {
        self.conn.bytes_in
    }

    /// Bytes written to it.
    pub fn bytes_out(&self) -> u64 {
        self.conn.bytes_out
    }

    /// Commands executed for it.
    pub fn commands(&self) -> u64 {
        self.conn.commands
    }

    /// Whether the loop waits for it to send something.
    pub fn wants_read(&self) -> bool {
        self.conn.interest.readable
    }

    /// Whether the loop waits for it to take more output.
    pub fn wants_write(&self) -> bool {
        self.conn.interest.writable
    }

    /// Whether it waits for [`Net::resume`].
    pub fn is_paused(&self) -> bool {
        self.conn.paused
    }

    /// Whether it is about to be closed, after its output or at the end of the turn.
    pub fn is_closing(&self) -> bool {
        self.conn.closing != Closing::No
    }
}

/// All connections, by slot.
#[derive(Default)]
pub(crate) struct Conns {
    slots: Vec<Option<Conn>>,
    /// Slots to be reused, the last freed first.
    free: Vec<u32>,
    /// Serial number of the last connection.
    last_serial: u64,
}

impl Conns {
    /// The name of the next connection.
    pub(crate) fn next_id(&self) -> ConnId {
        let fresh = u32::try_from(self.slots.len()).expect("fewer than 2^32 open files");
        ConnId { slot: self.free.last().copied().unwrap_or(fresh), serial: self.last_serial + 1 }
    }

    /// Takes in the connection that was named by [`Conns::next_id`].
    pub(crate) fn insert(&mut self, conn: Conn) {
        debug_assert_eq!(conn.id, self.next_id());
        self.last_serial = conn.id.serial;
        match self.free.pop() {
            Some(slot) => self.slots[slot as usize] = Some(conn),
            None => self.slots.push(Some(conn)),
        }
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.get(id)?;
        self.free.push(id.slot);
        self.slots[id.slot as usize].take()
    }

    #[inline]
    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slots.get(id.slot as usize)?.as_ref().filter(|conn| conn.id == id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slots.get_mut(id.slot as usize)?.as_mut().filter(|conn| conn.id == id)
    }

    /// Whoever is in the slot.
    #[inline]
    pub(crate) fn at(&self, slot: usize) -> Option<&Conn> {
        self.slots.get(slot)?.as_ref()
    }

    /// Number of connections.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Number of slots, used or free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.slots.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn peers_are_near_or_far() {
        let kind = |addr: std::net::IpAddr| Peer::Tcp(SocketAddr::new(addr, 1)).kind();
        assert_eq!(Peer::Unix.kind(), PeerKind::Unix);
        assert_eq!(kind(Ipv4Addr::new(127, 1, 2, 3).into()), PeerKind::Loopback);
        assert_eq!(kind(Ipv6Addr::LOCALHOST.into()), PeerKind::Loopback);
        assert_eq!(kind(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()), PeerKind::Loopback);
        assert_eq!(kind(Ipv4Addr::new(10, 0, 0, 1).into()), PeerKind::Remote);
    }
}
