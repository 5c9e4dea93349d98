//! The options of `kafka-verifiable-producer.sh` in Kafka 3.2.0.

use crate::options::argparse::Program;
use crate::options::{Opt, Spec, integer, long, text};

pub const SPEC: Spec = Spec { options: OPTIONS, abbreviations: true };

pub const PROGRAM: Program = Program {
    name: "verifiable-producer",
    required: &["topic"],
    exclusive: &["bootstrap-server", "broker-list"],
    several: &[],
    choices: Some(("acks", &["0", "1", "-1"])),
};

const OPTIONS: &[Opt] = &[
    text("topic", "TOPIC", "The topic to write to."),
    integer("max-messages", "MAX-MESSAGES", "How many records to write; -1 for ever more.").or("-1"),
    integer("throughput", "THROUGHPUT", "Records a second at most, about; -1 for as many as go.").or("-1"),
    integer("acks", "ACKS", "What an acknowledgement waits for.").or("-1"),
    text("producer.config", "CONFIG_FILE", "A file of properties for the producer."),
    long(
        "message-create-time",
        "CREATETIME",
        "The timestamp to begin with, in ms since the epoch; -1 for now.",
    )
    .or("-1"),
    integer("value-prefix", "VALUE-PREFIX", "A number to write before each value, with a dot."),
    integer(
        "repeating-keys",
        "REPEATING-KEYS",
        "Give records keys that count from 0 up to this and begin anew.",
    ),
    text("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "The brokers to connect to."),
    text("broker-list", "HOST1:PORT1[,HOST2:PORT2[...]]", "DEPRECATED: the same as --bootstrap-server."),
];
