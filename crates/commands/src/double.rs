//! Reading doubles as the peers do, scores and weights in one way and bounds of ranges in another; and printing them
//! where [`carnelian_resp::number::format_double`] is not how it is done. Knows nothing of commands.

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

/// Reads a bound of a range: decimal numbers and infinities. A NUL ends the text, nothing at all is 0, and numbers out
/// of range become infinite or 0. `nan` is refused.
pub(crate) fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or(text);
    if text.is_empty() { Some(0.0) } else { decimal(text) }
}

/// The text of a number with 17 digits, as C's `%.17g` prints it.
pub(crate) fn format_17_digits(value: f64) -> String {
    /// What is printed of a number that is not written out is one digit and this many decimals.
    const DECIMALS: usize = 16;
    if value.is_nan() {
        return "nan".to_owned();
    }
    if !value.is_finite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = format!("{value:.DECIMALS$e}");
    let (digits, exponent) = text.split_once('e').expect("numbers are printed with an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
    let strip = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if !(-4..=DECIMALS as i32).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", strip(digits), exponent.unsigned_abs());
    }
    let decimals = (DECIMALS as i32 - exponent) as usize;
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { strip(&text) }
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
    decimal(text)
}

fn decimal(text: &[u8]) -> Option<f64> {
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
    fn bounds_are_read_as_redis_reads_them() {
        let read = [
            ("", 0.0),
            ("-2.5", -2.5),
            ("1\0junk", 1.0),
            ("\0", 0.0),
            ("1e400", f64::INFINITY),
            ("1e-400", 0.0),
            ("+inf", f64::INFINITY),
        ];
        for (text, value) in read {
            assert_eq!(parse_bound(text.as_bytes()), Some(value), "{text}");
        }
        for text in [" ", " 1", "1 ", "nan", "1x", "--1", "((1", "0x1p4"] {
            assert_eq!(parse_bound(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn seventeen_digits_are_those_of_c() {
        let printed = [
            (0.1, "0.10000000000000001"),
            (-0.0, "-0"),
            (0.0, "0"),
            (1e300, "1.0000000000000001e+300"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (12_345_678_901_234_568.0, "12345678901234568"),
            (1e-5, "1.0000000000000001e-05"),
            (0.0001, "0.0001"),
            (0.000_123_456_789_012_345_67, "0.00012345678901234567"),
            (5e-324, "4.9406564584124654e-324"),
            (-100.5, "-100.5"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in printed {
            assert_eq!(format_17_digits(value), text);
        }
    }
}
