//! The loop itself: one turn, and what a turn calls.

use std::io;
use std::time::Duration;

use crate::clock::{Deadline, Now, monotonic_ns};
use crate::poll::{Backend, Poll, Ready, Registry, Token};
use crate::stats::LoopStats;
use crate::timers::{TimerId, Timers};
use crate::waker::{WAKE_TOKEN, WakeReceiver, Waker};

/// What the loop calls. The handler owns the reactor, so every callback can reach it.
///
/// Events of one wait are delivered one after the other; an event for a source that an earlier callback of the
/// same turn dropped may still be delivered, so a handler must tolerate tokens it no longer knows.
pub trait Handler {
    /// The reactor that drives this handler.
    fn reactor(&mut self) -> &mut Reactor;
    /// A source is readable, or has an error.
    fn readable(&mut self, token: Token);
    /// A source is writable, or has an error.
    fn writable(&mut self, token: Token);
    /// A time event is due. It is gone now: a periodic one adds itself again.
    fn timer(&mut self, id: TimerId, token: Token);
    /// Some thread has called [`Waker::wake`] since the last time.
    fn woken(&mut self);
    /// The loop is about to sleep. The answer limits the sleep, as a time event would.
    fn before_sleep(&mut self) -> Option<Deadline>;
    /// The loop has slept and read the clock; no event has been delivered yet.
    fn after_sleep(&mut self);
}

/// A single-threaded event loop; see the crate's documentation.
pub struct Reactor {
    poll: Poll,
    timers: Timers,
    wake: WakeReceiver,
    now: Now,
    stats: LoopStats,
    /// Reused by every wait.
    ready: Vec<Ready>,
    /// When the current cycle began, on the monotonic clock.
    cycle_start_ns: u64,
}

impl Reactor {
    /// Makes a reactor with nothing registered.
    ///
    /// # Errors
    /// Those of the operating system, such as too many open files.
    pub fn new(backend: Backend) -> io::Result<Reactor> {
        let poll = Poll::new(backend)?;
        let wake = WakeReceiver::new(poll.registry())?;
        let now = Now::read();
        Ok(Reactor {
            poll,
            timers: Timers::default(),
            wake,
            now,
            stats: LoopStats::default(),
            ready: Vec::new(),
            cycle_start_ns: now.mono_ns,
        })
    }

    /// The handle that registers descriptors.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// A handle for other threads to wake this loop.
    pub fn waker(&self) -> Waker {
        self.wake.waker()
    }

    /// The clock reading of this turn.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Reads the clock again in the middle of a turn, for handlers that know to have spent long.
    pub fn refresh_now(&mut self) -> Now {
        self.now = Now::read();
        self.now
    }

    /// Adds a time event. It fires once, in the first turn that begins at or after the deadline.
    pub fn add_timer(&mut self, deadline: Deadline, token: Token) -> TimerId {
        self.timers.add(deadline, token)
    }

    /// Removes a time event and says whether it was still pending.
    pub fn cancel_timer(&mut self, id: TimerId) -> bool {
        self.timers.cancel(id)
    }

    /// What the loop has measured about itself.
    pub fn stats(&self) -> &LoopStats {
        &self.stats
    }

    /// Forgets what the loop has measured.
    pub fn reset_stats(&mut self) {
        self.stats = LoopStats::default();
    }

    /// Runs one turn of the loop. A signal may end the sleep early, but not on every backend: what a signal asks for
    /// should arrive through a [`Waker`].
    ///
    /// # Errors
    /// Only what makes waiting impossible.
    pub fn turn(handler: &mut impl Handler) -> io::Result<()> {
        let wanted = handler.before_sleep();
        let reactor = handler.reactor();
        let mut ready = std::mem::take(&mut reactor.ready);
        let slept = reactor.sleep(wanted, &mut ready);
        handler.after_sleep();
        for event in &ready {
            if event.token == WAKE_TOKEN {
                handler.reactor().wake.clear();
                handler.woken();
                continue;
            }
            if event.readable {
                handler.readable(event.token);
            }
            if event.writable {
                handler.writable(event.token);
            }
        }
        handler.reactor().ready = ready;
        run_timers(handler);
        slept
    }

    /// Ends the cycle, waits, and begins the next cycle.
    fn sleep(&mut self, wanted: Option<Deadline>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let before = monotonic_ns();
        self.stats.record(before.saturating_sub(self.cycle_start_ns));
        let deadline = match (wanted, self.timers.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let timeout = deadline.map(|deadline| Duration::from_nanos(deadline.0.saturating_sub(before)));
        let waited = self.poll.wait(timeout, ready);
        self.now = Now::read();
        self.cycle_start_ns = self.now.mono_ns;
        self.stats.file_events += ready.len() as u64;
        waited
    }
}

fn run_timers(handler: &mut impl Handler) {
    let reactor = handler.reactor();
    let (now, horizon) = (Deadline(reactor.now.mono_ns), reactor.timers.horizon());
    while let Some((id, token)) = handler.reactor().timers.pop_due(now, horizon) {
        handler.timer(id, token);
    }
}
