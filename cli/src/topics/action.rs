//! What `kafka-topics.sh` does: one function per action.

use std::io::Write;

use regex::Regex;

use super::{assignment, describe};
use crate::admin::topics::{self, MorePartitions, NewTopic};
use crate::client::{Client, ClientError};
use crate::failure::Failure;
use crate::options::Parsed;

/// # Errors
/// Whose text Kafka's tool prints behind "Error while executing topic command".
pub fn perform(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    if options.has("create") {
        create(client, options, out)
    } else if options.has("alter") {
        alter(client, options)
    } else if options.has("list") {
        list(client, options, out)
    } else if options.has("describe") {
        describe::describe(client, options, out)
    } else {
        delete(client, options)
    }
}

fn create(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let topic = new_topic(options, out)?;
    // Metrics of Kafka's brokers write both as one.
    if topic.name.contains(['.', '_']) {
        writeln!(
            out,
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could \
             collide. To avoid issues it is best to use either, but not both."
        )?;
    }
    check_counts(options)?;
    match topics::create(client, &topic) {
        Ok(()) => writeln!(out, "Created topic {}.", topic.name)?,
        Err(ClientError::Refused(refused)) if refused.is_topic_exists() && options.has("if-not-exists") => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn new_topic(options: &Parsed, out: &mut dyn Write) -> Result<NewTopic, Failure> {
    let assignment = match options.value("replica-assignment")? {
        Some(text) => assignment::parse(text)?,
        None => Vec::new(),
    };
    Ok(NewTopic {
        name: options.value("topic")?.unwrap_or_default().to_owned(),
        partitions: options.number("partitions")?,
        replication: options
            .number::<i32>("replication-factor")?
            .and_then(|factor| i16::try_from(factor).ok()),
        assignment,
        configs: configs(options, out)?,
    })
}

fn check_counts(options: &Parsed) -> Result<(), Failure> {
    let factor = options.number::<i32>("replication-factor")?;
    if factor.is_some_and(|factor| !(1..=i32::from(i16::MAX)).contains(&factor)) {
        let max = i16::MAX;
        return Err(Failure::message(format!(
            "The replication factor must be between 1 and {max} inclusive"
        )));
    }
    if options.number::<i32>("partitions")?.is_some_and(|partitions| partitions < 1) {
        return Err(Failure::message("The partitions must be greater than 0"));
    }
    Ok(())
}

fn configs(options: &Parsed, out: &mut dyn Write) -> Result<Vec<(String, String)>, Failure> {
    let mut configs = Vec::new();
    for text in options.values("config") {
        // Exactly one `=`, with something on both sides.
        let pair = text.split_once('=').filter(|(_, value)| !value.is_empty() && !value.contains('='));
        let Some((name, value)) = pair else {
            return Err(Failure::message(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
            ));
        };
        configs.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    if let Some((name, value)) = configs.iter().find(|(name, _)| name == "message.format.version") {
        writeln!(
            out,
            "WARNING: The configuration {name}={value} is specified. This configuration will be ignored if the \
             version is newer than the inter.broker.protocol.version specified in the broker or if the \
             inter.broker.protocol.version is 3.0 or newer. This configuration is deprecated and it will be removed \
             in Apache Kafka 4.0."
        )?;
    }
    Ok(configs)
}

fn alter(client: &mut Client, options: &Parsed) -> Result<(), Failure> {
    let assignment = options.value("replica-assignment")?.map(assignment::parse).transpose()?;
    let count = options.number("partitions")?.unwrap_or_default();
    let names = selected(client, options)?;
    ensure_exists(&names, options)?;
    let mut more = Vec::new();
    for topic in topics::describe(client, &names)? {
        let new = assignment.as_ref().map(|all| all.iter().skip(topic.partitions.len()).cloned().collect());
        more.push(MorePartitions { topic: topic.name, count, assignment: new });
    }
    if !more.is_empty() {
        topics::create_partitions(client, &more)?;
    }
    Ok(())
}

fn list(client: &mut Client, options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let names = selected(client, options)?;
    // An empty line if there are none, as Kafka prints it.
    writeln!(out, "{}", names.join("\n"))?;
    Ok(())
}

fn delete(client: &mut Client, options: &Parsed) -> Result<(), Failure> {
    let names = selected(client, options)?;
    ensure_exists(&names, options)?;
    if !names.is_empty() {
        topics::delete(client, &names)?;
    }
    Ok(())
}

/// The topics that `--topic` and `--exclude-internal` leave, by name.
///
/// # Errors
/// When the expression is none, or nobody answers.
pub fn selected(client: &mut Client, options: &Parsed) -> Result<Vec<String>, Failure> {
    let exclude_internal = options.has("exclude-internal");
    let pattern = options.value("topic")?.map(pattern).transpose()?;
    let matches = |name: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(name));
    let all = topics::names(client)?.into_iter();
    Ok(all
        .filter(|(name, internal)| matches(name) && !(*internal && exclude_internal))
        .map(|(name, _)| name)
        .collect())
}

/// A topic expression of Kafka's tools: commas separate alternatives, blanks and quotes around it do not count.
///
/// # Errors
/// When it is no regular expression.
pub fn pattern(text: &str) -> Result<Regex, Failure> {
    let bare = text.trim().replace(',', "|").replace(' ', "");
    let bare = bare.trim_matches(|c| c == '"' || c == '\'');
    Regex::new(&format!("^(?:{bare})$"))
        .ok()
        .ok_or_else(|| Failure::message(format!("{bare} is an invalid regex.")))
}

/// # Errors
/// When nothing is selected and `--if-exists` is not given.
pub fn ensure_exists(names: &[String], options: &Parsed) -> Result<(), Failure> {
    match options.value("topic")? {
        Some(topic) if names.is_empty() && !options.has("if-exists") => {
            Err(Failure::message(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_expression_matches_whole_names() {
        assert!(pattern("'a, b.*'").unwrap().is_match("bcd"));
        assert!(!pattern("a|b").unwrap().is_match("ab"));
        assert_eq!(pattern("t(").unwrap_err().text(), "t( is an invalid regex.");
    }
}
