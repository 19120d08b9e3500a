//! HRANDFIELD.

use std::collections::HashSet;

use carnelian_keyspace::{Field, HashRef, Random};
use carnelian_resp::{Protocol, ReplyBuf};

use super::{BASE, hash, reply};
use crate::args::{int, int_in, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const HRANDFIELD: Row = Row {
    name: "hrandfield",
    summary: "Returns fields that are chosen at random.",
    since: "6.2.0",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key [options=count [WITHVALUES]]",
    complexity: "O(N), N being the number of fields returned.",
    tips: &["nondeterministic_output"],
    run: hrandfield,
    ..BASE
};

fn hrandfield(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.len() == 2 {
        return one(cx);
    }
    int(cx.arg(2))?;
    let text = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    let count = int_in(cx.arg(2), -i64::MAX..=i64::MAX, Error::Text(text))?;
    let with_values = cx.argv.len() == 4 && is(cx.arg(3), "WITHVALUES");
    if cx.argv.len() > 3 && !with_values {
        return Err(Error::Syntax);
    }
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::OutOfRange);
    }
    many(cx, count, with_values)
}

fn one(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut random = prepare(cx);
    let key = cx.key(1);
    let field = match cx.keyspace.read(cx.db, key) {
        Some(item) => hash(&item)?.sample(&mut || random.next()),
        None => None,
    };
    match field {
        Some(field) => reply(cx.out, field.name),
        None => cx.out.null(),
    }
    Ok(())
}

/// Removes all fields that are due, so that none is drawn, and makes a generator.
fn prepare(cx: &mut Ctx<'_>) -> Random {
    let (key, now) = (cx.key(1), cx.due_ms());
    if let Some(item) = cx.keyspace.peek(cx.db, key)
        && hash(&item).is_ok_and(|hash| hash.next_deadline() <= now)
    {
        cx.keyspace.expire_all_fields(cx.db, key);
    }
    cx.keyspace.fork_random()
}

/// Replies `count` different fields, or all if there are fewer; if `count` is negative, `-count` that may repeat.
fn many(cx: &mut Ctx<'_>, count: i64, with_values: bool) -> Result<(), Error> {
    let mut random = prepare(cx);
    let key = cx.key(1);
    let found = match cx.keyspace.read(cx.db, key) {
        Some(item) => Some(hash(&item)?),
        None => None,
    };
    let Some(hash) = found.filter(|_| count != 0) else {
        cx.out.array(0);
        return Ok(());
    };
    let wanted = count.unsigned_abs();
    let show = Show { with_values, nested: cx.out.protocol() == Protocol::Resp3 };
    let len = hash.len() as u64;
    if count < 0 {
        show.head(cx.out, wanted as usize);
        for _ in 0..wanted {
            if let Some(field) = hash.sample(&mut || random.next()) {
                show.field(cx.out, &field);
            }
        }
    } else {
        show.head(cx.out, wanted.min(len) as usize);
        draw(hash, wanted.min(len) as usize, &mut random, |field| show.field(cx.out, &field));
    }
    Ok(())
}

/// How fields are replied.
#[derive(Clone, Copy)]
struct Show {
    with_values: bool,
    /// A field and its value are an array of their own.
    nested: bool,
}

impl Show {
    fn head(self, out: &mut ReplyBuf, fields: usize) {
        out.array(if self.with_values && !self.nested { 2 * fields } else { fields });
    }

    fn field(self, out: &mut ReplyBuf, field: &Field<'_>) {
        if self.with_values && self.nested {
            out.array(2);
        }
        reply(out, field.name);
        if self.with_values {
            reply(out, field.value);
        }
    }
}

/// Visits `count` different fields; there are as many.
fn draw<'a>(hash: HashRef<'a>, count: usize, random: &mut Random, mut visit: impl FnMut(Field<'a>)) {
    /// Drawing one by one until none repeats pays if at most one in so many fields is wanted.
    const SPARSE: usize = 3;
    if hash.is_large() && count * SPARSE <= hash.len() {
        let mut seen = HashSet::with_capacity(count);
        while seen.len() < count {
            if let Some(field) = hash.sample(&mut || random.next())
                && seen.insert(field.name.to_bytes())
            {
                visit(field);
            }
        }
        return;
    }
    // Each field is taken with the chance of being among those that are still wanted.
    let (mut wanted, mut left) = (count, hash.len());
    hash.for_each(|field| {
        if random.below(left as u64) < wanted as u64 {
            visit(field);
            wanted -= 1;
        }
        left -= 1;
    });
}
