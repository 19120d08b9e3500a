//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. Commands are queued by the engine; here they run.

#[cfg(test)]
mod tests;

use carnelian_resp::{Argv, OwnedArgv};

use crate::client::{Client, ClientFlags};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::table::CommandId;

pub(crate) static ROWS: &[Row] = &[DISCARD, EXEC, MULTI, UNWATCH, WATCH];

/// What all rows of this group have in common.
const BASE: Row = Row {
    group: Group::Transactions,
    flags: Flags::NOSCRIPT
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::ALLOW_BUSY),
    acl: Acl::TRANSACTION,
    ..Row::EMPTY
};

/// The commands of a client since MULTI.
#[derive(Default, Debug)]
pub(crate) struct Transaction {
    queued: Vec<(CommandId, OwnedArgv)>,
    /// Whether a command was refused.
    failed: bool,
}

impl Transaction {
    pub(crate) fn queue(&mut self, id: CommandId, argv: Argv<'_>) {
        self.queued.push((id, argv.into()));
    }

    /// A command was refused.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether EXEC is going to be refused.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// The queued commands.
    pub(crate) fn commands(&self) -> impl Iterator<Item = CommandId> {
        self.queued.iter().map(|(id, _)| *id)
    }

    /// The queued commands with their words.
    pub(crate) fn queued(&self) -> impl Iterator<Item = (CommandId, Argv<'_>)> {
        self.queued.iter().map(|(id, argv)| (*id, argv.as_argv()))
    }

    /// Heap bytes.
    pub(crate) fn memory(&self) -> usize {
        self.queued.iter().map(|(_, argv)| argv.memory() + size_of::<(CommandId, OwnedArgv)>()).sum()
    }
}

/// Whether this is the command that runs a transaction.
pub(crate) fn is_exec(row: &Row) -> bool {
    row.name == EXEC.name
}

/// Ends the transaction and the watches of a client.
pub(crate) fn discard_all(cx: &mut Ctx<'_>) -> Option<Box<Transaction>> {
    unwatch_all(cx);
    cx.client().transaction.take()
}

fn unwatch_all(cx: &mut Ctx<'_>) {
    let client = cx.state.clients.at(cx.client);
    client.flags -= ClientFlags::SPOILED;
    let watched = std::mem::take(&mut client.watched);
    cx.state.watches.forget(cx.client as u32, &watched);
}

const MULTI: Row = Row {
    name: "multi",
    summary: "Begins a transaction.",
    since: "1.2.0",
    arity: 1,
    flags: BASE.flags.union(Flags::NOT_QUEUED),
    complexity: "O(1)",
    run: multi,
    ..BASE
};

fn multi(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.client().transaction.is_some() {
        return Err(Error::Text("ERR MULTI calls can not be nested"));
    }
    cx.client().transaction = Some(Box::default());
    cx.out.ok();
    Ok(())
}

const DISCARD: Row = Row {
    name: "discard",
    summary: "Drops the commands of a transaction.",
    since: "2.0.0",
    arity: 1,
    flags: BASE.flags.union(Flags::NOT_QUEUED),
    complexity: "O(N), N being the number of queued commands.",
    run: discard,
    ..BASE
};

fn discard(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.client().transaction.is_none() {
        return Err(Error::Text("ERR DISCARD without MULTI"));
    }
    discard_all(cx);
    cx.out.ok();
    Ok(())
}

const EXEC: Row = Row {
    name: "exec",
    summary: "Runs the commands of a transaction.",
    since: "1.2.0",
    arity: 1,
    flags: Flags::NOSCRIPT
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::SKIP_SLOWLOG)
        .union(Flags::NOT_QUEUED),
    complexity: "Depends on the queued commands.",
    run: exec,
    ..BASE
};

/// All commands run at the same time and without anything in between; an error of one does not keep the next one from
/// running.
fn exec(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.client().transaction.is_none() {
        return Err(Error::Text("ERR EXEC without MULTI"));
    }
    let spoiled = has_spoiled_watch(cx);
    let Some(transaction) = discard_all(cx) else { return Ok(()) };
    if transaction.failed {
        return Err(Error::Text("EXECABORT Transaction discarded because of previous errors."));
    }
    if spoiled {
        cx.out.null_array();
        return Ok(());
    }
    let mut replies = std::mem::take(cx.out);
    cx.state.effects.begin_group();
    replies.array(transaction.queued.len());
    for (id, argv) in &transaction.queued {
        cx.call(*id, argv.as_argv(), &mut replies);
    }
    cx.state.effects.end_group();
    cx.no_effect();
    *cx.out = replies;
    Ok(())
}

/// Whether a watched key has changed. One that has expired meanwhile has.
fn has_spoiled_watch(cx: &mut Ctx<'_>) -> bool {
    let watched = std::mem::take(&mut cx.client().watched);
    for (db, key) in &watched {
        let key = cx.keyspace.key(key);
        cx.keyspace.peek(*db, key);
    }
    note_changes(cx);
    let client: &mut Client = cx.client();
    client.watched = watched;
    client.flags.contains(ClientFlags::SPOILED)
}

/// Notes what has expired before a watch is looked at, or begins.
fn note_changes(cx: &mut Ctx<'_>) {
    let running = cx.client().id;
    cx.state.note_changes(cx.keyspace, cx.links, Some(running));
}

const WATCH: Row = Row {
    name: "watch",
    summary: "Lets the next transaction run only if keys do not change until then.",
    since: "2.2.0",
    arity: -2,
    flags: BASE.flags.union(Flags::NOT_QUEUED),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO)],
    syntax: "key...",
    complexity: "O(log N) for every key, N being the number of watched keys.",
    run: watch,
    ..BASE
};

fn watch(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.client().transaction.is_some() {
        return Err(Error::Text("ERR WATCH inside MULTI is not allowed"));
    }
    if cx.client().flags.contains(ClientFlags::SPOILED) {
        // The transaction is not going to run anyway.
        cx.out.ok();
        return Ok(());
    }
    let db = cx.db;
    for key in cx.argv.skip(1).iter() {
        // Looking removes a key that has expired, which is nobody's change any more once it is noted.
        let hashed = cx.keyspace.key(key);
        let exists = cx.keyspace.peek(db, hashed).is_some();
        note_changes(cx);
        let client = cx.state.clients.at(cx.client);
        if client.watched.iter().any(|(d, k)| *d == db && **k == *key) {
            continue;
        }
        client.watched.push((db, key.into()));
        cx.state.watches.add(cx.client as u32, db, key, exists);
        cx.keyspace.set_recording(true);
    }
    cx.out.ok();
    Ok(())
}

const UNWATCH: Row = Row {
    name: "unwatch",
    summary: "Forgets all watched keys.",
    since: "2.2.0",
    arity: 1,
    complexity: "O(N log M), N being the keys that the client watches, M those that all clients watch.",
    run: unwatch,
    ..BASE
};

fn unwatch(cx: &mut Ctx<'_>) -> Result<(), Error> {
    unwatch_all(cx);
    cx.out.ok();
    Ok(())
}
