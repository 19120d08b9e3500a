//! Finding the keys in a command from its row's key specifications.

use carnelian_resp::{Argv, number};

use crate::row::{Begin, Find, KeyFlags, KeySpec, Row};

/// A key of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FoundKey {
    /// Its argument.
    pub(crate) index: usize,
    /// What happens to it.
    pub(crate) flags: KeyFlags,
}

/// The arguments contradict the specification, such as a number of keys beyond the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeysError;

/// All keys, in the order of the specifications.
pub(crate) fn find(row: &Row, argv: Argv<'_>) -> Result<Vec<FoundKey>, KeysError> {
    let mut found = Vec::new();
    for spec in row.keys.iter().filter(|spec| !spec.flags.contains(KeyFlags::NOT_KEY)) {
        let Some(begin) = begin(spec, argv) else { continue };
        let flags = match row.key_flags {
            Some(of) if spec.flags.contains(KeyFlags::VARIABLE_FLAGS) => of(argv),
            _ => spec.flags,
        };
        let (first, last, step) = match spec.find {
            Find::Range { last, step, limit } => {
                let rest = argv.len() - begin;
                let last = match last {
                    -1 if limit > 1 => begin + rest / limit - 1,
                    last if last < 0 => {
                        argv.len().checked_sub(last.unsigned_abs() as usize).ok_or(KeysError)?
                    }
                    last => begin + last as usize,
                };
                (begin, last, step)
            }
            Find::Count { count, first, step } => {
                let keys = argv.get(begin + count).and_then(number::parse_i64).ok_or(KeysError)?;
                let keys = usize::try_from(keys).map_err(|_| KeysError)?;
                if keys == 0 {
                    continue;
                }
                let span = (keys - 1).checked_mul(step).ok_or(KeysError)?;
                let end = (begin + first).checked_add(span).ok_or(KeysError)?;
                // The arguments that belong to the last key have to be there as well.
                if end.checked_add(step - 1).is_none_or(|end| end >= argv.len()) {
                    return Err(KeysError);
                }
                (begin + first, end, step)
            }
            Find::Unknown => continue,
        };
        if last >= argv.len() {
            return Err(KeysError);
        }
        found.extend((first..=last).step_by(step).map(|index| FoundKey { index, flags }));
    }
    found.extend(row.more_keys.and_then(|more| more(argv)));
    Ok(found)
}

/// Where the search begins, if it does.
fn begin(spec: &KeySpec, argv: Argv<'_>) -> Option<usize> {
    let begin = match spec.begin {
        Begin::Index(index) => index,
        Begin::Keyword(word, from) => {
            let is_word = |i: &usize| argv.arg(*i).eq_ignore_ascii_case(word.as_bytes());
            let at = if from >= 0 {
                (from as usize..argv.len()).find(is_word)?
            } else {
                let last = argv.len().checked_sub(from.unsigned_abs() as usize)?;
                (1..=last).rev().find(is_word)?
            };
            at + 1
        }
        Begin::Unknown => return None,
    };
    (begin < argv.len()).then_some(begin)
}

/// The first key, the last one (negative: from the end) and the distance between keys, for clients from before key
/// specifications; zeros if the keys do not follow such a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LegacyRange {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) step: i64,
}

/// The range that a row's specifications amount to, as far as they are adjacent.
pub(crate) fn legacy_range(row: &Row) -> LegacyRange {
    let mut range = LegacyRange::default();
    for spec in row.keys {
        let (Begin::Index(index), Find::Range { last, step, limit: 0 }) = (spec.begin, spec.find) else {
            continue;
        };
        let (first, step) = (index as i64, step as i64);
        let last = if last >= 0 { first + i64::from(last) } else { i64::from(last) };
        if range.first == 0 {
            range = LegacyRange { first, last, step };
        } else if range.last == first - 1 && range.step == 1 && step == 1 {
            range.last = last;
        }
    }
    range
}
