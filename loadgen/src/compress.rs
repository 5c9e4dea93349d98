//! The codecs of record batches, in the framing that Kafka's clients write and read.
//!
//! Snappy is written in the xerial framing (magic, version, then length-prefixed blocks), because the Java client
//! reads nothing else; a bare snappy block is also understood, because librdkafka writes one.

use std::io::{self, Read, Write};

/// The codec bits of a batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_BLOCK: usize = 32 * 1024;
/// The most that one compressed batch may unpack to, so that a hostile batch cannot exhaust memory.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

impl Codec {
    pub fn bits(self) -> i16 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// From a batch's attributes; `None` for bits that no codec has.
    pub fn from_attributes(attributes: i16) -> Option<Self> {
        [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
            .into_iter()
            .find(|c| c.bits() == attributes & 7)
    }

    /// Appends the compressed form of `raw` to `out`.
    pub fn compress(self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Codec::None => out.extend_from_slice(raw),
            Codec::Gzip => {
                let mut w = flate2::write::GzEncoder::new(out, flate2::Compression::default());
                w.write_all(raw)?;
                w.finish()?;
            }
            Codec::Snappy => return snappy(raw, out),
            Codec::Lz4 => {
                let mut w = lz4_flex::frame::FrameEncoder::new(out);
                w.write_all(raw)?;
                w.finish().map_err(io::Error::other)?;
            }
            Codec::Zstd => zstd::stream::copy_encode(raw, out, 3)?,
        }
        Ok(())
    }

    /// The records of a batch, unpacked.
    pub fn decompress(self, packed: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Codec::None => Ok(packed.to_vec()),
            Codec::Gzip => unpack(flate2::read::GzDecoder::new(packed)),
            Codec::Snappy => unsnappy(packed),
            Codec::Lz4 => unpack(lz4_flex::frame::FrameDecoder::new(packed)),
            Codec::Zstd => unpack(zstd::stream::Decoder::new(packed)?),
        }
    }
}

fn unpack(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut out)?;
    if out.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(io::Error::other("batch unpacks to more than 256 MiB"));
    }
    Ok(out)
}

fn snappy(raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in raw.chunks(XERIAL_BLOCK) {
        let packed = encoder.compress_vec(block).map_err(io::Error::other)?;
        out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(())
}

fn unsnappy(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let Some(mut rest) = packed.strip_prefix(&XERIAL_MAGIC).and_then(|r| r.get(8..)) else {
        unsnappy_block(packed, &mut out)?;
        return Ok(out);
    };
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or(io::ErrorKind::UnexpectedEof)?;
        let length = u32::from_be_bytes(*length) as usize;
        let block = tail.get(..length).ok_or(io::ErrorKind::UnexpectedEof)?;
        unsnappy_block(block, &mut out)?;
        rest = &tail[length..];
    }
    Ok(out)
}

/// A snappy element of 3 bytes makes at most 64, so a claimed size beyond that ratio is refused unallocated.
fn unsnappy_block(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let claimed = snap::raw::decompress_len(block).map_err(io::Error::other)?;
    if claimed > block.len().saturating_mul(64) || (out.len() + claimed) as u64 > UNPACKED_BYTES_MAX {
        return Err(io::Error::other("snappy block claims an impossible size"));
    }
    out.extend_from_slice(&snap::raw::Decoder::new().decompress_vec(block).map_err(io::Error::other)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_took() {
        let raw: Vec<u8> = (0..200_000u32).map(|i| (i / 7) as u8).collect();
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let mut packed = Vec::new();
            codec.compress(&raw, &mut packed).unwrap();
            assert_eq!(codec.decompress(&packed).unwrap(), raw, "{codec:?}");
            assert_eq!(Codec::from_attributes(codec.bits()), Some(codec));
        }
    }

    #[test]
    fn a_snappy_block_cannot_claim_gigabytes() {
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x07, 0, 0];
        assert!(Codec::Snappy.decompress(&bomb).is_err());
    }
}
