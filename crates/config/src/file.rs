//! The redis.conf syntax: one directive and its arguments per line.
//!
//! A directive that takes one value stands once or several times, and the last one counts; `save` lines add up;
//! `include` is read in place. Reading files, and changing to the directory that `dir` names, are the [`Host`]'s part.

use std::fmt;

use crate::COMPATIBLE_VERSION;
use crate::config::Config;
use crate::table::{Directive, Kind};
use crate::text::{quoted, split_words};
use crate::value::Value;

const MAX_INCLUDE_DEPTH: usize = 16;

/// Directives of the past, accepted with one argument and ignored.
const OBSOLETE: [&[u8]; 5] = [
    b"events-per-io-thread",
    b"io-threads-do-reads",
    b"list-max-ziplist-entries",
    b"list-max-ziplist-value",
    b"lua-replicate-commands",
];

/// What loading a configuration needs from the outside.
pub trait Host {
    /// The files that the argument of an `include` line names. A pattern that matches nothing is no error.
    ///
    /// # Errors
    /// Such as `can't open config file 'x': No such file or directory`.
    fn include(&mut self, pattern: &[u8]) -> Result<Vec<Source>, String>;

    /// Makes a directory the current one, as lines after `dir` expect.
    ///
    /// # Errors
    /// Such as `No such file or directory`.
    fn change_directory(&mut self, path: &[u8]) -> Result<(), String>;
}

/// An included file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How messages call it.
    pub name: String,
    /// Its content.
    pub text: Vec<u8>,
}

/// Where something was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The included file, or nothing for the main text.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The text of the line.
    pub text: String,
}

/// A line which another part of the server has to read: `user` or `rename-command`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The arguments after the directive's name.
    pub args: Vec<Vec<u8>>,
    /// Where it stands.
    pub at: Location,
}

impl Declaration {
    /// The error for a declaration which its reader refuses.
    pub fn error(&self, reason: impl Into<String>) -> LoadError {
        LoadError::Invalid { at: Some(self.at.clone()), reason: reason.into() }
    }
}

/// Why a configuration was not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A line, or all lines together, are wrong. The text is the block which Redis writes to stderr.
    #[error("{}", Report { at: at.as_ref(), reason })]
    Invalid {
        /// The line, if it is one line's fault.
        at: Option<Location>,
        /// What is wrong.
        reason: String,
    },
    /// An included file cannot be read.
    #[error("Fatal error, {0}")]
    Include(String),
}

struct Report<'a> {
    at: Option<&'a Location>,
    reason: &'a str,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n*** FATAL CONFIG FILE ERROR (Redis {COMPATIBLE_VERSION}) ***")?;
        if let Some(Location { file, line, text }) = self.at {
            write!(f, "Reading the configuration file, at line {line}")?;
            match file {
                Some(file) => writeln!(f, " of included file '{file}'")?,
                None => writeln!(f)?,
            }
            writeln!(f, ">>> '{text}'")?;
        }
        write!(f, "{}", self.reason)
    }
}

impl Config {
    /// Reads a whole configuration: the text of the file, then of stdin, then of [`Options`], each after a line end.
    ///
    /// # Errors
    /// The first line that is refused. The configuration is of no use then.
    pub fn load(&mut self, text: &[u8], host: &mut dyn Host) -> Result<(), LoadError> {
        Loader { config: self, host, save_seen: false }.text(text, None, 0)?;
        const CLUSTER: Directive = Directive::named("cluster-enabled");
        if self.flag(CLUSTER) && self.replicaof().is_some() {
            let reason = "replicaof directive not allowed in cluster mode".into();
            return Err(LoadError::Invalid { at: None, reason });
        }
        Ok(())
    }
}

struct Loader<'a> {
    config: &'a mut Config,
    host: &'a mut dyn Host,
    /// The first `save` line replaces the default.
    save_seen: bool,
}

/// What a line that is not about a value of the table asks for.
enum Failure {
    Line(String),
    Load(LoadError),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Failure::Line(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Failure::Line(reason.into())
    }
}

impl Loader<'_> {
    fn text(&mut self, text: &[u8], file: Option<&str>, depth: usize) -> Result<(), LoadError> {
        for (i, line) in text.split(|&c| c == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let location = || Location {
                file: file.map(str::to_owned),
                line: i + 1,
                text: String::from_utf8_lossy(line).into_owned(),
            };
            self.line(line, depth, &location).map_err(|failure| match failure {
                Failure::Line(reason) => LoadError::Invalid { at: Some(location()), reason },
                Failure::Load(error) => error,
            })?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], depth: usize, at: &dyn Fn() -> Location) -> Result<(), Failure> {
        let words = split_words(line).ok_or("Unbalanced quotes in configuration line")?;
        let Some((name, args)) = words.split_first() else { return Ok(()) };
        if let Some(directive) = Directive::find(name) {
            return Ok(self.directive(directive, args)?);
        }
        match (name.to_ascii_lowercase().as_slice(), args) {
            (name, [_]) if OBSOLETE.contains(&name) => Ok(()),
            (b"include", [pattern]) => self.include(pattern, depth + 1),
            (b"rename-command", [_, _]) => {
                self.config.renamed_commands.push(Declaration { args: args.to_vec(), at: at() });
                Ok(())
            }
            (b"user", [_, ..]) => {
                self.config.users.push(Declaration { args: args.to_vec(), at: at() });
                Ok(())
            }
            (b"loadmodule", [_, ..]) => Err("Modules are not supported by this server".into()),
            (b"sentinel", []) => Err("Sentinel mode is not supported by this server".into()),
            (b"sentinel", _) => Err("sentinel directive while not in sentinel mode".into()),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn directive(&mut self, directive: Directive, args: &[Vec<u8>]) -> Result<(), String> {
        let kind = directive.row().kind;
        // One argument may hold several, as in `--save "900 1"`.
        let inner = match args {
            [arg] if kind.is_multi_arg() && !arg.is_empty() => split_words(arg),
            _ => None,
        };
        let args: Vec<&[u8]> = inner.as_deref().unwrap_or(args).iter().map(Vec::as_slice).collect();
        let mut value = Value::parse(directive.row(), &args, self.config.value(directive))?;
        if directive == Directive::named("dir") {
            self.host.change_directory(args[0])?;
        }
        if let (Kind::Save, Value::Save(points)) = (kind, &mut value) {
            if self.save_seen && !points.is_empty() {
                points.splice(..0, self.config.save_points().iter().copied());
            }
            self.save_seen = true;
        }
        self.config.replace(directive, value);
        Ok(())
    }

    fn include(&mut self, pattern: &[u8], depth: usize) -> Result<(), Failure> {
        if depth > MAX_INCLUDE_DEPTH {
            return Err("Too many levels of included files".into());
        }
        let sources =
            self.host.include(pattern).map_err(|reason| Failure::Load(LoadError::Include(reason)))?;
        for source in sources {
            self.text(&source.text, Some(&source.name), depth).map_err(Failure::Load)?;
        }
        Ok(())
    }
}

/// Command-line options, `--directive value ...`, as a text in the syntax of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// One line per option.
    pub text: Vec<u8>,
    /// `-` was the first or the last argument: more configuration comes from stdin.
    pub stdin: bool,
}

impl Options {
    /// Reads the arguments after the name of the program and of the file, if there is one.
    ///
    /// What begins with `--` is an option if the one before it has a value (so a value may begin with `--` as
    /// well), and `--save` without a value means `--save ""`.
    pub fn parse(args: &[Vec<u8>], has_file: bool) -> Self {
        let mut options = Options::default();
        let mut complete = true; // the last option has a value
        for (i, arg) in args.iter().enumerate() {
            let last = i + 1 == args.len();
            if arg == b"-" && (last || (i == 0 && !has_file)) {
                options.stdin = true;
            } else if let (true, Some(name)) = (complete, arg.strip_prefix(b"--")) {
                if !options.text.is_empty() {
                    options.text.push(b'\n');
                }
                options.text.extend(name);
                options.text.push(b' ');
                complete = split_words(name).is_none_or(|words| words.len() != 1);
                let no_value = args.get(i + 1).is_none_or(|next| next.starts_with(b"--"));
                if no_value && name.eq_ignore_ascii_case(b"save") {
                    options.text.extend(b"\"\"");
                    complete = true;
                }
            } else {
                options.text.extend(quoted(arg));
                options.text.push(b' ');
                complete = true;
            }
        }
        options
    }
}
