//! Effects: what commands did to the dataset, as commands that do the same again wherever and whenever they run.
//!
//! A command that changed something is its own effect, unless its handler gives another one: relative times become
//! absolute, random choices are named, floats are results. What expires is removed by an effect too, before that of the
//! command that met it. The effects of a transaction or a script stand between MULTI and EXEC if there are several.
//! Knows neither files nor replicas: whoever consumes the bytes takes them at the end of a turn.

use carnelian_keyspace::{Expired, Keyspace};
use carnelian_resp::{Argv, OwnedArgv, write_request};

use crate::context::Ctx;

/// Words of one effect at most, where there are many things to name.
pub(crate) const EFFECT_WORDS: usize = 1024;

/// The stream of effects, as far as it was not taken yet. Costs a comparison per command while nobody wants it.
#[derive(Default)]
pub(crate) struct Effects {
    on: bool,
    /// A script does not want its changes to be followed.
    muted: bool,
    removals: Removals,
    bytes: Vec<u8>,
    /// The database that the stream has selected.
    db: Option<usize>,
    /// What the running command gave instead of itself.
    given: Option<Group>,
    group: Option<Group>,
}

/// By which commands keys are removed, which is what they are called in the stream.
#[derive(Clone, Copy)]
pub(crate) struct Removals {
    /// Keys that have expired, or are given a deadline that has passed.
    pub(crate) expired: &'static [u8],
    /// Keys that other commands remove as a side effect.
    pub(crate) aside: &'static [u8],
}

impl Default for Removals {
    fn default() -> Self {
        Removals::new(false, false)
    }
}

impl Removals {
    /// As `lazyfree-lazy-expire` and `lazyfree-lazy-server-del` say. Here memory is freed elsewhere in any case.
    pub(crate) fn new(lazy_expire: bool, lazy_aside: bool) -> Removals {
        let command = |lazy| if lazy { &b"UNLINK"[..] } else { b"DEL" };
        Removals { expired: command(lazy_expire), aside: command(lazy_aside) }
    }
}

/// Effects that belong together.
#[derive(Clone, Copy)]
struct Group {
    /// Where they begin in the bytes.
    start: usize,
    count: usize,
}

impl Effects {
    /// Whether anybody consumes effects.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Begins the stream, or ends it.
    pub(crate) fn set_on(&mut self, on: bool, keyspace: &mut Keyspace) {
        *self = Effects { on, removals: self.removals, ..Effects::default() };
        keyspace.log_expiries(on);
    }

    /// By which commands keys are removed.
    #[inline]
    pub(crate) fn removals(&self) -> Removals {
        self.removals
    }

    pub(crate) fn set_removals(&mut self, removals: Removals) {
        self.removals = removals;
    }

    /// What follows is kept from the stream, or no longer. What expires never is.
    pub(crate) fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// The next effect selects its database.
    pub(crate) fn forget_db(&mut self) {
        self.db = None;
    }

    /// Bytes that were not taken.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes since the last call: whole groups, each effect as a client would send it. `buffer` takes their place.
    pub(crate) fn take(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        debug_assert!(self.group.is_none(), "a group is not cut");
        std::mem::replace(&mut self.bytes, buffer)
    }

    /// A command is done, which has `changed` the dataset or not: appends its effects.
    #[cold]
    pub(crate) fn finish(&mut self, keyspace: &mut Keyspace, changed: bool, db: usize, argv: Argv<'_>) {
        self.note_expired(keyspace);
        match self.given.take() {
            Some(given) if self.group.is_none() => self.enclose(given),
            Some(_) => {}
            None if changed && !self.muted => self.append(db, argv.iter()),
            None => {}
        }
    }

    /// The running command has another effect than itself.
    fn give<'a>(
        &mut self,
        keyspace: &mut Keyspace,
        db: usize,
        words: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        self.note_expired(keyspace);
        self.give_none();
        if !self.muted {
            self.append(db, words);
            self.given.as_mut().expect("the command gives effects").count += 1;
        }
    }

    /// The running command is no effect of its own.
    fn give_none(&mut self) {
        let start = self.bytes.len();
        self.given.get_or_insert(Group { start, count: 0 });
    }

    /// Appends the removal of what has expired.
    pub(crate) fn note_expired(&mut self, keyspace: &mut Keyspace) {
        keyspace.drain_expired(&mut |expired| match expired {
            Expired::Key { db, key } => self.append(db, [self.removals.expired, key].into_iter()),
            Expired::Field { db, key, field } => self.append(db, [b"HDEL", key, field].into_iter()),
        });
    }

    fn append<'a>(&mut self, db: usize, words: impl ExactSizeIterator<Item = &'a [u8]>) {
        if self.db != Some(db) {
            self.db = Some(db);
            let mut number = itoa::Buffer::new();
            write_request([b"SELECT", number.format(db).as_bytes()].into_iter(), &mut self.bytes);
        }
        write_request(words, &mut self.bytes);
        if let Some(group) = &mut self.group {
            group.count += 1;
        }
    }

    /// What follows belongs together, until `end_group`.
    pub(crate) fn begin_group(&mut self) {
        debug_assert!(self.group.is_none(), "groups are not nested");
        self.group = Some(Group { start: self.bytes.len(), count: 0 });
    }

    /// Whether a group has begun.
    pub(crate) fn is_in_group(&self) -> bool {
        self.group.is_some()
    }

    pub(crate) fn end_group(&mut self) {
        if let Some(group) = self.group.take() {
            self.enclose(group);
        }
    }

    /// Makes a transaction of the effects of a group, which are the last ones, if there are several.
    fn enclose(&mut self, Group { start, count }: Group) {
        const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
        const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
        if count > 1 {
            self.bytes.splice(start..start, MULTI.iter().copied());
            self.bytes.extend_from_slice(EXEC);
        }
    }
}

impl Ctx<'_> {
    /// Whether effects are wanted: what is said about them otherwise is for nothing.
    #[inline]
    pub(crate) fn logs_effects(&self) -> bool {
        self.state.effects.on
    }

    /// Logs another command as the effect of the running one, after the change. May be called several times.
    pub(crate) fn effect(&mut self, words: &[&[u8]]) {
        if self.state.effects.on {
            self.state.effects.give(self.keyspace, self.db, words.iter().copied());
        }
    }

    /// The same for words that were put together.
    pub(crate) fn effect_of(&mut self, words: &OwnedArgv) {
        if self.state.effects.on {
            self.state.effects.give(self.keyspace, self.db, words.as_argv().iter());
        }
    }

    /// Logs the running command as it was sent, even if it changed nothing.
    pub(crate) fn own_effect(&mut self) {
        if self.state.effects.on {
            self.state.effects.give(self.keyspace, self.db, self.argv.iter());
        }
    }

    /// Logs effects that name many things: `head` and as many of `rest` as an effect takes, as often as is needed.
    pub(crate) fn effect_of_many<'w>(&mut self, head: &[&[u8]], rest: impl IntoIterator<Item = &'w [u8]>) {
        if !self.state.effects.on {
            return;
        }
        let mut words = OwnedArgv::from_slices(head);
        for word in rest {
            if words.len() == head.len() + EFFECT_WORDS {
                self.effect_of(&words);
                words = OwnedArgv::from_slices(head);
            }
            words.push(word);
        }
        if words.len() > head.len() {
            self.effect_of(&words);
        }
    }

    /// The running command has no effect but those given by [`Ctx::effect`], whatever it changed. To be said after the
    /// commands that it runs itself.
    pub(crate) fn no_effect(&mut self) {
        if self.state.effects.on {
            self.state.effects.give_none();
        }
    }
}

#[cfg(test)]
mod tests;
