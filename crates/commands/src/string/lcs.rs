//! LCS: the longest common subsequence of two strings.
//!
//! The table of lengths has (n + 1) * (m + 1) cells of four bytes, and so the peers' limit on it is a limit on n and m
//! that must be kept. But only two rows of it are needed at a time; to walk back from the end, one bit per cell says
//! where the longer neighbour is. So the memory taken is 1/32 of what the limit admits, and none of it for LEN.

use bytes::Bytes;
use carnelian_keyspace::Str;

use super::{BASE, max_len, share, string};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    min_match_len: i64,
    with_match_len: bool,
}

impl Options {
    fn parse(mut rest: Rest<'_>) -> Result<Options, Error> {
        let mut options = Options::default();
        while let Some(word) = rest.next() {
            if is(word, "IDX") {
                options.idx = true;
            } else if is(word, "LEN") {
                options.len = true;
            } else if is(word, "WITHMATCHLEN") {
                options.with_match_len = true;
            } else if is(word, "MINMATCHLEN") {
                options.min_match_len = rest.int()?;
            } else {
                return Err(Error::Syntax);
            }
        }
        if options.len && options.idx {
            return Err(Error::Text("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

pub(super) const LCS: Row = Row {
    name: "lcs",
    summary: "Finds the longest common subsequence of two strings.",
    since: "7.0.0",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, 1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key1:key key2:key [LEN] [IDX] [MINMATCHLEN min-match-len:integer] [WITHMATCHLEN]",
    complexity: "O(N*M), N and M being the lengths of the strings.",
    run: lcs,
    ..BASE
};

fn lcs(cx: &mut Ctx<'_>) -> Result<(), Error> {
    // The types are checked before the options, and both keys are read in any case.
    let (a, b) = (text_of(cx, 1), text_of(cx, 2));
    let (a, b) = (a?, b?);
    let options = Options::parse(Rest::new(cx.argv, 3))?;
    check_memory(cx, a.len() as u64, b.len() as u64)?;
    if options.len {
        cx.out.integer(length(&a, &b).into());
        return Ok(());
    }
    let table = Table::new(&a, &b);
    if options.idx {
        reply_matches(cx, &options, table.length, &table.matches(&a, &b));
    } else {
        let matches = table.matches(&a, &b);
        let common: Vec<u8> =
            matches.iter().rev().flat_map(|run| &a[run.a..run.a + run.len]).copied().collect();
        cx.out.bulk(&common);
    }
    Ok(())
}

/// The string at the key that is argument `i`; an absent one is empty.
fn text_of(cx: &mut Ctx<'_>, i: usize) -> Result<Bytes, Error> {
    let key = cx.key(i);
    let Some(item) = cx.keyspace.read(cx.db, key) else { return Ok(Bytes::new()) };
    match string(&item) {
        Ok(Str::Shared(blob)) => Ok(share(blob)),
        Ok(short) => Ok(short.with_bytes(Bytes::copy_from_slice)),
        Err(_) => Err(Error::Text("ERR The specified keys must contain string values")),
    }
}

fn check_memory(cx: &Ctx<'_>, a: u64, b: u64) -> Result<(), Error> {
    if a.max(b) >= u64::from(u32::MAX) - 1 {
        return Err(Error::Text("ERR String too long for LCS"));
    }
    if u128::from(a + 1) * u128::from(b + 1) * 4 > u128::from(max_len(cx)) {
        let text = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        return Err(Error::Text(text));
    }
    Ok(())
}

fn reply_matches(cx: &mut Ctx<'_>, options: &Options, length: u32, matches: &[Run]) {
    let out = &mut *cx.out;
    out.map(2);
    out.bulk(b"matches");
    let shown = || matches.iter().filter(|run| run.len as i64 >= options.min_match_len);
    out.array(shown().count());
    for run in shown() {
        out.array(2 + usize::from(options.with_match_len));
        for start in [run.a, run.b] {
            out.array(2);
            out.integer(start as i64);
            out.integer((start + run.len - 1) as i64);
        }
        if options.with_match_len {
            out.integer(run.len as i64);
        }
    }
    out.bulk(b"len");
    out.integer(length.into());
}

/// Bytes that both strings have in common, in sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    /// Where it starts in the first string.
    a: usize,
    /// Where it starts in the second string.
    b: usize,
    len: usize,
}

/// The length of the longest common subsequence.
fn length(a: &[u8], b: &[u8]) -> u32 {
    let mut row = vec![0; b.len() + 1];
    for &byte in a {
        next_row(byte, b, &mut row, |_| {});
    }
    row[b.len()]
}

/// Turns the row of lengths for a prefix of the first string into that for one `byte` more. Calls `above` with each
/// column whose upper neighbour is longer than its left one.
#[inline]
fn next_row(byte: u8, b: &[u8], row: &mut [u32], mut above: impl FnMut(usize)) {
    let (mut left, mut diagonal) = (0, 0);
    for (j, (&other, cell)) in b.iter().zip(&mut row[1..]).enumerate() {
        let up = *cell;
        if byte == other {
            left = diagonal + 1;
        } else if up > left {
            above(j);
            left = up;
        }
        *cell = left;
        diagonal = up;
    }
}

/// Enough of the table of lengths to find the way back from its end.
struct Table {
    length: u32,
    /// One bit per cell, row by row: the upper neighbour is longer than the left one.
    above: Vec<u64>,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Table {
        let mut row = vec![0; b.len() + 1];
        let mut above = vec![0u64; (a.len() * b.len()).div_ceil(64)];
        for (i, &byte) in a.iter().enumerate() {
            let start = i * b.len();
            next_row(byte, b, &mut row, |j| above[(start + j) / 64] |= 1 << ((start + j) % 64));
        }
        Table { length: row[b.len()], above }
    }

    /// The common subsequence as runs of consecutive bytes, from the last to the first. Of several longest ones it is
    /// the one that the peers find: at a fork it goes left, in the second string, unless going up is longer.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut open = false;
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                i -= 1;
                j -= 1;
                match runs.last_mut() {
                    Some(run) if open => *run = Run { a: i, b: j, len: run.len + 1 },
                    _ => runs.push(Run { a: i, b: j, len: 1 }),
                }
                open = true;
            } else {
                open = false;
                let cell = (i - 1) * b.len() + j - 1;
                if self.above[cell / 64] >> (cell % 64) & 1 == 1 {
                    i -= 1;
                } else {
                    j -= 1;
                }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition.
    fn naive(a: &[u8], b: &[u8]) -> u32 {
        match (a, b) {
            ([x, a @ ..], [y, b @ ..]) if x == y => 1 + naive(a, b),
            ([_, a_rest @ ..], [_, b_rest @ ..]) => naive(a_rest, b).max(naive(a, b_rest)),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn finds_a_longest_one(a in "[abc]{0,9}", b in "[abc]{0,9}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let table = Table::new(a, b);
            prop_assert_eq!(table.length, naive(a, b));
            prop_assert_eq!(table.length, length(a, b));
            let runs = table.matches(a, b);
            prop_assert_eq!(runs.iter().map(|run| run.len).sum::<usize>(), table.length as usize);
            for run in &runs {
                prop_assert_eq!(&a[run.a..run.a + run.len], &b[run.b..run.b + run.len]);
            }
            for pair in runs.windows(2) {
                prop_assert!(pair[1].a + pair[1].len <= pair[0].a && pair[1].b + pair[1].len <= pair[0].b);
            }
        }
    }
}
