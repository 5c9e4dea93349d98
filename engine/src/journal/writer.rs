//! The task that turns pending entries into commits, one write in flight.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::commit::{self, CommitId, Entry};
use super::file::{JournalFileId, Lane};
use super::space::{Slot, Space};
use crate::bounds::{ATTEST_AFTER_MS, COMMIT_BYTES_MAX, COMMIT_ENTRIES_MAX};
use crate::error::IoFailure;
use crate::id::{PartitionId, ShardId};
use crate::io::{AlignedBuf, PAGE_BYTES};
use crate::reactor::Io;
use crate::reactor::sync::{Notify, OwnedPermit};

/// Told, in commit order, that what it appended is as durable as the journal makes it.
pub trait CommitObserver {
    /// Everything of the observer's up to and excluding `end_offset` is durable.
    fn committed(self: Rc<Self>, end_offset: i64);

    /// What it appended failed, and so will everything after it.
    fn failed(self: Rc<Self>);
}

/// What a journal is made of.
pub struct JournalSettings {
    pub dir: PathBuf,
    /// Random per directory; see `commit`.
    pub journal: Uuid,
    pub shard: ShardId,
    pub lane: Lane,
    pub generation: u64,
    pub bytes_max: u64,
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

/// Where an entry went.
pub struct Submitted {
    /// Sequence of the commit that carries it.
    pub sequence: u64,
    pub ticket: CommitTicket,
}

struct Group {
    /// Room for its bytes among what is not committed yet; given back with the group.
    admitted: Vec<OwnedPermit>,
    sequence: u64,
    entries: Vec<Entry>,
    observers: Vec<(Rc<dyn CommitObserver>, i64)>,
    payload_bytes: usize,
    ticket: CommitTicket,
}

impl Group {
    fn takes(&self, bytes: usize) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < COMMIT_ENTRIES_MAX && self.payload_bytes + bytes <= COMMIT_BYTES_MAX)
    }
}

/// One journal of a shard in a directory. Cheap to share (`Rc`) within the shard.
pub struct Journal {
    io: Io,
    settings: JournalSettings,
    space: Rc<Space>,
    queue: RefCell<VecDeque<Group>>,
    next_sequence: Cell<u64>,
    committed_sequence: Cell<u64>,
    failure: RefCell<Option<IoFailure>>,
    closing: Cell<bool>,
    work: Notify,
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
            failure: RefCell::new(None),
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
        group.payload_bytes += bytes.len();
        group.entries.push(Entry { partition, bytes });
        group.observers.push((observer, end));
        group.admitted.push(admitted);
        let submitted = Submitted { sequence: group.sequence, ticket: group.ticket.clone() };
        drop(queue);
        self.work.notify_all();
        submitted
    }

    fn new_group(&self) -> Group {
        let sequence = self.next_sequence.get();
        self.next_sequence.set(sequence + 1);
        Group {
            admitted: Vec::new(),
            sequence,
            entries: Vec::new(),
            observers: Vec::new(),
            payload_bytes: 0,
            ticket: CommitTicket::default(),
        }
    }

    /// The failure after which nothing more is acknowledged, if there was one.
    pub fn failure(&self) -> Option<IoFailure> {
        self.failure.borrow().clone()
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
        let mut writer = CommitWriter { journal: &self, previous_crc: 0, attested: true };
        loop {
            let next = self.queue.borrow_mut().pop_front();
            match next {
                Some(group) => writer.commit(group).await,
                None if self.closing.get() => break,
                None => writer.rest().await,
            }
        }
        writer.attest().await;
        self.closing.set(false);
        self.idle.notify_all();
    }
}

/// The state of the writing task.
struct CommitWriter<'a> {
    journal: &'a Journal,
    previous_crc: u32,
    /// Whether a later commit attests the last one that carried data.
    attested: bool,
}

impl CommitWriter<'_> {
    /// Nothing is pending: after a short quiet, attest the last commit; then wait for work.
    async fn rest(&mut self) {
        let work = self.journal.work.notified();
        if self.attested || self.journal.failure.borrow().is_some() {
            work.await;
        } else if self.journal.io.timeout(Duration::from_millis(ATTEST_AFTER_MS), work).await.is_err() {
            self.attest().await;
        }
    }

    async fn attest(&mut self) {
        if !self.attested {
            let group = self.journal.new_group();
            self.commit(group).await;
            self.attested = true;
        }
    }

    async fn commit(&mut self, group: Group) {
        let failed = self.journal.failure();
        let outcome = match failed {
            Some(failure) => Err(failure),
            None => self.write(&group).await,
        };
        match &outcome {
            Ok(()) => {
                self.journal.committed_sequence.set(group.sequence);
                self.attested = group.entries.is_empty();
                for (observer, end) in &group.observers {
                    Rc::clone(observer).committed(*end);
                }
            }
            Err(failure) => {
                if self.journal.failure.borrow_mut().replace(failure.clone()).is_none() {
                    tracing::error!(
                        "{} stops acknowledging: {failure}; restart the server once the disk is mended",
                        self.journal.dir().display()
                    );
                }
                for (observer, _) in &group.observers {
                    Rc::clone(observer).failed();
                }
            }
        }
        group.ticket.finish(outcome);
    }

    async fn write(&mut self, group: &Group) -> Result<(), IoFailure> {
        let journal = self.journal;
        let used = commit::used_bytes(group.entries.len(), group.payload_bytes);
        let padded = used.next_multiple_of(PAGE_BYTES);
        let slot = journal.space.take(padded as u64, group.sequence).await?;
        let mut target = AlignedBuf::recycled(padded);
        let id = CommitId { generation: journal.settings.generation, sequence: group.sequence };
        let header =
            commit::encode(&mut target, journal.settings.journal, id, self.previous_crc, &group.entries);
        let bytes = target.freeze().slice(..padded);
        self.put(&slot, bytes).await.map_err(|error| IoFailure::new("commit to", &*slot.path, error))?;
        self.previous_crc = header.crc;
        Ok(())
    }

    async fn put(&self, slot: &Slot, bytes: Bytes) -> std::io::Result<()> {
        let durable = self.journal.lane() == Lane::Durable;
        slot.file.write_at(bytes, slot.position, durable).await
    }
}
