//! Strings as numbers: INCR and its variants, INCRBYFLOAT.

use carnelian_keyspace::{Event, Ttl};

use super::{BASE, integer, string};
use crate::args::int;
use crate::context::Ctx;
use crate::error::Error;
use crate::float::LongDouble;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const INCR: Row = Row {
    name: "incr",
    summary: "Adds one to the integer at a key; an absent key counts as 0.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key",
    complexity: "O(1)",
    run: incr,
    ..BASE
};

fn incr(cx: &mut Ctx<'_>) -> Result<(), Error> {
    add(cx, 1)
}

pub(super) const DECR: Row = Row {
    name: "decr",
    summary: "Subtracts one from the integer at a key; an absent key counts as 0.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key",
    complexity: "O(1)",
    run: decr,
    ..BASE
};

fn decr(cx: &mut Ctx<'_>) -> Result<(), Error> {
    add(cx, -1)
}

pub(super) const INCRBY: Row = Row {
    name: "incrby",
    summary: "Adds a number to the integer at a key; an absent key counts as 0.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key increment",
    complexity: "O(1)",
    run: incrby,
    ..BASE
};

fn incrby(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let by = int(cx.arg(2))?;
    add(cx, by)
}

pub(super) const DECRBY: Row = Row {
    name: "decrby",
    summary: "Subtracts a number from the integer at a key; an absent key counts as 0.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key decrement",
    complexity: "O(1)",
    run: decrby,
    ..BASE
};

fn decrby(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let by = int(cx.arg(2))?.checked_neg().ok_or(Error::Text("ERR decrement would overflow"))?;
    add(cx, by)
}

/// Adds to the integer at the first key; an absent key counts as 0.
fn add(cx: &mut Ctx<'_>, by: i64) -> Result<(), Error> {
    let key = cx.key(1);
    let mut entry = cx.keyspace.write(cx.db, key);
    let old = match entry.item() {
        Some(item) => integer(string(&item)?)?,
        None => 0,
    };
    let new = old.checked_add(by).ok_or(Error::Text("ERR increment or decrement would overflow"))?;
    entry.set_int(new, Ttl::Keep);
    entry.commit(&[Event::string("incrby")]);
    cx.out.integer(new);
    Ok(())
}

pub(super) const INCRBYFLOAT: Row = Row {
    name: "incrbyfloat",
    summary: "Adds a number to the floating-point number at a key; an absent key counts as 0.",
    since: "2.6.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key increment:double",
    complexity: "O(1)",
    run: incrbyfloat,
    ..BASE
};

fn incrbyfloat(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, by) = (cx.key(1), cx.arg(2));
    let mut entry = cx.keyspace.write(cx.db, key);
    let old = match entry.item() {
        Some(item) => string(&item)?.with_bytes(LongDouble::parse).ok_or(Error::NotFloat)?,
        None => LongDouble::from(0),
    };
    let new = old + LongDouble::parse(by).ok_or(Error::NotFloat)?;
    if !new.is_finite() {
        return Err(Error::Text("ERR increment would produce NaN or Infinity"));
    }
    let mut text = Vec::with_capacity(32);
    new.write(&mut text);
    entry.set_raw(&text, Ttl::Keep);
    entry.commit(&[Event::string("incrbyfloat")]);
    // The sum of two numbers may differ on another machine.
    cx.effect(&[b"SET", key.bytes(), &text, b"KEEPTTL"]);
    cx.out.bulk(&text);
    Ok(())
}
