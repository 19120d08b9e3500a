//! A sorted set.

use super::{Collection, Packing, Space};
use crate::slab::Bin;
use crate::value::{Encoding, Kind};

/// A sorted set.
#[derive(Debug)]
pub struct SortedSet(Vec<u8>);

/// The same by reference.
#[derive(Clone, Copy, Debug)]
pub struct SortedSetRef<'a>(&'a [u8]);

impl SortedSet {
    /// The same by reference.
    pub fn view(&self) -> SortedSetRef<'_> {
        SortedSetRef(&self.0)
    }
}

impl<'a> SortedSetRef<'a> {
    pub(crate) fn from_packed(_packing: Packing, bytes: &'a [u8]) -> Self {
        SortedSetRef(bytes)
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

impl Collection for SortedSet {
    const KIND: Kind = Kind::SortedSet;
    fn empty(_space: &Space<'_>) -> Self {
        SortedSet(Vec::new())
    }
    fn from_packed(_packing: Packing, bytes: Vec<u8>) -> Self {
        SortedSet(bytes)
    }
    fn packed(&self) -> Option<(Packing, &[u8])> {
        Some((Packing::SortedSet, &self.0))
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
        SortedSet(self.0.clone())
    }
}
