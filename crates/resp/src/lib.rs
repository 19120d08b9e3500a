//! The Redis protocol, both versions of it (RESP2 and RESP3), as pure functions over bytes.
//!
//! Three parts, each usable without the others:
//!
//! * [`RequestParser`] finds the commands that a client pipelined into a buffer, and leaves the arguments
//!   where they are: a [`Batch`] holds positions, an [`Argv`] is one command's view of the buffer.
//! * [`ReplyBuf`] is the output of one connection: typed replies go in, chunks of bytes come out, in the form
//!   that the connection's [`Protocol`] asks for.
//! * [`Decoder`] turns a stream of replies into [`Value`]s: the client's side, and what tests and tools need.
//!
//! The crate knows no socket, no command and no error text beyond the protocol's own. Nothing here blocks,
//! allocates in proportion to a length that a peer merely claims, or panics on any input.
//!
//! # A server's side
//!
//! ```
//! use carnelian_resp::{Batch, Limits, Progress, ReplyBuf, RequestParser};
//!
//! let mut input = b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\r\n*1\r\n$4\r\nPI".to_vec();
//! let mut parser = RequestParser::new();
//! let mut batch = Batch::new();
//! let mut out = ReplyBuf::new();
//!
//! let progress = parser.parse(&input, 100, &Limits::default(), &mut batch)?;
//! assert_eq!(progress, Progress::NeedMore);
//! for i in 0..batch.len() {
//!     let argv = batch.argv(i, &input);
//!     match (&argv[0], argv.len()) {
//!         (b"PING", 1) => out.simple("PONG"),
//!         (b"ECHO", 2) => out.bulk(&argv[1]),
//!         _ => out.error(b"ERR unknown command"),
//!     }
//! }
//! // The third command is incomplete: its bytes stay in front, and the parser remembers how far it came.
//! let done = batch.end(batch.len() - 1);
//! input.drain(..done);
//! parser.consumed(done);
//! batch.clear();
//! assert_eq!(input, b"*1\r\n$4\r\nPI");
//! assert_eq!(parser.missing(), 4);
//! assert_eq!(out.to_vec(), b"$2\r\nhi\r\n+PONG\r\n");
//! # Ok::<(), carnelian_resp::ProtocolError>(())
//! ```
//!
//! # A client's side
//!
//! ```
//! use carnelian_resp::{Decoder, OwnedArgv, Value};
//!
//! let request = OwnedArgv::from_slices(&[b"GET", b"k"]).as_argv().to_request();
//! assert_eq!(request, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
//!
//! let mut decoder = Decoder::new();
//! decoder.feed(b"*2\r\n$3\r\none\r\n:");
//! assert_eq!(decoder.decode()?, None); // not all there yet
//! decoder.feed(b"2\r\n");
//! let value = Value::Array(vec![Value::bulk("one"), Value::Integer(2)]);
//! assert_eq!(decoder.decode()?, Some(value));
//! # Ok::<(), carnelian_resp::DecodeError>(())
//! ```
#![forbid(unsafe_code)]

mod argv;
mod decode;
mod inline;
pub mod number;
mod pretty;
mod reply;
mod request;
mod value;

pub use argv::{Argv, Batch, OwnedArgv, write_request};
pub use decode::{DecodeError, DecodeLimits, Decoder};
pub use reply::{Later, Mark, Protocol, ReplyBuf};
pub use request::{Limits, Progress, ProtocolError, RequestParser};
pub use value::Value;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
