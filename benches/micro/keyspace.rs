//! The keyspace: growth from nothing, reads and writes among a million keys in an order that defeats the caches, the
//! walk, and removal of what is due.

use std::hint::black_box;
use std::time::Duration;

use carnelian_keyspace::{Event, Keyspace, Options, Ttl};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const KEYS: u64 = 1_000_000;
const VALUE: [u8; 32] = [b'v'; 32];
const NOW: u64 = 1_700_000_000_000;

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Keys one after another, each in a different corner of the table.
struct Order(u64);

impl Order {
    fn next(&mut self) -> u64 {
        self.0 = (self.0 + 618_033) % KEYS;
        self.0
    }
}

fn empty() -> Keyspace {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_now(NOW);
    keyspace
}

fn set(keyspace: &mut Keyspace, number: u64, ttl: Ttl) {
    let bytes = key(number);
    let key = keyspace.key(&bytes);
    let mut guard = keyspace.write(0, key);
    guard.set(black_box(&VALUE), ttl);
    guard.commit(&[Event::string("set")]);
}

/// A keyspace of `count` keys, which come due one per millisecond if `volatile`.
fn filled(count: u64, volatile: bool) -> Keyspace {
    let mut keyspace = empty();
    for number in 0..count {
        set(&mut keyspace, number, if volatile { Ttl::At(NOW + 1 + number) } else { Ttl::Clear });
    }
    keyspace
}

fn hits(keyspace: &mut Keyspace, number: u64) -> bool {
    let bytes = key(number);
    let key = keyspace.key(&bytes);
    black_box(keyspace.read(0, key)).is_some()
}

fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keyspace, growing");
    group.sample_size(10);
    for count in [1_000, KEYS] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("insert 0 to {count}"), |bencher| {
            bencher.iter_with_large_drop(|| filled(count, false))
        });
        group.bench_function(format!("insert 0 to {count}, volatile"), |bencher| {
            bencher.iter_with_large_drop(|| filled(count, true))
        });
    }
}

fn filled_table(criterion: &mut Criterion) {
    let mut keyspace = filled(KEYS, false);
    let mut order = Order(0);
    let mut group = criterion.benchmark_group(format!("keyspace of {KEYS} keys"));
    group.throughput(Throughput::Elements(1));
    group.bench_function("hit", |bencher| bencher.iter(|| assert!(hits(&mut keyspace, order.next()))));
    group.bench_function("miss", |bencher| {
        bencher.iter(|| assert!(!hits(&mut keyspace, KEYS + order.next())))
    });
    group
        .bench_function("overwrite", |bencher| bencher.iter(|| set(&mut keyspace, order.next(), Ttl::Clear)));
    group.throughput(Throughput::Elements(16));
    group.bench_function("16 hits, prefetched", |bencher| {
        bencher.iter(|| {
            let bytes: [_; 16] = std::array::from_fn(|_| key(order.next()));
            let keys = bytes.each_ref().map(|bytes| keyspace.key(bytes));
            keys.iter().for_each(|key| keyspace.prefetch(0, *key));
            keys.iter().for_each(|key| keyspace.prefetch_entry(0, *key));
            keys.iter().filter(|key| black_box(keyspace.read(0, **key)).is_some()).count()
        });
    });
    let mut cursor = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("scan step", |bencher| {
        bencher.iter(|| {
            cursor = keyspace.scan(0, cursor, &mut |item, _| {
                black_box(item.key());
            })
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("random key", |bencher| bencher.iter(|| keyspace.random_key(0)));
}

fn expiry(criterion: &mut Criterion) {
    const DUE: u64 = 100_000;
    let mut group = criterion.benchmark_group("keyspace, expiry");
    group.sample_size(10);
    group.throughput(Throughput::Elements(DUE));
    let due = || {
        let mut keyspace = filled(DUE, true);
        keyspace.set_now(NOW + 1 + DUE);
        keyspace
    };
    group.bench_function(format!("remove {DUE} due keys"), |bencher| {
        bencher.iter_batched_ref(due, |keyspace| keyspace.expire_due(usize::MAX), BatchSize::PerIteration);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = growth, filled_table, expiry
}
criterion_main!(benches);
