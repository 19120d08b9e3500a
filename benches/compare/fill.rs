//! Growth at a steady rate: SETs of new keys in an open loop, from an empty server to the full number of keys; then, as
//! a control for the machine's own noise, overwrites of these keys at the same rate, during which nothing grows.

use std::time::Duration;

use anyhow::Result;

use crate::OURS;
use crate::open_loop::{OpenLoop, Plan};
use crate::options::Options;
use crate::server::{Program, Server};
use crate::stalls::{Cause, LATE, Stall, StallLog};
use crate::table::{Latencies, Table, mb, ms, verdict};
use crate::wire::{Reply, Template};

const VALUE_BYTES: usize = 32;
const BATCH: u64 = 10;
const CONNECTIONS: usize = 20;
/// The control run's requests, as a part of the fill's.
const CONTROL_PART: u64 = 4;
const SETTLE: Duration = Duration::from_secs(2);
/// Peak RSS relative to RSS when filled.
const PEAK_BAR: f64 = 1.10;
const STALLS_LISTED: usize = 8;

/// One run at the steady rate.
struct Phase {
    latencies: Latencies,
    requests: u64,
    stalls: Vec<Stall>,
}

/// Runs the workload and prints its tables.
pub(crate) fn run(options: &Options) -> Result<()> {
    let late = format!("stalls over {LATE:?}");
    let mut times = Table::new([
        "run",
        "p50",
        "p99",
        "p99.9",
        "max",
        &late,
        "by the scheduler",
        "by the server",
        "per 1M",
    ]);
    let mut memory = Table::new(["server", "peak RSS", "RSS when filled", "peak / filled", "bar"]);
    let mut list = Vec::new();
    for round in 1..=options.fill_rounds {
        for program in &options.programs {
            let server = Server::start(program, options.placement, &[])?;
            let fill = phase(options, &server, options.fill_keys / BATCH)?;
            let peak = server.peak_resident()?;
            std::thread::sleep(SETTLE);
            memory.row(memory_row(program, peak, server.resident()?));
            let control = phase(options, &server, options.fill_keys / BATCH / CONTROL_PART)?;
            times.row(latency_row(&format!("{} fill {round}", program.name), &fill));
            times.row(latency_row(&format!("{} control {round}", program.name), &control));
            list.extend(stall_lines(&format!("{} fill {round}", program.name), &fill.stalls));
            list.extend(stall_lines(&format!("{} control {round}", program.name), &control.stalls));
        }
    }
    times.print(&format!(
        "fill: 0 to {} keys at {} requests/s, {BATCH} per batch; control: overwrites at the same rate",
        options.fill_keys, options.rate
    ));
    println!("\nLongest stalls during which the server ran:\n");
    list.iter().for_each(|line| println!("{line}"));
    memory.print("fill: memory");
    Ok(())
}

fn phase(options: &Options, server: &Server, batches: u64) -> Result<Phase> {
    let template = Template::set(VALUE_BYTES);
    let plan = Plan { rate: options.rate, batch: BATCH, connections: CONNECTIONS };
    let mut latencies = Latencies::new();
    let mut stalls = StallLog::new(server)?;
    let mut answered = Vec::new();
    let mut open = OpenLoop::start(server.port, plan, batches, Reply::OK)?;
    loop {
        let render = |batch: u64, out: &mut Vec<u8>| {
            (batch * BATCH..(batch + 1) * BATCH).for_each(|number| template.render(number, out));
        };
        let finished = open.turn(render, |done| answered.push(done))?;
        for done in answered.drain(..) {
            latencies.record(done.latency, BATCH);
            stalls.note(done);
        }
        if finished {
            return Ok(Phase { latencies, requests: batches * BATCH, stalls: stalls.finish()? });
        }
        stalls.tick()?;
    }
}

fn latency_row(title: &str, phase: &Phase) -> Vec<String> {
    let quantile = |share| ms(phase.latencies.quantile_ms(share));
    let caused = |cause| phase.stalls.iter().filter(|stall| stall.cause() == cause).count();
    let by_server = caused(Cause::Server);
    vec![
        title.to_owned(),
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0),
        phase.stalls.len().to_string(),
        caused(Cause::Scheduler).to_string(),
        by_server.to_string(),
        format!("{:.2}", by_server as f64 * 1e6 / phase.requests as f64),
    ]
}

fn stall_lines(title: &str, stalls: &[Stall]) -> Vec<String> {
    let mut worst: Vec<&Stall> = stalls.iter().filter(|stall| stall.cause() == Cause::Server).collect();
    worst.sort_by_key(|stall| std::cmp::Reverse(stall.worst));
    worst.truncate(STALLS_LISTED);
    let line = |stall: &&Stall| {
        let milliseconds = |time: Duration| ms(time.as_secs_f64() * 1e3);
        format!(
            "- {title}: {} at request {}; the server ran for {}, {} were spent waiting for a core",
            milliseconds(stall.worst),
            stall.batch * BATCH,
            milliseconds(stall.server_ran),
            milliseconds(stall.descheduled)
        )
    };
    worst.iter().map(line).collect()
}

fn memory_row(program: &Program, peak: u64, filled: u64) -> Vec<String> {
    let ratio = peak as f64 / filled as f64;
    let bar = if program.name == OURS { verdict(ratio, PEAK_BAR) } else { String::new() };
    vec![program.name.clone(), mb(peak), mb(filled), format!("{ratio:.2}"), bar]
}
