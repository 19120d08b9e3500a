//! Commands about the connection itself.

pub(crate) mod client;
mod filter;
mod tracking;

use carnelian_resp::{Protocol, number};
use subtle::ConstantTimeEq;

use crate::args::{Rest, int, is};
use crate::client::{ClientFlags, ReplyMode};
use crate::context::Ctx;
use crate::engine::{REDIS_VERSION, REQUIREPASS};
use crate::error::Error;
use crate::links::Close;
use crate::pubsub;
use crate::row::{Acl, Flags, Group, Row};
use crate::transaction;

/// The only user so far.
const DEFAULT_USER: &[u8] = b"default";

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "auth",
        summary: "Authenticates the connection.",
        since: "1.0.0",
        group: Group::Connection,
        arity: -2,
        flags: Flags::GREETING,
        acl: Acl::CONNECTION,
        syntax: "[username] password",
        complexity: "O(N) where N is the number of passwords defined for the user",
        run: auth,
        ..Row::EMPTY
    },
    Row {
        name: "echo",
        summary: "Answers the given message.",
        since: "1.0.0",
        group: Group::Connection,
        arity: 2,
        flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
        acl: Acl::CONNECTION,
        syntax: "message",
        complexity: "O(1)",
        run: echo,
        ..Row::EMPTY
    },
    Row {
        name: "hello",
        summary: "Greets the server, and chooses the protocol version.",
        since: "6.0.0",
        group: Group::Connection,
        arity: -1,
        flags: Flags::GREETING,
        acl: Acl::CONNECTION,
        syntax: "[arguments=protover:integer [AUTH <auth=username password>] [SETNAME clientname]]",
        complexity: "O(1)",
        run: hello,
        ..Row::EMPTY
    },
    Row {
        name: "ping",
        summary: "Answers PONG, or the given message.",
        since: "1.0.0",
        group: Group::Connection,
        arity: -1,
        flags: Flags::FAST,
        acl: Acl::CONNECTION,
        syntax: "[message]",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: ping,
        ..Row::EMPTY
    },
    Row {
        name: "quit",
        summary: "Ends the connection.",
        since: "1.0.0",
        group: Group::Connection,
        arity: -1,
        flags: Flags::GREETING.union(Flags::NOT_QUEUED),
        acl: Acl::CONNECTION,
        complexity: "O(1)",
        deprecated: Some(("7.2.0", "just closing the connection")),
        run: quit,
        ..Row::EMPTY
    },
    Row {
        name: "reset",
        summary: "Puts the connection into the state of a new one.",
        since: "6.2.0",
        group: Group::Connection,
        arity: 1,
        flags: Flags::GREETING.union(Flags::NOT_QUEUED),
        acl: Acl::CONNECTION,
        complexity: "O(1)",
        run: reset,
        ..Row::EMPTY
    },
    Row {
        name: "select",
        summary: "Chooses the database that later commands work on.",
        since: "1.0.0",
        group: Group::Connection,
        arity: 2,
        flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
        acl: Acl::CONNECTION,
        syntax: "index",
        complexity: "O(1)",
        run: select,
        ..Row::EMPTY
    },
];

fn auth(cx: &mut Ctx<'_>) -> Result<(), Error> {
    (1..cx.argv.len()).for_each(|i| cx.redact(i));
    let (user, password) = match cx.argv.len() {
        2 if !cx.state.auth_required() => return Err(Error::NoPassword),
        2 => (DEFAULT_USER, cx.arg(1)),
        3 => (cx.arg(1), cx.arg(2)),
        _ => return Err(Error::Syntax),
    };
    authenticate(cx, user, password)?;
    cx.out.ok();
    Ok(())
}

/// Makes the client the given user, or refuses. The comparison takes the same time wherever the passwords differ.
fn authenticate(cx: &mut Ctx<'_>, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let matches = !cx.state.auth_required() || bool::from(cx.state.config.text(REQUIREPASS).ct_eq(password));
    if user != DEFAULT_USER || !matches {
        cx.state.stats.auth_failures += 1;
        return Err(Error::WrongPass);
    }
    cx.client().authenticated = true;
    Ok(())
}

fn echo(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.bulk(cx.arg(1));
    Ok(())
}

fn hello(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut rest = Rest::new(cx.argv, 1);
    let protocol = match rest.next().map(number::parse_i64) {
        None => cx.out.protocol(),
        Some(Some(2)) => Protocol::Resp2,
        Some(Some(3)) => Protocol::Resp3,
        Some(Some(_)) => return Err(Error::Text("NOPROTO unsupported protocol version")),
        Some(None) => return Err(Error::Text("ERR Protocol version is not an integer or out of range")),
    };
    let (mut login, mut name) = (None, None);
    while let Some(option) = rest.next() {
        if is(option, "AUTH") && rest.len() >= 2 {
            login = Some((rest.value()?, rest.value()?));
            cx.redact(rest.position() - 2);
            cx.redact(rest.position() - 1);
        } else if is(option, "SETNAME") && rest.len() >= 1 {
            name = Some(client::checked_name(rest.value()?)?);
        } else {
            return Err(Error::quoting(b"ERR Syntax error in HELLO option '", option, b"'"));
        }
    }
    if let Some((user, password)) = login {
        authenticate(cx, user, password)?;
    }
    if !cx.client().authenticated && cx.state.auth_required() {
        return Err(Error::HelloNoAuth);
    }
    if let Some(name) = name {
        cx.client().name = name;
    }
    cx.out.set_protocol(protocol);
    cx.client().protocol = protocol;
    reply_hello(cx);
    Ok(())
}

fn reply_hello(cx: &mut Ctx<'_>) {
    let serial = cx.client().id.serial;
    let version = match cx.out.protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let out = &mut *cx.out;
    out.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        out.bulk(name.as_bytes());
        out.bulk(value.as_bytes());
    }
    for (name, value) in [("proto", version), ("id", serial as i64)] {
        out.bulk(name.as_bytes());
        out.integer(value);
    }
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        out.bulk(name.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"modules");
    out.array(0);
}

fn ping(cx: &mut Ctx<'_>) -> Result<(), Error> {
    match cx.argv.len() {
        len @ (1 | 2) if pubsub::is_confined(cx.client()) => {
            cx.out.array(2);
            cx.out.bulk(b"pong");
            cx.out.bulk(if len == 2 { cx.arg(1) } else { b"" });
        }
        1 => cx.out.simple("PONG"),
        2 => cx.out.bulk(cx.arg(1)),
        _ => return Err(cx.wrong_arity()),
    }
    Ok(())
}

fn quit(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.ok();
    cx.client().close = Some(Close::AfterReply);
    Ok(())
}

fn reset(cx: &mut Ctx<'_>) -> Result<(), Error> {
    transaction::discard_all(cx);
    pubsub::leave_all(cx);
    tracking::end(cx);
    let authenticated = !cx.state.auth_required();
    let client = cx.client();
    client.db = 0;
    client.name = None;
    // A reply that is to be skipped stays away, even this one.
    if client.reply != ReplyMode::Skip {
        client.reply = ReplyMode::On;
    }
    client.protocol = Protocol::Resp2;
    client.authenticated = authenticated;
    client.flags -= ClientFlags::MONITOR | ClientFlags::NO_EVICT | ClientFlags::NO_TOUCH;
    let id = client.id;
    cx.state.monitors.retain(|other| *other != id);
    cx.out.set_protocol(Protocol::Resp2);
    cx.out.simple("RESET");
    Ok(())
}

fn select(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let index = int(cx.arg(1))?;
    if i32::try_from(index).is_err() {
        return Err(Error::NotInt32);
    }
    let index = usize::try_from(index).map_err(|_| Error::DbOutOfRange)?;
    if index >= cx.keyspace.databases() {
        return Err(Error::DbOutOfRange);
    }
    cx.client().db = index;
    cx.out.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use carnelian_resp::Protocol;

    use crate::engine::Next;
    use crate::testing::{Session, check};

    #[test]
    fn small_talk() {
        check(&[
            ("PING", "PONG"),
            ("ping hi", "\"hi\""),
            ("PING a b", "(error) ERR wrong number of arguments for 'ping' command"),
            ("ECHO x", "\"x\""),
            ("SELECT 15", "OK"),
            ("SELECT 16", "(error) ERR DB index is out of range"),
            ("SELECT -1", "(error) ERR DB index is out of range"),
            ("SELECT a", "(error) ERR value is not an integer or out of range"),
            (
                "SELECT 99999999999999",
                "(error) ERR value is out of range, value must between -2147483648 and 2147483647",
            ),
            ("RESET", "RESET"),
        ]);
        let mut session = Session::new();
        assert_eq!(session.step_of(0, "QUIT now"), (Next::CloseAfterReply, vec!["OK".to_owned()]));
    }

    #[test]
    fn databases_are_apart() {
        check(&[
            ("SET k zero", "OK"),
            ("SELECT 1", "OK"),
            ("GET k", "(nil)"),
            ("SET k one", "OK"),
            ("SWAPDB 0 1", "OK"),
            ("GET k", "\"zero\""),
            ("RESET", "RESET"),
            ("GET k", "\"one\""),
        ]);
    }

    #[test]
    fn authentication() {
        check(&[
            (
                "AUTH a",
                "(error) ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ),
            ("AUTH default whatever", "OK"),
            ("AUTH nobody x", "(error) WRONGPASS invalid username-password pair or user is disabled."),
            ("AUTH a b c", "(error) ERR syntax error"),
        ]);
        let mut session = Session::with(&[("requirepass", "pw")]);
        session.check(&[
            ("NOSUCH", "(error) ERR unknown command 'NOSUCH', with args beginning with: "),
            ("GET", "(error) ERR wrong number of arguments for 'get' command"),
            ("GET a", "(error) NOAUTH Authentication required."),
            ("AUTH default wrong", "(error) WRONGPASS invalid username-password pair or user is disabled."),
            ("PING", "(error) NOAUTH Authentication required."),
            ("AUTH pw", "OK"),
            ("GET a", "(nil)"),
            ("RESET", "RESET"),
            ("GET a", "(error) NOAUTH Authentication required."),
        ]);
        assert!(session.run("HELLO 3").starts_with("(error) NOAUTH HELLO must be called"));
        assert!(session.run("HELLO 3 AUTH default pw").contains("\"redis\""));
        assert_eq!(session.protocol_of(0), Protocol::Resp3);
        assert_eq!(session.run("GET a"), "(nil)");
    }

    #[test]
    fn hello_is_all_or_nothing() {
        let mut session = Session::new();
        session.check(&[
            ("HELLO 4", "(error) NOPROTO unsupported protocol version"),
            ("HELLO x", "(error) ERR Protocol version is not an integer or out of range"),
            ("HELLO 3 SETNAME", "(error) ERR Syntax error in HELLO option 'SETNAME'"),
            ("HELLO 3 AUTH a", "(error) ERR Syntax error in HELLO option 'AUTH'"),
            ("HELLO 3 SETNAME ok WHAT", "(error) ERR Syntax error in HELLO option 'WHAT'"),
            ("CLIENT GETNAME", "(nil)"),
        ]);
        assert_eq!(session.protocol_of(0), Protocol::Resp2);
        let greeting = session.run("HELLO 3 SETNAME me");
        assert!(greeting.contains("\"proto\" => (integer) 3"), "{greeting}");
        assert_eq!(session.run("CLIENT GETNAME"), "\"me\"");
        session.run("HELLO 2");
        assert_eq!(session.protocol_of(0), Protocol::Resp2);
    }
}
