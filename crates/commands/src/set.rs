//! Sets: the rows of the group, and what its commands share. How a set is stored is the keyspace's business.

mod algebra;
mod basic;
mod random;
mod scan;

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{Event, Item, SetRef, Value, Write};
use carnelian_resp::ReplyBuf;

use crate::error::Error;
use crate::row::{Acl, Group, Row};

pub(crate) static ROWS: &[Row] = &[
    basic::SADD,
    basic::SCARD,
    algebra::SDIFF,
    algebra::SDIFFSTORE,
    algebra::SINTER,
    algebra::SINTERCARD,
    algebra::SINTERSTORE,
    basic::SISMEMBER,
    basic::SMEMBERS,
    basic::SMISMEMBER,
    basic::SMOVE,
    random::SPOP,
    random::SRANDMEMBER,
    basic::SREM,
    scan::SSCAN,
    algebra::SUNION,
    algebra::SUNIONSTORE,
];

/// What all rows of this group have in common.
const BASE: Row = Row { group: Group::Set, acl: Acl::SET, ..Row::EMPTY };

/// The set that an item holds, or the error for another type.
#[inline]
fn set<'a>(item: &Item<'a>) -> Result<SetRef<'a>, Error> {
    match item.value() {
        Value::Set(set) => Ok(set),
        _ => Err(Error::WrongType),
    }
}

/// Replies a member.
#[inline]
fn reply(out: &mut ReplyBuf, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(value) => out.bulk(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Reports `changes` changes of members as `event`, and the key's end if no member is left. Nothing if there are none.
#[inline]
fn commit(guard: Write<'_>, event: &'static str, changes: usize) {
    if changes == 0 {
        return guard.unchanged();
    }
    let events = [Event::set(event), Event::generic("del")];
    let events = if guard.exists() { &events[..1] } else { &events };
    guard.commit_many(events, changes as u64);
}
