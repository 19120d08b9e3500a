//! The keyspace as a whole: KEYS, SCAN, RANDOMKEY.

use carnelian_keyspace::Item;
use carnelian_resp::{ReplyBuf, number};

use super::BASE;
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::glob::{self, Case};
use crate::row::{Acl, Flags, Row};

pub(super) const KEYS: Row = Row {
    name: "keys",
    summary: "Lists the keys that match a pattern.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE.union(Acl::DANGEROUS),
    syntax: "pattern",
    complexity: "O(N), N being the number of keys in the database.",
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    run: keys,
    ..BASE
};

fn keys(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let pattern = cx.arg(1);
    if glob::is_literal(pattern) {
        let key = cx.key(1);
        let found = cx.keyspace.peek(cx.db, key).is_some();
        cx.out.array(found.into());
        if found {
            cx.out.bulk(pattern);
        }
        return Ok(());
    }
    let all = pattern == b"*";
    let list = cx.out.array_later();
    let mut count = 0;
    cx.keyspace.for_each(cx.db, &mut |item| {
        if all || glob::matches(pattern, item.key(), Case::Sensitive) {
            cx.out.bulk(item.key());
            count += 1;
        }
    });
    cx.out.finish(list, count);
    Ok(())
}

/// What SCAN is asked for.
struct Scan<'a> {
    cursor: u64,
    /// Keys to look at, roughly.
    count: u64,
    pattern: Option<&'a [u8]>,
    /// The name of a type; one that does not exist matches nothing.
    kind: Option<&'a [u8]>,
}

impl<'a> Scan<'a> {
    fn parse(cursor: &[u8], mut rest: Rest<'a>) -> Result<Scan<'a>, Error> {
        let cursor = parse_cursor(cursor).ok_or(Error::Text("ERR invalid cursor"))?;
        let mut scan = Scan { cursor, count: 10, pattern: None, kind: None };
        while let Some(word) = rest.next() {
            if is(word, "COUNT") {
                scan.count = u64::try_from(rest.int()?).ok().filter(|&n| n > 0).ok_or(Error::Syntax)?;
            } else if is(word, "MATCH") {
                // `*` alone is no pattern: it lets the empty key through.
                scan.pattern = Some(rest.value()?).filter(|pattern| *pattern != b"*");
            } else if is(word, "TYPE") {
                scan.kind = Some(rest.value()?);
            } else if is(word, "NOVALUES") {
                return Err(Error::Text("ERR NOVALUES option can only be used in HSCAN"));
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(scan)
    }

    fn shows(&self, item: &Item<'_>) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, item.key(), Case::Sensitive))
            && self.kind.is_none_or(|kind| is(kind, item.kind().name()))
    }
}

/// Reads a cursor as the peers do: a canonical integer, or else what C's `strtoull` makes of the text, which may begin
/// with blanks and a sign (a negative number wraps around) and ends at a NUL.
pub(crate) fn parse_cursor(text: &[u8]) -> Option<u64> {
    if let Some(value) = number::parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let text = text.split(|&b| b == 0).next().unwrap_or(text);
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })?;
    Some(if negative { value.wrapping_neg() } else { value })
}

pub(super) const SCAN: Row = Row {
    name: "scan",
    summary: "Walks through the keys in steps.",
    since: "2.8.0",
    arity: -2,
    flags: Flags::READONLY,
    syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
    complexity: "O(1) for a step, O(N) for all, N being the number of keys.",
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    run: scan,
    ..BASE
};

fn scan(cx: &mut Ctx<'_>) -> Result<(), Error> {
    /// Steps per key asked for: bounds the time spent in a table that is nearly empty.
    const MAX_STEPS: u64 = 10;
    let scan = Scan::parse(cx.arg(1), Rest::new(cx.argv, 2))?;
    // The cursor comes first in the reply and is known last, so the keys wait in an output of their own.
    let (mut keys, mut found) = (ReplyBuf::new(), 0);
    let (mut cursor, mut seen, mut steps) = (scan.cursor, 0, 0);
    let mut expired = Vec::new();
    loop {
        cursor = cx.keyspace.scan(cx.db, cursor, &mut |item, is_live| {
            seen += 1;
            if !scan.shows(&item) {
                return;
            }
            if is_live {
                keys.bulk(item.key());
                found += 1;
            } else {
                expired.push(item.key().to_vec());
            }
        });
        steps += 1;
        if cursor == 0 || seen >= scan.count || steps >= scan.count.saturating_mul(MAX_STEPS) {
            break;
        }
    }
    // A look at what has expired removes it.
    for key in expired {
        let key = cx.keyspace.key(&key);
        cx.keyspace.peek(cx.db, key);
    }
    cx.out.array(2);
    cx.out.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    cx.out.array(found);
    keys.chunks().for_each(|chunk| cx.out.raw(chunk));
    Ok(())
}

pub(super) const RANDOMKEY: Row = Row {
    name: "randomkey",
    summary: "Returns a key that is chosen at random.",
    since: "1.0.0",
    arity: 1,
    flags: Flags::READONLY,
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    run: randomkey,
    ..BASE
};

fn randomkey(cx: &mut Ctx<'_>) -> Result<(), Error> {
    match cx.keyspace.random_key(cx.db) {
        Some(key) => cx.out.bulk(&key),
        None => cx.out.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Session;

    #[test]
    fn scan_removes_what_has_expired_if_it_is_of_the_type() {
        let mut session = Session::with(&[("enable-debug-command", "yes")]);
        session.run("DEBUG SET-ACTIVE-EXPIRE 0");
        for line in ["SET live 1", "SET gone 1 PX 10", "LPUSH list 1", "PEXPIRE list 10"] {
            session.run(line);
        }
        session.sleep_ms(20);
        session.check(&[
            ("DBSIZE", "(integer) 3"),
            ("SCAN 0 TYPE string", "1) \"0\"\n2) 1) \"live\""),
            ("DBSIZE", "(integer) 2"),
            ("SCAN 0", "1) \"0\"\n2) 1) \"live\""),
            ("DBSIZE", "(integer) 1"),
        ]);
    }
}
