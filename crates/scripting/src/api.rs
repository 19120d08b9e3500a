//! The functions of the `redis` table.

use sha1::{Digest, Sha1};

use crate::convert;
use crate::host::{LogLevel, Protocol, Replication};
use crate::lua::{Kind, Lua, Native, Raise};
use crate::names::Name;

/// The functions that scripts and functions have.
pub(crate) const FUNCTIONS: &[(&str, Native)] = &[
    ("call", call),
    ("pcall", pcall),
    ("log", log),
    ("setresp", set_protocol),
    ("sha1hex", sha1_hex),
    ("error_reply", error_reply),
    ("status_reply", status_reply),
    ("set_repl", set_replication),
    ("acl_check_cmd", check_permission),
];

/// Those that scripts have besides.
pub(crate) const SCRIPT_FUNCTIONS: &[(&str, Native)] =
    &[("replicate_commands", replicate_commands), ("breakpoint", breakpoint), ("debug", debug)];

/// Levels of the log.
pub(crate) const LOG_LEVELS: [(&str, LogLevel); 4] = [
    ("LOG_DEBUG", LogLevel::Debug),
    ("LOG_VERBOSE", LogLevel::Verbose),
    ("LOG_NOTICE", LogLevel::Notice),
    ("LOG_WARNING", LogLevel::Warning),
];

const REPL_AOF: i64 = 1;
const REPL_REPLICA: i64 = 2;

/// Where effects go.
pub(crate) const REPLICATION: [(&str, i64); 5] = [
    ("REPL_NONE", 0),
    ("REPL_AOF", REPL_AOF),
    ("REPL_SLAVE", REPL_REPLICA),
    ("REPL_REPLICA", REPL_REPLICA),
    ("REPL_ALL", REPL_AOF | REPL_REPLICA),
];

/// The text with the code `ERR` in front, as errors of the `redis` functions have it.
fn with_code(text: &str) -> String {
    format!("ERR {text}")
}

/// An error as a table, to be raised.
fn raise(lua: &mut Lua, text: &str) -> Raise {
    convert::push_error(lua, with_code(text).as_bytes(), false);
    Raise
}

/// Executes the command that the arguments are, and pushes its reply. Whether that is an error.
fn execute(lua: &mut Lua) -> Result<bool, Raise> {
    lua.with_session(|lua, session| {
        if let Err(text) = convert::compose(lua, session) {
            convert::push_error(lua, with_code(text).as_bytes(), false);
            return Ok(true);
        }
        // The words are the host's now; the reply may need the room.
        lua.truncate(0);
        let mut result = Ok(false);
        session.host.call(session.protocol, &mut |reply| {
            let is_error = matches!(reply.first(), Some(b'-' | b'!'));
            result = convert::push_reply(lua, reply).map(|()| is_error);
        });
        result
    })
}

fn call(lua: &mut Lua) -> Result<i32, Raise> {
    if execute(lua)? { Err(Raise) } else { Ok(1) }
}

fn pcall(lua: &mut Lua) -> Result<i32, Raise> {
    execute(lua)?;
    Ok(1)
}

fn log(lua: &mut Lua) -> Result<i32, Raise> {
    let args = lua.top();
    if args < 2 {
        return Err(raise(lua, "redis.log() requires two arguments or more."));
    }
    let Some(level) = lua.as_number(1).map(convert::truncated) else {
        return Err(raise(lua, "First argument must be a number (log level)."));
    };
    let Some((_, level)) = usize::try_from(level).ok().and_then(|level| LOG_LEVELS.get(level)) else {
        return Err(raise(lua, "Invalid log level."));
    };
    let mut text = Vec::new();
    for i in 2..=args {
        if let Some(part) = lua.coerce_bytes(i) {
            if !text.is_empty() {
                text.push(b' ');
            }
            text.extend_from_slice(part);
        }
    }
    lua.with_session(|_, session| session.host.log(*level, &text));
    Ok(0)
}

fn set_protocol(lua: &mut Lua) -> Result<i32, Raise> {
    if lua.top() != 1 {
        return Err(raise(lua, "redis.setresp() requires one argument."));
    }
    let protocol = match convert::truncated(lua.number(1)) {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(raise(lua, "RESP version must be 2 or 3.")),
    };
    lua.with_session(|_, session| session.protocol = protocol);
    Ok(0)
}

fn sha1_hex(lua: &mut Lua) -> Result<i32, Raise> {
    if lua.top() != 1 {
        return Err(raise(lua, "wrong number of arguments"));
    }
    let digest = hex(lua.coerce_bytes(1).unwrap_or_default());
    lua.push_bytes(&digest);
    Ok(1)
}

/// The SHA-1 digest of some bytes, as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(Sha1::digest(bytes)) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text
}

/// The only argument, if it is a string.
fn only_string(lua: &Lua) -> Option<&[u8]> {
    if lua.top() == 1 { lua.bytes(1) } else { None }
}

const WRONG_ARGUMENTS: &[u8] = b"ERR wrong number or type of arguments";

fn error_reply(lua: &mut Lua) -> Result<i32, Raise> {
    let text = match only_string(lua) {
        None => WRONG_ARGUMENTS.to_vec(),
        Some(text) => {
            let text = text.strip_prefix(b"-").unwrap_or(text);
            if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat() }
        }
    };
    convert::push_error(lua, &text, false);
    Ok(1)
}

fn status_reply(lua: &mut Lua) -> Result<i32, Raise> {
    match only_string(lua) {
        None => convert::push_error(lua, WRONG_ARGUMENTS, false),
        Some(_) => {
            lua.push_table(0, 1);
            lua.push_value(1);
            lua.set_named(-2, Name::Ok);
        }
    }
    Ok(1)
}

fn set_replication(lua: &mut Lua) -> Result<i32, Raise> {
    if lua.top() != 1 {
        return Err(raise(lua, "redis.set_repl() requires one argument."));
    }
    let flags = convert::truncated(lua.number(1));
    if flags & !(REPL_AOF | REPL_REPLICA) != 0 {
        let text = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(raise(lua, text));
    }
    let to = Replication { aof: flags & REPL_AOF != 0, replicas: flags & REPL_REPLICA != 0 };
    lua.with_session(|_, session| session.host.set_replication(to));
    Ok(0)
}

fn check_permission(lua: &mut Lua) -> Result<i32, Raise> {
    let verdict = lua.with_session(|lua, session| {
        convert::compose(lua, session)?;
        session.host.is_permitted().ok_or("Invalid command passed to redis.acl_check_cmd()")
    });
    match verdict {
        Ok(permitted) => {
            lua.push_boolean(permitted);
            Ok(1)
        }
        Err(text) => Err(raise(lua, text)),
    }
}

/// What scripts once had to call before their effects were replicated; they always are.
fn replicate_commands(lua: &mut Lua) -> Result<i32, Raise> {
    lua.push_boolean(true);
    Ok(1)
}

/// There is no debugger to stop in.
fn breakpoint(lua: &mut Lua) -> Result<i32, Raise> {
    lua.push_boolean(false);
    Ok(1)
}

/// There is no debugger to write to.
fn debug(_: &mut Lua) -> Result<i32, Raise> {
    Ok(0)
}

/// What errors pass through on their way out of a script: they become tables, and learn where they come from.
pub(crate) fn handle_error(lua: &mut Lua) -> Result<i32, Raise> {
    if lua.kind(1) != Kind::Table {
        let text = match lua.kind(1) {
            Kind::String | Kind::Number => lua.coerce_bytes(1).unwrap_or_default().to_vec(),
            Kind::Boolean => lua.truth(1).to_string().into_bytes(),
            Kind::Nil | Kind::Absent => b"nil".to_vec(),
            _ => format!("{}: {:#x}", lua.kind_name(1), lua.identity(1)).into_bytes(),
        };
        convert::push_error(lua, &[b"ERR ", &text[..]].concat(), false);
    } else {
        lua.push_value(1);
    }
    if let Some(place) = lua.caller() {
        lua.push_bytes(&place.source);
        lua.set_field(-2, "source");
        lua.push_number(f64::from(place.line));
        lua.set_field(-2, "line");
    }
    Ok(1)
}
