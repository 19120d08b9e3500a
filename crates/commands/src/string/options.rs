//! The options that SET, MSETEX and GETEX share: when a key expires, and whether it may be set.

use carnelian_keyspace::{Item, Ttl};

use super::string;
use crate::args::{Rest, int, is};
use crate::error::Error;

/// When the key has to be there, or not to be.
#[derive(Clone, Copy)]
pub(super) enum Condition<'a> {
    Always,
    Absent,
    Present,
    /// The string is this one.
    Equal(&'a [u8]),
}

impl Condition<'_> {
    pub(super) fn holds(self, item: Option<Item<'_>>) -> Result<bool, Error> {
        Ok(match self {
            Condition::Always => true,
            Condition::Absent => item.is_none(),
            Condition::Present => item.is_some(),
            Condition::Equal(expected) => match item {
                Some(item) => string(&item)?.equals(expected),
                None => false,
            },
        })
    }
}

/// A point in time as a command's argument gives it.
#[derive(Clone, Copy)]
pub(super) struct Time<'a> {
    pub(super) text: &'a [u8],
    pub(super) unit: Unit,
    pub(super) since: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// What a time counts from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Now,
    Epoch,
}

impl<'a> Time<'a> {
    /// The unit and origin that an option's name stands for.
    fn option(word: &[u8]) -> Option<(Unit, Origin)> {
        let table = [
            ("EX", Unit::Seconds, Origin::Now),
            ("PX", Unit::Milliseconds, Origin::Now),
            ("EXAT", Unit::Seconds, Origin::Epoch),
            ("PXAT", Unit::Milliseconds, Origin::Epoch),
        ];
        table.into_iter().find(|(name, ..)| is(word, name)).map(|(_, unit, since)| (unit, since))
    }

    /// The deadline in Unix milliseconds. `command` is for the error.
    pub(super) fn deadline(self, now_ms: u64, command: &'static str) -> Result<u64, Error> {
        let factor = match self.unit {
            Unit::Seconds => 1000,
            Unit::Milliseconds => 1,
        };
        let base = match self.since {
            Origin::Now => now_ms as i64,
            Origin::Epoch => 0,
        };
        match int(self.text)? {
            value @ 1.. => value.checked_mul(factor).and_then(|ms| ms.checked_add(base)),
            _ => None,
        }
        .map(|ms| ms as u64)
        .ok_or(Error::InvalidExpire(command))
    }
}

/// What happens to the key's deadline.
#[derive(Clone, Copy)]
pub(super) enum Expiry<'a> {
    /// Nothing was said.
    Unset,
    Keep,
    Remove,
    At(Time<'a>),
}

impl<'a> Expiry<'a> {
    /// Takes in an option that is about time: `keyword` (KEEPTTL or PERSIST, which stand for `simple`), or EX and its
    /// like with their argument. Says whether `word` was one. Each may be repeated, and the last one counts; two
    /// different ones exclude each other.
    pub(super) fn take(
        &mut self,
        word: &[u8],
        rest: &mut Rest<'a>,
        keyword: &str,
        simple: Expiry<'a>,
    ) -> Result<bool, Error> {
        let next = if is(word, keyword) {
            simple
        } else if let Some((unit, since)) = Time::option(word) {
            Expiry::At(Time { text: rest.value()?, unit, since })
        } else {
            return Ok(false);
        };
        let compatible = match (&*self, &next) {
            (Expiry::Unset, _) | (Expiry::Keep, Expiry::Keep) | (Expiry::Remove, Expiry::Remove) => true,
            (Expiry::At(a), Expiry::At(b)) => (a.unit, a.since) == (b.unit, b.since),
            _ => false,
        };
        if !compatible {
            return Err(Error::Syntax);
        }
        *self = next;
        Ok(true)
    }
}

/// The options of SET and MSETEX.
pub(super) struct SetOptions<'a> {
    pub(super) condition: Condition<'a>,
    /// GET: reply the old value.
    pub(super) get: bool,
    expiry: Expiry<'a>,
}

impl<'a> SetOptions<'a> {
    /// Options that put no condition on setting a value, with this deadline.
    pub(super) fn expiring(time: Time<'a>) -> Self {
        SetOptions { condition: Condition::Always, get: false, expiry: Expiry::At(time) }
    }

    /// Reads the options of MSETEX, or all of SET's.
    pub(super) fn parse(mut rest: Rest<'a>, all: bool) -> Result<Self, Error> {
        let mut options = SetOptions { condition: Condition::Always, get: false, expiry: Expiry::Unset };
        while let Some(word) = rest.next() {
            options.condition = match options.condition {
                Condition::Always | Condition::Absent if is(word, "NX") => Condition::Absent,
                Condition::Always | Condition::Present if is(word, "XX") => Condition::Present,
                Condition::Always if all && is(word, "IFEQ") => Condition::Equal(rest.value()?),
                other => {
                    if all && is(word, "GET") {
                        options.get = true;
                    } else if !options.expiry.take(word, &mut rest, "KEEPTTL", Expiry::Keep)? {
                        return Err(Error::Syntax);
                    }
                    other
                }
            };
        }
        Ok(options)
    }

    /// What becomes of the deadline. `command` is for the error.
    pub(super) fn ttl(&self, now_ms: u64, command: &'static str) -> Result<Ttl, Error> {
        Ok(match self.expiry {
            Expiry::Keep => Ttl::Keep,
            Expiry::At(time) => Ttl::At(time.deadline(now_ms, command)?),
            Expiry::Unset | Expiry::Remove => Ttl::Clear,
        })
    }
}
