//! One socket to one broker: requests out, answers in, in order, in versions that both sides speak.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes, VersionRange};

use super::{Address, ClientError, Settings};
use crate::bounds::RESPONSE_BYTES_MAX;

const UNSUPPORTED_VERSION: i16 = 35;

/// A connection whose broker has said what it speaks.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    address: Address,
    client_id: StrBytes,
    correlation: i32,
    versions: HashMap<i16, VersionRange>,
}

impl Connection {
    /// Connects to the first address of the host that answers, and asks for its versions.
    ///
    /// # Errors
    /// When nothing listens there, or it is no Kafka broker.
    pub fn open(address: &Address, settings: &Settings) -> Result<Connection, ClientError> {
        let unreachable = |source| ClientError::Unreachable { address: address.clone(), source };
        let stream = connect(address, settings.connect_timeout).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut connection = Connection {
            stream,
            address: address.clone(),
            client_id: StrBytes::from_string(settings.client_id.clone()),
            correlation: 0,
            versions: HashMap::new(),
        };
        connection.set_timeout(Some(settings.request_timeout))?;
        connection.negotiate()?;
        Ok(connection)
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How long [`Connection::receive`] and a write may wait from now on; `None` for ever.
    ///
    /// # Errors
    /// When the socket refuses it, as it does a timeout of zero.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> Result<(), ClientError> {
        let set = self.stream.set_read_timeout(timeout).and_then(|()| self.stream.set_write_timeout(timeout));
        set.map_err(|source| ClientError::Broken { address: self.address.clone(), source })
    }

    /// The APIs and versions that the broker has named.
    pub fn versions(&self) -> &HashMap<i16, VersionRange> {
        &self.versions
    }

    /// The newest version of a request that both sides speak.
    ///
    /// # Errors
    /// When there is none.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        self.version_within::<R>(i16::MAX)
    }

    /// The same, and none above `ceiling`.
    ///
    /// # Errors
    /// When there is none.
    pub fn version_within<R: Request>(&self, ceiling: i16) -> Result<i16, ClientError> {
        let ours = VersionRange { min: R::VERSIONS.min, max: R::VERSIONS.max.min(ceiling) };
        let shared = self.versions.get(&R::KEY).map(|theirs| theirs.intersect(&ours));
        match shared {
            Some(shared) if !shared.is_empty() => Ok(shared.max),
            _ => Err(ClientError::Unsupported { api: R::KEY, address: self.address.clone() }),
        }
    }

    /// Sends a request and waits for its answer; nothing else may be under way.
    ///
    /// # Errors
    /// When the connection breaks, the answer takes too long, or makes no sense.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, ClientError> {
        let sent = self.send(version, request)?;
        self.receive::<R>(version, sent)
    }

    /// Sends a request and returns its correlation id. Several may be sent before the first [`Connection::receive`].
    ///
    /// # Errors
    /// When the connection breaks, or the request cannot be said in this version.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<i32, ClientError> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let encoded = header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version));
        encoded.map_err(|error| ClientError::Unsayable { api: R::KEY, version, why: error.to_string() })?;
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).map_err(|source| self.broken(source))?;
        Ok(self.correlation)
    }

    /// Waits for the answer to the request that was sent under this correlation id, the oldest that is unanswered.
    ///
    /// # Errors
    /// When the connection breaks, the answer takes too long, or makes no sense.
    pub fn receive<R: Request>(&mut self, version: i16, sent: i32) -> Result<R::Response, ClientError> {
        let mut frame = self.receive_frame()?;
        let mut header_version = R::Response::header_version(version);
        // An answer to ApiVersions has the old header always, so that it can be read whatever was asked.
        if R::KEY == ApiVersionsRequest::KEY {
            header_version = 0;
        }
        let header =
            ResponseHeader::decode(&mut frame, header_version).map_err(|error| self.nonsense(&error))?;
        if header.correlation_id != sent {
            let why = format!("an answer to request {} where {sent} is due", header.correlation_id);
            return Err(ClientError::Nonsense { address: self.address.clone(), why });
        }
        // Too new a version of ApiVersions is answered in version 0.
        let version = match R::KEY == ApiVersionsRequest::KEY
            && frame.starts_with(&UNSUPPORTED_VERSION.to_be_bytes())
        {
            true => 0,
            false => version,
        };
        R::Response::decode(&mut frame, version).map_err(|error| self.nonsense(&error))
    }

    fn receive_frame(&mut self) -> Result<Bytes, ClientError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(|source| self.broken(source))?;
        let length = (&length[..]).get_i32();
        let bounded = usize::try_from(length).ok().filter(|length| *length <= RESPONSE_BYTES_MAX);
        let Some(length) = bounded else {
            let why = format!("an answer of {length} bytes; is this a Kafka listener without TLS?");
            return Err(ClientError::Nonsense { address: self.address.clone(), why });
        };
        // Grows with what arrives, not by what the length claims.
        let mut frame = Vec::new();
        let read = (&mut self.stream).take(length as u64).read_to_end(&mut frame);
        match read {
            Ok(read) if read == length => Ok(Bytes::from(frame)),
            Ok(_) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Err(source) => Err(self.broken(source)),
        }
    }

    fn negotiate(&mut self) -> Result<(), ClientError> {
        let mut answer = self.ask_versions(3)?;
        if answer.error_code == UNSUPPORTED_VERSION {
            answer = self.ask_versions(0)?;
        }
        if answer.error_code != 0 {
            return Err(ClientError::refused(answer.error_code, None));
        }
        self.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, VersionRange { min: api.min_version, max: api.max_version }))
            .collect();
        Ok(())
    }

    fn ask_versions(&mut self, version: i16) -> Result<ApiVersionsResponse, ClientError> {
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request = request
                .with_client_software_name(StrBytes::from_static_str("thalweg"))
                .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        }
        self.call(version, &request)
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken { address: self.address.clone(), source }
    }

    fn nonsense(&self, error: &dyn std::fmt::Display) -> ClientError {
        ClientError::Nonsense { address: self.address.clone(), why: error.to_string() }
    }
}

fn connect(address: &Address, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
