//! The arithmetic of `INCRBYFLOAT` and `HINCRBYFLOAT`: extended precision (the 80-bit format of x87, 64 bits of
//! mantissa), decimal and hexadecimal input as C's `strtold` reads it, and output with up to 17 decimals.
//!
//! The peers compute in this format, and what they answer is visible to clients to the last digit, so a double would
//! not do. Conversion and addition round to nearest, ties to even. Knows nothing of keys or replies.

use std::str::FromStr;

use rustc_apfloat::ieee::{Double, X87DoubleExtended};
use rustc_apfloat::{Float, FloatConvert, Round};

/// Longer texts are not read as numbers (bytes); as in the peers.
const MAX_TEXT: usize = 5 * 1024 - 1;
/// Digits printed after the point, before trailing zeros go.
const DECIMALS: usize = 17;
/// 10 to the power of [`DECIMALS`].
const DECIMAL_SCALE: u128 = 10u128.pow(DECIMALS as u32);
/// What the exponent field of a number says beyond the power of two its mantissa is multiplied with.
const EXPONENT_BIAS: i32 = 16383 + 63;

/// A number in extended precision; may be infinite or not a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Reads a number: digits with an optional point and exponent, `0x` hexadecimal with an optional binary exponent,
    /// or `inf`/`infinity`, each with an optional sign. Refused are spaces, `nan`, and what is too large or too close
    /// to zero for the format.
    pub(crate) fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (negative, body) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let magnitude = if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
            X87DoubleExtended::INFINITY
        } else {
            parse_finite(body)?
        };
        Some(LongDouble(if negative { -magnitude } else { magnitude }))
    }

    /// Seconds as milliseconds, rounded up, or down to the least 64-bit integer. `None` if that is more than a 64-bit
    /// integer.
    pub(crate) fn to_milliseconds(self) -> Option<i64> {
        let product = (self.0 * X87DoubleExtended::from_i128(1000).value).value;
        let milliseconds = product.to_i128_r(65, Round::TowardPositive, &mut false).value;
        i64::try_from(milliseconds.max(i64::MIN.into())).ok()
    }

    /// The nearest double; beyond their range infinite or 0.
    pub(crate) fn to_f64(self) -> f64 {
        let double: Double = self.0.convert(&mut false).value;
        f64::from_bits(double.to_bits() as u64)
    }

    /// Whether this is neither infinite nor not a number.
    pub(crate) fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// Writes the number as `%.17Lf` does, without trailing zeros: never an exponent, up to 4,933 digits.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        if self.0.is_nan() {
            return out.extend_from_slice(b"nan");
        }
        let start = out.len();
        if self.0.is_negative() {
            out.push(b'-');
        }
        if self.0.is_infinite() {
            return out.extend_from_slice(b"inf");
        }
        let bits = self.0.to_bits();
        let mantissa = bits as u64;
        let exponent = (bits >> 64) as i32 & 0x7fff;
        // Numbers too small for a normalized mantissa have the field 0 and the exponent of field 1.
        write_magnitude(mantissa, exponent.max(1) - EXPONENT_BIAS, out);
        if out[start..] == *b"-0" {
            out.remove(start);
        }
    }
}

impl std::ops::Add for LongDouble {
    type Output = LongDouble;

    fn add(self, other: LongDouble) -> LongDouble {
        LongDouble((self.0 + other.0).value)
    }
}

impl From<i64> for LongDouble {
    /// Exact: the mantissa has 64 bits.
    fn from(n: i64) -> LongDouble {
        LongDouble(X87DoubleExtended::from_i128(n.into()).value)
    }
}

/// Reads digits without a sign.
fn parse_finite(body: &[u8]) -> Option<X87DoubleExtended> {
    parse_plain(body).or_else(|| parse_any(body))
}

/// Reads what nearly all numbers look like: digits and perhaps a point, few enough for one division of 128 bits, which
/// is some twenty times faster than the general way. `None` if `body` does not look like that.
fn parse_plain(body: &[u8]) -> Option<X87DoubleExtended> {
    /// Digits that fit into 128 bits.
    const MAX_DIGITS: usize = 38;
    /// The power of ten to divide by stays below 2^60, so that a quotient has 64 bits and more for rounding.
    const MAX_DECIMALS: u32 = 18;
    if body.len() > MAX_DIGITS {
        return None;
    }
    let (mut number, mut decimals, mut point) = (0u128, 0, false);
    for byte in body {
        match byte {
            b'0'..=b'9' => {
                number = number * 10 + u128::from(byte - b'0');
                decimals += u32::from(point);
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    if body.len() == usize::from(point) || decimals > MAX_DECIMALS {
        return None;
    }
    if number == 0 {
        return Some(X87DoubleExtended::ZERO);
    }
    let shift = number.leading_zeros();
    let (dividend, divisor) = (number << shift, 10u128.pow(decimals));
    let (quotient, remainder) = (dividend / divisor, dividend % divisor);
    let dropped = 64 - quotient.leading_zeros();
    let (mantissa, rest) = ((quotient >> dropped) as u64, quotient & ((1 << dropped) - 1));
    let half = 1 << (dropped - 1);
    let up = rest > half || (rest == half && (remainder > 0 || mantissa & 1 == 1));
    let exponent = dropped as i32 - shift as i32 + EXPONENT_BIAS;
    let (mantissa, exponent) = match mantissa.checked_add(u64::from(up)) {
        Some(mantissa) => (mantissa, exponent),
        None => (1 << 63, exponent + 1),
    };
    Some(X87DoubleExtended::from_bits(((exponent as u128) << 64) | u128::from(mantissa)))
}

/// Reads any number; the syntax is checked here, the conversion is the library's.
fn parse_any(body: &[u8]) -> Option<X87DoubleExtended> {
    let text = std::str::from_utf8(body).ok()?;
    let hex = body.len() > 2 && body[0] == b'0' && body[1].eq_ignore_ascii_case(&b'x');
    let (digits, marker, is_digit): (_, _, fn(&u8) -> bool) =
        if hex { (&body[2..], b'p', u8::is_ascii_hexdigit) } else { (body, b'e', u8::is_ascii_digit) };
    let mantissa_end = digits.iter().position(|b| b.eq_ignore_ascii_case(&marker)).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(mantissa_end);
    let points = memchr::memchr_iter(b'.', mantissa).count();
    if points > 1 || mantissa.len() == points || !mantissa.iter().all(|b| *b == b'.' || is_digit(b)) {
        return None;
    }
    if !exponent.is_empty() {
        let unsigned = match &exponent[1..] {
            [b'+' | b'-', rest @ ..] => rest,
            rest => rest,
        };
        if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
            return None;
        }
    }
    let value = if hex && exponent.is_empty() {
        // C lets the binary exponent be left out, the library does not.
        X87DoubleExtended::from_str(&format!("{text}p0"))
    } else {
        X87DoubleExtended::from_str(text)
    }
    .ok()?;
    let is_zero_text = mantissa.iter().all(|b| matches!(b, b'0' | b'.'));
    (value.is_finite() && (is_zero_text || !value.is_zero())).then_some(value)
}

/// Writes `mantissa * 2^exponent`.
fn write_magnitude(mantissa: u64, exponent: i32, out: &mut Vec<u8>) {
    if exponent >= 0 {
        return write_shifted(mantissa, exponent as u32, out);
    }
    let shift = exponent.unsigned_abs();
    let (mut whole, fraction) = match shift {
        0..64 => (u128::from(mantissa >> shift), mantissa & ((1 << shift) - 1)),
        _ => (0, mantissa),
    };
    let mut decimals = round_shift(u128::from(fraction) * DECIMAL_SCALE, shift);
    if decimals == DECIMAL_SCALE {
        decimals = 0;
        whole += 1;
    }
    out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    if decimals > 0 {
        let text = format!(".{decimals:0DECIMALS$}");
        out.extend_from_slice(text.trim_end_matches('0').as_bytes());
    }
}

/// `n / 2^shift` rounded to the nearest whole number, ties to even; `n` is below 2^121.
fn round_shift(n: u128, shift: u32) -> u128 {
    if shift > 122 {
        return 0;
    }
    let quotient = n >> shift;
    let rest = n & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    quotient + u128::from(rest > half || (rest == half && quotient & 1 == 1))
}

/// Writes `n * 2^shift` in decimal.
fn write_shifted(n: u64, shift: u32, out: &mut Vec<u8>) {
    // The largest power of ten in 64 bits. With at most 60 bits at a time a carry stays below it.
    const LIMB: u128 = 10u128.pow(19);
    // Least significant part first.
    let mut limbs = vec![n];
    let mut left = shift;
    while left > 0 {
        let step = left.min(60);
        left -= step;
        let mut carry = 0u128;
        for limb in &mut limbs {
            let wide = (u128::from(*limb) << step) + carry;
            *limb = (wide % LIMB) as u64;
            carry = wide / LIMB;
        }
        if carry > 0 {
            limbs.push(carry as u64);
        }
    }
    let (first, rest) = limbs.split_last().expect("there is one limb at least");
    let mut text = first.to_string();
    for limb in rest.iter().rev() {
        text += &format!("{limb:019}");
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: LongDouble) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).expect("digits are text")
    }

    /// Two numbers, and what Redis 8.2.3 makes of their sum: `refused` if it does not read one of them, `inf` if it
    /// refuses the sum.
    const RECORDED: &[(&str, &str, &str)] = &[
        ("0", "0", "0"),
        ("3.0e3", "200", "3200"),
        ("1", "1.0000000000000001", "2.0000000000000001"),
        ("5002", "0x10", "5018"),
        ("11", "-1.1", "9.9"),
        ("17179869184", "1.5", "17179869185.5"),
        ("10.5", "0.1", "10.6"),
        ("0.1", "0.2", "0.3"),
        ("-0", "0", "0"),
        ("-0.0", "-0", "0"),
        ("1e-18", "0", "0"),
        ("5e-18", "0", "0"),
        ("5.0000001e-18", "0", "0.00000000000000001"),
        ("1.5e-17", "0", "0.00000000000000002"),
        ("2.5e-17", "0", "0.00000000000000002"),
        ("-4e-18", "0", "0"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551615", "0", "18446744073709551615"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("18446744073709551617", "0", "18446744073709551616"),
        ("1.0", "0", "1"),
        (".5", "5.", "5.5"),
        ("+5", "-5", "0"),
        ("0x1p-16", "0", "0.0000152587890625"),
        ("0X.8", "0x1", "1.5"),
        ("0x1.8p1", "0", "3"),
        ("1e25", "1", "10000000000000000000000000"),
        ("123456789012345678901234567890", "0", "123456789012345678899921813504"),
        ("0x1.fffffffffffffffffp0", "0", "2"),
        ("inf", "0", "inf"),
        ("-inf", "1", "inf"),
        ("inf", "-inf", "inf"),
        ("1e4932", "1e4932", "inf"),
        ("3.6e-4951", "0", "0"),
        ("1e-4951", "0", "refused"),
        ("1.2e4932", "0", "refused"),
        ("", "0", "refused"),
        (".", "0", "refused"),
        ("1e", "0", "refused"),
        ("1e+", "0", "refused"),
        ("0x", "0", "refused"),
        ("0x.", "0", "refused"),
        ("0x1p", "0", "refused"),
        (" 1", "0", "refused"),
        ("1 ", "0", "refused"),
        ("nan", "0", "refused"),
        ("1..2", "0", "refused"),
        ("0b1", "0", "refused"),
        ("infinit", "0", "refused"),
        ("Infinity", "0", "inf"),
        ("1e99999999999", "0", "refused"),
        ("1e-99999999999", "0", "refused"),
        ("0e99999999999", "0", "0"),
        ("--1", "0", "refused"),
        ("1f", "0", "refused"),
        ("1.3114189588902203e-09", "2677714.142", "2677714.14200000131154411"),
        ("+17333e-4961", "6559", "refused"),
        ("+981249", "79899749039", "79900730288"),
        ("-317", "-93471884.65218104454", "-93472201.65218104454106651"),
        ("-269395330.664010997979732", "-0xdd0960afe9.2EAFp-27", "-269402403.83622152134194039"),
        ("-348.992349633", "7241168120.40130E+5", "724116812039781.00762939453125"),
        ("-87371236.7838940787100", ".64 -4nx", "refused"),
        ("+65065513327", "-0xe803ep-5406", "65065513327"),
        ("+a .p89pE", "773e-4964", "refused"),
        ("+0x1p-", "+553169098", "refused"),
        ("-0xb61.1192p-2", "-35548698.9357227874", "-35549427.20288129569962621"),
        ("p9a2 f", "91057275803858792275.67692E26", "refused"),
        ("-34342630744.2684741", "2.1903816431013602e-10", "-34342630744.26847410015761852"),
        ("4075627524230250e-2275", "5199", "5199"),
        ("+1e", "+4653.3016377016775", "refused"),
        ("604866128651.42796646149", "-9482166391075.64", "-8877300262424.21203422546386719"),
        ("-9.58300503727929e-13", "-19074015.624885", "-19074015.62488500000108615"),
        ("+2178.12205445551738208469", "-2316806779.81137437414", "-2316804601.68931991863064468"),
        ("+8084.7337086350", "6845965266.6426583201", "6845973351.37636695522814989"),
        ("-64455.4910399254", "+39339632", "39275176.50896007459959947"),
        ("8448257378955", "-2434717337.4334817", "8445822661617.56651830673217773"),
        ("-6135715193809.7295", "-818971929455", "-6954687123264.72949981689453125"),
        ("+5950561873.3456244405010", "+1699e-4934", "5950561873.34562444034963846"),
        ("+19490324368.55779E34", "0Xf131cd29", "194903243685577899999993333930989671600357376"),
        ("22685167091930", "71", "22685167092001"),
        ("+286", "172375647158", "172375647444"),
        ("-67002424529.6740958284202413", "1429e-4948", "-67002424529.67409582808613777"),
        ("-715823402514197638", "293061407917893094", "-422761994596304544"),
        ("884", "+52325064", "52325948"),
        ("-491908336872.90", "115301456295036", "114809547958163.09999847412109375"),
        ("+65806881417.44975", "123646885072775600552", "123646885138582481968"),
    ];

    #[test]
    fn milliseconds_are_those_of_redis() {
        let milliseconds = |text: &[u8]| LongDouble::parse(text).expect("a number").to_milliseconds();
        for (text, expected) in [
            (&b"0.0001"[..], Some(1)),
            (b"1e-400", Some(1)),
            (b"-0.0001", Some(0)),
            (b"-0.001", Some(0)),
            (b"-1", Some(-1000)),
            (b"0x10", Some(16_000)),
            (b"0.01", Some(10)),
            (b"1.2345", Some(1235)),
            (b"inf", None),
            (b"-inf", Some(i64::MIN)),
            (b"-1e30", Some(i64::MIN)),
            (b"1e400", None),
            (b"9223372036854775", Some(9_223_372_036_854_775_000)),
            (b"9223372036854776", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn sums_are_those_of_redis() {
        for (a, b, expected) in RECORDED {
            let sum = match (LongDouble::parse(a.as_bytes()), LongDouble::parse(b.as_bytes())) {
                (Some(a), Some(b)) if (a + b).is_finite() => text(a + b),
                (Some(_), Some(_)) => "inf".to_owned(),
                _ => "refused".to_owned(),
            };
            assert_eq!(sum, *expected, "{a} + {b}");
        }
    }

    #[test]
    fn large_numbers_are_printed_in_full() {
        let two_to_the_16383 = LongDouble::parse(b"0x1p16383").expect("it is in range");
        let digits = text(two_to_the_16383);
        assert_eq!(digits.len(), 4932);
        assert!(digits.starts_with("594865747678615882542879663314") && digits.ends_with("645334982033408"));
        assert!(LongDouble::parse(b"0x1p16384").is_none());
        assert!(!(two_to_the_16383 + two_to_the_16383).is_finite());
    }

    #[test]
    fn only_short_texts_are_numbers() {
        assert!(LongDouble::parse("0".repeat(MAX_TEXT).as_bytes()).is_some());
        assert!(LongDouble::parse("0".repeat(MAX_TEXT + 1).as_bytes()).is_none());
    }

    #[test]
    fn what_is_not_finite_has_a_text_too() {
        let infinity = LongDouble::parse(b"-Infinity").expect("it is a number");
        assert_eq!(text(infinity), "-inf");
        assert_eq!(text(infinity + LongDouble::parse(b"inf").expect("it is a number")), "nan");
    }

    proptest! {
        #[test]
        fn plain_numbers_are_read_as_any_other(text in r"[0-9]{0,22}\.?[0-9]{0,18}") {
            if let Some(value) = parse_plain(text.as_bytes()) {
                prop_assert_eq!(parse_any(text.as_bytes()).map(X87DoubleExtended::to_bits), Some(value.to_bits()));
            }
        }

        #[test]
        fn sums_of_integers_are_exact(a: i64, b: i64) {
            prop_assert_eq!(text(LongDouble::from(a)), a.to_string());
            let sum = i128::from(a) + i128::from(b);
            prop_assert_eq!(text(LongDouble::from(a) + LongDouble::from(b)), sum.to_string());
        }

        #[test]
        fn short_binary_fractions_are_exact(n in 0u64..1 << 47, shift in 0u32..17) {
            let value = LongDouble::parse(format!("0x{n:x}p-{shift}").as_bytes()).expect("it is a number");
            let scaled = (u128::from(n) * 10u128.pow(shift)) >> shift;
            let printed = text(value);
            let (whole, decimals) = printed.split_once('.').unwrap_or((&printed, ""));
            prop_assert_eq!(format!("{whole}{decimals:0<width$}", width = shift as usize).parse(), Ok(scaled));
        }

        #[test]
        fn printing_and_reading_again_changes_nothing(whole in 0u64..1 << 50, decimals in 0u32..1000) {
            let printed = text(LongDouble::parse(format!("{whole}.{decimals:03}").as_bytes()).expect("it is a number"));
            prop_assert_eq!(text(LongDouble::parse(printed.as_bytes()).expect("it is a number")), printed);
        }
    }
}
