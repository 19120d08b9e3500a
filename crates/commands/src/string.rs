//! Strings: the rows of the group, and what its commands share. A string stands for bytes, an integer or a float,
//! whichever a command reads in it; how it is stored is the keyspace's business.

mod counter;
mod lcs;
mod many;
mod options;
mod range;
mod single;

use bytes::Bytes;
use carnelian_config::Directive;
use carnelian_keyspace::{Blob, Item, Str, Value};
use carnelian_resp::{ReplyBuf, number};

use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Group, Row};

pub(crate) static ROWS: &[Row] = &[
    range::APPEND,
    counter::DECR,
    counter::DECRBY,
    single::DELIFEQ,
    single::GET,
    single::GETDEL,
    single::GETEX,
    range::GETRANGE,
    single::GETSET,
    counter::INCR,
    counter::INCRBY,
    counter::INCRBYFLOAT,
    lcs::LCS,
    many::MGET,
    many::MSET,
    many::MSETEX,
    many::MSETNX,
    single::PSETEX,
    single::SET,
    single::SETEX,
    single::SETNX,
    range::SETRANGE,
    range::STRLEN,
    range::SUBSTR,
];

/// What all rows of this group have in common.
const BASE: Row = Row { group: Group::String, acl: Acl::STRING, ..Row::EMPTY };

/// The string that an item holds, or the error for another type.
#[inline]
pub(crate) fn string<'a>(item: &Item<'a>) -> Result<Str<'a>, Error> {
    match item.value() {
        Value::Str(string) => Ok(string),
        _ => Err(Error::WrongType),
    }
}

/// The integer that a string spells.
fn integer(string: Str<'_>) -> Result<i64, Error> {
    match string {
        Str::Int(value) => Ok(value),
        Str::Bytes(bytes) => number::parse_i64(bytes).ok_or(Error::NotInteger),
        Str::Shared(_) => Err(Error::NotInteger),
    }
}

/// Replies a string: one copy into the output, or none if it is large.
#[inline]
fn reply(out: &mut ReplyBuf, string: Str<'_>) {
    match string {
        Str::Bytes(bytes) => out.bulk(bytes),
        Str::Int(value) => out.bulk(itoa::Buffer::new().format(value).as_bytes()),
        Str::Shared(blob) => out.shared(share(blob)),
    }
}

/// A large value as the output keeps it: by reference, without a copy.
fn share(blob: &Blob) -> Bytes {
    struct Shared(Blob);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Shared(Blob::clone(blob)))
}

/// The largest string and the largest argument, in bytes.
pub(crate) fn max_len(cx: &Ctx<'_>) -> u64 {
    const MAX_BULK: Directive = Directive::named("proto-max-bulk-len");
    cx.state.config.size(MAX_BULK)
}

/// Refuses `len` bytes and `more` behind them if they exceed `max`.
fn check_len(len: u64, more: u64, max: u64) -> Result<(), Error> {
    match len.checked_add(more) {
        Some(total) if total <= max => Ok(()),
        _ => Err(Error::Text("ERR string exceeds maximum allowed size (proto-max-bulk-len)")),
    }
}
