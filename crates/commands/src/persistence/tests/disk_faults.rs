//! A disk that is slow or full, under clients who write and clients who read.
#![expect(clippy::disallowed_methods, reason = "the threads that write get time")]

use std::thread;
use std::time::Duration;

use carnelian_persistence::disk::FaultyDisk;

use super::{has, on, until_saved};
use crate::engine::Next;
use crate::testing::Session;

fn logging(disk: &FaultyDisk, policy: &str) -> Session {
    let directives = [("save", ""), ("appendonly", "yes"), ("appendfsync", policy)];
    let mut session = Session::with_storage(&directives, disk);
    session.load().expect("it starts");
    until(&mut session, "loading ends", |session| has(session, "loading:0"));
    session
}

/// Lets turns pass, and the threads run, until something holds.
fn until(session: &mut Session, what: &str, mut holds: impl FnMut(&mut Session) -> bool) {
    for _ in 0..20_000 {
        if holds(session) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
        session.advance_ms(1);
    }
    panic!("in vain: {what}");
}

fn set(key: &str, value: &[u8]) -> Vec<u8> {
    let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), value.len());
    [head.as_bytes(), value, b"\r\n"].concat()
}

#[test]
fn with_a_full_buffer_writers_wait_and_readers_go_on() {
    const LARGE: usize = 8 << 20;
    let disk = FaultyDisk::new(1);
    let mut session = logging(&disk, "always");
    let [reader, other] = [(); 2].map(|()| session.connect());
    disk.set_sync_delay(Duration::from_secs(6));
    session.run("SET a 1");
    session.advance_ms(1);
    // The thread is busy with that now.
    thread::sleep(Duration::from_millis(300));
    let value = vec![b'x'; LARGE];
    let mut accepted = 0;
    while session.requests_of(0, &set(&format!("large:{accepted}"), &value)).0.next == Next::Continue {
        accepted += 1;
        session.advance_ms(1);
        assert!(accepted * LARGE <= 80 << 20, "what is on its way is bounded");
    }
    assert!(accepted * LARGE >= 64 << 20, "{accepted}");
    for line in ["SET small 1", "DEL a", "PFCOUNT a", "EVAL \"return redis.call('SET','small','1')\" 0"] {
        assert_eq!(session.step_of(other, line), (Next::Pause, vec![]), "{line}");
    }
    // Readers do not wait, and a turn later they still do not.
    for (line, reply) in [
        ("GET a", "\"1\""),
        ("GET small", "(nil)"),
        ("PING", "PONG"),
        ("PUBLISH channel message", "(integer) 0"),
        ("EVAL_RO \"return redis.call('GET','a')\" 0", "\"1\""),
        ("DBSIZE", "(integer) 9"),
    ] {
        session.advance_ms(1);
        assert_eq!(session.run_of(reader, line), reply, "{line}");
    }
    assert!(session.outside.resumed.is_empty());
    until(&mut session, "writers go on", |session| session.outside.resumed.len() >= 2);
    disk.set_sync_delay(Duration::ZERO);
    assert_eq!(session.run_of(other, "SET small 1"), "OK");
    assert_eq!(session.requests_of(0, &set(&format!("large:{accepted}"), &value)).0.next, Next::Continue);
    until(&mut session, "all of it is on disk", |session| session.outside.released >= session.outside.held);
    disk.power_cut();
    let mut again = logging(&disk, "always");
    again.check(&[("GET small", "\"1\""), ("DBSIZE", &format!("(integer) {}", accepted + 3))]);
    assert_eq!(again.run(&format!("STRLEN large:{accepted}")), format!("(integer) {LARGE}"));
}

/// Writes until that is refused; how often it was done, and how often it was acknowledged, which it is when the log is on
/// disk that far.
fn write_until_refused(session: &mut Session, from: usize) -> (usize, usize) {
    let (mut ends, mut done) = (Vec::new(), from);
    let value = "v".repeat(100);
    loop {
        let reply = session.run(&format!("SET key:{done} {value}"));
        if reply != "OK" {
            assert_eq!(reply, "(error) MISCONF Errors writing to the AOF file: No space left on device");
            let released = session.outside.released;
            return (done, from + ends.iter().filter(|end| **end <= released).count());
        }
        done += 1;
        ends.push(session.outside.held);
        assert!(done < 100_000, "the disk is full");
        session.advance_ms(1);
        if done % 10 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn with_a_full_disk_writes_are_refused_until_there_is_room() {
    for policy in ["always", "everysec"] {
        let disk = FaultyDisk::new(1);
        let mut session = logging(&disk, policy);
        let reader = session.connect();
        let mut done = 0;
        for capacity in [20_000, 40_000] {
            disk.set_capacity(capacity);
            (done, _) = write_until_refused(&mut session, done);
            for line in ["DEL key:0", "PING", "EVAL \"return redis.call('SET','k','1')\" 0", "FLUSHALL"] {
                let reply = session.run(line);
                assert!(
                    reply.starts_with("(error) MISCONF Errors writing to the AOF file"),
                    "{line}: {reply}"
                );
            }
            session.check(&[("MULTI", "OK")]);
            assert!(session.run("SET k 1").starts_with("(error) MISCONF"));
            assert!(session.run("EXEC").starts_with("(error) EXECABORT"));
            let last = format!("STRLEN key:{}", done - 1);
            assert_eq!(session.run_of(reader, &last), "(integer) 100", "{policy}");
            assert!(has(&mut session, "aof_last_write_status:err"));
            disk.heal();
            until(&mut session, "there is room", |session| session.run(&format!("SET key:{done} v")) == "OK");
            done += 1;
            assert!(has(&mut session, "aof_last_write_status:ok"));
        }
        until(&mut session, "it is on disk", |session| {
            policy == "everysec" || session.outside.released >= session.outside.held
        });
        // Waits for the last sync.
        session.check(&[("CONFIG SET appendonly no", "OK")]);
        disk.power_cut();
        let mut again = logging(&disk, policy);
        again.check(&[("DBSIZE", &format!("(integer) {done}")), ("EXISTS k", "(integer) 0")]);
    }
}

#[test]
fn a_crash_with_a_full_disk_loses_nothing_that_was_acknowledged() {
    for capacity in [3_000, 9_000, 9_100, 30_000] {
        let disk = FaultyDisk::new(capacity);
        let mut session = logging(&disk, "always");
        disk.set_capacity(capacity);
        let (done, acknowledged) = write_until_refused(&mut session, 0);
        assert!(acknowledged <= done, "{acknowledged} of {done}");
        disk.power_cut();
        drop(session);
        disk.heal();
        let mut again = logging(&disk, "always");
        for i in 0..acknowledged {
            assert_eq!(again.run(&format!("EXISTS key:{i}")), "(integer) 1", "{i} of {acknowledged}");
        }
    }
}

#[test]
fn a_save_point_that_fails_stops_writes_until_one_succeeds() {
    let disk = FaultyDisk::new(1);
    let mut session = on(&disk, "60 1");
    let reader = session.connect();
    session.run("SET k 1");
    disk.set_capacity(10);
    session.advance_ms(61_000);
    until(&mut session, "a save point is met", |session| has(session, "rdb_last_bgsave_status:err"));
    until_saved(&mut session);
    let refused = "(error) MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to \
                   disk. Commands that may modify the data set are disabled, because this instance is configured to \
                   report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please \
                   check the Redis logs for details about the RDB error.";
    session.check(&[("SET k 2", refused), ("PING", refused)]);
    assert_eq!(session.run_of(reader, "GET k"), "\"1\"");
    // It is tried again, and fails again.
    session.advance_ms(6_000);
    until_saved(&mut session);
    session.check(&[("SET k 2", refused)]);
    disk.heal();
    session.advance_ms(6_000);
    until(&mut session, "it is tried again", |session| has(session, "rdb_last_bgsave_status:ok"));
    session.check(&[("SET k 2", "OK"), ("PING", "PONG")]);
}
