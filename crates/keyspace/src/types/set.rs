//! A set.

use super::{Collection, Packing, Space};
use crate::slab::Bin;
use crate::value::{Encoding, Kind};

/// A set.
#[derive(Debug)]
pub struct Set(Vec<u8>);

/// The same by reference.
#[derive(Clone, Copy, Debug)]
pub struct SetRef<'a>(&'a [u8]);

impl Set {
    /// The same by reference.
    pub fn view(&self) -> SetRef<'_> {
        SetRef(&self.0)
    }
}

impl<'a> SetRef<'a> {
    pub(crate) fn from_packed(_packing: Packing, bytes: &'a [u8]) -> Self {
        SetRef(bytes)
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

impl Collection for Set {
    const KIND: Kind = Kind::Set;
    fn empty(_space: &Space<'_>) -> Self {
        Set(Vec::new())
    }
    fn from_packed(_packing: Packing, bytes: Vec<u8>) -> Self {
        Set(bytes)
    }
    fn packed(&self) -> Option<(Packing, &[u8])> {
        Some((Packing::Set, &self.0))
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
        Set(self.0.clone())
    }
}
