//! One command as one row: the facts from which COMMAND and its subcommands, key extraction, ACL categories,
//! arity checks, statistics and docs/commands.md are derived. Knows neither how a row is found nor executed.

use carnelian_resp::Argv;

use crate::context::Ctx;
use crate::error::Error;
use crate::keys::FoundKey;

/// What executes a command: arguments in `cx.argv`, replies to `cx.out`. If it returns an error, whatever it has
/// appended is dropped and the error is the reply.
pub(crate) type Handler = fn(&mut Ctx<'_>) -> Result<(), Error>;

/// A command or subcommand. Rows are written with `..Row::EMPTY` for what they do not have.
pub struct Row {
    /// The name in lower case; a subcommand's without that of its container.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The first version of Redis (or Valkey, where only that has the command) with it.
    pub since: &'static str,
    /// The command's group in the documentation.
    pub group: Group,
    /// Number of words, the names included; negative if it is a minimum.
    pub arity: i32,
    /// How it may run.
    pub flags: Flags,
    /// ACL categories that do not follow from the flags (see [`Row::categories`]).
    pub acl: Acl,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// What it does to its keys, if that depends on the other arguments.
    pub(crate) key_flags: Option<fn(Argv<'_>) -> KeyFlags>,
    /// Finds a key that no specification describes.
    pub(crate) more_keys: Option<fn(Argv<'_>) -> Option<FoundKey>>,
    /// The arguments, in the grammar that the module `syntax` describes.
    pub syntax: &'static str,
    /// Time complexity; empty for containers.
    pub complexity: &'static str,
    /// Hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// The replacement, if the command is deprecated: since when, and by what.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Subcommands, if the command is a container.
    pub subcommands: &'static [Row],
    /// The command itself.
    pub(crate) run: Handler,
}

impl Row {
    /// The base for struct update syntax.
    pub const EMPTY: Row = Row {
        name: "",
        summary: "",
        since: "",
        group: Group::Generic,
        arity: 0,
        flags: Flags::empty(),
        acl: Acl::empty(),
        keys: &[],
        key_flags: None,
        more_keys: None,
        syntax: "",
        complexity: "",
        tips: &[],
        deprecated: None,
        subcommands: &[],
        run: container,
    };

    /// All ACL categories: those of the row, and those that the flags imply.
    pub fn categories(&self) -> Acl {
        let mut all = self.acl;
        let implied = [
            (Flags::WRITE, Acl::WRITE),
            (Flags::ADMIN, Acl::ADMIN.union(Acl::DANGEROUS)),
            (Flags::PUBSUB, Acl::PUBSUB),
            (Flags::FAST, Acl::FAST),
            (Flags::BLOCKING, Acl::BLOCKING),
        ];
        for (flag, category) in implied {
            if self.flags.contains(flag) {
                all |= category;
            }
        }
        if self.flags.contains(Flags::READONLY) && !all.contains(Acl::SCRIPTING) {
            all |= Acl::READ;
        }
        if !all.contains(Acl::FAST) {
            all |= Acl::SLOW;
        }
        all
    }

    /// Whether `words` words, the names included, are a possible number of them.
    #[inline]
    pub fn accepts(&self, words: usize) -> bool {
        if self.arity >= 0 {
            words == self.arity as usize
        } else {
            words >= self.arity.unsigned_abs() as usize
        }
    }
}

/// Containers have no handler of their own: the engine finds the subcommand first, or refuses.
fn container(_: &mut Ctx<'_>) -> Result<(), Error> {
    Err(Error::Syntax)
}

/// Groups of the documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Pubsub,
    Transactions,
    Connection,
    Server,
    Scripting,
    HyperLogLog,
    Cluster,
    Geo,
    Stream,
    Bitmap,
}

impl Group {
    /// Whether its commands work on keys that may hold many elements.
    #[inline]
    pub(crate) fn is_collection(self) -> bool {
        matches!(self, Group::List | Group::Set | Group::SortedSet | Group::Hash | Group::Geo | Group::Stream)
    }

    /// The name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::HyperLogLog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }
}

bitflags::bitflags! {
    /// How a command may run. The names in lower case are those of COMMAND, in its order.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Flags: u32 {
        /// May change the dataset.
        const WRITE = 1 << 0;
        /// Reads keys only.
        const READONLY = 1 << 1;
        /// May grow memory, so it is refused beyond `maxmemory`.
        const DENYOOM = 1 << 2;
        /// For administrators.
        const ADMIN = 1 << 3;
        /// Part of publish/subscribe.
        const PUBSUB = 1 << 4;
        /// Not from scripts.
        const NOSCRIPT = 1 << 5;
        /// May block the client.
        const BLOCKING = 1 << 6;
        /// Runs while a dataset is loading.
        const LOADING = 1 << 7;
        /// Runs on a replica without its primary.
        const STALE = 1 << 8;
        /// Not shown to MONITOR.
        const SKIP_MONITOR = 1 << 9;
        /// Not entered in the slow log.
        const SKIP_SLOWLOG = 1 << 10;
        /// Accepted by an importing node of a cluster.
        const ASKING = 1 << 11;
        /// Constant or logarithmic time.
        const FAST = 1 << 12;
        /// Runs before authentication.
        const NO_AUTH = 1 << 13;
        /// Its keys may be absent.
        const NO_MANDATORY_KEYS = 1 << 14;
        /// Not inside a transaction.
        const NO_MULTI = 1 << 15;
        /// Its keys' positions depend on other arguments.
        const MOVABLEKEYS = 1 << 16;
        /// Not while a replica loads asynchronously.
        const NO_ASYNC_LOADING = 1 << 17;
        /// Runs beside a script that has run too long.
        const ALLOW_BUSY = 1 << 18;
        /// Runs at once inside a transaction, whose end it may be. Not shown by COMMAND.
        const NOT_QUEUED = 1 << 19;
        /// Has effects beyond the reply though it need not write, so it waits as writes do. Not shown by COMMAND.
        const MAY_REPLICATE = 1 << 20;
    }

    /// ACL categories.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Acl: u32 {
        /// `@keyspace`.
        const KEYSPACE = 1 << 0;
        /// `@read`.
        const READ = 1 << 1;
        /// `@write`.
        const WRITE = 1 << 2;
        /// `@set`.
        const SET = 1 << 3;
        /// `@sortedset`.
        const SORTEDSET = 1 << 4;
        /// `@list`.
        const LIST = 1 << 5;
        /// `@hash`.
        const HASH = 1 << 6;
        /// `@string`.
        const STRING = 1 << 7;
        /// `@bitmap`.
        const BITMAP = 1 << 8;
        /// `@hyperloglog`.
        const HYPERLOGLOG = 1 << 9;
        /// `@geo`.
        const GEO = 1 << 10;
        /// `@stream`.
        const STREAM = 1 << 11;
        /// `@pubsub`.
        const PUBSUB = 1 << 12;
        /// `@admin`.
        const ADMIN = 1 << 13;
        /// `@fast`.
        const FAST = 1 << 14;
        /// `@slow`.
        const SLOW = 1 << 15;
        /// `@blocking`.
        const BLOCKING = 1 << 16;
        /// `@dangerous`.
        const DANGEROUS = 1 << 17;
        /// `@connection`.
        const CONNECTION = 1 << 18;
        /// `@transaction`.
        const TRANSACTION = 1 << 19;
        /// `@scripting`.
        const SCRIPTING = 1 << 20;
    }

    /// What a command does to the keys of a [`KeySpec`].
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct KeyFlags: u32 {
        /// Reads the value, does not change it.
        const RO = 1 << 0;
        /// Changes the value depending on the old one.
        const RW = 1 << 1;
        /// Overwrites the value without reading it.
        const OW = 1 << 2;
        /// Removes the key.
        const RM = 1 << 3;
        /// Returns or copies user data.
        const ACCESS = 1 << 4;
        /// Changes existing data.
        const UPDATE = 1 << 5;
        /// Adds data.
        const INSERT = 1 << 6;
        /// Removes data.
        const DELETE = 1 << 7;
        /// Not a key, though it is hashed like one.
        const NOT_KEY = 1 << 8;
        /// The specification may miss some keys.
        const INCOMPLETE = 1 << 9;
        /// The flags depend on other arguments.
        const VARIABLE_FLAGS = 1 << 10;
    }
}

impl Flags {
    /// Also while loading and on a replica without its primary.
    pub const HELPING: Flags = Flags::LOADING.union(Flags::STALE);
    /// The same, and not from scripts.
    pub const ANYTIME: Flags = Flags::HELPING.union(Flags::NOSCRIPT);
    /// The same, and for administrators.
    pub const ADMINISTRATIVE: Flags = Flags::ANYTIME.union(Flags::ADMIN);
    /// What a client may send before anything else.
    pub const GREETING: Flags =
        Flags::ANYTIME.union(Flags::FAST).union(Flags::NO_AUTH).union(Flags::ALLOW_BUSY);
}

/// Where a command's keys are, as in the key specifications of COMMAND.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// What happens to them.
    pub flags: KeyFlags,
    /// Where to begin.
    pub begin: Begin,
    /// How to find all of them from there.
    pub find: Find,
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// After this word, which is searched from argument `from` on (backwards from the end if negative).
    Keyword(&'static str, i32),
    /// It cannot be told from the arguments' places.
    Unknown,
}

/// How keys are found from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// `last` is relative to the beginning, or to the end if negative; if `last` is -1, `limit` (if over 1) divides
    /// the remaining arguments: 2 stands for one half.
    Range {
        /// Index of the last key.
        last: i32,
        /// Distance between keys.
        step: usize,
        /// Divisor of the remaining arguments.
        limit: usize,
    },
    /// An argument tells how many keys there are.
    Count {
        /// Index of the number, relative to the beginning.
        count: usize,
        /// Index of the first key, relative to the beginning.
        first: usize,
        /// Distance between keys.
        step: usize,
    },
    /// It cannot be told from the arguments' places.
    Unknown,
}

impl KeySpec {
    /// Keys that the arguments' places do not tell.
    pub const fn unknown(flags: KeyFlags) -> KeySpec {
        KeySpec { flags, begin: Begin::Unknown, find: Find::Unknown }
    }

    /// One key at argument `index`.
    pub const fn one(index: usize, flags: KeyFlags) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Keys from argument `index` to `last` (negative: from the end), every `step` arguments.
    pub const fn range(index: usize, last: i32, step: usize, flags: KeyFlags) -> KeySpec {
        KeySpec { flags, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 } }
    }

    /// A number of keys at argument `index`, then the keys, every `step` arguments.
    pub const fn counted(index: usize, step: usize, flags: KeyFlags) -> KeySpec {
        KeySpec { flags, begin: Begin::Index(index), find: Find::Count { count: 0, first: 1, step } }
    }
}
