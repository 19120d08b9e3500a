//! The server's connections: the addresses it listens on, buffers, and clients that behave badly.
//!
//! Every expectation here holds for the real Redis, too, except for the memory of idle clients: `SERVER_UNDER_TEST` names
//! another binary to try them on.

#![expect(clippy::disallowed_methods, reason = "tests wait, and look at the time")]

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use carnelian_testkit::{Client, Server, ServerOptions};

const PATIENCE: Duration = Duration::from_secs(20);

fn start() -> Server {
    let binary = std::env::var_os("SERVER_UNDER_TEST");
    let binary: OsString = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_carnelian-server").into());
    ServerOptions::new(binary).start().expect("it starts")
}

fn call(client: &mut Client, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').map(|word| if word == "\"\"" { "" } else { word }).collect();
    String::from_utf8(client.call(&words).expect("a reply")).expect("text")
}

#[track_caller]
fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The number behind a name in the line that CLIENT LIST has for a client.
fn field(asking: &mut Client, client: &str, name: &str) -> Option<u64> {
    let list = call(asking, "CLIENT LIST");
    let line = list.lines().find(|line| line.contains(&format!(" name={client} ")))?;
    let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    Some(value.expect("the line has the field").parse().expect("a number"))
}

fn query_buffer(asking: &mut Client, client: &str) -> u64 {
    let mut size = |name| field(asking, client, name).expect("it is connected");
    size("qbuf") + size("qbuf-free")
}

/// A value of INFO.
fn info(client: &mut Client, name: &str) -> u64 {
    let text = call(client, "INFO everything");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("INFO has the field").parse().expect("a number")
}

/// Resident kilobytes of a process: `VmRSS` now, `VmHWM` at most so far.
#[cfg(target_os = "linux")]
fn resident_kb(server: &Server, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(which)).expect("a line of the file");
    line.split_whitespace().nth(1).expect("a value").parse().expect("a number")
}

#[test]
fn ports_and_addresses_change_or_stay() {
    let server = start();
    let mut client = server.connect().expect("it listens");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let taken_port = taken.local_addr().expect("it is bound").port();
    for (command, reason) in [
        (
            format!("CONFIG SET port {taken_port}"),
            "'port') - Unable to listen on this port. Check server logs.",
        ),
        ("CONFIG SET bind 999.999.999.999".into(), "'bind') - Failed to bind to specified addresses."),
        ("CONFIG SET bind 192.0.2.1".into(), "'bind') - Failed to bind to specified addresses."),
    ] {
        let reply = call(&mut client, &command);
        let expected = format!("-ERR CONFIG SET failed (possibly related to argument {reason}\r\n");
        assert_eq!(reply, expected, "{command}");
    }
    for detail in [
        format!(":{taken_port}: bind: Address already in use"),
        format!("999.999.999.999:{}: ", server.address().port()),
        format!("192.0.2.1:{}: bind: Cannot assign requested address", server.address().port()),
    ] {
        let log = server.log();
        let warning = "# Warning: Could not create server TCP listening socket ";
        assert!(log.lines().any(|line| line.contains(warning) && line.contains(&detail)), "{detail}: {log}");
    }
    assert!(server.connect().is_ok(), "it listens where it did");
    drop(taken);

    assert_eq!(call(&mut client, &format!("CONFIG SET bind 127.0.0.1 port {taken_port}")), "+OK\r\n");
    let moved = SocketAddr::from((Ipv4Addr::LOCALHOST, taken_port));
    assert!(server.connect().is_err(), "the old port is closed");
    assert_eq!(call(&mut Client::connect(moved).expect("the new one is open"), "PING"), "+PONG\r\n");
    let listener = format!("listener0:name=tcp,bind=127.0.0.1,port={taken_port}\r\n");
    assert!(call(&mut client, "INFO server").contains(&listener));

    for nowhere in ["CONFIG SET bind \"\"", "CONFIG SET port 0"] {
        assert_eq!(call(&mut client, nowhere), "+OK\r\n");
        assert!(TcpStream::connect(moved).is_err(), "{nowhere}");
    }
    assert_eq!(call(&mut client, &format!("CONFIG SET bind * port {taken_port}")), "+OK\r\n");
    assert!(Client::connect(moved).is_ok());
}

#[test]
fn query_buffers_are_private_only_while_needed() {
    let server = start();
    let mut asking = server.connect().expect("it listens");
    let mut client = server.connect().expect("it listens");
    call(&mut asking, "CONFIG SET hz 100");
    call(&mut client, "CLIENT SETNAME tested");
    assert_eq!(query_buffer(&mut asking, "tested"), 0);

    call(&mut asking, "DEBUG PAUSE-CRON 1");
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$2\r\na").expect("it reads");
    eventually("it has a buffer", || query_buffer(&mut asking, "tested") > 0);
    client.send_raw(b"a\r\n$1\r\nb\r\n").expect("it reads");
    assert_eq!(client.read_reply().expect("a reply"), b"+OK\r\n");
    assert!((16_384..=32_770).contains(&query_buffer(&mut asking, "tested")));
    call(&mut asking, "DEBUG PAUSE-CRON 0");
    eventually("it has none", || query_buffer(&mut asking, "tested") == 0);
    assert!(field(&mut asking, "tested", "idle").expect("it is connected") >= 2);

    client.send(&[b"SET".as_slice(), b"k", &[b'v'; 400_000]]).expect("it reads");
    assert_eq!(client.read_reply().expect("a reply"), b"+OK\r\n");
    eventually("it shrinks while the client is active", || {
        call(&mut client, "SET k v");
        query_buffer(&mut asking, "tested") < 32_770
    });
}

#[test]
#[cfg(target_os = "linux")]
fn idle_clients_cost_little() {
    const CLIENTS: usize = 500;
    let server = start();
    let mut clients = vec![server.connect().expect("it listens")];
    call(&mut clients[0], "PING");
    let before = resident_kb(&server, "VmRSS");
    clients.extend((0..CLIENTS).map(|_| server.connect().expect("it listens")));
    for client in &mut clients {
        assert_eq!(call(client, "PING"), "+PONG\r\n");
    }
    let each = (resident_kb(&server, "VmRSS") - before) * 1024 / CLIENTS as u64;
    assert!(each < 4096, "{each} bytes per client");
}

/// 1 GB is asked for and never read; the limit ends it, and another client does not notice.
#[test]
#[cfg(target_os = "linux")]
fn a_client_that_never_reads_costs_no_more_than_its_limit() {
    let server = start();
    let mut good = server.connect().expect("it listens");
    good.send(&[b"SET".as_slice(), b"big", &[b'v'; 1_000_000]]).expect("it reads");
    assert_eq!(good.read_reply().expect("a reply"), b"+OK\r\n");
    let limit = "normal 20000000 0 0";
    let reply = good.call(&["CONFIG", "SET", "client-output-buffer-limit", limit]).expect("a reply");
    assert_eq!(reply, b"+OK\r\n");
    let mut bad = server.connect().expect("it listens");
    // It may be closed before all is sent.
    let sent = bad.send_raw(&b"GET big\r\n".repeat(1000));
    eventually("it is closed", || {
        assert_eq!(call(&mut good, "PING"), "+PONG\r\n");
        info(&mut good, "client_output_buffer_limit_disconnections") == 1
    });
    assert!(resident_kb(&server, "VmHWM") < 120_000);
    assert!(server.log().contains("for overcoming of output buffer limits."), "{sent:?}");
}

#[test]
fn too_long_queries_are_ended() {
    let server = start();
    let mut good = server.connect().expect("it listens");
    assert_eq!(call(&mut good, "CONFIG SET client-query-buffer-limit 1mb"), "+OK\r\n");
    let mut bad = server.connect().expect("it listens");
    bad.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n").expect("it reads");
    assert!(bad.send_raw(&vec![b'x'; 50_000_000]).is_err(), "it stops reading");
    assert_eq!(info(&mut good, "client_query_buffer_limit_disconnections"), 1);
    assert!(server.log().contains("Closing client that reached max query buffer length: "));
}

#[test]
fn garbage_and_half_commands_harm_nobody() {
    let server = start();
    let mut good = server.connect().expect("it listens");
    let pieces: [&[u8]; 6] = [
        b"",
        b"\x16\x03\x01\x02\x00",
        b"*1\r\n$-7\r\n",
        b"*3\r\n$3\r\nSET\r\n$1000",
        b"GET",
        b"PING\r\n*-5\r\n*1",
    ];
    for piece in pieces.into_iter().cycle().take(600) {
        let mut bad = server.connect().expect("it listens");
        bad.send_raw(piece).expect("it reads");
    }
    assert_eq!(call(&mut good, "PING"), "+PONG\r\n");
    eventually("they are gone", || info(&mut good, "connected_clients") == 1);
}
