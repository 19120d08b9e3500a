//! The dataset on a real disk: what is saved is there after a restart, and what is damaged is left alone.

#![expect(clippy::disallowed_methods, reason = "tests read and write files, and wait")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use carnelian_testkit::reply::{integer, payload};
use carnelian_testkit::{Client, Server, ServerOptions};

const PATIENCE: Duration = Duration::from_secs(60);

fn start(directory: &Path, args: &[&str]) -> Server {
    let directory = directory.to_str().expect("a path in UTF-8");
    let own = ["--dir", directory, "--enable-debug-command", "yes"];
    let binary = env!("CARGO_BIN_EXE_carnelian-server");
    ServerOptions::new(binary).args(own.iter().chain(args)).start().expect("it starts")
}

fn call(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    String::from_utf8_lossy(&client.call(&words).expect("a reply")).into_owned()
}

/// A line of INFO.
fn info(client: &mut Client, name: &str) -> String {
    let text = call(client, "INFO persistence");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

fn wait_for(client: &mut Client, name: &str, value: &str) {
    let begin = Instant::now();
    while info(client, name) != value {
        assert!(begin.elapsed() < PATIENCE, "{name} is not {value}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn stop(mut server: Server, signal: &str) {
    let id = server.id().to_string();
    assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill runs").success());
    let status = server.wait_for_exit(PATIENCE).expect("it is our child").expect("it ends in time");
    assert!(signal == "KILL" || status.code() == Some(0), "{}", server.log());
}

/// Keys of all types, some of them large.
fn fill(client: &mut Client) {
    for i in 0..2000 {
        let lines = [
            format!("SET string:{i} value:{i}"),
            format!("HSET hash:{} field:{i} {i}", i % 3 * i),
            format!("RPUSH list:{} element:{i}", i % 2 * i),
            format!("SADD set:{} member:{i}", i % 2 * i),
            format!("ZADD zset:{} {i}.5 member:{i}", i % 2 * i),
            format!("XADD stream {}-1 field {i}", i + 1),
        ];
        lines.iter().for_each(|line| assert!(!call(client, line).starts_with('-'), "{line}"));
    }
    call(client, "SET volatile v PXAT 4000000000000");
    call(client, "XGROUP CREATE stream group 0");
    call(client, "SELECT 2");
    call(client, "SET elsewhere v");
    call(client, "SELECT 0");
}

#[test]
fn a_dataset_survives_restarts() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), &["--save", ""]);
    let mut client = server.connect().expect("it listens");
    fill(&mut client);
    let digest = call(&mut client, "DEBUG DIGEST");
    assert_eq!(call(&mut client, "BGSAVE"), "+Background saving started\r\n");
    wait_for(&mut client, "rdb_bgsave_in_progress", "0");
    call(&mut client, "FLUSHALL");
    stop(server, "KILL");

    let server = start(directory.path(), &["--save", "3600 1"]);
    let mut client = server.connect().expect("it listens");
    wait_for(&mut client, "loading", "0");
    assert_eq!(call(&mut client, "DEBUG DIGEST"), digest);
    let log = server.log();
    for line in
        ["Done loading RDB, keys loaded: ", "DB loaded from disk: ", "Ready to accept connections tcp"]
    {
        assert!(log.contains(line), "{line:?} in {log}");
    }
    call(&mut client, "SET one more");
    let digest = call(&mut client, "DEBUG DIGEST");
    stop(server, "TERM");

    let server = start(directory.path(), &["--save", ""]);
    let mut client = server.connect().expect("it listens");
    wait_for(&mut client, "loading", "0");
    assert_eq!(call(&mut client, "DEBUG DIGEST"), digest);
    let names = std::fs::read_dir(directory.path()).expect("readable");
    let names: Vec<_> = names.map(|entry| entry.expect("readable").file_name()).collect();
    assert_eq!(names, ["dump.rdb"], "nothing temporary is left");
}

#[test]
fn a_save_under_writes_holds_one_moment() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), &["--save", ""]);
    let mut client = server.connect().expect("it listens");
    call(&mut client, "DEBUG POPULATE 20000 key 50");
    for round in 0..2 {
        // The sum of both counters is the same at any moment between two transactions.
        let mut writer = server.connect().expect("it listens");
        assert_eq!(call(&mut writer, &format!("MSET a {round} b -{round}")), "+OK\r\n");
        assert_eq!(call(&mut client, "BGSAVE"), "+Background saving started\r\n");
        let mut writes = 0u64;
        while info(&mut client, "rdb_bgsave_in_progress") == "1" || writes < 200 {
            for line in ["MULTI", "INCR a", "DECR b", "EXEC"] {
                call(&mut writer, line);
            }
            call(&mut writer, &format!("SET key:{} changed", writes * 7919 % 20_000));
            call(&mut writer, &format!("DEL key:{}", writes * 104_729 % 20_000));
            call(&mut writer, &format!("SET new:{writes} 1"));
            writes += 1;
        }
        let loaded = start(directory.path(), &["--save", ""]);
        let mut reader = loaded.connect().expect("it listens");
        wait_for(&mut reader, "loading", "0");
        let number = |reply: &str| payload(reply.as_bytes()).map(<[u8]>::to_vec).expect("a string");
        let (a, b) = (number(&call(&mut reader, "GET a")), number(&call(&mut reader, "GET b")));
        let value = |text: &[u8]| String::from_utf8_lossy(text).parse::<i64>().expect("a number");
        assert_eq!((value(&a), value(&b)), (round, -round), "the moment of the command");
        if round == 0 {
            let size = integer(call(&mut reader, "DBSIZE").as_bytes());
            assert_eq!(size, Some(20_002));
        }
        stop(loaded, "KILL");
        call(&mut client, "FLUSHALL");
        call(&mut client, "DEBUG POPULATE 20000 key 50");
    }
}

#[test]
fn a_file_that_cannot_be_replaced_stops_writes() {
    let directory = tempfile::tempdir().expect("a directory");
    // A directory cannot be replaced by a file.
    std::fs::create_dir(directory.path().join("taken")).expect("created");
    let args = ["--save", "3600 1", "--enable-protected-configs", "yes"];
    let server = start(directory.path(), &args);
    let mut client = server.connect().expect("it listens");
    call(&mut client, "SET k v");
    assert_eq!(call(&mut client, "SAVE"), "+OK\r\n");
    let old = std::fs::read(directory.path().join("dump.rdb")).expect("saved");
    call(&mut client, "CONFIG SET dbfilename taken");
    assert_eq!(call(&mut client, "SAVE"), "-ERR\r\n");
    call(&mut client, "BGSAVE");
    wait_for(&mut client, "rdb_last_bgsave_status", "err");
    assert!(call(&mut client, "SET k w").starts_with("-MISCONF Redis is configured to save RDB snapshots"));
    assert!(call(&mut client, "SHUTDOWN").starts_with("-ERR Errors trying to SHUTDOWN"));
    assert_eq!(std::fs::read(directory.path().join("dump.rdb")).expect("there"), old);
    call(&mut client, "CONFIG SET dbfilename dump.rdb");
    call(&mut client, "BGSAVE");
    wait_for(&mut client, "rdb_last_bgsave_status", "ok");
    assert_eq!(call(&mut client, "SET k w"), "+OK\r\n");
}

#[test]
fn a_damaged_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), &["--save", ""]);
    let mut client = server.connect().expect("it listens");
    fill(&mut client);
    call(&mut client, "SAVE");
    stop(server, "KILL");
    let path = directory.path().join("dump.rdb");
    let good = std::fs::read(&path).expect("saved");
    let cut = good[..good.len() / 2].to_vec();
    let mut flipped = good.clone();
    flipped[good.len() / 3] ^= 16;
    for bad in [cut, flipped] {
        std::fs::write(&path, &bad).expect("written");
        let output = Command::new(env!("CARGO_BIN_EXE_carnelian-server"))
            .args(["--port", "0", "--dir", directory.path().to_str().expect("UTF-8")])
            .stdin(Stdio::null())
            .output()
            .expect("it runs and ends");
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("dump.rdb: ") && text.contains("at offset "), "{text}");
        assert!(text.contains("Fatal error loading the DB"), "{text}");
        assert_eq!(std::fs::read(&path).expect("there"), bad, "the file is untouched");
    }
}
