//! Making a value of the keyspace from its parts. What can only be seen from the whole (that no element comes twice)
//! is checked here.

use carnelian_keyspace::stream::{ConsumerId, Groups, Log, LogFacts, Pending, StreamId};
use carnelian_keyspace::{
    Collection, End, Hash, Kind, List, Packing, ScoreOutcome, ScoreUpdate, Set, SortedSet, Space, Stream,
    Ttl, Write,
};

use super::error::Fault;
use super::stream::{StreamPart, Totals};
use super::value::Part;

/// A value that has not got its key yet. It is put at one or discarded: a large collection is not freed otherwise.
#[derive(Debug)]
#[must_use]
pub struct Built(Value);

#[derive(Debug)]
enum Value {
    Int(i64),
    Text(Vec<u8>),
    List(List),
    Set(Set),
    Hash(Hash),
    SortedSet(SortedSet),
    Stream(StreamBuilder),
}

impl Built {
    /// What a value of a type is before its first part.
    pub(crate) fn new(kind: Kind, space: &Space<'_>) -> Built {
        Built(match kind {
            Kind::String => Value::Text(Vec::new()),
            Kind::List => Value::List(List::empty(space)),
            Kind::Set => Value::Set(Set::empty(space)),
            Kind::Hash => Value::Hash(Hash::empty(space)),
            Kind::SortedSet => Value::SortedSet(SortedSet::empty(space)),
            Kind::Stream => Value::Stream(StreamBuilder::default()),
        })
    }

    /// Adds the next part. Parts of another type do not come: the reader knows the type.
    #[inline]
    pub(crate) fn part(&mut self, part: Part<'_>, space: &mut Space<'_>) -> Result<(), Fault> {
        match (&mut self.0, part) {
            (Value::Text(text), Part::Text(bytes)) => *text = bytes.into_owned(),
            (value @ Value::Text(_), Part::Int(v)) => *value = Value::Int(v),
            (Value::List(list), Part::Node(pack)) => list.push_pack(space, pack.into_owned()),
            (Value::List(list), Part::Element(bytes)) => {
                list.push(space, End::Tail, std::iter::once(&*bytes));
            }
            (Value::Set(set), part) => return set_part(set, part, space),
            (Value::Hash(hash), part) => return hash_part(hash, part, space),
            (Value::SortedSet(set), part) => return sorted_set_part(set, part, space),
            (Value::Stream(stream), Part::Stream(part)) => return stream.part(part),
            _ => {}
        }
        Ok(())
    }

    /// Stores the value, in place of what the key holds.
    pub fn put(self, guard: &mut Write<'_>, deadline: Option<u64>) {
        let ttl = deadline.map_or(Ttl::Clear, Ttl::At);
        match self.0 {
            Value::Int(v) => return guard.set_int(v, ttl),
            Value::Text(text) => return guard.set(&text, ttl),
            Value::List(list) => guard.replace(list),
            Value::Set(set) => guard.replace(set),
            Value::Hash(hash) => guard.replace(hash),
            Value::SortedSet(set) => guard.replace(set),
            Value::Stream(stream) => guard.replace(stream.finish()),
        }
        if deadline.is_some() && guard.exists() {
            guard.set_deadline(deadline);
        }
    }

    /// Frees the value.
    pub fn discard(self, space: &mut Space<'_>) {
        match self.0 {
            Value::Int(_) | Value::Text(_) | Value::Stream(_) => {}
            Value::List(list) => space.discard(list),
            Value::Set(set) => space.discard(set),
            Value::Hash(hash) => space.discard(hash),
            Value::SortedSet(set) => space.discard(set),
        }
    }
}

/// Refuses an element that was there before.
fn new_or(is_new: bool, what: &'static str) -> Result<(), Fault> {
    if is_new { Ok(()) } else { Err(Fault::Duplicate(what)) }
}

fn set_part(set: &mut Set, part: Part<'_>, space: &mut Space<'_>) -> Result<(), Fault> {
    match part {
        // Whether the first member is an integer is not known yet; from here on each form finds the next one.
        Part::Count(count) => set.expect(space, b"0", count_of(count)),
        Part::Element(member) => return new_or(set.add(space, &member), "set member"),
        Part::Pack(packing, bytes) => *set = Set::load(packing, bytes.into_owned(), space),
        _ => {}
    }
    Ok(())
}

fn hash_part(hash: &mut Hash, part: Part<'_>, space: &mut Space<'_>) -> Result<(), Fault> {
    match part {
        Part::Count(count) => hash.make_room(space, count_of(count), 0),
        Part::Field { name, value, deadline } => {
            let ttl = deadline.map_or(Ttl::Clear, Ttl::At);
            return new_or(hash.set(space, &name, &value, ttl), "hash field");
        }
        Part::Pack(packing @ (Packing::Hash | Packing::HashTtl), bytes) => {
            *hash = Hash::load(packing, bytes.into_owned(), space);
        }
        _ => {}
    }
    Ok(())
}

fn sorted_set_part(set: &mut SortedSet, part: Part<'_>, space: &mut Space<'_>) -> Result<(), Fault> {
    match part {
        Part::Count(count) => set.prepare(count_of(count), space),
        Part::Scored(member, score) => {
            let how = ScoreUpdate { only_new: true, ..ScoreUpdate::default() };
            let outcome = set.update(&member, score, how, space);
            return new_or(matches!(outcome, ScoreOutcome::Added(_)), "sorted set member");
        }
        Part::Pack(_, bytes) => *set = SortedSet::load(bytes.into_owned(), space),
        _ => {}
    }
    Ok(())
}

fn count_of(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A stream in the making.
#[derive(Debug, Default)]
struct StreamBuilder {
    nodes: Vec<(StreamId, Vec<u8>)>,
    log: Log,
    groups: Groups,
    /// The name of the group that parts belong to, and what is pending in it until its owner comes.
    group: Vec<u8>,
    pending: Vec<(StreamId, u64, u64)>,
    consumer: Option<ConsumerId>,
}

impl StreamBuilder {
    fn part(&mut self, part: StreamPart<'_>) -> Result<(), Fault> {
        match part {
            StreamPart::Node(id, bytes) => self.nodes.push((id, bytes.into_owned())),
            StreamPart::Totals(totals) => return self.totals(&totals),
            StreamPart::Group { name, last, read, untold } => {
                let read = match untold {
                    true => self.log.position(last),
                    false => read.and_then(|read| i64::try_from(read).ok()),
                };
                if self.groups.create(&name, last, read).is_none() {
                    return Err(Fault::Duplicate("stream group"));
                }
                self.group = name.into_owned();
                self.pending.clear();
            }
            StreamPart::Pending { id, time, deliveries } => self.pending.push((id, time, deliveries)),
            StreamPart::Consumer { name, seen, active } => {
                let group = self.groups.get_mut(&self.group).expect("its group came before");
                let consumer =
                    group.create_consumer(&name, seen).ok_or(Fault::Duplicate("stream consumer"))?;
                group.consumer_mut(consumer).active_at = active;
                self.consumer = Some(consumer);
            }
            StreamPart::Owns(id) => self.own(id),
        }
        Ok(())
    }

    fn totals(&mut self, totals: &Totals) -> Result<(), Fault> {
        let facts = LogFacts { last_id: totals.last, max_deleted_id: totals.deleted, added: totals.added };
        let nodes = std::mem::take(&mut self.nodes);
        self.log = Log::load(nodes, facts).map_err(|_| Fault::Encoding("Stream listpack"))?;
        Ok(())
    }

    /// The reader has seen that the entry is pending and nobody's yet.
    fn own(&mut self, id: StreamId) {
        let found = self.pending.binary_search_by_key(&id, |(id, ..)| *id);
        if let (Ok(at), Some(group), Some(consumer)) =
            (found, self.groups.get_mut(&self.group), self.consumer)
        {
            let (_, delivered_at, deliveries) = self.pending[at];
            group.assign(id, Pending { consumer, delivered_at, deliveries });
        }
    }

    fn finish(self) -> Stream {
        Stream::new(self.log, self.groups)
    }
}
