//! CRC-64/REDIS, with which files and DUMP payloads end: polynomial 0xad93d23594c935a9 (Jones), reflected, initially
//! zero and not inverted at the end. Knows nothing of what it sums up.

use crc_fast::{CrcAlgorithm, Digest};

/// A checksum in the making.
pub(crate) struct Crc64(Digest);

impl Crc64 {
    pub(crate) fn new() -> Self {
        Crc64(Digest::new(CrcAlgorithm::Crc64Redis))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.finalize()
    }
}

/// The checksum of bytes that are all there.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}

#[cfg(test)]
mod tests {
    use super::{Crc64, crc64};

    #[test]
    fn the_polynomial_is_that_of_real_payloads() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        // What Redis 8.2.3 answered to DUMP of a string `hello`.
        assert_eq!(crc64(b"\x00\x05hello\x0c\x00").to_le_bytes(), *b"\xa8\x04\xeb\xb6\x9f\x1e\xbeC");
    }

    #[test]
    fn pieces_add_up() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        let mut sum = Crc64::new();
        bytes.chunks(33).for_each(|piece| sum.update(piece));
        assert_eq!(sum.value(), crc64(&bytes));
    }
}
