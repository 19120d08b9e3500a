//! Glob patterns as `KEYS`, `SCAN MATCH`, `PSUBSCRIBE` and `CONFIG GET` understand them: `*`, `?`, `[a-z]`, `[^a]` and
//! `\` escapes, over bytes.
//!
//! Matching takes time proportional to pattern times text at worst: after a mismatch only the last `*` can take one
//! more byte, since whatever an earlier `*` could swallow, the later one can swallow too. Nothing recurses. Knows
//! nothing of keys or commands.

/// A pattern with more groups of `*` than this matches nothing, as in the peers.
const MAX_STARS: usize = 1000;

/// Whether letters of different case are the same letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Case {
    /// `a` matches `a` only.
    Sensitive,
    /// ASCII letters match in either case.
    Ignored,
}

/// Whether `text` as a whole matches `pattern`.
pub(crate) fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        // Not even `*` matches the empty text: what is tried is one element against one byte.
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut stars = 0;
    // Where to resume after a mismatch: the pattern behind the last `*`, and the text where it was last tried.
    let mut resume = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p = skip_stars(pattern, p);
            if p == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > MAX_STARS {
                return false;
            }
            resume = Some((p, t));
        } else if let Some(next) = element(pattern, p, text[t], case) {
            p = next;
            t += 1;
        } else if let Some((after_star, tried)) = resume {
            p = after_star;
            t = tried + 1;
            resume = Some((p, t));
        } else {
            return false;
        }
    }
    // Every element takes exactly one byte: when the text ran out first, starting later could not help.
    skip_stars(pattern, p) == pattern.len()
}

/// Whether `pattern` holds no character with a special meaning, so that it matches itself only.
pub(crate) fn is_literal(pattern: &[u8]) -> bool {
    memchr::memchr3(b'*', b'?', b'[', pattern).is_none() && memchr::memchr(b'\\', pattern).is_none()
}

fn skip_stars(pattern: &[u8], p: usize) -> usize {
    p + pattern[p..].iter().take_while(|&&b| b == b'*').count()
}

/// Matches the element at `p` (anything but `*`) against one byte; the answer is where the next element starts.
fn element(pattern: &[u8], p: usize, byte: u8, case: Case) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let (found, next) = class(pattern, p + 1, byte, case);
            found.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => same(pattern[p + 1], byte, case).then_some(p + 2),
        literal => same(literal, byte, case).then_some(p + 1),
    }
}

/// Reads the character class whose `[` ends before `p`: whether `byte` is in it, and where it ends.
///
/// A class that is never closed ends with the pattern. Inside it an escaped byte is compared exactly even if case is
/// ignored elsewhere; a range may be written backwards, and orders bytes as signed numbers. (All as in the peers.)
fn class(pattern: &[u8], mut p: usize, byte: u8, case: Case) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[p.min(pattern.len())..] {
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                p += 2;
            }
            [b']', ..] => return (found != negated, p + 1),
            [] => return (found != negated, pattern.len()),
            [a, b'-', b, ..] => {
                found |= in_range(a, b, byte, case);
                p += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, case);
                p += 1;
            }
        }
    }
}

fn in_range(a: u8, b: u8, byte: u8, case: Case) -> bool {
    let (a, b) = (a as i8, b as i8);
    let (low, high) = (a.min(b), a.max(b));
    match case {
        Case::Sensitive => (low..=high).contains(&(byte as i8)),
        Case::Ignored => {
            let lower = |c: i8| (c as u8).to_ascii_lowercase() as i8;
            (lower(low)..=lower(high)).contains(&lower(byte as i8))
        }
    }
}

fn same(a: u8, b: u8, case: Case) -> bool {
    a == b || (case == Case::Ignored && a.eq_ignore_ascii_case(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive)
    }

    #[test]
    fn wildcards() {
        for (pattern, yes, no) in [
            ("h?llo", "hello", "hllo"),
            ("h*llo", "heeello", "heeell"),
            ("h[ae]llo", "hallo", "hillo"),
            ("h[^e]llo", "hbllo", "hello"),
            ("h[a-b]llo", "hbllo", "hcllo"),
            ("h[b-a]llo", "hallo", "hcllo"),
            ("a**b*", "ab", "ac"),
            (r"a\*b", "a*b", "axb"),
            (r"[\]x]", "]", "\\"),
            ("[^", "a", ""),
            ("[a-", "-", "b"),
            (r"a\", r"a\", "a"),
            ("*", "x", ""),
        ] {
            assert!(glob(pattern, yes), "{pattern} {yes}");
            assert!(!glob(pattern, no), "{pattern} {no}");
        }
    }

    /// Pattern, text, and whether KEYS of Redis 8.2.3 and of Valkey 9.1.2 matches them.
    const RECORDED: &[(&[u8], &[u8], bool)] = &[
        (b"[]a]", b"a", false),
        (b"[]", b"]", false),
        (b"[^]", b"a", true),
        (b"[^]a", b"ba", true),
        (b"[a-]", b"-", false),
        (b"[a-]]", b"a]", false),
        (b"[--a]", b"A", true),
        (b"[z-a]", b"m", true),
        (b"[a-", b"a", true),
        (b"[\\", b"\\", true),
        (b"[\\]", b"]", true),
        (b"[\\]]", b"]", true),
        (b"[\\a-c]", b"b", false),
        (b"[\\a-c]", b"-", true),
        (b"[^\\]]", b"a", true),
        (b"[a\\-c]", b"b", false),
        (b"[a\\-c]", b"-", true),
        (b"[a^]", b"^", true),
        (b"[!a]", b"b", false),
        (b"[!a]", b"!", true),
        (b"[[]", b"[", true),
        (b"[*]", b"*", true),
        (b"[?]", b"x", false),
        (b"\\", b"\\", true),
        (b"\\\\", b"\\", true),
        (b"\\a", b"a", true),
        (b"\\*", b"*", true),
        (b"a\\", b"a\\", true),
        (b"[^", b"a", true),
        (b"[", b"[", false),
        (b"[ab", b"b", true),
        (b"[^ab", b"c", true),
        (b"[a-c", b"b", true),
        (b"[\x7f-\x80]", b"a", true),
        (b"[\x80-\xff]", b"\xc3", true),
        (b"?", b"\x00", true),
        (b"*[ab]*[^ab]", b"xaxb", false),
        (b"*\\**", b"a*b", true),
        (b"**a", b"ba", true),
        (b"a**", b"a", true),
        (b"?*?", b"a", false),
        (b"?*?", b"ab", true),
        (b"", b"a", false),
        (b"[]-a]", b"^", false),
        (b"[a-b-c]", b"-", true),
        (b"[a-b-c]", b"c", true),
    ];

    #[test]
    fn odd_patterns_match_as_in_the_peers() {
        for (pattern, text, expected) in RECORDED {
            let shown = (pattern.escape_ascii(), text.escape_ascii());
            assert_eq!(matches(pattern, text, Case::Sensitive), *expected, "{} {}", shown.0, shown.1);
        }
    }

    #[test]
    fn case_is_ignored_on_demand() {
        assert!(matches(b"H[A-C]*", b"hbX", Case::Ignored));
        assert!(!matches(b"H[A-C]*", b"hbX", Case::Sensitive));
        assert!(!matches(br"[\A]", b"a", Case::Ignored));
    }

    #[test]
    fn ranges_are_signed() {
        assert!(matches(b"[\x7f-\x80]", b"a", Case::Sensitive));
        assert!(!matches(b"[a-\xff]", b"z", Case::Sensitive));
    }

    #[test]
    fn hostile_patterns_are_cheap() {
        let pattern = "a*".repeat(900) + "b";
        assert!(!glob(&pattern, &"a".repeat(20_000)));
        assert!(glob(&"*a".repeat(1000), &"a".repeat(1000)));
        assert!(!glob(&"*a".repeat(1001), &"a".repeat(1001)));
        assert!(glob(&("*a".repeat(1000) + "*"), &"a".repeat(1001)));
    }

    #[test]
    fn literals() {
        assert!(is_literal(b"plain]-^"));
        for special in [&b"a*"[..], b"a?", b"[a", b"a\\"] {
            assert!(!is_literal(special));
        }
    }

    /// The definition, with no thought of cost.
    fn naive(pattern: &[u8], text: &[u8], case: Case) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|n| naive(rest, &text[n..], case)),
            (_, []) => false,
            (_, [byte, rest @ ..]) => {
                element(pattern, 0, *byte, case).is_some_and(|n| naive(&pattern[n..], rest, case))
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in r"[ab*?\[\]^\\-]{0,9}", text in "[abA-]{1,8}", fold: bool) {
            let case = if fold { Case::Ignored } else { Case::Sensitive };
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), case),
                naive(pattern.as_bytes(), text.as_bytes(), case)
            );
        }

        #[test]
        fn a_literal_matches_itself_only(text in "[a-z]{1,6}", other in "[a-z]{1,6}") {
            prop_assert!(is_literal(text.as_bytes()));
            prop_assert_eq!(glob(&text, &other), text == other);
        }
    }
}
