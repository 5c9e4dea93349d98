//! The options of `kafka-dump-log.sh` in Kafka 3.2.0.

use crate::options::{HELP, Opt, Spec, VERSION, flag, integer, text};

pub const SPEC: Spec = Spec { options: OPTIONS, abbreviations: false };

const DECODER: &str = "kafka.serializer.StringDecoder";

const OPTIONS: &[Opt] = &[
    text("files", "file1, file2, ...", "REQUIRED: the files to dump, separated by commas."),
    flag("print-data-log", "Show what records hold. Every decoder option asks for it too."),
    flag("deep-iteration", "Show records, not only batches. --print-data-log asks for it too."),
    flag("verify-index-only", "Check indexes against the log and show only what does not agree."),
    flag("index-sanity-check", "Only check indexes as a broker does when it starts."),
    integer("max-message-size", "size", "Bytes of the largest batch, for checking an index.").or("5242880"),
    text(
        "value-decoder-class",
        "",
        "StringDecoder, LongDecoder, IntegerDecoder or DefaultDecoder of kafka.serializer.",
    )
    .optional()
    .or(DECODER),
    text("key-decoder-class", "", "The same for keys.").optional().or(DECODER),
    flag("offsets-decoder", "The records are those of __consumer_offsets."),
    flag("transaction-log-decoder", "The records are those of __transaction_state."),
    flag("cluster-metadata-decoder", "The records are those of __cluster_metadata."),
    flag("skip-record-metadata", "Show of a record only its key and value."),
    HELP,
    VERSION,
];
