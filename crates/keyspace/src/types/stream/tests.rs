//! Streams against a model of standard maps.

use super::{Deletion, Log, LogFacts, Pending, References, Stream, StreamId, Trim, TrimTo};
use crate::encoding::listpack::{Element, Listpack};
use crate::types::Limits;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
type Model = BTreeMap<StreamId, Pairs>;

fn limits(bytes: usize, entries: usize) -> Limits {
    Limits { stream_node_max_bytes: bytes, stream_node_max_entries: entries, ..Limits::default() }
}

fn append(stream: &mut Stream, id: StreamId, pairs: &Pairs, limits: &Limits) {
    let pairs = pairs.iter().map(|(field, value)| (field.as_slice(), value.as_slice()));
    stream.log_mut().append(id, pairs, limits).expect("the entry is small");
}

fn owned(entry: super::Entry<'_>) -> (StreamId, Pairs) {
    let bytes = |element: Element<'_>| element.to_bytes().into_owned();
    (entry.id(), entry.pairs().map(|(field, value)| (bytes(field), bytes(value))).collect())
}

fn check(stream: &Stream, model: &Model) {
    let log = stream.log();
    let all: Vec<_> = log.range(StreamId::MIN, StreamId::MAX).map(owned).collect();
    let wanted: Vec<_> = model.iter().map(|(id, pairs)| (*id, pairs.clone())).collect();
    assert_eq!(all, wanted);
    let mut back: Vec<_> = log.range_back(StreamId::MIN, StreamId::MAX).map(owned).collect();
    back.reverse();
    assert_eq!(back, wanted);
    assert_eq!(log.len(), model.len() as u64);
    assert_eq!(log.first_id(), model.keys().next().copied().unwrap_or_default());
    assert_eq!(log.last_entry_id(), model.keys().next_back().copied());
}

fn check_range(stream: &Stream, model: &Model, start: StreamId, end: StreamId) {
    let ids = |entry: super::Entry<'_>| entry.id();
    let found: Vec<_> = stream.log().range(start, end).map(ids).collect();
    let mut back: Vec<_> = stream.log().range_back(start, end).map(ids).collect();
    back.reverse();
    let wanted: Vec<_> = match start > end {
        true => Vec::new(),
        false => model.range(start..=end).map(|(id, _)| *id).collect(),
    };
    assert_eq!(found, wanted);
    assert_eq!(back, wanted);
}

/// Loading what was saved gives the same stream, with the same nodes.
fn check_reload(stream: &Stream, model: &Model) {
    let log = stream.log();
    let nodes: Vec<_> = log.nodes().map(|(id, bytes)| (id, bytes.to_vec())).collect();
    let facts = LogFacts { last_id: log.last_id(), max_deleted_id: log.max_deleted_id(), added: log.added() };
    let loaded = Log::load(nodes.clone(), facts).expect("what was saved is sound");
    assert_eq!(loaded.nodes().map(|(id, bytes)| (id, bytes.to_vec())).collect::<Vec<_>>(), nodes);
    check(&Stream::new(loaded, super::Groups::default()), model);
}

#[derive(Clone, Debug)]
enum Op {
    Append(u64, u64, Pairs),
    Delete(usize),
    Range(usize, usize),
    TrimLen(u64),
    TrimId(usize),
    Approximate(u64),
}

fn pairs() -> impl Strategy<Value = Pairs> {
    let word = prop_oneof![
        Just(b"temp".to_vec()),
        Just(b"hum".to_vec()),
        Just(Vec::new()),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..80),
    ];
    let field = prop_oneof![4 => Just(b"temp".to_vec()), 1 => word.clone()];
    prop::collection::vec((field, word), 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..3u64, 0..3u64, pairs()).prop_map(|(ms, seq, pairs)| Op::Append(ms, seq, pairs)),
        1 => (prop_oneof![Just(1u64 << 40), Just(300)], any::<u64>(), pairs())
            .prop_map(|(ms, seq, pairs)| Op::Append(ms, seq, pairs)),
        5 => any::<prop::sample::Index>().prop_map(|at| Op::Delete(at.index(1000))),
        2 => (0..1000usize, 0..1000usize).prop_map(|(a, b)| Op::Range(a, b)),
        1 => (0..40u64).prop_map(Op::TrimLen),
        1 => (0..1000usize).prop_map(Op::TrimId),
        1 => (0..40u64).prop_map(Op::Approximate),
    ]
}

/// An ID near the entry that stands at `at` thousandths of the model.
fn near(model: &Model, at: usize) -> StreamId {
    let index = at * model.len() / 1000;
    let id = model.keys().nth(index).copied().unwrap_or_default();
    match at % 4 {
        0 => id.next().unwrap_or(id),
        1 => id.previous().unwrap_or(id),
        _ => id,
    }
}

fn trim(to: TrimTo, approximate: bool) -> Trim {
    Trim { to, approximate, limit: 0, references: References::Keep }
}

fn run(ops: Vec<Op>, limits: &Limits) {
    let (mut stream, mut model, mut added) = (Stream::default(), Model::new(), 0);
    for op in ops {
        match op {
            Op::Append(ms, seq, pairs) => {
                let last = stream.log().last_id();
                let id = StreamId::new(last.ms.wrapping_add(ms), seq);
                let id = if id > last { id } else { last.next().expect("the test is short") };
                append(&mut stream, id, &pairs, limits);
                model.insert(id, pairs);
                added += 1;
            }
            Op::Delete(at) => {
                let id = near(&model, at);
                let wanted = if model.remove(&id).is_some() { Deletion::Done } else { Deletion::Absent };
                assert_eq!(stream.delete(id, References::Keep), wanted);
            }
            Op::Range(a, b) => check_range(&stream, &model, near(&model, a), near(&model, b)),
            Op::TrimLen(max) => {
                let deleted = stream.trim(&trim(TrimTo::Len(max), false));
                assert_eq!(deleted, (model.len() as u64).saturating_sub(max));
                (0..deleted).for_each(|_| drop(model.pop_first()));
            }
            Op::TrimId(at) => {
                let min = near(&model, at);
                let kept = model.split_off(&min);
                assert_eq!(stream.trim(&trim(TrimTo::Id(min), false)), model.len() as u64);
                model = kept;
            }
            Op::Approximate(max) => {
                let deleted = stream.trim(&trim(TrimTo::Len(max), true));
                assert!(deleted == 0 || model.len() as u64 - deleted >= max);
                (0..deleted).for_each(|_| drop(model.pop_first()));
            }
        }
    }
    assert_eq!(stream.log().added(), added);
    check(&stream, &model);
    check_reload(&stream, &model);
}

proptest! {
    #[test]
    fn a_stream_is_an_ordered_map(
        ops in prop::collection::vec(op(), 0..200),
        bytes in prop_oneof![Just(0usize), Just(60), Just(300), Just(4096)],
        entries in prop_oneof![Just(0usize), Just(1), Just(4), Just(100)],
    ) {
        run(ops, &limits(bytes, entries));
    }

    #[test]
    fn damaged_nodes_are_refused_or_sound(
        ops in prop::collection::vec((0..3u64, pairs()), 1..20),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut stream = Stream::default();
        for (ms, pairs) in &ops {
            let last = stream.log().last_id();
            append(&mut stream, StreamId::new(last.ms + ms, last.seq + 1), pairs, &limits(0, 0));
        }
        let (id, bytes) = stream.log().nodes().next().expect("there is one node");
        let mut bytes = bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let facts = LogFacts { last_id: StreamId::MAX, ..LogFacts::default() };
        if let Ok(log) = Log::load([(id, bytes)], facts) {
            let entries: Vec<_> = log.range(StreamId::MIN, StreamId::MAX).map(owned).collect();
            let mut back: Vec<_> = log.range_back(StreamId::MIN, StreamId::MAX).map(owned).collect();
            back.reverse();
            prop_assert_eq!(&entries, &back);
            prop_assert_eq!(entries.len() as u64, log.len());
        }
    }
}

fn numbered(entries: u64, limits: &Limits) -> Stream {
    let mut stream = Stream::default();
    for ms in 1..=entries {
        append(&mut stream, StreamId::new(ms, 0), &vec![(b"a".to_vec(), b"1".to_vec())], limits);
    }
    stream
}

#[test]
fn a_node_has_the_bytes_of_redis() {
    let mut stream = Stream::default();
    let pair = |field: &str, value: &str| vec![(field.as_bytes().to_vec(), value.as_bytes().to_vec())];
    append(&mut stream, StreamId::new(5, 1), &pair("a", "1"), &limits(4096, 100));
    append(&mut stream, StreamId::new(7, 0), &pair("b", "x"), &limits(4096, 100));
    stream.delete(StreamId::new(5, 1), References::Keep);
    let (id, bytes) = stream.log().nodes().next().expect("there is one node");
    let mut wanted = Listpack::new();
    for word in ["1", "1", "1", "a", "0", "3", "0", "0", "1", "4", "0", "2", "-1", "1", "b", "x", "6"] {
        wanted.push_back(word.as_bytes());
    }
    assert_eq!((id, bytes), (StreamId::new(5, 1), wanted.view().bytes()));
}

#[test]
fn the_last_node_takes_entries_again_after_a_later_one_is_gone() {
    let limits = limits(4096, 2);
    let mut stream = numbered(3, &limits);
    assert_eq!(stream.log().node_count(), 2);
    stream.delete(StreamId::new(3, 0), References::Keep);
    assert_eq!(stream.log().node_count(), 1);
    append(&mut stream, StreamId::new(4, 0), &vec![(b"a".to_vec(), b"2".to_vec())], &limits);
    assert_eq!(stream.log().node_count(), 2);
    assert_eq!(stream.log().max_deleted_id(), StreamId::new(3, 0));
}

#[test]
fn whole_nodes_go_and_the_limit_counts_their_entries() {
    let limited = |limit| Trim { limit, ..trim(TrimTo::Len(2), true) };
    for (limit, deleted) in [(0, 8), (3, 0), (4, 4), (7, 4), (8, 8)] {
        assert_eq!(numbered(12, &limits(4096, 4)).trim(&limited(limit)), deleted, "limit {limit}");
    }
}

#[test]
fn pending_entries_are_kept_dropped_or_in_the_way() {
    let id = |ms| StreamId::new(ms, 0);
    let with_group = || {
        let mut stream = numbered(12, &limits(4096, 4));
        let group = stream.groups_mut().create(b"g", id(12), None).expect("it is the first");
        let consumer = group.create_consumer(b"c", 1).expect("it is the first");
        for ms in [1, 2, 6] {
            group.assign(id(ms), Pending { consumer, delivered_at: 1, deliveries: 1 });
        }
        stream
    };
    let pending = |stream: &Stream| stream.groups().get(b"g").expect("it is there").pending_len();
    for (references, deleted, left) in
        [(References::Keep, 7, 3), (References::Drop, 7, 0), (References::Acknowledged, 7, 3)]
    {
        let mut stream = with_group();
        assert_eq!(stream.trim(&Trim { references, ..trim(TrimTo::Len(5), false) }), deleted);
        assert_eq!(pending(&stream), left);
        assert_eq!(
            stream.trim(&Trim { references, ..trim(TrimTo::Len(0), true) }),
            match references {
                References::Keep => 5,
                _ => 0,
            }
        );
    }
    let mut stream = with_group();
    assert_eq!(stream.delete(id(1), References::Acknowledged), Deletion::Referenced);
    assert_eq!(stream.delete(id(3), References::Acknowledged), Deletion::Done);
    assert_eq!(stream.delete(id(1), References::Drop), Deletion::Done);
    assert_eq!(stream.delete(id(1), References::Drop), Deletion::Absent);
    assert_eq!(pending(&stream), 2);
}

#[test]
fn a_removed_consumer_takes_its_pending_entries_along() {
    let mut stream = numbered(5, &limits(0, 0));
    let group = stream.groups_mut().create(b"g", StreamId::MIN, None).expect("it is the first");
    let c = group.create_consumer(b"c", 1).expect("it is new");
    let d = group.create_consumer(b"d", 1).expect("it is new");
    assert!(group.create_consumer(b"c", 1).is_none());
    for ms in 1..=5 {
        let consumer = if ms < 4 { c } else { d };
        group.assign(StreamId::new(ms, 0), Pending { consumer, delivered_at: 1, deliveries: 1 });
    }
    group.assign(StreamId::new(4, 0), Pending { consumer: c, delivered_at: 2, deliveries: 2 });
    assert_eq!(group.consumer(c).pending_len(), 4);
    assert_eq!(group.remove_consumer(b"c"), Some(4));
    assert_eq!(group.pending_len(), 1);
    let again = group.create_consumer(b"e", 1).expect("it is new");
    assert_eq!(again, c, "its place is used again");
    assert_eq!(group.consumer(again).pending_len(), 0);
    let names: Vec<_> = group.consumers().map(|(_, consumer)| consumer.name().to_vec()).collect();
    assert_eq!(names, [b"d".to_vec(), b"e".to_vec()]);
}
