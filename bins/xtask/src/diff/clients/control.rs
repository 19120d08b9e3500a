//! Clients that look at each other, hold each other up, wake and kill each other.

use carnelian_testkit::rule::Rule;

use super::super::draw::Draw;
use super::super::plan::Plan;
use super::data;
use super::scene::{Scene, Step};

pub(crate) fn step(draw: &mut Draw, scene: &Scene) -> Step {
    let client = Plan::of("CLIENT");
    match draw.rng.below(40) {
        0..=4 => reply(draw),
        5..=9 => pause(draw, scene),
        10..=14 => client
            .args(["UNBLOCK", &scene.someone(draw)])
            .args(draw.some_of(&["TIMEOUT", "ERROR", "bad"], 1))
            .into(),
        15 => client.args(["KILL", "ID", &scene.someone(draw)]).args(kill_options(draw)).into(),
        16 => kill(draw, scene),
        17..=22 => Step::from(client.arg("LIST").args(filter(draw, scene))).alone(),
        23 => Step::from(client.arg("INFO")).alone(),
        24 => client.args(["NO-EVICT", draw.rng.pick(&["ON", "OFF", "bad"])]).into(),
        25 => client.args(["NO-TOUCH", draw.rng.pick(&["ON", "OFF", "bad"])]).into(),
        26 => client.args(["SETNAME", draw.rng.pick(&["alice", "bob", "", "a b"])]).into(),
        27 => client.arg("GETNAME").into(),
        28 => client
            .args(["SETINFO", draw.rng.pick(&["lib-name", "lib-ver"]), draw.rng.pick(&["x", "1.0"])])
            .into(),
        29 => Step::from(client.arg("ID")).named(),
        30 => switch(draw),
        31 => Plan::of("MULTI").into(),
        32 => Plan::of("SUBSCRIBE").arg("ch").into(),
        33 => Plan::of("PUBLISH").args(["ch", "x"]).into(),
        34 if draw.rng.chance(20) => Plan::of("QUIT").into(),
        35 => Plan::of("WATCH").arg(data::key(draw)).into(),
        _ => data::step(draw, scene),
    }
}

/// Also to one who is silent; but never within a transaction, where the peers lose count of replies.
fn reply(draw: &mut Draw) -> Step {
    let word = draw.rng.pick(&["ON", "ON", "ON", "ON", "SKIP", "OFF", "bad"]);
    let mut step = Step::from(Plan::of("CLIENT").args(["REPLY", word]));
    step.outside = true;
    step
}

/// Another protocol, or a client as new.
pub(crate) fn switch(draw: &mut Draw) -> Step {
    match draw.rng.below(3) {
        0 => Plan::of("RESET").into(),
        _ => Step::from(Plan::of("HELLO").arg(draw.rng.pick(&["2", "3", "3", "4"])).by(Rule::Kind)).alone(),
    }
}

/// Pauses of everything hold up the run itself, so they are short and waited for.
fn pause(draw: &mut Draw, scene: &Scene) -> Step {
    let client = Plan::of("CLIENT");
    match draw.rng.below(12) {
        0 if !scene.paused => {
            let mut step = Step::from(client.args(["PAUSE", "15"]).args(draw.some_of(&["ALL"], 1))).alone();
            step.wait = 20;
            step
        }
        1 => client.args(["PAUSE", draw.rng.pick(&["abc", "-1", "1.5", ""])]).args(["WRITE"]).into(),
        2 => client.args(["PAUSE", "100000", "bad"]).into(),
        3..=5 => Step::from(client.args(["PAUSE", "100000", "WRITE"])).alone(),
        _ => client.arg("UNPAUSE").into(),
    }
}

fn kill_options(draw: &mut Draw) -> Vec<&'static str> {
    match draw.rng.below(6) {
        0 => vec!["SKIPME", "no"],
        1 => vec!["SKIPME", "yes"],
        2 => vec!["TYPE", "normal"],
        3 => vec!["TYPE", "pubsub"],
        4 => vec!["USER", "default"],
        _ => vec![],
    }
}

fn kill(draw: &mut Draw, scene: &Scene) -> Step {
    let kill = Plan::of("CLIENT").arg("KILL");
    let address = format!("<addr:{}>", draw.rng.below(scene.actors.len()));
    match draw.rng.below(8) {
        0 => kill.arg(address).into(),
        1 => kill.args(["ADDR", &address]).args(kill_options(draw)).into(),
        2 => kill.args(["TYPE", "pubsub"]).args(draw.some_of(&["SKIPME"], 1)).into(),
        3 => kill.args(["MAXAGE", "100000"]).into(),
        4 => kill.args(["USER", "nobody"]).into(),
        5 => kill.args(["TYPE", "bad"]).into(),
        6 => kill.args(["ID", "0"]).into(),
        _ => kill.args(["LADDR", "1.2.3.4:5"]).into(),
    }
}

fn filter(draw: &mut Draw, scene: &Scene) -> Vec<String> {
    let words: Vec<&str> = match draw.rng.below(6) {
        0 => vec!["TYPE", "pubsub"],
        1 => vec!["TYPE", draw.rng.pick(&["replica", "master", "bad"])],
        2 => vec!["ID", "999999"],
        3 => return vec!["ID".to_owned(), scene.someone(draw), scene.someone(draw)],
        4 => vec!["TYPE", "normal"],
        _ => return vec!["ID".to_owned(), scene.someone(draw)],
    };
    words.into_iter().map(str::to_owned).collect()
}

/// What only Valkey has.
pub(crate) fn valkey_step(draw: &mut Draw, scene: &Scene) -> Step {
    match draw.rng.below(10) {
        0..=3 => {
            let mut filters = valkey_filters(draw, scene);
            if draw.rng.chance(20) {
                // Of several IDs of CLIENT KILL the last one counts, as in Redis.
                filters.extend(["ID".to_owned(), scene.someone(draw)]);
            }
            let plan = Plan::of("CLIENT").arg("LIST").args(filters);
            Step::from(plan).alone()
        }
        4 => Plan::of("CLIENT")
            .args(["KILL", "ID", &scene.someone(draw)])
            .args(valkey_filters(draw, scene))
            .into(),
        5 => Plan::of("CLIENT").args(["SETNAME", draw.rng.pick(&["alice", "bob"])]).into(),
        6 => Plan::of(draw.rng.pick(&["SUBSCRIBE", "PSUBSCRIBE"])).arg("ch").into(),
        7 => {
            let mut step = Step::from(Plan::of("MULTI"));
            // Within a transaction its error is Redis's.
            step.outside = true;
            step
        }
        8 => Plan::of("SELECT").arg(draw.rng.pick(&["0", "1"])).into(),
        _ => data::command(draw).into(),
    }
}

fn valkey_filters(draw: &mut Draw, scene: &Scene) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..draw.rng.range(1, 3) {
        let own = |words: [&str; 2]| words.map(str::to_owned);
        words.extend(match draw.rng.below(11) {
            0 => own(["NAME", draw.rng.pick(&["alice", "bob"])]),
            1 => own(["NOT-NAME", "alice"]),
            2 => own(["DB", draw.rng.pick(&["0", "1", "16", "x"])]),
            3 => own(["NOT-DB", "0"]),
            4 => own(["NOT-TYPE", draw.rng.pick(&["pubsub", "normal", "bad"])]),
            5 => ["NOT-ID".to_owned(), scene.someone(draw)],
            6 => own(["FLAGS", draw.rng.pick(&["N", "P", "x", "b", "?"])]),
            7 => own(["NOT-FLAGS", draw.rng.pick(&["N", "P", "x"])]),
            8 => own(["IDLE", draw.rng.pick(&["0", "100000", "x"])]),
            9 => own(["LIB-NAME", "x"]),
            _ => own(["USER", draw.rng.pick(&["default", "nobody"])]),
        });
    }
    words
}
