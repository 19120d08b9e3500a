use super::*;
use crate::keyspace::{Keyspace, Options};
use crate::types::Limits;
use proptest::prelude::*;
use std::collections::VecDeque;

fn keyspace(limit: i64) -> Keyspace {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_limits(Limits { list_max_listpack_size: limit, ..Limits::default() });
    keyspace
}

fn all(list: &List) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    list.view().forward(0, usize::MAX, |element| all.push(element.to_bytes().into_owned()));
    all
}

fn check_nodes(list: &List) {
    let Form::Large(list) = &list.0 else { return };
    assert_eq!(list.nodes().iter().map(Node::count).sum::<usize>(), list.len());
    for node in list.nodes() {
        assert!(node.count() > 0);
        if let Node::Pack(pack) = node {
            assert!(ListpackRef::validate(pack.bytes()).is_ok());
        }
    }
}

#[test]
fn forms_change_at_the_limits() {
    let mut keyspace = keyspace(4);
    let space = keyspace.space();
    let mut list = List::empty(&space);
    list.push(&space, End::Tail, [&b"1"[..], b"2", b"3", b"4"].into_iter());
    assert_eq!(list.view().encoding(), Encoding::Listpack);
    list.push(&space, End::Head, [&b"0"[..]].into_iter());
    assert_eq!(list.view().encoding(), Encoding::Quicklist);
    list.pop(&space, End::Head, |_| ());
    list.pop(&space, End::Head, |_| ());
    assert_eq!(list.view().encoding(), Encoding::Quicklist);
    list.pop(&space, End::Head, |_| ());
    assert_eq!(list.view().encoding(), Encoding::Listpack);
    assert_eq!(all(&list), [b"3", b"4"]);
}

#[test]
fn large_elements_stand_alone() {
    let mut keyspace = keyspace(-1);
    let space = keyspace.space();
    let mut list = List::empty(&space);
    let large = vec![b'x'; 5000];
    list.push(&space, End::Tail, [&b"a"[..], b"b", b"c"].into_iter());
    assert!(list.set(&space, 1, &large));
    assert!(!list.set(&space, 3, b"none"));
    check_nodes(&list);
    assert_eq!((list.pieces(), list.view().encoding()), (3, Encoding::Quicklist));
    assert!(list.insert(&space, &large, true, b"d"));
    assert_eq!(all(&list), [&b"a"[..], &large, b"d", b"c"]);
    assert!(list.set(&space, 1, b"small"));
    assert_eq!(list.remove(&space, b"small", 1, End::Tail), 1);
    check_nodes(&list);
    assert_eq!(all(&list), [b"a", b"d", b"c"]);
}

#[test]
fn nodes_in_the_middle_have_no_slack() {
    for end in [End::Head, End::Tail] {
        let mut keyspace = keyspace(-2);
        let space = keyspace.space();
        let mut list = List::empty(&space);
        for i in 0..100_000 {
            list.push(&space, end, [format!("element:{i}").as_bytes()].into_iter());
        }
        let used: usize = match &list.0 {
            Form::Large(list) => list.nodes().iter().filter_map(Node::as_pack).map(Pack::size).sum(),
            Form::Packed(_) => panic!("the list is large"),
        };
        let held = list.view().memory(0);
        assert!(held < used + used / 50 + 20_000, "{held} for {used}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(End, Vec<Vec<u8>>),
    Pop(End),
    Drop(End, usize),
    Keep(usize, usize),
    Set(usize, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    Remove(usize, usize, End),
    Read(usize, usize),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..40u8).prop_map(|i| i.to_string().into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 0..30),
        2 => (200usize..900).prop_map(|n| vec![b'x'; n]),
        1 => (4000usize..9000).prop_map(|n| vec![b'y'; n]),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Head), Just(End::Tail)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (end(), prop::collection::vec(value(), 1..12)).prop_map(|(end, values)| Step::Push(end, values)),
        3 => end().prop_map(Step::Pop),
        1 => (end(), 0usize..10).prop_map(|(end, n)| Step::Drop(end, n)),
        1 => (0usize..6, 0usize..80).prop_map(|(start, count)| Step::Keep(start, count)),
        3 => (any::<usize>(), value()).prop_map(|(i, value)| Step::Set(i, value)),
        4 => (any::<usize>(), any::<bool>(), value()).prop_map(|(i, after, v)| Step::Insert(i, after, v)),
        2 => (any::<usize>(), 1usize..6, end()).prop_map(|(i, limit, end)| Step::Remove(i, limit, end)),
        2 => (any::<usize>(), 0usize..30).prop_map(|(start, count)| Step::Read(start, count)),
    ]
}

fn push(model: &mut VecDeque<Vec<u8>>, end: End, value: Vec<u8>) {
    match end {
        End::Head => model.push_front(value),
        End::Tail => model.push_back(value),
    }
}

fn pop(model: &mut VecDeque<Vec<u8>>, end: End) -> Option<Vec<u8>> {
    match end {
        End::Head => model.pop_front(),
        End::Tail => model.pop_back(),
    }
}

fn apply(list: &mut List, space: &Space<'_>, model: &mut VecDeque<Vec<u8>>, step: Step) {
    let at = |i: usize| i % model.len().max(1);
    match step {
        Step::Push(end, values) => {
            list.push(space, end, values.iter().map(Vec::as_slice));
            values.into_iter().for_each(|value| push(model, end, value));
        }
        Step::Pop(end) => {
            let popped = list.pop(space, end, |element| element.to_bytes().into_owned());
            assert_eq!(popped, pop(model, end));
        }
        Step::Drop(end, n) => {
            list.drop_many(space, end, n);
            (0..n).for_each(|_| drop(pop(model, end)));
        }
        Step::Keep(start, count) => {
            list.keep(space, start, count);
            *model = model.iter().skip(start).take(count).cloned().collect();
        }
        Step::Set(i, value) => {
            let i = at(i);
            assert_eq!(list.set(space, i, &value), i < model.len());
            if let Some(place) = model.get_mut(i) {
                *place = value;
            }
        }
        Step::Insert(i, after, value) => {
            let pivot = model.get(at(i)).cloned().unwrap_or_default();
            let place = model.iter().position(|other| *other == pivot);
            assert_eq!(list.insert(space, &pivot, after, &value), place.is_some());
            if let Some(place) = place {
                model.insert(place + usize::from(after), value);
            }
        }
        Step::Remove(i, limit, end) => {
            let wanted = model.get(at(i)).cloned().unwrap_or_default();
            let mut removed = 0;
            while removed < limit
                && let Some(place) = match end {
                    End::Head => model.iter().position(|other| *other == wanted),
                    End::Tail => model.iter().rposition(|other| *other == wanted),
                }
            {
                model.remove(place);
                removed += 1;
            }
            assert_eq!(list.remove(space, &wanted, limit, end), removed);
        }
        Step::Read(start, count) => {
            let start = at(start);
            let (mut forward, mut backward) = (Vec::new(), Vec::new());
            list.view().forward(start, count, |element| forward.push(element.to_bytes().into_owned()));
            list.view().try_backward(start, count, |element| {
                backward.push(element.to_bytes().into_owned());
                true
            });
            let expected: Vec<_> = model.iter().skip(start).take(count).cloned().collect();
            assert_eq!(forward, expected);
            let behind = model.len().saturating_sub(start + 1);
            let expected: Vec<_> = model.iter().rev().skip(behind).take(count).cloned().collect();
            assert_eq!(backward, expected);
            let element = list.view().get(start).map(|element| element.to_bytes().into_owned());
            assert_eq!(element.as_ref(), model.get(start));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_list_is_a_deque(
        limit in prop_oneof![Just(-2), Just(-1), Just(1), Just(0), 2i64..40, Just(-9), Just(100_000)],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut keyspace = keyspace(limit);
        let space = keyspace.space();
        let mut list = List::empty(&space);
        let mut model = VecDeque::new();
        for step in steps {
            apply(&mut list, &space, &mut model, step);
            check_nodes(&list);
            prop_assert_eq!(list.len(), model.len());
            prop_assert_eq!(all(&list), Vec::from(model.clone()));
        }
    }
}
