//! Random commands of the stream group. IDs are explicit, or follow the last one within a millisecond of their own;
//! idle times are either none or longer than a run, so that no reply depends on the clock but for times themselves.

use carnelian_testkit::reply;

use super::draw::Draw;
use super::plan::{How, Plan};

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=26 => add(draw),
        27..=30 => trim(draw),
        31..=36 => delete(draw),
        37..=41 => range(draw),
        42..=45 => read(draw),
        46..=58 => read_group(draw),
        59..=65 => group(draw),
        66..=70 => acknowledge(draw),
        71..=74 => pending(draw),
        75..=80 => claim(draw),
        81..=85 => auto_claim(draw),
        86..=92 => info(draw),
        93 => set_id(draw),
        94 | 95 => Plan::of("XLEN").arg(key(draw)),
        96 => node_size(draw),
        97 => Plan::of("DEL").arg(key(draw)),
        // Not COPY: in runs that copied streams with groups, Redis 8.2.3 crashed.
        98 => Plan::of("RENAME").arg(key(draw)).arg(key(draw)),
        _ if draw.rng.chance(30) => Plan::of("SET").arg(key(draw)).arg("a string"),
        _ => {
            let word = draw.rng.pick(&["TYPE", "EXISTS", "PERSIST"]);
            Plan::of(word).arg(key(draw))
        }
    }
}

/// Few keys, so that their streams have a history.
fn key(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0 => draw.key(),
        n => format!("k{}", n % 4).into_bytes(),
    }
}

fn name(draw: &mut Draw) -> Vec<u8> {
    draw.rng.pick(&[&b"g"[..], b"g", b"g", b"h", b"h", b"", b"\xff\0g", b"group"]).to_vec()
}

fn consumer(draw: &mut Draw) -> Vec<u8> {
    draw.rng.pick(&[&b"c"[..], b"c", b"d", b"d", b"e", b"", b"c\xff", b"consumer"]).to_vec()
}

/// The ID of an entry that may well exist.
fn id(draw: &mut Draw) -> Vec<u8> {
    const EDGES: [&str; 16] = [
        "0-0",
        "0",
        "-",
        "+",
        "$",
        ">",
        "x",
        "",
        "1-",
        "-1",
        "18446744073709551615-18446744073709551615",
        "18446744073709551616",
        "01-01",
        "1-1-1",
        "5-*",
        "*1",
    ];
    match draw.rng.below(30) {
        0 => draw.rng.pick(&EDGES).as_bytes().to_vec(),
        1 => recent(draw).to_string().into_bytes(),
        _ => format!("{}-{}", recent(draw), draw.rng.below(3)).into_bytes(),
    }
}

fn recent(draw: &mut Draw) -> u64 {
    let back = draw.rng.below(80) as u64;
    draw.stream_ms.saturating_sub(back)
}

fn ids(draw: &mut Draw) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, 5)).map(|_| id(draw)).collect()
}

/// An end of an interval.
fn bound(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(10) {
        0..=3 => b"-".to_vec(),
        4..=6 => b"+".to_vec(),
        7 => [b"(".to_vec(), id(draw)].concat(),
        _ => id(draw),
    }
}

fn count(draw: &mut Draw) -> String {
    match draw.rng.below(12) {
        0 => draw.rng.pick(&["0", "-1", "-2", "x", "9223372036854775807", ""]).to_owned(),
        _ => draw.rng.range(1, 6).to_string(),
    }
}

/// `COUNT n`, sometimes.
fn maybe_count(draw: &mut Draw, plan: Plan) -> Plan {
    if draw.rng.chance(40) { plan.arg("COUNT").arg(count(draw)) } else { plan }
}

fn references(draw: &mut Draw, plan: Plan) -> Plan {
    match draw.rng.below(8) {
        0 => plan.arg("KEEPREF"),
        1 => plan.arg("DELREF"),
        2 => plan.arg("ACKED"),
        3 if draw.rng.chance(20) => plan.args(["acked", "KEEPREF"]),
        _ => plan,
    }
}

fn threshold(draw: &mut Draw, plan: Plan) -> Plan {
    let by_len = draw.rng.chance(60);
    let plan = plan.arg(if by_len { "MAXLEN" } else { "MINID" });
    let approximate = draw.rng.chance(50);
    let plan = if approximate { plan.arg("~") } else { plan.args(draw.some_of(&["="], 1)) };
    let plan = match by_len {
        true => plan.arg(match draw.rng.below(15) {
            0 => draw.rng.pick(&["0", "-1", "x", "9223372036854775807", "18446744073709551615"]).to_owned(),
            _ => draw.rng.range(0, 40).to_string(),
        }),
        false => plan.arg(id(draw)),
    };
    if draw.rng.chance(if approximate { 40 } else { 2 }) {
        return plan.arg("LIMIT").arg(draw.rng.pick(&["0", "1", "3", "4", "5", "8", "10", "20", "-1", "x"]));
    }
    plan
}

fn add(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("XADD").arg(key(draw));
    if draw.rng.chance(10) {
        plan = plan.arg("NOMKSTREAM");
    }
    if draw.rng.chance(10) {
        plan = references(draw, plan);
    }
    if draw.rng.chance(15) {
        plan = threshold(draw, plan);
    }
    draw.stream_ms += draw.rng.below(3) as u64;
    let ms = draw.stream_ms;
    plan = plan.arg(match draw.rng.below(40) {
        0 => id(draw),
        1..=9 => format!("{ms}-*").into_bytes(),
        10 => ms.to_string().into_bytes(),
        _ => format!("{ms}-{}", draw.rng.below(3)).into_bytes(),
    });
    for n in 0..few(draw) {
        let field = draw.rng.pick(&["temp", "temp", "temp", "hum", "", "12", "a longer name of a field"]);
        let field = if draw.rng.chance(60) { ["a", "b", "c"][n] } else { field };
        plan = plan.arg(field).arg(if draw.rng.chance(50) { draw.integer() } else { draw.value() });
    }
    plan
}

fn trim(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("XTRIM").arg(key(draw));
    let first = draw.rng.chance(50);
    if first {
        plan = references(draw, plan);
    }
    plan = threshold(draw, plan);
    if first { plan } else { references(draw, plan) }
}

fn delete(draw: &mut Draw) -> Plan {
    let plan = match draw.rng.below(4) {
        0 | 1 => return Plan::of("XDEL").arg(key(draw)).args(ids(draw)),
        2 => Plan::of("XDELEX").arg(key(draw)),
        _ => Plan::of("XACKDEL").arg(key(draw)).arg(name(draw)),
    };
    let plan = references(draw, plan);
    let ids = ids(draw);
    let count = match draw.rng.below(15) {
        0 => draw.rng.pick(&["0", "1", "-1", "2", "x"]).to_owned(),
        _ => ids.len().to_string(),
    };
    plan.arg("IDS").arg(count).args(ids)
}

fn range(draw: &mut Draw) -> Plan {
    let name = draw.rng.pick(&["XRANGE", "XREVRANGE"]);
    let (mut start, mut end) = (bound(draw), bound(draw));
    if name == "XREVRANGE" {
        std::mem::swap(&mut start, &mut end);
    }
    let plan = Plan::of(name).arg(key(draw)).arg(start).arg(end);
    maybe_count(draw, plan)
}

/// Mostly one.
fn few(draw: &mut Draw) -> usize {
    [1, 1, 1, 1, 2, 3][draw.rng.below(6)]
}

/// `STREAMS` with keys and IDs.
fn streams(draw: &mut Draw, plan: Plan, special: &str) -> Plan {
    let n = few(draw);
    let keys: Vec<_> = (0..n).map(|_| key(draw)).collect();
    let ids: Vec<_> = (0..n)
        .map(|_| match draw.rng.below(4) {
            0 => b"0".to_vec(),
            1 => id(draw),
            _ => special.as_bytes().to_vec(),
        })
        .collect();
    plan.arg("STREAMS").args(keys).args(ids)
}

fn read(draw: &mut Draw) -> Plan {
    let plan = Plan::of("XREAD");
    let plan = maybe_count(draw, plan);
    let special = draw.rng.pick(&["$", "+", "0-1"]);
    if draw.rng.chance(3) {
        let plan = plan.arg("BLOCK").arg(draw.rng.pick(&["1", "-1", "x"]));
        return streams(draw, plan, special).undamaged();
    }
    streams(draw, plan, special)
}

fn read_group(draw: &mut Draw) -> Plan {
    let plan = Plan::of("XREADGROUP").arg("GROUP").arg(name(draw)).arg(consumer(draw));
    let plan = maybe_count(draw, plan);
    let plan = plan.args(if draw.rng.chance(10) { &["NOACK"][..] } else { &[] });
    streams(draw, plan, ">")
}

fn group(draw: &mut Draw) -> Plan {
    let id = match draw.rng.below(4) {
        0 => b"$".to_vec(),
        1 => id(draw),
        _ => b"0".to_vec(),
    };
    let plan = Plan::of("XGROUP");
    match draw.rng.below(12) {
        0..=5 => {
            let plan = plan.arg("CREATE").arg(key(draw)).arg(name(draw)).arg(id);
            let plan = plan.args(draw.some_of(&["MKSTREAM"], 1));
            entries_read(draw, plan)
        }
        6..=7 => {
            let plan = plan.arg("SETID").arg(key(draw)).arg(name(draw)).arg(id);
            entries_read(draw, plan)
        }
        8 if draw.rng.chance(50) => plan.arg("DESTROY").arg(key(draw)).arg(name(draw)),
        9 => plan.arg("DELCONSUMER").arg(key(draw)).arg(name(draw)).arg(consumer(draw)),
        _ => plan.arg("CREATECONSUMER").arg(key(draw)).arg(name(draw)).arg(consumer(draw)),
    }
}

fn entries_read(draw: &mut Draw, plan: Plan) -> Plan {
    match draw.rng.below(6) {
        0 => plan.arg("ENTRIESREAD").arg(draw.rng.pick(&["0", "1", "5", "100", "-1", "-2", "x"])),
        _ => plan,
    }
}

fn acknowledge(draw: &mut Draw) -> Plan {
    Plan::of("XACK").arg(key(draw)).arg(name(draw)).args(ids(draw))
}

/// A time that has passed, or has not, whenever the command runs.
fn idle(draw: &mut Draw) -> String {
    draw.rng.pick(&["0", "0", "0", "1000000000", "-1", "x", "9223372036854775807"]).to_owned()
}

fn pending(draw: &mut Draw) -> Plan {
    let plan = Plan::of("XPENDING").arg(key(draw)).arg(name(draw));
    if draw.rng.chance(30) {
        return plan;
    }
    let plan = if draw.rng.chance(30) { plan.arg("IDLE").arg(idle(draw)) } else { plan };
    let plan = plan.arg(bound(draw)).arg(bound(draw)).arg(count(draw));
    let plan = if draw.rng.chance(40) { plan.arg(consumer(draw)) } else { plan };
    through(plan, without_pending_times)
}

fn claim(draw: &mut Draw) -> Plan {
    let plan = Plan::of("XCLAIM").arg(key(draw)).arg(name(draw)).arg(consumer(draw)).arg(idle(draw));
    let mut plan = plan.args(ids(draw));
    for word in draw.some_of(&["IDLE", "TIME", "RETRYCOUNT", "FORCE", "FORCE", "JUSTID", "LASTID", "bad"], 2)
    {
        plan = plan.arg(word);
        plan = match word {
            "IDLE" => plan.arg(draw.rng.pick(&["0", "2000000000", "-5", "x", "9223372036854775807"])),
            "TIME" => plan.arg(draw.rng.pick(&["0", "1", "1000000000", "-5", "x", "9223372036854775807"])),
            "RETRYCOUNT" => plan.arg(draw.rng.pick(&["0", "1", "7", "-1", "x", "9223372036854775807"])),
            "LASTID" => plan.arg(id(draw)),
            _ => plan,
        };
    }
    plan
}

fn auto_claim(draw: &mut Draw) -> Plan {
    let plan = Plan::of("XAUTOCLAIM").arg(key(draw)).arg(name(draw)).arg(consumer(draw)).arg(idle(draw));
    let plan = plan.arg(bound(draw));
    // A large count makes Redis allocate room for as many IDs.
    let plan = match draw.rng.chance(40) {
        true => plan.arg("COUNT").arg(draw.rng.pick(&["1", "2", "3", "10", "0", "-1", "x"])),
        false => plan,
    };
    plan.args(draw.some_of(&["JUSTID"], 1)).undamaged()
}

fn info(draw: &mut Draw) -> Plan {
    let plan = Plan::of("XINFO");
    match draw.rng.below(10) {
        0..=2 => plan.arg("STREAM").arg(key(draw)),
        3..=5 => {
            let plan = plan.arg("STREAM").arg(key(draw)).arg("FULL");
            let plan = if draw.rng.chance(70) { plan.arg("COUNT").arg(count(draw)) } else { plan };
            through(plan, without_times)
        }
        6 | 7 => plan.arg("GROUPS").arg(key(draw)),
        _ => through(plan.arg("CONSUMERS").arg(key(draw)).arg(name(draw)), without_idle_times),
    }
}

fn set_id(draw: &mut Draw) -> Plan {
    let mut plan = Plan::of("XSETID").arg(key(draw)).arg(id(draw));
    for word in draw.some_of(&["ENTRIESADDED", "MAXDELETEDID"], 2) {
        plan = plan.arg(word);
        plan = match word {
            "ENTRIESADDED" => plan.arg(draw.rng.pick(&["0", "10", "100", "-1", "x", "1000"])),
            _ => plan.arg(id(draw)),
        };
    }
    plan
}

/// Entries of a node. Not its bytes: in runs that changed these, Redis 8.2.3 crashed.
fn node_size(draw: &mut Draw) -> Plan {
    let entries = draw.rng.pick(&["0", "1", "2", "4", "10", "100", "4"]);
    Plan::of("CONFIG").arg("SET").arg("stream-node-max-entries").arg(entries).undamaged()
}

fn through(mut plan: Plan, form: fn(&[u8]) -> Vec<u8>) -> Plan {
    plan.how = How::Through(form);
    plan
}

/// What stands for a time.
const TIME: &[u8] = b":time\r\n";

fn joined(head: &[u8], parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut all = head.to_vec();
    parts.into_iter().for_each(|part| all.extend(part));
    all
}

/// The reply of XPENDING without the times since the deliveries.
fn without_pending_times(reply: &[u8]) -> Vec<u8> {
    let Some((head, parts)) = reply::elements(reply) else { return reply.to_vec() };
    joined(
        head,
        parts.into_iter().map(|part| match reply::elements(part) {
            Some((head, parts)) if parts.len() == 4 => [head, parts[0], parts[1], TIME, parts[3]].concat(),
            _ => part.to_vec(),
        }),
    )
}

/// The reply of XINFO CONSUMERS without the times since something happened.
fn without_idle_times(reply: &[u8]) -> Vec<u8> {
    let Some((head, parts)) = reply::elements(reply) else { return reply.to_vec() };
    let is_time = |part: &[u8]| reply::integer(part).is_some_and(|n| n >= 0);
    joined(
        head,
        parts.into_iter().map(|part| match reply::elements(part) {
            Some((head, mut parts)) if parts.len() == 8 => {
                for at in [5, 7] {
                    if is_time(parts[at]) {
                        parts[at] = TIME;
                    }
                }
                [head, &parts.concat()].concat()
            }
            _ => part.to_vec(),
        }),
    )
}

/// Any reply without numbers that can only be times of today.
fn without_times(reply: &[u8]) -> Vec<u8> {
    const SINCE: i64 = 1_500_000_000_000;
    const UNTIL: i64 = 4_000_000_000_000;
    match reply::elements(reply) {
        Some((head, parts)) => joined(head, parts.into_iter().map(without_times)),
        None if reply::integer(reply).is_some_and(|n| (SINCE..UNTIL).contains(&n)) => TIME.to_vec(),
        None => reply.to_vec(),
    }
}
