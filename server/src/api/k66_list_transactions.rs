//! ListTransactions (key 66), versions 0 to 2: there are none (KIP-664). States that no transaction can have are named.

use std::rc::Rc;

use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use super::shape::{Shape, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 66,
    name: "ListTransactions",
    versions: (0, 2),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape =
    &[plain_array(&string()), plain_array(&fixed(8)), fixed(8).since(1), string().since(2)];

/// What a transaction can be in (`TransactionState` of Kafka 3.2.0).
const STATES: &[&str] = &[
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Empty",
    "Dead",
    "PrepareEpochFence",
];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: ListTransactionsRequest = request.decode(SHAPE)?;
    let unknown = asked.state_filters.into_iter().filter(|state| !STATES.contains(&state.as_str()));
    request.reply(&ListTransactionsResponse::default().with_unknown_state_filters(unknown.collect()))
}
