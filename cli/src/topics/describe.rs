//! `--describe`: a line per topic and a line per partition, or only those that a report asks for.

use std::io::Write;

use uuid::Uuid;

use super::action::{ensure_exists, selected};
use super::assignment::comma_separated;
use crate::admin::configs::{self, Entry, Resource, Source};
use crate::admin::topics::{self, Partition, Reassignment, Topic};
use crate::client::{Client, ClientError};
use crate::failure::Failure;
use crate::options::Parsed;
use crate::{base64_id, java};

/// What is shown.
struct Shown<'a> {
    options: &'a Parsed,
    /// The brokers that live.
    live: Vec<i32>,
    reassignments: Vec<Reassignment>,
}

/// # Errors
/// As the tool.
pub fn describe(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let described = asked_for(client, options)?;
    let resources: Vec<Resource> =
        described.iter().map(|topic| Resource::Topic(topic.name.clone())).collect();
    let configs = configs::describe_all(client, &resources, false)?;
    let shown = Shown {
        options,
        live: client.nodes()?.iter().map(|node| node.id).collect(),
        reassignments: reassignments(client),
    };
    for (topic, configs) in described.iter().zip(&configs) {
        shown.topic(topic, configs, out)?;
    }
    Ok(())
}

fn asked_for(client: &mut Client, options: &Parsed) -> Result<Vec<Topic>, Failure> {
    let id = options.value("topic-id")?.map(base64_id::parse).transpose()?;
    if let Some(id) = id.filter(|id| !id.is_nil()) {
        return by_id(client, options, id);
    }
    let names = selected(client, options)?;
    ensure_exists(&names, options)?;
    let mut described = topics::describe(client, &names)?;
    described.sort_by(|a, b| a.name.cmp(&b.name));
    java::sized_hash_map_order(&mut described, |topic| &topic.name);
    Ok(described)
}

fn by_id(client: &mut Client, options: &Parsed, id: Uuid) -> Result<Vec<Topic>, Failure> {
    match topics::describe_by_id(client, id) {
        Ok(topic) if topic.internal && options.has("exclude-internal") => Ok(Vec::new()),
        Ok(topic) => Ok(vec![topic]),
        Err(ClientError::Refused(refused)) if refused.is_topic_unknown() => match options.has("if-exists") {
            true => Ok(Vec::new()),
            false => {
                let id = base64_id::text(id);
                Err(Failure::message(format!("TopicId '{id}' does not exist as expected")))
            }
        },
        Err(error) => Err(error.into()),
    }
}

/// A broker that cannot tell still has topics to describe.
fn reassignments(client: &mut Client) -> Vec<Reassignment> {
    topics::reassignments(client).unwrap_or_else(|error| {
        eprintln!("Couldn't query reassignments through the AdminClient API: {error}");
        Vec::new()
    })
}

impl Shown<'_> {
    fn topic(&self, topic: &Topic, configs: &[Entry], out: &mut dyn Write) -> Result<(), Failure> {
        let overrides_only = self.options.has("topics-with-overrides");
        let mut all: Vec<&Entry> = configs.iter().collect();
        java::hash_map_order(&mut all, |entry| &entry.name);
        let own: Vec<&Entry> = all.into_iter().filter(|entry| entry.source != Source::DEFAULT).collect();
        if !self.is_report() && (!overrides_only || !own.is_empty()) {
            self.head(topic, &own, out)?;
        }
        if overrides_only {
            return Ok(());
        }
        let min_isr = min_isr(configs);
        for partition in &topic.partitions {
            if self.is_wanted(topic, partition, min_isr) {
                self.partition(topic, partition, out)?;
            }
        }
        Ok(())
    }

    fn head(&self, topic: &Topic, own: &[&Entry], out: &mut dyn Write) -> Result<(), Failure> {
        write!(out, "Topic: {}", topic.name)?;
        if !topic.id.is_nil() {
            write!(out, "\tTopicId: {}", base64_id::text(topic.id))?;
        }
        let factor = topic.partitions.first().map_or(0, |first| self.replication_factor(topic, first));
        let value = |entry: &Entry| entry.value.clone().unwrap_or_else(|| "null".to_owned());
        let configs: Vec<String> =
            own.iter().map(|entry| format!("{}={}", entry.name, value(entry))).collect();
        writeln!(
            out,
            "\tPartitionCount: {}\tReplicationFactor: {factor}\tConfigs: {}",
            topic.partitions.len(),
            configs.join(",")
        )?;
        Ok(())
    }

    fn partition(&self, topic: &Topic, partition: &Partition, out: &mut dyn Write) -> Result<(), Failure> {
        let leader = partition.leader.map_or_else(|| "none".to_owned(), |id| id.to_string());
        write!(
            out,
            "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
            topic.name,
            partition.index,
            comma_separated(&partition.replicas),
            comma_separated(&partition.isr)
        )?;
        if let Some(change) = self.reassignment(topic, partition) {
            let (adding, removing) = (comma_separated(&change.adding), comma_separated(&change.removing));
            write!(out, "\tAdding Replicas: {adding}\tRemoving Replicas: {removing}")?;
        }
        writeln!(out)?;
        Ok(())
    }

    fn reassignment(&self, topic: &Topic, partition: &Partition) -> Option<&Reassignment> {
        let mut all = self.reassignments.iter();
        all.find(|change| change.topic == topic.name && change.partition == partition.index)
    }

    /// Replicas that are only being added do not count yet.
    fn replication_factor(&self, topic: &Topic, partition: &Partition) -> usize {
        match self.reassignment(topic, partition) {
            Some(change) => partition.replicas.iter().filter(|id| !change.adding.contains(id)).count(),
            None => partition.replicas.len(),
        }
    }

    fn is_report(&self) -> bool {
        [
            "under-replicated-partitions",
            "unavailable-partitions",
            "under-min-isr-partitions",
            "at-min-isr-partitions",
        ]
        .iter()
        .any(|report| self.options.has(report))
    }

    fn is_wanted(&self, topic: &Topic, partition: &Partition, min_isr: usize) -> bool {
        let has = |report| self.options.has(report);
        let live = partition.leader.is_some_and(|id| self.live.contains(&id));
        let in_sync = partition.isr.len();
        !self.is_report()
            || (has("under-replicated-partitions") && in_sync < self.replication_factor(topic, partition))
            || (has("unavailable-partitions") && !live)
            || (has("under-min-isr-partitions") && (partition.leader.is_none() || in_sync < min_isr))
            || (has("at-min-isr-partitions") && in_sync == min_isr)
    }
}

fn min_isr(configs: &[Entry]) -> usize {
    let setting = configs.iter().find(|entry| entry.name == "min.insync.replicas");
    setting.and_then(|entry| entry.value.as_ref()?.parse().ok()).unwrap_or(1)
}
