//! Commands on keys. The replies are those of Redis 8.2.3.

mod script;

use script::check;

#[test]
fn del_exists_touch_type() {
    check(&[
        ("MSET a 1 b 2 c 3", "OK"),
        ("EXISTS a b absent a", "(integer) 3"),
        ("TOUCH a a absent", "(integer) 2"),
        ("TYPE a", "string"),
        ("TYPE absent", "none"),
        ("DEL a a absent b", "(integer) 2"),
        ("UNLINK c c", "(integer) 1"),
        ("EXISTS a b c", "(integer) 0"),
        ("DEL", "(error) ERR wrong number of arguments for 'del' command"),
        ("EXISTS", "(error) ERR wrong number of arguments for 'exists' command"),
    ]);
}

#[test]
fn expire() {
    check(&[
        ("SET k v", "OK"),
        ("EXPIRE k 100", "(integer) 1"),
        ("TTL k", "(integer) 100"),
        ("PEXPIRE k 200000", "(integer) 1"),
        ("TTL k", "(integer) 200"),
        ("EXPIREAT k 33177117420", "(integer) 1"),
        ("EXPIRETIME k", "(integer) 33177117420"),
        ("PEXPIREAT k 33177117420623", "(integer) 1"),
        ("PEXPIRETIME k", "(integer) 33177117420623"),
        ("EXPIRETIME k", "(integer) 33177117421"),
        ("PERSIST k", "(integer) 1"),
        ("TTL k", "(integer) -1"),
        ("PERSIST k", "(integer) 0"),
        ("PERSIST absent", "(integer) 0"),
        ("EXPIRE absent 10", "(integer) 0"),
        ("EXPIRE k x", "(error) ERR value is not an integer or out of range"),
        ("EXPIRE k 9223372036854775807", "(error) ERR invalid expire time in 'expire' command"),
        ("EXPIRE k 9223372036854775", "(error) ERR invalid expire time in 'expire' command"),
        ("EXPIRE k -9223372036854775808", "(error) ERR invalid expire time in 'expire' command"),
        ("EXPIRE k -9223372036854776", "(error) ERR invalid expire time in 'expire' command"),
        ("EXPIREAT k 9223372036854776", "(error) ERR invalid expire time in 'expireat' command"),
        ("EXPIREAT k 9223372036854775", "(integer) 1"),
        ("EXPIRETIME k", "(integer) 9223372036854775"),
        ("PEXPIRE k 9223372036854775807", "(error) ERR invalid expire time in 'pexpire' command"),
        ("PEXPIREAT k 9223372036854775807", "(integer) 1"),
        ("PEXPIRETIME k", "(integer) 9223372036854775807"),
        ("EXPIRETIME k", "(integer) 9223372036854776"),
        ("EXPIRE absent x", "(error) ERR value is not an integer or out of range"),
        ("EXPIRE absent 9223372036854775807", "(error) ERR invalid expire time in 'expire' command"),
        ("EXPIRE k 0", "(integer) 1"),
        ("EXISTS k", "(integer) 0"),
        ("SET k v", "OK"),
        ("EXPIRE k -9223372036854775", "(integer) 1"),
        ("EXISTS k", "(integer) 0"),
        ("SET k v", "OK"),
        ("PEXPIREAT k -9223372036854775808", "(integer) 1"),
        ("EXISTS k", "(integer) 0"),
        ("SET k v", "OK"),
        ("PEXPIREAT k 5", "(integer) 1"),
        ("EXISTS k", "(integer) 0"),
        ("TTL k", "(integer) -2"),
        ("PTTL k", "(integer) -2"),
        ("EXPIRETIME k", "(integer) -2"),
        ("PEXPIRETIME k", "(integer) -2"),
        ("SET k v", "OK"),
        ("TTL k", "(integer) -1"),
        ("PTTL k", "(integer) -1"),
        ("EXPIRETIME k", "(integer) -1"),
        ("PEXPIRETIME k", "(integer) -1"),
    ]);
}

#[test]
fn expire_conditions() {
    check(&[
        ("SET k v", "OK"),
        ("EXPIRE k 10 XX", "(integer) 0"),
        ("EXPIRE k 10 GT", "(integer) 0"),
        ("EXPIRE k 10 XX GT", "(integer) 0"),
        ("EXPIRE k 10 XX LT", "(integer) 0"),
        ("TTL k", "(integer) -1"),
        ("EXPIRE k 100 LT", "(integer) 1"),
        ("TTL k", "(integer) 100"),
        ("EXPIRE k 50 NX", "(integer) 0"),
        ("EXPIRE k 50 GT", "(integer) 0"),
        ("EXPIRE k 150 GT", "(integer) 1"),
        ("EXPIRE k 150000 LT", "(integer) 0"),
        ("EXPIRE k 90 LT", "(integer) 1"),
        ("TTL k", "(integer) 90"),
        ("EXPIRE k 95 XX", "(integer) 1"),
        ("TTL k", "(integer) 95"),
        ("EXPIRE k -1 GT", "(integer) 0"),
        ("PERSIST k", "(integer) 1"),
        ("EXPIRE k 60 NX NX", "(integer) 1"),
        ("TTL k", "(integer) 60"),
        ("EXPIRE k 10 NX XX", "(error) ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE k 10 NX GT", "(error) ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE k 10 LT NX", "(error) ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE k 10 GT LT", "(error) ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE k 10 GT XX LT", "(error) ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE k 10 NOPE", "(error) ERR Unsupported option NOPE"),
        ("EXPIRE k 10 GT LT NOPE", "(error) ERR Unsupported option NOPE"),
        ("EXPIRE k x NOPE", "(error) ERR Unsupported option NOPE"),
        (
            "EXPIRE absent 10 NX XX",
            "(error) ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        ("PEXPIREAT k 33177117420623 xx", "(integer) 1"),
        ("PEXPIREAT k 33177117420622 gt", "(integer) 0"),
        ("PEXPIREAT k 33177117420623 gt", "(integer) 0"),
        ("PEXPIREAT k 33177117420623 lt", "(integer) 0"),
        ("PEXPIREAT k 33177117420622 lt", "(integer) 1"),
        ("PEXPIRETIME k", "(integer) 33177117420622"),
        ("EXPIREAT k 1 LT", "(integer) 1"),
        ("EXISTS k", "(integer) 0"),
    ]);
}

#[test]
fn rename() {
    check(&[
        ("RENAME absent x", "(error) ERR no such key"),
        ("RENAMENX absent x", "(error) ERR no such key"),
        ("SET a 1 EX 100", "OK"),
        ("RENAME a a", "OK"),
        ("RENAMENX a a", "(integer) 0"),
        ("RENAME a b", "OK"),
        ("GET b", r#""1""#),
        ("TTL b", "(integer) 100"),
        ("EXISTS a", "(integer) 0"),
        ("SET a 2", "OK"),
        ("RENAMENX a b", "(integer) 0"),
        ("RENAME a b", "OK"),
        ("GET b", r#""2""#),
        ("TTL b", "(integer) -1"),
        ("RENAMENX b c", "(integer) 1"),
        ("GET c", r#""2""#),
        ("RENAME c", "(error) ERR wrong number of arguments for 'rename' command"),
    ]);
}

#[test]
fn copy() {
    check(&[
        ("COPY absent x", "(integer) 0"),
        ("COPY absent absent", "(error) ERR source and destination objects are the same"),
        ("SET a 1 EX 100", "OK"),
        ("COPY a a", "(error) ERR source and destination objects are the same"),
        ("COPY a a DB 0", "(error) ERR source and destination objects are the same"),
        ("COPY a b", "(integer) 1"),
        ("GET b", r#""1""#),
        ("TTL b", "(integer) 100"),
        ("SET a 2", "OK"),
        ("COPY a b", "(integer) 0"),
        ("COPY a b replace", "(integer) 1"),
        ("GET b", r#""2""#),
        ("TTL b", "(integer) -1"),
        ("COPY a a DB 1", "(integer) 1"),
        ("COPY a b DB 1 DB 2 REPLACE", "(integer) 1"),
        ("COPY a b DB 16", "(error) ERR DB index is out of range"),
        ("COPY a b DB -1", "(error) ERR DB index is out of range"),
        ("COPY a b DB x", "(error) ERR value is not an integer or out of range"),
        (
            "COPY a b DB 2147483648",
            "(error) ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        (
            "COPY a b DB -2147483649",
            "(error) ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        ("COPY a b DB 9223372036854775808", "(error) ERR value is not an integer or out of range"),
        ("COPY a b DB", "(error) ERR syntax error"),
        ("COPY a b NOPE", "(error) ERR syntax error"),
        ("COPY absent b DB 99", "(error) ERR DB index is out of range"),
        ("SELECT 2", "OK"),
        ("MGET a b", "1) (nil)\n2) \"2\""),
        ("SELECT 1", "OK"),
        ("MGET a b", "1) \"2\"\n2) (nil)"),
    ]);
}

#[test]
fn move_between_databases() {
    check(&[
        ("SET a 1 EX 100", "OK"),
        ("MOVE a 0", "(error) ERR source and destination objects are the same"),
        ("MOVE a 16", "(error) ERR DB index is out of range"),
        ("MOVE a -1", "(error) ERR DB index is out of range"),
        ("MOVE a x", "(error) ERR value is not an integer or out of range"),
        (
            "MOVE a 2147483648",
            "(error) ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        ("MOVE absent 1", "(integer) 0"),
        ("MOVE absent 0", "(error) ERR source and destination objects are the same"),
        ("MOVE a 1", "(integer) 1"),
        ("EXISTS a", "(integer) 0"),
        ("SET a 2", "OK"),
        ("MOVE a 1", "(integer) 0"),
        ("GET a", r#""2""#),
        ("SELECT 1", "OK"),
        ("GET a", r#""1""#),
        ("TTL a", "(integer) 100"),
    ]);
}

#[test]
fn keys() {
    check(&[
        ("KEYS *", "(empty array)"),
        ("SET only v", "OK"),
        ("KEYS *", r#"1) "only""#),
        ("KEYS only", r#"1) "only""#),
        ("KEYS onl", "(empty array)"),
        ("KEYS o?ly", r#"1) "only""#),
        ("KEYS [n-p]*", r#"1) "only""#),
        (r#"KEYS \\only"#, "(empty array)"),
        (r#"KEYS """#, "(empty array)"),
        (r#"SET "" v"#, "OK"),
        (r#"KEYS """#, r#"1) """#),
        ("KEYS ?*", r#"1) "only""#),
        ("KEYS **", r#"1) "only""#),
        ("KEYS", "(error) ERR wrong number of arguments for 'keys' command"),
    ]);
}

#[test]
fn scan() {
    check(&[
        ("SCAN 0", "1) \"0\"\n2) (empty array)"),
        ("SET only v", "OK"),
        ("SCAN 0", "1) \"0\"\n2) 1) \"only\""),
        ("SCAN 0 MATCH only", "1) \"0\"\n2) 1) \"only\""),
        ("SCAN 0 MATCH x*", "1) \"0\"\n2) (empty array)"),
        ("SCAN 0 COUNT 100 MATCH * TYPE string", "1) \"0\"\n2) 1) \"only\""),
        ("SCAN 0 TYPE STRING", "1) \"0\"\n2) 1) \"only\""),
        ("SCAN 0 TYPE list", "1) \"0\"\n2) (empty array)"),
        ("SCAN 0 TYPE nope", "1) \"0\"\n2) (empty array)"),
        ("SCAN 0 TYPE nope TYPE string", "1) \"0\"\n2) 1) \"only\""),
        ("SCAN 0 COUNT 10 COUNT 9223372036854775807", "1) \"0\"\n2) 1) \"only\""),
        ("SCAN 0 COUNT 0", "(error) ERR syntax error"),
        ("SCAN 0 COUNT -1", "(error) ERR syntax error"),
        ("SCAN 0 COUNT x", "(error) ERR value is not an integer or out of range"),
        ("SCAN 0 COUNT 9223372036854775808", "(error) ERR value is not an integer or out of range"),
        ("SCAN 0 COUNT", "(error) ERR syntax error"),
        ("SCAN 0 MATCH", "(error) ERR syntax error"),
        ("SCAN 0 TYPE", "(error) ERR syntax error"),
        ("SCAN 0 NOVALUES", "(error) ERR NOVALUES option can only be used in HSCAN"),
        ("SCAN 0 NOPE", "(error) ERR syntax error"),
        ("SCAN 0 TYPE nope COUNT 0", "(error) ERR syntax error"),
        ("SCAN x", "(error) ERR invalid cursor"),
        ("SCAN x COUNT 0", "(error) ERR invalid cursor"),
        ("SCAN -1", "(error) ERR invalid cursor"),
        (r#"SCAN """#, "(error) ERR invalid cursor"),
        (r#"SCAN " 0""#, "1) \"0\"\n2) 1) \"only\""),
        (r#"SCAN "\t\x0b+0""#, "1) \"0\"\n2) 1) \"only\""),
        (r#"SCAN "0 ""#, "(error) ERR invalid cursor"),
        ("SCAN 0x0", "(error) ERR invalid cursor"),
        ("SCAN 00", "1) \"0\"\n2) 1) \"only\""),
        ("SCAN -0", "1) \"0\"\n2) 1) \"only\""),
        ("SCAN -", "(error) ERR invalid cursor"),
        ("SCAN +-0", "(error) ERR invalid cursor"),
        (r#"SCAN "0\x001""#, "1) \"0\"\n2) 1) \"only\""),
        ("SCAN 18446744073709551616", "(error) ERR invalid cursor"),
        (r#"SCAN " -18446744073709551616""#, "(error) ERR invalid cursor"),
        ("RANDOMKEY", r#""only""#),
        (r#"SET "" v"#, "OK"),
        ("SCAN 0 MATCH ** COUNT 1000", "1) \"0\"\n2) 1) \"only\""),
    ]);
}

#[test]
fn random_key() {
    check(&[
        ("RANDOMKEY", "(nil)"),
        ("SET only v", "OK"),
        ("RANDOMKEY", r#""only""#),
        ("RANDOMKEY x", "(error) ERR wrong number of arguments for 'randomkey' command"),
    ]);
}

#[test]
fn object() {
    check(&[
        ("OBJECT ENCODING absent", "(nil)"),
        ("OBJECT REFCOUNT absent", "(nil)"),
        ("OBJECT IDLETIME absent", "(nil)"),
        ("OBJECT FREQ absent", "(nil)"),
        ("SET k v", "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        ("OBJECT REFCOUNT k", "(integer) 1"),
        ("OBJECT IDLETIME k", "(integer) 0"),
        (
            "OBJECT FREQ k",
            "(error) ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ),
        ("OBJECT NOPE k", "(error) ERR unknown subcommand 'NOPE'. Try OBJECT HELP."),
        ("OBJECT ENCODING", "(error) ERR wrong number of arguments for 'object|encoding' command"),
        ("OBJECT", "(error) ERR wrong number of arguments for 'object' command"),
        ("OBJECT HELP x", "(error) ERR wrong number of arguments for 'object|help' command"),
    ]);
}
