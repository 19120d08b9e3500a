//! XREAD and XREADGROUP.

use carnelian_keyspace::stream::{ConsumerId, Group, Log, Pending, StreamId};
use carnelian_keyspace::{Event, Key, Kind, Stream, Value};
use carnelian_resp::{Argv, OwnedArgv, Protocol, ReplyBuf};

use super::effects::Deeds;
use super::group::CONSUMER_CREATED;
use super::{BASE, count_or_all, id, naming_two, read, reply_entries, reply_entry, reply_id};
use crate::args::{Rest, is};
use crate::blocking::{TimeoutReply, Wait};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Begin, Find, Flags, KeyFlags, KeySpec, Row};

/// The first half of what follows STREAMS.
const fn streams(from: i32) -> KeySpec {
    KeySpec {
        flags: KeyFlags::RO.union(KeyFlags::ACCESS),
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range { last: -1, step: 1, limit: 2 },
    }
}

pub(super) const XREAD: Row = Row {
    name: "xread",
    summary: "Returns entries of streams after given IDs, and waits for some if there are none.",
    since: "5.0.0",
    arity: -4,
    flags: Flags::READONLY.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    keys: &[streams(1)],
    syntax: "[COUNT count] [BLOCK milliseconds] STREAMS <streams=key... id...>",
    complexity: "",
    run: xread,
    ..BASE
};

pub(super) const XREADGROUP: Row = Row {
    name: "xreadgroup",
    summary: "Returns entries of streams that no other consumer of a group has got, or the consumer's pending ones.",
    since: "5.0.0",
    arity: -7,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    keys: &[streams(4)],
    syntax: "GROUP <group-block=group consumer> [COUNT count] [BLOCK milliseconds] [NOACK] \
             STREAMS <streams=key... id...>",
    complexity: "O(M) for each stream, with M entries returned.",
    run: xreadgroup,
    ..BASE
};

/// The options, and where the streams are.
struct Options<'a> {
    count: usize,
    /// When to give up waiting; `None`: do not wait.
    block: Option<Option<u64>>,
    no_ack: bool,
    /// The group and the consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    /// The first key.
    first: usize,
    /// How many keys there are.
    streams: usize,
}

impl<'a> Options<'a> {
    fn parse(cx: &Ctx<'a>, is_group: bool) -> Result<Options<'a>, Error> {
        let mut options =
            Options { count: usize::MAX, block: None, no_ack: false, group: None, first: 0, streams: 0 };
        let mut rest = Rest::new(cx.argv, 1);
        while let Some(word) = rest.next() {
            let more = rest.len();
            if more > 0 && is(word, "BLOCK") {
                options.block = Some(cx.deadline_milliseconds(rest.value()?)?);
            } else if more > 0 && is(word, "COUNT") {
                options.count = count_or_all(rest.int()?, 0);
            } else if more > 0 && is(word, "STREAMS") {
                options.first = rest.position();
                if !more.is_multiple_of(2) {
                    return Err(unbalanced(cx, is_group));
                }
                options.streams = more / 2;
                break;
            } else if more > 1 && is(word, "GROUP") {
                if !is_group {
                    return Err(Error::Text(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                options.group = Some((rest.value()?, rest.value()?));
            } else if is(word, "NOACK") {
                if !is_group {
                    return Err(Error::Text(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                options.no_ack = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        if options.first == 0 {
            return Err(Error::Syntax);
        }
        if is_group && options.group.is_none() {
            return Err(Error::Text("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }

    /// The arguments of a stream's key and ID.
    fn words(&self, stream: usize) -> (usize, usize) {
        (self.first + stream, self.first + self.streams + stream)
    }

    /// Makes the client wait if that was asked for; otherwise there is nothing to reply.
    fn wait(&self, cx: &mut Ctx<'a>, argv: Option<OwnedArgv>) {
        let Some(until_us) = self.block else { return cx.out.null_array() };
        let keys = (0..self.streams).map(|i| cx.arg(self.words(i).0).to_vec()).collect();
        let timeout_reply = TimeoutReply::NullArray;
        let on_loss = self.group.is_some();
        cx.block(Wait { keys, kind: Kind::Stream, on_loss, until_us, argv, timeout_reply });
    }
}

fn unbalanced(cx: &Ctx<'_>, is_group: bool) -> Error {
    let symbols = if is_group { "ID or '>'" } else { "ID, '+', or '$'" };
    Error::other(format!(
        "ERR Unbalanced '{}' list of streams: for each stream key an {symbols} must be specified.",
        cx.command_name()
    ))
}

/// The streams that have something to reply: a map from their keys to entries in RESP3, pairs in RESP2. Its
/// header is written with the first of them.
#[derive(Default)]
struct Served {
    later: Option<carnelian_resp::Later>,
    count: usize,
}

impl Served {
    fn begin(&mut self, out: &mut ReplyBuf, key: Key<'_>) {
        let is_map = out.protocol() == Protocol::Resp3;
        if self.later.is_none() {
            self.later = Some(if is_map { out.map_later() } else { out.array_later() });
        }
        if !is_map {
            out.array(2);
        }
        out.bulk(key.bytes());
        self.count += 1;
    }

    /// Whether there was anything.
    fn finish(self, out: &mut ReplyBuf) -> bool {
        self.later.map(|later| out.finish(later, self.count)).is_some()
    }
}

fn xread(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let options = Options::parse(cx, false)?;
    let mut after = Vec::with_capacity(options.streams);
    for i in 0..options.streams {
        let (key, word) = options.words(i);
        let (key, word) = (cx.key(key), cx.arg(word));
        let log = read(cx.keyspace, cx.db, key)?.map(Stream::log);
        after.push(match word {
            b"$" => log.map_or(StreamId::MIN, Log::last_id),
            // One before the last entry, so that this one is returned.
            b"+" => log.and_then(Log::last_entry_id).and_then(StreamId::previous).unwrap_or_default(),
            b">" => {
                return Err(Error::Text(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                     option.",
                ));
            }
            id => id::exact(id)?,
        });
    }
    let mut served = Served::default();
    for (i, after) in after.iter().enumerate() {
        let key = cx.key(options.words(i).0);
        let Some(Value::Stream(stream)) = cx.keyspace.read(cx.db, key).map(|item| item.value()) else {
            continue;
        };
        let log = stream.log();
        if log.last_id() <= *after || log.last_entry_id().is_none_or(|last| last <= *after) {
            continue;
        }
        let start = after.next().expect("there is an entry after it");
        served.begin(cx.out, key);
        reply_entries(cx.out, log.range(start, StreamId::MAX), options.count);
    }
    if !served.finish(cx.out) {
        let argv = resolved(cx.argv, &options, &after);
        options.wait(cx, argv);
    }
    Ok(())
}

/// The command with the IDs that `$` stood for, if it had any.
fn resolved(argv: Argv<'_>, options: &Options<'_>, after: &[StreamId]) -> Option<OwnedArgv> {
    let ids = options.words(0).1;
    options.block?;
    if !argv.iter().skip(ids).any(|word| word == b"$") {
        return None;
    }
    let mut words = OwnedArgv::new();
    for (i, word) in argv.iter().enumerate() {
        match word {
            b"$" if i >= ids => after[i - ids].with_text(|text| words.push(text)),
            word => words.push(word),
        }
    }
    Some(words)
}

/// What a consumer asks a stream for.
#[derive(Clone, Copy)]
enum Wanted {
    /// Entries that nobody has got.
    New,
    /// Its pending entries after this one.
    History(StreamId),
}

fn wanted(word: &[u8]) -> Result<Wanted, Error> {
    let meaningless = |symbol: &str| {
        Error::other(format!(
            "ERR The {symbol} ID is meaningless in the context of XREADGROUP: you want to read the history of this \
             consumer by specifying a proper ID, or use the > ID to get new messages. The {symbol} ID would just \
             return an empty result set."
        ))
    };
    match word {
        b">" => Ok(Wanted::New),
        b"$" => Err(meaningless("$")),
        b"+" => Err(meaningless("+")),
        // The greatest ID is how `>` was once spelled.
        id => id::exact(id).map(|id| if id == StreamId::MAX { Wanted::New } else { Wanted::History(id) }),
    }
}

fn xreadgroup(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let options = Options::parse(cx, true)?;
    let (name, _) = options.group.expect("XREADGROUP has a group");
    let mut wants = Vec::with_capacity(options.streams);
    for i in 0..options.streams {
        let (key, word) = options.words(i);
        let (key, word) = (cx.key(key), cx.arg(word));
        let stream = read(cx.keyspace, cx.db, key)?;
        if stream.is_none_or(|stream| stream.groups().get(name).is_none()) {
            let tail = "' in XREADGROUP with GROUP option";
            return Err(naming_two(
                "NOGROUP No such key '",
                key.bytes(),
                "' or consumer group '",
                name,
                tail,
            ));
        }
        wants.push(wanted(word)?);
    }
    let mut served = Served::default();
    for (i, wanted) in wants.into_iter().enumerate() {
        let key = cx.key(options.words(i).0);
        serve(cx, key, wanted, &options, &mut served)?;
    }
    if !served.finish(cx.out) {
        options.wait(cx, None);
    }
    Ok(())
}

/// Replies what a consumer gets of one stream.
fn serve(
    cx: &mut Ctx<'_>,
    key: Key<'_>,
    wanted: Wanted,
    options: &Options<'_>,
    served: &mut Served,
) -> Result<(), Error> {
    let (name, consumer) = options.group.expect("XREADGROUP has a group");
    let mut deeds = Deeds::new(cx);
    let (now, out) = (cx.now_ms(), &mut *cx.out);
    let mut guard = cx.keyspace.write(cx.db, key);
    let (created, changed) = guard.edit(|stream: &mut Stream, _| {
        let (log, group) = stream.group_mut(name).expect("the group was found");
        let named = group.consumer_named(consumer);
        let created = named.is_none();
        let consumer =
            named.or_else(|| group.create_consumer(consumer, now)).expect("there is one or there was none");
        group.consumer_mut(consumer).seen_at = now;
        let delivery = Delivery { consumer, now, count: options.count, pends: !options.no_ack };
        let changed = match wanted {
            Wanted::History(after) => {
                served.begin(out, key);
                delivery.repeat(log, group, after, out, &mut deeds);
                false
            }
            Wanted::New if log.last_entry_id().is_some_and(|last| last > group.last_id) => {
                served.begin(out, key);
                delivery.deliver(log, group, out, &mut deeds);
                true
            }
            Wanted::New => false,
        };
        deeds.finish(group, created, changed);
        (created, changed)
    })?;
    let events: &[Event] = if created { &[CONSUMER_CREATED] } else { &[] };
    match u64::from(created) + u64::from(changed) {
        0 => guard.unchanged(),
        count => guard.commit_aside(events, count),
    }
    deeds.log(cx, key.bytes(), name, consumer);
    Ok(())
}

/// How entries are delivered to a consumer.
struct Delivery {
    consumer: ConsumerId,
    now: u64,
    count: usize,
    /// Whether new entries wait for being acknowledged.
    pends: bool,
}

impl Delivery {
    /// The entries that the group has not read.
    fn deliver(&self, log: &Log, group: &mut Group, out: &mut ReplyBuf, deeds: &mut Deeds) {
        let start = group.last_id.next().unwrap_or(StreamId::MAX);
        let later = out.array_later();
        let mut n = 0;
        for entry in log.range(start, StreamId::MAX).take(self.count) {
            let id = entry.id();
            group.advance(log, id);
            reply_entry(out, &entry);
            if self.pends {
                let pending = Pending { consumer: self.consumer, delivered_at: self.now, deliveries: 1 };
                deeds.assigned(id, &pending);
                group.assign(id, pending);
                group.consumer_mut(self.consumer).active_at = Some(self.now);
            }
            n += 1;
        }
        out.finish(later, n);
    }

    /// The consumer's pending entries once more; of those that no longer exist, the IDs.
    fn repeat(&self, log: &Log, group: &mut Group, after: StreamId, out: &mut ReplyBuf, deeds: &mut Deeds) {
        let start = after.next().unwrap_or(StreamId::MAX);
        let pending = group.pending(start, StreamId::MAX, Some(self.consumer));
        let ids: Vec<_> = pending.take(self.count).map(|(id, _)| id).collect();
        out.array(ids.len());
        for id in ids {
            let Some(entry) = log.get(id) else {
                out.array(2);
                reply_id(out, id);
                out.null_array();
                continue;
            };
            reply_entry(out, &entry);
            let pending = group.find_mut(id).expect("it was found");
            pending.delivered_at = self.now;
            pending.deliveries += 1;
            deeds.assigned(id, pending);
        }
    }
}
