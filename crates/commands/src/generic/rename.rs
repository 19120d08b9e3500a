//! Values that go to another key or database: RENAME, RENAMENX, MOVE, COPY.

use carnelian_keyspace::{Event, Key, Keyspace};

use super::{BASE, database};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

const SAME: Error = Error::Text("ERR source and destination objects are the same");

/// Databases, keys, and the events that happen there.
type Place<'a> = (usize, Key<'a>, &'static str);

/// Moves the value of a key that exists to another place, instead of what is there.
fn transfer(keyspace: &mut Keyspace, (db, from, left): Place<'_>, (to_db, to, arrived): Place<'_>) {
    let mut entry = keyspace.write(db, from);
    let value = entry.take().expect("the key exists");
    entry.commit(&[]);
    let mut entry = keyspace.write(to_db, to);
    entry.put(value);
    entry.commit_arrival((db, from.bytes()), Event::generic(left), Event::generic(arrived));
}

/// Renames the first key to the second one, which `overwrite` allows to exist. Says whether it did.
fn rename_to(cx: &mut Ctx<'_>, overwrite: bool) -> Result<bool, Error> {
    let (from, to) = (cx.key(1), cx.key(2));
    if !cx.keyspace.write(cx.db, from).exists() {
        return Err(Error::NoSuchKey);
    }
    if from.bytes() == to.bytes() {
        return Ok(overwrite);
    }
    if !overwrite && cx.keyspace.write(cx.db, to).exists() {
        return Ok(false);
    }
    transfer(cx.keyspace, (cx.db, from, "rename_from"), (cx.db, to, "rename_to"));
    Ok(true)
}

pub(super) const RENAME: Row = Row {
    name: "rename",
    summary: "Gives a value another key, in place of what that held.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE,
    keys: &[
        KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)),
    ],
    syntax: "key newkey:key",
    complexity: "O(1)",
    run: rename,
    ..BASE
};

fn rename(cx: &mut Ctx<'_>) -> Result<(), Error> {
    rename_to(cx, true)?;
    cx.out.ok();
    Ok(())
}

pub(super) const RENAMENX: Row = Row {
    name: "renamenx",
    summary: "Gives a value another key, if that is absent.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[
        KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        KeySpec::one(2, KeyFlags::OW.union(KeyFlags::INSERT)),
    ],
    syntax: "key newkey:key",
    complexity: "O(1)",
    run: renamenx,
    ..BASE
};

fn renamenx(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let renamed = rename_to(cx, false)?;
    cx.out.integer(renamed.into());
    Ok(())
}

pub(super) const MOVE: Row = Row {
    name: "move",
    summary: "Moves a key to another database.",
    since: "1.0.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key db",
    complexity: "O(1)",
    run: move_key,
    ..BASE
};

fn move_key(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, db) = (cx.key(1), database(cx.keyspace, cx.arg(2))?);
    if db == cx.db {
        return Err(SAME);
    }
    let movable = cx.keyspace.write(cx.db, key).exists() && !cx.keyspace.write(db, key).exists();
    if movable {
        transfer(cx.keyspace, (cx.db, key, "move_from"), (db, key, "move_to"));
    }
    cx.out.integer(movable.into());
    Ok(())
}

pub(super) const COPY: Row = Row {
    name: "copy",
    summary: "Copies a value to another key.",
    since: "6.2.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)),
        KeySpec::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)),
    ],
    syntax: "source:key destination:key [DB destination-db:integer] [REPLACE]",
    complexity: "O(N), N being the size of the value.",
    run: copy,
    ..BASE
};

fn copy(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (mut db, mut replace) = (cx.db, false);
    let mut rest = Rest::new(cx.argv, 3);
    while let Some(word) = rest.next() {
        if is(word, "REPLACE") {
            replace = true;
        } else if is(word, "DB") {
            db = database(cx.keyspace, rest.value()?)?;
        } else {
            return Err(Error::Syntax);
        }
    }
    let (from, to) = (cx.key(1), cx.key(2));
    if db == cx.db && from.bytes() == to.bytes() {
        return Err(SAME);
    }
    let wanted = cx.keyspace.read(cx.db, from).is_some() && (replace || !cx.keyspace.write(db, to).exists());
    let value = if wanted { cx.keyspace.duplicate(cx.db, from) } else { None };
    let copied = value.is_some();
    if let Some(value) = value {
        let mut entry = cx.keyspace.write(db, to);
        entry.put(value);
        entry.commit(&[Event::generic("copy_to")]);
    }
    cx.out.integer(copied.into());
    Ok(())
}
