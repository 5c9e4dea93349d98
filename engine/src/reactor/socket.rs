//! Connected sockets: receive, send everything, hand over to another shard.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};

use super::file::count;
use super::op::unexpected;
use super::turn::Io;
use crate::io::{Buffer, ListenerId, Op, Outcome, SocketId};

/// A connection of this shard; dropping it closes it.
pub struct Socket {
    io: Io,
    id: Option<SocketId>,
}

impl Io {
    /// Waits for a connection.
    ///
    /// # Errors
    /// As accept(2).
    pub async fn accept(&self, listener: ListenerId) -> io::Result<(Socket, SocketAddr)> {
        match self.submit(Op::Accept { listener }).await.result? {
            Outcome::Accepted(id, peer) => Ok((self.adopt(id), peer)),
            other => Err(unexpected(other)),
        }
    }

    /// Takes over a connection that another shard gave up with [`Socket::into_id`].
    pub fn adopt(&self, id: SocketId) -> Socket {
        Socket { io: self.clone(), id: Some(id) }
    }
}

impl Socket {
    fn id(&self) -> SocketId {
        match self.id {
            Some(id) => id,
            None => unreachable!("given up only by functions that take self"),
        }
    }

    /// Appends up to `max` (at least 1) bytes to `buf`, within its spare capacity, which the caller reserved.
    /// `Ok(0)`: the peer has closed. The buffer comes back, except if the future is dropped before; then bytes that
    /// arrived meanwhile are lost, so drop it only to give the connection up.
    pub async fn recv(&self, buf: BytesMut, max: usize) -> (io::Result<usize>, BytesMut) {
        assert!(max > 0 && buf.capacity() > buf.len(), "receive into no space");
        let completion = self.io.submit(Op::Recv { socket: self.id(), buf, max }).await;
        let Buffer::Stream(buf) = completion.buffer else {
            panic!("the driver kept the buffer of a receive")
        };
        (count(completion.result), buf)
    }

    /// Sends all of `data`, in order. `more`: more follows at once, so that the kernel may hold back a short packet.
    ///
    /// # Errors
    /// As send(2); the connection is of no use afterwards.
    pub async fn send_all(&self, data: Vec<Bytes>, more: bool) -> io::Result<()> {
        self.send_counting(data, more, |_| ()).await
    }

    /// As [`send_all`](Self::send_all); `sent_bytes` is told the bytes of each step. Memory is given back as they go.
    ///
    /// # Errors
    /// As send(2); the connection is of no use afterwards.
    pub async fn send_counting(
        &self,
        mut data: Vec<Bytes>,
        more: bool,
        mut sent_bytes: impl FnMut(usize),
    ) -> io::Result<()> {
        let mut rest: usize = data.iter().map(Bytes::len).sum();
        while rest > 0 {
            let unsent = data.clone();
            let sent = count(self.io.submit(Op::Send { socket: self.id(), data, more }).await.result)?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            sent_bytes(sent);
            rest = rest.saturating_sub(sent);
            data = skip(unsent, sent);
        }
        Ok(())
    }

    /// Closes the connection; receives and sends in flight end.
    pub fn close(self) {
        drop(self);
    }

    /// Gives the connection up without closing it, for another shard to [`Io::adopt`]. No operation may be in flight.
    pub fn into_id(mut self) -> SocketId {
        let id = self.id();
        self.id = None;
        id
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(socket) = self.id {
            self.io.submit_detached(Op::CloseSocket { socket });
        }
    }
}

/// What is left of `data` after its first `bytes`.
fn skip(mut data: Vec<Bytes>, mut bytes: usize) -> Vec<Bytes> {
    let whole = data.iter().take_while(|part| {
        let passed = part.len() <= bytes;
        if passed {
            bytes -= part.len();
        }
        passed
    });
    let whole = whole.count();
    data.drain(..whole);
    if let Some(first) = data.first_mut() {
        first.advance(bytes);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_skipped_over_buffer_edges() {
        let parts = || vec![Bytes::from("ab"), Bytes::new(), Bytes::from("cde"), Bytes::from("f")];
        for sent in 0..=6 {
            let left: Vec<u8> = skip(parts(), sent).concat();
            assert_eq!(left, b"abcdef"[sent..]);
        }
    }
}
