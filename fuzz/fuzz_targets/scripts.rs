//! Scripts of any text stay within their sandbox: they end, within their memory, and leave nothing behind.
#![no_main]

mod host;

use std::cell::RefCell;

use carnelian_scripting::Scripts;
use libfuzzer_sys::fuzz_target;

/// What scripts are made of besides any text.
const PIECES: &[&str] = &[
    " ",
    "\n",
    "local a ",
    "= ",
    "a ",
    "b ",
    "1 ",
    "-1 ",
    "1e9 ",
    "'x' ",
    "{} ",
    "nil ",
    "true ",
    "( ",
    ") ",
    "{ ",
    "} ",
    "[ ",
    "] ",
    ", ",
    ". ",
    ": ",
    ".. ",
    "+ ",
    "/ ",
    "# ",
    "== ",
    "return ",
    "function() ",
    "end ",
    "while true do ",
    "if a then ",
    "for i = 1, 1e9 do ",
    "for k, v in pairs(a) do ",
    "repeat ",
    "until a ",
    "pcall(",
    "xpcall(",
    "error(",
    "redis",
    "redis.call(",
    "redis.pcall(",
    "_G",
    "getmetatable(",
    "setmetatable(",
    "rawset(",
    "rawget(",
    "next(",
    "pairs(",
    "table.insert(",
    "table.sort(",
    "table.concat(",
    "table.foreach(",
    "string.rep(",
    "string.format(",
    "string.gsub(",
    "('x'):rep(",
    "coroutine.wrap(",
    "coroutine.yield(",
    "load(",
    "loadstring(",
    "string.dump(",
    "cjson.encode(",
    "cjson.decode(",
    "cmsgpack.pack(",
    "cmsgpack.unpack(",
    "struct.pack(",
    "struct.unpack(",
    "bit.band(",
    "unpack(",
    "select(",
    "tostring(",
    "redis.setresp(3) ",
    "redis.sha1hex(",
    "redis.error_reply(",
    "KEYS",
    "ARGV",
    "ARGV[1]",
    "math",
    "string",
    "cjson",
    "__index",
    "__newindex",
    "__metatable",
    "err",
    "ok",
    "map",
    "=function(...) ",
    "...",
];

thread_local! {
    static STATE: RefCell<Scripts> = RefCell::new(host::scripts());
}

/// What every script finds, whatever ran before it.
const INTACT: &[u8] =
    b"local n = 0 for k in pairs(redis) do n = n + 1 end for k in pairs(_G) do n = n + 1 end \
    assert(rawget(_G, 'x') == nil and rawget(redis, 'x') == nil and rawget(string, 'x') == nil) \
    assert(#KEYS == 0 and #ARGV == 1 and type(redis.call) == 'function' and ('a'):upper() == 'A') \
    assert(redis.call('echo')[1] == 'echo' and tostring(getmetatable(redis)) == 'nil') return tostring(n)";

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let body = match kind % 2 {
        0 => rest.to_vec(),
        _ => rest.iter().map(|i| PIECES[usize::from(*i) % PIECES.len()]).collect::<String>().into_bytes(),
    };
    STATE.with_borrow_mut(|scripts| {
        host::run(scripts, &body, b"argument");
        assert!(scripts.vm_memory() < 2 * host::LIMIT, "{} bytes", scripts.vm_memory());
        if scripts.vm_memory() > host::LIMIT / 2 {
            scripts.flush();
        }
        let before = host::run(&mut host::scripts(), INTACT, b"x").expect("a new state is intact");
        let after = host::run(scripts, INTACT, b"x").expect("the state is intact");
        assert_eq!(before, after);
    });
});
