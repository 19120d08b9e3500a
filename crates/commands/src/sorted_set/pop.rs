//! Taking members from either end: ZPOPMIN, ZPOPMAX, ZMPOP, and the commands that wait for a member: BZPOPMIN,
//! BZPOPMAX, BZMPOP.

use std::ops::ControlFlow;

use carnelian_keyspace::{Event, Kind, SortedSet, Write};
use carnelian_resp::ReplyBuf;

use super::{BASE, DEL, Show, sorted_set};
use crate::args::{Rest, int_in, is};
use crate::blocking::{TimeoutReply, Wait};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// What happens to the keys.
const POPPED: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

/// From which end members are taken.
#[derive(Clone, Copy)]
enum End {
    Min,
    Max,
}

impl End {
    fn parse(arg: &[u8]) -> Result<End, Error> {
        match arg {
            arg if is(arg, "MIN") => Ok(End::Min),
            arg if is(arg, "MAX") => Ok(End::Max),
            _ => Err(Error::Syntax),
        }
    }

    fn event(self) -> Event {
        Event::sorted_set(match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        })
    }

    /// The command that takes members from a single key, for effects.
    fn command(self) -> &'static [u8] {
        match self {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }

    /// Takes up to `count` members of an existing key that holds a sorted set, and returns how many there were. `head`
    /// begins the reply, `show` says how the members stand in it.
    fn take(
        self,
        mut guard: Write<'_>,
        count: usize,
        out: &mut ReplyBuf,
        head: impl FnOnce(&mut ReplyBuf, usize),
        show: Show,
    ) -> Result<usize, Error> {
        let taken = guard.edit(|set: &mut SortedSet, space| {
            let len = set.len();
            let count = count.min(len);
            let (ranks, back) = match self {
                End::Min => (0..count, false),
                End::Max => (len - count..len, true),
            };
            head(out, count);
            set.view().visit(ranks.clone(), back, |member, score| {
                show.put(out, member, score);
                ControlFlow::Continue(())
            });
            set.remove_ranks(ranks, space);
            count
        })?;
        let events = [self.event(), DEL];
        let events = if guard.exists() { &events[..1] } else { &events };
        guard.commit_many(events, taken as u64);
        Ok(taken)
    }
}

pub(super) const ZPOPMIN: Row = Row {
    name: "zpopmin",
    summary: "Removes and returns the members with the lowest scores; the key too with the last one.",
    since: "5.0.0",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, POPPED)],
    syntax: "key [count]",
    complexity: "O(log(N)*M), N being the number of members of the sorted set and M that of members taken.",
    run: zpopmin,
    ..BASE
};

fn zpopmin(cx: &mut Ctx<'_>) -> Result<(), Error> {
    pop(cx, End::Min)
}

pub(super) const ZPOPMAX: Row = Row {
    name: "zpopmax",
    summary: "Removes and returns the members with the highest scores; the key too with the last one.",
    since: "5.0.0",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, POPPED)],
    syntax: "key [count]",
    complexity: "O(log(N)*M), N being the number of members of the sorted set and M that of members taken.",
    run: zpopmax,
    ..BASE
};

fn zpopmax(cx: &mut Ctx<'_>) -> Result<(), Error> {
    pop(cx, End::Max)
}

fn pop(cx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let (count, show) = match cx.argv.len() {
        2 => (1, Show::Flat),
        3 => (int_in(cx.arg(2), 0..=i64::MAX, Error::NotPositive)?, Show::new(true, cx.out)),
        _ => return Err(Error::Syntax),
    };
    let key = cx.key(1);
    let guard = cx.keyspace.write(cx.db, key);
    let present = match guard.item() {
        Some(item) => !sorted_set(&item)?.is_empty(),
        None => false,
    };
    if !present || count == 0 {
        cx.out.array(0);
        return Ok(());
    }
    end.take(guard, count as usize, cx.out, |out, count| out.array(show.len(count)), show)?;
    Ok(())
}

pub(super) const ZMPOP: Row = Row {
    name: "zmpop",
    summary: "Removes and returns members with the lowest or highest scores from the first sorted set that exists.",
    since: "7.0.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, POPPED)],
    syntax: "numkeys:integer key... <where=MIN|MAX> [COUNT count]",
    complexity: "O(K) + O(M*log(N)), K being the number of keys, N that of members of the sorted set and M that of \
                 members taken.",
    run: zmpop,
    ..BASE
};

fn zmpop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let many = Many::parse(cx, 1)?;
    if !many.take(cx)? {
        cx.out.null_array();
    }
    Ok(())
}

/// The arguments of ZMPOP.
struct Many {
    keys: std::ops::Range<usize>,
    end: End,
    count: usize,
}

impl Many {
    /// Reads the number of keys at argument `first` and all behind it.
    fn parse(cx: &Ctx<'_>, first: usize) -> Result<Many, Error> {
        let positive = |arg, error| int_in(arg, 1..=i64::MAX, Error::Text(error)).map(|n| n as usize);
        let keys = positive(cx.arg(first), "ERR numkeys should be greater than 0")?;
        let place = keys.saturating_add(first + 1);
        let end = End::parse(cx.argv.get(place).ok_or(Error::Syntax)?)?;
        let mut rest = Rest::new(cx.argv, place + 1);
        let mut count = None;
        while let Some(word) = rest.next() {
            if count.is_some() || !is(word, "COUNT") {
                return Err(Error::Syntax);
            }
            count = Some(positive(rest.value()?, "ERR count should be greater than 0")?);
        }
        Ok(Many { keys: first + 1..place, end, count: count.unwrap_or(1) })
    }

    /// Takes members from the first key that exists; false if there is none.
    fn take(&self, cx: &mut Ctx<'_>) -> Result<bool, Error> {
        for i in self.keys.clone() {
            let key = cx.key(i);
            let guard = cx.keyspace.write(cx.db, key);
            let Some(item) = guard.item() else { continue };
            sorted_set(&item)?;
            let head = |out: &mut ReplyBuf, count| {
                out.array(2);
                out.bulk(key.bytes());
                out.array(count);
            };
            let taken = self.end.take(guard, self.count, cx.out, head, Show::Pairs)?;
            let mut buffer = itoa::Buffer::new();
            cx.effect(&[self.end.command(), key.bytes(), buffer.format(taken).as_bytes()]);
            return Ok(true);
        }
        Ok(false)
    }
}

pub(super) const BZMPOP: Row = Row {
    name: "bzmpop",
    summary: "Removes and returns members with the lowest or highest scores from the first sorted set that exists, \
              waiting until one does.",
    since: "7.0.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, POPPED)],
    syntax: "timeout:double numkeys:integer key... <where=MIN|MAX> [COUNT count]",
    complexity: "O(K) + O(M*log(N)), K being the number of keys, N that of members of the sorted set and M that of \
                 members taken.",
    run: bzmpop,
    ..BASE
};

fn bzmpop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let many = Many::parse(cx, 2)?;
    let until_us = cx.deadline_seconds(cx.arg(1))?;
    if !many.take(cx)? {
        wait(cx, many.keys, until_us);
    }
    Ok(())
}

pub(super) const BZPOPMIN: Row = Row {
    name: "bzpopmin",
    summary: "Removes and returns the member with the lowest score of the first sorted set that exists, waiting until \
              one does.",
    since: "5.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::FAST),
    keys: &[KeySpec::range(1, -2, 1, POPPED)],
    syntax: "key... timeout:double",
    complexity: "O(log(N)), N being the number of members of the sorted set.",
    run: bzpopmin,
    ..BASE
};

fn bzpopmin(cx: &mut Ctx<'_>) -> Result<(), Error> {
    blocking_pop(cx, End::Min)
}

pub(super) const BZPOPMAX: Row = Row {
    name: "bzpopmax",
    summary: "Removes and returns the member with the highest score of the first sorted set that exists, waiting until \
              one does.",
    since: "5.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::FAST),
    keys: &[KeySpec::range(1, -2, 1, POPPED)],
    syntax: "key... timeout:double",
    complexity: "O(log(N)), N being the number of members of the sorted set.",
    run: bzpopmax,
    ..BASE
};

fn bzpopmax(cx: &mut Ctx<'_>) -> Result<(), Error> {
    blocking_pop(cx, End::Max)
}

fn blocking_pop(cx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let keys = 1..cx.argv.len() - 1;
    let until_us = cx.deadline_seconds(cx.arg(keys.end))?;
    for i in keys.clone() {
        let key = cx.key(i);
        let guard = cx.keyspace.write(cx.db, key);
        let Some(item) = guard.item() else { continue };
        sorted_set(&item)?;
        let head = |out: &mut ReplyBuf, _| {
            out.array(3);
            out.bulk(key.bytes());
        };
        end.take(guard, 1, cx.out, head, Show::Flat)?;
        cx.effect(&[end.command(), key.bytes()]);
        return Ok(());
    }
    wait(cx, keys, until_us);
    Ok(())
}

/// Waits until one of the keys holds a sorted set.
fn wait(cx: &mut Ctx<'_>, keys: std::ops::Range<usize>, until_us: Option<u64>) {
    let keys = keys.map(|i| cx.arg(i).to_vec()).collect();
    cx.block(Wait {
        keys,
        kind: Kind::SortedSet,
        on_loss: false,
        until_us,
        argv: None,
        timeout_reply: TimeoutReply::NullArray,
    });
}
