//! From a line to a record: Kafka's `LineMessageReader` with its `--property` settings.
//!
//! ```text
//! headers DELIMITER key SEPARATOR value        headers: key:value,key:value
//! ```
//! Fields are cut as text: what is no UTF-8 becomes U+FFFD, as it does in Java.

use crate::record_client::Properties;
use crate::record_client::exception::Exception;
use crate::record_client::producer::{Outgoing, RecordHeader};

/// Reads records from lines.
#[derive(Debug)]
pub struct LineReader {
    key_separator: Option<String>,
    headers: Option<HeaderSyntax>,
    null_marker: Option<String>,
    ignore_error: bool,
    line_number: u64,
}

#[derive(Debug)]
struct HeaderSyntax {
    delimiter: String,
    separator: regex::Regex,
    key_separator: String,
}

const KAFKA_EXCEPTION: &str = "org.apache.kafka.common.KafkaException";

fn bad(message: impl Into<String>) -> Exception {
    Exception::new(KAFKA_EXCEPTION, message)
}

impl LineReader {
    /// # Errors
    /// When two of the separators are the same, or the headers' separator is no regular expression.
    pub fn new(properties: &Properties) -> Result<LineReader, Exception> {
        let is =
            |key: &str| properties.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let text = |key: &str, default: &str| properties.get(key).unwrap_or(default).to_owned();
        let key_separator = text("key.separator", "\t");
        let delimiter = text("headers.delimiter", "\t");
        let separator = text("headers.separator", ",");
        let header_key_separator = text("headers.key.separator", ":");
        let null_marker = properties.get("null.marker").map(str::to_owned);
        let distinct = [
            ("headers.delimiter", Some(&delimiter), "headers.separator", &separator),
            ("headers.delimiter", Some(&delimiter), "headers.key.separator", &header_key_separator),
            ("headers.separator", Some(&separator), "headers.key.separator", &header_key_separator),
            ("null.marker", null_marker.as_ref(), "key.separator", &key_separator),
            ("null.marker", null_marker.as_ref(), "headers.separator", &separator),
            ("null.marker", null_marker.as_ref(), "headers.delimiter", &delimiter),
            ("null.marker", null_marker.as_ref(), "headers.key.separator", &header_key_separator),
        ];
        if let Some((one, _, other, _)) = distinct.iter().find(|(_, one, _, other)| *one == Some(*other)) {
            return Err(bad(format!("{one} and {other} may not be equal")));
        }
        let separator = regex::Regex::new(&separator)
            .map_err(|error| Exception::new("java.util.regex.PatternSyntaxException", error.to_string()))?;
        Ok(LineReader {
            key_separator: is("parse.key").then_some(key_separator),
            headers: is("parse.headers").then_some(HeaderSyntax {
                delimiter,
                separator,
                key_separator: header_key_separator,
            }),
            null_marker,
            ignore_error: is("ignore.error"),
            line_number: 0,
        })
    }

    /// The record that the next line holds.
    ///
    /// # Errors
    /// When a separator is missing and that is not to be ignored.
    pub fn read(&mut self, line: &[u8]) -> Result<Outgoing, Exception> {
        self.line_number += 1;
        let text = String::from_utf8_lossy(line);
        let mut rest: &str = &text;
        let headers = match &self.headers {
            Some(syntax) => self.cut(&text, &mut rest, &syntax.delimiter, "headers delimiter")?,
            None => None,
        };
        let key = match &self.key_separator {
            Some(separator) => self.cut(&text, &mut rest, separator, "key separator")?,
            None => None,
        };
        Ok(Outgoing {
            key: key.and_then(|key| self.bytes(key)),
            value: self.bytes(rest),
            headers: match (headers, &self.headers) {
                (Some(headers), Some(syntax)) if Some(headers) != self.null_marker.as_deref() => {
                    self.headers(headers, syntax)?
                }
                _ => Vec::new(),
            },
            timestamp: None,
        })
    }

    /// What stands in `rest` before `separator`, which is cut off with it.
    fn cut<'a>(
        &self,
        line: &str,
        rest: &mut &'a str,
        separator: &str,
        what: &str,
    ) -> Result<Option<&'a str>, Exception> {
        match rest.split_once(separator) {
            Some((field, behind)) => {
                *rest = behind;
                Ok(Some(field))
            }
            None if self.ignore_error => Ok(None),
            None => Err(bad(format!("No {what} found on line number {}: '{line}'", self.line_number))),
        }
    }

    fn bytes(&self, field: &str) -> Option<Vec<u8>> {
        (Some(field) != self.null_marker.as_deref()).then(|| field.as_bytes().to_vec())
    }

    fn headers(&self, text: &str, syntax: &HeaderSyntax) -> Result<Vec<RecordHeader>, Exception> {
        let mut pairs: Vec<&str> = syntax.separator.split(text).collect();
        // Java's split gives no empty strings at the end, but the whole text if there was nothing to split at.
        while pairs.len() > 1 && pairs.last() == Some(&"") {
            pairs.pop();
        }
        pairs.into_iter().map(|pair| self.header(pair, syntax)).collect()
    }

    fn header(&self, pair: &str, syntax: &HeaderSyntax) -> Result<RecordHeader, Exception> {
        let Some((key, value)) = pair.split_once(syntax.key_separator.as_str()) else {
            if self.ignore_error {
                return Ok((pair.to_owned(), None));
            }
            let line = self.line_number;
            return Err(bad(format!("No header key separator found in pair '{pair}' on line number {line}")));
        };
        match &self.null_marker {
            Some(marker) if marker == key => Err(bad(format!(
                "Header keys should not be equal to the null marker '{marker}' as they can't be null"
            ))),
            _ => Ok((key.to_owned(), self.bytes(value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pairs: &[&str]) -> Result<LineReader, Exception> {
        let arguments: Vec<String> = pairs.iter().map(|&pair| pair.to_owned()).collect();
        LineReader::new(&Properties::of_arguments(&arguments))
    }

    fn read(pairs: &[&str], line: &str) -> Result<Outgoing, String> {
        reader(pairs).unwrap().read(line.as_bytes()).map_err(|exception| exception.message)
    }

    fn some(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn keys_and_values_are_cut_at_the_first_separator() {
        let record = read(&["parse.key=true"], "k\tv\tw").unwrap();
        assert_eq!((record.key, record.value), (some("k"), some("v\tw")));
        let plain = read(&[], "k\tv").unwrap();
        assert_eq!((plain.key, plain.value), (None, some("k\tv")));
        let missing = read(&["parse.key=true"], "kv").unwrap_err();
        assert_eq!(missing, "No key separator found on line number 1: 'kv'");
        let ignored = read(&["parse.key=true", "ignore.error=true"], "kv").unwrap();
        assert_eq!((ignored.key, ignored.value), (None, some("kv")));
    }

    #[test]
    fn headers_stand_before_the_key() {
        let all = &["parse.key=true", "parse.headers=true", "key.separator=|", "null.marker=NULL"];
        let record = read(all, "a:1,b:NULL,c:\tk|NULL").unwrap();
        assert_eq!(record.headers, [("a".into(), some("1")), ("b".into(), None), ("c".into(), some(""))]);
        assert_eq!((record.key, record.value), (some("k"), None));
        assert_eq!(read(all, "NULL\tNULL|v").unwrap().headers, []);
        assert!(read(all, "NULL:1\tk|v").unwrap_err().contains("Header keys should not be equal"));
        assert!(read(all, "a\tk|v").unwrap_err().contains("in pair 'a' on line number 1"));
    }

    #[test]
    fn separators_must_differ() {
        let same = reader(&["headers.delimiter=,"]).unwrap_err();
        assert_eq!(same.message, "headers.delimiter and headers.separator may not be equal");
        assert!(reader(&["null.marker=:"]).is_err());
    }

    #[test]
    fn what_is_no_utf8_becomes_the_replacement_character() {
        let record = reader(&[]).unwrap().read(b"a\xffb").unwrap();
        assert_eq!(record.value, some("a\u{fffd}b"));
    }
}
