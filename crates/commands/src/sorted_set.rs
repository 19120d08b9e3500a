//! Sorted sets: the rows of the group, and what its commands share. How a sorted set is stored and ordered is the
//! keyspace's business.

mod add;
mod combine;
mod pop;
mod random;
mod range;
mod rank;
mod remove;
mod scan;
mod score;

use std::borrow::Cow;

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{Event, Item, Key, LexBound, LexRange, ScoreRange, SortedSet, SortedSetRef, Value};
use carnelian_resp::{Protocol, ReplyBuf};

use crate::context::Ctx;
use crate::double;
use crate::error::Error;
use crate::row::{Acl, Group, KeyFlags, KeySpec, Row};

pub(crate) static ROWS: &[Row] = &[
    pop::BZMPOP,
    pop::BZPOPMAX,
    pop::BZPOPMIN,
    add::ZADD,
    score::ZCARD,
    rank::ZCOUNT,
    combine::ZDIFF,
    combine::ZDIFFSTORE,
    add::ZINCRBY,
    combine::ZINTER,
    combine::ZINTERCARD,
    combine::ZINTERSTORE,
    rank::ZLEXCOUNT,
    pop::ZMPOP,
    score::ZMSCORE,
    pop::ZPOPMAX,
    pop::ZPOPMIN,
    random::ZRANDMEMBER,
    range::ZRANGE,
    range::ZRANGEBYLEX,
    range::ZRANGEBYSCORE,
    range::ZRANGESTORE,
    rank::ZRANK,
    remove::ZREM,
    remove::ZREMRANGEBYLEX,
    remove::ZREMRANGEBYRANK,
    remove::ZREMRANGEBYSCORE,
    range::ZREVRANGE,
    range::ZREVRANGEBYLEX,
    range::ZREVRANGEBYSCORE,
    rank::ZREVRANK,
    scan::ZSCAN,
    score::ZSCORE,
    combine::ZUNION,
    combine::ZUNIONSTORE,
];

/// What all rows of this group have in common.
const BASE: Row = Row { group: Group::SortedSet, acl: Acl::SORTEDSET, ..Row::EMPTY };

/// One key that is read.
const READ_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))];

/// A key was removed together with its last member.
const DEL: Event = Event::generic("del");

/// The sorted set that an item holds, or the error for another type.
#[inline]
fn sorted_set<'a>(item: &Item<'a>) -> Result<SortedSetRef<'a>, Error> {
    match item.value() {
        Value::SortedSet(set) => Ok(set),
        _ => Err(Error::WrongType),
    }
}

/// A member in the reply.
#[inline]
fn put_member(out: &mut ReplyBuf, member: Element<'_>) {
    match member {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(value) => out.bulk(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// How replies show elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// Members alone.
    Members,
    /// Members and scores by turns.
    Flat,
    /// Arrays of a member and its score.
    Pairs,
}

impl Show {
    /// Members, and with scores as the protocol version shows them.
    fn new(scores: bool, out: &ReplyBuf) -> Show {
        match (scores, out.protocol()) {
            (false, _) => Show::Members,
            (true, Protocol::Resp2) => Show::Flat,
            (true, Protocol::Resp3) => Show::Pairs,
        }
    }

    /// The length of an array of `n` elements.
    fn len(self, n: usize) -> usize {
        if self == Show::Flat { 2 * n } else { n }
    }

    #[inline]
    fn put(self, out: &mut ReplyBuf, member: Element<'_>, score: f64) {
        if self == Show::Pairs {
            out.array(2);
        }
        put_member(out, member);
        if self != Show::Members {
            out.double(score);
        }
    }
}

/// A score, an increment: any double but NaN.
fn score(arg: &[u8]) -> Result<f64, Error> {
    double::parse(arg).ok_or(Error::NotFloat)
}

/// A bound of scores: a number, after `(` an exclusive one.
fn score_bound(arg: &[u8]) -> Result<(f64, bool), Error> {
    let (text, exclusive) = match arg {
        [b'(', rest @ ..] => (rest, true),
        _ => (arg, false),
    };
    let value = double::parse_bound(text).ok_or(Error::Text("ERR min or max is not a float"))?;
    Ok((value, exclusive))
}

fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, Error> {
    let ((min, min_exclusive), (max, max_exclusive)) = (score_bound(min)?, score_bound(max)?);
    Ok(ScoreRange { min, min_exclusive, max, max_exclusive })
}

/// A bound of members: `-`, `+`, `[member` or `(member`.
fn lex_bound(arg: &[u8]) -> Result<LexBound<'_>, Error> {
    match arg {
        b"-" => Ok(LexBound::Lowest),
        b"+" => Ok(LexBound::Highest),
        [b'[', member @ ..] => Ok(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Ok(LexBound::Exclusive(member)),
        _ => Err(Error::Text("ERR min or max not valid string range item")),
    }
}

fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, Error> {
    Ok(LexRange { min: lex_bound(min)?, max: lex_bound(max)? })
}

/// The ranks from `start` to `stop`, both inclusive and negative from the end, in a set of `len` members.
fn rank_range(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_front = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let start = from_front(start).max(0);
    let end = from_front(stop).min(len - 1).saturating_add(1);
    if start >= end { 0..0 } else { start as usize..end as usize }
}

/// An element of a result.
type Scored<'a> = (Cow<'a, [u8]>, f64);

/// Stores a result at a key, or removes the key if the result is empty, and replies its size.
fn store(cx: &mut Ctx<'_>, key: Key<'_>, result: Option<SortedSet>, event: &'static str) {
    let mut guard = cx.keyspace.write(cx.db, key);
    let len = match result {
        Some(set) => {
            let len = set.len();
            guard.replace(set);
            guard.commit(&[Event::sorted_set(event)]);
            len
        }
        None => {
            if guard.exists() {
                guard.remove();
                guard.commit(&[DEL]);
            }
            0
        }
    };
    cx.out.integer(len as i64);
}
