//! Random commands that only Valkey has; their stream goes to Valkey and ours alone.

use super::draw::Draw;
use super::hashes;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(11) {
        0..=2 => {
            let plan = Plan::of("SET").arg(draw.key()).arg(small(draw)).arg("IFEQ").arg(small(draw)).timed();
            let plan = plan.args(draw.some_of(&["GET", "NX", "XX", "KEEPTTL", "IFEQ", "GET"], 2));
            if draw.rng.chance(30) { plan.args(draw.expiry()) } else { plan }
        }
        3 | 4 => Plan::of("DELIFEQ").arg(draw.key()).arg(small(draw)),
        5 | 6 => msetex(draw),
        7 => hashes::valkey_plan(draw),
        // Only to change and to show state: where both peers have a command, Redis is the reference.
        8 => Plan::of("SET").arg(draw.key()).arg(small(draw)),
        9 => Plan::of("TTL").arg(draw.key()).near(1),
        _ => Plan::of("MGET").args(draw.keys(1, 5)),
    }
}

/// Values that are often equal.
fn small(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(10) {
        0 => draw.value(),
        _ => draw.rng.pick(&["a", "b", "1", ""]).as_bytes().to_vec(),
    }
}

fn msetex(draw: &mut Draw) -> Plan {
    let count = draw.rng.range(1, 3);
    let pairs: Vec<Vec<u8>> = (0..count).flat_map(|_| [draw.key(), small(draw)]).collect();
    let shown = match draw.rng.below(12) {
        0 => draw.integer(),
        _ => count.to_string().into_bytes(),
    };
    let plan = Plan::of("MSETEX").arg(shown).args(pairs).timed();
    let plan = plan.args(draw.some_of(&["NX", "XX", "KEEPTTL", "GET"], 2));
    if draw.rng.chance(60) { plan.args(draw.expiry()) } else { plan }
}
