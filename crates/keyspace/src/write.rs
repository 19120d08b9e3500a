//! The guard through which every change of a key goes.

use crate::encoding::canonical_int;
use crate::entry::{Entry, Head, MAX_INLINE, Payload, Repr, blob, fits};
use crate::event::{Event, EventClass};
use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::table::Place;
use crate::types::{Collection, Object, Space};
use crate::value::{Blob, Item, Kind, Owned, OwnedValue, Str, Value};
use std::sync::Arc;

/// What a new value does to the key's deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// Keeps it as it is.
    Keep,
    /// Removes it.
    Clear,
    /// Sets it, in unix milliseconds.
    At(u64),
}

/// The key holds a value of another type than the one asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongKind;

const NEW: Event = Event { class: EventClass::New, name: "new" };
const OVERWRITTEN: Event = Event { class: EventClass::Overwritten, name: "overwritten" };
const TYPE_CHANGED: Event = Event { class: EventClass::TypeChanged, name: "type_changed" };

/// Exclusive access to one key, present or absent. Changes take effect at once; [`Write::commit`] then
/// counts and reports them, and must be called if there were any.
pub struct Write<'k> {
    keyspace: &'k mut Keyspace,
    db: usize,
    key: Key<'k>,
    found: Option<(Entry, Place)>,
    changed: bool,
    created: bool,
    /// The type of the value that was replaced as a whole, while events are logged.
    replaced: Option<Kind>,
}

impl<'k> Write<'k> {
    #[inline]
    pub(crate) fn new(
        keyspace: &'k mut Keyspace,
        db: usize,
        key: Key<'k>,
        found: Option<(Entry, Place)>,
    ) -> Self {
        Write { keyspace, db, key, found, changed: false, created: false, replaced: None }
    }

    /// The key as it is now.
    #[inline]
    pub fn item(&self) -> Option<Item<'_>> {
        let (entry, _) = self.found?;
        Some(Item::new(entry, self.keyspace.policy()))
    }

    /// Whether the key exists.
    #[inline]
    pub fn exists(&self) -> bool {
        self.found.is_some()
    }

    /// Sets the key to a string. A canonical decimal integer of 64 bits is stored as a number.
    #[inline]
    pub fn set(&mut self, bytes: &[u8], ttl: Ttl) {
        match canonical_int(bytes) {
            Some(v) => self.store(Payload::Int(v), ttl),
            None => self.set_raw(bytes, ttl),
        }
    }

    /// Sets the key to an integer.
    #[inline]
    pub fn set_int(&mut self, v: i64, ttl: Ttl) {
        self.store(Payload::Int(v), ttl);
    }

    /// Sets the key to a string, without looking whether it is an integer.
    #[inline]
    pub fn set_raw(&mut self, bytes: &[u8], ttl: Ttl) {
        if fits(self.key.bytes.len(), bytes.len()) {
            self.store(Payload::Short(bytes, false), ttl);
        } else {
            self.store(Payload::Blob(blob(bytes)), ttl);
        }
    }

    /// Appends to the string, or sets an absent key; returns the new length in bytes.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let Some(len) = self.string_len() else {
            self.set(bytes, Ttl::Clear);
            return bytes.len();
        };
        self.edit_string(len + bytes.len(), |s| s.extend_from_slice(bytes));
        len + bytes.len()
    }

    /// Overwrites the string from `offset` on, padded with zero bytes; an absent key counts as empty.
    /// Returns the new length in bytes.
    pub fn set_range(&mut self, offset: usize, bytes: &[u8]) -> usize {
        let end = (offset + bytes.len()).max(self.string_len().unwrap_or(0));
        self.edit_string(end, |s| {
            s.resize(end, 0);
            s[offset..offset + bytes.len()].copy_from_slice(bytes);
        });
        end
    }

    /// Sets the key to a string that is `raw` whatever it spells. Large ones are not copied.
    pub fn set_bytes(&mut self, bytes: Vec<u8>, ttl: Ttl) {
        if fits(self.key.bytes.len(), bytes.len()) {
            self.store(Payload::Short(&bytes, true), ttl);
        } else {
            self.store(Payload::Blob(Arc::new(bytes)), ttl);
        }
    }

    /// Changes the string's bytes in place through `f`, padded with zero bytes to at least `len`; an absent
    /// key counts as empty. The result is `raw`. Nothing is copied or allocated unless the string grows
    /// beyond its block or someone else still holds it.
    pub fn edit_bytes<R>(&mut self, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let old = self.string_len().unwrap_or(0);
        let len = len.max(old);
        if let Some((entry, _)) = self.found {
            match entry.repr() {
                Repr::Blob => {
                    self.keyspace.before_change(self.db, entry);
                    self.changed = true;
                    return entry.edit_blob(|blob| f(padded(blob, len)));
                }
                Repr::Short | Repr::ShortRaw if old == len => {
                    self.keyspace.before_change(self.db, entry);
                    self.changed = true;
                    return entry.edit_short(f);
                }
                _ => {}
            }
        }
        if fits(self.key.bytes.len(), len) {
            let mut bytes = [0; MAX_INLINE];
            self.copy_string(&mut bytes);
            let result = f(&mut bytes[..len]);
            self.store(Payload::Short(&bytes[..len], true), Ttl::Keep);
            result
        } else {
            let mut bytes = vec![0; len];
            self.copy_string(&mut bytes);
            let result = f(&mut bytes);
            self.store(Payload::Blob(Arc::new(bytes)), Ttl::Keep);
            result
        }
    }

    fn copy_string(&self, to: &mut [u8]) {
        if let Some(Value::Str(string)) = self.item().map(|item| item.value()) {
            string.with_bytes(|bytes| to[..bytes.len()].copy_from_slice(bytes));
        }
    }

    fn string_len(&self) -> Option<usize> {
        match self.item()?.value() {
            Value::Str(s) => Some(s.len()),
            _ => None,
        }
    }

    /// Changes the string, absent counting as empty, through `f`; it will have about `len` bytes, for which
    /// there is room. The result is `raw`. A large value is changed in place unless someone else holds it.
    pub fn edit_string<R>(&mut self, len: usize, f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if let Some((entry, _)) = self.found
            && entry.repr() == Repr::Blob
        {
            self.keyspace.before_change(self.db, entry);
            self.changed = true;
            return entry.edit_blob(|blob| f(bytes_for_edit(blob, len)));
        }
        let mut bytes = Vec::with_capacity(len);
        if let Some(Value::Str(s)) = self.item().map(|i| i.value()) {
            s.with_bytes(|b| bytes.extend_from_slice(b));
        }
        let result = f(&mut bytes);
        if fits(self.key.bytes.len(), bytes.len()) {
            self.store(Payload::Short(&bytes, true), Ttl::Keep);
        } else {
            self.store(Payload::Blob(Arc::new(bytes)), Ttl::Keep);
        }
        result
    }

    /// Sets or removes the deadline, in unix milliseconds. The key must exist.
    pub fn set_deadline(&mut self, at: Option<u64>) {
        let found = self.found.expect("only an existing key has a deadline");
        self.keyspace.before_change(self.db, found.0);
        let entry = self.keyspace.set_deadline_found(self.db, found, at);
        self.found = Some((entry, found.1));
        self.changed = true;
    }

    /// Tells an existing key when it was last used, in seconds before now, and how often, in units of the logarithmic
    /// counter; what the keyspace's policy does not measure is ignored.
    pub fn set_access(&mut self, idle_seconds: Option<u64>, frequency: Option<u8>) {
        let (entry, _) = self.found.expect("only an existing key was used");
        if let Some(clock) = self.keyspace.policy().told(self.keyspace.clock(), idle_seconds, frequency) {
            entry.set_access(clock);
        }
    }

    /// Says that the whole value is replaced although the deadline stays: what tells SET with KEEPTTL from INCR.
    #[inline]
    pub fn replaces_value(&mut self) {
        if self.keyspace.logs_events()
            && let Some((entry, _)) = self.found
        {
            self.replaced = Some(entry.repr().kind());
        }
    }

    /// Removes the key, if it exists. A large value is freed in the background.
    pub fn remove(&mut self) {
        self.replaces_value();
        if let Some(found) = self.found.take() {
            self.keyspace.remove_found(self.db, found);
            self.changed = true;
        }
    }

    /// Removes the key and hands out its value.
    pub fn take(&mut self) -> Option<Owned> {
        let found = self.found.take()?;
        let deadline = found.0.deadline();
        let value = self.keyspace.take_found(self.db, found);
        self.changed = true;
        Some(Owned { value, deadline })
    }

    /// Sets the key to a value from elsewhere, with its deadline.
    pub fn put(&mut self, owned: Owned) {
        let ttl = owned.deadline.map_or(Ttl::Clear, Ttl::At);
        // Seen from outside, the old value is removed and the key created.
        self.created |= self.keyspace.logs_events();
        let key = self.key.bytes.len();
        match owned.value {
            OwnedValue::Int(v) => self.store(Payload::Int(v), ttl),
            OwnedValue::Bytes(b, raw) if fits(key, b.len()) => self.store(Payload::Short(&b, raw), ttl),
            OwnedValue::Bytes(b, _) => self.store(Payload::Blob(Arc::new(b)), ttl),
            OwnedValue::Blob(b) => self.store(Payload::Blob(b), ttl),
            OwnedValue::Packed(packing, b) if fits(key, b.len()) => {
                self.store(Payload::Packed(packing, &b), ttl);
            }
            OwnedValue::Packed(packing, b) => self.store(Payload::Object(packing.object(b)), ttl),
            OwnedValue::Object(object) => self.store(Payload::Object(object), ttl),
        }
    }

    /// Changes a collection through `f`; an absent key counts as an empty one. The key is removed if the
    /// collection is empty afterwards. A packed collection is copied out and back: O(its bytes), without
    /// allocating; a large one is changed in place. To be followed by `commit` or `unchanged`.
    ///
    /// # Errors
    /// The key holds another type; `f` is not called.
    pub fn edit<C: Collection, R>(
        &mut self,
        f: impl FnOnce(&mut C, &mut Space<'_>) -> R,
    ) -> Result<R, WrongKind> {
        self.changed = true;
        self.keyspace.prepare_growth();
        let Some((entry, place)) = self.found else {
            let mut collection = C::empty(&self.keyspace.space());
            let result = f(&mut collection, &mut self.keyspace.space());
            self.store_collection(collection, None, Ttl::Clear);
            return Ok(result);
        };
        if entry.repr().kind() != C::KIND {
            self.changed = false;
            return Err(WrongKind);
        }
        self.keyspace.before_change(self.db, entry);
        if let Some((packing, buffer)) = self.keyspace.copy_packed(entry) {
            let mut collection = C::from_packed(packing, buffer);
            let result = f(&mut collection, &mut self.keyspace.space());
            self.store_collection(collection, Some((entry, place)), Ttl::Keep);
            return Ok(result);
        }
        let object = entry.object().expect("a collection that is not packed is an object");
        let collection = C::of(object).expect("the kind was compared");
        let result = f(collection, &mut self.keyspace.space());
        let is_empty = collection.is_empty();
        self.keyspace.after_change(object);
        self.settle(is_empty, object);
        Ok(result)
    }

    /// Stores a whole collection in place of what the key held, without a deadline; an empty one removes the key.
    pub fn replace<C: Collection>(&mut self, collection: C) {
        self.changed = true;
        if let Some((entry, _)) = self.found {
            self.keyspace.before_change(self.db, entry);
        }
        self.store_collection(collection, self.found, Ttl::Clear);
    }

    /// What a new collection is built with, before [`Write::replace`].
    pub fn space(&mut self) -> Space<'_> {
        self.keyspace.space()
    }

    /// Stores a collection over what was found, in the smallest form; its buffer is kept for the next edit.
    fn store_collection<C: Collection>(&mut self, collection: C, found: Option<(Entry, Place)>, ttl: Ttl) {
        if collection.is_empty() {
            if found.is_some() {
                self.remove();
            }
            return;
        }
        match collection.packed() {
            Some((packing, bytes)) if fits(self.key.bytes.len(), bytes.len()) => {
                self.store(Payload::Packed(packing, bytes), ttl);
                if let Some(buffer) = collection.into_packed() {
                    self.keyspace.keep_buffer(buffer);
                }
            }
            _ => self.store(Payload::Object(Box::new(collection.into())), ttl),
        }
    }

    /// After a change in place: removes the key if nothing is left, packs what became small, notes deadlines.
    fn settle(&mut self, empty: bool, object: &Object) {
        if empty {
            return self.remove();
        }
        let Some(found) = self.found else { return };
        match object.packed() {
            // Well below the limit, so that a value around it does not go back and forth.
            Some((packing, bytes))
                if bytes.len() < MAX_INLINE / 2 && fits(self.key.bytes.len(), bytes.len()) =>
            {
                let bytes = bytes.to_vec();
                self.store(Payload::Packed(packing, &bytes), Ttl::Keep);
            }
            _ => self.keyspace.refresh_object(self.db, found),
        }
    }

    /// Ends an edit that changed nothing after all.
    pub fn unchanged(mut self) {
        self.changed = false;
    }

    /// Counts and reports what was changed through this guard.
    #[inline]
    pub fn commit(self, events: &[Event]) {
        self.commit_many(events, 1);
    }

    /// As [`Write::commit`], for what counts as `changes` changes.
    #[inline]
    pub fn commit_many(mut self, events: &[Event], changes: u64) {
        let (db, key) = (self.db, self.key.bytes);
        if self.created {
            self.keyspace.report(db, key, &[NEW]);
        } else if self.replaced.is_some() {
            self.log_replacement();
        }
        self.keyspace.report_change(db, key, events, changes);
        if self.created && self.replaced.is_some() {
            self.log_replacement();
        }
        self.changed = false;
    }

    /// As [`Write::commit_many`], for changes of what stands beside the value, such as the consumer groups of a stream:
    /// the key counts as changed for those who wait for it, but not for those who keep copies of its value.
    pub fn commit_aside(mut self, events: &[Event], changes: u64) {
        self.keyspace.report_aside(self.db, self.key.bytes, events, changes);
        self.changed = false;
    }

    /// As [`Write::commit`], for a value that has left another key, or database, by an event of its own. The guard of
    /// that key was committed before, without events.
    pub fn commit_arrival(mut self, (from_db, from): (usize, &[u8]), left: Event, arrived: Event) {
        if self.keyspace.logs_events() {
            let (db, key) = (self.db, self.key.bytes);
            self.keyspace.log_events(db, key, &[NEW]);
            self.keyspace.log_events(from_db, from, &[left]);
            self.keyspace.report_change(db, key, &[arrived], 1);
            self.log_replacement();
            self.changed = false;
        } else {
            self.commit(&[arrived]);
        }
    }

    /// Logs that the value was replaced, if there still is one.
    #[cold]
    fn log_replacement(&mut self) {
        let (Some(old), Some((entry, _))) = (self.replaced.take(), self.found) else { return };
        let changed = entry.repr().kind() != old;
        let events = &[OVERWRITTEN, TYPE_CHANGED][..1 + usize::from(changed)];
        self.keyspace.log_events(self.db, self.key.bytes, events);
    }

    /// One allocation for a new key; none when the new value fits the old block.
    #[inline]
    fn store(&mut self, payload: Payload<'_>, ttl: Ttl) {
        self.changed = true;
        match self.found {
            Some((entry, place)) => {
                self.keyspace.before_change(self.db, entry);
                if ttl != Ttl::Keep {
                    self.replaces_value();
                }
                let deadline = match ttl {
                    Ttl::Keep => entry.deadline(),
                    Ttl::Clear => None,
                    Ttl::At(at) => Some(at),
                };
                let head = Head { deadline, ..entry.head() };
                let entry = self.keyspace.rewrite(self.db, self.key, (entry, place), payload, head);
                self.found = Some((entry, place));
            }
            None => {
                let deadline = if let Ttl::At(at) = ttl { Some(at) } else { None };
                let head = self.keyspace.new_head(deadline);
                self.found = Some(self.keyspace.insert(self.db, self.key, payload, head));
                self.created = true;
            }
        }
    }
}

/// The bytes of a large value, ready for a change: a copy if someone else holds it too, with room for
/// `len` bytes, growing by half so that appending stays linear.
fn bytes_for_edit(blob: &mut Blob, len: usize) -> &mut Vec<u8> {
    let bytes = Arc::make_mut(blob);
    if len > bytes.capacity() {
        bytes.reserve_exact((len + len / 2).max(len) - bytes.len());
    }
    bytes
}

/// The bytes of a large value, ready for a change and padded with zero bytes to `len`. When they outgrow
/// their block, the new one comes zeroed from the system, so that a far offset costs no more than a near one.
fn padded(blob: &mut Blob, len: usize) -> &mut [u8] {
    if len > blob.capacity() {
        let mut grown = vec![0; len + len / 2];
        grown[..blob.len()].copy_from_slice(blob);
        grown.truncate(len);
        *blob = Arc::new(grown);
    }
    let bytes = Arc::make_mut(blob);
    if len > bytes.len() {
        bytes.resize(len, 0);
    }
    bytes
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        debug_assert!(!self.changed || std::thread::panicking(), "a changed key was not committed");
    }
}

impl Str<'_> {
    /// Whether two strings have the same bytes.
    pub fn equals(&self, bytes: &[u8]) -> bool {
        self.with_bytes(|b| b == bytes)
    }
}
