//! Scripts, from the engine's side: how their commands are found and run, and how others are served beside a slow one.

use carnelian_keyspace::Keyspace;
use carnelian_resp::{Argv, Batch, Limits, ProtocolError, ReplyBuf};

use super::{BatchOutcome, Call, Found, Next, State, call_handler};
use crate::context::Ctx;
use crate::error::Error;
use crate::links::{ClientId, Close, Links};
use crate::monitor;
use crate::row::{Flags, Group, Row};
use crate::scripting::busy;
use crate::table::CommandId;

impl Ctx<'_> {
    /// When the command began, on the monotonic clock.
    pub(crate) fn began_ns(&self) -> u64 {
        self.state.last_ns
    }

    /// Whether there is a command with such a name.
    pub(crate) fn knows(&self, argv: Argv<'_>) -> bool {
        match self.state.find(argv) {
            Found::Command(_) => true,
            Found::Container(_) => argv.len() == 1,
            Found::Unknown => false,
        }
    }

    /// The command that a script wants to execute, or why it cannot.
    pub(crate) fn find_for_script(
        &self,
        argv: Argv<'_>,
        may_write: bool,
    ) -> Result<(CommandId, &'static Row), Error> {
        let id = match self.state.find(argv) {
            Found::Command(id) => id,
            Found::Container(_) if argv.len() == 1 => return Err(WRONG_ARITY),
            Found::Container(_) | Found::Unknown => {
                return Err(Error::Text("ERR Unknown Redis command called from script"));
            }
        };
        let row = self.state.table.command(id).row;
        if !row.accepts(argv.len()) {
            return Err(WRONG_ARITY);
        }
        let nests = matches!(row.group, Group::Scripting | Group::Transactions);
        if row.flags.contains(Flags::NOSCRIPT) && (nests || !self.state.scripts_unbound) {
            return Err(Error::NotFromScripts);
        }
        if row.flags.intersects(Flags::WRITE.union(Flags::MAY_REPLICATE)) && !may_write {
            return Err(Error::Text("ERR Write commands are not allowed from read-only scripts."));
        }
        if self.state.gate.writes
            && row.flags.contains(Flags::WRITE)
            && let Some(error) = self.state.refused_writes()
        {
            return Err(error);
        }
        Ok((id, row))
    }

    /// Runs a command of a script. It sees the time at which the script began.
    pub(crate) fn call_from_script(&mut self, id: CommandId, argv: Argv<'_>, out: &mut ReplyBuf) {
        let key = self.state.first_key(self.keyspace, Found::Command(id), argv);
        let (slot, now_us) = (self.client, self.now_us);
        let call = Call { argv, key, slot, id, now_us, may_block: false, timed: true };
        self.state.tracking.by_script = true;
        let ran = call_handler(self.keyspace, self.state, self.links, &call, out);
        self.state.tracking.by_script = false;
        if !self.state.monitors.is_empty() && monitor::shows(ran.row) {
            let line = monitor::script_line(self.state, ran.db, now_us, argv);
            monitor::send(self.state, self.links, slot, &line, self.out);
        }
        self.state.stats.count_call(id, ran.nanos, ran.failed, self.state.settings.latency_tracking);
        self.state.redacted.clear();
    }

    /// Serves other clients for a moment, while a script goes on. Whether the server is to stop.
    pub(crate) fn serve_beside(&mut self) -> bool {
        let mut beside = Beside::new(self.keyspace, self.state);
        self.links.serve_beside(&mut beside)
    }
}

const WRONG_ARITY: Error = Error::Text("ERR Wrong number of args calling Redis command from script");

/// The engine for those who are served beside a slow script: few commands run, others are told that the server is busy.
pub struct Beside<'a> {
    keyspace: &'a mut Keyspace,
    state: &'a mut State,
}

impl<'a> Beside<'a> {
    pub(crate) fn new(keyspace: &'a mut Keyspace, state: &'a mut State) -> Self {
        Beside { keyspace, state }
    }
}

impl Beside<'_> {
    /// As [`Engine::connected`](super::Engine::connected).
    pub fn connected(&mut self, id: ClientId, unix_socket: bool) {
        self.state.connected(id, unix_socket);
    }

    /// As [`Engine::disconnected`](super::Engine::disconnected).
    pub fn disconnected(&mut self, id: ClientId) {
        self.state.disconnected(id);
    }

    /// As [`Engine::limits`](super::Engine::limits).
    pub fn limits(&self, id: ClientId) -> Limits {
        self.state.limits(id)
    }

    /// As [`Engine::config`](super::Engine::config).
    pub fn config(&self) -> &carnelian_config::Config {
        &self.state.config
    }

    /// As [`Engine::protocol_error`](super::Engine::protocol_error).
    pub fn protocol_error(&mut self, id: ClientId, error: &ProtocolError) {
        self.state.protocol_error(id, error);
    }

    /// As [`Engine::run_batch`](super::Engine::run_batch).
    pub fn run_batch(
        &mut self,
        links: &mut dyn Links,
        client: ClientId,
        batch: &Batch,
        buf: &[u8],
        out: &mut ReplyBuf,
    ) -> BatchOutcome {
        for i in 0..batch.len() {
            let next = self.execute(links, client.slot as usize, batch.argv(i, buf), out);
            if next != Next::Continue {
                return BatchOutcome { executed: i + 1, next };
            }
        }
        BatchOutcome { executed: batch.len(), next: Next::Continue }
    }

    fn execute(&mut self, links: &mut dyn Links, slot: usize, argv: Argv<'_>, out: &mut ReplyBuf) -> Next {
        let mark = out.mark();
        let prepared = self.state.prepare(self.keyspace, argv);
        let admitted = self.state.admit(slot, &prepared).and_then(|id| self.admit_beside(id));
        let next = match admitted {
            Ok(id) if self.state.is_queued(slot, id) => {
                self.state.queue(slot, id, argv);
                out.simple("QUEUED");
                Next::Continue
            }
            Ok(id) => self.run(links, slot, id, argv, out),
            Err(error) => {
                let error = self.state.fail_transaction(slot, prepared.found, error);
                self.state.refuse(&prepared, &error, out)
            }
        };
        if !self.state.clients.at(slot).ends_reply() {
            out.truncate(mark);
        }
        next
    }

    fn admit_beside(&mut self, id: CommandId) -> Result<CommandId, Error> {
        match &self.state.scripting.running {
            Some(running) if !self.state.table.command(id).row.flags.contains(Flags::ALLOW_BUSY) => {
                let error = Error::other(busy(running.kind).into_owned());
                Err(self.state.reject(id, error))
            }
            _ => Ok(id),
        }
    }

    fn run(
        &mut self,
        links: &mut dyn Links,
        slot: usize,
        id: CommandId,
        argv: Argv<'_>,
        out: &mut ReplyBuf,
    ) -> Next {
        // The clock of the keyspace stands while the script runs.
        let now_us = self.keyspace.now() * 1000;
        let client = self.state.clients.at(slot);
        client.last_command = Some(id as u16);
        client.last_active_ms = now_us / 1000;
        client.commands += 1;
        let key = self.state.first_key(self.keyspace, Found::Command(id), argv);
        let call = Call { argv, key, slot, id, now_us, may_block: false, timed: true };
        let ran = call_handler(self.keyspace, self.state, links, &call, out);
        self.state.show(links, slot, &ran, out);
        self.state.account(links, &call, &ran);
        match self.state.clients.at(slot).close {
            None => Next::Continue,
            Some(Close::AfterReply) => Next::CloseAfterReply,
            Some(Close::Now) => Next::CloseNow,
        }
    }
}
