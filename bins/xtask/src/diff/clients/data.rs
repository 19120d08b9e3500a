//! Commands on few keys of all types, so that clients meet; and some of the other groups' for their variety.

use super::super::draw::Draw;
use super::super::plan::Plan;
use super::super::{bitmaps, geo, hashes, hyperloglogs, lists, sets, sorted_sets, streams, strings};
use super::scene::{Scene, Step};

const KEYS: [&str; 7] = ["a", "b", "c", "d", "p:a", "p:b", "q:a"];
const VALUES: [&str; 6] = ["1", "2", "v", "w", "", "10"];

pub(crate) fn key(draw: &mut Draw) -> &'static str {
    draw.rng.pick(&KEYS)
}

pub(crate) fn value(draw: &mut Draw) -> &'static str {
    draw.rng.pick(&VALUES)
}

pub(crate) fn step(draw: &mut Draw, scene: &Scene) -> Step {
    if draw.rng.chance(15) {
        return of_other_groups(draw);
    }
    match draw.rng.below(60) {
        0 if scene.swaps => Plan::of("SWAPDB").args(["0", draw.rng.pick(&["0", "1", "1", "2", "16"])]).into(),
        1 => Plan::of("SELECT").arg(draw.rng.pick(&["0", "0", "0", "1", "16"])).into(),
        2 if draw.rng.chance(30) => flush(draw),
        3 if !scene.paused => expiring(draw),
        4..=6 => blocking(draw),
        _ => command(draw).into(),
    }
}

fn of_other_groups(draw: &mut Draw) -> Step {
    let families = [
        strings::plan,
        lists::plan,
        hashes::plan,
        sets::plan,
        sorted_sets::plan,
        streams::plan,
        bitmaps::plan,
    ];
    let more = [hyperloglogs::plan, geo::plan];
    loop {
        let plan =
            if draw.rng.chance(10) { draw.rng.pick(&more)(draw) } else { draw.rng.pick(&families)(draw) };
        let plan = draw.mutate(plan);
        let name = plan.argv[0].to_ascii_uppercase();
        // A directive would stay changed for the episodes that follow, and the end of a wait depends on the clock.
        let waits = name.starts_with(b"B") && !name.starts_with(b"BIT") || name.starts_with(b"XREAD");
        if !waits && name != b"CONFIG" {
            return Step::from(plan).alone();
        }
    }
}

fn flush(draw: &mut Draw) -> Step {
    let name = draw.rng.pick(&["FLUSHALL", "FLUSHDB"]);
    let mut step = Step::from(Plan::of(name).args(draw.some_of(&["SYNC", "ASYNC", "bad"], 1)));
    // Redis flushes on another thread, and only then replies.
    step.wait = 40;
    step
}

/// A deadline that passes while everybody waits.
fn expiring(draw: &mut Draw) -> Step {
    let key = key(draw);
    let plan = match draw.rng.below(3) {
        0 => Plan::of("PEXPIRE").args([key, "5"]),
        1 => Plan::of("GETEX").args([key, "PX", "5"]),
        _ => Plan::of("SET").args([key, "soon", "PX", "5"]),
    };
    let mut step = Step::from(plan).alone();
    (step.wait, step.expires) = (20, true);
    step
}

fn blocking(draw: &mut Draw) -> Step {
    let (one, two) = (key(draw), key(draw));
    let plan = match draw.rng.below(9) {
        0 => Plan::of("BLPOP").args([one, two, "0"]),
        1 => Plan::of("BRPOP").args([one, "0"]),
        2 => Plan::of("BLMOVE").args([one, two, "LEFT", "RIGHT", "0"]),
        3 => Plan::of("BLMPOP").args(["0", "2", one, two, draw.rng.pick(&["LEFT", "RIGHT"]), "COUNT", "2"]),
        4 => Plan::of("BZPOPMIN").args([one, two, "0"]),
        5 => Plan::of("BZMPOP").args(["0", "1", one, "MAX"]),
        6 => Plan::of("XREAD").args(["BLOCK", "0", "STREAMS", one, draw.rng.pick(&["$", "0", "+"])]),
        7 => Plan::of("BRPOPLPUSH").args([one, two, "0"]),
        _ => Plan::of("XREADGROUP").args(["GROUP", "g", "me", "BLOCK", "0", "STREAMS", one, ">"]),
    };
    plan.into()
}

/// A command that answers at once, and the same at any time.
pub(crate) fn command(draw: &mut Draw) -> Plan {
    let (one, two, text) = (key(draw), key(draw), value(draw));
    match draw.rng.below(64) {
        0..=5 => Plan::of("SET").args([one, text]),
        6..=10 => Plan::of("GET").arg(one),
        11 => Plan::of("MGET").args([one, two]),
        12 => Plan::of("MSET").args([one, text, two, "v"]),
        13..=15 => Plan::of("DEL").args([one, two]),
        16 => Plan::of("UNLINK").arg(one),
        17..=19 => Plan::of("INCR").arg(one),
        20 => Plan::of("APPEND").args([one, text]),
        21 => Plan::of("SETEX").args([one, "100000", text]),
        22 => Plan::of("EXPIRE").args([one, draw.rng.pick(&["100000", "-1", "0"])]),
        23 => Plan::of("PERSIST").arg(one),
        24 => Plan::of("RENAME").args([one, two]),
        25 => Plan::of("RENAMENX").args([one, two]),
        26 => Plan::of("COPY").args([one, two]).args(draw.some_of(&["REPLACE"], 1)),
        27 => Plan::of("MOVE").args([one, draw.rng.pick(&["0", "1"])]),
        28 => Plan::of("GETDEL").arg(one),
        29 => Plan::of("EXISTS").args([one, two]),
        30 => Plan::of("TYPE").arg(one),
        31..=34 => Plan::of(draw.rng.pick(&["LPUSH", "RPUSH"])).args([one, text, "x"]),
        35 => Plan::of(draw.rng.pick(&["LPOP", "RPOP"])).arg(one),
        36 => Plan::of("LRANGE").args([one, "0", "-1"]),
        37 => Plan::of("LMOVE").args([one, two, "LEFT", "RIGHT"]),
        38 => Plan::of("LTRIM").args([one, "1", "-1"]),
        39 | 40 => Plan::of("HSET").args([one, "f", text, "g", "1"]),
        41 => Plan::of("HDEL").args([one, "f", "g"]),
        42 => Plan::of("HINCRBY").args([one, "g", "2"]),
        43 => Plan::of("HGETALL").arg(one),
        44 | 45 => Plan::of("SADD").args([one, "1", "2"]),
        46 => Plan::of("SREM").args([one, "1", "2"]),
        47 => Plan::of("SMOVE").args([one, two, "1"]),
        48 => Plan::of(draw.rng.pick(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"])).args(["d", one, two]),
        49 | 50 => Plan::of("ZADD").args([one, "1", "m", "2", "n"]),
        51 => Plan::of("ZREM").args([one, "m"]),
        52 => Plan::of("ZPOPMIN").arg(one),
        53 => Plan::of("ZRANGESTORE").args([two, one, "0", "-1"]),
        54 => Plan::of("ZINCRBY").args([one, "1.5", "m"]),
        55 => Plan::of("XADD").args([one, &format!("{}-1", draw.rng.range(1, 999)), "f", text]),
        56 => Plan::of("XTRIM").args([one, "MAXLEN", "1"]),
        57 => Plan::of("XGROUP").args(["CREATE", one, "g", "0"]).args(draw.some_of(&["MKSTREAM"], 1)),
        58 => Plan::of("XRANGE").args([one, "-", "+"]),
        59 => Plan::of("SETBIT").args([one, "3", "1"]),
        60 => Plan::of("PFADD").args([one, text]),
        61 => Plan::of("SORT").args([one, "ALPHA", "STORE", two]),
        62 => Plan::of("LPOS").args([one, "x"]),
        _ => Plan::of("PING"),
    }
}
