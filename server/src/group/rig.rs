//! What groups do with their partition of the offsets topic, on a shard of its own over a simulated disk.

use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use nix::errno::Errno;
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::io::sim::{Fault, OpKind, SimOptions, SimRunner, SimWorld};
use thalweg_engine::log::Durability;
use thalweg_engine::reactor::MeshEnd;
use thalweg_engine::reactor::sync::Latch;
use thalweg_engine::recovery::{RecoveryOptions, recover};
use thalweg_engine::runtime::{EngineOptions, ShardContext, seeds};
use thalweg_engine::storage::Storage;
use uuid::Uuid;

use super::*;
use crate::bounds;
use crate::config::{Properties, resolve};
use crate::metadata::{
    self, Alteration, BrokerInfo, ConfigEdit, ConfigResource, EditKind, Metadata, MetadataImage, TopicRef,
};
use crate::shard::ServerShard;

/// Virtual time that anything may take.
const LIMIT: Duration = Duration::from_secs(600);

const SETTINGS: [(&str, &str); 3] = [
    ("offsets.topic.num.partitions", "2"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("message.max.bytes", "20000"),
];

/// A server without its network.
struct Rig {
    runner: SimRunner,
    shard: Rc<ServerShard>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.runner.io(0).shutdown();
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Rig {
    fn start(world: &SimWorld) -> Rig {
        let rig = Rig::without_groups(world);
        rig.run(async |shard| super::start(&shard));
        rig
    }

    /// Started but for its groups.
    fn without_groups(world: &SimWorld) -> Rig {
        let config = Arc::new(resolve(Properties::from_iter(SETTINGS), 1).unwrap().0);
        let options = EngineOptions {
            dirs: vec![Path::new("/data").to_owned()],
            shards: 1,
            journal_bytes_max: config.journal_bytes,
            cache_bytes: config.cache_bytes,
            idle_poll: config.idle_poll,
            default_log_options: (*config.topic_defaults.log).clone(),
            retention_check_interval: config.retention_check_interval,
            cleaner: config.cleaner.clone(),
        };
        world.make_dirs("/data").unwrap();
        let recovery = RecoveryOptions {
            dirs: options.dirs.clone(),
            failed_dirs: Vec::new(),
            shards: 1,
            options: Arc::new(options.default_log_options.clone()),
            memory_bytes_max: options.cache_bytes,
        };
        let runner = SimRunner::new(world, 1);
        let io = runner.io(0).clone();
        let opened = runner.run(0, LIMIT, async move {
            let recovered = recover(&io, &recovery).await.unwrap();
            Storage::open(&io, seeds(&options, &recovered).remove(0)).await.unwrap()
        });
        let context =
            ShardContext { id: ShardId(0), shards: 1, io: runner.io(0).clone(), storage: opened.unwrap() };
        let broker = BrokerInfo { id: 1, cluster_id: "c".to_owned(), rack: None, endpoints: Vec::new() };
        let metadata = Arc::new(Metadata::new(MetadataImage::new(broker, Arc::clone(&config))));
        let shard = Rc::new(ServerShard::new(context, config, metadata));
        let end = MeshEnd::wire(1).remove(0);
        shard.attach(end.attach(runner.io(0), Rc::clone(&shard)));
        let rig = Rig { runner, shard };
        rig.run(async |shard| {
            metadata::start(&shard, &[]).await.unwrap();
            ensure_topic(&shard).await.unwrap();
        });
        rig
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(&self, work: impl FnOnce(Rc<ServerShard>) -> F) -> T {
        self.runner.run(0, LIMIT, work(Rc::clone(&self.shard))).unwrap()
    }

    fn stop(self) {
        self.run(async |shard| shard.storage.shutdown().await.unwrap());
    }

    fn home(&self, group: &str) -> Rc<home::Home> {
        let partition = self.partition(group);
        self.shard.groups.home(&self.shard, partition).unwrap_or_else(|error| panic!("{error}"))
    }

    fn partition(&self, group: &str) -> PartitionId {
        let image = self.shard.metadata.image();
        let topic = image.topic(OFFSETS_TOPIC).unwrap();
        topic.partition(partition_of(group, topic.partitions.len())).unwrap()
    }

    fn create_long_topic(&self) {
        let spec = metadata::TopicSpec::with_defaults(long_topic().to_string());
        let created =
            self.run(async |shard| metadata::create_topics(&shard, vec![spec], false).await.remove(0));
        created.unwrap();
    }

    /// Commits offset 7 for `count` partitions of a topic with a long name.
    fn commit(&self, group: &'static str, count: i32) {
        self.run(async move |shard| {
            for first in (0..count).step_by(50) {
                let offsets =
                    (first..count.min(first + 50)).map(|index| (long_topic(), index, committed("")));
                let nobody = Identity { generation: -1, ..Identity::default() };
                super::commit(&shard, text(group), nobody, offsets.collect()).await.unwrap();
            }
        });
    }

    fn fetch(&self, group: &'static str) -> Result<Vec<Fetched>, GroupError> {
        self.run(async move |shard| super::fetch(&shard, text(group), None).await)
    }
}

fn long_topic() -> StrBytes {
    text(&"t".repeat(200))
}

fn committed(metadata: &str) -> CommittedOffset {
    CommittedOffset { offset: 7, leader_epoch: -1, metadata: text(metadata), commit_ms: 0, expire_ms: None }
}

/// Entries of 500 tombstones were larger than the topic takes, and were refused; the last one, of what was left, fitted, and
/// answered for all of them. The offsets came back with the next start.
#[test]
fn a_group_that_is_deleted_stays_deleted_however_large_its_tombstones_are() {
    let world = SimWorld::new(SimOptions::new(1));
    let rig = Rig::start(&world);
    rig.create_long_topic();
    rig.commit("g", 520);
    assert_eq!(rig.run(async |shard| delete(&shard, vec![text("g")]).await), [Ok(())]);
    assert_eq!((rig.fetch("g").unwrap().len(), rig.shard.groups.offsets.get()), (0, 0));
    rig.stop();
    let rig = Rig::start(&world);
    rig.runner.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(rig.fetch("g").unwrap().len(), 0);
}

#[test]
fn offsets_go_with_their_topic() {
    let world = SimWorld::new(SimOptions::new(1));
    let rig = Rig::start(&world);
    rig.create_long_topic();
    rig.commit("g", 60);
    let long = TopicRef::Name(long_topic().to_string());
    rig.run(async |shard| metadata::delete_topics(&shard, vec![long]).await.remove(0).unwrap());
    assert_eq!(rig.fetch("g").unwrap().len(), 0);
    // As a crash leaves it between the removal of a topic and the tombstones.
    rig.commit("g", 60);
    assert_eq!(rig.fetch("g").unwrap().len(), 60);
    rig.stop();
    let rig = Rig::start(&world);
    rig.runner.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(rig.fetch("g").unwrap().len(), 0);
    rig.create_long_topic();
    rig.stop();
    let rig = Rig::start(&world);
    rig.runner.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(rig.fetch("g").unwrap().len(), 0, "the tombstones were stored");
}

#[test]
fn a_read_that_fails_once_does_not_make_groups_unavailable() {
    let world = SimWorld::new(SimOptions::new(1));
    let rig = Rig::start(&world);
    rig.create_long_topic();
    rig.commit("g", 60);
    rig.stop();
    let rig = Rig::without_groups(&world);
    let fault = world.inject(Fault::error(Errno::EIO).on(OpKind::Read).path(OFFSETS_TOPIC));
    rig.run(async |shard| super::start(&shard));
    rig.runner.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(rig.fetch("g"), Err(GroupError::Loading));
    assert_eq!(rig.run(async |shard| list(&shard).await.unwrap().1), Some(GroupError::Loading));
    world.lift(fault);
    rig.runner.run_for(bounds::GROUP_READ_PAUSE_MAX).unwrap();
    assert_eq!(rig.fetch("g").unwrap().len(), 60);
    assert_eq!(rig.run(async |shard| list(&shard).await.unwrap().1), None);
}

#[test]
fn a_home_that_cannot_be_read_is_told_of() {
    let world = SimWorld::new(SimOptions::new(1));
    let rig = Rig::start(&world);
    rig.commit("g", 1);
    rig.home("g").readiness.set(home::Readiness::Failed);
    let (groups, missing) = rig.run(async |shard| list(&shard).await.unwrap());
    assert_eq!((groups.len(), missing), (0, Some(GroupError::NotCoordinator)));
}

#[test]
fn an_answer_about_several_groups_is_bounded_and_its_rest_can_be_asked_for() {
    let world = SimWorld::new(SimOptions::new(1));
    let rig = Rig::start(&world);
    let metadata = "m".repeat(bounds::GROUPS_ANSWER_BYTES_MAX);
    for name in ["a", "b"] {
        let home = rig.home(name);
        let mut group = Group::new(coordinator::limits(&rig.shard));
        group.offsets_mut().load("t", 0, committed(&metadata));
        rig.shard.groups.insert(&home, name, group);
    }
    let fetch = |names: &'static [&'static str]| {
        let wanted = names.iter().map(|name| (text(name), None)).collect();
        let fetched = rig.run(async |shard| fetch_several(&shard, wanted).await);
        fetched.into_iter().map(|fetched| fetched.map(|offsets| offsets.len())).collect::<Vec<_>>()
    };
    assert_eq!(fetch(&["none", "a", "b", "none"])[..3], [Ok(0), Ok(1), Err(GroupError::NotAvailable)]);
    assert_eq!(fetch(&["b"]), [Ok(1)]);
}

fn join_request() -> Join {
    Join {
        member_id: StrBytes::new(),
        instance_id: None,
        client_id: text("c"),
        client_host: text("/h"),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: text("consumer"),
        protocols: vec![(text("range"), Bytes::new())],
        requires_member_id: false,
        can_skip_assignment: false,
        fresh: Uuid::from_u128(1),
    }
}

/// They lived on until the next look at expired offsets, and took commits that were stored nowhere.
#[test]
fn groups_end_with_their_topic_and_whoever_waits_is_told() {
    let world = SimWorld::new(SimOptions::new(1));
    let rig = Rig::start(&world);
    rig.commit("other", 3);
    let first = rig.run(async |shard| join(&shard, text("g"), join_request(), &Latch::new()).await);
    let sync = Sync {
        member: Identity {
            member_id: first.member_id.clone(),
            generation: first.generation,
            ..Identity::default()
        },
        protocol_type: None,
        protocol: None,
        assignments: Vec::new(),
    };
    assert_eq!(rig.run(async |shard| super::sync(&shard, text("g"), sync, &Latch::new()).await).error, None);
    let shard = Rc::clone(&rig.shard);
    let second = Join { fresh: Uuid::from_u128(2), ..join_request() };
    let waits =
        rig.runner.io(0).spawn("join", async move { join(&shard, text("g"), second, &Latch::new()).await });
    rig.runner.run_for(Duration::from_millis(100)).unwrap();
    rig.run(async |shard| {
        let offsets_topic = TopicRef::Name(OFFSETS_TOPIC.to_owned());
        metadata::delete_topics(&shard, vec![offsets_topic]).await.remove(0).unwrap();
    });
    assert_eq!((rig.shard.groups.groups.get(), rig.shard.groups.offsets.get()), (0, 0));
    assert_eq!(rig.run(async |_| waits.await).error, Some(GroupError::NotCoordinator));
}

#[test]
fn what_groups_store_is_durable_whatever_the_topic_is_set_to() {
    let world = SimWorld::new(SimOptions::new(1));
    let rig = Rig::start(&world);
    let durability = |rig: &Rig| rig.home("g").log.options().durability;
    let edit =
        ConfigEdit { name: "durability".to_owned(), kind: EditKind::Set, value: Some("memory".to_owned()) };
    let alteration = Alteration {
        resource: ConfigResource::Topic(OFFSETS_TOPIC.to_owned()),
        edits: vec![edit],
        replaces: false,
    };
    let altered = rig.run(async |shard| metadata::alter_configs(&shard, vec![alteration], false).await);
    assert_eq!(altered, [Ok(())]);
    assert_eq!(durability(&rig), Durability::Disk);
    rig.stop();
    let rig = Rig::start(&world);
    let configured = rig.shard.metadata.image().topic(OFFSETS_TOPIC).unwrap().config.log.durability;
    assert_eq!((configured, durability(&rig)), (Durability::Memory, Durability::Disk));
}
