//! `__consumer_offsets`: committed offsets and the members of groups.

use thalweg_protocol::wire::Reader;

use super::scala::{java_hash, sort_by_hash};
use super::{CoordinatorRecordError, topic_partition};

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Offset { group: String, topic: String, partition: i32 },
    Group(String),
}

struct Offset<'a> {
    offset: i64,
    leader_epoch: i32,
    metadata: &'a str,
    commit_timestamp: i64,
    expire_timestamp: i64,
}

struct Group<'a> {
    protocol_type: &'a str,
    generation: i32,
    protocol: Option<&'a str>,
    members: Vec<Member<'a>>,
}

struct Member<'a> {
    id: &'a str,
    instance: Option<&'a str>,
    client_id: &'a str,
    client_host: &'a str,
    rebalance_timeout: i32,
    session_timeout: i32,
    assignment: &'a [u8],
}

/// The first version with compact strings and tags, of both kinds of values.
const FLEXIBLE_SINCE: i16 = 4;

impl Key {
    /// # Errors
    /// When it is of a later version, or malformed.
    pub fn decode(bytes: &[u8]) -> Result<Key, CoordinatorRecordError> {
        let mut reader = Reader::new(bytes, false);
        match reader.i16()? {
            0 | 1 => Ok(Key::Offset {
                group: reader.string()?.to_owned(),
                topic: reader.string()?.to_owned(),
                partition: reader.i32()?,
            }),
            2 => Ok(Key::Group(reader.string()?.to_owned())),
            other => Err(CoordinatorRecordError::Version("Unknown group metadata message version", other)),
        }
    }
}

fn decode_offset(bytes: &[u8]) -> Result<Offset<'_>, CoordinatorRecordError> {
    let mut reader = Reader::new(bytes, false);
    let version = reader.i16()?;
    if !(0..=FLEXIBLE_SINCE).contains(&version) {
        return Err(CoordinatorRecordError::Version("Unknown offset message version", version));
    }
    reader.set_flexible(version >= FLEXIBLE_SINCE);
    Ok(Offset {
        offset: reader.i64()?,
        leader_epoch: if version >= 3 { reader.i32()? } else { -1 },
        metadata: reader.string()?,
        commit_timestamp: reader.i64()?,
        expire_timestamp: if version == 1 { reader.i64()? } else { -1 },
    })
}

fn decode_group(bytes: &[u8]) -> Result<Group<'_>, CoordinatorRecordError> {
    let mut reader = Reader::new(bytes, false);
    let version = reader.i16()?;
    if !(0..=FLEXIBLE_SINCE).contains(&version) {
        return Err(CoordinatorRecordError::Version("Unknown group metadata message version", version));
    }
    reader.set_flexible(version >= FLEXIBLE_SINCE);
    let (protocol_type, generation) = (reader.string()?, reader.i32()?);
    let (protocol, _leader) = (reader.nullable_string()?, reader.nullable_string()?);
    if version >= 2 {
        reader.i64()?;
    }
    let mut members = Vec::new();
    for _ in 0..reader.count()? {
        members.push(decode_member(&mut reader, version)?);
    }
    sort_by_hash(&mut members, |member| java_hash(member.id));
    Ok(Group { protocol_type, generation, protocol, members })
}

fn decode_member<'a>(reader: &mut Reader<'a>, version: i16) -> Result<Member<'a>, CoordinatorRecordError> {
    let id = reader.string()?;
    let instance = if version >= 3 { reader.nullable_string()? } else { None };
    let (client_id, client_host) = (reader.string()?, reader.string()?);
    let rebalance_timeout = if version >= 1 { Some(reader.i32()?) } else { None };
    let session_timeout = reader.i32()?;
    let _subscription = reader.bytes()?;
    let assignment = reader.bytes()?;
    if version >= FLEXIBLE_SINCE {
        reader.skip_tags()?;
    }
    let rebalance_timeout = rebalance_timeout.unwrap_or(session_timeout);
    Ok(Member { id, instance, client_id, client_host, rebalance_timeout, session_timeout, assignment })
}

/// The line of `OffsetsMessageFormatter`; nothing for a record that is no committed offset.
///
/// # Errors
/// When the record is none that is known.
pub fn format_offset(key: &[u8], value: Option<&[u8]>) -> Result<Option<String>, CoordinatorRecordError> {
    let Key::Offset { group, topic, partition } = Key::decode(key)? else { return Ok(None) };
    let text = match value {
        None => "NULL".to_owned(),
        Some(value) => {
            let Offset { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp } =
                decode_offset(value)?;
            let leader_epoch = match leader_epoch {
                -1 => "Optional.empty".to_owned(),
                epoch => format!("Optional[{epoch}]"),
            };
            let expire =
                if expire_timestamp == -1 { "None".to_owned() } else { format!("Some({expire_timestamp})") };
            format!(
                "OffsetAndMetadata(offset={offset}, leaderEpoch={leader_epoch}, metadata={metadata}, \
                 commitTimestamp={commit_timestamp}, expireTimestamp={expire})"
            )
        }
    };
    Ok(Some(format!("[{group},{topic},{partition}]::{text}\n")))
}

/// The line of `GroupMetadataMessageFormatter`; nothing for a record that is no group.
///
/// # Errors
/// When the record is none that is known.
pub fn format_group(key: &[u8], value: Option<&[u8]>) -> Result<Option<String>, CoordinatorRecordError> {
    let Key::Group(id) = Key::decode(key)? else { return Ok(None) };
    let text = match value {
        None => "NULL".to_owned(),
        Some(value) => group_text(&id, &decode_group(value)?),
    };
    Ok(Some(format!("{id}::{text}\n")))
}

fn group_text(id: &str, group: &Group<'_>) -> String {
    let state = if group.members.is_empty() { "Empty" } else { "Stable" };
    let members: Vec<String> = group
        .members
        .iter()
        .map(|member| format!("{} -> {}", member.id, member_text(member, group.protocol)))
        .collect();
    format!(
        "GroupMetadata(groupId={id}, generation={}, protocolType=Some({}), currentState={state}, members=HashMap({}))",
        group.generation,
        group.protocol_type,
        members.join(", ")
    )
}

fn member_text(member: &Member<'_>, protocol: Option<&str>) -> String {
    let instance = member.instance.map_or("None".to_owned(), |instance| format!("Some({instance})"));
    format!(
        "MemberMetadata(memberId={}, groupInstanceId={instance}, clientId={}, clientHost={}, sessionTimeoutMs={}, \
         rebalanceTimeoutMs={}, supportedProtocols=List({}))",
        member.id,
        member.client_id,
        member.client_host,
        member.session_timeout,
        member.rebalance_timeout,
        protocol.unwrap_or("null")
    )
}

/// Key and value as `kafka-dump-log.sh --offsets-decoder` shows them.
///
/// # Errors
/// When the record is none that is known.
pub fn dump(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(String, String), CoordinatorRecordError> {
    let key = key.ok_or(CoordinatorRecordError::Missing(
        "Failed to decode message using offset topic decoder (message had a missing key)",
    ))?;
    match Key::decode(key)? {
        Key::Offset { group, topic, partition } => {
            let key =
                format!("offset_commit::group={group},partition={}", topic_partition(&topic, partition));
            let value = match value.map(decode_offset).transpose()? {
                None => "<DELETE>".to_owned(),
                Some(Offset { offset, metadata: "", .. }) => format!("offset={offset}"),
                Some(Offset { offset, metadata, .. }) => format!("offset={offset},metadata={metadata}"),
            };
            Ok((key, value))
        }
        Key::Group(group) => {
            let key = format!("group_metadata::group={group}");
            let value = match value.map(decode_group).transpose()? {
                None => "<DELETE>".to_owned(),
                Some(group) => dump_group(&group)?,
            };
            Ok((key, value))
        }
    }
}

fn dump_group(group: &Group<'_>) -> Result<String, CoordinatorRecordError> {
    let mut assignments = Vec::new();
    for member in &group.members {
        let assignment = match group.protocol_type {
            "consumer" => consumer_assignment(member.assignment)?,
            _ => hex(member.assignment),
        };
        assignments.push(format!("{}={assignment}", member.id));
    }
    let text = serde_json::json!({
        "protocolType": group.protocol_type,
        "protocol": group.protocol,
        "generationId": group.generation,
        "assignment": format!("{{{}}}", assignments.join(",")),
    });
    // The order of Scala's map of four, which keeps it as written.
    Ok(format!(
        "{{\"protocolType\":{},\"protocol\":{},\"generationId\":{},\"assignment\":{}}}",
        text["protocolType"], text["protocol"], text["generationId"], text["assignment"]
    ))
}

/// `[topic-0, topic-1]`, with the assignor's own data behind a colon.
fn consumer_assignment(bytes: &[u8]) -> Result<String, CoordinatorRecordError> {
    let mut reader = Reader::new(bytes, false);
    let _version = reader.i16()?;
    let mut partitions = Vec::new();
    for _ in 0..reader.count()? {
        let topic = reader.string()?;
        for _ in 0..reader.count()? {
            partitions.push(topic_partition(topic, reader.i32()?));
        }
    }
    let data = reader.nullable_bytes()?.map(hex).unwrap_or_default();
    let partitions = format!("[{}]", partitions.join(", "));
    Ok(if data.is_empty() { partitions } else { format!("{partitions}:{data}") })
}

/// The number that the bytes are, in hexadecimal without leading zeros.
fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    match digits.trim_start_matches('0') {
        "" if !bytes.is_empty() => "0".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(out: &mut Vec<u8>, text: &str) {
        out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        out.extend(text.as_bytes());
    }

    fn offset_key() -> Vec<u8> {
        let mut key = vec![0, 1];
        string(&mut key, "g");
        string(&mut key, "t");
        key.extend(3i32.to_be_bytes());
        key
    }

    #[test]
    fn an_offset_reads_as_in_kafka() {
        let mut value = vec![0, 3];
        value.extend(42i64.to_be_bytes());
        value.extend(7i32.to_be_bytes());
        string(&mut value, "m");
        value.extend(1000i64.to_be_bytes());
        let line = format_offset(&offset_key(), Some(&value)).unwrap().unwrap();
        assert_eq!(
            line,
            "[g,t,3]::OffsetAndMetadata(offset=42, leaderEpoch=Optional[7], metadata=m, commitTimestamp=1000, \
             expireTimestamp=None)\n"
        );
        let dumped = dump(Some(&offset_key()), Some(&value)).unwrap();
        assert_eq!(dumped, ("offset_commit::group=g,partition=t-3".into(), "offset=42,metadata=m".into()));
        assert_eq!(dump(Some(&offset_key()), None).unwrap().1, "<DELETE>");
    }

    #[test]
    fn records_of_later_kinds_are_errors() {
        assert!(matches!(Key::decode(&[0, 9]), Err(CoordinatorRecordError::Version(_, 9))));
        assert!(matches!(Key::decode(&[0]), Err(CoordinatorRecordError::Malformed(_))));
        assert!(matches!(dump(None, None), Err(CoordinatorRecordError::Missing(_))));
    }

    #[test]
    fn bytes_are_shown_as_a_number() {
        assert_eq!((hex(&[]), hex(&[0, 0]), hex(&[0, 10, 1])), ("".into(), "0".into(), "A01".into()));
    }
}
