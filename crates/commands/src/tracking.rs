//! Client-side caching: who keeps copies of which keys, and how they are told that these are out of date.
//!
//! A client that tracks is noted as a reader of each key that its read-only commands name ([`readers`]), or hears of all
//! keys with certain prefixes ([`broadcast`]). The keyspace records which keys change while there is such a client, or a
//! key that one has read; after each command the readers are told and forgotten. What concerns the client whose command
//! runs follows the whole reply, that of EXEC or of a script included; prefixes are dealt with at the end of the turn.
//! Without such clients nothing is recorded, and a command costs one comparison more.
//!
//! Keys are names without a database, as in Redis.

use std::collections::{BTreeSet, HashSet};

use carnelian_config::Directive;
use carnelian_keyspace::{Cause, Keyspace};
use carnelian_resp::{Argv, Protocol, ReplyBuf};

use crate::client::{Client, Clients};
use crate::engine::State;
use crate::keys;
use crate::links::{ClientId, Links};
use crate::pubsub::Outbox;
use crate::row::{Flags, Group, Row};

mod broadcast;
mod readers;

use broadcast::{Broadcasts, Changed};
use readers::Readers;

const MAX_KEYS: Directive = Directive::named("tracking-table-max-keys");

/// Keys that are given up at a time for each time in a row that there were too many.
const EVICTIONS: u32 = 100;

/// What subscribers in RESP2 receive messages from.
const CHANNEL: &[u8] = b"__redis__:invalidate";

bitflags::bitflags! {
    /// How a client tracks.
    #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
    pub(crate) struct Options: u8 {
        /// It hears of keys by their prefixes.
        const BCAST = 1 << 0;
        /// What it reads is noted only if it says so before.
        const OPTIN = 1 << 1;
        /// What it reads is noted unless it says otherwise before.
        const OPTOUT = 1 << 2;
        /// It does not hear of its own changes.
        const NOLOOP = 1 << 3;
        /// It has said so, or otherwise, about its next command.
        const CACHING = 1 << 4;
        /// The client that receives its messages was found to be gone.
        const BROKEN = 1 << 5;
    }
}

/// What a client that tracks has asked for.
#[derive(Default, Debug)]
pub(crate) struct Mode {
    pub(crate) options: Options,
    /// The client that receives its messages instead.
    pub(crate) redirect: Option<ClientId>,
    pub(crate) prefixes: BTreeSet<Box<[u8]>>,
}

impl Mode {
    /// Whether the keys of a command that runs now are noted.
    fn notes_reads(&self) -> bool {
        let refused = if self.options.contains(Options::CACHING) { Options::OPTOUT } else { Options::OPTIN };
        !self.options.intersects(Options::BCAST | refused)
    }
}

/// What is out of date.
#[derive(Clone, Copy)]
enum Stale<'a> {
    Key(&'a [u8]),
    /// Several keys, as an array.
    Keys(&'a ReplyBuf),
    All,
}

/// What it takes to tell somebody something.
pub(crate) struct Post<'s, 'l> {
    pub(crate) clients: &'s mut Clients,
    pub(crate) outbox: &'s mut Outbox,
    pub(crate) links: &'s mut (dyn Links + 'l),
}

/// Who tracks, and what they have read.
#[derive(Default)]
pub(crate) struct Tracking {
    /// Clients that track.
    clients: usize,
    /// Clients that do, or did and may still be readers of keys.
    known: HashSet<ClientId>,
    readers: Readers,
    broadcasts: Broadcasts,
    /// What the client whose command runs is told after the reply; without a key: that everything is out of date.
    held: Vec<Option<Box<[u8]>>>,
    /// How many times in a row there were too many keys.
    over_limit: u32,
    /// Whether the running command is a script's.
    pub(crate) by_script: bool,
}

impl Tracking {
    /// Whether anybody may have to be told of a change.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.clients != 0 || !self.readers.is_empty()
    }

    /// Clients that track; keys that somebody has read, and pairs of such keys and clients; prefixes.
    pub(crate) fn figures(&self) -> [usize; 4] {
        [self.clients, self.readers.len(), self.readers.items(), self.broadcasts.len()]
    }

    /// A client begins to track, or does it in another way. Prefixes are added to those it has.
    pub(crate) fn begin(
        &mut self,
        client: &mut Client,
        options: Options,
        redirect: Option<ClientId>,
        prefixes: &[&[u8]],
    ) {
        self.clients += usize::from(client.tracking.is_none());
        self.known.insert(client.id);
        let mode = client.tracking.get_or_insert_default();
        mode.options = options | (mode.options & Options::CACHING);
        mode.redirect = redirect;
        if options.contains(Options::BCAST) {
            let all: &[&[u8]] = if prefixes.is_empty() { &[b""] } else { prefixes };
            for prefix in all {
                mode.prefixes.insert((*prefix).into());
                self.broadcasts.join(prefix, client.id.slot);
            }
        }
    }

    /// A client tracks no longer. What it has read stays known, in case that it begins again.
    pub(crate) fn end(&mut self, client: &mut Client) {
        if let Some(mode) = client.tracking.take() {
            self.clients -= 1;
            self.broadcasts.leave(&mode.prefixes, client.id.slot);
        }
    }

    /// A client is gone.
    pub(crate) fn forget(&mut self, client: &mut Client) {
        self.end(client);
        if self.known.remove(&client.id) && self.known.is_empty() {
            self.readers.clear();
        }
    }

    /// A key has changed. `running`: the client whose command runs, if that has changed it.
    pub(crate) fn changed(
        &mut self,
        post: &mut Post<'_, '_>,
        key: &[u8],
        cause: Cause,
        running: Option<ClientId>,
    ) {
        let author = running.filter(|_| cause == Cause::Write && !self.by_script);
        self.broadcasts.note(key, author);
        let held = &mut self.held;
        self.readers.take(key, &mut |id| {
            let Some(mode) = post.clients.get(id).and_then(|client| client.tracking.as_ref()) else { return };
            if mode.options.contains(Options::BCAST) {
                return;
            }
            if running != Some(id) {
                post.tell(id, Stale::Key(key));
            } else if !mode.options.contains(Options::NOLOOP) {
                held.push(Some(key.into()));
            }
        });
    }

    /// All keys of a database have changed.
    pub(crate) fn flushed(&mut self, post: &mut Post<'_, '_>, running: Option<ClientId>) {
        self.readers.clear();
        let tracking = post.clients.iter().filter(|client| client.tracking.is_some());
        let mut ids: Vec<ClientId> = tracking.map(|client| client.id).collect();
        // Several of them may redirect to one: the oldest goes first, as in Redis.
        ids.sort_unstable_by_key(|id| id.serial);
        for id in ids {
            if running == Some(id) {
                self.held.push(None);
            } else {
                post.tell(id, Stale::All);
            }
        }
    }

    /// The reply of a client's command is complete: tells it what was held back.
    fn release(&mut self, post: &mut Post<'_, '_>, running: ClientId) {
        for stale in self.held.drain(..) {
            post.tell(running, stale.as_deref().map_or(Stale::All, Stale::Key));
        }
    }

    /// Gives up keys that were read if there are more than `max`, as if they had changed. The more often that was not
    /// enough, the more at a time.
    fn limit(&mut self, post: &mut Post<'_, '_>, max: usize, random: &mut dyn FnMut() -> u64) {
        let effort = EVICTIONS.saturating_mul(self.over_limit + 1);
        for _ in 0..effort {
            if self.readers.len() <= max {
                self.over_limit = 0;
                return;
            }
            self.readers.take_any(random(), &mut |key, id| {
                let mode = post.clients.get(id).and_then(|client| client.tracking.as_ref());
                if mode.is_some_and(|mode| !mode.options.contains(Options::BCAST)) {
                    post.tell(id, Stale::Key(key));
                }
            });
        }
        self.over_limit += u32::from(self.readers.len() > max);
    }

    /// Tells those who hear of prefixes which keys have changed.
    fn broadcast(&mut self, post: &mut Post<'_, '_>) {
        self.broadcasts.drain(&mut |changed, slots| {
            let all = array(changed, None);
            for slot in slots {
                let client = post.clients.get_at(*slot as usize);
                let own = client.tracking.as_ref().is_some_and(|mode| mode.options.contains(Options::NOLOOP));
                let id = client.id;
                if !own {
                    post.tell(id, Stale::Keys(&all));
                } else if changed.values().any(|author| *author != Some(id)) {
                    post.tell(id, Stale::Keys(&array(changed, Some(id))));
                }
            }
        });
    }
}

/// Changed keys, without those that one client was the last to change.
fn array(changed: &Changed, except: Option<ClientId>) -> ReplyBuf {
    let mut array = ReplyBuf::new();
    let count = array.array_later();
    let mut n = 0;
    for (key, author) in changed {
        if except.is_none() || *author != except {
            array.bulk(key);
            n += 1;
        }
    }
    array.finish(count, n);
    array
}

impl Post<'_, '_> {
    /// Tells a client that something is out of date, or the one that it has named for that. In RESP2 only the latter
    /// can be told, if it is a subscriber.
    fn tell(&mut self, id: ClientId, stale: Stale<'_>) {
        let Some(client) = self.clients.get(id) else { return };
        let (own, redirect) = (client.protocol, client.tracking.as_ref().and_then(|mode| mode.redirect));
        let Some(to) = self.clients.get(redirect.unwrap_or(id)).filter(|to| self.links.is_open(to.id)) else {
            return self.tell_broken(id, redirect);
        };
        let (to, protocol, subscribes) = (to.id, to.protocol, to.subscriptions.is_some());
        if protocol == Protocol::Resp2 && !(redirect.is_some() && subscribes) {
            return;
        }
        self.outbox.post(self.links, (to, protocol), &mut |out| {
            match protocol {
                Protocol::Resp3 => {
                    out.push(2);
                    out.bulk(b"invalidate");
                }
                Protocol::Resp2 => {
                    out.array(3);
                    out.bulk(b"message");
                    out.bulk(CHANNEL);
                }
            }
            match (stale, own) {
                (Stale::Key(key), _) => {
                    out.array(1);
                    out.bulk(key);
                }
                (Stale::Keys(keys), _) => keys.chunks().for_each(|chunk| out.raw(chunk)),
                // In the protocol of the client that tracks, as in Redis.
                (Stale::All, Protocol::Resp2) => out.raw(b"$-1\r\n"),
                (Stale::All, Protocol::Resp3) => out.raw(b"_\r\n"),
            }
        });
    }

    /// Tells a client that the one which receives its messages is gone.
    #[cold]
    fn tell_broken(&mut self, id: ClientId, redirect: Option<ClientId>) {
        let Some(redirect) = redirect else { return };
        let client = self.clients.at(id.slot as usize);
        if let Some(mode) = &mut client.tracking {
            mode.options |= Options::BROKEN;
        }
        if client.protocol == Protocol::Resp3 {
            self.outbox.post(self.links, (id, client.protocol), &mut |out| {
                out.push(2);
                out.bulk(b"tracking-redir-broken");
                out.integer(redirect.serial as i64);
            });
        }
    }
}

impl State {
    /// A command of a client has run, maybe as a part of another one: tells those who have read what it has changed, and
    /// notes what it has read.
    #[cold]
    pub(crate) fn track(
        &mut self,
        keyspace: &mut Keyspace,
        links: &mut dyn Links,
        (row, argv): (&Row, Argv<'_>),
        slot: usize,
    ) {
        if !self.tracking.is_on() {
            return;
        }
        let id = self.clients.get_at(slot).id;
        if keyspace.has_changes() {
            self.note_changes(keyspace, links, Some(id));
        }
        let mode = self.clients.get_at(slot).tracking.as_ref();
        if mode.is_some_and(|mode| mode.notes_reads())
            && row.flags.contains(Flags::READONLY)
            && row.group != Group::Scripting
        {
            for key in keys::find(row, argv).unwrap_or_default() {
                self.tracking.readers.add(argv.arg(key.index), id);
            }
        }
    }

    /// The command of a client is done, with all its parts and its reply. `about_clients`: it is one of CLIENT's.
    pub(crate) fn end_tracked(&mut self, links: &mut dyn Links, slot: usize, about_clients: bool) {
        let client = self.clients.at(slot);
        if !about_clients
            && client.transaction.is_none()
            && let Some(mode) = &mut client.tracking
        {
            mode.options -= Options::CACHING;
        }
        let id = client.id;
        if !self.tracking.held.is_empty() {
            let State { tracking, clients, pubsub, .. } = self;
            tracking.release(&mut Post { clients, outbox: &mut pubsub.outbox, links }, id);
        }
    }

    /// Keeps the number of keys that somebody has read within its limit.
    pub(crate) fn limit_tracking(&mut self, keyspace: &mut Keyspace, links: &mut dyn Links) {
        let max = match usize::try_from(self.config.size(MAX_KEYS)).unwrap_or(usize::MAX) {
            0 => usize::MAX,
            max => max,
        };
        if self.tracking.readers.len() > max {
            let mut random = keyspace.fork_random();
            let State { tracking, clients, pubsub, .. } = self;
            let mut post = Post { clients, outbox: &mut pubsub.outbox, links };
            tracking.limit(&mut post, max, &mut || random.next());
        } else {
            self.tracking.over_limit = 0;
        }
    }

    /// Tells those who hear of prefixes which keys have changed in this turn.
    pub(crate) fn broadcast(&mut self, links: &mut dyn Links) {
        if self.tracking.broadcasts.is_pending() {
            let State { tracking, clients, pubsub, .. } = self;
            tracking.broadcast(&mut Post { clients, outbox: &mut pubsub.outbox, links });
        }
    }
}

#[cfg(test)]
mod tests;
