//! The keyspace: numbered databases of keys, their values and their deadlines.
//!
//! One thread owns a [`Keyspace`] and calls it with time and randomness as arguments: it knows no
//! clock, no command words, no replies and no sockets. Reads go through [`Keyspace::read`] and
//! [`Keyspace::peek`]; every change goes through a [`Write`] guard, which is the one place that
//! counts changes, keeps the expiry index and hands pre-images to a running snapshot.
//!
//! ```
//! use carnelian_keyspace::{Event, Keyspace, Options, Str, Ttl, Value};
//!
//! let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
//! keyspace.set_now(1_000);
//! let key = keyspace.key(b"greeting");
//! let mut guard = keyspace.write(0, key);
//! guard.set(b"hello", Ttl::At(2_000));
//! guard.commit(&[Event::string("set")]);
//!
//! let Some(Value::Str(Str::Bytes(value))) = keyspace.read(0, key).map(|i| i.value()) else { panic!() };
//! assert_eq!(value, b"hello");
//! keyspace.set_now(2_000);
//! assert!(keyspace.read(0, key).is_none());
//! ```

mod access;
mod db;
mod dense;
pub mod encoding;
mod entry;
mod event;
mod hash;
mod key;
mod keyspace;
mod lag;
mod pages;
mod random;
mod reaper;
mod slab;
mod snapshot;
mod table;
mod types;
mod value;
mod write;

/// What streams are made of.
pub mod stream {
    pub use crate::types::stream::{
        Consumer, ConsumerId, Deletion, Entry, Group, Groups, Log, LogFacts, Pairs, Pending, Range,
        RangeBack, References, StreamId, TooLarge, Trim, TrimTo,
    };
}

pub use access::AccessPolicy;
pub use event::{Event, EventClass, EventClasses};
pub use hash::Hasher;
pub use key::Key;
pub use keyspace::{Cause, Change, ExpireRun, Expired, Free, Keyspace, Memory, Observer, Options, Stats};
pub use lag::LagHistogram;
pub use random::Random;
pub use snapshot::{SnapshotPart, SnapshotSink, records};
pub use types::hash::{Field, Hash, HashRef};
pub use types::list::ListPart;
pub use types::list::node::End;
pub use types::list::{List, ListRef, ListShape};
pub use types::set::{Set, SetRef};
pub use types::stream::Stream;
pub use types::zset::{
    Bounds, LexBound, LexRange, ScoreOutcome, ScoreRange, ScoreUpdate, SortedSet, SortedSetRef,
};
pub use types::{Collection, Limits, Packing, Space};
pub use value::{Blob, EMBSTR_MAX, Encoding, Item, Kind, Owned, Str, Value};
pub use write::{Ttl, Write, WrongKind};
