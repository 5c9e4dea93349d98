//! Pieces that Produce and Fetch share: how a topic is named, and where its leader is.

use crate::wire::{EncodeError, Reader, WireError, Writer};
use uuid::Uuid;

/// How a message names a topic: by name in old versions, by id (KIP-516) from Produce v13 and Fetch v13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopicRef<'a> {
    Name(&'a str),
    Id(Uuid),
}

impl<'a> TopicRef<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, by_id: bool) -> Result<TopicRef<'a>, WireError> {
        Ok(if by_id { TopicRef::Id(reader.uuid()?) } else { TopicRef::Name(reader.string()?) })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>, by_id: bool, version: i16) -> Result<(), EncodeError> {
        match (self, by_id) {
            (TopicRef::Name(name), false) => out.string(name),
            (TopicRef::Id(id), true) => {
                out.uuid(*id);
                Ok(())
            }
            _ => Err(EncodeError::TopicKind { version }),
        }
    }
}

/// The leader that a client should turn to (KIP-951).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentLeader {
    /// -1: unknown.
    pub leader_id: i32,
    /// -1: unknown.
    pub leader_epoch: i32,
}

impl CurrentLeader {
    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.i32(self.leader_id);
        out.i32(self.leader_epoch);
        out.no_tags();
        Ok(())
    }
}

/// Address of a leader that a response names (KIP-951).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeEndpoint<'a> {
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
}

impl NodeEndpoint<'_> {
    /// The tagged fields that end a response: endpoints under tag 0 where the version has them and there are any.
    pub(crate) fn write_tags(
        endpoints: &[NodeEndpoint<'_>],
        out: &mut Writer<'_>,
        known: bool,
    ) -> Result<(), EncodeError> {
        if !known || endpoints.is_empty() {
            out.no_tags();
            return Ok(());
        }
        out.tag_count(1);
        out.tag(0, |out| {
            out.count(Some(endpoints.len()))?;
            endpoints.iter().try_for_each(|endpoint| endpoint.write(out))
        })
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.i32(self.node_id);
        out.string(self.host)?;
        out.i32(self.port);
        out.nullable_string(self.rack)?;
        out.no_tags();
        Ok(())
    }
}
