//! The replies of DUMP, which RESTORE takes: a value, the version (2 bytes) and a checksum (8 bytes), little endian.

use carnelian_keyspace::{Kind, Space, Value};
use thiserror::Error;

use super::build::Built;
use super::crc64::crc64;
use super::cursor::{Cursor, Stop};
use super::encode::{Encoder, FieldDeadlines};
use super::error::Fault;
use super::format::{Form, Format, Version, op};
use super::value::{Part, PartSink, ValueReader};

/// Bytes after the value.
const FOOTER: usize = 10;

/// Why a payload is not taken.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PayloadError {
    /// The version is not known, or the checksum wrong.
    #[error("the version or checksum of the payload is wrong")]
    Footer,
    /// The value is damaged: what is wrong, and where.
    #[error("at offset {0}: {1}")]
    Value(usize, Fault),
}

/// A payload whose version and checksum are right.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    version: Version,
    value: &'a [u8],
}

/// The payload of a value. Deadlines of fields are never lost: if `format` cannot hold them, the payload is in one that
/// can.
pub fn dump(value: &Value<'_>, format: Format, compress: bool) -> Vec<u8> {
    let format = if has_field_deadlines(value) { format.with_field_deadlines() } else { format };
    let mut encoder = Encoder::new(compress);
    encode(&mut encoder, value, format).expect("the format was chosen for the value");
    finish(encoder, format)
}

/// The payload of libraries of functions, which FUNCTION RESTORE takes: each as in a file.
pub fn dump_functions<'a>(codes: impl Iterator<Item = &'a [u8]>, format: Format, compress: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(compress);
    for code in codes {
        encoder.byte(op::FUNCTION);
        encoder.string(code);
    }
    finish(encoder, format)
}

/// Appends version and checksum.
fn finish(encoder: Encoder, format: Format) -> Vec<u8> {
    let mut payload = encoder.out;
    payload.extend_from_slice(&format.version().number().to_le_bytes());
    payload.extend_from_slice(&crc64(&payload).to_le_bytes());
    payload
}

fn encode(encoder: &mut Encoder, value: &Value<'_>, format: Format) -> Result<(), FieldDeadlines> {
    let kind = encoder.value_kind(value, format)?;
    encoder.byte(kind);
    encoder.value(value, format)
}

/// Whether a value is a hash of which fields have deadlines, which not all formats can hold.
pub fn has_field_deadlines(value: &Value<'_>) -> bool {
    matches!(value, Value::Hash(hash) if super::encode::earliest_deadline(hash).is_some())
}

impl<'a> Payload<'a> {
    /// A type and a value that stand alone, in a version.
    pub fn new(version: Version, value: &'a [u8]) -> Payload<'a> {
        Payload { version, value }
    }

    /// Checks a payload's version and checksum.
    ///
    /// # Errors
    /// [`PayloadError::Footer`].
    pub fn check(bytes: &'a [u8]) -> Result<Payload<'a>, PayloadError> {
        let payload = Payload::check_version(bytes)?;
        let (summed, sum) = bytes.split_last_chunk().ok_or(PayloadError::Footer)?;
        if u64::from_le_bytes(*sum) == crc64(summed) { Ok(payload) } else { Err(PayloadError::Footer) }
    }

    /// Checks a payload's version, whatever its checksum is.
    ///
    /// # Errors
    /// [`PayloadError::Footer`].
    pub fn check_version(bytes: &'a [u8]) -> Result<Payload<'a>, PayloadError> {
        let (value, footer) = bytes.split_last_chunk::<FOOTER>().ok_or(PayloadError::Footer)?;
        let version = u16::from_le_bytes([footer[0], footer[1]]);
        let version = Version::of_payload(version).map_err(|_| PayloadError::Footer)?;
        Ok(Payload { version, value })
    }

    /// The value, after a check of every byte of it.
    ///
    /// # Errors
    /// [`PayloadError::Value`].
    pub fn restore(&self, space: &mut Space<'_>) -> Result<Built, PayloadError> {
        let mut cursor = Cursor::new(self.value);
        let mut target = Target { built: None, space };
        let read = target.read(self.version, &mut cursor);
        let at = cursor.at();
        match (read, target.built) {
            (Ok(()), Some(built)) => Ok(built),
            (result, built) => {
                if let Some(built) = built {
                    built.discard(target.space);
                }
                Err(PayloadError::Value(at, result.err().unwrap_or(Fault::Truncated)))
            }
        }
    }

    /// The texts of the libraries of functions that it consists of.
    ///
    /// # Errors
    /// [`PayloadError::Value`], also if there is anything else.
    pub fn functions(&self) -> Result<Vec<Vec<u8>>, PayloadError> {
        let mut cursor = Cursor::new(self.value);
        let mut codes = Vec::new();
        while !cursor.is_at_end() {
            let at = cursor.at();
            let damaged = |stop| match stop {
                Stop::Bad(fault) => PayloadError::Value(at, fault),
                Stop::Need(_) => PayloadError::Value(at, Fault::Truncated),
            };
            match cursor.u8().map_err(damaged)? {
                op::FUNCTION => codes.push(cursor.string().map_err(damaged)?.into_owned()),
                other => return Err(PayloadError::Value(at, Fault::Type(other))),
            }
        }
        Ok(codes)
    }

    /// The type of the value; `None`: not known before it is read.
    pub fn kind(&self) -> Option<Kind> {
        let form = Form::of(*self.value.first()?, self.version)?;
        form.ok()?.kind()
    }
}

struct Target<'s, 'k> {
    built: Option<Built>,
    space: &'s mut Space<'k>,
}

impl Target<'_, '_> {
    fn read(&mut self, version: Version, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        match self.read_value(version, cursor) {
            Ok(()) if cursor.is_at_end() => Ok(()),
            Ok(()) => Err(Fault::Trailing),
            Err(Stop::Bad(fault)) => Err(fault),
            Err(Stop::Need(_)) => Err(Fault::Truncated),
        }
    }

    fn read_value(&mut self, version: Version, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let byte = cursor.u8()?;
        let form = Form::of(byte, version).ok_or(Fault::Type(byte))??;
        let mut reader = ValueReader::new(form);
        self.built = form.kind().map(|kind| Built::new(kind, self.space));
        reader.read(cursor, self)?;
        match form.kind() {
            Some(kind) if reader.is_empty() => Err(Fault::Empty(kind.name()).into()),
            _ => Ok(()),
        }
    }
}

impl PartSink for Target<'_, '_> {
    fn part(&mut self, part: Part<'_>) -> Result<(), Fault> {
        match &mut self.built {
            Some(built) => built.part(part, self.space),
            None => Ok(()),
        }
    }
}
