//! UpdateFeatures (key 57), versions 0 to 2: there are no features with levels here, so none can be set (KIP-584).
//!
//! Codes and sentences are those of Kafka 3.2.0 on a broker without finalized features. From version 2 on one code stands for
//! all of a request.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use kafka_protocol::messages::update_features_response::{UpdatableFeatureResult, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 57,
    name: "UpdateFeatures",
    versions: (0, 2),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const UPDATE: &Shape = &[string(), fixed(2), fixed(1)];
pub const SHAPE: &Shape = &[fixed(4), array(UPDATE), fixed(1).since(1)];

/// First version without results of their own for the features.
const ONE_RESULT_FROM: i16 = 2;
/// First version that says how a level may change, and not only whether it may fall.
const UPGRADE_TYPE_FROM: i16 = 1;
const UPGRADE: i8 = 1;

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: UpdateFeaturesRequest = request.decode(SHAPE)?;
    let response = UpdateFeaturesResponse::default().with_error_message(None);
    let mut refusals = asked.feature_updates.iter().map(|update| refusal(update, request.version));
    let response = match request.version {
        ONE_RESULT_FROM.. => match refusals.next() {
            None => response,
            Some(first) => response
                .with_error_code(ResponseError::InvalidRequest.code())
                .with_error_message(Some(StrBytes::from_string(first))),
        },
        _ => {
            let results = asked.feature_updates.iter().zip(refusals.by_ref()).map(|(update, message)| {
                UpdatableFeatureResult::default()
                    .with_feature(update.feature.clone())
                    .with_error_code(ResponseError::InvalidRequest.code())
                    .with_error_message(Some(StrBytes::from_string(message)))
            });
            response.with_results(results.collect())
        }
    };
    request.reply(&response)
}

fn refusal(update: &FeatureUpdateKey, version: i16) -> String {
    let may_fall = match version {
        UPGRADE_TYPE_FROM.. => update.upgrade_type != UPGRADE,
        _ => update.allow_downgrade,
    };
    let level = update.max_version_level;
    match () {
        () if update.feature.is_empty() => "Feature name can not be empty.".to_owned(),
        () if level < 1 && !may_fall => format!(
            "Can not provide maxVersionLevel: {level} less than 1 without setting the allowDowngrade flag to true in the \
             request."
        ),
        () if level < 1 => "Can not delete non-existing finalized feature.".to_owned(),
        () => "Could not apply finalized feature update because the provided feature is not supported."
            .to_owned(),
    }
}
