//! The life of one connection: receive, start requests, send replies; one task on the shard that owns it.
//!
//! Everything of a connection happens in this one task, so its state needs no cells: each turn receives what is there,
//! starts what the pipeline admits, polls what runs, and sends the replies that are ready as one. Back-pressure is not
//! reading: when requests wait, when replies are not taken, when the shard's memory for requests is spent. A malformed
//! request ends this connection with a log line, and nothing else.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thalweg_engine::io::Monotonic;
use thalweg_engine::reactor::{Sleep, Socket};
use thalweg_protocol::frame::FrameError;

use super::budget::{Charge, Hold};
use super::inbox::{Inbox, Loan};
use super::pipeline::{Failed, Pipeline};
use super::unsent::Unsent;
use crate::api::Client;
use crate::bounds::{LARGE_REQUEST_BYTES, STALLED_REQUEST_MAX, UNSENT_BYTES_MAX};
use crate::dispatch::{self, DispatchError};
use crate::shard::ServerShard;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    #[error("the client closed it")]
    Closed,
    #[error("the client closed it in the middle of a request")]
    ClosedInside,
    #[error("the server is shutting down")]
    Shutdown,
    #[error("nothing came or went for {} ms (connections.max.idle.ms)", .0.as_millis())]
    Idle(Duration),
    #[error("a large request made no progress for {} s while memory for requests was spent", STALLED_REQUEST_MAX.as_secs())]
    Stalled,
    #[error("it took no reply for {} s while memory for replies was spent", STALLED_REQUEST_MAX.as_secs())]
    Deaf,
    #[error("receive: {0}")]
    Receive(io::Error),
    #[error("send: {0}")]
    Send(io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    #[error("{failed} (client id {client_id:?})")]
    Request { failed: Failed, client_id: String },
}

impl End {
    /// Whether an operator should hear of it: the client sent something wrong, or stands in the way.
    pub fn is_remarkable(&self) -> bool {
        matches!(self, End::Frame(_) | End::Dispatch(_) | End::Request { .. } | End::Stalled | End::Deaf)
    }
}

/// What a connection knows between two turns.
struct Connection {
    shard: Rc<ServerShard>,
    client: Rc<Client>,
    inbox: Inbox,
    pipeline: Pipeline,
    charge: Charge,
    /// The client id of the latest request, shortened.
    client_id: String,
    /// Replies that are ready and not yet given to the socket.
    ready: Vec<Bytes>,
    unsent: Unsent,
    /// Bytes that the socket took since they were last counted.
    taken: Rc<Cell<usize>>,
    /// When something last came or went.
    active: Monotonic,
    /// Set once the connection is to end: nothing more is received, what was started is finished.
    end: Option<End>,
    /// Nobody takes replies any more.
    deaf: bool,
}

/// Serves a connection until it ends. The socket is closed on return.
///
/// Requests that were received whole before the client closed are carried out: a producer with acks=0 sends and closes.
pub async fn serve(shard: Rc<ServerShard>, socket: Socket, client: Rc<Client>) -> End {
    let mut connection = Connection::new(shard, client);
    let closing = connection.shard.connections.closing();
    let mut closing = pin!(closing.wait());
    let mut receiving = pin!(None);
    let mut sending = pin!(None);
    let mut freed = pin!(None);
    let mut timer = pin!(connection.timer());
    std::future::poll_fn(|cx| {
        loop {
            let mut progressed = false;
            if connection.end.is_none() && closing.as_mut().poll(cx).is_ready() {
                connection.end_with(End::Shutdown);
            }
            if receiving.is_none() && connection.wants_more() {
                if connection.charge.room() > 0 {
                    let shard = Rc::clone(&connection.shard);
                    receiving.set(Some(receive(shard, &socket, connection.lend())));
                    freed.set(None);
                } else if freed.is_none() {
                    freed.set(Some(connection.shard.connections.budget().freed()));
                }
            }
            if ready(freed.as_mut(), cx).is_some() {
                freed.set(None);
                progressed = true;
            }
            if let Some((result, buffer)) = ready(receiving.as_mut(), cx) {
                receiving.set(None);
                connection.received(result, buffer);
                progressed = true;
            }
            progressed |= connection.start_requests();
            progressed |= connection.run_requests(cx);
            if sending.is_none() && !connection.ready.is_empty() {
                let taken = Rc::clone(&connection.taken);
                sending.set(Some(send(&socket, std::mem::take(&mut connection.ready), taken)));
            }
            let sent = ready(sending.as_mut(), cx);
            connection.count_taken();
            if let Some(result) = sent {
                sending.set(None);
                connection.sent(result);
                progressed = true;
            }
            if connection.is_finished() && sending.is_none() {
                return Poll::Ready(connection.end.take().unwrap_or(End::Closed));
            }
            if timer.as_mut().poll(cx).is_ready() {
                if let Some(end) = connection.overdue() {
                    return Poll::Ready(end);
                }
                timer.set(connection.timer());
                progressed = true;
            }
            if !progressed {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Polls a future that may be absent.
fn ready<F: Future>(future: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Option<F::Output> {
    match future.as_pin_mut()?.poll(cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

async fn receive(shard: Rc<ServerShard>, socket: &Socket, mut loan: Loan) -> (io::Result<usize>, BytesMut) {
    if loan.is_moving() {
        // One at a time: many that grow at once would add up to a long turn all the same.
        let _alone = shard.connections.moving().acquire(1).await;
        while loan.is_moving() {
            loan.move_slice();
            shard.io.yield_now().await;
        }
    }
    let buffer = loan.into_buffer();
    let room = buffer.capacity() - buffer.len();
    socket.recv(buffer, room).await
}

async fn send(socket: &Socket, pieces: Vec<Bytes>, taken: Rc<Cell<usize>>) -> io::Result<()> {
    socket.send_counting(pieces, false, |bytes| taken.set(taken.get() + bytes)).await
}

impl Connection {
    fn new(shard: Rc<ServerShard>, client: Rc<Client>) -> Connection {
        Connection {
            inbox: Inbox::new(shard.config.request_bytes_max),
            pipeline: Pipeline::default(),
            charge: Charge::new(shard.connections.budget()),
            client_id: String::new(),
            ready: Vec::new(),
            unsent: Unsent::new(shard.connections.reply_memory()),
            taken: Rc::default(),
            active: shard.io.now(),
            end: None,
            deaf: false,
            shard,
            client,
        }
    }

    /// The first reason stands. Long polls are told to answer now.
    fn end_with(&mut self, end: End) {
        if !matches!(end, End::Closed | End::ClosedInside) {
            self.inbox.discard();
        }
        self.deaf |= matches!(end, End::Receive(_) | End::Send(_));
        self.end.get_or_insert(end);
        self.client.gone.set();
    }

    /// Whether there is a point in receiving: a client that disconnects is noticed while its requests run.
    fn wants_more(&self) -> bool {
        self.end.is_none() && !self.inbox.is_full() && self.unsent.bytes() < UNSENT_BYTES_MAX
    }

    /// A buffer to receive into, charged before it is filled.
    fn lend(&mut self) -> Loan {
        let loan = self.inbox.lend(self.charge.room());
        self.recharge();
        loan
    }

    fn received(&mut self, result: io::Result<usize>, buffer: BytesMut) {
        if self.end.is_some() {
            // A receive that was pending when the connection ended: what came is not looked at.
            self.inbox.drop_lent(buffer);
            return self.recharge();
        }
        let cut = self.inbox.received(buffer);
        match result {
            Err(error) => self.end_with(End::Receive(error)),
            Ok(0) if self.inbox.is_inside_frame() => self.end_with(End::ClosedInside),
            Ok(0) => self.end_with(End::Closed),
            Ok(_) => self.active = self.shard.io.now(),
        }
        if let Err(error) = cut {
            self.end_with(error.into());
        }
        self.recharge();
    }

    /// Starts the requests that may start now.
    fn start_requests(&mut self) -> bool {
        let mut started = false;
        while self.unsent.bytes() < UNSENT_BYTES_MAX {
            match self.start_next() {
                Ok(true) => started = true,
                Ok(false) => break,
                Err(error) => self.end_with(error.into()),
            }
        }
        started
    }

    fn start_next(&mut self) -> Result<bool, DispatchError> {
        let Some(frame) = self.inbox.front() else { return Ok(false) };
        let api = dispatch::api_of(frame)?;
        if !self.pipeline.admits(api, frame.len()) {
            return Ok(false);
        }
        let Some(frame) = self.inbox.pop() else { return Ok(false) };
        let bytes = frame.len();
        dispatch::note_client_id(&mut self.client_id, &frame);
        let handler = dispatch::start(&self.shard, &self.client, api, frame)?;
        self.pipeline.start(api, bytes, handler);
        Ok(true)
    }

    /// Polls what runs, and moves the replies that may leave to the send list.
    fn run_requests(&mut self, cx: &mut Context<'_>) -> bool {
        let polled = self.pipeline.poll(cx);
        let progressed = match polled {
            Ok(progressed) => progressed,
            Err(failed) => {
                let client_id = self.client_id.clone();
                self.end_with(End::Request { failed, client_id });
                true
            }
        };
        if progressed {
            let drained = self.pipeline.drain(&mut self.ready);
            self.unsent.add(drained);
            if drained > 0 {
                // A long poll may have taken longer than a client may be silent: its turn begins now.
                self.active = self.shard.io.now();
            }
            if self.deaf {
                self.unsent.reset_to(0);
                self.ready.clear();
            }
            self.recharge();
        }
        progressed
    }

    fn recharge(&mut self) {
        let bytes = self.inbox.held_bytes() + self.pipeline.running_bytes();
        let receives_large = self.inbox.is_inside_frame() && self.inbox.held_bytes() > LARGE_REQUEST_BYTES;
        self.charge.set(Hold { bytes, receiving_since: receives_large.then_some(self.active) });
    }

    /// A client that takes its reply slowly is not one that takes nothing.
    fn count_taken(&mut self) {
        let bytes = self.taken.take();
        if bytes > 0 {
            self.unsent.subtract(bytes);
            self.active = self.shard.io.now();
        }
    }

    fn sent(&mut self, result: io::Result<()>) {
        self.unsent.reset_to(self.ready.iter().map(Bytes::len).sum());
        self.active = self.shard.io.now();
        if let Err(error) = result {
            self.end_with(End::Send(error));
            self.ready.clear();
            self.unsent.reset_to(0);
        }
        self.recharge();
    }

    fn is_finished(&self) -> bool {
        self.end.is_some()
            && self.pipeline.is_empty()
            && self.ready.is_empty()
            && self.inbox.front().is_none()
    }

    /// Whether it is the client's turn: to send a request, or to take a reply.
    fn waits_for_client(&self) -> bool {
        self.pipeline.is_empty() || self.unsent.bytes() > 0
    }

    /// When to look at the connection's progress again; rarely, so that a timer costs a request nothing.
    fn timer(&self) -> Sleep {
        let now = self.shard.io.now();
        let soon = now.after(STALLED_REQUEST_MAX);
        let idle_at = self.shard.config.connections_idle_max.map(|idle_max| self.active.after(idle_max));
        let look_at = match idle_at {
            Some(idle_at) if idle_at > now => idle_at.min(soon),
            Some(_) | None => soon,
        };
        self.shard.io.sleep_until(look_at)
    }

    /// Why the connection must end now although nothing happened on it.
    fn overdue(&mut self) -> Option<End> {
        let now = self.shard.io.now();
        let quiet = now.since(self.active);
        if quiet >= STALLED_REQUEST_MAX {
            self.inbox.forget_proven();
            if self.charge.must_give_way(now) {
                return Some(End::Stalled);
            }
            if self.unsent.is_in_the_way() {
                return Some(End::Deaf);
            }
        }
        let idle_max = self.shard.config.connections_idle_max?;
        (quiet >= idle_max && self.waits_for_client()).then_some(End::Idle(idle_max))
    }
}
