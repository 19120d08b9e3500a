//! The servers of a run: processes, connections, and the replies to the current batch.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use carnelian_testkit::{Client, Replies, Server, ServerOptions};

/// One server under comparison.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    binary: PathBuf,
    server: Server,
    /// The connection of the command stream.
    pub(crate) stream: Client,
    /// A second connection that looks at the dataset, so that the first keeps its database.
    pub(crate) inspector: Client,
    pub(crate) replies: Replies,
}

impl Target {
    pub(crate) fn start(name: &'static str, binary: &Path) -> anyhow::Result<Self> {
        let server = ServerOptions::new(binary).start().with_context(|| name.to_owned())?;
        let (stream, inspector) = (server.connect()?, server.connect()?);
        Ok(Self { name, binary: binary.to_owned(), server, stream, inspector, replies: Replies::default() })
    }

    /// Starts a new server if the process has ended; true if it had.
    pub(crate) fn revive(&mut self) -> anyhow::Result<bool> {
        let ended = self.server.wait_for_exit(Duration::from_millis(200))?.is_some();
        if ended {
            *self = Self::start(self.name, &self.binary)?;
        }
        Ok(ended)
    }

    /// One more connection.
    pub(crate) fn connect(&mut self) -> anyhow::Result<Client> {
        self.server.connect().with_context(|| self.state())
    }

    /// Opens the two connections anew: clients may have killed them.
    pub(crate) fn reconnect(&mut self) -> anyhow::Result<()> {
        (self.stream, self.inspector) = (self.connect()?, self.connect()?);
        Ok(())
    }

    /// Sends a command on the stream connection and reads its reply.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, argv: &[A]) -> anyhow::Result<Vec<u8>> {
        self.stream.call(argv).with_context(|| self.state())
    }

    /// Reads the replies to the batch that was sent.
    pub(crate) fn collect(&mut self, count: usize) -> anyhow::Result<()> {
        self.replies.clear();
        match self.stream.read_replies(count, &mut self.replies) {
            Ok(()) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{} of {count} replies", self.replies.len())),
        }
        .with_context(|| self.state())
    }

    /// What a fresh connection answers to `bytes` until it is closed.
    pub(crate) fn answer_to(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut client = self.server.connect().with_context(|| self.state())?;
        client.send_raw(bytes)?;
        client.finish_sending()?;
        client.read_to_close().with_context(|| self.state())
    }

    /// For an error's text: who, whether it still runs, and the end of its log.
    pub(crate) fn state(&mut self) -> String {
        let state = match self.server.wait_for_exit(Duration::from_millis(200)) {
            Ok(Some(status)) => format!("ended with {status}"),
            Ok(None) => "is still running".to_owned(),
            Err(error) => error.to_string(),
        };
        let log = self.server.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("{} ({state}), log:\n{}", self.name, lines[lines.len().saturating_sub(15)..].join("\n"))
    }
}
