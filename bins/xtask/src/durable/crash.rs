//! `cargo xtask crash`: kills a server under `appendfsync always` again and again while many clients write, and looks
//! after each restart for what had been acknowledged. Then the files of a log are damaged: see `tails`.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use carnelian_testkit::{Client, Rng, Server, encode, reply};

use super::servers::Binary;
use super::tails;
use crate::options::Options;

const WRITERS: u64 = 50;
/// The longest time in milliseconds until the server is killed.
const LONGEST: i64 = 150;
/// As in the worst case: rewrites begin all the time.
const DIRECTIVES: [&str; 10] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--auto-aof-rewrite-min-size",
    "64kb",
    "--auto-aof-rewrite-percentage",
    "50",
    "--loglevel",
    "notice",
];

/// Runs both parts.
pub(crate) fn run(args: Vec<String>) -> anyhow::Result<()> {
    let mut options = Options::new(args);
    let path = options.take("--ours")?.context("--ours names the binary")?;
    let path = Path::new(&path).canonicalize().context(path)?;
    let runs = options.number("--runs", 100)?;
    let damages = options.number("--damages", 1000)?;
    let seed = options.number("--seed", 1)?;
    let rest = options.rest()?;
    ensure!(rest.is_empty(), "usage: cargo xtask crash --ours BIN [--runs N] [--damages N] [--seed S]");
    kill(&Binary::ours(&path), runs, seed)?;
    tails::run(&path, damages, seed)
}

/// What a writer knows of its numbers: those that were acknowledged, and those that were sent.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    acknowledged: u64,
    sent: u64,
}

fn kill(binary: &Binary, runs: u64, seed: u64) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut rng = Rng::new(seed);
    let mut known = [Known::default(); WRITERS as usize];
    let (mut written, begin) = (0, Instant::now());
    let mut server = start(binary, directory.path(), 0)?;
    for run in 1..=runs {
        let span = Duration::from_millis(rng.range(5, LONGEST).unsigned_abs());
        let before: u64 = known.iter().map(|known| known.acknowledged).sum();
        known = write(server, &known, span, &mut rng)?;
        written += known.iter().map(|known| known.acknowledged).sum::<u64>() - before;
        server = start(binary, directory.path(), run)?;
        let mut client = server.connect()?;
        for (writer, known) in known.iter_mut().enumerate() {
            *known =
                verify(&mut client, writer, *known).with_context(|| format!("run {run} of seed {seed}"))?;
        }
        if run % 100 == 0 || run == runs {
            let seconds = begin.elapsed().as_secs();
            println!(
                "{run} kills, {written} acknowledged writes, none lost, all starts unaided; {seconds} s"
            );
        }
    }
    Ok(())
}

fn start(binary: &Binary, directory: &Path, run: u64) -> anyhow::Result<Server> {
    binary.start(&DIRECTIVES, Some(directory)).with_context(|| format!("the start after kill {run}"))
}

/// Lets all writers write until the server is killed after `span`.
fn write(
    server: Server,
    known: &[Known],
    span: Duration,
    rng: &mut Rng,
) -> anyhow::Result<[Known; WRITERS as usize]> {
    let address = server.address();
    let writers: Vec<_> = known
        .iter()
        .enumerate()
        .map(|(writer, known)| {
            let (known, depth) = (*known, 1 + rng.below(3) as u64);
            thread::spawn(move || write_until_killed(address, writer, known, depth))
        })
        .collect();
    thread::sleep(span);
    // Dropping it sends SIGKILL.
    drop(server);
    let mut after = [Known::default(); WRITERS as usize];
    for (after, writer) in after.iter_mut().zip(writers) {
        *after = writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
    }
    Ok(after)
}

/// Each number is an INCR of a counter, a SET of the number, and an RPUSH of it. `depth` of them are sent at once.
fn write_until_killed(
    address: SocketAddr,
    writer: usize,
    mut known: Known,
    depth: u64,
) -> anyhow::Result<Known> {
    let Ok(mut client) = Client::connect(address) else { return Ok(known) };
    loop {
        let mut request = Vec::new();
        for number in known.acknowledged + 1..=known.acknowledged + depth {
            let number = number.to_string();
            encode(&["INCR", &format!("counter:{writer}")], &mut request);
            encode(&["SET", &format!("number:{writer}"), &number], &mut request);
            encode(&["RPUSH", &format!("list:{writer}"), &number], &mut request);
        }
        known.sent = known.acknowledged + depth;
        if client.send_raw(&request).is_err() {
            return Ok(known);
        }
        for _ in 0..depth {
            for command in ["INCR", "SET", "RPUSH"] {
                match client.read_reply() {
                    Ok(reply) if reply.starts_with(b"-") => {
                        anyhow::bail!("{command}: {}", reply.escape_ascii())
                    }
                    Ok(_) => {}
                    Err(_) => return Ok(known),
                }
            }
            known.acknowledged += 1;
        }
    }
}

/// What is there has to lie between what was acknowledged and what was sent. It is made even for what follows.
fn verify(client: &mut Client, writer: usize, known: Known) -> anyhow::Result<Known> {
    let [counter, number, list] = ["counter", "number", "list"].map(|what| format!("{what}:{writer}"));
    let count = get(client, &counter)?;
    let number_found = get(client, &number)?;
    let pushed = reply::integer(&client.call(&["LLEN", &list])?).context("LLEN")?.unsigned_abs();
    for (what, found) in [("INCR", count), ("SET", number_found), ("RPUSH", pushed)] {
        let possible = known.acknowledged..=known.sent.max(known.acknowledged);
        ensure!(possible.contains(&found), "writer {writer}: {found} by {what}, possible is {possible:?}");
    }
    let last = client.call(&["LINDEX", &list, "-1"])?;
    let last = reply::payload(&last)
        .map_or(Ok(0), |text| std::str::from_utf8(text)?.parse::<u64>().context("LINDEX"))?;
    ensure!(last == pushed, "writer {writer}: the last of {pushed} elements is {last}");
    // The commands of one number are written together in order, so that at most the last number is not whole.
    let next = count;
    client.call(&["SET", &number, &next.to_string()])?;
    if pushed < next {
        for missing in pushed + 1..=next {
            client.call(&["RPUSH", &list, &missing.to_string()])?;
        }
    }
    Ok(Known { acknowledged: next, sent: next })
}

fn get(client: &mut Client, key: &str) -> anyhow::Result<u64> {
    let reply = client.call(&["GET", key])?;
    match reply::payload(&reply) {
        Some(text) => Ok(std::str::from_utf8(text)?.parse()?),
        None => Ok(0),
    }
}
