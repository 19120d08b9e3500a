//! All that a keyspace holds, as texts that can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use carnelian_keyspace::stream::StreamId;
use carnelian_keyspace::{Item, Keyspace, Stream, Value};

/// Keys by database, with the texts of what they hold.
pub(crate) type Picture = BTreeMap<(usize, String), String>;

/// What the keyspace holds, expired keys and fields included.
pub(crate) fn picture(keyspace: &mut Keyspace) -> Picture {
    let now = keyspace.now();
    // Nothing is left out since it has expired.
    keyspace.set_now(0);
    let mut picture = Picture::new();
    for db in 0..keyspace.databases() {
        keyspace.for_each(db, &mut |item| {
            picture.insert((db, item.key().escape_ascii().to_string()), value(&item));
        });
    }
    keyspace.set_now(now);
    picture
}

fn value(item: &Item<'_>) -> String {
    let mut elements: Vec<String> = Vec::new();
    let text = |bytes: &[u8]| format!("{}:{}", bytes.len(), bytes.escape_ascii());
    match item.value() {
        Value::Str(string) => elements.push(text(&string.to_bytes())),
        Value::List(list) => {
            list.forward(0, list.len(), |element| elements.push(text(&element.to_bytes())));
        }
        Value::Set(set) => {
            set.for_each(|member| elements.push(text(&member.to_bytes())));
            elements.sort();
        }
        Value::SortedSet(set) => {
            set.for_each(|member, score| elements.push(format!("{}={score:?}", text(&member.to_bytes()))));
        }
        Value::Hash(hash) => {
            hash.for_each(|field| {
                let (name, value) = (field.name.to_bytes(), field.value.to_bytes());
                elements.push(format!("{}={}@{:?}", text(&name), text(&value), field.deadline()));
            });
            elements.sort();
        }
        Value::Stream(stream) => elements = stream_lines(stream),
    }
    format!("{} until {:?}: {}", item.kind().name(), item.deadline(), elements.join(" "))
}

fn stream_lines(stream: &Stream) -> Vec<String> {
    let log = stream.log();
    let mut lines = vec![format!(
        "len {} first {} last {} deleted {} added {}",
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
        for (id, consumer) in group.consumers() {
            let name = consumer.name().escape_ascii();
            lines.push(format!("consumer {name} {} {:?}", consumer.seen_at, consumer.active_at));
            for (id, pending) in group.pending(StreamId::MIN, StreamId::MAX, Some(id)) {
                lines.push(format!("pending {id} {} {}", pending.delivered_at, pending.deliveries));
            }
        }
    }
    lines
}
