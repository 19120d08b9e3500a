//! HSCAN.

use carnelian_resp::ReplyBuf;

use super::{BASE, hash, reply};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::generic::parse_cursor;
use crate::glob::{self, Case};
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const HSCAN: Row = Row {
    name: "hscan",
    summary: "Walks through the fields of a hash in steps.",
    since: "2.8.0",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
    complexity: "O(1) for a step, O(N) for all, N being the number of fields.",
    tips: &["nondeterministic_output"],
    run: hscan,
    ..BASE
};

/// What HSCAN is asked for.
struct Scan<'a> {
    /// Fields to look at, roughly.
    count: u64,
    pattern: Option<&'a [u8]>,
    values: bool,
}

impl<'a> Scan<'a> {
    fn parse(mut rest: Rest<'a>) -> Result<Scan<'a>, Error> {
        let mut scan = Scan { count: 10, pattern: None, values: true };
        while let Some(word) = rest.next() {
            if is(word, "COUNT") {
                scan.count = u64::try_from(rest.int()?).ok().filter(|&n| n > 0).ok_or(Error::Syntax)?;
            } else if is(word, "MATCH") {
                // `*` alone is no pattern: it lets the empty field through.
                scan.pattern = Some(rest.value()?).filter(|pattern| *pattern != b"*");
            } else if is(word, "NOVALUES") {
                scan.values = false;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(scan)
    }

    fn shows(&self, field: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, field, Case::Sensitive))
    }
}

fn hscan(cx: &mut Ctx<'_>) -> Result<(), Error> {
    /// Steps per field asked for: bounds the time spent in a table that is nearly empty.
    const MAX_STEPS: u64 = 10;
    let mut cursor = parse_cursor(cx.arg(2)).ok_or(Error::Text("ERR invalid cursor"))?;
    let (key, now) = (cx.key(1), cx.due_ms());
    // Of an absent key the options are not looked at.
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        cx.out.array(2);
        cx.out.bulk(b"0");
        cx.out.array(0);
        return Ok(());
    };
    let hash = hash(&item)?;
    let scan = Scan::parse(Rest::new(cx.argv, 3))?;
    // The cursor comes first in the reply and is known last, so the fields wait in an output of their own.
    let (mut fields, mut found, mut seen, mut steps) = (ReplyBuf::new(), 0, 0, 0);
    loop {
        cursor = hash.scan(cursor, &mut |field| {
            seen += 1;
            if field.is_live(now) && field.name.with_bytes(|name| scan.shows(name)) {
                reply(&mut fields, field.name);
                found += 1;
                if scan.values {
                    reply(&mut fields, field.value);
                    found += 1;
                }
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
    fields.chunks().for_each(|chunk| cx.out.raw(chunk));
    Ok(())
}
