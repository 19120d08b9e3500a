//! The one way to execute a command: look it up, check it, run it, account for it.

use carnelian_config::{Config, Directive, LoadError, ShutdownFlags};
use carnelian_keyspace::{Cause, Change, Key, Keyspace};
use carnelian_resp::{Argv, Batch, Limits, ProtocolError, ReplyBuf};

use crate::args;
use crate::blocking::Blocking;
use crate::client::{Client, ClientFlags, Clients};
use crate::commandlog::{self, CommandLogs};
use crate::context::Ctx;
use crate::effects::Effects;
use crate::error::Error;
use crate::links::{ClientId, Close, Links};
use crate::monitor;
use crate::notifications;
use crate::pause::Pauses;
use crate::persistence::loading::{self, Target};
use crate::persistence::{Gate, Persistence, Storage};
use crate::pubsub::{self, PubSub};
use crate::row::{Flags, Group, Row};
use crate::scripting::Scripting;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::table::{CommandId, Found, Table};
use crate::tracking::{Post, Tracking};
use crate::transaction;
use crate::watches::Watches;

pub(crate) mod replay;
pub(crate) mod scripts;
pub(crate) mod waiting;

pub use scripts::Beside;

/// The version of Redis whose behaviour clients may assume.
pub(crate) const REDIS_VERSION: &str = carnelian_config::COMPATIBLE_VERSION;

/// Commands of a batch whose table entries are prefetched before the first of them runs.
const WINDOW: usize = 16;

/// Expired keys removed between two looks at the clock.
const EXPIRE_SLICE: usize = 64;

/// Nanoseconds that removing expired keys may take per turn of the loop.
const EXPIRE_BUDGET_NS: u64 = 500_000;

/// Milliseconds between two rounds of periodic work.
const CRON_MS: u64 = 100;

/// Milliseconds between two pages of sparse memory that are emptied, which takes up to half of one each.
const COMPACT_MS: u64 = 4;

/// The password that unauthenticated clients must give, unless it is empty.
pub(crate) const REQUIREPASS: Directive = Directive::named("requirepass");
const DATABASES: Directive = Directive::named("databases");
const MAX_BULK: Directive = Directive::named("proto-max-bulk-len");

/// What happens to a connection after a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It goes on.
    Continue,
    /// It ends when its output is written.
    CloseAfterReply,
    /// It ends at once.
    CloseNow,
    /// Its remaining commands, the one that was to run included, wait for [`Links::resume`].
    Pause,
    /// Its last command has run and waits for something, and the commands after it for [`Links::resume`].
    Wait,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchOutcome {
    /// Commands executed, from the first on.
    pub executed: usize,
    /// What happens to the connection.
    pub next: Next,
}

/// What an [`Engine`] starts with.
pub struct Options {
    /// Values of all directives.
    pub config: Config,
    /// Secret seed of the keyspace's hashes.
    pub hash_seed: (u64, u64),
    /// Seed of all random choices.
    pub random_seed: u64,
    /// Unix time in microseconds.
    pub now_us: u64,
    /// Where the dataset is kept.
    pub storage: Storage,
}

/// Everything commands work on.
pub struct Engine {
    keyspace: Keyspace,
    state: State,
}

/// What the engine owns besides the keyspace.
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) clients: Clients,
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) stats: Stats,
    pub(crate) pauses: Pauses,
    pub(crate) blocking: Blocking,
    pub(crate) watches: Watches,
    pub(crate) scripting: Scripting,
    pub(crate) effects: Effects,
    pub(crate) pubsub: PubSub,
    pub(crate) persistence: Persistence,
    /// What keeps commands from running.
    pub(crate) gate: Gate,
    pub(crate) tracking: Tracking,
    /// Clients that see every command.
    pub(crate) monitors: Vec<ClientId>,
    /// The latest slow and large commands.
    pub(crate) command_logs: CommandLogs,
    /// Arguments of the running command that must not be shown to others.
    pub(crate) redacted: Vec<usize>,
    /// When the engine began: Unix time in microseconds.
    pub(crate) started_us: u64,
    /// Bytes the allocator had handed out when the first turn began.
    pub(crate) startup_memory: u64,
    /// The turn's clock readings: monotonic nanoseconds and Unix microseconds.
    turn: (u64, u64),
    /// When the previous command ended.
    last_ns: u64,
    /// Unix time of the next round of periodic work, in milliseconds.
    next_cron_ms: u64,
    /// Unix time of the next look for sparse memory, in milliseconds.
    next_compact_ms: u64,
    /// Whether reads of the keyspace count as accesses at present.
    pub(crate) touch: bool,
    /// Whether checksums of payloads are not compared: for tests of damage.
    pub(crate) skip_checksums: bool,
    /// Whether scripts may execute commands that are not for them: for tests of such.
    pub(crate) scripts_unbound: bool,
}

/// A command of a batch, looked up.
#[derive(Clone, Copy)]
struct Prepared<'a> {
    argv: Argv<'a>,
    found: Found,
    key: Option<Key<'a>>,
}

/// A command that is to run.
struct Call<'a> {
    argv: Argv<'a>,
    key: Option<Key<'a>>,
    slot: usize,
    id: CommandId,
    /// Unix time in microseconds, as the command sees it.
    now_us: u64,
    may_block: bool,
    /// Whether anybody wants to know how long it takes.
    timed: bool,
}

/// A command that has run.
struct Ran<'a> {
    argv: Argv<'a>,
    row: &'static Row,
    db: usize,
    /// When it began: Unix time in microseconds.
    now_us: u64,
    nanos: u64,
    /// Bytes of its reply.
    reply: usize,
    /// Whether that is an error.
    failed: bool,
}

/// Runs a command and measures it: the only place where handlers are called.
#[inline]
fn call_handler<'a>(
    keyspace: &mut Keyspace,
    state: &mut State,
    links: &mut dyn Links,
    call: &Call<'a>,
    out: &mut ReplyBuf,
) -> Ran<'a> {
    let began = state.last_ns;
    let db = state.clients.at(call.slot).db;
    let row = state.table.command(call.id).row;
    let (mark, pending) = (out.mark(), out.len());
    let dirty = keyspace.stats().dirty;
    let mut cx = Ctx {
        argv: call.argv,
        out: &mut *out,
        keyspace: &mut *keyspace,
        db,
        now_us: call.now_us,
        client: call.slot,
        command: call.id,
        state,
        links,
        first_key: call.key,
        may_block: call.may_block,
    };
    let result = (row.run)(&mut cx);
    if let Err(error) = &result {
        let text = error.reply();
        out.truncate(mark);
        out.error(&text);
        if !matches!(error, Error::Counted(_)) {
            state.stats.count_error(&text);
        }
    }
    if state.effects.is_on() {
        let changed = keyspace.stats().dirty != dirty;
        state.effects.finish(keyspace, changed, db, call.argv);
        state.note_logged(call.slot);
    }
    if keyspace.is_recording() {
        state.track(keyspace, links, (row, call.argv), call.slot);
    }
    if keyspace.has_events() {
        notifications::publish(keyspace, state, links);
    }
    if call.timed {
        state.last_ns = links.clock_ns();
    }
    Ran {
        argv: call.argv,
        row,
        db,
        now_us: call.now_us,
        nanos: state.last_ns.saturating_sub(began),
        reply: out.len() - pending,
        failed: result.is_err(),
    }
}

impl State {
    /// Shows a command that has run, or waits, to monitoring clients.
    #[inline]
    fn show(&mut self, links: &mut dyn Links, slot: usize, ran: &Ran<'_>, out: &mut ReplyBuf) {
        if !self.monitors.is_empty() && monitor::shows(ran.row) {
            let line = monitor::line(self, links, slot, ran.db, ran.now_us, ran.argv);
            monitor::send(self, links, slot, &line, out);
        }
    }

    /// Takes note of a command that is done if it was slow or large.
    #[inline]
    fn log(&mut self, links: &mut dyn Links, slot: usize, ran: &Ran<'_>) {
        let request = commandlog::request_bound(ran.argv);
        if self.settings.log_thresholds.may_log(ran.nanos, request, ran.reply)
            && !ran.row.flags.contains(Flags::SKIP_SLOWLOG)
        {
            commandlog::log(self, links, slot, ran.argv, ran.now_us / 1_000_000, (ran.nanos, ran.reply));
        }
    }

    /// Counts a command that is done.
    #[inline]
    fn account(&mut self, links: &mut dyn Links, call: &Call<'_>, ran: &Ran<'_>) {
        self.stats.count_call(call.id, ran.nanos, ran.failed, self.settings.latency_tracking);
        self.log(links, call.slot, ran);
        self.redacted.clear();
    }

    fn connected(&mut self, id: ClientId, unix_socket: bool) {
        let mut client = Client::new(id, self.turn.1 / 1000);
        client.authenticated = !self.auth_required();
        client.flags.set(ClientFlags::UNIX_SOCKET, unix_socket);
        self.clients.insert(client);
    }

    pub(crate) fn disconnected(&mut self, id: ClientId) {
        if let Some(mut client) = self.clients.remove(id) {
            self.tracking.forget(&mut client);
            self.watches.forget(id.slot, &client.watched);
            if let Some(subscriptions) = client.subscriptions {
                self.pubsub.forget(id.slot, *subscriptions);
            }
        }
        self.monitors.retain(|other| *other != id);
        self.pauses.forget(id);
        self.blocking.leave(id);
        self.persistence.aof.forget(id);
    }

    fn limits(&self, id: ClientId) -> Limits {
        let trusted = self.clients.get(id).is_some_and(|client| client.authenticated);
        if trusted || !self.auth_required() {
            let max_bulk = self.config.size(MAX_BULK);
            Limits { max_bulk: usize::try_from(max_bulk).unwrap_or(usize::MAX), ..Limits::default() }
        } else {
            Limits::UNAUTHENTICATED
        }
    }

    fn protocol_error(&mut self, id: ClientId, error: &ProtocolError) {
        log::debug!("Protocol error from client id={}: {error}", id.serial);
        self.stats.count_error(b"ERR");
    }

    /// Replies an error for a command that does not run.
    #[cold]
    fn refuse(&mut self, prepared: &Prepared<'_>, error: &Error, out: &mut ReplyBuf) -> Next {
        let name = prepared.argv.arg(0);
        if prepared.found == Found::Unknown && (args::is(name, "post") || args::is(name, "host:")) {
            log::warn!(
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to this \
                 server, likely to get a browser to run commands on it. Connection closed."
            );
            return Next::CloseNow;
        }
        let text = error.reply();
        self.stats.count_error(&text);
        out.error(&text);
        Next::Continue
    }

    /// Whether clients have to authenticate.
    pub(crate) fn auth_required(&self) -> bool {
        !self.config.text(REQUIREPASS).is_empty()
    }

    #[inline]
    fn prepare<'a>(&self, keyspace: &Keyspace, argv: Argv<'a>) -> Prepared<'a> {
        let found = self.find(argv);
        Prepared { argv, found, key: self.first_key(keyspace, found, argv) }
    }

    #[inline]
    fn find(&self, argv: Argv<'_>) -> Found {
        self.table.find(argv.arg(0), argv.get(1))
    }

    /// The first key, hashed, if its place does not depend on other arguments.
    #[inline]
    fn first_key<'a>(&self, keyspace: &Keyspace, found: Found, argv: Argv<'a>) -> Option<Key<'a>> {
        let Found::Command(id) = found else { return None };
        match self.table.command(id).first_key {
            0 => None,
            index => argv.get(index).map(|bytes| keyspace.key(bytes)),
        }
    }

    /// The command to execute, or why it is refused.
    #[inline]
    fn admit(&mut self, slot: usize, prepared: &Prepared<'_>) -> Result<CommandId, Error> {
        let argv = prepared.argv;
        let id = match prepared.found {
            Found::Command(id) => id,
            Found::Container(id) if argv.len() > 1 => {
                return Err(Error::unknown_subcommand(self.table.name(id), argv));
            }
            Found::Container(id) => return Err(self.reject(id, Error::Arity(self.table.name(id).into()))),
            Found::Unknown => return Err(Error::unknown_command(argv)),
        };
        let row = self.table.command(id).row;
        if !row.accepts(argv.len()) {
            return Err(self.reject(id, Error::Arity(self.table.name(id).into())));
        }
        if !self.clients.at(slot).authenticated && !row.flags.contains(Flags::NO_AUTH) && self.auth_required()
        {
            return Err(self.reject(id, Error::NoAuth));
        }
        if row.flags.contains(Flags::NO_MULTI) && self.clients.get_at(slot).transaction.is_some() {
            return Err(self.reject(id, Error::Text("ERR Command not allowed inside a transaction")));
        }
        if self.gate.is_closed() {
            self.pass_gate(slot, id).map_err(|error| self.reject(id, error))?;
        }
        if pubsub::is_confined(self.clients.get_at(slot)) && !pubsub::is_allowed_to_subscribers(row) {
            return Err(self.reject(id, Error::subscriber(self.table.name(id))));
        }
        Ok(id)
    }

    fn reject(&mut self, id: CommandId, error: Error) -> Error {
        self.stats.commands[id].rejected += 1;
        error
    }

    /// Whether a command has to wait: for the end of a CLIENT PAUSE, or for the log. Messages are not logged.
    fn is_paused(&self, slot: usize, id: CommandId, argv: Argv<'_>) -> bool {
        self.pauses.is_on() && self.pauses.holds(self.may_replicate(slot, id, argv))
            || self.persistence.aof.full
                && self.table.command(id).row.group != Group::Pubsub
                && self.may_replicate(slot, id, argv)
    }

    /// Whether a command may change the dataset. EXEC may if a command of its transaction may.
    pub(crate) fn may_write(&self, slot: usize, id: CommandId) -> bool {
        let writes = |id: CommandId| self.table.command(id).row.flags.contains(Flags::WRITE);
        writes(id)
            || self.table.command(id).row.flags.contains(Flags::NOT_QUEUED)
                && transaction::is_exec(self.table.command(id).row)
                && self.clients.get_at(slot).transaction.as_ref().is_some_and(|t| t.commands().any(writes))
    }

    /// Whether a command may have effects that replicas would have to hear of. Scripts may say that they have none.
    fn may_replicate(&self, slot: usize, id: CommandId, argv: Argv<'_>) -> bool {
        let row = self.table.command(id).row;
        if let Some(writes) = self.scripting.declares_writes(row, argv) {
            return writes;
        }
        if row.flags.contains(Flags::MAY_REPLICATE) {
            return true;
        }
        if transaction::is_exec(row) {
            let transaction = self.clients.get_at(slot).transaction.as_ref();
            return transaction
                .is_some_and(|t| t.queued().any(|(id, argv)| self.may_replicate(slot, id, argv)));
        }
        row.flags.contains(Flags::WRITE)
    }

    /// Whether a command becomes part of a transaction instead of running.
    #[inline]
    fn is_queued(&self, slot: usize, id: CommandId) -> bool {
        self.clients.get_at(slot).transaction.is_some()
            && !self.table.command(id).row.flags.contains(Flags::NOT_QUEUED)
    }

    fn queue(&mut self, slot: usize, id: CommandId, argv: Argv<'_>) {
        let client = self.clients.at(slot);
        client.last_command = Some(id as u16);
        client.flags -= ClientFlags::PAUSED;
        // What is going to be discarded anyway is not kept.
        let spoiled = client.flags.contains(ClientFlags::SPOILED);
        if let Some(transaction) = client.transaction.as_mut().filter(|one| !spoiled && !one.has_failed()) {
            transaction.queue(id, argv);
        }
    }

    /// A command was refused: if that is part of a transaction, EXEC is going to be refused too. If it is EXEC itself,
    /// that was the end of the transaction, and the error says so.
    fn fail_transaction(&mut self, slot: usize, found: Found, error: Error) -> Error {
        let client = self.clients.at(slot);
        client.last_command = match found {
            Found::Command(id) => Some(id as u16),
            Found::Container(_) | Found::Unknown => None,
        };
        if let Found::Command(id) = found
            && transaction::is_exec(self.table.command(id).row)
        {
            client.transaction = None;
            client.flags -= ClientFlags::SPOILED;
            self.watches.forget(slot as u32, &std::mem::take(&mut client.watched));
            return Error::aborted(&error);
        }
        if let Some(transaction) = &mut client.transaction {
            transaction.fail();
        }
        error
    }

    /// Tells those who wait for keys, watch them or keep copies which ones have changed.
    pub(crate) fn note_changes(
        &mut self,
        keyspace: &mut Keyspace,
        links: &mut dyn Links,
        running: Option<ClientId>,
    ) {
        let State { blocking, watches, tracking, clients, pubsub, .. } = self;
        let mut post = Post { clients, outbox: &mut pubsub.outbox, links };
        let spoil = |clients: &mut Clients, slot| clients.at(slot as usize).flags |= ClientFlags::SPOILED;
        let (mut swaps, mut flushed) = (Vec::new(), false);
        keyspace.drain_changes(&mut |change| match change {
            Change::Key { db, key, cause } => {
                blocking.note(db, key);
                if cause != Cause::Aside {
                    for slot in watches.watchers(db, key) {
                        spoil(post.clients, slot);
                        // The other keys do not matter any more.
                        watches.forget(slot, &std::mem::take(&mut post.clients.at(slot as usize).watched));
                    }
                    tracking.changed(&mut post, key, cause, running);
                }
            }
            Change::Flush { db } => {
                blocking.note_all(db);
                watches.flushed(db, &mut |slot| spoil(post.clients, slot));
                // One command may have emptied several databases.
                if !std::mem::replace(&mut flushed, true) {
                    tracking.flushed(&mut post, running);
                }
            }
            Change::Swap { a, b } => {
                blocking.note_all(a);
                blocking.note_all(b);
                swaps.push((a, b));
            }
        });
        for pair in swaps {
            if !(keyspace.is_empty(pair.0) && keyspace.is_empty(pair.1)) {
                tracking.flushed(&mut post, running);
            }
            let mut exists = |db: usize, key: &[u8]| {
                let key = keyspace.key(key);
                keyspace.peek(db, key).is_some()
            };
            watches.swapped(pair, &mut exists, &mut |slot| spoil(post.clients, slot));
            // Looking has removed what was due already when it came: that is no change for those who had no such key.
            keyspace.drain_changes(&mut |_| {});
        }
    }
}

impl Ctx<'_> {
    /// Runs another command as a part of this one: at the same time, for the same client, without waiting for anything.
    /// The reply is appended to `out`.
    pub(crate) fn call(&mut self, id: CommandId, argv: Argv<'_>, out: &mut ReplyBuf) {
        let key = self.state.first_key(self.keyspace, Found::Command(id), argv);
        let (slot, now_us) = (self.client, self.now_us);
        let call = Call { argv, key, slot, id, now_us, may_block: false, timed: true };
        let ran = call_handler(self.keyspace, self.state, self.links, &call, out);
        self.state.show(self.links, slot, &ran, out);
        self.state.account(self.links, &call, &ran);
        self.db = self.state.clients.at(slot).db;
    }
}

impl Engine {
    /// An engine with empty databases.
    pub fn new(options: Options) -> Self {
        let table = Table::new();
        let mut keyspace = Keyspace::new(carnelian_keyspace::Options {
            databases: options.config.size(DATABASES) as usize,
            hash_seed: options.hash_seed,
            random_seed: options.random_seed,
        });
        keyspace.set_now(options.now_us / 1000);
        let settings = Settings::new(&options.config);
        settings.apply_to(&mut keyspace);
        let mut effects = Effects::default();
        effects.set_removals(settings.removals);
        let state = State {
            clients: Clients::default(),
            stats: Stats::new(table.len()),
            table,
            settings,
            scripting: Scripting::new(&options.config),
            config: options.config,
            pauses: Pauses::default(),
            blocking: Blocking::default(),
            watches: Watches::default(),
            effects,
            pubsub: PubSub::default(),
            persistence: Persistence::new(options.storage, options.now_us / 1_000_000),
            gate: Gate::default(),
            tracking: Tracking::default(),
            monitors: Vec::new(),
            command_logs: CommandLogs::default(),
            redacted: Vec::new(),
            started_us: options.now_us,
            startup_memory: 0,
            // Until the first turn begins no time passes.
            turn: (u64::MAX, options.now_us),
            last_ns: 0,
            next_cron_ms: 0,
            next_compact_ms: 0,
            touch: true,
            skip_checksums: false,
            scripts_unbound: false,
        };
        Engine { keyspace, state }
    }

    /// Renames commands as the `rename-command` lines of the configuration say.
    ///
    /// # Errors
    /// The first line that names no command, or a name that is taken.
    pub fn rename_commands(&mut self) -> Result<(), LoadError> {
        for line in self.state.config.renamed_commands() {
            let name = |i: usize| line.args.get(i).map_or(&b""[..], Vec::as_slice);
            self.state.table.rename(name(0), name(1)).map_err(|reason| line.error(reason))?;
        }
        Ok(())
    }

    /// Begins to load the dataset that is kept, if there is one. It goes on at the end of each turn.
    ///
    /// # Errors
    /// There is one that cannot be loaded. The reason is in the log.
    pub fn load(&mut self, links: &mut dyn Links) -> Result<(), String> {
        self.target(links).begin_at_start().map_err(|reason| {
            log::warn!("{reason}");
            loading::FATAL.to_owned()
        })
    }

    fn target<'a>(&'a mut self, links: &'a mut dyn Links) -> Target<'a> {
        Target { keyspace: &mut self.keyspace, state: &mut self.state, links }
    }

    /// Gets ready to end the process, saving if that is asked for. Whether it may end.
    pub fn prepare_shutdown(&mut self, links: &mut dyn Links, flags: ShutdownFlags) -> bool {
        self.target(links).prepare_shutdown(flags)
    }

    /// Puts everything that is logged on disk: to be called when the process ends.
    pub fn close_log(&mut self, links: &mut dyn Links) {
        self.target(links).close_log();
    }

    /// Whether a dataset is being loaded.
    pub fn is_loading(&self) -> bool {
        self.state.gate.loading
    }

    /// Why the engine stopped the server, if that was because of a fault.
    pub fn failure(&self) -> Option<&str> {
        self.state.persistence.failure.as_deref()
    }

    /// Begins to log the effects of commands, or ends that.
    pub fn log_effects(&mut self, on: bool) {
        self.state.effects.set_on(on, &mut self.keyspace);
    }

    /// The effects since the last call, as a client would send them. `buffer`, which is empty, takes their place.
    pub fn take_effects(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        self.state.effects.note_expired(&mut self.keyspace);
        self.state.effects.take(buffer)
    }

    /// The next effect names its database again, since it is the first one of another file.
    pub fn restart_effects(&mut self) {
        self.state.effects.forget_db();
    }

    /// What runs from now on are effects that were logged, here or by another server, or no longer: deadlines are kept as
    /// they are and nothing expires, whatever the clock says, since what expired then is among the effects.
    pub fn replay_effects(&mut self, on: bool) {
        self.keyspace.hold_deadlines(on);
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// All databases.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// A new turn of the loop begins: what the clocks say, in monotonic nanoseconds and Unix microseconds.
    pub fn turn(&mut self, clock_ns: u64, unix_us: u64) {
        self.state.turn = (clock_ns, unix_us);
        self.state.last_ns = clock_ns;
        self.state.stats.begin_turn();
        self.keyspace.set_now(unix_us / 1000);
    }

    /// A client has connected.
    pub fn connected(&mut self, id: ClientId, unix_socket: bool) {
        self.state.connected(id, unix_socket);
    }

    /// A client is gone.
    pub fn disconnected(&mut self, id: ClientId) {
        self.state.disconnected(id);
    }

    /// How much a client may send at once: less before it has authenticated.
    pub fn limits(&self, id: ClientId) -> Limits {
        self.state.limits(id)
    }

    /// A client has sent what is no command.
    pub fn protocol_error(&mut self, id: ClientId, error: &ProtocolError) {
        self.state.protocol_error(id, error);
    }

    /// Executes the commands of a batch in order, until the connection is to end or to pause. `buf` is the buffer that
    /// was parsed into `batch`.
    pub fn run_batch(
        &mut self,
        links: &mut dyn Links,
        client: ClientId,
        batch: &Batch,
        buf: &[u8],
        out: &mut ReplyBuf,
    ) -> BatchOutcome {
        let logged = self.state.log_end();
        let outcome = self.run_commands(links, client, batch, buf, out);
        self.hold_if_logged(links, client, logged);
        outcome
    }

    /// A client that has changed something since the log ended at `before` is told so when that is on disk, if it has to
    /// be.
    #[inline]
    fn hold_if_logged(&mut self, links: &mut dyn Links, client: ClientId, before: u64) {
        if self.state.persistence.aof.holds && self.state.log_end() > before {
            links.hold(client, self.state.log_end());
        }
    }

    fn run_commands(
        &mut self,
        links: &mut dyn Links,
        client: ClientId,
        batch: &Batch,
        buf: &[u8],
        out: &mut ReplyBuf,
    ) -> BatchOutcome {
        self.state.last_ns = links.clock_ns();
        self.state.pubsub.outbox.set_running(Some(client));
        let slot = client.slot as usize;
        let mut executed = 0;
        while executed < batch.len() {
            let first = self.state.prepare(&self.keyspace, batch.argv(executed, buf));
            if executed + 1 == batch.len() {
                let next = self.call(links, slot, &first, out);
                return BatchOutcome { executed: executed + usize::from(next != Next::Pause), next };
            }
            let mut window = [first; WINDOW];
            let window = &mut window[..WINDOW.min(batch.len() - executed)];
            self.prepare_window(slot, batch, buf, executed, window);
            for prepared in window {
                let next = self.call(links, slot, prepared, out);
                executed += usize::from(next != Next::Pause);
                if next != Next::Continue {
                    return BatchOutcome { executed, next };
                }
            }
        }
        BatchOutcome { executed, next: Next::Continue }
    }

    /// Looks up a run of commands, the first of which is in the window already, and fetches the parts of the table
    /// that they will touch into the cache.
    fn prepare_window<'a>(
        &self,
        slot: usize,
        batch: &'a Batch,
        buf: &'a [u8],
        first: usize,
        window: &mut [Prepared<'a>],
    ) {
        let db = self.state.clients.get_at(slot).db;
        for (i, prepared) in window.iter_mut().enumerate() {
            if i > 0 {
                prepared.argv = batch.argv(first + i, buf);
                prepared.found = self.state.find(prepared.argv);
                prepared.key = self.state.first_key(&self.keyspace, prepared.found, prepared.argv);
            }
            if let Some(key) = prepared.key {
                self.keyspace.prefetch(db, key);
            }
        }
        for prepared in window.iter() {
            if let Some(key) = prepared.key {
                self.keyspace.prefetch_entry(db, key);
            }
        }
        self.prefetch_objects(db, window);
    }

    /// Fetches what collections keep outside of their entries: two more steps, each of which needs what the one before
    /// has fetched.
    fn prefetch_objects(&self, db: usize, window: &[Prepared<'_>]) {
        let mut objects = 0u32;
        for (i, prepared) in window.iter().enumerate() {
            if let (Some(key), Found::Command(id)) = (prepared.key, prepared.found)
                && self.state.table.command(id).row.group.is_collection()
                && self.keyspace.prefetch_object(db, key)
            {
                objects |= 1 << i;
            }
        }
        while objects != 0 {
            if let Some(key) = window[objects.trailing_zeros() as usize].key {
                self.keyspace.prefetch_members(db, key);
            }
            objects &= objects - 1;
        }
    }

    /// Executes one command.
    pub fn execute(
        &mut self,
        links: &mut dyn Links,
        client: ClientId,
        argv: Argv<'_>,
        out: &mut ReplyBuf,
    ) -> Next {
        self.state.last_ns = links.clock_ns();
        self.state.pubsub.outbox.set_running(Some(client));
        let prepared = self.state.prepare(&self.keyspace, argv);
        self.call(links, client.slot as usize, &prepared, out)
    }

    fn call(
        &mut self,
        links: &mut dyn Links,
        slot: usize,
        prepared: &Prepared<'_>,
        out: &mut ReplyBuf,
    ) -> Next {
        let mark = out.mark();
        let next = match self.state.admit(slot, prepared) {
            Ok(id) if self.state.is_paused(slot, id, prepared.argv) => {
                let client = self.state.clients.at(slot);
                client.last_command = Some(id as u16);
                client.flags |= ClientFlags::PAUSED;
                if self.state.persistence.aof.full {
                    self.state.persistence.aof.stalled.push(client.id);
                } else {
                    self.state.pauses.add(client.id);
                }
                return Next::Pause;
            }
            Ok(id) if self.state.is_queued(slot, id) => {
                self.state.queue(slot, id, prepared.argv);
                out.simple("QUEUED");
                Next::Continue
            }
            Ok(id) => self.run(links, slot, id, prepared, out),
            Err(error) => {
                let error = self.state.fail_transaction(slot, prepared.found, error);
                self.state.refuse(prepared, &error, out)
            }
        };
        if next != Next::Wait && !self.state.clients.at(slot).ends_reply() {
            out.truncate(mark);
        }
        if self.keyspace.is_recording() {
            self.settle(links, slot, prepared.found, next);
        }
        if self.state.pubsub.outbox.has_own() {
            self.state.pubsub.outbox.append_own(out);
        }
        next
    }

    /// After a command: what concerns clients that wait for keys, or keep copies.
    #[cold]
    fn settle(&mut self, links: &mut dyn Links, slot: usize, found: Found, next: Next) {
        if next != Next::Wait {
            self.end_tracked(links, slot, found);
        }
        if self.keyspace.has_changes() || self.state.blocking.has_ready() {
            self.serve_waiting(links);
        }
        if self.state.tracking.is_on() {
            self.state.limit_tracking(&mut self.keyspace, links);
        }
    }

    /// Runs a command that has passed all checks.
    #[inline]
    fn run(
        &mut self,
        links: &mut dyn Links,
        slot: usize,
        id: CommandId,
        prepared: &Prepared<'_>,
        out: &mut ReplyBuf,
    ) -> Next {
        let Engine { keyspace, state } = self;
        let now_us = state.turn.1 + state.last_ns.saturating_sub(state.turn.0) / 1000;
        keyspace.set_now(now_us / 1000);
        let client = state.clients.at(slot);
        client.last_command = Some(id as u16);
        client.last_active_ms = now_us / 1000;
        client.commands += u64::from(!state.blocking.is_retry());
        client.flags -= ClientFlags::PAUSED;
        let touch = !client.flags.contains(ClientFlags::NO_TOUCH);
        if touch != state.touch {
            state.touch = touch;
            keyspace.set_touch(touch);
        }
        let call =
            Call { argv: prepared.argv, key: prepared.key, slot, id, now_us, may_block: true, timed: true };
        let mut ran = call_handler(keyspace, state, links, &call, out);
        if !state.blocking.is_retry() {
            state.show(links, slot, &ran, out);
        }
        if let Some(wait) = state.persistence.aof.take_request() {
            state.begin_sync_wait(slot, id, wait, ran.nanos);
            return Next::Wait;
        }
        if let Some(wait) = state.blocking.take_request() {
            self.begin_wait(slot, id, &ran, wait);
            return Next::Wait;
        }
        ran.nanos += state.blocking.spent();
        state.account(links, &call, &ran);
        match state.clients.at(slot).close {
            None => Next::Continue,
            Some(Close::AfterReply) => Next::CloseAfterReply,
            Some(Close::Now) => Next::CloseNow,
        }
    }

    /// The end of a turn: removes what has expired, resumes clients whose pause is over, does periodic work. Returns
    /// the Unix time in milliseconds at which it wants to be called again even if nothing happens.
    pub fn before_sleep(&mut self, links: &mut dyn Links) -> u64 {
        let began = links.clock_ns();
        let wake = self.upkeep(links, began);
        self.state.stats.upkeep_nanos += links.clock_ns().saturating_sub(began);
        wake
    }

    fn upkeep(&mut self, links: &mut dyn Links, began: u64) -> u64 {
        self.state.last_ns = began;
        self.state.pubsub.outbox.set_running(None);
        let now_us = self.state.turn.1 + began.saturating_sub(self.state.turn.0) / 1000;
        let now_ms = now_us / 1000;
        self.keyspace.set_now(now_ms);
        for id in self.state.pauses.end(now_ms) {
            links.resume(id);
        }
        self.keyspace.set_keep_expired(self.state.pauses.is_on());
        self.end_waits(links, now_us);
        if is_due(self.state.next_cron_ms, now_ms) {
            self.state.next_cron_ms = now_ms + CRON_MS;
            self.cron(links, now_ms);
            self.target(links).check_save_points();
            self.target(links).check_log_growth();
            self.state.limit_tracking(&mut self.keyspace, links);
        }
        if is_due(self.state.next_compact_ms, now_ms) {
            let found = self.keyspace.compact();
            // An idle server wakes for both at once.
            self.state.next_compact_ms = if found { now_ms + COMPACT_MS } else { self.state.next_cron_ms };
        }
        let mut target = self.target(links);
        let work = if target.state.gate.loading {
            target.load_slice(began).map(|pause| now_ms + pause)
        } else {
            self.expire_due(links, now_ms, began)
        };
        let saving = self.target(links).drive().map(|pause| now_ms + pause);
        if self.keyspace.has_events() {
            notifications::publish(&mut self.keyspace, &mut self.state, links);
        }
        if self.keyspace.has_changes() || self.state.blocking.has_ready() {
            self.serve_waiting(links);
        }
        self.state.broadcast(links);
        let state = &self.state;
        self.keyspace
            .set_recording(!state.blocking.is_empty() || !state.watches.is_empty() || state.tracking.is_on());
        let logging = self.target(links).drive_log(now_us).map(|pause| now_ms + pause);
        let wakes = [self.state.pauses.deadline(), self.state.blocking.deadline_ms(), work, saving, logging];
        let wake = self.state.next_cron_ms.min(self.state.next_compact_ms);
        wakes.into_iter().flatten().fold(wake, u64::min)
    }

    /// Removes keys that have expired, unless there is a pause. Returns when to go on: Unix time in milliseconds.
    fn expire_due(&mut self, links: &mut dyn Links, now_ms: u64, began_ns: u64) -> Option<u64> {
        if self.state.pauses.deadline().is_some() {
            return None;
        }
        let deadline = self.keyspace.next_deadline()?;
        if deadline <= now_ms && self.expire(links, began_ns) {
            return Some(now_ms);
        }
        self.keyspace.next_deadline()
    }

    /// Removes expired keys for a bounded time; whether there are more.
    fn expire(&mut self, links: &mut dyn Links, began_ns: u64) -> bool {
        while self.keyspace.expire_due(EXPIRE_SLICE).more {
            if links.clock_ns().saturating_sub(began_ns) > EXPIRE_BUDGET_NS {
                return true;
            }
        }
        false
    }

    /// Periodic work: peaks and rates.
    fn cron(&mut self, links: &mut dyn Links, now_ms: u64) {
        let memory = links.process().allocated + self.keyspace.memory().used as u64;
        let totals = links.totals();
        let state = &mut self.state;
        if state.startup_memory == 0 {
            state.startup_memory = memory;
        }
        state.stats.note_memory(memory, now_ms);
        state.stats.ops.sample(now_ms, state.stats.processed);
        state.stats.input.sample(now_ms, totals.read);
        state.stats.output.sample(now_ms, totals.written);
        state.stats.turns.sample(now_ms, totals.turns);
        state.stats.busy.sample(now_ms, totals.busy_us);
    }
}

/// Whether periodic work is due: its time has come, or the wall clock was set back.
fn is_due(at_ms: u64, now_ms: u64) -> bool {
    now_ms >= at_ms || at_ms - now_ms > CRON_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Session, check};

    #[test]
    fn unknown_names_are_quoted() {
        let long = "x".repeat(200);
        let shown = "x".repeat(128);
        check(&[
            ("FOO a b", "(error) ERR unknown command 'FOO', with args beginning with: 'a' 'b' "),
            (
                &format!("foo {long} b"),
                &format!("(error) ERR unknown command 'foo', with args beginning with: '{shown}' "),
            ),
            ("CONFIG", "(error) ERR wrong number of arguments for 'config' command"),
            ("CONFIG FOO bar", "(error) ERR unknown subcommand 'FOO'. Try CONFIG HELP."),
            ("CLIENT ID a", "(error) ERR wrong number of arguments for 'client|id' command"),
        ]);
    }

    #[test]
    fn browsers_are_turned_away() {
        let mut session = Session::new();
        assert_eq!(session.step_of(0, "POST /"), (Next::CloseNow, vec![]));
        assert_eq!(session.step_of(0, "Host: a"), (Next::CloseNow, vec![]));
    }

    #[test]
    fn batches_run_in_order() {
        let mut session = Session::new();
        let lines: Vec<String> = (0..100).map(|i| format!("SET k{} {i}", i % 7)).collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.extend(["GET k0", "QUIT", "GET k1"]);
        let (outcome, replies) = session.batch_of(0, &lines);
        assert_eq!(outcome, BatchOutcome { executed: 102, next: Next::CloseAfterReply });
        assert_eq!(replies[100..], ["\"98\"".to_owned(), "OK".to_owned()]);
    }

    #[test]
    fn a_database_selected_in_a_batch_counts_at_once() {
        let mut session = Session::new();
        let (_, replies) =
            session.batch_of(0, &["SET k a", "SELECT 1", "GET k", "SET k b", "SELECT 0", "GET k"]);
        assert_eq!(replies, ["OK", "OK", "(nil)", "OK", "OK", "\"a\""]);
    }

    #[test]
    fn replies_can_be_turned_off() {
        let mut session = Session::new();
        let lines = ["CLIENT REPLY OFF", "PING", "NOSUCH", "CLIENT REPLY SKIP", "CLIENT REPLY ON", "PING"];
        assert_eq!(session.batch_of(0, &lines).1, ["OK", "PONG"]);
        let lines = ["CLIENT REPLY SKIP", "SET k v", "GET k", "CLIENT REPLY SKIP", "GET k", "PING"];
        assert_eq!(session.batch_of(0, &lines).1, ["\"v\"", "PONG"]);
    }

    #[test]
    fn a_pause_holds_commands_back() {
        let mut session = Session::new();
        let other = session.connect();
        assert_eq!(session.run("CLIENT PAUSE 100 WRITE"), "OK");
        assert_eq!(session.run_of(other, "GET k"), "(nil)");
        let (outcome, replies) = session.batch_of(other, &["PING", "SET k v", "PING"]);
        assert_eq!((outcome, replies.len()), (BatchOutcome { executed: 1, next: Next::Pause }, 1));
        session.advance_ms(99);
        assert_eq!(session.outside.resumed, []);
        session.advance_ms(1);
        assert_eq!(session.outside.resumed, [2]);
        assert_eq!(session.run_of(other, "SET k v"), "OK");
        session.run("CLIENT PAUSE 100000 ALL");
        assert_eq!(session.step_of(other, "PING"), (Next::Pause, vec![]));
    }

    #[test]
    fn a_pause_of_writes_holds_back_what_may_be_replicated() {
        let mut session = Session::new();
        session.run("SET k v PX 50");
        session.run("CLIENT PAUSE 100000 WRITE");
        let declared = "EVAL \"#!lua flags=no-writes\\nreturn 1\" 0";
        let refused = "EVAL_RO \"#!lua\\nreturn 1\" 0";
        for line in ["PFCOUNT h", "PUBLISH c x", "SPUBLISH c x", "EVAL \"return 1\" 0", refused, "SET k v"] {
            assert_eq!(session.step_of(0, line), (Next::Pause, vec![]), "{line}");
        }
        for line in [declared, "EVAL_RO \"return 1\" 0", "GET k", "SUBSCRIBE c", "RESET", "PUBSUB NUMPAT"] {
            assert_eq!(session.step_of(0, line).0, Next::Continue, "{line}");
        }
        session.advance_ms(60);
        session.check(&[("GET k", "(nil)"), ("DBSIZE", "(integer) 1"), ("RANDOMKEY", "\"k\"")]);
        session.run("CLIENT UNPAUSE");
        session.advance_ms(0);
        session.check(&[("DBSIZE", "(integer) 0")]);
    }

    #[test]
    fn periodic_work_goes_on_before_the_first_turn_and_when_the_clock_is_set_back() {
        let mut outside = crate::testing::Outside::at(5_000_000_000_000_000);
        let now_us = crate::testing::START_MS * 1000;
        let mut engine = Engine::new(Options {
            config: Config::new(),
            hash_seed: (1, 2),
            random_seed: 3,
            now_us,
            storage: Storage::none(),
        });
        assert_eq!(engine.before_sleep(&mut outside), now_us / 1000 + CRON_MS);
        engine.turn(5_000_000_000_000_000, now_us - 3_600_000_000);
        assert_eq!(engine.before_sleep(&mut outside), now_us / 1000 - 3_600_000 + CRON_MS);
    }

    #[test]
    fn expired_keys_go_on_time() {
        let mut session = Session::new();
        session.check(&[("SET a 1 PX 50", "OK"), ("SET b 1 PX 10000", "OK"), ("DBSIZE", "(integer) 2")]);
        let wake = session.engine.before_sleep(&mut session.outside);
        assert!(wake <= crate::testing::START_MS + 50, "{wake}");
        session.advance_ms(51);
        session.check(&[("DBSIZE", "(integer) 1"), ("TTL b", "(integer) 10")]);
    }

    #[test]
    fn errors_and_calls_are_counted() {
        let mut session = Session::new();
        for line in ["GET a", "GET", "SET k v EX x", "NOSUCH"] {
            session.run(line);
        }
        let info = session.run("INFO commandstats errorstats");
        assert!(
            info.contains("cmdstat_get:calls=1,") && info.contains("rejected_calls=1,failed_calls=0"),
            "{info}"
        );
        assert!(
            info.contains("cmdstat_set:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1")
        );
        assert!(info.contains("errorstat_ERR:count=3"), "{info}");
        assert_eq!(session.run("CONFIG RESETSTAT"), "OK");
        assert!(!session.run("INFO errorstats").contains("errorstat_ERR"));
    }

    #[test]
    fn monitors_see_commands() {
        let mut session = Session::with(&[("requirepass", "pw")]);
        let watcher = session.connect();
        assert_eq!(session.run_of(watcher, "AUTH pw"), "OK");
        assert_eq!(session.run_of(watcher, "MONITOR"), "OK");
        session.check(&[("AUTH pw", "OK"), ("SET k \"a\\n\"", "OK")]);
        session.run("CONFIG GET port");
        let lines: Vec<&str> = session.outside.sent.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(
            lines,
            [
                "+1700000000.000000 [0 127.0.0.1:40000] \"AUTH\" \"(redacted)\"\r\n",
                "+1700000000.000000 [0 127.0.0.1:40000] \"SET\" \"k\" \"a\\n\"\r\n",
            ]
        );
        session.disconnect(watcher);
        session.run("PING");
        assert_eq!(session.outside.sent.len(), 2);
    }

    #[test]
    fn strangers_may_send_little() {
        let session = Session::with(&[("requirepass", "pw")]);
        let id = ClientId { slot: 0, serial: 1 };
        assert_eq!(session.engine.limits(id), Limits::UNAUTHENTICATED);
        assert_eq!(Session::new().engine.limits(id), Limits::default());
    }
}
