//! CLIENT and its subcommands.

use std::fmt::Write as _;

use carnelian_config::Directive;
use carnelian_resp::number;

use super::filter::{self, Filter};
use super::tracking;
use crate::args::{int, is, text};
use crate::client::{Client, ClientFlags, ReplyMode};
use crate::context::Ctx;
use crate::engine::waiting::WaitEnd;
use crate::error::Error;
use crate::help;
use crate::links::{ClientId, Close, LinkInfo};
use crate::row::{Acl, Flags, Group, Row};

const IMPORT_MODE: Directive = Directive::named("import-mode");

pub(crate) static ROWS: &[Row] = &[Row {
    name: "client",
    summary: "Commands about client connections.",
    since: "2.4.0",
    group: Group::Connection,
    arity: -2,
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..Row::EMPTY
}];

static SUBCOMMANDS: &[Row] = &[
    Row {
        name: "capa",
        summary: "Tells the server what the client can handle.",
        since: "8.0.0",
        group: Group::Connection,
        arity: -3,
        flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::ALLOW_BUSY),
        acl: Acl::CONNECTION,
        syntax: "capability...",
        complexity: "O(1)",
        run: capa,
        ..Row::EMPTY
    },
    tracking::CACHING,
    Row {
        name: "getname",
        summary: "Answers the connection's name.",
        since: "2.6.9",
        group: Group::Connection,
        arity: 2,
        flags: Flags::ANYTIME,
        acl: Acl::CONNECTION,
        complexity: "O(1)",
        run: getname,
        ..Row::EMPTY
    },
    tracking::GETREDIR,
    Row {
        name: "help",
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: Group::Connection,
        arity: 2,
        flags: Flags::HELPING,
        acl: Acl::CONNECTION,
        complexity: "O(1)",
        run: help::help,
        ..Row::EMPTY
    },
    Row {
        name: "id",
        summary: "Answers the connection's number.",
        since: "5.0.0",
        group: Group::Connection,
        arity: 2,
        flags: Flags::ANYTIME,
        acl: Acl::CONNECTION,
        complexity: "O(1)",
        run: id,
        ..Row::EMPTY
    },
    Row {
        name: "import-source",
        summary: "Marks the connection as the source of an import.",
        since: "8.1.0",
        group: Group::Connection,
        arity: 3,
        flags: Flags::ANYTIME,
        acl: Acl::CONNECTION,
        syntax: "<enabled=ON|OFF>",
        complexity: "O(1)",
        run: import_source,
        ..Row::EMPTY
    },
    Row {
        name: "info",
        summary: "Describes the connection.",
        since: "6.2.0",
        group: Group::Connection,
        arity: 2,
        flags: Flags::ANYTIME,
        acl: Acl::CONNECTION,
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        run: info,
        ..Row::EMPTY
    },
    Row {
        name: "kill",
        summary: "Ends connections.",
        since: "2.4.0",
        group: Group::Connection,
        arity: -3,
        flags: Flags::ADMINISTRATIVE,
        acl: Acl::CONNECTION,
        syntax: "<filter=old-format|<new-format=[ID client-id:integer]...|[TYPE <client-type=NORMAL|MASTER|PRIMARY|SLAVE|REPLICA|PUBSUB>]|[USER username]|[ADDR addr]|[LADDR laddr]|[SKIPME <skipme=YES|NO>]|[MAXAGE maxage:integer]|[NAME name]|[IDLE idle:integer]|[FLAGS flags]|[LIB-NAME lib-name]|[LIB-VER lib-ver]|[DB db]|[CAPA capa]|[IP ip]|[NOT-TYPE <not-client-type=NORMAL|MASTER|PRIMARY|SLAVE|REPLICA|PUBSUB>]|[NOT-ID not-client-id:integer]...|[NOT-USER not-username]|[NOT-ADDR not-addr]|[NOT-LADDR not-laddr]|[NOT-NAME not-name]|[NOT-FLAGS not-flags]|[NOT-LIB-NAME not-lib-name]|[NOT-LIB-VER not-lib-ver]|[NOT-DB not-db:integer]|[NOT-CAPA not-capa]|[NOT-IP not-ip]>...>",
        complexity: "O(N) where N is the number of client connections",
        run: kill,
        ..Row::EMPTY
    },
    Row {
        name: "list",
        summary: "Describes connections, one per line.",
        since: "2.4.0",
        group: Group::Connection,
        arity: -2,
        flags: Flags::ADMINISTRATIVE,
        acl: Acl::CONNECTION,
        syntax: "[TYPE <client-type=NORMAL|MASTER|REPLICA|PUBSUB>] [ID client-id:integer]... [USER username] [ADDR addr] [LADDR laddr] [SKIPME <skipme=YES|NO>] [MAXAGE maxage:integer] [NAME name] [IDLE idle:integer] [FLAGS flags] [LIB-NAME lib-name] [LIB-VER lib-ver] [DB db] [CAPA capa] [IP ip] [NOT-TYPE <not-client-type=NORMAL|MASTER|REPLICA|PUBSUB>] [NOT-ID not-client-id:integer]... [NOT-USER not-username] [NOT-ADDR not-addr] [NOT-LADDR not-laddr] [NOT-NAME not-name] [NOT-FLAGS not-flags] [NOT-LIB-NAME not-lib-name] [NOT-LIB-VER not-lib-ver] [NOT-DB not-db:integer] [NOT-CAPA not-capa] [NOT-IP not-ip]",
        complexity: "O(N) where N is the number of client connections",
        tips: &["nondeterministic_output"],
        run: list,
        ..Row::EMPTY
    },
    Row {
        name: "no-evict",
        summary: "Exempts the connection from being closed when client memory is short.",
        since: "7.0.0",
        group: Group::Connection,
        arity: 3,
        flags: Flags::ADMINISTRATIVE,
        acl: Acl::CONNECTION,
        syntax: "<enabled=ON|OFF>",
        complexity: "O(1)",
        run: no_evict,
        ..Row::EMPTY
    },
    Row {
        name: "no-touch",
        summary: "Stops the connection's reads from counting as uses of keys.",
        since: "7.2.0",
        group: Group::Connection,
        arity: 3,
        flags: Flags::ANYTIME,
        acl: Acl::CONNECTION,
        syntax: "<enabled=ON|OFF>",
        complexity: "O(1)",
        run: no_touch,
        ..Row::EMPTY
    },
    Row {
        name: "pause",
        summary: "Makes clients wait for a while.",
        since: "3.0.0",
        group: Group::Connection,
        arity: -3,
        flags: Flags::ADMINISTRATIVE,
        acl: Acl::CONNECTION,
        syntax: "timeout [mode=WRITE|ALL]",
        complexity: "O(1)",
        run: pause,
        ..Row::EMPTY
    },
    Row {
        name: "reply",
        summary: "Turns replies to the connection on or off.",
        since: "3.2.0",
        group: Group::Connection,
        arity: 3,
        flags: Flags::ANYTIME,
        acl: Acl::CONNECTION,
        syntax: "<action=ON|OFF|SKIP>",
        complexity: "O(1)",
        run: reply,
        ..Row::EMPTY
    },
    Row {
        name: "setinfo",
        summary: "Names the client library and its version.",
        since: "7.2.0",
        group: Group::Connection,
        arity: 4,
        flags: Flags::ANYTIME,
        acl: Acl::CONNECTION,
        syntax: "<attr=LIB-NAME libname|LIB-VER libver>",
        complexity: "O(1)",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: setinfo,
        ..Row::EMPTY
    },
    Row {
        name: "setname",
        summary: "Names the connection.",
        since: "2.6.9",
        group: Group::Connection,
        arity: 3,
        flags: Flags::ANYTIME,
        acl: Acl::CONNECTION,
        syntax: "connection-name",
        complexity: "O(1)",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: setname,
        ..Row::EMPTY
    },
    tracking::TRACKING,
    tracking::TRACKINGINFO,
    Row {
        name: "unblock",
        summary: "Ends the wait of a client in a blocking command.",
        since: "5.0.0",
        group: Group::Connection,
        arity: -3,
        flags: Flags::ADMINISTRATIVE,
        acl: Acl::CONNECTION,
        syntax: "client-id:integer [unblock-type=TIMEOUT|ERROR]",
        complexity: "O(log N) where N is the number of client connections",
        run: unblock,
        ..Row::EMPTY
    },
    Row {
        name: "unpause",
        summary: "Ends a pause.",
        since: "6.2.0",
        group: Group::Connection,
        arity: 2,
        flags: Flags::ADMINISTRATIVE,
        acl: Acl::CONNECTION,
        complexity: "O(N) Where N is the number of paused clients",
        run: unpause,
        ..Row::EMPTY
    },
];

/// Whether this is the container of these commands.
pub(crate) fn is_container(row: &Row) -> bool {
    row.name == ROWS[0].name
}

fn capa(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.iter().skip(2).any(|word| is(word, "redirect")) {
        cx.client().flags |= ClientFlags::CAPA_REDIRECT;
    }
    cx.out.ok();
    Ok(())
}

fn getname(cx: &mut Ctx<'_>) -> Result<(), Error> {
    match &cx.state.clients.at(cx.client).name {
        Some(name) => cx.out.bulk(name),
        None => cx.out.null(),
    }
    Ok(())
}

fn id(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let serial = cx.client().id.serial;
    cx.out.integer(serial as i64);
    Ok(())
}

fn import_source(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let word = cx.arg(2);
    if !cx.state.config.flag(IMPORT_MODE) && !is(word, "off") {
        return Err(Error::Text("ERR Server is not in import mode"));
    }
    set_flag(cx, ClientFlags::IMPORT_SOURCE)
}

fn info(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let id = cx.client().id;
    let line = line(cx, id).unwrap_or_default();
    cx.out.verbatim("txt", &line);
    Ok(())
}

fn list(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let filter = filter::parse_list(cx)?;
    let mut lines = Vec::new();
    for id in matching(cx, &filter) {
        lines.extend(line(cx, id).unwrap_or_default());
    }
    cx.out.verbatim("txt", &lines);
    Ok(())
}

fn kill(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.len() == 3 {
        let filter = Filter::of_address(cx.arg(2));
        let Some(id) = matching(cx, &filter).into_iter().next() else {
            return Err(Error::Text("ERR No such client"));
        };
        end(cx, id);
        cx.out.ok();
        return Ok(());
    }
    let filter = filter::parse_kill(cx)?;
    let ids = matching(cx, &filter);
    ids.iter().for_each(|id| end(cx, *id));
    cx.out.integer(ids.len() as i64);
    Ok(())
}

/// Ends a connection; the client's own one when the reply has been written. Nothing finds another one any more, even before
/// the network has closed it.
fn end(cx: &mut Ctx<'_>, id: ClientId) {
    let client = cx.client();
    if client.id == id {
        client.close = Some(Close::AfterReply);
    } else {
        cx.links.close(id, Close::Now);
        cx.state.disconnected(id);
    }
}

/// The clients that pass a filter, the oldest first, or in the order of a list.
fn matching(cx: &mut Ctx<'_>, filter: &Filter) -> Vec<ClientId> {
    let own = cx.client().id;
    let now_ms = cx.now_ms();
    let mut ids: Vec<ClientId> = Vec::new();
    for client in cx.state.clients.iter() {
        let Some(link) = cx.links.info(client.id) else { continue };
        if !(filter.skips_own && client.id == own) && filter.passes(client, &link, now_ms) {
            ids.push(client.id);
        }
    }
    ids.sort_by_key(|id| id.serial);
    match &filter.listed {
        None => ids,
        Some(serials) => {
            let find = |serial: &i64| ids.binary_search_by_key(serial, |id| id.serial as i64).ok();
            serials.iter().filter_map(find).map(|index| ids[index]).collect()
        }
    }
}

/// One client as CLIENT LIST shows it, with a line end.
fn line(cx: &mut Ctx<'_>, id: ClientId) -> Option<Vec<u8>> {
    let link = cx.links.info(id)?;
    let client = cx.state.clients.get(id)?;
    let argv_mem = match cx.state.blocking.get(id.slot) {
        _ if id.slot as usize == cx.client => cx.argv.bytes(),
        Some(waiting) => waiting.argv.as_argv().bytes(),
        None => 0,
    };
    let command = client.last_command.map_or("NULL", |command| cx.state.table.name(usize::from(command)));
    let version = match client.protocol {
        carnelian_resp::Protocol::Resp2 => 2,
        carnelian_resp::Protocol::Resp3 => 3,
    };
    let mut line = Vec::with_capacity(384);
    let mut put = |text: String| line.extend_from_slice(text.as_bytes());
    put(format!("id={} addr={} laddr={} fd={} name=", id.serial, link.peer, link.local, link.fd));
    line.extend_from_slice(client.name.as_deref().unwrap_or_default());
    let mut fields = String::new();
    write_fields(&mut fields, client, &link, argv_mem, cx.now_us / 1000);
    write!(fields, " cmd={command} user=default redir={} resp={version} lib-name=", client.redirect())
        .expect("a string accepts all");
    line.extend_from_slice(fields.as_bytes());
    line.extend_from_slice(client.lib_name.as_deref().unwrap_or_default());
    line.extend_from_slice(b" lib-ver=");
    line.extend_from_slice(client.lib_version.as_deref().unwrap_or_default());
    let totals = format!(
        " io-thread=0 tot-net-in={} tot-net-out={} tot-cmds={}\n",
        link.read, link.written, client.commands
    );
    line.extend_from_slice(totals.as_bytes());
    Some(line)
}

/// Bytes of unread output that count as the reply buffer.
const REPLY_BUFFER: usize = 16 * 1024;

/// The fields from the age to the events.
fn write_fields(to: &mut String, client: &Client, link: &LinkInfo, argv_mem: usize, now_ms: u64) {
    let queued = client.transaction.as_ref().map(|transaction| transaction.commands().count() as i64);
    let multi_mem = client.transaction.as_ref().map_or(0, |transaction| transaction.memory());
    let memory =
        link.query + link.query_free + link.output_memory + argv_mem + multi_mem + size_of::<Client>();
    let [channels, patterns, shards] = client.subscription_counts();
    // As in the peers, a reply buffer of 16 KiB comes first, and a list of such for what does not fit. Here it is all one.
    let (buffered, listed) = (link.output.min(REPLY_BUFFER), link.output.saturating_sub(REPLY_BUFFER));
    let chunks = listed.div_ceil(REPLY_BUFFER);
    write!(
        to,
        " age={} idle={} flags={} db={} sub={channels} psub={patterns} ssub={shards} multi={} watch={} qbuf={} \
         qbuf-free={} argv-mem={argv_mem} multi-mem={multi_mem} rbs={} rbp={} obl={} oll={chunks} omem={listed} tot-mem={memory} events={}",
        client.age_seconds(now_ms),
        client.idle_seconds(now_ms),
        client.flag_letters(),
        client.db,
        queued.unwrap_or(-1),
        client.watched.len(),
        link.query,
        link.query_free,
        link.output_memory,
        link.output_memory,
        buffered,
        if link.output > 0 { "rw" } else { "r" },
    )
    .expect("a string accepts all text");
}

fn no_evict(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_flag(cx, ClientFlags::NO_EVICT)
}

fn no_touch(cx: &mut Ctx<'_>) -> Result<(), Error> {
    set_flag(cx, ClientFlags::NO_TOUCH)
}

/// Turns a property of the client on or off, as the third word says.
fn set_flag(cx: &mut Ctx<'_>, flag: ClientFlags) -> Result<(), Error> {
    let on = match cx.arg(2) {
        word if is(word, "on") => true,
        word if is(word, "off") => false,
        _ => return Err(Error::Syntax),
    };
    cx.client().flags.set(flag, on);
    cx.out.ok();
    Ok(())
}

fn pause(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let all = match cx.argv.get(3) {
        _ if cx.argv.len() > 4 => return Err(Error::subcommand_or_arity("CLIENT", cx.arg(1))),
        None => true,
        Some(mode) if is(mode, "ALL") => true,
        Some(mode) if is(mode, "WRITE") => false,
        Some(_) => return Err(Error::Text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout = number::parse_i64(cx.arg(2)).ok_or(Error::TimeoutNotInteger)?;
    let timeout = u64::try_from(timeout).map_err(|_| Error::TimeoutNegative)?;
    let until = cx.now_ms() + timeout;
    if i64::try_from(until).is_err() {
        return Err(Error::TimeoutOutOfRange);
    }
    cx.state.pauses.begin(until, all);
    cx.keyspace.set_keep_expired(true);
    cx.out.ok();
    Ok(())
}

fn reply(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mode = match cx.arg(2) {
        word if is(word, "on") => ReplyMode::On,
        word if is(word, "off") => ReplyMode::Off,
        word if is(word, "skip") && cx.client().reply == ReplyMode::Off => ReplyMode::Off,
        word if is(word, "skip") => ReplyMode::SkipNext,
        _ => return Err(Error::Syntax),
    };
    cx.client().reply = mode;
    cx.out.ok();
    Ok(())
}

fn setinfo(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (option, value) = (cx.arg(2), cx.arg(3));
    let field = match option {
        word if is(word, "lib-name") => &mut cx.client().lib_name,
        word if is(word, "lib-ver") => &mut cx.client().lib_version,
        _ => return Err(Error::quoting(b"ERR Unrecognized option '", option, b"'")),
    };
    if !is_printable(value) {
        let option = text(option);
        return Err(Error::other(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        )));
    }
    *field = (!value.is_empty()).then(|| value.into());
    cx.out.ok();
    Ok(())
}

fn setname(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.client().name = checked_name(cx.arg(2))?;
    cx.out.ok();
    Ok(())
}

/// A client's name: none if it is empty, refused if it would break the lines of CLIENT LIST.
pub(super) fn checked_name(name: &[u8]) -> Result<Option<Box<[u8]>>, Error> {
    match is_printable(name) {
        true => Ok((!name.is_empty()).then(|| name.into())),
        false => Err(Error::ClientName),
    }
}

/// Whether all bytes, up to a NUL, are visible ASCII.
fn is_printable(value: &[u8]) -> bool {
    value.iter().take_while(|byte| **byte != 0).all(u8::is_ascii_graphic)
}

fn unblock(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.len() > 4 {
        return Err(Error::subcommand_or_arity("CLIENT", cx.arg(1)));
    }
    let end = match cx.argv.get(3) {
        None => WaitEnd::Timeout,
        Some(word) if is(word, "TIMEOUT") => WaitEnd::Timeout,
        Some(word) if is(word, "ERROR") => WaitEnd::Error,
        Some(_) => return Err(Error::Text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let serial = int(cx.arg(2))?;
    let client = cx.state.clients.iter().find(|client| i64::try_from(client.id.serial) == Ok(serial));
    let id = client.map(|client| client.id);
    let ended = id.is_some_and(|id| cx.state.end_wait(cx.links, id, end));
    cx.out.integer(i64::from(ended));
    Ok(())
}

fn unpause(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.state.pauses.cancel();
    cx.out.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::engine::Next;
    use crate::links::Close;
    use crate::testing::{Session, check};

    #[test]
    fn names_are_checked() {
        let refused = "(error) ERR Client names cannot contain spaces, newlines or special characters.";
        check(&[
            ("CLIENT GETNAME", "(nil)"),
            ("CLIENT SETNAME \"a b\"", refused),
            ("CLIENT SETNAME \"\\xff\"", refused),
            ("CLIENT SETNAME \"a\\x00 b\"", "OK"),
            ("CLIENT SETNAME me", "OK"),
            ("CLIENT GETNAME", "\"me\""),
            ("CLIENT SETNAME \"\"", "OK"),
            ("CLIENT GETNAME", "(nil)"),
            ("CLIENT SETINFO lib-foo x", "(error) ERR Unrecognized option 'lib-foo'"),
            (
                "CLIENT SETINFO lib-ver \"a b\"",
                "(error) ERR lib-ver cannot contain spaces, newlines or special characters.",
            ),
            ("CLIENT SETINFO LIB-NAME mine", "OK"),
        ]);
    }

    #[test]
    fn a_line_describes_a_client() {
        let mut session = Session::new();
        session.check(&[("CLIENT SETNAME me", "OK"), ("SELECT 3", "OK"), ("CLIENT NO-EVICT ON", "OK")]);
        session.advance_ms(5000);
        let line = session.run("CLIENT INFO");
        for part in [
            "id=1 addr=127.0.0.1:40000 laddr=127.0.0.1:6379 fd=8 name=me age=5 idle=0 flags=e db=3 sub=0 ",
            " multi=-1 watch=0 ",
            " events=r cmd=client|info user=default redir=-1 resp=2 lib-name= lib-ver= io-thread=0 ",
            " tot-cmds=4",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn watches_end_with_the_first_change() {
        let mut session = Session::new();
        let other = session.connect();
        let mut watching = |line: &str| -> String {
            session.run_of(other, "SET a 1");
            session.run("WATCH a b");
            session.run_of(other, line);
            // Nothing is added to what was in vain.
            session.run("WATCH c");
            let info = session.run("CLIENT INFO");
            session.run("UNWATCH");
            info.split(' ')
                .filter(|field| field.starts_with("watch=") || field.starts_with("flags="))
                .collect()
        };
        assert_eq!(watching("GET a"), "flags=Nwatch=3");
        assert_eq!(watching("SET b 1"), "flags=dwatch=0");
        // As Redis counts.
        assert_eq!(watching("FLUSHDB"), "flags=dwatch=2");
    }

    #[test]
    fn lists_are_filtered() {
        let mut session = Session::new();
        let other = session.connect();
        session.run_of(other, "CLIENT SETNAME other");
        session.run_of(other, "SELECT 2");
        let mut ids = |filter: &str| -> Vec<u64> {
            let lines = session.run(&format!("CLIENT LIST {filter}"));
            let serials = lines.split("id=").skip(1).filter_map(|rest| rest.split(' ').next()?.parse().ok());
            let mut serials: Vec<u64> = serials.collect();
            serials.retain(|serial| *serial < 10);
            serials.dedup();
            serials
        };
        assert_eq!(ids(""), [1, 2]);
        assert_eq!(ids("ID 2 7"), [2]);
        assert_eq!(ids("NOT-ID 2"), [1]);
        assert_eq!(ids("NAME other"), [2]);
        assert_eq!(ids("DB 2 NAME nobody"), []);
        assert_eq!(ids("TYPE normal NOT-DB 2"), [1]);
        assert_eq!(ids("TYPE pubsub"), []);
        assert_eq!(ids("SKIPME yes"), [2]);
        assert_eq!(ids("ADDR 127.0.0.1:40001"), [2]);
        assert_eq!(ids("NOT-IP 127.0.0.1"), []);
    }

    #[test]
    fn filters_are_checked() {
        check(&[
            ("CLIENT LIST TYPE what", "(error) ERR Unknown client type 'what'"),
            ("CLIENT LIST ID x", "(error) ERR Invalid client ID"),
            ("CLIENT LIST NOT-ID x", "(error) ERR syntax error"),
            ("CLIENT LIST DB 99", "(error) ERR DB number should be between 0 and 15"),
            ("CLIENT LIST FLAGS ?", "(error) ERR Unknown flags found in the provided filter: ?"),
            ("CLIENT LIST NOT-CAPA z", "(error) ERR Unknown capa found in the NOT-CAPA filter: z"),
            ("CLIENT KILL ID x", "(error) ERR client-id should be greater than 0"),
            ("CLIENT KILL ID 0", "(error) ERR client-id should be greater than 0"),
            ("CLIENT KILL TYPE normal ID x y", "(error) ERR client-id should be greater than 0"),
            ("CLIENT KILL ID 1 x", "(error) ERR syntax error"),
            ("CLIENT KILL MAXAGE 0", "(error) ERR maxage should be greater than 0"),
            ("CLIENT KILL NOT-MAXAGE 1", "(error) ERR syntax error"),
            ("CLIENT KILL USER nobody", "(error) ERR No such user 'nobody'"),
            ("CLIENT KILL 1.2.3.4:5", "(error) ERR No such client"),
        ]);
    }

    #[test]
    fn clients_are_killed() {
        let mut session = Session::new();
        for _ in 0..3 {
            session.connect();
        }
        session.check(&[("CLIENT KILL ID 4 ID 3", "(integer) 1"), ("CLIENT KILL 127.0.0.1:40001", "OK")]);
        assert_eq!(session.outside.closed, [(3, Close::Now), (2, Close::Now)]);
        let (next, replies) = session.step_of(0, "CLIENT KILL ID 1 SKIPME no");
        assert_eq!((next, replies), (Next::CloseAfterReply, vec!["(integer) 1".to_owned()]));
    }

    #[test]
    fn pauses_are_checked() {
        check(&[
            ("CLIENT PAUSE a", "(error) ERR timeout is not an integer or out of range"),
            ("CLIENT PAUSE -1", "(error) ERR timeout is negative"),
            ("CLIENT PAUSE 9223372036854775807", "(error) ERR timeout is out of range"),
            ("CLIENT PAUSE 1 foo", "(error) ERR CLIENT PAUSE mode must be WRITE or ALL"),
            ("CLIENT UNBLOCK 9 foo", "(error) ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
            (
                "CLIENT UNBLOCK 9 ERROR more",
                "(error) ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.",
            ),
            ("CLIENT UNBLOCK 9", "(integer) 0"),
            ("CLIENT IMPORT-SOURCE on", "(error) ERR Server is not in import mode"),
            ("CLIENT UNPAUSE", "OK"),
        ]);
    }
}
