//! ZSCAN.

use carnelian_keyspace::Encoding;
use carnelian_resp::{ReplyBuf, number};

use super::{BASE, READ_KEY, put_member, sorted_set};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::double;
use crate::error::Error;
use crate::generic::parse_cursor;
use crate::glob::{self, Case};
use crate::row::{Flags, Row};

pub(super) const ZSCAN: Row = Row {
    name: "zscan",
    summary: "Walks through the members of a sorted set in steps.",
    since: "2.8.0",
    arity: -3,
    flags: Flags::READONLY,
    keys: READ_KEY,
    syntax: "key cursor [MATCH pattern] [COUNT count] [NOSCORES]",
    complexity: "O(1) for a step, O(N) for all, N being the number of members.",
    tips: &["nondeterministic_output"],
    run: zscan,
    ..BASE
};

/// What ZSCAN is asked for.
struct Scan<'a> {
    /// Members to look at, roughly.
    count: u64,
    pattern: Option<&'a [u8]>,
    scores: bool,
}

impl<'a> Scan<'a> {
    fn parse(mut rest: Rest<'a>) -> Result<Scan<'a>, Error> {
        let mut scan = Scan { count: 10, pattern: None, scores: true };
        while let Some(word) = rest.next() {
            if is(word, "COUNT") {
                scan.count = u64::try_from(rest.int()?).ok().filter(|&n| n > 0).ok_or(Error::Syntax)?;
            } else if is(word, "MATCH") {
                // `*` alone is no pattern: it lets the empty member through.
                scan.pattern = Some(rest.value()?).filter(|pattern| *pattern != b"*");
            } else if is(word, "NOSCORES") {
                scan.scores = false;
            } else if is(word, "NOVALUES") {
                return Err(Error::Text("ERR NOVALUES option can only be used in HSCAN"));
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(scan)
    }

    fn shows(&self, member: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, member, Case::Sensitive))
    }
}

/// A score, as the peers print it: with 17 digits if the sorted set is large.
fn put_score(out: &mut ReplyBuf, score: f64, large: bool) {
    if large {
        out.bulk(double::format_17_digits(score).as_bytes());
    } else {
        out.bulk(&number::format_double(score));
    }
}

fn zscan(cx: &mut Ctx<'_>) -> Result<(), Error> {
    /// Steps per member asked for: bounds the time spent in a table that is nearly empty.
    const MAX_STEPS: u64 = 10;
    let mut cursor = parse_cursor(cx.arg(2)).ok_or(Error::Text("ERR invalid cursor"))?;
    let key = cx.key(1);
    // Of an absent key the options are not looked at.
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        cx.out.array(2);
        cx.out.bulk(b"0");
        cx.out.array(0);
        return Ok(());
    };
    let set = sorted_set(&item)?;
    let scan = Scan::parse(Rest::new(cx.argv, 3))?;
    let large = set.encoding() == Encoding::Skiplist;
    // The cursor comes first in the reply and is known last, so the members wait in an output of their own.
    let (mut members, mut found, mut seen, mut steps) = (ReplyBuf::new(), 0, 0, 0);
    loop {
        cursor = set.scan(cursor, &mut |member, score| {
            seen += 1;
            if !member.with_bytes(|member| scan.shows(member)) {
                return;
            }
            put_member(&mut members, member);
            found += 1;
            if scan.scores {
                put_score(&mut members, score, large);
                found += 1;
            }
        });
        steps += 1;
        if cursor == 0 || seen >= scan.count || steps >= scan.count.saturating_mul(MAX_STEPS) {
            break;
        }
    }
    cx.out.array(2);
    cx.out.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    cx.out.array(found);
    members.chunks().for_each(|chunk| cx.out.raw(chunk));
    Ok(())
}
