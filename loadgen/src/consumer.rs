//! One consumer: a connection to one leader that reads its share of the partitions there, each by one consumer only.
//!
//! Uses a fetch session (KIP-227), so that a request names only the partitions that moved; a broker that grants none
//! gets full requests. Records are not unpacked, except packed ones for their time, and all of them in a proof.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::audit::{Seen, SeenRange};
use crate::connection::{Connection, Frames};
use crate::log_reader::{BatchError, BatchView, Checks, batches};
use crate::payload::{self, ProofError};
use crate::plan::{Plan, Window};
use crate::stats::Stats;
use crate::wire::WireError;
use crate::wire::request::{self, FetchHead};
use crate::wire::response::{self, Fetched};

/// How long a broker may hold a request that has nothing to return; also how fast a consumer notices the end.
const MAX_WAIT_MS: i32 = 100;
const PAUSE: Duration = Duration::from_millis(50);
const SESSION_NOT_FOUND: i16 = 70;
const SESSION_EPOCH_INVALID: i16 = 71;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_PARTITION: i16 = 3;

/// What the worker hands to each of its consumers.
pub struct Share {
    pub plan: Arc<Plan>,
    /// Indices into [`Plan::placed`], all led by one broker.
    pub partitions: Vec<u32>,
    pub worker: usize,
    pub stats: Rc<RefCell<Stats>>,
    pub seen: Rc<RefCell<Seen>>,
}

struct Position {
    index: u32,
    offset: i64,
    high_watermark: i64,
    /// Moved since the broker was last told.
    is_stale: bool,
}

pub struct Consumer {
    s: Share,
    positions: Vec<Position>,
    /// (topic index, partition number) -> index into `positions`.
    by_partition: HashMap<(usize, i32), usize>,
    by_topic: HashMap<String, usize>,
    session_id: i32,
    session_epoch: i32,
    correlation: i32,
}

impl Consumer {
    pub fn new(s: Share) -> Self {
        let position = |&index: &u32| {
            let offset = s.plan.begin[index as usize];
            Position { index, offset, high_watermark: offset, is_stale: true }
        };
        let positions: Vec<Position> = s.partitions.iter().map(position).collect();
        let placed = |i: u32| &s.plan.placed[i as usize];
        let by_partition = positions
            .iter()
            .enumerate()
            .map(|(at, p)| ((placed(p.index).topic, placed(p.index).partition), at))
            .collect();
        let by_topic = s.plan.topics.iter().cloned().enumerate().map(|(i, name)| (name, i)).collect();
        Self { positions, by_partition, by_topic, session_id: 0, session_epoch: 0, correlation: 0, s }
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.s.plan.placed[self.s.partitions[0] as usize].leader
    }

    pub async fn run(mut self, first: Connection, window: &Window) -> io::Result<()> {
        let mut connection = Some(first);
        loop {
            let session = match connection.take() {
                Some(open) => self.session(open, window).await,
                None => match Connection::open(self.address()).await {
                    Ok(open) => self.session(open, window).await,
                    Err(e) => Err(e),
                },
            };
            match session {
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(e),
                Err(e) if !(self.s.plan.traffic.reconnect || self.s.plan.traffic.idempotent) => {
                    return Err(e);
                }
                Err(_lost) if self.is_finished(window) => return Ok(()),
                Err(_lost) => self.s.stats.borrow_mut().reconnects += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn session(&mut self, connection: Connection, window: &Window) -> io::Result<()> {
        self.forget_session();
        let mut frames = connection.frames();
        while !self.is_finished(window) {
            let request = self.request();
            let length = request.len();
            connection.send(request, 0..length).await.0?;
            if self.receive(&mut frames, window).await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
        connection.close();
        Ok(())
    }

    fn forget_session(&mut self) {
        (self.session_id, self.session_epoch) = (0, 0);
        self.positions.iter_mut().for_each(|p| p.is_stale = true);
    }

    /// With producers in the run: everything they had acknowledged has been read. Without, or replaying: time is up.
    fn is_finished(&self, window: &Window) -> bool {
        let time_is_up = self.s.plan.clock.now() >= window.end_ns();
        if self.s.plan.traffic.replay {
            return time_is_up;
        }
        match self.s.plan.targets.get() {
            Some(targets) => self.positions.iter().all(|p| p.offset >= targets[p.index as usize]),
            None => self.s.plan.traffic.producers == 0 && time_is_up,
        }
    }

    fn request(&mut self) -> Vec<u8> {
        let mut by_topic: BTreeMap<usize, Vec<(i32, i64)>> = BTreeMap::new();
        for p in self.positions.iter_mut().filter(|p| p.is_stale) {
            let placed = &self.s.plan.placed[p.index as usize];
            by_topic.entry(placed.topic).or_default().push((placed.partition, p.offset));
            p.is_stale = false;
        }
        let topics: Vec<_> = by_topic.into_iter().map(|(t, p)| (self.s.plan.topics[t].as_str(), p)).collect();
        let head = FetchHead {
            max_wait_ms: MAX_WAIT_MS,
            max_bytes: self.s.plan.traffic.fetch_max_bytes,
            partition_max_bytes: self.s.plan.traffic.partition_fetch_bytes,
            session_id: self.session_id,
            session_epoch: self.session_epoch,
        };
        self.correlation = self.correlation.wrapping_add(1);
        request::fetch(self.correlation, &head, &topics)
    }

    /// Takes in one response; true if it held errors, so that the next request should not follow at once.
    async fn receive(&mut self, frames: &mut Frames, window: &Window) -> io::Result<bool> {
        let Some(frame) = frames.next().await? else { return Err(io::ErrorKind::ConnectionReset.into()) };
        let now = self.s.plan.clock.now();
        let bad = |e: WireError| io::Error::new(io::ErrorKind::InvalidData, format!("Fetch response: {e}"));
        let (correlation, mut d) = response::correlation(frame).map_err(bad)?;
        if correlation != self.correlation {
            let text = format!("Fetch answered with id {correlation}, expected {}", self.correlation);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut troubled = false;
        let outcome = response::fetch(&mut d, |fetched| {
            troubled |= self.take_partition(&fetched, now, window);
            Ok(())
        });
        let (error, session) = outcome.map_err(bad)?;
        match error {
            0 if session == 0 => self.forget_session(),
            0 => {
                self.session_id = session;
                self.session_epoch = self.session_epoch.checked_add(1).unwrap_or(1);
            }
            SESSION_NOT_FOUND | SESSION_EPOCH_INVALID => self.forget_session(),
            code => {
                self.note_error(code);
                troubled = true;
            }
        }
        Ok(troubled)
    }

    fn note_error(&self, code: i16) {
        *self.s.stats.borrow_mut().fetch_errors.entry(code).or_default() += 1;
        self.s.plan.progress[self.s.worker].errors.fetch_add(1, Ordering::Relaxed);
    }

    fn take_partition(&mut self, f: &Fetched<'_>, now: u64, window: &Window) -> bool {
        let topic = self.by_topic.get(f.topic).copied();
        let Some(&at) = topic.and_then(|t| self.by_partition.get(&(t, f.partition))) else {
            self.note_error(UNKNOWN_PARTITION);
            return true;
        };
        if f.error != 0 {
            self.note_error(f.error);
            self.positions[at].is_stale = true;
            if f.error == OFFSET_OUT_OF_RANGE && self.s.plan.traffic.replay {
                self.positions[at].offset = self.s.plan.begin[self.positions[at].index as usize];
            }
            return true;
        }
        self.positions[at].high_watermark = f.high_watermark;
        self.take_records(at, f.records, now, window);
        if self.s.plan.traffic.replay && self.positions[at].offset >= f.high_watermark {
            self.positions[at].offset = self.s.plan.begin[self.positions[at].index as usize];
            self.positions[at].is_stale = true;
        }
        false
    }

    fn take_records(&mut self, at: usize, records: &[u8], now: u64, window: &Window) {
        let checks = if self.s.plan.traffic.proved { Checks::Crc } else { Checks::None };
        let (mut count, before) = (0u64, self.positions[at].offset);
        for batch in batches(records, checks) {
            match batch {
                Ok(batch) if batch.next_offset() <= self.positions[at].offset => {}
                Ok(batch) => {
                    count += self.take_batch(at, &batch, now, window);
                    self.positions[at].offset = batch.next_offset();
                }
                Err(e) => {
                    self.corrupt(&e);
                    // Nothing after it can be found; a consumer that stopped here would never end.
                    self.positions[at].offset += 1;
                }
            }
        }
        if self.positions[at].offset == before {
            return;
        }
        self.positions[at].is_stale = true;
        let bytes = records.len() as u64;
        let live = &self.s.plan.progress[self.s.worker];
        live.consumed_records.fetch_add(count, Ordering::Relaxed);
        live.consumed_bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut stats = self.s.stats.borrow_mut();
        stats.consumed_records += count;
        stats.consumed_bytes += bytes;
        if window.contains(now) {
            stats.window_consumed_records += count;
            stats.window_consumed_bytes += bytes;
        }
    }

    fn corrupt(&self, error: &BatchError) {
        let mut seen = self.s.seen.borrow_mut();
        seen.corrupt += 1;
        seen.example(|| error.to_string());
    }

    /// Returns the records of the batch that lie at or after the position asked for.
    fn take_batch(&self, at: usize, batch: &BatchView<'_>, now: u64, window: &Window) -> u64 {
        if batch.is_control() {
            return 0;
        }
        let skip = (self.positions[at].offset - batch.base_offset).max(0) as u64;
        if self.s.plan.traffic.proved {
            self.prove(at, batch, skip, now, window);
        } else if let Err(e) = self.time(batch, skip, now, window) {
            self.corrupt(&e);
        }
        (batch.count.max(0) as u64).saturating_sub(skip)
    }

    /// End-to-end latency of a batch whose first record carries the times of all.
    fn time(&self, batch: &BatchView<'_>, skip: u64, now: u64, window: &Window) -> Result<(), BatchError> {
        let records = batch.unpack()?;
        let Some(first) = records.iter().next().transpose()? else { return Ok(()) };
        let Some(timed) = payload::read_timed(first.value) else { return Ok(()) };
        // A replay reads a record again and again: its age then says nothing.
        if timed.run != self.s.plan.run || self.s.plan.traffic.replay {
            return Ok(());
        }
        let start = self.s.plan.clock.from_unix_us(timed.first_unix_us);
        let mut stats = self.s.stats.borrow_mut();
        let live = &self.s.plan.progress[self.s.worker].end_to_end;
        if timed.step_ns == 0 {
            if start >= 0 && window.contains(start as u64) {
                let count = (batch.count.max(0) as u64).saturating_sub(skip);
                stats.end_to_end.record(now.saturating_sub(start as u64), count);
                live.add(now.saturating_sub(start as u64), count);
            }
            return Ok(());
        }
        for i in skip..batch.count.max(0) as u64 {
            let intended = start.saturating_add((u64::from(timed.step_ns) * i) as i64);
            if intended >= 0 && window.contains(intended as u64) {
                stats.end_to_end.record(now.saturating_sub(intended as u64), 1);
                live.add(now.saturating_sub(intended as u64), 1);
            }
        }
        Ok(())
    }

    /// Checks every byte of every record, and notes which ones came.
    fn prove(&self, at: usize, batch: &BatchView<'_>, skip: u64, now: u64, window: &Window) {
        let mut seen = self.s.seen.borrow_mut();
        let index = self.positions[at].index;
        let placed = &self.s.plan.placed[index as usize];
        let place = |offset: i64| {
            format!("{}-{} offset {offset}", self.s.plan.topics[placed.topic], placed.partition)
        };
        if !batch.is_intact {
            seen.corrupt += batch.count.max(1) as u64;
            seen.example(|| format!("{}: batch CRC does not match", place(batch.base_offset)));
            return;
        }
        let records = match batch.unpack() {
            Ok(records) => records,
            Err(e) => {
                seen.corrupt += batch.count.max(1) as u64;
                return seen.example(|| e.to_string());
            }
        };
        for (i, record) in records.iter().enumerate() {
            let offset = batch.base_offset + i as i64;
            if (i as u64) < skip {
                continue;
            }
            match record.map(|r| payload::read_proved(r.value)) {
                Ok(Ok(p)) if self.is_elsewhere(&p, index) => {
                    seen.misplaced += 1;
                    seen.example(|| format!("{}: belongs to partition index {}", place(offset), p.partition));
                }
                Ok(Ok(p)) => {
                    note(&mut seen.ranges, &p, index, offset);
                    self.time_proved(&p, now, window);
                }
                Ok(Err(ProofError::Foreign)) => seen.foreign += 1,
                Ok(Err(e)) => {
                    seen.corrupt += 1;
                    seen.example(|| format!("{}: {e:?}", place(offset)));
                }
                Err(e) => {
                    seen.corrupt += 1;
                    seen.example(|| format!("{}: {e}", place(offset)));
                }
            }
        }
    }

    /// Partition indices only compare within one run.
    fn is_elsewhere(&self, p: &payload::Proved, index: u32) -> bool {
        p.run == self.s.plan.run && p.partition != index
    }

    fn time_proved(&self, p: &payload::Proved, now: u64, window: &Window) {
        let intended = self.s.plan.clock.from_unix_us(p.unix_us);
        if p.run == self.s.plan.run && intended >= 0 && window.contains(intended as u64) {
            self.s.stats.borrow_mut().end_to_end.record(now.saturating_sub(intended as u64), 1);
            self.s.plan.progress[self.s.worker].end_to_end.add(now.saturating_sub(intended as u64), 1);
        }
    }
}

/// Extends the last range where the record continues it.
fn note(ranges: &mut Vec<SeenRange>, p: &payload::Proved, partition: u32, offset: i64) {
    if let Some(last) = ranges.last_mut() {
        let count = u64::from(last.count);
        let continues = last.partition == partition
            && (last.run, last.producer) == (p.run, p.producer)
            && last.first_sequence + count == p.sequence
            && last.offset + count as i64 == offset
            && last.count < u32::MAX;
        if continues {
            last.count += 1;
            return;
        }
    }
    ranges.push(SeenRange {
        partition,
        offset,
        run: p.run,
        producer: p.producer,
        first_sequence: p.sequence,
        count: 1,
    });
}
