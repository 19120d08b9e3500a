//! What one subscriber that does not read costs the publisher and the server's memory: the same messages to the same
//! readers, alone and beside it.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::OURS;
use crate::clients::raise_open_files;
use crate::options::Options;
use crate::server::{Program, Server};
use crate::sockets::Sockets;
use crate::table::{Latencies, Table, mb, median, ms, verdict};
use crate::wire::command;

const READERS: usize = 1000;
const MESSAGES: u64 = 3000;
const MESSAGE_BYTES: usize = 2048;
const CHANNEL: &[u8] = b"c";
/// The hard limit of the one that does not read. It is reached after what the system keeps for it, some 4 MB.
const LIMIT_BYTES: u64 = 1 << 20;
/// By so much two runs of the same server differ.
const NOISE_BYTES: u64 = 1 << 18;
const PATIENCE: Duration = Duration::from_secs(10);
/// The publisher's p99 with the one that does not read, relative to that without.
const BAR: f64 = 1.05;

#[derive(Default)]
struct Figures {
    alone_p99: Vec<f64>,
    beside_p99: Vec<f64>,
    added_bytes: Vec<f64>,
}

/// Runs the workload and prints its table.
pub(crate) fn run(options: &Options) -> Result<()> {
    raise_open_files(READERS + 100)?;
    let mut all: Vec<Figures> = options.programs.iter().map(|_| Figures::default()).collect();
    for _ in 0..options.rounds {
        for (program, figures) in options.programs.iter().zip(&mut all) {
            let (alone, resident) = publish(options, program, false)?;
            let (beside, with_one) = publish(options, program, true)?;
            figures.alone_p99.push(alone.quantile_ms(0.99));
            figures.beside_p99.push(beside.quantile_ms(0.99));
            figures.added_bytes.push(with_one as f64 - resident as f64);
        }
    }
    let mut table =
        Table::new(["server", "p99 without", "p99 with", "ratio", "bar", "peak memory added", "bar"]);
    for (program, figures) in options.programs.iter().zip(&all) {
        let alone = median(figures.alone_p99.iter().copied());
        let beside = median(figures.beside_p99.iter().copied());
        let added = median(figures.added_bytes.iter().copied()).max(0.0);
        let judged = |value, bar| if program.name == OURS { verdict(value, bar) } else { String::new() };
        table.row(vec![
            program.name.clone(),
            ms(alone),
            ms(beside),
            format!("{:.2}", beside / alone),
            judged(beside / alone, BAR),
            mb(added as u64),
            judged(added / 1e6, ((LIMIT_BYTES + NOISE_BYTES) as f64 / 1e4).round() / 100.0),
        ]);
    }
    table.print(&format!(
        "pubsub: {MESSAGES} messages of {MESSAGE_BYTES} bytes to {READERS} subscribers, one after the other, without \
         and with one more that does not read (limit {LIMIT_BYTES} bytes)"
    ));
    Ok(())
}

/// Publishes all messages; how long each reply took, and the server's peak memory.
fn publish(options: &Options, program: &Program, is_one_stuck: bool) -> Result<(Latencies, u64)> {
    let limit = format!("pubsub {LIMIT_BYTES} 0 0");
    let server = Server::start(program, options.placement, &["--client-output-buffer-limit", &limit])?;
    let mut subscribe = Vec::new();
    command(&mut subscribe, &[b"SUBSCRIBE", CHANNEL]);
    let mut sockets = Sockets::connect(server.port, READERS + 1)?;
    for reader in 1..=READERS {
        sockets.send(reader, &subscribe)?;
    }
    let mut confirmation = Vec::new();
    command(&mut confirmation, &[b"subscribe", CHANNEL]);
    // An array of three: the count is a number.
    receive(&mut sockets, READERS * (confirmation.len() + ":1\r\n".len()))?;
    let stuck = is_one_stuck.then(|| connect_stuck(server.port, &subscribe)).transpose()?;

    let message = vec![b'm'; MESSAGE_BYTES];
    let (mut request, mut delivered) = (Vec::new(), Vec::new());
    command(&mut request, &[b"PUBLISH", CHANNEL, &message]);
    command(&mut delivered, &[b"message", CHANNEL, &message]);
    let mut latencies = Latencies::new();
    for _ in 0..MESSAGES {
        let sent = Instant::now();
        sockets.send(0, &request)?;
        let took = receive(&mut sockets, READERS * delivered.len() + ":1000\r\n".len())?;
        latencies.record(took - sent, 1);
    }
    drop(stuck);
    Ok((latencies, server.peak_resident()?))
}

fn connect_stuck(port: u16, subscribe: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(subscribe)?;
    Ok(stream)
}

/// Reads until so many bytes have come on all connections together; when the publisher's came.
fn receive(sockets: &mut Sockets, bytes: usize) -> Result<Instant> {
    let (mut missing, mut replied) = (bytes, Instant::now());
    while missing > 0 {
        let ready = sockets.wait(PATIENCE)?;
        ensure!(ready > 0, "nothing came for {PATIENCE:?}");
        for nth in 0..ready {
            let (index, input) = sockets.read(nth)?;
            ensure!(input.len() <= missing, "more came than was published");
            missing -= input.len();
            if index == 0 {
                replied = Instant::now();
            }
        }
    }
    Ok(replied)
}
