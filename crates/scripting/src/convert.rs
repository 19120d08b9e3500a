//! Replies to Lua values, and Lua values to replies, as Redis converts them.
//!
//! | reply | Lua |
//! |---|---|
//! | integer | number |
//! | bulk string | string |
//! | status, error | table with the field `ok` or `err` |
//! | array | table |
//! | null | `false` (RESP2), `nil` (RESP3) |
//! | map, set, double, big number | table with the field `map`, `set`, `double` or `big_number` |
//! | verbatim string | table with the field `verbatim_string`, a table with the fields `format` and `string` |
//! | boolean | boolean |

use crate::host::{Protocol, Reply, Session};
use crate::lua::{Kind, Lua, Raise};
use crate::names::Name;

/// Pushes the Lua value of a reply.
pub(crate) fn push_reply(lua: &mut Lua, reply: &[u8]) -> Result<(), Raise> {
    let mut rest = reply;
    push_value(lua, &mut rest)?;
    debug_assert!(rest.is_empty(), "one reply at a time");
    Ok(())
}

/// Takes a line off the front, without its end.
#[inline]
fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| *byte == b'\r').expect("replies are complete");
    let (line, tail) = rest.split_at(end);
    *rest = &tail[2..];
    line
}

/// Takes as many bytes as a line has said, and the line end behind them.
fn sized<'a>(rest: &mut &'a [u8], len: i64) -> &'a [u8] {
    let (bytes, tail) = rest.split_at(usize::try_from(len).expect("lengths are not negative"));
    *rest = &tail[2..];
    bytes
}

#[inline]
fn integer(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = digits.iter().fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    if negative { magnitude.wrapping_neg() as i64 } else { magnitude as i64 }
}

fn push_value(lua: &mut Lua, rest: &mut &[u8]) -> Result<(), Raise> {
    let tag = rest[0];
    *rest = &rest[1..];
    let line = line(rest);
    match tag {
        b':' => lua.push_number(integer(line) as f64),
        b'$' => match integer(line) {
            -1 => lua.push_boolean(false),
            len => lua.push_bytes(sized(rest, len)),
        },
        b'*' => match integer(line) {
            -1 => lua.push_boolean(false),
            len => push_array(lua, rest, len)?,
        },
        b'+' => push_wrapped(lua, Name::Ok, |lua| lua.push_bytes(line)),
        b'-' => push_error(lua, line, true),
        b'!' => push_error(lua, sized(rest, integer(line)), true),
        b'_' => lua.push_nil(),
        b'#' => lua.push_boolean(line == b"t"),
        b',' => push_wrapped(lua, Name::Double, |lua| lua.push_number(double(line))),
        b'(' => push_wrapped(lua, Name::BigNumber, |lua| lua.push_bytes(line)),
        b'=' => push_verbatim(lua, sized(rest, integer(line))),
        b'%' => push_map(lua, rest, integer(line))?,
        b'~' => push_set(lua, rest, integer(line))?,
        b'>' => push_array(lua, rest, integer(line))?,
        b'|' => {
            skip_pairs(lua, rest, integer(line))?;
            push_value(lua, rest)?;
        }
        other => unreachable!("no reply begins with {other}"),
    }
    Ok(())
}

fn double(text: &[u8]) -> f64 {
    str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// Pushes the table that stands for an error. `counted` errors are in the server's statistics already.
pub(crate) fn push_error(lua: &mut Lua, text: &[u8], counted: bool) {
    lua.push_table(0, 2);
    lua.push_bytes(text);
    lua.set_named(-2, Name::Err);
    if counted {
        lua.push_boolean(true);
        lua.set_named(-2, Name::Counted);
    }
}

fn push_wrapped(lua: &mut Lua, field: Name, push: impl FnOnce(&mut Lua)) {
    lua.push_table(0, 1);
    push(lua);
    lua.set_named(-2, field);
}

fn push_verbatim(lua: &mut Lua, bytes: &[u8]) {
    push_wrapped(lua, Name::VerbatimString, |lua| {
        let (format, text) = bytes.split_at(3);
        lua.push_table(0, 2);
        lua.push_bytes(format);
        lua.set_named(-2, Name::Format);
        lua.push_bytes(&text[1..]);
        lua.set_named(-2, Name::String);
    });
}

/// Room that each level of nesting needs.
fn reserve(lua: &mut Lua) -> Result<(), Raise> {
    lua.within_limit()?;
    lua.reserve(6).map_err(|_| lua.raise("stack overflow"))
}

fn push_array(lua: &mut Lua, rest: &mut &[u8], len: i64) -> Result<(), Raise> {
    reserve(lua)?;
    lua.push_table(len as usize, 0);
    for i in 1..=len {
        push_value(lua, rest)?;
        lua.set_element(-2, i as i32);
    }
    lua.within_limit()
}

/// Passes over attributes, of which scripts see nothing.
fn skip_pairs(lua: &mut Lua, rest: &mut &[u8], pairs: i64) -> Result<(), Raise> {
    reserve(lua)?;
    for _ in 0..2 * pairs {
        push_value(lua, rest)?;
        lua.pop(1);
    }
    Ok(())
}

fn push_map(lua: &mut Lua, rest: &mut &[u8], pairs: i64) -> Result<(), Raise> {
    reserve(lua)?;
    lua.push_table(0, 1);
    lua.push_table(0, pairs as usize);
    for _ in 0..pairs {
        push_value(lua, rest)?;
        push_value(lua, rest)?;
        if lua.is_key(-2) { lua.raw_set(-3) } else { lua.pop(2) }
    }
    lua.set_named(-2, Name::Map);
    lua.within_limit()
}

fn push_set(lua: &mut Lua, rest: &mut &[u8], len: i64) -> Result<(), Raise> {
    reserve(lua)?;
    lua.push_table(0, 1);
    lua.push_table(0, len as usize);
    for _ in 0..len {
        push_value(lua, rest)?;
        lua.push_boolean(true);
        if lua.is_key(-2) { lua.raw_set(-3) } else { lua.pop(2) }
    }
    lua.set_named(-2, Name::Set);
    lua.within_limit()
}

/// Pops the topmost value and replies it.
pub(crate) fn reply_value(lua: &mut Lua, protocol: Protocol, reply: &mut dyn Reply) {
    if lua.reserve(4).is_err() {
        reply.error(b"ERR reached lua stack limit", true);
        return lua.pop(1);
    }
    match lua.kind(-1) {
        Kind::String => reply.bulk(lua.bytes(-1).unwrap_or_default()),
        Kind::Number => reply.integer(truncated(lua.number(-1))),
        Kind::Boolean => match (protocol, lua.truth(-1)) {
            (Protocol::Resp3, value) => reply.boolean(value),
            (Protocol::Resp2, true) => reply.integer(1),
            (Protocol::Resp2, false) => reply.null(),
        },
        Kind::Table => reply_table(lua, protocol, reply),
        _ => reply.null(),
    }
    lua.pop(1);
}

/// A number as C converts it to a 64-bit integer: what does not fit becomes the smallest one.
pub(crate) fn truncated(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

/// Replies the table on top of the stack, and leaves it there.
fn reply_table(lua: &mut Lua, protocol: Protocol, reply: &mut dyn Reply) {
    for (field, convert) in SPECIAL {
        lua.get_named(-1, field);
        if lua.kind(-1) != Kind::Nil && convert(lua, protocol, reply) {
            return lua.pop(1);
        }
        lua.pop(1);
    }
    reply_array(lua, protocol, reply);
}

type Convert = fn(&mut Lua, Protocol, &mut dyn Reply) -> bool;

/// Fields that give a table a meaning, in order of their precedence. The conversion of the field's value, which is on top
/// of the stack and below which is the table, says whether the value is one that it converts.
const SPECIAL: [(Name, Convert); 7] = [
    (Name::Err, reply_error),
    (Name::Ok, |lua, _, reply| lua.bytes(-1).map(|text| reply.status(c_text(text))).is_some()),
    (Name::Double, |lua, _, reply| {
        let is = lua.kind(-1) == Kind::Number;
        if is {
            reply.double(lua.number(-1));
        }
        is
    }),
    (Name::Map, reply_map),
    (Name::Set, reply_set),
    (Name::BigNumber, |lua, _, reply| {
        lua.bytes(-1).map(|digits| reply.big_number(&one_line(digits))).is_some()
    }),
    (Name::VerbatimString, reply_verbatim),
];

/// A text up to its first zero byte.
fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A text with blanks for line ends.
fn one_line(text: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    text.iter().map(blank).collect()
}

fn reply_error(lua: &mut Lua, _: Protocol, reply: &mut dyn Reply) -> bool {
    if lua.kind(-1) != Kind::String {
        return false;
    }
    lua.get_named(-2, Name::Counted);
    let count = !lua.truth(-1);
    lua.pop(1);
    let mut text = c_text(lua.bytes(-1).unwrap_or_default());
    while let [head @ .., b'\r' | b'\n'] = text {
        text = head;
    }
    reply.error(text, count);
    true
}

fn reply_map(lua: &mut Lua, protocol: Protocol, reply: &mut dyn Reply) -> bool {
    if lua.kind(-1) != Kind::Table {
        return false;
    }
    reply.map(count(lua));
    lua.push_nil();
    while lua.next(-2) {
        lua.push_value(-2);
        reply_value(lua, protocol, reply);
        reply_value(lua, protocol, reply);
    }
    true
}

fn reply_set(lua: &mut Lua, protocol: Protocol, reply: &mut dyn Reply) -> bool {
    if lua.kind(-1) != Kind::Table {
        return false;
    }
    reply.set(count(lua));
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        lua.push_value(-1);
        reply_value(lua, protocol, reply);
    }
    true
}

/// Number of entries of the table on top of the stack.
fn count(lua: &mut Lua) -> usize {
    let mut count = 0;
    lua.push_nil();
    while lua.next(-2) {
        lua.pop(1);
        count += 1;
    }
    count
}

fn reply_verbatim(lua: &mut Lua, _: Protocol, reply: &mut dyn Reply) -> bool {
    if lua.kind(-1) != Kind::Table {
        return false;
    }
    lua.get_named(-1, Name::Format);
    lua.get_named(-2, Name::String);
    let is = match (lua.bytes(-2), lua.bytes(-1)) {
        (Some(given), Some(text)) => {
            let mut format = *b"   ";
            format.iter_mut().zip(c_text(given)).for_each(|(to, from)| *to = *from);
            reply.verbatim(format, text);
            true
        }
        _ => false,
    };
    lua.pop(2);
    is
}

/// Replies the elements of the table on top of the stack up to the first that is nil.
fn reply_array(lua: &mut Lua, protocol: Protocol, reply: &mut dyn Reply) {
    let mut len = 0;
    loop {
        lua.get_element(-1, len + 1);
        let ends = lua.kind(-1) == Kind::Nil;
        lua.pop(1);
        if ends {
            break;
        }
        len += 1;
    }
    reply.array(len as usize);
    for i in 1..=len {
        lua.get_element(-1, i);
        reply_value(lua, protocol, reply);
    }
}

/// Gives the words of a command, which are all arguments of the running function, to the host.
pub(crate) fn compose(lua: &mut Lua, session: &mut Session<'_>) -> Result<(), &'static str> {
    let words = lua.top();
    if words == 0 {
        return Err("Please specify at least one argument for this redis lib call");
    }
    for i in 1..=words {
        match lua.kind(i) {
            Kind::String => session.host.word(lua.bytes(i).unwrap_or_default()),
            Kind::Number => session.host.number(lua.number(i)),
            _ => {
                session.host.drop_words();
                return Err("Lua redis lib command arguments must be strings or integers");
            }
        }
    }
    Ok(())
}
