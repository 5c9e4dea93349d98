//! The test's end of a connection: push bytes, pull bytes, close, break.
//!
//! Nothing here waits or moves time: bytes sent now arrive some virtual microseconds later, and what the server sent
//! can be taken once its time has come.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;

use super::world::World;

/// A client of the simulated server. Dropping it closes the connection.
pub struct SimClient {
    world: Rc<RefCell<World>>,
    id: i32,
}

impl SimClient {
    pub(super) fn new(world: Rc<RefCell<World>>, id: i32) -> SimClient {
        SimClient { world, id }
    }

    /// Sends bytes behind those sent before. False if the connection can take none any more.
    pub fn send(&self, bytes: impl Into<Bytes>) -> bool {
        self.world.borrow_mut().client_sends(self.id, bytes.into())
    }

    /// Bytes sent that the server has not received: how far behind it is.
    pub fn unread_by_server(&self) -> usize {
        let world = self.world.borrow();
        world.network.connections.get(&self.id).map_or(0, |connection| connection.to_server.bytes())
    }

    /// Takes every byte that has arrived, which makes room for the server to send more.
    pub fn take_received(&self) -> Vec<u8> {
        self.take_at_most(usize::MAX)
    }

    /// Takes at most `max` bytes of what has arrived: a slow reader.
    pub fn take_at_most(&self, max: usize) -> Vec<u8> {
        let mut world = self.world.borrow_mut();
        let now = world.clock.now();
        let mut taken = Vec::new();
        if let Some(connection) = world.network.connections.get_mut(&self.id).filter(|there| !there.reset) {
            connection.to_client.take(now, max, |bytes| taken.extend_from_slice(bytes));
        }
        if !taken.is_empty() {
            world.look_soon(self.id);
        }
        taken
    }

    /// Ends this direction: the server reads everything sent, then the end. It can still answer.
    pub fn finish_sending(&self) {
        self.world.borrow_mut().client_ends(self.id, false);
    }

    /// Closes: the server reads everything sent, then the end; its sends fail.
    pub fn close(&self) {
        self.world.borrow_mut().client_ends(self.id, true);
    }

    /// Breaks the connection, with all bytes under way.
    pub fn reset(&self) {
        self.world.borrow_mut().reset_connection(self.id);
    }

    /// The connection broke: the server, a fault or a crash reset it.
    pub fn is_reset(&self) -> bool {
        let world = self.world.borrow();
        world.network.connections.get(&self.id).is_none_or(|connection| connection.reset)
    }

    /// The server closed, and everything that it sent before has been taken.
    pub fn is_at_end(&self) -> bool {
        let world = self.world.borrow();
        let now = world.clock.now();
        world.network.connections.get(&self.id).is_some_and(|connection| connection.to_client.at_end(now))
    }

    /// The address by which the server knows this client.
    pub fn address(&self) -> Option<SocketAddr> {
        let world = self.world.borrow();
        world.network.connections.get(&self.id).map(|connection| connection.client)
    }
}

impl Drop for SimClient {
    fn drop(&mut self) {
        self.world.borrow_mut().client_goes(self.id);
    }
}
