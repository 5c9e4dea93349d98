//! InitProducerId (key 22), versions 0 to 5: a new id for an idempotent producer.
//!
//! An id is durable as taken before it is told. A producer that already has an id and asks again (version 3 and above,
//! KIP-360) gets a new id as well, with epoch 0: nobody else uses the old one, and the new one fences nothing.
//! Transactions do not exist yet: a transactional id is answered TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which every client
//! takes as final (COORDINATOR errors are retried for ever).

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::shape::{Shape, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::metadata;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 22,
    name: "InitProducerId",
    versions: (0, 5),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[string(), fixed(4), fixed(8).since(3), fixed(2).since(3)];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: InitProducerIdRequest = request.decode(SHAPE)?;
    let refused = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    let response = match asked.transactional_id {
        Some(id) => {
            tracing::warn!(transactional_id = %id.0, "Refused: there are no transactions in this version");
            refused(ResponseError::TransactionalIdAuthorizationFailed)
        }
        // One without the other makes no sense.
        None if (asked.producer_id.0 == -1) != (asked.producer_epoch == -1) => {
            refused(ResponseError::InvalidRequest)
        }
        None => match metadata::next_producer_id(&shard).await {
            Ok(id) => {
                InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0)
            }
            Err(error) => refused(error.code()),
        },
    };
    request.reply(&response)
}
