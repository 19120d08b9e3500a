//! Places on the earth: sorted sets whose scores are 52-bit hashes of longitude and latitude, so that near places have
//! near scores. The rows of the group, and what its commands share.

mod hash;
mod place;
mod query;
mod search;
mod shape;
mod sphere;

use carnelian_keyspace::{Item, SortedSetRef, Value};
use carnelian_resp::ReplyBuf;

use crate::args::is;
use crate::error::Error;
use crate::row::{Acl, Group, Row};
use sphere::Point;

pub(crate) static ROWS: &[Row] = &[
    place::GEOADD,
    place::GEODIST,
    place::GEOHASH,
    place::GEOPOS,
    search::GEORADIUS,
    search::GEORADIUS_RO,
    search::GEORADIUSBYMEMBER,
    search::GEORADIUSBYMEMBER_RO,
    search::GEOSEARCH,
    search::GEOSEARCHSTORE,
];

/// What all rows of this group have in common.
const BASE: Row = Row { group: Group::Geo, acl: Acl::GEO, ..Row::EMPTY };

/// The sorted set that an item holds, or the error for another type.
fn sorted_set<'a>(item: &Item<'a>) -> Result<SortedSetRef<'a>, Error> {
    match item.value() {
        Value::SortedSet(set) => Ok(set),
        _ => Err(Error::WrongType),
    }
}

/// The place that a longitude and a latitude name.
fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, Error> {
    let point = Point { longitude: number(longitude)?, latitude: number(latitude)? };
    if hash::WORLD.contains(point) {
        return Ok(point);
    }
    let Point { longitude, latitude } = point;
    Err(Error::other(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// A number as the peers read it.
fn number(text: &[u8]) -> Result<f64, Error> {
    crate::double::parse(text).ok_or(Error::NotFloat)
}

/// The metres of a unit of length.
fn metres(unit: &[u8]) -> Result<f64, Error> {
    match () {
        () if is(unit, "M") => Ok(1.0),
        () if is(unit, "KM") => Ok(1000.0),
        () if is(unit, "FT") => Ok(0.3048),
        () if is(unit, "MI") => Ok(1609.34),
        () => Err(Error::Text("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// Replies a distance with four decimals.
fn reply_distance(out: &mut ReplyBuf, distance: f64) {
    const SCALE: f64 = 10_000.0;
    // Half the circumference of the earth in feet is far below what fits.
    let scaled = (distance * SCALE).round_ties_even() as u64;
    let (whole, decimals) = (scaled / SCALE as u64, scaled % SCALE as u64);
    out.bulk(format!("{whole}.{decimals:04}").as_bytes());
}

/// Replies a place: longitude and latitude.
fn reply_point(out: &mut ReplyBuf, point: Point) {
    out.array(2);
    out.double(point.longitude);
    out.double(point.latitude);
}
