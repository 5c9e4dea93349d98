//! What keys and values say, by the decoder that was asked for.

mod metadata;
mod schema;

use super::{DumpError, corrupt};
use crate::coordinator_record;
use crate::failure::Failure;
use crate::options::Parsed;

/// How keys and values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    Plain { key: Scalar, value: Scalar },
    Offsets,
    Transactions,
    Metadata,
}

/// The decoders of `kafka.serializer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Text,
    Long,
    Integer,
}

/// Key and value as text.
pub type Decoded = (Option<String>, Option<String>);

impl Decoder {
    /// # Errors
    /// When a decoder class is not built in.
    pub fn of(options: &Parsed) -> Result<Decoder, Failure> {
        if options.has("offsets-decoder") {
            return Ok(Decoder::Offsets);
        }
        if options.has("transaction-log-decoder") {
            return Ok(Decoder::Transactions);
        }
        if options.has("cluster-metadata-decoder") {
            return Ok(Decoder::Metadata);
        }
        let scalar = |option| Scalar::of(options.value(option)?.unwrap_or_default());
        Ok(Decoder::Plain { value: scalar("value-decoder-class")?, key: scalar("key-decoder-class")? })
    }

    /// One of each kind, for fuzzing.
    pub fn all() -> [Decoder; 4] {
        let plain = Decoder::Plain { key: Scalar::Text, value: Scalar::Long };
        [plain, Decoder::Offsets, Decoder::Transactions, Decoder::Metadata]
    }

    /// # Errors
    /// When the bytes are not what the decoder reads; those of cluster metadata tell it in the text instead.
    pub fn decode(self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Decoded, DumpError> {
        let both = |(key, value)| (Some(key), Some(value));
        match self {
            Decoder::Plain { key: of_key, value: of_value } => Ok((
                key.map(|key| of_key.text(key)).transpose()?,
                value.map(|value| of_value.text(value)).transpose()?,
            )),
            Decoder::Offsets => {
                coordinator_record::dump(key, value).map(both).map_err(|error| corrupt(error.to_string()))
            }
            Decoder::Transactions => coordinator_record::dump_transaction(key, value)
                .map(both)
                .map_err(|error| corrupt(error.to_string())),
            Decoder::Metadata => Ok((None, Some(metadata::text(offset, value.unwrap_or_default())))),
        }
    }
}

impl Scalar {
    fn of(class: &str) -> Result<Scalar, Failure> {
        match class {
            // The default decoder's bytes would show as an address in Java; as text they say more.
            "kafka.serializer.StringDecoder" | "kafka.serializer.DefaultDecoder" => Ok(Scalar::Text),
            "kafka.serializer.LongDecoder" => Ok(Scalar::Long),
            "kafka.serializer.IntegerDecoder" => Ok(Scalar::Integer),
            other => Err(Failure::message(format!("java.lang.ClassNotFoundException: {other}"))),
        }
    }

    fn text(self, bytes: &[u8]) -> Result<String, DumpError> {
        let underflow =
            || corrupt("java.nio.BufferUnderflowException: a key or value is too short for its decoder");
        match self {
            Scalar::Text => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Scalar::Long => {
                bytes.first_chunk().map(|bytes| i64::from_be_bytes(*bytes).to_string()).ok_or_else(underflow)
            }
            Scalar::Integer => {
                bytes.first_chunk().map(|bytes| i32::from_be_bytes(*bytes).to_string()).ok_or_else(underflow)
            }
        }
    }
}
