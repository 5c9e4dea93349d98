//! Packing a batch's body: the other half of `unpack`. Kafka's framings: gzip, xerial snappy, LZ4 frames with
//! independent blocks of 64 KiB, zstd.

use std::io::Write;

use thalweg_protocol::batch::Codec;

use super::unpack::XERIAL_MAGIC;
use crate::bounds::UNPACK_SLICE_BYTES;
use crate::reactor::Io;

/// Bytes of one block of xerial snappy, as the Java client makes them.
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;

/// # Errors
/// What the codec says of it, in words.
///
/// Works in slices and lets the shard's other tasks run in between.
pub(crate) async fn pack(io: &Io, codec: Codec, body: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("the records do not pack with {codec:?}: {error}");
    match codec {
        Codec::None => Ok(body.to_vec()),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            write_slices(io, &mut encoder, body).await.map_err(failed)?;
            encoder.finish().map_err(failed)
        }
        Codec::Snappy => pack_snappy(io, body).await,
        Codec::Lz4 => {
            let frame = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
            write_slices(io, &mut encoder, body).await.map_err(failed)?;
            encoder.finish().map_err(|error| format!("the records do not pack with {codec:?}: {error}"))
        }
        Codec::Zstd => {
            let level = zstd::DEFAULT_COMPRESSION_LEVEL;
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).map_err(failed)?;
            write_slices(io, &mut encoder, body).await.map_err(failed)?;
            encoder.finish().map_err(failed)
        }
    }
}

async fn write_slices(io: &Io, encoder: &mut impl Write, body: &[u8]) -> std::io::Result<()> {
    for slice in body.chunks(usize::try_from(UNPACK_SLICE_BYTES).unwrap_or(usize::MAX)) {
        encoder.write_all(slice)?;
        io.yield_now().await;
    }
    Ok(())
}

async fn pack_snappy(io: &Io, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = XERIAL_MAGIC.to_vec();
    // Its version, and the oldest that can read it.
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let mut encoder = snap::raw::Encoder::new();
    for block in body.chunks(SNAPPY_BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(|error| format!("snappy: {error}"))?;
        out.extend_from_slice(&u32::try_from(packed.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&packed);
        io.yield_now().await;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::unpack::unpack;
    use super::*;
    use crate::io::sim::{SimOptions, SimRunner, SimWorld};
    use std::time::Duration;

    #[test]
    fn every_codec_comes_back() {
        let runner = SimRunner::new(&SimWorld::new(SimOptions::new(1)), 1);
        let text = b"the quick brown fox ".repeat(20_000);
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let (io, body) = (runner.io(0).clone(), text.clone());
            let round = async move {
                let packed = pack(&io, codec, &body).await?;
                assert!(codec == Codec::None || packed.len() < body.len() / 4, "{codec:?}: {}", packed.len());
                unpack(&io, codec, &packed).await
            };
            assert_eq!(runner.run(0, Duration::from_secs(60), round).unwrap().unwrap(), text, "{codec:?}");
        }
    }
}
