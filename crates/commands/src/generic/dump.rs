//! DUMP and RESTORE: values as bytes that either line of servers takes.

use carnelian_config::Directive;
use carnelian_keyspace::Event;
use carnelian_persistence::rdb::{self, Format, Payload, PayloadError};

use super::BASE;
use crate::args::{Rest, int, int_in, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Acl, Flags, KeyFlags, KeySpec, Row};

pub(crate) const FORMAT: Directive = Directive::named("rdb-format");
pub(crate) const COMPRESSION: Directive = Directive::named("rdbcompression");

pub(super) const DUMP: Row = Row {
    name: "dump",
    summary: "Returns a value as bytes for RESTORE.",
    since: "2.6.0",
    arity: 2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key",
    complexity: "O(N), N being the size of the value.",
    tips: &["nondeterministic_output"],
    run: dump,
    ..BASE
};

fn dump(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let config = &cx.state.config;
    let format = Format::named(config.word(FORMAT)).expect("the directive takes the names of formats");
    let compress = config.flag(COMPRESSION);
    match cx.keyspace.read(cx.db, cx.key(1)) {
        Some(item) => cx.out.bulk(&rdb::dump(&item.value(), format, compress)),
        None => cx.out.null(),
    }
    Ok(())
}

pub(super) const RESTORE: Row = Row {
    name: "restore",
    summary: "Sets a key to a value from DUMP.",
    since: "2.6.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    acl: Acl::KEYSPACE.union(Acl::DANGEROUS),
    keys: &[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))],
    syntax: "key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:integer] [FREQ frequency:integer]",
    complexity: "O(N), N being the size of the value; O(N*log(N)) for sorted sets.",
    run: restore,
    ..BASE
};

/// What stands after the value.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(mut rest: Rest<'_>) -> Result<Options, Error> {
        const IDLE: Error = Error::Text("ERR Invalid IDLETIME value, must be >= 0");
        const FREQUENCY: Error = Error::Text("ERR Invalid FREQ value, must be >= 0 and <= 255");
        let mut options = Options::default();
        while let Some(word) = rest.next() {
            if is(word, "REPLACE") {
                options.replace = true;
            } else if is(word, "ABSTTL") {
                options.absolute = true;
            } else if is(word, "IDLETIME") && rest.len() > 0 && options.frequency.is_none() {
                options.idle = Some(u64::try_from(rest.int()?).map_err(|_| IDLE)?);
            } else if is(word, "FREQ") && rest.len() > 0 && options.idle.is_none() {
                options.frequency = Some(u8::try_from(rest.int()?).map_err(|_| FREQUENCY)?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

/// When a key with this TTL is due; an error if it is negative.
fn deadline(ttl: &[u8], absolute: bool, now: u64) -> Result<Option<u64>, Error> {
    int(ttl)?;
    let ttl = int_in(ttl, 0..=i64::MAX, Error::Text("ERR Invalid TTL value, must be >= 0"))?;
    let base = if absolute { 0 } else { now as i64 };
    Ok(match ttl {
        0 => None,
        // What overflows counts as long past, as for the peers.
        ttl => Some(ttl.checked_add(base).map_or(0, |at| at as u64)),
    })
}

fn restore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let options = Options::parse(Rest::new(cx.argv, 4))?;
    let (key, now) = (cx.key(1), cx.now_ms());
    let exists = cx.keyspace.peek(cx.db, key).is_some();
    if exists && !options.replace {
        return Err(Error::Text("BUSYKEY Target key name already exists."));
    }
    let (deadline, due) = (deadline(cx.arg(2), options.absolute, now)?, cx.due_ms());
    let check = if cx.state.skip_checksums { Payload::check_version } else { Payload::check };
    let value = check(cx.arg(3))?.restore(&mut cx.keyspace.space())?;
    let mut entry = cx.keyspace.write(cx.db, key);
    if deadline.is_some_and(|at| at <= due) {
        value.discard(&mut entry.space());
        if exists {
            entry.remove();
            entry.commit(&[Event::generic("del")]);
            cx.effect(&[cx.state.effects.removals().aside, key.bytes()]);
        }
    } else {
        entry.remove();
        value.put(&mut entry, deadline);
        entry.set_access(options.idle, options.frequency);
        entry.commit(&[Event::generic("restore")]);
        effect_of_restoring(cx, deadline);
    }
    cx.out.ok();
    Ok(())
}

fn effect_of_restoring(cx: &mut Ctx<'_>, deadline: Option<u64>) {
    let mut at = itoa::Buffer::new();
    match deadline {
        _ if !cx.logs_effects() => {}
        None => cx.effect(&[b"RESTORE", cx.arg(1), b"0", cx.arg(3), b"REPLACE"]),
        Some(deadline) => {
            let at = at.format(deadline).as_bytes();
            cx.effect(&[b"RESTORE", cx.arg(1), at, cx.arg(3), b"REPLACE", b"ABSTTL"]);
        }
    }
}

impl From<PayloadError> for Error {
    fn from(error: PayloadError) -> Error {
        match error {
            PayloadError::Footer => Error::Text("ERR DUMP payload version or checksum are wrong"),
            PayloadError::Value(offset, fault) => {
                log::warn!("RESTORE of a damaged payload: at offset {offset}: {fault}");
                Error::Text("ERR Bad data format")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Session, check};

    #[test]
    fn what_is_wrong_is_told_in_order() {
        check(&[
            ("RESTORE k x short FOO", "(error) ERR syntax error"),
            ("RESTORE k 0 short IDLETIME", "(error) ERR syntax error"),
            ("RESTORE k 0 short IDLETIME 1 FREQ 1", "(error) ERR syntax error"),
            ("RESTORE k 0 short IDLETIME -1", "(error) ERR Invalid IDLETIME value, must be >= 0"),
            ("RESTORE k 0 short FREQ 256", "(error) ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("SET k v", "OK"),
            ("RESTORE k x short", "(error) BUSYKEY Target key name already exists."),
            ("RESTORE k x short REPLACE", "(error) ERR value is not an integer or out of range"),
            ("RESTORE k -1 short REPLACE", "(error) ERR Invalid TTL value, must be >= 0"),
            ("RESTORE k 0 short REPLACE", "(error) ERR DUMP payload version or checksum are wrong"),
            ("GET k", "\"v\""),
            ("DUMP nosuch", "(nil)"),
        ]);
    }

    #[test]
    fn a_payload_of_redis_is_restored() {
        let mut session = Session::new();
        let payload = r#""\x00\x05hello\x0c\x00\xa8\x04\xeb\xb6\x9f\x1e\xbeC""#;
        session.check(&[
            (&format!("RESTORE k 0 {payload}"), "OK"),
            ("GET k", "\"hello\""),
            ("PTTL k", "(integer) -1"),
            (&format!("RESTORE k 5000 {payload} REPLACE IDLETIME 100"), "OK"),
            ("PTTL k", "(integer) 5000"),
            ("OBJECT IDLETIME k", "(integer) 100"),
            (&format!("RESTORE k 5000 {payload} REPLACE ABSTTL"), "OK"),
            ("EXISTS k", "(integer) 0"),
        ]);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        // A string that says it has 6 bytes, with a right checksum.
        let payload = r#""\x00\x06\x68\x65\x6c\x6c\x6f\x0b\x00\xc6\x61\xd3\x5e\xa6\xab\xee\xcb""#;
        Session::new().check(&[(&format!("RESTORE k 0 {payload}"), "(error) ERR Bad data format")]);
    }

    #[test]
    fn what_is_dumped_comes_back() {
        let mut session = Session::new();
        session.run("SET k 12345");
        let payload = session.run("DUMP k");
        session.check(&[(&format!("RESTORE copy 0 {payload}"), "OK"), ("OBJECT ENCODING copy", "\"int\"")]);
    }
}
