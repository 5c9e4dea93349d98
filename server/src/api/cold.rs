//! Every request that goes through `kafka-protocol`, parsed as its handler parses it: for what has no server around it, such as
//! a fuzz target.

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Decodable;

use super::{Api, RequestError, find, shape};

/// Parses `body` as a request of API `key` in `version`: its shape first, then its fields. None for an API that is not parsed
/// so, and for a version that is not answered.
pub fn parse(key: i16, version: i16, body: &Bytes) -> Option<Result<(), RequestError>> {
    let api = find(key).filter(|api| api.answers(version))?;
    Some(by_shape(api, version, body)?.and_then(|decode| decode(api, version, body)))
}

/// What decodes a body whose shape is right.
type Decode = fn(&Api, i16, &Bytes) -> Result<(), RequestError>;

macro_rules! cold {
    ($($module:ident => $request:ty,)*) => {
        fn by_shape(api: &Api, version: i16, body: &[u8]) -> Option<Result<Decode, RequestError>> {
            $(if api.key == super::$module::API.key {
                let checked = shape::check(super::$module::SHAPE, body, version, api.is_flexible(version));
                return Some(checked.map(|()| decode::<$request> as Decode));
            })*
            None
        }
    };
}

cold! {
    k02_list_offsets => ListOffsetsRequest,
    k03_metadata => MetadataRequest,
    k10_find_coordinator => FindCoordinatorRequest,
    k17_sasl_handshake => SaslHandshakeRequest,
    k18_api_versions => ApiVersionsRequest,
    k19_create_topics => CreateTopicsRequest,
    k20_delete_topics => DeleteTopicsRequest,
    k21_delete_records => DeleteRecordsRequest,
    k22_init_producer_id => InitProducerIdRequest,
    k23_offset_for_leader_epoch => OffsetForLeaderEpochRequest,
    k32_describe_configs => DescribeConfigsRequest,
    k33_alter_configs => AlterConfigsRequest,
    k34_alter_replica_log_dirs => AlterReplicaLogDirsRequest,
    k35_describe_log_dirs => DescribeLogDirsRequest,
    k36_sasl_authenticate => SaslAuthenticateRequest,
    k37_create_partitions => CreatePartitionsRequest,
    k43_elect_leaders => ElectLeadersRequest,
    k44_incremental_alter_configs => IncrementalAlterConfigsRequest,
    k45_alter_partition_reassignments => AlterPartitionReassignmentsRequest,
    k46_list_partition_reassignments => ListPartitionReassignmentsRequest,
    k48_describe_client_quotas => DescribeClientQuotasRequest,
    k49_alter_client_quotas => AlterClientQuotasRequest,
    k50_describe_user_scram_credentials => DescribeUserScramCredentialsRequest,
    k51_alter_user_scram_credentials => AlterUserScramCredentialsRequest,
    k57_update_features => UpdateFeaturesRequest,
    k60_describe_cluster => DescribeClusterRequest,
    k61_describe_producers => DescribeProducersRequest,
    k65_describe_transactions => DescribeTransactionsRequest,
    k66_list_transactions => ListTransactionsRequest,
    k74_list_config_resources => ListConfigResourcesRequest,
    k75_describe_topic_partitions => DescribeTopicPartitionsRequest,
}

/// Below the oldest version that the codec has, bodies are read by hand, or are that version's with fields left out.
fn decode<M: Decodable + kafka_protocol::protocol::Message>(
    api: &Api,
    version: i16,
    body: &Bytes,
) -> Result<(), RequestError> {
    match version {
        0 if api.key == super::k02_list_offsets::API.key => {
            super::k02_list_offsets::read_old(body)?;
            return Ok(());
        }
        0 | 1 if api.key == super::k23_offset_for_leader_epoch::API.key => {
            super::k23_offset_for_leader_epoch::read_old(body)?;
            return Ok(());
        }
        _ if version < M::VERSIONS.min => return Ok(()),
        _ => {}
    }
    let decoded = M::decode(&mut body.clone(), version).map(drop);
    decoded.map_err(|error| RequestError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::APIS;
    use super::*;

    /// Their bodies are parsed by hand in `thalweg-protocol`, or are those of groups, which have fuzz targets of their own; or only
    /// their shape is looked at.
    const NOT_COLD: &[&str] = &[
        "Produce",
        "Fetch",
        "DescribeAcls",
        "CreateAcls",
        "DeleteAcls",
        "CreateDelegationToken",
        "RenewDelegationToken",
        "ExpireDelegationToken",
        "DescribeDelegationToken",
        "OffsetCommit",
        "OffsetFetch",
        "JoinGroup",
        "Heartbeat",
        "LeaveGroup",
        "SyncGroup",
        "DescribeGroups",
        "ListGroups",
        "DeleteGroups",
        "OffsetDelete",
    ];

    #[test]
    fn every_other_request_is_here_in_all_its_versions() {
        for api in APIS.iter().filter(|api| !NOT_COLD.contains(&api.name)) {
            for version in api.versions.0..=api.versions.1 {
                let nothing = parse(api.key, version, &Bytes::new());
                assert!(nothing.is_some(), "{} {version} is missing in the list above", api.name);
            }
        }
    }
}
