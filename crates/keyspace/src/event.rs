//! What happened to a key, in the words of keyspace notifications.

/// The notification class of an [`Event`] (the letters of `notify-keyspace-events`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventClass {
    /// `g`: commands that are not specific to a type.
    Generic,
    /// `$`: string commands.
    String,
    /// `l`: list commands.
    List,
    /// `s`: set commands.
    Set,
    /// `h`: hash commands.
    Hash,
    /// `z`: sorted-set commands.
    SortedSet,
    /// `t`: stream commands.
    Stream,
    /// `x`: a key or field whose deadline passed was removed.
    Expired,
    /// `e`: a key was evicted to free memory.
    Evicted,
    /// `n`: a key was created.
    New,
    /// `m`: a read did not find its key.
    Miss,
    /// `o`: a value was replaced as a whole.
    Overwritten,
    /// `c`: a value was replaced by one of another type.
    TypeChanged,
}

/// One event: its class and its name, for example `set` or `expired`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The notification class.
    pub class: EventClass,
    /// The event's name as subscribers see it.
    pub name: &'static str,
}

impl Event {
    /// An event of class [`EventClass::Generic`].
    pub const fn generic(name: &'static str) -> Self {
        Event { class: EventClass::Generic, name }
    }

    /// An event of class [`EventClass::String`].
    pub const fn string(name: &'static str) -> Self {
        Event { class: EventClass::String, name }
    }

    /// An event of class [`EventClass::List`].
    pub const fn list(name: &'static str) -> Self {
        Event { class: EventClass::List, name }
    }

    /// An event of class [`EventClass::Set`].
    pub const fn set(name: &'static str) -> Self {
        Event { class: EventClass::Set, name }
    }

    /// An event of class [`EventClass::Hash`].
    pub const fn hash(name: &'static str) -> Self {
        Event { class: EventClass::Hash, name }
    }

    /// An event of class [`EventClass::SortedSet`].
    pub const fn sorted_set(name: &'static str) -> Self {
        Event { class: EventClass::SortedSet, name }
    }

    /// An event of class [`EventClass::Stream`].
    pub const fn stream(name: &'static str) -> Self {
        Event { class: EventClass::Stream, name }
    }
}

/// A set of classes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EventClasses(u16);

impl EventClasses {
    /// These and one more.
    #[must_use]
    pub const fn with(self, class: EventClass) -> Self {
        EventClasses(self.0 | 1 << class as u16)
    }

    /// Whether a class is one of these.
    pub const fn has(self, class: EventClass) -> bool {
        self.0 & (1 << class as u16) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Events of some classes, in order, until they are handed out.
#[derive(Default)]
pub(crate) struct EventLog {
    pub(crate) classes: EventClasses,
    pub(crate) entries: Vec<(usize, Box<[u8]>, Event)>,
}

impl EventLog {
    /// Appends those events of a key whose class is wanted.
    #[cold]
    pub(crate) fn push(&mut self, db: usize, key: &[u8], events: &[Event]) {
        for event in events.iter().filter(|event| self.classes.has(event.class)) {
            self.entries.push((db, key.into(), *event));
        }
    }
}
