//! OBJECT: how a value is stored and how it is used.

use carnelian_config::Directive;

use super::BASE;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Flags, KeyFlags, KeySpec, Row};

pub(super) const OBJECT: Row = Row {
    name: "object",
    summary: "Commands that tell how a value is stored and used.",
    since: "2.2.3",
    arity: -2,
    acl: Acl::empty(),
    complexity: "Depends on subcommand.",
    subcommands: SUBCOMMANDS,
    ..BASE
};

const SUBCOMMANDS: &[Row] = &[ENCODING, FREQ, HELP, IDLETIME, REFCOUNT];

/// Whether the keys' access clocks count uses, and not the time of the last one.
fn counts_uses(cx: &Ctx<'_>) -> bool {
    const POLICY: Directive = Directive::named("maxmemory-policy");
    cx.state.config.word(POLICY).ends_with("-lfu")
}

const ENCODING: Row = Row {
    name: "encoding",
    summary: "Tells how a value is stored.",
    since: "2.2.3",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    run: encoding,
    ..BASE
};

fn encoding(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(2);
    match cx.keyspace.inspect(cx.db, key) {
        Some(item) => cx.out.bulk(item.encoding().name().as_bytes()),
        None => cx.out.null(),
    }
    Ok(())
}

const FREQ: Row = Row {
    name: "freq",
    summary: "Returns the logarithmic counter of a key's uses.",
    since: "4.0.0",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    run: freq,
    ..BASE
};

fn freq(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, now, known) = (cx.key(2), cx.now_ms(), counts_uses(cx));
    match cx.keyspace.inspect(cx.db, key) {
        Some(item) if known => cx.out.integer(item.frequency(now).into()),
        Some(_) => {
            return Err(Error::Text(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        None => cx.out.null(),
    }
    Ok(())
}

const IDLETIME: Row = Row {
    name: "idletime",
    summary: "Returns how many seconds ago a key was last used.",
    since: "2.2.3",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    run: idletime,
    ..BASE
};

fn idletime(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, now, known) = (cx.key(2), cx.now_ms(), !counts_uses(cx));
    match cx.keyspace.inspect(cx.db, key) {
        Some(item) if known => cx.out.integer(item.idle_seconds(now) as i64),
        Some(_) => {
            return Err(Error::Text(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
                 between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        None => cx.out.null(),
    }
    Ok(())
}

const REFCOUNT: Row = Row {
    name: "refcount",
    summary: "Returns the number of references to a value.",
    since: "2.2.3",
    arity: 3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    run: refcount,
    ..BASE
};

/// No value is shared by keys, so the count is 1.
fn refcount(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(2);
    match cx.keyspace.inspect(cx.db, key) {
        Some(_) => cx.out.integer(1),
        None => cx.out.null(),
    }
    Ok(())
}

const HELP: Row = Row {
    name: "help",
    summary: "Lists the subcommands.",
    since: "6.2.0",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    complexity: "O(1)",
    run: crate::help::help,
    ..BASE
};
