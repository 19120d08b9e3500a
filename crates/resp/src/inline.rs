//! Inline commands: a line of words, as typed into a terminal, split the way Redis splits it.
//!
//! Words are separated by blanks. `"..."` groups and knows the escapes `\xHH \n \r \t \b \a`, any other
//! escaped byte standing for itself; `'...'` groups and knows `\'` only. A quote may open inside a word, and
//! the word ends where it closes: a blank or the end of the line must follow.

use crate::argv::Span;

/// The closing quote is missing, or something other than a blank follows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unbalanced;

/// What may precede a word and follow a closing quote. An open word ends at fewer bytes: see [`ends_word`].
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether splitting `line` needs unescaping; otherwise its words can be used where they stand.
pub(crate) fn has_quotes(line: &[u8]) -> bool {
    memchr::memchr2(b'"', b'\'', line).is_some()
}

/// Splits a line without quotes. The spans are offsets into the line plus `base`.
pub(crate) fn split_plain(line: &[u8], base: usize, spans: &mut Vec<Span>) {
    let mut at = 0;
    while at < line.len() {
        if is_blank(line[at]) {
            at += 1;
            continue;
        }
        let len = line[at..].iter().position(|&b| ends_word(b)).unwrap_or(line.len() - at);
        spans.push(Span { start: base + at, len });
        at += len;
    }
}

/// Splits a line that may have quotes. The words are appended to `scratch`; the spans are offsets there.
pub(crate) fn split_quoted(
    line: &[u8],
    spans: &mut Vec<Span>,
    scratch: &mut Vec<u8>,
) -> Result<(), Unbalanced> {
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|&&b| is_blank(b)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Ok(());
        }
        let start = scratch.len();
        rest = word(rest, scratch)?;
        spans.push(Span { start, len: scratch.len() - start });
    }
}

/// Unescapes the word at the front of `rest` into `out` and returns what follows it.
fn word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'"' => return after_quote(double_quoted(tail, out)?),
            b'\'' => return after_quote(single_quoted(tail, out)?),
            _ if ends_word(byte) => return Ok(rest),
            _ => out.push(byte),
        }
        rest = tail;
    }
    Ok(rest)
}

fn after_quote(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(&byte) if !is_blank(byte) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match *rest {
            [b'\\', b'x', high, low, ref tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                out.push(hex(high) << 4 | hex(low));
                tail
            }
            [b'\\', escaped, ref tail @ ..] => {
                out.push(unescape(escaped));
                tail
            }
            [b'"', ref tail @ ..] => return Ok(tail),
            [byte, ref tail @ ..] => {
                out.push(byte);
                tail
            }
            [] => return Err(Unbalanced),
        };
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match *rest {
            [b'\\', b'\'', ref tail @ ..] => {
                out.push(b'\'');
                tail
            }
            [b'\'', ref tail @ ..] => return Ok(tail),
            [byte, ref tail @ ..] => {
                out.push(byte);
                tail
            }
            [] => return Err(Unbalanced),
        };
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// Value of an ASCII hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
