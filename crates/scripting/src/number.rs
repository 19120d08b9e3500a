//! Numbers as C's `%.Ng` writes them.

/// Appends a number with `precision` significant digits at most, without trailing zeros.
pub(crate) fn push_general(out: &mut Vec<u8>, value: f64, precision: usize) {
    if value.is_nan() {
        out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
        return;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
        return;
    }
    if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
        return;
    }
    let precision = precision.max(1);
    // `-d.ddde-N`, rounded to the digits wanted; the exponent decides on the form.
    let text = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = text.split_once('e').expect("this format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let significant = digits.len() - digits.iter().rev().take_while(|digit| **digit == b'0').count();
    let digits = &digits[..significant.max(1)];
    out.extend_from_slice(sign.as_bytes());
    if exponent < -4 || exponent >= precision as i32 {
        push_scientific(out, digits, exponent);
    } else {
        push_plain(out, digits, exponent);
    }
}

fn push_scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
}

fn push_plain(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend_from_slice(digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
    } else {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    }
}

#[cfg(test)]
mod tests {
    use super::push_general;

    #[test]
    fn numbers_look_as_in_c() {
        for (value, precision, text) in [
            (0.1, 14, "0.1"),
            (-0.0, 14, "-0"),
            (100.0, 14, "100"),
            (1e14, 14, "1e+14"),
            (123_456_789_012_345.0, 14, "1.2345678901234e+14"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1e-5, 14, "1e-05"),
            (0.000_123, 3, "0.000123"),
            (1e300, 14, "1e+300"),
            (99.96, 3, "100"),
            (f64::NEG_INFINITY, 14, "-inf"),
        ] {
            let mut out = Vec::new();
            push_general(&mut out, value, precision);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
