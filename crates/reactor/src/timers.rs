//! Time events, ordered by deadline.

use std::collections::BTreeMap;

use crate::{Deadline, Token};

/// Names one pending time event. Identifiers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimerId {
    deadline: Deadline,
    sequence: u64,
}

/// All pending time events: ordered by deadline, and among equals by the order of their creation.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    pending: BTreeMap<TimerId, Token>,
    next_sequence: u64,
}

impl Timers {
    pub(crate) fn add(&mut self, deadline: Deadline, token: Token) -> TimerId {
        let id = TimerId { deadline, sequence: self.next_sequence };
        self.next_sequence += 1;
        self.pending.insert(id, token);
        id
    }

    /// Whether the event was still pending.
    pub(crate) fn cancel(&mut self, id: TimerId) -> bool {
        self.pending.remove(&id).is_some()
    }

    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        self.pending.first_key_value().map(|(id, _)| id.deadline)
    }

    /// Events created from now on belong to the next turn: see [`Timers::pop_due`].
    pub(crate) fn horizon(&self) -> u64 {
        self.next_sequence
    }

    /// Removes the first event that is due at `now`, unless it was created at or after the `horizon`: a handler
    /// that reschedules itself into the past must not hold the loop.
    pub(crate) fn pop_due(&mut self, now: Deadline, horizon: u64) -> Option<(TimerId, Token)> {
        let due = self.pending.iter().take_while(|(id, _)| id.deadline <= now);
        let (&id, &token) = due.into_iter().find(|(id, _)| id.sequence < horizon)?;
        self.pending.remove(&id);
        Some((id, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_and_once() {
        let mut timers = Timers::default();
        let late = timers.add(Deadline(30), Token(3));
        timers.add(Deadline(10), Token(1));
        timers.add(Deadline(10), Token(2));
        assert_eq!(timers.next_deadline(), Some(Deadline(10)));
        let horizon = timers.horizon();
        assert_eq!(timers.pop_due(Deadline(9), horizon), None);
        assert_eq!(timers.pop_due(Deadline(10), horizon).map(|(_, t)| t), Some(Token(1)));
        assert_eq!(timers.pop_due(Deadline(10), horizon).map(|(_, t)| t), Some(Token(2)));
        assert_eq!(timers.pop_due(Deadline(10), horizon), None);
        assert!(timers.cancel(late));
        assert!(!timers.cancel(late), "cancelled only once");
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn a_rescheduled_event_waits_for_the_next_turn() {
        let mut timers = Timers::default();
        timers.add(Deadline(10), Token(1));
        let horizon = timers.horizon();
        timers.add(Deadline(5), Token(2));
        assert_eq!(timers.pop_due(Deadline(20), horizon).map(|(_, t)| t), Some(Token(1)));
        assert_eq!(timers.pop_due(Deadline(20), horizon), None);
        assert_eq!(timers.pop_due(Deadline(20), timers.horizon()).map(|(_, t)| t), Some(Token(2)));
    }
}
