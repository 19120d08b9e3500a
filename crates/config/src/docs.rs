//! docs/config.md, derived from the table.

use std::fmt::Write;

use crate::table::{Effect, Kind, ROWS, Row, Unit};

/// The page.
pub fn markdown() -> String {
    let acting = ROWS.iter().filter(|row| row.effect == Effect::Acts).count();
    let mut page = format!(
        "# Directives\n\n\
         Generated from `crates/config/src/table.rs`; do not edit.\n\n\
         All {} directives of Redis 8.2.3 and Valkey 9.1.2 are known; {acting} of them act in this version. The others \
         are validated and kept, so that files and tools written for the peers work, and so that a wrong name or value \
         is always refused.\n\n\
         *startup*: set by the file or the command line only. *protected*: CONFIG SET needs \
         `enable-protected-configs`. *hidden*: CONFIG GET shows it for its exact name only.\n\n\
         | directive | value | default | notes | acts |\n\
         |---|---|---|---|---|\n",
        ROWS.len()
    );
    for row in ROWS {
        let acts = if row.effect == Effect::Acts { "yes" } else { "" };
        let default = if row.default.is_empty() { "(empty)".into() } else { format!("`{}`", row.default) };
        writeln!(page, "| `{}` | {} | {default} | {} | {acts} |", row.name, describe(row), notes(row))
            .expect("writing to a string does not fail");
    }
    page
}

fn describe(row: &Row) -> String {
    match row.kind {
        Kind::Bool => "yes or no".into(),
        Kind::OneOf { words, .. } => words.join(", "),
        Kind::FlagSet(words) => format!("any of {}", words.join(", ")),
        Kind::Number { min, max, unit, .. } => {
            let name = match unit {
                Unit::Plain => "integer",
                Unit::Memory => "memory",
                Unit::MemoryOrPercent => "memory or percent",
                Unit::Octal => return format!("octal, {min:o} to {max:o}"),
            };
            format!("{name}, {}", describe_range(min, max))
        }
        Kind::Text(_) => "text".into(),
        Kind::Save => "seconds and changes, repeated".into(),
        Kind::OutputLimits => "class, hard, soft and soft seconds, repeated".into(),
        Kind::OomScores => "three scores".into(),
        Kind::KeyspaceEvents => "letters of `Ag$lshzxeKEtmdn`".into(),
        Kind::Bind => "addresses".into(),
        Kind::ReplicaOf => "host and port, or `no one`".into(),
        Kind::Percentiles => "percentiles".into(),
    }
}

fn describe_range(min: i128, max: i128) -> String {
    match (min <= i32::MIN.into(), max >= i32::MAX.into()) {
        (true, true) => "any".into(),
        (false, true) => format!("from {min}"),
        _ => format!("{min} to {max}"),
    }
}

fn notes(row: &Row) -> String {
    let mut notes: Vec<String> = Vec::new();
    for (set, note) in [(row.immutable, "startup"), (row.protected, "protected"), (row.hidden, "hidden")] {
        if set {
            notes.push(note.into());
        }
    }
    notes.extend(row.aliases.iter().map(|alias| format!("also `{alias}`")));
    notes.join(", ")
}
