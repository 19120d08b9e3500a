//! Looking at an RDB file: every check that loading makes of its bytes, what is in it, and where it is damaged.

use carnelian_keyspace::Packing;
use carnelian_keyspace::encoding::intset::IntsetRef;
use carnelian_keyspace::encoding::listpack::ListpackRef;

use super::stats::{Largest, RdbStats, shown};
use crate::rdb::{Error, Event, Fault, KeyHead, Part, Progress, Reader, Sink, StreamPart};

/// The first byte of a record about the file, and of one with functions.
const AUX: u8 = 0xfa;
const FUNCTION: u8 = 0xf5;

/// Looks at one file, which is fed in chunks. What is found becomes lines of text, as they come.
pub struct RdbCheck {
    reader: Reader,
    look: Look,
}

impl RdbCheck {
    /// A look at the file of that name. `now` in unix milliseconds says which keys have expired.
    pub fn new(name: &str, now: u64) -> Self {
        let lines = format!("[offset 0] Checking RDB file {name}\n");
        RdbCheck { reader: Reader::new(true), look: Look { lines, now, ..Look::default() } }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// The file is damaged; the lines say so. Nothing more is to be fed.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Progress, Error> {
        match self.reader.feed(chunk, &mut self.look) {
            Ok(Progress::Done) => {
                self.look.ends(self.reader.offset());
                Ok(Progress::Done)
            }
            Ok(Progress::More) => Ok(Progress::More),
            Err(error) => {
                self.look.damaged(&error, None);
                Err(error)
            }
        }
    }

    /// To be called when there are no more bytes.
    ///
    /// # Errors
    /// The file has not ended; the lines say so.
    pub fn finish(&mut self) -> Result<(), Error> {
        let finished = self.reader.finish();
        if let Err(error) = &finished {
            self.look.damaged(error, self.reader.rest().first().copied());
        }
        finished
    }

    /// The lines since they were taken last. Each ends with a line feed.
    pub fn take_lines(&mut self) -> String {
        std::mem::take(&mut self.look.lines)
    }

    /// Bytes of the file that were read so far.
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// After the end: bytes that were fed and do not belong to the file.
    pub fn rest(&self) -> &[u8] {
        self.reader.rest()
    }

    /// What was found so far.
    pub fn stats(&self) -> &RdbStats {
        &self.look.stats
    }
}

/// The key whose value is being read.
struct Current {
    key: Vec<u8>,
    byte: u8,
    form: (&'static str, &'static str),
    has_deadline: bool,
    has_field_deadlines: bool,
    elements: u64,
}

#[derive(Default)]
struct Look {
    now: u64,
    lines: String,
    stats: RdbStats,
    /// Where the last event was, and where the last key or other record ended.
    at: u64,
    record: u64,
    began: bool,
    db: u64,
    current: Option<Current>,
}

impl Sink for Look {
    fn at(&mut self, offset: u64) {
        self.at = offset;
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Fault> {
        match event {
            Event::Begins(_) => self.began = true,
            Event::Aux(name, value) => {
                let (name, value) = (name.escape_ascii(), value.escape_ascii());
                self.line(&format!("AUX FIELD {name} = '{value}'"));
            }
            Event::Database(db) => {
                self.db = db;
                self.line(&format!("Selecting DB ID {db}"));
            }
            Event::Function(_) => self.stats.functions += 1,
            Event::ModuleData(name) => {
                self.line(&format!("MODULE AUX for: {name}, which only that module can load"));
            }
            Event::ModuleValue(name) => {
                let key = self.current.as_ref().map_or(String::new(), |current| shown(&current.key));
                self.line(&format!("The value of key '{key}' is of the module {name}"));
                return Ok(());
            }
            Event::Key(head) => {
                self.key(&head);
                return Ok(());
            }
            Event::Part(part) => {
                if let Some(current) = &mut self.current {
                    current.part(&part);
                }
                return Ok(());
            }
            Event::KeyEnd { .. } => self.key_end(),
            Event::End { is_checked: true } => self.line("Checksum OK"),
            Event::End { is_checked: false } => {
                self.line("RDB file was saved with checksum disabled: no check performed.");
            }
            Event::Sizes { .. } => {}
        }
        self.record = self.at;
        Ok(())
    }
}

impl Look {
    fn line(&mut self, text: &str) {
        self.lines.push_str(&format!("[offset {}] {text}\n", self.at));
    }

    fn key(&mut self, head: &KeyHead<'_>) {
        let (byte, form) = head.form;
        self.stats.keys += 1;
        self.stats.expires += u64::from(head.deadline.is_some());
        self.stats.already_expired += u64::from(head.deadline.is_some_and(|at| at < self.now));
        self.current = Some(Current {
            key: head.key.to_vec(),
            byte,
            form: (head.kind.map_or("module", |kind| kind.name()), form),
            has_deadline: head.deadline.is_some(),
            has_field_deadlines: false,
            elements: 0,
        });
    }

    fn key_end(&mut self) {
        let Some(current) = self.current.take() else { return };
        let Current { key, form, has_deadline, elements, .. } = current;
        self.stats.subexpires += u64::from(current.has_field_deadlines);
        let bytes = self.at - self.record;
        self.stats.add(Largest { db: self.db, key, form, elements, bytes }, has_deadline);
    }

    fn ends(&mut self, offset: u64) {
        self.at = offset;
        self.line("\\o/ RDB looks OK! \\o/");
        self.stats.write(&mut self.lines);
    }

    /// What is wrong, where, and what was being read; `next` is the first byte of a record that is not complete.
    fn damaged(&mut self, error: &Error, next: Option<u8>) {
        self.at = error.offset;
        self.lines.push_str("--- RDB ERROR DETECTED ---\n");
        self.line(&reason(&error.fault));
        let doing = match &error.fault {
            Fault::Checksum { .. } => "check-sum",
            _ if !self.began => "start",
            _ if self.current.is_some() => "read-object-value",
            Fault::Truncated if next == Some(AUX) => "read-aux",
            Fault::Truncated if next == Some(FUNCTION) => "read-functions",
            _ => "read-type",
        };
        self.lines.push_str(&format!("[additional info] While doing: {doing}\n"));
        if let Some(current) = &self.current {
            let (key, form) = (shown(&current.key), current.form.1);
            self.lines.push_str(&format!("[additional info] Reading key '{key}'\n"));
            self.lines.push_str(&format!("[additional info] Reading type {} ({form})\n", current.byte));
        }
        self.stats.write(&mut self.lines);
    }
}

impl Current {
    fn part(&mut self, part: &Part<'_>) {
        self.elements += match part {
            Part::Count(_) => 0,
            Part::Text(_) | Part::Int(_) | Part::Element(_) | Part::Scored(..) => 1,
            Part::Field { deadline, .. } => {
                self.has_field_deadlines |= deadline.is_some();
                1
            }
            Part::Node(bytes) => ListpackRef::new(bytes).len() as u64,
            Part::Pack(packing, bytes) => {
                self.has_field_deadlines |= *packing == Packing::HashTtl && first_deadline(bytes) != Some(0);
                elements_of(*packing, bytes)
            }
            Part::Stream(StreamPart::Totals(totals)) => totals.entries,
            Part::Stream(_) => 0,
        };
    }
}

fn elements_of(packing: Packing, bytes: &[u8]) -> u64 {
    let len = || ListpackRef::new(bytes).len() as u64;
    match packing {
        Packing::SetInts => IntsetRef::new(bytes).len() as u64,
        Packing::Hash | Packing::SortedSet => len() / 2,
        Packing::HashTtl => len() / 3,
        Packing::Set | Packing::List => len(),
    }
}

/// The earliest deadline of a packed hash, where 0 says that there is none.
fn first_deadline(bytes: &[u8]) -> Option<i64> {
    ListpackRef::new(bytes).iter().nth(2).and_then(|deadline| deadline.as_int())
}

/// The words of the peers' tools where they have some for it.
fn reason(fault: &Fault) -> String {
    match fault {
        Fault::Truncated => "Unexpected EOF reading RDB file".to_owned(),
        Fault::Magic => "Wrong signature trying to load DB from file".to_owned(),
        Fault::Version(number) => format!("Can't handle RDB format version {number}"),
        Fault::Type(byte) => format!("Invalid object type: {byte}"),
        Fault::Checksum { .. } => format!("RDB CRC error: {fault}"),
        other => other.to_string(),
    }
}
