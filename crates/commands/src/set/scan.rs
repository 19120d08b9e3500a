//! SSCAN.

use carnelian_resp::ReplyBuf;

use super::{BASE, reply, set};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::generic::parse_cursor;
use crate::glob::{self, Case};
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const SSCAN: Row = Row {
    name: "sscan",
    summary: "Walks through the members of a set in steps.",
    since: "2.8.0",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
    complexity: "O(1) for a step, O(N) for all, N being the number of members.",
    tips: &["nondeterministic_output"],
    run: sscan,
    ..BASE
};

/// What SSCAN is asked for.
struct Scan<'a> {
    /// Members to look at, roughly.
    count: u64,
    pattern: Option<&'a [u8]>,
}

impl<'a> Scan<'a> {
    fn parse(mut rest: Rest<'a>) -> Result<Scan<'a>, Error> {
        let mut scan = Scan { count: 10, pattern: None };
        while let Some(word) = rest.next() {
            if is(word, "COUNT") {
                scan.count = u64::try_from(rest.int()?).ok().filter(|&n| n > 0).ok_or(Error::Syntax)?;
            } else if is(word, "MATCH") {
                // `*` alone is no pattern: it lets the empty member through.
                scan.pattern = Some(rest.value()?).filter(|pattern| *pattern != b"*");
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

fn sscan(cx: &mut Ctx<'_>) -> Result<(), Error> {
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
    let members = set(&item)?;
    let scan = Scan::parse(Rest::new(cx.argv, 3))?;
    // The cursor comes first in the reply and is known last, so the members wait in an output of their own.
    let (mut shown, mut found, mut seen, mut steps) = (ReplyBuf::new(), 0, 0, 0);
    loop {
        cursor = members.scan(cursor, &mut |member| {
            seen += 1;
            if member.with_bytes(|bytes| scan.shows(bytes)) {
                reply(&mut shown, member);
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
    shown.chunks().for_each(|chunk| cx.out.raw(chunk));
    Ok(())
}
