//! `cmsgpack`: MessagePack, as in Salvatore Sanfilippo's lua-cmsgpack 0.4.0.
//!
//! A number is an integer if it is whole and fits into 64 bits, else a float if that is exact, else a double. A table is
//! an array if its keys are 1 to its size. Tables nested deeper than [`MAX_NESTING`], functions and userdata are nil.
//! Reading knows neither extension types nor binary.

use super::{check_bytes, check_integer, optional_integer, push_library};
use crate::lua::{Kind, Lua, Native, Raise};

const FUNCTIONS: &[(&str, Native)] =
    &[("pack", pack), ("unpack", unpack), ("unpack_one", unpack_one), ("unpack_limit", unpack_limit)];

const MAX_NESTING: usize = 16;
/// Room is made ahead for so many announced elements at most.
const MOST_HINTED: usize = 1024;

pub(crate) fn open(lua: &mut Lua) {
    push_library(lua, FUNCTIONS);
    for (name, text) in [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ] {
        lua.push_str(text);
        lua.set_field(-2, name);
    }
}

fn pack(lua: &mut Lua) -> Result<i32, Raise> {
    let args = lua.top();
    if args == 0 {
        return Err(lua.bad_argument(0, "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for i in 1..=args {
        lua.push_value(i);
        write_value(lua, &mut out, 0)?;
    }
    lua.push_bytes(&out);
    Ok(1)
}

/// Pops a value and writes it.
fn write_value(lua: &mut Lua, out: &mut Vec<u8>, level: usize) -> Result<(), Raise> {
    match lua.kind(-1) {
        Kind::String => {
            let text = lua.bytes(-1).unwrap_or_default();
            write_header(
                out,
                text.len(),
                &[(31, 0xa0, 0), (0xff, 0xd9, 1), (0xffff, 0xda, 2), (MAX, 0xdb, 4)],
            );
            out.extend_from_slice(text);
        }
        Kind::Boolean => out.push(if lua.truth(-1) { 0xc3 } else { 0xc2 }),
        Kind::Number => write_number(out, lua.number(-1)),
        Kind::Table if level < MAX_NESTING => write_table(lua, out, level)?,
        _ => out.push(0xc0),
    }
    lua.pop(1);
    Ok(())
}

const MAX: usize = u32::MAX as usize;

/// Writes the first form that admits `len`: its largest length, its first byte, and how many bytes the length takes
/// (none: it is part of the first byte).
fn write_header(out: &mut Vec<u8>, len: usize, forms: &[(usize, u8, usize)]) {
    let (_, tag, bytes) =
        forms.iter().find(|form| len <= form.0).expect("Lua's values are smaller than 4 GiB");
    match bytes {
        0 => out.push(tag | len as u8),
        bytes => {
            out.push(*tag);
            out.extend_from_slice(&(len as u64).to_be_bytes()[8 - bytes..]);
        }
    }
}

fn write_number(out: &mut Vec<u8>, value: f64) {
    let whole = crate::convert::truncated(value);
    if whole as f64 == value && value < 9_223_372_036_854_775_808.0 {
        return write_integer(out, whole);
    }
    let single = value as f32;
    if f64::from(single) == value {
        out.push(0xca);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn write_integer(out: &mut Vec<u8>, value: i64) {
    let (tag, bytes) = match value {
        -32..=0x7f => return out.push(value as u8),
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..=-33 => (0xd0, 1),
        -0x8000..=-0x81 => (0xd1, 2),
        -0x8000_0000..=-0x8001 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(tag);
    out.extend_from_slice(&value.to_be_bytes()[8 - bytes..]);
}

/// Writes the table on top of the stack, and leaves it there.
fn write_table(lua: &mut Lua, out: &mut Vec<u8>, level: usize) -> Result<(), Raise> {
    if lua.reserve(6).is_err() {
        return Err(lua.raise_here("stack overflow"));
    }
    let (entries, is_array) = survey(lua);
    if is_array {
        let len = lua.length(-1);
        write_header(out, len, &[(15, 0x90, 0), (0xffff, 0xdc, 2), (MAX, 0xdd, 4)]);
        for i in 1..=len {
            lua.get_element(-1, i as i32);
            write_value(lua, out, level + 1)?;
        }
        return Ok(());
    }
    write_header(out, entries, &[(15, 0x80, 0), (0xffff, 0xde, 2), (MAX, 0xdf, 4)]);
    lua.push_nil();
    while lua.next(-2) {
        lua.push_value(-2);
        write_value(lua, out, level + 1)?;
        write_value(lua, out, level + 1)?;
    }
    Ok(())
}

/// Number of entries of the table on top of the stack, and whether their keys are 1 to that number.
fn survey(lua: &mut Lua) -> (usize, bool) {
    let (mut entries, mut largest, mut whole) = (0, 0.0f64, true);
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        entries += 1;
        let key = if lua.kind(-1) == Kind::Number { lua.number(-1) } else { 0.0 };
        whole &= key > 0.0 && key.fract() == 0.0;
        largest = largest.max(key);
    }
    (entries, whole && largest == entries as f64)
}

/// Why input cannot be read.
enum Malformed {
    Missing,
    Bad,
    Raised(Raise),
}

impl From<Raise> for Malformed {
    fn from(raise: Raise) -> Malformed {
        Malformed::Raised(raise)
    }
}

fn unpack(lua: &mut Lua) -> Result<i32, Raise> {
    read_values(lua, 0, 0, true)
}

fn unpack_one(lua: &mut Lua) -> Result<i32, Raise> {
    let offset = optional_integer(lua, 2, 0)?;
    read_values(lua, 1, offset, false)
}

fn unpack_limit(lua: &mut Lua) -> Result<i32, Raise> {
    let limit = check_integer(lua, 2)?;
    let offset = optional_integer(lua, 3, 0)?;
    read_values(lua, limit, offset, limit == 0 && offset == 0)
}

/// Pushes the values in the first argument from `offset` on: all of them, or at most `limit`, and before them where to go
/// on.
fn read_values(lua: &mut Lua, limit: i64, offset: i64, all: bool) -> Result<i32, Raise> {
    let data = check_bytes(lua, 1)?;
    lua.truncate(1);
    let (limit, offset) = (limit as i32, offset as i32);
    if offset < 0 || limit < 0 {
        let text = format!("Invalid request to unpack with offset of {offset} and limit of {}.", data.len());
        return Err(lua.raise_here(&text));
    }
    if offset as usize > data.len() {
        let text = format!("Start offset {offset} greater than input length {}.", data.len());
        return Err(lua.raise_here(&text));
    }
    let limit = if all { i32::MAX } else { limit };
    let mut rest = &data[offset as usize..];
    let mut count = 0;
    while !rest.is_empty() && count < limit {
        match read_value(lua, &mut rest) {
            Ok(()) => {}
            Err(Malformed::Missing) => return Err(lua.raise_here("Missing bytes in input.")),
            Err(Malformed::Bad) => return Err(lua.raise_here("Bad data format in input.")),
            Err(Malformed::Raised(raise)) => return Err(raise),
        }
        count += 1;
    }
    if all {
        return Ok(count);
    }
    let next = if rest.is_empty() { -1.0 } else { (data.len() - rest.len()) as f64 };
    lua.push_number(next);
    lua.insert(2);
    Ok(count + 1)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Malformed> {
    let (taken, tail) = rest.split_at_checked(len).ok_or(Malformed::Missing)?;
    *rest = tail;
    Ok(taken)
}

/// An unsigned integer of up to eight bytes.
fn unsigned(rest: &mut &[u8], len: usize) -> Result<u64, Malformed> {
    Ok(take(rest, len)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Reads a value and pushes it.
fn read_value(lua: &mut Lua, rest: &mut &[u8]) -> Result<(), Malformed> {
    if lua.reserve(4).is_err() {
        return Err(lua.raise_here("stack overflow (in function mp_decode_to_lua_type)").into());
    }
    let tag = take(rest, 1)?[0];
    match tag {
        0x00..=0x7f => lua.push_number(f64::from(tag)),
        0xe0..=0xff => lua.push_number(f64::from(tag as i8)),
        0x80..=0x8f => return read_map(lua, rest, usize::from(tag & 15)),
        0x90..=0x9f => return read_array(lua, rest, usize::from(tag & 15)),
        0xa0..=0xbf => lua.push_bytes(take(rest, usize::from(tag & 31))?),
        0xc0 => lua.push_nil(),
        0xc2 | 0xc3 => lua.push_boolean(tag == 0xc3),
        0xca => lua.push_number(f64::from(f32::from_bits(unsigned(rest, 4)? as u32))),
        0xcb => lua.push_number(f64::from_bits(unsigned(rest, 8)?)),
        // One of 64 bits wraps around, as in the original.
        0xcc..=0xcf => lua.push_number(unsigned(rest, 1 << (tag - 0xcc))? as i64 as f64),
        0xd0 => lua.push_number(f64::from(unsigned(rest, 1)? as i8)),
        0xd1 => lua.push_number(f64::from(unsigned(rest, 2)? as i16)),
        0xd2 => lua.push_number(f64::from(unsigned(rest, 4)? as i32)),
        0xd3 => lua.push_number(unsigned(rest, 8)? as i64 as f64),
        0xd9..=0xdb => {
            let len = unsigned(rest, 1 << (tag - 0xd9))? as usize;
            lua.push_bytes(take(rest, len)?);
        }
        0xdc | 0xdd => {
            let len = unsigned(rest, 2 << (tag - 0xdc))? as usize;
            return read_array(lua, rest, len);
        }
        0xde | 0xdf => {
            let len = unsigned(rest, 2 << (tag - 0xde))? as usize;
            return read_map(lua, rest, len);
        }
        _ => return Err(Malformed::Bad),
    }
    Ok(())
}

fn read_array(lua: &mut Lua, rest: &mut &[u8], len: usize) -> Result<(), Malformed> {
    lua.within_limit()?;
    // Each element takes a byte at least.
    lua.push_table(len.min(rest.len()).min(MOST_HINTED), 0);
    for i in 1..=len {
        read_value(lua, rest)?;
        lua.set_element(-2, i as i32);
    }
    Ok(lua.within_limit()?)
}

fn read_map(lua: &mut Lua, rest: &mut &[u8], len: usize) -> Result<(), Malformed> {
    lua.within_limit()?;
    lua.push_table(0, len.min(rest.len() / 2).min(MOST_HINTED));
    for _ in 0..len {
        read_value(lua, rest)?;
        read_value(lua, rest)?;
        if !lua.is_key(-2) {
            let what = if lua.kind(-2) == Kind::Nil { "table index is nil" } else { "table index is NaN" };
            return Err(lua.raise(what).into());
        }
        lua.raw_set(-3);
    }
    Ok(lua.within_limit()?)
}
