//! Fields as numbers: HINCRBY, HINCRBYFLOAT.

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{Event, Hash, Key, Ttl};
use carnelian_resp::number;

use super::{BASE, commit, drop_due, hash};
use crate::args::int;
use crate::context::Ctx;
use crate::error::Error;
use crate::float::LongDouble;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const HINCRBY: Row = Row {
    name: "hincrby",
    summary: "Adds a number to the integer in a field; an absent field counts as 0.",
    since: "2.0.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key field increment",
    complexity: "O(1)",
    run: hincrby,
    ..BASE
};

fn hincrby(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, by) = (cx.key(1), int(cx.arg(3))?);
    let sum = change(cx, key, Event::hash("hincrby"), |old| {
        let old = match old {
            Some(Element::Int(value)) => value,
            Some(Element::Bytes(text)) => {
                number::parse_i64(text).ok_or(Error::Text("ERR hash value is not an integer"))?
            }
            None => 0,
        };
        let sum = old.checked_add(by).ok_or(Error::Text("ERR increment or decrement would overflow"))?;
        Ok((itoa::Buffer::new().format(sum).as_bytes().to_vec(), sum))
    })?;
    cx.out.integer(sum);
    Ok(())
}

pub(super) const HINCRBYFLOAT: Row = Row {
    name: "hincrbyfloat",
    summary: "Adds a number to the floating-point number in a field; an absent field counts as 0.",
    since: "2.6.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key field increment:double",
    complexity: "O(1)",
    run: hincrbyfloat,
    ..BASE
};

fn hincrbyfloat(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, by) = (cx.key(1), LongDouble::parse(cx.arg(3)).ok_or(Error::NotFloat)?);
    if !by.is_finite() {
        return Err(Error::Text("ERR value is NaN or Infinity"));
    }
    let text = change(cx, key, Event::hash("hincrbyfloat"), |old| {
        let old = match old {
            Some(Element::Int(value)) => LongDouble::from(value),
            Some(Element::Bytes(text)) => {
                LongDouble::parse(text).ok_or(Error::Text("ERR hash value is not a float"))?
            }
            None => LongDouble::from(0),
        };
        let sum = old + by;
        if !sum.is_finite() {
            return Err(Error::Text("ERR increment would produce NaN or Infinity"));
        }
        let mut text = Vec::with_capacity(32);
        sum.write(&mut text);
        Ok((text.clone(), text))
    })?;
    effect_of_sum(cx, &text);
    cx.out.bulk(&text);
    Ok(())
}

/// Logs the sum, which may differ on another machine, and the deadline that the field keeps.
fn effect_of_sum(cx: &mut Ctx<'_>, text: &[u8]) {
    if !cx.logs_effects() {
        return;
    }
    let (key, field) = (cx.key(1), cx.arg(2));
    let deadline = cx.keyspace.peek(cx.db, key).and_then(|item| hash(&item).ok()?.get(field)?.deadline());
    match deadline {
        Some(at) => {
            let mut at_text = itoa::Buffer::new();
            let at = at_text.format(at).as_bytes();
            cx.effect(&[b"HSETEX", key.bytes(), b"PXAT", at, b"FIELDS", b"1", field, text]);
        }
        None => cx.effect(&[b"HSET", key.bytes(), field, text]),
    }
}

/// Sets the field that the second argument names to the text that `f` makes of the old value; returns what else `f`
/// makes of it. The field keeps its deadline.
fn change<R>(
    cx: &mut Ctx<'_>,
    key: Key<'_>,
    event: Event,
    f: impl FnOnce(Option<Element<'_>>) -> Result<(Vec<u8>, R), Error>,
) -> Result<R, Error> {
    let field = cx.arg(2);
    drop_due(cx, key, std::iter::once(field));
    let mut guard = cx.keyspace.write(cx.db, key);
    let result = guard.edit(|hash: &mut Hash, space| {
        let (text, result) = f(hash.view().get(field).map(|field| field.value))?;
        hash.set(space, field, &text, Ttl::Keep);
        Ok(result)
    })?;
    commit(guard, event, result.is_ok().into());
    result
}
