//! The other thread's side: makes a file of what was captured.

use std::collections::BTreeMap;

use carnelian_keyspace::records::Records;
use carnelian_keyspace::stream::{LogFacts, StreamId};
use carnelian_keyspace::{Blob, ListPart, SnapshotPart, Str, Value};

use super::batch::{ACCESS, Batch, DEADLINE, Tag, shape};
use super::capture::Access;
use crate::rdb::{
    ConsumerShape, Entry, FieldDeadlines, GroupShape, Head, Large, Shape, StreamShape, WriteOptions, Writer,
};

/// Writes one file from the batches of a snapshot. Of the collections that come in parts, the one that was opened first
/// is written as it comes; what else comes meanwhile, which is what changes have handed out, is kept, encoded, until it is
/// complete.
pub struct Assembler {
    writer: Writer,
    access: Access,
    /// The database of the keys that follow.
    db: usize,
    /// By their numbers; the first one leads.
    open: BTreeMap<u64, Open>,
    keys: u64,
}

const WITH_BATCH: &str = "large strings come with the batch that names them";

/// A collection that is not complete.
struct Open {
    head: OwnedHead,
    large: Large,
}

/// What stands before a value.
struct OwnedHead {
    db: usize,
    key: Vec<u8>,
    deadline: Option<u64>,
    access: Option<u32>,
}

impl Assembler {
    /// A file with nothing but its header so far. `access` is what the [`Capture`](super::Capture) was given.
    pub fn new(options: WriteOptions, access: Access) -> Assembler {
        Assembler { writer: Writer::new(options), access, db: 0, open: BTreeMap::new(), keys: 0 }
    }

    /// Writes a name and a value about the file: before the first batch.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.writer.aux(name, value);
    }

    /// Writes the source of a library of functions: before the first batch.
    pub fn function(&mut self, code: &[u8]) {
        self.writer.function(code);
    }

    /// Says how many keys a database has, so that whoever loads them can make room: before the first batch.
    pub fn database(&mut self, db: usize, keys: usize, volatile: usize) {
        self.writer.database(db, keys, volatile);
    }

    /// Writes what is in a batch.
    ///
    /// # Errors
    /// Fields of a hash have deadlines, and the format does not know such. The file cannot be completed.
    pub fn batch(&mut self, batch: Batch) -> Result<(), FieldDeadlines> {
        let mut records = Records::new(&batch.bytes);
        let mut blobs = batch.blobs.iter();
        while !records.is_empty() {
            self.record(&mut records, &mut blobs)?;
        }
        Ok(())
    }

    /// Keys that were written.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Bytes that were written and not taken.
    #[expect(clippy::len_without_is_empty, reason = "there is always something to come")]
    pub fn len(&self) -> usize {
        self.writer.len()
    }

    /// Takes what was written so far: the next chunk of the file.
    pub fn take(&mut self) -> Vec<u8> {
        self.writer.take()
    }

    /// Ends the file, after the last batch; returns its last chunk.
    pub fn finish(self) -> Vec<u8> {
        assert!(self.open.is_empty(), "a complete snapshot has closed all collections");
        self.writer.finish()
    }

    #[inline]
    fn record<'b>(
        &mut self,
        records: &mut Records<'b>,
        blobs: &mut impl Iterator<Item = &'b Blob>,
    ) -> Result<(), FieldDeadlines> {
        let [byte] = records.array();
        let tag = Tag::of_byte(byte);
        match tag {
            Tag::Database => self.db = records.length() as usize,
            Tag::Open => return self.open(byte, records),
            Tag::Close => self.close(records.length()),
            Tag::Members | Tag::Pack | Tag::Plain | Tag::PlainBlob | Tag::Node | Tag::Pending => {
                self.part(tag, records, blobs);
            }
            _ => return self.small(tag, byte, records, blobs),
        }
        Ok(())
    }

    /// A value that came whole.
    #[inline]
    fn small<'b>(
        &mut self,
        tag: Tag,
        byte: u8,
        records: &mut Records<'b>,
        blobs: &mut impl Iterator<Item = &'b Blob>,
    ) -> Result<(), FieldDeadlines> {
        let head = self.head(byte, records);
        let value = match tag {
            Tag::Int => Value::Str(Str::Int(i64::from_le_bytes(records.array()))),
            Tag::Text => Value::Str(Str::Bytes(records.bytes_with_length())),
            Tag::Blob => Value::Str(Str::Bytes(blobs.next().expect(WITH_BATCH))),
            _ => {
                let packing = tag.packing().expect("all other tags were told apart before");
                Value::packed(packing, records.bytes_with_length())
            }
        };
        let Head { db, key, deadline, idle, frequency } = head;
        self.keys += 1;
        self.writer.entry(&Entry { db, key, value, deadline, idle, frequency })
    }

    #[inline]
    fn head<'b>(&self, byte: u8, records: &mut Records<'b>) -> Head<'b> {
        let deadline = (byte & DEADLINE != 0).then(|| records.u64());
        let access = (byte & ACCESS != 0).then(|| u32::from_le_bytes(records.array()));
        head_of(self.access, self.db, records.bytes_with_length(), deadline, access)
    }

    fn open(&mut self, byte: u8, records: &mut Records<'_>) -> Result<(), FieldDeadlines> {
        let id = records.length();
        let deadline = (byte & DEADLINE != 0).then(|| records.u64());
        let access = (byte & ACCESS != 0).then(|| u32::from_le_bytes(records.array()));
        let key = records.bytes_with_length().to_vec();
        let head = OwnedHead { db: self.db, key, deadline, access };
        let large = self.writer.begin(read_shape(records))?;
        let before = self.open.insert(id, Open { head, large });
        assert!(before.is_none(), "a collection was opened twice");
        if !self.writer.leads() {
            self.lead();
        }
        Ok(())
    }

    /// Lets the collection that was opened first lead.
    fn lead(&mut self) {
        let Some(mut first) = self.open.first_entry() else { return };
        let Open { head, large } = first.get_mut();
        let head = head_of(self.access, head.db, &head.key, head.deadline, head.access);
        self.writer.lead(&head, large);
    }

    fn part<'b>(&mut self, tag: Tag, records: &mut Records<'b>, blobs: &mut impl Iterator<Item = &'b Blob>) {
        let open = self.open.get_mut(&records.length()).expect("parts are of open collections");
        let copied;
        let part = match tag {
            Tag::Members => SnapshotPart::Members(Records::new(records.bytes_with_length())),
            Tag::Node => SnapshotPart::Node(read_id(records), records.bytes_with_length()),
            Tag::Pending => SnapshotPart::Pending {
                group: records.length() as u32,
                id: read_id(records),
                consumer: records.length() as u32,
                delivered_at: records.length(),
                deliveries: records.length(),
            },
            _ => {
                let place = records.length() as u32;
                SnapshotPart::Run(
                    place,
                    match tag {
                        Tag::Pack => ListPart::Pack(records.bytes_with_length()),
                        Tag::Plain => ListPart::Plain({
                            copied = Blob::new(records.bytes_with_length().to_vec());
                            &copied
                        }),
                        _ => ListPart::Plain(blobs.next().expect(WITH_BATCH)),
                    },
                )
            }
        };
        self.writer.part(&mut open.large, part);
    }

    fn close(&mut self, id: u64) {
        let Open { head, large } = self.open.remove(&id).expect("only open collections are closed");
        let head = head_of(self.access, head.db, &head.key, head.deadline, head.access);
        self.keys += 1;
        self.writer.end(&head, large);
        if !self.writer.leads() {
            self.lead();
        }
    }
}

fn head_of(kind: Access, db: usize, key: &[u8], deadline: Option<u64>, access: Option<u32>) -> Head<'_> {
    let is_idle = matches!(kind, Access::Idle(_));
    Head {
        db,
        key,
        deadline,
        idle: access.filter(|_| is_idle).map(u64::from),
        frequency: access.filter(|_| !is_idle).map(|counter| counter.min(255) as u8),
    }
}

fn read_shape(records: &mut Records<'_>) -> Shape {
    let [byte] = records.array();
    let len = records.length();
    match byte {
        shape::LIST => Shape::List(len),
        shape::SET => Shape::Set(len),
        shape::SORTED_SET => Shape::SortedSet(len),
        shape::HASH => Shape::Hash { len, earliest: Some(records.u64()).filter(|at| *at != u64::MAX) },
        _ => Shape::Stream(read_stream(len, records)),
    }
}

fn read_stream(nodes: u64, records: &mut Records<'_>) -> StreamShape {
    let (len, first_id) = (records.length(), read_id(records));
    let facts =
        LogFacts { last_id: read_id(records), max_deleted_id: read_id(records), added: records.length() };
    let groups = (0..records.length()).map(|_| read_group(records)).collect();
    StreamShape { nodes, len, first_id, facts, groups }
}

fn read_group(records: &mut Records<'_>) -> GroupShape {
    GroupShape {
        name: records.bytes_with_length().to_vec(),
        last_id: read_id(records),
        read: read_optional(records).map(|read| read as i64),
        consumers: (0..records.length()).map(|_| read_consumer(records)).collect(),
    }
}

fn read_consumer(records: &mut Records<'_>) -> ConsumerShape {
    ConsumerShape {
        slot: records.length() as u32,
        name: records.bytes_with_length().to_vec(),
        seen_at: records.length(),
        active_at: read_optional(records),
    }
}

fn read_optional(records: &mut Records<'_>) -> Option<u64> {
    let [is_there] = records.array();
    let n = records.length();
    (is_there != 0).then_some(n)
}

fn read_id(records: &mut Records<'_>) -> StreamId {
    StreamId { ms: records.length(), seq: records.length() }
}
