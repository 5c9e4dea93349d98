//! The options of `kafka-verifiable-consumer.sh` in Kafka 3.2.0.

use crate::options::argparse::Program;
use crate::options::{Opt, Spec, flag, integer, text};

pub const SPEC: Spec = Spec { options: OPTIONS, abbreviations: true };

pub const PROGRAM: Program = Program {
    name: "verifiable-consumer",
    // In the order in which argparse4j misses them.
    required: &["group-id", "topic"],
    exclusive: &["bootstrap-server", "broker-list"],
    several: &[],
    choices: None,
};

const OPTIONS: &[Opt] = &[
    text("topic", "TOPIC", "The topic to read."),
    text("group-id", "GROUP_ID", "The group to join."),
    text("group-instance-id", "GROUP_INSTANCE_ID", "The name of this member, for static membership."),
    integer("max-messages", "MAX-MESSAGES", "How many records to read; -1 for ever more.").or("-1"),
    integer(
        "session-timeout",
        "TIMEOUT_MS",
        "After how long without a sign of life the group goes on without it.",
    )
    .or("30000"),
    flag("verbose", "Write a line for each record."),
    flag("enable-autocommit", "Let the consumer commit by itself."),
    text(
        "reset-policy",
        "RESETPOLICY",
        "Where to begin without a committed offset: earliest, latest or none.",
    )
    .or("earliest"),
    text("assignment-strategy", "ASSIGNMENTSTRATEGY", "The class of the assignor.")
        .or("org.apache.kafka.clients.consumer.RangeAssignor"),
    text("consumer.config", "CONFIG_FILE", "A file of properties for the consumer; options win."),
    text("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "The brokers to connect to."),
    text("broker-list", "HOST1:PORT1[,HOST2:PORT2[...]]", "DEPRECATED: the same as --bootstrap-server."),
];
