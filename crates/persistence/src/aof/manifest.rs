//! The manifest: which files a log consists of, in which order. Knows their names, not their contents.
//!
//! ```text
//! file <name> seq <number> type <b|i|h> [<key> <value>]...\n
//! ```
//!
//! `b` is the base, `i` a log that continues it, `h` a file that is to be deleted. Names with blanks or unprintable bytes
//! are quoted as in inline commands. Lines that begin with `#` are skipped, and so are unknown keys. The logs' numbers
//! rise. A line has at most 1023 bytes.

use thiserror::Error;

/// The longest line, with its end.
const MAX_LINE: usize = 1023;

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// The dataset at one moment.
    Base,
    /// What happened since.
    Log,
    /// Not needed any more.
    History,
}

impl FileKind {
    fn letter(self) -> char {
        match self {
            FileKind::Base => 'b',
            FileKind::Log => 'i',
            FileKind::History => 'h',
        }
    }
}

/// One file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileInfo {
    /// Its name within the directory.
    pub name: Vec<u8>,
    /// Its number among the files of its kind.
    pub seq: u64,
    /// What it is for.
    pub kind: FileKind,
}

/// All files of a log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// The base, if there is one.
    pub base: Option<FileInfo>,
    /// The logs that continue it, in order.
    pub logs: Vec<FileInfo>,
    /// Files to be deleted, the latest first.
    pub history: Vec<FileInfo>,
}

/// What is wrong with a manifest. The texts are Redis's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ManifestFault {
    /// There is no line.
    #[error("Found an empty AOF manifest")]
    Empty,
    /// A line does not end in time.
    #[error("The AOF manifest file contains too long line")]
    LongLine,
    /// A line is not made of keys and values, or lacks one of them.
    #[error("Invalid AOF manifest file format")]
    Format,
    /// A name that leads out of the directory.
    #[error("File can't be a path, just a filename")]
    Path,
    /// A letter that stands for no kind of file.
    #[error("Unknown AOF file type")]
    Kind,
    /// There are two bases.
    #[error("Found duplicate base file information")]
    TwoBases,
    /// The numbers of the logs do not rise.
    #[error("Found a non-monotonic sequence number")]
    Order,
}

/// What is wrong, where.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{fault}, at line {line} (offset {offset}): '{}'", .text.escape_ascii())]
pub struct ManifestError {
    /// The line's number, from 1 on.
    pub line: usize,
    /// Where it begins.
    pub offset: usize,
    /// Its text.
    pub text: Vec<u8>,
    /// What is wrong with it.
    pub fault: ManifestFault,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The first line that cannot be.
    pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        let mut offset = 0;
        let mut line = 0;
        for text in text.split_inclusive(|byte| *byte == b'\n') {
            line += 1;
            manifest.read_line(text).map_err(|fault| {
                let text = text.strip_suffix(b"\n").unwrap_or(text);
                ManifestError { line, offset, text: text[..text.len().min(MAX_LINE)].to_vec(), fault }
            })?;
            offset += text.len();
        }
        if line == 0 {
            return Err(ManifestError { line: 1, offset: 0, text: Vec::new(), fault: ManifestFault::Empty });
        }
        Ok(manifest)
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), ManifestFault> {
        if line.starts_with(b"#") {
            return Ok(());
        }
        if line.len() > MAX_LINE {
            return Err(ManifestFault::LongLine);
        }
        self.add(parse_line(line)?)
    }

    fn add(&mut self, file: FileInfo) -> Result<(), ManifestFault> {
        match file.kind {
            FileKind::Base if self.base.is_some() => return Err(ManifestFault::TwoBases),
            FileKind::Base => self.base = Some(file),
            FileKind::History => self.history.push(file),
            FileKind::Log if self.logs.last().is_some_and(|last| last.seq >= file.seq) => {
                return Err(ManifestFault::Order);
            }
            FileKind::Log => self.logs.push(file),
        }
        Ok(())
    }

    /// The text that [`Manifest::parse`] reads: base, history, logs, as Redis orders them.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for file in self.base.iter().chain(&self.history).chain(&self.logs) {
            text.extend_from_slice(b"file ");
            put_name(&mut text, &file.name);
            text.extend_from_slice(format!(" seq {} type {}\n", file.seq, file.kind.letter()).as_bytes());
        }
        text
    }

    /// The base and the logs, in the order in which they are loaded.
    pub fn files(&self) -> impl Iterator<Item = &FileInfo> {
        self.base.iter().chain(&self.logs)
    }

    /// The number of the next base: behind that of the present one, or 1.
    pub fn next_base(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.seq) + 1
    }

    /// The number of the next log.
    pub fn next_log(&self) -> u64 {
        self.logs.last().map_or(0, |log| log.seq) + 1
    }

    /// A new base takes the place of the present one, and of the logs before the last `kept` ones. They become history.
    pub fn rebase(&mut self, base: FileInfo, kept: usize) {
        let gone = self.logs.len().saturating_sub(kept);
        let replaced = self.base.replace(base).into_iter().chain(self.logs.drain(..gone));
        for file in replaced {
            self.history.insert(0, FileInfo { kind: FileKind::History, ..file });
        }
    }
}

/// The file that a line names.
fn parse_line(line: &[u8]) -> Result<FileInfo, ManifestFault> {
    let words = split(line.trim_ascii()).ok_or(ManifestFault::Format)?;
    if words.len() < 6 || words.len() % 2 != 0 {
        return Err(ManifestFault::Format);
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    for pair in words.chunks_exact(2) {
        match pair[0].to_ascii_lowercase().as_slice() {
            b"file" if pair[1].contains(&b'/') => return Err(ManifestFault::Path),
            b"file" => name = Some(pair[1].clone()),
            b"seq" => seq = std::str::from_utf8(&pair[1]).ok().and_then(|digits| digits.parse().ok()),
            b"type" => kind = Some(file_kind(&pair[1])?),
            _ => {}
        }
    }
    match (name, seq, kind) {
        (Some(name), Some(seq), Some(kind)) if !name.is_empty() && seq != 0 => {
            Ok(FileInfo { name, seq, kind })
        }
        _ => Err(ManifestFault::Format),
    }
}

fn file_kind(word: &[u8]) -> Result<FileKind, ManifestFault> {
    match word.first() {
        Some(b'b') => Ok(FileKind::Base),
        Some(b'i') => Ok(FileKind::Log),
        Some(b'h') => Ok(FileKind::History),
        _ => Err(ManifestFault::Kind),
    }
}

/// The words of a line; none if a quote is not closed, or not followed by a blank.
fn split(mut rest: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return Some(words),
            Some(b'"') => {
                let (word, behind) = quoted(&rest[1..])?;
                words.push(word);
                rest = behind;
            }
            Some(_) => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                words.push(rest[..end].to_vec());
                rest = &rest[end..];
            }
        }
    }
}

/// A word up to its closing quote, and what follows.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut at = 0;
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'"', None) => return Some((word, &[])),
            (b'"', Some(next)) => return next.is_ascii_whitespace().then(|| (word, &text[at + 1..])),
            (b'\\', Some(b'x')) if text.len() >= at + 4 => {
                let digits = std::str::from_utf8(&text[at + 2..at + 4]).ok()?;
                word.push(u8::from_str_radix(digits, 16).ok()?);
                at += 4;
            }
            (b'\\', Some(escaped)) => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    other => *other,
                });
                at += 2;
            }
            (byte, _) => {
                word.push(*byte);
                at += 1;
            }
        }
    }
}

/// Appends a name, quoted if it has to be.
fn put_name(text: &mut Vec<u8>, name: &[u8]) {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !name.is_empty() && name[0] != b'#' && name.iter().all(plain) {
        text.extend_from_slice(name);
        return;
    }
    text.push(b'"');
    for byte in name {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            7 => text.extend_from_slice(b"\\a"),
            8 => text.extend_from_slice(b"\\b"),
            b' '..=b'~' => text.push(*byte),
            _ => text.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn info(name: &str, seq: u64, kind: FileKind) -> FileInfo {
        FileInfo { name: name.into(), seq, kind }
    }

    #[test]
    fn real_manifests_are_read() {
        let text = b"file appendonly.aof.2.base.rdb seq 2 type b\n\
            file appendonly.aof.1.incr.aof seq 1 type h\n# a note\n\
            file appendonly.aof.2.incr.aof seq 2 type i startoffset 0\nfile \"a b\" seq 7 type i\n";
        let manifest = Manifest::parse(text).expect("sound");
        assert_eq!(manifest.base, Some(info("appendonly.aof.2.base.rdb", 2, FileKind::Base)));
        assert_eq!(manifest.history, [info("appendonly.aof.1.incr.aof", 1, FileKind::History)]);
        assert_eq!(manifest.logs[1], info("a b", 7, FileKind::Log));
        assert_eq!((manifest.next_base(), manifest.next_log()), (3, 8));
    }

    #[test]
    fn faults_are_named_with_their_line() {
        let check = |text: &str, line: usize, fault: ManifestFault| {
            let error = Manifest::parse(text.as_bytes()).expect_err(text);
            assert_eq!((error.line, error.fault), (line, fault), "{text}");
        };
        check("", 1, ManifestFault::Empty);
        check("file a seq 1 type b\n\n", 2, ManifestFault::Format);
        check("file a seq 1 type b\nfile b seq 2 type b\n", 2, ManifestFault::TwoBases);
        check("file a seq 2 type i\nfile b seq 1 type i\n", 2, ManifestFault::Order);
        check("file a seq 1 type k\n", 1, ManifestFault::Kind);
        check("file a seq 1\n", 1, ManifestFault::Format);
        check("file a seq 1 type b odd\n", 1, ManifestFault::Format);
        check("file ../a seq 1 type b\n", 1, ManifestFault::Path);
        check("file \"a seq 1 type b\n", 1, ManifestFault::Format);
        check("file a seq 0 type b\n", 1, ManifestFault::Format);
        check(&format!("file {} seq 1 type b\n", "a".repeat(1023)), 1, ManifestFault::LongLine);
    }

    #[test]
    fn a_new_base_makes_history() {
        let mut manifest = Manifest {
            base: Some(info("b1", 1, FileKind::Base)),
            logs: vec![info("i1", 1, FileKind::Log), info("i2", 2, FileKind::Log)],
            history: vec![],
        };
        manifest.rebase(info("b2", 2, FileKind::Base), 1);
        assert_eq!(manifest.logs, [info("i2", 2, FileKind::Log)]);
        assert_eq!(manifest.history, [info("i1", 1, FileKind::History), info("b1", 1, FileKind::History)]);
        assert_eq!(
            manifest.to_text(),
            b"file b2 seq 2 type b\nfile i1 seq 1 type h\nfile b1 seq 1 type h\nfile i2 seq 2 type i\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            names in proptest::collection::vec(proptest::collection::vec(
                any::<u8>().prop_filter("a path", |byte| *byte != b'/'), 1..40), 1..6),
            has_base: bool,
        ) {
            let mut manifest = Manifest::default();
            for (i, name) in names.into_iter().enumerate() {
                let seq = i as u64 + 1;
                if has_base && i == 0 {
                    manifest.base = Some(FileInfo { name, seq, kind: FileKind::Base });
                } else {
                    manifest.logs.push(FileInfo { name, seq, kind: FileKind::Log });
                }
            }
            prop_assert_eq!(Manifest::parse(&manifest.to_text()), Ok(manifest));
        }

        #[test]
        fn any_text_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(manifest) = Manifest::parse(&text) {
                prop_assert!(manifest.logs.windows(2).all(|pair| pair[0].seq < pair[1].seq));
            }
        }
    }
}
