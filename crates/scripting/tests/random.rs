//! Random scripts, random values and random bytes: the fuzz targets' properties on the stable toolchain.

#[path = "../../../fuzz/fuzz_targets/host/mod.rs"]
mod host;

use proptest::prelude::*;

const PIECES: &[&str] = &[
    " ",
    "local a ",
    "= ",
    "a ",
    "1 ",
    "-1 ",
    "1e9 ",
    "'x' ",
    "{} ",
    "nil ",
    "( ",
    ") ",
    "{ ",
    "} ",
    "[ ",
    "] ",
    ", ",
    ". ",
    ".. ",
    "return ",
    "function() ",
    "end ",
    "while true do ",
    "for k, v in pairs(a) do ",
    "repeat ",
    "until a ",
    "pcall(",
    "xpcall(",
    "error(",
    "redis",
    "redis.call(",
    "_G",
    "getmetatable(",
    "setmetatable(",
    "rawset(",
    "rawget(",
    "next(",
    "table.insert(",
    "table.sort(",
    "string.rep(",
    "string.gsub(",
    "coroutine.wrap(",
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
    "redis.error_reply(",
    "KEYS",
    "ARGV",
    "string",
    "__index",
    "...",
];

/// What every script finds, whatever ran before it.
const INTACT: &[u8] =
    b"assert(rawget(_G, 'x') == nil and rawget(redis, 'x') == nil and rawget(string, 'x') == nil) \
    assert(#KEYS == 0 and #ARGV == 1 and type(redis.call) == 'function' and ('a'):upper() == 'A') \
    assert(redis.call('echo')[1] == 'echo' and tostring(getmetatable(redis)) == 'nil') return 'intact'";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scripts_leave_their_state_intact(bodies in prop::collection::vec(prop::collection::vec(0..PIECES.len(), 0..16), 1..8)) {
        let mut scripts = host::scripts();
        for body in bodies {
            let body: String = body.into_iter().map(|i| PIECES[i]).collect();
            host::run(&mut scripts, body.as_bytes(), b"argument");
            prop_assert!(scripts.vm_memory() < 2 * host::LIMIT);
            prop_assert_eq!(host::run(&mut scripts, INTACT, b"x"), Some(Some(b"intact".to_vec())), "{}", body);
        }
    }

    #[test]
    fn what_cmsgpack_packs_it_unpacks(text in prop::collection::vec(any::<u8>(), 0..300), number in any::<f64>(), whole in any::<i64>()) {
        let mut scripts = host::scripts();
        let body = format!(
            "local value = {{ARGV[1], {number:e}, {whole}, {{true, {{a = false}}}}}} local packed = cmsgpack.pack(value) \
             return cmsgpack.pack(cmsgpack.unpack(packed)) == packed and cmsgpack.unpack(packed)[1]"
        );
        prop_assume!(number.is_finite());
        prop_assert_eq!(host::run(&mut scripts, body.as_bytes(), &text), Some(Some(text)));
    }

    #[test]
    fn what_cjson_encodes_it_decodes(text in prop::collection::vec(1..=255u8, 0..300)) {
        let mut scripts = host::scripts();
        let body = b"return cjson.decode(cjson.encode({ARGV[1]}))[1]";
        prop_assert_eq!(host::run(&mut scripts, body, &text), Some(Some(text)));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut scripts = host::scripts();
        for body in [
            &b"return cmsgpack.unpack(ARGV[1])"[..],
            b"return cjson.decode(ARGV[1])",
            b"return struct.unpack(ARGV[1]:sub(1, 8), ARGV[1]:sub(9))",
            b"return struct.pack(ARGV[1]:sub(1, 8), 1, 2, 'abc', ARGV[1])",
            b"return loadstring(ARGV[1])",
        ] {
            host::run(&mut scripts, body, &bytes);
        }
        prop_assert_eq!(host::run(&mut scripts, INTACT, b"x"), Some(Some(b"intact".to_vec())));
    }
}
