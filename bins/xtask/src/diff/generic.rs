//! Random commands of the generic group, and of the server group where it works on keys.

use carnelian_testkit::rule::Rule;

use super::draw::Draw;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=7 => many_keys(draw, &["DEL", "UNLINK"]),
        8..=13 => many_keys(draw, &["EXISTS", "TOUCH"]),
        14..=32 => expire(draw),
        33..=42 => remaining_time(draw),
        43..=46 => Plan::of("PERSIST").arg(draw.key()),
        47..=49 => Plan::of("TYPE").arg(draw.key()),
        50..=55 => {
            let name = draw.rng.pick(&["RENAME", "RENAMENX"]);
            Plan::of(name).arg(draw.key()).arg(draw.key())
        }
        56..=63 => copy(draw),
        64..=68 => Plan::of("MOVE").arg(draw.key()).arg(draw.database()),
        69..=74 => Plan::of("SELECT").arg(draw.database()),
        75 => Plan::of("SWAPDB").arg(draw.database()).arg(draw.database()),
        76..=78 => Plan::of("DBSIZE"),
        79..=86 => object(draw),
        87..=92 => Plan::of("KEYS").arg(pattern(draw)).by(Rule::Sorted),
        93..=96 => refused_scan(draw),
        97 if draw.rng.chance(25) => {
            let name = draw.rng.pick(&["FLUSHALL", "FLUSHDB"]);
            Plan::of(name).args(draw.some_of(&["ASYNC", "SYNC", "async", "bad"], 2))
        }
        _ => Plan::of("SET").arg(draw.key()).arg(draw.value()),
    }
}

fn many_keys(draw: &mut Draw, names: &[&str]) -> Plan {
    let name = draw.rng.pick(names);
    Plan::of(name).args(draw.keys(1, 3))
}

fn expire(draw: &mut Draw) -> Plan {
    let which = draw.rng.below(4);
    let name = ["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"][which];
    let time = match which {
        0 | 1 => draw.span(which == 1),
        _ => draw.instant(which == 3, true),
    };
    let plan = Plan::of(name).arg(draw.key()).arg(time).timed();
    plan.args(draw.some_of(&["NX", "XX", "GT", "LT", "gt", "bad"], 2))
}

fn remaining_time(draw: &mut Draw) -> Plan {
    match draw.rng.below(4) {
        0 => Plan::of("TTL").arg(draw.key()).near(1),
        1 => Plan::of("PTTL").arg(draw.key()).near(2000),
        2 => Plan::of("EXPIRETIME").arg(draw.key()).near(1),
        _ => Plan::of("PEXPIRETIME").arg(draw.key()).near(2000),
    }
}

fn copy(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("COPY").arg(draw.key()).arg(draw.key());
    for word in draw.some_of(&["REPLACE", "DB", "DB", "replace", "bad"], 2) {
        plan = plan.arg(word);
        if word == "DB" {
            plan = plan.arg(draw.database());
        }
    }
    plan
}

fn object(draw: &mut Draw) -> Plan {
    let word = draw.rng.pick(&["ENCODING", "encoding", "ENCODING", "FREQ", "IDLETIME", "REFCOUNT", "BAD"]);
    let plan = Plan::of("OBJECT").arg(word).arg(draw.key());
    if word == "IDLETIME" { plan.near(2) } else { plan }
}

pub(crate) fn pattern(draw: &mut Draw) -> Vec<u8> {
    let patterns: [&[u8]; 19] = [
        b"*", b"k*", b"k?", b"k1?", b"k[1-3]", b"k[^1-3]", b"[ku]*", b"*:*", b"\\*", b"k\\1", b"k[3-1]",
        b"k[1", b"", b"nothing", b"*\xff*", b"{tag}?", b"k[\\1]", b"**1", b"k[]",
    ];
    match draw.rng.chance(20) {
        true => draw.key(),
        false => draw.rng.pick(&patterns).to_vec(),
    }
}

/// Scans that fail or find nothing. What a scan finds is compared as a whole, elsewhere.
fn refused_scan(draw: &mut Draw) -> Plan {
    let plan = Plan::of("SCAN").undamaged();
    match draw.rng.below(9) {
        0 => plan.arg("abc"),
        1 => plan.arg("-1"),
        2 => plan.arg("0").arg("COUNT").arg(draw.rng.pick(&["0", "-1", "abc", ""])),
        3 => plan.arg("0").arg(draw.rng.pick(&["MATCH", "COUNT", "TYPE", "NOVALUES", "x"])),
        4 => plan.arg("0").args(["MATCH", "nothing", "COUNT", "1000"]),
        5 => plan.arg("0").args(["TYPE", "hash", "COUNT", "1000"]).by(Rule::Unordered),
        6 => plan.arg("99999999999999999999").args(["MATCH", "nothing", "COUNT", "1000"]),
        7 => plan.arg("").args(["MATCH", "nothing", "COUNT", "1000"]),
        _ => plan.arg("0").args(["TYPE", "nonsense", "COUNT", "1000"]),
    }
}
