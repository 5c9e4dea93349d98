//! The ledger: which records a broker acknowledged, written as the acknowledgements come.
//!
//! A file of checksummed entries, appended with one `write` per batch of answers, so that a crash of the broker loses
//! none and a crash of this program at most the last, torn entry. Several runs may follow each other in one file.
//!
//! Entry: kind (1 byte), body length (4, big-endian), body, CRC-32C of all before it (4).
//! Kind 1, a run: JSON ([`RunEntry`]). Kind 2, an acknowledgement: run, producer, partition (4 each), first sequence
//! (8), count (4), base offset (8; -1 if the broker only said "duplicate").

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::payload::{be_u32, be_u64};

const KIND_RUN: u8 = 1;
const KIND_ACK: u8 = 2;
const ACK_BYTES: usize = 32;
/// A run entry names every partition; a larger one is damage.
const BODY_BYTES_MAX: u32 = 64 << 20;

/// One acknowledged batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    pub producer: u32,
    /// Index over all partitions of the run.
    pub partition: u32,
    pub first_sequence: u64,
    pub count: u32,
    pub base_offset: i64,
}

/// What the acknowledgements after it belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    pub run: u32,
    pub record_bytes: usize,
    /// Topic and partition number of each partition index.
    pub partitions: Vec<(String, i32)>,
}

/// A ledger that cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: entry at byte {at} is damaged ({what}); this is not a ledger, or its disk changed it")]
    Corrupt { path: PathBuf, at: u64, what: &'static str },
}

#[derive(Debug)]
pub struct LedgerWriter {
    file: File,
    run: u32,
}

fn entry(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.push(kind);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(body);
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

impl LedgerWriter {
    /// Opens `path` for appending and writes the run's entry. A torn entry of an earlier crash is cut off first.
    pub fn open(path: &Path, run: &RunEntry) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Io { path: path.to_path_buf(), source };
        if path.exists() {
            let whole = read(path)?.whole_bytes;
            OpenOptions::new().write(true).open(path).and_then(|f| f.set_len(whole)).map_err(failed)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        let body = serde_json::to_vec(run).map_err(|e| failed(e.into()))?;
        let mut out = Vec::with_capacity(body.len() + 9);
        entry(KIND_RUN, &body, &mut out);
        file.write_all(&out).map_err(failed)?;
        Ok(Self { file, run: run.run })
    }

    /// Appends in one write; O_APPEND keeps the entries of several workers apart.
    pub fn append(&self, acked: &[Acked]) -> io::Result<()> {
        let mut out = Vec::with_capacity(acked.len() * (ACK_BYTES + 9));
        for a in acked {
            let mut body = [0; ACK_BYTES];
            body[0..4].copy_from_slice(&self.run.to_be_bytes());
            body[4..8].copy_from_slice(&a.producer.to_be_bytes());
            body[8..12].copy_from_slice(&a.partition.to_be_bytes());
            body[12..20].copy_from_slice(&a.first_sequence.to_be_bytes());
            body[20..24].copy_from_slice(&a.count.to_be_bytes());
            body[24..32].copy_from_slice(&a.base_offset.to_be_bytes());
            entry(KIND_ACK, &body, &mut out);
        }
        (&self.file).write_all(&out)
    }
}

/// A ledger read back.
#[derive(Debug, Default)]
pub struct Ledger {
    pub runs: Vec<RunEntry>,
    /// `(run, acknowledgement)` in file order.
    pub acked: Vec<(u32, Acked)>,
    /// Bytes up to the end of the last whole entry.
    pub whole_bytes: u64,
    /// Bytes of a torn last entry, 0 normally.
    pub torn_bytes: u64,
}

pub fn read(path: &Path) -> Result<Ledger, LedgerError> {
    let failed = |source| LedgerError::Io { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut ledger = Ledger::default();
    let mut bytes = Vec::new();
    loop {
        let at = ledger.whole_bytes;
        let corrupt = |what| LedgerError::Corrupt { path: path.to_path_buf(), at, what };
        bytes.clear();
        (&mut input).take(5).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() < 5 {
            break;
        }
        let length = be_u32(&bytes[1..5]);
        if length > BODY_BYTES_MAX {
            return Err(corrupt("impossible length"));
        }
        (&mut input).take(u64::from(length) + 4).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() < 9 + length as usize {
            break;
        }
        let (checked, crc) = bytes.split_at(bytes.len() - 4);
        if crc32c::crc32c(checked) != be_u32(crc) {
            return Err(corrupt("checksum"));
        }
        take_entry(checked[0], &checked[5..], &mut ledger).ok_or_else(|| corrupt("unknown content"))?;
        ledger.whole_bytes += bytes.len() as u64;
    }
    ledger.torn_bytes = size.saturating_sub(ledger.whole_bytes);
    Ok(ledger)
}

fn take_entry(kind: u8, body: &[u8], ledger: &mut Ledger) -> Option<()> {
    match kind {
        KIND_RUN => ledger.runs.push(serde_json::from_slice(body).ok()?),
        KIND_ACK if body.len() == ACK_BYTES => {
            let acked = Acked {
                producer: be_u32(&body[4..8]),
                partition: be_u32(&body[8..12]),
                first_sequence: be_u64(&body[12..20]),
                count: be_u32(&body[20..24]),
                base_offset: be_u64(&body[24..32]) as i64,
            };
            ledger.acked.push((be_u32(&body[0..4]), acked));
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_is_told_apart_from_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let run = RunEntry { run: 7, record_bytes: 100, partitions: vec![("t".into(), 0)] };
        let one = Acked { producer: 1, partition: 0, first_sequence: 5, count: 3, base_offset: 9 };
        LedgerWriter::open(&path, &run).unwrap().append(&[one, one]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let torn = read(&path).unwrap();
        assert_eq!((torn.acked.len(), torn.torn_bytes > 0), (1, true));
        LedgerWriter::open(&path, &run).unwrap().append(&[one]).unwrap();
        let mended = read(&path).unwrap();
        assert_eq!((mended.runs.len(), mended.acked.len(), mended.torn_bytes), (2, 2, 0));
        let mut damaged = whole.clone();
        damaged[whole.len() - 20] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(read(&path), Err(LedgerError::Corrupt { .. })));
    }
}
