//! The options that XADD and XTRIM share: how far to trim, and what pending entries need.

use carnelian_config::{Config, Directive};
use carnelian_keyspace::stream::{Log, References, StreamId, Trim, TrimTo};
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

/// Whether options do the same everywhere and always, and are known to old servers: they say what to do exactly, and do
/// not say KEEPREF, which is the default.
pub(super) fn are_plain<'a>(mut options: impl Iterator<Item = &'a [u8]>, trim: Option<&Trim>) -> bool {
    !trim.is_some_and(|trim| trim.approximate) && !options.any(|word| is(word, "KEEPREF"))
}

/// Appends options of XADD or XTRIM, of which approximate ones become what they came to, and LIMIT nothing. `log` is the
/// stream's after the trimming.
pub(super) fn push_exact<'a>(
    words: &mut OwnedArgv,
    mut options: impl Iterator<Item = &'a [u8]>,
    trim: Option<&Trim>,
    log: &Log,
) {
    while let Some(word) = options.next() {
        if is(word, "LIMIT") {
            options.next();
        } else if word == b"~" {
            options.next();
            words.push(b"=");
            push_result(words, trim.expect("an operator belongs to a threshold"), log);
        } else if !is(word, "KEEPREF") {
            words.push(word);
        }
    }
}

/// Down to where a stream has been trimmed, in the terms in which it was asked for.
fn push_result(words: &mut OwnedArgv, trim: &Trim, log: &Log) {
    match trim.to {
        TrimTo::Len(_) => words.push(itoa::Buffer::new().format(log.len()).as_bytes()),
        TrimTo::Id(_) => {
            let first = if log.len() == 0 { StreamId::MAX } else { log.first_id() };
            first.with_text(|text| words.push(text));
        }
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
