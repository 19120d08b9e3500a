//! XCLAIM and XAUTOCLAIM: pending entries change their consumer.

use carnelian_keyspace::stream::{ConsumerId, Group, Log, Pending, StreamId};
use carnelian_keyspace::{Event, Stream, Write};
use carnelian_resp::{Argv, ReplyBuf, number};

use super::effects::Deeds;
use super::group::CONSUMER_CREATED;
use super::{BASE, count_read, held, id, no_key_or_group, reply_entry, reply_id};
use crate::args::{Rest, int_in, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// A number that may be out of range only with a text of its own.
fn number_or(arg: &[u8], error: &'static str) -> Result<i64, Error> {
    number::parse_i64(arg).ok_or(Error::Text(error))
}

fn require_group(guard: &Write<'_>, key: &[u8], name: &[u8]) -> Result<(), Error> {
    let found = held(guard)?.is_some_and(|stream| stream.groups().get(name).is_some());
    found.then_some(()).ok_or_else(|| no_key_or_group(key, name))
}

/// Counts changes, so that they can be committed.
#[derive(Default)]
struct Changes {
    consumer_created: bool,
    count: u64,
}

impl Changes {
    fn commit(&self, guard: Write<'_>) {
        let events: &[Event] = if self.consumer_created { &[CONSUMER_CREATED] } else { &[] };
        match self.count + u64::from(self.consumer_created) {
            0 => guard.unchanged(),
            count => guard.commit_aside(events, count),
        }
    }

    /// The consumer with a name, made if there is none, and seen now.
    fn receiver(&mut self, group: &mut Group, name: &[u8], now: u64) -> Receiver {
        let consumer = group.consumer_named(name).unwrap_or_else(|| {
            self.consumer_created = true;
            group.create_consumer(name, now).expect("there is none with that name")
        });
        group.consumer_mut(consumer).seen_at = now;
        Receiver { consumer, created: self.consumer_created, now }
    }
}

/// Who gets the entries.
struct Receiver {
    consumer: ConsumerId,
    /// Whether the command has made it.
    created: bool,
    /// The time of the command.
    now: u64,
}

pub(super) const XCLAIM: Row = Row {
    name: "xclaim",
    summary: "Gives pending entries to a consumer.",
    since: "5.0.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key group consumer min-idle-time id... [IDLE ms:integer] [TIME unix-time-milliseconds] \
             [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
    complexity: "O(log N) for each ID, with N entries pending.",
    tips: &["nondeterministic_output"],
    run: xclaim,
    ..BASE
};

/// What XCLAIM is to do.
struct Claim {
    ids: Vec<StreamId>,
    min_idle: i64,
    delivered_at: u64,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Claim {
    /// `latest` is the latest time of a delivery.
    fn parse(argv: Argv<'_>, now: u64, latest: u64) -> Result<Claim, Error> {
        let min_idle = number_or(argv.arg(4), "ERR Invalid min-idle-time argument for XCLAIM")?;
        let ids: Vec<_> = argv.iter().skip(5).map_while(|arg| id::exact(arg).ok()).collect();
        let mut rest = Rest::new(argv, 5 + ids.len());
        let mut claim = Claim {
            ids,
            min_idle: min_idle.max(0),
            delivered_at: now,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        // Times in the future and before 1970 count as now.
        let sane = |ms: i64| u64::try_from(ms).ok().filter(|ms| *ms <= latest).unwrap_or(now);
        while let Some(word) = rest.next() {
            let more = rest.len() > 0;
            if is(word, "FORCE") {
                claim.force = true;
            } else if is(word, "JUSTID") {
                claim.just_id = true;
            } else if more && is(word, "IDLE") {
                let idle = number_or(rest.value()?, "ERR Invalid IDLE option argument for XCLAIM")?;
                claim.delivered_at = sane((now as i64).wrapping_sub(idle));
            } else if more && is(word, "TIME") {
                let time = number_or(rest.value()?, "ERR Invalid TIME option argument for XCLAIM")?;
                claim.delivered_at = sane(time);
            } else if more && is(word, "RETRYCOUNT") {
                let count = number_or(rest.value()?, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                claim.deliveries = u64::try_from(count).ok();
            } else if more && is(word, "LASTID") {
                claim.last_id = id::exact(rest.value()?)?;
            } else {
                return Err(Error::quoting(b"ERR Unrecognized XCLAIM option '", word, b"'"));
            }
        }
        Ok(claim)
    }

    /// Gives the entries to the consumer and replies them.
    fn run(&self, log: &Log, group: &mut Group, to: &Receiver, out: &mut ReplyBuf, deeds: &mut Deeds) -> u64 {
        let Receiver { consumer, created, now } = *to;
        let (mut claimed, mut changes) = (0, 0);
        let advanced = self.last_id > group.last_id;
        if advanced {
            group.last_id = self.last_id;
        }
        let later = out.array_later();
        for &id in &self.ids {
            let Some(entry) = log.get(id) else {
                if group.acknowledge(id).is_some() {
                    deeds.acknowledged(id);
                    changes += 1;
                }
                continue;
            };
            let before = match group.find(id) {
                Some(pending) => {
                    if self.min_idle > 0 && idle(now, pending) < self.min_idle {
                        continue;
                    }
                    pending.deliveries
                }
                // An entry that is made pending counts as delivered once.
                None if self.force => 1,
                None => continue,
            };
            let deliveries = self.deliveries.unwrap_or(before + u64::from(!self.just_id));
            let pending = Pending { consumer, delivered_at: self.delivered_at, deliveries };
            deeds.assigned(id, &pending);
            group.assign(id, pending);
            group.consumer_mut(consumer).active_at = Some(now);
            match self.just_id {
                true => reply_id(out, id),
                false => reply_entry(out, &entry),
            }
            claimed += 1;
            changes += 1;
        }
        out.finish(later, claimed);
        deeds.finish(group, created, advanced && claimed == 0);
        changes + u64::from(advanced && changes == 0)
    }
}

/// How long ago an entry was delivered, in milliseconds.
fn idle(now: u64, pending: &Pending) -> i64 {
    (now as i64).wrapping_sub(pending.delivered_at as i64)
}

fn xclaim(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, name, consumer, now) = (cx.key(1), cx.arg(2), cx.arg(3), cx.now_ms());
    let latest = if cx.is_replay() { u64::MAX } else { now };
    let (mut changes, mut deeds) = (Changes::default(), Deeds::new(cx));
    count_read(cx, key);
    let mut guard = cx.keyspace.write(cx.db, key);
    require_group(&guard, key.bytes(), name)?;
    let claim = Claim::parse(cx.argv, now, latest)?;
    let out = &mut *cx.out;
    guard.edit(|stream: &mut Stream, _| {
        let (log, group) = stream.group_mut(name).expect("the group was found");
        let to = changes.receiver(group, consumer, now);
        changes.count += claim.run(log, group, &to, out, &mut deeds);
    })?;
    changes.commit(guard);
    deeds.log(cx, key.bytes(), name, consumer);
    Ok(())
}

pub(super) const XAUTOCLAIM: Row = Row {
    name: "xautoclaim",
    summary: "Gives entries that have been pending for long to a consumer.",
    since: "6.2.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    syntax: "key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
    complexity: "O(N log M) for N entries looked at, of M that are pending.",
    tips: &["nondeterministic_output"],
    run: xautoclaim,
    ..BASE
};

/// What XAUTOCLAIM is to do.
struct AutoClaim {
    min_idle: i64,
    start: StreamId,
    count: usize,
    just_id: bool,
}

/// How many pending entries are looked at for each that may be claimed.
const LOOKS: usize = 10;

impl AutoClaim {
    fn parse(argv: Argv<'_>) -> Result<AutoClaim, Error> {
        let min_idle = number_or(argv.arg(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
        let start = id::start(argv.arg(5))?;
        let mut claim = AutoClaim { min_idle: min_idle.max(0), start, count: 100, just_id: false };
        let mut rest = Rest::new(argv, 6);
        while let Some(word) = rest.next() {
            if rest.len() > 0 && is(word, "COUNT") {
                const MAX: i64 = i64::MAX / size_of::<StreamId>() as i64;
                claim.count = int_in(rest.value()?, 1..=MAX, Error::Text("ERR COUNT must be > 0"))? as usize;
            } else if is(word, "JUSTID") {
                claim.just_id = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(claim)
    }

    /// Gives entries to the consumer and replies: where to go on, what was claimed, and what no longer exists.
    fn run(&self, log: &Log, group: &mut Group, to: &Receiver, out: &mut ReplyBuf, deeds: &mut Deeds) -> u64 {
        let Receiver { consumer, created, now } = *to;
        let (found, next) = self.find(log, group, now);
        out.array(3);
        reply_id(out, next.unwrap_or(StreamId::MIN));
        let (claimed, gone): (Vec<_>, Vec<_>) = found.iter().partition(|(_, exists)| *exists);
        out.array(claimed.len());
        for &(id, _) in claimed {
            let pending = group.find_mut(id).expect("it was found");
            let deliveries = pending.deliveries + u64::from(!self.just_id);
            let pending = Pending { consumer, delivered_at: now, deliveries };
            deeds.assigned(id, &pending);
            group.assign(id, pending);
            group.consumer_mut(consumer).active_at = Some(now);
            match log.get(id).filter(|_| !self.just_id) {
                Some(entry) => reply_entry(out, &entry),
                None => reply_id(out, id),
            }
        }
        out.array(gone.len());
        for &(id, _) in gone {
            group.acknowledge(id);
            deeds.acknowledged(id);
            reply_id(out, id);
        }
        deeds.finish(group, created, false);
        found.len() as u64
    }

    /// Pending entries to claim, and others that no longer exist, which are told apart by the flag; and the pending
    /// entry after them.
    fn find(&self, log: &Log, group: &Group, now: u64) -> (Vec<(StreamId, bool)>, Option<StreamId>) {
        let mut pending = group.pending(self.start, StreamId::MAX, None);
        let mut found = Vec::new();
        let mut looks = self.count.saturating_mul(LOOKS);
        while looks > 0 && found.len() < self.count {
            let Some((id, pending)) = pending.next() else { return (found, None) };
            let exists = log.get(id).is_some();
            if !exists || self.min_idle == 0 || idle(now, pending) >= self.min_idle {
                found.push((id, exists));
            }
            looks -= 1;
        }
        (found, pending.next().map(|(id, _)| id))
    }
}

fn xautoclaim(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, name, consumer, now) = (cx.key(1), cx.arg(2), cx.arg(3), cx.now_ms());
    count_read(cx, key);
    let claim = AutoClaim::parse(cx.argv)?;
    let (mut changes, mut deeds) = (Changes::default(), Deeds::new(cx));
    let mut guard = cx.keyspace.write(cx.db, key);
    require_group(&guard, key.bytes(), name)?;
    let out = &mut *cx.out;
    guard.edit(|stream: &mut Stream, _| {
        let (log, group) = stream.group_mut(name).expect("the group was found");
        let to = changes.receiver(group, consumer, now);
        changes.count += claim.run(log, group, &to, out, &mut deeds);
    })?;
    changes.commit(guard);
    deeds.log(cx, key.bytes(), name, consumer);
    Ok(())
}
