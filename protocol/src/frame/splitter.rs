//! Cuts a byte stream into frames.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the size field.
pub const SIZE_BYTES: usize = 4;
/// Smallest request: key, version and correlation id (the header of ControlledShutdown v0).
pub const HEADER_BYTES_MIN: usize = 8;

/// Why a stream cannot be a Kafka client's. There is no way to find the next frame: the connection must close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Negative, or too small for a request header.
    #[error("request size {size} is impossible")]
    Size { size: i32 },
    /// Above `socket.request.max.bytes`.
    #[error("request size {size} is above socket.request.max.bytes={limit}")]
    TooLarge { size: i32, limit: usize },
}

/// What a stream's buffer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Split {
    /// A whole frame without its size field.
    Frame(Bytes),
    /// The buffer must grow to this many bytes before there is a frame, or before its size is known.
    Needs(usize),
}

/// Cuts a byte stream into frames, each of at most `request_bytes_max` bytes without its size field.
#[derive(Debug, Clone, Copy)]
pub struct FrameSplitter {
    request_bytes_max: usize,
}

impl FrameSplitter {
    /// `request_bytes_max`: `socket.request.max.bytes`.
    pub fn new(request_bytes_max: usize) -> FrameSplitter {
        FrameSplitter { request_bytes_max }
    }

    /// Size of the frame at the head of `buffer`, without the size field; `None` before four bytes are there.
    ///
    /// For callers that receive a large body straight into its destination.
    pub fn frame_bytes(&self, buffer: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(head) = buffer.first_chunk::<SIZE_BYTES>() else { return Ok(None) };
        let size = i32::from_be_bytes(*head);
        match usize::try_from(size) {
            Ok(bytes) if bytes > self.request_bytes_max => {
                Err(FrameError::TooLarge { size, limit: self.request_bytes_max })
            }
            Ok(bytes) if bytes >= HEADER_BYTES_MIN => Ok(Some(bytes)),
            _ => Err(FrameError::Size { size }),
        }
    }

    /// Takes the first frame off `buffer`, or says how many bytes the buffer needs. Neither copies nor reserves.
    pub fn split(&self, buffer: &mut BytesMut) -> Result<Split, FrameError> {
        let Some(bytes) = self.frame_bytes(buffer)? else { return Ok(Split::Needs(SIZE_BYTES)) };
        if buffer.len() < SIZE_BYTES + bytes {
            return Ok(Split::Needs(SIZE_BYTES + bytes));
        }
        buffer.advance(SIZE_BYTES);
        Ok(Split::Frame(buffer.split_to(bytes).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        let splitter = FrameSplitter::new(64);
        let bodies: [&[u8]; 3] = [&[1; 8], &[2; 64], &[3; 20]];
        let mut stream = BytesMut::new();
        for body in bodies {
            stream.put_i32(body.len() as i32);
            stream.put_slice(body);
        }
        for step in 1..stream.len() {
            let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
            for chunk in stream.chunks(step) {
                buffer.put_slice(chunk);
                while let Split::Frame(frame) = splitter.split(&mut buffer).unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, bodies, "in steps of {step}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_size_is_judged_before_its_bytes_arrive() {
        let splitter = FrameSplitter::new(100);
        let size = |size: i32| splitter.split(&mut BytesMut::from(&size.to_be_bytes()[..]));
        assert_eq!(size(i32::MAX), Err(FrameError::TooLarge { size: i32::MAX, limit: 100 }));
        assert_eq!(size(101), Err(FrameError::TooLarge { size: 101, limit: 100 }));
        assert_eq!(size(100), Ok(Split::Needs(104)));
        for bad in [-1, i32::MIN, 0, 7] {
            assert_eq!(size(bad), Err(FrameError::Size { size: bad }));
        }
        assert_eq!(splitter.split(&mut BytesMut::from(&[0, 0][..])), Ok(Split::Needs(4)));
    }
}
