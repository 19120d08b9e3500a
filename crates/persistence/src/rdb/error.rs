//! Why bytes are refused.

use std::fmt;

use thiserror::Error;

/// What is wrong with bytes, without where.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    /// Neither `REDIS` nor `VALKEY` and a version.
    #[error("the file does not begin with REDIS or VALKEY and a version")]
    Magic,
    /// A version of the future, or one that never was.
    #[error("version {0} of the format is not known")]
    Version(u32),
    /// The bytes end too early.
    #[error("the data ends in the middle of something")]
    Truncated,
    /// A DUMP payload has more bytes than its value.
    #[error("there are bytes after the value")]
    Trailing,
    /// The checksum that is written differs from the one of the bytes.
    #[error("the checksum is {stored:016x}, that of the data {computed:016x}")]
    Checksum {
        /// As written.
        stored: u64,
        /// Of the bytes before it.
        computed: u64,
    },
    /// Neither a value's type nor an opcode.
    #[error("{0} is no type of a record")]
    Type(u8),
    /// A byte that begins no length.
    #[error("{0:#04x} begins no length")]
    Length(u8),
    /// A length that cannot be.
    #[error("a length of {0} is not possible here")]
    TooLong(u64),
    /// A compressed string that does not become what its lengths say.
    #[error("a compressed string is damaged")]
    Compression,
    /// A text that is no number.
    #[error("a number is not written as one")]
    Number,
    /// A deadline of a field, in Unix milliseconds, that Redis cannot keep.
    #[error("a field's deadline of {0} ms is too late")]
    Deadline(u64),
    /// A score that is not a number.
    #[error("a score is not a number")]
    Score,
    /// Bytes that are not the encoding they stand for.
    #[error("{0} integrity check failed")]
    Encoding(&'static str),
    /// A member or field that occurs twice.
    #[error("Duplicate {0} detected")]
    Duplicate(&'static str),
    /// The same in a packed collection.
    #[error("{0} listpack with dup elements")]
    Repetition(&'static str),
    /// Elements that are not ordered as they have to be.
    #[error("the elements of a {0} are not in order")]
    Order(&'static str),
    /// Elements that do not come in pairs, or in threes.
    #[error("a {0} has a number of elements that it cannot have")]
    Uneven(&'static str),
    /// A collection without elements.
    #[error("a {0} is empty")]
    Empty(&'static str),
    /// A stream that contradicts itself.
    #[error("a stream's {0}")]
    Stream(&'static str),
    /// A value, or data beside the keys, that only a module can read.
    #[error("there is data of the module '{0}', which is not loaded")]
    Module(String),
    /// The way in which modules were saved before Redis 4.0 was finished.
    #[error("there is data of a module in a form that was never released")]
    OldModule,
    /// The way in which functions were saved before Redis 7.0 was finished.
    #[error("there is a function in a form that was never released")]
    OldFunction,
    /// A database beyond the configured ones.
    #[error("database {0} does not exist here")]
    Database(u64),
    /// A key that is there already.
    #[error("a key occurs twice")]
    DuplicateKey,
    /// Slot information that contradicts itself.
    #[error("there is no slot {0}")]
    Slot(u64),
}

/// What is wrong, where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// Bytes from the beginning.
    pub offset: u64,
    /// The key whose value it is.
    pub key: Option<Vec<u8>>,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}", self.offset)?;
        if let Some(key) = &self.key {
            write!(f, ", in the value of key '{}'", key.escape_ascii())?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl std::error::Error for Error {}
