//! Random commands of the string group.

use super::draw::Draw;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=24 => set(draw),
        25..=34 => Plan::of("GET").arg(draw.key()),
        35..=38 => Plan::of("GETSET").arg(draw.key()).arg(draw.value()),
        39..=41 => Plan::of("GETDEL").arg(draw.key()),
        42..=47 => getex(draw),
        48..=50 => Plan::of("APPEND").arg(draw.key()).arg(draw.value()),
        51..=53 => Plan::of("STRLEN").arg(draw.key()),
        54..=57 => {
            let name = draw.rng.pick(&["GETRANGE", "GETRANGE", "SUBSTR"]);
            Plan::of(name).arg(draw.key()).arg(draw.index()).arg(draw.index())
        }
        58..=61 => Plan::of("SETRANGE").arg(draw.key()).arg(draw.index()).arg(draw.value()),
        62..=67 => {
            let name = draw.rng.pick(&["INCR", "DECR"]);
            Plan::of(name).arg(draw.key())
        }
        68..=74 => {
            let name = draw.rng.pick(&["INCRBY", "DECRBY"]);
            Plan::of(name).arg(draw.key()).arg(draw.integer())
        }
        75..=80 => Plan::of("INCRBYFLOAT").arg(draw.key()).arg(draw.float()),
        81..=83 => Plan::of("SETNX").arg(draw.key()).arg(draw.value()),
        84..=85 => Plan::of("SETEX").arg(draw.key()).arg(draw.span(false)).arg(draw.value()).timed(),
        86..=87 => Plan::of("PSETEX").arg(draw.key()).arg(draw.span(true)).arg(draw.value()).timed(),
        88..=91 => Plan::of("MGET").args(draw.keys(1, 5)),
        92..=95 => {
            let name = draw.rng.pick(&["MSET", "MSET", "MSETNX"]);
            let pairs: Vec<Vec<u8>> =
                (0..draw.rng.range(1, 4)).flat_map(|_| [draw.key(), draw.value()]).collect();
            Plan::of(name).args(pairs)
        }
        _ => lcs(draw),
    }
}

fn set(draw: &mut Draw) -> Plan {
    let plan = Plan::of("SET").arg(draw.key()).arg(draw.value());
    if draw.rng.chance(40) {
        return plan;
    }
    let mut plan = plan.timed();
    for _ in 0..=draw.rng.below(3) {
        plan = match draw.rng.below(8) {
            0 => plan.arg("NX"),
            1 => plan.arg("XX"),
            2 | 3 => plan.arg("GET"),
            4 => plan.arg("KEEPTTL"),
            5 => plan.arg(draw.rng.pick(&["nx", "Xx", "get", "keepttl", "EX", "PXAT", "nonsense", ""])),
            _ => plan.args(draw.expiry()),
        };
    }
    plan
}

fn getex(draw: &mut Draw) -> Plan {
    let plan = Plan::of("GETEX").arg(draw.key()).timed();
    match draw.rng.below(8) {
        0 | 1 => plan,
        2 => plan.arg("PERSIST"),
        3 => plan.args(draw.expiry()).arg(draw.rng.pick(&["PERSIST", "EX", "GET", "KEEPTTL"])),
        4 => plan.arg(draw.rng.pick(&["NX", "persist", "KEEPTTL", "", "GET", "EX"])),
        _ => plan.args(draw.expiry()),
    }
}

/// On keys that only hold short values: the work grows with the product of the lengths.
fn lcs(draw: &mut Draw) -> Plan {
    let key = |draw: &mut Draw| format!("lcs{}", draw.rng.below(3));
    if draw.rng.chance(50) {
        let length = draw.rng.below(25);
        let text: Vec<u8> = (0..length).map(|_| b"abcd"[draw.rng.below(4)]).collect();
        return Plan::of("SET").arg(key(draw)).arg(text);
    }
    let mut plan = Plan::of("LCS").arg(key(draw)).arg(key(draw));
    for word in draw.some_of(&["LEN", "IDX", "IDX", "MINMATCHLEN", "WITHMATCHLEN", "withmatchlen", "BAD"], 4)
    {
        plan = plan.arg(word);
        if word == "MINMATCHLEN" {
            plan = plan.arg(draw.index());
        }
    }
    plan
}
