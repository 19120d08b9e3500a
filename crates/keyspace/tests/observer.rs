//! What an observer of the keyspace hears: every change once, with its events, in order.

use carnelian_keyspace::{Event, Free, Keyspace, Observer, Options, Ttl};
use std::cell::RefCell;
use std::rc::Rc;

#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Observer for Log {
    fn changed(&mut self, db: usize, key: &[u8], events: &[Event]) {
        let names: Vec<&str> = events.iter().map(|event| event.name).collect();
        self.0.borrow_mut().push(format!("{db} {} {}", String::from_utf8_lossy(key), names.join(" ")));
    }

    fn flushed(&mut self, db: usize) {
        self.0.borrow_mut().push(format!("{db} flushed"));
    }
}

impl Log {
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

fn set(ks: &mut Keyspace, key: &[u8], ttl: Ttl, events: &[Event]) {
    let mut w = ks.write(3, ks.key(key));
    w.set(b"value", ttl);
    w.commit(events);
}

#[test]
fn changes_expiries_and_flushes_are_reported() {
    let mut ks = Keyspace::new(Options { databases: 4, hash_seed: (1, 2), random_seed: 3 });
    let log = Log::default();
    ks.set_observer(Some(Box::new(log.clone())));
    ks.set_now(1_000);

    set(&mut ks, b"a", Ttl::Clear, &[Event::string("set")]);
    set(&mut ks, b"a", Ttl::At(2_000), &[Event::string("set"), Event::generic("expire")]);
    assert_eq!(log.take(), ["3 a new", "3 a set", "3 a set expire"]);

    let key = ks.key(b"a");
    assert!(ks.read(3, key).is_some() && ks.look(3, key).is_some() && ks.peek(3, key).is_some());
    drop(ks.write(3, key));
    assert!(log.take().is_empty(), "looking is no change");

    set(&mut ks, b"b", Ttl::At(2_000), &[Event::string("set")]);
    log.take();
    ks.set_now(2_000);
    assert!(ks.read(3, key).is_none());
    assert_eq!(log.take(), ["3 a expired"], "a key that is met late expires at once");
    assert_eq!(ks.expire_due(10).removed, 1);
    assert_eq!(log.take(), ["3 b expired"]);

    set(&mut ks, b"c", Ttl::Clear, &[]);
    log.take();
    assert_eq!(ks.flush(3, Free::Now), 1);
    assert_eq!(log.take(), ["3 flushed"]);
    assert_eq!((ks.stats().dirty, ks.stats().expired), (5, 2));
}
