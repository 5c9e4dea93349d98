//! What has a configuration: topics, brokers, loggers of brokers.

use std::io::Write;

use super::changes::Changes;
use super::entity::{Entities, Kind};
use crate::admin::configs::{self, Change, Entry, Resource, Source};
use crate::admin::topics;
use crate::client::Client;
use crate::failure::Failure;
use crate::java;

pub fn describe(
    client: &mut Client,
    entities: &Entities,
    all: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let kind = entities.first();
    let names = match entities.names.first() {
        Some(name) => vec![name.clone()],
        None => every(client, kind)?,
    };
    for name in names {
        match (name.as_str(), all) {
            ("", _) => writeln!(out, "Default configs for {} in the cluster are:", kind.plural())?,
            (name, true) => writeln!(out, "All configs for {} {name} are:", kind.singular())?,
            (name, false) => writeln!(out, "Dynamic configs for {} {name} are:", kind.singular())?,
        }
        for entry in own(client, kind, &name, true, all)? {
            print(&entry, out)?;
        }
    }
    Ok(())
}

fn print(entry: &Entry, out: &mut dyn Write) -> Result<(), Failure> {
    let or_null = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonym = |(source, name, value): &(Source, String, Option<String>)| {
        format!("{}:{name}={}", source.name(), or_null(value))
    };
    let synonyms: Vec<String> = entry.synonyms.iter().map(synonym).collect();
    let (name, value, sensitive) = (&entry.name, or_null(&entry.value), entry.sensitive);
    writeln!(out, "  {name}={value} sensitive={sensitive} synonyms={{{}}}", synonyms.join(", "))?;
    Ok(())
}

fn every(client: &mut Client, kind: Kind) -> Result<Vec<String>, Failure> {
    if kind == Kind::Topic {
        return Ok(topics::names(client)?.into_iter().map(|(name, _)| name).collect());
    }
    let mut names: Vec<String> = client.nodes()?.iter().map(|node| node.id.to_string()).collect();
    names.push(String::new());
    Ok(names)
}

/// The entries of one resource: all, or those that were set for it itself.
fn own(
    client: &mut Client,
    kind: Kind,
    name: &str,
    synonyms: bool,
    all: bool,
) -> Result<Vec<Entry>, Failure> {
    let (resource, source) = resource(kind, name)?;
    let mut entries = configs::describe(client, &resource, synonyms)?;
    java::hash_map_order(&mut entries, |entry| &entry.name);
    entries.retain(|entry| all || source.is_none_or(|source| entry.source == source));
    Ok(entries)
}

fn resource(kind: Kind, name: &str) -> Result<(Resource, Option<Source>), Failure> {
    let id = || {
        name.parse().ok().ok_or_else(|| {
            let kind = kind.plural();
            Failure::message(format!(
                "The entity name for {kind} must be a valid integer broker id, found: {name}"
            ))
        })
    };
    Ok(match kind {
        Kind::Topic => (Resource::Topic(name.to_owned()), Some(Source::TOPIC)),
        Kind::Broker if name.is_empty() => (Resource::Broker(None), Some(Source::DYNAMIC_DEFAULT_BROKER)),
        Kind::Broker => (Resource::Broker(Some(id()?)), Some(Source::DYNAMIC_BROKER)),
        _ => (Resource::BrokerLogger(id()?), None),
    })
}

/// Only the named keys change, whatever else is set: also for brokers, where Kafka's tool sends all of them anew.
pub fn alter(client: &mut Client, entities: &Entities, changes: &Changes) -> Result<(), Failure> {
    let (kind, name) = (entities.first(), &entities.names[0]);
    let entries = own(client, kind, name, false, false)?;
    let known = |key: &String| entries.iter().any(|entry| entry.name == *key);
    let mut invalid: Vec<String> = changes.deleted.iter().filter(|key| !known(key)).cloned().collect();
    if kind == Kind::BrokerLogger {
        invalid.extend(changes.set.keys().filter(|key| !known(key)).cloned());
    }
    if !invalid.is_empty() {
        let what = if kind == Kind::BrokerLogger { "broker logger(s)" } else { "config(s)" };
        return Err(Failure::message(format!("Invalid {what}: {}", invalid.join(","))));
    }
    let set = changes.set.iter().map(|(key, value)| Change::Set(key.clone(), value.clone()));
    let deleted = changes.deleted.iter().map(|key| Change::Delete(key.clone()));
    let all: Vec<Change> = set.chain(deleted).collect();
    Ok(configs::alter(client, &resource(kind, name)?.0, &all)?)
}
