//! Adding members and changing scores: ZADD, ZINCRBY.

use carnelian_keyspace::{Event, ScoreOutcome, ScoreUpdate, SortedSet};

use super::{BASE, score};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const ZADD: Row = Row {
    name: "zadd",
    summary: "Adds members with their scores to a sorted set, or changes the scores of members that it has.",
    since: "1.2.0",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key [condition=NX|XX] [comparison=GT|LT] [CH=change] [INCR=increment] <data=score:double member>...",
    complexity: "O(log(N)) for each member, N being the number of members of the sorted set.",
    run: zadd,
    ..BASE
};

/// The options of ZADD.
#[derive(Default)]
struct Options {
    how: ScoreUpdate,
    /// Reply how many members were changed, not how many were added.
    count_changes: bool,
}

impl Options {
    /// Reads options until a word is none.
    fn parse(rest: &mut Rest<'_>) -> Options {
        let mut options = Options::default();
        while let Some(word) = rest.peek() {
            if is(word, "NX") {
                options.how.only_new = true;
            } else if is(word, "XX") {
                options.how.only_existing = true;
            } else if is(word, "GT") {
                options.how.only_higher = true;
            } else if is(word, "LT") {
                options.how.only_lower = true;
            } else if is(word, "CH") {
                options.count_changes = true;
            } else if is(word, "INCR") {
                options.how.increment = true;
            } else {
                break;
            }
            rest.next();
        }
        options
    }

    fn check(&self, pairs: usize) -> Result<(), Error> {
        let how = &self.how;
        if how.only_new && how.only_existing {
            return Err(Error::Text("ERR XX and NX options at the same time are not compatible"));
        }
        let comparisons = [how.only_new, how.only_higher, how.only_lower].into_iter().filter(|set| *set);
        if comparisons.count() > 1 {
            return Err(Error::Text("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if how.increment && pairs > 1 {
            return Err(Error::Text("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }
}

fn zadd(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let mut rest = Rest::new(cx.argv, 2);
    let options = Options::parse(&mut rest);
    let (first, words) = (rest.position(), rest.len());
    if words == 0 || words % 2 == 1 {
        return Err(Error::Syntax);
    }
    let pairs = words / 2;
    options.check(pairs)?;
    let (mut one, mut many) = ([0.0], Vec::new());
    let scores = if pairs == 1 {
        &mut one[..]
    } else {
        many.resize(pairs, 0.0);
        &mut many[..]
    };
    for (i, slot) in scores.iter_mut().enumerate() {
        *slot = score(cx.arg(first + 2 * i))?;
    }
    add(cx, first + 1, scores, &options)
}

pub(super) const ZINCRBY: Row = Row {
    name: "zincrby",
    summary: "Adds to the score of a member; one that is absent starts at 0.",
    since: "1.2.0",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    syntax: "key increment member",
    complexity: "O(log(N)), N being the number of members of the sorted set.",
    run: zincrby,
    ..BASE
};

fn zincrby(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let how = ScoreUpdate { increment: true, ..ScoreUpdate::default() };
    let by = score(cx.arg(2))?;
    add(cx, 3, &[by], &Options { how, count_changes: false })
}

/// What ZADD has done so far.
#[derive(Default)]
struct Tally {
    added: u64,
    changed: u64,
    /// The new score of the last member.
    last: Option<f64>,
}

/// Adds the members that stand at argument `first` and then every second one.
fn add(cx: &mut Ctx<'_>, first: usize, scores: &[f64], options: &Options) -> Result<(), Error> {
    let (argv, how) = (cx.argv, options.how);
    let key = cx.key(1);
    let mut guard = cx.keyspace.write(cx.db, key);
    let tally = guard.edit::<SortedSet, _>(|set, space| {
        let mut tally = Tally::default();
        // An absent key to which nothing can be added stays absent.
        if scores.len() > 1 && !(how.only_existing && set.is_empty()) {
            set.prepare(scores.len(), space);
        }
        for (i, score) in scores.iter().enumerate() {
            match set.update(argv.arg(first + 2 * i), *score, how, space) {
                ScoreOutcome::Added(score) => {
                    tally.added += 1;
                    tally.last = Some(score);
                }
                ScoreOutcome::Changed(score) => {
                    tally.changed += 1;
                    tally.last = Some(score);
                }
                ScoreOutcome::Same(score) => tally.last = Some(score),
                ScoreOutcome::Refused => tally.last = None,
                ScoreOutcome::NotANumber => {
                    return Err(Error::Text("ERR resulting score is not a number (NaN)"));
                }
            }
        }
        Ok(tally)
    })?;
    let tally = match tally {
        Ok(tally) => tally,
        Err(error) => {
            guard.unchanged();
            return Err(error);
        }
    };
    match tally.added + tally.changed {
        0 => guard.unchanged(),
        n => guard.commit_many(&[Event::sorted_set(if how.increment { "zincr" } else { "zadd" })], n),
    }
    match (how.increment, tally.last) {
        (true, Some(score)) => cx.out.double(score),
        (true, None) => cx.out.null(),
        (false, _) => {
            let counted = if options.count_changes { tally.added + tally.changed } else { tally.added };
            cx.out.integer(counted as i64);
        }
    }
    Ok(())
}
