//! Arithmetic on bytes as rows of bits. Bit 0 is the most significant one of byte 0. Counting and searching run at the
//! speed of memory; knows nothing of keys.

use std::ops::Range;

/// Bit `at`, if the bytes have one there.
pub(super) fn get(bytes: &[u8], at: u64) -> Option<bool> {
    let byte = bytes.get(usize::try_from(at / 8).ok()?)?;
    Some(byte << (at % 8) & 0x80 != 0)
}

/// Sets bit `at`, which the bytes must have.
pub(super) fn set(bytes: &mut [u8], at: u64, on: bool) {
    let (byte, mask) = (&mut bytes[(at / 8) as usize], 0x80 >> (at % 8));
    if on { *byte |= mask } else { *byte &= !mask }
}

/// How many bits of a range are set.
pub(super) fn count(bytes: &[u8], range: Range<u64>) -> u64 {
    let (head, whole, tail) = parts(bytes, range);
    u64::from(head.map_or(0, u8::count_ones)) + ones(whole) + u64::from(tail.map_or(0, u8::count_ones))
}

/// The first bit of a range that is `on`.
pub(super) fn find(bytes: &[u8], range: Range<u64>, on: bool) -> Option<u64> {
    // Look for ones: in a partial byte what is outside of the range must not be found.
    let (first, last) = (range.start / 8, range.end / 8);
    let (head, whole, tail) = parts(bytes, range.clone());
    let flip = if on { 0 } else { 0xff };
    let within = |byte: u8, mask: u8| Some((byte ^ flip) & mask).filter(|ones| *ones != 0);
    let place = |byte: u64, ones: u8| byte * 8 + u64::from(ones.leading_zeros());
    if head.is_some()
        && let Some(ones) = within(bytes[first as usize], head_mask(&range))
    {
        return Some(place(first, ones));
    }
    let begin = first + u64::from(head.is_some());
    if let Some(at) = find_other(whole, flip) {
        return Some(place(begin + at as u64, whole[at] ^ flip));
    }
    tail?;
    within(bytes[last as usize], tail_mask(&range)).map(|ones| place(last, ones))
}

/// A range's partial first byte, its whole bytes, and its partial last byte; what is outside of the range is zero. A
/// range within one byte is the first.
fn parts(bytes: &[u8], range: Range<u64>) -> (Option<u8>, &[u8], Option<u8>) {
    if range.is_empty() {
        return (None, &[], None);
    }
    let (first, last) = ((range.start / 8) as usize, (range.end / 8) as usize);
    if first == last {
        return (Some(bytes[first] & head_mask(&range)), &[], None);
    }
    let head = (!range.start.is_multiple_of(8)).then(|| bytes[first] & head_mask(&range));
    let tail = (!range.end.is_multiple_of(8)).then(|| bytes[last] & tail_mask(&range));
    (head, &bytes[first + usize::from(head.is_some())..last], tail)
}

/// The bits of a range within its first byte.
fn head_mask(range: &Range<u64>) -> u8 {
    let mask = 0xff >> (range.start % 8);
    if range.start / 8 == range.end / 8 { mask & tail_mask(range) } else { mask }
}

/// The bits of a range within the byte where it ends.
fn tail_mask(range: &Range<u64>) -> u8 {
    !(0xff >> (range.end % 8))
}

/// Words that are worked on side by side: as many as vector registers of 128 bits hold.
const LANES: usize = 2;
type Lanes = [u64; LANES];
/// Words of one round of [`ones`].
const ROUND: usize = 16 * LANES;

/// How many bits are set. Sixteen vectors at a time are added up in columns by carry-save adders (Harley and Seal), so
/// that only one in sixteen is counted bit by bit; every step is plain logic on vectors.
fn ones(bytes: &[u8]) -> u64 {
    let mut rounds = bytes.chunks_exact(8 * ROUND);
    let (mut ones, mut twos, mut fours, mut eights) = ([0; LANES], [0; LANES], [0; LANES], [0; LANES]);
    let mut sixteens = 0;
    for round in &mut rounds {
        let v = |i: usize| lanes(&round[8 * LANES * i..]);
        let carry = {
            let a = eight(&v, 0, &mut ones, &mut twos, &mut fours);
            let b = eight(&v, 8, &mut ones, &mut twos, &mut fours);
            add(&mut eights, a, b)
        };
        sixteens += population(carry);
    }
    let mut total = 16 * sixteens;
    for (weight, column) in [(8, eights), (4, fours), (2, twos), (1, ones)] {
        total += weight * population(column);
    }
    let mut words = rounds.remainder().chunks_exact(8);
    total += (&mut words)
        .map(|word| u64::from(u64::from_ne_bytes(word.try_into().expect("eight bytes")).count_ones()))
        .sum::<u64>();
    total + words.remainder().iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Adds eight vectors, from `at` on, to the columns and returns the carry into the eights.
#[inline(always)]
fn eight(
    v: &impl Fn(usize) -> Lanes,
    at: usize,
    ones: &mut Lanes,
    twos: &mut Lanes,
    fours: &mut Lanes,
) -> Lanes {
    let mut four = |at: usize| {
        let a = add(ones, v(at), v(at + 1));
        let b = add(ones, v(at + 2), v(at + 3));
        add(twos, a, b)
    };
    let (a, b) = (four(at), four(at + 4));
    add(fours, a, b)
}

/// Adds two vectors to a column: the column keeps the sums' low bits, the carries are returned.
#[inline(always)]
fn add(column: &mut Lanes, a: Lanes, b: Lanes) -> Lanes {
    let mut carry = [0; LANES];
    for i in 0..LANES {
        let half = column[i] ^ a[i];
        carry[i] = (column[i] & a[i]) | (half & b[i]);
        column[i] = half ^ b[i];
    }
    carry
}

#[inline(always)]
fn lanes(bytes: &[u8]) -> Lanes {
    let mut words = [0; LANES];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    }
    words
}

#[inline(always)]
fn population(lanes: Lanes) -> u64 {
    lanes.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// The first byte that differs from `byte`.
fn find_other(bytes: &[u8], byte: u8) -> Option<usize> {
    const BLOCK: usize = 128;
    let same = |block: &[u8]| block.iter().fold(0, |seen, b| seen | (b ^ byte)) == 0;
    let blocks = bytes.chunks_exact(BLOCK).take_while(|block| same(block)).count();
    let rest = &bytes[blocks * BLOCK..];
    rest.iter().position(|b| *b != byte).map(|at| blocks * BLOCK + at)
}

/// Longest number that [`field`] and [`set_field`] handle, in bits.
const WORD: u32 = 64;
/// Bytes that a number of [`WORD`] bits can touch.
const TOUCHED: usize = 9;

/// The `width` bits from bit `at` on as a number.
pub(super) fn field(bytes: &[u8], at: u64, width: u32) -> u64 {
    let shift = 8 * TOUCHED as u32 - (at % 8) as u32 - width;
    (window(bytes, at) >> shift) as u64 & mask(width)
}

/// Overwrites the `width` bits from bit `at` on, which the bytes must have.
pub(super) fn set_field(bytes: &mut [u8], at: u64, width: u32, value: u64) {
    let shift = 8 * TOUCHED as u32 - (at % 8) as u32 - width;
    let mask = u128::from(mask(width)) << shift;
    let window = window(bytes, at) & !mask | (u128::from(value) << shift) & mask;
    let bytes = &mut bytes[(at / 8) as usize..];
    let len = bytes.len().min(TOUCHED);
    bytes[..len].copy_from_slice(&(window << (128 - 8 * TOUCHED)).to_be_bytes()[..len]);
}

/// [`TOUCHED`] bytes from that of bit `at` on as a number; zeros where there are none.
fn window(bytes: &[u8], at: u64) -> u128 {
    let bytes = usize::try_from(at / 8).ok().and_then(|first| bytes.get(first..)).unwrap_or(&[]);
    let mut window = [0; 16];
    let len = bytes.len().min(TOUCHED);
    window[..len].copy_from_slice(&bytes[..len]);
    u128::from_be_bytes(window) >> (128 - 8 * TOUCHED)
}

fn mask(width: u32) -> u64 {
    u64::MAX >> (WORD - width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes.get((at / 8) as usize).is_some_and(|byte| byte & (1 << (7 - at % 8)) != 0)
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        // Long equal stretches, as bitmaps have them.
        let byte = prop_oneof![3 => Just(0u8), 3 => Just(0xff), 2 => any::<u8>()];
        prop_oneof![
            prop::collection::vec(byte.clone(), 0..64),
            (byte.clone(), byte, 0..1500usize, 0..1500usize).prop_map(|(a, b, n, m)| {
                let mut bytes = vec![a; n];
                bytes.push(b);
                bytes.resize(n + m, a);
                bytes
            }),
        ]
    }

    proptest! {
        #[test]
        fn counts_and_finds_like_a_loop(bytes in bytes(), a in any::<u64>(), b in any::<u64>()) {
            let len = 8 * bytes.len() as u64;
            let (a, b) = (a % (len + 1), b % (len + 1));
            for range in [a.min(b)..a.max(b), 0..len, a..len, 0..b, a / 8 * 8..len] {
                let ones = range.clone().filter(|at| bit(&bytes, *at)).count() as u64;
                prop_assert_eq!(count(&bytes, range.clone()), ones, "{:?}", range);
                for on in [false, true] {
                    let place = range.clone().find(|at| bit(&bytes, *at) == on);
                    prop_assert_eq!(find(&bytes, range.clone(), on), place, "{:?}", range);
                }
            }
        }

        #[test]
        fn one_bit_is_set(mut bytes in prop::collection::vec(any::<u8>(), 1..20), at in any::<u64>(), on: bool) {
            let at = at % (8 * bytes.len() as u64);
            let old = bytes.clone();
            set(&mut bytes, at, on);
            for i in 0..8 * bytes.len() as u64 {
                prop_assert_eq!(get(&bytes, i), Some(if i == at { on } else { bit(&old, i) }));
            }
            prop_assert_eq!(get(&bytes, 8 * bytes.len() as u64), None);
        }

        #[test]
        fn fields_are_rows_of_bits(
            mut bytes in prop::collection::vec(any::<u8>(), 8..24),
            at in 0u64..200, width in 1u32..=64, value: u64,
        ) {
            let spelled = |bytes: &[u8]| {
                (at..at + u64::from(width)).fold(0, |n, i| n << 1 | u64::from(bit(bytes, i)))
            };
            prop_assert_eq!(field(&bytes, at, width), spelled(&bytes));
            if at + u64::from(width) <= 8 * bytes.len() as u64 {
                let old = bytes.clone();
                set_field(&mut bytes, at, width, value);
                prop_assert_eq!(field(&bytes, at, width), value & mask(width));
                for i in (0..8 * bytes.len() as u64).filter(|i| !(at..at + u64::from(width)).contains(i)) {
                    prop_assert_eq!(bit(&bytes, i), bit(&old, i));
                }
            }
        }
    }
}
