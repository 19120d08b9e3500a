//! How a reply is compared: each rule maps a reply to a canonical form, and canonical forms must be equal.

use crate::reply;

/// What part of a reply counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Every byte.
    Exact,
    /// Only that there is a reply.
    Any,
    /// The type byte, and whether it is a null.
    Kind,
    /// Everything but decimal digits: each run of them becomes `#`.
    Digits,
    /// In a bulk string, the names of `name=value` and `name:value`; values become `#`.
    Fields,
    /// The elements of an aggregate, in any order.
    Sorted,
    /// The pairs of elements of a flat array or map, in any order.
    Pairs,
    /// The elements of aggregates at every level, in any order.
    Unordered,
    /// An integer in a range, both ends included.
    Integer(i64, i64),
}

impl Rule {
    /// Reads a rule as written in a case file, without the `~`.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "any" => Rule::Any,
            "kind" => Rule::Kind,
            "digits" => Rule::Digits,
            "fields" => Rule::Fields,
            "sorted" => Rule::Sorted,
            "pairs" => Rule::Pairs,
            "unordered" => Rule::Unordered,
            _ => {
                let (low, high) = word.strip_prefix("int=")?.split_once("..")?;
                Rule::Integer(low.parse().ok()?, high.parse().ok()?)
            }
        })
    }

    /// The canonical form of `reply`. A reply of a kind that the rule is not made for stays as it is.
    pub fn canonical(&self, reply: &[u8]) -> Vec<u8> {
        let form = match self {
            Rule::Exact => None,
            Rule::Any => Some(b"(any)".to_vec()),
            Rule::Kind => Some(kind(reply)),
            Rule::Digits => Some(mask_digits(reply)),
            Rule::Fields => reply::payload(reply).map(mask_values),
            Rule::Sorted => sorted(reply, 1),
            Rule::Pairs => sorted(reply, 2),
            Rule::Unordered => Some(unordered(reply)),
            Rule::Integer(low, high) => reply::integer(reply)
                .filter(|n| (low..=high).contains(&n))
                .map(|_| format!(":{low}..{high}").into_bytes()),
        };
        form.unwrap_or_else(|| reply.to_vec())
    }
}

fn kind(reply: &[u8]) -> Vec<u8> {
    match reply {
        [b'$' | b'*', b'-', ..] => b"(null)".to_vec(),
        [b'_', ..] => b"(null)".to_vec(),
        [first, ..] => vec![b'(', *first, b')'],
        [] => Vec::new(),
    }
}

fn mask_digits(reply: &[u8]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(reply.len());
    for &byte in reply {
        match byte {
            b'0'..=b'9' if masked.last() == Some(&b'#') => {}
            b'0'..=b'9' => masked.push(b'#'),
            _ => masked.push(byte),
        }
    }
    masked
}

fn mask_values(text: &[u8]) -> Vec<u8> {
    let mut masked = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        for word in line.split_inclusive(|&byte| byte == b' ') {
            match word.iter().position(|byte| b"=:".contains(byte)) {
                Some(at) => {
                    masked.extend_from_slice(&word[..=at]);
                    masked.push(b'#');
                    let end = word.trim_ascii_end().len();
                    masked.extend_from_slice(&word[end.max(at + 1)..]);
                }
                None => masked.extend_from_slice(word),
            }
        }
    }
    masked
}

fn sorted(reply: &[u8], group: usize) -> Option<Vec<u8>> {
    let (head, parts) = reply::elements(reply)?;
    let mut groups: Vec<Vec<u8>> = parts.chunks(group).map(<[&[u8]]>::concat).collect();
    groups.sort();
    Some([head.to_vec(), groups.concat()].concat())
}

fn unordered(reply: &[u8]) -> Vec<u8> {
    let Some((head, parts)) = reply::elements(reply) else { return reply.to_vec() };
    let mut parts: Vec<Vec<u8>> = parts.into_iter().map(unordered).collect();
    parts.sort();
    [head.to_vec(), parts.concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        let check = |rule: &str, reply: &str, wanted: &str| {
            let rule = Rule::parse(rule).expect("a rule");
            assert_eq!(String::from_utf8_lossy(&rule.canonical(reply.as_bytes())), wanted);
        };
        check("any", "+OK\r\n", "(any)");
        check("kind", "$-1\r\n", "(null)");
        check("kind", ":12\r\n", "(:)");
        check("digits", "$12\r\nid=3 a=45\r\n", "$#\r\nid=# a=#\r\n");
        check("fields", "$14\r\nid=3 name= x:7\r\n", "id=# name=# x:#");
        check("sorted", "*2\r\n+b\r\n+a\r\n", "*2\r\n+a\r\n+b\r\n");
        check("pairs", "*4\r\n+b\r\n+1\r\n+a\r\n+2\r\n", "*4\r\n+a\r\n+2\r\n+b\r\n+1\r\n");
        check("unordered", "*2\r\n*2\r\n+b\r\n+a\r\n*0\r\n", "*2\r\n*0\r\n*2\r\n+a\r\n+b\r\n");
        check("int=1..5", ":5\r\n", ":1..5");
        check("int=1..5", ":6\r\n", ":6\r\n");
        assert_eq!(Rule::parse("int=1"), None);
    }
}
