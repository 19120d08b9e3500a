//! Loading a file into a keyspace.

use carnelian_keyspace::{Keyspace, Ttl, Write};

use super::build::Built;
use super::error::{Error, Fault};
use super::format::Version;
use super::reader::{Event, KeyHead, Progress, Reader, Sink};
use super::value::Part;

/// How many keys without elements are named.
const NOTED: usize = 10;

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
    deadline: Option<u64>,
    idle: Option<u64>,
    frequency: Option<u8>,
    value: Option<Built>,
    loaded: Loaded,
}

impl Loader {
    /// A loader at a file's beginning.
    pub fn new(options: LoadOptions) -> Self {
        let state = State {
            options,
            db: 0,
            key: Vec::new(),
            deadline: None,
            idle: None,
            frequency: None,
            value: None,
            loaded: Loaded::default(),
        };
        Loader { reader: Reader::new(options.check_sum), state }
    }

    /// Loads the next bytes of the file. The keyspace's clock says what is due.
    ///
    /// # Errors
    /// The file is damaged, or holds what cannot be loaded. Nothing more is to be fed.
    pub fn feed(&mut self, chunk: &[u8], keyspace: &mut Keyspace) -> Result<Progress, Error> {
        let fed = self.reader.feed(chunk, &mut Target { state: &mut self.state, keyspace });
        if fed.is_err()
            && let Some(value) = self.state.value.take()
        {
            value.discard(&mut keyspace.space());
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
                state.db = db.ok_or(Fault::Database(number))?;
            }
            Event::Function(code) => state.loaded.functions.push(code.into_owned()),
            Event::ModuleData(name) | Event::ModuleValue(name) => return Err(Fault::Module(name)),
            Event::Sizes { .. } | Event::End { .. } => {}
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
        (state.deadline, state.idle, state.frequency) = (head.deadline, head.idle, head.frequency);
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
            (Some(_), Part::Text(text)) => {
                self.state.value = None;
                self.store(|guard, deadline| guard.set(&text, deadline.map_or(Ttl::Clear, Ttl::At)))
            }
            (Some(value), part) => value.part(part, &mut self.keyspace.space()),
        }
    }

    fn key_end(&mut self, is_empty: bool) -> Result<(), Fault> {
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
        let State { options, db, key, deadline, idle, frequency, loaded, .. } = &mut *self.state;
        let key = self.keyspace.key(key);
        let mut guard = self.keyspace.write(*db, key);
        if !options.replace && guard.exists() {
            return Err(Fault::DuplicateKey);
        }
        put(&mut guard, *deadline);
        if guard.exists() && (idle.is_some() || frequency.is_some()) {
            guard.set_access(*idle, *frequency);
        }
        guard.commit(&[]);
        loaded.keys += 1;
        Ok(())
    }
}
