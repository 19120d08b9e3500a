//! A command is one row and one function: its name appears in one source file, that of its row.

use std::collections::BTreeMap;

use super::Repository;
use super::text::without_tests;

const COMMANDS: &str = "crates/commands/src/";
/// Shorter names are also words of options, of events or of subcommands.
const SHORTEST: usize = 6;
/// Longer names that are also words of options (GETEX PERSIST, HELLO SETNAME, FUNCTION RESTORE APPEND), of events or of other things.
const WORDS: [&str; 15] = [
    "append", "client", "command", "config", "encoding", "expire", "idletime", "incrby", "memory", "object",
    "persist", "pubsub", "select", "setname", "stream",
];

pub(crate) fn repeated(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let sources: Vec<(&str, &str)> = repository
        .sources()
        .filter(|(path, _)| {
            path.starts_with(COMMANDS) && !path.ends_with("/tests.rs") && !path.contains("/tests/")
        })
        .map(|(path, text)| (path, without_tests(text)))
        .collect();
    Ok(findings(&sources))
}

fn findings(sources: &[(&str, &str)]) -> Vec<String> {
    let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, text) in sources {
        for name in row_names(text).filter(|name| name.len() >= SHORTEST && !WORDS.contains(name)) {
            rows.entry(name).or_default().push(path);
        }
    }
    let mut findings = Vec::new();
    for (name, homes) in rows {
        let literals = [format!("\"{name}\""), format!("\"{}\"", name.to_uppercase())];
        for (path, text) in sources {
            let is_home = homes.contains(path);
            // The event of a command has its name, whichever command of a family fires it.
            let mut lines = text.lines().filter(|line| !line.contains("Event::"));
            // Capitals in bytes are the effect of another command.
            let names = |line: &str| {
                literals
                    .iter()
                    .any(|literal| line.replace(&format!("b{}", literals[1]), "").contains(literal))
            };
            if !is_home && lines.any(names) {
                findings.push(format!("{path}: {name}, whose row is in {}", homes.join(", ")));
            }
        }
    }
    findings
}

/// The names in lines such as `name: "get",`.
fn row_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","))
}

#[cfg(test)]
mod tests {
    use super::findings;

    #[test]
    fn a_second_mention_is_found() {
        let row = ("a.rs", "Row {\n    name: \"getrange\",\n}");
        assert_eq!(findings(&[row, ("b.rs", "x")]), [""; 0]);
        assert_eq!(findings(&[row, ("b.rs", "b\"getrange\"")]).len(), 1);
        assert_eq!(findings(&[row, ("b.rs", "is(name, \"GETRANGE\")")]).len(), 1);
    }

    #[test]
    fn an_effect_may_name_another_command() {
        let row = ("a.rs", "Row {\n    name: \"getrange\",\n}");
        assert_eq!(findings(&[row, ("b.rs", "cx.effect(&[b\"GETRANGE\", key])")]), [""; 0]);
    }
}
