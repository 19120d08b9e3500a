//! SET and GET of small values in a closed loop: how many requests a second, and how much of the server's processor
//! each of them takes. The second figure stays comparable where the generator or the machine is the limit.

use anyhow::Result;

use crate::OURS;
use crate::closed_loop;
use crate::options::Options;
use crate::server::Server;
use crate::sockets::Sockets;
use crate::table::{Table, median, verdict};
use crate::wire::{Reply, Requests, Template};

const CLIENTS: usize = 50;
const VALUE_BYTES: usize = 32;
const PIPELINES: [usize; 3] = [1, 16, 100];
/// CPU per request relative to a peer's.
const BARS: [(usize, &str, f64); 3] = [(1, "redis", 1.0), (16, "valkey", 0.75), (100, "valkey", 0.75)];

/// Medians of one server in one cell.
struct Cell {
    rate: f64,
    cpu_us: f64,
}

/// Runs the workload and prints its table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut servers = Vec::new();
    for program in &options.programs {
        let server = Server::start(program, options.placement, &[])?;
        let set = Template::set(VALUE_BYTES);
        server.client()?.load(options.keys, Reply::OK, |number, out| set.render(number, out))?;
        servers.push(server);
    }
    let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
    let peers = || names.iter().filter(|name| **name != OURS && names.contains(&OURS));
    let headings = std::iter::once("workload".to_owned())
        .chain(names.iter().map(|name| format!("{name} req/s")))
        .chain(names.iter().map(|name| format!("{name} us/req")))
        .chain(peers().map(|peer| format!("CPU / {peer}")))
        .chain(["bar".to_owned()]);
    let mut table = Table::new(headings);
    for pipeline in PIPELINES {
        for (command, template) in [("SET", Template::set(VALUE_BYTES)), ("GET", Template::get(VALUE_BYTES))]
        {
            let requests = Requests::random(&template, options.keys.min(1 << 20) as usize, options.keys, 1);
            let cells = measure(options, &servers, &requests, pipeline)?;
            let ratio = |peer: &str| {
                let cpu_of =
                    |name| names.iter().position(|n| *n == name).map_or(f64::NAN, |i| cells[i].cpu_us);
                cpu_of(OURS) / cpu_of(peer)
            };
            let bar = BARS.iter().find(|bar| bar.0 == pipeline && names.contains(&OURS));
            let row = std::iter::once(format!("{command}, pipeline {pipeline}"))
                .chain(cells.iter().map(|cell| format!("{:.0}k", cell.rate / 1e3)))
                .chain(cells.iter().map(|cell| format!("{:.3}", cell.cpu_us)))
                .chain(peers().map(|peer| format!("{:.2}", ratio(peer))))
                .chain([bar.map_or(String::new(), |(_, peer, bar)| {
                    format!("{peer} {}", verdict(ratio(peer), *bar))
                })]);
            table.row(row.collect());
        }
    }
    table.print(&format!("cpu: {CLIENTS} clients, {} keys, {VALUE_BYTES}-byte values", options.keys));
    Ok(())
}

fn measure(options: &Options, servers: &[Server], requests: &Requests, pipeline: usize) -> Result<Vec<Cell>> {
    let mut sockets =
        servers.iter().map(|server| Sockets::connect(server.port, CLIENTS)).collect::<Result<Vec<_>>>()?;
    let mut rounds: Vec<Vec<Cell>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds {
        for ((server, sockets), rounds) in servers.iter().zip(&mut sockets).zip(&mut rounds) {
            let before = server.cpu()?;
            let achieved = closed_loop::run(sockets, requests, pipeline, options.time)?;
            let cpu = server.cpu()? - before;
            rounds.push(Cell {
                rate: achieved.rate(),
                cpu_us: cpu.as_secs_f64() * 1e6 / achieved.requests as f64,
            });
        }
    }
    let medians = rounds.iter().map(|cells| Cell {
        rate: median(cells.iter().map(|cell| cell.rate)),
        cpu_us: median(cells.iter().map(|cell| cell.cpu_us)),
    });
    Ok(medians.collect())
}
