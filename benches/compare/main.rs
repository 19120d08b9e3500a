//! The comparison of Carnelian with its peers: starts all of them on loopback, drives them alternately with one load
//! generator, and prints markdown tables with medians, ratios and the bars. One module per workload.
#![expect(
    clippy::disallowed_methods,
    reason = "a load generator owns the clock, the files and the processes it uses"
)]

mod client;
mod clients;
mod closed_loop;
mod cpu;
mod durable;
mod expiry;
mod fill;
mod idle;
mod memory;
mod open_loop;
mod options;
mod pubsub;
mod server;
mod sockets;
mod stalls;
mod table;
mod wire;

use anyhow::{Result, ensure};

use crate::options::Options;
use crate::server::Server;

/// The column of the server that is judged.
pub(crate) const OURS: &str = "ours";

/// One part of the comparison.
pub(crate) struct Workload {
    name: &'static str,
    about: &'static str,
    run: fn(&Options) -> Result<()>,
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "cpu",
        about: "SET and GET at pipeline 1, 16, 100: rate and CPU per request",
        run: cpu::run,
    },
    Workload { name: "memory", about: "resident bytes per key", run: memory::run },
    Workload {
        name: "fill",
        about: "latency while the keyspace grows at a steady rate; peak memory",
        run: fill::run,
    },
    Workload {
        name: "expiry",
        about: "how late keys go, and what a mass expiry costs others",
        run: expiry::run,
    },
    Workload {
        name: "durable",
        about: "what a log that is synced before each reply costs those who read",
        run: durable::run,
    },
    Workload { name: "clients", about: "what idle connections cost", run: clients::run },
    Workload { name: "pubsub", about: "what a subscriber that does not read costs others", run: pubsub::run },
    Workload { name: "idle", about: "CPU and memory of a server that nobody uses", run: idle::run },
];

fn main() -> Result<()> {
    let Some(options) = Options::from_command_line()? else {
        return Ok(());
    };
    server::stop_on_signals()?;
    print_servers(&options)?;
    let mut failed = Vec::new();
    let asked_for = |workload: &&Workload| options.workloads.iter().any(|name| name == workload.name);
    for workload in WORKLOADS.iter().filter(asked_for) {
        if let Err(error) = (workload.run)(&options) {
            eprintln!("{}: {error:#}", workload.name);
            failed.push(workload.name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn print_servers(options: &Options) -> Result<()> {
    println!(
        "{} processors here, shared or not; servers on core {}, generator on core {}.\n",
        std::thread::available_parallelism()?,
        options.placement.server_core,
        options.placement.client_core
    );
    for program in &options.programs {
        let server = Server::start(program, options.placement, &[])?;
        let mut client = server.client()?;
        let mut version = None;
        for field in ["carnelian_version", "valkey_version", "redis_version"] {
            version = match version {
                None => client.info("server", field)?.map(|version| format!("{field} {version}")),
                known => known,
            };
        }
        let allocator = client.info("memory", "mem_allocator")?.unwrap_or_default();
        let preload = program
            .preload
            .as_ref()
            .map(|path| format!(", {} preloaded", path.display()))
            .unwrap_or_default();
        println!("- {}: {} (allocator {allocator}{preload})", program.name, version.unwrap_or_default());
    }
    Ok(())
}
