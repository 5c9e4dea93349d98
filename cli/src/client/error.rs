//! What goes wrong between a tool and its brokers, and the names under which Kafka's tools report it.

use std::io;

use kafka_protocol::error::ResponseError;

use super::Address;

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("Failed to create new KafkaAdminClient: {0}")]
    Bootstrap(String),
    /// An answer that this tool can do nothing with.
    #[error("{0}")]
    Unusable(String),
    #[error("Connection to {address} could not be established: {source}. Broker may not be available.")]
    Unreachable { address: Address, source: io::Error },
    #[error("Connection to {address} broke: {source}")]
    Broken { address: Address, source: io::Error },
    #[error("{address} does not answer as a Kafka broker: {why}")]
    Nonsense { address: Address, why: String },
    #[error("The broker at {address} does not support the request that this needs (API key {api}).")]
    Unsupported { api: i16, address: Address },
    #[error("Request {api} cannot be sent in version {version}: {why}")]
    Unsayable { api: i16, version: i16, why: String },
    #[error("{0}")]
    TimedOut(String),
    #[error("{}", .0.message)]
    Refused(KafkaError),
}

/// An error code from a broker, with the broker's message or Kafka's own for that code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaError {
    pub code: ResponseError,
    pub message: String,
}

impl KafkaError {
    /// What a code and an optional message of a response mean; `None` for code 0.
    pub fn of(code: i16, message: Option<&str>) -> Option<KafkaError> {
        let code = ResponseError::try_from_code(code)?;
        let message = message.map_or_else(|| default_message(code), str::to_owned);
        Some(KafkaError { code, message })
    }

    /// As Java shows an exception: its class and its message.
    pub fn described(&self) -> String {
        format!("{}: {}", exception(self.code), self.message)
    }

    pub fn is_topic_exists(&self) -> bool {
        self.code == ResponseError::TopicAlreadyExists
    }

    /// By name or by id.
    pub fn is_topic_unknown(&self) -> bool {
        matches!(self.code, ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId)
    }
}

impl ClientError {
    /// # Panics
    /// When `code` is 0, which is no error.
    pub fn refused(code: i16, message: Option<&str>) -> ClientError {
        match KafkaError::of(code, message) {
            Some(error) => ClientError::Refused(error),
            None => panic!("code 0 is no error"),
        }
    }

    /// Whether the same request may do better in a moment, perhaps at another broker.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } => true,
            // What timed out at the broker may still be under way there: to ask again would find it half done. A topic
            // that is not there is the user's to create, and Kafka's admin client does not wait for it either.
            ClientError::Refused(error) => {
                let settled = [
                    ResponseError::RequestTimedOut,
                    ResponseError::UnknownTopicOrPartition,
                    ResponseError::UnknownTopicId,
                ];
                error.code.is_retriable() && !settled.contains(&error.code)
            }
            _ => false,
        }
    }

    /// As Java shows the exception that Kafka's client would throw: its class and its message.
    pub fn described(&self) -> String {
        match self {
            ClientError::Refused(error) => error.described(),
            ClientError::TimedOut(message) => {
                format!("org.apache.kafka.common.errors.TimeoutException: {message}")
            }
            ClientError::Unsupported { .. } => {
                format!("org.apache.kafka.common.errors.UnsupportedVersionException: {self}")
            }
            other => format!("org.apache.kafka.common.KafkaException: {other}"),
        }
    }
}

/// The class of the Java exception for a code. It follows from the code's name, but for those whose names differ.
pub fn exception(code: ResponseError) -> String {
    let name = format!("{code}");
    let name = match code {
        ResponseError::TopicAlreadyExists => "TopicExists",
        ResponseError::InvalidTopicException => "InvalidTopic",
        ResponseError::InvalidConfig => "InvalidConfiguration",
        ResponseError::MessageTooLarge => "RecordTooLarge",
        ResponseError::RequestTimedOut => "Timeout",
        ResponseError::UnknownServerError | ResponseError::Unknown(_) => "UnknownServer",
        ResponseError::NonEmptyGroup => "GroupNotEmpty",
        _ => name.as_str(),
    };
    let name = name.strip_suffix("Exception").unwrap_or(name);
    format!("org.apache.kafka.common.errors.{name}Exception")
}

/// What Kafka's tools print for a code without a message from the broker. Only codes that the tools can meet stand here.
fn default_message(code: ResponseError) -> String {
    use ResponseError as E;
    let text = match code {
        E::UnknownServerError => "The server experienced an unexpected error when processing the request.",
        E::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        E::OffsetOutOfRange => {
            "The requested offset is not within the range of offsets maintained by the server."
        }
        E::LeaderNotAvailable => {
            "There is no leader for this topic-partition as we are in the middle of a leadership election."
        }
        E::RequestTimedOut => "The request timed out.",
        E::InvalidTopicException => "The request attempted to perform an operation on an invalid topic.",
        E::CoordinatorLoadInProgress => "The coordinator is loading and hence can't process requests.",
        E::CoordinatorNotAvailable => "The coordinator is not available.",
        E::NotCoordinator => "This is not the correct coordinator.",
        E::InvalidGroupId => "The configured groupId is invalid.",
        E::UnknownMemberId => "The coordinator is not aware of this member.",
        E::RebalanceInProgress => "The group is rebalancing, so a rejoin is needed.",
        E::NotController => "This is not the correct controller for this cluster.",
        E::TopicAlreadyExists => "Topic with this name already exists.",
        E::InvalidPartitions => "Number of partitions is below 1.",
        E::InvalidReplicationFactor => {
            "Replication factor is below 1 or larger than the number of available brokers."
        }
        E::InvalidReplicaAssignment => "Replica assignment is invalid.",
        E::InvalidConfig => "Configuration is invalid.",
        E::InvalidRequest => {
            "This most likely occurs because of a request being malformed by the client library or the message was \
             sent to an incompatible broker. See the broker logs for more details."
        }
        E::UnsupportedVersion => "The version of API is not supported.",
        E::PolicyViolation => "Request parameters do not satisfy the configured policy.",
        E::NonEmptyGroup => "The group is not empty.",
        E::GroupIdNotFound => "The group id does not exist.",
        E::GroupSubscribedToTopic => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
        }
        E::UnknownTopicId => "This server does not host this topic ID.",
        E::KafkaStorageError => "Disk error when trying to access log file on the disk.",
        E::LogDirNotFound => "The user-specified log directory is not found in the broker config.",
        E::TopicDeletionDisabled => "Topic deletion is disabled.",
        other => return format!("Error {} ({other}).", other.code()),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_java_s_exceptions() {
        let name = |code: i16| exception(ResponseError::try_from_code(code).unwrap());
        let package = "org.apache.kafka.common.errors.";
        assert_eq!(name(3), format!("{package}UnknownTopicOrPartitionException"));
        assert_eq!(name(17), format!("{package}InvalidTopicException"));
        assert_eq!(name(36), format!("{package}TopicExistsException"));
        assert_eq!(name(69), format!("{package}GroupIdNotFoundException"));
    }
}
