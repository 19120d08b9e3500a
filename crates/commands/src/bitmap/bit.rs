//! One bit: SETBIT, GETBIT.

use carnelian_keyspace::{Encoding, Event};

use super::{BASE, bits, offset, string};
use crate::args::int;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const SETBIT: Row = Row {
    name: "setbit",
    summary: "Sets or clears one bit of a string, which grows if it is too short; returns the bit before.",
    since: "2.2.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key offset value:integer",
    complexity: "O(1)",
    run: setbit,
    ..BASE
};

fn setbit(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let offset = offset(cx, cx.arg(2))?;
    let on = match int(cx.arg(3)) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(Error::Text("ERR bit is not an integer or out of range")),
    };
    let key = cx.key(1);
    let mut entry = cx.keyspace.write(cx.db, key);
    let (old, is_raw) = match entry.item() {
        Some(item) => (string(&item)?.with_bytes(|b| bits::get(b, offset)), item.encoding() == Encoding::Raw),
        None => (None, false),
    };
    let edit = |bytes: &mut [u8]| bits::set(bytes, offset, on);
    if old != Some(on) {
        entry.edit_bytes(offset as usize / 8 + 1, edit);
        entry.commit(&[Event::string("setbit")]);
    } else if !is_raw {
        // Also a bit that stays as it is decides how the string is stored.
        entry.edit_bytes(0, edit);
        entry.unchanged();
    }
    cx.out.integer(old.unwrap_or(false).into());
    Ok(())
}

pub(super) const GETBIT: Row = Row {
    name: "getbit",
    summary: "Returns one bit of a string.",
    since: "2.2.0",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key offset",
    complexity: "O(1)",
    run: getbit,
    ..BASE
};

fn getbit(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let offset = offset(cx, cx.arg(2))?;
    let key = cx.key(1);
    let bit = match cx.keyspace.read(cx.db, key) {
        Some(item) => string(&item)?.with_bytes(|bytes| bits::get(bytes, offset)),
        None => None,
    };
    cx.out.integer(bit.unwrap_or(false).into());
    Ok(())
}
