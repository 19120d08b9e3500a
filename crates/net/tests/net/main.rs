//! The network layer over real sockets, below a toy service. One binary, so that it is linked once.

#![expect(clippy::disallowed_methods, reason = "tests wait, and look at the time")]

mod limits;
mod listening;
mod serving;
mod toy;
