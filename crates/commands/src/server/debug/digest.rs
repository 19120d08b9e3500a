//! DEBUG DIGEST: one hash of a whole dataset, the same as the peers'.

use carnelian_keyspace::stream::StreamId;
use carnelian_keyspace::{HashRef, Item, Keyspace, Kind, SortedSetRef, Stream, Value};
use carnelian_resp::number;
use sha1::{Digest as _, Sha1};

/// The hash of a dataset, the same as the peers': the order of keys does not matter, that of a key and its value does.
#[derive(Default)]
pub(super) struct Hash([u8; 20]);

impl Hash {
    pub(super) fn of_all(keyspace: &mut Keyspace) -> Hash {
        let mut all = Hash::default();
        for db in (0..keyspace.databases()).filter(|db| keyspace.len(*db) > 0).collect::<Vec<_>>() {
            all.mix(&(db as u32).to_be_bytes());
            keyspace.for_each(db, &mut |item| {
                let mut one = Hash::default();
                one.mix(item.key());
                one.mix_item(&item);
                all.add(&one.0);
            });
        }
        all
    }

    /// Adds data so that the order of additions does not matter.
    fn add(&mut self, data: &[u8]) {
        let sum = Sha1::digest(data);
        self.0.iter_mut().zip(sum).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds data so that the order matters.
    fn mix(&mut self, data: &[u8]) {
        self.add(data);
        self.0 = Sha1::digest(self.0).into();
    }

    /// Adds a value and whether it has a deadline.
    pub(super) fn mix_item(&mut self, item: &Item<'_>) {
        let kind: u32 = match item.kind() {
            Kind::String => 0,
            Kind::List => 1,
            Kind::Set => 2,
            Kind::SortedSet => 3,
            Kind::Hash => 4,
            Kind::Stream => 6,
        };
        self.mix(&kind.to_be_bytes());
        match item.value() {
            Value::Str(value) => self.mix(&value.to_bytes()),
            Value::List(list) => list.forward(0, list.len(), |element| element.with_bytes(|b| self.mix(b))),
            Value::Set(set) => set.for_each(|member| member.with_bytes(|b| self.add(b))),
            Value::SortedSet(set) => self.mix_sorted_set(&set),
            Value::Hash(hash) => self.mix_hash(hash),
            Value::Stream(stream) => self.mix_stream(stream),
        }
        if item.deadline().is_some() {
            self.add(b"!!expire!!");
        }
    }

    fn mix_hash(&mut self, hash: HashRef<'_>) {
        hash.for_each(|field| {
            let mut one = Hash::default();
            one.mix(&field.name.to_bytes());
            one.mix(&field.value.to_bytes());
            if field.deadline().is_some() {
                one.add(b"!!hexpire!!");
            }
            self.add(&one.0);
        });
    }

    fn mix_sorted_set(&mut self, set: &SortedSetRef<'_>) {
        set.for_each(|member, score| {
            let mut one = Hash::default();
            member.with_bytes(|bytes| one.mix(bytes));
            one.mix(&number::format_digits(score));
            self.add(&one.0);
        });
    }

    /// The entries; groups do not count.
    fn mix_stream(&mut self, stream: &Stream) {
        for entry in stream.log().range(StreamId::MIN, StreamId::MAX) {
            let id = entry.id();
            self.mix(format!("{}.{}", id.ms, id.seq).as_bytes());
            for (field, value) in entry.pairs() {
                self.mix(&field.to_bytes());
                self.mix(&value.to_bytes());
            }
        }
    }

    pub(super) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Session;

    #[test]
    fn collections_have_the_digests_that_they_have_in_the_peers() {
        let mut session = Session::with(&[("enable-debug-command", "local")]);
        session.check(&[
            ("RPUSH l a b 1 2 3 300 -5", "(integer) 7"),
            ("DEBUG DIGEST", "e1d8c47ec5e12b5c7bd281161280b8052bc6cca8"),
            ("SADD s 1 2 3", "(integer) 3"),
            ("SADD s2 a b c 17", "(integer) 4"),
            ("DEBUG DIGEST", "7a148a9501abe5b6cf7d655ade7c3a322fa6afb9"),
            ("ZADD z 1 a 2.5 b -inf c 1e100 d 0.1 e", "(integer) 5"),
            ("DEBUG DIGEST", "f5668a6e759388ac90619fa543baedf2961ea250"),
            ("XADD x 1-1 a b c d", "\"1-1\""),
            ("XADD x 1-2 a b e f", "\"1-2\""),
            ("XGROUP CREATE x g 0", "OK"),
            ("DEBUG DIGEST", "8c124ce3b38557a699bcdb4f9cdc7e5748dc8d78"),
            ("HSET h a 1", "(integer) 1"),
            ("PEXPIRE z 1000000", "(integer) 1"),
            ("DEBUG DIGEST", "56154104b2d399330d297d5aa39618b42e8f0a1a"),
        ]);
    }
}
