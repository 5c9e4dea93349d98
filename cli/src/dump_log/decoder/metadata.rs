//! Records of `__cluster_metadata` as the JSON that Kafka's tool makes of them.
//!
//! A record that cannot be read is told in the place of its JSON, and the dump goes on.

use base64::Engine as _;
use thalweg_engine::format::topic_id;
use thalweg_protocol::wire::{Reader, WireError};

use super::schema::{Field, Kind, RECORDS, Record};
use crate::bounds::METADATA_NESTING_MAX;

/// The JSON of the record in `value`, which stands at `offset` of its log.
pub fn text(offset: i64, value: &[u8]) -> String {
    json(value).unwrap_or_else(|why| format!("Error at {offset}, skipping. {why}"))
}

fn json(value: &[u8]) -> Result<String, String> {
    let mut frame = Reader::new(value, true);
    let head = |error: WireError| format!("Error while reading the record's frame: {error}");
    match frame.unsigned_varint().map_err(head)? {
        1 => {}
        other => {
            return Err(format!(
                "Could not deserialize metadata record due to unknown frame version {other}(only frame version 1 is supported)"
            ));
        }
    }
    let (api_key, version) = (frame.unsigned_varint().map_err(head)?, frame.unsigned_varint().map_err(head)?);
    let mut failure =
        format!("org.apache.kafka.common.errors.UnsupportedVersionException: Unknown metadata id {api_key}");
    for record in RECORDS.iter().filter(|record| record.api_key == api_key) {
        match data(record, version, Reader::at(value, frame.position(), true)) {
            Ok(data) => {
                return Ok(format!("{{\"type\":\"{}\",\"version\":{version},\"data\":{data}}}", record.name));
            }
            Err(why) => failure = why,
        }
    }
    Err(failure)
}

fn data(record: &Record, version: u32, mut reader: Reader<'_>) -> Result<String, String> {
    let data = structure(record.fields, version, &mut reader, 0)
        .map_err(|error| format!("Failed to deserialize record with type {}: {error}", record.api_key))?;
    match reader.left() {
        0 => Ok(data),
        left => Err(format!("Found {left} byte(s) of garbage after {}", record.api_key)),
    }
}

fn structure(
    fields: &[Field],
    version: u32,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Result<String, WireError> {
    let mut values: Vec<Option<String>> = Vec::with_capacity(fields.len());
    for field in fields {
        let here = field.tag.is_none() && field.since <= version;
        values.push(if here { Some(json_of(&field.kind, version, reader, depth)?) } else { None });
    }
    reader.tags(|number, reader| {
        let known = fields.iter().zip(&mut values).find_map(|(field, value)| {
            let tag = field.tag.as_ref().filter(|tag| tag.number == number && field.since <= version)?;
            Some((field, tag, value))
        });
        if let Some((field, tag, value)) = known {
            *value = Some(json_of(&field.kind, version, reader, depth)?).filter(|json| json != tag.default);
        }
        Ok(())
    })?;
    let shown: Vec<String> = fields
        .iter()
        .zip(values)
        .filter_map(|(field, value)| value.map(|value| format!("\"{}\":{value}", field.name)))
        .collect();
    Ok(format!("{{{}}}", shown.join(",")))
}

fn json_of(kind: &Kind, version: u32, reader: &mut Reader<'_>, depth: usize) -> Result<String, WireError> {
    Ok(match kind {
        Kind::Bool => reader.bool()?.to_string(),
        Kind::Int8 => reader.i8()?.to_string(),
        Kind::Int16 => reader.i16()?.to_string(),
        Kind::Uint16 => (reader.i16()? as u16).to_string(),
        Kind::Int32 => reader.i32()?.to_string(),
        Kind::Int64 => reader.i64()?.to_string(),
        Kind::Float64 => float(f64::from_bits(reader.i64()? as u64)),
        Kind::Uuid => quoted(&topic_id::format(reader.uuid()?)),
        Kind::Text => quoted(reader.string()?),
        Kind::NullableText => reader.nullable_string()?.map_or_else(|| "null".to_owned(), quoted),
        Kind::Bytes => quoted(&base64::engine::general_purpose::STANDARD.encode(reader.bytes()?)),
        Kind::Array(element) => match reader.nullable_count()? {
            None => "null".to_owned(),
            Some(count) => {
                let mut elements = Vec::new();
                for _ in 0..count {
                    elements.push(json_of(element, version, reader, depth + 1)?);
                }
                format!("[{}]", elements.join(","))
            }
        },
        Kind::Struct(fields) => {
            debug_assert!(depth < METADATA_NESTING_MAX, "the table nests deeper than any record does");
            structure(fields, version, reader, depth + 1)?
        }
    })
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn float(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { format!("\"{value}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_as_kafka_shows_them() {
        // What a Kafka 3.2.0 controller wrote: a topic, and its partition on broker 1.
        let topic = [&[1, 2, 0, 4][..], b"foo", &[0; 15], &[7, 0]].concat();
        assert_eq!(
            text(5, &topic),
            "{\"type\":\"TOPIC_RECORD\",\"version\":0,\"data\":{\"name\":\"foo\",\"topicId\":\"AAAAAAAAAAAAAAAAAAAABw\"}}"
        );
        let config = [&[1, 4, 0, 2, 2][..], b"t", &[2], b"n", &[0, 0]].concat();
        assert_eq!(
            text(5, &config),
            "{\"type\":\"CONFIG_RECORD\",\"version\":0,\"data\":{\"resourceType\":2,\"resourceName\":\"t\",\"name\":\"n\",\"value\":null}}"
        );
    }

    #[test]
    fn tagged_fields_stand_in_their_place_unless_they_are_the_default() {
        let mut change = vec![1, 5, 0];
        change.extend(3i32.to_be_bytes());
        change.extend([0; 16]);
        change.extend([2, 1, 4, 0, 0, 0, 9, 5, 1, 0xff]);
        assert_eq!(
            text(0, &change),
            "{\"type\":\"PARTITION_CHANGE_RECORD\",\"version\":0,\"data\":{\"partitionId\":3,\"topicId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"leader\":9}}"
        );
    }

    #[test]
    fn a_layout_that_changed_without_a_version_is_told_by_its_length() {
        let new = [&[1, 12, 0, 2][..], b"f", &[0, 3, 0]].concat();
        assert!(text(0, &new).ends_with("{\"name\":\"f\",\"featureLevel\":3}}"));
        let old = [&[1, 12, 0, 2][..], b"f", &[0, 1, 0, 3, 0]].concat();
        assert!(text(0, &old).ends_with("{\"name\":\"f\",\"minFeatureLevel\":1,\"maxFeatureLevel\":3}}"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_offset() {
        assert!(text(8, &[1, 99, 0]).starts_with("Error at 8, skipping. "));
        assert!(text(8, &[2]).contains("unknown frame version 2"));
        assert!(text(8, &[]).contains("Error at 8"));
        let long = [&[1, 9, 0][..], &[0; 17], &[5]].concat();
        assert!(text(8, &long).contains("Found 1 byte(s) of garbage after 9"));
    }
}
