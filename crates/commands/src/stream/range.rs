//! XLEN, XRANGE and XREVRANGE.

use super::{BASE, count_or_all, id, read, reply_entries};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const XLEN: Row = Row {
    name: "xlen",
    summary: "Returns the number of entries of a stream.",
    since: "5.0.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    run: xlen,
    ..BASE
};

fn xlen(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = read(cx.keyspace, cx.db, key)?.map_or(0, |stream| stream.log().len());
    cx.out.integer(len as i64);
    Ok(())
}

const RANGE: Row = Row {
    since: "5.0.0",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    complexity: "O(log N + M), in a stream of N entries, for M that are returned.",
    ..BASE
};

pub(super) const XRANGE: Row = Row {
    name: "xrange",
    summary: "Returns the entries of a stream between two IDs.",
    syntax: "key start:string end:string [COUNT count]",
    run: |cx| range(cx, false),
    ..RANGE
};

pub(super) const XREVRANGE: Row = Row {
    name: "xrevrange",
    summary: "Returns the entries of a stream between two IDs, the last one first.",
    syntax: "key end:string start:string [COUNT count]",
    run: |cx| range(cx, true),
    ..RANGE
};

fn range(cx: &mut Ctx<'_>, back: bool) -> Result<(), Error> {
    let (start, end) = if back { (3, 2) } else { (2, 3) };
    let (start, end) = (id::start(cx.arg(start))?, id::end(cx.arg(end))?);
    let mut count = -1;
    let mut rest = Rest::new(cx.argv, 4);
    while let Some(word) = rest.next() {
        if !is(word, "COUNT") || rest.len() == 0 {
            return Err(Error::Syntax);
        }
        count = rest.int()?.max(0);
    }
    let key = cx.key(1);
    let Some(stream) = read(cx.keyspace, cx.db, key)? else {
        cx.out.array(0);
        return Ok(());
    };
    if count == 0 {
        cx.out.null_array();
        return Ok(());
    }
    let count = count_or_all(count, -1);
    match back {
        false => reply_entries(cx.out, stream.log().range(start, end), count),
        true => reply_entries(cx.out, stream.log().range_back(start, end), count),
    }
    Ok(())
}
