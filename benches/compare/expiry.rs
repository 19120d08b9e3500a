//! How late keys go that nobody reads, seen by polling DBSIZE: a few that come due one by one among many other volatile
//! keys, and very many that come due in the same second while others read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::OURS;
use crate::client::SizePoller;
use crate::open_loop::{OpenLoop, Plan};
use crate::options::Options;
use crate::server::{Program, Server};
use crate::table::{Latencies, Table, ms, verdict};
use crate::wire::{self, Reply, Template};

/// Keys that come due one by one, and milliseconds between two of them.
const NEAR_KEYS: u64 = 1000;
const NEAR_SPACING_MS: u64 = 10;
/// How long to wait for the last of them.
const NEAR_PATIENCE: Duration = Duration::from_secs(10);
const NEAR_BAR_MS: f64 = 20.0;

/// Keys read while the mass goes; their rate per second.
const READ_KEYS: u64 = 1000;
const READ_RATE: u64 = 10_000;
const READ_BYTES: usize = 32;
/// Reads before the mass comes due, to compare with.
const LEAD: Duration = Duration::from_secs(2);
const MASS_PATIENCE: Duration = Duration::from_secs(30);
/// Milliseconds until all are gone, and of the readers' p99.
const MASS_BARS: (f64, f64) = (3000.0, 3.0);

/// An instant whose Unix time is a whole number of milliseconds.
#[derive(Clone, Copy)]
struct Moment {
    unix_ms: u64,
    instant: Instant,
}

impl Moment {
    fn after(delay: Duration) -> Result<Self> {
        let (instant, unix) = (Instant::now() + delay, SystemTime::now().duration_since(UNIX_EPOCH)? + delay);
        let past = Duration::from_nanos(u64::from(unix.subsec_nanos() % 1_000_000));
        Ok(Moment { unix_ms: unix.as_millis() as u64, instant: instant - past })
    }
}

/// Runs the workload and prints its tables.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut one_by_one = Table::new(["server", "removed", "lag p50", "p99", "max", "bar"]);
    let mut mass =
        Table::new(["server", "all gone after", "bar", "GET p99 before", "GET p99 meanwhile", "max", "bar"]);
    for program in &options.programs {
        one_by_one.row(near(options, program)?);
        mass.row(all_at_once(options, program)?);
    }
    one_by_one.print(&format!(
        "expiry: {NEAR_KEYS} keys due over {} s among {} volatile keys, watched until {NEAR_PATIENCE:?} after the last",
        NEAR_KEYS * NEAR_SPACING_MS / 1000,
        options.keys
    ));
    mass.print(&format!("expiry: {} keys due in the same second, {READ_RATE} GET/s meanwhile", options.keys));
    Ok(())
}

fn near(options: &Options, program: &Program) -> Result<Vec<String>> {
    let server = Server::start(program, options.placement, &[])?;
    let mut client = server.client()?;
    client.load(options.keys, Reply::OK, |number, out| {
        wire::command(out, &[b"SET", &wire::key(number), b"v", b"EX", b"36000"]);
    })?;
    let start = Moment::after(Duration::from_secs(1))?;
    client.load(NEAR_KEYS, Reply::OK, |number, out| {
        let due = (start.unix_ms + number * NEAR_SPACING_MS).to_string();
        wire::command(out, &[b"SET", &wire::key(options.keys + number), b"v", b"PXAT", due.as_bytes()]);
    })?;
    let mut poller = SizePoller::connect(server.port)?;
    let due = |number: u64| start.instant + Duration::from_millis(number * NEAR_SPACING_MS);
    let (mut lags, mut gone) = (Latencies::new(), 0);
    while gone < NEAR_KEYS && Instant::now() < due(NEAR_KEYS) + NEAR_PATIENCE {
        if let Some(size) = poller.poll()? {
            let now = Instant::now();
            while options.keys + NEAR_KEYS - gone > size {
                lags.record(now.saturating_duration_since(due(gone)), 1);
                gone += 1;
            }
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    // A key that is still there counts with the time for which it was watched.
    for number in gone..NEAR_KEYS {
        lags.record(due(NEAR_KEYS) + NEAR_PATIENCE - due(number), 1);
    }
    let p99 = lags.quantile_ms(0.99);
    let figure = |share: f64| {
        let rank = (share * NEAR_KEYS as f64) as u64;
        format!("{}{}", if rank > gone { "> " } else { "" }, ms(lags.quantile_ms(share)))
    };
    let bar =
        if program.name == OURS { format!("p99 in ms {}", verdict(p99, NEAR_BAR_MS)) } else { String::new() };
    Ok(vec![
        program.name.clone(),
        format!("{gone} of {NEAR_KEYS}"),
        figure(0.5),
        figure(0.99),
        figure(1.0),
        bar,
    ])
}

fn all_at_once(options: &Options, program: &Program) -> Result<Vec<String>> {
    let server = Server::start(program, options.placement, &[])?;
    let mut client = server.client()?;
    let set = Template::set(READ_BYTES);
    client.load(READ_KEYS, Reply::OK, |number, out| set.render(options.keys + number, out))?;
    let loading = Duration::from_secs(3) + Duration::from_micros(options.keys * 5);
    let due = Moment::after(loading + LEAD)?;
    client.load(options.keys, Reply::OK, |number, out| {
        let due = (due.unix_ms + number % 1000).to_string();
        wire::command(out, &[b"SET", &wire::key(number), b"v", b"PXAT", due.as_bytes()]);
    })?;
    ensure!(Instant::now() + LEAD <= due.instant, "loading took longer than {loading:?}");
    std::thread::sleep(due.instant - LEAD - Instant::now());

    let get = Template::get(READ_BYTES);
    let plan = Plan { rate: READ_RATE, batch: 1, connections: 10 };
    let mut reads = OpenLoop::start(server.port, plan, u64::MAX, get.reply)?;
    let mut poller = SizePoller::connect(server.port)?;
    let (mut before, mut meanwhile) = (Latencies::new(), Latencies::new());
    let mut gone = None;
    while gone.is_none() && Instant::now() < due.instant + MASS_PATIENCE {
        reads.turn(
            |number, out| get.render(options.keys + number % READ_KEYS, out),
            |done| if done.due < due.instant { &mut before } else { &mut meanwhile }.record(done.latency, 1),
        )?;
        if poller.poll()?.is_some_and(|size| size <= READ_KEYS) {
            gone = Some(due.instant.elapsed());
        }
    }
    let gone_ms = gone.map_or(f64::INFINITY, |time| time.as_secs_f64() * 1e3);
    let p99 = meanwhile.quantile_ms(0.99);
    let judged = |value, bar| if program.name == OURS { verdict(value, bar) } else { String::new() };
    Ok(vec![
        program.name.clone(),
        gone.map_or(format!("not within {MASS_PATIENCE:?}"), |_| ms(gone_ms)),
        judged(gone_ms, MASS_BARS.0),
        ms(before.quantile_ms(0.99)),
        ms(p99),
        ms(meanwhile.quantile_ms(1.0)),
        judged(p99, MASS_BARS.1),
    ])
}
