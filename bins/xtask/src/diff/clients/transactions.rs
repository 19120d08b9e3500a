//! MULTI and what goes with it: queueing errors, forbidden commands, and keys that others change meanwhile.

use super::super::draw::Draw;
use super::super::plan::Plan;
use super::data;
use super::scene::{Scene, Step};

pub(crate) fn step(draw: &mut Draw, scene: &Scene) -> Step {
    let plan = match draw.rng.below(32) {
        0..=8 => Plan::of("MULTI"),
        9..=12 => Plan::of("EXEC"),
        13 => Plan::of("DISCARD"),
        14..=20 => Plan::of("WATCH").args([data::key(draw), data::key(draw)]),
        21 => Plan::of("UNWATCH"),
        22..=24 => broken(draw),
        25 | 26 => special(draw),
        27 => Plan::of("WATCH").arg(data::key(draw)),
        _ => return data::step(draw, scene),
    };
    plan.into()
}

/// What is refused when it is queued, or when it is executed.
fn broken(draw: &mut Draw) -> Plan {
    match draw.rng.below(10) {
        0 => Plan::of("GET"),
        1 => Plan::of("NOSUCHCOMMAND").arg(data::key(draw)),
        2 => Plan::of("MULTI").arg("x"),
        3 => Plan::of("EXEC").arg("x"),
        4 => Plan::of("WATCH"),
        5 => Plan::of("INCR").args([data::key(draw), "x"]),
        6 => Plan::of("LPUSH").arg(data::key(draw)),
        7 => Plan::of("SET").args([data::key(draw), "v", "NONSENSE"]),
        8 => Plan::of("CLIENT").arg("NONSENSE"),
        _ => Plan::of("XGROUP").arg("CREATE"),
    }
}

/// What is allowed, forbidden or different within a transaction.
fn special(draw: &mut Draw) -> Plan {
    match draw.rng.below(8) {
        0 => Plan::of("SUBSCRIBE").arg("ch"),
        1 => Plan::of("PUBLISH").args(["ch", "in a transaction"]),
        2 => Plan::of("EVAL").args(["return redis.call('incr', KEYS[1])", "1", data::key(draw)]),
        3 => Plan::of("SAVE").arg("x"),
        4 => Plan::of("ECHO").arg(data::value(draw)),
        5 => Plan::of("CLIENT").args(["SETNAME", "someone"]),
        6 => Plan::of("CLIENT").arg("GETNAME"),
        _ => Plan::of("SELECT").arg("0"),
    }
}
