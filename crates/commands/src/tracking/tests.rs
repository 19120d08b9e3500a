//! Invalidation messages through the engine. What the running client receives is among its replies.

use crate::testing::Session;

/// A message about keys, as it is sent.
fn message(keys: &[&str]) -> String {
    let keys: String = keys.iter().map(|key| format!("${} {key} ", key.len())).collect();
    format!(">2 $10 invalidate *{} {keys}", keys.matches('$').count())
}

/// Two clients that speak RESP3. The second one's lines are the readers'.
fn pair(options: &str) -> Session {
    let mut session = Session::new();
    let reader = session.connect();
    session.run("HELLO 3");
    session.run_of(reader, "HELLO 3");
    assert_eq!(session.run_of(reader, &format!("CLIENT TRACKING ON {options}")), "OK");
    session
}

/// What was sent to others than the running client; forgotten afterwards.
fn sent(session: &mut Session) -> Vec<String> {
    let sent = std::mem::take(&mut session.outside.sent);
    sent.into_iter().map(|(_, bytes)| bytes.replace("\r\n", " ")).collect()
}

/// All replies and messages to one client's line.
fn all(session: &mut Session, client: usize, line: &str) -> Vec<String> {
    session.step_of(client, line).1
}

#[test]
fn a_reader_hears_of_the_next_change() {
    let mut session = pair("");
    session.run_of(1, "MGET a b");
    session.run("SET c 1");
    assert!(sent(&mut session).is_empty());
    session.run("MSET b 1 a 1 b 2");
    assert_eq!(sent(&mut session), [message(&["b"]), message(&["a"])]);
    session.run("DEL a b");
    assert!(sent(&mut session).is_empty());
    for (read, write) in [
        ("OBJECT ENCODING k", "SELECT 3"),
        ("XREAD STREAMS x k 0 0", "APPEND k x"),
        ("EVAL \"return redis.call('get', 'k')\" 0", "EVAL \"return redis.call('set', 'k', 1)\" 0"),
        ("GET k", "EXPIRE k 100"),
    ] {
        session.run_of(1, read);
        session.run(write);
        session.run("SET k 1");
        assert_eq!(sent(&mut session), [message(&["k"])], "{read}");
    }
    session.run_of(1, "EVAL_RO \"return 1\" 1 k");
    session.run("SET k 1");
    assert!(sent(&mut session).is_empty());
}

#[test]
fn ones_own_changes_follow_the_whole_reply() {
    let mut session = pair("");
    session.run_of(1, "GET k");
    let own = "1> \"invalidate\"\n2> 1) \"k\"";
    assert_eq!(all(&mut session, 1, "SET k 1"), ["OK", own]);
    for line in ["MULTI", "GET k", "SET k 2", "GET k", "FLUSHDB"] {
        session.run_of(1, line);
    }
    let replies = all(&mut session, 1, "EXEC");
    assert_eq!(replies[1..], [own, "1> \"invalidate\"\n2> (nil)"]);
    session.run_of(1, "GET k");
    assert!(all(&mut session, 1, "CLIENT REPLY SKIP").is_empty());
    assert_eq!(all(&mut session, 1, "SET k 1"), [own]);
    assert!(sent(&mut session).is_empty());
}

#[test]
fn a_client_may_not_hear_of_its_own_changes() {
    let mut session = pair("NOLOOP");
    session.run_of(1, "GET k");
    assert_eq!(all(&mut session, 1, "SET k 1"), ["OK"]);
    session.run("SET k 1");
    assert!(sent(&mut session).is_empty(), "its own change ended its reading");
    session.run_of(1, "CLIENT TRACKING OFF");
    session.run_of(1, "CLIENT TRACKING ON BCAST NOLOOP");
    session.run_of(1, "SET k 1");
    session.run("SET l 1");
    session.run_of(1, "EVAL \"return redis.call('set', 'm', 1)\" 0");
    session.advance_ms(0);
    assert_eq!(sent(&mut session), [message(&["l", "m"])]);
}

#[test]
fn prefixes_are_told_at_the_end_of_the_turn() {
    let mut session = pair("BCAST PREFIX a PREFIX b");
    session.run("MSET b 1 a2 1 c 1 a1 1 b 2");
    assert!(sent(&mut session).is_empty());
    session.advance_ms(0);
    assert_eq!(sent(&mut session), [message(&["a1", "a2"]), message(&["b"])]);
    session.advance_ms(0);
    assert!(sent(&mut session).is_empty());
}

#[test]
fn expiry_is_a_change() {
    let mut session = pair("");
    session.run("SET k 1 PX 10");
    session.run_of(1, "GET k");
    session.advance_ms(20);
    assert_eq!(sent(&mut session), [message(&["k"])]);
    session.run("HSET h f v g v");
    session.run("HPEXPIRE h 10 FIELDS 1 f");
    session.run_of(1, "HGET h g");
    session.advance_ms(20);
    assert_eq!(sent(&mut session), [message(&["h"])]);
}

#[test]
fn emptied_and_exchanged_databases() {
    let mut session = pair("");
    session.run_of(1, "GET k");
    for line in ["FLUSHALL", "FLUSHDB"] {
        session.run(line);
        assert_eq!(sent(&mut session), [">2 $10 invalidate _ "], "{line}");
    }
    session.run("SWAPDB 0 1");
    assert!(sent(&mut session).is_empty(), "both are empty");
    session.run("SET k 1");
    session.run("SWAPDB 0 1");
    assert_eq!(sent(&mut session), [">2 $10 invalidate _ "]);
}

#[test]
fn choosing_what_is_tracked() {
    for (mode, word, said) in [("OPTIN", "YES", true), ("OPTOUT", "NO", false)] {
        let mut session = pair(mode);
        let mut hears = |lines: &[&str]| {
            lines.iter().for_each(|line| drop(session.step_of(1, line)));
            session.run("SET k 1");
            !sent(&mut session).is_empty()
        };
        let caching = format!("CLIENT CACHING {word}");
        let caching = caching.as_str();
        assert_eq!(hears(&["GET k"]), !said);
        assert_eq!(hears(&[caching, "GET k"]), said);
        assert_eq!(hears(&[caching, "PING", "GET k"]), !said);
        assert_eq!(hears(&[caching, "NOSUCH", "GET k"]), !said);
        assert_eq!(hears(&[caching, "CLIENT ID", "CLIENT INFO x", "GET k"]), said);
        assert_eq!(hears(&[caching, "MULTI", "PING", "GET k", "EXEC"]), said);
        assert_eq!(hears(&[caching, "MULTI", "EXEC", "GET k"]), !said);
    }
}

#[test]
fn another_client_receives_the_messages() {
    let mut session = Session::new();
    let (reader, to) = (session.connect(), session.connect());
    session.run_of(reader, "CLIENT TRACKING ON REDIRECT 3");
    session.run_of(reader, "GET k");
    session.run("SET k 1");
    assert!(sent(&mut session).is_empty(), "it is no subscriber");
    session.step_of(to, "SUBSCRIBE __redis__:invalidate");
    session.run_of(reader, "GET k");
    session.run_of(reader, "SET k 1");
    assert_eq!(sent(&mut session), ["*3 $7 message $20 __redis__:invalidate *1 $1 k "]);
    session.run("FLUSHALL");
    assert_eq!(sent(&mut session), ["*3 $7 message $20 __redis__:invalidate $-1 "]);
    session.run_of(reader, "HELLO 3");
    assert!(session.run_of(reader, "CLIENT INFO").contains(" flags=t "));
    session.disconnect(to);
    session.run_of(reader, "GET k");
    session.run("SET k 1");
    assert_eq!(sent(&mut session), [">2 $21 tracking-redir-broken :3 "]);
    assert!(session.run_of(reader, "CLIENT INFO").contains(" flags=tR "));
    assert_eq!(session.run_of(reader, "CLIENT GETREDIR"), "(integer) 3");
}

#[test]
fn keys_beyond_the_limit_are_given_up() {
    let mut session = Session::with(&[("tracking-table-max-keys", "3")]);
    session.run("HELLO 3");
    session.run("CLIENT TRACKING ON");
    let replies = all(&mut session, 0, "MGET a b c d e");
    assert_eq!(replies.len(), 3, "{replies:?}");
    let info = session.run("INFO");
    for line in
        ["tracking_clients:1", "tracking_total_keys:3", "tracking_total_items:3", "tracking_total_prefixes:0"]
    {
        assert!(info.contains(line), "{line}");
    }
    session.run("CLIENT TRACKING OFF");
    session.disconnect(0);
    session.connect();
    assert!(session.run_of(1, "INFO").contains("tracking_total_keys:0"));
}

#[test]
fn waiting_clients_and_their_changes() {
    let mut session = pair("");
    let waiter = session.connect();
    session.run_of(waiter, "HELLO 3");
    session.run_of(waiter, "CLIENT TRACKING ON");
    session.run_of(1, "LLEN l");
    session.step_of(waiter, "XREAD BLOCK 0 STREAMS s 0");
    session.run("XADD s 1-1 f v");
    let told = sent(&mut session);
    assert_eq!(told[0], message(&["s"]));
    assert!(told[1].starts_with("%1 $1 s "), "{told:?}");
    session.run("XADD s 1-2 f v");
    assert_eq!(sent(&mut session), [message(&["s"])], "its second try has read the key again");
    session.step_of(waiter, "BLPOP l 0");
    assert_eq!(all(&mut session, 1, "RPUSH l x").len(), 2, "its own change");
    assert_eq!(sent(&mut session), ["*2 $1 l $1 x "]);
    session.run_of(1, "LLEN l");
    session.step_of(waiter, "BLPOP l 0");
    session.run("RPUSH l x");
    assert_eq!(sent(&mut session), [message(&["l"]), "*2 $1 l $1 x ".to_owned()]);
}

#[test]
fn refusals() {
    let mut session = Session::new();
    session.check(&[
        ("CLIENT TRACKING maybe", "(error) ERR syntax error"),
        ("CLIENT TRACKING ON PREFIX", "(error) ERR syntax error"),
        ("CLIENT TRACKING ON REDIRECT 99", "(error) ERR The client ID you want redirect to does not exist"),
        ("CLIENT TRACKING ON REDIRECT x", "(error) ERR value is not an integer or out of range"),
        (
            "CLIENT TRACKING ON REDIRECT 1 REDIRECT 1",
            "(error) ERR A client can only redirect to a single other client",
        ),
        ("CLIENT TRACKING ON PREFIX a", "(error) ERR PREFIX option requires BCAST mode to be enabled"),
        ("CLIENT TRACKING ON BCAST OPTIN", "(error) ERR OPTIN and OPTOUT are not compatible with BCAST"),
        ("CLIENT TRACKING ON OPTIN OPTOUT", "(error) ERR You can't specify both OPTIN mode and OPTOUT mode"),
        (
            "CLIENT TRACKING ON BCAST PREFIX b PREFIX ab PREFIX a",
            "(error) ERR Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap.",
        ),
        ("CLIENT TRACKING ON BCAST PREFIX ab", "OK"),
        (
            "CLIENT TRACKING ON BCAST PREFIX abc",
            "(error) ERR Prefix 'abc' overlaps with an existing prefix 'ab'. Prefixes for a single client must not overlap.",
        ),
        ("CLIENT GETREDIR", "(integer) 0"),
        ("RESET", "RESET"),
        ("CLIENT GETREDIR", "(integer) -1"),
    ]);
    assert!(session.run("INFO stats").contains("tracking_total_prefixes:0"));
}
