//! Looking at one file of a log: its RDB preamble, if it has one, then command by command, up to the first defect.

use std::fmt::Write;

use super::rdb::RdbCheck;
use crate::aof::{Ending, Scan, Scanner, Verdict, Visit};
use crate::rdb::Progress;

/// How an RDB preamble begins.
const HEADERS: [&[u8]; 2] = [b"REDIS", b"VALKEY"];

/// Looks at one file, which is fed in chunks.
pub struct AofCheck {
    path: String,
    now: u64,
    stage: Stage,
    lines: String,
    time: Time,
}

enum Stage {
    /// Too few bytes to tell what the file begins with.
    Head(Vec<u8>),
    Preamble(Box<RdbCheck>),
    Log(Box<Scanner>),
    /// The preamble is damaged, and with it all that follows.
    Lost,
}

/// The place from which on everything is later than a time.
struct Time {
    until: Option<u64>,
    cut: Option<u64>,
}

impl Visit for Time {
    fn timestamp(&mut self, offset: u64, seconds: u64) {
        if self.cut.is_none() && self.until.is_some_and(|until| seconds > until) {
            self.cut = Some(offset);
        }
    }
}

/// What a look at a file came to.
pub struct AofReport {
    /// About the log; `None`: the preamble is damaged. Behind a defect the file is to be read once more.
    pub scan: Option<Scan>,
    /// Where the first note of a later time stands than the one that was asked for.
    pub cut: Option<u64>,
}

/// Whether a file begins with an RDB preamble, from its first bytes.
pub fn is_rdb(head: &[u8]) -> bool {
    HEADERS.iter().any(|header| head.starts_with(header))
}

/// Whether a file is a manifest and no log: its first line that is no comment begins with `file`.
pub fn is_manifest(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n');
    lines.find(|line| !line.starts_with(b"#")).is_some_and(|line| line.starts_with(b"file"))
}

impl AofCheck {
    /// A look at the file of that path. `now`: see [`RdbCheck::new`]. With `until`, in Unix seconds, the place is looked
    /// for up to which everything was written by then.
    pub fn new(path: &str, now: u64, until: Option<u64>) -> Self {
        AofCheck {
            path: path.to_owned(),
            now,
            stage: Stage::Head(Vec::new()),
            lines: String::new(),
            time: Time { until, cut: None },
        }
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        match &mut self.stage {
            Stage::Head(head) => {
                head.extend_from_slice(chunk);
                let longest = HEADERS.iter().map(|header| header.len()).max();
                if head.len() >= longest.unwrap_or(0) {
                    self.begin();
                }
            }
            Stage::Preamble(_) => self.preamble(chunk),
            Stage::Log(scanner) => scanner.feed(chunk, &mut self.time),
            Stage::Lost => {}
        }
    }

    /// Decides what the file begins with.
    fn begin(&mut self) {
        let Stage::Head(head) = std::mem::replace(&mut self.stage, Stage::Lost) else { return };
        if is_rdb(&head) {
            self.stage = Stage::Preamble(Box::new(RdbCheck::new(&self.path, self.now)));
        } else {
            self.stage = Stage::Log(Box::new(Scanner::new(0)));
        }
        self.feed(&head);
    }

    fn preamble(&mut self, chunk: &[u8]) {
        let Stage::Preamble(check) = &mut self.stage else { return };
        let read = check.feed(chunk);
        self.lines.push_str(&check.take_lines());
        match read {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => {
                self.lines.push_str("RDB preamble is OK, proceeding with AOF tail...\n");
                let mut scanner = Box::new(Scanner::new(check.offset()));
                scanner.feed(check.rest(), &mut self.time);
                self.stage = Stage::Log(scanner);
            }
            Err(_) => self.insane(),
        }
    }

    fn insane(&mut self) {
        self.lines.push_str("RDB preamble of AOF file is not sane, aborting.\n");
        self.stage = Stage::Lost;
    }

    /// The lines since they were taken last. Each ends with a line feed.
    pub fn take_lines(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }

    /// The file ends. The last lines are to be taken behind it.
    pub fn finish(&mut self) -> AofReport {
        if matches!(self.stage, Stage::Head(_)) {
            self.begin();
        }
        if let Stage::Preamble(check) = &mut self.stage {
            // The error is in the lines.
            let truncated = check.finish().is_err();
            self.lines.push_str(&check.take_lines());
            debug_assert!(truncated, "a preamble that has ended is followed by a log");
            self.insane();
        }
        let scan = match std::mem::replace(&mut self.stage, Stage::Lost) {
            Stage::Log(scanner) => Some(scanner.finish()),
            _ => None,
        };
        AofReport { scan, cut: self.time.cut }
    }
}

/// The lines about a log: what is wrong with it, and how far it is sound. `lines_before`: of the files before it.
pub fn describe(name: &str, verdict: &Verdict, lines_before: u64) -> String {
    let mut out = String::new();
    let (fault, what) = match &verdict.ending {
        Ending::Clean => (None, ""),
        Ending::Torn(fault) => (Some(fault), "This is what a crash leaves behind."),
        Ending::Damaged(fault) => (Some(fault), "This is damage that no crash explains."),
    };
    // Writing to a string cannot fail.
    if let Some(fault) = fault {
        writeln!(out, "0x{:>16x}: At offset {}, {}. {what}", fault.offset, fault.offset, fault.defect)
            .expect("a string takes any text");
    }
    let Verdict { size, sound, lines, .. } = verdict;
    let line = lines_before + lines + 1;
    writeln!(
        out,
        "AOF analyzed: filename={name}, size={size}, ok_up_to={sound}, ok_up_to_line={line}, diff={}",
        size - sound
    )
    .expect("a string takes any text");
    out
}

/// Counts the whole commands in bytes of which some are damaged: what is lost if they are cut off. Where damage ends is a
/// guess: the next line that can begin a command.
#[derive(Default)]
pub struct Lost {
    scanner: Option<Scanner>,
    /// What was fed and may be the end of a line.
    pending: Vec<u8>,
    count: Count,
}

#[derive(Default)]
struct Count(u64);

impl Visit for Count {
    fn command(&mut self, _start: u64, _end: u64, _words: u64) {
        self.0 += 1;
    }
}

impl Lost {
    /// The next of these bytes, which end with a line's end if more follow.
    fn lines(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut scanner = self.scanner.take().unwrap_or_else(|| Scanner::new(0));
            scanner.feed(line, &mut self.count);
            if scanner.is_defective() && line.starts_with(b"*") {
                scanner = Scanner::new(0);
                scanner.feed(line, &mut self.count);
            }
            self.scanner = (!scanner.is_defective()).then_some(scanner);
        }
    }

    /// The next of these bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        let end = chunk.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (whole, rest) = chunk.split_at(end);
        if !whole.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.lines(&[&pending, whole].concat());
        }
        self.pending.extend_from_slice(rest);
    }

    /// How many commands there were.
    pub fn commands(mut self) -> u64 {
        let pending = std::mem::take(&mut self.pending);
        self.lines(&pending);
        self.count.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[u8] = b"*3\r\n$3\r\nset\r\n$3\r\nfoo\r\n$5\r\nhello\r\n";

    fn check(bytes: &[u8], chunk: usize, until: Option<u64>) -> (Option<Verdict>, Option<u64>, String) {
        let mut check = AofCheck::new("x", 0, until);
        bytes.chunks(chunk).for_each(|chunk| check.feed(chunk));
        let report = check.finish();
        let verdict = report.scan.map(|scan| match scan {
            Scan::Done(verdict) => verdict,
            Scan::Again(mut tail) => {
                let begin = usize::try_from(tail.begin()).expect("a short file");
                bytes[begin..].chunks(chunk).for_each(|chunk| tail.feed(chunk));
                tail.finish()
            }
        });
        (verdict, report.cut, check.take_lines())
    }

    fn lost(bytes: &[u8], chunk: usize) -> u64 {
        let mut lost = Lost::default();
        bytes.chunks(chunk).for_each(|chunk| lost.feed(chunk));
        lost.commands()
    }

    #[test]
    fn logs_with_and_without_preamble() {
        let preamble = b"REDIS0011\xff\0\0\0\0\0\0\0\0";
        for chunk in [1, 3, 10, 1000] {
            for (head, size) in [(&b""[..], 33), (preamble, 51)] {
                let (verdict, _, lines) = check(&[head, SET].concat(), chunk, None);
                let verdict = verdict.expect("a log");
                assert_eq!((verdict.ending, verdict.size, verdict.sound), (Ending::Clean, size, size));
                assert_eq!(lines.contains("RDB preamble is OK"), !head.is_empty());
            }
            let (verdict, _, lines) = check(&preamble[..12], chunk, None);
            assert_eq!(verdict, None);
            assert!(lines.ends_with("RDB preamble of AOF file is not sane, aborting.\n"), "{lines}");
        }
        assert_eq!(check(b"*1", 1, None).0.map(|verdict| verdict.sound), Some(0));
        assert_eq!(check(b"", 1, None).0.map(|verdict| verdict.ending), Some(Ending::Clean));
    }

    #[test]
    fn lines_are_those_of_the_real_tool() {
        let (verdict, ..) = check(&[SET, b"!!!"].concat(), 5, None);
        let lines = describe("x.aof", &verdict.expect("a log"), 0);
        let wanted = "AOF analyzed: filename=x.aof, size=36, ok_up_to=33, ok_up_to_line=8, diff=3\n";
        assert!(lines.ends_with(wanted), "{lines}");
        assert!(lines.starts_with("0x              21: At offset 33, "), "{lines}");
    }

    #[test]
    fn a_time_has_a_place() {
        let log = [b"#TS:5\r\n", SET, b"#TS:7\r\n", SET].concat();
        let cut = |until| check(&log, 4, Some(until)).1;
        assert_eq!([cut(4), cut(5), cut(6), cut(7)], [Some(0), Some(40), Some(40), None]);
    }

    #[test]
    fn what_is_lost_is_counted() {
        let damaged = [&SET[..13], SET, b"garbage\r\n", SET, SET, &SET[..9]].concat();
        for chunk in [1, 2, 7, 30, 1000] {
            assert_eq!(lost(&damaged, chunk), 3, "{chunk}");
        }
    }

    #[test]
    fn manifests_are_told_from_logs() {
        assert!(is_manifest(b"#x\nfile a seq 1 type b\n"));
        assert!(
            !is_manifest(b"*3\r\n$3\r\nset\r\n$4\r\nfile\r\n") && !is_manifest(b"") && !is_manifest(b"\n")
        );
    }
}
