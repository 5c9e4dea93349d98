//! The records of a batch as lines.

use std::io::Write;

use thalweg_protocol::batch::{BatchView, Codec, Record, Records, TimestampType};
use thalweg_protocol::wire::Reader;

use super::batch::{Batch, View, sequence, timestamp_type};
use super::legacy::Message;
use super::unpack::unpack;
use super::{DumpError, Settings, corrupt};

const INDENT: &str = "|";

/// Offsets that do not follow each other: the one, and what came instead of the next.
pub type Gaps = Vec<(i64, i64)>;

/// Writes a line for each record, and notes gaps between offsets.
///
/// # Errors
/// When the records are malformed.
pub fn show(
    batch: &Batch,
    settings: &Settings,
    last_offset: &mut Option<i64>,
    gaps: &mut Gaps,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    let mut follow = |offset: i64| {
        if let Some(last) = last_offset.replace(offset)
            && last.wrapping_add(1) != offset
        {
            gaps.push((last, offset));
        }
    };
    match batch.view()? {
        View::V2(view) => {
            let body = body(&view)?;
            for record in Records::new(&body, view.count()) {
                let record = record.map_err(|error| {
                    corrupt(format!("org.apache.kafka.common.InvalidRecordException: {error}"))
                })?;
                follow(view.base_offset().wrapping_add(record.offset_delta.into()));
                show_record(&view, &record, settings, out)?;
            }
        }
        View::Legacy(message) => {
            let unpacked = message.unpacked()?;
            let inside = match &unpacked {
                Some(unpacked) => message.inside(unpacked)?,
                None => vec![message],
            };
            for message in &inside {
                follow(message.offset);
                show_message(message, settings, out)?;
            }
        }
    }
    Ok(())
}

/// The bytes of the records, unpacked.
pub fn body(view: &BatchView<'_>) -> Result<Vec<u8>, DumpError> {
    match view.codec() {
        Some(Codec::None) => Ok(view.body().to_vec()),
        // A compacted batch can have lost all its records, and is empty then whatever its codec.
        Some(_) if view.count() == 0 && view.body().is_empty() => Ok(Vec::new()),
        Some(codec) => unpack(codec, view.body()),
        None => Err(corrupt("java.lang.IllegalArgumentException: Unknown compression type id")),
    }
}

/// A record's timestamp in ms since the epoch.
pub fn timestamp(view: &BatchView<'_>, record: &Record<'_>) -> i64 {
    match view.timestamp_type() {
        TimestampType::LogAppendTime => view.max_timestamp(),
        TimestampType::CreateTime => view.base_timestamp().wrapping_add(record.timestamp_delta),
    }
}

fn show_record(
    view: &BatchView<'_>,
    record: &Record<'_>,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    let offset = view.base_offset().wrapping_add(record.offset_delta.into());
    let mut prefix = format!("{INDENT} ");
    if settings.record_metadata {
        let keys: Vec<String> =
            record.headers.map(|header| String::from_utf8_lossy(header.key).into_owned()).collect();
        write!(
            out,
            "{prefix}offset: {offset} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
            timestamp_type(view.timestamp_type()),
            timestamp(view, record),
            size(record.key),
            size(record.value),
            sequence(view.base_sequence(), record.offset_delta),
            keys.join(",")
        )?;
        prefix = " ".to_owned();
        if view.is_control() {
            write!(out, "{}", control(record)?)?;
        }
    }
    if settings.contents && !view.is_control() {
        show_contents(&prefix, offset, record.key, record.value, settings, out)?;
    }
    Ok(writeln!(out)?)
}

/// The brace at the end is Kafka's.
fn show_message(message: &Message<'_>, settings: &Settings, out: &mut dyn Write) -> Result<(), DumpError> {
    let mut prefix = format!("{INDENT} ");
    if settings.record_metadata {
        write!(
            out,
            "{prefix}offset: {} {}: {} keySize: {} valueSize: {} isValid: {} crc: {}}}",
            message.offset,
            message.timestamp_type(),
            message.timestamp,
            size(message.key),
            size(message.value),
            message.is_valid(),
            message.crc()
        )?;
        prefix = " ".to_owned();
    }
    if settings.contents {
        show_contents(&prefix, message.offset, message.key, message.value, settings, out)?;
    }
    Ok(writeln!(out)?)
}

fn show_contents(
    prefix: &str,
    offset: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    let (key, payload) = settings.decoder.decode(offset, key, value)?;
    if let Some(key) = key {
        write!(out, "{prefix}key: {key}")?;
    }
    if let Some(payload) = payload {
        write!(out, " payload: {payload}")?;
    }
    Ok(())
}

fn size(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX))
}

/// What a control record says: its key is a version and a kind, its value depends on the kind.
fn control(record: &Record<'_>) -> Result<String, DumpError> {
    let malformed = |error: thalweg_protocol::wire::WireError| {
        corrupt(format!(
            "org.apache.kafka.common.InvalidRecordException: a control record is malformed: {error}"
        ))
    };
    let mut key = Reader::new(record.key.unwrap_or_default(), false);
    let kind = key.i16().and_then(|_version| key.i16()).map_err(malformed)?;
    let name = match kind {
        0 | 1 => {
            let mut value = Reader::new(record.value.unwrap_or_default(), false);
            let epoch = value.i16().and_then(|_version| value.i32()).map_err(malformed)?;
            let marker = if kind == 0 { "ABORT" } else { "COMMIT" };
            return Ok(format!(" endTxnMarker: {marker} coordinatorEpoch: {epoch}"));
        }
        2 => "LEADER_CHANGE",
        3 => "SNAPSHOT_HEADER",
        4 => "SNAPSHOT_FOOTER",
        _ => "UNKNOWN",
    };
    Ok(format!(" controlType: {name}({kind})"))
}
