//! What the engine knows of each client. Knows no socket and no buffer.

use carnelian_resp::Protocol;

use crate::links::{ClientId, Close};
use crate::pubsub::Subscriptions;
use crate::tracking::{Mode, Options};
use crate::transaction::Transaction;

/// Whether replies are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReplyMode {
    /// All are.
    On,
    /// None is.
    Off,
    /// The running command's is not, the next one's is not either.
    SkipNext,
    /// The running command's is not.
    Skip,
}

bitflags::bitflags! {
    /// Properties of a client that are on or off.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct ClientFlags: u16 {
        /// Receives every command that runs.
        const MONITOR = 1 << 0;
        /// CLIENT NO-EVICT.
        const NO_EVICT = 1 << 1;
        /// CLIENT NO-TOUCH.
        const NO_TOUCH = 1 << 2;
        /// CLIENT IMPORT-SOURCE.
        const IMPORT_SOURCE = 1 << 3;
        /// Connected through a Unix socket.
        const UNIX_SOCKET = 1 << 4;
        /// Its next command waits for the end of a pause.
        const PAUSED = 1 << 5;
        /// CLIENT CAPA redirect.
        const CAPA_REDIRECT = 1 << 6;
        /// Its last command waits for a key.
        const BLOCKED = 1 << 7;
        /// A key that it watched has changed, or a database with such keys was emptied or exchanged.
        const SPOILED = 1 << 8;
    }
}

/// One connected client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) db: usize,
    pub(crate) protocol: Protocol,
    pub(crate) authenticated: bool,
    pub(crate) flags: ClientFlags,
    pub(crate) reply: ReplyMode,
    /// Set by a command that ends the connection.
    pub(crate) close: Option<Close>,
    /// The last command, for CLIENT LIST.
    pub(crate) last_command: Option<u16>,
    pub(crate) name: Option<Box<[u8]>>,
    pub(crate) lib_name: Option<Box<[u8]>>,
    pub(crate) lib_version: Option<Box<[u8]>>,
    /// Unix time in milliseconds.
    pub(crate) created_ms: u64,
    /// Unix time in milliseconds.
    pub(crate) last_active_ms: u64,
    /// Commands executed.
    pub(crate) commands: u64,
    /// Where the log ended after the last change that it made.
    pub(crate) logged: u64,
    /// Since MULTI.
    pub(crate) transaction: Option<Box<Transaction>>,
    /// Keys that it watches, with their databases.
    pub(crate) watched: Vec<(usize, Box<[u8]>)>,
    /// What it listens to; none without a single subscription.
    pub(crate) subscriptions: Option<Box<Subscriptions>>,
    /// How it tracks keys, if it does.
    pub(crate) tracking: Option<Box<Mode>>,
}

impl Client {
    pub(crate) fn new(id: ClientId, now_ms: u64) -> Self {
        Client {
            id,
            db: 0,
            protocol: Protocol::Resp2,
            authenticated: false,
            flags: ClientFlags::empty(),
            reply: ReplyMode::On,
            close: None,
            last_command: None,
            name: None,
            lib_name: None,
            lib_version: None,
            created_ms: now_ms,
            last_active_ms: now_ms,
            commands: 0,
            logged: 0,
            transaction: None,
            watched: Vec::new(),
            subscriptions: None,
            tracking: None,
        }
    }

    /// A command is done: whether the client gets its reply, with what that means for the next one.
    #[inline]
    pub(crate) fn ends_reply(&mut self) -> bool {
        let sent = self.reply == ReplyMode::On;
        self.reply = match self.reply {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            unchanged => unchanged,
        };
        sent
    }

    /// Seconds since it connected.
    pub(crate) fn age_seconds(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.created_ms) / 1000
    }

    /// Seconds since its last command.
    pub(crate) fn idle_seconds(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.last_active_ms) / 1000
    }

    /// The numbers of its channels, patterns and shard channels.
    pub(crate) fn subscription_counts(&self) -> [usize; 3] {
        self.subscriptions.as_ref().map_or([0; 3], |subscriptions| subscriptions.counts())
    }

    /// How it tracks keys; nothing if it does not.
    fn tracking_options(&self) -> Options {
        self.tracking.as_ref().map_or(Options::empty(), |mode| mode.options)
    }

    /// The flags as CLIENT LIST shows them, in its order.
    pub(crate) fn flag_letters(&self) -> String {
        let has = |flag| self.flags.contains(flag);
        let letters = [
            ('O', has(ClientFlags::MONITOR)),
            ('P', self.subscriptions.is_some()),
            ('x', self.transaction.is_some()),
            ('b', self.flags.intersects(ClientFlags::PAUSED | ClientFlags::BLOCKED)),
            ('t', self.tracking.is_some()),
            ('R', self.tracking_options().contains(Options::BROKEN)),
            ('B', self.tracking_options().contains(Options::BCAST)),
            ('d', has(ClientFlags::SPOILED)),
            ('U', has(ClientFlags::UNIX_SOCKET)),
            ('e', has(ClientFlags::NO_EVICT)),
            ('T', has(ClientFlags::NO_TOUCH)),
            ('I', has(ClientFlags::IMPORT_SOURCE)),
        ];
        let letters: String = letters.iter().filter(|(_, shown)| *shown).map(|(letter, _)| *letter).collect();
        if letters.is_empty() { "N".to_owned() } else { letters }
    }

    /// The number of the client that receives its invalidations: 0 for itself, -1 if it tracks nothing.
    pub(crate) fn redirect(&self) -> i64 {
        let redirect = |mode: &Mode| mode.redirect.map_or(0, |id| id.serial as i64);
        self.tracking.as_deref().map_or(-1, redirect)
    }
}

/// The connected clients by slot.
#[derive(Default)]
pub(crate) struct Clients {
    slots: Vec<Option<Client>>,
    count: usize,
}

impl Clients {
    pub(crate) fn insert(&mut self, client: Client) {
        let slot = client.id.slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        debug_assert!(self.slots[slot].is_none(), "slot {slot} is taken");
        self.slots[slot] = Some(client);
        self.count += 1;
    }

    pub(crate) fn remove(&mut self, id: ClientId) -> Option<Client> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        let removed = slot.take_if(|client| client.id == id)?;
        self.count -= 1;
        Some(removed)
    }

    /// A slot that is not taken.
    pub(crate) fn vacant(&self) -> usize {
        self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len())
    }

    /// The client in `slot`, which must be taken.
    #[inline]
    pub(crate) fn at(&mut self, slot: usize) -> &mut Client {
        self.slots[slot].as_mut().expect("a running command's client is connected")
    }

    /// The same, to look at only.
    #[inline]
    pub(crate) fn get_at(&self, slot: usize) -> &Client {
        self.slots[slot].as_ref().expect("a running command's client is connected")
    }

    pub(crate) fn get(&self, id: ClientId) -> Option<&Client> {
        self.slots.get(id.slot as usize)?.as_ref().filter(|client| client.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slots.iter().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }
}
