//! Loading a file into a keyspace.
//!
//! Most keys are short strings. They are gathered for a moment, so that the processor has the table's buckets at hand when
//! they are put there.

use carnelian_keyspace::{Keyspace, Ttl, Write};

use super::build::Built;
use super::error::{Error, Fault};
use super::format::Version;
use super::reader::{Event, KeyHead, Progress, Reader, Sink};
use super::value::Part;

/// How many keys without elements are named.
const NOTED: usize = 10;
/// Short strings that are gathered.
const GATHERED: usize = 24;
/// Longer strings are put into the keyspace at once.
const MAX_GATHERED: usize = 1024;
/// Bytes that a key takes in a file at least, if there are many of them.
const MIN_RECORD: u64 = 6;

/// How a file is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadOptions {
    /// Whether the checksum is compared.
    pub check_sum: bool,
    /// Whether keys that are due are left out, as a master does.
    pub drop_expired: bool,
    /// Whether keys replace those that are there, instead of being refused.
    pub replace: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { check_sum: true, drop_expired: true, replace: false }
    }
}

/// What a file held beside its keys, and how many there were.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Loaded {
    /// The version that the header names.
    pub version: Option<Version>,
    /// Names and values about the file.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// The sources of libraries of functions.
    pub functions: Vec<Vec<u8>>,
    /// Keys that were put into the keyspace.
    pub keys: u64,
    /// Keys that were left out since they are due.
    pub expired: u64,
    /// Keys that were left out since their collections have no elements.
    pub empty: u64,
    /// The first of them, for the log.
    pub empty_keys: Vec<Vec<u8>>,
}

/// Loads one file, from chunks of any size, into a keyspace. If it fails, the keys that came before remain there: so
/// whoever wants all or nothing loads into a fresh keyspace.
pub struct Loader {
    reader: Reader,
    state: State,
}

struct State {
    options: LoadOptions,
    db: usize,
    /// The key that parts belong to, and what was said about it.
    key: Vec<u8>,
    about: About,
    value: Option<Built>,
    gathered: Gathered,
    /// Bytes of the file; 0: not known.
    size: u64,
    /// Where in the file the reader stands.
    at: u64,
    /// Of the key that is refused: where its value ends, if that is not where the reader is, and its name.
    refused: Option<(u64, Vec<u8>)>,
    loaded: Loaded,
}

/// Strings of one database that are not in the keyspace yet.
#[derive(Default)]
struct Gathered {
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    strings: Vec<Gather>,
}

/// Where a string stands, and what is to become of it.
#[derive(Clone, Copy)]
struct Gather {
    /// Where the key begins, where it ends and the value begins, and where that ends.
    span: [usize; 3],
    hash: u64,
    about: About,
    /// The value, if it is a number.
    number: Option<i64>,
    /// Where in the file the value ends; 0: not known yet.
    at: u64,
}

/// What was said about a key.
#[derive(Clone, Copy, Default)]
struct About {
    deadline: Option<u64>,
    idle: Option<u64>,
    frequency: Option<u8>,
}

impl Loader {
    /// A loader at a file's beginning.
    pub fn new(options: LoadOptions) -> Self {
        let state = State {
            options,
            db: 0,
            key: Vec::new(),
            about: About::default(),
            value: None,
            gathered: Gathered::default(),
            size: 0,
            at: 0,
            refused: None,
            loaded: Loaded::default(),
        };
        Loader { reader: Reader::new(options.check_sum), state }
    }

    /// Says how long the file is: then tables are prepared for the numbers of keys that it names.
    pub fn expect_bytes(&mut self, size: u64) {
        self.state.size = size;
    }

    /// Loads the next bytes of the file. The keyspace's clock says what is due.
    ///
    /// # Errors
    /// The file is damaged, or holds what cannot be loaded. Nothing more is to be fed.
    pub fn feed(&mut self, chunk: &[u8], keyspace: &mut Keyspace) -> Result<Progress, Error> {
        let mut target = Target { state: &mut self.state, keyspace };
        let mut fed = self.reader.feed(chunk, &mut target);
        // What is gathered came before whatever the reader refuses.
        if target.state.refused.is_none()
            && let Err(fault) = target.put_gathered()
        {
            fed = Err(Error { offset: 0, key: None, fault });
        }
        if let (Err(error), Some((offset, key))) = (&mut fed, self.state.refused.take()) {
            (error.offset, error.key) = (offset, Some(key));
        }
        if fed.is_err()
            && let Some(value) = self.state.value.take()
        {
            value.discard(&mut keyspace.space());
        }
        if !matches!(fed, Ok(Progress::More)) {
            (0..keyspace.databases()).for_each(|db| keyspace.expect_keys(db, 0));
        }
        fed
    }

    /// To be called when there are no more bytes.
    ///
    /// # Errors
    /// The file has not ended.
    pub fn finish(&mut self, keyspace: &mut Keyspace) -> Result<(), Error> {
        if let Some(value) = self.state.value.take() {
            value.discard(&mut keyspace.space());
        }
        (0..keyspace.databases()).for_each(|db| keyspace.expect_keys(db, 0));
        self.reader.finish()
    }

    /// Bytes of the file that were read so far.
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// After the end: bytes that were fed and do not belong to the file.
    pub fn rest(&self) -> &[u8] {
        self.reader.rest()
    }

    /// What was loaded so far beside the keys.
    pub fn loaded(&self) -> &Loaded {
        &self.state.loaded
    }

    /// The same, for good.
    pub fn into_loaded(self) -> Loaded {
        self.state.loaded
    }
}

impl State {
    fn note_empty(&mut self) {
        self.loaded.empty += 1;
        if self.loaded.empty_keys.len() < NOTED {
            self.loaded.empty_keys.push(self.key.clone());
        }
    }
}

struct Target<'a> {
    state: &'a mut State,
    keyspace: &'a mut Keyspace,
}

impl Sink for Target<'_> {
    #[inline]
    fn at(&mut self, offset: u64) {
        self.state.at = offset;
    }

    #[inline]
    fn event(&mut self, event: Event<'_>) -> Result<(), Fault> {
        let state = &mut *self.state;
        match event {
            Event::Key(head) => self.key(&head),
            Event::Part(part) => self.part(part)?,
            Event::KeyEnd { is_empty } => self.key_end(is_empty)?,
            Event::Begins(version) => state.loaded.version = Some(version),
            Event::Aux(name, value) => state.loaded.aux.push((name.into_owned(), value.into_owned())),
            Event::Database(number) => {
                let db = usize::try_from(number).ok().filter(|db| *db < self.keyspace.databases());
                self.put_gathered()?;
                self.state.db = db.ok_or(Fault::Database(number))?;
            }
            Event::Function(code) => state.loaded.functions.push(code.into_owned()),
            Event::ModuleData(name) | Event::ModuleValue(name) => return Err(Fault::Module(name)),
            Event::Sizes { keys, .. } => {
                let most = usize::try_from(keys.min(state.size / MIN_RECORD)).unwrap_or(0);
                self.keyspace.expect_keys(state.db, most);
            }
            Event::End { .. } => {}
        }
        Ok(())
    }
}

impl Target<'_> {
    #[inline]
    fn key(&mut self, head: &KeyHead<'_>) {
        let state = &mut *self.state;
        state.key.clear();
        state.key.extend_from_slice(&head.key);
        state.about = About { deadline: head.deadline, idle: head.idle, frequency: head.frequency };
        let due = head.deadline.is_some_and(|at| at <= self.keyspace.now());
        if due && state.options.drop_expired {
            state.loaded.expired += 1;
            state.value = None;
        } else {
            state.value = head.kind.map(|kind| Built::new(kind, &self.keyspace.space()));
        }
    }

    #[inline]
    fn part(&mut self, part: Part<'_>) -> Result<(), Fault> {
        match (&mut self.state.value, part) {
            (None, _) => Ok(()),
            // Most keys are strings, which need not be copied.
            (Some(_), Part::Text(text)) if text.len() <= MAX_GATHERED => {
                self.state.value = None;
                self.gather(&text, None);
                Ok(())
            }
            (Some(_), Part::Int(number)) => {
                self.state.value = None;
                self.gather(&[], Some(number));
                Ok(())
            }
            (Some(_), Part::Text(text)) => {
                self.state.value = None;
                self.put_gathered()?;
                self.store(|guard, deadline| guard.set(&text, deadline.map_or(Ttl::Clear, Ttl::At)))
            }
            (Some(value), part) => value.part(part, &mut self.keyspace.space()),
        }
    }

    fn key_end(&mut self, is_empty: bool) -> Result<(), Fault> {
        if self.state.value.is_none() {
            return self.end_gathered();
        }
        self.put_gathered()?;
        let Some(value) = self.state.value.take() else { return Ok(()) };
        if is_empty {
            value.discard(&mut self.keyspace.space());
            self.state.note_empty();
            return Ok(());
        }
        if !self.state.options.replace && self.is_there() {
            value.discard(&mut self.keyspace.space());
            return Err(Fault::DuplicateKey);
        }
        self.store(|guard, deadline| value.put(guard, deadline))
    }

    fn is_there(&mut self) -> bool {
        let key = self.keyspace.key(&self.state.key);
        self.keyspace.peek(self.state.db, key).is_some()
    }

    /// Puts a value at the key.
    fn store(&mut self, put: impl FnOnce(&mut Write<'_>, Option<u64>)) -> Result<(), Fault> {
        let State { options, db, key, about, loaded, .. } = &mut *self.state;
        let key = self.keyspace.key(key);
        put_one(self.keyspace.write(*db, key), *about, options.replace, put)?;
        loaded.keys += 1;
        Ok(())
    }

    /// Remembers a string.
    #[inline]
    fn gather(&mut self, text: &[u8], number: Option<i64>) {
        let State { db, key, about, gathered, .. } = &mut *self.state;
        let hashed = self.keyspace.key(key);
        self.keyspace.prefetch(*db, hashed);
        let begin = gathered.bytes.len();
        gathered.bytes.extend_from_slice(key);
        let middle = gathered.bytes.len();
        gathered.bytes.extend_from_slice(text);
        let span = [begin, middle, gathered.bytes.len()];
        gathered.strings.push(Gather { span, hash: hashed.hash(), about: *about, number, at: 0 });
    }

    /// A key ends that is left out, or in the keyspace already, or gathered: its place in the file is known now.
    #[inline]
    fn end_gathered(&mut self) -> Result<(), Fault> {
        let State { gathered, at, .. } = &mut *self.state;
        if let Some(last) = gathered.strings.last_mut()
            && last.at == 0
        {
            last.at = *at;
        }
        if gathered.strings.len() < GATHERED { Ok(()) } else { self.put_gathered() }
    }

    /// Puts what is gathered into the keyspace.
    fn put_gathered(&mut self) -> Result<(), Fault> {
        let State { options, db, gathered, loaded, refused, .. } = &mut *self.state;
        let mut result = Ok(());
        for string in &gathered.strings {
            let [begin, middle, end] = string.span;
            let (name, text) = (&gathered.bytes[begin..middle], &gathered.bytes[middle..end]);
            let guard = self.keyspace.write(*db, self.keyspace.hashed_key(name, string.hash));
            let put = |guard: &mut Write<'_>, at: Option<u64>| {
                let ttl = at.map_or(Ttl::Clear, Ttl::At);
                match string.number {
                    Some(number) => guard.set_int(number, ttl),
                    None => guard.set(text, ttl),
                }
            };
            result = put_one(guard, string.about, options.replace, put);
            if result.is_err() {
                *refused = Some((string.at, name.to_vec()));
                break;
            }
            loaded.keys += 1;
        }
        gathered.bytes.clear();
        gathered.strings.clear();
        result
    }
}

/// Puts a value at a key, with what was said about it.
#[inline]
fn put_one(
    mut guard: Write<'_>,
    about: About,
    replace: bool,
    put: impl FnOnce(&mut Write<'_>, Option<u64>),
) -> Result<(), Fault> {
    if !replace && guard.exists() {
        return Err(Fault::DuplicateKey);
    }
    put(&mut guard, about.deadline);
    if guard.exists() && (about.idle.is_some() || about.frequency.is_some()) {
        guard.set_access(about.idle, about.frequency);
    }
    guard.commit(&[]);
    Ok(())
}
