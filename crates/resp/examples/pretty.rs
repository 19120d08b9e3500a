//! Pretty-prints a captured stream of replies: `cargo run --example pretty < capture`.

use std::error::Error;
use std::io::{self, Read, Write};

use carnelian_resp::Decoder;

fn main() -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new();
    let mut out = io::stdout().lock();
    let mut bytes = [0; 64 * 1024];
    loop {
        let n = io::stdin().read(&mut bytes)?;
        decoder.feed(&bytes[..n]);
        while let Some(value) = decoder.decode()? {
            writeln!(out, "{value}")?;
        }
        if n == 0 {
            return if decoder.is_partial() { Err("the stream ends within a value".into()) } else { Ok(()) };
        }
    }
}
