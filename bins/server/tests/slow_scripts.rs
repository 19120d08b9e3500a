//! What happens beside a script that runs for too long.
//!
//! Every expectation here holds for the real Redis, too: `SERVER_UNDER_TEST` names another binary to try them on.

#![expect(clippy::disallowed_methods, reason = "tests wait, and look at the time")]

use std::ffi::OsString;
use std::time::{Duration, Instant};

use carnelian_testkit::{Client, Server, ServerOptions};

const PATIENCE: Duration = Duration::from_secs(20);

/// Within this time a script must end once that was asked for.
const PROMPT: Duration = Duration::from_millis(100);

const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";

fn start() -> Server {
    let binary = std::env::var_os("SERVER_UNDER_TEST");
    let binary: OsString = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_carnelian-server").into());
    ServerOptions::new(binary).args(["--busy-reply-threshold", "20"]).start().expect("it starts")
}

fn call(client: &mut Client, words: &[&str]) -> String {
    String::from_utf8(client.call(words).expect("a reply")).expect("text")
}

fn reply(client: &mut Client) -> String {
    String::from_utf8(client.read_reply().expect("a reply")).expect("text")
}

/// Waits until the server says that it is busy.
fn await_busy(client: &mut Client, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = call(client, &["PING"]);
        if reply == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{reply}");
    }
}

#[test]
fn endless_scripts_are_killed_promptly() {
    let server = start();
    let (mut runs, mut other) =
        (server.connect().expect("it listens"), server.connect().expect("it listens"));
    for body in ["while true do end", "while true do pcall(function() while true do end end) end"] {
        runs.send(&["EVAL", body, "0"]).expect("it is sent");
        await_busy(&mut other, BUSY);
        assert_eq!(call(&mut server.connect().expect("new clients are served"), &["PING"]), BUSY);
        let killed_at = Instant::now();
        assert_eq!(call(&mut other, &["SCRIPT", "KILL"]), "+OK\r\n");
        let error = reply(&mut runs);
        assert!(
            error.starts_with("-ERR Error running script") || error.contains("Script killed by user"),
            "{error}"
        );
        assert!(killed_at.elapsed() < PROMPT, "{:?}", killed_at.elapsed());
        assert_eq!(call(&mut other, &["PING"]), "+PONG\r\n");
        assert_eq!(call(&mut runs, &["EVAL", "return 1", "0"]), ":1\r\n");
        assert!(call(&mut other, &["SCRIPT", "KILL"]).starts_with("-NOTBUSY "));
    }
}

#[test]
fn functions_are_killed_by_their_own_command() {
    let server = start();
    let (mut runs, mut other) =
        (server.connect().expect("it listens"), server.connect().expect("it listens"));
    let code = "#!lua name=lib\nredis.register_function('spin', function() while true do end end)";
    call(&mut other, &["FUNCTION", "LOAD", code]);
    runs.send(&["FCALL", "spin", "0"]).expect("it is sent");
    await_busy(&mut other, &BUSY.replace("SCRIPT KILL", "FUNCTION KILL"));
    assert!(call(&mut other, &["SCRIPT", "KILL"]).starts_with("-BUSY "));
    let stats = call(&mut other, &["FUNCTION", "STATS"]);
    assert!(stats.contains("spin") && stats.contains("duration_ms"), "{stats}");
    assert_eq!(call(&mut other, &["FUNCTION", "KILL"]), "+OK\r\n");
    assert!(reply(&mut runs).contains("Script killed by user with FUNCTION KILL"));
}

#[test]
fn scripts_that_have_written_go_on() {
    let mut server = start();
    let (mut runs, mut other) =
        (server.connect().expect("it listens"), server.connect().expect("it listens"));
    runs.send(&["EVAL", "redis.call('set', 'k', 'v') while true do end", "0"]).expect("it is sent");
    await_busy(&mut other, BUSY);
    assert!(call(&mut other, &["SCRIPT", "KILL"]).starts_with("-UNKILLABLE "));
    assert_eq!(call(&mut other, &["SHUTDOWN"]), BUSY);
    other.send(&["SHUTDOWN", "NOSAVE"]).expect("it is sent");
    let status = server.wait_for_exit(PATIENCE).expect("it can be waited for");
    assert!(status.is_some_and(|status| status.success()));
}

#[test]
fn transactions_fail_beside_a_slow_script() {
    let server = start();
    let (mut runs, mut other) =
        (server.connect().expect("it listens"), server.connect().expect("it listens"));
    runs.send(&["EVAL", "while true do end", "0"]).expect("it is sent");
    await_busy(&mut other, BUSY);
    assert_eq!(call(&mut other, &["MULTI"]), "+OK\r\n");
    assert_eq!(call(&mut other, &["SET", "a", "b"]), BUSY);
    let mut third = server.connect().expect("it listens");
    assert_eq!(call(&mut third, &["SCRIPT", "KILL"]), "+OK\r\n");
    reply(&mut runs);
    assert!(call(&mut other, &["EXEC"]).starts_with("-EXECABORT "));
}

#[test]
fn a_client_that_goes_away_leaves_its_script_to_be_killed() {
    let server = start();
    let (mut runs, mut other) =
        (server.connect().expect("it listens"), server.connect().expect("it listens"));
    runs.send(&["EVAL", "while true do end", "0"]).expect("it is sent");
    await_busy(&mut other, BUSY);
    drop(runs);
    assert_eq!(call(&mut other, &["PING"]), BUSY);
    assert_eq!(call(&mut other, &["SCRIPT", "KILL"]), "+OK\r\n");
    assert_eq!(call(&mut other, &["PING"]), "+PONG\r\n");
}
