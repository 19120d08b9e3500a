//! SIGTERM and SIGINT ask for a clean shutdown, and SIGINT once more ends the process at once. SIGHUP is ignored, and
//! so is SIGPIPE, by Rust's runtime. A thread of its own waits for them, which works even if the loop is stuck.
#![expect(clippy::disallowed_methods, reason = "the second SIGINT ends the process, whatever it is doing")]

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::logging;
use carnelian_config::Directive;

/// What asked for a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// `shutdown-on-sigint` applies.
    Interrupt = 1,
    /// `shutdown-on-sigterm` applies.
    Terminate = 2,
}

impl Signal {
    /// The directive that says how the server shuts down.
    pub(crate) fn directive(self) -> Directive {
        match self {
            Signal::Interrupt => Directive::named("shutdown-on-sigint"),
            Signal::Terminate => Directive::named("shutdown-on-sigterm"),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        })
    }
}

/// Whether a shutdown was asked for. Clones share one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown(Arc<AtomicU8>);

impl Shutdown {
    /// The latest signal, if there was any.
    pub(crate) fn requested(&self) -> Option<Signal> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Signal::Interrupt),
            _ => Some(Signal::Terminate),
        }
    }

    /// The server could not shut down and goes on.
    pub(crate) fn refused(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Notes a signal. True if the user insists.
    fn arrived(&self, signal: Signal) -> bool {
        let before = self.0.swap(signal as u8, Ordering::AcqRel);
        before != 0 && signal == Signal::Interrupt
    }
}

/// Starts to listen. `wake` is called after each signal, on another thread.
///
/// # Errors
/// If handlers cannot be installed or the thread cannot be started.
pub(crate) fn listen(wake: impl Fn() + Send + 'static) -> io::Result<Shutdown> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let shutdown = Shutdown::default();
    let state = shutdown.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        for number in signals.forever() {
            let signal = match number {
                SIGINT => Signal::Interrupt,
                SIGTERM => Signal::Terminate,
                _ => continue,
            };
            if state.arrived(signal) {
                logging::from_signal("You insist... exiting now.");
                std::process::exit(1);
            }
            logging::from_signal(&format!("Received {signal} scheduling shutdown..."));
            wake();
        }
    })?;
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn only_a_second_interrupt_insists() {
        let check = |signals: &[Signal], insists: bool| {
            let state = Shutdown::default();
            let last = signals.iter().fold(false, |_, &signal| state.arrived(signal));
            assert_eq!(last, insists, "{signals:?}");
        };
        check(&[Signal::Interrupt], false);
        check(&[Signal::Terminate, Signal::Terminate], false);
        check(&[Signal::Interrupt, Signal::Terminate], false);
        check(&[Signal::Interrupt, Signal::Interrupt], true);
        check(&[Signal::Terminate, Signal::Interrupt], true);
    }

    #[test]
    fn a_signal_wakes_the_loop() {
        let (sender, receiver) = mpsc::channel();
        let shutdown = listen(move || sender.send(()).expect("the test waits")).expect("handlers");
        assert_eq!(shutdown.requested(), None);
        signal_hook::low_level::raise(SIGHUP).expect("raised");
        signal_hook::low_level::raise(SIGTERM).expect("raised");
        receiver.recv_timeout(Duration::from_secs(10)).expect("woken");
        assert_eq!(shutdown.requested(), Some(Signal::Terminate));
    }
}
