//! Random commands on sets, small ones and such that have just outgrown an intset or a listpack. What depends on
//! chance is left out, or compared as far as it does not.

use carnelian_testkit::rule::Rule;

use super::draw::Draw;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=21 => add(draw),
        22..=30 => Plan::of("SREM").arg(key(draw)).args(members(draw, 6)),
        31..=34 => Plan::of("SMOVE").arg(key(draw)).arg(key(draw)).arg(member(draw)),
        35..=39 => Plan::of("SISMEMBER").arg(key(draw)).arg(member(draw)),
        40..=43 => Plan::of("SMISMEMBER").arg(key(draw)).args(members(draw, 5)),
        44..=46 => Plan::of("SCARD").arg(key(draw)),
        47..=51 => Plan::of("SMEMBERS").arg(key(draw)).by(Rule::Sorted),
        52..=59 => {
            let name = draw.rng.pick(&["SINTER", "SUNION", "SDIFF"]);
            Plan::of(name).args(keys(draw, 4)).by(Rule::Sorted)
        }
        60..=64 => inter_card(draw),
        65..=75 => {
            let name = draw.rng.pick(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]);
            Plan::of(name).arg(key(draw)).args(keys(draw, 4))
        }
        76..=79 => pop(draw),
        80..=83 => random(draw),
        84..=87 => scan(draw),
        88..=93 => Plan::of("OBJECT").arg("ENCODING").arg(key(draw)),
        94 => Plan::of("TYPE").arg(key(draw)),
        95 => Plan::of("SET").arg(key(draw)).arg(draw.value()),
        96 => Plan::of("COPY").arg(key(draw)).arg(key(draw)).arg("REPLACE"),
        97 => Plan::of("RENAME").arg(key(draw)).arg(key(draw)),
        _ => Plan::of("DEL").arg(key(draw)),
    }
}

/// Mostly one of a few keys that only this group uses, so that sets grow.
fn key(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(25) {
        0 => draw.key(),
        n => format!("s{}", n % 8).into_bytes(),
    }
}

fn keys(draw: &mut Draw, most: i64) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, most)).map(|_| key(draw)).collect()
}

fn member(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(40) {
        0..=19 => draw.rng.range(-40, 700).to_string().into_bytes(),
        20..=31 => format!("m{}", draw.rng.below(160)).into_bytes(),
        32 => vec![b'x'; draw.rng.pick(&[63, 64, 65])],
        33 => draw.integer(),
        34 => draw.value(),
        35 => Vec::new(),
        _ => [b'a' + draw.rng.below(6) as u8].repeat(1 + draw.rng.below(3)),
    }
}

fn members(draw: &mut Draw, most: i64) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, most)).map(|_| member(draw)).collect()
}

fn add(draw: &mut Draw) -> Plan {
    let plan = Plan::of("SADD").arg(key(draw));
    let count = match draw.rng.below(30) {
        0 => draw.rng.range(500, 530),
        1 | 2 => draw.rng.range(120, 135),
        3..=6 => draw.rng.range(20, 60),
        7..=15 => draw.rng.range(2, 8),
        _ => 1,
    };
    // Some sets stay sets of integers.
    if draw.rng.chance(40) {
        return plan.args((0..count).map(|_| draw.rng.range(-40, 1200).to_string()));
    }
    plan.args((0..count).map(|_| member(draw)))
}

fn inter_card(draw: &mut Draw) -> Plan {
    let keys = keys(draw, 3);
    let numkeys = match draw.rng.below(8) {
        0 => draw.integer(),
        1 => draw.rng.range(0, 4).to_string().into_bytes(),
        _ => keys.len().to_string().into_bytes(),
    };
    let mut plan = Plan::of("SINTERCARD").arg(numkeys).args(keys);
    for word in draw.some_of(&["LIMIT", "limit", "LIMIT", "bad"], 2) {
        plan = plan.arg(word);
        if draw.rng.chance(95) {
            plan = plan.arg(if draw.rng.chance(80) {
                draw.rng.range(0, 50).to_string().into_bytes()
            } else {
                draw.integer()
            });
        }
    }
    plan
}

/// More members than there are, or a count that is refused.
fn pop(draw: &mut Draw) -> Plan {
    let count =
        draw.rng.pick(&["0", "1000000", "9223372036854775807", "-1", "abc", "9223372036854775808", ""]);
    Plan::of("SPOP").arg(key(draw)).arg(count).by(Rule::Sorted).undamaged()
}

fn random(draw: &mut Draw) -> Plan {
    match draw.rng.below(4) {
        0 => Plan::of("SRANDMEMBER").arg(key(draw)).by(Rule::Kind).undamaged(),
        1 => Plan::of("SRANDMEMBER").arg(key(draw)).arg("-3").by(Rule::Kind).undamaged(),
        _ => {
            let count =
                draw.rng.pick(&["0", "1000000", "9223372036854775807", "-9223372036854775808", "abc", "1.5"]);
            Plan::of("SRANDMEMBER").arg(key(draw)).arg(count).by(Rule::Sorted).undamaged()
        }
    }
}

/// A scan that reaches the end in one step, or that is refused.
fn scan(draw: &mut Draw) -> Plan {
    let mut plan =
        Plan::of("SSCAN").arg(key(draw)).arg(draw.rng.pick(&["0", "0", "0", "0", "abc", "-1", ""]));
    plan = plan.arg("COUNT").arg(draw.rng.pick(&["1000000", "1000000", "1000000", "0", "abc"]));
    for word in draw.some_of(&["MATCH", "match", "NOVALUES", "TYPE"], 1) {
        plan = plan.arg(word).arg(draw.rng.pick(&["*", "m1*", "[0-9]*", "set", ""]));
    }
    plan.by(Rule::Unordered).undamaged()
}
