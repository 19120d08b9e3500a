//! Ziplists and zipmaps, in which collections were packed before listpacks. They are read only, and become listpacks.
//!
//! ```text
//! ziplist: bytes (u32) | offset of the last entry (u32) | entries (u16; 65535: not known) | entry ... | 0xFF
//! entry:   size of the one before it: 1 byte below 254, or 0xFE and u32 | head | data
//!
//! head      data
//! 00llllll                    a string of up to 63 bytes
//! 01llllll  1 byte            a string of up to 16383 bytes, the high bits of its length first
//! 80        u32, big endian   any longer string
//! C0, D0, E0, F0, FE          a signed integer of 2, 4, 8, 3, 1 bytes
//! 1111vvvv                    an integer of 0 to 12: v - 1, v being 1 to 13
//!
//! zipmap:  pairs (1 byte; 254 and more: not known) | pair ... | 0xFF
//! pair:    length, key, length, free (1 byte), value, as many unused bytes as `free` says
//! length:  1 byte below 254, or 0xFE and u32
//! ```

use carnelian_keyspace::encoding::listpack::{Element, Listpack};

use super::error::Fault;

const HEADER: usize = 10;
const END: u8 = 0xFF;
const WIDE: u8 = 0xFE;
const BROKEN: Fault = Fault::Encoding("Ziplist");
const BROKEN_MAP: Fault = Fault::Encoding("Zipmap");

/// Splits off `n` bytes.
fn split<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(n)?;
    *rest = after;
    Some(taken)
}

fn split_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

/// A length of one byte, or of five; the closing byte is none.
fn short_or_wide(rest: &mut &[u8]) -> Option<usize> {
    match split_array::<1>(rest)?[0] {
        END => None,
        WIDE => Some(u32::from_le_bytes(split_array(rest)?) as usize),
        n => Some(n.into()),
    }
}

/// The element of an entry, after the size of the one before it.
fn element<'a>(rest: &mut &'a [u8]) -> Option<Element<'a>> {
    let head = split_array::<1>(rest)?[0];
    let length = match head >> 6 {
        0 => usize::from(head),
        1 => usize::from(head & 63) << 8 | usize::from(split_array::<1>(rest)?[0]),
        2 if head == 0x80 => u32::from_be_bytes(split_array(rest)?) as usize,
        _ => return integer(head, rest).map(Element::Int),
    };
    split(rest, length).map(Element::Bytes)
}

fn integer(head: u8, rest: &mut &[u8]) -> Option<i64> {
    Some(match head {
        0xC0 => i16::from_le_bytes(split_array(rest)?).into(),
        0xD0 => i32::from_le_bytes(split_array(rest)?).into(),
        0xE0 => i64::from_le_bytes(split_array(rest)?),
        0xF0 => {
            let [a, b, c] = split_array(rest)?;
            (i32::from_le_bytes([0, a, b, c]) >> 8).into()
        }
        0xFE => i8::from_le_bytes(split_array(rest)?).into(),
        0xF1..=0xFD => i64::from(head & 15) - 1,
        _ => return None,
    })
}

/// The listpack with the elements of a ziplist.
pub(crate) fn listpack_of(bytes: &[u8]) -> Result<Listpack, Fault> {
    let (header, _) = bytes.split_first_chunk::<HEADER>().ok_or(BROKEN)?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let counted = usize::from(u16::from_le_bytes([header[8], header[9]]));
    if word(0) as usize != bytes.len() || bytes.len() <= HEADER || bytes[bytes.len() - 1] != END {
        return Err(BROKEN);
    }
    let mut pack = Listpack::with_capacity(bytes.len());
    let mut rest = &bytes[HEADER..bytes.len() - 1];
    let (mut before, mut last, mut count) = (0, HEADER, 0);
    while !rest.is_empty() {
        last = bytes.len() - 1 - rest.len();
        let length = rest.len();
        if short_or_wide(&mut rest) != Some(before) {
            return Err(BROKEN);
        }
        push(&mut pack, element(&mut rest).ok_or(BROKEN)?);
        before = length - rest.len();
        count += 1;
    }
    if word(4) as usize != last || (counted != 65535 && counted != count) {
        return Err(BROKEN);
    }
    Ok(pack)
}

/// Text that is an integer may stand as text in a ziplist, never in a listpack.
fn push(pack: &mut Listpack, element: Element<'_>) {
    match element {
        Element::Int(v) => pack.push_int_back(v),
        Element::Bytes(bytes) => pack.push_back(bytes),
    }
}

/// The listpack with the keys and values of a zipmap.
pub(crate) fn listpack_of_zipmap(bytes: &[u8]) -> Result<Listpack, Fault> {
    let [counted, pairs @ .., END] = bytes else { return Err(BROKEN_MAP) };
    let mut pack = Listpack::with_capacity(bytes.len());
    let (mut rest, mut count) = (pairs, 0);
    while !rest.is_empty() {
        let (key, value) = pair(&mut rest).ok_or(BROKEN_MAP)?;
        pack.push_back(key);
        pack.push_back(value);
        count += 1;
    }
    if count == 0 || (*counted < WIDE && usize::from(*counted) != count) {
        return Err(BROKEN_MAP);
    }
    Ok(pack)
}

fn pair<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let length = short_or_wide(rest)?;
    let key = split(rest, length)?;
    let length = short_or_wide(rest)?;
    let free = split_array::<1>(rest)?[0];
    let value = split(rest, length)?;
    split(rest, free.into())?;
    Some((key, value))
}

#[cfg(test)]
mod tests {
    use super::{listpack_of, listpack_of_zipmap};
    use carnelian_keyspace::encoding::listpack::Listpack;

    fn texts(pack: &Listpack) -> Vec<String> {
        pack.view().iter().map(|e| String::from_utf8_lossy(&e.to_bytes()).into_owned()).collect()
    }

    /// A ziplist of encoded elements (head and data).
    fn ziplist(elements: &[&[u8]]) -> Vec<u8> {
        let mut entries = Vec::new();
        let (mut before, mut last) = (0, 10);
        for element in elements {
            last = 10 + entries.len();
            let start = entries.len();
            if before < 254 {
                entries.push(before as u8);
            } else {
                entries.push(0xFE);
                entries.extend_from_slice(&(before as u32).to_le_bytes());
            }
            entries.extend_from_slice(element);
            before = entries.len() - start;
        }
        let mut bytes = (entries.len() as u32 + 11).to_le_bytes().to_vec();
        bytes.extend_from_slice(&(last as u32).to_le_bytes());
        bytes.extend_from_slice(&(elements.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&entries);
        bytes.push(0xFF);
        bytes
    }

    #[test]
    fn every_element_of_a_ziplist() {
        let long = [&[0x41, 0x2c][..], &[b'x'; 300]].concat();
        let longer = [&[0x80, 0, 0, 0x50, 0][..], &[b'y'; 0x5000]].concat();
        let bytes = ziplist(&[
            b"\x03abc",
            b"\x00",
            b"\x0212",
            &long,
            &longer,
            b"\xC0\xff\xff",
            b"\xD0\x00\x00\x01\x00",
            b"\xE0\x00\x00\x00\x00\x00\x00\x00\x80",
            b"\xF0\x00\x00\x80",
            b"\xFE\x80",
            b"\xF1",
            b"\xFD",
        ]);
        let pack = listpack_of(&bytes).expect("a ziplist");
        let wanted = [
            "abc",
            "",
            "12",
            &"x".repeat(300),
            &"y".repeat(0x5000),
            "-1",
            "65536",
            "-9223372036854775808",
            "-8388608",
            "-128",
            "0",
            "12",
        ];
        assert_eq!(texts(&pack), wanted);
        assert!(listpack_of(&ziplist(&[])).is_ok_and(|pack| pack.is_empty()));
    }

    #[test]
    fn damage_is_seen_or_changes_only_elements() {
        let bytes = ziplist(&[b"\x03abc", b"\xF1", b"\xC0\x00\x01", b"\x0212"]);
        for cut in 0..bytes.len() {
            assert!(listpack_of(&bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(pack) = listpack_of(&bytes) {
                    assert!(pack.len() == 4 || at == 8 || at == 9, "byte {at}");
                }
            }
        }
    }

    #[test]
    fn zipmaps() {
        // From the description of the format: "foo" => "bar", "hello" => "world" with a free byte.
        let bytes = b"\x02\x03foo\x03\x00bar\x05hello\x05\x01world?\xff";
        assert_eq!(texts(&listpack_of_zipmap(bytes).expect("a zipmap")), ["foo", "bar", "hello", "world"]);
        for cut in 0..bytes.len() {
            assert!(listpack_of_zipmap(&bytes[..cut]).is_err());
        }
        assert!(
            listpack_of_zipmap(b"\x01\x03foo\x03\x00bar\x05hello\x05\x00world\xff").is_err(),
            "the count"
        );
        assert!(listpack_of_zipmap(b"\xfe\x03foo\x03\x00bar\xff").is_ok(), "an unknown count");
        assert!(listpack_of_zipmap(b"\x00\xff").is_err(), "nobody kept an empty one");
    }
}
