//! Several sets: intersection, union, difference, as a reply or stored at a key.

use std::ops::ControlFlow;

use carnelian_keyspace::{Event, Key, Keyspace, Set, SetRef, Space};
use carnelian_resp::number;

use super::{BASE, reply, set};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// The keys of the sets of a command that replies, and of one that stores.
const READ: KeySpec = KeySpec::range(1, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS));
const STORED: KeySpec = KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE));
const SOURCES: KeySpec = KeySpec::range(2, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS));

/// The rows of commands that reply members, and of those that store them.
const REPLYING: Row = Row {
    arity: -2,
    flags: Flags::READONLY,
    keys: &[READ],
    syntax: "key...",
    tips: &["nondeterministic_output_order"],
    ..BASE
};
const STORING: Row = Row {
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[STORED, SOURCES],
    syntax: "destination:key key...",
    ..BASE
};

/// The sets at `count` keys from argument `first` on, `None` where the key is absent, and what building sets takes.
fn sets<'k>(
    keyspace: &'k mut Keyspace,
    db: usize,
    keys: impl Iterator<Item = Key<'k>>,
) -> Result<(Vec<Option<SetRef<'k>>>, Space<'k>), Error> {
    keyspace.read_all(db, keys, |item| item.as_ref().map(set).transpose())
}

/// The keys at arguments `first` to `end`, exclusive.
fn keys<'a>(cx: &Ctx<'a>, first: usize, end: usize) -> Vec<Key<'a>> {
    (first..end).map(|i| cx.key(i)).collect()
}

/// Replaces what the first key holds by the set that `build` makes of the sets at the other keys; an empty one removes
/// the key. Replies its size.
fn store(
    cx: &mut Ctx<'_>,
    event: &'static str,
    build: impl FnOnce(Vec<Option<SetRef<'_>>>, &mut Space<'_>) -> Set,
) -> Result<(), Error> {
    let (target, keys) = (cx.key(1), keys(cx, 2, cx.argv.len()));
    let (sets, mut space) = sets(cx.keyspace, cx.db, keys.into_iter())?;
    let result = build(sets, &mut space);
    let len = result.view().len();
    if len == 0 {
        result.discard(&mut space);
        let mut guard = cx.keyspace.write(cx.db, target);
        if guard.exists() {
            guard.remove();
            guard.commit(&[Event::generic("del")]);
        }
    } else {
        let mut guard = cx.keyspace.write(cx.db, target);
        guard.replace(result);
        guard.commit(&[Event::set(event)]);
    }
    cx.out.integer(len as i64);
    Ok(())
}

/// All sets, unless one of them is absent.
fn none_absent(sets: Vec<Option<SetRef<'_>>>) -> Option<Vec<SetRef<'_>>> {
    sets.into_iter().collect()
}

pub(super) const SINTER: Row = Row {
    name: "sinter",
    summary: "Returns the members that all of several sets have.",
    since: "1.0.0",
    complexity: "O(N*M), N being the size of the smallest set and M the number of sets.",
    run: sinter,
    ..REPLYING
};

fn sinter(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = keys(cx, 1, cx.argv.len());
    let (sets, _) = sets(cx.keyspace, cx.db, keys.into_iter())?;
    let Some(mut sets) = none_absent(sets) else {
        cx.out.set(0);
        return Ok(());
    };
    let (list, mut count) = (cx.out.set_later(), 0);
    SetRef::intersection(&mut sets, |member| {
        reply(cx.out, member);
        count += 1;
        ControlFlow::Continue(())
    });
    cx.out.finish(list, count);
    Ok(())
}

pub(super) const SINTERCARD: Row = Row {
    name: "sintercard",
    summary: "Returns how many members all of several sets have.",
    since: "7.0.0",
    arity: -3,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "numkeys:integer key... [LIMIT limit:integer]",
    complexity: "O(N*M), N being the size of the smallest set and M the number of sets.",
    run: sintercard,
    ..BASE
};

fn sintercard(cx: &mut Ctx<'_>) -> Result<(), Error> {
    const NO_KEYS: Error = Error::Text("ERR numkeys should be greater than 0");
    const NEGATIVE: Error = Error::Text("ERR LIMIT can't be negative");
    let positive = number::parse_i64(cx.arg(1)).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let numkeys = positive.ok_or(NO_KEYS)?;
    if numkeys > cx.argv.len() - 2 {
        return Err(Error::Text("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let mut rest = Rest::new(cx.argv, 2 + numkeys);
    while let Some(word) = rest.next() {
        if !is(word, "LIMIT") {
            return Err(Error::Syntax);
        }
        let value = rest.value()?;
        limit = number::parse_i64(value).and_then(|n| usize::try_from(n).ok()).ok_or(NEGATIVE)?;
    }
    let keys = keys(cx, 2, 2 + numkeys);
    let (sets, _) = sets(cx.keyspace, cx.db, keys.into_iter())?;
    let mut count = 0;
    if let Some(mut sets) = none_absent(sets) {
        SetRef::intersection(&mut sets, |_| {
            count += 1;
            if count == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    cx.out.integer(count as i64);
    Ok(())
}

pub(super) const SINTERSTORE: Row = Row {
    name: "sinterstore",
    summary: "Stores the members that all of several sets have.",
    since: "1.0.0",
    complexity: "O(N*M), N being the size of the smallest set and M the number of sets.",
    run: sinterstore,
    ..STORING
};

fn sinterstore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    store(cx, "sinterstore", |sets, space| match none_absent(sets) {
        Some(mut sets) => Set::from_intersection(&mut sets, space),
        None => Set::from_union(&[], space),
    })
}

pub(super) const SUNION: Row = Row {
    name: "sunion",
    summary: "Returns the members that any of several sets has.",
    since: "1.0.0",
    complexity: "O(N), N being the sum of the sets' sizes.",
    run: sunion,
    ..REPLYING
};

fn sunion(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = keys(cx, 1, cx.argv.len());
    let (sets, space) = sets(cx.keyspace, cx.db, keys.into_iter())?;
    let sets: Vec<_> = sets.into_iter().flatten().collect();
    let (list, mut count) = (cx.out.set_later(), 0);
    SetRef::union(&sets, &space, |member| {
        reply(cx.out, member);
        count += 1;
    });
    cx.out.finish(list, count);
    Ok(())
}

pub(super) const SUNIONSTORE: Row = Row {
    name: "sunionstore",
    summary: "Stores the members that any of several sets has.",
    since: "1.0.0",
    complexity: "O(N), N being the sum of the sets' sizes.",
    run: sunionstore,
    ..STORING
};

fn sunionstore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    store(cx, "sunionstore", |sets, space| {
        let sets: Vec<_> = sets.into_iter().flatten().collect();
        Set::from_union(&sets, space)
    })
}

/// The first set and the others, of which absent ones do not matter; `None` if the first one is absent.
fn first_and_others(sets: Vec<Option<SetRef<'_>>>) -> Option<(SetRef<'_>, Vec<SetRef<'_>>)> {
    let mut sets = sets.into_iter();
    let first = sets.next().flatten()?;
    Some((first, sets.flatten().collect()))
}

pub(super) const SDIFF: Row = Row {
    name: "sdiff",
    summary: "Returns the members of a set that none of the others has.",
    since: "1.0.0",
    complexity: "O(N), N being the sum of the sets' sizes.",
    run: sdiff,
    ..REPLYING
};

fn sdiff(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = keys(cx, 1, cx.argv.len());
    let (sets, space) = sets(cx.keyspace, cx.db, keys.into_iter())?;
    let (list, mut count) = (cx.out.set_later(), 0);
    if let Some((first, mut others)) = first_and_others(sets) {
        SetRef::difference(first, &mut others, &space, |member| {
            reply(cx.out, member);
            count += 1;
        });
    }
    cx.out.finish(list, count);
    Ok(())
}

pub(super) const SDIFFSTORE: Row = Row {
    name: "sdiffstore",
    summary: "Stores the members of a set that none of the others has.",
    since: "1.0.0",
    complexity: "O(N), N being the sum of the sets' sizes.",
    run: sdiffstore,
    ..STORING
};

fn sdiffstore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    store(cx, "sdiffstore", |sets, space| match first_and_others(sets) {
        Some((first, mut others)) => Set::from_difference(first, &mut others, space),
        None => Set::from_union(&[], space),
    })
}
