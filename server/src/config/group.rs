//! What is configured of consumer groups and of the topic that keeps them.

use std::time::Duration;

use super::resolve::Reader;
use super::value::InvalidValue;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.max.size`.
    pub size_max: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `offsets.topic.num.partitions`.
    pub topic_partitions: i32,
    /// `offsets.topic.replication.factor`; one is all that there can be.
    pub topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub topic_segment_bytes: i32,
}

pub(super) fn resolve(reader: &Reader<'_>) -> Result<GroupConfig, InvalidValue> {
    let millis = |name| reader.unsigned(name).map(Duration::from_millis);
    Ok(GroupConfig {
        session_timeout_min_ms: reader.int("group.min.session.timeout.ms")?,
        session_timeout_max_ms: reader.int("group.max.session.timeout.ms")?,
        size_max: reader.size("group.max.size")?,
        initial_rebalance_delay: millis("group.initial.rebalance.delay.ms")?,
        offset_metadata_max: reader.size("offset.metadata.max.bytes")?,
        offsets_retention: Duration::from_secs(60 * reader.unsigned("offsets.retention.minutes")?),
        retention_check_interval: millis("offsets.retention.check.interval.ms")?,
        topic_partitions: reader.int("offsets.topic.num.partitions")?,
        topic_replication_factor: i16::try_from(reader.number("offsets.topic.replication.factor")?)
            .unwrap_or(i16::MAX),
        topic_segment_bytes: reader.int("offsets.topic.segment.bytes")?,
    })
}
