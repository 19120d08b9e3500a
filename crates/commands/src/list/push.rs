//! Adding at the ends: LPUSH, RPUSH, and their variants for lists that exist.

use carnelian_keyspace::{End, Event, List};

use super::BASE;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// What these rows have in common.
const PUSH: Row = Row {
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    syntax: "key element...",
    complexity: "O(N), N being the number of elements.",
    ..BASE
};

pub(super) const LPUSH: Row = Row {
    name: "lpush",
    summary: "Adds elements at the head of a list, one after the other; the last one becomes the first.",
    since: "1.0.0",
    run: lpush,
    ..PUSH
};

fn lpush(cx: &mut Ctx<'_>) -> Result<(), Error> {
    push(cx, End::Head, true)
}

pub(super) const LPUSHX: Row = Row {
    name: "lpushx",
    summary: "Adds elements at the head of a list that exists.",
    since: "2.2.0",
    run: lpushx,
    ..PUSH
};

fn lpushx(cx: &mut Ctx<'_>) -> Result<(), Error> {
    push(cx, End::Head, false)
}

pub(super) const RPUSH: Row = Row {
    name: "rpush",
    summary: "Adds elements at the tail of a list.",
    since: "1.0.0",
    run: rpush,
    ..PUSH
};

fn rpush(cx: &mut Ctx<'_>) -> Result<(), Error> {
    push(cx, End::Tail, true)
}

pub(super) const RPUSHX: Row = Row {
    name: "rpushx",
    summary: "Adds elements at the tail of a list that exists.",
    since: "2.2.0",
    run: rpushx,
    ..PUSH
};

fn rpushx(cx: &mut Ctx<'_>) -> Result<(), Error> {
    push(cx, End::Tail, false)
}

/// The event of adding at an end.
pub(super) fn event(end: End) -> Event {
    match end {
        End::Head => Event::list("lpush"),
        End::Tail => Event::list("rpush"),
    }
}

/// Adds the words from the second on, if the key exists or may be created.
fn push(cx: &mut Ctx<'_>, end: End, create: bool) -> Result<(), Error> {
    let (key, values) = (cx.key(1), cx.argv.skip(2));
    let mut guard = cx.keyspace.write(cx.db, key);
    if !create && !guard.exists() {
        cx.out.integer(0);
        return Ok(());
    }
    let len = guard.edit::<List, _>(|list, space| {
        list.push(space, end, values.iter());
        list.len()
    })?;
    guard.commit_many(&[event(end)], values.len() as u64);
    cx.out.integer(len as i64);
    Ok(())
}
