//! The files that `cargo xtask corpus` made with the real servers: each is loaded and compared with what its server
//! showed, looked at by the check tool, and damaged everywhere.

#![expect(clippy::disallowed_methods, reason = "tests read files")]

use std::fs;
use std::path::Path;

use carnelian_keyspace::stream::StreamId;
use carnelian_keyspace::{HashRef, Item, Keyspace, Options, Stream, Value};
use carnelian_persistence::check::RdbCheck;
use carnelian_persistence::rdb::{Event, Fault, LoadOptions, Loader, Progress, Reader, Sink};

/// Before all deadlines of the files.
const NOW: u64 = 1_000_000_000_000;

/// Of so many places one is damaged, another one in each file; `CORPUS_STEP=1` takes all.
fn step() -> usize {
    std::env::var("CORPUS_STEP").ok().and_then(|text| text.parse().ok()).unwrap_or(17)
}

struct File {
    name: String,
    bytes: Vec<u8>,
    text: String,
}

fn files() -> Vec<File> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rdb") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let bytes = fs::read(&path).expect("a file");
            let text = fs::read_to_string(path.with_extension("txt")).expect("its text");
            files.push(File { name, bytes, text });
        }
    }
    assert_eq!(files.len(), 15);
    files
}

/// Loads a file; bytes after its end are refused as well.
fn load(bytes: &[u8], chunk: usize) -> Result<Keyspace, u64> {
    let mut keyspace = Keyspace::new(Options { databases: 16, hash_seed: (1, 2), random_seed: 3 });
    keyspace.set_now(NOW);
    let mut loader = Loader::new(LoadOptions::default());
    for chunk in bytes.chunks(chunk) {
        match loader.feed(chunk, &mut keyspace) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => break,
            Err(error) => return Err(error.offset),
        }
    }
    loader.finish(&mut keyspace).map_err(|error| error.offset)?;
    if loader.offset() < bytes.len() as u64 { Err(loader.offset()) } else { Ok(keyspace) }
}

fn shown(bytes: &[u8]) -> String {
    if bytes.is_empty() { "\"\"".to_owned() } else { bytes.escape_ascii().to_string().replace(' ', "\\x20") }
}

/// The keyspace in the form of the corpus's texts.
fn text(keyspace: &mut Keyspace) -> Vec<String> {
    let mut lines = Vec::new();
    for db in 0..keyspace.databases() {
        keyspace.for_each(db, &mut |item| lines.push(format!("{db} {}", line(&item))));
    }
    lines.sort();
    lines
}

fn line(item: &Item<'_>) -> String {
    let mut elements = Vec::new();
    match item.value() {
        Value::Str(string) => elements.push(shown(&string.to_bytes())),
        Value::List(list) => list.forward(0, list.len(), |element| elements.push(shown(&element.to_bytes()))),
        Value::Set(set) => {
            set.for_each(|element| elements.push(shown(&element.to_bytes())));
            elements.sort();
        }
        Value::SortedSet(set) => {
            set.for_each(|member, score| elements.push(format!("{}={score:?}", shown(&member.to_bytes()))));
        }
        Value::Hash(hash) => elements = fields(&hash),
        Value::Stream(stream) => elements = stream_elements(stream),
    }
    let deadline = item.deadline().map_or("-".to_owned(), |at| at.to_string());
    format!("{} {} {deadline}: {}", shown(item.key()), item.kind().name(), elements.join(" "))
}

fn fields(hash: &HashRef<'_>) -> Vec<String> {
    let mut elements = Vec::new();
    hash.for_each(|field| {
        let deadline = field.deadline().map_or(String::new(), |at| format!("@{at}"));
        elements.push(format!(
            "{}={}{deadline}",
            shown(&field.name.to_bytes()),
            shown(&field.value.to_bytes())
        ));
    });
    elements.sort();
    elements
}

fn stream_elements(stream: &Stream) -> Vec<String> {
    let log = stream.log();
    let mut out = vec![format!(
        "length={},last-generated-id={},max-deleted-entry-id={},entries-added={}",
        log.len(),
        log.last_id(),
        log.max_deleted_id(),
        log.added()
    )];
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        let mut words = Vec::new();
        for (field, value) in entry.pairs() {
            words.extend([shown(&field.to_bytes()), shown(&value.to_bytes())]);
        }
        out.push(format!("{}:{}", entry.id(), words.join(",")));
    }
    for (name, group) in stream.groups().iter() {
        let pending: Vec<_> = group.pending(StreamId::MIN, StreamId::MAX, None).collect();
        let read = group.read.map_or("nil".to_owned(), |read| read.to_string());
        out.push(format!(
            "name={},pending={},last-delivered-id={},entries-read={read}",
            shown(name),
            pending.len(),
            group.last_id
        ));
        for (id, consumer) in group.consumers() {
            let owned = pending.iter().filter(|(_, pending)| pending.consumer == id).count();
            out.push(format!("consumer:name={},pending={owned}", shown(consumer.name())));
        }
        for (id, pending) in pending {
            let owner = shown(group.consumer(pending.consumer).name());
            out.push(format!("pending:{id},{owner},{}", pending.deliveries));
        }
    }
    out
}

#[test]
fn what_the_servers_showed_is_what_is_loaded() {
    for File { name, bytes, text: wanted } in files() {
        for chunk in [1, 100, bytes.len()] {
            let mut keyspace = load(&bytes, chunk).unwrap_or_else(|at| panic!("{name}: refused at {at}"));
            let loaded = text(&mut keyspace);
            for (wanted, loaded) in wanted.lines().zip(&loaded) {
                assert_eq!(wanted, loaded, "{name}");
            }
            assert_eq!(wanted.lines().count(), loaded.len(), "{name}");
        }
    }
}

/// Whether keys come with how they were used.
#[derive(Default)]
struct Uses {
    keys: usize,
    idle: usize,
    frequency: usize,
}

impl Sink for Uses {
    fn event(&mut self, event: Event<'_>) -> Result<(), Fault> {
        if let Event::Key(head) = event {
            self.keys += 1;
            self.idle += usize::from(head.idle.is_some());
            self.frequency += usize::from(head.frequency.is_some());
        }
        Ok(())
    }
}

#[test]
fn uses_are_read_where_the_policy_says_so() {
    for File { name, bytes, .. } in files() {
        let mut uses = Uses::default();
        Reader::new(true).feed(&bytes, &mut uses).expect("a sound file");
        let wanted = |suffix: &str| if name.ends_with(suffix) { uses.keys } else { 0 };
        assert_eq!((uses.idle, uses.frequency), (wanted("-lru"), wanted("-lfu")), "{name}");
    }
}

/// The check's lines, and whether it finds the file sound.
fn check(bytes: &[u8]) -> (String, bool, u64) {
    let mut check = RdbCheck::new("it.rdb", NOW);
    let sound = match check.feed(bytes) {
        Ok(Progress::Done) => true,
        Ok(Progress::More) => check.finish().is_ok(),
        Err(_) => false,
    };
    (check.take_lines(), sound, check.stats().keys)
}

#[test]
fn the_check_counts_what_there_is() {
    for File { name, bytes, text } in files() {
        let (lines, sound, keys) = check(&bytes);
        assert!(sound && lines.contains("\\o/ RDB looks OK! \\o/\n"), "{name}: {lines}");
        assert_eq!(keys, text.lines().count() as u64, "{name}");
        let (timed, subexpires) = (text.contains("timed"), lines.contains("[info] 2 subexpires\n"));
        assert_eq!(timed, subexpires, "{name}: {lines}");
        assert!(lines.contains("[info] 2 expires\n[info] 0 already expired\n"), "{name}: {lines}");
    }
}

#[test]
fn every_cut_is_refused_where_it_is() {
    for (i, File { name, bytes, .. }) in files().into_iter().enumerate() {
        for cut in (i % step()..bytes.len()).step_by(step()) {
            let refused = load(&bytes[..cut], 64).map(|_| ());
            assert_eq!(refused, Err(cut as u64), "{name}");
        }
        let (lines, sound, _) = check(&bytes[..bytes.len() - 1]);
        assert!(!sound && lines.contains("--- RDB ERROR DETECTED ---\n"), "{name}");
    }
}

#[test]
fn every_flipped_bit_is_refused_with_its_place() {
    for (i, File { name, bytes, .. }) in files().into_iter().enumerate() {
        let has_checksum = !name.ends_with("-plain");
        for at in (i % step()..bytes.len()).step_by(step()) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << ((at + i) % 8);
            match load(&damaged, 512) {
                // What comes before the damage is read as it was.
                Err(offset) => assert!(offset <= bytes.len() as u64, "{name}, byte {at}"),
                Ok(_) => assert!(!has_checksum, "{name}: byte {at} is another one, and it is loaded"),
            }
        }
    }
}
