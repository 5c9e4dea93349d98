//! The options of `kafka-producer-perf-test.sh` in Kafka 3.2.0.

use crate::options::argparse::Program;
use crate::options::{Opt, Spec, flag, integer, long, text};

pub const SPEC: Spec = Spec { options: OPTIONS, abbreviations: true };

pub const PROGRAM: Program = Program {
    name: "producer-performance",
    // In the order in which argparse4j misses them.
    required: &["throughput", "num-records", "topic"],
    exclusive: &["record-size", "payload-file"],
    several: &["producer-props"],
    choices: None,
};

const OPTIONS: &[Opt] = &[
    text("topic", "TOPIC", "The topic to write to."),
    long("num-records", "NUM-RECORDS", "How many records to write."),
    text("payload-delimiter", "PAYLOAD-DELIMITER", "What separates records in the payload file.").or("\\n"),
    integer("throughput", "THROUGHPUT", "Records a second at most, about; -1 for as many as go."),
    text(
        "producer-props",
        "PROP-NAME=PROP-VALUE",
        "Properties of the producer; they win over --producer.config.",
    ),
    text("producer.config", "CONFIG-FILE", "A file of properties for the producer."),
    flag("print-metrics", "Show what the client has counted at the end."),
    text("transactional-id", "TRANSACTIONAL-ID", "The transactional id, if transactions are asked for.")
        .or("performance-producer-default-transactional-id"),
    long(
        "transaction-duration-ms",
        "TRANSACTION-DURATION",
        "Write in transactions of that length; 0 for none.",
    )
    .or("0"),
    integer(
        "record-size",
        "RECORD-SIZE",
        "Bytes of a record. Exactly one of this and --payload-file is needed.",
    ),
    text("payload-file", "PAYLOAD-FILE", "A file of UTF-8 text with the records to choose from at random."),
];
