//! The options of `kafka-topics.sh`, and which of them exclude each other.

use crate::failure::Failure;
use crate::options::{HELP, Parsed, Spec, VERSION, flag, integer, text};

pub const SPEC: Spec = Spec {
    options: &[
        text(
            "bootstrap-server",
            "server to connect to",
            "REQUIRED: where to connect first: HOST:PORT, or several with commas between.",
        ),
        text("command-config", "command config property file", "File with properties of the client."),
        flag("list", "List the topics."),
        flag("create", "Create a topic."),
        flag("delete", "Delete topics."),
        flag("alter", "Give topics more partitions."),
        flag("describe", "Show topics with their partitions."),
        text(
            "topic",
            "topic",
            "The topic. Except with --create this is a regular expression: quote it for the shell, and escape what is meant literally, as in \"test\\.topic\".",
        ),
        text("topic-id", "topic-id", "The id of the topic to describe."),
        text(
            "config",
            "name=value",
            "A setting of the topic to create; may be repeated. To change settings later use kafka-configs.sh.",
        ),
        text("delete-config", "name", "Refused: use kafka-configs.sh --alter --delete-config."),
        integer(
            "partitions",
            "# of partitions",
            "How many partitions the topic shall have. With --alter only more than before; records with keys then go to other partitions. Default for --create: num.partitions of the broker.",
        ),
        integer(
            "replication-factor",
            "replication factor",
            "Copies of each partition. Default: default.replication.factor of the broker.",
        ),
        text(
            "replica-assignment",
            "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , broker_id_for_part2_replica1 : ...",
            "Brokers of each partition, instead of the controller's choice.",
        ),
        flag(
            "under-replicated-partitions",
            "Describe only partitions with fewer replicas in sync than they have.",
        ),
        flag("unavailable-partitions", "Describe only partitions without a live leader."),
        flag(
            "under-min-isr-partitions",
            "Describe only partitions with fewer replicas in sync than min.insync.replicas.",
        ),
        flag(
            "at-min-isr-partitions",
            "Describe only partitions with just as many replicas in sync as min.insync.replicas.",
        ),
        flag("topics-with-overrides", "Describe only topics with settings of their own."),
        flag("if-exists", "Alter, delete or describe without an error if there is no such topic."),
        flag("if-not-exists", "Create without an error if the topic is there already."),
        flag("disable-rack-aware", "Assign replicas without regard to racks."),
        flag("exclude-internal", "List or describe without internal topics."),
        HELP,
        VERSION,
    ],
    abbreviations: false,
};

/// The five actions, in the order in which Kafka names conflicts with them.
const ACTIONS: [&str; 5] = ["alter", "create", "describe", "list", "delete"];
const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

/// Refuses what makes no sense together.
///
/// # Errors
/// The message of Kafka's tool.
pub fn check(options: &Parsed) -> Result<(), Failure> {
    if ["create", "list", "alter", "describe", "delete"].iter().filter(|action| options.has(action)).count()
        != 1
    {
        return Err(Failure::usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ));
    }
    if !options.has("bootstrap-server") {
        return Err(Failure::message("--bootstrap-server must be specified"));
    }
    check_topic(options)?;
    if options.has("alter") {
        check_alter(options)?;
    }
    // Which actions an option belongs to; with every other one it is refused.
    only_with(options, "config", &["alter", "create"])?;
    only_with(options, "delete-config", &["alter"])?;
    options.exclude("delete-config", &["bootstrap-server"])?;
    only_with(options, "partitions", &["alter", "create"])?;
    only_with(options, "replication-factor", &["create"])?;
    only_with(options, "replica-assignment", &["alter", "create"])?;
    if options.has("create") {
        options.exclude("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        only_with(options, report, &["describe"])?;
        let others: Vec<&'static str> = REPORTS.into_iter().filter(|other| *other != report).collect();
        options.exclude(report, &others)?;
        options.exclude(report, &["topics-with-overrides"])?;
    }
    only_with(options, "topics-with-overrides", &["describe"])?;
    only_with(options, "if-exists", &["alter", "delete", "describe"])?;
    only_with(options, "if-not-exists", &["create"])?;
    only_with(options, "exclude-internal", &["list", "describe"])
}

const ALTER_CONFIGS_ELSEWHERE: &str =
    " (the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)";

fn check_topic(options: &Parsed) -> Result<(), Failure> {
    if options.has("describe") {
        if options.has("if-exists") && !options.has("topic") && !options.has("topic-id") {
            return Err(Failure::message("--topic or --topic-id is required to describe a topic"));
        }
        if options.has("topic") && options.has("topic-id") {
            eprintln!(
                "WARN Only topic id will be used when both --topic and --topic-id are specified and topicId is not \
                 Uuid.ZERO_UUID"
            );
        }
    } else if !options.has("list") {
        options.require(&["topic"])?;
    }
    Ok(())
}

fn check_alter(options: &Parsed) -> Result<(), Failure> {
    if options.has("config") {
        return Err(Failure::usage(format!(
            "Option combination \"[bootstrap-server],[config]\" can't be used with option \"[alter]\"{ALTER_CONFIGS_ELSEWHERE}"
        )));
    }
    Ok(options.require(&["partitions"])?)
}

fn only_with(options: &Parsed, option: &'static str, actions: &[&str]) -> Result<(), Failure> {
    let others: Vec<&'static str> = ACTIONS.into_iter().filter(|action| !actions.contains(action)).collect();
    Ok(options.exclude(option, &others)?)
}
