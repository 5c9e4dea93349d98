//! Kafka's request APIs: one file per API key, registered in the same file, collected here.
//!
//! Every file defines a `pub const API: Api` that names the versions it answers; the dispatch table, the answer to
//! ApiVersions and the table in `docs/kafka.md` all come from (or are tested against) these constants, so they cannot
//! drift apart. A handler runs on the shard that owns the connection and ends in a [`Reply`]; it never touches the
//! socket. Kafka's error codes are chosen in `crate::errors`, not here.

pub mod cold;
mod config_resource;
pub mod k00_produce;
pub mod k01_fetch;
pub mod k02_list_offsets;
pub mod k03_metadata;
pub mod k08_offset_commit;
pub mod k09_offset_fetch;
pub mod k10_find_coordinator;
pub mod k11_join_group;
pub mod k12_heartbeat;
pub mod k13_leave_group;
pub mod k14_sync_group;
pub mod k15_describe_groups;
pub mod k16_list_groups;
pub mod k17_sasl_handshake;
pub mod k18_api_versions;
pub mod k19_create_topics;
pub mod k20_delete_topics;
pub mod k21_delete_records;
pub mod k22_init_producer_id;
pub mod k23_offset_for_leader_epoch;
pub mod k29_describe_acls;
pub mod k30_create_acls;
pub mod k31_delete_acls;
pub mod k32_describe_configs;
pub mod k33_alter_configs;
pub mod k34_alter_replica_log_dirs;
pub mod k35_describe_log_dirs;
pub mod k36_sasl_authenticate;
pub mod k37_create_partitions;
pub mod k38_create_delegation_token;
pub mod k39_renew_delegation_token;
pub mod k40_expire_delegation_token;
pub mod k41_describe_delegation_token;
pub mod k42_delete_groups;
pub mod k43_elect_leaders;
pub mod k44_incremental_alter_configs;
pub mod k45_alter_partition_reassignments;
pub mod k46_list_partition_reassignments;
pub mod k47_offset_delete;
pub mod k48_describe_client_quotas;
pub mod k49_alter_client_quotas;
pub mod k50_describe_user_scram_credentials;
pub mod k51_alter_user_scram_credentials;
pub mod k57_update_features;
pub mod k60_describe_cluster;
pub mod k61_describe_producers;
pub mod k65_describe_transactions;
pub mod k66_list_transactions;
pub mod k74_list_config_resources;
pub mod k75_describe_topic_partitions;
mod oldest;
mod request;
pub mod shape;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

pub use request::{Client, Frame, Reply, Request, RequestError, encode_reply};

use crate::shard::ServerShard;

/// What a handler returns: the reply, or a reason to close this connection.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Reply, RequestError>>>>;

/// One API of the protocol: its key, the versions that are answered, and who answers them.
pub struct Api {
    pub key: i16,
    /// Kafka's name, as in `docs/kafka.md` and in log lines.
    pub name: &'static str,
    /// First and last version that is answered, both inclusive; advertised as such.
    pub versions: (i16, i16),
    /// First version with compact lengths and tagged fields (KIP-482); `i16::MAX` if none.
    pub flexible: i16,
    /// Requests of this API that follow each other on a connection may run at the same time. Any other starts when all
    /// earlier requests of its connection have been answered, and holds up the later ones.
    pub overlaps: bool,
    /// `|shard, request| Box::pin(handle(shard, request))`.
    pub handle: fn(Rc<ServerShard>, Request) -> HandlerFuture,
}

impl Api {
    /// Whether `version` is answered.
    pub const fn answers(&self, version: i16) -> bool {
        self.versions.0 <= version && version <= self.versions.1
    }

    /// Whether `version` has compact lengths and tagged fields.
    pub const fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible
    }
}

/// Every API that is answered, by key.
pub static APIS: &[&Api] = &[
    &k00_produce::API,
    &k01_fetch::API,
    &k02_list_offsets::API,
    &k03_metadata::API,
    &k08_offset_commit::API,
    &k09_offset_fetch::API,
    &k10_find_coordinator::API,
    &k11_join_group::API,
    &k12_heartbeat::API,
    &k13_leave_group::API,
    &k14_sync_group::API,
    &k15_describe_groups::API,
    &k16_list_groups::API,
    &k17_sasl_handshake::API,
    &k18_api_versions::API,
    &k19_create_topics::API,
    &k20_delete_topics::API,
    &k21_delete_records::API,
    &k22_init_producer_id::API,
    &k23_offset_for_leader_epoch::API,
    &k29_describe_acls::API,
    &k30_create_acls::API,
    &k31_delete_acls::API,
    &k32_describe_configs::API,
    &k33_alter_configs::API,
    &k34_alter_replica_log_dirs::API,
    &k35_describe_log_dirs::API,
    &k36_sasl_authenticate::API,
    &k37_create_partitions::API,
    &k38_create_delegation_token::API,
    &k39_renew_delegation_token::API,
    &k40_expire_delegation_token::API,
    &k41_describe_delegation_token::API,
    &k42_delete_groups::API,
    &k43_elect_leaders::API,
    &k44_incremental_alter_configs::API,
    &k45_alter_partition_reassignments::API,
    &k46_list_partition_reassignments::API,
    &k47_offset_delete::API,
    &k48_describe_client_quotas::API,
    &k49_alter_client_quotas::API,
    &k50_describe_user_scram_credentials::API,
    &k51_alter_user_scram_credentials::API,
    &k57_update_features::API,
    &k60_describe_cluster::API,
    &k61_describe_producers::API,
    &k65_describe_transactions::API,
    &k66_list_transactions::API,
    &k74_list_config_resources::API,
    &k75_describe_topic_partitions::API,
];

/// The API of `key`, if it is answered at all.
pub fn find(key: i16) -> Option<&'static Api> {
    APIS.iter().copied().find(|api| api.key == key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use thalweg_protocol::frame::request_is_flexible;

    use super::*;

    const DOCS: &str = include_str!("../../../docs/kafka.md");

    /// A row of the table: API, what Kafka 3.2.0 answers, what is answered here.
    type Row = (String, Option<(i16, i16)>, Option<(i16, i16)>);

    fn range(text: &str) -> Option<(i16, i16)> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    }

    fn documented() -> BTreeMap<i16, Row> {
        let rows = DOCS.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let key = cells.get(1)?.parse().ok()?;
            Some((key, (cells[2].to_owned(), range(cells[3]), range(cells[4]))))
        });
        rows.collect()
    }

    #[test]
    fn docs_dispatch_and_api_versions_agree() {
        let documented = documented();
        let answered: BTreeMap<i16, (String, (i16, i16))> = documented
            .iter()
            .filter_map(|(key, (name, _, here))| Some((*key, (name.clone(), (*here)?))))
            .collect();
        let dispatched = APIS.iter().map(|api| (api.key, (api.name.to_owned(), api.versions))).collect();
        assert_eq!(answered, dispatched);
        let advertised: Vec<_> = k18_api_versions::table()
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        assert_eq!(advertised, APIS.iter().map(|api| (api.key, api.versions)).collect::<Vec<_>>());
    }

    #[test]
    fn every_gap_to_kafka_is_named_in_the_docs() {
        let documented = documented();
        assert!(documented.len() > 50, "the table was not found");
        for (name, kafka, here) in documented.values() {
            let Some((first, last)) = kafka else { continue };
            let is_gap = here.is_none_or(|(ours_first, ours_last)| ours_first > *first || ours_last < *last);
            let line = DOCS.lines().find(|line| line.starts_with(&format!("- **{name}** (")));
            assert_eq!(line.is_some(), is_gap, "{name}: {line:?}");
        }
    }

    #[test]
    fn headers_and_bodies_agree_on_which_versions_are_flexible() {
        for api in APIS {
            for version in api.versions.0..=api.versions.1 {
                assert_eq!(
                    api.is_flexible(version),
                    request_is_flexible(api.key, version),
                    "{} {version}",
                    api.name
                );
            }
        }
    }
}
