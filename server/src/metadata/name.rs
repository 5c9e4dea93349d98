//! Topic names in Kafka's words: which are legal, and why another is not.

use thalweg_engine::format::names::{self, IllegalTopicName};

/// The name that this server keeps its metadata under; no client may create it.
pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";

/// # Errors
/// Kafka's sentence (`Topic.validate`) about a name that is not legal.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    names::check_topic_name(name).map_err(|illegal| match illegal {
        IllegalTopicName::Empty => "Topic name is illegal, it can't be empty".to_owned(),
        IllegalTopicName::Dots => "Topic name cannot be \".\" or \"..\"".to_owned(),
        IllegalTopicName::TooLong => {
            format!("Topic name is illegal, it can't be longer than 249 characters, Topic name: {name}")
        }
        IllegalTopicName::Character => format!(
            "Topic name \"{name}\" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_kafka() {
        let why = |name: &str| check_topic_name(name).unwrap_err();
        assert_eq!(why(""), "Topic name is illegal, it can't be empty");
        assert_eq!(why(".."), "Topic name cannot be \".\" or \"..\"");
        assert_eq!(
            why("bad name!"),
            "Topic name \"bad name!\" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'"
        );
        assert!(
            why(&"a".repeat(250))
                .starts_with("Topic name is illegal, it can't be longer than 249 characters")
        );
        assert!(check_topic_name(&"a".repeat(249)).is_ok());
    }
}
