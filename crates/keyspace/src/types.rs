//! The types that hold more than one element, and what they share: how small ones stand inside of a key's
//! entry, what they need of the keyspace while they change, and how they are freed.
//!
//! A small collection is packed: the bytes of one listpack or intset, inside of the entry while they fit,
//! in an [`Object`] otherwise. A large one is an [`Object`] of its own structure, whose members' blocks live
//! in the keyspace's slab for members. A type knows neither keys nor entries; see [`crate::write`] for how it
//! is changed.

pub(crate) mod hash;
pub(crate) mod list;
pub(crate) mod set;
pub(crate) mod stream;
pub(crate) mod zset;

use crate::hash::Hasher;
use crate::random::Random;
use crate::slab::{Bin, Slab};
use crate::snapshot::SnapshotPart;
use crate::snapshot::open::Openable;
use crate::value::{Encoding, Kind, Value};
use hash::Hash;
use list::List;
use set::Set;
use stream::Stream;
use zset::SortedSet;

/// The sizes up to which collections stay packed, named as the directives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Positive: elements of a list's node; negative: -1 to -5 for nodes of 4, 8, 16, 32, 64 KiB.
    pub list_max_listpack_size: i64,
    /// Bytes from which an element of a list of several nodes stands alone; 0: what exceeds a node. For tests.
    pub list_plain_threshold: usize,
    /// Fields of a packed hash.
    pub hash_max_listpack_entries: usize,
    /// Bytes of its longest field or value.
    pub hash_max_listpack_value: usize,
    /// Members of a set of integers.
    pub set_max_intset_entries: usize,
    /// Members of a packed set.
    pub set_max_listpack_entries: usize,
    /// Bytes of its longest member.
    pub set_max_listpack_value: usize,
    /// Members of a packed sorted set.
    pub zset_max_listpack_entries: usize,
    /// Bytes of its longest member.
    pub zset_max_listpack_value: usize,
    /// Bytes of a stream's node; 0: any.
    pub stream_node_max_bytes: usize,
    /// Entries of a stream's node; 0: any.
    pub stream_node_max_entries: usize,
}

impl Default for Limits {
    /// Redis's defaults.
    fn default() -> Self {
        Limits {
            list_max_listpack_size: -2,
            list_plain_threshold: 0,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
        }
    }
}

/// What a collection needs of the keyspace while it changes.
pub struct Space<'a> {
    /// Holds the blocks of the members of all large collections.
    pub(crate) slab: &'a mut Slab,
    pub(crate) limits: &'a Limits,
    pub(crate) hasher: Hasher,
    pub(crate) random: &'a mut Random,
    /// Unix time in milliseconds.
    pub(crate) now: u64,
}

impl Space<'_> {
    /// The sizes up to which collections stay packed.
    pub fn limits(&self) -> &Limits {
        self.limits
    }

    /// Frees a collection that never got into the keyspace.
    pub fn discard(&mut self, collection: impl Collection) {
        collection.free(&mut Bin::Now(self.slab));
    }
}

/// What the bytes of a packed collection mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// A list in one listpack.
    List,
    /// A listpack of fields and values.
    Hash,
    /// A listpack of fields, values and deadlines, ordered by deadline; 0, for none, comes last.
    HashTtl,
    /// A set in an intset.
    SetInts,
    /// A set in a listpack.
    Set,
    /// A listpack of members and scores, ordered.
    SortedSet,
}

impl Packing {
    /// A packed collection that does not fit into an entry.
    pub(crate) fn object(self, bytes: Vec<u8>) -> Box<Object> {
        Box::new(match self {
            Packing::List => List::from_packed(self, bytes).into(),
            Packing::Hash | Packing::HashTtl => Hash::from_packed(self, bytes).into(),
            Packing::SetInts | Packing::Set => Set::from_packed(self, bytes).into(),
            Packing::SortedSet => SortedSet::from_packed(self, bytes).into(),
        })
    }
}

/// One of the types below, as the write guard and the entry see it. Implemented by them alone.
pub trait Collection: Member {
    /// The type.
    const KIND: Kind;
    /// What an absent key counts as.
    fn empty(space: &Space<'_>) -> Self;
    /// From packed bytes of one of this type's packings.
    fn from_packed(packing: Packing, bytes: Vec<u8>) -> Self;
    /// The packed bytes, while the collection has that form.
    fn packed(&self) -> Option<(Packing, &[u8])>;
    /// The buffer of the packed bytes, for reuse.
    fn into_packed(self) -> Option<Vec<u8>>;
    /// Whether the key is to be removed.
    fn is_empty(&self) -> bool;
    /// About how many allocations there are to free.
    fn pieces(&self) -> usize;
    /// Gives the members' blocks back; may run on another thread than all else.
    fn free(self, bin: &mut Bin<'_>);
    /// A copy, for COPY.
    fn duplicate(&self, space: &mut Space<'_>) -> Self;
    /// When the next member is due, in unix milliseconds: a lower bound; `u64::MAX`: none has a deadline.
    fn next_deadline(&self) -> u64 {
        u64::MAX
    }
}

/// A variant of [`Object`]; implemented below for each.
pub trait Member: Sized + Into<Object> {
    /// The collection, if the object is one of this type.
    fn of(object: &mut Object) -> Option<&mut Self>;
}

/// A collection outside of its key's entry.
#[derive(Debug)]
pub enum Object {
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    SortedSet(SortedSet),
    /// A stream.
    Stream(Stream),
}

/// The variant of a type in [`Object`].
macro_rules! object_of {
    ($($variant:ident),*) => { $(
        impl From<$variant> for Object {
            fn from(collection: $variant) -> Object {
                Object::$variant(collection)
            }
        }
        impl Member for $variant {
            fn of(object: &mut Object) -> Option<&mut $variant> {
                match object {
                    Object::$variant(collection) => Some(collection),
                    _ => None,
                }
            }
        }
    )* };
}
object_of!(List, Set, Hash, SortedSet, Stream);

/// Calls the same method on whatever an object is.
macro_rules! any {
    ($object:expr, $c:ident => $body:expr) => {
        match $object {
            Object::List($c) => $body,
            Object::Set($c) => $body,
            Object::Hash($c) => $body,
            Object::SortedSet($c) => $body,
            Object::Stream($c) => $body,
        }
    };
}

impl Object {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Object::List(c) => Value::List(c.view()),
            Object::Set(c) => Value::Set(c.view()),
            Object::Hash(c) => Value::Hash(c.view()),
            Object::SortedSet(c) => Value::SortedSet(c.view()),
            Object::Stream(c) => Value::Stream(c),
        }
    }

    /// Asks the processor for what the object points to.
    #[inline]
    pub(crate) fn prefetch(&self) {
        match self {
            Object::Hash(hash) => hash.prefetch(),
            Object::List(list) => list.prefetch(),
            _ => {}
        }
    }

    pub(crate) fn packed(&self) -> Option<(Packing, &[u8])> {
        any!(self, c => c.packed())
    }

    pub(crate) fn pieces(&self) -> usize {
        any!(self, c => c.pieces())
    }

    pub(crate) fn next_deadline(&self) -> u64 {
        any!(self, c => c.next_deadline())
    }

    /// Whether copying it takes longer than copying so many members.
    pub(crate) fn is_larger_than(&self, members: usize) -> bool {
        /// What a node counts for.
        const NODE: usize = 16;
        match self {
            _ if self.packed().is_some() => false,
            Object::List(_) | Object::Stream(_) => self.pieces() * NODE > members,
            _ => self.pieces() > members,
        }
    }

    pub(crate) fn free(self, bin: &mut Bin<'_>) {
        any!(self, c => c.free(bin));
    }

    pub(crate) fn duplicate(&self, space: &mut Space<'_>) -> Object {
        any!(self, c => Object::from(c.duplicate(space)))
    }
}

impl Openable for Object {
    fn open(&mut self, large: usize) {
        any!(self, c => c.open(large));
    }

    fn close(&mut self) {
        any!(self, c => c.close());
    }

    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool {
        any!(self, c => c.walk(part))
    }

    fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) {
        any!(self, c => c.drain(part));
    }
}

/// A packed collection by reference.
pub(crate) fn packed_value(packing: Packing, bytes: &[u8]) -> Value<'_> {
    match packing {
        Packing::List => Value::List(list::ListRef::from_packed(packing, bytes)),
        Packing::Hash | Packing::HashTtl => Value::Hash(hash::HashRef::from_packed(packing, bytes)),
        Packing::SetInts | Packing::Set => Value::Set(set::SetRef::from_packed(packing, bytes)),
        Packing::SortedSet => Value::SortedSet(zset::SortedSetRef::from_packed(packing, bytes)),
    }
}

/// When the first member of a packed collection is due; `u64::MAX`: none has a deadline.
pub(crate) fn packed_deadline(packing: Packing, bytes: &[u8]) -> u64 {
    match packing {
        Packing::HashTtl => hash::HashRef::from_packed(packing, bytes).next_deadline(),
        _ => u64::MAX,
    }
}

/// How a collection is stored.
pub(crate) fn encoding(value: &Value<'_>) -> Option<Encoding> {
    Some(match value {
        Value::Str(_) => return None,
        Value::List(c) => c.encoding(),
        Value::Set(c) => c.encoding(),
        Value::Hash(c) => c.encoding(),
        Value::SortedSet(c) => c.encoding(),
        Value::Stream(_) => Encoding::Stream,
    })
}

/// Bytes that an object takes beside its key's entry, estimated from `samples` members where it is large.
pub(crate) fn object_memory(object: &Object, samples: usize) -> usize {
    size_of::<Object>()
        + match object {
            Object::List(c) => c.view().memory(samples),
            Object::Set(c) => c.view().memory(samples),
            Object::Hash(c) => c.view().memory(samples),
            Object::SortedSet(c) => c.view().memory(samples),
            Object::Stream(c) => c.memory(samples),
        }
}
