//! Several clients at random against a model that does one thing after the other: every reply, and who is served when,
//! has to be what the model says. Transactions, watches, scripts and waiting clients are all in it.

mod model;

use carnelian_resp::{Decoder, Value};

use crate::engine::Next;
use crate::testing::{START_MS, Session};
use model::{Model, Reply};

const CLIENTS: usize = 4;

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % n
    }

    fn key(&mut self) -> String {
        ["a", "b", "c"][self.below(3)].to_owned()
    }

    fn end(&mut self) -> String {
        ["LEFT", "RIGHT"][self.below(2)].to_owned()
    }

    fn value(&mut self) -> String {
        self.below(50).to_string()
    }

    /// A command that may stand anywhere.
    fn command(&mut self) -> Vec<String> {
        let words: &[&str] = match self.below(27) {
            0 | 1 => &["GET", "k"],
            2 | 3 => &["SET", "k", "v"],
            4 => &["SET", "k", "v", "PX", "ms"],
            5 | 6 => &["INCR", "k"],
            7 | 8 => &["DEL", "k"],
            9 => &["EXISTS", "k"],
            10..=12 => &["RPUSH", "k", "v"],
            13 => &["LPUSH", "k", "v", "v"],
            14 => &["LPOP", "k"],
            15 => &["RPOP", "k"],
            16 => &["LRANGE", "k", "0", "-1"],
            17 => &["LMOVE", "k", "k", "e", "e"],
            18..=20 => &["BLPOP", "k", "k", "s"],
            21 => &["BRPOP", "k", "s"],
            22 | 23 => &["BLMOVE", "k", "k", "e", "e", "s"],
            24 => &["RENAME", "k", "k"],
            25 => &["PEXPIRE", "k", "ms"],
            _ => &["PERSIST", "k"],
        };
        let mut words: Vec<String> = words.iter().map(|word| self.word(word)).collect();
        if words[0] == "RENAME" && words[1] == words[2] {
            words[2] = "d".to_owned();
        }
        words
    }

    fn word(&mut self, sign: &str) -> String {
        match sign {
            "k" => self.key(),
            "v" => self.value(),
            "e" => self.end(),
            "ms" => (1 + self.below(60)).to_string(),
            "s" => ["0", "0.02", "0.05"][self.below(3)].to_owned(),
            word => word.to_owned(),
        }
    }

    /// A command of a client, which is in a transaction or not.
    fn line(&mut self, queues: bool) -> Vec<String> {
        let words: &[&str] = match self.below(if queues { 20 } else { 30 }) {
            0..=4 if queues => &["EXEC"],
            5 if queues => &["DISCARD"],
            6 => &["WATCH", "k"],
            7 => &["NOSUCH", "k"],
            8 => &["SELECT", ["0", "1"][self.below(2)]],
            9 => &["MULTI"],
            10 | 11 => return self.script(),
            12 => &["UNWATCH"],
            20..=22 => &["MULTI"],
            23..=25 => &["WATCH", "k"],
            26 => &["SWAPDB", "0", "1"],
            27 => &["FLUSHDB"],
            28 => &["EXEC"],
            _ => return self.command(),
        };
        words.iter().map(|word| self.word(word)).collect()
    }

    /// A script of several commands, which returns what the last one replies.
    fn script(&mut self) -> Vec<String> {
        let count = 1 + self.below(3);
        let calls: Vec<String> = (0..count)
            .map(|_| {
                let words: Vec<String> = self.command().iter().map(|word| format!("'{word}'")).collect();
                format!("redis.pcall({})", words.join(","))
            })
            .collect();
        let body = format!("{} return {}", calls[..count - 1].join(" "), calls[count - 1]);
        vec!["EVAL".to_owned(), body, "0".to_owned()]
    }
}

/// The server and the model side by side.
struct Run {
    random: Random,
    session: Session,
    model: Model,
    history: Vec<String>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut session = Session::new();
        (1..CLIENTS).for_each(|_| _ = session.connect());
        let model = Model::new(CLIENTS, START_MS);
        Run { random: Random(seed), session, model, history: Vec::new() }
    }

    fn step(&mut self) {
        if self.random.below(4) == 0 {
            let ms = self.random.below(30) as u64;
            self.history.push(format!("after {ms} ms"));
            self.session.advance_ms(ms);
            self.model.advance(ms);
            self.compare_late();
        }
        let waits: Vec<bool> = (0..CLIENTS).map(|client| self.model.waits(client)).collect();
        let client = self.random.below(CLIENTS);
        if waits[client] {
            return;
        }
        let words = self.random.line(self.model.queues(client));
        self.history.push(format!("{client}: {}", words.join(" ")));
        let request = carnelian_resp::OwnedArgv::from_iter(&words).as_argv().to_request();
        let (outcome, replies) = self.session.values_of(client, &request);
        let expected = self.model.run(client, &words);
        assert_eq!(outcome.next == Next::Wait, expected.is_none(), "{self}");
        let found: Vec<Reply> = replies.iter().map(reply).collect();
        assert_eq!(found, Vec::from_iter(expected), "{self}");
        self.compare_late();
    }

    /// Compares what clients got that have waited.
    fn compare_late(&mut self) {
        let mut found = Vec::new();
        for (serial, text) in std::mem::take(&mut self.session.outside.sent) {
            let mut decoder = Decoder::new();
            decoder.feed(text.as_bytes());
            while let Some(value) = decoder.decode().expect("it is a reply") {
                found.push((serial as usize - 1, reply(&value)));
            }
        }
        assert_eq!(found, self.model.take_late(), "{self}");
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "after\n{}", self.history.join("\n"))
    }
}

/// A reply as the model has it: of errors only the code matters.
fn reply(value: &Value) -> Reply {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match value {
        Value::Simple(status) => Reply::Text(text(status)),
        Value::Bulk(bytes) => Reply::Text(text(bytes)),
        Value::Integer(n) => Reply::Integer(*n),
        Value::Null | Value::NullArray => Reply::Nothing,
        Value::Error(error) => Reply::Error(text(error).split(' ').next().unwrap_or_default().to_owned()),
        Value::Array(elements) => Reply::Array(elements.iter().map(reply).collect()),
        other => panic!("unexpected reply {other}"),
    }
}

#[test]
fn clients_see_one_thing_after_the_other() {
    for seed in 1..=150 {
        let mut run = Run::new(seed * 0x9e37_79b9);
        (0..400).for_each(|_| run.step());
    }
}
