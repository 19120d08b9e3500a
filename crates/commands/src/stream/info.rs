//! XINFO: what is known about streams, groups and consumers.

use carnelian_keyspace::Stream;
use carnelian_keyspace::stream::{Group, Log, StreamId};
use carnelian_resp::ReplyBuf;

use super::{BASE, count_or_all, no_group, read, reply_entries, reply_entries_read, reply_entry, reply_id};
use crate::args::{int, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Flags, KeyFlags, KeySpec, Row};

pub(super) const XINFO: Row = Row {
    name: "xinfo",
    summary: "Commands that tell about streams and their groups.",
    since: "5.0.0",
    arity: -2,
    complexity: "Depends on subcommand.",
    subcommands: &[CONSUMERS, GROUPS, HELP, STREAM],
    acl: Acl::empty(),
    ..BASE
};

const KEY: &[KeySpec] = &[KeySpec::one(2, KeyFlags::RO.union(KeyFlags::ACCESS))];

/// The stream that the third word names.
fn required<'k>(cx: &'k mut Ctx<'_>) -> Result<(&'k Stream, &'k mut ReplyBuf), Error> {
    let key = cx.key(2);
    let stream = read(cx.keyspace, cx.db, key)?.ok_or(Error::NoSuchKey)?;
    Ok((stream, &mut *cx.out))
}

const CONSUMERS: Row = Row {
    name: "consumers",
    summary: "Lists the consumers of a group.",
    since: "5.0.0",
    arity: 4,
    flags: Flags::READONLY,
    keys: KEY,
    syntax: "key group",
    complexity: "O(N) for N consumers.",
    tips: &["nondeterministic_output"],
    run: consumers,
    ..BASE
};

fn consumers(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, name, now) = (cx.arg(2), cx.arg(3), cx.now_ms() as i64);
    let (stream, out) = required(cx)?;
    let group = stream.groups().get(name).ok_or_else(|| no_group(name, key))?;
    out.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        out.map(4);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"pending");
        out.integer(consumer.pending_len() as i64);
        out.bulk(b"idle");
        out.integer(now.saturating_sub_unsigned(consumer.seen_at).max(0));
        out.bulk(b"inactive");
        out.integer(consumer.active_at.map_or(-1, |at| now.saturating_sub_unsigned(at)));
    }
    Ok(())
}

const GROUPS: Row = Row {
    name: "groups",
    summary: "Lists the consumer groups of a stream.",
    since: "5.0.0",
    arity: 3,
    flags: Flags::READONLY,
    keys: KEY,
    syntax: "key",
    complexity: "O(N) for N groups.",
    run: groups,
    ..BASE
};

fn groups(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (stream, out) = required(cx)?;
    out.array(stream.groups().len());
    for (name, group) in stream.groups().iter() {
        out.map(6);
        out.bulk(b"name");
        out.bulk(name);
        out.bulk(b"consumers");
        out.integer(group.consumers().len() as i64);
        out.bulk(b"pending");
        out.integer(group.pending_len() as i64);
        reply_progress(out, stream.log(), group);
    }
    Ok(())
}

/// Up to where a group has read, in three pairs.
fn reply_progress(out: &mut ReplyBuf, log: &Log, group: &Group) {
    out.bulk(b"last-delivered-id");
    reply_id(out, group.last_id);
    out.bulk(b"entries-read");
    reply_entries_read(out, group);
    out.bulk(b"lag");
    match group.lag(log) {
        Some(lag) => out.integer(lag),
        None => out.null(),
    }
}

const STREAM: Row = Row {
    name: "stream",
    summary: "Tells about a stream, and with FULL about its entries, groups and consumers.",
    since: "5.0.0",
    arity: -3,
    flags: Flags::READONLY,
    keys: KEY,
    syntax: "key [full-block=FULL [COUNT count]]",
    complexity: "O(N) for N nodes, and what is returned.",
    run: stream,
    ..BASE
};

/// How many entries FULL shows; `None` without it.
fn full(cx: &Ctx<'_>) -> Result<Option<i64>, Error> {
    const DEFAULT: i64 = 10;
    let words = cx.argv.len();
    let is_full = (words == 4 || words == 6) && is(cx.arg(3), "FULL");
    match words {
        3 => Ok(None),
        4 if is_full => Ok(Some(DEFAULT)),
        6 if is_full && is(cx.arg(4), "COUNT") => {
            let count = int(cx.arg(5))?;
            Ok(Some(if count < 0 { DEFAULT } else { count }))
        }
        _ => Err(Error::subcommand_or_arity("XINFO", cx.arg(1))),
    }
}

fn stream(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let full = full(cx);
    let (stream, out) = required(cx)?;
    let full = full?;
    let log = stream.log();
    out.map(if full.is_some() { 9 } else { 10 });
    out.bulk(b"length");
    out.integer(log.len() as i64);
    out.bulk(b"radix-tree-keys");
    out.integer(log.node_count() as i64);
    out.bulk(b"radix-tree-nodes");
    out.integer(tree_nodes(log) as i64);
    out.bulk(b"last-generated-id");
    reply_id(out, log.last_id());
    out.bulk(b"max-deleted-entry-id");
    reply_id(out, log.max_deleted_id());
    out.bulk(b"entries-added");
    out.integer(log.added() as i64);
    out.bulk(b"recorded-first-entry-id");
    reply_id(out, log.first_id());
    match full {
        Some(count) => reply_full(out, stream, count_or_all(count, 0)),
        None => reply_edges(out, stream),
    }
    Ok(())
}

/// The number of groups, the first entry and the last one.
fn reply_edges(out: &mut ReplyBuf, stream: &Stream) {
    let (log, all) = (stream.log(), (StreamId::MIN, StreamId::MAX));
    out.bulk(b"groups");
    out.integer(stream.groups().len() as i64);
    let edges = [
        (&b"first-entry"[..], log.range(all.0, all.1).next()),
        (b"last-entry", log.range_back(all.0, all.1).next()),
    ];
    for (name, entry) in edges {
        out.bulk(name);
        match entry {
            Some(entry) => reply_entry(out, &entry),
            None => out.null(),
        }
    }
}

/// At most `count` entries, and all groups with at most `count` pending entries each.
fn reply_full(out: &mut ReplyBuf, stream: &Stream, count: usize) {
    let log = stream.log();
    out.bulk(b"entries");
    reply_entries(out, log.range(StreamId::MIN, StreamId::MAX), count);
    out.bulk(b"groups");
    out.array(stream.groups().len());
    for (name, group) in stream.groups().iter() {
        out.map(7);
        out.bulk(b"name");
        out.bulk(name);
        reply_progress(out, log, group);
        out.bulk(b"pel-count");
        out.integer(group.pending_len() as i64);
        out.bulk(b"pending");
        out.array(group.pending_len().min(count));
        for (id, pending) in group.pending(StreamId::MIN, StreamId::MAX, None).take(count) {
            out.array(4);
            reply_id(out, id);
            out.bulk(group.consumer(pending.consumer).name());
            out.integer(pending.delivered_at as i64);
            out.integer(pending.deliveries as i64);
        }
        reply_consumers(out, group, count);
    }
}

/// All consumers of a group with at most `count` pending entries each.
fn reply_consumers(out: &mut ReplyBuf, group: &Group, count: usize) {
    out.bulk(b"consumers");
    out.array(group.consumers().len());
    for (id, consumer) in group.consumers() {
        out.map(5);
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"seen-time");
        out.integer(consumer.seen_at as i64);
        out.bulk(b"active-time");
        out.integer(consumer.active_at.map_or(-1, |at| at as i64));
        out.bulk(b"pel-count");
        out.integer(consumer.pending_len() as i64);
        out.bulk(b"pending");
        out.array(consumer.pending_len().min(count));
        for (id, pending) in group.pending(StreamId::MIN, StreamId::MAX, Some(id)).take(count) {
            out.array(3);
            reply_id(out, id);
            out.integer(pending.delivered_at as i64);
            out.integer(pending.deliveries as i64);
        }
    }
}

const ID_BYTES: usize = 16;

/// How many nodes a radix tree with compressed paths would have that holds the nodes of the stream: what clients
/// are used to read here, though there is no such tree.
fn tree_nodes(log: &Log) -> usize {
    let ids: Vec<_> = log.nodes().map(|(id, _)| id.to_bytes()).collect();
    if ids.is_empty() { 1 } else { subtree_nodes(&ids, 0) }
}

/// The same for keys that share their first `depth` bytes: a node where they part, one for the path to it, and
/// those below; a leaf for a single key.
fn subtree_nodes(ids: &[[u8; ID_BYTES]], depth: usize) -> usize {
    let (first, last) = (ids[0], ids[ids.len() - 1]);
    let parting = first.iter().zip(&last).take_while(|(a, b)| a == b).count();
    let below: usize = match parting {
        ID_BYTES => 0,
        _ => ids.chunk_by(|a, b| a[parting] == b[parting]).map(|ids| subtree_nodes(ids, parting + 1)).sum(),
    };
    1 + usize::from(parting > depth) + below
}

const HELP: Row = Row {
    name: "help",
    summary: "Lists the subcommands.",
    since: "5.0.0",
    arity: 2,
    flags: Flags::HELPING,
    complexity: "O(1)",
    run: crate::help::help,
    ..BASE
};
