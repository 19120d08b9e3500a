//! Lists against a deque: shared by a property test and a fuzz target. Operations are read from bytes; when these end,
//! so does the run.

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{End, Event, Keyspace, Limits, List, ListRef, Options, Space, Value};
use std::collections::VecDeque;

const EVENT: [Event; 1] = [Event::list("test")];
const KEYS: [&[u8]; 2] = [b"a", b"the-second-list"];
/// Sizes of nodes in which a few elements reach every form.
const LIMITS: [i64; 8] = [-2, -1, 1, 2, 3, 7, 20, -5];

/// Operations as bytes.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<usize> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(usize::from(*first))
    }

    /// Few integers and texts, so that searches find some; now and then one that fills a node.
    fn element(&mut self) -> Option<Vec<u8>> {
        let which = self.byte()?;
        Some(match which {
            0..=99 => (which % 10).to_string().into_bytes(),
            100..=179 => vec![b'a'; which % 5],
            180..=199 => (which << 50).to_string().into_bytes(),
            200..=239 => vec![b'x'; (which - 190) * 10],
            240..=250 => vec![b'y'; (which - 239) * 400],
            _ => vec![b'z'; 4000 + (which - 251) * 1400],
        })
    }

    fn end(&mut self) -> Option<End> {
        Some(if self.byte()? % 2 == 0 { End::Head } else { End::Tail })
    }
}

type Model = VecDeque<Vec<u8>>;

struct Run {
    keyspace: Keyspace,
    models: [Model; KEYS.len()],
}

/// Runs the operations that `bytes` stand for.
pub(crate) fn run(bytes: &[u8]) {
    let keyspace = Keyspace::new(Options { databases: 1, hash_seed: (3, 4), random_seed: 5 });
    let mut run = Run { keyspace, models: Default::default() };
    let mut input = Input(bytes);
    while run.step(&mut input).is_some() {}
    (0..KEYS.len()).for_each(|n| run.check(n));
}

fn push(model: &mut Model, end: End, value: Vec<u8>) {
    match end {
        End::Head => model.push_front(value),
        End::Tail => model.push_back(value),
    }
}

fn pop(model: &mut Model, end: End) -> Option<Vec<u8>> {
    match end {
        End::Head => model.pop_front(),
        End::Tail => model.pop_back(),
    }
}

fn find(model: &Model, value: &[u8], end: End) -> Option<usize> {
    match end {
        End::Head => model.iter().position(|other| other == value),
        End::Tail => model.iter().rposition(|other| other == value),
    }
}

fn owned(element: Element<'_>) -> Vec<u8> {
    element.to_bytes().into_owned()
}

impl Run {
    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let op = input.byte()?;
        let n = op % KEYS.len();
        match op / KEYS.len() {
            0..=39 => self.push(n, input)?,
            40..=59 => {
                let end = input.end()?;
                let popped = self.edit(n, |list, space| list.pop(space, end, owned));
                assert_eq!(popped, pop(&mut self.models[n], end));
            }
            60..=69 => self.drop_some(n, input)?,
            70..=79 => self.set(n, input)?,
            80..=94 => self.insert(n, input)?,
            95..=104 => self.remove(n, input)?,
            105..=110 => self.rotate(n, input)?,
            111..=114 => self.copy(n),
            115..=117 => {
                let list_max_listpack_size = LIMITS[input.byte()? % LIMITS.len()];
                self.keyspace.set_limits(Limits { list_max_listpack_size, ..Limits::default() });
            }
            _ => self.check(n),
        }
        Some(())
    }

    fn edit<R>(&mut self, n: usize, change: impl FnOnce(&mut List, &mut Space<'_>) -> R) -> R {
        let key = self.keyspace.key(KEYS[n]);
        let mut guard = self.keyspace.write(0, key);
        let result = guard.edit::<List, _>(change).expect("there are lists only");
        guard.commit(&EVENT);
        result
    }

    fn push(&mut self, n: usize, input: &mut Input<'_>) -> Option<()> {
        let end = input.end()?;
        let values: Option<Vec<Vec<u8>>> = (0..=input.byte()? % 6).map(|_| input.element()).collect();
        let values = values?;
        self.edit(n, |list, space| list.push(space, end, values.iter().map(Vec::as_slice)));
        values.into_iter().for_each(|value| push(&mut self.models[n], end, value));
        Some(())
    }

    fn drop_some(&mut self, n: usize, input: &mut Input<'_>) -> Option<()> {
        let (start, count) = (input.byte()? % 4, input.byte()? % 60);
        let end = input.end()?;
        let model = &mut self.models[n];
        match count {
            0..=20 => {
                (0..start).for_each(|_| drop(pop(model, end)));
                self.edit(n, |list, space| list.drop_many(space, end, start));
            }
            _ => {
                *model = model.iter().skip(start).take(count).cloned().collect();
                self.edit(n, |list, space| list.keep(space, start, count));
            }
        }
        Some(())
    }

    fn set(&mut self, n: usize, input: &mut Input<'_>) -> Option<()> {
        let (index, value) = (input.byte()?, input.element()?);
        let index = index % (self.models[n].len() + 1);
        let set = self.edit(n, |list, space| list.set(space, index, &value));
        assert_eq!(set, index < self.models[n].len());
        if set {
            self.models[n][index] = value;
        }
        Some(())
    }

    fn insert(&mut self, n: usize, input: &mut Input<'_>) -> Option<()> {
        let (pivot, value, after) = (input.element()?, input.element()?, input.byte()? % 2 == 0);
        let inserted = self.edit(n, |list, space| list.insert(space, &pivot, after, &value));
        let place = find(&self.models[n], &pivot, End::Head);
        assert_eq!(inserted, place.is_some());
        if let Some(place) = place {
            self.models[n].insert(place + usize::from(after), value);
        }
        Some(())
    }

    fn remove(&mut self, n: usize, input: &mut Input<'_>) -> Option<()> {
        let (value, limit, end) = (input.element()?, 1 + input.byte()? % 4, input.end()?);
        let removed = self.edit(n, |list, space| list.remove(space, &value, limit, end));
        let model = &mut self.models[n];
        let mut expected = 0;
        while expected < limit
            && let Some(place) = find(model, &value, end)
        {
            model.remove(place);
            expected += 1;
        }
        assert_eq!(removed, expected);
        Some(())
    }

    fn rotate(&mut self, n: usize, input: &mut Input<'_>) -> Option<()> {
        let (from, to) = (input.end()?, input.end()?);
        let mut seen = None;
        self.edit(n, |list, space| list.rotate(space, from, to, |element| seen = Some(owned(element))));
        let taken = pop(&mut self.models[n], from);
        assert_eq!(seen, taken);
        if let Some(value) = taken {
            push(&mut self.models[n], to, value);
        }
        Some(())
    }

    fn copy(&mut self, n: usize) {
        let other = (n + 1) % KEYS.len();
        let (from, to) = (self.keyspace.key(KEYS[n]), self.keyspace.key(KEYS[other]));
        let Some(value) = self.keyspace.duplicate(0, from) else { return };
        let mut guard = self.keyspace.write(0, to);
        guard.put(value);
        guard.commit(&EVENT);
        self.models[other] = self.models[n].clone();
    }

    /// Compares everything that can be read.
    fn check(&mut self, n: usize) {
        let key = self.keyspace.key(KEYS[n]);
        let model = &self.models[n];
        let Some(item) = self.keyspace.read(0, key) else {
            assert!(model.is_empty());
            return;
        };
        let Value::List(list) = item.value() else { panic!("there are lists only") };
        assert_eq!(list.len(), model.len());
        check_walks(list, model);
        for index in [0, 1, model.len() / 2, model.len() - 1, model.len()] {
            assert_eq!(list.get(index).map(owned).as_ref(), model.get(index));
        }
    }
}

/// Walks to both ends from everywhere.
fn check_walks(list: ListRef<'_>, model: &Model) {
    let starts = [0, 1, 2, model.len() / 3, model.len() / 2, model.len() - 1, model.len()];
    for start in starts {
        let mut found = Vec::new();
        list.forward(start, usize::MAX, |element| found.push(owned(element)));
        assert!(found.iter().eq(model.iter().skip(start)));
        found.clear();
        list.try_backward(start, usize::MAX, |element| {
            found.push(owned(element));
            true
        });
        assert!(start >= model.len() || found.iter().rev().eq(model.iter().take(start + 1)));
    }
}
