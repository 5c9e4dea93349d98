//! What Kafka's admin client can ask, as functions over a [`Client`](crate::client::Client): one request each, sent to
//! whoever must answer it, tried again where Kafka's client would, its answer in plain types.

pub mod configs;
pub mod topics;

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;

pub(crate) fn str_bytes(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(str_bytes(name))
}
