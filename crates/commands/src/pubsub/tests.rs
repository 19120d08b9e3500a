//! Subscriptions and messages through the engine.

use crate::engine::Next;
use crate::testing::Session;

/// What was sent to other clients than the running one, with their serials; forgotten afterwards.
fn sent(session: &mut Session) -> Vec<(u64, String)> {
    let sent = std::mem::take(&mut session.outside.sent);
    sent.into_iter().map(|(serial, bytes)| (serial, bytes.replace("\r\n", " "))).collect()
}

#[test]
fn messages_reach_channels_then_patterns() {
    let mut session = Session::new();
    let (one, two) = (session.connect(), session.connect());
    assert_eq!(session.step_of(one, "SUBSCRIBE a b a").1.len(), 3);
    session.step_of(one, "PSUBSCRIBE z* a* *");
    session.run_of(two, "HELLO 3");
    session.step_of(two, "SUBSCRIBE a");
    assert_eq!(session.run("PUBLISH a hi"), "(integer) 4");
    let message = "$7 message $1 a $2 hi ";
    assert_eq!(
        sent(&mut session),
        [
            (2, format!("*3 {message}")),
            (3, format!(">3 {message}")),
            (2, "*4 $8 pmessage $1 * $1 a $2 hi ".to_owned()),
            (2, "*4 $8 pmessage $2 a* $1 a $2 hi ".to_owned()),
        ]
    );
    assert_eq!(
        session.run("PUBSUB NUMSUB a b c"),
        "1) \"a\"\n2) (integer) 2\n3) \"b\"\n4) (integer) 1\n5) \"c\"\n6) (integer) 0"
    );
    assert_eq!(session.run("PUBSUB NUMPAT"), "(integer) 3");
    assert_eq!(session.run("SPUBLISH a hi"), "(integer) 0");
    session.disconnect(one);
    session.disconnect(two);
    assert_eq!(session.run("PUBLISH a hi"), "(integer) 0");
    assert_eq!(session.run("PUBSUB CHANNELS"), "(empty array)");
    assert!(session.run("INFO clients").contains("pubsub_clients:0"));
}

#[test]
fn a_client_receives_its_own_messages_after_the_reply() {
    let mut session = Session::new();
    session.run("HELLO 3");
    session.step_of(0, "SUBSCRIBE a");
    let (_, replies) = session.batch_of(0, &["PUBLISH a 1", "CLIENT REPLY SKIP", "PUBLISH a 2", "PING"]);
    assert_eq!(replies.len(), 4, "{replies:?}");
    assert_eq!(replies[0], "(integer) 1");
    assert!(replies[1].contains("\"1\"") && replies[2].contains("\"2\""), "{replies:?}");
    assert_eq!(replies[3], "PONG");
    let (_, replies) = session.batch_of(0, &["MULTI", "PUBLISH a 3", "PING", "EXEC"]);
    assert!(replies[3].contains("PONG") && replies[4].contains("\"3\""), "{replies:?}");
}

#[test]
fn subscribers_are_confined_in_resp2_only() {
    let mut session = Session::new();
    session.step_of(0, "SUBSCRIBE a");
    assert_eq!(session.outside.subscribers, [1]);
    session.check(&[
        (
            "CONFIG GET x",
            "(error) ERR Can't execute 'config|get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
             allowed in this context",
        ),
        ("GET", "(error) ERR wrong number of arguments for 'get' command"),
        ("PING", "1) \"pong\"\n2) \"\""),
        ("PING x", "1) \"pong\"\n2) \"x\""),
        ("UNSUBSCRIBE b", "1) \"unsubscribe\"\n2) \"b\"\n3) (integer) 1"),
        ("UNSUBSCRIBE", "1) \"unsubscribe\"\n2) \"a\"\n3) (integer) 0"),
        ("UNSUBSCRIBE", "1) \"unsubscribe\"\n2) (nil)\n3) (integer) 0"),
        ("PING", "PONG"),
        ("SSUBSCRIBE a", "1) \"ssubscribe\"\n2) \"a\"\n3) (integer) 1"),
        ("RESET", "RESET"),
        ("PING", "PONG"),
    ]);
    assert_eq!(session.outside.subscribers, []);
    assert_eq!(session.step_of(0, "SUBSCRIBE a").0, Next::Continue);
    assert_eq!(session.step_of(0, "QUIT").0, Next::CloseAfterReply);
}

#[test]
fn confirmations_come_with_replies_turned_off() {
    let mut session = Session::new();
    let (_, replies) = session.batch_of(0, &["CLIENT REPLY OFF", "SUBSCRIBE a b", "GET k", "UNSUBSCRIBE a"]);
    assert_eq!(replies.len(), 3, "{replies:?}");
}

#[test]
fn a_waiting_client_receives_messages_after_its_reply() {
    let mut session = Session::new();
    let waiter = session.connect();
    session.run_of(waiter, "HELLO 3");
    session.step_of(waiter, "SUBSCRIBE a");
    assert_eq!(session.step_of(waiter, "BLPOP k 0").0, Next::Wait);
    session.batch_of(0, &["MULTI", "RPUSH k v", "PUBLISH a m", "EXEC"]);
    let sent = sent(&mut session);
    assert_eq!(sent[0].1, ">3 $7 message $1 a $1 m ");
    assert_eq!(sent[1].1, "*2 $1 k $1 v ");
}

#[test]
fn lists_show_subscribers() {
    let mut session = Session::new();
    let other = session.connect();
    session.step_of(other, "SUBSCRIBE a b");
    session.step_of(other, "PSUBSCRIBE p");
    session.step_of(other, "SSUBSCRIBE s t u");
    let list = session.run("CLIENT LIST TYPE pubsub");
    assert!(list.contains(" flags=P db=0 sub=2 psub=1 ssub=3 "), "{list}");
    assert!(!session.run("CLIENT LIST TYPE normal").contains("id=2"));
    let info = session.run("INFO clients stats");
    for part in ["pubsub_clients:1", "pubsub_channels:2", "pubsub_patterns:1", "pubsubshard_channels:3"] {
        assert!(info.contains(part), "{part}");
    }
    session.check(&[("CLIENT KILL TYPE pubsub", "(integer) 1")]);
    assert!(session.run("INFO stats").contains("pubsub_channels:0"));
}

#[test]
fn large_payloads_are_shared() {
    let mut session = Session::new();
    let other = session.connect();
    session.step_of(other, "SUBSCRIBE a");
    let payload = "x".repeat(40_000);
    session.run(&format!("PUBLISH a {payload}"));
    assert_eq!(sent(&mut session)[0].1, format!("*3 $7 message $1 a $40000 {payload} "));
}
