//! Directives that the engine acts on, in the form the hot path needs. Knows not where they come from.

use carnelian_config::{Config, Directive};
use carnelian_keyspace::{AccessPolicy, Keyspace};

use crate::commandlog::Thresholds;

const LATENCY_TRACKING: Directive = Directive::named("latency-tracking");
const MAXMEMORY_POLICY: Directive = Directive::named("maxmemory-policy");
const LFU_LOG_FACTOR: Directive = Directive::named("lfu-log-factor");
const LFU_DECAY_TIME: Directive = Directive::named("lfu-decay-time");

/// Values derived from the configuration.
pub(crate) struct Settings {
    /// Whether the duration of every command enters a histogram.
    pub(crate) latency_tracking: bool,
    /// From which values on commands enter the command logs.
    pub(crate) log_thresholds: Thresholds,
    access: AccessPolicy,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        let small = |directive| u32::try_from(config.size(directive)).unwrap_or(u32::MAX);
        Settings {
            latency_tracking: config.flag(LATENCY_TRACKING),
            log_thresholds: Thresholds::new(config),
            access: match config.word(MAXMEMORY_POLICY).ends_with("-lfu") {
                true => AccessPolicy::Frequency {
                    log_factor: small(LFU_LOG_FACTOR),
                    decay_minutes: small(LFU_DECAY_TIME),
                },
                false => AccessPolicy::Recency,
            },
        }
    }

    /// Takes over changed values.
    pub(crate) fn reload(&mut self, config: &Config, keyspace: &mut Keyspace) {
        *self = Settings::new(config);
        self.apply_to(keyspace);
    }

    /// Tells the keyspace what concerns it.
    pub(crate) fn apply_to(&self, keyspace: &mut Keyspace) {
        keyspace.set_access_policy(self.access);
    }
}
