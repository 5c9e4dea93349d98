//! The whole state as records: what the metadata log goes on from once it has grown.

use thalweg_engine::format::metadata_record::{ConfigRecord, MetadataRecord, ProducerIdsRecord};

use super::creation;
use super::image::MetadataImage;

/// Records that replay to what `image` shows.
pub(super) fn records(image: &MetadataImage) -> Vec<MetadataRecord> {
    let id = image.broker.id;
    let ids = ProducerIdsRecord { broker_id: id, broker_epoch: 0, next_producer_id: image.next_producer_id };
    let scopes = [&image.config.dynamic, &image.config.unusable]
        .into_iter()
        .flat_map(|set| [(id.to_string(), &set.broker), (String::new(), &set.cluster)]);
    let settings = scopes.flat_map(|(resource_name, settings)| {
        settings.iter().map(move |(name, value)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: ConfigRecord::BROKER,
                resource_name: resource_name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            })
        })
    });
    let topics = image.topics().flat_map(|topic| creation::records(topic, id));
    std::iter::once(MetadataRecord::from(ids)).chain(settings).chain(topics).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::config::DynamicConfig;
    use crate::metadata::creation::{TopicSpec, plan};
    use crate::metadata::image::{BrokerInfo, Topic};
    use crate::metadata::replay::Replay;

    #[test]
    fn a_snapshot_replays_to_what_it_was_taken_of() {
        let setting = |value: &str| BTreeMap::from([("log.retention.ms".to_owned(), value.to_owned())]);
        // One of them means nothing in this version.
        let stored = DynamicConfig { broker: setting("5"), cluster: setting("x") };
        let config = crate::config::resolve(crate::config::Properties::default(), 1).unwrap().0;
        let config = config.with_stored_dynamic(stored, |_, _| {});
        let broker = BrokerInfo { id: 7, cluster_id: String::new(), rack: None, endpoints: Vec::new() };
        let mut image = MetadataImage::new(broker, Arc::new(config));
        image.next_producer_id = 3000;
        let configs = vec![("segment.bytes".to_owned(), Some("1048576".to_owned()))];
        let spec = TopicSpec { partitions: 3, configs, ..TopicSpec::with_defaults("t".to_owned()) };
        let topic = plan(&spec, Uuid::from_u128(200), &image, &Default::default()).unwrap();
        let stored = topic.config.stored().chain([("gone", "1")]);
        let config = image.config.stored_topic_config(stored, |_, _| {});
        image.insert(Arc::new(Topic { config, ..topic }));
        let mut replay = Replay::default();
        records(&image).into_iter().try_for_each(|record| replay.apply(record)).unwrap();
        let topic = &replay.topics[&Uuid::from_u128(200)];
        assert_eq!((topic.name.as_str(), topic.partitions), ("t", 3));
        assert_eq!(
            (topic.configs["segment.bytes"].as_str(), topic.configs["gone"].as_str()),
            ("1048576", "1")
        );
        assert_eq!((&replay.brokers["7"], &replay.brokers[""]), (&setting("5"), &setting("x")));
        assert_eq!(replay.next_producer_id, 3000);
    }
}
