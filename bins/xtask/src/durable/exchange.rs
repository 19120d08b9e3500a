//! `cargo xtask exchange`: files and payloads go between ours and each real server, both ways, and datasets stay equal.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use carnelian_testkit::{Client, reply};

use super::servers::{self, Binary, Kind};
use super::{dataset, view};
use crate::options::Options;

/// The file that everybody saves and loads.
const FILE: [&str; 2] = ["--dbfilename", "it.rdb"];

/// Tries everything; the first difference is an error.
pub(crate) fn run(args: Vec<String>) -> anyhow::Result<()> {
    let mut options = Options::new(args);
    let ours = options.take("--ours")?.context("--ours names our binary")?;
    let ours = Binary::ours(Path::new(&ours).canonicalize().context(ours)?);
    let real = servers::real(&mut options)?;
    ensure!(options.rest()?.is_empty(), "usage: cargo xtask exchange --ours BIN [--peers DIR] [--older BIN]");
    for other in &real {
        for (from, to) in [(other, &ours), (&ours, other)] {
            let what = format!("{} to {}", from.kind.name(), to.kind.name());
            let keys = by_file(from, to).with_context(|| format!("file, {what}"))?;
            println!("file, {what}: {keys}");
            let keys = by_payload(from, to).with_context(|| format!("RESTORE, {what}"))?;
            println!("RESTORE, {what}: {keys}");
        }
    }
    Ok(())
}

/// What both understand. The oldest loads nothing newer than version 10, which nobody else writes.
fn common(from: &Binary, to: &Binary) -> Kind {
    if from.kind == Kind::Redis70 || to.kind == Kind::Redis70 { Kind::Redis70 } else { from.kind }
}

/// The format in which ours has to write for somebody.
fn directives(from: &Binary, to: &Binary) -> Vec<&'static str> {
    let format = match (from.kind, to.kind) {
        (Kind::Ours, Kind::Redis82) => "redis-12",
        (Kind::Ours, Kind::Valkey91) => "valkey-80",
        _ => return FILE.to_vec(),
    };
    [&FILE[..], &["--rdb-format", format]].concat()
}

fn by_file(from: &Binary, to: &Binary) -> anyhow::Result<String> {
    if to.kind == Kind::Redis70 {
        return Ok("not possible: it loads nothing newer than version 10".to_owned());
    }
    let kind = common(from, to);
    let saving = from.start(&directives(from, to), None)?;
    let mut client = saving.connect()?;
    dataset::fill(&mut client, kind)?;
    let wanted = view::dataset(&mut client, kind.has_field_deadlines())?;
    let saved = client.call(&["SAVE"])?;
    ensure!(saved.starts_with(b"+OK"), "{}", saved.escape_ascii());
    let directory = tempfile::tempdir()?;
    fs::copy(saving.directory().join(FILE[1]), directory.path().join(FILE[1]))?;
    let loading = to.start(&FILE, Some(directory.path()))?;
    let arrived = view::dataset(&mut loading.connect()?, kind.has_field_deadlines())?;
    compare(&wanted, &arrived)?;
    Ok(format!("{} keys", arrived.len()))
}

fn by_payload(from: &Binary, to: &Binary) -> anyhow::Result<String> {
    if to.kind == Kind::Redis70 {
        return Ok("not possible: it restores nothing newer than version 10".to_owned());
    }
    let kind = common(from, to);
    let (dumping, restoring) = (from.start(&directives(from, to), None)?, to.start(&FILE, None)?);
    let (mut source, mut target) = (dumping.connect()?, restoring.connect()?);
    dataset::fill(&mut source, kind)?;
    let wanted = view::dataset(&mut source, kind.has_field_deadlines())?;
    for db in 0..16 {
        source.call(&["SELECT", &db.to_string()])?;
        target.call(&["SELECT", &db.to_string()])?;
        for key in keys(&mut source)? {
            let payload = source.call(&[b"DUMP".as_slice(), &key[..]])?;
            let payload = reply::payload(&payload).context("DUMP gave no payload")?;
            let at =
                reply::integer(&source.call(&[b"PEXPIRETIME".as_slice(), &key[..]])?).unwrap_or(-1).max(0);
            let at = at.to_string();
            let restored =
                target.call(&[b"RESTORE".as_slice(), &key[..], at.as_bytes(), payload, b"ABSTTL"])?;
            ensure!(restored.starts_with(b"+OK"), "{}: {}", key.escape_ascii(), restored.escape_ascii());
        }
    }
    let arrived = view::dataset(&mut target, kind.has_field_deadlines())?;
    compare(&wanted, &arrived)?;
    Ok(format!("{} keys", arrived.len()))
}

fn keys(client: &mut Client) -> anyhow::Result<Vec<Vec<u8>>> {
    let reply = client.call(&["KEYS", "*"])?;
    let (_, keys) = reply::elements(&reply).context("KEYS gave no array")?;
    Ok(keys.iter().filter_map(|key| reply::payload(key)).map(<[u8]>::to_vec).collect())
}

fn compare(wanted: &[String], arrived: &[String]) -> anyhow::Result<()> {
    for (wanted, arrived) in wanted.iter().zip(arrived) {
        ensure!(wanted == arrived, "it was\n{wanted}\nand became\n{arrived}");
    }
    ensure!(wanted.len() == arrived.len(), "{} keys became {}", wanted.len(), arrived.len());
    Ok(())
}
