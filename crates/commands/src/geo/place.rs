//! Members and where they are: GEOADD, GEODIST, GEOHASH, GEOPOS.

use carnelian_keyspace::{Event, ScoreOutcome, ScoreUpdate, SortedSet, SortedSetRef};

use carnelian_resp::{OwnedArgv, number};

use super::{BASE, hash, metres, point, reply_distance, reply_point, sorted_set};
use crate::args::{Rest, is};
use crate::context::Ctx;
use crate::error::Error;
use crate::row::{Flags, KeyFlags, KeySpec, Row};

pub(super) const GEOADD: Row = Row {
    name: "geoadd",
    summary: "Adds places, or moves them, in a set that is created if absent.",
    since: "3.2.0",
    arity: -5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    syntax: "key [condition=NX|XX] [CH=change] <data=longitude:double latitude:double member>...",
    complexity: "O(log(N)) for each place, N being the number of places in the set.",
    run: geoadd,
    ..BASE
};

fn geoadd(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let (mut how, mut count_changed) = (ScoreUpdate::default(), false);
    let mut rest = Rest::new(cx.argv, 2);
    while let Some(word) = rest.peek() {
        match () {
            () if is(word, "NX") => how.only_new = true,
            () if is(word, "XX") => how.only_existing = true,
            () if is(word, "CH") => count_changed = true,
            () => break,
        }
        rest.next();
    }
    if !rest.len().is_multiple_of(3) || (how.only_new && how.only_existing) {
        return Err(Error::Syntax);
    }
    let mut places = Vec::with_capacity(rest.len() / 3);
    while rest.len() > 0 {
        let point = point(rest.value()?, rest.value()?)?;
        places.push((hash::score(point), rest.value()?));
    }
    let key = cx.key(1);
    let mut entry = cx.keyspace.write(cx.db, key);
    let is_new = !entry.exists();
    let (mut added, mut changed) = (0, 0);
    entry.edit::<SortedSet, _>(|set, space| {
        if is_new {
            set.prepare(places.len(), space);
        }
        for (score, member) in &places {
            match set.update(member, *score, how, space) {
                ScoreOutcome::Added(_) => added += 1,
                ScoreOutcome::Changed(_) => changed += 1,
                ScoreOutcome::Same(_) | ScoreOutcome::Refused | ScoreOutcome::NotANumber => {}
            }
        }
    })?;
    match added + changed {
        0 => entry.unchanged(),
        changes => {
            entry.commit_many(&[Event::sorted_set("zadd")], changes);
            effect_of_adding(cx, &places, how);
        }
    }
    let counted = if count_changed { added + changed } else { added };
    cx.out.integer(counted.cast_signed());
    Ok(())
}

/// Logs the places as scores, since what their numbers come to may differ on another machine.
fn effect_of_adding(cx: &mut Ctx<'_>, places: &[(f64, &[u8])], how: ScoreUpdate) {
    if !cx.logs_effects() {
        return;
    }
    let mut words = OwnedArgv::from_slices(&[b"ZADD", cx.arg(1)]);
    if how.only_new {
        words.push(b"NX");
    }
    if how.only_existing {
        words.push(b"XX");
    }
    for (score, member) in places {
        words.push(&number::format_double(*score));
        words.push(member);
    }
    cx.effect_of(&words);
}

pub(super) const GEODIST: Row = Row {
    name: "geodist",
    summary: "Returns the distance between two places.",
    since: "3.2.0",
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key member1 member2 [unit=M|KM|FT|MI]",
    complexity: "O(1)",
    run: geodist,
    ..BASE
};

fn geodist(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let unit = match cx.argv.len() {
        4 => 1.0,
        5 => metres(cx.arg(4))?,
        _ => return Err(Error::Syntax),
    };
    let (key, a, b) = (cx.key(1), cx.arg(2), cx.arg(3));
    let set = match cx.keyspace.read(cx.db, key) {
        Some(item) => Some(sorted_set(&item)?),
        None => None,
    };
    let scores = set.and_then(|set| Some((set.score(a)?, set.score(b)?)));
    match scores {
        Some((a, b)) => reply_distance(cx.out, hash::place(a).distance(hash::place(b)) / unit),
        None => cx.out.null(),
    }
    Ok(())
}

pub(super) const GEOHASH: Row = Row {
    name: "geohash",
    summary: "Returns places as geohash texts, as others use them.",
    since: "3.2.0",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key [member]...",
    complexity: "O(1) for each member.",
    run: geohash,
    ..BASE
};

fn geohash(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let set = match cx.keyspace.read(cx.db, key) {
        Some(item) => Some(sorted_set(&item)?),
        None => None,
    };
    cx.out.array(cx.argv.len() - 2);
    for score in scores(set, Rest::new(cx.argv, 2)) {
        match score {
            Some(score) => cx.out.bulk(&hash::text(hash::place(score))),
            None => cx.out.null(),
        }
    }
    Ok(())
}

pub(super) const GEOPOS: Row = Row {
    name: "geopos",
    summary: "Returns the longitudes and latitudes of places.",
    since: "3.2.0",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    syntax: "key [member]...",
    complexity: "O(1) for each member.",
    run: geopos,
    ..BASE
};

fn geopos(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let set = match cx.keyspace.read(cx.db, key) {
        Some(item) => Some(sorted_set(&item)?),
        None => None,
    };
    cx.out.array(cx.argv.len() - 2);
    for score in scores(set, Rest::new(cx.argv, 2)) {
        match score {
            Some(score) => reply_point(cx.out, hash::place(score)),
            None => cx.out.null_array(),
        }
    }
    Ok(())
}

/// The scores of members, of those that there are.
fn scores<'a>(set: Option<SortedSetRef<'a>>, mut members: Rest<'a>) -> impl Iterator<Item = Option<f64>> {
    std::iter::from_fn(move || members.next().map(|member| set?.score(member)))
}
