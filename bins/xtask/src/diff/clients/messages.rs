//! Channels, patterns and shard channels, in both protocols, and notifications of what happens to keys.

use carnelian_testkit::rule::Rule;

use super::super::draw::Draw;
use super::super::plan::Plan;
use super::scene::{Scene, Step};
use super::{control, data};

const CHANNELS: [&str; 6] = ["ch", "ch2", "news", "", "n[e]ws", "__keyspace@0__:a"];
const PATTERNS: [&str; 10] = [
    "*",
    "ch*",
    "n?ws",
    "n[a-e]ws",
    "h\\*",
    "__key*__:*",
    "__keyspace@0__:*",
    "__keyevent@*__:*",
    "__keyevent@0__:del",
    "",
];
const EVENTS: [&str; 16] = [
    "KEA", "KEA", "KEA", "KEAmn", "KEg", "K$", "Elsh", "EAm", "Kzt", "Ex", "KEn", "", "Ed", "KEe", "KAoc",
    "oKc$",
];

pub(crate) fn step(draw: &mut Draw, scene: &Scene) -> Step {
    let plan = match draw.rng.below(40) {
        0..=4 => Plan::of("SUBSCRIBE").args(some(draw, &CHANNELS)),
        5..=9 => Plan::of("PSUBSCRIBE").args(some(draw, &PATTERNS)),
        10..=12 => Plan::of("SSUBSCRIBE").args(some(draw, &CHANNELS)),
        13 => Plan::of("UNSUBSCRIBE").args(some(draw, &CHANNELS)),
        14 => Plan::of("PUNSUBSCRIBE").args(some(draw, &PATTERNS)),
        15 => Plan::of("SUNSUBSCRIBE").args(some(draw, &CHANNELS)),
        16 => {
            let name = draw.rng.pick(&["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"]);
            return Step::from(Plan::of(name)).alone();
        }
        17..=23 => Plan::of("PUBLISH").args([draw.rng.pick(&CHANNELS), data::value(draw)]),
        24..=26 => Plan::of("SPUBLISH").args([draw.rng.pick(&CHANNELS), data::value(draw)]),
        27..=29 => return introspection(draw).into(),
        30..=33 => Plan::of("CONFIG").args(["SET", "notify-keyspace-events", draw.rng.pick(&EVENTS)]),
        34 => Plan::of("CONFIG").args(["GET", "notify-keyspace-events"]),
        35 => Plan::of("PING").args(draw.some_of(&["hello"], 1)),
        36 => return control::switch(draw),
        _ => return data::step(draw, scene),
    };
    plan.into()
}

fn some(draw: &mut Draw, names: &[&'static str]) -> Vec<&'static str> {
    (0..draw.rng.range(1, 3)).map(|_| draw.rng.pick(names)).collect()
}

fn introspection(draw: &mut Draw) -> Plan {
    let plan = Plan::of("PUBSUB");
    match draw.rng.below(6) {
        0 => plan.arg("CHANNELS").args(draw.some_of(&["ch*", "*", "x"], 1)).by(Rule::Sorted),
        1 => plan.arg("SHARDCHANNELS").args(draw.some_of(&["ch*"], 1)).by(Rule::Sorted),
        2 => plan.arg("NUMPAT"),
        3 => plan.arg("NUMSUB").args(some(draw, &CHANNELS)),
        4 => plan.arg("SHARDNUMSUB").args(some(draw, &CHANNELS)),
        _ => plan.arg(draw.rng.pick(&["NUMSUB", "BAD", "NUMPAT x"])),
    }
}
