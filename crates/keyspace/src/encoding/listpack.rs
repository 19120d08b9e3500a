//! Listpacks: short sequences of strings and integers in one run of bytes, in Redis's layout.
//!
//! ```text
//! listpack: total bytes (u32) | elements (u16; 65535: not known) | entry ... | 0xFF
//! entry:    head and data | their size, readable from behind (1 to 5 bytes)
//!
//! head      data
//! 0vvvvvvv                    an integer of 0 to 127
//! 110vvvvv  1 byte            a signed integer of 13 bits, the high ones first
//! F1        2 bytes           a signed integer, little endian
//! F2, F3    3, 4 bytes        as F1
//! F4        8 bytes           as F1
//! 10llllll  l bytes           a string of up to 63 bytes
//! 1110llll  1 byte + l bytes  a string of up to 4095 bytes, the high bits of its length first
//! F0        u32 + l bytes     any longer string
//!
//! size from behind: groups of 7 bits, the lowest last; all but the first have bit 7 set
//! ```
//!
//! A string that is a 64-bit integer in canonical form is stored as one, and everything is stored in its
//! shortest form: so two elements are equal if and only if their heads and data are the same bytes, which is
//! how [`ListpackRef::find`] compares. Bytes from elsewhere go through [`Listpack::load`], which checks them and
//! brings them into that form; all else here trusts its bytes (and panics, at worst, if they are not right).

use super::{Malformed, canonical_int};
use std::borrow::Cow;

/// Bytes before the first entry.
pub(crate) const HEADER: usize = 6;
/// The byte behind the last entry.
pub(crate) const END: u8 = 0xFF;
/// The count that says: not known.
const UNKNOWN: usize = 65535;
/// Bytes that a listpack should not outgrow.
pub const MAX_SAFE_SIZE: usize = 1 << 30;

const STR6: u8 = 0x80;
const INT13: u8 = 0xC0;
const STR12: u8 = 0xE0;
const STR32: u8 = 0xF0;
const INT16: u8 = 0xF1;
const INT24: u8 = 0xF2;
const INT32: u8 = 0xF3;
const INT64: u8 = 0xF4;

/// Whole sizes of entries by their first byte; 0 where it takes more to know.
const SIZES: [u8; 256] = {
    let mut sizes = [0; 256];
    let mut b = 0;
    while b < 256 {
        sizes[b] = match b as u8 {
            0..STR6 => 2,
            STR6..INT13 => (b as u8 & 0x3f) + 2,
            INT13..STR12 => 3,
            INT16 => 4,
            INT24 => 5,
            INT32 => 6,
            INT64 => 10,
            _ => 0,
        };
        b += 1;
    }
    sizes
};

/// The offset of an entry, in bytes.
pub type Pos = usize;

/// An element by reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element<'a> {
    /// An integer.
    Int(i64),
    /// A string that is not a canonical integer.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element that stands for a string.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        canonical_int(bytes).map_or(Element::Bytes(bytes), Element::Int)
    }

    /// Length of the text, in bytes.
    pub fn len(&self) -> usize {
        match self {
            Element::Int(v) => {
                // `0` has no logarithm, and one digit.
                (*v < 0) as usize + 1 + v.unsigned_abs().checked_ilog10().unwrap_or(0) as usize
            }
            Element::Bytes(b) => b.len(),
        }
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        matches!(self, Element::Bytes(b""))
    }

    /// The text; an integer is printed.
    pub fn to_bytes(&self) -> Cow<'a, [u8]> {
        match self {
            Element::Int(v) => Cow::Owned(itoa::Buffer::new().format(*v).as_bytes().to_vec()),
            Element::Bytes(b) => Cow::Borrowed(b),
        }
    }

    /// Calls `f` with the text, without allocating.
    #[inline]
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Element::Int(v) => f(itoa::Buffer::new().format(*v).as_bytes()),
            Element::Bytes(b) => f(b),
        }
    }

    /// Whether the text is `bytes`.
    pub fn equals(&self, bytes: &[u8]) -> bool {
        match self {
            Element::Int(v) => canonical_int(bytes) == Some(*v),
            Element::Bytes(b) => *b == bytes,
        }
    }

    /// The integer of an element that is stored as one.
    #[inline]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Element::Int(v) => Some(*v),
            Element::Bytes(_) => None,
        }
    }

    /// Bytes of the head and data.
    #[inline]
    fn body(&self) -> usize {
        match self {
            Element::Int(v) => Head::of_int(*v).as_bytes().len(),
            Element::Bytes(b) => string_head(b.len()) + b.len(),
        }
    }

    /// Bytes of the whole entry.
    #[inline]
    pub(crate) fn entry(&self) -> usize {
        let body = self.body();
        body + back_len(body)
    }

    /// Writes the entry into as many bytes as it takes.
    #[inline]
    pub(crate) fn write(&self, to: &mut [u8]) {
        let body = match self {
            Element::Int(v) => {
                let head = Head::of_int(*v);
                let head = head.as_bytes();
                to[..head.len()].copy_from_slice(head);
                head.len()
            }
            Element::Bytes(data) => {
                let head = Head::of_string(data.len());
                let head = head.as_bytes();
                let body = head.len() + data.len();
                to[..head.len()].copy_from_slice(head);
                to[head.len()..body].copy_from_slice(data);
                body
            }
        };
        put_back(to, body, body);
    }
}

/// The first bytes of an entry: the whole head and data of an integer, the head alone of a string.
struct Head {
    bytes: [u8; 9],
    len: u8,
}

impl Head {
    #[inline]
    fn of_int(v: i64) -> Head {
        let mut bytes = [0; 9];
        bytes[1..].copy_from_slice(&v.to_le_bytes());
        let len = match v {
            0..=127 => {
                bytes[0] = v as u8;
                1
            }
            -4096..=4095 => {
                bytes[0] = INT13 | ((v >> 8) as u8 & 0x1f);
                bytes[1] = v as u8;
                2
            }
            -0x8000..=0x7fff => {
                bytes[0] = INT16;
                3
            }
            -0x80_0000..=0x7f_ffff => {
                bytes[0] = INT24;
                4
            }
            -0x8000_0000..=0x7fff_ffff => {
                bytes[0] = INT32;
                5
            }
            _ => {
                bytes[0] = INT64;
                9
            }
        };
        Head { bytes, len }
    }

    #[inline]
    fn of_string(len: usize) -> Head {
        let mut bytes = [0; 9];
        if len < 64 {
            bytes[0] = STR6 | len as u8;
        } else if len < 4096 {
            bytes[0] = STR12 | (len >> 8) as u8;
            bytes[1] = len as u8;
        } else {
            bytes[0] = STR32;
            bytes[1..5].copy_from_slice(&(len as u32).to_le_bytes());
        }
        Head { bytes, len: string_head(len) as u8 }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

/// Bytes of a string's head.
#[inline]
fn string_head(len: usize) -> usize {
    match len {
        0..64 => 1,
        64..4096 => 2,
        _ => 5,
    }
}

/// Bytes that tell an entry's size from behind. The bounds are Redis's: two of them are one below what the
/// groups could hold.
#[inline]
fn back_len(body: usize) -> usize {
    match body {
        0..=127 => 1,
        128..16383 => 2,
        16383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Writes the size of a head and data behind them; returns where the entry ends.
#[inline]
fn put_back(bytes: &mut [u8], at: usize, body: usize) -> usize {
    if body <= 127 {
        bytes[at] = body as u8;
        return at + 1;
    }
    let n = back_len(body);
    let mut rest = body;
    for i in (0..n).rev() {
        bytes[at + i] = (rest & 127) as u8 | if i > 0 { 128 } else { 0 };
        rest >>= 7;
    }
    at + n
}

/// Reads the size that ends before `end`; `None` if it does not end within 5 bytes or before `HEADER`.
#[inline]
fn read_back(bytes: &[u8], end: usize) -> Option<(usize, usize)> {
    let last = bytes[end - 1];
    if last < 128 {
        return Some((last as usize, 1));
    }
    let (mut size, mut at) = ((last & 127) as usize, end - 1);
    for n in 2..=5 {
        if at <= HEADER {
            return None;
        }
        at -= 1;
        size |= ((bytes[at] & 127) as usize) << (7 * (n - 1));
        if bytes[at] < 128 {
            return Some((size, n));
        }
    }
    None
}

/// Where the entry after the one at `pos` begins. At the end, it stays there.
#[inline(always)]
fn skip(bytes: &[u8], pos: Pos) -> Pos {
    let b = bytes[pos];
    // A branch that predicts well keeps the table's latency out of the chain of dependent loads.
    if b & 0xC0 == STR6 {
        return pos + (b & 0x3f) as usize + 2;
    }
    match SIZES[b as usize] {
        0 => skip_long(bytes, pos),
        size => pos + size as usize,
    }
}

fn skip_long(bytes: &[u8], pos: Pos) -> Pos {
    if bytes[pos] == END {
        return pos;
    }
    let (head, len) = long_string(bytes, pos);
    pos + head + len + back_len(head + len)
}

/// Bytes of the head and of the data of a string that is not short.
#[inline]
fn long_string(bytes: &[u8], pos: Pos) -> (usize, usize) {
    if bytes[pos] == STR32 {
        let len = u32::from_le_bytes([bytes[pos + 1], bytes[pos + 2], bytes[pos + 3], bytes[pos + 4]]);
        return (5, len as usize);
    }
    (2, ((bytes[pos] & 0x0f) as usize) << 8 | bytes[pos + 1] as usize)
}

/// The signed little-endian integer of `N` bytes (1 to 8) at `at`, which is no less than 7.
#[inline]
fn signed<const N: usize>(bytes: &[u8], at: usize) -> i64 {
    // The integer is not at the beginning of a listpack: 8 bytes end with it.
    i64::from_le_bytes(*bytes[..at + N].last_chunk().expect("there are a header and a head before it"))
        >> (64 - 8 * N)
}

/// The bytes of a listpack.
#[derive(Clone, Copy, Debug)]
pub struct ListpackRef<'a> {
    bytes: &'a [u8],
}

impl<'a> ListpackRef<'a> {
    /// From bytes that are known to be a listpack in the form that this module writes.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        debug_assert!(bytes.len() > HEADER && bytes[bytes.len() - 1] == END, "not a listpack");
        ListpackRef { bytes }
    }

    /// Checks every byte, including that all is in its shortest form.
    ///
    /// # Errors
    /// [`Malformed`], if these are not the bytes that this module would write for some elements.
    pub fn validate(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (count, shortest) = check(bytes)?;
        let counted = read_count(bytes);
        let exact = counted == count || counted == UNKNOWN;
        if shortest && exact { Ok(ListpackRef { bytes }) } else { Err(Malformed) }
    }

    /// The whole listpack.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many elements there are: O(1) below 65,535.
    #[inline]
    pub fn len(&self) -> usize {
        match read_count(self.bytes) {
            UNKNOWN => self.count(),
            n => n,
        }
    }

    #[cold]
    fn count(&self) -> usize {
        let (mut pos, mut n) = (HEADER, 0);
        while self.bytes[pos] != END {
            pos = skip(self.bytes, pos);
            n += 1;
        }
        n
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes[HEADER] == END
    }

    /// The first element's place.
    #[inline]
    pub fn first(&self) -> Option<Pos> {
        self.at_end(HEADER)
    }

    /// The last element's place.
    #[inline]
    pub fn last(&self) -> Option<Pos> {
        self.prev(self.end())
    }

    /// The offset of the closing byte, which [`ListpackRef::prev`] takes too.
    #[inline]
    fn end(&self) -> Pos {
        self.bytes.len() - 1
    }

    #[inline]
    fn at_end(&self, pos: Pos) -> Option<Pos> {
        if self.bytes[pos] == END { None } else { Some(pos) }
    }

    /// The place of the element after the one at `pos`.
    #[inline]
    pub fn next(&self, pos: Pos) -> Option<Pos> {
        self.at_end(skip(self.bytes, pos))
    }

    /// The place of the element before the one at `pos`.
    #[inline]
    pub fn prev(&self, pos: Pos) -> Option<Pos> {
        if pos <= HEADER {
            return None;
        }
        let (body, n) = read_back(self.bytes, pos).expect("trusted bytes");
        Some(pos - n - body)
    }

    /// The element at a place.
    #[inline]
    pub fn get(&self, pos: Pos) -> Element<'a> {
        let bytes = self.bytes;
        let b = bytes[pos];
        if b & 0xC0 == STR6 {
            let len = (b & 0x3f) as usize;
            return Element::Bytes(&bytes[pos + 1..pos + 1 + len]);
        }
        if b < STR6 {
            return Element::Int(i64::from(b));
        }
        match b {
            INT13..STR12 => {
                // The sign is bit 4 of the head.
                let high = i64::from(((b << 3) as i8) >> 3);
                Element::Int(high << 8 | i64::from(bytes[pos + 1]))
            }
            INT16 => Element::Int(signed::<2>(bytes, pos + 1)),
            INT24 => Element::Int(signed::<3>(bytes, pos + 1)),
            INT32 => Element::Int(signed::<4>(bytes, pos + 1)),
            INT64 => Element::Int(signed::<8>(bytes, pos + 1)),
            _ => {
                let (head, len) = long_string(bytes, pos);
                Element::Bytes(&bytes[pos + head..pos + head + len])
            }
        }
    }

    /// The place of the element at an index; negative ones count from the tail. O(distance from the nearer end).
    pub fn at(&self, index: i64) -> Option<Pos> {
        let len = self.len() as i64;
        let index = if index < 0 { index + len } else { index };
        if !(0..len).contains(&index) {
            return None;
        }
        if index <= len / 2 {
            let mut pos = HEADER;
            for _ in 0..index {
                pos = skip(self.bytes, pos);
            }
            return Some(pos);
        }
        let mut pos = self.end();
        for _ in index..len {
            pos = self.prev(pos)?;
        }
        Some(pos)
    }

    /// All elements.
    #[inline]
    pub fn iter(&self) -> Iter<'a> {
        Iter { pack: *self, front: HEADER, back: self.end() }
    }

    /// The elements from a place on.
    #[inline]
    pub fn iter_from(&self, pos: Pos) -> Iter<'a> {
        Iter { pack: *self, front: pos, back: self.end() }
    }

    /// The first element equal to `needle`, among the one at `from` and every `skip + 1`-th after it: skip 0
    /// compares all, 1 looks at the fields of field-value pairs only.
    #[inline]
    pub fn find(&self, from: Pos, needle: &[u8], skip: usize) -> Option<Pos> {
        match canonical_int(needle) {
            Some(v) => {
                let head = Head::of_int(v);
                self.find_short(from, head.bytes[0], &head.as_bytes()[1..], skip)
            }
            None if needle.len() < 64 => self.find_short(from, STR6 | needle.len() as u8, needle, skip),
            None => self.find_long(from, needle, skip),
        }
    }

    /// As [`ListpackRef::find`], for an integer.
    #[inline]
    pub fn find_int(&self, from: Pos, needle: i64, skip: usize) -> Option<Pos> {
        let head = Head::of_int(needle);
        self.find_short(from, head.bytes[0], &head.as_bytes()[1..], skip)
    }

    #[inline]
    fn find_short(&self, from: Pos, tag: u8, data: &[u8], skip: usize) -> Option<Pos> {
        // With the number of skips known, the loop over them goes away.
        match skip {
            0 => find_tagged(self.bytes, from, tag, data, 0),
            1 => find_tagged(self.bytes, from, tag, data, 1),
            _ => find_tagged(self.bytes, from, tag, data, skip),
        }
    }

    fn find_long(&self, from: Pos, needle: &[u8], skips: usize) -> Option<Pos> {
        let head = Head::of_string(needle.len());
        let head = head.as_bytes();
        let mut pos = from;
        loop {
            if self.bytes[pos] == END {
                return None;
            }
            if self.bytes[pos..].starts_with(head) && self.bytes[pos + head.len()..].starts_with(needle) {
                return Some(pos);
            }
            for _ in 0..=skips {
                pos = skip(self.bytes, pos);
            }
        }
    }
}

/// Finds the entry that begins with `tag` and then `data` (at most 63 bytes). The last 8 bytes of the data are
/// compared as one word before the rest is: members that differ usually differ there.
#[inline(always)]
fn find_tagged(bytes: &[u8], from: Pos, tag: u8, data: &[u8], skips: usize) -> Option<Pos> {
    let n = data.len();
    let (tail, shift) = tail_word(data);
    let mut pos = from;
    loop {
        let b = bytes[pos];
        if b == tag {
            let end = pos + 1 + n;
            // An entry begins at offset 6 or later, so `n` bytes of data end at 8 or later, unless n is 0.
            if n == 0
                || (word_before(bytes, end) >> shift == tail && (n <= 8 || bytes[pos + 1..end] == *data))
            {
                return Some(pos);
            }
        } else if b == END {
            return None;
        }
        for _ in 0..=skips {
            pos = skip(bytes, pos);
        }
    }
}

/// The last (up to 8) bytes of `data` as a little-endian number, and by how much a word is shifted to have it.
#[inline]
fn tail_word(data: &[u8]) -> (u64, u32) {
    let n = data.len().min(8);
    if n == 0 {
        return (0, 0);
    }
    let mut word = [0; 8];
    word[..n].copy_from_slice(&data[data.len() - n..]);
    (u64::from_le_bytes(word), 64 - 8 * n as u32)
}

/// The 8 bytes before `end` as a little-endian number.
#[inline(always)]
fn word_before(bytes: &[u8], end: usize) -> u64 {
    match bytes[..end].last_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => 0,
    }
}

#[inline(always)]
fn read_count(bytes: &[u8]) -> usize {
    u16::from_le_bytes([bytes[4], bytes[5]]) as usize
}

impl<'a> IntoIterator for ListpackRef<'a> {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The elements of a listpack, from both ends.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    pack: ListpackRef<'a>,
    front: Pos,
    back: Pos,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.front == self.back {
            return None;
        }
        let (pos, bytes) = (self.front, self.pack.bytes);
        let b = bytes[pos];
        if b & 0xC0 == STR6 {
            // Most strings: their length is decoded once for both purposes.
            let end = pos + 1 + (b & 0x3f) as usize;
            self.front = end + 1;
            return Some(Element::Bytes(&bytes[pos + 1..end]));
        }
        self.front = skip(bytes, pos);
        Some(self.pack.get(pos))
    }
}

impl Iter<'_> {
    /// Where the next element stands, or the end.
    #[inline]
    pub fn pos(&self) -> Pos {
        self.front
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        self.back = self.pack.prev(self.back)?;
        Some(self.pack.get(self.back))
    }
}

/// Checks the structure; returns how many elements there are and whether each is in its shortest form.
fn check(bytes: &[u8]) -> Result<(usize, bool), Malformed> {
    let end = bytes.len().checked_sub(1).filter(|end| *end >= HEADER).ok_or(Malformed)?;
    let total = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if total as usize != bytes.len() || bytes[end] != END {
        return Err(Malformed);
    }
    let (mut pos, mut count, mut shortest) = (HEADER, 0, true);
    while pos < end {
        let body = check_entry(bytes, pos, end)?;
        let element = ListpackRef { bytes }.get(pos);
        shortest &= element.body() == body
            && element.as_int().is_some() == element.with_bytes(canonical_int).is_some();
        pos += body + back_len(body);
        count += 1;
    }
    let counted = read_count(bytes);
    if pos != end || (counted != UNKNOWN && counted != count) {
        return Err(Malformed);
    }
    Ok((count, shortest))
}

/// Checks that an entry lies before `end` and that its two sizes agree; returns the bytes of its head and data.
fn check_entry(bytes: &[u8], pos: Pos, end: usize) -> Result<usize, Malformed> {
    let body = match bytes[pos] {
        STR32 if pos + 5 > end => return Err(Malformed),
        STR12..STR32 if pos + 2 > end => return Err(Malformed),
        STR12..=STR32 => {
            let (head, len) = long_string(bytes, pos);
            head + len
        }
        b => match SIZES[b as usize] {
            0 => return Err(Malformed),
            size => size as usize - 1,
        },
    };
    let next = pos + body + back_len(body);
    if next > end || read_back(bytes, next) != Some((body, back_len(body))) {
        return Err(Malformed);
    }
    Ok(body)
}

/// Bytes that an element takes.
pub fn entry_size(bytes: &[u8]) -> usize {
    Element::new(bytes).entry()
}

/// A listpack of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listpack {
    bytes: Vec<u8>,
}

impl Default for Listpack {
    fn default() -> Self {
        Listpack::new()
    }
}

impl Listpack {
    /// An empty listpack.
    pub fn new() -> Self {
        Listpack::reusing(Vec::new())
    }

    /// An empty listpack with room for `bytes` in all.
    pub fn with_capacity(bytes: usize) -> Self {
        Listpack::reusing(Vec::with_capacity(bytes.max(HEADER + 1)))
    }

    /// An empty listpack in a buffer whose contents do not matter.
    pub fn reusing(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&[HEADER as u8 + 1, 0, 0, 0, 0, 0, END]);
        Listpack { bytes: buffer }
    }

    /// From bytes that are known to be a listpack in the form that this module writes.
    #[inline]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        debug_assert!(bytes.len() > HEADER && bytes[bytes.len() - 1] == END, "not a listpack");
        Listpack { bytes }
    }

    /// From bytes of a file or a client. What is sound but not in its shortest form is written anew.
    ///
    /// # Errors
    /// [`Malformed`], if the bytes are not a listpack.
    pub fn load(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let (_, shortest) = check(&bytes)?;
        if shortest {
            return Ok(Listpack { bytes });
        }
        let mut pack = Listpack::with_capacity(bytes.len());
        for element in (ListpackRef { bytes: &bytes }) {
            element.with_bytes(|b| pack.push_back(b));
        }
        Ok(pack)
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes by reference.
    #[inline]
    pub fn view(&self) -> ListpackRef<'_> {
        ListpackRef { bytes: &self.bytes }
    }

    /// Bytes in all.
    #[inline]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that the buffer holds, used or not.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back the part of the buffer that is not used.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// How many elements there are: O(1) below 65,535.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    /// Adds a string at the tail.
    #[inline]
    pub fn push_back(&mut self, bytes: &[u8]) {
        self.push_element_back(Element::new(bytes));
    }

    /// Adds an integer at the tail.
    #[inline]
    pub fn push_int_back(&mut self, v: i64) {
        self.push_element_back(Element::Int(v));
    }

    /// Adds an element of another listpack at the tail.
    #[inline]
    pub fn push_element_back(&mut self, element: Element<'_>) {
        self.splice(self.bytes.len() - 1, 0, element);
        self.count(1);
    }

    /// Adds a string at the head.
    #[inline]
    pub fn push_front(&mut self, bytes: &[u8]) {
        self.push_element_front(Element::new(bytes));
    }

    /// Adds an integer at the head.
    #[inline]
    pub fn push_int_front(&mut self, v: i64) {
        self.push_element_front(Element::Int(v));
    }

    /// Adds an element of another listpack at the head.
    #[inline]
    pub fn push_element_front(&mut self, element: Element<'_>) {
        self.splice(HEADER, 0, element);
        self.count(1);
    }

    /// Adds a string before the element at `pos`; returns the new element's place.
    pub fn insert_before(&mut self, pos: Pos, bytes: &[u8]) -> Pos {
        self.insert_element_before(pos, Element::new(bytes))
    }

    /// Adds an element before the one at `pos`; returns the new element's place.
    pub fn insert_element_before(&mut self, pos: Pos, element: Element<'_>) -> Pos {
        self.splice(pos, 0, element);
        self.count(1);
        pos
    }

    /// Adds two elements before the one at `pos`, which may also be the end.
    pub fn insert_pair_before(&mut self, pos: Pos, pair: [Element<'_>; 2]) {
        let sizes = pair.map(|element| element.entry());
        self.gap(pos, 0, sizes[0] + sizes[1]);
        pair[0].write(&mut self.bytes[pos..pos + sizes[0]]);
        pair[1].write(&mut self.bytes[pos + sizes[0]..pos + sizes[0] + sizes[1]]);
        self.write_total();
        self.count(2);
    }

    /// Adds a string after the element at `pos`; returns the new element's place.
    pub fn insert_after(&mut self, pos: Pos, bytes: &[u8]) -> Pos {
        self.insert_before(skip(&self.bytes, pos), bytes)
    }

    /// Puts a string in place of the element at `pos`; returns its place, which is `pos`.
    pub fn replace(&mut self, pos: Pos, bytes: &[u8]) -> Pos {
        self.replace_element(pos, Element::new(bytes))
    }

    /// Puts an integer in place of the element at `pos`; returns its place, which is `pos`.
    pub fn replace_int(&mut self, pos: Pos, v: i64) -> Pos {
        self.replace_element(pos, Element::Int(v))
    }

    fn replace_element(&mut self, pos: Pos, element: Element<'_>) -> Pos {
        let old = skip(&self.bytes, pos) - pos;
        self.splice(pos, old, element);
        pos
    }

    /// Removes the element at `pos`; returns the place of the one after it.
    pub fn remove(&mut self, pos: Pos) -> Option<Pos> {
        self.remove_many(pos, 1)
    }

    /// Removes up to `n` elements from `pos` on; returns the place of the one after them.
    pub fn remove_many(&mut self, pos: Pos, n: usize) -> Option<Pos> {
        let (mut end, mut removed) = (pos, 0);
        while removed < n && self.bytes[end] != END {
            end = skip(&self.bytes, end);
            removed += 1;
        }
        self.bytes.drain(pos..end);
        self.write_total();
        self.count(-(removed as isize));
        self.view().at_end(pos)
    }

    /// Removes up to `n` elements from an index on; negative ones count from the tail.
    pub fn remove_range(&mut self, index: i64, n: usize) {
        if n > 0
            && let Some(pos) = self.view().at(index)
        {
            self.remove_many(pos, n);
        }
    }

    /// Adds all elements of another listpack at the tail.
    pub fn append(&mut self, other: ListpackRef<'_>) {
        let count = self.len() + other.len();
        self.bytes.pop();
        self.bytes.extend_from_slice(&other.bytes[HEADER..]);
        self.write_total();
        self.write_count(count);
    }

    /// Removes all elements; the buffer stays.
    pub fn clear(&mut self) {
        *self = Listpack::reusing(std::mem::take(&mut self.bytes));
    }

    /// Puts an element in place of the `old` bytes from `pos` on.
    #[inline]
    fn splice(&mut self, pos: usize, old: usize, element: Element<'_>) {
        let size = element.entry();
        self.gap(pos, old, size);
        element.write(&mut self.bytes[pos..pos + size]);
        self.write_total();
    }

    /// Makes the `old` bytes at `pos` `new` ones, whose contents do not matter yet.
    #[inline]
    fn gap(&mut self, pos: usize, old: usize, new: usize) {
        let len = self.bytes.len();
        if new > old {
            // Large ones grow by about an eighth, to where the general allocator would round up anyway, instead of
            // to twice their size.
            let wanted = len + new - old;
            if wanted > 1024 && self.bytes.capacity() < wanted {
                let step = 1 << (wanted.ilog2() - 2);
                self.bytes.reserve_exact(wanted.next_multiple_of(step) - len);
            }
            self.bytes.resize(len + new - old, END);
            // At the tail, the closing byte is already there.
            if pos + old < len - 1 {
                self.bytes.copy_within(pos + old..len, pos + new);
            }
        } else if new < old {
            self.bytes.copy_within(pos + old..len, pos + new);
            self.bytes.truncate(len + new - old);
        }
    }

    #[inline]
    fn write_total(&mut self) {
        let total = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
    }

    /// Adjusts the count by `change`. Once not known it stays so until [`Listpack::append`] counts anew.
    #[inline]
    fn count(&mut self, change: isize) {
        let count = read_count(&self.bytes);
        if count != UNKNOWN {
            self.write_count(count.wrapping_add_signed(change));
        }
    }

    #[inline]
    fn write_count(&mut self, count: usize) {
        let count = count.min(UNKNOWN) as u16;
        self.bytes[4..6].copy_from_slice(&count.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
