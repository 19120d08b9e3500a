//! Forms of what clients receive that leave out what may differ between servers: sizes, times and addresses in
//! CLIENT LIST, and orders that follow hash tables.

use carnelian_testkit::reply;

/// Fields of CLIENT LIST that are a matter of the server's memory, of time, or of the connection.
const VOLATILE: [&str; 21] = [
    "id",
    "addr",
    "laddr",
    "fd",
    "age",
    "idle",
    "qbuf",
    "qbuf-free",
    "argv-mem",
    "multi-mem",
    "rbs",
    "rbp",
    "obl",
    "oll",
    "omem",
    "tot-mem",
    "events",
    "redir",
    "tot-net-in",
    "tot-net-out",
    "tot-cmds",
];

/// Fields that only Redis or only Valkey has.
const ONE_LINE_ONLY: [&str; 2] = ["io-thread", "capa"];

/// The canonical form of what one client received in one step.
pub(crate) fn canonical(replies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut replies: Vec<Vec<u8>> = replies.iter().map(|reply| masked(reply)).collect();
    sort_pattern_messages(&mut replies);
    sort_farewells(&mut replies);
    replies
}

/// With descriptions of clients reduced to what does not vary.
fn masked(reply: &[u8]) -> Vec<u8> {
    if let Some((head, parts)) = reply::elements(reply) {
        if parts.first().is_some_and(|kind| kind.ends_with(b"\r\ntracking-redir-broken\r\n")) {
            // The number of a client follows.
            return [head, parts[0]].concat();
        }
        let parts: Vec<Vec<u8>> = parts.into_iter().map(masked).collect();
        return [head.to_vec(), parts.concat()].concat();
    }
    match reply::payload(reply) {
        Some(text) if text.starts_with(b"id=") || text.starts_with(b"txt:id=") => {
            // Connections of the run itself come and go in between.
            let text = String::from_utf8_lossy(text);
            let mut lines: Vec<String> = text.split('\n').map(described).collect();
            lines.sort();
            lines.join("\n").into_bytes()
        }
        _ => reply.to_vec(),
    }
}

fn described(line: &str) -> String {
    let flags = line.split(" flags=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let idle = !flags.contains('x');
    let field = |field: &str| match field.split_once('=') {
        Some((name, _)) if ONE_LINE_ONLY.contains(&name) => None,
        Some((name, _)) if VOLATILE.contains(&name) => Some(format!("{name}=#")),
        // Of a client that was in a transaction once; Valkey keeps its queue.
        Some(("multi", "0")) if idle => Some("multi=-1".to_owned()),
        _ => Some(field.to_owned()),
    };
    line.trim_start_matches("txt:").split(' ').filter_map(field).collect::<Vec<_>>().join(" ")
}

/// A message that matches several patterns of a client comes once for each, in no particular order.
fn sort_pattern_messages(replies: &mut [Vec<u8>]) {
    // What is the same for all patterns: channel and payload.
    let message = |reply: &Vec<u8>| match reply::elements(reply)?.1[..] {
        [kind, _, channel, payload] if kind.ends_with(b"pmessage\r\n") => {
            Some((channel.to_vec(), payload.to_vec()))
        }
        _ => None,
    };
    for run in replies.chunk_by_mut(|a, b| message(a).is_some() && message(a) == message(b)) {
        run.sort();
    }
}

/// Leaving everything that one is subscribed to is confirmed in no particular order; the counts stay in theirs.
fn sort_farewells(replies: &mut [Vec<u8>]) {
    let farewell = |reply: &Vec<u8>| {
        let (head, parts) = reply::elements(reply)?;
        match parts[..] {
            [kind, name, count] if kind.ends_with(b"unsubscribe\r\n") => {
                Some(([head, kind].concat(), name.to_vec(), count.to_vec()))
            }
            _ => None,
        }
    };
    let alike = |a: &Vec<u8>, b: &Vec<u8>| matches!((farewell(a), farewell(b)), (Some((a, ..)), Some((b, ..))) if a == b);
    for run in replies.chunk_by_mut(alike) {
        let mut names: Vec<Vec<u8>> = run.iter().filter_map(|one| Some(farewell(one)?.1)).collect();
        names.sort();
        for (reply, name) in run.iter_mut().zip(names) {
            if let Some((kind, _, count)) = farewell(reply) {
                *reply = [kind, name, count].concat();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(replies: &[&str]) -> Vec<String> {
        let replies: Vec<Vec<u8>> = replies.iter().map(|reply| reply.as_bytes().to_vec()).collect();
        canonical(&replies).into_iter().map(|form| String::from_utf8_lossy(&form).into_owned()).collect()
    }

    #[test]
    fn descriptions_keep_what_does_not_vary() {
        assert_eq!(forms(&["$16\r\nid=7 db=1 age=33\r\n"]), ["id=# db=1 age=#"]);
        assert_eq!(forms(&["$3\r\nabc\r\n"]), ["$3\r\nabc\r\n"]);
    }

    #[test]
    fn only_orders_that_mean_nothing_are_lost() {
        let message = |pattern: &str, text: &str| {
            format!("*4\r\n$8\r\npmessage\r\n$1\r\n{pattern}\r\n$1\r\nc\r\n$1\r\n{text}\r\n")
        };
        let (a, b, late) = (message("a", "1"), message("b", "1"), message("a", "2"));
        assert_eq!(forms(&[&a, &b, &late]), forms(&[&b, &a, &late]));
        assert_ne!(forms(&[&a, &late]), forms(&[&late, &a]));
        let left =
            |name: &str, count: u8| format!("*3\r\n$11\r\nunsubscribe\r\n$1\r\n{name}\r\n:{count}\r\n");
        assert_eq!(forms(&[&left("a", 1), &left("b", 0)]), forms(&[&left("b", 1), &left("a", 0)]));
        assert_ne!(forms(&[&left("a", 1), &left("b", 0)]), forms(&[&left("a", 0), &left("b", 1)]));
    }
}
