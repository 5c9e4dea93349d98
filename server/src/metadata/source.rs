//! The embedded source: Kafka's metadata records in a log of our own, `__cluster_metadata-0`.
//!
//! One change is one batch, so it is there whole or not at all. Always on stable storage, whatever `durability` says.
//! Records are those of KRaft (KIP-631); there are no snapshots yet, so the log is read from its start.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use thalweg_engine::error::{AppendError, ReadError, StorageError};
use thalweg_engine::format::metadata_record::{DecodeError, MetadataRecord};
use thalweg_engine::id::{METADATA_TOPIC_ID, PartitionId, TopicPartition};
use thalweg_engine::log::{Durability, Log, LogOptions, ReadRequest};
use thalweg_engine::reactor::Io;
use thalweg_engine::storage::Storage;
use thalweg_protocol::batch::{BatchBuilder, BatchHeaderWalker, BatchView, RecordError, WalkStop};

use super::controller::{ChangeError, Source};
use super::name::METADATA_TOPIC;
use super::replay::{Contradiction, Replay};
use crate::bounds::{METADATA_BATCH_BYTES_MAX, METADATA_READ_BYTES};

/// See the module. On shard 0.
pub(super) struct EmbeddedLog {
    log: Rc<Log>,
    io: Io,
}

/// Why the metadata could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the metadata log cannot be opened: {0}")]
    Open(#[from] StorageError),
    #[error("the metadata log cannot be read at offset {offset}: {source}")]
    Read { offset: i64, source: ReadError },
    #[error("the metadata log {directory} is damaged at offset {offset}: {what}")]
    Damaged { directory: String, offset: i64, what: String },
    #[error(
        "the metadata log {directory} begins at offset {log_start}, so it goes on from a snapshot (as a KRaft controller's \
         does), which this version does not read; start with an empty directory for it"
    )]
    Snapshot { directory: String, log_start: i64 },
}

impl EmbeddedLog {
    /// Whether the log exists.
    pub(super) fn is_there(storage: &Storage) -> bool {
        storage.log(PartitionId { topic: METADATA_TOPIC_ID, index: 0 }).is_some()
    }

    /// Opens the log, or creates it in the first start.
    pub(super) async fn open(io: &Io, storage: &Rc<Storage>) -> Result<EmbeddedLog, SourceError> {
        let id = PartitionId { topic: METADATA_TOPIC_ID, index: 0 };
        let name = TopicPartition { topic: METADATA_TOPIC.to_owned(), partition: 0 };
        let log = match storage.log(id) {
            Some(log) => log,
            None => storage.create(&name, id, options()).await?,
        };
        log.set_options(options());
        Ok(EmbeddedLog { log, io: io.clone() })
    }

    /// Reads all records from the start.
    pub(super) async fn replay(&self) -> Result<Replay, SourceError> {
        let log_start = self.log.log_start();
        if log_start > 0 {
            return Err(SourceError::Snapshot { directory: self.directory(), log_start });
        }
        let mut replay = Replay::default();
        let mut offset = 0;
        while offset < self.log.high_watermark() {
            let request = ReadRequest { offset, max_bytes: METADATA_READ_BYTES, at_least_one: true };
            let slice =
                self.log.read(request).await.map_err(|source| SourceError::Read { offset, source })?;
            let next = self.apply(&slice.bytes.concat(), offset, &mut replay)?;
            if next == offset {
                return Err(self.damaged(offset, "nothing can be read there"));
            }
            offset = next;
        }
        Ok(replay)
    }

    /// Applies whole batches; returns the offset behind the last.
    fn apply(&self, bytes: &[u8], mut offset: i64, replay: &mut Replay) -> Result<i64, SourceError> {
        let mut walker = BatchHeaderWalker::checked(bytes);
        while let Some(step) = walker.next_view() {
            let (info, view) = step.map_err(|stop: WalkStop| self.damaged(offset, stop))?;
            apply_batch(&view, replay).map_err(|what| self.damaged(info.base_offset, what))?;
            offset = info.last_offset + 1;
        }
        Ok(offset)
    }

    fn directory(&self) -> String {
        self.log.directory().display().to_string()
    }

    fn damaged(&self, offset: i64, what: impl ToString) -> SourceError {
        SourceError::Damaged { directory: self.directory(), offset, what: what.to_string() }
    }
}

impl Source for EmbeddedLog {
    async fn append(&self, records: Vec<MetadataRecord>) -> Result<(), ChangeError> {
        let batch = encode(&records, self.io.wall_clock_ms())?;
        match self.log.append(batch).await {
            Ok(_) => Ok(()),
            Err(AppendError::Closing) => Err(ChangeError::Closing),
            Err(error) => Err(ChangeError::Storage(error.to_string())),
        }
    }
}

fn encode(records: &[MetadataRecord], timestamp_ms: i64) -> Result<Bytes, ChangeError> {
    let mut batch = BatchBuilder::new();
    let mut value = Vec::new();
    for record in records {
        value.clear();
        record.encode(&mut value).map_err(|error| ChangeError::Storage(error.to_string()))?;
        batch.push(timestamp_ms, None, Some(&value), &[]);
    }
    Ok(Bytes::from(batch.build()))
}

/// What is wrong with a batch that is whole.
#[derive(Debug, thiserror::Error)]
enum BatchFault {
    #[error("the batch is compressed, which metadata is not")]
    Compressed,
    #[error("a record has no value")]
    NoValue,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

fn apply_batch(view: &BatchView<'_>, replay: &mut Replay) -> Result<(), BatchFault> {
    // A KRaft controller's notes to itself (KIP-595).
    if view.is_control() {
        return Ok(());
    }
    if view.attributes() & 0x07 != 0 {
        return Err(BatchFault::Compressed);
    }
    for record in view.records()? {
        let value = record?.value.ok_or(BatchFault::NoValue)?;
        replay.apply(MetadataRecord::decode(value)?)?;
    }
    Ok(())
}

/// Everything is kept, and an acknowledgement always means stable storage.
fn options() -> Arc<LogOptions> {
    Arc::new(LogOptions {
        durability: Durability::Disk,
        message_bytes_max: METADATA_BATCH_BYTES_MAX,
        retention_ms: None,
        retention_bytes: None,
        ..LogOptions::default()
    })
}
