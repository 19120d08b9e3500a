//! The byte stream of one connection: non-blocking reads and writes, and what their errors mean.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use carnelian_reactor::{Interest, Source, Token};
use rustix::buffer::Buffer;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::{SockRef, TcpKeepalive};

/// A write to a closed connection is an error, not a signal.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::empty();

/// A connected socket, registered with the reactor.
pub(crate) enum Stream {
    Tcp(Source),
    Unix(Source),
}

/// What a read or write came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Io {
    /// So many bytes; never 0.
    Done(usize),
    /// Nothing is possible for now.
    Blocked,
    /// The peer will send nothing more.
    Eof,
    /// The connection is dead.
    Failed(Errno),
}

impl Stream {
    fn source(&self) -> &Source {
        match self {
            Stream::Tcp(source) | Stream::Unix(source) => source,
        }
    }

    pub(crate) fn modify(&self, token: Token, interest: Interest) -> std::io::Result<()> {
        self.source().modify(token, interest)
    }

    /// Reads once.
    pub(crate) fn read(&self, buf: impl Buffer<u8>) -> Io {
        match rustix::net::recv(self.source(), buf, RecvFlags::empty()) {
            Ok((_, 0)) => Io::Eof,
            Ok((_, count)) => Io::Done(count),
            Err(errno) => failure(errno),
        }
    }

    /// Writes once.
    pub(crate) fn write(&self, bytes: &[u8]) -> Io {
        written(rustix::net::send(self.source(), bytes, SEND_FLAGS))
    }

    /// Writes several pieces in one call.
    pub(crate) fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> Io {
        let mut none = SendAncillaryBuffer::default();
        written(rustix::net::sendmsg(self.source(), pieces, &mut none, SEND_FLAGS))
    }

    /// Whether the connection is beyond use: reset, or closed at both ends.
    pub(crate) fn is_dead(&self) -> bool {
        let mut fds = [PollFd::new(self, PollFlags::empty())];
        let reported = rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        reported.is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        SockRef::from(self.source()).local_addr().ok()?.as_socket()
    }

    /// See [`set_keepalive`]; Unix sockets have none.
    pub(crate) fn set_keepalive(&self, idle: Duration) -> std::io::Result<()> {
        match self {
            Stream::Tcp(source) => set_keepalive(SockRef::from(source), idle),
            Stream::Unix(_) => Ok(()),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source().as_fd()
    }
}

/// Probes after `idle` of silence, then at a third of that; three lost ones end the connection. Zero switches off.
pub(crate) fn set_keepalive(socket: SockRef<'_>, idle: Duration) -> std::io::Result<()> {
    if idle.is_zero() {
        return socket.set_keepalive(false);
    }
    let interval = (idle / 3).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}

fn written(result: rustix::io::Result<usize>) -> Io {
    match result {
        Ok(0) => Io::Blocked,
        Ok(count) => Io::Done(count),
        Err(errno) => failure(errno),
    }
}

/// An interrupted call counts as blocked: readiness is level-triggered, so the next turn tries again.
fn failure(errno: Errno) -> Io {
    match errno {
        Errno::AGAIN | Errno::INTR => Io::Blocked,
        errno => Io::Failed(errno),
    }
}
