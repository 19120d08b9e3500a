//! Arguments that several commands with deadlines share: FIELDS and times.

use std::ops::Range;

use carnelian_resp::{Argv, number};

use crate::args::{int, is};
use crate::context::Ctx;
use crate::error::Error;

/// The latest deadline that a client can give a field, in Unix milliseconds; as in Redis.
const LAST: i64 = (1 << 46) - 1;
/// The latest one that a dump file in Redis's format can hold.
const LAST_STORED: i64 = (1 << 48) - 1;

/// The error for a count of fields that is none, for most commands.
pub(super) const NOT_POSITIVE: Error = Error::Text("ERR Number of fields must be a positive integer");

/// Reads `FIELDS count field ...` at argument `at`, which the fields have to end; returns the fields' positions.
pub(super) fn fields(argv: Argv<'_>, at: usize, not_positive: Error) -> Result<Range<usize>, Error> {
    if !argv.get(at).is_some_and(|word| is(word, "FIELDS")) {
        let text = "ERR Mandatory argument FIELDS is missing or not at the right position";
        return Err(Error::Text(text));
    }
    let count =
        argv.get(at + 1).and_then(number::parse_i64).filter(|&count| count > 0).ok_or(not_positive)?;
    let fields = at + 2..argv.len();
    if count as usize != fields.len() {
        return Err(Error::Text("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(fields)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// Reads a time after `base` (Unix milliseconds) as a deadline. `command` is for the error. Logs of Valkey, where any
/// deadline is allowed, are replayed as its dump files are read: later ones become the latest that can be stored.
pub(super) fn deadline(
    cx: &Ctx<'_>,
    text: &[u8],
    unit: Unit,
    base: u64,
    command: &'static str,
) -> Result<u64, Error> {
    let time = int(text)?;
    if time < 0 {
        return Err(Error::Text("ERR invalid expire time, must be >= 0"));
    }
    let factor = if unit == Unit::Seconds { 1000 } else { 1 };
    let at = time.checked_mul(factor).and_then(|ms| ms.checked_add(base as i64));
    if cx.is_replay() {
        return Ok(at.unwrap_or(i64::MAX).min(LAST_STORED) as u64);
    }
    at.filter(|&at| at <= LAST).map(|at| at as u64).ok_or(Error::InvalidExpire(command))
}

/// The unit that an option's name stands for, and the base of its time.
pub(super) fn time_option(word: &[u8], now: u64) -> Option<(Unit, u64)> {
    let table = [
        ("EX", Unit::Seconds, now),
        ("PX", Unit::Milliseconds, now),
        ("EXAT", Unit::Seconds, 0),
        ("PXAT", Unit::Milliseconds, 0),
    ];
    table.into_iter().find(|(name, ..)| is(word, name)).map(|(_, unit, base)| (unit, base))
}
