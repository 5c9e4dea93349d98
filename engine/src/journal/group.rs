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

    /// What it appended failed, and so will everything after it.
    fn failed(self: Rc<Self>);
}

#[derive(Default)]
struct TicketState {
    outcome: Option<Result<(), IoFailure>>,
    waiting: Vec<Waker>,
}

/// Resolves when a commit is durable, or has failed.
#[derive(Clone, Default)]
pub struct CommitTicket(Rc<RefCell<TicketState>>);

impl CommitTicket {
    /// # Errors
    /// The failed write or sync; nothing more is ever committed by this journal.
    pub async fn done(&self) -> Result<(), IoFailure> {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if let Some(outcome) = &state.outcome {
                return Poll::Ready(outcome.clone());
            }
            if !state.waiting.last().is_some_and(|last| last.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
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

    /// Tells everybody, the logs before those who wait for the ticket.
    pub fn finish(self, outcome: Result<(), IoFailure>) {
        for (observer, end) in self.observers {
            if outcome.is_ok() { observer.committed(end) } else { observer.failed() }
        }
        self.ticket.finish(outcome);
    }
}
