//! Directives that the engine acts on, in the form the hot path needs. Knows not where they come from.

use carnelian_config::{Config, Directive};
use carnelian_keyspace::{AccessPolicy, EventClass, EventClasses, Keyspace, Limits};

use crate::commandlog::Thresholds;
use crate::effects::Removals;

const LATENCY_TRACKING: Directive = Directive::named("latency-tracking");
const MAXMEMORY_POLICY: Directive = Directive::named("maxmemory-policy");
const LFU_LOG_FACTOR: Directive = Directive::named("lfu-log-factor");
const LFU_DECAY_TIME: Directive = Directive::named("lfu-decay-time");
const LAZY_EXPIRE: Directive = Directive::named("lazyfree-lazy-expire");
const LAZY_SERVER_DEL: Directive = Directive::named("lazyfree-lazy-server-del");
const LIST_MAX_LISTPACK_SIZE: Directive = Directive::named("list-max-listpack-size");
const HASH_MAX_LISTPACK_ENTRIES: Directive = Directive::named("hash-max-listpack-entries");
const HASH_MAX_LISTPACK_VALUE: Directive = Directive::named("hash-max-listpack-value");
const SET_MAX_INTSET_ENTRIES: Directive = Directive::named("set-max-intset-entries");
const SET_MAX_LISTPACK_ENTRIES: Directive = Directive::named("set-max-listpack-entries");
const SET_MAX_LISTPACK_VALUE: Directive = Directive::named("set-max-listpack-value");
const ZSET_MAX_LISTPACK_ENTRIES: Directive = Directive::named("zset-max-listpack-entries");
const ZSET_MAX_LISTPACK_VALUE: Directive = Directive::named("zset-max-listpack-value");
const STREAM_NODE_MAX_BYTES: Directive = Directive::named("stream-node-max-bytes");
const STREAM_NODE_MAX_ENTRIES: Directive = Directive::named("stream-node-max-entries");

/// Values derived from the configuration.
pub(crate) struct Settings {
    /// Whether the duration of every command enters a histogram.
    pub(crate) latency_tracking: bool,
    /// From which values on commands enter the command logs.
    pub(crate) log_thresholds: Thresholds,
    /// Whether keyspace events go to the channels of their keys, and to those of their names.
    pub(crate) event_channels: (bool, bool),
    /// By which commands keys are removed in the stream of effects.
    pub(crate) removals: Removals,
    access: AccessPolicy,
    limits: Limits,
    events: EventClasses,
}

/// The classes of keyspace events and their letters. No event has the class `d`, for modules.
const EVENT_CLASSES: [(u8, EventClass); 13] = [
    (b'g', EventClass::Generic),
    (b'$', EventClass::String),
    (b'l', EventClass::List),
    (b's', EventClass::Set),
    (b'h', EventClass::Hash),
    (b'z', EventClass::SortedSet),
    (b't', EventClass::Stream),
    (b'x', EventClass::Expired),
    (b'e', EventClass::Evicted),
    (b'n', EventClass::New),
    (b'm', EventClass::Miss),
    (b'o', EventClass::Overwritten),
    (b'c', EventClass::TypeChanged),
];

/// The classes of events that anybody can be notified of.
fn event_classes(config: &Config) -> EventClasses {
    let events = config.keyspace_events();
    if !events.has(b'K') && !events.has(b'E') {
        return EventClasses::default();
    }
    let wanted = EVENT_CLASSES.iter().filter(|(letter, _)| events.has(*letter));
    wanted.fold(EventClasses::default(), |classes, (_, class)| classes.with(*class))
}

/// Up to which sizes collections stay packed.
fn limits(config: &Config) -> Limits {
    let size = |directive| usize::try_from(config.size(directive)).unwrap_or(usize::MAX);
    Limits {
        list_max_listpack_size: config.int(LIST_MAX_LISTPACK_SIZE),
        list_plain_threshold: 0,
        hash_max_listpack_entries: size(HASH_MAX_LISTPACK_ENTRIES),
        hash_max_listpack_value: size(HASH_MAX_LISTPACK_VALUE),
        set_max_intset_entries: size(SET_MAX_INTSET_ENTRIES),
        set_max_listpack_entries: size(SET_MAX_LISTPACK_ENTRIES),
        set_max_listpack_value: size(SET_MAX_LISTPACK_VALUE),
        zset_max_listpack_entries: size(ZSET_MAX_LISTPACK_ENTRIES),
        zset_max_listpack_value: size(ZSET_MAX_LISTPACK_VALUE),
        stream_node_max_bytes: size(STREAM_NODE_MAX_BYTES),
        stream_node_max_entries: size(STREAM_NODE_MAX_ENTRIES),
    }
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        let small = |directive| u32::try_from(config.size(directive)).unwrap_or(u32::MAX);
        let events = config.keyspace_events();
        Settings {
            event_channels: (events.has(b'K'), events.has(b'E')),
            events: event_classes(config),
            removals: Removals::new(config.flag(LAZY_EXPIRE), config.flag(LAZY_SERVER_DEL)),
            latency_tracking: config.flag(LATENCY_TRACKING),
            log_thresholds: Thresholds::new(config),
            access: match config.word(MAXMEMORY_POLICY).ends_with("-lfu") {
                true => AccessPolicy::Frequency {
                    log_factor: small(LFU_LOG_FACTOR),
                    decay_minutes: small(LFU_DECAY_TIME),
                },
                false => AccessPolicy::Recency,
            },
            limits: limits(config),
        }
    }

    /// Takes over changed values.
    pub(crate) fn reload(&mut self, config: &Config, keyspace: &mut Keyspace) {
        let list_plain_threshold = self.limits.list_plain_threshold;
        *self = Settings::new(config);
        self.limits.list_plain_threshold = list_plain_threshold;
        self.apply_to(keyspace);
    }

    /// Sets from which size on elements of lists stand alone; see [`Limits::list_plain_threshold`].
    pub(crate) fn set_list_plain_threshold(&mut self, bytes: usize, keyspace: &mut Keyspace) {
        self.limits.list_plain_threshold = bytes;
        self.apply_to(keyspace);
    }

    /// Tells the keyspace what concerns it.
    pub(crate) fn apply_to(&self, keyspace: &mut Keyspace) {
        keyspace.set_access_policy(self.access);
        keyspace.set_limits(self.limits);
        keyspace.set_event_classes(self.events);
    }
}
