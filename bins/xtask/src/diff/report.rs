//! What a run found: mismatches grouped by command and shape, explained differences, differences of the peers.

use std::collections::BTreeMap;

use carnelian_testkit::quote;

/// A reply that differs, in printable form.
#[derive(Clone, Debug)]
pub(crate) struct Mismatch {
    pub(crate) command: String,
    /// The group of mismatches that it belongs to.
    pub(crate) shape: String,
    /// Each server's name and reply.
    pub(crate) replies: Vec<(&'static str, String)>,
    /// What happened before to the same keys.
    pub(crate) history: Vec<String>,
    /// How many commands had been sent.
    pub(crate) position: u64,
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    mismatches: BTreeMap<String, (u64, Mismatch)>,
    explained: BTreeMap<&'static str, u64>,
    peers: BTreeMap<String, (u64, String)>,
}

impl Report {
    pub(crate) fn mismatch(&mut self, mismatch: Mismatch) {
        let entry = self.mismatches.entry(mismatch.shape.clone()).or_insert_with(|| {
            print(&mismatch);
            (0, mismatch)
        });
        entry.0 += 1;
    }

    pub(crate) fn explained(&mut self, reason: &'static str) {
        *self.explained.entry(reason).or_default() += 1;
    }

    pub(crate) fn peers_differ(&mut self, shape: String, example: impl FnOnce() -> String) {
        self.peers.entry(shape).or_insert_with(|| (0, example())).0 += 1;
    }

    pub(crate) fn kinds(&self) -> usize {
        self.mismatches.len()
    }

    /// Prints the summary and returns the number of unexplained mismatches.
    pub(crate) fn summarize(&self, show_peers: bool) -> u64 {
        let peers: u64 = self.peers.values().map(|(count, _)| count).sum();
        println!("the peers differ from each other in {peers} replies of {} kinds", self.peers.len());
        if show_peers {
            for (shape, (count, example)) in &self.peers {
                println!("{count:8} {shape}\n         {example}");
            }
        }
        for (reason, count) in &self.explained {
            println!("{count:8} explained: {reason}");
        }
        for (shape, (count, _)) in &self.mismatches {
            println!("{count:8} MISMATCH {shape}");
        }
        self.mismatches.values().map(|(count, _)| count).sum()
    }
}

fn print(mismatch: &Mismatch) {
    println!("MISMATCH after {} commands: {}", mismatch.position, mismatch.command);
    for (name, reply) in &mismatch.replies {
        println!("  {name:>7}: {reply}");
    }
    for line in &mismatch.history {
        println!("    before: {line}");
    }
}

/// A reply for people; long ones are cut.
pub(crate) fn show(reply: &[u8]) -> String {
    const SHOWN: usize = 2000;
    let text = quote::escape(&reply[..reply.len().min(SHOWN)]);
    if reply.len() > SHOWN { format!("{text}... ({} bytes)", reply.len()) } else { text }
}

/// A reply without what varies: the type byte, or an error's text without its arguments.
pub(crate) fn shape_of_reply(reply: &[u8]) -> String {
    match reply {
        [b'-', rest @ ..] => {
            let line = String::from_utf8_lossy(rest);
            let text: String = line.trim_end().chars().take_while(|c| *c != '\'').collect();
            format!("-{text}")
        }
        [b'$' | b'*', b'-', ..] | [b'_', ..] => "null".to_owned(),
        [b'+', ..] => quote::escape(reply.trim_ascii_end()),
        [first, ..] => char::from(*first).to_string(),
        [] => "nothing".to_owned(),
    }
}

/// The command's name and those arguments that are option words.
pub(crate) fn shape_of_command(argv: &[Vec<u8>]) -> String {
    const LONGEST_WORD: usize = 16;
    let is_word = |arg: &&Vec<u8>| {
        (2..=LONGEST_WORD).contains(&arg.len())
            && arg.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-')
    };
    let name = String::from_utf8_lossy(&argv[0]).to_uppercase();
    let mut words: Vec<String> =
        argv[1..].iter().filter(is_word).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
    words.insert(0, name);
    words.join(" ")
}
