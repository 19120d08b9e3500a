//! The log: a backend of the `log` crate that writes lines as Redis and Valkey do.
//!
//! | `log` level | Redis's | mark |
//! |---|---|---|
//! | error, warn | warning | `#` |
//! | info | notice | `*` |
//! | debug | verbose | `-` |
//! | trace | debug | `.` |
//!
//! A log file is opened for each line, so that it can be moved away at any time. The time zone is the system's, as
//! `TZ` or /etc/localtime say when the server starts. This module knows no directives,
//! only their words.
#![expect(clippy::disallowed_methods, reason = "a log line carries the time at which it is written")]

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{OnceLock, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use log::{Level, LevelFilter, Log, Metadata, Record};

/// What the server is, as each line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Not initialized yet.
    Starting,
    /// A primary.
    Primary,
}

/// How lines look: the directives `log-format` and `log-timestamp-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Style {
    format: Format,
    timestamps: Timestamps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Legacy,
    Logfmt,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timestamps {
    Legacy,
    Iso8601,
    Milliseconds,
}

struct Backend {
    zone: TimeZone,
    settings: RwLock<Settings>,
    role: AtomicU8,
}

#[derive(Clone)]
struct Settings {
    file: Option<PathBuf>,
    style: Style,
}

static BACKEND: OnceLock<Backend> = OnceLock::new();

/// Starts logging: to the file, or to the standard output. `level` is a word of `loglevel`. Called again, it changes
/// where lines go.
pub(crate) fn init(file: Option<PathBuf>, level: &str) {
    let style = Style { format: Format::Legacy, timestamps: Timestamps::Legacy };
    let backend = BACKEND.get_or_init(|| Backend {
        zone: TimeZone::system(),
        settings: RwLock::new(Settings { file: None, style }),
        role: AtomicU8::new(Role::Starting as u8),
    });
    backend.change(|settings| settings.file = file);
    // An error means that a backend is set, and there is no other one than this.
    if log::set_logger(backend).is_err() {
        log::debug!("Logging was set up before");
    }
    set_level(level);
}

/// Checks that a log file can be written to, since a server that runs cannot complain about it.
///
/// # Errors
/// The text that Redis prints under `FATAL CONFIG FILE ERROR`.
pub(crate) fn check_file(path: &Path) -> Result<(), String> {
    match OpenOptions::new().append(true).create(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("Can't open the log file: {}", crate::cli::describe(&error))),
    }
}

/// `loglevel`.
pub(crate) fn set_level(word: &str) {
    log::set_max_level(match word {
        "debug" => LevelFilter::Trace,
        "verbose" => LevelFilter::Debug,
        "warning" => LevelFilter::Warn,
        "nothing" => LevelFilter::Off,
        _ => LevelFilter::Info,
    });
}

/// `log-format` and `log-timestamp-format`.
pub(crate) fn set_style(format: &str, timestamps: &str) {
    let format = match format {
        "logfmt" => Format::Logfmt,
        "json" => Format::Json,
        _ => Format::Legacy,
    };
    let timestamps = match timestamps {
        "iso8601" => Timestamps::Iso8601,
        "milliseconds" => Timestamps::Milliseconds,
        _ => Timestamps::Legacy,
    };
    if let Some(backend) = BACKEND.get() {
        backend.change(|settings| settings.style = Style { format, timestamps });
    }
}

/// The letter of the following lines.
pub(crate) fn set_role(role: Role) {
    if let Some(backend) = BACKEND.get() {
        backend.role.store(role as u8, Ordering::Relaxed);
    }
}

/// The line of a signal's arrival, which is written outside of the ordinary format.
pub(crate) fn from_signal(message: &str) {
    if log::max_level() < LevelFilter::Warn {
        return;
    }
    if let Some(backend) = BACKEND.get() {
        let (seconds, _) = wall_clock();
        backend.write(&format!("{}:signal-handler ({seconds}) {message}\n", std::process::id()));
    }
}

/// The banner for `always-show-logo yes` or a terminal. Test suites wait for its `PID:` line.
pub(crate) fn banner(version: &str, port: u16) {
    if log::max_level() < LevelFilter::Info {
        return;
    }
    if let Some(backend) = BACKEND.get() {
        backend.write(&banner_text(version, port, std::process::id()));
    }
}

fn banner_text(version: &str, port: u16, pid: u32) -> String {
    format!(
        "\n      .--.\n     /    \\      Carnelian {version}, 64 bit\n    |  ()  |     Running in standalone mode\n     \
         \\    /      Port: {port}\n      '--'       PID: {pid}\n\n"
    )
}

impl Backend {
    fn change(&self, edit: impl FnOnce(&mut Settings)) {
        edit(&mut self.settings.write().expect("nobody panics while holding the lock"));
    }

    /// Whole lines, in one write. There is nobody to tell of a log that cannot be written.
    fn write(&self, text: &str) {
        let settings = self.settings.read().expect("nobody panics while holding the lock");
        let result = match &settings.file {
            None => write_all(&mut io::stdout().lock(), text),
            Some(path) => OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| write_all(&mut file, text)),
        };
        drop(result);
    }
}

fn write_all(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

impl Log for Backend {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let starting = self.role.load(Ordering::Relaxed) == Role::Starting as u8;
        let role = if starting { Role::Starting } else { Role::Primary };
        let style = self.settings.read().expect("nobody panics while holding the lock").style;
        let message = record.args().to_string();
        let line = Line {
            pid: std::process::id(),
            role,
            level: record.level(),
            at: wall_clock(),
            message: &message,
        };
        self.write(&line.print(style, &self.zone));
    }

    fn flush(&self) {}
}

/// Seconds and milliseconds since 1970.
fn wall_clock() -> (i64, u32) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    (since.as_secs() as i64, since.subsec_millis())
}

struct Line<'a> {
    pid: u32,
    role: Role,
    level: Level,
    at: (i64, u32),
    message: &'a str,
}

impl Line<'_> {
    fn print(&self, style: Style, zone: &TimeZone) -> String {
        let (pid, message) = (self.pid, self.message);
        let time = self.time(style.timestamps, zone);
        let (letter, role) = match self.role {
            Role::Starting => ('C', "RDB/AOF"),
            Role::Primary => ('M', "primary"),
        };
        let (mark, level) = match self.level {
            Level::Error | Level::Warn => ('#', "warning"),
            Level::Info => ('*', "notice"),
            Level::Debug => ('-', "verbose"),
            Level::Trace => ('.', "debug"),
        };
        match style.format {
            Format::Legacy => format!("{pid}:{letter} {time} {mark} {message}\n"),
            Format::Logfmt => format!(
                "pid={pid} role={role} timestamp=\"{time}\" level={level} message=\"{}\"\n",
                without_quotes(message)
            ),
            Format::Json => format!(
                "{{\"pid\":{pid},\"role\":\"{role}\",\"timestamp\":\"{time}\",\"level\":\"{level}\",\
                 \"message\":\"{}\"}}\n",
                json_escaped(message)
            ),
        }
    }

    fn time(&self, format: Timestamps, zone: &TimeZone) -> String {
        let (seconds, millis) = self.at;
        if format == Timestamps::Milliseconds {
            return (seconds * 1000 + i64::from(millis)).to_string();
        }
        let at =
            Timestamp::from_second(seconds).expect("the clock is within jiff's years").to_zoned(zone.clone());
        match format {
            Timestamps::Iso8601 => {
                format!("{}.{millis:03}{}", at.strftime("%Y-%m-%dT%H:%M:%S"), at.strftime("%:z"))
            }
            _ => format!("{}.{millis:03}", at.strftime("%d %b %Y %H:%M:%S")),
        }
    }
}

/// A value of logfmt stays on its line and within its quotes.
fn without_quotes(message: &str) -> Cow<'_, str> {
    if message.contains(['"', '\n', '\r']) {
        message.replace('"', "'").replace(['\n', '\r'], " ").into()
    } else {
        message.into()
    }
}

fn json_escaped(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for c in message.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: Style = Style { format: Format::Legacy, timestamps: Timestamps::Legacy };

    fn line(role: Role, level: Level, message: &str) -> Line<'_> {
        Line { pid: 7, role, level, at: (1_795_357_765, 9), message }
    }

    #[test]
    fn lines_look_as_those_of_redis() {
        let check = |role, level, style, expected: &str| {
            assert_eq!(line(role, level, "a \"b\"").print(style, &TimeZone::UTC), format!("{expected}\n"));
        };
        check(Role::Primary, Level::Info, LEGACY, "7:M 22 Nov 2026 14:29:25.009 * a \"b\"");
        check(Role::Starting, Level::Warn, LEGACY, "7:C 22 Nov 2026 14:29:25.009 # a \"b\"");
        check(Role::Primary, Level::Debug, LEGACY, "7:M 22 Nov 2026 14:29:25.009 - a \"b\"");
        check(Role::Primary, Level::Trace, LEGACY, "7:M 22 Nov 2026 14:29:25.009 . a \"b\"");
        let iso = Style { timestamps: Timestamps::Iso8601, ..LEGACY };
        check(Role::Primary, Level::Info, iso, "7:M 2026-11-22T14:29:25.009+00:00 * a \"b\"");
        let millis = Style { timestamps: Timestamps::Milliseconds, ..LEGACY };
        check(Role::Primary, Level::Info, millis, "7:M 1795357765009 * a \"b\"");
        let logfmt = Style { format: Format::Logfmt, ..LEGACY };
        let expected =
            "pid=7 role=primary timestamp=\"22 Nov 2026 14:29:25.009\" level=warning message=\"a 'b'\"";
        check(Role::Primary, Level::Error, logfmt, expected);
        let json = Style { format: Format::Json, ..LEGACY };
        let expected = "{\"pid\":7,\"role\":\"primary\",\"timestamp\":\"22 Nov 2026 14:29:25.009\",\
                        \"level\":\"notice\",\"message\":\"a \\\"b\\\"\"}";
        check(Role::Primary, Level::Info, json, expected);
    }

    #[test]
    fn the_zone_moves_with_daylight_saving() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a valid zone");
        let at = |seconds| Line { at: (seconds, 0), ..line(Role::Primary, Level::Info, "") };
        assert!(at(1_795_357_765).print(LEGACY, &zone).contains("15:29:25"));
        assert!(at(1_783_000_000).print(LEGACY, &zone).contains("02 Jul 2026 15:46:40"));
    }

    #[test]
    fn a_file_may_be_moved_away() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        check_file(&path).expect("writable");
        let settings = RwLock::new(Settings { file: Some(path.clone()), style: LEGACY });
        let backend = Backend { zone: TimeZone::UTC, settings, role: AtomicU8::new(1) };
        backend.write("one\n");
        std::fs::rename(&path, folder.path().join("old")).expect("moved");
        backend.write("two\n");
        assert_eq!(std::fs::read_to_string(&path).expect("written again"), "two\n");
        let refused = check_file(&folder.path().join("no/log")).expect_err("no such folder");
        assert_eq!(refused, "Can't open the log file: No such file or directory");
    }

    #[test]
    fn the_banner_has_the_line_that_suites_wait_for() {
        assert!(banner_text("0.1.0", 6379, 42).lines().any(|line| line.ends_with(" PID: 42")));
    }
}
