//! Members of one set: adding, removing, asking for them; and SMOVE.

use carnelian_keyspace::{Key, Set};

use super::{BASE, commit, reply, set};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const SADD: Row = Row {
    name: "sadd",
    summary: "Adds members to a set, which is created if the key is absent.",
    since: "1.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    syntax: "key member...",
    complexity: "O(N), N being the number of members to add.",
    run: sadd,
    ..BASE
};

fn sadd(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (argv, key) = (cx.argv, cx.key(1));
    let mut guard = cx.keyspace.write(cx.db, key);
    let added = guard.edit(|set: &mut Set, space| {
        set.expect(space, argv.arg(2), argv.len() - 2);
        (2..argv.len()).filter(|i| set.add(space, argv.arg(*i))).count()
    })?;
    commit(guard, "sadd", added);
    cx.out.integer(added as i64);
    Ok(())
}

pub(super) const SREM: Row = Row {
    name: "srem",
    summary: "Removes members from a set, and the key with the last one.",
    since: "1.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key member...",
    complexity: "O(N), N being the number of members to remove.",
    run: srem,
    ..BASE
};

fn srem(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (argv, key) = (cx.argv, cx.key(1));
    let mut guard = cx.keyspace.write(cx.db, key);
    if !guard.exists() {
        cx.out.integer(0);
        return Ok(());
    }
    let removed = guard
        .edit(|set: &mut Set, space| (2..argv.len()).filter(|i| set.remove(space, argv.arg(*i))).count())?;
    commit(guard, "srem", removed);
    cx.out.integer(removed as i64);
    Ok(())
}

pub(super) const SMOVE: Row = Row {
    name: "smove",
    summary: "Moves a member from one set to another.",
    since: "1.0.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::RW.union(KeyFlags::INSERT)),
    ],
    syntax: "source:key destination:key member",
    complexity: "O(1)",
    run: smove,
    ..BASE
};

fn smove(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (from, to, member) = (cx.key(1), cx.key(2), cx.arg(3));
    let Some(has_it) = has_member(cx, from, member)? else {
        cx.out.integer(0);
        return Ok(());
    };
    has_member(cx, to, member)?;
    if has_it && from.bytes() != to.bytes() {
        let mut source = cx.keyspace.write(cx.db, from);
        source.edit(|set: &mut Set, space| set.remove(space, member))?;
        commit(source, "srem", 1);
        let mut target = cx.keyspace.write(cx.db, to);
        let absent = !target.exists();
        let added = target.edit(|set: &mut Set, space| {
            if absent {
                set.expect(space, member, 1);
            }
            set.add(space, member)
        })?;
        commit(target, "sadd", added.into());
    }
    cx.out.integer(has_it.into());
    Ok(())
}

/// Whether a set that is about to be changed has a member; `None`: the key is absent.
fn has_member(cx: &mut Ctx<'_>, key: Key<'_>, member: &[u8]) -> Result<Option<bool>, Error> {
    match cx.keyspace.write(cx.db, key).item() {
        Some(item) => Ok(Some(set(&item)?.contains(member))),
        None => Ok(None),
    }
}

pub(super) const SCARD: Row = Row {
    name: "scard",
    summary: "Returns the number of members of a set.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    run: scard,
    ..BASE
};

fn scard(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = match cx.keyspace.read(cx.db, key) {
        Some(item) => set(&item)?.len(),
        None => 0,
    };
    cx.out.integer(len as i64);
    Ok(())
}

pub(super) const SISMEMBER: Row = Row {
    name: "sismember",
    summary: "Tells whether a set has a member.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key member",
    complexity: "O(1)",
    run: sismember,
    ..BASE
};

fn sismember(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, member) = (cx.key(1), cx.arg(2));
    let found = match cx.keyspace.read(cx.db, key) {
        Some(item) => set(&item)?.contains(member),
        None => false,
    };
    cx.out.integer(found.into());
    Ok(())
}

pub(super) const SMISMEMBER: Row = Row {
    name: "smismember",
    summary: "Tells for each of several values whether a set has it as a member.",
    since: "6.2.0",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key member...",
    complexity: "O(N), N being the number of values.",
    run: smismember,
    ..BASE
};

fn smismember(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let members = cx.keyspace.read(cx.db, key).map(|item| set(&item)).transpose()?;
    cx.out.array(cx.argv.len() - 2);
    for i in 2..cx.argv.len() {
        let found = members.is_some_and(|set| set.contains(cx.argv.arg(i)));
        cx.out.integer(found.into());
    }
    Ok(())
}

pub(super) const SMEMBERS: Row = Row {
    name: "smembers",
    summary: "Returns all members of a set.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(N), N being the number of members.",
    tips: &["nondeterministic_output_order"],
    run: smembers,
    ..BASE
};

fn smembers(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        cx.out.set(0);
        return Ok(());
    };
    let members = set(&item)?;
    cx.out.set(members.len());
    members.for_each(|member| reply(cx.out, member));
    Ok(())
}
