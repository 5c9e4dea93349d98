//! ApiVersions (key 18), versions 0 to 4: the table of `super::APIS`, as it is.
//!
//! The response header never has tagged fields (KIP-511). A request above our maximum is answered in version 0 with
//! UNSUPPORTED_VERSION and the versions of ApiVersions alone, and the client asks again. No features are advertised:
//! Kafka 3.2.0 with ZooKeeper has none either.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};

use super::shape::{Shape, string};
use super::{APIS, Api, HandlerFuture, Reply, Request, RequestError, encode_reply};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 18,
    name: "ApiVersions",
    versions: (0, 4),
    flexible: 3,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[string().since(3), string().since(3)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body: ApiVersionsRequest = request.decode(SHAPE)?;
    let response = if request.version >= 3 && !is_software_valid(&body) {
        ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code())
    } else {
        table()
    };
    request.reply_as(&response, request.version, false)
}

/// Every API that is answered, with its versions.
pub(super) fn table() -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(APIS.iter().map(|api| advertised(api)).collect())
}

/// Answers a request of a version that is not known.
pub fn fallback(correlation_id: i32) -> HandlerFuture {
    let response = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(vec![advertised(&API)]);
    Box::pin(async move { encode_reply(correlation_id, false, &response, 0) })
}

fn advertised(api: &Api) -> ApiVersion {
    let (first, last) = api.versions;
    ApiVersion::default().with_api_key(api.key).with_min_version(first).with_max_version(last)
}

/// KIP-511: `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
fn is_software_valid(body: &ApiVersionsRequest) -> bool {
    [&body.client_software_name, &body.client_software_version].into_iter().all(|name| {
        let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
    })
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn the_fallback_is_the_version_0_body_that_clients_expect() {
        let mut answer = fallback(7);
        let Poll::Ready(Ok(Reply::Frame(frame))) =
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("not answered at once");
        };
        let expected = [0, 0, 0, 16, 0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
        assert_eq!(frame.pieces.concat(), expected);
    }

    #[test]
    fn every_version_can_be_encoded() {
        for version in API.versions.0..=API.versions.1 {
            assert!(encode_reply(1, false, &table(), version).is_ok(), "version {version}");
        }
    }

    #[test]
    fn software_names_as_kip_511() {
        let body = |name: &'static str| {
            ApiVersionsRequest::default()
                .with_client_software_name(name.into())
                .with_client_software_version("1.2".into())
        };
        for (name, valid) in [("librdkafka", true), ("a", true), ("", false), ("-a", false), ("a b", false)] {
            assert_eq!(is_software_valid(&body(name)), valid, "{name:?}");
        }
    }
}
