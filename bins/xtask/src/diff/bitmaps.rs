//! Random commands on bitmaps, beside commands that set and show the same strings. Offsets stay small enough that no
//! string becomes large, so commands that extend one are not changed at random.

use super::draw::Draw;
use super::plan::Plan;

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=17 => {
            let bit = draw.rng.pick(&["0", "1", "1", "0", "1", "2", "-1", "x", ""]);
            Plan::of("SETBIT").arg(key(draw)).arg(offset(draw)).arg(bit).undamaged()
        }
        18..=24 => Plan::of("GETBIT").arg(key(draw)).arg(offset(draw)),
        25..=36 => count(draw),
        37..=48 => position(draw),
        49..=62 => operation(draw),
        63..=84 => fields(draw),
        85..=89 => Plan::of("SET").arg(key(draw)).arg(draw.value()),
        90..=91 => Plan::of("SETRANGE").arg(key(draw)).arg(draw.rng.range(0, 300).to_string()).arg("\u{7}x"),
        92..=93 => Plan::of("APPEND").arg(key(draw)).arg(draw.value()),
        94 => Plan::of("DEL").arg(key(draw)),
        95 => Plan::of("OBJECT").arg("ENCODING").arg(key(draw)),
        _ => Plan::of("GET").arg(key(draw)),
    }
}

fn key(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(4) {
        0 => draw.key(),
        n => format!("bits{n}").into_bytes(),
    }
}

/// A bit's offset: within the inline strings, around the length from which strings are apart, or refused.
fn offset(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0..=12 => draw.rng.range(0, 200).to_string().into_bytes(),
        13..=16 => draw.rng.range(7_700, 8_300).to_string().into_bytes(),
        17 => draw.rng.range(0, 20_000).to_string().into_bytes(),
        _ => {
            let refused =
                ["-1", "4294967296", "9223372036854775807", "99999999999999999999", "x", "", "1.0", "01"];
            draw.rng.pick(&refused).as_bytes().to_vec()
        }
    }
}

fn range(plan: Plan, draw: &mut Draw) -> Plan {
    let plan = plan.arg(draw.index()).arg(draw.index());
    match draw.rng.below(4) {
        0 | 1 => plan.arg(draw.rng.pick(&["BIT", "BYTE", "bit", "Byte"])),
        2 if draw.rng.chance(20) => plan.arg(draw.rng.pick(&["BITS", "", "0"])),
        _ => plan,
    }
}

fn count(draw: &mut Draw) -> Plan {
    let plan = Plan::of("BITCOUNT").arg(key(draw));
    if draw.rng.chance(25) { plan } else { range(plan, draw) }
}

fn position(draw: &mut Draw) -> Plan {
    let bit = draw.rng.pick(&["0", "1", "0", "1", "0", "1", "2", "x"]);
    let plan = Plan::of("BITPOS").arg(key(draw)).arg(bit);
    match draw.rng.below(4) {
        0 => plan,
        1 => plan.arg(draw.index()),
        _ => range(plan, draw),
    }
}

fn operation(draw: &mut Draw) -> Plan {
    let name = draw
        .rng
        .pick(&["AND", "OR", "XOR", "NOT", "NOT", "DIFF", "DIFF1", "ANDOR", "ONE", "and", "one", "NAND"]);
    let most = if name == "NOT" && draw.rng.chance(80) { 1 } else { 4 };
    let sources: Vec<Vec<u8>> = (0..draw.rng.range(1, most)).map(|_| key(draw)).collect();
    Plan::of("BITOP").arg(name).arg(key(draw)).args(sources)
}

fn fields(draw: &mut Draw) -> Plan {
    let name = draw.rng.pick(&["BITFIELD", "BITFIELD", "BITFIELD", "BITFIELD_RO"]);
    let mut plan = Plan::of(name).arg(key(draw)).undamaged();
    for _ in 0..draw.rng.below(5) {
        if draw.rng.chance(30) {
            plan = plan.arg("OVERFLOW").arg(draw.rng.pick(&["WRAP", "SAT", "FAIL", "sat", "fail", "NONE"]));
        }
        let action = match name {
            "BITFIELD_RO" => draw.rng.pick(&["GET", "GET", "GET", "SET"]),
            _ => draw.rng.pick(&["GET", "SET", "INCRBY", "set", "incrby", "INCR"]),
        };
        plan = plan.arg(action).arg(shape(draw)).arg(place(draw));
        if !action.eq_ignore_ascii_case("GET") {
            plan = plan.arg(draw.integer());
        }
    }
    plan
}

fn shape(draw: &mut Draw) -> String {
    match draw.rng.below(15) {
        0 => draw.rng.pick(&["u0", "u64", "i65", "x8", "i", "", "u-1", "u08", "I8"]).to_owned(),
        1..=5 => draw.rng.pick(&["i8", "u8", "i16", "u63", "i64", "u1", "i1"]).to_owned(),
        _ => format!("{}{}", draw.rng.pick(&["i", "u"]), draw.rng.range(1, 63)),
    }
}

/// Where a field begins: in bits, or in fields.
fn place(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(10) {
        0..=2 => format!("#{}", draw.rng.below(40)).into_bytes(),
        3 => draw.rng.pick(&["#", "#-1", "##1", "#9223372036854775807", "#x"]).as_bytes().to_vec(),
        _ => offset(draw),
    }
}
