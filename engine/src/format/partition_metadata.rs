//! `partition.metadata`: which topic id a partition directory belongs to (KIP-516).
//!
//! Two lines, `version: 0` and `topic_id: <22 characters>`; Kafka writes no line end behind the second.

use super::{Malformed, checkpoint::excerpt, topic_id};
use uuid::Uuid;

const FORMAT: &str = "partition metadata";

/// Name of the file in a partition's directory.
pub const FILE_NAME: &str = "partition.metadata";

/// The file for a topic's partitions.
pub fn encode(topic_id: Uuid) -> Vec<u8> {
    format!("version: 0\ntopic_id: {}", topic_id::format(topic_id)).into_bytes()
}

/// The topic id, which is not the zero id.
pub fn decode(bytes: &[u8]) -> Result<Uuid, Malformed> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Malformed::byte(FORMAT, error.valid_up_to(), "UTF-8", error.to_string()))?;
    let mut lines = text.lines();
    let mut value = |number, key: &str| {
        let line = lines.next().unwrap_or_default();
        let value = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')).map(str::trim);
        value
            .map(|value| (line, value))
            .ok_or_else(|| Malformed::line(FORMAT, number, format!("`{key}: `"), excerpt(line)))
    };
    let (line, version) = value(1, "version")?;
    if version != "0" {
        return Err(Malformed::line(FORMAT, 1, "version 0", excerpt(line)));
    }
    let (line, id) = value(2, "topic_id")?;
    match topic_id::parse(id) {
        Ok(id) if !id.is_nil() => Ok(id),
        Ok(_) => Err(Malformed::line(FORMAT, 2, "a topic id that is not zero", excerpt(line))),
        Err(error) => Err(Malformed::line(FORMAT, 2, error.expected, excerpt(line))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KAFKAS: &[u8] = include_bytes!("../../tests/fixtures/kafka-3.2.0/log-dir/partition.metadata");

    #[test]
    fn reads_and_writes_what_kafka_wrote() {
        let id = decode(KAFKAS).unwrap();
        assert_eq!(topic_id::format(id), "pyQzHukoSv-OCJDYwLL0jw");
        assert_eq!(encode(id), KAFKAS);
    }

    #[test]
    fn errors_name_line_and_expectation() {
        let line = |bytes: &[u8]| decode(bytes).unwrap_err().place;
        assert_eq!(line(b""), super::super::Place::Line(1));
        assert_eq!(line(b"version: 1\ntopic_id: pyQzHukoSv-OCJDYwLL0jw"), super::super::Place::Line(1));
        assert_eq!(line(b"version: 0\n"), super::super::Place::Line(2));
        assert_eq!(line(b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA"), super::super::Place::Line(2));
        assert_eq!(line(b"version: 0\ntopic_id: pyQzHukoSv"), super::super::Place::Line(2));
    }

    proptest! {
        #[test]
        fn round_trip(bits in 1u128..) {
            prop_assert_eq!(decode(&encode(Uuid::from_u128(bits))), Ok(Uuid::from_u128(bits)));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
