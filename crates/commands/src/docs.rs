//! docs/commands.md, derived from the rows.

use std::fmt::Write as _;

use crate::row::Row;
use crate::syntax;
use crate::table::Table;

/// Every command and subcommand by group, with its arguments, its first version and what it does.
pub fn markdown() -> String {
    let table = Table::new();
    let mut rows: Vec<(&str, &str, &Row)> = (0..table.len())
        .filter(|id| table.command(*id).row.subcommands.is_empty() || table.command(*id).row.accepts(1))
        .map(|id| (table.command(id).row.group.name(), table.name(id), table.command(id).row))
        .collect();
    rows.sort_by_key(|(group, name, _)| (*group, *name));
    let mut text = String::from("# Commands\n\nGenerated from the rows in crates/commands; do not edit.\n");
    let mut last = "";
    for (group, name, row) in rows {
        if group != last {
            write!(text, "\n## {group}\n\n| command | since | |\n|---|---|---|\n")
                .expect("a string accepts all text");
            last = group;
        }
        let arguments = syntax::render(&syntax::parse(row.syntax));
        let form = format!("{} {arguments}", name.to_uppercase().replace('|', " "));
        let form = form.trim_end().replace('|', "\\|");
        writeln!(text, "| `{form}` | {} | {} |", row.since, row.summary).expect("a string accepts all text");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_group_has_a_table() {
        let text = super::markdown();
        assert!(text.contains("\n## string\n\n| command | since | |\n"), "{text}");
        assert!(text.contains("| `CONFIG GET parameter [parameter ...]` | 2.0.0 |"), "{text}");
        assert!(text.contains("| `CLIENT PAUSE timeout [WRITE\\|ALL]` |"), "{text}");
    }
}
