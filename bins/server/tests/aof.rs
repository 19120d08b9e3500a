//! The append only file on a real disk: what was acknowledged is there after `kill -9`, whatever else happened.

#![expect(clippy::disallowed_methods, reason = "tests read and write files, and wait")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use carnelian_testkit::{Client, Server, ServerOptions};

const PATIENCE: Duration = Duration::from_secs(60);

fn options(directory: &Path, args: &[&str]) -> ServerOptions {
    let directory = directory.to_str().expect("a path in UTF-8");
    let own = ["--dir", directory, "--save", "", "--appendonly", "yes", "--enable-debug-command", "yes"];
    ServerOptions::new(env!("CARGO_BIN_EXE_carnelian-server")).args(own.iter().chain(args))
}

fn start(directory: &Path, args: &[&str]) -> Server {
    options(directory, args).start().expect("it starts")
}

fn call(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    String::from_utf8_lossy(&client.call(&words).expect("a reply")).into_owned()
}

fn wait_for_rewrite(client: &mut Client) {
    let begin = Instant::now();
    let is_over =
        |info: &str| info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0");
    while !is_over(&call(client, "INFO persistence")) {
        assert!(begin.elapsed() < PATIENCE, "the rewrite does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(mut server: Server) {
    let id = server.id().to_string();
    assert!(Command::new("kill").args(["-KILL", &id]).status().expect("kill runs").success());
    server.wait_for_exit(PATIENCE).expect("it is our child").expect("it ends in time");
}

fn change(client: &mut Client, from: usize) {
    for i in from..from + 100 {
        for line in [
            format!("SET string:{i} value:{i}"),
            format!("HSET hash field:{i} {i}"),
            format!("RPUSH list element:{i}"),
            format!("SADD set member:{i}"),
            format!("ZADD zset {i}.5 member:{i}"),
            "XADD stream * field value".to_owned(),
            "SPOP set".to_owned(),
            format!("SET short:{i} v PX 100000"),
        ] {
            assert!(!call(client, &line).starts_with('-'), "{line}");
        }
    }
    call(client, "MULTI");
    call(client, "INCR n");
    call(client, "INCR n");
    call(client, "EXEC");
    call(client, "XGROUP CREATE stream group 0");
    call(client, "XREADGROUP GROUP group c COUNT 5 STREAMS stream >");
}

#[test]
fn what_was_acknowledged_survives_kills() {
    for preamble in ["yes", "no"] {
        let directory = tempfile::tempdir().expect("a directory");
        let args = ["--appendfsync", "always", "--aof-use-rdb-preamble", preamble];
        let mut digest = String::new();
        for round in 0..4 {
            let server = start(directory.path(), &args);
            let mut client = server.connect().expect("it listens");
            if round > 0 {
                assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "round {round}, preamble {preamble}");
            }
            change(&mut client, round * 100);
            if round % 2 == 1 {
                assert!(call(&mut client, "BGREWRITEAOF").starts_with("+Background"));
                change(&mut client, round * 100 + 50);
                wait_for_rewrite(&mut client);
                call(&mut client, "SET after rewrite");
            }
            digest = call(&mut client, "DEBUG DIGEST");
            assert_eq!(call(&mut client, "DEBUG LOADAOF"), "+OK\r\n");
            assert_eq!(call(&mut client, "DEBUG DIGEST"), digest);
            kill(server);
        }
    }
}

#[test]
fn torn_ends_are_cut_and_damage_stops_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), &["--appendfsync", "always"]);
    let mut client = server.connect().expect("it listens");
    change(&mut client, 0);
    kill(server);
    let log = directory.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    let sound = fs::read(&log).expect("there is a log");
    fs::write(&log, [&sound[..], b"*2\r\n$3\r\nDE"].concat()).expect("written");
    let server = start(directory.path(), &[]);
    assert!(server.log().contains("Truncating the AOF"), "{}", server.log());
    assert_eq!(call(&mut server.connect().expect("it listens"), "GET string:99"), "$8\r\nvalue:99\r\n");
    kill(server);
    let mut damaged = sound.clone();
    damaged[500] ^= 4;
    fs::write(&log, &damaged).expect("written");
    // It listens while it loads, so it may or may not seem to start.
    if let Ok(mut server) = options(directory.path(), &[]).start() {
        let status = server.wait_for_exit(PATIENCE).expect("it is our child").expect("it ends in time");
        assert_eq!(status.code(), Some(1), "{}", server.log());
        assert!(server.log().contains("Bad file format reading the append only file"), "{}", server.log());
        assert!(server.log().contains("It is sound up to offset"), "{}", server.log());
    }
    assert_eq!(fs::read(&log).expect("still there"), damaged);
}

/// A log that was closed, and one that rests, has no place where damage looks like a torn write.
#[test]
fn a_flipped_bit_at_the_end_of_a_sealed_log_is_found() {
    for policy in ["always", "everysec", "no"] {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("appendonlydir/appendonly.aof.1.incr.aof");
        let mut server = start(directory.path(), &["--appendfsync", policy]);
        let mut client = server.connect().expect("it listens");
        call(&mut client, "SET first 1");
        call(&mut client, "SET last value");
        if policy == "everysec" {
            let begin = Instant::now();
            let seals = |bytes: &[u8]| bytes.windows(5).filter(|window| window == b"#CRC:").count();
            while seals(&fs::read(&log).expect("there is a log")) < 2 {
                assert!(begin.elapsed() < PATIENCE, "the log is not sealed");
                std::thread::sleep(Duration::from_millis(20));
            }
            kill(server);
        } else {
            client.send(&["SHUTDOWN"]).expect("sent");
            server.wait_for_exit(PATIENCE).expect("it is our child").expect("it ends in time");
        }
        let sound = fs::read(&log).expect("there is a log");
        let at = sound.windows(5).rposition(|window| window == b"value").expect("the last command");
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        fs::write(&log, &damaged).expect("written");
        let args = ["--port", "0", "--appendonly", "yes", "--dir", directory.path().to_str().expect("UTF-8")];
        let output =
            Command::new(env!("CARGO_BIN_EXE_carnelian-server")).args(args).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{policy}: {text}");
        assert!(text.contains("Bad file format reading the append only file"), "{policy}: {text}");
        fs::write(&log, &sound).expect("written");
        let server = start(directory.path(), &["--appendfsync", policy]);
        let mut client = server.connect().expect("it listens");
        assert_eq!(call(&mut client, "GET last"), "$5\r\nvalue\r\n");
    }
}

#[test]
fn clients_wait_for_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), &[]);
    let mut client = server.connect().expect("it listens");
    call(&mut client, "SET a 1");
    assert_eq!(call(&mut client, "WAITAOF 1 0 0"), "*2\r\n:1\r\n:0\r\n");
    assert_eq!(call(&mut client, "WAITAOF 0 1 10"), "*2\r\n:1\r\n:0\r\n");
    assert_eq!(call(&mut client, "CONFIG SET appendfsync no"), "+OK\r\n");
    call(&mut client, "SET a 2");
    assert_eq!(call(&mut client, "WAITAOF 1 0 50"), "*2\r\n:0\r\n:0\r\n");
    assert_eq!(call(&mut client, "CONFIG SET appendfsync everysec"), "+OK\r\n");
    assert_eq!(call(&mut client, "WAITAOF 1 0 0"), "*2\r\n:1\r\n:0\r\n");
    call(&mut client, "SET a 1");
    assert_eq!(call(&mut client, "CONFIG SET appendonly no"), "+OK\r\n");
    assert_eq!(call(&mut client, "WAITAOF 0 1 10"), "*2\r\n:0\r\n:0\r\n");
    assert!(call(&mut client, "WAITAOF 1 0 0").starts_with("-ERR WAITAOF cannot be used"));
    call(&mut client, "SET b 2");
    assert_eq!(call(&mut client, "CONFIG SET appendonly yes"), "+OK\r\n");
    wait_for_rewrite(&mut client);
    assert_eq!(call(&mut client, "DEBUG LOADAOF"), "+OK\r\n");
    assert_eq!(call(&mut client, "MGET a b"), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

#[test]
fn who_waits_for_a_log_that_is_closed_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), &[]);
    let (mut client, mut other) =
        (server.connect().expect("it listens"), server.connect().expect("it listens"));
    call(&mut client, "SET a 1");
    client.send(&["WAITAOF", "1", "1", "0"]).expect("sent");
    let began = Instant::now();
    while !call(&mut other, "INFO clients").contains("blocked_clients:1\r\n") {
        assert!(began.elapsed() < Duration::from_secs(20), "the client waits");
    }
    assert_eq!(call(&mut other, "CONFIG SET appendonly no"), "+OK\r\n");
    let reply = client.read_reply().expect("a reply");
    assert_eq!(
        String::from_utf8_lossy(&reply),
        "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n"
    );
    let calls = call(&mut other, "INFO commandstats");
    assert!(calls.contains("cmdstat_waitaof:calls=1,"), "{calls}");
}

/// A rewrite makes a base and a manifest even if nothing is logged, as in the real servers.
#[test]
fn a_rewrite_without_a_log_can_be_loaded() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), &["--appendonly", "no"]);
    let mut client = server.connect().expect("it listens");
    call(&mut client, "SET lost 1");
    assert!(call(&mut client, "DEBUG LOADAOF").starts_with("-ERR Error trying to load the AOF files"));
    change(&mut client, 0);
    assert_eq!(call(&mut client, "EXISTS lost"), ":0\r\n");
    let digest = call(&mut client, "DEBUG DIGEST");
    for (preamble, base) in [("no", "appendonly.aof.1.base.aof"), ("yes", "appendonly.aof.2.base.rdb")] {
        call(&mut client, &format!("CONFIG SET aof-use-rdb-preamble {preamble}"));
        assert!(call(&mut client, "BGREWRITEAOF").starts_with("+Background append only file rewriting"));
        wait_for_rewrite(&mut client);
        assert_eq!(call(&mut client, "DEBUG LOADAOF"), "+OK\r\n", "{}", server.log());
        assert_eq!(call(&mut client, "DEBUG DIGEST"), digest);
        let files = fs::read_dir(directory.path().join("appendonlydir")).expect("a directory");
        let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
        names.sort();
        assert_eq!(names, [base, "appendonly.aof.manifest"]);
    }
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
    // A log that begins while a base is being made waits for the next one.
    call(&mut client, "BGREWRITEAOF");
    assert_eq!(call(&mut client, "CONFIG SET appendonly yes"), "+OK\r\n");
    call(&mut client, "SET later 1");
    wait_for_rewrite(&mut client);
    kill(server);
    let server = start(directory.path(), &[]);
    assert_eq!(call(&mut server.connect().expect("it listens"), "GET later"), "$1\r\n1\r\n");
}
