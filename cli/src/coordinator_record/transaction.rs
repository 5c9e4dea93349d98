//! `__transaction_state`: what a transaction coordinator knows of each transactional id.

use thalweg_protocol::wire::Reader;

use super::scala::{sort_by_hash, topic_partition_hash};
use super::{CoordinatorRecordError, topic_partition};

struct Transaction<'a> {
    producer_id: i64,
    producer_epoch: i16,
    timeout_ms: i32,
    state: &'static str,
    partitions: Vec<(&'a str, i32)>,
    last_update: i64,
    start: i64,
}

const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

fn decode_key(bytes: &[u8]) -> Result<&str, CoordinatorRecordError> {
    let mut reader = Reader::new(bytes, false);
    match reader.i16()? {
        0 => Ok(reader.string()?),
        other => {
            Err(CoordinatorRecordError::Version("Unknown version from the transaction log message", other))
        }
    }
}

fn decode_value(bytes: &[u8]) -> Result<Transaction<'_>, CoordinatorRecordError> {
    let mut reader = Reader::new(bytes, false);
    let version = reader.i16()?;
    if !(0..=1).contains(&version) {
        return Err(CoordinatorRecordError::Version(
            "Unknown version from the transaction log message value",
            version,
        ));
    }
    let flexible = version >= 1;
    reader.set_flexible(flexible);
    let (producer_id, producer_epoch, timeout_ms) = (reader.i64()?, reader.i16()?, reader.i32()?);
    let status = reader.i8()?;
    let state = usize::try_from(status).ok().and_then(|status| STATES.get(status).copied());
    let state = state.ok_or(CoordinatorRecordError::Version("Unknown transaction status", status.into()))?;
    let mut partitions = Vec::new();
    for _ in 0..reader.nullable_count()?.unwrap_or(0) {
        let topic = reader.string()?;
        for _ in 0..reader.count()? {
            partitions.push((topic, reader.i32()?));
        }
        if flexible {
            reader.skip_tags()?;
        }
    }
    sort_by_hash(&mut partitions, |(topic, partition)| topic_partition_hash(topic, *partition));
    let (last_update, start) = (reader.i64()?, reader.i64()?);
    Ok(Transaction { producer_id, producer_epoch, timeout_ms, state, partitions, last_update, start })
}

impl Transaction<'_> {
    fn partitions(&self, separator: &str) -> String {
        let texts: Vec<String> =
            self.partitions.iter().map(|(topic, partition)| topic_partition(topic, *partition)).collect();
        texts.join(separator)
    }
}

/// The line of `TransactionLogMessageFormatter`.
///
/// # Errors
/// When the record is none that is known.
pub fn format(key: &[u8], value: Option<&[u8]>) -> Result<String, CoordinatorRecordError> {
    let id = decode_key(key)?;
    let text = match value.map(decode_value).transpose()? {
        None => "NULL".to_owned(),
        Some(transaction) => format!(
            "TransactionMetadata(transactionalId={id}, producerId={}, producerEpoch={}, txnTimeoutMs={}, state={}, \
             pendingState=None, topicPartitions=HashSet({}), txnStartTimestamp={}, txnLastUpdateTimestamp={})",
            transaction.producer_id,
            transaction.producer_epoch,
            transaction.timeout_ms,
            transaction.state,
            transaction.partitions(", "),
            transaction.start,
            transaction.last_update
        ),
    };
    Ok(format!("{id}::{text}\n"))
}

/// Key and value as `kafka-dump-log.sh --transaction-log-decoder` shows them.
///
/// # Errors
/// When the record is none that is known.
pub fn dump(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(String, String), CoordinatorRecordError> {
    let key = key.ok_or(CoordinatorRecordError::Missing("the record has no key"))?;
    let id = decode_key(key)?;
    let text = match value.map(decode_value).transpose()? {
        None => "<DELETE>".to_owned(),
        Some(transaction) => format!(
            "producerId:{},producerEpoch:{},state={},partitions=[{}],txnLastUpdateTimestamp={},txnTimeoutMs={}",
            transaction.producer_id,
            transaction.producer_epoch,
            transaction.state,
            transaction.partitions(","),
            transaction.last_update,
            transaction.timeout_ms
        ),
    };
    Ok((format!("transaction_metadata::transactionalId={id}"), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_reads_as_in_kafka() {
        let key = [0, 0, 0, 1, b'x'];
        let mut value = vec![0, 0];
        value.extend(9i64.to_be_bytes());
        value.extend(2i16.to_be_bytes());
        value.extend(60_000i32.to_be_bytes());
        value.push(1);
        value.extend(1i32.to_be_bytes());
        value.extend([0, 1, b't']);
        value.extend(1i32.to_be_bytes());
        value.extend(5i32.to_be_bytes());
        value.extend(20i64.to_be_bytes());
        value.extend(10i64.to_be_bytes());
        assert_eq!(
            format(&key, Some(&value)).unwrap(),
            "x::TransactionMetadata(transactionalId=x, producerId=9, producerEpoch=2, txnTimeoutMs=60000, \
             state=Ongoing, pendingState=None, topicPartitions=HashSet(t-5), txnStartTimestamp=10, \
             txnLastUpdateTimestamp=20)\n"
        );
        assert_eq!(
            dump(Some(&key), Some(&value)).unwrap().1,
            "producerId:9,producerEpoch:2,state=Ongoing,partitions=[t-5],txnLastUpdateTimestamp=20,txnTimeoutMs=60000"
        );
        assert_eq!(format(&key, None).unwrap(), "x::NULL\n");
    }
}
