//! An engine in process for unit tests: several clients, a clock that moves when told, and an outside that only takes
//! notes. Commands are typed and replies are shown as redis-cli does.

use std::net::SocketAddr;
use std::sync::Arc;

use carnelian_config::{Change, Config, Directive};
use carnelian_persistence::disk::FaultyDisk;
use carnelian_resp::{Batch, Decoder, Limits, Protocol, ReplyBuf, RequestParser, Value};

use crate::engine::{BatchOutcome, Engine, Next, Options};
use crate::links::{Address, ClientId, Close, Identity, LinkInfo, Links, NetTotals, ProcessStats};
use crate::persistence::Storage;

/// When every session begins: Unix milliseconds.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// An engine and its clients.
pub(crate) struct Session {
    pub(crate) engine: Engine,
    pub(crate) outside: Outside,
    clients: Vec<(ClientId, ReplyBuf)>,
    start_ms: u64,
}

/// The seeds and the time that a session begins with.
pub(crate) struct Origin {
    pub(crate) hash_seed: (u64, u64),
    pub(crate) random_seed: u64,
    pub(crate) start_ms: u64,
}

impl Default for Origin {
    fn default() -> Self {
        Origin { hash_seed: (1, 2), random_seed: 3, start_ms: START_MS }
    }
}

/// What the engine asked of the outside.
#[derive(Default)]
pub(crate) struct Outside {
    now_ns: u64,
    identity: Identity,
    pub(crate) closed: Vec<(u64, Close)>,
    pub(crate) resumed: Vec<u64>,
    pub(crate) sent: Vec<(u64, String)>,
    pub(crate) subscribers: Vec<u64>,
    pub(crate) applied: Vec<String>,
    /// The directive whose application fails.
    pub(crate) refuses: Option<Directive>,
    pub(crate) stopped: bool,
    pub(crate) slept_us: u64,
    /// How far the log has to be for the latest reply that is held, and for those that are not held any more.
    pub(crate) held: u64,
    pub(crate) released: u64,
}

impl Session {
    /// Default configuration, one client.
    pub(crate) fn new() -> Session {
        Session::with(&[])
    }

    /// Some directives set, one client.
    pub(crate) fn with(directives: &[(&str, &str)]) -> Session {
        Session::of(directives, &Origin::default())
    }

    /// The same, on a disk that may hold a dataset.
    pub(crate) fn with_storage(directives: &[(&str, &str)], disk: &FaultyDisk) -> Session {
        Session::begin(directives, &Origin::default(), disk)
    }

    /// Some directives set, one client, and seeds and a clock of its own.
    pub(crate) fn of(directives: &[(&str, &str)], origin: &Origin) -> Session {
        Session::begin(directives, origin, &FaultyDisk::new(0))
    }

    fn begin(directives: &[(&str, &str)], origin: &Origin, disk: &FaultyDisk) -> Session {
        let mut config = Config::new();
        for (name, value) in directives {
            let directive = Directive::find(name.as_bytes()).expect("the directive exists");
            let words: Vec<&[u8]> = value.split(' ').map(str::as_bytes).collect();
            config.assign(directive, &words).expect("the value is valid");
        }
        let &Origin { hash_seed, random_seed, start_ms } = origin;
        let now_us = start_ms * 1000;
        let storage = Storage { disk: Arc::new(disk.mounted()), wake: Arc::new(|| {}) };
        let engine = Engine::new(Options { config, hash_seed, random_seed, now_us, storage });
        let mut session = Session { engine, outside: Outside::default(), clients: Vec::new(), start_ms };
        session.advance_ms(0);
        session.connect();
        session
    }

    /// Begins to load what is on the disk.
    pub(crate) fn load(&mut self) -> Result<(), String> {
        self.engine.load(&mut self.outside)
    }

    /// Adds a client and returns its index.
    pub(crate) fn connect(&mut self) -> usize {
        let slot = self.clients.len();
        let id = ClientId { slot: slot as u32, serial: slot as u64 + 1 };
        self.engine.connected(id, false);
        self.clients.push((id, ReplyBuf::new()));
        slot
    }

    /// Ends a turn and begins another one, some milliseconds later.
    pub(crate) fn advance_ms(&mut self, ms: u64) {
        self.engine.before_sleep(&mut self.outside);
        self.outside.now_ns += ms * 1_000_000;
        let now_ns = self.outside.now_ns;
        self.engine.turn(now_ns, self.start_ms * 1000 + now_ns / 1000);
        self.engine.before_sleep(&mut self.outside);
    }

    /// Lets time pass in which the engine does nothing, so that nothing expires by itself.
    pub(crate) fn sleep_ms(&mut self, ms: u64) {
        self.outside.now_ns += ms * 1_000_000;
        self.engine.turn(self.outside.now_ns, self.start_ms * 1000 + self.outside.now_ns / 1000);
    }

    /// Unix milliseconds at present.
    pub(crate) fn now_ms(&self) -> u64 {
        self.start_ms + self.outside.now_ns / 1_000_000
    }

    /// Puts the clock somewhere, without a turn's end.
    pub(crate) fn set_clock_ms(&mut self, unix_ms: u64) {
        self.start_ms = unix_ms - self.outside.now_ns / 1_000_000;
        self.sleep_ms(0);
    }

    /// Lines of one client as a batch: what became of it, and all replies.
    pub(crate) fn batch_of(&mut self, client: usize, lines: &[&str]) -> (BatchOutcome, Vec<String>) {
        let input: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.requests_of(client, input.as_bytes())
    }

    /// Requests of one client as it sends them: what became of the batch, and all replies.
    pub(crate) fn requests_of(&mut self, client: usize, input: &[u8]) -> (BatchOutcome, Vec<String>) {
        let (outcome, replies) = self.values_of(client, input);
        (outcome, replies.iter().map(ToString::to_string).collect())
    }

    /// The same, with the replies as values.
    pub(crate) fn values_of(&mut self, client: usize, input: &[u8]) -> (BatchOutcome, Vec<Value>) {
        let mut batch = Batch::new();
        RequestParser::new()
            .parse(input, usize::MAX, &Limits::default(), &mut batch)
            .unwrap_or_else(|error| panic!("{}: {error}", input.escape_ascii()));
        let (id, out) = &mut self.clients[client];
        let outcome = self.engine.run_batch(&mut self.outside, *id, &batch, input, out);
        let mut decoder = Decoder::new();
        out.chunks().for_each(|chunk| decoder.feed(chunk));
        out.clear();
        let mut replies = Vec::new();
        while let Some(reply) = decoder.decode().expect("replies are valid") {
            replies.push(reply);
        }
        assert!(!decoder.is_partial(), "{}: an incomplete reply", input.escape_ascii());
        (outcome, replies)
    }

    /// One line of a client: what happens to its connection, and the replies.
    pub(crate) fn step_of(&mut self, client: usize, line: &str) -> (Next, Vec<String>) {
        let (outcome, replies) = self.batch_of(client, &[line]);
        (outcome.next, replies)
    }

    /// One line of a client, and its only reply.
    pub(crate) fn run_of(&mut self, client: usize, line: &str) -> String {
        let (next, mut replies) = self.step_of(client, line);
        assert_eq!((next, replies.len()), (Next::Continue, 1), "{line}: {replies:?}");
        replies.pop().expect("there is one reply")
    }

    /// One line of the first client, and its only reply.
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.run_of(0, line)
    }

    /// Compares the replies to lines of the first client.
    pub(crate) fn check(&mut self, steps: &[(&str, &str)]) {
        for (line, expected) in steps {
            assert_eq!(self.run(line), *expected, "{line}");
        }
    }

    /// The protocol that replies to a client are in.
    pub(crate) fn protocol_of(&self, client: usize) -> Protocol {
        self.clients[client].1.protocol()
    }

    /// Ends a client's connection.
    pub(crate) fn disconnect(&mut self, client: usize) {
        self.engine.disconnected(self.clients[client].0);
    }
}

/// Runs lines against a new engine and compares the replies.
pub(crate) fn check(steps: &[(&str, &str)]) {
    Session::new().check(steps);
}

impl Outside {
    /// With a monotonic clock that stands there.
    pub(crate) fn at(now_ns: u64) -> Outside {
        Outside { now_ns, ..Outside::default() }
    }
}

impl Links for Outside {
    fn clock_ns(&mut self) -> u64 {
        self.now_ns
    }

    fn cpu_ns(&mut self) -> u64 {
        self.now_ns
    }

    fn close(&mut self, id: ClientId, how: Close) {
        self.closed.push((id.serial, how));
    }

    fn send(&mut self, id: ClientId, write: &mut dyn FnMut(&mut ReplyBuf)) {
        let mut out = ReplyBuf::new();
        write(&mut out);
        self.sent.push((id.serial, String::from_utf8_lossy(&out.to_vec()).into_owned()));
    }

    fn set_subscriber(&mut self, id: ClientId, subscriber: bool) {
        self.subscribers.retain(|serial| *serial != id.serial);
        if subscriber {
            self.subscribers.push(id.serial);
        }
    }

    fn resume(&mut self, id: ClientId) {
        self.resumed.push(id.serial);
    }

    fn is_open(&mut self, id: ClientId) -> bool {
        self.closed.iter().all(|(serial, _)| *serial != id.serial)
    }

    fn info(&mut self, id: ClientId) -> Option<LinkInfo> {
        let port = 40_000 + id.slot as u16;
        Some(LinkInfo {
            peer: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port))),
            local: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 6379))),
            fd: 8 + id.slot as i32,
            query: 0,
            query_free: 0,
            output: 0,
            output_memory: 0,
            read: 0,
            written: 0,
        })
    }

    fn totals(&mut self) -> NetTotals {
        NetTotals::default()
    }

    fn reset_totals(&mut self) {}

    fn process(&mut self) -> ProcessStats {
        ProcessStats { rss: 3 << 20, allocated: 2 << 20, system_memory: 1 << 34, ..ProcessStats::default() }
    }

    fn identity(&mut self) -> &Identity {
        &self.identity
    }

    fn apply(&mut self, changes: &[Change], config: &Config) -> Result<(), (Directive, String)> {
        for change in changes {
            let value = String::from_utf8_lossy(&config.print(change.directive)).into_owned();
            self.applied.push(format!("{}={value}", change.directive.name()));
            if self.refuses == Some(change.directive) {
                self.refuses = None;
                return Err((change.directive, "Unable to apply".to_owned()));
            }
        }
        Ok(())
    }

    fn rewrite_config(&mut self, _: &Config) -> Result<(), String> {
        Ok(())
    }

    fn purge_memory(&mut self) {}

    fn hold(&mut self, _: ClientId, until: u64) {
        self.held = until;
    }

    fn release(&mut self, up_to: u64) {
        self.released = up_to;
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn sleep(&mut self, microseconds: u64) {
        self.slept_us += microseconds;
    }
}
