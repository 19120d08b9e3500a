//! Who listens to what: names, and the clients that listen to each of them. Knows no message and no connection.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Below so many names their table never shrinks.
const KEEP_CAPACITY: usize = 64;

/// The clients that listen to one name, by slot.
pub(crate) type Listeners = BTreeSet<u32>;

/// The names of one kind that somebody listens to.
#[derive(Default, Debug)]
pub(crate) struct Topics {
    listeners: HashMap<Arc<[u8]>, Listeners>,
}

impl Topics {
    /// The client in `slot` begins to listen. Returns the name as it is kept.
    pub(super) fn add(&mut self, name: &[u8], slot: u32) -> Arc<[u8]> {
        let known = self.listeners.get_key_value(name).map(|(known, _)| Arc::clone(known));
        let name = known.unwrap_or_else(|| Arc::from(name));
        self.listeners.entry(Arc::clone(&name)).or_default().insert(slot);
        name
    }

    /// The client in `slot` no longer listens.
    pub(super) fn remove(&mut self, name: Arc<[u8]>, slot: u32) {
        let Entry::Occupied(mut entry) = self.listeners.entry(name) else { return };
        entry.get_mut().remove(&slot);
        if entry.get().is_empty() {
            entry.remove();
            let (len, capacity) = (self.listeners.len(), self.listeners.capacity());
            if capacity > KEEP_CAPACITY && len < capacity / 8 {
                self.listeners.shrink_to(2 * len);
            }
        }
    }

    /// The clients that listen to a name.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Listeners> {
        self.listeners.get(name)
    }

    /// How many clients listen to a name.
    pub(super) fn count(&self, name: &[u8]) -> usize {
        self.get(name).map_or(0, BTreeSet::len)
    }

    /// All names that somebody listens to, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Listeners)> {
        self.listeners.iter().map(|(name, listeners)| (&**name, listeners))
    }

    /// How many names somebody listens to.
    pub(crate) fn len(&self) -> usize {
        self.listeners.len()
    }
}

/// What one client listens to: the names of each kind.
#[derive(Default, Debug)]
pub(crate) struct Subscriptions {
    names: [BTreeSet<Arc<[u8]>>; 3],
}

impl Subscriptions {
    pub(super) fn names(&mut self, kind: usize) -> &mut BTreeSet<Arc<[u8]>> {
        &mut self.names[kind]
    }

    /// The numbers of channels, patterns and shard channels.
    pub(crate) fn counts(&self) -> [usize; 3] {
        self.names.each_ref().map(BTreeSet::len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeSet::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_names_without_listeners() {
        let mut topics = Topics::default();
        let names: Vec<_> = (0..1000).map(|i: u32| topics.add(&i.to_le_bytes(), i % 7)).collect();
        assert!(Arc::ptr_eq(&topics.add(&names[3], 9), &names[3]));
        assert_eq!((topics.len(), topics.count(&names[3]), topics.count(b"x")), (1000, 2, 0));
        let grown = topics.listeners.capacity();
        for (i, name) in (0u32..).zip(names) {
            topics.remove(name, i % 7);
        }
        assert_eq!(topics.iter().count(), 1);
        assert!(topics.listeners.capacity() < grown / 4);
    }
}
