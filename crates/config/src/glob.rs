//! The glob patterns of CONFIG GET: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a character; case is ignored.

/// Whether the pattern has anything but literal characters.
pub(crate) fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|c| matches!(c, b'*' | b'?' | b'['))
}

/// Whether `text` matches `pattern`. Takes time proportional to the product of the lengths at most.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None; // where to go on after the last `*`: (pattern, text)
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if let Some(width) = match_one(&pattern[p..], text[t]) {
            p += width;
            t += 1;
            continue;
        }
        match star {
            Some((after, from)) => {
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            None => return false,
        }
    }
}

/// The length of the pattern's first element if it matches the character.
fn match_one(pattern: &[u8], c: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match_class(rest, c).map(|width| width + 1),
        [b'\\', literal, ..] => literal.eq_ignore_ascii_case(&c).then_some(2),
        [literal, ..] => literal.eq_ignore_ascii_case(&c).then_some(1),
    }
}

/// `class` starts after the bracket. An unclosed class reaches to the end of the pattern.
fn match_class(class: &[u8], c: u8) -> Option<usize> {
    let c = c.to_ascii_lowercase();
    let negated = class.first() == Some(&b'^');
    let mut i = usize::from(negated);
    let mut found = false;
    while i < class.len() && class[i] != b']' {
        match &class[i..] {
            [b'\\', literal, ..] => {
                found |= literal.to_ascii_lowercase() == c;
                i += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
                found |= (from.min(to)..=from.max(to)).contains(&c);
                i += 3;
            }
            _ => {
                found |= class[i].to_ascii_lowercase() == c;
                i += 1;
            }
        }
    }
    (found != negated).then_some((i + 1).min(class.len()))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        };
        check("*", "", true);
        check("max*", "maxmemory", true);
        check("MAX*POLICY", "maxmemory-policy", true);
        check("*max*y", "maxmemory-policy", true);
        check("?z", "hz", true);
        check("?", "hz", false);
        check("[a-h]z", "hz", true);
        check("[^a-h]z", "hz", false);
        check("h\\z", "hz", true);
        check("h[z", "hz", true);
        check("**a", "b", false);
    }
}
