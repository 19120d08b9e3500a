//! A small single-threaded event loop.
//!
//! A [`Reactor`] waits for three kinds of things: file descriptors that become readable or writable
//! ([`Source`]), deadlines ([`Reactor::add_timer`]) and wake-ups from other threads ([`Waker`]). It calls a
//! [`Handler`], which owns the reactor and may change registrations from within any callback. A turn of the
//! loop is: `before_sleep`, wait, read the clock, `after_sleep`, file events, time events, wake-up.
//!
//! Registration goes through the `polling` crate in level-triggered mode. On Linux the wait is a single
//! `epoll_pwait2` on polling's epoll descriptor, because polling's own wait makes about five system calls; that
//! portable wait remains selectable ([`Backend`]) and passes the same tests.
//!
//! The crate knows no protocol, no sockets and no buffers: what a descriptor is for is its owner's business.
//!
//! ```
//! use carnelian_reactor::{Backend, Deadline, Handler, Reactor, TimerId, Token};
//!
//! struct Once { reactor: Reactor, fired: bool }
//! impl Handler for Once {
//!     fn reactor(&mut self) -> &mut Reactor { &mut self.reactor }
//!     fn readable(&mut self, _: Token) {}
//!     fn writable(&mut self, _: Token) {}
//!     fn timer(&mut self, _: TimerId, _: Token) { self.fired = true; }
//!     fn woken(&mut self) {}
//!     fn before_sleep(&mut self) -> Option<Deadline> { None }
//!     fn after_sleep(&mut self) {}
//! }
//!
//! let mut once = Once { reactor: Reactor::new(Backend::default())?, fired: false };
//! let deadline = once.reactor.now().after(std::time::Duration::from_millis(2));
//! once.reactor.add_timer(deadline, Token(7));
//! while !once.fired {
//!     Reactor::turn(&mut once)?;
//! }
//! # std::io::Result::Ok(())
//! ```

mod clock;
mod poll;
mod reactor;
mod stats;
mod timers;
mod waker;

pub use clock::{Deadline, Now, monotonic_ns, thread_cpu_ns};
pub use poll::{Backend, Interest, Registry, Source, Token};
pub use reactor::{Handler, Reactor};
pub use stats::LoopStats;
pub use timers::TimerId;
pub use waker::Waker;
