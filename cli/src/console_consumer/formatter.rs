//! How a record is written: Kafka's formatters by the names of their classes.

use std::io::{self, Write};

use super::deserializer::Deserializer;
use crate::coordinator_record::{CoordinatorRecordError, format_group, format_offset, format_transaction};
use crate::record_client::Properties;
use crate::record_client::exception::Exception;

/// A record as it was fetched.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Stamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Names and values; a value may be missing.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// A record's timestamp in ms since the epoch, by who set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    None,
    Create(i64),
    LogAppend(i64),
}

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("{0}")]
    Thrown(Exception),
    #[error(transparent)]
    Record(#[from] CoordinatorRecordError),
    /// Nobody reads stdout any more.
    #[error("cannot write to stdout: {0}")]
    Output(#[from] io::Error),
}

/// One of Kafka's formatters.
#[derive(Debug)]
pub enum Formatter {
    Default(Box<Columns>),
    /// The default one; what it logs is below the level that Kafka's tools show.
    Logging(Box<Columns>),
    NoOp,
    Offsets,
    Groups,
    Transactions,
}

impl Formatter {
    /// # Errors
    /// When there is no such class, or a property names something that is not known.
    pub fn of_class(class: &str, properties: &Properties) -> Result<Formatter, Exception> {
        match class {
            "kafka.tools.DefaultMessageFormatter" => {
                Ok(Formatter::Default(Box::new(Columns::new(properties)?)))
            }
            "kafka.tools.LoggingMessageFormatter" => {
                Ok(Formatter::Logging(Box::new(Columns::new(properties)?)))
            }
            "kafka.tools.NoOpMessageFormatter" => Ok(Formatter::NoOp),
            "kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter" => Ok(Formatter::Offsets),
            "kafka.coordinator.group.GroupMetadataManager$GroupMetadataMessageFormatter" => {
                Ok(Formatter::Groups)
            }
            "kafka.coordinator.transaction.TransactionLog$TransactionLogMessageFormatter" => {
                Ok(Formatter::Transactions)
            }
            other => Err(Exception::new("java.lang.ClassNotFoundException", other)),
        }
    }

    /// # Errors
    /// When the record is not what the formatter takes, or stdout is gone.
    pub fn write(&self, record: &Incoming<'_>, out: &mut dyn Write) -> Result<(), FormatError> {
        match self {
            Formatter::Default(columns) | Formatter::Logging(columns) => return columns.write(record, out),
            Formatter::NoOp => {}
            Formatter::Offsets | Formatter::Groups => {
                let Some(key) = record.key else { return Ok(()) };
                let format = if matches!(self, Formatter::Offsets) { format_offset } else { format_group };
                if let Some(line) = format(key, record.value)? {
                    out.write_all(line.as_bytes())?;
                }
            }
            Formatter::Transactions => {
                let Some(key) = record.key else { return Ok(()) };
                out.write_all(format_transaction(key, record.value)?.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// `DefaultMessageFormatter`: columns that are switched on one by one, in an order of their own.
#[derive(Debug)]
pub struct Columns {
    timestamp: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key: bool,
    value: bool,
    separator: Vec<u8>,
    line_end: Vec<u8>,
    header_separator: Vec<u8>,
    null: Vec<u8>,
    key_deserializer: Deserializer,
    value_deserializer: Deserializer,
    header_deserializer: Deserializer,
}

impl Columns {
    fn new(properties: &Properties) -> Result<Columns, Exception> {
        let is = |name: &str, default: bool| match properties.get(name) {
            Some(value) => value.trim().eq_ignore_ascii_case("true"),
            None => default,
        };
        let bytes = |name: &str, default: &str| properties.get(name).unwrap_or(default).as_bytes().to_vec();
        let deserializer = |name: &str| match properties.get(name) {
            Some(class) => Deserializer::of_class(class, name, properties),
            None => Ok(Deserializer::Bytes),
        };
        Ok(Columns {
            timestamp: is("print.timestamp", false),
            partition: is("print.partition", false),
            offset: is("print.offset", false),
            headers: is("print.headers", false),
            key: is("print.key", false),
            value: is("print.value", true),
            separator: bytes("key.separator", "\t"),
            line_end: bytes("line.separator", "\n"),
            header_separator: bytes("headers.separator", ","),
            null: bytes("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer")?,
            value_deserializer: deserializer("value.deserializer")?,
            header_deserializer: deserializer("headers.deserializer")?,
        })
    }

    /// Each column is followed by the separator, the last one by the end of the line.
    fn write(&self, record: &Incoming<'_>, out: &mut dyn Write) -> Result<(), FormatError> {
        type Column = fn(&Columns, &Incoming<'_>, &mut dyn Write) -> Result<(), FormatError>;
        let columns: [(bool, Column); 6] = [
            (self.timestamp, Columns::write_timestamp),
            (self.partition, |_, record, out| Ok(write!(out, "Partition:{}", record.partition)?)),
            (self.offset, |_, record, out| Ok(write!(out, "Offset:{}", record.offset)?)),
            (self.headers, Columns::write_headers),
            (self.key, |own, record, out| own.write_field(own.key_deserializer, record.key, out)),
            (self.value, |own, record, out| own.write_field(own.value_deserializer, record.value, out)),
        ];
        let mut chosen = columns.iter().filter(|(chosen, _)| *chosen).peekable();
        while let Some((_, column)) = chosen.next() {
            column(self, record, out)?;
            out.write_all(if chosen.peek().is_some() { &self.separator } else { &self.line_end })?;
        }
        Ok(())
    }

    fn write_timestamp(&self, record: &Incoming<'_>, out: &mut dyn Write) -> Result<(), FormatError> {
        match record.timestamp {
            Stamp::None => write!(out, "NO_TIMESTAMP")?,
            Stamp::Create(at) => write!(out, "CreateTime:{at}")?,
            Stamp::LogAppend(at) => write!(out, "LogAppendTime:{at}")?,
        }
        Ok(())
    }

    fn write_headers(&self, record: &Incoming<'_>, out: &mut dyn Write) -> Result<(), FormatError> {
        if record.headers.is_empty() {
            return Ok(out.write_all(b"NO_HEADERS")?);
        }
        for (index, (name, value)) in record.headers.iter().enumerate() {
            if index > 0 {
                out.write_all(&self.header_separator)?;
            }
            write!(out, "{name}:")?;
            self.write_field(self.header_deserializer, *value, out)?;
        }
        Ok(())
    }

    fn write_field(
        &self,
        deserializer: Deserializer,
        bytes: Option<&[u8]>,
        out: &mut dyn Write,
    ) -> Result<(), FormatError> {
        let text = deserializer.text(bytes.unwrap_or(&self.null)).map_err(FormatError::Thrown)?;
        Ok(out.write_all(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(properties: &[&str]) -> String {
        let arguments: Vec<String> = properties.iter().map(|&pair| pair.to_owned()).collect();
        let class = "kafka.tools.DefaultMessageFormatter";
        let formatter = Formatter::of_class(class, &Properties::of_arguments(&arguments)).unwrap();
        let record = Incoming {
            partition: 1,
            offset: 2,
            timestamp: Stamp::Create(3),
            key: Some(b"k"),
            value: None,
            headers: &[("a", Some(b"1")), ("b", None)],
        };
        let mut out = Vec::new();
        formatter.write(&record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_in_kafkas_order() {
        assert_eq!(written(&[]), "null\n");
        let all = [
            "print.timestamp=true",
            "print.partition=true",
            "print.offset=true",
            "print.headers=true",
            "print.key=true",
        ];
        assert_eq!(written(&all), "CreateTime:3\tPartition:1\tOffset:2\ta:1,b:null\tk\tnull\n");
        assert_eq!(written(&["print.key=true", "print.value=false", "line.separator=;"]), "k;");
        assert_eq!(written(&["print.key=TRUE ", "key.separator=|", "null.literal=-"]), "k|-\n");
        assert_eq!(written(&["print.value=false"]), "");
    }

    #[test]
    fn an_unknown_class_is_named() {
        let error =
            Formatter::of_class("kafka.tools.ChecksumMessageFormatter", &Properties::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "java.lang.ClassNotFoundException: kafka.tools.ChecksumMessageFormatter"
        );
    }
}
