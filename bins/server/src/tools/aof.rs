//! redis-check-aof: looks at a log of several files by its manifest, or at a single file; repairs the last one.

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use carnelian_persistence::aof::{Ending, FileInfo, Manifest, ManifestError, Scan, Verdict};
use carnelian_persistence::check::{AofCheck, Lost, describe, is_manifest, is_rdb};
use carnelian_persistence::disk::{Disk, DiskFile, fill};

use super::{CHUNK, unreadable};
use crate::cli;

/// What to do with a file that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Say so.
    Look,
    /// Cut off what is not sound, after a question unless it is answered already.
    Fix { is_asked: bool },
    /// Cut off what was written after this time, in Unix seconds.
    Until(u64),
}

/// Why the tool ends with 1. The text is printed if there is one.
enum Stop {
    Said,
    Because(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Because(cli::describe(&error))
    }
}

/// Runs the tool. Whether all is well, or has become so.
///
/// # Errors
/// If nothing can be printed.
pub(super) fn run(
    disk: &dyn Disk,
    program: &str,
    arguments: &[OsString],
    now: u64,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<bool> {
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or("")).collect();
    let mode = match words[..] {
        [_] => Mode::Look,
        ["--fix", _] => Mode::Fix { is_asked: true },
        ["--fix", "--yes", _] => Mode::Fix { is_asked: false },
        ["--truncate-to-timestamp", time, _] => match time.parse() {
            Ok(0) => Mode::Look,
            Ok(time) => Mode::Until(time),
            Err(_) => {
                writeln!(out, "Invalid timestamp, aborting...")?;
                return Ok(false);
            }
        },
        _ => {
            let options = "[--fix [--yes]|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>";
            writeln!(out, "Usage: {program} {options}")?;
            return Ok(false);
        }
    };
    let path = PathBuf::from(&arguments[arguments.len() - 1]);
    let mut tool = Tool { disk, mode, now, lines: 0, input, out };
    match tool.look(&path) {
        Ok(()) => Ok(true),
        Err(Stop::Said) => Ok(false),
        Err(Stop::Because(reason)) => {
            writeln!(tool.out, "{reason}")?;
            Ok(false)
        }
    }
}

struct Tool<'a, I, O> {
    disk: &'a dyn Disk,
    mode: Mode,
    now: u64,
    /// Lines of the files before.
    lines: u64,
    input: &'a mut I,
    out: &'a mut O,
}

/// A file of the log: what it is, for lines about it, where, and whether nothing follows it.
struct File<'a> {
    what: &'static str,
    name: String,
    path: &'a Path,
    is_last: bool,
}

impl<I: BufRead, O: Write> Tool<'_, I, O> {
    fn look(&mut self, path: &Path) -> Result<(), Stop> {
        let mut head = vec![0; CHUNK];
        let mut file = self.open(path)?;
        let n = fill(&mut *file, &mut head).map_err(unreadable(path))?;
        head.truncate(n);
        if is_manifest(&head) {
            writeln!(self.out, "Start checking Multi Part AOF")?;
            return self.look_at_parts(path);
        }
        writeln!(self.out, "Start checking Old-Style AOF")?;
        self.look_at(&File { what: "AOF", name: path.display().to_string(), path, is_last: true })
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, Stop> {
        self.disk.open(path).map_err(|error| {
            Stop::Because(format!("Cannot open file {}: {}", path.display(), cli::describe(&error)))
        })
    }

    fn look_at_parts(&mut self, path: &Path) -> Result<(), Stop> {
        let text = read_all(&mut *self.open(path)?).map_err(unreadable(path))?;
        let manifest = Manifest::parse(&text).map_err(|error| Stop::Because(manifest_fault(&error)))?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let place = |info: &FileInfo| directory.join(OsString::from_vec(info.name.clone()));
        let name = |info: &FileInfo| String::from_utf8_lossy(&info.name).into_owned();
        if let Some(base) = &manifest.base {
            let path = place(base);
            let mut head = [0; 6];
            let n = fill(&mut *self.open(&path)?, &mut head).map_err(unreadable(&path))?;
            let format = if is_rdb(&head[..n]) { "RDB" } else { "RESP" };
            writeln!(self.out, "Start to check BASE AOF ({format} format).")?;
            let is_last = manifest.logs.is_empty();
            self.look_at(&File { what: "BASE AOF", name: name(base), path: &path, is_last })?;
        }
        if let Some(last) = manifest.logs.last() {
            writeln!(self.out, "Start to check INCR files.")?;
            for log in &manifest.logs {
                let path = place(log);
                let is_last = log == last;
                self.look_at(&File { what: "INCR AOF", name: name(log), path: &path, is_last })?;
            }
        }
        writeln!(self.out, "All AOF files and manifest are valid")?;
        Ok(())
    }

    /// Looks at one file and does what the mode says.
    fn look_at(&mut self, file: &File<'_>) -> Result<(), Stop> {
        let File { what, name, path, .. } = file;
        let mut opened = self.open(path)?;
        if opened.len().map_err(unreadable(path))? == 0 {
            writeln!(self.out, "{what} {name} is empty")?;
            return Ok(());
        }
        let until = match self.mode {
            Mode::Until(time) => Some(time),
            _ => None,
        };
        let mut check = AofCheck::new(&path.to_string_lossy(), self.now, until);
        let mut chunk = vec![0; CHUNK];
        loop {
            let n = opened.read(&mut chunk).map_err(unreadable(path))?;
            if n == 0 {
                break;
            }
            check.feed(&chunk[..n]);
            self.out.write_all(check.take_lines().as_bytes())?;
        }
        let report = check.finish();
        self.out.write_all(check.take_lines().as_bytes())?;
        let Some(scan) = report.scan else { return Err(Stop::Said) };
        if let (Some(cut), Some(time)) = (report.cut, until) {
            return self.cut_to_time(file, cut, time);
        }
        let verdict = self.judge(path, scan)?;
        if verdict.ending == Ending::Clean && until.is_some() {
            let time = until.unwrap_or(0);
            writeln!(self.out, "Truncate nothing in AOF {name} to timestamp {time}")?;
        } else {
            self.out.write_all(describe(name, &verdict, self.lines).as_bytes())?;
        }
        self.lines += verdict.lines;
        if verdict.ending == Ending::Clean {
            writeln!(self.out, "{what} {name} is valid")?;
            return Ok(());
        }
        self.repair(file, &verdict)
    }

    /// The verdict; behind a defect the file is read once more.
    fn judge(&self, path: &Path, scan: Scan) -> Result<Verdict, Stop> {
        let mut tail = match scan {
            Scan::Done(verdict) => return Ok(verdict),
            Scan::Again(tail) => tail,
        };
        self.read_from(path, tail.begin(), &mut |bytes| tail.feed(bytes))?;
        Ok(tail.finish())
    }

    /// Reads a file from an offset to its end.
    fn read_from(&self, path: &Path, begin: u64, feed: &mut impl FnMut(&[u8])) -> Result<(), Stop> {
        let mut file = self.open(path)?;
        let (mut chunk, mut offset) = (vec![0; CHUNK], 0);
        loop {
            let n = file.read(&mut chunk).map_err(unreadable(path))?;
            if n == 0 {
                return Ok(());
            }
            let skipped = begin.saturating_sub(offset).min(n as u64);
            offset += n as u64;
            feed(&chunk[usize::try_from(skipped).unwrap_or(n)..n]);
        }
    }

    fn repair(&mut self, file: &File<'_>, verdict: &Verdict) -> Result<(), Stop> {
        let (name, Verdict { size, sound, .. }) = (&file.name, verdict);
        let Mode::Fix { is_asked } = self.mode else {
            let hint = "Use the --fix option to try fixing it.";
            return Err(Stop::Because(format!("AOF {name} is not valid. {hint}")));
        };
        if !file.is_last {
            let reason = format!("Failed to truncate AOF {name} because it is not the last file");
            return Err(Stop::Because(reason));
        }
        let mut lost = Lost::default();
        self.read_from(file.path, *sound, &mut |bytes| lost.feed(bytes))?;
        writeln!(
            self.out,
            "What follows offset {sound} is lost: {} bytes, with about {} whole commands",
            size - sound,
            lost.commands()
        )?;
        let diff = size - sound;
        writeln!(
            self.out,
            "This will shrink the AOF {name} from {size} bytes, with {diff} bytes, to {sound} bytes"
        )?;
        if is_asked && !self.is_confirmed()? {
            return Err(Stop::Because("Aborting...".to_owned()));
        }
        self.truncate(file.path, *sound)
            .map_err(|_| Stop::Because(format!("Failed to truncate AOF {name}")))?;
        writeln!(self.out, "Successfully truncated AOF {name}")?;
        Ok(())
    }

    fn is_confirmed(&mut self) -> io::Result<bool> {
        write!(self.out, "Continue? [y/N]: ")?;
        self.out.flush()?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        Ok(answer.starts_with(['y', 'Y']))
    }

    fn cut_to_time(&mut self, file: &File<'_>, cut: u64, time: u64) -> Result<(), Stop> {
        let File { name, path, is_last, .. } = file;
        if cut == 0 {
            let reason = format!("AOF {name} has nothing before timestamp {time}, aborting...");
            return Err(Stop::Because(reason));
        }
        if !is_last {
            return Err(Stop::Because(format!(
                "Failed to truncate AOF {} to timestamp {time} to offset {cut} because it is not the last file.\n\
                 If you insist, please delete all files after this file according to the manifest file and delete \
                 the corresponding records in manifest file manually. Then re-run redis-check-aof.",
                path.display()
            )));
        }
        self.truncate(path, cut)
            .map_err(|_| Stop::Because(format!("Failed to truncate AOF {name} to timestamp {time}")))?;
        writeln!(self.out, "Successfully truncated AOF {name} to timestamp {time}")?;
        Ok(())
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut file = self.disk.append(path)?;
        file.truncate(len)?;
        file.sync()
    }
}

/// Redis's lines about a bad manifest.
fn manifest_fault(error: &ManifestError) -> String {
    format!(
        "\n*** FATAL AOF MANIFEST FILE ERROR ***\n\nReading the manifest file, at line {}\n>>> '{}'\n{}",
        error.line,
        String::from_utf8_lossy(&error.text),
        error.fault
    )
}

fn read_all(file: &mut dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut text = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
    let n = fill(file, &mut text)?;
    text.truncate(n);
    Ok(text)
}
