//! Writing primitives and values.

use carnelian_keyspace::encoding::listpack::{Element, Listpack};
use carnelian_keyspace::stream::{Group, StreamId};
use carnelian_keyspace::{HashRef, ListPart, ListRef, Packing, SetRef, SortedSetRef, Str, Stream, Value};

use super::format::{Format, kind};
use super::lzf::Compressor;

/// Strings of fewer bytes are not compressed.
const COMPRESSED_FROM: usize = 21;
/// After so many strings in a row that did not become shorter, only one in `SAMPLE` is tried, until one does: to look for
/// repetitions in random or packed values is a third of what a save of small strings costs.
const PATIENCE: u32 = 32;
const SAMPLE: u32 = 8;
/// Longer texts are no integers of 32 bits.
const INT_TEXT: usize = 11;

/// The deadlines of a hash's fields cannot be written in the chosen format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the format knows no deadlines of fields")]
pub struct FieldDeadlines;

/// Bytes in the making.
pub(crate) struct Encoder {
    pub(crate) out: Vec<u8>,
    compress: bool,
    /// From the first string on that is long enough.
    compressor: Option<Compressor>,
    /// Strings since the last one that became shorter.
    misses: u32,
}

impl Encoder {
    pub(crate) fn new(compress: bool) -> Self {
        Encoder { out: Vec::new(), compress, compressor: None, misses: 0 }
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A length, a count, or any number that is written as one.
    #[inline]
    pub(crate) fn length(&mut self, n: u64) {
        match n {
            0..64 => self.out.push(n as u8),
            64..16384 => self.bytes(&[0x40 | (n >> 8) as u8, n as u8]),
            _ => match u32::try_from(n) {
                Ok(n) => {
                    self.out.push(0x80);
                    self.bytes(&n.to_be_bytes());
                }
                Err(_) => {
                    self.out.push(0x81);
                    self.bytes(&n.to_be_bytes());
                }
            },
        }
    }

    fn count(&mut self, n: usize) {
        self.length(n as u64);
    }

    /// A string: as a number if it is a small one, compressed if that is shorter.
    #[inline]
    pub(crate) fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= INT_TEXT
            && let Some(v) = carnelian_keyspace::encoding::canonical_int(bytes)
            && let Ok(v) = i32::try_from(v)
        {
            return self.int32(v);
        }
        if self.compress && bytes.len() >= COMPRESSED_FROM && self.is_promising() && self.compressed(bytes) {
            return;
        }
        self.count(bytes.len());
        self.bytes(bytes);
    }

    fn int32(&mut self, v: i32) {
        if let Ok(v) = i8::try_from(v) {
            self.bytes(&[0xC0, v as u8]);
        } else if let Ok(v) = i16::try_from(v) {
            self.out.push(0xC1);
            self.bytes(&v.to_le_bytes());
        } else {
            self.out.push(0xC2);
            self.bytes(&v.to_le_bytes());
        }
    }

    /// Writes a string compressed, if that is shorter; whether it was.
    fn compressed(&mut self, bytes: &[u8]) -> bool {
        let mut compressor = self.compressor.take().unwrap_or_else(Compressor::new);
        let packed = compressor.compress(bytes);
        if let Some(packed) = packed {
            self.out.push(0xC3);
            self.count(packed.len());
            self.count(bytes.len());
            self.bytes(packed);
        }
        let is_shorter = packed.is_some();
        if is_shorter {
            self.misses = 0;
        }
        self.compressor = Some(compressor);
        is_shorter
    }

    /// Whether to try the next string.
    #[inline]
    fn is_promising(&mut self) -> bool {
        self.misses = self.misses.wrapping_add(1);
        self.misses <= PATIENCE || self.misses.is_multiple_of(SAMPLE)
    }

    fn element(&mut self, element: Element<'_>) {
        element.with_bytes(|bytes| self.string(bytes));
    }

    /// The type of a value, and what is written for it after the key.
    pub(crate) fn value_kind(&self, value: &Value<'_>, format: Format) -> Result<u8, FieldDeadlines> {
        Ok(match value {
            Value::Str(_) => kind::STRING,
            Value::List(_) => kind::LIST,
            Value::Set(set) => match set_packing(set, format) {
                Some((Packing::SetInts, _)) => kind::SET_INTS,
                Some(_) => kind::SET_PACK,
                None => kind::SET,
            },
            Value::SortedSet(set) if set.packed().is_some() => kind::SORTED_SET_PACK,
            Value::SortedSet(_) => kind::SORTED_SET,
            Value::Hash(hash) => HashForm::of(hash, format)?.kind(),
            Value::Stream(_) => format.stream_kind(),
        })
    }

    /// The value, after its type and its key.
    pub(crate) fn value(&mut self, value: &Value<'_>, format: Format) -> Result<(), FieldDeadlines> {
        match value {
            Value::Str(Str::Int(v)) => match i32::try_from(*v) {
                Ok(v) => self.int32(v),
                Err(_) => self.string(itoa::Buffer::new().format(*v).as_bytes()),
            },
            Value::Str(string) => string.with_bytes(|bytes| self.string(bytes)),
            Value::List(list) => self.list(list),
            Value::Set(set) => self.set(set, format),
            Value::SortedSet(set) => self.sorted_set(set),
            Value::Hash(hash) => {
                let form = HashForm::of(hash, format)?;
                self.hash(hash, form);
            }
            Value::Stream(stream) => self.stream(stream, format),
        }
        Ok(())
    }

    fn list(&mut self, list: &ListRef<'_>) {
        self.count(list.part_count());
        list.parts(|run| self.list_run(run));
    }

    /// A run of a list's elements.
    pub(crate) fn list_run(&mut self, run: ListPart<'_>) {
        let (container, bytes) = match run {
            ListPart::Plain(blob) => (1, &blob[..]),
            ListPart::Pack(bytes) => (2, bytes),
        };
        self.length(container);
        self.string(bytes);
    }

    fn set(&mut self, set: &SetRef<'_>, format: Format) {
        if let Some((_, bytes)) = set_packing(set, format) {
            return self.string(bytes);
        }
        self.count(set.len());
        set.for_each(|member| self.element(member));
    }

    fn sorted_set(&mut self, set: &SortedSetRef<'_>) {
        if let Some(bytes) = set.packed() {
            return self.string(bytes);
        }
        self.count(set.len());
        set.for_each(|member, score| {
            self.element(member);
            self.bytes(&score.to_le_bytes());
        });
    }

    fn hash(&mut self, hash: &HashRef<'_>, form: HashForm) {
        match (form, hash.packed()) {
            (HashForm::Pack, Some((Packing::Hash, bytes))) => self.string(bytes),
            (HashForm::Pack, _) => {
                let mut pack = Listpack::new();
                hash.for_each(|field| {
                    pack.push_element_back(field.name);
                    pack.push_element_back(field.value);
                });
                self.string(pack.view().bytes());
            }
            (HashForm::TimedPack(earliest), Some((_, bytes))) => {
                self.bytes(&earliest.to_le_bytes());
                self.string(bytes);
            }
            (HashForm::TimedPack(_) | HashForm::Timed(_) | HashForm::Table | HashForm::Valkey, _) => {
                self.hash_head(form);
                self.count(hash.len());
                hash.for_each(|field| {
                    self.hash_field(form, field.deadline(), |encoder| {
                        encoder.element(field.name);
                        encoder.element(field.value);
                    });
                });
            }
        }
    }

    /// What stands before the number of fields of a hash that is no listpack.
    pub(crate) fn hash_head(&mut self, form: HashForm) {
        if let HashForm::TimedPack(earliest) | HashForm::Timed(earliest) = form {
            self.bytes(&earliest.to_le_bytes());
        }
    }

    /// A field of a hash that is no listpack; `pair` writes its name and value.
    #[inline]
    pub(crate) fn hash_field(&mut self, form: HashForm, deadline: Option<u64>, pair: impl FnOnce(&mut Self)) {
        if let HashForm::TimedPack(earliest) | HashForm::Timed(earliest) = form {
            self.length(deadline.map_or(0, |at| at - earliest + 1));
        }
        pair(self);
        if form == HashForm::Valkey {
            // Deadlines are below 2^63, as commands and readers see to.
            let deadline = deadline.map_or(-1, |at| at as i64);
            self.bytes(&deadline.to_le_bytes());
        }
    }

    fn stream(&mut self, stream: &Stream, format: Format) {
        let log = stream.log();
        self.count(log.node_count());
        for (id, bytes) in log.nodes() {
            self.string(&id.to_bytes());
            self.string(bytes);
        }
        self.length(log.len());
        self.id(log.last_id());
        self.id(log.first_id());
        self.id(log.max_deleted_id());
        self.length(log.added());
        self.count(stream.groups().len());
        for (name, group) in stream.groups().iter() {
            self.string(name);
            self.group(group, format);
        }
    }

    pub(crate) fn id(&mut self, id: StreamId) {
        self.length(id.ms);
        self.length(id.seq);
    }

    fn group(&mut self, group: &Group, format: Format) {
        let all = |consumer| group.pending(StreamId::MIN, StreamId::MAX, consumer);
        self.id(group.last_id);
        self.length(group.read.unwrap_or(-1) as u64);
        self.count(group.pending_len());
        for (id, pending) in all(None) {
            self.bytes(&id.to_bytes());
            self.bytes(&pending.delivered_at.to_le_bytes());
            self.length(pending.deliveries);
        }
        self.count(group.consumers().len());
        for (id, consumer) in group.consumers() {
            self.consumer(consumer.name(), consumer.seen_at, consumer.active_at, format);
            self.count(consumer.pending_len());
            for (id, _) in all(Some(id)) {
                self.bytes(&id.to_bytes());
            }
        }
    }
}

impl Encoder {
    /// A consumer of a group, before what is pending for it.
    pub(crate) fn consumer(&mut self, name: &[u8], seen_at: u64, active_at: Option<u64>, format: Format) {
        self.string(name);
        self.bytes(&seen_at.to_le_bytes());
        if format.has_active_times() {
            let active = active_at.map_or(-1, |at| at as i64);
            self.bytes(&active.to_le_bytes());
        }
    }
}

/// The packed form in which a set is written, if it has one that the format knows.
fn set_packing<'a>(set: &SetRef<'a>, format: Format) -> Option<(Packing, &'a [u8])> {
    let bytes = set.packed()?;
    if set.encoding() == carnelian_keyspace::Encoding::Intset {
        return Some((Packing::SetInts, bytes));
    }
    format.has_set_packs().then_some((Packing::Set, bytes))
}

/// How a hash is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HashForm {
    /// A listpack of fields and values.
    Pack,
    Table,
    /// Redis's forms, with the earliest deadline.
    TimedPack(u64),
    Timed(u64),
    Valkey,
}

impl HashForm {
    fn of(hash: &HashRef<'_>, format: Format) -> Result<HashForm, FieldDeadlines> {
        let is_packed = hash.packed().is_some();
        match (earliest_deadline(hash), format) {
            (None, Format::Redis12)
                if hash.packed().is_some_and(|(packing, _)| packing == Packing::HashTtl) =>
            {
                // Its first deadline is far away, and it stays what it is.
                Ok(HashForm::TimedPack(0))
            }
            (None, _) if is_packed => Ok(HashForm::Pack),
            (Some(at), Format::Redis12) if is_packed => Ok(HashForm::TimedPack(at)),
            (earliest, _) => HashForm::of_table(earliest, format),
        }
    }

    /// The form of a table of fields, the first deadline of which is at `earliest` or later.
    pub(crate) fn of_table(earliest: Option<u64>, format: Format) -> Result<HashForm, FieldDeadlines> {
        match (earliest, format) {
            (None, _) => Ok(HashForm::Table),
            (Some(_), Format::Redis10 | Format::Common) => Err(FieldDeadlines),
            (Some(at), Format::Redis12) => Ok(HashForm::Timed(at)),
            (Some(_), Format::Valkey80) => Ok(HashForm::Valkey),
        }
    }

    pub(crate) fn kind(self) -> u8 {
        match self {
            HashForm::Pack => kind::HASH_PACK,
            HashForm::Table => kind::HASH,
            HashForm::TimedPack(_) => kind::REDIS_HASH_PACK,
            HashForm::Timed(_) => kind::REDIS_HASH,
            HashForm::Valkey => kind::VALKEY_HASH,
        }
    }
}

/// The earliest deadline of a field. What a large hash notes may be earlier, or of a field that is gone.
pub(crate) fn earliest_deadline(hash: &HashRef<'_>) -> Option<u64> {
    if hash.next_deadline() == u64::MAX {
        return None;
    }
    let mut earliest = None;
    hash.for_each(|field| {
        if let Some(at) = field.deadline() {
            earliest = Some(earliest.map_or(at, |before: u64| before.min(at)));
        }
    });
    earliest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that repeat nothing.
    fn noise(seed: u32) -> Vec<u8> {
        let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(next(&seed), next).map(|state| (state >> 24) as u8).take(60).collect()
    }

    #[test]
    fn strings_that_become_shorter_are_soon_found_again_after_many_that_do_not() {
        let mut encoder = Encoder::new(true);
        (0..1000).for_each(|seed| encoder.string(&noise(seed)));
        assert_eq!(encoder.out.len(), 1000 * 61, "each with its length, as it is");
        encoder.out.clear();
        (0..1000).for_each(|_| encoder.string(&[b'y'; 60]));
        assert!(encoder.out.len() < SAMPLE as usize * 61 + 1000 * 12, "{} bytes", encoder.out.len());
    }
}
