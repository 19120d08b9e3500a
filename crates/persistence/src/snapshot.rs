//! From a snapshot of the keyspace to the bytes of a file, on two threads.
//!
//! On the keyspace's thread a [`Capture`] receives keys and only copies them, into [`Batch`]es that go through a
//! channel. On another thread an [`Assembler`] encodes, compresses and sums what is in them. A batch counts its bytes
//! in a shared number for as long as it lives, so that the owner of the keyspace can pause the walk while the other
//! thread is behind; what is changed meanwhile is captured nevertheless.
//!
//! Nothing here opens files or starts threads, and nothing knows when a snapshot begins.

mod assembler;
mod batch;
mod capture;

pub use assembler::Assembler;
pub use batch::Batch;
pub use capture::{Access, Capture};
