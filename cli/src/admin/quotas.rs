//! Quotas of users, clients and addresses, and SCRAM credentials of users.

use bytes::Bytes;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, DescribeClientQuotasRequest,
    DescribeUserScramCredentialsRequest,
};

use super::str_bytes;
use crate::client::{Client, ClientError, KafkaError, Target};

/// Whom a quota is for: pairs of a kind (`user`, `client-id`, `ip`) and a name, or no name for the default.
pub type Entity = Vec<(String, Option<String>)>;

/// What a question asks of one kind of entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    Name(String),
    Default,
    Any,
}

/// Quotas by name.
pub type Values = Vec<(String, f64)>;

/// The quotas of all entities of just these kinds that match.
///
/// # Errors
/// The broker's refusal.
pub fn describe(
    client: &mut Client,
    components: &[(&str, Match)],
) -> Result<Vec<(Entity, Values)>, ClientError> {
    let components: Vec<ComponentData> = components
        .iter()
        .map(|(kind, wanted)| {
            let (number, name) = match wanted {
                Match::Name(name) => (0, Some(str_bytes(name))),
                Match::Default => (1, None),
                Match::Any => (2, None),
            };
            ComponentData::default()
                .with_entity_type(str_bytes(kind))
                .with_match_type(number)
                .with_match(name)
        })
        .collect();
    let request =
        |_| DescribeClientQuotasRequest::default().with_strict(true).with_components(components.clone());
    let answer = client.call_checked(&Target::Any, request, |answer| {
        settled(answer.error_code, answer.error_message.as_deref())
    })?;
    Ok(answer
        .entries
        .unwrap_or_default()
        .iter()
        .map(|entry| {
            let name = |name: &Option<kafka_protocol::protocol::StrBytes>| {
                name.as_ref().map(|name| name.to_string())
            };
            let entity = entry.entity.iter().map(|one| (one.entity_type.to_string(), name(&one.entity_name)));
            let values = entry.values.iter().map(|value| (value.key.to_string(), value.value));
            (entity.collect(), values.collect())
        })
        .collect())
}

/// Sets quotas, and removes those without a value.
///
/// # Errors
/// The broker's refusal.
pub fn alter(
    client: &mut Client,
    entity: &Entity,
    changes: &[(String, Option<f64>)],
) -> Result<(), ClientError> {
    let entity = entity.iter().map(|(kind, name)| {
        EntityData::default()
            .with_entity_type(str_bytes(kind))
            .with_entity_name(name.as_deref().map(str_bytes))
    });
    let ops = changes.iter().map(|(key, value)| {
        let op = OpData::default().with_key(str_bytes(key)).with_value(value.unwrap_or_default());
        op.with_remove(value.is_none())
    });
    let entry = EntryData::default().with_entity(entity.collect()).with_ops(ops.collect());
    let request = |_| AlterClientQuotasRequest::default().with_entries(vec![entry.clone()]);
    client.call_checked(&Target::Controller, request, |answer| {
        let first = answer.entries.first();
        first.map_or(Ok(()), |entry| settled(entry.error_code, entry.error_message.as_deref()))
    })?;
    Ok(())
}

/// A user's SCRAM credentials: mechanism and iterations each.
#[derive(Debug)]
pub struct Credentials {
    pub user: String,
    pub found: Result<Vec<(i8, i32)>, KafkaError>,
}

/// The credentials of these users, or of all.
///
/// # Errors
/// The broker's refusal of the whole.
pub fn describe_scram(client: &mut Client, users: &[String]) -> Result<Vec<Credentials>, ClientError> {
    let names = users.iter().map(|user| UserName::default().with_name(str_bytes(user))).collect::<Vec<_>>();
    let names = Some(names).filter(|names| !names.is_empty());
    let request = |_| DescribeUserScramCredentialsRequest::default().with_users(names.clone());
    let answer = client.call_checked(&Target::Any, request, |answer| {
        settled(answer.error_code, answer.error_message.as_deref())
    })?;
    let of = |result: &kafka_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult| {
        let infos = result.credential_infos.iter().map(|info| (info.mechanism, info.iterations)).collect();
        let error = KafkaError::of(result.error_code, result.error_message.as_deref());
        Credentials { user: result.user.to_string(), found: error.map_or(Ok(infos), Err) }
    };
    Ok(answer.results.iter().map(of).collect())
}

/// A credential as a broker stores it: never the password.
#[derive(Debug, Clone)]
pub struct Salted {
    pub mechanism: i8,
    pub iterations: i32,
    pub salt: Vec<u8>,
    pub password: Vec<u8>,
}

/// # Errors
/// The broker's refusal.
pub fn alter_scram(
    client: &mut Client,
    user: &str,
    set: &[Salted],
    deleted: &[i8],
) -> Result<(), ClientError> {
    let deletions = deleted.iter().map(|mechanism| {
        ScramCredentialDeletion::default().with_name(str_bytes(user)).with_mechanism(*mechanism)
    });
    let upsertions = set.iter().map(|one| {
        ScramCredentialUpsertion::default()
            .with_name(str_bytes(user))
            .with_mechanism(one.mechanism)
            .with_iterations(one.iterations)
            .with_salt(Bytes::from(one.salt.clone()))
            .with_salted_password(Bytes::from(one.password.clone()))
    });
    let (deletions, upsertions): (Vec<_>, Vec<_>) = (deletions.collect(), upsertions.collect());
    let request = |_| {
        AlterUserScramCredentialsRequest::default()
            .with_deletions(deletions.clone())
            .with_upsertions(upsertions.clone())
    };
    client.call_checked(&Target::Controller, request, |answer| {
        let first = answer.results.first();
        first.map_or(Ok(()), |result| settled(result.error_code, result.error_message.as_deref()))
    })?;
    Ok(())
}

fn settled(code: i16, message: Option<&str>) -> Result<(), ClientError> {
    KafkaError::of(code, message).map_or(Ok(()), |error| Err(ClientError::Refused(error)))
}
