//! The numbers of the format: versions, types of values, opcodes.

use carnelian_keyspace::Kind;

use super::error::Fault;

/// The newest version of Redis that is read.
const REDIS_NEWEST: u16 = 12;
/// The versions of Valkey that are read. It began with 80, so that the two lines cannot be mistaken for each other.
const VALKEY: u16 = 80;

/// The version of a file or payload, and with it the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// `REDIS0001` to `REDIS0012`, of which Valkey wrote some too.
    Redis(u16),
    /// `VALKEY080`.
    Valkey(u16),
}

impl Version {
    /// The length of a header.
    pub const HEADER: usize = 9;

    /// From the first bytes of a file.
    ///
    /// # Errors
    /// They are not a header, or one of another version.
    pub fn of_header(header: [u8; Version::HEADER]) -> Result<Self, Fault> {
        let (digits, of_number): (_, fn(u16) -> Option<Version>) =
            if let Some(d) = header.strip_prefix(b"REDIS") {
                (d, |n| (1..=REDIS_NEWEST).contains(&n).then_some(Version::Redis(n)))
            } else if let Some(d) = header.strip_prefix(b"VALKEY") {
                (d, |n| (n == VALKEY).then_some(Version::Valkey(n)))
            } else {
                return Err(Fault::Magic);
            };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(Fault::Magic);
        }
        let number = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
        of_number(number).ok_or(Fault::Version(number.into()))
    }

    /// From the two bytes that follow a DUMP payload's value.
    ///
    /// # Errors
    /// It is another version.
    pub fn of_payload(number: u16) -> Result<Self, Fault> {
        match number {
            0..=REDIS_NEWEST => Ok(Version::Redis(number)),
            VALKEY => Ok(Version::Valkey(number)),
            _ => Err(Fault::Version(number.into())),
        }
    }

    /// The header of a file.
    pub fn header(self) -> [u8; Version::HEADER] {
        let text = match self {
            Version::Redis(n) => format!("REDIS{n:04}"),
            Version::Valkey(n) => format!("VALKEY{n:03}"),
        };
        text.as_bytes().try_into().expect("a version has at most four, or three, digits")
    }

    /// The number alone, as in payloads.
    pub fn number(self) -> u16 {
        match self {
            Version::Redis(n) | Version::Valkey(n) => n,
        }
    }

    /// Whether files end with a checksum.
    pub fn has_checksum(self) -> bool {
        self.number() >= 5
    }
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Version 10, of Redis 7.0. It knows no deadlines of fields, no sets in listpacks, and of a stream's consumers not
    /// when they last got something.
    Redis10,
    /// Version 11, the newest that both lines load. It knows no deadlines of fields.
    #[default]
    Common,
    /// Version 12, of Redis 7.4 to 8.2.
    Redis12,
    /// Version 80, of Valkey 9.
    Valkey80,
}

impl Format {
    /// From the value of the directive `rdb-format`.
    pub fn named(name: &str) -> Option<Format> {
        match name {
            "redis-10" => Some(Format::Redis10),
            "11" => Some(Format::Common),
            "redis-12" => Some(Format::Redis12),
            "valkey-80" => Some(Format::Valkey80),
            _ => None,
        }
    }

    /// The version that is written.
    pub fn version(self) -> Version {
        match self {
            Format::Redis10 => Version::Redis(10),
            Format::Common => Version::Redis(11),
            Format::Redis12 => Version::Redis(12),
            Format::Valkey80 => Version::Valkey(VALKEY),
        }
    }

    /// The format in which hashes with deadlines of fields can be written: this one, or Redis's if it cannot.
    #[must_use]
    pub fn with_field_deadlines(self) -> Format {
        match self {
            Format::Redis10 | Format::Common => Format::Redis12,
            other => other,
        }
    }

    /// Whether sets may be listpacks.
    pub(super) fn has_set_packs(self) -> bool {
        self != Format::Redis10
    }

    /// Whether it is told when a consumer last got something.
    pub(super) fn has_active_times(self) -> bool {
        self != Format::Redis10
    }

    /// The type of a stream.
    pub(super) fn stream_kind(self) -> u8 {
        if self.has_active_times() { kind::STREAM } else { kind::STREAM_2 }
    }
}

/// Opcodes, which stand where a value's type may stand.
pub(crate) mod op {
    /// A slot that is being imported: Valkey's.
    pub(crate) const SLOT_IMPORT: u8 = 243;
    pub(crate) const SLOT_INFO: u8 = 244;
    pub(crate) const FUNCTION: u8 = 245;
    pub(crate) const OLD_FUNCTION: u8 = 246;
    pub(crate) const MODULE_AUX: u8 = 247;
    pub(crate) const IDLE: u8 = 248;
    pub(crate) const FREQUENCY: u8 = 249;
    pub(crate) const AUX: u8 = 250;
    pub(crate) const RESIZE: u8 = 251;
    pub(crate) const EXPIRE_MS: u8 = 252;
    pub(crate) const EXPIRE: u8 = 253;
    pub(crate) const SELECT: u8 = 254;
    pub(crate) const END: u8 = 255;
}

/// The types of values that are written.
pub(crate) mod kind {
    pub(crate) const STRING: u8 = 0;
    pub(crate) const SET: u8 = 2;
    pub(crate) const HASH: u8 = 4;
    pub(crate) const SORTED_SET: u8 = 5;
    pub(crate) const SET_INTS: u8 = 11;
    pub(crate) const HASH_PACK: u8 = 16;
    pub(crate) const SORTED_SET_PACK: u8 = 17;
    pub(crate) const LIST: u8 = 18;
    pub(crate) const STREAM_2: u8 = 19;
    pub(crate) const SET_PACK: u8 = 20;
    pub(crate) const STREAM: u8 = 21;
    pub(crate) const VALKEY_HASH: u8 = 22;
    pub(crate) const REDIS_HASH: u8 = 24;
    pub(crate) const REDIS_HASH_PACK: u8 = 25;
}

/// The form in which a value is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    String,
    /// Count, elements.
    List,
    Set,
    /// Count, members with scores as text.
    TextSortedSet,
    /// Count, members with scores in binary.
    SortedSet,
    Hash,
    /// A value of a module, in parts that can be skipped.
    Module,
    Zipmap,
    ZiplistList,
    Intset,
    ZiplistSortedSet,
    ZiplistHash,
    /// Count, ziplists.
    Quicklist,
    /// Count, containers and listpacks or plain strings.
    Quicklist2,
    HashPack,
    SortedSetPack,
    SetPack,
    /// Of the version 1, 2 or 3.
    Stream(u8),
    /// Count, fields with deadlines: absolute, or after one that stands at the beginning.
    RedisHash {
        relative: bool,
    },
    /// A listpack with deadlines, after the first of them or not.
    RedisHashPack {
        first: bool,
    },
    /// Count, fields with deadlines after their values.
    ValkeyHash,
}

impl Form {
    /// `None` if there is no such type of value.
    pub(crate) fn of(byte: u8, version: Version) -> Option<Result<Form, Fault>> {
        let redis = matches!(version, Version::Redis(_));
        Some(Ok(match byte {
            kind::STRING => Form::String,
            1 => Form::List,
            kind::SET => Form::Set,
            3 => Form::TextSortedSet,
            kind::HASH => Form::Hash,
            kind::SORTED_SET => Form::SortedSet,
            6 => return Some(Err(Fault::OldModule)),
            7 => Form::Module,
            9 => Form::Zipmap,
            10 => Form::ZiplistList,
            kind::SET_INTS => Form::Intset,
            12 => Form::ZiplistSortedSet,
            13 => Form::ZiplistHash,
            14 => Form::Quicklist,
            15 => Form::Stream(1),
            kind::HASH_PACK => Form::HashPack,
            kind::SORTED_SET_PACK => Form::SortedSetPack,
            kind::LIST => Form::Quicklist2,
            kind::STREAM_2 => Form::Stream(2),
            kind::SET_PACK => Form::SetPack,
            kind::STREAM => Form::Stream(3),
            kind::VALKEY_HASH if !redis => Form::ValkeyHash,
            22 if redis => Form::RedisHash { relative: false },
            23 if redis => Form::RedisHashPack { first: false },
            kind::REDIS_HASH if redis => Form::RedisHash { relative: true },
            kind::REDIS_HASH_PACK if redis => Form::RedisHashPack { first: true },
            _ => return None,
        }))
    }

    /// The name that the peers' tools have for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Form::String => "string",
            Form::List => "list-linked",
            Form::Set => "set-hashtable",
            Form::TextSortedSet => "zset-v1",
            Form::SortedSet => "zset-v2",
            Form::Hash => "hash-hashtable",
            Form::Module => "module-value",
            Form::Zipmap => "hash-zipmap",
            Form::ZiplistList => "list-ziplist",
            Form::Intset => "set-intset",
            Form::ZiplistSortedSet => "zset-ziplist",
            Form::ZiplistHash => "hash-ziplist",
            Form::Quicklist => "quicklist",
            Form::Quicklist2 => "quicklist-v2",
            Form::HashPack => "hash-listpack",
            Form::SortedSetPack => "zset-listpack",
            Form::SetPack => "set-listpack",
            Form::Stream(1) => "stream",
            Form::Stream(2) => "stream-v2",
            Form::Stream(_) => "stream-v3",
            Form::RedisHash { relative: true } => "hash-hashtable-md",
            Form::RedisHash { relative: false } => "hash-hashtable-md-pre-release",
            Form::RedisHashPack { first: true } => "hash-listpack-md",
            Form::RedisHashPack { first: false } => "hash-listpack-md-pre-release",
            Form::ValkeyHash => "hash-volatile-items",
        }
    }

    /// The type of the value; a module's has none.
    pub(crate) fn kind(self) -> Option<Kind> {
        Some(match self {
            Form::String => Kind::String,
            Form::List | Form::ZiplistList | Form::Quicklist | Form::Quicklist2 => Kind::List,
            Form::Set | Form::Intset | Form::SetPack => Kind::Set,
            Form::TextSortedSet | Form::SortedSet | Form::ZiplistSortedSet | Form::SortedSetPack => {
                Kind::SortedSet
            }
            Form::Hash
            | Form::Zipmap
            | Form::ZiplistHash
            | Form::HashPack
            | Form::RedisHash { .. }
            | Form::RedisHashPack { .. }
            | Form::ValkeyHash => Kind::Hash,
            Form::Stream(_) => Kind::Stream,
            Form::Module => return None,
        })
    }
}

/// The name of a module from the number by which its data is marked: nine letters of six bits, then ten bits of a
/// version.
pub(crate) fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|i| char::from(LETTERS[(id >> (58 - 6 * i) & 63) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::{Fault, Format, Version, module_name};

    #[test]
    fn headers() {
        for n in 1..=12 {
            let version = Version::Redis(n);
            assert_eq!(Version::of_header(version.header()), Ok(version));
        }
        assert_eq!(Version::of_header(*b"VALKEY080"), Ok(Version::Valkey(80)));
        assert_eq!(Version::of_header(*b"REDIS0013"), Err(Fault::Version(13)));
        assert_eq!(Version::of_header(*b"REDIS0000"), Err(Fault::Version(0)));
        assert_eq!(Version::of_header(*b"REDIS0080"), Err(Fault::Version(80)));
        assert_eq!(Version::of_header(*b"VALKEY011"), Err(Fault::Version(11)));
        assert_eq!(Version::of_header(*b"REDIS00x1"), Err(Fault::Magic));
        assert_eq!(Version::of_header(*b"*3\r\n$3\r\nS"), Err(Fault::Magic));
    }

    #[test]
    fn field_deadlines_raise_the_formats_that_know_none() {
        assert_eq!(Format::Redis10.with_field_deadlines(), Format::Redis12);
        assert_eq!(Format::Common.with_field_deadlines(), Format::Redis12);
        assert_eq!(Format::Valkey80.with_field_deadlines(), Format::Valkey80);
        assert_eq!(Format::named("redis-12"), Some(Format::Redis12));
        assert_eq!(Format::named("redis-10"), Some(Format::Redis10));
        assert_eq!(Format::named("12"), None);
    }

    #[test]
    fn modules_have_names() {
        let id = b"AAAAAAAAB".iter().fold(0u64, |id, letter| id << 6 | u64::from(letter - b'A')) << 10 | 3;
        assert_eq!(module_name(id), "AAAAAAAAB");
    }
}
