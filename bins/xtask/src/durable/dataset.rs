//! A small dataset with every type, in which the limits of a server decide on the encodings.

use anyhow::{bail, ensure};
use carnelian_testkit::{Client, quote};

use super::servers::Kind;

/// Far enough away that it never passes: unix milliseconds.
const LATER: &str = "4000000000000";

/// For all servers, in database 0 unless SELECT says otherwise. `$T` is [`LATER`].
const COMMON: &str = r##"
FLUSHALL
SELECT 3
SET elsewhere 1
SELECT 15
RPUSH last a b
SELECT 0
MSET int:8 -7 int:16 300 int:32 -70000 int:64 9223372036854775807 no:int 9223372036854775808 float 3.14
MSET "" "" "\x00\xff\r\n" "\xff\x00\xfe" text hello long <compressible*40>
SET with:deadline v PXAT $T
RPUSH list a b 1 -1 300 70000 9999999999 -4096 127 128
RPUSH list:texts one two three four five six seven <x*300> nine ""
RPUSH list:due a
PEXPIREAT list:due $T
SADD set:16 1 2 -3
SADD set:32 1 70000 -3
SADD set:64 1 70000 -9999999999 5 6 7
SADD set a b 1 300 <m*80>
SADD set:texts a b c
ZADD zset 1 a 2.5 b -inf c inf d 0 e 1 f
ZADD zset:ints 1 a 2 b 3 c 3 d
ZADD zset:long 0.1 <m*80> 1e300 x -7 y
HSET hash a 1 b two c "" d -70000
HSET hash:long a <v*90> b 2 c 3
XADD stream 1-1 a 1 b 2
XADD stream 1-2 a 3 b 4
XADD stream 5-0 other field
XADD stream 7-7 a 5 b 6
XADD stream 18446744073709551615-1 a last b one
XDEL stream 1-2
XGROUP CREATE stream group 0
XGROUP CREATE stream idle 5-0
XREADGROUP GROUP group alice COUNT 2 STREAMS stream >
XREADGROUP GROUP group bob COUNT 1 STREAMS stream >
XACK stream group 5-0
XGROUP CREATECONSUMER stream group carol
XADD stream:empty 5-5 a b
XDEL stream:empty 5-5
XGROUP CREATE stream:none g $ MKSTREAM
XADD stream:trimmed 1-0 a b
XADD stream:trimmed 2-0 a b
XTRIM stream:trimmed MAXLEN 1
PFADD hll a b c
SETBIT bits 700 1
GEOADD places 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
FUNCTION LOAD REPLACE "#!lua name=mine\nredis.register_function('f', function() return 1 end)"
"##;

/// For those that know deadlines of fields.
const FIELD_DEADLINES: &str = r#"
HSET timed a 1 b two c 3 d 4
HPEXPIREAT timed 4000000000005 FIELDS 1 b
HPEXPIREAT timed 4000000000000 FIELDS 1 d
HSET timed:long a <v*90> b 2 c 3 d 4 e 5
HPEXPIREAT timed:long 4000000000009 FIELDS 2 a c
HSET untimed a 1 b 2
HPEXPIREAT untimed 4000000000000 FIELDS 1 a
HPERSIST untimed FIELDS 1 a
"#;

/// What happens to it later. Most of it is logged in other words.
const CHANGES: &str = r##"
SELECT 3
INCRBY elsewhere 41
SELECT 0
INCRBYFLOAT float 1.5
SET set:later v EX 1000000
SETEX setex:later 1000000 v
EXPIRE text 1000000
GETEX hello PERSIST
GETDEL int:8
APPEND long tail
COPY list list:copy
RENAME list:texts list:renamed
LMOVE list list:texts LEFT RIGHT
LMPOP 1 list LEFT COUNT 2
LREM list 0 300
SPOP set:texts
SPOP set 2
SMOVE set:16 set:moved 1
SINTERSTORE set:stored set:32 set:64
ZINCRBY zset 0.1 a
ZMPOP 1 zset:ints MAX COUNT 2
ZADD zset:long GT CH 1e301 x
ZRANGESTORE zset:stored zset 0 2
HINCRBY hash d 1
HINCRBYFLOAT hash:long b 0.25
HDEL hash a
XADD stream:trimmed MAXLEN ~ 5 3-* a b
XADD stream:none 9-9 a b
XREADGROUP GROUP g dora STREAMS stream:none >
XCLAIM stream group carol 0 1-1
XTRIM stream MINID 2
XDEL stream 7-7
PFADD hll d e f
PFMERGE hll:merged hll
SETRANGE bits 100 x
GEOSEARCHSTORE places:near places FROMLONLAT 15 37 BYRADIUS 200 km
SORT list:due BY nosort STORE list:sorted
EVAL "redis.call('SET', KEYS[1], ARGV[1]); redis.call('SADD', KEYS[2], 1, 2)" 2 by:script set:script v
MULTI
SET in:transaction 1
INCR in:transaction
EXEC
FUNCTION LOAD REPLACE "#!lua name=more\nredis.register_function('g', function() return 2 end)"
SELECT 15
FLUSHDB
SWAPDB 15 3
"##;

/// For those that know deadlines of fields.
const FIELD_CHANGES: &str = r#"
SELECT 0
HEXPIRE hash 1000000 FIELDS 1 b
HPERSIST timed:long FIELDS 1 c
HINCRBYFLOAT timed:long e 0.5
HGETEX timed EX 2000000 FIELDS 1 a
HGETDEL timed FIELDS 1 d
HSETEX timed EX 1000000 FIELDS 1 e 5
"#;

/// Directives by which collections are no listpacks. Those of sets are younger than the oldest server.
pub(super) fn large(kind: Kind) -> &'static [&'static str] {
    const LIMITS: [&str; 12] = [
        "--hash-max-listpack-entries",
        "2",
        "--zset-max-listpack-entries",
        "2",
        "--set-max-intset-entries",
        "3",
        "--list-max-listpack-size",
        "3",
        "--stream-node-max-entries",
        "2",
        "--set-max-listpack-entries",
        "2",
    ];
    if kind == Kind::Redis70 { &LIMITS[..10] } else { &LIMITS }
}

/// Lets large elements of lists get nodes of their own.
pub(super) fn make_large_elements(client: &mut Client) -> anyhow::Result<()> {
    client.call(&["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "100b"])?;
    Ok(())
}

/// Fills a server.
pub(super) fn fill(client: &mut Client, kind: Kind) -> anyhow::Result<()> {
    let timed = if kind.has_field_deadlines() { FIELD_DEADLINES } else { "" };
    run(client, &[COMMON, timed])?;
    if client.call(&["EXISTS", "timed"])?.starts_with(b":1") != kind.has_field_deadlines() {
        bail!("the dataset is not what was asked for");
    }
    Ok(())
}

/// Changes what [`fill`] has made.
pub(super) fn change(client: &mut Client, kind: Kind) -> anyhow::Result<()> {
    let timed = if kind.has_field_deadlines() { FIELD_CHANGES } else { "" };
    run(client, &[CHANGES, timed])
}

fn run(client: &mut Client, texts: &[&str]) -> anyhow::Result<()> {
    for line in texts.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty()) {
        let words = quote::split(&line.replace("$T", LATER))?;
        let reply = client.call(&words)?;
        ensure!(!reply.starts_with(b"-"), "{line}: {}", reply.escape_ascii());
    }
    Ok(())
}
