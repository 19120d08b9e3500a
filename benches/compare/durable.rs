//! What `appendfsync always` costs clients that only read: the same reads at a fixed rate beside the same writes at a
//! fixed rate, without a log and with one that is synced before each write is answered.

use anyhow::Result;

use crate::OURS;
use crate::open_loop::{OpenLoop, Plan};
use crate::options::Options;
use crate::server::{Program, Server};
use crate::table::{Latencies, Table, median, ms, verdict};
use crate::wire::{Reply, Template};

const KEYS: u64 = 100_000;
const VALUE_BYTES: usize = 32;
/// Reads and writes per second, and the connections of each.
const READS: Plan = Plan { rate: 10_000, batch: 1, connections: 20 };
const WRITES: Plan = Plan { rate: 2_000, batch: 1, connections: 50 };
const LOAD: Plan = Plan { rate: 500_000, batch: 100, connections: 1 };
const SECONDS: u64 = 5;
/// A read with the log, relative to one without.
const BAR: f64 = 1.10;
const ALWAYS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// Milliseconds.
#[derive(Default)]
struct Figures {
    read_p50: Vec<f64>,
    read_p99: Vec<f64>,
    write_p50: Vec<f64>,
}

/// Runs the workload and prints its table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut all: Vec<[Figures; 2]> = options.programs.iter().map(|_| Default::default()).collect();
    for _ in 0..options.rounds {
        for (program, figures) in options.programs.iter().zip(&mut all) {
            for (arguments, figures) in [&[][..], ALWAYS].into_iter().zip(figures) {
                measure(options, program, arguments, figures)?;
            }
        }
    }
    let mut table = Table::new([
        "server",
        "GET p50 without",
        "with",
        "ratio",
        "bar",
        "GET p99 without",
        "with",
        "ratio",
        "SET p50 without",
        "with",
    ]);
    for (program, [without, with]) in options.programs.iter().zip(&all) {
        let of = |values: &Vec<f64>| median(values.iter().copied());
        let p50 = (of(&without.read_p50), of(&with.read_p50));
        let p99 = (of(&without.read_p99), of(&with.read_p99));
        table.row(vec![
            program.name.clone(),
            ms(p50.0),
            ms(p50.1),
            format!("{:.2}", p50.1 / p50.0),
            if program.name == OURS { verdict(p50.1 / p50.0, BAR) } else { String::new() },
            ms(p99.0),
            ms(p99.1),
            format!("{:.2}", p99.1 / p99.0),
            ms(of(&without.write_p50)),
            ms(of(&with.write_p50)),
        ]);
    }
    table.print(&format!(
        "durable: {} GETs/s beside {} SETs/s for {SECONDS} s, without a log and with appendfsync always",
        READS.rate, WRITES.rate
    ));
    Ok(())
}

fn measure(options: &Options, program: &Program, arguments: &[&str], figures: &mut Figures) -> Result<()> {
    let server = Server::start(program, options.placement, arguments)?;
    let (set, get) = (Template::set(VALUE_BYTES), Template::get(VALUE_BYTES));
    let mut load = OpenLoop::start(server.port, LOAD, KEYS / LOAD.batch, Reply::OK)?;
    let keys = |batch: u64| batch * LOAD.batch..(batch + 1) * LOAD.batch;
    while !load.turn(|batch, out| keys(batch).for_each(|key| set.render(key, out)), |_| {})? {}

    let mut reads = OpenLoop::start(server.port, READS, READS.rate * SECONDS, Reply::bulk(VALUE_BYTES))?;
    let mut writes = OpenLoop::start(server.port, WRITES, WRITES.rate * SECONDS, Reply::OK)?;
    let (mut read, mut written) = (Latencies::new(), Latencies::new());
    let mut is_over = [false; 2];
    while is_over != [true; 2] {
        let render = |number: u64, out: &mut Vec<u8>| get.render(number * 7 % KEYS, out);
        is_over[0] = reads.turn(render, |done| read.record(done.latency, 1))?;
        let render = |number: u64, out: &mut Vec<u8>| set.render(number % KEYS, out);
        is_over[1] = writes.turn(render, |done| written.record(done.latency, 1))?;
    }
    figures.read_p50.push(read.quantile_ms(0.5));
    figures.read_p99.push(read.quantile_ms(0.99));
    figures.write_p50.push(written.quantile_ms(0.5));
    Ok(())
}
