//! Keyspace notifications: what happens to keys, as messages of channels that are named after the key or the event.

use std::io::Write as _;

use carnelian_keyspace::Keyspace;

use crate::engine::State;
use crate::links::Links;

/// Publishes the events that the keyspace has logged.
#[cold]
pub(crate) fn publish(keyspace: &mut Keyspace, state: &mut State, links: &mut dyn Links) {
    let State { pubsub, clients, settings, .. } = state;
    let (by_key, by_event) = settings.event_channels;
    let mut channel = Vec::new();
    keyspace.drain_events(&mut |db, key, event| {
        let name = event.name.as_bytes();
        let mut send = |kind: &str, tail: &[u8], payload: &[u8]| {
            channel.clear();
            write!(channel, "__{kind}@{db}__:").expect("a vector accepts all");
            channel.extend_from_slice(tail);
            pubsub.publish(links, clients, &channel, payload);
        };
        if by_key {
            send("keyspace", key, name);
        }
        if by_event {
            send("keyevent", name, key);
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::testing::Session;

    /// The events that lines of the first client lead to, as `key event`, and the last one as a message.
    fn events(classes: &str, lines: &[&str]) -> String {
        let mut session = Session::with(&[("notify-keyspace-events", classes)]);
        let listener = session.connect();
        session.step_of(listener, "PSUBSCRIBE __key*");
        lines.iter().for_each(|line| drop(session.run(line)));
        session.sleep_ms(20);
        session.advance_ms(0);
        let sent = session.outside.sent.iter().map(|(_, message)| {
            let words: Vec<&str> = message.split("\r\n").collect();
            format!("{} {}", words[6], words[8])
        });
        sent.collect::<Vec<_>>().join(", ").replace("__", "")
    }

    #[test]
    fn channels_are_chosen() {
        assert_eq!(events("A", &["SET a 1"]), "");
        assert_eq!(events("KE", &["SET a 1"]), "");
        assert_eq!(events("K$", &["SET a 1", "DEL a"]), "keyspace@0:a set");
        assert_eq!(events("EA", &["SELECT 3", "SET a 1", "DEL a"]), "keyevent@3:set a, keyevent@3:del a");
        assert_eq!(events("KEg", &["SET a 1", "DEL a"]), "keyspace@0:a del, keyevent@0:del a");
    }

    #[test]
    fn creation_and_replacement() {
        let lines = ["SET a 1", "SET a 2 KEEPTTL", "INCR a", "RPUSH l x", "RENAME l a", "SET a 1"];
        let expected = "a new, a overwritten, l new, a new, a overwritten, a type_changed, a overwritten, a type_changed";
        assert_eq!(events("Knoc", &lines).replace("keyspace@0:", ""), expected);
    }

    #[test]
    fn misses_and_expiry() {
        let lines = ["GET a", "SET b 1 PX 10"];
        assert_eq!(events("Exm", &lines), "keyevent@0:keymiss a, keyevent@0:expired b");
    }
}
