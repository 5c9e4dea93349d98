//! Bytes received on a connection, and the frames cut from them.
//!
//! The buffer starts small and grows with the bytes that arrive for a request, never by the request's length field
//! alone; once a client has sent requests of some size, the next ones get that much at once. Frames are slices of the
//! receive buffer: nothing is copied when they are cut. While a receive is pending the buffer is lent to it; what is
//! lent counts as held and as received all the same. Does no I/O, and moves no more than a slice at a time: what a large
//! buffer holds is moved to a larger one by whoever borrows it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use thalweg_protocol::frame::{FrameError, FrameSplitter, HEADER_BYTES_MIN, SIZE_BYTES, Split};

use crate::bounds::{
    RECEIVE_BYTES_BETWEEN_MAX, RECEIVE_BYTES_MIN, RECEIVE_GROWTH, RECEIVE_MOVE_BYTES, WAITING_BYTES_MAX,
};

/// Complete requests that wait at most; a full receive buffer of the smallest ones may add to that.
const WAITING_FRAMES_MAX: usize = WAITING_BYTES_MAX / (SIZE_BYTES + HEADER_BYTES_MIN);

/// The receiving end of one connection.
pub struct Inbox {
    buffer: BytesMut,
    /// What a pending receive has of it.
    lent: Option<Lent>,
    /// Complete requests, oldest first.
    frames: VecDeque<Bytes>,
    frames_bytes: usize,
    /// The largest request seen: what this client has shown to fill.
    proven_bytes: usize,
    splitter: FrameSplitter,
}

/// A buffer to receive into.
pub struct Loan {
    /// What was received so far, and where it lies if it need not move.
    received: BytesMut,
    /// A larger buffer, not yet filled, that it has to move to first.
    larger: Option<BytesMut>,
}

impl Loan {
    /// Whether a slice has to be moved before the buffer can be received into.
    pub fn is_moving(&self) -> bool {
        self.larger.as_ref().is_some_and(|larger| larger.len() < self.received.len())
    }

    /// Moves at most [`RECEIVE_MOVE_BYTES`] to the larger buffer.
    pub fn move_slice(&mut self) {
        let Some(larger) = &mut self.larger else { return };
        let end = self.received.len().min(larger.len() + RECEIVE_MOVE_BYTES);
        larger.extend_from_slice(&self.received[larger.len()..end]);
    }

    /// The buffer, with everything that was received so far in it.
    pub fn into_buffer(mut self) -> BytesMut {
        while self.is_moving() {
            self.move_slice();
        }
        self.larger.unwrap_or(self.received)
    }

    fn capacity(&self) -> usize {
        self.received.capacity() + self.larger.as_ref().map_or(0, BytesMut::capacity)
    }
}

/// A buffer as it was lent, bytes.
#[derive(Debug, Clone, Copy)]
struct Lent {
    received: usize,
    capacity: usize,
}

impl Inbox {
    /// `frame_bytes_max`: `socket.request.max.bytes`.
    pub fn new(frame_bytes_max: usize) -> Inbox {
        Inbox {
            buffer: BytesMut::new(),
            lent: None,
            frames: VecDeque::new(),
            frames_bytes: 0,
            proven_bytes: RECEIVE_BYTES_MIN,
            splitter: FrameSplitter::new(frame_bytes_max),
        }
    }

    /// Gives the buffer away with room to receive into; it comes back through [`received`](Self::received). It grows by
    /// at most `growth_bytes_max`, or by as much as a small buffer has.
    pub fn lend(&mut self, growth_bytes_max: usize) -> Loan {
        let received = std::mem::take(&mut self.buffer);
        let room = self.room_for(&received).min(growth_bytes_max.max(RECEIVE_BYTES_MIN));
        let grows = received.capacity() - received.len() < room.div_ceil(4);
        // Not `reserve`, which may double what is there: a budget was asked for this much.
        let larger = grows.then(|| BytesMut::with_capacity(received.len() + room));
        let mut loan = Loan { received, larger };
        if grows && loan.received.len() <= RECEIVE_MOVE_BYTES {
            loan = Loan { received: loan.into_buffer(), larger: None };
        }
        self.lent = Some(Lent { received: loan.received.len(), capacity: loan.capacity() });
        loan
    }

    /// Bytes worth having room for behind what is in `buffer`.
    fn room_for(&self, buffer: &BytesMut) -> usize {
        let have = buffer.len();
        let Ok(Some(length)) = self.splitter.frame_bytes(buffer) else {
            return self.proven_bytes.min(RECEIVE_BYTES_BETWEEN_MAX);
        };
        let missing = (length + SIZE_BYTES).saturating_sub(have).max(1);
        let earned = self.proven_bytes.max(have.saturating_mul(RECEIVE_GROWTH));
        missing.min(earned)
    }

    /// Takes the buffer back, and cuts the frames that are complete now.
    ///
    /// # Errors
    /// If a size is impossible; the connection is of no use then.
    pub fn received(&mut self, buffer: BytesMut) -> Result<(), FrameError> {
        self.buffer = buffer;
        self.lent = None;
        while let Split::Frame(frame) = self.splitter.split(&mut self.buffer)? {
            self.proven_bytes = self.proven_bytes.max(frame.len() + SIZE_BYTES);
            self.frames_bytes += frame.len();
            self.frames.push_back(frame);
        }
        if self.buffer.is_empty() {
            // Whoever still holds a frame keeps the memory; the next receive starts with a small buffer.
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// Takes the buffer back unread: the connection has ended.
    pub fn drop_lent(&mut self, buffer: BytesMut) {
        drop(buffer);
        self.lent = None;
    }

    /// The oldest complete request.
    pub fn front(&self) -> Option<&Bytes> {
        self.frames.front()
    }

    /// Takes the oldest complete request.
    pub fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.frames_bytes -= frame.len();
        Some(frame)
    }

    /// Forgets the requests that wait and the part of one.
    pub fn discard(&mut self) {
        self.frames.clear();
        self.frames_bytes = 0;
        self.buffer = BytesMut::new();
    }

    /// Whether so much waits that the connection should not be read.
    pub fn is_full(&self) -> bool {
        self.frames_bytes >= WAITING_BYTES_MAX || self.frames.len() >= WAITING_FRAMES_MAX
    }

    /// Memory held: the buffer and the requests that wait, bytes. The buffer that waits for the first bytes of a request
    /// is not counted: it is small, and idle connections must not use up what requests may hold.
    pub fn held_bytes(&self) -> usize {
        let lent = self.lent.filter(|lent| lent.received > 0).map_or(0, |lent| lent.capacity);
        self.buffer.capacity() + lent + self.frames_bytes
    }

    /// Whether part of a request has been received.
    pub fn is_inside_frame(&self) -> bool {
        !self.buffer.is_empty() || self.lent.is_some_and(|lent| lent.received > 0)
    }

    /// Forgets what the client has proven, so that a quiet connection falls back to a small buffer.
    pub fn forget_proven(&mut self) {
        self.proven_bytes = RECEIVE_BYTES_MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = i32::try_from(length).unwrap().to_be_bytes().to_vec();
        bytes.extend((0..length).map(|index| (index % 251) as u8));
        bytes
    }

    /// Feeds `bytes` as a socket would: never more than the lent buffer has room for. Returns the largest buffer.
    fn feed(inbox: &mut Inbox, mut bytes: &[u8], step: usize) -> usize {
        let mut largest = 0;
        while !bytes.is_empty() {
            let mut buffer = inbox.lend(usize::MAX).into_buffer();
            let room = buffer.capacity() - buffer.len();
            assert!(room > 0);
            largest = largest.max(buffer.capacity());
            let (now, later) = bytes.split_at(bytes.len().min(room).min(step));
            buffer.extend_from_slice(now);
            inbox.received(buffer).unwrap();
            bytes = later;
        }
        largest
    }

    #[test]
    fn frames_come_out_whole_whatever_the_pieces() {
        let stream = [frame(8), frame(9), frame(5000), frame(30)].concat();
        for step in [1, 3, 4, 7, 100, 4096, 100_000] {
            let mut inbox = Inbox::new(1 << 20);
            feed(&mut inbox, &stream, step);
            for length in [8, 9, 5000, 30] {
                assert_eq!(inbox.pop().unwrap()[..], frame(length)[4..], "step {step}");
            }
            assert!(inbox.pop().is_none() && !inbox.is_inside_frame());
        }
    }

    #[test]
    fn a_claimed_length_does_not_size_the_buffer() {
        let mut inbox = Inbox::new(100 << 20);
        let claim = frame(90 << 20);
        assert!(feed(&mut inbox, &claim[..8], 8) <= 2 * RECEIVE_BYTES_BETWEEN_MAX);
        assert!(feed(&mut inbox, &claim[8..40_000], 1000) <= 40_000 * (RECEIVE_GROWTH + 1));
    }

    #[test]
    fn a_proven_size_is_received_without_growing_in_steps() {
        let mut inbox = Inbox::new(100 << 20);
        feed(&mut inbox, &frame(1 << 20), usize::MAX);
        inbox.pop().unwrap();
        let second = frame(1 << 20);
        feed(&mut inbox, &second[..100], usize::MAX);
        let buffer = inbox.lend(usize::MAX).into_buffer();
        assert!(buffer.capacity() >= (1 << 20));
        inbox.received(buffer).unwrap();
        inbox.forget_proven();
    }

    #[test]
    fn what_a_pending_receive_has_counts_as_held() {
        let mut inbox = Inbox::new(100 << 20);
        let idle = inbox.lend(usize::MAX).into_buffer();
        assert_eq!((inbox.held_bytes(), inbox.is_inside_frame()), (0, false));
        inbox.received(idle).unwrap();
        feed(&mut inbox, &frame(90 << 20)[..1 << 20], usize::MAX);
        let buffer = inbox.lend(usize::MAX).into_buffer();
        assert!(inbox.is_inside_frame());
        assert_eq!(inbox.held_bytes(), buffer.capacity());
        inbox.received(buffer).unwrap();
    }

    #[test]
    fn growth_is_exact_and_within_the_budget() {
        let mut inbox = Inbox::new(100 << 20);
        let whole = frame(3 << 20);
        feed(&mut inbox, &whole[..1 << 20], usize::MAX);
        let before = inbox.held_bytes();
        let tight = inbox.lend(100_000).into_buffer();
        assert!(tight.capacity() <= before.max((1 << 20) + 100_000));
        inbox.received(tight).unwrap();
        let largest = feed(&mut inbox, &whole[1 << 20..], usize::MAX);
        assert!(largest <= whole.len(), "{largest}");
    }

    #[test]
    fn a_large_buffer_moves_in_slices() {
        let mut inbox = Inbox::new(100 << 20);
        let whole = frame(3 << 20);
        let mut full = BytesMut::with_capacity(1 << 20);
        full.extend_from_slice(&whole[..1 << 20]);
        inbox.buffer = full;
        let mut loan = inbox.lend(usize::MAX);
        assert!(inbox.held_bytes() > 2 << 20, "both buffers count while they are there");
        let mut slices = 0;
        while loan.is_moving() {
            loan.move_slice();
            slices += 1;
        }
        assert_eq!(slices, (1 << 20) / RECEIVE_MOVE_BYTES);
        let buffer = loan.into_buffer();
        assert_eq!(buffer[..], whole[..1 << 20]);
        inbox.received(buffer).unwrap();
        feed(&mut inbox, &whole[1 << 20..], usize::MAX);
        assert_eq!(inbox.pop().unwrap()[..], whole[4..]);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let refused = |length: i32| {
            let mut inbox = Inbox::new(1000);
            let mut buffer = inbox.lend(usize::MAX).into_buffer();
            buffer.extend_from_slice(&length.to_be_bytes());
            inbox.received(buffer).unwrap_err()
        };
        assert_eq!(refused(-1), FrameError::Size { size: -1 });
        assert_eq!(refused(1001), FrameError::TooLarge { size: 1001, limit: 1000 });
    }
}
