//! `struct`: values to and from bytes by a format string, as in Roberto Ierusalimschy's library.
//!
//! | format | meaning |
//! |---|---|
//! | `<` `>` | little, big endian from here on (little at first) |
//! | `!n` | align what follows to its size, at most `n` (8), a power of two (1 at first) |
//! | `b B h H l L T` | signed or unsigned integer of 1, 2, 8 bytes; `T` is an unsigned one of 8 |
//! | `in In` | the same of `n` bytes, 4 by default, 32 at most |
//! | `f d` | float, double |
//! | `x` | a byte of padding |
//! | `s` | a string and a zero byte |
//! | `cn` | `n` bytes, 1 by default; with `n` 0: the whole string, or as many as the number before says |
//! | blank | nothing |

use super::{check_bytes, check_number, optional_integer, push_library};
use crate::lua::{Lua, Native, Raise};

const FUNCTIONS: &[(&str, Native)] = &[("pack", pack), ("unpack", unpack), ("size", size)];

/// Most bytes of an integer.
const MAX_INTEGER: usize = 32;
/// The alignment that `!` alone asks for.
const MAX_ALIGN: usize = 8;

pub(crate) fn open(lua: &mut Lua) {
    push_library(lua, FUNCTIONS);
}

/// A cursor over a format string.
struct Format {
    text: Vec<u8>,
    at: usize,
    big_endian: bool,
    align: usize,
}

impl Format {
    /// The running function's first argument, which ends at a zero byte.
    fn new(lua: &mut Lua) -> Result<Format, Raise> {
        let mut text = check_bytes(lua, 1)?;
        if let Some(end) = text.iter().position(|byte| *byte == 0) {
            text.truncate(end);
        }
        Ok(Format { text, at: 0, big_endian: false, align: 1 })
    }

    /// The next option and its size.
    fn next(&mut self, lua: &mut Lua) -> Result<Option<(u8, usize)>, Raise> {
        let Some(option) = self.text.get(self.at).copied() else { return Ok(None) };
        self.at += 1;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(lua, 1)?,
            b'i' | b'I' => {
                let size = self.number(lua, 4)?;
                if size > MAX_INTEGER {
                    let text = format!("integral size {size} is larger than limit of {MAX_INTEGER}");
                    return Err(lua.raise_here(&text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// The number that follows, or a default.
    fn number(&mut self, lua: &mut Lua, default: usize) -> Result<usize, Raise> {
        const MOST: usize = i32::MAX as usize;
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let text = &self.text[self.at..self.at + digits];
        self.at += digits;
        let mut number = 0;
        for digit in text {
            let digit = usize::from(digit - b'0');
            if number > MOST / 10 || number * 10 > MOST - digit {
                return Err(lua.raise_here("integral size overflow"));
            }
            number = number * 10 + digit;
        }
        Ok(number)
    }

    /// Bytes of padding before an option at `position`.
    fn padding(&self, position: usize, option: u8, size: usize) -> usize {
        let align = size.min(self.align);
        if size == 0 || option == b'c' { 0 } else { align.wrapping_sub(position & (align - 1)) & (align - 1) }
    }

    /// Applies an option that stands for no value.
    fn control(&mut self, lua: &mut Lua, option: u8) -> Result<(), Raise> {
        match option {
            b' ' => {}
            b'<' => self.big_endian = false,
            b'>' => self.big_endian = true,
            b'!' => {
                let align = self.number(lua, MAX_ALIGN)?;
                if align == 0 || !align.is_power_of_two() {
                    return Err(lua.raise_here(&format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            other => {
                let text = format!("invalid format option '{}'", char::from(other));
                return Err(lua.bad_argument(1, &text));
            }
        }
        Ok(())
    }

    /// Bytes in the present order from little endian ones, or back.
    fn order<'b>(&self, bytes: &'b mut [u8]) -> &'b [u8] {
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }
}

fn pack(lua: &mut Lua) -> Result<i32, Raise> {
    let mut format = Format::new(lua)?;
    // A missing argument is nil.
    lua.push_nil();
    let mut out = Vec::new();
    let mut argument = 2;
    while let Some((option, size)) = format.next(lua)? {
        out.resize(out.len() + format.padding(out.len(), option, size), 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let mut bytes = [0; MAX_INTEGER];
                let value = check_number(lua, argument)?;
                bytes[..8].copy_from_slice(&wrapped(value).to_le_bytes());
                out.extend_from_slice(format.order(&mut bytes[..size]));
                argument += 1;
            }
            b'f' => {
                let value = check_number(lua, argument)? as f32;
                out.extend_from_slice(format.order(&mut value.to_le_bytes()));
                argument += 1;
            }
            b'd' => {
                let value = check_number(lua, argument)?;
                out.extend_from_slice(format.order(&mut value.to_le_bytes()));
                argument += 1;
            }
            b'x' => out.push(0),
            b'c' | b's' => {
                let text = check_bytes(lua, argument)?;
                argument += 1;
                let size = if size == 0 { text.len() } else { size };
                if text.len() < size {
                    return Err(lua.bad_argument(argument, "string too short"));
                }
                out.extend_from_slice(&text[..size]);
                if option == b's' {
                    out.push(0);
                }
            }
            _ => format.control(lua, option)?,
        }
    }
    lua.push_bytes(&out);
    Ok(1)
}

/// A number as an integer of 64 bits, as C converts it there to a signed one if it is negative, and else to an unsigned one.
fn wrapped(value: f64) -> u64 {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    match value {
        value if value < 0.0 || value.is_nan() => crate::convert::truncated(value) as u64,
        value if value >= LIMIT => 0,
        value => value as u64,
    }
}

fn unpack(lua: &mut Lua) -> Result<i32, Raise> {
    let mut format = Format::new(lua)?;
    let data = check_bytes(lua, 2)?;
    let position = optional_integer(lua, 3, 1)?;
    if position == 0 {
        return Err(lua.bad_argument(3, "offset must be 1 or greater"));
    }
    // A negative one is beyond any data.
    let mut at = usize::try_from(position - 1).unwrap_or(usize::MAX);
    let mut results = 0;
    while let Some((option, size)) = format.next(lua)? {
        at = at.saturating_add(format.padding(at, option, size));
        check_length(lua, &data, at, size)?;
        if lua.reserve(2).is_err() {
            return Err(lua.raise_here("stack overflow (too many results)"));
        }
        results += 1;
        let mut size = size;
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = read_integer(&format, &data[at..at + size], option.is_ascii_lowercase());
                lua.push_number(value);
            }
            b'f' => {
                let mut bytes = *data[at..].first_chunk::<4>().expect("the length is checked");
                format.order(&mut bytes);
                lua.push_number(f64::from(f32::from_le_bytes(bytes)));
            }
            b'd' => {
                let mut bytes = *data[at..].first_chunk::<8>().expect("the length is checked");
                format.order(&mut bytes);
                lua.push_number(f64::from_le_bytes(bytes));
            }
            b'c' => {
                if size == 0 {
                    size = popped_size(lua, results)?;
                    results -= 1;
                    check_length(lua, &data, at, size)?;
                }
                lua.push_bytes(&data[at..at + size]);
            }
            b's' => {
                let Some(len) = data[at..].iter().position(|byte| *byte == 0) else {
                    return Err(lua.raise_here("unfinished string in data"));
                };
                lua.push_bytes(&data[at..at + len]);
                size = len + 1;
            }
            _ => {
                results -= 1;
                if option != b'x' {
                    format.control(lua, option)?;
                }
            }
        }
        at += size;
    }
    lua.push_number(at as f64 + 1.0);
    Ok(results + 1)
}

fn check_length(lua: &mut Lua, data: &[u8], at: usize, size: usize) -> Result<(), Raise> {
    if size <= data.len() && at <= data.len() - size {
        return Ok(());
    }
    Err(lua.bad_argument(2, "data string too short"))
}

/// The size that `c0` takes from the result before it, the last of `results - 1`.
fn popped_size(lua: &mut Lua, results: i32) -> Result<usize, Raise> {
    match lua.as_number(-1) {
        Some(size) if results > 1 => {
            lua.pop(1);
            // A negative or huge size is beyond any data.
            Ok(if size >= 0.0 { size as usize } else { usize::MAX })
        }
        _ => Err(lua.raise_here("format 'c0' needs a previous size")),
    }
}

/// An integer of any size, of which the low 8 bytes count.
fn read_integer(format: &Format, bytes: &[u8], signed: bool) -> f64 {
    let take = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if format.big_endian { bytes.iter().fold(0, take) } else { bytes.iter().rev().fold(0, take) };
    if !signed {
        return value as f64;
    }
    if bytes.is_empty() {
        return value as i64 as f64;
    }
    // The sign bit and those above it. Beyond 8 bytes the original's shift goes around, with odd results that scripts may
    // have come to expect.
    let mask = u64::MAX << ((bytes.len() * 8 - 1) % 64);
    let extended = if value & mask == 0 { value } else { value | mask };
    extended as i64 as f64
}

fn size(lua: &mut Lua) -> Result<i32, Raise> {
    let mut format = Format::new(lua)?;
    let mut position = 0usize;
    while let Some((option, size)) = format.next(lua)? {
        position += format.padding(position, option, size);
        match (option, size) {
            (b's', _) => return Err(lua.bad_argument(1, "option 's' has no fixed size")),
            (b'c', 0) => return Err(lua.bad_argument(1, "option 'c0' has no fixed size")),
            _ => {}
        }
        if !option.is_ascii_alphanumeric() {
            format.control(lua, option)?;
        }
        position = position.saturating_add(size);
    }
    lua.push_number(position as f64);
    Ok(1)
}
