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
