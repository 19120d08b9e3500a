//! Words and quotes of redis.conf lines.

/// Splits a line into words. Words are separated by white space; `"..."` knows the escapes `\n \r \t \b \a \xHH` and a
/// backslash before any other character, `'...'` only `\'`. `None` if quotes are not closed, or are closed inside
/// of a word.
pub(crate) fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() && rest[0] != 0 {
        let (word, after) = next_word(rest)?;
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Some(words)
}

fn next_word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = line;
    loop {
        match rest {
            [] | [0, ..] => return Some((word, rest)),
            [c, ..] if is_space(*c) => return Some((word, rest)),
            [quote @ (b'"' | b'\''), after @ ..] => {
                rest = if *quote == b'"' {
                    double_quoted(after, &mut word)?
                } else {
                    single_quoted(after, &mut word)?
                };
                return (rest.is_empty() || is_space(rest[0]) || rest[0] == 0).then_some((word, rest));
            }
            [c, after @ ..] => {
                word.push(*c);
                rest = after;
            }
        }
    }
}

fn is_space(c: u8) -> bool {
    c.is_ascii_whitespace() || c == 0x0b
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                word.push(hex(*a) << 4 | hex(*b));
                rest = after;
            }
            [b'\\', c, after @ ..] => {
                word.push(match c {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = after;
            }
            [c, after @ ..] => {
                word.push(*c);
                rest = after;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', after @ ..] => return Some(after),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [c, after @ ..] => {
                word.push(*c);
                rest = after;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// The word in double quotes, so that [`split_words`] reads it back.
pub(crate) fn quoted(word: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &c in word {
        match c {
            b'\\' | b'"' => out.extend([b'\\', c]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(c),
            _ => out.extend(format!("\\x{c:02x}").into_bytes()),
        }
    }
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words() {
        let check = |line: &str, expected: Option<&[&str]>| {
            let words = split_words(line.as_bytes());
            let expected = expected.map(|words| words.iter().map(|w| w.as_bytes().to_vec()).collect());
            assert_eq!(words, expected, "{line}");
        };
        check("", Some(&[]));
        check("  a  b\t", Some(&["a", "b"]));
        check(r#"a"b c" d"#, Some(&["ab c", "d"]));
        check(r#""" ''"#, Some(&["", ""]));
        check(r#""\x41\n\q" 'a\'b\n'"#, Some(&["A\nq", "a'b\\n"]));
        check(r#""a"b"#, None);
        check(r#""a"#, None);
        check("'a", None);
    }

    proptest! {
        #[test]
        fn quoting_round_trips(words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(&b' ');
            prop_assert_eq!(split_words(&line), Some(words));
        }
    }
}
