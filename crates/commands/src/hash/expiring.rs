//! Values and deadlines in one step: HGETDEL, HGETEX, HSETEX.

use std::ops::Range;

use carnelian_keyspace::{Event, Hash, Ttl};

use carnelian_resp::OwnedArgv;

use super::options::{self, NOT_POSITIVE};
use super::ttl::{EXPIRE_EVENT, PERSIST_EVENT};
use super::{
    BASE, Changed, check_type, commit, drop_due, effect_of_deadline, effect_of_removal, hash, reply,
};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const HGETDEL: Row = Row {
    name: "hgetdel",
    summary: "Returns the values of fields and removes them.",
    since: "8.0.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    syntax: "key FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hgetdel,
    ..BASE
};

fn hgetdel(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    check_type(cx, key)?;
    let fields = options::fields(cx.argv, 2, NOT_POSITIVE)?;
    take(cx, fields, |_| {})
}

/// Replies the values of fields and removes them from the hash.
fn take(cx: &mut Ctx<'_>, fields: Range<usize>, also: impl FnOnce(&mut Hash)) -> Result<(), Error> {
    let (key, argv) = (cx.key(1), cx.argv);
    drop_due(cx, key, fields.clone().map(|i| argv.arg(i)));
    let mut guard = cx.keyspace.write(cx.db, key);
    cx.out.array(fields.len());
    let (out, mut removed) = (&mut *cx.out, Changed::new(&cx.state.effects));
    guard.edit(|hash: &mut Hash, space| {
        also(hash);
        for field in fields.map(|i| argv.arg(i)) {
            match hash.view().get(field) {
                Some(found) => reply(out, found.value),
                None => out.null(),
            }
            if hash.remove(space, field) {
                removed.add(field);
            }
        }
    })?;
    commit(guard, Event::hash("hdel"), removed.count);
    effect_of_removal(cx, &removed.fields);
    Ok(())
}

pub(super) const HGETEX: Row = Row {
    name: "hgetex",
    summary: "Returns the values of fields and changes when they expire.",
    since: "8.0.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] FIELDS <fields=numfields:integer field...>",
    complexity: "O(N), N being the number of fields named.",
    run: hgetex,
    ..BASE
};

fn hgetex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, argv, now) = (cx.key(1), cx.argv, cx.now_ms());
    check_type(cx, key)?;
    let (change, at) = if let Some((unit, base)) = options::time_option(cx.arg(2), now) {
        (Some(Some(options::deadline(cx, cx.arg(3), unit, base, "hgetex")?)), 4)
    } else if is(cx.arg(2), "PERSIST") {
        (Some(None), 3)
    } else {
        (None, 2)
    };
    if at + 1 >= argv.len() {
        return Err(cx.wrong_arity());
    }
    let fields = options::fields(argv, at, NOT_POSITIVE)?;
    match change {
        Some(Some(at)) if at <= cx.due_ms() => take(cx, fields, Hash::make_timed),
        Some(deadline) => get_and_set_deadlines(cx, fields, deadline),
        None => get(cx, fields),
    }
}

/// Replies the values of fields.
fn get(cx: &mut Ctx<'_>, fields: Range<usize>) -> Result<(), Error> {
    let (key, argv) = (cx.key(1), cx.argv);
    drop_due(cx, key, fields.clone().map(|i| argv.arg(i)));
    // For the peers this is a write that changes nothing yet: neither a hit nor a miss.
    let guard = cx.keyspace.write(cx.db, key);
    let found = match guard.item() {
        Some(item) => Some(hash(&item)?),
        None => None,
    };
    cx.out.array(fields.len());
    for i in fields {
        match found.and_then(|hash| hash.get(argv.arg(i))) {
            Some(field) => reply(cx.out, field.value),
            None => cx.out.null(),
        }
    }
    Ok(())
}

/// Replies the values of fields, and sets or removes their deadlines.
fn get_and_set_deadlines(cx: &mut Ctx<'_>, fields: Range<usize>, deadline: Option<u64>) -> Result<(), Error> {
    get(cx, fields.clone())?;
    let (key, argv) = (cx.key(1), cx.argv);
    let mut guard = cx.keyspace.write(cx.db, key);
    let mut changed = Changed::new(&cx.state.effects);
    guard.edit(|hash: &mut Hash, space| {
        hash.make_timed();
        for field in fields.map(|i| argv.arg(i)) {
            if let Some(found) = hash.view().get(field)
                && (deadline.is_some() || found.deadline().is_some())
            {
                hash.set_deadline(space, field, deadline);
                changed.add(field);
            }
        }
    })?;
    let event = if deadline.is_some() { EXPIRE_EVENT } else { PERSIST_EVENT };
    commit(guard, event, changed.count);
    effect_of_deadline(cx, deadline, &changed.fields);
    Ok(())
}

pub(super) const HSETEX: Row = Row {
    name: "hsetex",
    summary: "Sets fields of a hash and when they expire.",
    since: "8.0.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key [key-condition=NX|XX] [condition=FNX|FXX] [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL] FIELDS <fields=numfields:integer <data=field value>...>",
    complexity: "O(N), N being the number of fields set.",
    run: hsetex,
    ..BASE
};

/// What has to be there, or has not to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
}

impl Condition {
    fn parse(word: &[u8], [absent, present]: [&str; 2]) -> Option<Condition> {
        if is(word, absent) {
            Some(Condition::Absent)
        } else {
            is(word, present).then_some(Condition::Present)
        }
    }

    fn holds(self, exists: bool) -> bool {
        exists == (self == Condition::Present)
    }
}

/// The arguments of HSETEX.
struct SetOptions {
    /// Of the key: NX, XX.
    key: Option<Condition>,
    /// Of each field: FNX, FXX.
    field: Option<Condition>,
    ttl: Ttl,
    /// Positions of fields and values in turn.
    pairs: Range<usize>,
}

impl SetOptions {
    fn parse(cx: &Ctx<'_>) -> Result<SetOptions, Error> {
        let mut options = SetOptions { key: None, field: None, ttl: Ttl::Clear, pairs: 0..0 };
        let mut rest = Rest::new(cx.argv, 2);
        while let Some(word) = rest.next() {
            if is(word, "FIELDS") {
                options.pairs = pairs(cx, &mut rest)?;
                return Ok(options);
            }
            options.take(cx, word, &mut rest)?;
        }
        Err(cx.wrong_arity())
    }

    /// Takes in one option. Each kind is allowed once, as in Redis; but Valkey, whose option a key's condition is,
    /// allows the same one again.
    fn take(&mut self, cx: &Ctx<'_>, word: &[u8], rest: &mut Rest<'_>) -> Result<(), Error> {
        if let Some(condition) = Condition::parse(word, ["NX", "XX"]) {
            return match self.key.replace(condition) {
                Some(old) if old != condition => Err(Error::Syntax),
                _ => Ok(()),
            };
        }
        if let Some(condition) = Condition::parse(word, ["FNX", "FXX"]) {
            let error = Error::Text("ERR Only one of FXX or FNX arguments can be specified");
            return if self.field.replace(condition).is_some() { Err(error) } else { Ok(()) };
        }
        let time = options::time_option(word, cx.now_ms());
        if time.is_none() && !is(word, "KEEPTTL") {
            return Err(Error::quoting(b"ERR unknown argument: ", word, b""));
        }
        if self.ttl != Ttl::Clear {
            let text = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
            return Err(Error::Text(text));
        }
        self.ttl = match time {
            Some((unit, base)) => {
                let text = rest.next().ok_or(Error::Text("ERR missing expire time"))?;
                Ttl::At(options::deadline(cx, text, unit, base, "hsetex")?)
            }
            None => Ttl::Keep,
        };
        Ok(())
    }
}

/// Reads the count of pairs behind FIELDS; the pairs have to end the command.
fn pairs(cx: &Ctx<'_>, rest: &mut Rest<'_>) -> Result<Range<usize>, Error> {
    if rest.len() < 3 {
        return Err(cx.wrong_arity());
    }
    let error = || Error::Text("ERR invalid number of fields");
    let count =
        rest.int().ok().filter(|count| (1..=i64::from(i32::MAX)).contains(count)).ok_or_else(error)?;
    if rest.len() as i64 != 2 * count {
        return Err(cx.wrong_arity());
    }
    Ok(rest.position()..cx.argv.len())
}

fn hsetex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let options = SetOptions::parse(cx)?;
    let key = cx.key(1);
    check_type(cx, key)?;
    let set = conditions_hold(cx, &options)?;
    if set {
        set_pairs(cx, &options)?;
    }
    cx.out.integer(set.into());
    Ok(())
}

fn conditions_hold(cx: &mut Ctx<'_>, options: &SetOptions) -> Result<bool, Error> {
    let (key, argv) = (cx.key(1), cx.argv);
    let fields = options.pairs.clone().step_by(2).map(|i| argv.arg(i));
    if options.field.is_some() {
        drop_due(cx, key, fields.clone());
    }
    let found = match cx.keyspace.peek(cx.db, key) {
        Some(item) => Some(hash(&item)?),
        None => None,
    };
    let key_holds = options.key.is_none_or(|condition| condition.holds(found.is_some()));
    let field_holds = |field| {
        let exists = found.is_some_and(|hash| hash.get(field).is_some());
        options.field.is_none_or(|condition| condition.holds(exists))
    };
    Ok(key_holds && fields.into_iter().all(field_holds))
}

fn set_pairs(cx: &mut Ctx<'_>, options: &SetOptions) -> Result<(), Error> {
    let (key, argv, due) = (cx.key(1), cx.argv, cx.due_ms());
    let pairs = options.pairs.clone();
    let count = pairs.len() / 2;
    let is_past = matches!(options.ttl, Ttl::At(at) if at <= due);
    let lost = due_fields(cx, options);
    let mut guard = cx.keyspace.write(cx.db, key);
    guard.edit(|hash: &mut Hash, space| {
        hash.make_room(space, count, pairs.clone().map(|i| argv.arg(i).len()).sum());
        if matches!(options.ttl, Ttl::At(_)) {
            hash.make_timed();
        }
        for i in pairs.step_by(2) {
            let (field, value) = (argv.arg(i), argv.arg(i + 1));
            let ttl = if is_past { Ttl::Clear } else { options.ttl };
            hash.set(space, field, value, ttl);
            // Only now, since a field that is too long for a packed hash makes a table of it for good.
            if is_past {
                hash.remove(space, field);
            }
        }
    })?;
    let second = match options.ttl {
        Ttl::At(_) if is_past => Some(Event::hash("hdel")),
        Ttl::At(_) => Some(EXPIRE_EVENT),
        Ttl::Clear | Ttl::Keep => None,
    };
    let end = (!guard.exists()).then_some(Event::generic("del"));
    let events: Vec<Event> = std::iter::once(Event::hash("hset")).chain(second).chain(end).collect();
    guard.commit_many(&events, count as u64);
    effects_of_setting(cx, options, is_past, &lost);
    Ok(())
}

/// The fields that KEEPTTL finds without a deadline since they are due, while effects are wanted: where effects are
/// replayed nothing is due.
fn due_fields<'a>(cx: &mut Ctx<'a>, options: &SetOptions) -> Vec<&'a [u8]> {
    if options.ttl != Ttl::Keep || !cx.logs_effects() {
        return Vec::new();
    }
    let (key, argv, due) = (cx.key(1), cx.argv, cx.due_ms());
    let Some(item) = cx.keyspace.peek(cx.db, key) else { return Vec::new() };
    let Ok(hash) = hash(&item) else { return Vec::new() };
    let fields = options.pairs.clone().step_by(2).map(|i| argv.arg(i));
    fields.filter(|field| hash.get(field).is_some_and(|found| !found.is_live(due))).collect()
}

fn effects_of_setting(cx: &mut Ctx<'_>, options: &SetOptions, is_past: bool, lost: &[&[u8]]) {
    if !cx.logs_effects() {
        return;
    }
    let (argv, pairs) = (cx.argv, options.pairs.clone());
    if is_past {
        let fields: Vec<_> = pairs.step_by(2).map(|i| argv.arg(i)).collect();
        return effect_of_removal(cx, &fields);
    }
    effect_of_removal(cx, lost);
    let words = pairs.clone().map(|i| argv.arg(i));
    if options.ttl == Ttl::Clear {
        return cx.effect_of_many(&[b"HSET", cx.arg(1)], words);
    }
    let mut effect = OwnedArgv::from_slices(&[b"HSETEX", cx.arg(1)]);
    match options.ttl {
        Ttl::At(at) => {
            effect.push(b"PXAT");
            effect.push(itoa::Buffer::new().format(at).as_bytes());
        }
        Ttl::Keep | Ttl::Clear => effect.push(b"KEEPTTL"),
    }
    effect.push(b"FIELDS");
    effect.push(itoa::Buffer::new().format(pairs.len() / 2).as_bytes());
    words.for_each(|word| effect.push(word));
    cx.effect_of(&effect);
}
