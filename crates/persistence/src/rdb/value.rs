//! Reading a value, part by part: no part is larger than a string, a node or a packed collection, so a collection of
//! any size goes through a small buffer. Every part is checked before it is handed out.

use std::borrow::Cow;

use carnelian_keyspace::Packing;
use carnelian_keyspace::encoding::intset::IntsetRef;
use carnelian_keyspace::encoding::listpack::{Element, Listpack, ListpackRef};

use super::cursor::{Cursor, Raw, Stop};
use super::error::Fault;
use super::format::{Form, module_name};
use super::stream::{StreamPart, StreamReader};
use super::{lzf, packed, ziplist};

/// A part of a value.
#[derive(Clone, PartialEq, Debug)]
pub enum Part<'a> {
    /// A string, as a whole.
    Text(Cow<'a, [u8]>),
    /// A string that is an integer.
    Int(i64),
    /// The next nodes of a list: a listpack with at least one element.
    Node(Cow<'a, [u8]>),
    /// The next element of a list, or a member of a set.
    Element(Cow<'a, [u8]>),
    /// So many elements of a set, hash or sorted set come one by one, if the value tells the truth.
    Count(u64),
    /// A whole collection.
    Pack(Packing, Cow<'a, [u8]>),
    /// A field of a hash.
    Field {
        /// Its name.
        name: Cow<'a, [u8]>,
        /// Its value.
        value: Cow<'a, [u8]>,
        /// When it is due, in unix milliseconds.
        deadline: Option<u64>,
    },
    /// A member of a sorted set.
    Scored(Cow<'a, [u8]>, f64),
    /// A part of a stream.
    Stream(StreamPart<'a>),
}

/// Receives parts; refuses what contradicts those before it.
pub(crate) trait PartSink {
    fn part(&mut self, part: Part<'_>) -> Result<(), Fault>;

    /// The value is a module's. Whoever only looks lets it be skipped.
    fn module(&mut self, name: String) -> Result<(), Fault> {
        Err(Fault::Module(name))
    }
}

/// What comes next.
#[derive(Debug)]
enum Next {
    /// All of a value that is one string.
    Whole,
    /// What stands before the elements.
    Count,
    /// So many elements; deadlines are relative to `base`.
    Elements {
        left: u64,
        base: u64,
    },
    Stream(Box<StreamReader>),
    /// The name by which a module's data begins, and its parts.
    ModuleName,
    ModulePart,
    Nothing,
}

/// Reads one value.
#[derive(Debug)]
pub(crate) struct ValueReader {
    form: Form,
    next: Next,
    /// Whether any element was handed out.
    filled: bool,
}

impl ValueReader {
    pub(crate) fn new(form: Form) -> Self {
        let next = match form {
            Form::Stream(version) => Next::Stream(Box::new(StreamReader::new(version))),
            Form::Module => Next::ModuleName,
            Form::List
            | Form::Set
            | Form::TextSortedSet
            | Form::SortedSet
            | Form::Hash
            | Form::Quicklist
            | Form::Quicklist2
            | Form::RedisHash { .. }
            | Form::ValkeyHash => Next::Count,
            Form::String
            | Form::Zipmap
            | Form::ZiplistList
            | Form::Intset
            | Form::ZiplistSortedSet
            | Form::ZiplistHash
            | Form::HashPack
            | Form::SortedSetPack
            | Form::SetPack
            | Form::RedisHashPack { .. } => Next::Whole,
        };
        ValueReader { form, next, filled: false }
    }

    /// Reads until the value ends or the bytes do. When it stops, the cursor stands behind the last part that was
    /// complete.
    pub(crate) fn read(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<(), Stop> {
        while !matches!(self.next, Next::Nothing) {
            let mark = cursor.at();
            let step = self.step(cursor, sink);
            if let Err(Stop::Need(_)) = step {
                cursor.go(mark);
            }
            step?;
        }
        Ok(())
    }

    /// After the end: whether it is a collection without elements, which no server keeps.
    pub(crate) fn is_empty(&self) -> bool {
        !self.filled
    }

    /// Reads one part. Nothing has changed if there are not enough bytes for it.
    fn step(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<(), Stop> {
        match &mut self.next {
            Next::Whole => {
                self.filled = self.whole(cursor, sink)?;
                self.next = Next::Nothing;
            }
            Next::Count => {
                let base = match self.form {
                    Form::RedisHash { relative: true } => cursor.u64_le()?,
                    _ => 0,
                };
                let count = cursor.length()?;
                sink.part(Part::Count(count))?;
                self.elements(count, base);
            }
            &mut Next::Elements { left, base } => {
                self.filled |= self.element(base, cursor, sink)?;
                self.elements(left - 1, base);
            }
            Next::Stream(stream) => {
                if stream.step(cursor, sink)? {
                    self.filled = true;
                    self.next = Next::Nothing;
                }
            }
            Next::ModuleName => {
                sink.module(module_name(cursor.length()?))?;
                self.next = Next::ModulePart;
            }
            Next::ModulePart => {
                if skip_module_part(cursor)? {
                    self.filled = true;
                    self.next = Next::Nothing;
                }
            }
            Next::Nothing => {}
        }
        Ok(())
    }

    fn elements(&mut self, left: u64, base: u64) {
        self.next = if left == 0 { Next::Nothing } else { Next::Elements { left, base } };
    }

    /// A value that is one string; whether it has elements.
    fn whole(&self, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<bool, Stop> {
        if self.form == Form::String {
            let part = match cursor.raw()? {
                Raw::Int(v) => Part::Int(v),
                Raw::Bytes(bytes) => Part::Text(Cow::Borrowed(bytes)),
                Raw::Packed(packed, len) => {
                    Part::Text(Cow::Owned(lzf::decompress(packed, len).ok_or(Fault::Compression)?))
                }
            };
            sink.part(part)?;
            return Ok(true);
        }
        if let Form::RedisHashPack { first: true } = self.form {
            // The earliest deadline, which the listpack tells as well.
            cursor.u64_le()?;
        }
        Ok(hand_out_pack(self.form, cursor.string()?, sink)?)
    }

    /// One element or node; whether there was one in it.
    fn element(&self, base: u64, cursor: &mut Cursor<'_>, sink: &mut impl PartSink) -> Result<bool, Stop> {
        let part = match self.form {
            Form::Quicklist => {
                let pack = ziplist::listpack_of(&cursor.string()?)?;
                return Ok(hand_out_node(Cow::Owned(pack.into_bytes()), sink)?);
            }
            Form::Quicklist2 => match cursor.length()? {
                1 => {
                    let bytes = cursor.string()?;
                    if bytes.is_empty() {
                        return Err(Fault::Encoding("List node").into());
                    }
                    Part::Element(bytes)
                }
                2 => {
                    return Ok(hand_out_node(sound_listpack(cursor.string()?, "Quicklist listpack")?, sink)?);
                }
                _ => return Err(Fault::Encoding("List node").into()),
            },
            Form::TextSortedSet => Part::Scored(cursor.string()?, cursor.text_score()?),
            Form::SortedSet => Part::Scored(cursor.string()?, cursor.binary_score()?),
            Form::Hash => Part::Field { name: cursor.string()?, value: cursor.string()?, deadline: None },
            Form::RedisHash { relative } => {
                let deadline = redis_deadline(cursor.length()?, relative.then_some(base))?;
                Part::Field { name: cursor.string()?, value: cursor.string()?, deadline }
            }
            Form::ValkeyHash => {
                let (name, value) = (cursor.string()?, cursor.string()?);
                Part::Field { name, value, deadline: valkey_deadline(cursor.i64_le()?)? }
            }
            _ => Part::Element(cursor.string()?),
        };
        sink.part(part)?;
        Ok(true)
    }
}

/// 0 says that there is none; else, if there is a base, it is counted from one before that. Time 0 means none as well.
fn redis_deadline(written: u64, base: Option<u64>) -> Result<Option<u64>, Fault> {
    let deadline = match base {
        Some(base) if written > 0 => base.checked_add(written - 1).ok_or(Fault::Deadline(u64::MAX))?,
        _ => written,
    };
    packed::check_deadline(deadline)?;
    Ok((deadline > 0).then_some(deadline))
}

/// -1 says that there is none. One that Redis's forms cannot hold, in which it may be written again, becomes their last.
fn valkey_deadline(written: i64) -> Result<Option<u64>, Fault> {
    match written {
        -1 => Ok(None),
        at => u64::try_from(at).map(|at| Some(at.min(packed::LAST_DEADLINE))).map_err(|_| Fault::Number),
    }
}

/// Listpack bytes in their shortest form; borrowed if they have it already.
pub(crate) fn sound_listpack<'a>(bytes: Cow<'a, [u8]>, what: &'static str) -> Result<Cow<'a, [u8]>, Fault> {
    if ListpackRef::validate(&bytes).is_ok() {
        return Ok(bytes);
    }
    let pack = Listpack::load(bytes.into_owned()).map_err(|_| Fault::Encoding(what))?;
    Ok(Cow::Owned(pack.into_bytes()))
}

/// The fault of a ziplist or zipmap whose elements are not those of a collection.
fn damage(what: &'static str) -> impl Fn(Fault) -> Fault {
    move |fault| match fault {
        Fault::Encoding(_) | Fault::Repetition(_) | Fault::Uneven(_) => Fault::Encoding(what),
        other => other,
    }
}

/// A node of a list, unless it is empty.
fn hand_out_node(pack: Cow<'_, [u8]>, sink: &mut impl PartSink) -> Result<bool, Fault> {
    if ListpackRef::new(&pack).is_empty() {
        return Ok(false);
    }
    sink.part(Part::Node(pack))?;
    Ok(true)
}

/// A collection that is one run of bytes; whether it has elements.
fn hand_out_pack(form: Form, bytes: Cow<'_, [u8]>, sink: &mut impl PartSink) -> Result<bool, Fault> {
    let owned = |pack: Listpack| Cow::Owned(pack.into_bytes());
    match form {
        Form::Intset => {
            let set = IntsetRef::validate(&bytes).map_err(|_| Fault::Encoding("Intset"))?;
            if set.is_empty() {
                return Ok(false);
            }
            sink.part(Part::Pack(Packing::SetInts, bytes))?;
            Ok(true)
        }
        Form::ZiplistList => hand_out_node(owned(ziplist::listpack_of(&bytes)?), sink),
        Form::Zipmap => ziplist::listpack_of_zipmap(&bytes)
            .and_then(|pack| hand_out_records(Packing::Hash, owned(pack), &mut Fields(sink)))
            .map_err(damage("Zipmap")),
        Form::ZiplistHash => ziplist::listpack_of(&bytes)
            .and_then(|pack| hand_out_records(Packing::Hash, owned(pack), sink))
            .map_err(damage("Hash ziplist")),
        Form::ZiplistSortedSet => ziplist::listpack_of(&bytes)
            .and_then(|pack| hand_out_sorted(owned(pack), sink))
            .map_err(damage("Zset ziplist")),
        Form::SortedSetPack => hand_out_sorted(sound_listpack(bytes, "Zset listpack")?, sink),
        Form::SetPack => hand_out_records(Packing::Set, sound_listpack(bytes, "Set listpack")?, sink),
        Form::RedisHashPack { .. } => {
            hand_out_records(Packing::HashTtl, sound_listpack(bytes, "Hash listpack")?, sink)
        }
        _ => hand_out_records(Packing::Hash, sound_listpack(bytes, "Hash listpack")?, sink),
    }
}

/// Hands out a packed hash field by field, as zipmaps are: there were no listpacks yet when limits let them grow, so
/// their values may be too long for one.
struct Fields<'s, S: PartSink>(&'s mut S);

impl<S: PartSink> PartSink for Fields<'_, S> {
    fn part(&mut self, part: Part<'_>) -> Result<(), Fault> {
        let Part::Pack(_, bytes) = part else { return self.0.part(part) };
        let pack = ListpackRef::new(&bytes);
        self.0.part(Part::Count(pack.len() as u64 / 2))?;
        let mut elements = pack.iter();
        while let (Some(name), Some(value)) = (elements.next(), elements.next()) {
            self.0.part(Part::Field { name: name.to_bytes(), value: value.to_bytes(), deadline: None })?;
        }
        Ok(())
    }

    fn module(&mut self, name: String) -> Result<(), Fault> {
        self.0.module(name)
    }
}

fn hand_out_records(packing: Packing, bytes: Cow<'_, [u8]>, sink: &mut impl PartSink) -> Result<bool, Fault> {
    let pack = ListpackRef::new(&bytes);
    let (each, what) = match packing {
        Packing::HashTtl => (3, "hash"),
        Packing::Hash => (2, "hash"),
        _ => (1, "set"),
    };
    if packed::check_records(pack, each, what)? == 0 {
        return Ok(false);
    }
    if packing == Packing::HashTtl {
        packed::check_deadlines(pack)?;
    }
    sink.part(Part::Pack(packing, bytes))?;
    Ok(true)
}

/// A packed sorted set. Scores may be written in other ways than ours, and the order is not what the peers check:
/// so it is handed out member by member, unless nothing about it differs from what would be written here.
fn hand_out_sorted(bytes: Cow<'_, [u8]>, sink: &mut impl PartSink) -> Result<bool, Fault> {
    let pack = ListpackRef::new(&bytes);
    if packed::check_records(pack, 2, "sorted set")? == 0 {
        return Ok(false);
    }
    if is_ordered_by_integers(pack) {
        sink.part(Part::Pack(Packing::SortedSet, bytes))?;
        return Ok(true);
    }
    let mut elements = pack.iter();
    while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
        sink.part(Part::Scored(member.to_bytes(), packed::score(score)?))?;
    }
    Ok(true)
}

/// Whether all scores are integers that a double holds exactly, and members ascend by score, then text.
fn is_ordered_by_integers(pack: ListpackRef<'_>) -> bool {
    const EXACT: i64 = 1 << 53;
    let mut elements = pack.iter();
    let mut before: Option<(i64, Element<'_>)> = None;
    while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
        let Some(score) = score.as_int().filter(|score| (-EXACT..=EXACT).contains(score)) else {
            return false;
        };
        if let Some((low, name)) = before
            && (low > score || (low == score && name.to_bytes() >= member.to_bytes()))
        {
            return false;
        }
        before = Some((score, member));
    }
    true
}

/// Skips one part of a module's data: a type and what it announces. Whether it was the end.
pub(crate) fn skip_module_part(cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
    match cursor.length()? {
        0 => return Ok(true),
        1 | 2 => drop(cursor.length()?),
        3 => drop(cursor.take(4)?),
        4 => drop(cursor.take(8)?),
        5 => drop(cursor.string()?),
        _ => return Err(Fault::Encoding("Module value").into()),
    }
    Ok(false)
}
