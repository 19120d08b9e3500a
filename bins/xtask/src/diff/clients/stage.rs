//! The connections of one server to which interleaved clients belong, and what has arrived on each of them.

use std::io;

use anyhow::{Context, ensure};
use carnelian_testkit::{Client, reply};

use super::super::target::Target;

/// One server with its clients.
pub(crate) struct Stage {
    pub(crate) target: Target,
    actors: Vec<Actor>,
    /// What FUNCTION DUMP last answered here; payloads of other servers differ in their version.
    functions: Vec<u8>,
}

struct Actor {
    client: Client,
    id: i64,
}

/// What one client received in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) replies: Vec<Vec<u8>>,
    pub(crate) closed: bool,
}

/// What stands for a client's number, its address and the dump of functions in a request.
pub(crate) const FUNCTIONS: &[u8] = b"<functions>";

impl Stage {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, actors: Vec::new(), functions: Vec::new() }
    }

    /// Empties the server and opens a connection per protocol.
    pub(crate) fn open(&mut self, protocols: &[&str]) -> anyhow::Result<()> {
        self.actors.clear();
        self.target.reconnect()?;
        self.target.call(&["CLIENT", "UNPAUSE"])?;
        for words in [
            &["FLUSHALL"][..],
            &["SCRIPT", "FLUSH"],
            &["FUNCTION", "FLUSH"],
            &["CONFIG", "SET", "notify-keyspace-events", ""],
        ] {
            let reply = self.target.call(words)?;
            ensure!(reply == b"+OK\r\n", "{}: {words:?} answers {reply:?}", self.target.name);
        }
        self.functions = self.dump_functions()?;
        for protocol in protocols {
            let actor = self.connect(protocol)?;
            self.actors.push(actor);
        }
        Ok(())
    }

    fn connect(&mut self, protocol: &str) -> anyhow::Result<Actor> {
        let mut client = self.target.connect()?;
        client.call(&["HELLO", protocol])?;
        let id = client.call(&["CLIENT", "ID"])?;
        Ok(Actor { client, id: reply::integer(&id).context("CLIENT ID is no number")? })
    }

    /// A new connection in place of one that was closed.
    pub(crate) fn replace(&mut self, actor: usize) -> anyhow::Result<()> {
        self.actors[actor] = self.connect("2")?;
        Ok(())
    }

    pub(crate) fn keep_functions(&mut self) -> anyhow::Result<()> {
        self.functions = self.dump_functions()?;
        Ok(())
    }

    fn dump_functions(&mut self) -> anyhow::Result<Vec<u8>> {
        let dump = self.target.call(&["FUNCTION", "DUMP"])?;
        Ok(reply::payload(&dump).context("FUNCTION DUMP answers no string")?.to_vec())
    }

    /// Sends a command, with this server's numbers in place of the words that stand for them.
    pub(crate) fn send(&mut self, actor: usize, argv: &[Vec<u8>]) -> anyhow::Result<()> {
        let argv = argv.iter().map(|word| self.fill(word)).collect::<io::Result<Vec<_>>>()?;
        // A connection that was closed meanwhile shows when it is read.
        if let Err(error) = self.actors[actor].client.send(&argv)
            && !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
        {
            return Err(error.into());
        }
        Ok(())
    }

    fn fill(&self, word: &[u8]) -> io::Result<Vec<u8>> {
        if word == FUNCTIONS {
            return Ok(self.functions.clone());
        }
        let actor = |prefix: &[u8]| {
            let name = word.strip_prefix(prefix)?.strip_suffix(b">")?;
            self.actors.get(std::str::from_utf8(name).ok()?.parse::<usize>().ok()?)
        };
        Ok(match (actor(b"<id:"), actor(b"<addr:")) {
            (Some(actor), _) => actor.id.to_string().into_bytes(),
            (_, Some(actor)) => actor.client.local_address()?.to_string().into_bytes(),
            _ => word.to_vec(),
        })
    }

    /// Returns when the server has executed all that was sent, and has written what came of it: the second PING
    /// arrives after the turn in which the first one was answered.
    pub(crate) fn settle(&mut self) -> anyhow::Result<()> {
        for _ in 0..2 {
            if self.target.stream.call(&["PING"]).is_err() {
                // One of the clients has killed it.
                self.target.reconnect()?;
                self.target.call(&["PING"])?;
                self.target.call(&["PING"])?;
            }
        }
        Ok(())
    }

    /// What has arrived for a client since the last time.
    pub(crate) fn arrived(&mut self, actor: usize) -> anyhow::Result<Seen> {
        let (replies, closed) = self.actors[actor].client.arrived()?;
        Ok(Seen { replies, closed })
    }

    /// Writes names in place of the numbers of clients. Those of clients that are gone are all the same.
    pub(crate) fn name_clients(&self, reply: &[u8]) -> Vec<u8> {
        let line = |text: &[u8]| {
            let number = std::str::from_utf8(text.strip_prefix(b":")?).ok()?.parse::<i64>().ok()?;
            match self.actors.iter().position(|actor| actor.id == number) {
                Some(at) => Some(format!(":<id:{at}>").into_bytes()),
                None => (number > 0).then(|| b":<id>".to_vec()),
            }
        };
        let lines = reply.split(|&byte| byte == b'\n').map(|text| {
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            line(text).unwrap_or_else(|| text.to_vec())
        });
        lines.collect::<Vec<_>>().join(&b"\r\n"[..])
    }
}
