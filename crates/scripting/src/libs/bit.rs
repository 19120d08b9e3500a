//! `bit`: operations on the 32 low bits of numbers, with signed results, as in Mike Pall's BitOp.

use super::{check_number, push_library};
use crate::lua::{Kind, Lua, Native, Raise};

const FUNCTIONS: &[(&str, Native)] = &[
    ("tobit", |lua| unary(lua, |a| a)),
    ("bnot", |lua| unary(lua, |a| !a)),
    ("bswap", |lua| unary(lua, u32::swap_bytes)),
    ("band", |lua| fold(lua, |a, b| a & b)),
    ("bor", |lua| fold(lua, |a, b| a | b)),
    ("bxor", |lua| fold(lua, |a, b| a ^ b)),
    ("lshift", |lua| shift(lua, |a, n| a << n)),
    ("rshift", |lua| shift(lua, |a, n| a >> n)),
    ("arshift", |lua| shift(lua, |a, n| ((a as i32) >> n) as u32)),
    ("rol", |lua| shift(lua, u32::rotate_left)),
    ("ror", |lua| shift(lua, u32::rotate_right)),
    ("tohex", to_hex),
];

pub(crate) fn open(lua: &mut Lua) {
    push_library(lua, FUNCTIONS);
}

/// The low 32 bits of a number, which is rounded to the nearest integer, half to even.
fn bits(lua: &mut Lua, argument: i32) -> Result<u32, Raise> {
    // Beyond this, adding it leaves the integer part in the low bits of the mantissa.
    const BIAS: f64 = 6_755_399_441_055_744.0;
    Ok((check_number(lua, argument)? + BIAS).to_bits() as u32)
}

fn push(lua: &mut Lua, bits: u32) -> Result<i32, Raise> {
    lua.push_number(f64::from(bits as i32));
    Ok(1)
}

fn unary(lua: &mut Lua, operation: fn(u32) -> u32) -> Result<i32, Raise> {
    let operand = bits(lua, 1)?;
    push(lua, operation(operand))
}

fn fold(lua: &mut Lua, operation: fn(u32, u32) -> u32) -> Result<i32, Raise> {
    let mut result = bits(lua, 1)?;
    // From the last one down: the first wrong argument that is found is the last.
    for argument in (2..=lua.top()).rev() {
        result = operation(result, bits(lua, argument)?);
    }
    push(lua, result)
}

fn shift(lua: &mut Lua, operation: fn(u32, u32) -> u32) -> Result<i32, Raise> {
    let operand = bits(lua, 1)?;
    let distance = bits(lua, 2)? & 31;
    push(lua, operation(operand, distance))
}

fn to_hex(lua: &mut Lua) -> Result<i32, Raise> {
    let value = bits(lua, 1)?;
    let digits = if lua.kind(2) == Kind::Absent { 8 } else { bits(lua, 2)? as i32 };
    let text = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    let shown = digits.unsigned_abs().min(8) as usize;
    lua.push_str(&text[8 - shown..]);
    Ok(1)
}
