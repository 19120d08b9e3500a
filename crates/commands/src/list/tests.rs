use super::range;
use crate::engine::Next;
use crate::links::Close;
use crate::testing::{Session, check};

/// Lets a client wait.
fn wait(session: &mut Session, client: usize, line: &str) {
    assert_eq!(session.step_of(client, line), (Next::Wait, vec![]), "{line}");
}

/// What was sent to clients that waited since the last call: their numbers, and the replies' bytes.
fn sent(session: &mut Session) -> Vec<(u64, String)> {
    let resumed = std::mem::take(&mut session.outside.resumed);
    let sent = std::mem::take(&mut session.outside.sent);
    assert_eq!(resumed, sent.iter().map(|(serial, _)| *serial).collect::<Vec<_>>());
    sent.into_iter().map(|(serial, text)| (serial, text.replace("\r\n", " "))).collect()
}

fn clients(session: &mut Session, count: usize) {
    (0..count).for_each(|_| {
        session.connect();
    });
}

#[test]
fn ranges_are_cut_to_the_list() {
    assert_eq!(range(0, -1, 3), (0, 3));
    assert_eq!(range(-2, 100, 3), (1, 2));
    assert_eq!(range(i64::MIN, i64::MAX, 3), (0, 3));
    assert_eq!(range(2, 1, 3), (0, 0));
    assert_eq!(range(3, 5, 3), (0, 0));
    assert_eq!(range(0, i64::MIN, 3), (0, 0));
}

#[test]
fn elements_are_added_and_taken() {
    check(&[
        ("RPUSH l a b 3", "(integer) 3"),
        ("LPUSH l z y", "(integer) 5"),
        ("LRANGE l 0 -1", "1) \"y\"\n2) \"z\"\n3) \"a\"\n4) \"b\"\n5) \"3\""),
        ("LPOP l", "\"y\""),
        ("RPOP l 2", "1) \"3\"\n2) \"b\""),
        ("LPOS l a", "(integer) 1"),
        ("LMOVE l m LEFT RIGHT", "\"z\""),
        ("RPOPLPUSH l l", "\"a\""),
        ("LMPOP 2 none l LEFT COUNT 5", "1) \"l\"\n2) 1) \"a\""),
        ("EXISTS l m", "(integer) 1"),
        ("LINSERT m BEFORE z 1", "(integer) 2"),
        ("LSET m -1 q", "OK"),
        ("LREM m 0 q", "(integer) 1"),
        ("LTRIM m 1 0", "OK"),
        ("EXISTS m", "(integer) 0"),
        ("BLPOP none 0.001 more", "(error) ERR timeout is not a float or out of range"),
    ]);
}

#[test]
fn those_who_came_first_are_served_first() {
    let mut session = Session::new();
    clients(&mut session, 3);
    wait(&mut session, 1, "BLPOP a b 0");
    wait(&mut session, 2, "BRPOP b 0");
    wait(&mut session, 3, "BLPOP b a 0");
    assert!(session.run("INFO clients").contains("blocked_clients:3"));
    assert!(session.run("INFO clients").contains("total_blocking_keys:2"));
    assert!(session.run("CLIENT LIST").contains("flags=b"));
    session.check(&[("RPUSH b 1 2 3 4", "(integer) 4"), ("LRANGE b 0 -1", "1) \"3\"")]);
    assert_eq!(
        sent(&mut session),
        [(2, "*2 $1 b $1 1 ".to_owned()), (3, "*2 $1 b $1 4 ".to_owned()), (4, "*2 $1 b $1 2 ".to_owned()),]
    );
    assert!(session.run("INFO clients").contains("blocked_clients:0"));
    assert!(session.run("INFO commandstats").contains("cmdstat_blpop:calls=2,"));
}

#[test]
fn moves_feed_others_that_wait() {
    let mut session = Session::new();
    clients(&mut session, 3);
    wait(&mut session, 3, "BLPOP c 0");
    wait(&mut session, 2, "BLMOVE b c LEFT RIGHT 0");
    wait(&mut session, 1, "BRPOPLPUSH a b 0");
    session.run("RPUSH a x");
    assert_eq!(
        sent(&mut session),
        [(2, "$1 x ".to_owned()), (3, "$1 x ".to_owned()), (4, "*2 $1 c $1 x ".to_owned())]
    );
    assert_eq!(session.run("DBSIZE"), "(integer) 0");
}

#[test]
fn other_types_wake_nobody() {
    let mut session = Session::new();
    clients(&mut session, 1);
    wait(&mut session, 1, "BLPOP k l 0");
    session.run("SET k string");
    assert_eq!(sent(&mut session), []);
    session.run("RPUSH l x");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value ";
    assert_eq!(sent(&mut session), [(2, wrong.to_owned())]);
}

#[test]
fn any_command_that_makes_the_key_serves() {
    for line in ["RENAME src k", "COPY src k", "RENAMENX src k"] {
        let mut session = Session::new();
        clients(&mut session, 1);
        session.run("RPUSH src x");
        wait(&mut session, 1, "BLPOP k 0");
        session.run(line);
        assert_eq!(sent(&mut session), [(2, "*2 $1 k $1 x ".to_owned())], "{line}");
    }
    let mut session = Session::new();
    clients(&mut session, 2);
    session.check(&[("RPUSH k x", "(integer) 1"), ("SELECT 1", "OK")]);
    session.run_of(1, "SELECT 1");
    session.run_of(2, "SELECT 9");
    wait(&mut session, 1, "BLPOP k 0");
    wait(&mut session, 2, "BLPOP k 0");
    session.run("SWAPDB 0 1");
    assert_eq!(sent(&mut session), [(2, "*2 $1 k $1 x ".to_owned())]);
    session.check(&[("SELECT 0", "OK"), ("RPUSH k y", "(integer) 1"), ("MOVE k 9", "(integer) 1")]);
    assert_eq!(sent(&mut session), [(3, "*2 $1 k $1 y ".to_owned())]);
}

#[test]
fn waits_end_on_time() {
    let mut session = Session::new();
    clients(&mut session, 3);
    wait(&mut session, 1, "BLPOP k 0.0101");
    wait(&mut session, 2, "BLMOVE k l LEFT LEFT 0.02");
    session.run_of(3, "HELLO 3");
    wait(&mut session, 3, "BLPOP k 0.02");
    session.advance_ms(10);
    assert_eq!(sent(&mut session), []);
    session.advance_ms(1);
    assert_eq!(sent(&mut session), [(2, "*-1 ".to_owned())]);
    session.advance_ms(9);
    assert_eq!(sent(&mut session), [(3, "*-1 ".to_owned()), (4, "_ ".to_owned())]);
    session.run("RPUSH k x");
    assert_eq!(session.run("LLEN k"), "(integer) 1");
}

#[test]
fn waits_are_ended_by_others() {
    let mut session = Session::new();
    clients(&mut session, 2);
    wait(&mut session, 1, "BLPOP k 0");
    wait(&mut session, 2, "BLPOP k 0");
    session.check(&[
        ("CLIENT UNBLOCK 1", "(integer) 0"),
        ("CLIENT UNBLOCK 99", "(integer) 0"),
        ("CLIENT UNBLOCK 2", "(integer) 1"),
        ("CLIENT UNBLOCK 2", "(integer) 0"),
        ("CLIENT UNBLOCK 3 error", "(integer) 1"),
    ]);
    let error = "-UNBLOCKED client unblocked via CLIENT UNBLOCK ";
    assert_eq!(sent(&mut session), [(2, "*-1 ".to_owned()), (3, error.to_owned())]);
    assert!(session.run("INFO errorstats").contains("errorstat_UNBLOCKED:count=1"));
}

#[test]
fn nothing_is_given_to_those_who_are_gone() {
    let mut session = Session::new();
    clients(&mut session, 2);
    wait(&mut session, 1, "BLPOP k 0");
    wait(&mut session, 2, "BLPOP k 0");
    session.run("CLIENT KILL ID 2");
    assert_eq!(session.outside.closed, [(2, Close::Now)]);
    session.disconnect(2);
    session.check(&[("RPUSH k x", "(integer) 1"), ("LLEN k", "(integer) 1")]);
    assert_eq!(sent(&mut session), []);
}

#[test]
fn commands_after_one_that_waits_are_kept_back() {
    let mut session = Session::new();
    clients(&mut session, 1);
    let (outcome, replies) = session.batch_of(1, &["PING", "BLPOP k 0", "PING"]);
    assert_eq!((outcome.executed, outcome.next, replies.len()), (2, Next::Wait, 1));
}

#[test]
fn a_reply_that_is_not_wanted_stays_away() {
    let mut session = Session::new();
    clients(&mut session, 1);
    let (outcome, replies) = session.batch_of(1, &["CLIENT REPLY SKIP", "BLPOP k 0"]);
    assert_eq!((outcome.next, replies.len()), (Next::Wait, 0));
    session.run("RPUSH k x");
    assert_eq!((session.outside.sent.len(), session.outside.resumed.as_slice()), (0, &[2][..]));
    assert_eq!(session.run_of(1, "PING"), "PONG");
}

#[test]
fn effects_name_what_was_taken() {
    let mut session = Session::new();
    clients(&mut session, 1);
    session.engine.log_effects(true);
    wait(&mut session, 1, "BLMOVE a b LEFT RIGHT 0");
    for line in ["RPUSH a x", "BLPOP none b 0", "RPUSH c 1 2", "LMPOP 1 c RIGHT COUNT 9", "BRPOP c 0.001"] {
        session.step_of(0, line);
    }
    let effects = String::from_utf8(session.engine.take_effects(Vec::new())).expect("text");
    let words: Vec<&str> = effects.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
    assert_eq!(words.join(" "), "SELECT 0 RPUSH a x LMOVE a b LEFT RIGHT LPOP b RPUSH c 1 2 RPOP c 2 ");
}
