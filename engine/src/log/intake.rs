//! What a topic's configuration asks of a batch before it is placed: a key in every record (`cleanup.policy` with
//! `compact`), another codec (`compression.type`). Only for such topics are records looked at; the others' batches pass
//! as they are.

use bytes::Bytes;
use thalweg_protocol::batch::{BatchView, Codec, Records};

use super::pack::pack;
use super::unpack::unpack;
use super::{Log, LogOptions};
use crate::bounds::{LOOKUP_RECORDS_PER_TURN, REFUSED_RECORDS_MAX, UNPACK_SLICE_BYTES};
use crate::clean::repacked;
use crate::error::{AppendError, Rejection};

/// Whether batches have to be looked into.
pub(super) fn is_needed(options: &LogOptions) -> bool {
    options.compact || options.compression.is_some()
}

impl Log {
    /// The batch as it is to be stored. In slices; the number of batches that are unpacked at a time is bounded.
    ///
    /// # Errors
    /// Records that the topic does not take, or that cannot be read.
    pub(super) async fn taken_in(&self, batch: Bytes) -> Result<Bytes, AppendError> {
        let options = self.options();
        let Ok(view) = BatchView::parse(&batch) else { panic!("append of bytes that were not validated") };
        let codec = view.codec().unwrap_or(Codec::None);
        let target = options.compression.unwrap_or(codec);
        if !options.compact && target == codec {
            return Ok(batch);
        }
        let _slot = self.volume.unpacking.acquire(1).await;
        let io = self.volume.io();
        let unreadable = |what| AppendError::from(Rejection::Unreadable { what });
        let unpacked = match codec {
            Codec::None => None,
            codec => Some(unpack(io, codec, view.body()).await.map_err(unreadable)?),
        };
        let body = unpacked.as_deref().unwrap_or(view.body());
        self.check_records(body, view.count(), options.compact).await?;
        if target == codec {
            return Ok(batch);
        }
        let packed = pack(io, target, body).await.map_err(unreadable)?;
        let stored = Bytes::from(repacked(&view, target, &packed));
        self.check_size(&stored)?;
        Ok(stored)
    }

    /// That they are whole, and have keys where that is asked for.
    async fn check_records(&self, body: &[u8], count: i32, keys: bool) -> Result<(), AppendError> {
        let mut keyless = Vec::new();
        let mut records = Records::new(body, count);
        let mut turned = 0;
        for index in 0.. {
            let Some(record) = records.next() else { break };
            let record = record.map_err(|error| Rejection::Unreadable { what: error.to_string() })?;
            if keys && record.key.is_none() && keyless.len() < REFUSED_RECORDS_MAX {
                keyless.push(index);
            }
            let slice = usize::try_from(UNPACK_SLICE_BYTES).unwrap_or(usize::MAX);
            let is_long = records.position() - turned > slice;
            if is_long || index as usize % LOOKUP_RECORDS_PER_TURN == LOOKUP_RECORDS_PER_TURN - 1 {
                turned = records.position();
                self.volume.io().yield_now().await;
            }
        }
        if keyless.is_empty() {
            return Ok(());
        }
        Err(Rejection::WithoutKey { partition: self.name.clone(), records: keyless }.into())
    }
}
