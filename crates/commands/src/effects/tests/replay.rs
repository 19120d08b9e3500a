//! Random commands of several clients, whose effects are replayed elsewhere: with other seeds and another clock, the
//! dataset has to be the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::engine::Next;
use crate::testing::{Origin, START_MS, Session};

/// Small limits, so that values of all encodings occur.
const CONFIG: &[(&str, &str)] = &[
    ("hash-max-listpack-entries", "6"),
    ("set-max-intset-entries", "6"),
    ("set-max-listpack-entries", "6"),
    ("zset-max-listpack-entries", "6"),
    ("list-max-listpack-size", "4"),
    ("stream-node-max-entries", "3"),
    ("enable-debug-command", "yes"),
];

/// Databases that are used.
const DATABASES: usize = 3;

/// Commands, with signs for what is chosen at random; see [`Random::fill`]. `%s` and its like are keys of one type,
/// `%a` of any.
const COMMANDS: &str = include_str!("commands.txt");

/// Commands after which little is left of what was built up; they are chosen less often.
const RARE: [&str; 5] = ["SELECT", "SWAPDB", "FLUSH", "MOVE", "FUNCTION FLUSH"];

/// What the commands of a run are about: keys of one type, or of all.
const FOCUS: [&str; 8] = ["%s", "%l", "%h", "%t", "%z", "%x", "%h", "%"];

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    fn key(&mut self, kind: char) -> String {
        let kind = if self.one_in(30) { *self.of(&['s', 'l', 'h', 't', 'z', 'x']) } else { kind };
        format!("{kind}{}", self.below(3))
    }

    /// A command with its signs replaced.
    fn fill(&mut self, template: &str, now_ms: u64) -> String {
        let mut line = String::new();
        let mut chars = template.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                line.push(char);
                continue;
            }
            let sign = chars.next().expect("a sign follows");
            let _ = match sign {
                's' | 'l' | 'h' | 't' | 'z' | 'x' => write!(line, "{}", self.key(sign)),
                'a' => {
                    let kind = *self.of(&['s', 'l', 'h', 't', 'z', 'x']);
                    write!(line, "{}", self.key(kind))
                }
                // A member, a field, an element; a value; a count; a number.
                'm' if self.one_in(3) => write!(line, "{}", self.below(12)),
                'm' => write!(line, "m{}", self.below(12)),
                'v' if self.one_in(2) => write!(line, "{}", self.below(100)),
                'v' => write!(line, "value{}", self.below(100)),
                'n' => write!(line, "{}", self.below(5)),
                'i' => write!(line, "{}", self.below(21) as i64 - 10),
                'f' => write!(line, "{}.{}", self.below(9) as i64 - 4, self.below(100)),
                // Seconds and milliseconds from now, and of Unix time.
                'S' => write!(line, "{}", self.below(3) as i64 - i64::from(self.one_in(9))),
                'M' => write!(line, "{}", self.below(3000) as i64 - i64::from(self.one_in(9)) * 50),
                'T' => write!(line, "{}", now_ms / 1000 + self.below(4) - 1),
                'U' => write!(line, "{}", now_ms + self.below(2000) - 50),
                // IDs, groups and consumers of streams.
                'I' => write!(line, "{}-{}", now_ms - self.below(300), self.below(2)),
                'G' => write!(line, "g{}", self.below(2)),
                'C' => write!(line, "c{}", self.below(3)),
                'd' => write!(line, "{}", self.below(DATABASES as u64)),
                other => panic!("no sign: {other}"),
            };
        }
        line
    }

    fn line(&mut self, templates: &[&str], now_ms: u64) -> String {
        let mut template = *self.of(templates);
        while RARE.iter().any(|word| template.starts_with(word)) && !self.one_in(8) {
            template = *self.of(templates);
        }
        self.fill(template, now_ms)
    }

    /// A script of a few commands, some of which fail.
    fn script(&mut self, templates: &[&str], now_ms: u64) -> String {
        let mut body = String::new();
        for _ in 0..=self.below(4) {
            let mut line = self.line(templates, now_ms);
            while line.contains('"') {
                line = self.line(templates, now_ms);
            }
            let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
            let _ = write!(body, "redis.pcall({}) ", words.join(","));
        }
        format!("EVAL \"{body}\" 0")
    }
}

/// A server under random load, and the one that its effects make.
struct Pair {
    random: Random,
    templates: Vec<&'static str>,
    original: Session,
    replica: Session,
    waiting: Vec<bool>,
    history: Vec<String>,
    /// Whether what is due goes by itself, or only when a command meets it.
    sweeps: bool,
}

impl Pair {
    const CLIENTS: usize = 3;

    fn new(seed: u64) -> Pair {
        let mut random = Random(seed);
        let start_ms = START_MS / 2 + random.below(START_MS);
        let origin =
            Origin { hash_seed: (random.next(), random.next()), random_seed: random.next(), start_ms };
        let mut original = Session::with(CONFIG);
        let mut replica = Session::of(CONFIG, &origin);
        (1..Pair::CLIENTS).for_each(|_| _ = original.connect());
        original.engine.log_effects(true);
        replica.engine.replay_effects(true);
        // Where nodes begin and end is not what an effect may depend on.
        replica.run(&format!("CONFIG SET stream-node-max-entries {}", 1 + random.below(9)));
        let focus = *random.of(&FOCUS);
        let is_chosen = |line: &&str| line.contains(focus) || line.contains("%a") || line.contains("%d");
        let templates = COMMANDS.lines().filter(|line| !line.starts_with('#')).filter(is_chosen).collect();
        let (waiting, history, sweeps) = (vec![false; Pair::CLIENTS], Vec::new(), random.one_in(2));
        if !sweeps {
            original.run("DEBUG SET-ACTIVE-EXPIRE 0");
        }
        Pair { random, templates, original, replica, waiting, history, sweeps }
    }

    fn run(&mut self, client: usize, line: &str) -> String {
        self.history.push(format!("{client}: {line}"));
        let (outcome, replies) = self.original.batch_of(client, &[line]);
        self.waiting[client] = outcome.next == Next::Wait;
        for serial in std::mem::take(&mut self.original.outside.resumed) {
            self.waiting[serial as usize - 1] = false;
        }
        replies.join(" ")
    }

    fn step(&mut self) {
        let now_ms = self.original.now_ms();
        match self.random.below(10) {
            0 if self.sweeps => self.original.advance_ms(self.random.below(40)),
            1..4 => self.original.sleep_ms(self.random.below(40)),
            _ => {}
        }
        for serial in std::mem::take(&mut self.original.outside.resumed) {
            self.waiting[serial as usize - 1] = false;
        }
        let Some(client) = (0..Pair::CLIENTS)
            .cycle()
            .skip(self.random.below(3) as usize)
            .take(3)
            .find(|i| !self.waiting[*i])
        else {
            return self.original.advance_ms(1000);
        };
        match self.random.below(12) {
            0 => {
                self.run(client, "MULTI");
                for _ in 0..self.random.below(5) {
                    let line = match self.random.one_in(6) {
                        true => self.random.script(&self.templates, now_ms),
                        false => self.random.line(&self.templates, now_ms),
                    };
                    self.run(client, &line);
                }
                let end = if self.random.one_in(8) { "DISCARD" } else { "EXEC" };
                self.run(client, end);
            }
            1 => {
                let line = self.random.script(&self.templates, now_ms);
                self.run(client, &line);
            }
            2 if self.random.one_in(4) => self.copy_by_payload(client, now_ms),
            _ => {
                let line = self.random.line(&self.templates, now_ms);
                self.run(client, &line);
            }
        }
    }

    fn copy_by_payload(&mut self, client: usize, now_ms: u64) {
        let source = self.random.fill("DUMP %a", now_ms);
        let payload = self.run(client, &source);
        if payload.starts_with('"') {
            let how =
                *self.random.of(&["%M # REPLACE", "%U # ABSTTL REPLACE", "0 # REPLACE IDLETIME 10", "%M #"]);
            let line = self.random.fill(&format!("RESTORE %a {how}"), now_ms);
            self.run(client, &line.replace('#', &payload));
        }
    }

    /// Replays what was logged, in one piece, since groups are not cut.
    fn replay(&mut self) {
        let bytes = self.original.engine.take_effects(Vec::new());
        if bytes.is_empty() {
            return;
        }
        let text = bytes.escape_ascii().to_string();
        assert_eq!(
            text.matches("\\r\\nMULTI\\r\\n").count(),
            text.matches("\\r\\nEXEC\\r\\n").count(),
            "{text}"
        );
        let (_, replies) = self.replica.requests_of(0, &bytes);
        for reply in replies {
            assert!(
                !reply.contains("(error)"),
                "{reply} to an effect\n{text}\nafter\n{}",
                self.history.join("\n")
            );
        }
        self.replica.sleep_ms(7);
    }

    fn compare(&mut self) {
        for client in 1..Pair::CLIENTS {
            self.original.disconnect(client);
        }
        let expected = dataset(&mut self.original);
        self.replay();
        self.replica.set_clock_ms(self.original.now_ms());
        self.replica.engine.replay_effects(false);
        self.replica.sleep_ms(0);
        let found = dataset(&mut self.replica);
        for (key, value) in &expected {
            assert_eq!(found.get(key), Some(value), "{key:?} after\n{}", self.history.join("\n"));
        }
        assert_eq!(found.len(), expected.len(), "after\n{}", self.history.join("\n"));
    }
}

/// Every key with its deadline and its value.
fn dataset(session: &mut Session) -> BTreeMap<(usize, String), String> {
    let mut all = BTreeMap::new();
    for db in 0..DATABASES {
        session.run(&format!("SELECT {db}"));
        let keys = session.run("KEYS *");
        for key in keys.lines().filter_map(|line| line.split('"').nth(1)) {
            all.insert((db, key.to_owned()), describe(session, key));
        }
    }
    all.insert((0, "functions".to_owned()), session.run("FUNCTION LIST WITHCODE"));
    all
}

fn describe(session: &mut Session, key: &str) -> String {
    let kind = session.run(&format!("TYPE {key}"));
    let value = match kind.as_str() {
        "string" => session.run(&format!("GET {key}")),
        "list" => session.run(&format!("LRANGE {key} 0 -1")),
        "zset" => session.run(&format!("ZRANGE {key} 0 -1 WITHSCORES")),
        "set" => sorted(&session.run(&format!("SMEMBERS {key}"))),
        "hash" => hash(session, key),
        "stream" => stream(&session.run(&format!("XINFO STREAM {key} FULL COUNT 0"))),
        other => other.to_owned(),
    };
    format!("{kind} {} {value}", session.run(&format!("PEXPIRETIME {key}")))
}

/// The strings of a reply, in order.
fn sorted(reply: &str) -> String {
    let mut members: Vec<&str> = reply.lines().filter_map(|line| line.split('"').nth(1)).collect();
    members.sort_unstable();
    members.join(" ")
}

fn hash(session: &mut Session, key: &str) -> String {
    let fields = sorted(&session.run(&format!("HKEYS {key}")));
    let each = fields.split(' ').map(|field| {
        let value = session.run(&format!("HGET {key} {field}"));
        format!("{field}={value}@{} ", session.run(&format!("HPEXPIRETIME {key} FIELDS 1 {field}")))
    });
    each.collect()
}

/// A stream without what no effect tells: when consumers were seen, and how entries are packed.
fn stream(reply: &str) -> String {
    const UNTOLD: [&str; 4] =
        ["\"seen-time\"", "\"active-time\"", "\"radix-tree-keys\"", "\"radix-tree-nodes\""];
    let mut lines = reply.lines();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if UNTOLD.iter().any(|name| line.ends_with(name)) {
            lines.next();
        } else {
            kept.push_str(line.trim());
            kept.push('\n');
        }
    }
    kept
}

fn replay(seed: u64, steps: usize) {
    let mut pair = Pair::new(seed);
    for _ in 0..steps {
        pair.step();
        if pair.random.one_in(10) {
            pair.replay();
        }
    }
    pair.compare();
}

#[test]
fn effects_make_the_same_dataset() {
    for seed in 0..60 {
        replay(seed, 400);
    }
}
