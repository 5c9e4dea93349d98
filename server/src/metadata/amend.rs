//! The controller's changes to what exists: partitions added to topics, configurations altered.
//!
//! ```text
//! expand: check against the image -> records durable -> new logs on their home shards -> image -> answer
//! alter:  check against the image -> records durable -> image -> every log has its options -> answer
//! ```
//!
//! All that is valid in one request becomes durable as one batch. A setting that is acknowledged is in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::alteration::{self, Alteration, AlterationError, Outcome};
use super::controller::{Controller, Shards, Source};
use super::expansion::{self, Expansion, ExpansionError};
use super::image::{MetadataImage, Topic};
use crate::bounds::{PARTITIONS_PER_CREATION_MAX, TOPICS_PER_TURN};
use crate::config::BrokerConfig;

/// Topics that are not what they were.
type Changed = BTreeMap<Uuid, Arc<Topic>>;

impl<S: Source, H: Shards> Controller<S, H> {
    /// Adds partitions to topics, or only says whether it would. One answer per expansion, in their order.
    pub(super) async fn expand(
        &self,
        expansions: Vec<Expansion>,
        validate_only: bool,
    ) -> Vec<Result<(), ExpansionError>> {
        let _turn = self.turn.acquire(1).await;
        let image = self.metadata.snapshot();
        let planned = plan_expansions(&expansions, &image);
        if validate_only {
            return planned.into_iter().map(|plan| plan.map(drop)).collect();
        }
        let before = |topic: &Topic| image.topic(&topic.name).map_or(0, |topic| topic.partitions.len());
        let records: Vec<_> = (planned.iter().flatten())
            .flat_map(|topic| expansion::records(topic, before(topic), image.broker.id))
            .collect();
        if !records.is_empty()
            && let Err(error) = self.source.append(records).await
        {
            tracing::error!(%error, "no partition was created");
            return planned.into_iter().map(|plan| plan.and_then(|_| Err(error.clone().into()))).collect();
        }
        let mut next = (*image).clone();
        let mut answers = Vec::with_capacity(planned.len());
        for plan in planned {
            let topic = match plan {
                Ok(topic) => topic,
                Err(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            let partitions = self.shards.create(&topic, before(&topic)).await;
            tracing::info!(topic = topic.name, partitions = partitions.len(), "Added partitions");
            next.insert(Arc::new(Topic { partitions, ..topic }));
            answers.push(Ok(()));
        }
        self.show(next).await;
        answers
    }

    /// Alters configurations, or only says whether it would. One answer per alteration, in their order.
    pub(super) async fn alter(
        &self,
        alterations: Vec<Alteration>,
        validate_only: bool,
    ) -> Vec<Result<(), AlterationError>> {
        let _turn = self.turn.acquire(1).await;
        let mut next = (*self.metadata.snapshot()).clone();
        let config_before = Arc::clone(&next.config);
        let (mut records, mut changed, mut answers) = (Vec::new(), Changed::new(), Vec::new());
        for alteration in &alterations {
            let planned = alteration::plan(alteration, &next);
            answers.push(planned.map(|planned| {
                records.extend(planned.records);
                apply(planned.outcome, &mut next, &mut changed);
            }));
            // Each may have thousands of edits.
            self.shards.pause().await;
        }
        if validate_only || records.is_empty() {
            return answers;
        }
        if let Err(error) = self.source.append(records).await {
            tracing::error!(%error, "no configuration was altered");
            let error = AlterationError::from(error);
            return answers.into_iter().map(|answer| answer.and_then(|()| Err(error.clone()))).collect();
        }
        for (alteration, _) in alterations.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()) {
            tracing::info!(resource = ?alteration.resource, "Altered configuration");
        }
        if !Arc::ptr_eq(&config_before, &next.config) {
            self.resolve_topics(&mut next, &mut changed).await;
        }
        self.show(next).await;
        self.shards.reconfigure(changed.into_values().collect()).await;
        answers
    }

    /// The broker's values are the topics' defaults.
    async fn resolve_topics(&self, image: &mut MetadataImage, changed: &mut Changed) {
        let topics: Vec<Arc<Topic>> = image.topics().cloned().collect();
        for some in topics.chunks(TOPICS_PER_TURN) {
            for topic in some {
                let config = resolved(&image.config, topic);
                if *config != *topic.config {
                    let topic = Arc::new(Topic { config, ..(**topic).clone() });
                    image.insert(Arc::clone(&topic));
                    changed.insert(topic.id, topic);
                }
            }
            self.shards.pause().await;
        }
    }
}

fn plan_expansions(expansions: &[Expansion], image: &MetadataImage) -> Vec<Result<Topic, ExpansionError>> {
    let mut room = PARTITIONS_PER_CREATION_MAX;
    let plan = |expansion: &Expansion| {
        let topic = expansion::plan(expansion, image, room)?;
        let there = image.topic(&topic.name).map_or(0, |topic| topic.partitions.len());
        room -= topic.partitions.len() - there;
        Ok(topic)
    };
    expansions.iter().map(plan).collect()
}

fn apply(outcome: Outcome, image: &mut MetadataImage, changed: &mut Changed) {
    match outcome {
        Outcome::Topic(topic) => {
            let topic = Arc::new(topic);
            image.insert(Arc::clone(&topic));
            changed.insert(topic.id, topic);
        }
        Outcome::Broker(config) => image.config = config,
    }
}

/// What has no effect was named when the server started.
fn resolved(config: &BrokerConfig, topic: &Topic) -> Arc<crate::config::TopicConfig> {
    config.stored_topic_config(topic.config.stored(), |_, _| {})
}
