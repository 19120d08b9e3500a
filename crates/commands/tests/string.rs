//! Commands on strings. The replies are those of Redis 8.2.3, or of Valkey 9.1.2 where only that has the command.

mod script;

use script::check;

#[test]
fn set_and_get() {
    check(&[
        ("SET k v", "OK"),
        ("GET k", r#""v""#),
        ("GET absent", "(nil)"),
        (r#"SET k """#, "OK"),
        ("GET k", r#""""#),
        (r#"SET k "bin\x00ary\xff""#, "OK"),
        ("GET k", r#""bin\x00ary\xff""#),
        ("STRLEN k", "(integer) 8"),
        ("SET k", "(error) ERR wrong number of arguments for 'set' command"),
        ("GET", "(error) ERR wrong number of arguments for 'get' command"),
        ("GET a b", "(error) ERR wrong number of arguments for 'get' command"),
        ("SET k v NOPE", "(error) ERR syntax error"),
        ("SET k v EX", "(error) ERR syntax error"),
    ]);
}

#[test]
fn set_conditions() {
    check(&[
        ("SET k 1 XX", "(nil)"),
        ("SET k 1 NX", "OK"),
        ("SET k 2 NX", "(nil)"),
        ("SET k 2 NX NX", "(nil)"),
        ("SET k 3 XX", "OK"),
        ("GET k", r#""3""#),
        ("SET k 4 NX XX", "(error) ERR syntax error"),
        ("SET k 4 XX NX", "(error) ERR syntax error"),
        ("SETNX k 5", "(integer) 0"),
        ("SETNX new 5", "(integer) 1"),
        ("GET new", r#""5""#),
    ]);
}

#[test]
fn set_get() {
    check(&[
        ("SET k 1 GET", "(nil)"),
        ("SET k 2 GET", r#""1""#),
        ("SET k 3 NX GET", r#""2""#),
        ("SET k 4 XX GET GET", r#""2""#),
        ("SET absent 1 XX GET", "(nil)"),
        ("EXISTS absent", "(integer) 0"),
        ("GET k", r#""4""#),
        ("GETSET k 5", r#""4""#),
        ("GETSET fresh 1", "(nil)"),
        ("GET fresh", r#""1""#),
    ]);
}

#[test]
fn set_deadlines() {
    check(&[
        ("SET k v EX 100", "OK"),
        ("TTL k", "(integer) 100"),
        ("SET k v PX 100000", "OK"),
        ("TTL k", "(integer) 100"),
        ("SET k v EXAT 33177117420", "OK"),
        ("EXPIRETIME k", "(integer) 33177117420"),
        ("SET k v PXAT 33177117420123", "OK"),
        ("PEXPIRETIME k", "(integer) 33177117420123"),
        ("SET k w KEEPTTL", "OK"),
        ("PEXPIRETIME k", "(integer) 33177117420123"),
        ("SET k w", "OK"),
        ("TTL k", "(integer) -1"),
        ("SET k w EX 10 EX 20", "OK"),
        ("TTL k", "(integer) 20"),
        ("SET k w EX 10 PX 10", "(error) ERR syntax error"),
        ("SET k w EX 10 KEEPTTL", "(error) ERR syntax error"),
        ("SET k w KEEPTTL EX 10", "(error) ERR syntax error"),
        ("SET k w KEEPTTL KEEPTTL", "OK"),
        ("SET k w PERSIST", "(error) ERR syntax error"),
        ("SET k w EX 0", "(error) ERR invalid expire time in 'set' command"),
        ("SET k w PX -5", "(error) ERR invalid expire time in 'set' command"),
        ("SET k w EX x", "(error) ERR value is not an integer or out of range"),
        ("SET k w EX 9223372036854775807", "(error) ERR invalid expire time in 'set' command"),
        ("SET k w EX 9223372036854775", "(error) ERR invalid expire time in 'set' command"),
        ("SET k w PX 9223372036854775807", "(error) ERR invalid expire time in 'set' command"),
        ("SET k w PXAT 9223372036854775807", "OK"),
        ("PEXPIRETIME k", "(integer) 9223372036854775807"),
        ("SET k w PXAT 9223372036854775808", "(error) ERR value is not an integer or out of range"),
        ("SET k w NX EX 0", "(error) ERR invalid expire time in 'set' command"),
        ("SET k w PXAT 1", "OK"),
        ("EXISTS k", "(integer) 0"),
        ("SET k v EX 100", "OK"),
        ("SET k v EXAT 1 GET", r#""v""#),
        ("EXISTS k", "(integer) 0"),
        ("SETEX k 100 v", "OK"),
        ("TTL k", "(integer) 100"),
        ("SETEX k 0 v", "(error) ERR invalid expire time in 'setex' command"),
        ("SETEX k x v", "(error) ERR value is not an integer or out of range"),
        ("SETEX k 9223372036854775807 v", "(error) ERR invalid expire time in 'setex' command"),
        ("PSETEX k 100000 v", "OK"),
        ("TTL k", "(integer) 100"),
        ("PSETEX k -1 v", "(error) ERR invalid expire time in 'psetex' command"),
    ]);
}

#[test]
fn set_if_equal() {
    check(&[
        ("SET k v IFEQ x", "(nil)"),
        ("SET k v", "OK"),
        ("SET k v2 IFEQ v", "OK"),
        ("SET k v3 IFEQ x", "(nil)"),
        ("SET k v3 IFEQ v2 GET", r#""v2""#),
        ("SET k v4 IFEQ v2 GET", r#""v3""#),
        ("SET absent v IFEQ v GET", "(nil)"),
        ("SET k v IFEQ", "(error) ERR syntax error"),
        ("SET k v NX IFEQ v3", "(error) ERR syntax error"),
        ("SET k v IFEQ v3 XX", "(error) ERR syntax error"),
        ("SET k v IFEQ a IFEQ v3", "(error) ERR syntax error"),
        ("SET k v IFEQ v3 EX 100", "OK"),
        ("TTL k", "(integer) 100"),
        ("SET k w IFEQ v KEEPTTL", "OK"),
        ("TTL k", "(integer) 100"),
        ("SET i 12", "OK"),
        ("SET i 13 IFEQ 012", "(nil)"),
        ("SET i 13 IFEQ 12", "OK"),
        ("DELIFEQ i 12", "(integer) 0"),
        ("DELIFEQ i 13", "(integer) 1"),
        ("DELIFEQ i 13", "(integer) 0"),
        ("EXISTS i", "(integer) 0"),
    ]);
}

#[test]
fn getdel_and_getex() {
    check(&[
        ("SET k v EX 100", "OK"),
        ("GETEX k", r#""v""#),
        ("TTL k", "(integer) 100"),
        ("GETEX k PERSIST", r#""v""#),
        ("TTL k", "(integer) -1"),
        ("GETEX k PERSIST PERSIST", r#""v""#),
        ("GETEX k EX 10", r#""v""#),
        ("TTL k", "(integer) 10"),
        ("GETEX k PX 20000", r#""v""#),
        ("TTL k", "(integer) 20"),
        ("GETEX k PXAT 33177117420123", r#""v""#),
        ("PEXPIRETIME k", "(integer) 33177117420123"),
        ("GETEX k EXAT 33177117420", r#""v""#),
        ("PEXPIRETIME k", "(integer) 33177117420000"),
        ("GETEX k EX 0", "(error) ERR invalid expire time in 'getex' command"),
        ("GETEX k EX x", "(error) ERR value is not an integer or out of range"),
        ("GETEX k EX", "(error) ERR syntax error"),
        ("GETEX k KEEPTTL", "(error) ERR syntax error"),
        ("GETEX k PERSIST EX 10", "(error) ERR syntax error"),
        ("GETEX k EX 10 PERSIST", "(error) ERR syntax error"),
        ("GETEX k EX 10 PX 10", "(error) ERR syntax error"),
        ("GETEX k NX", "(error) ERR syntax error"),
        ("GETEX absent", "(nil)"),
        ("GETEX absent EX 0", "(nil)"),
        ("GETEX absent NX", "(error) ERR syntax error"),
        ("GETEX k EXAT 1", r#""v""#),
        ("EXISTS k", "(integer) 0"),
        ("SET k v", "OK"),
        ("GETDEL k", r#""v""#),
        ("GETDEL k", "(nil)"),
        ("EXISTS k", "(integer) 0"),
    ]);
}

#[test]
fn many_keys() {
    check(&[
        ("MSET a 1 b 2 a 3", "OK"),
        ("MGET a b absent", "1) \"3\"\n2) \"2\"\n3) (nil)"),
        ("MSET a", "(error) ERR wrong number of arguments for 'mset' command"),
        ("MSET a 1 b", "(error) ERR wrong number of arguments for 'mset' command"),
        ("MSETNX a 9 c 9", "(integer) 0"),
        ("MGET a c", "1) \"3\"\n2) (nil)"),
        ("MSETNX c 1 d 2 c 3", "(integer) 1"),
        ("MGET c d", "1) \"3\"\n2) \"2\""),
        ("MSETNX e", "(error) ERR wrong number of arguments for 'msetnx' command"),
    ]);
}

#[test]
fn msetex() {
    check(&[
        ("MSETEX 1 a", "(error) ERR wrong number of arguments for 'msetex' command"),
        ("MSETEX 1 a b", "(integer) 1"),
        ("MSETEX 2 a b c d", "(integer) 1"),
        ("MGET a c", "1) \"b\"\n2) \"d\""),
        ("MSETEX 2 a b c", "(error) ERR syntax error"),
        ("MSETEX 1 a b c d", "(error) ERR syntax error"),
        ("MSETEX 1 a b EX", "(error) ERR syntax error"),
        ("MSETEX 1 a b EX 0", "(error) ERR invalid expire time in 'msetex' command"),
        ("MSETEX 1 a b EX x", "(error) ERR value is not an integer or out of range"),
        ("MSETEX 1 a b EX 10", "(integer) 1"),
        ("TTL a", "(integer) 10"),
        ("MSETEX 1 a c KEEPTTL", "(integer) 1"),
        ("TTL a", "(integer) 10"),
        ("MSETEX 1 a b", "(integer) 1"),
        ("TTL a", "(integer) -1"),
        ("MSETEX 2 a x new y NX", "(integer) 0"),
        ("EXISTS new", "(integer) 0"),
        ("MSETEX 2 new y newer y NX", "(integer) 1"),
        ("MSETEX 2 new y absent y XX", "(integer) 0"),
        ("MSETEX 2 new z newer z XX XX EX 10 EX 20", "(integer) 1"),
        ("TTL newer", "(integer) 20"),
        ("MSETEX 2 new z newer z XX NX", "(error) ERR syntax error"),
        ("MSETEX 2 new z newer z EX 10 PX 10", "(error) ERR syntax error"),
        ("MSETEX 2 new z newer z EX 10 KEEPTTL", "(error) ERR syntax error"),
        ("MSETEX 2 new z newer z GET", "(error) ERR syntax error"),
        ("MSETEX 2 new z newer z IFEQ a", "(error) ERR syntax error"),
        ("MSETEX 0 a b", "(error) ERR invalid numkeys value or out of range"),
        ("MSETEX -1 a b", "(error) ERR invalid numkeys value or out of range"),
        ("MSETEX x a b", "(error) ERR invalid numkeys value or out of range"),
        ("MSETEX 2147483648 a b", "(error) ERR invalid numkeys value or out of range"),
        ("MSETEX 2147483647 a b", "(error) ERR syntax error"),
        ("MSETEX 2 n y n z NX", "(integer) 1"),
        ("GET n", r#""z""#),
        ("MSETEX 2 a y c y PXAT 1", "(integer) 1"),
        ("EXISTS a c", "(integer) 0"),
    ]);
}

#[test]
fn counters() {
    check(&[
        ("INCR n", "(integer) 1"),
        ("INCR n", "(integer) 2"),
        ("DECR n", "(integer) 1"),
        ("INCRBY n 40", "(integer) 41"),
        ("DECRBY n -1", "(integer) 42"),
        ("GET n", r#""42""#),
        ("INCRBY n x", "(error) ERR value is not an integer or out of range"),
        (r#"INCRBY n " 1""#, "(error) ERR value is not an integer or out of range"),
        ("INCRBY n 9223372036854775808", "(error) ERR value is not an integer or out of range"),
        ("DECRBY n -9223372036854775808", "(error) ERR decrement would overflow"),
        ("SET n 9223372036854775807", "OK"),
        ("INCR n", "(error) ERR increment or decrement would overflow"),
        ("INCRBY n -9223372036854775808", "(integer) -1"),
        ("SET n -9223372036854775808", "OK"),
        ("DECR n", "(error) ERR increment or decrement would overflow"),
        ("INCRBY n -1", "(error) ERR increment or decrement would overflow"),
        (r#"SET n " 1""#, "OK"),
        ("INCR n", "(error) ERR value is not an integer or out of range"),
        ("SET n 01", "OK"),
        ("INCR n", "(error) ERR value is not an integer or out of range"),
        ("SET n 9223372036854775808", "OK"),
        ("INCR n", "(error) ERR value is not an integer or out of range"),
        (r#"SET n """#, "OK"),
        ("INCR n", "(error) ERR value is not an integer or out of range"),
        ("SET n 10 EX 100", "OK"),
        ("INCR n", "(integer) 11"),
        ("TTL n", "(integer) 100"),
        ("DEL n", "(integer) 1"),
        ("INCRBY n 0", "(integer) 0"),
        ("OBJECT ENCODING n", r#""int""#),
    ]);
}

#[test]
fn floats() {
    check(&[
        ("INCRBYFLOAT f 1.5", r#""1.5""#),
        ("INCRBYFLOAT f -1.5", r#""0""#),
        ("OBJECT ENCODING f", r#""embstr""#),
        ("INCRBYFLOAT f 10.25", r#""10.25""#),
        ("INCRBYFLOAT f 5.0e3", r#""5010.25""#),
        ("INCRBYFLOAT f 0x10", r#""5026.25""#),
        ("INCRBYFLOAT f x", "(error) ERR value is not a valid float"),
        (r#"INCRBYFLOAT f """#, "(error) ERR value is not a valid float"),
        (r#"INCRBYFLOAT f " 1""#, "(error) ERR value is not a valid float"),
        ("INCRBYFLOAT f nan", "(error) ERR value is not a valid float"),
        ("INCRBYFLOAT f inf", "(error) ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT f -infinity", "(error) ERR increment would produce NaN or Infinity"),
        ("SET f foo", "OK"),
        ("INCRBYFLOAT f 1", "(error) ERR value is not a valid float"),
        ("SET f inf", "OK"),
        ("INCRBYFLOAT f 1", "(error) ERR increment would produce NaN or Infinity"),
        (r#"SET f "1\x00""#, "OK"),
        ("INCRBYFLOAT f 1", "(error) ERR value is not a valid float"),
        ("SET f 3.0e3", "OK"),
        ("INCRBYFLOAT f 200", r#""3200""#),
        ("INCR f", "(integer) 3201"),
        ("SET f 1 EX 100", "OK"),
        ("INCRBYFLOAT f 0.1", r#""1.1""#),
        ("TTL f", "(integer) 100"),
        ("SET f 9223372036854775807", "OK"),
        ("INCRBYFLOAT f 1", r#""9223372036854775808""#),
    ]);
}

#[test]
fn append_and_ranges() {
    check(&[
        ("APPEND s ab", "(integer) 2"),
        ("APPEND s cd", "(integer) 4"),
        ("GET s", r#""abcd""#),
        (r#"APPEND s """#, "(integer) 4"),
        ("APPEND n 123", "(integer) 3"),
        ("OBJECT ENCODING n", r#""int""#),
        ("APPEND n 4", "(integer) 4"),
        ("OBJECT ENCODING n", r#""raw""#),
        ("INCR n", "(integer) 1235"),
        (r#"APPEND empty """#, "(integer) 0"),
        ("EXISTS empty", "(integer) 1"),
        ("SETRANGE s 1 XY", "(integer) 4"),
        ("GET s", r#""aXYd""#),
        ("SETRANGE s 6 z", "(integer) 7"),
        ("GET s", r#""aXYd\x00\x00z""#),
        (r#"SETRANGE s 2 """#, "(integer) 7"),
        (r#"SETRANGE absent 0 """#, "(integer) 0"),
        ("EXISTS absent", "(integer) 0"),
        ("SETRANGE s -1 a", "(error) ERR offset is out of range"),
        (r#"SETRANGE s -1 """#, "(error) ERR offset is out of range"),
        ("SETRANGE s x a", "(error) ERR value is not an integer or out of range"),
        ("SETRANGE s 536870912 a", "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("SETRANGE s 536870911 ab", "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        (
            "SETRANGE s 9223372036854775807 ab",
            "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ),
        ("SETRANGE s 9223372036854775808 ab", "(error) ERR value is not an integer or out of range"),
        ("SETRANGE absent 4 ab", "(integer) 6"),
        ("GET absent", r#""\x00\x00\x00\x00ab""#),
        ("OBJECT ENCODING absent", r#""raw""#),
        ("SET i 123456", "OK"),
        (r#"SETRANGE i 1 """#, "(integer) 6"),
        ("OBJECT ENCODING i", r#""int""#),
        ("SETRANGE i 1 x", "(integer) 6"),
        ("GETRANGE i 0 -1", r#""1x3456""#),
        ("GETRANGE i -100 2", r#""1x3""#),
        ("GETRANGE i -3 -2", r#""45""#),
        ("GETRANGE i -1 -3", r#""""#),
        ("GETRANGE i 0 -7", r#""1""#),
        ("GETRANGE i 0 -100", r#""1""#),
        ("GETRANGE i -100 -100", r#""1""#),
        ("GETRANGE i -100 -101", r#""""#),
        ("GETRANGE i 1 -100", r#""""#),
        ("GETRANGE i 5 5", r#""6""#),
        ("GETRANGE i 6 10", r#""""#),
        ("GETRANGE i 2 -9223372036854775808", r#""""#),
        ("GETRANGE i -9223372036854775808 9223372036854775807", r#""1x3456""#),
        ("GETRANGE i 1 x", "(error) ERR value is not an integer or out of range"),
        ("GETRANGE absent2 0 1", r#""""#),
        ("GETRANGE absent2 0 x", "(error) ERR value is not an integer or out of range"),
        ("SUBSTR i 1 2", r#""x3""#),
        ("SET i 5042", "OK"),
        ("GETRANGE i 1 2", r#""04""#),
        ("STRLEN i", "(integer) 4"),
        ("STRLEN absent2", "(integer) 0"),
        ("SET i -12 EX 100", "OK"),
        ("APPEND i 3", "(integer) 4"),
        ("TTL i", "(integer) 100"),
        ("SETRANGE i 0 7", "(integer) 4"),
        ("TTL i", "(integer) 100"),
        ("GET i", r#""7123""#),
    ]);
}

#[test]
fn lcs() {
    check(&[
        ("LCS a b", r#""""#),
        ("LCS a b LEN", "(integer) 0"),
        ("LCS a b IDX", "1) \"matches\"\n2) (empty array)\n3) \"len\"\n4) (integer) 0"),
        ("MSET a ohmytext b mynewtext", "OK"),
        ("LCS a b", r#""mytext""#),
        ("LCS a b LEN", "(integer) 6"),
        (
            "LCS a b IDX",
            "1) \"matches\"\n2) 1) 1) 1) (integer) 4\n         2) (integer) 7\n      2) 1) (integer) 5\n         2) (integer) 8\n   2) 1) 1) (integer) 2\n         2) (integer) 3\n      2) 1) (integer) 0\n         2) (integer) 1\n3) \"len\"\n4) (integer) 6",
        ),
        (
            "LCS a b IDX MINMATCHLEN 4",
            "1) \"matches\"\n2) 1) 1) 1) (integer) 4\n         2) (integer) 7\n      2) 1) (integer) 5\n         2) (integer) 8\n3) \"len\"\n4) (integer) 6",
        ),
        (
            "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
            "1) \"matches\"\n2) 1) 1) 1) (integer) 4\n         2) (integer) 7\n      2) 1) (integer) 5\n         2) (integer) 8\n      3) (integer) 4\n3) \"len\"\n4) (integer) 6",
        ),
        (
            "LCS a b IDX WITHMATCHLEN MINMATCHLEN -1",
            "1) \"matches\"\n2) 1) 1) 1) (integer) 4\n         2) (integer) 7\n      2) 1) (integer) 5\n         2) (integer) 8\n      3) (integer) 4\n   2) 1) 1) (integer) 2\n         2) (integer) 3\n      2) 1) (integer) 0\n         2) (integer) 1\n      3) (integer) 2\n3) \"len\"\n4) (integer) 6",
        ),
        ("LCS a b WITHMATCHLEN", r#""mytext""#),
        ("LCS a b LEN WITHMATCHLEN MINMATCHLEN 3", "(integer) 6"),
        (
            "LCS a a IDX",
            "1) \"matches\"\n2) 1) 1) 1) (integer) 0\n         2) (integer) 7\n      2) 1) (integer) 0\n         2) (integer) 7\n3) \"len\"\n4) (integer) 8",
        ),
        ("LCS a b LEN IDX", "(error) ERR If you want both the length and indexes, please just use IDX."),
        ("LCS a b NOPE", "(error) ERR syntax error"),
        ("LCS a b LEN IDX NOPE", "(error) ERR syntax error"),
        ("LCS a b MINMATCHLEN", "(error) ERR syntax error"),
        ("LCS a b MINMATCHLEN x", "(error) ERR value is not an integer or out of range"),
        ("LCS a absent IDX", "1) \"matches\"\n2) (empty array)\n3) \"len\"\n4) (integer) 0"),
        ("MSET a 123 b 23", "OK"),
        (
            "LCS a b IDX WITHMATCHLEN",
            "1) \"matches\"\n2) 1) 1) 1) (integer) 1\n         2) (integer) 2\n      2) 1) (integer) 0\n         2) (integer) 1\n      3) (integer) 2\n3) \"len\"\n4) (integer) 2",
        ),
        ("MSET a AGGTABAGGTABCCGTAGCATTACG b GXTXAYBGCATGACTTAGCAXGT", "OK"),
        ("LCS a b", r#""GTABGCAGATTACG""#),
        (
            "LCS a b IDX WITHMATCHLEN",
            "1) \"matches\"\n2)  1) 1) 1) (integer) 24\n          2) (integer) 24\n       2) 1) (integer) 21\n          2) (integer) 21\n       3) (integer) 1\n    2) 1) 1) (integer) 23\n          2) (integer) 23\n       2) 1) (integer) 18\n          2) (integer) 18\n       3) (integer) 1\n    3) 1) 1) (integer) 20\n          2) (integer) 22\n       2) 1) (integer) 14\n          2) (integer) 16\n       3) (integer) 3\n    4) 1) 1) (integer) 19\n          2) (integer) 19\n       2) 1) (integer) 12\n          2) (integer) 12\n       3) (integer) 1\n    5) 1) 1) (integer) 17\n          2) (integer) 17\n       2) 1) (integer) 11\n          2) (integer) 11\n       3) (integer) 1\n    6) 1) 1) (integer) 16\n          2) (integer) 16\n       2) 1) (integer) 9\n          2) (integer) 9\n       3) (integer) 1\n    7) 1) 1) (integer) 13\n          2) (integer) 13\n       2) 1) (integer) 8\n          2) (integer) 8\n       3) (integer) 1\n    8) 1) 1) (integer) 8\n          2) (integer) 8\n       2) 1) (integer) 7\n          2) (integer) 7\n       3) (integer) 1\n    9) 1) 1) (integer) 5\n          2) (integer) 5\n       2) 1) (integer) 6\n          2) (integer) 6\n       3) (integer) 1\n   10) 1) 1) (integer) 4\n          2) (integer) 4\n       2) 1) (integer) 4\n          2) (integer) 4\n       3) (integer) 1\n   11) 1) 1) (integer) 3\n          2) (integer) 3\n       2) 1) (integer) 2\n          2) (integer) 2\n       3) (integer) 1\n   12) 1) 1) (integer) 2\n          2) (integer) 2\n       2) 1) (integer) 0\n          2) (integer) 0\n       3) (integer) 1\n3) \"len\"\n4) (integer) 14",
        ),
        ("LCS b a", r#""GTABAGACTAGCAT""#),
        (
            "LCS b a IDX",
            "1) \"matches\"\n2)  1) 1) 1) (integer) 22\n          2) (integer) 22\n       2) 1) (integer) 21\n          2) (integer) 21\n    2) 1) 1) (integer) 15\n          2) (integer) 19\n       2) 1) (integer) 15\n          2) (integer) 19\n    3) 1) 1) (integer) 13\n          2) (integer) 13\n       2) 1) (integer) 12\n          2) (integer) 12\n    4) 1) 1) (integer) 12\n          2) (integer) 12\n       2) 1) (integer) 10\n          2) (integer) 10\n    5) 1) 1) (integer) 11\n          2) (integer) 11\n       2) 1) (integer) 8\n          2) (integer) 8\n    6) 1) 1) (integer) 9\n          2) (integer) 9\n       2) 1) (integer) 6\n          2) (integer) 6\n    7) 1) 1) (integer) 6\n          2) (integer) 6\n       2) 1) (integer) 5\n          2) (integer) 5\n    8) 1) 1) (integer) 4\n          2) (integer) 4\n       2) 1) (integer) 4\n          2) (integer) 4\n    9) 1) 1) (integer) 2\n          2) (integer) 2\n       2) 1) (integer) 3\n          2) (integer) 3\n   10) 1) 1) (integer) 0\n          2) (integer) 0\n       2) 1) (integer) 1\n          2) (integer) 1\n3) \"len\"\n4) (integer) 14",
        ),
        ("SETRANGE big 20000 x", "(integer) 20001"),
        (
            "LCS big big",
            "(error) ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ),
        (
            "LCS big big LEN",
            "(error) ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ),
        ("LCS big big LEN IDX", "(error) ERR If you want both the length and indexes, please just use IDX."),
        ("LCS big a LEN", "(integer) 0"),
    ]);
}

#[test]
fn encodings() {
    check(&[
        ("SET k 0", "OK"),
        ("OBJECT ENCODING k", r#""int""#),
        ("SET k -1", "OK"),
        ("OBJECT ENCODING k", r#""int""#),
        ("SET k 9223372036854775807", "OK"),
        ("OBJECT ENCODING k", r#""int""#),
        ("SET k -9223372036854775808", "OK"),
        ("OBJECT ENCODING k", r#""int""#),
        ("SET k 9223372036854775808", "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        ("SET k -0", "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        ("SET k 007", "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        ("SET k +7", "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        (r#"SET k """#, "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        ("SET k text", "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        ("GETSET k 12", r#""text""#),
        ("OBJECT ENCODING k", r#""int""#),
        ("MSET k 13", "OK"),
        ("OBJECT ENCODING k", r#""int""#),
        ("SETNX n 14", "(integer) 1"),
        ("OBJECT ENCODING n", r#""int""#),
        ("SET k 0123456789012345678901234567890123456789012345", "OK"),
        ("OBJECT ENCODING k", r#""raw""#),
    ]);
}

#[test]
fn large_values() {
    check(&[
        ("SETRANGE big 20000 end", "(integer) 20003"),
        ("STRLEN big", "(integer) 20003"),
        ("GETRANGE big 19999 -1", r#""\x00end""#),
        ("GETRANGE big -2 -1", r#""nd""#),
        ("APPEND big ing", "(integer) 20006"),
        ("GETRANGE big -6 30000", r#""ending""#),
        ("SETRANGE big 0 start", "(integer) 20006"),
        ("GETRANGE big 0 5", r#""start\x00""#),
        ("OBJECT ENCODING big", r#""raw""#),
        ("INCR big", "(error) ERR value is not an integer or out of range"),
        ("INCRBYFLOAT big 1", "(error) ERR value is not a valid float"),
        ("EXPIRE big 100", "(integer) 1"),
        ("COPY big copy", "(integer) 1"),
        ("SETRANGE big 0 S", "(integer) 20006"),
        ("GETRANGE copy 0 4", r#""start""#),
        ("GETRANGE big 0 4", r#""Start""#),
        ("TTL copy", "(integer) 100"),
        ("RENAME big big2", "OK"),
        ("STRLEN big2", "(integer) 20006"),
        ("SET big2 small", "OK"),
        ("GET big2", r#""small""#),
    ]);
}
