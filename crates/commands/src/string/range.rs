//! Parts of strings: APPEND, GETRANGE, SETRANGE, STRLEN.

use std::ops::Range;

use carnelian_keyspace::{Event, Str};

use super::{BASE, check_len, max_len, share, string};
use crate::args::int;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const APPEND: Row = Row {
    name: "append",
    summary: "Adds bytes to the end of a string, which is created if absent.",
    since: "2.0.0",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    syntax: "key value",
    complexity: "O(1), amortized over many calls.",
    run: append,
    ..BASE
};

fn append(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, more, max) = (cx.key(1), cx.arg(2), max_len(cx));
    let mut entry = cx.keyspace.write(cx.db, key);
    if let Some(item) = entry.item() {
        check_len(string(&item)?.len() as u64, more.len() as u64, max)?;
    }
    let len = entry.append(more);
    entry.commit(&[Event::string("append")]);
    cx.out.integer(len as i64);
    Ok(())
}

pub(super) const SETRANGE: Row = Row {
    name: "setrange",
    summary: "Overwrites a part of a string, which is extended with zero bytes if it is too short.",
    since: "2.2.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key offset value",
    complexity: "O(N), N being the length of the value; plus the old string's if it must move.",
    run: setrange,
    ..BASE
};

fn setrange(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, offset, value) = (cx.key(1), int(cx.arg(2))?, cx.arg(3));
    let offset = u64::try_from(offset).map_err(|_| Error::Text("ERR offset is out of range"))?;
    let max = max_len(cx);
    let mut entry = cx.keyspace.write(cx.db, key);
    let old_len = match entry.item() {
        Some(item) => string(&item)?.len(),
        None => 0,
    };
    if value.is_empty() {
        cx.out.integer(old_len as i64);
        return Ok(());
    }
    check_len(offset, value.len() as u64, max)?;
    let len = entry.set_range(offset as usize, value);
    entry.commit(&[Event::string("setrange")]);
    cx.out.integer(len as i64);
    Ok(())
}

pub(super) const GETRANGE: Row = Row {
    name: "getrange",
    summary: "Returns a part of the string at a key.",
    since: "2.4.0",
    arity: 4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key start end",
    complexity: "O(N), N being the length of the part.",
    run: getrange,
    ..BASE
};

fn getrange(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, start, end) = (cx.key(1), int(cx.arg(2))?, int(cx.arg(3))?);
    match cx.keyspace.read(cx.db, key) {
        Some(item) => match string(&item)? {
            Str::Shared(blob) => cx.out.shared(share(blob).slice(clamp(start, end, blob.len()))),
            short => short.with_bytes(|bytes| cx.out.bulk(&bytes[clamp(start, end, bytes.len())])),
        },
        None => cx.out.bulk(b""),
    }
    Ok(())
}

/// The part of `len` bytes from `start` to `end`, both inclusive, and both from the end if negative. A bound before the
/// first byte means the first byte, so that `0 -5` of `abc` is `a`.
fn clamp(start: i64, end: i64, len: usize) -> Range<usize> {
    let total = len as i64;
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let resolve = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
    let (start, end) = (resolve(start), resolve(end).min(total - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

pub(super) const SUBSTR: Row = Row {
    name: "substr",
    summary: "Returns a part of the string at a key.",
    since: "1.0.0",
    arity: 4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key start end",
    complexity: "O(N), N being the length of the part.",
    deprecated: Some(("2.0.0", "`GETRANGE`")),
    run: substr,
    ..BASE
};

fn substr(cx: &mut Ctx<'_>) -> Result<(), Error> {
    getrange(cx)
}

pub(super) const STRLEN: Row = Row {
    name: "strlen",
    summary: "Returns the length of a string in bytes.",
    since: "2.2.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    run: strlen,
    ..BASE
};

fn strlen(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = match cx.keyspace.read(cx.db, key) {
        Some(item) => string(&item)?.len(),
        None => 0,
    };
    cx.out.integer(len as i64);
    Ok(())
}
