//! AlterUserScramCredentials (key 51), version 0: there is no SASL here, so no credentials are kept, and none are there to
//! delete (KIP-554).

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::AlterUserScramCredentialsRequest;
use kafka_protocol::messages::alter_user_scram_credentials_response::{
    AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, bytes, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 51,
    name: "AlterUserScramCredentials",
    versions: (0, 0),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const DELETION: &Shape = &[string(), fixed(1)];
const UPSERTION: &Shape = &[string(), fixed(1), fixed(4), bytes(), bytes()];
pub const SHAPE: &Shape = &[array(DELETION), array(UPSERTION)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: AlterUserScramCredentialsRequest = request.decode(SHAPE)?;
    let deletions = asked.deletions.into_iter().map(|deletion| {
        refused(
            deletion.name,
            ResponseError::ResourceNotFound,
            "Attempt to delete a user credential that does not exist",
        )
    });
    let upsertions = asked.upsertions.into_iter().map(|upsertion| {
        refused(
            upsertion.name,
            ResponseError::UnsupportedSaslMechanism,
            "There is no SASL in this version, so no credentials are kept",
        )
    });
    let results = deletions.chain(upsertions).collect();
    request.reply(&AlterUserScramCredentialsResponse::default().with_results(results))
}

fn refused(user: StrBytes, error: ResponseError, message: &'static str) -> AlterUserScramCredentialsResult {
    AlterUserScramCredentialsResult::default()
        .with_user(user)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_static_str(message)))
}
