//! The one place where the engine's and the codec's reasons become Kafka's error codes.
//!
//! Source: Kafka 3.2.0, `Errors.java`, `KafkaApis`, `ReplicaManager`. What a client does with a code decides between
//! several that fit: retriable where waiting or a new look at the metadata mends it, final where the client must change
//! what it sends.

use kafka_protocol::error::ResponseError;
use thalweg_engine::error::{AppendError, ReadError, Rejection};
use thalweg_protocol::batch::Reject;

use crate::group::GroupError;

/// The code of "no error".
pub const NONE: i16 = 0;

/// Why a produced batch is malformed. Below Produce v3 an old format is no fault of the client, but cannot be kept.
pub fn of_reject(reject: &Reject, produce_version: i16) -> ResponseError {
    match reject {
        Reject::Length { .. } | Reject::UnknownMagic { .. } | Reject::Crc { .. } => {
            ResponseError::CorruptMessage
        }
        Reject::OldMagic { .. } if produce_version < 3 => ResponseError::UnsupportedForMessageFormat,
        Reject::ZstdTooEarly | Reject::UnknownCodec { .. } => ResponseError::UnsupportedCompressionType,
        Reject::TooLarge { .. } => ResponseError::MessageTooLarge,
        Reject::TimestampType | Reject::Timestamp { .. } => ResponseError::InvalidTimestamp,
        Reject::NoBatch { .. }
        | Reject::OldMagic { .. }
        | Reject::SeveralBatches
        | Reject::Trailing { .. }
        | Reject::BaseOffset { .. }
        | Reject::OffsetRange { .. }
        | Reject::Count { .. }
        | Reject::Sequence { .. }
        | Reject::Control => ResponseError::InvalidRecord,
    }
}

/// Why a well-formed batch was not acknowledged.
pub fn of_append(error: &AppendError) -> ResponseError {
    match error {
        AppendError::Rejected(rejection) => of_rejection(rejection),
        AppendError::NoSpace { .. }
        | AppendError::Io(_)
        | AppendError::Fenced { .. }
        | AppendError::Corrupt(_) => ResponseError::KafkaStorageError,
        AppendError::Removed => ResponseError::UnknownTopicOrPartition,
        AppendError::Closing => ResponseError::NotLeaderOrFollower,
    }
}

fn of_rejection(rejection: &Rejection) -> ResponseError {
    match rejection {
        Rejection::TooLarge { .. } => ResponseError::MessageTooLarge,
        Rejection::InvalidTimestamp { .. } => ResponseError::InvalidTimestamp,
        Rejection::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
        Rejection::InvalidProducerEpoch { .. } => ResponseError::InvalidProducerEpoch,
        Rejection::UnknownProducer { .. } => ResponseError::UnknownProducerId,
        Rejection::WithoutKey { .. } | Rejection::Unreadable { .. } => ResponseError::InvalidRecord,
        Rejection::OffsetsExhausted => ResponseError::UnknownServerError,
    }
}

/// Why a read returned nothing.
pub fn of_read(error: &ReadError) -> ResponseError {
    match error {
        ReadError::OutOfRange { .. } => ResponseError::OffsetOutOfRange,
        ReadError::Io(_) => ResponseError::KafkaStorageError,
        ReadError::Corrupt(_) => ResponseError::CorruptMessage,
        ReadError::Removed => ResponseError::UnknownTopicOrPartition,
    }
}

/// Why a consumer group does not do what it is asked.
pub fn of_group(error: GroupError) -> ResponseError {
    match error {
        GroupError::InvalidGroupId => ResponseError::InvalidGroupId,
        GroupError::InvalidSessionTimeout => ResponseError::InvalidSessionTimeout,
        GroupError::Loading => ResponseError::CoordinatorLoadInProgress,
        GroupError::NotAvailable => ResponseError::CoordinatorNotAvailable,
        GroupError::NotCoordinator => ResponseError::NotCoordinator,
        GroupError::UnknownMember => ResponseError::UnknownMemberId,
        GroupError::FencedInstance => ResponseError::FencedInstanceId,
        GroupError::IllegalGeneration => ResponseError::IllegalGeneration,
        GroupError::InconsistentProtocol => ResponseError::InconsistentGroupProtocol,
        GroupError::Rebalance => ResponseError::RebalanceInProgress,
        GroupError::MemberIdRequired => ResponseError::MemberIdRequired,
        GroupError::Full => ResponseError::GroupMaxSizeReached,
        GroupError::NonEmpty => ResponseError::NonEmptyGroup,
        GroupError::NotFound => ResponseError::GroupIdNotFound,
        GroupError::Subscribed => ResponseError::GroupSubscribedToTopic,
        GroupError::RecordTooLarge => ResponseError::UnknownServerError,
    }
}

/// The code of an answer: 0 where there is no error.
pub fn group_code(error: Option<GroupError>) -> i16 {
    error.map_or(NONE, |error| of_group(error).code())
}

/// What a client's idea of the leader epoch says about it (KIP-320). -1: it has none.
///
/// # Errors
/// The code to answer with when the client is behind, or knows of an epoch that this broker does not.
pub fn check_leader_epoch(theirs: i32, ours: i32) -> Result<(), ResponseError> {
    match theirs {
        _ if theirs < 0 || theirs == ours => Ok(()),
        _ if theirs < ours => Err(ResponseError::FencedLeaderEpoch),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_epochs_as_kip_320() {
        assert_eq!(check_leader_epoch(-1, 5), Ok(()));
        assert_eq!(check_leader_epoch(5, 5), Ok(()));
        assert_eq!(check_leader_epoch(4, 5), Err(ResponseError::FencedLeaderEpoch));
        assert_eq!(check_leader_epoch(6, 5), Err(ResponseError::UnknownLeaderEpoch));
    }

    #[test]
    fn an_old_format_is_judged_by_the_request_version() {
        let old = Reject::OldMagic { magic: 1 };
        assert_eq!(of_reject(&old, 2), ResponseError::UnsupportedForMessageFormat);
        assert_eq!(of_reject(&old, 3), ResponseError::InvalidRecord);
    }
}
