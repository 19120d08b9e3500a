//! Deadlines of fields: HEXPIRE and its variants, HTTL and its variants, HPERSIST.

use carnelian_keyspace::{Event, Field, Hash, Space};

use super::options::{self, NOT_POSITIVE, Unit};
use super::{BASE, Changed, check_type, commit, effect_of_deadline, effect_of_removal, hash};
use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// Deadlines of fields were set.
pub(super) const EXPIRE_EVENT: Event = Event::hash("hexpire");
/// Deadlines of fields were removed.
pub(super) const PERSIST_EVENT: Event = Event::hash("hpersist");

/// What is replied for a field that does not exist.
const NO_FIELD: i64 = -2;
/// What is replied for a field without a deadline where one is needed.
const NO_DEADLINE: i64 = -1;

/// When a deadline is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// NX: there is none yet.
    Absent,
    /// XX: there is one already.
    Present,
    /// GT: the new one is later. No deadline is later than any.
    Later,
    /// LT: the new one is earlier.
    Earlier,
}

impl Condition {
    fn parse(word: &[u8]) -> Option<Condition> {
        let table = [
            ("NX", Condition::Absent),
            ("XX", Condition::Present),
            ("GT", Condition::Later),
            ("LT", Condition::Earlier),
        ];
        table.into_iter().find(|(name, _)| is(word, name)).map(|(_, condition)| condition)
    }

    fn holds(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Absent => old.is_none(),
            Condition::Present => old.is_some(),
            Condition::Later => old.is_some_and(|old| new > old),
            Condition::Earlier => old.is_none_or(|old| new < old),
        }
    }
}

/// What became of a field, as it is replied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    NoField = NO_FIELD as isize,
    Refused = 0,
    Set = 1,
    /// The deadline has passed already.
    Removed = 2,
}

/// Sets the deadlines of the named fields to the second argument, which counts from `base` (Unix milliseconds).
/// `command` is for the error.
fn set_deadlines(cx: &mut Ctx<'_>, base: u64, unit: Unit, command: &'static str) -> Result<(), Error> {
    let (key, argv, now) = (cx.key(1), cx.argv, cx.due_ms());
    check_type(cx, key)?;
    let at = options::deadline(cx, cx.arg(2), unit, base, command)?;
    let (condition, fields_at) = match Condition::parse(cx.arg(3)) {
        Some(condition) => (condition, 4),
        None => (Condition::Always, 3),
    };
    let not_positive = Error::Text("ERR Parameter `numFields` should be greater than 0");
    let fields = options::fields(argv, fields_at, not_positive)?;
    let mut guard = cx.keyspace.write(cx.db, key);
    let (mut set, mut removed) = (Changed::new(&cx.state.effects), Changed::new(&cx.state.effects));
    cx.out.array(fields.len());
    let out = &mut *cx.out;
    guard.edit(|hash: &mut Hash, space| {
        hash.make_timed();
        for i in fields {
            let outcome = set_deadline(hash, space, argv.arg(i), at, now, condition);
            match outcome {
                Outcome::Set => set.add(argv.arg(i)),
                Outcome::Removed => removed.add(argv.arg(i)),
                Outcome::NoField | Outcome::Refused => {}
            }
            out.integer(outcome as i64);
        }
    })?;
    let event = if removed.count > 0 { Event::hash("hdel") } else { EXPIRE_EVENT };
    commit(guard, event, set.count + removed.count);
    effect_of_removal(cx, &removed.fields);
    effect_of_deadline(cx, Some(at), &set.fields);
    Ok(())
}

/// Sets the deadline of one field.
fn set_deadline(
    hash: &mut Hash,
    space: &mut Space<'_>,
    field: &[u8],
    at: u64,
    now: u64,
    condition: Condition,
) -> Outcome {
    match hash.view().get(field).filter(|field| field.is_live(now)) {
        None => Outcome::NoField,
        Some(found) if !condition.holds(found.deadline(), at) => Outcome::Refused,
        Some(_) if at <= now => {
            hash.remove(space, field);
            Outcome::Removed
        }
        Some(_) => {
            hash.set_deadline(space, field, Some(at));
            Outcome::Set
        }
    }
}

pub(super) const HEXPIRE: Row = Row {
    name: "hexpire",
    summary: "Sets in how many seconds fields expire.",
    since: "7.4.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key seconds [condition=NX|XX|GT|LT] FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hexpire,
    ..BASE
};

fn hexpire(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_deadlines(cx, cx.now_ms(), Unit::Seconds, "hexpire")
}

pub(super) const HPEXPIRE: Row = Row {
    name: "hpexpire",
    summary: "Sets in how many milliseconds fields expire.",
    since: "7.4.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key milliseconds [condition=NX|XX|GT|LT] FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hpexpire,
    ..BASE
};

fn hpexpire(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_deadlines(cx, cx.now_ms(), Unit::Milliseconds, "hpexpire")
}

pub(super) const HEXPIREAT: Row = Row {
    name: "hexpireat",
    summary: "Sets the second of Unix time at which fields expire.",
    since: "7.4.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key unix-time-seconds [condition=NX|XX|GT|LT] FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hexpireat,
    ..BASE
};

fn hexpireat(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_deadlines(cx, 0, Unit::Seconds, "hexpireat")
}

pub(super) const HPEXPIREAT: Row = Row {
    name: "hpexpireat",
    summary: "Sets the millisecond of Unix time at which fields expire.",
    since: "7.4.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key unix-time-milliseconds [condition=NX|XX|GT|LT] FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hpexpireat,
    ..BASE
};

fn hpexpireat(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_deadlines(cx, 0, Unit::Milliseconds, "hpexpireat")
}

/// Replies what `show` makes of the deadline of each named field.
fn reply_deadlines(cx: &mut Ctx<'_>, show: impl Fn(u64) -> u64) -> Result<(), Error> {
    let (key, argv, now) = (cx.key(1), cx.argv, cx.due_ms());
    let found = match cx.keyspace.read(cx.db, key) {
        Some(item) => Some(hash(&item)?),
        None => None,
    };
    let fields = options::fields(argv, 2, NOT_POSITIVE)?;
    cx.out.array(fields.len());
    for i in fields {
        let field = found.and_then(|hash| hash.get(argv.arg(i))).filter(|field| field.is_live(now));
        cx.out.integer(match field.as_ref().map(Field::deadline) {
            Some(Some(at)) => show(at) as i64,
            Some(None) => NO_DEADLINE,
            None => NO_FIELD,
        });
    }
    Ok(())
}

/// Milliseconds as seconds, rounded up.
fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

pub(super) const HTTL: Row = Row {
    name: "httl",
    summary: "Returns in how many seconds fields expire.",
    since: "7.4.0",
    arity: -5,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    tips: &["nondeterministic_output"],
    run: httl,
    ..BASE
};

fn httl(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    reply_deadlines(cx, |at| seconds(at - now))
}

pub(super) const HPTTL: Row = Row {
    name: "hpttl",
    summary: "Returns in how many milliseconds fields expire.",
    since: "7.4.0",
    arity: -5,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    tips: &["nondeterministic_output"],
    run: hpttl,
    ..BASE
};

fn hpttl(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    reply_deadlines(cx, |at| at - now)
}

pub(super) const HEXPIRETIME: Row = Row {
    name: "hexpiretime",
    summary: "Returns the second of Unix time at which fields expire.",
    since: "7.4.0",
    arity: -5,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hexpiretime,
    ..BASE
};

fn hexpiretime(cx: &mut Ctx<'_>) -> Result<(), Error> {
    reply_deadlines(cx, seconds)
}

pub(super) const HPEXPIRETIME: Row = Row {
    name: "hpexpiretime",
    summary: "Returns the millisecond of Unix time at which fields expire.",
    since: "7.4.0",
    arity: -5,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hpexpiretime,
    ..BASE
};

fn hpexpiretime(cx: &mut Ctx<'_>) -> Result<(), Error> {
    reply_deadlines(cx, |at| at)
}

pub(super) const HPERSIST: Row = Row {
    name: "hpersist",
    summary: "Lets fields live on without a deadline.",
    since: "7.4.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hpersist,
    ..BASE
};

fn hpersist(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, argv, now) = (cx.key(1), cx.argv, cx.due_ms());
    check_type(cx, key)?;
    let fields = options::fields(argv, 2, NOT_POSITIVE)?;
    let mut guard = cx.keyspace.write(cx.db, key);
    let mut changed = Changed::new(&cx.state.effects);
    let mut met_due = false;
    cx.out.array(fields.len());
    let out = &mut *cx.out;
    guard.edit(|hash: &mut Hash, space| {
        for field in fields.map(|i| argv.arg(i)) {
            let there = hash.view().get(field);
            let found = there.filter(|field| field.is_live(now));
            met_due |= there.is_some() && found.is_none();
            out.integer(match found.as_ref().map(Field::deadline) {
                Some(Some(_)) => {
                    hash.set_deadline(space, field, None);
                    changed.add(field);
                    1
                }
                Some(None) => NO_DEADLINE,
                None => NO_FIELD,
            });
        }
    })?;
    commit(guard, PERSIST_EVENT, usize::from(changed.count > 0));
    if met_due {
        // Where it is replayed, nothing is due.
        effect_of_deadline(cx, None, &changed.fields);
    }
    Ok(())
}
