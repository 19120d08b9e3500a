//! Every error that commands reply: one variant, one `CODE text`.

use std::borrow::Cow;

use carnelian_keyspace::WrongKind;
use carnelian_resp::Argv;
use thiserror::Error;

/// An error reply, without the leading `-`.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Error {
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    #[error("ERR value is out of range, value must between -2147483648 and 2147483647")]
    NotInt32,
    #[error("ERR value is not a valid float")]
    NotFloat,
    #[error("ERR value is out of range")]
    OutOfRange,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("ERR index out of range")]
    IndexOutOfRange,
    #[error("ERR DB index is out of range")]
    DbOutOfRange,
    #[error("ERR invalid DB index")]
    InvalidDb,
    #[error("ERR invalid first DB index")]
    InvalidFirstDb,
    #[error("ERR invalid second DB index")]
    InvalidSecondDb,
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(Box<str>),
    #[error("ERR timeout is not an integer or out of range")]
    TimeoutNotInteger,
    #[error("ERR timeout is negative")]
    TimeoutNegative,
    #[error("ERR timeout is out of range")]
    TimeoutOutOfRange,
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    #[error("ERR Invalid client ID")]
    ClientIdInvalid,
    #[error("ERR client-id should be greater than 0")]
    ClientIdNotPositive,
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. \
         Are you sure your configuration is correct?"
    )]
    NoPassword,
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
         <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
    )]
    HelloNoAuth,
    #[error(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server."
    )]
    DebugNotAllowed,
    #[error(
        "ERR Wrong protocol type name. Please use one of the following: \
         string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
    )]
    ProtocolType,
    #[error("ERR count should be greater than or equal to -1")]
    CommandLogCount,
    #[error("ERR type should be one of the following: slow, large-request, large-reply")]
    CommandLogKind,
    #[error("LOADING Redis is loading the dataset in memory")]
    Loading,
    #[error(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that \
         may modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
         snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB \
         error."
    )]
    NoSave,
    /// What went wrong is in the log.
    #[error("ERR")]
    Unexplained,
    #[error("NOAUTH Authentication required.")]
    NoAuth,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPass,
    #[error("ERR This Redis command is not allowed from script")]
    NotFromScripts,
    /// An error that is in the statistics already.
    #[error("{}", String::from_utf8_lossy(.0))]
    Counted(Box<[u8]>),
    /// A text that is composed where it arises and occurs nowhere else.
    #[error("{0}")]
    Other(Box<str>),
    /// The same with bytes that a client sent, which need not be text.
    #[error("{}", String::from_utf8_lossy(.0))]
    Bytes(Box<[u8]>),
    /// A text that occurs in one command only.
    #[error("{0}")]
    Text(&'static str),
}

impl From<WrongKind> for Error {
    fn from(_: WrongKind) -> Error {
        Error::WrongType
    }
}

impl Error {
    /// The error of EXEC when it is itself refused.
    pub(crate) fn aborted(reason: &Error) -> Error {
        let text = reason.to_string();
        let text = text.strip_prefix("ERR ").unwrap_or(&text);
        Error::other(format!("EXECABORT Transaction discarded because of: {text}"))
    }

    /// A command that a client in the subscriber mode of RESP2 must not send.
    pub(crate) fn subscriber(name: &str) -> Error {
        Error::other(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
             this context"
        ))
    }

    /// No command has the first word as its name.
    pub(crate) fn unknown_command(argv: Argv<'_>) -> Error {
        let mut args = Vec::new();
        for arg in argv.iter().skip(1) {
            if args.len() >= SHOWN {
                break;
            }
            let room = SHOWN - args.len();
            args.extend_from_slice(b"'");
            args.extend_from_slice(shown(arg, room));
            args.extend_from_slice(b"' ");
        }
        let name = shown(argv.arg(0), SHOWN);
        Error::quoting(
            b"ERR unknown command '",
            name,
            &[b"', with args beginning with: ", &args[..]].concat(),
        )
    }

    /// The container has no subcommand called like the second word.
    pub(crate) fn unknown_subcommand(container: &str, argv: Argv<'_>) -> Error {
        let hint = format!("'. Try {} HELP.", container.to_uppercase());
        Error::quoting(b"ERR unknown subcommand '", shown(argv.arg(1), SHOWN), hint.as_bytes())
    }

    /// A subcommand that the row does not know as one (DEBUG), or whose number of words is wrong.
    pub(crate) fn subcommand_or_arity(container: &str, sub: &[u8]) -> Error {
        let hint = format!("'. Try {container} HELP.");
        let head = b"ERR unknown subcommand or wrong number of arguments for '";
        Error::quoting(head, shown(sub, SHOWN), hint.as_bytes())
    }

    /// A text with bytes of the client, up to a NUL, in its middle.
    pub(crate) fn quoting(head: &[u8], quoted: &[u8], tail: &[u8]) -> Error {
        Error::Bytes([head, shown(quoted, usize::MAX), tail].concat().into())
    }

    /// The reply's text, without the leading `-`.
    pub fn reply(&self) -> Cow<'_, [u8]> {
        match self {
            Error::Bytes(bytes) | Error::Counted(bytes) => Cow::Borrowed(bytes),
            Error::Text(text) => Cow::Borrowed(text.as_bytes()),
            other => Cow::Owned(other.to_string().into_bytes()),
        }
    }

    /// An error composed with `format!`, code included.
    pub fn other(text: String) -> Error {
        Error::Other(text.into_boxed_str())
    }
}

/// Bytes of an argument that errors about unknown names show.
const SHOWN: usize = 128;

/// What an error shows of an argument: at most `max` bytes, and nothing from a zero byte on.
pub(crate) fn shown(arg: &[u8], max: usize) -> &[u8] {
    let end = memchr::memchr(0, arg).unwrap_or(arg.len());
    &arg[..end.min(max)]
}
