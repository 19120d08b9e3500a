use super::{Element, Listpack, ListpackRef, entry_size};
use crate::encoding::{Malformed, canonical_int};
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn pack<T: AsRef<[u8]>>(elements: &[T]) -> Listpack {
    let mut pack = Listpack::new();
    elements.iter().for_each(|e| pack.push_back(e.as_ref()));
    pack
}

fn texts(view: ListpackRef<'_>) -> Vec<Vec<u8>> {
    view.iter().map(|e| e.to_bytes().into_owned()).collect()
}

/// The bytes were read from `DUMP` of hashes of a Redis 8.2.3.
#[test]
fn the_bytes_are_those_of_redis() {
    let elements = [
        "0",
        "127",
        "128",
        "-1",
        "4095",
        "4096",
        "-4096",
        "-4097",
        "32767",
        "-32768",
        "32768",
        "8388607",
        "8388608",
        "-8388609",
        "2147483648",
        "-9223372036854775808",
        "",
        "a",
        "-0",
        "+1",
    ];
    let expect = concat!(
        "5e000000140000017f01c08002dfff02cfff02f1001003d00002f1ffef03f1ff7f03f1008003f200800004f2ff",
        "ff7f04f30000800005f3ffff7fff05f4000000800000000009f40000000000000080098001816102822d3003822b3103ff"
    );
    assert_eq!(hex(&pack(&elements).into_bytes()), expect);
}

/// Read from Redis 8.2.3 likewise: a field `f` with a value of `q`s around the bounds of the two lengths.
#[test]
fn lengths_take_as_many_bytes_as_in_redis() {
    let check = |n: usize, before: &str, after: &str| {
        let bytes = pack(&[b"f".to_vec(), vec![b'q'; n]]).into_bytes();
        let from = bytes.iter().position(|b| *b == b'q').unwrap();
        assert_eq!((hex(&bytes[..from]), hex(&bytes[from + n..])), (before.to_string(), after.to_string()));
    };
    check(125, "8a0000000200816602e07d", "7fff");
    check(126, "8c0000000200816602e07e", "0180ff");
    check(4095, "0d1000000200816602efff", "2081ff");
    check(4096, "111000000200816602f000100000", "2085ff");
    check(16377, "0a4000000200816602f0f93f0000", "7ffeff");
    check(16378, "0c4000000200816602f0fa3f0000", "00ffffff");
    check(16379, "0d4000000200816602f0fb3f0000", "018080ff");
}

#[test]
fn every_length_and_integer_comes_back() {
    let lengths =
        [0, 1, 7, 8, 9, 62, 63, 64, 125, 126, 127, 4095, 4096, 16378, 16379, 16384, 2_097_145, 2_097_146];
    for n in lengths {
        let text = vec![b'x'; n];
        let pack = pack(&[&b"1"[..], &text, b"end"]);
        let view = ListpackRef::validate(pack.view().bytes()).unwrap();
        assert_eq!(texts(view), [b"1".to_vec(), text.clone(), b"end".to_vec()]);
        assert_eq!(view.iter().next_back(), Some(Element::Bytes(b"end")));
        let at = view.at(1).unwrap();
        assert_eq!(view.find(view.first().unwrap(), &text, 0), Some(at));
        assert_eq!(view.at(2).unwrap() - at, entry_size(&text));
        assert_eq!(view.prev(view.at(2).unwrap()), Some(at));
    }
    for bit in 0..64 {
        for v in [1i64 << bit, (1i64 << bit).wrapping_sub(1), (1i64 << bit).wrapping_neg(), !(1i64 << bit)] {
            let mut pack = Listpack::new();
            pack.push_int_back(v);
            let at = pack.view().first().unwrap();
            assert_eq!(pack.view().get(at), Element::Int(v));
            assert_eq!(pack.view().find(at, v.to_string().as_bytes(), 0), Some(at));
            assert_eq!(pack.view().get(at).len(), v.to_string().len());
        }
    }
}

#[test]
fn a_count_beyond_16_bits_is_counted() {
    let mut pack = Listpack::new();
    for i in 0..70_000 {
        assert_eq!(pack.len(), if i < 10 || i > 65_530 { i } else { pack.len() });
        pack.push_int_back(i as i64 % 100);
    }
    assert_eq!(ListpackRef::validate(pack.view().bytes()).unwrap().len(), 70_000);
    assert!(pack.view().at(69_999).is_some() && pack.view().at(70_000).is_none());
    pack.remove_range(-60_000, 59_999);
    assert_eq!(pack.len(), 10_001);
    ListpackRef::validate(pack.view().bytes()).unwrap();
}

#[test]
fn sound_bytes_in_a_longer_form_are_written_anew() {
    // 5 as an integer of 16 bits, "7" and "a" as strings with longer heads, 3 as one of 13 bits.
    let bytes = [
        &[0u8, 0, 0, 0, 4, 0][..],
        &[0xF1, 5, 0, 3],
        &[0x81, b'7', 2],
        &[0xE0, 1, b'a', 3],
        &[0xC0, 3, 2],
        &[0xFF],
    ]
    .concat();
    let mut bytes = bytes;
    bytes[0] = bytes.len() as u8;
    assert!(ListpackRef::validate(&bytes).is_err());
    let pack = Listpack::load(bytes).unwrap();
    assert_eq!(pack.view().bytes(), self::pack(&["5", "7", "a", "3"]).view().bytes());
}

#[test]
fn malformed_bytes_are_refused() {
    let good = pack(&[&b"abc"[..], b"300", &[b'x'; 200], b"-5000000000"]).into_bytes();
    assert!(Listpack::load(good.clone()).is_ok());
    for i in 0..good.len() {
        assert_eq!(Listpack::load(good[..i].to_vec()).map(|p| p.len()), Err(Malformed));
        let string = (7..10).contains(&i) || (16..216).contains(&i);
        let number = (11..13).contains(&i) || (219..227).contains(&i);
        let mut bytes = good.clone();
        bytes[i] ^= 0x15;
        assert_eq!(Listpack::load(bytes).is_ok(), string || number, "byte {i}");
    }
    assert!(Listpack::load(vec![7, 0, 0, 0, 0xff, 0xff, 0xff]).is_ok_and(|p| p.is_empty()));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<i64>().prop_map(|v| v.to_string().into_bytes()),
        4 => (-5000i64..5000).prop_map(|v| v.to_string().into_bytes()),
        4 => (0u32..30).prop_map(|v| format!("member:{v}").into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 0..70),
        2 => "[0-9+-]{0,4}".prop_map(String::into_bytes),
        1 => (100usize..500, any::<u8>()).prop_map(|(n, b)| vec![b; n]),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    InsertBefore(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    ReplaceInt(usize, i64),
    Remove(usize, usize),
    RemoveRange(i64, usize),
    Append(Vec<Vec<u8>>),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => text().prop_map(Op::PushBack),
        3 => text().prop_map(Op::PushFront),
        3 => (any::<usize>(), text()).prop_map(|(i, t)| Op::InsertBefore(i, t)),
        3 => (any::<usize>(), text()).prop_map(|(i, t)| Op::InsertAfter(i, t)),
        3 => (any::<usize>(), text()).prop_map(|(i, t)| Op::Replace(i, t)),
        1 => (any::<usize>(), any::<i64>()).prop_map(|(i, v)| Op::ReplaceInt(i, v)),
        3 => (any::<usize>(), 0usize..4).prop_map(|(i, n)| Op::Remove(i, n)),
        1 => (-10i64..10, 0usize..5).prop_map(|(i, n)| Op::RemoveRange(i, n)),
        1 => prop::collection::vec(text(), 0..5).prop_map(Op::Append),
        1 => Just(Op::Clear),
    ]
}

/// Applies an operation to both; indices are taken modulo the length.
fn apply(op: Op, pack: &mut Listpack, model: &mut Vec<Vec<u8>>) {
    let len = model.len().max(1);
    let place = |pack: &Listpack, i: usize| pack.view().at((i % len) as i64);
    match op {
        Op::PushBack(t) => {
            pack.push_back(&t);
            model.push(t);
        }
        Op::PushFront(t) => {
            pack.push_front(&t);
            model.insert(0, t);
        }
        Op::Append(ts) => {
            pack.append(self::pack(&ts).view());
            model.extend(ts);
        }
        Op::Clear => {
            pack.clear();
            model.clear();
        }
        Op::RemoveRange(i, n) => {
            pack.remove_range(i, n);
            let from = if i < 0 { i + model.len() as i64 } else { i };
            if (0..model.len() as i64).contains(&from) {
                let from = from as usize;
                model.drain(from..model.len().min(from + n));
            }
        }
        _ if model.is_empty() => {}
        Op::InsertBefore(i, t) => {
            let at = place(pack, i).unwrap();
            let new = pack.insert_before(at, &t);
            assert!(pack.view().get(new).equals(&t));
            model.insert(i % len, t);
        }
        Op::InsertAfter(i, t) => {
            let at = place(pack, i).unwrap();
            let new = pack.insert_after(at, &t);
            assert!(pack.view().get(new).equals(&t));
            model.insert(i % len + 1, t);
        }
        Op::Replace(i, t) => {
            let at = place(pack, i).unwrap();
            assert_eq!(pack.replace(at, &t), at);
            model[i % len] = t;
        }
        Op::ReplaceInt(i, v) => {
            let at = place(pack, i).unwrap();
            assert_eq!(pack.replace_int(at, v), at);
            model[i % len] = v.to_string().into_bytes();
        }
        Op::Remove(i, n) => {
            let at = place(pack, i).unwrap();
            let next = pack.remove_many(at, n);
            let from = i % len;
            model.drain(from..model.len().min(from + n));
            assert_eq!(next, pack.view().at(from as i64));
        }
    }
}

fn find_by_model(model: &[Vec<u8>], from: usize, needle: &[u8], skip: usize) -> Option<usize> {
    (from..model.len()).step_by(skip + 1).find(|i| model[*i] == needle)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 50 }))]

    #[test]
    fn a_listpack_is_a_vector(ops in prop::collection::vec(op(), 0..50), needle in text()) {
        let (mut pack, mut model) = (Listpack::new(), Vec::new());
        for op in ops {
            apply(op, &mut pack, &mut model);
            prop_assert_eq!(pack.len(), model.len());
        }
        let view = ListpackRef::validate(pack.view().bytes()).unwrap();
        prop_assert_eq!(&texts(view), &model);
        let mut back: Vec<_> = view.iter().rev().map(|e| e.to_bytes().into_owned()).collect();
        back.reverse();
        prop_assert_eq!(&back, &model);
        prop_assert_eq!(view.bytes().len(), 7 + model.iter().map(|t| entry_size(t)).sum::<usize>());
        prop_assert_eq!(self::pack(&model).into_bytes(), view.bytes());
        let mut places = Vec::new();
        let mut at = view.first();
        while let Some(pos) = at {
            places.push(pos);
            at = view.next(pos);
        }
        for skip in 0..3 {
            for (from, pos) in places.iter().enumerate() {
                let expect = find_by_model(&model, from, &needle, skip).map(|i| places[i]);
                prop_assert_eq!(view.find(*pos, &needle, skip), expect);
                let own = find_by_model(&model, 0, &model[from], skip).map(|i| places[i]);
                prop_assert_eq!(view.find(places[0], &model[from], skip), own);
            }
        }
        for (i, pos) in places.iter().enumerate() {
            prop_assert_eq!(view.at(i as i64), Some(*pos));
            prop_assert_eq!(view.at(i as i64 - places.len() as i64), Some(*pos));
            prop_assert_eq!(view.get(*pos).as_int(), canonical_int(&model[i]));
        }
    }

    #[test]
    fn any_bytes_are_accepted_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 7..60), count in 0u8..8) {
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..6].copy_from_slice(&[count, 0]);
        *bytes.last_mut().unwrap() = 0xff;
        if let Ok(pack) = Listpack::load(bytes) {
            prop_assert_eq!(texts(pack.view()).len(), pack.len());
            ListpackRef::validate(pack.view().bytes()).unwrap();
        }
    }
}
