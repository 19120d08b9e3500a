//! Changing lists in the middle: LINSERT, LREM, LSET, LTRIM.

use carnelian_keyspace::{End, Event, List};

use super::read::position;
use super::{BASE, list, range};
use crate::args::{int, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const LINSERT: Row = Row {
    name: "linsert",
    summary: "Adds an element before or after another one.",
    since: "2.2.0",
    arity: 5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    syntax: "key <where=BEFORE|AFTER> pivot element",
    complexity: "O(N), N being the number of elements before the other one.",
    run: linsert,
    ..BASE
};

fn linsert(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, pivot, value) = (cx.key(1), cx.arg(3), cx.arg(4));
    let after = match cx.arg(2) {
        word if is(word, "AFTER") => true,
        word if is(word, "BEFORE") => false,
        _ => return Err(Error::Syntax),
    };
    let mut guard = cx.keyspace.write(cx.db, key);
    if !guard.exists() {
        cx.out.integer(0);
        return Ok(());
    }
    let len = guard.edit::<List, _>(|list, space| {
        let inserted = list.insert(space, pivot, after, value);
        inserted.then(|| list.len())
    })?;
    match len {
        Some(len) => {
            guard.commit(&[Event::list("linsert")]);
            cx.out.integer(len as i64);
        }
        None => {
            guard.unchanged();
            cx.out.integer(-1);
        }
    }
    Ok(())
}

pub(super) const LREM: Row = Row {
    name: "lrem",
    summary: "Removes elements that are equal to a value.",
    since: "1.0.0",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key count element",
    complexity: "O(N), N being the number of elements that are compared.",
    run: lrem,
    ..BASE
};

fn lrem(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, value) = (cx.key(1), cx.arg(3));
    let (limit, from) = match int(cx.arg(2))? {
        i64::MIN => {
            return Err(Error::Text(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ));
        }
        0 => (usize::MAX, End::Head),
        count if count < 0 => (count.unsigned_abs() as usize, End::Tail),
        count => (count as usize, End::Head),
    };
    let mut guard = cx.keyspace.write(cx.db, key);
    if !guard.exists() {
        cx.out.integer(0);
        return Ok(());
    }
    let removed = guard.edit::<List, _>(|list, space| list.remove(space, value, limit, from))?;
    match (removed, guard.exists()) {
        (0, _) => guard.unchanged(),
        (_, true) => guard.commit_many(&[Event::list("lrem")], removed as u64),
        (_, false) => guard.commit_many(&[Event::list("lrem"), Event::generic("del")], removed as u64),
    }
    cx.out.integer(removed as i64);
    Ok(())
}

pub(super) const LSET: Row = Row {
    name: "lset",
    summary: "Replaces the element at an index.",
    since: "1.0.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key index element",
    complexity: "O(N), N being the number of nodes before the element; O(1) at the ends.",
    run: lset,
    ..BASE
};

fn lset(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, index, value) = (cx.key(1), cx.arg(2), cx.arg(3));
    let mut guard = cx.keyspace.write(cx.db, key);
    let len = match guard.item() {
        Some(item) => list(&item)?.len(),
        None => return Err(Error::NoSuchKey),
    };
    // Both peers take the low 32 bits of the index. One that does not exist may still change how the list is stored.
    let index = position(i64::from(int(index)? as i32), len).unwrap_or(usize::MAX);
    if !guard.edit::<List, _>(|list, space| list.set(space, index, value))? {
        guard.unchanged();
        return Err(Error::IndexOutOfRange);
    }
    guard.commit(&[Event::list("lset")]);
    cx.out.ok();
    Ok(())
}

pub(super) const LTRIM: Row = Row {
    name: "ltrim",
    summary: "Removes all elements that are not between two indices.",
    since: "1.0.0",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key start stop:integer",
    complexity: "O(N), N being the number of nodes that are removed.",
    run: ltrim,
    ..BASE
};

fn ltrim(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, start, stop) = (cx.key(1), int(cx.arg(2))?, int(cx.arg(3))?);
    let mut guard = cx.keyspace.write(cx.db, key);
    if guard.exists() {
        let removed = guard.edit::<List, _>(|list, space| {
            let before = list.len();
            let (start, count) = range(start, stop, before);
            list.keep(space, start, count);
            before - list.len()
        })?;
        match guard.exists() {
            true => guard.commit_many(&[Event::list("ltrim")], removed as u64),
            false => guard.commit_many(&[Event::list("ltrim"), Event::generic("del")], removed as u64),
        }
    }
    cx.out.ok();
    Ok(())
}
