//! The directive table: the union of `CONFIG GET *` of Redis 8.2.3 and Valkey 9.1.2, and of the directives which
//! both show only when they are asked for by their exact name.
//!
//! Where the two differ in a default, a range or mutability, the row holds Redis's; words that either knows are
//! accepted. Directives of loadable modules have no row;
//! a directive that the stock binary answers without any module being loaded by the user has one. Builds of a peer
//! differ too: what a peer refuses only because of how it was compiled is accepted and kept here.
//!
//! The rows are sorted by name (checked when compiling), and a [`Directive`] is an index into them.

use crate::check;

/// One directive.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name, as in redis.conf.
    pub name: &'static str,
    /// Older or other names that mean the same directive; they are listed by CONFIG GET as well.
    pub aliases: &'static [&'static str],
    /// The default, in the form in which CONFIG GET prints it.
    pub default: &'static str,
    /// What values look like.
    pub kind: Kind,
    /// Numbers outside of these bounds are accepted but pulled to the nearer bound.
    pub clamp: Option<(i128, i128)>,
    /// Only the command line and the file set it; CONFIG SET is refused.
    pub immutable: bool,
    /// CONFIG SET needs `enable-protected-configs`.
    pub protected: bool,
    /// The value must not get into logs.
    pub sensitive: bool,
    /// CONFIG SET is refused while a dataset is loading.
    pub deny_loading: bool,
    /// CONFIG GET shows it only when asked for the exact name; CONFIG REWRITE treats it as any other.
    pub hidden: bool,
    /// CONFIG SET reports a change even if the value stays the same, since a file behind it may be a new one.
    pub volatile: bool,
    /// Whether the server does anything with it.
    pub effect: Effect,
}

/// Whether a directive does something in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The server acts on it.
    Acts,
    /// The value is validated and kept; the feature behind it does not exist (yet).
    Kept,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A decimal integer.
    Plain,
    /// Bytes, with an optional unit: k, kb, m, mb, g, gb (the ones without b are powers of 1000).
    Memory,
    /// As `Memory`, or a percentage (`5%`), which is kept as a negative number.
    MemoryOrPercent,
    /// An octal integer.
    Octal,
}

/// The type of a directive's value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// One of some words. A word `b` with `(b, a)` in `same` is a second spelling of `a`.
    OneOf {
        /// All words.
        words: &'static [&'static str],
        /// Indices of (second spelling, first spelling).
        same: Option<(usize, usize)>,
    },
    /// Any set of some words; the first one stands for the empty set.
    FlagSet(&'static [&'static str]),
    /// An integer from `min` to `max`.
    Number {
        /// Smallest value.
        min: i128,
        /// Largest value.
        max: i128,
        /// How it is written.
        unit: Unit,
        /// A number below zero, or above the largest `i64`, has an error text of its own.
        unsigned: bool,
    },
    /// Any text that passes the check.
    Text(fn(&[u8]) -> Result<(), &'static str>),
    /// Pairs of seconds and changes.
    Save,
    /// Groups of class, hard limit, soft limit and soft seconds.
    OutputLimits,
    /// Three scores: primary, replica, child.
    OomScores,
    /// Letters of event classes.
    KeyspaceEvents,
    /// Up to 16 addresses.
    Bind,
    /// Host and port of a primary, or `no one`.
    ReplicaOf,
    /// Numbers from 0 to 100.
    Percentiles,
}

impl Kind {
    /// Whether a line of the file may carry several arguments for it.
    pub const fn is_multi_arg(&self) -> bool {
        matches!(
            self,
            Kind::FlagSet(_)
                | Kind::Save
                | Kind::OutputLimits
                | Kind::OomScores
                | Kind::Bind
                | Kind::ReplicaOf
                | Kind::Percentiles
        )
    }
}

/// A directive: an index into [`ROWS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Directive(u16);

impl Directive {
    /// The directive of this name (not an alias). Meant for constants: an unknown name is a compile error there.
    ///
    /// # Panics
    /// If there is no such directive.
    pub const fn named(name: &str) -> Self {
        let mut i = 0;
        while i < ROWS.len() {
            if compare(ROWS[i].name, name) == 0 {
                return Directive(i as u16);
            }
            i += 1;
        }
        panic!("no such directive")
    }

    /// The directive of this name or alias, in any case of letters.
    pub fn find(name: &[u8]) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if let Ok(i) = ROWS.binary_search_by(|row| row.name.as_bytes().cmp(&lower)) {
            return Some(Directive(i as u16));
        }
        ROWS.iter()
            .position(|row| row.aliases.iter().any(|alias| alias.as_bytes() == lower))
            .map(|i| Directive(i as u16))
    }

    /// All directives, by name.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..ROWS.len() as u16).map(Directive)
    }

    /// Its row.
    pub const fn row(self) -> &'static Row {
        &ROWS[self.0 as usize]
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

const fn compare(a: &str, b: &str) -> i32 {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return a[i] as i32 - b[i] as i32;
        }
        i += 1;
    }
    a.len() as i32 - b.len() as i32
}

const _: () = {
    let mut i = 1;
    while i < ROWS.len() {
        assert!(compare(ROWS[i - 1].name, ROWS[i].name) < 0, "rows must be sorted by name");
        i += 1;
    }
};

const fn row(name: &'static str, default: &'static str, kind: Kind) -> Row {
    Row {
        name,
        aliases: &[],
        default,
        kind,
        clamp: None,
        immutable: false,
        protected: false,
        sensitive: false,
        deny_loading: false,
        hidden: false,
        volatile: false,
        effect: Effect::Kept,
    }
}

impl Row {
    const fn aka(self, aliases: &'static [&'static str]) -> Self {
        Row { aliases, ..self }
    }
    const fn clamp(self, min: i128, max: i128) -> Self {
        Row { clamp: Some((min, max)), ..self }
    }
    const fn immutable(self) -> Self {
        Row { immutable: true, ..self }
    }
    const fn protected(self) -> Self {
        Row { protected: true, ..self }
    }
    const fn sensitive(self) -> Self {
        Row { sensitive: true, ..self }
    }
    const fn deny_loading(self) -> Self {
        Row { deny_loading: true, ..self }
    }
    const fn hidden(self) -> Self {
        Row { hidden: true, ..self }
    }
    const fn volatile(self) -> Self {
        Row { volatile: true, ..self }
    }
    const fn acts(self) -> Self {
        Row { effect: Effect::Acts, ..self }
    }
}

const BOOL: Kind = Kind::Bool;
const TEXT: Kind = Kind::Text(check::any);
const PORT: Kind = int(0, 65535);
const I32_MIN: i128 = i32::MIN as i128;
const I32_MAX: i128 = i32::MAX as i128;
const U32_MAX: i128 = u32::MAX as i128;
const I64_MAX: i128 = i64::MAX as i128;
const U64_MAX: i128 = u64::MAX as i128;

const fn int(min: i128, max: i128) -> Kind {
    Kind::Number { min, max, unit: Unit::Plain, unsigned: false }
}
const fn unsigned(min: i128, max: i128) -> Kind {
    Kind::Number { min, max, unit: Unit::Plain, unsigned: true }
}
const fn memory(min: i128, max: i128) -> Kind {
    Kind::Number { min, max, unit: Unit::Memory, unsigned: false }
}
const fn unsigned_memory(min: i128, max: i128) -> Kind {
    Kind::Number { min, max, unit: Unit::Memory, unsigned: true }
}
const fn memory_or_percent(min: i128, max: i128) -> Kind {
    Kind::Number { min, max, unit: Unit::MemoryOrPercent, unsigned: false }
}
const fn octal(min: i128, max: i128) -> Kind {
    Kind::Number { min, max, unit: Unit::Octal, unsigned: true }
}
const fn one_of(words: &'static [&'static str]) -> Kind {
    Kind::OneOf { words, same: None }
}

const PROTECTED_ACTION: Kind = one_of(&["no", "yes", "local"]);
const OOM_SCORE_ADJ: Kind = Kind::OneOf { words: &["no", "yes", "relative", "absolute"], same: Some((2, 1)) };
const ON_SIGNAL: Kind = Kind::FlagSet(&["default", "save", "nosave", "now", "force", "safe", "failover"]);
const SYSLOG_FACILITY: Kind =
    one_of(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]);
const MAXMEMORY_POLICY: Kind = one_of(&[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
]);
const OUTPUT_LIMITS: &str = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";

/// Every directive, sorted by name.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    row("acl-pubsub-default", "resetchannels", one_of(&["allchannels", "resetchannels"])),
    row("aclfile", "", TEXT).immutable(),
    row("acllog-max-len", "128", int(0, I64_MAX)),
    row("active-defrag-cycle-max", "25", int(1, 99)),
    row("active-defrag-cycle-min", "1", int(1, 99)),
    row("active-defrag-cycle-us", "500", int(0, 100000)),
    row("active-defrag-ignore-bytes", "104857600", unsigned_memory(1, I64_MAX)),
    row("active-defrag-max-scan-fields", "1000", int(1, I64_MAX)),
    row("active-defrag-threshold-lower", "10", int(0, 1000)),
    row("active-defrag-threshold-upper", "100", int(0, 1000)),
    row("active-expire-effort", "1", int(1, 10)),
    row("activedefrag", "no", BOOL),
    row("activerehashing", "yes", BOOL),
    row("always-show-logo", "no", BOOL).immutable(),
    row("aof-disable-auto-gc", "no", BOOL).hidden().acts(),
    row("aof-load-truncated", "yes", BOOL).acts(),
    row("aof-rewrite-cpulist", "", TEXT).aka(&["aof_rewrite_cpulist"]).immutable(),
    row("aof-rewrite-incremental-fsync", "yes", BOOL).acts(),
    row("aof-timestamp-enabled", "no", BOOL).acts(),
    row("aof-use-rdb-preamble", "yes", BOOL).acts(),
    row("appenddirname", "appendonlydir", Kind::Text(check::append_dirname)).immutable().acts(),
    row("appendfilename", "appendonly.aof", Kind::Text(check::append_filename)).immutable().acts(),
    row("appendfsync", "everysec", one_of(&["everysec", "always", "no"])).acts(),
    row("appendonly", "no", BOOL).acts(),
    row("auto-aof-rewrite-min-size", "67108864", memory(0, I64_MAX)).acts(),
    row("auto-aof-rewrite-percentage", "100", int(0, I32_MAX)).acts(),
    row("availability-zone", "", TEXT),
    row("bgsave-cpulist", "", TEXT).aka(&["bgsave_cpulist"]).immutable(),
    row("bind", "* -::*", Kind::Bind).acts(),
    row("bind-source-addr", "", TEXT),
    row("bio-cpulist", "", TEXT).aka(&["bio_cpulist"]).immutable(),
    row("busy-reply-threshold", "5000", int(0, I64_MAX)).aka(&["lua-time-limit"]).acts(),
    row("client-output-buffer-limit", OUTPUT_LIMITS, Kind::OutputLimits).acts(),
    row("client-query-buffer-limit", "1073741824", unsigned_memory(1 << 20, I64_MAX)).acts(),
    row("cluster-allow-pubsubshard-when-down", "yes", BOOL),
    row("cluster-allow-reads-when-down", "no", BOOL),
    row("cluster-allow-replica-migration", "yes", BOOL),
    row("cluster-announce-bus-port", "0", PORT),
    row("cluster-announce-client-ipv4", "", Kind::Text(check::ipv4)),
    row("cluster-announce-client-ipv6", "", Kind::Text(check::ipv6)),
    row("cluster-announce-client-port", "0", PORT),
    row("cluster-announce-client-tls-port", "0", PORT),
    row("cluster-announce-hostname", "", Kind::Text(check::hostname)),
    row("cluster-announce-human-nodename", "", Kind::Text(check::node_name)),
    row("cluster-announce-ip", "", TEXT),
    row("cluster-announce-port", "0", PORT),
    row("cluster-announce-tls-port", "0", PORT),
    row("cluster-blacklist-ttl", "60", int(0, U64_MAX)),
    row("cluster-compatibility-sample-ratio", "0", int(0, 100)),
    row("cluster-config-file", "nodes.conf", TEXT).immutable(),
    row("cluster-config-save-behavior", "sync", one_of(&["sync", "best-effort -"])),
    row("cluster-databases", "1", int(1, I32_MAX)).immutable(),
    row("cluster-enabled", "no", BOOL).immutable(),
    row("cluster-link-sendbuf-limit", "0", unsigned_memory(0, U64_MAX)),
    row("cluster-manual-failover-timeout", "5000", int(1, I32_MAX)),
    row("cluster-message-gossip-perc", "10", int(1, 100)).hidden(),
    row("cluster-migration-barrier", "1", int(0, I32_MAX)),
    row("cluster-node-timeout", "15000", int(0, I64_MAX)),
    row("cluster-ping-interval", "0", int(0, I64_MAX)).hidden(),
    row("cluster-port", "0", PORT).immutable(),
    row("cluster-preferred-endpoint-type", "ip", one_of(&["ip", "hostname", "unknown-endpoint"])),
    row("cluster-replica-no-failover", "no", BOOL).aka(&["cluster-slave-no-failover"]),
    row("cluster-replica-validity-factor", "10", int(0, I32_MAX)).aka(&["cluster-slave-validity-factor"]),
    row("cluster-require-full-coverage", "yes", BOOL),
    row("cluster-slot-migration-log-max-len", "1000", int(0, I64_MAX)),
    row("cluster-slot-stats-enabled", "no", BOOL),
    row("commandlog-large-reply-max-len", "128", int(0, I64_MAX)).acts(),
    row("commandlog-large-request-max-len", "128", int(0, I64_MAX)).acts(),
    row("commandlog-reply-larger-than", "1048576", int(-1, I64_MAX)).acts(),
    row("commandlog-request-larger-than", "1048576", int(-1, I64_MAX)).acts(),
    row("crash-log-enabled", "yes", BOOL),
    row("crash-memcheck-enabled", "yes", BOOL),
    row("daemonize", "no", BOOL).immutable().acts(),
    row("databases", "16", int(1, I32_MAX)).immutable().acts(),
    row("dbfilename", "dump.rdb", Kind::Text(check::db_filename)).protected().acts(),
    row("debug-context", "", TEXT).hidden(),
    row("dir", "", TEXT).protected().deny_loading().acts(),
    row("disable-thp", "yes", BOOL).immutable(),
    row("dual-channel-replication-enabled", "no", BOOL),
    row("dynamic-hz", "yes", BOOL),
    row("enable-debug-assert", "no", BOOL).immutable().hidden(),
    row("enable-debug-command", "no", PROTECTED_ACTION).immutable().acts(),
    row("enable-module-command", "no", PROTECTED_ACTION).immutable(),
    row("enable-protected-configs", "no", PROTECTED_ACTION).immutable().acts(),
    row("extended-redis-compatibility", "no", BOOL),
    row("hash-max-listpack-entries", "512", unsigned(0, I64_MAX)).aka(&["hash-max-ziplist-entries"]).acts(),
    row("hash-max-listpack-value", "64", unsigned_memory(0, I64_MAX)).aka(&["hash-max-ziplist-value"]).acts(),
    row("hash-seed", "", TEXT).immutable(),
    row("hide-user-data-from-log", "no", BOOL),
    row("hll-sparse-max-bytes", "3000", unsigned_memory(0, I64_MAX)).acts(),
    row("hz", "10", int(0, I32_MAX)).clamp(1, 500).acts(),
    row("ignore-warnings", "", TEXT),
    row("import-mode", "no", BOOL),
    row("io-threads", "1", int(1, 128)).immutable(),
    row("io-threads-always-active", "no", BOOL).hidden(),
    row("jemalloc-bg-thread", "yes", BOOL),
    row("key-load-delay", "0", int(I32_MIN, I32_MAX)).hidden().acts(),
    row("latency-monitor-threshold", "0", int(0, I64_MAX)),
    row("latency-tracking", "yes", BOOL).acts(),
    row("latency-tracking-info-percentiles", "50 99 99.9", Kind::Percentiles).acts(),
    row("lazyexpire-nested-arbitrary-keys", "yes", BOOL).hidden(),
    row("lazyfree-lazy-eviction", "no", BOOL),
    row("lazyfree-lazy-expire", "no", BOOL).acts(),
    row("lazyfree-lazy-server-del", "no", BOOL).acts(),
    row("lazyfree-lazy-user-del", "no", BOOL),
    row("lazyfree-lazy-user-flush", "no", BOOL).acts(),
    row("lfu-decay-time", "1", int(0, I32_MAX)).acts(),
    row("lfu-log-factor", "10", int(0, I32_MAX)).acts(),
    row("list-compress-depth", "0", int(0, I32_MAX)),
    row("list-max-listpack-size", "-2", int(I32_MIN, I32_MAX)).aka(&["list-max-ziplist-size"]).acts(),
    row("loading-process-events-interval-bytes", "524288", int(1024, I32_MAX)).hidden(),
    row("locale-collate", "", TEXT),
    row("log-format", "legacy", one_of(&["legacy", "logfmt", "json"])).acts(),
    row("log-timestamp-format", "legacy", one_of(&["legacy", "iso8601", "milliseconds"])).acts(),
    row("logfile", "", TEXT).immutable().acts(),
    row("loglevel", "notice", one_of(&["debug", "verbose", "notice", "warning", "nothing"])).acts(),
    row("lua-enable-deprecated-api", "no", BOOL).immutable().hidden(),
    row("lua-enable-insecure-api", "no", BOOL).protected().hidden(),
    row("lua-memory-limit", "1073741824", memory(0, I64_MAX)).acts(),
    row("masterauth", "", TEXT).aka(&["primaryauth"]).sensitive(),
    row("masteruser", "", TEXT).aka(&["primaryuser"]).sensitive(),
    row("max-new-connections-per-cycle", "10", unsigned(1, 1000)).acts(),
    row("max-new-tls-connections-per-cycle", "1", unsigned(1, 1000)),
    row("maxclients", "10000", unsigned(1, U32_MAX)).acts(),
    row("maxmemory", "0", unsigned_memory(0, U64_MAX)),
    row("maxmemory-clients", "0", memory_or_percent(-100, I64_MAX)),
    row("maxmemory-eviction-tenacity", "10", int(0, 100)),
    row("maxmemory-policy", "noeviction", MAXMEMORY_POLICY),
    row("maxmemory-samples", "5", int(1, 64)),
    row("min-io-threads-avoid-copy-reply", "7", int(0, I32_MAX)).hidden(),
    row("min-replicas-max-lag", "10", int(0, I32_MAX)).aka(&["min-slaves-max-lag"]),
    row("min-replicas-to-write", "0", int(0, I32_MAX)).aka(&["min-slaves-to-write"]),
    row("min-string-size-avoid-copy-reply", "16384", int(0, I32_MAX)).hidden(),
    row("min-string-size-avoid-copy-reply-threaded", "65536", int(0, I32_MAX)).hidden(),
    row("mptcp", "no", BOOL).immutable(),
    row("no-appendfsync-on-rewrite", "no", BOOL).acts(),
    row("notify-keyspace-events", "", Kind::KeyspaceEvents).acts(),
    row("oom-score-adj", "no", OOM_SCORE_ADJ),
    row("oom-score-adj-values", "0 200 800", Kind::OomScores),
    row("pidfile", "", TEXT).immutable().acts(),
    row("port", "6379", PORT).acts(),
    row("prefetch-batch-max-size", "16", int(0, 128)),
    row("proc-title-template", "{title} {listen-addr} {server-mode}", Kind::Text(check::title_template)).acts(),
    row("propagation-error-behavior", "ignore", one_of(&["ignore", "panic", "panic-on-replicas"])),
    row("protected-mode", "yes", BOOL).acts(),
    row("proto-max-bulk-len", "536870912", memory(1 << 20, I64_MAX)).acts(),
    row("rdb-del-sync-files", "no", BOOL),
    row("rdb-format", "11", one_of(&["redis-10", "11", "redis-12", "valkey-80"])).acts(),
    row("rdb-key-save-delay", "0", int(I32_MIN, I32_MAX)).hidden().acts(),
    row("rdb-save-incremental-fsync", "yes", BOOL).acts(),
    row("rdb-version-check", "strict", one_of(&["strict", "relaxed -"])),
    row("rdbchecksum", "yes", BOOL).immutable().acts(),
    row("rdbcompression", "yes", BOOL).acts(),
    row("rdma-bind", "", TEXT),
    row("rdma-completion-vector", "-1", int(-1, 1024)).immutable(),
    row("rdma-port", "0", PORT),
    row("rdma-rx-size", "1048576", int(65536, 16 << 20)).immutable(),
    row("repl-backlog-size", "1048576", memory(1, I64_MAX)).clamp(16384, I64_MAX),
    row("repl-backlog-ttl", "3600", int(0, I64_MAX)),
    row("repl-disable-tcp-nodelay", "no", BOOL),
    row("repl-diskless-load", "disabled", one_of(&["disabled", "on-empty-db", "swapdb", "flush-before-load"])).deny_loading(),
    row("repl-diskless-sync", "yes", BOOL),
    row("repl-diskless-sync-delay", "5", int(0, I32_MAX)),
    row("repl-diskless-sync-max-replicas", "0", int(0, I32_MAX)),
    row("repl-mptcp", "no", BOOL).immutable(),
    row("repl-ping-replica-period", "10", int(1, I32_MAX)).aka(&["repl-ping-slave-period"]),
    row("repl-rdb-channel", "yes", BOOL).hidden(),
    row("repl-timeout", "60", int(1, I32_MAX)),
    row("replica-announce-ip", "", TEXT).aka(&["slave-announce-ip"]),
    row("replica-announce-port", "0", PORT).aka(&["slave-announce-port"]),
    row("replica-announced", "yes", BOOL),
    row("replica-full-sync-buffer-limit", "0", memory(0, I64_MAX)),
    row("replica-ignore-disk-write-errors", "no", BOOL),
    row("replica-ignore-maxmemory", "yes", BOOL).aka(&["slave-ignore-maxmemory"]),
    row("replica-lazy-flush", "no", BOOL).aka(&["slave-lazy-flush"]),
    row("replica-priority", "100", int(0, I32_MAX)).aka(&["slave-priority"]),
    row("replica-read-only", "yes", BOOL).aka(&["slave-read-only"]),
    row("replica-serve-stale-data", "yes", BOOL).aka(&["slave-serve-stale-data"]),
    row("replicaof", "", Kind::ReplicaOf).aka(&["slaveof"]).immutable(),
    row("requirepass", "", TEXT).sensitive().acts(),
    row("sanitize-dump-payload", "no", one_of(&["no", "yes", "clients"])),
    row("save", "3600 1 300 100 60 10000", Kind::Save).acts(),
    row("server-cpulist", "", TEXT).aka(&["server_cpulist"]).immutable(),
    row("set-max-intset-entries", "512", unsigned(0, I64_MAX)).acts(),
    row("set-max-listpack-entries", "128", unsigned(0, I64_MAX)).acts(),
    row("set-max-listpack-value", "64", unsigned(0, I64_MAX)).acts(),
    row("set-proc-title", "yes", BOOL).immutable().acts(),
    row("shutdown-on-sigint", "default", ON_SIGNAL).acts(),
    row("shutdown-on-sigterm", "default", ON_SIGNAL).acts(),
    row("shutdown-timeout", "10", int(0, I32_MAX)),
    row("slot-migration-max-failover-repl-bytes", "0", memory(-1, I64_MAX)),
    row("slowlog-log-slower-than", "10000", int(-1, I64_MAX)).aka(&["commandlog-execution-slower-than"]).acts(),
    row("slowlog-max-len", "128", int(0, I64_MAX)).aka(&["commandlog-slow-execution-max-len"]).acts(),
    row("socket-mark-id", "0", unsigned(0, U32_MAX)).immutable(),
    row("stop-writes-on-bgsave-error", "yes", BOOL).acts(),
    row("stream-node-max-bytes", "4096", unsigned_memory(0, I64_MAX)).acts(),
    row("stream-node-max-entries", "100", int(0, I64_MAX)).acts(),
    row("supervised", "no", one_of(&["upstart", "systemd", "auto", "no"])).immutable(),
    row("syslog-enabled", "no", BOOL).immutable(),
    row("syslog-facility", "local0", SYSLOG_FACILITY).immutable(),
    row("syslog-ident", "redis", TEXT).immutable(),
    row("tcp-backlog", "511", int(0, I32_MAX)).immutable().acts(),
    row("tcp-keepalive", "300", int(0, I32_MAX)).acts(),
    row("timeout", "0", int(0, I32_MAX)).acts(),
    row("tls-auth-clients", "yes", one_of(&["no", "yes", "optional"])),
    row("tls-auth-clients-user", "off", one_of(&["CN", "URI", "off"])),
    row("tls-auto-reload-interval", "0", int(0, I32_MAX)),
    row("tls-ca-cert-dir", "", TEXT).volatile(),
    row("tls-ca-cert-file", "", TEXT).volatile(),
    row("tls-cert-file", "", TEXT).volatile(),
    row("tls-ciphers", "", TEXT),
    row("tls-ciphersuites", "", TEXT),
    row("tls-client-cert-file", "", TEXT).volatile(),
    row("tls-client-key-file", "", TEXT).volatile(),
    row("tls-client-key-file-pass", "", TEXT).sensitive(),
    row("tls-cluster", "no", BOOL),
    row("tls-dh-params-file", "", TEXT).volatile(),
    row("tls-key-file", "", TEXT).volatile(),
    row("tls-key-file-pass", "", TEXT).sensitive(),
    row("tls-port", "0", PORT),
    row("tls-prefer-server-ciphers", "no", BOOL),
    row("tls-protocols", "", TEXT),
    row("tls-replication", "no", BOOL),
    row("tls-session-cache-size", "20480", int(0, I32_MAX)),
    row("tls-session-cache-timeout", "300", int(0, I32_MAX)),
    row("tls-session-caching", "yes", BOOL),
    row("tracking-table-max-keys", "1000000", unsigned(0, I64_MAX)).acts(),
    row("unixsocket", "", TEXT).immutable().acts(),
    row("unixsocketgroup", "", TEXT).immutable(),
    row("unixsocketperm", "0", octal(0, 0o777)).immutable().acts(),
    row("use-exit-on-panic", "no", BOOL).hidden(),
    row("vset-force-single-threaded-execution", "no", BOOL),
    row("watchdog-period", "0", int(0, I32_MAX)).hidden(),
    row("zset-max-listpack-entries", "128", unsigned(0, I64_MAX)).aka(&["zset-max-ziplist-entries"]).acts(),
    row("zset-max-listpack-value", "64", unsigned_memory(0, I64_MAX)).aka(&["zset-max-ziplist-value"]).acts(),
];
