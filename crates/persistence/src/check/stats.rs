//! What is in a file, by type and by form, and its largest keys.

use std::collections::BTreeMap;

use super::table::{self, Column, Side};

/// How many of the largest keys are named.
const LARGEST: usize = 10;
/// How much of a key is shown.
const SHOWN: usize = 60;

/// What all keys that are stored in one form amount to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TypeStats {
    /// How many keys there are.
    pub keys: u64,
    /// Those with a deadline.
    pub expires: u64,
    /// Elements, members, fields or entries; 1 for a string.
    pub elements: u64,
    /// Bytes of the file, with the keys and what is said about them.
    pub bytes: u64,
}

/// One of the largest keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Largest {
    /// Its database.
    pub db: u64,
    /// Its name.
    pub key: Vec<u8>,
    /// Its type and the form in which it is stored.
    pub form: (&'static str, &'static str),
    /// As in [`TypeStats`].
    pub elements: u64,
    /// As in [`TypeStats`].
    pub bytes: u64,
}

/// What is in a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RdbStats {
    /// Keys whose values have at least begun.
    pub keys: u64,
    /// Those with a deadline.
    pub expires: u64,
    /// Those whose deadline has passed.
    pub already_expired: u64,
    /// Hashes with a deadline of a field.
    pub subexpires: u64,
    /// Libraries of functions.
    pub functions: u64,
    /// By type and form.
    pub types: BTreeMap<(&'static str, &'static str), TypeStats>,
    /// The largest keys, the largest first.
    pub largest: Vec<Largest>,
}

impl RdbStats {
    /// Counts a key that was read to its end.
    pub(super) fn add(&mut self, key: Largest, has_deadline: bool) {
        let sum = self.types.entry(key.form).or_default();
        sum.keys += 1;
        sum.expires += u64::from(has_deadline);
        sum.elements += key.elements;
        sum.bytes += key.bytes;
        let at = self.largest.partition_point(|other| other.bytes >= key.bytes);
        if at < LARGEST {
            self.largest.truncate(LARGEST - 1);
            self.largest.insert(at, key);
        }
    }

    /// Appends the lines and tables that end a report.
    pub(super) fn write(&self, out: &mut String) {
        let numbers = [
            (self.keys, "keys read"),
            (self.expires, "expires"),
            (self.already_expired, "already expired"),
            (self.subexpires, "subexpires"),
            (self.functions, "functions"),
        ];
        for (number, what) in numbers {
            out.push_str(&format!("[info] {number} {what}\n"));
        }
        if !self.types.is_empty() {
            out.push_str("\nKeys by type and encoding:\n");
            self.write_types(out);
            out.push_str("\nLargest keys:\n");
            self.write_largest(out);
        }
    }

    fn write_types(&self, out: &mut String) {
        let columns = [
            Column("type", Side::Left),
            Column("encoding", Side::Left),
            Column("keys", Side::Right),
            Column("expires", Side::Right),
            Column("elements", Side::Right),
            Column("bytes", Side::Right),
            Column("bytes/key", Side::Right),
        ];
        let row = |((kind, form), sum): (&(&str, &str), &TypeStats)| {
            let numbers = [sum.keys, sum.expires, sum.elements, sum.bytes, sum.bytes / sum.keys.max(1)];
            let [keys, expires, elements, bytes, each] = numbers.map(|n| n.to_string());
            [(*kind).to_owned(), (*form).to_owned(), keys, expires, elements, bytes, each]
        };
        table::write(out, &columns, &self.types.iter().map(row).collect::<Vec<_>>());
    }

    fn write_largest(&self, out: &mut String) {
        let columns = [
            Column("bytes", Side::Right),
            Column("elements", Side::Right),
            Column("db", Side::Right),
            Column("type", Side::Left),
            Column("encoding", Side::Left),
            Column("key", Side::Left),
        ];
        let row = |key: &Largest| {
            let (kind, form) = key.form;
            let [bytes, elements, db] = [key.bytes, key.elements, key.db].map(|n| n.to_string());
            [bytes, elements, db, kind.to_owned(), form.to_owned(), shown(&key.key)]
        };
        table::write(out, &columns, &self.largest.iter().map(row).collect::<Vec<_>>());
    }
}

/// A name as text, cut if it is long.
pub(super) fn shown(name: &[u8]) -> String {
    match name.get(..SHOWN) {
        Some(start) if name.len() > SHOWN => {
            format!("{}... ({} bytes)", start.escape_ascii(), name.len())
        }
        _ => name.escape_ascii().to_string(),
    }
}
