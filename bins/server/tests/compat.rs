//! Plays the recorded cases against the real binary, in RESP2 and RESP3, and compares every reply with what the
//! real servers gave.
//!
//! Redis is the reference. Valkey's recording is used where Redis lacks the command, and for whole files that say
//! `!oracle valkey`. Deliberate differences are listed, with reasons, in `differences.txt`.
//! `SERVER_UNDER_TEST` names another binary to play them against.

#![expect(clippy::disallowed_methods, reason = "cases and recordings are files")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use carnelian_testkit::differences::{self, Difference};
use carnelian_testkit::recording::{self, Recording};
use carnelian_testkit::script::Script;
use carnelian_testkit::{Peer, ServerOptions, play};

/// More failures of one group say nothing new.
const SHOWN: usize = 40;

/// A test per directory of cases.
macro_rules! groups {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                play_group(stringify!($name));
            }
        )*
        const GROUPS: &[&str] = &[$(stringify!($name)),*];
    };
}

groups! {
    bitmaps
    connection
    generic
    geo
    hashes
    hyperloglogs
    lists
    pubsub
    scripting
    server
    sets
    sort
    sorted_sets
    streams
    strings
    tracking
    transactions
}

#[test]
fn every_group_has_a_test() {
    let groups: BTreeSet<String> = fs::read_dir(tests_directory().join("cases"))
        .expect("the cases are there")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    assert_eq!(groups, GROUPS.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn every_deliberate_difference_names_a_step() {
    for difference in deliberate_differences() {
        let path = tests_directory().join("cases").join(&difference.case);
        let script = Script::parse(&read(&path)).expect("a valid script");
        assert!(
            script.steps.iter().any(|step| step.text == difference.step),
            "differences.txt: {} has no line {:?}",
            difference.case,
            difference.step
        );
    }
}

fn tests_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn deliberate_differences() -> Vec<Difference> {
    differences::parse(&read(&tests_directory().join("differences.txt"))).expect("a valid list")
}

fn play_group(group: &str) {
    let differences = deliberate_differences();
    let mut files: Vec<PathBuf> = fs::read_dir(tests_directory().join("cases").join(group))
        .expect("the group is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .collect();
    files.sort();
    let mut failures: Vec<String> =
        files.iter().flat_map(|path| Case::load(path).play(&differences)).collect();
    let count = failures.len();
    failures.truncate(SHOWN);
    assert!(count == 0, "{count} replies differ\n\n{}", failures.join("\n\n"));
}

/// A script with its recording.
struct Case {
    /// Relative to the cases' directory, with `/`.
    name: String,
    script: Script,
    recording: Recording,
}

impl Case {
    fn load(path: &Path) -> Self {
        let parts: Vec<&str> =
            path.iter().rev().take(2).map(|part| part.to_str().expect("UTF-8 names")).collect();
        let name = format!("{}/{}", parts[1], parts[0]);
        let script = Script::parse(&read(path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let recording = Recording::parse(&read(&path.with_extension("replies")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        recording
            .check_steps(script.steps.iter().map(|step| step.text.as_str()))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, script, recording }
    }

    /// Descriptions of the replies that differ.
    fn play(&self, differences: &[Difference]) -> Vec<String> {
        self.script.protocols.iter().flat_map(|&protocol| self.play_in(protocol, differences)).collect()
    }

    fn play_in(&self, protocol: u8, differences: &[Difference]) -> Vec<String> {
        let binary = std::env::var_os("SERVER_UNDER_TEST")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_carnelian-server").into());
        let played = ServerOptions::new(binary)
            .args(&self.script.server_args)
            .start()
            .map_err(|error| error.to_string())
            .and_then(|server| {
                play::play(&self.script, server.address(), protocol).map_err(|error| error.to_string())
            });
        let replies = match played {
            Ok(replies) => replies,
            Err(problem) => return vec![format!("{} (RESP{protocol}): {problem}", self.name)],
        };
        let mut failures = Vec::new();
        for (index, (step, reply)) in self.script.steps.iter().zip(replies).enumerate() {
            let actual = recording::stored_form(&reply);
            let expected = self.expected(index, protocol);
            let mut listed =
                differences.iter().filter(|entry| entry.concerns(&self.name, &step.text)).peekable();
            let explained = match listed.peek() {
                Some(_) => listed.any(|entry| entry.explains(&actual)),
                None => actual == expected,
            };
            if !explained {
                failures.push(format!(
                    "{}:{} (RESP{protocol}) {}\n  expected: {expected}\n    actual: {actual}",
                    self.name, step.line, step.text
                ));
            }
        }
        failures
    }

    fn expected(&self, index: usize, protocol: u8) -> &str {
        let recorded = |peer| self.recording.reply(index, peer, protocol).expect("recorded in its protocols");
        let redis = recorded(Peer::Redis);
        let valkey = recorded(Peer::Valkey);
        // Before authentication, one of them refuses an unknown command as unknown, the other as not permitted.
        let only_valkey_has_it = lacks_command(redis) && !valkey.starts_with("-NOAUTH");
        if self.script.valkey_is_oracle || only_valkey_has_it { valkey } else { redis }
    }
}

fn lacks_command(reply: &str) -> bool {
    reply.starts_with("-ERR unknown command") || reply.starts_with("-ERR unknown subcommand")
}

#[test]
fn recordings_without_a_script_are_gone() {
    let mut scripts = BTreeSet::new();
    let mut recordings = BTreeSet::new();
    for group in fs::read_dir(tests_directory().join("cases")).expect("the cases are there") {
        for entry in fs::read_dir(group.expect("readable").path()).expect("a directory") {
            let path = entry.expect("readable").path();
            let set =
                if path.extension().is_some_and(|e| e == "case") { &mut scripts } else { &mut recordings };
            set.insert(path.with_extension(""));
        }
    }
    assert_eq!(scripts, recordings);
}
