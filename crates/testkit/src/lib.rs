//! Test tools: real servers on free ports, raw replies, recorded compatibility cases, seeded randomness.
//!
//! Knows no crate of the workspace. Replies are framed here a second time, on purpose: what judges the server
//! must not share code with it.

#![expect(clippy::disallowed_methods, reason = "tests start processes, read files and wait on the clock")]

mod client;
mod peers;
mod rng;
mod server;

pub mod differences;
pub mod play;
pub mod quote;
pub mod recording;
pub mod reply;
pub mod rule;
pub mod script;

pub use client::{Client, Replies, encode};
pub use peers::{Peer, Peers};
pub use rng::Rng;
pub use server::{Server, ServerOptions};
