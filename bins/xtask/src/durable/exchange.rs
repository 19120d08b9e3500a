//! `cargo xtask exchange`: files, payloads and logs go between ours and each real server, both ways, and datasets stay
//! equal. Each does so twice: with collections that are packed, and with limits that leave none of them so.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use carnelian_testkit::{Client, Server, reply};

use super::servers::{self, Binary, Kind};
use super::{dataset, view};
use crate::options::Options;

/// The file that everybody saves and loads.
const FILE: [&str; 2] = ["--dbfilename", "it.rdb"];
/// The folder of logs.
const FOLDER: &str = "appendonlydir";

/// Tries everything; the first difference is an error.
pub(crate) fn run(args: Vec<String>) -> anyhow::Result<()> {
    let mut options = Options::new(args);
    let ours = options.take("--ours")?.context("--ours names our binary")?;
    let ours = Binary::ours(Path::new(&ours).canonicalize().context(ours)?);
    let real = servers::real(&mut options)?;
    ensure!(options.rest()?.is_empty(), "usage: cargo xtask exchange --ours BIN [--peers DIR] [--older BIN]");
    for other in &real {
        for (from, to) in [(other, &ours), (&ours, other)] {
            for is_large in [false, true] {
                exchange(&Exchange { from, to, is_large })?;
            }
        }
    }
    Ok(())
}

fn exchange(exchange: &Exchange<'_>) -> anyhow::Result<()> {
    let what = exchange.name();
    let report = |way: &str, keys: anyhow::Result<usize>| {
        let keys = keys.with_context(|| format!("{way}, {what}"))?;
        println!("{way}, {what}: {keys} keys");
        anyhow::Ok(())
    };
    report("file", exchange.by_file())?;
    report("RESTORE", exchange.by_payload())?;
    report("log and dump", exchange.by_log("yes"))?;
    report("log of commands", exchange.by_log("no"))
}

/// Who gives a dataset to whom.
struct Exchange<'a> {
    from: &'a Binary,
    to: &'a Binary,
    /// Whether collections are to be tables and trees.
    is_large: bool,
}

impl Exchange<'_> {
    fn name(&self) -> String {
        let size = if self.is_large { "large" } else { "packed" };
        format!("{} to {}, {size}", self.from.kind.name(), self.to.kind.name())
    }

    /// Whose commands both understand.
    fn kind(&self) -> Kind {
        let is_older = |binary: &Binary| binary.kind == Kind::Redis70;
        if is_older(self.from) || is_older(self.to) { Kind::Redis70 } else { self.from.kind }
    }

    /// The format in which ours has to write for somebody.
    fn format(&self) -> &'static [&'static str] {
        match (self.from.kind, self.to.kind) {
            (Kind::Ours, Kind::Redis70) => &["--rdb-format", "redis-10"],
            (Kind::Ours, Kind::Redis82) => &["--rdb-format", "redis-12"],
            (Kind::Ours, Kind::Valkey91) => &["--rdb-format", "valkey-80"],
            _ => &[],
        }
    }

    /// A server with the dataset, and the dataset.
    fn source(&self, directives: &[&str]) -> anyhow::Result<(Server, Client, Vec<String>)> {
        let mut args = [&FILE, self.format(), directives].concat();
        if self.is_large {
            args.extend(dataset::large(self.from.kind));
        }
        let server = self.from.start(&args, None)?;
        let mut client = server.connect()?;
        if self.is_large {
            dataset::make_large_elements(&mut client)?;
        }
        dataset::fill(&mut client, self.kind())?;
        let dataset = view::dataset(&mut client, self.kind().has_field_deadlines())?;
        Ok((server, client, dataset))
    }

    /// Whether the dataset has arrived; how many keys it has.
    fn compare(&self, wanted: &[String], target: &mut Client) -> anyhow::Result<usize> {
        let arrived = view::dataset(target, self.kind().has_field_deadlines())?;
        for (wanted, arrived) in wanted.iter().zip(&arrived) {
            ensure!(wanted == arrived, "it was\n{wanted}\nand became\n{arrived}");
        }
        ensure!(wanted.len() == arrived.len(), "{} keys became {}", wanted.len(), arrived.len());
        Ok(arrived.len())
    }

    fn by_file(&self) -> anyhow::Result<usize> {
        let (saving, mut client, wanted) = self.source(&[])?;
        let saved = client.call(&["SAVE"])?;
        ensure!(saved.starts_with(b"+OK"), "{}", saved.escape_ascii());
        let directory = tempfile::tempdir()?;
        fs::copy(saving.directory().join(FILE[1]), directory.path().join(FILE[1]))?;
        let loading = self.to.start(&FILE, Some(directory.path()))?;
        let mut target = loading.connect()?;
        same_functions(&mut client, &mut target)?;
        self.compare(&wanted, &mut target)
    }

    fn by_payload(&self) -> anyhow::Result<usize> {
        let (_dumping, mut source, wanted) = self.source(&[])?;
        let restoring = self.to.start(&FILE, None)?;
        let mut target = restoring.connect()?;
        let functions = source.call(&["FUNCTION", "DUMP"])?;
        let functions = reply::payload(&functions).context("FUNCTION DUMP gave no payload")?;
        let restored = target.call(&[b"FUNCTION".as_slice(), b"RESTORE", functions])?;
        ensure!(restored.starts_with(b"+OK"), "functions: {}", restored.escape_ascii());
        for db in 0..16 {
            source.call(&["SELECT", &db.to_string()])?;
            target.call(&["SELECT", &db.to_string()])?;
            for key in keys(&mut source)? {
                restore(&mut source, &mut target, &key).with_context(|| key.escape_ascii().to_string())?;
            }
        }
        same_functions(&mut source, &mut target)?;
        self.compare(&wanted, &mut target)
    }

    /// By a base with half of what was written, and a log with the other half.
    fn by_log(&self, preamble: &str) -> anyhow::Result<usize> {
        let directives = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
        let (logging, mut client, _) = self.source(&directives)?;
        client.call(&["BGREWRITEAOF"])?;
        until_rewritten(&mut client)?;
        dataset::change(&mut client, self.kind())?;
        let wanted = view::dataset(&mut client, self.kind().has_field_deadlines())?;
        client.send(&["SHUTDOWN", "NOSAVE"])?;
        client.read_to_close()?;
        let log = logging.directory().join(FOLDER);
        let wanted = match self.from.kind {
            Kind::Ours => wanted,
            // The oldest one does not log all of a group's facts.
            _ => view::dataset(
                &mut replay(self.from, &log, &directives)?.1,
                self.kind().has_field_deadlines(),
            )?,
        };
        let (_loading, mut target) = replay(self.to, &log, &directives)?;
        self.compare(&wanted, &mut target)
    }
}

/// A server that has loaded a copy of a log.
fn replay(binary: &Binary, log: &Path, directives: &[&str]) -> anyhow::Result<(Server, Client)> {
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join(FOLDER);
    fs::create_dir(&copy)?;
    for file in fs::read_dir(log)? {
        let file = file?;
        fs::copy(file.path(), copy.join(file.file_name()))?;
    }
    let server = binary.start(&[&FILE[..], directives].concat(), Some(directory.path()))?;
    let client = server.connect()?;
    Ok((server, client))
}

/// Passes a value on, with its deadline.
fn restore(source: &mut Client, target: &mut Client, key: &[u8]) -> anyhow::Result<()> {
    let payload = source.call(&[b"DUMP".as_slice(), key])?;
    let payload = reply::payload(&payload).context("DUMP gave no payload")?;
    let at = reply::integer(&source.call(&[b"PEXPIRETIME".as_slice(), key])?).unwrap_or(-1).max(0);
    let restored =
        target.call(&[b"RESTORE".as_slice(), key, at.to_string().as_bytes(), payload, b"ABSTTL"])?;
    ensure!(restored.starts_with(b"+OK"), "{}", restored.escape_ascii());
    Ok(())
}

fn same_functions(source: &mut Client, target: &mut Client) -> anyhow::Result<()> {
    let list = |client: &mut Client| client.call(&["FUNCTION", "LIST", "WITHCODE"]);
    let (wanted, arrived) = (list(source)?, list(target)?);
    ensure!(wanted == arrived, "{} became {}", wanted.escape_ascii(), arrived.escape_ascii());
    Ok(())
}

fn until_rewritten(client: &mut Client) -> anyhow::Result<()> {
    for _ in 0..1000 {
        let info = client.call(&["INFO", "persistence"])?;
        let info = String::from_utf8_lossy(&info);
        if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
            ensure!(info.contains("aof_last_bgrewrite_status:ok"), "the rewrite failed");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("the rewrite does not end")
}

fn keys(client: &mut Client) -> anyhow::Result<Vec<Vec<u8>>> {
    let reply = client.call(&["KEYS", "*"])?;
    let (_, keys) = reply::elements(&reply).context("KEYS gave no array")?;
    Ok(keys.iter().filter_map(|key| reply::payload(key)).map(<[u8]>::to_vec).collect())
}
