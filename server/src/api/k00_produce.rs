//! Produce (key 0), versions 0 to 13.
//!
//! Every partition's records are one batch of format 2, validated here and appended where the partition lives; the
//! answer comes when each batch is as durable as its topic asks for, whatever acks says: with one replica, acks 1 and
//! acks -1 promise the same. acks 0 gets no answer, and a failure closes the connection.
//!
//! Versions 0 to 2 are advertised because librdkafka takes its codecs from them; a batch of format 2 is taken in them
//! too, an old format is UNSUPPORTED_FOR_MESSAGE_FORMAT (Kafka 3.2.0 converts it up). `timeout_ms` bounds the wait for
//! other replicas, of which there are none. Transactions are refused with an error that clients do not retry.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use thalweg_engine::error::{AppendError, Rejection};
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::log::{Appended, LogOptions, TimestampType};
use thalweg_protocol::TopicRef;
use thalweg_protocol::batch::{ProduceLimits, TimestampBounds, validate_produced};
use thalweg_protocol::produce::{
    PartitionProduceResponse, ProducePartition, ProduceRequest, ProduceResponse, RecordRefusal,
    TopicProduceResponse,
};

use super::{Api, Frame, Reply, Request, RequestError};
use crate::bounds::PRODUCE_PARTITIONS_MAX;
use crate::errors;
use crate::metadata::{MetadataImage, Topic};
use crate::scatter::{join_all, scatter};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 0,
    name: "Produce",
    versions: (0, 13),
    flexible: 9,
    overlaps: true,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

/// Client id of Kafka's own tools, which may write to internal topics.
const ADMIN_CLIENT_ID: &[u8] = b"__admin_client";

/// Why a partition's records are not appended, as the client is told.
#[derive(Debug)]
struct Refusal {
    code: ResponseError,
    message: Option<String>,
    /// Records that are to blame, by their place in the batch, and what is wrong with each.
    records: Option<(Vec<i32>, String)>,
}

impl From<ResponseError> for Refusal {
    fn from(code: ResponseError) -> Refusal {
        Refusal { code, message: None, records: None }
    }
}

/// Kafka's message when single records are to blame.
const RECORDS_REJECTED: &str = "One or more records have been rejected";

/// A validated batch and where it goes.
struct Append {
    partition: PartitionId,
    batch: Bytes,
}

/// Why an append failed; crosses shards.
enum AppendFailure {
    /// The partition is in the metadata, its log is not here: its directory has failed.
    NoLog,
    Engine(AppendError),
}

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let malformed = |error: thalweg_protocol::wire::WireError| RequestError::Malformed(error.to_string());
    let produce =
        ProduceRequest::decode(request.frame.clone(), request.body_at, request.version).map_err(malformed)?;
    let partitions: usize = produce.topics().map(|topic| topic.partitions().len()).sum();
    if partitions > PRODUCE_PARTITIONS_MAX {
        return Err(RequestError::Malformed(format!("{partitions} partitions in one Produce")));
    }
    let (mut results, appends) = plan(&shard, &request, &produce, partitions);
    append(&shard, appends, &mut results).await;
    if produce.acks() == 0 { silent(&results) } else { answer(&request, &produce, &results) }
}

/// One partition of the request, in its order: refused, or waiting for its append.
enum PartitionResult {
    Refused(Refusal),
    Appended(Appended),
    Waiting,
}

/// Validates every partition. Returns their states, and the appends of those that wait, in order.
fn plan(
    shard: &ServerShard,
    request: &Request,
    produce: &ProduceRequest,
    partitions: usize,
) -> (Vec<PartitionResult>, Vec<(ShardId, Append)>) {
    let image = shard.metadata.image();
    let mut results = Vec::with_capacity(partitions);
    let mut appends = Vec::with_capacity(partitions);
    for topic in produce.topics() {
        let known = find_topic(&image, topic.topic);
        for partition in topic.partitions() {
            let checked = match known {
                Ok(known) => check(shard, request, produce, known, partition),
                Err(unknown) => Err(unknown.into()),
            };
            results.push(match checked {
                Ok(append) => {
                    appends.push((shard.home(append.partition), append));
                    PartitionResult::Waiting
                }
                Err(refusal) => PartitionResult::Refused(refusal),
            });
        }
    }
    (results, appends)
}

fn find_topic<'i>(image: &'i MetadataImage, topic: TopicRef<'_>) -> Result<&'i Topic, ResponseError> {
    match topic {
        TopicRef::Name(name) => {
            image.topic(name).map(|topic| &**topic).ok_or(ResponseError::UnknownTopicOrPartition)
        }
        TopicRef::Id(id) => image.topic_by_id(id).map(|topic| &**topic).ok_or(ResponseError::UnknownTopicId),
    }
}

/// Everything that is checked before the append, in Kafka's order.
fn check(
    shard: &ServerShard,
    request: &Request,
    produce: &ProduceRequest,
    topic: &Topic,
    partition: ProducePartition,
) -> Result<Append, Refusal> {
    let Some(id) = topic.partition(partition.index) else {
        return Err(ResponseError::UnknownTopicOrPartition.into());
    };
    if produce.transactional_id().is_some() {
        return Err(no_transactions());
    }
    if !(-1..=1).contains(&produce.acks()) {
        return Err(ResponseError::InvalidRequiredAcks.into());
    }
    if topic.is_internal() && request.client_id != ADMIN_CLIENT_ID {
        return Err(ResponseError::InvalidTopicException.into());
    }
    let min_insync_replicas = topic.config.min_insync_replicas;
    if produce.acks() == -1 && min_insync_replicas > 1 {
        let message = format!("min.insync.replicas={min_insync_replicas}, there is one replica");
        return Err(Refusal {
            code: ResponseError::NotEnoughReplicas,
            message: Some(message),
            records: None,
        });
    }
    let batch = partition.records.unwrap_or_default();
    let limits = limits(shard, &topic.config.log, request.version);
    let view = validate_produced(&batch, &limits).map_err(|reject| Refusal {
        code: errors::of_reject(&reject, request.version),
        message: Some(reject.to_string()),
        records: None,
    })?;
    if view.is_transactional() { Err(no_transactions()) } else { Ok(Append { partition: id, batch }) }
}

fn no_transactions() -> Refusal {
    let message = "this version of the server has no transactions".to_owned();
    Refusal { code: ResponseError::TransactionalIdAuthorizationFailed, message: Some(message), records: None }
}

fn limits(shard: &ServerShard, options: &LogOptions, version: i16) -> ProduceLimits {
    let bounded = options.timestamp_type == TimestampType::CreateTime
        && options.timestamp_difference_max_ms != i64::MAX;
    ProduceLimits {
        message_bytes_max: usize::try_from(options.message_bytes_max).unwrap_or(usize::MAX),
        zstd: version >= 7,
        timestamps: bounded
            .then(|| TimestampBounds::around(shard.io.wall_clock_ms(), options.timestamp_difference_max_ms)),
    }
}

/// Appends, and puts what came of it in the places that wait.
async fn append(
    shard: &Rc<ServerShard>,
    mut appends: Vec<(ShardId, Append)>,
    results: &mut [PartitionResult],
) {
    let outcomes = match appends.pop() {
        // The common request has one partition, and its shard is this one as often as not.
        Some((home, append)) if appends.is_empty() && home == shard.id => {
            vec![Some(append_one(Rc::clone(shard), append).await)]
        }
        Some(last) => {
            appends.push(last);
            scatter(shard, appends, append_all).await
        }
        None => Vec::new(),
    };
    let waiting = results.iter_mut().filter(|result| matches!(result, PartitionResult::Waiting));
    for (place, outcome) in waiting.zip(outcomes) {
        *place = match outcome {
            Some(Ok(appended)) => PartitionResult::Appended(appended),
            Some(Err(failure)) => PartitionResult::Refused(failure.into()),
            None => PartitionResult::Refused(ResponseError::NotLeaderOrFollower.into()),
        };
    }
}

async fn append_all(shard: Rc<ServerShard>, appends: Vec<Append>) -> Vec<Result<Appended, AppendFailure>> {
    join_all(appends.into_iter().map(|append| append_one(Rc::clone(&shard), append)).collect()).await
}

async fn append_one(shard: Rc<ServerShard>, append: Append) -> Result<Appended, AppendFailure> {
    let Some(log) = shard.storage.log(append.partition) else { return Err(AppendFailure::NoLog) };
    log.append(append.batch).await.map_err(AppendFailure::Engine)
}

impl From<AppendFailure> for Refusal {
    fn from(failure: AppendFailure) -> Refusal {
        match failure {
            AppendFailure::NoLog => ResponseError::KafkaStorageError.into(),
            AppendFailure::Engine(AppendError::Rejected(Rejection::WithoutKey { partition, records })) => {
                let what = Rejection::WithoutKey { partition, records: Vec::new() }.to_string();
                let message = Some(RECORDS_REJECTED.to_owned());
                Refusal { code: ResponseError::InvalidRecord, message, records: Some((records, what)) }
            }
            AppendFailure::Engine(error) => {
                Refusal { code: errors::of_append(&error), message: Some(error.to_string()), records: None }
            }
        }
    }
}

/// With acks 0 the only answer to a failure is the end of the connection.
fn silent(results: &[PartitionResult]) -> Result<Reply, RequestError> {
    let refused = results.iter().find_map(|result| match result {
        PartitionResult::Refused(refusal) => Some(refusal),
        PartitionResult::Appended(_) | PartitionResult::Waiting => None,
    });
    let Some(Refusal { code, message, .. }) = refused else { return Ok(Reply::Silent) };
    Err(RequestError::Unanswerable(message.clone().unwrap_or_else(|| code.to_string())))
}

fn answer(
    request: &Request,
    produce: &ProduceRequest,
    results: &[PartitionResult],
) -> Result<Reply, RequestError> {
    let mut results = results.iter();
    let topics = produce.topics().map(|topic| TopicProduceResponse {
        topic: topic.topic,
        partitions: topic
            .partitions()
            .zip(results.by_ref())
            .map(|(partition, result)| answer_partition(partition.index, result))
            .collect(),
    });
    let response = ProduceResponse { topics: topics.collect(), ..ProduceResponse::default() };
    let mut frame = BytesMut::with_capacity(RESPONSE_BYTES_USUAL);
    let encoded = response.encode(request.correlation_id, request.version, &mut frame);
    encoded.map_err(|error| RequestError::Encode(error.to_string()))?;
    Ok(Reply::Frame(Frame::from(frame.freeze())))
}

/// Room for the answer about one partition.
const RESPONSE_BYTES_USUAL: usize = 128;

fn answer_partition(index: i32, result: &PartitionResult) -> PartitionProduceResponse<'_> {
    match result {
        PartitionResult::Appended(appended) => PartitionProduceResponse {
            log_append_time_ms: appended.log_append_time_ms,
            ..PartitionProduceResponse::appended(index, appended.base_offset, appended.log_start)
        },
        PartitionResult::Refused(Refusal { code, message, records }) => {
            let refusals = records.iter().flat_map(|(records, what)| {
                records.iter().map(|at| RecordRefusal { batch_index: *at, message: Some(what) })
            });
            PartitionProduceResponse {
                record_errors: refusals.collect(),
                ..PartitionProduceResponse::refused(index, code.code(), message.as_deref())
            }
        }
        PartitionResult::Waiting => {
            PartitionProduceResponse::refused(index, ResponseError::UnknownServerError.code(), None)
        }
    }
}
