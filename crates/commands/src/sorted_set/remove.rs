//! Removing members: ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use std::ops::Range;

use carnelian_keyspace::{Event, SortedSet, SortedSetRef};

use super::{BASE, DEL, lex_range, rank_range, score_range};
use crate::args::int;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// The key that members are removed from.
const KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))];

pub(super) const ZREM: Row = Row {
    name: "zrem",
    summary: "Removes members; the key too with the last one.",
    since: "1.2.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KEY,
    syntax: "key member...",
    complexity: "O(M*log(N)), N being the number of members of the sorted set and M that of members to remove.",
    run: zrem,
    ..BASE
};

fn zrem(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let argv = cx.argv;
    change(cx, "zrem", |set, space| argv.iter().skip(2).filter(|member| set.remove(member, space)).count())
}

pub(super) const ZREMRANGEBYRANK: Row = Row {
    name: "zremrangebyrank",
    summary: "Removes the members within a range of ranks; the key too with the last one.",
    since: "2.0.0",
    arity: 4,
    flags: Flags::WRITE,
    keys: KEY,
    syntax: "key start stop:integer",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members removed.",
    run: zremrangebyrank,
    ..BASE
};

fn zremrangebyrank(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (start, stop) = (int(cx.arg(2))?, int(cx.arg(3))?);
    remove_ranks(cx, "zremrangebyrank", |set| rank_range(start, stop, set.len()))
}

pub(super) const ZREMRANGEBYSCORE: Row = Row {
    name: "zremrangebyscore",
    summary: "Removes the members with scores within a range; the key too with the last one.",
    since: "1.2.0",
    arity: 4,
    flags: Flags::WRITE,
    keys: KEY,
    syntax: "key min:double max:double",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members removed.",
    run: zremrangebyscore,
    ..BASE
};

fn zremrangebyscore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = score_range(cx.arg(2), cx.arg(3))?;
    remove_ranks(cx, "zremrangebyscore", |set| set.ranks(&range))
}

pub(super) const ZREMRANGEBYLEX: Row = Row {
    name: "zremrangebylex",
    summary: "Removes the members within a range in the order of their bytes; the key too with the last one.",
    since: "2.8.9",
    arity: 4,
    flags: Flags::WRITE,
    keys: KEY,
    syntax: "key min max",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members removed.",
    run: zremrangebylex,
    ..BASE
};

fn zremrangebylex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = lex_range(cx.arg(2), cx.arg(3))?;
    remove_ranks(cx, "zremrangebylex", |set| set.ranks(&range))
}

fn remove_ranks(
    cx: &mut Ctx<'_>,
    event: &'static str,
    ranks: impl FnOnce(SortedSetRef<'_>) -> Range<usize>,
) -> Result<(), Error> {
    change(cx, event, |set, space| {
        let ranks = ranks(set.view());
        let count = ranks.len();
        set.remove_ranks(ranks, space);
        count
    })
}

/// Changes the sorted set through `f`, which tells how many members it removed; that is the reply.
fn change(
    cx: &mut Ctx<'_>,
    event: &'static str,
    f: impl FnOnce(&mut SortedSet, &mut carnelian_keyspace::Space<'_>) -> usize,
) -> Result<(), Error> {
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    let removed = guard.edit(f)?;
    if removed == 0 {
        guard.unchanged();
    } else {
        let events = [Event::sorted_set(event), DEL];
        let events = if guard.exists() { &events[..1] } else { &events };
        guard.commit_many(events, removed as u64);
    }
    cx.out.integer(removed as i64);
    Ok(())
}
