//! A byte stream, cut as the network pleases: the same frames come out however it is cut, and headers never panic.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use thalweg_protocol::frame::{FrameError, FrameSplitter, RequestHeader, RequestPeek, Split};

const REQUEST_BYTES_MAX: usize = 4096;

/// Frames of a stream that arrives in chunks of `step` bytes, and the error that ended it.
fn frames(stream: &[u8], step: usize) -> (Vec<Bytes>, Option<FrameError>) {
    let splitter = FrameSplitter::new(REQUEST_BYTES_MAX);
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for chunk in stream.chunks(step) {
        buffer.extend_from_slice(chunk);
        loop {
            let before = buffer.len();
            match splitter.split(&mut buffer) {
                Ok(Split::Frame(frame)) => frames.push(frame),
                Ok(Split::Needs(bytes)) => {
                    assert!(bytes > before && bytes <= REQUEST_BYTES_MAX + 4);
                    break;
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, stream)) = data.split_first() else { return };
    let at_once = frames(stream, stream.len().max(1));
    assert_eq!(at_once, frames(stream, usize::from(step).max(1)));
    for frame in at_once.0.iter().map(|frame| &frame[..]).chain([stream]) {
        let Ok(header) = RequestHeader::parse(frame) else { continue };
        let peek = RequestPeek::parse(frame).expect("a whole header begins with its fixed part");
        assert_eq!((peek.api_key, peek.api_version), (header.api_key, header.api_version));
        assert!(header.body_at <= frame.len());
        for cut in 0..header.body_at {
            assert!(RequestHeader::parse(&frame[..cut]).is_err());
        }
    }
});
