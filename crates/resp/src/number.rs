//! Numbers as the protocol writes them: strict decimal integers, and doubles in the form Redis prints them.

mod grisu;

use std::fmt;
use std::ops::Deref;

/// Reads a signed decimal integer that is written in the one canonical way: no blanks, no `+`, no leading
/// zeros, no `-0`. These are the rules for lengths, and for values that are treated as integers.
///
/// ```
/// use carnelian_resp::number::parse_i64;
/// assert_eq!(parse_i64(b"-42"), Some(-42));
/// assert_eq!(parse_i64(b"042"), None);
/// assert_eq!(parse_i64(b"9223372036854775808"), None);
/// ```
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => match parse_u64(digits)? {
            0 => None,
            magnitude => 0i64.checked_sub_unsigned(magnitude),
        },
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// Reads an unsigned decimal integer under the rules of [`parse_i64`].
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    const SAFE_DIGITS: usize = 19; // 10^19 - 1 fits
    match text {
        [] => None,
        [b'0'] => Some(0),
        [b'0', ..] => None,
        _ if text.len() > SAFE_DIGITS + 1 => None,
        _ => {
            let (head, tail) = text.split_at(text.len().min(SAFE_DIGITS));
            let value = head.iter().try_fold(0u64, |value, &byte| Some(value * 10 + digit(byte)?))?;
            tail.iter().try_fold(value, |value, &byte| value.checked_mul(10)?.checked_add(digit(byte)?))
        }
    }
}

#[inline]
fn digit(byte: u8) -> Option<u64> {
    let value = byte.wrapping_sub(b'0');
    (value < 10).then_some(u64::from(value))
}

/// Longest text of a double: sign, 17 digits, point and `e-308`; or `-0.000000` and 17 digits; or 21 digits.
const DOUBLE_TEXT: usize = 32;

/// Most digits behind the point for a number to be written out.
const MOST_DECIMALS: i32 = 6;
/// Most zeros between the last digit and the point for a number to be written out.
const MOST_ZEROS: i32 = 7;

/// The text of a double, on the stack. Dereferences to its bytes.
#[derive(Clone, Copy)]
pub struct DoubleText {
    bytes: [u8; DOUBLE_TEXT],
    len: usize,
}

impl DoubleText {
    fn new() -> Self {
        Self { bytes: [0; DOUBLE_TEXT], len: 0 }
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    fn zeros(&mut self, count: usize) {
        self.push(&[b'0'; DOUBLE_TEXT][..count]);
    }
}

impl Deref for DoubleText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Display for DoubleText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(self).expect("the text of a double is ASCII"))
    }
}

/// The text of a double in replies: few digits that read back as the same value, in Redis's form.
///
/// Whole numbers up to 2^62 are written out, and longer ones as long as at most seven zeros follow the digits.
/// A fraction is written out if its last digit is at most six places behind the point, or its leading digit
/// within four places of it. All others are `d.ddde+N` or `d.ddde-N`. Infinities are `inf` and `-inf`, and
/// anything else is `nan`.
///
/// ```
/// use carnelian_resp::number::format_double;
/// assert_eq!(format_double(3.0).to_string(), "3");
/// assert_eq!(format_double(0.00001).to_string(), "0.00001");
/// assert_eq!(format_double(1e21).to_string(), "1e+21");
/// assert_eq!(format_double(1234567890123e7).to_string(), "12345678901230000000");
/// assert_eq!(format_double(1e22).to_string(), "1e+22");
/// ```
pub fn format_double(value: f64) -> DoubleText {
    format(value, |magnitude, text| match whole(magnitude) {
        Some(whole) => text.push(itoa::Buffer::new().format(whole).as_bytes()),
        None => arrange(&Digits::of(magnitude), text),
    })
}

/// Formats a double by its shortest digits only: unlike [`format_double`], which writes whole numbers out, this goes over
/// to an exponent where more than seven zeros would end them. `DEBUG DIGEST` of the servers writes scores so.
///
/// ```
/// use carnelian_resp::number::format_digits;
/// assert_eq!(format_digits(1e7).to_string(), "10000000");
/// assert_eq!(format_digits(1e8).to_string(), "1e+8");
/// assert_eq!(format_digits(-0.0).to_string(), "-0");
/// ```
pub fn format_digits(value: f64) -> DoubleText {
    format(
        value,
        |magnitude, text| {
            if magnitude == 0.0 { text.push(b"0") } else { arrange(&Digits::of(magnitude), text) }
        },
    )
}

/// The sign and what is not finite are written alike; `finite` writes the rest.
fn format(value: f64, finite: impl FnOnce(f64, &mut DoubleText)) -> DoubleText {
    let mut text = DoubleText::new();
    if value.is_sign_negative() && !value.is_nan() {
        text.push(b"-");
    }
    if value.is_nan() {
        text.push(b"nan");
    } else if value.is_infinite() {
        text.push(b"inf");
    } else {
        finite(value.abs(), &mut text);
    }
    text
}

/// The whole number that a double is, if it is one that is written out, and not `-0`.
#[inline]
pub(crate) fn whole(value: f64) -> Option<i64> {
    const MOST: u64 = 1 << 62;
    let whole = value as i64;
    let same = whole as f64 == value && (whole != 0 || value.is_sign_positive());
    (same && whole.unsigned_abs() <= MOST).then_some(whole)
}

/// The digits of a finite positive double, `digits[..len] * 10^exponent`.
struct Digits {
    digits: [u8; grisu::MAX_DIGITS],
    len: usize,
    exponent: i32,
}

impl Digits {
    fn of(value: f64) -> Self {
        let mut digits = [0; grisu::MAX_DIGITS];
        let (len, exponent) = grisu::digits(value, &mut digits);
        Self { digits, len, exponent }
    }
}

fn arrange(number: &Digits, text: &mut DoubleText) {
    let digits = &number.digits[..number.len];
    let exponent = number.exponent;
    // The value is d.ddd * 10^leading.
    let leading = exponent + digits.len() as i32 - 1;
    if (0..=MOST_ZEROS).contains(&exponent) {
        text.push(digits);
        text.zeros(exponent as usize);
    } else if exponent < 0 && (exponent >= -MOST_DECIMALS || leading.abs() < 4) {
        // The digits in front of the point, if any; zeros behind it; the other digits.
        let (whole, fraction) = digits.split_at((leading + 1).max(0) as usize);
        text.push(if whole.is_empty() { b"0" } else { whole });
        text.push(b".");
        text.zeros((-leading - 1).max(0) as usize);
        text.push(fraction);
    } else {
        let (first, rest) = digits.split_at(1);
        text.push(first);
        if !rest.is_empty() {
            text.push(b".");
            text.push(rest);
        }
        text.push(if leading < 0 { b"e-" } else { b"e+" });
        text.push(itoa::Buffer::new().format(leading.unsigned_abs()).as_bytes());
    }
}
