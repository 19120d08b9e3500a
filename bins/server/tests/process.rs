//! The server as a process: its arguments, what it prints, how it starts and ends.
//!
//! Every expectation here holds for the real Redis, too: `SERVER_UNDER_TEST` names another binary to try them on.

#![expect(clippy::disallowed_methods, reason = "tests write files and wait")]

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use carnelian_testkit::ServerOptions;

const PATIENCE: Duration = Duration::from_secs(10);

fn binary() -> OsString {
    std::env::var_os("SERVER_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_carnelian-server").into())
}

/// Runs the binary until it ends; for arguments with which it does not serve.
fn run(args: &[&str], stdin: &str) -> Output {
    let mut process = Command::new(binary())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut input = process.stdin.take().expect("it is piped");
    input.write_all(stdin.as_bytes()).expect("the process reads or ignores its input");
    drop(input);
    process.wait_with_output().expect("it ends")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn prints_its_version_in_the_form_that_harnesses_read() {
    for flag in ["-v", "--version"] {
        let output = run(&[flag], "");
        assert!(output.status.success());
        let text = printed(&output);
        for part in ["v=8.2.3 ", " sha=", " malloc=", " bits=64 ", " build="] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }
}

#[test]
fn explains_its_arguments() {
    let text = printed(&run(&["--help"], ""));
    assert!(text.contains("Usage: "), "{text}");
}

#[test]
fn refuses_wrong_directives_by_line() {
    for (directive, value) in
        [("maxmemory-policy", "nonsense"), ("no-such-directive", "1"), ("port", "65536")]
    {
        let output = run(&[&format!("--{directive}"), value], "");
        assert_eq!(output.status.code(), Some(1), "{directive}");
        let text = printed(&output);
        assert!(text.contains(">>> '") && text.contains(directive) && text.contains(value), "{text}");
    }
}

#[test]
fn reads_directives_from_its_input() {
    let output = run(&["-"], "timeout 5\nhz nonsense\n");
    assert_eq!(output.status.code(), Some(1));
    let text = printed(&output);
    assert!(text.contains("Reading the configuration file, at line 2"), "{text}");
    assert!(text.contains(">>> 'hz nonsense'"), "{text}");
}

#[test]
fn says_when_it_is_ready_and_ends_on_sigterm() {
    let mut server = ServerOptions::new(binary()).start().expect("it starts");
    let log = server.log();
    for line in ["Server initialized", "Ready to accept connections"] {
        assert!(log.contains(line), "{line:?} in {log}");
    }
    signal(server.id(), "TERM");
    let status = server.wait_for_exit(PATIENCE).expect("it is our child").expect("it ends in time");
    assert_eq!(status.code(), Some(0), "{}", server.log());
}

#[test]
fn shutdown_ends_the_process() {
    let mut server = ServerOptions::new(binary()).start().expect("it starts");
    let mut client = server.connect().expect("it listens");
    client.send(&["SHUTDOWN", "NOSAVE"]).expect("it reads");
    assert_eq!(client.read_to_close().expect("it closes"), b"", "no reply");
    let status = server.wait_for_exit(PATIENCE).expect("it is our child").expect("it ends in time");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn arguments_override_included_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("extra.conf");
    std::fs::write(&path, "# a comment\ntimeout 7\nhz 50\n").expect("written");
    let args = ["--include".into(), path.into_os_string(), "--timeout".into(), "8".into()];
    let server = ServerOptions::new(binary()).args(args).start().expect("it starts");
    let mut client = server.connect().expect("it listens");
    let reply = client.call(&["CONFIG", "GET", "timeout"]).expect("a reply");
    assert_eq!(reply, b"*2\r\n$7\r\ntimeout\r\n$1\r\n8\r\n");
    let reply = client.call(&["CONFIG", "GET", "hz"]).expect("a reply");
    assert_eq!(reply, b"*2\r\n$2\r\nhz\r\n$2\r\n50\r\n");
}

#[test]
fn rewrites_its_file_and_keeps_comments() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("server.conf");
    std::fs::write(&path, "# why five\ntimeout 5\n\n# kept\nhz 50\n").expect("written");
    let port = free_port();
    let mut process = Command::new(binary())
        .arg(&path)
        .args(["--port", &port.to_string(), "--save", ""])
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut client = connect(port);
    assert_eq!(client.call(&["CONFIG", "SET", "timeout", "6"]).expect("a reply"), b"+OK\r\n");
    assert_eq!(client.call(&["CONFIG", "REWRITE"]).expect("a reply"), b"+OK\r\n");
    let text = std::fs::read_to_string(&path).expect("readable");
    assert!(text.starts_with("# why five\ntimeout 6\n\n# kept\nhz 50\n"), "{text}");
    client.send(&["SHUTDOWN", "NOSAVE"]).expect("it reads");
    assert!(process.wait().expect("it ends").success());
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn connect(port: u16) -> carnelian_testkit::Client {
    const ATTEMPTS: usize = 1000;
    for _ in 0..ATTEMPTS {
        if let Ok(client) = carnelian_testkit::Client::connect(([127, 0, 0, 1], port).into()) {
            return client;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nobody listens on port {port}");
}

fn signal(process: u32, name: &str) {
    let status =
        Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().expect("kill runs");
    assert!(status.success());
}
