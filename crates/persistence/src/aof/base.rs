//! A base as commands instead of a dump, for `aof-use-rdb-preamble no`. Takes the dump and turns it, chunk by chunk, into
//! commands that make the same dataset: its keys pass through a keyspace that holds only those of one chunk.
//!
//! Strings become SET, collections RPUSH, SADD, HSET and ZADD with up to 64 elements each, deadlines PEXPIREAT and
//! HPEXPIREAT. A stream becomes one RESTORE.

use carnelian_keyspace::encoding::listpack::{Element, ListpackRef};
use carnelian_keyspace::{Free, Item, Keyspace, ListPart, Options, Value};

use crate::rdb::{Error, Format, LoadOptions, Loader, dump};

/// Elements of one command.
const ELEMENTS: usize = 64;

/// What commands are made, and of what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BaseOptions {
    /// How many databases there are.
    pub databases: usize,
    /// When they are written, in Unix seconds, if that is to be told.
    pub written_s: Option<u64>,
    /// The format of RESTORE's payloads.
    pub payloads: Format,
}

/// Turns a dump into commands.
pub struct BaseCommands {
    loader: Loader,
    keys: Keyspace,
    databases: usize,
    functions: usize,
    commands: Commands,
}

/// Commands as bytes.
#[derive(Default)]
struct Commands {
    payloads: Format,
    out: Vec<u8>,
    /// The database that is selected.
    db: Option<usize>,
    /// The words of a command in the making, and the elements among them.
    words: Vec<u8>,
    count: usize,
    elements: usize,
}

impl BaseCommands {
    /// Commands for a dump.
    pub fn new(options: BaseOptions) -> BaseCommands {
        let BaseOptions { databases, written_s, payloads } = options;
        let mut commands = Commands { payloads, ..Commands::default() };
        if let Some(seconds) = written_s {
            commands.out.extend_from_slice(format!("#TS:{seconds}\r\n").as_bytes());
        }
        let options = LoadOptions { check_sum: false, drop_expired: false, replace: false };
        BaseCommands {
            loader: Loader::new(options),
            keys: Keyspace::new(Options { databases, hash_seed: (0, 0), random_seed: 0 }),
            databases,
            functions: 0,
            commands,
        }
    }

    /// Takes the next bytes of the dump; returns the commands for what is complete.
    ///
    /// # Errors
    /// It is no dump.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Error> {
        // Nothing is due in a keyspace whose clock stands.
        self.loader.feed(chunk, &mut self.keys)?;
        let functions = &self.loader.loaded().functions;
        for code in &functions[self.functions..] {
            self.commands.put(&[b"FUNCTION", b"LOAD", code]);
        }
        self.functions = functions.len();
        for db in 0..self.databases {
            if self.keys.len(db) > 0 {
                let commands = &mut self.commands;
                self.keys.for_each(db, &mut |item| commands.key(db, &item));
            }
        }
        self.keys.flush_all(Free::Now);
        Ok(std::mem::take(&mut self.commands.out))
    }
}

fn header(out: &mut Vec<u8>, mark: u8, n: usize) {
    out.push(mark);
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

impl Commands {
    fn put(&mut self, words: &[&[u8]]) {
        header(&mut self.out, b'*', words.len());
        words.iter().for_each(|bytes| word(&mut self.out, bytes));
    }

    fn key(&mut self, db: usize, item: &Item<'_>) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.put(&[b"SELECT", itoa::Buffer::new().format(db).as_bytes()]);
        }
        let key = item.key();
        match item.value() {
            Value::Str(string) => string.with_bytes(|bytes| self.put(&[b"SET", key, bytes])),
            Value::List(list) => list.parts(|part| match part {
                ListPart::Pack(bytes) => {
                    ListpackRef::new(bytes).iter().for_each(|e| self.element(b"RPUSH", key, e))
                }
                ListPart::Plain(bytes) => self.element(b"RPUSH", key, Element::Bytes(bytes)),
            }),
            Value::Set(set) => set.for_each(|member| self.element(b"SADD", key, member)),
            Value::SortedSet(set) => set.for_each(|member, score| {
                let score = score_text(score);
                member.with_bytes(|member| self.add(b"ZADD", key, &[score.as_bytes(), member]));
            }),
            Value::Hash(hash) => {
                hash.for_each(|field| {
                    field.name.with_bytes(|name| {
                        field.value.with_bytes(|value| self.add(b"HSET", key, &[name, value]));
                    });
                });
                self.end();
                hash.for_each(|field| {
                    let Some(at) = field.deadline() else { return };
                    let at = at.to_string();
                    field.name.with_bytes(|name| {
                        self.put(&[b"HPEXPIREAT", key, at.as_bytes(), b"FIELDS", b"1", name]);
                    });
                });
            }
            value @ Value::Stream(_) => {
                self.put(&[b"RESTORE", key, b"0", &dump(&value, self.payloads, true)]);
            }
        }
        self.end();
        if let Some(at) = item.deadline() {
            self.put(&[b"PEXPIREAT", key, at.to_string().as_bytes()]);
        }
    }

    fn element(&mut self, name: &[u8], key: &[u8], element: Element<'_>) {
        element.with_bytes(|bytes| self.add(name, key, &[bytes]));
    }

    /// Adds an element to the command that adds elements.
    fn add(&mut self, name: &[u8], key: &[u8], words: &[&[u8]]) {
        if self.elements == ELEMENTS {
            self.end();
        }
        if self.elements == 0 {
            word(&mut self.words, name);
            word(&mut self.words, key);
            self.count = 2;
        }
        words.iter().for_each(|bytes| word(&mut self.words, bytes));
        self.count += words.len();
        self.elements += 1;
    }

    /// Ends that command.
    fn end(&mut self) {
        if self.elements > 0 {
            header(&mut self.out, b'*', self.count);
            self.out.append(&mut self.words);
            self.elements = 0;
        }
    }
}

/// A score as ZADD takes it, which gives the same number again.
fn score_text(score: f64) -> String {
    match score {
        f64::INFINITY => "inf".to_owned(),
        f64::NEG_INFINITY => "-inf".to_owned(),
        score => format!("{score:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aof::{Ending, Scan, Scanner};
    use crate::rdb::{WriteOptions, Writer};

    #[test]
    fn a_dump_becomes_commands() {
        let mut writer = Writer::new(WriteOptions::default());
        writer.function(b"#!lua name=a\n");
        for (db, name, value) in [(0, b"a", &b"one"[..]), (3, b"b", b"2")] {
            let value = Value::Str(carnelian_keyspace::Str::Bytes(value));
            let deadline = (db == 3).then_some(5);
            let entry = crate::rdb::Entry { db, key: name, value, deadline, idle: None, frequency: None };
            writer.entry(&entry).expect("there are no fields");
        }
        let file = writer.finish();
        let mut base =
            BaseCommands::new(BaseOptions { databases: 4, written_s: None, payloads: Format::Common });
        let mut out = Vec::new();
        for byte in &file {
            out.extend(base.feed(&[*byte]).expect("it is a dump"));
        }
        let mut scanner = Scanner::new(0);
        scanner.feed(&out, &mut ());
        let Scan::Done(verdict) = scanner.finish() else { panic!("{}", out.escape_ascii()) };
        assert_eq!((verdict.ending, verdict.commands), (Ending::Clean, 6));
        let text = String::from_utf8(out).expect("text").replace("\r\n", " ");
        assert!(text.starts_with("*3 $8 FUNCTION $4 LOAD "), "{text}");
        assert!(text.ends_with("*3 $3 SET $1 b $1 2 *3 $9 PEXPIREAT $1 b $1 5 "), "{text}");
    }
}
