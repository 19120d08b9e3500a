//! The reply encoder: what the hot commands answer, a hundred replies at a time, as a pipeline makes them.

use std::hint::black_box;
use std::time::Duration;

use carnelian_resp::ReplyBuf;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const REPLIES: u64 = 100;

fn replies(criterion: &mut Criterion) {
    let value = [b'v'; 32];
    let elements: Vec<[u8; 16]> = vec![[b'e'; 16]; 10];
    let mut group = criterion.benchmark_group("reply");
    group.throughput(Throughput::Elements(REPLIES));
    let mut bench = |name: &str, append: &dyn Fn(&mut ReplyBuf, u64)| {
        let mut out = ReplyBuf::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                (0..REPLIES).for_each(|number| append(&mut out, black_box(number)));
                out.len()
            });
        });
    };
    bench("ok", &|out, _| out.ok());
    bench("null", &|out, _| out.null());
    bench("bulk of 32 bytes", &|out, _| out.bulk(black_box(&value)));
    bench("integer of 1 or 2 digits", &|out, number| out.integer(number as i64));
    bench("integer of 10 digits", &|out, number| out.integer(1_234_567_890 + number as i64));
    bench("double", &|out, number| out.double(number as f64 / 7.0));
    bench("array of 10 bulks", &|out, _| {
        out.array(elements.len());
        elements.iter().for_each(|element| out.bulk(black_box(element)));
    });
    bench("array of 10 bulks, counted afterwards", &|out, _| {
        let later = out.array_later();
        elements.iter().for_each(|element| out.bulk(black_box(element)));
        out.finish(later, elements.len());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = replies
}
criterion_main!(benches);
