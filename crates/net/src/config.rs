//! Settings, as values; their textual form is the configuration's business.

use std::path::PathBuf;
use std::time::Duration;

use carnelian_reactor::Backend;

/// Everything that can be set. Defaults are Redis's.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on: host names or IP addresses; `*` and `::*` are all IPv4 and all IPv6 addresses. With a
    /// leading `-` an address that this machine does not have is ignored.
    pub bind: Vec<String>,
    /// TCP port; 0 listens on no TCP address.
    pub port: u16,
    /// Path of the Unix socket.
    pub unix_socket: Option<PathBuf>,
    /// Permission bits of the Unix socket's file (what the umask leaves, if none).
    pub unix_permissions: Option<u32>,
    /// Length of the queue of connections not accepted yet.
    pub backlog: i32,
    /// Most clients at once.
    pub max_clients: usize,
    /// Most clients accepted from one listener in one turn.
    pub max_accepts_per_turn: usize,
    /// An idle client is closed after this; zero is never.
    pub timeout: Duration,
    /// After how much silence TCP keepalive probes are sent; zero is never. Probes follow at a third of it, and the
    /// third one without an answer ends the connection.
    pub keepalive: Duration,
    /// Most bytes a client may have sent that are not executed yet.
    pub query_buffer_limit: usize,
    /// Limits of output not yet sent, by [`Class`].
    pub output_limits: [OutputLimit; Class::COUNT],
    /// How many times a second the upkeep works. Each time it looks at this part of all clients, but at least at a
    /// few, so that every client is seen once a second or more often.
    pub hz: u32,
    /// How the loop waits.
    pub backend: Backend,
}

impl Default for Config {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        let limit = |hard, soft, seconds| OutputLimit { hard, soft, soft_for: Duration::from_secs(seconds) };
        Config {
            bind: vec!["*".to_owned(), "-::*".to_owned()],
            port: 6379,
            unix_socket: None,
            unix_permissions: None,
            backlog: 511,
            max_clients: 10_000,
            max_accepts_per_turn: 10,
            timeout: Duration::ZERO,
            keepalive: Duration::from_secs(300),
            query_buffer_limit: 1 << 30,
            output_limits: [limit(0, 0, 0), limit(256 * MIB, 64 * MIB, 60), limit(32 * MIB, 8 * MIB, 60)],
            hz: 10,
            backend: Backend::Native,
        }
    }
}

/// Which output limits apply to a client. Only `Normal` clients are subject to the idle timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Class {
    /// Clients that send commands and read replies.
    #[default]
    Normal,
    /// Replicas.
    Replica,
    /// Clients subscribed to channels.
    PubSub,
}

impl Class {
    /// Number of classes.
    pub const COUNT: usize = 3;
}

/// How much output a client may leave unread, beyond 16 KiB that are not counted. Zeros are no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutputLimit {
    /// More bytes than this close the client at once.
    pub hard: u64,
    /// More bytes than this, for as long as `soft_for`, close it too.
    pub soft: u64,
    /// See `soft`.
    pub soft_for: Duration,
}
