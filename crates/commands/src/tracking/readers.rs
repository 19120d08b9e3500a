//! Which clients have read which keys since these last changed. Knows neither databases nor messages: as in Redis, a key
//! is its name alone, and who has read it in one database is told of a change in any.

use indexmap::IndexMap;

use crate::links::ClientId;

/// Below so many keys their table never shrinks.
const KEEP_CAPACITY: usize = 1024;

/// The clients that have read one key, each once. Nearly always there is one.
#[derive(Debug)]
enum Ids {
    One(ClientId),
    /// In the order of their serials.
    Many(Vec<ClientId>),
}

impl Ids {
    fn as_slice(&self) -> &[ClientId] {
        match self {
            Ids::One(id) => std::slice::from_ref(id),
            Ids::Many(ids) => ids,
        }
    }

    /// Adds a client; whether it is new.
    fn insert(&mut self, id: ClientId) -> bool {
        let Err(at) = self.as_slice().binary_search_by_key(&id.serial, |id| id.serial) else { return false };
        match self {
            Ids::One(other) => {
                let mut ids = vec![*other];
                ids.insert(at, id);
                *self = Ids::Many(ids);
            }
            Ids::Many(ids) => ids.insert(at, id),
        }
        true
    }
}

/// The keys that somebody has read. A client that is gone, or tracks no longer, may still be named.
#[derive(Default, Debug)]
pub(super) struct Readers {
    keys: IndexMap<Box<[u8]>, Ids>,
    items: usize,
}

impl Readers {
    /// How many keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many pairs of a key and a client.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// A client has read a key.
    pub(super) fn add(&mut self, key: &[u8], id: ClientId) {
        let new = match self.keys.get_mut(key) {
            Some(ids) => ids.insert(id),
            None => self.keys.insert(key.into(), Ids::One(id)).is_none(),
        };
        self.items += usize::from(new);
    }

    /// A key has changed: forgets it, and names those who have read it.
    pub(super) fn take(&mut self, key: &[u8], tell: &mut dyn FnMut(ClientId)) {
        if let Some(ids) = self.keys.swap_remove(key) {
            self.items -= ids.as_slice().len();
            self.shrink();
            ids.as_slice().iter().for_each(|id| tell(*id));
        }
    }

    /// Forgets one key, chosen by a random number, and names it and those who have read it.
    pub(super) fn take_any(&mut self, random: u64, tell: &mut dyn FnMut(&[u8], ClientId)) {
        if self.keys.is_empty() {
            return;
        }
        let index = (random % self.keys.len() as u64) as usize;
        if let Some((key, ids)) = self.keys.swap_remove_index(index) {
            self.items -= ids.as_slice().len();
            self.shrink();
            ids.as_slice().iter().for_each(|id| tell(&key, *id));
        }
    }

    fn shrink(&mut self) {
        let (len, capacity) = (self.keys.len(), self.keys.capacity());
        if capacity > KEEP_CAPACITY && len < capacity / 8 {
            self.keys.shrink_to(2 * len);
        }
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        *self = Readers::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(serial: u64) -> ClientId {
        ClientId { slot: 0, serial }
    }

    #[test]
    fn each_reader_is_named_once() {
        let mut readers = Readers::default();
        for serial in [5, 3, 5, 9, 3] {
            readers.add(b"k", id(serial));
        }
        readers.add(b"l", id(3));
        assert_eq!((readers.len(), readers.items()), (2, 4));
        let mut named = Vec::new();
        readers.take(b"k", &mut |id| named.push(id.serial));
        readers.take(b"k", &mut |id| named.push(id.serial));
        assert_eq!(named, [3, 5, 9]);
        assert_eq!((readers.len(), readers.items()), (1, 1));
    }

    #[test]
    fn any_key_can_be_forgotten() {
        let mut readers = Readers::default();
        (0..100).for_each(|i| readers.add(&[i], id(u64::from(i))));
        let mut named = Vec::new();
        (0..200).for_each(|random| readers.take_any(random * 7, &mut |key, _| named.push(key[0])));
        named.sort_unstable();
        assert_eq!(named, (0..100).collect::<Vec<u8>>());
        assert!(readers.is_empty() && readers.items() == 0);
    }
}
