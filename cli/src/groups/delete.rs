//! `--delete` and `--delete-offsets`.

use std::collections::BTreeMap;
use std::io::Write;

use kafka_protocol::error::ResponseError;

use super::{Failure, print_error, scope, selected};
use crate::admin::{Place, groups, topics};
use crate::client::{Client, ClientError};
use crate::options::Parsed;

/// Java's wrapper, which Kafka's tool prints with what is in it.
const WRAPPER: &str = "java.util.concurrent.ExecutionException";

pub fn groups(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for group in selected(client, options)? {
        match groups::delete(client, &group) {
            Ok(()) => deleted.push(group),
            Err(error) => failed.push((group, error)),
        }
    }
    let deleted = format!("'{}'", deleted.join("', '"));
    if failed.is_empty() {
        writeln!(out, "Deletion of requested consumer groups ({deleted}) was successful.")?;
        return Ok(());
    }
    print_error(out, "Deletion of some consumer groups failed:")?;
    for (group, error) in failed {
        let why = error.described();
        writeln!(out, "* Group '{group}' could not be deleted due to: {WRAPPER}: {why}")?;
    }
    if deleted != "''" {
        writeln!(out, "\nThese consumer groups were deleted successfully: {deleted}")?;
    }
    Ok(())
}

pub fn offsets(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let group = options.value("group")?.unwrap_or_default().to_owned();
    let asked = options.values("topic");
    let mut statuses: BTreeMap<Place, Option<ClientError>> = BTreeMap::new();
    let places = places(client, asked, &mut statuses)?;
    let whole = match groups::delete_offsets(client, &group, &places) {
        Ok(results) => {
            let results = results.into_iter().map(|(place, error)| (place, error.map(ClientError::Refused)));
            statuses.extend(results);
            first_refusal(&places, &statuses)
        }
        Err(ClientError::Refused(refused)) => {
            let each =
                places.iter().map(|place| (place.clone(), Some(ClientError::Refused(refused.clone()))));
            statuses.extend(each);
            Some(refused.code)
        }
        Err(error) => return Err(error.into()),
    };
    print_verdict(whole, &group, &asked.join(", "), out)?;
    writeln!(out, "\n{:<30} {:<15} {:<15}", "TOPIC", "PARTITION", "STATUS")?;
    let mut rows: Vec<_> = statuses.into_iter().collect();
    rows.sort_by_key(|(place, _)| format!("{}{}", place.topic, place.partition));
    for (place, error) in rows {
        let partition =
            if place.partition >= 0 { place.partition.to_string() } else { "Not Provided".to_owned() };
        let status = error.map_or("Successful".to_owned(), |error| format!("Error: {}", error.described()));
        writeln!(out, "{:<30} {partition:<15} {status:<15}", place.topic)?;
    }
    Ok(())
}

/// Whole topics become their partitions; one that is not there is noted as such.
fn places(
    client: &mut Client,
    asked: &[String],
    statuses: &mut BTreeMap<Place, Option<ClientError>>,
) -> Result<Vec<Place>, Failure> {
    let mut places = Vec::new();
    for text in asked.iter().filter(|text| text.contains(':')) {
        places.extend(scope::partitions(text)?);
    }
    for topic in asked.iter().filter(|text| !text.contains(':')) {
        match topics::describe(client, std::slice::from_ref(topic)) {
            Ok(described) => places.extend(scope::all_partitions(&described)),
            Err(error) => {
                statuses.insert(Place::new(topic, -1), Some(error));
            }
        }
    }
    Ok(places)
}

fn first_refusal(places: &[Place], statuses: &BTreeMap<Place, Option<ClientError>>) -> Option<ResponseError> {
    places.iter().find_map(|place| match statuses.get(place) {
        Some(Some(ClientError::Refused(refused))) => Some(refused.code),
        _ => None,
    })
}

fn print_verdict(
    whole: Option<ResponseError>,
    group: &str,
    topics: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    use ResponseError as E;
    match whole {
        None => {
            writeln!(out, "Request succeed for deleting offsets with topic {topics} group {group}")?;
            Ok(())
        }
        Some(E::InvalidGroupId) => print_error(out, &format!("'{group}' is not valid.")),
        Some(E::GroupIdNotFound) => print_error(out, &format!("'{group}' does not exist.")),
        Some(E::GroupAuthorizationFailed) => {
            print_error(out, &format!("Access to '{group}' is not authorized."))
        }
        Some(E::NonEmptyGroup) => print_error(
            out,
            &format!(
                "Deleting offsets of a consumer group '{group}' is forbidden if the group is not empty."
            ),
        ),
        Some(E::GroupSubscribedToTopic | E::TopicAuthorizationFailed | E::UnknownTopicOrPartition) => {
            print_error(out, "Encounter some partition level error, see the follow-up details:")
        }
        Some(other) => print_error(out, &format!("Encounter some unknown error: {other}")),
    }
}
