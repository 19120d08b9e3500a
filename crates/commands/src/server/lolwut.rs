//! LOLWUT: a picture for people, and the version for tools.

use crate::args::{int, is};
use crate::context::Ctx;
use crate::engine::REDIS_VERSION;
use crate::error::Error;
use crate::row::{Flags, Group, Row};

pub(crate) static ROWS: &[Row] = &[Row {
    name: "lolwut",
    summary: "Shows a picture, and the server's version.",
    since: "5.0.0",
    group: Group::Server,
    arity: -1,
    flags: Flags::READONLY.union(Flags::FAST),
    syntax: "[VERSION version:integer] [arg]...",
    run: lolwut,
    ..Row::EMPTY
}];

/// Half the picture's height, in lines.
const RADIUS: i64 = 9;

fn lolwut(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.get(1).is_some_and(|word| is(word, "VERSION")) {
        let numbers = cx.argv.iter().skip(2).take(4);
        numbers.map(int).collect::<Result<Vec<_>, _>>()?;
    }
    let mut text = picture(cx.now_us);
    text.push_str(&format!("\nRedis ver. {REDIS_VERSION}, Carnelian ver. {}\n", env!("CARGO_PKG_VERSION")));
    cx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// A cut stone, whose facets shimmer differently at any time.
fn picture(seed: u64) -> String {
    const SHADES: [char; 5] = ['.', ':', '+', '*', '#'];
    let mut text = String::new();
    for y in -RADIUS..=RADIUS {
        for x in -2 * RADIUS..=2 * RADIUS {
            let (across, down) = (x.abs() / 2, y.abs());
            if across + down > RADIUS {
                text.push(' ');
                continue;
            }
            let facet = (x - 2 * y).div_euclid(7) * 31 + (x + 2 * y).div_euclid(7) * 17;
            let light = (facet as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed).rotate_left(23);
            text.push(SHADES[(light.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 32) as usize % SHADES.len()]);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}
