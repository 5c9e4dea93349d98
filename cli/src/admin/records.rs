//! Records and where they lie: deletion up to an offset, and the log directories of brokers.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::{DeleteRecordsRequest, DescribeLogDirsRequest};

use super::leader::leaders;
use super::{Place, topic_name};
use crate::client::{Client, ClientError, KafkaError, Target};

/// Deletes the records before an offset of each partition (-1: all), and returns where each log starts now.
///
/// # Errors
/// When nobody answers in time. What is wrong with a single partition stands at that partition.
pub fn delete_before(
    client: &mut Client,
    offsets: &BTreeMap<Place, i64>,
) -> Result<BTreeMap<Place, Result<i64, KafkaError>>, ClientError> {
    client.retry(|client| {
        let deleted = delete_once(client, offsets)?;
        let moving = deleted.values().find_map(|result| match result {
            Err(error) if error.code == ResponseError::NotLeaderOrFollower => Some(error.clone()),
            _ => None,
        });
        moving.map_or(Ok(deleted), |error| Err(ClientError::Refused(error)))
    })
}

fn delete_once(
    client: &mut Client,
    offsets: &BTreeMap<Place, i64>,
) -> Result<BTreeMap<Place, Result<i64, KafkaError>>, ClientError> {
    let timeout = client.settings().request_timeout_ms();
    let places: Vec<Place> = offsets.keys().cloned().collect();
    let (leaders, unled) = leaders(client, &places)?;
    let mut results: BTreeMap<_, _> = unled.into_iter().map(|(place, error)| (place, Err(error))).collect();
    for (leader, places) in leaders {
        let mut topics: BTreeMap<&str, Vec<DeleteRecordsPartition>> = BTreeMap::new();
        for place in &places {
            let partition = DeleteRecordsPartition::default()
                .with_partition_index(place.partition)
                .with_offset(offsets[place]);
            topics.entry(&place.topic).or_default().push(partition);
        }
        let topics: Vec<DeleteRecordsTopic> = topics
            .into_iter()
            .map(|(topic, partitions)| {
                DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
            })
            .collect();
        let request =
            |_| DeleteRecordsRequest::default().with_timeout_ms(timeout).with_topics(topics.clone());
        let answer = client.call(&Target::Broker(leader), request)?;
        for topic in &answer.topics {
            for one in &topic.partitions {
                let error = KafkaError::of(one.error_code, None);
                let place = Place::new(&topic.name, one.partition_index);
                results.insert(place, error.map_or(Ok(one.low_watermark), Err));
            }
        }
    }
    Ok(results)
}

/// A partition's replica in a log directory.
#[derive(Debug, Clone)]
pub struct Replica {
    pub place: Place,
    pub size: i64,
    pub lag: i64,
    pub future: bool,
}

/// A log directory and what is in it.
#[derive(Debug, Clone)]
pub struct LogDir {
    pub path: String,
    pub error: Option<KafkaError>,
    pub replicas: Vec<Replica>,
}

/// The log directories of a broker.
///
/// # Errors
/// The broker's refusal.
pub fn log_dirs(client: &mut Client, broker: i32) -> Result<Vec<LogDir>, ClientError> {
    let request = |_| DescribeLogDirsRequest::default().with_topics(None);
    let answer = client.call_checked(&Target::Broker(broker), request, |answer| {
        KafkaError::of(answer.error_code, None).map_or(Ok(()), |error| Err(ClientError::Refused(error)))
    })?;
    Ok(answer
        .results
        .iter()
        .map(|dir| {
            let replicas = dir.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|one| Replica {
                    place: Place::new(&topic.name, one.partition_index),
                    size: one.partition_size,
                    lag: one.offset_lag,
                    future: one.is_future_key,
                })
            });
            LogDir {
                path: dir.log_dir.to_string(),
                error: KafkaError::of(dir.error_code, None),
                replicas: replicas.collect(),
            }
        })
        .collect())
}
