//! A server that nobody uses: its processor time over some seconds, and its resident memory.

use std::time::Duration;

use anyhow::Result;

use crate::OURS;
use crate::options::Options;
use crate::server::Server;
use crate::table::{Table, mb, verdict};

const WARM_UP: Duration = Duration::from_secs(1);
const OBSERVED: Duration = Duration::from_secs(5);
/// Percent of a core, and MB.
const BARS: (f64, f64) = (1.0, 10.0);

/// Runs the workload and prints its table. All servers idle at the same time.
pub(crate) fn run(options: &Options) -> Result<()> {
    let start = |program| Server::start(program, options.placement, &[]);
    let servers = options.programs.iter().map(start).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(WARM_UP);
    let before = servers.iter().map(Server::cpu).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(OBSERVED);
    let mut table = Table::new(["server", "CPU, % of a core", "bar", "RSS", "bar"]);
    for (server, before) in servers.iter().zip(before) {
        let percent = (server.cpu()? - before).as_secs_f64() / OBSERVED.as_secs_f64() * 100.0;
        let resident = server.resident()?;
        let judged = |value, bar| if server.name == OURS { verdict(value, bar) } else { String::new() };
        table.row(vec![
            server.name.clone(),
            format!("{percent:.2}"),
            judged(percent, BARS.0),
            mb(resident),
            judged(resident as f64 / 1e6, BARS.1),
        ]);
    }
    table.print(&format!("idle: {OBSERVED:?} without a client"));
    Ok(())
}
