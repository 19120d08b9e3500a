//! The configuration of a Redis-compatible server: one row per directive, and everything derived from the rows.
//!
//! * [`mod@table`]: every directive of Redis 8.2.3 and Valkey 9.1.2 with its type, default, range and mutability.
//! * [`Config`]: the current values. `CONFIG GET` and `CONFIG SET` semantics, typed reads, roll-back.
//! * [`mod@file`]: the redis.conf syntax, `include`, and `--directive value` options turned into such text.
//! * [`mod@rewrite`]: `CONFIG REWRITE`, from the old text of a file to the new one.
//! * [mod@docs] derives docs/config.md.
//!
//! The crate knows no subsystem and does no I/O. It validates and keeps values; whoever owns a subsystem applies
//! the [`Change`]s that [`Config::set_many`] returns, and hands them to [`Config::revert`] if that fails.
//!
//! ```
//! use carnelian_config::{Access, Config, Directive};
//!
//! const MAXMEMORY: Directive = Directive::named("maxmemory"); // an unknown name does not compile
//! let mut config = Config::new();
//! let changes = config.set_many(&[(b"maxmemory", b"1gb")], Access::default()).unwrap();
//! assert_eq!(changes[0].directive, MAXMEMORY);
//! assert_eq!(config.size(MAXMEMORY), 1 << 30);
//! ```
#![forbid(unsafe_code)]

mod check;
mod config;
pub mod docs;
pub mod file;
mod glob;
pub mod rewrite;
pub mod table;
mod text;
mod value;

pub use config::{Access, Change, Config, SetError};
pub use file::{Declaration, LoadError, Location, Source};
pub use table::{Directive, Effect, Kind, Row, Unit};
pub use value::{ClientClass, KeyspaceEvents, OutputLimit, SavePoint, ShutdownFlags, Value, parse_memory};

/// The Redis version whose texts and defaults this crate reproduces.
pub const COMPATIBLE_VERSION: &str = "8.2.3";
