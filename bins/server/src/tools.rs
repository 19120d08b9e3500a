//! The server as redis-check-rdb and redis-check-aof: reads the files, prints what `persistence::check` says of them.

mod aof;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use carnelian_persistence::check::RdbCheck;
use carnelian_persistence::disk::{Disk, RealDisk};
use carnelian_persistence::rdb::Progress;

use crate::{cli, process};

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// One of the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// redis-check-rdb.
    CheckRdb,
    /// redis-check-aof.
    CheckAof,
}

impl Tool {
    /// From the name under which the program was started: `redis-check-rdb`, `valkey-check-rdb` and so on.
    pub(crate) fn named(program: &OsStr) -> Option<Tool> {
        let name = Path::new(program).file_name()?.to_string_lossy();
        let has = |part| name.contains(part);
        has("check-rdb").then_some(Tool::CheckRdb).or(has("check-aof").then_some(Tool::CheckAof))
    }

    /// From the first argument.
    pub(crate) fn of_flag(argument: &[u8]) -> Option<Tool> {
        match argument {
            b"--check-rdb" => Some(Tool::CheckRdb),
            b"--check-aof" => Some(Tool::CheckAof),
            _ => None,
        }
    }
}

/// A tool and what it was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) tool: Tool,
    /// The program as it was named, for the usage.
    pub(crate) program: String,
    pub(crate) arguments: Vec<OsString>,
}

/// Does what the tool does. The exit code is 0 if all is well.
pub(crate) fn run(call: &Call) -> ExitCode {
    let done = match call.tool {
        _ if is_version_wanted(call) => Ok(true),
        Tool::CheckRdb => check_rdb(call),
        Tool::CheckAof => {
            let (mut input, mut out) = (io::stdin().lock(), io::stdout().lock());
            aof::run(&RealDisk, &call.program, &call.arguments, now(), &mut input, &mut out)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", cli::describe(&error));
            ExitCode::FAILURE
        }
    }
}

/// Prints the version if that is all that was asked for.
fn is_version_wanted(call: &Call) -> bool {
    let [argument] = &call.arguments[..] else { return false };
    let is_wanted = argument == "-v" || argument == "--version";
    if is_wanted {
        let name = match call.tool {
            Tool::CheckRdb => "redis-check-rdb",
            Tool::CheckAof => "redis-check-aof",
        };
        println!("{}", cli::version_line(process::ALLOCATOR).replacen("Redis server", name, 1));
    }
    is_wanted
}

/// The time, in unix milliseconds.
fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

fn check_rdb(call: &Call) -> io::Result<bool> {
    let [file] = &call.arguments[..] else {
        eprintln!("Usage: {} <rdb-file-name>", call.program);
        return Ok(false);
    };
    let mut check = RdbCheck::new(&file.to_string_lossy(), now());
    let mut out = io::stdout().lock();
    look_at(&RealDisk, Path::new(file), &mut check, &mut out)
}

/// Feeds a file to the check and prints its lines. Whether the file is sound.
///
/// # Errors
/// The file cannot be read, or the lines cannot be written.
fn look_at(disk: &dyn Disk, path: &Path, check: &mut RdbCheck, out: &mut impl Write) -> io::Result<bool> {
    out.write_all(check.take_lines().as_bytes())?;
    let mut file = disk.open(path).map_err(unreadable(path))?;
    let mut shown = Percent::new(file.len().map_err(unreadable(path))?);
    let mut chunk = vec![0; CHUNK];
    let sound = loop {
        let n = file.read(&mut chunk).map_err(unreadable(path))?;
        let read = if n == 0 { check.finish().map(|()| Progress::Done) } else { check.feed(&chunk[..n]) };
        match read {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => break true,
            Err(_) => break false,
        }
        out.write_all(check.take_lines().as_bytes())?;
        shown.at(check.offset());
    };
    out.write_all(check.take_lines().as_bytes())?;
    out.flush()?;
    Ok(sound)
}

/// An error that says which file it is about.
fn unreadable(path: &Path) -> impl Fn(io::Error) -> io::Error {
    let path = path.display().to_string();
    move |error| io::Error::other(format!("Cannot read file {path}: {}", cli::describe(&error)))
}

/// How far a long look has come, for a person at a terminal.
struct Percent {
    total: u64,
    last: u64,
    is_watched: bool,
}

impl Percent {
    fn new(total: u64) -> Self {
        Percent { total, last: 0, is_watched: io::stderr().is_terminal() }
    }

    fn at(&mut self, offset: u64) {
        let percent = offset * 100 / self.total.max(1);
        if self.is_watched && percent > self.last {
            eprint!("\r{percent} %\r");
            self.last = percent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_name_chooses_the_tool() {
        assert_eq!(Tool::named(OsStr::new("/usr/bin/redis-check-rdb")), Some(Tool::CheckRdb));
        assert_eq!(Tool::named(OsStr::new("valkey-check-rdb")), Some(Tool::CheckRdb));
        assert_eq!(Tool::named(OsStr::new("./valkey-check-aof")), Some(Tool::CheckAof));
        assert_eq!(Tool::named(OsStr::new("/check-rdb/carnelian-server")), None);
    }
}
