//! Looks at the whole dataset of a server: every database, every key with its value, encoding and deadline.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use carnelian_testkit::rule::Rule;
use carnelian_testkit::{Replies, reply};

use super::rules;
use super::target::Target;

const DATABASES: usize = 16;
/// Milliseconds by which deadlines may differ: the servers set them one after the other.
const DEADLINE_TOLERANCE: u64 = 2000;

/// How values are read, by type: a command that others refuse, its words behind the key, and how its replies are
/// compared.
const READERS: [(&str, &[&str], Rule); 6] = [
    ("GET", &[], Rule::Exact),
    ("HGETALL", &[], Rule::Pairs),
    ("SMEMBERS", &[], Rule::Sorted),
    ("LRANGE", &["0", "-1"], Rule::Exact),
    ("ZRANGE", &["0", "-1", "WITHSCORES"], Rule::Exact),
    ("XRANGE", &["-", "+"], Rule::Exact),
];

/// A key: its database and name.
type Name = (usize, Vec<u8>);

/// What is known of a key: the replies to these commands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    kind: Vec<u8>,
    value: Vec<u8>,
    encoding: Vec<u8>,
    deadline: Option<i64>,
}

/// All keys of one server.
#[derive(Debug)]
pub(crate) struct Dataset(BTreeMap<Name, Facts>);

impl Dataset {
    pub(crate) fn of(target: &mut Target) -> anyhow::Result<Self> {
        let mut all = BTreeMap::new();
        for database in 0..DATABASES {
            all.extend(
                database_of(target, database)
                    .with_context(|| format!("the dataset of {}", target.name))?
                    .into_iter()
                    .map(|(key, facts)| ((database, key), facts)),
            );
        }
        Ok(Self(all))
    }

    /// The names of keys in which the datasets differ, with what each side has; encodings count if told so.
    pub(crate) fn differences(&self, reference: &Self, encodings: bool) -> Vec<(Vec<u8>, String, String)> {
        let names: std::collections::BTreeSet<&Name> = self.0.keys().chain(reference.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| {
                let (ours, theirs) = (self.0.get(name), reference.0.get(name));
                let same = match (ours, theirs) {
                    (Some(a), Some(b)) => a.same(b, &name.1, encodings),
                    _ => false,
                };
                let show = |facts: Option<&Facts>| facts.map_or("no such key".to_owned(), Facts::show);
                (!same).then(|| (name.1.clone(), show(ours), show(theirs)))
            })
            .collect()
    }
}

impl Facts {
    fn same(&self, other: &Self, key: &[u8], encodings: bool) -> bool {
        let near = match (self.deadline, other.deadline) {
            (Some(a), Some(b)) => (a < 0) == (b < 0) && a.abs_diff(b) <= DEADLINE_TOLERANCE,
            (a, b) => a == b,
        };
        let same_encoding = !encodings
            || self.encoding == other.encoding
            || rules::is_embedded_here_only(&self.encoding, &other.encoding)
            || rules::is_packed_here_only(key, &self.encoding, &other.encoding);
        near && same_encoding && self.kind == other.kind && self.value == other.value
    }

    fn show(&self) -> String {
        let deadline = self.deadline.map_or("?".to_owned(), |time| time.to_string());
        let [kind, value, encoding] =
            [&self.kind, &self.value, &self.encoding].map(|part| super::report::show(part));
        format!("type {kind}, encoding {encoding}, pexpiretime {deadline}, value {value}")
    }
}

fn database_of(target: &mut Target, database: usize) -> anyhow::Result<Vec<(Vec<u8>, Facts)>> {
    let client = &mut target.inspector;
    client.call(&["SELECT", &database.to_string()])?;
    let listing = client.call(&["KEYS", "*"])?;
    let Some((_, items)) = reply::elements(&listing) else {
        bail!("KEYS answers {}", super::report::show(&listing))
    };
    let keys: Vec<&[u8]> = items.iter().filter_map(|item| reply::payload(item)).collect();
    let mut request = Vec::new();
    for key in &keys {
        carnelian_testkit::encode(&[b"TYPE", *key], &mut request);
        for (name, rest, _) in &READERS {
            let rest = rest.iter().map(|word| word.as_bytes());
            let words: Vec<&[u8]> = [name.as_bytes(), *key].into_iter().chain(rest).collect();
            carnelian_testkit::encode(&words, &mut request);
        }
        carnelian_testkit::encode(&[&b"OBJECT"[..], b"ENCODING", *key], &mut request);
        carnelian_testkit::encode(&[b"PEXPIRETIME", *key], &mut request);
    }
    client.send_raw(&request)?;
    let mut replies = Replies::default();
    let each = 3 + READERS.len();
    client.read_replies(each * keys.len(), &mut replies)?;
    let facts = |index: usize| {
        let part = |i: usize| replies.get(each * index + i);
        let read = READERS.iter().enumerate().map(|(i, (_, _, rule))| (part(1 + i), rule));
        // The other readers are refused.
        let value =
            read.filter(|(reply, _)| !reply.starts_with(b"-")).map(|(reply, rule)| rule.canonical(reply));
        Facts {
            kind: part(0).to_vec(),
            value: value.flatten().collect(),
            encoding: part(each - 2).to_vec(),
            deadline: reply::integer(part(each - 1)),
        }
    };
    Ok(keys.iter().enumerate().map(|(index, key)| (key.to_vec(), facts(index))).collect())
}
