//! XDEL, XDELEX and XACKDEL.

use carnelian_keyspace::stream::{Deletion, References, StreamId};
use carnelian_keyspace::{Event, Stream};
use carnelian_resp::{Argv, ReplyBuf};

use super::options::references;
use super::{BASE, count_read, held, id, is_stream};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const XDEL: Row = Row {
    name: "xdel",
    summary: "Deletes entries of a stream.",
    since: "5.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key id...",
    complexity: "O(log N) for each ID, in a stream of N entries.",
    run: xdel,
    ..BASE
};

const DELETED: Event = Event::stream("xdel");

/// The IDs that some arguments are.
pub(super) fn ids(argv: Argv<'_>, range: std::ops::Range<usize>) -> Result<Vec<StreamId>, Error> {
    range.map(|i| id::exact(argv.arg(i))).collect()
}

fn xdel(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    let mut deleted = 0;
    if is_stream(&guard)? {
        let ids = ids(cx.argv, 2..cx.argv.len())?;
        deleted = guard.edit(|stream: &mut Stream, _| {
            let gone = ids.iter().filter(|id| stream.delete(**id, References::Keep) == Deletion::Done);
            gone.count()
        })?;
        match deleted {
            0 => guard.unchanged(),
            _ => guard.commit_many(&[DELETED], deleted as u64),
        }
    }
    cx.out.integer(deleted as i64);
    Ok(())
}

pub(super) const XDELEX: Row = Row {
    name: "xdelex",
    summary: "Deletes entries of a stream, with a choice of what becomes of those that are pending.",
    since: "8.2.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key [condition=KEEPREF|DELREF|ACKED] IDS <ids=numids:integer id...>",
    complexity: "O(log N) for each ID and group, in a stream of N entries.",
    run: xdelex,
    ..BASE
};

/// The options of XDELEX and XACKDEL: the references, and which arguments are IDs.
fn options(argv: Argv<'_>, first: usize) -> Result<(References, std::ops::Range<usize>), Error> {
    const COUNT: Error = Error::Text("ERR Number of IDs must be a positive integer");
    let mut rest = Rest::new(argv, first);
    let (mut kept, mut range) = (None, None);
    while let Some(word) = rest.next() {
        if let Some(references) = references(word).filter(|_| kept.is_none()) {
            kept = Some(references);
        } else if is(word, "IDS") && rest.len() > 0 {
            let count = rest.int().ok().and_then(|n| usize::try_from(n).ok());
            let count = count.filter(|n| *n > 0).ok_or(COUNT)?;
            if count > rest.len() {
                return Err(Error::Text("ERR The `numids` parameter must match the number of arguments"));
            }
            range = Some(rest.position()..rest.position() + count);
            for _ in 0..count {
                rest.next();
            }
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok((kept.unwrap_or_default(), range.ok_or(Error::Syntax)?))
}

/// The integer that tells what became of an entry.
fn outcome(deletion: Deletion) -> i64 {
    match deletion {
        Deletion::Absent => -1,
        Deletion::Done => 1,
        Deletion::Referenced => 2,
    }
}

fn xdelex(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    let exists = is_stream(&guard)?;
    let (references, range) = options(cx.argv, 2)?;
    if !exists {
        reply_absent(cx.out, range.len());
        return Ok(());
    }
    let named = range.clone();
    let ids = ids(cx.argv, range)?;
    let out = &mut *cx.out;
    out.array(ids.len());
    let deleted = guard.edit(|stream: &mut Stream, _| {
        let mut deleted = 0;
        for id in ids {
            let deletion = stream.delete(id, references);
            deleted += u64::from(deletion == Deletion::Done);
            out.integer(outcome(deletion));
        }
        deleted
    })?;
    match deleted {
        0 => guard.unchanged(),
        _ => guard.commit_many(&[DELETED], deleted),
    }
    if deleted > 0 && references == References::Keep {
        let argv = cx.argv;
        cx.effect_of_many(&[b"XDEL", key.bytes()], named.map(|i| argv.arg(i)));
    }
    Ok(())
}

fn reply_absent(out: &mut ReplyBuf, count: usize) {
    out.array(count);
    (0..count).for_each(|_| out.integer(outcome(Deletion::Absent)));
}

pub(super) const XACKDEL: Row = Row {
    name: "xackdel",
    summary: "Acknowledges entries for a group and deletes them.",
    since: "8.2.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE).union(KeyFlags::DELETE))],
    syntax: "key group [condition=KEEPREF|DELREF|ACKED] IDS <ids=numids:integer id...>",
    complexity: "O(log N) for each ID and group, in a stream of N entries.",
    run: xackdel,
    ..BASE
};

fn xackdel(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, name) = (cx.key(1), cx.arg(2));
    count_read(cx, key);
    let mut guard = cx.keyspace.write(cx.db, key);
    let exists = held(&guard)?.is_some_and(|stream| stream.groups().get(name).is_some());
    let (references, range) = options(cx.argv, 3)?;
    if !exists {
        reply_absent(cx.out, range.len());
        return Ok(());
    }
    let named = range.clone();
    let ids = ids(cx.argv, range)?;
    let mut gone = Vec::new();
    let out = &mut *cx.out;
    out.array(ids.len());
    let (acknowledged, deleted) = guard.edit(|stream: &mut Stream, _| {
        let (mut acknowledged, mut deleted) = (0, 0);
        for (id, at) in ids.into_iter().zip(named) {
            let group = stream.groups_mut().get_mut(name).expect("the group was found");
            if group.acknowledge(id).is_none() {
                out.integer(outcome(Deletion::Absent));
                continue;
            }
            acknowledged += 1;
            gone.push(at);
            let deletion = stream.delete(id, references);
            deleted += u64::from(deletion == Deletion::Done);
            // What was deleted before counts: it is acknowledged now.
            let deletion = if deletion == Deletion::Absent { Deletion::Done } else { deletion };
            out.integer(outcome(deletion));
        }
        (acknowledged, deleted)
    })?;
    match (acknowledged, deleted) {
        (0, _) => guard.unchanged(),
        (_, 0) => guard.commit_aside(&[], acknowledged),
        _ => guard.commit_many(&[DELETED], acknowledged + deleted),
    }
    if acknowledged > 0 && references == References::Keep {
        let argv = cx.argv;
        let ids = gone.iter().map(|i| argv.arg(*i));
        cx.effect_of_many(&[b"XACK", key.bytes(), name], ids.clone());
        cx.effect_of_many(&[b"XDEL", key.bytes()], ids);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Session;

    #[test]
    fn acknowledging_is_a_read_of_the_key() {
        let mut session = Session::new();
        session.run("XACK k g 1-1");
        session.run("XACKDEL k g IDS 1 1-1");
        assert!(session.run("INFO stats").contains("keyspace_misses:2"));
    }
}
