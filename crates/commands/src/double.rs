//! Reading doubles as the peers do: scores and weights strictly, bounds of ranges as C's `strtod` does.
//!
//! Knows nothing of commands. Printing is [`carnelian_resp::number::format_double`].

use crate::float::LongDouble;

/// Reads a number: digits with an optional point and exponent, `0x` hexadecimal, or `inf`/`infinity`, each with an
/// optional sign. Refused are spaces, `nan`, and what is too large or too close to zero for a double.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    if let [b'0'..=b'9', ..] = text
        && text.len() < 16
        && let Some(value) = digits(text)
    {
        return Some(value);
    }
    let value = read(text)?;
    let finite_text = !text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'n'));
    let in_range = value.is_finite() && (value != 0.0 || is_zero(text));
    (in_range || !finite_text).then_some(value)
}

/// Reads a bound as C's `strtod` does: blanks in front are skipped, a NUL ends the text, nothing at all is 0, and
/// numbers out of range become infinite or 0. `nan` is refused.
pub(crate) fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    read(&text[blanks..])
}

/// A few digits.
#[inline]
fn digits(text: &[u8]) -> Option<f64> {
    let mut value = 0u64;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    Some(value as f64)
}

/// Reads a number of any size.
fn read(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if let [b'0', b'x' | b'X', ..] = unsigned {
        // Hexadecimal numbers with more than 64 bits are rounded twice.
        return LongDouble::parse(text).map(LongDouble::to_f64);
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// Whether the digits in front of the exponent are all zeros.
fn is_zero(text: &[u8]) -> bool {
    let hex = text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'x'));
    let marker = if hex { b'p' } else { b'e' };
    text.iter()
        .take_while(|byte| !byte.eq_ignore_ascii_case(&marker))
        .all(|byte| matches!(byte, b'0' | b'.' | b'+' | b'-' | b'x' | b'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_as_redis_reads_them() {
        let read = [
            ("0", 0.0),
            ("-0", 0.0),
            ("3", 3.0),
            ("+5", 5.0),
            ("123456789012345", 123_456_789_012_345.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("0e999", 0.0),
            ("0x10", 16.0),
            ("-0x.8p1", -1.0),
            ("1e-320", 1e-320),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ];
        for (text, value) in read {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text}");
        }
        for text in
            ["", " 1", "1 ", "nan", "-nan", "1e400", "-1e400", "1e-400", "1e", ".", "e5", "0x", "1_0", "1\0"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_read_as_c_reads_them() {
        let read = [
            ("", 0.0),
            (" 1", 1.0),
            ("\t-2.5", -2.5),
            ("1\0junk", 1.0),
            ("\0", 0.0),
            ("1e400", f64::INFINITY),
            ("1e-400", 0.0),
            ("0x1p4", 16.0),
            ("+inf", f64::INFINITY),
        ];
        for (text, value) in read {
            assert_eq!(parse_bound(text.as_bytes()), Some(value), "{text}");
        }
        for text in [" ", "1 ", "nan", "1x", "--1", "((1"] {
            assert_eq!(parse_bound(text.as_bytes()), None, "{text}");
        }
    }
}
