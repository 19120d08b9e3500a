//! The collections that a snapshot has open: which, under what number, and where they are.
//!
//! A collection is known by its address, which it keeps under whatever name and in whatever database it is. If it is
//! removed, it is kept here until its walk is over, and freed then. Only collections themselves know what of them was
//! handed out.
#![allow(unsafe_code)]

use super::SnapshotPart;
use crate::types::Object;
use std::collections::BTreeMap;
use std::ptr;

/// What a collection does for a snapshot. Between `open` and `close` its changes keep what they overwrite until
/// `drain`.
pub(crate) trait Openable {
    /// From here on changes keep what they overwrite. `large` is the number of members beyond which a collection is
    /// opened rather than handed out whole.
    fn open(&mut self, large: usize);
    /// Forgets what was kept.
    fn close(&mut self);
    /// Goes on with the walk by a piece; whether all pieces were handed out. What changes have kept is not among them.
    fn walk(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>)) -> bool;
    /// Hands out what was kept.
    fn drain(&mut self, part: &mut dyn FnMut(SnapshotPart<'_>));
}

/// The collections that are open, by their addresses.
#[derive(Default)]
pub(crate) struct OpenObjects {
    objects: BTreeMap<usize, Open>,
    /// The one that is walked.
    walking: Option<usize>,
    last_id: u64,
}

struct Open {
    id: u64,
    /// The collection, once it was removed.
    orphan: Option<Box<Object>>,
}

/// Receives the parts of a collection: its number first.
pub(crate) type PartSink<'a> = &'a mut dyn FnMut(u64, SnapshotPart<'_>);

fn address(object: &mut Object) -> usize {
    ptr::from_mut(object).expose_provenance()
}

impl OpenObjects {
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Adds a collection; returns its number.
    pub(crate) fn add(&mut self, object: &mut Object, large: usize) -> u64 {
        self.last_id += 1;
        object.open(large);
        let before = self.objects.insert(address(object), Open { id: self.last_id, orphan: None });
        debug_assert!(before.is_none(), "a collection is opened once");
        self.last_id
    }

    /// After a change of a collection: hands out what it kept, if it is open.
    pub(crate) fn drain(&mut self, object: &mut Object, part: PartSink<'_>) {
        if let Some(open) = self.objects.get(&address(object)) {
            object.drain(&mut |piece| part(open.id, piece));
        }
    }

    /// Keeps a collection that was removed, if it is open; hands it back otherwise.
    pub(crate) fn keep(&mut self, mut object: Box<Object>) -> Option<Box<Object>> {
        match self.objects.get_mut(&address(&mut object)) {
            Some(open) => {
                open.orphan = Some(object);
                None
            }
            None => Some(object),
        }
    }

    /// Goes on with the walk of the collection that was opened first by up to `pieces` pieces. Returns how many are left of these, and the
    /// number of the collection if it is complete, with the collection if it was removed.
    pub(crate) fn walk(&mut self, mut pieces: usize, part: PartSink<'_>) -> (usize, Option<Complete>) {
        let walking = self.walking.filter(|address| self.objects.contains_key(address));
        let Some(at) = walking.or_else(|| self.oldest()) else { return (pieces, None) };
        self.walking = Some(at);
        let open = self.objects.get_mut(&at).expect("it was just found");
        let id = open.id;
        let object = match &mut open.orphan {
            Some(orphan) => &mut **orphan,
            // SAFETY: a collection that is open is alive: whoever removes one hands it to `keep`, and databases that
            // are flushed are kept while any is open. Nobody else uses it during this call, which has the keyspace
            // to itself.
            None => unsafe { &mut *ptr::with_exposed_provenance_mut::<Object>(at) },
        };
        while pieces > 0 {
            pieces -= 1;
            if object.walk(&mut |piece| part(id, piece)) {
                object.close();
                let orphan = self.objects.remove(&at).and_then(|open| open.orphan);
                self.walking = None;
                return (pieces, Some(Complete { id, orphan }));
            }
        }
        (0, None)
    }

    fn oldest(&self) -> Option<usize> {
        self.objects.iter().min_by_key(|(_, open)| open.id).map(|(address, _)| *address)
    }

    /// Gives all of them up; those that were removed go to `orphan`.
    pub(crate) fn give_up(&mut self, orphan: &mut dyn FnMut(Box<Object>)) {
        for (at, open) in std::mem::take(&mut self.objects) {
            match open.orphan {
                Some(object) => orphan(object),
                // SAFETY: as in `walk`.
                None => unsafe { &mut *ptr::with_exposed_provenance_mut::<Object>(at) }.close(),
            }
        }
        self.walking = None;
    }

    /// Those that were removed; the others are not looked at.
    pub(crate) fn take_orphans(&mut self) -> impl Iterator<Item = Box<Object>> + use<> {
        std::mem::take(&mut self.objects).into_values().filter_map(|open| open.orphan)
    }
}

/// A collection of which everything was handed out.
pub(crate) struct Complete {
    pub(crate) id: u64,
    pub(crate) orphan: Option<Box<Object>>,
}
