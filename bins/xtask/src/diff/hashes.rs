//! Random commands of the hash group. Thresholds are low at times, so that hashes change their form; deadlines of
//! fields are far away, refused or past, as those of keys.

use carnelian_testkit::rule::Rule;

use super::draw::Draw;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=15 => set(draw),
        16..=18 => Plan::of("HSETNX").arg(draw.key()).arg(field(draw)).arg(draw.value()),
        19..=24 => Plan::of("HDEL").arg(draw.key()).args(fields(draw, 4)),
        25..=30 => {
            let name = draw.rng.pick(&["HGET", "HEXISTS", "HSTRLEN"]);
            Plan::of(name).arg(draw.key()).arg(field(draw))
        }
        31..=33 => Plan::of("HMGET").arg(draw.key()).args(fields(draw, 5)),
        34..=39 => whole(draw),
        40..=43 => Plan::of("HINCRBY").arg(draw.key()).arg(field(draw)).arg(draw.integer()),
        44..=47 => Plan::of("HINCRBYFLOAT").arg(draw.key()).arg(field(draw)).arg(draw.float()),
        48..=51 => random(draw),
        52..=54 => scan(draw),
        55..=64 => expire(draw),
        65..=70 => deadlines(draw),
        71..=73 => counted(Plan::of("HPERSIST").arg(draw.key()), draw).timed(),
        74..=77 => counted(Plan::of("HGETDEL").arg(draw.key()), draw).timed(),
        78..=82 => get_and_expire(draw),
        83..=90 => set_and_expire(draw),
        91 => limits(draw),
        92 => Plan::of("OBJECT").arg("ENCODING").arg(draw.key()),
        93 => Plan::of("TYPE").arg(draw.key()),
        94 => Plan::of("COPY").arg(draw.key()).arg(draw.key()).arg("REPLACE"),
        95 => Plan::of("RENAME").arg(draw.key()).arg(draw.key()),
        96 => Plan::of("DEL").arg(draw.key()),
        _ => Plan::of("SET").arg(draw.key()).arg(draw.value()),
    }
}

/// HSETEX with the conditions that only Valkey has.
pub(crate) fn valkey_plan(draw: &mut Draw) -> Plan {
    if draw.rng.chance(30) {
        return Plan::of("HGETALL").arg(draw.key()).by(Rule::Pairs);
    }
    let mut plan = Plan::of("HSETEX").arg(draw.key()).arg(draw.rng.pick(&["NX", "XX", "nx", "xx"]));
    if draw.rng.chance(30) {
        plan = plan.arg(draw.rng.pick(&["FNX", "FXX"]));
    }
    let count = draw.rng.range(1, 3);
    plan = plan.arg("FIELDS").arg(count.to_string());
    for _ in 0..count {
        plan = plan.arg(field(draw)).arg(draw.value());
    }
    plan.undamaged()
}

fn field(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0 => Vec::new(),
        1 => b"\0\xff\r\n".to_vec(),
        2 => vec![b'F'; *draw.rng.pick(&[&63, &64, &65, &300])],
        3 => draw.rng.pick(&["-1", "01", "9223372036854775807", "1.5", "FIELDS"]).as_bytes().to_vec(),
        4..=9 => draw.rng.range(0, 8).to_string().into_bytes(),
        _ => format!("f{}", draw.rng.range(0, 20)).into_bytes(),
    }
}

fn fields(draw: &mut Draw, most: i64) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, most)).map(|_| field(draw)).collect()
}

fn pairs(draw: &mut Draw, most: i64) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, most)).flat_map(|_| [field(draw), draw.value()]).collect()
}

/// FIELDS, a count that is mostly right, and the words it counts in groups of `each`.
fn with_count(plan: Plan, draw: &mut Draw, words: Vec<Vec<u8>>, each: usize) -> Plan {
    let count = match draw.rng.below(20) {
        0 => draw.integer(),
        1 => (words.len() / each + 1).to_string().into_bytes(),
        _ => (words.len() / each).to_string().into_bytes(),
    };
    let name = draw.rng.pick(&["FIELDS", "FIELDS", "FIELDS", "fields"]);
    let name = if draw.rng.chance(2) { "FIELD" } else { name };
    plan.arg(name).arg(count).args(words)
}

fn counted(plan: Plan, draw: &mut Draw) -> Plan {
    let words = fields(draw, 4);
    with_count(plan, draw, words, 1)
}

fn set(draw: &mut Draw) -> Plan {
    let name = draw.rng.pick(&["HSET", "HSET", "HSET", "HMSET"]);
    let most = if draw.rng.chance(10) { 30 } else { 4 };
    Plan::of(name).arg(draw.key()).args(pairs(draw, most))
}

fn whole(draw: &mut Draw) -> Plan {
    match draw.rng.below(4) {
        0 => Plan::of("HLEN").arg(draw.key()),
        1 => Plan::of("HKEYS").arg(draw.key()).by(Rule::Sorted),
        2 => Plan::of("HVALS").arg(draw.key()).by(Rule::Sorted),
        _ => Plan::of("HGETALL").arg(draw.key()).by(Rule::Pairs),
    }
}

/// Which fields are drawn is a server's own business, unless all are.
fn random(draw: &mut Draw) -> Plan {
    let plan = Plan::of("HRANDFIELD").arg(draw.key()).undamaged();
    match draw.rng.below(6) {
        0 => plan.by(Rule::Kind),
        1 => plan.arg(draw.rng.range(-9, 0).to_string()).by(Rule::Kind),
        2 => plan.arg(draw.rng.pick(&["1000", "0", "9223372036854775807", "+5", "abc", ""])).by(Rule::Sorted),
        3 => plan.arg("1000").arg(draw.rng.pick(&["WITHVALUES", "withvalues", "x"])).by(Rule::Unordered),
        4 => plan.arg("9223372036854775807").arg("WITHVALUES"),
        _ => plan.arg("-9223372036854775808"),
    }
}

/// Scans that find all at once, or are refused.
fn scan(draw: &mut Draw) -> Plan {
    let plan = Plan::of("HSCAN").arg(draw.key()).undamaged().by(Rule::Unordered);
    match draw.rng.below(8) {
        0 => plan.arg(draw.rng.pick(&["abc", "-1", "", "99999999999999999999"])),
        1 => plan.arg("0").arg("COUNT").arg(draw.rng.pick(&["0", "-1", "abc"])),
        2 => plan.arg("0").arg(draw.rng.pick(&["MATCH", "COUNT", "TYPE", "x"])),
        3 => plan.arg("0").args(["COUNT", "10000", "NOVALUES"]),
        4 | 5 => {
            let pattern = draw.rng.pick(&["f*", "f1?", "[0-4]", "*", "", "F*", "nothing"]);
            plan.arg("0").args(["COUNT", "10000", "MATCH", pattern])
        }
        _ => plan.arg("0").args(["count", "10000"]),
    }
}

fn expire(draw: &mut Draw) -> Plan {
    let which = draw.rng.below(4);
    let name = ["HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT"][which];
    let time = match which {
        0 | 1 => draw.span(which == 1),
        _ => draw.instant(which == 3, true),
    };
    let mut plan = Plan::of(name).arg(draw.key()).arg(time);
    if draw.rng.chance(40) {
        plan = plan.arg(draw.rng.pick(&["NX", "XX", "GT", "LT", "lt", "bad"]));
    }
    counted(plan, draw).timed()
}

/// Deadlines that were set by a span differ by the time between the servers.
fn deadlines(draw: &mut Draw) -> Plan {
    let name = draw.rng.pick(&["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME"]);
    counted(Plan::of(name).arg(draw.key()), draw).by(Rule::Digits).timed()
}

fn get_and_expire(draw: &mut Draw) -> Plan {
    let plan = Plan::of("HGETEX").arg(draw.key());
    let plan = match draw.rng.below(10) {
        0..=2 => plan,
        3..=5 => plan.arg("PERSIST"),
        6 => plan.arg(draw.rng.pick(&["KEEPTTL", "EX", "bad"])),
        _ => plan.args(expiry(draw)),
    };
    counted(plan, draw).timed()
}

fn set_and_expire(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("HSETEX").arg(draw.key());
    plan = plan.args(draw.some_of(&["FNX", "FXX", "fnx", "KEEPTTL", "bad"], 1));
    if draw.rng.chance(60) {
        plan = plan.args(expiry(draw));
    }
    plan = plan.args(draw.some_of(&["FNX", "FXX", "KEEPTTL"], 1));
    let words = pairs(draw, 3);
    with_count(plan, draw, words, 2).timed()
}

/// EX, PX, EXAT or PXAT with its argument; a past one removes the fields at once.
fn expiry(draw: &mut Draw) -> [Vec<u8>; 2] {
    if draw.rng.chance(10) {
        return [draw.rng.pick(&["EXAT", "PXAT", "EX"]).as_bytes().to_vec(), b"0".to_vec()];
    }
    draw.expiry()
}

fn limits(draw: &mut Draw) -> Plan {
    let [name, value] = match draw.rng.chance(50) {
        true => ["hash-max-listpack-entries", draw.rng.pick(&["0", "3", "10", "512", "512"])],
        false => ["hash-max-listpack-value", draw.rng.pick(&["0", "4", "64", "64"])],
    };
    Plan::of("CONFIG").args(["SET", name, value]).undamaged()
}
