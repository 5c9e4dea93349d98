//! The appending end of a journal: batches queue here for the next commit, and their appenders wait for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use uuid::Uuid;

use super::commit::Entry;
use super::file::{JournalFileId, Lane};
use super::group::{CommitObserver, CommitTicket, Group};
use super::space::Space;
use super::writer::CommitWriter;
use crate::bounds::{COMMIT_BYTES_WORTH_A_WRITE, COMMITS_IN_FLIGHT_MAX};
use crate::error::IoFailure;
use crate::id::{PartitionId, ShardId};
use crate::reactor::Io;
use crate::reactor::sync::{Notify, OwnedPermit};
use crate::volume::FailedMark;

/// What a journal is made of.
pub struct JournalSettings {
    pub dir: PathBuf,
    /// Random per directory; see `commit`.
    pub journal: Uuid,
    pub shard: ShardId,
    pub lane: Lane,
    pub generation: u64,
    pub bytes_max: u64,
    /// Of the directory; set with this journal's first failure.
    pub has_failed: FailedMark,
}

/// Where an entry went.
pub struct Submitted {
    /// Sequence of the commit that carries it.
    pub sequence: u64,
    pub ticket: CommitTicket,
}

/// One journal of a shard in a directory. Cheap to share (`Rc`) within the shard.
pub struct Journal {
    pub(super) io: Io,
    pub(super) settings: JournalSettings,
    pub(super) space: Rc<Space>,
    pub(super) queue: RefCell<VecDeque<Group>>,
    next_sequence: Cell<u64>,
    /// Everything up to this commit is durable, without a gap.
    pub(super) committed_sequence: Cell<u64>,
    /// Commits that are being written.
    pub(super) in_flight: Cell<usize>,
    pub(super) failure: RefCell<Option<IoFailure>>,
    /// The next commit has had no place for long: nothing more is taken on until it has one.
    pub(super) stuck: RefCell<Option<IoFailure>>,
    pub(super) closing: Cell<bool>,
    pub(super) work: Notify,
    idle: Notify,
}

impl Journal {
    /// Opens the journal on the files that recovery left (`files`), and starts its writing task.
    ///
    /// # Errors
    /// When the first file cannot be created.
    pub async fn open(
        io: &Io,
        settings: JournalSettings,
        files: &[JournalFileId],
    ) -> Result<Rc<Journal>, IoFailure> {
        let JournalSettings { dir, journal, shard, lane, bytes_max, .. } = &settings;
        let space = Rc::new(Space::new(io, dir, *journal, *shard, *lane, *bytes_max));
        for id in files {
            space.adopt(*id).await?;
        }
        space.prepare().await?;
        let journal = Rc::new(Journal {
            io: io.clone(),
            settings,
            space,
            queue: RefCell::new(VecDeque::new()),
            next_sequence: Cell::new(1),
            committed_sequence: Cell::new(0),
            in_flight: Cell::new(0),
            failure: RefCell::new(None),
            stuck: RefCell::new(None),
            closing: Cell::new(false),
            work: Notify::new(),
            idle: Notify::new(),
        });
        io.spawn("journal", Rc::clone(&journal).write_commits()).detach();
        Ok(journal)
    }

    pub fn dir(&self) -> &Path {
        &self.settings.dir
    }

    pub fn lane(&self) -> Lane {
        self.settings.lane
    }

    /// Queues a stamped batch for the next commit. Never waits: what it submits was `admitted` before, and gives that
    /// room back when the commit has ended.
    pub fn submit(
        &self,
        partition: PartitionId,
        bytes: Bytes,
        end: i64,
        observer: Rc<dyn CommitObserver>,
        admitted: OwnedPermit,
    ) -> Submitted {
        let mut queue = self.queue.borrow_mut();
        if !queue.back().is_some_and(|group| group.takes(bytes.len())) {
            queue.push_back(self.new_group());
        }
        let Some(group) = queue.back_mut() else { panic!("a group was just pushed") };
        group.add(Entry { partition, bytes }, observer, end, admitted);
        let submitted = Submitted { sequence: group.sequence, ticket: group.ticket.clone() };
        drop(queue);
        if self.may_start() {
            self.work.notify_all();
        }
        submitted
    }

    pub(super) fn new_group(&self) -> Group {
        let sequence = self.next_sequence.get();
        self.next_sequence.set(sequence + 1);
        Group::new(sequence)
    }

    /// Whether the next commit is worth its write: at once when none is being written, beside others only with enough
    /// in it, since each write costs the device and this core about the same.
    pub(super) fn may_start(&self) -> bool {
        let in_flight = self.in_flight.get();
        let queue = self.queue.borrow();
        let Some(next) = queue.front() else { return false };
        in_flight == 0
            || in_flight < COMMITS_IN_FLIGHT_MAX
                && (next.payload_bytes >= COMMIT_BYTES_WORTH_A_WRITE || queue.len() > 1)
    }

    /// The failure after which nothing more is acknowledged, if there was one.
    pub fn failure(&self) -> Option<IoFailure> {
        self.failure.borrow().clone()
    }

    /// Why the next commit has had no place for longer than clients wait, if so. What is queued is still to come.
    pub fn stuck(&self) -> Option<IoFailure> {
        self.stuck.borrow().clone()
    }

    /// A commit has failed: nothing is acknowledged any more.
    pub(super) fn fail(&self, failure: &IoFailure) {
        self.settings.has_failed.note();
        if self.failure.borrow_mut().replace(failure.clone()).is_none() {
            tracing::error!(
                "{} stops acknowledging: {failure}; restart the server once the disk is mended",
                self.dir().display()
            );
        }
    }

    /// Stops acknowledging, as a failed commit does: for a failed sync elsewhere in the directory.
    pub fn fence(&self, failure: &IoFailure) {
        self.failure.borrow_mut().get_or_insert_with(|| failure.clone());
        self.work.notify_all();
        self.space.interrupt(failure);
    }

    pub fn committed_sequence(&self) -> u64 {
        self.committed_sequence.get()
    }

    /// Sequence that the next new commit will have.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence.get()
    }

    pub fn generation(&self) -> u64 {
        self.settings.generation
    }

    pub fn used_bytes(&self) -> u64 {
        self.space.used_bytes()
    }

    pub fn capacity_bytes(&self) -> u64 {
        self.space.capacity_bytes()
    }

    /// No commit below `needed` will be wanted again.
    pub fn release(&self, needed: u64) {
        self.space.release(needed);
    }

    /// Waits until everything submitted is durable or failed, attests it, and ends the task.
    pub async fn close(&self) {
        self.closing.set(true);
        self.work.notify_all();
        while !self.queue.borrow().is_empty() || self.closing.get() {
            self.idle.notified().await;
        }
    }

    async fn write_commits(self: Rc<Self>) {
        CommitWriter::new(Rc::clone(&self)).run().await;
        self.closing.set(false);
        self.idle.notify_all();
    }
}
