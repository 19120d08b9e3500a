//! `daemonize yes` and `pidfile`, without a fork: the server starts itself once more, in a session of its own and
//! without a terminal, and the first process ends.
#![expect(clippy::disallowed_methods, reason = "the pid file is written here")]

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use carnelian_config::{Config, Directive};

/// Set for the process in the background.
const MARKER: &str = "CARNELIAN_DAEMON";

/// Where the pid goes if `daemonize` is on and `pidfile` is not set.
const DEFAULT_PID_FILE: &str = "/var/run/redis.pid";

/// Which of the two processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that was started: it has nothing more to do than to exit with 0.
    Foreground,
    /// The server.
    Background,
}

/// Goes to the background. To be called when the configuration is known to be good, before any thread or socket
/// exists. `directory` is the one in which the process was started, and `stdin` what was read from there.
///
/// # Errors
/// If the second process cannot be started.
pub(crate) fn detach(directory: &Path, stdin: &[u8]) -> io::Result<Side> {
    if env::var_os(MARKER).is_some() {
        rustix::process::setsid()?;
        return Ok(Side::Background);
    }
    let mut child = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(MARKER, "1")
        .current_dir(directory)
        .stdin(if stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin)?;
    }
    Ok(Side::Foreground)
}

fn write_pid_file(path: &Path) -> io::Result<()> {
    fs::write(path, format!("{}\n", std::process::id()))
}

/// Writes the process id where the configuration wants it. The server goes on without it, as Redis does.
pub(crate) fn write_configured_pid_file(config: &Config) -> Option<PathBuf> {
    let path = String::from_utf8_lossy(config.text(Directive::named("pidfile"))).into_owned();
    let path = match (path.is_empty(), config.flag(Directive::named("daemonize"))) {
        (true, false) => return None,
        (true, true) => PathBuf::from(DEFAULT_PID_FILE),
        (false, _) => PathBuf::from(path),
    };
    match write_pid_file(&path) {
        Ok(()) => Some(path),
        Err(error) => {
            log::warn!("Failed to write PID file: {error}");
            None
        }
    }
}

/// Removes the pid file at a clean end.
pub(crate) fn remove_pid_file(path: &Path) {
    log::info!("Removing the pid file.");
    if let Err(error) = fs::remove_file(path) {
        log::debug!("Removing the pid file failed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_comes_and_goes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pid");
        write_pid_file(&path).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("readable"), format!("{}\n", std::process::id()));
        remove_pid_file(&path);
        assert!(!path.exists());
    }
}
