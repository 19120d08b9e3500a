//! The command line of redis-server: `[FILE] [--directive value ...] [-]`, and the configuration it amounts to; or that
//! of the tools that the server is under another name.
#![expect(clippy::disallowed_methods, reason = "configuration files are read here")]

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use carnelian_config::file::{Host, Options};
use carnelian_config::{COMPATIBLE_VERSION, Config, LoadError, Source};

use crate::logging;
use crate::tools::{self, Tool};

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// `-h` or `--help`: print [`USAGE`].
    Help,
    /// `-v` or `--version`: print [`version_line`].
    Version,
    /// Something that this server does not do: print the text to stderr, and exit with 1.
    Refused(String),
    /// Look at files.
    Check(tools::Call),
    /// Serve.
    Serve(Launch),
}

/// How the server was started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Launch {
    /// The configuration file, as an absolute path.
    pub(crate) file: Option<PathBuf>,
    /// Options and whether there is more in stdin.
    pub(crate) options: Options,
    /// There were no arguments at all, which is worth a warning in the log.
    pub(crate) bare: bool,
}

/// The text for `--help`.
pub(crate) const USAGE: &str = "\
Usage: carnelian-server [/path/to/redis.conf] [options] [-]
       carnelian-server - (read the configuration from stdin)
       carnelian-server -v or --version
       carnelian-server -h or --help
       carnelian-server --check-rdb FILE (or started as redis-check-rdb)
       carnelian-server --check-aof [--fix|--truncate-to-timestamp SECONDS] FILE (or started as redis-check-aof)

Options are directives of redis.conf, and count more than the file:
       carnelian-server --port 7777 --loglevel verbose
       carnelian-server /etc/carnelian.conf --save 900 1 --appendonly yes
       echo 'maxmemory 128mb' | carnelian-server -
";

/// The line for `--version`, in Redis's form: test harnesses read the fields.
pub(crate) fn version_line(allocator: &str) -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!(
        "Redis server v={COMPATIBLE_VERSION} sha=00000000:0 malloc={allocator} bits={} build=carnelian-{own}",
        usize::BITS
    )
}

/// Reads the arguments, of which the first is the program's name. `directory` is the current one.
pub(crate) fn parse(mut args: impl Iterator<Item = OsString>, directory: &Path) -> Request {
    let program = args.next().unwrap_or_default();
    let args: Vec<Vec<u8>> = args.map(OsString::into_vec).collect();
    let first = args.first().map(Vec::as_slice);
    if let Some(tool) = Tool::named(&program) {
        return Request::Check(call(tool, program.to_string_lossy().into_owned(), &args));
    }
    if let Some(tool) = first.and_then(Tool::of_flag) {
        let flag = String::from_utf8_lossy(&args[0]);
        return Request::Check(call(tool, format!("{} {flag}", program.to_string_lossy()), &args[1..]));
    }
    match first {
        Some(b"-v" | b"--version") => return Request::Version,
        Some(b"-h" | b"--help") => return Request::Help,
        Some(name @ (b"--test-memory" | b"--check-system")) => {
            let name = String::from_utf8_lossy(name);
            return Request::Refused(format!("{name} is not supported by this server"));
        }
        _ => {}
    }
    let file = first.filter(|arg| !arg.starts_with(b"-")).map(|arg| directory.join(OsStr::from_bytes(arg)));
    let rest = if file.is_some() { &args[1..] } else { &args[..] };
    let options = Options::parse(rest, file.is_some());
    Request::Serve(Launch { file, options, bare: args.is_empty() })
}

fn call(tool: Tool, program: String, args: &[Vec<u8>]) -> tools::Call {
    tools::Call { tool, program, arguments: args.iter().cloned().map(OsString::from_vec).collect() }
}

/// All of stdin if it holds configuration.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_stdin(launch: &Launch) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if launch.options.stdin {
        io::stdin().lock().read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Reads the configuration: the file, then `stdin`, then the options. Changes to the directory that `dir` names, and
/// checks that the log file can be written.
///
/// # Errors
/// What to print to stderr before exiting with 1.
pub(crate) fn load(launch: &Launch, stdin: &[u8]) -> Result<Config, LoadError> {
    let mut text = match &launch.file {
        Some(path) => read(path).map_err(LoadError::Include)?,
        None => Vec::new(),
    };
    text.extend(stdin);
    text.push(b'\n');
    text.extend(&launch.options.text);
    let mut config = Config::new();
    config.load(&text, &mut Disk)?;
    if let Some(path) = crate::links::log_file(&config) {
        logging::check_file(&path).map_err(|reason| LoadError::Invalid { at: None, reason })?;
    }
    Ok(config)
}

/// The text of an error of the system, without Rust's addition of its number.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(before, _)| before).to_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path)
        .map_err(|error| format!("can't open config file '{}': {}", path.display(), describe(&error)))
}

/// Included files and directories, on the real disk.
struct Disk;

impl Host for Disk {
    fn include(&mut self, pattern: &[u8]) -> Result<Vec<Source>, String> {
        let source = |path: &Path| Ok(Source { name: path.display().to_string(), text: read(path)? });
        if !pattern.iter().any(|c| matches!(c, b'*' | b'?' | b'[')) {
            return Ok(vec![source(Path::new(OsStr::from_bytes(pattern)))?]);
        }
        let text = String::from_utf8_lossy(pattern);
        let paths = glob::glob(&text).map_err(|error| format!("can't expand '{text}': {error}"))?;
        // A folder that cannot be listed has no files to read, as for the shell.
        paths.flatten().map(|path| source(&path)).collect()
    }

    fn change_directory(&mut self, path: &[u8]) -> Result<(), String> {
        env::set_current_dir(OsStr::from_bytes(path)).map_err(|error| describe(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(args: &[&str]) -> Request {
        let words = ["carnelian-server"].iter().chain(args);
        parse(words.map(OsString::from), Path::new("/here"))
    }

    fn launch(args: &[&str]) -> Launch {
        match request(args) {
            Request::Serve(launch) => launch,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    fn error(args: &[&str]) -> String {
        load(&launch(args), b"").expect_err("refused").to_string()
    }

    #[test]
    fn the_first_argument_decides() {
        assert_eq!(request(&["-v"]), Request::Version);
        assert_eq!(request(&["--version", "x"]), Request::Version);
        assert_eq!(request(&["--help"]), Request::Help);
        let refused = "--test-memory is not supported by this server".to_owned();
        assert_eq!(request(&["--test-memory", "100"]), Request::Refused(refused));
        assert!(launch(&[]).bare);
        assert_eq!(launch(&["x.conf", "--port", "1"]).file, Some("/here/x.conf".into()));
        assert_eq!(launch(&["/x.conf"]).file, Some("/x.conf".into()));
        assert_eq!(launch(&["--port", "1"]).file, None);
        assert!(launch(&["-"]).options.stdin && launch(&["x.conf", "-"]).options.stdin);
    }

    #[test]
    fn the_server_is_its_tools_too() {
        let check = |program: &str, arguments: &[&str]| {
            let arguments = arguments.iter().map(OsString::from).collect();
            Request::Check(tools::Call { tool: Tool::CheckRdb, program: program.to_owned(), arguments })
        };
        assert_eq!(request(&["--check-rdb", "x.rdb"]), check("carnelian-server --check-rdb", &["x.rdb"]));
        let named = parse(["a/redis-check-rdb", "-v"].iter().map(OsString::from), Path::new("/"));
        assert_eq!(named, check("a/redis-check-rdb", &["-v"]));
    }

    #[test]
    fn the_version_has_redis_fields() {
        let line = version_line("jemalloc");
        assert!(
            line.starts_with("Redis server v=8.2.3 sha=00000000:0 malloc=jemalloc bits=64 build="),
            "{line}"
        );
    }

    #[test]
    fn file_then_stdin_then_options() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("main.conf"), format!("hz 20\ninclude {}", path("d*.conf"))).expect("written");
        fs::write(path("d1.conf"), "hz 30\ntimeout 1").expect("written");
        fs::write(path("d2.conf"), "hz 40").expect("written");
        let print = |config: &Config, name: &str| {
            String::from_utf8(config.get(&[name.as_bytes()])[0].1.clone()).expect("plain text")
        };

        let arguments = [path("main.conf"), "--maxclients".into(), "5".into(), "-".into()];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // The file has no line end, so that stdin goes on in its last line, as in Redis.
        let config = load(&launch(&arguments), b"\nmaxclients 4\ntimeout 2").expect("valid");
        let values = ["hz", "timeout", "maxclients"].map(|name| print(&config, name));
        assert_eq!(values, ["40", "2", "5"]);
    }

    #[test]
    fn errors_are_those_of_redis() {
        let head = "\n*** FATAL CONFIG FILE ERROR (Redis 8.2.3) ***\n";
        let line = |number: u32, text: &str, reason: &str| {
            format!("{head}Reading the configuration file, at line {number}\n>>> '{text}'\n{reason}")
        };
        let bad = "Bad directive or wrong number of arguments";
        assert_eq!(
            error(&["--port", "abc"]),
            line(2, "port \"abc\"", "argument couldn't be parsed into an integer")
        );
        assert_eq!(error(&["--port=1"]), line(2, "port=1", bad));
        assert_eq!(error(&["--port", "1", "--save", "9", "1", "--foo", "x"]), line(4, "foo \"x\"", bad));
        assert_eq!(error(&["-x"]), line(2, "\"-x\"", bad));
        assert_eq!(
            error(&["--dir", "/nonexistent"]),
            line(2, "dir \"/nonexistent\"", "No such file or directory")
        );
        assert_eq!(
            error(&["/nonexistent.conf"]),
            "Fatal error, can't open config file '/nonexistent.conf': No such file or directory"
        );
        assert_eq!(
            error(&["--logfile", "/nonexistent/log"]),
            format!("{head}Can't open the log file: No such file or directory")
        );
    }
}
