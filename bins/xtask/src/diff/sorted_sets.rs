//! Random commands on sorted sets, small ones and such that have just outgrown a listpack.

use carnelian_testkit::rule::Rule;

use super::draw::Draw;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=17 => add(draw),
        18 | 19 => add_lex(draw),
        20 => Plan::of("ZINCRBY").arg(key(draw)).arg(score(draw)).arg(member(draw)),
        21..=24 => Plan::of("ZREM").arg(key(draw)).args(members(draw, 4)),
        25..=30 => look_up(draw),
        31..=35 => rank(draw),
        36..=57 => range(draw),
        58..=61 => count(draw),
        62..=66 => remove_range(draw),
        67..=72 => pop(draw),
        73..=85 => combine(draw),
        86..=88 => random(draw),
        89..=91 => scan(draw),
        92..=93 => wait(draw),
        94 => Plan::of("OBJECT").arg("ENCODING").arg(key(draw)),
        95 => Plan::of("DEL").arg(key(draw)),
        96 => Plan::of("SET").arg(key(draw)).arg(draw.value()),
        97 => Plan::of("COPY").arg(key(draw)).arg(key(draw)).arg("REPLACE"),
        _ => Plan::of("ZRANGE").arg(key(draw)).args(["0", "-1", "WITHSCORES"]),
    }
}

/// Mostly one of a few keys that only this group uses, so that sorted sets grow.
fn key(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0 => draw.key(),
        n => format!("z{}", n % 6).into_bytes(),
    }
}

/// A key whose members all have the same score: others have no order of members.
fn lex_key(draw: &mut Draw) -> Vec<u8> {
    format!("lex{}", draw.rng.below(3)).into_bytes()
}

fn key_for(draw: &mut Draw, by: &str) -> Vec<u8> {
    if by == "BYLEX" { lex_key(draw) } else { key(draw) }
}

/// Ranges of members keep their keys.
fn kept(plan: Plan, by: &str) -> Plan {
    if by == "BYLEX" { plan.undamaged() } else { plan }
}

fn keys(draw: &mut Draw, most: i64) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, most)).map(|_| key(draw)).collect()
}

fn member(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(40) {
        0..=19 => format!("m{}", draw.rng.below(180)).into_bytes(),
        20..=30 => draw.rng.range(-20, 60).to_string().into_bytes(),
        31 => vec![b'x'; 63 + draw.rng.below(3)],
        32 => draw.value(),
        33 => Vec::new(),
        _ => [b'a' + draw.rng.below(6) as u8].repeat(1 + draw.rng.below(3)),
    }
}

fn members(draw: &mut Draw, most: i64) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, most)).map(|_| member(draw)).collect()
}

fn score(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0..=11 => draw.rng.range(-5, 5).to_string().into_bytes(),
        12..=15 => format!("{}.{}", draw.rng.range(-3, 3), draw.rng.pick(&["5", "25", "125"])).into_bytes(),
        16 => draw.rng.pick(&["inf", "-inf", "-0", "1e300", "-1e300"]).as_bytes().to_vec(),
        17 => draw.integer(),
        _ => draw.float(),
    }
}

fn add(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("ZADD").arg(key(draw));
    if draw.rng.chance(40) {
        plan = plan.args(draw.some_of(&["NX", "XX", "GT", "LT", "CH", "INCR", "ch", "incr"], 3));
    }
    // Sometimes all with the same score, for ranges of members.
    let same = draw.rng.chance(50).then(|| score(draw));
    let pairs = match draw.rng.below(20) {
        0 => draw.rng.range(120, 140),
        1..=3 => draw.rng.range(20, 60),
        4..=9 => draw.rng.range(2, 8),
        _ => 1,
    };
    for _ in 0..pairs {
        let score = same.clone().unwrap_or_else(|| score(draw));
        plan = plan.arg(score).arg(member(draw));
    }
    plan
}

fn add_lex(draw: &mut Draw) -> Plan {
    let most = if draw.rng.chance(10) { 100 } else { 12 };
    let pairs = members(draw, most).into_iter().flat_map(|member| [b"0".to_vec(), member]);
    let pairs: Vec<Vec<u8>> = pairs.collect();
    Plan::of("ZADD").arg(lex_key(draw)).args(pairs).undamaged()
}

fn look_up(draw: &mut Draw) -> Plan {
    match draw.rng.below(4) {
        0 => Plan::of("ZCARD").arg(key(draw)),
        1 => Plan::of("ZMSCORE").arg(key(draw)).args(members(draw, 5)),
        _ => Plan::of("ZSCORE").arg(key(draw)).arg(member(draw)),
    }
}

fn rank(draw: &mut Draw) -> Plan {
    let name = draw.rng.pick(&["ZRANK", "ZREVRANK"]);
    let plan = Plan::of(name).arg(key(draw)).arg(member(draw));
    plan.args(draw.some_of(&["WITHSCORE", "withscore", "WITHSCORE", "WITHSCORES"], 1))
}

fn index(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(10) {
        0 => draw.index(),
        1 | 2 => draw.rng.range(-200, 200).to_string().into_bytes(),
        3 | 4 => b"-1".to_vec(),
        _ => draw.rng.range(-8, 8).to_string().into_bytes(),
    }
}

fn score_bound(draw: &mut Draw) -> Vec<u8> {
    let mut bound = match draw.rng.below(4) {
        0 => draw.rng.pick(&["-inf", "+inf", "inf"]).as_bytes().to_vec(),
        _ => score(draw),
    };
    if draw.rng.chance(25) {
        bound.insert(0, b'(');
    }
    bound
}

fn lex_bound(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(12) {
        0..=2 => b"-".to_vec(),
        3..=5 => b"+".to_vec(),
        6 => draw.rng.pick(&["", "a", "*", "(", "["]).as_bytes().to_vec(),
        n => [b"[("[n % 2..=n % 2].to_vec(), member(draw)].concat(),
    }
}

/// Two bounds of the kind that a word stands for: `BYSCORE`, `BYLEX`, or ranks.
fn bounds(draw: &mut Draw, by: &str) -> [Vec<u8>; 2] {
    match by {
        "BYSCORE" => [score_bound(draw), score_bound(draw)],
        "BYLEX" => [lex_bound(draw), lex_bound(draw)],
        _ => [index(draw), index(draw)],
    }
}

fn range(draw: &mut Draw) -> Plan {
    let &(name, by) = draw.rng.pick(&[
        &("ZRANGE", ""),
        &("ZRANGE", ""),
        &("ZRANGE", "BYSCORE"),
        &("ZRANGE", "BYLEX"),
        &("ZREVRANGE", ""),
        &("ZRANGEBYSCORE", "BYSCORE"),
        &("ZREVRANGEBYSCORE", "BYSCORE"),
        &("ZRANGEBYLEX", "BYLEX"),
        &("ZREVRANGEBYLEX", "BYLEX"),
        &("ZRANGESTORE", ""),
        &("ZRANGESTORE", "BYSCORE"),
        &("ZRANGESTORE", "BYLEX"),
    ]);
    let mut plan = Plan::of(name);
    if name == "ZRANGESTORE" {
        plan = plan.arg(key(draw));
    }
    plan = plan.arg(key_for(draw, by));
    plan = plan.args(bounds(draw, by));
    let mut words = Vec::new();
    if !by.is_empty() && (name == "ZRANGE" || name == "ZRANGESTORE") {
        words.push(by);
    }
    words.extend(draw.some_of(&["REV", "WITHSCORES", "LIMIT", "LIMIT", "rev", "BYSCORE", "x"], 2));
    for word in words {
        plan = plan.arg(word);
        if word == "LIMIT" {
            plan = plan.arg(index(draw)).arg(index(draw));
        }
    }
    kept(plan, by)
}

fn count(draw: &mut Draw) -> Plan {
    let &(name, by) = draw.rng.pick(&[&("ZCOUNT", "BYSCORE"), &("ZLEXCOUNT", "BYLEX")]);
    let plan = Plan::of(name).arg(key_for(draw, by)).args(bounds(draw, by));
    kept(plan, by)
}

fn remove_range(draw: &mut Draw) -> Plan {
    let &(name, by) = draw.rng.pick(&[
        &("ZREMRANGEBYRANK", ""),
        &("ZREMRANGEBYSCORE", "BYSCORE"),
        &("ZREMRANGEBYLEX", "BYLEX"),
    ]);
    let plan = Plan::of(name).arg(key_for(draw, by)).args(bounds(draw, by));
    kept(plan, by)
}

fn pop(draw: &mut Draw) -> Plan {
    if draw.rng.chance(60) {
        let name = draw.rng.pick(&["ZPOPMIN", "ZPOPMAX"]);
        let plan = Plan::of(name).arg(key(draw));
        return if draw.rng.chance(50) { plan } else { plan.arg(index(draw)) };
    }
    let keys = keys(draw, 3);
    let number = if draw.rng.chance(90) { keys.len().to_string().into_bytes() } else { index(draw) };
    let mut plan = Plan::of("ZMPOP").arg(number).args(keys);
    plan = plan.arg(draw.rng.pick(&["MIN", "MAX", "min", "x"]));
    if draw.rng.chance(50) { plan.arg("COUNT").arg(index(draw)) } else { plan }
}

fn combine(draw: &mut Draw) -> Plan {
    let name = draw.rng.pick(&[
        "ZUNION",
        "ZINTER",
        "ZDIFF",
        "ZINTERCARD",
        "ZUNIONSTORE",
        "ZINTERSTORE",
        "ZDIFFSTORE",
    ]);
    let mut plan = Plan::of(name);
    if name.ends_with("STORE") {
        plan = plan.arg(key(draw));
    }
    let keys = keys(draw, 3);
    let number = if draw.rng.chance(92) { keys.len().to_string().into_bytes() } else { index(draw) };
    let count = keys.len();
    plan = plan.arg(number).args(keys);
    for word in draw.some_of(&["WEIGHTS", "AGGREGATE", "WITHSCORES", "WITHSCORES", "LIMIT"], 2) {
        plan = plan.arg(word);
        plan = match word {
            "WEIGHTS" => {
                let weights: Vec<Vec<u8>> = (0..count).map(|_| score(draw)).collect();
                plan.args(weights)
            }
            "AGGREGATE" => plan.arg(draw.rng.pick(&["SUM", "MIN", "MAX", "max", "x"])),
            "LIMIT" => plan.arg(index(draw)),
            _ => plan,
        };
    }
    plan
}

/// What is drawn differs; a count beyond the size yields all.
fn random(draw: &mut Draw) -> Plan {
    let plan = Plan::of("ZRANDMEMBER").arg(key(draw)).undamaged();
    match draw.rng.below(5) {
        0 => plan.by(Rule::Kind),
        1 => plan.arg(draw.rng.pick(&["0", "abc", "-9223372036854775808", "1.5"])),
        2 => plan
            .arg(draw.rng.pick(&["4611686018427387904", "-4611686018427387904"]))
            .arg("WITHSCORES")
            .by(Rule::Unordered),
        3 => plan.arg(draw.rng.pick(&["1", "-3"])).by(Rule::Kind),
        _ => plan.arg("100000").args(draw.some_of(&["WITHSCORES", "withscores", "x"], 1)).by(Rule::Unordered),
    }
}

/// A scan in one step; in the order of a listpack, or in none.
fn scan(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("ZSCAN").arg(key(draw)).undamaged();
    plan = plan.arg(draw.rng.pick(&["0", "0", "0", "0", "0", "abc", ""]));
    if draw.rng.chance(30) {
        plan = plan.arg("MATCH").arg(draw.rng.pick(&["*", "m*", "m1?", "[ab]*", "[0-9]"]));
    }
    if draw.rng.chance(10) {
        plan = plan.arg(draw.rng.pick(&["x", "NOVALUES", "MATCH", "COUNT"]));
    }
    plan.args(["COUNT", "100000"]).by(Rule::Unordered)
}

/// Commands that wait, for a moment only, or that are refused.
fn wait(draw: &mut Draw) -> Plan {
    let timeout = draw.rng.pick(&["0.001", "0.001", "-1", "abc", "1e400", "0x0.01"]);
    if draw.rng.chance(60) {
        let name = draw.rng.pick(&["BZPOPMIN", "BZPOPMAX"]);
        return Plan::of(name).args(keys(draw, 3)).arg(timeout).undamaged();
    }
    let keys = keys(draw, 3);
    let plan = Plan::of("BZMPOP").arg(timeout).arg(keys.len().to_string()).args(keys);
    let plan = plan.arg(draw.rng.pick(&["MIN", "MAX", "max", "x"])).undamaged();
    if draw.rng.chance(50) { plan.arg("COUNT").arg(index(draw)) } else { plan }
}
