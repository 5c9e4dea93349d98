//! What a record's value holds, written by producers and read back by consumers and by `verify`.
//!
//! Two forms. *Timed*: only the first record of a batch carries a head, with the intended time of that record and the
//! step to the next, so that a pre-built batch is refreshed by patching 24 bytes. *Proved* (`--verify`): every record
//! carries run, producer, partition, sequence, time and a CRC-32C, and its filler is a function of these, so that a
//! reader knows each byte that it must find. Filler is word-like text (it compresses about as logs do), the same in
//! every run.

use std::sync::LazyLock;

/// Bytes of a *timed* head; a smaller value carries no time.
pub const TIMED_HEAD: usize = 24;
/// Bytes of a *proved* head: the smallest `--record-size` that `--verify` can do with.
pub const PROVED_HEAD: usize = 48;
const TIMED_MAGIC: [u8; 4] = *b"TWL1";
const PROVED_MAGIC: [u8; 4] = *b"TWP1";
const POOL_BYTES: usize = 256 * 1024;

static POOL: LazyLock<Vec<u8>> = LazyLock::new(build_pool);

/// A small seeded generator (SplitMix64), good for filler and for spreading starts; not for secrets.
#[derive(Debug, Clone)]
pub struct SplitMix(pub u64);

impl SplitMix {
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }
}

fn build_pool() -> Vec<u8> {
    let mut random = SplitMix(7);
    let words: Vec<Vec<u8>> = (0..2048)
        .map(|_| (0..3 + random.below(8)).map(|_| b'a' + random.below(26) as u8).collect())
        .collect();
    let mut pool = Vec::with_capacity(POOL_BYTES + 16);
    while pool.len() < POOL_BYTES {
        let pick = random.below(2048).min(random.below(2048));
        pool.extend_from_slice(&words[pick as usize]);
        pool.push(b' ');
    }
    pool.truncate(POOL_BYTES);
    pool
}

/// Calls `each(range of the output, the pool bytes that belong there)` over a filler of `len` bytes.
fn filler(key: u64, len: usize, mut each: impl FnMut(std::ops::Range<usize>, &[u8])) {
    let mut start = SplitMix(key).below(POOL_BYTES as u64) as usize;
    let mut done = 0;
    while done < len {
        let n = (len - done).min(POOL_BYTES - start);
        each(done..done + n, &POOL[start..start + n]);
        done += n;
        start = 0;
    }
}

pub fn fill(key: u64, out: &mut [u8]) {
    filler(key, out.len(), |range, bytes| out[range].copy_from_slice(bytes));
}

fn is_filled(key: u64, found: &[u8]) -> bool {
    let mut same = true;
    filler(key, found.len(), |range, bytes| same &= &found[range] == bytes);
    same
}

/// The intended send times of a batch: the first record's, and the step from each to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    pub run: u32,
    pub first_unix_us: i64,
    pub step_ns: u32,
}

/// Writes a timed head over the start of `value`, which holds at least [`TIMED_HEAD`] bytes.
pub fn write_timed(t: &Timed, value: &mut [u8]) {
    value[..4].copy_from_slice(&TIMED_MAGIC);
    value[4..8].copy_from_slice(&t.run.to_be_bytes());
    value[8..16].copy_from_slice(&t.first_unix_us.to_be_bytes());
    value[16..20].copy_from_slice(&t.step_ns.to_be_bytes());
    value[20..24].fill(0);
}

pub fn read_timed(value: &[u8]) -> Option<Timed> {
    let head = value.first_chunk::<TIMED_HEAD>()?;
    (head[..4] == TIMED_MAGIC).then(|| Timed {
        run: be_u32(&head[4..8]),
        first_unix_us: be_u64(&head[8..16]) as i64,
        step_ns: be_u32(&head[16..20]),
    })
}

/// The identity of a proved record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proved {
    pub run: u32,
    pub producer: u32,
    /// Index over all partitions of all topics of the run.
    pub partition: u32,
    pub sequence: u64,
    pub unix_us: i64,
}

impl Proved {
    fn key(&self) -> u64 {
        (u64::from(self.run) << 32 | u64::from(self.producer)) ^ self.sequence.rotate_left(17)
    }
}

/// Why a record's value is not what its producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofError {
    /// Not a proved record at all: another producer's, or a damaged head.
    Foreign,
    Checksum,
    Filler,
}

/// Fills all of `value` (at least [`PROVED_HEAD`] bytes).
pub fn write_proved(p: &Proved, value: &mut [u8]) {
    value[..4].copy_from_slice(&PROVED_MAGIC);
    value[8..12].copy_from_slice(&p.run.to_be_bytes());
    value[12..16].copy_from_slice(&p.producer.to_be_bytes());
    value[16..20].copy_from_slice(&p.partition.to_be_bytes());
    let length = value.len() as u32;
    value[20..24].copy_from_slice(&length.to_be_bytes());
    value[24..32].copy_from_slice(&p.sequence.to_be_bytes());
    value[32..40].copy_from_slice(&p.unix_us.to_be_bytes());
    value[40..48].fill(0);
    fill(p.key(), &mut value[PROVED_HEAD..]);
    let crc = crc32c::crc32c(&value[8..]);
    value[4..8].copy_from_slice(&crc.to_be_bytes());
}

/// Checks every byte of `value`. Length is part of the checksum, so a cut or padded value fails too.
pub fn read_proved(value: &[u8]) -> Result<Proved, ProofError> {
    let head = value.first_chunk::<PROVED_HEAD>().ok_or(ProofError::Foreign)?;
    if head[..4] != PROVED_MAGIC {
        return Err(ProofError::Foreign);
    }
    if crc32c::crc32c(&value[8..]) != be_u32(&head[4..8]) || be_u32(&head[20..24]) as usize != value.len() {
        return Err(ProofError::Checksum);
    }
    let proved = Proved {
        run: be_u32(&head[8..12]),
        producer: be_u32(&head[12..16]),
        partition: be_u32(&head[16..20]),
        sequence: be_u64(&head[24..32]),
        unix_us: be_u64(&head[32..40]) as i64,
    };
    if is_filled(proved.key(), &value[PROVED_HEAD..]) { Ok(proved) } else { Err(ProofError::Filler) }
}

/// `bytes` holds exactly 4 bytes at every call.
pub(crate) fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |acc, &b| acc << 8 | u32::from(b))
}

/// `bytes` holds exactly 8 bytes at every call.
pub(crate) fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |acc, &b| acc << 8 | u64::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Proved = Proved { run: 1, producer: 2, partition: 3, sequence: 4, unix_us: 5 };

    #[test]
    fn any_flipped_bit_of_a_proved_record_is_found() {
        let mut value = vec![0; 300];
        write_proved(&RECORD, &mut value);
        assert_eq!(read_proved(&value), Ok(RECORD));
        for at in 0..value.len() {
            value[at] ^= 0x10;
            assert!(read_proved(&value).is_err(), "flip at {at} went unseen");
            value[at] ^= 0x10;
        }
        assert_eq!(read_proved(&value[..299]), Err(ProofError::Checksum));
    }

    #[test]
    fn a_checksummed_record_with_foreign_filler_is_found() {
        let mut value = vec![0; 100];
        write_proved(&RECORD, &mut value);
        value[60] ^= 1;
        let crc = crc32c::crc32c(&value[8..]);
        value[4..8].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(read_proved(&value), Err(ProofError::Filler));
    }
}
