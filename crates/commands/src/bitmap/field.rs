//! Integers of any width up to 64 bits at any bit of a string: BITFIELD, BITFIELD_RO.

use carnelian_keyspace::{Event, Str};
use carnelian_resp::{ReplyBuf, number};

use super::{BAD_OFFSET, BASE, bits, check_offset, max_len, string};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const BITFIELD: Row = Row {
    name: "bitfield",
    summary: "Reads, sets and increments integers of any width within a string.",
    since: "3.2.0",
    arity: -2,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(
        1,
        KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE).union(KeyFlags::VARIABLE_FLAGS),
    )],
    key_flags: Some(bitfield_key_flags),
    syntax: "key [operation=GET <get-block=encoding offset>|<write=[OVERFLOW <overflow-block=WRAP|SAT|FAIL>] <write-operation=SET <set-block=encoding offset value:integer>|INCRBY <incrby-block=encoding offset increment>>>]...",
    complexity: "O(1) for each operation.",
    run: bitfield,
    ..BASE
};

/// Only SET and INCRBY change the string.
fn bitfield_key_flags(argv: carnelian_resp::Argv<'_>) -> KeyFlags {
    match argv.iter().skip(2).any(|word| is(word, "SET") || is(word, "INCRBY")) {
        true => KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::UPDATE,
        false => KeyFlags::RO | KeyFlags::ACCESS,
    }
}

pub(super) const BITFIELD_RO: Row = Row {
    name: "bitfield_ro",
    summary: "Reads integers of any width within a string.",
    since: "6.0.0",
    arity: -2,
    flags: Flags::READONLY.union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key [GET <get-block=encoding offset>]***",
    complexity: "O(1) for each operation.",
    run: bitfield_ro,
    ..BASE
};

/// What happens to a number that its field cannot hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Overflow {
    /// Its low bits are kept.
    Wrap,
    /// The nearest number that the field holds is.
    Saturate,
    /// Nothing.
    Fail,
}

/// A width and whether the integer has a sign.
#[derive(Clone, Copy, Debug)]
struct Shape {
    signed: bool,
    width: u32,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Operation {
    shape: Shape,
    /// Of the first bit.
    offset: u64,
    action: Action,
    overflow: Overflow,
}

/// The operations among the arguments. They are read twice, to check all before the first one takes effect, and need
/// no memory of their own.
#[derive(Clone)]
struct Operations<'a> {
    rest: Rest<'a>,
    overflow: Overflow,
    max_bytes: u64,
}

impl<'a> Operations<'a> {
    fn of(cx: &Ctx<'a>) -> Operations<'a> {
        Operations { rest: Rest::new(cx.argv, 2), overflow: Overflow::Wrap, max_bytes: max_len(cx) }
    }

    fn next(&mut self) -> Result<Option<Operation>, Error> {
        while let Some(word) = self.rest.next() {
            let left = self.rest.len();
            if is(word, "OVERFLOW") && left >= 1 {
                self.overflow = overflow(self.rest.value()?)?;
                continue;
            }
            let has_value = is(word, "SET") || is(word, "INCRBY");
            if !(is(word, "GET") && left >= 2 || has_value && left >= 3) {
                return Err(Error::Syntax);
            }
            let shape = Shape::of(self.rest.value()?)?;
            let offset = self.offset(shape)?;
            let action = match () {
                () if !has_value => Action::Get,
                () if is(word, "SET") => Action::Set(self.rest.int()?),
                () => Action::Increment(self.rest.int()?),
            };
            return Ok(Some(Operation { shape, offset, action, overflow: self.overflow }));
        }
        Ok(None)
    }

    /// An offset in bits or, after `#`, in fields of this shape.
    fn offset(&mut self, shape: Shape) -> Result<u64, Error> {
        let offset = match self.rest.value()? {
            [b'#', fields @ ..] => {
                let fields = number::parse_i64(fields).ok_or(BAD_OFFSET)?;
                // The peers let the product wrap around, too.
                fields.wrapping_mul(shape.width.into())
            }
            bits => number::parse_i64(bits).ok_or(BAD_OFFSET)?,
        };
        check_offset(offset, self.max_bytes)
    }

    /// Checks all operations. Returns how many replies they make, and how many bytes the string must have if one of
    /// them is to change it.
    fn check(mut self) -> Result<(usize, Option<u64>), Error> {
        let (mut count, mut len) = (0, None);
        while let Some(operation) = self.next()? {
            count += 1;
            if !matches!(operation.action, Action::Get) {
                let end = operation.offset + u64::from(operation.shape.width);
                len = len.max(Some(end.div_ceil(8)));
            }
        }
        Ok((count, len))
    }

    /// Calls `each` with all operations, which have been checked.
    fn for_each(mut self, mut each: impl FnMut(Operation)) {
        while let Some(operation) = self.next().expect("all operations have been checked") {
            each(operation);
        }
    }
}

fn overflow(word: &[u8]) -> Result<Overflow, Error> {
    match () {
        () if is(word, "WRAP") => Ok(Overflow::Wrap),
        () if is(word, "SAT") => Ok(Overflow::Saturate),
        () if is(word, "FAIL") => Ok(Overflow::Fail),
        () => Err(Error::Text("ERR Invalid OVERFLOW type specified")),
    }
}

fn bitfield(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let operations = Operations::of(cx);
    let (count, len) = operations.clone().check()?;
    match len {
        None => read(cx, operations, count),
        Some(len) => change(cx, operations, count, len as usize),
    }
}

fn bitfield_ro(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let operations = Operations::of(cx);
    match operations.clone().check()? {
        (count, None) => read(cx, operations, count),
        _ => Err(Error::Text("ERR BITFIELD_RO only supports the GET subcommand")),
    }
}

fn read(cx: &mut Ctx<'_>, operations: Operations<'_>, count: usize) -> Result<(), Error> {
    let key = cx.key(1);
    let string = match cx.keyspace.read(cx.db, key) {
        Some(item) => string(&item)?,
        None => Str::Bytes(b""),
    };
    cx.out.array(count);
    string.with_bytes(|bytes| {
        operations.for_each(|operation| cx.out.integer(operation.shape.load(bytes, operation.offset)));
    });
    Ok(())
}

fn change(cx: &mut Ctx<'_>, operations: Operations<'_>, count: usize, len: usize) -> Result<(), Error> {
    let key = cx.key(1);
    let mut entry = cx.keyspace.write(cx.db, key);
    let old_len = match entry.item() {
        Some(item) => string(&item)?.len(),
        None => 0,
    };
    cx.out.array(count);
    let mut writes = 0;
    let changes = entry.edit_bytes(len, |bytes| {
        let mut changes = 0;
        operations.for_each(|operation| match operation.run(bytes, cx.out) {
            Effect::None => {}
            Effect::Same => writes += 1,
            Effect::Changed => {
                writes += 1;
                changes += 1;
            }
        });
        changes
    });
    // A longer string is a change, also where what is written equals the zeros it grew by, or all writes failed.
    match (len > old_len, writes, changes) {
        (true, 0, _) => entry.commit(&[]),
        (true, writes, _) => entry.commit_many(&[Event::string("setbit")], writes),
        (false, _, 0) => entry.unchanged(),
        (false, _, changes) => entry.commit_many(&[Event::string("setbit")], changes),
    }
    Ok(())
}

/// What an operation did.
enum Effect {
    None,
    Same,
    Changed,
}

impl Operation {
    fn run(self, bytes: &mut [u8], out: &mut ReplyBuf) -> Effect {
        let old = self.shape.load(bytes, self.offset);
        let (new, is_set) = match self.action {
            Action::Get => {
                out.integer(old);
                return Effect::None;
            }
            Action::Set(value) => (self.shape.as_given(value), true),
            Action::Increment(by) => (i128::from(old) + i128::from(by), false),
        };
        let Some(new) = self.shape.fit(new, self.overflow) else {
            out.null();
            return Effect::None;
        };
        self.shape.store(bytes, self.offset, new);
        out.integer(if is_set { old } else { new });
        if new == old { Effect::Same } else { Effect::Changed }
    }
}

impl Shape {
    /// `i` or `u` and a width: up to 64 bits with a sign, up to 63 without.
    fn of(text: &[u8]) -> Result<Shape, Error> {
        let (signed, digits) = match text {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return Err(Shape::invalid()),
        };
        match number::parse_u64(digits) {
            Some(width @ 1..=63) => Ok(Shape { signed, width: width as u32 }),
            Some(64) if signed => Ok(Shape { signed, width: 64 }),
            _ => Err(Shape::invalid()),
        }
    }

    fn invalid() -> Error {
        Error::Text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        )
    }

    fn load(self, bytes: &[u8], offset: u64) -> i64 {
        self.interpret(bits::field(bytes, offset, self.width))
    }

    fn store(self, bytes: &mut [u8], offset: u64, value: i64) {
        bits::set_field(bytes, offset, self.width, value.cast_unsigned());
    }

    /// The number that the low bits stand for.
    fn interpret(self, bits: u64) -> i64 {
        let spare = 64 - self.width;
        let top = bits << spare;
        if self.signed { top.cast_signed() >> spare } else { (top >> spare).cast_signed() }
    }

    /// The argument of SET. A negative one for a field without sign is a very large number. So is, as in the peers,
    /// one that is so far below a shorter field that the distance to its largest number has no 64 bits.
    fn as_given(self, value: i64) -> i128 {
        let (_, max) = self.bounds();
        let wide = i128::from(value);
        match self.signed {
            true if self.width < 64 && max - wide > i64::MAX.into() => wide + (1 << 64),
            true => wide,
            false => value.cast_unsigned().into(),
        }
    }

    /// The smallest and the largest number.
    fn bounds(self) -> (i128, i128) {
        match self.signed {
            true => (-1 << (self.width - 1), (1 << (self.width - 1)) - 1),
            false => (0, (1 << self.width) - 1),
        }
    }

    /// The number that the field is to hold instead of one that may be out of range.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.bounds();
        match overflow {
            _ if (min..=max).contains(&value) => Some(value as i64),
            Overflow::Wrap => Some(self.interpret(value as u64)),
            Overflow::Saturate => Some(if value > max { max as i64 } else { min as i64 }),
            Overflow::Fail => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_fitted_at_the_edges_of_every_width() {
        for signed in [false, true] {
            for width in 1..64 {
                let shape = Shape { signed, width };
                let (min, max) = shape.bounds();
                let fit = |value, overflow| shape.fit(value, overflow).map(i128::from);
                for overflow in [Overflow::Wrap, Overflow::Saturate, Overflow::Fail] {
                    assert_eq!((fit(min, overflow), fit(max, overflow)), (Some(min), Some(max)));
                }
                assert_eq!(
                    (fit(max + 1, Overflow::Wrap), fit(min - 1, Overflow::Wrap)),
                    (Some(min), Some(max))
                );
                assert_eq!(
                    (fit(max + 1, Overflow::Saturate), fit(min - 1, Overflow::Saturate)),
                    (Some(max), Some(min))
                );
                assert_eq!((fit(max + 1, Overflow::Fail), fit(min - 1, Overflow::Fail)), (None, None));
            }
        }
    }
}
