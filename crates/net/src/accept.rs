//! New connections.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use carnelian_reactor::{Interest, Token};
use socket2::SockRef;

use crate::conn::{Conn, ConnId, Peer};
use crate::driver::Driver;
use crate::net::{Net, conn_token};
use crate::service::{Admission, Service};
use crate::stream::{SEND_FLAGS, Stream};

/// Fires when listening goes on after a lack of resources.
pub(crate) const RETRY_TIMER: Token = Token(1);

/// How long listening pauses after a lack of resources, which would otherwise wake the loop again at once.
const RETRY_AFTER: Duration = Duration::from_millis(100);

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

impl<S: Service> Driver<'_, S> {
    /// Takes in new clients from one listener, up to the configured number.
    pub(crate) fn accept(&mut self, listener: Token) {
        for _ in 0..self.net.config.max_accepts_per_turn {
            let accepted = self.net.listeners.accept(listener);
            match accepted {
                Ok(Some((socket, peer))) => self.admit(socket, peer),
                Ok(None) => return,
                // The client is gone already; the next may be there.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    log::warn!("Accepting client connection: {error}");
                    self.net.pause_accepting();
                    return;
                }
            }
        }
    }

    fn admit(&mut self, socket: OwnedFd, peer: Peer) {
        if self.net.conns.len() >= self.net.config.max_clients {
            self.net.reject(&socket, TOO_MANY);
            return;
        }
        let id = match self.net.register(socket, peer) {
            Ok(id) => id,
            Err(error) => {
                log::warn!("Accepting client connection: {error}");
                return;
            }
        };
        let mut output = self.net.take_output(id);
        match self.service.accepted(self.net, id, &mut output) {
            Admission::Accept => {
                self.net.stats.connections_received += 1;
                self.net.put_output(id, output);
            }
            Admission::Refuse(text) => {
                self.net.replies.give(output);
                if let Some(conn) = self.net.conns.remove(id) {
                    self.net.reject(&conn.stream, text);
                }
            }
        }
    }
}

impl Net {
    fn register(&mut self, socket: OwnedFd, peer: Peer) -> io::Result<ConnId> {
        let id = self.conns.next_id();
        let keepalive = self.config.keepalive;
        if let Peer::Tcp(_) = peer {
            SockRef::from(&socket).set_tcp_nodelay(true)?;
        }
        let source = self.reactor.registry().register(socket, conn_token(id), Interest::READABLE)?;
        let stream = match peer {
            Peer::Tcp(_) => Stream::Tcp(source),
            Peer::Unix => Stream::Unix(source),
        };
        if !keepalive.is_zero() {
            stream.set_keepalive(keepalive)?;
        }
        self.insert(Conn::new(id, stream, peer, self.now()));
        Ok(id)
    }

    /// Turns a client away with a word, if it takes that at once.
    fn reject(&mut self, socket: &impl AsFd, text: &[u8]) {
        self.stats.rejected_connections += 1;
        if let Err(error) = rustix::net::send(socket, text, SEND_FLAGS) {
            log::debug!("A rejected client is not told why: {error}");
        }
    }

    /// Stops accepting for a while.
    fn pause_accepting(&mut self) {
        if self.accept_retry.is_none() {
            self.listeners.set_interest(Interest::NONE);
            let deadline = self.now().after(RETRY_AFTER);
            self.accept_retry = Some(self.reactor.add_timer(deadline, RETRY_TIMER));
        }
    }

    pub(crate) fn accept_again(&mut self) {
        self.accept_retry = None;
        self.listeners.set_interest(Interest::READABLE);
    }
}
