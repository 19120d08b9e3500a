//! Taking from the ends: LPOP, RPOP, LMPOP, and those that wait for an element.

use carnelian_keyspace::{End, Event, Kind, List, Write};
use carnelian_resp::ReplyBuf;

use super::{BASE, end, list, reply};
use crate::args::{Rest, int_in, is};
use crate::blocking::{TimeoutReply, Wait};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// What elements are taken from.
const TAKEN: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

pub(super) const LPOP: Row = Row {
    name: "lpop",
    summary: "Takes the first element of a list, or several.",
    since: "1.0.0",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, TAKEN)],
    syntax: "key [count]",
    complexity: "O(N), N being the number of elements taken.",
    run: lpop,
    ..BASE
};

fn lpop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    pop(cx, End::Head)
}

pub(super) const RPOP: Row =
    Row { name: "rpop", summary: "Takes the last element of a list, or several.", run: rpop, ..LPOP };

fn rpop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    pop(cx, End::Tail)
}

pub(super) const LMPOP: Row = Row {
    name: "lmpop",
    summary: "Takes elements from the first of several lists that has any.",
    since: "7.0.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, TAKEN)],
    syntax: "numkeys:integer key... <where=LEFT|RIGHT> [COUNT count]",
    complexity: "O(N+M), N being the number of keys and M the number of elements taken.",
    run: lmpop,
    ..BASE
};

fn lmpop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let request = Request::parse(cx, 1)?;
    if !take_first(cx, &request)? {
        cx.out.null_array();
    }
    Ok(())
}

pub(super) const BLMPOP: Row = Row {
    name: "blmpop",
    summary: "Takes elements from the first of several lists that has any; waits if none has.",
    since: "7.0.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, TAKEN)],
    syntax: "timeout:double numkeys:integer key... <where=LEFT|RIGHT> [COUNT count]",
    complexity: "O(N+M), N being the number of keys and M the number of elements taken.",
    run: blmpop,
    ..BASE
};

fn blmpop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let request = Request::parse(cx, 2)?;
    take_or_wait(cx, &request, cx.arg(1))
}

pub(super) const BLPOP: Row = Row {
    name: "blpop",
    summary: "Takes the first element of the first of several lists that has any; waits if none has.",
    since: "2.0.0",
    arity: -3,
    flags: Flags::WRITE.union(Flags::BLOCKING),
    keys: &[KeySpec::range(1, -2, 1, TAKEN)],
    syntax: "key... timeout:double",
    complexity: "O(N), N being the number of keys.",
    run: blpop,
    ..BASE
};

fn blpop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    take_one_or_wait(cx, End::Head)
}

pub(super) const BRPOP: Row = Row {
    name: "brpop",
    summary: "Takes the last element of the first of several lists that has any; waits if none has.",
    run: brpop,
    ..BLPOP
};

fn brpop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    take_one_or_wait(cx, End::Tail)
}

/// The event of taking at an end.
pub(super) fn event(end: End) -> Event {
    match end {
        End::Head => Event::list("lpop"),
        End::Tail => Event::list("rpop"),
    }
}

/// LPOP and RPOP: one element by itself, or an array of up to so many.
fn pop(cx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let count = match cx.argv.get(2) {
        _ if cx.argv.len() > 3 => return Err(cx.wrong_arity()),
        None => None,
        Some(count) => Some(int_in(count, 0..=i64::MAX, Error::NotPositive)? as usize),
    };
    let key = cx.key(1);
    let guard = cx.keyspace.write(cx.db, key);
    match (guard.item(), count) {
        (None, None) => cx.out.null(),
        (None, Some(_)) => cx.out.null_array(),
        (Some(item), Some(0)) => {
            list(&item)?;
            cx.out.array(0);
        }
        (Some(_), None) => take_one(guard, end, cx.out)?,
        (Some(_), Some(count)) => take_many(guard, end, count, cx.out)?,
    }
    Ok(())
}

/// Takes and replies the element at an end of a list that exists.
#[inline]
fn take_one(mut guard: Write<'_>, end: End, out: &mut ReplyBuf) -> Result<(), Error> {
    guard.edit::<List, _>(|list, space| list.pop(space, end, |element| reply(out, element)))?;
    commit(guard, end, 1);
    Ok(())
}

/// Takes and replies an array of up to so many elements of a list that exists.
fn take_many(mut guard: Write<'_>, end: End, count: usize, out: &mut ReplyBuf) -> Result<(), Error> {
    let taken = guard.edit::<List, _>(|list, space| {
        let (len, view) = (list.len(), list.view());
        let count = count.min(len);
        out.array(count);
        match end {
            End::Head => view.forward(0, count, |element| reply(out, element)),
            End::Tail => view.try_backward(len - 1, count, |element| {
                reply(out, element);
                true
            }),
        }
        list.drop_many(space, end, count);
        count
    })?;
    commit(guard, end, taken as u64);
    Ok(())
}

/// Reports that elements were taken, and perhaps the key with them.
pub(super) fn commit(guard: Write<'_>, end: End, taken: u64) {
    if guard.exists() {
        guard.commit_many(&[event(end)], taken);
    } else {
        guard.commit_many(&[event(end), Event::generic("del")], taken);
    }
}

/// What LMPOP, BLPOP and the like ask for.
struct Request {
    /// Index of the first key.
    first: usize,
    /// How many keys.
    keys: usize,
    end: End,
    /// How many elements; `None`: one, by itself and not in an array.
    count: Option<usize>,
}

impl Request {
    /// Reads the words of LMPOP from the number of keys on.
    fn parse(cx: &Ctx<'_>, at: usize) -> Result<Request, Error> {
        let not_positive = Error::Text("ERR numkeys should be greater than 0");
        let keys = int_in(cx.arg(at), 1..=i64::MAX, not_positive)? as usize;
        let first = at + 1;
        let mut rest = Rest::new(cx.argv, first.saturating_add(keys));
        let end = end(rest.value()?)?;
        let mut count = None;
        while let Some(word) = rest.next() {
            if count.is_some() || !is(word, "COUNT") {
                return Err(Error::Syntax);
            }
            let not_positive = Error::Text("ERR count should be greater than 0");
            count = Some(int_in(rest.value()?, 1..=i64::MAX, not_positive)? as usize);
        }
        Ok(Request { first, keys, end, count: Some(count.unwrap_or(1)) })
    }
}

/// Takes from the first list that exists, and replies its key too. Says whether there was one.
fn take_first(cx: &mut Ctx<'_>, request: &Request) -> Result<bool, Error> {
    for i in request.first..request.first + request.keys {
        let key = cx.key(i);
        let guard = cx.keyspace.write(cx.db, key);
        let Some(item) = guard.item() else { continue };
        let len = list(&item)?.len();
        cx.out.array(2);
        cx.out.bulk(key.bytes());
        match request.count {
            None => take_one(guard, request.end, cx.out)?,
            Some(count) => take_many(guard, request.end, count, cx.out)?,
        }
        let name: &[u8] = if request.end == End::Head { b"LPOP" } else { b"RPOP" };
        match request.count {
            None => cx.effect(&[name, key.bytes()]),
            Some(count) => {
                cx.effect(&[name, key.bytes(), itoa::Buffer::new().format(count.min(len)).as_bytes()]);
            }
        }
        return Ok(true);
    }
    Ok(false)
}

fn take_one_or_wait(cx: &mut Ctx<'_>, end: End) -> Result<(), Error> {
    let timeout = cx.argv.len() - 1;
    let request = Request { first: 1, keys: timeout - 1, end, count: None };
    take_or_wait(cx, &request, cx.arg(timeout))
}

/// Takes from the first list that exists, or waits for one.
fn take_or_wait(cx: &mut Ctx<'_>, request: &Request, timeout: &[u8]) -> Result<(), Error> {
    let until_us = cx.deadline_seconds(timeout)?;
    if !take_first(cx, request)? {
        cx.block(Wait {
            keys: cx.argv.iter().skip(request.first).take(request.keys).map(<[u8]>::to_vec).collect(),
            kind: Kind::List,
            on_loss: false,
            until_us,
            argv: None,
            timeout_reply: TimeoutReply::NullArray,
        });
    }
    Ok(())
}
