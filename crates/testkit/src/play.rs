//! Plays a case against a running server.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::thread;

use crate::script::{Action, Awaited, Exchange, Request, Script};
use crate::{Client, reply};

/// A script broke off.
#[derive(Debug, thiserror::Error)]
#[error("line {line} ({text}): {source}")]
pub struct PlayError {
    line: usize,
    text: String,
    source: io::Error,
}

/// Runs `script` and returns the canonical replies of each step, concatenated per step; empty for a step that
/// awaits none.
pub fn play(script: &Script, address: SocketAddr, protocol: u8) -> Result<Vec<Vec<u8>>, PlayError> {
    let mut stage = Stage { address, protocol, clients: HashMap::new(), ids: HashMap::new() };
    let perform = |step: &crate::script::Step| {
        stage.perform(&step.action).map_err(|source| PlayError {
            line: step.line,
            text: step.text.clone(),
            source,
        })
    };
    script.steps.iter().map(perform).collect()
}

struct Stage {
    address: SocketAddr,
    protocol: u8,
    clients: HashMap<String, Client>,
    /// The numbers of clients, as far as the script has asked for them.
    ids: HashMap<String, i64>,
}

impl Stage {
    fn perform(&mut self, action: &Action) -> io::Result<Vec<u8>> {
        match action {
            Action::Sleep(time) => thread::sleep(*time),
            Action::Disconnect(name) => {
                self.clients.remove(name);
            }
            Action::Identify(name) => {
                let id = self.client(name)?.call(&["CLIENT", "ID"])?;
                let id = reply::integer(&id).ok_or_else(|| io::Error::other("CLIENT ID is no number"))?;
                self.ids.insert(name.clone(), id);
            }
            Action::Exchange(exchange) => return self.exchange(exchange),
        }
        Ok(Vec::new())
    }

    fn exchange(&mut self, exchange: &Exchange) -> io::Result<Vec<u8>> {
        let request = self.encode(&exchange.request);
        let client = self.client(&exchange.client)?;
        client.send_raw(&request)?;
        match exchange.awaited {
            Awaited::Replies(count) => {
                let mut replies = Vec::new();
                for _ in 0..count {
                    replies.extend(exchange.rule.canonical(&client.read_reply()?));
                }
                Ok(replies)
            }
            Awaited::Close | Awaited::CloseAfterEof => {
                if exchange.awaited == Awaited::CloseAfterEof {
                    client.finish_sending()?;
                }
                let last = client.read_to_close()?;
                self.clients.remove(&exchange.client);
                Ok([exchange.rule.canonical(&last), b"(closed)".to_vec()].concat())
            }
        }
    }

    /// The bytes of a request, with the numbers of clients.
    fn encode(&self, request: &Request) -> Vec<u8> {
        let words = match request {
            Request::Raw(bytes) => return bytes.clone(),
            Request::Words(words) => words,
        };
        let number = |word: &[u8]| {
            let name = word.strip_prefix(b"<id:")?.strip_suffix(b">")?;
            Some(self.ids.get(std::str::from_utf8(name).ok()?)?.to_string().into_bytes())
        };
        let words: Vec<Vec<u8>> =
            words.iter().map(|word| number(word).unwrap_or_else(|| word.clone())).collect();
        let mut bytes = Vec::new();
        crate::encode(&words, &mut bytes);
        bytes
    }

    fn client(&mut self, name: &str) -> io::Result<&mut Client> {
        if !self.clients.contains_key(name) {
            let mut client = Client::connect(self.address)?;
            if self.protocol == 3 {
                client.call(&["HELLO", "3"])?;
            }
            self.clients.insert(name.to_owned(), client);
        }
        Ok(self.clients.get_mut(name).expect("it was just inserted"))
    }
}
