//! Sets against `BTreeSet`, with limits so low that every conversion happens: shared by a property test and a fuzz
//! target. Operations are read from bytes; when these end, so does the run.

use carnelian_keyspace::encoding::intset::IntsetRef;
use carnelian_keyspace::encoding::listpack::{Element, ListpackRef};
use carnelian_keyspace::{Encoding, Event, Item, Keyspace, Limits, Options, Set, SetRef, Space, Value};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

const EVENT: [Event; 1] = [Event::set("test")];
const KEYS: usize = 3;
const MOST_INTS: usize = 12;

/// Operations as bytes.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Mostly small integers and short names; sometimes wide, empty, long or huge.
    fn member(&mut self) -> Option<Vec<u8>> {
        let (kind, n) = (self.byte()?, self.byte()?);
        Some(match kind {
            0..=140 => (n % 30).to_string().into_bytes(),
            141..=160 => (i64::from(n) << (kind - 100)).to_string().into_bytes(),
            161..=240 => format!("m{}", n % 30).into_bytes(),
            241..=246 => vec![n; usize::from(n % 14)],
            247..=249 => format!("0{n}").into_bytes(),
            250..=252 => Vec::new(),
            _ => vec![n; 100 + usize::from(n) * 20],
        })
    }
}

type Model = BTreeSet<Vec<u8>>;

struct Run {
    keyspace: Keyspace,
    models: [Model; KEYS],
}

/// A keyspace whose packed sets are tiny.
pub(crate) fn keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new(Options { databases: 1, hash_seed: (3, 4), random_seed: 5 });
    keyspace.set_limits(Limits {
        set_max_intset_entries: MOST_INTS,
        set_max_listpack_entries: 8,
        set_max_listpack_value: 10,
        ..Limits::default()
    });
    keyspace
}

/// Changes the set at `key`.
pub(crate) fn edit<R>(
    keyspace: &mut Keyspace,
    key: &[u8],
    change: impl FnOnce(&mut Set, &mut Space<'_>) -> R,
) -> R {
    let key = keyspace.key(key);
    let mut guard = keyspace.write(0, key);
    let result = guard.edit(change).expect("the key holds a set");
    guard.commit(&EVENT);
    result
}

pub(crate) fn set<'a>(item: &Item<'a>) -> SetRef<'a> {
    let Value::Set(set) = item.value() else { panic!("there are sets only") };
    set
}

pub(crate) fn text(element: Element<'_>) -> Vec<u8> {
    element.to_bytes().into_owned()
}

/// Runs the operations that `bytes` stand for.
pub(crate) fn run(bytes: &[u8]) {
    let mut run = Run { keyspace: keyspace(), models: Default::default() };
    let mut input = Input(bytes);
    let mut steps = 0;
    while run.step(&mut input).is_some() {
        steps += 1;
        if steps % 16 == 0 {
            (0..KEYS).for_each(|n| run.check(n));
        }
    }
    (0..KEYS).for_each(|n| run.check(n));
}

impl Run {
    fn edit<R>(&mut self, n: usize, change: impl FnOnce(&mut Set, &mut Space<'_>, &mut Model) -> R) -> R {
        let model = &mut self.models[n];
        edit(&mut self.keyspace, &[n as u8], |set, space| change(set, space, model))
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let op = input.byte()?;
        let n = usize::from(op) % KEYS;
        match op / KEYS as u8 {
            0..=35 => {
                let member = input.member()?;
                self.edit(n, |set, space, model| {
                    assert_eq!(set.add(space, &member), model.insert(member));
                });
            }
            36..=45 => {
                let count = usize::from(input.byte()? % 20) + 1;
                let members = (0..count).map(|_| input.member()).collect::<Option<Vec<_>>>()?;
                self.edit(n, |set, space, model| {
                    set.expect(space, &members[0], members.len());
                    for member in members {
                        let element = Element::Bytes(&member);
                        assert_eq!(set.add_element(space, element), model.insert(member.clone()));
                    }
                });
            }
            46..=60 => {
                let member = input.member()?;
                self.edit(n, |set, space, model| {
                    assert_eq!(set.remove(space, &member), model.remove(&member));
                });
            }
            61..=65 if !self.models[n].is_empty() => self.edit(n, |set, space, model| {
                set.pop(space, &mut |member| assert!(model.remove(&text(member))));
            }),
            66..=69 => self.pop_many(n, usize::from(input.byte()? % 30)),
            70..=72 => self.copy(n, usize::from(input.byte()?) % KEYS),
            73..=75 => self.narrow(n),
            _ => self.combine(n + 1),
        }
        Some(())
    }

    fn pop_many(&mut self, n: usize, count: usize) {
        let len = self.models[n].len();
        if count < len {
            self.edit(n, |set, space, model| {
                set.pop_many(space, count, &mut |member| assert!(model.remove(&text(member))));
            });
            assert_eq!(self.models[n].len(), len - count);
        }
    }

    fn copy(&mut self, from: usize, to: usize) {
        let (source, target) = ([from as u8], [to as u8]);
        let (source, target) = (self.keyspace.key(&source), self.keyspace.key(&target));
        let Some(owned) = self.keyspace.duplicate(0, source) else { return };
        let mut guard = self.keyspace.write(0, target);
        guard.put(owned);
        guard.commit(&EVENT);
        self.models[to] = self.models[from].clone();
    }

    fn narrow(&mut self, n: usize) {
        let model = &self.models[n];
        let ints = model.iter().all(|member| Element::new(member).as_int().is_some());
        let fits = ints && (1..=MOST_INTS).contains(&model.len());
        self.edit(n, |set, space, _| {
            set.narrow(space);
            assert!(!fits || set.view().encoding() == Encoding::Intset);
        });
    }

    /// Intersection, union and difference of the first `count` sets.
    fn combine(&mut self, count: usize) {
        let names: Vec<_> = (0..count as u8).map(|n| [n]).collect();
        let keys: Vec<_> = names.iter().map(|name| self.keyspace.key(name)).collect();
        let Ok((sets, mut space)) =
            self.keyspace.read_all(0, keys.into_iter(), |item| Ok::<_, Infallible>(item.as_ref().map(set)));
        let sets: Vec<SetRef<'_>> = sets.into_iter().flatten().collect();
        let models: Vec<&Model> = self.models[..count].iter().filter(|model| !model.is_empty()).collect();
        let Some((first, others)) = sets.split_first() else { return };
        let all = |member: &&Vec<u8>| models.iter().all(|model| model.contains(*member));
        let none = |member: &&Vec<u8>| !models[1..].iter().any(|model| model.contains(*member));
        let union: Model = models.iter().copied().flatten().cloned().collect();
        let intersection: Model = models[0].iter().filter(all).cloned().collect();
        let difference: Model = models[0].iter().filter(none).cloned().collect();

        let mut found = Model::new();
        SetRef::union(&sets, &space, |member| assert!(found.insert(text(member))));
        assert_eq!(found, union);
        let mut found = Model::new();
        SetRef::intersection(&mut sets.clone(), |member| {
            assert!(found.insert(text(member)));
            ControlFlow::Continue(())
        });
        assert_eq!(found, intersection);
        let mut found = Model::new();
        SetRef::difference(*first, &mut others.to_vec(), &space, |member| {
            assert!(found.insert(text(member)));
        });
        assert_eq!(found, difference);

        let built = [
            (Set::from_union(&sets, &mut space), union),
            (Set::from_intersection(&mut sets.clone(), &mut space), intersection),
            (Set::from_difference(*first, &mut others.to_vec(), &mut space), difference),
        ];
        for (set, model) in built {
            check(set.view(), &model);
            set.discard(&mut space);
        }
    }

    /// Compares a set with its model in every way of reading it.
    fn check(&mut self, n: usize) {
        let mut random = self.keyspace.fork_random();
        let (name, model) = ([n as u8], &self.models[n]);
        let key = self.keyspace.key(&name);
        let Some(item) = self.keyspace.read(0, key) else { return assert!(model.is_empty()) };
        let set = set(&item);
        assert!(!set.is_empty());
        check(set, model);
        for count in [1, model.len() / 4, model.len() / 2, model.len(), model.len() + 1] {
            let mut chosen = Model::new();
            set.random_distinct(count, &mut random, |member| assert!(chosen.insert(text(member))));
            assert!(chosen.len() == count.min(model.len()) && chosen.is_subset(model));
        }
        set.random_with_repeats(5, &mut random, |member| assert!(model.contains(&text(member))));
        assert!(item.memory(0) > 0);
    }
}

fn check(set: SetRef<'_>, model: &Model) {
    let mut members = Vec::new();
    set.for_each(|member| members.push(text(member)));
    assert_eq!((set.len(), members.len()), (model.len(), model.len()));
    assert_eq!(members.into_iter().collect::<Model>(), *model);
    assert!(model.iter().all(|member| set.contains(member) && set.contains_element(Element::new(member))));
    match (set.encoding(), set.packed()) {
        (Encoding::Intset, Some(bytes)) => assert!(IntsetRef::validate(bytes).is_ok()),
        (Encoding::Listpack, Some(bytes)) => assert!(ListpackRef::validate(bytes).is_ok()),
        (encoding, packed) => assert_eq!((encoding, packed), (Encoding::Hashtable, None)),
    }
    let (mut scanned, mut cursor) = (Model::new(), 0);
    loop {
        cursor = set.scan(cursor, &mut |member| assert!(scanned.insert(text(member))));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(scanned, *model);
}
