//! DeleteTopics (key 20), versions 0 to 6: by name, and from version 6 on by id.
//!
//! All topics of a request are one durable change. A topic is gone when the answer leaves, whatever `timeout` says. Version 0 is version 1 without a throttle time. With
//! `delete.topic.enable=false` nothing is deleted: TOPIC_DELETION_DISABLED (INVALID_REQUEST before version 3).

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError, oldest};
use crate::metadata::{self, ChangeError, DeletionError, Topic, TopicRef};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 20,
    name: "DeleteTopics",
    versions: (0, 6),
    flexible: 4,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string(), fixed(16)];
pub const SHAPE: &Shape = &[array(TOPIC).since(6), plain_array(&string()).until(5), fixed(4)];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: DeleteTopicsRequest = request.decode_as(SHAPE, request.version.max(OLDEST))?;
    let named = asked.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let topics: Vec<DeleteTopicState> = asked.topics.into_iter().chain(named).collect();
    let (mut wanted, mut refusals) = (Vec::new(), Vec::with_capacity(topics.len()));
    let mut seen = HashSet::new();
    for topic in &topics {
        let first = seen.insert((topic.name.clone(), topic.topic_id));
        let checked = checked(&shard, topic, first, request.version);
        refusals.push(checked.map(|topic| wanted.push(topic)).err());
    }
    let mut answers = metadata::delete_topics(&shard, wanted).await.into_iter();
    let results = topics.into_iter().zip(refusals).map(|(topic, refusal)| match refusal {
        Some((error, message)) => refused(topic, error, message.to_owned()),
        None => result(topic, answers.next().unwrap_or(Err(ChangeError::Closing.into()))),
    });
    let results = results.collect();
    let response = DeleteTopicsResponse::default().with_responses(results);
    match request.version {
        0 => oldest::reply_without_throttle(&request, &response, OLDEST),
        _ => request.reply(&response),
    }
}

/// The oldest version of the codec.
const OLDEST: i16 = 1;

/// What to delete, if the request makes sense.
fn checked(
    shard: &ServerShard,
    topic: &DeleteTopicState,
    first: bool,
    version: i16,
) -> Result<TopicRef, (ResponseError, &'static str)> {
    if !shard.config.delete_topics {
        let error =
            if version < 3 { ResponseError::InvalidRequest } else { ResponseError::TopicDeletionDisabled };
        return Err((error, "Topic deletion is disabled."));
    }
    if !first {
        return Err((ResponseError::InvalidRequest, "Found multiple entries for this topic."));
    }
    match (&topic.name, topic.topic_id.is_nil()) {
        (Some(name), true) => Ok(TopicRef::Name(name.to_string())),
        (None, false) => Ok(TopicRef::Id(topic.topic_id)),
        _ => Err((
            ResponseError::InvalidRequest,
            "Topic name and topic ID can not both be specified, nor both be missing.",
        )),
    }
}

fn result(topic: DeleteTopicState, answer: Result<Arc<Topic>, DeletionError>) -> DeletableTopicResult {
    match answer {
        Ok(deleted) => DeletableTopicResult::default()
            .with_name(Some(TopicName(StrBytes::from_string(deleted.name.clone()))))
            .with_topic_id(deleted.id)
            .with_error_message(None),
        Err(error) => refused(topic, error.code(), error.to_string()),
    }
}

fn refused(topic: DeleteTopicState, error: ResponseError, message: String) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(topic.name)
        .with_topic_id(topic.topic_id)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// AdminClient finds the answer to a deletion by id by that id, and failed when a refusal had none.
    #[test]
    fn a_refusal_names_the_topic_as_the_request_did() {
        let id = Uuid::from_u128(7);
        let answer = refused(
            DeleteTopicState::default().with_topic_id(id),
            ResponseError::TopicDeletionDisabled,
            "Topic deletion is disabled.".to_owned(),
        );
        assert_eq!((answer.name, answer.topic_id), (None, id));
    }
}
