//! Reading a file from chunks of any size. Memory is bounded by the longest string or node: a value is handed out part
//! by part, and what a length promises is only ever waited for.
//!
//! ```text
//! REDISnnnn or VALKEYnnn | record ... | FF | checksum (8 bytes, from version 5 on; 0: none)
//! record: FA name value         about the file           FE db             the database of what follows
//!         FB keys volatile      the database's size      F4 slot keys volatile
//!         F5 code               a library of functions   F7 module when ...  a module's data
//!         F3 job ranges, (from to) ...                   a slot being imported
//!         [FD seconds(4) | FC ms(8)] [F8 idle | F9 frequency(1)] type key value
//! ```

use std::borrow::Cow;

use super::crc64::Crc64;
use super::cursor::{Cursor, Stop};
use super::error::{Error, Fault};
use super::format::{Form, Version, module_name, op};
use super::value::{Part, PartSink, ValueReader, skip_module_part};
use carnelian_keyspace::Kind;

/// What stands before a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyHead<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// Its type; `None`: a module's.
    pub kind: Option<Kind>,
    /// The byte that says how it is stored, and the name that the peers' tools have for that.
    pub form: (u8, &'static str),
    /// When it expires, in unix milliseconds.
    pub deadline: Option<u64>,
    /// Seconds since it was last used.
    pub idle: Option<u64>,
    /// The logarithmic counter of its use.
    pub frequency: Option<u8>,
}

/// What a file says, in the order in which it says it.
#[derive(Clone, PartialEq, Debug)]
pub enum Event<'a> {
    /// The header.
    Begins(Version),
    /// A name and a value about the file.
    Aux(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// What follows is of this database.
    Database(u64),
    /// How many keys the database has, and how many of them expire. A hint: not checked.
    Sizes {
        /// All keys.
        keys: u64,
        /// Those with a deadline.
        volatile: u64,
    },
    /// The source of a library of functions.
    Function(Cow<'a, [u8]>),
    /// Data of a module beside the keys; its parts are skipped.
    ModuleData(String),
    /// A key, whose value follows in parts.
    Key(KeyHead<'a>),
    /// The key is of a module; its value is skipped.
    ModuleValue(String),
    /// A part of the value.
    Part(Part<'a>),
    /// The value ends.
    KeyEnd {
        /// It is a collection without elements, which counts as absent.
        is_empty: bool,
    },
    /// The file ends.
    End {
        /// It has a checksum, which is right; else it has none, or it was not to be compared.
        is_checked: bool,
    },
}

/// Receives what a file says, and refuses what it cannot accept.
pub trait Sink {
    /// Where in the file the reader stands at the next event: behind what that is about, or, at a key, behind its name.
    /// Parts are not preceded by it. Who only loads need not know.
    #[inline]
    fn at(&mut self, _offset: u64) {}

    /// The next event.
    ///
    /// # Errors
    /// Whatever makes the file unacceptable; reading stops.
    fn event(&mut self, event: Event<'_>) -> Result<(), Fault>;
}

/// The parts of a value as events.
struct Parts<'s, S: Sink>(&'s mut S);

impl<S: Sink> PartSink for Parts<'_, S> {
    #[inline]
    fn part(&mut self, part: Part<'_>) -> Result<(), Fault> {
        self.0.event(Event::Part(part))
    }

    fn module(&mut self, name: String) -> Result<(), Fault> {
        self.0.event(Event::ModuleValue(name))
    }
}

/// Whether more chunks are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The file has not ended.
    More,
    /// The file has ended; what follows is in [`Reader::rest`].
    Done,
}

/// What comes next.
enum Next {
    Header,
    Record,
    Value(Vec<u8>, ValueReader),
    ModuleData,
    Checksum,
    Nothing,
}

/// What was said about the next key.
#[derive(Default)]
struct About {
    deadline: Option<u64>,
    idle: Option<u64>,
    frequency: Option<u8>,
}

/// Reads one file.
pub struct Reader {
    next: Next,
    version: Version,
    about: About,
    /// What was fed and is not read.
    pending: Vec<u8>,
    /// With fewer bytes pending it is no use to go on.
    need: usize,
    /// Where in the file `pending` begins.
    offset: u64,
    sum: Crc64,
    check_sum: bool,
}

impl Reader {
    /// A reader at a file's beginning. Without `check_sum`, the checksum is read and not compared.
    pub fn new(check_sum: bool) -> Self {
        Reader {
            next: Next::Header,
            version: Version::Redis(1),
            about: About::default(),
            pending: Vec::new(),
            need: 0,
            offset: 0,
            sum: Crc64::new(),
            check_sum,
        }
    }

    /// Bytes of the file that were read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that were fed and belong to what is not complete, or follow the file's end.
    pub fn rest(&self) -> &[u8] {
        &self.pending
    }

    /// Reads the next bytes of the file.
    ///
    /// # Errors
    /// They are not what can follow, or the sink refuses something. Reading cannot go on.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<Progress, Error> {
        if self.pending.is_empty() {
            let read = self.read(chunk, sink)?;
            self.pending.extend_from_slice(&chunk[read..]);
        } else {
            self.pending.extend_from_slice(chunk);
            if self.pending.len() >= self.need {
                let mut pending = std::mem::take(&mut self.pending);
                let read = self.read(&pending, sink)?;
                pending.drain(..read);
                self.pending = pending;
            }
        }
        Ok(if matches!(self.next, Next::Nothing) { Progress::Done } else { Progress::More })
    }

    /// To be called when there are no more bytes.
    ///
    /// # Errors
    /// The file has not ended.
    pub fn finish(&self) -> Result<(), Error> {
        match self.next {
            Next::Nothing => Ok(()),
            _ => Err(self.error(self.offset + self.pending.len() as u64, Fault::Truncated)),
        }
    }

    /// Reads as much of the bytes as there is complete; returns how much that was.
    fn read(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Error> {
        let mut cursor = Cursor::new(bytes);
        let mut summed = 0;
        while !matches!(self.next, Next::Nothing) {
            let mark = cursor.at();
            if matches!(self.next, Next::Checksum) {
                self.sum.update(&bytes[summed..mark]);
                summed = mark;
            }
            match self.step(&mut cursor, sink) {
                Ok(()) => {}
                Err(Stop::Need(need)) => {
                    // A value leaves the cursor behind its last complete part.
                    if !matches!(self.next, Next::Value(..)) {
                        cursor.go(mark);
                    }
                    self.need = need - cursor.at();
                    break;
                }
                Err(Stop::Bad(fault)) => return Err(self.error(self.offset + cursor.at() as u64, fault)),
            }
        }
        let read = cursor.at();
        if !matches!(self.next, Next::Nothing) {
            self.sum.update(&bytes[summed..read]);
        }
        self.offset += read as u64;
        Ok(read)
    }

    #[cold]
    fn error(&self, offset: u64, fault: Fault) -> Error {
        let key = match &self.next {
            Next::Value(key, _) => Some(key.clone()),
            _ => None,
        };
        Error { offset, key, fault }
    }

    fn step(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), Stop> {
        let offset = self.offset;
        match &mut self.next {
            Next::Header => {
                self.version = Version::of_header(cursor.array()?)?;
                tell(sink, offset, cursor, Event::Begins(self.version))?;
                self.next = Next::Record;
            }
            Next::Record => self.record(cursor, sink)?,
            Next::Value(_, value) => {
                value.read(cursor, &mut Parts(sink))?;
                tell(sink, offset, cursor, Event::KeyEnd { is_empty: value.is_empty() })?;
                self.next = Next::Record;
            }
            Next::ModuleData => {
                if skip_module_part(cursor)? {
                    self.next = Next::Record;
                }
            }
            Next::Checksum => {
                let is_checked = self.checksum(cursor)?;
                tell(sink, offset, cursor, Event::End { is_checked })?;
                self.next = Next::Nothing;
            }
            Next::Nothing => {}
        }
        Ok(())
    }

    /// Whether there is a checksum to compare.
    fn checksum(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
        if !self.version.has_checksum() {
            return Ok(false);
        }
        let (stored, computed) = (cursor.u64_le()?, self.sum.value());
        let is_checked = self.check_sum && stored != 0;
        if is_checked && stored != computed {
            return Err(Fault::Checksum { stored, computed }.into());
        }
        Ok(is_checked)
    }

    fn record(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), Stop> {
        let event = match cursor.u8()? {
            op::AUX => Event::Aux(cursor.string()?, cursor.string()?),
            op::SELECT => Event::Database(cursor.length()?),
            op::RESIZE => Event::Sizes { keys: cursor.length()?, volatile: cursor.length()? },
            op::FUNCTION => Event::Function(cursor.string()?),
            op::MODULE_AUX => {
                // Its parts follow.
                let event = Event::ModuleData(module_data(cursor)?);
                self.next = Next::ModuleData;
                event
            }
            byte => return self.silent_record(byte, cursor, sink),
        };
        Ok(tell(sink, self.offset, cursor, event)?)
    }

    /// A record that is no event, or a key, which is several.
    #[inline]
    fn silent_record(&mut self, byte: u8, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), Stop> {
        match byte {
            op::EXPIRE_MS => self.about.deadline = Some(deadline(cursor.i64_le()?)),
            op::EXPIRE => {
                let seconds = i32::from_le_bytes(cursor.array()?);
                self.about.deadline = Some(deadline(i64::from(seconds) * 1000));
            }
            op::IDLE => self.about.idle = Some(cursor.length()?),
            op::FREQUENCY => self.about.frequency = Some(cursor.u8()?),
            op::SLOT_INFO => {
                slot(cursor.length()?)?;
                cursor.length()?;
                cursor.length()?;
            }
            op::SLOT_IMPORT => slot_import(cursor)?,
            op::OLD_FUNCTION => return Err(Fault::OldFunction.into()),
            op::END => self.next = Next::Checksum,
            byte => self.key(byte, cursor, sink)?,
        }
        Ok(())
    }

    #[inline]
    fn key(&mut self, byte: u8, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), Stop> {
        let form = Form::of(byte, self.version).ok_or(Fault::Type(byte))??;
        let key = cursor.string()?;
        let mut value = ValueReader::new(form);
        let About { deadline, idle, frequency } = std::mem::take(&mut self.about);
        let head = KeyHead {
            key: Cow::Borrowed(&key),
            kind: form.kind(),
            form: (byte, form.name()),
            deadline,
            idle,
            frequency,
        };
        tell(sink, self.offset, cursor, Event::Key(head))?;
        let mut read = value.read(cursor, &mut Parts(sink));
        if read.is_ok() {
            let event = Event::KeyEnd { is_empty: value.is_empty() };
            read = tell(sink, self.offset, cursor, event).map_err(Stop::from);
        }
        if read.is_err() {
            // The key is remembered for what follows, and for errors.
            self.next = Next::Value(key.into_owned(), value);
        }
        read
    }
}

/// An event, after where it is.
#[inline]
fn tell(sink: &mut impl Sink, start: u64, cursor: &Cursor<'_>, event: Event<'_>) -> Result<(), Fault> {
    sink.at(start + cursor.at() as u64);
    sink.event(event)
}

/// The name of a module, and whether its data stands before or after the keys.
fn module_data(cursor: &mut Cursor<'_>) -> Result<String, Stop> {
    let name = module_name(cursor.length()?);
    if cursor.length()? != 2 {
        return Err(Fault::Encoding("Module data").into());
    }
    cursor.length()?;
    Ok(name)
}

/// What is due before 1970 is due.
fn deadline(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

const SLOTS: u64 = 16384;

fn slot(number: u64) -> Result<(), Fault> {
    if number < SLOTS { Ok(()) } else { Err(Fault::Slot(number)) }
}

/// The name of a job, and ranges of slots. It goes on elsewhere; there is nothing to do for it here.
fn slot_import(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    cursor.string()?;
    let ranges = cursor.length()?;
    if ranges > SLOTS {
        return Err(Fault::TooLong(ranges).into());
    }
    for _ in 0..ranges {
        slot(cursor.length()?)?;
        slot(cursor.length()?)?;
    }
    Ok(())
}
