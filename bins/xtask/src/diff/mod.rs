//! `cargo xtask diff`: one seeded random command stream for our server and both peers, every reply compared.
//!
//! Redis is the reference; a part of the run is about what only Valkey has, goes to Valkey and ours alone, and has
//! Valkey as the reference. At intervals the whole datasets are compared. After a mismatch the servers are emptied,
//! so that one fault is not reported as many.

mod bitmaps;
mod clients;
mod connection;
mod dataset;
mod draw;
mod garbage;
mod generic;
mod geo;
mod hashes;
mod hyperloglogs;
mod lists;
mod plan;
mod report;
mod rules;
mod run;
mod server;
mod sets;
mod sort;
mod sorted_sets;
mod streams;
mod strings;
mod target;
mod valkey;

use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use carnelian_testkit::Peer;

use crate::options::Options;
use draw::Draw;
use plan::Plan;
use report::Report;
use run::Run;
use target::Target;

const USAGE: &str = "usage: cargo xtask diff [OPTION...]
  --ours PATH        our binary (default target/release/carnelian-server)
  --peers DIR        where bin/redis-server-8.2 and bin/valkey-server-9.1 are (default $PEERS, target/peers)
  --commands N       how many commands (default 1000000)
  --seed N           the same seed sends the same stream (default: from the clock)
  --proto 2|3|both   (default both, in turns)
  --groups LIST      which families of commands, separated by commas (default: all but server)
  --kinds N          stop after so many kinds of mismatches (default 50)
  --clients yes      several clients in turns instead of one stream; the groups are transactions, messages, scripts,
                     functions, tracking and control (default: all)
  --show-peers yes   list how the peers differ from each other";

/// The families drawn unless told otherwise.
const GROUPS: &str =
    "strings,generic,connection,lists,hashes,sets,sort,sorted-sets,streams,bitmaps,hyperloglogs,geo";

/// A family of commands that are drawn together.
type Family = fn(&mut Draw) -> Plan;

fn family(name: &str) -> anyhow::Result<Family> {
    Ok(match name {
        "strings" => strings::plan,
        "generic" => generic::plan,
        "lists" => lists::plan,
        "hashes" => hashes::plan,
        "bitmaps" => bitmaps::plan,
        "hyperloglogs" => hyperloglogs::plan,
        "geo" => geo::plan,
        "connection" => connection::plan,
        "server" => server::plan,
        "sets" => sets::plan,
        "sort" => sort::plan,
        "sorted-sets" => sorted_sets::plan,
        "streams" => streams::plan,
        _ => bail!("no group {name}"),
    })
}

/// Runs it; an unexplained mismatch is an error.
pub(crate) fn run(args: Vec<String>) -> anyhow::Result<()> {
    if args.iter().any(|arg| arg == "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let mut options = Options::new(args);
    let peers = options.peers()?;
    let ours = options.take("--ours")?.unwrap_or("target/release/carnelian-server".to_owned());
    let commands = options.number("--commands", 1_000_000)?;
    let seed = options.number("--seed", u64::from(now.subsec_nanos()))?;
    let kinds = options.number("--kinds", 50)?;
    let protocols = match options.take("--proto")?.as_deref() {
        None | Some("both") => vec!["2", "3"],
        Some("2") => vec!["2"],
        Some("3") => vec!["3"],
        Some(other) => bail!("--proto {other}"),
    };
    let groups = options.take("--groups")?;
    let several = options.take("--clients")?.is_some();
    let show_peers = options.take("--show-peers")?.is_some();
    if let Some(extra) = options.rest()?.first() {
        bail!("unexpected {extra}\n{USAGE}");
    }

    let targets = [
        Target::start("ours", &PathBuf::from(ours))?,
        Target::start("redis", &peers.binary(Peer::Redis))?,
        Target::start("valkey", &peers.binary(Peer::Valkey))?,
    ];
    println!("seed {seed}");
    let draw = Draw::new(seed, now.as_secs().cast_signed());
    let groups = groups.as_deref().unwrap_or(if several { clients::GROUPS } else { GROUPS }).split(',');
    let started = Instant::now();
    let told = |sent: u64, report: &Report| {
        println!("{sent} commands in {:.1} s, seed {seed}", started.elapsed().as_secs_f64());
        (report.summarize(show_peers), report.kinds())
    };
    let (outcome, (mismatches, kinds)) = if several {
        let groups = groups.map(clients::group).collect::<anyhow::Result<Vec<_>>>()?;
        let mut run = clients::Run::new(targets, draw, groups, protocols);
        (run.send(commands, kinds as usize), told(run.sent(), run.report()))
    } else {
        let families = groups.map(family).collect::<anyhow::Result<Vec<_>>>()?;
        let mut run = Run::new(targets, draw, families, protocols);
        (run.send(commands, kinds as usize), told(run.sent(), run.report()))
    };
    outcome?;
    match mismatches {
        0 => Ok(()),
        count => bail!("{count} unexplained mismatches of {kinds} kinds"),
    }
}
