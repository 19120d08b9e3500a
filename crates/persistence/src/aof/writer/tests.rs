#![expect(clippy::disallowed_methods, reason = "tests wait for the thread")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Ending, Scan, Scanner, Verdict};
use super::*;
use crate::disk::{Disk, FaultyDisk};

fn request(i: usize) -> Vec<u8> {
    format!("*3\r\n$3\r\nSET\r\n$8\r\nk{i:07}\r\n$5\r\nvalue\r\n").into_bytes()
}

fn open(disk: &FaultyDisk, policy: Policy) -> Log {
    let (directory, file) = (PathBuf::new(), PathBuf::from("log"));
    let opening = Opening { directory, file, checkpoints: Checkpoints::at(0), policy };
    let log = Log::start(Arc::new(disk.clone()), opening, || {}).expect("started");
    disk.sync_dir(Path::new("")).expect("synced");
    log
}

fn scan(bytes: &[u8]) -> Verdict {
    let mut scanner = Scanner::new(0);
    scanner.feed(bytes, &mut ());
    match scanner.finish() {
        Scan::Done(verdict) => verdict,
        Scan::Again(mut tail) => {
            tail.feed(&bytes[tail.begin() as usize..]);
            tail.finish()
        }
    }
}

fn contents(disk: &FaultyDisk, name: &str) -> Vec<u8> {
    disk.contents(Path::new(name)).expect("there is such a file")
}

/// The commands of a log, without checkpoints.
fn commands(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#CRC"));
    lines.collect::<Vec<_>>().concat()
}

fn expected(count: usize) -> Vec<u8> {
    (0..count).flat_map(request).collect()
}

#[test]
fn what_is_flushed_is_on_disk() {
    for policy in [Policy::Always, Policy::EverySecond, Policy::Never] {
        let disk = FaultyDisk::new(1);
        let mut log = open(&disk, policy);
        for i in 0..3000 {
            log.append(request(i));
        }
        log.flush().expect("the disk works");
        assert_eq!((log.durable(), log.written()), (log.appended(), log.appended()));
        disk.power_cut();
        let bytes = contents(&disk, "log");
        let verdict = scan(&bytes);
        assert_eq!((verdict.ending, verdict.commands), (Ending::Clean, 3000), "{policy:?}");
        assert!(verdict.checkpoints > 0 && commands(&bytes) == expected(3000));
        drop(disk);
    }
}

/// Where the last line begins, which has to be a checkpoint.
fn last_checkpoint(bytes: &[u8]) -> usize {
    let lines = bytes.strip_suffix(b"\r\n").expect("a line");
    let start = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    assert!(bytes[start..].starts_with(b"#CRC:"), "{}", bytes[start..].escape_ascii());
    start
}

fn is_sealed(bytes: &[u8]) -> bool {
    let seal = last_checkpoint(bytes);
    bytes[seal..].starts_with(format!("#CRC:{seal}:{seal}:").as_bytes())
        && scan(&bytes[..seal]).segment == seal as u64
}

/// Whatever is wrong in a log that is sealed is found, and nothing is taken for a torn write but the seal itself.
fn check_seal(bytes: &[u8], count: usize) {
    let verdict = scan(bytes);
    assert_eq!((&verdict.ending, verdict.segment), (&Ending::Clean, verdict.size));
    assert_eq!(commands(bytes), expected(count));
    let seal = last_checkpoint(bytes);
    assert!(is_sealed(bytes), "{}", bytes[seal..].escape_ascii());
    for at in 0..bytes.len() {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1 << (at % 8);
        let verdict = scan(&bytes);
        match verdict.ending {
            Ending::Damaged(_) if at < seal => {}
            Ending::Torn(_) if at >= seal => assert_eq!(verdict.sound, seal as u64, "{at}"),
            _ => panic!("{at} of {}, sealed at {seal}: {verdict:?}", bytes.len()),
        }
    }
}

#[test]
fn closing_a_log_seals_it() {
    for policy in [Policy::Always, Policy::EverySecond, Policy::Never] {
        for count in [1, 3, 200] {
            let disk = FaultyDisk::new(2);
            let mut log = open(&disk, policy);
            for i in 0..count {
                log.append(request(i));
                if i % 3 == 1 {
                    log.flush().expect("the disk works");
                }
            }
            drop(log);
            disk.power_cut();
            check_seal(&contents(&disk, "log"), count);
        }
    }
}

#[test]
fn a_log_that_nothing_was_written_to_stays_empty() {
    let disk = FaultyDisk::new(2);
    drop(open(&disk, Policy::EverySecond));
    assert_eq!(contents(&disk, "log"), b"");
}

#[test]
fn a_log_that_rests_is_complete() {
    let policies = [Policy::Always, Policy::EverySecond, Policy::Never];
    let mut logs = policies.map(|policy| {
        let disk = FaultyDisk::new(2);
        let mut log = open(&disk, policy);
        (0..40).for_each(|i| drop(log.append(request(i))));
        (policy, disk, log)
    });
    // What is forced onto the disk soon after a sync has no checkpoint of its own at first.
    for (_, _, log) in &mut logs[..2] {
        log.flush().expect("the disk works");
        log.append(request(40));
        log.flush().expect("the disk works");
    }
    for (policy, disk, log) in logs {
        let count = if policy == Policy::Never { 40 } else { 41 };
        let is_complete = || {
            let bytes = contents(&disk, "log");
            let verdict = scan(&bytes);
            verdict.segment == verdict.size && (policy == Policy::Never || is_sealed(&bytes))
        };
        (0..500).take_while(|_| !is_complete()).for_each(|_| thread::sleep(Duration::from_millis(20)));
        thread::sleep(Duration::from_millis(100));
        let bytes = contents(&disk, "log");
        assert_eq!(log.file_size(), bytes.len() as u64);
        if policy == Policy::Never {
            // Nothing says that it is on disk, but all of it is covered.
            let verdict = scan(&bytes);
            assert_eq!((verdict.ending, verdict.segment), (Ending::Clean, verdict.size));
            continue;
        }
        check_seal(&bytes, count);
        disk.power_cut();
        assert_eq!(contents(&disk, "log"), bytes, "{policy:?}");
        drop(log);
    }
}

#[test]
fn a_seal_that_fails_loses_nothing() {
    for fails in 0..6 {
        let disk = FaultyDisk::new(fails);
        let mut log = open(&disk, Policy::EverySecond);
        log.append(request(0));
        log.flush().expect("the disk works");
        disk.fail_after(fails);
        drop(log);
        disk.power_cut();
        let bytes = contents(&disk, "log");
        let verdict = scan(&bytes);
        assert!(!matches!(verdict.ending, Ending::Damaged(_)), "{verdict:?}");
        assert_eq!(commands(&bytes[..verdict.sound as usize]), expected(1), "after {fails}");
    }
}

#[test]
fn always_means_that_what_is_durable_survives_power_cuts() {
    for seed in 0..60 {
        let disk = FaultyDisk::new(seed);
        let mut log = open(&disk, Policy::Always);
        let mut count = 0;
        for round in 0..(seed % 17) {
            for _ in 0..=(seed * 7 + round) % 40 {
                log.append(request(count));
                count += 1;
            }
            if round % 3 == 0 {
                while log.durable() < log.appended() {
                    thread::yield_now();
                }
            }
        }
        let durable = log.durable();
        disk.uneven_power_cut();
        let bytes = contents(&disk, "log");
        let verdict = scan(&bytes);
        assert!(!matches!(verdict.ending, Ending::Damaged(_)), "{verdict:?}");
        let kept = commands(&bytes[..verdict.sound as usize]);
        assert!(kept.len() as u64 >= durable, "seed {seed}: {} of {durable}, {verdict:?}", kept.len());
        assert_eq!(kept, expected(count)[..kept.len()]);
        drop(log);
    }
}

#[test]
fn errors_are_told_and_overcome() {
    for (seed, fails) in (0..16).map(|n| (n, n % 12)) {
        let disk = FaultyDisk::new(seed);
        let mut log = open(&disk, Policy::Always);
        disk.fail_once_after(fails);
        for i in 0..50 {
            log.append(request(i));
            if i % 5 == 0 && log.flush().is_err() {
                assert!(log.error().is_some() || log.flush().is_ok());
            }
        }
        disk.heal();
        while log.flush().is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(log.error(), None);
        drop(log);
        let bytes = contents(&disk, "log");
        assert_eq!(scan(&bytes).ending, Ending::Clean, "seed {seed}");
        assert_eq!(commands(&bytes), expected(50), "seed {seed}");
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_written() {
    let disk = FaultyDisk::new(5);
    disk.set_capacity(10_000);
    let mut log = open(&disk, Policy::EverySecond);
    for i in 0..1000 {
        log.append(request(i));
    }
    assert!(log.flush().is_err());
    disk.heal();
    while log.flush().is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    drop(log);
    assert_eq!(commands(&contents(&disk, "log")), expected(1000));
}

#[test]
fn a_new_file_begins_where_the_old_one_ends() {
    let disk = FaultyDisk::new(6);
    let mut log = open(&disk, Policy::EverySecond);
    log.append(request(0));
    log.rotate("log2".into(), Some(("manifest".into(), b"text".to_vec())));
    log.append(request(1));
    assert_eq!(log.wait_done(), Ok(()));
    log.publish(None, ("manifest".into(), b"other".to_vec()), vec!["log".into(), "absent".into()]);
    assert_eq!(log.wait_done(), Ok(()));
    log.flush().expect("the disk works");
    disk.power_cut();
    assert_eq!(contents(&disk, "manifest"), b"other");
    assert_eq!(commands(&contents(&disk, "log2")), request(1));
    assert!(disk.contents(Path::new("log")).is_none_or(|bytes| commands(&bytes) == request(0)));
}

#[test]
fn a_failed_rotation_stays_with_the_old_file() {
    let disk = FaultyDisk::new(7);
    let mut log = open(&disk, Policy::EverySecond);
    log.append(request(0));
    log.flush().expect("the disk works");
    log.rotate("absent/log2".into(), None);
    assert!(log.wait_done().is_err());
    log.append(request(1));
    drop(log);
    assert_eq!(commands(&contents(&disk, "log")), expected(2));
}

#[test]
fn what_a_killed_process_wrote_is_synced_first() {
    let disk = FaultyDisk::new(8);
    disk.append(Path::new("log")).and_then(|mut file| file.write_all(&request(0))).expect("written");
    disk.sync_dir(Path::new("")).expect("synced");
    let mut checkpoints = Checkpoints::at(0);
    checkpoints.add(&request(0));
    let (directory, file) = (PathBuf::new(), PathBuf::from("log"));
    let opening = Opening { directory, file, checkpoints, policy: Policy::Never };
    let log = Log::start(Arc::new(disk.clone()), opening, || {}).expect("started");
    disk.power_cut();
    assert_eq!(commands(&contents(&disk, "log")), request(0));
    drop(log);
}
