//! Makes changes: one at a time, durable before anybody sees them.
//!
//! ```text
//! create: check against the image -> records durable in the source -> logs on their home shards -> image -> answer
//! delete: record durable in the source -> image -> logs removed -> groups' offsets removed -> answer
//! ids:    record of a block durable in the source -> ids of the block, one by one
//! ```
//!
//! So a topic that an image shows has been durable before its first produce, a log is unlinked only after its topic's
//! removal is durable, and no producer id is handed out twice, whatever crashes. Lives on shard 0. What it reaches is
//! behind [`Source`] and [`Shards`]; it knows neither files nor threads.

use std::cell::Cell;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use thalweg_engine::format::metadata_record::{MetadataRecord, ProducerIdsRecord, RemoveTopicRecord};
use thalweg_engine::format::topic_id;
use thalweg_engine::reactor::sync::Semaphore;
use uuid::Uuid;

use super::Metadata;
use super::creation::{self, Creation, CreationError, CreationFault, MetricNames, TopicSpec};
use super::image::{MetadataImage, Partition, Topic};
use super::snapshot;
use crate::bounds::{PARTITIONS_PER_CREATION_MAX, PRODUCER_ID_BLOCK, TOPIC_CREATIONS_MAX, TOPICS_PER_TURN};
use crate::scatter::join_all;

/// Where changes become durable.
pub(super) trait Source {
    /// All of `records`, or none of them, on stable storage when it returns.
    async fn append(&self, records: Vec<MetadataRecord>) -> Result<(), ChangeError>;
    /// Goes on from `state`, if what was appended before has grown long; a failure is said in a line and harms nothing.
    async fn shrink(&self, state: impl FnOnce() -> Vec<MetadataRecord>);
}

/// The partitions' logs, wherever they are.
pub(super) trait Shards {
    /// Creates the log of every partition of `topic` from index `first` on that has none. A log that cannot be created
    /// leaves its partition without a leader, and a line that says why. Those before `first` stay as they are: a log that is
    /// missing there may be in a directory that will come back, and a second one would split the partition.
    async fn create(&self, topic: &Topic, first: usize) -> Vec<Partition>;
    /// Gives the logs of `topics` the options of their topics.
    async fn reconfigure(&self, topics: Vec<Arc<Topic>>);
    /// Lets others have a turn of the controller's shard.
    async fn pause(&self);
    /// Removes the logs of `topic`; what cannot be removed is said in a line, and removed at the next start.
    async fn remove(&self, topic: &Topic);
    /// Forgets what consumer groups committed for `topics`, durably where a group's home is ready: a topic of the same name
    /// later is another one.
    async fn forget_offsets(&self, topics: &[Arc<Topic>]);
    /// Random bytes.
    fn random(&self) -> [u8; 16];
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The metadata log cannot take the change.
    #[error("the metadata log cannot be written: {0}")]
    Storage(String),
    #[error("the server is shutting down")]
    Closing,
}

impl ChangeError {
    /// Kafka's code.
    pub fn code(&self) -> ResponseError {
        match self {
            ChangeError::Storage(_) => ResponseError::KafkaStorageError,
            ChangeError::Closing => ResponseError::NotController,
        }
    }
}

impl From<ChangeError> for CreationError {
    fn from(error: ChangeError) -> CreationError {
        let fault = match error {
            ChangeError::Storage(_) => CreationFault::Storage,
            ChangeError::Closing => CreationFault::Closing,
        };
        CreationError::new(fault, error.to_string())
    }
}

/// A topic, as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicRef {
    Name(String),
    Id(Uuid),
}

/// Why a topic was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeletionError {
    #[error("This server does not host this topic-partition.")]
    UnknownName,
    #[error("This server does not host this topic ID.")]
    UnknownId,
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl DeletionError {
    /// Kafka's code.
    pub fn code(&self) -> ResponseError {
        match self {
            DeletionError::UnknownName => ResponseError::UnknownTopicOrPartition,
            DeletionError::UnknownId => ResponseError::UnknownTopicId,
            DeletionError::Change(error) => error.code(),
        }
    }
}

/// See the module.
pub struct Controller<S, H> {
    pub(super) source: S,
    pub(super) shards: H,
    pub(super) metadata: Arc<Metadata>,
    /// Held by the change that is being made.
    pub(super) turn: Semaphore,
    /// Ids of the durable block that are left: first, and behind the last.
    producer_ids: Cell<(i64, i64)>,
}

impl<S: Source, H: Shards> Controller<S, H> {
    pub(super) fn new(source: S, shards: H, metadata: Arc<Metadata>) -> Controller<S, H> {
        Controller { source, shards, metadata, turn: Semaphore::new(1), producer_ids: Cell::new((0, 0)) }
    }

    /// Creates the topics of `specs`, all of those that are valid as one durable change; or only says what would be.
    pub(super) async fn create(
        &self,
        specs: Vec<TopicSpec>,
        validate_only: bool,
    ) -> Vec<Result<Creation, CreationError>> {
        let _turn = self.turn.acquire(1).await;
        let image = self.metadata.snapshot();
        let planned = self.plan(&specs, &image).await;
        if validate_only {
            return planned.into_iter().map(|plan| plan.map(|topic| created(&topic, Uuid::nil()))).collect();
        }
        let records: Vec<_> =
            planned.iter().flatten().flat_map(|topic| creation::records(topic, image.broker.id)).collect();
        if !records.is_empty()
            && let Err(error) = self.source.append(records).await
        {
            tracing::error!(%error, "no topic was created");
            return planned.into_iter().map(|plan| plan.and_then(|_| Err(error.clone().into()))).collect();
        }
        self.realise(planned, &image).await
    }

    /// The topics that `specs` describe: each is checked as if those before it existed.
    async fn plan(&self, specs: &[TopicSpec], image: &MetadataImage) -> Vec<Result<Topic, CreationError>> {
        let mut imagined = image.clone();
        let mut names = MetricNames::of(image);
        let mut partitions_left = PARTITIONS_PER_CREATION_MAX;
        let mut plan = |spec: &TopicSpec| {
            // Before anything that costs time: the bound is one on the work that a request makes, too. As in KRaft, what
            // turns out to be wrong counts.
            partitions_left = partitions_left
                .checked_sub(creation::partitions_asked(spec, &image.config).max(1))
                .ok_or_else(creation::too_many_partitions)?;
            let topic = creation::plan(spec, self.new_topic_id(&imagined), &imagined, &names)?;
            names.insert(&topic.name);
            imagined.insert(Arc::new(topic.clone()));
            Ok(topic)
        };
        let mut planned = Vec::with_capacity(specs.len());
        for some in specs.chunks(TOPICS_PER_TURN) {
            planned.extend(some.iter().map(&mut plan));
            self.shards.pause().await;
        }
        planned
    }

    /// Creates the logs of topics that are durable, and shows them.
    async fn realise(
        &self,
        planned: Vec<Result<Topic, CreationError>>,
        image: &MetadataImage,
    ) -> Vec<Result<Creation, CreationError>> {
        let mut next = image.clone();
        let topics: Vec<&Topic> = planned.iter().flatten().collect();
        let mut partitions = Vec::with_capacity(topics.len());
        for some in topics.chunks(TOPIC_CREATIONS_MAX) {
            partitions
                .extend(join_all(some.iter().map(|topic| self.shards.create(topic, 0)).collect()).await);
        }
        let mut partitions = partitions.into_iter();
        let mut answers = Vec::with_capacity(planned.len());
        for plan in planned {
            let topic = match plan {
                Ok(topic) => {
                    let partitions = partitions.next().unwrap_or_else(|| topic.partitions.clone());
                    Topic { partitions, ..topic }
                }
                Err(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            tracing::info!(
                topic = topic.name,
                id = topic_id::format(topic.id),
                partitions = topic.partitions.len(),
                "Created topic"
            );
            answers.push(Ok(created(&topic, topic.id)));
            next.insert(Arc::new(topic));
        }
        self.show(next).await;
        answers
    }

    /// Publishes the image of a change that is durable.
    pub(super) async fn show(&self, next: MetadataImage) {
        self.metadata.publish(next);
        self.source.shrink(|| snapshot::records(&self.metadata.snapshot())).await;
    }

    /// Deletes topics, all of those that there are as one durable change. One answer per topic, in their order.
    pub(super) async fn delete(&self, topics: Vec<TopicRef>) -> Vec<Result<Arc<Topic>, DeletionError>> {
        let _turn = self.turn.acquire(1).await;
        let mut next = (*self.metadata.snapshot()).clone();
        let mut take = |topic: &TopicRef| {
            let (found, unknown) = match topic {
                TopicRef::Name(name) => (next.topic(name), DeletionError::UnknownName),
                TopicRef::Id(id) => (next.topic_by_id(*id), DeletionError::UnknownId),
            };
            let id = found.map(|topic| topic.id);
            id.and_then(|id| next.remove(id)).ok_or(unknown)
        };
        let answers: Vec<_> = topics.iter().map(&mut take).collect();
        let deleted: Vec<Arc<Topic>> = answers.iter().flatten().map(Arc::clone).collect();
        let removal = |topic: &Arc<Topic>| RemoveTopicRecord { topic_id: topic.id }.into();
        if deleted.is_empty() {
            return answers;
        }
        if let Err(error) = self.source.append(deleted.iter().map(removal).collect()).await {
            tracing::error!(%error, "no topic was deleted");
            return answers
                .into_iter()
                .map(|answer| answer.and_then(|_| Err(error.clone().into())))
                .collect();
        }
        self.show(next).await;
        for topic in &deleted {
            self.shards.remove(topic).await;
        }
        // Within the turn: the first commits for a topic of the same name come after it.
        self.shards.forget_offsets(&deleted).await;
        for topic in &deleted {
            tracing::info!(topic = topic.name, id = topic_id::format(topic.id), "Deleted topic");
        }
        answers
    }

    /// A producer id that nobody has had.
    pub(super) async fn next_producer_id(&self) -> Result<i64, ChangeError> {
        if let Some(id) = self.take_producer_id() {
            return Ok(id);
        }
        let _turn = self.turn.acquire(1).await;
        // Whoever had the turn before may have fetched a block.
        if let Some(id) = self.take_producer_id() {
            return Ok(id);
        }
        let image = self.metadata.snapshot();
        let (first, next) = (image.next_producer_id, image.next_producer_id + PRODUCER_ID_BLOCK);
        let block = ProducerIdsRecord { broker_id: image.broker.id, broker_epoch: 0, next_producer_id: next };
        self.source.append(vec![block.into()]).await?;
        let mut taken = (*image).clone();
        taken.next_producer_id = next;
        self.show(taken).await;
        self.producer_ids.set((first + 1, next));
        Ok(first)
    }

    fn take_producer_id(&self) -> Option<i64> {
        let (next, end) = self.producer_ids.get();
        (next < end).then(|| {
            self.producer_ids.set((next + 1, end));
            next
        })
    }

    fn new_topic_id(&self, image: &MetadataImage) -> Uuid {
        loop {
            match topic_id::from_random(self.shards.random()) {
                Some(id) if image.topic_by_id(id).is_none() => return id,
                _ => {}
            }
        }
    }
}

fn created(topic: &Topic, id: Uuid) -> Creation {
    Creation { id, partitions: topic.partitions.len(), config: Arc::clone(&topic.config) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::Future;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::metadata::alteration::{Alteration, AlterationError, ConfigEdit, ConfigResource, EditKind};
    use crate::metadata::expansion::{Expansion, ExpansionError};
    use crate::metadata::image::BrokerInfo;

    /// What happened, in order.
    type Story = Rc<RefCell<Vec<String>>>;

    struct FakeSource {
        story: Story,
        metadata: Arc<Metadata>,
        fails: Cell<bool>,
        /// Appends wait while this is taken.
        gate: Semaphore,
    }

    impl Source for FakeSource {
        async fn append(&self, records: Vec<MetadataRecord>) -> Result<(), ChangeError> {
            let _open = self.gate.acquire(1).await;
            if self.fails.get() {
                return Err(ChangeError::Storage("disk gone".into()));
            }
            let seen = self.metadata.image().topics().count();
            self.story.borrow_mut().push(format!("durable {} ({seen} shown)", records.len()));
            Ok(())
        }

        async fn shrink(&self, _state: impl FnOnce() -> Vec<MetadataRecord>) {}
    }

    struct FakeShards {
        story: Story,
        metadata: Arc<Metadata>,
        random: Cell<u128>,
        pauses: Cell<usize>,
        /// Held while offsets cannot be stored.
        gate: Semaphore,
    }

    impl Shards for FakeShards {
        async fn create(&self, topic: &Topic, first: usize) -> Vec<Partition> {
            let shown = self.metadata.image().topic(&topic.name).is_some();
            self.story.borrow_mut().push(format!("logs of {} (shown: {shown})", topic.name));
            let mut partitions = topic.partitions.clone();
            for id in topic.missing_logs(first) {
                partitions[usize::try_from(id.index).unwrap()].leader_epoch = Some(0);
            }
            partitions
        }

        async fn reconfigure(&self, topics: Vec<Arc<Topic>>) {
            for topic in topics {
                let shown =
                    self.metadata.image().topic(&topic.name).map(|topic| topic.config.log.retention_ms);
                let line = format!(
                    "options of {} ({:?}, shown: {shown:?})",
                    topic.name, topic.config.log.retention_ms
                );
                self.story.borrow_mut().push(line);
            }
        }

        async fn pause(&self) {
            self.pauses.set(self.pauses.get() + 1);
        }

        async fn remove(&self, topic: &Topic) {
            let shown = self.metadata.image().topic(&topic.name).is_some();
            self.story.borrow_mut().push(format!("remove {} (shown: {shown})", topic.name));
        }

        async fn forget_offsets(&self, topics: &[Arc<Topic>]) {
            // Whoever comes next waits until they are gone.
            self.gate.acquire(1).await;
            let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
            self.story.borrow_mut().push(format!("offsets of {}", names.join(", ")));
        }

        fn random(&self) -> [u8; 16] {
            self.random.set(self.random.get() + 1);
            self.random.get().to_be_bytes()
        }
    }

    fn controller() -> (Rc<Controller<FakeSource, FakeShards>>, Arc<Metadata>, Story) {
        let broker = BrokerInfo { id: 1, cluster_id: "c".into(), rack: None, endpoints: Vec::new() };
        let config = crate::config::resolve(crate::config::Properties::default(), 1).unwrap().0;
        let metadata = Arc::new(Metadata::new(MetadataImage::new(broker, Arc::new(config))));
        let story = Story::default();
        let source = FakeSource {
            story: Rc::clone(&story),
            metadata: Arc::clone(&metadata),
            fails: Cell::new(false),
            gate: Semaphore::new(1),
        };
        let shards = FakeShards {
            story: Rc::clone(&story),
            metadata: Arc::clone(&metadata),
            random: Cell::new(0),
            pauses: Cell::new(0),
            gate: Semaphore::new(1),
        };
        let controller = Controller::new(source, shards, Arc::clone(&metadata));
        (Rc::new(controller), metadata, story)
    }

    fn spec(name: &str) -> TopicSpec {
        TopicSpec::with_defaults(name.to_owned())
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn now<F: Future>(future: F) -> F::Output {
        match poll(pin!(future)) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn a_topic_is_durable_before_its_logs_and_its_logs_are_there_before_it_shows() {
        let (controller, metadata, story) = controller();
        let answers = now(controller.create(vec![spec("a"), spec("b"), spec("a")], false));
        assert_eq!(
            *story.borrow(),
            ["durable 4 (0 shown)", "logs of a (shown: false)", "logs of b (shown: false)"]
        );
        assert!(answers[0].is_ok() && answers[1].is_ok());
        assert_eq!(answers[2].as_ref().unwrap_err().fault, CreationFault::Exists);
        let image = metadata.image();
        assert_eq!(image.topic("a").unwrap().partitions, [Partition { leader_epoch: Some(0) }]);
        assert_eq!(image.topic_by_id(answers[1].as_ref().unwrap().id).unwrap().name, "b");
    }

    #[test]
    fn a_removal_is_durable_and_shown_before_the_logs_go() {
        let (controller, metadata, story) = controller();
        let created = now(controller.create(vec![spec("a")], false));
        story.borrow_mut().clear();
        let id = TopicRef::Id(created[0].as_ref().unwrap().id);
        assert!(now(controller.delete(vec![id]))[0].is_ok());
        assert_eq!(*story.borrow(), ["durable 1 (1 shown)", "remove a (shown: false)", "offsets of a"]);
        assert!(metadata.image().topic("a").is_none());
        let unknown = now(controller.delete(vec![TopicRef::Name("a".into()), TopicRef::Id(Uuid::nil())]));
        assert_eq!(unknown[0].as_ref().unwrap_err(), &DeletionError::UnknownName);
        assert_eq!(unknown[1].as_ref().unwrap_err(), &DeletionError::UnknownId);
        assert_eq!(story.borrow().len(), 3);
    }

    /// Each topic of a request was a change of its own, with a batch to sync and a copy of the image.
    #[test]
    fn all_topics_of_a_request_are_deleted_as_one_change() {
        let (controller, metadata, story) = controller();
        let created = now(controller.create(vec![spec("a"), spec("b"), spec("c")], false));
        story.borrow_mut().clear();
        let name = |name: &str| TopicRef::Name(name.into());
        let a = TopicRef::Id(created[0].as_ref().unwrap().id);
        let answers = now(controller.delete(vec![name("a"), name("x"), a, name("b")]));
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
        let done =
            ["durable 2 (3 shown)", "remove a (shown: false)", "remove b (shown: false)", "offsets of a, b"];
        assert_eq!(*story.borrow(), done);
        assert_eq!(metadata.image().topics().count(), 1);
        controller.source.fails.set(true);
        assert!(matches!(now(controller.delete(vec![name("c")]))[0], Err(DeletionError::Change(_))));
        assert!(metadata.image().topic("c").is_some());
    }

    /// The offsets of a deleted topic went after the controller's turn, and nobody waited for their tombstones: a topic of
    /// the same name could be there with its first commits, and lost them.
    #[test]
    fn no_topic_of_the_same_name_comes_before_the_old_ones_offsets_are_gone() {
        let (controller, metadata, story) = controller();
        now(controller.create(vec![spec("a")], false));
        story.borrow_mut().clear();
        let closed = controller.shards.gate.try_acquire(1).unwrap();
        let mut deletion = pin!(controller.delete(vec![TopicRef::Name("a".into())]));
        let mut creation = pin!(controller.create(vec![spec("a")], false));
        assert!(poll(deletion.as_mut()).is_pending() && poll(creation.as_mut()).is_pending());
        assert!(metadata.image().topic("a").is_none());
        drop(closed);
        assert!(poll(deletion.as_mut()).is_ready());
        assert!(poll(creation.as_mut()).is_ready());
        assert_eq!(story.borrow()[2..4], ["offsets of a", "durable 2 (0 shown)"]);
    }

    #[test]
    fn what_is_not_durable_is_not_shown() {
        let (controller, metadata, story) = controller();
        controller.source.fails.set(true);
        let answers = now(controller.create(vec![spec("a")], false));
        assert_eq!(answers[0].as_ref().unwrap_err().fault, CreationFault::Storage);
        assert!(now(controller.next_producer_id()).is_err());
        assert!(story.borrow().is_empty());
        assert_eq!((metadata.image().topics().count(), metadata.image().next_producer_id), (0, 0));
    }

    #[test]
    fn what_a_request_asks_for_in_all_is_bounded_before_it_is_looked_at() {
        let (controller, _, story) = controller();
        let sized = |name: &str, partitions| TopicSpec { partitions, ..spec(name) };
        let max = i32::try_from(PARTITIONS_PER_CREATION_MAX).unwrap();
        let specs = vec![sized("..", 1), sized("a", max), sized("b", max - 2), sized("c", 1), sized("c", 1)];
        let answers = now(controller.create(specs, false));
        let faults: Vec<_> =
            answers.iter().map(|answer| answer.as_ref().err().map(|error| error.fault)).collect();
        let policy = Some(CreationFault::Policy);
        assert_eq!(faults, [Some(CreationFault::Name), policy, None, None, policy]);
        assert_eq!(story.borrow().len(), 3);
    }

    #[test]
    fn validation_alone_changes_nothing() {
        let (controller, metadata, story) = controller();
        let answers = now(controller.create(vec![spec("a"), spec("..")], true));
        assert!(answers[0].as_ref().unwrap().id.is_nil());
        assert_eq!(answers[1].as_ref().unwrap_err().fault, CreationFault::Name);
        assert!(story.borrow().is_empty());
        assert_eq!(metadata.image().topics().count(), 0);
    }

    #[test]
    fn changes_are_made_one_at_a_time_each_upon_the_one_before() {
        let (controller, metadata, story) = controller();
        let closed = controller.source.gate.try_acquire(1).unwrap();
        let mut first = pin!(controller.create(vec![spec("a")], false));
        let mut second = pin!(controller.create(vec![spec("a"), spec("b")], false));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert!(story.borrow().is_empty());
        drop(closed);
        let Poll::Ready(first) = poll(first.as_mut()) else { panic!("the first has its turn") };
        assert!(first[0].is_ok());
        let Poll::Ready(second) = poll(second.as_mut()) else { panic!("then the second") };
        assert_eq!(second[0].as_ref().unwrap_err().fault, CreationFault::Exists);
        assert!(second[1].is_ok());
        assert_eq!(metadata.image().topics().count(), 2);
    }

    fn retention(resource: ConfigResource, value: &str) -> Alteration {
        let edit = ConfigEdit { name: "retention.ms".into(), kind: EditKind::Set, value: Some(value.into()) };
        let name =
            if resource == ConfigResource::Cluster { "log.retention.ms".into() } else { edit.name.clone() };
        Alteration { resource, edits: vec![ConfigEdit { name, ..edit }], replaces: false }
    }

    #[test]
    fn an_alteration_is_durable_before_it_shows_and_in_force_when_it_is_answered() {
        let (controller, metadata, story) = controller();
        now(controller.create(vec![spec("a"), spec("b")], false));
        story.borrow_mut().clear();
        let topic = |name: &str| ConfigResource::Topic(name.into());
        let answers =
            now(controller.alter(vec![retention(topic("a"), "5"), retention(topic("nope"), "5")], false));
        assert!(answers[0].is_ok() && answers[1].is_err());
        assert_eq!(*story.borrow(), ["durable 1 (2 shown)", "options of a (Some(5), shown: Some(Some(5)))"]);
        story.borrow_mut().clear();
        assert!(now(controller.alter(vec![retention(ConfigResource::Cluster, "7")], false))[0].is_ok());
        assert_eq!(*story.borrow(), ["durable 1 (2 shown)", "options of b (Some(7), shown: Some(Some(7)))"]);
        assert_eq!(metadata.image().topic("a").unwrap().config.log.retention_ms, Some(5));
        now(controller.create(vec![spec("c")], false));
        assert_eq!(metadata.image().topic("c").unwrap().config.log.retention_ms, Some(7));
    }

    /// All that a request holds was planned in one turn of the shard, which served nobody else for seconds.
    #[test]
    fn others_have_their_turns_while_a_long_request_is_planned() {
        let (controller, ..) = controller();
        let pauses = || controller.shards.pauses.replace(0);
        let specs = (0..3 * TOPICS_PER_TURN).map(|number| spec(&format!("t{number}"))).collect();
        now(controller.create(specs, true));
        assert_eq!(pauses(), 3);
        let all = (0..50).map(|number| retention(ConfigResource::Topic(format!("t{number}")), "5")).collect();
        now(controller.alter(all, true));
        assert_eq!(pauses(), 50);
    }

    #[test]
    fn an_alteration_that_fails_or_is_only_validated_changes_nothing() {
        let (controller, metadata, story) = controller();
        now(controller.create(vec![spec("a")], false));
        story.borrow_mut().clear();
        assert!(
            now(controller.alter(vec![retention(ConfigResource::Topic("a".into()), "5")], true))[0].is_ok()
        );
        controller.source.fails.set(true);
        let answers = now(controller.alter(vec![retention(ConfigResource::Topic("a".into()), "5")], false));
        assert!(matches!(answers[0], Err(AlterationError::Change(_))));
        let more = Expansion { topic: "a".into(), count: 3, assignments: None };
        assert!(matches!(now(controller.expand(vec![more], false))[0], Err(ExpansionError::Change(_))));
        assert!(story.borrow().is_empty());
        let image = metadata.image();
        assert!(image.topic("a").unwrap().config.overrides.is_empty());
        assert_eq!(image.topic("a").unwrap().partitions.len(), 1);
    }

    #[test]
    fn new_partitions_are_durable_before_their_logs_and_their_logs_are_there_before_they_show() {
        let (controller, metadata, story) = controller();
        now(controller.create(vec![spec("a")], false));
        story.borrow_mut().clear();
        let more = |count| Expansion { topic: "a".into(), count, assignments: None };
        assert!(now(controller.expand(vec![more(3)], true))[0].is_ok());
        assert!(story.borrow().is_empty());
        assert!(now(controller.expand(vec![more(3)], false))[0].is_ok());
        assert_eq!(*story.borrow(), ["durable 2 (1 shown)", "logs of a (shown: true)"]);
        assert_eq!(metadata.image().topic("a").unwrap().partitions.len(), 3);
        assert!(now(controller.expand(vec![more(2)], false))[0].is_err());
    }

    /// A partition whose log.dir is offline has no leader. Adding partitions to its topic made a second, empty log for it
    /// elsewhere; with the directory back there were two, and one of them was wrong.
    #[test]
    fn a_partition_whose_directory_is_away_gets_no_second_log_when_its_topic_grows() {
        let (controller, metadata, _) = controller();
        now(controller.create(vec![spec("a")], false));
        let mut image = (*metadata.snapshot()).clone();
        let away = Topic {
            partitions: vec![Partition { leader_epoch: None }],
            ..(**image.topic("a").unwrap()).clone()
        };
        image.insert(Arc::new(away));
        metadata.publish(image);
        let more = Expansion { topic: "a".into(), count: 3, assignments: None };
        assert!(now(controller.expand(vec![more], false))[0].is_ok());
        let epochs: Vec<_> = (metadata.image().topic("a").unwrap().partitions.iter())
            .map(|partition| partition.leader_epoch)
            .collect();
        assert_eq!(epochs, [None, Some(0), Some(0)]);
    }

    #[test]
    fn producer_ids_come_from_durable_blocks_and_never_twice() {
        let (controller, metadata, story) = controller();
        let ids: Vec<i64> = (0..1500).map(|_| now(controller.next_producer_id()).unwrap()).collect();
        assert_eq!(ids, (0..1500).collect::<Vec<_>>());
        assert_eq!(story.borrow().len(), 2, "two blocks");
        assert_eq!(metadata.image().next_producer_id, 2 * PRODUCER_ID_BLOCK);
    }
}
