//! What has to be looked at for every connection now and then: idle timeouts, soft output limits, buffers larger than
//! needed, peaks. A time event goes through a part of all connections each time, so that each is seen about once a
//! second; few connections are all seen every time.

use std::time::Duration;

use carnelian_reactor::{Reactor, Token};

use crate::config::Class;
use crate::conn::{Closing, ConnId, Reason};
use crate::driver::Driver;
use crate::net::Net;
use crate::output::exceeds_limit;
use crate::service::Service;
use crate::stats::RecentPeak;

/// Fires while there are connections.
pub(crate) const TIMER: Token = Token(0);

/// So many connections are seen every time, if there are as many.
const MIN_VISITS: usize = 5;

/// Where the rounds are.
#[derive(Default)]
pub(crate) struct Upkeep {
    running: bool,
    pub(crate) paused: bool,
    /// The slot that is next.
    cursor: usize,
    input_peak: RecentPeak,
    output_peak: RecentPeak,
}

impl Upkeep {
    /// Starts the rounds, unless they are running.
    pub(crate) fn start(&mut self, reactor: &mut Reactor, hz: u32) {
        if !self.running {
            self.running = true;
            let deadline = reactor.now().after(Duration::from_secs(1) / hz);
            reactor.add_timer(deadline, TIMER);
        }
    }

    pub(crate) fn recent_peaks(&self) -> (u64, u64) {
        (self.input_peak.max(), self.output_peak.max())
    }
}

impl<S: Service> Driver<'_, S> {
    /// Looks at the next part of the connections.
    pub(crate) fn upkeep(&mut self) {
        let net = &mut *self.net;
        if !net.upkeep.paused {
            net.look_at_some();
        }
        net.upkeep.running = false;
        if net.conns.len() > 0 {
            net.upkeep.start(&mut net.reactor, net.config.hz);
        }
    }
}

impl Net {
    fn look_at_some(&mut self) {
        let second = self.now().wall_secs();
        self.upkeep.input_peak.advance(second);
        self.upkeep.output_peak.advance(second);
        let slots = self.conns.slots();
        let visits = slots.div_ceil(self.config.hz as usize).max(MIN_VISITS).min(slots);
        for _ in 0..visits {
            let slot = self.upkeep.cursor % slots;
            self.upkeep.cursor = slot + 1;
            if let Some(id) = self.conns.at(slot).map(|conn| conn.id) {
                self.look_at(id, second);
            }
        }
    }

    fn look_at(&mut self, id: ConnId, second: u64) {
        if self.held == Some(id) {
            return;
        }
        let now_ns = self.now().mono_ns;
        let timeout = self.config.timeout;
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.closing != Closing::Now) else { return };
        self.upkeep.input_peak.note(second, conn.input.capacity() as u64);
        self.upkeep.output_peak.note(second, conn.output.as_ref().map_or(0, |output| output.memory()) as u64);
        let idle = Duration::from_nanos(now_ns.saturating_sub(conn.last_interaction_ns));
        conn.trim_input(idle);
        if exceeds_limit(conn, &self.config, now_ns) {
            self.stats.output_buffer_limit_disconnections += 1;
            self.close_now(id, Reason::OutputLimit);
        } else if !timeout.is_zero() && idle > timeout && conn.class == Class::Normal && !conn.paused {
            self.close_now(id, Reason::Idle);
        }
    }
}
