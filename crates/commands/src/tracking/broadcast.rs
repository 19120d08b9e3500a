//! Prefixes of keys that clients hear of, read or not, and the keys that have changed under each since the last turn of
//! the loop. Knows no messages.

use std::collections::{BTreeMap, BTreeSet};

use crate::links::ClientId;

/// Keys that have changed, in order, each with the client that was the last to change it.
pub(super) type Changed = BTreeMap<Box<[u8]>, Option<ClientId>>;

/// One prefix.
#[derive(Default, Debug)]
struct Audience {
    /// By slot.
    clients: BTreeSet<u32>,
    changed: Changed,
}

/// All prefixes that somebody hears of.
#[derive(Default, Debug)]
pub(super) struct Broadcasts {
    audiences: BTreeMap<Box<[u8]>, Audience>,
    /// Bytes of the longest prefix, or more.
    longest: usize,
    /// Whether a key has changed.
    pending: bool,
}

impl Broadcasts {
    /// How many prefixes.
    pub(super) fn len(&self) -> usize {
        self.audiences.len()
    }

    /// Whether a key has changed that somebody hears of.
    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }

    /// The client in `slot` hears of keys that begin like this.
    pub(super) fn join(&mut self, prefix: &[u8], slot: u32) {
        self.longest = self.longest.max(prefix.len());
        self.audiences.entry(prefix.into()).or_default().clients.insert(slot);
    }

    /// The client in `slot` hears of these prefixes no longer.
    pub(super) fn leave(&mut self, prefixes: &BTreeSet<Box<[u8]>>, slot: u32) {
        for prefix in prefixes {
            let Some(audience) = self.audiences.get_mut(prefix) else { continue };
            audience.clients.remove(&slot);
            if audience.clients.is_empty() {
                self.audiences.remove(prefix);
            }
        }
        if self.audiences.is_empty() {
            *self = Broadcasts::default();
        }
    }

    /// A key has changed, by a command that a client sent itself, or otherwise.
    pub(super) fn note(&mut self, key: &[u8], author: Option<ClientId>) {
        if self.audiences.is_empty() {
            return;
        }
        for len in 0..=key.len().min(self.longest) {
            if let Some(audience) = self.audiences.get_mut(&key[..len]) {
                audience.changed.insert(key.into(), author);
                self.pending = true;
            }
        }
    }

    /// Hands out what has changed since the last call, by prefix and in their order, with the slots of those who hear
    /// of it.
    pub(super) fn drain(&mut self, visit: &mut dyn FnMut(&Changed, &BTreeSet<u32>)) {
        self.pending = false;
        for audience in self.audiences.values_mut().filter(|audience| !audience.changed.is_empty()) {
            let changed = std::mem::take(&mut audience.changed);
            visit(&changed, &audience.clients);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_by_prefix() {
        let mut broadcasts = Broadcasts::default();
        for (prefix, slot) in [("", 1), ("foo", 1), ("foo", 2), ("fo", 3)] {
            broadcasts.join(prefix.as_bytes(), slot);
        }
        for key in ["foobar", "fo", "f", "foobar"] {
            broadcasts.note(key.as_bytes(), None);
        }
        let mut seen = Vec::new();
        broadcasts.drain(&mut |changed, slots| {
            let keys: Vec<_> = changed.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
            seen.push(format!("{keys:?} {slots:?}"));
        });
        assert_eq!(seen, [r#"["f", "fo", "foobar"] {1}"#, r#"["fo", "foobar"] {3}"#, r#"["foobar"] {1, 2}"#]);
        assert!(!broadcasts.is_pending());
        let prefixes = ["", "foo"].map(|prefix| Box::from(prefix.as_bytes())).into_iter().collect();
        broadcasts.leave(&prefixes, 1);
        assert_eq!(broadcasts.len(), 2);
        broadcasts.note(b"x", None);
        assert!(!broadcasts.is_pending());
    }
}
