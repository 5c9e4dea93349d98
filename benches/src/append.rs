//! The append path that the runtimes share: batches gather in a group while the one before is written.
//!
//! Belongs to one thread. It knows no runtime: futures here are woken by plain wakers, so that a baseline differs from
//! another only in who polls, receives, sends and writes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::group::{Group, Pages};
use crate::report;
use crate::wire::{self, Request};

/// Tells those whose batches went into one group that it is written.
#[derive(Debug, Clone, Default)]
struct Ticket(Rc<TicketState>);

#[derive(Debug, Default)]
struct TicketState {
    is_done: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Ticket {
    async fn done(&self) {
        poll_fn(|context| {
            if self.0.is_done.get() {
                return Poll::Ready(());
            }
            self.0.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn finish(&self) {
        self.0.is_done.set(true);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// A sealed group for the one who writes the journal.
#[derive(Debug)]
pub struct Commit<B> {
    pub buffer: B,
    /// Bytes to write, from the buffer's front.
    pub bytes: usize,
    ticket: Ticket,
}

struct State<B> {
    filling: Group<B>,
    ticket: Ticket,
    sequence: u64,
    end_offset: i64,
    writer: Option<Waker>,
    without_room: Vec<Waker>,
}

/// One log, and what its connections need to know.
pub struct Appender<B> {
    state: RefCell<State<B>>,
    port: u16,
    checks_crc: bool,
}

impl<B: Pages> Appender<B> {
    /// `port`: where clients are sent.
    pub fn new(buffer: B, port: u16, checks_crc: bool) -> Appender<B> {
        let state = State {
            filling: Group::new(buffer),
            ticket: Ticket::default(),
            sequence: 0,
            end_offset: 0,
            writer: None,
            without_room: Vec::new(),
        };
        Appender { state: RefCell::new(state), port, checks_crc }
    }

    /// Answers one frame into `out`; a Produce after its batch is in the journal.
    ///
    /// # Errors
    /// A request that has no answer: the connection must close.
    pub async fn answer(&self, frame: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match wire::read(frame)? {
            Request::Other(other) => other.answer(self.port, self.state.borrow().end_offset, out),
            Request::Produce(produce) => {
                if self.checks_crc && !produce.crc_ok() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a batch with a wrong CRC"));
                }
                let base_offset = self.append(produce.batch, produce.records).await;
                produce.acknowledge(base_offset, out);
                Ok(())
            }
        }
    }

    async fn append(&self, batch: &[u8], records: i32) -> i64 {
        let (base_offset, ticket) = poll_fn(|context| self.poll_push(context, batch, records)).await;
        ticket.done().await;
        base_offset
    }

    fn poll_push(&self, context: &mut Context<'_>, batch: &[u8], records: i32) -> Poll<(i64, Ticket)> {
        let mut state = self.state.borrow_mut();
        if !state.filling.takes(batch.len()) {
            report::APPEND_STALLS.add(1);
            state.without_room.push(context.waker().clone());
            return Poll::Pending;
        }
        let base_offset = state.end_offset;
        state.end_offset += i64::from(records.max(0));
        state.filling.push(base_offset, batch);
        report::BATCHES.add(1);
        let (writer, ticket) = (state.writer.take(), state.ticket.clone());
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready((base_offset, ticket))
    }

    /// Waits until there is something to write; what comes meanwhile gathers in `spare`.
    pub async fn next_commit(&self, spare: B) -> Commit<B> {
        let mut spare = Some(spare);
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            if state.filling.is_empty() {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            let Some(spare) = spare.take() else { unreachable!("polled after it was ready") };
            state.sequence += 1;
            let full = mem::replace(&mut state.filling, Group::new(spare));
            let ticket = mem::take(&mut state.ticket);
            let (buffer, bytes) = full.seal(state.sequence);
            mem::take(&mut state.without_room).into_iter().for_each(Waker::wake);
            Poll::Ready(Commit { buffer, bytes, ticket })
        })
        .await
    }
}

impl<B> Commit<B> {
    /// Splits off what tells the appenders that the write is done.
    pub fn split(self) -> (B, usize, Written) {
        (self.buffer, self.bytes, Written { bytes: self.bytes, ticket: self.ticket })
    }
}

/// To be called once a group is written as it should be.
#[derive(Debug)]
pub struct Written {
    bytes: usize,
    ticket: Ticket,
}

impl Written {
    /// Lets the group's answers go.
    pub fn finish(self) {
        report::COMMITS.add(1);
        report::JOURNAL_BYTES.add(self.bytes as u64);
        self.ticket.finish();
    }
}
