//! Unpacking the records of one batch, to a bound: a small batch can unpack to a lot.

use std::io::Read;

use thalweg_protocol::batch::Codec;

use super::{DumpError, corrupt};
use crate::bounds::UNPACKED_BYTES_MAX;

/// Magic of the block framing that the Java client puts around snappy, and the bytes of magic and two version fields.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;

/// # Errors
/// What is wrong with the bytes; also when they unpack to more than the bound.
pub fn unpack(codec: Codec, body: &[u8]) -> Result<Vec<u8>, DumpError> {
    match codec {
        Codec::None => Ok(body.to_vec()),
        Codec::Gzip => bounded(flate2::read::GzDecoder::new(body)),
        Codec::Snappy => snappy(body),
        Codec::Lz4 => bounded(lz4_flex::frame::FrameDecoder::new(body)),
        Codec::Zstd => bounded(zstd::stream::read::Decoder::new(body).map_err(|error| malformed(&error))?),
    }
}

fn malformed(why: &dyn std::fmt::Display) -> DumpError {
    corrupt(format!("org.apache.kafka.common.KafkaException: the records do not unpack: {why}"))
}

fn too_much() -> DumpError {
    malformed(&format!("they are more than {UNPACKED_BYTES_MAX} bytes"))
}

fn bounded(reader: impl Read) -> Result<Vec<u8>, DumpError> {
    let mut out = Vec::new();
    reader.take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut out).map_err(|error| malformed(&error))?;
    if out.len() as u64 > UNPACKED_BYTES_MAX { Err(too_much()) } else { Ok(out) }
}

fn snappy(body: &[u8]) -> Result<Vec<u8>, DumpError> {
    let mut out = Vec::new();
    if !body.starts_with(&XERIAL_MAGIC) {
        snappy_block(body, &mut out)?;
        return Ok(out);
    }
    let mut rest =
        body.get(XERIAL_HEADER_BYTES..).ok_or_else(|| malformed(&"snappy's framing is cut off"))?;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let block = after.split_at_checked(u32::from_be_bytes(*length) as usize);
        let (block, behind) = block.ok_or_else(|| malformed(&"a block of snappy's is cut off"))?;
        snappy_block(block, &mut out)?;
        rest = behind;
    }
    Ok(out)
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> Result<(), DumpError> {
    let length = snap::raw::decompress_len(block).map_err(|error| malformed(&error))?;
    // Copies of 64 bytes take three, so a block claims at most about 22 times its size.
    if length > block.len().saturating_mul(32).saturating_add(64) {
        return Err(malformed(&format!("a block of snappy's claims {length} bytes")));
    }
    if (out.len() + length) as u64 > UNPACKED_BYTES_MAX {
        return Err(too_much());
    }
    let start = out.len();
    out.resize(start + length, 0);
    let unpacked = snap::raw::Decoder::new().decompress(block, &mut out[start..]);
    unpacked.map(drop).map_err(|error| malformed(&error))
}
