//! XGROUP: making, changing and removing consumer groups and their consumers.

use carnelian_keyspace::stream::StreamId;
use carnelian_keyspace::{Event, Stream, Write};

use super::{BASE, held, id, is_stream, no_group};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const XGROUP: Row = Row {
    name: "xgroup",
    summary: "Commands that change consumer groups.",
    since: "5.0.0",
    arity: -2,
    complexity: "Depends on subcommand.",
    subcommands: &[CREATE, CREATECONSUMER, DELCONSUMER, DESTROY, HELP, SETID],
    acl: crate::row::Acl::empty(),
    ..BASE
};

/// An event about a consumer that was made, by a command of its own or on the way.
pub(super) const CONSUMER_CREATED: Event = Event::stream("xgroup-createconsumer");

const NO_KEY: Error = Error::Text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
     option to create an empty stream automatically.",
);

const CREATE: Row = Row {
    name: "create",
    summary: "Makes a consumer group.",
    since: "5.0.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(2, KeyFlags::RW.union(KeyFlags::INSERT))],
    syntax: "key group <id-selector=id|$=new-id> [MKSTREAM] [ENTRIESREAD entriesread:integer]",
    complexity: "O(1)",
    run: create,
    ..BASE
};

/// The options of CREATE and SETID: whether to make the stream, and the number of entries read.
fn options(cx: &Ctx<'_>, is_create: bool) -> Result<(bool, Option<i64>), Error> {
    let (mut make, mut read) = (false, None);
    let mut rest = Rest::new(cx.argv, 5);
    while let Some(word) = rest.next() {
        if is_create && is(word, "MKSTREAM") {
            make = true;
        } else if rest.len() > 0 && is(word, "ENTRIESREAD") {
            read = match rest.int()? {
                -1 => None,
                count @ 0.. => Some(count),
                _ => return Err(Error::Text("ERR value for ENTRIESREAD must be positive or -1")),
            };
        } else {
            return Err(wrong_words(cx));
        }
    }
    Ok((make, read))
}

/// A number of entries read, which cannot be more than there ever were.
fn at_most_added(stream: &Stream, read: Option<i64>) -> Option<i64> {
    let added = i64::try_from(stream.log().added()).unwrap_or(i64::MAX);
    read.map(|read| read.min(added))
}

fn wrong_words(cx: &Ctx<'_>) -> Error {
    Error::subcommand_or_arity("XGROUP", cx.arg(1))
}

/// The stream that a guard holds, which has to exist.
fn required<'g>(guard: &'g Write<'_>) -> Result<&'g Stream, Error> {
    held(guard)?.ok_or(NO_KEY)
}

/// The same; the group that the fourth word names has to exist too.
fn require_group(guard: &Write<'_>, key: &[u8], name: &[u8]) -> Result<(), Error> {
    required(guard)?.groups().get(name).map(|_| ()).ok_or_else(|| no_group(name, key))
}

fn create(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (make, read) = options(cx, true)?;
    if cx.argv.len() > 8 {
        return Err(wrong_words(cx));
    }
    let (key, name, position) = (cx.key(2), cx.arg(3), cx.arg(4));
    let mut guard = cx.keyspace.write(cx.db, key);
    let existed = is_stream(&guard)?;
    if !existed && !make {
        return Err(NO_KEY);
    }
    let last_id = match position {
        b"$" => held(&guard)?.map_or(StreamId::MIN, |stream| stream.log().last_id()),
        id => id::exact(id)?,
    };
    let created = guard.edit(|stream: &mut Stream, _| {
        let read = at_most_added(stream, read);
        stream.groups_mut().create(name, last_id, read).is_some()
    })?;
    if !created {
        guard.unchanged();
        return Err(Error::Text("BUSYGROUP Consumer Group name already exists"));
    }
    let events = [Event::stream("xgroup-create")];
    match existed {
        true => guard.commit_aside(&events, 1),
        false => guard.commit(&events),
    }
    cx.out.ok();
    Ok(())
}

const SETID: Row = Row {
    name: "setid",
    summary: "Sets up to where a group has read.",
    since: "5.0.0",
    arity: -5,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(2, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key group <id-selector=id|$=new-id> [ENTRIESREAD entriesread:integer]",
    complexity: "O(1)",
    run: set_id,
    ..BASE
};

fn set_id(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (_, read) = options(cx, false)?;
    let (key, name, position) = (cx.key(2), cx.arg(3), cx.arg(4));
    let words = cx.argv.len();
    let wrong_words = wrong_words(cx);
    let mut guard = cx.keyspace.write(cx.db, key);
    require_group(&guard, key.bytes(), name)?;
    if words != 5 && words != 7 {
        return Err(wrong_words);
    }
    let last_id = match position {
        b"$" => required(&guard)?.log().last_id(),
        id => id::any(id, 0)?,
    };
    guard.edit(|stream: &mut Stream, _| {
        let read = at_most_added(stream, read);
        let group = stream.groups_mut().get_mut(name).expect(FOUND);
        (group.last_id, group.read) = (last_id, read);
    })?;
    guard.commit_aside(&[Event::stream("xgroup-setid")], 1);
    cx.out.ok();
    Ok(())
}

const FOUND: &str = "the group was found";

const DESTROY: Row = Row {
    name: "destroy",
    summary: "Removes a consumer group.",
    since: "5.0.0",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(2, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key group",
    complexity: "O(N) for N entries that are pending.",
    run: destroy,
    ..BASE
};

fn destroy(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, name) = (cx.key(2), cx.arg(3));
    let mut guard = cx.keyspace.write(cx.db, key);
    required(&guard)?;
    let found = guard.edit(|stream: &mut Stream, _| stream.groups_mut().destroy(name))?;
    match found {
        true => guard.commit_aside(&[Event::stream("xgroup-destroy")], 1),
        false => guard.unchanged(),
    }
    cx.out.integer(i64::from(found));
    Ok(())
}

const CREATECONSUMER: Row = Row {
    name: "createconsumer",
    summary: "Makes a consumer of a group.",
    since: "6.2.0",
    arity: 5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(2, KeyFlags::RW.union(KeyFlags::INSERT))],
    syntax: "key group consumer",
    complexity: "O(1)",
    run: create_consumer,
    ..BASE
};

fn create_consumer(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, name, consumer, now) = (cx.key(2), cx.arg(3), cx.arg(4), cx.now_ms());
    let mut guard = cx.keyspace.write(cx.db, key);
    require_group(&guard, key.bytes(), name)?;
    let created = guard.edit(|stream: &mut Stream, _| {
        let group = stream.groups_mut().get_mut(name).expect(FOUND);
        group.create_consumer(consumer, now).is_some()
    })?;
    match created {
        true => guard.commit_aside(&[CONSUMER_CREATED], 1),
        false => guard.unchanged(),
    }
    cx.out.integer(i64::from(created));
    Ok(())
}

const DELCONSUMER: Row = Row {
    name: "delconsumer",
    summary: "Removes a consumer of a group, and forgets what it has pending.",
    since: "5.0.0",
    arity: 5,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(2, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key group consumer",
    complexity: "O(N log M) for N entries that it has pending of the group's M.",
    run: delete_consumer,
    ..BASE
};

fn delete_consumer(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, name, consumer) = (cx.key(2), cx.arg(3), cx.arg(4));
    let mut guard = cx.keyspace.write(cx.db, key);
    require_group(&guard, key.bytes(), name)?;
    let pending = guard.edit(|stream: &mut Stream, _| {
        stream.groups_mut().get_mut(name).expect(FOUND).remove_consumer(consumer)
    })?;
    match pending {
        Some(_) => guard.commit_aside(&[Event::stream("xgroup-delconsumer")], 1),
        None => guard.unchanged(),
    }
    cx.out.integer(pending.unwrap_or(0) as i64);
    Ok(())
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
