//! Several keys at once: MGET, MSET, and their variants.

use carnelian_keyspace::{Ttl, Value};

use super::options::{Condition, SetOptions};
use super::single::{effect_of_set, store};
use super::{BASE, reply};
use crate::args::{Rest, int_in};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const MGET: Row = Row {
    name: "mget",
    summary: "Returns the strings at several keys.",
    since: "1.0.0",
    arity: -2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key...",
    complexity: "O(N), N being the number of keys.",
    tips: &["request_policy:multi_shard"],
    run: mget,
    ..BASE
};

fn mget(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let count = cx.argv.len() - 1;
    cx.out.array(count);
    cx.for_each_key(1, 1, count, |cx, _, key| match cx.keyspace.read(cx.db, key).map(|item| item.value()) {
        Some(Value::Str(string)) => reply(cx.out, string),
        _ => cx.out.null(),
    });
    Ok(())
}

pub(super) const MSET: Row = Row {
    name: "mset",
    summary: "Sets several strings at once.",
    since: "1.0.1",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::range(1, -1, 2, KeyFlags::OW.union(KeyFlags::UPDATE))],
    syntax: "<data=key value>...",
    complexity: "O(N), N being the number of keys.",
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    run: mset,
    ..BASE
};

fn mset(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let pairs = pairs_to_end(cx)?;
    set_pairs(cx, 1, pairs, Ttl::Clear);
    cx.out.ok();
    Ok(())
}

pub(super) const MSETNX: Row = Row {
    name: "msetnx",
    summary: "Sets several strings at once, if none of the keys exists.",
    since: "1.0.1",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::range(1, -1, 2, KeyFlags::OW.union(KeyFlags::INSERT))],
    syntax: "<data=key value>...",
    complexity: "O(N), N being the number of keys.",
    run: msetnx,
    ..BASE
};

fn msetnx(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let pairs = pairs_to_end(cx)?;
    let free = holds_for_all(cx, 1, pairs, Condition::Absent)?;
    if free {
        set_pairs(cx, 1, pairs, Ttl::Clear);
    }
    cx.out.integer(free.into());
    Ok(())
}

pub(super) const MSETEX: Row = Row {
    name: "msetex",
    summary: "Sets several strings at once, if their keys exist or do not, and when they expire.",
    since: "9.1.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 2, KeyFlags::OW.union(KeyFlags::UPDATE))],
    syntax: "numkeys:integer <data=key value>... [condition=NX|XX] [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
    complexity: "O(N), N being the number of keys.",
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    run: msetex,
    ..BASE
};

fn msetex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let invalid = Error::Text("ERR invalid numkeys value or out of range");
    let pairs = int_in(cx.arg(1), 1..=i32::MAX.into(), invalid)? as usize;
    let end = 2 + 2 * pairs;
    if end > cx.argv.len() {
        return Err(Error::Syntax);
    }
    let options = SetOptions::parse(Rest::new(cx.argv, end), false)?;
    let ttl = options.ttl(cx.now_ms(), "msetex")?;
    let proceed = holds_for_all(cx, 2, pairs, options.condition)?;
    if proceed {
        set_pairs(cx, 2, pairs, ttl);
        effects_of_setting(cx, pairs, ttl);
    }
    cx.out.integer(proceed.into());
    Ok(())
}

/// Logs what MSETEX has set by commands that other servers know too.
fn effects_of_setting(cx: &mut Ctx<'_>, pairs: usize, ttl: Ttl) {
    if !cx.logs_effects() {
        return;
    }
    if ttl == Ttl::Clear {
        return cx.effect_of_many(&[b"MSET"], cx.argv.skip(2).iter().take(2 * pairs));
    }
    for i in 0..pairs {
        effect_of_set(cx, cx.arg(2 + 2 * i), cx.arg(3 + 2 * i), ttl);
    }
}

/// The number of pairs of a key and a value that the command consists of.
fn pairs_to_end(cx: &Ctx<'_>) -> Result<usize, Error> {
    let words = cx.argv.len() - 1;
    if words.is_multiple_of(2) { Ok(words / 2) } else { Err(cx.wrong_arity()) }
}

/// Whether the condition holds for each key of the pairs that begin at argument `first`.
fn holds_for_all(
    cx: &mut Ctx<'_>,
    first: usize,
    pairs: usize,
    condition: Condition<'_>,
) -> Result<bool, Error> {
    if matches!(condition, Condition::Always) {
        return Ok(true);
    }
    for i in 0..pairs {
        let key = cx.key(first + 2 * i);
        if !condition.holds(cx.keyspace.write(cx.db, key).item())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sets the pairs that begin at argument `first`.
fn set_pairs(cx: &mut Ctx<'_>, first: usize, pairs: usize, ttl: Ttl) {
    cx.for_each_key(first, 2, pairs, |cx, i, key| {
        let value = cx.arg(i + 1);
        store(cx.keyspace.write(cx.db, key), value, ttl);
    });
}
