//! Libraries of functions: loaded, called, listed, dumped and restored.

use carnelian_testkit::rule::Rule;

use super::super::draw::Draw;
use super::super::plan::Plan;
use super::scene::{Scene, Step};
use super::stage::FUNCTIONS;
use super::{data, scripts};

const LIBRARIES: [&str; 3] = ["one", "two", "three"];
const NAMES: [&str; 3] = ["f", "g", "h"];
/// Names of functions ignore case.
const CALLED: [&str; 4] = ["f", "g", "h", "F"];

pub(crate) fn step(draw: &mut Draw, scene: &Scene) -> Step {
    let function = Plan::of("FUNCTION");
    match draw.rng.below(40) {
        0..=8 => function.arg("LOAD").args(draw.some_of(&["REPLACE"], 1)).arg(library(draw)).into(),
        9..=20 => {
            let name = draw.rng.pick(&["FCALL", "FCALL", "FCALL_RO"]);
            let (one, two) = (data::key(draw), data::key(draw));
            let plan = Plan::of(name).arg(draw.rng.pick(&CALLED)).args(["2", one, two]);
            plan.args(["1", data::value(draw)]).into()
        }
        21 => Plan::of("FCALL").args(["f", draw.rng.pick(&["x", "-1", "9"])]).into(),
        22..=25 => {
            let plan = function.arg("LIST").by(Rule::Unordered);
            let plan = plan.args(draw.some_of(&["WITHCODE"], 1));
            let plan = match draw.rng.below(3) {
                0 => plan.args(["LIBRARYNAME", draw.rng.pick(&["t*", "one", "*", "none"])]),
                1 => plan.args(draw.some_of(&["WITHCODE", "LIBRARYNAME", "bad"], 1)),
                _ => plan,
            };
            Step::from(plan).alone()
        }
        26 | 27 => function.args(["DELETE", draw.rng.pick(&LIBRARIES)]).into(),
        28 => function.arg("STATS").into(),
        29..=32 => {
            let plan = function.arg("RESTORE").arg(FUNCTIONS);
            plan.args(draw.some_of(&["FLUSH", "APPEND", "REPLACE", "bad"], 1)).into()
        }
        33 => function.args(["RESTORE", "damaged"]).into(),
        34 => function.arg("FLUSH").args(draw.some_of(&["SYNC", "ASYNC", "bad"], 1)).into(),
        35 => function.arg(draw.rng.pick(&["KILL", "BAD", "LOAD", "DELETE"])).into(),
        // The runner keeps what each server dumps, for RESTORE; payloads carry versions.
        36 | 37 => Step::from(function.arg("DUMP").by(Rule::Kind)).alone(),
        _ => data::step(draw, scene),
    }
}

/// One to three functions, sometimes in a library that is refused.
fn library(draw: &mut Draw) -> String {
    let heads = [
        "#!lua name=",
        "#!lua name=",
        "#!lua name=",
        "#!lua name=",
        "#!lua name=",
        "#!lua nam=",
        "#!js name=",
    ];
    let mut text = format!("{}{}\n", draw.rng.pick(&heads), draw.rng.pick(&LIBRARIES));
    if draw.rng.chance(10) {
        let odd = [
            "error('while loading')",
            "redis.call('GET', 'a')",
            "x = 1",
            "local y = redis.sha1hex('')",
            "bad lua",
        ];
        text.push_str(draw.rng.pick(&odd));
        text.push('\n');
    }
    for _ in 0..draw.rng.range(1, 3) {
        let name = draw.rng.pick(&NAMES);
        // The shebang of a script would be a syntax error here; that is tried too, rarely.
        let mut body = scripts::body(draw);
        if !draw.rng.chance(3) {
            body = body.rsplit('\n').next().unwrap_or_default().to_owned();
        }
        let code = format!("function(KEYS, ARGV) {body} end");
        text.push_str(&match draw.rng.below(5) {
            0 => format!(
                "redis.register_function{{function_name='{name}', callback={code}, flags={{{}}}}}\n",
                draw.rng.pick(&["'no-writes'", "'allow-oom', 'allow-stale'", "'bad'", "", "'no-writes', 'no-cluster'"])
            ),
            1 => format!("redis.register_function{{function_name='{name}', callback={code}, description='what it does'}}\n"),
            2 if draw.rng.chance(20) => format!("redis.register_function('{name}')\n"),
            _ => format!("redis.register_function('{name}', {code})\n"),
        });
    }
    text
}
