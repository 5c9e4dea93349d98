//! What one commit carries, and who is told of its end.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::commit::Entry;
use crate::bounds::{COMMIT_BYTES_MAX, COMMIT_ENTRIES_MAX};
use crate::error::IoFailure;
use crate::reactor::sync::OwnedPermit;

/// Told, in commit order, that what it appended is as durable as the journal makes it.
pub trait CommitObserver {
    /// Everything of the observer's up to and excluding `end_offset` is durable.
    fn committed(self: Rc<Self>, end_offset: i64);

    /// What it appended is not committed for now, and who waits for it may be told so.
    fn delayed(self: Rc<Self>);

    /// What it appended failed, and so will everything after it.
    fn failed(self: Rc<Self>);
}

#[derive(Default)]
struct TicketState {
    outcome: Option<Result<(), IoFailure>>,
    /// Why whoever does not want to wait longer is answered; the commit is still to come.
    given_up: Option<IoFailure>,
    waiting: Vec<Waker>,
}

/// Resolves when a commit is durable, or has failed.
#[derive(Clone, Default)]
pub struct CommitTicket(Rc<RefCell<TicketState>>);

impl CommitTicket {
    /// # Errors
    /// The failed write or sync, after which nothing more is ever committed by this journal; or why there has been no
    /// place for the commit for so long that its clients should hear of it. It is still queued then.
    pub async fn done(&self) -> Result<(), IoFailure> {
        self.wait(true).await
    }

    /// As [`done`](Self::done), but for as long as it takes: an error means that it did not and will not happen.
    ///
    /// # Errors
    /// The failed write or sync.
    pub async fn outcome(&self) -> Result<(), IoFailure> {
        self.wait(false).await
    }

    async fn wait(&self, gives_up: bool) -> Result<(), IoFailure> {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if let Some(outcome) = &state.outcome {
                return Poll::Ready(outcome.clone());
            }
            if let Some(failure) = state.given_up.as_ref().filter(|_| gives_up) {
                return Poll::Ready(Err(failure.clone()));
            }
            if !state.waiting.last().is_some_and(|last| last.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn give_up(&self, failure: &IoFailure) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.given_up = Some(failure.clone());
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn finish(&self, outcome: Result<(), IoFailure>) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.outcome = Some(outcome);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Batches that become durable together.
pub(super) struct Group {
    pub sequence: u64,
    pub entries: Vec<Entry>,
    pub payload_bytes: usize,
    pub ticket: CommitTicket,
    /// Room for its bytes among what is not committed yet; given back with the group.
    admitted: Vec<OwnedPermit>,
    observers: Vec<(Rc<dyn CommitObserver>, i64)>,
}

impl Group {
    /// A group without entries; written as it is, it attests the commits before it.
    pub fn new(sequence: u64) -> Group {
        Group {
            sequence,
            entries: Vec::new(),
            payload_bytes: 0,
            ticket: CommitTicket::default(),
            admitted: Vec::new(),
            observers: Vec::new(),
        }
    }

    /// Whether a batch of `bytes` may join; the first always may.
    pub fn takes(&self, bytes: usize) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < COMMIT_ENTRIES_MAX && self.payload_bytes + bytes <= COMMIT_BYTES_MAX)
    }

    pub fn add(&mut self, entry: Entry, observer: Rc<dyn CommitObserver>, end: i64, admitted: OwnedPermit) {
        self.payload_bytes += entry.bytes.len();
        self.entries.push(entry);
        self.observers.push((observer, end));
        self.admitted.push(admitted);
    }

    /// Has those answered who wait for it, because it may take long. It is committed all the same when it can be.
    pub fn give_up(&self, failure: &IoFailure) {
        self.ticket.give_up(failure);
        for (observer, _) in &self.observers {
            Rc::clone(observer).delayed();
        }
    }

    /// Tells everybody, the logs before those who wait for the ticket.
    pub fn finish(self, outcome: Result<(), IoFailure>) {
        for (observer, end) in self.observers {
            if outcome.is_ok() { observer.committed(end) } else { observer.failed() }
        }
        self.ticket.finish(outcome);
    }
}
