//! Clients that take too much, send too much, or nonsense: they are contained, and nobody else notices.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::toy::{BACKENDS, Server, Toy, config, eventually, hard_limit, on, request};
use carnelian_net::{Class, Config, OutputLimit};

/// Collects warnings.
struct Collector(Mutex<Vec<String>>);

static LOG: Collector = Collector(Mutex::new(Vec::new()));

impl log::Log for Collector {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn collect_log() {
    // Several tests install it; the first one succeeds.
    if log::set_logger(&LOG).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

fn logged(text: &str) -> bool {
    LOG.0.lock().unwrap().iter().any(|line| line.contains(text))
}

fn normal_limit(limit: OutputLimit) -> Config {
    let mut config = config();
    config.output_limits[Class::Normal as usize] = limit;
    config
}

#[test]
fn a_client_that_never_reads_is_closed() {
    collect_log();
    for backend in BACKENDS {
        let server = Server::start(Config { backend, ..normal_limit(hard_limit(20_000_000)) });
        let mut good = server.connect();
        good.send(&[b"SET", b"k", &[b'v'; 1_000_000]]);
        good.expect(b"+OK\r\n");
        let mut bad = server.connect();
        bad.check("ID", ":2\r\n");
        bad.stream.write_all(&request(&[b"GET", b"k"]).repeat(200)).unwrap();
        eventually("the limit is noticed", || good.count("outlimit") == 1);
        good.check("PING", "+PONG\r\n");
        assert_eq!(good.info("connected"), "1");
        bad.rest();
    }
    assert!(logged("Client id=2 scheduled to be closed ASAP for overcoming of output buffer limits."));
}

#[test]
fn the_soft_limit_takes_its_time() {
    let soft_for = Duration::from_millis(1200);
    let server = Server::start(normal_limit(OutputLimit { hard: 0, soft: 10_000_000, soft_for }));
    let mut good = server.connect();
    good.send(&[b"SET", b"k", &[b'v'; 1_000_000]]);
    good.expect(b"+OK\r\n");
    let mut bad = server.connect();
    let start = Instant::now();
    bad.stream.write_all(&request(&[b"GET", b"k"]).repeat(50)).unwrap();
    eventually("the limit is noticed", || good.count("outlimit") == 1);
    assert!(start.elapsed() >= soft_for);
}

#[test]
fn limits_go_by_class() {
    let mut config = normal_limit(OutputLimit::default());
    config.output_limits[Class::PubSub as usize] = hard_limit(1_000_000);
    let server = Server::start(config);
    let mut sender = server.connect();
    for (subscribe, closes) in [(false, 0), (true, 1)] {
        let mut receiver = server.connect();
        let id: u64 = {
            receiver.send(&[b"ID"]);
            receiver.line()[1..].parse().unwrap()
        };
        if subscribe {
            receiver.check("PUBSUB", "+OK\r\n");
        }
        for _ in 0..20 {
            sender.send(&[b"SEND", id.to_string().as_bytes(), &[b'm'; 1_000_000]]);
            sender.expect(b"+OK\r\n");
        }
        assert_eq!(sender.count("outlimit"), closes);
    }
}

#[test]
fn too_many_clients_are_turned_away() {
    let server = Server::start(Config { max_clients: 3, ..config() });
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.check("PING", "+PONG\r\n"));
    assert_eq!(server.connect().rest(), b"-ERR max number of clients reached\r\n");
    assert_eq!(clients[0].info("rejected"), "1");
    assert_eq!(clients[0].info("received"), "3");
    clients.pop();
    eventually("there is room", || clients[0].count("connected") == 2);
    server.connect().check("PING", "+PONG\r\n");
}

#[test]
fn the_service_may_refuse() {
    let server = Server::with(config(), Toy { refuse: Some(b"-DENIED go away\r\n"), ..Toy::default() });
    for _ in 0..3 {
        assert_eq!(server.connect().rest(), b"-DENIED go away\r\n");
    }
}

#[test]
fn a_client_that_sends_too_much_is_closed() {
    collect_log();
    for backend in BACKENDS {
        let server = Server::start(Config { query_buffer_limit: 1_000_000, ..on(backend) });
        let (mut good, mut bad) = (server.connect(), server.connect());
        bad.stream.write_all(b"*2\r\n$3\r\nSET\r\n$100000000\r\n").unwrap();
        // The server stops reading at some point, and then closes.
        let sent = bad.stream.write_all(&vec![b'x'; 50_000_000]);
        assert!(sent.is_err());
        eventually("the limit is noticed", || good.count("querylimit") == 1);
        // A command counts as a whole, also if nothing of it is left over.
        let mut whole = server.connect();
        whole.stream.write_all(b"*1\r\n$1000000\r\n").unwrap();
        whole.stream.write_all(&vec![b'x'; 1_000_000]).unwrap();
        drop(whole.stream.write_all(b"\r\n"));
        eventually("the limit is noticed", || good.count("querylimit") == 2);
        assert!(good.count("in") < 20_000_000);
        good.check("PING", "+PONG\r\n");
        // Much that is executed is no problem.
        let mut writer = good.stream.try_clone().unwrap();
        let sending =
            std::thread::spawn(move || writer.write_all(&request(&[b"PING"]).repeat(200_000)).unwrap());
        good.expect(&b"+PONG\r\n".repeat(200_000));
        sending.join().unwrap();
    }
    assert!(logged(
        "Closing client that reached max query buffer length: id=2 (qbuf initial bytes: \"*2\\r\\n$3\\r\\nSET"
    ));
}

#[test]
fn a_claimed_length_gets_little_memory() {
    let server = Server::start(config());
    let mut good = server.connect();
    let mut liars: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for liar in &mut liars {
        liar.stream.write_all(b"*2\r\n$3\r\nSET\r\n$500000000\r\nabc").unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    for liar in &mut liars {
        liar.stream.write_all(b"def").unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(good.count("buffers") < 50 * 1_100_000);
    // Idle, they lose even that, and can go on all the same.
    eventually("the room is taken away", || good.count("buffers") < 50 * 1000);
    let mut liar = liars.pop().unwrap();
    liar.stream.write_all(&vec![b'x'; 3_000_000]).unwrap();
    eventually("it has arrived", || good.count("in") > 3_000_000);
    drop(liar);
    eventually("and is gone with its client", || good.count("buffers") < 50 * 1000);
}

/// What the buffers of all clients hold after one of them has sent these pieces.
fn buffers_after(steps: &[&[u8]], config: Config) -> u64 {
    let server = Server::start(config);
    let (mut good, mut client) = (server.connect(), server.connect());
    for step in steps {
        client.stream.write_all(step).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    good.count("buffers")
}

#[test]
fn own_buffers_follow_what_is_needed() {
    // Off at first, so that nothing is timing.
    let held = |steps: &[&[u8]]| buffers_after(steps, Config { hz: 1, ..config() });
    assert!(held(&[b"PING\r\n"]) < 1024, "whole commands need none");
    assert!((16_384..32_770).contains(&held(&[b"*1\r\n$4\r\nPI"])), "half a command does");
    assert!((16_384..32_770).contains(&held(&[b"*1\r\n$4\r\nPI", b"NG\r\n"])), "and keeps it");
    assert!(held(&[b"*2\r\n$4\r\nECHO\r\n$1000000\r\n"]) > 1_000_000, "an argument of known size");

    let server = Server::start(Config { hz: 100, ..config() });
    let (mut good, mut client) = (server.connect(), server.connect());
    client.send(&[b"SET", b"k", &[b'v'; 400_000]]);
    client.expect(b"+OK\r\n");
    eventually("it shrinks, but not to nothing, since the client is active", || {
        client.check("PING", "+PONG\r\n");
        (16_384..20_000).contains(&good.count("buffers"))
    });
}

#[test]
fn garbage_is_answered_and_closed() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut good = server.connect();
        let cases: [(&[u8], &[u8]); 3] = [
            (b"*1\r\n$-5\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
            (b"PING\r\n*1\r\nPING\r\n", b"+PONG\r\n-ERR Protocol error: expected '$', got 'P'\r\n"),
            (b"*99999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        ];
        for (sent, answer) in cases {
            let mut bad = server.connect();
            bad.stream.write_all(sent).unwrap();
            assert_eq!(bad.rest(), answer);
        }
        // Much more behind it does not keep the answer from arriving.
        let mut bad = server.connect();
        bad.stream.write_all(&[b"*1\r\n!\r\n".to_vec(), vec![b'g'; 60_000]].concat()).unwrap();
        assert_eq!(bad.rest(), b"-ERR Protocol error: expected '$', got '!'\r\n");
        // A line without an end.
        let mut bad = server.connect();
        bad.stream.write_all(&[b'y'; 70_000]).unwrap();
        assert_eq!(bad.rest(), b"-ERR Protocol error: too big inline request\r\n");
        assert_eq!(good.count("errors"), 5);
    }
}

#[test]
fn resets_are_survived() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut good = server.connect();
        good.send(&[b"SET", b"k", &[b'v'; 5_000_000]]);
        good.expect(b"+OK\r\n");
        for what in [&b""[..], b"PING\r\n", b"*3\r\n$3\r\nSE", b"GET k\r\nGET k\r\n"] {
            for _ in 0..10 {
                let mut bad = server.connect();
                bad.stream.write_all(what).unwrap();
                socket2::SockRef::from(&bad.stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        eventually("all have come and gone", || good.count("closed") == 40);
        assert_eq!(good.count("connected"), 1);
    }
}

#[test]
fn idle_clients_are_closed() {
    for backend in BACKENDS {
        let server = Server::start(Config { timeout: Duration::from_millis(300), ..on(backend) });
        let (mut active, mut idle, mut subscriber) = (server.connect(), server.connect(), server.connect());
        idle.check("PING", "+PONG\r\n");
        subscriber.check("PUBSUB", "+OK\r\n");
        eventually("the idle one goes", || active.count("connected") == 2);
        assert_eq!(idle.rest(), b"");
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(80));
            active.check("PING", "+PONG\r\n");
        }
        subscriber.check("PING", "+PONG\r\n");
    }
}

#[test]
fn urgent_data_and_hang_ups_do_not_spin() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let (mut good, urgent) = (server.connect(), server.connect());
        let mut half = server.connect();
        socket2::SockRef::from(&urgent.stream).send_out_of_band(b"!").unwrap();
        good.send(&[b"SET", b"k", &[b'v'; 8_000_000]]);
        good.expect(b"+OK\r\n");
        // Will send nothing more, and does not read what it asked for.
        half.stream.write_all(b"GET k\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(30));
        half.stream.shutdown(std::net::Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        let cycles = good.count("cycles");
        std::thread::sleep(Duration::from_millis(300));
        let cycles = good.count("cycles") - cycles;
        assert!(cycles < 10, "{cycles} cycles in 300 ms");
        // Gone altogether, it is noticed.
        drop(half);
        eventually("it is closed", || good.count("connected") == 2);
    }
}
