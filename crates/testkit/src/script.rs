//! Compatibility cases: text files of commands.
//!
//! ```text
//! # A comment. Directives that describe the whole file come first:
//! !server --maxmemory 100mb      arguments for the server, quoted as on a redis-cli line
//! !proto 2                       play it in this protocol only (default: once in RESP2, once in RESP3)
//! !oracle valkey                 compare with Valkey: the file is about what Redis lacks
//!
//! SET k v                        a command, quoted as in redis-cli; <x*1000> is x, 1000 times
//! @2 GET k                       the same from client 2 (any word; the default client is 1)
//! ~int=95..100 TTL k             compare the reply by a rule (see `Rule::parse`)
//! ~replies=0 CLIENT REPLY OFF    how many replies to await (default 1)
//! ~close QUIT                    await everything up to the end of the connection
//! ~eof !raw "PI"                 the same, but first tell the server that nothing more will be sent
//! !raw "*1\r\n$4\r\nPING\r\n"    bytes as they are, quoted as one argument or several
//! ~fields @2 !read               await a reply without sending anything
//! @2 !disconnect                 end a connection; the name can be used for a new one
//! @2 !id                         ask for the client's number, which the word <id:2> in later commands stands for
//! !sleep 20                      wait (milliseconds)
//! ```
//!
//! A client is connected when it is first named, and in RESP3 sends HELLO 3 first.

use std::time::Duration;

use crate::quote;
use crate::rule::Rule;

/// A parsed case file.
#[derive(Clone, Debug)]
pub struct Script {
    /// Arguments for the server.
    pub server_args: Vec<String>,
    /// The protocol versions to play it in.
    pub protocols: Vec<u8>,
    /// True if Valkey's replies are the expected ones.
    pub valkey_is_oracle: bool,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One line that does something.
#[derive(Clone, Debug)]
pub struct Step {
    /// The line's number, from 1.
    pub line: usize,
    /// The line, trimmed.
    pub text: String,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Waits.
    Sleep(Duration),
    /// Ends the connection of a client.
    Disconnect(String),
    /// Asks for the number of a client.
    Identify(String),
    /// Talks to the server.
    Exchange(Exchange),
}

/// Bytes sent by one client, and what is awaited in return.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The client's name.
    pub client: String,
    /// What is sent.
    pub request: Request,
    /// What is awaited.
    pub awaited: Awaited,
    /// How the replies are compared.
    pub rule: Rule,
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Bytes as they are; maybe none.
    Raw(Vec<u8>),
    /// The words of a command.
    Words(Vec<Vec<u8>>),
}

/// What a client awaits before the script goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// So many replies.
    Replies(usize),
    /// That the server ends the connection.
    Close,
    /// The same, after having told the server that nothing more will be sent.
    CloseAfterEof,
}

/// A line that is not a case line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}: {text}")]
pub struct ScriptError {
    line: usize,
    problem: &'static str,
    text: String,
}

impl Script {
    /// Parses the text of a case file.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self {
            server_args: Vec::new(),
            protocols: vec![2, 3],
            valkey_is_oracle: false,
            steps: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            script.line(index + 1, line).map_err(|problem| ScriptError {
                line: index + 1,
                problem,
                text: line.to_owned(),
            })?;
        }
        Ok(script)
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), &'static str> {
        if let Some(args) = line.strip_prefix("!server ") {
            for arg in quote::split(args).map_err(|_| "unbalanced quotes")? {
                self.server_args.push(String::from_utf8(arg).map_err(|_| "not UTF-8")?);
            }
        } else if let Some(version) = line.strip_prefix("!proto ") {
            self.protocols = vec![version.parse().map_err(|_| "not a protocol version")?];
        } else if line == "!oracle valkey" {
            self.valkey_is_oracle = true;
        } else {
            let action = action(line)?;
            self.steps.push(Step { line: number, text: line.to_owned(), action });
        }
        Ok(())
    }
}

fn action(line: &str) -> Result<Action, &'static str> {
    if let Some(time) = line.strip_prefix("!sleep ") {
        let millis = time.parse().map_err(|_| "not a number of milliseconds")?;
        return Ok(Action::Sleep(Duration::from_millis(millis)));
    }
    let mut exchange = Exchange {
        client: "1".to_owned(),
        request: Request::Raw(Vec::new()),
        awaited: Awaited::Replies(1),
        rule: Rule::Exact,
    };
    let mut rest = line;
    while let Some((word, after)) = modifier(rest) {
        match word.split_at(1) {
            ("@", name) => exchange.client = name.to_owned(),
            ("~", "close") => exchange.awaited = Awaited::Close,
            ("~", "eof") => exchange.awaited = Awaited::CloseAfterEof,
            (_, rule) => match rule.strip_prefix("replies=") {
                Some(count) => {
                    exchange.awaited =
                        Awaited::Replies(count.parse().map_err(|_| "not a number of replies")?);
                }
                None => exchange.rule = Rule::parse(rule).ok_or("no such rule")?,
            },
        }
        rest = after;
    }
    if rest == "!disconnect" {
        return Ok(Action::Disconnect(exchange.client));
    }
    if rest == "!id" {
        return Ok(Action::Identify(exchange.client));
    }
    exchange.request = request(rest)?;
    Ok(Action::Exchange(exchange))
}

/// The leading `@client` or `~rule`, and what follows it.
fn modifier(line: &str) -> Option<(&str, &str)> {
    if !line.starts_with(['@', '~']) {
        return None;
    }
    line.split_once(char::is_whitespace).map(|(word, after)| (word, after.trim_start()))
}

fn request(text: &str) -> Result<Request, &'static str> {
    if text == "!read" {
        return Ok(Request::Raw(Vec::new()));
    }
    if let Some(bytes) = text.strip_prefix("!raw ") {
        return Ok(Request::Raw(quote::split(bytes).map_err(|_| "unbalanced quotes")?.concat()));
    }
    if text.starts_with('!') {
        return Err("no such directive");
    }
    Ok(Request::Words(quote::split(text).map_err(|_| "unbalanced quotes")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_kind_of_line() {
        let script = Script::parse(
            "# comment\n!server --maxclients 5\n\n@2 ~int=1..2 TTL k\n!sleep 5\n!raw \"PING\\r\\n\" \"x\"\n~close QUIT\n@2 !disconnect\n!read",
        )
        .expect("valid");
        assert_eq!(script.server_args, ["--maxclients", "5"]);
        assert_eq!(script.protocols, [2, 3]);
        assert_eq!(script.steps.len(), 6);
        assert_eq!(script.steps[0].line, 4);
        let Action::Exchange(first) = &script.steps[0].action else { panic!("an exchange") };
        assert_eq!(first.client, "2");
        assert_eq!(first.rule, Rule::Integer(1, 2));
        assert_eq!(first.request, Request::Words(vec![b"TTL".to_vec(), b"k".to_vec()]));
        let Action::Exchange(raw) = &script.steps[2].action else { panic!("an exchange") };
        assert_eq!(raw.request, Request::Raw(b"PING\r\nx".to_vec()));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in ["!frobnicate", "~rule GET k", "SET \"k", "!sleep long", "!proto three"] {
            let error = Script::parse(&format!("PING\n{bad}")).expect_err(bad);
            assert_eq!(error.line, 2);
        }
    }
}
