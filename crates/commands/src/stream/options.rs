//! The options that XADD and XTRIM share: how far to trim, and what pending entries need.

use carnelian_config::{Config, Directive};
use carnelian_keyspace::stream::{References, Trim, TrimTo};
use carnelian_resp::{Argv, OwnedArgv};

use super::id::{self, NewId};
use crate::args::{Rest, int, is};
use crate::error::Error;

/// What the options of XADD or XTRIM say.
#[derive(Debug)]
pub(super) struct AddOrTrim {
    /// XADD: the ID, and the argument after it. XTRIM, or if there is none: `None`.
    pub(super) id: Option<(NewId, usize)>,
    /// XADD: the key has to exist.
    pub(super) no_create: bool,
    pub(super) trim: Option<Trim>,
}

/// The word that tells what pending entries need.
pub(super) fn references(word: &[u8]) -> Option<References> {
    let words =
        [("KEEPREF", References::Keep), ("DELREF", References::Drop), ("ACKED", References::Acknowledged)];
    words.into_iter().find(|(name, _)| is(word, name)).map(|(_, references)| references)
}

/// Appends the options by which a stream is trimmed in the same way wherever its nodes begin and end: down to `len`
/// entries, since it is always the first ones that go, unless there are some that have to stay.
pub(super) fn push_exact(words: &mut OwnedArgv, trim: &Trim, len: u64) {
    let to = match trim.references {
        References::Acknowledged => trim.to,
        References::Keep | References::Drop => TrimTo::Len(len),
    };
    match to {
        TrimTo::Id(id) => {
            words.push(b"MINID");
            words.push(b"=");
            id.with_text(|text| words.push(text));
        }
        TrimTo::Len(len) => {
            words.push(b"MAXLEN");
            words.push(b"=");
            words.push(itoa::Buffer::new().format(len).as_bytes());
        }
    }
    match trim.references {
        References::Keep => {}
        References::Drop => words.push(b"DELREF"),
        References::Acknowledged => words.push(b"ACKED"),
    }
}

/// Collects the options one by one.
#[derive(Default)]
struct Collected {
    to: Option<TrimTo>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
}

impl Collected {
    /// `MAXLEN` or `MINID` with what follows.
    fn threshold(&mut self, rest: &mut Rest<'_>, by_len: bool) -> Result<(), Error> {
        if self.to.is_some() {
            return Err(Error::Text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let operator = rest.peek().filter(|word| rest.len() >= 2 && matches!(*word, b"~" | b"="));
        if operator.is_some() {
            rest.next();
        }
        self.approximate = operator == Some(b"~");
        let value = rest.value()?;
        self.to = Some(if by_len {
            let max = int(value)?;
            TrimTo::Len(u64::try_from(max).map_err(|_| Error::Text("ERR The MAXLEN argument must be >= 0."))?)
        } else {
            TrimTo::Id(id::exact(value)?)
        });
        Ok(())
    }

    /// What the options amount to, now that all are known.
    fn finish(self, config: &Config) -> Result<Option<Trim>, Error> {
        if self.limit.is_some_and(|limit| limit > 0) && self.to.is_none() {
            return Err(Error::Text(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        Ok(self.to.map(|to| Trim {
            to,
            approximate: self.approximate,
            limit: match self.approximate {
                true => self.limit.unwrap_or_else(|| default_limit(config)),
                false => 0,
            },
            references: self.references.unwrap_or_default(),
        }))
    }

    /// Whether LIMIT was told where it means nothing.
    fn has_idle_limit(&self) -> bool {
        self.limit.is_some() && !self.approximate
    }
}

const IDLE_LIMIT: Error = Error::Text("ERR syntax error, LIMIT cannot be used without the special ~ option");

/// How many entries approximate trimming deletes at most: those of a hundred nodes.
fn default_limit(config: &Config) -> u64 {
    const NODE_MAX_ENTRIES: Directive = Directive::named("stream-node-max-entries");
    match config.int(NODE_MAX_ENTRIES).saturating_mul(100) {
        ..=0 => 10_000,
        limit => limit.min(1_000_000) as u64,
    }
}

/// Reads the options of XADD up to the ID, or of XTRIM to the end.
pub(super) fn parse(
    argv: Argv<'_>,
    config: &Config,
    is_add: bool,
    is_replay: bool,
) -> Result<AddOrTrim, Error> {
    let mut rest = Rest::new(argv, 2);
    let mut collected = Collected::default();
    let (mut id, mut no_create) = (None, false);
    while let Some(word) = rest.next() {
        let more = rest.len() > 0;
        if is_add && word == b"*" {
            id = Some((NewId::Now, rest.position()));
            break;
        } else if more && is(word, "MAXLEN") {
            collected.threshold(&mut rest, true)?;
        } else if more && is(word, "MINID") {
            collected.threshold(&mut rest, false)?;
        } else if more && is(word, "LIMIT") {
            let limit = u64::try_from(rest.int()?);
            collected.limit = Some(limit.map_err(|_| Error::Text("ERR The LIMIT argument must be >= 0."))?);
        } else if is_add && is(word, "NOMKSTREAM") {
            no_create = true;
        } else if let Some(references) = references(word).filter(|_| collected.references.is_none()) {
            collected.references = Some(references);
        } else if is_add {
            id = Some((NewId::parse(word)?, rest.position()));
            break;
        } else {
            return Err(Error::Syntax);
        }
    }
    let idle_limit = collected.has_idle_limit();
    let trim = collected.finish(config)?;
    if !is_add && trim.is_none() {
        return Err(Error::Text("ERR syntax error, XTRIM must be called with a trimming strategy"));
    }
    // Redis logs what it has trimmed exactly, and the limit that was told with it.
    if idle_limit && !is_replay {
        return Err(IDLE_LIMIT);
    }
    Ok(AddOrTrim { id, no_create, trim })
}
