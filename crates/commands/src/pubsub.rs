//! Publish and subscribe: channels, patterns, shard channels, and the clients that listen to them.
//!
//! A published message goes to the outputs of its receivers at once, so each of them sees messages in the order of the
//! commands. Without a cluster a shard channel is a channel of a separate name space.

mod delivery;
mod topics;

use std::sync::Arc;

use carnelian_resp::Protocol;

use crate::client::{Client, Clients, ReplyMode};
use crate::context::Ctx;
use crate::engine::State;
use crate::error::Error;
use crate::glob::{self, Case};
use crate::help;
use crate::links::Links;
use crate::row::{Flags, Group, KeyFlags, KeySpec, Row};

pub(crate) use delivery::Outbox;
use delivery::{Frames, Message, Payload};
pub(crate) use topics::Subscriptions;
use topics::{Listeners, Topics};

const PUBLISHING: Flags = Flags::PUBSUB.union(Flags::HELPING).union(Flags::FAST).union(Flags::MAY_REPLICATE);
const SUBSCRIBING: Flags = Flags::PUBSUB.union(Flags::ANYTIME);
const ASKING: Flags = Flags::PUBSUB.union(Flags::HELPING);

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "psubscribe",
        summary: "Begins to receive the messages of all channels that match patterns.",
        since: "2.0.0",
        group: Group::Pubsub,
        arity: -2,
        flags: SUBSCRIBING,
        syntax: "pattern...",
        complexity: "O(log N) for every pattern, N being the number of subscriptions.",
        run: psubscribe,
        ..Row::EMPTY
    },
    Row {
        name: "publish",
        summary: "Sends a message to all who listen to a channel.",
        since: "2.0.0",
        group: Group::Pubsub,
        arity: 3,
        flags: PUBLISHING,
        syntax: "channel message",
        complexity: "O(N+M), N being the number of receivers and M that of all patterns.",
        run: publish,
        ..Row::EMPTY
    },
    Row {
        name: "pubsub",
        summary: "Commands about subscriptions.",
        since: "2.8.0",
        group: Group::Pubsub,
        arity: -2,
        complexity: "Depends on subcommand.",
        subcommands: PUBSUB,
        ..Row::EMPTY
    },
    Row {
        name: "punsubscribe",
        summary: "Stops to receive the messages of channels that match patterns.",
        since: "2.0.0",
        group: Group::Pubsub,
        arity: -1,
        flags: SUBSCRIBING,
        syntax: "[pattern]...",
        complexity: "O(log N) for every pattern, N being the number of subscriptions.",
        run: punsubscribe,
        ..Row::EMPTY
    },
    Row {
        name: "spublish",
        summary: "Sends a message to all who listen to a shard channel.",
        since: "7.0.0",
        group: Group::Pubsub,
        arity: 3,
        flags: PUBLISHING,
        keys: &[KeySpec::one(1, KeyFlags::NOT_KEY)],
        syntax: "shardchannel message",
        complexity: "O(N), N being the number of receivers.",
        run: spublish,
        ..Row::EMPTY
    },
    Row {
        name: "ssubscribe",
        summary: "Begins to receive the messages of shard channels.",
        since: "7.0.0",
        group: Group::Pubsub,
        arity: -2,
        flags: SUBSCRIBING,
        keys: &[KeySpec::range(1, -1, 1, KeyFlags::NOT_KEY)],
        syntax: "shardchannel...",
        complexity: "O(log N) for every shard channel, N being the number of subscriptions.",
        run: ssubscribe,
        ..Row::EMPTY
    },
    Row {
        name: "subscribe",
        summary: "Begins to receive the messages of channels.",
        since: "2.0.0",
        group: Group::Pubsub,
        arity: -2,
        flags: SUBSCRIBING,
        syntax: "channel...",
        complexity: "O(log N) for every channel, N being the number of subscriptions.",
        run: subscribe,
        ..Row::EMPTY
    },
    Row {
        name: "sunsubscribe",
        summary: "Stops to receive the messages of shard channels.",
        since: "7.0.0",
        group: Group::Pubsub,
        arity: -1,
        flags: SUBSCRIBING,
        keys: &[KeySpec::range(1, -1, 1, KeyFlags::NOT_KEY)],
        syntax: "[shardchannel]...",
        complexity: "O(log N) for every shard channel, N being the number of subscriptions.",
        run: sunsubscribe,
        ..Row::EMPTY
    },
    Row {
        name: "unsubscribe",
        summary: "Stops to receive the messages of channels.",
        since: "2.0.0",
        group: Group::Pubsub,
        arity: -1,
        flags: SUBSCRIBING,
        syntax: "[channel]...",
        complexity: "O(log N) for every channel, N being the number of subscriptions.",
        run: unsubscribe,
        ..Row::EMPTY
    },
];

static PUBSUB: &[Row] = &[
    Row {
        name: "channels",
        summary: "Lists the channels that somebody listens to.",
        since: "2.8.0",
        group: Group::Pubsub,
        arity: -2,
        flags: ASKING,
        syntax: "[pattern]",
        complexity: "O(N), N being the number of channels.",
        run: channels,
        ..Row::EMPTY
    },
    Row {
        name: "help",
        summary: "Lists the subcommands.",
        since: "6.2.0",
        group: Group::Pubsub,
        arity: 2,
        flags: Flags::HELPING,
        complexity: "O(1)",
        run: help::help,
        ..Row::EMPTY
    },
    Row {
        name: "numpat",
        summary: "Counts the patterns that somebody listens to.",
        since: "2.8.0",
        group: Group::Pubsub,
        arity: 2,
        flags: ASKING,
        complexity: "O(1)",
        run: numpat,
        ..Row::EMPTY
    },
    Row {
        name: "numsub",
        summary: "Counts the clients that listen to each of some channels.",
        since: "2.8.0",
        group: Group::Pubsub,
        arity: -2,
        flags: ASKING,
        syntax: "[channel]...",
        complexity: "O(N), N being the number of given channels.",
        run: numsub,
        ..Row::EMPTY
    },
    Row {
        name: "shardchannels",
        summary: "Lists the shard channels that somebody listens to.",
        since: "7.0.0",
        group: Group::Pubsub,
        arity: -2,
        flags: ASKING,
        syntax: "[pattern]",
        complexity: "O(N), N being the number of shard channels.",
        run: shardchannels,
        ..Row::EMPTY
    },
    Row {
        name: "shardnumsub",
        summary: "Counts the clients that listen to each of some shard channels.",
        since: "7.0.0",
        group: Group::Pubsub,
        arity: -2,
        flags: ASKING,
        syntax: "[shardchannel]...",
        complexity: "O(N), N being the number of given shard channels.",
        run: shardnumsub,
        ..Row::EMPTY
    },
];

/// What a client can listen to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];

    /// What confirms the begin and the end of a subscription.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::Channel => ("subscribe", "unsubscribe"),
            Kind::Pattern => ("psubscribe", "punsubscribe"),
            Kind::Shard => ("ssubscribe", "sunsubscribe"),
        }
    }

    /// The subscriptions of a client that confirmations of this kind count.
    fn count(self, client: &Client) -> usize {
        let [channels, patterns, shards] = client.subscription_counts();
        match self {
            Kind::Channel | Kind::Pattern => channels + patterns,
            Kind::Shard => shards,
        }
    }
}

/// All subscriptions.
#[derive(Default)]
pub(crate) struct PubSub {
    topics: [Topics; 3],
    /// Clients with a subscription.
    clients: usize,
    frames: Frames,
    pub(crate) outbox: Outbox,
}

impl PubSub {
    /// What somebody listens to.
    pub(crate) fn topics(&self, kind: Kind) -> &Topics {
        &self.topics[kind as usize]
    }

    /// How many clients have a subscription.
    pub(crate) fn clients(&self) -> usize {
        self.clients
    }

    /// A client with these subscriptions is gone, or wants none any more.
    pub(crate) fn forget(&mut self, slot: u32, mut subscriptions: Subscriptions) {
        self.clients -= 1;
        for kind in Kind::ALL {
            for name in std::mem::take(subscriptions.names(kind as usize)) {
                self.topics[kind as usize].remove(name, slot);
            }
        }
    }

    /// A client begins to listen; whether that is its first subscription.
    fn join(&mut self, client: &mut Client, kind: Kind, name: &[u8]) -> bool {
        let first = client.subscriptions.is_none();
        self.clients += usize::from(first);
        let names = client.subscriptions.get_or_insert_default().names(kind as usize);
        if !names.contains(name) {
            names.insert(self.topics[kind as usize].add(name, client.id.slot));
        }
        first
    }

    /// A client no longer listens to a name; whether that was its last subscription.
    fn leave(&mut self, client: &mut Client, kind: Kind, name: &[u8]) -> bool {
        let Some(subscriptions) = &mut client.subscriptions else { return false };
        let Some(name) = subscriptions.names(kind as usize).take(name) else { return false };
        self.topics[kind as usize].remove(name, client.id.slot);
        if !subscriptions.is_empty() {
            return false;
        }
        client.subscriptions = None;
        self.clients -= 1;
        true
    }

    /// Sends a message to everybody in `listeners`.
    fn send(
        (outbox, frames): (&mut Outbox, &mut Frames),
        links: &mut dyn Links,
        clients: &Clients,
        listeners: &Listeners,
        message: &Message<'_>,
    ) -> usize {
        frames.clear();
        for slot in listeners {
            let client = clients.get_at(*slot as usize);
            outbox.deliver(links, (client.id, client.protocol), frames, message);
        }
        listeners.len()
    }

    /// Publishes to a channel. Returns how many receive the message, once for each subscription that matches.
    pub(crate) fn publish(
        &mut self,
        links: &mut dyn Links,
        clients: &Clients,
        channel: &[u8],
        payload: &[u8],
    ) -> usize {
        let PubSub { topics: [channels, patterns, _], outbox, frames, .. } = self;
        let payload = &Payload::new(payload);
        let mut receivers = 0;
        if let Some(listeners) = channels.get(channel) {
            let message = Message { kind: "message", pattern: None, channel, payload };
            receivers += PubSub::send((&mut *outbox, &mut *frames), links, clients, listeners, &message);
        }
        let matches = |pattern: &[u8]| glob::matches(pattern, channel, Case::Sensitive);
        let mut matching: Vec<_> = patterns.iter().filter(|(pattern, _)| matches(pattern)).collect();
        matching.sort_unstable_by_key(|(pattern, _)| *pattern);
        for (pattern, listeners) in matching {
            let message = Message { kind: "pmessage", pattern: Some(pattern), channel, payload };
            receivers += PubSub::send((&mut *outbox, &mut *frames), links, clients, listeners, &message);
        }
        receivers
    }

    /// Publishes to a shard channel.
    fn publish_to_shard(
        &mut self,
        links: &mut dyn Links,
        clients: &Clients,
        channel: &[u8],
        payload: &[u8],
    ) -> usize {
        let PubSub { topics: [.., shards], outbox, frames, .. } = self;
        let Some(listeners) = shards.get(channel) else { return 0 };
        let payload = &Payload::new(payload);
        let message = Message { kind: "smessage", pattern: None, channel, payload };
        PubSub::send((outbox, frames), links, clients, listeners, &message)
    }
}

/// Ends all subscriptions of the client that runs a command, without a word.
pub(crate) fn leave_all(cx: &mut Ctx<'_>) {
    let client = cx.state.clients.at(cx.client);
    if let Some(subscriptions) = client.subscriptions.take() {
        cx.links.set_subscriber(client.id, false);
        cx.state.pubsub.forget(client.id.slot, *subscriptions);
    }
}

/// Whether all that a client may send is what [`is_allowed_to_subscribers`].
#[inline]
pub(crate) fn is_confined(client: &Client) -> bool {
    client.subscriptions.is_some() && client.protocol == Protocol::Resp2
}

/// Whether a client in the subscriber mode of RESP2 may send this command.
#[cold]
pub(crate) fn is_allowed_to_subscribers(row: &Row) -> bool {
    SUBSCRIBING == row.flags || matches!(row.name, "ping" | "quit" | "reset")
}

fn subscribe(cx: &mut Ctx<'_>) -> Result<(), Error> {
    join(cx, Kind::Channel);
    Ok(())
}

fn psubscribe(cx: &mut Ctx<'_>) -> Result<(), Error> {
    join(cx, Kind::Pattern);
    Ok(())
}

/// Not in transactions, unlike the others.
fn ssubscribe(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if !cx.may_block {
        return Err(Error::Text("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    join(cx, Kind::Shard);
    Ok(())
}

fn unsubscribe(cx: &mut Ctx<'_>) -> Result<(), Error> {
    leave(cx, Kind::Channel);
    Ok(())
}

fn punsubscribe(cx: &mut Ctx<'_>) -> Result<(), Error> {
    leave(cx, Kind::Pattern);
    Ok(())
}

fn sunsubscribe(cx: &mut Ctx<'_>) -> Result<(), Error> {
    leave(cx, Kind::Shard);
    Ok(())
}

/// The client listens to all names that it gives.
fn join(cx: &mut Ctx<'_>, kind: Kind) {
    for name in cx.argv.skip(1).iter() {
        let State { clients, pubsub, .. } = &mut *cx.state;
        let client = clients.at(cx.client);
        if pubsub.join(client, kind, name) {
            cx.links.set_subscriber(client.id, true);
        }
        confirm(cx, kind, kind.words().0, Some(name));
    }
}

/// The client no longer listens to the names that it gives, or to any if it gives none.
fn leave(cx: &mut Ctx<'_>, kind: Kind) {
    if cx.argv.len() > 1 {
        for name in cx.argv.skip(1).iter() {
            leave_one(cx, kind, name);
        }
        return;
    }
    let subscriptions = cx.client().subscriptions.as_mut();
    let names: Vec<Arc<[u8]>> =
        subscriptions.map_or_else(Vec::new, |all| all.names(kind as usize).iter().cloned().collect());
    for name in &names {
        leave_one(cx, kind, name);
    }
    if names.is_empty() {
        confirm(cx, kind, kind.words().1, None);
    }
}

fn leave_one(cx: &mut Ctx<'_>, kind: Kind, name: &[u8]) {
    let State { clients, pubsub, .. } = &mut *cx.state;
    let client = clients.at(cx.client);
    if pubsub.leave(client, kind, name) {
        cx.links.set_subscriber(client.id, false);
    }
    confirm(cx, kind, kind.words().1, Some(name));
}

/// Tells the client what it has done. That is a message, not a reply: CLIENT REPLY does not hold it back.
fn confirm(cx: &mut Ctx<'_>, kind: Kind, word: &str, name: Option<&[u8]>) {
    let State { clients, pubsub, .. } = &mut *cx.state;
    let client = clients.at(cx.client);
    let out = match client.reply {
        ReplyMode::On => &mut *cx.out,
        _ => pubsub.outbox.own(client.protocol),
    };
    out.push(3);
    out.bulk(word.as_bytes());
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.integer(kind.count(client) as i64);
}

fn publish(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (channel, payload) = (cx.arg(1), cx.arg(2));
    let State { pubsub, clients, .. } = &mut *cx.state;
    let receivers = pubsub.publish(cx.links, clients, channel, payload);
    cx.out.integer(receivers as i64);
    Ok(())
}

fn spublish(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (channel, payload) = (cx.arg(1), cx.arg(2));
    let State { pubsub, clients, .. } = &mut *cx.state;
    let receivers = pubsub.publish_to_shard(cx.links, clients, channel, payload);
    cx.out.integer(receivers as i64);
    Ok(())
}

fn channels(cx: &mut Ctx<'_>) -> Result<(), Error> {
    list(cx, Kind::Channel)
}

fn shardchannels(cx: &mut Ctx<'_>) -> Result<(), Error> {
    list(cx, Kind::Shard)
}

/// The names that somebody listens to and that match a pattern, if there is one.
fn list(cx: &mut Ctx<'_>, kind: Kind) -> Result<(), Error> {
    if cx.argv.len() > 3 {
        return Err(Error::subcommand_or_arity("PUBSUB", cx.arg(1)));
    }
    let pattern = cx.argv.get(2);
    let list = cx.out.array_later();
    let mut count = 0;
    for (name, _) in cx.state.pubsub.topics(kind).iter() {
        if pattern.is_none_or(|pattern| glob::matches(pattern, name, Case::Sensitive)) {
            cx.out.bulk(name);
            count += 1;
        }
    }
    cx.out.finish(list, count);
    Ok(())
}

fn numpat(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.integer(cx.state.pubsub.topics(Kind::Pattern).len() as i64);
    Ok(())
}

fn numsub(cx: &mut Ctx<'_>) -> Result<(), Error> {
    count(cx, Kind::Channel);
    Ok(())
}

fn shardnumsub(cx: &mut Ctx<'_>) -> Result<(), Error> {
    count(cx, Kind::Shard);
    Ok(())
}

/// The number of listeners of every given name.
fn count(cx: &mut Ctx<'_>, kind: Kind) {
    let names = cx.argv.skip(2);
    cx.out.array(2 * names.len());
    for name in names.iter() {
        cx.out.bulk(name);
        cx.out.integer(cx.state.pubsub.topics(kind).count(name) as i64);
    }
}

#[cfg(test)]
mod tests;
