//! What scripts and functions have in common: their arguments, and how their results and failures are replied.

use crate::convert;
use crate::host::{Protocol, Reply};
use crate::lua::{Failure, Kind, Lua};
use crate::names::Name;

/// The keys and arguments of a script, which are words of the command that runs it.
pub trait Words {
    /// Number of keys.
    fn keys(&self) -> usize;
    /// Number of arguments.
    fn arguments(&self) -> usize;
    /// Key `i`, from 0 on.
    fn key(&self, i: usize) -> &[u8];
    /// Argument `i`, from 0 on.
    fn argument(&self, i: usize) -> &[u8];
}

/// Keys or arguments.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Keys,
    Arguments,
}

/// Pushes a table of the keys or arguments.
pub(crate) fn push_words(lua: &mut Lua, words: &dyn Words, part: Part) {
    let count = match part {
        Part::Keys => words.keys(),
        Part::Arguments => words.arguments(),
    };
    lua.push_table(count, 0);
    for i in 0..count {
        let word = match part {
            Part::Keys => words.key(i),
            Part::Arguments => words.argument(i),
        };
        lua.push_bytes(word);
        lua.set_element(-2, i as i32 + 1);
    }
}

/// A script that has run. Its result is still where it was left.
#[must_use = "the result is to be replied"]
pub struct Finished<'s> {
    lua: &'s mut Lua,
    result: Result<(), Failure>,
    protocol: Protocol,
    /// What errors call the script.
    name: &'s [u8],
}

/// Why a script has failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// The error's code and text.
    pub text: Vec<u8>,
    /// Whether it is new to the server's statistics.
    pub count: bool,
}

impl<'s> Finished<'s> {
    pub(crate) fn new(
        lua: &'s mut Lua,
        result: Result<(), Failure>,
        protocol: Protocol,
        name: &'s [u8],
    ) -> Finished<'s> {
        Finished { lua, result, protocol, name }
    }

    /// Replies its result.
    ///
    /// # Errors
    /// If the script has failed: nothing is replied then.
    pub fn reply(self, reply: &mut dyn Reply) -> Result<(), Failed> {
        if self.result.is_ok() {
            convert::reply_value(self.lua, self.protocol, reply);
            return Ok(());
        }
        let (mut text, count) = describe(self.lua);
        if let Some(place) = place(self.lua) {
            text.extend_from_slice(&[b" script: ", self.name, b", on ", &place[..], b"."].concat());
        }
        self.lua.pop(1);
        Err(Failed { text, count })
    }
}

/// The text of the error value on top of the stack, and whether it is new to the server's statistics.
pub(crate) fn describe(lua: &mut Lua) -> (Vec<u8>, bool) {
    if lua.kind(-1) != Kind::Table {
        let text = lua.bytes(-1).unwrap_or(b"unknown error");
        return ([b"ERR ", text].concat(), true);
    }
    lua.get_named(-1, Name::Counted);
    let count = !lua.truth(-1);
    lua.pop(1);
    lua.get_named(-1, Name::Err);
    let text = match lua.kind(-1) {
        Kind::String => lua.bytes(-1).unwrap_or_default().to_vec(),
        _ => b"ERR unknown error".to_vec(),
    };
    lua.pop(1);
    (text, count)
}

/// `source:line` of the error value on top of the stack, if it has both.
fn place(lua: &mut Lua) -> Option<Vec<u8>> {
    if lua.kind(-1) != Kind::Table {
        return None;
    }
    lua.get_field(-1, "source");
    lua.get_field(-2, "line");
    let line = lua.coerce_bytes(-1).map(<[u8]>::to_vec);
    let source = lua.coerce_bytes(-2).map(<[u8]>::to_vec);
    lua.pop(2);
    Some([&source?, &b":"[..], &line?].concat())
}
