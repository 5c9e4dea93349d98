//! KRaft metadata records: the values of the records in `__cluster_metadata-0`.
//!
//! A value is three unsigned varints (frame version 1, the record's api key, its version) and a body in flexible encoding. The
//! bodies are those of Kafka 3.2 to 4.1; each record names what later versions added. Known here are the records that a
//! controller of one broker needs; the others are told apart from broken ones by [`DecodeError::Unknown`], so that a reader of
//! another controller's log decides which it may skip.
//!
//! Owned by the metadata source. What records mean when replayed is not decided here.

mod cluster;
mod flexible;
mod topic;

pub use cluster::{
    BrokerEndpoint, BrokerFeature, ConfigRecord, FeatureLevelRecord, ProducerIdsRecord, RegisterBrokerRecord,
};
pub use topic::{PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord};

use super::Malformed;
use flexible::{Reader, put_uvarint};
use std::ops::RangeInclusive;

const FORMAT: &str = "metadata record";
const FRAME_VERSION: u32 = 1;

/// Why a value is no record that we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A sound frame around a record, or a version of one, that is not known here.
    #[error("metadata record of api key {api_key}, version {version}, is not known")]
    Unknown { api_key: u32, version: u32 },
}

/// Why a record cannot be written as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{record} has no version {version}")]
    NoSuchVersion { record: &'static str, version: u32 },
    /// A field is set that the version cannot carry.
    #[error("{record} carries what version {version} cannot hold: it needs version {needed}")]
    VersionTooLow { record: &'static str, version: u32, needed: u32 },
    /// Kafka bounds strings to 32,767 bytes.
    #[error("a string or array of length {length} is too long for a metadata record")]
    TooLong { length: usize },
}

/// A body: what one api key stands for.
trait Body: Sized {
    const NAME: &'static str;
    const API_KEY: u32;
    const VERSIONS: RangeInclusive<u32>;

    /// The lowest version that carries all that is set.
    fn version_needed(&self) -> u32 {
        *Self::VERSIONS.start()
    }

    fn read(from: &mut Reader<'_>, version: u32) -> Result<Self, Malformed>;

    /// `version` is one that exists and carries all that is set.
    fn write(&self, version: u32, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

macro_rules! records {
    ($($variant:ident($body:ty),)*) => {
        /// A metadata record of a known kind.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum MetadataRecord {
            $($variant($body),)*
        }

        impl MetadataRecord {
            /// The record in a record value. The whole value must be consumed.
            pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
                let mut from = Reader::new(value);
                let (api_key, version) = read_frame(&mut from)?;
                let record = match api_key {
                    $(<$body>::API_KEY if <$body>::VERSIONS.contains(&version) => {
                        Self::$variant(<$body>::read(&mut from, version)?)
                    })*
                    _ => return Err(DecodeError::Unknown { api_key, version }),
                };
                match from.remaining() {
                    0 => Ok(record),
                    more => Err(from.expected("the end of the record", format!("{more} bytes more")).into()),
                }
            }

            /// The lowest version that carries all that is set: what the oldest Kafka can read.
            pub fn version_needed(&self) -> u32 {
                match self {
                    $(Self::$variant(body) => body.version_needed(),)*
                }
            }

            /// Appends the record's value in [`version_needed`](Self::version_needed) to `out`.
            pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                self.encode_as(self.version_needed(), out)
            }

            /// Appends the record's value in `version` to `out`. On an error `out` is as before.
            pub fn encode_as(&self, version: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                match self {
                    $(Self::$variant(body) => write_framed(body, version, out),)*
                }
            }
        }

        $(impl From<$body> for MetadataRecord {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        })*
    };
}

records! {
    RegisterBroker(RegisterBrokerRecord),
    Topic(TopicRecord),
    Partition(PartitionRecord),
    Config(ConfigRecord),
    PartitionChange(PartitionChangeRecord),
    RemoveTopic(RemoveTopicRecord),
    FeatureLevel(FeatureLevelRecord),
    ProducerIds(ProducerIdsRecord),
}

/// Api key and version.
fn read_frame(from: &mut Reader<'_>) -> Result<(u32, u32), Malformed> {
    let start = from.at();
    let frame_version = from.uvarint()?;
    if frame_version != FRAME_VERSION {
        let found = frame_version.to_string();
        return Err(Malformed::byte(FORMAT, start, format!("frame version {FRAME_VERSION}"), found));
    }
    Ok((from.uvarint()?, from.uvarint()?))
}

fn write_framed<B: Body>(body: &B, version: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (record, needed) = (B::NAME, body.version_needed());
    if !B::VERSIONS.contains(&version) {
        return Err(EncodeError::NoSuchVersion { record, version });
    }
    if version < needed {
        return Err(EncodeError::VersionTooLow { record, version, needed });
    }
    let before = out.len();
    for number in [FRAME_VERSION, B::API_KEY, version] {
        put_uvarint(number, out);
    }
    body.write(version, out).inspect_err(|_| out.truncate(before))
}

#[cfg(test)]
mod tests;
