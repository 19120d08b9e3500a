//! XADD, XTRIM and XSETID.

use carnelian_keyspace::stream::{StreamId, TooLarge, Trim};
use carnelian_keyspace::{Event, Stream, Value};
use carnelian_resp::{Argv, OwnedArgv};

use super::id::{self, NewId};
use super::options::{self, AddOrTrim};
use super::{BASE, held, is_stream, reply_id};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const XADD: Row = Row {
    name: "xadd",
    summary: "Appends an entry to a stream, which is created if it does not exist.",
    since: "5.0.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key [NOMKSTREAM] [condition=KEEPREF|DELREF|ACKED] \
             [trim=<strategy=MAXLEN|MINID> [operator===equal|~=approximately] threshold [LIMIT count]] \
             <id-selector=*=auto-id|id> <data=field value>...",
    complexity: "O(1), and O(N) for N entries that are trimmed.",
    tips: &["nondeterministic_output"],
    run: xadd,
    ..BASE
};

const TRIMMED: Event = Event::stream("xtrim");

const TOO_LARGE: Error = Error::Text("ERR Elements are too large to be stored");

fn xadd(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let AddOrTrim { id, no_create, trim } = options::parse(cx.argv, &cx.state.config, true, cx.is_replay())?;
    let (id, first) = match id {
        Some((id, first)) if first < cx.argv.len() && (cx.argv.len() - first).is_multiple_of(2) => {
            (id, first)
        }
        _ => return Err(cx.wrong_arity()),
    };
    let is_exact = matches!(id, NewId::Exact(_));
    if id == NewId::Exact(StreamId::MIN) {
        return Err(Error::Text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let (argv, now_ms) = (cx.argv, cx.now_ms());
    let count = (argv.len() - first) / 2;
    let pairs = (0..count).map(|i| (argv.arg(first + 2 * i), argv.arg(first + 2 * i + 1)));
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    if !is_stream(&guard)? {
        if no_create {
            cx.out.null();
            return Ok(());
        }
        // Nothing may go wrong once the stream is there.
        if argv.bytes() > carnelian_keyspace::encoding::listpack::MAX_SAFE_SIZE {
            return Err(TOO_LARGE);
        }
    }
    let added = guard.edit(|stream: &mut Stream, space| {
        let last = stream.log().last_id();
        if last == StreamId::MAX {
            return Err(Error::Text(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        let id = id.after(last, now_ms).ok_or(Error::Text(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ))?;
        stream.log_mut().append(id, pairs, space.limits()).map_err(|TooLarge| TOO_LARGE)?;
        Ok((id, trim.map_or(0, |trim| stream.trim(&trim))))
    })?;
    let (id, trimmed) = match added {
        Ok(added) => added,
        Err(error) => {
            guard.unchanged();
            return Err(error);
        }
    };
    const ADDED: Event = Event::stream("xadd");
    guard.commit(if trimmed > 0 { &[ADDED, TRIMMED] } else { &[ADDED] });
    if !is_exact || !options::are_plain(options_of(cx.argv, first - 1), trim.as_ref()) {
        effect(cx, "XADD", first - 1, trim.as_ref(), (!is_exact).then_some(id));
    }
    reply_id(cx.out, id);
    Ok(())
}

/// The arguments before `end` and behind the key.
fn options_of(argv: Argv<'_>, end: usize) -> impl Iterator<Item = &[u8]> {
    argv.iter().take(end).skip(2)
}

/// Logs XADD or XTRIM, with a trimming as what it came to. Options end before the argument `end`, where the ID stands that
/// has become `id`, if it was not complete.
fn effect(cx: &mut Ctx<'_>, name: &str, end: usize, trim: Option<&Trim>, id: Option<StreamId>) {
    if !cx.logs_effects() {
        return;
    }
    let mut words = OwnedArgv::from_slices(&[name.as_bytes(), cx.arg(1)]);
    if let Some(item) = cx.keyspace.peek(cx.db, cx.key(1))
        && let Value::Stream(stream) = item.value()
    {
        options::push_exact(&mut words, options_of(cx.argv, end), trim, stream.log());
    }
    let mut rest = end;
    if let Some(id) = id {
        id.with_text(|text| words.push(text));
        rest += 1;
    }
    cx.argv.skip(rest).iter().for_each(|word| words.push(word));
    cx.effect_of(&words);
}

pub(super) const XTRIM: Row = Row {
    name: "xtrim",
    summary: "Deletes the first entries of a stream, down to a length or up to an ID.",
    since: "5.0.0",
    arity: -4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key <trim=<strategy=MAXLEN|MINID> [operator===equal|~=approximately] threshold [LIMIT count] \
             [condition=KEEPREF|DELREF|ACKED]>",
    complexity: "O(N) for N entries deleted.",
    tips: &["nondeterministic_output"],
    run: xtrim,
    ..BASE
};

fn xtrim(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let trim = options::parse(cx.argv, &cx.state.config, false, cx.is_replay())?
        .trim
        .expect("XTRIM has a threshold");
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    let mut deleted = 0;
    if is_stream(&guard)? {
        deleted = guard.edit(|stream: &mut Stream, _| stream.trim(&trim))?;
        match deleted {
            0 => guard.unchanged(),
            _ => {
                guard.commit_many(&[TRIMMED], deleted);
                if !options::are_plain(options_of(cx.argv, cx.argv.len()), Some(&trim)) {
                    effect(cx, "XTRIM", cx.argv.len(), Some(&trim), None);
                }
            }
        }
    }
    cx.out.integer(deleted as i64);
    Ok(())
}

pub(super) const XSETID: Row = Row {
    name: "xsetid",
    summary: "Sets a stream's last ID, and its counters if they are named.",
    since: "5.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key last-id [ENTRIESADDED entries-added:integer] [MAXDELETEDID max-deleted-id]",
    complexity: "O(1)",
    run: xsetid,
    ..BASE
};

fn xsetid(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let last_id = id::exact(cx.arg(2))?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut rest = Rest::new(cx.argv, 3);
    while let Some(word) = rest.next() {
        if rest.len() > 0 && is(word, "ENTRIESADDED") {
            let count = u64::try_from(rest.int()?);
            added = Some(count.map_err(|_| Error::Text("ERR entries_added must be positive"))?);
        } else if rest.len() > 0 && is(word, "MAXDELETEDID") {
            max_deleted = id::exact(rest.value()?)?;
            if last_id < max_deleted {
                return Err(Error::Text(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(Error::Syntax);
        }
    }
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    let log = held(&guard)?.ok_or(Error::NoSuchKey)?.log();
    if last_id < log.max_deleted_id() {
        return Err(Error::Text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if log.last_entry_id().is_some_and(|last| last_id < last) {
        return Err(Error::Text("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    if log.len() > 0 && added.is_some_and(|added| added < log.len()) {
        return Err(Error::Text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    let max_deleted = Some(max_deleted).filter(|id| *id != StreamId::MIN);
    guard.edit(|stream: &mut Stream, _| stream.log_mut().set_facts(last_id, added, max_deleted))?;
    guard.commit_aside(&[Event::stream("xsetid")], 1);
    cx.out.ok();
    Ok(())
}
