//! Offsets per partition of a log directory: `recovery-point-offset-checkpoint` (flushed up to), `log-start-offset-checkpoint`
//! (records below it are deleted; only partitions where that is not their first segment's base), `replication-offset-checkpoint`
//! (high watermark) and `cleaner-offset-checkpoint` (compacted up to).

use super::names::check_topic_name;
use super::{Malformed, checkpoint};

const FORMAT: &str = "offset checkpoint";

/// Names of the files in a log directory.
pub const RECOVERY_POINT_FILE_NAME: &str = "recovery-point-offset-checkpoint";
pub const LOG_START_FILE_NAME: &str = "log-start-offset-checkpoint";
pub const HIGH_WATERMARK_FILE_NAME: &str = "replication-offset-checkpoint";
pub const CLEANER_FILE_NAME: &str = "cleaner-offset-checkpoint";

/// An offset of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffset {
    /// A legal topic name.
    pub topic: String,
    /// At least 0.
    pub partition: i32,
    /// At least 0.
    pub offset: i64,
}

/// The file for `offsets`, in their order. Topic names are legal: creation checked them.
pub fn encode(offsets: &[PartitionOffset]) -> Vec<u8> {
    checkpoint::encode(offsets.iter().map(|PartitionOffset { topic, partition, offset }| {
        debug_assert!(check_topic_name(topic).is_ok(), "{topic:?} cannot be a field of a line");
        format!("{topic} {partition} {offset}")
    }))
}

/// The entries in the file's order. Where a partition appears twice, Kafka takes the last.
pub fn decode(bytes: &[u8]) -> Result<Vec<PartitionOffset>, Malformed> {
    checkpoint::decode(FORMAT, bytes, |line| {
        let topic = line.text("topic")?;
        check_topic_name(topic).map_err(|error| line.expected(format_args!("a legal topic ({error})")))?;
        Ok(PartitionOffset {
            topic: topic.to_owned(),
            partition: line.count("partition")?,
            offset: line.count("offset")?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECOVERY_POINTS: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/log-dir/recovery-point-offset-checkpoint");
    const HIGH_WATERMARKS: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/log-dir/replication-offset-checkpoint");
    const LOG_STARTS: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/log-dir/log-start-offset-checkpoint");

    #[test]
    fn reads_and_writes_what_kafka_wrote() {
        let end = PartitionOffset { topic: "seg.t-1".into(), partition: 0, offset: 600 };
        for bytes in [RECOVERY_POINTS, HIGH_WATERMARKS] {
            let offsets = decode(bytes).unwrap();
            assert!(offsets.contains(&end));
            assert_eq!(encode(&offsets), bytes);
        }
        assert_eq!(decode(LOG_STARTS), Ok(vec![]));
        assert_eq!(encode(&[]), LOG_STARTS);
    }

    #[test]
    fn errors_name_line_and_expectation() {
        let error = |bytes: &[u8]| decode(bytes).unwrap_err().in_file("/data/f").to_string();
        let prefix = "/data/f: malformed offset checkpoint at line 3: expected";
        assert_eq!(error(b"0\n1\nt 0\n"), format!("{prefix} offset, found \"t 0\""));
        assert_eq!(error(b"0\n1\nt -1 0\n"), format!("{prefix} partition, found \"t -1 0\""));
        assert!(error("0\n1\nä 0 0\n".as_bytes()).starts_with(&format!("{prefix} a legal topic")));
        assert_eq!(error(b"0\n1\n\n"), format!("{prefix} topic, found \"\""));
        assert!(error(b"0\n1\nt 0 0\xff\n").contains("at byte 9: expected UTF-8"));
    }

    proptest! {
        #[test]
        fn round_trip(offsets in prop::collection::vec(("[a-zA-Z0-9_-]{1,50}", 0i32.., 0i64..), 0..50)) {
            let offsets: Vec<_> = offsets
                .into_iter()
                .map(|(topic, partition, offset)| PartitionOffset { topic, partition, offset })
                .collect();
            prop_assert_eq!(decode(&encode(&offsets)).unwrap(), offsets);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
