//! Against the values that real KRaft brokers wrote into `__cluster_metadata-0`.

use super::*;
use proptest::option::of;
use proptest::prelude::*;
use uuid::Uuid;

/// One line per record: Kafka's version, api key, version, value in hex.
const KAFKAS: &str = include_str!("../../../tests/fixtures/kraft-metadata-records.txt");

fn kafkas() -> impl Iterator<Item = (&'static str, u32, u32, Vec<u8>)> {
    KAFKAS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut fields = line.split(' ');
        let mut next = || fields.next().unwrap();
        let (kafka, key, version) = (next(), next().parse().unwrap(), next().parse().unwrap());
        let hex = next();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (kafka, key, version, (0..hex.len()).step_by(2).map(byte).collect())
    })
}

fn decoded(kafka: &str, api_key: u32) -> Vec<MetadataRecord> {
    let values = kafkas().filter(|(version, key, ..)| *version == kafka && *key == api_key);
    values.map(|(.., value)| MetadataRecord::decode(&value).unwrap()).collect()
}

#[test]
fn every_value_that_kafka_wrote_round_trips_in_its_version() {
    let mut seen = std::collections::BTreeSet::new();
    for (kafka, key, version, value) in kafkas() {
        let record = MetadataRecord::decode(&value).unwrap();
        let mut again = Vec::new();
        record.encode_as(version, &mut again).unwrap();
        assert_eq!(again, value, "{kafka} {record:?}");
        seen.insert(key);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 2, 3, 4, 5, 9, 12, 15]);
}

#[test]
fn the_fields_of_a_3_2_0_topic() {
    let topic_id = Uuid::from_u128(0xc4ba_fbe6_1645_4b6f_9da9_4afe_ac31_fb9f);
    assert_eq!(decoded("3.2.0", 2), [TopicRecord { name: "orders".into(), topic_id }.into()]);
    let partition = PartitionRecord {
        partition_id: 0,
        topic_id,
        replicas: vec![0],
        isr: vec![0],
        removing_replicas: vec![],
        adding_replicas: vec![],
        leader: 0,
        leader_recovery_state: 0,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![],
        eligible_leader_replicas: None,
        last_known_elr: None,
    };
    assert_eq!(decoded("3.2.0", 3)[0], partition.into());
    let config = |name: &str, value: Option<&str>| {
        let (resource_name, value) = ("orders".into(), value.map(str::to_owned));
        ConfigRecord { resource_type: ConfigRecord::TOPIC, resource_name, name: name.into(), value }.into()
    };
    assert_eq!(
        decoded("3.2.0", 4),
        [
            config("segment.bytes", Some("1048576")),
            config("retention.ms", Some("1000")),
            config("segment.bytes", None)
        ]
    );
    assert_eq!(decoded("3.2.0", 9), [RemoveTopicRecord { topic_id }.into()]);
    let ids = ProducerIdsRecord { broker_id: 0, broker_epoch: 0, next_producer_id: 1000 };
    assert_eq!(decoded("3.2.0", 15), [ids.into()]);
}

#[test]
fn the_fields_that_later_kafkas_added() {
    let levels = decoded("4.1.0", 12);
    let level = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 27 };
    assert!(levels.contains(&level.into()));
    let [MetadataRecord::RegisterBroker(broker)] = &decoded("4.1.0", 0)[..] else { panic!("not one broker") };
    assert_eq!((broker.end_points[0].port, broker.features.len(), broker.fenced), (9594, 6, true));
    let MetadataRecord::Partition(partition) = &decoded("4.1.0", 3)[0] else { panic!("no partition") };
    assert_eq!(partition.directories, broker.log_dirs);
    assert_eq!(MetadataRecord::from(partition.clone()).version_needed(), 1);
}

#[test]
fn the_leader_goes_with_a_shutdown_and_comes_back() {
    let changes = decoded("3.2.0", 5);
    let leaders = changes.iter().map(|change| match change {
        MetadataRecord::PartitionChange(change) => change.leader,
        _ => panic!("not a change"),
    });
    assert_eq!(leaders.collect::<Vec<_>>(), [Some(-1), Some(0)]);
    let MetadataRecord::PartitionChange(change) = &decoded("4.1.0", 5)[0] else { panic!("not a change") };
    assert_eq!((change.leader, &change.isr), (Some(-1), &Some(vec![])));
    assert_eq!(change.eligible_leader_replicas, Some(vec![0]));
}

#[test]
fn refuses_what_a_version_cannot_carry() {
    let mut change = PartitionChangeRecord::of(Uuid::nil(), 0);
    change.directories = Some(vec![]);
    let (mut out, change) = (vec![7], MetadataRecord::from(change));
    let too_low = EncodeError::VersionTooLow { record: "PartitionChangeRecord", version: 0, needed: 1 };
    assert_eq!(change.encode_as(0, &mut out), Err(too_low));
    assert!(change.encode_as(3, &mut out).is_err());
    let name = "n".repeat(40_000);
    let long = MetadataRecord::from(TopicRecord { name, topic_id: Uuid::nil() });
    assert_eq!(long.encode(&mut out), Err(EncodeError::TooLong { length: 40_000 }));
    assert_eq!(out, [7]);
}

#[test]
fn tells_unknown_records_from_broken_ones() {
    assert_eq!(MetadataRecord::decode(&[1, 20, 0, 0]), Err(DecodeError::Unknown { api_key: 20, version: 0 }));
    assert_eq!(MetadataRecord::decode(&[1, 2, 1]), Err(DecodeError::Unknown { api_key: 2, version: 1 }));
    let broken = |value: &[u8]| MetadataRecord::decode(value).unwrap_err().to_string();
    assert!(broken(&[0, 2, 0]).contains("byte 0: expected frame version 1, found 0"));
    assert!(broken(&[1, 0x80, 0x80, 0x80, 0x80, 0x80]).contains("varint"));
    for (.., value) in kafkas() {
        for end in 0..value.len() {
            assert!(MetadataRecord::decode(&value[..end]).is_err());
        }
        assert!(MetadataRecord::decode(&[&value[..], &[0]].concat()).is_err());
    }
}

#[test]
fn a_count_beyond_the_bytes_reserves_nothing() {
    let mut value = vec![1, 3, 0];
    value.extend_from_slice(&[0; 20]);
    value.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    let error = MetadataRecord::decode(&value).unwrap_err().to_string();
    assert!(error.contains("for 4294967294 elements"), "{error}");
}

fn ids() -> impl Strategy<Value = Vec<Uuid>> {
    prop::collection::vec(any::<u128>().prop_map(Uuid::from_u128), 0..5)
}

fn nodes() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(any::<i32>(), 0..5)
}

prop_compose! {
    fn partition()(
        ints: [i32; 4], id: u128, lists in [nodes(), nodes(), nodes(), nodes()], state: i8,
        directories in ids(), elr in of(nodes()), last in of(nodes()),
    ) -> MetadataRecord {
        let [partition_id, leader, leader_epoch, partition_epoch] = ints;
        let [replicas, isr, removing_replicas, adding_replicas] = lists;
        PartitionRecord {
            partition_id, topic_id: Uuid::from_u128(id), replicas, isr, removing_replicas, adding_replicas, leader,
            leader_recovery_state: state, leader_epoch, partition_epoch, directories,
            eligible_leader_replicas: elr, last_known_elr: last,
        }.into()
    }
}

prop_compose! {
    fn change()(
        id: u128, partition_id: i32, leader in of(-1i32..), state in of(0i8..),
        lists in [of(nodes()), of(nodes()), of(nodes()), of(nodes()), of(nodes()), of(nodes())],
        directories in of(ids()),
    ) -> MetadataRecord {
        let [isr, replicas, removing_replicas, adding_replicas, eligible_leader_replicas, last_known_elr] = lists;
        PartitionChangeRecord {
            isr, leader, replicas, removing_replicas, adding_replicas, leader_recovery_state: state, directories,
            eligible_leader_replicas, last_known_elr,
            ..PartitionChangeRecord::of(Uuid::from_u128(id), partition_id)
        }.into()
    }
}

prop_compose! {
    fn broker()(
        broker_id: i32, migrating: bool, incarnation: u128, broker_epoch: i64,
        end_points in prop::collection::vec((".{0,9}", ".{0,9}", any::<u16>(), any::<i16>()), 0..4),
        features in prop::collection::vec((".{0,9}", any::<i16>(), any::<i16>()), 0..4),
        rack in of(".{0,9}"), fenced: bool, shutdown: bool, log_dirs in ids(),
    ) -> MetadataRecord {
        RegisterBrokerRecord {
            broker_id, is_migrating_zk_broker: migrating, incarnation_id: Uuid::from_u128(incarnation), broker_epoch,
            end_points: end_points.into_iter().map(|(name, host, port, security_protocol)| {
                BrokerEndpoint { name, host, port, security_protocol }
            }).collect(),
            features: features.into_iter().map(|(name, min_supported_version, max_supported_version)| {
                BrokerFeature { name, min_supported_version, max_supported_version }
            }).collect(),
            rack, fenced, in_controlled_shutdown: shutdown, log_dirs,
        }.into()
    }
}

prop_compose! {
    fn setting()(kind: i8, resource in ".{0,200}", name in ".{0,20}", value in of(".{0,20}")) -> MetadataRecord {
        ConfigRecord { resource_type: kind, resource_name: resource, name, value }.into()
    }
}

proptest! {
    #[test]
    fn round_trip(record in prop_oneof![partition(), change(), broker(), setting()]) {
        let mut value = Vec::new();
        record.encode(&mut value).unwrap();
        prop_assert_eq!(MetadataRecord::decode(&value), Ok(record));
    }

    #[test]
    fn any_bytes_are_survived(key in 0u8..30, version in 0u8..4, body: Vec<u8>) {
        let _ = MetadataRecord::decode(&body);
        let value = [&[1, key, version], &body[..]].concat();
        if let Ok(record) = MetadataRecord::decode(&value) {
            let mut again = Vec::new();
            record.encode_as(version.into(), &mut again).unwrap();
            prop_assert_eq!(MetadataRecord::decode(&again), Ok(record));
        }
    }
}
