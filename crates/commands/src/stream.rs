//! Streams: the rows of the group, and what its commands share.

mod add;
mod claim;
mod delete;
mod effects;
mod group;
mod id;
mod info;
mod options;
mod pending;
mod range;
mod read;

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::stream::{Entry, Group as ConsumerGroup, StreamId};
use carnelian_keyspace::{Key, Keyspace, Kind, Stream, Value, Write};
use carnelian_resp::ReplyBuf;

use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Group, Row};

pub(crate) static ROWS: &[Row] = &[
    pending::XACK,
    delete::XACKDEL,
    add::XADD,
    claim::XAUTOCLAIM,
    claim::XCLAIM,
    delete::XDEL,
    delete::XDELEX,
    group::XGROUP,
    info::XINFO,
    range::XLEN,
    pending::XPENDING,
    range::XRANGE,
    read::XREAD,
    read::XREADGROUP,
    range::XREVRANGE,
    add::XSETID,
    add::XTRIM,
];

/// What the rows of this group have in common.
const BASE: Row = Row { group: Group::Stream, acl: Acl::STREAM, ..Row::EMPTY };

/// The stream at a key, to read.
fn read<'k>(keyspace: &'k mut Keyspace, db: usize, key: Key<'_>) -> Result<Option<&'k Stream>, Error> {
    match keyspace.read(db, key).map(|item| item.value()) {
        None => Ok(None),
        Some(Value::Stream(stream)) => Ok(Some(stream)),
        Some(_) => Err(Error::WrongType),
    }
}

/// Counts a read of a key that a guard is about to look at: XACK and the claims are reads for the peers.
fn count_read(cx: &mut Ctx<'_>, key: Key<'_>) {
    cx.keyspace.look(cx.db, key);
}

/// The stream that a guard holds, if any.
fn held<'g>(guard: &'g Write<'_>) -> Result<Option<&'g Stream>, Error> {
    match guard.item().map(|item| item.value()) {
        None => Ok(None),
        Some(Value::Stream(stream)) => Ok(Some(stream)),
        Some(_) => Err(Error::WrongType),
    }
}

/// Whether a guard holds a stream; an error if it holds anything else.
fn is_stream(guard: &Write<'_>) -> Result<bool, Error> {
    match guard.item().map(|item| item.kind()) {
        None => Ok(false),
        Some(Kind::Stream) => Ok(true),
        Some(_) => Err(Error::WrongType),
    }
}

fn reply_id(out: &mut ReplyBuf, id: StreamId) {
    id.with_text(|text| out.bulk(text));
}

fn reply_element(out: &mut ReplyBuf, element: Element<'_>) {
    element.with_bytes(|bytes| out.bulk(bytes));
}

/// An entry: its ID and its fields and values.
fn reply_entry(out: &mut ReplyBuf, entry: &Entry<'_>) {
    out.array(2);
    reply_id(out, entry.id());
    out.array(2 * entry.len());
    for (field, value) in entry.pairs() {
        reply_element(out, field);
        reply_element(out, value);
    }
}

/// An array of at most `count` entries.
fn reply_entries<'e>(out: &mut ReplyBuf, entries: impl Iterator<Item = Entry<'e>>, count: usize) {
    let later = out.array_later();
    let mut n = 0;
    for entry in entries.take(count) {
        reply_entry(out, &entry);
        n += 1;
    }
    out.finish(later, n);
}

/// The limit that a COUNT stands for: `none` or less means none.
fn count_or_all(count: i64, none: i64) -> usize {
    if count <= none { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) }
}

/// An error that names two things a client sent, as far as they are text of C.
fn naming_two(head: &str, first: &[u8], middle: &str, second: &[u8], tail: &str) -> Error {
    let parts =
        [head.as_bytes(), id::c_string(first), middle.as_bytes(), id::c_string(second), tail.as_bytes()];
    Error::Bytes(parts.concat().into())
}

fn no_key_or_group(key: &[u8], group: &[u8]) -> Error {
    naming_two("NOGROUP No such key '", key, "' or consumer group '", group, "'")
}

fn no_group(group: &[u8], key: &[u8]) -> Error {
    naming_two("NOGROUP No such consumer group '", group, "' for key name '", key, "'")
}

/// A group's counter of entries read; null if it is not known.
fn reply_entries_read(out: &mut ReplyBuf, group: &ConsumerGroup) {
    match group.read {
        Some(read) => out.integer(read),
        None => out.null(),
    }
}
