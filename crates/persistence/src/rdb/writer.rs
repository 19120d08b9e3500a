//! Writing a file, key by key.

use carnelian_keyspace::Value;

use super::crc64::Crc64;
use super::encode::{Encoder, FieldDeadlines};
use super::format::{Format, op};

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
}

impl Writer {
    /// A file with nothing but its header so far.
    pub fn new(options: WriteOptions) -> Self {
        let mut encoder = Encoder::new(options.compress);
        encoder.bytes(&options.format.version().header());
        Writer { encoder, options, sum: Crc64::new(), summed: 0, db: None }
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
        self.select(entry.db);
        if let Some(at) = entry.deadline {
            self.encoder.byte(op::EXPIRE_MS);
            self.encoder.bytes(&at.to_le_bytes());
        }
        if let Some(idle) = entry.idle {
            self.encoder.byte(op::IDLE);
            self.encoder.length(idle);
        }
        if let Some(frequency) = entry.frequency {
            self.encoder.bytes(&[op::FREQUENCY, frequency]);
        }
        self.encoder.byte(kind);
        self.encoder.string(entry.key);
        self.encoder.value(&entry.value, self.options.format)
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
        self.encoder.byte(op::END);
        self.add_to_sum();
        let sum = if self.options.checksum { self.sum.value() } else { 0 };
        self.encoder.bytes(&sum.to_le_bytes());
        self.encoder.out
    }
}
