//! RDB: the format of Redis's and Valkey's dumps, of which a file is one and the reply to DUMP another.
//!
//! [`Reader`] reads a file from chunks and says what is in it, event by event; [`Loader`] puts it into a keyspace.
//! [`Writer`] writes one, key by key. [`dump`] and [`Payload`] are for single values. Which versions and lines there
//! are is told by [`Version`] and [`Format`]; docs/formats/rdb.md of the repository describes the bytes.
//!
//! Nothing here does I/O. What is read is checked first: every length, order and checksum, and that no element occurs
//! twice; and no memory is taken for what a length only promises.

mod build;
mod crc64;
mod cursor;
mod encode;
mod error;
mod format;
mod large;
mod loader;
mod lzf;
mod packed;
mod payload;
mod reader;
mod stream;
mod value;
mod writer;
mod ziplist;

pub use build::Built;
pub use encode::FieldDeadlines;
pub use error::{Error, Fault};
pub use format::{Format, Version};
pub use large::{ConsumerShape, GroupShape, Large, Shape, StreamShape};
pub use loader::{LoadOptions, Loaded, Loader};
pub use payload::{Payload, PayloadError, dump, dump_functions, has_field_deadlines};
pub use reader::{Event, KeyHead, Progress, Reader, Sink};
pub use stream::{StreamPart, Totals};
pub use value::Part;
pub use writer::{Entry, Head, WriteOptions, Writer};
