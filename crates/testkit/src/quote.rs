//! Command lines as redis-cli reads them, and bytes made printable.

/// The line ends inside quotes, or a closing quote is followed by text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unbalanced quotes")]
pub struct Unbalanced;

/// Splits a line into arguments: words, "double quotes" with `\n \r \t \a \b \\ \" \xHH`, 'single quotes' with `\'`.
///
/// One addition: a bare word `<text*count>` stands for `text` repeated `count` times.
pub fn split(line: &str) -> Result<Vec<Vec<u8>>, Unbalanced> {
    let mut rest = line.trim_start().as_bytes();
    let mut args = Vec::new();
    while !rest.is_empty() {
        let (arg, after) = argument(rest)?;
        args.push(arg);
        rest = after.trim_ascii_start();
    }
    Ok(args)
}

fn argument(line: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    match line[0] {
        b'"' => double_quoted(&line[1..]),
        b'\'' => single_quoted(&line[1..]),
        _ => {
            let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
            Ok((repeated(&line[..end]).unwrap_or_else(|| line[..end].to_vec()), &line[end..]))
        }
    }
}

fn repeated(word: &[u8]) -> Option<Vec<u8>> {
    let inner = word.strip_prefix(b"<")?.strip_suffix(b">")?;
    let star = inner.iter().rposition(|&byte| byte == b'*')?;
    let count: usize = std::str::from_utf8(&inner[star + 1..]).ok()?.parse().ok()?;
    Some(inner[..star].repeat(count))
}

fn double_quoted(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    let mut arg = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return closed(arg, after),
            [b'\\', b'x', high, low, after @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                arg.push(hex(*high).ok_or(Unbalanced)? * 16 + hex(*low).ok_or(Unbalanced)?);
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                arg.push(*byte);
                rest = after;
            }
            [] => return Err(Unbalanced),
        }
    }
}

fn single_quoted(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    let mut arg = Vec::new();
    loop {
        match rest {
            [b'\'', after @ ..] => return closed(arg, after),
            [b'\\', b'\'', after @ ..] => {
                arg.push(b'\'');
                rest = after;
            }
            [byte, after @ ..] => {
                arg.push(*byte);
                rest = after;
            }
            [] => return Err(Unbalanced),
        }
    }
}

fn closed(arg: Vec<u8>, after: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    if after.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
        return Err(Unbalanced);
    }
    Ok((arg, after))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// `bytes` with everything unprintable, and the backslash, escaped.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// The bytes that [`escape`] made into `text`.
pub fn unescape(text: &str) -> Vec<u8> {
    let quoted = format!("{}\"", text.replace('"', "\\\""));
    match double_quoted(quoted.as_bytes()) {
        Ok((bytes, _)) => bytes,
        Err(Unbalanced) => text.as_bytes().to_vec(),
    }
}

/// A command as one could type it into redis-cli; long arguments are cut.
pub fn command_line<A: AsRef<[u8]>>(args: &[A]) -> String {
    const SHOWN: usize = 120;
    let words: Vec<String> = args
        .iter()
        .map(|arg| {
            let arg = arg.as_ref();
            let plain =
                !arg.is_empty() && arg.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
            match (plain, arg.len() > SHOWN) {
                (true, false) => escape(arg),
                (_, false) => format!("\"{}\"", escape(arg).replace('"', "\\\"")),
                (_, true) => {
                    format!("\"{}\"...({} bytes)", escape(&arg[..40]).replace('"', "\\\""), arg.len())
                }
            }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_redis_cli() {
        let args = split(r#"SET "a\x00\n\"" 'it\'s' "" <ab*3> <x*y>"#).expect("balanced");
        let wanted: [&[u8]; 6] = [b"SET", b"a\0\n\"", b"it's", b"", b"ababab", b"<x*y>"];
        assert_eq!(args, wanted);
        assert_eq!(split("a \"b"), Err(Unbalanced));
        assert_eq!(split("'a'b"), Err(Unbalanced));
    }

    #[test]
    fn escaping_round_trips() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&all)), all);
        assert_eq!(unescape(&escape(b"\"\\\"\\")), b"\"\\\"\\");
    }

    #[test]
    fn shows_commands_as_typed() {
        assert_eq!(command_line(&[&b"SET"[..], b"", b"a b\r"]), r#"SET "" "a b\r""#);
    }
}
