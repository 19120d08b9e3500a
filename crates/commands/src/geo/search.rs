//! Places within a shape: GEOSEARCH, GEOSEARCHSTORE and the GEORADIUS family.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use carnelian_keyspace::encoding::listpack::Element;
use carnelian_keyspace::{Event, ScoreRange, SortedSet, SortedSetRef};
use carnelian_resp::ReplyBuf;

use super::query::{Form, Order, Query};
use super::sphere::Point;
use super::{BASE, hash, reply_distance, reply_point, sorted_set};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Begin, Find, Flags, KeyFlags, KeySpec, Row};

const COMPLEXITY: &str =
    "O(N+log(M)), N being the number of places around the shape, M that of all in the set.";

/// The key after `word`, which is searched from argument `from` on.
const fn stored(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        flags: KeyFlags::OW.union(KeyFlags::UPDATE),
        begin: Begin::Keyword(word, from),
        find: Find::Range { last: 0, step: 1, limit: 0 },
    }
}

pub(super) const GEORADIUS: Row = Row {
    name: "georadius",
    summary: "Finds, or stores, the places up to a distance from a longitude and latitude.",
    since: "3.2.0",
    arity: -6,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: &[
        KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)),
        stored("STORE", 6),
        stored("STOREDIST", 6),
    ],
    syntax: "key longitude:double latitude:double radius:double <unit=M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block=COUNT count [ANY]] [order=ASC|DESC] [store=STORE storekey:key|STOREDIST storedistkey:key]",
    complexity: COMPLEXITY,
    deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")),
    run: georadius,
    ..BASE
};

fn georadius(cx: &mut Ctx<'_>) -> Result<(), Error> {
    search(cx, Form::Radius { by_member: false, read_only: false })
}

pub(super) const GEORADIUS_RO: Row = Row {
    name: "georadius_ro",
    summary: "Finds the places up to a distance from a longitude and latitude.",
    since: "3.2.10",
    arity: -6,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key longitude:double latitude:double radius:double <unit=M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block=COUNT count [ANY]] [order=ASC|DESC]",
    complexity: COMPLEXITY,
    deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
    run: georadius_ro,
    ..BASE
};

fn georadius_ro(cx: &mut Ctx<'_>) -> Result<(), Error> {
    search(cx, Form::Radius { by_member: false, read_only: true })
}

pub(super) const GEORADIUSBYMEMBER: Row = Row {
    name: "georadiusbymember",
    summary: "Finds, or stores, the places up to a distance from one of them.",
    since: "3.2.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: &[
        KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)),
        stored("STORE", 5),
        stored("STOREDIST", 5),
    ],
    syntax: "key member radius:double <unit=M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block=COUNT count [ANY]] [order=ASC|DESC] [store=STORE storekey:key|STOREDIST storedistkey:key]",
    complexity: COMPLEXITY,
    deprecated: Some((
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    )),
    run: georadiusbymember,
    ..BASE
};

fn georadiusbymember(cx: &mut Ctx<'_>) -> Result<(), Error> {
    search(cx, Form::Radius { by_member: true, read_only: false })
}

pub(super) const GEORADIUSBYMEMBER_RO: Row = Row {
    name: "georadiusbymember_ro",
    summary: "Finds the places up to a distance from one of them.",
    since: "3.2.10",
    arity: -5,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key member radius:double <unit=M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block=COUNT count [ANY]] [order=ASC|DESC]",
    complexity: COMPLEXITY,
    deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")),
    run: georadiusbymember_ro,
    ..BASE
};

fn georadiusbymember_ro(cx: &mut Ctx<'_>) -> Result<(), Error> {
    search(cx, Form::Radius { by_member: true, read_only: true })
}

pub(super) const GEOSEARCH: Row = Row {
    name: "geosearch",
    summary: "Finds the places within a circle, a box or a polygon.",
    since: "6.2.0",
    arity: -7,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key [from=FROMMEMBER member|FROMLONLAT <fromlonlat=longitude:double latitude:double>] <by=<circle=BYRADIUS radius:double <unit=M|KM|FT|MI>>|<box=BYBOX width:double height:double <unit=M|KM|FT|MI>>|<polygon=BYPOLYGON num-vertices:integer <vertices=longitude:double latitude:double>...>> [order=ASC|DESC] [count-block=COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    complexity: COMPLEXITY,
    run: geosearch,
    ..BASE
};

fn geosearch(cx: &mut Ctx<'_>) -> Result<(), Error> {
    search(cx, Form::Search)
}

pub(super) const GEOSEARCHSTORE: Row = Row {
    name: "geosearchstore",
    summary: "Stores the places within a circle, a box or a polygon.",
    since: "6.2.0",
    arity: -8,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        KeySpec::one(2, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    syntax: "destination:key source:key [from=FROMMEMBER member|FROMLONLAT <fromlonlat=longitude:double latitude:double>] <by=<circle=BYRADIUS radius:double <unit=M|KM|FT|MI>>|<box=BYBOX width:double height:double <unit=M|KM|FT|MI>>|<polygon=BYPOLYGON num-vertices:integer <vertices=longitude:double latitude:double>...>> [order=ASC|DESC] [count-block=COUNT count [ANY]] [STOREDIST]",
    complexity: COMPLEXITY,
    run: geosearchstore,
    ..BASE
};

fn geosearchstore(cx: &mut Ctx<'_>) -> Result<(), Error> {
    search(cx, Form::SearchStore)
}

/// A place that was found.
#[derive(Clone, Copy)]
struct Found<'a> {
    member: Element<'a>,
    score: f64,
    place: Point,
    /// In metres.
    distance: f64,
}

/// All the commands of this file.
fn search(cx: &mut Ctx<'_>, form: Form) -> Result<(), Error> {
    let key = cx.key(form.source());
    let set = match cx.keyspace.read(cx.db, key) {
        Some(item) => Some(sorted_set(&item)?),
        None => None,
    };
    let query = Query::parse(cx.argv, form, set)?;
    let found = set.map_or(Vec::new(), |set| find(set, &query));
    let Some((destination, by_distance)) = query.store else {
        reply(cx.out, &found, &query);
        return Ok(());
    };
    let score = |found: &Found<'_>| if by_distance { found.distance / query.unit } else { found.score };
    let elements: Vec<(Vec<u8>, f64)> =
        found.iter().map(|found| (found.member.to_bytes().into_owned(), score(found))).collect();
    let event = if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" };
    store(cx, destination, elements, event);
    Ok(())
}

/// The places that a query asks for, in its order.
fn find<'a>(set: SortedSetRef<'a>, query: &Query) -> Vec<Found<'a>> {
    let mut all = Vec::new();
    let enough = if query.any { query.count.unwrap_or(usize::MAX) } else { usize::MAX };
    for cell in query.shape.cells(query.centre) {
        if all.len() >= enough {
            break;
        }
        let (min, max) = cell.scores();
        let range = ScoreRange { min, min_exclusive: false, max, max_exclusive: true };
        set.visit_range(&range, false, 0, |member, score| {
            let place = hash::place(score);
            if let Some(distance) = query.shape.distance(query.centre, place) {
                all.push(Found { member, score, place, distance });
            }
            if all.len() >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    let order: fn(&Found<'_>, &Found<'_>) -> Ordering = match query.order {
        Order::Any => return all,
        Order::Ascending => |a, b| a.distance.total_cmp(&b.distance),
        Order::Descending => |a, b| b.distance.total_cmp(&a.distance),
    };
    if let Some(count) = query.count
        && count < all.len()
    {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_by(order);
    all
}

fn reply(out: &mut ReplyBuf, found: &[Found<'_>], query: &Query) {
    out.array(found.len());
    let details =
        [query.with_distance, query.with_hash, query.with_place].iter().filter(|with| **with).count();
    for found in found {
        if query.is_detailed() {
            out.array(1 + details);
        }
        found.member.with_bytes(|member| out.bulk(member));
        if query.with_distance {
            reply_distance(out, found.distance / query.unit);
        }
        if query.with_hash {
            out.integer(found.score as i64);
        }
        if query.with_place {
            reply_point(out, found.place);
        }
    }
}

/// Stores what was found in place of what the key at argument `destination` held, and replies how much it is.
fn store(cx: &mut Ctx<'_>, destination: usize, mut elements: Vec<(Vec<u8>, f64)>, event: &'static str) {
    let key = cx.key(destination);
    let mut entry = cx.keyspace.write(cx.db, key);
    let count = elements.len();
    if count > 0 {
        let set = SortedSet::build(&mut elements, &mut entry.space());
        entry.replace(set);
        entry.commit_many(&[Event::sorted_set(event)], count as u64);
    } else if entry.exists() {
        entry.remove();
        entry.commit(&[Event::generic("del")]);
    }
    cx.out.integer(count as i64);
}
