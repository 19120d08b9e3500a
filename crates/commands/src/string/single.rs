//! One key, one whole string: GET, SET, and their variants.

use carnelian_keyspace::{Event, Ttl, Write};
use carnelian_resp::Argv;

use super::options::{Condition, Expiry, Origin, SetOptions, Time, Unit};
use super::{BASE, reply, string};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::generic::effect_of_deadline;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const GET: Row = Row {
    name: "get",
    summary: "Returns the string at a key.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(1)",
    run: get,
    ..BASE
};

/// The hot path of the server. Its cost is one look-up, whose cache misses the batch has prefetched, and one copy of
/// the value into the output (none of a large one). It allocates nothing.
fn get(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    match cx.keyspace.read(cx.db, key) {
        Some(item) => reply(cx.out, string(&item)?),
        None => cx.out.null(),
    }
    Ok(())
}

pub(super) const SET: Row = Row {
    name: "set",
    summary: "Sets a string, whatever the key held before.",
    since: "1.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(
        1,
        KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE).union(KeyFlags::VARIABLE_FLAGS),
    )],
    key_flags: Some(set_key_flags),
    syntax: "key value [condition=NX|XX|IFEQ comparison-value] [GET] [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
    complexity: "O(1)",
    run: set,
    ..BASE
};

/// Only with GET does the old value matter.
fn set_key_flags(argv: Argv<'_>) -> KeyFlags {
    match argv.iter().skip(3).any(|word| is(word, "GET")) {
        true => KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::UPDATE,
        false => KeyFlags::OW | KeyFlags::UPDATE,
    }
}

/// The other hot path. Without options its cost is one look-up and the entry itself, which is written in place if it
/// has room for the value.
fn set(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.len() == 3 {
        let (key, value) = (cx.key(1), cx.arg(2));
        store(cx.keyspace.write(cx.db, key), value, Ttl::Clear);
        cx.out.ok();
        return Ok(());
    }
    let options = SetOptions::parse(Rest::new(cx.argv, 3), true)?;
    set_with(cx, cx.arg(2), &options, "set")
}

/// Sets the first key under the options, and replies.
fn set_with(
    cx: &mut Ctx<'_>,
    value: &[u8],
    options: &SetOptions<'_>,
    command: &'static str,
) -> Result<(), Error> {
    let ttl = options.ttl(cx.now_ms(), command)?;
    if options.get {
        get(cx)?;
    }
    let stored = store_if(cx, value, options.condition, ttl)?;
    if stored {
        effect_of_set(cx, cx.arg(1), value, ttl);
    }
    match (options.get, stored) {
        (true, _) => {}
        (false, true) => cx.out.ok(),
        (false, false) => cx.out.null(),
    }
    Ok(())
}

/// Logs that a key was set: without conditions, which have been met, and with the deadline that came of the options.
pub(super) fn effect_of_set(cx: &mut Ctx<'_>, key: &[u8], value: &[u8], ttl: Ttl) {
    let mut buffer = itoa::Buffer::new();
    match ttl {
        _ if !cx.logs_effects() => {}
        Ttl::Clear => cx.effect(&[b"SET", key, value]),
        Ttl::Keep => cx.effect(&[b"SET", key, value, b"KEEPTTL"]),
        Ttl::At(at) => cx.effect(&[b"SET", key, value, b"PXAT", buffer.format(at).as_bytes()]),
    }
}

/// Sets the first key if the condition holds, and says whether it did.
fn store_if(cx: &mut Ctx<'_>, value: &[u8], condition: Condition<'_>, ttl: Ttl) -> Result<bool, Error> {
    let key = cx.key(1);
    let entry = cx.keyspace.write(cx.db, key);
    let holds = condition.holds(entry.item())?;
    if holds {
        store(entry, value, ttl);
    }
    Ok(holds)
}

/// Sets a key and makes it known.
#[inline]
pub(super) fn store(mut entry: Write<'_>, value: &[u8], ttl: Ttl) {
    let expires = matches!(ttl, Ttl::At(_));
    if ttl == Ttl::Keep {
        entry.replaces_value();
    }
    entry.set(value, ttl);
    if expires {
        entry.commit(&[Event::string("set"), Event::generic("expire")]);
    } else {
        entry.commit(&[Event::string("set")]);
    }
}

pub(super) const SETNX: Row = Row {
    name: "setnx",
    summary: "Sets a string if the key is absent.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::INSERT))],
    syntax: "key value",
    complexity: "O(1)",
    deprecated: Some(("2.6.12", "`SET` with the `NX` argument")),
    run: setnx,
    ..BASE
};

fn setnx(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let stored = store_if(cx, cx.arg(2), Condition::Absent, Ttl::Clear)?;
    cx.out.integer(stored.into());
    Ok(())
}

pub(super) const SETEX: Row = Row {
    name: "setex",
    summary: "Sets a string and in how many seconds it expires.",
    since: "2.0.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))],
    syntax: "key seconds value",
    complexity: "O(1)",
    deprecated: Some(("2.6.12", "`SET` with the `EX` argument")),
    run: setex,
    ..BASE
};

fn setex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let time = Time { text: cx.arg(2), unit: Unit::Seconds, since: Origin::Now };
    set_with(cx, cx.arg(3), &SetOptions::expiring(time), "setex")
}

pub(super) const PSETEX: Row = Row {
    name: "psetex",
    summary: "Sets a string and in how many milliseconds it expires.",
    since: "2.6.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))],
    syntax: "key milliseconds value",
    complexity: "O(1)",
    deprecated: Some(("2.6.12", "`SET` with the `PX` argument")),
    run: psetex,
    ..BASE
};

fn psetex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let time = Time { text: cx.arg(2), unit: Unit::Milliseconds, since: Origin::Now };
    set_with(cx, cx.arg(3), &SetOptions::expiring(time), "psetex")
}

pub(super) const GETSET: Row = Row {
    name: "getset",
    summary: "Sets a string and returns the one before.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key value",
    complexity: "O(1)",
    deprecated: Some(("6.2.0", "`SET` with the `!GET` argument")),
    run: getset,
    ..BASE
};

fn getset(cx: &mut Ctx<'_>) -> Result<(), Error> {
    get(cx)?;
    let (key, value) = (cx.key(1), cx.arg(2));
    store(cx.keyspace.write(cx.db, key), value, Ttl::Clear);
    Ok(())
}

pub(super) const GETDEL: Row = Row {
    name: "getdel",
    summary: "Returns the string at a key and removes the key.",
    since: "6.2.0",
    arity: 2,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    syntax: "key",
    complexity: "O(1)",
    run: getdel,
    ..BASE
};

fn getdel(cx: &mut Ctx<'_>) -> Result<(), Error> {
    get(cx)?;
    let key = cx.key(1);
    let mut entry = cx.keyspace.write(cx.db, key);
    if entry.exists() {
        entry.remove();
        entry.commit(&[Event::generic("del")]);
    }
    Ok(())
}

pub(super) const GETEX: Row = Row {
    name: "getex",
    summary: "Returns the string at a key and changes when the key expires.",
    since: "6.2.0",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
    complexity: "O(1)",
    run: getex,
    ..BASE
};

fn getex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut expiry = Expiry::Unset;
    let mut rest = Rest::new(cx.argv, 2);
    while let Some(word) = rest.next() {
        if !expiry.take(word, &mut rest, "PERSIST", Expiry::Remove)? {
            return Err(Error::Syntax);
        }
    }
    let key = cx.key(1);
    let (now, due) = (cx.now_ms(), cx.due_ms());
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        cx.out.null();
        return Ok(());
    };
    // An invalid time is an error only if there is a string that it could apply to.
    let value = string(&item)?;
    let change = match expiry {
        Expiry::At(time) => Some(time.deadline(now, "getex")?),
        Expiry::Remove if item.deadline().is_some() => None,
        _ => {
            reply(cx.out, value);
            return Ok(());
        }
    };
    reply(cx.out, value);
    let mut entry = cx.keyspace.write(cx.db, key);
    match change {
        Some(at) if at <= due => {
            entry.remove();
            entry.commit(&[Event::generic("del")]);
            cx.effect(&[cx.state.effects.removals().expired, key.bytes()]);
        }
        Some(at) => {
            entry.set_deadline(Some(at));
            entry.commit(&[Event::generic("expire")]);
            effect_of_deadline(cx, key.bytes(), at);
        }
        None => {
            entry.set_deadline(None);
            entry.commit(&[Event::generic("persist")]);
            cx.effect(&[b"PERSIST", key.bytes()]);
        }
    }
    Ok(())
}

pub(super) const DELIFEQ: Row = Row {
    name: "delifeq",
    summary: "Removes a key if its string equals the given one.",
    since: "9.0.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RM.union(KeyFlags::DELETE))],
    syntax: "key value",
    complexity: "O(1)",
    run: delifeq,
    ..BASE
};

fn delifeq(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, expected) = (cx.key(1), cx.arg(2));
    let mut entry = cx.keyspace.write(cx.db, key);
    let equal = match entry.item() {
        Some(item) => string(&item)?.equals(expected),
        None => false,
    };
    if equal {
        entry.remove();
        entry.commit(&[Event::generic("del")]);
        cx.effect(&[b"DEL", key.bytes()]);
    }
    cx.out.integer(equal.into());
    Ok(())
}
