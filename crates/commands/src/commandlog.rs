//! SLOWLOG and COMMANDLOG: the latest commands that took long, or whose request or reply was large.

use std::collections::VecDeque;

use carnelian_config::{Config, Directive};
use carnelian_resp::{Argv, number};

use crate::args::is;
use crate::context::Ctx;
use crate::engine::State;
use crate::error::Error;
use crate::help;
use crate::links::Links;
use crate::row::{Flags, Group, Row};

/// Arguments that an entry keeps; the last one tells how many there were more.
const KEPT_ARGS: usize = 32;

/// Bytes that an entry keeps of an argument.
const KEPT_BYTES: usize = 128;

/// Entries that SLOWLOG GET answers without being told how many.
const DEFAULT_COUNT: i64 = 10;

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "commandlog",
        summary: "Commands about the logs of slow and of large commands.",
        since: "8.1.0",
        group: Group::Server,
        arity: -2,
        complexity: "Depends on subcommand",
        subcommands: SUBCOMMANDS,
        ..Row::EMPTY
    },
    Row {
        name: "slowlog",
        summary: "Commands about the log of slow commands.",
        since: "2.2.12",
        group: Group::Server,
        arity: -2,
        complexity: "Depends on subcommand",
        subcommands: SLOWLOG,
        ..Row::EMPTY
    },
];

static SUBCOMMANDS: &[Row] = &[
    Row {
        name: "get",
        summary: "Answers the latest entries of a log.",
        since: "8.1.0",
        group: Group::Server,
        arity: 4,
        flags: Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE),
        syntax: "count <type=SLOW|LARGE-REQUEST|LARGE-REPLY>",
        complexity: "O(N) where N is the number of entries returned",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        run: get,
        ..Row::EMPTY
    },
    Row {
        name: "help",
        summary: "Lists the subcommands.",
        since: "8.1.0",
        group: Group::Server,
        arity: 2,
        flags: Flags::HELPING,
        complexity: "O(1)",
        run: help::help,
        ..Row::EMPTY
    },
    Row {
        name: "len",
        summary: "Counts the entries of a log.",
        since: "8.1.0",
        group: Group::Server,
        arity: 3,
        flags: Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE),
        syntax: "<type=SLOW|LARGE-REQUEST|LARGE-REPLY>",
        complexity: "O(1)",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        run: len,
        ..Row::EMPTY
    },
    Row {
        name: "reset",
        summary: "Removes all entries of a log.",
        since: "8.1.0",
        group: Group::Server,
        arity: 3,
        flags: Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE),
        syntax: "<type=SLOW|LARGE-REQUEST|LARGE-REPLY>",
        complexity: "O(N) where N is the number of entries in the commandlog",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: reset,
        ..Row::EMPTY
    },
];

static SLOWLOG: &[Row] = &[
    Row {
        name: "get",
        summary: "Answers the latest entries.",
        since: "2.2.12",
        group: Group::Server,
        arity: -2,
        flags: Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE),
        syntax: "[count]",
        complexity: "O(N) where N is the number of entries returned",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        run: slowlog_get,
        ..Row::EMPTY
    },
    Row {
        name: "help",
        summary: "Lists the subcommands.",
        since: "6.2.0",
        group: Group::Server,
        arity: 2,
        flags: Flags::HELPING,
        complexity: "O(1)",
        run: help::help,
        ..Row::EMPTY
    },
    Row {
        name: "len",
        summary: "Counts the entries.",
        since: "2.2.12",
        group: Group::Server,
        arity: 2,
        flags: Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE),
        complexity: "O(1)",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        run: slowlog_len,
        ..Row::EMPTY
    },
    Row {
        name: "reset",
        summary: "Removes all entries.",
        since: "2.2.12",
        group: Group::Server,
        arity: 2,
        flags: Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE),
        complexity: "O(N) where N is the number of entries in the slowlog",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: slowlog_reset,
        ..Row::EMPTY
    },
];

/// What a log is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Execution time, in microseconds.
    Slow,
    /// Bytes of the request.
    LargeRequest,
    /// Bytes of the reply.
    LargeReply,
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::Slow, "slow"), (Kind::LargeRequest, "large-request"), (Kind::LargeReply, "large-reply")];

/// The least value that enters a log and the most entries of it, for each [`Kind`].
const DIRECTIVES: [(Directive, Directive); 3] = [
    (Directive::named("slowlog-log-slower-than"), Directive::named("slowlog-max-len")),
    (
        Directive::named("commandlog-request-larger-than"),
        Directive::named("commandlog-large-request-max-len"),
    ),
    (Directive::named("commandlog-reply-larger-than"), Directive::named("commandlog-large-reply-max-len")),
];

/// The values from which on commands enter the logs; [`u64::MAX`] keeps all out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thresholds([u64; 3]);

impl Thresholds {
    pub(crate) fn new(config: &Config) -> Self {
        Thresholds(DIRECTIVES.map(|(threshold, entries)| match config.int(threshold) {
            least if least >= 0 && config.size(entries) > 0 => least as u64,
            _ => u64::MAX,
        }))
    }

    /// Whether a command that took `nanos`, with a request of about `request` bytes and a reply of `reply` bytes, may
    /// have to be logged.
    #[inline]
    pub(crate) fn may_log(&self, nanos: u64, request: usize, reply: usize) -> bool {
        nanos / 1000 >= self.0[0] || request as u64 >= self.0[1] || reply as u64 >= self.0[2]
    }
}

/// The logs.
#[derive(Default)]
pub(crate) struct CommandLogs {
    logs: [Log; 3],
}

#[derive(Default)]
struct Log {
    /// The latest one in front.
    entries: VecDeque<Entry>,
    next_id: u64,
}

struct Entry {
    id: u64,
    /// Unix time in seconds.
    at: u64,
    value: u64,
    args: Vec<Vec<u8>>,
    peer: String,
    client: Vec<u8>,
}

/// An upper bound of the bytes of a request, computed from what is at hand.
#[inline]
pub(crate) fn request_bound(argv: Argv<'_>) -> usize {
    const FRAMING: usize = 32;
    argv.bytes() + (argv.len() + 1) * FRAMING
}

/// How long a command is as a RESP request.
fn request_len(argv: Argv<'_>) -> usize {
    let header = |n: usize| 1 + n.checked_ilog10().map_or(1, |log| log as usize + 1) + 2;
    header(argv.len()) + argv.iter().map(|arg| header(arg.len()) + arg.len() + 2).sum::<usize>()
}

/// Enters a command that has run into the logs whose threshold it reaches.
#[cold]
pub(crate) fn log(
    state: &mut State,
    links: &mut dyn Links,
    slot: usize,
    argv: Argv<'_>,
    at: u64,
    (nanos, reply): (u64, usize),
) {
    let values = [nanos / 1000, request_len(argv) as u64, reply as u64];
    let thresholds = state.settings.log_thresholds.0;
    for i in (0..KINDS.len()).filter(|i| values[*i] >= thresholds[*i]) {
        let client = state.clients.at(slot);
        let entry = Entry {
            id: state.command_logs.logs[i].next_id,
            at,
            value: values[i],
            args: kept(argv, &state.redacted),
            peer: links.info(client.id).map_or_else(String::new, |link| link.peer.to_string()),
            client: client.name.as_deref().unwrap_or_default().to_vec(),
        };
        let log = &mut state.command_logs.logs[i];
        log.next_id += 1;
        log.entries.push_front(entry);
        let most = usize::try_from(state.config.size(DIRECTIVES[i].1)).unwrap_or(usize::MAX);
        log.entries.truncate(most);
    }
}

/// The arguments as far as an entry keeps them.
fn kept(argv: Argv<'_>, redacted: &[usize]) -> Vec<Vec<u8>> {
    let shown = if argv.len() > KEPT_ARGS { KEPT_ARGS - 1 } else { argv.len() };
    let mut args: Vec<Vec<u8>> =
        argv.iter()
            .take(shown)
            .enumerate()
            .map(|(i, arg)| match arg.len() {
                _ if redacted.contains(&i) => b"(redacted)".to_vec(),
                0..=KEPT_BYTES => arg.to_vec(),
                long => [&arg[..KEPT_BYTES], format!("... ({} more bytes)", long - KEPT_BYTES).as_bytes()]
                    .concat(),
            })
            .collect();
    if shown < argv.len() {
        args.push(format!("... ({} more arguments)", argv.len() - shown).into_bytes());
    }
    args
}

/// The kind of log that an argument names.
fn kind(arg: &[u8]) -> Result<Kind, Error> {
    let found = KINDS.iter().find(|(_, name)| is(arg, name)).map(|(kind, _)| *kind);
    found.ok_or(Error::CommandLogKind)
}

fn get(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let count = count(cx.arg(2))?;
    let kind = kind(cx.arg(3))?;
    reply(cx, kind, count);
    Ok(())
}

fn slowlog_get(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let count = match cx.argv.len() {
        2 => DEFAULT_COUNT,
        3 => count(cx.arg(2))?,
        _ => return Err(Error::subcommand_or_arity("SLOWLOG", cx.arg(1))),
    };
    reply(cx, Kind::Slow, count);
    Ok(())
}

fn count(arg: &[u8]) -> Result<i64, Error> {
    number::parse_i64(arg).filter(|count| *count >= -1).ok_or(Error::CommandLogCount)
}

/// The latest `count` entries; all if it is negative.
fn reply(cx: &mut Ctx<'_>, kind: Kind, count: i64) {
    let entries = &cx.state.command_logs.logs[kind as usize].entries;
    let count = usize::try_from(count).map_or(entries.len(), |count| count.min(entries.len()));
    cx.out.array(count);
    for entry in entries.iter().take(count) {
        cx.out.array(6);
        [entry.id, entry.at, entry.value].iter().for_each(|number| cx.out.integer(*number as i64));
        cx.out.array(entry.args.len());
        entry.args.iter().for_each(|arg| cx.out.bulk(arg));
        cx.out.bulk(entry.peer.as_bytes());
        cx.out.bulk(&entry.client);
    }
}

fn len(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let kind = kind(cx.arg(2))?;
    reply_len(cx, kind)
}

fn slowlog_len(cx: &mut Ctx<'_>) -> Result<(), Error> {
    reply_len(cx, Kind::Slow)
}

fn reply_len(cx: &mut Ctx<'_>, kind: Kind) -> Result<(), Error> {
    cx.out.integer(cx.state.command_logs.logs[kind as usize].entries.len() as i64);
    Ok(())
}

fn reset(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let kind = kind(cx.arg(2))?;
    clear(cx, kind)
}

fn slowlog_reset(cx: &mut Ctx<'_>) -> Result<(), Error> {
    clear(cx, Kind::Slow)
}

fn clear(cx: &mut Ctx<'_>, kind: Kind) -> Result<(), Error> {
    cx.state.command_logs.logs[kind as usize].entries.clear();
    cx.out.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Session, check};

    #[test]
    fn slow_commands_are_kept() {
        let mut session = Session::with(&[("slowlog-log-slower-than", "0"), ("slowlog-max-len", "3")]);
        session.check(&[
            ("CLIENT SETNAME me", "OK"),
            ("AUTH secret word", "(error) WRONGPASS invalid username-password pair or user is disabled."),
            ("SLOWLOG LEN", "(integer) 2"),
        ]);
        let entries = session.run("SLOWLOG GET 2");
        assert!(
            entries.contains("\"AUTH\"") && !entries.contains("secret") && !entries.contains("word"),
            "{entries}"
        );
        assert!(entries.contains("\"127.0.0.1:40000\"") && entries.contains("\"me\""), "{entries}");
        session.check(&[
            ("SLOWLOG LEN", "(integer) 3"),
            ("SLOWLOG GET -2", "(error) ERR count should be greater than or equal to -1"),
            (
                "SLOWLOG GET 1 2",
                "(error) ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
            ),
            ("CONFIG SET slowlog-log-slower-than -1", "OK"),
            ("SLOWLOG RESET", "OK"),
            ("SLOWLOG GET", "(empty array)"),
        ]);
    }

    #[test]
    fn long_commands_are_cut() {
        let mut session = Session::with(&[("slowlog-log-slower-than", "0")]);
        session.run(&format!("MSET {}", "k v ".repeat(20)));
        let long = "x".repeat(158);
        session.run(&format!("SET k {long}"));
        let entries = session.run("SLOWLOG GET 2");
        assert!(entries.contains("... (10 more arguments)"), "{entries}");
        assert!(entries.contains(&format!("{}... (30 more bytes)", &long[..128])), "{entries}");
    }

    #[test]
    fn large_requests_and_replies_are_kept() {
        let mut session = Session::with(&[
            ("commandlog-request-larger-than", "100"),
            ("commandlog-reply-larger-than", "100"),
        ]);
        session.run(&format!("SET k {}", "x".repeat(200)));
        session.run("GET k");
        session.check(&[
            ("COMMANDLOG LEN slow", "(integer) 0"),
            ("COMMANDLOG LEN large-request", "(integer) 1"),
            ("COMMANDLOG LEN large-reply", "(integer) 1"),
            ("COMMANDLOG RESET large-reply", "OK"),
            ("COMMANDLOG LEN large-reply", "(integer) 0"),
        ]);
        let entry = session.run("COMMANDLOG GET -1 LARGE-REQUEST");
        assert!(entry.contains("(integer) 228"), "{entry}");
    }

    #[test]
    fn kinds_are_checked() {
        check(&[
            (
                "COMMANDLOG LEN what",
                "(error) ERR type should be one of the following: slow, large-request, large-reply",
            ),
            ("COMMANDLOG GET x slow", "(error) ERR count should be greater than or equal to -1"),
        ]);
    }
}
