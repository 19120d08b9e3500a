//! What the peers replied to a case: a text file beside the script.
//!
//! ```text
//! SET k v                the script's line
//! > +OK                  the reply of both peers in both protocols, escaped, without its last CRLF
//! GET nothing
//! r2,v2> $-1             the reply of Redis and of Valkey in RESP2 ...
//! r3,v3> _               ... and in RESP3
//! ```
//!
//! Replies are in canonical form (see `rule`). One longer than 1,500 bytes is kept as `#length hash`.

use std::collections::HashMap;

use crate::Peer;
use crate::quote;

/// Longer replies are recorded by their hash.
const LONGEST_IN_FULL: usize = 1500;
const LABELS: [&str; 4] = ["r2", "r3", "v2", "v3"];

/// The replies to all steps of one script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    entries: Vec<Entry>,
}

/// The replies to one step; absent for a protocol that the script is not played in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    text: String,
    replies: [Option<String>; 4],
}

/// The recording does not fit its format or its script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// A line cannot be read.
    #[error("recording, line {0}: not a reply line, or before any command")]
    Line(usize),
    /// The script changed since it was recorded.
    #[error("the recording is of another script: recorded {recorded:?}, script {script:?}; record it again")]
    Stale {
        /// The command line in the recording, if any.
        recorded: Option<String>,
        /// The command line in the script, if any.
        script: Option<String>,
    },
}

fn slot(peer: Peer, protocol: u8) -> usize {
    match peer {
        Peer::Redis => usize::from(protocol == 3),
        Peer::Valkey => 2 + usize::from(protocol == 3),
    }
}

/// A reply as the file holds it.
pub fn stored_form(reply: &[u8]) -> String {
    if reply.len() > LONGEST_IN_FULL {
        let hash = reply.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) // FNV-1a
        });
        return format!("#{} {hash:016x}", reply.len());
    }
    quote::escape(reply.strip_suffix(b"\r\n").unwrap_or(reply))
}

impl Recording {
    /// An empty recording of the steps with these texts.
    pub fn of_steps<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let entry = |text: &str| Entry { text: text.to_owned(), replies: Default::default() };
        Self { entries: texts.into_iter().map(entry).collect() }
    }

    /// Stores what `peer` replied in `protocol`: one (canonical) reply for each step.
    pub fn store(&mut self, peer: Peer, protocol: u8, replies: &[Vec<u8>]) {
        assert_eq!(replies.len(), self.entries.len(), "a reply for each step");
        for (entry, reply) in self.entries.iter_mut().zip(replies) {
            entry.replies[slot(peer, protocol)] = Some(stored_form(reply));
        }
    }

    /// What `peer` replied to step `index` in `protocol`, in stored form.
    pub fn reply(&self, index: usize, peer: Peer, protocol: u8) -> Option<&str> {
        self.entries.get(index)?.replies[slot(peer, protocol)].as_deref()
    }

    /// Checks that this is a recording of the steps with these texts.
    pub fn check_steps<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Result<(), RecordingError> {
        let mut texts = texts.into_iter();
        let mut entries = self.entries.iter();
        loop {
            match (entries.next(), texts.next()) {
                (None, None) => return Ok(()),
                (Some(entry), Some(text)) if entry.text == text => {}
                (entry, text) => {
                    return Err(RecordingError::Stale {
                        recorded: entry.map(|entry| entry.text.clone()),
                        script: text.map(str::to_owned),
                    });
                }
            }
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text =
            String::from("# Replies of the real servers; `cargo xtask record` writes this file.\n");
        for entry in &self.entries {
            text.push_str(&entry.text);
            text.push('\n');
            let mut order: Vec<&str> = Vec::new();
            let mut labels: HashMap<&str, Vec<&str>> = HashMap::new();
            for (reply, label) in entry.replies.iter().zip(LABELS) {
                let Some(reply) = reply else { continue };
                let known = labels.entry(reply).or_default();
                if known.is_empty() {
                    order.push(reply);
                }
                known.push(label);
            }
            match order[..] {
                [reply] => text.push_str(&line("", reply)),
                _ => order.iter().for_each(|reply| text.push_str(&line(&labels[reply].join(","), reply))),
            }
        }
        text
    }

    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let mut recording = Self::default();
        for (index, line) in text.lines().enumerate().skip(1) {
            match reply_line(line) {
                None => recording.entries.push(Entry { text: line.to_owned(), replies: Default::default() }),
                Some((slots, reply)) => {
                    let entry = recording.entries.last_mut().ok_or(RecordingError::Line(index + 1))?;
                    for slot in slots {
                        entry.replies[slot] = Some(reply.to_owned());
                    }
                }
            }
        }
        Ok(recording)
    }
}

fn line(labels: &str, reply: &str) -> String {
    if reply.is_empty() { format!("{labels}>\n") } else { format!("{labels}> {reply}\n") }
}

/// The slots and the reply of a line such as `r2,v2> $-1`; `None` if it is a command.
fn reply_line(line: &str) -> Option<(Vec<usize>, &str)> {
    let (labels, reply) = line.split_once('>')?;
    let slots: Option<Vec<usize>> = match labels {
        "" => Some((0..LABELS.len()).collect()),
        _ => labels.split(',').map(|label| LABELS.iter().position(|known| *known == label)).collect(),
    };
    Some((slots?, reply.strip_prefix(' ').unwrap_or(reply)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_equal_replies_once_and_reads_them_back() {
        let texts = ["SET k v", "GET x>y", "!sleep 3"];
        let mut recording = Recording::of_steps(texts);
        for peer in Peer::ALL {
            recording.store(peer, 2, &[b"+OK\r\n".to_vec(), b"$-1\r\n".to_vec(), vec![]]);
            recording.store(peer, 3, &[b"+OK\r\n".to_vec(), b"_\r\n".to_vec(), vec![]]);
        }
        let text = recording.to_text();
        let (_, body) = text.split_once('\n').expect("a header line");
        assert_eq!(body, "SET k v\n> +OK\nGET x>y\nr2,v2> $-1\nr3,v3> _\n!sleep 3\n>\n");
        assert_eq!(Recording::parse(&text), Ok(recording.clone()));
        assert_eq!(recording.reply(1, Peer::Valkey, 3), Some("_"));
        assert_eq!(recording.check_steps(texts), Ok(()));
        assert!(recording.check_steps(["SET k v"]).is_err());
    }
}
