//! CLIENT PAUSE: until when which commands wait, and who waits. Knows neither clients nor commands.

use crate::links::ClientId;

/// A pause, if there is one, and the clients whose next command waits for its end.
#[derive(Default, Debug)]
pub(crate) struct Pauses {
    current: Option<Pause>,
    waiting: Vec<ClientId>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    /// Unix time in milliseconds.
    until: u64,
    /// Whether all commands wait, and not only those that write.
    all: bool,
}

impl Pauses {
    /// Begins a pause, or extends the present one: the later end and the stricter mode win.
    pub(crate) fn begin(&mut self, until: u64, all: bool) {
        let present = self.current.unwrap_or(Pause { until, all });
        self.current = Some(Pause { until: until.max(present.until), all: all || present.all });
    }

    /// Ends the pause; those who wait go on at the end of the turn.
    pub(crate) fn cancel(&mut self) {
        self.current = None;
    }

    /// Whether there is one.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.current.is_some()
    }

    /// Whether a command waits.
    #[inline]
    pub(crate) fn holds(&self, write: bool) -> bool {
        self.current.is_some_and(|pause| pause.all || write)
    }

    /// A client's next command waits.
    pub(crate) fn add(&mut self, id: ClientId) {
        self.waiting.push(id);
    }

    /// A client is gone.
    pub(crate) fn forget(&mut self, id: ClientId) {
        self.waiting.retain(|other| *other != id);
    }

    /// The clients that go on, if there is no pause or it is over by `now`.
    pub(crate) fn end(&mut self, now: u64) -> Vec<ClientId> {
        if self.current.is_some_and(|pause| now < pause.until) {
            return Vec::new();
        }
        self.current = None;
        std::mem::take(&mut self.waiting)
    }

    /// When the pause ends: Unix time in milliseconds.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.current.map(|pause| pause.until)
    }

    /// What is paused: nothing, commands that write, or all; in INFO's words.
    pub(crate) fn actions(&self) -> &'static str {
        match self.current {
            None => "none",
            Some(Pause { all: true, .. }) => "all",
            Some(_) => "write",
        }
    }

    /// How many clients wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_mode_and_the_later_end_win() {
        let mut pauses = Pauses::default();
        assert!(!pauses.holds(true));
        pauses.begin(100, false);
        assert!(pauses.holds(true) && !pauses.holds(false));
        pauses.begin(50, true);
        assert!(pauses.holds(false));
        let id = ClientId { slot: 0, serial: 1 };
        pauses.add(id);
        assert_eq!(pauses.end(99), []);
        assert_eq!(pauses.end(100), [id]);
        assert!(!pauses.holds(true));
    }
}
