use super::{Element, Listpack, ListpackRef, entry_size};
use crate::encoding::Malformed;
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
        assert_eq!(pack.len(), if (10..=65_530).contains(&i) { pack.len() } else { i });
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

proptest! {
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
