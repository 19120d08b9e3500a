//! A log means the same in one piece and in pieces; what is sound is sound by itself; and logs that are made here, with
//! checkpoints, are found to be sound up to where they are cut or changed.
//!
//! The first input byte chooses the pieces, the second whether the rest is a log or what commands are made of.
#![no_main]

use carnelian_persistence::aof::{Checkpoints, Ending, Scan, Scanner, Verdict};
use carnelian_persistence::check::{AofCheck, Lost};
use libfuzzer_sys::fuzz_target;

fn scan(log: &[u8], piece: usize) -> Verdict {
    let mut scanner = Scanner::new(0);
    log.chunks(piece).for_each(|piece| scanner.feed(piece, &mut ()));
    match scanner.finish() {
        Scan::Done(verdict) => verdict,
        Scan::Again(mut tail) => {
            let begin = usize::try_from(tail.begin()).expect("it is within the log");
            log[begin..].chunks(piece).for_each(|piece| tail.feed(piece));
            tail.finish()
        }
    }
}

fn any_log(log: &[u8], piece: usize) {
    let whole = scan(log, log.len().max(1));
    assert_eq!(whole, scan(log, piece));
    assert!(whole.segment <= whole.sound && whole.sound <= whole.size && whole.size == log.len() as u64);
    let sound = usize::try_from(whole.sound).expect("it is within the log");
    assert_eq!(scan(&log[..sound], piece).ending, Ending::Clean);
    let (mut check, mut lost) = (AofCheck::new("log", 0, Some(1)), Lost::default());
    log.chunks(piece).for_each(|piece| check.feed(piece));
    check.finish();
    log.chunks(piece).for_each(|piece| lost.feed(piece));
    lost.commands();
}

/// A log of commands of one word each, with a checkpoint behind each that is long or begins with `#`; and where the last
/// checkpoint stands, which vouches for what comes before it.
fn made(input: &[u8]) -> (Vec<u8>, usize) {
    let (mut log, mut checkpoints, mut vouched) = (Vec::new(), Checkpoints::at(0), 0);
    for word in input.split(|byte| *byte == 0).filter(|word| !is_group(word)) {
        let mut command = format!("*1\r\n${}\r\n", word.len()).into_bytes();
        command.extend_from_slice(word);
        command.extend_from_slice(b"\r\n");
        checkpoints.add(&command);
        log.extend(command);
        if word.len() > 5 || word.starts_with(b"#") {
            checkpoints.synced();
            vouched = log.len();
            checkpoints.write(&mut log);
        }
    }
    (log, vouched)
}

fn is_group(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"multi") || word.eq_ignore_ascii_case(b"exec")
}

fuzz_target!(|input: &[u8]| {
    let [piece, choice, rest @ ..] = input else { return };
    let piece = 1 + usize::from(*piece);
    if choice % 2 == 0 {
        return any_log(rest, piece);
    }
    let (log, vouched) = made(rest);
    assert_eq!(scan(&log, piece).ending, Ending::Clean);
    let at = usize::from(*choice) * log.len() / 256;
    let cut = scan(&log[..at], piece);
    assert!(!matches!(cut.ending, Ending::Damaged(_)), "a cut is no damage: {cut:?}");
    let mut damaged = log.clone();
    if let Some(byte) = damaged.get_mut(at) {
        *byte ^= 1 << (choice % 8);
        let verdict = scan(&damaged, piece);
        let is_found = matches!(verdict.ending, Ending::Damaged(_)) && verdict.sound <= at as u64;
        assert!(at >= vouched || is_found, "{verdict:?}, changed at {at}, below {vouched}");
    }
});
