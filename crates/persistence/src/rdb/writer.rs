//! Writing a file, key by key.

use carnelian_keyspace::{SnapshotPart, Value};

use super::crc64::Crc64;
use super::encode::{Encoder, FieldDeadlines};
use super::format::{Format, op};
use super::large::{Large, Shape};

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteOptions {
    /// The version and line.
    pub format: Format,
    /// Whether strings are compressed.
    pub compress: bool,
    /// Whether there is a checksum; without, zero stands in its place.
    pub checksum: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions { format: Format::Common, compress: true, checksum: true }
    }
}

/// A key to write.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The database.
    pub db: usize,
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: Value<'a>,
    /// When it expires, in unix milliseconds.
    pub deadline: Option<u64>,
    /// Seconds since it was last used, to be remembered.
    pub idle: Option<u64>,
    /// The logarithmic counter of its use, to be remembered.
    pub frequency: Option<u8>,
}

/// A key to write, without its value.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The database.
    pub db: usize,
    /// The key.
    pub key: &'a [u8],
    /// When it expires, in unix milliseconds.
    pub deadline: Option<u64>,
    /// Seconds since it was last used, to be remembered.
    pub idle: Option<u64>,
    /// The logarithmic counter of its use, to be remembered.
    pub frequency: Option<u8>,
}

/// Writes one file. What is written is taken with [`Writer::take`] as often as wanted, for instance whenever
/// [`Writer::len`] exceeds the size of a chunk.
pub struct Writer {
    encoder: Encoder,
    options: WriteOptions,
    sum: Crc64,
    /// What of the encoder's bytes is in the sum.
    summed: usize,
    /// The database of the keys that follow.
    db: Option<usize>,
    /// Whether a collection is being written whose parts still come, and the keys that will follow it.
    leads: bool,
    held: Vec<u8>,
}

impl Writer {
    /// A file with nothing but its header so far.
    pub fn new(options: WriteOptions) -> Self {
        let mut encoder = Encoder::new(options.compress);
        encoder.bytes(&options.format.version().header());
        let (sum, held) = (Crc64::new(), Vec::new());
        Writer { encoder, options, sum, summed: 0, db: None, leads: false, held }
    }

    /// Writes a name and a value about the file: before the first key.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.encoder.byte(op::AUX);
        self.encoder.string(name);
        self.encoder.string(value);
    }

    /// Writes the source of a library of functions: before the first key.
    pub fn function(&mut self, code: &[u8]) {
        self.encoder.byte(op::FUNCTION);
        self.encoder.string(code);
    }

    /// Says that keys of a database follow, and how many there are, so that whoever loads them can make room.
    pub fn database(&mut self, db: usize, keys: usize, volatile: usize) {
        self.select(db);
        self.encoder.byte(op::RESIZE);
        self.encoder.length(keys as u64);
        self.encoder.length(volatile as u64);
    }

    fn select(&mut self, db: usize) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.encoder.byte(op::SELECT);
            self.encoder.length(db as u64);
        }
    }

    /// Writes a key. Keys come in any order; those of a database are best kept together.
    ///
    /// # Errors
    /// Fields of a hash have deadlines, and the format does not know such. Nothing of the key is written.
    pub fn entry(&mut self, entry: &Entry<'_>) -> Result<(), FieldDeadlines> {
        let kind = self.encoder.value_kind(&entry.value, self.options.format)?;
        let Entry { db, key, deadline, idle, frequency, .. } = *entry;
        self.set_held(self.leads);
        self.head(kind, &Head { db, key, deadline, idle, frequency });
        let result = self.encoder.value(&entry.value, self.options.format);
        self.set_held(self.leads);
        result
    }

    /// Has the encoder write into what is held, or, called once more, into the file again.
    #[inline]
    fn set_held(&mut self, held: bool) {
        if held {
            std::mem::swap(&mut self.encoder.out, &mut self.held);
        }
    }

    /// What stands before a value.
    fn head(&mut self, kind: u8, head: &Head<'_>) {
        self.select(head.db);
        if let Some(at) = head.deadline {
            self.encoder.byte(op::EXPIRE_MS);
            self.encoder.bytes(&at.to_le_bytes());
        }
        if let Some(idle) = head.idle {
            self.encoder.byte(op::IDLE);
            self.encoder.length(idle);
        }
        if let Some(frequency) = head.frequency {
            self.encoder.bytes(&[op::FREQUENCY, frequency]);
        }
        self.encoder.byte(kind);
        self.encoder.string(head.key);
    }

    /// Begins a collection whose parts come one by one. Other keys may be written in between.
    ///
    /// # Errors
    /// As for [`Writer::entry`].
    pub fn begin(&mut self, shape: Shape) -> Result<Large, FieldDeadlines> {
        Large::begin(&mut self.encoder, shape, self.options.format)
    }

    /// Writes what there is of a collection, under its key. From here on its parts are written when they come, and all
    /// else is held until it ends. One collection at a time.
    pub fn lead(&mut self, head: &Head<'_>, large: &mut Large) {
        assert!(!self.leads, "one collection at a time");
        self.head(large.kind, head);
        self.encoder.out.append(&mut large.out);
        (self.leads, large.leads) = (true, true);
    }

    /// Whether a collection leads.
    pub fn leads(&self) -> bool {
        self.leads
    }

    /// Adds a part to a collection that was begun.
    pub fn part(&mut self, large: &mut Large, part: SnapshotPart<'_>) {
        large.part(&mut self.encoder, part);
        if large.leads {
            self.encoder.out.append(&mut large.out);
        }
    }

    /// Ends a collection of which all parts came, and, if it has led, writes what was held.
    pub fn end(&mut self, head: &Head<'_>, mut large: Large) {
        large.finish(&mut self.encoder);
        if large.leads {
            self.encoder.out.append(&mut large.out);
            self.encoder.out.append(&mut self.held);
            self.leads = false;
            return;
        }
        self.set_held(self.leads);
        self.head(large.kind, head);
        self.encoder.out.append(&mut large.out);
        self.set_held(self.leads);
    }

    /// Bytes that were written and not taken.
    #[expect(clippy::len_without_is_empty, reason = "there is always something to come")]
    pub fn len(&self) -> usize {
        self.encoder.out.len()
    }

    /// Takes what was written so far: the next chunk of the file.
    pub fn take(&mut self) -> Vec<u8> {
        self.add_to_sum();
        self.summed = 0;
        std::mem::take(&mut self.encoder.out)
    }

    fn add_to_sum(&mut self) {
        if self.options.checksum {
            self.sum.update(&self.encoder.out[self.summed..]);
        }
        self.summed = self.encoder.out.len();
    }

    /// Ends the file; returns its last chunk.
    pub fn finish(mut self) -> Vec<u8> {
        assert!(!self.leads, "a collection is not complete");
        self.encoder.byte(op::END);
        self.add_to_sum();
        let sum = if self.options.checksum { self.sum.value() } else { 0 };
        self.encoder.bytes(&sum.to_le_bytes());
        self.encoder.out
    }
}
