//! Bitmaps: strings seen as rows of bits, the most significant bit of a byte first. The rows of the group, and what
//! its commands share. A string behind its end is zero bits.

mod bit;
mod bits;
mod count;
mod field;
mod operation;

use carnelian_resp::number;

use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Group, Row};
use crate::string::{max_len, string};

pub(crate) static ROWS: &[Row] = &[
    count::BITCOUNT,
    field::BITFIELD,
    field::BITFIELD_RO,
    operation::BITOP,
    count::BITPOS,
    bit::GETBIT,
    bit::SETBIT,
];

/// What all rows of this group have in common.
const BASE: Row = Row { group: Group::Bitmap, acl: Acl::BITMAP, ..Row::EMPTY };

const BAD_OFFSET: Error = Error::Text("ERR bit offset is not an integer or out of range");

/// The offset of a bit. Its byte must be one that a string may have.
fn offset(cx: &Ctx<'_>, text: &[u8]) -> Result<u64, Error> {
    check_offset(number::parse_i64(text).ok_or(BAD_OFFSET)?, max_len(cx))
}

fn check_offset(offset: i64, max_bytes: u64) -> Result<u64, Error> {
    match u64::try_from(offset) {
        Ok(offset) if offset / 8 < max_bytes => Ok(offset),
        _ => Err(BAD_OFFSET),
    }
}
