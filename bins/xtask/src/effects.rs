//! `cargo xtask effects`: what servers log for each of a list of commands, ours against the peers'.
//!
//! Redis is the reference, and Valkey for what only Valkey has. Every server runs with an append-only file of commands;
//! after each command the new part of that file is read. `effects/commands.txt` holds the commands, one a line:
//!
//! ```text
//! # a comment
//! SET k v PX 100000
//! GETDEL k
//! ~ why ours is another effect than the reference's for the command before
//! later BLPOP l 0          sent by a second client, whose reply comes after the next command's
//! ```

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use carnelian_testkit::{Client, Peer, Server, ServerOptions, quote};

use crate::options::Options;
use crate::workspace;

const COMMANDS: &str = include_str!("effects/commands.txt");

/// How long a command that waits may take to arrive, and an effect to be in the file.
const PATIENCE: Duration = Duration::from_millis(40);

/// A command of the list.
struct Line {
    number: usize,
    text: &'static str,
    /// Sent by the second client.
    later: bool,
    /// Why ours differs.
    reason: Option<&'static str>,
}

fn parse(text: &'static str) -> anyhow::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for (i, text) in text.lines().enumerate().filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
        if let Some(reason) = text.strip_prefix("~ ") {
            let line =
                lines.last_mut().with_context(|| format!("line {}: a reason without command", i + 1))?;
            line.reason = Some(reason);
            continue;
        }
        let (later, text) = match text.strip_prefix("later ") {
            Some(text) => (true, text),
            None => (false, text),
        };
        lines.push(Line { number: i + 1, text, later, reason: None });
    }
    Ok(lines)
}

/// A server, its clients, and how far its log has been read.
struct Logging {
    server: Server,
    client: Client,
    second: Client,
    /// Whether the second client has yet to get a reply.
    awaits: bool,
    read: usize,
}

impl Logging {
    fn start(binary: PathBuf) -> anyhow::Result<Logging> {
        let args = ["--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--appendfsync", "always"];
        let server = ServerOptions::new(binary).args(args).start()?;
        let (mut client, second) = (server.connect()?, server.connect()?);
        client.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?;
        Ok(Logging { server, client, second, awaits: false, read: 0 })
    }

    /// Runs a command and returns its effects, as they compare; `None` if it is an error.
    fn run(&mut self, line: &Line) -> anyhow::Result<Option<Vec<String>>> {
        let words = quote::split(line.text).map_err(|_| anyhow::anyhow!("unbalanced quotes"))?;
        let mut failed = false;
        if line.later {
            self.second.send(&words)?;
            self.awaits = true;
            thread::sleep(PATIENCE);
        } else {
            failed = self.client.call(&words)?.starts_with(b"-");
            if std::mem::take(&mut self.awaits) {
                self.second.read_reply()?;
            }
        }
        let effects = self.effects()?;
        Ok((!failed || !effects.is_empty()).then_some(effects))
    }

    /// What has been logged since the last call.
    fn effects(&mut self) -> anyhow::Result<Vec<String>> {
        let directory = self.server.directory().join("appendonlydir");
        let mut files: Vec<PathBuf> = fs::read_dir(&directory)
            .with_context(|| format!("{} has no log", self.server.directory().display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with(".incr.aof"))
            .collect();
        files.sort();
        let mut bytes = Vec::new();
        for file in files {
            bytes.extend(fs::read(file)?);
        }
        let new = bytes.get(self.read..).unwrap_or_default();
        let effects = commands(new).context("the log is no sequence of commands")?;
        self.read = bytes.len();
        Ok(effects.iter().filter(|words| words[0] != b"SELECT").map(|words| canonical(words)).collect())
    }
}

/// The commands of a log, whose remarks are passed over.
fn commands(mut log: &[u8]) -> Option<Vec<Vec<&[u8]>>> {
    fn line<'a>(log: &mut &'a [u8]) -> Option<&'a [u8]> {
        let end = log.iter().position(|byte| *byte == b'\n')?;
        let line = log[..end].trim_ascii_end();
        *log = &log[end + 1..];
        Some(line)
    }
    let count = |text: &[u8]| str::from_utf8(text.get(1..)?).ok()?.parse::<usize>().ok();
    let mut commands = Vec::new();
    while !log.is_empty() {
        let head = line(&mut log)?;
        if head.starts_with(b"#") {
            continue;
        }
        let mut words = Vec::new();
        for _ in 0..count(head)? {
            let len = count(line(&mut log)?)?;
            words.push(log.get(..len)?);
            log = log.get(len + 2..)?;
        }
        commands.push(words);
    }
    Some(commands)
}

/// A command as it compares: without the case of its name, and without times of this run.
fn canonical(words: &[&[u8]]) -> String {
    let mut text = String::from_utf8_lossy(words[0]).to_uppercase();
    for word in &words[1..] {
        text.push(' ');
        text.push_str(&without_time(&quote::escape(word)));
    }
    text
}

/// Milliseconds of Unix time, and IDs of streams made of them, count from there.
fn without_time(word: &str) -> String {
    const DIGITS: usize = 13;
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &word[digits..];
    let is_id = rest.strip_prefix('-').is_some_and(|tail| tail.bytes().all(|byte| byte.is_ascii_digit()));
    if digits == DIGITS && (rest.is_empty() || is_id) { format!("<time>{rest}") } else { word.to_owned() }
}

pub(crate) fn run(args: Vec<String>) -> anyhow::Result<()> {
    let mut options = Options::new(args);
    let peers = options.peers()?;
    let ours = options.take("--ours")?.map(PathBuf::from);
    let ours = ours.unwrap_or_else(|| workspace::root().join("target/release/carnelian-server"));
    options.rest()?;
    let mut ours = Logging::start(ours)?;
    let mut redis = Logging::start(peers.binary(Peer::Redis))?;
    let mut valkey = Logging::start(peers.binary(Peer::Valkey))?;
    let lines = parse(COMMANDS)?;
    let (mut explained, mut faults) = (0, 0);
    for line in &lines {
        let context = || format!("line {}: {}", line.number, line.text);
        let [found, of_redis, of_valkey] =
            [&mut ours, &mut redis, &mut valkey].map(|server| server.run(line).with_context(context));
        let (found, expected) = (found?.unwrap_or_default(), of_redis?.or(of_valkey?).unwrap_or_default());
        match (found == expected, line.reason) {
            (true, None) => {}
            (false, Some(_)) => explained += 1,
            (true, Some(reason)) => {
                faults += 1;
                println!("line {}: {}\n  is the same, not so: {reason}", line.number, line.text);
            }
            (false, None) => {
                faults += 1;
                let (found, expected) = (found.join(" | "), expected.join(" | "));
                println!("line {}: {}\n  ours {found}\n  not  {expected}", line.number, line.text);
            }
        }
    }
    println!("{} commands, {explained} explained differences, {faults} unexplained", lines.len());
    if faults > 0 {
        bail!("there are unexplained differences");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, commands, parse, without_time};

    #[test]
    fn logs_are_read() {
        let log = b"#TS:5\r\n*2\r\n$3\r\nDEL\r\n$2\r\n\r\n\r\n*1\r\n$5\r\nMULTI\r\n";
        assert_eq!(commands(log), Some(vec![vec![&b"DEL"[..], b"\r\n"], vec![b"MULTI"]]));
        assert_eq!(commands(&log[..20]), None);
    }

    #[test]
    fn times_are_of_no_account() {
        assert_eq!(without_time("1700000000000"), "<time>");
        assert_eq!(without_time("1700000000000-3"), "<time>-3");
        assert_eq!(without_time("1700000000000x"), "1700000000000x");
        assert_eq!(without_time("5-1"), "5-1");
    }

    #[test]
    fn the_list_is_sound() {
        assert!(parse(COMMANDS).expect("it parses").len() > 150);
    }
}
