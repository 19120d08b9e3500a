//! What a command sees while it runs.

use carnelian_config::Directive;
use carnelian_keyspace::{Key, Keyspace};
use carnelian_resp::{Argv, ReplyBuf};

use crate::client::Client;
use crate::engine::State;
use crate::error::Error;
use crate::links::Links;

/// The surroundings of one command. The fields are public to the families so that the keyspace and the output can be
/// borrowed at the same time: `if let Some(item) = cx.keyspace.read(cx.db, key) { cx.out.bulk(..) }`.
pub(crate) struct Ctx<'a> {
    /// The command's words, names included.
    pub(crate) argv: Argv<'a>,
    /// Where replies go.
    pub(crate) out: &'a mut ReplyBuf,
    /// All databases.
    pub(crate) keyspace: &'a mut Keyspace,
    /// The client's database.
    pub(crate) db: usize,
    /// When the command began: Unix time in microseconds.
    pub(crate) now_us: u64,
    /// The slot of the client in `state.clients`.
    pub(crate) client: usize,
    /// Index of the running command among all commands and subcommands.
    pub(crate) command: usize,
    /// Everything else the engine owns.
    pub(crate) state: &'a mut State,
    /// The outside.
    pub(crate) links: &'a mut (dyn Links + 'a),
    /// The hashed first key.
    pub(crate) first_key: Option<Key<'a>>,
    /// Whether the client can be made to wait.
    pub(crate) may_block: bool,
}

impl<'a> Ctx<'a> {
    /// Argument `i`; the arity must guarantee it.
    #[inline]
    pub(crate) fn arg(&self, i: usize) -> &'a [u8] {
        self.argv.arg(i)
    }

    /// Argument `i` as a key. The first key's hash is already known.
    #[inline]
    pub(crate) fn key(&self, i: usize) -> Key<'a> {
        let bytes = self.argv.arg(i);
        match self.first_key {
            Some(key) if std::ptr::eq(key.bytes(), bytes) => key,
            _ => self.keyspace.key(bytes),
        }
    }

    /// Calls `each` with `count` keys, which stand at argument `first` and then every `step` arguments, and with
    /// their arguments' indices. Their parts of the table are fetched a few keys ahead, so that cache misses overlap.
    pub(crate) fn for_each_key(
        &mut self,
        first: usize,
        step: usize,
        count: usize,
        mut each: impl FnMut(&mut Self, usize, Key<'a>),
    ) {
        const AHEAD: usize = 16;
        let index = |i: usize| first + step * i;
        for begin in (0..count).step_by(AHEAD) {
            let end = count.min(begin + AHEAD);
            let mut keys = [None; AHEAD];
            for (i, slot) in (begin..end).zip(&mut keys) {
                let key = self.key(index(i));
                self.keyspace.prefetch(self.db, key);
                *slot = Some(key);
            }
            for key in keys.iter().flatten().skip(1) {
                self.keyspace.prefetch_entry(self.db, *key);
            }
            for (i, key) in (begin..end).zip(keys.into_iter().flatten()) {
                each(self, index(i), key);
            }
        }
    }

    /// When the command began: Unix time in milliseconds.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// The time against which deadlines are judged, in Unix milliseconds: now, or 0 while effects are replayed.
    #[inline]
    pub(crate) fn due_ms(&self) -> u64 {
        self.keyspace.now()
    }

    /// Whether the command is an effect that is replayed, of this server or another one, and not a client's.
    #[inline]
    pub(crate) fn is_replay(&self) -> bool {
        self.keyspace.holds_deadlines()
    }

    /// The client that runs the command.
    pub(crate) fn client(&mut self) -> &mut Client {
        self.state.clients.at(self.client)
    }

    /// Lets this command's reads count as uses of keys, whatever CLIENT NO-TOUCH says.
    pub(crate) fn count_reads(&mut self) {
        self.state.touch = true;
        self.keyspace.set_touch(true);
    }

    /// Keeps argument `i` from being shown to MONITOR and in the command logs.
    pub(crate) fn redact(&mut self, i: usize) {
        self.state.redacted.push(i);
    }

    /// Whether a directive with the values `no`, `local` and `yes` admits this client.
    pub(crate) fn is_allowed(&mut self, directive: Directive) -> bool {
        match self.state.config.word(directive) {
            "yes" => true,
            "local" => {
                let id = self.client().id;
                self.links.info(id).is_some_and(|link| link.peer.is_local())
            }
            _ => false,
        }
    }

    /// The error for a number of words that the arity admits and the command does not.
    pub(crate) fn wrong_arity(&self) -> Error {
        Error::Arity(self.command_name().into())
    }

    /// The running command's full name as errors show it: `get`, `config|set`.
    pub(crate) fn command_name(&self) -> &str {
        self.state.table.name(self.command)
    }
}
