//! Operations in flight: which task waits for which completion.
//!
//! A slab with generations. An operation whose future was dropped stays in its slot until the driver gives it back,
//! with its buffer; what it opened or accepted meanwhile is closed.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::turn::Io;
use crate::io::{Completion, Op, OpId, Outcome};

const NO_SLOT: u32 = u32::MAX;

enum State {
    Free { next: u32 },
    Waiting(Option<Waker>),
    Done(Completion),
    Orphan,
}

struct Slot {
    generation: u32,
    state: State,
}

struct Slots {
    slots: Vec<Slot>,
    free: u32,
    in_flight: usize,
}

impl Slots {
    fn take_free(&mut self, state: State) -> OpId {
        self.in_flight += 1;
        let index = self.free;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            let State::Free { next } = slot.state else { unreachable!("the free list holds free slots") };
            self.free = next;
            slot.state = state;
            return OpId::new(index, slot.generation);
        }
        let index = self.slots.len() as u32;
        assert!(index < NO_SLOT, "more than 2^32 operations in flight");
        self.slots.push(Slot { generation: 0, state });
        OpId::new(index, 0)
    }

    fn release(&mut self, id: OpId) -> State {
        let next = self.free;
        let slot = self.slot(id);
        slot.generation = (slot.generation + 1) % OpId::GENERATIONS;
        let state = std::mem::replace(&mut slot.state, State::Free { next });
        self.free = id.index() as u32;
        self.in_flight -= 1;
        state
    }

    fn slot(&mut self, id: OpId) -> &mut Slot {
        let slot = &mut self.slots[id.index()];
        assert_eq!(
            OpId::new(id.index() as u32, slot.generation),
            id,
            "a completion of an operation that has ended"
        );
        slot
    }
}

/// The operations of one reactor that its driver has not given back, or whose tasks have not looked yet.
pub(super) struct Operations {
    slots: RefCell<Slots>,
}

impl Operations {
    pub(super) fn new() -> Operations {
        Operations { slots: RefCell::new(Slots { slots: Vec::new(), free: NO_SLOT, in_flight: 0 }) }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.slots.borrow().in_flight
    }

    fn start(&self, state: State) -> OpId {
        self.slots.borrow_mut().take_free(state)
    }

    /// Hands a completion to its task; returns it if nobody waits for it any more.
    pub(super) fn complete(&self, completion: Completion) -> Option<Completion> {
        let mut slots = self.slots.borrow_mut();
        let id = completion.id;
        let slot = slots.slot(id);
        match &mut slot.state {
            State::Waiting(waker) => {
                let waker = waker.take();
                slot.state = State::Done(completion);
                drop(slots);
                waker.into_iter().for_each(Waker::wake);
                None
            }
            State::Orphan => {
                slots.release(id);
                Some(completion)
            }
            State::Free { .. } | State::Done(_) => panic!("an operation completed twice"),
        }
    }

    fn poll(&self, id: OpId, cx: &Context<'_>) -> Poll<Completion> {
        let mut slots = self.slots.borrow_mut();
        match &mut slots.slot(id).state {
            State::Waiting(Some(waker)) => waker.clone_from(cx.waker()),
            State::Waiting(waiting) => *waiting = Some(cx.waker().clone()),
            State::Done(_) => {
                let State::Done(completion) = slots.release(id) else { unreachable!("matched above") };
                return Poll::Ready(completion);
            }
            State::Free { .. } | State::Orphan => unreachable!("its future is alive"),
        }
        Poll::Pending
    }

    /// The future is gone. Returns the completion if it was there already.
    fn abandon(&self, id: OpId) -> Option<Completion> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.slot(id);
        if matches!(slot.state, State::Waiting(_)) {
            let waker = std::mem::replace(&mut slot.state, State::Orphan);
            drop(slots);
            drop(waker);
            return None;
        }
        let State::Done(completion) = slots.release(id) else { unreachable!("its future was alive") };
        Some(completion)
    }
}

/// Waits for one submitted operation.
pub(super) struct Pending {
    io: Io,
    id: OpId,
    /// Whether it may wait for a peer for ever, so that dropping the future must end it.
    endless: bool,
    finished: bool,
}

impl Io {
    /// Submits at once; the future only waits.
    pub(super) fn submit(&self, op: Op) -> Pending {
        let endless = matches!(op, Op::Recv { .. } | Op::Send { .. } | Op::Accept { .. });
        let id = self.operations().start(State::Waiting(None));
        self.driver().submit(id, op);
        Pending { io: self.clone(), id, endless, finished: false }
    }

    /// Submits an operation whose end nobody waits for.
    pub(super) fn submit_detached(&self, op: Op) {
        let id = self.operations().start(State::Orphan);
        self.driver().submit(id, op);
    }

    /// Submits an operation that returns nothing, and waits for it.
    pub(super) async fn run(&self, op: Op) -> io::Result<()> {
        self.submit(op).await.result.map(drop)
    }

    /// Closes what an operation brought that nobody waits for any more.
    pub(super) fn reclaim(&self, completion: Completion) {
        match completion.result {
            Ok(Outcome::File(file)) => self.submit_detached(Op::CloseFile { file }),
            Ok(Outcome::Accepted(socket, _)) => self.submit_detached(Op::CloseSocket { socket }),
            Ok(Outcome::Done | Outcome::Count(_)) | Err(_) => {}
        }
    }
}

impl Future for Pending {
    type Output = Completion;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completion> {
        let polled = self.io.operations().poll(self.id, cx);
        self.finished = polled.is_ready();
        polled
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        match self.io.operations().abandon(self.id) {
            Some(completion) => self.io.reclaim(completion),
            None if self.endless => self.io.driver().cancel(self.id),
            None => {}
        }
    }
}

/// The error of a driver that answered an operation with another kind of outcome.
pub(super) fn unexpected(outcome: Outcome) -> io::Error {
    io::Error::other(format!("the driver answered with {outcome:?}"))
}
