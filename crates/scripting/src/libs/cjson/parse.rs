//! The reader of JSON: texts of errors, and what is accepted beyond JSON (numbers in hexadecimal, infinities), are those
//! of the original.

use super::{Setting, setting};
use crate::libs::check_bytes;
use crate::lua::{Lua, Raise};

/// What the text consists of.
#[derive(Clone, PartialEq, Debug)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    True,
    False,
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    /// Its name in errors.
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::True | Token::False => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(text) => text,
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the present token begins.
    token_at: usize,
    max_depth: usize,
    accept_invalid: bool,
}

pub(super) fn decode(lua: &mut Lua) -> Result<i32, Raise> {
    if lua.top() != 1 {
        return Err(lua.bad_argument(1, "expected 1 argument"));
    }
    let text = check_bytes(lua, 1)?;
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(lua.raise_here("JSON parser does not support UTF-16 or UTF-32"));
    }
    let max_depth = setting(lua, Setting::DecodeMaxDepth) as usize;
    let accept_invalid = setting(lua, Setting::DecodeInvalid) != 0;
    let mut parser = Parser { text: &text, at: 0, token_at: 0, max_depth, accept_invalid };
    let token = parser.next();
    parser.value(lua, token, 0)?;
    match parser.next() {
        Token::End => Ok(1),
        token => Err(parser.unexpected(lua, "the end", &token)),
    }
}

impl Parser<'_> {
    fn unexpected(&self, lua: &mut Lua, expected: &str, found: &Token) -> Raise {
        let text =
            format!("Expected {expected} but found {} at character {}", found.name(), self.token_at + 1);
        lua.raise_here(&text)
    }

    /// Pushes the value that begins with `token`.
    fn value(&mut self, lua: &mut Lua, token: Token, depth: usize) -> Result<(), Raise> {
        match token {
            Token::String(text) => lua.push_bytes(&text),
            Token::Number(value) => lua.push_number(value),
            Token::True => lua.push_boolean(true),
            Token::False => lua.push_boolean(false),
            Token::Null => lua.push_light(std::ptr::null()),
            Token::ObjectBegin => return self.object(lua, depth + 1),
            Token::ArrayBegin => return self.array(lua, depth + 1),
            other => return Err(self.unexpected(lua, "value", &other)),
        }
        Ok(())
    }

    fn descend(&self, lua: &mut Lua, depth: usize) -> Result<(), Raise> {
        if depth > self.max_depth || lua.reserve(4).is_err() {
            let text = format!("Found too many nested data structures ({depth}) at character {}", self.at);
            return Err(lua.raise_here(&text));
        }
        lua.within_limit()
    }

    fn object(&mut self, lua: &mut Lua, depth: usize) -> Result<(), Raise> {
        self.descend(lua, depth)?;
        lua.push_table(0, 0);
        let mut token = self.next();
        if token == Token::ObjectEnd {
            return Ok(());
        }
        loop {
            let Token::String(key) = token else {
                return Err(self.unexpected(lua, "object key string", &token));
            };
            lua.push_bytes(&key);
            token = self.next();
            if token != Token::Colon {
                return Err(self.unexpected(lua, "colon", &token));
            }
            token = self.next();
            self.value(lua, token, depth)?;
            lua.raw_set(-3);
            match self.next() {
                Token::ObjectEnd => return lua.within_limit(),
                Token::Comma => token = self.next(),
                other => return Err(self.unexpected(lua, "comma or object end", &other)),
            }
        }
    }

    fn array(&mut self, lua: &mut Lua, depth: usize) -> Result<(), Raise> {
        self.descend(lua, depth)?;
        lua.push_table(0, 0);
        let mut token = self.next();
        if token == Token::ArrayEnd {
            return Ok(());
        }
        for i in 1.. {
            self.value(lua, token, depth)?;
            lua.set_element(-2, i);
            match self.next() {
                Token::ArrayEnd => break,
                Token::Comma => token = self.next(),
                other => return Err(self.unexpected(lua, "comma or array end", &other)),
            }
        }
        lua.within_limit()
    }

    fn next(&mut self) -> Token {
        let blanks =
            self.text[self.at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blanks.count();
        self.token_at = self.at;
        let rest = &self.text[self.at..];
        let Some(first) = rest.first() else { return Token::End };
        let (token, len) = match first {
            b'{' => (Token::ObjectBegin, 1),
            b'}' => (Token::ObjectEnd, 1),
            b'[' => (Token::ArrayBegin, 1),
            b']' => (Token::ArrayEnd, 1),
            b',' => (Token::Comma, 1),
            b':' => (Token::Colon, 1),
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.accept_invalid && is_invalid_number(rest) {
                    return Token::Error("invalid number");
                }
                return self.number();
            }
            b't' if rest.starts_with(b"true") => (Token::True, 4),
            b'f' if rest.starts_with(b"false") => (Token::False, 5),
            b'n' if rest.starts_with(b"null") => (Token::Null, 4),
            // What `strtod` reads besides.
            b'i' | b'I' | b'n' | b'N' | b'+' if self.accept_invalid && is_invalid_number(rest) => {
                return self.number();
            }
            _ => (Token::Error("invalid token"), 0),
        };
        self.at += len;
        token
    }

    fn number(&mut self) -> Token {
        match read_number(&self.text[self.at..]) {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn string(&mut self) -> Token {
        let mut out = Vec::new();
        let mut at = self.at + 1;
        loop {
            let run = self.text[at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0)).count();
            out.extend_from_slice(&self.text[at..at + run]);
            at += run;
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Token::String(out);
                }
                Some(b'\\') => match unescape(&self.text[at + 1..], &mut out) {
                    Ok(len) => at += 1 + len,
                    Err(text) => {
                        self.token_at = at;
                        return Token::Error(text);
                    }
                },
                _ => {
                    self.token_at = at;
                    return Token::Error("unexpected end of string");
                }
            }
        }
    }
}

/// Appends what an escape stands for, and returns its length behind the backslash.
fn unescape(rest: &[u8], out: &mut Vec<u8>) -> Result<usize, &'static str> {
    let byte = match rest.first() {
        Some(b'"') => b'"',
        Some(b'\\') => b'\\',
        Some(b'/') => b'/',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return unescape_unicode(rest, out).ok_or("invalid unicode escape code"),
        _ => return Err("invalid escape code"),
    };
    out.push(byte);
    Ok(1)
}

/// The same for `uXXXX`, and a surrogate pair.
fn unescape_unicode(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let first = hex4(rest.get(1..5)?)?;
    let (code, len) = match first {
        0xd800..=0xdbff => {
            let second = rest.get(5..11).filter(|pair| pair.starts_with(b"\\u"))?;
            let low = hex4(&second[2..])?;
            if !(0xdc00..=0xdfff).contains(&low) {
                return None;
            }
            (0x1_0000 + ((first & 0x3ff) << 10 | low & 0x3ff), 11)
        }
        0xdc00..=0xdfff => return None,
        code => (code, 5),
    };
    let character = char::from_u32(code)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(len)
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
}

/// Whether a number is written in a way that JSON does not know: hexadecimal, leading zeros, infinities, NaN.
fn is_invalid_number(text: &[u8]) -> bool {
    let text = match text {
        [b'+', ..] => return true,
        [b'-', rest @ ..] => rest,
        rest => rest,
    };
    match text {
        [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
        [b'0'..=b'9', ..] => false,
        _ => {
            let head = text[..text.len().min(3)].to_ascii_lowercase();
            head == b"inf" || head == b"nan"
        }
    }
}

/// The number at the front of a text as C's `strtod` reads it, and its length.
fn read_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign_len = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let sign = if text.first() == Some(&b'-') { -1.0 } else { 1.0 };
    let rest = &text[sign_len..];
    let lower: Vec<u8> = rest.iter().take(8).map(u8::to_ascii_lowercase).collect();
    if lower.starts_with(b"infinity") {
        return Some((sign * f64::INFINITY, sign_len + 8));
    }
    if lower.starts_with(b"inf") {
        return Some((sign * f64::INFINITY, sign_len + 3));
    }
    if lower.starts_with(b"nan") {
        return Some((f64::NAN.copysign(sign), sign_len + 3));
    }
    if lower.starts_with(b"0x")
        && let Some((value, len)) = read_hexadecimal(&rest[2..])
    {
        return Some((sign * value, sign_len + 2 + len));
    }
    let digits =
        |from: usize| rest[from.min(rest.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut len = whole;
    if rest.get(len) == Some(&b'.') {
        let fraction = digits(len + 1);
        if whole + fraction > 0 {
            len += 1 + fraction;
        }
    }
    if len == 0 {
        return None;
    }
    if matches!(rest.get(len), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(rest.get(len + 1), Some(b'-' | b'+')));
        let exponent = digits(len + 1 + signed);
        if exponent > 0 {
            len += 1 + signed + exponent;
        }
    }
    let value: f64 = str::from_utf8(&rest[..len]).ok()?.parse().ok()?;
    Some((sign * value, sign_len + len))
}

/// The part of a hexadecimal number behind `0x`, without a fraction's rounding beyond 53 bits.
fn read_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let (mut value, mut len, mut scale, mut any) = (0.0f64, 0, 1.0f64, false);
    let mut behind_point = false;
    for byte in text {
        match char::from(*byte).to_digit(16) {
            Some(digit) => {
                any = true;
                if behind_point {
                    scale /= 16.0;
                    value += f64::from(digit) * scale;
                } else {
                    value = value * 16.0 + f64::from(digit);
                }
            }
            None if *byte == b'.' && !behind_point => behind_point = true,
            None => break,
        }
        len += 1;
    }
    if !any {
        return None;
    }
    if let [b'p' | b'P', exponent @ ..] = &text[len..] {
        let signed = usize::from(matches!(exponent.first(), Some(b'-' | b'+')));
        let digits = exponent[signed..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            let power: i32 = str::from_utf8(&exponent[..signed + digits]).ok()?.parse().ok()?;
            return Some((value * 2f64.powi(power), len + 1 + signed + digits));
        }
    }
    Some((value, len))
}
