//! The values in force, and CONFIG GET and CONFIG SET on them.

use std::borrow::Cow;

use crate::file::Declaration;
use crate::glob;
use crate::table::{Directive, Kind, Row};
use crate::value::{ClientClass, KeyspaceEvents, OutputLimit, SavePoint, ShutdownFlags, Value};

/// All values.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    values: Vec<Value>,
    pub(crate) users: Vec<Declaration>,
    pub(crate) renamed_commands: Vec<Declaration>,
}

/// What a caller of CONFIG SET may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access {
    /// Protected directives may be set by this client: see `enable-protected-configs`.
    pub protected: bool,
    /// A dataset is loading.
    pub loading: bool,
}

/// One directive that was set, for the caller to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which one.
    pub directive: Directive,
    /// The value before.
    pub old: Value,
}

/// Why CONFIG SET was refused. Its text is what follows `ERR `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is no such directive.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// A directive or its value was refused.
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Refused {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A dataset is loading; the reply is the usual `-LOADING` one.
    #[error("the dataset is loading")]
    Loading,
}

impl SetError {
    /// The error for a change that passed all checks here, and which its subsystem refused.
    pub fn apply(directive: Directive, reason: impl Into<String>) -> Self {
        SetError::Refused { name: directive.name().into(), reason: reason.into() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// All defaults.
    pub fn new() -> Self {
        Config {
            values: Directive::all().map(|directive| Value::default_of(directive.row())).collect(),
            users: Vec::new(),
            renamed_commands: Vec::new(),
        }
    }

    /// The value of any directive.
    pub fn value(&self, directive: Directive) -> &Value {
        &self.values[directive.index()]
    }

    /// The value of a `yes` or `no` directive.
    ///
    /// # Panics
    /// If it is of another kind; so do the other typed reads.
    pub fn flag(&self, directive: Directive) -> bool {
        let Value::Bool(value) = self.value(directive) else { wrong_kind(directive) };
        *value
    }

    /// The value of a number; what is above the largest `i64` is that one. A percentage is negative.
    pub fn int(&self, directive: Directive) -> i64 {
        let Value::Number(value) = self.value(directive) else { wrong_kind(directive) };
        i64::try_from(*value).unwrap_or(i64::MAX)
    }

    /// The value of a number that is not negative, such as bytes; 0 for a negative one.
    pub fn size(&self, directive: Directive) -> u64 {
        let Value::Number(value) = self.value(directive) else { wrong_kind(directive) };
        u64::try_from(*value).unwrap_or(0)
    }

    /// The word of an enumeration.
    pub fn word(&self, directive: Directive) -> &'static str {
        match (self.value(directive), directive.row().kind) {
            (Value::Word(word), Kind::OneOf { words, .. }) => words[*word],
            _ => wrong_kind(directive),
        }
    }

    /// The value of a text.
    pub fn text(&self, directive: Directive) -> &[u8] {
        let Value::Text(value) = self.value(directive) else { wrong_kind(directive) };
        value
    }

    /// `save`.
    pub fn save_points(&self) -> &[SavePoint] {
        const SAVE: Directive = Directive::named("save");
        let Value::Save(points) = self.value(SAVE) else { wrong_kind(SAVE) };
        points
    }

    /// `client-output-buffer-limit` of one class.
    pub fn output_limit(&self, class: ClientClass) -> OutputLimit {
        const LIMITS: Directive = Directive::named("client-output-buffer-limit");
        let Value::OutputLimits(limits) = self.value(LIMITS) else { wrong_kind(LIMITS) };
        limits[class as usize]
    }

    /// `bind`. An address that starts with `-` may be unavailable; `*` is any address. Empty: no TCP at all.
    pub fn bind(&self) -> &[Vec<u8>] {
        const BIND: Directive = Directive::named("bind");
        let Value::Bind(addresses) = self.value(BIND) else { wrong_kind(BIND) };
        addresses
    }

    /// `notify-keyspace-events`.
    pub fn keyspace_events(&self) -> KeyspaceEvents {
        const EVENTS: Directive = Directive::named("notify-keyspace-events");
        let Value::KeyspaceEvents(events) = self.value(EVENTS) else { wrong_kind(EVENTS) };
        *events
    }

    /// `latency-tracking-info-percentiles`.
    pub fn latency_percentiles(&self) -> &[f64] {
        const PERCENTILES: Directive = Directive::named("latency-tracking-info-percentiles");
        let Value::Percentiles(percentiles) = self.value(PERCENTILES) else { wrong_kind(PERCENTILES) };
        percentiles
    }

    /// `replicaof`: host and port.
    pub fn replicaof(&self) -> Option<(&[u8], u16)> {
        const REPLICAOF: Directive = Directive::named("replicaof");
        let Value::ReplicaOf(primary) = self.value(REPLICAOF) else { wrong_kind(REPLICAOF) };
        primary.as_ref().map(|(host, port)| (host.as_slice(), *port))
    }

    /// `shutdown-on-sigterm` or `shutdown-on-sigint`.
    pub fn shutdown_flags(&self, directive: Directive) -> ShutdownFlags {
        let Value::Words(bits) = self.value(directive) else { wrong_kind(directive) };
        ShutdownFlags::from_bits(*bits)
    }

    /// The `user` lines of the files, for whoever owns the users to read.
    pub fn user_lines(&self) -> &[Declaration] {
        &self.users
    }

    /// The `rename-command` lines of the files.
    pub fn renamed_commands(&self) -> &[Declaration] {
        &self.renamed_commands
    }

    /// A directive as CONFIG GET prints it.
    pub fn print(&self, directive: Directive) -> Vec<u8> {
        self.value(directive).print(directive.row())
    }

    /// CONFIG GET: each name that one of the patterns matches, once. A pattern without wildcards is a name, which is
    /// answered as it was spelled, and the only way to see a hidden directive.
    pub fn get<'a>(&self, patterns: &[&'a [u8]]) -> Vec<(Cow<'a, [u8]>, Vec<u8>)> {
        let mut found: Vec<(Cow<'a, [u8]>, Vec<u8>)> = Vec::new();
        let mut add = |name: Cow<'a, [u8]>, directive: Directive| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                found.push((name, self.print(directive)));
            }
        };
        for &pattern in patterns {
            if !glob::is_pattern(pattern) {
                if let Some(directive) = Directive::find(pattern) {
                    add(Cow::Borrowed(pattern), directive);
                }
                continue;
            }
            for directive in Directive::all().filter(|directive| !directive.row().hidden) {
                for name in names(directive.row()).filter(|name| glob::matches(pattern, name.as_bytes())) {
                    add(Cow::Borrowed(name.as_bytes()), directive);
                }
            }
        }
        found
    }

    /// CONFIG SET: all pairs of name and value, or none. Returns what changed, in order.
    ///
    /// # Errors
    /// The first pair that is refused.
    pub fn set_many(&mut self, pairs: &[(&[u8], &[u8])], access: Access) -> Result<Vec<Change>, SetError> {
        let directives = self.settable(pairs, access)?;
        let mut changes = Vec::new();
        for (&directive, &(name, value)) in directives.iter().zip(pairs) {
            let row = directive.row();
            let args: Vec<&[u8]> =
                if row.kind.is_multi_arg() { value.split(|&c| c == b' ').collect() } else { vec![value] };
            match Value::parse(row, &args, self.value(directive)) {
                Ok(new) => changes.extend(self.replace(directive, new)),
                Err(reason) => {
                    self.revert(changes);
                    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                    return Err(SetError::Refused { name, reason });
                }
            }
        }
        Ok(changes)
    }

    /// The directives of the pairs, if all of them may be set.
    fn settable(&self, pairs: &[(&[u8], &[u8])], access: Access) -> Result<Vec<Directive>, SetError> {
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut directives = Vec::new();
        for &(name, _) in pairs {
            // Errors show names up to a NUL.
            let shown = || {
                let visible = name.split(|byte| *byte == 0).next().unwrap_or_default();
                String::from_utf8_lossy(visible).into_owned()
            };
            let refused = |reason: &str| SetError::Refused { name: shown(), reason: reason.into() };
            let directive = Directive::find(name).ok_or_else(|| SetError::Unknown(shown()))?;
            let row = directive.row();
            if row.immutable {
                return Err(refused("can't set immutable config"));
            }
            if row.protected && !access.protected {
                return Err(refused("can't set protected config"));
            }
            if row.deny_loading && access.loading {
                return Err(SetError::Loading);
            }
            if seen.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(refused("duplicate parameter"));
            }
            seen.push(name);
            directives.push(directive);
        }
        Ok(directives)
    }

    /// Puts the old values back, last change first.
    pub fn revert(&mut self, changes: Vec<Change>) {
        for change in changes.into_iter().rev() {
            self.values[change.directive.index()] = change.old;
        }
    }

    /// Sets one directive to what the server found out or was told by other means than CONFIG SET: the working
    /// directory, a `maxclients` lowered to the open-files limit, REPLICAOF. Mutability is not checked.
    ///
    /// # Errors
    /// Why the arguments are no value of the directive.
    pub fn assign(&mut self, directive: Directive, args: &[&[u8]]) -> Result<Option<Change>, String> {
        let value = Value::parse(directive.row(), args, self.value(directive))?;
        Ok(self.replace(directive, value))
    }

    pub(crate) fn replace(&mut self, directive: Directive, new: Value) -> Option<Change> {
        let old = std::mem::replace(&mut self.values[directive.index()], new);
        let changed = directive.row().volatile || old != self.values[directive.index()];
        changed.then_some(Change { directive, old })
    }
}

fn names(row: &'static Row) -> impl Iterator<Item = &'static str> {
    std::iter::once(row.name).chain(row.aliases.iter().copied())
}

fn wrong_kind(directive: Directive) -> ! {
    panic!("'{}' is read as a kind it is not", directive.name())
}
