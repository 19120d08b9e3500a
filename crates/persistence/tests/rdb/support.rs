//! What the tests share: loading, writing, and a text that says all that a keyspace holds.

use std::fmt::Write as _;

use carnelian_keyspace::stream::StreamId;
use carnelian_keyspace::{Item, Keyspace, Options, Stream, Value};
use carnelian_persistence::rdb::{
    Entry, LoadOptions, Loader, Payload, PayloadError, Progress, WriteOptions, Writer,
};

use super::dataset;

pub(crate) fn keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new(Options { databases: 16, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_now(dataset::NOW);
    keyspace
}

pub(crate) fn load(bytes: &[u8], chunk: usize) -> (Keyspace, Loader) {
    let (mut keyspace, mut loader) = (keyspace(), Loader::new(LoadOptions::default()));
    let mut progress = Progress::More;
    for chunk in bytes.chunks(chunk) {
        progress = loader.feed(chunk, &mut keyspace).unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(progress, Progress::Done);
    (keyspace, loader)
}

pub(crate) fn write(keyspace: &mut Keyspace, loader: &Loader, options: WriteOptions) -> Option<Vec<u8>> {
    let mut writer = Writer::new(options);
    writer.aux(b"redis-ver", b"8.2.3");
    loader.loaded().functions.iter().for_each(|code| writer.function(code));
    let mut file = Vec::new();
    let mut is_possible = true;
    for db in 0..keyspace.databases() {
        if keyspace.is_empty(db) {
            continue;
        }
        writer.database(db, keyspace.len(db), keyspace.volatile_len(db));
        keyspace.for_each(db, &mut |item| {
            let (key, value, deadline) = (item.key(), item.value(), item.deadline());
            let entry = Entry { db, key, value, deadline, idle: Some(7), frequency: None };
            is_possible &= writer.entry(&entry).is_ok();
            if writer.len() > 1000 {
                file.extend(writer.take());
            }
        });
    }
    file.extend(writer.finish());
    is_possible.then_some(file)
}

/// A keyspace with a payload's value at `k`.
pub(crate) fn restored(payload: &[u8]) -> Result<Keyspace, PayloadError> {
    let mut keyspace = keyspace();
    let value = Payload::check(payload)?.restore(&mut keyspace.space())?;
    let key = keyspace.key(b"k");
    let mut guard = keyspace.write(0, key);
    value.put(&mut guard, None);
    guard.commit(&[]);
    Ok(keyspace)
}

/// A line for each key, sorted.
pub(crate) fn render(keyspace: &mut Keyspace) -> Vec<String> {
    let mut lines = Vec::new();
    for db in 0..keyspace.databases() {
        keyspace.for_each(db, &mut |item| lines.push(format!("{db} {}", line(&item))));
    }
    lines.sort();
    lines
}

fn line(item: &Item<'_>) -> String {
    let mut elements: Vec<String> = Vec::new();
    match item.value() {
        Value::Str(string) => elements.push(string.to_bytes().escape_ascii().to_string()),
        Value::List(list) => {
            list.forward(0, list.len(), |e| elements.push(e.to_bytes().escape_ascii().to_string()))
        }
        Value::Set(set) => {
            set.for_each(|e| elements.push(e.to_bytes().escape_ascii().to_string()));
            elements.sort();
        }
        Value::SortedSet(set) => {
            set.for_each(|member, score| {
                elements.push(format!("{}={score:?}", member.to_bytes().escape_ascii()))
            });
        }
        Value::Hash(hash) => {
            hash.for_each(|f| {
                let (name, value) = (f.name.to_bytes(), f.value.to_bytes());
                let deadline = f.deadline();
                elements.push(format!("{}={}@{deadline:?}", name.escape_ascii(), value.escape_ascii()));
            });
            elements.sort();
        }
        Value::Stream(stream) => elements = stream_lines(stream),
    }
    let (key, kind, encoding) = (item.key().escape_ascii(), item.kind().name(), item.encoding().name());
    format!("{key} {kind} {encoding} {:?}: {}", item.deadline(), elements.join(" "))
}

fn stream_lines(stream: &Stream) -> Vec<String> {
    let log = stream.log();
    let mut lines = vec![format!(
        "{} {} {} {} {}",
        log.len(),
        log.first_id(),
        log.last_id(),
        log.max_deleted_id(),
        log.added()
    )];
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        let mut line = entry.id().to_string();
        for (field, value) in entry.pairs() {
            let _ = write!(line, " {}={}", field.to_bytes().escape_ascii(), value.to_bytes().escape_ascii());
        }
        lines.push(line);
    }
    for (name, group) in stream.groups().iter() {
        lines.push(format!("group {} {} {:?}", name.escape_ascii(), group.last_id, group.read));
        for (_, consumer) in group.consumers() {
            let name = consumer.name().escape_ascii();
            lines.push(format!("consumer {name} {} {:?}", consumer.seen_at, consumer.active_at));
        }
        for (id, pending) in group.pending(StreamId::MIN, StreamId::MAX, None) {
            let owner = group.consumer(pending.consumer).name().escape_ascii();
            lines.push(format!("pending {id} {owner} {} {}", pending.delivered_at, pending.deliveries));
        }
    }
    lines
}
