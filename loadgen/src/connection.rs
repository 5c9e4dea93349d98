//! A broker connection on the worker's ring: whole requests out, whole response frames in.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::TcpStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_BYTES_FIRST: usize = 64 * 1024;
/// A response larger than this comes from no broker that was asked for what this program asks for.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// The sending side; clones share the socket.
#[derive(Clone)]
pub struct Connection {
    stream: Rc<TcpStream>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
        let stream = connect.await.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Self { stream: Rc::new(stream) })
    }

    /// Sends `range` of `buffer`; the buffer comes back whatever happened.
    pub async fn send(&self, buffer: Vec<u8>, range: Range<usize>) -> (io::Result<()>, Vec<u8>) {
        let (result, slice) = self.stream.write_all(buffer.slice(range)).await;
        (result, slice.into_inner())
    }

    /// Ends both directions, which also ends reads and writes that wait.
    pub fn close(&self) {
        // The peer may have closed first: there is nothing left to do about it then.
        let _already_closed = self.stream.shutdown(Shutdown::Both);
    }

    pub fn frames(&self) -> Frames {
        Frames { stream: self.stream.clone(), buffer: Vec::with_capacity(READ_BYTES_FIRST), start: 0 }
    }
}

/// Splits what arrives into frames. Memory grows with bytes that came, never with a claimed length.
pub struct Frames {
    stream: Rc<TcpStream>,
    buffer: Vec<u8>,
    start: usize,
}

impl Frames {
    /// The next frame without its length prefix; `None` when the peer closed between frames.
    pub async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            if let Some(range) = self.buffered()? {
                self.start = range.end;
                return Ok(Some(&self.buffer[range]));
            }
            if !self.read_more().await? {
                return match self.buffer.len() - self.start {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Whether a whole frame lies in memory, so that [`Frames::next`] will not wait.
    pub fn has_buffered(&self) -> bool {
        matches!(self.buffered(), Ok(Some(_)))
    }

    fn buffered(&self) -> io::Result<Option<Range<usize>>> {
        let Some(head) = self.buffer[self.start..].first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::other(format!("response claims {length} bytes")));
        }
        let range = self.start + 4..self.start + 4 + length;
        Ok((range.end <= self.buffer.len()).then_some(range))
    }

    async fn read_more(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            let length = self.buffer.len() - self.start;
            self.buffer.copy_within(self.start.., 0);
            self.buffer.truncate(length);
            self.start = 0;
        }
        let filled = self.buffer.len();
        if filled == self.buffer.capacity() {
            self.buffer.reserve(filled.max(READ_BYTES_FIRST));
        }
        let (result, slice) = self.stream.read(std::mem::take(&mut self.buffer).slice(filled..)).await;
        self.buffer = slice.into_inner();
        Ok(result? > 0)
    }
}
