//! The process's title, as `ps` shows it: written over the command line, in the place where the system reads it.
//!
//! The strings of the command line and of the environment stand one behind the other. A title may run on into the
//! environment, which nobody reads once the server runs, except for the time zone: if `TZ` is set, the title is cut
//! where the command line ends. Linux only; elsewhere there is no title.
#![expect(clippy::disallowed_methods, reason = "the place and the text are in files of /proc")]

use carnelian_config::{Config, Directive};
use std::fs::{File, read_to_string};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

const TEMPLATE: Directive = Directive::named("proc-title-template");
const ENABLED: Directive = Directive::named("set-proc-title");
const PORT: Directive = Directive::named("port");

/// Where titles go.
pub(crate) struct Title {
    /// Address and bytes of the place, if there is one.
    place: Option<(u64, usize)>,
    /// How the program was started.
    program: Vec<u8>,
    config_file: Vec<u8>,
}

impl Title {
    /// Looks for the place. The command line must not be read any more once a title is set.
    pub(crate) fn find(config_file: Option<&Path>) -> Title {
        Title {
            place: if cfg!(target_os = "linux") { place() } else { None },
            program: std::env::args_os().next().map(OsStringExt::into_vec).unwrap_or_default(),
            config_file: config_file
                .map(|path| path.to_path_buf().into_os_string().into_vec())
                .unwrap_or_default(),
        }
    }

    /// Shows the title that the configuration asks for; without the permission, nothing happens.
    pub(crate) fn set(&self, config: &Config) {
        if let Some((address, room)) = self.place
            && config.flag(ENABLED)
        {
            let mut text = self.text(config);
            // Ends with a zero byte, and none of the old text is left behind it.
            text.resize(room, 0);
            text[room - 1] = 0;
            let written = File::options()
                .write(true)
                .open("/proc/self/mem")
                .and_then(|memory| memory.write_all_at(&text, address));
            if let Err(error) = written {
                log::debug!("The process's title is not set: {error}");
            }
        }
    }

    /// The template with its variables replaced.
    fn text(&self, config: &Config) -> Vec<u8> {
        let template = config.text(TEMPLATE);
        let mut text = Vec::with_capacity(template.len() + 100);
        let mut rest = template;
        while let Some(open) = rest.iter().position(|byte| *byte == b'{') {
            let Some(length) = rest[open..].iter().position(|byte| *byte == b'}') else { break };
            text.extend_from_slice(&rest[..open]);
            text.extend_from_slice(&self.variable(&rest[open + 1..open + length], config));
            rest = &rest[open + length + 1..];
        }
        text.extend_from_slice(rest);
        text.truncate(text.trim_ascii_end().len());
        text
    }

    /// The variables that `proc-title-template` may name; the check of the directive knows them too.
    fn variable(&self, name: &[u8], config: &Config) -> Vec<u8> {
        match name {
            b"title" => self.program.clone(),
            b"listen-addr" => listen_address(config),
            b"port" => config.int(PORT).to_string().into_bytes(),
            b"tls-port" => config.int(Directive::named("tls-port")).to_string().into_bytes(),
            b"unixsocket" => config.text(Directive::named("unixsocket")).to_vec(),
            b"config-file" => self.config_file.clone(),
            // The mode of a server that is neither a Sentinel nor part of a cluster has no name.
            _ => Vec::new(),
        }
    }
}

/// The first address that the server listens on.
fn listen_address(config: &Config) -> Vec<u8> {
    let port = config.int(PORT);
    if port == 0 {
        return config.text(Directive::named("unixsocket")).to_vec();
    }
    let first = config.bind().first().map_or(&b"*"[..], |address| address.as_slice());
    [first, format!(":{port}").as_bytes()].concat()
}

/// Address and bytes of the command line, and of the environment behind it if that may go.
fn place() -> Option<(u64, usize)> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // After the program's name, in parentheses, come the fields 3 and following.
    let fields: Vec<u64> =
        stat.rsplit(')').next()?.split_whitespace().map(|n| n.parse().unwrap_or(0)).collect();
    let [from, to, env_from, env_to] = fields.get(45..49)?.try_into().ok()?;
    let end = if to == env_from && std::env::var_os("TZ").is_none() { env_to } else { to };
    let room = usize::try_from(end.checked_sub(from)?).ok()?;
    (from != 0 && room > 1).then_some((from, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_trailing_blanks_dropped() {
        let title =
            Title { place: None, program: b"./server".to_vec(), config_file: b"/etc/a.conf".to_vec() };
        let mut config = Config::new();
        assert_eq!(title.text(&config), b"./server *:6379");
        config
            .assign(TEMPLATE, &[b"T {title} {listen-addr} {port} {tls-port} {unixsocket} {config-file}"])
            .expect("a valid template");
        assert_eq!(title.text(&config), b"T ./server *:6379 6379 0  /etc/a.conf");
    }
}
