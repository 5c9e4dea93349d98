//! Walks consecutive RecordBatch v2 in a slice of a log, from header to header.
//!
//! Invariant: [`position`](BatchHeaderWalker::position) is always the end of the last batch that was accepted, so after
//! the walk it is where a log would be cut. Header-only walks touch 61 bytes per batch; checked walks touch every byte.
//!
//! Deliberately absent: any relation between batches. Whether offsets are contiguous (they are not after compaction) and
//! epochs monotonic is the log's business.

use super::layout::PEEK_BYTES;
use super::view::{BatchError, BatchView};

/// What a walk yields per batch: the header's fields and where the batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchInfo {
    /// Byte position of the batch, from the start of the walked slice.
    pub position: usize,
    /// Bytes of the batch with its header.
    pub total_bytes: usize,
    pub base_offset: i64,
    pub last_offset: i64,
    /// ms since the epoch, -1 for none.
    pub base_timestamp: i64,
    /// ms since the epoch, -1 for none.
    pub max_timestamp: i64,
    pub leader_epoch: i32,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    /// Records in the batch.
    pub count: i32,
    pub attributes: i16,
}

impl BatchInfo {
    fn of(view: &BatchView<'_>, position: usize) -> BatchInfo {
        BatchInfo {
            position,
            total_bytes: view.total_bytes(),
            base_offset: view.base_offset(),
            last_offset: view.last_offset(),
            base_timestamp: view.base_timestamp(),
            max_timestamp: view.max_timestamp(),
            leader_epoch: view.leader_epoch(),
            producer_id: view.producer_id(),
            producer_epoch: view.producer_epoch(),
            base_sequence: view.base_sequence(),
            count: view.count(),
            attributes: view.attributes(),
        }
    }

    /// Byte position behind the batch.
    pub fn end(&self) -> usize {
        self.position + self.total_bytes
    }

    /// Sequence of the last record; wraps from `i32::MAX` to 0 as producers' sequences do. -1 without a sequence.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let delta = self.last_offset - self.base_offset;
        ((i64::from(self.base_sequence) + delta) % (i64::from(i32::MAX) + 1)) as i32
    }
}

/// Why a walk ended before the end of the slice. `position` is where the batch that was not accepted begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalkStop {
    /// The slice ends inside a batch. `needed`: bytes from `position` that are known to be necessary, at least a
    /// header's; once the length can be read, the whole batch.
    #[error("batch at byte {position} is incomplete: it needs {needed} bytes")]
    Incomplete { position: usize, needed: usize },
    /// The bytes are no batch.
    #[error("corrupt batch at byte {position}: {reason}")]
    Corrupt { position: usize, reason: BatchError },
}

/// Iterator over the batches of a slice; ends after the first [`WalkStop`].
#[derive(Debug, Clone)]
pub struct BatchHeaderWalker<'a> {
    bytes: &'a [u8],
    position: usize,
    check_crc: bool,
    stopped: bool,
}

impl<'a> BatchHeaderWalker<'a> {
    /// A walk that looks at headers only.
    pub fn headers(bytes: &'a [u8]) -> BatchHeaderWalker<'a> {
        BatchHeaderWalker { bytes, position: 0, check_crc: false, stopped: false }
    }

    /// A walk that also checks each batch's CRC-32C.
    pub fn checked(bytes: &'a [u8]) -> BatchHeaderWalker<'a> {
        BatchHeaderWalker { check_crc: true, ..BatchHeaderWalker::headers(bytes) }
    }

    /// End of the last accepted batch, bytes from the start of the slice.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next batch with its bytes, for callers that need more than its header.
    pub fn next_view(&mut self) -> Option<Result<(BatchInfo, BatchView<'a>), WalkStop>> {
        let rest = &self.bytes[self.position..];
        if self.stopped || rest.is_empty() {
            return None;
        }
        let step = self.accept(rest);
        match &step {
            Ok((info, _)) => self.position = info.end(),
            Err(_) => self.stopped = true,
        }
        Some(step)
    }

    fn accept(&self, rest: &'a [u8]) -> Result<(BatchInfo, BatchView<'a>), WalkStop> {
        let position = self.position;
        let view = BatchView::parse(rest).map_err(|reason| match reason {
            BatchError::Truncated { needed, .. } => WalkStop::Incomplete { position, needed },
            reason => WalkStop::Corrupt { position, reason },
        })?;
        view.check_range().map_err(|reason| WalkStop::Corrupt { position, reason })?;
        if self.check_crc {
            view.check_crc().map_err(|reason| WalkStop::Corrupt { position, reason })?;
        }
        Ok((BatchInfo::of(&view, position), view))
    }
}

impl Iterator for BatchHeaderWalker<'_> {
    type Item = Result<BatchInfo, WalkStop>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_view()?.map(|(info, _)| info))
    }
}

/// Whether `bytes` begins with the zeroes of space that was allocated and never written.
///
/// The first 17 bytes of a batch are never all zero: its length is not.
pub fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().take(PEEK_BYTES).all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, CRC_AT, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC_AT};
    use super::*;

    fn three() -> (Vec<u8>, [usize; 3]) {
        let one = BatchBuilder::new().record(1, None, Some(b"a")).build();
        let two =
            BatchBuilder::new().base_offset(1).record(2, None, Some(b"b")).record(3, None, None).build();
        let three = BatchBuilder::new().base_offset(3).producer(9, 1, i32::MAX).record(4, None, None).build();
        let starts = [0, one.len(), one.len() + two.len()];
        ([one, two, three].concat(), starts)
    }

    #[test]
    fn yields_each_batch_with_its_place() {
        let (log, starts) = three();
        let mut walker = BatchHeaderWalker::checked(&log);
        let infos: Vec<_> = walker.by_ref().map(Result::unwrap).collect();
        assert_eq!(infos.iter().map(|info| info.position).collect::<Vec<_>>(), starts);
        let offsets: Vec<_> = infos.iter().map(|info| (info.base_offset, info.last_offset)).collect();
        assert_eq!(offsets, [(0, 0), (1, 2), (3, 3)]);
        assert_eq!((infos[2].producer_id, infos[2].last_sequence()), (9, i32::MAX));
        assert_eq!(walker.position(), log.len());
    }

    #[test]
    fn every_cut_stops_at_the_last_whole_batch() {
        let (log, starts) = three();
        for cut in 0..log.len() {
            let mut walker = BatchHeaderWalker::checked(&log[..cut]);
            let stop = walker.by_ref().find_map(Result::err);
            let whole = starts.into_iter().filter(|&start| start <= cut).max().unwrap();
            assert_eq!(walker.position(), whole);
            match stop {
                None => assert_eq!(cut, whole),
                Some(WalkStop::Incomplete { position, needed }) => {
                    assert_eq!(position, whole);
                    assert!(needed >= HEADER_BYTES && position + needed > cut);
                }
                Some(corrupt) => panic!("cut at {cut}: {corrupt}"),
            }
            assert!(walker.next().is_none());
        }
    }

    #[test]
    fn a_flipped_bit_is_seen_by_a_checked_walk() {
        let (log, starts) = three();
        for at in starts[1] + CRC_AT..starts[2] {
            let mut torn = log.clone();
            torn[at] ^= 0x10;
            let stop = BatchHeaderWalker::checked(&torn).find_map(Result::err).unwrap();
            assert!(matches!(stop, WalkStop::Corrupt { position, .. } if position == starts[1]), "byte {at}");
        }
    }

    #[test]
    fn a_header_walk_tells_bad_magic_length_and_range() {
        let (log, starts) = three();
        let stop_of = |edit: &dyn Fn(&mut [u8])| {
            let mut torn = log.clone();
            edit(&mut torn[starts[1]..]);
            BatchHeaderWalker::headers(&torn).find_map(Result::err).unwrap()
        };
        let position = starts[1];
        let corrupt = |reason| WalkStop::Corrupt { position, reason };
        assert_eq!(stop_of(&|b| b[MAGIC_AT] = 1), corrupt(BatchError::Magic { magic: 1 }));
        let length = (starts[2] - starts[1] - LOG_OVERHEAD_BYTES) as i32 | i32::MIN;
        assert_eq!(stop_of(&|b| b[8] = 0x80), corrupt(BatchError::Length { length }));
        assert!(matches!(
            stop_of(&|b| b[0] = 0x80),
            WalkStop::Corrupt { reason: BatchError::Range { .. }, .. }
        ));
        assert!(matches!(stop_of(&|b| b[8] = 0x7f), WalkStop::Incomplete { needed, .. } if needed > 1 << 30));
    }

    #[test]
    fn blank_space_is_told_apart() {
        assert!(is_blank(&[0; 512]));
        assert!(!is_blank(&three().0));
    }
}
