//! Bits of a range: BITCOUNT, BITPOS.

use std::ops::Range;

use super::{BASE, bits, string};
use crate::args::{Rest, int, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const BITCOUNT: Row = Row {
    name: "bitcount",
    summary: "Counts the bits that are set in a string or in a part of it.",
    since: "2.6.0",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key [range=start [end-unit-block=end [unit=BYTE|BIT]]]",
    complexity: "O(N), N being the length of the part.",
    run: bitcount,
    ..BASE
};

/// What the bounds of a range count.
#[derive(Clone, Copy)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn of(word: &[u8]) -> Result<Unit, Error> {
        match () {
            () if is(word, "BYTE") => Ok(Unit::Byte),
            () if is(word, "BIT") => Ok(Unit::Bit),
            () => Err(Error::Syntax),
        }
    }
}

/// A range of a string, both bounds included, and both from the end if negative.
struct Span {
    start: i64,
    end: i64,
    unit: Unit,
}

impl Span {
    const ALL: Span = Span { start: 0, end: -1, unit: Unit::Byte };

    /// The bits that it stands for in a string of `len` bytes. A bound before the beginning means the first unit.
    fn bits(&self, len: usize) -> Range<u64> {
        let width = match self.unit {
            Unit::Byte => 8,
            Unit::Bit => 1,
        };
        let total = (8 * len as u64 / width) as i64;
        let resolve = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
        let (start, end) = (resolve(self.start), resolve(self.end).min(total - 1));
        if start > end { 0..0 } else { start as u64 * width..(end as u64 + 1) * width }
    }

    /// Whether both bounds count from the end, in the wrong order.
    fn is_reversed_from_the_end(&self) -> bool {
        self.start < 0 && self.end < 0 && self.start > self.end
    }
}

fn bitcount(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut rest = Rest::new(cx.argv, 2);
    let mut span = Span::ALL;
    if rest.len() > 3 {
        return Err(Error::Syntax);
    }
    if rest.len() > 0 {
        span.start = rest.int()?;
    }
    if rest.len() > 0 {
        span.end = rest.int()?;
        span.unit = rest.next().map_or(Ok(Unit::Byte), Unit::of)?;
    }
    let key = cx.key(1);
    let count = match cx.keyspace.read(cx.db, key) {
        Some(item) => {
            let string = string(&item)?;
            let empty = span.is_reversed_from_the_end();
            if empty { 0 } else { string.with_bytes(|bytes| bits::count(bytes, span.bits(bytes.len()))) }
        }
        None => 0,
    };
    cx.out.integer(count as i64);
    Ok(())
}

pub(super) const BITPOS: Row = Row {
    name: "bitpos",
    summary: "Returns the place of the first bit that is set, or clear, in a string or in a part of it.",
    since: "2.8.7",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key bit:integer [range=start [end-unit-block=end [unit=BYTE|BIT]]]",
    complexity: "O(N), N being the length of the part.",
    run: bitpos,
    ..BASE
};

fn bitpos(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let on = match int(cx.arg(2))? {
        0 => false,
        1 => true,
        _ => return Err(Error::Text("ERR The bit argument must be 1 or 0.")),
    };
    let (span, open_end) = place_of_search(Rest::new(cx.argv, 3))?;
    let key = cx.key(1);
    let place = match cx.keyspace.read(cx.db, key) {
        Some(item) => string(&item)?.with_bytes(|bytes| {
            let range = span.bits(bytes.len());
            let behind = 8 * bytes.len() as u64;
            // Behind the string are zeros without end, for those who did not name an end.
            let beyond = (!on && open_end && !range.is_empty()).then_some(behind);
            bits::find(bytes, range, on).or(beyond)
        }),
        None => (!on).then_some(0),
    };
    cx.out.integer(place.map_or(-1, u64::cast_signed));
    Ok(())
}

/// The arguments `[start [end [unit]]]`, and whether the end is left out. Of two wrong ones the unit is refused first.
fn place_of_search(mut rest: Rest<'_>) -> Result<(Span, bool), Error> {
    let (given, mut span) = (rest.len(), Span::ALL);
    if given > 3 {
        return Err(Error::Syntax);
    }
    if given > 0 {
        span.start = rest.int()?;
    }
    if given > 1 {
        let end = rest.value()?;
        span.unit = rest.next().map_or(Ok(Unit::Byte), Unit::of)?;
        span.end = int(end)?;
    }
    Ok((span, given < 2))
}
