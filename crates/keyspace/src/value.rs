//! What a key holds, seen from outside: borrowed views and owned values.

use crate::access::AccessPolicy;
use crate::entry::{Entry, Repr};
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
}

impl Kind {
    /// The name that `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
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
        }
    }
}

/// A value by reference.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string.
    Str(Str<'a>),
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
    pub fn kind(&self) -> Kind {
        match self.value() {
            Value::Str(_) => Kind::String,
        }
    }

    /// How the value is stored.
    pub fn encoding(&self) -> Encoding {
        match (self.entry.repr(), self.value()) {
            (Repr::Short, Value::Str(s)) if s.len() <= EMBSTR_MAX => Encoding::Embstr,
            (Repr::Short | Repr::ShortRaw | Repr::Blob, _) => Encoding::Raw,
            _ => Encoding::Int,
        }
    }

    /// When the key expires, in unix milliseconds.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        self.entry.deadline()
    }

    /// Bytes that the key and its value take, from the sizes of the real blocks.
    pub fn memory(&self) -> usize {
        self.entry.memory()
    }

    /// Seconds since the key was last used, under [`AccessPolicy::Recency`].
    pub fn idle_seconds(&self, now: u64) -> u64 {
        self.policy.idle_seconds(self.entry.access(), now)
    }

    /// The logarithmic use counter, under [`AccessPolicy::Frequency`].
    pub fn frequency(&self, now: u64) -> u32 {
        self.policy.frequency(self.entry.access(), now)
    }

    /// A copy of the value with its deadline.
    pub fn to_owned(&self) -> Owned {
        let value = match self.value() {
            Value::Str(Str::Int(v)) => OwnedValue::Int(v),
            Value::Str(Str::Bytes(b)) => OwnedValue::Bytes(b.to_vec(), self.entry.repr() == Repr::ShortRaw),
            Value::Str(Str::Shared(b)) => OwnedValue::Blob(Arc::clone(b)),
        };
        Owned { value, deadline: self.deadline() }
    }
}

/// A value outside of the keyspace, with its deadline: what RENAME, MOVE and COPY carry.
#[derive(Clone, Debug)]
pub struct Owned {
    pub(crate) value: OwnedValue,
    pub(crate) deadline: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum OwnedValue {
    Int(i64),
    /// Bytes, and whether they count as `raw` although they are short.
    Bytes(Vec<u8>, bool),
    Blob(Blob),
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
