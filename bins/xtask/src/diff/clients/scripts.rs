//! Scripts: fixed ones that are loaded and called by their sums, and bodies put together from statements and results.

use super::super::draw::Draw;
use super::super::plan::Plan;
use super::data;
use super::scene::{Scene, Step};

/// Scripts with their SHA-1, to call one before and after it was loaded.
const KNOWN: [(&str, &str); 4] = [
    ("return 1", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
    ("return KEYS[1]", "4a2267357833227dd98abdedb8cf24b15a986445"),
    ("return redis.call('incr',KEYS[1])", "6f5ade10a69975e903c6d07b10ea44c6382381a5"),
    ("return ARGV", "4cf2342858f27cba86b2b790280b0ba54885a7d0"),
];

/// What comes before the result. `@` stands for a call with a random command.
const STATEMENTS: [&str; 22] = [
    "",
    "",
    "local r = @;",
    "local r = @;",
    "local r = @; local s = @;",
    "local ok, r = pcall(function() return @ end);",
    "local r = redis.pcall('INCR', KEYS[1]); if type(r) == 'table' and r.err then return {'caught', r.err} end;",
    "for i = 1, 3 do redis.call('RPUSH', 'd', i) end;",
    "redis.setresp(3); local r = @;",
    "redis.setresp(3); local r = redis.call('HGETALL', KEYS[1]);",
    "redis.setresp(2); local r = @;",
    "redis.log(redis.LOG_DEBUG, 'a line');",
    "redis.replicate_commands();",
    "redis.set_repl(redis.REPL_ALL);",
    "undefined_thing();",
    "made_up = 1;",
    "error('raised');",
    "error({err = 'TABLE raised'});",
    "error();",
    "local t = {}; t[1][2] = 3;",
    "redis.call();",
    "local r = redis.call('SELECT', '1');",
];

/// What is returned.
const RESULTS: [&str; 78] = [
    "r",
    "r",
    "r",
    "r",
    "s",
    "KEYS",
    "ARGV",
    "#ARGV",
    "nil",
    "true",
    "false",
    "3.99",
    "-3.99",
    "1e20",
    "-1e20",
    "0/0",
    "2^53",
    "'text'",
    "''",
    "{}",
    "{1, 2, nil, 4}",
    "{1, {2, {3, {}}}}",
    "{ok = 'fine'}",
    "{err = 'bad'}",
    "{err = 'CODE bad'}",
    "{err = 'two\\nlines'}",
    "{ok = 'two\\nlines'}",
    "{double = 3.25}",
    "{double = 1/0}",
    "{map = {a = 1}}",
    "{set = {a = true}}",
    "{big_number = '12345678901234567890'}",
    "{verbatim_string = {string = 'x', format = 'txt'}}",
    "{verbatim_string = 1}",
    "{a = 1}",
    "{false, true, 'x'}",
    "redis.status_reply('good')",
    "redis.error_reply('bad')",
    "redis.error_reply('-CODE x')",
    "redis.error_reply('')",
    "redis.error_reply(1)",
    "redis.status_reply()",
    "redis.sha1hex('')",
    "redis.sha1hex('x')",
    "redis.sha1hex()",
    "redis.call('TYPE', KEYS[1])",
    "redis.pcall('NOSUCH')",
    "redis.call('NOSUCH', 'x')",
    "redis.call('GET')",
    "redis.call('SUBSCRIBE', 'x')",
    "redis.call('MULTI')",
    "redis.call('BLPOP', KEYS[1], 0)",
    "redis.call('PUBLISH', 'ch', 'from a script')",
    "redis.call('EVAL', 'return 1', 0)",
    "redis.call('SET', KEYS[1], {})",
    "redis.call('SET', KEYS[1], 1.5)",
    "cjson.encode({1, 2, 'x', {a = 1}})",
    "cjson.encode({1.5, 1e100, -0.0})",
    "cjson.encode('\"\\\\/\\n')",
    "cjson.decode(ARGV[1])",
    "cjson.decode('[1, 2.5, null, \"x\", {\"a\": [true]}]')",
    "cjson.decode('{bad')",
    "cjson.encode(cjson.null)",
    "cjson.encode({[3] = 1})",
    "cjson.encode({[1] = 1, x = 2, [2.5] = 3} ~= nil)",
    "cmsgpack.pack(1, 'x', {1, 2}, -1.5)",
    "{cmsgpack.unpack(cmsgpack.pack({a = 1}, 70000, -70000))}",
    "cmsgpack.unpack(ARGV[1])",
    "struct.pack('>I2hBs', 1, -2, 3, 'text')",
    "{struct.unpack('<i4', ARGV[1])}",
    "struct.size('!8Bd')",
    "bit.tohex(bit.bxor(0xff, 0x0f))",
    "{bit.band(7, 3), bit.lshift(1, 33), bit.bnot(0), bit.arshift(-8, 1)}",
    "{math.randomseed(7) and 1 or 2, math.random(1, 1000000), math.random(10)}",
    "tostring(1e15) .. ' ' .. tostring(0.1)",
    "tonumber('0x10')",
    "string.rep('ab', 5, ',')",
    "redis.acl_check_cmd('get', 'x')",
];

const FLAGS: [&str; 12] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "#!lua\n",
    "#!lua flags=no-writes\n",
    "#!lua flags=bad\n",
    "#!bad\n",
    "#!lua flags=allow-oom,no-cluster\n",
];

pub(crate) fn step(draw: &mut Draw, scene: &Scene) -> Step {
    let (known, sum) = draw.rng.pick(&KNOWN);
    let plan = match draw.rng.below(30) {
        0..=15 => {
            let name = draw.rng.pick(&["EVAL", "EVAL", "EVAL", "EVAL_RO"]);
            Plan::of(name).arg(body(draw)).args(arguments(draw))
        }
        16..=18 => {
            let sum = draw.rng.pick(&[sum, sum, sum, "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", "bad"]);
            Plan::of(draw.rng.pick(&["EVALSHA", "EVALSHA_RO"])).arg(sum).args(arguments(draw))
        }
        19 => Plan::of("EVAL").arg(known).args(arguments(draw)),
        20 | 21 => Plan::of("SCRIPT").args(["LOAD", known]),
        22 => Plan::of("SCRIPT").arg("LOAD").arg(body(draw)),
        23 => Plan::of("SCRIPT").args(["EXISTS", sum, "bad", KNOWN[0].1]),
        24 => Plan::of("SCRIPT").arg("FLUSH").args(draw.some_of(&["SYNC", "ASYNC", "bad"], 1)),
        25 => Plan::of("SCRIPT").arg(draw.rng.pick(&["KILL", "BAD", "LOAD", "EXISTS"])),
        26 => Plan::of("EVAL").arg("return 1").args([draw.rng.pick(&["-1", "x", "5", ""])]),
        _ => return data::step(draw, scene),
    };
    plan.into()
}

fn arguments(draw: &mut Draw) -> Vec<&'static str> {
    let first = draw.rng.pick(&["1", "[1,{\"a\":null}]", "abcdefgh", "\u{81}\u{a1}a\u{1}", ""]);
    vec!["2", data::key(draw), data::key(draw), first, data::value(draw)]
}

/// A random body, whose calls use literal words.
pub(crate) fn body(draw: &mut Draw) -> String {
    let mut text = draw.rng.pick(&FLAGS).to_owned();
    let statement = draw.rng.pick(&STATEMENTS);
    for (at, part) in statement.split('@').enumerate() {
        if at > 0 {
            text.push_str(&call(draw));
        }
        text.push_str(part);
    }
    if draw.rng.chance(2) {
        text.push_str(" this is no Lua");
    }
    format!("{text} return {}", draw.rng.pick(&RESULTS))
}

fn call(draw: &mut Draw) -> String {
    let words: Vec<String> = data::command(draw).argv.iter().map(|word| quoted(word)).collect();
    let name = draw.rng.pick(&["redis.call", "redis.call", "redis.pcall"]);
    format!("{name}({})", words.join(", "))
}

fn quoted(word: &[u8]) -> String {
    let inner: String = word
        .iter()
        .map(|&byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'$' | b'-' | b'+' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("\\{byte:03}"),
        })
        .collect();
    format!("'{inner}'")
}
