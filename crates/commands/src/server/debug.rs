//! DEBUG: what tests and people who look for faults need. Refused unless `enable-debug-command` admits the client.

mod digest;
mod tables;

use carnelian_config::Directive;
use carnelian_keyspace::{Encoding, ListShape, Str, Ttl, Value};
use carnelian_resp::{Protocol, number};

use crate::args::{is, text};
use crate::context::Ctx;
use crate::error::Error;
use crate::help;
use crate::persistence::commands::{load_aof, reload};
use crate::row::{Flags, Group, Handler, Row};
use digest::Hash;

const ENABLE: Directive = Directive::named("enable-debug-command");
const COMPRESS_DEPTH: Directive = Directive::named("list-compress-depth");

pub(crate) static ROWS: &[Row] = &[Row {
    name: "debug",
    summary: "Commands for debugging the server.",
    since: "1.0.0",
    group: Group::Server,
    arity: -2,
    flags: Flags::ADMINISTRATIVE,
    complexity: "Depends on subcommand",
    run: debug,
    ..Row::EMPTY
}];

/// A subcommand. They are no subcommands in the sense of COMMAND, so they have no rows.
struct Tool {
    name: &'static str,
    /// The least and the most words after the name.
    words: (usize, usize),
    syntax: &'static str,
    summary: &'static str,
    run: Handler,
}

static TOOLS: &[Tool] = &[
    Tool { name: "DIGEST", words: (0, 0), syntax: "", summary: "A hash of all databases.", run: digest },
    Tool {
        name: "DIGEST-VALUE",
        words: (0, usize::MAX),
        syntax: "<key> [<key> ...]",
        summary: "A hash of each of the values.",
        run: digest_value,
    },
    Tool { name: "ERROR", words: (1, 1), syntax: "<text>", summary: "Replies an error.", run: error },
    Tool { name: "HELP", words: (0, 0), syntax: "", summary: "", run: list },
    Tool {
        name: "HTSTATS-KEY",
        words: (1, usize::MAX),
        syntax: "<key> [full]",
        summary: "Shows the size of the table of a hash, a set or a sorted set, and how it is filled.",
        run: tables::of_key,
    },
    Tool {
        name: "LISTPACK",
        words: (1, 1),
        syntax: "<key>",
        summary: "Writes to the log how much a listpack holds.",
        run: listpack,
    },
    Tool {
        name: "LOADAOF",
        words: (0, 0),
        syntax: "",
        summary: "Puts the append only file on disk and loads the dataset from it.",
        run: load_aof,
    },
    Tool { name: "LOG", words: (1, 1), syntax: "<message>", summary: "Writes to the log.", run: log },
    Tool {
        name: "OBJECT",
        words: (1, 2),
        syntax: "<key> [fast]",
        summary: "Describes how a value is stored.",
        run: object,
    },
    Tool {
        name: "PAUSE-CRON",
        words: (1, 1),
        syntax: "<0|1>",
        summary: "Takes up or holds back periodic work on connections.",
        run: pause_cron,
    },
    Tool {
        name: "POPULATE",
        words: (1, 3),
        syntax: "<count> [<prefix>] [<size>]",
        summary: "Creates strings at <prefix>:0, <prefix>:1 and so on; the prefix is \"key\" by default.",
        run: populate,
    },
    Tool {
        name: "PROTOCOL",
        words: (1, 1),
        syntax: "<type>",
        summary: "Replies a value of a type: string, integer, double, null, array, set, map, attrib, push, ...",
        run: protocol,
    },
    Tool {
        name: "QUICKLIST-PACKED-THRESHOLD",
        words: (1, 1),
        syntax: "<size>",
        summary: "Sets from which size on elements of large lists stand alone; 0 for what exceeds a node.",
        run: quicklist_packed_threshold,
    },
    Tool {
        name: "RELOAD",
        words: (0, usize::MAX),
        syntax: "[MERGE] [NOFLUSH] [NOSAVE]",
        summary: "Saves the dataset and loads it again.",
        run: reload,
    },
    Tool {
        name: "SET-ACTIVE-EXPIRE",
        words: (1, 1),
        syntax: "<0|1>",
        summary: "Turns the removal of expired keys that nobody reads off or on.",
        run: set_active_expire,
    },
    Tool {
        name: "SET-DISABLE-DENY-SCRIPTS",
        words: (1, 1),
        syntax: "<0|1>",
        summary: "Lets scripts execute commands that are not for them, or not.",
        run: set_disable_deny_scripts,
    },
    Tool {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        words: (1, 1),
        syntax: "<0|1>",
        summary: "Takes payloads whatever their checksum is, or not.",
        run: set_skip_checksums,
    },
    Tool {
        name: "SLEEP",
        words: (1, 1),
        syntax: "<seconds>",
        summary: "Stops everything for a while.",
        run: sleep,
    },
];

fn debug(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if !cx.is_allowed(ENABLE) {
        return Err(Error::DebugNotAllowed);
    }
    let words = cx.argv.len() - 2;
    let tool = TOOLS.iter().find(|tool| is(cx.arg(1), tool.name));
    match tool.filter(|tool| (tool.words.0..=tool.words.1).contains(&words)) {
        Some(tool) => (tool.run)(cx),
        None => Err(Error::subcommand_or_arity("DEBUG", cx.arg(1))),
    }
}

fn listpack(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let key = cx.key(2);
    let item = cx.keyspace.peek(cx.db, key).ok_or(Error::NoSuchKey)?;
    let encoding = item.encoding();
    if !matches!(encoding, Encoding::Listpack | Encoding::ListpackEx) {
        return Err(Error::Text("ERR Not a listpack encoded object."));
    }
    log::info!("{} {}: {} bytes", encoding.name(), text(key.bytes()), item.memory(0));
    cx.out.simple("Listpack structure printed on stdout");
    Ok(())
}

fn list(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let tools = TOOLS.iter().filter(|tool| !tool.summary.is_empty());
    let lines: Vec<String> = tools
        .flat_map(|tool| {
            [format!("{} {}", tool.name, tool.syntax).trim_end().to_owned(), format!("    {}", tool.summary)]
        })
        .collect();
    help::reply(cx, "DEBUG", lines.iter().map(String::as_str));
    Ok(())
}

/// Replies an error without being one: it is not counted.
fn error(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.error(cx.arg(2));
    Ok(())
}

fn log(cx: &mut Ctx<'_>) -> Result<(), Error> {
    log::warn!("DEBUG LOG: {}", text(cx.arg(2)));
    cx.out.ok();
    Ok(())
}

/// What a `<0|1>` says: anything but a number other than zero means no.
fn is_on(arg: &[u8]) -> bool {
    number::parse_i64(arg).is_some_and(|flag| flag != 0)
}

fn pause_cron(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.links.pause_upkeep(is_on(cx.arg(2)));
    cx.out.ok();
    Ok(())
}

fn quicklist_packed_threshold(cx: &mut Ctx<'_>) -> Result<(), Error> {
    /// A little less than what a listpack could hold.
    const MAX: u64 = (1 << 32) - (1 << 20);
    let bytes = carnelian_config::parse_memory(cx.arg(2)).filter(|bytes| *bytes <= MAX);
    let bytes =
        bytes.ok_or(Error::Text("ERR argument must be a memory value bigger than 1 and smaller than 4gb"))?;
    cx.state.settings.set_list_plain_threshold(bytes as usize, cx.keyspace);
    cx.out.ok();
    Ok(())
}

fn set_active_expire(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.keyspace.set_active_expire(is_on(cx.arg(2)));
    cx.out.ok();
    Ok(())
}

fn set_disable_deny_scripts(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.state.scripts_unbound = is_on(cx.arg(2));
    cx.out.ok();
    Ok(())
}

fn set_skip_checksums(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.state.skip_checksums = is_on(cx.arg(2));
    cx.out.ok();
    Ok(())
}

fn sleep(cx: &mut Ctx<'_>) -> Result<(), Error> {
    // What is no number means no time at all, as for the peers.
    let seconds: f64 = text(cx.arg(2)).parse().unwrap_or(0.0);
    if seconds > 0.0 {
        cx.links.sleep((seconds * 1e6) as u64);
    }
    cx.out.ok();
    Ok(())
}

fn populate(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let positive = |arg: &[u8]| number::parse_i64(arg).filter(|n| *n >= 0).ok_or(Error::NotPositive);
    let count = positive(cx.arg(2))?;
    let prefix = cx.argv.get(3).unwrap_or(b"key");
    let size = cx.argv.get(4).map(positive).transpose()?.filter(|size| *size > 0);
    for i in 0..count {
        let name = [prefix, format!(":{i}").as_bytes()].concat();
        let mut value = format!("value:{i}").into_bytes();
        if let Some(size) = size {
            value.resize(size as usize, 0);
        }
        let key = cx.keyspace.key(&name);
        let mut write = cx.keyspace.write(cx.db, key);
        if !write.exists() {
            write.set_raw(&value, Ttl::Clear);
            write.commit(&[]);
            cx.effect(&[b"SET", &name, &value]);
        }
    }
    cx.out.ok();
    Ok(())
}

fn object(cx: &mut Ctx<'_>) -> Result<(), Error> {
    // What is due but still there is shown too.
    let held = cx.keyspace.holds_deadlines();
    cx.keyspace.hold_deadlines(true);
    let result = describe_object(cx);
    cx.keyspace.hold_deadlines(held);
    result
}

fn describe_object(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    let item = cx.keyspace.peek(cx.db, cx.key(2)).ok_or(Error::NoSuchKey)?;
    let length = match item.value() {
        Value::Str(Str::Int(number)) => match number {
            -128..=127 => 2,
            -32_768..=32_767 => 3,
            -2_147_483_648..=2_147_483_647 => 5,
            other => 1 + itoa::Buffer::new().format(other).len(),
        },
        Value::Str(other) => match other.len() {
            short @ 0..=63 => 1 + short,
            middle @ 64..=16_383 => 2 + middle,
            long => 5 + long,
        },
        _ => item.memory(0),
    };
    let idle = item.idle_seconds(now);
    let mut description = format!(
        "Value at:0x{:x} refcount:1 encoding:{} serializedlength:{length} lru:{} lru_seconds_idle:{idle}",
        item.key().as_ptr() as usize,
        item.encoding().name(),
        (now / 1000 - idle) & 0xff_ffff,
    );
    if let Value::List(list) = item.value()
        && let Some(shape) = list.shape()
    {
        let average = list.len() as f64 / shape.nodes as f64;
        let ListShape { nodes, limit, bytes } = shape;
        let compresses = i32::from(cx.state.config.int(COMPRESS_DEPTH) != 0);
        description += &format!(
            " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{limit} ql_compressed:{compresses} \
             ql_uncompressed_size:{bytes}"
        );
    }
    cx.out.simple(&description);
    Ok(())
}

fn protocol(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let resp3 = cx.out.protocol() == Protocol::Resp3;
    let out = &mut *cx.out;
    match cx.argv.arg(2).to_ascii_lowercase().as_slice() {
        b"string" => out.bulk(b"Hello World"),
        b"integer" => out.integer(12345),
        b"double" => out.double(3141.0 / 1000.0),
        b"null" => out.null(),
        b"array" => {
            out.array(3);
            (0..3).for_each(|i| out.integer(i));
        }
        b"set" => {
            out.set(3);
            (0..3).for_each(|i| out.integer(i));
        }
        b"map" => {
            out.map(3);
            for i in 0..3 {
                out.integer(i);
                out.boolean(i == 1);
            }
        }
        b"attrib" => {
            if resp3 {
                out.attribute(1);
                out.bulk(b"key-popularity");
                out.array(2);
                out.bulk(b"key:123");
                out.integer(90);
            }
            out.bulk(b"Some real reply following the attribute");
        }
        b"push" if !resp3 => return Err(Error::Text("ERR RESP2 is not supported by this command")),
        b"push" => {
            out.bulk(b"Some real reply following the push reply");
            out.push(2);
            out.bulk(b"server-cpu-usage");
            out.integer(42);
        }
        b"verbatim" => out.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => out.boolean(true),
        b"false" => out.boolean(false),
        b"bignum" => out.big_number("1234567999999999999999999999999999999"),
        _ => return Err(Error::ProtocolType),
    }
    Ok(())
}

fn digest(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let digest = Hash::of_all(cx.keyspace);
    cx.out.simple(&digest.hex());
    Ok(())
}

fn digest_value(cx: &mut Ctx<'_>) -> Result<(), Error> {
    cx.out.array(cx.argv.len() - 2);
    for i in 2..cx.argv.len() {
        let mut hash = Hash::default();
        if let Some(item) = cx.keyspace.peek(cx.db, cx.key(i)) {
            hash.mix_item(&item);
        }
        cx.out.simple(&hash.hex());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Session, check};

    fn allowed() -> Session {
        Session::with(&[("enable-debug-command", "local")])
    }

    #[test]
    fn it_has_to_be_enabled() {
        let reply = Session::new().run("DEBUG SLEEP 0");
        assert!(reply.starts_with("(error) ERR DEBUG command not allowed."), "{reply}");
        check(&[("DEBUG", "(error) ERR wrong number of arguments for 'debug' command")]);
    }

    #[test]
    fn digests_are_those_of_the_peers() {
        allowed().check(&[
            ("DEBUG DIGEST", "0000000000000000000000000000000000000000"),
            ("MSET k1 v1 k2 v2 k3 v3", "OK"),
            ("DEBUG DIGEST", "8df647352882efa138f4854656f412a08448f22d"),
            ("HSET h a 1 b 2 c 3", "(integer) 3"),
            ("HEXPIRE h 1000 FIELDS 1 b", "1) (integer) 1"),
            ("DEBUG DIGEST-VALUE h", "1) 53a791e3a46d25ef2c4d89c5251bfcbf4c619a2c"),
            ("DEL h", "(integer) 1"),
            ("DEBUG DIGEST-VALUE k1", "1) 1b39f6ecf00cfce8fa56c4c62c40126162d878fe"),
            ("PEXPIRE k1 100000000", "(integer) 1"),
            ("DEBUG DIGEST", "b13796eaceb2893c2db9d685a76bbd9457d3d90e"),
            (
                "DEBUG DIGEST-VALUE k1 nosuch",
                "1) fdbc08132c3516bc3b402f3e692addfa7876397d\n2) 0000000000000000000000000000000000000000",
            ),
        ]);
    }

    #[test]
    fn populate_leaves_present_keys() {
        allowed().check(&[
            ("SET pre:1 mine", "OK"),
            ("DEBUG POPULATE 3 pre 10", "OK"),
            ("GET pre:1", "\"mine\""),
            ("GET pre:2", "\"value:2\\x00\\x00\\x00\""),
            ("DEBUG POPULATE x", "(error) ERR value is out of range, must be positive"),
            ("DBSIZE", "(integer) 3"),
        ]);
    }

    #[test]
    fn collections_are_described() {
        let mut session = allowed();
        session.check(&[
            ("CONFIG SET list-max-listpack-size 4 list-compress-depth 1", "OK"),
            ("RPUSH q 1 2 3 4 5 6 7 8 9 aa bbb ccc ddd", "(integer) 13"),
            ("CONFIG SET list-max-listpack-size -2", "OK"),
            ("HSET packed f v", "(integer) 1"),
            ("CONFIG SET set-max-listpack-entries 0", "OK"),
            ("SADD s a", "(integer) 1"),
            ("DEBUG HTSTATS-KEY", "(error) ERR unknown subcommand or wrong number of arguments for 'HTSTATS-KEY'. Try DEBUG HELP."),
            ("DEBUG HTSTATS-KEY nosuch", "(error) ERR no such key"),
            (
                "DEBUG HTSTATS-KEY packed full",
                "(error) ERR The value stored at the specified key is not represented using an hash table",
            ),
        ]);
        let reply = session.run("DEBUG OBJECT q");
        let shape = " ql_nodes:4 ql_avg_node:3.25 ql_listpack_max:4 ql_compressed:1 ql_uncompressed_size:65";
        assert!(reply.ends_with(shape), "{reply}");
        let reply = session.run("DEBUG HTSTATS-KEY s full");
        assert!(
            reply.contains("number of elements: 1\\n different slots: 1\\n max chain length: 1\\n"),
            "{reply}"
        );
    }

    #[test]
    fn the_server_sleeps_and_expiry_rests() {
        let mut session = allowed();
        session.check(&[
            ("DEBUG SLEEP 0.25", "OK"),
            ("DEBUG SLEEP x", "OK"),
            ("DEBUG SET-ACTIVE-EXPIRE 0", "OK"),
        ]);
        assert_eq!(session.outside.slept_us, 250_000);
        session.run("SET k v PX 1");
        session.advance_ms(1000);
        session.check(&[
            ("DBSIZE", "(integer) 1"),
            ("SCAN 0 TYPE string COUNT 100", "1) \"0\"\n2) (empty array)"),
            ("DBSIZE", "(integer) 0"),
        ]);
        session.run("SET k v PX 1");
        session.advance_ms(1000);
        session.check(&[("DBSIZE", "(integer) 1"), ("DEBUG SET-ACTIVE-EXPIRE 1", "OK")]);
        session.advance_ms(1);
        session.check(&[("DBSIZE", "(integer) 0")]);
    }

    #[test]
    fn values_of_all_types() {
        let mut session = allowed();
        session.check(&[
            ("DEBUG PROTOCOL double", "\"3.141\""),
            ("DEBUG PROTOCOL push", "(error) ERR RESP2 is not supported by this command"),
            ("DEBUG ERROR \"CODE text\"", "(error) CODE text"),
            (
                "DEBUG NOSUCH",
                "(error) ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.",
            ),
            ("DEBUG OBJECT nosuch", "(error) ERR no such key"),
        ]);
        session.run("HELLO 3");
        session.check(&[
            ("DEBUG PROTOCOL double", "(double) 3.141"),
            ("DEBUG PROTOCOL true", "(true)"),
            (
                "DEBUG PROTOCOL map",
                "1# (integer) 0 => (false)\n2# (integer) 1 => (true)\n3# (integer) 2 => (false)",
            ),
        ]);
    }
}
