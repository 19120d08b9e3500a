//! A small service with commands that exercise every part of the interface, and a server around it on a thread.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use carnelian_net::{
    Admission, Backend, Class, Config, ConnId, Deadline, How, Net, Next, Outcome, OutputLimit, Service, Waker,
};
use carnelian_resp::{Argv, Batch, Limits, ProtocolError, ReplyBuf};

pub(crate) const BACKENDS: [Backend; 2] = [Backend::Native, Backend::Portable];

/// Keys and values, and what the tests want to know.
#[derive(Default)]
pub(crate) struct Toy {
    pub(crate) values: HashMap<Vec<u8>, Bytes>,
    pub(crate) ids: HashMap<u64, ConnId>,
    /// Admits nobody.
    pub(crate) refuse: Option<&'static [u8]>,
    /// Asks to be called this often.
    pub(crate) period: Option<Duration>,
    pub(crate) sleeps: u64,
    pub(crate) wakes: u64,
    pub(crate) protocol_errors: u64,
    pub(crate) closed: u64,
    /// Executed, and then: everything else waits.
    pub(crate) paused: Vec<ConnId>,
}

impl Toy {
    /// Executes one command. `None` leaves it for later, after a `RESUME`.
    fn execute(&mut self, net: &mut Net, id: ConnId, argv: Argv<'_>, out: &mut ReplyBuf) -> Option<Next> {
        let text = |i: usize| String::from_utf8_lossy(argv.arg(i)).into_owned();
        let number = |i: usize| text(i).parse::<u64>().expect("the tests send numbers");
        match argv.arg(0) {
            b"PING" => out.simple("PONG"),
            b"ECHO" => out.bulk(argv.arg(1)),
            b"SET" => {
                self.values.insert(argv.arg(1).to_vec(), Bytes::copy_from_slice(argv.arg(2)));
                out.ok();
            }
            b"GET" => match self.values.get(argv.arg(1)) {
                Some(value) => out.shared(value.clone()),
                None => out.null(),
            },
            b"ID" => out.integer(id.serial as i64),
            b"SEND" => {
                let to = self.ids.get(&number(1)).copied();
                to.into_iter().for_each(|to| net.send(to, |out| out.bulk(argv.arg(2))));
                out.ok();
            }
            b"KILL" => {
                let to = self.ids.get(&number(1)).copied();
                to.into_iter().for_each(|to| net.close(to, How::Now));
                out.ok();
            }
            b"PAUSE" => {
                // Executed itself; what follows waits.
                self.paused.push(id);
                return Some(Next::Pause);
            }
            b"RESUME" => {
                let paused = std::mem::take(&mut self.paused);
                out.integer(paused.len() as i64);
                for id in paused {
                    net.send(id, |out| out.simple("RESUMED"));
                    net.resume(id);
                }
            }
            b"QUIT" => {
                out.ok();
                return Some(Next::CloseAfterReply);
            }
            b"DIE" => return Some(Next::CloseNow),
            b"STOP" => {
                net.stop();
                out.ok();
            }
            b"PUBSUB" => {
                net.set_class(id, Class::PubSub);
                out.ok();
            }
            b"REBIND" => {
                let bind =
                    argv.skip(2).iter().map(|addr| String::from_utf8_lossy(addr).into_owned()).collect();
                match net.set_bind(bind, number(1) as u16) {
                    Ok(()) => out.ok(),
                    Err(error) => out.error(format!("ERR {error}").as_bytes()),
                }
            }
            b"INFO" => out.bulk(self.info(net, &text(1), id).as_bytes()),
            other => out.error(&[b"ERR unknown command ", other].concat()),
        }
        Some(Next::Continue)
    }

    fn info(&self, net: &Net, field: &str, id: ConnId) -> String {
        let stats = net.stats();
        let own = net.conn(id).expect("the asking connection exists");
        match field {
            "addr" => format!("{} {}", own.addr(), own.local_addr()),
            "input" => own.input_len().to_string(),
            "commands" => own.commands().to_string(),
            "received" => stats.connections_received.to_string(),
            "rejected" => stats.rejected_connections.to_string(),
            "connected" => net.connected().to_string(),
            "outlimit" => stats.output_buffer_limit_disconnections.to_string(),
            "querylimit" => stats.query_buffer_limit_disconnections.to_string(),
            "reads" => stats.reads_processed.to_string(),
            "writes" => stats.writes_processed.to_string(),
            "in" => stats.net_input_bytes.to_string(),
            "cycles" => net.loop_stats().cycles.to_string(),
            "sleeps" => self.sleeps.to_string(),
            "wakes" => self.wakes.to_string(),
            "errors" => self.protocol_errors.to_string(),
            "closed" => self.closed.to_string(),
            "buffers" => net.conns().map(|c| c.input_memory() + c.output_memory()).sum::<usize>().to_string(),
            "listening" => {
                let mut addrs: Vec<_> = net.listening().map(|addr| addr.to_string()).collect();
                addrs.sort();
                addrs.join(" ")
            }
            other => panic!("no such field: {other}"),
        }
    }
}

impl Service for Toy {
    fn accepted(&mut self, net: &mut Net, id: ConnId, _: &mut ReplyBuf) -> Admission {
        assert!(net.conn(id).is_some());
        if let Some(text) = self.refuse {
            return Admission::Refuse(text);
        }
        self.ids.insert(id.serial, id);
        Admission::Accept
    }

    fn limits(&self, _: ConnId) -> Limits {
        Limits::default()
    }

    fn requests(
        &mut self,
        net: &mut Net,
        id: ConnId,
        batch: &Batch,
        buf: &[u8],
        out: &mut ReplyBuf,
    ) -> Outcome {
        assert!(!batch.is_empty());
        for i in 0..batch.len() {
            match self.execute(net, id, batch.argv(i, buf), out) {
                Some(Next::Continue) => {}
                Some(next) => return Outcome { executed: i + 1, next },
                None => return Outcome { executed: i, next: Next::Pause },
            }
        }
        Outcome { executed: batch.len(), next: Next::Continue }
    }

    fn protocol_error(&mut self, _: &mut Net, _: ConnId, _: &ProtocolError, _: &mut ReplyBuf) {
        self.protocol_errors += 1;
    }

    fn closed(&mut self, _: &mut Net, id: ConnId) {
        self.closed += 1;
        assert!(self.ids.remove(&id.serial).is_some(), "closed once, and only if admitted");
        self.paused.retain(|paused| *paused != id);
    }

    fn after_sleep(&mut self, _: &mut Net) {}

    fn before_sleep(&mut self, net: &mut Net) -> Option<Deadline> {
        self.sleeps += 1;
        self.period.map(|period| net.now().after(period))
    }

    fn describe(&self, _: &Net, id: ConnId) -> String {
        format!("id={}", id.serial)
    }

    fn woken(&mut self, _: &mut Net) {
        self.wakes += 1;
    }
}

/// A server on a thread of its own; stopped when dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) waker: Waker,
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(config: Config) -> Server {
        Server::with(config, Toy::default())
    }

    /// With `port` 0 in the configuration and no Unix socket, on a free port of the loopback interface.
    pub(crate) fn with(mut config: Config, mut toy: Toy) -> Server {
        if config.port == 0 && config.unix_socket.is_none() {
            config.port = free_port();
            config.bind = vec!["127.0.0.1".to_owned()];
        }
        let port = config.port;
        let (stop, stopped) = mpsc::channel();
        let mut net = Net::new(config).expect("a reactor can be made");
        net.listen().expect("a free port can be listened on");
        let waker = net.waker();
        let thread = std::thread::spawn(move || {
            while stopped.try_recv().is_err() {
                net.turn(&mut toy).expect("waiting works");
            }
        });
        Server { port, waker, stop, thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop.send(()).is_ok() {
            self.waker.wake();
        }
        let result = self.thread.take().expect("joined once").join();
        if !std::thread::panicking() {
            result.expect("the server does not panic");
        }
    }
}

/// Default settings for tests: a port chosen by [`Server::with`].
pub(crate) fn config() -> Config {
    Config { port: 0, ..Config::default() }
}

pub(crate) fn on(backend: Backend) -> Config {
    Config { backend, ..config() }
}

pub(crate) fn hard_limit(bytes: u64) -> OutputLimit {
    OutputLimit { hard: bytes, ..OutputLimit::default() }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface exists");
    listener.local_addr().expect("it is bound").port()
}

/// A blocking client.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
}

impl Client<TcpStream> {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
        stream.set_nodelay(true).expect("it is TCP");
        Client { stream }
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, args: &[&[u8]]) {
        self.stream.write_all(&request(args)).expect("the server reads");
    }

    /// Sends the words of a command and expects this answer.
    pub(crate) fn check(&mut self, command: &str, answer: &str) {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.send(&words);
        self.expect(answer.as_bytes());
    }

    pub(crate) fn expect(&mut self, answer: &[u8]) {
        let mut got = vec![0; answer.len()];
        self.stream.read_exact(&mut got).expect("the server answers");
        assert_eq!(got.escape_ascii().to_string(), answer.escape_ascii().to_string());
    }

    /// The bytes of a bulk string.
    pub(crate) fn bulk(&mut self) -> Vec<u8> {
        let line = self.line();
        let len: usize = line.strip_prefix('$').expect("a bulk string").parse().expect("its length");
        let mut value = vec![0; len + 2];
        self.stream.read_exact(&mut value).expect("the server answers");
        assert_eq!(value.split_off(len), b"\r\n");
        value
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("the server answers");
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("text")
    }

    pub(crate) fn info(&mut self, field: &str) -> String {
        self.send(&[b"INFO", field.as_bytes()]);
        String::from_utf8(self.bulk()).expect("text")
    }

    pub(crate) fn count(&mut self, field: &str) -> u64 {
        self.info(field).parse().expect("a number")
    }

    /// The server closes the connection; what it sent before that.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server should have closed: {error}"),
        }
        rest
    }
}

pub(crate) fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Waits for something that takes a turn or two.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if check() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("not within 5 s: {what}");
}
