//! A hash.

use super::{Collection, Packing, Space};
use crate::slab::Bin;
use crate::value::{Encoding, Kind};

/// A hash.
#[derive(Debug)]
pub struct Hash(Vec<u8>);

/// The same by reference.
#[derive(Clone, Copy, Debug)]
pub struct HashRef<'a>(&'a [u8]);

impl Hash {
    /// Removes about `max` fields that are due at `now`; whether there are more.
    pub(crate) fn remove_due(
        &mut self,
        _now: u64,
        _max: usize,
        _space: &mut Space<'_>,
        _gone: &mut dyn FnMut(&[u8]),
    ) -> bool {
        false
    }

    /// The same by reference.
    pub fn view(&self) -> HashRef<'_> {
        HashRef(&self.0)
    }
}

impl<'a> HashRef<'a> {
    pub(crate) fn from_packed(_packing: Packing, bytes: &'a [u8]) -> Self {
        HashRef(bytes)
    }

    /// When the first field is due, in unix milliseconds: a lower bound; `u64::MAX`: none has a deadline.
    pub fn next_deadline(&self) -> u64 {
        u64::MAX
    }

    /// How it is stored.
    pub fn encoding(&self) -> Encoding {
        Encoding::Listpack
    }

    /// Bytes taken beside the entry.
    pub fn memory(&self, _samples: usize) -> usize {
        self.0.len()
    }
}

impl Collection for Hash {
    const KIND: Kind = Kind::Hash;
    fn empty(_space: &Space<'_>) -> Self {
        Hash(Vec::new())
    }
    fn from_packed(_packing: Packing, bytes: Vec<u8>) -> Self {
        Hash(bytes)
    }
    fn packed(&self) -> Option<(Packing, &[u8])> {
        Some((Packing::Hash, &self.0))
    }
    fn into_packed(self) -> Option<Vec<u8>> {
        Some(self.0)
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn pieces(&self) -> usize {
        1
    }
    fn free(self, _bin: &mut Bin<'_>) {}
    fn duplicate(&self, _space: &mut Space<'_>) -> Self {
        Hash(self.0.clone())
    }
}
