//! `math.random` and `math.randomseed`, from the generator of `lrand48` (48 bits, linear congruential), as in Redis.

use super::{check_integer, check_number};
use crate::lua::{Lua, Raise};

const FACTOR: u64 = 0x5_DEEC_E66D;
const ADDEND: u64 = 0xb;
const MASK: u64 = (1 << 48) - 1;
/// What `srand48` puts below the seed.
const LOW: u64 = 0x330e;
const MOST: u64 = (1 << 31) - 1;

/// The state of a generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: i64) -> Random {
        Random((((seed as u64) << 16) + LOW) & MASK)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(ADDEND) & MASK;
        self.0 >> 17
    }
}

/// Replaces the functions in the table of mathematical ones on top of the stack.
pub(crate) fn open(lua: &mut Lua) {
    lua.push_native(random, 0);
    lua.set_field(-2, "random");
    lua.push_native(seed, 0);
    lua.set_field(-2, "randomseed");
}

fn random(lua: &mut Lua) -> Result<i32, Raise> {
    let drawn = lua.with_session(|_, session| session.random.next());
    let fraction = (drawn % MOST) as f64 / MOST as f64;
    let args = lua.top();
    let number = match args {
        0 => fraction,
        1 | 2 => {
            let low = if args == 1 { 1 } else { check_integer(lua, 1)? };
            let high = check_integer(lua, args)?;
            if low > high {
                return Err(lua.bad_argument(args, "interval is empty"));
            }
            (fraction * (high.wrapping_sub(low).wrapping_add(1)) as f64).floor() + low as f64
        }
        _ => return Err(lua.raise_here("wrong number of arguments")),
    };
    lua.push_number(number);
    Ok(1)
}

fn seed(lua: &mut Lua) -> Result<i32, Raise> {
    let seed = check_number(lua, 1)?;
    let seed = i64::from(crate::convert::truncated(seed) as i32);
    lua.with_session(|_, session| session.random = Random::new(seed));
    Ok(0)
}
