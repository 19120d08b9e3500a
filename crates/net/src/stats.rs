//! Counters of the network layer.

/// Totals since the start, or since they were last reset.
#[derive(Clone, Debug, Default)]
pub struct NetStats {
    /// Clients admitted.
    pub connections_received: u64,
    /// Clients turned away.
    pub rejected_connections: u64,
    /// Bytes read from clients.
    pub net_input_bytes: u64,
    /// Bytes written to clients.
    pub net_output_bytes: u64,
    /// Reads that brought something.
    pub reads_processed: u64,
    /// Writes that took something.
    pub writes_processed: u64,
    /// Clients closed because of `query_buffer_limit`.
    pub query_buffer_limit_disconnections: u64,
    /// Clients closed because of their output limit.
    pub output_buffer_limit_disconnections: u64,
}

/// The largest of a value over the last seconds: one slot per second.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentPeak {
    slots: [u64; RecentPeak::SECONDS],
    second: u64,
}

impl RecentPeak {
    const SECONDS: usize = 8;

    pub(crate) fn note(&mut self, second: u64, value: u64) {
        self.advance(second);
        let slot = &mut self.slots[second as usize % Self::SECONDS];
        *slot = value.max(*slot);
    }

    /// Forgets the seconds that have become too old at `second`.
    pub(crate) fn advance(&mut self, second: u64) {
        let stale = second.saturating_sub(self.second).min(Self::SECONDS as u64);
        for age in 0..stale {
            self.slots[(second - age) as usize % Self::SECONDS] = 0;
        }
        self.second = self.second.max(second);
    }

    pub(crate) fn max(&self) -> u64 {
        self.slots.into_iter().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_fade_after_their_seconds() {
        let mut peak = RecentPeak::default();
        peak.note(100, 7);
        peak.note(103, 5);
        assert_eq!(peak.max(), 7);
        peak.advance(107);
        assert_eq!(peak.max(), 7);
        peak.advance(108);
        assert_eq!(peak.max(), 5);
        peak.advance(500);
        assert_eq!(peak.max(), 0);
    }
}
