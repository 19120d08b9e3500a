//! Registration of file descriptors and the two ways to wait for them.
//!
//! The only module of the crate with `unsafe` code, for three reasons. polling demands that a descriptor is
//! deregistered before it is closed: [`Source`] owns its descriptor and does so when dropped. Kernels and sandboxes
//! without `epoll_pwait2` need `epoll_wait`, which rustix then no longer offers. And a reactor may move to the thread
//! that will run it, although the kernel's event structure has room for a pointer.
//!
//! polling stores our key as it is in `epoll_event.data`. It keeps the key `usize::MAX` for two descriptors of
//! its own (a notifier and a timer, both armed once only by its own wait), which the native path never triggers.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events, PollMode, Poller};

/// Which system calls the loop sleeps in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// The fewest system calls the platform allows: on Linux one `epoll_pwait2`; elsewhere the same as `Portable`.
    #[default]
    Native,
    /// polling's own wait: epoll (here only on Linux 5.11 or later), kqueue or event ports.
    Portable,
}

/// Says in a callback which descriptor or timer it is about. The two largest values are reserved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub usize);

/// Which readiness of a descriptor is reported. Errors and hang-ups are reported as soon as either is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    /// Report when there is something to read, or the peer has closed.
    pub readable: bool,
    /// Report when something can be written.
    pub writable: bool,
}

impl Interest {
    /// Nothing; errors may still be reported, as both readable and writable.
    pub const NONE: Interest = Interest { readable: false, writable: false };
    /// Readable only.
    pub const READABLE: Interest = Interest { readable: true, writable: false };
    /// Writable only.
    pub const WRITABLE: Interest = Interest { readable: false, writable: true };
    /// Readable and writable.
    pub const BOTH: Interest = Interest { readable: true, writable: true };

    fn event(self, token: Token) -> Event {
        Event::new(token.0, self.readable, self.writable)
    }
}

/// Registers descriptors with a reactor; a cheap handle.
#[derive(Clone, Debug)]
pub struct Registry {
    poller: Arc<Poller>,
}

impl Registry {
    /// Registers `fd`, which must be in non-blocking mode for the loop's sake. It is deregistered and closed when
    /// the returned [`Source`] is dropped.
    ///
    /// # Errors
    /// Those of the operating system (`EPERM`: this kind of file cannot be waited for), and `InvalidInput` for
    /// a reserved token.
    pub fn register(&self, fd: OwnedFd, token: Token, interest: Interest) -> io::Result<Source> {
        // SAFETY: the descriptor must be deregistered before it is closed. `Source` owns it from here on, gives
        // out only borrows, and deregisters it in its `drop`, before its field `fd` is dropped.
        unsafe { self.poller.add_with_mode(fd.as_raw_fd(), interest.event(token), PollMode::Level)? };
        Ok(Source { fd, poller: Arc::clone(&self.poller) })
    }
}

/// A file descriptor that is registered with a reactor for as long as this value lives.
#[derive(Debug)]
pub struct Source {
    fd: OwnedFd,
    poller: Arc<Poller>,
}

impl Source {
    /// Replaces token and interest.
    pub fn modify(&self, token: Token, interest: Interest) -> io::Result<()> {
        self.poller.modify_with_mode(&self.fd, interest.event(token), PollMode::Level)
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let deregistered = self.poller.delete(&self.fd);
        debug_assert!(deregistered.is_ok(), "a registered descriptor can be deregistered: {deregistered:?}");
    }
}

/// What happened to a descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: Token,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// Most descriptors reported by one wait; the rest is reported by the next.
const EVENTS_PER_WAIT: usize = 1024;

/// Waits for registered descriptors.
pub(crate) struct Poll {
    registry: Registry,
    wait: Wait,
}

/// A way to wait, with its buffer for the kernel's answer.
enum Wait {
    #[cfg(target_os = "linux")]
    Pwait2(EpollEvents),
    /// For kernels before 5.11, and for sandboxes that refuse the newer call.
    #[cfg(target_os = "linux")]
    Milliseconds(Vec<libc::epoll_event>),
    Portable(Events),
}

#[cfg(target_os = "linux")]
struct EpollEvents(Vec<rustix::event::epoll::Event>);

// SAFETY: what keeps the type from being `Send` is the pointer variant of its union, and the union only ever holds
// integer keys here.
#[cfg(target_os = "linux")]
unsafe impl Send for EpollEvents {}

impl Poll {
    pub(crate) fn new(backend: Backend) -> io::Result<Poll> {
        let registry = Registry { poller: Arc::new(Poller::new()?) };
        let wait = match backend {
            #[cfg(target_os = "linux")]
            Backend::Native => native_wait(&registry.poller),
            _ => portable_wait(),
        };
        Ok(Poll { registry, wait })
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Sleeps until something is ready, at most `timeout`, and puts what is ready into `ready`. May return early
    /// with nothing, for instance because of a signal.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        let poller = &self.registry.poller;
        match &mut self.wait {
            #[cfg(target_os = "linux")]
            Wait::Pwait2(EpollEvents(events)) => wait_pwait2(poller, events, timeout, ready),
            #[cfg(target_os = "linux")]
            Wait::Milliseconds(events) => wait_milliseconds(poller, events, timeout, ready),
            Wait::Portable(events) => {
                events.clear();
                poller.wait(events, timeout)?;
                ready.extend(events.iter().map(|event| Ready {
                    token: Token(event.key),
                    readable: event.readable,
                    writable: event.writable,
                }));
                Ok(())
            }
        }
    }
}

fn portable_wait() -> Wait {
    let capacity = std::num::NonZeroUsize::new(EVENTS_PER_WAIT).expect("the constant is not zero");
    Wait::Portable(Events::with_capacity(capacity))
}

/// Asks the kernel once for `epoll_pwait2`.
#[cfg(target_os = "linux")]
fn native_wait(poller: &Poller) -> Wait {
    use rustix::event::{Timespec, epoll};
    let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    match epoll::wait(poller, rustix::buffer::spare_capacity(&mut events), Some(&zero)) {
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => milliseconds_wait(),
        _ => Wait::Pwait2(EpollEvents(events)),
    }
}

#[cfg(target_os = "linux")]
fn milliseconds_wait() -> Wait {
    Wait::Milliseconds(Vec::with_capacity(EVENTS_PER_WAIT))
}

#[cfg(target_os = "linux")]
fn wait_pwait2(
    poller: &Poller,
    events: &mut Vec<rustix::event::epoll::Event>,
    timeout: Option<Duration>,
    ready: &mut Vec<Ready>,
) -> io::Result<()> {
    use rustix::event::{Timespec, epoll};
    // A timeout too large for the kernel is as good as none.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    events.clear();
    match epoll::wait(poller, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    ready.extend(events.iter().filter_map(|event| {
        // Copies: the struct is packed on some architectures.
        let (data, flags) = (event.data, event.flags);
        decode(data.u64(), flags.bits())
    }));
    Ok(())
}

#[cfg(target_os = "linux")]
fn wait_milliseconds(
    poller: &Poller,
    events: &mut Vec<libc::epoll_event>,
    timeout: Option<Duration>,
    ready: &mut Vec<Ready>,
) -> io::Result<()> {
    // Rounded up: a deadline must not be reached by spinning.
    let timeout = timeout.map_or(-1, |timeout| {
        libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
    });
    events.clear();
    let room = libc::c_int::try_from(events.capacity()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer and the length describe the vector's own allocation, which nobody else uses meanwhile.
    let count = unsafe { libc::epoll_wait(poller.as_raw_fd(), events.as_mut_ptr(), room, timeout) };
    let Ok(count) = usize::try_from(count) else {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
    };
    // SAFETY: the kernel has initialized the first `count` elements, and `count` is at most the capacity.
    unsafe { events.set_len(count) };
    ready.extend(events.iter().filter_map(|event| {
        let (data, flags) = (event.u64, event.events);
        decode(data, flags)
    }));
    Ok(())
}

/// Reads one kernel event as polling wrote it; `None` for polling's own descriptors.
#[cfg(target_os = "linux")]
fn decode(data: u64, flags: u32) -> Option<Ready> {
    const EITHER: u32 = (libc::EPOLLHUP | libc::EPOLLERR) as u32;
    const READ: u32 = (libc::EPOLLIN | libc::EPOLLPRI) as u32 | EITHER;
    const WRITE: u32 = libc::EPOLLOUT as u32 | EITHER;
    let key = data as usize;
    (key != usize::MAX).then_some(Ready {
        token: Token(key),
        readable: flags & READ != 0,
        writable: flags & WRITE != 0,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn all_waits() -> Vec<Poll> {
        let mut polls = vec![Poll::new(Backend::Native).unwrap(), Poll::new(Backend::Portable).unwrap()];
        let registry = Registry { poller: Arc::new(Poller::new().unwrap()) };
        polls.push(Poll { registry, wait: milliseconds_wait() });
        polls
    }

    /// Every way to wait reports the same, the fallback included.
    #[test]
    fn every_wait_reports_the_same() {
        for mut poll in all_waits() {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let source = poll.registry().register(ours.into(), Token(5), Interest::READABLE).unwrap();
            let mut ready = Vec::new();
            poll.wait(Some(Duration::from_millis(1)), &mut ready).unwrap();
            assert!(ready.is_empty());
            theirs.write_all(b"x").unwrap();
            for _ in 0..2 {
                poll.wait(None, &mut ready).unwrap();
                assert_eq!(ready.len(), 1, "level-triggered: reported until read");
                assert!(ready[0].token == Token(5) && ready[0].readable && !ready[0].writable);
            }
            source.modify(Token(6), Interest::BOTH).unwrap();
            poll.wait(None, &mut ready).unwrap();
            assert!(ready[0].token == Token(6) && ready[0].readable && ready[0].writable);
            drop(source);
            poll.wait(Some(Duration::ZERO), &mut ready).unwrap();
            assert!(ready.is_empty(), "a dropped source is gone");
        }
    }

    #[test]
    fn a_notification_of_polling_itself_is_not_reported() {
        for mut poll in all_waits() {
            poll.registry().poller.notify().unwrap();
            let mut ready = Vec::new();
            poll.wait(Some(Duration::from_millis(1)), &mut ready).unwrap();
            assert!(ready.is_empty());
        }
    }

    #[test]
    fn reserved_tokens_are_refused() {
        let poll = Poll::new(Backend::Native).unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let error = poll.registry().register(ours.into(), Token(usize::MAX), Interest::READABLE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
