//! A change of configuration: the edits of a client made on what is set now, checked as Kafka checks, and put into records.
//!
//! Order and wording follow `ZkAdminManager` of Kafka 3.2.0 (`alterConfigs`, `incrementalAlterConfigs`). Pure: nothing is
//! written here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use thalweg_engine::format::metadata_record::{ConfigRecord, MetadataRecord};

use super::controller::ChangeError;
use super::image::{MetadataImage, Topic};
use crate::bounds::{CONFIG_TEXT_BYTES_MAX, DYNAMIC_SETTINGS_MAX};
use crate::config::{self, BrokerConfig, InvalidDynamicConfig, InvalidTopicConfig, Key, Kind};

/// Whose configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConfigResource {
    Topic(String),
    /// This broker.
    Broker,
    /// Every broker's default.
    Cluster,
}

/// What becomes of one key (KIP-339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditKind {
    Set,
    Delete,
    /// Adds to a list.
    Append,
    /// Takes out of a list.
    Subtract,
}

/// One key and what becomes of it. `value` is null for a client that sends none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEdit {
    pub name: String,
    pub kind: EditKind,
    pub value: Option<String>,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alteration {
    pub resource: ConfigResource,
    pub edits: Vec<ConfigEdit>,
    /// Whether what is not among the edits is unset (AlterConfigs), or stays (IncrementalAlterConfigs).
    pub replaces: bool,
}

/// Why a configuration was not changed: for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlterationError {
    #[error("Error due to duplicate config keys")]
    Twice,
    #[error("Null value not supported for : {0}")]
    Null(String),
    #[error("Config value {verb} is not allowed for config key: {key}")]
    NotAList { verb: &'static str, key: String },
    #[error("The topic '{0}' does not exist.")]
    NoTopic(String),
    /// Wrong in itself: an unknown key, or two that contradict each other.
    #[error("{0}")]
    Config(String),
    /// A value that its key does not take.
    #[error("{0}")]
    Value(String),
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl AlterationError {
    /// Kafka's code.
    pub fn code(&self) -> ResponseError {
        match self {
            AlterationError::NoTopic(_) => ResponseError::UnknownTopicOrPartition,
            AlterationError::Config(_) => ResponseError::InvalidConfig,
            AlterationError::Change(error) => error.code(),
            _ => ResponseError::InvalidRequest,
        }
    }
}

/// An alteration that is valid: what becomes durable, and what is then in force.
#[derive(Debug)]
pub(super) struct PlannedAlteration {
    pub records: Vec<MetadataRecord>,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Topic(Topic),
    Broker(Arc<BrokerConfig>),
}

/// What `alteration` makes of `image`.
///
/// # Errors
/// What Kafka would say.
pub(super) fn plan(
    alteration: &Alteration,
    image: &MetadataImage,
) -> Result<PlannedAlteration, AlterationError> {
    check_edits(&alteration.edits)?;
    match &alteration.resource {
        ConfigResource::Topic(name) => plan_topic(name, alteration, image),
        ConfigResource::Broker | ConfigResource::Cluster => plan_broker(alteration, image),
    }
}

/// Whether the edits of one resource make sense together, whatever it is.
///
/// # Errors
/// A key that is named twice, a value that is missing, and a text that is too long.
pub fn check_edits(edits: &[ConfigEdit]) -> Result<(), AlterationError> {
    let mut names = HashSet::new();
    if !edits.iter().all(|edit| names.insert(edit.name.as_str())) {
        return Err(AlterationError::Twice);
    }
    let is_null = |edit: &&ConfigEdit| edit.kind != EditKind::Delete && edit.value.is_none();
    let nulls: Vec<&str> = edits.iter().filter(is_null).map(|edit| edit.name.as_str()).collect();
    if !nulls.is_empty() {
        return Err(AlterationError::Null(nulls.join(",")));
    }
    let is_long = |text: &str| text.len() > CONFIG_TEXT_BYTES_MAX;
    match edits.iter().find(|edit| is_long(&edit.name) || edit.value.as_deref().is_some_and(is_long)) {
        Some(edit) => Err(too_long(&edit.name)),
        None => Ok(()),
    }
}

fn too_long(name: &str) -> AlterationError {
    let message = format!("The name or value of {name:.40} is longer than {CONFIG_TEXT_BYTES_MAX} bytes");
    AlterationError::Config(message)
}

fn plan_topic(
    name: &str,
    alteration: &Alteration,
    image: &MetadataImage,
) -> Result<PlannedAlteration, AlterationError> {
    let topic = image.topic(name);
    let stored = topic.map(|topic| topic.config.stored());
    let set = stored.into_iter().flatten().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let unknown = |name: &str| AlterationError::Config(format!("Unknown topic config name: {name}"));
    let mut wanted = edited(&set, alteration, |name| config::topic_key(name).ok_or_else(|| unknown(name)))?;
    let topic = topic.ok_or_else(|| AlterationError::NoTopic(name.to_owned()))?;
    let unusable = untouched(&topic.config.unusable, alteration);
    wanted.retain(|name, _| !unusable.contains_key(name));
    let config = image.config.topic_config(&wanted).map_err(|error| refused(name, error))?;
    let config = if unusable.is_empty() { config } else { Arc::new(config.with_unusable(unusable)) };
    let after = config.stored().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let records = records(ConfigRecord::TOPIC, name, &set, &after);
    let topic = Topic { config, ..(**topic).clone() };
    Ok(PlannedAlteration { records, outcome: Outcome::Topic(topic) })
}

/// Those of the settings without effect that `alteration` leaves as they are.
fn untouched(unusable: &BTreeMap<String, String>, alteration: &Alteration) -> BTreeMap<String, String> {
    let is_edited = |name: &String| alteration.edits.iter().any(|edit| edit.name == *name);
    let stays = |(name, _): &(&String, &String)| !alteration.replaces && !is_edited(name);
    unusable.iter().filter(stays).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn refused(topic: &str, error: InvalidTopicConfig) -> AlterationError {
    match error {
        InvalidTopicConfig::Value(error) => AlterationError::Value(format!(
            "Invalid config value for resource ConfigResource(type=TOPIC, name='{topic}'): {error}"
        )),
        error => AlterationError::Config(error.to_string()),
    }
}

fn plan_broker(alteration: &Alteration, image: &MetadataImage) -> Result<PlannedAlteration, AlterationError> {
    let is_cluster = alteration.resource == ConfigResource::Cluster;
    let mut dynamic = image.config.dynamic.clone();
    let mut unusable = image.config.unusable.clone();
    let mut set = std::mem::take(dynamic.scope(is_cluster));
    set.extend(unusable.scope(is_cluster).clone());
    let unknown = |name: &str| AlterationError::Config(format!("Unknown broker config name: {name}"));
    let mut wanted = edited(&set, alteration, |name| config::broker_key(name).ok_or_else(|| unknown(name)))?;
    if wanted.len() > DYNAMIC_SETTINGS_MAX {
        return Err(AlterationError::Value(format!(
            "More than {DYNAMIC_SETTINGS_MAX} settings of one broker are not kept"
        )));
    }
    let name = if is_cluster { String::new() } else { image.broker.id.to_string() };
    let records = records(ConfigRecord::BROKER, &name, &set, &wanted);
    *unusable.scope(is_cluster) = untouched(unusable.scope(is_cluster), alteration);
    wanted.retain(|name, _| !unusable.scope(is_cluster).contains_key(name));
    *dynamic.scope(is_cluster) = wanted;
    let refused = |error: InvalidDynamicConfig| AlterationError::Value(error.to_string());
    let config = BrokerConfig { unusable, ..image.config.with_dynamic(dynamic).map_err(refused)? };
    // What the change makes valid is in force at once, as it would be from the next start on.
    let (config, _still_unusable) = config.taking_up_unusable();
    Ok(PlannedAlteration { records, outcome: Outcome::Broker(Arc::new(config)) })
}

/// What is set after the edits.
fn edited(
    set: &BTreeMap<String, String>,
    alteration: &Alteration,
    key: impl Fn(&str) -> Result<&'static Key, AlterationError>,
) -> Result<BTreeMap<String, String>, AlterationError> {
    let mut wanted = if alteration.replaces { BTreeMap::new() } else { set.clone() };
    for ConfigEdit { name, kind, value } in &alteration.edits {
        let value = value.clone().unwrap_or_default();
        match kind {
            EditKind::Delete => drop(wanted.remove(name)),
            EditKind::Set => drop(wanted.insert(name.clone(), value)),
            EditKind::Append | EditKind::Subtract => {
                let list = edited_list(key(name)?, wanted.get(name), &value, *kind)?;
                if list.len() > CONFIG_TEXT_BYTES_MAX {
                    return Err(too_long(name));
                }
                wanted.insert(name.clone(), list);
            }
        }
    }
    Ok(wanted)
}

fn edited_list(
    key: &Key,
    set: Option<&String>,
    value: &str,
    kind: EditKind,
) -> Result<String, AlterationError> {
    let appends = kind == EditKind::Append;
    if key.kind != Kind::List {
        let verb = if appends { "append" } else { "subtract" };
        return Err(AlterationError::NotAList { verb, key: key.name.to_owned() });
    }
    let current = set.map_or(key.default.unwrap_or_default(), String::as_str);
    let mut items: Vec<&str> = current.split(',').filter(|item| !item.is_empty()).collect();
    if appends {
        let mut there: HashSet<&str> = items.iter().copied().collect();
        items.extend(value.split(',').filter(|item| there.insert(item)));
    } else {
        // Of an item that is in the list twice, one goes for each time that it is named.
        let mut named: HashMap<&str, usize> = HashMap::new();
        value.split(',').for_each(|item| *named.entry(item).or_default() += 1);
        items.retain(|item| match named.get_mut(item) {
            Some(times @ 1..) => {
                *times -= 1;
                false
            }
            Some(0) | None => true,
        });
    }
    Ok(items.join(","))
}

/// What changes from `before` to `after`.
fn records(
    resource_type: i8,
    resource: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<MetadataRecord> {
    let record = |name: &String, value: Option<String>| {
        let (resource_name, name) = (resource.to_owned(), name.clone());
        MetadataRecord::from(ConfigRecord { resource_type, resource_name, name, value })
    };
    let unset = before.keys().filter(|name| !after.contains_key(*name)).map(|name| record(name, None));
    let set = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value))
        .map(|(name, value)| record(name, Some(value.clone())));
    unset.chain(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::creation::{self, TopicSpec};
    use crate::metadata::image::BrokerInfo;

    fn image(overrides: &[(&str, &str)]) -> MetadataImage {
        let broker = BrokerInfo { id: 7, cluster_id: "c".into(), rack: None, endpoints: Vec::new() };
        let config = crate::config::resolve(crate::config::Properties::default(), 1).unwrap().0;
        let mut image = MetadataImage::new(broker, Arc::new(config));
        let configs =
            overrides.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
        let spec = TopicSpec { configs, ..TopicSpec::with_defaults("t".to_owned()) };
        image.insert(Arc::new(
            creation::plan(&spec, uuid::Uuid::from_u128(500), &image, &Default::default()).unwrap(),
        ));
        image
    }

    fn edit(name: &str, kind: EditKind, value: &str) -> ConfigEdit {
        ConfigEdit { name: name.to_owned(), kind, value: Some(value.to_owned()) }
    }

    fn on(resource: ConfigResource, edits: Vec<ConfigEdit>) -> Alteration {
        Alteration { resource, edits, replaces: false }
    }

    fn topic() -> ConfigResource {
        ConfigResource::Topic("t".to_owned())
    }

    /// What is set for the topic afterwards, and how many records say so.
    fn altered(before: &[(&str, &str)], edits: Vec<ConfigEdit>) -> (Vec<(String, String)>, usize) {
        let planned = plan(&on(topic(), edits), &image(before)).unwrap();
        let Outcome::Topic(topic) = planned.outcome else { panic!("a topic's") };
        (topic.config.overrides.clone().into_iter().collect(), planned.records.len())
    }

    fn refusal(resource: ConfigResource, edits: Vec<ConfigEdit>) -> (ResponseError, String) {
        let error = plan(&on(resource, edits), &image(&[])).unwrap_err();
        (error.code(), error.to_string())
    }

    #[test]
    fn edits_change_what_they_name_and_nothing_else() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let before = &[("retention.ms", "5"), ("segment.bytes", "2000000")];
        let set = vec![edit("retention.ms", EditKind::Set, "6")];
        assert_eq!(
            altered(before, set),
            (vec![pair("retention.ms", "6"), pair("segment.bytes", "2000000")], 1)
        );
        let unset = vec![edit("retention.ms", EditKind::Delete, ""), edit("never.set", EditKind::Delete, "")];
        assert_eq!(altered(before, unset), (vec![pair("segment.bytes", "2000000")], 1));
        let same = vec![edit("retention.ms", EditKind::Set, "5")];
        assert_eq!(altered(before, same).1, 0);
    }

    #[test]
    fn a_replacement_unsets_what_it_does_not_name() {
        let edits = vec![edit("retention.bytes", EditKind::Set, "9")];
        let all = Alteration { replaces: true, ..on(topic(), edits) };
        let planned = plan(&all, &image(&[("retention.ms", "5")])).unwrap();
        assert_eq!(planned.records.len(), 2);
        let Outcome::Topic(topic) = planned.outcome else { panic!("a topic's") };
        assert_eq!(topic.config.log.retention_bytes, Some(9));
        assert!(!topic.config.overrides.contains_key("retention.ms"));
    }

    #[test]
    fn what_has_no_effect_stays_until_it_is_named_or_replaced() {
        let mut image = image(&[]);
        let stored = [("gone", "1"), ("retention.ms", "x")];
        let config = image.config.topic_defaults.with_stored_overrides(stored, |_, _| {});
        image.insert(Arc::new(Topic { config: Arc::new(config), ..(**image.topic("t").unwrap()).clone() }));
        let after = |edits, replaces| {
            let planned = plan(&Alteration { replaces, ..on(topic(), edits) }, &image).unwrap();
            let Outcome::Topic(topic) = planned.outcome else { panic!("a topic's") };
            let stored: Vec<_> = topic.config.stored().map(|(name, _)| name.to_owned()).collect();
            (stored, planned.records.len())
        };
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let other = || vec![edit("retention.bytes", EditKind::Set, "9")];
        assert_eq!(after(other(), false), (owned(&["retention.bytes", "gone", "retention.ms"]), 1));
        assert_eq!(after(other(), true), (owned(&["retention.bytes"]), 3));
        let mended = vec![edit("retention.ms", EditKind::Set, "5"), edit("gone", EditKind::Delete, "")];
        assert_eq!(after(mended, false), (owned(&["retention.ms"]), 2));
    }

    #[test]
    fn a_broker_setting_without_effect_hinders_no_other_and_goes_when_it_is_named() {
        let mut image = image(&[]);
        let broker = BTreeMap::from([("log.segment.bytes".to_owned(), "x".to_owned())]);
        let stored = config::DynamicConfig { broker, ..Default::default() };
        image.config = Arc::new(image.config.with_stored_dynamic(stored, |_, _| {}));
        let after = |name: &str, value: &str| {
            let edits = vec![edit(name, EditKind::Set, value)];
            let planned = plan(&on(ConfigResource::Broker, edits), &image).unwrap();
            let Outcome::Broker(config) = planned.outcome else { panic!("a broker's") };
            (config.dynamic.broker.len(), config.unusable.broker.len(), planned.records.len())
        };
        assert_eq!(after("log.retention.ms", "5"), (1, 1, 1));
        assert_eq!(after("log.segment.bytes", "2000000"), (1, 0, 1));
    }

    #[test]
    fn lists_grow_and_shrink_from_what_is_in_force() {
        let policy = |before: &[(&str, &str)], kind, value: &str| {
            altered(before, vec![edit("cleanup.policy", kind, value)]).0[0].1.clone()
        };
        assert_eq!(policy(&[], EditKind::Append, "compact"), "delete,compact");
        assert_eq!(policy(&[("cleanup.policy", "compact")], EditKind::Append, "compact"), "compact");
        assert_eq!(policy(&[], EditKind::Subtract, "delete"), "");
        assert_eq!(policy(&[("cleanup.policy", "compact,delete")], EditKind::Subtract, "delete"), "compact");
        let replicas = |kind, value: &str| {
            let key = "leader.replication.throttled.replicas";
            altered(&[(key, "1:7,1:7,2:7")], vec![edit(key, kind, value)]).0[0].1.clone()
        };
        assert_eq!(replicas(EditKind::Subtract, "1:7,2:7,3:7"), "1:7");
        assert_eq!(replicas(EditKind::Append, "3:7,2:7,3:7"), "1:7,1:7,2:7,3:7");
    }

    #[test]
    fn refusals_are_those_of_kafka() {
        use ResponseError::{InvalidConfig, InvalidRequest, UnknownTopicOrPartition};
        let set = |name: &str, value: &str| vec![edit(name, EditKind::Set, value)];
        let said = |code, text: &str| (code, text.to_owned());
        assert_eq!(
            refusal(topic(), set("nope", "1")),
            said(InvalidConfig, "Unknown topic config name: nope")
        );
        assert_eq!(
            refusal(topic(), set("retention.ms", "x")),
            said(
                InvalidRequest,
                "Invalid config value for resource ConfigResource(type=TOPIC, name='t'): Invalid value x for \
                 configuration retention.ms: Not a number of type LONG"
            )
        );
        let null = vec![ConfigEdit { value: None, ..edit("retention.ms", EditKind::Set, "") }];
        assert_eq!(
            refusal(topic(), null),
            said(InvalidRequest, "Null value not supported for : retention.ms")
        );
        let twice = [set("retention.ms", "1"), set("retention.ms", "2")].concat();
        assert_eq!(refusal(topic(), twice), said(InvalidRequest, "Error due to duplicate config keys"));
        assert_eq!(
            refusal(topic(), vec![edit("retention.ms", EditKind::Append, "1")]),
            said(InvalidRequest, "Config value append is not allowed for config key: retention.ms")
        );
        assert_eq!(
            refusal(ConfigResource::Topic("u".into()), set("retention.ms", "1")),
            said(UnknownTopicOrPartition, "The topic 'u' does not exist.")
        );
        assert_eq!(
            refusal(ConfigResource::Broker, set("broker.id", "1")),
            said(InvalidRequest, "Cannot update these configs dynamically: Set(broker.id)")
        );
        assert_eq!(
            refusal(ConfigResource::Broker, set("log.retention.ms", "x")),
            said(
                InvalidRequest,
                "Invalid value x for configuration log.retention.ms: Not a number of type LONG"
            )
        );
        let long = "x".repeat(CONFIG_TEXT_BYTES_MAX + 1);
        assert_eq!(refusal(ConfigResource::Broker, set("my.key", &long)).0, InvalidConfig);
    }

    /// Each piece was short enough, and the list was not: its record could not be written, and the whole request failed as if
    /// the disk had.
    #[test]
    fn a_list_that_has_grown_too_long_is_refused_alone() {
        let pieces =
            |from: u32| (from..from + 3000).map(|id| format!("{id}:7")).collect::<Vec<_>>().join(",");
        let key = "leader.replication.throttled.replicas";
        let (first, second) = (pieces(10_000), pieces(20_000));
        let error = plan(&on(topic(), vec![edit(key, EditKind::Append, &second)]), &image(&[(key, &first)]));
        let error = error.unwrap_err();
        assert_eq!(error.code(), ResponseError::InvalidConfig);
        assert!(error.to_string().contains(key), "{error}");
    }

    #[test]
    fn broker_settings_are_kept_under_its_id_and_the_clusters_under_none() {
        let planned = |resource| {
            let edits = vec![edit("log.retention.ms", EditKind::Set, "5")];
            plan(&on(resource, edits), &image(&[])).unwrap()
        };
        let (broker, cluster) = (planned(ConfigResource::Broker), planned(ConfigResource::Cluster));
        let names = [&broker, &cluster].map(|planned| match &planned.records[..] {
            [MetadataRecord::Config(record)] => (record.resource_type, record.resource_name.clone()),
            other => panic!("{other:?}"),
        });
        assert_eq!(names, [(4, "7".to_owned()), (4, String::new())]);
        let Outcome::Broker(config) = cluster.outcome else { panic!("a broker's") };
        assert_eq!(config.topic_defaults.log.retention_ms, Some(5));
    }
}
