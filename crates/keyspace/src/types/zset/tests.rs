//! A sorted set against a sorted vector.

use super::*;
use crate::keyspace::{Keyspace, Options};
use proptest::prelude::*;

fn keyspace(entries: usize) -> Keyspace {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    let limits =
        Limits { zset_max_listpack_entries: entries, zset_max_listpack_value: 20, ..Limits::default() };
    keyspace.set_limits(limits);
    keyspace
}

type Model = Vec<(Vec<u8>, f64)>;

fn sort(model: &mut Model) {
    model.sort_by(|a, b| SortedSet::compare((&a.0, a.1), (&b.0, b.1)));
}

fn owned(member: Element<'_>) -> Vec<u8> {
    member.to_bytes().into_owned()
}

fn elements(set: SortedSetRef<'_>, ranks: Range<usize>, back: bool) -> Model {
    let mut seen = Vec::new();
    set.visit(ranks, back, |member, score| {
        seen.push((owned(member), score));
        ControlFlow::Continue(())
    });
    seen
}

fn in_range(set: SortedSetRef<'_>, bounds: &impl Bounds, back: bool, skip: usize, most: usize) -> Model {
    let mut seen = Vec::new();
    set.visit_range(bounds, back, skip, |member, score| {
        seen.push((owned(member), score));
        if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    seen
}

fn check_bounds(set: SortedSetRef<'_>, model: &Model, bounds: &impl Bounds) {
    let within: Model = model
        .iter()
        .filter(|(m, s)| !bounds.is_void() && bounds.reaches_min(m, *s) && bounds.reaches_max(m, *s))
        .cloned()
        .collect();
    let ranks = set.ranks(bounds);
    assert_eq!(ranks.len(), within.len());
    assert_eq!(elements(set, ranks, false), within);
    assert_eq!(in_range(set, bounds, false, 0, usize::MAX), within);
    let some: Model = within.iter().skip(2).take(3).cloned().collect();
    assert_eq!(in_range(set, bounds, false, 2, 3), some);
    let back: Model = within.iter().rev().cloned().collect();
    assert_eq!(in_range(set, bounds, true, 0, usize::MAX), back);
    assert_eq!(in_range(set, bounds, true, within.len() + 1, 1), vec![]);
}

fn check(set: SortedSetRef<'_>, model: &Model) {
    assert_eq!(set.len(), model.len());
    assert_eq!(&elements(set, 0..usize::MAX, false), model);
    let back: Model = model.iter().rev().cloned().collect();
    assert_eq!(elements(set, 0..usize::MAX, true), back);
    for (rank, (member, score)) in model.iter().enumerate() {
        assert_eq!(set.score(member), Some(*score));
        assert_eq!(set.rank(member), Some((rank, *score)));
        let at = set.at(rank).map(|(member, score)| (owned(member), score));
        assert_eq!(at.as_ref(), Some(&(member.clone(), *score)));
    }
    assert_eq!(set.at(model.len()), None);
    let mut scanned = Model::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, &mut |member, score| scanned.push((owned(member), score)));
        if cursor == 0 {
            break;
        }
    }
    sort(&mut scanned);
    assert_eq!(&scanned, model);
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-5i32..5).prop_map(f64::from),
        (-5i32..5).prop_map(|v| f64::from(v) / 8.0),
        prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e-300, 4e18, 5e18, 0.1]),
    ]
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0u32..40).prop_map(|n| n.to_string().into_bytes()),
        (0u32..40).prop_map(|n| format!("member:{n}").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..3),
        Just(vec![b'x'; 5000]),
    ]
}

fn model_update(model: &mut Model, member: &[u8], score: f64, how: ScoreUpdate) {
    let old = model.iter().position(|(m, _)| m == member);
    match old {
        None if how.only_existing => {}
        None => model.push((member.to_vec(), score)),
        Some(_) if how.only_new => {}
        Some(i) => {
            let new = if how.increment { model[i].1 + score } else { score };
            let refused = (how.only_higher && new <= model[i].1) || (how.only_lower && new >= model[i].1);
            if !new.is_nan() && !refused {
                model[i].1 = new;
            }
        }
    }
    sort(model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn it_is_a_sorted_vector(
        entries in prop::sample::select(vec![0usize, 8, 1000]),
        ops in prop::collection::vec((0u8..12, member(), score(), any::<u8>()), 0..250),
        bounds in (score(), score(), any::<bool>(), any::<bool>()),
        lex in (member(), member()),
    ) {
        let mut keyspace = keyspace(entries);
        let mut space = keyspace.space();
        let mut set = SortedSet::empty(&space);
        let mut model = Model::new();
        for (op, member, score, flags) in &ops {
            match op {
                0..=7 => {
                    let how = ScoreUpdate {
                        only_new: flags & 7 == 1,
                        only_existing: flags & 7 == 2,
                        only_higher: flags & 7 == 3,
                        only_lower: flags & 7 == 4,
                        increment: flags & 8 != 0,
                    };
                    set.update(member, *score, how, &mut space);
                    model_update(&mut model, member, *score, how);
                }
                8..=10 => {
                    let at = model.iter().position(|(m, _)| m == member);
                    prop_assert_eq!(set.remove(member, &mut space), at.is_some());
                    at.map(|at| model.remove(at));
                }
                _ => {
                    let start = *flags as usize % 40;
                    let end = (start + 3).min(model.len());
                    set.remove_ranks(start..start + 3, &mut space);
                    if start < end {
                        model.drain(start..end);
                    }
                }
            }
        }
        check(set.view(), &model);
        let range =
            ScoreRange { min: bounds.0, max: bounds.1, min_exclusive: bounds.2, max_exclusive: bounds.3 };
        check_bounds(set.view(), &model, &range);

        let copy = set.duplicate(&mut space);
        check(copy.view(), &model);
        let mut mixed = model.clone();
        mixed.reverse();
        let built = SortedSet::build(&mut mixed, &mut space);
        check(built.view(), &model);

        model.iter_mut().for_each(|(_, score)| *score = 1.0);
        sort(&mut model);
        let mut same = model.clone();
        let same = SortedSet::build(&mut same, &mut space);
        for min in [LexBound::Lowest, LexBound::Inclusive(&lex.0), LexBound::Exclusive(&lex.0), LexBound::Highest] {
            for max in [LexBound::Lowest, LexBound::Inclusive(&lex.1), LexBound::Exclusive(&lex.1), LexBound::Highest] {
                check_bounds(same.view(), &model, &LexRange { min, max });
            }
        }
        for set in [set, copy, built, same] {
            set.free(&mut Bin::Now(space.slab));
        }
        prop_assert_eq!(space.slab.used(), 0);
    }
}

#[test]
fn it_becomes_large_beyond_the_limits() {
    let mut keyspace = keyspace(3);
    let mut space = keyspace.space();
    let mut set = SortedSet::empty(&space);
    for member in [b"a", b"b", b"c"] {
        assert_eq!(set.update(member, 1.0, ScoreUpdate::default(), &mut space), ScoreOutcome::Added(1.0));
        assert_eq!(set.view().encoding(), Encoding::Listpack);
    }
    set.update(b"a", 2.0, ScoreUpdate::default(), &mut space);
    assert_eq!(set.view().encoding(), Encoding::Listpack);
    set.update(b"d", 2.0, ScoreUpdate::default(), &mut space);
    assert_eq!(set.view().encoding(), Encoding::Skiplist);
    set.remove_ranks(0..3, &mut space);
    assert_eq!(set.view().encoding(), Encoding::Skiplist);
    set.free(&mut Bin::Now(space.slab));

    let mut long = SortedSet::empty(&space);
    long.update(&[b'm'; 21], 1.0, ScoreUpdate::default(), &mut space);
    assert_eq!(long.view().encoding(), Encoding::Skiplist);
    long.free(&mut Bin::Now(space.slab));
}

#[test]
fn a_member_of_17_bytes_takes_less_than_56() {
    const N: u64 = 200_000;
    let mut keyspace = keyspace(100);
    let mut space = keyspace.space();
    let mut set = SortedSet::empty(&space);
    for i in 0..N {
        let score = ((i * 2_654_435_761) % 1_000_003) as f64;
        set.update(format!("member:{i:010}").as_bytes(), score, ScoreUpdate::default(), &mut space);
    }
    let bytes = set.view().memory(0) as f64 / N as f64;
    assert!(bytes < 54.0, "{bytes}");
    set.free(&mut Bin::Now(space.slab));
}
