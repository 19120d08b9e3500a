//! Registers of six bits side by side: the lowest bits of the lowest byte come first.

use super::{REGISTER_BITS, REGISTERS};

/// Registers whose bits end with a byte's, worked on together: 24 bytes.
pub(super) const GROUP: usize = 32;
const GROUP_BYTES: usize = GROUP * REGISTER_BITS / 8;
const MASK: u8 = (1 << REGISTER_BITS) - 1;

/// A register's value.
#[inline]
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let low = registers[at];
    // The last register ends with the last byte.
    let high = registers.get(at + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([low, high]) >> shift) as u8 & MASK
}

/// Sets a register.
#[inline]
pub(super) fn set(registers: &mut [u8], index: usize, value: u8) {
    let (at, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let bits = |n: u8| (u16::from(n) << shift).to_le_bytes();
    let (value, mask) = (bits(value), bits(MASK));
    registers[at] = registers[at] & !mask[0] | value[0];
    if mask[1] != 0 {
        registers[at + 1] = registers[at + 1] & !mask[1] | value[1];
    }
}

/// Calls `each` with the index of every [`GROUP`]-th register, and the values from there on.
pub(super) fn each_group(registers: &[u8], mut each: impl FnMut(usize, &[u8; GROUP])) {
    for (n, bytes) in registers.chunks_exact(GROUP_BYTES).enumerate() {
        let mut values = [0; GROUP];
        for (four, three) in values.chunks_exact_mut(4).zip(bytes.chunks_exact(3)) {
            let [a, b, c] = [three[0], three[1], three[2]];
            four[0] = a & MASK;
            four[1] = (a >> 6 | b << 2) & MASK;
            four[2] = (b >> 4 | c << 4) & MASK;
            four[3] = c >> 2;
        }
        each(n * GROUP, &values);
    }
}

/// Writes all registers.
pub(super) fn pack(values: &[u8; REGISTERS], registers: &mut [u8]) {
    for (four, three) in values.chunks_exact(4).zip(registers.chunks_exact_mut(3)) {
        three[0] = four[0] | four[1] << 6;
        three[1] = four[1] >> 2 | four[2] << 4;
        three[2] = four[2] >> 4 | four[3] << 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_do_not_touch_each_other() {
        let mut values = [0; REGISTERS];
        let mut packed = vec![0; REGISTERS * REGISTER_BITS / 8];
        for step in 0..3 * REGISTERS {
            let index = step * 7919 % REGISTERS;
            values[index] = (step * 31 % 64) as u8;
            set(&mut packed, index, values[index]);
        }
        assert!((0..REGISTERS).all(|index| get(&packed, index) == values[index]));
        let mut again = vec![0; packed.len()];
        pack(&values, &mut again);
        assert_eq!(packed, again);
        each_group(&packed, |at, group| assert_eq!(group, &values[at..at + GROUP]));
    }
}
