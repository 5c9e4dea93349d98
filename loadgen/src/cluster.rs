//! Blocking control connection: versions, metadata, topic creation, offsets. Used before, around and after a
//! measurement, never inside its hot path.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::wire::request::{self, NewTopic, OffsetSpec};
use crate::wire::response::{self, Metadata};
use crate::wire::{self, Api, WireError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// A control response larger than this is a broken peer, not a cluster.
const REPLY_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot reach a broker at {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("{api} to {address}: {source}")]
    Io { api: &'static str, address: SocketAddr, source: io::Error },
    #[error("{api} response of {address}: {source}")]
    Wire { api: &'static str, address: SocketAddr, source: WireError },
    #[error("{address} serves {api} versions {min} to {max}; this load generator speaks version {ours}")]
    Version { address: SocketAddr, api: &'static str, ours: i16, min: i16, max: i16 },
    #[error("{what}: {name} ({code}) {message}", name = wire::error_name(*code))]
    Refused { what: String, code: i16, message: String },
    #[error("{0}")]
    Topic(String),
}

/// A partition of the run, with the broker to talk to about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Index into the run's topic names.
    pub topic: usize,
    pub partition: i32,
    pub leader: SocketAddr,
}

/// Control connections to the brokers of one cluster.
#[derive(Debug)]
pub struct Cluster {
    bootstrap: String,
    connections: HashMap<SocketAddr, TcpStream>,
    correlation: i32,
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>, ClusterError> {
    let failed = |source| ClusterError::Connect { address: address.to_string(), source };
    let found: Vec<_> = address.to_socket_addrs().map_err(failed)?.collect();
    if found.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(found) }
}

fn connect(addresses: &[SocketAddr], name: &str) -> Result<(SocketAddr, TcpStream), ClusterError> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                let set =
                    stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(REPLY_TIMEOUT)));
                set.map_err(|source| ClusterError::Connect { address: name.to_string(), source })?;
                return Ok((*address, stream));
            }
            Err(e) => last = e,
        }
    }
    Err(ClusterError::Connect { address: name.to_string(), source: last })
}

fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u64::from(u32::from_be_bytes(length));
    if length > REPLY_BYTES_MAX {
        return Err(io::Error::other(format!("response claims {length} bytes")));
    }
    let mut frame = Vec::new();
    stream.take(length).read_to_end(&mut frame)?;
    if frame.len() as u64 == length { Ok(frame) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

impl Cluster {
    /// `bootstrap` is `host:port[,host:port...]`; nothing is sent yet.
    pub fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_string(), connections: HashMap::new(), correlation: 0 }
    }

    fn any_broker(&mut self) -> Result<SocketAddr, ClusterError> {
        if let Some(&address) = self.connections.keys().next() {
            return Ok(address);
        }
        let mut last = None;
        for name in self.bootstrap.split(',') {
            match resolve(name.trim()).and_then(|a| connect(&a, name)) {
                Ok((address, stream)) => {
                    self.connections.insert(address, stream);
                    return Ok(address);
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| ClusterError::Topic("--bootstrap-server names no broker".into())))
    }

    /// Sends one request and decodes its answer. A connection that failed is forgotten, so the next call reconnects.
    fn call<T>(
        &mut self,
        address: SocketAddr,
        api: Api,
        encode: impl FnOnce(i32) -> Vec<u8>,
        decode: impl FnOnce(&mut wire::decode::Decoder<'_>) -> Result<T, WireError>,
    ) -> Result<T, ClusterError> {
        self.correlation += 1;
        let request = encode(self.correlation);
        let kept = self.connections.remove(&address);
        let (stream, frame) = match kept.and_then(|mut s| exchange(&mut s, &request).ok().map(|f| (s, f))) {
            Some(answered) => answered,
            // None yet, or one that a restart of the broker ended: all requests of this client may go twice.
            None => {
                let mut stream = connect(&[address], &address.to_string())?.1;
                let frame = exchange(&mut stream, &request).map_err(|source| ClusterError::Io {
                    api: api.name,
                    address,
                    source,
                })?;
                (stream, frame)
            }
        };
        let failed = |source| ClusterError::Wire { api: api.name, address, source };
        let (correlation, mut d) = response::correlation(&frame).map_err(failed)?;
        if correlation != self.correlation {
            return Err(failed(WireError::Invalid { field: "correlation id", value: correlation.into() }));
        }
        let out = decode(&mut d).map_err(failed)?;
        self.connections.insert(address, stream);
        Ok(out)
    }

    /// Refuses a broker that lacks a version this program speaks.
    pub fn check_versions(&mut self, needed: &[Api]) -> Result<(), ClusterError> {
        let address = self.any_broker()?;
        let (error, ranges) =
            self.call(address, wire::API_VERSIONS, request::api_versions, response::api_versions)?;
        if error != 0 {
            return Err(refused("ApiVersions".into(), error, ""));
        }
        for api in needed {
            let (_, min, max) = ranges.iter().find(|r| r.0 == api.key).copied().unwrap_or((api.key, 0, -1));
            if api.version < min || api.version > max {
                return Err(ClusterError::Version { address, api: api.name, ours: api.version, min, max });
            }
        }
        Ok(())
    }

    pub fn metadata(&mut self, topics: &[String]) -> Result<Metadata, ClusterError> {
        let address = self.any_broker()?;
        self.call(address, wire::METADATA, |c| request::metadata(c, topics), response::metadata)
    }

    /// Creates the topics; one that exists already is fine.
    pub fn create_topics(&mut self, topics: &[NewTopic<'_>]) -> Result<(), ClusterError> {
        let address = self.controller()?;
        let results = self.call(
            address,
            wire::CREATE_TOPICS,
            |c| request::create_topics(c, topics, 30_000),
            response::create_topics,
        )?;
        match results.into_iter().find(|(_, code, _)| *code != 0 && *code != 36) {
            Some((name, code, message)) => Err(refused(format!("create topic {name}"), code, &message)),
            None => Ok(()),
        }
    }

    /// Deletes the topics; one that is gone already is fine.
    pub fn delete_topics(&mut self, topics: &[String]) -> Result<(), ClusterError> {
        let address = self.controller()?;
        for chunk in topics.chunks(100) {
            let results = self.call(
                address,
                wire::DELETE_TOPICS,
                |c| request::delete_topics(c, chunk, 30_000),
                response::delete_topics,
            )?;
            if let Some((name, code)) = results.into_iter().find(|(_, code)| *code != 0 && *code != 3) {
                return Err(refused(format!("delete topic {name}"), code, ""));
            }
        }
        Ok(())
    }

    fn controller(&mut self) -> Result<SocketAddr, ClusterError> {
        let meta = self.metadata(&[])?;
        match meta.brokers.iter().find(|b| b.node == meta.controller) {
            Some(b) => Ok(resolve(&format!("{}:{}", b.host, b.port))?[0]),
            None => self.any_broker(),
        }
    }

    /// Where each partition of the topics lives. Waits up to `patience` for leaders to be elected.
    pub fn placement(&mut self, topics: &[String], patience: Duration) -> Result<Vec<Placed>, ClusterError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.placement_now(topics) {
                Err(ClusterError::Topic(_)) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                other => return other,
            }
        }
    }

    fn placement_now(&mut self, topics: &[String]) -> Result<Vec<Placed>, ClusterError> {
        let meta = self.metadata(topics)?;
        let mut addresses = HashMap::new();
        for b in &meta.brokers {
            addresses.insert(b.node, resolve(&format!("{}:{}", b.host, b.port))?[0]);
        }
        let mut out = Vec::new();
        for (index, name) in topics.iter().enumerate() {
            let found = meta.topics.iter().find(|t| &t.name == name);
            let usable = found.filter(|t| t.error == 0 && !t.partitions.is_empty()).ok_or_else(|| {
                let code = found.map_or(3, |t| t.error);
                let why = wire::error_name(code);
                ClusterError::Topic(format!("topic {name}: {why}; --create-topics makes it"))
            })?;
            let mut partitions = usable.partitions.clone();
            partitions.sort_by_key(|p| p.index);
            for p in partitions {
                let leader = addresses.get(&p.leader).copied().ok_or_else(|| {
                    ClusterError::Topic(format!("partition {name}-{} has no leader", p.index))
                })?;
                out.push(Placed { topic: index, partition: p.index, leader });
            }
        }
        Ok(out)
    }

    pub fn init_producer_id(&mut self) -> Result<(i64, i16), ClusterError> {
        let address = self.any_broker()?;
        for _ in 0..50 {
            let (code, id, epoch) = self.call(
                address,
                wire::INIT_PRODUCER_ID,
                request::init_producer_id,
                response::init_producer_id,
            )?;
            match code {
                0 => return Ok((id, epoch)),
                14 | 15 => std::thread::sleep(Duration::from_millis(100)),
                _ => return Err(refused("InitProducerId".into(), code, "")),
            }
        }
        Err(refused("InitProducerId".into(), 15, "the coordinator did not come up within 5 s"))
    }

    /// As [`Cluster::offsets`], but waits up to `patience` for new or restarted leaders that do not answer yet.
    pub fn offsets_once_led(
        &mut self,
        topics: &[String],
        placed: &[Placed],
        spec: OffsetSpec,
        patience: Duration,
    ) -> Result<Vec<i64>, ClusterError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.offsets(topics, placed, spec) {
                Err(ClusterError::Refused { code: 3 | 5 | 6 | 9 | 74..=78, .. })
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(50));
                }
                other => return other,
            }
        }
    }

    /// The earliest or end offset of each of `placed`, in its order.
    pub fn offsets(
        &mut self,
        topics: &[String],
        placed: &[Placed],
        spec: OffsetSpec,
    ) -> Result<Vec<i64>, ClusterError> {
        let mut slots = HashMap::new();
        let mut groups: BTreeMap<SocketAddr, BTreeMap<usize, Vec<i32>>> = BTreeMap::new();
        for (slot, p) in placed.iter().enumerate() {
            slots.insert((topics[p.topic].as_str(), p.partition), slot);
            groups.entry(p.leader).or_default().entry(p.topic).or_default().push(p.partition);
        }
        let mut out = vec![0; placed.len()];
        let mut failure = None;
        for (leader, by_topic) in groups {
            let wanted: Vec<_> = by_topic.into_iter().map(|(t, p)| (topics[t].as_str(), p)).collect();
            self.call(
                leader,
                wire::LIST_OFFSETS,
                |c| request::list_offsets(c, &wanted, spec),
                |d| {
                    response::list_offsets(d, |topic, partition, code, offset| {
                        match slots.get(&(topic, partition)) {
                            Some(&slot) if code == 0 => out[slot] = offset,
                            _ => failure = Some((format!("ListOffsets of {topic}-{partition}"), code)),
                        }
                    })
                },
            )?;
        }
        match failure {
            Some((what, code)) => Err(refused(what, code, "")),
            None => Ok(out),
        }
    }
}

fn refused(what: String, code: i16, message: &str) -> ClusterError {
    ClusterError::Refused { what, code, message: message.to_string() }
}
