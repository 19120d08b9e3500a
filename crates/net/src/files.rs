//! The limit of open files, and how many clients it leaves room for.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files the server needs besides its clients.
const RESERVED: u64 = 32;

/// What [`raise_open_files`] has achieved.
#[derive(Debug)]
pub struct Adjusted {
    /// How many clients the limit allows for: what was asked for, or less.
    pub max_clients: usize,
    /// How many open files were needed.
    pub needed: u64,
    /// The limit before.
    pub before: u64,
    /// The limit now.
    pub now: u64,
    /// Why the limit could not be raised as far as needed.
    pub error: Option<io::Error>,
}

/// Raises the limit of open files so that `max_clients` clients can connect, as far as the system allows, and says
/// how many can. Zero clients means that the server cannot run at all.
pub fn raise_open_files(max_clients: usize) -> Adjusted {
    let needed = (max_clients as u64).saturating_add(RESERVED);
    let limit = getrlimit(Resource::Nofile);
    // No limit is a very high limit.
    let before = limit.current.unwrap_or(u64::MAX);
    if before >= needed {
        return Adjusted { max_clients, needed, before, now: before, error: None };
    }
    // The hard limit may only be raised by a privileged process; up to it, everybody can go.
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let wanted = Rlimit { current: Some(needed), maximum: limit.maximum.map(|hard| hard.max(needed)) };
    let Err(error) = setrlimit(Resource::Nofile, wanted) else {
        return Adjusted { max_clients, needed, before, now: needed, error: None };
    };
    let reachable = hard.min(needed);
    let fallback = Rlimit { current: Some(reachable), maximum: limit.maximum };
    let now = setrlimit(Resource::Nofile, fallback).map_or(before, |()| reachable);
    let room = usize::try_from(now.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
    Adjusted { max_clients: room.min(max_clients), needed, before, now, error: Some(error.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_left_alone_and_too_much_is_cut() {
        let little = raise_open_files(1);
        assert_eq!((little.max_clients, little.needed, little.before), (1, 33, little.now));
        // More than any kernel allows (fs.nr_open).
        let absurd = raise_open_files(usize::MAX / 2);
        assert!(absurd.error.is_some());
        assert!(absurd.max_clients as u64 + RESERVED <= absurd.now);
    }
}
