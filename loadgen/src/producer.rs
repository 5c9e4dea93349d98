//! One producer: a connection to one leader, its batches in round robin over that leader's partitions.
//!
//! Closed loop, a send starts as soon as an in-flight slot is free. Open loop, every record has a due time fixed
//! beforehand; a batch goes when it is full or its oldest record has waited `linger`, and whatever holds it up (no
//! slot, a stalled broker) counts into the latency of its records.
//!
//! Without idempotence nothing is ever sent twice: what was in flight when a connection broke is `unknown`. With it,
//! the same batches go again in the same order, with the same sequence numbers, until each is acknowledged.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use crate::batch::{Builder, REQUEST_ROOM, Shape, Stamp};
use crate::connection::{Connection, Frames};
use crate::ledger::Acked;
use crate::pace::{Alarm, Schedule};
use crate::payload::{Proved, Timed};
use crate::plan::{Plan, ProducerId, Progress, Window};
use crate::stats::Stats;
use crate::wire;
use crate::wire::request::{self, ProduceHead};
use crate::wire::response;

const REQUEST_TIMEOUT_MS: i32 = 30_000;
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
const DUPLICATE_SEQUENCE: i16 = 46;

/// Refusals that pass by themselves, so an idempotent producer sends again (Kafka's retriable errors).
fn is_retriable(code: i16) -> bool {
    matches!(code, 3 | 5 | 6 | 7 | 8 | 9 | 13 | 14 | 15 | 16 | 19 | 20 | 56 | 74 | 75)
}

/// What the worker hands to each of its producers.
pub struct Assignment {
    pub plan: Arc<Plan>,
    /// Number of this producer in the run, and how many there are.
    pub number: u32,
    pub of: u32,
    /// Indices into [`Plan::placed`], all led by one broker.
    pub partitions: Vec<u32>,
    pub worker: usize,
    pub stats: Rc<RefCell<Stats>>,
    pub acked: Rc<RefCell<Vec<Acked>>>,
    pub spun_ns: Rc<Cell<u64>>,
}

/// A batch as decided, so that it can be built again byte for byte.
#[derive(Debug, Clone, Copy)]
struct Decided {
    /// Index into the producer's own partitions.
    target: usize,
    first_record: u64,
    count: u32,
    base_sequence: i32,
    intended_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    batch: Decided,
    sent_ns: u64,
    correlation: i32,
    bytes: usize,
}

/// Shared between the sending and the receiving half.
#[derive(Default)]
struct Flight {
    queue: RefCell<VecDeque<Sent>>,
    changed: Notify,
    /// When the newest slot became free, for telling our own slip from the broker's.
    freed_ns: Cell<u64>,
    sender_done: Cell<bool>,
    broken: Cell<bool>,
    schedule: Cell<Option<Schedule>>,
    next_record: Cell<u64>,
    /// Taken back from a broken connection, to go again first (idempotent only).
    resend: RefCell<VecDeque<Sent>>,
}

pub struct Producer {
    a: Assignment,
    id: ProducerId,
    builder: Builder,
    buffer: Vec<u8>,
    schedule: Option<Schedule>,
    alarm: Alarm,
    cursor: usize,
    sequences: Vec<i32>,
    correlation: i32,
    flight: Rc<Flight>,
}

enum Next {
    Send(Decided),
    WaitUntil(u64),
    Finished,
}

impl Producer {
    pub fn new(a: Assignment) -> io::Result<Self> {
        let t = &a.plan.traffic;
        let builder = Builder::new(Shape {
            record_bytes: t.record_bytes,
            batch_bytes: t.batch_bytes,
            codec: t.codec,
            keys: t.keys,
            seed: u64::from(a.number) * 7919,
            proved: t.proved,
            timed: t.consumers > 0,
        });
        let none = ProducerId { id: -1, epoch: -1 };
        let id = a.plan.producer_ids.get(a.number as usize).copied().unwrap_or(none);
        let alarm = Alarm::new(a.plan.clock, a.spun_ns.clone())?;
        let cursor = a.partitions.len() * a.number as usize / a.of as usize;
        Ok(Self {
            id,
            buffer: builder.buffer(),
            builder,
            schedule: None,
            alarm,
            cursor: cursor % a.partitions.len(),
            sequences: vec![0; a.partitions.len()],
            correlation: 0,
            flight: Rc::new(Flight::default()),
            a,
        })
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.a.plan.placed[self.a.partitions[0] as usize].leader
    }

    /// A handle that outlives the producer's future, for settling what was still in flight when time ran out.
    pub fn settlement(&self) -> Settlement {
        Settlement { plan: self.a.plan.clone(), stats: self.a.stats.clone(), flight: self.flight.clone() }
    }

    /// Sends until the window ends and every answer is in. `first` is the connection opened before the start.
    pub async fn run(mut self, first: Connection, window: &Window) -> io::Result<()> {
        let traffic = &self.a.plan.traffic;
        self.schedule = traffic.rate.records_per_second(traffic.record_bytes).map(|rate| {
            let (share, of) = (self.a.number as usize, self.a.of as usize);
            Schedule::new(window.traffic_start_ns, rate / of as f64, share, of)
        });
        self.flight.schedule.set(self.schedule);
        self.alarm.until(window.traffic_start_ns).await?;
        let mut connection = Some(first);
        loop {
            let session = match connection.take() {
                Some(open) => self.session(open, window).await,
                None => self.reopened(window).await,
            };
            match session {
                Ok(()) => break,
                Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(e),
                Err(e) if !self.may_reconnect() => return Err(e),
                Err(_lost) => {}
            }
            if self.flight.resend.borrow().is_empty() && self.a.plan.clock.now() >= window.end_ns() {
                break;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        Ok(())
    }

    async fn reopened(&mut self, window: &Window) -> io::Result<()> {
        let connection = Connection::open(self.address()).await?;
        self.a.stats.borrow_mut().reconnects += 1;
        self.session(connection, window).await
    }

    fn live(&self) -> &Progress {
        &self.a.plan.progress[self.a.worker]
    }

    fn may_reconnect(&self) -> bool {
        self.a.plan.traffic.reconnect || self.a.plan.traffic.idempotent
    }

    /// Traffic over one connection; an error leaves the producer ready for the next.
    async fn session(&mut self, connection: Connection, window: &Window) -> io::Result<()> {
        let flight = self.flight.clone();
        flight.sender_done.set(false);
        flight.broken.set(false);
        let receiver = Receiver {
            plan: self.a.plan.clone(),
            partitions: self.a.partitions.clone(),
            number: self.a.number,
            worker: self.a.worker,
            stats: self.a.stats.clone(),
            acked: self.a.acked.clone(),
            schedule: self.schedule,
            flight: flight.clone(),
        };
        let receive = async {
            let result = receiver.run(connection.frames(), window).await;
            flight.broken.set(true);
            flight.changed.notify_one();
            connection.close();
            result
        };
        let send = async {
            let result = self.send_all(&connection, window).await;
            flight.sender_done.set(true);
            if result.is_err() || flight.queue.borrow().is_empty() {
                connection.close();
            }
            result
        };
        let (received, sent) = tokio::join!(receive, send);
        let lost: Vec<Sent> = flight.queue.borrow_mut().drain(..).collect();
        self.live().settled_batches.fetch_add(lost.len() as u64, Ordering::Relaxed);
        self.take_back(lost);
        received.and(sent)
    }

    /// What was in flight on a connection that broke.
    fn take_back(&mut self, lost: Vec<Sent>) {
        if self.a.plan.traffic.idempotent {
            for sent in lost.into_iter().rev() {
                self.flight.resend.borrow_mut().push_front(sent);
            }
        } else {
            let records: u64 = lost.iter().map(|s| u64::from(s.batch.count)).sum();
            self.a.stats.borrow_mut().unknown_records += records;
        }
    }

    async fn send_all(&mut self, connection: &Connection, window: &Window) -> io::Result<()> {
        loop {
            while self.flight.queue.borrow().len() >= self.a.plan.traffic.in_flight
                && !self.flight.broken.get()
            {
                self.flight.changed.notified().await;
            }
            if self.flight.broken.get() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let again = self.flight.resend.borrow_mut().pop_front();
            if let Some(again) = again {
                self.a.stats.borrow_mut().resent_batches += 1;
                self.transmit(connection, again.batch, again.sent_ns).await?;
                continue;
            }
            let now = self.a.plan.clock.now();
            match self.decide(now, window.end_ns()) {
                Next::Finished => return Ok(()),
                Next::WaitUntil(due) => self.alarm.until(due).await?,
                Next::Send(batch) => {
                    self.note_slip(&batch, now, window);
                    self.flight.next_record.set(batch.first_record + u64::from(batch.count));
                    self.advance(&batch);
                    self.a.stats.borrow_mut().sent_records += u64::from(batch.count);
                    self.transmit(connection, batch, now).await?;
                }
            }
        }
    }

    fn decide(&self, now: u64, end: u64) -> Next {
        let batch = |count, intended_ns| {
            Next::Send(Decided {
                target: self.cursor,
                first_record: self.flight.next_record.get(),
                count,
                base_sequence: if self.id.id < 0 { -1 } else { self.sequences[self.cursor] },
                intended_ns,
            })
        };
        let max = self.builder.records_max();
        let Some(schedule) = self.schedule else {
            return if now >= end { Next::Finished } else { batch(max, now) };
        };
        let first_due = schedule.at(self.flight.next_record.get());
        if first_due >= end {
            return Next::Finished;
        }
        let ready = self.ready_at(&schedule);
        if now < ready {
            return Next::WaitUntil(ready);
        }
        let due = schedule.due(now.min(end - 1)) - self.flight.next_record.get();
        batch(due.min(u64::from(max)) as u32, first_due)
    }

    /// When the next batch should leave: full, or its first record waited for `linger`.
    fn ready_at(&self, schedule: &Schedule) -> u64 {
        let full = schedule.at(self.flight.next_record.get() + u64::from(self.builder.records_max()) - 1);
        full.min(schedule.at(self.flight.next_record.get()) + self.a.plan.traffic.linger.as_nanos() as u64)
    }

    fn note_slip(&self, batch: &Decided, now: u64, window: &Window) {
        if let Some(schedule) = &self.schedule
            && window.contains(batch.intended_ns)
        {
            let could = self.ready_at(schedule).max(self.flight.freed_ns.get());
            self.a.stats.borrow_mut().slip.record(now.saturating_sub(could), 1);
        }
    }

    fn advance(&mut self, batch: &Decided) {
        // Sequence numbers wrap from i32::MAX to 0 (KIP-98).
        let next = (i64::from(self.sequences[self.cursor]) + i64::from(batch.count)) & i64::from(i32::MAX);
        self.sequences[self.cursor] = next as i32;
        self.cursor = (self.cursor + 1) % self.a.partitions.len();
    }

    async fn transmit(&mut self, connection: &Connection, batch: Decided, sent_ns: u64) -> io::Result<()> {
        let plan = self.a.plan.clone();
        let bytes = self.builder.write(&self.stamp(&batch), &mut self.buffer)?;
        self.correlation = self.correlation.wrapping_add(1);
        let placed = &plan.placed[self.a.partitions[batch.target] as usize];
        let head = request::produce_head(
            self.correlation,
            &ProduceHead {
                acks: plan.traffic.acks,
                timeout_ms: REQUEST_TIMEOUT_MS,
                topic: &plan.topics[placed.topic],
                partition: placed.partition,
                batch_bytes: bytes,
            },
        );
        let from = REQUEST_ROOM - head.len();
        self.buffer[from..REQUEST_ROOM].copy_from_slice(&head);
        let sent = Sent { batch, sent_ns, correlation: self.correlation, bytes };
        if plan.traffic.acks != 0 {
            self.flight.queue.borrow_mut().push_back(sent);
        }
        self.live().sent_batches.fetch_add(1, Ordering::Relaxed);
        let (result, buffer) =
            connection.send(std::mem::take(&mut self.buffer), from..REQUEST_ROOM + bytes).await;
        self.buffer = buffer;
        result?;
        if plan.traffic.acks == 0 {
            let now = plan.clock.now();
            record_ack(
                &plan,
                self.a.worker,
                &mut self.a.stats.borrow_mut(),
                &sent,
                self.schedule.as_ref(),
                now,
            );
        }
        Ok(())
    }

    fn stamp(&self, batch: &Decided) -> Stamp {
        let plan = &self.a.plan;
        let unix_us = plan.clock.unix_us(batch.intended_ns);
        let step_ns = self.schedule.map_or(0, |s| s.interval_ns().min(f64::from(u32::MAX)) as u32);
        Stamp {
            count: batch.count,
            producer_id: self.id.id,
            producer_epoch: self.id.epoch,
            base_sequence: batch.base_sequence,
            timed: Timed { run: plan.run, first_unix_us: unix_us, step_ns },
            proved: Proved {
                run: plan.run,
                producer: self.a.number,
                partition: self.a.partitions[batch.target],
                sequence: batch.first_record,
                unix_us,
            },
        }
    }
}

/// The receiving half: matches answers to what was sent, in order.
struct Receiver {
    plan: Arc<Plan>,
    partitions: Vec<u32>,
    number: u32,
    worker: usize,
    stats: Rc<RefCell<Stats>>,
    acked: Rc<RefCell<Vec<Acked>>>,
    schedule: Option<Schedule>,
    flight: Rc<Flight>,
}

impl Receiver {
    async fn run(&self, mut frames: Frames, window: &Window) -> io::Result<()> {
        let mut fresh = Vec::new();
        loop {
            if self.flight.sender_done.get() && self.flight.queue.borrow().is_empty() {
                return Ok(());
            }
            let Some(frame) = frames.next().await? else {
                let done = self.flight.sender_done.get() && self.flight.queue.borrow().is_empty();
                return if done { Ok(()) } else { Err(io::ErrorKind::ConnectionReset.into()) };
            };
            let now = self.plan.clock.now();
            let outcome = self.answer(frame, now, &mut fresh);
            if outcome.is_err() || !frames.has_buffered() {
                self.keep(&mut fresh)?;
            }
            outcome?;
            self.flight.freed_ns.set(now);
            self.flight.changed.notify_one();
            debug_assert!(window.start_ns >= window.traffic_start_ns);
        }
    }

    /// Hands acknowledgements to the ledger before any later one is waited for.
    fn keep(&self, fresh: &mut Vec<Acked>) -> io::Result<()> {
        if fresh.is_empty() {
            return Ok(());
        }
        if let Some(ledger) = &self.plan.ledger {
            ledger.append(fresh)?;
        }
        self.acked.borrow_mut().append(fresh);
        Ok(())
    }

    fn answer(&self, frame: &[u8], now: u64, fresh: &mut Vec<Acked>) -> io::Result<()> {
        let bad =
            |e: wire::WireError| io::Error::new(io::ErrorKind::InvalidData, format!("Produce response: {e}"));
        let (correlation, mut d) = response::correlation(frame).map_err(bad)?;
        let ack = response::produce(&mut d).map_err(bad)?;
        let front = self.flight.queue.borrow().front().copied();
        let Some(sent) = front.filter(|s| s.correlation == correlation) else {
            let text =
                format!("answer {correlation} is not the next one due: the broker reordered or invented it");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        let idempotent = self.plan.traffic.idempotent;
        if idempotent && is_retriable(ack.error) {
            return Err(io::Error::other(format!("to be sent again: {}", wire::error_name(ack.error))));
        }
        self.flight.queue.borrow_mut().pop_front();
        if ack.error == 0 || (idempotent && ack.error == DUPLICATE_SEQUENCE) {
            let offset = if ack.error == 0 { ack.base_offset } else { -1 };
            self.acknowledge(&sent, offset, now, fresh);
            return Ok(());
        }
        self.refuse(&sent, ack.error);
        if idempotent {
            let text = format!("idempotent batch refused: {} ({})", wire::error_name(ack.error), ack.error);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(())
    }

    fn acknowledge(&self, sent: &Sent, base_offset: i64, now: u64, fresh: &mut Vec<Acked>) {
        let schedule = self.schedule.as_ref();
        record_ack(&self.plan, self.worker, &mut self.stats.borrow_mut(), sent, schedule, now);
        if self.plan.traffic.proved {
            fresh.push(Acked {
                producer: self.number,
                partition: self.partitions[sent.batch.target],
                first_sequence: sent.batch.first_record,
                count: sent.batch.count,
                base_offset,
            });
        }
    }

    fn refuse(&self, sent: &Sent, code: i16) {
        let count = u64::from(sent.batch.count);
        *self.stats.borrow_mut().produce_errors.entry(code).or_default() += count;
        let live = &self.plan.progress[self.worker];
        live.errors.fetch_add(count, Ordering::Relaxed);
        live.settled_batches.fetch_add(1, Ordering::Relaxed);
    }
}

fn record_ack(plan: &Plan, worker: usize, stats: &mut Stats, sent: &Sent, pace: Option<&Schedule>, now: u64) {
    let count = u64::from(sent.batch.count);
    stats.acked_records += count;
    stats.acked_batches += 1;
    let live = &plan.progress[worker];
    live.acked_records.fetch_add(count, Ordering::Relaxed);
    live.settled_batches.fetch_add(1, Ordering::Relaxed);
    live.acked_bytes.fetch_add(sent.bytes as u64, Ordering::Relaxed);
    live.latency_ns_max.fetch_max(now.saturating_sub(sent.batch.intended_ns), Ordering::Relaxed);
    match pace {
        None => live.latency.add(now.saturating_sub(sent.batch.intended_ns), count),
        Some(schedule) => (sent.batch.first_record..sent.batch.first_record + count)
            .for_each(|record| live.latency.add(now.saturating_sub(schedule.at(record)), 1)),
    }
    let Some(window) = plan.window.get() else { return };
    if window.contains(now) {
        stats.window_acked_records += count;
        stats.window_acked_batches += 1;
        stats.acked_bytes += sent.bytes as u64;
    }
    record_latency(window, stats, sent, pace, now);
}

/// Puts each record of a batch into the histograms, from its own intended time to `now`.
fn record_latency(window: &Window, stats: &mut Stats, sent: &Sent, pace: Option<&Schedule>, now: u64) -> u64 {
    let count = u64::from(sent.batch.count);
    let mut inside = 0;
    match pace {
        None if window.contains(sent.batch.intended_ns) => {
            stats.latency.record(now.saturating_sub(sent.batch.intended_ns), count);
            inside = count;
        }
        None => {}
        Some(schedule) => {
            for record in sent.batch.first_record..sent.batch.first_record + count {
                let intended = schedule.at(record);
                if window.contains(intended) {
                    stats.latency.record(now.saturating_sub(intended), 1);
                    inside += 1;
                }
            }
        }
    }
    stats.service.record(now.saturating_sub(sent.sent_ns), inside);
    inside
}

/// Settles what a run that ran out of time left in flight.
pub struct Settlement {
    plan: Arc<Plan>,
    stats: Rc<RefCell<Stats>>,
    flight: Rc<Flight>,
}

impl Settlement {
    /// Records that were never answered enter the histograms with the age they reached: a lower bound of their
    /// latency, so that a stall at the end cannot hide. Records that were due and never left are counted.
    pub fn settle(self) {
        let Some(window) = self.plan.window.get() else { return };
        let now = self.plan.clock.now();
        let schedule = self.flight.schedule.get();
        let mut stats = self.stats.borrow_mut();
        let again = self.flight.resend.take();
        for sent in self.flight.queue.take().into_iter().chain(again) {
            let inside = record_latency(window, &mut stats, &sent, schedule.as_ref(), now);
            stats.censored_records += inside;
            stats.unknown_records += u64::from(sent.batch.count);
        }
        let Some(schedule) = schedule else { return };
        let first = schedule.due(window.start_ns.saturating_sub(1)).max(self.flight.next_record.get());
        for record in first..schedule.due(window.end_ns().saturating_sub(1)) {
            stats.latency.record(now.saturating_sub(schedule.at(record)), 1);
            stats.unsent_records += 1;
        }
    }
}
