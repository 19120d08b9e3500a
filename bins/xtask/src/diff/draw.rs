//! Random keys, values and numbers, with the edges drawn often.

use carnelian_testkit::Rng;

use super::plan::{Damage, Plan};

/// Numbers at which integer commands change their answer. None lies between 20,000 and 512 MB, where SETRANGE
/// would be allowed and slow, and none is a small positive time.
const INTEGER_EDGES: [&str; 26] = [
    "0",
    "-1",
    "-0",
    "+1",
    " 1",
    "1 ",
    "01",
    "",
    "abc",
    "1.5",
    "1e3",
    "0x10",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "9223372036854775806",
    "-9223372036854775807",
    "18446744073709551615",
    "4294967296",
    "2147483648",
    "-2147483648",
    "536870912",
    "99999999999999999999",
    "--1",
    "1\0",
];
const FLOAT_EDGES: [&str; 40] = [
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1",
    "-1",
    "1.5",
    "0.1",
    "0.2",
    "3.0e3",
    "1e-7",
    "1E5",
    "5e-324",
    "1.7976931348623157e308",
    "1e309",
    "-1e309",
    "inf",
    "-inf",
    "+inf",
    "Infinity",
    "nan",
    "-nan",
    "NaN",
    "abc",
    "",
    " 1",
    "1 ",
    "1.",
    ".5",
    "+.5",
    "0x1p3",
    "1e",
    "1.5.5",
    "123456789012345678",
    "9007199254740993",
    "0.30000000000000004",
    "3.14159265358979323846",
    "1e17",
    "1e21",
    "-1.0000000000000001",
];
const TIME_EDGES: [&str; 14] = [
    "0",
    "-1",
    "abc",
    "",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "9223372036854775",
    "9223372036854776",
    "-9999999999",
    "4294967295000",
    "+100000",
    "9223370400000000",
];

/// The source of random arguments.
#[derive(Debug)]
pub(crate) struct Draw {
    pub(crate) rng: Rng,
    keys: Vec<Vec<u8>>,
    /// Wall-clock seconds at the start of the run.
    now: i64,
    /// The milliseconds of the last ID drawn for a stream.
    pub(crate) stream_ms: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64, now: i64) -> Self {
        let mut keys: Vec<Vec<u8>> = (0..24).map(|n| format!("k{n}").into_bytes()).collect();
        keys.extend([
            Vec::new(),
            b"\0\xff\r\n".to_vec(),
            b"a key".to_vec(),
            b"user:1000:name".to_vec(),
            b"{tag}1".to_vec(),
            "ключ".as_bytes().to_vec(),
            vec![b'L'; 300],
            b"12345".to_vec(),
        ]);
        Self { rng: Rng::new(seed), keys, now, stream_ms: 1 }
    }

    pub(crate) fn key(&mut self) -> Vec<u8> {
        self.keys[self.rng.below(self.keys.len())].clone()
    }

    pub(crate) fn is_key(&self, arg: &[u8]) -> bool {
        const OWN: [&[u8]; 4] = [b"lcs", b"list", b"hll", b"geo"];
        self.keys.iter().any(|key| key == arg)
            || OWN.iter().any(|prefix| arg.starts_with(prefix))
            || super::sort::is_own_key(arg)
    }

    /// `low` to `high` keys, with repetitions.
    pub(crate) fn keys(&mut self, low: i64, high: i64) -> Vec<Vec<u8>> {
        (0..self.rng.range(low, high)).map(|_| self.key()).collect()
    }

    pub(crate) fn value(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0..=4 => self.rng.range(-20, 12_000).to_string().into_bytes(),
            5 | 6 => self.rng.pick(&INTEGER_EDGES).as_bytes().to_vec(),
            7 | 8 => self.rng.pick(&FLOAT_EDGES).as_bytes().to_vec(),
            9 => (self.rng.next_u64() as i64).to_string().into_bytes(),
            10..=15 => self.text(60),
            16 => self.bytes(60),
            17 => Vec::new(),
            18 => self.text(1200),
            _ => {
                let length = self.rng.pick(&[&43, &44, &45, &63, &64, &127, &128, &255, &256]);
                vec![b'v'; *length]
            }
        }
    }

    fn text(&mut self, longest: usize) -> Vec<u8> {
        let length = self.rng.below(longest + 1);
        (0..length).map(|_| b"abcdefghij ABC.,:-"[self.rng.below(18)]).collect()
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let length = self.rng.below(longest + 1);
        (0..length).map(|_| self.rng.next_u64() as u8).collect()
    }

    /// For INCRBY and the like: mostly small, often an edge.
    pub(crate) fn integer(&mut self) -> Vec<u8> {
        match self.rng.below(10) {
            0..=2 => self.rng.pick(&INTEGER_EDGES).as_bytes().to_vec(),
            3 => (self.rng.next_u64() as i64).to_string().into_bytes(),
            _ => self.rng.range(-1000, 1000).to_string().into_bytes(),
        }
    }

    pub(crate) fn float(&mut self) -> Vec<u8> {
        match self.rng.below(10) {
            0..=3 => self.rng.pick(&FLOAT_EDGES).as_bytes().to_vec(),
            4..=6 => format!("{}.{}", self.rng.range(-999, 999), self.rng.below(100_000)).into_bytes(),
            7 => format!("{}", self.rng.next_u64() as i64 as f64 / 1e9).into_bytes(),
            8 => format!(
                "{:e}",
                self.rng.range(-9_999, 9_999) as f64 * 10f64.powi(self.rng.range(-12, 12) as i32)
            )
            .into_bytes(),
            _ => self.integer(),
        }
    }

    /// An offset into a string; never one at which it would become large.
    pub(crate) fn index(&mut self) -> Vec<u8> {
        match self.rng.below(10) {
            0 => self.rng.pick(&INTEGER_EDGES).as_bytes().to_vec(),
            1 => self.rng.range(-1500, 1500).to_string().into_bytes(),
            _ => self.rng.range(-12, 12).to_string().into_bytes(),
        }
    }

    pub(crate) fn database(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 => self
                .rng
                .pick(&["15", "16", "-1", "abc", "", "9223372036854775808", "0x1", "1.5"])
                .as_bytes()
                .to_vec(),
            1 => self.rng.range(0, 15).to_string().into_bytes(),
            _ => self.rng.range(0, 2).to_string().into_bytes(),
        }
    }

    /// A relative time far enough away that the run ends before it, or one that is refused or already past.
    /// Draws hardly ever repeat: two equal relative times would make GT and LT depend on the millisecond.
    pub(crate) fn span(&mut self, milliseconds: bool) -> Vec<u8> {
        if self.rng.chance(15) {
            return self.rng.pick(&TIME_EDGES).as_bytes().to_vec();
        }
        let seconds = self.rng.range(10_000, 1_000_000_000);
        (if milliseconds { seconds * 1000 } else { seconds }).to_string().into_bytes()
    }

    /// An absolute time: far away or refused, and past if that is allowed.
    pub(crate) fn instant(&mut self, milliseconds: bool, past: bool) -> Vec<u8> {
        let seconds = match self.rng.below(20) {
            0..=2 => return self.rng.pick(&TIME_EDGES).as_bytes().to_vec(),
            3 if past => self.now - self.rng.range(10, 100_000),
            _ => self.now + 10_000 * self.rng.range(1, 40),
        };
        (if milliseconds { seconds * 1000 } else { seconds }).to_string().into_bytes()
    }

    /// EX, PX, EXAT or PXAT with its argument; never a past one: Redis keeps such a key until it is looked at,
    /// so that the number of keys would depend on the clock.
    pub(crate) fn expiry(&mut self) -> [Vec<u8>; 2] {
        let word = self.rng.below(4);
        let time = match word {
            0 | 1 => self.span(word == 1),
            _ => self.instant(word == 3, false),
        };
        [["EX", "PX", "EXAT", "PXAT"][word].as_bytes().to_vec(), time]
    }

    /// Some of `words`, in any order, possibly repeated, possibly contradicting each other.
    pub(crate) fn some_of<'a>(&mut self, words: &[&'a str], most: usize) -> Vec<&'a str> {
        (0..self.rng.below(most + 1)).map(|_| self.rng.pick(words)).collect()
    }

    /// Damages a few commands: too few or too many arguments, edges in odd places, other letter case.
    pub(crate) fn mutate(&mut self, mut plan: Plan) -> Plan {
        if plan.damage == Damage::Forbidden {
            return plan;
        }
        let timed = plan.damage == Damage::Timed;
        let last = plan.argv.len() - 1;
        match self.rng.below(100) {
            0 if last > 0 => {
                plan.argv.pop();
            }
            1 => {
                let word = self.rng.pick(&["x", "", "-1", "NX", "GET", "0", "KEEPTTL"]);
                plan.argv.push(word.as_bytes().to_vec());
            }
            2 if last > 0 => {
                let at = 1 + self.rng.below(last);
                plan.argv[at] = self
                    .rng
                    .pick(if timed { &TIME_EDGES[..] } else { &INTEGER_EDGES[..] })
                    .as_bytes()
                    .to_vec();
            }
            3 if last > 1 && !timed => {
                let (a, b) = (1 + self.rng.below(last), 1 + self.rng.below(last));
                plan.argv.swap(a, b);
            }
            4..=9 => plan.argv[0].make_ascii_lowercase(),
            10 => {
                if let Some(letter) = plan.argv[0].first_mut().filter(|letter| letter.is_ascii_alphabetic()) {
                    *letter ^= 0x20;
                }
            }
            11 => plan.argv.truncate(1),
            _ => {}
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::super::{generic, strings, valkey};
    use super::*;

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn a_seed_fixes_the_stream() {
        let stream = |seed| {
            let mut draw = Draw::new(seed, NOW);
            (0..1000).map(|_| strings::plan(&mut draw).argv).collect::<Vec<_>>()
        };
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
    }

    /// Replies must not depend on when a command arrives.
    #[test]
    fn no_deadline_comes_during_a_run() {
        const SOON: i64 = 9_999;
        let mut draw = Draw::new(3, NOW);
        for _ in 0..100_000 {
            let plan = match draw.rng.below(3) {
                0 => strings::plan(&mut draw),
                1 => generic::plan(&mut draw),
                _ => valkey::plan(&mut draw),
            };
            let argv = draw.mutate(plan).argv;
            for pair in argv.windows(2).filter(|pair| pair[0] == b"EX" || pair[0] == b"PX") {
                let time = std::str::from_utf8(&pair[1]).ok().and_then(|text| text.parse::<i64>().ok());
                let is_soon = time.is_some_and(|time| (1..=SOON).contains(&time));
                assert!(!is_soon || argv[0].eq_ignore_ascii_case(b"LCS"), "{argv:?}");
            }
        }
    }

    #[test]
    fn no_string_grows_large() {
        let mut draw = Draw::new(4, NOW);
        for _ in 0..100_000 {
            let plan = strings::plan(&mut draw);
            let argv = draw.mutate(plan).argv;
            if argv.len() == 4 && argv[0].eq_ignore_ascii_case(b"SETRANGE") {
                let offset = std::str::from_utf8(&argv[2]).ok().and_then(|text| text.parse::<i64>().ok());
                assert!(!offset.is_some_and(|offset| (20_000..512 << 20).contains(&offset)), "{argv:?}");
            }
        }
    }
}
