//! Checks of single lines.

use super::Repository;

/// Files that may call what clippy disallows: they own time, files or the process.
const MAY_CALL: [&str; 16] = [
    "bins/server/src/cli.rs",
    "bins/server/src/daemon.rs",
    "bins/server/src/links.rs",
    "bins/server/src/logging.rs",
    "bins/server/src/process.rs",
    "bins/server/src/rewrite.rs",
    "bins/server/src/signals.rs",
    "bins/server/src/title.rs",
    "bins/xtask/src/main.rs",
    "crates/keyspace/src/reaper.rs",
    "crates/persistence/src/aof/writer.rs",
    "crates/persistence/src/aof/writer/tests.rs",
    "crates/persistence/src/disk.rs",
    "crates/persistence/src/disk/faulty.rs",
    "crates/reactor/src/clock.rs",
    "crates/testkit/src/lib.rs",
];
/// Files that may contain unsafe code, each behind a safe interface.
const MAY_BE_UNSAFE: [&str; 15] = [
    "crates/keyspace/src/db.rs",
    "crates/keyspace/src/dense.rs",
    "crates/keyspace/src/entry.rs",
    "crates/keyspace/src/pages.rs",
    "crates/keyspace/src/slab.rs",
    "crates/keyspace/src/snapshot/open.rs",
    "crates/keyspace/src/table.rs",
    "crates/keyspace/src/types/hash/fields.rs",
    "crates/keyspace/src/types/set/members.rs",
    "crates/keyspace/src/types/zset/large.rs",
    "crates/keyspace/src/value.rs",
    "crates/reactor/src/poll.rs",
    "crates/scripting/src/lua.rs",
    "crates/scripting/src/lua/guard.rs",
    "crates/scripting/src/lua/memory.rs",
];
/// Written in two parts, so that this file does not contain them.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/opt/", "peers"),
    concat!("/Us", "ers/"),
];

pub(crate) fn allowances(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let needle = concat!("clippy::", "disallowed_methods");
    Ok(lines_with(repository, |path, line| {
        line.contains(needle) && !MAY_CALL.contains(&path) && !is_test_file(path) && is_of_workspace(path)
    }))
}

pub(crate) fn unsafe_code(repository: &Repository) -> anyhow::Result<Vec<String>> {
    Ok(lines_with(repository, |path, line| {
        is_of_workspace(path)
            && has_word(code_of(line), concat!("un", "safe"))
            && !MAY_BE_UNSAFE.contains(&path)
    }))
}

pub(crate) fn kept_dead_code(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let needles =
        [concat!("allow(", "dead_code"), concat!("allow(", "unused"), concat!("expect(", "dead_code")];
    Ok(lines_with(repository, |_, line| needles.iter().any(|needle| line.contains(needle))))
}

pub(crate) fn unexplained_ignores(repository: &Repository) -> anyhow::Result<Vec<String>> {
    Ok(lines_with(repository, |_, line| line.trim() == concat!("#[", "ignore]")))
}

pub(crate) fn machine_paths(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let found = |(path, text): &(String, String)| {
        let has = |line: &str| MACHINE_PATHS.iter().any(|machine| line.contains(machine));
        text.lines().position(has).map(|at| format!("{path}:{}", at + 1))
    };
    Ok(repository.files.iter().filter_map(found).collect())
}

fn lines_with(repository: &Repository, is_wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in repository.sources() {
        let wrong = text.lines().enumerate().filter(|(_, line)| is_wrong(path, line));
        findings.extend(wrong.map(|(index, line)| format!("{path}:{}: {}", index + 1, line.trim())));
    }
    findings
}

/// benches/ and fuzz/ measure, and never are part of the server.
fn is_of_workspace(path: &str) -> bool {
    path.starts_with("crates/") || path.starts_with("bins/")
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.contains("/examples/") || path.ends_with("/testing.rs")
}

/// The line without its comment and without strings; good enough for lines that rustfmt has formatted.
fn code_of(line: &str) -> &str {
    let code = line.split("//").next().unwrap_or(line);
    code.split('"').next().unwrap_or(code)
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// A source without its module of tests, which by custom ends the file.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_code_only() {
        let word = concat!("un", "safe");
        assert!(has_word(code_of(&format!("    {word} {{ x }}")), word));
        assert!(!has_word(code_of(&format!("// {word} is denied")), word));
        assert!(!has_word(code_of(&format!("#![forbid({word}_code)]")), word));
        assert!(!has_word(code_of(&format!("let x = \"{word} y\";")), word));
    }

    #[test]
    fn tests_are_cut_off() {
        assert_eq!(without_tests("fn a() {}\n#[cfg(test)]\nmod tests {\n}\n"), "fn a() {}\n");
    }
}
