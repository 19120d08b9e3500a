//! Effects: what commands did to the dataset, as commands that do the same again wherever and whenever they run.
//!
//! A command that changed something is its own effect, unless its handler gives another one: relative times become
//! absolute, random choices are named, floats are results. What expires is removed by an effect too, before that of the
//! command that met it. The effects of a transaction or a script stand between MULTI and EXEC if there are several.
//! Knows neither files nor replicas: whoever consumes the bytes takes them at the end of a turn.

use carnelian_keyspace::{Expired, Keyspace};
use carnelian_resp::{Argv, OwnedArgv};

use crate::context::Ctx;

/// The stream of effects, as far as it was not taken yet. Costs a comparison per command while nobody wants it.
#[derive(Default)]
pub(crate) struct Effects {
    on: bool,
    bytes: Vec<u8>,
    /// The database that the stream has selected.
    db: Option<usize>,
    /// What the running command gave instead of itself.
    given: Option<Vec<OwnedArgv>>,
    group: Option<Group>,
}

/// Effects that belong together.
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
        *self = Effects { on, ..Effects::default() };
        keyspace.log_expiries(on);
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
            Some(given) => given.iter().for_each(|effect| self.append(db, effect.as_argv())),
            None if changed => self.append(db, argv),
            None => {}
        }
    }

    /// Appends the removal of what has expired.
    pub(crate) fn note_expired(&mut self, keyspace: &mut Keyspace) {
        keyspace.drain_expired(&mut |expired| match expired {
            Expired::Key { db, key } => self.append(db, OwnedArgv::from_slices(&[b"DEL", key]).as_argv()),
            Expired::Field { db, key, field } => {
                self.append(db, OwnedArgv::from_slices(&[b"HDEL", key, field]).as_argv());
            }
        });
    }

    fn append(&mut self, db: usize, argv: Argv<'_>) {
        if self.db != Some(db) {
            self.db = Some(db);
            let number = db.to_string();
            OwnedArgv::from_slices(&[b"SELECT", number.as_bytes()]).as_argv().write_request(&mut self.bytes);
        }
        argv.write_request(&mut self.bytes);
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
        const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
        const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
        if let Some(Group { start, count }) = self.group.take()
            && count > 1
        {
            self.bytes.splice(start..start, MULTI.iter().copied());
            self.bytes.extend_from_slice(EXEC);
        }
    }
}

impl Ctx<'_> {
    /// Logs another command as the effect of the running one. May be called several times.
    pub(crate) fn effect(&mut self, words: &[&[u8]]) {
        if self.state.effects.on {
            self.state.effects.given.get_or_insert_default().push(OwnedArgv::from_slices(words));
        }
    }

    /// The running command has no effect but those given by [`Ctx::effect`], whatever it changed. To be said after the
    /// commands that it runs itself.
    pub(crate) fn no_effect(&mut self) {
        if self.state.effects.on {
            self.state.effects.given.get_or_insert_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Session;

    fn effects(lines: &[&str]) -> String {
        let mut session = Session::new();
        session.engine.log_effects(true);
        for line in lines {
            session.run(line);
        }
        let bytes = session.engine.take_effects(Vec::new());
        String::from_utf8(bytes).expect("text").replace("\r\n", " ")
    }

    #[test]
    fn only_changes_have_effects() {
        assert_eq!(
            effects(&["SET a 1", "GET a", "DEL b", "INCR x y", "SETNX a 2"]),
            "*2 $6 SELECT $1 0 *3 $3 SET $1 a $1 1 "
        );
    }

    #[test]
    fn databases_are_selected_once() {
        let text = effects(&["SET a 1", "SELECT 3", "SET b 1", "SET c 1"]);
        assert_eq!(text.matches("SELECT").count(), 2);
        assert!(text.contains("SELECT $1 3 *3 $3 SET $1 b"), "{text}");
    }

    #[test]
    fn several_effects_of_a_transaction_are_one_group() {
        let text = effects(&["MULTI", "SET a 1", "GET a", "INCR a", "EXEC"]);
        assert!(text.starts_with("*1 $5 MULTI *2 $6 SELECT $1 0 *3 $3 SET"), "{text}");
        assert!(text.ends_with("*2 $4 INCR $1 a *1 $4 EXEC "), "{text}");
        let text = effects(&["MULTI", "SET a 1", "GET a", "EXEC"]);
        assert!(!text.contains("MULTI"), "{text}");
    }

    #[test]
    fn what_expires_is_removed_first() {
        let mut session = Session::new();
        session.engine.log_effects(true);
        session.run("SET a 1 PX 10");
        session.engine.take_effects(Vec::new());
        session.sleep_ms(20);
        session.run("INCR a");
        let text =
            String::from_utf8(session.engine.take_effects(Vec::new())).expect("text").replace("\r\n", " ");
        assert_eq!(text, "*2 $3 DEL $1 a *2 $4 INCR $1 a ");
    }
}
