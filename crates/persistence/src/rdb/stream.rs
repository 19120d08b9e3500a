//! Reading a stream: its nodes, its counters, its groups with what is pending, their consumers.
//!
//! ```text
//! nodes, (id of the first entry, big endian, as a string of 16 bytes | listpack) ...
//! entries | last id | [2: first id | greatest deleted id | entries ever added]
//! groups, (name | last delivered id | [2: entries read] |
//!          pending, (id, 16 bytes | delivery time, 8 bytes | deliveries) ... |
//!          consumers, (name | seen, 8 bytes | [3: active, 8 bytes] | pending, (id, 16 bytes) ...) ...) ...
//!
//! listpack of a node: entries | deleted ones | fields | field ... | 0 | entry ...
//! entry: flags (1: deleted, 2: same fields) | ms - ms of the node | seq - seq of the node |
//!        [fields, field and value ... | value ...] | elements of the entry
//! ```
//!
//! Ids are two lengths where nothing else is said. Parts with a number are there since that version of the type.

use std::borrow::Cow;

use carnelian_keyspace::encoding::listpack::{Element, ListpackRef};
use carnelian_keyspace::stream::StreamId;

use super::cursor::{Cursor, Stop};
use super::error::Fault;
use super::value::{Part, PartSink, sound_listpack};

/// What a stream remembers beside its entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// How many entries there are.
    pub entries: u64,
    /// The id that was added last.
    pub last: StreamId,
    /// The id of the first entry that is there.
    pub first: StreamId,
    /// The greatest id that was deleted.
    pub deleted: StreamId,
    /// How many were ever added.
    pub added: u64,
}

/// A part of a stream, in the order in which they come.
#[derive(Clone, PartialEq, Debug)]
pub enum StreamPart<'a> {
    /// The next node: the id that its entries' ids are relative to, and its listpack.
    Node(StreamId, Cow<'a, [u8]>),
    /// After the nodes.
    Totals(Totals),
    /// The next group.
    Group {
        /// Its name.
        name: Cow<'a, [u8]>,
        /// The id that was delivered last.
        last: StreamId,
        /// How many entries were read; `None`: not known.
        read: Option<u64>,
        /// Whether the payload is too old to say that; then it follows from the rest.
        untold: bool,
    },
    /// An entry that was delivered to a consumer of the group and not acknowledged.
    Pending {
        /// Its id.
        id: StreamId,
        /// When it was delivered, in unix milliseconds.
        time: u64,
        /// How often.
        deliveries: u64,
    },
    /// The next consumer of the group.
    Consumer {
        /// Its name.
        name: Cow<'a, [u8]>,
        /// When it last tried to read, in unix milliseconds.
        seen: u64,
        /// When it last got something; `None`: never.
        active: Option<u64>,
    },
    /// One of the group's pending entries is the consumer's.
    Owns(StreamId),
}

#[derive(Debug)]
enum Next {
    NodeCount,
    Nodes(u64),
    Totals,
    GroupCount,
    Group,
    PendingCount,
    Pending(u64),
    ConsumerCount,
    Consumer(u64),
    OwnCount(u64),
    Own(u64, u64),
}

/// Reads one stream.
#[derive(Debug)]
pub(crate) struct StreamReader {
    version: u8,
    next: Next,
    /// Groups to come, the current one included.
    groups: u64,
    /// Of the nodes so far.
    entries: u64,
    first: Option<StreamId>,
    last: Option<StreamId>,
    /// What is pending in the current group, ascending, and whether a consumer owns it.
    pending: Vec<(StreamId, bool)>,
}

impl StreamReader {
    pub(crate) fn new(version: u8) -> Self {
        StreamReader {
            version,
            next: Next::NodeCount,
            groups: 0,
            entries: 0,
            first: None,
            last: None,
            pending: Vec::new(),
        }
    }

    /// Reads one part; whether it was the last. Nothing has changed if there are not enough bytes for it.
    pub(crate) fn step(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<bool, Stop> {
        self.next = match self.next {
            Next::NodeCount => Next::Nodes(cursor.length()?),
            Next::Nodes(0) => Next::Totals,
            Next::Nodes(left) => {
                self.node(cursor, sink)?;
                Next::Nodes(left - 1)
            }
            Next::Totals => {
                self.totals(cursor, sink)?;
                Next::GroupCount
            }
            Next::GroupCount => {
                self.groups = cursor.length()?;
                Next::Group
            }
            Next::Group if self.groups == 0 => return Ok(true),
            Next::Group => {
                self.group(cursor, sink)?;
                self.pending.clear();
                Next::PendingCount
            }
            Next::PendingCount => Next::Pending(cursor.length()?),
            Next::Pending(0) => Next::ConsumerCount,
            Next::Pending(left) => {
                self.pending(cursor, sink)?;
                Next::Pending(left - 1)
            }
            Next::ConsumerCount => Next::Consumer(cursor.length()?),
            Next::Consumer(0) => {
                self.end_group()?;
                Next::Group
            }
            Next::Consumer(left) => {
                self.consumer(cursor, sink)?;
                Next::OwnCount(left - 1)
            }
            Next::OwnCount(consumers) => Next::Own(consumers, cursor.length()?),
            Next::Own(consumers, 0) => Next::Consumer(consumers),
            Next::Own(consumers, left) => {
                self.own(cursor, sink)?;
                Next::Own(consumers, left - 1)
            }
        };
        Ok(false)
    }

    fn node(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<(), Stop> {
        let key = cursor.string()?;
        let key: [u8; 16] = (*key).try_into().map_err(|_| Fault::Stream("node has no id"))?;
        let id = StreamId::from_bytes(key);
        let bytes = cursor.string()?;
        let bytes = sound_listpack(bytes, "Stream listpack")?;
        let node = check_node(id, ListpackRef::new(&bytes))?;
        if self.last.is_some_and(|last| node.lowest <= last) {
            return Err(Fault::Order("stream").into());
        }
        self.last = Some(node.highest);
        self.first = self.first.or(node.first);
        self.entries += node.entries;
        sink.part(Part::Stream(StreamPart::Node(id, bytes)))?;
        Ok(())
    }

    fn totals(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<(), Stop> {
        let (entries, last) = (cursor.length()?, id(cursor)?);
        let mut totals = Totals { entries, last, added: entries, ..Totals::default() };
        if self.version >= 2 {
            // The first id is told by the nodes as well.
            id(cursor)?;
            totals.deleted = id(cursor)?;
            totals.added = cursor.length()?;
        }
        totals.first = self.first.unwrap_or_default();
        if entries != self.entries {
            return Err(Fault::Stream("number of entries is wrong").into());
        }
        if self.last.is_some_and(|id| id > last) {
            return Err(Fault::Stream("last id is lower than that of an entry").into());
        }
        if totals.added < entries {
            return Err(Fault::Stream("number of entries ever added is lower than that of entries").into());
        }
        sink.part(Part::Stream(StreamPart::Totals(totals)))?;
        Ok(())
    }

    fn group(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<(), Stop> {
        let (name, last) = (cursor.string()?, id(cursor)?);
        let read = match self.version {
            1 => None,
            _ => Some(cursor.length()?).filter(|read| *read != u64::MAX),
        };
        if read.is_some_and(|read| i64::try_from(read).is_err()) {
            return Err(Fault::Stream("group has read more than there can be").into());
        }
        sink.part(Part::Stream(StreamPart::Group { name, last, read, untold: self.version == 1 }))?;
        self.groups -= 1;
        Ok(())
    }

    fn pending(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<(), Stop> {
        let id = StreamId::from_bytes(cursor.array()?);
        let (time, deliveries) = (time(cursor)?.unwrap_or(0), cursor.length()?);
        if self.pending.last().is_some_and(|(last, _)| *last >= id) {
            return Err(Fault::Order("stream's pending entries").into());
        }
        sink.part(Part::Stream(StreamPart::Pending { id, time, deliveries }))?;
        self.pending.push((id, false));
        Ok(())
    }

    fn consumer(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<(), Stop> {
        let (name, seen) = (cursor.string()?, time(cursor)?.unwrap_or(0));
        // Before version 3, a consumer counted as active whenever it was seen.
        let active = if self.version >= 3 { time(cursor)? } else { Some(seen) };
        sink.part(Part::Stream(StreamPart::Consumer { name, seen, active }))?;
        Ok(())
    }

    fn own(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<(), Stop> {
        let id = StreamId::from_bytes(cursor.array()?);
        let found = self.pending.binary_search_by_key(&id, |(id, _)| *id);
        match found.ok().and_then(|at| self.pending.get_mut(at)) {
            Some((_, owned @ false)) => *owned = true,
            Some(_) => return Err(Fault::Stream("pending entry has two owners").into()),
            None => return Err(Fault::Stream("consumer owns what is not pending").into()),
        }
        sink.part(Part::Stream(StreamPart::Owns(id)))?;
        Ok(())
    }

    fn end_group(&self) -> Result<(), Fault> {
        let all = self.pending.iter().all(|(_, owned)| *owned);
        if all { Ok(()) } else { Err(Fault::Stream("pending entry has no owner")) }
    }
}

fn id(cursor: &mut Cursor<'_>) -> Result<StreamId, Stop> {
    Ok(StreamId { ms: cursor.length()?, seq: cursor.length()? })
}

/// Unix milliseconds; negative ones stand for never.
fn time(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Stop> {
    Ok(u64::try_from(cursor.i64_le()?).ok())
}

/// What a node's listpack says.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    /// Those that are not deleted.
    entries: u64,
    /// The first of them.
    first: Option<StreamId>,
    /// The lowest and highest ids, also of deleted entries.
    lowest: StreamId,
    highest: StreamId,
}

/// Reads the elements of a node's listpack.
struct Elements<'a, I: Iterator<Item = Element<'a>>>(I);

impl<'a, I: Iterator<Item = Element<'a>>> Elements<'a, I> {
    fn int(&mut self) -> Result<i64, Fault> {
        self.0.next().and_then(|element| element.as_int()).ok_or(Fault::Encoding("Stream listpack"))
    }

    fn count(&mut self) -> Result<u64, Fault> {
        u64::try_from(self.int()?).map_err(|_| Fault::Encoding("Stream listpack"))
    }

    /// Fails if there are fewer elements; so a count that was only read costs nothing.
    fn skip(&mut self, n: u64) -> Result<(), Fault> {
        for _ in 0..n {
            self.0.next().ok_or(Fault::Encoding("Stream listpack"))?;
        }
        Ok(())
    }
}

/// Checks a node: its counts, the shape of each entry, that ids ascend.
fn check_node(master: StreamId, pack: ListpackRef<'_>) -> Result<Node, Fault> {
    const BROKEN: Fault = Fault::Encoding("Stream listpack");
    let mut elements = Elements(pack.iter());
    let (live, deleted, fields) = (elements.count()?, elements.count()?, elements.count()?);
    elements.skip(fields)?;
    if elements.int()? != 0 {
        return Err(BROKEN);
    }
    let mut node = Node { entries: 0, first: None, lowest: master, highest: master };
    let all = live.checked_add(deleted).filter(|all| *all > 0).ok_or(BROKEN)?;
    for i in 0..all {
        let (is_deleted, id) = check_entry(master, fields, &mut elements)?;
        if i == 0 {
            node.lowest = id;
        }
        if id < master || (i > 0 && id <= node.highest) {
            return Err(Fault::Order("stream"));
        }
        node.highest = id;
        if !is_deleted {
            node.entries += 1;
            node.first = node.first.or(Some(id));
        }
    }
    if node.entries != live || elements.0.next().is_some() {
        return Err(BROKEN);
    }
    Ok(node)
}

/// Checks an entry; whether it is deleted, and its id.
fn check_entry<'a>(
    master: StreamId,
    fields: u64,
    elements: &mut Elements<'a, impl Iterator<Item = Element<'a>>>,
) -> Result<(bool, StreamId), Fault> {
    const BROKEN: Fault = Fault::Encoding("Stream listpack");
    let flags = elements.int()?;
    let (ms, seq) = (elements.int()?, elements.int()?);
    let id = StreamId { ms: master.ms.wrapping_add_signed(ms), seq: master.seq.wrapping_add_signed(seq) };
    let size = match flags {
        2 | 3 => fields.checked_add(3),
        0 | 1 => {
            let fields = elements.count()?;
            fields.checked_mul(2).and_then(|n| n.checked_add(4))
        }
        _ => return Err(BROKEN),
    };
    let size = size.ok_or(BROKEN)?;
    elements.skip(size - if flags >= 2 { 3 } else { 4 })?;
    if elements.count()? != size {
        return Err(BROKEN);
    }
    Ok((flags & 1 != 0, id))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Node, StreamId, check_node};
    use carnelian_keyspace::encoding::listpack::Listpack;

    fn pack(words: &str) -> Listpack {
        let mut pack = Listpack::new();
        words.split_whitespace().for_each(|word| pack.push_back(word.as_bytes()));
        pack
    }

    #[test]
    fn nodes() {
        let master = StreamId { ms: 5, seq: 1 };
        let good = "2 1 1 f 0  2 0 0 v 4  3 0 1 v 4  0 2 -1 2 a 1 b 2 8";
        let node = check_node(master, pack(good).view()).expect("a node");
        let highest = StreamId { ms: 7, seq: 0 };
        assert_eq!(node, Node { entries: 2, first: Some(master), lowest: master, highest });
        let bad = [
            "3 1 1 f 0  2 0 0 v 4  3 0 1 v 4  0 2 -1 2 a 1 b 2 8",
            "1 2 1 f 0  2 0 0 v 4  3 0 1 v 4  0 2 -1 2 a 1 b 2 8",
            "2 1 1 f 1  2 0 0 v 4  3 0 1 v 4  0 2 -1 2 a 1 b 2 8",
            "2 1 2 f 0  2 0 0 v 4  3 0 1 v 4  0 2 -1 2 a 1 b 2 8",
            "2 1 1 f 0  2 0 0 v 5  3 0 1 v 4  0 2 -1 2 a 1 b 2 8",
            "2 1 1 f 0  4 0 0 v 4  3 0 1 v 4  0 2 -1 2 a 1 b 2 8",
            "2 1 1 f 0  2 0 0 v 4  3 0 1 v 4  0 2 -1 3 a 1 b 2 8",
            "2 1 1 f 0  2 0 0 v 4  3 0 1 v 4  0 2 -1 2 a 1 b 2 8 8",
            "0 0 1 f 0",
            "9223372036854775807 9223372036854775807 1 f 0",
            "1 0 9223372036854775807 f 0",
            "1 0 1 f 0 0 0 0 9223372036854775807 a b 4",
        ];
        for words in bad {
            assert!(check_node(master, pack(words).view()).is_err(), "{words}");
        }
        let order = "2 0 1 f 0  2 0 0 v 4  2 0 0 v 4";
        assert_eq!(check_node(master, pack(order).view()), Err(Fault::Order("stream")));
        let before = "1 0 1 f 0  2 -1 0 v 4";
        assert_eq!(check_node(master, pack(before).view()), Err(Fault::Order("stream")));
    }
}
