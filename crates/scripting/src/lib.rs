//! Lua 5.1 scripts and functions as Redis runs them.
//!
//! * [`Scripts`] holds the scripts of EVAL, [`Functions`] the libraries of FUNCTION LOAD. Each has a Lua state of its own,
//!   in which nothing can be reached but the harmless functions of Lua, the libraries `cjson`, `cmsgpack`, `struct` and
//!   `bit`, and the `redis` table.
//! * [`Host`] is what they ask of the server: to execute a command, to write to the log, and whether a script that takes
//!   long may go on. [`Words`] are their arguments, and [`Reply`] takes their results.
//!
//! The crate knows no command, no key and no socket; replies reach it as bytes of the protocol. What it guarantees: no
//! access to files, processes or precompiled code; no more memory than allowed, but for the result of one native call;
//! no state that a script leaves to the next one, except what Redis leaves (the settings of `cjson`); and an end of
//! any script at the instruction at which the host says so.

mod api;
mod convert;
mod functions;
mod host;
mod library;
mod libs;
mod lua;
mod names;
mod number;
mod run;
mod sandbox;
mod scripts;
mod shebang;

pub use functions::{FunctionInfo, Functions, Library, Policy};
pub use host::{Host, LogLevel, Protocol, Replication, Reply, Verdict};
pub use run::{Failed, Finished, Words};
pub use sandbox::Versions;
pub use scripts::{Digest, ScriptId, Scripts};
pub use shebang::{Refusal, ScriptFlags};
