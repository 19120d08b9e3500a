//! [`Net`]: everything the service can do to connections, and the state behind it.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use carnelian_reactor::{Backend, LoopStats, Now, Reactor, TimerId, Token, Waker};
use carnelian_resp::{Batch, ReplyBuf};

use crate::config::{Class, Config, OutputLimit};
use crate::conn::{Closing, Conn, ConnId, ConnInfo, Conns, Reason};
use crate::driver::Driver;
use crate::input::SHARED_INPUT;
use crate::listener::{ListenError, Listeners};
use crate::output::ReplyPool;
use crate::service::Service;
use crate::stats::NetStats;
use crate::upkeep::Upkeep;

/// When [`Net::close`] takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// When everything in the connection's output is sent. Nothing more is read from it.
    AfterReply,
    /// At the end of the turn. Nothing more is sent.
    Now,
}

/// All connections, the sockets that accept them, and the loop they live in.
pub struct Net {
    pub(crate) reactor: Reactor,
    pub(crate) config: Config,
    pub(crate) listeners: Listeners,
    pub(crate) conns: Conns,
    pub(crate) stats: NetStats,
    /// Where reads of all connections go first; connections keep only what is left over.
    pub(crate) shared_input: Vec<u8>,
    pub(crate) batch: Batch,
    pub(crate) replies: ReplyPool,
    /// Connections with output to be written at the end of the turn.
    pub(crate) pending: Vec<ConnId>,
    /// Connections to be closed at the end of the turn.
    pub(crate) closing: Vec<ConnId>,
    /// Connections that have been resumed, and may have commands waiting.
    pub(crate) resumed: Vec<ConnId>,
    /// Connections whose output is held, and until when; see [`Net::hold`].
    pub(crate) holds: VecDeque<(u64, ConnId)>,
    /// Up to where holds were released.
    released: u64,
    /// The connection whose commands are being executed, and how many bytes of input they are taken from.
    pub(crate) executing: Option<(ConnId, usize)>,
    /// The connection whose commands are being executed while a turn runs within their execution.
    pub(crate) held: Option<ConnId>,
    pub(crate) upkeep: Upkeep,
    pub(crate) accept_retry: Option<TimerId>,
    stopping: bool,
}

impl Net {
    /// Sets up the loop; listens on nothing yet.
    ///
    /// # Errors
    /// Those of the operating system, such as too many open files.
    pub fn new(config: Config) -> io::Result<Net> {
        Ok(Net {
            reactor: Reactor::new(config.backend)?,
            config,
            listeners: Listeners::default(),
            conns: Conns::default(),
            stats: NetStats::default(),
            shared_input: vec![0; SHARED_INPUT],
            batch: Batch::new(),
            replies: ReplyPool::default(),
            pending: Vec::new(),
            closing: Vec::new(),
            resumed: Vec::new(),
            holds: VecDeque::new(),
            released: 0,
            executing: None,
            held: None,
            upkeep: Upkeep::default(),
            accept_retry: None,
            stopping: false,
        })
    }

    /// Starts to listen on all addresses of the configuration.
    ///
    /// # Errors
    /// If any of them cannot be had; none is listened on then.
    pub fn listen(&mut self) -> Result<(), ListenError> {
        let tcp = self.listeners.set_tcp(self.reactor.registry(), &self.config);
        tcp.and_then(|()| self.listeners.open_unix(self.reactor.registry(), &self.config))
            .inspect_err(|_| self.listeners.close())
    }

    /// Runs the loop until [`Net::stop`] is called. What has been answered by then is sent, as far as that is possible
    /// without waiting.
    ///
    /// # Errors
    /// Only what makes waiting for events impossible.
    pub fn run(&mut self, service: &mut impl Service) -> io::Result<()> {
        self.stopping = false;
        while !self.stopping {
            self.turn(service)?;
        }
        self.write_pending();
        Ok(())
    }

    /// Runs one turn of the loop: end of the last turn, sleep, events.
    ///
    /// # Errors
    /// As [`Net::run`].
    pub fn turn(&mut self, service: &mut impl Service) -> io::Result<()> {
        Reactor::turn(&mut Driver { net: self, service })
    }

    /// Runs a turn of the loop in the middle of a call of the service, which takes long, for all connections but the one
    /// that the call is about: nothing is read from that one, and it does not close. `service` answers for the others
    /// meanwhile; it should want its next turn at once, or this sleeps.
    ///
    /// # Errors
    /// As [`Net::run`].
    pub fn turn_within(&mut self, service: &mut impl Service) -> io::Result<()> {
        let executing = self.executing.take();
        let outer = std::mem::replace(&mut self.held, executing.map(|(id, _)| id));
        if self.shared_input.is_empty() {
            // The commands that are being executed lie in the other one, which replaces this one again.
            self.shared_input = vec![0; SHARED_INPUT];
        }
        let result = self.turn(service);
        self.held = outer;
        self.executing = executing;
        result
    }

    /// Whether [`Net::stop`] has been called.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Makes [`Net::run`] return after this turn.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Writes what can be written of all outputs now, without waiting: for a service that is about to end the process.
    pub fn flush_all(&mut self) {
        self.write_pending();
    }

    /// The clock reading of this turn.
    pub fn now(&self) -> Now {
        self.reactor.now()
    }

    /// Reads the clock again, for services that know to have spent long in one call.
    pub fn refresh_now(&mut self) -> Now {
        self.reactor.refresh_now()
    }

    /// A handle with which other threads wake the loop; the service's [`woken`](Service::woken) is called.
    pub fn waker(&self) -> Waker {
        self.reactor.waker()
    }

    /// How the loop waits.
    pub fn backend(&self) -> Backend {
        self.config.backend
    }

    /// Appends to a connection's output; written at the end of the turn. Does nothing if the connection is gone or
    /// about to be closed. In RESP3 the usual content is a push.
    pub fn send(&mut self, id: ConnId, write: impl FnOnce(&mut ReplyBuf)) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.closing == Closing::No) else { return };
        let output = conn.output.get_or_insert_with(|| self.replies.take(conn.protocol));
        write(output);
        if output.is_empty() {
            self.release_output(id);
        } else {
            self.output_grew(id);
        }
    }

    /// Closes a connection.
    pub fn close(&mut self, id: ConnId, how: How) {
        match how {
            How::Now => self.close_now(id, Reason::Ordinary),
            How::AfterReply => self.close_after_reply(id),
        }
    }

    pub(crate) fn close_now(&mut self, id: ConnId, reason: Reason) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.closing != Closing::Now) else { return };
        conn.closing = Closing::Now;
        conn.reason = reason;
        self.closing.push(id);
    }

    fn close_after_reply(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.closing == Closing::No) else { return };
        conn.closing = Closing::AfterReply;
        // Writing finds out whether there is something left to write.
        if !conn.queued {
            conn.queued = true;
            self.pending.push(id);
        }
        self.update_interest(id);
    }

    /// Ends a [`Next::Pause`](crate::Next::Pause): the commands that wait are executed before the turn ends. Has no
    /// effect on connections that are not paused.
    pub fn resume(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.paused) else { return };
        conn.paused = false;
        conn.read_ahead_full = false;
        self.resumed.push(id);
        self.update_interest(id);
    }

    /// Holds back everything that is in a connection's output, or comes into it, until [`Net::release`] is called with
    /// `until` or more. Meanwhile its commands wait, except those that were read together with what is being executed.
    /// Has no effect if that has happened already. Over time, `until` does not fall.
    pub fn hold(&mut self, id: ConnId, until: u64) {
        let Some(conn) = self.conns.get_mut(id).filter(|_| until > self.released) else { return };
        if conn.held_until >= until {
            return;
        }
        conn.held_until = until;
        self.holds.push_back((until, id));
        self.update_interest(id);
    }

    /// Lets go on what is held until `up_to` or less.
    pub fn release(&mut self, up_to: u64) {
        self.released = self.released.max(up_to);
        while let Some((until, id)) = self.holds.front().copied().filter(|(until, _)| *until <= self.released)
        {
            self.holds.pop_front();
            let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.held_until == until) else { continue };
            conn.held_until = 0;
            conn.read_ahead_full = false;
            if !conn.queued && (conn.output.is_some() || conn.closing == Closing::AfterReply) {
                conn.queued = true;
                self.pending.push(id);
            }
            if !conn.paused {
                self.resumed.push(id);
            }
            self.update_interest(id);
        }
    }

    /// What is known of a connection.
    pub fn conn(&self, id: ConnId) -> Option<ConnInfo<'_>> {
        self.conns.get(id).map(|conn| ConnInfo::new(self, conn))
    }

    /// All connections, by slot.
    pub fn conns(&self) -> impl Iterator<Item = ConnInfo<'_>> {
        self.conns.iter().map(|conn| ConnInfo::new(self, conn))
    }

    /// Number of connections.
    pub fn connected(&self) -> usize {
        self.conns.len()
    }

    /// Counters.
    pub fn stats(&self) -> &NetStats {
        &self.stats
    }

    /// What the loop has measured about itself.
    pub fn loop_stats(&self) -> &LoopStats {
        self.reactor.stats()
    }

    /// Sets all counters back to zero, the loop's too.
    pub fn reset_stats(&mut self) {
        self.stats = NetStats::default();
        self.reactor.reset_stats();
    }

    /// The largest input and the largest output of a connection over the last seconds, in bytes.
    pub fn recent_peaks(&self) -> (u64, u64) {
        self.upkeep.recent_peaks()
    }

    /// The settings as they are now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Listens on other addresses, or on another port. Sockets that stay the same are kept; of the others, new ones
    /// are opened before old ones close, except where an old one is in the way.
    ///
    /// # Errors
    /// If an address cannot be had; everything stays as it was then.
    pub fn set_bind(&mut self, bind: Vec<String>, port: u16) -> Result<(), ListenError> {
        let wanted = Config { bind, port, ..self.config.clone() };
        self.listeners.set_tcp(self.reactor.registry(), &wanted)?;
        self.config = wanted;
        Ok(())
    }

    /// The TCP addresses that are listened on.
    pub fn listening(&self) -> impl Iterator<Item = std::net::SocketAddr> {
        self.listeners.tcp_addrs()
    }

    /// Sets the idle timeout; zero switches it off.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.config.timeout = timeout;
    }

    /// Sets the silence before keepalive probes, for connections to come.
    pub fn set_keepalive(&mut self, keepalive: Duration) {
        self.config.keepalive = keepalive;
    }

    /// Sets how many clients may be connected; those that are stay. See [`raise_open_files`](crate::raise_open_files).
    pub fn set_maxclients(&mut self, max_clients: usize) {
        self.config.max_clients = max_clients;
    }

    /// Sets how many clients are accepted from one listener in one turn.
    pub fn set_max_accepts_per_turn(&mut self, max_accepts: usize) {
        self.config.max_accepts_per_turn = max_accepts.max(1);
    }

    /// Sets the output limits of a class.
    pub fn set_output_limits(&mut self, class: Class, limit: OutputLimit) {
        self.config.output_limits[class as usize] = limit;
    }

    /// Sets how much a client may have sent that is not executed.
    pub fn set_query_buffer_limit(&mut self, bytes: usize) {
        self.config.query_buffer_limit = bytes;
    }

    /// Sets how many times a second the upkeep works.
    pub fn set_hz(&mut self, hz: u32) {
        self.config.hz = hz.max(1);
    }

    /// Holds back the upkeep (timeouts, soft output limits, shrinking of buffers), or takes it up again: for tests.
    pub fn pause_upkeep(&mut self, paused: bool) {
        self.upkeep.paused = paused;
    }

    /// Puts a connection into another class.
    pub fn set_class(&mut self, id: ConnId, class: Class) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.class = class;
            conn.soft_since_ns = 0;
        }
    }

    /// Registers with the reactor what the connection's state calls for.
    pub(crate) fn update_interest(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let wanted = conn.wanted_interest();
        if conn.interest == wanted || conn.closing == Closing::Now {
            return;
        }
        match conn.stream.modify(conn_token(id), wanted) {
            Ok(()) => conn.interest = wanted,
            Err(error) => {
                log::warn!("Cannot wait for a client: {error}");
                self.close_now(id, Reason::Ordinary);
            }
        }
    }

    /// Adds a connection.
    pub(crate) fn insert(&mut self, conn: Conn) {
        self.conns.insert(conn);
        self.upkeep.start(&mut self.reactor, self.config.hz);
    }
}

/// The token of a connection: its slot. Slots are reused only after a turn has ended, so a token never means
/// somebody else within one.
pub(crate) fn conn_token(id: ConnId) -> Token {
    Token(id.slot as usize)
}
