//! Effects that were logged are executed again. They come as bytes in pieces of any size; their client exists for as long
//! as a piece is executed, and nobody sees what it is replied.

use carnelian_keyspace::Key;
use carnelian_resp::{Batch, Limits, Progress, ReplyBuf, RequestParser};

use super::{Call, Found, Prepared, WINDOW, call_handler};
use crate::args::text;
use crate::client::Client;
use crate::links::ClientId;
use crate::persistence::loading::Target;

/// A log may hold what any server has accepted.
const LIMITS: Limits = Limits {
    max_args: i32::MAX as usize,
    max_bulk: usize::MAX / 4,
    max_inline: 1 << 20,
    authenticated: true,
};

/// Commands that are parsed before the first of them runs.
const BATCH: usize = 256;

/// Bytes of replies that are collected before they are dropped.
const REPLIES: usize = 1 << 20;

/// Effects that failed which are shown in the log.
const SHOWN: u64 = 10;

/// One log while it is replayed.
pub(crate) struct Replay {
    parser: RequestParser,
    batch: Batch,
    /// The beginning of a command.
    pending: Vec<u8>,
    client: Option<Client>,
    replies: ReplyBuf,
    commands: u64,
    failed: u64,
}

impl Replay {
    pub(crate) fn new() -> Replay {
        let mut client = Client::new(ClientId { slot: 0, serial: 0 }, 0);
        client.authenticated = true;
        Replay {
            parser: RequestParser::new(),
            batch: Batch::new(),
            pending: Vec::new(),
            client: Some(client),
            replies: ReplyBuf::new(),
            commands: 0,
            failed: 0,
        }
    }

    /// Commands that were executed.
    pub(crate) fn commands(&self) -> u64 {
        self.commands
    }

    /// Executes the next bytes. The error is a line for the log.
    pub(crate) fn feed(&mut self, bytes: &[u8], target: &mut Target<'_>) -> Result<(), String> {
        let slot = self.enter(target);
        let result = if self.pending.is_empty() {
            self.run(bytes, slot, target).map(|done| self.pending.extend_from_slice(&bytes[done..]))
        } else {
            self.pending.extend_from_slice(bytes);
            let mut pending = std::mem::take(&mut self.pending);
            self.run(&pending, slot, target).map(|done| {
                pending.drain(..done);
                self.pending = pending;
            })
        };
        self.leave(slot, target);
        result
    }

    /// Whether the bytes ended with a command, outside of a transaction.
    pub(crate) fn is_complete(&self) -> bool {
        self.pending.is_empty() && self.client.as_ref().is_none_or(|client| client.transaction.is_none())
    }

    fn enter(&mut self, target: &mut Target<'_>) -> usize {
        let slot = target.state.clients.vacant();
        let mut client = self.client.take().expect("the client is away only while commands run");
        client.id.slot = slot as u32;
        target.state.clients.insert(client);
        slot
    }

    fn leave(&mut self, slot: usize, target: &mut Target<'_>) {
        let id = ClientId { slot: slot as u32, serial: 0 };
        self.client = target.state.clients.remove(id);
    }

    /// Executes all complete commands; how many bytes they are.
    fn run(&mut self, bytes: &[u8], slot: usize, target: &mut Target<'_>) -> Result<usize, String> {
        let mut at = 0;
        let mut batch = std::mem::take(&mut self.batch);
        let result = loop {
            batch.clear();
            let progress = match self.parser.parse(&bytes[at..], BATCH, &LIMITS, &mut batch) {
                Ok(progress) => progress,
                Err(error) => break Err(format!("Bad file format reading the append only file: {error}")),
            };
            if let Err(reason) = self.run_batch(&batch, &bytes[at..], slot, target) {
                break Err(reason);
            }
            if !batch.is_empty() {
                let end = batch.end(batch.len() - 1);
                self.parser.consumed(end);
                at += end;
            }
            if progress == Progress::NeedMore {
                let skipped = self.parser.skippable();
                self.parser.consumed(skipped);
                break Ok(at + skipped);
            }
        };
        self.batch = batch;
        result
    }

    fn run_batch(
        &mut self,
        batch: &Batch,
        bytes: &[u8],
        slot: usize,
        target: &mut Target<'_>,
    ) -> Result<(), String> {
        let mut windows = [[const { None }; WINDOW]; 2];
        let [mut window, mut next] = windows.each_mut();
        Self::look_ahead(window, batch, bytes, 0, slot, target);
        for first in (0..batch.len()).step_by(WINDOW) {
            Self::prefetch_entries(window, slot, target);
            Self::look_ahead(next, batch, bytes, first + WINDOW, slot, target);
            for prepared in window.iter().flatten() {
                self.execute(prepared, slot, target)?;
            }
            std::mem::swap(&mut window, &mut next);
        }
        Ok(())
    }

    /// Finds out what the commands from `first` on are, and asks the processor for the buckets of their keys.
    fn look_ahead<'a>(
        window: &mut [Option<Prepared<'a>>; WINDOW],
        batch: &'a Batch,
        bytes: &'a [u8],
        first: usize,
        slot: usize,
        target: &Target<'_>,
    ) {
        let db = target.state.clients.get_at(slot).db;
        for (i, place) in (first..).zip(window.iter_mut()) {
            *place = (i < batch.len()).then(|| target.state.prepare(target.keyspace, batch.argv(i, bytes)));
            if let Some(key) = place.as_ref().and_then(|prepared| prepared.key) {
                target.keyspace.prefetch(db, key);
            }
        }
    }

    /// Asks for their entries, when the buckets are there.
    fn prefetch_entries(window: &[Option<Prepared<'_>>; WINDOW], slot: usize, target: &Target<'_>) {
        let db = target.state.clients.get_at(slot).db;
        let keys = window.iter().flatten().filter_map(|prepared| prepared.key);
        keys.for_each(|key: Key<'_>| target.keyspace.prefetch_entry(db, key));
    }

    #[inline]
    fn execute(
        &mut self,
        prepared: &Prepared<'_>,
        slot: usize,
        target: &mut Target<'_>,
    ) -> Result<(), String> {
        let argv = prepared.argv;
        if argv.arg(0).starts_with(b"#") {
            return Ok(());
        }
        let known = match prepared.found {
            Found::Command(id) if target.state.table.command(id).row.accepts(argv.len()) => Some(id),
            _ => None,
        };
        let Some(id) = known else {
            return Err(format!("Unknown command '{}' reading the append only file", text(argv.arg(0))));
        };
        self.commands += 1;
        if target.state.is_queued(slot, id) {
            target.state.queue(slot, id, argv);
            return Ok(());
        }
        let now_us = target.state.turn.1;
        let call = Call { argv, key: prepared.key, slot, id, now_us, may_block: false, timed: false };
        let ran = call_handler(target.keyspace, target.state, target.links, &call, &mut self.replies);
        if ran.failed {
            self.note_failure(argv.arg(0));
        }
        if self.replies.len() > REPLIES {
            self.replies.clear();
        }
        Ok(())
    }

    #[cold]
    fn note_failure(&mut self, name: &[u8]) {
        self.failed += 1;
        if self.failed <= SHOWN {
            log::warn!("The {}. command of the append only file, '{}', failed.", self.commands, text(name));
        }
    }
}
