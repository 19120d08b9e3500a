//! Listening sockets: which addresses the `bind` syntax means, opening them, and exchanging them at run time.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use carnelian_reactor::{Interest, Registry, Source, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::Config;
use crate::conn::Peer;

/// Tokens from here on are listeners'; below, connections'.
pub(crate) const LISTENER_TOKENS: usize = 1 << 31;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A TCP address.
    #[error("Could not create server TCP listening socket {address}:{port}: {}", plain(.source))]
    Tcp {
        /// As it is configured.
        address: String,
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The Unix socket.
    #[error("Failed opening Unix socket: {}", plain(.source))]
    Unix {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The text in Redis's form: the system's, without Rust's `(os error 98)` or its words about names.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => format!("bind: {text}"),
        None => text.trim_start_matches("failed to lookup address information: ").to_owned(),
    }
}

/// One entry of the `bind` list.
struct Target<'a> {
    spec: &'a str,
    /// May be missing on this machine.
    optional: bool,
    /// What it means; the first that can be had is taken.
    addrs: Vec<SocketAddr>,
}

impl<'a> Target<'a> {
    fn parse(spec: &'a str, port: u16) -> io::Result<Target<'a>> {
        let (host, optional) = spec.strip_prefix('-').map_or((spec, false), |host| (host, true));
        let ip: Option<IpAddr> = match host {
            "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
            "::*" => Some(Ipv6Addr::UNSPECIFIED.into()),
            _ => host.parse().ok(),
        };
        let addrs = match ip {
            Some(ip) => vec![SocketAddr::new(ip, port)],
            None => {
                let mut found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
                found.sort_by_key(SocketAddr::is_ipv6);
                found
            }
        };
        Ok(Target { spec, optional, addrs })
    }

    fn open(&self, backlog: i32) -> io::Result<(Socket, SocketAddr)> {
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for &addr in &self.addrs {
            match open_tcp(addr, backlog) {
                Ok(socket) => return Ok((socket, addr)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whether the server can do without this address: the machine does not have it, or not its kind.
    fn can_be_missing(&self, error: &io::Error) -> bool {
        match Errno::from_io_error(error) {
            Some(Errno::ADDRNOTAVAIL) => self.optional,
            Some(
                Errno::NOPROTOOPT
                | Errno::PROTONOSUPPORT
                | Errno::SOCKTNOSUPPORT
                | Errno::PFNOSUPPORT
                | Errno::AFNOSUPPORT,
            ) => true,
            _ => false,
        }
    }

    fn error(&self, port: u16, source: io::Error) -> ListenError {
        ListenError::Tcp { address: self.spec.to_owned(), port, source }
    }
}

fn open_tcp(addr: SocketAddr, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// Opens the Unix socket, in place of one that an earlier server has left behind.
fn open_unix(path: &Path, permissions: Option<u32>, backlog: i32) -> io::Result<Socket> {
    if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if let Some(mode) = permissions {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    Ok(socket)
}

/// What a listener listens on.
enum Place {
    Tcp(SocketAddr),
    Unix(SocketFile),
}

/// The file of our Unix socket; removed with the listener.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                log::warn!("Error removing the unix socket file: {error}");
            }
            _ => {}
        }
    }
}

struct Listener {
    source: Source,
    place: Place,
}

/// All listening sockets. A listener's token is its index, above [`LISTENER_TOKENS`].
#[derive(Default)]
pub(crate) struct Listeners {
    slots: Vec<Option<Listener>>,
}

impl Listeners {
    /// Takes one connection, if there is one.
    pub(crate) fn accept(&self, token: Token) -> io::Result<Option<(OwnedFd, Peer)>> {
        let Some(Some(listener)) = self.slots.get(token.0 - LISTENER_TOKENS) else { return Ok(None) };
        match accept_nonblocking(&listener.source) {
            Ok((fd, addr)) => {
                let peer = match (&listener.place, addr) {
                    (Place::Tcp(_), Some(addr)) => Peer::Tcp(addr),
                    (Place::Tcp(_), None) => return Err(ErrorKind::ConnectionAborted.into()),
                    (Place::Unix(_), _) => Peer::Unix,
                };
                Ok(Some((fd, peer)))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Listens on the TCP addresses of `config` instead of the present ones; see [`crate::Net::set_bind`].
    pub(crate) fn set_tcp(&mut self, registry: &Registry, config: &Config) -> Result<(), ListenError> {
        let targets = parse_targets(&config.bind, config.port)?;
        let wanted = |addr: &SocketAddr| targets.iter().any(|target| target.addrs.contains(addr));
        let present: Vec<SocketAddr> = self.tcp_addrs().collect();
        let mut opened = Vec::new();
        let mut displaced = Vec::new();
        for target in &targets {
            if target.addrs.iter().any(|addr| present.contains(addr)) {
                continue;
            }
            let mut result = target.open(config.backlog);
            if matches!(&result, Err(error) if error.kind() == ErrorKind::AddrInUse) {
                let in_the_way = self.remove_tcp(|old| !wanted(old) && old.port() == config.port);
                if !in_the_way.is_empty() {
                    displaced.extend(in_the_way);
                    result = target.open(config.backlog);
                }
            }
            match result
                .and_then(|(socket, addr)| self.add(registry, socket, Place::Tcp(addr)).map(|()| addr))
            {
                Ok(addr) => opened.push(addr),
                Err(error) if target.can_be_missing(&error) => {}
                Err(error) => {
                    self.remove_tcp(|addr| opened.contains(addr));
                    self.reopen(registry, &displaced, config.backlog);
                    return Err(target.error(config.port, error));
                }
            }
        }
        self.remove_tcp(|addr| !wanted(addr));
        Ok(())
    }

    /// Puts back what was closed for the sake of new addresses that could not be had after all.
    fn reopen(&mut self, registry: &Registry, addrs: &[SocketAddr], backlog: i32) {
        for &addr in addrs {
            let reopened = open_tcp(addr, backlog);
            if let Err(error) = reopened.and_then(|socket| self.add(registry, socket, Place::Tcp(addr))) {
                log::warn!("Cannot listen on {addr} again: {}", plain(&error));
            }
        }
    }

    /// Opens the Unix socket of the configuration, if it names one.
    pub(crate) fn open_unix(&mut self, registry: &Registry, config: &Config) -> Result<(), ListenError> {
        let Some(path) = &config.unix_socket else { return Ok(()) };
        let opened = open_unix(path, config.unix_permissions, config.backlog);
        opened
            .and_then(|socket| self.add(registry, socket, Place::Unix(SocketFile(path.clone()))))
            .map_err(|source| ListenError::Unix { path: path.clone(), source })
    }

    /// Closes all.
    pub(crate) fn close(&mut self) {
        self.slots.clear();
    }

    /// Adds a listening socket at the first free index.
    fn add(&mut self, registry: &Registry, socket: Socket, place: Place) -> io::Result<()> {
        let index = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let source = registry.register(socket.into(), Token(LISTENER_TOKENS + index), Interest::READABLE)?;
        if index == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[index] = Some(Listener { source, place });
        Ok(())
    }

    /// Accepts, or does not, until told otherwise.
    pub(crate) fn set_interest(&self, interest: Interest) {
        for (index, listener) in self.slots.iter().enumerate() {
            let Some(listener) = listener else { continue };
            if let Err(error) = listener.source.modify(Token(LISTENER_TOKENS + index), interest) {
                log::warn!("Cannot change what a listening socket waits for: {error}");
            }
        }
    }

    pub(crate) fn tcp_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.slots.iter().flatten().filter_map(|listener| match listener.place {
            Place::Tcp(addr) => Some(addr),
            Place::Unix(_) => None,
        })
    }

    /// The Unix socket's path.
    pub(crate) fn unix_path(&self) -> Option<&Path> {
        self.slots.iter().flatten().find_map(|listener| match &listener.place {
            Place::Unix(file) => Some(file.0.as_path()),
            Place::Tcp(_) => None,
        })
    }

    /// Closes the TCP sockets that are to go, and returns their addresses.
    fn remove_tcp(&mut self, goes: impl Fn(&SocketAddr) -> bool) -> Vec<SocketAddr> {
        let mut removed = Vec::new();
        for slot in &mut self.slots {
            if let Some(Listener { place: Place::Tcp(addr), .. }) = slot
                && goes(addr)
            {
                removed.push(*addr);
                *slot = None;
            }
        }
        removed
    }
}

/// The entries of a `bind` list. Port 0 means none. A name that cannot be resolved is an error even where the address
/// may be missing, as in Redis.
fn parse_targets(bind: &[String], port: u16) -> Result<Vec<Target<'_>>, ListenError> {
    bind.iter()
        .filter(|_| port != 0)
        .map(|spec| {
            Target::parse(spec, port).map_err(|source| ListenError::Tcp {
                address: spec.clone(),
                port,
                source,
            })
        })
        .collect()
}

#[cfg(not(target_vendor = "apple"))]
fn accept_nonblocking(source: &Source) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, addr) = rustix::net::acceptfrom_with(source, flags)?;
    Ok((fd, addr.and_then(|addr| SocketAddr::try_from(addr).ok())))
}

#[cfg(target_vendor = "apple")]
fn accept_nonblocking(source: &Source) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (socket, addr) = socket2::SockRef::from(source).accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), addr.as_socket()))
}
