//! A HyperLogLog of any runs is refused or equals plain registers, whatever it sees afterwards, in both forms.
//!
//! Two input bytes are the longest sparse form; one tells how many bytes of runs follow; the rest are elements of up to
//! four bytes, each with its length in front.
#![no_main]

use carnelian_keyspace::encoding::hll::{self, Form, REGISTERS, Registers, Sight};
use libfuzzer_sys::fuzz_target;

fn registers(bytes: &[u8]) -> Registers {
    let mut registers = Registers::default();
    registers.merge(bytes).expect("it was sound");
    registers
}

fuzz_target!(|data: &[u8]| {
    let [low, high, len, input @ ..] = data else { return };
    let sparse_max = usize::from(u16::from_le_bytes([*low, *high]) % 4000);
    let (runs, mut elements) = input.split_at(input.len().min((*len).into()));
    let mut bytes = [&hll::EMPTY[..hll::EMPTY.len() - 2], runs].concat();
    let mut model = Registers::default();
    let is_sound = model.merge(&bytes).is_ok();
    assert_eq!(hll::estimate(&bytes).is_ok(), is_sound);
    assert_eq!(
        is_sound,
        hll::runs(&bytes).map(|run| run.map_or(REGISTERS + 1, |run| run.len())).sum::<usize>() == REGISTERS
    );
    while let [len, rest @ ..] = elements {
        let (element, rest) = rest.split_at(rest.len().min((len % 5).into()));
        elements = rest;
        let sight = Sight::of(element);
        let (before, news) = (bytes.clone(), hll::is_news(&bytes, sight));
        match hll::add(&mut bytes, sight, sparse_max) {
            Ok(changed) => {
                assert_eq!(Ok(changed), news);
                assert_eq!(changed, bytes != before);
                assert!(!changed || hll::cached_estimate(&bytes).is_none());
            }
            Err(_) => assert!(!is_sound && bytes == before),
        }
        model.add(sight);
    }
    if !is_sound {
        return;
    }
    assert_eq!(registers(&bytes).values(), model.values());
    assert_eq!(hll::estimate(&bytes), Ok(model.estimate()));
    let mut stored = hll::EMPTY.to_vec();
    model.store(&mut stored, sparse_max).expect("an empty one is sound");
    assert_eq!(registers(&stored).values(), model.values());
    if hll::form(&bytes) == Some(Form::Sparse) {
        hll::make_dense(&mut bytes).expect("it is sound");
        assert_eq!(registers(&bytes).values(), model.values());
    }
});
