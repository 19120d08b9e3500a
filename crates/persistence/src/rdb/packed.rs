//! Deep checks of collections that are stored as one run of bytes: that elements come in pairs, occur once, and stand
//! in the order in which the types rely on them. Knows no types and no cursor.

use carnelian_keyspace::encoding::listpack::{Element, ListpackRef};

use super::cursor::score_of;
use super::error::Fault;

/// Up to so many elements, comparing each with each is the fastest way to see that none occurs twice.
const FEW: usize = 12;

/// Checks a listpack of records of `each` elements, of which the first identifies the record; `what` names the
/// collection. Returns the number of records.
pub(crate) fn check_records(pack: ListpackRef<'_>, each: usize, what: &'static str) -> Result<usize, Fault> {
    let len = pack.len();
    if !len.is_multiple_of(each) {
        return Err(Fault::Uneven(what));
    }
    let records = len / each;
    if is_repetitive(pack, each, records) { Err(Fault::Repetition(what)) } else { Ok(records) }
}

fn is_repetitive(pack: ListpackRef<'_>, each: usize, records: usize) -> bool {
    let mut names = pack.iter().step_by(each);
    if records <= FEW {
        let mut seen = [Element::Int(0); FEW];
        return names.enumerate().any(|(i, name)| {
            seen[i] = name;
            seen[..i].contains(&name)
        });
    }
    let mut sorted: Vec<Element<'_>> = Vec::with_capacity(records);
    sorted.extend(&mut names);
    sorted.sort_unstable_by(|a, b| order(*a).cmp(&order(*b)));
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// Any total order of elements will do.
fn order(element: Element<'_>) -> (i64, &[u8]) {
    match element {
        Element::Int(v) => (v, b""),
        Element::Bytes(bytes) => (bytes.len() as i64, bytes),
    }
}

/// The score that an element stands for.
pub(crate) fn score(element: Element<'_>) -> Result<f64, Fault> {
    match element {
        Element::Int(v) => Ok(v as f64),
        Element::Bytes(text) => score_of(text),
    }
}

/// The last deadline of a field that Redis reads, in Unix milliseconds: it keeps them in 48 bits. Valkey has no such bound.
pub(crate) const LAST_DEADLINE: u64 = (1 << 48) - 1;

/// Checks that a deadline of a field, written by Redis, is one that Redis has.
pub(crate) fn check_deadline(deadline: u64) -> Result<(), Fault> {
    if deadline > LAST_DEADLINE { Err(Fault::Deadline(deadline)) } else { Ok(()) }
}

/// Checks that deadlines of fields (the third element of each record) ascend, and that those without one, which
/// have 0, come last. None may be after the last one.
pub(crate) fn check_deadlines(pack: ListpackRef<'_>) -> Result<(), Fault> {
    let mut before = 0;
    for element in pack.iter().skip(2).step_by(3) {
        let deadline = match element {
            Element::Int(0) => u64::MAX,
            Element::Int(v) => {
                let deadline = u64::try_from(v).map_err(|_| Fault::Number)?;
                check_deadline(deadline)?;
                deadline
            }
            Element::Bytes(_) => return Err(Fault::Number),
        };
        if deadline < before {
            return Err(Fault::Order("hash"));
        }
        before = deadline;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Fault, LAST_DEADLINE, check_deadlines, check_records};
    use carnelian_keyspace::encoding::listpack::Listpack;

    fn pack<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Listpack {
        let mut pack = Listpack::new();
        texts.into_iter().for_each(|text| pack.push_back(text.as_ref()));
        pack
    }

    #[test]
    fn what_occurs_twice_is_found_among_few_and_many() {
        for n in [1, 2, 5, 12, 13, 40, 400] {
            let mut texts: Vec<String> = (0..n).map(|i| format!("{}", i * 7 % 401)).collect();
            texts[n - 1] = "x".into();
            assert_eq!(check_records(pack(&texts).view(), 1, "set"), Ok(n));
            for at in 0..n - 1 {
                let mut texts = texts.clone();
                texts[n - 1] = texts[at].clone();
                assert_eq!(check_records(pack(&texts).view(), 1, "set"), Err(Fault::Repetition("set")));
            }
        }
        assert_eq!(check_records(pack(["a", "1", "b", "1"]).view(), 2, "hash"), Ok(2));
        assert_eq!(check_records(pack(["a", "1", "b"]).view(), 2, "hash"), Err(Fault::Uneven("hash")));
    }

    #[test]
    fn deadlines_ascend() {
        assert_eq!(check_deadlines(pack(["a", "1", "5", "b", "1", "5", "c", "1", "0"]).view()), Ok(()));
        assert_eq!(check_deadlines(pack(["a", "1", "5", "b", "1", "4"]).view()), Err(Fault::Order("hash")));
        assert_eq!(check_deadlines(pack(["a", "1", "0", "b", "1", "4"]).view()), Err(Fault::Order("hash")));
        assert_eq!(check_deadlines(pack(["a", "1", "x"]).view()), Err(Fault::Number));
        assert_eq!(check_deadlines(pack(["a", "1", "-1"]).view()), Err(Fault::Number));
        let (last, beyond) = (LAST_DEADLINE.to_string(), (LAST_DEADLINE + 1).to_string());
        assert_eq!(check_deadlines(pack(["a", "1", &last]).view()), Ok(()));
        assert_eq!(
            check_deadlines(pack(["a", "1", &beyond]).view()),
            Err(Fault::Deadline(LAST_DEADLINE + 1))
        );
    }
}
