//! From one list to another: LMOVE, RPOPLPUSH, and those that wait for an element.

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{End, Key, Kind, List};

use super::{BASE, end, list, pop, push, reply};
use crate::blocking::{TimeoutReply, Wait};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// What these rows have in common.
const TRANSFER: Row = Row {
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::RW.union(KeyFlags::INSERT)),
    ],
    complexity: "O(1)",
    ..BASE
};

/// What those that wait have in common.
const WAITING: Row = Row { flags: TRANSFER.flags.union(Flags::BLOCKING), ..TRANSFER };

pub(super) const LMOVE: Row = Row {
    name: "lmove",
    summary: "Takes an element from one end of a list and adds it at one end of another.",
    since: "6.2.0",
    arity: 5,
    syntax: "source:key destination:key <wherefrom=LEFT|RIGHT> <whereto=LEFT|RIGHT>",
    run: lmove,
    ..TRANSFER
};

fn lmove(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to) = (end(cx.arg(3))?, end(cx.arg(4))?);
    if !transfer(cx, from, to)? {
        cx.out.null();
    }
    Ok(())
}

pub(super) const RPOPLPUSH: Row = Row {
    name: "rpoplpush",
    summary: "Takes the last element of a list and adds it at the head of another.",
    since: "1.2.0",
    arity: 3,
    syntax: "source:key destination:key",
    deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
    run: rpoplpush,
    ..TRANSFER
};

fn rpoplpush(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if !transfer(cx, End::Tail, End::Head)? {
        cx.out.null();
    }
    Ok(())
}

pub(super) const BLMOVE: Row = Row {
    name: "blmove",
    summary: "Takes an element from one end of a list and adds it at one end of another; waits if there is none.",
    since: "6.2.0",
    arity: 6,
    syntax: "source:key destination:key <wherefrom=LEFT|RIGHT> <whereto=LEFT|RIGHT> timeout:double",
    run: blmove,
    ..WAITING
};

fn blmove(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to) = (end(cx.arg(3))?, end(cx.arg(4))?);
    transfer_or_wait(cx, (from, to), cx.arg(5), &[b"LMOVE", cx.arg(1), cx.arg(2), cx.arg(3), cx.arg(4)])
}

pub(super) const BRPOPLPUSH: Row = Row {
    name: "brpoplpush",
    summary: "Takes the last element of a list and adds it at the head of another; waits if there is none.",
    since: "2.2.0",
    arity: 4,
    syntax: "source:key destination:key timeout:double",
    deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
    run: brpoplpush,
    ..WAITING
};

fn brpoplpush(cx: &mut Ctx<'_>) -> Result<(), Error> {
    transfer_or_wait(cx, (End::Tail, End::Head), cx.arg(3), &[b"RPOPLPUSH", cx.arg(1), cx.arg(2)])
}

/// Moves an element, with another command as its effect, or waits for one.
fn transfer_or_wait(
    cx: &mut Ctx<'_>,
    (from, to): (End, End),
    timeout: &[u8],
    effect: &[&[u8]],
) -> Result<(), Error> {
    let until_us = cx.deadline_seconds(timeout)?;
    if transfer(cx, from, to)? {
        cx.effect(effect);
        return Ok(());
    }
    cx.block(Wait {
        keys: vec![cx.arg(1).to_vec()],
        kind: Kind::List,
        on_loss: false,
        until_us,
        argv: None,
        timeout_reply: TimeoutReply::Null,
    });
    Ok(())
}

/// Moves an element from the first key's list to the second one's and replies it. Says whether the first exists.
fn transfer(cx: &mut Ctx<'_>, from: End, to: End) -> Result<bool, Error> {
    let (source, destination) = (cx.key(1), cx.key(2));
    let mut value = Vec::new();
    let integer = {
        let guard = cx.keyspace.write(cx.db, source);
        let Some(item) = guard.item() else { return Ok(false) };
        let list = list(&item)?;
        let index = if from == End::Head { 0 } else { list.len() - 1 };
        let element = list.get(index).expect("a list that exists has elements");
        element.with_bytes(|bytes| value.extend_from_slice(bytes));
        element.as_int()
    };
    if source.bytes() == destination.bytes() {
        rotate(cx, source, from, to)?;
        return Ok(true);
    }
    let element = integer.map_or(Element::Bytes(&value), Element::Int);
    let mut guard = cx.keyspace.write(cx.db, destination);
    guard.edit::<List, _>(|list, space| list.push_element(space, to, element))?;
    guard.commit_many(&[push::event(to)], 0);
    reply(cx.out, element);
    let mut guard = cx.keyspace.write(cx.db, source);
    guard.edit::<List, _>(|list, space| list.drop_many(space, from, 1))?;
    pop::commit(guard, from, 1);
    Ok(true)
}

/// Moves an element of a list to one of its ends, and replies it.
fn rotate(cx: &mut Ctx<'_>, key: Key<'_>, from: End, to: End) -> Result<(), Error> {
    let mut guard = cx.keyspace.write(cx.db, key);
    let out = &mut *cx.out;
    guard.edit::<List, _>(|list, space| list.rotate(space, from, to, |element| reply(out, element)))?;
    guard.commit(&[push::event(to), pop::event(from)]);
    Ok(())
}
