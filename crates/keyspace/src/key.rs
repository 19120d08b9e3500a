//! A key's bytes together with their hash, so that nothing is hashed twice.

/// The bytes of a key and their hash under the keyspace's seed. Made by
/// [`Keyspace::key`](crate::Keyspace::key).
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: u64,
}

impl<'a> Key<'a> {
    /// The key's bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Their hash, which means nothing outside of the keyspace.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}
