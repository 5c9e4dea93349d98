//! What is subscribed to: one topic, or all that match a pattern, looked up anew from time to time.
//!
//! Patterns are matched here and not by librdkafka, whose regular expressions are POSIX's and match anywhere in a name;
//! Java's match the whole name. Deliberately absent: look-around and back references, which Java has and the `regex` crate
//! has not.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use regex::Regex;

use crate::failure::Failure;
use crate::record_client::property::Translated;

/// The topics that only brokers write.
const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// How long the list of topics may take to come; in the meantime nothing is read.
const LIST_WAIT: Duration = Duration::from_millis(1000);

/// A subscription of one consumer.
pub struct Subscription {
    name: String,
    pattern: Option<Pattern>,
}

struct Pattern {
    regex: Regex,
    exclude_internal: bool,
    every: Duration,
    due: Instant,
    subscribed: Vec<String>,
}

impl Subscription {
    /// One topic, which has been subscribed to already.
    pub fn fixed(topic: &str) -> Subscription {
        Subscription { name: topic.to_owned(), pattern: None }
    }

    /// Every topic whose whole name matches, found by the first [`Subscription::refresh`].
    ///
    /// # Errors
    /// When it is no regular expression.
    pub fn matching(pattern: &str, config: &Translated) -> Result<Subscription, Failure> {
        let regex = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|error| Failure::message(format!("java.util.regex.PatternSyntaxException: {error}")))?;
        let every = Duration::from_millis(u64::try_from(config.number("metadata.max.age.ms")).unwrap_or(0));
        Ok(Subscription {
            name: pattern.to_owned(),
            pattern: Some(Pattern {
                regex,
                exclude_internal: config.is("exclude.internal.topics"),
                every,
                due: Instant::now(),
                subscribed: Vec::new(),
            }),
        })
    }

    /// For messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Looks the topics up if it is time to, and subscribes anew if they have changed.
    ///
    /// # Errors
    /// When librdkafka refuses the subscription. A list that does not come is asked for again.
    pub fn refresh<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>) -> Result<(), KafkaError> {
        let Some(pattern) = &mut self.pattern else { return Ok(()) };
        if Instant::now() < pattern.due {
            return Ok(());
        }
        let Ok(metadata) = consumer.fetch_metadata(None, LIST_WAIT) else {
            pattern.due = Instant::now() + Duration::from_millis(100);
            return Ok(());
        };
        pattern.due = Instant::now() + pattern.every;
        let mut topics: Vec<String> = metadata
            .topics()
            .iter()
            .map(|topic| topic.name())
            .filter(|name| pattern.takes(name))
            .map(str::to_owned)
            .collect();
        topics.sort();
        if topics != pattern.subscribed {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            consumer.subscribe(&names)?;
            pattern.subscribed = topics;
        }
        Ok(())
    }
}

impl Pattern {
    fn takes(&self, topic: &str) -> bool {
        self.regex.is_match(topic) && !(self.exclude_internal && INTERNAL.contains(&topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_client::{Properties, consumer};

    #[test]
    fn the_whole_name_must_match_and_internal_topics_are_left_out() {
        let config = consumer::configure(Properties::new()).unwrap();
        let takes = |pattern: &str, topic: &str| {
            Subscription::matching(pattern, &config).unwrap().pattern.unwrap().takes(topic)
        };
        assert!(takes("a|b.*", "bc") && takes("a|b.*", "a"));
        assert!(!takes("a|b.*", "ab") && !takes("b", "abc"));
        assert!(takes(".*", "__other") && !takes(".*", "__consumer_offsets"));
        assert!(Subscription::matching("(", &config).is_err());
    }
}
