//! Random SORT and SORT_RO over sets, lists and sorted sets, by other keys and fields of hashes. Where the peers leave
//! the order of equals to chance, the elements are compared in any order.

use carnelian_testkit::rule::Rule;

use super::draw::Draw;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=59 => sort(draw),
        60..=69 => {
            let name = draw.rng.pick(&["SADD", "RPUSH"]);
            let count = if draw.rng.chance(3) { draw.rng.range(130, 600) } else { draw.rng.range(1, 12) };
            Plan::of(name).arg(key(draw)).args((0..count).map(|_| element(draw)))
        }
        70..=74 => {
            let mut plan = Plan::of("ZADD").arg(own_key(draw));
            for _ in 0..draw.rng.range(1, 8) {
                plan = plan.arg(draw.rng.range(-5, 5).to_string()).arg(element(draw));
            }
            plan
        }
        75..=81 => {
            let name = format!("w_{}", draw.rng.range(0, 30));
            Plan::of("SET").arg(name).arg(weight(draw))
        }
        82..=87 => {
            let name = format!("h_{}", draw.rng.range(0, 30));
            Plan::of("HSET").arg(name).arg("f").arg(weight(draw))
        }
        88..=91 => {
            let name = draw.rng.pick(&["w_", "h_"]);
            Plan::of("DEL").arg(format!("{name}{}", draw.rng.range(0, 30)))
        }
        92..=94 => Plan::of("OBJECT").arg("ENCODING").arg(key(draw)),
        95 => Plan::of("SET").arg(key(draw)).arg("text"),
        _ => Plan::of("DEL").arg(key(draw)),
    }
}

fn key(draw: &mut Draw) -> Vec<u8> {
    if draw.rng.chance(5) { draw.key() } else { own_key(draw) }
}

/// One of the keys that only this group uses, and the only ones that it sorts: SORT changes how the peers keep a sorted
/// set, and its copies.
fn own_key(draw: &mut Draw) -> Vec<u8> {
    format!("o{}", draw.rng.below(9)).into_bytes()
}

/// Whether it is one of those.
pub(crate) fn is_own_key(key: &[u8]) -> bool {
    matches!(key, [b'o', digit] if digit.is_ascii_digit())
}

fn element(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(60) {
        0 => draw.float(),
        1 => Vec::new(),
        2 => b"abc".to_vec(),
        6 => draw.rng.range(0, 3000).to_string().into_bytes(),
        3..=5 => format!("{}.5", draw.rng.range(-9, 9)).into_bytes(),
        _ => draw.rng.range(0, 30).to_string().into_bytes(),
    }
}

fn weight(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0 => draw.float(),
        1 => b"text".to_vec(),
        _ => draw.rng.range(-20, 20).to_string().into_bytes(),
    }
}

fn sort(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of(draw.rng.pick(&["SORT", "SORT", "SORT", "SORT_RO"])).arg(own_key(draw));
    let (mut alphabetic, mut by, mut unordered, mut stored, mut limited) =
        (false, false, false, false, false);
    for _ in 0..draw.rng.below(5) {
        plan = match draw.rng.below(12) {
            0 => {
                alphabetic = true;
                plan.arg("ALPHA")
            }
            1 | 2 => plan.arg(draw.rng.pick(&["DESC", "ASC", "desc"])),
            3 | 4 => {
                limited = true;
                plan.arg("LIMIT").arg(limit(draw)).arg(limit(draw))
            }
            5 | 6 => {
                by = true;
                plan.arg("BY").arg(draw.rng.pick(&["w_*", "w_*", "h_*->f", "missing*"]))
            }
            7 => {
                unordered = true;
                plan.arg("BY").arg(draw.rng.pick(&["nosort", "#"]))
            }
            8 | 9 => plan.arg("GET").arg(draw.rng.pick(&["#", "w_*", "h_*->f", "h_*", "none", "*", "h_*->"])),
            10 => {
                stored = true;
                plan.arg("STORE").arg(key(draw))
            }
            _ => plan.args(draw.some_of(&["BAD", "LIMIT", ""], 1)),
        };
    }
    // Elements with equal weights of text come in any order, as do those of a set that is not sorted; what a limit
    // leaves of them, and what is stored, would depend on it.
    let tied = (alphabetic && by) || unordered;
    if (tied && limited) || (stored && (by || unordered)) {
        return Plan::of("SORT").arg(own_key(draw)).arg("ALPHA").undamaged();
    }
    // Redis takes an overflow in an earlier command of the same batch for one of this, and would store nothing.
    let plan = if stored && !alphabetic { plan.arg("ALPHA") } else { plan };
    let rule = if tied { Rule::Sorted } else { Rule::Exact };
    plan.by(rule).undamaged()
}

fn limit(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(10) {
        0 => draw.integer(),
        _ => draw.rng.range(-2, 15).to_string().into_bytes(),
    }
}
