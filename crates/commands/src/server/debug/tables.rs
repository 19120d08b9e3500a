//! DEBUG HTSTATS-KEY: what a collection's table looks like, in the words of Redis. Where Redis has chains, there are
//! buckets here, which hold up to nine members each.

use carnelian_keyspace::Value;

use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;

/// How full the buckets of a table are.
struct Filling<'a> {
    /// How many buckets hold how many members, from none on.
    loads: &'a [usize],
}

impl Filling<'_> {
    fn buckets(&self) -> usize {
        self.loads.iter().sum()
    }

    fn members(&self) -> usize {
        self.loads.iter().enumerate().map(|(members, buckets)| members * buckets).sum()
    }

    fn describe(&self, full: bool) -> String {
        let (buckets, members) = (self.buckets(), self.members());
        let mut text = format!(
            "Hash table 0 stats (main hash table):\n table size: {buckets}\n number of elements: {members}\n"
        );
        let used = buckets - self.loads.first().copied().unwrap_or(0);
        if full && used > 0 {
            let most = self.loads.iter().rposition(|buckets| *buckets > 0).unwrap_or(0);
            let average = members as f64 / used as f64;
            text += &format!(
                " different slots: {used}\n max chain length: {most}\n avg chain length (counted): {average:.2}\n \
                 avg chain length (computed): {average:.2}\n Chain length distribution:\n"
            );
            for (length, count) in self.loads.iter().enumerate().filter(|(_, count)| **count > 0) {
                let share = *count as f64 * 100.0 / buckets as f64;
                text += &format!("   {length}: {count} ({share:.2}%)\n");
            }
        }
        text
    }
}

pub(super) fn of_key(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let full = cx.argv.get(3).is_some_and(|word| is(word, "full"));
    let item = cx.keyspace.peek(cx.db, cx.key(2)).ok_or(Error::NoSuchKey)?;
    let loads = match item.value() {
        Value::Hash(hash) => hash.bucket_loads(),
        Value::Set(set) => set.bucket_loads(),
        Value::SortedSet(set) => set.bucket_loads(),
        Value::Str(_) | Value::List(_) | Value::Stream(_) => None,
    };
    let loads = loads.ok_or(Error::Text(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    cx.out.verbatim("txt", Filling { loads: &loads }.describe(full).as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Filling;

    #[test]
    fn tables_are_described_as_redis_does() {
        let filling = Filling { loads: &[1, 0, 3] };
        let short = "Hash table 0 stats (main hash table):\n table size: 4\n number of elements: 6\n";
        assert_eq!(filling.describe(false), short);
        let rest = " different slots: 3\n max chain length: 2\n avg chain length (counted): 2.00\n \
                    avg chain length (computed): 2.00\n Chain length distribution:\n   0: 1 (25.00%)\n   \
                    2: 3 (75.00%)\n";
        assert_eq!(filling.describe(true), format!("{short}{rest}"));
    }
}
