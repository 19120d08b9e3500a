//! Resident bytes per key: the growth of a fresh server's RSS, divided by the keys that it was given.

use std::time::Duration;

use anyhow::Result;

use crate::OURS;
use crate::options::Options;
use crate::server::{Program, Server};
use crate::table::{Table, median, verdict};
use crate::wire::{self, Reply};

/// Servers may finish what they do in the background before they are measured.
const SETTLE: Duration = Duration::from_millis(500);

/// A kind of key.
struct Data {
    title: &'static str,
    render: fn(u64, &mut Vec<u8>),
    bar: f64,
}

const DATA: [Data; 3] = [
    Data { title: "16 B key + 32 B value", render: string, bar: 72.0 },
    Data { title: "the same with a TTL", render: volatile, bar: 84.0 },
    Data { title: "16 B key + integer", render: integer, bar: 46.0 },
];

fn string(number: u64, out: &mut Vec<u8>) {
    wire::command(out, &[b"SET", &wire::key(number), &[b'v'; 32]]);
}

fn volatile(number: u64, out: &mut Vec<u8>) {
    wire::command(out, &[b"SET", &wire::key(number), &[b'v'; 32], b"EX", b"100000"]);
}

fn integer(number: u64, out: &mut Vec<u8>) {
    wire::command(out, &[b"SET", &wire::key(number), (number * 7919).to_string().as_bytes()]);
}

/// Runs the workload and prints its table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let names = options.programs.iter().map(|program| program.name.clone());
    let mut table =
        Table::new(std::iter::once("bytes per key".to_owned()).chain(names).chain(["bar".to_owned()]));
    for data in DATA {
        let mut rounds: Vec<Vec<f64>> = options.programs.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (program, rounds) in options.programs.iter().zip(&mut rounds) {
                rounds.push(bytes_per_key(options, program, &data)?);
            }
        }
        let medians: Vec<f64> = rounds.into_iter().map(median).collect();
        let judged = options.programs[0].name == OURS;
        let bar = if judged { verdict(medians[0], data.bar) } else { String::new() };
        let cells = medians.iter().map(|bytes| format!("{bytes:.1}"));
        table.row(std::iter::once(data.title.to_owned()).chain(cells).chain([bar]).collect());
    }
    table.print(&format!("memory: growth of RSS over {} keys", options.keys));
    Ok(())
}

fn bytes_per_key(options: &Options, program: &Program, data: &Data) -> Result<f64> {
    let server = Server::start(program, options.placement, &[])?;
    let mut client = server.client()?;
    let before = server.resident()?;
    client.load(options.keys, Reply::OK, data.render)?;
    std::thread::sleep(SETTLE);
    Ok((server.resident()? as f64 - before as f64) / options.keys as f64)
}
