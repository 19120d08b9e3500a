//! The commands that make a dataset with every type and encoding.

/// What a server knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    /// HEXPIRE and its like.
    pub(crate) field_deadlines: bool,
    /// FUNCTION.
    pub(crate) functions: bool,
}

/// A time before all deadlines of the dataset, in unix milliseconds.
pub(crate) const NOW: u64 = 1_000_000_000_000;

/// Far enough away that no test sees it pass.
const LATER: u64 = 4_000_000_000_000;

type Command = Vec<Vec<u8>>;

fn split(line: &str) -> Command {
    line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
}

fn with(line: &str, words: impl IntoIterator<Item = Vec<u8>>) -> Command {
    split(line).into_iter().chain(words).collect()
}

/// Bytes that neither repeat nor mean anything.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| byte()).collect()
}

fn numbered(prefix: &str, n: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..n).map(move |i| format!("{prefix}{i}").into_bytes())
}

/// Names and values in turns.
fn pairs(n: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..n).flat_map(|i| [format!("field:{i}").into_bytes(), format!("value:{}", i * i).into_bytes()])
}

fn scored(n: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..n).flat_map(move |i| {
        [format!("{}", i as f64 / 3.0).into_bytes(), format!("member:{}", i * 7919 % n).into_bytes()]
    })
}

fn strings() -> Vec<Command> {
    let mut commands: Vec<Command> = ["0", "-1", "127", "128", "-128", "-129", "32767", "-32768", "32768"]
        .into_iter()
        .chain(["2147483647", "-2147483648", "2147483648", "9223372036854775807", "-9223372036854775808"])
        .chain(["9223372036854775808", "007", "-0", "+1", "3.14", "1e3"])
        .map(|number| split(&format!("SET number:{number} {number}")))
        .collect();
    for len in [1, 20, 21, 63, 64, 300, 16383, 16384] {
        commands.push(with("SET", [format!("same:{len}").into_bytes(), vec![b'z'; len]]));
        commands.push(with("SET", [format!("noise:{len}").into_bytes(), noise(len, len as u64)]));
    }
    commands.push(with("SET", [b"".to_vec(), b"".to_vec()]));
    commands.push(with("SET", [b"\x00\xff\r\n".to_vec(), b"\xff\x00".to_vec()]));
    commands.push(with("SET", [noise(300, 5), b"a long key".to_vec()]));
    commands.push(split("SET 12345 a_key_that_is_a_number"));
    commands.push(split(&format!("SET with:deadline v PXAT {LATER}")));
    commands
}

fn lists() -> Vec<Command> {
    vec![
        split("RPUSH list:small a b 1 -1 300 70000 9999999999 -4096 127 128"),
        with("RPUSH list:text", [noise(100, 1), vec![b'x'; 1000], b"".to_vec()]),
        with("RPUSH list:many", numbered("element:", 5000)),
        with("RPUSH list:numbers", numbered("", 3000)),
        with("RPUSH list:large", [vec![b'a'; 20000], noise(9500, 2), b"c".to_vec(), vec![b'd'; 9000]]),
        split(&format!("PEXPIREAT list:many {LATER}")),
    ]
}

fn sets() -> Vec<Command> {
    vec![
        split("SADD set:ints16 1 2 3 -32768 32767"),
        split("SADD set:ints32 1 2 3 70000 -70000"),
        split("SADD set:ints64 1 2 3 99999999999"),
        split("SADD set:pack a b c 12 -5 hello"),
        with("SADD set:table", numbered("member:", 1000)),
        with("SADD set:numbers", numbered("", 2000)),
        with("SADD set:long", [noise(100, 3), vec![b'q'; 5000], b"".to_vec()]),
    ]
}

fn sorted_sets() -> Vec<Command> {
    vec![
        split("ZADD zset:pack 1 a 2 b 2 c 2.5 d -1 e 0.1 f 1e300 g -inf low inf high 12345678901234 h 7 42"),
        with("ZADD zset:table", scored(1000)),
        split("ZADD zset:mixed 0 zero 3 z 3 y 3 x 1.7976931348623157e308 max 5e-324 min -0.5 half"),
        with("ZADD zset:long", [b"5".to_vec(), noise(100, 4), b"-7.25".to_vec(), b"short".to_vec()]),
        split("GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"),
    ]
}

fn hashes(features: Features) -> Vec<Command> {
    let mut commands = vec![
        split("HSET hash:pack a 1 b two c 3.5 1 2 -70000 99999999999"),
        with("HSET hash:table", pairs(1000)),
        with("HSET hash:long", [b"f".to_vec(), noise(100, 6), b"".to_vec(), b"".to_vec()]),
    ];
    if features.field_deadlines {
        commands.extend([
            split("HSET hash:timed a 1 b two c 3 d 4"),
            split(&format!("HPEXPIREAT hash:timed {} FIELDS 1 b", LATER + 5)),
            split(&format!("HPEXPIREAT hash:timed {LATER} FIELDS 1 d")),
            with("HSET hash:timed:table", pairs(1000)),
            with(&format!("HPEXPIREAT hash:timed:table {LATER} FIELDS 50"), numbered("field:", 50)),
            split(&format!("HPEXPIREAT hash:timed:table {} FIELDS 1 field:7", LATER + 9)),
            split("HSET hash:untimed a 1 b 2"),
            split(&format!("HPEXPIREAT hash:untimed {LATER} FIELDS 1 a")),
            split("HPERSIST hash:untimed FIELDS 1 a"),
        ]);
    }
    commands
}

fn streams() -> Vec<Command> {
    let mut commands: Vec<Command> = (1..=250)
        .map(|i| split(&format!("XADD stream:many {}-{} temperature {} unit C", i / 3 + 1, i, i)))
        .collect();
    for line in [
        "XADD stream 1-1 a 1 b 2",
        "XADD stream 1-2 a 3 b 4",
        "XADD stream 5-0 other field",
        "XADD stream 7-7 a 5 b 6",
        "XADD stream 18446744073709551615-1 a last b one",
        "XDEL stream 1-2",
        "XGROUP CREATE stream group 0",
        "XGROUP CREATE stream idle 5-0",
        "XGROUP CREATE stream end $",
        "XREADGROUP GROUP group alice COUNT 2 STREAMS stream >",
        "XREADGROUP GROUP group bob COUNT 1 STREAMS stream >",
        "XACK stream group 5-0",
        "XGROUP CREATECONSUMER stream group carol",
        "XDEL stream 7-7",
        "XDEL stream:many 2-5 3-7",
        "XADD stream:empty 5-5 a b",
        "XDEL stream:empty 5-5",
        "XGROUP CREATE stream:empty g 0",
        "XGROUP CREATE stream:none g $ MKSTREAM",
        "XADD stream:trimmed 1-0 a b",
        "XADD stream:trimmed 2-0 a b",
        "XTRIM stream:trimmed MAXLEN 1",
    ] {
        commands.push(split(line));
    }
    commands.push(with("XADD stream:large 1-1", [b"f".to_vec(), noise(9000, 9)]));
    commands
}

/// The dataset. Databases 0 and 3 are used.
pub(crate) fn commands(features: Features) -> Vec<Command> {
    let mut commands =
        vec![split("FLUSHALL"), split("SELECT 3"), split("SET elsewhere 1"), split("RPUSH l 1 2")];
    commands.push(split("SELECT 0"));
    for part in [strings(), lists(), sets(), sorted_sets(), hashes(features), streams()] {
        commands.extend(part);
    }
    commands.push(split("PFADD hll a b c d e f"));
    commands.push(split("SETBIT bits 70000 1"));
    if features.functions {
        let code = "#!lua name=mine\nredis.register_function('f', function() return 1 end)";
        commands.push(vec![
            b"FUNCTION".to_vec(),
            b"LOAD".to_vec(),
            b"REPLACE".to_vec(),
            code.as_bytes().to_vec(),
        ]);
    }
    commands
}
