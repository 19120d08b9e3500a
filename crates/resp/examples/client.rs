//! A blocking client: `cargo run --example client -- 127.0.0.1:6379 SET key value`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use carnelian_resp::{Decoder, OwnedArgv, Value};

struct Client {
    stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    fn connect(address: impl ToSocketAddrs) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, decoder: Decoder::new() };
        match client.call(&["HELLO", "3"])? {
            Value::Error(text) => Err(String::from_utf8_lossy(&text).into()),
            _ => Ok(client),
        }
    }

    /// Sends a command and waits for its reply. Push messages that arrive before it are printed.
    fn call(&mut self, args: &[impl AsRef<[u8]>]) -> Result<Value, Box<dyn Error>> {
        let command: OwnedArgv = args.iter().collect();
        self.stream.write_all(&command.as_argv().to_request())?;
        loop {
            match self.receive()? {
                push @ Value::Push(_) => eprintln!("{push}"),
                reply => return Ok(reply),
            }
        }
    }

    fn receive(&mut self) -> Result<Value, Box<dyn Error>> {
        let mut bytes = [0; 16 * 1024];
        loop {
            if let Some(value) = self.decoder.decode()? {
                return Ok(value);
            }
            match self.stream.read(&mut bytes)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                n => self.decoder.feed(&bytes[..n]),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, command @ ..] = &args[..] else {
        return Err("usage: client HOST:PORT COMMAND [ARG ...]".into());
    };
    println!("{}", Client::connect(address)?.call(command)?);
    Ok(())
}
