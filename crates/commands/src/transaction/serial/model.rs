//! The model: strings and lists in two databases, and clients that queue, watch and wait. Everything happens at once and
//! in order; what has a deadline is gone the moment it is due.

use std::collections::{BTreeMap, VecDeque};

/// A reply. Statuses and strings are not told apart, and neither are the kinds of nothing.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Reply {
    Nothing,
    Text(String),
    Integer(i64),
    Array(Vec<Reply>),
    Error(String),
}

impl Reply {
    fn ok() -> Reply {
        Reply::Text("OK".to_owned())
    }

    fn error(code: &str) -> Reply {
        Reply::Error(code.to_owned())
    }
}

#[derive(Clone, Debug)]
enum Data {
    Text(String),
    List(VecDeque<String>),
}

#[derive(Clone, Debug)]
struct Item {
    data: Data,
    deadline: Option<u64>,
}

type Database = BTreeMap<String, Item>;

/// What has become of keys, for those who watch them or wait for them.
enum Change {
    Key(usize, String),
    Flush(usize),
    Swap,
}

#[derive(Default)]
struct Client {
    db: usize,
    queue: Option<Vec<Vec<String>>>,
    failed: bool,
    spoiled: bool,
    /// Database, key, and whether it existed.
    watched: Vec<(usize, String, bool)>,
}

/// A client that waits, in the order of arrival.
#[derive(Clone)]
struct Waiting {
    client: usize,
    db: usize,
    keys: Vec<String>,
    words: Vec<String>,
    until: Option<u64>,
}

pub(super) struct Model {
    now: u64,
    dbs: [Database; 2],
    clients: Vec<Client>,
    waiting: Vec<Waiting>,
    changes: Vec<Change>,
    late: Vec<(usize, Reply)>,
}

/// What a command comes to: a reply, or keys to wait for and until when.
enum Outcome {
    Reply(Reply),
    Wait(Vec<String>, Option<u64>),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Outcome {
        Outcome::Reply(reply)
    }
}

const WRONG_TYPE: &str = "WRONGTYPE";

impl Model {
    pub(super) fn new(clients: usize, now: u64) -> Model {
        Model {
            now,
            dbs: Default::default(),
            clients: (0..clients).map(|_| Client::default()).collect(),
            waiting: Vec::new(),
            changes: Vec::new(),
            late: Vec::new(),
        }
    }

    pub(super) fn waits(&self, client: usize) -> bool {
        self.waiting.iter().any(|waiting| waiting.client == client)
    }

    pub(super) fn queues(&self, client: usize) -> bool {
        self.clients[client].queue.is_some()
    }

    /// What clients got that have waited, since the last call.
    pub(super) fn take_late(&mut self) -> Vec<(usize, Reply)> {
        std::mem::take(&mut self.late)
    }

    /// Time passes: waits end, and what is due goes.
    pub(super) fn advance(&mut self, ms: u64) {
        self.now += ms;
        let now = self.now;
        let mut due: Vec<Waiting> = self.waiting.clone();
        due.retain(|waiting| waiting.until.is_some_and(|until| until <= now));
        due.sort_by_key(|waiting| (waiting.until, waiting.client));
        for waiting in due {
            self.waiting.retain(|other| other.client != waiting.client);
            self.late.push((waiting.client, Reply::Nothing));
        }
        for db in 0..2 {
            let gone: Vec<String> = self.dbs[db]
                .iter()
                .filter(|(_, item)| item.deadline.is_some_and(|at| at <= now))
                .map(|(key, _)| key.clone())
                .collect();
            for key in gone {
                self.dbs[db].remove(&key);
                self.changes.push(Change::Key(db, key));
            }
        }
        self.settle();
    }

    /// A client sends a command; `None`: it waits.
    pub(super) fn run(&mut self, client: usize, words: &[String]) -> Option<Reply> {
        let outcome = self.take_in(client, words);
        let reply = match outcome {
            Outcome::Reply(reply) => Some(reply),
            Outcome::Wait(keys, until) => {
                let db = self.clients[client].db;
                self.waiting.push(Waiting { client, db, keys, words: words.to_vec(), until });
                None
            }
        };
        self.settle();
        reply
    }

    fn take_in(&mut self, id: usize, words: &[String]) -> Outcome {
        let client = &mut self.clients[id];
        let name = words[0].as_str();
        match name {
            "MULTI" if client.queue.is_some() => Reply::error("ERR").into(),
            "MULTI" => {
                client.queue = Some(Vec::new());
                Reply::ok().into()
            }
            "DISCARD" if client.queue.is_some() => {
                self.end_transaction(id);
                Reply::ok().into()
            }
            "EXEC" if client.queue.is_some() => self.exec(id).into(),
            "EXEC" | "DISCARD" => Reply::error("ERR").into(),
            "WATCH" if client.queue.is_some() => Reply::error("ERR").into(),
            "NOSUCH" => {
                client.failed |= client.queue.is_some();
                Reply::error("ERR").into()
            }
            _ if client.queue.is_some() => {
                client.queue.as_mut().expect("it is there").push(words.to_vec());
                Reply::Text("QUEUED".to_owned()).into()
            }
            _ => self.execute(id, words),
        }
    }

    fn end_transaction(&mut self, id: usize) -> Vec<Vec<String>> {
        let client = &mut self.clients[id];
        (client.failed, client.spoiled) = (false, false);
        client.watched.clear();
        client.queue.take().unwrap_or_default()
    }

    fn exec(&mut self, id: usize) -> Reply {
        let Client { failed, spoiled, .. } = self.clients[id];
        let queue = self.end_transaction(id);
        if failed {
            return Reply::error("EXECABORT");
        }
        if spoiled {
            return Reply::Nothing;
        }
        let replies = queue.iter().map(|words| self.execute_at_once(id, words)).collect();
        Reply::Array(replies)
    }

    /// Executes a command that cannot wait.
    fn execute_at_once(&mut self, id: usize, words: &[String]) -> Reply {
        match self.execute(id, words) {
            Outcome::Reply(reply) => reply,
            Outcome::Wait(..) => Reply::Nothing,
        }
    }

    fn execute(&mut self, id: usize, words: &[String]) -> Outcome {
        let db = self.clients[id].db;
        let argument = |i: usize| words[i].as_str();
        match words[0].as_str() {
            "SELECT" => {
                self.clients[id].db = argument(1).parse().expect("a number");
                Reply::ok().into()
            }
            "WATCH" => {
                let exists = self.dbs[db].contains_key(argument(1));
                let client = &mut self.clients[id];
                if !client.watched.iter().any(|(d, key, _)| (*d, key.as_str()) == (db, argument(1))) {
                    client.watched.push((db, argument(1).to_owned(), exists));
                }
                Reply::ok().into()
            }
            "UNWATCH" => {
                self.clients[id].watched.clear();
                self.clients[id].spoiled = false;
                Reply::ok().into()
            }
            "SWAPDB" => {
                self.dbs.swap(0, 1);
                self.changes.push(Change::Swap);
                Reply::ok().into()
            }
            "FLUSHDB" => {
                self.dbs[db].clear();
                self.changes.push(Change::Flush(db));
                Reply::ok().into()
            }
            "EVAL" => self.script(id, argument(1)).into(),
            "BLPOP" | "BRPOP" => self.pop_or_wait(db, words),
            "BLMOVE" => match self.transfer(db, &words[1..5]) {
                Some(reply) => reply.into(),
                None => Outcome::Wait(vec![words[1].clone()], self.until(&words[5])),
            },
            _ => self.simple(db, words).into(),
        }
    }

    /// Runs the calls of a script; its body is what the test has put together.
    fn script(&mut self, id: usize, body: &str) -> Reply {
        let mut last = Reply::Nothing;
        for call in body.split("redis.pcall(").skip(1) {
            let list = call.split(')').next().expect("calls end");
            let words: Vec<String> = list.split(',').map(|word| word.trim_matches('\'').to_owned()).collect();
            last = self.execute_at_once(id, &words);
        }
        last
    }

    fn until(&self, seconds: &str) -> Option<u64> {
        let ms = (seconds.parse::<f64>().expect("a number") * 1000.0) as u64;
        (ms > 0).then_some(self.now + ms)
    }

    fn pop_or_wait(&mut self, db: usize, words: &[String]) -> Outcome {
        let (keys, timeout) = (&words[1..words.len() - 1], &words[words.len() - 1]);
        for key in keys {
            match self.pop(db, key, words[0] == "BLPOP") {
                Ok(Some(element)) => {
                    return Reply::Array(vec![Reply::Text(key.clone()), Reply::Text(element)]).into();
                }
                Ok(None) => {}
                Err(error) => return error.into(),
            }
        }
        Outcome::Wait(keys.to_vec(), self.until(timeout))
    }

    fn simple(&mut self, db: usize, words: &[String]) -> Reply {
        let key = words[1].as_str();
        match words[0].as_str() {
            "GET" => match self.text(db, key) {
                Ok(text) => text.map_or(Reply::Nothing, Reply::Text),
                Err(error) => error,
            },
            "SET" => {
                let deadline = words.get(4).map(|ms| self.now + ms.parse::<u64>().expect("a number"));
                self.put(db, key, Data::Text(words[2].clone()), deadline);
                Reply::ok()
            }
            "INCR" => self.increment(db, key),
            "DEL" => Reply::Integer(self.remove(db, key).is_some().into()),
            "EXISTS" => Reply::Integer(self.dbs[db].contains_key(key).into()),
            "RPUSH" | "LPUSH" => self.push(db, key, &words[2..], words[0] == "LPUSH"),
            "LPOP" | "RPOP" => match self.pop(db, key, words[0] == "LPOP") {
                Ok(element) => element.map_or(Reply::Nothing, Reply::Text),
                Err(error) => error,
            },
            "LRANGE" => match self.list(db, key) {
                Ok(list) => {
                    Reply::Array(list.into_iter().flatten().map(|text| Reply::Text(text.clone())).collect())
                }
                Err(error) => error,
            },
            "LMOVE" => self.transfer(db, &words[1..5]).unwrap_or(Reply::Nothing),
            "RENAME" => match self.remove(db, key) {
                Some(item) => {
                    self.put(db, &words[2], item.data, item.deadline);
                    Reply::ok()
                }
                None => Reply::error("ERR"),
            },
            "PEXPIRE" => {
                let at = self.now + words[2].parse::<u64>().expect("a number");
                let found = self.dbs[db].get_mut(key).map(|item| item.deadline = Some(at)).is_some();
                self.changed_if(found, db, key)
            }
            "PERSIST" => {
                let found = self.dbs[db].get_mut(key).is_some_and(|item| item.deadline.take().is_some());
                self.changed_if(found, db, key)
            }
            other => panic!("the model does not know {other}"),
        }
    }

    fn changed_if(&mut self, changed: bool, db: usize, key: &str) -> Reply {
        if changed {
            self.changes.push(Change::Key(db, key.to_owned()));
        }
        Reply::Integer(changed.into())
    }

    fn text(&self, db: usize, key: &str) -> Result<Option<String>, Reply> {
        match self.dbs[db].get(key).map(|item| &item.data) {
            None => Ok(None),
            Some(Data::Text(text)) => Ok(Some(text.clone())),
            Some(Data::List(_)) => Err(Reply::error(WRONG_TYPE)),
        }
    }

    fn list(&mut self, db: usize, key: &str) -> Result<Option<&mut VecDeque<String>>, Reply> {
        match self.dbs[db].get_mut(key).map(|item| &mut item.data) {
            None => Ok(None),
            Some(Data::List(list)) => Ok(Some(list)),
            Some(Data::Text(_)) => Err(Reply::error(WRONG_TYPE)),
        }
    }

    fn put(&mut self, db: usize, key: &str, data: Data, deadline: Option<u64>) {
        self.dbs[db].insert(key.to_owned(), Item { data, deadline });
        self.changes.push(Change::Key(db, key.to_owned()));
    }

    fn remove(&mut self, db: usize, key: &str) -> Option<Item> {
        let item = self.dbs[db].remove(key)?;
        self.changes.push(Change::Key(db, key.to_owned()));
        Some(item)
    }

    fn increment(&mut self, db: usize, key: &str) -> Reply {
        let old = match self.text(db, key) {
            Ok(text) => text.map_or(0, |text| text.parse::<i64>().expect("only numbers are stored")),
            Err(error) => return error,
        };
        let deadline = self.dbs[db].get(key).and_then(|item| item.deadline);
        self.put(db, key, Data::Text((old + 1).to_string()), deadline);
        Reply::Integer(old + 1)
    }

    fn push(&mut self, db: usize, key: &str, values: &[String], first: bool) -> Reply {
        let list = match self.list(db, key) {
            Ok(Some(list)) => list,
            Ok(None) => {
                self.put(db, key, Data::List(VecDeque::new()), None);
                self.list(db, key).expect("it is a list").expect("it is there")
            }
            Err(error) => return error,
        };
        for value in values {
            match first {
                true => list.push_front(value.clone()),
                false => list.push_back(value.clone()),
            }
        }
        let len = list.len() as i64;
        self.changes.push(Change::Key(db, key.to_owned()));
        Reply::Integer(len)
    }

    fn pop(&mut self, db: usize, key: &str, first: bool) -> Result<Option<String>, Reply> {
        let Some(list) = self.list(db, key)? else { return Ok(None) };
        let element = if first { list.pop_front() } else { list.pop_back() };
        if list.is_empty() {
            self.dbs[db].remove(key);
        }
        self.changes.push(Change::Key(db, key.to_owned()));
        Ok(element)
    }

    /// LMOVE with these arguments; `None`: there is nothing to take.
    fn transfer(&mut self, db: usize, words: &[String]) -> Option<Reply> {
        let [from, to, take, add] = words else { panic!("four words") };
        match self.list(db, from) {
            Ok(None) => return None,
            Ok(Some(_)) => {}
            Err(error) => return Some(error),
        }
        if let Err(error) = self.list(db, to) {
            return Some(error);
        }
        let deadline = self.dbs[db].get(from).and_then(|item| item.deadline);
        let element = self.pop(db, from, take == "LEFT").expect("a list").expect("lists have elements");
        self.push(db, to, std::slice::from_ref(&element), add == "LEFT");
        if from == to {
            // A list that was rotated has never been away.
            self.dbs[db].get_mut(to).expect("it is there").deadline = deadline;
        }
        Some(Reply::Text(element))
    }

    /// Tells those who watch what has changed, and serves those who wait, until nothing changes any more.
    fn settle(&mut self) {
        let mut ready: VecDeque<(usize, String)> = VecDeque::new();
        loop {
            for change in std::mem::take(&mut self.changes) {
                self.spoil(&change);
                self.make_ready(&change, &mut ready);
            }
            let Some((db, key)) = ready.pop_front() else { return };
            let line: Vec<Waiting> = self.waiting.clone();
            for waiting in line.into_iter().filter(|w| w.db == db && w.keys.contains(&key)) {
                if self.list(db, &key).is_ok_and(|list| list.is_some()) {
                    self.try_again(waiting);
                }
            }
        }
    }

    fn try_again(&mut self, waiting: Waiting) {
        self.waiting.retain(|other| other.client != waiting.client);
        match self.execute(waiting.client, &waiting.words) {
            Outcome::Reply(reply) => self.late.push((waiting.client, reply)),
            Outcome::Wait(..) => self.waiting.push(waiting),
        }
    }

    /// Notes the keys that somebody waits for, each once.
    fn make_ready(&self, change: &Change, ready: &mut VecDeque<(usize, String)>) {
        let mut named: Vec<(usize, String)> = match change {
            Change::Key(db, key) => vec![(*db, key.clone())],
            Change::Flush(_) => Vec::new(),
            Change::Swap => {
                self.waiting.iter().flat_map(|w| w.keys.iter().map(|key| (w.db, key.clone()))).collect()
            }
        };
        named.sort();
        for (db, key) in named {
            let wanted = self.waiting.iter().any(|w| w.db == db && w.keys.contains(&key));
            if wanted && !ready.contains(&(db, key.clone())) {
                ready.push_back((db, key));
            }
        }
    }

    fn spoil(&mut self, change: &Change) {
        let dbs = &self.dbs;
        for client in &mut self.clients {
            client.spoiled |= client.watched.iter().any(|(db, key, existed)| match change {
                Change::Key(changed, name) => db == changed && key == name,
                Change::Flush(flushed) => db == flushed && *existed,
                Change::Swap => *existed || dbs[*db].contains_key(key),
            });
        }
    }
}
