//! Quotas of users, clients and addresses.

use std::io::Write;

use super::changes::Changes;
use super::entity::{Entities, Kind};
use super::scram;
use crate::admin::quotas::{self, Entity, Match};
use crate::client::Client;
use crate::failure::Failure;
use crate::java;

const CLIENT_QUOTAS: [&str; 4] =
    ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"];
const IP_QUOTA: &str = "connection_creation_rate";

/// Whether a key is a quota of users and clients.
pub fn is_quota(key: &str) -> bool {
    CLIENT_QUOTAS.contains(&key)
}

/// Refuses keys that this kind of entity does not have.
///
/// # Errors
/// The message of Kafka's tool.
pub fn check_names(entities: &Entities, changes: &Changes) -> Result<(), Failure> {
    let (kind, what, known): (_, _, fn(&str) -> bool) = match entities.first() {
        Kind::Ip => (Kind::Ip, "connection quota", |key| key == IP_QUOTA),
        Kind::User if entities.kinds.len() == 1 => {
            (Kind::User, "quota and SCRAM credential", |key| is_quota(key) || scram::mechanism(key).is_some())
        }
        _ => (Kind::Client, "quota", is_quota),
    };
    // Kafka prints the others as Scala prints the collection that they are in.
    let ips = kind == Kind::Ip;
    let kind = kind.plural();
    let unexpected = |keys: Vec<&String>, done: &str, collection: &str| {
        let keys: Vec<&str> = keys.into_iter().map(String::as_str).filter(|key| !known(key)).collect();
        match keys.is_empty() {
            true => Ok(()),
            false => Err(Failure::message(format!(
                "Only {what} configs can be {done} for '{kind}' using --bootstrap-server. Unexpected config names: {}",
                if ips { keys.join(",") } else { format!("{collection}({})", keys.join(", ")) }
            ))),
        }
    };
    unexpected(changes.set.keys().collect(), "added", "Set")?;
    unexpected(changes.deleted.iter().collect(), "deleted", "ArrayBuffer")?;
    if !changes.any(|key| scram::mechanism(key).is_some()) {
        return Ok(());
    }
    if entities.names.iter().any(String::is_empty) {
        return Err(Failure::message(
            "The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using \
             --bootstrap-server.",
        ));
    }
    match changes.any(is_quota) {
        true => Err(Failure::message(
            "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using --bootstrap-server.",
        )),
        false => Ok(()),
    }
}

pub fn describe(client: &mut Client, entities: &Entities, out: &mut dyn Write) -> Result<(), Failure> {
    for (entity, mut values) in quotas::describe(client, &components(entities)?)? {
        java::sized_hash_map_order(&mut values, |(key, _)| key);
        let values: Vec<String> =
            values.iter().map(|(key, value)| format!("{key}={}", java::double_text(*value))).collect();
        writeln!(out, "Quota configs for {} are {}", shown(&entity), values.join(", "))?;
    }
    Ok(())
}

/// User, client, address, in this order whatever the broker's is.
fn shown(entity: &Entity) -> String {
    let kinds = [("user", "user-principal"), ("client-id", "client-id"), ("ip", "ip")];
    let shown = kinds.iter().filter_map(|(kind, name)| {
        let (_, value) = entity.iter().find(|(found, _)| found == kind)?;
        Some(match value {
            Some(value) => format!("{name} '{value}'"),
            None => format!("the default {name}"),
        })
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn components(entities: &Entities) -> Result<Vec<(&'static str, Match)>, Failure> {
    if entities.names.len() > entities.kinds.len() {
        return Err(Failure::message("More entity names specified than entity types"));
    }
    let component = |(at, kind): (usize, &Kind)| {
        let wanted = match entities.names.get(at) {
            Some(name) if name.is_empty() => Match::Default,
            Some(name) => Match::Name(name.clone()),
            None => Match::Any,
        };
        (protocol_name(*kind), wanted)
    };
    Ok(entities.kinds.iter().enumerate().map(component).collect())
}

fn protocol_name(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user",
        Kind::Client => "client-id",
        _ => "ip",
    }
}

pub fn alter(client: &mut Client, entities: &Entities, changes: &Changes) -> Result<(), Failure> {
    let old = quotas::describe(client, &components(entities)?)?;
    let has = |key: &String| old.iter().any(|(_, values)| values.iter().any(|(known, _)| known == key));
    let invalid: Vec<&str> = changes.deleted.iter().filter(|key| !has(key)).map(String::as_str).collect();
    if !invalid.is_empty() {
        return Err(Failure::message(format!("Invalid config(s): {}", invalid.join(","))));
    }
    let mut all = Vec::new();
    for (key, value) in &changes.set {
        let parsed: Option<f64> = value.parse().ok();
        let number = parsed.ok_or_else(|| {
            Failure::message(format!("Cannot parse quota configuration value for {key}: {value}"))
        })?;
        all.push((key.clone(), Some(number)));
    }
    all.extend(changes.deleted.iter().map(|key| (key.clone(), None)));
    let name = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
    let entity: Entity = entities
        .kinds
        .iter()
        .zip(&entities.names)
        .map(|(kind, entity)| (protocol_name(*kind).to_owned(), name(entity)))
        .collect();
    Ok(quotas::alter(client, &entity, &all)?)
}
