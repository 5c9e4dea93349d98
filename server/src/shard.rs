//! The server's half of a shard: everything a handler can reach. One per shard thread, in an `Rc`.
//!
//! Invariants: nothing here is shared between threads except what sits in an `Arc` (configuration, metadata); another
//! shard's state is reached only through [`Mesh`], whose target type this is. The engine's half (ring, storage) is
//! owned through `ShardContext`.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::reactor::sync::{Latch, Semaphore};
use thalweg_engine::reactor::{Io, Mesh};
use thalweg_engine::runtime::ShardContext;
use thalweg_engine::storage::Storage;

use crate::api::k01_fetch::{FetchSessions, FetchWatches};
use crate::bounds::LOG_CREATIONS_MAX;
use crate::config::BrokerConfig;
use crate::connection::{self, Connections, ListenError};
use crate::group::Coordinator;
use crate::metadata::{ControllerSlot, Metadata};

/// Per-shard context of the server.
pub struct ServerShard {
    pub id: ShardId,
    pub shards: u16,
    pub io: Io,
    pub storage: Rc<Storage>,
    /// The resolved broker configuration.
    pub config: Arc<BrokerConfig>,
    /// `metadata.image()` is the current immutable image.
    pub metadata: Arc<Metadata>,
    /// Filled on shard 0 when the metadata has been read.
    pub controller: ControllerSlot,
    /// Held by logs that are being created here.
    pub log_creations: Rc<Semaphore>,
    pub connections: Connections,
    pub fetch_sessions: FetchSessions,
    pub fetch_watches: FetchWatches,
    /// The consumer groups that live here.
    pub groups: Coordinator,
    /// Set when this shard has nothing more to do.
    pub ended: Latch,
    /// Set once by [`attach`](Self::attach), before the first task runs.
    mesh: OnceCell<Mesh<ServerShard>>,
    connection_ids: Cell<u64>,
}

impl ServerShard {
    /// Called once per shard thread, inside `engine::runtime::run`'s `start`.
    pub fn new(context: ShardContext, config: Arc<BrokerConfig>, metadata: Arc<Metadata>) -> ServerShard {
        ServerShard {
            id: context.id,
            shards: context.shards,
            io: context.io,
            storage: context.storage,
            connections: Connections::new(&config, context.shards),
            fetch_sessions: FetchSessions::new(&config, context.shards),
            fetch_watches: FetchWatches::default(),
            groups: Coordinator::default(),
            controller: ControllerSlot::default(),
            log_creations: Rc::new(Semaphore::new(LOG_CREATIONS_MAX)),
            config,
            metadata,
            ended: Latch::new(),
            mesh: OnceCell::new(),
            connection_ids: Cell::new(0),
        }
    }

    /// Gives the shard its way to the others: the mesh needs the shard first, as the target of calls.
    pub fn attach(&self, mesh: Mesh<ServerShard>) {
        assert!(self.mesh.set(mesh).is_ok(), "a shard is attached once");
    }

    /// The way to the other shards.
    pub fn mesh(&self) -> &Mesh<ServerShard> {
        match self.mesh.get() {
            Some(mesh) => mesh,
            None => unreachable!("attached before the first task runs"),
        }
    }

    /// The shard that owns `partition`.
    pub fn home(&self, partition: PartitionId) -> ShardId {
        partition.home(self.shards)
    }

    /// Binds and serves every configured listener; called once, on shard 0, after recovery. Returns the bound
    /// addresses (port 0 resolved), by listener.
    ///
    /// # Errors
    /// As bind(2); the message names the listener.
    pub fn listen(self: &Rc<Self>) -> Result<Vec<SocketAddr>, ListenError> {
        connection::listen(self)
    }

    /// A number that no other connection of this process has (connections are numbered by the acceptor's shard).
    pub fn next_connection_id(&self) -> u64 {
        self.connection_ids.set(self.connection_ids.get() + 1);
        self.connection_ids.get()
    }
}
