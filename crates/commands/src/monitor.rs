//! MONITOR: one line per executed command, sent to every monitoring client.

use std::fmt::Write as _;

use carnelian_resp::{Argv, ReplyBuf};

use crate::client::ClientFlags;
use crate::context::Ctx;
use crate::engine::State;
use crate::error::Error;
use crate::links::{Address, Links};
use crate::row::{Flags, Group, Row};

pub(crate) static ROWS: &[Row] = &[Row {
    name: "monitor",
    summary: "Shows every command as it is executed.",
    since: "1.0.0",
    group: Group::Server,
    arity: 1,
    flags: Flags::ADMINISTRATIVE,
    run: monitor,
    ..Row::EMPTY
}];

/// A second MONITOR of the same client gets no reply.
fn monitor(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let client = cx.client();
    if client.flags.contains(ClientFlags::MONITOR) {
        return Ok(());
    }
    client.flags |= ClientFlags::MONITOR;
    let id = client.id;
    cx.state.monitors.push(id);
    cx.out.ok();
    Ok(())
}

/// Whether monitoring clients may see a command.
pub(crate) fn shows(row: &Row) -> bool {
    !row.flags.intersects(Flags::ADMIN | Flags::SKIP_MONITOR)
}

/// The line that shows a command of the client in `slot`.
#[cold]
pub(crate) fn line(
    state: &mut State,
    links: &mut dyn Links,
    slot: usize,
    db: usize,
    now_us: u64,
    argv: Argv<'_>,
) -> String {
    let source = links.info(state.clients.at(slot).id).map_or_else(String::new, |info| match info.local {
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Tcp(_) => info.peer.to_string(),
    });
    compose(state, &source, db, now_us, argv)
}

/// The line that shows a command of a script.
#[cold]
pub(crate) fn script_line(state: &State, db: usize, now_us: u64, argv: Argv<'_>) -> String {
    compose(state, "lua", db, now_us, argv)
}

fn compose(state: &State, source: &str, db: usize, now_us: u64, argv: Argv<'_>) -> String {
    let mut line = format!("{}.{:06} [{db} {source}]", now_us / 1_000_000, now_us % 1_000_000);
    for (i, arg) in argv.iter().enumerate() {
        line.push(' ');
        push_quoted(&mut line, if state.redacted.contains(&i) { b"(redacted)" } else { arg });
    }
    line
}

/// Sends a line to the monitoring clients. `own` is the output of the running one, which may be one of them, but
/// whose last reply is that of the command that closes it.
#[cold]
pub(crate) fn send(state: &mut State, links: &mut dyn Links, slot: usize, line: &str, own: &mut ReplyBuf) {
    let (running, closes) = (state.clients.at(slot).id, state.clients.at(slot).close.is_some());
    for id in &state.monitors {
        if *id != running {
            links.send(*id, &mut |out| out.simple(line));
        } else if !closes {
            own.simple(line);
        }
    }
}

/// Appends `bytes` in double quotes, with what is not printable as escapes.
pub(crate) fn push_quoted(line: &mut String, bytes: &[u8]) {
    line.push('"');
    for byte in bytes {
        match byte {
            b'\\' | b'"' => line.extend(['\\', char::from(*byte)]),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            other => write!(line, "\\x{other:02x}").expect("a string accepts all text"),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_bytes_are_escaped() {
        let mut line = String::new();
        push_quoted(&mut line, b"a\"\\\n\r\t\x07\x08\x00\xff~");
        assert_eq!(line, r#""a\"\\\n\r\t\a\b\x00\xff~""#);
    }
}
