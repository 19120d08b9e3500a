//! SET and GET through the engine, from the bytes of a request to those of its reply, without a network: what a
//! pipeline costs the server above its system calls.

use std::time::{Duration, Instant};

use carnelian_commands::{
    ClientId, Close, Engine, Identity, LinkInfo, Links, NetTotals, Options, ProcessStats, Storage,
};
use carnelian_config::{Change, Config, Directive};
use carnelian_resp::{Batch, Limits, OwnedArgv, ReplyBuf, RequestParser};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const KEYS: u64 = 1_000_000;
const CLIENT: ClientId = ClientId { slot: 0, serial: 1 };
const NOW_US: u64 = 1_700_000_000_000_000;

/// An outside in which nothing happens but time.
struct Nowhere {
    began: Instant,
    identity: Identity,
}

impl Links for Nowhere {
    fn clock_ns(&mut self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn cpu_ns(&mut self) -> u64 {
        0
    }

    fn close(&mut self, _: ClientId, _: Close) {}

    fn send(&mut self, _: ClientId, _: &mut dyn FnMut(&mut ReplyBuf)) {}

    fn set_subscriber(&mut self, _: ClientId, _: bool) {}

    fn resume(&mut self, _: ClientId) {}

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

/// An engine with one client.
struct Bench {
    engine: Engine,
    links: Nowhere,
    batch: Batch,
    out: ReplyBuf,
}

impl Bench {
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine asks for the time, and that is part of what a command costs"
    )]
    fn new() -> Self {
        let config = Config::new();
        let options =
            Options { config, hash_seed: (1, 2), random_seed: 3, now_us: NOW_US, storage: Storage::none() };
        let mut engine = Engine::new(options);
        engine.connected(CLIENT, false);
        let links = Nowhere { began: Instant::now(), identity: Identity::default() };
        Bench { engine, links, batch: Batch::new(), out: ReplyBuf::new() }
    }

    /// What the server does between reading from a connection and writing to it. Returns the length of the replies.
    fn turn(&mut self, input: &[u8]) -> usize {
        self.out.clear();
        self.batch.clear();
        let now = self.links.clock_ns();
        self.engine.turn(now, NOW_US + now / 1000);
        let (mut parser, limits) = (RequestParser::new(), Limits::default());
        parser.parse(input, usize::MAX, &limits, &mut self.batch).expect("the input is well-formed");
        let outcome = self.engine.run_batch(&mut self.links, CLIENT, &self.batch, input, &mut self.out);
        assert_eq!(outcome.executed, self.batch.len());
        self.out.len()
    }
}

fn key(number: u64) -> String {
    format!("key:{number:012}")
}

/// Pipelines of `count` commands over all keys, in an order that defeats the caches.
fn pipelines(count: u64, arguments: impl Fn(&str) -> Vec<String>) -> Vec<Vec<u8>> {
    let request = |number: u64| {
        let arguments = arguments(&key(number * 618_033 % KEYS));
        let slices: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
        OwnedArgv::from_slices(&slices).as_argv().to_request()
    };
    (0..KEYS / count).map(|i| (i * count..(i + 1) * count).flat_map(request).collect()).collect()
}

fn engine(criterion: &mut Criterion) {
    let set = |key: &str| vec!["SET".to_owned(), key.to_owned(), "v".repeat(32)];
    let get = |key: &str| vec!["GET".to_owned(), key.to_owned()];
    let mut bench = Bench::new();
    for input in pipelines(1000, set) {
        assert_eq!(bench.turn(&input), 1000 * b"+OK\r\n".len());
    }
    let mut group = criterion.benchmark_group(format!("engine, {KEYS} keys"));
    for count in [1, 16, 100] {
        for (name, inputs) in [("set", pipelines(count, set)), ("get", pipelines(count, get))] {
            let mut inputs = inputs.iter().cycle();
            group.throughput(Throughput::Elements(count));
            group.bench_function(format!("{name} x{count}"), |bencher| {
                bencher.iter(|| bench.turn(inputs.next().expect("a cycle does not end")));
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = engine
}
criterion_main!(benches);
