//! What went wrong in the words of the Java client: the class of the exception and its message.
//!
//! Users grep for both, and scripts that drive Kafka's tools match on the class names.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// An exception of the Java client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    pub class: &'static str,
    pub message: String,
}

impl Exception {
    pub fn new(class: &'static str, message: impl Into<String>) -> Exception {
        Exception { class, message: message.into() }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.as_str() {
            "" => out.write_str(self.class),
            message => write!(out, "{}: {message}", self.class),
        }
    }
}

macro_rules! exceptions {
    ($($code:ident $name:ident $class:literal $message:literal)*) => {
        /// The exception for what a broker or librdkafka answered.
        pub fn of_code(code: RDKafkaErrorCode) -> Exception {
            match code {
                $(RDKafkaErrorCode::$code => Exception::new(concat!("org.apache.kafka.common.errors.", $class), $message),)*
                other => Exception::new("org.apache.kafka.common.KafkaException", other.to_string()),
            }
        }

        /// Kafka's name of an error code.
        pub fn code_name(code: RDKafkaErrorCode) -> String {
            match code {
                $(RDKafkaErrorCode::$code => stringify!($name).to_owned(),)*
                other => format!("{other:?}"),
            }
        }
    };
}

exceptions! {
    OffsetOutOfRange OFFSET_OUT_OF_RANGE "OffsetOutOfRangeException"
        "The requested offset is not within the range of offsets maintained by the server."
    InvalidMessage CORRUPT_MESSAGE "CorruptRecordException"
        "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted topic, or is otherwise corrupt."
    UnknownTopicOrPartition UNKNOWN_TOPIC_OR_PARTITION "UnknownTopicOrPartitionException"
        "This server does not host this topic-partition."
    UnknownTopic UNKNOWN_TOPIC_OR_PARTITION "UnknownTopicOrPartitionException"
        "This server does not host this topic-partition."
    UnknownPartition UNKNOWN_TOPIC_OR_PARTITION "UnknownTopicOrPartitionException"
        "This server does not host this topic-partition."
    LeaderNotAvailable LEADER_NOT_AVAILABLE "LeaderNotAvailableException"
        "There is no leader for this topic-partition as we are in the middle of a leadership election."
    NotLeaderForPartition NOT_LEADER_OR_FOLLOWER "NotLeaderOrFollowerException"
        "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition."
    RequestTimedOut REQUEST_TIMED_OUT "TimeoutException"
        "The request timed out."
    MessageTimedOut REQUEST_TIMED_OUT "TimeoutException"
        "Expiring the record: the delivery timeout has passed since it was created."
    OperationTimedOut REQUEST_TIMED_OUT "TimeoutException"
        "The request timed out."
    MessageSizeTooLarge MESSAGE_TOO_LARGE "RecordTooLargeException"
        "The request included a message larger than the max message size the server will accept."
    NetworkException NETWORK_EXCEPTION "NetworkException"
        "The server disconnected before a response was received."
    BrokerTransportFailure NETWORK_EXCEPTION "NetworkException"
        "The server disconnected before a response was received."
    CoordinatorNotAvailable COORDINATOR_NOT_AVAILABLE "CoordinatorNotAvailableException"
        "The coordinator is not available."
    NotCoordinator NOT_COORDINATOR "NotCoordinatorException"
        "This is not the correct coordinator."
    InvalidTopic INVALID_TOPIC_EXCEPTION "InvalidTopicException"
        "The request attempted to perform an operation on an invalid topic."
    MessageBatchTooLarge RECORD_LIST_TOO_LARGE "RecordBatchTooLargeException"
        "The request included message batch larger than the configured segment size on the server."
    NotEnoughReplicas NOT_ENOUGH_REPLICAS "NotEnoughReplicasException"
        "Messages are rejected since there are fewer in-sync replicas than required."
    NotEnoughReplicasAfterAppend NOT_ENOUGH_REPLICAS_AFTER_APPEND "NotEnoughReplicasAfterAppendException"
        "Messages are written to the log, but to fewer in-sync replicas than required."
    InvalidRequiredAcks INVALID_REQUIRED_ACKS "InvalidRequiredAcksException"
        "Produce request specified an invalid value for required acks."
    IllegalGeneration ILLEGAL_GENERATION "IllegalGenerationException"
        "Specified group generation id is not valid."
    InconsistentGroupProtocol INCONSISTENT_GROUP_PROTOCOL "InconsistentGroupProtocolException"
        "The group member's supported protocols are incompatible with those of existing members or first group member tried to join with empty protocol type or empty protocol list."
    InvalidGroupId INVALID_GROUP_ID "InvalidGroupIdException"
        "The configured groupId is invalid."
    UnknownMemberId UNKNOWN_MEMBER_ID "UnknownMemberIdException"
        "The coordinator is not aware of this member."
    InvalidSessionTimeout INVALID_SESSION_TIMEOUT "InvalidSessionTimeoutException"
        "The session timeout is not within the range allowed by the broker (as configured by group.min.session.timeout.ms and group.max.session.timeout.ms)."
    RebalanceInProgress REBALANCE_IN_PROGRESS "RebalanceInProgressException"
        "The group is rebalancing, so a rejoin is needed."
    TopicAuthorizationFailed TOPIC_AUTHORIZATION_FAILED "TopicAuthorizationException"
        "Topic authorization failed."
    GroupAuthorizationFailed GROUP_AUTHORIZATION_FAILED "GroupAuthorizationException"
        "Group authorization failed."
    ClusterAuthorizationFailed CLUSTER_AUTHORIZATION_FAILED "ClusterAuthorizationException"
        "Cluster authorization failed."
    InvalidTimestamp INVALID_TIMESTAMP "InvalidTimestampException"
        "The timestamp of the message is out of acceptable range."
    UnsupportedForMessageFormat UNSUPPORTED_FOR_MESSAGE_FORMAT "UnsupportedForMessageFormatException"
        "The message format version on the broker does not support the request."
    PolicyViolation POLICY_VIOLATION "PolicyViolationException"
        "Request parameters do not satisfy the configured policy."
    OutOfOrderSequenceNumber OUT_OF_ORDER_SEQUENCE_NUMBER "OutOfOrderSequenceException"
        "The broker received an out of order sequence number."
    InvalidProducerEpoch INVALID_PRODUCER_EPOCH "InvalidProducerEpochException"
        "Producer attempted to produce with an old epoch."
    UnknownProducerId UNKNOWN_PRODUCER_ID "UnknownProducerIdException"
        "This exception is raised by the broker if it could not locate the producer metadata associated with the producerId in question."
    KafkaStorageError KAFKA_STORAGE_ERROR "KafkaStorageException"
        "Disk error when trying to access log file on the disk."
    FencedInstanceId FENCED_INSTANCE_ID "FencedInstanceIdException"
        "The broker rejected this static consumer since another consumer with the same group.instance.id has registered with a different member.id."
    GroupMaxSizeReached GROUP_MAX_SIZE_REACHED "GroupMaxSizeReachedException"
        "The consumer group has reached its max size."
    InvalidRecord INVALID_RECORD "InvalidRecordException"
        "This record has failed the validation on broker and hence will be rejected."
    UnsupportedVersion UNSUPPORTED_VERSION "UnsupportedVersionException"
        "The version of API is not supported."
    TransactionalIdAuthorizationFailed TRANSACTIONAL_ID_AUTHORIZATION_FAILED "TransactionalIdAuthorizationException"
        "Transactional Id authorization failed."
}

/// The exception for an error of librdkafka's.
pub fn of(error: &KafkaError) -> Exception {
    match error.rdkafka_error_code() {
        Some(code) => of_code(code),
        None => Exception::new("org.apache.kafka.common.KafkaException", error.to_string()),
    }
}

pub fn topic_unknown(topic: &str, waited_ms: u128) -> Exception {
    Exception::new(
        "org.apache.kafka.common.errors.TimeoutException",
        format!("Topic {topic} not present in metadata after {waited_ms} ms."),
    )
}

pub fn buffer_exhausted(waited_ms: u128) -> Exception {
    Exception::new(
        "org.apache.kafka.clients.producer.BufferExhaustedException",
        format!("Failed to allocate memory within the configured max blocking time {waited_ms} ms."),
    )
}

pub fn record_too_large(bytes: usize, max: usize) -> Exception {
    Exception::new(
        "org.apache.kafka.common.errors.RecordTooLargeException",
        format!(
            "The message is {bytes} bytes when serialized which is larger than {max}, which is the value of the \
             max.request.size configuration."
        ),
    )
}

/// `poll` ran out of time without a record.
pub fn timeout() -> Exception {
    Exception::new("org.apache.kafka.common.errors.TimeoutException", "")
}
