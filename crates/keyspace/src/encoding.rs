//! Encodings: structures that are plain bytes, in the layout in which Redis stores and transmits them, and
//! the number forms that they share. Nothing here knows keys, entries or types.

pub mod hll;
pub mod intset;
pub mod listpack;
pub mod ordered;

use std::fmt;

/// Bytes from elsewhere that are not what they claim to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed bytes of an encoding")
    }
}

impl std::error::Error for Malformed {}

/// Digits that always fit into an `i64`.
const SAFE_DIGITS: usize = 18;

/// The value of a decimal integer in the one form that prints back to the same bytes.
#[inline]
pub fn canonical_int(bytes: &[u8]) -> Option<i64> {
    let (&first, rest) = bytes.split_first()?;
    let digits = match first {
        b'0' => return rest.is_empty().then_some(0),
        b'1'..=b'9' => bytes,
        b'-' => match rest.first()? {
            b'1'..=b'9' => rest,
            _ => return None,
        },
        _ => return None,
    };
    // Summed as a negative number, whose range is the larger one.
    let sum = if digits.len() <= SAFE_DIGITS {
        let mut v = 0i64;
        for d in digits {
            if !d.is_ascii_digit() {
                return None;
            }
            v = v * 10 - i64::from(d - b'0');
        }
        v
    } else {
        long_sum(digits)?
    };
    if first == b'-' { Some(sum) } else { sum.checked_neg() }
}

/// The negated value of more digits than are known to fit.
#[cold]
fn long_sum(digits: &[u8]) -> Option<i64> {
    let mut v = 0i64;
    for d in digits {
        if !d.is_ascii_digit() {
            return None;
        }
        v = v.checked_mul(10)?.checked_sub(i64::from(d - b'0'))?;
    }
    Some(v)
}

#[cfg(test)]
mod tests {
    use super::canonical_int;

    #[test]
    fn only_integers_that_print_back_the_same_are_canonical() {
        let mut values = vec![0, 7, 10, 255, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1];
        values.extend((0..63).flat_map(|b| [1i64 << b, -(1i64 << b), (1i64 << b) - 1]));
        values.extend((0..19).flat_map(|e| [10i64.pow(e), 10i64.pow(e) - 1, -(10i64.pow(e))]));
        for v in values {
            assert_eq!(canonical_int(v.to_string().as_bytes()), Some(v));
        }
        let others = [
            "",
            "-",
            "+1",
            "01",
            "00",
            "-0",
            "-01",
            " 1",
            "1 ",
            "1a",
            "1-",
            "12345678901234567x",
            "1234567890123456789x",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "100000000000000000000000000",
        ];
        for s in others {
            assert_eq!(canonical_int(s.as_bytes()), None, "{s}");
        }
    }
}
