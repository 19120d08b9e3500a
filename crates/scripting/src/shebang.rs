//! The first line of scripts and libraries: `#!lua flags=no-writes,allow-oom`, `#!lua name=mylib`.

use std::fmt;

/// What a script or function promises or asks for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ScriptFlags(u8);

impl ScriptFlags {
    /// It does not write.
    pub const NO_WRITES: ScriptFlags = ScriptFlags(1);
    /// It may run while memory is short.
    pub const ALLOW_OOM: ScriptFlags = ScriptFlags(2);
    /// It may run on a replica without its primary.
    pub const ALLOW_STALE: ScriptFlags = ScriptFlags(4);
    /// It may not run in a cluster.
    pub const NO_CLUSTER: ScriptFlags = ScriptFlags(8);
    /// It may use keys of several slots.
    pub const CROSS_SLOT: ScriptFlags = ScriptFlags(16);
    /// It has no first line that could say: what it does decides.
    pub const UNDECLARED: ScriptFlags = ScriptFlags(32);

    /// The names, in the order of FUNCTION LIST.
    const NAMES: [(&'static str, ScriptFlags); 5] = [
        ("no-writes", ScriptFlags::NO_WRITES),
        ("allow-oom", ScriptFlags::ALLOW_OOM),
        ("allow-stale", ScriptFlags::ALLOW_STALE),
        ("no-cluster", ScriptFlags::NO_CLUSTER),
        ("allow-cross-slot-keys", ScriptFlags::CROSS_SLOT),
    ];

    /// What the first line of a script says; nothing if it is wrong.
    pub fn of_script(body: &[u8]) -> Option<ScriptFlags> {
        script(body).ok().map(|(flags, _)| flags)
    }

    /// The flag with a name.
    pub(crate) fn named(name: &[u8]) -> Option<ScriptFlags> {
        ScriptFlags::NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
    }

    /// Whether all of `other` are among them.
    pub fn contains(self, other: ScriptFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub fn union(self, other: ScriptFlags) -> ScriptFlags {
        ScriptFlags(self.0 | other.0)
    }

    /// The names of those that have one.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        ScriptFlags::NAMES.iter().filter(move |(_, flag)| self.contains(*flag)).map(|(name, _)| *name)
    }
}

/// A text for the client: the reply of an error without its code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub Box<[u8]>);

impl Refusal {
    pub(crate) fn text(text: &str) -> Refusal {
        Refusal(text.as_bytes().into())
    }

    pub(crate) fn quoting(text: &str, quoted: &[u8], tail: &str) -> Refusal {
        Refusal([text.as_bytes(), quoted, tail.as_bytes()].concat().into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::error::Error for Refusal {}

/// The flags of a script, and its code, which begins behind the first line's words.
pub(crate) fn script(body: &[u8]) -> Result<(ScriptFlags, &[u8]), Refusal> {
    if !body.starts_with(b"#!") {
        return Ok((ScriptFlags::UNDECLARED, body));
    }
    let invalid = || Refusal::text("Invalid script shebang");
    let (line, code) = split_line(body).ok_or_else(invalid)?;
    let words = words(line).ok_or_else(invalid)?;
    let mut words = words.iter();
    let engine = words.next().ok_or_else(invalid)?;
    if engine != b"#!lua" {
        return Err(Refusal::quoting("Unexpected engine in script shebang: ", engine, ""));
    }
    let mut flags = ScriptFlags::default();
    for word in words {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err(Refusal::quoting("Unknown lua shebang option: ", word, ""));
        };
        for name in names.split(|byte| *byte == b',').filter(|_| !names.is_empty()) {
            let flag = ScriptFlags::named(name);
            let flag =
                flag.ok_or_else(|| Refusal::quoting("Unexpected flag in script shebang: ", name, ""))?;
            flags = flags.union(flag);
        }
    }
    Ok((flags, code))
}

/// What the first line of a library says, and its code, which begins behind that line's words.
pub(crate) struct LibraryHead<'a> {
    pub(crate) name: Vec<u8>,
    pub(crate) engine: Vec<u8>,
    pub(crate) code: &'a [u8],
}

/// Takes a library's text apart.
pub(crate) fn library(body: &[u8]) -> Result<LibraryHead<'_>, Refusal> {
    if !body.starts_with(b"#!") {
        return Err(Refusal::text("Missing library metadata"));
    }
    let invalid = || Refusal::text("Invalid library metadata");
    let (line, code) = split_line(body).ok_or_else(invalid)?;
    let words = words(line).ok_or_else(invalid)?;
    let mut words = words.iter();
    let engine = words.next().ok_or_else(invalid)?[2..].to_vec();
    let mut name = None;
    for word in words {
        match word.strip_prefix(b"name=") {
            Some(_) if name.is_some() => {
                return Err(Refusal::text("Invalid metadata value, name argument was given multiple times"));
            }
            Some(given) => name = Some(given.to_vec()),
            None => return Err(Refusal::quoting("Invalid metadata value given: ", word, "")),
        }
    }
    let name = name.ok_or_else(|| Refusal::text("Library name was not given"))?;
    Ok(LibraryHead { name, engine, code })
}

/// The first line, and the rest from its end on, so that lines count from it.
fn split_line(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = body.iter().position(|byte| *byte == b'\n')?;
    Some(body.split_at(end))
}

/// The words of a line, which may be quoted; `None` if a quote has no end.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            match first {
                b'"' | b'\'' => rest = quoted(*first, rest, &mut word)?,
                byte if byte.is_ascii_whitespace() => break,
                byte => word.push(*byte),
            }
        }
        words.push(word);
    }
}

/// Appends what is quoted, and returns what follows the quote's end, which must be a blank or nothing.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (first, tail) = rest.split_first()?;
        rest = tail;
        match first {
            b'\\' if quote == b'"' || rest.first() == Some(&quote) => {
                let (escaped, tail) = rest.split_first()?;
                rest = tail;
                word.push(match escaped {
                    b'n' if quote == b'"' => b'\n',
                    b'r' if quote == b'"' => b'\r',
                    b't' if quote == b'"' => b'\t',
                    b'b' if quote == b'"' => 8,
                    b'a' if quote == b'"' => 7,
                    other => *other,
                });
            }
            byte if *byte == quote => {
                return rest.first().is_none_or(u8::is_ascii_whitespace).then_some(rest);
            }
            byte => word.push(*byte),
        }
    }
}
