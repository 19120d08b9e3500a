//! Files, options and CONFIG REWRITE.

use std::collections::HashMap;

use carnelian_config::file::{Host, Options};
use carnelian_config::rewrite::rewrite;
use carnelian_config::{Access, ClientClass, Config, Directive, OutputLimit, Source};
use proptest::prelude::*;

/// Included files in memory, and the directories that were changed to.
#[derive(Default)]
struct Files {
    files: HashMap<&'static str, &'static str>,
    directories: Vec<String>,
}

impl Host for Files {
    fn include(&mut self, pattern: &[u8]) -> Result<Vec<Source>, String> {
        let name = str::from_utf8(pattern).unwrap();
        match self.files.get(name) {
            Some(text) => Ok(vec![Source { name: name.into(), text: text.as_bytes().to_vec() }]),
            None if name.contains('*') => Ok(Vec::new()),
            None => Err(format!("can't open config file '{name}': No such file or directory")),
        }
    }

    fn change_directory(&mut self, path: &[u8]) -> Result<(), String> {
        if path == b"/nonexistent" {
            return Err("No such file or directory".into());
        }
        self.directories.push(String::from_utf8(path.to_vec()).unwrap());
        Ok(())
    }
}

fn load(text: &str) -> Result<Config, String> {
    let mut config = Config::new();
    config.load(text.as_bytes(), &mut Files::default()).map_err(|error| error.to_string())?;
    Ok(config)
}

fn get(config: &Config, name: &str) -> String {
    String::from_utf8(config.get(&[name.as_bytes()])[0].1.clone()).unwrap()
}

#[test]
fn lines_are_read_as_redis_reads_them() {
    let check = |text: &str, name: &str, expected: &str| {
        assert_eq!(get(&load(text).unwrap(), name), expected, "{text}");
    };
    check("", "maxmemory", "0");
    check("  # maxmemory 1\n\n\tMaxMemory\t2mb \r\n", "maxmemory", "2097152");
    check("maxmemory 1\nmaxmemory 2", "maxmemory", "2");
    check("slave-priority 7", "replica-priority", "7");
    check("requirepass \"a b\\x41\"", "requirepass", "a bA");
    check("save 900 1\nsave 300 10", "save", "900 1 300 10");
    check("save 900 1 300 10", "save", "900 1 300 10");
    check("save \"900 1 300 10\"", "save", "900 1 300 10");
    check("save 900 1\nsave \"\"\nsave 1 2", "save", "1 2");
    check("save ''", "save", "");
    check("bind 127.0.0.1 ::1", "bind", "127.0.0.1 ::1");
    check("bind ''", "bind", "");
    check("replicaof example.org 6380", "slaveof", "example.org 6380");
    check("replicaof no one", "replicaof", "");
    check("shutdown-on-sigterm force nosave", "shutdown-on-sigterm", "nosave force");
    check("hz 100000", "hz", "500");
    check("io-threads-do-reads yes\nlua-replicate-commands no", "hz", "10");
    check("client-output-buffer-limit pubsub 1 2 3", "client-output-buffer-limit", {
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 1 2 3"
    });
}

#[test]
fn wrong_lines_are_named() {
    let check = |text: &str, line: usize, shown: &str, reason: &str| {
        let expected = format!(
            "\n*** FATAL CONFIG FILE ERROR (Redis 8.2.3) ***\nReading the configuration file, at line {line}\n\
             >>> '{shown}'\n{reason}"
        );
        assert_eq!(load(text).unwrap_err(), expected);
    };
    let bad = "Bad directive or wrong number of arguments";
    check("port 1\nmaxmemory 1foo\n", 2, "maxmemory 1foo", "argument must be a memory value");
    check("\n\n  nosuch 1 \n", 3, "nosuch 1", bad);
    check("port=1", 1, "port=1", bad);
    check("include", 1, "include", bad);
    check("a.b 5", 1, "a.b 5", bad);
    check("port", 1, "port", "wrong number of arguments");
    check("port 1 2", 1, "port 1 2", "wrong number of arguments");
    check("port \"1", 1, "port \"1", "Unbalanced quotes in configuration line");
    check("slaveof foo abc", 1, "slaveof foo abc", "Invalid master port");
    check("unixsocketperm 999", 1, "unixsocketperm 999", "argument couldn't be parsed as an octal number");
    check("unixsocketperm 1000", 1, "unixsocketperm 1000", "argument must be between 0 and 777 inclusive");
    check("dir /nonexistent", 1, "dir /nonexistent", "No such file or directory");
    check("sentinel monitor x", 1, "sentinel monitor x", "sentinel directive while not in sentinel mode");
    check("loadmodule x.so", 1, "loadmodule x.so", "Modules are not supported by this server");
    assert_eq!(
        load("cluster-enabled yes\nreplicaof a 1").unwrap_err(),
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.2.3) ***\nreplicaof directive not allowed in cluster mode"
    );
}

#[test]
fn included_files_are_read_in_place() {
    let mut host = Files::default();
    host.files.insert("a.conf", "maxmemory 5\ninclude b.conf");
    host.files.insert("b.conf", "hz 20\n\nsave 1 1");
    host.files.insert("bad.conf", "\nhz x");
    host.files.insert("loop.conf", "include loop.conf");

    let mut config = Config::new();
    let text = b"maxmemory 1\nhz 50\nsave 9 9\ninclude none*.conf\ninclude a.conf\ndir /tmp";
    config.load(text, &mut host).unwrap();
    assert_eq!((get(&config, "maxmemory"), get(&config, "hz")), ("5".into(), "20".into()));
    assert_eq!(get(&config, "save"), "9 9 1 1");
    assert_eq!(host.directories, ["/tmp"]);

    let mut error = |text: &[u8]| Config::new().load(text, &mut host).unwrap_err().to_string();
    assert_eq!(
        error(b"include no.conf"),
        "Fatal error, can't open config file 'no.conf': No such file or directory"
    );
    assert!(error(b"include bad.conf").contains("at line 2 of included file 'bad.conf'\n>>> 'hz x'\n"));
    assert!(error(b"include loop.conf").contains("Too many levels"));
}

#[test]
fn declarations_are_kept_for_their_readers() {
    let config = load("user bob on\nrename-command FLUSHALL \"\"").unwrap();
    assert_eq!(config.user_lines()[0].args, [b"bob".to_vec(), b"on".to_vec()]);
    let renamed = &config.renamed_commands()[0];
    assert_eq!(renamed.args, [b"FLUSHALL".to_vec(), b"".to_vec()]);
    assert!(
        renamed.error("No such command in rename-command").to_string().contains("at line 2\n>>> 'rename")
    );
}

#[test]
fn options_become_lines() {
    let check = |args: &[&str], has_file: bool, text: &str, stdin: bool| {
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let options = Options::parse(&args, has_file);
        let lines: Vec<&str> = str::from_utf8(&options.text).unwrap().lines().map(str::trim_end).collect();
        assert_eq!((lines.join("|").as_str(), options.stdin), (text, stdin), "{args:?}");
    };
    check(&[], false, "", false);
    check(&["--port", "1", "--save", "900", "1"], false, "port \"1\"|save \"900\" \"1\"", false);
    check(&["--port", "abc"], false, "port \"abc\"", false);
    check(&["--port=1"], false, "port=1", false);
    check(&["--port 1", "--hz", "2"], false, "port 1|hz \"2\"", false);
    check(&["--appendonly", "--port", "x"], false, "appendonly \"--port\" \"x\"", false);
    check(&["--save", "--port", "x"], false, "save \"\"|port \"x\"", false);
    check(&["--hz", "2", "--save"], false, "hz \"2\"|save \"\"", false);
    check(&["--requirepass", "", "--hz", "2"], false, "requirepass \"\"|hz \"2\"", false);
    check(&["-"], false, "", true);
    check(&["--hz", "2", "-"], true, "hz \"2\"", true);
    check(&["-", "--hz", "2"], true, "\"-\"|hz \"2\"", false);
    check(&["-x"], false, "\"-x\"", false);
}

#[test]
fn setting_is_all_or_nothing() {
    let mut config = Config::new();
    let before = config.clone();
    let refused = |config: &mut Config, pairs: &[(&[u8], &[u8])]| {
        config.set_many(pairs, Access::default()).unwrap_err().to_string()
    };
    let failed = |name: &str, reason: &str| {
        format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}")
    };
    assert_eq!(
        refused(&mut config, &[(b"maxmemory", b"5"), (b"HZ", b"x")]),
        failed("hz", "argument couldn't be parsed into an integer")
    );
    assert_eq!(
        refused(&mut config, &[(b"hz", b"5"), (b"Nosuch", b"x"), (b"databases", b"1")]),
        "Unknown option or number of arguments for CONFIG SET - 'Nosuch'"
    );
    assert_eq!(
        refused(&mut config, &[(b"Databases", b"1"), (b"nosuch", b"1")]),
        failed("Databases", "can't set immutable config")
    );
    assert_eq!(refused(&mut config, &[(b"hz", b"5"), (b"Hz", b"6")]), failed("Hz", "duplicate parameter"));
    assert_eq!(refused(&mut config, &[(b"dir", b"/tmp")]), failed("dir", "can't set protected config"));
    assert!(config.set_many(&[(b"dir", b"/tmp")], Access { protected: true, loading: true }).is_err());
    assert_eq!(config, before);

    // An alias is no duplicate; the later one counts.
    let pairs: [(&[u8], &[u8]); 3] = [(b"slave-priority", b"1"), (b"replica-priority", b"2"), (b"hz", b"10")];
    let changes = config.set_many(&pairs, Access::default()).unwrap();
    assert_eq!((get(&config, "replica-priority"), changes.len()), ("2".into(), 2));
    config.revert(changes);
    assert_eq!(config, before);
}

#[test]
fn getting_lists_each_name_once() {
    let config = Config::new();
    let names = |patterns: &[&[u8]]| -> Vec<String> {
        config.get(patterns).iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    };
    assert_eq!(names(&[b"MAXmemory", b"?axmemory", b"nosuch"]), ["MAXmemory"]);
    assert_eq!(names(&[b"*-ignore-maxmemory"]), ["replica-ignore-maxmemory", "slave-ignore-maxmemory"]);
    assert_eq!(names(&[b"key-load-*"]), [""; 0]);
    assert_eq!(names(&[b"key-load-delay"]), ["key-load-delay"]);
}

#[test]
fn rewriting_keeps_what_it_does_not_know() {
    let old = "# first\nport 7000\n  maxmemory 1gb\n\n# second\nslave-priority 50\nSAVE 900 1\nsave 300 10\n\
               timeout 5\ntimeout 6\nclient-output-buffer-limit normal 5 6 7\nrename-command DEBUG \"\"\n\
               list-max-ziplist-entries 5\nuser bob on\nmaxmemory-clients 5%\nunixsocketperm 700\n";
    let mut config = load(old).unwrap();
    let pairs: [(&[u8], &[u8]); 8] = [
        (b"maxmemory", b"3145728"),
        (b"timeout", b"0"),
        (b"save", b"1 2 3 4 5 6"),
        (b"masterauth", b"a b\"\n\x01"),
        (b"notify-keyspace-events", b"KEA"),
        (b"bind", b""),
        (b"client-output-buffer-limit", b"replica 1gb 1mb 1"),
        (b"loglevel", b"debug"),
    ];
    config.set_many(&pairs, Access::default()).unwrap();
    let users = [b"user default on".to_vec(), b"user eve off".to_vec()];
    let new = rewrite(&config, old.as_bytes(), Some(&users));
    let expected = "# first\nport 7000\nmaxmemory 3mb\n\n# second\nreplica-priority 50\nsave 1 2\nsave 3 4\nsave 5 6\n\
                    timeout 0\nclient-output-buffer-limit normal 5 6 7\nclient-output-buffer-limit replica 1gb 1mb 1\n\
                    rename-command DEBUG \"\"\n# ??? list-max-ziplist-entries 5\nuser default on\nuser eve off\n\
                    maxmemory-clients 5%\nunixsocketperm 700\n\n# Generated by CONFIG REWRITE\nbind \"\"\n\
                    loglevel debug\nmasterauth \"a b\\\"\\n\\x01\"\nnotify-keyspace-events \"AKE\"\n";
    assert_eq!(String::from_utf8(new.clone()).unwrap(), expected);
    assert_eq!(rewrite(&config, &new, Some(&users)), new);

    config.set_many(&[(b"save", b""), (b"hz", b"20")], Access::default()).unwrap();
    let again = String::from_utf8(rewrite(&config, &new, None)).unwrap();
    assert!(again.contains("replica-priority 50\nsave \"\"\ntimeout 0\n"), "{again}");
    assert!(again.ends_with("notify-keyspace-events \"AKE\"\nhz 20\n"), "{again}");
}

#[test]
fn rewriting_defaults_into_nothing_adds_nothing() {
    assert_eq!(rewrite(&Config::new(), b"", None), b"");
}

#[test]
fn typed_reads() {
    let config = load("maxmemory-clients 5%\nnotify-keyspace-events Kx\nreplicaof a 1").unwrap();
    assert_eq!(config.int(Directive::named("maxmemory-clients")), -5);
    assert_eq!(config.word(Directive::named("maxmemory-policy")), "noeviction");
    assert!(config.flag(Directive::named("protected-mode")));
    assert_eq!(config.text(Directive::named("dbfilename")), b"dump.rdb");
    assert!(config.keyspace_events().has(b'x') && !config.keyspace_events().has(b'E'));
    assert_eq!(config.replicaof(), Some((&b"a"[..], 1)));
    assert_eq!(config.latency_percentiles(), [50.0, 99.0, 99.9]);
    let limit = config.output_limit(ClientClass::PubSub);
    assert_eq!(limit, OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_seconds: 60 });
}

#[test]
fn the_page_has_a_line_per_directive() {
    let page = carnelian_config::docs::markdown();
    assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), Directive::all().count());
    assert!(page.contains("| `port` | integer, 0 to 65535 | `6379` |  | yes |"));
}

/// Lines that are valid, of every kind; names are enough for a start, values come from what the kind allows.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("# a comment".to_string()),
        Just(String::new()),
        Just("rename-command A B".to_string()),
        Just("unknown thing".to_string()),
        any::<u32>().prop_map(|n| format!("maxmemory {n}")),
        (0u32..9000).prop_map(|n| format!("maxmemory {n}kb")),
        (0u32..=100).prop_map(|n| format!("maxmemory-clients {n}%")),
        (1u32..1000, 0u32..1000).prop_map(|(s, c)| format!("save {s} {c}")),
        (0u32..3, any::<u32>()).prop_map(|(class, hard)| {
            let class = ["normal", "replica", "pubsub"][class as usize];
            format!("client-output-buffer-limit {class} {hard} 5 6")
        }),
        "[a-z]{0,6}".prop_map(|text| format!("requirepass \"{text} \\x01\\\"\"")),
        "[Ag$lshzxetdnKEmoc]{0,6}".prop_map(|events| format!("notify-keyspace-events '{events}'")),
        "[a-z.]{1,5}( [a-z:]{1,5}){0,3}".prop_map(|addresses| format!("bind {addresses}")),
        (0u32..0o777).prop_map(|mode| format!("unixsocketperm {mode:o}")),
        Just("save \"\"".to_string()),
        Just("slave-read-only no".to_string()),
        Just("shutdown-on-sigint now nosave".to_string()),
        Just("oom-score-adj relative".to_string()),
    ]
}

proptest! {
    #[test]
    fn what_is_rewritten_loads_as_the_same(
        wanted in proptest::collection::vec(any_line(), 0..12),
        old in proptest::collection::vec(any_line(), 0..12),
    ) {
        let known: Vec<String> = wanted.into_iter().filter(|line| line != "unknown thing").collect();
        let config = load(&known.join("\n")).unwrap();
        let new = rewrite(&config, old.join("\n").as_bytes(), None);
        let mut loaded = Config::new();
        loaded.load(&new, &mut Files::default()).unwrap();
        for directive in Directive::all() {
            prop_assert_eq!(config.value(directive), loaded.value(directive), "{}", directive.name());
        }
        prop_assert_eq!(String::from_utf8(rewrite(&config, &new, None)), String::from_utf8(new));
    }
}
