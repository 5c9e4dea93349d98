//! The load generator's own Kafka wire codec: the few requests that it sends, at one version each.
//!
//! Written apart from the server's codec on purpose, so that no misreading of the protocol hides on both sides.
//! Every request uses the newest version *without* flexible (tagged) encoding, which Apache Kafka 3.2 and 4.1
//! both still serve. Nothing here does I/O, and nothing allocates by a length field.

pub mod decode;
pub mod encode;
pub mod request;
pub mod response;

/// What a peer sent does not parse, with the field it broke at.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    #[error("response ends inside {0}")]
    Truncated(&'static str),
    #[error("{field} is {value}, which no broker may send")]
    Invalid { field: &'static str, value: i64 },
    #[error("{0} is not UTF-8")]
    Utf8(&'static str),
}

/// An API key and the one version of it that is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    pub name: &'static str,
    pub key: i16,
    pub version: i16,
}

pub const PRODUCE: Api = Api { name: "Produce", key: 0, version: 7 };
pub const FETCH: Api = Api { name: "Fetch", key: 1, version: 11 };
pub const LIST_OFFSETS: Api = Api { name: "ListOffsets", key: 2, version: 4 };
pub const METADATA: Api = Api { name: "Metadata", key: 3, version: 7 };
pub const API_VERSIONS: Api = Api { name: "ApiVersions", key: 18, version: 0 };
pub const CREATE_TOPICS: Api = Api { name: "CreateTopics", key: 19, version: 4 };
pub const DELETE_TOPICS: Api = Api { name: "DeleteTopics", key: 20, version: 3 };
pub const INIT_PRODUCER_ID: Api = Api { name: "InitProducerId", key: 22, version: 1 };

/// The error codes of Kafka's protocol that this program reacts to or names in a report.
pub fn error_name(code: i16) -> &'static str {
    match code {
        -1 => "UNKNOWN_SERVER_ERROR",
        0 => "NONE",
        1 => "OFFSET_OUT_OF_RANGE",
        2 => "CORRUPT_MESSAGE",
        3 => "UNKNOWN_TOPIC_OR_PARTITION",
        5 => "LEADER_NOT_AVAILABLE",
        6 => "NOT_LEADER_OR_FOLLOWER",
        7 => "REQUEST_TIMED_OUT",
        10 => "MESSAGE_TOO_LARGE",
        17 => "INVALID_TOPIC_EXCEPTION",
        18 => "RECORD_LIST_TOO_LARGE",
        19 => "NOT_ENOUGH_REPLICAS",
        20 => "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        21 => "INVALID_REQUIRED_ACKS",
        29 => "TOPIC_AUTHORIZATION_FAILED",
        35 => "UNSUPPORTED_VERSION",
        36 => "TOPIC_ALREADY_EXISTS",
        37 => "INVALID_PARTITIONS",
        38 => "INVALID_REPLICATION_FACTOR",
        40 => "INVALID_CONFIG",
        42 => "INVALID_REQUEST",
        43 => "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        45 => "OUT_OF_ORDER_SEQUENCE_NUMBER",
        46 => "DUPLICATE_SEQUENCE_NUMBER",
        47 => "INVALID_PRODUCER_EPOCH",
        56 => "KAFKA_STORAGE_ERROR",
        59 => "UNKNOWN_PRODUCER_ID",
        70 => "FETCH_SESSION_ID_NOT_FOUND",
        71 => "INVALID_FETCH_SESSION_EPOCH",
        74 => "FENCED_LEADER_EPOCH",
        75 => "UNKNOWN_LEADER_EPOCH",
        76 => "UNSUPPORTED_COMPRESSION_TYPE",
        87 => "INVALID_RECORD",
        _ => "see Kafka's protocol guide",
    }
}
