//! A server whose files may not grow, as on a full disk, and its clients.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests read and write files, and wait")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carnelian_testkit::{Client, Server, ServerOptions};

const PATIENCE: Duration = Duration::from_secs(60);
const BINARY: &str = env!("CARGO_BIN_EXE_carnelian-server");

/// Starts a server whose files have at most some tens of KiB: a limit of the shell that begins it, whose signal is ignored,
/// so that writing fails.
fn start_limited(directory: &Path, args: &[&str]) -> Server {
    let script = directory.join("limited");
    fs::write(&script, format!("#!/bin/sh\ntrap '' XFSZ\nulimit -S -f 64\nexec {BINARY} \"$@\"\n"))
        .expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("made executable");
    start(&script, &directory.join("data"), args)
}

fn start(binary: &Path, directory: &Path, args: &[&str]) -> Server {
    fs::create_dir_all(directory).expect("created");
    let own = ["--dir", directory.to_str().expect("a path in UTF-8"), "--enable-debug-command", "yes"];
    ServerOptions::new(binary).args(own.iter().chain(args)).start().expect("it starts")
}

/// There is room again.
fn lift_limit(server: &Server) {
    let args = ["--pid", &server.id().to_string(), "--fsize=unlimited"];
    assert!(Command::new("prlimit").args(args).status().expect("prlimit runs").success());
}

fn call(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    String::from_utf8_lossy(&client.call(&words).expect("a reply")).into_owned()
}

fn wait_for(client: &mut Client, line: &str) {
    let begin = Instant::now();
    while !call(client, "INFO persistence").contains(line) {
        assert!(begin.elapsed() < PATIENCE, "in vain: {line}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Writes until told to stop; what was acknowledged.
fn write(address: SocketAddr, writer: usize, stop: &AtomicBool) -> Vec<usize> {
    let mut client = Client::connect(address).expect("it listens");
    let mut acknowledged = Vec::new();
    let value = "v".repeat(200);
    for i in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match call(&mut client, &format!("SET {writer}:{i} {value}")).as_str() {
            "+OK\r\n" => acknowledged.push(i),
            reply => {
                assert_eq!(reply, "-MISCONF Errors writing to the AOF file: File too large\r\n");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
    acknowledged
}

#[test]
fn a_full_disk_under_always() {
    let directory = tempfile::tempdir().expect("a directory");
    let args = ["--appendonly", "yes", "--appendfsync", "always"];
    let server = start_limited(directory.path(), &args);
    let (address, stop) = (server.address(), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (0..5)
        .map(|writer| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || write(address, writer, &stop))
        })
        .collect();
    let mut client = server.connect().expect("it listens");
    wait_for(&mut client, "aof_last_write_status:err");
    // Whoever wrote last waits for the disk; who comes now is told, and who reads is served.
    assert!(call(&mut client, "GET 0:0").starts_with("$200\r\n"));
    assert_eq!(call(&mut client, "SET k v"), "-MISCONF Errors writing to the AOF file: File too large\r\n");
    assert!(call(&mut client, "PING").starts_with("-MISCONF"));
    thread::sleep(Duration::from_millis(300));
    lift_limit(&server);
    wait_for(&mut client, "aof_last_write_status:ok");
    assert_eq!(call(&mut client, "SET k v"), "+OK\r\n");
    stop.store(true, Ordering::Relaxed);
    let known: Vec<_> = writers.into_iter().map(|writer| writer.join().expect("it ends")).collect();
    assert!(
        Command::new("kill").args(["-KILL", &server.id().to_string()]).status().expect("kill runs").success()
    );
    let data = directory.path().join("data");
    let again = start(Path::new(BINARY), &data, &args);
    let mut client = again.connect().expect("it listens");
    for (writer, acknowledged) in known.iter().enumerate() {
        assert!(!acknowledged.is_empty());
        for i in acknowledged {
            assert_eq!(call(&mut client, &format!("EXISTS {writer}:{i}")), ":1\r\n", "{writer}:{i}");
        }
    }
    assert_eq!(call(&mut client, "GET k"), "$1\r\nv\r\n");
    drop(server);
}

#[test]
fn a_save_point_that_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start_limited(directory.path(), &["--save", "1 1"]);
    let mut client = server.connect().expect("it listens");
    assert_eq!(call(&mut client, "DEBUG POPULATE 5000 key 50"), "+OK\r\n");
    assert_eq!(call(&mut client, "SET k v"), "+OK\r\n");
    wait_for(&mut client, "rdb_last_bgsave_status:err");
    let refused = call(&mut client, "SET k w");
    assert!(refused.starts_with("-MISCONF Redis is configured to save RDB snapshots, but"), "{refused}");
    assert_eq!(call(&mut client, "GET k"), "$1\r\nv\r\n");
    lift_limit(&server);
    // It is tried again without being asked.
    wait_for(&mut client, "rdb_last_bgsave_status:ok");
    assert_eq!(call(&mut client, "SET k w"), "+OK\r\n");
    let names = fs::read_dir(directory.path().join("data")).expect("readable");
    let names: Vec<_> = names.map(|entry| entry.expect("readable").file_name()).collect();
    assert!(names.contains(&"dump.rdb".into()), "{names:?}");
}
