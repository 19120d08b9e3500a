//! A blocking connection that yields replies as the bytes received.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::reply::Framer;

/// How long a reply may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Appends `args` to `out` as a multibulk request.
pub fn encode<A: AsRef<[u8]>>(args: &[A], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// A connection to one server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    start: usize,
    framer: Framer,
}

/// Consecutive replies, kept in one buffer.
#[derive(Debug, Default)]
pub struct Replies {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Replies {
    /// The bytes of reply `index`.
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The number of replies.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all replies, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, input: Vec::new(), start: 0, framer: Framer::default() })
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends one command.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut request = Vec::new();
        encode(args, &mut request);
        self.send_raw(&request)
    }

    /// Sends one command and reads its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Vec<u8>> {
        self.send(args)?;
        self.read_reply()
    }

    /// Reads one reply.
    pub fn read_reply(&mut self) -> io::Result<Vec<u8>> {
        let length = self.await_reply()?;
        let reply = self.input[self.start..self.start + length].to_vec();
        self.start += length;
        Ok(reply)
    }

    /// Reads `count` replies and appends them to `replies`.
    pub fn read_replies(&mut self, count: usize, replies: &mut Replies) -> io::Result<()> {
        for _ in 0..count {
            let length = self.await_reply()?;
            replies.bytes.extend_from_slice(&self.input[self.start..self.start + length]);
            replies.ends.push(replies.bytes.len());
            self.start += length;
        }
        Ok(())
    }

    /// Reads until the server closes the connection. A reset counts as closed.
    pub fn read_to_close(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::BrokenPipe
                    ) =>
                {
                    self.framer = Framer::default();
                    return Ok(self.input.split_off(std::mem::take(&mut self.start)));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the server that nothing more will be sent.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// The replies that have arrived, without waiting, and whether the server has closed the connection.
    pub fn arrived(&mut self) -> io::Result<(Vec<Vec<u8>>, bool)> {
        self.stream.set_nonblocking(true)?;
        let closed = loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(_) => break true,
            }
        };
        self.stream.set_nonblocking(false)?;
        let mut replies = Vec::new();
        while let Some(length) = self.next_reply()? {
            replies.push(self.input[self.start..self.start + length].to_vec());
            self.start += length;
        }
        Ok((replies, closed))
    }

    /// The address that the server sees.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    fn next_reply(&mut self) -> io::Result<Option<usize>> {
        let found = self.framer.advance(&self.input[self.start..]);
        found.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn await_reply(&mut self) -> io::Result<usize> {
        loop {
            match self.next_reply()? {
                Some(length) => return Ok(length),
                None => self.fill()?,
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        const CHUNK: usize = 64 * 1024;
        if self.start > 0 {
            self.input.drain(..self.start);
            self.start = 0;
        }
        let filled = self.input.len();
        self.input.resize(filled + CHUNK, 0);
        let read = self.stream.read(&mut self.input[filled..]);
        self.input.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}
