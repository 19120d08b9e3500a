//! Commands for an engine in process, as a person would type them, and its replies as redis-cli shows them.

use carnelian_commands::{
    ClientId, Close, Engine, Identity, LinkInfo, Links, NetTotals, Next, Options, ProcessStats, Storage,
};
use carnelian_config::{Change, Config, Directive};
use carnelian_resp::{Batch, Decoder, Limits, ReplyBuf, RequestParser};

/// The time at which every script begins: Unix microseconds.
const START_US: u64 = 1_700_000_000_000_000;
const CLIENT: ClientId = ClientId { slot: 0, serial: 1 };

/// An engine with one client, and a clock that stands still.
struct Session {
    engine: Engine,
    links: NoLinks,
    out: ReplyBuf,
}

impl Session {
    fn new() -> Self {
        let mut engine = Engine::new(Options {
            config: Config::new(),
            hash_seed: (1, 2),
            random_seed: 3,
            now_us: START_US,
            storage: Storage::none(),
        });
        engine.connected(CLIENT, false);
        Session { engine, links: NoLinks::default(), out: ReplyBuf::new() }
    }

    /// Executes a line and returns the reply.
    fn run(&mut self, line: &str) -> String {
        let line = format!("{line}\r\n");
        let mut batch = Batch::new();
        RequestParser::new()
            .parse(line.as_bytes(), 1, &Limits::default(), &mut batch)
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let next =
            self.engine.execute(&mut self.links, CLIENT, batch.argv(0, line.as_bytes()), &mut self.out);
        assert_eq!(next, Next::Continue, "{line}");
        let mut decoder = Decoder::new();
        self.out.chunks().for_each(|chunk| decoder.feed(chunk));
        self.out.clear();
        let reply = decoder.decode().expect("replies are valid").expect("replies are complete");
        assert!(!decoder.is_partial(), "{line}: more than one reply");
        reply.to_string()
    }
}

/// Runs commands, given as lines with quotes and escapes as redis-cli reads them, against an empty engine, and compares
/// each reply.
pub(crate) fn check(steps: &[(&str, &str)]) {
    let mut session = Session::new();
    for (i, (line, expected)) in steps.iter().enumerate() {
        let reply = session.run(line);
        assert_eq!(reply, *expected, "step {i}: {line}");
    }
}

/// No outside: nothing is connected, and no time passes.
#[derive(Default)]
struct NoLinks {
    identity: Identity,
}

impl Links for NoLinks {
    fn clock_ns(&mut self) -> u64 {
        0
    }

    fn cpu_ns(&mut self) -> u64 {
        0
    }

    fn close(&mut self, _: ClientId, _: Close) {}

    fn send(&mut self, _: ClientId, _: &mut dyn FnMut(&mut ReplyBuf)) {}

    fn resume(&mut self, _: ClientId) {}

    fn set_subscriber(&mut self, _: ClientId, _: bool) {}
    fn is_open(&mut self, _: ClientId) -> bool {
        true
    }

    fn info(&mut self, _: ClientId) -> Option<LinkInfo> {
        None
    }

    fn totals(&mut self) -> NetTotals {
        NetTotals::default()
    }

    fn reset_totals(&mut self) {}

    fn process(&mut self) -> ProcessStats {
        ProcessStats::default()
    }

    fn identity(&mut self) -> &Identity {
        &self.identity
    }

    fn apply(&mut self, _: &[Change], _: &Config) -> Result<(), (Directive, String)> {
        Ok(())
    }

    fn rewrite_config(&mut self, _: &Config) -> Result<(), String> {
        Ok(())
    }

    fn purge_memory(&mut self) {}

    fn stop(&mut self) {}

    fn sleep(&mut self, _: u64) {}
}
