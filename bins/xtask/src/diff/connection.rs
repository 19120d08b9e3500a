//! Random commands of the connection group, and of the server group where it answers the same at any time.

use carnelian_testkit::rule::Rule;

use super::draw::Draw;
use super::plan::{How, Plan};
use super::{generic, strings};

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=9 => Plan::of("PING").args(optional_value(draw)),
        10..=19 => Plan::of("ECHO").arg(draw.value()),
        20..=34 => hello(draw),
        35..=39 => auth(draw),
        40..=46 => Plan::of("SELECT").arg(draw.database()),
        47..=49 => Plan::of("RESET"),
        50..=56 => skipped(draw),
        57..=59 => {
            let name = draw.rng.pick(&["FOO", "GETT", "", "get\r\nx", "SETX"]);
            Plan::of(name).args(draw.keys(0, 4))
        }
        _ => client(draw),
    }
}

fn optional_value(draw: &mut Draw) -> Option<Vec<u8>> {
    draw.rng.chance(50).then(|| draw.value())
}

fn hello(draw: &mut Draw) -> Plan {
    let plan = Plan::of("HELLO").by(Rule::Digits).undamaged();
    match draw.rng.below(10) {
        0 => plan,
        1 => plan.arg(draw.rng.pick(&["1", "4", "abc", "", "-1", "2.0"])),
        2 => plan.arg("3").args(["AUTH", "default", "pw"]),
        3 => plan.arg("2").args(["AUTH", "default", "pw", "SETNAME", "conn"]),
        4 => plan.arg("3").args(["SETNAME", "conn"]),
        5 => plan.arg("3").args(["SETNAME", "a b"]),
        6 => plan.arg("3").arg(draw.rng.pick(&["AUTH", "SETNAME", "bad"])),
        7 | 8 => plan.arg("3"),
        _ => plan.arg("2"),
    }
}

/// Without wrong passwords: see [`refused_login`].
fn auth(draw: &mut Draw) -> Plan {
    let plan = Plan::of("AUTH").undamaged();
    match draw.rng.below(3) {
        0 => plan.arg("pw"),
        1 => plan.args(["default", "pw"]),
        _ => plan.args(["a", "b", "c"]),
    }
}

/// A login that is refused. Never part of a batch: Redis 8.2.3 loses the WRONGPASS reply if an earlier reply is
/// still waiting to be written.
pub(crate) fn refused_login(draw: &mut Draw) -> Vec<Vec<u8>> {
    let words: &[&str] = match draw.rng.below(3) {
        0 => &["AUTH", "nobody", "pw"],
        1 => &["HELLO", "2", "AUTH", "nobody", "pw"],
        _ => &["HELLO", "3", "SETNAME", "x", "AUTH", "", ""],
    };
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// CLIENT REPLY SKIP silences the command after it.
fn skipped(draw: &mut Draw) -> Plan {
    if draw.rng.chance(80) {
        return Plan::of("CLIENT").arg("REPLY").arg(draw.rng.pick(&["ON", "on", "bad", ""]));
    }
    let silent = draw.rng.chance(50);
    let next = if silent { strings::plan(draw) } else { generic::plan(draw) };
    let skip = Plan::of("CLIENT").args(["REPLY", "SKIP"]).undamaged();
    Plan { how: How::Silent(Box::new(next)), ..skip }
}

fn client(draw: &mut Draw) -> Plan {
    let plan = Plan::of("CLIENT");
    match draw.rng.below(20) {
        0 | 1 => plan.arg("ID").by(Rule::Kind),
        2..=4 => plan.arg("GETNAME"),
        5 | 6 => plan.arg("SETNAME").arg(draw.rng.pick(&["name", "", "a b", "x\ny", "caf\u{e9}", "n~!"])),
        7 | 8 => plan
            .arg("SETINFO")
            .arg(draw.rng.pick(&["LIB-NAME", "lib-ver", "LIB-VER", "bad", ""]))
            .arg(draw.rng.pick(&["redis-py", "1.2.3", "", "a b", "x\n"])),
        9 => plan.arg("NO-EVICT").arg(draw.rng.pick(&["ON", "off", "bad"])),
        10 => plan.arg("NO-TOUCH").arg(draw.rng.pick(&["on", "OFF", "bad"])),
        11 => plan.arg("KILL").arg(draw.rng.pick(&["1.2.3.4:5", "", "bad"])),
        12 => plan.arg("KILL").args(["ID", draw.rng.pick(&["99999999", "abc", "-1", "0"])]),
        13 => {
            plan.arg("KILL").args(["ADDR", "1.2.3.4:5", "TYPE", draw.rng.pick(&["normal", "bad", "pubsub"])])
        }
        14 => plan
            .arg("UNBLOCK")
            .arg(draw.rng.pick(&["99999999", "abc"]))
            .args(draw.some_of(&["TIMEOUT", "ERROR", "bad"], 1)),
        15 => plan
            .arg("PAUSE")
            .arg(draw.rng.pick(&["abc", "-1", "1.5"]))
            .args(draw.some_of(&["WRITE", "bad"], 1))
            .undamaged(),
        16 => plan.arg("UNPAUSE"),
        17 => plan.arg(draw.rng.pick(&["BAD", "", "GETNAME x"])),
        18 => plan.arg("LIST").args(["TYPE", draw.rng.pick(&["bad", "replica", "pubsub"])]),
        _ => plan.arg("LIST").args(["ID", draw.rng.pick(&["99999999", "abc", "0"])]),
    }
}
