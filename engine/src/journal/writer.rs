//! The task that turns queued groups into commits: two writes in flight, acknowledged in order.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use nix::errno::Errno;

use super::appender::Journal;
use super::commit::{self, CommitId, Follows};
use super::file::Lane;
use super::group::Group;
use super::space::Slot;
use super::window::{Ended, Window};
use crate::bounds::{ATTEST_AFTER_MS, COMMIT_PATIENCE_MS};
use crate::error::IoFailure;
use crate::io::{AlignedBuf, PAGE_BYTES};

/// The state of the writing task.
pub(super) struct CommitWriter {
    journal: Rc<Journal>,
    window: Window,
    previous_crc: u32,
    /// Highest sequence that a durable commit says is durable, with all before it.
    attested: u64,
    /// Sequence of the last durable commit with batches in it.
    carried: u64,
}

impl CommitWriter {
    pub fn new(journal: Rc<Journal>) -> CommitWriter {
        CommitWriter { journal, window: Window::default(), previous_crc: 0, attested: 0, carried: 0 }
    }

    /// Until the journal closes and everything queued has ended.
    pub async fn run(&mut self) {
        loop {
            self.start_commits().await;
            if !self.window.is_empty() {
                self.progress().await;
            } else if self.journal.queue.borrow().is_empty() {
                if self.journal.closing.get() {
                    break;
                }
                self.rest().await;
            }
        }
        self.attest().await;
    }

    /// Starts what is worth it. Waits only for a place in the journal, and only with nothing in flight: a place comes
    /// from a checkpoint, which wants commits to end.
    async fn start_commits(&mut self) {
        while self.journal.may_start() {
            if let Some(failure) = self.journal.failure() {
                if !self.window.is_empty() {
                    return;
                }
                self.fail_next(&failure);
                continue;
            }
            let Some((sequence, bytes)) = self.next_bytes() else { return };
            match self.journal.space.take_now(bytes, sequence) {
                Some(slot) => self.start_next(slot),
                None if self.window.is_empty() => self.start_when_there_is_room(bytes, sequence).await,
                None => return,
            }
        }
    }

    /// Sequence of the next group, and its bytes in the journal.
    fn next_bytes(&self) -> Option<(u64, u64)> {
        let queue = self.journal.queue.borrow();
        let next = queue.front()?;
        Some((next.sequence, padded_bytes(next) as u64))
    }

    fn pop(&self) -> Option<Group> {
        self.journal.queue.borrow_mut().pop_front()
    }

    fn fail_next(&self, failure: &IoFailure) {
        if let Some(group) = self.pop() {
            group.finish(Err(failure.clone()));
        }
    }

    fn start_next(&mut self, slot: Slot) {
        if let Some(group) = self.pop() {
            self.start(group, slot);
        }
    }

    /// The group is taken off the queue first: it must not grow past the place that is waited for.
    async fn start_when_there_is_room(&mut self, bytes: u64, sequence: u64) {
        let Some(group) = self.pop() else { return };
        let journal = Rc::clone(&self.journal);
        let mut place = pin!(journal.space.take(bytes, sequence));
        let slot = loop {
            let patience = Duration::from_millis(COMMIT_PATIENCE_MS);
            match journal.io.timeout(patience, place.as_mut()).await {
                Ok(slot) => break slot,
                // A stop has to end. It is an unclean one: what is acknowledged is in the journal.
                Err(_) if journal.closing.get() => break Err(self.no_place()),
                Err(_) => {
                    let failure = self.no_place();
                    group.give_up(&failure);
                    journal.queue.borrow().iter().for_each(|queued| queued.give_up(&failure));
                    journal.stuck.replace(Some(failure));
                }
            }
        };
        journal.stuck.take();
        match slot {
            Ok(slot) => self.start(group, slot),
            Err(failure) => self.finish(Ended { group, attests: 0, outcome: Err(failure) }),
        }
    }

    fn no_place(&self) -> IoFailure {
        let error = io::Error::from_raw_os_error(Errno::ENOSPC as i32);
        IoFailure::new("find a place in the journal of", self.journal.dir(), error)
    }

    fn start(&mut self, group: Group, slot: Slot) {
        let journal = &self.journal;
        let id = CommitId { generation: journal.settings.generation, sequence: group.sequence };
        let attests = journal.committed_sequence.get();
        let follows = Follows { id, previous_crc: self.previous_crc, attests };
        let padded = padded_bytes(&group);
        let mut target = AlignedBuf::recycled(padded);
        self.previous_crc =
            commit::encode(&mut target, journal.settings.journal, follows, &group.entries).crc;
        let (bytes, path) = (target.freeze().slice(..padded), Rc::clone(&slot.path));
        let durable = journal.lane() == Lane::Durable;
        self.window.push(group, attests, path, async move {
            slot.file.write_at(bytes, slot.position, durable).await
        });
        journal.in_flight.set(self.window.len());
    }

    /// Until a commit has ended, or another may be started.
    async fn progress(&mut self) {
        let mut work = pin!(self.journal.work.notified());
        let window = &mut self.window;
        let ended = poll_fn(|cx| match window.poll_oldest(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => work.as_mut().poll(cx).map(|()| None),
        });
        if let Some(ended) = ended.await {
            self.journal.in_flight.set(self.window.len());
            self.finish(ended);
        }
    }

    /// A commit has left the window: everybody is told. After a failure nothing counts as written any more, also what
    /// was in flight behind it.
    fn finish(&mut self, ended: Ended) {
        let Ended { group, attests, outcome } = ended;
        let outcome = match (self.journal.failure(), outcome) {
            (Some(failure), _) => Err(failure),
            (None, outcome) => outcome,
        };
        match &outcome {
            Ok(()) => {
                self.journal.committed_sequence.set(group.sequence);
                self.attested = self.attested.max(attests);
                if !group.entries.is_empty() {
                    self.carried = group.sequence;
                }
            }
            Err(failure) => self.journal.fail(failure),
        }
        group.finish(outcome);
    }

    /// Nothing is pending: after a short quiet, attest the last commits; then wait for work.
    async fn rest(&mut self) {
        let work = self.journal.work.notified();
        if self.is_attested() {
            work.await;
        } else if self.journal.io.timeout(Duration::from_millis(ATTEST_AFTER_MS), work).await.is_err() {
            self.attest().await;
        }
    }

    fn is_attested(&self) -> bool {
        self.attested >= self.carried || self.journal.failure.borrow().is_some()
    }

    /// Writes an empty commit, which says that everything before it is durable. Nothing is queued or in flight.
    async fn attest(&mut self) {
        if self.is_attested() {
            return;
        }
        let group = self.journal.new_group();
        self.journal.queue.borrow_mut().push_front(group);
        self.start_commits().await;
        while !self.window.is_empty() {
            self.progress().await;
        }
    }
}

/// Bytes of a group's commit on disk.
fn padded_bytes(group: &Group) -> usize {
    commit::used_bytes(group.entries.len(), group.payload_bytes).next_multiple_of(PAGE_BYTES)
}
