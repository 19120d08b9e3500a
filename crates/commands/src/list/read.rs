//! Looking at lists: LINDEX, LLEN, LPOS, LRANGE.

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_resp::{ReplyBuf, number};

use super::{BASE, list, range, reply};
use crate::args::{Rest, int, int_in, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// What most of these rows have in common.
const READ: Row = Row {
    since: "1.0.0",
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    ..BASE
};

pub(super) const LINDEX: Row = Row {
    name: "lindex",
    summary: "Returns the element of a list at an index.",
    arity: 3,
    syntax: "key index",
    complexity: "O(N), N being the number of nodes before the element; O(1) at the ends.",
    run: lindex,
    ..READ
};

fn lindex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, index) = (cx.key(1), cx.arg(2));
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        cx.out.null();
        return Ok(());
    };
    let list = list(&item)?;
    match position(int(index)?, list.len()).and_then(|index| list.get(index)) {
        Some(element) => reply(cx.out, element),
        None => cx.out.null(),
    }
    Ok(())
}

/// The index from the head; negative ones count from the tail. `None` if it is before the head.
pub(super) fn position(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.saturating_add(len as i64) } else { index };
    usize::try_from(index).ok()
}

pub(super) const LLEN: Row = Row {
    name: "llen",
    summary: "Returns the number of elements of a list.",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO)],
    syntax: "key",
    complexity: "O(1)",
    run: llen,
    ..READ
};

fn llen(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = match cx.keyspace.read(cx.db, key) {
        Some(item) => list(&item)?.len(),
        None => 0,
    };
    cx.out.integer(len as i64);
    Ok(())
}

pub(super) const LRANGE: Row = Row {
    name: "lrange",
    summary: "Returns the elements of a list between two indices.",
    arity: 4,
    syntax: "key start stop:integer",
    complexity: "O(S+N), S being the number of nodes before the first element and N the number of elements.",
    run: lrange,
    ..READ
};

fn lrange(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, start, stop) = (cx.key(1), int(cx.arg(2))?, int(cx.arg(3))?);
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        cx.out.array(0);
        return Ok(());
    };
    let list = list(&item)?;
    let (start, count) = range(start, stop, list.len());
    cx.out.array(count);
    let out = &mut *cx.out;
    list.forward(start, count, |element| reply(out, element));
    Ok(())
}

pub(super) const LPOS: Row = Row {
    name: "lpos",
    summary: "Returns the indices of the elements of a list that are equal to a value.",
    since: "6.0.6",
    arity: -3,
    syntax: "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
    complexity: "O(N), N being the number of elements that are compared.",
    run: lpos,
    ..READ
};

/// What LPOS looks for.
struct Search {
    /// How many matches are passed over first.
    skip: u64,
    backward: bool,
    /// How many matches are replied, as an array; 0: all. `None`: one, by itself.
    count: Option<u64>,
    /// How many elements are compared at most.
    compare: usize,
}

impl Search {
    fn parse(mut rest: Rest<'_>) -> Result<Search, Error> {
        let mut search = Search { skip: 0, backward: false, count: None, compare: usize::MAX };
        while let Some(word) = rest.next() {
            if is(word, "RANK") {
                let rank = rank(rest.value()?)?;
                search.skip = rank.unsigned_abs() - 1;
                search.backward = rank < 0;
            } else if is(word, "COUNT") {
                let negative = Error::Text("ERR COUNT can't be negative");
                search.count = Some(int_in(rest.value()?, 0..=i64::MAX, negative)? as u64);
            } else if is(word, "MAXLEN") {
                let negative = Error::Text("ERR MAXLEN can't be negative");
                let most = int_in(rest.value()?, 0..=i64::MAX, negative)?;
                search.compare = if most == 0 { usize::MAX } else { most as usize };
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(search)
    }
}

fn rank(arg: &[u8]) -> Result<i64, Error> {
    match number::parse_i64(arg).ok_or(Error::NotInteger)? {
        0 => Err(Error::Text(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
             start from the end of the list",
        )),
        i64::MIN => Err(Error::Text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        rank => Ok(rank),
    }
}

fn lpos(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, wanted) = (cx.key(1), Element::new(cx.arg(2)));
    let search = Search::parse(Rest::new(cx.argv, 3))?;
    let Some(item) = cx.keyspace.read(cx.db, key) else {
        match search.count {
            Some(_) => cx.out.array(0),
            None => cx.out.null(),
        }
        return Ok(());
    };
    let list = list(&item)?;
    match search.count {
        None => {
            let mut found = None;
            matches(list, wanted, &search, |index| {
                found = Some(index);
                false
            });
            reply_index(cx.out, found);
        }
        Some(count) => {
            let (later, mut replied) = (cx.out.array_later(), 0);
            let out = &mut *cx.out;
            matches(list, wanted, &search, |index| {
                out.integer(index as i64);
                replied += 1;
                replied != count
            });
            cx.out.finish(later, replied as usize);
        }
    }
    Ok(())
}

fn reply_index(out: &mut ReplyBuf, index: Option<usize>) {
    match index {
        Some(index) => out.integer(index as i64),
        None => out.null(),
    }
}

/// Visits the indices of equal elements after those that are passed over, until `visit` says false.
fn matches(
    list: carnelian_keyspace::ListRef<'_>,
    wanted: Element<'_>,
    search: &Search,
    mut visit: impl FnMut(usize) -> bool,
) {
    let last = list.len() - 1;
    let (mut index, mut skip) = (0, search.skip);
    let look = |element: Element<'_>| {
        let at = if search.backward { last - index } else { index };
        index += 1;
        if element != wanted {
            return true;
        }
        if skip > 0 {
            skip -= 1;
            return true;
        }
        visit(at)
    };
    if search.backward {
        list.try_backward(last, search.compare, look);
    } else {
        list.try_forward(0, search.compare, look);
    }
}
