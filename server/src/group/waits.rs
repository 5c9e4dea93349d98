//! Joins and syncs that wait for their answer, on the shard of their connection.
//!
//! A group may let a client wait for minutes, so neither a mesh call nor anything on the group's shard is held by it:
//! the group knows a [`Ticket`], and the answer is sent to whoever still has it. A client that has gone has dropped it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use thalweg_engine::reactor::sync::{Latch, OneshotSender, oneshot};

use super::action::{Joined, Synced, Ticket};
use crate::shard::ServerShard;

/// What a ticket is answered with.
#[derive(Debug)]
pub(super) enum Answer {
    Joined(Joined),
    Synced(Synced),
}

/// One shard's tickets.
#[derive(Default)]
pub(super) struct Waits {
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, OneshotSender<Answer>>>,
}

/// Gives its number back when it is dropped.
struct Held<'s> {
    waits: &'s Waits,
    number: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.waits.waiting.borrow_mut().remove(&self.number);
    }
}

impl Waits {
    /// Draws a ticket, has `start` hand it to the group, and waits for the answer. None: the client is gone, or the
    /// server is about to be, or nobody will answer.
    pub async fn answered<F: Future<Output = bool>>(
        &self,
        shard: &ServerShard,
        gone: &Latch,
        start: impl FnOnce(Ticket) -> F,
    ) -> Option<Answer> {
        let number = self.next.get();
        self.next.set(number + 1);
        let (sender, receiver) = oneshot();
        self.waiting.borrow_mut().insert(number, sender);
        let _held = Held { waits: self, number };
        if !start(Ticket { shard: shard.id, number }).await {
            return None;
        }
        let (mut receiver, mut gone) = (pin!(receiver), pin!(gone.wait()));
        std::future::poll_fn(|cx| match receiver.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.ok()),
            Poll::Pending => gone.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    fn deliver(&self, number: u64, answer: Answer) {
        if let Some(sender) = self.waiting.borrow_mut().remove(&number) {
            sender.send(answer);
        }
    }
}

/// Brings an answer to the shard that waits for it.
pub(super) fn deliver(shard: &Rc<ServerShard>, ticket: Ticket, answer: Answer) {
    if ticket.shard == shard.id {
        return shard.groups.waits.deliver(ticket.number, answer);
    }
    let mesh = shard.mesh().clone();
    let told = async move {
        let number = ticket.number;
        let call =
            mesh.call(ticket.shard, move |there| async move { there.groups.waits.deliver(number, answer) });
        if call.await.is_err() {
            tracing::debug!(?ticket, "a group's answer ended with its shard");
        }
    };
    shard.io.spawn("group answer", told).detach();
}
