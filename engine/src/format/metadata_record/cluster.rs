//! Records about the cluster: its brokers, configuration, features and producer ids.

use super::flexible::{Reader, Tags, put_optional_string, put_string, put_vec};
use super::{Body, EncodeError};
use crate::format::Malformed;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// A configuration key of a topic or broker is set, or unset (api key 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRecord {
    /// 2 is a topic, 4 a broker.
    pub resource_type: i8,
    /// The topic's name; the broker's id, or empty for the default of all brokers.
    pub resource_name: String,
    pub name: String,
    /// `None` unsets the key.
    pub value: Option<String>,
}

impl ConfigRecord {
    pub const TOPIC: i8 = 2;
    pub const BROKER: i8 = 4;
}

impl Body for ConfigRecord {
    const NAME: &'static str = "ConfigRecord";
    const API_KEY: u32 = 4;
    const VERSIONS: RangeInclusive<u32> = 0..=0;

    fn read(from: &mut Reader<'_>, _: u32) -> Result<Self, Malformed> {
        let record = Self {
            resource_type: from.i8()?,
            resource_name: from.string()?,
            name: from.string()?,
            value: from.optional_string()?,
        };
        from.no_tags()?;
        Ok(record)
    }

    fn write(&self, _: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.resource_type.to_be_bytes());
        put_string(&self.resource_name, out)?;
        put_string(&self.name, out)?;
        put_optional_string(self.value.as_deref(), out)?;
        Tags::default().finish(out);
        Ok(())
    }
}

/// The finalized level of a feature, for example `metadata.version` (api key 12), as Kafka writes it from 3.3 on: before, the
/// same version number stood for another layout, which is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureLevelRecord {
    pub name: String,
    /// 0: not supported.
    pub feature_level: i16,
}

impl Body for FeatureLevelRecord {
    const NAME: &'static str = "FeatureLevelRecord";
    const API_KEY: u32 = 12;
    const VERSIONS: RangeInclusive<u32> = 0..=0;

    fn read(from: &mut Reader<'_>, _: u32) -> Result<Self, Malformed> {
        let record = Self { name: from.string()?, feature_level: from.i16()? };
        from.no_tags()?;
        Ok(record)
    }

    fn write(&self, _: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_string(&self.name, out)?;
        out.extend_from_slice(&self.feature_level.to_be_bytes());
        Tags::default().finish(out);
        Ok(())
    }
}

/// A broker was given a block of producer ids (api key 15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerIdsRecord {
    pub broker_id: i32,
    pub broker_epoch: i64,
    /// First id of the next block: all below are taken.
    pub next_producer_id: i64,
}

impl Body for ProducerIdsRecord {
    const NAME: &'static str = "ProducerIdsRecord";
    const API_KEY: u32 = 15;
    const VERSIONS: RangeInclusive<u32> = 0..=0;

    fn read(from: &mut Reader<'_>, _: u32) -> Result<Self, Malformed> {
        let record =
            Self { broker_id: from.i32()?, broker_epoch: from.i64()?, next_producer_id: from.i64()? };
        from.no_tags()?;
        Ok(record)
    }

    fn write(&self, _: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.broker_id.to_be_bytes());
        out.extend_from_slice(&self.broker_epoch.to_be_bytes());
        out.extend_from_slice(&self.next_producer_id.to_be_bytes());
        Tags::default().finish(out);
        Ok(())
    }
}

/// A broker registered (api key 0). Version 1 (Kafka 3.3) adds `in_controlled_shutdown`, version 2 (3.4)
/// `is_migrating_zk_broker`, version 3 (3.7) `log_dirs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterBrokerRecord {
    pub broker_id: i32,
    pub is_migrating_zk_broker: bool,
    /// Drawn anew by every start of the broker.
    pub incarnation_id: Uuid,
    pub broker_epoch: i64,
    pub end_points: Vec<BrokerEndpoint>,
    pub features: Vec<BrokerFeature>,
    pub rack: Option<String>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    /// Ids of the broker's log directories (KIP-858).
    pub log_dirs: Vec<Uuid>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// Of the listener.
    pub name: String,
    pub host: String,
    pub port: u16,
    /// 0 is PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerFeature {
    pub name: String,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}

impl BrokerEndpoint {
    /// Two empty strings, port, protocol, tags.
    const BYTES_MIN: usize = 7;

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let endpoint = Self {
            name: from.string()?,
            host: from.string()?,
            port: from.u16()?,
            security_protocol: from.i16()?,
        };
        from.no_tags()?;
        Ok(endpoint)
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_string(&self.name, out)?;
        put_string(&self.host, out)?;
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(&self.security_protocol.to_be_bytes());
        Tags::default().finish(out);
        Ok(())
    }
}

impl BrokerFeature {
    /// An empty string, two levels, tags.
    const BYTES_MIN: usize = 6;

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let feature = Self {
            name: from.string()?,
            min_supported_version: from.i16()?,
            max_supported_version: from.i16()?,
        };
        from.no_tags()?;
        Ok(feature)
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_string(&self.name, out)?;
        out.extend_from_slice(&self.min_supported_version.to_be_bytes());
        out.extend_from_slice(&self.max_supported_version.to_be_bytes());
        Tags::default().finish(out);
        Ok(())
    }
}

impl Body for RegisterBrokerRecord {
    const NAME: &'static str = "RegisterBrokerRecord";
    const API_KEY: u32 = 0;
    const VERSIONS: RangeInclusive<u32> = 0..=3;

    fn version_needed(&self) -> u32 {
        match self {
            Self { log_dirs, .. } if !log_dirs.is_empty() => 3,
            Self { is_migrating_zk_broker: true, .. } => 2,
            Self { in_controlled_shutdown, .. } => u32::from(*in_controlled_shutdown),
        }
    }

    fn read(from: &mut Reader<'_>, version: u32) -> Result<Self, Malformed> {
        let mut record = Self {
            broker_id: from.i32()?,
            is_migrating_zk_broker: version >= 2 && from.bool()?,
            incarnation_id: from.uuid()?,
            broker_epoch: from.i64()?,
            end_points: from.vec(BrokerEndpoint::BYTES_MIN, BrokerEndpoint::read)?,
            features: from.vec(BrokerFeature::BYTES_MIN, BrokerFeature::read)?,
            rack: from.optional_string()?,
            fenced: from.bool()?,
            in_controlled_shutdown: version >= 1 && from.bool()?,
            log_dirs: Vec::new(),
        };
        from.tags(|tag, field| {
            let known = version >= 3 && tag == 0;
            if known {
                record.log_dirs = field.uuids()?;
            }
            Ok(known)
        })?;
        Ok(record)
    }

    fn write(&self, version: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.broker_id.to_be_bytes());
        if version >= 2 {
            out.push(self.is_migrating_zk_broker.into());
        }
        out.extend_from_slice(self.incarnation_id.as_bytes());
        out.extend_from_slice(&self.broker_epoch.to_be_bytes());
        put_vec(&self.end_points, out, BrokerEndpoint::write)?;
        put_vec(&self.features, out, BrokerFeature::write)?;
        put_optional_string(self.rack.as_deref(), out)?;
        out.push(self.fenced.into());
        if version >= 1 {
            out.push(self.in_controlled_shutdown.into());
        }
        let mut tags = Tags::default();
        tags.add_uuids(0, Some(self.log_dirs.as_slice()).filter(|dirs| !dirs.is_empty()))?;
        tags.finish(out);
        Ok(())
    }
}
