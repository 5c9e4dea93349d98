//! Records of `__consumer_offsets`, in Kafka's own format, so that either server reads what the other wrote.
//!
//! ```text
//! key    version 0, 1: group string | topic string | partition int32        value: OffsetCommitValue, or none (gone)
//!        version 2:    group string                                         value: GroupMetadataValue, or none (gone)
//!        above:        of Kafka's newer group kinds; not read here
//! OffsetCommitValue   0: offset int64 | metadata string | commit time int64
//!                     1: as 0 | expiry int64
//!                     2: as 0
//!                     3: offset int64 | leader epoch int32 | metadata string | commit time int64
//!                     4: as 3 in flexible encoding
//! GroupMetadataValue  0: protocol type string | generation int32 | protocol nullable | leader nullable | members
//!                     2: since when the state holds int64, behind the leader
//!                     4: as 3 in flexible encoding
//!   member            0: id string | client id string | client host string | session timeout int32
//!                        | subscription bytes | assignment bytes
//!                     1: rebalance timeout int32 before the session timeout;  3: instance id nullable behind the id
//! ```
//! Written are key 1 and 2 and value 3 and 3 (offsets with an expiry of their own: value 1), as Kafka 3.2.0 writes them.
//! Source: `OffsetCommitKey.json` and its neighbours in Kafka's `core/src/main/resources/common/message`.
//!
//! Invariants: nothing from the bytes sizes an allocation before it is there; no input panics (fuzz target
//! `group_record`).

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;
use thalweg_protocol::wire::{Reader, WireError};

use super::offsets::CommittedOffset;

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
const OFFSET_VALUE: i16 = 3;
const OFFSET_VALUE_WITH_EXPIRY: i16 = 1;
const GROUP_VALUE: i16 = 3;
/// The last version that is known here; it is the first in flexible encoding, for both values.
const VALUE_MAX: i16 = 4;

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key<'a> {
    Offset {
        group: &'a str,
        topic: &'a str,
        partition: i32,
    },
    Group {
        group: &'a str,
    },
    /// Of a kind that this version does not know.
    Other {
        version: i16,
    },
}

/// A group, as it is stored after each rebalance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupMetadata {
    pub protocol_type: StrBytes,
    pub generation: i32,
    pub protocol: Option<StrBytes>,
    pub leader: Option<StrBytes>,
    /// Since when the group is in its state, milliseconds since the epoch.
    pub phase_since_ms: Option<i64>,
    pub members: Vec<MemberMetadata>,
}

/// A member of a stored group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberMetadata {
    pub member_id: StrBytes,
    pub instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}

/// Why a record is not one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{what} of version {version}, at most {VALUE_MAX} is known")]
    Version { what: &'static str, version: i16 },
}

/// A string of these records has at most this many bytes: its length is an int16.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

pub fn encode_offset_key(out: &mut Vec<u8>, group: &str, topic: &str, partition: i32) {
    out.put_i16(OFFSET_KEY);
    put_string(out, group);
    put_string(out, topic);
    out.put_i32(partition);
}

pub fn encode_group_key(out: &mut Vec<u8>, group: &str) {
    out.put_i16(GROUP_KEY);
    put_string(out, group);
}

pub fn encode_offset(out: &mut Vec<u8>, committed: &CommittedOffset) {
    match committed.expire_ms {
        Some(expire_ms) => {
            out.put_i16(OFFSET_VALUE_WITH_EXPIRY);
            out.put_i64(committed.offset);
            put_string(out, &committed.metadata);
            out.put_i64(committed.commit_ms);
            out.put_i64(expire_ms);
        }
        None => {
            out.put_i16(OFFSET_VALUE);
            out.put_i64(committed.offset);
            out.put_i32(committed.leader_epoch);
            put_string(out, &committed.metadata);
            out.put_i64(committed.commit_ms);
        }
    }
}

pub fn encode_group(out: &mut Vec<u8>, group: &GroupMetadata) {
    out.put_i16(GROUP_VALUE);
    put_string(out, &group.protocol_type);
    out.put_i32(group.generation);
    put_nullable(out, group.protocol.as_deref());
    put_nullable(out, group.leader.as_deref());
    out.put_i64(group.phase_since_ms.unwrap_or(-1));
    out.put_i32(length(group.members.len()));
    for member in &group.members {
        put_string(out, &member.member_id);
        put_nullable(out, member.instance_id.as_deref());
        put_string(out, &member.client_id);
        put_string(out, &member.client_host);
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        put_bytes(out, &member.subscription);
        put_bytes(out, &member.assignment);
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() <= STRING_BYTES_MAX, "checked where it came in");
    let cut = &text.as_bytes()[..text.len().min(STRING_BYTES_MAX)];
    out.put_i16(i16::try_from(cut.len()).unwrap_or(i16::MAX));
    out.put_slice(cut);
}

fn put_nullable(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_i32(length(bytes.len()));
    out.put_slice(bytes);
}

/// A batch is bounded far below 2 GiB.
fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// # Errors
/// [`RecordFault`].
pub fn decode_key(bytes: &[u8]) -> Result<Key<'_>, RecordFault> {
    let mut fields = Reader::new(bytes, false);
    match fields.i16()? {
        0 | 1 => {
            Ok(Key::Offset { group: fields.string()?, topic: fields.string()?, partition: fields.i32()? })
        }
        GROUP_KEY => Ok(Key::Group { group: fields.string()? }),
        version => Ok(Key::Other { version }),
    }
}

/// # Errors
/// [`RecordFault`].
pub fn decode_offset(bytes: &[u8]) -> Result<CommittedOffset, RecordFault> {
    let (version, mut fields) = versioned("an offset", bytes)?;
    let offset = fields.i64()?;
    let leader_epoch = if version >= 3 { fields.i32()? } else { -1 };
    let metadata = text(fields.string()?);
    let commit_ms = fields.i64()?;
    let expire_ms = if version == 1 { Some(fields.i64()?).filter(|at| *at >= 0) } else { None };
    Ok(CommittedOffset { offset, leader_epoch, metadata, commit_ms, expire_ms })
}

/// # Errors
/// [`RecordFault`].
pub fn decode_group(bytes: &[u8]) -> Result<GroupMetadata, RecordFault> {
    let (version, mut fields) = versioned("a group", bytes)?;
    let protocol_type = text(fields.string()?);
    let generation = fields.i32()?;
    let protocol = fields.nullable_string()?.map(text);
    let leader = fields.nullable_string()?.map(text);
    let phase_since_ms = if version >= 2 { Some(fields.i64()?).filter(|at| *at >= 0) } else { None };
    // The count is checked against the bytes that are left.
    let count = fields.nullable_count()?.unwrap_or(0);
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(decode_member(&mut fields, version)?);
    }
    Ok(GroupMetadata { protocol_type, generation, protocol, leader, phase_since_ms, members })
}

fn decode_member(fields: &mut Reader<'_>, version: i16) -> Result<MemberMetadata, RecordFault> {
    let member_id = text(fields.string()?);
    let instance_id = if version >= 3 { fields.nullable_string()?.map(text) } else { None };
    let (client_id, client_host) = (text(fields.string()?), text(fields.string()?));
    let own_rebalance_timeout_ms = if version >= 1 { Some(fields.i32()?) } else { None };
    let session_timeout_ms = fields.i32()?;
    let subscription = Bytes::copy_from_slice(fields.bytes()?);
    let assignment = Bytes::copy_from_slice(fields.bytes()?);
    fields.skip_tags()?;
    Ok(MemberMetadata {
        member_id,
        instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: own_rebalance_timeout_ms.unwrap_or(session_timeout_ms),
        session_timeout_ms,
        subscription,
        assignment,
    })
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn versioned<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(i16, Reader<'a>), RecordFault> {
    let version = Reader::new(bytes, false).i16()?;
    if !(0..=VALUE_MAX).contains(&version) {
        return Err(RecordFault::Version { what, version });
    }
    Ok((version, Reader::at(bytes, VERSION_BYTES, version >= VALUE_MAX)))
}

const VERSION_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> GroupMetadata {
        let member = MemberMetadata {
            member_id: StrBytes::from_static_str("m-1"),
            instance_id: Some(StrBytes::from_static_str("i")),
            client_id: StrBytes::from_static_str("c"),
            client_host: StrBytes::from_static_str("/127.0.0.1"),
            rebalance_timeout_ms: 300_000,
            session_timeout_ms: 45_000,
            subscription: Bytes::from_static(b"sub"),
            assignment: Bytes::from_static(b"assigned"),
        };
        GroupMetadata {
            protocol_type: StrBytes::from_static_str("consumer"),
            generation: 7,
            protocol: Some(StrBytes::from_static_str("range")),
            leader: Some(StrBytes::from_static_str("m-1")),
            phase_since_ms: Some(1_650_000_000_000),
            members: vec![member],
        }
    }

    fn offset(expire_ms: Option<i64>) -> CommittedOffset {
        let metadata = StrBytes::from_static_str("note");
        let leader_epoch = if expire_ms.is_some() { -1 } else { 4 };
        CommittedOffset { offset: 42, leader_epoch, metadata, commit_ms: 1_650_000_000_000, expire_ms }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        encode_group(&mut bytes, &group());
        assert_eq!(decode_group(&bytes), Ok(group()));
        for committed in [offset(None), offset(Some(1_660_000_000_000))] {
            bytes.clear();
            encode_offset(&mut bytes, &committed);
            assert_eq!(decode_offset(&bytes), Ok(committed));
        }
        bytes.clear();
        encode_offset_key(&mut bytes, "g", "t", 3);
        let key = Key::Offset { group: "g", topic: "t", partition: 3 };
        assert_eq!(decode_key(&bytes), Ok(key));
    }

    /// As Kafka's schema has them; `scripts/both-ways` holds them against Kafka itself.
    #[test]
    fn the_bytes_are_kafkas() {
        let mut key = Vec::new();
        encode_offset_key(&mut key, "grp", "top", 1);
        assert_eq!(key, b"\0\x01\0\x03grp\0\x03top\0\0\0\x01");
        let mut value = Vec::new();
        encode_offset(&mut value, &CommittedOffset { commit_ms: 2, ..offset(None) });
        assert_eq!(value, b"\0\x03\0\0\0\0\0\0\0\x2a\0\0\0\x04\0\x04note\0\0\0\0\0\0\0\x02");
    }

    #[test]
    fn older_and_newer_values_are_read() {
        let v0 = b"\0\0\0\0\0\0\0\0\0\x2a\0\x04note\0\0\0\0\0\0\0\x02";
        let read = decode_offset(v0).unwrap();
        assert_eq!((read.offset, read.leader_epoch, read.commit_ms, read.expire_ms), (42, -1, 2, None));
        let v4 = b"\0\x04\0\0\0\0\0\0\0\x2a\0\0\0\x04\x05note\0\0\0\0\0\0\0\x02\0";
        let read = decode_offset(v4).unwrap();
        assert_eq!((read.offset, read.leader_epoch, &*read.metadata), (42, 4, "note"));
        assert!(matches!(decode_offset(b"\0\x05"), Err(RecordFault::Version { version: 5, .. })));
        assert_eq!(decode_key(b"\0\x09abc"), Ok(Key::Other { version: 9 }));
    }

    #[test]
    fn every_prefix_is_refused_without_a_panic() {
        let mut bytes = Vec::new();
        encode_group(&mut bytes, &group());
        for end in 0..bytes.len() {
            assert!(decode_group(&bytes[..end]).is_err(), "{end} bytes passed");
        }
    }
}
