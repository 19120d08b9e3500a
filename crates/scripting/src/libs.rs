//! The libraries that scripts have besides Lua's own: each module's `open` pushes a table of its functions.

pub(crate) mod bit;
pub(crate) mod cjson;
pub(crate) mod cmsgpack;
pub(crate) mod random;
pub(crate) mod structs;

use crate::lua::{Kind, Lua, Native, Raise};

/// Pushes a table of functions.
fn push_library(lua: &mut Lua, functions: &[(&str, Native)]) {
    lua.push_table(0, functions.len());
    for (name, function) in functions {
        lua.push_native(*function, 0);
        lua.set_field(-2, name);
    }
}

/// The bytes of a string argument; a number becomes one.
fn check_bytes(lua: &mut Lua, argument: i32) -> Result<Vec<u8>, Raise> {
    match lua.kind(argument) {
        Kind::String | Kind::Number => Ok(lua.coerce_bytes(argument).unwrap_or_default().to_vec()),
        _ => Err(lua.wrong_type(argument, "string")),
    }
}

/// A number argument.
fn check_number(lua: &mut Lua, argument: i32) -> Result<f64, Raise> {
    match lua.as_number(argument) {
        Some(number) => Ok(number),
        None => Err(lua.wrong_type(argument, "number")),
    }
}

/// A number argument as an integer.
fn check_integer(lua: &mut Lua, argument: i32) -> Result<i64, Raise> {
    check_number(lua, argument).map(crate::convert::truncated)
}

/// The same, or a default if it is absent or nil.
fn optional_integer(lua: &mut Lua, argument: i32, default: i64) -> Result<i64, Raise> {
    match lua.kind(argument) {
        Kind::Absent | Kind::Nil => Ok(default),
        _ => check_integer(lua, argument),
    }
}
