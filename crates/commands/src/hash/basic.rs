//! Setting, reading and removing fields.

use carnelian_keyspace::{Event, Field, Hash, Ttl};
use carnelian_resp::ReplyBuf;

use super::{BASE, commit, drop_due, hash, reply};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const HSET: Row = Row {
    name: "hset",
    summary: "Sets fields of a hash.",
    since: "2.0.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key <data=field value>...",
    complexity: "O(N), N being the number of fields set.",
    run: hset,
    ..BASE
};

fn hset(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let created = set_pairs(cx)?;
    cx.out.integer(created as i64);
    Ok(())
}

pub(super) const HMSET: Row = Row {
    name: "hmset",
    summary: "Sets fields of a hash.",
    since: "2.0.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key <data=field value>...",
    complexity: "O(N), N being the number of fields set.",
    deprecated: Some(("4.0.0", "`HSET` with multiple field-value pairs")),
    run: hmset,
    ..BASE
};

fn hmset(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_pairs(cx)?;
    cx.out.ok();
    Ok(())
}

/// Sets the fields that the words from the second argument on name in pairs; returns how many are new.
fn set_pairs(cx: &mut Ctx<'_>) -> Result<usize, Error> {
    let argv = cx.argv;
    if argv.len() % 2 == 1 {
        return Err(cx.wrong_arity());
    }
    let (key, pairs) = (cx.key(1), argv.len() / 2 - 1);
    let mut guard = cx.keyspace.write(cx.db, key);
    let created = guard.edit(|hash: &mut Hash, space| {
        hash.make_room(space, pairs, argv.iter().skip(2).map(<[u8]>::len).sum());
        let mut created = 0;
        for i in (2..argv.len()).step_by(2) {
            created += usize::from(hash.set(space, argv.arg(i), argv.arg(i + 1), Ttl::Clear));
        }
        created
    })?;
    commit(guard, Event::hash("hset"), pairs);
    Ok(created)
}

pub(super) const HSETNX: Row = Row {
    name: "hsetnx",
    summary: "Sets a field of a hash if it is absent.",
    since: "2.0.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    syntax: "key field value",
    complexity: "O(1)",
    run: hsetnx,
    ..BASE
};

fn hsetnx(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, field, value) = (cx.key(1), cx.arg(2), cx.arg(3));
    drop_due(cx, key, std::iter::once(field));
    let mut guard = cx.keyspace.write(cx.db, key);
    let set = guard.edit(|hash: &mut Hash, space| {
        let absent = hash.view().get(field).is_none();
        if absent {
            hash.make_room(space, 1, field.len() + value.len());
            hash.set(space, field, value, Ttl::Clear);
        }
        absent
    })?;
    commit(guard, Event::hash("hset"), set.into());
    cx.out.integer(set.into());
    Ok(())
}

pub(super) const HDEL: Row = Row {
    name: "hdel",
    summary: "Removes fields from a hash, and the hash with the last one.",
    since: "2.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key field...",
    complexity: "O(N), N being the number of fields named.",
    run: hdel,
    ..BASE
};

/// A field that is due but still there counts, as in Redis.
fn hdel(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, argv) = (cx.key(1), cx.argv);
    let mut guard = cx.keyspace.write(cx.db, key);
    let removed = guard.edit(|hash: &mut Hash, space| {
        argv.iter().skip(2).filter(|field| hash.remove(space, field)).count()
    })?;
    commit(guard, Event::hash("hdel"), removed);
    cx.out.integer(removed as i64);
    Ok(())
}

pub(super) const HGET: Row = Row {
    name: "hget",
    summary: "Returns the value of a field.",
    since: "2.0.0",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key field",
    complexity: "O(1)",
    run: hget,
    ..BASE
};

fn hget(cx: &mut Ctx<'_>) -> Result<(), Error> {
    look(cx, |out, field| match field {
        Some(field) => reply(out, field.value),
        None => out.null(),
    })
}

pub(super) const HEXISTS: Row = Row {
    name: "hexists",
    summary: "Tells whether a hash has a field.",
    since: "2.0.0",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key field",
    complexity: "O(1)",
    run: hexists,
    ..BASE
};

fn hexists(cx: &mut Ctx<'_>) -> Result<(), Error> {
    look(cx, |out, field| out.integer(field.is_some().into()))
}

pub(super) const HSTRLEN: Row = Row {
    name: "hstrlen",
    summary: "Returns the length of a field's value.",
    since: "3.2.0",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key field",
    complexity: "O(1)",
    run: hstrlen,
    ..BASE
};

fn hstrlen(cx: &mut Ctx<'_>) -> Result<(), Error> {
    look(cx, |out, field| out.integer(field.map_or(0, |field| field.value.len() as i64)))
}

/// Replies what `show` makes of the field that the second argument names.
#[inline]
fn look(cx: &mut Ctx<'_>, show: impl FnOnce(&mut ReplyBuf, Option<Field<'_>>)) -> Result<(), Error> {
    let (key, field, now) = (cx.key(1), cx.arg(2), cx.due_ms());
    let found = match cx.keyspace.read(cx.db, key) {
        Some(item) => hash(&item)?.get(field),
        None => None,
    };
    let live = found.filter(|field| field.is_live(now));
    let is_due = found.is_some() && live.is_none();
    show(cx.out, live);
    if is_due {
        drop_due(cx, key, std::iter::once(field));
    }
    Ok(())
}

pub(super) const HMGET: Row = Row {
    name: "hmget",
    summary: "Returns the values of fields.",
    since: "2.0.0",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key field...",
    complexity: "O(N), N being the number of fields named.",
    run: hmget,
    ..BASE
};

fn hmget(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, argv) = (cx.key(1), cx.argv);
    drop_due(cx, key, argv.iter().skip(2));
    let found = match cx.keyspace.read(cx.db, key) {
        Some(item) => Some(hash(&item)?),
        None => None,
    };
    cx.out.array(argv.len() - 2);
    for field in argv.iter().skip(2) {
        match found.and_then(|hash| hash.get(field)) {
            Some(field) => reply(cx.out, field.value),
            None => cx.out.null(),
        }
    }
    Ok(())
}

pub(super) const HLEN: Row = Row {
    name: "hlen",
    summary: "Returns the number of fields of a hash.",
    since: "2.0.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    run: hlen,
    ..BASE
};

/// Fields that are due but still there count, as in the peers.
fn hlen(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = match cx.keyspace.read(cx.db, key) {
        Some(item) => hash(&item)?.len(),
        None => 0,
    };
    cx.out.integer(len as i64);
    Ok(())
}

pub(super) const HGETALL: Row = Row {
    name: "hgetall",
    summary: "Returns all fields of a hash with their values.",
    since: "2.0.0",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(N), N being the number of fields.",
    tips: &["nondeterministic_output_order"],
    run: hgetall,
    ..BASE
};

fn hgetall(cx: &mut Ctx<'_>) -> Result<(), Error> {
    all(cx, ReplyBuf::map, |out, field| {
        reply(out, field.name);
        reply(out, field.value);
    })
}

pub(super) const HKEYS: Row = Row {
    name: "hkeys",
    summary: "Returns the names of all fields of a hash.",
    since: "2.0.0",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(N), N being the number of fields.",
    tips: &["nondeterministic_output_order"],
    run: hkeys,
    ..BASE
};

fn hkeys(cx: &mut Ctx<'_>) -> Result<(), Error> {
    all(cx, ReplyBuf::array, |out, field| reply(out, field.name))
}

pub(super) const HVALS: Row = Row {
    name: "hvals",
    summary: "Returns the values of all fields of a hash.",
    since: "2.0.0",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(N), N being the number of fields.",
    tips: &["nondeterministic_output_order"],
    run: hvals,
    ..BASE
};

fn hvals(cx: &mut Ctx<'_>) -> Result<(), Error> {
    all(cx, ReplyBuf::array, |out, field| reply(out, field.value))
}

/// Replies all fields: `head` starts the aggregate, `show` appends a field to it.
#[inline]
fn all(
    cx: &mut Ctx<'_>,
    head: impl FnOnce(&mut ReplyBuf, usize),
    show: impl Fn(&mut ReplyBuf, &Field<'_>),
) -> Result<(), Error> {
    let (key, now) = (cx.key(1), cx.due_ms());
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        head(cx.out, 0);
        return Ok(());
    };
    let hash = hash(&item)?;
    if hash.next_deadline() > now {
        head(cx.out, hash.len());
        hash.for_each(|field| show(cx.out, &field));
        return Ok(());
    }
    let mut live = 0;
    hash.for_each(|field| live += usize::from(field.is_live(now)));
    head(cx.out, live);
    hash.for_each(|field| {
        if field.is_live(now) {
            show(cx.out, &field);
        }
    });
    Ok(())
}
