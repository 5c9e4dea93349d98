//! Which partitions are asked about: `--topic-partitions`, or `--topic` and `--partitions`.

use std::ops::Range;

use regex::Regex;

use crate::admin::Place;
use crate::failure::Failure;
use crate::options::Parsed;
use crate::topics::pattern;

/// One rule: topics by expression, partitions by set.
struct Rule {
    topics: Regex,
    partitions: Partitions,
}

enum Partitions {
    All,
    Within(Range<i32>),
    Of(Vec<i32>),
}

/// Any of some rules.
pub struct Filter(Vec<Rule>);

impl Filter {
    /// # Errors
    /// When a rule is none.
    pub fn of(options: &Parsed) -> Result<Filter, Failure> {
        if let Some(rules) = options.value("topic-partitions")? {
            return rules.split(',').map(rule).collect::<Result<_, _>>().map(Filter);
        }
        let partitions = match options.value("partitions")? {
            Some(list) => Partitions::Of(list.split(',').map(partition).collect::<Result<_, _>>()?),
            None => Partitions::All,
        };
        Ok(Filter(vec![Rule { topics: pattern(options.value("topic")?.unwrap_or(".*"))?, partitions }]))
    }

    pub fn allows_topic(&self, topic: &str) -> bool {
        self.0.iter().any(|rule| rule.topics.is_match(topic))
    }

    pub fn allows(&self, place: &Place) -> bool {
        self.0.iter().any(|rule| rule.topics.is_match(&place.topic) && rule.partitions.has(place.partition))
    }
}

impl Partitions {
    fn has(&self, index: i32) -> bool {
        match self {
            Partitions::All => true,
            Partitions::Within(range) => range.contains(&index),
            Partitions::Of(indexes) => indexes.contains(&index),
        }
    }
}

fn partition(text: &str) -> Result<i32, Failure> {
    text.parse().ok().ok_or_else(|| {
        Failure::message(format!(
            "--partitions expects a comma separated list of numeric partition ids, but received: {text}"
        ))
    })
}

/// `topic:3`, `topic:0-3` (3 is not in it), `topic:5-`, `topic:-3`, `topic`; without a topic any.
fn rule(text: &str) -> Result<Rule, Failure> {
    let invalid = || Failure::message(format!("Invalid rule specification: {text}"));
    let (topic, indexes) = text.split_once(':').unwrap_or((text, ""));
    let number = |text: &str, absent: i32| match text {
        "" => Ok(absent),
        digits => digits.parse::<u32>().ok().and_then(|n| i32::try_from(n).ok()).ok_or_else(invalid),
    };
    let partitions = match indexes.split_once('-') {
        _ if indexes.is_empty() => Partitions::All,
        Some((low, high)) => Partitions::Within(number(low, 0)?..number(high, i32::MAX)?),
        None => Partitions::Of(vec![number(indexes, 0)?]),
    };
    Ok(Rule { topics: pattern(if topic.is_empty() { ".*" } else { topic })?, partitions })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Vec<i32> {
        let filter = Filter(vec![rule(text).unwrap()]);
        (0..6).filter(|index| filter.allows(&Place::new("t", *index))).collect()
    }

    #[test]
    fn a_rule_is_a_topic_and_partitions() {
        assert_eq!(allowed("t"), [0, 1, 2, 3, 4, 5]);
        assert_eq!(allowed("t:2"), [2]);
        assert_eq!(allowed("t:1-3"), [1, 2]);
        assert_eq!(allowed(":4-"), [4, 5]);
        assert_eq!(allowed(":-2"), [0, 1]);
        assert!(allowed("u").is_empty());
        assert!(rule("t:x").is_err() && rule("t:1:2").is_err());
    }
}
