//! Clients: producers, readers and an owner for every partition, as tasks on the shards' own reactors.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_engine::error::{AppendError, ReadError};
use thalweg_engine::id::{PartitionId, TopicPartition};
use thalweg_engine::io::sim::Prng;
use thalweg_engine::log::{Durability, Log, LogOptions, LogSlice, ReadRequest};
use thalweg_engine::reactor::{Io, Task};
use thalweg_engine::storage::Storage;
use uuid::Uuid;

use crate::batch::{self, BatchId, Sequenced};
use crate::harness::{Server, small_options, split};
use crate::oracle::{Known, Oracle, Producer, Stage, Unanswered};

/// Bounds a round of a workload that never pauses.
const BATCHES_PER_ROUND: usize = 40;

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub slots: usize,
    pub durability: Durability,
    /// Topics are removed and created again, records deleted, checkpoints forced.
    pub unrest: bool,
    /// Longest pause between two batches of a producer, microseconds.
    pub pause_us: u64,
}

impl Mix {
    pub fn random(prng: &mut Prng) -> Mix {
        Mix {
            slots: usize::try_from(prng.between(1, 5)).unwrap(),
            durability: prng.pick(&[Durability::Disk, Durability::Disk, Durability::Os]),
            unrest: prng.chance(0.7),
            pause_us: prng.pick(&[0, 500, 5_000, 50_000]),
        }
    }
}

struct Shard {
    io: Io,
    storage: Rc<Storage>,
}

/// The clients of one server.
#[derive(Clone)]
pub struct Clients {
    shards: Rc<Vec<Shard>>,
    pub oracle: Rc<RefCell<Oracle>>,
    mix: Mix,
    stopping: Rc<Cell<bool>>,
    running: Rc<Cell<usize>>,
}

impl Clients {
    pub fn new(server: &Server, oracle: &Rc<RefCell<Oracle>>, mix: Mix) -> Clients {
        let shard = |(at, storage): (usize, &Rc<Storage>)| Shard {
            io: server.runner.io(at).clone(),
            storage: Rc::clone(storage),
        };
        Clients {
            shards: Rc::new(server.storages.iter().enumerate().map(shard).collect()),
            oracle: Rc::clone(oracle),
            mix,
            stopping: Rc::new(Cell::new(false)),
            running: Rc::new(Cell::new(0)),
        }
    }

    fn shard(&self, id: PartitionId) -> &Shard {
        &self.shards[usize::from(id.home(self.shards.len() as u16).0)]
    }

    fn spawn(&self, id: PartitionId, client: impl Future<Output = ()> + 'static) {
        self.running.set(self.running.get() + 1);
        let running = Rc::clone(&self.running);
        let counted = async move {
            client.await;
            running.set(running.get() - 1);
        };
        self.shard(id).io.spawn("client", counted).detach();
    }

    /// Starts the clients of what exists and of what is to be created.
    pub fn start(&self, prng: &mut Prng) {
        for slot in 0..self.mix.slots {
            let name = TopicPartition { topic: format!("topic{slot}"), partition: 0 };
            let live = self.live(&name);
            let id = live.unwrap_or_else(|| self.fresh_topic());
            if live.is_some() {
                self.apply_options(id);
            }
            let clients = self.clone();
            let prng = prng.fork();
            self.spawn(id, async move { clients.own(name, id, live.is_none(), prng).await });
        }
    }

    fn live(&self, name: &TopicPartition) -> Option<PartitionId> {
        let oracle = self.oracle.borrow();
        let mut of_name = oracle.partitions.iter().filter(|(_, known)| known.name == *name);
        of_name.find(|(_, known)| known.stage == Stage::Live).map(|(id, _)| *id)
    }

    fn fresh_topic(&self) -> PartitionId {
        let mut oracle = self.oracle.borrow_mut();
        oracle.next_topic += 1;
        PartitionId { topic: Uuid::from_u128(0x7000 + oracle.next_topic), index: 0 }
    }

    fn options(&self) -> Arc<LogOptions> {
        Arc::new(LogOptions { durability: self.mix.durability, ..small_options() })
    }

    fn apply_options(&self, id: PartitionId) {
        let options = self.options();
        if let Some(log) = self.shard(id).storage.log(id) {
            log.set_options(Arc::clone(&options));
        }
        self.oracle.borrow_mut().known(id).options = options;
    }

    /// Lets every client end once it has its answers.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    pub fn are_done(&self) -> bool {
        self.running.get() == 0
    }

    /// One partition's owner: creates it, lets others use it, and now and then removes it and starts anew.
    async fn own(self, name: TopicPartition, first: PartitionId, mut create: bool, mut prng: Prng) {
        let mut id = first;
        loop {
            if create {
                self.create(&name, id).await;
            }
            let Some(log) = self.shard(id).storage.log(id) else { panic!("{name} is not there") };
            self.start_users(id, &log, &mut prng);
            let gone = self.trouble(id, &log, &mut prng).await;
            if !gone {
                return;
            }
            id = self.fresh_topic();
            create = true;
        }
    }

    async fn create(&self, name: &TopicPartition, id: PartitionId) {
        let options = self.options();
        self.oracle.borrow_mut().partitions.insert(id, Known::new(name.clone(), Arc::clone(&options)));
        let (storage, name) = (Rc::clone(&self.shard(id).storage), name.clone());
        let created = async move { storage.create(&name, id, options).await.map(drop) };
        self.shard(id).io.spawn("create", created).await.unwrap();
        self.oracle.borrow_mut().known(id).stage = Stage::Live;
    }

    fn start_users(&self, id: PartitionId, log: &Rc<Log>, prng: &mut Prng) {
        let have = self.oracle.borrow_mut().known(id).producers.len();
        let wanted = usize::try_from(prng.between(1, 3)).unwrap().max(have);
        for index in have..wanted {
            let mut oracle = self.oracle.borrow_mut();
            let producer_id = if prng.chance(0.6) { oracle.fresh_id() as i64 } else { -1 };
            assert_eq!(oracle.known(id).producers.len(), index);
            oracle.known(id).producers.push(Producer { producer_id, ..Producer::default() });
        }
        for index in 0..wanted {
            let (clients, log, prng) = (self.clone(), Rc::clone(log), prng.fork());
            self.spawn(id, async move { clients.produce(id, log, index, prng).await });
        }
        let (clients, log, prng) = (self.clone(), Rc::clone(log), prng.fork());
        self.spawn(id, async move { clients.consume(id, log, prng).await });
    }

    /// Deletes records, checkpoints, and in the end perhaps removes the partition. True when it did.
    async fn trouble(&self, id: PartitionId, log: &Rc<Log>, prng: &mut Prng) -> bool {
        if !self.mix.unrest {
            return false;
        }
        let (io, storage) = (self.shard(id).io.clone(), Rc::clone(&self.shard(id).storage));
        loop {
            io.sleep(Duration::from_micros(prng.between(100, 200_000))).await;
            if self.stopping.get() {
                return false;
            }
            match prng.below(10) {
                0..=3 => {
                    let checkpoint = checkpoint(Rc::clone(&storage), Rc::clone(log));
                    io.spawn("checkpoint", checkpoint).await;
                }
                4..=6 => self.delete_some(id, &io, &storage, log, prng).await,
                7 => {
                    self.oracle.borrow_mut().known(id).stage = Stage::Removing;
                    let storage = Rc::clone(&storage);
                    io.spawn("remove", async move { storage.remove(id).await }).await.unwrap();
                    self.oracle.borrow_mut().known(id).stage = Stage::Removed;
                    return true;
                }
                _ => (),
            }
        }
    }

    async fn delete_some(
        &self,
        id: PartitionId,
        io: &Io,
        storage: &Rc<Storage>,
        log: &Rc<Log>,
        prng: &mut Prng,
    ) {
        let (start, end) = (log.log_start(), log.high_watermark());
        let before = start + prng.below((end - start).unsigned_abs()) as i64;
        let asked = self.oracle.borrow_mut().known(id).deletion_asked.max(before);
        self.oracle.borrow_mut().known(id).deletion_asked = asked;
        let (storage, log) = (Rc::clone(storage), Rc::clone(log));
        let deletion = async move {
            let reached = log.delete_records(before).await.unwrap();
            checkpoint(storage, log).await;
            reached
        };
        let reached = io.spawn("delete records", deletion).await;
        self.oracle.borrow_mut().known(id).deleted = reached;
    }

    /// One producer: first what it has no answer to, then new batches, several in flight.
    async fn produce(self, id: PartitionId, log: Rc<Log>, index: usize, mut prng: Prng) {
        let io = self.shard(id).io.clone();
        let producer_id = self.oracle.borrow_mut().known(id).producers[index].producer_id;
        let retries = {
            let mut oracle = self.oracle.borrow_mut();
            let producer = &mut oracle.known(id).producers[index];
            // Without a sequence a retry could be a second copy: such a producer gives up on it.
            producer.unanswered.retain(|_| producer_id >= 0);
            producer.unanswered.clone()
        };
        let mut flying: Vec<Task<bool>> = Vec::new();
        for retry in retries {
            flying.push(self.send(&io, id, &log, index, retry.id));
        }
        let mut left = BATCHES_PER_ROUND;
        let depth = usize::try_from(prng.between(1, 5)).unwrap();
        loop {
            let pausing = left == 0 || self.stopping.get();
            while !flying.is_empty() && (flying.len() >= depth || pausing) {
                if !flying.remove(0).await {
                    return;
                }
            }
            if pausing {
                return;
            }
            left -= 1;
            let batch = self.next_batch(id, index, producer_id, io.wall_clock_ms(), &mut prng);
            flying.push(self.send(&io, id, &log, index, batch));
            match self.mix.pause_us {
                0 => io.yield_now().await,
                most => io.sleep(Duration::from_micros(prng.below(most))).await,
            }
        }
    }

    fn next_batch(
        &self,
        partition: PartitionId,
        index: usize,
        producer_id: i64,
        now_ms: i64,
        prng: &mut Prng,
    ) -> BatchId {
        let mut oracle = self.oracle.borrow_mut();
        let id = oracle.fresh_id();
        let known = oracle.known(partition);
        let producer = &mut known.producers[index];
        let records = usize::try_from(prng.between(1, 4)).unwrap();
        let base_sequence = producer.next_sequence;
        producer.next_sequence += records as i32;
        let sequenced = (producer_id >= 0).then_some(Sequenced { producer_id, base_sequence });
        producer.unanswered.push(Unanswered { id });
        let bytes = batch::build(id, records, batch::value_bytes(prng), now_ms, sequenced);
        known.sent.insert(id, bytes);
        id
    }

    /// Resolves to whether the partition still takes batches.
    fn send(&self, io: &Io, id: PartitionId, log: &Rc<Log>, index: usize, batch: BatchId) -> Task<bool> {
        let (oracle, log) = (Rc::clone(&self.oracle), Rc::clone(log));
        let bytes: Bytes = oracle.borrow_mut().known(id).sent[&batch].clone();
        io.spawn("append", async move {
            let answer = log.append(bytes).await;
            let mut oracle = oracle.borrow_mut();
            oracle.appends += 1;
            let known = oracle.known(id);
            match answer {
                Ok(appended) => {
                    known.note_acked(appended.base_offset, batch);
                    known.producers[index].unanswered.retain(|waiting| waiting.id != batch);
                    true
                }
                Err(AppendError::Removed) if matches!(known.stage, Stage::Removing | Stage::Removed) => false,
                Err(error) => panic!("{}: append of {batch}: {error}", known.name),
            }
        })
    }

    /// One reader: from somewhere on to the end, again and again.
    async fn consume(self, id: PartitionId, log: Rc<Log>, mut prng: Prng) {
        let io = self.shard(id).io.clone();
        let mut offset = log.log_start();
        while !self.stopping.get() {
            let max_bytes = usize::try_from(prng.pick(&[1, 4_000, 70_000, 1 << 20])).unwrap();
            let read = log.read(ReadRequest { offset, max_bytes, at_least_one: true }).await;
            match self.note_read(id, &log, offset, read) {
                Some(next) => offset = next,
                None => return,
            }
            if prng.chance(0.1) || offset > log.high_watermark() {
                let (start, end) = (log.log_start(), log.high_watermark());
                offset = start + prng.below((end - start + 1).unsigned_abs()) as i64;
            }
            io.sleep(Duration::from_micros(prng.below(20_000))).await;
        }
    }
}

impl Clients {
    /// Takes down what a reader was given. Returns where it goes on; None when the partition is gone.
    fn note_read(
        &self,
        id: PartitionId,
        log: &Log,
        offset: i64,
        read: Result<LogSlice, ReadError>,
    ) -> Option<i64> {
        let mut oracle = self.oracle.borrow_mut();
        oracle.fetches += 1;
        let known = oracle.known(id);
        match read {
            Ok(slice) => {
                let batches = split(&slice.bytes.concat());
                batches.iter().for_each(|batch| known.note_fetched(batch));
                Some(slice.next_offset)
            }
            Err(_) if matches!(known.stage, Stage::Removing | Stage::Removed) => None,
            Err(_) if offset < known.deletion_asked => Some(log.log_start()),
            Err(error) => panic!("{}: read at {offset}: {error}", known.name),
        }
    }
}

/// A checkpoint of a log's directory.
async fn checkpoint(storage: Rc<Storage>, log: Rc<Log>) {
    let volume = Rc::clone(log.volume());
    // One that fails because a partition goes away under it is made again by the storage's own task.
    let mut failures = Vec::new();
    while failures.len() < 20 {
        match storage.checkpoint(&volume, false).await {
            Ok(()) => return,
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    panic!("no checkpoint in twenty attempts: {failures:?}");
}
