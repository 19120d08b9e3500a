//! Writing large collections whose parts come one by one, several collections at a time.
//!
//! A file holds a value in one piece. So the parts of one collection, which leads, are written as they come, and what
//! comes of others is encoded and kept until it is their turn. Nodes and pending entries of streams are kept until the
//! stream is complete.

use std::collections::BTreeMap;

use carnelian_keyspace::records::Records;
use carnelian_keyspace::stream::{LogFacts, StreamId};
use carnelian_keyspace::{ListPart, SnapshotPart};

use super::encode::{Encoder, FieldDeadlines, HashForm};
use super::format::{Format, kind};

/// What is known of a collection before its parts.
#[derive(Clone, PartialEq, Debug)]
pub enum Shape {
    /// A list of so many runs of elements.
    List(u64),
    /// A set of so many members.
    Set(u64),
    /// A sorted set of so many members.
    SortedSet(u64),
    /// A hash.
    Hash {
        /// How many fields it has.
        len: u64,
        /// The earliest deadline of a field, or a time before it; `None`: no field has one.
        earliest: Option<u64>,
    },
    /// A stream.
    Stream(StreamShape),
}

/// What is known of a stream before its parts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamShape {
    /// How many nodes it has.
    pub nodes: u64,
    /// How many entries.
    pub len: u64,
    /// The ID of the first of them.
    pub first_id: StreamId,
    /// Its counters.
    pub facts: LogFacts,
    /// Its groups.
    pub groups: Vec<GroupShape>,
}

/// What is known of a group before what is pending in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupShape {
    /// Its name.
    pub name: Vec<u8>,
    /// The last entry that was delivered.
    pub last_id: StreamId,
    /// How many were delivered up to there, if known.
    pub read: Option<i64>,
    /// Its consumers.
    pub consumers: Vec<ConsumerShape>,
}

/// A consumer of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConsumerShape {
    /// By what pending entries name it; see [`carnelian_keyspace::stream::ConsumerId::slot`].
    pub slot: u32,
    /// Its name.
    pub name: Vec<u8>,
    /// When it last tried to get entries: unix time in milliseconds.
    pub seen_at: u64,
    /// When it last got some.
    pub active_at: Option<u64>,
}

/// A collection in the making: its type and, encoded, what came of it.
#[derive(Debug)]
pub struct Large {
    pub(super) kind: u8,
    pub(super) out: Vec<u8>,
    form: LargeForm,
    /// Whether what is encoded goes to the file at once.
    pub(super) leads: bool,
}

#[derive(Debug)]
enum LargeForm {
    /// The place of the run that comes next, and those that came early.
    List {
        next: u32,
        early: BTreeMap<u32, Vec<u8>>,
    },
    Set,
    SortedSet,
    Hash(HashForm),
    Stream(Box<StreamParts>),
}

#[derive(Debug)]
struct StreamParts {
    format: Format,
    shape: StreamShape,
    /// Encoded.
    nodes: BTreeMap<StreamId, Vec<u8>>,
    pending: Vec<Vec<PendingEntry>>,
}

/// An entry that is pending, in the order of IDs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct PendingEntry {
    id: StreamId,
    slot: u32,
    delivered_at: u64,
    deliveries: u64,
}

impl Large {
    /// Begins a collection.
    pub(super) fn begin(
        encoder: &mut Encoder,
        shape: Shape,
        format: Format,
    ) -> Result<Large, FieldDeadlines> {
        let (kind, form, len) = match shape {
            Shape::List(runs) => (kind::LIST, LargeForm::List { next: 1, early: BTreeMap::new() }, runs),
            Shape::Set(len) => (kind::SET, LargeForm::Set, len),
            Shape::SortedSet(len) => (kind::SORTED_SET, LargeForm::SortedSet, len),
            Shape::Hash { len, earliest } => {
                let form = HashForm::of_table(earliest, format)?;
                (form.kind(), LargeForm::Hash(form), len)
            }
            Shape::Stream(shape) => {
                let (nodes, pending) = (shape.nodes, vec![Vec::new(); shape.groups.len()]);
                let parts = StreamParts { format, shape, nodes: BTreeMap::new(), pending };
                (format.stream_kind(), LargeForm::Stream(Box::new(parts)), nodes)
            }
        };
        let mut large = Large { kind, out: Vec::new(), form, leads: false };
        large.encode(encoder, |encoder, form| {
            if let LargeForm::Hash(form) = form {
                encoder.hash_head(*form);
            }
            encoder.length(len);
        });
        Ok(large)
    }

    /// Lets the encoder write into this collection's bytes.
    fn encode(&mut self, encoder: &mut Encoder, f: impl FnOnce(&mut Encoder, &mut LargeForm)) {
        std::mem::swap(&mut encoder.out, &mut self.out);
        f(encoder, &mut self.form);
        std::mem::swap(&mut encoder.out, &mut self.out);
    }

    /// Adds a part. Parts of another type do not come: the snapshot knows the type.
    pub(super) fn part(&mut self, encoder: &mut Encoder, part: SnapshotPart<'_>) {
        self.encode(encoder, |encoder, form| match (form, part) {
            (LargeForm::Set, SnapshotPart::Members(members)) => set_members(encoder, members),
            (LargeForm::SortedSet, SnapshotPart::Members(members)) => scored_members(encoder, members),
            (LargeForm::Hash(form), SnapshotPart::Members(fields)) => {
                hash_fields(encoder, *form, fields);
            }
            (LargeForm::List { next, early }, SnapshotPart::Run(place, run)) => {
                list_run(encoder, next, early, place, run);
            }
            (LargeForm::Stream(parts), SnapshotPart::Node(id, bytes)) => {
                parts.nodes.insert(id, aside(encoder, |encoder| encoder.string(bytes)));
            }
            (
                LargeForm::Stream(parts),
                SnapshotPart::Pending { group, id, consumer, delivered_at, deliveries },
            ) => {
                let entry = PendingEntry { id, slot: consumer, delivered_at, deliveries };
                parts.pending[group as usize].push(entry);
            }
            (form, part) => unreachable!("{part:?} does not belong to {form:?}"),
        });
    }

    /// Ends the collection: what could not be written before.
    pub(super) fn finish(&mut self, encoder: &mut Encoder) {
        self.encode(encoder, |encoder, form| match form {
            LargeForm::List { early, .. } => assert!(early.is_empty(), "every run of the list came"),
            LargeForm::Stream(parts) => parts.write(encoder),
            _ => {}
        });
    }
}

fn set_members(encoder: &mut Encoder, mut members: Records<'_>) {
    while !members.is_empty() {
        encoder.string(members.member());
    }
}

fn scored_members(encoder: &mut Encoder, mut members: Records<'_>) {
    while !members.is_empty() {
        let (member, score) = members.scored();
        encoder.string(member);
        encoder.bytes(&score.to_le_bytes());
    }
}

fn hash_fields(encoder: &mut Encoder, form: HashForm, mut fields: Records<'_>) {
    while !fields.is_empty() {
        let (name, value, deadline) = fields.field();
        encoder.hash_field(form, deadline, |encoder| {
            encoder.string(name);
            encoder.string(value);
        });
    }
}

/// What `f` encodes, apart from what was encoded before.
fn aside(encoder: &mut Encoder, f: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let before = std::mem::take(&mut encoder.out);
    f(encoder);
    std::mem::replace(&mut encoder.out, before)
}

fn list_run(
    encoder: &mut Encoder,
    next: &mut u32,
    early: &mut BTreeMap<u32, Vec<u8>>,
    place: u32,
    run: ListPart<'_>,
) {
    if place != *next {
        early.insert(place, aside(encoder, |encoder| encoder.list_run(run)));
        return;
    }
    encoder.list_run(run);
    *next += 1;
    while let Some(bytes) = early.remove(next) {
        encoder.bytes(&bytes);
        *next += 1;
    }
}

impl StreamParts {
    fn write(&mut self, encoder: &mut Encoder) {
        assert_eq!(self.nodes.len() as u64, self.shape.nodes, "every node of the stream came");
        for (id, bytes) in std::mem::take(&mut self.nodes) {
            encoder.string(&id.to_bytes());
            encoder.bytes(&bytes);
        }
        let StreamShape { len, first_id, facts, groups, .. } = &self.shape;
        encoder.length(*len);
        encoder.id(facts.last_id);
        encoder.id(*first_id);
        encoder.id(facts.max_deleted_id);
        encoder.length(facts.added);
        encoder.length(groups.len() as u64);
        for (group, pending) in groups.iter().zip(&mut self.pending) {
            pending.sort_unstable();
            write_group(encoder, group, pending, self.format);
        }
    }
}

fn write_group(encoder: &mut Encoder, group: &GroupShape, pending: &[PendingEntry], format: Format) {
    encoder.string(&group.name);
    encoder.id(group.last_id);
    encoder.length(group.read.unwrap_or(-1) as u64);
    encoder.length(pending.len() as u64);
    // By slot of the consumer, in the order of IDs.
    let mut owned: BTreeMap<u32, Vec<StreamId>> = BTreeMap::new();
    for entry in pending {
        encoder.bytes(&entry.id.to_bytes());
        encoder.bytes(&entry.delivered_at.to_le_bytes());
        encoder.length(entry.deliveries);
        owned.entry(entry.slot).or_default().push(entry.id);
    }
    encoder.length(group.consumers.len() as u64);
    for consumer in &group.consumers {
        encoder.consumer(&consumer.name, consumer.seen_at, consumer.active_at, format);
        let ids = owned.get(&consumer.slot).map_or(&[][..], Vec::as_slice);
        encoder.length(ids.len() as u64);
        ids.iter().for_each(|id| encoder.bytes(&id.to_bytes()));
    }
}
