//! The real servers of both lines and of three ages, and ours.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use carnelian_testkit::{Peer, Peers, Server, ServerOptions};

use crate::options::Options;

/// A line and age, which decide on what is understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Redis70,
    Redis82,
    Valkey91,
    Ours,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Redis70 => "redis-7.0.15",
            Kind::Redis82 => "redis-8.2.3",
            Kind::Valkey91 => "valkey-9.1.2",
            Kind::Ours => "carnelian",
        }
    }

    pub(super) fn has_field_deadlines(self) -> bool {
        self != Kind::Redis70
    }
}

/// A binary.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) kind: Kind,
    path: PathBuf,
}

impl Binary {
    pub(super) fn ours(path: impl Into<PathBuf>) -> Binary {
        Binary { kind: Kind::Ours, path: path.into() }
    }

    /// Starts it, in a directory of its own unless one is given.
    pub(super) fn start(&self, args: &[&str], directory: Option<&Path>) -> anyhow::Result<Server> {
        let mut options = ServerOptions::new(&self.path).args(args.iter().map(OsString::from));
        if let Some(directory) = directory {
            options = options.args([OsString::from("--dir"), directory.as_os_str().to_owned()]);
        }
        Ok(options.start()?)
    }
}

/// The real servers: `--peers DIR`, and `--older BIN` for the oldest one (redis-server of the PATH).
pub(super) fn real(options: &mut Options) -> anyhow::Result<[Binary; 3]> {
    let older = options.take("--older")?.unwrap_or_else(|| "redis-server".to_owned());
    let peers: Peers = options.peers()?;
    Ok([
        Binary { kind: Kind::Redis70, path: older.into() },
        Binary { kind: Kind::Redis82, path: peers.binary(Peer::Redis) },
        Binary { kind: Kind::Valkey91, path: peers.binary(Peer::Valkey) },
    ])
}
