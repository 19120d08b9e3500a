//! Random commands on HyperLogLogs. Their bytes are compared, too: with GET, and as a part of the dataset.

use super::draw::Draw;
use super::plan::Plan;

/// What a sparse HyperLogLog begins with, its estimate out of date.
const SPARSE: &[u8] = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";

pub(crate) fn plan(draw: &mut Draw) -> Plan {
    match draw.rng.below(100) {
        0..=44 => {
            let elements = match draw.rng.below(20) {
                0 => draw.rng.range(100, 600),
                1..=5 => draw.rng.range(0, 30),
                _ => draw.rng.range(0, 3),
            };
            let elements: Vec<Vec<u8>> = (0..elements).map(|_| element(draw)).collect();
            Plan::of("PFADD").arg(key(draw)).args(elements)
        }
        45..=59 => Plan::of("PFCOUNT").arg(key(draw)),
        60..=66 => Plan::of("PFCOUNT").args(keys(draw)),
        67..=75 => Plan::of("PFMERGE").args(keys(draw)),
        76..=83 => Plan::of("GET").arg(key(draw)),
        84..=88 => {
            let word =
                draw.rng.pick(&["ENCODING", "DECODE", "encoding", "TODENSE", "GETREG", "decode", "NONSENSE"]);
            Plan::of("PFDEBUG").arg(word).arg(key(draw))
        }
        89 => Plan::of("DEL").arg(key(draw)),
        90 | 91 => {
            let limit = draw.rng.pick(&["3000", "3000", "100", "700", "0", "18", "12000"]);
            Plan::of("CONFIG").arg("SET").arg("hll-sparse-max-bytes").arg(limit).undamaged()
        }
        92..=94 => Plan::of("SET").arg(key(draw)).arg(damaged(draw)).undamaged(),
        95 => Plan::of("COPY").arg(key(draw)).arg(key(draw)).arg("REPLACE"),
        96 => Plan::of("STRLEN").arg(key(draw)),
        97 => Plan::of("OBJECT").arg("ENCODING").arg(key(draw)),
        // Another byte could begin a run that does not end.
        _ => Plan::of("APPEND").arg(key(draw)).arg("\0").undamaged(),
    }
}

fn key(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(20) {
        0 => draw.key(),
        n => format!("hll{}", n % 8).into_bytes(),
    }
}

fn keys(draw: &mut Draw) -> Vec<Vec<u8>> {
    (0..draw.rng.range(1, 4)).map(|_| key(draw)).collect()
}

fn element(draw: &mut Draw) -> Vec<u8> {
    match draw.rng.below(10) {
        0 => draw.value(),
        1..=5 => draw.rng.range(0, 300).to_string().into_bytes(),
        _ => draw.rng.next_u64().to_le_bytes()[..1 + draw.rng.below(8)].to_vec(),
    }
}

/// Something close to a HyperLogLog. It does not end within a run, which the peers read on behind the end.
fn damaged(draw: &mut Draw) -> Vec<u8> {
    let runs: [&[u8]; 8] =
        [b"\x7f\xff", b"\x40\x00", b"\x00", b"\x3f", b"\x80", b"\x84", b"\xff", b"\x7f\xfe\x80"];
    let mut bytes = SPARSE.to_vec();
    match draw.rng.below(8) {
        0 => bytes[4] = draw.rng.below(4) as u8,
        1 => bytes[0] = b'h',
        2 => bytes.truncate(draw.rng.below(16)),
        3 => bytes[15] = 0x7f,
        _ => {}
    }
    if draw.rng.chance(40) {
        bytes.extend(b"\x7f\xff");
    }
    for _ in 0..draw.rng.below(4) {
        bytes.extend(draw.rng.pick(&runs));
    }
    bytes
}
