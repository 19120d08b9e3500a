//! The request parser: batches as clients send them in pipelines, a large argument, and input that arrives byte by byte.

use std::hint::black_box;
use std::time::Duration;

use carnelian_resp::{Batch, Limits, OwnedArgv, RequestParser};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MAX_COMMANDS: usize = 1024;

fn pipeline(command: &[&[u8]], count: usize) -> Vec<u8> {
    OwnedArgv::from_slices(command).as_argv().to_request().repeat(count)
}

/// Parses the whole input, which comes in pieces, and returns the number of commands.
fn parse(input: &[u8], piece: usize, batch: &mut Batch) -> usize {
    let (mut parser, limits) = (RequestParser::new(), Limits::default());
    batch.clear();
    let mut end = 0;
    while end < input.len() {
        end = input.len().min(end + piece);
        parser.parse(&input[..end], MAX_COMMANDS, &limits, batch).expect("the input is well-formed");
    }
    batch.len()
}

fn requests(criterion: &mut Criterion) {
    let mut batch = Batch::new();
    let mut group = criterion.benchmark_group("request");
    let get: &[&[u8]] = &[b"GET", b"key:000000000000"];
    let set: &[&[u8]] = &[b"SET", b"key:000000000000", &[b'v'; 32]];
    for (name, command) in [("get", get), ("set", set)] {
        for count in [1, 16, 100] {
            let input = pipeline(command, count);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(format!("{name} x{count}"), |bencher| {
                bencher.iter(|| assert_eq!(parse(black_box(&input), input.len(), &mut batch), count));
            });
        }
    }
    let input = pipeline(set, 16);
    group.throughput(Throughput::Elements(16));
    group.bench_function("set x16, byte by byte", |bencher| {
        bencher.iter(|| assert_eq!(parse(black_box(&input), 1, &mut batch), 16));
    });
    let large = pipeline(&[b"SET", b"key:000000000000", &vec![b'v'; 64 * 1024]], 1);
    for (name, piece) in [("whole", large.len()), ("in reads of 1,448 bytes", 1448)] {
        group.throughput(Throughput::Bytes(large.len() as u64));
        group.bench_function(format!("set of 64 KB, {name}"), |bencher| {
            bencher.iter(|| assert_eq!(parse(black_box(&large), piece, &mut batch), 1));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = requests
}
criterion_main!(benches);
