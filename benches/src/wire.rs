//! The requests of `thalweg-loadgen run`, read by hand at the versions that it speaks, and their answers.
//!
//! A Produce costs a walk over its fixed fields and one copy of the topic's name. Anything else is asked a few times
//! per run. Written apart from `protocol`, because a floor shall not carry the cost of a general codec.

use std::io;

/// Bytes of a frame with its size field; a larger one closes the connection.
pub const FRAME_BYTES_MAX: usize = 3 << 20;
const SIZE_BYTES: usize = 4;

/// `(key, lowest, highest version)`; within a range, the fields that are read and written are the same.
const APIS: [(i16, i16, i16); 5] = [(0, 5, 7), (1, 11, 11), (2, 4, 4), (3, 7, 7), (18, 0, 0)];
const PRODUCE: i16 = 0;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;

/// Bytes of a batch before its records, and where in it the record count and the CRC stand.
const BATCH_HEAD: usize = 61;
const BATCH_CRC_AT: usize = 17;
const BATCH_COUNT_AT: usize = 57;

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Where the frame at the head of `bytes` ends, its size field included; `None` before its size is there.
///
/// # Errors
/// A size that is negative, or makes more than [`FRAME_BYTES_MAX`].
pub fn frame_end(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(size) = bytes.first_chunk::<SIZE_BYTES>() else { return Ok(None) };
    let size = u32::from_be_bytes(*size) as usize;
    if size > FRAME_BYTES_MAX - SIZE_BYTES {
        return Err(invalid(format!("a frame of {size} bytes, at most {FRAME_BYTES_MAX} are taken")));
    }
    Ok(Some(SIZE_BYTES + size))
}

/// A Produce of one batch to one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produce<'a> {
    pub correlation: i32,
    pub acks: i16,
    pub topic: &'a str,
    pub partition: i32,
    pub batch: &'a [u8],
    /// Records in the batch, as its header says.
    pub records: i32,
}

/// What a frame asks for.
#[derive(Debug)]
pub enum Request<'a> {
    Produce(Produce<'a>),
    Other(Other<'a>),
}

/// A request that is answered from memory.
#[derive(Debug)]
pub struct Other<'a> {
    key: i16,
    correlation: i32,
    body: Fields<'a>,
}

/// Reads a whole frame, size field included.
///
/// # Errors
/// Another API or version than the load generator's, or a frame that ends too early.
pub fn read(frame: &[u8]) -> io::Result<Request<'_>> {
    let mut fields = Fields(frame);
    fields.skip(SIZE_BYTES)?;
    let (key, version, correlation) = (fields.i16()?, fields.i16()?, fields.i32()?);
    if !APIS.iter().any(|(known, low, high)| *known == key && (*low..=*high).contains(&version)) {
        return Err(invalid(format!("API {key} version {version} is not served here")));
    }
    fields.string()?;
    if key == PRODUCE {
        return produce(correlation, fields).map(Request::Produce);
    }
    Ok(Request::Other(Other { key, correlation, body: fields }))
}

fn produce(correlation: i32, mut fields: Fields<'_>) -> io::Result<Produce<'_>> {
    fields.string()?;
    let acks = fields.i16()?;
    fields.i32()?;
    let topics = fields.i32()?;
    let topic = fields.string()?;
    let (partitions, partition) = (fields.i32()?, fields.i32()?);
    if (topics, partitions) != (1, 1) {
        return Err(invalid(format!(
            "{topics} topics with {partitions} partitions in a Produce, not 1 and 1"
        )));
    }
    let bytes = usize::try_from(fields.i32()?).unwrap_or(0);
    let batch = fields.take(bytes)?;
    let Some(head) = batch.first_chunk::<BATCH_HEAD>() else {
        return Err(invalid("a batch shorter than its header"));
    };
    let records = Fields(&head[BATCH_COUNT_AT..]).i32()?;
    Ok(Produce { correlation, acks, topic, partition, batch, records })
}

impl Produce<'_> {
    /// Whether the batch's CRC-32C is right.
    pub fn crc_ok(&self) -> bool {
        let stored = Fields(&self.batch[BATCH_CRC_AT..]).i32();
        stored.is_ok_and(|stored| stored as u32 == crc32c::crc32c(&self.batch[BATCH_CRC_AT + 4..]))
    }

    /// Appends the response frame to `out`; nothing with acks=0.
    pub fn acknowledge(&self, base_offset: i64, out: &mut Vec<u8>) {
        if self.acks == 0 {
            return;
        }
        let start = begin(out, self.correlation);
        put_i32(out, 1);
        put_string(out, self.topic);
        put_i32(out, 1);
        put_i32(out, self.partition);
        put_i16(out, 0);
        put_i64(out, base_offset);
        put_i64(out, -1);
        put_i64(out, 0);
        put_i32(out, 0);
        end(out, start);
    }
}

impl Other<'_> {
    /// Appends the response frame to `out`. `port`: where clients reach this server; `end_offset`: of every log.
    ///
    /// # Errors
    /// Fetch, which has no answer here, and a frame that ends too early.
    pub fn answer(&self, port: u16, end_offset: i64, out: &mut Vec<u8>) -> io::Result<()> {
        let start = begin(out, self.correlation);
        match self.key {
            API_VERSIONS => api_versions(out),
            METADATA => metadata(self.body, port, out)?,
            LIST_OFFSETS => list_offsets(self.body, end_offset, out)?,
            key => return Err(invalid(format!("API {key} has no answer here: nothing is read back"))),
        }
        end(out, start);
        Ok(())
    }
}

fn api_versions(out: &mut Vec<u8>) {
    put_i16(out, 0);
    put_i32(out, APIS.len() as i32);
    for (key, low, high) in APIS {
        put_i16(out, key);
        put_i16(out, low);
        put_i16(out, high);
    }
}

fn metadata(mut asked: Fields<'_>, port: u16, out: &mut Vec<u8>) -> io::Result<()> {
    put_i32(out, 0);
    put_i32(out, 1);
    put_i32(out, 0);
    put_string(out, "127.0.0.1");
    put_i32(out, port.into());
    put_i16(out, -1);
    put_i16(out, -1);
    put_i32(out, 0);
    let topics = asked.i32()?.max(0);
    put_i32(out, topics);
    for _ in 0..topics {
        put_i16(out, 0);
        put_string(out, asked.string()?);
        out.push(0);
        put_i32(out, 1);
        put_i16(out, 0);
        // Partition 0, leader 0, epoch 0, replicas and ISR of broker 0, nobody offline.
        [0, 0, 0, 1, 0, 1, 0, 0].into_iter().for_each(|field| put_i32(out, field));
    }
    Ok(())
}

fn list_offsets(mut asked: Fields<'_>, end_offset: i64, out: &mut Vec<u8>) -> io::Result<()> {
    asked.skip(4 + 1)?;
    put_i32(out, 0);
    let topics = asked.i32()?.max(0);
    put_i32(out, topics);
    for _ in 0..topics {
        put_string(out, asked.string()?);
        let partitions = asked.i32()?.max(0);
        put_i32(out, partitions);
        for _ in 0..partitions {
            let (index, _epoch, timestamp) = (asked.i32()?, asked.i32()?, asked.i64()?);
            put_i32(out, index);
            put_i16(out, 0);
            put_i64(out, -1);
            put_i64(out, if timestamp == -1 { end_offset } else { 0 });
            put_i32(out, 0);
        }
    }
    Ok(())
}

/// A checked cursor over received bytes.
#[derive(Debug, Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> io::Result<&'a [u8]> {
        let Some((head, rest)) = self.0.split_at_checked(bytes) else {
            return Err(invalid("a request that ends within a field"));
        };
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut field = [0; N];
        field.copy_from_slice(self.take(N)?);
        Ok(field)
    }

    fn skip(&mut self, bytes: usize) -> io::Result<()> {
        self.take(bytes).map(|_| ())
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> io::Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Null reads as empty.
    fn string(&mut self) -> io::Result<&'a str> {
        let bytes = usize::try_from(self.i16()?).unwrap_or(0);
        std::str::from_utf8(self.take(bytes)?).map_err(|error| invalid(error.to_string()))
    }
}

fn begin(out: &mut Vec<u8>, correlation: i32) -> usize {
    let start = out.len();
    put_i32(out, 0);
    put_i32(out, correlation);
    start
}

fn end(out: &mut [u8], start: usize) {
    let size = (out.len() - start - SIZE_BYTES) as u32;
    out[start..start + SIZE_BYTES].copy_from_slice(&size.to_be_bytes());
}

fn put_i16(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_i16(out, text.len() as i16);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};
    use thalweg_protocol::batch::BatchBuilder;
    use thalweg_protocol::produce::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
    use thalweg_protocol::{TopicRef, frame, produce};

    fn produce_frame(batch: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 4];
        put_i16(&mut frame, 0);
        put_i16(&mut frame, 7);
        put_i32(&mut frame, 77);
        put_string(&mut frame, "client");
        put_i16(&mut frame, -1);
        put_i16(&mut frame, -1);
        put_i32(&mut frame, 1000);
        put_i32(&mut frame, 1);
        put_string(&mut frame, "topic");
        put_i32(&mut frame, 1);
        put_i32(&mut frame, 0);
        put_i32(&mut frame, batch.len() as i32);
        frame.extend_from_slice(batch);
        end(&mut frame, 0);
        frame
    }

    fn batch() -> Vec<u8> {
        BatchBuilder::new().record(1, None, Some(b"one")).record(2, None, Some(b"two")).build()
    }

    #[test]
    fn a_produce_reads_and_is_answered_as_by_the_full_codec() {
        let (batch, mut out) = (batch(), Vec::new());
        let request = produce_frame(&batch);
        assert_eq!(frame_end(&request).unwrap(), Some(request.len()));
        let Request::Produce(ours) = read(&request).unwrap() else { panic!("not a Produce") };
        let body = Bytes::copy_from_slice(&request[4..]);
        let header = frame::RequestHeader::parse(&body).unwrap();
        let theirs = produce::ProduceRequest::decode(body.clone(), header.body_at, 7).unwrap();
        let partition = theirs.topics().next().unwrap().partitions().next().unwrap();
        assert_eq!(Some(ours.batch), partition.records.as_deref());
        assert_eq!((ours.records, ours.acks, ours.topic), (2, theirs.acks(), "topic"));
        assert!(ours.crc_ok());

        ours.acknowledge(41, &mut out);
        let partitions = vec![PartitionProduceResponse::appended(0, 41, 0)];
        let topics = vec![TopicProduceResponse { topic: TopicRef::Name("topic"), partitions }];
        let mut full = BytesMut::new();
        ProduceResponse { topics, ..Default::default() }.encode(77, 7, &mut full).unwrap();
        assert_eq!(out, full);
    }

    #[test]
    fn a_damaged_batch_has_a_wrong_crc() {
        let mut request = produce_frame(&batch());
        *request.last_mut().unwrap() ^= 1;
        let Request::Produce(produce) = read(&request).unwrap() else { panic!("not a Produce") };
        assert!(!produce.crc_ok());
    }

    #[test]
    fn no_cut_or_lying_frame_is_taken() {
        let request = produce_frame(&batch());
        for cut in 4..request.len() {
            assert!(read(&request[..cut]).is_err(), "cut at {cut}");
        }
        assert!(frame_end(&u32::MAX.to_be_bytes()).is_err());
        assert!(frame_end(&[0, 0]).unwrap().is_none());
    }

    #[test]
    fn acks_0_is_not_answered() {
        let mut request = produce_frame(&batch());
        let acks_at = 4 + 8 + 2 + "client".len() + 2;
        request[acks_at..acks_at + 2].copy_from_slice(&[0, 0]);
        let Request::Produce(produce) = read(&request).unwrap() else { panic!("not a Produce") };
        let mut out = Vec::new();
        produce.acknowledge(0, &mut out);
        assert!(out.is_empty());
    }
}
