//! Unpacking a batch's body, to a bound: the only place where the engine looks inside compressed records.

use std::io::Read;

use thalweg_protocol::batch::Codec;

use crate::bounds::{UNPACK_SLICE_BYTES, UNPACKED_BYTES_MAX};
use crate::reactor::Io;

/// Magic of the block framing that the Java client puts around snappy.
pub(super) const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic and two version fields.
const XERIAL_HEADER_BYTES: usize = 16;

/// # Errors
/// What is wrong with the bytes, in words; also when they unpack to more than the bound.
///
/// Works in slices and lets the shard's other tasks run in between: a small batch can unpack to a lot.
pub async fn unpack(io: &Io, codec: Codec, body: &[u8]) -> Result<Vec<u8>, String> {
    match codec {
        Codec::None => Ok(body.to_vec()),
        Codec::Gzip => read_bounded(io, flate2::read::GzDecoder::new(body)).await,
        Codec::Snappy => unpack_snappy(io, body).await,
        Codec::Lz4 => read_bounded(io, lz4_flex::frame::FrameDecoder::new(body)).await,
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(body).map_err(|error| format!("zstd: {error}"))?;
            read_bounded(io, decoder).await
        }
    }
}

async fn read_bounded(io: &Io, mut reader: impl Read) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    loop {
        let mut slice = reader.by_ref().take(UNPACK_SLICE_BYTES);
        let read =
            slice.read_to_end(&mut out).map_err(|error| format!("the records do not unpack: {error}"))?;
        if read == 0 {
            return Ok(out);
        }
        if out.len() > UNPACKED_BYTES_MAX {
            return Err(format!("the records unpack to more than {UNPACKED_BYTES_MAX} bytes"));
        }
        io.yield_now().await;
    }
}

async fn unpack_snappy(io: &Io, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    if !body.starts_with(&XERIAL_MAGIC) {
        unpack_snappy_block(body, &mut out)?;
        return Ok(out);
    }
    let mut rest = body.get(XERIAL_HEADER_BYTES..).ok_or("snappy: the framing is cut off")?;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let block = after.get(..length).ok_or("snappy: a block is cut off")?;
        unpack_snappy_block(block, &mut out)?;
        rest = &after[length..];
        io.yield_now().await;
    }
    Ok(out)
}

fn unpack_snappy_block(block: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let length = snap::raw::decompress_len(block).map_err(|error| format!("snappy: {error}"))?;
    // Snappy packs at most about 1:22 (copies of 64 bytes take 3), so the claim is bounded by the bytes that are there.
    if length > block.len().saturating_mul(32).saturating_add(64) || out.len() + length > UNPACKED_BYTES_MAX {
        return Err(format!("snappy: a block claims {length} bytes"));
    }
    let start = out.len();
    out.resize(start + length, 0);
    let unpacked = snap::raw::Decoder::new().decompress(block, &mut out[start..]);
    unpacked.map(drop).map_err(|error| format!("snappy: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::{SimOptions, SimRunner, SimWorld};
    use std::io::Write;
    use std::time::Duration;

    fn unpack(codec: Codec, body: &[u8]) -> Result<Vec<u8>, String> {
        let runner = SimRunner::new(&SimWorld::new(SimOptions::new(1)), 1);
        let (io, body) = (runner.io(0).clone(), body.to_vec());
        let unpacking = async move { super::unpack(&io, codec, &body).await };
        runner.run(0, Duration::from_secs(60), unpacking).unwrap()
    }

    fn text() -> Vec<u8> {
        b"the quick brown fox ".repeat(1000)
    }

    #[test]
    fn every_codec_comes_back() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text()).unwrap();
        assert_eq!(unpack(Codec::Gzip, &gzip.finish().unwrap()).unwrap(), text());
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&text()).unwrap();
        assert_eq!(unpack(Codec::Lz4, &lz4.finish().unwrap()).unwrap(), text());
        assert_eq!(unpack(Codec::Zstd, &zstd::encode_all(&text()[..], 1).unwrap()).unwrap(), text());
        let raw = snap::raw::Encoder::new().compress_vec(&text()).unwrap();
        assert_eq!(unpack(Codec::Snappy, &raw).unwrap(), text());
        let mut framed = XERIAL_MAGIC.to_vec();
        framed.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        framed.extend(u32::try_from(raw.len()).unwrap().to_be_bytes());
        framed.extend(&raw);
        assert_eq!(unpack(Codec::Snappy, &framed).unwrap(), text());
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = zstd::encode_all(std::io::repeat(0).take(UNPACKED_BYTES_MAX as u64 + 1), 1).unwrap();
        assert!(bomb.len() < 1 << 20);
        assert!(unpack(Codec::Zstd, &bomb).unwrap_err().contains("more than"));
    }

    #[test]
    fn garbage_is_an_error() {
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            assert!(unpack(codec, &[0xFF; 40]).is_err(), "{codec:?}");
        }
    }
}
