//! A host for fuzzed scripts: its only command echoes its words, and scripts may take a few ticks only.

use carnelian_scripting::{Host, LogLevel, Protocol, Replication, Reply, Scripts, Verdict, Versions, Words};

/// Bytes that scripts may allocate.
pub(crate) const LIMIT: usize = 32 << 20;

/// Ticks that a script may take.
const PATIENCE: u32 = 20;

/// The host.
pub(crate) struct Echo {
    words: Vec<Vec<u8>>,
    ticks: u32,
}

impl Host for Echo {
    fn word(&mut self, bytes: &[u8]) {
        self.words.push(bytes.to_vec());
    }
    fn number(&mut self, value: f64) {
        self.words.push(value.to_string().into_bytes());
    }
    fn drop_words(&mut self) {
        self.words.clear();
    }
    fn call(&mut self, _: Protocol, read: &mut dyn FnMut(&[u8])) {
        let mut reply = format!("*{}\r\n", self.words.len()).into_bytes();
        for word in std::mem::take(&mut self.words) {
            reply.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            reply.extend_from_slice(&word);
            reply.extend_from_slice(b"\r\n");
        }
        read(&reply);
    }
    fn is_permitted(&mut self) -> Option<bool> {
        self.words.clear();
        Some(true)
    }
    fn log(&mut self, _: LogLevel, _: &[u8]) {}
    fn set_replication(&mut self, _: Replication) {}
    fn tick(&mut self) -> Verdict {
        self.ticks += 1;
        if self.ticks > PATIENCE { Verdict::Stop("stopped") } else { Verdict::Continue }
    }
}

/// Takes results, and the last string of each.
#[derive(Default)]
pub(crate) struct Sink(pub(crate) Option<Vec<u8>>);

impl Reply for Sink {
    fn null(&mut self) {}
    fn boolean(&mut self, _: bool) {}
    fn integer(&mut self, _: i64) {}
    fn double(&mut self, _: f64) {}
    fn bulk(&mut self, bytes: &[u8]) {
        self.0 = Some(bytes.to_vec());
    }
    fn status(&mut self, _: &[u8]) {}
    fn big_number(&mut self, _: &[u8]) {}
    fn verbatim(&mut self, _: [u8; 3], _: &[u8]) {}
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn error(&mut self, _: &[u8], _: bool) {}
}

/// One argument.
struct Argument<'a>(&'a [u8]);

impl Words for Argument<'_> {
    fn keys(&self) -> usize {
        0
    }
    fn arguments(&self) -> usize {
        1
    }
    fn key(&self, _: usize) -> &[u8] {
        &[]
    }
    fn argument(&self, _: usize) -> &[u8] {
        self.0
    }
}

/// A state for scripts.
pub(crate) fn scripts() -> Scripts {
    Scripts::new(&Versions { redis: "8.2.3".to_owned() }, LIMIT)
}

/// Runs a script with one argument. `Some` if it has ended well: the last string of its result.
pub(crate) fn run(scripts: &mut Scripts, body: &[u8], argument: &[u8]) -> Option<Option<Vec<u8>>> {
    let id = scripts.evaluate(body).ok()?;
    let mut sink = Sink::default();
    let mut echo = Echo { words: Vec::new(), ticks: 0 };
    scripts.run(id, &Argument(argument), &mut echo).reply(&mut sink).ok()?;
    Some(sink.0)
}
