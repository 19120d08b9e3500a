//! Lists: the rows of the group, and what its commands share. How a list is stored is the keyspace's business.

mod change;
mod pop;
mod push;
mod read;
mod transfer;

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{End, Item, ListRef, Value};
use carnelian_resp::ReplyBuf;

use crate::args::is;
use crate::error::Error;
use crate::row::{Acl, Group, Row};

pub(crate) static ROWS: &[Row] = &[
    transfer::BLMOVE,
    pop::BLMPOP,
    pop::BLPOP,
    pop::BRPOP,
    transfer::BRPOPLPUSH,
    read::LINDEX,
    change::LINSERT,
    read::LLEN,
    transfer::LMOVE,
    pop::LMPOP,
    pop::LPOP,
    read::LPOS,
    push::LPUSH,
    push::LPUSHX,
    read::LRANGE,
    change::LREM,
    change::LSET,
    change::LTRIM,
    pop::RPOP,
    transfer::RPOPLPUSH,
    push::RPUSH,
    push::RPUSHX,
];

/// What all rows of this group have in common.
const BASE: Row = Row { group: Group::List, acl: Acl::LIST, ..Row::EMPTY };

/// The list that an item holds, or the error for another type.
#[inline]
fn list<'a>(item: &Item<'a>) -> Result<ListRef<'a>, Error> {
    match item.value() {
        Value::List(list) => Ok(list),
        _ => Err(Error::WrongType),
    }
}

/// The end of a list that LEFT or RIGHT means.
fn end(arg: &[u8]) -> Result<End, Error> {
    match arg {
        _ if is(arg, "LEFT") => Ok(End::Head),
        _ if is(arg, "RIGHT") => Ok(End::Tail),
        _ => Err(Error::Syntax),
    }
}

/// Replies an element.
#[inline]
fn reply(out: &mut ReplyBuf, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(value) => out.bulk(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// The first index and the number of elements between two indices, both included; negative ones count from the tail.
fn range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let from_head = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let (start, stop) = (from_head(start).max(0), from_head(stop).min(len - 1));
    if start > stop { (0, 0) } else { (start as usize, (stop - start + 1) as usize) }
}

#[cfg(test)]
mod tests;
