//! Request headers, and which messages are flexible.

use crate::string;
use bytes::BytesMut;
use kafka_protocol::messages::{ApiKey, RequestHeader as PeerHeader};
use kafka_protocol::protocol::Encodable;
use thalweg_protocol::frame::{RequestHeader, request_is_flexible, response_header_is_flexible};

#[test]
fn flexible_versions_agree_for_every_api_and_version() {
    let mut compared = 0;
    for api_key in 0..200 {
        let Ok(key) = ApiKey::try_from(api_key) else { continue };
        let versions = key.valid_versions();
        for version in versions.min..=versions.max {
            let name = format!("{key:?} v{version}");
            assert_eq!(
                request_is_flexible(api_key, version),
                key.request_header_version(version) == 2,
                "{name}"
            );
            let flexible = key.response_header_version(version) == 1;
            assert_eq!(response_header_is_flexible(api_key, version), flexible, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared} versions compared");
}

#[test]
fn headers_parse_in_both_forms_and_no_truncation_does() {
    for (api_key, version) in [(0, 8), (0, 9), (1, 12), (18, 0), (18, 4), (36, 1), (47, 0)] {
        for client_id in [None, Some("rdkafka"), Some("")] {
            let header = PeerHeader::default()
                .with_request_api_key(api_key)
                .with_request_api_version(version)
                .with_correlation_id(-5)
                .with_client_id(client_id.map(string));
            let mut frame = BytesMut::new();
            let form = ApiKey::try_from(api_key).unwrap().request_header_version(version);
            header.encode(&mut frame, form).unwrap();
            let parsed = RequestHeader::parse(&frame).unwrap();
            let body_at = frame.len();
            let expected =
                RequestHeader { api_key, api_version: version, correlation_id: -5, client_id, body_at };
            assert_eq!(parsed, expected);
            for cut in 0..frame.len() {
                assert!(RequestHeader::parse(&frame[..cut]).is_err(), "cut at {cut}");
            }
        }
    }
}

#[test]
fn the_oldest_header_has_no_client_id() {
    let frame = [0, 7, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1];
    let header = RequestHeader::parse(&frame).unwrap();
    assert_eq!((header.correlation_id, header.client_id, header.body_at), (9, None, 8));
}

#[test]
fn a_client_id_that_is_not_utf8_is_refused() {
    assert!(RequestHeader::parse(&[0, 3, 0, 0, 0, 0, 0, 1, 0, 1, 0xff]).is_err());
}
