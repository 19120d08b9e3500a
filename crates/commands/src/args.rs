//! Reading arguments: numbers, words, options.

use carnelian_resp::{Argv, number};

use crate::error::Error;

/// A 64-bit integer, or [`Error::NotInteger`].
#[inline]
pub(crate) fn int(arg: &[u8]) -> Result<i64, Error> {
    number::parse_i64(arg).ok_or(Error::NotInteger)
}

/// An integer within `range`, or `error`.
pub(crate) fn int_in(arg: &[u8], range: std::ops::RangeInclusive<i64>, error: Error) -> Result<i64, Error> {
    match number::parse_i64(arg) {
        Some(value) if range.contains(&value) => Ok(value),
        _ => Err(error),
    }
}

/// Whether `arg` is `word` in any case. `word` may be written in either.
#[inline]
pub(crate) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The text of an argument, for error messages and names; what is not UTF-8 is replaced.
pub(crate) fn text(arg: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(arg)
}

/// A cursor over the optional arguments at the end of a command.
///
/// ```text
/// let mut rest = Rest::new(argv, 3);
/// while let Some(word) = rest.next() {
///     if is(word, "EX") { seconds = rest.int()?; } else { return Err(Error::Syntax); }
/// }
/// ```
#[derive(Clone)]
pub(crate) struct Rest<'a> {
    argv: Argv<'a>,
    at: usize,
}

impl<'a> Rest<'a> {
    /// The arguments from `first` on.
    pub(crate) fn new(argv: Argv<'a>, first: usize) -> Self {
        Rest { argv, at: first }
    }

    /// The next argument, if there is one.
    #[inline]
    #[allow(clippy::should_implement_trait)]
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let arg = self.argv.get(self.at)?;
        self.at += 1;
        Some(arg)
    }

    /// The next argument, which stays the next one.
    pub(crate) fn peek(&self) -> Option<&'a [u8]> {
        self.argv.get(self.at)
    }

    /// The argument that an option requires, or a syntax error.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], Error> {
        self.next().ok_or(Error::Syntax)
    }

    /// The integer that an option requires.
    pub(crate) fn int(&mut self) -> Result<i64, Error> {
        int(self.value()?)
    }

    /// Index of the next argument in the command.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// How many arguments are left.
    pub(crate) fn len(&self) -> usize {
        self.argv.len().saturating_sub(self.at)
    }
}
