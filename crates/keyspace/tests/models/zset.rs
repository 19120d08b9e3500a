//! Sorted sets in a keyspace against a std model: shared by a property test and a fuzz target. Operations are read
//! from bytes; when these end, so does the run.

use carnelian_keyspace::{
    Bounds, Encoding, Event, Keyspace, LexBound, LexRange, Limits, Options, ScoreOutcome, ScoreRange,
    ScoreUpdate, SortedSet, SortedSetRef, Value,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const EVENT: [Event; 1] = [Event::sorted_set("test")];
const LIMITS: (usize, usize) = (24, 30);
const KEY: &[u8] = b"key";

/// Scores by member.
type Model = BTreeMap<Vec<u8>, f64>;
type Elements = Vec<(Vec<u8>, f64)>;

/// Plays operations.
///
/// # Panics
/// If a sorted set differs from its model.
pub(crate) fn run(data: &[u8]) {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_limits(Limits {
        zset_max_listpack_entries: LIMITS.0,
        zset_max_listpack_value: LIMITS.1,
        ..Limits::default()
    });
    let mut model = Model::new();
    for op in data.chunks_exact(4) {
        match op[0] % 12 {
            0..=5 => update(&mut keyspace, &mut model, op),
            6 | 7 => remove(&mut keyspace, &mut model, &member(op[1])),
            8 => remove_ranks(&mut keyspace, &mut model, op),
            9 => rebuild(&mut keyspace, &mut model, op[1]),
            10 => burst(&mut keyspace, &mut model, op),
            _ => with_set(&mut keyspace, |set| check_ranges(set, &sorted(&model), op)),
        }
    }
    with_set(&mut keyspace, |set| check(set, &sorted(&model)));
    let key = keyspace.key(KEY);
    assert_eq!(keyspace.read(0, key).is_some(), !model.is_empty());
}

fn member(n: u8) -> Vec<u8> {
    match n % 8 {
        0 => n.to_string().into_bytes(),
        1 => Vec::new(),
        2 if n > 200 => vec![n; LIMITS.1 + 1],
        3 if n == 251 => vec![n; 5000],
        _ => format!("member:{}", n / 2).into_bytes(),
    }
}

fn score(n: u8) -> f64 {
    match n % 16 {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => f64::from(n) * 1e300,
        3 => f64::from(n) / 1024.0,
        4 => -f64::from(n) * 1e-9,
        5 => 4_611_686_018_427_387_904.0 * f64::from(n),
        _ => f64::from(n / 32) - 3.0,
    }
}

fn sorted(model: &Model) -> Elements {
    let mut all: Elements = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    all
}

fn with_set(keyspace: &mut Keyspace, f: impl FnOnce(SortedSetRef<'_>)) {
    let key = keyspace.key(KEY);
    if let Some(item) = keyspace.read(0, key) {
        let Value::SortedSet(set) = item.value() else { panic!("there are sorted sets only") };
        f(set);
    }
}

fn update(keyspace: &mut Keyspace, model: &mut Model, op: &[u8]) {
    let (member, score, bits) = (member(op[1]), score(op[2]), op[3]);
    let how = ScoreUpdate {
        only_new: bits & 7 == 1,
        only_existing: bits & 7 == 2,
        only_higher: bits & 7 == 3,
        only_lower: bits & 7 == 4,
        increment: bits & 8 != 0,
    };
    let expected = match model.get(&member) {
        None if how.only_existing => ScoreOutcome::Refused,
        None => ScoreOutcome::Added(score),
        Some(_) if how.only_new => ScoreOutcome::Refused,
        Some(old) => {
            let new = if how.increment { old + score } else { score };
            match () {
                () if new.is_nan() => ScoreOutcome::NotANumber,
                () if how.only_higher && new <= *old => ScoreOutcome::Refused,
                () if how.only_lower && new >= *old => ScoreOutcome::Refused,
                () if new == *old => ScoreOutcome::Same(new),
                () => ScoreOutcome::Changed(new),
            }
        }
    };
    let key = keyspace.key(KEY);
    let mut guard = keyspace.write(0, key);
    let outcome = guard.edit(|set: &mut SortedSet, space| set.update(&member, score, how, space));
    assert_eq!(outcome, Ok(expected));
    guard.commit(&EVENT);
    if let ScoreOutcome::Added(score) | ScoreOutcome::Changed(score) = expected {
        model.insert(member, score);
    }
}

fn remove(keyspace: &mut Keyspace, model: &mut Model, member: &[u8]) {
    let key = keyspace.key(KEY);
    let mut guard = keyspace.write(0, key);
    let removed = guard.edit(|set: &mut SortedSet, space| set.remove(member, space));
    assert_eq!(removed, Ok(model.remove(member).is_some()));
    guard.commit(&EVENT);
}

fn remove_ranks(keyspace: &mut Keyspace, model: &mut Model, op: &[u8]) {
    let (start, len) = (op[1] as usize % 64, op[2] as usize % 16);
    for (member, _) in sorted(model).into_iter().skip(start).take(len) {
        model.remove(&member);
    }
    let key = keyspace.key(KEY);
    let mut guard = keyspace.write(0, key);
    let done = guard.edit(|set: &mut SortedSet, space| set.remove_ranks(start..start + len, space));
    assert_eq!(done, Ok(()));
    guard.commit(&EVENT);
}

/// Stores what is there, or a part of it, as commands store results.
fn rebuild(keyspace: &mut Keyspace, model: &mut Model, every: u8) {
    let every = every as usize % 4 + 1;
    let mut elements: Elements =
        sorted(model).into_iter().step_by(every).map(|(member, score)| (member, 0.0 - score)).collect();
    *model = elements.iter().cloned().collect();
    let set = SortedSet::build(&mut elements, &mut keyspace.space());
    let key = keyspace.key(KEY);
    let mut guard = keyspace.write(0, key);
    guard.replace(set);
    guard.commit(&EVENT);
}

/// Many members, so that nodes split.
fn burst(keyspace: &mut Keyspace, model: &mut Model, op: &[u8]) {
    let (from, len, score) = (u32::from(op[1]) * 16, u32::from(op[2]), score(op[3]));
    let key = keyspace.key(KEY);
    let mut guard = keyspace.write(0, key);
    let done = guard.edit(|set: &mut SortedSet, space| {
        for i in from..from + len {
            let member = format!("burst:{}", i.wrapping_mul(2_654_435_761) % 4096).into_bytes();
            let score = if op[3] & 1 == 0 { score } else { f64::from(i % 97) };
            set.update(&member, score, ScoreUpdate::default(), space);
            model.insert(member, score);
        }
    });
    assert_eq!(done, Ok(()));
    guard.commit(&EVENT);
}

fn check(set: SortedSetRef<'_>, model: &Elements) {
    assert_eq!(set.len(), model.len());
    assert_eq!(&visited(set, false), model);
    let longest = model.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
    if set.encoding() == Encoding::Listpack {
        assert!(model.len() <= LIMITS.0 && longest <= LIMITS.1);
    } else {
        assert!(set.memory(0) > 8 * model.len());
    }
    for (rank, (member, score)) in model.iter().enumerate() {
        assert_eq!(set.score(member), Some(*score));
        assert_eq!(set.rank(member), Some((rank, *score)));
        let at = set.at(rank).map(|(member, score)| (member.to_bytes().into_owned(), score));
        assert_eq!(at.as_ref(), Some(&(member.clone(), *score)));
    }
    let mut back = visited(set, true);
    back.reverse();
    assert_eq!(&back, model);
    let (mut cursor, mut scanned) = (0, Model::new());
    loop {
        cursor = set.scan(cursor, &mut |member, score| {
            assert!(scanned.insert(member.to_bytes().into_owned(), score).is_none());
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&sorted(&scanned), model);
}

fn visited(set: SortedSetRef<'_>, back: bool) -> Elements {
    let mut seen = Elements::new();
    set.visit(0..set.len(), back, |member, score| {
        seen.push((member.to_bytes().into_owned(), score));
        ControlFlow::Continue(())
    });
    seen
}

fn check_ranges(set: SortedSetRef<'_>, model: &Elements, op: &[u8]) {
    let range = ScoreRange {
        min: score(op[1]),
        max: score(op[2]),
        min_exclusive: op[3] & 1 != 0,
        max_exclusive: op[3] & 2 != 0,
    };
    check_range(set, model, &range);
    // The order of members is that of the set where scores are equal.
    if model.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        let (min, max) = (member(op[1]), member(op[2]));
        let bound = |member, n| match n % 4 {
            0 => LexBound::Lowest,
            1 => LexBound::Inclusive(member),
            2 => LexBound::Exclusive(member),
            _ => LexBound::Highest,
        };
        check_range(set, model, &LexRange { min: bound(&min, op[3]), max: bound(&max, op[3] / 4) });
    }
}

fn check_range(set: SortedSetRef<'_>, model: &Elements, bounds: &impl Bounds) {
    let within: Elements = model
        .iter()
        .filter(|(member, score)| bounds.reaches_min(member, *score) && bounds.reaches_max(member, *score))
        .cloned()
        .collect();
    let ranks = set.ranks(bounds);
    assert_eq!(ranks.len(), within.len());
    assert_eq!(model[ranks], within);
    for back in [false, true] {
        let mut seen = Elements::new();
        set.visit_range(bounds, back, 1, |member, score| {
            seen.push((member.to_bytes().into_owned(), score));
            ControlFlow::Continue(())
        });
        let mut expected = within.clone();
        if back {
            expected.reverse();
        }
        assert_eq!(seen, expected.get(1..).unwrap_or_default());
    }
}
