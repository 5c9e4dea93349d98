//! Which partitions a reset is about: `--all-topics`, or `--topic` with whole topics and `topic:0,1`.

use super::Failure;
use crate::admin::topics::{self, Topic};
use crate::admin::{Place, offsets};
use crate::client::Client;
use crate::options::Parsed;

/// # Errors
/// When a topic is not there or no scope is given.
pub fn scope(client: &mut Client, options: &Parsed, group: &str) -> Result<Vec<Place>, Failure> {
    if options.has("all-topics") {
        return Ok(offsets::committed(client, group)?.into_keys().collect());
    }
    if !options.has("topic") {
        return match options.has("from-file") {
            true => Ok(Vec::new()),
            false => Err(Failure::usage("One of the reset scopes should be defined: --all-topics, --topic.")),
        };
    }
    let (single, whole): (Vec<&String>, Vec<&String>) =
        options.values("topic").iter().partition(|text| text.contains(':'));
    let mut places = Vec::new();
    for text in single {
        places.extend(partitions(text)?);
    }
    let whole: Vec<String> = whole.into_iter().cloned().collect();
    places.extend(all_partitions(&topics::describe(client, &whole)?));
    Ok(places)
}

pub fn all_partitions(topics: &[Topic]) -> Vec<Place> {
    let places =
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| Place::new(&topic.name, one.index)));
    places.collect()
}

/// `topic:0,1,2`
///
/// # Errors
/// When a partition is no number.
pub fn partitions(text: &str) -> Result<Vec<Place>, Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let [topic, indexes] = parts.as_slice() else {
        return Err(Failure::usage(format!(
            "Invalid topic arg '{text}', expected topic name and partitions"
        )));
    };
    let place = |index: &str| match index.parse() {
        Ok(index) => Ok(Place::new(topic, index)),
        Err(_) => {
            Err(Failure::usage(format!("Invalid partition '{index}' specified in topic arg '{text}''")))
        }
    };
    indexes.split(',').map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_a_topic_by_commas() {
        assert_eq!(partitions("t:0,2").unwrap(), [Place::new("t", 0), Place::new("t", 2)]);
        assert!(partitions("t:0,x").unwrap_err().text().starts_with("Invalid partition 'x'"));
        assert!(partitions("a:b:c").unwrap_err().text().starts_with("Invalid topic arg 'a:b:c'"));
    }
}
