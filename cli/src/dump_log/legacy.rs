//! Messages of formats 0 and 1, which brokers before Kafka 0.11 wrote.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | offset: of a compressed message that of the last one inside |
//! | 4 | size of what follows |
//! | 4 | CRC-32 of what follows |
//! | 1 | magic |
//! | 1 | attributes: codec in bits 0 to 2, log append time in bit 3 |
//! | 8 | timestamp, format 1 only |
//! | 4 + n | key, -1 for none |
//! | 4 + n | value, -1 for none; of a compressed message the messages inside |

use flate2::Crc;
use thalweg_protocol::batch::Codec;
use thalweg_protocol::wire::Reader;

use super::batch::codec_name;
use super::unpack::unpack;
use super::{DumpError, corrupt};

const CRC_AT: usize = 12;
const MAGIC_AT: usize = 16;

/// One message, with the bytes that it was read from.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    pub offset: i64,
    pub magic: i8,
    attributes: i8,
    /// ms since the epoch, -1 in format 0.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// # Errors
    /// When the fields do not fit into the bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, DumpError> {
        let malformed =
            |error| corrupt(format!("org.apache.kafka.common.errors.CorruptRecordException: {error}"));
        let read = || {
            let mut reader = Reader::new(bytes, false);
            let (offset, _size, _crc) = (reader.i64()?, reader.i32()?, reader.u32()?);
            let (magic, attributes) = (reader.i8()?, reader.i8()?);
            let timestamp = if magic >= 1 { reader.i64()? } else { -1 };
            let (key, value) = (nullable(&mut reader)?, nullable(&mut reader)?);
            Ok(Message { offset, magic, attributes, timestamp, key, value, bytes })
        };
        read().map_err(|error: thalweg_protocol::wire::WireError| malformed(error))
    }

    pub fn crc(&self) -> u32 {
        let field = self.bytes.get(CRC_AT..MAGIC_AT).and_then(|field| field.try_into().ok());
        field.map_or(0, u32::from_be_bytes)
    }

    pub fn is_valid(&self) -> bool {
        let mut crc = Crc::new();
        crc.update(self.bytes.get(MAGIC_AT..).unwrap_or_default());
        crc.sum() == self.crc()
    }

    pub fn codec(&self) -> Option<Codec> {
        Codec::from_attributes(self.attributes.into())
    }

    pub fn timestamp_type(&self) -> &'static str {
        match (self.magic, self.attributes & 0x08) {
            (0, _) => "NoTimestampType",
            (_, 0) => "CreateTime",
            _ => "LogAppendTime",
        }
    }

    /// The line that Kafka's tool prints for it at `position`.
    pub fn describe(&self, position: u64) -> String {
        format!(
            "offset: {} position: {position} {}: {} size: {} magic: {} compresscodec: {} crc: {} isvalid: {}",
            self.offset,
            self.timestamp_type(),
            self.timestamp,
            self.bytes.len(),
            self.magic,
            codec_name(self.codec()),
            self.crc(),
            self.is_valid()
        )
    }

    /// The bytes of the messages inside, if it is compressed.
    ///
    /// # Errors
    /// When they do not unpack.
    pub fn unpacked(&self) -> Result<Option<Vec<u8>>, DumpError> {
        match self.codec() {
            Some(Codec::None) => Ok(None),
            Some(codec) => unpack(codec, self.value.unwrap_or_default()).map(Some),
            None => Err(corrupt(
                "org.apache.kafka.common.errors.CorruptRecordException: Unknown compression type id",
            )),
        }
    }

    /// The messages inside `unpacked`, with their offsets in the log: format 1 counts them from 0.
    ///
    /// # Errors
    /// When they are malformed.
    pub fn inside<'b>(&self, unpacked: &'b [u8]) -> Result<Vec<Message<'b>>, DumpError> {
        let mut messages = Vec::new();
        let mut rest = unpacked;
        while let Some(size) = rest.get(8..12) {
            let size = i32::from_be_bytes([size[0], size[1], size[2], size[3]]);
            let total = usize::try_from(size).ok().map(|size| size.saturating_add(12));
            let Some((message, behind)) = total.and_then(|total| rest.split_at_checked(total)) else { break };
            messages.push(Message::parse(message)?);
            rest = behind;
        }
        let last = messages.last().map_or(0, |message| message.offset);
        if self.magic >= 1 {
            for message in &mut messages {
                message.offset = self.offset.wrapping_sub(last).wrapping_add(message.offset);
            }
        }
        Ok(messages)
    }
}

/// 32-bit lengths, unlike the protocol's strings.
fn nullable<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, thalweg_protocol::wire::WireError> {
    reader.nullable_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offset: i64, codec: u8, value: &[u8]) -> Vec<u8> {
        let mut body = vec![1, codec];
        body.extend(77i64.to_be_bytes());
        body.extend((-1i32).to_be_bytes());
        body.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value);
        let mut crc = Crc::new();
        crc.update(&body);
        let mut bytes = offset.to_be_bytes().to_vec();
        bytes.extend(i32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(crc.sum().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn offsets_inside_count_back_from_the_last() {
        let inner = [message(0, 0, b"a"), message(1, 0, b"b")].concat();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut gzip, &inner).unwrap();
        let bytes = message(9, 1, &gzip.finish().unwrap());
        let outer = Message::parse(&bytes).unwrap();
        assert!(outer.is_valid());
        let unpacked = outer.unpacked().unwrap().unwrap();
        let offsets: Vec<i64> =
            outer.inside(&unpacked).unwrap().iter().map(|message| message.offset).collect();
        assert_eq!(offsets, [8, 9]);
        assert!(outer.describe(0).starts_with("offset: 9 position: 0 CreateTime: 77 size: "));
    }
}
