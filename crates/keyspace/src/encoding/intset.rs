//! Intsets: sorted arrays of distinct integers, in Redis's layout.
//!
//! ```text
//! bytes per integer: 2, 4 or 8 (u32) | how many (u32) | integers, ascending; all little endian
//! ```
//!
//! The width is that of the widest integer that was ever inserted; removals do not narrow it.

use super::Malformed;

const HEADER: usize = 8;

/// The bytes of an intset.
#[derive(Clone, Copy, Debug)]
pub struct IntsetRef<'a> {
    bytes: &'a [u8],
}

/// Bytes that an integer needs: 2, 4 or 8.
#[inline]
fn width_of(v: i64) -> usize {
    if i16::try_from(v).is_ok() {
        2
    } else if i32::try_from(v).is_ok() {
        4
    } else {
        8
    }
}

#[inline]
fn read_u32(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

impl<'a> IntsetRef<'a> {
    /// From bytes that are known to be an intset.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        debug_assert!(bytes.len() >= HEADER && matches!(bytes[0], 2 | 4 | 8), "not an intset");
        IntsetRef { bytes }
    }

    /// Checks every byte.
    ///
    /// # Errors
    /// [`Malformed`], if these are not the bytes of an intset: of another size than they say, or not ascending.
    pub fn validate(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() < HEADER || !matches!(read_u32(bytes, 0), 2 | 4 | 8) {
            return Err(Malformed);
        }
        let set = IntsetRef { bytes };
        let size = HEADER as u64 + set.len() as u64 * set.width() as u64;
        if size != bytes.len() as u64 || !set.iter().is_sorted_by(|a, b| a < b) {
            return Err(Malformed);
        }
        Ok(set)
    }

    /// The whole intset.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    fn width(&self) -> usize {
        self.bytes[0] as usize
    }

    /// How many integers there are.
    #[inline]
    pub fn len(&self) -> usize {
        read_u32(self.bytes, 4)
    }

    /// Whether there are no integers.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integer at an index below `len`, in ascending order.
    #[inline]
    pub fn get(&self, index: usize) -> i64 {
        let b = &self.bytes[HEADER..];
        match self.width() {
            2 => i64::from(i16::from_le_bytes(chunk(b, index))),
            4 => i64::from(i32::from_le_bytes(chunk(b, index))),
            _ => i64::from_le_bytes(chunk(b, index)),
        }
    }

    /// Whether an integer is a member. O(log n).
    #[inline]
    pub fn contains(&self, v: i64) -> bool {
        width_of(v) <= self.width() && self.search(v).is_ok()
    }

    /// The index of an integer, or the one at which it would be inserted.
    #[inline]
    pub fn search(&self, v: i64) -> Result<usize, usize> {
        let b = &self.bytes[HEADER..];
        match self.width() {
            2 => search(self.len(), v, |i| i64::from(i16::from_le_bytes(chunk(b, i)))),
            4 => search(self.len(), v, |i| i64::from(i32::from_le_bytes(chunk(b, i)))),
            _ => search(self.len(), v, |i| i64::from_le_bytes(chunk(b, i))),
        }
    }

    /// All integers, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + use<'a> {
        let set = *self;
        (0..set.len()).map(move |i| set.get(i))
    }
}

/// The `N` bytes of the integer at an index.
#[inline(always)]
fn chunk<const N: usize>(bytes: &[u8], index: usize) -> [u8; N] {
    bytes[index * N..][..N].try_into().expect("a slice of N bytes")
}

/// Where `v` is, or would be, among `len` ascending integers. The loop's steps do not depend on what it finds, so
/// that it compiles without branches to mispredict.
#[inline(always)]
fn search(len: usize, v: i64, get: impl Fn(usize) -> i64) -> Result<usize, usize> {
    if len == 0 {
        return Err(0);
    }
    let (mut base, mut size) = (0, len);
    while size > 1 {
        let half = size / 2;
        base = if get(base + half) <= v { base + half } else { base };
        size -= half;
    }
    let found = get(base);
    if found == v { Ok(base) } else { Err(base + usize::from(found < v)) }
}

/// An intset of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intset {
    bytes: Vec<u8>,
}

impl Default for Intset {
    fn default() -> Self {
        Intset::new()
    }
}

impl Intset {
    /// An empty intset.
    pub fn new() -> Self {
        Intset::reusing(Vec::new())
    }

    /// An empty intset in a buffer whose contents do not matter.
    pub fn reusing(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
        Intset { bytes: buffer }
    }

    /// From bytes that are known to be an intset.
    #[inline]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        debug_assert!(bytes.len() >= HEADER && matches!(bytes[0], 2 | 4 | 8), "not an intset");
        Intset { bytes }
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes by reference.
    #[inline]
    pub fn view(&self) -> IntsetRef<'_> {
        IntsetRef { bytes: &self.bytes }
    }

    /// Bytes in all.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that the buffer holds, used or not.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many integers there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are no integers.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an integer is a member. O(log n).
    #[inline]
    pub fn contains(&self, v: i64) -> bool {
        self.view().contains(v)
    }

    /// Adds an integer; returns whether it is new. O(n), but n bytes moved are cheap up to thousands.
    pub fn insert(&mut self, v: i64) -> bool {
        if width_of(v) > self.view().width() {
            self.widen(width_of(v));
        }
        let Err(index) = self.view().search(v) else { return false };
        let width = self.view().width();
        let (at, len) = (HEADER + index * width, self.bytes.len());
        self.bytes.resize(len + width, 0);
        self.bytes.copy_within(at..len, at + width);
        self.bytes[at..at + width].copy_from_slice(&v.to_le_bytes()[..width]);
        self.write_len((len - HEADER) / width + 1);
        true
    }

    /// Removes an integer; returns whether it was a member. O(n).
    pub fn remove(&mut self, v: i64) -> bool {
        if width_of(v) > self.view().width() {
            return false;
        }
        match self.view().search(v) {
            Ok(index) => {
                self.remove_at(index);
                true
            }
            Err(_) => false,
        }
    }

    /// Removes the integer at an index below `len`. O(n).
    pub fn remove_at(&mut self, index: usize) {
        let (width, len) = (self.view().width(), self.len());
        let at = HEADER + index * width;
        self.bytes.drain(at..at + width);
        self.write_len(len - 1);
    }

    /// Rewrites all integers with more bytes each.
    fn widen(&mut self, width: usize) {
        let (old, len) = (self.view().width(), self.len());
        self.bytes.resize(HEADER + len * width, 0);
        // From the last one on, since each moves up.
        for i in (0..len).rev() {
            let at = HEADER + i * old;
            let mut word = [0; 8];
            word[8 - old..].copy_from_slice(&self.bytes[at..at + old]);
            let v = i64::from_le_bytes(word) >> (64 - 8 * old);
            let at = HEADER + i * width;
            self.bytes[at..at + width].copy_from_slice(&v.to_le_bytes()[..width]);
        }
        self.bytes[0] = width as u8;
    }

    fn write_len(&mut self, len: usize) {
        self.bytes[4..8].copy_from_slice(&(len as u32).to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
