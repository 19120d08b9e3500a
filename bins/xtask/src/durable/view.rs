//! A dataset as text, as clients see it: a line for each key, sorted, in a form that depends on no order that is not the
//! dataset's, and on no times but deadlines.
//!
//! `<db> <key> <type> <deadline|->: <element> ...`, where a hash's element is `name=value` with `@deadline` if there is
//! one, a sorted set's `member=score`, and a stream's are its counters, entries, groups, consumers and pending entries.

use std::fmt::Write;

use anyhow::Context;
use carnelian_testkit::{Client, reply};

const DATABASES: usize = 16;

/// All databases. `field_deadlines`: whether the server knows them.
pub(super) fn dataset(client: &mut Client, field_deadlines: bool) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for db in 0..DATABASES {
        client.call(&["SELECT", &db.to_string()])?;
        let keys = client.call(&["KEYS", "*"])?;
        for key in texts(&keys)? {
            let line =
                value(client, &key, field_deadlines).with_context(|| key.escape_ascii().to_string())?;
            lines.push(format!("{db} {line}"));
        }
    }
    client.call(&["SELECT", "0"])?;
    lines.sort();
    Ok(lines)
}

/// The line of one key, without its database.
pub(super) fn value(client: &mut Client, key: &[u8], field_deadlines: bool) -> anyhow::Result<String> {
    let kind = client.call(&[b"TYPE".as_slice(), key])?;
    let kind = std::str::from_utf8(&kind)?.trim().trim_start_matches('+').to_owned();
    let deadline = match reply::integer(&client.call(&[b"PEXPIRETIME".as_slice(), key])?) {
        Some(-1) => "-".to_owned(),
        Some(at) => at.to_string(),
        None => anyhow::bail!("it has no deadline, and not none"),
    };
    let elements = match kind.as_str() {
        "string" => vec![shown(&text(&client.call(&[b"GET".as_slice(), key])?)?)],
        "list" => texts(&client.call(&[b"LRANGE".as_slice(), key, b"0", b"-1"])?)?
            .iter()
            .map(|e| shown(e))
            .collect(),
        "set" => {
            sorted(texts(&client.call(&[b"SMEMBERS".as_slice(), key])?)?.iter().map(|e| shown(e)).collect())
        }
        "zset" => scored(&client.call(&[b"ZRANGE".as_slice(), key, b"0", b"-1", b"WITHSCORES"])?)?,
        "hash" => fields(client, key, field_deadlines)?,
        "stream" => stream(client, key)?,
        other => anyhow::bail!("its type is {other}"),
    };
    Ok(format!("{} {kind} {deadline}: {}", shown(key), elements.join(" ")))
}

fn shown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "\"\"".to_owned();
    }
    bytes.escape_ascii().to_string().replace(' ', "\\x20")
}

fn sorted(mut elements: Vec<String>) -> Vec<String> {
    elements.sort();
    elements
}

fn items(reply: &[u8]) -> anyhow::Result<Vec<&[u8]>> {
    let (_, items) = reply::elements(reply).with_context(|| reply.escape_ascii().to_string())?;
    Ok(items)
}

fn text(reply: &[u8]) -> anyhow::Result<Vec<u8>> {
    let payload = reply::payload(reply).with_context(|| reply.escape_ascii().to_string())?;
    Ok(payload.to_vec())
}

fn texts(reply: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    items(reply)?.into_iter().map(text).collect()
}

/// Servers of different ages print the same double with different digits.
fn scored(reply: &[u8]) -> anyhow::Result<Vec<String>> {
    let words = texts(reply)?;
    let pair = |pair: &[Vec<u8>]| {
        let score: f64 = std::str::from_utf8(&pair[1])?.parse()?;
        Ok(format!("{}={score:?}", shown(&pair[0])))
    };
    words.chunks(2).map(pair).collect()
}

fn fields(client: &mut Client, key: &[u8], field_deadlines: bool) -> anyhow::Result<Vec<String>> {
    let words = texts(&client.call(&[b"HGETALL".as_slice(), key])?)?;
    let mut elements = Vec::new();
    for pair in words.chunks(2) {
        let mut element = format!("{}={}", shown(&pair[0]), shown(&pair[1]));
        if field_deadlines {
            let reply = client.call(&[b"HPEXPIRETIME".as_slice(), key, b"FIELDS", b"1", &pair[0]])?;
            let deadline = items(&reply)?.first().copied().and_then(reply::integer);
            if let Some(at) = deadline.filter(|at| *at >= 0) {
                write!(element, "@{at}")?;
            }
        }
        elements.push(element);
    }
    Ok(sorted(elements))
}

/// The values of a reply of names and values, as text.
fn facts(reply: &[u8], names: &[&str]) -> anyhow::Result<String> {
    let items = items(reply)?;
    let mut out = Vec::new();
    for pair in items.chunks(2) {
        let name = String::from_utf8(text(pair[0])?)?;
        if names.contains(&name.as_str()) {
            let value = reply::payload(pair[1]).map_or_else(
                || reply::integer(pair[1]).map_or("nil".to_owned(), |number| number.to_string()),
                shown,
            );
            out.push(format!("{name}={value}"));
        }
    }
    Ok(out.join(","))
}

fn stream(client: &mut Client, key: &[u8]) -> anyhow::Result<Vec<String>> {
    const COUNTERS: [&str; 4] = ["length", "last-generated-id", "max-deleted-entry-id", "entries-added"];
    let mut out = vec![facts(&client.call(&[b"XINFO".as_slice(), b"STREAM", key])?, &COUNTERS)?];
    for entry in items(&client.call(&[b"XRANGE".as_slice(), key, b"-", b"+"])?)? {
        let parts = items(entry)?;
        let words: Vec<String> = texts(parts[1])?.iter().map(|word| shown(word)).collect();
        out.push(format!("{}:{}", shown(&text(parts[0])?), words.join(",")));
    }
    let groups = client.call(&[b"XINFO".as_slice(), b"GROUPS", key])?;
    for group in items(&groups)? {
        out.push(facts(group, &["name", "last-delivered-id", "entries-read", "pending"])?);
        let name = text(items(group)?[1])?;
        let consumers = client.call(&[b"XINFO".as_slice(), b"CONSUMERS", key, &name])?;
        for consumer in items(&consumers)? {
            out.push(format!("consumer:{}", facts(consumer, &["name", "pending"])?));
        }
        let pending = client.call(&[b"XPENDING".as_slice(), key, &name, b"-", b"+", b"100"])?;
        for entry in items(&pending)? {
            let parts = items(entry)?;
            let deliveries = reply::integer(parts[3]).unwrap_or(0);
            out.push(format!("pending:{},{},{deliveries}", shown(&text(parts[0])?), shown(&text(parts[1])?)));
        }
    }
    Ok(out)
}
