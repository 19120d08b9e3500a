//! Where the real servers are that serve as oracles.

use std::path::{Path, PathBuf};

/// The servers whose replies are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Redis 8.2, whose behaviour is the reference.
    Redis,
    /// Valkey 9.1, the reference for what only Valkey has.
    Valkey,
}

impl Peer {
    /// Both, in the order of recordings.
    pub const ALL: [Peer; 2] = [Peer::Redis, Peer::Valkey];

    fn file_name(self) -> &'static str {
        match self {
            Peer::Redis => "redis-server-8.2",
            Peer::Valkey => "valkey-server-9.1",
        }
    }
}

/// The directory that holds the peers: `bin/redis-server-8.2` and `bin/valkey-server-9.1`.
#[derive(Clone, Debug)]
pub struct Peers {
    directory: PathBuf,
}

impl Peers {
    /// The peers below `directory`; fails with the name of what is missing.
    pub fn at(directory: &Path) -> Result<Self, String> {
        let peers = Self { directory: directory.to_owned() };
        for peer in Peer::ALL {
            let path = peers.binary(peer);
            if !path.is_file() {
                return Err(format!(
                    "no {} (name the peers' directory with PEERS or --peers)",
                    path.display()
                ));
            }
        }
        Ok(peers)
    }

    /// The directory named by `PEERS` in the environment, else `target/peers`.
    pub fn from_env() -> Result<Self, String> {
        let directory = std::env::var_os("PEERS").unwrap_or_else(|| "target/peers".into());
        Self::at(Path::new(&directory))
    }

    /// The path of one peer's binary.
    pub fn binary(&self, peer: Peer) -> PathBuf {
        self.directory.join("bin").join(peer.file_name())
    }
}
