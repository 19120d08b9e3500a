//! Files and payloads go from each real server through ours to each real server, and the datasets stay equal.
//!
//! `PEERS` names the directory of the real servers, `OLDER_PEER` the binary of an older Redis (7.0), if there is one.

use std::fs;
use std::path::PathBuf;

use super::dataset::{self, Features};
use super::support::{keyspace, load, write};
use carnelian_persistence::rdb::{Format, Payload, WriteOptions, dump};
use carnelian_testkit::{Client, Peer, Peers, Server, ServerOptions, reply};

/// A real server and what it knows.
#[derive(Clone)]
struct Real {
    name: &'static str,
    binary: PathBuf,
    features: Features,
    /// Whether all others load what it writes. It is compared with what they make of that, since they tell more.
    is_older: bool,
    /// The formats that it loads.
    loads: &'static [Format],
}

fn reals() -> Vec<Real> {
    let peers = Peers::from_env().expect("the real servers are there");
    let with = |field_deadlines| Features { field_deadlines, functions: true };
    let mut reals = vec![
        Real {
            name: "redis-8.2.3",
            binary: peers.binary(Peer::Redis),
            features: with(true),
            is_older: false,
            loads: &[Format::Common, Format::Redis12],
        },
        Real {
            name: "valkey-9.1.2",
            binary: peers.binary(Peer::Valkey),
            features: with(true),
            is_older: false,
            loads: &[Format::Common, Format::Valkey80],
        },
    ];
    if let Some(binary) = std::env::var_os("OLDER_PEER") {
        reals.push(Real {
            name: "redis-7.0.15",
            binary: binary.into(),
            features: with(false),
            is_older: true,
            loads: &[Format::Redis10],
        });
    }
    reals
}

fn start(real: &Real, directory: Option<&std::path::Path>) -> (Server, Client) {
    let mut options = ServerOptions::new(&real.binary).args(["--dbfilename", "it.rdb"]);
    if let Some(directory) = directory {
        options = options.args(["--dir".into(), directory.as_os_str().to_owned()]);
    }
    let server = options.start().unwrap_or_else(|error| panic!("{}: {error}", real.name));
    let client = server.connect().expect("it answers");
    (server, client)
}

fn call(client: &mut Client, words: &[&[u8]]) -> Vec<u8> {
    client.call(words).expect("the server replies")
}

fn text(client: &mut Client, words: &[&str]) -> Vec<u8> {
    client.call(words).expect("the server replies")
}

/// The elements of an aggregate reply, `step` together, sorted.
fn sorted(reply: &[u8], step: usize) -> Vec<Vec<u8>> {
    let (_, elements) = reply::elements(reply).unwrap_or_else(|| panic!("{}", reply.escape_ascii()));
    let mut groups: Vec<Vec<u8>> = elements.chunks(step).map(<[&[u8]]>::concat).collect();
    groups.sort();
    groups
}

/// Everything that clients can see of a key, in a form that depends on no order that is not the dataset's.
fn look(client: &mut Client, key: &[u8], features: Features) -> Vec<Vec<u8>> {
    let kind = call(client, &[b"TYPE", key]);
    let mut seen = vec![kind.clone(), call(client, &[b"PEXPIRETIME", key])];
    match kind.as_slice() {
        b"+string\r\n" => seen.push(call(client, &[b"GET", key])),
        b"+list\r\n" => seen.push(call(client, &[b"LRANGE", key, b"0", b"-1"])),
        b"+set\r\n" => seen.extend(sorted(&call(client, &[b"SMEMBERS", key]), 1)),
        b"+zset\r\n" => {
            // Older servers print other digits of the same double.
            let reply = call(client, &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]);
            let (_, elements) = reply::elements(&reply).expect("an array");
            for pair in elements.chunks(2) {
                let score = reply::payload(pair[1]).and_then(|text| std::str::from_utf8(text).ok());
                let score: f64 = score.expect("a text").parse().expect("a number");
                seen.push([pair[0], &score.to_bits().to_be_bytes()].concat());
            }
        }
        b"+hash\r\n" => {
            seen.extend(sorted(&call(client, &[b"HGETALL", key]), 2));
            if features.field_deadlines {
                for name in sorted(&call(client, &[b"HKEYS", key]), 1) {
                    let name = reply::payload(&name).expect("a field");
                    seen.push(call(client, &[b"HPEXPIRETIME", key, b"FIELDS", b"1", name]));
                }
            }
        }
        b"+stream\r\n" => {
            seen.push(call(client, &[b"XRANGE", key, b"-", b"+"]));
            seen.push(call(client, &[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]));
        }
        other => panic!("{}", other.escape_ascii()),
    }
    seen
}

type Dataset = Vec<(u8, Vec<u8>, Vec<Vec<u8>>)>;

fn keys(client: &mut Client) -> Vec<Vec<u8>> {
    let keys = sorted(&text(client, &["KEYS", "*"]), 1);
    keys.iter().map(|key| reply::payload(key).expect("a key").to_vec()).collect()
}

fn dataset_of(client: &mut Client, features: Features) -> Dataset {
    let mut dataset = Dataset::new();
    for db in [0, 3] {
        text(client, &["SELECT", &db.to_string()]);
        for key in keys(client) {
            let seen = look(client, &key, features);
            dataset.push((db, key, seen));
        }
    }
    text(client, &["SELECT", "0"]);
    dataset
}

fn fill(client: &mut Client, features: Features) {
    for command in dataset::commands(features) {
        let reply = client.call(&command).expect("the server replies");
        assert!(!reply.starts_with(b"-"), "{:?}: {}", command[0].escape_ascii(), reply.escape_ascii());
    }
}

#[test]
#[ignore = "needs the real servers, whose directory PEERS names: just real-servers"]
fn files() {
    for from in reals() {
        let (server, mut client) = start(&from, None);
        fill(&mut client, from.features);
        let original = dataset_of(&mut client, from.features);
        assert!(text(&mut client, &["SAVE"]).starts_with(b"+OK"));
        let bytes = fs::read(server.directory().join("it.rdb")).expect("the file was saved");
        if let Some(directory) = std::env::var_os("KEEP_FILES") {
            fs::write(PathBuf::from(directory).join(format!("{}.rdb", from.name)), &bytes)
                .expect("it is kept");
        }
        let as_seen_by = |to: &Real| {
            if from.is_older { dataset_of_file(to, &bytes, from.features) } else { original.clone() }
        };
        let wanted: Vec<Dataset> = reals().iter().map(as_seen_by).collect();
        for chunk in [1, 77, usize::MAX] {
            let (mut keyspace, loader) = load(&bytes, chunk.min(bytes.len()));
            for (to, wanted) in reals().iter().zip(&wanted) {
                for &format in to.loads {
                    let options = WriteOptions { format, compress: chunk != 77, checksum: chunk != 1 };
                    let Some(file) = write(&mut keyspace, &loader, options) else {
                        assert!(
                            matches!(format, Format::Redis10 | Format::Common)
                                && from.features.field_deadlines
                        );
                        continue;
                    };
                    let arrived = dataset_of_file(to, &file, from.features);
                    compare(wanted, &arrived, &format!("{} to {} as {format:?}", from.name, to.name));
                }
            }
        }
    }
}

#[test]
#[ignore = "needs the real servers and dump files, whose directories PEERS and RDB_FILES name: just real-files"]
fn other_files() {
    let directory = std::env::var_os("RDB_FILES").expect("RDB_FILES names a directory");
    let features = Features { field_deadlines: true, functions: true };
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "rdb") {
            continue;
        }
        let bytes = fs::read(&path).expect("a file");
        let (mut keyspace, loader) = load(&bytes, 4096);
        for real in reals().iter().filter(|real| !real.is_older) {
            let wanted = dataset_of_file(real, &bytes, features);
            let options = WriteOptions::default();
            let file = write(&mut keyspace, &loader, options).expect("no fields have deadlines");
            let arrived = dataset_of_file(real, &file, features);
            compare(&wanted, &arrived, &format!("{} in {}", path.display(), real.name));
            println!("{}: {} keys", path.display(), arrived.len());
        }
    }
}

/// What a real server makes of a file.
fn dataset_of_file(real: &Real, file: &[u8], features: Features) -> Dataset {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("it.rdb"), file).expect("a file");
    let (_server, mut client) = start(real, Some(directory.path()));
    dataset_of(&mut client, features)
}

#[test]
#[ignore = "needs the real servers, whose directory PEERS names: just real-servers"]
fn payloads() {
    for from in reals() {
        let (_server, mut client) = start(&from, None);
        fill(&mut client, from.features);
        let original = dataset_of(&mut client, from.features);
        for to in reals() {
            for &format in to.loads {
                let (_server, mut other) = start(&to, None);
                let features = if to.is_older { to.features } else { from.features };
                for (db, key, seen) in &original {
                    text(&mut client, &["SELECT", &db.to_string()]);
                    let payload = call(&mut client, &[b"DUMP", key]);
                    let payload = reply::payload(&payload).expect("a payload");
                    let ours = through_ours(payload, format);
                    if is_unknown_to(&ours, &to) {
                        continue;
                    }
                    let mut wanted = seen.clone();
                    if from.is_older {
                        wanted = restored(&mut other, key, payload, features);
                    }
                    let mut arrived = restored(&mut other, key, &ours, features);
                    if to.is_older && !from.is_older {
                        wanted = without_news(look(&mut client, key, features));
                        arrived = without_news(arrived);
                    }
                    // Payloads have no deadlines of keys.
                    wanted[1].clone_from(&arrived[1]);
                    let what = format!("{} to {} as {format:?}", from.name, to.name);
                    compare(&vec![(*db, key.clone(), wanted)], &vec![(*db, key.clone(), arrived)], &what);
                }
            }
        }
    }
}

/// What servers of all ages say about a key: XINFO's reply has grown.
fn without_news(mut seen: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if seen[0] == b"+stream\r\n" {
        seen.pop();
    }
    seen
}

/// What a real server makes of a payload.
fn restored(client: &mut Client, key: &[u8], payload: &[u8], features: Features) -> Vec<Vec<u8>> {
    let reply = call(client, &[b"RESTORE", key, b"0", payload, b"REPLACE"]);
    assert_eq!(reply.escape_ascii().to_string(), "+OK\\r\\n", "{}", payload.escape_ascii());
    look(client, key, features)
}

/// Whether the payload is of the other line: deadlines of fields have raised the common format.
fn is_unknown_to(payload: &[u8], to: &Real) -> bool {
    let version = payload[payload.len() - 10];
    !to.loads.iter().any(|format| format.version().number() == u16::from(version))
}

fn through_ours(payload: &[u8], format: Format) -> Vec<u8> {
    let mut keyspace = keyspace();
    let key = keyspace.key(b"k");
    let value = Payload::check(payload).expect("a right footer").restore(&mut keyspace.space());
    let value = value.unwrap_or_else(|error| panic!("{error}: {}", payload.escape_ascii()));
    let mut guard = keyspace.write(0, key);
    value.put(&mut guard, None);
    guard.commit(&[]);
    dump(&keyspace.peek(0, key).expect("it was put").value(), format, true)
}

fn compare(wanted: &Dataset, got: &Dataset, what: &str) {
    for ((db, key, seen), (other_db, other_key, other_seen)) in wanted.iter().zip(got) {
        assert_eq!((db, key), (other_db, other_key), "{what}");
        for (a, b) in seen.iter().zip(other_seen) {
            assert_eq!(
                a.escape_ascii().to_string(),
                b.escape_ascii().to_string(),
                "{what}: {}",
                key.escape_ascii()
            );
        }
        assert_eq!(seen.len(), other_seen.len(), "{what}: {}", key.escape_ascii());
    }
    assert_eq!(wanted.len(), got.len(), "{what}");
}
