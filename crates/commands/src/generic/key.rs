//! Commands that ask for nothing but keys: whether they exist, their type, and their end.

use carnelian_keyspace::Event;

use super::BASE;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const DEL: Row = Row {
    name: "del",
    summary: "Removes keys.",
    since: "1.0.0",
    arity: -2,
    flags: Flags::WRITE,
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RM.union(KeyFlags::DELETE))],
    syntax: "key...",
    complexity: "O(N), N being the number of keys.",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    run: del,
    ..BASE
};

/// Large values are freed on the background thread, so that DEL holds up nobody, as UNLINK does not.
fn del(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut removed = 0;
    cx.for_each_key(1, 1, cx.argv.len() - 1, |cx, _, key| {
        let mut entry = cx.keyspace.write(cx.db, key);
        if entry.exists() {
            entry.remove();
            entry.commit(&[Event::generic("del")]);
            removed += 1;
        }
    });
    cx.out.integer(removed);
    Ok(())
}

pub(super) const UNLINK: Row = Row {
    name: "unlink",
    summary: "Removes keys; their memory is freed in the background.",
    since: "4.0.0",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RM.union(KeyFlags::DELETE))],
    syntax: "key...",
    complexity: "O(N), N being the number of keys.",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    run: unlink,
    ..BASE
};

fn unlink(cx: &mut Ctx<'_>) -> Result<(), Error> {
    del(cx)
}

pub(super) const EXISTS: Row = Row {
    name: "exists",
    summary: "Counts those of the given keys that exist.",
    since: "1.0.0",
    arity: -2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO)],
    syntax: "key...",
    complexity: "O(N), N being the number of keys.",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    run: exists,
    ..BASE
};

fn exists(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut found = 0;
    cx.for_each_key(1, 1, cx.argv.len() - 1, |cx, _, key| {
        found += i64::from(cx.keyspace.look(cx.db, key).is_some());
    });
    cx.out.integer(found);
    Ok(())
}

pub(super) const TOUCH: Row = Row {
    name: "touch",
    summary: "Counts those of the given keys that exist, and marks them as used.",
    since: "3.2.1",
    arity: -2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO)],
    syntax: "key...",
    complexity: "O(N), N being the number of keys.",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    run: touch,
    ..BASE
};

fn touch(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.count_reads();
    let mut found = 0;
    cx.for_each_key(1, 1, cx.argv.len() - 1, |cx, _, key| {
        found += i64::from(cx.keyspace.read(cx.db, key).is_some());
    });
    cx.out.integer(found);
    Ok(())
}

pub(super) const TYPE: Row = Row {
    name: "type",
    summary: "Returns the type of the value at a key.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    run: kind,
    ..BASE
};

fn kind(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let name = cx.keyspace.look(cx.db, key).map_or("none", |item| item.kind().name());
    cx.out.simple(name);
    Ok(())
}
