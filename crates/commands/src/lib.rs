//! The commands of a Redis-compatible server, and the one way to execute them.
//!
//! * [`Engine`] owns the keyspace, what is known of each client, the configuration and the statistics. Commands reach
//!   it as parsed words, in batches ([`Engine::run_batch`]) or one by one ([`Engine::execute`]); replies go to a
//!   [`carnelian_resp::ReplyBuf`].
//! * [`Row`] describes one command; each family file holds the rows of its commands beside their functions. COMMAND,
//!   ACL categories, key extraction, arity errors and docs/commands.md ([`markdown`]) derive from the rows.
//! * [`Links`] is what the engine asks of the outside: the clock, other clients' outputs, the process.
//!
//! The crate sees no socket, no file and no thread.

mod args;
mod bitmap;
mod blocking;
mod client;
mod commandlog;
mod connection;
mod context;
mod docs;
mod double;
mod effects;
mod engine;
mod error;
mod float;
mod generic;
mod geo;
mod glob;
mod hash;
mod help;
mod hyperloglog;
mod keys;
mod links;
mod list;
mod monitor;
mod notifications;
mod pause;
mod persistence;
mod pubsub;
mod row;
mod scripting;
mod server;
mod set;
mod settings;
mod sorted_set;
mod stats;
mod stream;
mod string;
mod syntax;
mod table;
#[cfg(test)]
mod testing;
mod tracking;
mod transaction;
mod watches;

pub use docs::markdown;
pub use engine::{BatchOutcome, Beside, Engine, Next, Options};
pub use error::Error;
pub use links::{Address, ClientId, Close, Identity, LinkInfo, Links, NetTotals, ProcessStats};
pub use persistence::Storage;
pub use row::{Acl, Begin, Find, Flags, Group, KeyFlags, KeySpec, Row};
