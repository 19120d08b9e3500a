//! Unions, intersections and differences of sorted sets and sets: ZUNION, ZINTER, ZDIFF, what stores them, and
//! ZINTERCARD. A member of a set counts as one with the score 1.

use std::ops::ControlFlow;

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{Item, SetRef, SortedSet, SortedSetRef, Value};

use super::{BASE, Scored, Show, store};
use crate::args::{Rest, int, int_in, is};
use crate::context::Ctx;
use crate::double;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

/// The keys that are read.
const SOURCE: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
/// The key of the result, and the keys that are read.
const STORING: &[KeySpec] =
    &[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)), KeySpec::counted(2, 1, SOURCE)];

/// What all rows of commands that reply their result have in common.
const READING: Row = Row {
    arity: -3,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, 1, SOURCE)],
    ..BASE
};

/// What all rows of commands that store their result have in common.
const WRITING: Row = Row {
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: STORING,
    ..BASE
};

pub(super) const ZUNION: Row = Row {
    name: "zunion",
    summary: "Returns the members that any of several sorted sets has, with their scores combined.",
    since: "6.2.0",
    syntax: "numkeys:integer key... [WEIGHTS weight:integer]... [AGGREGATE <aggregate=SUM|MIN|MAX>] [WITHSCORES]",
    complexity: "O(N)+O(M*log(M)), N being the sum of the sizes of the sorted sets and M that of the result.",
    run: zunion,
    ..READING
};

fn zunion(cx: &mut Ctx<'_>) -> Result<(), Error> {
    reply(cx, Operation::Union)
}

pub(super) const ZUNIONSTORE: Row = Row {
    name: "zunionstore",
    summary: "Stores the members that any of several sorted sets has, with their scores combined.",
    since: "2.0.0",
    syntax: "destination:key numkeys:integer key... [WEIGHTS weight:integer]... [AGGREGATE <aggregate=SUM|MIN|MAX>]",
    complexity: "O(N)+O(M*log(M)), N being the sum of the sizes of the sorted sets and M that of the result.",
    run: zunionstore,
    ..WRITING
};

fn zunionstore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    store_result(cx, Operation::Union, "zunionstore")
}

pub(super) const ZINTER: Row = Row {
    name: "zinter",
    summary: "Returns the members that several sorted sets have in common, with their scores combined.",
    since: "6.2.0",
    syntax: "numkeys:integer key... [WEIGHTS weight:integer]... [AGGREGATE <aggregate=SUM|MIN|MAX>] [WITHSCORES]",
    complexity: "O(N*K)+O(M*log(M)), N being the size of the smallest sorted set, K the number of them and M the \
                 size of the result.",
    run: zinter,
    ..READING
};

fn zinter(cx: &mut Ctx<'_>) -> Result<(), Error> {
    reply(cx, Operation::Intersection)
}

pub(super) const ZINTERSTORE: Row = Row {
    name: "zinterstore",
    summary: "Stores the members that several sorted sets have in common, with their scores combined.",
    since: "2.0.0",
    syntax: "destination:key numkeys:integer key... [WEIGHTS weight:integer]... [AGGREGATE <aggregate=SUM|MIN|MAX>]",
    complexity: "O(N*K)+O(M*log(M)), N being the size of the smallest sorted set, K the number of them and M the \
                 size of the result.",
    run: zinterstore,
    ..WRITING
};

fn zinterstore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    store_result(cx, Operation::Intersection, "zinterstore")
}

pub(super) const ZDIFF: Row = Row {
    name: "zdiff",
    summary: "Returns the members of a sorted set that none of others has.",
    since: "6.2.0",
    syntax: "numkeys:integer key... [WITHSCORES]",
    complexity: "O(N*K), N being the size of the first sorted set and K the number of them.",
    run: zdiff,
    ..READING
};

fn zdiff(cx: &mut Ctx<'_>) -> Result<(), Error> {
    reply(cx, Operation::Difference)
}

pub(super) const ZDIFFSTORE: Row = Row {
    name: "zdiffstore",
    summary: "Stores the members of a sorted set that none of others has.",
    since: "6.2.0",
    syntax: "destination:key numkeys:integer key...",
    complexity: "O(N*K), N being the size of the first sorted set and K the number of them.",
    run: zdiffstore,
    ..WRITING
};

fn zdiffstore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    store_result(cx, Operation::Difference, "zdiffstore")
}

pub(super) const ZINTERCARD: Row = Row {
    name: "zintercard",
    summary: "Counts the members that several sorted sets have in common, up to a limit.",
    since: "7.0.0",
    syntax: "numkeys:integer key... [LIMIT limit:integer]",
    complexity: "O(N*K), N being the size of the smallest sorted set and K the number of them.",
    run: zintercard,
    ..READING
};

fn zintercard(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let keys = keys(cx, 1)?;
    let argv = cx.argv;
    let (sources, _) = cx.keyspace.read_all(cx.db, hashed(cx, keys.clone()).into_iter(), source)?;
    let mut limit = 0;
    let mut rest = Rest::new(argv, keys.end);
    while let Some(word) = rest.next() {
        if !is(word, "LIMIT") || rest.len() == 0 {
            return Err(Error::Syntax);
        }
        limit = int_in(rest.value()?, 0..=i64::MAX, Error::Text("ERR LIMIT can't be negative"))?;
    }
    let mut count = 0;
    intersect(sources, Aggregate::Sum, &mut |_, _| {
        count += 1;
        if count == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    cx.out.integer(count);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// How the scores of a member in several sets become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(arg: &[u8]) -> Result<Aggregate, Error> {
        match arg {
            arg if is(arg, "SUM") => Ok(Aggregate::Sum),
            arg if is(arg, "MIN") => Ok(Aggregate::Min),
            arg if is(arg, "MAX") => Ok(Aggregate::Max),
            _ => Err(Error::Syntax),
        }
    }

    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Aggregate::Sum => number(a + b),
            Aggregate::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

/// Infinities that cancel out count as 0.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// The options behind the keys.
struct Options {
    aggregate: Aggregate,
    scores: bool,
}

impl Options {
    /// Reads them; weights go to the sources.
    fn parse(
        mut rest: Rest<'_>,
        operation: Operation,
        storing: bool,
        sources: &mut [Source<'_>],
    ) -> Result<Options, Error> {
        let mut options = Options { aggregate: Aggregate::Sum, scores: false };
        let combines = operation != Operation::Difference;
        while let Some(word) = rest.next() {
            if combines && is(word, "WEIGHTS") && rest.len() >= sources.len() {
                for source in &mut *sources {
                    source.weight =
                        double::parse(rest.value()?).ok_or(Error::Text("ERR weight value is not a float"))?;
                }
            } else if combines && is(word, "AGGREGATE") && rest.len() > 0 {
                options.aggregate = Aggregate::parse(rest.value()?)?;
            } else if !storing && is(word, "WITHSCORES") {
                options.scores = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }
}

/// What a key contributes.
#[derive(Clone, Copy)]
struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

#[derive(Clone, Copy)]
enum Members<'a> {
    None,
    SortedSet(SortedSetRef<'a>),
    Set(SetRef<'a>),
}

impl<'a> Source<'a> {
    fn len(&self) -> usize {
        match self.members {
            Members::None => 0,
            Members::SortedSet(set) => set.len(),
            Members::Set(set) => set.len(),
        }
    }

    /// The weighted score of a member: not a number for an infinity without weight, which makes a sum 0 and leaves
    /// a minimum or maximum as it is.
    fn score(&self, member: Element<'_>) -> Option<f64> {
        let score = match self.members {
            Members::None => None,
            Members::SortedSet(set) => member.with_bytes(|member| set.score(member)),
            Members::Set(set) => set.contains_element(member).then_some(1.0),
        };
        score.map(|score| self.weight * score)
    }

    fn weighted(&self, score: f64) -> f64 {
        number(self.weight * score)
    }

    /// Visits all members with their weighted scores.
    fn visit(&self, visit: &mut dyn FnMut(Element<'a>, f64) -> ControlFlow<()>) {
        match self.members {
            Members::None => {}
            Members::SortedSet(set) => {
                set.visit(0..set.len(), false, |member, score| visit(member, self.weighted(score)));
            }
            Members::Set(set) => {
                let score = self.weighted(1.0);
                let _ended = set.try_for_each(|member| visit(member, score));
            }
        }
    }
}

/// The arguments that are keys, after their number at argument `first`.
fn keys(cx: &Ctx<'_>, first: usize) -> Result<std::ops::Range<usize>, Error> {
    let count = int(cx.arg(first))?;
    if count < 1 {
        let text = format!("ERR at least 1 input key is needed for '{}' command", cx.command_name());
        return Err(Error::other(text));
    }
    let words = cx.argv.len() - first - 1;
    match usize::try_from(count) {
        Ok(count) if count <= words => Ok(first + 1..first + 1 + count),
        _ => Err(Error::Syntax),
    }
}

/// The keys, so that reading them does not borrow the context.
fn hashed<'a>(cx: &Ctx<'a>, keys: std::ops::Range<usize>) -> Vec<carnelian_keyspace::Key<'a>> {
    keys.map(|i| cx.key(i)).collect()
}

fn source<'a>(item: Option<Item<'a>>) -> Result<Source<'a>, Error> {
    let members = match item.as_ref().map(Item::value) {
        None => Members::None,
        Some(Value::SortedSet(set)) => Members::SortedSet(set),
        Some(Value::Set(set)) => Members::Set(set),
        Some(_) => return Err(Error::WrongType),
    };
    Ok(Source { members, weight: 1.0 })
}

/// The result in no order, with no member twice.
fn combine<'a>(operation: Operation, mut sources: Vec<Source<'a>>, aggregate: Aggregate) -> Vec<Scored<'a>> {
    match operation {
        Operation::Union => {
            sources.sort_by_key(Source::len);
            unite(&sources, aggregate)
        }
        Operation::Intersection => {
            let mut result = Vec::new();
            intersect(sources, aggregate, &mut |member, score| {
                result.push((member.to_bytes(), score));
                ControlFlow::Continue(())
            });
            result
        }
        Operation::Difference => {
            let (mut result, others) = (Vec::new(), &sources[1..]);
            sources[0].visit(&mut |member, score| {
                if others.iter().all(|other| other.score(member).is_none()) {
                    result.push((member.to_bytes(), score));
                }
                ControlFlow::Continue(())
            });
            result
        }
    }
}

/// Scores are combined in the order of the sources.
fn unite<'a>(sources: &[Source<'a>], aggregate: Aggregate) -> Vec<Scored<'a>> {
    let mut all: Vec<Scored<'a>> = Vec::with_capacity(sources.iter().map(Source::len).sum());
    for source in sources {
        source.visit(&mut |member, score| {
            all.push((member.to_bytes(), score));
            ControlFlow::Continue(())
        });
    }
    if sources.iter().filter(|source| source.len() > 0).count() > 1 {
        // The same member of several sources comes in their order, for the sort is stable.
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 = aggregate.apply(first.1, later.1);
            }
            same
        });
    }
    all
}

/// Visits what all sources have, in the order of the smallest one.
fn intersect<'a>(
    mut sources: Vec<Source<'a>>,
    aggregate: Aggregate,
    visit: &mut dyn FnMut(Element<'a>, f64) -> ControlFlow<()>,
) {
    sources.sort_by_key(Source::len);
    let Some((smallest, others)) = sources.split_first() else { return };
    smallest.visit(&mut |member, score| {
        let combined = others
            .iter()
            .try_fold(score, |sum, other| other.score(member).map(|score| aggregate.apply(sum, score)));
        match combined {
            Some(score) => visit(member, score),
            None => ControlFlow::Continue(()),
        }
    });
}

fn reply(cx: &mut Ctx<'_>, operation: Operation) -> Result<(), Error> {
    let keys = keys(cx, 1)?;
    let rest = Rest::new(cx.argv, keys.end);
    let hashed = hashed(cx, keys.clone());
    let (mut sources, _) = cx.keyspace.read_all(cx.db, hashed.into_iter(), source)?;
    let options = Options::parse(rest, operation, false, &mut sources)?;
    let mut result = combine(operation, sources, options.aggregate);
    result.sort_unstable_by(|a, b| SortedSet::compare((&a.0, a.1), (&b.0, b.1)));
    let show = Show::new(options.scores, cx.out);
    cx.out.array(show.len(result.len()));
    for (member, score) in &result {
        show.put(cx.out, Element::Bytes(member), *score);
    }
    Ok(())
}

fn store_result(cx: &mut Ctx<'_>, operation: Operation, event: &'static str) -> Result<(), Error> {
    let keys = keys(cx, 2)?;
    let rest = Rest::new(cx.argv, keys.end);
    let (target, hashed) = (cx.key(1), hashed(cx, keys.clone()));
    let (mut sources, mut space) = cx.keyspace.read_all(cx.db, hashed.into_iter(), source)?;
    let options = Options::parse(rest, operation, true, &mut sources)?;
    let mut result = combine(operation, sources, options.aggregate);
    let set = (!result.is_empty()).then(|| SortedSet::build(&mut result, &mut space));
    store(cx, target, set, event);
    Ok(())
}
