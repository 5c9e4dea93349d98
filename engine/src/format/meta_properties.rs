//! `meta.properties`, one per log directory: which broker of which cluster the directory belongs to.
//!
//! A Java properties file in ISO 8859-1. Version 0 is written by brokers with ZooKeeper (`broker.id`, `cluster.id`), version 1 by
//! KRaft brokers (`node.id`, `cluster.id`, both required; `directory.id` from Kafka 3.7 on). Kafka puts a comment with the
//! date at the top; we leave the date out, so that the same properties are the same bytes.

use super::{Malformed, checkpoint::excerpt, topic_id};
use uuid::Uuid;

const FORMAT: &str = "meta.properties";

/// Name of the file in a log directory.
pub const FILE_NAME: &str = "meta.properties";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    pub version: MetaVersion,
    /// Required in version 1.
    pub cluster_id: Option<String>,
    /// `broker.id` in version 0, `node.id` in version 1, where it is required. At least 0.
    pub node_id: Option<i32>,
    /// KIP-858.
    pub directory_id: Option<Uuid>,
}

/// Who wrote the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaVersion {
    /// 0: a broker with ZooKeeper.
    ZooKeeper,
    /// 1: a KRaft broker.
    KRaft,
}

impl MetaVersion {
    fn number(self) -> i32 {
        match self {
            Self::ZooKeeper => 0,
            Self::KRaft => 1,
        }
    }

    fn node_key(self) -> &'static str {
        match self {
            Self::ZooKeeper => "broker.id",
            Self::KRaft => "node.id",
        }
    }
}

/// The file for `properties`, without a date.
pub fn encode(properties: &MetaProperties) -> Vec<u8> {
    let mut out = String::from("#\n");
    let mut put = |key: &str, value: &str| {
        out.push_str(key);
        out.push('=');
        escape(value, &mut out);
        out.push('\n');
    };
    if let Some(id) = properties.node_id {
        put(properties.version.node_key(), &id.to_string());
    }
    if let Some(id) = properties.directory_id {
        put("directory.id", &topic_id::format(id));
    }
    put("version", &properties.version.number().to_string());
    if let Some(id) = &properties.cluster_id {
        put("cluster.id", id);
    }
    out.into_bytes()
}

/// The properties; keys that are not known are skipped, and of a repeated key the last one counts, as in Kafka.
pub fn decode(bytes: &[u8]) -> Result<MetaProperties, Malformed> {
    let found = properties(bytes);
    let last = |key: &str| found.iter().rev().find(|property| property.key == key);
    let version = match last("version") {
        None => MetaVersion::ZooKeeper,
        Some(property) => match property.value.as_str() {
            "0" => MetaVersion::ZooKeeper,
            "1" => MetaVersion::KRaft,
            _ => return Err(property.expected("version 0 or 1")),
        },
    };
    let node_id = match last(version.node_key()) {
        None => None,
        Some(property) => {
            let id = property.value.parse().ok().filter(|id| *id >= 0);
            Some(id.ok_or_else(|| property.expected("a node id, at least 0"))?)
        }
    };
    let directory_id = match last("directory.id") {
        None => None,
        Some(property) => {
            Some(topic_id::parse(&property.value).map_err(|error| property.expected(error.expected))?)
        }
    };
    let cluster_id = last("cluster.id").map(|property| property.value.clone());
    if version == MetaVersion::KRaft {
        let missing =
            |key: &str| Malformed::line(FORMAT, 1, format!("`{key}` with version 1"), "no such key");
        node_id.ok_or_else(|| missing("node.id"))?;
        cluster_id.as_ref().ok_or_else(|| missing("cluster.id"))?;
    }
    Ok(MetaProperties { version, cluster_id, node_id, directory_id })
}

struct Property {
    line: usize,
    key: String,
    value: String,
}

impl Property {
    fn expected(&self, what: impl Into<String>) -> Malformed {
        Malformed::line(FORMAT, self.line, what, excerpt(&format!("{}={}", self.key, self.value)))
    }
}

/// The properties of a Java properties file, by `java.util.Properties.load`: comments, escapes, continued lines.
fn properties(bytes: &[u8]) -> Vec<Property> {
    let text = bytes.iter().map(|byte| char::from(*byte)).collect::<String>().replace("\r\n", "\n");
    let mut found = Vec::new();
    let mut lines = text.split_terminator(['\n', '\r']).map(str::trim_start).zip(1..);
    while let Some((first, number)) = lines.next() {
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            let Some((next, _)) = lines.next() else { break };
            logical.push_str(next);
        }
        let (key, value) = split_property(&logical);
        found.push(Property { line: number, key: unescape(key), value: unescape(value) });
    }
    found
}

/// An odd number of backslashes at the end escapes the line end.
fn is_continued(line: &str) -> bool {
    !line.bytes().rev().take_while(|byte| *byte == b'\\').count().is_multiple_of(2)
}

/// Splits at the first separator that is not escaped: `=`, `:` or white space, with white space around it.
fn split_property(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|letter: char| {
        let separates = !escaped && matches!(letter, '=' | ':' | ' ' | '\t' | '\x0c');
        escaped = letter == '\\' && !escaped;
        separates
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches([' ', '\t', '\x0c']);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches([' ', '\t', '\x0c']))
}

/// Java's escapes are of UTF-16 units: a character beyond 16 bits is two of them.
fn unescape(text: &str) -> String {
    let mut units = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let plain = match letter {
            '\\' => match letters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// Escapes a value as `java.util.Properties.store` does; characters beyond 16 bits become two escapes, as in Java.
fn escape(value: &str, out: &mut String) {
    for (n, letter) in value.chars().enumerate() {
        match letter {
            ' ' if n > 0 => out.push(' '),
            ' ' | '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', letter]),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            '\x20'..='\x7e' => out.push(letter),
            _ => letter
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04X}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KAFKAS: &[u8] = include_bytes!("../../tests/fixtures/kafka-3.2.0/log-dir/meta.properties");
    const KRAFT_3_2: &[u8] =
        b"#\n#Sun Nov 22 18:39:03 UTC 2026\nnode.id=0\nversion=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n";
    const KRAFT_4_1: &[u8] = b"#\n#Sun Nov 22 18:39:05 UTC 2026\nnode.id=0\ndirectory.id=F0IWB2FASWqXX--cVHmhvg\nversion=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n";

    /// Without the date comment, which is line 2.
    fn undated(file: &[u8]) -> Vec<u8> {
        let lines: Vec<_> = file.split_inclusive(|byte| *byte == b'\n').collect();
        [&lines[..1], &lines[2..]].concat().concat()
    }

    #[test]
    fn reads_and_writes_what_kafka_wrote() {
        let with_zookeeper = decode(KAFKAS).unwrap();
        let expected = MetaProperties {
            version: MetaVersion::ZooKeeper,
            cluster_id: Some("WoTaCXKwT-eXE9cREaFUlw".into()),
            node_id: Some(0),
            directory_id: None,
        };
        assert_eq!(with_zookeeper, expected);
        for file in [KAFKAS, KRAFT_3_2, KRAFT_4_1] {
            assert_eq!(encode(&decode(file).unwrap()), undated(file));
        }
        let directory = decode(KRAFT_4_1).unwrap().directory_id.unwrap();
        assert_eq!(topic_id::format(directory), "F0IWB2FASWqXX--cVHmhvg");
    }

    #[test]
    fn takes_the_property_syntax_of_java() {
        let file = b"! note\r\n  version : 0\nbroker.id 7\ncluster.id=a\\=\\u00e9\\\r\n   b\nunknown\n";
        let properties = decode(file).unwrap();
        assert_eq!((properties.node_id, properties.cluster_id.as_deref()), (Some(7), Some("a=éb")));
    }

    #[test]
    fn errors_name_line_and_expectation() {
        let error = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(
            error(b"#\nversion=2\n"),
            "malformed meta.properties at line 2: expected version 0 or 1, found \"version=2\""
        );
        assert!(error(b"broker.id=x\n").contains("line 1: expected a node id"));
        assert!(error(b"version=1\ncluster.id=x\n").contains("expected `node.id` with version 1"));
        assert!(error(b"version=1\nnode.id=1\n").contains("expected `cluster.id` with version 1"));
        assert!(error(b"directory.id=short\n").contains("22 base64url characters"));
    }

    proptest! {
        #[test]
        fn round_trip(kraft: bool, id in 0i32.., cluster in ".{0,20}", directory: Option<u128>) {
            let properties = MetaProperties {
                version: if kraft { MetaVersion::KRaft } else { MetaVersion::ZooKeeper },
                cluster_id: Some(cluster),
                node_id: Some(id),
                directory_id: directory.map(Uuid::from_u128),
            };
            prop_assert_eq!(decode(&encode(&properties)).unwrap(), properties);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
