//! Bits of several strings: BITOP.

use carnelian_keyspace::{Blob, Event, Str, Ttl};

use super::{BASE, string};
use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const BITOP: Row = Row {
    name: "bitop",
    summary: "Combines strings bit by bit and stores the result.",
    since: "2.6.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[
        KeySpec::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)),
        KeySpec::range(3, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    syntax: "<operation=AND|OR|XOR|NOT|DIFF|DIFF1|ANDOR|ONE> destkey:key key...",
    complexity: "O(N), N being the length of all strings together.",
    run: bitop,
    ..BASE
};

/// What a bit of the result says of the bits in its place.
#[derive(Clone, Copy)]
enum Operation {
    /// All are set.
    And,
    /// Any is set.
    Or,
    /// An odd number is set.
    Xor,
    /// The only one is clear.
    Not,
    /// The first is set and no other.
    Diff,
    /// The first is clear and another is set.
    Diff1,
    /// The first is set and another, too.
    AndOr,
    /// Exactly one is set.
    One,
}

impl Operation {
    fn of(word: &[u8]) -> Result<Operation, Error> {
        let words = [
            ("AND", Operation::And),
            ("OR", Operation::Or),
            ("XOR", Operation::Xor),
            ("NOT", Operation::Not),
            ("DIFF", Operation::Diff),
            ("DIFF1", Operation::Diff1),
            ("ANDOR", Operation::AndOr),
            ("ONE", Operation::One),
        ];
        let known = words.into_iter().find(|(name, _)| is(word, name));
        known.map(|(_, operation)| operation).ok_or(Error::Syntax)
    }

    fn check_sources(self, sources: usize) -> Result<(), Error> {
        let name = match self {
            Operation::Not if sources != 1 => {
                return Err(Error::Text("ERR BITOP NOT must be called with a single source key."));
            }
            Operation::Diff if sources < 2 => "DIFF",
            Operation::Diff1 if sources < 2 => "DIFF1",
            Operation::AndOr if sources < 2 => "ANDOR",
            _ => return Ok(()),
        };
        Err(Error::other(format!("ERR BITOP {name} must be called with at least two source keys.")))
    }
}

/// A string that outlives the look-up of the next.
enum Source {
    Short(Vec<u8>),
    Shared(Blob),
}

impl Source {
    fn of(string: Str<'_>) -> Source {
        match string {
            Str::Shared(blob) => Source::Shared(Blob::clone(blob)),
            short => Source::Short(short.to_bytes().into_owned()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Source::Short(bytes) => bytes,
            Source::Shared(blob) => blob,
        }
    }
}

fn bitop(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let operation = Operation::of(cx.arg(1))?;
    operation.check_sources(cx.argv.len() - 3)?;
    let mut sources = Vec::with_capacity(cx.argv.len() - 3);
    for i in 3..cx.argv.len() {
        let key = cx.key(i);
        sources.push(match cx.keyspace.read(cx.db, key) {
            Some(item) => Source::of(string(&item)?),
            None => Source::Short(Vec::new()),
        });
    }
    let result = {
        let slices: Vec<&[u8]> = sources.iter().map(Source::bytes).collect();
        combine(operation, &slices)
    };
    // If the destination is a source, its bytes are freed in the background, and not here.
    drop(sources);
    let len = result.len();
    let key = cx.key(2);
    let mut entry = cx.keyspace.write(cx.db, key);
    if !result.is_empty() {
        entry.set_bytes(result, Ttl::Clear);
        entry.commit(&[Event::string("set")]);
    } else if entry.exists() {
        entry.remove();
        entry.commit(&[Event::generic("del")]);
    }
    cx.out.integer(len as i64);
    Ok(())
}

/// Bytes that are combined before the next ones are looked at: they stay in the first cache.
const BLOCK: usize = 8 << 10;

/// The result, as long as the longest source; shorter ones count as followed by zeros.
fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = Vec::with_capacity(len);
    let mut scratch = [0; BLOCK];
    while result.len() < len {
        let at = result.len();
        let size = BLOCK.min(len - at);
        let part = |source: &&'_ [u8]| -> std::ops::Range<usize> {
            at.min(source.len())..(at + size).min(source.len())
        };
        let mut parts = sources.iter().map(|source| &source[part(source)]);
        let first = parts.next().expect("the arity says that there is a source");
        result.extend_from_slice(first);
        result.resize(at + size, 0);
        combine_block(operation, &mut result[at..], parts, &mut scratch[..size]);
    }
    result
}

/// Combines a block of the first source, in `block`, with those of the others. `scratch` is as long as the block.
fn combine_block<'a>(
    operation: Operation,
    block: &mut [u8],
    others: impl Iterator<Item = &'a [u8]>,
    scratch: &mut [u8],
) {
    match operation {
        Operation::And => others.for_each(|other| {
            let (both, alone) = block.split_at_mut(other.len());
            apply(both, other, |a, b| a & b);
            alone.fill(0);
        }),
        Operation::Or => others.for_each(|other| apply(block, other, |a, b| a | b)),
        Operation::Xor => others.for_each(|other| apply(block, other, |a, b| a ^ b)),
        Operation::Not => block.iter_mut().for_each(|byte| *byte = !*byte),
        Operation::Diff | Operation::Diff1 | Operation::AndOr => {
            let any = scratch;
            any.fill(0);
            others.for_each(|other| apply(any, other, |a, b| a | b));
            match operation {
                Operation::Diff => apply(block, any, |first, any| first & !any),
                Operation::Diff1 => apply(block, any, |first, any| !first & any),
                _ => apply(block, any, |first, any| first & any),
            }
        }
        Operation::One => {
            let several = scratch;
            several.fill(0);
            for other in others {
                for ((any, several), byte) in block.iter_mut().zip(&mut *several).zip(other) {
                    *several |= *any & byte;
                    *any |= byte;
                }
            }
            apply(block, several, |any, several| any & !several);
        }
    }
}

/// Combines as many bytes as both sides have.
#[inline(always)]
fn apply(block: &mut [u8], other: &[u8], combine: impl Fn(u8, u8) -> u8) {
    block.iter_mut().zip(other).for_each(|(a, b)| *a = combine(*a, *b));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Operation; 8] = [
        Operation::And,
        Operation::Or,
        Operation::Xor,
        Operation::Not,
        Operation::Diff,
        Operation::Diff1,
        Operation::AndOr,
        Operation::One,
    ];

    fn expected(operation: Operation, bits: &[bool]) -> bool {
        let set = bits.iter().filter(|bit| **bit).count();
        let others = set - usize::from(bits[0]);
        match operation {
            Operation::And => set == bits.len(),
            Operation::Or => set > 0,
            Operation::Xor => set % 2 == 1,
            Operation::Not => !bits[0],
            Operation::Diff => bits[0] && others == 0,
            Operation::Diff1 => !bits[0] && others > 0,
            Operation::AndOr => bits[0] && others > 0,
            Operation::One => set == 1,
        }
    }

    proptest! {
        #[test]
        fn every_bit_is_what_the_operation_says(
            sources in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 2..5),
            pad in prop_oneof![Just(0), BLOCK - 30..BLOCK + 30],
        ) {
            let sources: Vec<Vec<u8>> =
                sources.into_iter().map(|s| if s.is_empty() { s } else { [vec![0; pad], s].concat() }).collect();
            for operation in ALL {
                let used = if matches!(operation, Operation::Not) { &sources[..1] } else { &sources[..] };
                let slices: Vec<&[u8]> = used.iter().map(Vec::as_slice).collect();
                let result = combine(operation, &slices);
                prop_assert_eq!(result.len(), used.iter().map(Vec::len).max().unwrap_or(0));
                for at in (0..8 * result.len()).skip(8 * pad.saturating_sub(8)) {
                    let bit = |bytes: &[u8]| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
                    let bits: Vec<bool> = used.iter().map(|source| bit(source)).collect();
                    prop_assert_eq!(bit(&result), expected(operation, &bits));
                }
            }
        }
    }
}
