//! Keys of any type: the rows of the group, and what its commands share. The commands look at what a key holds no
//! further than its type and its deadline.

pub(crate) mod dump;
mod expire;
mod key;
mod object;
mod rename;
mod scan;
mod sort;

use carnelian_keyspace::Keyspace;

use crate::args::int;
use crate::error::Error;
use crate::row::{Acl, Group, Row};

pub(crate) use expire::effect_of_deadline;
pub(crate) use scan::parse_cursor;

pub(crate) static ROWS: &[Row] = &[
    rename::COPY,
    key::DEL,
    dump::DUMP,
    key::EXISTS,
    expire::EXPIRE,
    expire::EXPIREAT,
    expire::EXPIRETIME,
    scan::KEYS,
    rename::MOVE,
    object::OBJECT,
    expire::PERSIST,
    expire::PEXPIRE,
    expire::PEXPIREAT,
    expire::PEXPIRETIME,
    expire::PTTL,
    scan::RANDOMKEY,
    rename::RENAME,
    rename::RENAMENX,
    dump::RESTORE,
    scan::SCAN,
    sort::SORT,
    sort::SORT_RO,
    key::TOUCH,
    expire::TTL,
    key::TYPE,
    key::UNLINK,
];

/// What the rows of this group have in common.
const BASE: Row = Row { group: Group::Generic, acl: Acl::KEYSPACE, ..Row::EMPTY };

/// The database that an argument names.
pub(crate) fn database(keyspace: &Keyspace, arg: &[u8]) -> Result<usize, Error> {
    let index = i32::try_from(int(arg)?).map_err(|_| Error::NotInt32)?;
    usize::try_from(index).ok().filter(|&db| db < keyspace.databases()).ok_or(Error::DbOutOfRange)
}
