//! Listeners and the tasks that accept on them, on shard 0.
//!
//! At `max.connections` or the creation rate nothing is accepted: clients wait in the kernel's backlog. An address at
//! its own limit is accepted and closed at once, with a log line, as Kafka does.

use std::net::SocketAddr;
use std::rc::Rc;

use thalweg_engine::io::{ListenOptions, ListenerId};
use thalweg_engine::reactor::Socket;

use super::{Arrival, adopt};
use crate::bounds::ACCEPT_PAUSE;
use crate::shard::ServerShard;

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener {name}: cannot listen on {address}: {source}")]
pub struct ListenError {
    pub name: String,
    pub address: String,
    pub source: std::io::Error,
}

/// Opens every configured listener and starts accepting. Returns the bound addresses by listener.
///
/// # Errors
/// The first listener that cannot be bound.
pub fn listen(shard: &Rc<ServerShard>) -> Result<Vec<SocketAddr>, ListenError> {
    let options = ListenOptions {
        send_buffer_bytes: shard.config.socket_send_buffer_bytes,
        receive_buffer_bytes: shard.config.socket_receive_buffer_bytes,
        backlog: shard.config.socket_backlog,
    };
    let mut bound = Vec::new();
    for (index, listener) in shard.config.listeners.iter().enumerate() {
        let failed = |source| ListenError {
            name: listener.name.clone(),
            address: listener.address().to_string(),
            source,
        };
        let (id, address) = shard.io.driver().listen(listener.address(), options).map_err(failed)?;
        shard.connections.listeners.borrow_mut().push(id);
        let task = shard.io.spawn("acceptor", accept(Rc::clone(shard), id, index));
        shard.connections.acceptors.borrow_mut().push(task);
        bound.push(address);
    }
    Ok(bound)
}

async fn accept(shard: Rc<ServerShard>, listener: ListenerId, index: usize) {
    let mut failing = false;
    loop {
        wait_for_room(&shard).await;
        match shard.io.accept(listener).await {
            Ok((socket, peer)) => {
                failing = false;
                hand_over(&shard, socket, peer, index);
            }
            Err(error) => {
                // Said once: with too many open files every attempt fails until a connection closes.
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, "cannot accept connections; trying again (ulimit -n?)");
                }
                shard.io.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits while the server has as many connections as it may, or gets them faster than it may.
async fn wait_for_room(shard: &ServerShard) {
    let admission = &shard.connections.admission;
    let is_full = || admission.is_full(&shard.metadata.image().config);
    if is_full() {
        tracing::warn!(open = admission.open(), "max.connections reached: not accepting");
        while is_full() {
            shard.io.sleep(ACCEPT_PAUSE).await;
        }
    }
    let throttle = || admission.throttle(&shard.metadata.image().config, shard.io.now());
    while let Some(pause) = throttle() {
        shard.io.sleep(pause).await;
    }
}

fn hand_over(shard: &Rc<ServerShard>, socket: Socket, peer: SocketAddr, listener: usize) {
    let (target, ticket) = match shard.connections.admission.admit(&shard.metadata.image().config, peer.ip())
    {
        Ok(admitted) => admitted,
        Err(refused) => {
            tracing::info!(%peer, "connection refused: {refused}");
            return;
        }
    };
    let arrival = Arrival {
        socket: socket.into_id(),
        peer,
        listener,
        connection_id: shard.next_connection_id(),
        ticket,
    };
    if target == shard.id {
        return adopt(shard, arrival);
    }
    let mesh = shard.mesh().clone();
    let carry = async move {
        let adopted = mesh.call(target, move |there| async move { adopt(&there, arrival) }).await;
        if adopted.is_err() {
            tracing::debug!(%peer, "a connection ended with its shard");
        }
    };
    shard.io.spawn("hand-over", carry).detach();
}
