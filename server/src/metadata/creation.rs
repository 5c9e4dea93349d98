//! A topic about to be created: checked against the image as Kafka checks, and put into records.
//!
//! Order and wording of the checks follow `ZkAdminManager.createTopics` and `AdminZkClient.validateTopicCreate` of Kafka
//! 3.2.0, where several things are wrong at once; unknown brokers in an assignment, which it accepts and then never
//! finishes, are refused as KRaft refuses them. Pure: nothing is written here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use thalweg_engine::format::metadata_record::{ConfigRecord, MetadataRecord, PartitionRecord, TopicRecord};
use uuid::Uuid;

use super::image::{MetadataImage, Partition, Topic};
use super::name::{METADATA_TOPIC, check_topic_name};
use crate::bounds::{CONFIG_TEXT_BYTES_MAX, PARTITIONS_PER_CREATION_MAX};
use crate::config::{BrokerConfig, TopicConfig};

/// What a client asks for. -1 stands for the broker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    /// Brokers by partition; empty to let the server choose.
    pub assignments: Vec<(i32, Vec<i32>)>,
    pub configs: Vec<(String, Option<String>)>,
}

impl TopicSpec {
    /// A topic with the broker's defaults, as automatic creation makes it.
    pub fn with_defaults(name: String) -> TopicSpec {
        TopicSpec { name, partitions: -1, replication_factor: -1, ..TopicSpec::default() }
    }
}

/// A topic that was created, or would be.
#[derive(Debug, Clone)]
pub struct Creation {
    /// Nil if it was only validated.
    pub id: Uuid,
    pub partitions: usize,
    pub config: Arc<TopicConfig>,
}

/// Why a topic was not created: for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreationFault {
    Exists,
    Request,
    Partitions,
    ReplicationFactor,
    Assignment,
    Name,
    Config,
    Policy,
    Storage,
    Closing,
}

/// [`CreationFault`] with Kafka's sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CreationError {
    pub fault: CreationFault,
    pub message: String,
}

impl CreationError {
    pub(super) fn new(fault: CreationFault, message: impl Into<String>) -> CreationError {
        CreationError { fault, message: message.into() }
    }

    /// Kafka's code.
    pub fn code(&self) -> ResponseError {
        match self.fault {
            CreationFault::Exists => ResponseError::TopicAlreadyExists,
            CreationFault::Request => ResponseError::InvalidRequest,
            CreationFault::Partitions => ResponseError::InvalidPartitions,
            CreationFault::ReplicationFactor => ResponseError::InvalidReplicationFactor,
            CreationFault::Assignment => ResponseError::InvalidReplicaAssignment,
            CreationFault::Name => ResponseError::InvalidTopicException,
            CreationFault::Config => ResponseError::InvalidConfig,
            CreationFault::Policy => ResponseError::PolicyViolation,
            CreationFault::Storage => ResponseError::KafkaStorageError,
            CreationFault::Closing => ResponseError::NotController,
        }
    }
}

fn refuse<T>(fault: CreationFault, message: impl Into<String>) -> Result<T, CreationError> {
    Err(CreationError::new(fault, message))
}

/// Names of topics by what their metrics are called: `a.b` and `a_b` would have metrics of one name.
#[derive(Default)]
pub(super) struct MetricNames(HashMap<String, Vec<String>>);

impl MetricNames {
    pub(super) fn of(image: &MetadataImage) -> MetricNames {
        let mut names = MetricNames::default();
        image.topics().for_each(|topic| names.insert(&topic.name));
        names
    }

    pub(super) fn insert(&mut self, topic: &str) {
        if let Some(metric) = MetricNames::metric(topic) {
            self.0.entry(metric).or_default().push(topic.to_owned());
        }
    }

    /// The topics that `name` would share its metrics' name with.
    fn colliding(&self, name: &str) -> &[String] {
        MetricNames::metric(name).and_then(|metric| self.0.get(&metric)).map_or(&[], Vec::as_slice)
    }

    /// None for a name that no other one can collide with.
    fn metric(topic: &str) -> Option<String> {
        topic.contains(['.', '_']).then(|| topic.replace('.', "_"))
    }
}

/// The topic that `spec` describes, under `id`, if nothing speaks against it in `image`, whose topics `names` has.
///
/// # Errors
/// What Kafka would say.
pub(super) fn plan(
    spec: &TopicSpec,
    id: Uuid,
    image: &MetadataImage,
    names: &MetricNames,
) -> Result<Topic, CreationError> {
    let config = &image.config;
    if image.topic(&spec.name).is_some() {
        return refuse(CreationFault::Exists, format!("Topic '{}' already exists.", spec.name));
    }
    if spec.name == METADATA_TOPIC {
        return refuse(
            CreationFault::Request,
            format!("Creation of internal topic {METADATA_TOPIC} is prohibited."),
        );
    }
    let overrides = overrides(spec)?;
    let count = match spec.assignments.is_empty() {
        true => counted(spec, config)?,
        false => spec.assignments.len(),
    };
    if count > PARTITIONS_PER_CREATION_MAX {
        return Err(too_many_partitions());
    }
    check_topic_name(&spec.name).map_err(|message| CreationError::new(CreationFault::Name, message))?;
    check_collision(&spec.name, names)?;
    if !spec.assignments.is_empty() {
        check_assignments(&spec.assignments, image.broker.id)?;
    }
    let resolved = config
        .topic_config(&overrides)
        .map_err(|error| CreationError::new(CreationFault::Config, error.to_string()))?;
    let partitions = vec![Partition { leader_epoch: None }; count];
    Ok(Topic { name: spec.name.clone(), id, partitions, config: resolved })
}

/// How many partitions `spec` asks for; 0 where it makes no sense.
pub(super) fn partitions_asked(spec: &TopicSpec, config: &BrokerConfig) -> usize {
    let asked = if spec.partitions == -1 { config.partitions_default } else { spec.partitions };
    match spec.assignments.is_empty() {
        true => usize::try_from(asked).unwrap_or(0),
        false => spec.assignments.len(),
    }
}

/// What more than [`PARTITIONS_PER_CREATION_MAX`] in one request are refused with.
pub(super) fn too_many_partitions() -> CreationError {
    CreationError::new(CreationFault::Policy, "Excessively large number of partitions per request.")
}

fn overrides(spec: &TopicSpec) -> Result<BTreeMap<String, String>, CreationError> {
    let nulls: Vec<_> =
        spec.configs.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.as_str()).collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs : {}", nulls.join(","));
        return refuse(CreationFault::Request, message);
    }
    if !spec.assignments.is_empty() && (spec.partitions != -1 || spec.replication_factor != -1) {
        return refuse(
            CreationFault::Request,
            "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same \
             time.",
        );
    }
    if let Some((key, _)) =
        spec.configs.iter().find(|(_, value)| value.as_ref().is_some_and(|v| v.len() > CONFIG_TEXT_BYTES_MAX))
    {
        return refuse(
            CreationFault::Config,
            format!("The value of {key} is longer than {CONFIG_TEXT_BYTES_MAX} bytes"),
        );
    }
    Ok(spec.configs.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect())
}

fn counted(spec: &TopicSpec, config: &BrokerConfig) -> Result<usize, CreationError> {
    let replicas = match spec.replication_factor {
        -1 => config.replication_factor_default,
        replicas => replicas,
    };
    let count = partitions_asked(spec, config);
    if count == 0 {
        return refuse(CreationFault::Partitions, "Number of partitions must be larger than 0.");
    }
    match replicas {
        ..=0 => refuse(CreationFault::ReplicationFactor, "Replication factor must be larger than 0."),
        1 => Ok(count),
        more => refuse(
            CreationFault::ReplicationFactor,
            format!("Replication factor: {more} larger than available brokers: 1."),
        ),
    }
}

fn check_collision(name: &str, names: &MetricNames) -> Result<(), CreationError> {
    let colliding = names.colliding(name);
    if colliding.is_empty() {
        return Ok(());
    }
    let message = format!("Topic '{name}' collides with existing topics: {}", colliding.join(", "));
    refuse(CreationFault::Name, message)
}

fn check_assignments(assignments: &[(i32, Vec<i32>)], broker: i32) -> Result<(), CreationError> {
    let fault = CreationFault::Assignment;
    let partitions: BTreeSet<i32> = assignments.iter().map(|(partition, _)| *partition).collect();
    if assignments.iter().any(|(_, replicas)| replicas.len() != assignments[0].1.len()) {
        return refuse(fault, "All partitions should have the same number of replicas");
    }
    for (partition, replicas) in assignments {
        if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            return refuse(fault, format!("Duplicate replica assignment found: {partition} -> {replicas:?}"));
        }
        if replicas.is_empty() {
            return refuse(fault, "The manual partition assignment includes an empty replica list.");
        }
        if let Some(stranger) = replicas.iter().find(|replica| **replica != broker) {
            let message = format!(
                "The manual partition assignment includes broker {stranger}, but no such broker is registered."
            );
            return refuse(fault, message);
        }
    }
    if partitions.len() != assignments.len() || !partitions.iter().copied().eq((0..).take(assignments.len()))
    {
        return refuse(fault, "partitions should be a consecutive 0-based integer sequence");
    }
    Ok(())
}

/// The records that make `topic`, in the order in which a controller writes them.
pub(super) fn records(topic: &Topic, broker: i32) -> Vec<MetadataRecord> {
    let head = MetadataRecord::from(TopicRecord { name: topic.name.clone(), topic_id: topic.id });
    let configs = topic.config.stored().map(|(name, value)| {
        MetadataRecord::from(ConfigRecord {
            resource_type: ConfigRecord::TOPIC,
            resource_name: topic.name.clone(),
            name: name.to_owned(),
            value: Some(value.to_owned()),
        })
    });
    let partitions =
        topic.partition_ids().map(|id| MetadataRecord::from(partition_record(id.index, topic.id, broker)));
    std::iter::once(head).chain(configs).chain(partitions).collect()
}

pub(super) fn partition_record(partition_id: i32, topic_id: Uuid, broker: i32) -> PartitionRecord {
    PartitionRecord {
        partition_id,
        topic_id,
        replicas: vec![broker],
        isr: vec![broker],
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: broker,
        leader_recovery_state: 0,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: Vec::new(),
        eligible_leader_replicas: None,
        last_known_elr: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Properties, resolve};
    use crate::metadata::image::BrokerInfo;

    fn config() -> BrokerConfig {
        resolve([("num.partitions", "3")].into_iter().collect::<Properties>(), 1).unwrap().0
    }

    fn image(names: &[&str]) -> MetadataImage {
        let broker = BrokerInfo { id: 7, cluster_id: "c".into(), rack: None, endpoints: Vec::new() };
        let mut image = MetadataImage::new(broker, Arc::new(config()));
        for (name, id) in names.iter().zip(1000u128..) {
            let spec = TopicSpec::with_defaults((*name).to_owned());
            image.insert(Arc::new(planned(&spec, Uuid::from_u128(id), &image).unwrap()));
        }
        image
    }

    fn planned(spec: &TopicSpec, id: Uuid, image: &MetadataImage) -> Result<Topic, CreationError> {
        plan(spec, id, image, &MetricNames::of(image))
    }

    fn spec(name: &str) -> TopicSpec {
        TopicSpec::with_defaults(name.to_owned())
    }

    fn refusal(spec: &TopicSpec) -> (CreationFault, String) {
        let error = planned(spec, Uuid::nil(), &image(&["t1", "co.l"])).unwrap_err();
        (error.fault, error.message)
    }

    #[test]
    fn defaults_come_from_the_broker() {
        let topic = planned(&spec("t"), Uuid::from_u128(5), &image(&[])).unwrap();
        assert_eq!((topic.partitions.len(), topic.id), (3, Uuid::from_u128(5)));
    }

    #[test]
    fn refusals_are_those_of_kafka() {
        use CreationFault::*;
        let said = |fault, message: &str| (fault, message.to_owned());
        assert_eq!(refusal(&spec("t1")), said(Exists, "Topic 't1' already exists."));
        assert_eq!(refusal(&spec("co_l")), said(Name, "Topic 'co_l' collides with existing topics: co.l"));
        assert_eq!(refusal(&spec("..")), said(Name, "Topic name cannot be \".\" or \"..\""));
        let partitions = |partitions| refusal(&TopicSpec { partitions, ..spec("x") });
        assert_eq!(partitions(0), said(Partitions, "Number of partitions must be larger than 0."));
        assert_eq!(partitions(-5), said(Partitions, "Number of partitions must be larger than 0."));
        assert_eq!(partitions(i32::MAX), said(Policy, "Excessively large number of partitions per request."));
        let factor = |replication_factor| refusal(&TopicSpec { replication_factor, ..spec("x") });
        assert_eq!(factor(0), said(ReplicationFactor, "Replication factor must be larger than 0."));
        assert_eq!(
            factor(2),
            said(ReplicationFactor, "Replication factor: 2 larger than available brokers: 1.")
        );
        let nulls = TopicSpec { configs: vec![("retention.ms".into(), None)], ..spec("x") };
        assert_eq!(
            refusal(&nulls),
            said(Request, "Null value not supported for topic configs : retention.ms")
        );
        let unknown = TopicSpec { configs: vec![("nope".into(), Some("1".into()))], ..spec("x") };
        assert_eq!(refusal(&unknown), said(Config, "Unknown topic config name: nope"));
        assert_eq!(refusal(&spec(METADATA_TOPIC)).0, Request);
    }

    #[test]
    fn names_collide_where_their_metrics_would() {
        let names = MetricNames::of(&image(&["a.b", "plain"]));
        assert_eq!(names.colliding("a_b"), ["a.b"]);
        assert_eq!(names.colliding("a.b"), ["a.b"]);
        assert!(names.colliding("a.c").is_empty() && names.colliding("plain").is_empty());
        assert!(names.colliding("ab").is_empty());
    }

    #[test]
    fn assignments_must_name_this_broker_once_per_partition() {
        let assigned =
            |assignments: &[(i32, Vec<i32>)]| TopicSpec { assignments: assignments.to_vec(), ..spec("x") };
        let good = planned(&assigned(&[(1, vec![7]), (0, vec![7])]), Uuid::nil(), &image(&[])).unwrap();
        assert_eq!(good.partitions.len(), 2);
        let said = |assignments: &[(i32, Vec<i32>)]| refusal(&assigned(assignments)).1;
        assert_eq!(said(&[(1, vec![7])]), "partitions should be a consecutive 0-based integer sequence");
        assert_eq!(
            said(&[(0, vec![7]), (1, vec![7, 8])]),
            "All partitions should have the same number of replicas"
        );
        assert!(said(&[(0, vec![7, 7])]).starts_with("Duplicate replica assignment found"));
        assert!(said(&[(0, vec![])]).contains("empty replica list"));
        assert!(said(&[(0, vec![8])]).contains("broker 8"));
        let both = TopicSpec { partitions: 1, ..assigned(&[(0, vec![7])]) };
        assert!(refusal(&both).1.starts_with("Both numPartitions"));
    }
}
