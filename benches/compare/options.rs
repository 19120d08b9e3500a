//! The command line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lexopt::{Arg, Parser, ValueExt};

use crate::server::{Placement, Program};
use crate::{OURS, WORKLOADS};

const HELP: &str = "\
Runs Carnelian, Redis and Valkey side by side on this machine's loopback and prints markdown tables.

usage: compare --peers DIR [--ours PATH] [options] [WORKLOAD...]

  --peers DIR         DIR/bin/redis-server-8.2 and DIR/bin/valkey-server-9.1 (run with jemalloc preloaded)
  --ours PATH         the server to judge; without it only the peers run
  --rounds N          measurements of each cell of cpu, memory and clients, alternating between the
                      servers; medians are printed [5]
  --seconds S         length of one throughput measurement [2]
  --keys N            keys of cpu, memory and expiry [1000000]
  --fill-keys N       keys of fill [20000000]
  --fill-rounds N     fills of each server [1]
  --rate N            requests per second of fill [200000]
  --idle-clients N    idle connections of clients [10000]
  --server-core N     core of the servers [0]
  --client-core N     core of the load generator [1]
  --first-port N      servers listen on free ports from here on [21600]
  --quick             a short run, to see that it works; later options refine it, figures mean little

workloads (all of them by default):
";

/// What the command line says.
pub(crate) struct Options {
    /// The servers, ours first.
    pub(crate) programs: Vec<Program>,
    /// Cores and ports.
    pub(crate) placement: Placement,
    /// Measurements of each cell whose median is printed.
    pub(crate) rounds: u32,
    /// Length of one throughput measurement.
    pub(crate) time: Duration,
    /// Keys of most workloads.
    pub(crate) keys: u64,
    /// Keys of the fill.
    pub(crate) fill_keys: u64,
    /// Fills of each server.
    pub(crate) fill_rounds: u32,
    /// Requests per second of the fill.
    pub(crate) rate: u64,
    /// Idle connections.
    pub(crate) idle_clients: usize,
    /// Names of the workloads to run.
    pub(crate) workloads: Vec<String>,
}

impl Options {
    /// Reads the command line; `None` if it asked for help only, which is printed.
    pub(crate) fn from_command_line() -> Result<Option<Self>> {
        let (mut peers, mut ours): (Option<PathBuf>, Option<PathBuf>) = (None, None);
        let mut options = Options {
            programs: Vec::new(),
            placement: Placement { server_core: 0, client_core: 1, first_port: 21600 },
            rounds: 5,
            time: Duration::from_secs(2),
            keys: 1_000_000,
            fill_keys: 20_000_000,
            fill_rounds: 1,
            rate: 200_000,
            idle_clients: 10_000,
            workloads: Vec::new(),
        };
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => {
                    print_help();
                    return Ok(None);
                }
                Arg::Long("peers") => peers = Some(parser.value()?.into()),
                Arg::Long("ours") => ours = Some(parser.value()?.into()),
                Arg::Long("rounds") => options.rounds = number(&mut parser)?,
                Arg::Long("seconds") => options.time = Duration::try_from_secs_f64(number(&mut parser)?)?,
                Arg::Long("keys") => options.keys = number(&mut parser)?,
                Arg::Long("fill-keys") => options.fill_keys = number(&mut parser)?,
                Arg::Long("fill-rounds") => options.fill_rounds = number(&mut parser)?,
                Arg::Long("rate") => options.rate = number(&mut parser)?,
                Arg::Long("idle-clients") => options.idle_clients = number(&mut parser)?,
                Arg::Long("server-core") => options.placement.server_core = number(&mut parser)?,
                Arg::Long("client-core") => options.placement.client_core = number(&mut parser)?,
                Arg::Long("first-port") => options.placement.first_port = number(&mut parser)?,
                Arg::Long("quick") => options.shorten(),
                Arg::Value(name) => options.workloads.push(workload(name.string()?)?),
                other => return Err(other.unexpected().into()),
            }
        }
        options.check()?;
        let peers = peers.context("--peers DIR is needed; see --help")?;
        options.programs = programs(&peers, ours)?;
        if options.workloads.is_empty() {
            options.workloads = WORKLOADS.iter().map(|workload| workload.name.to_owned()).collect();
        }
        Ok(Some(options))
    }

    fn shorten(&mut self) {
        self.rounds = 1;
        self.time = Duration::from_millis(300);
        self.keys = 100_000;
        self.fill_keys = 1_000_000;
        self.idle_clients = 1_000;
    }

    fn check(&self) -> Result<()> {
        ensure!((1..=100).contains(&self.rounds), "--rounds: 1 to 100");
        ensure!((1..=100).contains(&self.fill_rounds), "--fill-rounds: 1 to 100");
        ensure!(self.time <= Duration::from_secs(60), "--seconds: at most 60");
        ensure!((10_000..=100_000_000).contains(&self.keys), "--keys: 10,000 to 100,000,000");
        ensure!((100_000..=1_000_000_000).contains(&self.fill_keys), "--fill-keys: 100,000 to 1,000,000,000");
        ensure!((1_000..=5_000_000).contains(&self.rate), "--rate: 1,000 to 5,000,000");
        ensure!((1..=25_000).contains(&self.idle_clients), "--idle-clients: 1 to 25,000");
        Ok(())
    }
}

fn print_help() {
    print!("{HELP}");
    for workload in WORKLOADS {
        println!("  {:<19} {}", workload.name, workload.about);
    }
}

fn number<T>(parser: &mut Parser) -> Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    Ok(parser.value()?.parse()?)
}

fn workload(name: String) -> Result<String> {
    ensure!(WORKLOADS.iter().any(|workload| workload.name == name), "no workload {name:?}; see --help");
    Ok(name)
}

fn programs(peers: &Path, ours: Option<PathBuf>) -> Result<Vec<Program>> {
    let ours = ours.map(|path| Program { name: OURS.to_owned(), path, preload: None });
    let redis = Program { name: "redis".to_owned(), path: peers.join("bin/redis-server-8.2"), preload: None };
    let valkey = Program {
        name: "valkey".to_owned(),
        path: peers.join("bin/valkey-server-9.1"),
        preload: Some(jemalloc()?),
    };
    let programs: Vec<Program> = ours.into_iter().chain([redis, valkey]).collect();
    for program in &programs {
        ensure!(program.path.is_file(), "no such file: {}", program.path.display());
    }
    Ok(programs)
}

/// Valkey's package is built on the C library's allocator; its own builds and most distributions use jemalloc.
fn jemalloc() -> Result<PathBuf> {
    let output = Command::new("ldconfig").arg("-p").output().context("running ldconfig -p")?;
    let listing = String::from_utf8(output.stdout)?;
    let line = listing.lines().find(|line| line.trim_start().starts_with("libjemalloc.so"));
    let (_, path) = line.and_then(|line| line.split_once(" => ")).context("libjemalloc is not installed")?;
    Ok(PathBuf::from(path))
}
