//! The keyspace's side: copies what a snapshot hands out, as it is.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Sender;

use carnelian_keyspace::records::{put_bytes, put_field, put_length, put_member, put_scored};
use carnelian_keyspace::stream::{Group, StreamId};
use carnelian_keyspace::{
    Blob, HashRef, Item, ListPart, ListRef, Packing, SetRef, SnapshotPart, SnapshotSink, SortedSetRef, Str,
    Stream, Value,
};

use super::batch::{ACCESS, Batch, Buffers, DEADLINE, FULL, Tag, shape};

/// Strings of fewer bytes are copied, larger ones shared.
const SHARED_FROM: usize = 4096;
/// Members of a collection that is handed out whole are collected to about so many bytes.
const CHUNK: usize = 16 * 1024;

/// What is remembered of the use of keys. It depends on the policy by which keys are evicted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// Nothing: no policy asks for it.
    #[default]
    Nothing,
    /// The seconds since the last use, at this unix time in milliseconds: the LRU policies.
    Idle(u64),
    /// The logarithmic counter, at this unix time in milliseconds: the LFU policies.
    Frequency(u64),
}

/// Receives a snapshot and sends it in batches. Nothing is sent any more once the other end is gone: whoever drives
/// the snapshot learns that from the other thread and gives it up.
pub struct Capture {
    sender: Sender<Batch>,
    queued: Arc<AtomicUsize>,
    access: Access,
    buffers: Arc<Buffers>,
    bytes: Vec<u8>,
    blobs: Vec<Blob>,
    /// Bytes of `blobs`.
    shared: usize,
    /// The database of the keys that follow.
    db: Option<usize>,
    /// For members of collections that are handed out whole.
    members: Vec<u8>,
}

impl Capture {
    /// A capture that sends batches to `sender` and counts the bytes of those that live in `queued`.
    pub fn new(sender: Sender<Batch>, queued: Arc<AtomicUsize>, access: Access) -> Capture {
        let buffers: Arc<Buffers> = Arc::default();
        Capture {
            sender,
            queued,
            access,
            bytes: buffers.take(),
            buffers,
            blobs: Vec::new(),
            shared: 0,
            db: None,
            members: Vec::new(),
        }
    }

    /// Sends what was captured since the last batch, for instance at the end of a turn. Batches that are full are sent
    /// without this.
    pub fn flush(&mut self) {
        if !self.bytes.is_empty() {
            self.send(false);
        }
    }

    fn send(&mut self, is_last: bool) {
        let bytes = std::mem::replace(&mut self.bytes, self.buffers.take());
        let blobs = std::mem::take(&mut self.blobs);
        self.shared = 0;
        let batch = Batch::new(bytes, blobs, is_last, &self.queued, &self.buffers);
        // Without a receiver the batch is dropped.
        drop(self.sender.send(batch));
    }

    #[inline]
    fn send_if_full(&mut self) {
        if self.bytes.len() + self.shared >= FULL {
            self.send(false);
        }
    }

    /// What stands before a value.
    #[inline]
    fn head(&mut self, tag: Tag, id: Option<u64>, db: usize, item: &Item<'_>) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.bytes.push(Tag::Database as u8);
            put_length(&mut self.bytes, db as u64);
        }
        let deadline = item.deadline();
        let access = match self.access {
            Access::Nothing => None,
            Access::Idle(now) => Some(item.idle_seconds(now) as u32),
            Access::Frequency(now) => Some(item.frequency(now)),
        };
        let flags = if deadline.is_some() { DEADLINE } else { 0 } | if access.is_some() { ACCESS } else { 0 };
        self.bytes.push(tag as u8 | flags);
        if let Some(id) = id {
            put_length(&mut self.bytes, id);
        }
        if let Some(at) = deadline {
            self.bytes.extend_from_slice(&at.to_le_bytes());
        }
        if let Some(access) = access {
            self.bytes.extend_from_slice(&access.to_le_bytes());
        }
        put_bytes(&mut self.bytes, item.key());
    }

    fn share(&mut self, blob: &Blob) {
        self.shared += blob.len();
        self.blobs.push(Arc::clone(blob));
    }

    fn string(&mut self, db: usize, item: &Item<'_>, string: Str<'_>) {
        match string {
            Str::Int(v) => {
                self.head(Tag::Int, None, db, item);
                self.bytes.extend_from_slice(&v.to_le_bytes());
            }
            Str::Shared(blob) if blob.len() >= SHARED_FROM => {
                self.head(Tag::Blob, None, db, item);
                self.share(blob);
            }
            Str::Bytes(bytes) => {
                self.head(Tag::Text, None, db, item);
                put_bytes(&mut self.bytes, bytes);
            }
            Str::Shared(blob) => {
                self.head(Tag::Text, None, db, item);
                put_bytes(&mut self.bytes, blob);
            }
        }
    }

    /// A collection that is not packed, whole.
    #[cold]
    fn whole(&mut self, db: usize, item: Item<'_>) {
        self.open(0, db, item);
        match item.value() {
            Value::Str(_) => unreachable!("strings are no collections"),
            Value::List(list) => self.whole_list(&list),
            Value::Set(set) => self.whole_set(&set),
            Value::SortedSet(set) => self.whole_sorted_set(&set),
            Value::Hash(hash) => self.whole_hash(&hash),
            Value::Stream(stream) => self.whole_stream(stream),
        }
        self.close(0);
    }

    fn whole_list(&mut self, list: &ListRef<'_>) {
        let mut place = 0;
        list.parts(|run| {
            place += 1;
            self.part(0, SnapshotPart::Run(place, run));
        });
    }

    fn whole_set(&mut self, set: &SetRef<'_>) {
        set.for_each(|member| {
            member.with_bytes(|member| put_member(&mut self.members, member));
            self.members_if_full();
        });
        self.send_members();
    }

    fn whole_sorted_set(&mut self, set: &SortedSetRef<'_>) {
        set.for_each(|member, score| {
            member.with_bytes(|member| put_scored(&mut self.members, member, score));
            self.members_if_full();
        });
        self.send_members();
    }

    fn whole_hash(&mut self, hash: &HashRef<'_>) {
        hash.for_each(|field| {
            let deadline = field.deadline();
            field.name.with_bytes(|name| {
                field.value.with_bytes(|value| put_field(&mut self.members, name, value, deadline));
            });
            self.members_if_full();
        });
        self.send_members();
    }

    fn members_if_full(&mut self) {
        if self.members.len() >= CHUNK {
            self.send_members();
        }
    }

    fn send_members(&mut self) {
        let mut members = std::mem::take(&mut self.members);
        self.put_members(0, &members);
        members.clear();
        self.members = members;
    }

    fn put_members(&mut self, id: u64, members: &[u8]) {
        self.part_head(Tag::Members, id);
        put_bytes(&mut self.bytes, members);
        self.send_if_full();
    }

    fn whole_stream(&mut self, stream: &Stream) {
        stream.log().nodes().for_each(|(id, bytes)| self.part(0, SnapshotPart::Node(id, bytes)));
        for (number, (_, group)) in stream.groups().iter().enumerate() {
            for (id, pending) in group.pending(StreamId::MIN, StreamId::MAX, None) {
                self.part(
                    0,
                    SnapshotPart::Pending {
                        group: number as u32,
                        id,
                        consumer: pending.consumer.slot(),
                        delivered_at: pending.delivered_at,
                        deliveries: pending.deliveries,
                    },
                );
            }
        }
    }

    fn part_head(&mut self, tag: Tag, id: u64) {
        self.bytes.push(tag as u8);
        put_length(&mut self.bytes, id);
    }

    /// What is known of a collection before its parts.
    fn shape(&mut self, value: &Value<'_>) {
        let (byte, len) = match value {
            Value::Str(_) => unreachable!("strings are no collections"),
            Value::List(list) => (shape::LIST, list.part_count()),
            Value::Set(set) => (shape::SET, set.len()),
            Value::SortedSet(set) => (shape::SORTED_SET, set.len()),
            Value::Hash(hash) => (shape::HASH, hash.len()),
            Value::Stream(stream) => (shape::STREAM, stream.log().node_count()),
        };
        self.bytes.push(byte);
        put_length(&mut self.bytes, len as u64);
        match value {
            Value::Hash(hash) => self.bytes.extend_from_slice(&hash.next_deadline().to_le_bytes()),
            Value::Stream(stream) => self.stream_shape(stream),
            _ => {}
        }
    }

    fn stream_shape(&mut self, stream: &Stream) {
        let (log, groups) = (stream.log(), stream.groups());
        self.number(log.len());
        self.id(log.first_id());
        self.id(log.last_id());
        self.id(log.max_deleted_id());
        self.number(log.added());
        self.number(groups.len() as u64);
        for (name, group) in groups.iter() {
            put_bytes(&mut self.bytes, name);
            self.group_shape(group);
        }
    }

    fn group_shape(&mut self, group: &Group) {
        self.id(group.last_id);
        self.optional(group.read.map(|read| read as u64));
        self.number(group.consumers().len() as u64);
        for (id, consumer) in group.consumers() {
            self.number(id.slot().into());
            put_bytes(&mut self.bytes, consumer.name());
            self.number(consumer.seen_at);
            self.optional(consumer.active_at);
        }
    }

    fn number(&mut self, n: u64) {
        put_length(&mut self.bytes, n);
    }

    fn optional(&mut self, n: Option<u64>) {
        self.bytes.push(u8::from(n.is_some()));
        self.number(n.unwrap_or(0));
    }

    fn id(&mut self, id: StreamId) {
        self.number(id.ms);
        self.number(id.seq);
    }
}

/// The bytes of a packed collection.
#[inline]
fn packed<'a>(value: &Value<'a>) -> Option<(Packing, &'a [u8])> {
    match value {
        Value::Hash(hash) => hash.packed(),
        Value::Set(set) => {
            let is_ints = set.encoding() == carnelian_keyspace::Encoding::Intset;
            set.packed().map(|bytes| (if is_ints { Packing::SetInts } else { Packing::Set }, bytes))
        }
        Value::SortedSet(set) => set.packed().map(|bytes| (Packing::SortedSet, bytes)),
        Value::List(list) => list.packed().map(|bytes| (Packing::List, bytes)),
        Value::Str(_) | Value::Stream(_) => None,
    }
}

impl SnapshotSink for Capture {
    #[inline]
    fn item(&mut self, db: usize, item: Item<'_>) {
        match item.value() {
            Value::Str(string) => self.string(db, &item, string),
            value => match packed(&value) {
                Some((packing, bytes)) => {
                    self.head(Tag::of_packing(packing), None, db, &item);
                    put_bytes(&mut self.bytes, bytes);
                }
                None => self.whole(db, item),
            },
        }
        self.send_if_full();
    }

    fn open(&mut self, id: u64, db: usize, item: Item<'_>) {
        self.head(Tag::Open, Some(id), db, &item);
        self.shape(&item.value());
    }

    fn part(&mut self, id: u64, part: SnapshotPart<'_>) {
        match part {
            SnapshotPart::Members(members) => return self.put_members(id, members.bytes()),
            SnapshotPart::Run(place, ListPart::Plain(blob)) if blob.len() >= SHARED_FROM => {
                self.part_head(Tag::PlainBlob, id);
                self.number(place.into());
                self.share(blob);
            }
            SnapshotPart::Run(place, run) => {
                let (tag, bytes) = match run {
                    ListPart::Pack(bytes) => (Tag::Pack, bytes),
                    ListPart::Plain(blob) => (Tag::Plain, &blob[..]),
                };
                self.part_head(tag, id);
                self.number(place.into());
                put_bytes(&mut self.bytes, bytes);
            }
            SnapshotPart::Node(node, bytes) => {
                self.part_head(Tag::Node, id);
                self.id(node);
                put_bytes(&mut self.bytes, bytes);
            }
            SnapshotPart::Pending { group, id: entry, consumer, delivered_at, deliveries } => {
                self.part_head(Tag::Pending, id);
                self.number(group.into());
                self.id(entry);
                self.number(consumer.into());
                self.number(delivered_at);
                self.number(deliveries);
            }
        }
        self.send_if_full();
    }

    fn close(&mut self, id: u64) {
        self.part_head(Tag::Close, id);
        self.send_if_full();
    }

    fn end(&mut self) {
        self.send(true);
    }
}
