//! LZF, the compression of strings in RDB. Knows nothing of strings or files.
//!
//! ```text
//! 000lllll  literal ...            l + 1 literal bytes
//! lllooooo  oooooooo               l + 2 bytes (l is 1 to 6) from o + 1 bytes back, the high bits of o first
//! 111ooooo  llllllll  oooooooo     l + 9 bytes from o + 1 bytes back
//! ```
//!
//! The crate `lzf` allocates and clears a table of 512 KiB for each string, which takes 10 us; a save of small values
//! has 0.3 us per key. So this is our own, with a table that is kept and never cleared between strings. The crate
//! remains as what the tests compare with.

/// Bytes that one byte of input can at most become: 3 bytes stand for up to 264.
const MOST: usize = 88;
/// The farthest that a copy reaches back.
const REACH: usize = 1 << 13;
/// The longest copy and the longest literal run.
const LONGEST: usize = 264;
const LONGEST_RUN: usize = 32;
const BITS: u32 = 14;
/// After so many bytes that repeat nothing, the compressor looks at every second place, and so on.
const PATIENCE: usize = 32;

/// Restores `len` bytes. `None` if the input is not the compressed form of so many bytes; nothing is allocated that
/// the input could not fill.
pub(crate) fn decompress(input: &[u8], len: usize) -> Option<Vec<u8>> {
    if len == 0 || len > input.len().saturating_mul(MOST) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        let control = usize::from(control);
        if control < LONGEST_RUN {
            let (run, after) = after.split_at_checked(control + 1)?;
            if out.len() + run.len() > len {
                return None;
            }
            out.extend_from_slice(run);
            rest = after;
            continue;
        }
        let (extra, after) = if control >> 5 == 7 { after.split_first()? } else { (&0, after) };
        let (&low, after) = after.split_first()?;
        let count = (control >> 5) + usize::from(*extra) + 2;
        let back = ((control & 31) << 8 | usize::from(low)) + 1;
        let from = out.len().checked_sub(back)?;
        if out.len() + count > len {
            return None;
        }
        copy_back(&mut out, from, count);
        rest = after;
    }
    (out.len() == len).then_some(out)
}

/// Repeats what stands at `from`; the copy may overlap what it writes.
fn copy_back(out: &mut Vec<u8>, from: usize, mut count: usize) {
    while count > 0 {
        let piece = count.min(out.len() - from);
        out.extend_from_within(from..from + piece);
        count -= piece;
    }
}

/// Compresses strings one after the other.
pub(crate) struct Compressor {
    /// Where three bytes were last seen, in a count over all strings so far.
    seen: Box<[u32]>,
    /// The count at which the current string begins: what `seen` says below it is of an earlier one.
    base: u32,
    /// The count at which it ends.
    end: u32,
    out: Vec<u8>,
}

impl Compressor {
    pub(crate) fn new() -> Self {
        Compressor { seen: vec![0; 1 << BITS].into_boxed_slice(), base: 0, end: 1, out: Vec::new() }
    }

    /// The compressed form, if it is shorter than `input` by 4 bytes at least: with less, its two lengths cost more
    /// than it saves.
    pub(crate) fn compress(&mut self, input: &[u8]) -> Option<&[u8]> {
        // The positions of more than 2 GiB would not fit.
        if input.len() < 5 || input.len() > 1 << 31 {
            return None;
        }
        self.begin(input.len());
        let limit = input.len() - 4;
        let (mut at, mut literals) = (0, 0);
        while at + 2 < input.len() && self.out.len() + (at - literals) <= limit {
            let Some((back, count)) = self.match_at(input, at) else {
                // The longer nothing repeats, the fewer places are looked at.
                at += 1 + (at - literals) / PATIENCE;
                continue;
            };
            self.put_literals(&input[literals..at]);
            self.put_copy(back, count);
            at += count;
            literals = at;
            // The last bytes of a copy are worth remembering: repetitions go on after it.
            for i in at - 2..at {
                self.look_up(input, i);
            }
        }
        if self.out.len() + (input.len() - literals) > limit {
            return None;
        }
        self.put_literals(&input[literals..]);
        (self.out.len() <= limit).then_some(&self.out)
    }

    fn begin(&mut self, len: usize) {
        self.out.clear();
        let len = len as u32;
        match self.end.checked_add(len) {
            Some(end) => (self.base, self.end) = (self.end, end),
            None => {
                self.seen.fill(0);
                (self.base, self.end) = (1, 1 + len);
            }
        }
    }

    /// Where the three bytes at `at` stood before, which are remembered for the next time.
    fn look_up(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let bytes = input.get(at..at + 3)?;
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        let slot = &mut self.seen[(word.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize];
        let before = std::mem::replace(slot, self.base + at as u32);
        before.checked_sub(self.base).map(|before| before as usize)
    }

    /// How far back the bytes at `at` stand already, and how many of them; at least three.
    fn match_at(&mut self, input: &[u8], at: usize) -> Option<(usize, usize)> {
        let from = self.look_up(input, at)?;
        if at - from > REACH || input[from..from + 3] != input[at..at + 3] {
            return None;
        }
        let rest = &input[at..input.len().min(at + LONGEST)];
        let same = rest.iter().zip(&input[from..]).take_while(|(a, b)| a == b).count();
        Some((at - from, same))
    }

    fn put_literals(&mut self, literals: &[u8]) {
        for run in literals.chunks(LONGEST_RUN) {
            self.out.push(run.len() as u8 - 1);
            self.out.extend_from_slice(run);
        }
    }

    fn put_copy(&mut self, back: usize, count: usize) {
        let (offset, length) = (back - 1, count - 2);
        let high = (offset >> 8) as u8;
        if length < 7 {
            self.out.push((length as u8) << 5 | high);
        } else {
            self.out.extend_from_slice(&[7 << 5 | high, (length - 7) as u8]);
        }
        self.out.push(offset as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::{Compressor, decompress};
    use proptest::prelude::*;

    #[test]
    fn real_bytes() {
        // From a payload of Redis 8.2.3: 100 times `y`.
        assert_eq!(decompress(b"\x01yy\xe0W\x00\x01yy", 100), Some(vec![b'y'; 100]));
        let mut compressor = Compressor::new();
        let packed = compressor.compress(&[b'y'; 100]).expect("repetitions compress").to_vec();
        assert!(packed.len() < 9, "{packed:?}");
        assert_eq!(lzf::decompress(&packed, 100), Ok(vec![b'y'; 100]));
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let packed = b"\x01yy\xe0W\x00\x01yy";
        for len in [0, 1, 99, 101, 1 << 40, usize::MAX] {
            assert_eq!(decompress(packed, len), None);
        }
        for cut in 0..packed.len() {
            assert_eq!(decompress(&packed[..cut], 100), None);
        }
        assert_eq!(decompress(b"\x00y\x20\x01", 4), None, "reaches back before the beginning");
    }

    /// Strings with repetitions near and far.
    fn repetitive() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(0u8..4, 1..40),
            (any::<u8>(), 1usize..700).prop_map(|(b, n)| vec![b; n]),
            proptest::collection::vec(any::<u8>(), 1..3000),
        ];
        (proptest::collection::vec(piece, 1..8), proptest::collection::vec(0usize..8, 1..30))
            .prop_map(|(pieces, order)| order.iter().flat_map(|i| pieces[i % pieces.len()].clone()).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_compressed_comes_back(strings in proptest::collection::vec(repetitive(), 1..4)) {
            let mut compressor = Compressor::new();
            for string in strings {
                if let Some(packed) = compressor.compress(&string) {
                    prop_assert!(packed.len() + 4 <= string.len());
                    prop_assert_eq!(decompress(packed, string.len()), Some(string.clone()));
                    prop_assert_eq!(lzf::decompress(packed, string.len()), Ok(string));
                }
            }
        }

        #[test]
        fn what_the_crate_compresses_comes_back(string in repetitive()) {
            if let Ok(packed) = lzf::compress(&string) {
                prop_assert_eq!(decompress(&packed, string.len()), Some(string));
            }
        }

        #[test]
        fn garbage_is_refused_or_restored_alike(packed in proptest::collection::vec(any::<u8>(), 1..60), len in 1usize..300) {
            let theirs = lzf::decompress(&packed, len).ok().filter(|out| out.len() == len);
            prop_assert_eq!(decompress(&packed, len), theirs);
        }
    }

    #[test]
    fn the_table_outlives_its_count() {
        let mut compressor = Compressor::new();
        compressor.end = u32::MAX - 50;
        for _ in 0..3 {
            let packed = compressor.compress(&[b'z'; 100]).map(<[u8]>::to_vec).expect("repetitions compress");
            assert_eq!(decompress(&packed, 100), Some(vec![b'z'; 100]));
        }
    }
}
