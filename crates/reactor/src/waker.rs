//! Wake-ups from other threads.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Interest, Registry, Source, Token};

/// The token under which the loop's own end of the wake-up channel is registered.
pub(crate) const WAKE_TOKEN: Token = Token(usize::MAX - 1);

#[derive(Debug)]
struct Shared {
    /// True from the first wake-up until the loop has seen it, so that a burst costs one write.
    signalled: AtomicBool,
    sender: UnixStream,
}

/// Wakes the loop from any thread. Wake-ups that arrive before the loop looks are merged into one.
///
/// polling's own notification is not used: clearing it is only possible through polling's own wait.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

impl Waker {
    /// Makes the current or the next sleep of the loop end, and its [`woken`](crate::Handler::woken) run. Allocates
    /// and locks nothing.
    pub fn wake(&self) {
        if self.shared.signalled.swap(true, Ordering::AcqRel) {
            return;
        }
        loop {
            match (&self.shared.sender).write(&[1]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // A full channel wakes the loop all the same, and a closed one has no loop to wake.
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// The loop's end of the channel.
#[derive(Debug)]
pub(crate) struct WakeReceiver {
    source: Source,
    shared: Arc<Shared>,
}

impl WakeReceiver {
    pub(crate) fn new(registry: &Registry) -> io::Result<WakeReceiver> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        let source = registry.register(receiver.into(), WAKE_TOKEN, Interest::READABLE)?;
        Ok(WakeReceiver { source, shared: Arc::new(Shared { signalled: AtomicBool::new(false), sender }) })
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker { shared: Arc::clone(&self.shared) }
    }

    /// Empties the channel. The bytes go first and the flag after them: a wake-up in between is merged into the
    /// one now being handled, and one after it writes again. The flag is exchanged, not just stored, so that whatever
    /// was done before a merged wake-up is seen after this.
    pub(crate) fn clear(&self) {
        let mut sink = [0; 16];
        while matches!(rustix::io::read(&self.source, &mut sink), Ok(n) if n == sink.len()) {}
        self.shared.signalled.swap(false, Ordering::AcqRel);
    }
}
