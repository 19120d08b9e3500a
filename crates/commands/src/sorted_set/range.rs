//! Ranges by rank, by score and by member: ZRANGE, the commands that it replaces, ZRANGESTORE.

use std::cell::RefCell;
use std::ops::ControlFlow;

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{Bounds, Collection, LexRange, ScoreRange, ScoreUpdate, SortedSet, SortedSetRef};

use super::{BASE, READ_KEY, Show, lex_range, rank_range, score_range, sorted_set, store};
use crate::args::{Rest, int, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const ZRANGE: Row = Row {
    name: "zrange",
    summary: "Returns the members within a range of ranks, of scores, or in the order of their bytes.",
    since: "1.2.0",
    arity: -4,
    flags: Flags::READONLY,
    keys: READ_KEY,
    syntax: "key start:string stop [sortby=BYSCORE|BYLEX] [REV] [LIMIT <limit=offset count>] [WITHSCORES]",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members returned.",
    run: zrange,
    ..BASE
};

fn zrange(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let query = Words { by: None, back: None, store: false }.parse(cx, 2)?;
    reply(cx, &query)
}

pub(super) const ZREVRANGE: Row = Row {
    name: "zrevrange",
    summary: "Returns the members within a range of ranks, from the last to the first.",
    since: "1.2.0",
    arity: -4,
    flags: Flags::READONLY,
    keys: READ_KEY,
    syntax: "key start stop:integer [WITHSCORES]",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members returned.",
    deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
    run: zrevrange,
    ..BASE
};

fn zrevrange(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let query = Words { by: Some(Order::Rank), back: Some(true), store: false }.parse(cx, 2)?;
    reply(cx, &query)
}

pub(super) const ZRANGEBYSCORE: Row = Row {
    name: "zrangebyscore",
    summary: "Returns the members with scores within a range.",
    since: "1.0.5",
    arity: -4,
    flags: Flags::READONLY,
    keys: READ_KEY,
    syntax: "key min:double max:double [WITHSCORES] [LIMIT <limit=offset count>]",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members returned.",
    deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
    run: zrangebyscore,
    ..BASE
};

fn zrangebyscore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let query = Words { by: Some(Order::Score), back: Some(false), store: false }.parse(cx, 2)?;
    reply(cx, &query)
}

pub(super) const ZREVRANGEBYSCORE: Row = Row {
    name: "zrevrangebyscore",
    summary: "Returns the members with scores within a range, from the last to the first.",
    since: "2.2.0",
    arity: -4,
    flags: Flags::READONLY,
    keys: READ_KEY,
    syntax: "key max:double min:double [WITHSCORES] [LIMIT <limit=offset count>]",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members returned.",
    deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
    run: zrevrangebyscore,
    ..BASE
};

fn zrevrangebyscore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let query = Words { by: Some(Order::Score), back: Some(true), store: false }.parse(cx, 2)?;
    reply(cx, &query)
}

pub(super) const ZRANGEBYLEX: Row = Row {
    name: "zrangebylex",
    summary: "Returns the members within a range in the order of their bytes.",
    since: "2.8.9",
    arity: -4,
    flags: Flags::READONLY,
    keys: READ_KEY,
    syntax: "key min max [LIMIT <limit=offset count>]",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members returned.",
    deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
    run: zrangebylex,
    ..BASE
};

fn zrangebylex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let query = Words { by: Some(Order::Lex), back: Some(false), store: false }.parse(cx, 2)?;
    reply(cx, &query)
}

pub(super) const ZREVRANGEBYLEX: Row = Row {
    name: "zrevrangebylex",
    summary: "Returns the members within a range in the order of their bytes, from the last to the first.",
    since: "2.8.9",
    arity: -4,
    flags: Flags::READONLY,
    keys: READ_KEY,
    syntax: "key max min [LIMIT <limit=offset count>]",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members returned.",
    deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
    run: zrevrangebylex,
    ..BASE
};

fn zrevrangebylex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let query = Words { by: Some(Order::Lex), back: Some(true), store: false }.parse(cx, 2)?;
    reply(cx, &query)
}

pub(super) const ZRANGESTORE: Row = Row {
    name: "zrangestore",
    summary: "Stores the members within a range, of ranks, of scores or in the order of their bytes, at another key.",
    since: "6.2.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        KeySpec::one(2, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    syntax: "dst:key src:key min max [sortby=BYSCORE|BYLEX] [REV] [LIMIT <limit=offset count>]",
    complexity: "O(log(N)+M), N being the number of members of the sorted set and M that of members stored.",
    run: zrangestore,
    ..BASE
};

fn zrangestore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let query = Words { by: None, back: None, store: true }.parse(cx, 3)?;
    let (target, source) = (cx.key(1), cx.key(2));
    let (sets, space) = cx
        .keyspace
        .read_all(cx.db, [source].into_iter(), |item| item.as_ref().map(sorted_set).transpose())?;
    let result = match sets[0] {
        Some(set) => {
            let result = RefCell::new((SortedSet::empty(&space), space));
            // One after the other, as Redis does: a -0 that is packed for a moment becomes 0.
            query.visit(
                set,
                |len| {
                    let (result, space) = &mut *result.borrow_mut();
                    result.prepare(len, space);
                },
                |member, score| {
                    let (result, space) = &mut *result.borrow_mut();
                    member.with_bytes(|member| result.update(member, score, ScoreUpdate::default(), space));
                },
            );
            Some(result.into_inner().0).filter(|result| !result.is_empty())
        }
        None => None,
    };
    store(cx, target, result, "zrangestore");
    Ok(())
}

/// By what a range is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Rank,
    Score,
    Lex,
}

/// What a command's name says about the range; the rest is in its options.
struct Words {
    by: Option<Order>,
    back: Option<bool>,
    store: bool,
}

/// What is asked for.
struct Query<'a> {
    range: Range<'a>,
    back: bool,
    /// Elements to leave out, and to take at most; negative: nothing at all, and all.
    limit: (i64, i64),
    scores: bool,
}

enum Range<'a> {
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

impl Words {
    /// Reads the bounds from argument `first` on, and the options behind them.
    fn parse<'a>(self, cx: &Ctx<'a>, first: usize) -> Result<Query<'a>, Error> {
        let (mut by, mut back, mut limit, mut scores) = (self.by, self.back, (0, -1), false);
        let mut rest = Rest::new(cx.argv, first + 2);
        while let Some(word) = rest.next() {
            if !self.store && is(word, "WITHSCORES") {
                scores = true;
            } else if is(word, "LIMIT") && rest.len() >= 2 {
                limit = (rest.int()?, rest.int()?);
            } else if back.is_none() && is(word, "REV") {
                back = Some(true);
            } else if by.is_none() && is(word, "BYLEX") {
                by = Some(Order::Lex);
            } else if by.is_none() && is(word, "BYSCORE") {
                by = Some(Order::Score);
            } else {
                return Err(Error::Syntax);
            }
        }
        let (by, back) = (by.unwrap_or(Order::Rank), back.unwrap_or(false));
        if by == Order::Rank && limit.1 != -1 {
            return Err(Error::Text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == Order::Lex && scores {
            return Err(Error::Text("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (start, stop) = (cx.arg(first), cx.arg(first + 1));
        let (min, max) = if back { (stop, start) } else { (start, stop) };
        let range = match by {
            Order::Rank => Range::Rank(int(start)?, int(stop)?),
            Order::Score => Range::Score(score_range(min, max)?),
            Order::Lex => Range::Lex(lex_range(min, max)?),
        };
        Ok(Query { range, back, limit, scores })
    }
}

impl Query<'_> {
    /// Visits what was asked for. `len` is told first how many elements there will be, if that is known.
    fn visit<'s>(
        &self,
        set: SortedSetRef<'s>,
        len: impl FnOnce(usize),
        mut visit: impl FnMut(Element<'s>, f64),
    ) {
        match &self.range {
            Range::Rank(start, stop) => {
                let mut ranks = rank_range(*start, *stop, set.len());
                if self.back {
                    ranks = set.len() - ranks.end..set.len() - ranks.start;
                }
                len(ranks.len());
                set.visit(ranks, self.back, |member, score| {
                    visit(member, score);
                    ControlFlow::Continue(())
                });
            }
            Range::Score(range) => self.visit_range(set, range, visit),
            Range::Lex(range) => self.visit_range(set, range, visit),
        }
    }

    fn visit_range<'s>(
        &self,
        set: SortedSetRef<'s>,
        bounds: &impl Bounds,
        mut visit: impl FnMut(Element<'s>, f64),
    ) {
        let (offset, count) = self.limit;
        let Ok(skip) = usize::try_from(offset) else { return };
        let mut left = usize::try_from(count).unwrap_or(usize::MAX);
        if left == 0 {
            return;
        }
        set.visit_range(bounds, self.back, skip, |member, score| {
            visit(member, score);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

fn reply(cx: &mut Ctx<'_>, query: &Query<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        cx.out.array(0);
        return Ok(());
    };
    let set = sorted_set(&item)?;
    let show = Show::new(query.scores, cx.out);
    if let Range::Rank(..) = query.range {
        let out = RefCell::new(&mut *cx.out);
        query.visit(
            set,
            |len| out.borrow_mut().array(show.len(len)),
            |member, score| show.put(&mut out.borrow_mut(), member, score),
        );
        return Ok(());
    }
    let (list, mut count) = (cx.out.array_later(), 0);
    query.visit(
        set,
        |_| {},
        |member, score| {
            show.put(cx.out, member, score);
            count += 1;
        },
    );
    cx.out.finish(list, show.len(count));
    Ok(())
}
