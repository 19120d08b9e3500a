//! What commands log, one by one; [`replay`] tries them at random.

mod replay;

use carnelian_resp::{Batch, Limits, RequestParser};

use crate::testing::{START_MS, Session};

fn effects(lines: &[&str]) -> String {
    let mut session = Session::new();
    session.engine.log_effects(true);
    for line in lines {
        session.run(line);
    }
    let bytes = session.engine.take_effects(Vec::new());
    String::from_utf8(bytes).expect("text").replace("\r\n", " ")
}

#[test]
fn only_changes_have_effects() {
    assert_eq!(
        effects(&["SET a 1", "GET a", "DEL b", "INCR x y", "SETNX a 2"]),
        "*2 $6 SELECT $1 0 *3 $3 SET $1 a $1 1 "
    );
}

#[test]
fn databases_are_selected_once() {
    let text = effects(&["SET a 1", "SELECT 3", "SET b 1", "SET c 1"]);
    assert_eq!(text.matches("SELECT").count(), 2);
    assert!(text.contains("SELECT $1 3 *3 $3 SET $1 b"), "{text}");
}

#[test]
fn several_effects_of_a_transaction_are_one_group() {
    let text = effects(&["MULTI", "SET a 1", "GET a", "INCR a", "EXEC"]);
    assert!(text.starts_with("*1 $5 MULTI *2 $6 SELECT $1 0 *3 $3 SET"), "{text}");
    assert!(text.ends_with("*2 $4 INCR $1 a *1 $4 EXEC "), "{text}");
    let text = effects(&["MULTI", "SET a 1", "GET a", "EXEC"]);
    assert!(!text.contains("MULTI"), "{text}");
}

#[test]
fn what_expires_is_removed_first() {
    let mut session = Session::new();
    session.engine.log_effects(true);
    session.run("SET a 1 PX 10");
    session.engine.take_effects(Vec::new());
    session.sleep_ms(20);
    session.run("INCR a");
    let text = String::from_utf8(session.engine.take_effects(Vec::new())).expect("text").replace("\r\n", " ");
    assert_eq!(text, "*2 $3 DEL $1 a *2 $4 INCR $1 a ");
}

#[test]
fn lazy_removals_are_called_unlink() {
    let mut session = Session::new();
    session.engine.log_effects(true);
    session.run("CONFIG SET lazyfree-lazy-expire yes lazyfree-lazy-server-del yes");
    for line in
        ["SET a 1", "EXPIRE a -1", "SET b 1", "GETEX b EXAT 1", "SADD s 1 2", "SPOP s 2", "SET c 1", "DEL c"]
    {
        session.run(line);
    }
    session.run("SET d 1 PX 10");
    session.sleep_ms(20);
    session.run("GET d");
    let text = String::from_utf8(session.engine.take_effects(Vec::new())).expect("text").replace("\r\n", " ");
    for key in ["a", "b", "s", "d"] {
        assert!(text.contains(&format!("UNLINK $1 {key} ")), "{key}: {text}");
    }
    assert!(text.contains("DEL $1 c "), "{text}");
}

/// The effects of the last of some lines, as words.
fn effects_of_last(lines: &[&str]) -> Vec<String> {
    let mut session = Session::with(&[("enable-debug-command", "yes"), ("stream-node-max-entries", "2")]);
    session.engine.log_effects(true);
    let (last, before) = lines.split_last().expect("there are lines");
    for line in before {
        session.run(line);
        session.sleep_ms(1);
    }
    session.engine.take_effects(Vec::new());
    session.run(last);
    let bytes = session.engine.take_effects(Vec::new());
    let mut batch = Batch::new();
    RequestParser::new()
        .parse(&bytes, usize::MAX, &Limits::default(), &mut batch)
        .expect("effects are requests");
    let words = |i| {
        let words = batch.argv(i, &bytes).iter().map(|word| String::from_utf8_lossy(word).into_owned());
        words.collect::<Vec<_>>().join(" ")
    };
    (0..batch.len()).map(words).filter(|effect| !effect.starts_with("SELECT")).collect()
}

#[track_caller]
fn expect(lines: &[&str], effects: &[&str]) {
    assert_eq!(effects_of_last(lines), effects, "{lines:?}");
}

/// Of the second of two lines when sessions begin at [`START_MS`], in milliseconds of Unix time.
fn at(ms: u64) -> String {
    (START_MS + ms).to_string()
}

#[test]
fn relative_times_become_absolute() {
    let (now, later) = (at(100), at(101));
    expect(&["SET k v PX 100"], &[&format!("SET k v PXAT {now}")]);
    expect(&["SET k v NX GET EX 1"], &[&format!("SET k v PXAT {}", at(1000))]);
    expect(&["SETEX k 1 v"], &[&format!("SET k v PXAT {}", at(1000))]);
    expect(&["SET k v", "GETEX k PX 100"], &[&format!("PEXPIREAT k {later}")]);
    expect(&["SET k v", "PEXPIRE k 100 NX"], &[&format!("PEXPIREAT k {later}")]);
    expect(&["SET k v", "EXPIRE k -1"], &["DEL k"]);
    expect(&["SET k v", "EXPIRE k 10 XX"], &[]);
    expect(&["HSET h f 1", "HPEXPIRE h 100 FIELDS 2 f g"], &[&format!("HPEXPIREAT h {later} FIELDS 1 f")]);
    expect(&["HSET h f 1 g 2", "HEXPIRE h 0 FIELDS 2 f g"], &["HDEL h f g"]);
    expect(&["HSETEX h PX 100 FIELDS 1 f v"], &[&format!("HSETEX h PXAT {now} FIELDS 1 f v")]);
    expect(&["HSET h f 1", "HGETEX h PX 100 FIELDS 1 f"], &[&format!("HPEXPIREAT h {later} FIELDS 1 f")]);
    expect(
        &["MSETEX 2 a 1 b 2 PX 100"],
        &["MULTI", &format!("SET a 1 PXAT {now}"), &format!("SET b 2 PXAT {now}"), "EXEC"],
    );
}

#[test]
fn numbers_are_results() {
    expect(&["SET k 1", "INCRBYFLOAT k 1.5"], &["SET k 2.5 KEEPTTL"]);
    expect(&["HSET h f 1", "HINCRBYFLOAT h f 1.5"], &["HSET h f 2.5"]);
    let at = format!("HSETEX h PXAT {} FIELDS 1 f 2.5", at(100));
    expect(&["HSETEX h PX 100 FIELDS 1 f 1", "HINCRBYFLOAT h f 1.5"], &[&at]);
    expect(&["GEOADD g 1 1 m"], &["ZADD g 3377822707026402 m"]);
}

#[test]
fn commands_of_one_line_of_servers_are_put_in_common_ones() {
    expect(&["SET k v", "DELIFEQ k v"], &["DEL k"]);
    expect(&["SET k v", "SET k w IFEQ v"], &["SET k w"]);
    expect(&["MSETEX 2 a 1 b 2"], &["MSET a 1 b 2"]);
    expect(&["HSET h f 1 g 2", "HGETDEL h FIELDS 2 f x"], &["HDEL h f"]);
    expect(&["XADD x 1-0 a 1", "XADD x 2-0 a 1", "XDELEX x IDS 1 1-0"], &["XDEL x 1-0"]);
}

#[test]
fn entries_have_their_ids_and_trimming_its_result() {
    expect(&["XADD x 5-* a 1"], &["XADD x 5-0 a 1"]);
    expect(&["XADD x * a 1"], &[&format!("XADD x {}-0 a 1", at(0))]);
    let many = ["XADD x 1 a 1", "XADD x 2 a 1", "XADD x 3 a 1", "XADD x 4 a 1", "XADD x 5 a 1"];
    expect(
        &[&many[..], &["XADD x MAXLEN ~ 3 * a 1"]].concat(),
        &[&format!("XADD x MAXLEN = 4 {}-0 a 1", at(5))],
    );
}

/// The stream has nodes of two entries.
#[test]
fn trimming_is_logged_as_redis_does() {
    let begin: Vec<String> = (1..=7).map(|id| format!("XADD x {id} a 1")).collect();
    let expect_after = |last: &str, effects: &[&str]| {
        let lines: Vec<&str> = begin.iter().map(String::as_str).chain([last]).collect();
        expect(&lines, effects);
    };
    let same = |line: &str| expect_after(line, &[line]);
    // Exactly: as sent.
    same("XTRIM x MAXLEN 6");
    same("xtrim x maxlen = 6");
    same("XTRIM x MINID 0004");
    same("XTRIM x MINID = 5-1");
    same("XTRIM x MAXLEN 2 ACKED");
    same("XTRIM x MINID 3 DELREF");
    same("XADD x NOMKSTREAM MAXLEN 3 8 a 1");
    same("XADD x MINID = 8 8-0 a 1");
    same("XADD x MAXLEN 0 8 a 1");
    same("XADD x MAXLEN 100 8 a 1");
    // About: as what it came to.
    expect_after("XTRIM x MAXLEN ~ 4", &["XTRIM x MAXLEN = 5"]);
    expect_after("XTRIM x MINID ~ 4", &["XTRIM x MINID = 3-0"]);
    expect_after("XTRIM x MINID ~ 100", &[&format!("XTRIM x MINID = {0}-{0}", u64::MAX)]);
    expect_after("XTRIM x MINID ~ 100 LIMIT 5", &["XTRIM x MINID = 5-0"]);
    expect_after("XADD x MAXLEN ~ 3 8 a 1", &["XADD x MAXLEN = 4 8 a 1"]);
    expect_after("XADD x MAXLEN ~ 100 8 a 1", &["XADD x MAXLEN = 8 8 a 1"]);
    expect_after("XADD x MINID ~ 4 8 a 1", &["XADD x MINID = 3-0 8 a 1"]);
    expect_after("XADD x MINID ~ 1 LIMIT 9 8-* a 1", &["XADD x MINID = 1-0 8-0 a 1"]);
    expect_after("XADD x MAXLEN ~ 2 DELREF 8 a 1", &["XADD x MAXLEN = 8 DELREF 8 a 1"]);
    // What changes nothing is not logged, and the default is not named: old servers do not know its name.
    for line in ["XTRIM x MAXLEN 7", "XTRIM x MINID 1", "XTRIM x MAXLEN ~ 6", "XTRIM x MINID ~ 100 LIMIT 1"] {
        expect_after(line, &[]);
    }
    expect_after("XTRIM x MAXLEN = 6 KEEPREF", &["XTRIM x MAXLEN = 6"]);
    expect_after("XADD x KEEPREF MAXLEN 6 8 a 1", &["XADD x MAXLEN 6 8 a 1"]);
    expect_after("XADD x KEEPREF 8 a 1", &["XADD x 8 a 1"]);
}

#[test]
fn what_the_peers_have_trimmed_is_read() {
    let mut session = Session::new();
    session.engine.replay_effects(true);
    session.check(&[
        ("XADD x MAXLEN = 2 LIMIT 10 1-0 a 1", "\"1-0\""),
        ("XADD x MINID = 18446744073709551615-18446744073709551615 2 a 1", "\"2-0\""),
        ("XADD x 3 a 1", "\"3-0\""),
        ("XADD x 4 a 1", "\"4-0\""),
        ("XTRIM x MINID = 4-0 LIMIT 100", "(integer) 1"),
    ]);
}

/// Valkey gives fields any deadline, and logs it.
#[test]
fn a_replay_takes_deadlines_of_fields_that_clients_cannot_give() {
    let mut session = Session::new();
    session.run("HSET h f 1 g 2");
    session.check(&[(
        "HPEXPIREAT h 70368744177664 FIELDS 1 f",
        "(error) ERR invalid expire time in 'hpexpireat' command",
    )]);
    session.engine.replay_effects(true);
    session.check(&[
        ("HPEXPIREAT h 70368744177664 FIELDS 1 f", "1) (integer) 1"),
        ("HEXPIREAT h 9223372036854775807 FIELDS 1 g", "1) (integer) 1"),
        ("HSETEX h PXAT 9223372036854775807 FIELDS 1 k 3", "(integer) 1"),
        (
            "HPEXPIRETIME h FIELDS 3 f g k",
            "1) (integer) 70368744177664\n2) (integer) 281474976710655\n3) (integer) 281474976710655",
        ),
    ]);
}

#[test]
fn deadlines_that_go_are_logged_as_redis_does() {
    let begin = ["HSET h f 1 g 2 k 3", "HPEXPIRE h 100000 FIELDS 2 f g"];
    let expect_after = |lines: &[&str], effects: &[&str]| expect(&[&begin, lines].concat(), effects);
    for line in [
        "HPERSIST h FIELDS 1 f",
        "hpersist h fields 3 f nosuch k",
        "HPERSIST h FIELDS 2 f f",
        "HPERSIST h FIELDS 2 g k",
    ] {
        expect_after(&[line], &[line]);
        expect_after(&[line, line], &[]);
        expect_after(&["MULTI", line, line, "EXEC"], &[line]);
    }
    for line in ["HPERSIST h FIELDS 1 k", "HPERSIST h FIELDS 2 k nosuch", "HPERSIST nosuch FIELDS 1 f"] {
        expect_after(&[line], &[]);
    }
    let script = "EVAL \"redis.call('HPERSIST','h','FIELDS',2,'f','x')\" 0";
    expect_after(&[script], &["HPERSIST h FIELDS 2 f x"]);
}

#[test]
fn a_field_that_is_due_is_not_persisted_by_a_replay() {
    let mut session = Session::with(&[("enable-debug-command", "yes")]);
    session.run("DEBUG SET-ACTIVE-EXPIRE 0");
    session.run("HSET h f 1 g 2");
    session.run("HPEXPIRE h 100000 FIELDS 1 g");
    session.run("HPEXPIRE h 5 FIELDS 1 f");
    session.engine.log_effects(true);
    session.sleep_ms(10);
    assert_eq!(session.run("HPERSIST h FIELDS 2 f g"), "1) (integer) -2\n2) (integer) 1");
    let text = String::from_utf8(session.engine.take_effects(Vec::new())).expect("text").replace("\r\n", " ");
    assert!(text.contains("*5 $8 HPERSIST $1 h $6 FIELDS $1 1 $1 g "), "{text}");
}

#[test]
fn flushing_is_logged_even_if_nothing_is_there() {
    for line in ["FLUSHALL", "FLUSHDB", "flushall ASYNC", "FLUSHDB SYNC"] {
        expect(&[line], &[line]);
        expect(&["SET a 1", line], &[line]);
        expect(&["MULTI", line, "GET a", "EXEC"], &[line]);
    }
    expect(
        &["MULTI", "SET a 1", "FLUSHALL", "FLUSHDB", "EXEC"],
        &["MULTI", "SET a 1", "FLUSHALL", "FLUSHDB", "EXEC"],
    );
    let script = "EVAL \"redis.call('FLUSHDB') redis.call('SET','a',1) redis.call('FLUSHALL','ASYNC')\" 0";
    expect(&[script], &["MULTI", "FLUSHDB", "SET a 1", "FLUSHALL ASYNC", "EXEC"]);
    expect(&["EVAL \"redis.set_repl(redis.REPL_NONE) redis.call('FLUSHALL')\" 0"], &[]);
    expect(&["FLUSHALL what"], &[]);
}

#[test]
fn groups_tell_what_became_of_entries() {
    let begin = ["XADD x 1 a 1", "XADD x 2 a 1", "XGROUP CREATE x g 0"];
    let read = "XREADGROUP GROUP g c STREAMS x >";
    let claim = format!("XCLAIM x g c 0 1-0 2-0 TIME {} RETRYCOUNT 1 FORCE JUSTID LASTID 2-0", at(3));
    expect(&[&begin[..], &[read]].concat(), &["MULTI", &claim, "XGROUP SETID x g 2-0 ENTRIESREAD 2", "EXEC"]);
    let again = format!("XCLAIM x g d 0 1-0 TIME {} RETRYCOUNT 2 FORCE JUSTID LASTID 2-0", at(4));
    expect(&[&begin[..], &[read, "XCLAIM x g d 0 1"]].concat(), &[&again]);
    expect(&[&begin[..], &["XREADGROUP GROUP g c STREAMS x 0"]].concat(), &["XGROUP CREATECONSUMER x g c"]);
    expect(
        &[&begin[..], &[read, "XDEL x 1", "XAUTOCLAIM x g d 0 0 COUNT 1"]].concat(),
        &["MULTI", "XGROUP CREATECONSUMER x g d", "XACK x g 1-0", "EXEC"],
    );
}

#[test]
fn scripts_choose_what_is_followed() {
    let script = "EVAL \"redis.call('SET','a',1) redis.set_repl(redis.REPL_NONE) redis.call('SET','b',2)\" 0";
    expect(&[script], &["SET a 1"]);
    expect(&[script, "SET c 3"], &["SET c 3"]);
}

#[test]
fn scripts_may_be_unbound() {
    let mut session = Session::with(&[("enable-debug-command", "yes")]);
    let script = "EVAL \"redis.setresp(3) return redis.call('DEBUG','PROTOCOL','attrib')\" 0";
    assert!(session.run(script).contains("not allowed from script"));
    session.check(&[
        ("DEBUG SET-DISABLE-DENY-SCRIPTS 1", "OK"),
        (script, "\"Some real reply following the attribute\""),
    ]);
    assert!(
        session.run("EVAL \"return redis.call('EVAL','return 1',0)\" 0").contains("not allowed from script")
    );
}
