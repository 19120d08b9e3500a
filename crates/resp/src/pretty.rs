//! Values as text for people, in the manner of redis-cli.

use std::fmt::{self, Write};

use crate::number::format_double;
use crate::value::Value;

/// In the manner of redis-cli at a terminal, without a line end behind the last line.
///
/// ```
/// use carnelian_resp::Value;
/// let value = Value::Array(vec![Value::bulk("a\n"), Value::Array(vec![Value::Integer(1), Value::Null])]);
/// assert_eq!(value.to_string(), "1) \"a\\n\"\n2) 1) (integer) 1\n   2) (nil)");
/// ```
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self, 0, f)
    }
}

/// Prints a value of which the first line stands behind `indent` columns of text.
fn print(value: &Value, indent: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Simple(text) => f.write_str(&String::from_utf8_lossy(text)),
        Value::Error(text) | Value::BulkError(text) => {
            write!(f, "(error) {}", String::from_utf8_lossy(text))
        }
        Value::Integer(value) => write!(f, "(integer) {value}"),
        Value::Bulk(bytes) => quoted(bytes, f),
        Value::Null | Value::NullArray => f.write_str("(nil)"),
        Value::Boolean(value) => write!(f, "({value})"),
        Value::Double(value) => write!(f, "(double) {}", format_double(*value)),
        Value::BigNumber(digits) => write!(f, "(big number) {digits}"),
        Value::Verbatim { text, .. } => f.write_str(&String::from_utf8_lossy(text)),
        Value::Array(values) => elements(values, ')', "(empty array)", indent, f),
        Value::Set(values) => elements(values, '~', "(empty set)", indent, f),
        Value::Push(values) => elements(values, '>', "(empty push)", indent, f),
        Value::Map(pairs) => print_pairs(pairs, '#', "(empty hash)", indent, f),
        Value::Attributed { attributes, value } => {
            print_pairs(attributes, '|', "(empty attributes)", indent, f)?;
            write!(f, "\n{:indent$}", "")?;
            print(value, indent, f)
        }
    }
}

fn elements(
    values: &[Value],
    mark: char,
    empty: &str,
    indent: usize,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut numbers = Numbers::new(values.len(), mark, indent);
    for value in values {
        let indent = numbers.next(f)?;
        print(value, indent, f)?;
    }
    if values.is_empty() { f.write_str(empty) } else { Ok(()) }
}

fn print_pairs(
    pairs: &[(Value, Value)],
    mark: char,
    empty: &str,
    indent: usize,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut numbers = Numbers::new(pairs.len(), mark, indent);
    for (key, value) in pairs {
        let indent = numbers.next(f)?;
        print(key, indent, f)?;
        f.write_str(" => ")?;
        if has_lines(value) {
            write!(f, "\n{:indent$}", "")?;
        }
        print(value, indent, f)?;
    }
    if pairs.is_empty() { f.write_str(empty) } else { Ok(()) }
}

/// Whether a value is printed as numbered lines.
fn has_lines(value: &Value) -> bool {
    match value {
        Value::Array(values) | Value::Set(values) | Value::Push(values) => !values.is_empty(),
        Value::Map(pairs) => !pairs.is_empty(),
        Value::Attributed { .. } => true,
        _ => false,
    }
}

/// The numbers in front of an aggregate's elements, aligned to the right.
struct Numbers {
    index: usize,
    width: usize,
    mark: char,
    indent: usize,
}

impl Numbers {
    fn new(count: usize, mark: char, indent: usize) -> Self {
        Self { index: 0, width: count.to_string().len(), mark, indent }
    }

    /// Starts an element, on a line of its own except for the first. Returns the columns in front of it.
    fn next(&mut self, f: &mut fmt::Formatter<'_>) -> Result<usize, fmt::Error> {
        if self.index > 0 {
            write!(f, "\n{:1$}", "", self.indent)?;
        }
        self.index += 1;
        write!(f, "{:1$}{2} ", self.index, self.width, self.mark)?;
        Ok(self.indent + self.width + 2)
    }
}

fn quoted(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            0x07 => f.write_str("\\a")?,
            0x08 => f.write_str("\\b")?,
            b' '..=b'~' => f.write_char(char::from(byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_char('"')
}
