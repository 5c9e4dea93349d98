//! The whole state as records: what the metadata log goes on from once it has grown.

use thalweg_engine::format::metadata_record::{ConfigRecord, MetadataRecord, ProducerIdsRecord};

use super::creation;
use super::image::MetadataImage;

/// Records that replay to what `image` shows.
pub(super) fn records(image: &MetadataImage) -> Vec<MetadataRecord> {
    let id = image.broker.id;
    let ids = ProducerIdsRecord { broker_id: id, broker_epoch: 0, next_producer_id: image.next_producer_id };
    let scopes =
        [(id.to_string(), &image.config.dynamic.broker), (String::new(), &image.config.dynamic.cluster)];
    let settings = scopes.into_iter().flat_map(|(resource_name, settings)| {
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
    use crate::metadata::image::BrokerInfo;
    use crate::metadata::replay::Replay;

    #[test]
    fn a_snapshot_replays_to_what_it_was_taken_of() {
        let setting = |value: &str| BTreeMap::from([("log.retention.ms".to_owned(), value.to_owned())]);
        let dynamic = DynamicConfig { broker: setting("5"), cluster: setting("6") };
        let config = crate::config::resolve(crate::config::Properties::default(), 1).unwrap().0;
        let broker = BrokerInfo { id: 7, cluster_id: String::new(), rack: None, endpoints: Vec::new() };
        let mut image = MetadataImage::new(broker, Arc::new(config.with_dynamic(dynamic).unwrap()));
        image.next_producer_id = 3000;
        let configs = vec![("segment.bytes".to_owned(), Some("1048576".to_owned()))];
        let spec = TopicSpec { partitions: 3, configs, ..TopicSpec::with_defaults("t".to_owned()) };
        image.insert(Arc::new(plan(&spec, Uuid::from_u128(200), &image).unwrap()));
        let mut replay = Replay::default();
        records(&image).into_iter().try_for_each(|record| replay.apply(record)).unwrap();
        let topic = &replay.topics[&Uuid::from_u128(200)];
        assert_eq!((topic.name.as_str(), topic.partitions), ("t", 3));
        assert_eq!(topic.configs["segment.bytes"], "1048576");
        assert_eq!((&replay.brokers["7"], &replay.brokers[""]), (&setting("5"), &setting("6")));
        assert_eq!(replay.next_producer_id, 3000);
    }
}
