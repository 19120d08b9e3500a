//! Random commands of the list group. Elements are of few kinds, so that searches find some, and of sizes around which
//! nodes fill up; the size of nodes itself changes now and then.

use super::draw::Draw;
use super::plan::Plan;

/// Lengths of elements: around the limits of short forms and of nodes.
const LENGTHS: [usize; 16] = [0, 1, 62, 63, 64, 65, 126, 127, 128, 500, 1000, 2000, 4080, 4096, 4097, 8200];
const NODE_SIZES: [&str; 14] =
    ["-2", "-2", "-1", "-5", "-3", "1", "2", "3", "5", "8", "16", "128", "0", "-9"];

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=17 => push(draw),
        18..=20 => {
            let name = draw.rng.pick(&["LPUSHX", "RPUSHX"]);
            Plan::of(name).arg(key(draw)).args(elements(draw, 3))
        }
        21..=29 => pop(draw),
        30..=35 => Plan::of("LRANGE").arg(key(draw)).arg(draw.index()).arg(draw.index()),
        36..=39 => Plan::of("LINDEX").arg(key(draw)).arg(draw.index()),
        40 => Plan::of("LLEN").arg(key(draw)),
        41..=46 => Plan::of("LSET").arg(key(draw)).arg(draw.index()).arg(element(draw)),
        47..=55 => insert(draw),
        56..=60 => Plan::of("LREM").arg(key(draw)).arg(draw.index()).arg(element(draw)),
        61..=65 => Plan::of("LTRIM").arg(key(draw)).arg(draw.index()).arg(draw.index()),
        66..=71 => search(draw),
        72..=78 => transfer(draw),
        79..=83 => pop_many(draw),
        84..=94 => Plan::of("OBJECT").arg("ENCODING").arg(key(draw)),
        95 => Plan::of("CONFIG").args(["SET", "list-max-listpack-size"]).arg(draw.rng.pick(&NODE_SIZES)),
        96 => Plan::of("DEL").arg(key(draw)),
        97 => Plan::of("COPY").arg(key(draw)).arg(key(draw)).arg("REPLACE"),
        98 => Plan::of("RENAME").arg(key(draw)).arg(key(draw)),
        _ => Plan::of("SET").arg(key(draw)).arg("a string"),
    }
}

fn key(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.chance(5) {
        true => draw.key(),
        false => format!("list{}", draw.rng.below(6)).into_bytes(),
    }
}

fn element(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0..=7 => draw.rng.below(8).to_string().into_bytes(),
        8..=13 => draw.rng.pick(&["a", "b", "c"]).as_bytes().to_vec(),
        14..=16 => {
            let length = LENGTHS[draw.rng.below(LENGTHS.len())];
            vec![b'x'; length]
        }
        _ => draw.value(),
    }
}

fn elements(draw: &mut Draw, most: i64) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, most)).map(|_| element(draw)).collect()
}

fn push(draw: &mut Draw) -> Plan {
    let name = draw.rng.pick(&["LPUSH", "RPUSH"]);
    let most = [1, 1, 4, 12, 60][draw.rng.below(5)];
    Plan::of(name).arg(key(draw)).args(elements(draw, most))
}

fn pop(draw: &mut Draw) -> Plan {
    let name = draw.rng.pick(&["LPOP", "RPOP"]);
    let plan = Plan::of(name).arg(key(draw));
    if draw.rng.chance(50) { plan } else { plan.arg(draw.index()) }
}

fn insert(draw: &mut Draw) -> Plan {
    let place = draw.rng.pick(&["BEFORE", "AFTER", "before", "After", "BEFORE", "AFTER", "AMID"]);
    Plan::of("LINSERT").arg(key(draw)).arg(place).arg(element(draw)).arg(element(draw))
}

fn search(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("LPOS").arg(key(draw)).arg(element(draw));
    for word in draw.some_of(&["RANK", "COUNT", "MAXLEN", "rank", "Count", "BAD"], 3) {
        plan = plan.arg(word).arg(draw.index());
    }
    plan
}

fn side(draw: &mut Draw) -> &'static str {
    draw.rng.pick(&["LEFT", "RIGHT", "LEFT", "RIGHT", "left", "Right", "UP"])
}

/// A wait that is over at once or refused. Since nobody else writes, few keys are missing for it to take time.
fn timeout(draw: &mut Draw) -> &'static str {
    draw.rng.pick(&["0.001", "0.001", "1e-3", "0.0001", "-1", "abc", "nan", "inf", "1e400", ""])
}

fn transfer(draw: &mut Draw) -> Plan {
    let (from, to) = (key(draw), key(draw));
    match draw.rng.below(20) {
        0..=7 => Plan::of("RPOPLPUSH").arg(from).arg(to),
        8..=17 => Plan::of("LMOVE").arg(from).arg(to).arg(side(draw)).arg(side(draw)),
        18 => Plan::of("BRPOPLPUSH").arg(from).arg(to).arg(timeout(draw)).undamaged(),
        _ => {
            let plan = Plan::of("BLMOVE").arg(from).arg(to).arg(side(draw)).arg(side(draw));
            plan.arg(timeout(draw)).undamaged()
        }
    }
}

fn pop_many(draw: &mut Draw) -> Plan {
    let keys: Vec<Vec<u8>> = (0..draw.rng.range(1, 4)).map(|_| key(draw)).collect();
    let number = match draw.rng.chance(90) {
        true => keys.len().to_string().into_bytes(),
        false => draw.index(),
    };
    match draw.rng.below(20) {
        0..=13 => {
            let mut plan = Plan::of("LMPOP").arg(number).args(keys).arg(side(draw));
            for word in draw.some_of(&["COUNT", "count", "COUNT", "BAD"], 1) {
                plan = plan.arg(word).arg(draw.index());
            }
            plan
        }
        14..=16 => {
            let plan = Plan::of("BLMPOP").arg(timeout(draw)).arg(keys.len().to_string()).args(keys);
            plan.arg(side(draw)).undamaged()
        }
        _ => {
            let name = draw.rng.pick(&["BLPOP", "BRPOP"]);
            Plan::of(name).args(keys).arg(timeout(draw)).undamaged()
        }
    }
}
