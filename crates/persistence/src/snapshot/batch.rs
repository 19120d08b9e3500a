//! What travels from one thread to the other.
//!
//! ```text
//! batch     records, as one string of bytes; large strings by reference beside it
//! record    tag (u8), then by the low five bits of the tag:
//!             Database        number (length)
//!             a small value   head, value
//!             Open            id (length), head, shape
//!             the parts       id (length), the part
//!             Close           id (length)
//! head      deadline (u64, if bit 5 of the tag is set), idle seconds or frequency (u32, if bit 6 is), key (bytes)
//! value     Int: i64; Text: bytes; Blob: nothing, it is the next of the strings by reference;
//!           List to SortedSet: the bytes of the packed collection
//! ```
//!
//! `length` and `bytes` are those of [`carnelian_keyspace::records`]; numbers are little endian. What is opened under
//! the id 0 is closed before anything else comes.

use std::sync::atomic::{AtomicUsize, Ordering};

use std::sync::{Arc, Mutex};

use carnelian_keyspace::{Blob, Packing};

/// Buffers of batches that are gone, for new ones: fresh memory would cost more than what is copied into it.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// How many are kept.
    const KEPT: usize = 256;

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        let kept = self.0.lock().ok().and_then(|mut buffers| buffers.pop());
        kept.unwrap_or_else(|| Vec::with_capacity(FULL + SPARE))
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 2 * FULL {
            return;
        }
        buffer.clear();
        if let Ok(mut buffers) = self.0.lock()
            && buffers.len() < Self::KEPT
        {
            buffers.push(buffer);
        }
    }
}

/// Bytes from which on a batch is sent: some 0.1 ms of work for the receiver.
pub(super) const FULL: usize = 32 * 1024;
/// Room for what comes after that: one record, mostly.
const SPARE: usize = 4 * 1024;

/// A piece of a snapshot, to be given to an [`Assembler`](super::Assembler) in the order in which they were sent.
#[derive(Debug)]
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) blobs: Vec<Blob>,
    is_last: bool,
    /// What it counts for in `queued`.
    size: usize,
    queued: Arc<AtomicUsize>,
    buffers: Arc<Buffers>,
}

impl Batch {
    pub(super) fn new(
        bytes: Vec<u8>,
        blobs: Vec<Blob>,
        is_last: bool,
        queued: &Arc<AtomicUsize>,
        buffers: &Arc<Buffers>,
    ) -> Batch {
        let size = bytes.len() + blobs.iter().map(|blob| blob.len()).sum::<usize>();
        queued.fetch_add(size, Ordering::Relaxed);
        Batch { bytes, blobs, is_last, size, queued: Arc::clone(queued), buffers: Arc::clone(buffers) }
    }

    /// Whether the snapshot is complete with this batch. A channel that ends without one was given up.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Bytes that it holds, large strings included.
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.queued.fetch_sub(self.size, Ordering::Relaxed);
        self.buffers.give_back(std::mem::take(&mut self.bytes));
    }
}

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Tag {
    Int,
    Text,
    Blob,
    List,
    Hash,
    HashTtl,
    SetInts,
    Set,
    SortedSet,
    Database,
    Open,
    Members,
    /// A run of a list in a listpack.
    Pack,
    /// A run of a list that is a single element.
    Plain,
    /// The same by reference.
    PlainBlob,
    Node,
    Pending,
    Close,
}

pub(super) const DEADLINE: u8 = 0x20;
pub(super) const ACCESS: u8 = 0x40;
const TAG: u8 = 0x1f;

/// All tags, by their numbers.
const TAGS: [Tag; 18] = [
    Tag::Int,
    Tag::Text,
    Tag::Blob,
    Tag::List,
    Tag::Hash,
    Tag::HashTtl,
    Tag::SetInts,
    Tag::Set,
    Tag::SortedSet,
    Tag::Database,
    Tag::Open,
    Tag::Members,
    Tag::Pack,
    Tag::Plain,
    Tag::PlainBlob,
    Tag::Node,
    Tag::Pending,
    Tag::Close,
];

impl Tag {
    pub(super) fn of_byte(byte: u8) -> Tag {
        TAGS[usize::from(byte & TAG)]
    }

    pub(super) fn of_packing(packing: Packing) -> Tag {
        match packing {
            Packing::List => Tag::List,
            Packing::Hash => Tag::Hash,
            Packing::HashTtl => Tag::HashTtl,
            Packing::SetInts => Tag::SetInts,
            Packing::Set => Tag::Set,
            Packing::SortedSet => Tag::SortedSet,
        }
    }

    pub(super) fn packing(self) -> Option<Packing> {
        Some(match self {
            Tag::List => Packing::List,
            Tag::Hash => Packing::Hash,
            Tag::HashTtl => Packing::HashTtl,
            Tag::SetInts => Packing::SetInts,
            Tag::Set => Packing::Set,
            Tag::SortedSet => Packing::SortedSet,
            _ => return None,
        })
    }
}

/// The types of collections in `Open` records.
pub(super) mod shape {
    pub(in super::super) const LIST: u8 = 0;
    pub(in super::super) const SET: u8 = 1;
    pub(in super::super) const SORTED_SET: u8 = 2;
    pub(in super::super) const HASH: u8 = 3;
    pub(in super::super) const STREAM: u8 = 4;
}

#[cfg(test)]
mod tests {
    use super::{TAGS, Tag};

    #[test]
    fn tags_are_what_their_bytes_say() {
        for (i, tag) in TAGS.iter().enumerate() {
            assert_eq!(*tag as usize, i);
            assert_eq!(Tag::of_byte(i as u8 | 0x60), *tag);
        }
    }
}
