//! DescribeTransactions (key 65), version 0: there are no transactions, so no id is known (KIP-664).

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{
    DescribeTransactionsResponse, TransactionState,
};
use kafka_protocol::messages::{DescribeTransactionsRequest, TransactionalId};

use super::shape::{Shape, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 65,
    name: "DescribeTransactions",
    versions: (0, 0),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[plain_array(&string())];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: DescribeTransactionsRequest = request.decode(SHAPE)?;
    let unknown = |id: TransactionalId| {
        let error = match id.is_empty() {
            true => ResponseError::InvalidRequest,
            false => ResponseError::TransactionalIdNotFound,
        };
        TransactionState::default().with_transactional_id(id).with_error_code(error.code())
    };
    let states = asked.transactional_ids.into_iter().map(unknown).collect();
    request.reply(&DescribeTransactionsResponse::default().with_transaction_states(states))
}
