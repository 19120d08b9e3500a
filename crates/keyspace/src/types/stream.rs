//! A stream.

use super::{Collection, Packing, Space};
use crate::slab::Bin;
use crate::value::Kind;

/// A stream.
#[derive(Debug)]
pub struct Stream(Vec<u8>);

impl Stream {
    /// Bytes taken beside the entry.
    pub fn memory(&self, _samples: usize) -> usize {
        self.0.len()
    }
}

impl Collection for Stream {
    const KIND: Kind = Kind::Stream;
    fn empty(_space: &Space<'_>) -> Self {
        Stream(Vec::new())
    }
    fn from_packed(_packing: Packing, bytes: Vec<u8>) -> Self {
        Stream(bytes)
    }
    fn packed(&self) -> Option<(Packing, &[u8])> {
        None
    }
    fn into_packed(self) -> Option<Vec<u8>> {
        None
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn pieces(&self) -> usize {
        1
    }
    fn free(self, _bin: &mut Bin<'_>) {}
    fn duplicate(&self, _space: &mut Space<'_>) -> Self {
        Stream(self.0.clone())
    }
}
