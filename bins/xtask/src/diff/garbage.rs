//! Requests that are damaged as bytes: protocol errors, inline commands, odd lengths.

use super::draw::Draw;

const INLINE: [&str; 20] = [
    "PING",
    "ping hello",
    "  PING  ",
    "ECHO \"a\\x41\\n\"",
    "ECHO 'it\\'s'",
    "ECHO \"open",
    "ECHO 'open",
    "ECHO \"a\"b",
    "ECHO 'a'b",
    "",
    " ",
    "GET nothing",
    "ECHO \"\\xzz\"",
    "ECHO a\\x41",
    "QUIT",
    "ECHO \"\"",
    "ECHO \t x",
    "FOO bar",
    "GET",
    "ECHO \"\\a\\b\\t\\\"\"",
];
const PIECES: [&str; 26] = [
    "*1\r\n$4\r\nPING\r\n",
    "*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n",
    "*0\r\n",
    "*-1\r\n",
    "*-2\r\n",
    "\r\n",
    "*1\r\n$-1\r\n",
    "*1\r\n$0\r\n\r\n",
    "*1\r\n$4\r\nPINGxx",
    "*abc\r\n",
    "*1\r\nPING\r\n",
    "*1\r\n:4\r\n",
    "*1\r\n$abc\r\n",
    "*1\r\n$536870913\r\n",
    "*1048577\r\n",
    "*2147483648\r\n",
    "*1\r\n$04\r\nPING\r\n",
    "*+1\r\n$4\r\nPING\r\n",
    "* 1\r\n$4\r\nPING\r\n",
    "*1\n$4\nPING\n",
    "*1\r\n$\r\n",
    "*\r\n",
    "*1\r\n$4 \r\nPING\r\n",
    "$4\r\nPING\r\n",
    "+PING\r\n",
    "*2\r\n$4\r\nECHO\r\n$-5\r\n",
];

/// A few requests, damaged or not; always small enough for a server to read at once.
pub(crate) fn request(draw: &mut Draw) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=draw.rng.below(4) {
        if draw.rng.chance(40) {
            bytes.extend_from_slice(draw.rng.pick(&INLINE).as_bytes());
            bytes.extend_from_slice(draw.rng.pick(&["\r\n", "\n", "\r\n", "\r\r\n"]).as_bytes());
        } else {
            bytes.extend_from_slice(draw.rng.pick(&PIECES).as_bytes());
        }
    }
    if draw.rng.chance(20) && !bytes.is_empty() {
        let at = draw.rng.below(bytes.len());
        bytes[at] = draw.rng.pick(&[b"\0", b"\r", b"\n", b"*", b"$", b"9", b"-", b"\"", b"x"])[0];
    }
    if draw.rng.chance(10) {
        bytes.truncate(draw.rng.below(bytes.len() + 1));
    }
    bytes
}
