//! Framing of replies: where one ends, and what its elements are. RESP2 and RESP3, bytes only.
//!
//! Values are never interpreted; a reply stays the bytes that the server sent.

/// The bytes are not a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a reply: {0}")]
pub struct Malformed(String);

/// Finds the end of a reply in bytes that arrive piecemeal, without looking at any byte twice.
#[derive(Clone, Debug)]
pub struct Framer {
    scanned: usize,
    /// Values still to come before the reply is complete.
    missing: usize,
}

impl Default for Framer {
    fn default() -> Self {
        Self { scanned: 0, missing: 1 }
    }
}

impl Framer {
    /// The length of the first reply in `bytes`, or `None` until it is complete. `bytes` must start where it
    /// started in the previous call. A returned length readies the framer for the next reply.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while self.missing > 0 {
            let Some(head) = Head::parse(&bytes[self.scanned..])? else { return Ok(None) };
            let end = self.scanned + head.length;
            if end > bytes.len() {
                return Ok(None);
            }
            self.scanned = end;
            self.missing = self.missing - usize::from(!head.attribute) + head.children;
        }
        let length = self.scanned;
        *self = Self::default();
        Ok(Some(length))
    }
}

/// The first line of a value, with the payload of a string.
struct Head {
    length: usize,
    children: usize,
    /// An attribute goes before the value that it belongs to, and is none itself.
    attribute: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
        let line = bytes[..end]
            .strip_suffix(b"\r")
            .ok_or_else(|| Malformed(format!("no CRLF after {:?}", lossy(&bytes[..end]))))?;
        let mut head = Head { length: end + 1, children: 0, attribute: false };
        match line.first() {
            Some(b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(') => {}
            Some(b'$' | b'=' | b'!') => {
                if let Some(payload) = count(line)? {
                    head.length += payload + 2;
                }
            }
            Some(b'*' | b'~' | b'>') => head.children = count(line)?.unwrap_or(0),
            Some(b'%') => head.children = 2 * count(line)?.unwrap_or(0),
            Some(b'|') => {
                head.children = 2 * count(line)?.unwrap_or(0);
                head.attribute = true;
            }
            _ => return Err(Malformed(lossy(line))),
        }
        Ok(Some(head))
    }
}

/// The number after the type byte; `None` for the -1 of a null.
fn count(line: &[u8]) -> Result<Option<usize>, Malformed> {
    let text = std::str::from_utf8(&line[1..]).map_err(|_| Malformed(lossy(line)))?;
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(n) => usize::try_from(n).map(Some).map_err(|_| Malformed(lossy(line))),
        Err(_) => Err(Malformed(lossy(line))),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

/// The header line and the direct elements of a complete aggregate; `None` for any other reply.
/// A map's keys and values are elements of their own.
pub fn elements(reply: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    if !matches!(reply.first(), Some(b'*' | b'~' | b'>' | b'%')) {
        return None;
    }
    let head = memchr::memchr(b'\n', reply)? + 1;
    let mut rest = &reply[head..];
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let length = Framer::default().advance(rest).ok()??;
        parts.push(&rest[..length]);
        rest = &rest[length..];
    }
    Some((&reply[..head], parts))
}

/// The payload of a complete bulk or verbatim string.
pub fn payload(reply: &[u8]) -> Option<&[u8]> {
    if !matches!(reply.first(), Some(b'$' | b'=')) {
        return None;
    }
    let head = memchr::memchr(b'\n', reply)? + 1;
    reply.get(head..reply.len().checked_sub(2)?)
}

/// The number in an integer reply.
pub fn integer(reply: &[u8]) -> Option<i64> {
    std::str::from_utf8(reply.strip_prefix(b":")?).ok()?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_wherever_the_bytes_are_split() {
        let replies: &[&[u8]] = &[
            b"+OK\r\n",
            b"$-1\r\n",
            b"$5\r\nhe\r\no\r\n",
            b"*-1\r\n",
            b"*2\r\n:1\r\n*1\r\n$0\r\n\r\n",
            b"%1\r\n+a\r\n~2\r\n,1.5\r\n#t\r\n",
            b"|1\r\n+ttl\r\n:3\r\n=7\r\ntxt:abc\r\n",
        ];
        for reply in replies {
            let mut framer = Framer::default();
            for end in 0..reply.len() {
                assert_eq!(framer.advance(&reply[..end]), Ok(None), "{} of {reply:?}", end);
            }
            assert_eq!(framer.advance(reply), Ok(Some(reply.len())));
            assert_eq!(framer.advance(reply), Ok(Some(reply.len())), "ready for the next");
        }
        assert!(Framer::default().advance(b"hello\r\n").is_err());
    }

    #[test]
    fn splits_aggregates() {
        let (head, parts) = elements(b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n").expect("an array");
        assert_eq!(head, b"*2\r\n");
        assert_eq!(parts, [b"$1\r\na\r\n".as_slice(), b"*1\r\n:1\r\n"]);
        assert_eq!(elements(b"+OK\r\n"), None);
        assert_eq!(payload(b"$3\r\nabc\r\n"), Some(b"abc".as_slice()));
        assert_eq!(payload(b"$-1\r\n"), None);
        assert_eq!(integer(b":-12\r\n"), Some(-12));
    }
}
