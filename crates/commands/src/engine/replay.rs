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

/// Bytes that are added at once to the beginning of a command.
const PIECE: usize = 8 << 10;

/// Bytes of replies that are collected before they are dropped: few, so that they stay in the cache.
const REPLIES: usize = 4 << 10;

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

    /// Executes some commands of the next bytes. Returns how many bytes are done: those behind them are to be given
    /// again. The error is a line for the log.
    pub(crate) fn feed(&mut self, bytes: &[u8], target: &mut Target<'_>) -> Result<usize, String> {
        let slot = self.enter(target);
        let result = if self.pending.is_empty() {
            self.run(bytes, slot, target).map(|(done, progress)| match progress {
                Progress::Full => done,
                Progress::NeedMore => {
                    self.pending.extend_from_slice(&bytes[done..]);
                    bytes.len()
                }
            })
        } else {
            self.complete(bytes, slot, target)
        };
        self.leave(slot, target);
        result
    }

    /// Goes on with a command that has begun.
    fn complete(&mut self, bytes: &[u8], slot: usize, target: &mut Target<'_>) -> Result<usize, String> {
        let begun = self.pending.len();
        let piece = &bytes[..bytes.len().min(self.parser.missing().max(PIECE))];
        self.pending.extend_from_slice(piece);
        let mut pending = std::mem::take(&mut self.pending);
        let (done, _) = self.run(&pending, slot, target)?;
        if done >= begun {
            // What follows is in the bytes.
            pending.clear();
            self.pending = pending;
            return Ok(done - begun);
        }
        pending.drain(..done);
        self.pending = pending;
        Ok(piece.len())
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

    /// Executes a batch of commands. Returns how many bytes are done, and whether the next command is complete.
    fn run(
        &mut self,
        bytes: &[u8],
        slot: usize,
        target: &mut Target<'_>,
    ) -> Result<(usize, Progress), String> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let progress = self
            .parser
            .parse(bytes, BATCH, &LIMITS, &mut batch)
            .map_err(|error| format!("Bad file format reading the append only file: {error}"))?;
        self.run_batch(&batch, bytes, slot, target)?;
        let mut done = 0;
        if !batch.is_empty() {
            done = batch.end(batch.len() - 1);
            self.parser.consumed(done);
        }
        if progress == Progress::NeedMore {
            let skipped = self.parser.skippable();
            self.parser.consumed(skipped);
            done += skipped;
        }
        self.batch = batch;
        Ok((done, progress))
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
