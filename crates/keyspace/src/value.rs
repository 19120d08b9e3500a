//! What a key holds, seen from outside: borrowed views and owned values.

use crate::access::AccessPolicy;
use crate::entry::{Entry, Repr};
use crate::types::hash::HashRef;
use crate::types::list::ListRef;
use crate::types::set::SetRef;
use crate::types::stream::Stream;
use crate::types::zset::SortedSetRef;
use crate::types::{self, Object, Packing};
use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

/// A large string value. Whoever holds a clone can send it while the keyspace goes on; a change in the
/// meantime copies it first.
pub type Blob = Arc<Vec<u8>>;

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A string.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl Kind {
    /// The name that `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }
}

/// How a value is stored, in the words of `OBJECT ENCODING`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// A string that is a 64-bit integer in canonical form.
    Int,
    /// A string of at most [`EMBSTR_MAX`] bytes that was set as a whole.
    Embstr,
    /// Any other string.
    Raw,
    /// A collection in one listpack.
    Listpack,
    /// A hash in one listpack, with deadlines of fields.
    ListpackEx,
    /// A list of several nodes.
    Quicklist,
    /// A set of integers in one sorted array.
    Intset,
    /// A hash or set in a hash table.
    Hashtable,
    /// A sorted set in a tree and a hash table. The name is history's.
    Skiplist,
    /// A stream.
    Stream,
}

/// The longest string that `OBJECT ENCODING` calls `embstr`, in bytes.
pub const EMBSTR_MAX: usize = 44;

impl Encoding {
    /// The name that `OBJECT ENCODING` answers.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Int => "int",
            Encoding::Embstr => "embstr",
            Encoding::Raw => "raw",
            Encoding::Listpack => "listpack",
            Encoding::ListpackEx => "listpackex",
            Encoding::Quicklist => "quicklist",
            Encoding::Intset => "intset",
            Encoding::Hashtable => "hashtable",
            Encoding::Skiplist => "skiplist",
            Encoding::Stream => "stream",
        }
    }
}

/// A value by reference.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string.
    Str(Str<'a>),
    /// A list.
    List(ListRef<'a>),
    /// A set.
    Set(SetRef<'a>),
    /// A sorted set.
    SortedSet(SortedSetRef<'a>),
    /// A hash.
    Hash(HashRef<'a>),
    /// A stream.
    Stream(&'a Stream),
}

impl<'a> Value<'a> {
    /// A packed collection, from bytes that are one of this packing.
    pub fn packed(packing: Packing, bytes: &'a [u8]) -> Value<'a> {
        types::packed_value(packing, bytes)
    }
}

/// A string value by reference.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// A string that is stored as an integer.
    Int(i64),
    /// Bytes inside of the entry.
    Bytes(&'a [u8]),
    /// A large value of its own.
    Shared(&'a Blob),
}

impl<'a> Str<'a> {
    /// Length in bytes of the string's text.
    pub fn len(&self) -> usize {
        match self {
            Str::Int(v) => itoa::Buffer::new().format(*v).len(),
            Str::Bytes(b) => b.len(),
            Str::Shared(b) => b.len(),
        }
    }

    /// Whether the string is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The string's bytes; an integer is printed.
    pub fn to_bytes(&self) -> Cow<'a, [u8]> {
        match self {
            Str::Int(v) => Cow::Owned(itoa::Buffer::new().format(*v).as_bytes().to_vec()),
            Str::Bytes(b) => Cow::Borrowed(b),
            Str::Shared(b) => Cow::Borrowed(b),
        }
    }

    /// Calls `f` with the string's bytes, without allocating.
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Str::Int(v) => f(itoa::Buffer::new().format(*v).as_bytes()),
            Str::Bytes(b) => f(b),
            Str::Shared(b) => f(b),
        }
    }

    /// The integer of a string that is stored as one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Str::Int(v) => Some(*v),
            _ => None,
        }
    }
}

/// An existing key with its value, by reference.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    entry: Entry,
    policy: AccessPolicy,
    alive: PhantomData<&'a Entry>,
}

impl<'a> Item<'a> {
    /// The entry is borrowed from the keyspace for `'a`: the caller ties the lifetime.
    #[inline(always)]
    pub(crate) fn new(entry: Entry, policy: AccessPolicy) -> Item<'a> {
        Item { entry, policy, alive: PhantomData }
    }

    /// The key's bytes.
    #[allow(unsafe_code)]
    pub fn key(&self) -> &'a [u8] {
        // SAFETY: the entry lives and is not rewritten for 'a, since an Item borrows the keyspace.
        unsafe { self.entry.key() }
    }

    /// The value.
    #[allow(unsafe_code)]
    #[inline]
    pub fn value(&self) -> Value<'a> {
        // SAFETY: as above.
        unsafe { self.entry.value() }
    }

    /// The value's type.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.entry.repr().kind()
    }

    /// How the value is stored.
    pub fn encoding(&self) -> Encoding {
        let value = self.value();
        match (self.entry.repr(), &value) {
            (Repr::Short, Value::Str(s)) if s.len() <= EMBSTR_MAX => Encoding::Embstr,
            (Repr::Short | Repr::ShortRaw | Repr::Blob, _) => Encoding::Raw,
            _ => types::encoding(&value).unwrap_or(Encoding::Int),
        }
    }

    /// When the key expires, in unix milliseconds.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        self.entry.deadline()
    }

    /// Bytes that the key and its value take, from the sizes of the real blocks; those of a large collection are
    /// estimated from `samples` of its members, 0 meaning all.
    pub fn memory(&self, samples: usize) -> usize {
        self.entry.memory(samples)
    }

    /// Seconds since the key was last used, under [`AccessPolicy::Recency`].
    pub fn idle_seconds(&self, now: u64) -> u64 {
        self.policy.idle_seconds(self.entry.access(), now)
    }

    /// The logarithmic use counter, under [`AccessPolicy::Frequency`].
    pub fn frequency(&self, now: u64) -> u32 {
        self.policy.frequency(self.entry.access(), now)
    }
}

/// A value outside of the keyspace, with its deadline: what RENAME, MOVE and COPY carry. To be put back with
/// [`Write::put`](crate::Write::put): the blocks of a collection are not freed otherwise.
#[derive(Debug)]
#[must_use]
pub struct Owned {
    pub(crate) value: OwnedValue,
    pub(crate) deadline: Option<u64>,
}

#[derive(Debug)]
pub(crate) enum OwnedValue {
    Int(i64),
    /// Bytes, and whether they count as `raw` although they are short.
    Bytes(Vec<u8>, bool),
    Blob(Blob),
    Packed(Packing, Vec<u8>),
    Object(Box<Object>),
}

impl Owned {
    /// When the value expires, in unix milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Changes the deadline.
    pub fn set_deadline(&mut self, at: Option<u64>) {
        self.deadline = at;
    }
}
