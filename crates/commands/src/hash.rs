//! Hashes: the rows of the group, and what its commands share. How a hash is stored is the keyspace's business; so
//! is removing fields whose deadline has passed, except that a command which meets one has it removed at once.

mod basic;
mod counter;
mod expiring;
mod options;
mod random;
mod scan;
mod ttl;

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{Event, HashRef, Item, Key, Value, Write};
use carnelian_resp::{OwnedArgv, ReplyBuf};

use crate::context::Ctx;
use crate::effects::{EFFECT_WORDS, Effects};
use crate::error::Error;
use crate::row::{Acl, Group, Row};

pub(crate) static ROWS: &[Row] = &[
    basic::HDEL,
    basic::HEXISTS,
    ttl::HEXPIRE,
    ttl::HEXPIREAT,
    ttl::HEXPIRETIME,
    basic::HGET,
    basic::HGETALL,
    expiring::HGETDEL,
    expiring::HGETEX,
    counter::HINCRBY,
    counter::HINCRBYFLOAT,
    basic::HKEYS,
    basic::HLEN,
    basic::HMGET,
    basic::HMSET,
    ttl::HPERSIST,
    ttl::HPEXPIRE,
    ttl::HPEXPIREAT,
    ttl::HPEXPIRETIME,
    ttl::HPTTL,
    random::HRANDFIELD,
    scan::HSCAN,
    basic::HSET,
    expiring::HSETEX,
    basic::HSETNX,
    basic::HSTRLEN,
    ttl::HTTL,
    basic::HVALS,
];

/// What all rows of this group have in common.
const BASE: Row = Row { group: Group::Hash, acl: Acl::HASH, ..Row::EMPTY };

/// The hash that an item holds, or the error for another type.
#[inline]
fn hash<'a>(item: &Item<'a>) -> Result<HashRef<'a>, Error> {
    match item.value() {
        Value::Hash(hash) => Ok(hash),
        _ => Err(Error::WrongType),
    }
}

/// Replies a field or a value.
#[inline]
fn reply(out: &mut ReplyBuf, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(value) => out.bulk(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Refuses a key that holds another type, before the arguments that follow are looked at.
fn check_type(cx: &mut Ctx<'_>, key: Key<'_>) -> Result<(), Error> {
    match cx.keyspace.peek(cx.db, key) {
        Some(item) => hash(&item).map(drop),
        None => Ok(()),
    }
}

/// Removes those of the named fields that are due, since the command is about to look at them.
#[inline]
fn drop_due<'f>(cx: &mut Ctx<'_>, key: Key<'_>, fields: impl Iterator<Item = &'f [u8]>) {
    let now = cx.due_ms();
    let Some(item) = cx.keyspace.peek(cx.db, key) else { return };
    if hash(&item).is_ok_and(|hash| hash.next_deadline() <= now) {
        cx.keyspace.expire_fields(cx.db, key, fields);
    }
}

/// Fields that a command has changed: how many, and which, while effects are wanted.
struct Changed<'f> {
    count: usize,
    fields: Vec<&'f [u8]>,
    named: bool,
}

impl<'f> Changed<'f> {
    fn new(effects: &Effects) -> Self {
        Changed { count: 0, fields: Vec::new(), named: effects.is_on() }
    }

    #[inline]
    fn add(&mut self, field: &'f [u8]) {
        self.count += 1;
        if self.named {
            self.fields.push(field);
        }
    }
}

/// Logs `command key words.. FIELDS n field..` for fields, which is several commands if there are many.
fn effect_of_fields(cx: &mut Ctx<'_>, command: &[u8], words: &[&[u8]], fields: &[&[u8]]) {
    for some in fields.chunks(EFFECT_WORDS) {
        let mut effect = OwnedArgv::from_slices(&[command, cx.arg(1)]);
        words.iter().for_each(|word| effect.push(word));
        effect.push(b"FIELDS");
        effect.push(itoa::Buffer::new().format(some.len()).as_bytes());
        some.iter().for_each(|field| effect.push(field));
        cx.effect_of(&effect);
    }
}

/// Logs that fields have got a deadline, or none.
fn effect_of_deadline(cx: &mut Ctx<'_>, deadline: Option<u64>, fields: &[&[u8]]) {
    match deadline {
        Some(at) => {
            let mut text = itoa::Buffer::new();
            effect_of_fields(cx, b"HPEXPIREAT", &[text.format(at).as_bytes()], fields);
        }
        None => effect_of_fields(cx, b"HPERSIST", &[], fields),
    }
}

/// Logs that fields were removed.
fn effect_of_removal(cx: &mut Ctx<'_>, fields: &[&[u8]]) {
    cx.effect_of_many(&[b"HDEL", cx.arg(1)], fields.iter().copied());
}

/// Reports `changes` changes of fields as `event`, and the key's end if no field is left. Nothing if there are none.
fn commit(guard: Write<'_>, event: Event, changes: usize) {
    if changes == 0 {
        return guard.unchanged();
    }
    let events = [event, Event::generic("del")];
    let events = if guard.exists() { &events[..1] } else { &events };
    guard.commit_many(events, changes as u64);
}
