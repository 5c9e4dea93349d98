//! The client against brokers that misbehave, which no real one does on demand.

#![allow(clippy::unwrap_used)]

mod fake_broker;

use std::time::Duration;

use fake_broker::FakeBroker;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{ApiKey, BrokerId, CreateTopicsResponse, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use thalweg_cli::admin::topics::{self, NewTopic};
use thalweg_cli::client::{Client, ClientError, Settings};

const NOT_CONTROLLER: i16 = 41;

fn settings() -> Settings {
    Settings {
        api_timeout: Duration::from_secs(20),
        retry_backoff: Duration::from_millis(5),
        ..Settings::default()
    }
}

fn metadata(port: u16) -> MetadataResponse {
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(1))
        .with_host(StrBytes::from_static_str("127.0.0.1"))
        .with_port(i32::from(port));
    MetadataResponse::default().with_controller_id(BrokerId(1)).with_brokers(vec![broker])
}

fn created(code: i16) -> CreateTopicsResponse {
    CreateTopicsResponse::default()
        .with_topics(vec![CreatableTopicResult::default().with_error_code(code).with_error_message(None)])
}

#[test]
fn a_controller_that_moved_is_looked_up_again() {
    let broker = FakeBroker::start(|port, api, count| match api {
        ApiKey::Metadata => fake_broker::encoded(&metadata(port), 12),
        _ if count == 0 => fake_broker::encoded(&created(NOT_CONTROLLER), 7),
        _ => fake_broker::encoded(&created(0), 7),
    });
    let mut client = Client::new(&broker.address(), settings()).unwrap();
    topics::create(&mut client, &NewTopic { name: "t".to_owned(), ..NewTopic::default() }).unwrap();
    assert_eq!(broker.asked(ApiKey::CreateTopics), 2);
    assert_eq!(broker.asked(ApiKey::Metadata), 2, "the cluster was not learnt again");
}

#[test]
fn what_is_refused_for_good_is_not_tried_again() {
    let broker = FakeBroker::start(|port, api, _| match api {
        ApiKey::Metadata => fake_broker::encoded(&metadata(port), 12),
        _ => fake_broker::encoded(&created(36), 7),
    });
    let mut client = Client::new(&broker.address(), settings()).unwrap();
    let refused = topics::create(&mut client, &NewTopic::default()).unwrap_err();
    assert_eq!(
        refused.described(),
        "org.apache.kafka.common.errors.TopicExistsException: Topic with this name already exists."
    );
    assert_eq!(broker.asked(ApiKey::CreateTopics), 1);
}

#[test]
fn the_second_bootstrap_server_stands_in_for_a_dead_one() {
    let broker = FakeBroker::start(|port, _, _| fake_broker::encoded(&metadata(port), 12));
    // A port that was free a moment ago.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = Client::new(&format!("{dead},{}", broker.address()), settings()).unwrap();
    assert_eq!(client.nodes().unwrap()[0].id, 1);
}

#[test]
fn an_answer_longer_than_any_broker_s_is_refused_before_it_is_read() {
    let broker = FakeBroker::raw(&[0x7f, 0xff, 0xff, 0xff]);
    let mut client = Client::new(&broker.address(), settings()).unwrap();
    let error = client.nodes().unwrap_err();
    assert!(matches!(error, ClientError::Nonsense { .. }), "{error}");
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[test]
fn nobody_there_is_a_timeout_and_not_for_ever() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let impatient = Settings { api_timeout: Duration::from_millis(50), ..settings() };
    let error = Client::new(&dead.to_string(), impatient).unwrap().nodes().unwrap_err();
    assert!(matches!(error, ClientError::TimedOut(_)), "{error}");
}
