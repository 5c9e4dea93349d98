//! How a request on any shard reaches the controller on shard 0, and how the controller reaches the logs on all shards.
//!
//! A change that was begun is finished, also when the client that asked for it goes away: it runs as a task of its own.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_engine::id::{PartitionId, ShardId, TopicPartition};
use thalweg_engine::log::LogOptions;
use thalweg_engine::reactor::ShardGone;
use thalweg_engine::reactor::sync::{SenderGone, oneshot};

use super::alteration::{Alteration, AlterationError};
use super::controller::{ChangeError, Controller, DeletionError, Shards, TopicRef};
use super::creation::{Creation, CreationError, TopicSpec};
use super::expansion::{Expansion, ExpansionError};
use super::image::{Partition, Topic};
use super::source::EmbeddedLog;
use crate::bounds::TOPICS_PER_TURN;
use crate::group;
use crate::shard::ServerShard;

/// The shard that the controller and its log live on.
pub const CONTROLLER_SHARD: ShardId = ShardId(0);

type EmbeddedController = Controller<EmbeddedLog, MeshShards>;

/// A shard's place for the controller: filled on [`CONTROLLER_SHARD`] before anybody can connect, empty elsewhere.
#[derive(Default)]
pub struct ControllerSlot(OnceCell<Rc<EmbeddedController>>);

impl ControllerSlot {
    pub(super) fn set(&self, controller: EmbeddedController) {
        assert!(self.0.set(Rc::new(controller)).is_ok(), "a server starts its controller once");
    }
}

/// Creates topics, or checks whether they could be (`validate_only`). One answer per spec, in their order.
pub async fn create_topics(
    shard: &ServerShard,
    specs: Vec<TopicSpec>,
    validate_only: bool,
) -> Vec<Result<Creation, CreationError>> {
    let count = specs.len();
    let change =
        on_controller(shard, move |controller| async move { controller.create(specs, validate_only).await });
    match change.await {
        Ok(answers) => answers,
        Err(error) => vec![Err(error.into()); count],
    }
}

/// Deletes topics; when it returns, their directories have been renamed away durably. One answer per topic, in their order.
pub async fn delete_topics(
    shard: &ServerShard,
    topics: Vec<TopicRef>,
) -> Vec<Result<Arc<Topic>, DeletionError>> {
    let count = topics.len();
    let change = on_controller(shard, move |controller| async move { controller.delete(topics).await });
    change.await.unwrap_or_else(|error| vec![Err(error.into()); count])
}

/// Adds partitions to topics, or checks whether they could be (`validate_only`). One answer per expansion, in their order.
pub async fn create_partitions(
    shard: &ServerShard,
    expansions: Vec<Expansion>,
    validate_only: bool,
) -> Vec<Result<(), ExpansionError>> {
    let count = expansions.len();
    let change =
        on_controller(
            shard,
            move |controller| async move { controller.expand(expansions, validate_only).await },
        );
    change.await.unwrap_or_else(|error| vec![Err(error.into()); count])
}

/// Alters configurations, or checks whether they could be (`validate_only`). What is answered is in force on every shard.
pub async fn alter_configs(
    shard: &ServerShard,
    alterations: Vec<Alteration>,
    validate_only: bool,
) -> Vec<Result<(), AlterationError>> {
    let count = alterations.len();
    let change =
        on_controller(
            shard,
            move |controller| async move { controller.alter(alterations, validate_only).await },
        );
    change.await.unwrap_or_else(|error| vec![Err(error.into()); count])
}

/// A producer id that nobody has had, nor will have.
///
/// # Errors
/// [`ChangeError`] when a block of ids could not be made durable.
pub async fn next_producer_id(shard: &ServerShard) -> Result<i64, ChangeError> {
    on_controller(shard, |controller| async move { controller.next_producer_id().await }).await?
}

async fn on_controller<R, Fut>(
    shard: &ServerShard,
    change: impl FnOnce(Rc<EmbeddedController>) -> Fut + Send + 'static,
) -> Result<R, ChangeError>
where
    R: Send + 'static,
    Fut: Future<Output = R> + 'static,
{
    let run = move |there: Rc<ServerShard>| async move {
        let controller = there.controller.0.get().map(Rc::clone).ok_or(ChangeError::Closing)?;
        let (answer, answered) = oneshot();
        let task = async move { answer.send(change(controller).await) };
        there.io.spawn("metadata change", task).detach();
        answered.await.map_err(|SenderGone| ChangeError::Closing)
    };
    match shard.mesh().call(CONTROLLER_SHARD, run).await {
        Ok(outcome) => outcome,
        Err(ShardGone) => Err(ChangeError::Closing),
    }
}

/// The logs of all shards, reached through the mesh.
pub(super) struct MeshShards {
    shard: Rc<ServerShard>,
}

impl MeshShards {
    pub(super) fn new(shard: &Rc<ServerShard>) -> MeshShards {
        MeshShards { shard: Rc::clone(shard) }
    }

    /// Runs `work` on every home shard of `ids`, at the same time; what the shards return, in no order.
    async fn everywhere<R, Fut>(
        &self,
        ids: impl Iterator<Item = PartitionId>,
        work: impl Fn(Rc<ServerShard>, Vec<PartitionId>) -> Fut + Clone + Send + 'static,
    ) -> Vec<R>
    where
        R: Send + 'static,
        Fut: Future<Output = R> + 'static,
    {
        let mut homes: BTreeMap<ShardId, Vec<PartitionId>> = BTreeMap::new();
        for id in ids {
            homes.entry(self.shard.home(id)).or_default().push(id);
        }
        let mut calls = Vec::new();
        for (home, ids) in homes {
            let (mesh, work) = (self.shard.mesh().clone(), work.clone());
            let call = async move { mesh.call(home, move |there| work(there, ids)).await };
            calls.push(self.shard.io.spawn("logs of a topic", call));
        }
        let mut results = Vec::new();
        for call in calls {
            // A shard that has ended is a server that is ending.
            results.extend(call.await.ok());
        }
        results
    }
}

impl Shards for MeshShards {
    async fn create(&self, topic: &Topic, first: usize) -> Vec<Partition> {
        let (name, options) = (topic.name.clone(), Arc::clone(&topic.config.log));
        let created = self
            .everywhere(topic.missing_logs(first), move |there, ids| {
                create_here(there, name.clone(), ids, Arc::clone(&options))
            })
            .await;
        let mut partitions = topic.partitions.clone();
        for (id, leader_epoch) in created.into_iter().flatten() {
            if let Some(partition) =
                usize::try_from(id.index).ok().and_then(|index| partitions.get_mut(index))
            {
                partition.leader_epoch = Some(leader_epoch);
            }
        }
        partitions
    }

    async fn remove(&self, topic: &Topic) {
        self.everywhere(topic.partition_ids(), |there, ids| async move {
            for id in ids {
                if let Err(error) = there.storage.remove(id).await {
                    tracing::error!(partition = %id, %error, "A deleted partition stays on disk until the next start");
                }
            }
        })
        .await;
    }

    async fn forget_offsets(&self, topics: &[Arc<Topic>]) {
        group::topics_deleted(&self.shard, topics.iter().map(|topic| topic.name.clone()).collect()).await;
    }

    async fn reconfigure(&self, topics: Vec<Arc<Topic>>) {
        let mut calls = Vec::new();
        for home in (0..self.shard.shards).map(ShardId) {
            let (mesh, topics) = (self.shard.mesh().clone(), topics.clone());
            let call = async move { mesh.call(home, move |there| reconfigure_here(there, topics)).await };
            calls.push(self.shard.io.spawn("options of logs", call));
        }
        for call in calls {
            // A shard that has ended is a server that is ending.
            let _ended = call.await;
        }
    }

    async fn pause(&self) {
        self.shard.io.yield_now().await;
    }

    fn random(&self) -> [u8; 16] {
        let halves = [self.shard.io.random(), self.shard.io.random()];
        (u128::from(halves[0]) << 64 | u128::from(halves[1])).to_be_bytes()
    }
}

/// Gives those logs of `topics` that live on this shard the options of their topics.
async fn reconfigure_here(shard: Rc<ServerShard>, topics: Vec<Arc<Topic>>) {
    for some in topics.chunks(TOPICS_PER_TURN) {
        for topic in some {
            let options = group::log_options(&topic.name, &topic.config.log);
            for id in topic.partition_ids() {
                if let Err(error) = shard.storage.set_options(id, Arc::clone(&options)).await {
                    tracing::error!(partition = %id, %error, "What was appended before is not as durable as asked for");
                }
            }
        }
        shard.io.yield_now().await;
    }
}

/// Creates logs of this shard, several at a time. Returns those that are there, with their leader epochs.
async fn create_here(
    shard: Rc<ServerShard>,
    topic: String,
    ids: Vec<PartitionId>,
    options: Arc<LogOptions>,
) -> Vec<(PartitionId, i32)> {
    let options = group::log_options(&topic, &options);
    let create = |id: PartitionId| {
        let (storage, options, slots) =
            (Rc::clone(&shard.storage), Arc::clone(&options), Rc::clone(&shard.log_creations));
        let name = TopicPartition { topic: topic.clone(), partition: id.index };
        shard.io.spawn("create a log", async move {
            let _slot = slots.acquire(1).await;
            match storage.create(&name, id, options).await {
                Ok(log) => Some((id, log.leader_epoch())),
                Err(error) => {
                    tracing::error!(partition = %name, %error, "No log could be created: the partition has no leader until the server is restarted");
                    None
                }
            }
        })
    };
    let tasks: Vec<_> = ids.into_iter().map(create).collect();
    let mut created = Vec::with_capacity(tasks.len());
    for task in tasks {
        created.extend(task.await);
    }
    created
}
