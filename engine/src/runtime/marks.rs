//! What Kafka looks for in a directory that was stopped cleanly: its offset checkpoints and its mark.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;

use crate::error::StartError;
use crate::format::offset_checkpoint::{
    CLEANER_FILE_NAME, HIGH_WATERMARK_FILE_NAME, LOG_START_FILE_NAME, PartitionOffset,
    RECOVERY_POINT_FILE_NAME, encode,
};
use crate::id::TopicPartition;
use crate::reactor::Io;
use crate::recovery::CLEAN_MARK;
use crate::volume::replace_file;

/// A partition at a clean stop.
#[derive(Clone, Debug)]
pub struct CleanPartition {
    pub dir: PathBuf,
    pub name: TopicPartition,
    pub log_start: i64,
    pub end: i64,
    /// Of a compacted log: everything below it was compacted.
    pub cleaned: Option<i64>,
}

/// Writes the checkpoints and, last, the mark, in every directory.
pub(super) async fn write(io: &Io, partitions: &[CleanPartition]) -> Result<(), StartError> {
    let mut by_dir: BTreeMap<&PathBuf, Vec<&CleanPartition>> = BTreeMap::new();
    for partition in partitions {
        by_dir.entry(&partition.dir).or_default().push(partition);
    }
    for (dir, partitions) in by_dir {
        let ends = offsets(&partitions, |partition| partition.end);
        let starts = offsets(&partitions, |partition| partition.log_start);
        replace_file(io, &dir.join(RECOVERY_POINT_FILE_NAME), Bytes::from(encode(&ends))).await?;
        replace_file(io, &dir.join(HIGH_WATERMARK_FILE_NAME), Bytes::from(encode(&ends))).await?;
        replace_file(io, &dir.join(LOG_START_FILE_NAME), Bytes::from(encode(&starts))).await?;
        let compacted: Vec<_> = partitions.iter().copied().filter(|part| part.cleaned.is_some()).collect();
        let cleaned =
            offsets(&compacted, |partition| partition.cleaned.unwrap_or(0).max(partition.log_start));
        replace_file(io, &dir.join(CLEANER_FILE_NAME), Bytes::from(encode(&cleaned))).await?;
        replace_file(io, &dir.join(CLEAN_MARK), Bytes::new()).await?;
    }
    Ok(())
}

fn offsets(partitions: &[&CleanPartition], offset: impl Fn(&CleanPartition) -> i64) -> Vec<PartitionOffset> {
    let entry = |partition: &&CleanPartition| PartitionOffset {
        topic: partition.name.topic.clone(),
        partition: partition.name.partition,
        offset: offset(partition),
    };
    partitions.iter().map(entry).collect()
}
