//! Requests and replies over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::toy::{BACKENDS, Client, Server, Toy, config, eventually, on, request};
use carnelian_net::{Config, Net};

#[test]
fn pipelined_commands_are_answered_in_order() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut client = server.connect();
        let mut commands = Vec::new();
        let mut answers = Vec::new();
        for i in 0..20_000 {
            let text = i.to_string();
            commands.extend(request(&[b"ECHO", text.as_bytes()]));
            answers.extend(format!("${}\r\n{text}\r\n", text.len()).into_bytes());
        }
        let mut writer = client.stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || writer.write_all(&commands).unwrap());
        client.expect(&answers);
        sending.join().unwrap();
        assert_eq!(client.info("commands"), "20000");
    }
}

#[test]
fn a_pipeline_costs_one_read_and_one_write() {
    let server = Server::start(config());
    let mut client = server.connect();
    client.check("PING", "+PONG\r\n");
    let (reads, writes) = (client.count("reads"), client.count("writes"));
    let pipeline = request(&[b"PING"]).repeat(100);
    client.stream.write_all(&pipeline).unwrap();
    client.expect(&b"+PONG\r\n".repeat(100));
    // The pipeline, and the two questions for the counters; the answer to a question counts only after it.
    assert_eq!(client.count("reads") - reads, 3);
    assert_eq!(client.count("writes") - writes, 3);
}

#[test]
fn commands_may_be_split_anywhere() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut client = server.connect();
        let mut stream = request(&[b"SET", b"k", b"some value"]);
        stream.extend_from_slice(b"GET k\r\n\r\n*0\r\n");
        stream.extend(request(&[b"ECHO", b"x"]));
        let answer = b"+OK\r\n$10\r\nsome value\r\n$1\r\nx\r\n";
        for split in 1..stream.len() {
            client.stream.write_all(&stream[..split]).unwrap();
            let before = client.stream.try_clone().unwrap();
            before.set_nodelay(true).unwrap();
            std::thread::sleep(Duration::from_micros(300));
            client.stream.write_all(&stream[split..]).unwrap();
            client.expect(answer);
        }
        for byte in &stream {
            client.stream.write_all(&[*byte]).unwrap();
            std::thread::sleep(Duration::from_micros(300));
        }
        client.expect(answer);
        // Half a command gets a client a buffer of its own, until it has been idle for some seconds.
        let mut other = server.connect();
        let buffers = other.count("buffers");
        assert!((16_384..=32_770).contains(&buffers), "{buffers}");
        eventually("no buffer is kept", || other.count("buffers") < 1024);
        client.check("PING", "+PONG\r\n");
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn large_values_come_and_go() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut client = server.connect();
        let value = noise(64 << 20);
        client.send(&[b"SET", b"big", &value]);
        client.expect(b"+OK\r\n");
        assert!(client.count("buffers") < 1_100_000, "most of the input's buffer is gone at once");
        eventually("the rest follows", || client.count("buffers") < 20_000);
        // A second one reads slowly at first: partial writes.
        let mut slow = server.connect();
        slow.send(&[b"GET", b"big"]);
        std::thread::sleep(Duration::from_millis(50));
        client.check("PING", "+PONG\r\n");
        client.send(&[b"GET", b"big"]);
        assert!(client.bulk() == value);
        assert!(slow.bulk() == value);
        slow.check("PING", "+PONG\r\n");
    }
}

#[test]
fn many_shared_values_in_one_reply_buffer() {
    let server = Server::start(config());
    let mut client = server.connect();
    let value = noise(20_000);
    client.send(&[b"SET", b"k", &value]);
    client.expect(b"+OK\r\n");
    let mut pipeline = Vec::new();
    for _ in 0..500 {
        pipeline.extend(request(&[b"GET", b"k"]));
        pipeline.extend(request(&[b"PING"]));
    }
    client.stream.write_all(&pipeline).unwrap();
    for _ in 0..500 {
        assert!(client.bulk() == value);
        client.expect(b"+PONG\r\n");
    }
}

#[test]
fn a_paused_client_waits_with_its_commands() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let (mut waiting, mut other) = (server.connect(), server.connect());
        waiting.stream.write_all(b"ECHO 1\r\nPAUSE\r\nECHO 2\r\nECHO 3\r\nEC").unwrap();
        waiting.expect(b"$1\r\n1\r\n");
        other.check("PING", "+PONG\r\n");
        waiting.stream.write_all(b"HO 4\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        other.check("RESUME", ":1\r\n");
        waiting.expect(b"+RESUMED\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n");
        waiting.check("PING", "+PONG\r\n");
        assert_eq!(waiting.info("commands"), "6");
    }
}

#[test]
fn a_paused_client_that_sends_on_is_read_later() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let (mut waiting, mut other) = (server.connect(), server.connect());
        waiting.stream.write_all(b"PAUSE\r\n").unwrap();
        let mut writer = waiting.stream.try_clone().unwrap();
        let pipeline = request(&[b"ECHO", &[b'x'; 1000]]).repeat(5000);
        let sending = std::thread::spawn(move || writer.write_all(&pipeline).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        assert!(other.count("in") < 1_000_000, "only a little is read ahead");
        let cycles = other.count("cycles");
        std::thread::sleep(Duration::from_millis(100));
        assert!(other.count("cycles") - cycles < 10, "and nothing spins meanwhile");
        other.check("RESUME", ":1\r\n");
        waiting.expect(b"+RESUMED\r\n");
        for _ in 0..5000 {
            assert_eq!(waiting.bulk(), [b'x'; 1000]);
        }
        sending.join().unwrap();
    }
}

#[test]
fn a_paused_client_that_hangs_up_is_noticed() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut other = server.connect();
        for extra in [0, 10, 200_000] {
            let closed = other.count("closed");
            let mut waiting = server.connect();
            waiting.stream.write_all(b"PAUSE\r\n").unwrap();
            waiting.stream.write_all(&request(&[b"PING"]).repeat(extra / 10)).unwrap();
            eventually("it is paused", || other.count("connected") == 2);
            std::thread::sleep(Duration::from_millis(20));
            // With unread data about, closing resets the connection.
            socket2::SockRef::from(&waiting.stream).set_linger(Some(Duration::ZERO)).unwrap();
            drop(waiting);
            eventually("it is closed", || other.count("closed") == closed + 1);
        }
    }
}

#[test]
fn closing_after_a_reply_drops_what_follows() {
    let server = Server::start(config());
    let mut client = server.connect();
    client.stream.write_all(b"PING\r\nQUIT\r\nPING\r\n").unwrap();
    assert_eq!(client.rest(), b"+PONG\r\n+OK\r\n");
    let mut client = server.connect();
    client.stream.write_all(b"PING\r\nDIE\r\nPING\r\n").unwrap();
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_large_last_reply_is_sent_before_closing() {
    let server = Server::start(config());
    let mut client = server.connect();
    let value = noise(8 << 20);
    client.send(&[b"SET", b"k", &value]);
    client.expect(b"+OK\r\n");
    client.stream.write_all(b"GET k\r\nQUIT\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(client.bulk() == value);
    assert_eq!(client.rest(), b"+OK\r\n");
    // Half-closed: it will not send any more, but it reads.
    let mut client = server.connect();
    client.stream.write_all(b"GET k\r\nPING\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    client.stream.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(client.bulk() == value);
    assert_eq!(client.rest(), b"+PONG\r\n");
}

#[test]
fn commands_can_write_to_other_connections() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let (mut a, mut b) = (server.connect(), server.connect());
        a.check("ID", ":1\r\n");
        b.check("ID", ":2\r\n");
        b.check("SEND 1 hello", "+OK\r\n");
        a.expect(b"$5\r\nhello\r\n");
        // To itself: behind the replies of the batch.
        a.stream.write_all(b"SEND 1 self\r\nPING\r\n").unwrap();
        a.expect(b"+OK\r\n+PONG\r\n$4\r\nself\r\n");
        // To one that is gone.
        b.check("KILL 1", "+OK\r\n");
        assert_eq!(a.rest(), b"");
        b.check("SEND 1 hello", "+OK\r\n");
        b.check("SEND 77 hello", "+OK\r\n");
    }
}

#[test]
fn serials_are_unique_while_slots_are_reused() {
    let server = Server::start(config());
    let mut first = server.connect();
    first.check("ID", ":1\r\n");
    for serial in 2..50 {
        let mut client = server.connect();
        client.check("ID", &format!(":{serial}\r\n"));
        drop(client);
        eventually("it is gone", || first.count("connected") == 1);
    }
}

#[test]
fn two_thousand_connections() {
    const WANTED: usize = 2000;
    // Both ends are in this process.
    let room = carnelian_net::raise_open_files(2 * WANTED + 200).max_clients;
    let count = WANTED.min(room.saturating_sub(200) / 2);
    for backend in BACKENDS {
        let server = Server::start(Config { max_accepts_per_turn: 1000, ..on(backend) });
        let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
        for _ in 0..2 {
            clients.iter_mut().for_each(|client| client.send(&[b"PING"]));
            clients.iter_mut().for_each(|client| client.expect(b"+PONG\r\n"));
        }
        assert_eq!(clients[0].info("connected"), count.to_string());
        assert!(clients[0].count("buffers") < 1024, "idle connections hold nothing");
        clients.truncate(1);
        eventually("all are gone", || clients[0].count("connected") == 1);
    }
}

#[test]
fn other_threads_wake_the_loop() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut client = server.connect();
        for _ in 0..20 {
            let before = client.count("wakes");
            let wakers: Vec<_> = (0..4)
                .map(|_| {
                    let waker = server.waker.clone();
                    std::thread::spawn(move || waker.wake())
                })
                .collect();
            wakers.into_iter().for_each(|thread| thread.join().unwrap());
            eventually("woken", || client.count("wakes") > before);
        }
    }
}

#[test]
fn the_service_is_called_when_it_wants() {
    for backend in BACKENDS {
        let toy = Toy { period: Some(Duration::from_millis(10)), ..Toy::default() };
        let server = Server::with(on(backend), toy);
        let mut client = server.connect();
        let before = client.count("sleeps");
        std::thread::sleep(Duration::from_millis(300));
        let calls = client.count("sleeps") - before;
        assert!((10..60).contains(&calls), "{calls} calls in 300 ms at a period of 10 ms");
    }
}

#[test]
fn an_idle_loop_sleeps() {
    for backend in BACKENDS {
        let server = Server::start(on(backend));
        let mut client = server.connect();
        let before = client.count("cycles");
        std::thread::sleep(Duration::from_millis(500));
        let cycles = client.count("cycles") - before;
        assert!(cycles < 12, "{cycles} cycles in 500 ms");
        let mut end = [0];
        client.send(&[b"QUIT"]);
        client.expect(b"+OK\r\n");
        assert_eq!(client.stream.read(&mut end).unwrap(), 0);
    }
}

#[test]
fn stopping_sends_what_has_been_answered() {
    let port = crate::toy::free_port();
    let mut net = Net::new(Config { bind: vec!["127.0.0.1".to_owned()], port, ..Config::default() }).unwrap();
    net.listen().unwrap();
    let running = std::thread::spawn(move || net.run(&mut Toy::default()).unwrap());
    let mut client = Client::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    client.stream.write_all(b"PING\r\nINFO input\r\nSTOP\r\n").unwrap();
    assert_eq!(client.rest(), b"+PONG\r\n$2\r\n24\r\n+OK\r\n");
    running.join().unwrap();
}
