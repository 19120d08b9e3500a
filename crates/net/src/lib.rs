//! Connections: listening sockets, clients' buffers and their limits. Parsed commands go up to a [`Service`], reply
//! bytes come down.
//!
//! One thread runs the loop ([`Net::run`]). What a connection costs is decided here: an idle one holds no buffer at
//! all, a batch of pipelined commands costs one read and one write, and no work per turn grows with the number of
//! connections.
//!
//! The crate knows no command, no key and no user. Who may do what, what a command is and what it answers is the
//! service's business; so is every text a client sees, except the protocol errors and the refusal for too many
//! clients.

mod accept;
mod config;
mod conn;
mod driver;
mod files;
mod input;
mod listener;
mod net;
mod output;
mod service;
mod stats;
mod stream;
mod upkeep;

pub use carnelian_reactor::{Backend, Deadline, LoopStats, Now, Waker, monotonic_ns, thread_cpu_ns};
pub use config::{Class, Config, OutputLimit};
pub use conn::{ConnId, ConnInfo, Peer, PeerKind};
pub use files::{Adjusted, raise_open_files};
pub use listener::ListenError;
pub use net::{How, Net};
pub use service::{Admission, Next, Outcome, Service};
pub use stats::NetStats;
