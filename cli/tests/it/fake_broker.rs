//! A broker that answers what a test wants, on a thread per connection, and counts what it was asked.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};
use kafka_protocol::protocol::Encodable;

type Counts = Arc<Mutex<HashMap<i16, usize>>>;

pub struct FakeBroker {
    port: u16,
    counts: Counts,
}

/// A response's body.
pub fn encoded<R: Encodable>(response: &R, version: i16) -> Bytes {
    let mut body = BytesMut::new();
    response.encode(&mut body, version).unwrap();
    body.freeze()
}

impl FakeBroker {
    /// `answer` gets this broker's port, the API, and how often it was asked before. It speaks Metadata in version 12 and
    /// CreateTopics in version 7, beside ApiVersions.
    pub fn start(answer: impl Fn(u16, ApiKey, usize) -> Bytes + Send + Sync + Clone + 'static) -> FakeBroker {
        let counts = Counts::default();
        let seen = counts.clone();
        let port = listen(move |port, mut stream| {
            while let Some((key, correlation)) = request(&mut stream) {
                let count = {
                    let mut counts = seen.lock().unwrap();
                    let count = counts.entry(key).or_default();
                    *count += 1;
                    *count - 1
                };
                let api = ApiKey::try_from(key).unwrap();
                let (flexible, body) = match api {
                    ApiKey::ApiVersions => (false, encoded(&versions(), 3)),
                    other => (true, answer(port, other, count)),
                };
                let mut frame = BytesMut::new();
                frame.put_i32((4 + usize::from(flexible) + body.len()) as i32);
                frame.put_i32(correlation);
                if flexible {
                    frame.put_u8(0);
                }
                frame.put_slice(&body);
                stream.write_all(&frame).unwrap();
            }
        });
        FakeBroker { port, counts }
    }

    /// Answers anything with these bytes.
    pub fn raw(bytes: &'static [u8]) -> FakeBroker {
        let port = listen(move |_, mut stream| {
            request(&mut stream);
            stream.write_all(bytes).unwrap();
        });
        FakeBroker { port, counts: Counts::default() }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn asked(&self, api: ApiKey) -> usize {
        self.counts.lock().unwrap().get(&(api as i16)).copied().unwrap_or_default()
    }
}

fn listen(serve: impl Fn(u16, TcpStream) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(port, stream.unwrap()));
        }
    });
    port
}

/// The key and correlation id of the next request; `None` when the client is gone.
fn request(stream: &mut TcpStream) -> Option<(i16, i32)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    let key = i16::from_be_bytes([frame[0], frame[1]]);
    Some((key, i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]])))
}

fn versions() -> ApiVersionsResponse {
    let speaks = [(ApiKey::ApiVersions, 3), (ApiKey::Metadata, 12), (ApiKey::CreateTopics, 7)];
    let keys = speaks.map(|(api, version)| {
        ApiVersion::default().with_api_key(api as i16).with_min_version(version).with_max_version(version)
    });
    ApiVersionsResponse::default().with_api_keys(keys.to_vec())
}
