//! The response: encoded fields with slices of the log between them.

use kafka_protocol::error::ResponseError;
use thalweg_protocol::fetch::{FetchRequest, FetchResponse, PartitionFetchResponse, TopicFetchResponse};

use super::entry::Entry;
use super::read::Found;
use super::session::{Context, Visible};
use crate::api::{Frame, Reply, Request, RequestError};
use crate::errors;

const READ_COMMITTED: i8 = 1;

/// An answer to the request as a whole: its session is not as the client thinks.
pub fn refused(request: &Request, error: ResponseError) -> Result<Reply, RequestError> {
    frame(request, FetchResponse { error_code: error.code(), session_id: 0, ..empty() })
}

/// The answer about every entry that is visible, topics and partitions in the order of service.
pub fn encode(
    request: &Request,
    fetch: &FetchRequest,
    context: &Context,
    found: Vec<Found>,
    visible: &Visible,
) -> Result<Reply, RequestError> {
    let mut topics: Vec<TopicFetchResponse<'_, Vec<bytes::Bytes>>> = Vec::new();
    for (at, (entry, found)) in context.entries.iter().zip(found).enumerate() {
        if !visible.shows(at) {
            continue;
        }
        let partition = partition(entry, found, fetch.isolation_level);
        match topics.last_mut() {
            Some(topic) if topic.topic == entry.topic.as_ref() => topic.partitions.push(partition),
            _ => topics.push(TopicFetchResponse { topic: entry.topic.as_ref(), partitions: vec![partition] }),
        }
    }
    frame(request, FetchResponse { session_id: context.session_id, topics, ..empty() })
}

fn empty<'a>() -> FetchResponse<'a, Vec<bytes::Bytes>> {
    FetchResponse {
        throttle_time_ms: 0,
        error_code: errors::NONE,
        session_id: 0,
        topics: Vec::new(),
        node_endpoints: Vec::new(),
    }
}

fn partition(entry: &Entry, found: Found, isolation_level: i8) -> PartitionFetchResponse<Vec<bytes::Bytes>> {
    let code = found.error().map_or(errors::NONE, |error| error.code());
    let refused = PartitionFetchResponse::refused(entry.index, code);
    let records = Some(found.records);
    match found.bounds {
        Err(_) => PartitionFetchResponse { records, ..refused },
        Ok(bounds) => PartitionFetchResponse {
            high_watermark: bounds.high_watermark,
            last_stable_offset: bounds.high_watermark,
            log_start_offset: bounds.log_start,
            diverging_epoch: bounds.diverging,
            aborted_transactions: (isolation_level == READ_COMMITTED).then(Vec::new),
            records,
            ..refused
        },
    }
}

fn frame(request: &Request, response: FetchResponse<'_, Vec<bytes::Bytes>>) -> Result<Reply, RequestError> {
    let encoded = response.encode(request.correlation_id, request.version);
    let encoded = encoded.map_err(|error| RequestError::Encode(error.to_string()))?;
    Ok(Reply::Frame(Frame { pieces: encoded.into_slices() }))
}
