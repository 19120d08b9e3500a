//! ZRANDMEMBER.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use carnelian_keyspace::{Random, SortedSetRef};
use carnelian_resp::ReplyBuf;

use super::{BASE, READ_KEY, Show, put_member, sorted_set};
use crate::args::{int, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, Row};

pub(super) const ZRANDMEMBER: Row = Row {
    name: "zrandmember",
    summary: "Returns members that are chosen at random: as many different ones as asked for, or, if the number is \
              negative, each from all members.",
    since: "6.2.0",
    arity: -2,
    flags: Flags::READONLY,
    keys: READ_KEY,
    syntax: "key [options=count [WITHSCORES]]",
    complexity: "O(N), N being the number of members returned.",
    tips: &["nondeterministic_output"],
    run: zrandmember,
    ..BASE
};

fn zrandmember(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let asked = if cx.argv.len() > 2 { Some(parse(cx)?) } else { None };
    let (key, mut random) = (cx.key(1), cx.keyspace.fork_random());
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        match asked {
            Some(_) => cx.out.array(0),
            None => cx.out.null(),
        }
        return Ok(());
    };
    let set = sorted_set(&item)?;
    let Some((count, scores)) = asked else {
        let chosen = set.at(random.below(set.len() as u64) as usize);
        let (member, _) = chosen.expect("sorted sets have members");
        put_member(cx.out, member);
        return Ok(());
    };
    let (show, most) = (Show::new(scores, cx.out), count.unsigned_abs() as usize);
    if count < 0 {
        repeated(cx.out, show, set, most, &mut random);
    } else {
        different(cx.out, show, set, most.min(set.len()), &mut random);
    }
    Ok(())
}

/// The number of members asked for, and whether their scores are.
fn parse(cx: &Ctx<'_>) -> Result<(i64, bool), Error> {
    let count = int(cx.arg(2))?;
    if count == i64::MIN {
        return Err(Error::Text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let scores = match cx.argv.get(3) {
        None => false,
        Some(word) if is(word, "WITHSCORES") && cx.argv.len() == 4 => true,
        Some(_) => return Err(Error::Syntax),
    };
    if scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::OutOfRange);
    }
    Ok((count, scores))
}

/// Replies `count` members, each chosen from all.
fn repeated(out: &mut ReplyBuf, show: Show, set: SortedSetRef<'_>, count: usize, random: &mut Random) {
    out.array(show.len(count));
    for _ in 0..count {
        let chosen = set.at(random.below(set.len() as u64) as usize);
        let (member, score) = chosen.expect("the rank is below the length");
        show.put(out, member, score);
    }
}

/// Replies `count` different members, in the order of the set.
fn different(out: &mut ReplyBuf, show: Show, set: SortedSetRef<'_>, count: usize, random: &mut Random) {
    /// Sets of up to so many members are walked through rather than asked for single ranks.
    const FEW: usize = 128;
    let len = set.len();
    out.array(show.len(count));
    if len > FEW && count < len / 3 {
        for rank in ranks(count, len, random) {
            let (member, score) = set.at(rank).expect("the rank is below the length");
            show.put(out, member, score);
        }
        return;
    }
    // Each member is taken with the chance that the rest of the sample has among the rest of the members.
    let (mut wanted, mut left) = (count as u64, len as u64);
    set.visit(0..len, false, |member, score| {
        if wanted == 0 {
            return ControlFlow::Break(());
        }
        if random.below(left) < wanted {
            show.put(out, member, score);
            wanted -= 1;
        }
        left -= 1;
        ControlFlow::Continue(())
    });
}

/// `count` different numbers below `len`, by Floyd's method.
fn ranks(count: usize, len: usize, random: &mut Random) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    for last in len - count..len {
        let rank = random.below(last as u64 + 1) as usize;
        if !chosen.insert(rank) {
            chosen.insert(last);
        }
    }
    chosen
}
