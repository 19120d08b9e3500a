//! What the engine asks of the outside while it runs commands: connections, the clock, the process. Implemented by
//! the server over its network layer, and by tests over nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use carnelian_config::{Change, Config, Directive};
use carnelian_resp::ReplyBuf;

use crate::engine::Beside;

/// Identifies a client: a small index which is reused, and the number that CLIENT ID answers, which is not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientId {
    /// Index among the clients connected now.
    pub slot: u32,
    /// Unique from 1 on.
    pub serial: u64,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// When the output has been written.
    AfterReply,
    /// At once.
    Now,
}

/// One end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether only processes of this machine can have it.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for Address {
    /// As CLIENT LIST shows it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "{}:0", path.display()),
        }
    }
}

/// The network's view of a client.
#[derive(Clone, Debug)]
pub struct LinkInfo {
    /// The client's end.
    pub peer: Address,
    /// Our end.
    pub local: Address,
    /// File descriptor.
    pub fd: i32,
    /// Bytes read and not yet executed.
    pub query: usize,
    /// Free bytes of the query buffer.
    pub query_free: usize,
    /// Bytes waiting to be written.
    pub output: usize,
    /// Heap bytes of the output.
    pub output_memory: usize,
    /// Bytes read in total.
    pub read: u64,
    /// Bytes written in total.
    pub written: u64,
}

/// Totals of the network layer, for INFO.
#[derive(Clone, Copy, Default, Debug)]
pub struct NetTotals {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused beyond `maxclients`.
    pub rejected: u64,
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Read events.
    pub reads: u64,
    /// Write events.
    pub writes: u64,
    /// Clients closed for exceeding the query buffer's limit.
    pub query_limit_closes: u64,
    /// Clients closed for exceeding the output buffer's limit.
    pub output_limit_closes: u64,
    /// Heap bytes of all clients' buffers.
    pub memory: u64,
    /// Bytes of the largest input of a client over the last seconds.
    pub recent_input: u64,
    /// Bytes of the largest output of a client over the last seconds.
    pub recent_output: u64,
    /// Turns of the event loop.
    pub turns: u64,
    /// Microseconds spent in them, waiting excluded.
    pub busy_us: u64,
    /// Microseconds of the longest one.
    pub longest_turn_us: u64,
}

/// The process's view of memory and time, for INFO and MEMORY.
#[derive(Clone, Copy, Default, Debug)]
pub struct ProcessStats {
    /// Resident bytes.
    pub rss: u64,
    /// Bytes the general allocator has handed out.
    pub allocated: u64,
    /// Bytes of the pages in which the general allocator has handed out something.
    pub allocator_active: u64,
    /// Bytes that the general allocator has in memory.
    pub allocator_resident: u64,
    /// Bytes of the machine.
    pub system_memory: u64,
    /// User time of the process, in microseconds.
    pub cpu_user_us: u64,
    /// System time of the process, in microseconds.
    pub cpu_system_us: u64,
    /// User time of the executor's thread, in microseconds.
    pub cpu_main_user_us: u64,
    /// System time of the executor's thread, in microseconds.
    pub cpu_main_system_us: u64,
}

/// Facts about the process that do not change.
#[derive(Clone, Default, Debug)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Path of the executable.
    pub executable: String,
    /// Absolute path of the configuration file; empty without one.
    pub config_file: String,
    /// `uname`: system, release and machine.
    pub os: String,
    /// Name and version of the general allocator.
    pub allocator: String,
    /// 40 hexadecimal digits which differ from run to run.
    pub run_id: String,
    /// How the loop waits: `epoll`, `kqueue`, ...
    pub multiplexing: String,
}

/// The engine's access to the outside.
pub trait Links {
    /// A monotonic clock in nanoseconds. Read once per command.
    fn clock_ns(&mut self) -> u64;
    /// Nanoseconds for which this thread has had a processor.
    fn cpu_ns(&mut self) -> u64;
    /// Ends a connection. The engine learns of it by [`Engine::disconnected`](crate::Engine::disconnected).
    fn close(&mut self, id: ClientId, how: Close);
    /// Appends to the output of another client than the one whose batch runs.
    fn send(&mut self, id: ClientId, write: &mut dyn FnMut(&mut ReplyBuf));
    /// The output limits of a client become those of subscribers, or of ordinary clients again.
    fn set_subscriber(&mut self, id: ClientId, subscriber: bool);
    /// Lets a paused client go on: its unexecuted commands are offered again.
    fn resume(&mut self, id: ClientId);
    /// Holds back what a client is sent from now on, and has not been sent yet, until [`Links::release`] is called with as
    /// much.
    fn hold(&mut self, _id: ClientId, _until: u64) {}
    /// Lets go on what is held until so much or less.
    fn release(&mut self, _up_to: u64) {}
    /// Whether a client's connection is neither gone nor about to be closed.
    fn is_open(&mut self, id: ClientId) -> bool;
    /// The network's view of a client.
    fn info(&mut self, id: ClientId) -> Option<LinkInfo>;
    /// Totals of the network layer.
    fn totals(&mut self) -> NetTotals;
    /// Resets the totals that CONFIG RESETSTAT resets.
    fn reset_totals(&mut self);
    /// Memory and processor time of the process.
    fn process(&mut self) -> ProcessStats;
    /// Facts about the process.
    fn identity(&mut self) -> &Identity;
    /// Applies changed directives outside of the engine (addresses, limits, logging). `config` has the new values. On
    /// an error, which names the directive, the engine reverts the values and calls again.
    fn apply(&mut self, changes: &[Change], config: &Config) -> Result<(), (Directive, String)>;
    /// The working directory. It need not be known if there are no files.
    fn directory(&mut self) -> PathBuf {
        PathBuf::new()
    }
    /// Rewrites the configuration file from the current values.
    fn rewrite_config(&mut self, config: &Config) -> Result<(), String>;
    /// Gives free memory back to the system.
    fn purge_memory(&mut self);
    /// Holds back, or takes up again, periodic work on connections such as shrinking their buffers; for tests. There
    /// need not be any such work.
    fn pause_upkeep(&mut self, _paused: bool) {}
    /// Stops the server when the loop's turn ends.
    fn stop(&mut self);
    /// Serves other clients than the running one for a moment, without waiting, while the running command goes on.
    /// Whether the server is to stop. There need not be any others.
    fn serve_beside(&mut self, _beside: &mut Beside<'_>) -> bool {
        false
    }
    /// Blocks the whole server, for DEBUG SLEEP.
    fn sleep(&mut self, microseconds: u64);
}
