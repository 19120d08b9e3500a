//! XACK and XPENDING.

use carnelian_keyspace::Stream;
use carnelian_keyspace::stream::{Group, StreamId};
use carnelian_resp::ReplyBuf;

use super::delete::ids;
use super::{BASE, count_read, held, id, no_key_or_group, read, reply_id};
use crate::args::{int, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const XACK: Row = Row {
    name: "xack",
    summary: "Acknowledges entries that were delivered to a group's consumers.",
    since: "5.0.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key group id...",
    complexity: "O(log N) for each ID, with N entries pending.",
    run: xack,
    ..BASE
};

fn xack(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, name) = (cx.key(1), cx.arg(2));
    count_read(cx, key);
    let mut guard = cx.keyspace.write(cx.db, key);
    if held(&guard)?.is_none_or(|stream| stream.groups().get(name).is_none()) {
        cx.out.integer(0);
        return Ok(());
    }
    let ids = ids(cx.argv, 3..cx.argv.len())?;
    let acknowledged = guard.edit(|stream: &mut Stream, _| {
        let group = stream.groups_mut().get_mut(name).expect("the group was found");
        ids.into_iter().filter(|id| group.acknowledge(*id).is_some()).count()
    })?;
    match acknowledged {
        0 => guard.unchanged(),
        _ => guard.commit_aside(&[], acknowledged as u64),
    }
    cx.out.integer(acknowledged as i64);
    Ok(())
}

pub(super) const XPENDING: Row = Row {
    name: "xpending",
    summary: "Returns what a group's consumers have not acknowledged: in numbers, or entry by entry.",
    since: "5.0.0",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key group [filters=[IDLE min-idle-time:integer] start:string end:string count [consumer]]",
    complexity: "O(N) for N consumers, or for N entries in the range.",
    tips: &["nondeterministic_output"],
    run: xpending,
    ..BASE
};

/// Which pending entries to return.
struct Filter<'a> {
    min_idle: i64,
    start: StreamId,
    end: StreamId,
    count: i64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(cx: &Ctx<'a>) -> Result<Option<Filter<'a>>, Error> {
        let words = cx.argv.len();
        if words == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&words) {
            return Err(Error::Syntax);
        }
        let (mut first, mut min_idle) = (3, 0);
        if is(cx.arg(3), "IDLE") {
            min_idle = int(cx.arg(4))?;
            if words < 8 {
                return Err(Error::Syntax);
            }
            first = 5;
        }
        let count = int(cx.arg(first + 2))?;
        let (start, end) = (id::start(cx.arg(first))?, id::end(cx.arg(first + 1))?);
        Ok(Some(Filter { min_idle, start, end, count, consumer: cx.argv.get(first + 3) }))
    }
}

fn xpending(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let filter = Filter::parse(cx)?;
    let (key, name, now) = (cx.key(1), cx.arg(2), cx.now_ms());
    let stream = read(cx.keyspace, cx.db, key)?;
    let group = stream.and_then(|stream| stream.groups().get(name));
    let group = group.ok_or_else(|| no_key_or_group(key.bytes(), name))?;
    match filter {
        None => summary(cx.out, group),
        Some(filter) => list(cx.out, group, &filter, now),
    }
    Ok(())
}

fn summary(out: &mut ReplyBuf, group: &Group) {
    out.array(4);
    out.integer(group.pending_len() as i64);
    let Some((first, last)) = group.pending_edges() else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    reply_id(out, first);
    reply_id(out, last);
    let later = out.array_later();
    let mut n = 0;
    for (_, consumer) in group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0) {
        out.array(2);
        out.bulk(consumer.name());
        out.bulk(consumer.pending_len().to_string().as_bytes());
        n += 1;
    }
    out.finish(later, n);
}

fn list(out: &mut ReplyBuf, group: &Group, filter: &Filter<'_>, now: u64) {
    let consumer = match filter.consumer.map(|name| group.consumer_named(name)) {
        None => None,
        Some(Some(consumer)) => Some(consumer),
        Some(None) => return out.array(0),
    };
    let idle = |delivered_at: u64| (now as i64).wrapping_sub(delivered_at as i64);
    let entries = group
        .pending(filter.start, filter.end, consumer)
        .filter(|(_, pending)| filter.min_idle == 0 || idle(pending.delivered_at) >= filter.min_idle);
    let later = out.array_later();
    let mut n = 0;
    for (id, pending) in entries.take(usize::try_from(filter.count).unwrap_or(0)) {
        out.array(4);
        reply_id(out, id);
        out.bulk(group.consumer(pending.consumer).name());
        out.integer(idle(pending.delivered_at).max(0));
        out.integer(pending.deliveries as i64);
        n += 1;
    }
    out.finish(later, n);
}
