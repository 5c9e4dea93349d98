//! The brokers of a cluster, and a request's way to the one that must answer it.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::{Request, StrBytes};

use super::{Address, ClientError, Connection, Settings, parse_bootstrap};

/// A broker as the cluster names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub address: Address,
    pub rack: Option<String>,
}

/// Who has to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Whichever broker is connected.
    Any,
    Controller,
    Broker(i32),
    /// The coordinator of a consumer group.
    Group(String),
}

/// A client of one cluster.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<Address>,
    settings: Settings,
    nodes: Vec<Node>,
    controller: Option<i32>,
    coordinators: HashMap<String, i32>,
    connections: HashMap<Address, Connection>,
    warned: Vec<Address>,
}

impl Client {
    /// Takes the addresses apart; connects when the first request is made.
    ///
    /// # Errors
    /// When an address is none.
    pub fn new(bootstrap: &str, settings: Settings) -> Result<Client, ClientError> {
        Ok(Client {
            bootstrap: parse_bootstrap(bootstrap).map_err(ClientError::Bootstrap)?,
            settings,
            nodes: Vec::new(),
            controller: None,
            coordinators: HashMap::new(),
            connections: HashMap::new(),
            warned: Vec::new(),
        })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long an operation may take from now on, with all its attempts.
    pub fn set_api_timeout(&mut self, timeout: Duration) {
        self.settings.api_timeout = timeout;
    }

    /// Sends a request to where it belongs and returns the answer, whose error codes are the caller's to read.
    /// `build` makes the request for the version that was agreed. A lost connection is tried again until
    /// `default.api.timeout.ms` is over.
    ///
    /// # Errors
    /// When nobody answers in time, or nobody speaks this request.
    pub fn call<R: Request>(
        &mut self,
        target: &Target,
        build: impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        self.retry(|client| client.call_once(target, &build))
    }

    /// As [`Client::call`], with `check` to turn an error in the answer into one that [`Client::retry`] understands.
    ///
    /// # Errors
    /// As [`Client::call`], and what `check` finds once that is not retriable or time is over.
    pub fn call_checked<R: Request>(
        &mut self,
        target: &Target,
        build: impl Fn(i16) -> R,
        check: impl Fn(&R::Response) -> Result<(), ClientError>,
    ) -> Result<R::Response, ClientError> {
        self.retry(|client| {
            let answer = client.call_once(target, &build)?;
            check(&answer)?;
            Ok(answer)
        })
    }

    /// Attempts something until it works, fails for good, or `default.api.timeout.ms` is over.
    ///
    /// # Errors
    /// The last error, or [`ClientError::TimedOut`] if no broker could be reached at all.
    pub fn retry<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.settings.api_timeout;
        loop {
            let error = match attempt(self) {
                Err(error) if error.is_retriable() => error,
                settled => return settled,
            };
            self.forget(&error);
            if Instant::now() + self.settings.retry_backoff >= deadline {
                return Err(overdue(error));
            }
            sleep(self.settings.retry_backoff);
        }
    }

    fn call_once<R: Request>(
        &mut self,
        target: &Target,
        build: &impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection(target)?;
        let version = connection.version_of::<R>()?;
        connection.call(version, &build(version))
    }

    /// A connection to whoever has to answer.
    ///
    /// # Errors
    /// When there is none to be had now.
    pub fn connection(&mut self, target: &Target) -> Result<&mut Connection, ClientError> {
        let address = match target {
            Target::Any => return self.any(),
            Target::Controller => {
                self.learn_cluster()?;
                match self.controller {
                    Some(id) => self.address_of(id)?,
                    None => return self.any(),
                }
            }
            Target::Broker(id) => {
                self.learn_cluster()?;
                self.address_of(*id)?
            }
            Target::Group(group) => self.coordinator_of(group)?,
        };
        self.connected(&address)
    }

    /// The first broker that can be reached, those already connected first.
    fn any(&mut self) -> Result<&mut Connection, ClientError> {
        if let Some(address) = self.connections.keys().next().cloned() {
            return self.connected(&address);
        }
        let known = self.nodes.iter().map(|node| node.address.clone());
        let candidates: Vec<Address> = self.bootstrap.iter().cloned().chain(known).collect();
        let mut last = ClientError::Bootstrap("no bootstrap server".to_owned());
        for address in candidates {
            match self.connected(&address) {
                Ok(_) => return self.connected(&address),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connected(&mut self, address: &Address) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(address) {
            match Connection::open(address, &self.settings) {
                Ok(connection) => {
                    self.connections.insert(address.clone(), connection);
                }
                Err(error) => {
                    self.warn(address, &error);
                    return Err(error);
                }
            }
        }
        match self.connections.get_mut(address) {
            Some(connection) => Ok(connection),
            None => unreachable!("it was inserted above"),
        }
    }

    /// Once per address: the user should know why nothing happens.
    fn warn(&mut self, address: &Address, error: &ClientError) {
        if !self.warned.contains(address) {
            self.warned.push(address.clone());
            eprintln!("WARN {error}");
        }
    }

    /// What an error says about what we believed of the cluster.
    fn forget(&mut self, error: &ClientError) {
        match error {
            ClientError::Broken { address, .. } | ClientError::Unreachable { address, .. } => {
                self.connections.remove(address);
                self.controller = None;
                self.nodes.clear();
                self.coordinators.clear();
            }
            ClientError::Refused(refused) => match refused.code {
                ResponseError::NotController => self.nodes.clear(),
                ResponseError::NotCoordinator | ResponseError::CoordinatorNotAvailable => {
                    self.coordinators.clear();
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn learn_cluster(&mut self) -> Result<(), ClientError> {
        if self.nodes.is_empty() {
            self.describe_topics_once(Some(&[]))?;
        }
        Ok(())
    }

    fn address_of(&self, id: i32) -> Result<Address, ClientError> {
        let node = self.nodes.iter().find(|node| node.id == id);
        node.map(|node| node.address.clone())
            .ok_or_else(|| ClientError::TimedOut("Timed out waiting for a node assignment.".to_owned()))
    }

    fn coordinator_of(&mut self, group: &str) -> Result<Address, ClientError> {
        self.learn_cluster()?;
        if let Some(id) = self.coordinators.get(group) {
            let id = *id;
            return self.address_of(id);
        }
        let key = StrBytes::from_string(group.to_owned());
        let found = self.call_once::<FindCoordinatorRequest>(&Target::Any, &|version| match version {
            4.. => FindCoordinatorRequest::default().with_coordinator_keys(vec![key.clone()]),
            _ => FindCoordinatorRequest::default().with_key(key.clone()),
        })?;
        // Up to version 3 the answer is one coordinator, from 4 on a list.
        let (code, message, id, host, port) = match found.coordinators.into_iter().next() {
            Some(one) => (one.error_code, one.error_message, one.node_id, one.host, one.port),
            None => (found.error_code, found.error_message, found.node_id, found.host, found.port),
        };
        if code != 0 {
            return Err(ClientError::refused(code, message.as_deref().filter(|text| *text != "NONE")));
        }
        let address = address(&host, port)?;
        if self.nodes.iter().all(|node| node.id != id.0) {
            self.nodes.push(Node { id: id.0, address: address.clone(), rack: None });
        }
        self.coordinators.insert(group.to_owned(), id.0);
        Ok(address)
    }

    /// The brokers that live now.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub fn nodes(&mut self) -> Result<&[Node], ClientError> {
        self.retry(Client::learn_cluster)?;
        Ok(&self.nodes)
    }

    /// The coordinator of a group, as a node of the cluster.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn coordinator(&mut self, group: &str) -> Result<Node, ClientError> {
        self.retry(|client| client.coordinator_of(group))?;
        let id = self.coordinators.get(group).copied();
        let node = self.nodes.iter().find(|node| Some(node.id) == id).cloned();
        node.ok_or_else(|| ClientError::TimedOut("Timed out waiting for a node assignment.".to_owned()))
    }

    /// Metadata of these topics, or of all; never creates one. Errors of single topics are the caller's to read.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub fn describe_topics(&mut self, names: Option<&[String]>) -> Result<MetadataResponse, ClientError> {
        self.retry(|client| client.describe_topics_once(names))
    }

    fn describe_topics_once(&mut self, names: Option<&[String]>) -> Result<MetadataResponse, ClientError> {
        let topics = names.map(|names| names.iter().map(|name| topic(name)).collect::<Vec<_>>());
        let request =
            |_| MetadataRequest::default().with_topics(topics.clone()).with_allow_auto_topic_creation(false);
        let answer = self.call_once(&Target::Any, &request)?;
        self.remember(&answer)?;
        Ok(answer)
    }

    fn remember(&mut self, answer: &MetadataResponse) -> Result<(), ClientError> {
        let mut nodes = Vec::with_capacity(answer.brokers.len());
        for broker in &answer.brokers {
            nodes.push(Node {
                id: broker.node_id.0,
                address: address(&broker.host, broker.port)?,
                rack: broker.rack.as_ref().map(|rack| rack.to_string()),
            });
        }
        self.nodes = nodes;
        self.controller = Some(answer.controller_id.0).filter(|id| *id >= 0);
        Ok(())
    }
}

fn topic(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
}

fn address(host: &str, port: i32) -> Result<Address, ClientError> {
    let port = u16::try_from(port).ok();
    let named = port.map(|port| Address { host: host.to_owned(), port });
    named.ok_or_else(|| ClientError::Bootstrap(format!("the cluster names a broker at {host}:{port:?}")))
}

/// Whom nobody answered in time is told what Kafka's admin client would tell.
fn overdue(last: ClientError) -> ClientError {
    match last {
        ClientError::Unreachable { .. } => {
            ClientError::TimedOut("Timed out waiting for a node assignment.".to_owned())
        }
        other => other,
    }
}
