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

    /// As Redis 8.2.3 sends them; Valkey has no such events.
    #[test]
    fn replaced_values() {
        for (lines, expected) in [
            (&["SET a 1", "SET a 2 KEEPTTL", "INCR a", "APPEND a x"][..], "a new, a overwritten"),
            (&["RPUSH l x", "SET a 1", "SET l 1"], "l new, a new, l overwritten, l type_changed"),
            (&["RPUSH l x", "SET a 1", "RENAME l a"], "l new, a new, a new, a overwritten, a type_changed"),
            (&["SET a 1", "SET b 1", "COPY a b REPLACE"], "a new, b new, b new, b overwritten"),
            (&["SET a 1", "COPY a b"], "a new, b new"),
            (&["SADD s 1", "SUNIONSTORE s s", "SDIFFSTORE s s s"], "s new, s overwritten"),
            (&["RPUSH l 2 1", "SORT l STORE l"], "l new, l overwritten"),
            (&["RPUSH l 2", "BITOP AND l a b", "SETBIT b 1 1"], "l new, b new"),
            (&["MSETNX a 1 a 2"], "a new, a overwritten"),
            (&["ZADD z 1 a", "ZADD z 2 b", "ZRANGESTORE z z 0 -1"], "z new, z overwritten"),
            (&["HSET h f v", "HSET h f w", "DEL h"], "h new"),
        ] {
            assert_eq!(events("Knoc", lines).replace("keyspace@0:", ""), expected, "{lines:?}");
        }
    }

    #[test]
    fn both_ends_of_a_move_are_told() {
        let lines = ["SET a 1", "RENAME a b", "MOVE b 1"];
        let expected =
            "0:a new, 0:b new, 0:a rename_from, 0:b rename_to, 1:b new, 0:b move_from, 1:b move_to";
        assert_eq!(events("Kgn", &lines).replace("keyspace@", ""), expected);
    }

    #[test]
    fn misses_and_expiry() {
        let lines = ["GET a", "SET b 1 PX 10"];
        assert_eq!(events("Exm", &lines), "keyevent@0:keymiss a, keyevent@0:expired b");
    }
}
