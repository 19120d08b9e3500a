//! Random commands on places. Unsorted replies are compared in their order. No two places are the same, since the
//! order of equally distant ones is nobody's business.

use super::draw::Draw;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=29 => add(draw),
        30..=34 => {
            let plan = Plan::of("GEODIST").arg(key(draw)).arg(member(draw)).arg(member(draw));
            if draw.rng.chance(60) { plan.arg(unit(draw)) } else { plan }
        }
        35..=40 => {
            let name = draw.rng.pick(&["GEOPOS", "GEOHASH"]);
            let members: Vec<Vec<u8>> = (0..draw.rng.below(4)).map(|_| member(draw)).collect();
            Plan::of(name).arg(key(draw)).args(members)
        }
        41..=62 => {
            let plan = shape(Plan::of("GEOSEARCH").arg(key(draw)), draw);
            details(order(plan, draw), draw)
        }
        63..=70 => {
            let plan = shape(Plan::of("GEOSEARCHSTORE").arg(key(draw)).arg(key(draw)), draw);
            let plan = order(plan, draw);
            if draw.rng.chance(30) { plan.arg("STOREDIST") } else { plan }
        }
        71..=88 => radius(draw),
        89 | 90 => Plan::of("ZREM").arg(key(draw)).arg(member(draw)),
        91 => Plan::of("DEL").arg(key(draw)),
        92 => Plan::of("SET").arg(key(draw)).arg(draw.value()),
        93 => Plan::of("OBJECT").arg("ENCODING").arg(key(draw)),
        94 => Plan::of("ZCARD").arg(key(draw)),
        _ => Plan::of("ZRANGE").arg(key(draw)).args(["0", "-1", "WITHSCORES"]),
    }
}

fn key(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0 => draw.key(),
        n => format!("geo{}", n % 5).into_bytes(),
    }
}

fn member(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(30) {
        0 => draw.value(),
        1 => b"nobody".to_vec(),
        _ => format!("m{}", draw.rng.below(160)).into_bytes(),
    }
}

/// A number around another, with so many digits that it does not come twice.
fn near(draw: &mut Draw, middle: f64, spread: f64) -> f64 {
    let share = draw.rng.next_u64() as f64 / u64::MAX as f64;
    middle + spread * (2.0 * share - 1.0)
}

/// A longitude and a latitude: anywhere, in one region, at the date line and a pole, or none at all.
fn place(draw: &mut Draw) -> [String; 2] {
    let (longitude, latitude) = match draw.rng.below(20) {
        0..=4 => (near(draw, 0.0, 180.0), near(draw, 0.0, 85.0)),
        5..=14 => (near(draw, 15.0, 3.0), near(draw, 40.0, 3.0)),
        15 | 16 => (near(draw, 178.0, 1.9), near(draw, 82.0, 3.0)),
        17 | 18 => (near(draw, -178.0, 1.9), near(draw, -82.0, 3.0)),
        _ => {
            let refused = ["181", "-180.1", "abc", "", "nan", "inf", "1e400", " 1"];
            let wrong = draw.rng.pick(&refused).to_owned();
            let right = near(draw, 0.0, 80.0).to_string();
            return if draw.rng.chance(50) { [wrong, right] } else { [right, wrong] };
        }
    };
    [longitude.to_string(), latitude.to_string()]
}

fn add(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("GEOADD").arg(key(draw));
    if draw.rng.chance(25) {
        plan = plan.args(draw.some_of(&["NX", "XX", "CH", "ch", "nx"], 3));
    }
    let count = match draw.rng.below(20) {
        0 => draw.rng.range(100, 140),
        1..=5 => draw.rng.range(2, 10),
        _ => 1,
    };
    for _ in 0..count {
        plan = plan.args(place(draw)).arg(member(draw));
    }
    plan
}

fn unit(draw: &mut Draw) -> &'static str {
    draw.rng.pick(&["m", "km", "km", "ft", "mi", "KM", "Mi", "xx", ""])
}

/// A length and a unit: from nothing to around the world.
fn length(draw: &mut Draw) -> (String, &'static str) {
    let unit = unit(draw);
    let metres = match draw.rng.below(12) {
        0 => return (draw.rng.pick(&["-1", "abc", "", "nan", "0", "inf", "1e3"]).to_owned(), unit),
        1..=3 => near(draw, 500.0, 499.0),
        4..=8 => near(draw, 100_000.0, 99_000.0),
        9 | 10 => near(draw, 1_000_000.0, 990_000.0),
        _ => near(draw, 15_000_000.0, 14_000_000.0),
    };
    let length = if unit.eq_ignore_ascii_case("m") || unit == "ft" { metres } else { metres / 1000.0 };
    (length.to_string(), unit)
}

fn shape(plan: Plan, draw: &mut Draw) -> Plan {
    let plan = match draw.rng.below(20) {
        0 => plan,
        1..=9 => plan.arg("FROMMEMBER").arg(member(draw)),
        _ => plan.arg("FROMLONLAT").args(place(draw)),
    };
    let (size, unit) = length(draw);
    match draw.rng.below(20) {
        0 => plan,
        1..=10 => plan.arg("BYRADIUS").arg(size).arg(unit),
        _ => {
            let (height, _) = length(draw);
            plan.arg("BYBOX").arg(size).arg(height).arg(unit)
        }
    }
}

fn order(mut plan: Plan, draw: &mut Draw) -> Plan {
    if draw.rng.chance(40) {
        plan = plan.arg(draw.rng.pick(&["ASC", "DESC", "asc"]));
    }
    if draw.rng.chance(40) {
        plan = plan.arg("COUNT").arg(draw.rng.pick(&["1", "2", "5", "50", "0", "-1", "x"]));
        if draw.rng.chance(40) {
            plan = plan.arg("ANY");
        }
    }
    plan
}

fn details(plan: Plan, draw: &mut Draw) -> Plan {
    plan.args(draw.some_of(&["WITHDIST", "WITHCOORD", "WITHHASH", "withdist"], 3))
}

fn radius(draw: &mut Draw) -> Plan {
    let read_only = draw.rng.chance(30);
    let by_member = draw.rng.chance(50);
    let name = match (by_member, read_only) {
        (false, false) => "GEORADIUS",
        (false, true) => "GEORADIUS_RO",
        (true, false) => "GEORADIUSBYMEMBER",
        (true, true) => "GEORADIUSBYMEMBER_RO",
    };
    let plan = Plan::of(name).arg(key(draw));
    let plan = if by_member { plan.arg(member(draw)) } else { plan.args(place(draw)) };
    let (size, unit) = length(draw);
    let plan = order(plan.arg(size).arg(unit), draw);
    match draw.rng.below(4) {
        0 => plan.arg(draw.rng.pick(&["STORE", "STOREDIST"])).arg(key(draw)),
        _ => details(plan, draw),
    }
}
