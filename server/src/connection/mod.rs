//! Connections: accepted on shard 0, each served by one task on the least loaded shard.
//!
//! ```text
//! acceptor (shard 0) -> admission -> mesh -> serve: inbox -> dispatch -> pipeline -> send
//! ```
//! Bounds that hold here: `socket.request.max.bytes` per request, a budget of request memory per shard, bytes of
//! unsent replies per connection, `max.connections` and its relatives. See `crate::bounds`.

mod acceptor;
mod admission;
mod budget;
mod inbox;
mod pipeline;
mod serve;
mod unsent;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use slab::Slab;
use thalweg_engine::io::{ListenerId, SocketId};
use thalweg_engine::reactor::Task;
use thalweg_engine::reactor::sync::{Latch, Semaphore, WaitGroup};

pub use acceptor::{ListenError, listen};
use admission::{Admission, Ticket};
use budget::RequestBudget;
use unsent::ReplyMemory;
pub use unsent::Reservation;

use crate::api::Client;
use crate::bounds::{DRAIN_MAX, SHARD_REQUEST_BYTES};
use crate::config::BrokerConfig;
use crate::shard::ServerShard;

/// What one shard knows of its connections.
pub struct Connections {
    budget: Rc<RequestBudget>,
    reply_memory: Rc<ReplyMemory>,
    /// Who moves a large receive buffer to a larger one.
    moving: Semaphore,
    admission: Admission,
    closing: Latch,
    open: WaitGroup,
    tasks: RefCell<Slab<Task<()>>>,
    listeners: RefCell<Vec<ListenerId>>,
    acceptors: RefCell<Vec<Task<()>>>,
}

/// A connection on its way from the acceptor to its shard.
struct Arrival {
    socket: SocketId,
    peer: SocketAddr,
    listener: usize,
    connection_id: u64,
    ticket: Ticket,
}

impl Connections {
    pub fn new(config: &BrokerConfig, shards: u16) -> Connections {
        let configured = config.queued_request_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
        let budget_bytes = configured.map_or(SHARD_REQUEST_BYTES, |bytes| bytes / usize::from(shards).max(1));
        Connections {
            budget: RequestBudget::new(budget_bytes),
            reply_memory: Rc::default(),
            moving: Semaphore::new(1),
            admission: Admission::new(shards),
            closing: Latch::new(),
            open: WaitGroup::new(),
            tasks: RefCell::default(),
            listeners: RefCell::default(),
            acceptors: RefCell::default(),
        }
    }

    /// Memory of the responses that the shard's connections build and have not sent yet.
    pub fn reply_memory(&self) -> &Rc<ReplyMemory> {
        &self.reply_memory
    }

    /// Open connections of this shard.
    pub fn open(&self) -> usize {
        self.open.members()
    }

    fn budget(&self) -> &Rc<RequestBudget> {
        &self.budget
    }

    fn moving(&self) -> &Semaphore {
        &self.moving
    }

    fn closing(&self) -> Latch {
        self.closing.clone()
    }

    /// Stops accepting (on shard 0), lets running requests end and replies leave for at most
    /// [`DRAIN_MAX`], then closes this shard's connections.
    pub async fn shutdown(&self, shard: &ServerShard) {
        self.acceptors.borrow_mut().clear();
        for listener in self.listeners.borrow_mut().drain(..) {
            shard.io.driver().close_listener(listener);
        }
        self.closing.set();
        if shard.io.timeout(DRAIN_MAX, self.open.wait()).await.is_err() {
            tracing::info!(connections = self.open(), "closing connections that did not take their replies");
        }
        let left = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(left);
    }
}

/// Takes over a connection that the acceptor handed to this shard.
fn adopt(shard: &Rc<ServerShard>, arrival: Arrival) {
    let Arrival { socket, peer, listener, connection_id, ticket } = arrival;
    let socket = shard.io.adopt(socket);
    if shard.connections.closing.is_set() {
        return;
    }
    let client = Rc::new(Client { connection_id, peer, listener, gone: Latch::new() });
    let mut tasks = shard.connections.tasks.borrow_mut();
    let entry = tasks.vacant_entry();
    let (key, shard_here, member) = (entry.key(), Rc::clone(shard), shard.connections.open.enter());
    let task = shard.io.spawn("connection", async move {
        let (_ticket, _member) = (ticket, member);
        let end = serve::serve(Rc::clone(&shard_here), socket, Rc::clone(&client)).await;
        log_end(&end, &client);
        if let Some(task) = shard_here.connections.tasks.borrow_mut().try_remove(key) {
            task.detach();
        }
    });
    entry.insert(task);
}

fn log_end(end: &serve::End, client: &Client) {
    if end.is_remarkable() {
        tracing::warn!(peer = %client.peer, connection = client.connection_id, "connection closed: {end}");
    } else {
        tracing::debug!(peer = %client.peer, connection = client.connection_id, "connection closed: {end}");
    }
}
