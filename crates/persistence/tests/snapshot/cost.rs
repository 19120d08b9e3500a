//! What a snapshot costs the thread of the keyspace. To be run alone, and compiled for release:
//! `cargo test --release -p carnelian-persistence --test snapshot -- --ignored --nocapture cost`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use carnelian_keyspace::{
    Collection, End, Free, Hash, Keyspace, List, Options, ScoreUpdate, Set, SortedSet, Space, Ttl,
};
use carnelian_persistence::rdb::WriteOptions;
use carnelian_persistence::snapshot::{Access, Assembler, Capture};

const MEMBERS: u64 = 5_000_000;
const WRITES: u64 = 100_000;

fn keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_now(1_000_000_000_000);
    keyspace
}

/// Begins a snapshot whose batches another thread takes. It returns the bytes of the file, if it assembles one.
fn begin(keyspace: &mut Keyspace, assemble: bool) -> (JoinHandle<usize>, Arc<AtomicUsize>) {
    let (sender, batches) = channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let capture = Capture::new(sender, Arc::clone(&queued), Access::Nothing);
    assert!(keyspace.begin_snapshot(Box::new(capture)));
    let thread = std::thread::spawn(move || {
        let (mut assembler, mut bytes) = (Assembler::new(WriteOptions::default(), Access::Nothing), 0);
        for batch in batches.iter().filter(|_| assemble) {
            assembler.batch(batch).expect("no field has a deadline");
            bytes += assembler.take().len();
        }
        bytes
    });
    (thread, queued)
}

/// The processor's time of this thread: what others do on a busy machine does not count.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The longest of many calls, and how long all took, in processor's time.
#[derive(Default)]
struct Calls {
    longest: Duration,
    sum: Duration,
    count: u32,
}

impl Calls {
    fn time<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let start = cpu();
        let result = f();
        let took = cpu().saturating_sub(start);
        self.longest = self.longest.max(took);
        self.sum += took;
        self.count += 1;
        result
    }

    fn print(&self, what: &str) {
        let mean = self.sum / self.count.max(1);
        println!("{what}: {} calls, mean {mean:?}, longest {:?}", self.count, self.longest);
    }
}

fn edit<C: Collection>(keyspace: &mut Keyspace, f: impl FnOnce(&mut C, &mut Space<'_>)) {
    let key = keyspace.key(b"large");
    let mut guard = keyspace.write(0, key);
    guard.edit(f).expect("the key holds this type");
    guard.commit(&[]);
}

#[test]
#[ignore = "measures for many seconds and asserts nothing: just snapshot-cost"]
fn cost_of_small_keys() {
    const KEYS: u64 = 2_000_000;
    for (what, len) in [("8 B", 8), ("200 B", 200)] {
        let mut keyspace = keyspace();
        let value = vec![b'v'; len];
        for i in 0..KEYS {
            let name = format!("key:{i:012}");
            let key = keyspace.key(name.as_bytes());
            let mut guard = keyspace.write(0, key);
            guard.set_raw(&value, Ttl::Clear);
            guard.commit(&[]);
        }
        for assemble in [false, true] {
            let (thread, queued) = begin(&mut keyspace, assemble);
            let mut steps = Calls::default();
            while steps.time(|| keyspace.step_snapshot(16)).is_none() {
                while queued.load(Ordering::Relaxed) > 8 << 20 {
                    std::thread::yield_now();
                }
            }
            let per_key = steps.sum.as_nanos() as f64 / KEYS as f64;
            steps.print(&format!("{what}, steps of 16 buckets ({per_key:.0} ns per key)"));
            let bytes = thread.join().expect("the thread ends with the snapshot");
            println!("{what}: {bytes} bytes");
        }
    }
}

/// A large collection that is written to before, in the middle of and after its walk, then deleted, and flushed.
fn large<C: Collection>(
    what: &str,
    fill: impl Fn(&mut C, &mut Space<'_>, u64),
    write: impl Fn(&mut C, &mut Space<'_>, u64),
) {
    let mut keyspace = keyspace();
    for i in 0..MEMBERS {
        edit(&mut keyspace, |c: &mut C, space| fill(c, space, i));
    }
    let mut idle = Calls::default();
    for i in 0..WRITES {
        idle.time(|| edit(&mut keyspace, |c: &mut C, space| write(c, space, i)));
    }
    idle.print(&format!("{what}: writes without a snapshot"));
    let (thread, _) = begin(&mut keyspace, true);
    let (mut writes, mut steps) = (Calls::default(), Calls::default());
    writes.time(|| edit(&mut keyspace, |c: &mut C, space| write(c, space, WRITES)));
    writes.print(&format!("{what}: the write that opens it"));
    for i in 0..WRITES {
        writes.time(|| edit(&mut keyspace, |c: &mut C, space| write(c, space, i.wrapping_mul(7919))));
        steps.time(|| keyspace.step_snapshot(3));
    }
    writes.print(&format!("{what}: writes"));
    steps.print(&format!("{what}: steps of 3"));
    let mut ends = Calls::default();
    ends.time(|| {
        let key = keyspace.key(b"large");
        let mut guard = keyspace.write(0, key);
        guard.remove();
        guard.commit(&[]);
    });
    ends.time(|| keyspace.flush_all(Free::Lazy));
    ends.print(&format!("{what}: delete and flush"));
    let mut steps = Calls::default();
    while keyspace.snapshot_active() {
        steps.time(|| keyspace.step_snapshot(16));
    }
    steps.print(&format!("{what}: steps of 16"));
    let bytes = thread.join().expect("the thread ends with the snapshot");
    println!("{what}: {bytes} bytes\n");
}

fn name(i: u64) -> String {
    format!("member:{:010}", i % (MEMBERS + MEMBERS / 10))
}

#[test]
#[ignore = "measures for many seconds and asserts nothing: just snapshot-cost"]
fn cost_of_large_collections() {
    large(
        "zset",
        |set: &mut SortedSet, space, i| {
            set.update(name(i).as_bytes(), i as f64, ScoreUpdate::default(), space);
        },
        |set, space, i| match i % 3 {
            0 => _ = set.remove(name(i * 31).as_bytes(), space),
            _ => _ = set.update(name(i * 31).as_bytes(), i as f64 * 0.7, ScoreUpdate::default(), space),
        },
    );
    large(
        "hash",
        |hash: &mut Hash, space, i| {
            hash.set(space, name(i).as_bytes(), b"value", Ttl::Keep);
        },
        |hash, space, i| match i % 3 {
            0 => _ = hash.remove(space, name(i * 31).as_bytes()),
            _ => _ = hash.set(space, name(i * 31).as_bytes(), b"another value", Ttl::Keep),
        },
    );
    large(
        "set",
        |set: &mut Set, space, i| _ = set.add(space, name(i).as_bytes()),
        |set, space, i| match i % 3 {
            0 => _ = set.remove(space, name(i * 31).as_bytes()),
            _ => _ = set.add(space, name(i * 31).as_bytes()),
        },
    );
    large(
        "list",
        |list: &mut List, space, i| list.push(space, End::Tail, std::iter::once(name(i).as_bytes())),
        |list, space, i| match i % 4 {
            0 => _ = list.pop(space, End::Head, |_| {}),
            1 => list.push(space, End::Head, std::iter::once(name(i).as_bytes())),
            2 => _ = list.pop(space, End::Tail, |_| {}),
            _ => list.push(space, End::Tail, std::iter::once(name(i).as_bytes())),
        },
    );
}
