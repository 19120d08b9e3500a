//! What scripts ask of the server that runs them, and where their results go.

use crate::libs::random::Random;

/// The version of the protocol in which a script sees replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// Strings, integers, errors, arrays and null.
    #[default]
    Resp2,
    /// All types.
    Resp3,
}

/// Importance of a line that a script logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// `redis.LOG_DEBUG`
    Debug,
    /// `redis.LOG_VERBOSE`
    Verbose,
    /// `redis.LOG_NOTICE`
    Notice,
    /// `redis.LOG_WARNING`
    Warning,
}

/// Where the effects of a script go besides the dataset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replication {
    /// To the append-only file.
    pub aof: bool,
    /// To replicas.
    pub replicas: bool,
}

/// Whether a script may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may.
    Continue,
    /// It ends with this error, which it cannot catch.
    Stop(&'static str),
}

/// The server, as seen by a running script.
pub trait Host {
    /// Appends a word to the command that is being composed.
    fn word(&mut self, bytes: &[u8]);
    /// Appends a number as a word, in the form in which the server writes doubles.
    fn number(&mut self, value: f64);
    /// Drops the words of the command that is being composed.
    fn drop_words(&mut self);
    /// Executes the command that has been composed, and drops its words. `read` is called once, with the complete
    /// reply, which is an error if the command is refused.
    fn call(&mut self, protocol: Protocol, read: &mut dyn FnMut(&[u8]));
    /// Whether the user may execute the command that has been composed; `None` if there is no such command, or not with
    /// so many words. Drops the words.
    fn is_permitted(&mut self) -> Option<bool>;
    /// Writes a line to the server's log.
    fn log(&mut self, level: LogLevel, text: &[u8]);
    /// Decides where the effects of the following commands go.
    fn set_replication(&mut self, to: Replication);
    /// Called about once a millisecond while a script computes. The server may serve others meanwhile.
    fn tick(&mut self) -> Verdict;
}

/// Where the result of a script goes: values in order, aggregates by their length first.
#[allow(missing_docs)]
pub trait Reply {
    fn null(&mut self);
    fn boolean(&mut self, value: bool);
    fn integer(&mut self, value: i64);
    fn double(&mut self, value: f64);
    fn bulk(&mut self, bytes: &[u8]);
    fn status(&mut self, text: &[u8]);
    fn big_number(&mut self, digits: &[u8]);
    fn verbatim(&mut self, format: [u8; 3], text: &[u8]);
    fn array(&mut self, len: usize);
    fn map(&mut self, pairs: usize);
    fn set(&mut self, len: usize);
    /// An error, its code first. `count` says whether it is new to the server's statistics.
    fn error(&mut self, text: &[u8], count: bool);
}

/// A running script's surroundings.
pub(crate) struct Session<'h> {
    pub(crate) host: &'h mut dyn Host,
    /// How the script sees replies: `redis.setresp`.
    pub(crate) protocol: Protocol,
    pub(crate) random: Random,
    /// What a library that is being loaded has registered; `None` unless one is.
    pub(crate) loading: Option<crate::library::Loading>,
}

impl<'h> Session<'h> {
    pub(crate) fn new(host: &'h mut dyn Host, random: Random) -> Session<'h> {
        Session { host, protocol: Protocol::Resp2, random, loading: None }
    }
}
