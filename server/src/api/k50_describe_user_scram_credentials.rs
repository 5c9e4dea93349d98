//! DescribeUserScramCredentials (key 50), version 0: no user has credentials (KIP-554).

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::DescribeUserScramCredentialsRequest;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 50,
    name: "DescribeUserScramCredentials",
    versions: (0, 0),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const USER: &Shape = &[string()];
pub const SHAPE: &Shape = &[array(USER)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: DescribeUserScramCredentialsRequest = request.decode(SHAPE)?;
    let unknown = |user: UserName| {
        let name = user.name.as_str();
        let message = format!("Attempt to describe a user credential that does not exist: {name}");
        DescribeUserScramCredentialsResult::default()
            .with_error_code(ResponseError::ResourceNotFound.code())
            .with_error_message(Some(StrBytes::from_string(message)))
            .with_user(user.name)
    };
    let results = asked.users.unwrap_or_default().into_iter().map(unknown).collect();
    let response = DescribeUserScramCredentialsResponse::default()
        .with_error_message(Some(StrBytes::from_static_str("")))
        .with_results(results);
    request.reply(&response)
}
