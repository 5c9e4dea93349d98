//! Names of segment files, partition directories and topics.
//!
//! `topic-N/` holds a partition; `topic-N.<32 hex digits>-delete/` one whose removal is under way, `-future` one that is being
//! moved to another log directory, `-stray` one that does not belong to the broker (Kafka 3.7 on). In it
//! `<20 digits>.<kind>` holds what the kind says from that base offset on, with one more suffix while a deletion or a
//! compaction is under way.

use uuid::Uuid;

/// Most characters of a topic name.
pub const TOPIC_NAME_CHARS_MAX: usize = 249;

/// Most bytes of a directory name on the usual file systems.
const DIRECTORY_NAME_BYTES_MAX: usize = 255;

/// Digits of a base offset in a file name.
const OFFSET_DIGITS: usize = 20;

/// What is wrong with a topic name, in Kafka's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTopicName {
    #[error("topic name is empty")]
    Empty,
    #[error("topic name cannot be \".\" or \"..\"")]
    Dots,
    #[error("topic name is longer than {TOPIC_NAME_CHARS_MAX} characters")]
    TooLong,
    #[error("topic name contains a character other than ASCII alphanumerics, '.', '_' and '-'")]
    Character,
}

/// Accepts the names that Kafka lets a topic have. They are safe as file names.
pub fn check_topic_name(name: &str) -> Result<(), IllegalTopicName> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Err(IllegalTopicName::Empty),
        "." | ".." => Err(IllegalTopicName::Dots),
        _ if name.chars().count() > TOPIC_NAME_CHARS_MAX => Err(IllegalTopicName::TooLong),
        _ if !name.bytes().all(legal) => Err(IllegalTopicName::Character),
        _ => Ok(()),
    }
}

/// Whether two names would share metrics, where `.` and `_` are the same: Kafka refuses to create the second topic.
pub fn topic_names_collide(one: &str, other: &str) -> bool {
    let folded = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one.bytes().map(folded).eq(other.bytes().map(folded))
}

/// A file of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentFile {
    /// At least 0. Of a snapshot: the offset before which it holds.
    pub base_offset: i64,
    pub kind: SegmentFileKind,
    pub stage: FileStage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SegmentFileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
}

/// Which step of its life a file's last suffix shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileStage {
    Live,
    /// `.deleted`: to be removed, also after a crash.
    Deleted,
    /// `.cleaned`: written by compaction and not complete; removed after a crash.
    Cleaned,
    /// `.swap`: complete, about to replace live files; the replacement is finished after a crash.
    Swap,
}

impl SegmentFileKind {
    const ALL: [Self; 5] =
        [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TransactionIndex, Self::ProducerSnapshot];

    pub fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
            Self::ProducerSnapshot => ".snapshot",
        }
    }
}

impl FileStage {
    const ALL: [Self; 4] = [Self::Live, Self::Deleted, Self::Cleaned, Self::Swap];

    pub fn suffix(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Deleted => ".deleted",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

impl SegmentFile {
    pub fn live(base_offset: i64, kind: SegmentFileKind) -> Self {
        Self { base_offset, kind, stage: FileStage::Live }
    }

    pub fn file_name(&self) -> String {
        let Self { base_offset, kind, stage } = self;
        format!("{base_offset:0OFFSET_DIGITS$}{}{}", kind.suffix(), stage.suffix())
    }

    /// `None` for names that Kafka does not give to segment files. Takes exactly the names that
    /// [`file_name`](Self::file_name) gives.
    pub fn parse(name: &str) -> Option<Self> {
        let (digits, suffixes) = name.split_at_checked(OFFSET_DIGITS)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let base_offset = digits.parse().ok()?;
        let kinds = SegmentFileKind::ALL.into_iter();
        let mut parsed = kinds.filter_map(|kind| {
            let rest = suffixes.strip_prefix(kind.suffix())?;
            let stage = FileStage::ALL.into_iter().find(|stage| stage.suffix() == rest)?;
            Some(Self { base_offset, kind, stage })
        });
        parsed.next()
    }
}

/// The directory of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionDirectory {
    /// A legal topic name. Of a `Delete` directory it may be cut short: see [`directory_name`](Self::directory_name).
    pub topic: String,
    /// At least 0.
    pub partition: i32,
    pub stage: DirectoryStage,
}

/// Which step of its life a directory's suffix shows; the id makes the name unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DirectoryStage {
    Live,
    /// Removal is under way: nothing in it is served again.
    Delete(Uuid),
    /// A copy on the way to replace the live directory of another disk.
    Future(Uuid),
    /// Found on a broker that does not host the partition.
    Stray(Uuid),
}

impl PartitionDirectory {
    pub fn live(topic: &str, partition: i32) -> Self {
        Self { topic: topic.to_owned(), partition, stage: DirectoryStage::Live }
    }

    /// The directory's name. Like Kafka it cuts the topic's name where a suffix would make the whole exceed 255 bytes.
    pub fn directory_name(&self) -> String {
        let suffix = match self.stage {
            DirectoryStage::Live => format!("-{}", self.partition),
            DirectoryStage::Delete(id) => format!("-{}.{}-delete", self.partition, id.simple()),
            DirectoryStage::Future(id) => format!("-{}.{}-future", self.partition, id.simple()),
            DirectoryStage::Stray(id) => format!("-{}.{}-stray", self.partition, id.simple()),
        };
        let room = DIRECTORY_NAME_BYTES_MAX.saturating_sub(suffix.len());
        let topic = self.topic.get(..room).unwrap_or(&self.topic);
        format!("{topic}{suffix}")
    }

    /// `None` for names of other directories. The topic's name is legal, the partition's number canonical.
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, stage) = split_directory_stage(name).unwrap_or((name, DirectoryStage::Live));
        let (topic, number) = stem.rsplit_once('-')?;
        check_topic_name(topic).ok()?;
        let partition: i32 = number.parse().ok()?;
        let canonical = partition >= 0 && number == partition.to_string();
        canonical.then(|| Self { topic: topic.to_owned(), partition, stage })
    }
}

fn split_directory_stage(name: &str) -> Option<(&str, DirectoryStage)> {
    let (stem, tail) = name.rsplit_once('.')?;
    let (id, stage) = tail.split_once('-')?;
    let id = (id.len() == 32).then(|| Uuid::try_parse(id).ok())??;
    match stage {
        "delete" => Some((stem, DirectoryStage::Delete(id))),
        "future" => Some((stem, DirectoryStage::Future(id))),
        "stray" => Some((stem, DirectoryStage::Stray(id))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn segment_files_as_kafka_names_them() {
        let log = SegmentFile::live(188, SegmentFileKind::Log);
        assert_eq!(log.file_name(), "00000000000000000188.log");
        assert_eq!(SegmentFile::parse("00000000000000000188.log"), Some(log));
        let swap =
            SegmentFile { base_offset: i64::MAX, kind: SegmentFileKind::TimeIndex, stage: FileStage::Swap };
        assert_eq!(swap.file_name(), "09223372036854775807.timeindex.swap");
        for other in [
            "188.log",
            "00000000000000000188",
            "00000000000000000188.log.",
            "+0000000000000000188.log",
            "99999999999999999999.log",
            "00000000000000000188.log.deleted.swap",
            "leader-epoch-checkpoint",
            "ä0000000000000000000.log",
        ] {
            assert_eq!(SegmentFile::parse(other), None, "{other}");
        }
    }

    #[test]
    fn partition_directories_as_kafka_names_them() {
        let live = PartitionDirectory::live("seg.t-1", 0);
        assert_eq!(live.directory_name(), "seg.t-1-0");
        assert_eq!(PartitionDirectory::parse("seg.t-1-0"), Some(live.clone()));
        let id = Uuid::from_u128(7);
        let deleted = PartitionDirectory { stage: DirectoryStage::Delete(id), ..live };
        assert_eq!(deleted.directory_name(), "seg.t-1-0.00000000000000000000000000000007-delete");
        assert_eq!(PartitionDirectory::parse(&deleted.directory_name()), Some(deleted));
        for other in [
            "topic",
            "topic-",
            "-0",
            "topic--1x",
            "topic-01",
            "topic-2147483648",
            "a b-0",
            "..-0",
            "t-0.7-delete",
        ] {
            assert_eq!(PartitionDirectory::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_long_topic_is_cut_to_keep_the_directory_name_legal() {
        let topic = "t".repeat(TOPIC_NAME_CHARS_MAX);
        let stage = DirectoryStage::Delete(Uuid::from_u128(u128::MAX));
        let name = PartitionDirectory { topic, partition: 12, stage }.directory_name();
        assert_eq!(name.len(), 255);
        assert_eq!(PartitionDirectory::parse(&name).map(|parsed| parsed.stage), Some(stage));
    }

    #[test]
    fn topic_names_that_kafka_refuses() {
        assert_eq!(check_topic_name(""), Err(IllegalTopicName::Empty));
        assert_eq!(check_topic_name(".."), Err(IllegalTopicName::Dots));
        assert_eq!(check_topic_name(&"t".repeat(250)), Err(IllegalTopicName::TooLong));
        assert_eq!(check_topic_name("a/b"), Err(IllegalTopicName::Character));
        assert_eq!(check_topic_name("ä"), Err(IllegalTopicName::Character));
        assert_eq!(check_topic_name("A.b_c-9"), Ok(()));
        assert!(topic_names_collide("a.b", "a_b") && !topic_names_collide("a.b", "a-b"));
    }

    proptest! {
        #[test]
        fn directories_round_trip(topic in "[a-zA-Z0-9._-]{1,200}", partition in 0i32.., id: u128, stage in 0..4) {
            prop_assume!(check_topic_name(&topic).is_ok());
            let id = Uuid::from_u128(id);
            let stage = match stage {
                0 => DirectoryStage::Live,
                1 => DirectoryStage::Delete(id),
                2 => DirectoryStage::Future(id),
                _ => DirectoryStage::Stray(id),
            };
            let directory = PartitionDirectory { topic, partition, stage };
            prop_assert_eq!(PartitionDirectory::parse(&directory.directory_name()), Some(directory));
        }

        #[test]
        fn any_name_is_survived(name: String) {
            let _ = PartitionDirectory::parse(&name);
            if let Some(file) = SegmentFile::parse(&name) {
                prop_assert_eq!(file.file_name(), name);
            }
        }
    }
}
