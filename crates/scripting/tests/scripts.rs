//! Scripts against a host that knows a few commands, with replies shown as redis-cli shows them.

use carnelian_scripting::{
    Functions, Host, LogLevel, Protocol, Replication, Reply, Scripts, Verdict, Versions, Words,
};

/// A host whose commands are `echo`, `fail` and `words` (how many there are).
#[derive(Default)]
struct Toy {
    words: Vec<Vec<u8>>,
    log: Vec<String>,
    /// Ticks after which scripts are stopped.
    patience: Option<u32>,
}

impl Host for Toy {
    fn word(&mut self, bytes: &[u8]) {
        self.words.push(bytes.to_vec());
    }

    fn number(&mut self, value: f64) {
        self.words.push(value.to_string().into_bytes());
    }

    fn drop_words(&mut self) {
        self.words.clear();
    }

    fn call(&mut self, protocol: Protocol, read: &mut dyn FnMut(&[u8])) {
        let words = std::mem::take(&mut self.words);
        let reply = match &words[0][..] {
            b"echo" => [format!("${}\r\n", words[1].len()).as_bytes(), &words[1], b"\r\n"].concat(),
            b"words" => format!(":{}\r\n", words.len()).into_bytes(),
            b"null" if protocol == Protocol::Resp2 => b"$-1\r\n".to_vec(),
            b"null" => b"_\r\n".to_vec(),
            b"raw" => words[1].clone(),
            _ => b"-ERR no such command\r\n".to_vec(),
        };
        read(&reply);
    }

    fn is_permitted(&mut self) -> Option<bool> {
        let words = std::mem::take(&mut self.words);
        (words[0] == b"echo").then_some(true)
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.log.push(format!("{level:?} {}", String::from_utf8_lossy(text)));
    }

    fn set_replication(&mut self, _: Replication) {}

    fn tick(&mut self) -> Verdict {
        match &mut self.patience {
            Some(0) => Verdict::Stop("stopped"),
            Some(ticks) => {
                *ticks -= 1;
                Verdict::Continue
            }
            None => Verdict::Continue,
        }
    }
}

/// Shows a result in one line.
#[derive(Default)]
struct Shown(String);

impl Shown {
    fn put(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push(' ');
    }
}

impl Reply for Shown {
    fn null(&mut self) {
        self.put("nil");
    }
    fn boolean(&mut self, value: bool) {
        self.put(format!("#{value}"));
    }
    fn integer(&mut self, value: i64) {
        self.put(value.to_string());
    }
    fn double(&mut self, value: f64) {
        self.put(format!(",{value}"));
    }
    fn bulk(&mut self, bytes: &[u8]) {
        self.put(format!("'{}'", bytes.escape_ascii()));
    }
    fn status(&mut self, text: &[u8]) {
        self.put(format!("+{}", text.escape_ascii()));
    }
    fn big_number(&mut self, digits: &[u8]) {
        self.put(format!("({}", digits.escape_ascii()));
    }
    fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        self.put(format!("={}:{}", format.escape_ascii(), text.escape_ascii()));
    }
    fn array(&mut self, len: usize) {
        self.put(format!("*{len}"));
    }
    fn map(&mut self, pairs: usize) {
        self.put(format!("%{pairs}"));
    }
    fn set(&mut self, len: usize) {
        self.put(format!("~{len}"));
    }
    fn error(&mut self, text: &[u8], _: bool) {
        self.put(format!("-{}", text.escape_ascii()));
    }
}

struct Line<'a>(&'a [&'a str], &'a [&'a str]);

impl Words for Line<'_> {
    fn keys(&self) -> usize {
        self.0.len()
    }
    fn arguments(&self) -> usize {
        self.1.len()
    }
    fn key(&self, i: usize) -> &[u8] {
        self.0[i].as_bytes()
    }
    fn argument(&self, i: usize) -> &[u8] {
        self.1[i].as_bytes()
    }
}

const LIMIT: usize = 64 << 20;

fn versions() -> Versions {
    Versions { redis: "8.2.3".to_owned() }
}

/// Runs scripts in one state, one after the other.
struct Bench {
    scripts: Scripts,
    toy: Toy,
}

impl Bench {
    fn new() -> Bench {
        Bench { scripts: Scripts::new(&versions(), LIMIT), toy: Toy::default() }
    }

    fn run(&mut self, body: &str) -> String {
        let id = match self.scripts.evaluate(body.as_bytes()) {
            Ok(id) => id,
            Err(refusal) => return format!("!{refusal}"),
        };
        let mut shown = Shown::default();
        let words = Line(&["k1", "k2"], &["a1"]);
        if let Err(failed) = self.scripts.run(id, &words, &mut self.toy).reply(&mut shown) {
            let text = String::from_utf8_lossy(&failed.text).into_owned();
            // The digest says nothing to a reader.
            let digest = String::from_utf8_lossy(self.scripts.digest(id)).into_owned();
            return format!("-{}", text.replace(&digest, "<sha>"));
        }
        shown.0.trim_end().to_owned()
    }

    fn check(&mut self, steps: &[(&str, &str)]) {
        for (body, expected) in steps {
            assert_eq!(self.run(body), *expected, "{body}");
        }
    }
}

fn check(steps: &[(&str, &str)]) {
    Bench::new().check(steps);
}

#[test]
fn values_are_converted() {
    check(&[
        ("return 1", "1"),
        ("return 3.99", "3"),
        ("return 1e20", "-9223372036854775808"),
        ("return 'a\\0b'", "'a\\x00b'"),
        ("return {1, 'a', {2}, nil, 3}", "*3 1 'a' *1 2"),
        ("return {ok='fine'}", "+fine"),
        ("return {err='BAD thing'}", "-BAD thing"),
        ("return true", "1"),
        ("return false", "nil"),
        ("redis.setresp(3) return {true, false}", "*2 #true #false"),
        ("return {double=1.5}", ",1.5"),
        ("return {map={a=1}}", "%1 'a' 1"),
        ("return {set={a=true}}", "~1 'a'"),
        ("return {big_number='123'}", "(123"),
        ("return {verbatim_string={format='txt', string='hi'}}", "=txt:hi"),
        ("return {KEYS[1], KEYS[2], KEYS[3], ARGV[1]}", "*2 'k1' 'k2'"),
        ("return ARGV", "*1 'a1'"),
        (
            "return print",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: <sha>, on @user_script:1.",
        ),
        ("local a = {} a[1] = a return a == nil", "nil"),
        ("local a = {} for i = 1, 100 do a = {a} end return #a", "1"),
    ]);
}

#[test]
fn commands_are_called() {
    check(&[
        ("return redis.call('echo', 'x')", "'x'"),
        ("return redis.call('echo', 12)", "'12'"),
        ("return redis.call('words', 1, 2, '3')", "4"),
        ("return redis.call('null') == false", "1"),
        ("redis.setresp(3) return redis.call('null') == nil", "#true"),
        ("local a = {} for i = 1, 7990 do a[i] = 1 end return redis.call('words', unpack(a))", "7991"),
        ("local a = {} for i = 1, 7990 do a[i] = 1 end return #cmsgpack.pack(unpack(a))", "7990"),
        ("local a = {} for i = 1, 7990 do a[i] = 1 end return bit.bor(unpack(a))", "1"),
        ("return redis.call('nosuch')", "-ERR no such command script: <sha>, on @user_script:1."),
        ("return redis.pcall('nosuch')", "-ERR no such command"),
        ("return {pcall(redis.call, 'nosuch')}", "*2 nil 'ERR no such command'"),
        ("return redis.pcall('nosuch').err", "'ERR no such command'"),
        (
            "return redis.call()",
            "-ERR Please specify at least one argument for this redis lib call script: <sha>, on @user_script:1.",
        ),
        ("return redis.pcall({}).err", "'ERR Lua redis lib command arguments must be strings or integers'"),
        ("redis.setresp(3) return redis.call('raw', '%1\\r\\n+a\\r\\n:1\\r\\n').map", "*0"),
        ("return redis.call('raw', '*2\\r\\n:1\\r\\n*1\\r\\n$1\\r\\nx\\r\\n')", "*2 1 *1 'x'"),
        ("return {xpcall(function() error(1, 0) end, function(e) return e + 1 end)}", "*2 nil 2"),
        (
            "return {xpcall(function() return 1, 2 end, print)}",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: <sha>, on @user_script:1.",
        ),
        ("return {xpcall(function() return 1, 2 end, nil)}", "*3 1 1 2"),
        ("return coroutine.wrap(function() return redis.call('echo', 'co') end)()", "'co'"),
    ]);
}

#[test]
fn globals_are_protected() {
    let read_only = "Attempt to modify a readonly table";
    let mut bench = Bench::new();
    for body in [
        "x = 1",
        "redis = 1",
        "redis.call = 1",
        "string.x = 1",
        "KEYS = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'x', 1)",
        "setmetatable(_G, {})",
        "setmetatable(string, {})",
        "table.insert(redis, 1)",
        "table.insert(redis, 1, 1)",
        "getmetatable(_G).__index = 1",
        "getmetatable('').__index = 1",
        "getmetatable('').__index.x = 1",
        "cjson.x = 1",
        "cjson.encode = 1",
    ] {
        let shown = bench.run(body);
        assert!(shown.contains(read_only), "{body}: {shown}");
    }
    bench.check(&[
        ("return rawget(redis, 'x') == nil", "1"),
        ("return type(rawget(redis, 'call'))", "'function'"),
        ("local n = 0 for k, v in pairs(redis) do n = n + 1 end return n > 10", "1"),
        ("return next(redis) ~= nil", "1"),
        ("return tostring(getmetatable(redis))", "'nil'"),
        ("return loadstring(string.dump(function() return 1 end)) == nil", "1"),
        ("return load(function() return string.dump(function() end) end) == nil", "1"),
        ("local parts = {'return ', '7'} local i = 0 return load(function() i = i + 1 return parts[i] end)()", "7"),
        ("local t = setmetatable({}, {__index = function(_, k) return k end}) return t.abc", "'abc'"),
        ("local t = {} table.insert(t, 5) table.insert(t, 1, 4) return t", "*2 4 5"),
        ("return ('x'):rep(3)", "'xxx'"),
    ]);
    for name in
        ["io", "require", "package", "debug", "dofile", "loadfile", "setfenv", "getfenv", "newproxy", "print"]
    {
        let shown = bench.run(&format!("return {name}"));
        assert!(shown.contains("nonexistent global variable"), "{name}: {shown}");
    }
    bench.check(&[("local n = '' for k in pairs(os) do n = n .. k end return n", "'clock'")]);
}

#[test]
fn errors_say_where() {
    check(&[
        ("\n\nerror('x')", "-ERR user_script:3: x script: <sha>, on @user_script:3."),
        ("error({err='MY err'})", "-MY err script: <sha>, on @user_script:1."),
        ("error({})", "-ERR unknown error script: <sha>, on @user_script:1."),
        (
            "local x = nil; x.y = 1",
            "-ERR user_script:1: attempt to index local 'x' (a nil value) script: <sha>, on @user_script:1.",
        ),
        ("if then", "!Error compiling script (new function): user_script:1: unexpected symbol near 'then'"),
        ("#!lua flags=what\nreturn 1", "!Unexpected flag in script shebang: what"),
        ("#!lua flags=no-writes\nerror('x')", "-ERR user_script:2: x script: <sha>, on @user_script:2."),
    ]);
}

#[test]
fn endless_scripts_are_stopped() {
    let mut bench = Bench::new();
    for body in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "repeat until false",
        "local function f() return f() end f()",
        "local co = coroutine.wrap(function() while true do pcall(function() while true do end end) end end) while true do pcall(co) end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "xpcall(function() while true do end end, function() while true do end end) while true do end",
    ] {
        bench.toy.patience = Some(3);
        let shown = bench.run(body);
        assert!(shown.contains("stopped"), "{body}: {shown}");
        bench.toy.patience = None;
        bench.check(&[("local n = 0 for i = 1, 300000 do n = n + 1 end return n", "300000")]);
    }
}

#[test]
fn memory_is_limited() {
    let mut bench = Bench::new();
    for body in [
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return ('x'):rep(1e9)",
        "local s = ('[1,'):rep(5e6) return cjson.decode(s .. '1')",
    ] {
        let shown = bench.run(body);
        assert!(shown.starts_with('-'), "{body}: {shown}");
        assert!(bench.scripts.vm_memory() < 2 * LIMIT);
        bench.check(&[("return 1", "1")]);
    }
    bench.check(&[("local ok, err = pcall(string.rep, 'x', 1e9) return err", "'not enough memory'")]);
}

#[test]
fn little_used_scripts_are_forgotten() {
    let mut bench = Bench::new();
    let kept = bench.scripts.load(b"return 'kept'").expect("it compiles");
    let first = bench.scripts.evaluate(b"return 0").expect("it compiles");
    let first = *bench.scripts.digest(first);
    for i in 1..=500 {
        assert_eq!(bench.run(&format!("return {i}")), i.to_string());
    }
    assert_eq!(bench.scripts.find(&first), None);
    assert!(bench.scripts.find(&kept.to_ascii_uppercase()).is_some());
    assert_eq!((bench.scripts.len(), bench.scripts.evicted()), (501, 1));
    bench.scripts.flush();
    assert!(bench.scripts.is_empty() && bench.scripts.find(&kept).is_none());
}

#[test]
fn functions_are_loaded_and_called() {
    let mut functions = Functions::new(&versions(), LIMIT);
    let mut toy = Toy::default();
    let code = b"#!lua name=lib\nlocal n = 0\nredis.register_function('count', function(keys, args) n = n + 1 return {n, keys[1], args[1]} end)\nredis.register_function{function_name='fail', callback=function() error('no') end, flags={'no-writes'}}";
    assert_eq!(functions.load(code, false, &mut toy), Ok(b"lib".to_vec()));
    let mut call = |functions: &mut Functions, name: &[u8]| {
        let mut shown = Shown::default();
        match functions.run(name, &Line(&["k"], &["a"]), &mut toy).reply(&mut shown) {
            Ok(()) => shown.0,
            Err(failed) => String::from_utf8_lossy(&failed.text).into_owned(),
        }
    };
    assert_eq!(call(&mut functions, b"count"), "*3 1 'k' 'a' ");
    assert_eq!(call(&mut functions, b"COUNT"), "*3 2 'k' 'a' ");
    assert_eq!(call(&mut functions, b"fail"), "ERR user_function:4: no script: fail, on @user_function:4.");
    let refusal = |code: &str, functions: &mut Functions| {
        functions.load(code.as_bytes(), false, &mut Toy::default()).expect_err("it is refused").to_string()
    };
    for (code, expected) in [
        ("return 1", "Missing library metadata"),
        ("#!lua name=other\n", "No functions registered"),
        ("#!lua name=lib\n", "Library 'lib' already exists"),
        (
            "#!lua name=other\nredis.register_function('count', function() end)",
            "Function count already exists",
        ),
        (
            "#!lua name=other\nredis.call('x')",
            "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'",
        ),
        (
            "#!lua name=other\nx = 1",
            "Error registering functions: ERR user_function:2: Attempt to modify a readonly table",
        ),
        (
            "#!lua name=other\nif then",
            "Error compiling function: user_function:2: unexpected symbol near 'then'",
        ),
    ] {
        assert_eq!(refusal(code, &mut functions), expected);
    }
    assert!(functions.delete(b"lib") && !functions.delete(b"lib") && functions.is_empty());
}
