//! A blocking connection for single questions, for polling, and for loading data in deep pipelines.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::closed_loop::check;
use crate::wire::{self, Reply};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two questions of a poller.
const POLL_INTERVAL: Duration = Duration::from_micros(500);
/// Requests in flight while loading.
const LOAD_PIPELINE: u64 = 500;

/// The connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of this machine.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Sends a command whose reply is a string or an integer, and returns it as text.
    pub(crate) fn ask(&mut self, args: &[&str]) -> Result<String> {
        let mut request = Vec::new();
        wire::command(&mut request, &args.iter().map(|arg| arg.as_bytes()).collect::<Vec<_>>());
        self.stream.get_mut().write_all(&request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let text = line.trim_end();
        match text.split_at_checked(1) {
            Some(("+" | ":", rest)) => Ok(rest.to_owned()),
            Some(("$", len)) => {
                let mut bulk = vec![0; len.parse::<usize>()? + 2];
                self.stream.read_exact(&mut bulk)?;
                bulk.truncate(bulk.len() - 2);
                Ok(String::from_utf8(bulk)?)
            }
            _ => bail!("{args:?}: {text:?}"),
        }
    }

    /// A field of INFO.
    pub(crate) fn info(&mut self, section: &str, field: &str) -> Result<Option<String>> {
        let info = self.ask(&["INFO", section])?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.map(str::to_owned))
    }

    /// Sends `count` requests, all of which are answered alike.
    pub(crate) fn load(
        &mut self,
        count: u64,
        reply: Reply,
        mut render: impl FnMut(u64, &mut Vec<u8>),
    ) -> Result<()> {
        let mut requests = Vec::new();
        let mut replies = vec![0; LOAD_PIPELINE as usize * reply.bytes];
        for first in (0..count).step_by(LOAD_PIPELINE as usize) {
            let end = count.min(first + LOAD_PIPELINE);
            requests.clear();
            (first..end).for_each(|number| render(number, &mut requests));
            self.stream.get_mut().write_all(&requests)?;
            let replies = &mut replies[..(end - first) as usize * reply.bytes];
            self.stream.read_exact(replies)?;
            for one in replies.chunks(reply.bytes) {
                check(one, true, reply.bytes, reply)?;
            }
        }
        Ok(())
    }
}

/// DBSIZE, asked at intervals without ever waiting for the answer.
pub(crate) struct SizePoller {
    stream: TcpStream,
    line: Vec<u8>,
    asked: bool,
    next: Instant,
}

impl SizePoller {
    /// Connects to a port of this machine.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(SizePoller { stream, line: Vec::new(), asked: false, next: Instant::now() })
    }

    /// The number of keys, if an answer has come since the last call. Asks when it is time to.
    pub(crate) fn poll(&mut self) -> Result<Option<u64>> {
        if !self.asked {
            let now = Instant::now();
            if now < self.next {
                return Ok(None);
            }
            self.next = now + POLL_INTERVAL;
            self.stream.write_all(b"*1\r\n$6\r\nDBSIZE\r\n")?;
            self.asked = true;
            return Ok(None);
        }
        let mut bytes = [0; 64];
        match self.stream.read(&mut bytes) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(got) => self.line.extend_from_slice(&bytes[..got]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if !self.line.ends_with(b"\r\n") {
            return Ok(None);
        }
        let text = std::str::from_utf8(&self.line)?.trim_end();
        ensure!(text.starts_with(':'), "DBSIZE: {text:?}");
        let size = text[1..].parse()?;
        self.line.clear();
        self.asked = false;
        Ok(Some(size))
    }
}
