//! Any reply as a value, in the terms of RESP3.

use crate::reply::{Protocol, ReplyBuf};

/// One reply, whole. What RESP2 sends is a subset. Streamed strings and aggregates are values like those sent
/// at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`: a status, without line ends.
    Simple(Vec<u8>),
    /// `-`: an error, without line ends.
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`: any bytes.
    Bulk(Vec<u8>),
    /// `_`, and RESP2's `$-1`.
    Null,
    /// RESP2's `*-1`; sent as `_` in RESP3.
    NullArray,
    /// `*`
    Array(Vec<Value>),
    /// `#`
    Boolean(bool),
    /// `,`
    Double(f64),
    /// `(`: decimal digits with an optional sign.
    BigNumber(String),
    /// `!`: an error of any bytes.
    BulkError(Vec<u8>),
    /// `=`: text with a hint at its format.
    Verbatim {
        /// Three characters, such as `txt` or `mkd`.
        format: [u8; 3],
        /// The text.
        text: Vec<u8>,
    },
    /// `%`: pairs in the order sent; keys may repeat.
    Map(Vec<(Value, Value)>),
    /// `~`: elements in the order sent; they may repeat.
    Set(Vec<Value>),
    /// `>`: not an answer to a request.
    Push(Vec<Value>),
    /// `|`: a value preceded by attributes.
    Attributed {
        /// The attributes.
        attributes: Vec<(Value, Value)>,
        /// What they are attributes of.
        value: Box<Value>,
    },
}

impl Value {
    /// A bulk string.
    pub fn bulk(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// A simple string.
    pub fn simple(text: impl Into<Vec<u8>>) -> Self {
        Self::Simple(text.into())
    }

    /// An error, with its code in front.
    pub fn error(text: impl Into<Vec<u8>>) -> Self {
        Self::Error(text.into())
    }

    /// Whether it is one of the nulls.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullArray)
    }

    /// The error's bytes, if it is one.
    pub fn as_error(&self) -> Option<&[u8]> {
        match self {
            Self::Error(text) | Self::BulkError(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of any kind of string that is not an error.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            Self::BigNumber(digits) => Some(digits.as_bytes()),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn as_slice(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) | Self::Set(elements) | Self::Push(elements) => Some(elements),
            _ => None,
        }
    }

    /// The bytes of the value; see [`Value::write_to`].
    pub fn encode(&self, protocol: Protocol) -> Vec<u8> {
        let mut out = ReplyBuf::new();
        out.set_protocol(protocol);
        self.write_to(&mut out);
        out.to_vec()
    }

    /// Appends the value to a connection's output. Under RESP2 each type takes the form that servers give it
    /// there: maps and sets are arrays, doubles are strings, and attributes are left out.
    pub fn write_to(&self, out: &mut ReplyBuf) {
        match self {
            Self::Simple(text) => out.status(text),
            Self::Error(text) => out.error(text),
            Self::Integer(value) => out.integer(*value),
            Self::Bulk(bytes) => out.bulk(bytes),
            Self::Null => out.null(),
            Self::NullArray => out.null_array(),
            Self::Boolean(value) => out.boolean(*value),
            Self::Double(value) => out.double(*value),
            Self::BigNumber(digits) => out.big_number(digits),
            Self::BulkError(text) => out.bulk_error(text),
            Self::Verbatim { format, text } => out.verbatim_bytes(format, text),
            Self::Array(elements) => {
                out.array(elements.len());
                elements.iter().for_each(|element| element.write_to(out));
            }
            Self::Set(elements) => {
                out.set(elements.len());
                elements.iter().for_each(|element| element.write_to(out));
            }
            Self::Push(elements) => {
                out.push(elements.len());
                elements.iter().for_each(|element| element.write_to(out));
            }
            Self::Map(pairs) => {
                out.map(pairs.len());
                write_pairs(pairs, out);
            }
            Self::Attributed { attributes, value } => {
                if out.protocol() == Protocol::Resp3 {
                    out.attribute(attributes.len());
                    write_pairs(attributes, out);
                }
                value.write_to(out);
            }
        }
    }
}

fn write_pairs(pairs: &[(Value, Value)], out: &mut ReplyBuf) {
    for (key, value) in pairs {
        key.write_to(out);
        value.write_to(out);
    }
}
