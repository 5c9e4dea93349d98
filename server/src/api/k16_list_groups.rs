//! ListGroups (key 16), versions 0 to 5: all groups of this broker, by state from version 4 on (KIP-518), by type in
//! version 5 (KIP-848).
//!
//! All groups here are of the type `classic`. While some are still being read, those that are known are listed, with
//! COORDINATOR_LOAD_IN_PROGRESS; with NOT_COORDINATOR if some cannot be.

use std::rc::Rc;

use kafka_protocol::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use kafka_protocol::messages::{GroupId, ListGroupsRequest};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::group::{self, Listed};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 16,
    name: "ListGroups",
    versions: (0, 5),
    flexible: 3,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[plain_array(&string()).since(4), plain_array(&string()).since(5)];

const CLASSIC: &str = "classic";

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: ListGroupsRequest = request.decode(SHAPE)?;
    let response = match group::list(&shard).await {
        Ok((groups, missing)) => {
            let listed = groups.into_iter().filter(|group| is_wanted(group, &asked));
            let listed: Vec<_> = listed.map(|group| respond(group, request.version)).collect();
            ListGroupsResponse::default().with_error_code(errors::group_code(missing)).with_groups(listed)
        }
        Err(error) => ListGroupsResponse::default().with_error_code(errors::of_group(error).code()),
    };
    request.reply(&response)
}

/// An empty filter lets everything through.
fn is_wanted(group: &Listed, asked: &ListGroupsRequest) -> bool {
    let passes = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    passes(&asked.states_filter, group.phase.name()) && passes(&asked.types_filter, CLASSIC)
}

fn respond(group: Listed, version: i16) -> ListedGroup {
    let mut listed =
        ListedGroup::default().with_group_id(GroupId(group.group)).with_protocol_type(group.protocol_type);
    if version >= 4 {
        listed = listed.with_group_state(StrBytes::from_static_str(group.phase.name()));
    }
    if version >= 5 {
        listed = listed.with_group_type(StrBytes::from_static_str(CLASSIC));
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::super::encode_reply;
    use super::*;
    use crate::group::Phase;

    fn listed() -> Listed {
        let text = StrBytes::from_static_str;
        Listed { group: text("g"), protocol_type: text("consumer"), phase: Phase::Stable }
    }

    #[test]
    fn filters_pass_what_they_name() {
        let asking = |states: &[&'static str], types: &[&'static str]| {
            let texts =
                |texts: &[&'static str]| texts.iter().map(|text| StrBytes::from_static_str(text)).collect();
            ListGroupsRequest::default().with_states_filter(texts(states)).with_types_filter(texts(types))
        };
        assert!(is_wanted(&listed(), &asking(&[], &[])));
        assert!(is_wanted(&listed(), &asking(&["Empty", "Stable"], &["classic"])));
        assert!(!is_wanted(&listed(), &asking(&["Empty"], &[])));
        assert!(!is_wanted(&listed(), &asking(&[], &["consumer"])));
    }

    #[test]
    fn every_version_can_be_encoded() {
        for version in API.versions.0..=API.versions.1 {
            let response = ListGroupsResponse::default().with_groups(vec![respond(listed(), version)]);
            assert!(encode_reply(1, false, &response, version).is_ok(), "version {version}");
        }
    }
}
