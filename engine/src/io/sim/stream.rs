//! Socket operations: waiting for a peer, and what happens when it moves.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use nix::errno::Errno;

use super::clock::Event;
use super::fault::OpKind;
use super::network::{Connection, Listener, Pipe};
use super::submit::InFlight;
use super::world::World;
use crate::io::{ListenOptions, ListenerId, Op, Outcome, SocketId};

/// Bytes towards a client that has not taken them, when the listener does not say.
const TO_CLIENT_BYTES_MAX: usize = 256 * 1024;
const BACKLOG_MAX: usize = 128;

impl World {
    pub(super) fn descriptor_opened(&mut self, process: u32) -> io::Result<()> {
        let open = self.descriptors.entry(process).or_default();
        if *open >= self.options.open_files_max {
            return Err(Errno::EMFILE.into());
        }
        *open += 1;
        Ok(())
    }

    pub(super) fn descriptor_closed(&mut self, process: u32) {
        if let Some(open) = self.descriptors.get_mut(&process) {
            *open -= 1;
        }
    }

    pub(super) fn listen(
        &mut self,
        driver: usize,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<(ListenerId, SocketAddr)> {
        let address = self.network.bind(address)?;
        self.descriptor_opened(self.drivers[driver].process)?;
        let id = self.fresh_id();
        let backlog_max = usize::try_from(options.backlog).ok().filter(|max| *max > 0).unwrap_or(BACKLOG_MAX);
        let listener = Listener {
            driver,
            address,
            backlog: VecDeque::new(),
            backlog_max,
            accepts: VecDeque::new(),
            to_client_bytes_max: options.send_buffer_bytes.unwrap_or(TO_CLIENT_BYTES_MAX).max(1),
        };
        self.network.listeners.insert(id, listener);
        self.note(format_args!("d{driver} listens on {address} as {id}"));
        Ok((ListenerId(id), address))
    }

    /// Closes a listener. Connections that nobody accepted are reset.
    pub(super) fn close_listener(&mut self, id: i32) {
        let Some(listener) = self.network.listeners.remove(&id) else { return };
        self.descriptor_closed(self.drivers[listener.driver].process);
        for connection in listener.backlog {
            self.reset_connection(connection);
        }
        for key in listener.accepts {
            if let Some(flight) = self.in_flight.get_mut(&key).filter(|flight| flight.verdict.is_none()) {
                flight.verdict = Some(Errno::ECANCELED);
                self.clock.schedule(Duration::ZERO, Event::Complete(key), &mut self.prng);
            }
        }
    }

    /// A client connects; returns the connection's number.
    pub(super) fn connect(&mut self, address: SocketAddr) -> io::Result<i32> {
        let Some(listener) = self.network.listener_at(address).filter(|_| !self.dead) else {
            return Err(Errno::ECONNREFUSED.into());
        };
        let id = self.fresh_id();
        let Some(there) = self.network.listeners.get_mut(&listener) else { unreachable!("found above") };
        if there.backlog.len() >= there.backlog_max {
            return Err(Errno::ECONNREFUSED.into());
        }
        there.backlog.push_back(id);
        let connection = Connection {
            client: SocketAddr::new(address.ip(), 50_000u16.wrapping_add(id as u16)),
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            to_client_bytes_max: there.to_client_bytes_max,
            reset: false,
            server_closed: false,
            client_closed: false,
            client_gone: false,
            recv: None,
            send: None,
            process: self.drivers[there.driver].process,
        };
        self.network.connections.insert(id, connection);
        self.note(format_args!("client {id} connects to {address}"));
        self.look_soon(listener);
        Ok(id)
    }

    /// Looks at a connection or listener after one network delay; returns when.
    pub(super) fn look_soon(&mut self, id: i32) -> crate::io::Monotonic {
        let delay = self.delay_of(OpKind::Recv);
        self.clock.schedule(delay, Event::Socket(id), &mut self.prng);
        self.clock.now().after(delay)
    }

    fn look_at(&mut self, id: i32, when: crate::io::Monotonic) {
        let delay = when.since(self.clock.now());
        self.clock.schedule(delay, Event::Socket(id), &mut self.prng);
    }

    pub(super) fn reset_connection(&mut self, id: i32) {
        if let Some(connection) = self.network.connections.get_mut(&id) {
            connection.reset = true;
            self.look_soon(id);
        }
    }

    /// A client sends bytes, if it still can.
    pub(super) fn client_sends(&mut self, id: i32, data: Bytes) -> bool {
        let arrival = self.clock.now().after(self.delay_of(OpKind::Send));
        let Some(connection) = self.network.connections.get_mut(&id).filter(|there| there.client_may_send())
        else {
            return false;
        };
        let arrival = connection.to_server.push(arrival, data);
        self.look_at(id, arrival);
        true
    }

    /// A client ends its direction; `both`: it will not read either.
    pub(super) fn client_ends(&mut self, id: i32, both: bool) {
        let arrival = self.clock.now().after(self.delay_of(OpKind::Send));
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        connection.client_closed |= both;
        let arrival = connection.to_server.end(arrival);
        self.look_at(id, arrival);
    }

    /// The test drops its end.
    pub(super) fn client_goes(&mut self, id: i32) {
        if let Some(connection) = self.network.connections.get_mut(&id) {
            connection.client_gone = true;
        }
        self.client_ends(id, true);
    }

    /// Registers an operation that waits for a peer; returns where to look.
    pub(super) fn enqueue_stream_op(&mut self, key: u64, op: &Op) -> Option<Event> {
        match op {
            Op::Accept { listener } => {
                self.network.listeners.get_mut(&listener.0)?.accepts.push_back(key);
                Some(Event::Socket(listener.0))
            }
            Op::Recv { socket, .. } => {
                self.network.connections.get_mut(&socket.0)?.recv = Some(key);
                Some(Event::Socket(socket.0))
            }
            Op::Send { socket, .. } => {
                self.network.connections.get_mut(&socket.0)?.send = Some(key);
                Some(Event::Socket(socket.0))
            }
            Op::CloseSocket { socket } => {
                self.close_socket(*socket);
                None
            }
            _ => None,
        }
    }

    pub(super) fn dequeue_stream_op(&mut self, key: u64, op: &Op) {
        match op {
            Op::Accept { listener } => {
                if let Some(listener) = self.network.listeners.get_mut(&listener.0) {
                    listener.accepts.retain(|waiting| *waiting != key);
                }
            }
            Op::Recv { socket, .. } | Op::Send { socket, .. } => {
                if let Some(connection) = self.network.connections.get_mut(&socket.0) {
                    connection.recv.take_if(|waiting| *waiting == key);
                    connection.send.take_if(|waiting| *waiting == key);
                }
            }
            _ => (),
        }
    }

    fn close_socket(&mut self, socket: SocketId) {
        let arrival = self.clock.now().after(self.delay_of(OpKind::Send));
        let Some(connection) = self.network.connections.get_mut(&socket.0) else { return };
        connection.server_closed = true;
        connection.to_client.end(arrival);
        let process = connection.process;
        self.descriptor_closed(process);
        self.look_at(socket.0, arrival);
    }

    /// Ends the waiting operations of a connection or listener that can end now.
    pub(super) fn serve(&mut self, id: i32) {
        if self.network.listeners.contains_key(&id) {
            self.serve_accepts(id);
        }
        let Some(connection) = self.network.connections.get(&id) else { return };
        let (recv, send) = (connection.recv, connection.send);
        if let Some(key) = recv.filter(|key| self.may_look(*key)) {
            self.serve_recv(id, key);
        }
        if let Some(key) = send.filter(|key| self.may_look(*key)) {
            self.serve_send(id, key);
        }
        if self.network.connections.get(&id).is_some_and(Connection::is_over) {
            self.network.connections.remove(&id);
        }
    }

    fn may_look(&self, key: u64) -> bool {
        let due = |flight: &InFlight| flight.verdict.is_none() && flight.not_before <= self.clock.now();
        self.in_flight.get(&key).is_some_and(due)
    }

    fn serve_accepts(&mut self, id: i32) {
        while let Some(listener) = self.network.listeners.get(&id) {
            let (Some(&key), Some(&connection)) = (listener.accepts.front(), listener.backlog.front()) else {
                return;
            };
            if !self.may_look(key) {
                return;
            }
            let result = self.accept(id, connection);
            let Some(flight) = self.in_flight.remove(&key) else { return };
            self.dequeue_stream_op(key, &flight.op);
            self.finish(flight, result);
        }
    }

    fn accept(&mut self, listener: i32, id: i32) -> io::Result<Outcome> {
        let connection = &self.network.connections[&id];
        let (process, client) = (connection.process, connection.client);
        self.descriptor_opened(process)?;
        if let Some(listener) = self.network.listeners.get_mut(&listener) {
            listener.backlog.pop_front();
        }
        Ok(Outcome::Accepted(SocketId(id), client))
    }

    /// Whether this operation is hit by a random drop of its connection.
    fn drops(&mut self, id: i32) {
        if self.prng.chance(self.options.connection_drop) {
            self.note(format_args!("connection {id} drops"));
            self.reset_connection(id);
        }
    }

    fn shortened_stream(&mut self, len: usize) -> usize {
        if len > 1 && self.prng.chance(self.options.short_socket_io) {
            return self.prng.between(1, len as u64 - 1) as usize;
        }
        len
    }

    fn serve_recv(&mut self, id: i32, key: u64) {
        let now = self.clock.now();
        if self.network.connections[&id].recv_ready(now).is_none() {
            return;
        }
        self.drops(id);
        let Some(mut flight) = self.in_flight.remove(&key) else { return };
        self.dequeue_stream_op(key, &flight.op);
        let Op::Recv { buf, max, .. } = &mut flight.op else { unreachable!("queued as a receive") };
        let room = (buf.capacity() - buf.len()).min(*max);
        let wanted = self.shortened_stream(room);
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let result = match connection.recv_ready(now) {
            Some(Err(error)) => Err(error),
            _ if room == 0 => Err(Errno::EINVAL.into()),
            _ => {
                let count = connection.to_server.take(now, wanted, |bytes| buf.extend_from_slice(bytes));
                Ok(Outcome::Count(count))
            }
        };
        self.finish(flight, result);
    }

    fn serve_send(&mut self, id: i32, key: u64) {
        if self.network.connections[&id].send_ready().is_none() {
            return;
        }
        self.drops(id);
        let Some(flight) = self.in_flight.remove(&key) else { return };
        self.dequeue_stream_op(key, &flight.op);
        let Op::Send { data, .. } = &flight.op else { unreachable!("queued as a send") };
        let total: usize = data.iter().map(Bytes::len).sum();
        let wanted = self.shortened_stream(total.min(self.network.connections[&id].send_room()));
        let mut arrival = self.clock.now().after(self.delay_of(OpKind::Send));
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let result = match connection.send_ready() {
            Some(Err(error)) => Err(error),
            _ => {
                let mut left = wanted;
                for part in data {
                    let taken = part.len().min(left);
                    left -= taken;
                    if taken > 0 {
                        // A copy: the client must see what was sent now, and not hold the server's memory.
                        arrival = connection.to_client.push(arrival, Bytes::copy_from_slice(&part[..taken]));
                    }
                }
                Ok(Outcome::Count(wanted))
            }
        };
        self.look_at(id, arrival);
        self.finish(flight, result);
    }
}
