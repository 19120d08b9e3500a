//! Counting, searching, and integers of any width within bytes equal loops over single bits.
#![no_main]

#[path = "../../crates/commands/src/bitmap/bits.rs"]
mod bits;

use libfuzzer_sys::fuzz_target;

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn number(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_le_bytes(*word).into())
    }
}

fn number(bits: &[bool], at: u64, width: u64) -> u64 {
    (at..at + width).fold(0, |n, i| n << 1 | u64::from(bits.get(i as usize).copied().unwrap_or(false)))
}

fn run(mut input: Input<'_>) -> Option<()> {
    let len = input.number()? % 600;
    let fill = input.number()? as u8;
    let mut bytes = vec![fill; len as usize];
    let mut model: Vec<bool> = (0..8 * len).map(|i| fill >> (7 - i % 8) & 1 == 1).collect();
    let total = 8 * len;
    loop {
        let (what, at) = (input.number()?, input.number()? % (total + 1));
        let width = 1 + what / 8 % 64;
        match what % 4 {
            0 if at < total => {
                bits::set(&mut bytes, at, what & 8 != 0);
                model[at as usize] = what & 8 != 0;
            }
            1 if at + width <= total => {
                let value = input.number()?.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                bits::set_field(&mut bytes, at, width as u32, value);
                for i in 0..width {
                    model[(at + i) as usize] = value >> (width - 1 - i) & 1 == 1;
                }
            }
            2 => assert_eq!(bits::field(&bytes, at, width as u32), number(&model, at, width)),
            _ => {
                let end = input.number()? % (total + 1);
                let range = at.min(end)..at.max(end);
                let part = &model[range.start as usize..range.end as usize];
                assert_eq!(
                    bits::count(&bytes, range.clone()),
                    part.iter().filter(|bit| **bit).count() as u64
                );
                for on in [false, true] {
                    let place = part.iter().position(|bit| *bit == on).map(|i| range.start + i as u64);
                    assert_eq!(bits::find(&bytes, range.clone(), on), place);
                }
                assert_eq!(bits::get(&bytes, at), model.get(at as usize).copied());
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    run(Input(data));
});
