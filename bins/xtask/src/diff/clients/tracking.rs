//! Client-side caching: every mode, and the messages that follow changes.

use super::super::draw::Draw;
use super::super::plan::Plan;
use super::data;
use super::scene::{Scene, Step};

pub(crate) fn step(draw: &mut Draw, scene: &Scene) -> Step {
    if scene.swaps {
        return data::step(draw, scene);
    }
    let client = Plan::of("CLIENT");
    match draw.rng.below(30) {
        0..=6 => client.arg("TRACKING").args(mode(draw, scene)).into(),
        7 => client.args(["TRACKING", "OFF"]).into(),
        8..=10 => client.args(["CACHING", draw.rng.pick(&["YES", "NO", "yes", "bad"])]).into(),
        11 => Step::from(client.arg("GETREDIR")).named(),
        12 | 13 => Step::from(client.arg("TRACKINGINFO")).named(),
        14 | 15 => Plan::of("SUBSCRIBE").arg("__redis__:invalidate").into(),
        16 => Plan::of("UNSUBSCRIBE").arg("__redis__:invalidate").into(),
        17..=21 => Plan::of(draw.rng.pick(&["GET", "GET", "EXISTS", "TYPE", "TTL", "STRLEN"]))
            .arg(data::key(draw))
            .into(),
        22 => Plan::of("MULTI").into(),
        23 => {
            let key = data::key(draw);
            Plan::of("EVAL").args(["return redis.call('get', KEYS[1])", "1", key]).into()
        }
        24 => Plan::of("EVAL")
            .args(["redis.call('set', KEYS[1], 'x') return redis.call('type', KEYS[2])", "2"])
            .args([data::key(draw), data::key(draw)])
            .into(),
        _ => data::step(draw, scene),
    }
}

fn mode(draw: &mut Draw, scene: &Scene) -> Vec<String> {
    let mut words = vec![draw.rng.pick(&["ON", "ON", "on", "OFF", "bad"]).to_owned()];
    if draw.rng.chance(30) {
        let target = if draw.rng.chance(90) { scene.someone(draw) } else { "999999".to_owned() };
        words.extend(["REDIRECT".to_owned(), target]);
    }
    if draw.rng.chance(35) {
        words.push("BCAST".to_owned());
    }
    if draw.rng.chance(20) {
        words.extend(["PREFIX".to_owned(), draw.rng.pick(&["p:", "q:", "", "a"]).to_owned()]);
    }
    words.extend(
        draw.some_of(&["NOLOOP", "NOLOOP", "OPTIN", "OPTOUT"], 1).iter().map(|&word| word.to_owned()),
    );
    words
}
