//! What connected but idle clients cost: the same load from active clients, alone and beside the idle ones, and the
//! resident memory per idle client.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::OURS;
use crate::closed_loop;
use crate::options::Options;
use crate::server::{Program, Server};
use crate::sockets::Sockets;
use crate::table::{Table, median, verdict};
use crate::wire::{Reply, Requests, Template, command};

const ACTIVE: usize = 100;
const VALUE_BYTES: usize = 32;
/// Connections opened between two round trips, so that no backlog overflows.
const CONNECT_BURST: usize = 200;
/// Time for the servers to shrink the idle clients' buffers.
const SETTLE: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(10);
/// Throughput with idle clients relative to that without, and KB per idle client.
const BARS: (f64, f64) = (0.9, 4.0);

#[derive(Default)]
struct Figures {
    alone: Vec<(f64, f64)>,
    crowded: Vec<(f64, f64)>,
    bytes_per_client: Vec<f64>,
}

/// Runs the workload and prints its table.
pub(crate) fn run(options: &Options) -> Result<()> {
    raise_open_files(options.idle_clients + ACTIVE + 100)?;
    let mut all: Vec<Figures> = options.programs.iter().map(|_| Figures::default()).collect();
    for _ in 0..options.rounds {
        for (program, figures) in options.programs.iter().zip(&mut all) {
            measure(options, program, figures)?;
        }
    }
    let headings = [
        "server",
        "alone req/s",
        "with idle req/s",
        "ratio",
        "bar",
        "alone us/req",
        "with idle us/req",
        "ratio",
        "KB per idle client",
        "bar",
    ];
    let mut table = Table::new(headings);
    for (program, figures) in options.programs.iter().zip(&all) {
        let rate = |runs: &[(f64, f64)]| median(runs.iter().map(|run| run.0));
        let cpu = |runs: &[(f64, f64)]| median(runs.iter().map(|run| run.1));
        let ratio = rate(&figures.crowded) / rate(&figures.alone);
        let kilobytes = median(figures.bytes_per_client.iter().copied()) / 1024.0;
        let judged = program.name == OURS;
        let met = if ratio >= BARS.0 { "met" } else { "missed" };
        table.row(vec![
            program.name.clone(),
            format!("{:.0}k", rate(&figures.alone) / 1e3),
            format!("{:.0}k", rate(&figures.crowded) / 1e3),
            format!("{ratio:.2}"),
            if judged { format!(">= {}: {met}", BARS.0) } else { String::new() },
            format!("{:.2}", cpu(&figures.alone)),
            format!("{:.2}", cpu(&figures.crowded)),
            format!("{:.2}", cpu(&figures.crowded) / cpu(&figures.alone)),
            format!("{kilobytes:.2}"),
            if judged { verdict(kilobytes, BARS.1) } else { String::new() },
        ]);
    }
    table.print(&format!(
        "clients: GET from {ACTIVE} clients, alone and beside {} idle ones",
        options.idle_clients
    ));
    Ok(())
}

fn measure(options: &Options, program: &Program, figures: &mut Figures) -> Result<()> {
    let limit = (options.idle_clients + ACTIVE + 50).to_string();
    let server = Server::start(program, options.placement, &["--maxclients", &limit])?;
    let set = Template::set(VALUE_BYTES);
    let keys = options.keys.min(100_000);
    server.client()?.load(keys, Reply::OK, |number, out| set.render(number, out))?;
    let requests = Requests::random(&Template::get(VALUE_BYTES), keys as usize, keys, 1);

    let mut active = Sockets::connect(server.port, ACTIVE)?;
    let mut run = || -> Result<(f64, f64)> {
        let before = server.cpu()?;
        let achieved = closed_loop::run(&mut active, &requests, 1, options.time)?;
        let cpu = server.cpu()? - before;
        Ok((achieved.rate(), cpu.as_secs_f64() * 1e6 / achieved.requests as f64))
    };
    figures.alone.push(run()?);
    let before = server.resident()?;
    let idle = connect_idle(server.port, options.idle_clients)?;
    std::thread::sleep(SETTLE);
    figures.bytes_per_client.push((server.resident()? as f64 - before as f64) / options.idle_clients as f64);
    figures.crowded.push(run()?);
    drop(idle);
    Ok(())
}

/// Connects clients that each send one PING, so that the server has accepted and served them all.
fn connect_idle(port: u16, count: usize) -> Result<Vec<Sockets>> {
    let mut ping = Vec::new();
    command(&mut ping, &[b"PING"]);
    let mut groups = Vec::new();
    for first in (0..count).step_by(CONNECT_BURST) {
        let mut sockets = Sockets::connect(port, CONNECT_BURST.min(count - first))?;
        (0..sockets.len()).try_for_each(|index| sockets.send(index, &ping))?;
        let mut missing = sockets.len() * Reply::PONG.bytes;
        while missing > 0 {
            let ready = sockets.wait(PATIENCE)?;
            ensure!(ready > 0, "no reply for {PATIENCE:?}");
            for nth in 0..ready {
                let (_, input) = sockets.read(nth)?;
                closed_loop::check(input, true, missing, Reply::PONG)?;
                missing -= input.len();
            }
        }
        groups.push(sockets);
    }
    Ok(groups)
}

/// Lets this process, and the servers that it starts, open enough files.
pub(crate) fn raise_open_files(needed: usize) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed as u64) {
        anyhow::bail!("the limit of open files is {:?}, {needed} are needed (ulimit -Hn)", limit.maximum);
    }
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
