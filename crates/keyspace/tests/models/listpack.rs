//! Listpacks against vectors: shared by a property test and a fuzz target. Operations are read from bytes; when these
//! end, so does the run.

use carnelian_keyspace::encoding::canonical_int;
use carnelian_keyspace::encoding::listpack::{Element, Listpack, ListpackRef, entry_size};

/// Operations as bytes.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from(self.byte()?) << 8 | u64::from(self.byte()?))
    }

    /// Integers of every width, texts that look like some, empty and long ones.
    fn text(&mut self) -> Option<Vec<u8>> {
        let kind = self.byte()?;
        let n = self.word()?;
        Some(match kind % 8 {
            0 => (n as i64 - 300).to_string().into_bytes(),
            1 => (n as i64).wrapping_shl(u32::from(kind / 8) * 2).to_string().into_bytes(),
            2 => (-(n as i64)).wrapping_shl(u32::from(kind / 8) * 2).to_string().into_bytes(),
            3 => format!("0{n}").into_bytes(),
            4 => vec![kind; (n % 70) as usize],
            5 if kind == 5 => vec![b'L'; (n % 20_000) as usize],
            6 => format!("-{}", n % 3).into_bytes(),
            _ => format!("member:{}", n % 50).into_bytes(),
        })
    }
}

/// Runs the operations that `bytes` stand for; the same bytes are also looked at as a listpack.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(pack) = Listpack::load(bytes.to_vec()) {
        check(&pack, &texts(pack.view()), b"needle");
    }
    let (mut input, mut pack, mut model) = (Input(bytes), Listpack::new(), Vec::new());
    while step(&mut input, &mut pack, &mut model).is_some() {
        assert_eq!(pack.len(), model.len());
    }
    check(&pack, &model, model.last().map_or(b"none", |text| &text[..]));
}

fn texts(view: ListpackRef<'_>) -> Vec<Vec<u8>> {
    view.iter().map(|element| element.to_bytes().into_owned()).collect()
}

/// One operation on both; indices are taken modulo the length.
fn step(input: &mut Input<'_>, pack: &mut Listpack, model: &mut Vec<Vec<u8>>) -> Option<()> {
    match input.byte()? % 12 {
        0..=2 => {
            let text = input.text()?;
            pack.push_back(&text);
            model.push(text);
        }
        3 => {
            let text = input.text()?;
            pack.push_front(&text);
            model.insert(0, text);
        }
        4 => {
            let count = input.byte()? % 4;
            let texts = (0..count).map(|_| input.text()).collect::<Option<Vec<_>>>()?;
            let mut other = Listpack::new();
            texts.iter().for_each(|text| other.push_back(text));
            model.extend(texts);
            pack.append(other.view());
        }
        5 => {
            let (index, n) = (input.word()? as i64 % 20 - 10, usize::from(input.byte()? % 5));
            pack.remove_range(index, n);
            let from = if index < 0 { index + model.len() as i64 } else { index };
            if (0..model.len() as i64).contains(&from) {
                let from = from as usize;
                model.drain(from..model.len().min(from + n));
            }
        }
        6 if input.byte()? == 0 => {
            pack.clear();
            model.clear();
        }
        op if op > 6 && !model.is_empty() => {
            let i = input.word()? as usize % model.len();
            at_place(op, i, input, pack, model)?;
        }
        _ => {}
    }
    Some(())
}

fn at_place(
    op: u8,
    i: usize,
    input: &mut Input<'_>,
    pack: &mut Listpack,
    model: &mut Vec<Vec<u8>>,
) -> Option<()> {
    let pos = pack.view().at(i as i64).expect("the index is below the length");
    if op == 10 {
        let n = usize::from(input.byte()? % 4);
        let next = pack.remove_many(pos, n);
        model.drain(i..model.len().min(i + n));
        assert_eq!(next, pack.view().at(i as i64));
        return Some(());
    }
    let text = input.text()?;
    let new = match op {
        7 => {
            model.insert(i, text.clone());
            pack.insert_before(pos, &text)
        }
        8 => {
            model.insert(i + 1, text.clone());
            pack.insert_after(pos, &text)
        }
        _ => {
            model[i].clone_from(&text);
            match canonical_int(&text) {
                Some(v) => pack.replace_int(pos, v),
                None => pack.replace(pos, &text),
            }
        }
    };
    assert!(pack.view().get(new).equals(&text));
    Some(())
}

/// Reads everything in every way.
fn check(pack: &Listpack, model: &[Vec<u8>], needle: &[u8]) {
    let view = ListpackRef::validate(pack.view().bytes()).expect("it was built by its own rules");
    assert_eq!(texts(view), model);
    let back: Vec<_> = view.iter().rev().map(|element| element.to_bytes().into_owned()).collect();
    assert!(back.iter().eq(model.iter().rev()));
    assert_eq!(pack.size(), 7 + model.iter().map(|text| entry_size(text)).sum::<usize>());
    let mut rebuilt = Listpack::new();
    model.iter().for_each(|text| rebuilt.push_back(text));
    assert_eq!(rebuilt.into_bytes(), view.bytes());

    let places: Vec<_> = std::iter::successors(view.first(), |pos| view.next(*pos)).collect();
    assert_eq!(places.len(), model.len());
    for (i, pos) in places.iter().enumerate() {
        assert_eq!(view.at(i as i64), Some(*pos));
        assert_eq!(view.at(i as i64 - places.len() as i64), Some(*pos));
        assert_eq!(view.get(*pos), Element::new(&model[i]));
        assert_eq!(view.get(*pos).len(), model[i].len());
        assert_eq!(view.prev(*pos), i.checked_sub(1).map(|i| places[i]));
        if i % (1 + model.len() / 40) != 0 {
            // Looking for all in long ones would take most of the time.
            continue;
        }
        for skip in 0..3 {
            let of = |from: usize, text: &[u8]| {
                (from..model.len()).step_by(skip + 1).find(|i| model[*i] == text).map(|i| places[i])
            };
            assert_eq!(view.find(*pos, needle, skip), of(i, needle));
            assert_eq!(view.find(places[0], &model[i], skip), of(0, &model[i]));
        }
    }
}
