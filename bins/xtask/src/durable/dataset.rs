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

/// Fills a server.
pub(super) fn fill(client: &mut Client, kind: Kind) -> anyhow::Result<()> {
    let timed = if kind.has_field_deadlines() { FIELD_DEADLINES } else { "" };
    for line in COMMON.lines().chain(timed.lines()).filter(|line| !line.is_empty()) {
        let words = quote::split(&line.replace("$T", LATER))?;
        let reply = client.call(&words)?;
        ensure!(!reply.starts_with(b"-"), "{line}: {}", reply.escape_ascii());
    }
    if client.call(&["EXISTS", "timed"])?.starts_with(b":1") != kind.has_field_deadlines() {
        bail!("the dataset is not what was asked for");
    }
    Ok(())
}
