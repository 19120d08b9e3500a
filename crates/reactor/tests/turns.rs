//! The loop's behaviour, on every way to wait.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use carnelian_reactor::{Backend, Deadline, Handler, Interest, Reactor, Source, TimerId, Token};

/// Writes down what happens.
struct Recorder {
    reactor: Reactor,
    log: Vec<String>,
    wanted: Option<Deadline>,
    /// Drained when readable.
    streams: Vec<(UnixStream, Rc<RefCell<Option<Source>>>)>,
    /// Timers with this token are added again when they fire, as many times.
    periodic: Option<(Token, u32)>,
}

impl Recorder {
    fn new(backend: Backend) -> Recorder {
        let reactor = Reactor::new(backend).unwrap();
        Recorder { reactor, log: Vec::new(), wanted: None, streams: Vec::new(), periodic: None }
    }

    /// Registers one end of a pair under its index, and returns the other.
    fn pair(&mut self, interest: Interest) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let fd = ours.try_clone().unwrap().into();
        let source = self.reactor.registry().register(fd, Token(self.streams.len()), interest).unwrap();
        self.streams.push((ours, Rc::new(RefCell::new(Some(source)))));
        theirs
    }

    /// The log of one turn, without the phases that every turn has.
    fn turn(&mut self) -> Vec<String> {
        self.log.clear();
        Reactor::turn(self).unwrap();
        assert_eq!(self.log[..2], ["before", "after"]);
        self.log.split_off(2)
    }
}

impl Handler for Recorder {
    fn reactor(&mut self) -> &mut Reactor {
        &mut self.reactor
    }

    fn readable(&mut self, token: Token) {
        let mut buf = [0; 64];
        let count = self.streams[token.0].0.read(&mut buf).unwrap_or(0);
        self.log.push(format!("read {} {}", token.0, String::from_utf8_lossy(&buf[..count])));
    }

    fn writable(&mut self, token: Token) {
        self.log.push(format!("write {}", token.0));
    }

    fn timer(&mut self, _: TimerId, token: Token) {
        self.log.push(format!("timer {}", token.0));
        if let Some((periodic, times)) = &mut self.periodic
            && *periodic == token
            && *times > 0
        {
            *times -= 1;
            let next = self.reactor.now().after(Duration::from_millis(3));
            self.reactor.add_timer(next, token);
        }
    }

    fn woken(&mut self) {
        self.log.push("woken".to_owned());
    }

    fn before_sleep(&mut self) -> Option<Deadline> {
        self.log.push("before".to_owned());
        self.wanted
    }

    fn after_sleep(&mut self) {
        self.log.push("after".to_owned());
    }
}

fn on_both(test: impl Fn(Recorder)) {
    test(Recorder::new(Backend::Native));
    test(Recorder::new(Backend::Portable));
}

#[test]
fn file_events_are_level_triggered() {
    on_both(|mut recorder| {
        let mut a = recorder.pair(Interest::READABLE);
        let mut b = recorder.pair(Interest::READABLE);
        a.write_all(b"x").unwrap();
        assert_eq!(recorder.turn(), ["read 0 x"]);
        a.write_all(&[b'y'; 100]).unwrap();
        b.write_all(b"z").unwrap();
        let mut log = recorder.turn();
        log.sort();
        assert_eq!(log, [format!("read 0 {}", "y".repeat(64)), "read 1 z".to_owned()]);
        assert_eq!(recorder.turn(), [format!("read 0 {}", "y".repeat(36))], "the rest is reported again");
    });
}

#[test]
fn interest_can_change_and_end() {
    on_both(|mut recorder| {
        recorder.wanted = Some(Deadline::IMMEDIATE);
        let mut other = recorder.pair(Interest::NONE);
        other.write_all(b"x").unwrap();
        assert!(recorder.turn().is_empty());
        let source = Rc::clone(&recorder.streams[0].1);
        let modify = |interest| source.borrow().as_ref().unwrap().modify(Token(0), interest).unwrap();
        modify(Interest::WRITABLE);
        assert_eq!(recorder.turn(), ["write 0"]);
        modify(Interest::BOTH);
        assert_eq!(recorder.turn(), ["read 0 x", "write 0"]);
        source.borrow_mut().take();
        other.write_all(b"x").unwrap();
        assert!(recorder.turn().is_empty());
    });
}

#[test]
fn a_hang_up_is_readable() {
    on_both(|mut recorder| {
        drop(recorder.pair(Interest::READABLE));
        // As an error would be, it is reported as both.
        assert_eq!(recorder.turn()[0], "read 0 ");
    });
}

#[test]
fn time_events_fire_in_order_and_not_early() {
    on_both(|mut recorder| {
        let start = recorder.reactor.refresh_now();
        let at = |ms| start.after(Duration::from_millis(ms));
        recorder.reactor.add_timer(at(20), Token(2));
        recorder.reactor.add_timer(at(10), Token(1));
        let cancelled = recorder.reactor.add_timer(at(5), Token(0));
        assert!(recorder.reactor.cancel_timer(cancelled));
        let mut log = Vec::new();
        while log.len() < 2 {
            log.extend(recorder.turn());
        }
        assert_eq!(log, ["timer 1", "timer 2"]);
        let now = recorder.reactor.now();
        assert!(now.mono_ns >= at(20).0);
        assert!(now.wall_us > start.wall_us);
    });
}

#[test]
fn a_periodic_event_reschedules_itself() {
    on_both(|mut recorder| {
        recorder.periodic = Some((Token(4), 5));
        recorder.reactor.add_timer(Deadline::IMMEDIATE, Token(4));
        let mut fired = 0;
        while fired < 6 {
            fired += recorder.turn().len();
        }
        assert_eq!(recorder.periodic, Some((Token(4), 0)));
    });
}

#[test]
fn the_wanted_deadline_ends_the_sleep() {
    on_both(|mut recorder| {
        let deadline = recorder.reactor.refresh_now().after(Duration::from_millis(15));
        recorder.wanted = Some(deadline);
        assert!(recorder.turn().is_empty());
        assert!(recorder.reactor.now().mono_ns >= deadline.0);
        // Below a millisecond too, without spinning to get there.
        recorder.wanted = Some(recorder.reactor.refresh_now().after(Duration::from_micros(300)));
        recorder.turn();
        assert!(recorder.reactor.now().mono_ns >= recorder.wanted.unwrap().0);
    });
}

#[test]
fn wake_ups_of_many_threads_are_merged_but_never_lost() {
    on_both(|mut recorder| {
        let waker = recorder.reactor.waker();
        for _ in 0..10 {
            waker.wake();
        }
        assert_eq!(recorder.turn(), ["woken"]);
        recorder.wanted = Some(Deadline::IMMEDIATE);
        assert!(recorder.turn().is_empty());
        recorder.wanted = None;
        for _ in 0..200 {
            let waker = waker.clone();
            let thread = std::thread::spawn(move || waker.wake());
            // Without a deadline: a lost wake-up would sleep for ever.
            assert_eq!(recorder.turn(), ["woken"]);
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_waker_may_outlive_its_loop() {
    let recorder = Recorder::new(Backend::Native);
    let waker = recorder.reactor.waker();
    drop(recorder);
    waker.wake();
}

#[test]
fn the_loop_measures_itself_awake_only() {
    on_both(|mut recorder| {
        let _other = recorder.pair(Interest::WRITABLE);
        recorder.reactor.reset_stats();
        for _ in 0..10 {
            assert_eq!(recorder.turn(), ["write 0"]);
        }
        let source = recorder.streams[0].1.take();
        drop(source);
        recorder.wanted = Some(recorder.reactor.refresh_now().after(Duration::from_millis(200)));
        recorder.turn();
        recorder.turn();
        let stats = recorder.reactor.stats();
        assert_eq!((stats.cycles, stats.file_events), (12, 10));
        assert_eq!(stats.histogram.iter().sum::<u64>(), 12);
        assert!(stats.awake_ns < 100_000_000, "sleeping does not count: {stats:?}");
    });
}
