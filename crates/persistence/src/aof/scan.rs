//! Reading a log from chunks of any size: is it sound, and if not, where does that begin, and is it what a crash leaves
//! behind or damage? Executes nothing and keeps nothing but the beginning of a line, so memory is bounded whatever
//! lengths the file claims.
//!
//! ```text
//! record:     *<words>\r\n then per word $<length>\r\n <bytes> \r\n      a command
//!             #TS:<unix seconds>\r\n                                     when what follows was written
//!             #CRC:<offset>:<durable>:<sum>\r\n                          a checkpoint, see `checkpoint`
//!             #<anything>\n                                              skipped
//! ```
//!
//! The first defect ends reading. Since a damaged length may have hidden a lot, what follows the last sound command is
//! read once more, by [`Tail`], which looks for checkpoints that stand where they say they stand. If one of them says that
//! bytes behind the last sound command were on disk when it was written, then the defect is no torn write: it is damage,
//! and what follows it must not be dropped silently.

use memchr::memchr;
use thiserror::Error;

use super::checkpoint::{Checkpoint, Checkpoints, MAX_LINE as MAX_CHECKPOINT, Sum};

/// The longest line, with its end.
const MAX_LINE: usize = 1024;
/// What is written at once and lies within so many aligned bytes is written as a whole or not at all, and has no
/// checkpoint of its own; see `Writer`.
const PAGE: u64 = 4096;
/// More than this is not lost by a crash without a trace: beyond, a defect counts as damage in any case.
const MAX_TORN: u64 = 64 << 20;
/// Bytes that are kept of a word which comes in several chunks.
pub(super) const MAX_WORD: usize = 1024;

/// What is wrong with a log at some place.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Defect {
    /// The file ends in the middle of a record.
    #[error("the file ends in the middle of a record")]
    Truncated,
    /// The file ends between MULTI and EXEC.
    #[error("the file ends within a transaction")]
    OpenTransaction,
    /// Neither a command nor a note begins with this byte.
    #[error("expected '*' or '#', got {:?}", char::from(*.0))]
    Record(u8),
    /// The number of words is not a number above zero.
    #[error("a command's number of words is damaged")]
    Count,
    /// A word's length is not a number.
    #[error("a word's length is damaged")]
    Length,
    /// A word is not followed by a line's end.
    #[error("a word does not end where it should")]
    WordEnd,
    /// A line has no end.
    #[error("a line does not end")]
    LongLine,
    /// A checkpoint that is not written as one.
    #[error("a checkpoint is damaged")]
    Checkpoint,
    /// A checkpoint from another place.
    #[error("a checkpoint of offset {0} stands here")]
    Misplaced(u64),
    /// A checkpoint's sum is not that of the bytes before it.
    #[error("the bytes up to offset {end} have the checksum {computed:016x} instead of {stored:016x}")]
    Sum {
        /// Where the checkpoint stands.
        end: u64,
        /// As written.
        stored: u64,
        /// Of the bytes.
        computed: u64,
    },
    /// MULTI within a transaction, or EXEC without one.
    #[error("MULTI and EXEC do not match")]
    Transaction,
    /// There is nothing but zeros up to the end.
    #[error("there are only zeros")]
    Zeros,
}

/// What is wrong, where: for a sum, where the bytes begin that it belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("at offset {offset}: {defect}")]
pub struct Fault {
    /// Bytes from the beginning of the file.
    pub offset: u64,
    /// What is wrong.
    pub defect: Defect,
}

/// How a log ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Everything is sound.
    Clean,
    /// The last writes are not there as a whole: what a crash leaves behind. The log can be cut to what is sound.
    Torn(Fault),
    /// Something is wrong that no crash explains.
    Damaged(Fault),
}

/// The result of a scan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Bytes that were fed.
    pub size: u64,
    /// How many of them, from the beginning, are sound: whole commands outside of incomplete transactions.
    pub sound: u64,
    /// Where the latest checkpoint within them ends: the bytes from here to `sound` are to be added to
    /// [`Checkpoints`](super::Checkpoints) that go on.
    pub segment: u64,
    /// Line ends up to the defect.
    pub lines: u64,
    /// Commands that are sound.
    pub commands: u64,
    /// Checkpoints that are right.
    pub checkpoints: u64,
    /// Whether that is all.
    pub ending: Ending,
}

/// Receives what a scan meets, up to the first defect.
pub trait Visit {
    /// A word of a command has been read: which one it is, and of how many. Of one that is longer than
    /// [`MAX_WORD`] bytes perhaps only the beginning is given.
    fn word(&mut self, _index: u64, _words: u64, _word: &[u8]) {}
    /// A command ends behind `end`; it began at `start` and has so many words.
    fn command(&mut self, _start: u64, _end: u64, _words: u64) {}
    /// A time in Unix seconds, of the commands that follow.
    fn timestamp(&mut self, _offset: u64, _seconds: u64) {}
}

impl Visit for () {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A record begins.
    Record,
    /// A word's length comes.
    Length,
    /// So many bytes of a word come.
    Word(u64),
    /// So many bytes of the line end behind a word come.
    WordEnd(u8),
}

/// The command that is being read.
#[derive(Default)]
struct Command {
    start: u64,
    words: u64,
    left: u64,
    /// The first bytes of its name.
    name: [u8; 6],
    name_len: usize,
}

impl Command {
    /// Which word it is that is being read.
    fn index(&self) -> u64 {
        self.words - self.left
    }

    fn note_name(&mut self, bytes: &[u8]) {
        let room = &mut self.name[self.name_len..];
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.name_len += count;
    }

    fn is(&self, name: &[u8]) -> bool {
        self.words == 1 && self.name[..self.name_len].eq_ignore_ascii_case(name)
    }
}

/// Scans one log.
pub struct Scanner {
    /// Where in the file the next chunk begins.
    offset: u64,
    state: State,
    command: Command,
    /// The beginning of a line whose end was not fed yet. Not part of the sum so far.
    line: Vec<u8>,
    /// The beginning of a word whose end was not fed yet.
    word: Vec<u8>,
    /// Where MULTI stands, within a transaction.
    group: Option<u64>,
    sound: u64,
    /// Commands in front of `sound`, and behind it.
    commands: u64,
    grouped: u64,
    segment: u64,
    sum: Sum,
    lines: u64,
    checkpoints: u64,
    fault: Option<Fault>,
    /// Whether nothing but zeros has followed the defect, and something has.
    zeros: Option<bool>,
}

/// What a [`Scanner`] has found out.
pub enum Scan {
    /// Everything.
    Done(Verdict),
    /// There is a defect, which is to be judged by what follows it.
    Again(Tail),
}

impl Scanner {
    /// A scanner of a log that begins at `offset` of its file: behind an RDB preamble, or at 0.
    pub fn new(offset: u64) -> Self {
        Scanner {
            offset,
            state: State::Record,
            command: Command::default(),
            line: Vec::new(),
            word: Vec::new(),
            group: None,
            sound: offset,
            commands: 0,
            grouped: 0,
            segment: offset,
            sum: Sum::new(),
            lines: 0,
            checkpoints: 0,
            fault: None,
            zeros: None,
        }
    }

    /// Bytes up to which the file was fed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether a defect was found.
    pub fn is_defective(&self) -> bool {
        self.fault.is_some()
    }

    /// The checkpoints of the file if it goes on here. Only what is sound can go on.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::within(self.offset, self.segment, self.sum.clone())
    }

    /// Scans the next bytes of the file.
    pub fn feed(&mut self, chunk: &[u8], visit: &mut impl Visit) {
        let mut at = chunk.len();
        if self.fault.is_some() {
            at = 0;
        } else if let Err((fault, read)) = self.read(chunk, visit) {
            self.fault = Some(fault);
            self.line.clear();
            at = read;
        }
        if at < chunk.len() {
            let zeros = chunk[at..].iter().all(|byte| *byte == 0);
            self.zeros = Some(self.zeros.unwrap_or(true) && zeros);
        }
        self.offset += chunk.len() as u64;
    }

    /// The file ends.
    pub fn finish(self) -> Scan {
        let incomplete = self.state != State::Record || !self.line.is_empty();
        let truncated = incomplete.then_some(Fault { offset: self.offset, defect: Defect::Truncated });
        let open = self.group.map(|offset| Fault { offset, defect: Defect::OpenTransaction });
        let verdict = Verdict {
            size: self.offset,
            sound: self.sound,
            segment: self.segment.min(self.sound),
            lines: self.lines,
            commands: self.commands,
            checkpoints: self.checkpoints,
            ending: Ending::Clean,
        };
        match self.fault.or(truncated).or(open) {
            None => Scan::Done(verdict),
            Some(fault) => Scan::Again(Tail::new(verdict, fault, self.zeros == Some(true))),
        }
    }

    /// Reads a chunk. On a defect: what it is, and how much of the chunk was read.
    fn read(&mut self, chunk: &[u8], visit: &mut impl Visit) -> Result<(), (Fault, usize)> {
        let mut at = 0;
        // Up to here the chunk is in the sum.
        let mut summed = 0;
        while at < chunk.len() {
            match self.state {
                State::Record | State::Length => {
                    let Some(end) = memchr(b'\n', &chunk[at..]).map(|i| at + i + 1) else {
                        self.sum.add(&chunk[summed..at]);
                        return self.keep_line(chunk, at);
                    };
                    if self.line.len() + (end - at) > MAX_LINE {
                        return Err((self.fault(at, Defect::LongLine), at));
                    }
                    let whole = self.line.is_empty();
                    if whole && chunk[at] != b'#' {
                        self.header(&chunk[at..end], at, visit).map_err(|fault| (fault, at))?;
                    } else {
                        summed = self.odd_line(chunk, at, end, summed, visit)?;
                    }
                    self.lines += 1;
                    at = end;
                }
                State::Word(left) => {
                    let count =
                        usize::try_from(left).map_or(chunk.len() - at, |left| left.min(chunk.len() - at));
                    let left = left - count as u64;
                    self.word(&chunk[at..at + count], left == 0, visit);
                    at += count;
                    self.state = if left == 0 { State::WordEnd(2) } else { State::Word(left) };
                }
                State::WordEnd(left) => {
                    let wanted = if left == 2 { b'\r' } else { b'\n' };
                    if chunk[at] != wanted {
                        return Err((self.fault(at, Defect::WordEnd), at));
                    }
                    at += 1;
                    self.state = State::WordEnd(left - 1);
                    if left == 1 {
                        self.word_end(self.offset + at as u64, visit).map_err(|fault| (fault, at))?;
                    }
                }
            }
        }
        self.sum.add(&chunk[summed..]);
        Ok(())
    }

    fn fault(&self, at: usize, defect: Defect) -> Fault {
        Fault { offset: self.offset + at as u64 - self.line.len() as u64, defect }
    }

    /// A chunk ends within a line.
    fn keep_line(&mut self, chunk: &[u8], at: usize) -> Result<(), (Fault, usize)> {
        let rest = &chunk[at..];
        let first = self.line.first().copied().unwrap_or(rest[0]);
        let wanted = if self.state == State::Length { first == b'$' } else { matches!(first, b'*' | b'#') };
        if !wanted {
            let defect = if self.state == State::Length { Defect::Length } else { Defect::Record(first) };
            return Err((self.fault(at, defect), at));
        }
        if self.line.len() + rest.len() > MAX_LINE {
            return Err((self.fault(at, Defect::LongLine), at));
        }
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// A line that is a note, or whose beginning came with an earlier chunk. Returns up to where the chunk is summed.
    #[cold]
    fn odd_line(
        &mut self,
        chunk: &[u8],
        at: usize,
        end: usize,
        summed: usize,
        visit: &mut impl Visit,
    ) -> Result<usize, (Fault, usize)> {
        let kept = self.line.len();
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(&chunk[at..end]);
        let start = self.offset + at as u64 - kept as u64;
        let fault = |defect| Fault { offset: start, defect };
        if self.state == State::Record && Checkpoint::is_meant(&line) {
            self.sum.add(&chunk[summed..at]);
            let found = Checkpoint::parse(&line).ok_or_else(|| (fault(Defect::Checkpoint), end))?;
            self.sum.add(&line[..found.summed]);
            self.checkpoint(start, found).map_err(|fault| (fault, end))?;
            self.segment = start + line.len() as u64;
            self.note_sound(self.segment);
            return Ok(end);
        }
        // The part of an earlier chunk is not summed yet.
        self.sum.add(&line[..kept]);
        if self.state == State::Record && line[0] == b'#' {
            if let Some(seconds) = timestamp(&line) {
                visit.timestamp(start, seconds);
            }
            self.note_sound(start + line.len() as u64);
        } else {
            self.header(&line, at, visit).map_err(|found| (Fault { offset: start, ..found }, end))?;
            if self.state == State::Length {
                self.command.start = start;
            }
        }
        Ok(summed)
    }

    /// A checkpoint that stands at `start`. Its bytes are in the sum.
    fn checkpoint(&mut self, start: u64, found: Checkpoint) -> Result<(), Fault> {
        let computed = std::mem::replace(&mut self.sum, Sum::new()).value();
        if found.offset != start {
            return Err(Fault { offset: start, defect: Defect::Misplaced(found.offset) });
        }
        if found.sum != computed {
            let defect = Defect::Sum { end: start, stored: found.sum, computed };
            return Err(Fault { offset: self.segment, defect });
        }
        self.checkpoints += 1;
        Ok(())
    }

    /// Everything before `end` is sound, unless a transaction is open.
    fn note_sound(&mut self, end: u64) {
        if self.group.is_none() {
            self.sound = end;
            self.commands += std::mem::take(&mut self.grouped);
        }
    }

    /// The first line of a command, or that of a word, which stands at `at` of the chunk.
    #[inline]
    fn header(&mut self, line: &[u8], at: usize, visit: &mut impl Visit) -> Result<(), Fault> {
        let number = match line {
            [_, digits @ .., b'\r', b'\n'] => decimal(digits),
            _ => None,
        };
        if self.state == State::Length {
            let length = number.filter(|_| line[0] == b'$');
            self.state = State::Word(length.ok_or_else(|| self.fault(at, Defect::Length))?);
            if self.state == State::Word(0) {
                visit.word(self.command.index(), self.command.words, b"");
                self.state = State::WordEnd(2);
            }
            return Ok(());
        }
        if line[0] != b'*' {
            return Err(self.fault(at, Defect::Record(line[0])));
        }
        let words = number.filter(|count| *count > 0).ok_or_else(|| self.fault(at, Defect::Count))?;
        let start = self.offset + at as u64;
        self.command = Command { start, words, left: words, ..Command::default() };
        self.state = State::Length;
        Ok(())
    }

    /// The next bytes of a word, and whether they are the last ones.
    #[inline]
    fn word(&mut self, bytes: &[u8], ends: bool, visit: &mut impl Visit) {
        let (index, words) = (self.command.index(), self.command.words);
        if index == 0 {
            self.command.note_name(bytes);
        }
        if ends && self.word.is_empty() {
            return visit.word(index, words, bytes);
        }
        let room = MAX_WORD - self.word.len();
        self.word.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if ends {
            visit.word(index, words, &self.word);
            self.word.clear();
        }
    }

    /// A word has ended at `end`, and with it perhaps its command.
    #[inline]
    fn word_end(&mut self, end: u64, visit: &mut impl Visit) -> Result<(), Fault> {
        self.lines += 1;
        self.command.left -= 1;
        self.state = State::Length;
        if self.command.left > 0 {
            return Ok(());
        }
        self.state = State::Record;
        if self.command.words == 1 {
            self.group_limit()?;
        }
        visit.command(self.command.start, end, self.command.words);
        self.grouped += 1;
        self.note_sound(end);
        Ok(())
    }

    /// A command of one word has ended: a transaction may begin or end with it.
    fn group_limit(&mut self) -> Result<(), Fault> {
        let start = self.command.start;
        let (begins, ends) = (self.command.is(b"multi"), self.command.is(b"exec"));
        if begins && self.group.is_some() || ends && self.group.is_none() {
            return Err(Fault { offset: start, defect: Defect::Transaction });
        }
        if begins {
            self.group = Some(start);
        } else if ends {
            self.group = None;
        }
        Ok(())
    }
}

/// A number of up to 18 digits.
#[inline]
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}

fn timestamp(line: &[u8]) -> Option<u64> {
    decimal(line.strip_prefix(b"#TS:")?.trim_ascii_end())
}

/// The look for checkpoints behind a defect. The file is to be fed once more, from [`Tail::begin`] to its end.
pub struct Tail {
    verdict: Verdict,
    fault: Fault,
    only_zeros: bool,
    begin: u64,
    /// Where in the file the next byte stands.
    offset: u64,
    /// What may become a checkpoint's line; empty between them.
    line: Vec<u8>,
    /// How much was on disk before the first checkpoint was written that follows the sound commands.
    closed: Option<u64>,
    /// The most that any checkpoint says was on disk before it was written.
    durable: u64,
}

impl Tail {
    fn new(verdict: Verdict, fault: Fault, only_zeros: bool) -> Self {
        let begin = match fault.defect {
            Defect::Sum { .. } => verdict.segment,
            _ => verdict.sound,
        };
        Tail { verdict, fault, only_zeros, begin, offset: begin, line: Vec::new(), closed: None, durable: 0 }
    }

    /// Where in the file to begin.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            if self.line.is_empty() {
                let Some(skipped) = memchr(b'#', rest) else { break };
                rest = &rest[skipped..];
            }
            let byte = rest[0];
            rest = &rest[1..];
            match byte {
                b'#' => self.line.clear(),
                b'\n' => {
                    self.line.push(byte);
                    self.end_line(self.offset + (chunk.len() - rest.len()) as u64);
                    self.line.clear();
                    continue;
                }
                _ if self.line.len() >= MAX_CHECKPOINT => {
                    self.line.clear();
                    continue;
                }
                _ => {}
            }
            self.line.push(byte);
        }
        self.offset += chunk.len() as u64;
    }

    /// A line that ends at `end` of the file.
    fn end_line(&mut self, end: u64) {
        let start = end - self.line.len() as u64;
        let in_place = |found: &Checkpoint| found.offset == start && found.durable <= start;
        if let Some(found) = Checkpoint::parse(&self.line).filter(in_place) {
            self.closed.get_or_insert(found.durable);
            self.durable = self.durable.max(found.durable);
        }
    }

    /// The file ends: what is sound in spite of the defect, and whether a crash explains it.
    pub fn finish(self) -> Verdict {
        let Tail { mut verdict, mut fault, only_zeros, begin, closed, durable, .. } = self;
        let cut = matches!(fault.defect, Defect::Truncated | Defect::OpenTransaction);
        let is_ours = verdict.checkpoints > 0 || closed.is_some();
        let is_inner = durable > begin;
        let is_sum = matches!(fault.defect, Defect::Sum { .. });
        let Verdict { sound, segment, .. } = verdict;
        if is_inner || verdict.checkpoints > 0 && sound - segment > PAGE && !cut {
            verdict.sound = segment;
        } else if let Some(durable) = closed.or(is_sum.then_some(0)) {
            // What was on disk before is what it was; the rest may be different from what was written.
            verdict.sound = sound.min(durable.max(segment));
        } else if only_zeros {
            fault.defect = Defect::Zeros;
        }
        let bounded = is_ours && verdict.size - verdict.sound <= MAX_TORN;
        let torn = !is_inner && (cut || bounded || fault.defect == Defect::Zeros);
        verdict.ending = if torn { Ending::Torn(fault) } else { Ending::Damaged(fault) };
        verdict
    }
}

#[cfg(test)]
mod tests;
