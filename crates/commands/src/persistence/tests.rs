//! Saving and loading through commands, on a disk that fails when it is told to.

mod disk_faults;
mod power_cuts;

use std::path::Path;

use carnelian_persistence::disk::{Disk, FaultyDisk};

use crate::engine::Next;
use crate::testing::Session;

const DUMP: &str = "dump.rdb";

/// A server on a disk that is empty, with save points or without.
fn on(disk: &FaultyDisk, save: &str) -> Session {
    let directives =
        [("save", save), ("enable-debug-command", "local"), ("enable-protected-configs", "local")];
    Session::with_storage(&directives, disk)
}

/// Lets turns pass until something holds.
fn until(session: &mut Session, what: &str, holds: impl Fn(&mut Session) -> bool) {
    for _ in 0..20_000 {
        if holds(session) {
            return;
        }
        session.advance_ms(1);
        std::thread::yield_now();
    }
    panic!("in vain: {what}\n{}", session.run("INFO persistence"));
}

fn has(session: &mut Session, line: &str) -> bool {
    session.run("INFO persistence").contains(&format!("\\r\\n{line}"))
}

fn until_saved(session: &mut Session) {
    until(session, "a save ends", |session| has(session, "rdb_bgsave_in_progress:0"));
}

/// A server that starts on the disk, once it has loaded what is there.
fn restarted(disk: &FaultyDisk) -> Session {
    let mut session = on(disk, "");
    session.load().expect("it can be loaded");
    until(&mut session, "loading ends", |session| has(session, "loading:0"));
    session
}

fn digest(session: &mut Session) -> String {
    session.run("DEBUG DIGEST")
}

fn names(disk: &FaultyDisk) -> Vec<String> {
    let names = disk.list(Path::new("")).expect("listed");
    names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Keys of every type, some of them large, in several databases.
fn fill(session: &mut Session) {
    for i in 0..300 {
        session.run(&format!("SET string:{i} value:{i}"));
        session.run(&format!("HSET hash:{i} a {i} b c"));
        session.run(&format!("RPUSH list {i}"));
        session.run(&format!("SADD set member:{i}"));
        session.run(&format!("ZADD zset {i} member:{i}"));
        session.run(&format!("XADD stream {}-1 field {i}", i + 1));
        session.run(&format!("HSET large field:{i} {i}"));
    }
    session.run("PEXPIRE string:7 1000000");
    session.run("HPEXPIRE large 1000000 FIELDS 2 field:1 field:2");
    session.run("XGROUP CREATE stream group 0");
    session.run("XREADGROUP GROUP group consumer COUNT 10 STREAMS stream >");
    session.run("SELECT 3");
    session.run("SET elsewhere 1");
    session.run("FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 7 end)\"");
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "");
    fill(&mut session);
    assert_eq!(session.run("SAVE"), "OK");
    assert!(has(&mut session, "rdb_changes_since_last_save:0"));
    disk.power_cut();
    let mut again = restarted(&disk);
    assert_eq!(digest(&mut again), digest(&mut session));
    for line in
        ["XINFO STREAM stream FULL", "HPEXPIRETIME large FIELDS 2 field:1 field:3", "PEXPIRETIME string:7"]
    {
        session.run("SELECT 0");
        assert_eq!(again.run(line), session.run(line), "{line}");
    }
    again.check(&[("FCALL f 0", "(integer) 7"), ("DBSIZE", "(integer) 605")]);
    assert!(
        has(&mut again, "rdb_last_load_keys_loaded:606") && has(&mut again, "rdb_changes_since_last_save:0")
    );
}

#[test]
fn a_background_save_holds_the_moment_of_its_command() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "");
    fill(&mut session);
    let before = digest(&mut session);
    assert_eq!(session.run("BGSAVE"), "Background saving started");
    session.run("SELECT 0");
    for i in 0..300 {
        session.run(&format!("SET string:{i} changed"));
        session.run(&format!("DEL hash:{i}"));
        session.run(&format!("RPUSH list new:{i}"));
        session.run(&format!("SREM set member:{i}"));
        session.run(&format!("SET new:{i} 1"));
        if i % 50 == 0 {
            session.advance_ms(1);
        }
    }
    until_saved(&mut session);
    assert!(has(&mut session, "rdb_last_bgsave_status:ok"));
    assert!(!has(&mut session, "rdb_changes_since_last_save:0"));
    assert_eq!(digest(&mut restarted(&disk)), before);
}

#[test]
fn a_disk_that_fails_leaves_the_old_file_and_stops_writes() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "3600 1");
    session.check(&[("SET k old", "OK"), ("SAVE", "OK"), ("SET k new", "OK")]);
    let old = disk.contents(Path::new(DUMP)).expect("saved");
    disk.fail_after(2);
    assert_eq!(session.run("SAVE"), "(error) ERR");
    session.check(&[("SET k new", "OK"), ("BGSAVE", "Background saving started")]);
    until_saved(&mut session);
    assert!(has(&mut session, "rdb_last_bgsave_status:err"));
    for line in ["SET k newer", "PING", "FLUSHALL", "EVAL \"return redis.call('set', 'k', 1)\" 0", "EXEC"] {
        let reply = session.run(line);
        let refused = reply.starts_with("(error) MISCONF Redis is configured to save RDB snapshots");
        assert_eq!(refused, line != "EXEC", "{line}: {reply}");
    }
    session.check(&[
        ("GET k", "\"new\""),
        ("CONFIG SET stop-writes-on-bgsave-error no", "OK"),
        ("SET k a", "OK"),
    ]);
    session.check(&[("CONFIG SET stop-writes-on-bgsave-error yes", "OK"), ("CONFIG SET save \"\"", "OK")]);
    session.check(&[("SET k a", "OK"), ("CONFIG SET save \"3600 1\"", "OK")]);
    assert!(session.run("SET k b").starts_with("(error) MISCONF"));
    disk.heal();
    assert_eq!(disk.contents(Path::new(DUMP)), Some(old));
    session.check(&[("BGSAVE", "Background saving started")]);
    until_saved(&mut session);
    session.check(&[("SET k b", "OK"), ("PING", "PONG")]);
}

#[test]
fn shutdown_saves_or_stays() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "3600 1");
    session.run("SET k v");
    disk.fail_after(0);
    session.check(&[("SHUTDOWN", "(error) ERR Errors trying to SHUTDOWN. Check logs.")]);
    assert!(!session.outside.stopped);
    disk.heal();
    assert_eq!(session.step_of(0, "SHUTDOWN"), (Next::CloseAfterReply, vec![]));
    assert!(session.outside.stopped);
    assert_eq!(restarted(&disk).run("GET k"), "\"v\"");
    disk.fail_after(0);
    let mut session = on(&disk, "3600 1");
    assert_eq!(session.step_of(0, "SHUTDOWN FORCE"), (Next::CloseAfterReply, vec![]));
    let mut session = on(&disk, "");
    assert_eq!(session.step_of(0, "SHUTDOWN"), (Next::CloseAfterReply, vec![]));
}

#[test]
fn save_points_save() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "60 3");
    session.check(&[("SET a 1", "OK"), ("SET b 1", "OK")]);
    session.advance_ms(70_000);
    until_saved(&mut session);
    assert_eq!(names(&disk), [""; 0]);
    session.run("SET c 1");
    until(&mut session, "a save point is met", |session| has(session, "rdb_saves:1"));
    until_saved(&mut session);
    assert_eq!(restarted(&disk).run("DBSIZE"), "(integer) 3");
    assert_eq!(session.run("LASTSAVE"), "(integer) 1700000070");
}

#[test]
fn flushing_everything_empties_the_file() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "3600 1");
    session.check(&[("SET a 1", "OK"), ("BGSAVE", "Background saving started"), ("FLUSHALL", "OK")]);
    assert!(has(&mut session, "rdb_changes_since_last_save:0"));
    until(&mut session, "the empty dataset is saved", |session| has(session, "rdb_saves:2"));
    until_saved(&mut session);
    assert_eq!(restarted(&disk).run("DBSIZE"), "(integer) 0");
}

#[test]
fn saves_can_be_scheduled_and_given_up() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "");
    session.check(&[
        ("BGSAVE CANCEL", "(error) ERR Background saving is currently not in progress or scheduled"),
        ("BGSAVE what", "(error) ERR syntax error"),
        ("BGSAVE SCHEDULE CANCEL", "(error) ERR syntax error"),
        ("CONFIG SET rdb-key-save-delay 100000000", "OK"),
        ("SET k v", "OK"),
        ("BGSAVE", "Background saving started"),
        ("BGSAVE", "(error) ERR Background save already in progress"),
        ("BGSAVE SCHEDULE", "(error) ERR Background save already in progress"),
        ("SAVE", "(error) ERR Background save already in progress"),
    ]);
    session.advance_ms(2000);
    assert!(
        has(&mut session, "rdb_current_bgsave_time_sec:2") && has(&mut session, "current_save_keys_total:1")
    );
    session.check(&[
        ("BGSAVE CANCEL", "Background saving cancelled"),
        ("CONFIG SET rdb-key-save-delay 0", "OK"),
    ]);
    assert_eq!(names(&disk), [""; 0]);
    assert!(has(&mut session, "rdb_last_bgsave_status:ok"));
    session.advance_ms(1);
    session.check(&[("MULTI", "OK"), ("BGSAVE", "QUEUED"), ("EXEC", "1) Background saving scheduled")]);
    session.check(&[("BGSAVE CANCEL", "Scheduled background saving cancelled")]);
    session.check(&[("MULTI", "OK"), ("BGSAVE", "QUEUED"), ("EXEC", "1) Background saving scheduled")]);
    session.advance_ms(1);
    until_saved(&mut session);
    assert_eq!(names(&disk), [DUMP]);
}

#[test]
fn a_dataset_is_reloaded() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "");
    fill(&mut session);
    let before = digest(&mut session);
    session.check(&[("DEBUG RELOAD", "OK"), ("DEBUG DIGEST", &before), ("FCALL f 0", "(integer) 7")]);
    session.check(&[
        ("DEL elsewhere", "(integer) 1"),
        ("DEBUG RELOAD NOSAVE", "OK"),
        ("DEBUG DIGEST", &before),
    ]);
    session.check(&[("SET elsewhere 2", "OK"), ("DEBUG RELOAD NOSAVE NOFLUSH MERGE", "OK")]);
    session.check(&[
        ("GET elsewhere", "\"1\""),
        ("DEBUG RELOAD NOSAVE NOFLUSH", "(error) ERR Error trying to load the RDB dump, check server logs."),
        (
            "DEBUG RELOAD WHAT",
            "(error) ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
        ),
    ]);
}

#[test]
fn while_loading_few_commands_run() {
    let disk = FaultyDisk::new(1);
    on(&disk, "").check(&[("SET k v", "OK"), ("SET l v", "OK"), ("SAVE", "OK")]);
    let mut session = on(&disk, "3600 1");
    session.run("CONFIG SET key-load-delay 1000000");
    session.load().expect("it can be loaded");
    let loading = "(error) LOADING Redis is loading the dataset in memory";
    session.check(&[
        ("PING", loading),
        ("GET k", loading),
        ("BGSAVE", loading),
        ("SELECT 1", "OK"),
        ("MULTI", "OK"),
    ]);
    session.check(&[
        ("GET k", loading),
        ("EXEC", "(error) EXECABORT Transaction discarded because of previous errors."),
    ]);
    session.check(&[
        ("CONFIG SET dir .", loading),
        ("LASTSAVE", "(integer) 1700000000"),
        ("NOSUCH", "(error) ERR unknown command 'NOSUCH', with args beginning with: "),
    ]);
    assert!(has(&mut session, "loading:1") && has(&mut session, "loading_total_bytes:"));
    until(&mut session, "loading ends", |session| has(session, "loading:0"));
    session.check(&[("SELECT 0", "OK"), ("GET k", "\"v\"")]);
}

#[test]
fn a_damaged_file_ends_the_server() {
    let disk = FaultyDisk::new(1);
    on(&disk, "").check(&[("SET k v", "OK"), ("SAVE", "OK")]);
    let good = disk.contents(Path::new(DUMP)).expect("saved");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        disk.put(Path::new(DUMP), &bad);
        let mut session = on(&disk, "");
        session.load().expect("the file is there");
        until(&mut session, "loading ends", |session| session.outside.stopped);
        assert!(session.engine.failure().is_some(), "{at}");
        assert_eq!((disk.contents(Path::new(DUMP)), names(&disk).len()), (Some(bad), 1));
    }
    disk.put(Path::new(DUMP), &good[..good.len() - 1]);
    let mut session = on(&disk, "");
    session.load().expect("the file is there");
    until(&mut session, "loading ends", |session| session.outside.stopped);
}

/// A log as a client would send it.
fn log_of(commands: impl Iterator<Item = String>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in commands {
        let words: Vec<&str> = line.split(' ').collect();
        bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
    }
    bytes
}

/// An append only file of a base of commands and logs.
fn logs_on(disk: &FaultyDisk, base: &[u8], logs: &[Vec<u8>]) {
    disk.create_dir(Path::new("appendonlydir")).expect("created");
    let mut manifest = "file a.base.aof seq 1 type b\n".to_owned();
    disk.put(Path::new("appendonlydir/a.base.aof"), base);
    for (i, log) in (1..).zip(logs) {
        manifest += &format!("file a.{i}.incr.aof seq {i} type i\n");
        disk.put(Path::new(&format!("appendonlydir/a.{i}.incr.aof")), log);
    }
    disk.put(Path::new("appendonlydir/appendonly.aof.manifest"), manifest.as_bytes());
}

#[test]
fn a_log_of_many_keys_is_loaded_into_tables_that_fit() {
    const KEYS: usize = 40_000;
    let base = (0..KEYS).map(|i| format!("SET key:{i} old"));
    let sets = (KEYS / 2..2 * KEYS).map(|i| format!("SET key:{i} {i}"));
    let elsewhere = (0..KEYS).flat_map(|i| [format!("SET {i} 1"), format!("DEL {}", i.wrapping_sub(9))]);
    let first =
        ["SELECT 0".to_owned()].into_iter().chain(sets).chain(["SELECT 3".to_owned()]).chain(elsewhere);
    let second = (0..10).map(|i| format!("SET late:{i} {}", "x".repeat(100_000)));
    let disk = FaultyDisk::new(1);
    disk.shorten_reads();
    logs_on(&disk, &log_of(base), &[log_of(first), log_of(second)]);
    let directives =
        [("save", ""), ("appendonly", "yes"), ("appendfsync", "no"), ("enable-debug-command", "local")];
    let mut session = Session::with_storage(&directives, &disk);
    session.load().expect("it can be loaded");
    assert!(has(&mut session, "loading:1"));
    until(&mut session, "loading ends", |session| has(session, "loading:0"));
    session.check(&[("DBSIZE", "(integer) 80010"), ("GET key:7", "\"old\""), ("GET key:20000", "\"20000\"")]);
    session.check(&[("STRLEN late:9", "(integer) 100000"), ("SELECT 3", "OK"), ("DBSIZE", "(integer) 9")]);
    let planned = session.engine.keyspace().memory().tables;
    let mut grown = on(&FaultyDisk::new(2), "");
    for i in 0..2 * KEYS + 10 {
        grown.run(&format!("SET key:{i} 1"));
    }
    let grown = grown.engine.keyspace().memory().tables;
    assert!(planned <= grown + grown / 6, "{planned} bytes instead of {grown}");
}

#[test]
fn commands_of_any_length_are_replayed_from_chunks() {
    let lengths = [1, 8 << 10, 255 << 10, (256 << 10) + 1, 3 << 20, 40, 0, 70_000];
    let commands = |round: usize| {
        lengths.iter().enumerate().map(move |(i, length)| format!("SET {round}:{i} {}", "v".repeat(*length)))
    };
    let log = log_of((0..3).flat_map(commands));
    let noted =
        [b"#TS:1700000000\r\n", &log[..], b"# anything\n", &log_of(["SET last 1".to_owned()].into_iter())]
            .concat();
    let disk = FaultyDisk::new(1);
    logs_on(&disk, b"", &[noted]);
    let mut session = Session::with_storage(&[("save", ""), ("appendonly", "yes")], &disk);
    session.load().expect("it can be loaded");
    until(&mut session, "loading ends", |session| has(session, "loading:0"));
    for round in 0..3 {
        for (i, length) in lengths.iter().enumerate() {
            assert_eq!(session.run(&format!("STRLEN {round}:{i}")), format!("(integer) {length}"));
        }
    }
    session.check(&[("GET last", "\"1\""), ("DBSIZE", "(integer) 25")]);
}

#[test]
fn nothing_is_loaded_when_a_log_is_damaged() {
    let base = log_of((0..10).map(|i| format!("SET key:{i} old")));
    let good = log_of((0..10).map(|i| format!("SET key:{i} new")));
    let damaged = [&good[..], b"+OK\r\n", &good].concat();
    for logs in [[good.clone(), damaged.clone()], [damaged, good]] {
        let disk = FaultyDisk::new(1);
        logs_on(&disk, &base, &logs);
        let mut session = Session::with_storage(&[("save", ""), ("appendonly", "yes")], &disk);
        session.load().expect("the verdict comes later");
        until(&mut session, "the server stops", |session| session.outside.stopped);
        assert_eq!(session.engine.keyspace().len(0), 0);
        for (i, log) in (1..).zip(&logs) {
            let path = format!("appendonlydir/a.{i}.incr.aof");
            assert_eq!(disk.len(Path::new(&path)).expect("it is there"), log.len() as u64);
        }
    }
}
