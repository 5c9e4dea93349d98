//! In-memory streams between test clients and the shards' listeners.
//!
//! Bytes travel in segments that arrive after a random delay, in order within a direction. A connection holds a
//! bounded number of unread bytes towards the client, so a client that does not read blocks the server's sends.
//! The world calls in with the time; nothing here schedules or draws random numbers.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use nix::errno::Errno;

use crate::io::Monotonic;

/// One direction of a stream.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    segments: VecDeque<(Monotonic, Bytes)>,
    bytes: usize,
    /// When the reader sees the end of the stream.
    ends_at: Option<Monotonic>,
    last_arrival: Monotonic,
}

impl Pipe {
    /// Sends bytes that arrive at `arrival`, or right after what was sent before; returns when.
    pub(super) fn push(&mut self, arrival: Monotonic, data: Bytes) -> Monotonic {
        self.last_arrival = self.last_arrival.max(arrival);
        self.bytes += data.len();
        self.segments.push_back((self.last_arrival, data));
        self.last_arrival
    }

    /// Ends the stream behind what was sent; returns when the reader learns it.
    pub(super) fn end(&mut self, arrival: Monotonic) -> Monotonic {
        self.last_arrival = self.last_arrival.max(arrival);
        *self.ends_at.get_or_insert(self.last_arrival)
    }

    /// Bytes sent and not yet taken, arrived or not.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_ended(&self) -> bool {
        self.ends_at.is_some()
    }

    /// Takes up to `max` bytes that have arrived, through `sink`; returns how many.
    pub(super) fn take(&mut self, now: Monotonic, max: usize, mut sink: impl FnMut(&[u8])) -> usize {
        let mut taken = 0;
        while let Some((arrival, segment)) = self.segments.front_mut() {
            if *arrival > now || taken == max {
                break;
            }
            let part = segment.len().min(max - taken);
            sink(&segment[..part]);
            segment.advance(part);
            taken += part;
            if segment.is_empty() {
                self.segments.pop_front();
            }
        }
        self.bytes -= taken;
        taken
    }

    /// Whether the reader has something to see: bytes or the end.
    pub(super) fn is_readable(&self, now: Monotonic) -> bool {
        let arrived = self.segments.front().is_some_and(|segment| segment.0 <= now);
        arrived || self.at_end(now)
    }

    /// Whether the reader has taken everything and sees the end.
    pub(super) fn at_end(&self, now: Monotonic) -> bool {
        self.segments.is_empty() && self.ends_at.is_some_and(|at| at <= now)
    }
}

/// A stream between one test client and the server.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: SocketAddr,
    pub(super) to_server: Pipe,
    pub(super) to_client: Pipe,
    /// Most bytes towards the client that it has not taken yet.
    pub(super) to_client_bytes_max: usize,
    /// Torn down without regard for bytes under way.
    pub(super) reset: bool,
    /// The server closed its descriptor.
    pub(super) server_closed: bool,
    /// The client closed, so nobody takes what the server sends.
    pub(super) client_closed: bool,
    /// The test has dropped its end and will not ask again.
    pub(super) client_gone: bool,
    /// Keys of the waiting operations.
    pub(super) recv: Option<u64>,
    pub(super) send: Option<u64>,
    /// The process whose descriptor it is.
    pub(super) process: u32,
}

impl Connection {
    pub(super) fn send_room(&self) -> usize {
        self.to_client_bytes_max.saturating_sub(self.to_client.bytes())
    }

    /// What a receive would return right now: an error, the end, or a reason to try; None while it must wait.
    pub(super) fn recv_ready(&self, now: Monotonic) -> Option<io::Result<()>> {
        match () {
            () if self.reset => Some(Err(Errno::ECONNRESET.into())),
            () if self.server_closed => Some(Err(Errno::ECANCELED.into())),
            () => self.to_server.is_readable(now).then_some(Ok(())),
        }
    }

    /// As [`Connection::recv_ready`] for a send.
    pub(super) fn send_ready(&self) -> Option<io::Result<()>> {
        match () {
            () if self.reset => Some(Err(Errno::ECONNRESET.into())),
            () if self.server_closed => Some(Err(Errno::ECANCELED.into())),
            () if self.client_closed => Some(Err(Errno::EPIPE.into())),
            () => (self.send_room() > 0).then_some(Ok(())),
        }
    }

    /// Whether nobody can ask for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.server_closed && self.client_gone && self.recv.is_none() && self.send.is_none()
    }

    /// Whether the client can still send.
    pub(super) fn client_may_send(&self) -> bool {
        !self.reset && !self.server_closed && !self.to_server.is_ended()
    }
}

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) driver: usize,
    pub(super) address: SocketAddr,
    pub(super) backlog: VecDeque<i32>,
    pub(super) backlog_max: usize,
    pub(super) accepts: VecDeque<u64>,
    pub(super) to_client_bytes_max: usize,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) listeners: BTreeMap<i32, Listener>,
    pub(super) connections: BTreeMap<i32, Connection>,
    next_port: u16,
}

impl Network {
    /// Finds the address to bind: a given port must be free, port 0 gets the next free one.
    pub(super) fn bind(&mut self, mut address: SocketAddr) -> io::Result<SocketAddr> {
        if address.port() == 0 {
            self.next_port = self.next_port.max(39_999) + 1;
            address.set_port(self.next_port);
        }
        let clash = |listener: &Listener| {
            let same_host = listener.address.ip() == address.ip()
                || listener.address.ip().is_unspecified()
                || address.ip().is_unspecified();
            listener.address.port() == address.port() && same_host
        };
        if self.listeners.values().any(clash) {
            return Err(Errno::EADDRINUSE.into());
        }
        Ok(address)
    }

    /// The listener that a client reaches at this address.
    pub(super) fn listener_at(&self, address: SocketAddr) -> Option<i32> {
        let reaches = |listener: &Listener| {
            let ip = listener.address.ip();
            listener.address.port() == address.port() && (ip == address.ip() || ip.is_unspecified())
        };
        self.listeners.iter().find(|(_, listener)| reaches(listener)).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_keeps_order_counts_bytes_and_ends_last() {
        let mut pipe = Pipe::default();
        let first = pipe.push(Monotonic(10), Bytes::from_static(b"abc"));
        assert_eq!(pipe.push(Monotonic(5), Bytes::from_static(b"def")), first);
        pipe.end(Monotonic(0));
        let mut got = Vec::new();
        assert_eq!(pipe.take(Monotonic(9), 9, |bytes| got.extend_from_slice(bytes)), 0);
        assert!(!pipe.is_readable(Monotonic(9)) && pipe.is_readable(Monotonic(10)));
        assert_eq!(pipe.take(Monotonic(10), 4, |bytes| got.extend_from_slice(bytes)), 4);
        assert_eq!((&got[..], pipe.bytes(), pipe.at_end(Monotonic(10))), (&b"abcd"[..], 2, false));
        pipe.take(Monotonic(10), 4, |bytes| got.extend_from_slice(bytes));
        assert!(got == b"abcdef" && pipe.at_end(Monotonic(10)));
    }

    #[test]
    fn a_port_is_bound_once_and_port_zero_gets_its_own() {
        let mut network = Network::default();
        let any: SocketAddr = "0.0.0.0:9092".parse().unwrap();
        let listener = Listener {
            driver: 0,
            address: network.bind(any).unwrap(),
            backlog: VecDeque::new(),
            backlog_max: 1,
            accepts: VecDeque::new(),
            to_client_bytes_max: 1,
        };
        network.listeners.insert(3, listener);
        let local: SocketAddr = "127.0.0.1:9092".parse().unwrap();
        assert!(network.bind(local).is_err());
        assert_eq!(network.listener_at(local), Some(3));
        let zero: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert_ne!(network.bind(zero).unwrap().port(), network.bind(zero).unwrap().port());
    }
}
