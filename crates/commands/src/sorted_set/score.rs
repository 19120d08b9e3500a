//! Asking for sizes and scores: ZCARD, ZSCORE, ZMSCORE.

use super::{BASE, READ_KEY, sorted_set};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const ZCARD: Row = Row {
    name: "zcard",
    summary: "Returns how many members a sorted set has.",
    since: "1.2.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    run: zcard,
    ..BASE
};

fn zcard(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = match cx.keyspace.read(cx.db, key) {
        Some(item) => sorted_set(&item)?.len(),
        None => 0,
    };
    cx.out.integer(len as i64);
    Ok(())
}

pub(super) const ZSCORE: Row = Row {
    name: "zscore",
    summary: "Returns the score of a member.",
    since: "1.2.0",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: READ_KEY,
    syntax: "key member",
    complexity: "O(1)",
    run: zscore,
    ..BASE
};

fn zscore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, member) = (cx.key(1), cx.arg(2));
    let score = match cx.keyspace.read(cx.db, key) {
        Some(item) => sorted_set(&item)?.score(member),
        None => None,
    };
    match score {
        Some(score) => cx.out.double(score),
        None => cx.out.null(),
    }
    Ok(())
}

pub(super) const ZMSCORE: Row = Row {
    name: "zmscore",
    summary: "Returns the scores of several members.",
    since: "6.2.0",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: READ_KEY,
    syntax: "key member...",
    complexity: "O(N), N being the number of members asked for.",
    run: zmscore,
    ..BASE
};

fn zmscore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let set = match cx.keyspace.read(cx.db, key) {
        Some(item) => Some(sorted_set(&item)?),
        None => None,
    };
    cx.out.array(cx.argv.len() - 2);
    for member in cx.argv.iter().skip(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => cx.out.double(score),
            None => cx.out.null(),
        }
    }
    Ok(())
}
