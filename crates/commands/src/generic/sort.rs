//! SORT and SORT_RO: the elements of a list, a set or a sorted set in order, by their own values or by those of
//! other keys, and values of other keys in their place.
//!
//! Elements and what they are sorted by are copied into one buffer, since other keys are read in between.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use carnelian_keyspace::{Collection, End, Event, Keyspace, List, Value};
use carnelian_resp::Argv;

use super::BASE;
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::keys::FoundKey;
use crate::row::{Acl, Flags, KeyFlags, KeySpec, Row};

/// Other keys, which follow from elements and patterns.
const NAMED_BY_PATTERN: KeySpec = KeySpec::unknown(KeyFlags::RO.union(KeyFlags::ACCESS));
const STORED: KeySpec = KeySpec::unknown(KeyFlags::OW.union(KeyFlags::UPDATE));

pub(super) const SORT: Row = Row {
    name: "sort",
    summary: "Sorts the elements of a list, a set or a sorted set, and returns or stores the result.",
    since: "1.0.0",
    arity: -2,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    acl: Acl::SET.union(Acl::SORTEDSET).union(Acl::LIST).union(Acl::DANGEROUS),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)), NAMED_BY_PATTERN, STORED],
    more_keys: Some(destination),
    syntax: "key [BY by-pattern:pattern] [LIMIT <limit=offset:integer count:integer>] [GET get-pattern:pattern]*** \
             [order=ASC|DESC] [ALPHA=sorting] [STORE destination:key]",
    complexity: "O(N+M*log(M)), N being the number of elements and M the number of those returned.",
    run: sort,
    ..BASE
};

fn sort(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let how = Sorting::parse(cx.argv, true)?;
    run(cx, &how)
}

pub(super) const SORT_RO: Row = Row {
    name: "sort_ro",
    summary: "Returns the elements of a list, a set or a sorted set in order.",
    since: "7.0.0",
    arity: -2,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    acl: Acl::SET.union(Acl::SORTEDSET).union(Acl::LIST).union(Acl::DANGEROUS),
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)), NAMED_BY_PATTERN],
    syntax: "key [BY by-pattern:pattern] [LIMIT <limit=offset:integer count:integer>] [GET get-pattern:pattern]*** \
             [order=ASC|DESC] [ALPHA=sorting]",
    complexity: "O(N+M*log(M)), N being the number of elements and M the number of those returned.",
    run: sort_ro,
    ..BASE
};

fn sort_ro(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let how = Sorting::parse(cx.argv, false)?;
    run(cx, &how)
}

/// The key after the last STORE, whether or not the command is valid otherwise.
fn destination(argv: Argv<'_>) -> Option<FoundKey> {
    let (mut at, mut found) = (2, None);
    while let Some(word) = argv.get(at) {
        at += 1;
        if is(word, "LIMIT") {
            at += 2;
        } else if is(word, "BY") || is(word, "GET") {
            at += 1;
        } else if is(word, "STORE") && argv.get(at).is_some() {
            found = Some(FoundKey { index: at, flags: STORED.flags });
            at += 1;
        }
    }
    found
}

/// What the command asks for.
struct Sorting<'a> {
    by: By<'a>,
    alphabetic: bool,
    descending: bool,
    /// What comes in place of each element; nothing: the element itself.
    gets: Vec<Pattern<'a>>,
    offset: i64,
    /// Negative: all.
    count: i64,
    /// The argument that is the key to store at.
    store: Option<usize>,
}

/// What elements are compared by.
#[derive(Clone, Copy)]
enum By<'a> {
    Element,
    Pattern(Pattern<'a>),
    /// They stay in their order.
    Nothing,
}

impl<'a> Sorting<'a> {
    /// Whether the result depends on more than the elements.
    fn reads_others(&self) -> bool {
        matches!(self.by, By::Pattern(_)) || !self.gets.is_empty()
    }

    fn parse(argv: Argv<'a>, may_store: bool) -> Result<Sorting<'a>, Error> {
        let mut how = Sorting {
            by: By::Element,
            alphabetic: false,
            descending: false,
            gets: Vec::new(),
            offset: 0,
            count: -1,
            store: None,
        };
        let mut rest = Rest::new(argv, 2);
        while let Some(word) = rest.next() {
            let left = rest.len();
            if is(word, "ASC") {
                how.descending = false;
            } else if is(word, "DESC") {
                how.descending = true;
            } else if is(word, "ALPHA") {
                how.alphabetic = true;
            } else if is(word, "LIMIT") && left >= 2 {
                (how.offset, how.count) = (rest.int()?, rest.int()?);
            } else if is(word, "STORE") && left >= 1 && may_store {
                how.store = Some(argv.len() - left);
                rest.next();
            } else if is(word, "BY") && left >= 1 {
                // Once the order does not matter, a later pattern does not change that.
                how.by = match (how.by, Pattern::parse(rest.value()?)) {
                    (By::Nothing, _) | (_, Pattern::Element | Pattern::Constant) => By::Nothing,
                    (_, pattern) => By::Pattern(pattern),
                };
            } else if is(word, "GET") && left >= 1 {
                how.gets.push(Pattern::parse(rest.value()?));
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(how)
    }

    /// Which of `len` sorted elements are wanted.
    fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).map_or(len, |offset| offset.min(len));
        let count = usize::try_from(self.count).map_or(len, |count| count.min(len));
        start..(start + count).min(len)
    }
}

/// How the name of a key, and perhaps of a hash's field, is made of an element.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// No `*`: there is no value.
    Constant,
    /// `before*after` or `before*after->field`.
    Key { before: &'a [u8], after: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    /// What stands behind a zero byte is text, never a sign.
    fn parse(text: &'a [u8]) -> Self {
        let signs = text.split(|byte| *byte == 0).next().unwrap_or(text);
        if signs == b"#" {
            return Pattern::Element;
        }
        let Some(star) = signs.iter().position(|byte| *byte == b'*') else { return Pattern::Constant };
        let (before, after) = (&text[..star], &text[star + 1..]);
        let arrow = signs[star + 1..].windows(2).position(|pair| pair == b"->");
        match arrow {
            Some(at) if star + at + 3 < signs.len() => {
                Pattern::Key { before, after: &after[..at], field: Some(&after[at + 2..]) }
            }
            _ => Pattern::Key { before, after, field: None },
        }
    }
}

/// Shows the value that a pattern and an element lead to, if there is one.
fn look_up<R>(
    keyspace: &mut Keyspace,
    db: usize,
    pattern: Pattern<'_>,
    element: &[u8],
    show: impl FnOnce(Option<&[u8]>) -> R,
) -> R {
    let (before, after, field) = match pattern {
        Pattern::Element => return show(Some(element)),
        Pattern::Constant => return show(None),
        Pattern::Key { before, after, field } => (before, after, field),
    };
    let name = [before, element, after].concat();
    let (key, now) = (keyspace.key(&name), keyspace.now());
    match (keyspace.read(db, key).map(|item| item.value()), field) {
        (Some(Value::Str(string)), None) => string.with_bytes(|bytes| show(Some(bytes))),
        (Some(Value::Hash(hash)), Some(field)) => match hash.get(field).filter(|field| field.is_live(now)) {
            Some(field) => field.value.with_bytes(|bytes| show(Some(bytes))),
            None => show(None),
        },
        _ => show(None),
    }
}

/// Elements, and what they are sorted by.
#[derive(Default)]
struct Elements {
    bytes: Vec<u8>,
    rows: Vec<Sorted>,
}

/// An element on its way to its place.
#[derive(Clone, Default)]
struct Sorted {
    /// Where in the bytes it is.
    text: Range<usize>,
    number: f64,
    /// Where in the bytes the text is that it is compared by; `None`: there is none, which comes first.
    weight: Option<Range<usize>>,
    /// Its place at first, which decides if nothing else does.
    index: usize,
}

impl Elements {
    fn push(&mut self, text: &[u8]) {
        let text = append(&mut self.bytes, text);
        let index = self.rows.len();
        self.rows.push(Sorted { text, index, ..Sorted::default() });
    }

    fn text(&self, row: &Sorted) -> &[u8] {
        &self.bytes[row.text.clone()]
    }

    /// The elements of a collection, in its order; `false` if it is a value of another type.
    fn load(&mut self, value: &Value<'_>, backwards: bool) -> bool {
        match value {
            Value::List(list) if backwards => {
                list.try_backward(list.len().saturating_sub(1), list.len(), |element| {
                    element.with_bytes(|bytes| self.push(bytes));
                    true
                });
            }
            Value::List(list) => {
                list.forward(0, list.len(), |element| element.with_bytes(|bytes| self.push(bytes)));
            }
            Value::Set(set) => set.for_each(|element| element.with_bytes(|bytes| self.push(bytes))),
            Value::SortedSet(set) => set.visit(0..set.len(), backwards, |element, _| {
                element.with_bytes(|bytes| self.push(bytes));
                ControlFlow::Continue(())
            }),
            Value::Str(_) | Value::Hash(_) | Value::Stream(_) => return false,
        }
        true
    }

    /// Finds out what every element is compared by. Whether all that are numbers can be read.
    fn weigh(
        &mut self,
        keyspace: &mut Keyspace,
        db: usize,
        by: Option<Pattern<'_>>,
        alphabetic: bool,
    ) -> bool {
        let mut readable = true;
        let mut element = Vec::new();
        for row in &mut self.rows {
            let Some(pattern) = by else {
                if alphabetic {
                    row.weight = Some(row.text.clone());
                } else {
                    let number = number(&self.bytes[row.text.clone()]);
                    readable &= number.is_some();
                    row.number = number.unwrap_or_default();
                }
                continue;
            };
            element.clear();
            element.extend_from_slice(&self.bytes[row.text.clone()]);
            look_up(keyspace, db, pattern, &element, |value| match value {
                None => {}
                Some(text) if alphabetic => row.weight = Some(append(&mut self.bytes, text)),
                Some(text) => {
                    let number = number(text);
                    readable &= number.is_some();
                    row.number = number.unwrap_or_default();
                }
            });
        }
        readable
    }

    /// Puts the elements in `range` where they belong; the others only on the right side of it.
    fn sort(&mut self, range: Range<usize>, alphabetic: bool, descending: bool) {
        let bytes = &self.bytes;
        let text = |range: &Range<usize>| &bytes[range.clone()];
        let compare = |a: &Sorted, b: &Sorted| {
            let order = if alphabetic {
                a.weight.as_ref().map(text).cmp(&b.weight.as_ref().map(text))
            } else {
                let numbers = a.number.partial_cmp(&b.number).unwrap_or(Ordering::Equal);
                numbers.then_with(|| text(&a.text).cmp(text(&b.text)))
            };
            let order = if descending { order.reverse() } else { order };
            order.then(a.index.cmp(&b.index))
        };
        if range.is_empty() {
            return;
        }
        let mut rows = &mut self.rows[..];
        if range.end < rows.len() {
            rows.select_nth_unstable_by(range.end, compare);
            rows = &mut rows[..range.end];
        }
        if range.start > 0 {
            rows.select_nth_unstable_by(range.start, compare);
            rows = &mut rows[range.start..];
        }
        rows.sort_unstable_by(compare);
    }
}

/// Appends bytes and tells where they are.
fn append(buffer: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    let start = buffer.len();
    buffer.extend_from_slice(bytes);
    start..buffer.len()
}

/// The number that a text stands for when sorting: nothing is 0, a zero byte ends the text, and what is out of range
/// is infinite or 0.
fn number(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

fn run(cx: &mut Ctx<'_>, how: &Sorting<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let (mut elements, mut by, mut alphabetic) = (Elements::default(), how.by, how.alphabetic);
    if let Some(item) = cx.keyspace.read(cx.db, key) {
        let value = item.value();
        let as_it_is = matches!(by, By::Nothing);
        let is_kept = how.store.is_some() || cx.state.scripting.is_active();
        if as_it_is && is_kept && matches!(value, Value::Set(_)) {
            // A set has no order that could be stored, or that a script could rely on.
            (by, alphabetic) = (By::Element, true);
        }
        if !elements.load(&value, as_it_is && how.descending) {
            return Err(Error::WrongType);
        }
    }
    let range = how.range(elements.rows.len());
    let by = match by {
        By::Nothing => None,
        By::Element => Some(None),
        By::Pattern(pattern) => Some(Some(pattern)),
    };
    if let Some(by) = by {
        if !elements.weigh(cx.keyspace, cx.db, by, alphabetic) {
            return Err(Error::Text("ERR One or more scores can't be converted into double"));
        }
        elements.sort(range.clone(), alphabetic, how.descending);
    }
    match how.store {
        None => reply(cx, how, &elements, range),
        Some(target) => store(cx, how, &elements, range, target),
    }
    Ok(())
}

fn reply(cx: &mut Ctx<'_>, how: &Sorting<'_>, elements: &Elements, range: Range<usize>) {
    cx.out.array(range.len() * how.gets.len().max(1));
    for row in &elements.rows[range] {
        let text = elements.text(row);
        if how.gets.is_empty() {
            cx.out.bulk(text);
        }
        for get in &how.gets {
            look_up(cx.keyspace, cx.db, *get, text, |value| match value {
                Some(value) => cx.out.bulk(value),
                None => cx.out.null(),
            });
        }
    }
}

/// Stores the result as a list, in which absent values are empty; an empty one removes the key. Replies its length.
fn store(cx: &mut Ctx<'_>, how: &Sorting<'_>, elements: &Elements, range: Range<usize>, target: usize) {
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    for row in &elements.rows[range] {
        let text = elements.text(row);
        if how.gets.is_empty() {
            values.push(append(&mut bytes, text));
        }
        for get in &how.gets {
            look_up(cx.keyspace, cx.db, *get, text, |value| {
                values.push(append(&mut bytes, value.unwrap_or_default()));
            });
        }
    }
    let target = cx.key(target);
    let mut guard = cx.keyspace.write(cx.db, target);
    if !values.is_empty() {
        let space = guard.space();
        let mut list = List::empty(&space);
        list.push(&space, End::Tail, values.iter().map(|value| &bytes[value.clone()]));
        guard.replace(list);
        guard.commit_many(&[Event::list("sortstore")], values.len() as u64);
    } else if guard.exists() {
        guard.remove();
        guard.commit(&[Event::generic("del")]);
    } else {
        cx.out.integer(0);
        return;
    }
    if how.reads_others() {
        effect_of_storing(cx, target.bytes(), values.iter().map(|value| &bytes[value.clone()]));
    }
    cx.out.integer(values.len() as i64);
}

/// Logs the result itself: what patterns lead to may depend on deadlines, and the order of what compares equal on the
/// order of a set.
fn effect_of_storing<'v>(cx: &mut Ctx<'_>, target: &[u8], values: impl Iterator<Item = &'v [u8]>) {
    if !cx.logs_effects() {
        return;
    }
    cx.effect(&[b"DEL", target]);
    cx.effect_of_many(&[b"RPUSH", target], values);
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_read_as_redis_reads_them() {
        let read = [
            (&b""[..], 0.0),
            (b"\0x", 0.0),
            (b"+1", 1.0),
            (b"-.5", -0.5),
            (b"1.e2", 100.0),
            (b"7\0x", 7.0),
            (b"1e400", f64::INFINITY),
            (b"1e-400", 0.0),
            (b"-inf", f64::NEG_INFINITY),
            (b"iNfinity", f64::INFINITY),
        ];
        for (text, value) in read {
            assert_eq!(number(text), Some(value), "{text:?}");
        }
        let refused = [" 1", "1 ", "0x10", "nan", ".", "-", "+", "1e", "1_0", "+-1", "1d", "1,5"];
        for text in refused {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
