//! Clients that wait for keys, from the engine's side: how a wait begins, how its command is tried again when a key has
//! changed, and how it ends.

use carnelian_resp::ReplyBuf;

use super::{Engine, Next, Ran, State};
use crate::blocking::Wait;
use crate::client::ClientFlags;
use crate::connection;
use crate::error::Error;
use crate::links::{ClientId, Close, Links};
use crate::table::{CommandId, Found};

/// Why a wait ends before its command has found something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitEnd {
    /// Its time is over, or somebody says so.
    Timeout,
    /// Somebody wants it to fail.
    Error,
}

/// What a client is told whose wait another one has ended.
pub(crate) const UNBLOCKED: Error = Error::Text("UNBLOCKED client unblocked via CLIENT UNBLOCK");

impl State {
    /// Ends the wait of a client, if it waits.
    pub(crate) fn end_wait(&mut self, links: &mut dyn Links, id: ClientId, end: WaitEnd) -> bool {
        let Some(waiting) = self.blocking.leave(id) else { return self.end_sync_wait(links, id, end) };
        let mut reply = self.reply_to(id);
        match end {
            WaitEnd::Timeout => reply.null_array(),
            WaitEnd::Error => {
                let text = UNBLOCKED.reply();
                self.stats.count_error(&text);
                reply.error(&text);
            }
        }
        let (failed, tracked) = (end == WaitEnd::Error, self.settings.latency_tracking);
        self.stats.count_call(waiting.command, waiting.nanos, failed, tracked);
        self.answer(links, id, &reply);
        true
    }

    /// An empty reply in the protocol of a client.
    pub(crate) fn reply_to(&mut self, id: ClientId) -> ReplyBuf {
        let mut reply = ReplyBuf::new();
        reply.set_protocol(self.clients.at(id.slot as usize).protocol);
        reply
    }

    /// Replies to a client that has waited, and lets it go on.
    pub(crate) fn answer(&mut self, links: &mut dyn Links, id: ClientId, reply: &ReplyBuf) {
        let client = self.clients.at(id.slot as usize);
        client.flags -= ClientFlags::BLOCKED;
        if client.ends_reply() {
            links.send(id, &mut |out| reply.chunks().for_each(|chunk| out.raw(chunk)));
        }
        links.resume(id);
    }
}

impl Engine {
    /// The command that has just run makes its client wait.
    pub(super) fn begin_wait(&mut self, slot: usize, command: CommandId, ran: &Ran<'_>, wait: Wait) {
        let client = self.state.clients.at(slot);
        client.flags |= ClientFlags::BLOCKED;
        let client = (client.id, ran.db);
        self.state.blocking.begin(client, command, wait, || ran.argv.into(), ran.nanos);
        self.keyspace.set_recording(true);
    }

    /// Tries the commands again that wait for keys which have changed, until that changes nothing more: keys in the
    /// order of their changes, and for each key its clients in the order of their arrival.
    #[cold]
    pub(super) fn serve_waiting(&mut self, links: &mut dyn Links) {
        loop {
            self.state.note_changes(&mut self.keyspace, links, None);
            let Some((db, key, end)) = self.state.blocking.next_ready() else { return };
            let mut from = 0;
            while let Some((ticket, id)) = self.next_to_serve(db, &key, from..end) {
                from = ticket + 1;
                if links.is_open(id) {
                    self.try_again(links, id);
                }
            }
        }
    }

    /// The first of the clients with these tickets who can use what a key holds now.
    fn next_to_serve(
        &mut self,
        db: usize,
        key: &[u8],
        tickets: std::ops::Range<u64>,
    ) -> Option<(u64, ClientId)> {
        let hashed = self.keyspace.key(key);
        let kind = self.keyspace.peek(db, hashed).map(|item| item.kind());
        self.state.blocking.first(db, key, kind, tickets)
    }

    fn try_again(&mut self, links: &mut dyn Links, id: ClientId) {
        let Some(mut waiting) = self.state.blocking.leave(id) else { return };
        let slot = id.slot as usize;
        let logged = self.state.log_end();
        let argv = std::mem::take(&mut waiting.argv);
        self.state.blocking.retry(waiting);
        self.state.pubsub.outbox.begin_retry(id);
        let mut reply = self.state.reply_to(id);
        let prepared = self.state.prepare(&self.keyspace, argv.as_argv());
        let next = match self.state.admit(slot, &prepared) {
            Ok(command) => self.run(links, slot, command, &prepared, &mut reply),
            Err(error) => self.state.refuse(&prepared, &error, &mut reply),
        };
        self.hold_if_logged(links, id, logged);
        if next != Next::Wait {
            self.state.blocking.end_retry();
            self.state.answer(links, id, &reply);
            self.end_tracked(links, slot, prepared.found);
        }
        let pushes = self.state.pubsub.outbox.end_retry();
        if !pushes.is_empty() {
            links.send(id, &mut |out| pushes.chunks().for_each(|chunk| out.raw(chunk)));
        }
        match next {
            Next::CloseAfterReply => links.close(id, Close::AfterReply),
            Next::CloseNow => links.close(id, Close::Now),
            Next::Continue | Next::Pause | Next::Wait => {}
        }
    }

    /// A command is done, with its reply: what concerns a client that keeps copies of keys.
    pub(super) fn end_tracked(&mut self, links: &mut dyn Links, slot: usize, found: Found) {
        let parent = match found {
            Found::Command(id) => self.state.table.command(id).parent,
            Found::Container(_) | Found::Unknown => None,
        };
        let about_clients =
            parent.is_some_and(|id| connection::client::is_container(self.state.table.command(id).row));
        self.state.end_tracked(links, slot, about_clients);
    }

    /// Ends the waits whose time is over.
    pub(super) fn end_waits(&mut self, links: &mut dyn Links, now_us: u64) {
        while let Some(id) = self.state.blocking.next_due(now_us) {
            self.state.end_wait(links, id, WaitEnd::Timeout);
        }
    }
}
