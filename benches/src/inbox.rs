//! A connection's receive buffer: bytes come in at its end, frames are taken off its front.

use std::io;

use crate::wire;

const FIRST_BYTES: usize = 64 << 10;

/// See the module. Grows with the bytes that have come, never by what a size field claims.
#[derive(Debug)]
pub struct Inbox {
    /// Initialised over its whole length.
    pub bytes: Vec<u8>,
    /// Bytes at the front that were received.
    pub filled: usize,
}

impl Default for Inbox {
    fn default() -> Inbox {
        Inbox { bytes: vec![0; FIRST_BYTES], filled: 0 }
    }
}

impl Inbox {
    /// Where the first frame ends, if it is there as a whole.
    ///
    /// # Errors
    /// As [`wire::frame_end`].
    pub fn whole_frame(&self) -> io::Result<Option<usize>> {
        Ok(wire::frame_end(&self.bytes[..self.filled])?.filter(|end| *end <= self.filled))
    }

    /// Drops the first `bytes`.
    pub fn consume(&mut self, bytes: usize) {
        self.bytes.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }

    /// Makes room behind `filled`, and returns how many bytes the first frame lacks (0: its size is not known yet).
    ///
    /// # Errors
    /// As [`wire::frame_end`].
    pub fn make_room(&mut self) -> io::Result<usize> {
        let end = wire::frame_end(&self.bytes[..self.filled])?.unwrap_or(0);
        if self.filled == self.bytes.len() {
            self.bytes.resize(2 * self.bytes.len(), 0);
        }
        Ok(end.saturating_sub(self.filled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_off_in_order_whatever_arrives_together() {
        let mut inbox = Inbox::default();
        let stream = [&[0, 0, 0, 2, 7, 7][..], &[0, 0, 0, 1, 9], &[0, 0]].concat();
        inbox.bytes[..stream.len()].copy_from_slice(&stream);
        inbox.filled = stream.len();
        assert_eq!(inbox.whole_frame().unwrap(), Some(6));
        inbox.consume(6);
        assert_eq!(inbox.whole_frame().unwrap(), Some(5));
        inbox.consume(5);
        assert_eq!((inbox.whole_frame().unwrap(), inbox.filled), (None, 2));
    }

    #[test]
    fn memory_follows_the_bytes_and_not_the_claim() {
        let mut inbox = Inbox::default();
        inbox.bytes[..4].copy_from_slice(&(2_u32 << 20).to_be_bytes());
        inbox.filled = 4;
        assert_eq!(inbox.make_room().unwrap(), 2 << 20);
        assert_eq!(inbox.bytes.len(), FIRST_BYTES);
        inbox.filled = FIRST_BYTES;
        inbox.make_room().unwrap();
        assert_eq!(inbox.bytes.len(), 2 * FIRST_BYTES);
    }
}
