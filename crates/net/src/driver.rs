//! Translates what the reactor reports into what connections do, and ends each turn.

use carnelian_reactor::{Deadline, Handler, Reactor, TimerId, Token};

use crate::accept;
use crate::conn::{Closing, Reason};
use crate::listener::LISTENER_TOKENS;
use crate::net::Net;
use crate::service::Service;
use crate::upkeep;

/// A [`Net`] and its service for the duration of a turn.
pub(crate) struct Driver<'a, S> {
    pub(crate) net: &'a mut Net,
    pub(crate) service: &'a mut S,
}

impl<S: Service> Handler for Driver<'_, S> {
    fn reactor(&mut self) -> &mut Reactor {
        &mut self.net.reactor
    }

    fn readable(&mut self, token: Token) {
        if token.0 >= LISTENER_TOKENS {
            self.accept(token);
        } else if let Some(conn) = self.net.conns.at(token.0)
            && self.net.held != Some(conn.id)
        {
            let id = conn.id;
            self.read(id);
        }
    }

    fn writable(&mut self, token: Token) {
        if let Some(conn) = self.net.conns.at(token.0)
            && conn.write_blocked
        {
            let id = conn.id;
            self.net.write(id);
        }
    }

    fn timer(&mut self, _: TimerId, token: Token) {
        match token {
            upkeep::TIMER => self.upkeep(),
            accept::RETRY_TIMER => self.net.accept_again(),
            other => unreachable!("no such timer: {other:?}"),
        }
    }

    fn woken(&mut self) {
        self.service.woken(self.net);
    }

    fn before_sleep(&mut self) -> Option<Deadline> {
        self.run_resumed();
        let deadline = self.service.before_sleep(self.net);
        // Their commands may want to be heard of again before that.
        let more = !self.net.resumed.is_empty();
        self.run_resumed();
        // Closing one connection may write to others, or close them.
        loop {
            self.net.write_pending();
            self.close_all();
            let held = self.net.held;
            if self.net.pending.is_empty() && self.net.closing.iter().all(|id| Some(*id) == held) {
                break;
            }
        }
        if more || !self.net.resumed.is_empty() { Some(Deadline::IMMEDIATE) } else { deadline }
    }

    fn after_sleep(&mut self) {
        self.service.after_sleep(self.net);
    }
}

impl<S: Service> Driver<'_, S> {
    /// Closes what is due: the only place where connections end. One whose commands are being executed is due later.
    fn close_all(&mut self) {
        for id in std::mem::take(&mut self.net.closing) {
            if self.net.held == Some(id) {
                self.net.closing.push(id);
                continue;
            }
            let Some(conn) = self.net.conns.get(id) else { continue };
            debug_assert_eq!(conn.closing, Closing::Now);
            self.log_reason(id, conn.reason);
            self.service.closed(self.net, id);
            if let Some(conn) = self.net.conns.remove(id)
                && let Some(output) = conn.output
            {
                self.net.replies.give(output);
            }
        }
    }

    fn log_reason(&self, id: crate::ConnId, reason: Reason) {
        match reason {
            Reason::Ordinary => {}
            Reason::Idle => log::debug!("Closing idle client"),
            Reason::OutputLimit => {
                let client = self.service.describe(self.net, id);
                log::warn!(
                    "Client {client} scheduled to be closed ASAP for overcoming of output buffer limits."
                );
            }
            Reason::QueryLimit => {
                let client = self.service.describe(self.net, id);
                let start =
                    self.net.conns.get(id).map_or(&[][..], |conn| &conn.input[..conn.input.len().min(64)]);
                let start = start.escape_ascii();
                log::warn!(
                    "Closing client that reached max query buffer length: {client} (qbuf initial bytes: \"{start}\")"
                );
            }
        }
    }
}
