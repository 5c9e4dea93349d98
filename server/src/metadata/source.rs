//! The embedded source: Kafka's metadata records in a log of our own, `__cluster_metadata-0`.
//!
//! One change is one batch, so it is there whole or not at all. Always on stable storage, whatever `durability` says.
//! Records are those of KRaft (KIP-631). Once the log has grown by `metadata.log.max.record.bytes.between.snapshots`, the whole
//! state is appended as a snapshot, in one [`batch`](super::batch) or several, and when the last is on stable storage, the log's
//! start moves to the first. A crash in between leaves what was before, which counts until the snapshot is complete. So the log
//! is bounded by that key and the state.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_engine::error::{AppendError, ReadError, StorageError};
use thalweg_engine::format::metadata_record::MetadataRecord;
use thalweg_engine::id::{METADATA_TOPIC_ID, PartitionId, TopicPartition};
use thalweg_engine::log::{Durability, Log, LogOptions, ReadRequest};
use thalweg_engine::reactor::Io;
use thalweg_engine::storage::Storage;
use thalweg_protocol::batch::{BatchHeaderWalker, WalkStop};

use super::batch::{self, Reader};
use super::controller::{ChangeError, Source};
use super::name::METADATA_TOPIC;
use super::replay::Replay;
use crate::bounds::{METADATA_BATCH_BYTES_MAX, METADATA_READ_BYTES};

/// See the module. On shard 0.
pub(super) struct EmbeddedLog {
    log: Rc<Log>,
    io: Io,
    storage: Rc<Storage>,
    /// Bytes that the log may grow by before it gets a snapshot.
    growth_bytes_max: u64,
    /// Bytes appended since the last snapshot.
    grown_bytes: Cell<u64>,
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
    pub(super) async fn open(
        io: &Io,
        storage: &Rc<Storage>,
        growth_bytes_max: u64,
    ) -> Result<EmbeddedLog, SourceError> {
        let id = PartitionId { topic: METADATA_TOPIC_ID, index: 0 };
        let name = TopicPartition { topic: METADATA_TOPIC.to_owned(), partition: 0 };
        let log = match storage.log(id) {
            Some(log) => log,
            None => storage.create(&name, id, options()).await?,
        };
        log.set_options(options());
        let (io, storage) = (io.clone(), Rc::clone(storage));
        Ok(EmbeddedLog { log, io, storage, growth_bytes_max, grown_bytes: Cell::new(0) })
    }

    /// Reads all records from the start.
    pub(super) async fn replay(&self) -> Result<Replay, SourceError> {
        let log_start = self.log.log_start();
        let mut reader = Reader::default();
        let mut offset = log_start;
        self.grown_bytes.set(0);
        while offset < self.log.high_watermark() {
            let request = ReadRequest { offset, max_bytes: METADATA_READ_BYTES, at_least_one: true };
            let slice =
                self.log.read(request).await.map_err(|source| SourceError::Read { offset, source })?;
            let next = self.apply(&slice.bytes.concat(), offset, &mut reader)?;
            if log_start > 0 && !reader.is_from_snapshot() {
                return Err(SourceError::Snapshot { directory: self.directory(), log_start });
            }
            if next == offset {
                return Err(self.damaged(offset, "nothing can be read there"));
            }
            offset = next;
        }
        Ok(reader.finish())
    }

    /// Applies whole batches; returns the offset behind the last.
    fn apply(&self, bytes: &[u8], mut offset: i64, reader: &mut Reader) -> Result<i64, SourceError> {
        let mut walker = BatchHeaderWalker::checked(bytes);
        while let Some(step) = walker.next_view() {
            let (info, view) = step.map_err(|stop: WalkStop| self.damaged(offset, stop))?;
            let completes = reader.apply(&view).map_err(|what| self.damaged(info.base_offset, what))?;
            self.grown_bytes.set(if completes {
                0
            } else {
                self.grown_bytes.get() + info.total_bytes as u64
            });
            offset = info.last_offset + 1;
        }
        Ok(offset)
    }

    /// Appends the whole state and lets everything before it go.
    async fn replace_by(&self, state: &[MetadataRecord]) -> Result<(), String> {
        let batches =
            batch::encode_snapshot(state, self.io.wall_clock_ms()).map_err(|error| error.to_string())?;
        let mut start = None;
        for batch in batches {
            let appended = self.log.append(batch).await.map_err(|error| error.to_string())?;
            start = start.or(Some(appended.base_offset));
        }
        let Some(start) = start else { return Ok(()) };
        self.log.delete_records(start).await.map_err(|error| error.to_string())?;
        let kept = self.storage.checkpoint(self.log.volume(), false).await;
        kept.map_err(|error| error.to_string())
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
        let batch = batch::encode(&records, self.io.wall_clock_ms())?;
        let bytes = batch.len();
        match self.log.append(batch).await {
            Ok(_) => {
                self.grown_bytes.set(self.grown_bytes.get() + bytes as u64);
                Ok(())
            }
            Err(AppendError::Closing) => Err(ChangeError::Closing),
            Err(error) => Err(ChangeError::Storage(error.to_string())),
        }
    }

    async fn shrink(&self, state: impl FnOnce() -> Vec<MetadataRecord>) {
        let grown_bytes = self.grown_bytes.get();
        if grown_bytes < self.growth_bytes_max {
            return;
        }
        // Also after a failure: the next attempt comes when it has grown as much again.
        self.grown_bytes.set(0);
        match self.replace_by(&state()).await {
            Ok(()) => tracing::info!(grown_bytes, "The metadata log goes on from a snapshot"),
            Err(why) => tracing::warn!(grown_bytes, "The metadata log stays as it is: {why}"),
        }
    }
}

/// Everything is kept, and an acknowledgement always means stable storage.
fn options() -> Arc<LogOptions> {
    Arc::new(LogOptions {
        durability: Durability::Disk,
        message_bytes_max: METADATA_BATCH_BYTES_MAX,
        retention_ms: None,
        retention_bytes: None,
        segment_bytes: METADATA_BATCH_BYTES_MAX,
        ..LogOptions::default()
    })
}
