//! Random commands of the server group whose replies do not depend on the machine.

use carnelian_testkit::rule::Rule;

use super::draw::Draw;
use super::plan::Plan;
use super::{generic, strings};

/// Without those whose key specifications have notes (SET, GETEX): ours have none.
const COMMANDS: [&str; 16] = [
    "GET",
    "append",
    "mset",
    "MSETNX",
    "getdel",
    "incrbyfloat",
    "lcs",
    "del",
    "copy",
    "scan",
    "rename",
    "ping",
    "nonsense",
    "client|nonsense",
    "expire",
    "swapdb",
];
const PARAMETERS: [(&str, [&str; 4]); 8] = [
    ("maxmemory-samples", ["3", "0", "abc", "64"]),
    ("hash-max-listpack-entries", ["100", "-1", "abc", "128"]),
    ("slowlog-log-slower-than", ["20000", "-1", "-2", "10000"]),
    ("lfu-log-factor", ["5", "-1", "1.5", "10"]),
    ("maxmemory-policy", ["bad", "", "noeviction ", "noeviction"]),
    ("latency-tracking", ["no", "maybe", "", "yes"]),
    ("proto-max-bulk-len", ["1mb", "1", "1zb", "512mb"]),
    ("port ", ["1", "2", "3", "4"]),
];

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(20) {
        0..=4 => {
            let inner = if draw.rng.chance(50) { strings::plan(draw) } else { generic::plan(draw) };
            let word = draw.rng.pick(&["GETKEYS", "GETKEYSANDFLAGS"]);
            Plan::of("COMMAND").arg(word).args(draw.mutate(inner).argv).undamaged()
        }
        5..=8 => {
            let names = draw.some_of(&COMMANDS, 3);
            Plan::of("COMMAND")
                .arg("INFO")
                .arg(draw.rng.pick(&COMMANDS))
                .args(names)
                .by(Rule::Unordered)
                .undamaged()
        }
        9 => Plan::of("COMMAND").arg("COUNT").by(Rule::Kind).undamaged(),
        10 => Plan::of("COMMAND")
            .arg("LIST")
            .args(draw.some_of(&["FILTERBY", "MODULE", "x", "bad"], 4))
            .by(Rule::Kind),
        11..=13 => {
            let (name, values) = &PARAMETERS[draw.rng.below(PARAMETERS.len())];
            Plan::of("CONFIG").arg("SET").arg(name).arg(draw.rng.pick(values))
        }
        14..=16 => {
            let (name, _) = &PARAMETERS[draw.rng.below(PARAMETERS.len())];
            let more = draw.some_of(&["lfu-*", "nonsense", "LATENCY-TRACKING"], 2);
            Plan::of("CONFIG").arg("GET").arg(name).args(more).by(Rule::Pairs)
        }
        17 => Plan::of("MEMORY").arg("USAGE").arg(draw.key()).by(Rule::Kind),
        18 => Plan::of("TIME").by(Rule::Kind),
        _ => Plan::of("DEBUG").arg(draw.rng.pick(&["SLEEP", "nonsense"])).arg("0").undamaged(),
    }
}
