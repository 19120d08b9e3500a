//! Files that real servers have written from the commands in `dataset.rs`.

use carnelian_keyspace::Keyspace;
use carnelian_persistence::rdb::{Format, LoadOptions, Loader, Version, WriteOptions};

use super::support::{keyspace, load, render, write};

/// The files, and what each is like.
pub(crate) const FILES: [(&[u8], Version, usize); 3] = [
    (include_bytes!("files/redis-7.0.15.rdb"), Version::Redis(10), 71),
    (include_bytes!("files/redis-8.2.3.rdb"), Version::Redis(12), 74),
    (include_bytes!("files/valkey-9.1.2.rdb"), Version::Valkey(80), 74),
];

/// The lines of keys that all three files have alike: times of delivery are those of the day.
fn comparable(keyspace: &mut Keyspace) -> Vec<String> {
    let lines = render(keyspace).into_iter();
    lines.filter(|line| !line.contains("timed") && !line.contains(" stream ")).map(without_encoding).collect()
}

/// Older servers store more sets as tables.
fn without_encoding(line: String) -> String {
    line.replacen(" listpack ", " ", 1).replacen(" hashtable ", " ", 1)
}

#[test]
fn all_that_was_saved_is_there() {
    let mut first = None;
    for (bytes, version, keys) in FILES {
        let (mut keyspace, loader) = load(bytes, bytes.len());
        assert_eq!(loader.loaded().version, Some(version));
        assert_eq!(loader.loaded().keys, keys as u64, "{version:?}");
        assert_eq!(render(&mut keyspace).len(), keys);
        assert_eq!(loader.loaded().functions.len(), 1);
        assert!(loader.loaded().aux.iter().any(|(name, _)| name == b"ctime"));
        let lines = comparable(&mut keyspace);
        let first = first.get_or_insert_with(|| lines.clone());
        assert_eq!(*first, lines, "{version:?}");
    }
}

#[test]
fn pieces_of_any_size_make_the_same_keyspace() {
    for (bytes, ..) in FILES {
        let whole = render(&mut load(bytes, bytes.len()).0);
        for chunk in [1, 2, 3, 5, 64, 1000, 4096, 65536] {
            assert_eq!(whole, render(&mut load(bytes, chunk).0), "{chunk}");
        }
    }
}

#[test]
fn what_is_written_is_read_again() {
    for (bytes, version, _) in FILES {
        let (mut keyspace, loader) = load(bytes, bytes.len());
        let before = render(&mut keyspace);
        for format in [Format::Redis10, Format::Common, Format::Redis12, Format::Valkey80] {
            for (compress, checksum) in [(true, true), (false, false)] {
                let options = WriteOptions { format, compress, checksum };
                let Some(file) = write(&mut keyspace, &loader, options) else {
                    assert!(
                        matches!(format, Format::Redis10 | Format::Common) && version != Version::Redis(10)
                    );
                    continue;
                };
                let (mut again, reloaded) = load(&file, 777);
                assert_eq!(reloaded.loaded().version, Some(format.version()));
                assert_eq!(reloaded.loaded().functions, loader.loaded().functions);
                let (mut before, mut after) = (before.clone(), render(&mut again));
                if format == Format::Valkey80 {
                    // Hashes without deadlines any more become plain.
                    before
                        .iter_mut()
                        .chain(&mut after)
                        .for_each(|line| *line = line.replace("listpackex", "listpack"));
                }
                assert_eq!(before, after, "{version:?} as {format:?}");
            }
        }
    }
}

#[test]
fn a_file_ends_where_it_ends() {
    let (bytes, ..) = FILES[0];
    let (mut keyspace, mut loader) = (keyspace(), Loader::new(LoadOptions::default()));
    let more = [bytes, b"*1\r\n$4\r\nPING\r\n"].concat();
    loader.feed(&more, &mut keyspace).expect("a file");
    assert_eq!(loader.rest(), b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(loader.offset(), bytes.len() as u64);
    assert_eq!(loader.finish(&mut keyspace), Ok(()));
}

#[test]
fn keys_that_are_due_are_left_out() {
    let (bytes, _, keys) = FILES[0];
    let mut keyspace = keyspace();
    keyspace.set_now(5_000_000_000_000);
    let mut loader = Loader::new(LoadOptions::default());
    loader.feed(bytes, &mut keyspace).expect("a file");
    assert_eq!((loader.loaded().keys, loader.loaded().expired), (keys as u64 - 2, 2));
}

#[test]
fn a_key_that_comes_twice_is_an_error_that_names_it() {
    let file = b"REDIS0010\x00\x01k\x01v\x02\x01k\x01\x01m\xff\0\0\0\0\0\0\0\0";
    for piece in [1, 2, 7, file.len()] {
        let (mut keyspace, mut loader) = (keyspace(), Loader::new(LoadOptions::default()));
        let error = file.chunks(piece).find_map(|piece| loader.feed(piece, &mut keyspace).err());
        let error = error.expect("the key comes twice").to_string();
        assert_eq!(error, "at offset 20, in the value of key 'k': a key occurs twice");
    }
}

/// A file of strings `key:n`, with what it says about their number.
fn strings(numbers: impl Iterator<Item = u32>, sizes: &[u8]) -> Vec<u8> {
    let mut file = [b"REDIS0010\xfe\x00\xfb".as_slice(), sizes].concat();
    for n in numbers {
        let key = format!("key:{n}");
        file.extend([0, key.len() as u8]);
        file.extend(key.bytes());
        file.extend(if n % 3 == 0 { b"\xc0\x07".as_slice() } else { b"\x02xy" });
    }
    file.extend(*b"\xff\0\0\0\0\0\0\0\0");
    file
}

#[test]
fn whatever_a_file_says_of_its_size_all_keys_are_loaded() {
    let sizes: [&[u8]; 4] =
        [b"\x00\x00", b"\x80\x00\x00\x75\x30\x00", b"\x10\x00", b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00"];
    for said in sizes {
        let file = strings(0..30_000, said);
        let (mut keyspace, mut loader) = (keyspace(), Loader::new(LoadOptions::default()));
        loader.expect_bytes(file.len() as u64);
        for piece in file.chunks(3000) {
            loader.feed(piece, &mut keyspace).expect("a file");
        }
        assert_eq!((keyspace.len(0), loader.loaded().keys), (30_000, 30_000));
        for n in 0..30_000 {
            let name = format!("key:{n}");
            let key = keyspace.key(name.as_bytes());
            assert!(keyspace.peek(0, key).is_some(), "{name}");
        }
        assert!(keyspace.memory().used < 100 * 30_000, "{}", keyspace.memory().used);
    }
}

#[test]
fn a_string_that_comes_twice_is_refused_where_it_is() {
    let twice = (0..500).chain([17]).chain(600..900);
    let at = strings((0..500).chain([17]), b"\x00\x00").len() - 9;
    for piece in [1, 100, 1 << 20] {
        let (mut keyspace, mut loader) = (keyspace(), Loader::new(LoadOptions::default()));
        let file = strings(twice.clone(), b"\x00\x00");
        let error = file.chunks(piece).find_map(|piece| loader.feed(piece, &mut keyspace).err());
        let error = error.expect("the key comes twice").to_string();
        assert_eq!(error, format!("at offset {at}, in the value of key 'key:17': a key occurs twice"));
        assert_eq!(keyspace.len(0), 500);
    }
}

#[test]
fn collections_without_elements_are_left_out_and_named() {
    let file = b"REDIS0010\x02\x01s\x00\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0";
    let (mut keyspace, loader) = load(file, 1);
    assert_eq!(render(&mut keyspace), ["0 k string embstr None: v"]);
    assert_eq!((loader.loaded().empty, &loader.loaded().empty_keys), (1, &vec![b"s".to_vec()]));
}
