//! Deadlines of keys: EXPIRE and its variants, TTL and its variants, PERSIST.

use carnelian_keyspace::Event;

use super::BASE;
use crate::args::{Rest, int, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// When a deadline is changed.
#[derive(Clone, Copy, Default)]
struct Conditions {
    /// NX: there is none yet.
    absent: bool,
    /// XX: there is one already.
    present: bool,
    /// GT: the new one is later. No deadline is later than any.
    later: bool,
    /// LT: the new one is earlier.
    earlier: bool,
}

impl Conditions {
    fn parse(mut rest: Rest<'_>) -> Result<Conditions, Error> {
        let mut conditions = Conditions::default();
        while let Some(word) = rest.next() {
            let flag = if is(word, "NX") {
                &mut conditions.absent
            } else if is(word, "XX") {
                &mut conditions.present
            } else if is(word, "GT") {
                &mut conditions.later
            } else if is(word, "LT") {
                &mut conditions.earlier
            } else {
                return Err(Error::quoting(b"ERR Unsupported option ", word, b""));
            };
            *flag = true;
        }
        let Conditions { absent, present, later, earlier } = conditions;
        if absent && (present || later || earlier) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(Error::Text(text));
        }
        if later && earlier {
            return Err(Error::Text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    fn hold(self, old: Option<u64>, new: i64) -> bool {
        let is_later = old.is_some_and(|old| new > old as i64);
        let is_earlier = old.is_none_or(|old| new < old as i64);
        (!self.absent || old.is_none())
            && (!self.present || old.is_some())
            && (!self.later || is_later)
            && (!self.earlier || is_earlier)
    }
}

/// Sets the deadline of the first key to `base` (Unix milliseconds) and the second argument times `unit`
/// (milliseconds). A deadline that has passed removes the key. `command` is for the error.
fn set_deadline(cx: &mut Ctx<'_>, base: u64, unit: i64, command: &'static str) -> Result<(), Error> {
    let conditions = Conditions::parse(Rest::new(cx.argv, 3))?;
    let at = int(cx.arg(2))?
        .checked_mul(unit)
        .and_then(|ms| ms.checked_add(base as i64))
        .ok_or(Error::InvalidExpire(command))?;
    let (key, due) = (cx.key(1), cx.due_ms());
    let mut entry = cx.keyspace.write(cx.db, key);
    let applies = entry.item().is_some_and(|item| conditions.hold(item.deadline(), at));
    if applies {
        match u64::try_from(at) {
            Ok(at) if at > due => {
                entry.set_deadline(Some(at));
                entry.commit(&[Event::generic("expire")]);
                effect_of_deadline(cx, key.bytes(), at);
            }
            _ => {
                entry.remove();
                entry.commit(&[Event::generic("del")]);
                cx.effect(&[cx.state.effects.removals().expired, key.bytes()]);
            }
        }
    }
    cx.out.integer(applies.into());
    Ok(())
}

/// Logs that a key has got a deadline.
pub(crate) fn effect_of_deadline(cx: &mut Ctx<'_>, key: &[u8], at: u64) {
    if cx.logs_effects() {
        cx.effect(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}

pub(super) const EXPIRE: Row = Row {
    name: "expire",
    summary: "Sets in how many seconds a key expires.",
    since: "1.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key seconds [condition=NX|XX|GT|LT]",
    complexity: "O(1)",
    run: expire,
    ..BASE
};

fn expire(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_deadline(cx, cx.now_ms(), 1000, "expire")
}

pub(super) const EXPIREAT: Row = Row {
    name: "expireat",
    summary: "Sets the second of Unix time at which a key expires.",
    since: "1.2.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key unix-time-seconds [condition=NX|XX|GT|LT]",
    complexity: "O(1)",
    run: expireat,
    ..BASE
};

fn expireat(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_deadline(cx, 0, 1000, "expireat")
}

pub(super) const PEXPIRE: Row = Row {
    name: "pexpire",
    summary: "Sets in how many milliseconds a key expires.",
    since: "2.6.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key milliseconds [condition=NX|XX|GT|LT]",
    complexity: "O(1)",
    run: pexpire,
    ..BASE
};

fn pexpire(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_deadline(cx, cx.now_ms(), 1, "pexpire")
}

pub(super) const PEXPIREAT: Row = Row {
    name: "pexpireat",
    summary: "Sets the millisecond of Unix time at which a key expires.",
    since: "2.6.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key unix-time-milliseconds [condition=NX|XX|GT|LT]",
    complexity: "O(1)",
    run: pexpireat,
    ..BASE
};

fn pexpireat(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_deadline(cx, 0, 1, "pexpireat")
}

pub(super) const PERSIST: Row = Row {
    name: "persist",
    summary: "Lets a key live on without a deadline.",
    since: "2.2.0",
    arity: 2,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key",
    complexity: "O(1)",
    run: persist,
    ..BASE
};

fn persist(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let mut entry = cx.keyspace.write(cx.db, key);
    let volatile = entry.item().is_some_and(|item| item.deadline().is_some());
    if volatile {
        entry.set_deadline(None);
        entry.commit(&[Event::generic("persist")]);
    }
    cx.out.integer(volatile.into());
    Ok(())
}

/// Replies what `show` makes of the first key's deadline; -1 if it has none, -2 if there is no such key.
fn reply_deadline(cx: &mut Ctx<'_>, show: impl FnOnce(u64) -> u64) -> Result<(), Error> {
    let key = cx.key(1);
    cx.out.integer(match cx.keyspace.look(cx.db, key).map(|item| item.deadline()) {
        Some(Some(at)) => show(at) as i64,
        Some(None) => -1,
        None => -2,
    });
    Ok(())
}

/// Milliseconds as seconds, rounded to the nearest.
fn seconds(ms: u64) -> u64 {
    (ms + 500) / 1000
}

pub(super) const TTL: Row = Row {
    name: "ttl",
    summary: "Returns in how many seconds a key expires.",
    since: "1.0.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    run: ttl,
    ..BASE
};

fn ttl(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    reply_deadline(cx, |at| seconds(at.saturating_sub(now)))
}

pub(super) const PTTL: Row = Row {
    name: "pttl",
    summary: "Returns in how many milliseconds a key expires.",
    since: "2.6.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    run: pttl,
    ..BASE
};

fn pttl(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    reply_deadline(cx, |at| at.saturating_sub(now))
}

pub(super) const EXPIRETIME: Row = Row {
    name: "expiretime",
    summary: "Returns the second of Unix time at which a key expires.",
    since: "7.0.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(1)",
    run: expiretime,
    ..BASE
};

fn expiretime(cx: &mut Ctx<'_>) -> Result<(), Error> {
    reply_deadline(cx, seconds)
}

pub(super) const PEXPIRETIME: Row = Row {
    name: "pexpiretime",
    summary: "Returns the millisecond of Unix time at which a key expires.",
    since: "7.0.0",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(1)",
    run: pexpiretime,
    ..BASE
};

fn pexpiretime(cx: &mut Ctx<'_>) -> Result<(), Error> {
    reply_deadline(cx, |at| at)
}
