//! Streams equal an ordered map, across the sizes of their nodes; and nodes from elsewhere are refused or sound.
#![no_main]

use std::collections::BTreeMap;

use carnelian_keyspace::stream::{
    Deletion, Entry, Groups, Log, LogFacts, References, StreamId, Trim, TrimTo,
};
use carnelian_keyspace::{Limits, Stream};
use libfuzzer_sys::fuzz_target;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn owned(entry: Entry<'_>) -> (StreamId, Pairs) {
    let pairs = entry.pairs().map(|(f, v)| (f.to_bytes().into_owned(), v.to_bytes().into_owned()));
    (entry.id(), pairs.collect())
}

/// All entries; the same from either end.
fn entries(log: &Log) -> Vec<(StreamId, Pairs)> {
    let all: Vec<_> = log.range(StreamId::MIN, StreamId::MAX).map(owned).collect();
    let mut back: Vec<_> = log.range_back(StreamId::MIN, StreamId::MAX).map(owned).collect();
    back.reverse();
    assert_eq!(all, back);
    assert_eq!(all.len() as u64, log.len());
    all
}

fuzz_target!(|data: &[u8]| match data.split_first() {
    Some((0, node)) => load(node),
    Some((sizes, ops)) => run(*sizes, ops),
    None => {}
});

/// A node of any bytes.
fn load(node: &[u8]) {
    let id = StreamId::new(1_000, 5);
    let facts = LogFacts { last_id: StreamId::MAX, ..LogFacts::default() };
    let Ok(log) = Log::load([(id, node.to_vec())], facts) else { return };
    let all = entries(&log);
    let mut stream = Stream::new(log, Groups::default());
    for (id, _) in all.iter().step_by(2) {
        assert_eq!(stream.delete(*id, References::Keep), Deletion::Done);
    }
    entries(stream.log());
    stream.trim(&Trim { to: TrimTo::Len(1), approximate: false, limit: 0, references: References::Keep });
    assert!(entries(stream.log()).len() <= 1);
}

/// Three bytes are an operation: what, on which, with what.
fn run(sizes: u8, ops: &[u8]) {
    let limits = Limits {
        stream_node_max_bytes: [0, 60, 300, 4096][usize::from(sizes & 3)],
        stream_node_max_entries: [0, 1, 4, 100][usize::from(sizes >> 2 & 3)],
        ..Limits::default()
    };
    let (mut stream, mut model) = (Stream::default(), BTreeMap::new());
    for op in ops.chunks_exact(3) {
        let (what, at, with) = (op[0], op[1], op[2]);
        let id = model.keys().nth(usize::from(at) * model.len() / 256).copied().unwrap_or_default();
        match what % 8 {
            0..=3 => append(&mut stream, &mut model, op, &limits),
            4 | 5 => {
                let wanted = if model.remove(&id).is_some() { Deletion::Done } else { Deletion::Absent };
                assert_eq!(stream.delete(id, References::Keep), wanted);
            }
            6 => {
                let end = StreamId::new(id.ms.saturating_add(with.into()), with.into());
                let found: Vec<_> = stream.log().range(id, end).map(owned).collect();
                let mut back: Vec<_> = stream.log().range_back(id, end).map(owned).collect();
                back.reverse();
                assert_eq!(found, back);
                let inside = model.iter().filter(|(at, _)| **at >= id && **at <= end);
                assert!(inside.map(|(id, pairs): (&StreamId, &Pairs)| (*id, pairs.clone())).eq(found));
            }
            _ => {
                let to = if with & 1 == 0 { TrimTo::Id(id) } else { TrimTo::Len(u64::from(at) / 4) };
                let trim = Trim { to, approximate: with & 2 != 0, limit: 0, references: References::Keep };
                for _ in 0..stream.trim(&trim) {
                    model.pop_first().expect("only entries that are there are trimmed");
                }
                let done = match to {
                    TrimTo::Len(max) => model.len() as u64 <= max,
                    TrimTo::Id(min) => model.keys().next().is_none_or(|first| *first >= min),
                };
                assert!(done || trim.approximate);
            }
        }
    }
    assert!(entries(stream.log()).into_iter().eq(model));
}

fn append(stream: &mut Stream, model: &mut BTreeMap<StreamId, Pairs>, op: &[u8], limits: &Limits) {
    let (what, at, with) = (op[0], op[1], op[2]);
    let last = stream.log().last_id();
    let id = match what >> 3 & 7 {
        0 => StreamId::new(last.ms.saturating_add(1 << (with % 40)), at.into()),
        1 => StreamId::new(last.ms, last.seq.saturating_add(at.into())),
        _ => StreamId::new(last.ms.saturating_add(1), with.into()),
    };
    if id <= last {
        return;
    }
    let value = match at & 3 {
        0 => i64::from(with).pow(u32::from(at) % 8).to_string().into_bytes(),
        1 => vec![with; usize::from(at)],
        _ => vec![with],
    };
    let pairs: Pairs =
        (0..1 + at % 3).map(|n| (vec![b'a' + n + u8::from(what > 200)], value.clone())).collect();
    let words = pairs.iter().map(|(field, value)| (field.as_slice(), value.as_slice()));
    stream.log_mut().append(id, words, limits).expect("the entry is small");
    model.insert(id, pairs);
}
