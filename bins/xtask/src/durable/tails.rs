//! Damage to the files of a log: torn tails, flipped bits in the tail, flipped bits inside. Each is shown to the check
//! tool, and some to a starting server. The log is a list of numbers, so that what is lost can be told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail, ensure};
use carnelian_testkit::{Client, Rng, encode, reply};

use super::servers::Binary;

/// How many numbers the log has.
const NUMBERS: u64 = 2000;
/// How many damages there are for each that a server is started with.
const STARTS: u64 = 10;
const DIRECTIVES: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
const FOLDER: &str = "appendonlydir";
/// How every command of the list begins.
const COMMAND: &[u8] = b"*3\r\n$5\r\nRPUSH\r\n";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Damage {
    /// The file ends here.
    Torn(usize),
    /// A bit of this byte is another one.
    Flipped(usize),
}

/// What became of the damages of one kind.
#[derive(Default)]
struct Tally {
    tried: u64,
    named: u64,
    started: u64,
    refused: u64,
}

/// The log: its directory, its last file, where commands begin in it, and how many bytes checkpoints vouch for.
struct Log {
    directory: PathBuf,
    file: PathBuf,
    bytes: Vec<u8>,
    commands: Vec<usize>,
    vouched: usize,
}

/// Tries so many damages of each kind.
pub(super) fn run(binary: &Path, damages: u64, seed: u64) -> anyhow::Result<()> {
    if damages == 0 {
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    let log = make(binary, home.path())?;
    ensure!(log.vouched > 0, "the log has no checkpoints");
    let mut rng = Rng::new(seed);
    let (mut torn, mut inner) = (Tally::default(), Tally::default());
    let first = log.commands[0];
    for i in 0..damages {
        let cut = first + rng.below(log.bytes.len() - first);
        try_one(binary, &log, Damage::Torn(cut), i, &mut torn)
            .with_context(|| format!("torn at {cut}, seed {seed}"))?;
        let flip = rng.below(log.vouched);
        try_one(binary, &log, Damage::Flipped(flip), i, &mut inner)
            .with_context(|| format!("flipped at {flip}, seed {seed}"))?;
    }
    for (what, tally) in [("torn tails", torn), ("flipped bits", inner)] {
        let Tally { tried, named, started, refused } = tally;
        println!("{what}: {tried} tried, {named} named by --check-aof; {started} starts, {refused} refused");
    }
    Ok(())
}

/// Writes a log, and lets the server be killed.
fn make(binary: &Path, directory: &Path) -> anyhow::Result<Log> {
    let server = Binary::ours(binary).start(&DIRECTIVES, Some(directory))?;
    let mut client = server.connect()?;
    let mut rng = Rng::new(7);
    let mut number = 0;
    while number < NUMBERS {
        // Batches of many sizes, so that there are checkpoints at many distances.
        let batch = (1 + rng.below(40) as u64).min(NUMBERS - number);
        let mut request = Vec::new();
        for _ in 0..batch {
            number += 1;
            encode(&["RPUSH", "list", &number.to_string()], &mut request);
        }
        client.send_raw(&request)?;
        for _ in 0..batch {
            client.read_reply()?;
        }
    }
    drop(server);
    let folder = directory.join(FOLDER);
    let mut logs: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    logs.retain(|path| path.to_string_lossy().ends_with(".incr.aof"));
    ensure!(logs.len() == 1, "there are {} logs", logs.len());
    let bytes = fs::read(&logs[0])?;
    let find = |what: &[u8]| -> Vec<usize> {
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(what)).collect()
    };
    let commands = find(COMMAND);
    ensure!(commands.len() as u64 == NUMBERS, "{} commands are in the log", commands.len());
    let vouched = find(b"#CRC:").last().map_or(0, |at| durable(&bytes[*at..]));
    Ok(Log { directory: directory.to_owned(), file: logs.remove(0), bytes, commands, vouched })
}

/// How much of the log was on disk before its last checkpoint: a flipped bit behind that may be a torn write.
fn durable(checkpoint: &[u8]) -> usize {
    let field = checkpoint.split(|byte| *byte == b':').nth(2).unwrap_or_default();
    std::str::from_utf8(field).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn try_one(binary: &Path, log: &Log, damage: Damage, i: u64, tally: &mut Tally) -> anyhow::Result<()> {
    let (at, bytes) = match damage {
        Damage::Torn(at) => (at, log.bytes[..at].to_vec()),
        Damage::Flipped(at) => {
            let mut bytes = log.bytes.clone();
            bytes[at] ^= 1 << (i % 8);
            (at, bytes)
        }
    };
    fs::write(&log.file, &bytes)?;
    let tried = try_file(binary, log, damage, at, i.is_multiple_of(STARTS), tally);
    fs::write(&log.file, &log.bytes)?;
    tried
}

fn try_file(
    binary: &Path,
    log: &Log,
    damage: Damage,
    at: usize,
    is_started: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    tally.tried += 1;
    let output = Command::new(binary).arg("--check-aof").arg(&log.file).output()?;
    let sound = sound(&output)?;
    let is_whole = matches!(damage, Damage::Torn(_)) && output.status.success();
    if !is_whole {
        ensure!(!output.status.success(), "the check finds nothing");
        ensure!(sound <= at, "the check says that {sound} bytes are sound");
        tally.named += 1;
    }
    if !is_started {
        return Ok(());
    }
    // The start may repair the file.
    match Binary::ours(binary).start(&DIRECTIVES, Some(&log.directory)) {
        Ok(server) => {
            let kept = server.connect().context("no connection").and_then(|mut client| numbers(&mut client));
            let kept = kept.with_context(|| format!("the server says\n{}", server.log()))?;
            let whole = log.commands.iter().filter(|begin| **begin < sound).count() as u64;
            ensure!(kept >= whole, "{kept} numbers are there of {whole} that are sound");
            if let Damage::Flipped(_) = damage {
                bail!("the server starts with {kept} numbers in spite of damage inside");
            }
            tally.started += 1;
        }
        Err(error) => {
            let reason = error.to_string();
            ensure!(matches!(damage, Damage::Flipped(_)), "it does not start: {reason}");
            ensure!(reason.contains("offset"), "no offset is named: {reason}");
            tally.refused += 1;
        }
    }
    Ok(())
}

/// The number of sound bytes that the check tool names.
fn sound(output: &Output) -> anyhow::Result<usize> {
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = text.split_once("ok_up_to=").with_context(|| text.clone().into_owned())?;
    let digits = rest.split(',').next().unwrap_or("");
    digits.parse().with_context(|| text.clone().into_owned())
}

/// How many numbers there are. They have to be the first ones.
fn numbers(client: &mut Client) -> anyhow::Result<u64> {
    let reply = client.call(&["LRANGE", "list", "0", "-1"])?;
    let (_, elements) = reply::elements(&reply).context("LRANGE")?;
    for (i, element) in elements.iter().enumerate() {
        let wanted = (i + 1).to_string();
        ensure!(
            reply::payload(element) == Some(wanted.as_bytes()),
            "element {i} is {}",
            element.escape_ascii()
        );
    }
    Ok(elements.len() as u64)
}
