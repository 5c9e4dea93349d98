//! The connections: at most one receive or send in flight each; what waits for a commit has neither.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd};

use slab::Slab;
use thalweg_benches::inbox::Inbox;

use crate::ring::Ring;

pub struct Connection {
    stream: TcpStream,
    pub inbox: Inbox,
    /// Replies, each appended when its batch went into a group; sent when none of them waits.
    pub replies: Vec<u8>,
    sent: usize,
    /// Batches of this connection that are not committed yet.
    pub uncommitted: usize,
    /// The frame at the front of the inbox has no room; it is tried again.
    pub is_parked: bool,
    /// It sent what has no answer; closed once none of its batches is in a group.
    pub is_broken: bool,
}

#[derive(Default)]
pub struct Connections {
    pub all: Slab<Connection>,
}

impl Connections {
    /// Takes over a socket that the kernel accepted.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub fn open(&mut self, ring: &mut Ring, socket: i32) -> io::Result<()> {
        // SAFETY: a descriptor that an accept just returned, known to nobody else.
        let stream = unsafe { TcpStream::from_raw_fd(socket) };
        stream.set_nodelay(true)?;
        let index = self.all.insert(Connection {
            stream,
            inbox: Inbox::default(),
            replies: Vec::new(),
            sent: 0,
            uncommitted: 0,
            is_parked: false,
            is_broken: false,
        });
        self.receive(ring, index)
    }

    /// Asks for more of the frame under way, or for the next.
    ///
    /// # Errors
    /// A frame that is too large; the connection must close.
    pub fn receive(&mut self, ring: &mut Ring, index: usize) -> io::Result<()> {
        let connection = &mut self.all[index];
        let lacks = connection.inbox.make_room()?;
        let filled = connection.inbox.filled;
        let room = &mut connection.inbox.bytes[filled..];
        // SAFETY: the inbox is on the heap, and nobody touches it while the receive is in flight: a connection has
        // one operation, and is only closed when that has finished.
        unsafe { ring.receive(connection.stream.as_raw_fd(), index, room, lacks) }
        Ok(())
    }

    /// Sends the replies from where the last send ended.
    pub fn send(&mut self, ring: &mut Ring, index: usize) {
        let connection = &self.all[index];
        // SAFETY: as in `receive`: the replies are on the heap, and untouched while the send is in flight.
        unsafe { ring.send(connection.stream.as_raw_fd(), index, &connection.replies[connection.sent..]) }
    }

    /// Notes what a send took; whether all is sent.
    pub fn sent(&mut self, index: usize, bytes: usize) -> bool {
        let connection = &mut self.all[index];
        connection.sent += bytes;
        let is_all = connection.sent >= connection.replies.len();
        if is_all {
            connection.replies.clear();
            connection.sent = 0;
        }
        is_all
    }

    /// Closes a connection that has no operation in flight and no batch in a group.
    pub fn close(&mut self, index: usize) {
        drop(self.all.remove(index));
    }
}
