//! Where the server listens.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::toy::{BACKENDS, Client, Server, config, free_port, on};
use carnelian_net::{Config, ListenError, Net};

fn bound(bind: &[&str], port: u16) -> Config {
    Config { bind: bind.iter().map(|addr| (*addr).to_owned()).collect(), port, ..Config::default() }
}

fn ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn addresses_change_at_run_time() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut old = server.connect();
        let (busy, new) = (TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
        let busy = busy.local_addr().map(|addr| (addr.port(), busy)).unwrap();
        // Not to be had: everything stays.
        old.check(
            &format!("REBIND {} 127.0.0.1", busy.0),
            &format!(
                "-ERR Could not create server TCP listening socket 127.0.0.1:{}: bind: Address already in use\r\n",
                busy.0
            ),
        );
        server.connect().check("PING", "+PONG\r\n");
        // Another port; connections stay.
        old.check(&format!("REBIND {new} 127.0.0.1"), "+OK\r\n");
        old.check("PING", "+PONG\r\n");
        assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
        Client::new(TcpStream::connect(("127.0.0.1", new)).unwrap()).check("PING", "+PONG\r\n");
        // More addresses on the same port: the first is kept.
        old.check(&format!("REBIND {new} 127.0.0.1 127.0.0.2 -192.0.2.1"), "+OK\r\n");
        assert_eq!(old.info("listening"), format!("127.0.0.1:{new} 127.0.0.2:{new}"));
        Client::new(TcpStream::connect(("127.0.0.2", new)).unwrap()).check("PING", "+PONG\r\n");
        // All addresses: the special ones are in the way.
        old.check(&format!("REBIND {new} *"), "+OK\r\n");
        assert_eq!(old.info("listening"), format!("0.0.0.0:{new}"));
        // And back, with one that cannot be had: what was displaced returns.
        old.send(&[b"REBIND", new.to_string().as_bytes(), b"127.0.0.1", b"192.0.2.1"]);
        assert!(old.line().contains("192.0.2.1"));
        assert_eq!(old.info("listening"), format!("0.0.0.0:{new}"));
        Client::new(TcpStream::connect(("127.0.0.2", new)).unwrap()).check("PING", "+PONG\r\n");
        // Nowhere.
        old.check("REBIND 0 127.0.0.1", "+OK\r\n");
        assert_eq!(old.info("listening"), "");
        old.check("PING", "+PONG\r\n");
    }
}

#[test]
fn ipv6_addresses() {
    let port = free_port();
    let server = Server::start(bound(&["127.0.0.1", "-::1"], port));
    server.connect().check("PING", "+PONG\r\n");
    if ipv6() {
        let mut client = Client::new(TcpStream::connect(("::1", port)).unwrap());
        let local = client.stream.local_addr().unwrap();
        assert_eq!(client.info("addr"), format!("[::1]:{} [::1]:{port}", local.port()));
    }
}

#[test]
fn all_addresses_of_both_families() {
    let port = free_port();
    let server = Server::start(bound(&["*", "-::*"], port));
    let mut client = server.connect();
    let local = client.stream.local_addr().unwrap();
    assert_eq!(client.info("addr"), format!("{local} 127.0.0.1:{port}"));
    if ipv6() {
        Client::new(TcpStream::connect(("::1", port)).unwrap()).check("PING", "+PONG\r\n");
        assert_eq!(client.info("listening"), format!("0.0.0.0:{port} [::]:{port}"));
    }
}

#[test]
fn names_are_resolved_and_nonsense_is_refused() {
    let port = free_port();
    let server = Server::start(bound(&["localhost", "-192.0.2.1"], port));
    server.connect().check("PING", "+PONG\r\n");
    drop(server);
    for missing in ["192.0.2.1", "no.such.host.invalid", "-no.such.host.invalid"] {
        let mut net = Net::new(bound(&["127.0.0.1", missing], port)).unwrap();
        let error = net.listen().unwrap_err();
        assert!(matches!(&error, ListenError::Tcp { address, .. } if address == missing), "{error}");
        assert_eq!(net.listening().count(), 0, "all or nothing");
    }
}

#[test]
fn the_unix_socket() {
    for backend in BACKENDS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        // An earlier server has left its file.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let unix_socket = Some(path.clone());
        let server =
            Server::start(Config { unix_socket, unix_permissions: Some(0o640), port: 0, ..on(backend) });
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let mut client = Client { stream: UnixStream::connect(&path).unwrap() };
        client.check("PING", "+PONG\r\n");
        let place = format!("{}:0", path.display());
        assert_eq!(client.info("addr"), format!("{place} {place}"));
        drop(server);
        assert!(!path.exists(), "the file goes with the server");
    }
}

#[test]
fn a_file_that_is_no_socket_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let mut net = Net::new(Config { unix_socket: Some(path.clone()), ..config() }).unwrap();
    let error = net.listen().unwrap_err();
    assert_eq!(error.to_string(), "Failed opening Unix socket: bind: Address already in use");
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
}

#[test]
fn bursts_of_connections_are_bounded_but_all_served() {
    let server = Server::start(Config { max_accepts_per_turn: 1, ..config() });
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.check("PING", "+PONG\r\n"));
    assert_eq!(clients[0].info("received"), "50");
}
