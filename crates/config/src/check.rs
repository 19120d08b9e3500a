//! Checks of text values which the type alone does not express.

use std::net::{Ipv4Addr, Ipv6Addr};

const HOSTNAME_MAX: usize = 256;

/// Accepts everything.
pub(crate) fn any(_: &[u8]) -> Result<(), &'static str> {
    Ok(())
}

fn is_base_name(value: &[u8]) -> bool {
    !value.contains(&b'/') && !value.contains(&b'\\')
}

pub(crate) fn db_filename(value: &[u8]) -> Result<(), &'static str> {
    if is_base_name(value) { Ok(()) } else { Err("dbfilename can't be a path, just a filename") }
}

pub(crate) fn append_filename(value: &[u8]) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("appendfilename can't be empty");
    }
    if is_base_name(value) { Ok(()) } else { Err("appendfilename can't be a path, just a filename") }
}

pub(crate) fn append_dirname(value: &[u8]) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("appenddirname can't be empty");
    }
    if is_base_name(value) { Ok(()) } else { Err("appenddirname can't be a path, just a dirname") }
}

pub(crate) fn hostname(value: &[u8]) -> Result<(), &'static str> {
    if value.len() >= HOSTNAME_MAX {
        return Err("Hostnames must be less than 256 characters");
    }
    if value.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.')) {
        return Ok(());
    }
    Err("Hostnames may only contain alphanumeric characters, hyphens or dots")
}

pub(crate) fn node_name(value: &[u8]) -> Result<(), &'static str> {
    if is_aux_string(value) { Ok(()) } else { Err("Announced human node name contained invalid character") }
}

/// Text without the characters that nodes.conf gives a meaning to.
fn is_aux_string(value: &[u8]) -> bool {
    !value.iter().any(|c| b"!#$%&()*+:;<>?@[]^{|}~".contains(c))
}

pub(crate) fn ipv4(value: &[u8]) -> Result<(), &'static str> {
    let valid = value.is_empty() || str::from_utf8(value).is_ok_and(|s| s.parse::<Ipv4Addr>().is_ok());
    if valid { Ok(()) } else { Err("Invalid IPv4 address") }
}

pub(crate) fn ipv6(value: &[u8]) -> Result<(), &'static str> {
    let valid = value.is_empty() || str::from_utf8(value).is_ok_and(|s| s.parse::<Ipv6Addr>().is_ok());
    if valid { Ok(()) } else { Err("Invalid IPv6 address") }
}

/// A process title: text with `{name}` fields, of which only the known ones may occur.
pub(crate) fn title_template(value: &[u8]) -> Result<(), &'static str> {
    const FIELDS: [&[u8]; 7] =
        [b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file"];
    const INVALID: &str = "template format is invalid or contains unknown variables";
    let mut rest = value;
    if value.is_empty() {
        return Err(INVALID);
    }
    while let Some(open) = rest.iter().position(|&c| c == b'{') {
        let after = &rest[open + 1..];
        let close = after.iter().position(|&c| c == b'}').ok_or(INVALID)?;
        if !FIELDS.contains(&&after[..close]) {
            return Err(INVALID);
        }
        rest = &after[close + 1..];
    }
    Ok(())
}
