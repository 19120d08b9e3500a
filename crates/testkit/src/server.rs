//! A real server process on a free port, in a directory of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Client;

/// How long a server may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// Another process can take the port between its choice and the server's bind.
const PORT_ATTEMPTS: usize = 5;

/// How to start a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    binary: PathBuf,
    args: Vec<OsString>,
}

impl ServerOptions {
    /// A server without persistence whose DEBUG command may be used.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let args = ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes"];
        Self { binary: binary.into(), args: args.iter().map(OsString::from).collect() }
    }

    /// Adds arguments; a later one overrides an earlier one, as on the command line.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) -> io::Result<Server> {
        let mut last = None;
        for _ in 0..PORT_ATTEMPTS {
            match Server::start_on(self, free_port()?) {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("at least one attempt was made"))
    }
}

/// A running server; dropping it kills the process and removes its directory.
#[derive(Debug)]
pub struct Server {
    process: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Server {
    fn start_on(options: &ServerOptions, port: u16) -> io::Result<Self> {
        let directory = TempDir::new()?;
        let log = File::create(directory.path().join("log"))?;
        let process = Command::new(&options.binary)
            .arg("--port")
            .arg(port.to_string())
            .arg("--dir")
            .arg(directory.path())
            .args(&options.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", options.binary.display()))
            })?;
        let mut server = Self { process, address: (Ipv4Addr::LOCALHOST, port).into(), directory };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Err(io::Error::other(format!("the server ended ({status}): {}", self.log_tail())));
            }
            let answer = Client::connect(self.address).and_then(|mut client| client.call(&["PING"]));
            if answer.is_ok_and(|reply| !reply.starts_with(b"-LOADING")) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the server does not answer: {}", self.log_tail()),
                ));
            }
            thread::sleep(Duration::from_millis(3));
        }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its working directory, which also holds its output in the file `log`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A new connection.
    pub fn connect(&self) -> io::Result<Client> {
        Client::connect(self.address)
    }

    /// What it wrote to its output so far.
    pub fn log(&self) -> String {
        fs::read(self.directory.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_else(|error| format!("(no log: {error})"))
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Waits for the process to end by itself, up to `patience`; `None` if it still runs then.
    pub fn wait_for_exit(&mut self, patience: Duration) -> io::Result<Option<std::process::ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.process.try_wait()?;
            if status.is_some() || Instant::now() > deadline {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(3));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has already ended cannot be killed, and need not be.
        if self.process.kill().is_ok()
            && let Err(error) = self.process.wait()
        {
            eprintln!("waiting for server {}: {error}", self.process.id());
        }
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
