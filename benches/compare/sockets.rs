//! Many nonblocking connections to one server behind one epoll. Knows bytes, not replies.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

const EVENTS_PER_WAIT: usize = 256;
const READ_BYTES: usize = 256 * 1024;

struct Link {
    stream: TcpStream,
    unsent: Vec<u8>,
}

/// The connections, by index.
pub(crate) struct Sockets {
    epoll: OwnedFd,
    links: Vec<Link>,
    ready: Vec<epoll::Event>,
    input: Box<[u8]>,
}

impl Sockets {
    /// Opens connections to a port of this machine.
    pub(crate) fn connect(port: u16, count: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut links = Vec::with_capacity(count);
        for i in 0..count {
            let stream =
                TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("connection {i}"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(i as u64), epoll::EventFlags::IN)?;
            links.push(Link { stream, unsent: Vec::new() });
        }
        Ok(Sockets {
            epoll,
            links,
            ready: Vec::with_capacity(EVENTS_PER_WAIT),
            input: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    /// Number of connections.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// Sends bytes; what the kernel does not take now follows when it does.
    pub(crate) fn send(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        let link = &mut self.links[index];
        if !link.unsent.is_empty() {
            link.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = write(&mut link.stream, bytes)?;
        if sent < bytes.len() {
            link.unsent.extend_from_slice(&bytes[sent..]);
            self.watch(index, epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
        }
        Ok(())
    }

    /// Waits until something can be read, or for the given time; returns how many connections are ready.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<usize> {
        self.ready.clear();
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        loop {
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.ready), Some(&timeout)) {
                Ok(_) => return Ok(self.ready.len()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads once from the `nth` ready connection; returns its index and what came, which may be nothing.
    pub(crate) fn read(&mut self, nth: usize) -> Result<(usize, &[u8])> {
        let epoll::Event { flags, data } = self.ready[nth];
        let index = data.u64() as usize;
        if flags.contains(epoll::EventFlags::OUT) {
            self.flush(index)?;
        }
        let got = match self.links[index].stream.read(&mut self.input) {
            Ok(0) => bail!("the server closed connection {index}"),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        Ok((index, &self.input[..got]))
    }

    fn flush(&mut self, index: usize) -> Result<()> {
        let link = &mut self.links[index];
        let sent = write(&mut link.stream, &link.unsent)?;
        link.unsent.drain(..sent);
        if link.unsent.is_empty() {
            self.watch(index, epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    fn watch(&self, index: usize, interest: epoll::EventFlags) -> Result<()> {
        let data = epoll::EventData::new_u64(index as u64);
        Ok(epoll::modify(&self.epoll, &self.links[index].stream, data, interest)?)
    }
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize> {
    match stream.write(bytes) {
        Ok(sent) => Ok(sent),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}
