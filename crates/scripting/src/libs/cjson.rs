//! `cjson`: JSON, as in Mark Pulford's Lua CJSON 2.1.0. This module has the settings and the writer; [`parse`] reads.
//!
//! Settings belong to an instance of the library (`cjson.new`): its functions share a table as their upvalue, which has
//! one number per setting.

mod parse;

use super::check_integer;
use crate::lua::{Kind, Lua, Native, Raise};
use crate::number::push_general;

/// Settings, by their index in the instance's table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    SparseConvert = 1,
    SparseRatio,
    SparseSafe,
    EncodeMaxDepth,
    DecodeMaxDepth,
    Precision,
    KeepBuffer,
    EncodeInvalid,
    DecodeInvalid,
}

const DEFAULTS: [(Setting, i64); 9] = [
    (Setting::SparseConvert, 0),
    (Setting::SparseRatio, 2),
    (Setting::SparseSafe, 10),
    (Setting::EncodeMaxDepth, 1000),
    (Setting::DecodeMaxDepth, 1000),
    (Setting::Precision, 14),
    (Setting::KeepBuffer, 1),
    (Setting::EncodeInvalid, 0),
    (Setting::DecodeInvalid, 1),
];

const FUNCTIONS: &[(&str, Native)] = &[
    ("encode", encode),
    ("decode", parse::decode),
    ("encode_sparse_array", set_sparse),
    ("encode_max_depth", |lua| set_integer(lua, Setting::EncodeMaxDepth, 1, i64::from(i32::MAX))),
    ("decode_max_depth", |lua| set_integer(lua, Setting::DecodeMaxDepth, 1, i64::from(i32::MAX))),
    ("encode_number_precision", |lua| set_integer(lua, Setting::Precision, 1, 14)),
    ("encode_keep_buffer", |lua| set_word(lua, Setting::KeepBuffer, &["off", "on"])),
    ("encode_invalid_numbers", |lua| set_word(lua, Setting::EncodeInvalid, &["off", "on", "null"])),
    ("decode_invalid_numbers", |lua| set_word(lua, Setting::DecodeInvalid, &["off", "on"])),
    ("new", |lua| {
        open(lua);
        Ok(1)
    }),
];

pub(crate) fn open(lua: &mut Lua) {
    lua.push_table(0, FUNCTIONS.len() + 3);
    lua.push_table(DEFAULTS.len(), 0);
    for (setting, value) in DEFAULTS {
        lua.push_number(value as f64);
        lua.set_element(-2, setting as i32);
    }
    for (name, function) in FUNCTIONS {
        lua.push_value(-1);
        lua.push_native(*function, 1);
        lua.set_field(-3, name);
    }
    lua.pop(1);
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        lua.push_str(text);
        lua.set_field(-2, name);
    }
    lua.push_light(std::ptr::null());
    lua.set_field(-2, "null");
}

fn setting(lua: &mut Lua, setting: Setting) -> i64 {
    let table = lua.upvalue(1);
    lua.get_element(table, setting as i32);
    let value = crate::convert::truncated(lua.number(-1));
    lua.pop(1);
    value
}

fn set(lua: &mut Lua, setting: Setting, value: i64) {
    let table = lua.upvalue(1);
    lua.push_number(value as f64);
    lua.set_element(table, setting as i32);
}

/// Sets and returns a number, if there is an argument for it.
fn set_integer(lua: &mut Lua, which: Setting, least: i64, most: i64) -> Result<i32, Raise> {
    if lua.top() > 1 {
        return Err(lua.bad_argument(2, "found too many arguments"));
    }
    integer_option(lua, 1, which, least, most)?;
    Ok(1)
}

/// Takes an argument for a setting, unless it is nil or absent, and pushes the setting's value.
fn integer_option(lua: &mut Lua, argument: i32, which: Setting, least: i64, most: i64) -> Result<(), Raise> {
    if !matches!(lua.kind(argument), Kind::Absent | Kind::Nil) {
        let value = i64::from(check_integer(lua, argument)? as i32);
        if !(least..=most).contains(&value) {
            return Err(lua.bad_argument(argument, &format!("expected integer between {least} and {most}")));
        }
        set(lua, which, value);
    }
    let value = setting(lua, which);
    lua.push_number(value as f64);
    Ok(())
}

/// Sets and returns a word or a boolean, if there is an argument for it.
fn set_word(lua: &mut Lua, which: Setting, words: &[&str]) -> Result<i32, Raise> {
    if lua.top() > 1 {
        return Err(lua.bad_argument(2, "found too many arguments"));
    }
    word_option(lua, 1, which, words)?;
    Ok(1)
}

fn word_option(lua: &mut Lua, argument: i32, which: Setting, words: &[&str]) -> Result<(), Raise> {
    match lua.kind(argument) {
        Kind::Absent | Kind::Nil => {}
        Kind::Boolean => {
            let value = i64::from(lua.truth(argument));
            set(lua, which, value);
        }
        Kind::String | Kind::Number => {
            let word = String::from_utf8_lossy(lua.coerce_bytes(argument).unwrap_or_default()).into_owned();
            match words.iter().position(|known| *known == word) {
                Some(value) => set(lua, which, value as i64),
                None => return Err(lua.bad_argument(argument, &format!("invalid option '{word}'"))),
            }
        }
        _ => return Err(lua.wrong_type(argument, "string")),
    }
    match setting(lua, which) {
        value @ (0 | 1) => lua.push_boolean(value == 1),
        value => lua.push_str(words[value as usize]),
    }
    Ok(())
}

fn set_sparse(lua: &mut Lua) -> Result<i32, Raise> {
    if lua.top() > 3 {
        return Err(lua.bad_argument(4, "found too many arguments"));
    }
    word_option(lua, 1, Setting::SparseConvert, &["off", "on"])?;
    lua.insert(1);
    let args = lua.top();
    // The results stand below the arguments, so that these keep counting from one end.
    integer_option(lua, 3, Setting::SparseRatio, 0, i64::from(i32::MAX))?;
    let ratio = lua.number(-1);
    lua.pop(1);
    let safe = if args >= 4 {
        integer_option(lua, 4, Setting::SparseSafe, 0, i64::from(i32::MAX))?;
        let safe = lua.number(-1);
        lua.pop(1);
        safe
    } else {
        setting(lua, Setting::SparseSafe) as f64
    };
    lua.push_value(1);
    lua.push_number(ratio);
    lua.push_number(safe);
    Ok(3)
}

/// Writes one value with the settings of an instance.
struct Writer {
    out: Vec<u8>,
    max_depth: usize,
    precision: usize,
    invalid: i64,
    sparse_convert: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
}

fn encode(lua: &mut Lua) -> Result<i32, Raise> {
    if lua.top() != 1 {
        return Err(lua.bad_argument(1, "expected 1 argument"));
    }
    let mut writer = Writer {
        out: Vec::with_capacity(64),
        max_depth: setting(lua, Setting::EncodeMaxDepth) as usize,
        precision: setting(lua, Setting::Precision) as usize,
        invalid: setting(lua, Setting::EncodeInvalid),
        sparse_convert: setting(lua, Setting::SparseConvert) != 0,
        sparse_ratio: setting(lua, Setting::SparseRatio),
        sparse_safe: setting(lua, Setting::SparseSafe),
    };
    writer.value(lua, 0)?;
    lua.push_bytes(&writer.out);
    Ok(1)
}

impl Writer {
    fn refuse(lua: &mut Lua, index: i32, reason: &str) -> Raise {
        let text = format!("Cannot serialise {}: {reason}", lua.kind_name(index));
        lua.raise_here(&text)
    }

    /// Writes the value on top of the stack, and leaves it there.
    fn value(&mut self, lua: &mut Lua, depth: usize) -> Result<(), Raise> {
        match lua.kind(-1) {
            Kind::String => self.text(lua.bytes(-1).unwrap_or_default()),
            Kind::Number => self.number(lua)?,
            Kind::Boolean => {
                let word: &[u8] = if lua.truth(-1) { b"true" } else { b"false" };
                self.out.extend_from_slice(word);
            }
            Kind::Nil => self.out.extend_from_slice(b"null"),
            Kind::LightUserdata if lua.light(-1).is_some_and(<*const ()>::is_null) => {
                self.out.extend_from_slice(b"null");
            }
            Kind::Table => {
                let depth = depth + 1;
                if depth > self.max_depth {
                    let text = format!("Cannot serialise, excessive nesting ({depth})");
                    return Err(lua.raise_here(&text));
                }
                if lua.reserve(6).is_err() {
                    return Err(lua.raise_here("stack overflow"));
                }
                match self.array_length(lua)? {
                    Some(len) if len > 0 => self.array(lua, len, depth)?,
                    _ => self.object(lua, depth)?,
                }
            }
            _ => return Err(Writer::refuse(lua, -1, "type not supported")),
        }
        Ok(())
    }

    /// The largest key of the table on top of the stack, if all keys are positive integers and few are missing.
    fn array_length(&self, lua: &mut Lua) -> Result<Option<i64>, Raise> {
        let (mut largest, mut entries) = (0i64, 0i64);
        lua.push_nil();
        while lua.next(-2) {
            lua.pop(1);
            let key = if lua.kind(-1) == Kind::Number { lua.number(-1) } else { 0.0 };
            // What does not fit into an int overflows in the original.
            if !(key >= 1.0 && key.fract() == 0.0 && key <= f64::from(i32::MAX)) {
                lua.pop(1);
                return Ok(None);
            }
            largest = largest.max(key as i64);
            entries += 1;
        }
        let sparse =
            self.sparse_ratio > 0 && largest > entries * self.sparse_ratio && largest > self.sparse_safe;
        match (sparse, self.sparse_convert) {
            (false, _) => Ok(Some(largest)),
            (true, true) => Ok(None),
            (true, false) => Err(Writer::refuse(lua, -1, "excessively sparse array")),
        }
    }

    fn array(&mut self, lua: &mut Lua, len: i64, depth: usize) -> Result<(), Raise> {
        self.out.push(b'[');
        for i in 1..=len {
            if i > 1 {
                self.out.push(b',');
            }
            lua.get_element(-1, i as i32);
            self.value(lua, depth)?;
            lua.pop(1);
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, lua: &mut Lua, depth: usize) -> Result<(), Raise> {
        self.out.push(b'{');
        let mut first = true;
        lua.push_nil();
        while lua.next(-2) {
            if !first {
                self.out.push(b',');
            }
            first = false;
            match lua.kind(-2) {
                Kind::Number => {
                    self.out.push(b'"');
                    let key = lua.number(-2);
                    self.plain_number(key);
                    self.out.extend_from_slice(b"\":");
                }
                Kind::String => {
                    self.text(lua.bytes(-2).unwrap_or_default());
                    self.out.push(b':');
                }
                _ => return Err(Writer::refuse(lua, -2, "table key must be a number or string")),
            }
            self.value(lua, depth)?;
            lua.pop(1);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn number(&mut self, lua: &mut Lua) -> Result<(), Raise> {
        let value = lua.number(-1);
        match (value.is_finite(), self.invalid) {
            (true, _) => self.plain_number(value),
            (false, 2) => self.out.extend_from_slice(b"null"),
            (false, 1) if value.is_nan() => self.out.extend_from_slice(b"nan"),
            (false, 1) => self.plain_number(value),
            (false, _) => return Err(Writer::refuse(lua, -1, "must not be NaN or Inf")),
        }
        Ok(())
    }

    fn plain_number(&mut self, value: f64) {
        const SMALL: f64 = 1e9;
        if value.fract() == 0.0
            && value.abs() < SMALL
            && self.precision >= 9
            && !(value == 0.0 && value.is_sign_negative())
        {
            self.out.extend_from_slice((value as i64).to_string().as_bytes());
        } else {
            push_general(&mut self.out, value, self.precision);
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.out.push(b'"');
        let mut plain = 0;
        for (i, byte) in text.iter().enumerate() {
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'/' => b"\\/",
                0x08 => b"\\b",
                b'\t' => b"\\t",
                b'\n' => b"\\n",
                0x0c => b"\\f",
                b'\r' => b"\\r",
                0..=0x1f | 0x7f => b"",
                _ => continue,
            };
            self.out.extend_from_slice(&text[plain..i]);
            plain = i + 1;
            if escape.is_empty() {
                self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
            } else {
                self.out.extend_from_slice(escape);
            }
        }
        self.out.extend_from_slice(&text[plain..]);
        self.out.push(b'"');
    }
}
