//! The options of `kafka-console-consumer.sh` in Kafka 3.2.0, checked in its order and in its words.

use crate::failure::Failure;
use crate::options::{HELP, Opt, Parsed, Spec, VERSION, flag, integer, text};
use crate::record_client::Properties;

pub const SPEC: Spec = Spec { options: OPTIONS, abbreviations: false };

const OPTIONS: &[Opt] = &[
    text("topic", "topic", "The topic to read."),
    text("include", "Java regex (String)", "A regular expression: every topic whose whole name matches is read."),
    text("whitelist", "Java regex (String)", "DEPRECATED: the same as --include, which wins."),
    integer("partition", "partition", "Read this partition alone, from its end unless --offset is given."),
    text("offset", "consume offset", "Where to begin: an offset, earliest or latest.").or("latest"),
    text("consumer-property", "consumer_prop", "KEY=VALUE for the consumer."),
    text("consumer.config", "config file", "A file of properties for the consumer; --consumer-property wins."),
    text(
        "formatter",
        "class",
        "How records are written: the name of Kafka's class. kafka.tools.DefaultMessageFormatter, \
         kafka.tools.LoggingMessageFormatter, kafka.tools.NoOpMessageFormatter, \
         kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter or \
         $GroupMetadataMessageFormatter, kafka.coordinator.transaction.TransactionLog$TransactionLogMessageFormatter.",
    )
    .or("kafka.tools.DefaultMessageFormatter"),
    text(
        "property",
        "prop",
        "KEY=VALUE for the formatter: print.timestamp, print.key, print.offset, print.partition, print.headers, \
         print.value (true or false), key.separator, line.separator, headers.separator, null.literal, \
         key.deserializer, value.deserializer, headers.deserializer (a class of Kafka's).",
    ),
    flag("from-beginning", "Begin with the first record if the group has committed no offset."),
    integer("max-messages", "num_messages", "End after so many records."),
    integer("timeout-ms", "timeout_ms", "End when no record has come for so long."),
    flag("skip-message-on-error", "Pass over a record that cannot be written instead of ending."),
    text("bootstrap-server", "server to connect to", "REQUIRED: HOST:PORT,..."),
    text("key-deserializer", "deserializer for key", "The same as --property key.deserializer."),
    text("value-deserializer", "deserializer for values", "The same as --property value.deserializer."),
    flag("enable-systest-events", "Write shutdown_complete at the end."),
    text("isolation-level", "", "read_committed or read_uncommitted.").or("read_uncommitted"),
    text("group", "consumer group id", "The consumer group to join."),
    HELP,
    VERSION,
];

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Topic(String),
    /// All topics whose whole name matches.
    Matching(String),
    Partition {
        topic: String,
        partition: i32,
        from: From,
    },
}

/// Where reading a single partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Earliest,
    Latest,
    Offset(i64),
}

/// A command line that makes sense.
#[derive(Debug)]
pub struct Settings {
    pub source: Source,
    pub consumer: Properties,
    pub formatter_class: String,
    pub formatter: Properties,
    pub records_max: Option<u64>,
    pub timeout_ms: Option<u64>,
    pub skip_on_error: bool,
    pub systest_events: bool,
}

impl Settings {
    /// # Errors
    /// In Kafka's words; most come with the usage.
    pub fn of(options: &Parsed) -> Result<Settings, Failure> {
        let (mut file, given) = given_properties(options)?;
        let formatter = formatter_properties(options)?;
        let topic = options.value("topic")?;
        let pattern =
            if options.has("include") { options.value("include")? } else { options.value("whitelist")? };
        check_source(options, topic, pattern)?;
        let from = from(options)?;
        if options.value("bootstrap-server")?.is_none() {
            return Err(Failure::usage("Missing required argument \"[bootstrap-server]\""));
        }
        let group_given = settle_group(options, &mut file, &given)?;
        let partition: Option<i32> = options.number("partition")?;
        if group_given && partition.is_some() {
            return Err(Failure::usage("Options group and partition cannot be specified together."));
        }
        let source = match (topic, partition, pattern) {
            (Some(topic), Some(partition), _) => {
                Source::Partition { topic: topic.to_owned(), partition, from }
            }
            (Some(topic), None, _) => Source::Topic(topic.to_owned()),
            (None, _, pattern) => Source::Matching(pattern.unwrap_or_default().to_owned()),
        };
        Ok(Settings {
            source,
            consumer: consumer_properties(options, file, given)?,
            formatter_class: options.value("formatter")?.unwrap_or_default().to_owned(),
            formatter,
            records_max: options.number::<i32>("max-messages")?.filter(|&max| max != -1).map(not_below_zero),
            timeout_ms: options.number::<i32>("timeout-ms")?.filter(|&ms| ms >= 0).map(not_below_zero),
            skip_on_error: options.has("skip-message-on-error"),
            systest_events: options.has("enable-systest-events"),
        })
    }
}

fn not_below_zero(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn given_properties(options: &Parsed) -> Result<(Properties, Properties), Failure> {
    let file = match options.value("consumer.config")? {
        Some(path) => Properties::load(path)?,
        None => Properties::new(),
    };
    Ok((file, Properties::of_arguments(options.values("consumer-property"))))
}

fn formatter_properties(options: &Parsed) -> Result<Properties, Failure> {
    let mut properties = Properties::of_arguments(options.values("property"));
    for (option, key) in
        [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
    {
        if let Some(class) = options.value(option)?.filter(|class| !class.is_empty()) {
            properties.set(key, class);
        }
    }
    Ok(properties)
}

fn check_source(options: &Parsed, topic: Option<&str>, pattern: Option<&str>) -> Result<(), Failure> {
    if topic.is_some() == pattern.is_some() {
        let deprecated = match options.has("whitelist") {
            true => "--whitelist is DEPRECATED use --include instead; ignored if --include specified.",
            false => "()",
        };
        return Err(Failure::usage(format!("Exactly one of --include/--topic is required. {deprecated}")));
    }
    if !options.has("partition") {
        return match options.has("offset") {
            true => Err(Failure::usage("The partition is required when offset is specified.")),
            false => Ok(()),
        };
    }
    if topic.is_none() {
        return Err(Failure::usage("The topic is required when partition is specified."));
    }
    if options.has("from-beginning") && options.has("offset") {
        return Err(Failure::usage("Options from-beginning and offset cannot be specified together."));
    }
    Ok(())
}

fn from(options: &Parsed) -> Result<From, Failure> {
    if !options.has("offset") {
        return Ok(if options.has("from-beginning") { From::Earliest } else { From::Latest });
    }
    let text = options.value("offset")?.unwrap_or_default().to_lowercase();
    match text.as_str() {
        "earliest" => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        number => match number.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(From::Offset(offset)),
            _ => Err(Failure::usage(format!(
                "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a \
                 non-negative long."
            ))),
        },
    }
}

/// All places that name a group must agree. Without one a group is made up, which commits nothing. Whether one was given.
fn settle_group(options: &Parsed, file: &mut Properties, given: &Properties) -> Result<bool, Failure> {
    let mut groups: Vec<&str> = Vec::new();
    for group in [options.value("group")?, file.get("group.id"), given.get("group.id")].into_iter().flatten()
    {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    match groups.as_slice() {
        [] => {
            file.set("group.id", format!("console-consumer-{}", number_below(100_000)));
            file.set_default("enable.auto.commit", "false");
            Ok(false)
        }
        [group] => {
            let group = (*group).to_owned();
            file.set("group.id", group);
            Ok(true)
        }
        several => Err(Failure::usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via \
             '--consumer.config') do not match. Detected group ids: '{}'",
            several.join("', '")
        ))),
    }
}

/// Good enough to keep made-up groups apart.
pub fn number_below(bound: u128) -> u128 {
    uuid::Uuid::new_v4().as_u128() % bound
}

fn consumer_properties(options: &Parsed, file: Properties, given: Properties) -> Result<Properties, Failure> {
    let mut properties = file;
    properties.extend(given);
    match properties.get("auto.offset.reset") {
        Some(reset) if options.has("from-beginning") && reset != "earliest" => {
            return Err(Failure::message(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
            )));
        }
        Some(_) => {}
        None => {
            let reset = if options.has("from-beginning") { "earliest" } else { "latest" };
            properties.set("auto.offset.reset", reset);
        }
    }
    properties.set("bootstrap.servers", options.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("client.id", "console-consumer");
    if let Some(level) = options.value("isolation-level")? {
        if options.has("isolation-level") {
            properties.set("isolation.level", level);
        } else {
            properties.set_default("isolation.level", level);
        }
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Result<Settings, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Settings::of(&Parsed::parse(&SPEC, &words).unwrap()).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn exactly_one_source_is_read() {
        let named = settings("--bootstrap-server a:1 --topic t").unwrap();
        assert_eq!(named.source, Source::Topic("t".into()));
        assert!(settings("--bootstrap-server a:1").unwrap_err().contains("Exactly one of --include/--topic"));
        assert!(
            settings("--bootstrap-server a:1 --topic t --include x").unwrap_err().contains("Exactly one")
        );
        let both = settings("--bootstrap-server a:1 --include x --whitelist y").unwrap();
        assert_eq!(both.source, Source::Matching("x".into()));
    }

    #[test]
    fn offsets_need_a_partition_and_a_partition_no_group() {
        let line = "--bootstrap-server a:1 --topic t --partition 3 --offset 7";
        let expected = Source::Partition { topic: "t".into(), partition: 3, from: From::Offset(7) };
        assert_eq!(settings(line).unwrap().source, expected);
        assert!(
            settings("--bootstrap-server a:1 --topic t --offset 7")
                .unwrap_err()
                .contains("partition is required")
        );
        assert!(settings(&format!("{line} --group g")).unwrap_err().contains("Options group and partition"));
        assert!(
            settings("--bootstrap-server a:1 --topic t --partition 3 --offset -7")
                .unwrap_err()
                .contains("'-7'")
        );
    }

    #[test]
    fn a_made_up_group_commits_nothing_and_a_named_one_does() {
        let made_up = settings("--bootstrap-server a:1 --topic t").unwrap().consumer;
        assert!(made_up.get("group.id").unwrap().starts_with("console-consumer-"));
        assert_eq!(made_up.get("enable.auto.commit"), Some("false"));
        let named = settings("--bootstrap-server a:1 --topic t --group g").unwrap().consumer;
        assert_eq!((named.get("group.id"), named.get("enable.auto.commit")), (Some("g"), None));
        let differ = settings("--bootstrap-server a:1 --topic t --group g --consumer-property group.id=h");
        assert!(differ.unwrap_err().contains("Detected group ids: 'g', 'h'"));
    }

    #[test]
    fn from_beginning_and_a_reset_policy_must_agree() {
        let line = "--bootstrap-server a:1 --topic t --from-beginning --consumer-property auto.offset.reset";
        assert!(settings(&format!("{line}=latest")).unwrap_err().contains("Can't simultaneously specify"));
        assert!(settings(&format!("{line}=earliest")).is_ok());
    }
}
