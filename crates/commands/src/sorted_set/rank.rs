//! Ranks, and counting by them: ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT.

use carnelian_keyspace::Bounds;

use super::{BASE, READ_KEY, lex_range, score_range, sorted_set};
use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, Row};

pub(super) const ZRANK: Row = Row {
    name: "zrank",
    summary: "Returns how many members come before a member.",
    since: "2.0.0",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: READ_KEY,
    syntax: "key member [WITHSCORE]",
    complexity: "O(log(N))",
    run: zrank,
    ..BASE
};

fn zrank(cx: &mut Ctx<'_>) -> Result<(), Error> {
    rank(cx, false)
}

pub(super) const ZREVRANK: Row = Row {
    name: "zrevrank",
    summary: "Returns how many members come after a member.",
    since: "2.0.0",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: READ_KEY,
    syntax: "key member [WITHSCORE]",
    complexity: "O(log(N))",
    run: zrevrank,
    ..BASE
};

fn zrevrank(cx: &mut Ctx<'_>) -> Result<(), Error> {
    rank(cx, true)
}

fn rank(cx: &mut Ctx<'_>, back: bool) -> Result<(), Error> {
    let with_score = match cx.argv.len() {
        3 => false,
        4 if is(cx.arg(3), "WITHSCORE") => true,
        4 => return Err(Error::Syntax),
        _ => return Err(cx.wrong_arity()),
    };
    let (key, member) = (cx.key(1), cx.arg(2));
    let found = match cx.keyspace.read(cx.db, key) {
        Some(item) => {
            let set = sorted_set(&item)?;
            let last = set.len().wrapping_sub(1);
            set.rank(member).map(|(rank, score)| (if back { last - rank } else { rank }, score))
        }
        None => None,
    };
    match found {
        Some((rank, score)) if with_score => {
            cx.out.array(2);
            cx.out.integer(rank as i64);
            cx.out.double(score);
        }
        Some((rank, _)) => cx.out.integer(rank as i64),
        None if with_score => cx.out.null_array(),
        None => cx.out.null(),
    }
    Ok(())
}

pub(super) const ZCOUNT: Row = Row {
    name: "zcount",
    summary: "Counts the members with scores within a range.",
    since: "2.0.0",
    arity: 4,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: READ_KEY,
    syntax: "key min:double max:double",
    complexity: "O(log(N)), N being the number of members of the sorted set.",
    run: zcount,
    ..BASE
};

fn zcount(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = score_range(cx.arg(2), cx.arg(3))?;
    count(cx, &range)
}

pub(super) const ZLEXCOUNT: Row = Row {
    name: "zlexcount",
    summary: "Counts the members within a range in the order of their bytes.",
    since: "2.8.9",
    arity: 4,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: READ_KEY,
    syntax: "key min max",
    complexity: "O(log(N)), N being the number of members of the sorted set.",
    run: zlexcount,
    ..BASE
};

fn zlexcount(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let range = lex_range(cx.arg(2), cx.arg(3))?;
    count(cx, &range)
}

fn count(cx: &mut Ctx<'_>, bounds: &impl Bounds) -> Result<(), Error> {
    let key = cx.key(1);
    let count = match cx.keyspace.read(cx.db, key) {
        Some(item) => sorted_set(&item)?.ranks(bounds).len(),
        None => 0,
    };
    cx.out.integer(count as i64);
    Ok(())
}
